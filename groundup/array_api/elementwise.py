"""Functions of each element, as the array API standard names and types them.

Two operands are brought to the type that the standard promotes them to. Must not hold any meaning
of its own but where the standard and PyTorch differ.
"""

from __future__ import annotations

import math

from groundup.tensor import Tensor, sgn
from groundup.tensor import complex as joined
from groundup.tensor import nextafter as neighbour
from groundup.tensor import where as choose
from groundup.tensor.errors import at_line

from .types import Scalar, checked, pair

Operand = Tensor | Scalar


# ---- one operand ---------------------------------------------------------------------------------


def abs(x: Tensor, /) -> Tensor:
    """|x|"""
    checked("abs", x)
    return x.abs()


def acos(x: Tensor, /) -> Tensor:
    """arccos x"""
    checked("acos", x)
    return x.acos()


def acosh(x: Tensor, /) -> Tensor:
    """arcosh x"""
    checked("acosh", x)
    return x.acosh()


def asin(x: Tensor, /) -> Tensor:
    """arcsin x"""
    checked("asin", x)
    return x.asin()


def asinh(x: Tensor, /) -> Tensor:
    """arsinh x"""
    checked("asinh", x)
    return x.asinh()


def atan(x: Tensor, /) -> Tensor:
    """arctan x"""
    checked("atan", x)
    return x.atan()


def atanh(x: Tensor, /) -> Tensor:
    """artanh x"""
    checked("atanh", x)
    return x.atanh()


def bitwise_invert(x: Tensor, /) -> Tensor:
    """Every bit the other way; of bools, not x"""
    checked("bitwise_invert", x)
    return ~x


def ceil(x: Tensor, /) -> Tensor:
    """⌈x⌉"""
    checked("ceil", x)
    return x.ceil()


def conj(x: Tensor, /) -> Tensor:
    """re − i·im; of real numbers, x"""
    checked("conj", x)
    return x.conj()


def cos(x: Tensor, /) -> Tensor:
    """cos x"""
    checked("cos", x)
    return x.cos()


def cosh(x: Tensor, /) -> Tensor:
    """cosh x"""
    checked("cosh", x)
    return x.cosh()


def exp(x: Tensor, /) -> Tensor:
    """e^x"""
    checked("exp", x)
    return x.exp()


def expm1(x: Tensor, /) -> Tensor:
    """e^x − 1; of a complex 0 the real part is +0, of ∞ with ∞ or NaN it is ∞

    >>> expm1(gu.tensor([complex(-0.0, 0.0)])).tolist()
    [0j]
    """
    checked("expm1", x)
    if not x.dtype.is_complex:
        return x.expm1()
    value = x.expm1()
    # As exp has it; PyTorch has NaN there, and −0 of −0.
    endless = (x.real == math.inf) & x.imag.isfinite().logical_not()
    return joined(choose(endless, math.inf, value.real + 0.0), value.imag)


def floor(x: Tensor, /) -> Tensor:
    """⌊x⌋"""
    checked("floor", x)
    return x.floor()


def imag(x: Tensor, /) -> Tensor:
    """The imaginary parts, in the same memory"""
    checked("imag", x)
    return x.imag


def isfinite(x: Tensor, /) -> Tensor:
    """x is neither NaN nor infinite"""
    checked("isfinite", x)
    return x.isfinite()


def isinf(x: Tensor, /) -> Tensor:
    """x is ∞ or −∞"""
    checked("isinf", x)
    return x.isinf()


def isnan(x: Tensor, /) -> Tensor:
    """x is NaN"""
    checked("isnan", x)
    return x.isnan()


def log(x: Tensor, /) -> Tensor:
    """log x"""
    checked("log", x)
    return x.log()


def log1p(x: Tensor, /) -> Tensor:
    """log(1 + x)"""
    checked("log1p", x)
    return x.log1p()


def log2(x: Tensor, /) -> Tensor:
    """log x / log 2"""
    checked("log2", x)
    return x.log2()


def log10(x: Tensor, /) -> Tensor:
    """log x / log 10"""
    checked("log10", x)
    return x.log10()


def logical_not(x: Tensor, /) -> Tensor:
    """not x"""
    checked("logical_not", x)
    return x.logical_not()


def negative(x: Tensor, /) -> Tensor:
    """−x"""
    checked("negative", x)
    return -x


def positive(x: Tensor, /) -> Tensor:
    """x"""
    checked("positive", x)
    return +x


def real(x: Tensor, /) -> Tensor:
    """The real parts, in the same memory; of real numbers, x"""
    checked("real", x)
    return x.real


