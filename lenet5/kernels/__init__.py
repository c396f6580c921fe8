"""The only Numba code of the library: each loop beside its readable NumPy twin.

Layers call ``kernels.im2col(...)`` and the like. Every kernel writes into arrays it is given.
`numpy_only` swaps all of them for their twins, which is how the tests hold one against the other
and how the library runs where Numba is not available.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from ._jit import HAVE_NUMBA, TWINS
from .direct import conv, conv_back
from .im2col import col2im, im2col
from .pool import max_pool, max_unpool, window_spread, window_sum

__all__ = [
    "HAVE_NUMBA",
    "col2im",
    "conv",
    "conv_back",
    "im2col",
    "max_pool",
    "max_unpool",
    "numpy_only",
    "window_spread",
    "window_sum",
]


@contextmanager
def numpy_only() -> Iterator[None]:
    """Run every kernel as its NumPy twin inside the block (for the whole process, not one thread)."""
    compiled = {name: globals()[name] for name in TWINS if name in globals()}
    globals().update({name: TWINS[name] for name in compiled})
    try:
        yield
    finally:
        globals().update(compiled)
