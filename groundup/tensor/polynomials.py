"""Orthogonal polynomials of degree n at x, by their recurrences, written out step by step.

x and n are broadcast; n is a number or a tensor of them, whose values are asked for; where it is
negative the value is 0. None has a derivative, as in PyTorch. Must not know derivatives.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..ir import node as ir
from ..ir.composed import number
from ..ir.node import Node
from .core import Core, plain
from .errors import at_line
from .special import pair

if TYPE_CHECKING:
    from .tensor import Tensor

# (n, x, p(n), p(n − 1)) to p(n + 1)
Step = Callable[[int, Node, Node, Node], Node]
# The greatest degree that a tensor may hold: one element decides how many steps all of them take.
_MOST = 30
_STEPS = 10_000  # of a number: each is a term of the expression


def _evaluated(name: str, x: Any, n: Any, first: Callable[[Node], Node], step: Step) -> Tensor:
    """p(0) = 1, p(1) = first(x), then by steps; where n is negative, 0."""
    if isinstance(n, Core):
        n = degrees = plain(n)
        most = int(degrees.amax().item()) if degrees.numel() else 0
        if most > _MOST:
            raise ValueError(
                f"{name}: degrees of a tensor are up to {_MOST}, not {most}: give one number"
                + at_line()
            )
    else:
        if isinstance(n, float) and not math.isfinite(n):
            raise ValueError(f"{name}: a degree is a whole number, not {n}" + at_line())
        most = int(n)
        if most > _STEPS:
            raise ValueError(f"{name}: a degree is at most {_STEPS}, not {most}" + at_line())

    def body(a: Node, k: Node) -> Node:
        k = ir.alu("trunc", k)
        before, here = number(1, a), first(a)
        result = ir.where(ir.alu("lt", k, number(0, k)), number(0, a), number(1, a))
        for i in range(1, most + 1):
            result = ir.where(ir.alu("le", number(i, k), k), here, result)
            before, here = here, step(i, a, here, before)
        return result

    return pair(name, plain(x) if isinstance(x, Core) else x, n, body)


def _twice(x: Node) -> Node:
    return ir.alu("add", x, x)


def _less(a: Node, b: Node) -> Node:
    return ir.alu("sub", a, b)


def _chebyshev(n: int, x: Node, p: Node, q: Node) -> Node:
    return _less(ir.alu("mul", _twice(x), p), q)


def _shifted(x: Node) -> Node:
    return _less(_twice(x), number(1, x))


def _shifted_step(n: int, x: Node, p: Node, q: Node) -> Node:
    return _chebyshev(n, _shifted(x), p, q)


def chebyshev_polynomial_t(x: Any, n: Any) -> Tensor:
    """T₀ = 1, T₁ = x, Tₙ₊₁ = 2x·Tₙ − Tₙ₋₁

    >>> chebyshev_polynomial_t(gu.tensor(2.0), 2).item()
    7.0
    """
    return _evaluated("chebyshev_polynomial_t", x, n, lambda a: a, _chebyshev)


def chebyshev_polynomial_u(x: Any, n: Any) -> Tensor:
    """U₀ = 1, U₁ = 2x, Uₙ₊₁ = 2x·Uₙ − Uₙ₋₁

    >>> chebyshev_polynomial_u(gu.tensor(2.0), 2).item()
    15.0
    """
    return _evaluated("chebyshev_polynomial_u", x, n, _twice, _chebyshev)


def chebyshev_polynomial_v(x: Any, n: Any) -> Tensor:
    """V₀ = 1, V₁ = 2x − 1, Vₙ₊₁ = 2x·Vₙ − Vₙ₋₁

    >>> chebyshev_polynomial_v(gu.tensor(2.0), 2).item()
    11.0
    """
    return _evaluated("chebyshev_polynomial_v", x, n, _shifted, _chebyshev)


def chebyshev_polynomial_w(x: Any, n: Any) -> Tensor:
    """W₀ = 1, W₁ = 2x + 1, Wₙ₊₁ = 2x·Wₙ − Wₙ₋₁

    >>> chebyshev_polynomial_w(gu.tensor(2.0), 2).item()
    19.0
    """
    return _evaluated(
        "chebyshev_polynomial_w", x, n, lambda a: ir.alu("add", _twice(a), number(1, a)), _chebyshev
    )


def shifted_chebyshev_polynomial_t(x: Any, n: Any) -> Tensor:
    """Tₙ(2x − 1)

    >>> shifted_chebyshev_polynomial_t(gu.tensor(2.0), 2).item()
    17.0
    """
    return _evaluated("shifted_chebyshev_polynomial_t", x, n, _shifted, _shifted_step)


def shifted_chebyshev_polynomial_u(x: Any, n: Any) -> Tensor:
    """Uₙ(2x − 1)

    >>> shifted_chebyshev_polynomial_u(gu.tensor(2.0), 2).item()
    35.0
    """
    return _evaluated(
        "shifted_chebyshev_polynomial_u", x, n, lambda a: _twice(_shifted(a)), _shifted_step
    )


def shifted_chebyshev_polynomial_v(x: Any, n: Any) -> Tensor:
    """Vₙ(2x − 1)

    >>> shifted_chebyshev_polynomial_v(gu.tensor(2.0), 2).item()
    29.0
    """
    return _evaluated(
        "shifted_chebyshev_polynomial_v", x, n, lambda a: _shifted(_shifted(a)), _shifted_step
    )


def shifted_chebyshev_polynomial_w(x: Any, n: Any) -> Tensor:
    """Wₙ(2x − 1)

    >>> shifted_chebyshev_polynomial_w(gu.tensor(2.0), 2).item()
    41.0
    """
    return _evaluated(
        "shifted_chebyshev_polynomial_w", x, n,
        lambda a: ir.alu("add", _twice(_shifted(a)), number(1, a)), _shifted_step,
    )  # fmt: skip


def hermite_polynomial_h(x: Any, n: Any) -> Tensor:
    """H₀ = 1, H₁ = 2x, Hₙ₊₁ = 2x·Hₙ − 2n·Hₙ₋₁

    >>> hermite_polynomial_h(gu.tensor(2.0), 2).item()
    14.0
    """

    def step(i: int, a: Node, p: Node, q: Node) -> Node:
        return _less(ir.alu("mul", _twice(a), p), ir.alu("mul", number(2 * i, a), q))

    return _evaluated("hermite_polynomial_h", x, n, _twice, step)


def hermite_polynomial_he(x: Any, n: Any) -> Tensor:
    """He₀ = 1, He₁ = x, Heₙ₊₁ = x·Heₙ − n·Heₙ₋₁

    >>> hermite_polynomial_he(gu.tensor(2.0), 2).item()
    3.0
    """

    def step(i: int, a: Node, p: Node, q: Node) -> Node:
        return _less(ir.alu("mul", a, p), ir.alu("mul", number(i, a), q))

    return _evaluated("hermite_polynomial_he", x, n, lambda a: a, step)


def laguerre_polynomial_l(x: Any, n: Any) -> Tensor:
    """L₀ = 1, L₁ = 1 − x, (n + 1)·Lₙ₊₁ = (2n + 1 − x)·Lₙ − n·Lₙ₋₁

    >>> laguerre_polynomial_l(gu.tensor(2.0), 2).item()
    -1.0
    """

    def step(i: int, a: Node, p: Node, q: Node) -> Node:
        terms = _less(ir.alu("mul", _less(number(2 * i + 1, a), a), p),
                      ir.alu("mul", number(i, a), q))  # fmt: skip
        return ir.alu("div", terms, number(i + 1, a))

    return _evaluated("laguerre_polynomial_l", x, n, lambda a: _less(number(1, a), a), step)


def legendre_polynomial_p(x: Any, n: Any) -> Tensor:
    """P₀ = 1, P₁ = x, (n + 1)·Pₙ₊₁ = (2n + 1)·x·Pₙ − n·Pₙ₋₁

    >>> legendre_polynomial_p(gu.tensor(2.0), 2).item()
    5.5
    """

    def step(i: int, a: Node, p: Node, q: Node) -> Node:
        terms = _less(ir.alu("mul", ir.alu("mul", number(2 * i + 1, a), a), p),
                      ir.alu("mul", number(i, a), q))  # fmt: skip
        return ir.alu("div", terms, number(i + 1, a))

    return _evaluated("legendre_polynomial_p", x, n, lambda a: a, step)
