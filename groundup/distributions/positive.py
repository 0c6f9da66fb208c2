"""Laws of numbers above 0 (or above a least one): of waiting, of sizes, of shares.

Must not know how random numbers are made.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from groundup.tensor import (
    Generator,
    Tensor,
    digamma,
    igamma,
    lgamma,
    randn,
    stack,
    where,
    xlogy,
    zeros,
)
from groundup.tensor.misuse import named
from groundup.tensor.samplers import log_standard_gamma, standard_gamma

from . import constraints
from .constraints import Constraint, Rules
from .distribution import Distribution, tensors
from .location import _EULER, Normal, log_exponential


class Exponential(Distribution):
    """p(x) = λ·e^(−λx), rate λ > 0

    >>> gu.distributions.Exponential(2.0).mean.item()
    0.5
    """

    arg_constraints: ClassVar[Rules] = {"rate": constraints.positive}
    has_rsample = True

    @named
    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = tensors(self._name, rate=rate)
        super().__init__({"rate": self.rate}, self.rate.shape, (), validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.nonnegative

    @property
    def mean(self) -> Tensor:
        return self.rate.reciprocal()

    @property
    def mode(self) -> Tensor:
        return self.rate.detach() * 0

    @property
    def variance(self) -> Tensor:
        return self.rate**-2

    @property
    def stddev(self) -> Tensor:
        return self.rate.reciprocal()

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        return zeros(shape, dtype=self.rate.dtype).exponential_(generator=generator) / self.rate

    def _log_prob(self, x: Tensor) -> Tensor:
        return self.rate.log() - self.rate * x

    def _cdf(self, x: Tensor) -> Tensor:
        return -(-self.rate * x).expm1()

    def _icdf(self, p: Tensor) -> Tensor:
        return -(-p).log1p() / self.rate

    def entropy(self) -> Tensor:
        return 1 - self.rate.log()


class Gamma(Distribution):
    """p(x) = β^α·x^(α−1)·e^(−βx) / Γ(α), concentration α > 0, rate β > 0

    rsample has derivatives by α too: along the curve on which the cdf is constant (M. Figurnov,
    S. Mohamed, A. Mnih, Implicit reparameterization gradients, 2018).

    >>> gu.distributions.Gamma(3.0, 2.0).mean.item()
    1.5
    """

    arg_constraints: ClassVar[Rules] = {
        "concentration": constraints.positive, "rate": constraints.positive
    }  # fmt: skip
    has_rsample = True

    @named
    def __init__(
        self, concentration: Any, rate: Any, validate_args: bool | None = None
    ) -> None:
        self.concentration, self.rate = tensors(self._name, concentration=concentration, rate=rate)
        super().__init__(
            {"concentration": self.concentration, "rate": self.rate}, self.rate.shape, (),
            validate_args,
        )  # fmt: skip

    @property
    def support(self) -> Constraint:
        return constraints.nonnegative

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.rate

    @property
    def mode(self) -> Tensor:
        return ((self.concentration - 1) / self.rate).clamp_min(0)

    @property
    def variance(self) -> Tensor:
        return self.concentration / self.rate.square()

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        return standard_gamma(self.concentration.expand(shape), generator) / self.rate

    def _log_prob(self, x: Tensor) -> Tensor:
        a, b = self.concentration, self.rate
        return xlogy(a, b) + xlogy(a - 1, x) - b * x - lgamma(a)

    def _cdf(self, x: Tensor) -> Tensor:
        return igamma(self.concentration, self.rate * x)

    def entropy(self) -> Tensor:
        a = self.concentration
        return a - self.rate.log() + lgamma(a) + (1 - a) * digamma(a)


class Chi2(Gamma):
    """The law of the sum of df squares of standard normal numbers: Gamma(df/2, ½)

    >>> gu.distributions.Chi2(3.0).mean.item()
    3.0
    """

    arg_constraints: ClassVar[Rules] = {"df": constraints.positive}

    @named
    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        (self.df,) = tensors(self._name, df=df)
        self.concentration, self.rate = 0.5 * self.df, 0.5 + 0 * self.df.detach()
        Distribution.__init__(self, {"df": self.df}, self.df.shape, (), validate_args)


class StudentT(Distribution):
    """The law of loc + scale·z/√(c/df), z standard normal, c of Chi2(df)

    p(x) = Γ((ν+1)/2) / (Γ(ν/2)·√(νπ)·σ) · (1 + t²/ν)^(−(ν+1)/2), t = (x − μ)/σ, df ν > 0

    >>> gu.distributions.StudentT(5.0).mean.item()
    0.0
    """

    arg_constraints: ClassVar[Rules] = {
        "df": constraints.positive, "loc": constraints.real, "scale": constraints.positive
    }  # fmt: skip
    has_rsample = True

    @named
    def __init__(
        self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        self.df, self.loc, self.scale = tensors(self._name, df=df, loc=loc, scale=scale)
        given = {"df": self.df, "loc": self.loc, "scale": self.scale}
        super().__init__(given, self.df.shape, (), validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.real

    @property
    def mean(self) -> Tensor:
        return where(self.df > 1, self.loc, math.nan)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        safe = where(self.df > 2, self.df, 3.0)
        found = self.scale.square() * safe / (safe - 2)
        wide = where(self.df > 1, math.inf, math.nan)
        return where(self.df > 2, found, wide)

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        z = randn(shape, dtype=self.loc.dtype, generator=generator)
        half = 0.5 * self.df
        log_c = log_standard_gamma(half.expand(shape), generator)
        return self.loc + self.scale * (z * (-0.5 * (log_c - half.log())).exp())

    def _log_prob(self, x: Tensor) -> Tensor:
        v = self.df
        t = (x - self.loc) / self.scale
        whole = self.scale.log() + 0.5 * v.log() + 0.5 * math.log(math.pi)
        whole = whole + lgamma(0.5 * v) - lgamma(0.5 * (v + 1))
        return -0.5 * (v + 1) * (t.square() / v).log1p() - whole

    def entropy(self) -> Tensor:
        v = self.df
        log_beta = lgamma(0.5 * v) + math.lgamma(0.5) - lgamma(0.5 * (1 + v))
        spread = digamma(0.5 * (1 + v)) - digamma(0.5 * v)
        return self.scale.log() + 0.5 * (v + 1) * spread + 0.5 * v.log() + log_beta


class FisherSnedecor(Distribution):
    """The law of (c₁/df1)/(c₂/df2), c₁ of Chi2(df1), c₂ of Chi2(df2)

    >>> gu.distributions.FisherSnedecor(2.0, 4.0).mean.item()
    2.0
    """

    arg_constraints: ClassVar[Rules] = {"df1": constraints.positive, "df2": constraints.positive}
    has_rsample = True

    @named
    def __init__(self, df1: Any, df2: Any, validate_args: bool | None = None) -> None:
        self.df1, self.df2 = tensors(self._name, df1=df1, df2=df2)
        super().__init__({"df1": self.df1, "df2": self.df2}, self.df1.shape, (), validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.positive

    @property
    def mean(self) -> Tensor:
        safe = where(self.df2 > 2, self.df2, 3.0)
        return where(self.df2 > 2, safe / (safe - 2), math.nan)

    @property
    def mode(self) -> Tensor:
        found = (self.df1 - 2) / self.df1 * self.df2 / (self.df2 + 2)
        return where(self.df1 > 2, found, math.nan)

    @property
    def variance(self) -> Tensor:
        m = where(self.df2 > 4, self.df2, 5.0)
        found = 2 * m.square() * (self.df1 + m - 2)
        found = found / (self.df1 * (m - 2).square() * (m - 4))
        return where(self.df2 > 4, found, math.nan)

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        logs = [
            log_standard_gamma((0.5 * d).expand(shape), generator) - (0.5 * d).log()
            for d in (self.df1, self.df2)
        ]
        return (logs[0] - logs[1]).exp()

    def _log_prob(self, x: Tensor) -> Tensor:
        a, b = 0.5 * self.df1, 0.5 * self.df2
        ratio = self.df1 / self.df2
        whole = lgamma(a + b) - lgamma(a) - lgamma(b)
        return whole + a * ratio.log() + (a - 1) * x.log() - (a + b) * (ratio * x).log1p()


class Dirichlet(Distribution):
    """p(x) = Γ(Σ αᵢ) / Π Γ(αᵢ) · Π xᵢ^(αᵢ−1) on vectors of shares, concentration α > 0

    rsample: shares of gamma numbers, made of their logarithms, so that small α do not vanish.

    >>> gu.distributions.Dirichlet(gu.tensor([1.0, 3.0])).mean.tolist()
    [0.25, 0.75]
    """

    arg_constraints: ClassVar[Rules] = {
        "concentration": constraints.independent(constraints.positive, 1)
    }  # fmt: skip
    has_rsample = True

    @named
    def __init__(self, concentration: Any, validate_args: bool | None = None) -> None:
        (self.concentration,) = tensors(self._name, concentration=concentration)
        self._some_axes("concentration", self.concentration, 1)
        shape = self.concentration.shape
        given = {"concentration": self.concentration}
        super().__init__(given, shape[:-1], shape[-1:], validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.simplex

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.concentration.sum(-1, keepdim=True)

    @property
    def mode(self) -> Tensor:
        above = (self.concentration - 1).clamp_min(0)
        shares = above / above.sum(-1, keepdim=True)
        low = (self.concentration < 1).all(-1, keepdim=True)
        first = self.concentration == self.concentration.amax(-1, keepdim=True)
        first = first & (first.long().cumsum(-1) == 1)
        return where(low, first.to(shares.dtype), shares)

    @property
    def variance(self) -> Tensor:
        total = self.concentration.sum(-1, keepdim=True)
        a = self.concentration
        return a * (total - a) / (total.square() * (total + 1))

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        return log_standard_gamma(self.concentration.expand(shape), generator).softmax(-1)

    def _log_prob(self, x: Tensor) -> Tensor:
        a = self.concentration
        return xlogy(a - 1, x).sum(-1) + lgamma(a.sum(-1)) - lgamma(a).sum(-1)

    def entropy(self) -> Tensor:
        a = self.concentration
        k, total = a.shape[-1], a.sum(-1)
        whole = lgamma(a).sum(-1) - lgamma(total) - (k - total) * digamma(total)
        return whole - ((a - 1) * digamma(a)).sum(-1)


class Beta(Distribution):
    """p(x) = x^(α−1)·(1 − x)^(β−1) / B(α, β) on shares, concentration1 α, concentration0 β > 0

    >>> gu.distributions.Beta(1.0, 3.0).mean.item()
    0.25
    """

    arg_constraints: ClassVar[Rules] = {
        "concentration1": constraints.positive, "concentration0": constraints.positive
    }  # fmt: skip
    has_rsample = True

    @named
    def __init__(
        self, concentration1: Any, concentration0: Any, validate_args: bool | None = None
    ) -> None:
        self.concentration1, self.concentration0 = tensors(
            self._name, concentration1=concentration1, concentration0=concentration0
        )
        given = {"concentration1": self.concentration1, "concentration0": self.concentration0}
        super().__init__(given, self.concentration1.shape, (), validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.unit_interval

    @property
    def mean(self) -> Tensor:
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def mode(self) -> Tensor:
        both = stack([self.concentration1, self.concentration0], -1)
        return Dirichlet(both, validate_args=False).mode[..., 0]

    @property
    def variance(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        total = a + b
        return a * b / (total.square() * (total + 1))

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        logs = [
            log_standard_gamma(a.expand(shape), generator)
            for a in (self.concentration1, self.concentration0)
        ]
        return (logs[0] - logs[1]).sigmoid()

    def _log_prob(self, x: Tensor) -> Tensor:
        a, b = self.concentration1, self.concentration0
        return xlogy(a - 1, x) + xlogy(b - 1, 1 - x) + lgamma(a + b) - lgamma(a) - lgamma(b)

    def entropy(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        whole = lgamma(a) + lgamma(b) - lgamma(a + b) - (2 - a - b) * digamma(a + b)
        return whole - (a - 1) * digamma(a) - (b - 1) * digamma(b)


class Weibull(Distribution):
    """p(x) = k/λ·(x/λ)^(k−1)·e^(−(x/λ)^k), scale λ > 0, concentration k > 0

    >>> gu.distributions.Weibull(2.0, 1.0).mean.item()
    2.0
    """

    arg_constraints: ClassVar[Rules] = {
        "scale": constraints.positive, "concentration": constraints.positive
    }  # fmt: skip
    has_rsample = True

    @named
    def __init__(
        self, scale: Any, concentration: Any, validate_args: bool | None = None
    ) -> None:
        self.scale, self.concentration = tensors(
            self._name, scale=scale, concentration=concentration
        )
        given = {"scale": self.scale, "concentration": self.concentration}
        super().__init__(given, self.scale.shape, (), validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.positive

    def _moment(self, n: int) -> Tensor:
        return lgamma(1 + n / self.concentration).exp()

    @property
    def mean(self) -> Tensor:
        return self.scale * self._moment(1)

    @property
    def mode(self) -> Tensor:
        k = self.concentration
        above = ((k - 1) / k).clamp_min(0)
        return self.scale * above ** k.reciprocal()

    @property
    def variance(self) -> Tensor:
        return self.scale.square() * (self._moment(2) - self._moment(1).square())

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        log = log_exponential(shape, self.scale, generator)
        return self.scale * (log / self.concentration).exp()

    def _log_prob(self, x: Tensor) -> Tensor:
        k = self.concentration
        log = x.log() - self.scale.log()
        return k.log() - self.scale.log() + (k - 1) * log - (k * log).exp()

    def _cdf(self, x: Tensor) -> Tensor:
        return -(-((x / self.scale) ** self.concentration)).expm1()

    def _icdf(self, p: Tensor) -> Tensor:
        return self.scale * (-(-p).log1p()) ** self.concentration.reciprocal()

    def entropy(self) -> Tensor:
        inverse = self.concentration.reciprocal()
        return _EULER * (1 - inverse) + (self.scale * inverse).log() + 1


class Pareto(Distribution):
    """p(x) = α·m^α / x^(α+1) from m on, scale m > 0, alpha α > 0

    >>> gu.distributions.Pareto(1.0, 2.0).mean.item()
    2.0
    """

    arg_constraints: ClassVar[Rules] = {
        "scale": constraints.positive, "alpha": constraints.positive
    }  # fmt: skip
    has_rsample = True

    @named
    def __init__(self, scale: Any, alpha: Any, validate_args: bool | None = None) -> None:
        self.scale, self.alpha = tensors(self._name, scale=scale, alpha=alpha)
        given = {"scale": self.scale, "alpha": self.alpha}
        super().__init__(given, self.scale.shape, (), validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.greater_than_eq(self.scale)

    @property
    def mean(self) -> Tensor:
        a = self.alpha.clamp_min(1)
        return a * self.scale / (a - 1)

    @property
    def mode(self) -> Tensor:
        return self.scale

    @property
    def variance(self) -> Tensor:
        a = self.alpha.clamp_min(2)
        return self.scale.square() * a / ((a - 1).square() * (a - 2))

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        drawn = zeros(shape, dtype=self.scale.dtype).exponential_(generator=generator)
        return self.scale * (drawn / self.alpha).exp()

    def _log_prob(self, x: Tensor) -> Tensor:
        return self.alpha.log() + self.alpha * self.scale.log() - (self.alpha + 1) * x.log()

    def _cdf(self, x: Tensor) -> Tensor:
        return -(self.alpha * (self.scale.log() - x.log())).expm1()

    def _icdf(self, p: Tensor) -> Tensor:
        return self.scale * (-(-p).log1p() / self.alpha).exp()

    def entropy(self) -> Tensor:
        return (self.scale / self.alpha).log() + 1 + self.alpha.reciprocal()


class LogNormal(Distribution):
    """The law of e^z, z of Normal(loc, scale)

    >>> gu.distributions.LogNormal(0.0, 1.0).cdf(1.0).item()
    0.5
    """

    arg_constraints: ClassVar[Rules] = {"loc": constraints.real, "scale": constraints.positive}
    has_rsample = True

    @named
    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = tensors(self._name, loc=loc, scale=scale)
        self._normal = Normal(self.loc, self.scale, validate_args=False)
        super().__init__({"loc": self.loc, "scale": self.scale}, self.loc.shape, (), validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.positive

    @property
    def mean(self) -> Tensor:
        return (self.loc + self.scale.square() / 2).exp()

    @property
    def mode(self) -> Tensor:
        return (self.loc - self.scale.square()).exp()

    @property
    def variance(self) -> Tensor:
        s = self.scale.square()
        return s.expm1() * (2 * self.loc + s).exp()

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        return self._normal._draw(shape, generator).exp()

    def _log_prob(self, x: Tensor) -> Tensor:
        log = x.log()
        return self._normal._log_prob(log) - log

    def _cdf(self, x: Tensor) -> Tensor:
        return self._normal._cdf(x.log())

    def _icdf(self, p: Tensor) -> Tensor:
        return self._normal._icdf(p).exp()

    def entropy(self) -> Tensor:
        return self._normal.entropy() + self.loc
