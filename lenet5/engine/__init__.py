"""The only Numba code of the library.

Layers call ``kernels.im2col(...)`` and the like, which write into arrays they are given. Each of these loops has a
readable NumPy twin beside it; `numpy_only` swaps them, which is how the tests hold one against the other and
how the library runs where Numba is not available. `program` goes through a whole network at once; the layers
themselves are its twin, see `lenet5.compiled`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from .direct import conv, conv_back
from .im2col import col2im, im2col
from .jit import HAVE_NUMBA, TWINS, cold, target, versions
from .planes import room_for_planes
from .pool import max_pool, max_unpool, window_spread, window_sum
from .warp import warp

__all__ = [
    "HAVE_NUMBA",
    "cold",
    "col2im",
    "conv",
    "conv_back",
    "im2col",
    "max_pool",
    "max_unpool",
    "numpy_only",
    "room_for_planes",
    "target",
    "versions",
    "warp",
    "window_spread",
    "window_sum",
]


@contextmanager
def numpy_only() -> Iterator[None]:
    """Run every kernel that layers call as its NumPy twin inside the block, in the whole process."""
    compiled = {name: globals()[name] for name in TWINS if name in globals()}
    globals().update({name: TWINS[name] for name in compiled})
    try:
        yield
    finally:
        globals().update(compiled)
