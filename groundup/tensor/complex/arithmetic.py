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
from . import elementary
from .parts import as_complex, imag, joined, pairs_of, parts, real
from .rule import differentiable, tracked
from .single import Parts, Real, written
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


_Form = Callable[[Any, Any, DType], Tensor]


def _of(formula: Callable[[Parts, Parts], Parts], sign: str) -> _Form:
    """An operation by its formula: one expression, but where a derivative will be asked for; it is
    that of the operations of the formula."""

    def call(a: Any, b: Any, dtype: DType) -> Tensor:
        if not tracked(a, b):
            return written(sign, formula, dtype, a, b)
        return joined(*formula(parts(a, dtype), parts(b, dtype)), dtype)

    return call


def _of_pairs(op: str, formula: Callable[[Parts, Parts], Parts]) -> _Form:
    """The same for what is done to pairs as they lie, if both are some."""
    other = _of(formula, SIGNS[op])

    def call(a: Any, b: Any, dtype: DType) -> Tensor:
        if isinstance(a, Paired) and isinstance(b, Paired):
            x, y = _aligned(pairs_of(a, dtype), pairs_of(b, dtype))
            return ComplexTensor(pw.binary(op, x, y))
        return other(a, b, dtype)

    return call


def _aligned(*pairs: Core) -> list[Core]:
    """Pairs with equally many axes: the last one is no axis to broadcast with another."""
    most = max(p.ndim for p in pairs)
    return [
        p if p.ndim == most else shape.reshape(p, *(1,) * (most - p.ndim), *p._shape)
        for p in pairs
    ]  # fmt: skip


def square(z: Core) -> Tensor:
    """z²"""
    if not tracked(z):
        return written("square", elementary.square, z.dtype, z)
    return joined(*elementary.square((real(z), imag(z))), z.dtype)


def _div(a: Any, b: Any, dtype: DType) -> Tensor:
    return differentiable(
        "div", elementary.quotient, (lambda q, x, y: 1 / y, lambda q, x, y: -q / y), dtype, a, b
    )


def _pow(a: Any, b: Any, dtype: DType) -> Tensor:
    if not isinstance(b, Core):
        form = _power_of(_whole(b))
        if form is not None:
            return form(as_complex(a, dtype))
    def by_base(y: Tensor, z: Tensor, w: Tensor) -> Tensor:
        none = w == 0
        return pw.where(none, 0, w * z ** pw.where(none, 0, w - 1))

    def by_exponent(y: Tensor, z: Tensor, w: Tensor) -> Tensor:
        nothing = (z == 0) & (real(w) >= 0)
        return pw.where(nothing, 0, y * pw.log(pw.where(nothing, 1, z)))

    return differentiable("pow", elementary.power, (by_base, by_exponent), dtype, a, b)


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


def _eq(a: Parts, b: Parts) -> Real:
    return (a[0] == b[0]) & (a[1] == b[1])


def _ne(a: Parts, b: Parts) -> Real:
    return (a[0] != b[0]) | (a[1] != b[1])


def _comparison(formula: Callable[[Parts, Parts], Real], sign: str) -> _Form:
    return lambda a, b, dtype: written(sign, formula, dtype, a, b)


_OPERATIONS: dict[str, _Form] = {
    "add": _of_pairs("add", elementary.total),
    "sub": _of_pairs("sub", elementary.difference),
    "mul": _of(elementary.product, "*"),
    "div": _div,
    "pow": _pow,
    "eq": _comparison(_eq, "=="),
    "ne": _comparison(_ne, "!="),
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
