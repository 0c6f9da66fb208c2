"""Circular and hyperbolic functions of complex numbers and their inverses, by formulas of parts.

Each takes and gives (re, im). Zeros, infinities and NaN follow Annex G of C99, as NumPy does. The
inverses of sine and cosine: Hull, Fairgrieve, Tang 1997, Implementing the complex arcsine and
arccosine functions using exception handling; the tangents: Kahan 1987, Branch cuts for complex
elementary functions. Must not know derivatives.
"""

from __future__ import annotations

import math

from .. import pointwise as pw
from ..special import acos as real_acos
from ..special import asin as real_asin
from ..special import atan2, copysign, hypot
from ..special import cosh as real_cosh
from ..special import sinh as real_sinh
from .elementary import constant, quotient
from .single import Parts, Real


def _halves(x: Real) -> tuple[Real, Real]:
    """(where, e^(|x|/2)) for large x, whose sinh and cosh are e^|x| / 2, taken in two factors so
    that a small cosine still has its product; 1 for others."""
    limit = math.log(x.dtype.greatest) - 1
    beyond = abs(x) > limit
    half = pw.exp(pw.where(beyond, abs(x) * 0.5, 0.0))
    return beyond, half


def sinh(z: Parts) -> Parts:
    """sinh re · cos im + i · cosh re · sin im"""
    x, y = z
    beyond, half = _halves(x)
    inner: Real = pw.where(beyond, 0.0, x)
    s = pw.where(beyond, copysign(0.5 * half, x), real_sinh(inner))
    c = pw.where(beyond, 0.5 * half, real_cosh(inner))
    re, im = s * pw.cos(y) * half, c * pw.sin(y) * half
    wild = pw.logical_not(pw.isfinite(y))
    re = pw.where(y == 0, s * half, pw.where(wild & pw.isinf(x), math.inf, re))
    return pw.where(wild & (x == 0), x, re), pw.where(y == 0, y, im)


def cosh(z: Parts) -> Parts:
    """cosh re · cos im + i · sinh re · sin im"""
    x, y = z
    beyond, half = _halves(x)
    inner: Real = pw.where(beyond, 0.0, x)
    s = pw.where(beyond, copysign(0.5 * half, x), real_sinh(inner))
    c = pw.where(beyond, 0.5 * half, real_cosh(inner))
    re, im = c * pw.cos(y) * half, s * pw.sin(y) * half
    wild = pw.logical_not(pw.isfinite(y))
    re = pw.where((y == 0) | (wild & pw.isinf(x)), c * half, re)
    none = (y == 0) | (wild & (x == 0))
    return re, pw.where(none, copysign(0.0, x) * copysign(1.0, y), im)


def tanh(z: Parts) -> Parts:
    """With t = tan im, s = sinh re, β = 1 + t²: (β·s·√(1 + s²) + i·t) / (1 + β·s²); of a large real
    part ±1 + i·4·sin im·cos im·e^−2|re|."""
    x, y = z
    large = abs(x) > (11.0 if x.dtype.bits == 32 else 22.0)
    small = pw.exp(-abs(x))
    s = real_sinh(pw.where(large, 0.0, x))
    t = pw.tan(y)
    beta = 1 + t * t
    below = 1 + beta * s * s
    re, im = beta * pw.sqrt(1 + s * s) * s / below, t / below
    flat = 4 * pw.sin(y) * pw.cos(y) * small * small
    far = pw.isinf(x)
    flat = pw.where(far, copysign(0.0, pw.where(pw.isinf(y), y, pw.sin(y) * pw.cos(y))), flat)
    re = pw.where(large, copysign(1.0, x), re)
    im = pw.where(y == 0, y, pw.where(large, flat, im))
    wild = pw.logical_not(pw.isfinite(y)) & pw.logical_not(far)
    return pw.where(wild, pw.where(x == 0, x, math.nan), re), im


def _turned(z: Parts) -> Parts:
    """i·z"""
    return -z[1], z[0]


def _back(z: Parts) -> Parts:
    """−i·z"""
    return z[1], -z[0]


def sin(z: Parts) -> Parts:
    """−i · sinh(i·z)"""
    return _back(sinh(_turned(z)))


def cos(z: Parts) -> Parts:
    """cosh(i·z)"""
    return cosh(_turned(z))


def tan(z: Parts) -> Parts:
    """−i · tanh(i·z)"""
    return _back(tanh(_turned(z)))


def sinc(z: Parts) -> Parts:
    """sin πz / πz, 1 at 0"""
    x, y = z
    none = (x == 0) & (y == 0)
    a, b = pw.where(none, 0.5, x) * math.pi, pw.where(none, 0.0, y) * math.pi
    re, im = quotient(sin((a, b)), (a, b))
    return pw.where(none, 1.0, re), pw.where(none, 0.0, im)


# ---- inverses of sine and cosine -----------------------------------------------------------------


