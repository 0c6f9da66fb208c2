"""Operations of two complex operands: + − · / **, comparisons, choices.

Promotion and infinities are NumPy's: a real operand takes part as x + 0·i. Must not know functions
of one number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...ir.dtype import DType
from .. import pointwise as pw
from .. import shape
from ..arithmetic import SIGNS
from ..core import Core, Paired
from ..errors import at_line
from ..tensor import Tensor
from .parts import as_complex, joined, pairs_of, parts
from .rule import Complex, differentiable
from .tensor import ComplexTensor


def binary(op: str, a: Any, b: Any) -> Tensor:
    """One pointwise operation of two operands, whose common type is complex."""
    dtype = pw.result_type(a, b)
    sign = SIGNS.get(op, op)
    for v in (a, b):
        if not isinstance(v, Core | int | float | complex):
            raise TypeError(f"{sign}: a tensor or a number, not {type(v).__name__}" + at_line())
    f = _OPERATIONS.get(op)
    if f is None:
        raise TypeError(
            f"{sign} of {dtype.name}: complex numbers have no order and no bits; compare x.abs(), "
            f"or x.real and x.imag" + at_line()
        )
    pw.broadcast(sign, *(v._shape for v in (a, b) if isinstance(v, Core)))
    return f(a, b, dtype)


def _sum(op: str) -> Callable[[Any, Any, DType], Tensor]:
    def call(a: Any, b: Any, dtype: DType) -> Tensor:
        if isinstance(a, Paired) and isinstance(b, Paired):
            x, y = _aligned(pairs_of(a, dtype), pairs_of(b, dtype))
            return ComplexTensor(pw.binary(op, x, y))
        (ar, ai), (br, bi) = parts(a, dtype), parts(b, dtype)
        return joined(_either(op, ar, br), _either(op, ai, bi), dtype)

    return call


def _aligned(*pairs: Core) -> list[Core]:
    """Pairs with equally many axes: the last one is no axis to broadcast with another."""
    most = max(p.ndim for p in pairs)
    return [shape.reshape(p, *(1,) * (most - p.ndim), *p._shape) for p in pairs]


def _either(op: str, x: Any, y: Any) -> Any:
    """x op y of parts, each a real tensor or a number."""
    if isinstance(x, Core) or isinstance(y, Core):
        return pw.binary(op, x, y)
    return {"add": x + y, "sub": x - y, "mul": x * y}[op]


def _mul(a: Any, b: Any, dtype: DType) -> Tensor:
    (ar, ai), (br, bi) = parts(a, dtype), parts(b, dtype)
    re = _either("sub", _either("mul", ar, br), _either("mul", ai, bi))
    im = _either("add", _either("mul", ar, bi), _either("mul", ai, br))
    return joined(re, im, dtype)


def _quotient(a: Complex, b: Complex) -> Complex:
    """a / b with the divisor scaled by its greater part, so that no square overflows (Smith)."""
    (ar, ai), (br, bi) = a, b
    wide = abs(br) >= abs(bi)
    big, small = pw.where(wide, br, bi), pw.where(wide, bi, br)
    zero = (big == 0) & (small == 0)  # as it is: x / 0 is ±∞ or NaN in each part
    ratio = pw.where(zero, 0.0, small / big)
    scale = 1.0 / pw.where(zero, abs(big), big + small * ratio)
    re = pw.where(wide, ar + ai * ratio, ar * ratio + ai) * scale
    im = pw.where(wide, ai - ar * ratio, ai * ratio - ar) * scale
    return pw.where(zero, ar * scale, re), pw.where(zero, ai * scale, im)


def _div(a: Any, b: Any, dtype: DType) -> Tensor:
    x, y = (as_complex(v, dtype) for v in (a, b))
    size = pw.broadcast("/", x._shape, y._shape)
    x, y = shape.expand(x, size), shape.expand(y, size)
    return differentiable(
        "div", _quotient, (lambda q, x, y: 1 / y, lambda q, x, y: -q / y), x, y
    )


def _eq(a: Any, b: Any, dtype: DType) -> Tensor:
    (ar, ai), (br, bi) = parts(a, dtype), parts(b, dtype)
    return pw.binary("and", _alike(ar, br), _alike(ai, bi))


def _alike(x: Any, y: Any) -> Any:
    both = isinstance(x, Core) or isinstance(y, Core)
    return pw.binary("eq", x, y) if both else x == y


def _ne(a: Any, b: Any, dtype: DType) -> Tensor:
    return pw.logical_not(_eq(a, b, dtype))


_OPERATIONS: dict[str, Callable[[Any, Any, DType], Tensor]] = {
    "add": _sum("add"),
    "sub": _sum("sub"),
    "mul": _mul,
    "div": _div,
    "eq": _eq,
    "ne": _ne,
}


# ---- choices -------------------------------------------------------------------------------------


def where(condition: Core, a: Any, b: Any) -> Tensor:
    """a where the condition holds, else b."""
    dtype = pw.result_type(a, b)
    pw.broadcast("where", *(v._shape for v in (condition, a, b) if isinstance(v, Core)))
    x, y = _aligned(pairs_of(a, dtype), pairs_of(b, dtype))
    return ComplexTensor(pw.where(shape.unsqueeze(condition, -1), x, y))


def masked_fill(a: Paired, mask: Core, value: Any) -> Tensor:
    """value where the mask holds, else x; the result has x's type."""
    return where(mask, as_complex(value, a.dtype), a)
