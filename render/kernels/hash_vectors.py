"""One level of the hash grid over a tile of points: where its corners lie, values, gradients.

Where corners lie is computed for eight points at a time; what is read and added there is one short
vector an entry (its features), because entries lie scattered.
"""

from typing import Any, no_type_check

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from render.kernels.vectors import (
    CELLS,
    F32,
    I32,
    I64,
    LANES,
    POINTS,
    Matrix,
    add,
    are_matrices,
    constant,
    counting,
    floor,
    load,
    matrix,
    multiply,
    splat,
    store,
    subtract,
    whole_vectors,
)

_PRIMES = (1, 2654435761 - (1 << 32), 805459861)
"""As signed numbers of 32 bits."""


def _cells(builder: Any, x: Matrix, fraction: Matrix, scale: Any, p: Any) -> list[Any]:
    """Cell numbers of eight points on each axis; their fractions are stored."""
    cells = []
    for axis in range(3):
        place = constant(axis)
        half = ir.Constant(POINTS, 0.5)
        at = add(builder, multiply(builder, load(builder, x, place, p), scale), half)
        below = floor(builder, at)
        store(builder, subtract(builder, at, below), fraction, place, p)
        cells.append(builder.fptosi(below, CELLS))
    return cells


@intrinsic
@no_type_check
def locate_dense(
    typing: Any,
    x: Any,
    scale: Any,
    offset: Any,
    entries: Any,
    res: Any,
    n: Any,
    index: Any,
    fraction: Any,
) -> Any:
    """Corner entries [8, T] and fractions [3, T] of a level whose vertices all have their own."""
    if not are_matrices(x, index, fraction):
        return None

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        places = matrix(context, builder, x, args[0])
        to, parts = (
            matrix(context, builder, kind, value)
            for kind, value in ((index, args[6]), (fraction, args[7]))
        )
        scales = splat(builder, args[1])
        first, total, side = (splat(builder, value) for value in args[2:5])
        with counting(builder, constant(0), whole_vectors(builder, args[5]), LANES) as p:
            a, b, c = _cells(builder, places, parts, scales, p)
            c = builder.mul(side, builder.add(b, builder.mul(side, c)))
            j = builder.add(a, c)
            for corner in range(8):
                k = j
                if corner & 1:
                    k = builder.add(k, ir.Constant(CELLS, 1))
                if corner & 2:
                    k = builder.add(k, side)
                if corner & 4:
                    k = builder.add(k, builder.mul(side, side))
                inside = builder.icmp_signed("<", k, total)
                k = builder.select(inside, k, builder.sub(k, total))
                store(builder, builder.add(k, first), to, constant(corner), p)
        return context.get_dummy_value()

    numbers = (types.float32, types.int32, types.int32, types.int32, types.intp)
    return types.void(x, *numbers, index, fraction), write


@intrinsic
@no_type_check
def locate_hashed(
    typing: Any,
    x: Any,
    scale: Any,
    offset: Any,
    entries: Any,
    n: Any,
    index: Any,
    fraction: Any,
) -> Any:
    """The same where the coherent prime hash says which entry a vertex has (a power of two)."""
    if not are_matrices(x, index, fraction):
        return None

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        places = matrix(context, builder, x, args[0])
        to, parts = (
            matrix(context, builder, kind, value)
            for kind, value in ((index, args[5]), (fraction, args[6]))
        )
        scales = splat(builder, args[1])
        first = splat(builder, args[2])
        mask = splat(builder, builder.sub(args[3], ir.Constant(I32, 1)))
        primes = [ir.Constant(CELLS, prime) for prime in _PRIMES]
        with counting(builder, constant(0), whole_vectors(builder, args[4]), LANES) as p:
            sides = []
            for cell, prime in zip(_cells(builder, places, parts, scales, p), primes, strict=True):
                low = builder.mul(cell, prime)
                sides.append((low, builder.add(low, prime)))
            for corner in range(8):
                u, v, w = (sides[axis][(corner >> axis) & 1] for axis in range(3))
                k = builder.and_(builder.xor(u, builder.xor(v, w)), mask)
                store(builder, builder.add(k, first), to, constant(corner), p)
        return context.get_dummy_value()

    numbers = (types.float32, types.int32, types.int32, types.intp)
    return types.void(x, *numbers, index, fraction), write


class _Entries:
    """The eight corners of one point, and its fractions."""

    def __init__(
        self, builder: Any, features: int, index: Matrix, fraction: Matrix, p: Any
    ) -> None:
        self.builder = builder
        self.kind = ir.VectorType(F32, features)
        self.rows = [builder.sext(load(builder, index, constant(c), p, I32), I64) for c in range(8)]
        self.fractions = [
            splat(builder, load(builder, fraction, constant(axis), p, F32), features)
            for axis in range(3)
        ]

    def read(self, table: Matrix) -> list[Any]:
        """Features of each corner."""
        table = self.entries(table)
        return [load(self.builder, table, row, constant(0), self.kind) for row in self.rows]

    def entries(self, table: Matrix) -> Matrix:
        """The table, its width known when this is compiled."""
        return table._replace(columns=constant(self.kind.count))

    def halved(self, values: list[Any], axis: int) -> list[Any]:
        """Interpolate along an axis: half as many values. Pairs are neighbours along it."""
        return [
            self.between(low, high, axis)
            for low, high in zip(values[::2], values[1::2], strict=True)
        ]

    def between(self, low: Any, high: Any, axis: int) -> Any:
        """Low + fraction (high - low)."""
        step = subtract(self.builder, high, low)
        return add(self.builder, multiply(self.builder, self.fractions[axis], step), low)

    def shared(self, values: list[Any], axis: int) -> list[Any]:
        """The way back of `halved`: each value shared out among the two it came from."""
        out = []
        for value in values:
            high = multiply(self.builder, value, self.fractions[axis])
            out += [subtract(self.builder, value, high), high]
        return out


