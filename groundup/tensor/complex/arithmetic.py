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
from .elementary import power, quotient
from .parts import as_complex, imag, joined, pairs_of, parts, real
from .rule import differentiable
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


def square(z: Core) -> Tensor:
    """z², its real part as (re − im) · (re + im): less is lost than of two squares"""
    re, im = real(z), imag(z)
    twice = re * im
    return joined((re - im) * (re + im), twice + twice, z.dtype)


def _div(a: Any, b: Any, dtype: DType) -> Tensor:
    x, y = (as_complex(v, dtype) for v in (a, b))
    size = pw.broadcast("/", x._shape, y._shape)
    x, y = shape.expand(x, size), shape.expand(y, size)
    return differentiable(
        "div", quotient, (lambda q, x, y: 1 / y, lambda q, x, y: -q / y), x, y
    )


def _pow(a: Any, b: Any, dtype: DType) -> Tensor:
    if not isinstance(b, Core):
        form = _power_of(_whole(b))
        if form is not None:
            return form(as_complex(a, dtype))
    z, w = (as_complex(v, dtype) for v in (a, b))
    size = pw.broadcast("**", z._shape, w._shape)
    z, w = shape.expand(z, size), shape.expand(w, size)

    def by_base(y: Tensor, z: Tensor, w: Tensor) -> Tensor:
        none = w == 0
        return pw.where(none, 0, w * z ** pw.where(none, 0, w - 1))

    def by_exponent(y: Tensor, z: Tensor, w: Tensor) -> Tensor:
        nothing = (z == 0) & (real(w) >= 0)
        return pw.where(nothing, 0, y * pw.log(pw.where(nothing, 1, z)))

    return differentiable("pow", power, (by_base, by_exponent), z, w)


def _whole(value: complex) -> complex:
    """A number as a real one if it is."""
    return value.real if isinstance(value, complex) and value.imag == 0 else value


def _power_of(exponent: Any) -> Callable[[Tensor], Tensor] | None:
    """Common powers, by products and roots."""
    if exponent in (0.5, -0.5):
        return pw.sqrt if exponent == 0.5 else pw.rsqrt
    if isinstance(exponent, complex) or exponent != int(exponent) or abs(exponent) > 64:
        return None
    return lambda z: _whole_power(z, int(exponent))


def _whole_power(z: Tensor, n: int) -> Tensor:
    """z^n by squaring."""
    if n < 0:
        return 1 / _whole_power(z, -n)
    result: Tensor | None = None
    while n:
        if n & 1:
            result = z if result is None else result * z
        n >>= 1
        z = square(z) if n else z
    return z * 0 + 1 if result is None else result


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
    "pow": _pow,
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
