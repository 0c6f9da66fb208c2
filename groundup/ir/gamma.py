"""The regularised incomplete gamma functions of two float64 numbers, in pieces by where they are.

Numbers of terms are fixed: each is what the worst place of its piece needs for 2⁻⁵³. Must not know
tensors, loops or how anything runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from . import gamma_tables as table
from .bessel import chebyshev
from .composed import BERNOULLI, number, series
from .node import Node, alu, where

_LARGE = 20.0  # from this a on: Stirling's series, and Temme's expansion near x = a
_SMALL = 0.8  # below this x no continued fraction: it would need many more terms
_TERMS = 56  # of the power series for x ≤ a < 20, x ≤ a/2 and x < 0.8
_LEVELS = 124  # of the continued fraction for x ≥ a, x ≥ 0.8 (a < 20) and x ≥ 2·a
_SHORT = 18  # of the series of Q for a < 1 and x < 0.8: 0.8¹⁸/18! is 2⁻⁵⁸
_ATANH = 18  # of atanh s for |s| ≤ 1/3: 9⁻¹⁸ is 2⁻⁵⁷


def _op(name: str) -> Callable[[Node, Node], Node]:
    return lambda a, b: alu(name, a, b)


_add, _sub, _mul, _div, _lt, _le, _eq = map(_op, ("add", "sub", "mul", "div", "lt", "le", "eq"))
_and, _or = map(_op, ("and", "or"))


def incomplete(a: Node, x: Node, upper: bool) -> Node:
    """P(a, x) = 1/Γ(a)·∫₀ˣ t^(a−1)·e^−t dt, or, if `upper`, Q(a, x) = 1 − P(a, x).

    Of whichever is the smaller a piece gives all digits; the other is 1 minus it. NaN for a < 0,
    x < 0 and at (0, 0) and (∞, ∞). Source: DLMF 8.7.1, 8.9.2, 8.12.3.
    """
    zero, one, infinite = number(0, a), number(1, a), number(math.inf, a)
    usual = _and(_and(_lt(zero, a), _lt(a, infinite)), _and(_lt(zero, x), _lt(x, infinite)))
    s, t = where(usual, a, one), where(usual, x, one)
    ratio = _div(t, s)
    near = _and(_le(number(0.5, a), ratio), _le(ratio, number(2, a)))
    near = _and(near, _le(number(_LARGE, a), s))
    below = _or(_lt(t, number(_SMALL, a)), _lt(t, s))
    front = _front(s, t)
    low = alu("minimum", _mul(front, _power_series(s, t)), one)
    high = _div(_mul(front, s), _fraction(s, t))
    if upper:
        direct = _or(_lt(low, number(0.5, a)), _le(one, s))
        low = where(direct, _sub(one, low), _short(s, t))
        value = where(below, low, high)
    else:
        value = where(below, low, _sub(one, high))
    value = where(near, _uniform(where(near, s, number(_LARGE, a)),
                                 where(near, t, number(_LARGE, a)), upper), value)  # fmt: skip
    whole = _or(_eq(a, zero), _eq(x, infinite))
    edge = where(whole, zero, one) if upper else where(whole, one, zero)
    none = _or(_and(_eq(a, zero), _eq(x, zero)), _and(_eq(a, infinite), _eq(x, infinite)))
    inside = _and(_le(zero, a), _le(zero, x))
    edge = where(inside, where(none, number(math.nan, a), edge), number(math.nan, a))
    return where(usual, value, edge)


def _reciprocal(a: Node) -> Node:
    """g with 1/Γ(1 + a) = 1 + a·g for 0 ≤ a ≤ 1, which keeps its digits near 0."""
    return chebyshev(_sub(_mul(number(2, a), a), number(1, a)), table.RECIPROCAL)


def _front(a: Node, x: Node) -> Node:
    """x^a·e^−x / Γ(a + 1). For a < 20, Γ by its recurrence from [1, 2], where all steps are exact
    but the products; else x^a·e^−x·a^−a·e^a, one exponential, and Stirling's series."""
    one = number(1, a)
    large = _le(number(_LARGE, a), a)
    y, product = where(large, one, a), one
    few = y
    for _ in range(int(_LARGE) - 1):
        above = _lt(one, y)
        product = where(above, _mul(product, y), product)
        y = where(above, _sub(y, one), y)
    gamma = _div(product, _add(one, _mul(y, _reciprocal(y))))
    t = alu("minimum", x, number(3000, x))  # where e^−x is 0, and x^a not infinite
    half = alu("exp", _mul(t, number(-0.5, x)))  # of which x^a·e^−x is made before it vanishes
    first = _mul(_mul(_div(alu("pow", t, few), gamma), half), half)
    many = where(large, a, number(_LARGE, a))
    inverse = _div(one, many)
    terms = [b / (2 * k * (2 * k - 1)) for k, b in enumerate(BERNOULLI, 1)]
    rest = _mul(inverse, series(_mul(inverse, inverse), terms))
    power = _sub(_mul(many, alu("log", _div(x, many))), _sub(x, many))
    root = alu("sqrt", _mul(many, number(2 * math.pi, a)))
    return where(large, _div(alu("exp", _sub(power, rest)), root), first)