def reciprocal(x: Tensor, /) -> Tensor:
    """1 / x"""
    checked("reciprocal", x)
    return x.reciprocal()


def round(x: Tensor, /) -> Tensor:
    """The nearest whole number, halves to even; of complex numbers that of each part

    >>> round(gu.tensor([2.5 - 0.75j])).tolist()
    [(2-1j)]
    """
    checked("round", x)
    return joined(x.real.round(), x.imag.round()) if x.dtype.is_complex else x.round()


def sign(x: Tensor, /) -> Tensor:
    """−1, 0 or 1, of NaN NaN; of complex numbers x / |x|, of 0 0

    >>> sign(gu.tensor([-2.0, float("nan")])).tolist()
    [-1.0, nan]
    """
    checked("sign", x)
    if x.dtype.is_complex:
        return sgn(x)
    return choose(x.isnan(), x, x.sign()) if x.dtype.is_float else x.sign()


def signbit(x: Tensor, /) -> Tensor:
    """Is the sign bit set (of −0 and some NaN as well)?"""
    checked("signbit", x)
    return x.signbit()


def sin(x: Tensor, /) -> Tensor:
    """sin x"""
    checked("sin", x)
    return x.sin()


def sinh(x: Tensor, /) -> Tensor:
    """sinh x"""
    checked("sinh", x)
    return x.sinh()


def sqrt(x: Tensor, /) -> Tensor:
    """√x"""
    checked("sqrt", x)
    return x.sqrt()


def square(x: Tensor, /) -> Tensor:
    """x · x"""
    checked("square", x)
    return x.square()


def tan(x: Tensor, /) -> Tensor:
    """tan x"""
    checked("tan", x)
    return x.tan()


def tanh(x: Tensor, /) -> Tensor:
    """tanh x; of a complex ±∞ + i·b it is ±1 and a zero of b's sign"""
    checked("tanh", x)
    if not x.dtype.is_complex:
        return x.tanh()
    value = x.tanh()
    # C99, and PyTorch, give the zero the sign of sin 2b.
    flat = x.real.isinf() & x.imag.isfinite()
    return joined(value.real, choose(flat, (x.imag * 0.0).copysign(x.imag), value.imag))


def trunc(x: Tensor, /) -> Tensor:
    """x without its fraction"""
    checked("trunc", x)
    return x.trunc()


# ---- two operands --------------------------------------------------------------------------------


def add(x1: Operand, x2: Operand, /) -> Tensor:
    """x1 + x2"""
    a, b = pair("add", x1, x2)
    return a + b


def atan2(x1: Operand, x2: Operand, /) -> Tensor:
    """The angle of the point (x2, x1)"""
    a, b = pair("atan2", x1, x2)
    return a.atan2(b)


def bitwise_and(x1: Operand, x2: Operand, /) -> Tensor:
    """and of every bit"""
    a, b = pair("bitwise_and", x1, x2)
    return a & b


def bitwise_left_shift(x1: Operand, x2: Operand, /) -> Tensor:
    """x1 · 2^x2, without the bits that leave the type"""
    a, b = pair("bitwise_left_shift", x1, x2)
    return a << b


def bitwise_or(x1: Operand, x2: Operand, /) -> Tensor:
    """or of every bit"""
    a, b = pair("bitwise_or", x1, x2)
    return a | b


def bitwise_right_shift(x1: Operand, x2: Operand, /) -> Tensor:
    """⌊x1 / 2^x2⌋"""
    a, b = pair("bitwise_right_shift", x1, x2)
    return a >> b


def bitwise_xor(x1: Operand, x2: Operand, /) -> Tensor:
    """exclusive or of every bit"""
    a, b = pair("bitwise_xor", x1, x2)
    return a ^ b


def clip(x: Tensor, /, min: Operand | None = None, max: Operand | None = None) -> Tensor:
    """x, but at least min and at most max, of x's type, which holds no more than it holds

    >>> clip(gu.arange(5), 1, 3).tolist()
    [1, 1, 2, 3, 3]
    """
    checked("clip", x)
    for bound in (min, max):
        whole = bound.dtype.kind in "biu" if isinstance(bound, Tensor) else not _broken(bound)
        if x.dtype.is_int and not whole:
            raise TypeError(f"clip: the bounds of {x.dtype.name} are whole numbers" + at_line())
    result = x
    if min is not None:
        result = maximum(result, min)
    if max is not None:
        result = minimum(result, max)
    if result is x:
        return x.clone()
    if result.dtype is x.dtype:
        return result
    if x.dtype.is_int:  # bounds of a wider type
        result = result.clamp(x.dtype.min, x.dtype.max)
    return result.to(x.dtype)


