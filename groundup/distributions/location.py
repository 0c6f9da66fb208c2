"""Laws of a place and a width on the whole line, or on half of it folded over.

Must not know how random numbers are made.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from groundup.tensor import Generator, Tensor, erf, erfinv, randn, where, zeros
from groundup.tensor import rand as uniform
from groundup.tensor.misuse import named

from . import constraints
from .constraints import Constraint, Rules
from .distribution import Distribution, tensors

_LOG_2PI = math.log(2 * math.pi)
_EULER = 0.5772156649015328606  # γ, the mean of the standard Gumbel law


class Normal(Distribution):
    """p(x) = e^(−(x − μ)²/(2σ²)) / (σ·√(2π)), loc μ, scale σ > 0

    >>> d = gu.distributions.Normal(0.0, 1.0)
    >>> round(d.log_prob(0.0).item(), 4), d.cdf(0.0).item()
    (-0.9189, 0.5)
    """

    arg_constraints: ClassVar[Rules] = {"loc": constraints.real, "scale": constraints.positive}
    has_rsample = True

    @named
    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = tensors(self._name, loc=loc, scale=scale)
        super().__init__({"loc": self.loc, "scale": self.scale}, self.loc.shape, (), validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.real

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.scale.square()

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        return self.loc + self.scale * randn(shape, dtype=self.loc.dtype, generator=generator)

    def _log_prob(self, x: Tensor) -> Tensor:
        z = (x - self.loc) / self.scale
        return -0.5 * z.square() - self.scale.log() - 0.5 * _LOG_2PI

    def _cdf(self, x: Tensor) -> Tensor:
        return 0.5 * (1 + erf((x - self.loc) / (self.scale * math.sqrt(2))))

    def _icdf(self, p: Tensor) -> Tensor:
        return self.loc + self.scale * (erfinv(2 * p - 1) * math.sqrt(2))

    def entropy(self) -> Tensor:
        return self.scale.log() + 0.5 * (1 + _LOG_2PI)


class Laplace(Distribution):
    """p(x) = e^(−|x − μ|/b) / (2b), loc μ, scale b > 0

    >>> gu.distributions.Laplace(0.0, 0.5).cdf(0.0).item()
    0.5
    """

    arg_constraints: ClassVar[Rules] = {"loc": constraints.real, "scale": constraints.positive}
    has_rsample = True

    @named
    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = tensors(self._name, loc=loc, scale=scale)
        super().__init__({"loc": self.loc, "scale": self.scale}, self.loc.shape, (), validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.real

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return 2 * self.scale.square()

    @property
    def stddev(self) -> Tensor:
        return math.sqrt(2) * self.scale

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        kind = self.loc.dtype
        size = zeros(shape, dtype=kind).exponential_(generator=generator)
        side = zeros(shape, dtype=kind).bernoulli_(0.5, generator=generator)
        return self.loc + self.scale * (size * (2 * side - 1))

    def _log_prob(self, x: Tensor) -> Tensor:
        return -(2 * self.scale).log() - (x - self.loc).abs() / self.scale

    def _cdf(self, x: Tensor) -> Tensor:
        away = x - self.loc
        return 0.5 - 0.5 * away.sign() * (-away.abs() / self.scale).expm1()

    def _icdf(self, p: Tensor) -> Tensor:
        away = p - 0.5
        return self.loc - self.scale * away.sign() * (-2 * away.abs()).log1p()

    def entropy(self) -> Tensor:
        return 1 + (2 * self.scale).log()


class Cauchy(Distribution):
    """p(x) = 1 / (π·γ·(1 + ((x − x₀)/γ)²)), loc x₀, scale γ > 0; without a mean

    >>> gu.distributions.Cauchy(0.0, 1.0).cdf(1.0).item()
    0.75
    """

    arg_constraints: ClassVar[Rules] = {"loc": constraints.real, "scale": constraints.positive}
    has_rsample = True

    @named
    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = tensors(self._name, loc=loc, scale=scale)
        super().__init__({"loc": self.loc, "scale": self.scale}, self.loc.shape, (), validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.real

    @property
    def mean(self) -> Tensor:
        return self.loc.detach() * math.nan

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.loc.detach() * 0 + math.inf

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        return self.loc + self.scale * zeros(shape, dtype=self.loc.dtype).cauchy_(
            generator=generator
        )

    def _log_prob(self, x: Tensor) -> Tensor:
        z = (x - self.loc) / self.scale
        return -math.log(math.pi) - self.scale.log() - z.square().log1p()

    def _cdf(self, x: Tensor) -> Tensor:
        return ((x - self.loc) / self.scale).atan() / math.pi + 0.5

    def _icdf(self, p: Tensor) -> Tensor:
        return (math.pi * (p - 0.5)).tan() * self.scale + self.loc

    def entropy(self) -> Tensor:
        return math.log(4 * math.pi) + self.scale.log()


class Gumbel(Distribution):
    """p(x) = e^(−z − e^(−z)) / β, z = (x − μ)/β, loc μ, scale β > 0

    >>> round(gu.distributions.Gumbel(0.0, 1.0).mean.item(), 4)
    0.5772
    """

    arg_constraints: ClassVar[Rules] = {"loc": constraints.real, "scale": constraints.positive}
    has_rsample = True

    @named
    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = tensors(self._name, loc=loc, scale=scale)
        super().__init__({"loc": self.loc, "scale": self.scale}, self.loc.shape, (), validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.real

    @property
    def mean(self) -> Tensor:
        return self.loc + _EULER * self.scale

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return (math.pi**2 / 6) * self.scale.square()

    @property
    def stddev(self) -> Tensor:
        return (math.pi / math.sqrt(6)) * self.scale

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        return self.loc - self.scale * log_exponential(shape, self.loc, generator)

    def _log_prob(self, x: Tensor) -> Tensor:
        z = (x - self.loc) / self.scale
        return -z - (-z).exp() - self.scale.log()

    def _cdf(self, x: Tensor) -> Tensor:
        return (-(-(x - self.loc) / self.scale).exp()).exp()

    def _icdf(self, p: Tensor) -> Tensor:
        return self.loc - self.scale * (-p.log()).log()

    def entropy(self) -> Tensor:
        return self.scale.log() + (1 + _EULER)


def log_exponential(
    shape: tuple[int, ...], like: Tensor, generator: Generator | None
) -> Tensor:
    """Logarithms of numbers of the standard exponential law; the negative ones are Gumbel's."""
    drawn = zeros(shape, dtype=like.dtype).exponential_(generator=generator)
    return drawn.clamp_min(like.dtype.smallest_normal).log()


