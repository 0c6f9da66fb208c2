"""Bessel functions of the first and second kind, modified ones, and Airy's, of one float64 number.

Each is cut where it changes its nature: near 0 a Chebyshev series of what is smooth there, far away
the amplitudes of a wave, or of a decay. Must not know tensors, loops or how anything runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from . import bessel_tables as table
from .composed import bessel_i, number, series
from .node import Node, alu, where

EULER = 0.5772156649015329  # γ


def chebyshev(u: Node, coefficients: Sequence[float]) -> Node:
    """Σ c_k·T_k(u) for |u| ≤ 1, by Clenshaw's recurrence (DLMF 3.11.15)."""
    twice = alu("mul", u, number(2, u))
    first, second = number(0, u), number(0, u)
    for c in reversed(coefficients[1:]):
        step = alu("sub", alu("mul", twice, first), second)
        first, second = alu("add", step, number(c, u)), first
    return alu("add", alu("sub", alu("mul", u, first), second), number(coefficients[0], u))


def _on(x: Node, low: float, high: float, coefficients: Sequence[float]) -> Node:
    """A series on [low, high]."""
    u = alu("sub", alu("mul", x, number(2 / (high - low), x)),
            number((high + low) / (high - low), x))  # fmt: skip
    return chebyshev(u, coefficients)


def _wave(order: int, x: Node) -> tuple[Node, Node]:
    """(J, Y) for x ≥ 8: √(2/πx)·(P cos χ − (8/x)·Q sin χ), √(2/πx)·(P sin χ + (8/x)·Q cos χ) with
    χ = x − π/4 − order·π/2, whose cosine and sine are made of those of x. Source: DLMF 10.17."""
    eighth = alu("div", number(8, x), x)
    z = alu("mul", eighth, eighth)
    p = _on(z, 0, 1, table.P_1 if order else table.P_0)
    q = alu("mul", eighth, _on(z, 0, 1, table.Q_1 if order else table.Q_0))
    c, s = alu("cos", x), alu("sin", x)
    plus, minus = alu("add", s, c), alu("sub", s, c)
    cosine, sine = (minus, alu("neg", plus)) if order else (plus, minus)
    scale = alu("div", number(1, x), alu("sqrt", alu("mul", x, number(math.pi, x))))
    j = alu("sub", alu("mul", p, cosine), alu("mul", q, sine))
    y = alu("add", alu("mul", p, sine), alu("mul", q, cosine))
    return alu("mul", scale, j), alu("mul", scale, y)


_TERMS = range(12)  # of the power series below 1, where the last is below 2⁻⁵³
_SQUARES = [math.factorial(k) ** 2 for k in _TERMS]


def _near_j(order: int, x: Node) -> Node:
    """J for 0 ≤ x < 8: its power series up to 1 (DLMF 10.2.2), then its two roots as factors."""
    t = alu("mul", x, x)
    terms = [(-0.25) ** k / (s * (k + 1 if order else 1)) for k, s in zip(_TERMS, _SQUARES)]
    first = series(t, [c / (2 if order else 1) for c in terms])
    first = alu("mul", first, x) if order else first
    return where(alu("lt", x, number(1, x)), first, _with_roots(order, t, x))


def _with_roots(order: int, t: Node, x: Node) -> Node:
    y = _on(t, 0, 64, table.J_NEAR_1 if order else table.J_NEAR_0)
    for high, low in table.ROOTS_1 if order else table.ROOTS_0:
        y = alu("mul", y, alu("sub", alu("sub", t, number(high, x)), number(low, x)))
    return alu("mul", y, x) if order else y


def _apart(x: Node, edge: float, low: float, high: float) -> tuple[Node, Node, Node]:
    """(is x beyond an edge?, x if not, x if so); a harmless number elsewhere."""
    far = alu("le", number(edge, x), x)
    return far, where(far, number(low, x), x), where(far, x, number(high, x))


def bessel_j(order: int, x: Node) -> Node:
    """J₀ or J₁; 0 at ±∞."""
    size = alu("abs", x)
    finite = alu("lt", size, number(math.inf, x))
    far, near, away = _apart(where(finite, size, number(9, x)), 8, 1, 9)
    value = where(far, _wave(order, away)[0], _near_j(order, near))
    value = where(finite, value, number(0, x))
    if order:
        value = where(alu("lt", x, number(0, x)), alu("neg", value), value)
    return where(alu("ne", x, x), x, value)


def bessel_y(order: int, x: Node) -> Node:
    """Y₀ or Y₁: (2/π)·log(x/2)·J and what is smooth beside it; −∞ at 0, NaN below, 0 at ∞.

    Source: DLMF 10.8.1.
    """
    zero = number(0, x)
    usual = alu("and", alu("lt", zero, x), alu("lt", x, number(math.inf, x)))
    far, near, away = _apart(where(usual, x, number(1, x)), 8, 1, 9)
    log = alu("log", alu("mul", near, number(0.5, x)))
    log = alu("mul", log, number(2 / math.pi, x))
    t = alu("mul", near, near)
    value = alu("mul", log, _near_j(order, near))
    rest = _on(t, 0, 64, table.Y_NEAR_1 if order else table.Y_NEAR_0)
    rest = where(alu("lt", near, number(1, x)), series(t, _beside_y(order)), rest)
    if order:
        pole = alu("div", number(2 / math.pi, x), near)
        rest = alu("sub", alu("mul", rest, near), pole)
    value = where(far, _wave(order, away)[1], alu("add", value, rest))
    edge = where(alu("eq", x, zero), number(-math.inf, x), number(math.nan, x))
    edge = where(alu("eq", x, number(math.inf, x)), zero, edge)
    return where(usual, value, edge)


