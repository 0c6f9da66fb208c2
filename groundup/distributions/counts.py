"""Laws of whole numbers that are counted: successes, trials, events.

Must not know how random numbers are made.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from groundup.tensor import (
    Generator,
    Tensor,
    arange,
    binomial,
    lgamma,
    poisson,
    where,
    xlogy,
    zeros,
)
from groundup.tensor.errors import at_line
from groundup.tensor.misuse import named
from groundup.tensor.samplers import standard_gamma
from groundup.tensor.special import xlog1py

from . import constraints
from .constraints import Constraint, Rules
from .distribution import Distribution, tensors


def inside(probs: Tensor) -> Tensor:
    """Probabilities that are neither 0 nor 1: by the type's step away, so that logarithms exist."""
    eps = probs.dtype.eps
    return probs.clamp(eps, 1 - eps)


def softplus(x: Tensor) -> Tensor:
    """log(1 + e^x) = max(x, 0) + log(1 + e^−|x|), written so that its derivative at 0 is ½."""
    above = x > 0
    return where(above, x, 0.0) + (-where(above, x, -x)).exp().log1p()


def one_of(name: str, probs: Any, logits: Any) -> str:
    """Which of two ways to say a probability is used; raises ValueError unless it is one."""
    if (probs is None) == (logits is None):
        raise ValueError(
            f"{name}: give probs or logits, one of them, not "
            f"{'both' if probs is not None else 'neither'}" + at_line()
        )
    return "logits" if probs is None else "probs"


class Binary(Distribution):
    """What laws of a success's probability share: it is given as probs or as logits."""

    def _take(self, probs: Any, logits: Any, **more: Any) -> dict[str, Tensor]:
        self._way = one_of(self._name, probs, logits)
        given = {**more, self._way: logits if probs is None else probs}
        return dict(zip(given, tensors(self._name, **given), strict=True))

    @property
    def probs(self) -> Tensor:
        """The probability of a success."""
        return self._given["probs"] if self._way == "probs" else self._given["logits"].sigmoid()

    @property
    def logits(self) -> Tensor:
        """log(p/(1 − p)), of a p that is neither 0 nor 1."""
        if self._way == "logits":
            return self._given["logits"]
        p = inside(self._given["probs"])
        return p.log() - (-p).log1p()

    def _cross(self) -> Tensor:
        """−p·log p − (1 − p)·log(1 − p)"""
        return softplus(self.logits) - self.probs * self.logits


