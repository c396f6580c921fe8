"""Input format of a network, and metadata of its training set."""

from typing import NamedTuple

__all__ = ["FITS", "Field", "Learned"]

_MIDDLE = 127.5  # middle of the range of grey levels
# Valid values of `Learned.fit`.
FITS = ("", "digit", "scale", "same")


class Learned(NamedTuple):
    """Record of a network's training set, stored in the network's files.

    Attributes
    ----------
    classes : tuple of str
        Class names, in the order of the outputs; empty if unknown.
    shape : tuple of int
        (H, W) or (H, W, C) of the training images; empty if unknown.
    ground : float, optional
        Mean grey level at the edges of grey training images: about 0 for light on black, 255 for dark on white.
    peak : int
        Value of the lightest pixel in the training images.
    fit : str
        How image files were converted to that shape: "digit", "scale", or "same" (unchanged); empty if the training
        set was not read from image files.
    """

    classes: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    ground: float | None = None
    peak: int = 255
    fit: str = ""

    @property
    def drawn(self) -> bool:
        """Whether image files are normalised like MNIST's digits: light on black, centred."""
        return self.fit in ("", "digit") and not (self.ground is not None and self.ground > _MIDDLE)


class Field(NamedTuple):
    """Input format of a network.

    Attributes
    ----------
    in_shape : tuple of int
        (C, H, W) or (D,).
    span : (float, float), optional
        Values to which the preparation maps grey levels 0 and 255; None if the user chose no preparation.
    sides : tuple of int
        Sides of the square images that are accepted in flattened form.
    ground : float, optional
        Mean grey level at the edges of the training images; None if unknown.
    peak : int
        Value of the lightest pixel in the training images.
    """

    in_shape: tuple[int, ...]
    span: tuple[float, float] | None
    sides: tuple[int, ...]
    ground: float | None
    peak: int = 255
