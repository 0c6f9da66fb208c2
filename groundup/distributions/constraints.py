"""What values parameters and samples may have, each with a test and the words for it.

Must not know any distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from groundup.tensor import Tensor

__all__ = [
    "Constraint", "boolean", "corr_cholesky", "greater_than", "greater_than_eq",
    "half_open_interval", "independent", "integer_interval", "interval", "less_than",
    "lower_cholesky", "multinomial", "nonnegative", "nonnegative_integer", "one_hot", "positive",
    "positive_definite", "positive_integer", "real", "real_vector", "simplex", "unit_interval",
]  # fmt: skip


@dataclass(frozen=True)
class Constraint:
    """A set of values: `check(x)` says for each value (the last event_dim axes are one) whether it
    is inside; `text` completes “a value is …”.

    >>> gu.distributions.constraints.positive.check(gu.tensor([1.0, 0.0])).tolist()
    [True, False]
    """

    text: str
    check: Callable[[Tensor], Tensor]
    event_dim: int = 0
    is_discrete: bool = False

    def __repr__(self) -> str:
        return f"Constraint({self.text})"


Rules = Mapping[str, Constraint]  # of parameters, by name


def _whole(x: Tensor) -> Tensor:
    return x == x.floor() if x.dtype.is_float else x == x


def interval(low: Any, high: Any) -> Constraint:
    """low ≤ x ≤ high, of numbers or tensors."""
    return Constraint(f"from {_said(low)} to {_said(high)}", lambda x: (x >= low) & (x <= high))


def half_open_interval(low: Any, high: Any) -> Constraint:
    """low ≤ x < high"""
    return Constraint(
        f"from {_said(low)} up to but without {_said(high)}", lambda x: (x >= low) & (x < high)
    )


def integer_interval(low: Any, high: Any) -> Constraint:
    """low ≤ x ≤ high, whole"""
    return Constraint(
        f"whole, from {_said(low)} to {_said(high)}",
        lambda x: _whole(x) & (x >= low) & (x <= high), is_discrete=True,
    )  # fmt: skip


def greater_than(low: Any) -> Constraint:
    """x > low"""
    return Constraint(f"more than {_said(low)}", lambda x: x > low)


def greater_than_eq(low: Any) -> Constraint:
    """x ≥ low"""
    return Constraint(f"at least {_said(low)}", lambda x: x >= low)


def less_than(high: Any) -> Constraint:
    """x < high"""
    return Constraint(f"less than {_said(high)}", lambda x: x < high)


def multinomial(total: int) -> Constraint:
    """Vectors of whole numbers, 0 or more, of this sum."""
    return Constraint(
        f"a vector of counts that add up to {total}",
        lambda x: (_whole(x) & (x >= 0)).all(-1) & (x.sum(-1) == total), 1, True,
    )  # fmt: skip


def independent(base: Constraint, n: int) -> Constraint:
    """n more axes are one value, inside if all its parts are."""

    def check(x: Tensor) -> Tensor:
        inside = base.check(x)
        return inside if not n else inside.flatten(inside.ndim - n).all(-1)

    text = f"of parts that are each {base.text}" if n else base.text
    return Constraint(text, check, base.event_dim + n, base.is_discrete)


def _said(bound: Any) -> str:
    if isinstance(bound, Tensor):
        return str(bound.item()) if bound.numel() == 1 else "the bound of each"
    return str(bound)


def _triangular(x: Tensor) -> Tensor:
    return (x.tril() == x).flatten(-2).all(-1) & (x.diagonal(0, -2, -1) > 0).all(-1)


def _correlated(x: Tensor) -> Tensor:
    size = int(x.shape[-1]) or 1
    allowed = size * 10 * (1.2e-7 if x.dtype.bits == 32 else 2.3e-16)  # 10 ulp of 1 a number
    rows = ((x.square().sum(-1).sqrt() - 1).abs() <= allowed).all(-1)
    return _triangular(x) & rows


def _definite(x: Tensor) -> Tensor:
    from groundup.tensor.linalg import cholesky_ex

    symmetric = ((x - x.mT).abs() <= 1e-6 * x.abs().flatten(-2).amax(-1)[..., None, None])
    return symmetric.flatten(-2).all(-1) & (cholesky_ex(x).info == 0)


def _simplex(x: Tensor) -> Tensor:
    return (x >= 0).all(-1) & ((x.sum(-1) - 1).abs() < 1e-6)


real = Constraint("a number (no NaN)", lambda x: x == x)
real_vector = independent(real, 1)
boolean = Constraint("0 or 1", lambda x: (x == 0) | (x == 1), is_discrete=True)
nonnegative_integer = Constraint("0, 1, 2, …", lambda x: _whole(x) & (x >= 0), is_discrete=True)
positive_integer = Constraint("1, 2, 3, …", lambda x: _whole(x) & (x >= 1), is_discrete=True)
positive = Constraint("more than 0", lambda x: x > 0)
nonnegative = Constraint("0 or more", lambda x: x >= 0)
unit_interval = interval(0, 1)
simplex = Constraint("a vector of numbers from 0 on that add up to 1", _simplex, 1)
one_hot = Constraint(
    "a vector of one 1, the others 0",
    lambda x: ((x == 0) | (x == 1)).all(-1) & (x.sum(-1) == 1), 1, True,
)  # fmt: skip
lower_cholesky = Constraint("lower triangular, its diagonal more than 0", _triangular, 2)
positive_definite = Constraint("a symmetric, positive definite matrix", _definite, 2)
corr_cholesky = Constraint(
    "lower triangular, its diagonal more than 0, its rows of length 1", _correlated, 2
)
