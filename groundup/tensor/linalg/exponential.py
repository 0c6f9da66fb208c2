"""The exponential of a matrix.

Must not know how a host operation runs.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...ir.node import Host
from ..core import Core
from ..create import zeros
from ..host import host
from ..misuse import named
from ..shape import cat
from ..tensor import Tensor
from . import lapack
from .operands import Given, Known, matrices


@named
def matrix_exp(A: Core) -> Tensor:
    """exp A = Σ Aⁿ / n!: (…, n, n) → (…, n, n), in double precision, by scaling and squaring.

    Derivative: Mathias, A chain rule for matrix functions (1996): the gradient is the
    upper right block of exp [[Aᵀ, X̄], [0, Aᵀ]]. Raises LinAlgError for a NaN or an infinity.

    >>> gu.linalg.matrix_exp(gu.zeros(2, 2)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    a = matrices("matrix_exp", A, square=True)
    n = a._shape[-1]

    def derivative(g: Given, results: Known, sources: Known) -> Sequence[Tensor]:
        (gx,), (x,) = g, sources
        assert gx is not None
        turned, nothing = x.mT, zeros(*a._shape, dtype=a.dtype)
        whole = cat([cat([turned, gx], -1), cat([nothing, turned], -1)], -2)
        return (matrix_exp(whole)[..., :n, n:],)

    return host(Host("matrix_exp", lapack.exponential), (a,), [(a._shape, a.dtype)], derivative)[0]
