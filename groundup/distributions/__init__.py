"""`gu.distributions`: laws of random numbers, named as in torch.distributions, with their
densities, moments and draws, through which derivatives flow.

This file only names what the others hold.
"""

from . import constraints, kl, transforms
from .classes import (
    Categorical,
    Multinomial,
    OneHotCategorical,
    OneHotCategoricalStraightThrough,
)
from .combined import (
    Independent,
    LogisticNormal,
    MixtureSameFamily,
    TransformedDistribution,
)
from .counts import Bernoulli, Binomial, Geometric, NegativeBinomial, Poisson
from .covariances import LKJCholesky, Wishart
from .distribution import Distribution
from .kl import kl_divergence, register_kl
from .location import Cauchy, Gumbel, HalfCauchy, HalfNormal, Laplace, Normal, Uniform
from .matrices import LowRankMultivariateNormal, MultivariateNormal
from .positive import (
    Beta,
    Chi2,
    Dirichlet,
    Exponential,
    FisherSnedecor,
    Gamma,
    LogNormal,
    Pareto,
    StudentT,
    Weibull,
)
from .shares import (
    ContinuousBernoulli,
    InverseGamma,
    Kumaraswamy,
    RelaxedBernoulli,
    RelaxedOneHotCategorical,
    VonMises,
)
from .transforms import (
    AffineTransform,
    ComposeTransform,
    ExpTransform,
    PowerTransform,
    SigmoidTransform,
    SoftplusTransform,
    StickBreakingTransform,
    TanhTransform,
    Transform,
    identity_transform,
)

__all__ = [
    "AffineTransform", "Bernoulli", "Beta", "Binomial", "Categorical", "Cauchy", "Chi2",
    "ComposeTransform", "ContinuousBernoulli", "Dirichlet", "Distribution", "ExpTransform",
    "Exponential", "FisherSnedecor", "Gamma", "Geometric", "Gumbel", "HalfCauchy", "HalfNormal",
    "Independent", "InverseGamma", "Kumaraswamy", "LKJCholesky", "Laplace", "LogNormal",
    "LogisticNormal",
    "LowRankMultivariateNormal", "MixtureSameFamily", "Multinomial", "MultivariateNormal",
    "NegativeBinomial", "Normal", "OneHotCategorical", "OneHotCategoricalStraightThrough",
    "Pareto", "Poisson", "PowerTransform", "RelaxedBernoulli", "RelaxedOneHotCategorical",
    "SigmoidTransform", "SoftplusTransform", "StickBreakingTransform", "StudentT", "TanhTransform",
    "Transform",
    "TransformedDistribution", "Uniform", "VonMises", "Weibull", "Wishart",
    "constraints",
    "identity_transform", "kl", "kl_divergence", "register_kl", "transforms",
]  # fmt: skip
