"""Laws of shares, angles and inverses: relaxed classes, Kumaraswamy's, von Mises', inverse gamma.

Must not know how random numbers are made.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from groundup.tensor import (
    Generator,
    Tensor,
    digamma,
    igammac,
    lgamma,
    logsumexp,
    rand,
    where,
    zeros,
)
from groundup.tensor.misuse import named
from groundup.tensor.samplers import log_standard_gamma, von_mises
from groundup.tensor.special import i0e, i1e

from . import constraints
from .classes import Classes
from .constraints import Constraint, Rules
from .counts import Binary, softplus
from .distribution import Distribution, as_tensor, tensors
from .location import _EULER, log_exponential


class InverseGamma(Distribution):
    """The law of 1/x, x of Gamma(concentration α, rate β): p(x) = β^α·x^(−α−1)·e^(−β/x) / Γ(α)

    >>> gu.distributions.InverseGamma(3.0, 2.0).mean.item()
    1.0
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
        return constraints.positive

    @property
    def mean(self) -> Tensor:
        a = where(self.concentration > 1, self.concentration, 2.0)
        return where(self.concentration > 1, self.rate / (a - 1), math.inf)

    @property
    def mode(self) -> Tensor:
        return self.rate / (self.concentration + 1)

    @property
    def variance(self) -> Tensor:
        a = where(self.concentration > 2, self.concentration, 3.0)
        found = self.rate.square() / ((a - 1).square() * (a - 2))
        return where(self.concentration > 2, found, math.inf)

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        return self.rate * (-log_standard_gamma(self.concentration.expand(shape), generator)).exp()

    def _log_prob(self, x: Tensor) -> Tensor:
        a, b = self.concentration, self.rate
        return a * b.log() - (a + 1) * x.log() - b / x - lgamma(a)

    def _cdf(self, x: Tensor) -> Tensor:
        return igammac(self.concentration, self.rate / x)

    def entropy(self) -> Tensor:
        a = self.concentration
        return a + self.rate.log() + lgamma(a) - (1 + a) * digamma(a)