class Bernoulli(Binary):
    """1 with probability p, else 0; given as probs or logits

    >>> gu.distributions.Bernoulli(0.25).log_prob(1.0).exp().item()
    0.25
    """

    arg_constraints: ClassVar[Rules] = {
        "probs": constraints.unit_interval, "logits": constraints.real
    }  # fmt: skip
    has_enumerate_support = True

    @named
    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        given = self._take(probs, logits)
        super().__init__(given, given[self._way].shape, (), validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.boolean

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        p = self.probs
        return where(p == 0.5, math.nan, (p >= 0.5).to(p.dtype))

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        p = self.probs.expand(shape)
        return zeros(shape, dtype=p.dtype).bernoulli_(p, generator=generator)

    def _log_prob(self, x: Tensor) -> Tensor:
        return x * self.logits - softplus(self.logits)

    def entropy(self) -> Tensor:
        return self._cross()

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return self._enumerated(arange(2, dtype=self.probs.dtype), expand)


class Geometric(Binary):
    """p(k) = (1 − p)^k·p: the failures before the first success, k = 0, 1, …

    >>> gu.distributions.Geometric(0.5).mean.item()
    1.0
    """

    arg_constraints: ClassVar[Rules] = {
        "probs": Constraint("more than 0, at most 1", lambda p: (p > 0) & (p <= 1)),
        "logits": constraints.real,
    }

    @named
    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        given = self._take(probs, logits)
        super().__init__(given, given[self._way].shape, (), validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.nonnegative_integer

    @property
    def mean(self) -> Tensor:
        return self.probs.reciprocal() - 1

    @property
    def mode(self) -> Tensor:
        return self.probs.detach() * 0

    @property
    def variance(self) -> Tensor:
        return (self.probs.reciprocal() - 1) / self.probs

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        wait = zeros(shape, dtype=self.probs.dtype).exponential_(generator=generator)
        return (wait / -(-self.probs).log1p()).floor()

    def _log_prob(self, x: Tensor) -> Tensor:
        p = self.probs
        return xlog1py(x, -p) + p.log()

    def entropy(self) -> Tensor:
        return self._cross() / self.probs


class Binomial(Binary):
    """The successes among total_count n trials: p(k) = n!/(k!·(n − k)!) · p^k·(1 − p)^(n−k)

    >>> gu.distributions.Binomial(2, 0.5).log_prob(1.0).exp().item()
    0.5
    """

    arg_constraints: ClassVar[Rules] = {
        "total_count": constraints.nonnegative_integer, "probs": constraints.unit_interval,
        "logits": constraints.real,
    }  # fmt: skip
    has_enumerate_support = True

    @named
    def __init__(
        self, total_count: Any = 1, probs: Any = None, logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        given = self._take(probs, logits)
        kind = given[self._way].dtype
        both = {"total_count": total_count, self._way: given[self._way]}
        given = dict(zip(both, tensors(self._name, **both), strict=True))
        self.total_count = given["total_count"] = given["total_count"].to(kind)
        super().__init__(given, given[self._way].shape, (), validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs

    @property
    def mode(self) -> Tensor:
        return ((self.total_count + 1) * self.probs).floor().minimum(self.total_count)

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        return binomial(self.total_count.expand(shape), self.probs.expand(shape), generator)

    def _log_prob(self, x: Tensor) -> Tensor:
        n = self.total_count
        ways = lgamma(n + 1) - lgamma(x + 1) - lgamma(n - x + 1)
        return ways + x * self.logits - n * softplus(self.logits)

    def _count(self, why: str) -> int:
        """The number of trials, if all laws have one."""
        n = int(self.total_count.detach().amax().item())
        if int(self.total_count.detach().amin().item()) != n:
            raise NotImplementedError(
                f"Binomial: {why} of laws of different total_count is not known" + at_line()
            )
        return n

    def entropy(self) -> Tensor:
        self._count("the entropy")
        log = self._log_prob(self.enumerate_support(False))
        return -(log.exp() * log).sum(0)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        n = self._count("the support")
        return self._enumerated(arange(n + 1, dtype=self.probs.dtype), expand)


class NegativeBinomial(Binary):
    """The successes before total_count r failures, each trial a success with probability p:
    p(k) = Γ(r + k)/(k!·Γ(r)) · p^k·(1 − p)^r, r > 0 any number

    >>> gu.distributions.NegativeBinomial(3.0, 0.5).mean.item()
    3.0
    """

    arg_constraints: ClassVar[Rules] = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0, 1), "logits": constraints.real,
    }  # fmt: skip

    @named
    def __init__(
        self, total_count: Any, probs: Any = None, logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        given = self._take(probs, logits)
        kind = given[self._way].dtype
        both = {"total_count": total_count, self._way: given[self._way]}
        given = dict(zip(both, tensors(self._name, **both), strict=True))
        self.total_count = given["total_count"] = given["total_count"].to(kind)
        super().__init__(given, given[self._way].shape, (), validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.nonnegative_integer

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.logits.exp()

    @property
    def mode(self) -> Tensor:
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp_min(0)

    @property
    def variance(self) -> Tensor:
        return self.mean / (-self.logits).sigmoid()

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        p = self.probs
        odds = p / (1 - p) if self._way == "probs" else self.logits.exp()
        rate = standard_gamma(self.total_count.expand(shape), generator) * odds
        return poisson(rate.detach(), generator)

    def _log_prob(self, x: Tensor) -> Tensor:
        r, logits = self.total_count, self.logits
        trials = -r * softplus(logits) - x * softplus(-logits)
        ways = lgamma(r + x) - lgamma(1 + x) - lgamma(r)
        return trials + where(r + x == 0, 0.0, ways)


class Poisson(Distribution):
    """p(k) = λ^k·e^−λ / k!, rate λ ≥ 0

    >>> gu.distributions.Poisson(3.0).variance.item()
    3.0
    """

    arg_constraints: ClassVar[Rules] = {"rate": constraints.nonnegative}

    @named
    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = tensors(self._name, rate=rate)
        super().__init__({"rate": self.rate}, self.rate.shape, (), validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.nonnegative_integer

    @property
    def mean(self) -> Tensor:
        return self.rate

    @property
    def mode(self) -> Tensor:
        return self.rate.floor()

    @property
    def variance(self) -> Tensor:
        return self.rate

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        return poisson(self.rate.detach().expand(shape), generator)

    def _log_prob(self, x: Tensor) -> Tensor:
        return xlogy(x, self.rate) - self.rate - lgamma(x + 1)
