"""Laws of covariance matrices, and of the factors of correlation matrices: Wishart's, LKJ's.

Must not know how random numbers are made, or how a matrix is decomposed.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from groundup.tensor import Generator, Tensor, arange, diag_embed, digamma, lgamma, linalg, randn
from groundup.tensor.errors import ShapeError, at_line, lined_up, whole_number
from groundup.tensor.misuse import named
from groundup.tensor.pointwise import broadcast
from groundup.tensor.special import mvlgamma

from . import constraints
from .constraints import Constraint, Rules
from .distribution import Distribution, as_tensor, tensors
from .matrices import OfMatrix, lower_factor, one_way
from .positive import Beta, Chi2


class Wishart(OfMatrix):
    """p(X) = det X^((ν−k−1)/2)·e^(−½·tr V⁻¹X) / (2^(νk/2)·det V^(ν/2)·Γₖ(ν/2)), of matrices (k, k)

    The law of Σ x xᵀ of ν = df > k − 1 draws x of a normal law of covariance V, which is given as
    one of covariance_matrix, precision_matrix V⁻¹ or its lower Cholesky factor scale_tril.
    Draws: M. S. Bartlett, 1933. Raises ValueError for a df that is not more than k − 1.

    >>> d = gu.distributions.Wishart(gu.tensor(3.0), covariance_matrix=gu.eye(2))
    >>> d.mean.tolist()
    [[3.0, 0.0], [0.0, 3.0]]
    """

    arg_constraints: ClassVar[Rules] = {
        "df": constraints.positive, "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }  # fmt: skip
    has_rsample = True

    @named
    def __init__(
        self, df: Any, covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None, scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        way, matrix = one_way(self._name, covariance_matrix, precision_matrix, scale_tril)
        if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2]:
            raise ShapeError(
                f"{self._name}: {way} is a square matrix, or a batch of them"
                + lined_up(**{way: matrix.shape}) + at_line()
            )  # fmt: skip
        self._size = k = int(matrix.shape[-1])
        given = as_tensor(df, matrix.dtype)
        batch = broadcast(self._name, given.shape, matrix.shape[:-2])
        self.df, matrix = given.expand(batch), matrix.expand(*batch, k, k)
        super().__init__({"df": self.df, way: matrix}, batch, (k, k), validate_args)
        self._require("the size of the matrix minus 1", self.df.detach() * 0 + (k - 1),
                      "df", self.df.detach())  # fmt: skip
        self._factor = lower_factor(way, matrix)

    @property
    def support(self) -> Constraint:
        return constraints.positive_definite

    @property
    def mean(self) -> Tensor:
        return self._of_matrix(self.df) * self.covariance_matrix

    @property
    def mode(self) -> Tensor:
        factor = self.df - self._size - 1
        return self._of_matrix(factor.where(factor > 0, math.nan)) * self.covariance_matrix

    @property
    def variance(self) -> Tensor:
        v = self.covariance_matrix
        d = v.diagonal(0, -2, -1)
        return self._of_matrix(self.df) * (v.square() + d.unsqueeze(-1) * d.unsqueeze(-2))

    @staticmethod
    def _of_matrix(x: Tensor) -> Tensor:
        return x.unsqueeze(-1).unsqueeze(-1)

    def _places(self) -> Tensor:
        return arange(self._size, dtype=self.df.dtype)

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        rest = self.df.unsqueeze(-1) - self._places()
        squares = Chi2(rest, validate_args=False).rsample(
            shape[: len(shape) - len(self.batch_shape) - 2], generator
        )
        below = randn(shape, dtype=self.df.dtype, generator=generator).tril(-1)
        half = self._factor @ (below + diag_embed(squares.sqrt()))
        return half @ half.mT

    def _log_det(self) -> Tensor:
        return 2 * self._factor.diagonal(0, -2, -1).log().sum(-1)

    def _log_prob(self, x: Tensor) -> Tensor:
        k, half = self._size, 0.5 * self.df
        size = (*broadcast(self._name, x.shape[:-2], self.batch_shape), k, k)
        inner = linalg.cholesky(x)
        between = linalg.solve_triangular(
            self._factor.expand(size), inner.expand(size), upper=False
        )
        trace = between.square().sum((-2, -1))
        grown = (half - 0.5 * (k + 1)) * 2 * inner.diagonal(0, -2, -1).log().sum(-1)
        constant = half * (k * math.log(2) + self._log_det()) + mvlgamma(half, k)
        return grown - 0.5 * trace - constant

    def entropy(self) -> Tensor:
        k, half = self._size, 0.5 * self.df
        slopes = digamma(half.unsqueeze(-1) - 0.5 * self._places()).sum(-1)
        return (
            0.5 * (k + 1) * (k * math.log(2) + self._log_det()) + mvlgamma(half, k)
            - (half - 0.5 * (k + 1)) * slopes + half * k
        )  # fmt: skip


class LKJCholesky(Distribution):
    """p(L) ∝ ∏ᵢ Lᵢᵢ^(2(η−1) + d − i), i from 2: of lower Cholesky factors L of correlation matrices

    dim d ≥ 2; concentration η > 0: at 1 all correlation matrices L Lᵀ are equally likely. Draws
    and density: D. Lewandowski, D. Kurowicka, H. Joe, Generating random correlation matrices, 2009.

    >>> d = gu.distributions.LKJCholesky(3, 1.5)
    >>> d.sample().square().sum(-1).round(decimals=4).tolist()    # the rows have length 1
    [1.0, 1.0, 1.0]
    """

    arg_constraints: ClassVar[Rules] = {"concentration": constraints.positive}

    @named
    def __init__(
        self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        self.dim = d = whole_number(self._name, "dim", dim)
        if d < 2:
            raise ValueError(f"{self._name}: dim is 2 or more, not {d}" + at_line())
        (self.concentration,) = tensors(self._name, concentration=concentration)
        super().__init__(
            {"concentration": self.concentration}, self.concentration.shape, (d, d),
            validate_args, {"dim": d},
        )  # fmt: skip

    @property
    def support(self) -> Constraint:
        return constraints.corr_cholesky

    def _draw(self, shape: tuple[int, ...], generator: Generator | None) -> Tensor:
        d, kind = self.dim, self.concentration.dtype
        offset = (arange(d, dtype=kind) - 1).clamp_min(0)
        rest = (self.concentration + 0.5 * (d - 2)).unsqueeze(-1) - 0.5 * offset
        lead = shape[: len(shape) - len(self.batch_shape) - 2]
        # Of each row: how much lies left of the diagonal, in i numbers of one sphere's direction:
        # Beta(i/2, …). (torch 2.13 draws Beta(i − ½, …): other correlations from the third row on.)
        parts = Beta(0.5 * (offset + 1), rest, validate_args=False)
        share = parts.sample(lead, generator).unsqueeze(-1)
        normal = randn(shape, dtype=kind, generator=generator).tril(-1)
        length = normal.square().sum(-1, True).sqrt()
        left = share.sqrt() * normal / length.where(length > 0, 1.0)
        # What is left for the diagonal, whose logarithm log_prob takes: never 0.
        across = (1 - left.square().sum(-1)).clamp_min(kind.smallest_normal).sqrt()
        return left + diag_embed(across)

    def _log_prob(self, x: Tensor) -> Tensor:
        d = self.dim
        order = arange(2, d + 1, dtype=self.concentration.dtype)
        powers = 2 * (self.concentration - 1).unsqueeze(-1) + d - order
        grown = (powers * x.diagonal(0, -2, -1)[..., 1:].log()).sum(-1)
        alpha = self.concentration + 0.5 * (d - 1)
        constant = 0.5 * (d - 1) * math.log(math.pi) + mvlgamma(alpha - 0.5, d - 1)
        return grown - (constant - (d - 1) * lgamma(alpha))
