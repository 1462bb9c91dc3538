"""Matrix products over a tile of points, sums kept in registers.

A block of 4 outputs x 24 points (12 sums of eight points) is carried over all inputs: seven loads
for twelve multiply-adds, so that arithmetic is what bounds it on a CPU with 16 vector registers.
Columns are computed in whole vectors: a tile has room for them, and what lies behind the last point
stays zero because there are no biases.
"""

from collections.abc import Callable
from typing import Any, no_type_check

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from render.kernels.vectors import F32 as VALUE
from render.kernels.vectors import (
    LANES,
    POINTS,
    Matrix,
    add,
    are_matrices,
    constant,
    counting,
    load,
    matrix,
    multiply,
    shuffled,
    splat,
    store,
    whole_vectors,
)

_OUTPUTS = 4
_VECTORS = 3

Finish = Callable[[Any, Any, Any], Any]
"""(sums, row, column) -> what is written there."""


def _multiply(
    builder: Any, w: Matrix, x: Matrix, y: Matrix, rows: Any, n: Any, finish: Finish
) -> None:
    """y[o, p] = finish(sum_i w[o, i] x[i, p]) for the first rows of w."""
    zero = ir.Constant(POINTS, None)

    def block(p: Any, vectors: int) -> None:
        with counting(builder, constant(0), rows, _OUTPUTS) as o:
            sums = [
                [cgutils.alloca_once(builder, POINTS) for _ in range(vectors)]
                for _ in range(_OUTPUTS)
            ]
            outputs = [builder.add(o, constant(r)) for r in range(_OUTPUTS)]
            places = [builder.add(p, constant(v * LANES)) for v in range(vectors)]
            for place in (s for row in sums for s in row):
                builder.store(zero, place)
            with counting(builder, constant(0), w.columns, 1) as i:
                values = [load(builder, x, i, place) for place in places]
                for r, output in enumerate(outputs):
                    factor = splat(builder, load(builder, w, output, i, VALUE))
                    for v, value in enumerate(values):
                        product = multiply(builder, factor, value)
                        builder.store(add(builder, product, builder.load(sums[r][v])), sums[r][v])
            for r, output in enumerate(outputs):
                for v, place in enumerate(places):
                    done = finish(builder.load(sums[r][v]), output, place)
                    store(builder, done, y, output, place)

    end = whole_vectors(builder, n)
    large = constant(_VECTORS * LANES)
    middle = builder.mul(builder.sdiv(end, large), large)
    with counting(builder, constant(0), middle, _VECTORS * LANES) as p:
        block(p, _VECTORS)
    with counting(builder, middle, end, LANES) as p:
        block(p, 1)


@intrinsic
@no_type_check
def product(typing: Any, w: Any, x: Any, y: Any, rows: Any, n: Any) -> Any:
    """y = w x for the first rows of w and n columns, in whole vectors."""
    if not are_matrices(w, x, y):
        return None

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pairs = zip((w, x, y), args[:3], strict=True)
        of, come, go = [matrix(context, builder, *pair) for pair in pairs]
        _multiply(builder, of, come, go, args[3], args[4], lambda sums, _row, _column: sums)
        return context.get_dummy_value()

    return types.void(w, x, y, types.intp, types.intp), write


@intrinsic
@no_type_check
def product_relu(typing: Any, w: Any, x: Any, y: Any, rows: Any, n: Any) -> Any:
    """y = max(w x, 0); a NaN stays one."""
    if not are_matrices(w, x, y):
        return None

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pairs = zip((w, x, y), args[:3], strict=True)
        of, come, go = [matrix(context, builder, *pair) for pair in pairs]
        zero = ir.Constant(POINTS, None)

        def positive(sums: Any, row: Any, column: Any) -> Any:
            return builder.select(builder.fcmp_unordered(">", sums, zero), sums, zero)

        _multiply(builder, of, come, go, args[3], args[4], positive)
        return context.get_dummy_value()

    return types.void(w, x, y, types.intp, types.intp), write


@intrinsic
@no_type_check
def product_gated(typing: Any, w: Any, x: Any, y: Any, gate: Any, rows: Any, n: Any) -> Any:
    """y = w x where gate > 0, else 0: the way back through a ReLU whose values are the gate."""
    if not are_matrices(w, x, y, gate):
        return None

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = (w, x, y, gate)
        pairs = zip(kinds, args[:4], strict=True)
        of, come, go, open_ = [matrix(context, builder, *pair) for pair in pairs]
        zero = ir.Constant(POINTS, None)

        def gated(sums: Any, row: Any, column: Any) -> Any:
            value = load(builder, open_, row, column)
            return builder.select(builder.fcmp_ordered(">", value, zero), sums, zero)

        _multiply(builder, of, come, go, args[4], args[5], gated)
        return context.get_dummy_value()

    return types.void(w, x, y, gate, types.intp, types.intp), write


@intrinsic
@no_type_check
def add_outer(typing: Any, dy: Any, x: Any, dw: Any, n: Any) -> Any:
    """dw[o, i] += sum_p dy[o, p] x[i, p]; dw has an even number of rows, columns by four."""
    if not are_matrices(dy, x, dw):
        return None

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = (dy, x, dw)
        g, v, d = [matrix(context, builder, *p) for p in zip(kinds, args[:3], strict=True)]
        zero = ir.Constant(POINTS, None)
        end = whole_vectors(builder, args[3])
        # Four rows of x stay in the first-level cache while all rows of dy pass by.
        with (
            counting(builder, constant(0), d.columns, 4) as i,
            counting(builder, constant(0), d.rows, 2) as o,
        ):
            sums = [cgutils.alloca_once(builder, POINTS) for _ in range(8)]
            for place in sums:
                builder.store(zero, place)
            outputs = [builder.add(o, constant(r)) for r in range(2)]
            inputs = [builder.add(i, constant(c)) for c in range(4)]
            with counting(builder, constant(0), end, LANES) as p:
                values = [load(builder, v, c, p) for c in inputs]
                for r, output in enumerate(outputs):
                    factor = load(builder, g, output, p)
                    for c, value in enumerate(values):
                        place = sums[4 * r + c]
                        step = multiply(builder, factor, value)
                        builder.store(add(builder, step, builder.load(place)), place)
            totals = _totals(builder, [builder.load(place) for place in sums])
            four = ir.VectorType(VALUE, 4)
            for r, output in enumerate(outputs):
                part = shuffled(builder, totals, totals, [4 * r + c for c in range(4)])
                before = load(builder, d, output, i, four)
                store(builder, add(builder, before, part), d, output, i)
        return context.get_dummy_value()

    return types.void(dy, x, dw, types.intp), write


def _totals(builder: Any, eight: list[Any]) -> Any:
    """The sum over lanes of each of eight vectors, as one vector: seven additions in all."""

    def joined(a: Any, b: Any, lanes: list[int], others: list[int]) -> Any:
        left, right = shuffled(builder, a, b, lanes), shuffled(builder, a, b, others)
        return add(builder, left, right)

    pairs = [
        joined(a, b, [0, 8, 2, 10, 4, 12, 6, 14], [1, 9, 3, 11, 5, 13, 7, 15])
        for a, b in zip(eight[::2], eight[1::2], strict=True)
    ]
    fours = [
        joined(a, b, [0, 1, 8, 9, 4, 5, 12, 13], [2, 3, 10, 11, 6, 7, 14, 15])
        for a, b in zip(pairs[::2], pairs[1::2], strict=True)
    ]
    return joined(fours[0], fours[1], [0, 1, 2, 3, 8, 9, 10, 11], [4, 5, 6, 7, 12, 13, 14, 15])
