"""From what is drawn to what the page shows: preparation, changes, every stage, and the answer."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from ..analysis.sdnn import found, sweep
from ..datasets import Dataset, noise, normalise_digit, normalise_line, transform
from ..datasets.handwriting import SeveralDigitsError
from ..errors import ConfigError, ImageError, LenetError
from ..network import Sequential
from .anatomy import packed

__all__ = ["LONGEST", "SIDE", "Changes", "Reader"]

# Pixels of the drawing area on a side, and its widest form in such sides.
SIDE, LONGEST = 112, 4


@dataclass(frozen=True)
class Changes:
    """What the sliders do to a drawing (Fig. 13 by hand).

    Parameters
    ----------
    rotation : float
        Degrees, counter-clockwise; of a single digit.
    noise : float
        Share of inverted pixels of the network's field.
    thickness : int
        Pixels of the drawing by which strokes grow on each side, or shrink below 0.
    """

    rotation: float = 0.0
    noise: float = 0.0
    thickness: int = 0


class Reader:
    """A network with a hand to prepare what it reads.

    Parameters
    ----------
    net : Sequential
        For grey images of digits.
    data : Dataset
        Where examples come from.

    Raises
    ------
    ConfigError
        If the network wants colour.
    """

    def __init__(self, net: Sequential, data: Dataset) -> None:
        if net.in_shape[0] != 1:
            raise ConfigError("The page draws grey digits; this network reads images of another kind.")
        self.net, self.data = net, data
        blank = np.zeros((net.in_shape[1], net.in_shape[2] + 4), np.uint8)
        try:
            sweep(net, blank)
            self.sweeps = True
        except LenetError:
            self.sweeps = False

    def read(self, ink: NDArray[np.uint8], changes: Changes = Changes(), *, wide: bool = False) -> dict[str, Any]:  # noqa: B008
        """Return what the network makes of a drawing, as JSON can hold it.

        Parameters
        ----------
        ink : ndarray of uint8, shape (H, W)
            0 is paper.
        changes : Changes
        wide : bool
            Sweep the network across a line of digits in place of reading one.

        Returns
        -------
        dict
            ``stages`` with every map of `Sequential.feature_maps`, packed; ``outputs``, ``order`` (classes,
            likeliest first) and ``shares``, None for blank paper; of a line ``text`` and ``found``.

        Raises
        ------
        ImageError
            If nothing is left of the drawing.
        """
        field = self._field(ink, changes, wide)
        maps = self.net.feature_maps(field, sweep=wide)
        stages = [{"name": name, **_stage(name, values)} for name, values in maps.items()]
        reading: dict[str, Any] = {"stages": stages, "wide": wide, "blank": not ink.any()}
        if reading["blank"]:
            return reading
        if wide:
            line = found(self.net, maps["output"])
            digits = [{"column": d.column, "digit": d.digit, "penalty": round(d.penalty, 2)} for d in line.digits]
            text = "".join(str(self.net.classes[d.digit]) for d in line.digits)
            return reading | {"text": text, "found": digits}
        outputs, shares = self.net.outputs(field)[0], self.net.predict_proba(field)[0]
        order = np.argsort(outputs if self.net.outputs_penalties else -outputs, kind="stable")
        return reading | {
            "outputs": [round(float(v), 3) for v in outputs],
            "shares": [round(float(v), 6) for v in shares],
            "order": order.tolist(),
        }

    def example(self, rng: np.random.Generator, *, wide: bool = False) -> NDArray[np.uint8]:
        """Return one random image of the data, or four side by side, enlarged to a drawing."""
        chosen = rng.integers(len(self.data), size=4 if wide else 1)
        digits = [self.data.images[i] for i in chosen]
        if wide:
            digits = [np.pad(image[:, image.any(axis=0)], ((0, 0), (5, 5))) for image in digits]
        picture = Image.fromarray(np.concatenate(digits, axis=1))
        factor = min(SIDE / picture.height, LONGEST * SIDE / picture.width)
        size = (round(picture.width * factor), round(picture.height * factor))
        return np.asarray(picture.resize(size, Image.Resampling.BICUBIC))

    def _field(self, ink: NDArray[np.uint8], changes: Changes, wide: bool) -> NDArray[np.uint8]:
        """Return the drawing as the network is to see it, its frame included."""
        if not ink.any():
            picture = np.zeros((28, 28 * (4 if wide else 1)), np.uint8)
        else:
            ink = _thickened(ink, changes.thickness)
            if not ink.any():
                raise ImageError("Nothing is left of strokes that thin: move the thickness slider to the right.")
            try:
                picture = (normalise_line if wide else normalise_digit)(ink, invert=False)
            except SeveralDigitsError as error:
                raise ImageError('Several digits: switch "A line of digits" on to read them.') from error
        missing = [max(0, own - side) for own, side in zip(self.net.in_shape[1:], picture.shape, strict=True)]
        field = np.pad(picture, [(m // 2, m - m // 2) for m in missing])
        if changes.rotation and not wide:
            field = transform(field[None], rotation=changes.rotation)[0]
        # The same pixels whatever is drawn: noise that is drawn anew with every stroke only flickers.
        return noise(field, np.random.default_rng(0), share=changes.noise) if changes.noise else field


def _thickened(ink: NDArray[np.uint8], pixels: int) -> NDArray[np.uint8]:
    if pixels == 0:
        return ink
    grow = ImageFilter.MaxFilter if pixels > 0 else ImageFilter.MinFilter
    return np.asarray(Image.fromarray(np.pad(ink, abs(pixels))).filter(grow(2 * abs(pixels) + 1)))


def _stage(name: str, values: NDArray[np.floating]) -> dict[str, Any]:
    """Pack the maps of a stage; a vector is so many maps of one cell."""
    high = max(1.175 if name == "input" else 1.7159, float(np.abs(values).max()))
    low = float(values.min()) if name == "input" or values.min() >= 0 else -high
    shape = values.shape if values.ndim == 3 else (len(values), 1, 1)
    return {"shape": list(shape), "values": packed(values, low, high), "low": round(low, 4), "high": round(high, 4)}
