"""Inner loops of convolutions and fully connected layers, written for vector registers.

A compiler rarely vectorises scalar loops of this kind, because it would have to prove that arrays do not overlap,
and to keep all weights of a kernel in registers. These loops are therefore generated as LLVM vector instructions, for
a few kernel sizes. LLVM compiles them for the host processor.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .jit import HAVE_NUMBA

if HAVE_NUMBA:
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic

__all__ = [
    "VECTOR", "add_dots_3x3", "add_dots_5x5", "add_sums_1", "add_sums_8", "add_taps_3x3", "add_taps_5x5",
    "add_taps_of_all", "add_turned_3x3", "add_turned_5x5", "copy_rows",
]  # fmt: skip

# Values per vector: the number of float32 values in an AVX-512 register.
VECTOR = 16


def _taps(kh: int, kw: int, *, turned: bool = False, known: int | None = None) -> Any:
    """Make ``add_taps(x, w, y, (rows, n), (x_row, y_row), (width, step), (kh, kw))`` for pointers x, w and y.

    y[r y_row + p] += sum_ij w[i kw + j] x[r x_row + p + i width + j step]
    for every row r and p < n, where n is a multiple of VECTOR. If `turned`, the weights are in reverse order.
    The kernel size is fixed; it is an argument only for compatibility with functions that accept any size. If `known`
    is given, this constant replaces the argument `width`.
    """

    def write(code: "_Code") -> None:
        order = range(kh * kw)
        weights = [code.spread(code.w(k)) for k in (reversed(order) if turned else order)]
        with code.vectors():
            total = code.load(code.y())
            # Sum each kernel row separately; in a single sum, every product would wait for the previous one.
            for i in range(kh):
                part = code.build.fmul(weights[i * kw], code.load(code.x(i, 0)))
                for j in range(1, kw):
                    part = code.add_product(part, weights[i * kw + j], code.load(code.x(i, j)))
                total = code.build.fadd(total, part)
            code.store(total, code.y())

    return _function(write, known)


def _dots(kh: int, kw: int, *, known: int | None = None) -> Any:
    """Make ``add_dots(x, g, v, (rows, n), (x_row, v_row), (width, step), (kh, kw))``.

    g[i kw + j] += sum_rp v[r v_row + p] x[r x_row + p + i width + j step], with arguments as in `_taps`.
    """

    def write(code: "_Code") -> None:
        totals = [code.variable() for _ in range(kh * kw)]
        with code.vectors():
            scale = code.load(code.y())
            for k, total in enumerate(totals):
                more = code.add_product(code.build.load(total), scale, code.load(code.x(k // kw, k % kw)))
                code.build.store(more, total)
        for first in range(0, kh * kw, VECTOR):
            some = totals[first : first + VECTOR]
            sums = code.sums([code.build.load(total) for total in some])
            if len(some) == VECTOR:
                code.store(code.build.fadd(code.load(code.w(first)), sums), code.w(first))
                continue
            for k in range(len(some)):
                one, g = code.build.extract_element(sums, ir.IntType(32)(k)), code.w(first + k)
                code.build.store(code.build.fadd(code.build.load(g), one), g)

    return _function(write, known)


def _sums(count: int) -> Any:
    """Make ``add_sums(x, w, y, (1, n), (0, 0), (width, step), (0, 0))``.

    y[q VECTOR + l] += sum_k w[q width + k step] x[k VECTOR + l]
    for q < count, k < n/VECTOR and every element l of a vector.
    """

    def write(code: "_Code") -> None:
        totals = [code.variable(code.load(code.y_vector(q))) for q in range(count)]
        with code.vectors():
            x = code.load(code.x(0, 0))
            for q, total in enumerate(totals):
                code.build.store(code.add_product(code.build.load(total), code.spread(code.w_beside(q)), x), total)
        for q, total in enumerate(totals):
            code.store(code.build.load(total), code.y_vector(q))

    return _function(write)


def _copy() -> Any:
    """Make a function with the arguments of `_taps` that copies rows: y[r y_row + p] = x[r x_row + p]."""

    def write(code: "_Code") -> None:
        with code.vectors():
            code.store(code.load(code.x(0, 0)), code.y())

    return _function(write)


def _function(write: Callable[["_Code"], None], known: int | None = None) -> Any:
    """Make a kernel function with the arguments of `_taps` from the code that `write` generates."""
    if not HAVE_NUMBA:
        return None

    def typed(context, x, w, y, size, rows, window, kernel):  # type: ignore[no-untyped-def]
        def generate(context: Any, build: Any, signature: Any, values: Any) -> Any:
            write(_Code(context, build, signature, values, known))
            return context.get_dummy_value()

        return types.void(x, w, y, size, rows, window, kernel), generate

    return intrinsic(typed)


class _Code:
    """Building blocks of a generated loop: pointers into x, w and y, and vector operations."""

    def __init__(self, context: Any, build: Any, signature: Any, values: Any, known: int | None) -> None:
        self.build, number = build, signature.args[0].dtype
        self.number, self.bits = context.get_value_type(number), number.bitwidth
        self.vector = ir.VectorType(self.number, VECTOR)
        self._x, self._w, self._y = values[:3]
        self._rows, self._n, self._x_row, self._y_row, self._width, self._step = (
            build.extract_value(pair, k) for pair in values[3:6] for k in range(2)
        )
        if known is not None:
            self._width = ir.IntType(64)(known)

    @contextmanager
    def vectors(self) -> Iterator[None]:
        """Generate a loop over all rows, vector by vector, that advances the pointers to x and y."""
        b, zero, one_vector = self.build, ir.IntType(64)(0), ir.IntType(64)(VECTOR)
        with cgutils.for_range(b, self._rows) as row, cgutils.for_range_slice(b, zero, self._n, one_vector) as (p, _):
            self._in_x = b.add(b.mul(row.index, self._x_row), p)
            self._in_y = b.add(b.mul(row.index, self._y_row), p)
            self._vector = b.sdiv(p, one_vector)
            yield

    def x(self, i: int, j: int) -> Any:
        """Return a pointer to the vector of x that is i rows and j steps after the current one."""
        b, int64 = self.build, ir.IntType(64)
        offset = b.add(b.mul(self._width, int64(i)), b.mul(self._step, int64(j)))
        return b.gep(self._x, [b.add(self._in_x, offset)])

    def y(self) -> Any:
        """Return a pointer to the current vector of y."""
        return self.build.gep(self._y, [self._in_y])

    def y_vector(self, q: int) -> Any:
        """Return a pointer to vector q of y, counted from the start of y."""
        return self.build.gep(self._y, [ir.IntType(64)(q * VECTOR)])

    def w_beside(self, q: int) -> Any:
        """Return a pointer to the element in row q of w that multiplies the current vector of x."""
        b = self.build
        return b.gep(self._w, [b.add(b.mul(self._width, ir.IntType(64)(q)), b.mul(self._vector, self._step))])

    def w(self, k: int) -> Any:
        """Return a pointer to element k of a kernel."""
        return self.build.gep(self._w, [ir.IntType(64)(k)])

    def load(self, pointer: Any) -> Any:
        return self.build.load(self.build.bitcast(pointer, self.vector.as_pointer()), align=self.bits // 8)

    def store(self, vector: Any, pointer: Any) -> None:
        self.build.store(vector, self.build.bitcast(pointer, self.vector.as_pointer()), align=self.bits // 8)

    def spread(self, pointer: Any) -> Any:
        """Load one value into all elements of a vector."""
        nothing, first = ir.Constant(self.vector, ir.Undefined), ir.IntType(32)(0)
        one = self.build.insert_element(nothing, self.build.load(pointer), first)
        return self.pick(one, nothing, [0] * VECTOR)

    def pick(self, a: Any, b: Any, which: Sequence[int]) -> Any:
        """Combine elements of two vectors: indices below VECTOR select elements of a, the others elements of b."""
        return self.build.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), VECTOR), list(which)))

    def variable(self, start: Any = None) -> Any:
        """Allocate a vector, initially `start` or zeros; the compiler keeps it in a register."""
        room = cgutils.alloca_once(self.build, self.vector)
        self.build.store(ir.Constant(self.vector, None) if start is None else start, room)
        return room

    def add_product(self, total: Any, a: Any, b: Any) -> Any:
        """Return total + a b, as a fused multiply-add if the processor supports it."""
        return self.build.fadd(total, self.build.fmul(a, b, flags=("contract",)), flags=("contract",))

    def sums(self, vectors: Sequence[Any]) -> Any:
        """Return a vector whose element k is the pairwise sum of the elements of vectors[k]."""
        level = [*vectors, *[ir.Constant(self.vector, None)] * (VECTOR - len(vectors))]
        while len(level) > 1:
            level = [
                self.build.fadd(*(self.pick(a, b, range(odd, 2 * VECTOR, 2)) for odd in range(2)))
                for a, b in zip(level[::2], level[1::2], strict=True)
            ]
        return level[0]


add_taps_3x3, add_taps_5x5 = _taps(3, 3), _taps(5, 5)
add_turned_3x3, add_turned_5x5 = _taps(3, 3, turned=True), _taps(5, 5, turned=True)
add_dots_3x3, add_dots_5x5 = _dots(3, 3), _dots(5, 5)
add_taps_5x5_16, add_turned_5x5_16 = _taps(5, 5, known=16), _taps(5, 5, turned=True, known=16)
add_taps_5x5_32, add_turned_5x5_32 = _taps(5, 5, known=32), _taps(5, 5, turned=True, known=32)
add_dots_5x5_16, add_dots_5x5_32 = _dots(5, 5, known=16), _dots(5, 5, known=32)
add_taps_of_all, add_sums_1, add_sums_8 = _taps(1, VECTOR), _sums(1), _sums(8)
copy_rows = _copy()
