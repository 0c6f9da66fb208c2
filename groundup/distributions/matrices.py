"""Normal laws of vectors.

Must not know how random numbers are made, or how a matrix is decomposed.
"""

from __future__ import annotations

import math
from typing import ClassVar

from groundup.tensor import Generator, Tensor, diag_embed, eye, linalg, randn
from groundup.tensor.errors import ShapeError, at_line, lined_up
from groundup.tensor.misuse import named
from groundup.tensor.pointwise import broadcast

from . import constraints
from .constraints import Constraint, Rules
from .distribution import Distribution

_LOG_2PI = math.log(2 * math.pi)


def _square(name: str, key: str, a: Tensor, loc: Tensor) -> None:
    if a.ndim < 2 or a.shape[-1] != a.shape[-2] or a.shape[-1] != loc.shape[-1]:
        raise ShapeError(
            f"{name}: {key} is a square matrix of the size of loc, or a batch of them"
            + lined_up(**{key: a.shape}, loc=loc.shape) + at_line()
        )  # fmt: skip


def one_way(
    name: str, covariance: Tensor | None, precision: Tensor | None, scale: Tensor | None
) -> tuple[str, Tensor]:
    """The one of three ways that a covariance is given in, and the matrix."""
    ways = {"covariance_matrix": covariance, "precision_matrix": precision, "scale_tril": scale}
    chosen = {k: v for k, v in ways.items() if v is not None}
    if len(chosen) != 1:
        raise ValueError(
            f"{name}: give one of {', '.join(ways)}, not {len(chosen)} of them" + at_line()
        )
    ((way, matrix),) = chosen.items()
    if not isinstance(matrix, Tensor):
        raise TypeError(f"{name}: {way} is a tensor of two axes or more" + at_line())
    return way, matrix


def lower_factor(way: str, matrix: Tensor) -> Tensor:
    """L with Σ = L Lᵀ, of Σ, of its inverse or of L"""
    if way == "scale_tril":
        return matrix
    if way == "covariance_matrix":
        return linalg.cholesky(matrix)
    # Σ⁻¹ = U Uᵀ with U upper triangular, by the factor of the matrix read backwards: L = U⁻ᵀ
    upper = linalg.cholesky(matrix.flip(-2, -1)).flip(-2, -1)
    return linalg.solve_triangular(
        upper.mT, eye(int(matrix.shape[-1]), dtype=matrix.dtype), upper=False
    )


class OfMatrix(Distribution):
    """A law with a positive definite matrix Σ, known by its lower Cholesky factor."""

    _factor: Tensor

    @property
    def scale_tril(self) -> Tensor:
        """L with Σ = L Lᵀ."""
        return self._factor

    @property
    def covariance_matrix(self) -> Tensor:
        """Σ"""
        return self._factor @ self._factor.mT

    @property
    def precision_matrix(self) -> Tensor:
        """Σ⁻¹"""
        return linalg.inv(self.covariance_matrix)


