"""Writing vector code inside a kernel: eight points, or one entry's features, at a time.

LLVM makes vectors of most loops by itself. Three things it does not find: sums of a matrix product
kept in registers, a loop with eleven outputs that it would have to prove apart, and an entry of the
hash table read as one short vector. There an `intrinsic` writes LLVM's language directly, with
vectors that any CPU can run (LLVM splits or joins them as the registers are).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, no_type_check

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

LANES = 8
"""Points of a vector; columns of a tile are computed up to the next multiple of this."""

F32 = ir.FloatType()
I32 = ir.IntType(32)
I64 = ir.IntType(64)
POINTS = ir.VectorType(F32, LANES)
CELLS = ir.VectorType(I32, LANES)

_FUSED = ("nsz", "contract")


class Matrix(NamedTuple):
    """A C-contiguous array of two dimensions."""

    data: Any
    rows: Any
    columns: Any


def matrix(context: Any, builder: Any, kind: Any, value: Any) -> Matrix:
    """An argument of an intrinsic."""
    array = context.make_array(kind)(context, builder, value)
    rows, columns = cgutils.unpack_tuple(builder, array.shape)
    return Matrix(array.data, rows, columns)


def are_matrices(*kinds: Any) -> bool:
    """Whether the types are C-contiguous matrices."""
    return all(isinstance(k, types.Array) and k.ndim == 2 and k.layout == "C" for k in kinds)


def constant(value: int) -> Any:
    """A count."""
    return ir.Constant(I64, value)


def load(builder: Any, m: Matrix, row: Any, column: Any, kind: Any = POINTS) -> Any:
    """The vector (or value) of a kind that begins at m[row, column]."""
    at = builder.gep(m.data, [builder.add(builder.mul(row, m.columns), column)], inbounds=True)
    return builder.load(builder.bitcast(at, kind.as_pointer()), align=4)


def store(builder: Any, value: Any, m: Matrix, row: Any, column: Any) -> None:
    """Write a vector (or value) to where m[row, column] begins."""
    at = builder.gep(m.data, [builder.add(builder.mul(row, m.columns), column)], inbounds=True)
    builder.store(value, builder.bitcast(at, value.type.as_pointer()), align=4)


def splat(builder: Any, value: Any, lanes: int = LANES) -> Any:
    """A vector of one value."""
    kind = ir.VectorType(value.type, lanes)
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(I32, 0))
    return shuffled(builder, first, undefined, [0] * lanes)


def shuffled(builder: Any, a: Any, b: Any, lanes: list[int]) -> Any:
    """Lanes of a, then of b, by number."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32, len(lanes)), lanes))


def add(builder: Any, a: Any, b: Any) -> Any:
    """A + b, which may become part of a fused multiplication."""
    return builder.fadd(a, b, flags=_FUSED)


def subtract(builder: Any, a: Any, b: Any) -> Any:
    """A - b, likewise."""
    return builder.fsub(a, b, flags=_FUSED)


def multiply(builder: Any, a: Any, b: Any) -> Any:
    """A b, likewise."""
    return builder.fmul(a, b, flags=_FUSED)


def floor(builder: Any, value: Any) -> Any:
    """Of eight points."""
    kind = ir.FunctionType(POINTS, [POINTS])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.floor.v{LANES}f32")
    return builder.call(function, [value])


def whole_vectors(builder: Any, n: Any) -> Any:
    """N, up to the next multiple of a vector's length."""
    return builder.and_(builder.add(n, constant(LANES - 1)), constant(-LANES))


@contextmanager
def counting(builder: Any, begin: Any, end: Any, step: int) -> Iterator[Any]:
    """A loop's body; yields its number."""
    with cgutils.for_range_slice(builder, begin, end, constant(step), I64) as (number, _):
        yield number


@intrinsic
@no_type_check
def power_of_two(typing: Any, exponent: Any) -> Any:
    """2^k as float32 for a whole number k of [-126, 127] in a float32."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        k = builder.add(builder.fptosi(args[0], I32), ir.Constant(I32, 127))
        return builder.bitcast(builder.shl(k, ir.Constant(I32, 23)), F32)

    return types.float32(types.float32), write
