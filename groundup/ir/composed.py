"""Functions of one number that are written as expressions of others: series, recurrences, steps.

They are differentiated like any expression. Must not know tensors, loops or how anything runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .node import Node, alu, const, where

# Bernoulli numbers B₂, B₄, …
BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)


def number(value: float, like: Node) -> Node:
    """A constant of the type of another expression."""
    return const(value, like.dtype)


def series(x: Node, coefficients: Sequence[float]) -> Node:
    """Σ cₖ·xᵏ by Horner's rule, c₀ first."""
    y = number(coefficients[-1], x)
    for c in reversed(coefficients[:-1]):
        y = alu("add", alu("mul", y, x), number(c, x))
    return y


_UP = 10  # the asymptotic series is taken from here on: its last term is below 2⁻⁵³ there


def digamma(x: Node) -> Node:
    """ψ(x) = d log Γ(x)/dx: ψ(x + n) − Σ 1/(x + k) for k < n, the asymptotic series at x + n ≥ 10;
    below 0 by reflection, ψ(1 − x) − π / tan(π·x); NaN at negative integers, −∞·sign at 0.

    Source: DLMF 5.5.2, 5.5.4, 5.11.2.
    """
    zero, one = number(0, x), number(1, x)
    negative = alu("lt", x, zero)
    y = where(negative, alu("sub", one, x), x)
    total = zero
    for _ in range(_UP):
        small = alu("lt", y, number(_UP, x))
        total = where(small, alu("sub", total, alu("div", one, y)), total)
        y = where(small, alu("add", y, one), y)
    inverse = alu("div", one, y)
    square = alu("mul", inverse, inverse)
    tail = series(square, [b / (2 * k) for k, b in enumerate(BERNOULLI, 1)])
    value = alu("sub", alu("log", y), alu("mul", inverse, number(0.5, x)))
    value = alu("add", total, alu("sub", value, alu("mul", square, tail)))
    # tan has the period π: its argument is taken from the fraction, which is exact.
    fraction = alu("sub", x, alu("trunc", x))
    whole = alu("eq", fraction, zero)
    inside = where(whole, number(0.25, x), fraction)
    turn = alu("div", number(math.pi, x), alu("tan", alu("mul", inside, number(math.pi, x))))
    reflected = where(whole, number(math.nan, x), alu("sub", value, turn))
    result = where(negative, reflected, value)
    at_zero = alu("neg", alu("div", one, x))
    return where(alu("eq", x, zero), at_zero, result)


def zeta(s: Node, q: Node) -> Node:
    """ζ(s, q) = Σ_{k ≥ 0} (q + k)^−s for s > 1, q > 0 by Euler and Maclaurin from q + 10 on; ∞ at
    s = 1 and at q = 0, −1, …; NaN for s < 1 and elsewhere below 0.

    Source: DLMF 25.11.5 (with its remainder below 2⁻⁵³ for the s of polygamma).
    """
    zero, one = number(0, q), number(1, q)
    bad = alu("le", q, zero)
    y = where(bad, one, q)
    total = zero
    for k in range(_UP):
        total = alu("add", total, alu("pow", alu("add", y, number(k, q)), alu("neg", s)))
    w = alu("add", y, number(_UP, q))
    last = alu("pow", w, alu("neg", s))
    above = alu("div", alu("mul", w, last), alu("sub", s, one))
    total = alu("add", total, alu("add", above, alu("mul", last, number(0.5, q))))
    square = alu("mul", w, w)
    rising, power = s, alu("div", last, w)
    for k, b in enumerate(BERNOULLI, 1):
        term = alu("mul", alu("mul", rising, power), number(b / math.factorial(2 * k), q))
        total = alu("add", total, term)
        for step in (2 * k - 1, 2 * k):
            rising = alu("mul", rising, alu("add", s, number(step, q)))
        power = alu("div", power, square)
    whole = alu("eq", alu("floor", q), q)
    pole = where(whole, number(math.inf, q), number(math.nan, q))
    total = where(bad, pole, total)
    total = where(alu("eq", s, one), number(math.inf, q), total)
    return where(alu("lt", s, one), number(math.nan, q), total)


