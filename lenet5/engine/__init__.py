"""The engine: compiled loops and the code that compiles and calls them. It knows no layer.

`program` goes through a whole network at once, by the functions that its layers bring along; `im2col`, `scale_pixels`
and `warp` are called by methods written in NumPy, and have a NumPy twin each, which `numpy_only` puts in their place.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from .im2col import col2im, im2col
from .jit import HAVE_NUMBA, TWINS, Compilation, compiling, target, versions
from .pixels import brightness, scale_pixels
from .warp import warp

__all__ = [
    "HAVE_NUMBA",
    "Compilation",
    "col2im",
    "compiling",
    "im2col",
    "numpy_only",
    "brightness",
    "scale_pixels",
    "target",
    "versions",
    "warp",
]


@contextmanager
def numpy_only() -> Iterator[None]:
    """Run every kernel that methods call as its NumPy twin inside the block, in the whole process."""
    compiled = {name: globals()[name] for name in TWINS if name in globals()}
    globals().update({name: TWINS[name] for name in compiled})
    try:
        yield
    finally:
        globals().update(compiled)
