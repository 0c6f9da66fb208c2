"""The arithmetic of Tensor as methods, each one line to its room.

Must not hold any meaning of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from . import pointwise as pw
from . import write
from .core import Core, Deferred
from .errors import ShapeError, at_line, lined_up

if TYPE_CHECKING:
    from .tensor import Tensor


def comparable(other: object) -> bool:
    """Can == compare a tensor with this?"""
    known = Core | Deferred | int | float | complex
    return isinstance(other, known) or type(other).__module__ == "numpy"


class Methods(Core):
    """Pointwise operations."""

    # ---- arithmetic ------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Tensor:
        return pw.binary("add", self, other)

    def __radd__(self, other: Any) -> Tensor:
        return pw.binary("add", other, self)

    def __sub__(self, other: Any) -> Tensor:
        return pw.binary("sub", self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return pw.binary("sub", other, self)

    def __mul__(self, other: Any) -> Tensor:
        return pw.binary("mul", self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return pw.binary("mul", other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return pw.binary("div", self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return pw.binary("div", other, self)

    def __floordiv__(self, other: Any) -> Tensor:
        return pw.binary("floordiv", self, other)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return pw.binary("floordiv", other, self)

    def __mod__(self, other: Any) -> Tensor:
        return pw.binary("mod", self, other)

    def __rmod__(self, other: Any) -> Tensor:
        return pw.binary("mod", other, self)

    def __pow__(self, other: Any) -> Tensor:
        return pw.binary("pow", self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return pw.binary("pow", other, self)

    def __and__(self, other: Any) -> Tensor:
        return pw.binary("and", self, other)

    def __or__(self, other: Any) -> Tensor:
        return pw.binary("or", self, other)

    def __xor__(self, other: Any) -> Tensor:
        return pw.binary("xor", self, other)

    def __lshift__(self, other: Any) -> Tensor:
        return pw.binary("shl", self, other)

    def __rshift__(self, other: Any) -> Tensor:
        return pw.binary("shr", self, other)

    def __rlshift__(self, other: Any) -> Tensor:
        return pw.binary("shl", other, self)

    def __rrshift__(self, other: Any) -> Tensor:
        return pw.binary("shr", other, self)

    def __rand__(self, other: Any) -> Tensor:
        return pw.binary("and", other, self)

    def __ror__(self, other: Any) -> Tensor:
        return pw.binary("or", other, self)

    def __rxor__(self, other: Any) -> Tensor:
        return pw.binary("xor", other, self)

    def __lt__(self, other: Any) -> Tensor:
        return pw.binary("lt", self, other)

    def __le__(self, other: Any) -> Tensor:
        return pw.binary("le", self, other)

    def __gt__(self, other: Any) -> Tensor:
        return pw.binary("lt", other, self)

    def __ge__(self, other: Any) -> Tensor:
        return pw.binary("le", other, self)

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        return pw.binary("eq", self, other) if comparable(other) else NotImplemented

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        return pw.binary("ne", self, other) if comparable(other) else NotImplemented

    __hash__ = object.__hash__  # by identity; a function of Python's would take ten times as long

    def __neg__(self) -> Tensor:
        return pw.neg(self)

    def __invert__(self) -> Tensor:
        return pw.invert(self)

    def __abs__(self) -> Tensor:
        return pw.absolute(self)

    def __pos__(self) -> Self:
        return self

    def __iadd__(self, other: Any) -> Self:
        write.inplace("add", self, other)
        return self

    def __isub__(self, other: Any) -> Self:
        write.inplace("sub", self, other)
        return self

    def __imul__(self, other: Any) -> Self:
        write.inplace("mul", self, other)
        return self

    def __itruediv__(self, other: Any) -> Self:
        write.inplace("div", self, other)
        return self

    def __ifloordiv__(self, other: Any) -> Self:
        write.inplace("floordiv", self, other)
        return self

    def __imod__(self, other: Any) -> Self:
        write.inplace("mod", self, other)
        return self

    def __ipow__(self, other: Any) -> Self:
        write.inplace("pow", self, other)
        return self

    def __ilshift__(self, other: Any) -> Self:
        write.inplace("shl", self, other)
        return self

    def __irshift__(self, other: Any) -> Self:
        write.inplace("shr", self, other)
        return self

    def __iand__(self, other: Any) -> Self:
        write.inplace("and", self, other)
        return self

    def __ior__(self, other: Any) -> Self:
        write.inplace("or", self, other)
        return self

    def __ixor__(self, other: Any) -> Self:
        write.inplace("xor", self, other)
        return self

    # ---- arithmetic by name; a trailing _ writes in place ----------------------------------------

    def add(self, other: Any, *, alpha: float = 1) -> Tensor:
        """x + alpha · y"""
        from .operands import add

        result: Tensor = add(self, other, alpha=alpha)
        return result

    def sub(self, other: Any, *, alpha: float = 1) -> Tensor:
        """x − alpha · y"""
        from .operands import sub

        result: Tensor = sub(self, other, alpha=alpha)
        return result

    def mul(self, other: Any) -> Tensor:
        """x · y"""
        return pw.binary("mul", self, other)

    def floor_divide(self, other: Any) -> Tensor:
        """⌊x / y⌋"""
        return pw.binary("floordiv", self, other)

    def remainder(self, other: Any) -> Tensor:
        """x − y·⌊x / y⌋"""
        return pw.binary("mod", self, other)

    def pow(self, other: Any) -> Tensor:
        """x to the power y"""
        return pw.binary("pow", self, other)

    def maximum(self, other: Any) -> Tensor:
        """The greater of two; NaN wins."""
        return pw.binary("maximum", self, other)

    def minimum(self, other: Any) -> Tensor:
        """The lesser of two; NaN wins."""
        return pw.binary("minimum", self, other)

    def eq(self, other: Any) -> Tensor:
        """x == y"""
        return pw.binary("eq", self, other)

    def ne(self, other: Any) -> Tensor:
        """x != y"""
        return pw.binary("ne", self, other)

    def lt(self, other: Any) -> Tensor:
        """x < y"""
        return pw.binary("lt", self, other)

    def le(self, other: Any) -> Tensor:
        """x <= y"""
        return pw.binary("le", self, other)

    def div(self, other: Any, *, rounding_mode: str | None = None) -> Tensor:
        """x / y, integers give float32; rounding_mode 'floor' or 'trunc': the quotient's"""
        from .operands import div

        result: Tensor = div(self, other, rounding_mode=rounding_mode)
        return result

    def gt(self, other: Any) -> Tensor:
        """x > y"""
        return pw.binary("lt", other, self)

    def ge(self, other: Any) -> Tensor:
        """x >= y"""
        return pw.binary("le", other, self)

    def logical_and(self, other: Any) -> Tensor:
        """and of truth values"""
        return pw.logical("and", self, other)

    def logical_or(self, other: Any) -> Tensor:
        """or of truth values"""
        return pw.logical("or", self, other)

    def logical_xor(self, other: Any) -> Tensor:
        """xor of truth values"""
        return pw.logical("xor", self, other)

    def logical_not(self) -> Tensor:
        """x == 0"""
        return pw.logical_not(self)

    def mul_(self, other: Any) -> Self:
        """x ← x · y"""
        write.inplace("mul", self, other)
        return self

    def div_(self, other: Any, *, rounding_mode: str | None = None) -> Self:
        """x ← x / y; rounding_mode as for div"""
        if rounding_mode is None:
            write.inplace("div", self, other)
        else:
            write.overwrite("div_", self, self.div(other, rounding_mode=rounding_mode))
        return self

    def pow_(self, other: Any) -> Self:
        """x ← x to the power y"""
        write.inplace("pow", self, other)
        return self

    def add_(self, other: Any, *, alpha: float = 1) -> Self:
        """x ← x + alpha · y"""
        write.inplace("add", self, pw.scaled(other, alpha))
        return self

    def sub_(self, other: Any, *, alpha: float = 1) -> Self:
        """x ← x − alpha · y"""
        write.inplace("sub", self, pw.scaled(other, alpha))
        return self

    def addcmul_(self, tensor1: Core, tensor2: Core, *, value: float = 1) -> Self:
        """x ← x + value · tensor1 · tensor2"""
        write.inplace("add", self, pw.scaled(pw.binary("mul", tensor1, tensor2), value))
        return self

    def addcdiv_(self, tensor1: Core, tensor2: Core, *, value: float = 1) -> Self:
        """x ← x + value · tensor1 / tensor2"""
        write.inplace("add", self, pw.scaled(pw.binary("div", tensor1, tensor2), value))
        return self

    def lerp(self, end: Core, weight: Any) -> Tensor:
        """x + weight · (end − x)"""
        return pw.lerp(self, end, weight)

    def lerp_(self, end: Core, weight: Any) -> Self:
        """x ← x + weight · (end − x)"""
        write.overwrite("lerp_", self, pw.lerp(self, end, weight))
        return self

    def zero_(self) -> Self:
        """x ← 0"""
        write.write("zero_", self, 0)
        return self

    def fill_(self, value: Any) -> Self:
        """x ← value everywhere; a number, or a tensor without axes"""
        if isinstance(value, Core) and value._shape:
            raise ShapeError(
                "fill_ takes one number; copy_ takes a tensor"
                + lined_up(tensor=self._shape, value=value._shape)
                + at_line()
            )
        write.write("fill_", self, value)
        return self

    def copy_(self, source: Core) -> Self:
        """x ← source, broadcast to x's shape and converted to its type"""
        write.copy(self, source)
        return self

    def masked_fill(self, mask: Core, value: Any) -> Tensor:
        """value where the mask holds, else x"""
        return pw.masked_fill(self, mask, value)

    def masked_fill_(self, mask: Core, value: Any) -> Self:
        """x ← value where the mask holds"""
        write.overwrite("masked_fill_", self, pw.masked_fill(self, mask, value))
        return self

    def where(self, condition: Core, other: Any) -> Tensor:
        """x where the condition holds, else other"""
        return pw.where(condition, self, other)

    # ---- functions of one number -----------------------------------------------------------------

    def exp(self) -> Tensor:
        """e^x"""
        return pw.exp(self)

    def expm1(self) -> Tensor:
        """e^x − 1"""
        return pw.expm1(self)

    def log(self) -> Tensor:
        """log x"""
        return pw.log(self)

    def log1p(self) -> Tensor:
        """log(1 + x)"""
        return pw.log1p(self)

    def log2(self) -> Tensor:
        """log x / log 2"""
        return pw.log2(self)

    def log10(self) -> Tensor:
        """log x / log 10"""
        return pw.log10(self)

    def sqrt(self) -> Tensor:
        """√x"""
        return pw.sqrt(self)

    def rsqrt(self) -> Tensor:
        """1 / √x"""
        return pw.rsqrt(self)

    def reciprocal(self) -> Tensor:
        """1 / x"""
        return pw.reciprocal(self)

    def sin(self) -> Tensor:
        """sin x"""
        return pw.sin(self)

    def cos(self) -> Tensor:
        """cos x"""
        return pw.cos(self)

    def tan(self) -> Tensor:
        """tan x"""
        return pw.tan(self)

    def tanh(self) -> Tensor:
        """tanh x"""
        return pw.tanh(self)

    def erf(self) -> Tensor:
        """2/√π · ∫₀ˣ e^−t² dt"""
        return pw.erf(self)

    def sigmoid(self) -> Tensor:
        """1 / (1 + e^−x)"""
        return pw.sigmoid(self)

    def relu(self) -> Tensor:
        """max(x, 0); its derivative at 0 is 0"""
        return pw.relu(self)

    def square(self) -> Tensor:
        """x · x"""
        return pw.square(self)

    def neg(self) -> Tensor:
        """−x"""
        return pw.neg(self)

    def abs(self) -> Tensor:
        """|x|"""
        return pw.absolute(self)

    def sign(self) -> Tensor:
        """−1, 0 or 1"""
        return pw.sign(self)

    def floor(self) -> Tensor:
        """⌊x⌋"""
        return pw.floor(self)

    def ceil(self) -> Tensor:
        """⌈x⌉"""
        return pw.ceil(self)

    def trunc(self) -> Tensor:
        """x without its fraction"""
        return pw.trunc(self)

    def round(self, *, decimals: int = 0) -> Tensor:
        """The nearest integer, halves to even; the nearest multiple of 10^−decimals"""
        from .operands import round

        return round(self, decimals=decimals)

    def isnan(self) -> Tensor:
        """x is NaN"""
        return pw.isnan(self)

    def isinf(self) -> Tensor:
        """x is ∞ or −∞"""
        return pw.isinf(self)

    def isfinite(self) -> Tensor:
        """x is neither NaN nor ±∞"""
        return pw.isfinite(self)

    def exp_(self) -> Self:
        """x ← e^x"""
        write.overwrite("exp_", self, self.exp())
        return self

    def sqrt_(self) -> Self:
        """x ← √x"""
        write.overwrite("sqrt_", self, self.sqrt())
        return self

    def tanh_(self) -> Self:
        """x ← tanh x"""
        write.overwrite("tanh_", self, self.tanh())
        return self

    def sigmoid_(self) -> Self:
        """x ← 1 / (1 + e^−x)"""
        write.overwrite("sigmoid_", self, self.sigmoid())
        return self

    def relu_(self) -> Self:
        """x ← max(x, 0)"""
        write.overwrite("relu_", self, self.relu())
        return self

    def neg_(self) -> Self:
        """x ← −x"""
        write.overwrite("neg_", self, self.neg())
        return self

    def abs_(self) -> Self:
        """x ← |x|"""
        write.overwrite("abs_", self, self.abs())
        return self

    def round_(self) -> Self:
        """x ← The nearest integer, halves to even."""
        write.overwrite("round_", self, self.round())
        return self

    def floor_(self) -> Self:
        """x ← ⌊x⌋"""
        write.overwrite("floor_", self, self.floor())
        return self

    def clamp(self, min: Any = None, max: Any = None) -> Tensor:
        """x, but at least min and at most max"""
        return pw.clamp(self, min, max)

    def clamp_min(self, min: Any) -> Tensor:
        """x, but at least min"""
        return pw.clamp(self, min, None, "clamp_min")

    def clamp_max(self, max: Any) -> Tensor:
        """x, but at most max"""
        return pw.clamp(self, None, max, "clamp_max")

    def clamp_(self, min: Any = None, max: Any = None) -> Self:
        """x ← x, but at least min and at most max"""
        write.overwrite("clamp_", self, pw.clamp(self, min, max))
        return self

    def clamp_min_(self, min: Any) -> Self:
        """x ← x, but at least min"""
        return self.clamp_(min)

    def clamp_max_(self, max: Any) -> Self:
        """x ← x, but at most max"""
        return self.clamp_(None, max)