class MultivariateNormal(OfMatrix):
    """p(x) = e^(−½·(x − μ)ᵀ Σ⁻¹ (x − μ)) / √((2π)^k·det Σ), loc μ (…, k)

    Σ as one of covariance_matrix, precision_matrix Σ⁻¹, or its lower Cholesky factor scale_tril L,
    Σ = L Lᵀ, each (…, k, k).

    >>> d = gu.distributions.MultivariateNormal(gu.zeros(2), gu.eye(2))
    >>> round(d.log_prob(gu.zeros(2)).item(), 4)
    -1.8379
    """

    arg_constraints: ClassVar[Rules] = {
        "loc": constraints.real_vector, "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }  # fmt: skip
    has_rsample = True

    @named
    def __init__(
        self, loc: Tensor, covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None, scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        way, matrix = one_way(self._name, covariance_matrix, precision_matrix, scale_tril)
        if not isinstance(loc, Tensor) or not loc.ndim:
            raise TypeError(f"{self._name}: loc is a tensor of one axis or more" + at_line())
        _square(self._name, way, matrix, loc)
        k = int(loc.shape[-1])
        batch = broadcast(self._name, matrix.shape[:-2], loc.shape[:-1])
        self.loc = loc.expand(*batch, k)
        matrix = matrix.expand(*batch, k, k)
        super().__init__({"loc": self.loc, way: matrix}, batch, (k,), validate_args)
        self._factor = lower_factor(way, matrix)

    @property
    def support(self) -> Constraint:
        return constraints.real_vector

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self._factor.square().sum(-1)

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        z = randn(shape, dtype=self.loc.dtype, generator=generator)
        return self.loc + (self._factor @ z.unsqueeze(-1)).squeeze(-1)

    def _half_log_det(self) -> Tensor:
        return self._factor.diagonal(0, -2, -1).log().sum(-1)

    def _log_prob(self, x: Tensor) -> Tensor:
        squares = distance(self._factor, x - self.loc)
        k = int(self.event_shape[0])
        return -0.5 * (k * _LOG_2PI + squares) - self._half_log_det()

    def entropy(self) -> Tensor:
        return 0.5 * int(self.event_shape[0]) * (1 + _LOG_2PI) + self._half_log_det()


def distance(factor: Tensor, away: Tensor) -> Tensor:
    """vᵀ (L Lᵀ)⁻¹ v"""
    batch = broadcast("MultivariateNormal", factor.shape[:-2], away.shape[:-1])
    k = int(away.shape[-1])
    right = away.expand(*batch, k).unsqueeze(-1)
    solved = linalg.solve_triangular(factor.expand(*batch, k, k), right, upper=False)
    return solved.squeeze(-1).square().sum(-1)


class LowRankMultivariateNormal(MultivariateNormal):
    """MultivariateNormal of Σ = W Wᵀ + diag(D), cov_factor W (…, k, r), cov_diag D > 0 (…, k)

    Σ is made and decomposed as a whole: k³ operations.

    >>> d = gu.distributions.LowRankMultivariateNormal(gu.zeros(2), gu.ones(2, 1), gu.ones(2))
    >>> d.covariance_matrix.round(decimals=4).tolist()
    [[2.0, 1.0], [1.0, 2.0]]
    """

    arg_constraints: ClassVar[Rules] = {
        "loc": constraints.real_vector, "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }  # fmt: skip

    @named
    def __init__(
        self, loc: Tensor, cov_factor: Tensor, cov_diag: Tensor, validate_args: bool | None = None
    ) -> None:
        for value in (loc, cov_factor, cov_diag):
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"{self._name}: loc, cov_factor and cov_diag are tensors, none a "
                    f"{type(value).__name__}" + at_line()
                )
        k = int(loc.shape[-1]) if loc.ndim else -1
        if cov_factor.ndim < 2 or int(cov_factor.shape[-2]) != k or cov_diag.shape[-1:] != (k,):
            raise ShapeError(
                f"{self._name}: of loc (…, k), cov_factor is (…, k, rank) and cov_diag (…, k)"
                + lined_up(loc=loc.shape, cov_factor=cov_factor.shape, cov_diag=cov_diag.shape)
                + at_line()
            )
        batch = broadcast(
            self._name, loc.shape[:-1], cov_factor.shape[:-2], cov_diag.shape[:-1]
        )  # fmt: skip
        self.loc = loc.expand(*batch, k)
        self.cov_factor = cov_factor.expand(*batch, *cov_factor.shape[-2:])
        self.cov_diag = cov_diag.expand(*batch, k)
        given = {"loc": self.loc, "cov_factor": self.cov_factor, "cov_diag": self.cov_diag}
        Distribution.__init__(self, given, batch, (k,), validate_args)
        whole = self.cov_factor @ self.cov_factor.mT + diag_embed(self.cov_diag)
        self._factor = linalg.cholesky(whole)
