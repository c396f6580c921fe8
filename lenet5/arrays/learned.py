"""Input that a network takes, and the record of what it was trained on."""

from typing import NamedTuple

__all__ = ["FITS", "Field", "Learned"]

_MIDDLE = 127.5  # of the grey levels
# How pictures of any size become images of one: as MNIST's digits were made, or scaled as they are.
FITS = ("", "digit", "scale", "same")


class Learned(NamedTuple):
    """Record of the training set of a network, kept in its files.

    Attributes
    ----------
    classes : tuple of str
        Their names, in the order of the outputs; empty if not known.
    shape : tuple of int
        (H, W) or (H, W, C) of the training images; empty if not known.
    ground : float, optional
        Mean grey level at the edge of grey training images: about 0 for light ink on black, 255 for dark on white.
    peak : int
        Their lightest pixel.
    fit : str
        How pictures from files were made images of that shape: "digit", "scale", or "same" as they are; empty if there
        were no such files.
    """

    classes: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    ground: float | None = None
    peak: int = 255
    fit: str = ""

    @property
    def drawn(self) -> bool:
        """Whether pictures from files are prepared like MNIST's digits: light ink on black, centred."""
        return self.fit in ("", "digit") and not (self.ground is not None and self.ground > _MIDDLE)


class Field(NamedTuple):
    """Input that a network takes.

    Attributes
    ----------
    in_shape : tuple of int
        (C, H, W) or (D,).
    span : (float, float), optional
        What its preparation makes of grey levels 0 and 255; None if it has none that its user chose.
    sides : tuple of int
        Of the square pictures whose rows it knows.
    ground : float, optional
        Grey level at the edge of what it was trained on; None if that is not known.
    peak : int
        The lightest pixel of that.
    """

    in_shape: tuple[int, ...]
    span: tuple[float, float] | None
    sides: tuple[int, ...]
    ground: float | None
    peak: int = 255
