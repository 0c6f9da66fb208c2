"""How far one law is from another: the Kullback–Leibler divergence of pairs that have a formula.

Must not know how random numbers are made.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

from groundup.tensor import Tensor, digamma, erf, lgamma, linalg, where
from groundup.tensor.errors import at_line

from .classes import Categorical, OneHotCategorical
from .combined import Independent, TransformedDistribution
from .counts import Bernoulli, Binomial, Geometric, Poisson, softplus
from .distribution import Distribution
from .location import _EULER, Cauchy, Gumbel, HalfNormal, Laplace, Normal, Uniform
from .matrices import MultivariateNormal, distance
from .positive import Beta, Dirichlet, Exponential, Gamma, LogNormal, Pareto
from .transforms import summed

Formula = Callable[[Any, Any], Tensor]
F = TypeVar("F", bound=Formula)
_FORMULAS: dict[tuple[type[Distribution], type[Distribution]], Formula] = {}


def register_kl(type_p: type[Distribution], type_q: type[Distribution]) -> Callable[[F], F]:
    """Make a function the divergence of laws of two types: a decorator

    >>> from groundup.distributions import Normal, kl_divergence, register_kl
    >>> class Sure(Normal):
    ...     pass
    >>> @register_kl(Sure, Normal)
    ... def _(p, q):
    ...     return 0 * p.loc
    >>> kl_divergence(Sure(1.0, 1.0), Normal(0.0, 1.0)).item()
    0.0
    """
    for kind in (type_p, type_q):
        if not (isinstance(kind, type) and issubclass(kind, Distribution)):
            raise TypeError(f"register_kl takes two types of laws, not {kind!r}" + at_line())

    def register(formula: F) -> F:
        _FORMULAS[type_p, type_q] = formula
        return formula

    return register


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """KL(p ‖ q) = E_p[log p(x) − log q(x)], of the batch's shape

    The formula is that of the nearest types (of p first) that one was registered for. Raises
    NotImplementedError where there is none.

    >>> from groundup.distributions import Normal, kl_divergence
    >>> kl_divergence(Normal(0.0, 1.0), Normal(1.0, 1.0)).item()
    0.5
    """
    for a in type(p).__mro__:
        for b in type(q).__mro__:
            if (a, b) in _FORMULAS:
                return _FORMULAS[a, b](p, q)
    raise NotImplementedError(
        f"kl_divergence: no formula is known for {type(p).__name__} and {type(q).__name__}; "
        f"register_kl takes one" + at_line()
    )


def _both(kind: type[Distribution]) -> Callable[[F], F]:
    return register_kl(kind, kind)


@_both(Normal)
@_both(LogNormal)
def _normal(p: Normal, q: Normal) -> Tensor:
    ratio = (p.scale / q.scale).square()
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).square() - 1 - ratio.log())


@_both(HalfNormal)
def _half_normal(p: HalfNormal, q: HalfNormal) -> Tensor:
    ratio = (p.scale / q.scale).square()
    return 0.5 * (ratio - 1 - ratio.log())


@_both(Laplace)
def _laplace(p: Laplace, q: Laplace) -> Tensor:
    ratio, away = p.scale / q.scale, (p.loc - q.loc).abs()
    return -ratio.log() + away / q.scale + ratio * (-away / p.scale).exp() - 1


@_both(Cauchy)
def _cauchy(p: Cauchy, q: Cauchy) -> Tensor:
    apart = (p.scale + q.scale).square() + (p.loc - q.loc).square()
    return apart.log() - (4 * p.scale * q.scale).log()


@_both(Gumbel)
def _gumbel(p: Gumbel, q: Gumbel) -> Tensor:
    ratio, away = p.scale / q.scale, (p.loc - q.loc) / q.scale
    tail = (lgamma(1 + ratio) - away).exp()
    return -ratio.log() + away + ratio * _EULER + tail - (1 + _EULER)


@_both(Uniform)
def _uniform(p: Uniform, q: Uniform) -> Tensor:
    found = ((q.high - q.low) / (p.high - p.low)).log()
    return where((q.low > p.low) | (q.high < p.high), math.inf, found)


@_both(Exponential)
def _exponential(p: Exponential, q: Exponential) -> Tensor:
    ratio = q.rate / p.rate
    return ratio - ratio.log() - 1


@_both(Gamma)
def _gamma(p: Gamma, q: Gamma) -> Tensor:
    shapes = lgamma(q.concentration) - lgamma(p.concentration)
    shapes = shapes + (p.concentration - q.concentration) * digamma(p.concentration)
    rates = q.concentration * (p.rate / q.rate).log()
    return rates + shapes + (q.rate - p.rate) * (p.concentration / p.rate)


@_both(Beta)
def _beta(p: Beta, q: Beta) -> Tensor:
    a, b, c, d = p.concentration1, p.concentration0, q.concentration1, q.concentration0
    whole = lgamma(c) + lgamma(d) + lgamma(a + b) - lgamma(a) - lgamma(b) - lgamma(c + d)
    means = (a - c) * digamma(a) + (b - d) * digamma(b) + (c + d - a - b) * digamma(a + b)
    return whole + means


@_both(Dirichlet)
def _dirichlet(p: Dirichlet, q: Dirichlet) -> Tensor:
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    whole = lgamma(total) - lgamma(b.sum(-1)) - (lgamma(a) - lgamma(b)).sum(-1)
    return whole + ((a - b) * (digamma(a) - digamma(total).unsqueeze(-1))).sum(-1)


@_both(Pareto)
def _pareto(p: Pareto, q: Pareto) -> Tensor:
    ratio = q.alpha / p.alpha
    found = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    return where(p.scale < q.scale, math.inf, found)


@_both(Bernoulli)
def _bernoulli(p: Bernoulli, q: Bernoulli) -> Tensor:
    a, b = p.probs, q.probs
    ones = a * (softplus(-q.logits) - softplus(-p.logits))
    ones = where(a == 0, 0.0, where(b == 0, math.inf, ones))
    zeros = (1 - a) * (softplus(q.logits) - softplus(p.logits))
    zeros = where(a == 1, 0.0, where(b == 1, math.inf, zeros))
    return ones + zeros


@_both(Binomial)
def _binomial(p: Binomial, q: Binomial) -> Tensor:
    if bool((p.total_count < q.total_count).any().item()):
        raise NotImplementedError(
            "kl_divergence of Binomial laws: no formula where p has fewer trials than q" + at_line()
        )
    each = p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p()
    return where(p.total_count > q.total_count, math.inf, p.total_count * each)


@_both(Geometric)
def _geometric(p: Geometric, q: Geometric) -> Tensor:
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@_both(Poisson)
def _poisson(p: Poisson, q: Poisson) -> Tensor:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@_both(Categorical)
@_both(OneHotCategorical)
def _categorical(p: Categorical, q: Categorical) -> Tensor:
    a = p.probs
    each = where(q.probs == 0, math.inf, a * (p.logits - q.logits))
    return where(a == 0, 0.0, each).sum(-1)


@_both(MultivariateNormal)
def _vectors(p: MultivariateNormal, q: MultivariateNormal) -> Tensor:
    if p.event_shape != q.event_shape:
        raise ValueError(
            f"kl_divergence: vectors of {p.event_shape[0]} and of {q.event_shape[0]} numbers"
            + at_line()
        )
    a, b = p.scale_tril, q.scale_tril
    apart = distance(b, q.loc - p.loc)
    shape = apart.shape
    k = int(p.event_shape[0])
    solved = linalg.solve_triangular(
        b.expand(*shape, k, k), a.expand(*shape, k, k), upper=False
    )  # fmt: skip
    widths = q._half_log_det() - p._half_log_det()
    return widths + 0.5 * (solved.square().sum((-2, -1)) + apart - k)


@_both(Independent)
def _independent(p: Independent, q: Independent) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError(
            "kl_divergence of Independent laws: of one number of axes each" + at_line()
        )
    return summed(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@_both(TransformedDistribution)
def _transformed(p: TransformedDistribution, q: TransformedDistribution) -> Tensor:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError(
            "kl_divergence of transformed laws: only through the same transforms" + at_line()
        )
    return kl_divergence(p.base_dist, q.base_dist)


# ---- of two kinds --------------------------------------------------------------------------------


@register_kl(Exponential, Gamma)
def _exponential_gamma(p: Exponential, q: Gamma) -> Tensor:
    ratio, a = q.rate / p.rate, q.concentration
    return -a * ratio.log() + ratio + lgamma(a) + a * _EULER - (1 + _EULER)


@register_kl(Gamma, Exponential)
def _gamma_exponential(p: Gamma, q: Exponential) -> Tensor:
    return -p.entropy() - q.rate.log() + q.rate * p.concentration / p.rate


@register_kl(Uniform, Normal)
def _uniform_normal(p: Uniform, q: Normal) -> Tensor:
    width = p.high - p.low
    squares = width.square() / 12 + ((p.high + p.low - 2 * q.loc) / 2).square()
    return (math.sqrt(2 * math.pi) * q.scale / width).log() + 0.5 * squares / q.scale.square()


@register_kl(Laplace, Normal)
def _laplace_normal(p: Laplace, q: Normal) -> Tensor:
    ratio = (p.scale / q.scale).square()
    away = 0.5 * ((p.loc - q.loc) / q.scale).square()
    return -0.5 * (2 * ratio / math.pi).log() + ratio + away - 1


@register_kl(Normal, Laplace)
def _normal_laplace(p: Normal, q: Laplace) -> Tensor:
    away = p.loc - q.loc
    z = away / p.scale
    mean = math.sqrt(2 / math.pi) * p.scale * (-0.5 * z.square()).exp()
    mean = mean + away * erf(math.sqrt(0.5) * z)
    return mean / q.scale - (p.scale / q.scale).log() - 0.5 * (1 + math.log(0.5 * math.pi))
