"""Laws made of others: several as one draw, one of several, one seen through a function.

Must not know what they are made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from groundup.tensor import Generator, Tensor, arange, log_softmax, logsumexp, no_grad, where
from groundup.tensor.errors import at_line, whole_number
from groundup.tensor.misuse import named
from groundup.tensor.pointwise import broadcast

from . import constraints
from .classes import Categorical
from .constraints import Constraint
from .distribution import Distribution
from .location import Normal
from .transforms import ComposeTransform, StickBreakingTransform, Transform, summed


def _law(name: str, value: object) -> None:
    if not isinstance(value, Distribution):
        raise TypeError(f"{name} is made of a law, not of a {type(value).__name__}" + at_line())


class Independent(Distribution):
    """The last n axes of the batch as one draw: log_prob is the sum over them

    >>> d = gu.distributions.Independent(gu.distributions.Normal(gu.zeros(3), 1.0), 1)
    >>> d.batch_shape, d.event_shape, d.log_prob(gu.zeros(3)).shape
    ((), (3,), ())
    """

    @named
    def __init__(
        self, base_distribution: Distribution, reinterpreted_batch_ndims: int,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        _law("Independent", base_distribution)
        n = whole_number("Independent", "reinterpreted_batch_ndims", reinterpreted_batch_ndims)
        batch = base_distribution.batch_shape
        if not 0 <= n <= len(batch):
            raise ValueError(
                f"Independent: {n} axes of the batch as one draw, and it has {len(batch)}"
                + at_line()
            )
        self.base_dist, self.reinterpreted_batch_ndims = base_distribution, n
        self.has_rsample = base_distribution.has_rsample
        keep = len(batch) - n
        event = (*batch[keep:], *base_distribution.event_shape)
        super().__init__({}, batch[:keep], event, validate_args)

    def expand(self, batch_shape: Sequence[int]) -> Self:
        own = self.event_shape[: self.reinterpreted_batch_ndims]
        base = self.base_dist.expand((*batch_shape, *own))
        return type(self)(base, self.reinterpreted_batch_ndims, self._validate)

    @property
    def support(self) -> Constraint:
        return constraints.independent(self.base_dist.support, self.reinterpreted_batch_ndims)

    @property
    def mean(self) -> Tensor:
        return self.base_dist.mean

    @property
    def mode(self) -> Tensor:
        return self.base_dist.mode

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance

    def sample(
        self, sample_shape: Sequence[int] = (), generator: Generator | None = None
    ) -> Tensor:
        return self.base_dist.sample(sample_shape, generator)

    def rsample(
        self, sample_shape: Sequence[int] = (), generator: Generator | None = None
    ) -> Tensor:
        return self.base_dist.rsample(sample_shape, generator)

    def log_prob(self, value: Any) -> Tensor:
        return summed(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self) -> Tensor:
        return summed(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def __repr__(self) -> str:
        return f"Independent({self.base_dist!r}, {self.reinterpreted_batch_ndims})"


class MixtureSameFamily(Distribution):
    """p(x) = Σₖ πₖ·pₖ(x): a Categorical of π, and laws of which the last axis of the batch is k

    >>> from groundup.distributions import Categorical, MixtureSameFamily, Normal
    >>> d = MixtureSameFamily(Categorical(gu.ones(2)), Normal(gu.tensor([-1.0, 1.0]), 1.0))
    >>> d.mean.item(), d.variance.item()
    (0.0, 2.0)
    """

    @named
    def __init__(
        self, mixture_distribution: Categorical, component_distribution: Distribution,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        if not isinstance(mixture_distribution, Categorical):
            raise TypeError(
                f"MixtureSameFamily: the mixture is a Categorical, not a "
                f"{type(mixture_distribution).__name__}" + at_line()
            )
        _law("MixtureSameFamily", component_distribution)
        batch = component_distribution.batch_shape
        k = mixture_distribution.classes
        if not batch or int(batch[-1]) != k:
            raise ValueError(
                f"MixtureSameFamily: the last axis of the components' batch {tuple(batch)} is one "
                f"for each of {k} classes" + at_line()
            )
        broadcast("MixtureSameFamily", mixture_distribution.batch_shape, batch[:-1])
        self.mixture_distribution = mixture_distribution
        self.component_distribution = component_distribution
        super().__init__({}, batch[:-1], component_distribution.event_shape, validate_args)

    def expand(self, batch_shape: Sequence[int]) -> Self:
        components = self.component_distribution.expand(
            (*batch_shape, self.mixture_distribution.classes)
        )
        mixture = self.mixture_distribution.expand(batch_shape)
        return type(self)(mixture, components, self._validate)

    @property
    def support(self) -> Constraint:
        base = self.component_distribution.support
        return Constraint(
            base.text, lambda x: base.check(self._beside(x)).any(-1), base.event_dim,
            base.is_discrete,
        )  # fmt: skip

    def _beside(self, x: Tensor) -> Tensor:
        """Values with an axis for the components."""
        return x.unsqueeze(-1 - len(self.event_shape))

    @property
    def _weights(self) -> Tensor:
        p = self.mixture_distribution.probs
        return p.reshape(*p.shape, *(1,) * len(self.event_shape))

    @property
    def mean(self) -> Tensor:
        d = -1 - len(self.event_shape)
        return (self._weights * self.component_distribution.mean).sum(d)

    @property
    def variance(self) -> Tensor:
        d = -1 - len(self.event_shape)
        within = (self._weights * self.component_distribution.variance).sum(d)
        away = self.component_distribution.mean - self._beside(self.mean)
        return within + (self._weights * away.square()).sum(d)

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        n = len(shape) - len(self.batch_shape) - len(self.event_shape)
        classes = self.mixture_distribution.expand(self.batch_shape).sample(shape[:n], generator)
        values = self.component_distribution.sample(shape[:n], generator)
        chosen = classes.unsqueeze(-1) == arange(self.mixture_distribution.classes)
        chosen = chosen.reshape(*chosen.shape, *(1,) * len(self.event_shape))
        return where(chosen, values, 0).sum(-1 - len(self.event_shape))

    def _log_prob(self, x: Tensor) -> Tensor:
        each = self.component_distribution.log_prob(self._beside(x))
        return logsumexp(each + log_softmax(self.mixture_distribution.logits, -1), -1)

    def _cdf(self, x: Tensor) -> Tensor:
        each = self.component_distribution.cdf(self._beside(x))
        return (each * self.mixture_distribution.probs).sum(-1)

    def _typed(self, value: Tensor) -> Tensor:
        return value

    def __repr__(self) -> str:
        return (
            f"MixtureSameFamily({self.mixture_distribution!r}, {self.component_distribution!r})"
        )


class TransformedDistribution(Distribution):
    """The law of f(x), x of a base law: log p(y) = log p_base(x) − log|dy/dx|

    transforms: one, or a list of which the first is applied first.

    >>> from groundup.distributions import Normal, TransformedDistribution, transforms
    >>> d = TransformedDistribution(Normal(0.0, 1.0), transforms.ExpTransform())
    >>> d.cdf(1.0).item()
    0.5
    """

    @named
    def __init__(
        self, base_distribution: Distribution, transforms: Transform | Sequence[Transform],
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        _law("TransformedDistribution", base_distribution)
        self._all = ComposeTransform(
            [transforms] if isinstance(transforms, Transform) else transforms
        )
        self.transforms = self._all.parts
        more = self._all.event_dim - len(base_distribution.event_shape)
        if more > 0:
            base_distribution = Independent(base_distribution, more)
        self.base_dist, self.has_rsample = base_distribution, base_distribution.has_rsample
        event = self._all.forward_shape(base_distribution.event_shape)
        super().__init__({}, base_distribution.batch_shape, event, validate_args)

    def expand(self, batch_shape: Sequence[int]) -> Self:
        return type(self)(self.base_dist.expand(batch_shape), self.transforms, self._validate)

    @property
    def support(self) -> Constraint:
        if not self.transforms:
            return self.base_dist.support
        last = self.transforms[-1].codomain
        return constraints.independent(last, len(self.event_shape) - last.event_dim)

    def sample(
        self, sample_shape: Sequence[int] = (), generator: Generator | None = None
    ) -> Tensor:
        with no_grad():
            return self._all(self.base_dist.sample(sample_shape, generator))

    def rsample(
        self, sample_shape: Sequence[int] = (), generator: Generator | None = None
    ) -> Tensor:
        return self._all(self.base_dist.rsample(sample_shape, generator))

    def _log_prob(self, y: Tensor) -> Tensor:
        x = self._all.inverse(y)
        stretched = self._all.log_abs_det_jacobian(x, y)
        return self.base_dist.log_prob(x) - summed(
            stretched, len(self.event_shape) - self._all.event_dim
        )

    def _cdf(self, y: Tensor) -> Tensor:
        share = self.base_dist.cdf(self._all.inverse(y))
        turned: Tensor = self._all.sign * (share - 0.5) + 0.5
        return turned

    def icdf(self, value: Any) -> Tensor:
        sign = self._all.sign
        x: Tensor = self.base_dist.icdf(sign * (value - 0.5) + 0.5)
        return self._all(x)

    def _typed(self, value: Tensor) -> Tensor:
        return value

    def __repr__(self) -> str:
        return f"TransformedDistribution({self.base_dist!r}, {self.transforms!r})"


class LogisticNormal(TransformedDistribution):
    """The law of shares (k,) that add up to 1, made of k − 1 normal numbers by breaking a stick

    loc, scale: (…, k − 1), of the Normal. See `transforms.StickBreakingTransform`.

    >>> d = gu.distributions.LogisticNormal(gu.zeros(2), gu.ones(2))
    >>> round(d.sample().sum().item(), 5), d.event_shape
    (1.0, (3,))
    """

    @named
    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        base = Normal(loc, scale, validate_args)
        base._some_axes("loc", base.loc, 1)
        self.loc, self.scale = base.loc, base.scale
        super().__init__(base, StickBreakingTransform(), validate_args)

    def expand(self, batch_shape: Sequence[int]) -> Self:
        size = (*batch_shape, int(self.loc.shape[-1]))
        return type(self)(self.loc.expand(size), self.scale.expand(size), self._validate)