class Uniform(Distribution):
    """p(x) = 1 / (high − low) from low up to but without high

    >>> d = gu.distributions.Uniform(0.0, 4.0)
    >>> d.mean.item(), d.cdf(1.0).item(), d.entropy().item() == d.log_prob(3.0).neg().item()
    (2.0, 0.25, True)
    """

    arg_constraints: ClassVar[Rules] = {"low": constraints.real, "high": constraints.real}
    has_rsample = True

    @named
    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = tensors(self._name, low=low, high=high)
        super().__init__({"low": self.low, "high": self.high}, self.low.shape, (), validate_args)
        self._require("low", self.low, "high", self.high)

    @property
    def support(self) -> Constraint:
        return constraints.interval(self.low, self.high)

    @property
    def mean(self) -> Tensor:
        return (self.high + self.low) / 2

    @property
    def mode(self) -> Tensor:
        return self.high.detach() * math.nan

    @property
    def variance(self) -> Tensor:
        return (self.high - self.low).square() / 12

    @property
    def stddev(self) -> Tensor:
        return (self.high - self.low) / math.sqrt(12)

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        u = uniform(shape, dtype=self.low.dtype, generator=generator)
        return self.low + u * (self.high - self.low)

    def _log_prob(self, x: Tensor) -> Tensor:
        inside = (self.low <= x) & (x < self.high)
        return where(inside, 0.0, -math.inf) - (self.high - self.low).log()

    def _cdf(self, x: Tensor) -> Tensor:
        return ((x - self.low) / (self.high - self.low)).clamp(0, 1)

    def _icdf(self, p: Tensor) -> Tensor:
        return p * (self.high - self.low) + self.low

    def entropy(self) -> Tensor:
        return (self.high - self.low).log()


class HalfNormal(Distribution):
    """The law of |x|, x of Normal(0, scale)

    >>> gu.distributions.HalfNormal(1.0).mode.item()
    0.0
    """

    arg_constraints: ClassVar[Rules] = {"scale": constraints.positive}
    has_rsample = True

    @named
    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        (self.scale,) = tensors(self._name, scale=scale)
        super().__init__({"scale": self.scale}, self.scale.shape, (), validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.nonnegative

    @property
    def mean(self) -> Tensor:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def mode(self) -> Tensor:
        return self.scale.detach() * 0

    @property
    def variance(self) -> Tensor:
        return self.scale.square() * (1 - 2 / math.pi)

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        return (self.scale * randn(shape, dtype=self.scale.dtype, generator=generator)).abs()

    def _log_prob(self, x: Tensor) -> Tensor:
        z = x / self.scale
        inside = -0.5 * z.square() - self.scale.log() + (math.log(2) - 0.5 * _LOG_2PI)
        return where(x >= 0, inside, -math.inf)

    def _cdf(self, x: Tensor) -> Tensor:
        return erf(x / (self.scale * math.sqrt(2)))

    def _icdf(self, p: Tensor) -> Tensor:
        return self.scale * erfinv(p) * math.sqrt(2)

    def entropy(self) -> Tensor:
        return self.scale.log() + (0.5 * (1 + _LOG_2PI) - math.log(2))


class HalfCauchy(Distribution):
    """The law of |x|, x of Cauchy(0, scale)

    >>> gu.distributions.HalfCauchy(1.0).cdf(1.0).item()
    0.5
    """

    arg_constraints: ClassVar[Rules] = {"scale": constraints.positive}
    has_rsample = True

    @named
    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        (self.scale,) = tensors(self._name, scale=scale)
        super().__init__({"scale": self.scale}, self.scale.shape, (), validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.nonnegative

    @property
    def mean(self) -> Tensor:
        return self.scale.detach() * 0 + math.inf

    @property
    def mode(self) -> Tensor:
        return self.scale.detach() * 0

    @property
    def variance(self) -> Tensor:
        return self.scale.detach() * 0 + math.inf

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        drawn = zeros(shape, dtype=self.scale.dtype).cauchy_(generator=generator)
        return self.scale * drawn.abs()

    def _log_prob(self, x: Tensor) -> Tensor:
        inside = math.log(2 / math.pi) - self.scale.log() - (x / self.scale).square().log1p()
        return where(x >= 0, inside, -math.inf)

    def _cdf(self, x: Tensor) -> Tensor:
        return (x / self.scale).atan() * (2 / math.pi)

    def _icdf(self, p: Tensor) -> Tensor:
        return (p * (math.pi / 2)).tan() * self.scale

    def entropy(self) -> Tensor:
        return math.log(2 * math.pi) + self.scale.log()