def _broken(number: object) -> bool:
    return isinstance(number, float | complex)


def copysign(x1: Operand, x2: Operand, /) -> Tensor:
    """|x1| with the sign of x2"""
    a, b = pair("copysign", x1, x2)
    return a.copysign(b)


def divide(x1: Operand, x2: Operand, /) -> Tensor:
    """x1 / x2"""
    a, b = pair("divide", x1, x2)
    return a / b


def equal(x1: Operand, x2: Operand, /) -> Tensor:
    """x1 == x2"""
    a, b = pair("equal", x1, x2)
    return a.eq(b)


def floor_divide(x1: Operand, x2: Operand, /) -> Tensor:
    """⌊x1 / x2⌋; of infinities what Python's // gives: ∞ // 2 is NaN, 1 // −∞ is −1"""
    a, b = pair("floor_divide", x1, x2)
    return a // b


def greater(x1: Operand, x2: Operand, /) -> Tensor:
    """x1 > x2"""
    a, b = pair("greater", x1, x2)
    return a > b


def greater_equal(x1: Operand, x2: Operand, /) -> Tensor:
    """x1 >= x2"""
    a, b = pair("greater_equal", x1, x2)
    return a >= b


def hypot(x1: Operand, x2: Operand, /) -> Tensor:
    """√(x1² + x2²)"""
    a, b = pair("hypot", x1, x2)
    return a.hypot(b)


def less(x1: Operand, x2: Operand, /) -> Tensor:
    """x1 < x2"""
    a, b = pair("less", x1, x2)
    return a < b


def less_equal(x1: Operand, x2: Operand, /) -> Tensor:
    """x1 <= x2"""
    a, b = pair("less_equal", x1, x2)
    return a <= b


def logaddexp(x1: Operand, x2: Operand, /) -> Tensor:
    """log(e^x1 + e^x2)"""
    a, b = pair("logaddexp", x1, x2)
    return a.logaddexp(b)


def logical_and(x1: Operand, x2: Operand, /) -> Tensor:
    """x1 and x2"""
    a, b = pair("logical_and", x1, x2)
    return a.logical_and(b)


def logical_or(x1: Operand, x2: Operand, /) -> Tensor:
    """x1 or x2"""
    a, b = pair("logical_or", x1, x2)
    return a.logical_or(b)


def logical_xor(x1: Operand, x2: Operand, /) -> Tensor:
    """either x1 or x2"""
    a, b = pair("logical_xor", x1, x2)
    return a.logical_xor(b)


def maximum(x1: Operand, x2: Operand, /) -> Tensor:
    """The greater of two; NaN wins"""
    a, b = pair("maximum", x1, x2)
    return a.maximum(b)


def minimum(x1: Operand, x2: Operand, /) -> Tensor:
    """The lesser of two; NaN wins"""
    a, b = pair("minimum", x1, x2)
    return a.minimum(b)


def multiply(x1: Operand, x2: Operand, /) -> Tensor:
    """x1 · x2"""
    a, b = pair("multiply", x1, x2)
    return a * b


def nextafter(x1: Operand, x2: Operand, /) -> Tensor:
    """The number of the type next to x1 on the way to x2

    >>> nextafter(gu.tensor([1.0]), 2.0).item() - 1 == 2**-23
    True
    """
    a, b = pair("nextafter", x1, x2)
    return neighbour(a, b)


def not_equal(x1: Operand, x2: Operand, /) -> Tensor:
    """x1 != x2"""
    a, b = pair("not_equal", x1, x2)
    return a.ne(b)


def pow(x1: Operand, x2: Operand, /) -> Tensor:
    """x1 to the power x2"""
    a, b = pair("pow", x1, x2)
    return a**b


def remainder(x1: Operand, x2: Operand, /) -> Tensor:
    """x1 − x2·⌊x1 / x2⌋"""
    a, b = pair("remainder", x1, x2)
    return a % b


def subtract(x1: Operand, x2: Operand, /) -> Tensor:
    """x1 − x2"""
    a, b = pair("subtract", x1, x2)
    return a - b


def where(condition: Tensor, x1: Operand, x2: Operand, /) -> Tensor:
    """x1 where the condition holds, else x2"""
    checked("where", condition)
    if not isinstance(x1, Tensor) and not isinstance(x2, Tensor):
        raise TypeError("where needs an array among its two values" + at_line())
    a, b = pair("where", x1, x2)
    return choose(condition, a, b)
