"""Laws of one of several classes: as its number, as a vector of one 1, as counts of many draws.

Must not know how random numbers are made.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from groundup.tensor import Generator, Tensor, arange, full, lgamma, log_softmax, where
from groundup.tensor.errors import at_line
from groundup.tensor.misuse import named

from . import constraints
from .constraints import Constraint, Rules
from .counts import Binomial, inside, one_of
from .distribution import Distribution, tensors
from .location import log_exponential

_NORMED = constraints.Constraint(
    "a vector of numbers from 0 on, not all 0",
    lambda x: (x >= 0).all(-1) & (x.sum(-1) > 0), 1,
)  # fmt: skip


class Classes(Distribution):
    """What laws of classes share: weights along the last axis, given as probs (divided by their
    sum) or as logits (whose softmax is meant)."""

    arg_constraints: ClassVar[Rules] = {"probs": _NORMED, "logits": constraints.real_vector}

    def _take(self, probs: Any, logits: Any) -> Tensor:
        self._way = one_of(self._name, probs, logits)
        (given,) = tensors(self._name, **{self._way: logits if probs is None else probs})
        self._some_axes(self._way, given, 1)
        return given

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return int(self._given[self._way].shape[-1])

    @property
    def probs(self) -> Tensor:
        """The probability of each class."""
        if self._way == "probs":
            weights = self._given["probs"]
            return weights / weights.sum(-1, keepdim=True)
        return self._given["logits"].softmax(-1)

    @property
    def logits(self) -> Tensor:
        """The logarithm of the probability of each class."""
        if self._way == "logits":
            return log_softmax(self._given["logits"], -1)
        return inside(self.probs).log()

    def _numbers(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        """Classes of a shape: argmax of log p + standard Gumbel numbers; none of probability 0."""
        logits = (self.probs.log() if self._way == "probs" else self.logits).detach()
        noise = log_exponential((*shape, self.classes), logits, generator)
        return (logits - noise).argmax(-1)

    def _entropy(self) -> Tensor:
        logits = self.logits.clamp_min(self.logits.dtype.least)  # 0 · log 0 is 0
        return -(logits * self.probs).sum(-1)

    def _one_hot(self, numbers: Tensor) -> Tensor:
        hot = numbers.unsqueeze(-1) == arange(self.classes)
        return hot.to(self.probs.dtype)


class Categorical(Classes):
    """The number of a class, 0 … K − 1; probs or logits (…, K)

    >>> d = gu.distributions.Categorical(gu.tensor([1.0, 3.0]))
    >>> d.log_prob(gu.tensor(1)).exp().item(), d.sample((4,)).dtype.name
    (0.75, 'int64')
    """

    has_enumerate_support = True

    @named
    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        given = self._take(probs, logits)
        super().__init__({self._way: given}, given.shape[:-1], (), validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.integer_interval(0, self.classes - 1)

    @property
    def mean(self) -> Tensor:
        return full(self.batch_shape, math.nan, dtype=self.probs.dtype)

    @property
    def mode(self) -> Tensor:
        return self.probs.argmax(-1)

    @property
    def variance(self) -> Tensor:
        return full(self.batch_shape, math.nan, dtype=self.probs.dtype)

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        return self._numbers(shape, generator)

    def _log_prob(self, x: Tensor) -> Tensor:
        return where(x.unsqueeze(-1) == arange(self.classes), self.logits, 0.0).sum(-1)

    def entropy(self) -> Tensor:
        return self._entropy()

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return self._enumerated(arange(self.classes), expand)


class OneHotCategorical(Classes):
    """A class as a vector of one 1, the others 0; probs or logits (…, K)

    >>> gu.distributions.OneHotCategorical(gu.tensor([0.0, 1.0])).sample().tolist()
    [0.0, 1.0]
    """

    has_enumerate_support = True

    @named
    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        given = self._take(probs, logits)
        super().__init__({self._way: given}, given.shape[:-1], given.shape[-1:], validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.one_hot

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        return self._one_hot(self.probs.argmax(-1))

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        return self._one_hot(self._numbers(shape[:-1], generator))

    def _log_prob(self, x: Tensor) -> Tensor:
        return where(x == 1, self.logits, 0.0).sum(-1)

    def entropy(self) -> Tensor:
        return self._entropy()

    def enumerate_support(self, expand: bool = True) -> Tensor:
        n = self.classes
        values = self._one_hot(arange(n)).reshape(n, *(1,) * len(self.batch_shape), n)
        return values.expand(n, *self.batch_shape, n) if expand else values


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """OneHotCategorical whose rsample passes derivatives on to probs as if it were they (Y. Bengio,
    N. Léonard, A. Courville, Estimating or propagating gradients through stochastic neurons, 2013)

    >>> d = gu.distributions.OneHotCategoricalStraightThrough(gu.tensor([0.0, 1.0]))
    >>> d.rsample().tolist()
    [0.0, 1.0]
    """

    has_rsample = True

    def rsample(
        self, sample_shape: Sequence[int] = (), generator: Generator | None = None
    ) -> Tensor:
        drawn, probs = self.sample(sample_shape, generator), self.probs
        return drawn + (probs - probs.detach())


class Multinomial(Classes):
    """How often each class comes among total_count n draws: p(x) = n!/Π xᵢ! · Π pᵢ^xᵢ

    >>> gu.distributions.Multinomial(4, gu.tensor([0.0, 1.0])).sample().tolist()
    [0.0, 4.0]
    """

    @named
    def __init__(
        self, total_count: int = 1, probs: Any = None, logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        if not isinstance(total_count, int) or total_count < 0:
            raise ValueError(
                f"Multinomial: total_count is one whole number from 0 on, not {total_count!r}"
                + at_line()
            )
        self.total_count = total_count
        given = self._take(probs, logits)
        super().__init__(
            {self._way: given}, given.shape[:-1], given.shape[-1:], validate_args,
            {"total_count": total_count},
        )  # fmt: skip

    @property
    def support(self) -> Constraint:
        return constraints.multinomial(self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.probs * self.total_count

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        return self._one_hot(self._numbers((self.total_count, *shape[:-1]), generator)).sum(0)

    def _log_prob(self, x: Tensor) -> Tensor:
        ways = math.lgamma(self.total_count + 1) - lgamma(x + 1).sum(-1)
        return ways + where(x == 0, 0.0, x * self.logits).sum(-1)

    def entropy(self) -> Tensor:
        n = self.total_count
        alone = n * self._entropy() - math.lgamma(n + 1)
        counts = Binomial(n, probs=self.probs, validate_args=False)
        values = counts.enumerate_support(False)[1:]
        shares = counts._log_prob(values).exp()
        return alone + (shares * lgamma(values + 1)).sum((0, -1))