def polygamma(n: int, x: Node) -> Node:
    """ψ⁽ⁿ⁾(x): digamma for n = 0, else (−1)^(n+1)·n!·ζ(n + 1, x); below 0 by reflection,
    (−1)ⁿ·ψ⁽ⁿ⁾(1 − x) − π·dⁿ cot(π·x)/dxⁿ.

    Source: DLMF 5.15.1, 5.15.6.
    """
    if n == 0:
        return digamma(x)
    zero, one = number(0, x), number(1, x)
    low = alu("lt", x, zero)
    y = where(low, alu("sub", one, x), x)
    factor = (1 if n % 2 else -1) * math.factorial(n)
    value = alu("mul", number(factor, x), zeta(number(n + 1, x), y))
    fraction = alu("sub", x, alu("trunc", x))  # exact; the cotangent's period is 1
    inside = where(low, fraction, number(0.25, x))
    cotangent = alu("div", one, alu("tan", alu("mul", inside, number(math.pi, x))))
    turn = alu("mul", number(math.pi ** (n + 1), x), series(cotangent, _cotangent(n)))
    reflected = alu("sub", value if n % 2 == 0 else alu("neg", value), turn)
    return where(low, reflected, value)


def _cotangent(n: int) -> list[float]:
    """The n-th derivative of the cotangent as a polynomial of it: P ↦ −(1 + c²)·P′."""
    p = [0.0, 1.0]
    for _ in range(n):
        slope = [k * c for k, c in enumerate(p)][1:]
        p = [-a - b for a, b in zip([*slope, 0.0, 0.0], [0.0, 0.0, *slope], strict=True)]
    return p


def erfinv(x: Node) -> Node:
    """The y with erf y = x: Winitzki's estimate, then three steps of Halley on erf, or on erfc
    where x is near ±1, which loses no digit there.

    Source of the estimate: S. Winitzki, "A handy approximation for the error function and its
    inverse", 2008.
    """
    zero, one = number(0, x), number(1, x)
    size = alu("abs", x)
    inside = alu("lt", size, one)
    a = where(inside, size, number(0.5, x))
    y = _inverse(a, alu("sub", one, a))
    signed = where(alu("lt", x, zero), alu("neg", y), y)
    edge = where(alu("lt", x, zero), number(-math.inf, x), number(math.inf, x))
    at_edge = where(alu("eq", size, one), edge, number(math.nan, x))
    signed = where(alu("eq", x, zero), alu("mul", x, number(math.sqrt(math.pi) / 2, x)), signed)
    return where(inside, signed, at_edge)


def _inverse(a: Node, rest: Node) -> Node:
    """The y ≥ 0 with erf y = a = 1 − rest, for 0 ≤ a < 1."""
    c = 0.147  # Winitzki's constant
    product = alu("mul", rest, alu("add", a, number(1, a)))
    log = alu("log", where(alu("lt", number(0, a), product), product, number(1, a)))
    half = alu("add", number(2 / (math.pi * c), a), alu("mul", log, number(0.5, a)))
    root = alu("sqrt", alu("sub", alu("mul", half, half), alu("div", log, number(c, a))))
    inner = alu("maximum", alu("sub", root, half), number(1e-30, a))
    y = alu("sqrt", inner)
    near = alu("lt", a, number(0.5, a))
    for _ in range(3):
        by_erf = alu("sub", alu("erf", y), a)
        by_erfc = alu("sub", rest, alu("erfc", y))
        error = where(near, by_erf, by_erfc)
        slope = alu("exp", alu("neg", alu("mul", y, y)))
        step = alu("div", alu("mul", error, number(math.sqrt(math.pi) / 2, a)), slope)
        y = alu("sub", y, alu("div", step, alu("add", number(1, a), alu("mul", y, step))))
    return y


_TERMS = 24  # of the continued fraction, which is exact in float64 from 3 on


