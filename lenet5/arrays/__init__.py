"""Convert images and labels from the formats that users pass."""

from .images import as_array, batch_of, grey_levels, pictures_of
from .labels import aligned, check_labels, labels_of
from .learned import FITS, Field, Learned
from .tones import tones_of

__all__ = [
    "FITS", "Field", "Learned", "aligned", "as_array", "batch_of", "check_labels", "grey_levels", 
    "labels_of", "pictures_of", "tones_of",
]  # fmt: skip