class Kumaraswamy(Distribution):
    """p(x) = a·b·x^(a−1)·(1 − x^a)^(b−1) on shares, concentration1 a, concentration0 b > 0

    >>> gu.distributions.Kumaraswamy(1.0, 1.0).cdf(0.25).item()
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

    def _moment(self, n: int) -> Tensor:
        a, b = 1 + n / self.concentration1, self.concentration0
        return (b.log() + lgamma(a) + lgamma(b) - lgamma(a + b)).exp()

    @property
    def mean(self) -> Tensor:
        return self._moment(1)

    @property
    def mode(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        inside = (a >= 1) & (b >= 1) & (a * b > 1)
        ratio = where(inside, a - 1, 1.0) / where(inside, a * b - 1, 1.0)
        return where(inside, ratio ** a.reciprocal(), math.nan)

    @property
    def variance(self) -> Tensor:
        return self._moment(2) - self._moment(1).square()

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        wait = zeros(shape, dtype=self.concentration1.dtype).exponential_(generator=generator)
        return (-(-wait / self.concentration0).expm1()) ** self.concentration1.reciprocal()

    def _log_prob(self, x: Tensor) -> Tensor:
        a, b = self.concentration1, self.concentration0
        return a.log() + b.log() + (a - 1) * x.log() + (b - 1) * (-(x**a)).log1p()

    def _cdf(self, x: Tensor) -> Tensor:
        return -(self.concentration0 * (-(x**self.concentration1)).log1p()).expm1()

    def _icdf(self, p: Tensor) -> Tensor:
        below = -((-p).log1p() / self.concentration0).expm1()
        return below ** self.concentration1.reciprocal()

    def entropy(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        harmonic = digamma(b + 1) + _EULER
        return 1 - b.reciprocal() + (1 - a.reciprocal()) * harmonic - a.log() - b.log()


class VonMises(Distribution):
    """p(x) = e^(κ·cos(x − μ)) / (2π·I₀(κ)) on angles, loc μ, concentration κ > 0

    variance is that of angles, 1 − I₁(κ)/I₀(κ).

    >>> round(gu.distributions.VonMises(0.0, 1.0).log_prob(0.0).item(), 4)
    -1.0738
    """

    arg_constraints: ClassVar[Rules] = {
        "loc": constraints.real, "concentration": constraints.positive
    }  # fmt: skip

    @named
    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = tensors(self._name, loc=loc, concentration=concentration)
        given = {"loc": self.loc, "concentration": self.concentration}
        super().__init__(given, self.loc.shape, (), validate_args)

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
        return 1 - i1e(self.concentration) / i0e(self.concentration)

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        angle = self.loc + von_mises(self.concentration.expand(shape), generator)
        return (angle + math.pi) % (2 * math.pi) - math.pi

    def _log_prob(self, x: Tensor) -> Tensor:
        k = self.concentration
        return k * ((x - self.loc).cos() - 1) - math.log(2 * math.pi) - i0e(k).log()


class RelaxedBernoulli(Binary):
    """A share near 0 or 1, the nearer the lower the temperature t > 0: sigmoid((logit p + z)/t), z
    of the logistic law; probs or logits

    Source: C. Maddison, A. Mnih, Y. W. Teh, The concrete distribution, 2017.

    >>> gu.distributions.RelaxedBernoulli(0.5, 0.3).rsample((2,)).shape
    (2,)
    """

    arg_constraints: ClassVar[Rules] = {
        "temperature": constraints.positive, "probs": constraints.unit_interval,
        "logits": constraints.real,
    }  # fmt: skip
    has_rsample = True

    @named
    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        given = self._take(probs, logits)
        both = {"temperature": temperature, self._way: given[self._way]}
        given = dict(zip(both, tensors(self._name, **both), strict=True))
        self.temperature = given["temperature"]
        super().__init__(given, given[self._way].shape, (), validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.unit_interval

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        logits = self.logits
        above, below = (log_exponential(shape, logits, generator) for _ in range(2))
        return ((logits + above - below) / self.temperature).sigmoid()

    def _log_prob(self, x: Tensor) -> Tensor:
        y = x.log() - (-x).log1p()
        away = self.logits - y * self.temperature
        inner = self.temperature.log() + away - 2 * softplus(away)
        return inner + softplus(-y) + softplus(y)


class RelaxedOneHotCategorical(Classes):
    """Shares near a vector of one 1, the nearer the lower the temperature t > 0:
    softmax((log p + g)/t), g of the standard Gumbel law; probs or logits (…, K)

    Source: C. Maddison, A. Mnih, Y. W. Teh, The concrete distribution, 2017.

    >>> gu.distributions.RelaxedOneHotCategorical(0.5, gu.ones(3)).rsample().shape
    (3,)
    """

    arg_constraints: ClassVar[Rules] = {
        "temperature": constraints.independent(constraints.positive, 1),
        **Classes.arg_constraints,
    }
    has_rsample = True

    @named
    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        given = self._take(probs, logits)
        self.temperature = as_tensor(temperature, given.dtype).expand(given.shape)
        super().__init__(
            {"temperature": self.temperature, self._way: given}, given.shape[:-1],
            given.shape[-1:], validate_args,
        )  # fmt: skip

    @property
    def support(self) -> Constraint:
        return constraints.simplex

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        logits = self.logits
        noise = log_exponential(shape, logits, generator)
        return ((logits - noise) / self.temperature).softmax(-1)

    def _log_prob(self, x: Tensor) -> Tensor:
        t, n = self.temperature[..., 0], self.classes
        y = x.log()
        score = self.logits - y * self.temperature
        inner = (score - logsumexp(score, -1, keepdim=True)).sum(-1)
        return inner + math.lgamma(n) + (n - 1) * t.log() - y.sum(-1)


class ContinuousBernoulli(Binary):
    """p(x) = C(λ)·λ^x·(1 − λ)^(1−x) on shares, C(λ) = 2·artanh(1 − 2λ) / (1 − 2λ), 2 at λ = ½

    Where |λ − ½| is small, moments and log C are taken from their series, which loses no digits.
    Source: G. Loaiza-Ganem, J. Cunningham, The continuous Bernoulli, 2019.

    >>> d = gu.distributions.ContinuousBernoulli(0.5)
    >>> d.mean.item(), round(d.log_prob(0.3).item(), 6)
    (0.5, 0.0)
    """

    arg_constraints: ClassVar[Rules] = {
        "probs": constraints.unit_interval, "logits": constraints.real
    }  # fmt: skip
    has_rsample = True

    @named
    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        given = self._take(probs, logits)
        super().__init__(given, given[self._way].shape, (), validate_args)

    @property
    def support(self) -> Constraint:
        return constraints.unit_interval

    def _near(self) -> tuple[Tensor, Tensor, Tensor]:
        """Is the logit l so near 0 that series are taken; l, or 1 where they are; l², or 0."""
        logits = self.logits
        near = logits.abs() < 0.3
        return near, where(near, 1.0, logits), where(near, logits, 0.0).square()

    def _log_norm(self) -> Tensor:
        """log C = log(l / tanh(l/2))"""
        near, far, square = self._near()
        series = math.log(2) + square * _series(square, _LOG_NORM)
        return where(near, series, (far / (0.5 * far).tanh()).log())

    @property
    def mean(self) -> Tensor:
        near, far, square = self._near()
        series = 0.5 + self.logits * _series(square, _MEAN)
        return where(near, series, -(-far).expm1().reciprocal() - far.reciprocal())

    @property
    def variance(self) -> Tensor:
        near, far, square = self._near()
        slopes = [(2 * k + 1) * c for k, c in enumerate(_MEAN)]  # dE[x]/dl
        found = far**-2 - 0.25 / (0.5 * far).sinh().square()
        return where(near, _series(square, slopes), found)

    def _tiny(self) -> tuple[Tensor, Tensor, Tensor]:
        """Is l so near 0 that three terms of a series are exact; −|l|, or −1 where they are; l."""
        tiny = self.logits.abs() < 1e-4
        return tiny, where(tiny, -1.0, -self.logits.abs()), where(tiny, self.logits, 0.0)

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        return self._icdf(rand(shape, dtype=self.logits.dtype, generator=generator))

    def _log_prob(self, x: Tensor) -> Tensor:
        return x * self.logits - softplus(self.logits) + self._log_norm()

    def _cdf(self, x: Tensor) -> Tensor:
        """(e^(x·l) − 1) / (e^l − 1), for l > 0 as 1 − that of 1 − x and −l: nothing overflows."""
        tiny, low, small = self._tiny()
        up = self.logits > 0
        y = where(up, 1 - x, x)
        share = (y * low).expm1() / low.expm1()
        series = x + small * x * (x - 1) / 2 * (1 + small * (2 * x - 1) / 6)
        return where(tiny, series, where(up, 1 - share, share))

    def _icdf(self, p: Tensor) -> Tensor:
        tiny, low, small = self._tiny()
        up = self.logits > 0
        y = (where(up, 1 - p, p) * low.expm1()).log1p() / low
        series = p - small * p * (p - 1) / 2 * (1 - small * (2 * p - 1) / 3)
        return where(tiny, series, where(up, 1 - y, y))

    def entropy(self) -> Tensor:
        return softplus(self.logits) - self.mean * self.logits - self._log_norm()


# Of powers of l²: (log(l/tanh(l/2)) − log 2) / l², and (1/(1 − e^−l) − 1/l − ½) / l, whose terms
# are B₂ₖ/(2k)! with the Bernoulli numbers B (DLMF 4.19.9, 24.2.1).
_LOG_NORM = (1 / 12, -7 / 1440, 31 / 90720, -127 / 4838400, 73 / 34214400)
_MEAN = (1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160)


def _series(x: Tensor, terms: Sequence[float]) -> Tensor:
    """Σ cₖ·xᵏ, c₀ first."""
    y = 0 * x + terms[-1]
    for c in reversed(terms[:-1]):
        y = y * x + c
    return y
