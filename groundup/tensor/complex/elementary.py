"""Exponentials, logarithms, roots and powers of complex numbers, by formulas of their parts.

Each takes and gives (re, im); what overflows or cancels in the plain formula is written in another
way. Zeros, infinities and NaN follow Annex G of C99, as NumPy does. Must not know derivatives.
"""

from __future__ import annotations

import math
from typing import Any

from ...ir.dtype import DType
from .. import pointwise as pw
from ..special import atan2, copysign, hypot
from .single import Parts, Real, number


def constant(condition: Real, a: float, b: Real, dtype: DType) -> Real:
    """a where the condition holds, else b, numbers in a type: of two of them `where` makes
    float32."""
    return pw.where(condition, number(a, dtype), b)


def size(z: Parts) -> Real:
    """√(re² + im²)"""
    return hypot(*z)


def angle(z: Parts) -> Real:
    """The angle of z in [−π, π]"""
    x, y = z
    return atan2(y, x)


# ---- exponentials --------------------------------------------------------------------------------


def grown(size: Any, x: Real, angle: Real, limit: float) -> Parts:
    """size(x) · (cos angle + i·sin angle), size an exponential that overflows beyond `limit`: there
    it is taken as the square of the one of x / 2, so that a small cosine still has its product."""
    beyond = x > limit
    half = size(pw.where(beyond, x * 0.5, x))
    more = pw.where(beyond, half, 1.0)
    re, im = half * pw.cos(angle) * more, half * pw.sin(angle) * more
    wild = pw.logical_not(pw.isfinite(angle))
    nothing, all_ = wild & (x == -math.inf), wild & (x == math.inf)
    re = pw.where(nothing, 0.0, pw.where(all_, math.inf, pw.where(angle == 0, half * more, re)))
    return re, pw.where(nothing, 0.0, pw.where(angle == 0, angle, im))


def exp(z: Parts) -> Parts:
    """e^re · (cos im + i·sin im)"""
    x, y = z
    return grown(pw.exp, x, y, math.log(x.dtype.greatest))


def exp2(z: Parts) -> Parts:
    """2^re · (cos(im · log 2) + i·sin(im · log 2))"""
    from ..special import exp2 as power

    x, y = z
    return grown(power, x, y * math.log(2), 128.0 if x.dtype.bits == 32 else 1024.0)


def expm1(z: Parts) -> Parts:
    """e^z − 1, with cos im − 1 as −2·sin²(im / 2)"""
    x, y = z
    half = pw.sin(y * 0.5)
    _, im = exp(z)
    re = pw.expm1(x) * pw.cos(y) - 2 * half * half
    return pw.where((x == -math.inf) & pw.logical_not(pw.isfinite(y)), -1.0, re), im


def sigmoid(z: Parts) -> Parts:
    """1 / (1 + e^−z), written with the exponential that does not overflow."""
    x, y = z
    negative = x < 0
    re, im = exp((pw.where(negative, x, -x), pw.where(negative, y, -y)))
    top = pw.where(negative, re, 1.0), pw.where(negative, im, 0.0)
    return quotient(top, (1 + re, im))


# ---- logarithms ----------------------------------------------------------------------------------


def _squared(x: Real) -> Parts:
    """x² and what its rounding has lost, exact: x split into halves (Dekker 1971)."""
    high = x * x
    wide = x * (2.0 ** (12 if x.dtype.bits == 32 else 27) + 1)
    upper = wide - (wide - x)
    lower = x - upper
    return high, lower * lower - ((high - upper * upper) - 2 * upper * lower)


def _summed(x: Real, y: Real) -> Parts:
    """x + y and what its rounding has lost, exact (Knuth)."""
    total = x + y
    part = total - x
    return total, (x - (total - part)) + (y - part)


def _excess(one: Real, x: Real, y: Real) -> Real:
    """one + x² + y², where this is small and its terms are not: their rounding errors count."""
    (a, a_rest), (b, b_rest) = _squared(x), _squared(y)
    first, lost = _summed(a, one)
    second, more = _summed(first, b)
    return second + ((lost + more) + (a_rest + b_rest))


def log_size(x: Real, y: Real) -> Real:
    """log √(x² + y²), also where the root overflows, loses digits, or is near 1."""
    ax, ay = abs(x), abs(y)
    big, small = pw.where(ax > ay, ax, ay), pw.where(ax > ay, ay, ax)
    dtype = x.dtype
    up = 2.0 ** (24 if dtype.bits == 32 else 54)
    large, tiny = big > dtype.greatest / 2, big < dtype.smallest_normal
    scale = pw.where(large, 0.5, pw.where(tiny, up, 1.0))
    shift = constant(large, math.log(2), constant(tiny, -math.log(up), 0.0, dtype), dtype)
    size = hypot(x * scale, y * scale)
    near = (size > 0.7) & (size < 1.75)
    a, b = pw.where(near, big, 1.0), pw.where(near, small, 0.0)
    close = 0.5 * pw.log1p(_excess(a * 0 - 1, a, b))
    return pw.where(near, close, pw.log(size) + shift)


