"""Adam's arithmetic for eight parameters at a time."""

from typing import Any, no_type_check

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from render.kernels.vectors import (
    LANES,
    POINTS,
    add,
    counting,
    multiply,
    splat,
    subtract,
)

_BITS = ir.IntType(LANES)


@intrinsic
@no_type_check
def adam_vectors(
    typing: Any,
    lo: Any,
    hi: Any,
    theta: Any,
    grad: Any,
    first: Any,
    second: Any,
    share1: Any,
    share2: Any,
    rate: Any,
    root: Any,
    epsilon: Any,
    shrink: Any,
    sparse: Any,
) -> Any:
    """One step on theta[lo:hi] (a multiple of eight long); grad is left zero.

    m += share1 (g - m), v += share2 (g² - v), theta -= shrink theta + rate m / (√v root + epsilon).
    sparse: a parameter whose g is zero stays as it is; eight of them are not even read.
    """
    arrays = (theta, grad, first, second)
    if not all(isinstance(k, types.Array) and k.ndim == 1 and k.layout == "C" for k in arrays):
        return None

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pairs = zip(arrays, args[2:6], strict=True)
        data = [context.make_array(kind)(context, builder, value).data for kind, value in pairs]
        c1, c2, r, q, e, s = (splat(builder, value) for value in args[6:12])
        zero = ir.Constant(POINTS, None)
        kind = ir.FunctionType(POINTS, [POINTS])
        name = f"llvm.sqrt.v{LANES}f32"
        square_root = cgutils.get_or_insert_function(builder.module, kind, name)
        dense = builder.not_(args[12])
        with counting(builder, args[0], args[1], LANES) as i:
            at = [
                builder.bitcast(builder.gep(x, [i], inbounds=True), POINTS.as_pointer())
                for x in data
            ]
            g = builder.load(at[1], align=4)
            moves = builder.fcmp_unordered("!=", g, zero)
            some = builder.icmp_unsigned("!=", builder.bitcast(moves, _BITS), ir.Constant(_BITS, 0))
            with builder.if_then(builder.or_(some, dense), likely=True):
                w, m, v = (builder.load(at[k], align=4) for k in (0, 2, 3))
                m_new = add(builder, multiply(builder, c1, subtract(builder, g, m)), m)
                squared = multiply(builder, g, g)
                v_new = add(builder, multiply(builder, c2, subtract(builder, squared, v)), v)
                below = multiply(builder, builder.call(square_root, [v_new]), q)
                step = builder.fdiv(multiply(builder, r, m_new), add(builder, below, e))
                w_new = subtract(builder, w, add(builder, multiply(builder, s, w), step))
                on = builder.or_(moves, splat(builder, dense))
                for k, new, old in ((0, w_new, w), (2, m_new, m), (3, v_new, v)):
                    builder.store(builder.select(on, new, old), at[k], align=4)
                builder.store(zero, at[1], align=4)
        return context.get_dummy_value()

    numbers = (types.float32,) * 6
    return types.void(types.intp, types.intp, *arrays, *numbers, types.boolean), write
