"""The engine: compiled loops and the code that compiles and calls them. It does not depend on layer classes.

`program` runs a whole network in one call, with the compiled functions of its layers. `im2col`, `col2im`,
`scale_pixels`, `brightness` and `warp` are kernels that NumPy code calls. Each also has a NumPy version, which
`numpy_only` selects.
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
    """Replace the kernels with their NumPy versions within the ``with`` block, for the whole process."""
    compiled = {name: globals()[name] for name in TWINS if name in globals()}
    globals().update({name: TWINS[name] for name in compiled})
    try:
        yield
    finally:
        globals().update(compiled)
