"""Tensor's methods of arithmetic by name and of special functions, each one line to its room.

Must not hold any meaning of its own. A room is imported when a method first asks for it: a first
result needs none of them (tests/test_startup.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from .core import Core

if TYPE_CHECKING:
    from .tensor import Tensor


class Numeric(Core):
    """Functions of one or two numbers, named as in gu."""

    def asin(self) -> Tensor:
        """The angle in [−π/2, π/2] whose sine is x; NaN for |x| > 1"""
        from .special import asin

        return asin(self)

    def acos(self) -> Tensor:
        """The angle in [0, π] whose cosine is x; NaN for |x| > 1"""
        from .special import acos

        return acos(self)

    def atan(self) -> Tensor:
        """The angle in (−π/2, π/2) whose tangent is x"""
        from .special import atan

        return atan(self)

    def sinh(self) -> Tensor:
        """(e^x − e^−x) / 2"""
        from .special import sinh

        return sinh(self)

    def cosh(self) -> Tensor:
        """(e^x + e^−x) / 2"""
        from .special import cosh

        return cosh(self)

    def asinh(self) -> Tensor:
        """log(x + √(x² + 1)), the inverse of sinh"""
        from .special import asinh

        return asinh(self)

    def acosh(self) -> Tensor:
        """log(x + √(x² − 1)), the inverse of cosh; NaN for x < 1"""
        from .special import acosh

        return acosh(self)

    def atanh(self) -> Tensor:
        """½·log((1 + x) / (1 − x)), the inverse of tanh; NaN for |x| > 1"""
        from .special import atanh

        return atanh(self)

    def erfc(self) -> Tensor:
        """1 − erf x, without its cancellation"""
        from .special import erfc

        return erfc(self)

    def exp2(self) -> Tensor:
        """2^x"""
        from .special import exp2

        return exp2(self)

    def lgamma(self) -> Tensor:
        """log |Γ(x)|; ∞ at 0, −1, −2, …"""
        from .special import lgamma

        return lgamma(self)

    def atan2(self, b: Any) -> Tensor:
        """The angle in [−π, π] of the point (b, a): that of a / b in the right quadrant"""
        from .special import atan2

        result: Tensor = atan2(self, b)
        return result

    def hypot(self, b: Any) -> Tensor:
        """√(a² + b²) without overflow of the squares"""
        from .special import hypot

        result: Tensor = hypot(self, b)
        return result

    def copysign(self, b: Any) -> Tensor:
        """|a| with the sign of b (also of −0)"""
        from .special import copysign

        result: Tensor = copysign(self, b)
        return result

    def signbit(self) -> Tensor:
        """Is the sign −? Also of −0."""
        from .special import signbit

        return signbit(self)

    def digamma(self) -> Tensor:
        """ψ(x), the derivative of log Γ(x); NaN at −1, −2, …"""
        from .special import digamma

        return digamma(self)

    def mvlgamma(self, p: int) -> Tensor:
        """log of the multivariate gamma function: ¼·p·(p − 1)·log π + Σ_{j<p} log Γ(x − j/2)"""
        from .special import mvlgamma

        return mvlgamma(self, p)

    def erfinv(self) -> Tensor:
        """The y with erf y = x; ±∞ at ±1, NaN beyond"""
        from .special import erfinv

        return erfinv(self)

    def i0(self) -> Tensor:
        """The modified Bessel function I₀(x)"""
        from .special import i0

        return i0(self)

    def sinc(self) -> Tensor:
        """sin(π·x) / (π·x), 1 at 0"""
        from .special import sinc

        return sinc(self)

    def logit(self, eps: float | None = None) -> Tensor:
        """log(x / (1 − x)), the inverse of sigmoid; eps: x is brought into [eps, 1 − eps] first"""
        from .special import logit

        return logit(self, eps)

    def xlogy(self, b: Any) -> Tensor:
        """a · log b, 0 where a is 0 (unless b is NaN)"""
        from .special import xlogy

        result: Tensor = xlogy(self, b)
        return result

    def logaddexp(self, b: Any) -> Tensor:
        """log(e^a + e^b) without overflow"""
        from .special import logaddexp

        result: Tensor = logaddexp(self, b)
        return result

    def logaddexp2(self, b: Any) -> Tensor:
        """log₂(2^a + 2^b) without overflow"""
        from .special import logaddexp2

        result: Tensor = logaddexp2(self, b)
        return result

    def fmod(self, b: Any) -> Tensor:
        """a − b·trunc(a / b): of a's sign"""
        from .operands import fmod

        result: Tensor = fmod(self, b)
        return result

    def float_power(self, b: Any) -> Tensor:
        """a to the power b in float64"""
        from .operands import float_power

        return float_power(self, b)

    def ldexp(self, b: Any) -> Tensor:
        """a · 2^b"""
        from .operands import ldexp

        return ldexp(self, b)

    def fmax(self, b: Any) -> Tensor:
        """The greater of two; a number wins over NaN. Of equals, a takes the derivative."""
        from .operands import fmax

        result: Tensor = fmax(self, b)
        return result

    def fmin(self, b: Any) -> Tensor:
        """The lesser of two; a number wins over NaN. Of equals, a takes the derivative."""
        from .operands import fmin

        result: Tensor = fmin(self, b)
        return result

    def heaviside(self, values: Core) -> Tensor:
        """0 below 0, 1 above, `values` at 0 (of one type); has no derivative"""
        from .operands import heaviside

        return heaviside(self, values)

    def nan_to_num(
        self, nan: float | None = None, posinf: float | None = None, neginf: float | None = None,
    ) -> Tensor:  # fmt: skip
        """x with numbers in the place of NaN (0), ∞ (the type's greatest) and −∞ (its least)"""
        from .operands import nan_to_num

        return nan_to_num(self, nan, posinf, neginf)

    def frac(self) -> Tensor:
        """x − trunc x; of floating types"""
        from .operands import frac

        return frac(self)

    def deg2rad(self) -> Tensor:
        """x · π / 180"""
        from .operands import deg2rad

        return deg2rad(self)

    def rad2deg(self) -> Tensor:
        """x · 180 / π"""
        from .operands import rad2deg

        return rad2deg(self)

    def positive(self) -> Self:
        """+x: the tensor itself; bools have no sign"""
        from .operands import positive

        return positive(self)

    def angle(self) -> Tensor:
        """The angle of a real number: 0, or π below 0; NaN stays. Its derivative is 0."""
        from .operands import angle

        return angle(self)

    def isposinf(self) -> Tensor:
        """x is ∞"""
        from .operands import isposinf

        return isposinf(self)

    def isneginf(self) -> Tensor:
        """x is −∞"""
        from .operands import isneginf

        return isneginf(self)

    def isreal(self) -> Tensor:
        """Is each element a real number? All are."""
        from .operands import isreal

        return isreal(self)

    def bitwise_and(self, b: Any) -> Tensor:
        """a & b"""
        from .operands import bitwise_and

        result: Tensor = bitwise_and(self, b)
        return result

    def bitwise_or(self, b: Any) -> Tensor:
        """a | b"""
        from .operands import bitwise_or

        result: Tensor = bitwise_or(self, b)
        return result

    def bitwise_xor(self, b: Any) -> Tensor:
        """a ^ b"""
        from .operands import bitwise_xor

        result: Tensor = bitwise_xor(self, b)
        return result

    def bitwise_not(self) -> Tensor:
        """~a"""
        from .operands import bitwise_not

        return bitwise_not(self)

    def bitwise_left_shift(self, b: Any) -> Tensor:
        """a << b"""
        from .operands import bitwise_left_shift

        result: Tensor = bitwise_left_shift(self, b)
        return result

    def bitwise_right_shift(self, b: Any) -> Tensor:
        """a >> b"""
        from .operands import bitwise_right_shift

        result: Tensor = bitwise_right_shift(self, b)
        return result

    def gcd(self, b: Any) -> Tensor:
        """The greatest common divisor, not negative; gcd(0, 0) = 0"""
        from .operands import gcd

        return gcd(self, b)

    def lcm(self, b: Any) -> Tensor:
        """The least common multiple, not negative; 0 where one of them is 0"""
        from .operands import lcm

        return lcm(self, b)

    def addcmul(self, tensor1: Core, tensor2: Core, *, value: Any = 1) -> Tensor:
        """x + value · tensor1 · tensor2"""
        from .operands import addcmul

        return addcmul(self, tensor1, tensor2, value=value)

    def addcdiv(self, tensor1: Core, tensor2: Core, *, value: Any = 1) -> Tensor:
        """x + value · tensor1 / tensor2, of floating types"""
        from .operands import addcdiv

        return addcdiv(self, tensor1, tensor2, value=value)