def log(z: Parts) -> Parts:
    """log |z| + i·the angle of z"""
    x, y = z
    return log_size(x, y), atan2(y, x)


def log1p(z: Parts) -> Parts:
    """log(1 + z), near 0 by |1 + z|² − 1 = re·(2 + re) + im²"""
    x, y = z
    near = (abs(x) < 0.5) & (abs(y) < 0.5)
    a, b = pw.where(near, x, 0.0), pw.where(near, y, 0.0)
    close = 0.5 * pw.log1p(_excess(2 * a, a, b))
    return pw.where(near, close, log_size(1 + x, y)), atan2(y, 1 + x)


def scaled_log(base: float) -> Any:
    """log z / log base"""

    def call(z: Parts) -> Parts:
        re, im = log(z)
        return re * (1 / math.log(base)), im * (1 / math.log(base))

    return call


# ---- products, quotients, roots and powers -------------------------------------------------------


def total(a: Parts, b: Parts) -> Parts:
    """a + b"""
    return a[0] + b[0], a[1] + b[1]


def difference(a: Parts, b: Parts) -> Parts:
    """a − b"""
    return a[0] - b[0], a[1] - b[1]


def product(a: Parts, b: Parts) -> Parts:
    """a · b"""
    (ar, ai), (br, bi) = a, b
    return ar * br - ai * bi, ar * bi + ai * br


def square(z: Parts) -> Parts:
    """z², its real part as (re − im) · (re + im): less is lost than of two squares"""
    re, im = z
    twice = re * im
    return (re - im) * (re + im), twice + twice


def quotient(a: Parts, b: Parts) -> Parts:
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


def reciprocal(z: Parts) -> Parts:
    """1 / z, scaled as in a quotient; NaN of 0"""
    x, y = z
    wide = abs(x) >= abs(y)
    big, small = pw.where(wide, x, y), pw.where(wide, y, x)
    ratio = small / big
    scale = big + small * ratio
    one, other = 1.0 / scale, ratio / scale
    return pw.where(wide, one, other), -pw.where(wide, other, one)


def sqrt(z: Parts) -> Parts:
    """The root with a real part of 0 or more: t = √((|re| + |z|) / 2) and im / 2t."""
    x, y = z
    dtype = x.dtype
    ax, ay = abs(x), abs(y)
    down = (ax > dtype.greatest / 4) | (ay > dtype.greatest / 4)
    tiny = (ax < 4 * dtype.smallest_normal) & (ay < 4 * dtype.smallest_normal)
    root = 2.0 ** (12 if dtype.bits == 32 else 27)
    scale = pw.where(down, 0.25, pw.where(tiny, root * root, 1.0))
    a, b = x * scale, y * scale
    t = pw.sqrt((abs(a) + hypot(a, b)) * 0.5)
    zero = t == 0
    other = pw.where(zero, b, b / (2 * pw.where(zero, 1.0, t)))
    back = pw.where(down, 2.0, pw.where(tiny, 1 / root, 1.0))
    right = pw.logical_not(a < 0)
    re = pw.where(right, t, abs(other)) * back
    im = pw.where(right, other, copysign(t, y)) * back
    far = pw.isinf(y)
    return pw.where(far, math.inf, re), pw.where(far, y, im)


def power(z: Parts, w: Parts) -> Parts:
    """z^w = e^(w · log z): size |z|^re w · e^(−im w · angle), angle re w · angle + im w · log |z|.

    0^w is 0 for re w > 0, 1 for w = 0, else NaN."""
    (x, y), (u, v) = z, w
    size, angle = log_size(x, y), atan2(y, x)
    straight = v == 0
    length = pw.where(
        straight, pw.binary("pow", hypot(x, y), u), pw.exp(u * size - v * angle)
    )
    turn = u * angle + pw.where(straight, 0.0, v * size)
    re, im = length * pw.cos(turn), pw.where(turn == 0, turn, length * pw.sin(turn))
    nothing, zero = (x == 0) & (y == 0), (u == 0) & straight
    of_zero = pw.where((u > 0), 0.0, math.nan)
    re, im = pw.where(nothing, of_zero, re), pw.where(nothing, of_zero, im)
    return pw.where(zero, 1.0, re), pw.where(zero, 0.0, im)