def _power_series(a: Node, x: Node) -> Node:
    """Σ xⁿ / ((a + 1)·…·(a + n)) from the last term on."""
    one = number(1, a)
    total = one
    for n in range(_TERMS, 0, -1):
        total = _add(one, _mul(total, _div(x, _add(a, number(n, a)))))
    return total


def _fraction(a: Node, x: Node) -> Node:
    """x + 1 − a − 1·(1 − a)/(x + 3 − a − 2·(2 − a)/(x + 5 − a − …)) from the last level on."""
    base = _sub(x, a)
    total = _add(base, number(2 * _LEVELS + 1, a))
    for n in range(_LEVELS, 0, -1):
        above = _mul(number(n, a), _sub(number(n, a), a))
        total = _sub(_add(base, number(2 * n - 1, a)), _div(above, total))
    return total


def _short(a: Node, x: Node) -> Node:
    """Q for a < 1 and x < 0.8 without 1 − P: 1 − u − u·a·Σ (−x)ⁿ / ((a + n)·n!) from n = 1 on,
    where u = x^a/Γ(1 + a) is near 1."""
    log = alu("log1p", _mul(a, _reciprocal(a)))
    log = _add(log, _mul(a, alu("log", x)))
    total = number(0, a)
    for n in range(_SHORT, 0, -1):
        c = _div(number((-1) ** n / math.factorial(n), a), _add(a, number(n, a)))
        total = _mul(_add(total, c), x)
    rest = _mul(alu("exp", log), _mul(a, total))
    return alu("neg", _add(alu("expm1", log), rest))


def _uniform(a: Node, x: Node, upper: bool) -> Node:
    """½·erfc(±η·√(a/2)) ± e^(−a·η²/2)/√(2π·a)·Σ c_k(η)·a^−k for a ≥ 20 and a/2 ≤ x ≤ 2·a, where
    η²/2 = x/a − 1 − log(x/a), here by way of s = (x − a)/(x + a), of which no digit cancels."""
    half = number(0.5, a)
    away = _sub(x, a)  # exact
    s = _div(_mul(away, half), _add(_mul(x, half), _mul(a, half)))
    square = _mul(s, s)
    tail = series(square, [2 / (2 * k + 3) for k in range(_ATANH)])
    power = _mul(s, _sub(away, _mul(a, _mul(square, tail))))  # a·η²/2
    y = alu("copysign", alu("sqrt", power), away)
    eta = _mul(y, alu("sqrt", _div(number(2, a), a)))
    u = _mul(_sub(eta, number(0.08, a)), number(1 / 0.71, a))  # from [−0.63, 0.79] to [−1, 1]
    inverse = _div(number(1, a), a)
    total = chebyshev(u, table.UNIFORM[-1])
    for c in reversed(table.UNIFORM[:-1]):
        total = _add(_mul(total, inverse), chebyshev(u, c))
    rest = _mul(alu("exp", alu("neg", power)), total)
    rest = _div(rest, alu("sqrt", _mul(a, number(2 * math.pi, a))))
    if upper:
        return _add(_mul(half, alu("erfc", y)), rest)
    return _sub(_mul(half, alu("erfc", alu("neg", y))), rest)