@intrinsic(prefer_literal=True)
@no_type_check
def interpolate(
    typing: Any,
    features: Any,
    index: Any,
    fraction: Any,
    table: Any,
    out: Any,
    row: Any,
    n: Any,
) -> Any:
    """Features of n points to rows row..row+features of out; features is a literal number."""
    if not are_matrices(index, fraction, table, out):
        return None
    if not isinstance(features, types.IntegerLiteral):
        return None
    width = features.literal_value

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = (index, fraction, table, out)
        at, parts, entries, to = [
            matrix(context, builder, *pair) for pair in zip(kinds, args[1:5], strict=True)
        ]
        with counting(builder, constant(0), args[6], 1) as p:
            corners = _Entries(builder, width, at, parts, p)
            values = corners.read(entries)
            for axis in range(3):
                values = corners.halved(values, axis)
            for k in range(width):
                value = builder.extract_element(values[0], ir.Constant(I32, k))
                store(builder, value, to, builder.add(args[5], constant(k)), p)
        return context.get_dummy_value()

    kinds = (features, index, fraction, table, out, types.intp, types.intp)
    return types.void(*kinds), write


@intrinsic(prefer_literal=True)
@no_type_check
def spread(
    typing: Any,
    features: Any,
    d_out: Any,
    row: Any,
    index: Any,
    fraction: Any,
    n: Any,
    d_table: Any,
) -> Any:
    """Add the gradient of the table's entries for rows row..row+features of d_out."""
    if not are_matrices(d_out, index, fraction, d_table):
        return None
    if not isinstance(features, types.IntegerLiteral):
        return None
    width = features.literal_value

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        come, at, parts, to = (
            matrix(context, builder, kind, value)
            for kind, value in (
                (d_out, args[1]),
                (index, args[3]),
                (fraction, args[4]),
                (d_table, args[6]),
            )
        )
        with counting(builder, constant(0), args[5], 1) as p:
            corners = _Entries(builder, width, at, parts, p)
            _scatter(builder, corners, _pull(builder, come, args[2], p, width), to)
        return context.get_dummy_value()

    kinds = (features, d_out, types.intp, index, fraction, types.intp, d_table)
    return types.void(*kinds), write


@intrinsic(prefer_literal=True)
@no_type_check
def spread_and_pull(
    typing: Any,
    features: Any,
    d_out: Any,
    row: Any,
    index: Any,
    fraction: Any,
    n: Any,
    d_table: Any,
    table: Any,
    scale: Any,
    d_x: Any,
) -> Any:
    """`spread`, and add the gradient of the points' positions to d_x [3, T]."""
    if not are_matrices(d_out, index, fraction, d_table, table, d_x):
        return None
    if not isinstance(features, types.IntegerLiteral):
        return None
    width = features.literal_value

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        come, at, parts, to, entries, moved = (
            matrix(context, builder, kind, value)
            for kind, value in (
                (d_out, args[1]),
                (index, args[3]),
                (fraction, args[4]),
                (d_table, args[6]),
                (table, args[7]),
                (d_x, args[9]),
            )
        )
        with counting(builder, constant(0), args[5], 1) as p:
            corners = _Entries(builder, width, at, parts, p)
            pull = _pull(builder, come, args[2], p, width)
            values = corners.read(entries)
            _scatter(builder, corners, pull, to)
            # A slope along an axis is the difference of what the other two interpolate to.
            lines = corners.halved(values, 0)
            planes = corners.halved(lines, 1)
            steps = [
                subtract(builder, b, a) for a, b in zip(values[::2], values[1::2], strict=True)
            ]
            slopes = [
                corners.halved(corners.halved(steps, 1), 2)[0],
                corners.between(
                    subtract(builder, lines[1], lines[0]),
                    subtract(builder, lines[3], lines[2]),
                    2,
                ),
                subtract(builder, planes[1], planes[0]),
            ]
            for axis, slope in enumerate(slopes):
                along = multiply(builder, slope, pull)
                total = builder.extract_element(along, ir.Constant(I32, 0))
                for k in range(1, width):
                    part = builder.extract_element(along, ir.Constant(I32, k))
                    total = add(builder, total, part)
                before = load(builder, moved, constant(axis), p, F32)
                total = add(builder, multiply(builder, total, args[8]), before)
                store(builder, total, moved, constant(axis), p)
        return context.get_dummy_value()

    kinds = (features, d_out, types.intp, index, fraction, types.intp, d_table, table)
    return types.void(*kinds, types.float32, d_x), write


def _pull(builder: Any, d_out: Matrix, row: Any, p: Any, width: int) -> Any:
    """The gradient of a point's features."""
    pull = ir.Constant(ir.VectorType(F32, width), ir.Undefined)
    for k in range(width):
        value = load(builder, d_out, builder.add(row, constant(k)), p, F32)
        pull = builder.insert_element(pull, value, ir.Constant(I32, k))
    return pull


def _scatter(builder: Any, corners: _Entries, pull: Any, d_table: Matrix) -> None:
    """Add each corner's share of the gradient."""
    d_table = corners.entries(d_table)
    shares = [pull]
    for axis in (2, 1, 0):
        shares = corners.shared(shares, axis)
    for entry, share in zip(corners.rows, shares, strict=True):
        before = load(builder, d_table, entry, constant(0), corners.kind)
        store(builder, add(builder, before, share), d_table, entry, constant(0))