class _Arc:
    """What asin and acos of x + i·y share, for x, y ≥ 0: with R and S the distances from −1 and 1,
    A = (R + S) / 2 is cosh of the imaginary part, B = x / A the sine of the real part."""

    def __init__(self, x: Real, y: Real) -> None:
        bits = x.dtype.bits
        self.huge = (x > 2.0 ** (bits - 4)) | (y > 2.0 ** (bits - 4))  # no square of it overflows
        self.x, self.y = x, y
        a = pw.where(self.huge, 1.0, x)
        b = pw.where(self.huge, 1.0, y)
        self.a, self.b, self.eps = a, b, x.dtype.eps
        self.r, self.s = hypot(a + 1, b), hypot(a - 1, b)
        self.mean = 0.5 * (self.r + self.s)
        self.sine = a / self.mean
        self.inside = a < 1

    def _tangent(self) -> tuple[Real, Real]:
        """(a, √(A² − a²)): the tangent of the real part as two numbers, without cancellation."""
        a, b = self.a, self.b
        sum_ = self.mean + a
        first = b * b / (self.r + (a + 1)) + (self.s + (1 - a))
        beyond = self.s + (a - 1)
        second = sum_ / (self.r + (a + 1)) + sum_ / pw.where(beyond == 0, 1.0, beyond)
        within = pw.sqrt(0.5 * sum_ * pw.where(a <= 1, first, 0.0))
        outside = b * pw.sqrt(0.5 * pw.where(a <= 1, 0.0, second))
        return a, pw.where(a <= 1, within, outside)

    def real_asin(self) -> Real:
        a, root = self._tangent()
        steep = self.sine > 0.6417  # where asin loses digits
        near = pw.where(steep, atan2(a, root), real_asin(pw.where(steep, 0.0, self.sine)))
        return pw.where(self.huge, atan2(self.x, self.y), near)

    def real_acos(self) -> Real:
        a, root = self._tangent()
        steep = self.sine > 0.6417
        near = pw.where(steep, atan2(root, a), real_acos(pw.where(steep, 0.0, self.sine)))
        return pw.where(self.huge, atan2(self.y, self.x), near)

    def imag(self) -> Real:
        """log(A + √(A² − 1))"""
        a, b = self.a, self.b
        under = b * b / (self.r + (a + 1))
        left = self.s + (1 - a)
        less = pw.where(
            self.inside, under + b * b / pw.where(left == 0, 1.0, left), under + self.s + (a - 1)
        )
        excess = 0.5 * less  # A − 1
        close = self.mean < 1.5
        near = pw.log1p(excess + pw.sqrt(excess * (self.mean + 1)))
        far = pw.log(self.mean + pw.sqrt(self.mean * self.mean - 1))
        found = pw.where(close, near, far)
        flat = self.inside & (b < self.eps * abs(a - 1))
        rest = (1 + a) * (1 - a)
        found = pw.where(flat, b / pw.sqrt(pw.where(flat, rest, 1.0)), found)
        beyond = pw.log(hypot(self.x * 0.5, self.y * 0.5)) + 2 * math.log(2)
        return pw.where(self.huge, beyond, found)


def asin(z: Parts) -> Parts:
    """The angle whose sine is z, with a real part in [−π/2, π/2]"""
    x, y = z
    arc = _Arc(abs(x), abs(y))
    return pw.where(x == 0, x, copysign(arc.real_asin(), x)), copysign(arc.imag(), y)


def acos(z: Parts) -> Parts:
    """The angle whose cosine is z, with a real part in [0, π]"""
    x, y = z
    arc = _Arc(abs(x), abs(y))
    angle = pw.where(x == 0, math.pi / 2, arc.real_acos())
    return pw.where(copysign(1.0, x) < 0, math.pi - angle, angle), -copysign(arc.imag(), y)


def asinh(z: Parts) -> Parts:
    """−i · asin(i·z)"""
    return _back(asin(_turned(z)))


def acosh(z: Parts) -> Parts:
    """±i · acos z, the one with a real part of 0 or more"""
    re, im = acos(z)
    return abs(im), copysign(re, z[1])


# ---- inverses of tangents ------------------------------------------------------------------------


def atanh(z: Parts) -> Parts:
    """½·log((1 + z) / (1 − z))"""
    x, y = z
    ax, ay = abs(x), abs(y)
    eps = x.dtype.eps
    far = (ax > 1 / eps) | (ay > 1 / eps)
    a, b = pw.where(far, 0.5, ax), pw.where(far, 0.5, ay)
    one = a == 1
    squares = (a - 1) * (a - 1) + b * b
    point = one & (b < eps)
    re = 0.25 * pw.log1p(4 * a / pw.where(point | (squares == 0), 1.0, squares))
    re = pw.where(point, 0.5 * (math.log(2) - pw.log(pw.where(point, b, 1.0))), re)
    im = 0.5 * pw.where(one, atan2(2.0, -b), atan2(2 * b, (1 - a) * (1 + a) - b * b))
    big = pw.where(ax > ay, ax, ay)
    small = pw.where(ax > ay, ay, ax)
    ratio = pw.where(pw.isinf(small), 1.0, small / big)
    away = ax / big / (big * (1 + ratio * ratio))  # re / |z|²
    re = pw.where(far, pw.where(pw.isinf(ax) | pw.isinf(ay), 0.0, away), re)
    unknown = pw.isnan(ay) | (pw.isnan(ax) & (ay < math.inf))
    im = pw.where(far, constant(unknown, math.nan, math.pi / 2, x.dtype), im)
    re = pw.where(x == 0, x, copysign(re, x))
    return re, pw.where((y == 0) & (ax <= 1), y, copysign(im, y))


def atan(z: Parts) -> Parts:
    """−i · atanh(i·z)"""
    return _back(atanh(_turned(z)))