def _beside_y(order: int) -> list[float]:
    """The power series of what Y has beside the logarithm: with harmonic numbers H_k,
    (2/π)·Σ (γ − H_k)·(−t/4)^k / k!², and of Y₁ (divided by x) −(1/π)·Σ (H_k + H_{k+1} − 2·γ)·
    (−t/4)^k / (2·k!·(k+1)!). Source: DLMF 10.8.1, 10.8.2, 5.4.14."""
    found = []
    for k, square in zip(_TERMS, _SQUARES):
        h = math.fsum(1 / j for j in range(1, k + 1))
        if order:
            c = (2 * EULER - h - (h + 1 / (k + 1))) / (2 * math.pi * square * (k + 1))
        else:
            c = 2 / math.pi * (EULER - h) / square
        found.append(c * (-0.25) ** k)
    return found


def bessel_k(order: int, x: Node, scaled: bool) -> Node:
    """K₀ or K₁ (scaled: times eˣ): a logarithm and what is smooth beside it up to 1, then a decay;
    ∞ at 0, NaN below. Source: DLMF 10.31, 10.40.2."""
    zero, one = number(0, x), number(1, x)
    usual = alu("and", alu("lt", zero, x), alu("lt", x, number(math.inf, x)))
    far, near, away = _apart(where(usual, x, one), 1, 0.5, 2)
    t = alu("mul", near, near)
    log = alu("log", alu("mul", near, number(0.5, x)))
    first = alu("mul", log, bessel_i(order, near, False))
    rest = _on(t, 0, 1, table.K_NEAR_1 if order else table.K_NEAR_0)
    if order:
        rest = alu("add", alu("mul", rest, near), alu("div", one, near))
        small = alu("add", first, rest)
    else:
        small = alu("sub", rest, first)
    decay = alu("exp", alu("neg", where(far, away, near)))
    small = alu("div", small, decay) if scaled else small
    inverse = alu("div", one, away)
    farther = alu("lt", inverse, number(0.25, x))
    large = where(
        farther,
        _on(where(farther, inverse, number(0, x)), 0, 0.25,
            table.K_FAR_1 if order else table.K_FAR_0),
        _on(where(farther, one, inverse), 0.25, 1,
            table.K_HALFWAY_1 if order else table.K_HALFWAY_0),
    )  # fmt: skip
    large = alu("div", large, alu("sqrt", away))
    large = large if scaled else alu("mul", large, decay)
    value = where(far, large, small)
    edge = where(alu("eq", x, zero), number(math.inf, x), number(math.nan, x))
    edge = where(alu("eq", x, number(math.inf, x)), zero, edge)
    return where(usual, value, edge)


def airy_ai(x: Node) -> Node:
    """Airy's function Ai: a decay from 2 on, a wave below −4.5; 0 at ±∞. Source: DLMF 9.7."""
    zero = number(0, x)
    finite = alu("lt", alu("abs", x), number(math.inf, x))
    y = where(finite, x, zero)
    right = alu("le", number(2, x), y)
    left = alu("le", y, number(-4.5, x))
    middle = where(alu("or", right, left), zero, y)
    between = _on(middle, -4.5, 2, table.AIRY_MIDDLE)
    big = alu("maximum", alu("abs", y), where(left, number(4.5, x), number(2, x)))
    root = alu("sqrt", big)
    turn = alu("mul", alu("mul", big, root), number(2 / 3, x))
    inverse = alu("div", number(1, x), turn)
    fourth = alu("sqrt", root)
    span = 1.5 / 2**1.5
    decay = _on(where(left, number(span, x), inverse), 0, span, table.AIRY_RIGHT)
    decay = alu("div", alu("mul", decay, alu("exp", alu("neg", turn))),
                alu("mul", fourth, number(2 * math.sqrt(math.pi), x)))  # fmt: skip
    edge = (1.5 / 4.5**1.5) ** 2
    w = where(left, alu("mul", inverse, inverse), number(edge, x))
    p = _on(w, 0, edge, table.AIRY_P)
    q = alu("mul", inverse, _on(w, 0, edge, table.AIRY_Q))
    c, s = alu("cos", turn), alu("sin", turn)  # of χ = ζ − π/4: (c + s)/√2 and (s − c)/√2
    wave = alu("add", alu("mul", p, alu("add", c, s)), alu("mul", q, alu("sub", s, c)))
    wave = alu("div", wave, alu("mul", fourth, number(math.sqrt(2 * math.pi), x)))
    value = where(right, decay, where(left, wave, between))
    return where(alu("ne", x, x), x, where(finite, value, zero))


def spherical_j0(x: Node) -> Node:
    """sin(x) / x; 1 at 0, 0 at ±∞."""
    zero, one = number(0, x), number(1, x)
    usual = alu("and", alu("ne", x, zero), alu("lt", alu("abs", x), number(math.inf, x)))
    safe = where(usual, x, one)
    edge = where(alu("eq", x, zero), one, zero)
    value = where(usual, alu("div", alu("sin", safe), safe), edge)
    return where(alu("ne", x, x), x, value)