def erfcx(x: Node) -> Node:
    """e^(x²)·erfc x: as it stands below 3, else x/√π over the continued fraction of erfc.

    Source: DLMF 7.9.2.
    """
    far = alu("lt", number(3, x), x)
    low, high = where(far, number(0, x), x), where(far, x, number(3, x))
    plain = alu("mul", alu("exp", alu("mul", low, low)), alu("erfc", low))
    fraction = high
    for k in range(4 * _TERMS, 0, -1):
        fraction = alu("add", high, alu("div", number(k / 2, x), fraction))
    return where(far, alu("div", number(1 / math.sqrt(math.pi), x), fraction), plain)


def ndtr(x: Node) -> Node:
    """½·erfc(−x/√2)"""
    scaled = alu("mul", x, number(-math.sqrt(0.5), x))
    return alu("mul", number(0.5, x), alu("erfc", scaled))


def log_ndtr(x: Node) -> Node:
    """log(½·erfcx(−x/√2)) − x²/2 below −1, else log(1 − ½·erfc(x/√2))"""
    low = alu("lt", x, number(-1, x))
    below, above = where(low, x, number(-1, x)), where(low, number(0, x), x)
    scaled = alu("mul", below, number(-math.sqrt(0.5), x))
    first = alu("log", alu("mul", number(0.5, x), erfcx(scaled)))
    first = alu("sub", first, alu("mul", number(0.5, x), alu("mul", below, below)))
    share = alu("erfc", alu("mul", above, number(math.sqrt(0.5), x)))
    return where(low, first, alu("log1p", alu("mul", number(-0.5, x), share)))


def ndtri(x: Node) -> Node:
    """√2·erfinv(2x − 1), from the side where 2x or 2 − 2x is exact"""
    zero, one, half = number(0, x), number(1, x), number(0.5, x)
    inside = alu("and", alu("lt", zero, x), alu("lt", x, one))
    p = where(inside, x, half)
    small = alu("minimum", p, alu("sub", one, p))
    twice = alu("mul", number(2, x), small)
    y = alu("mul", _inverse(alu("sub", one, twice), twice), number(math.sqrt(2), x))
    signed = where(alu("lt", p, half), alu("neg", y), y)
    high = where(alu("eq", x, one), number(math.inf, x), number(math.nan, x))
    edge = where(alu("eq", x, zero), number(-math.inf, x), high)
    return where(inside, signed, edge)


def bessel_i(order: int, x: Node, scaled: bool) -> Node:
    """I₀ or I₁ (order 0, 1), times e^−|x| if `scaled`: the power series below 20, all of whose
    terms are positive, else the asymptotic series.

    Source: DLMF 10.25.2, 10.40.1.
    """
    size = alu("abs", x)
    far = alu("lt", number(20, x), size)
    near, away = where(far, number(1, x), x), where(far, size, number(20, x))
    quarter = alu("mul", alu("mul", near, near), number(0.25, x))
    terms = [1.0]
    for k in range(1, 60):
        terms.append(terms[-1] / (k * (k + order)))
    power = series(quarter, terms)
    if order:
        power = alu("mul", power, alu("mul", near, number(0.5, x)))
    decay = alu("exp", alu("neg", alu("abs", near)))
    small = alu("mul", power, decay) if scaled else power
    mu, coefficient, asymptotic = 4.0 * order * order, 1.0, [1.0]
    for k in range(1, 26):
        coefficient *= -(mu - (2 * k - 1) ** 2) / (8 * k)
        asymptotic.append(coefficient)
    large = alu("div", series(alu("div", number(1, x), away), asymptotic),
                alu("sqrt", alu("mul", number(2 * math.pi, x), away)))  # fmt: skip
    if not scaled:
        half = alu("exp", alu("mul", away, number(0.5, x)))
        large = alu("mul", alu("mul", large, half), half)
    if order:
        large = where(alu("lt", x, number(0, x)), alu("neg", large), large)
    return where(far, large, small)
