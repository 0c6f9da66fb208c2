"""Arithmetic and functions of one element as methods of indexed expressions.

Each is one line to the room of pointwise operations, which gives an indexed expression for one.
Must not know loops, sizes or reductions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..ir import dtype as dt
from ..ir.dtype import DType
from . import pointwise as pw
from .core import Core, Deferred
from .errors import at_line

if TYPE_CHECKING:
    from .notation import Indexed


def _truth(value: Any) -> Any:
    """A value as a truth value: x != 0"""
    return pw.to_bool(value) if isinstance(value, Core | Deferred) else bool(value)


class Elementwise(Deferred):
    """What can be done with the value of an indexed expression at each of its positions."""

    __slots__ = ()

    def combined(self, op: str, a: Any, b: Any) -> Indexed:
        """An operation of two operands, one of them this."""
        raise NotImplementedError

    def chosen(self, condition: Any, a: Any, b: Any) -> Indexed:
        """a where the condition holds, else b; one of the three is this."""
        raise NotImplementedError

    # ---- arithmetic ------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Indexed:
        return self.combined("add", self, other)

    def __radd__(self, other: Any) -> Indexed:
        return self.combined("add", other, self)

    def __sub__(self, other: Any) -> Indexed:
        return self.combined("sub", self, other)

    def __rsub__(self, other: Any) -> Indexed:
        return self.combined("sub", other, self)

    def __mul__(self, other: Any) -> Indexed:
        return self.combined("mul", self, other)

    def __rmul__(self, other: Any) -> Indexed:
        return self.combined("mul", other, self)

    def __truediv__(self, other: Any) -> Indexed:
        return self.combined("div", self, other)

    def __rtruediv__(self, other: Any) -> Indexed:
        return self.combined("div", other, self)

    def __floordiv__(self, other: Any) -> Indexed:
        return self.combined("floordiv", self, other)

    def __rfloordiv__(self, other: Any) -> Indexed:
        return self.combined("floordiv", other, self)

    def __mod__(self, other: Any) -> Indexed:
        return self.combined("mod", self, other)

    def __rmod__(self, other: Any) -> Indexed:
        return self.combined("mod", other, self)

    def __pow__(self, other: Any) -> Indexed:
        return self.combined("pow", self, other)

    def __rpow__(self, other: Any) -> Indexed:
        return self.combined("pow", other, self)

    def __neg__(self) -> Indexed:
        return pw.neg(self)

    def __pos__(self) -> Indexed:
        return self  # type: ignore[return-value]

    def __abs__(self) -> Indexed:
        return pw.absolute(self)

    # ---- comparisons and logic -------------------------------------------------------------------

    def __lt__(self, other: Any) -> Indexed:
        return self.combined("lt", self, other)

    def __le__(self, other: Any) -> Indexed:
        return self.combined("le", self, other)

    def __gt__(self, other: Any) -> Indexed:
        return self.combined("lt", other, self)

    def __ge__(self, other: Any) -> Indexed:
        return self.combined("le", other, self)

    def eq(self, other: Any) -> Indexed:
        """x == y for each element (axes themselves compare by identity)."""
        return self.combined("eq", self, other)

    def ne(self, other: Any) -> Indexed:
        """x != y for each element."""
        return self.combined("ne", self, other)

    def __eq__(self, other: object) -> Any:
        return self.combined("eq", self, other)

    def __ne__(self, other: object) -> Any:
        return self.combined("ne", self, other)

    __hash__ = None  # type: ignore[assignment]

    def __and__(self, other: Any) -> Indexed:
        return self.combined("and", self, other)

    def __rand__(self, other: Any) -> Indexed:
        return self.combined("and", other, self)

    def __or__(self, other: Any) -> Indexed:
        return self.combined("or", self, other)

    def __ror__(self, other: Any) -> Indexed:
        return self.combined("or", other, self)

    def __xor__(self, other: Any) -> Indexed:
        return self.combined("xor", self, other)

    def __rxor__(self, other: Any) -> Indexed:
        return self.combined("xor", other, self)

    def __lshift__(self, other: Any) -> Indexed:
        return self.combined("shl", self, other)

    def __rshift__(self, other: Any) -> Indexed:
        return self.combined("shr", self, other)

    def __rlshift__(self, other: Any) -> Indexed:
        return self.combined("shl", other, self)

    def __rrshift__(self, other: Any) -> Indexed:
        return self.combined("shr", other, self)

    def __invert__(self) -> Indexed:
        return pw.invert(self)

    # ---- functions of one number -----------------------------------------------------------------

    def exp(self) -> Indexed:
        """e^x"""
        return pw.exp(self)

    def expm1(self) -> Indexed:
        """e^x − 1"""
        return pw.expm1(self)

    def log(self) -> Indexed:
        """log x"""
        return pw.log(self)

    def log1p(self) -> Indexed:
        """log(1 + x)"""
        return pw.log1p(self)

    def log2(self) -> Indexed:
        """log x / log 2"""
        return pw.log2(self)

    def log10(self) -> Indexed:
        """log x / log 10"""
        return pw.log10(self)

    def sqrt(self) -> Indexed:
        """√x"""
        return pw.sqrt(self)

    def rsqrt(self) -> Indexed:
        """1 / √x"""
        return pw.rsqrt(self)

    def reciprocal(self) -> Indexed:
        """1 / x"""
        return pw.reciprocal(self)

    def square(self) -> Indexed:
        """x · x"""
        return pw.square(self)

    def sin(self) -> Indexed:
        """sin x"""
        return pw.sin(self)

    def cos(self) -> Indexed:
        """cos x"""
        return pw.cos(self)

    def tan(self) -> Indexed:
        """tan x"""
        return pw.tan(self)

    def tanh(self) -> Indexed:
        """tanh x"""
        return pw.tanh(self)

    def erf(self) -> Indexed:
        """2/√π · ∫ e^(−t²) dt from 0 to x"""
        return pw.erf(self)

    def sigmoid(self) -> Indexed:
        """1 / (1 + e^−x)"""
        return pw.sigmoid(self)

    def relu(self) -> Indexed:
        """max(x, 0)"""
        return pw.relu(self)

    def abs(self) -> Indexed:
        """|x|"""
        return pw.absolute(self)

    def sign(self) -> Indexed:
        """−1, 0 or 1"""
        return pw.sign(self)

    def floor(self) -> Indexed:
        """the greatest integer that is not above x"""
        return pw.floor(self)

    def ceil(self) -> Indexed:
        """the least integer that is not below x"""
        return pw.ceil(self)

    def trunc(self) -> Indexed:
        """x without what follows the point"""
        return pw.trunc(self)

    def round(self) -> Indexed:
        """the nearest integer, of two the even one"""
        return pw.round_(self)

    def isnan(self) -> Indexed:
        """x != x"""
        return pw.isnan(self)

    def isinf(self) -> Indexed:
        """|x| == ∞"""
        return pw.isinf(self)

    def isfinite(self) -> Indexed:
        """neither NaN nor ±∞"""
        return pw.isfinite(self)

    def clamp(self, low: Any = None, high: Any = None) -> Indexed:
        """min(max(x, low), high); NaN stays NaN"""
        return pw.clamp(self, low, high)

    def clamp_min(self, low: Any) -> Indexed:
        """max(x, low); NaN stays NaN"""
        return pw.clamp(self, low)

    def clamp_max(self, high: Any) -> Indexed:
        """min(x, high); NaN stays NaN"""
        return pw.clamp(self, None, high)

    # ---- by name ---------------------------------------------------------------------------------

    def add(self, other: Any) -> Indexed:
        """x + y"""
        return self.combined("add", self, other)

    def sub(self, other: Any) -> Indexed:
        """x − y"""
        return self.combined("sub", self, other)

    def mul(self, other: Any) -> Indexed:
        """x · y"""
        return self.combined("mul", self, other)

    def div(self, other: Any) -> Indexed:
        """x / y; integers give float32"""
        return self.combined("div", self, other)

    def floor_divide(self, other: Any) -> Indexed:
        """⌊x / y⌋"""
        return self.combined("floordiv", self, other)

    def remainder(self, other: Any) -> Indexed:
        """x − y · ⌊x / y⌋, of y's sign"""
        return self.combined("mod", self, other)

    def pow(self, other: Any) -> Indexed:
        """x to the power y"""
        return self.combined("pow", self, other)

    def neg(self) -> Indexed:
        """−x"""
        return -self

    def maximum(self, other: Any) -> Indexed:
        """The greater of two; NaN wins."""
        return self.combined("maximum", self, other)

    def minimum(self, other: Any) -> Indexed:
        """The lesser of two; NaN wins."""
        return self.combined("minimum", self, other)

    def lt(self, other: Any) -> Indexed:
        """x < y"""
        return self.combined("lt", self, other)

    def le(self, other: Any) -> Indexed:
        """x ≤ y"""
        return self.combined("le", self, other)

    def gt(self, other: Any) -> Indexed:
        """x > y"""
        return self.combined("lt", other, self)

    def ge(self, other: Any) -> Indexed:
        """x ≥ y"""
        return self.combined("le", other, self)

    def logical_and(self, other: Any) -> Indexed:
        """x and y, of truth values"""
        return self.combined("and", pw.to_bool(self), _truth(other))

    def logical_or(self, other: Any) -> Indexed:
        """x or y, of truth values"""
        return self.combined("or", pw.to_bool(self), _truth(other))

    def logical_xor(self, other: Any) -> Indexed:
        """x or y but not both, of truth values"""
        return self.combined("xor", pw.to_bool(self), _truth(other))

    def logical_not(self) -> Indexed:
        """x == 0"""
        return self.eq(0)

    def lerp(self, end: Any, weight: Any) -> Indexed:
        """x + weight · (end − x)"""
        return self.combined("add", self, weight * (end - self))

    def masked_fill(self, mask: Any, value: Any) -> Indexed:
        """value where the mask holds, else x"""
        return self.chosen(mask, value, self)

    def where(self, condition: Any, other: Any) -> Indexed:
        """x where the condition holds, else other"""
        return self.chosen(condition, self, other)

    # ---- types -----------------------------------------------------------------------------------

    def to(self, dtype: DType) -> Indexed:
        """x converted to a type"""
        if not isinstance(dtype, DType):
            raise TypeError(f"to takes a dtype, such as gu.float32, not {dtype!r}" + at_line())
        return pw.cast(self, dtype)

    def float(self) -> Indexed:
        """x as float32"""
        return self.to(dt.float32)

    def double(self) -> Indexed:
        """x as float64"""
        return self.to(dt.float64)

    def long(self) -> Indexed:
        """x as int64"""
        return self.to(dt.int64)

    def int(self) -> Indexed:
        """x as int32"""
        return self.to(dt.int32)

    def bool(self) -> Indexed:
        """x != 0"""
        return self.to(dt.bool_)
