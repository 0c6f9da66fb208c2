"""PyTorch's older names of decompositions, as functions of the library itself: `gu.qr`, `gu.svd`,
`gu.lu`, and those that only stand there: reflections in packed form, truncated decompositions.

Must not know how a host operation runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...ir.node import Host
from ..core import Core
from ..create import arange, eye, zeros
from ..errors import GradError, ShapeError, at_line, lined_up
from ..host import host
from ..misuse import named
from ..random import randn
from ..shape import expand
from ..tensor import Tensor
from . import decompositions, lapack, systems, triangular
from .operands import Given, Known, matrices, one_type, tensor_of
from .products import householder_product


class SVD(NamedTuple):
    """A = U diag(S) Vᵀ."""

    U: Tensor
    S: Tensor
    V: Tensor


class Unpacked(NamedTuple):
    """A = P L U."""

    P: Tensor
    L: Tensor
    U: Tensor


class Reflections(NamedTuple):
    """QR in packed form: R on and above the diagonal, below it the vectors of reflections."""

    a: Tensor
    tau: Tensor


class Triangular(NamedTuple):
    """The result of `triangular_solve`."""

    solution: Tensor
    cloned_coefficient: Tensor


@named
def cholesky(input: Core, upper: bool = False) -> Tensor:
    """The triangular factor: `linalg.cholesky`.

    >>> gu.cholesky(gu.tensor([[4.0]])).tolist()
    [[2.0]]
    """
    return decompositions.cholesky(input, upper=upper)


@named
def qr(input: Core, some: bool = True) -> decompositions.QR:
    """A = Q R: `linalg.qr`, "complete" for some=False.

    >>> gu.qr(gu.ones(3, 2), some=False).Q.shape
    (3, 3)
    """
    return decompositions.qr(input, "reduced" if some else "complete")


@named
def svd(input: Core, some: bool = True, compute_uv: bool = True) -> SVD:
    """A = U diag(S) Vᵀ: `linalg.svd`, with V in the place of Vᵀ; some=False: all vectors.

    compute_uv=False: U and V are 0.

    >>> gu.svd(gu.tensor([[0.0, 2.0]])).S.tolist()
    [2.0]
    """
    a = matrices("svd", input)
    if not compute_uv:
        *lead, m, n = a._shape
        u, v = (zeros(*lead, k, k, dtype=a.dtype) for k in (m, n))
        return SVD(u, decompositions.svdvals(a), v)
    u, s, vh = decompositions.svd(a, full_matrices=not some)
    return SVD(u, s, vh.mT)


@named
def lu(
    A: Core, pivot: bool = True, get_infos: bool = False
) -> tuple[Tensor, Tensor] | tuple[Tensor, Tensor, Tensor]:
    """L and U in one matrix, the rows exchanged and, if asked for, info: `linalg.lu_factor_ex`.

    Raises LinAlgError for a pivot of 0, unless get_infos tells of it.

    >>> packed, pivots = gu.lu(gu.tensor([[1.0, 2.0], [4.0, 4.0]]))
    >>> pivots.tolist()
    [2, 2]
    """
    packed, pivots, info = triangular.lu_factor_ex(A, pivot=pivot, check_errors=not get_infos)
    return (packed, pivots, info) if get_infos else (packed, pivots)


@named
def lu_solve(b: Core, LU_data: Core, LU_pivots: Core) -> Tensor:
    """The X with A X = b from `lu` of A: `linalg.lu_solve`.

    >>> gu.lu_solve(gu.tensor([[6.0]]), *gu.lu(gu.tensor([[2.0]]))).tolist()
    [[3.0]]
    """
    return triangular.lu_solve(LU_data, LU_pivots, b)


@named
def lu_unpack(
    LU_data: Core, LU_pivots: Core, unpack_data: bool = True, unpack_pivots: bool = True
) -> Unpacked:
    """P, L and U of `lu`; what is not asked for is empty.

    LU_data (…, m, n), k = min(m, n), LU_pivots (…, k): P (…, m, m), L (…, m, k), U (…, k, n).

    >>> gu.lu_unpack(*gu.lu(gu.tensor([[1.0, 2.0], [4.0, 4.0]]))).L.tolist()
    [[1.0, 0.0], [0.25, 1.0]]
    """
    f = matrices("lu_unpack", LU_data)
    pivots = tensor_of("lu_unpack", LU_pivots)
    *_, m, n = f._shape
    k = min(m, n)
    if pivots._shape != (*f._shape[:-2], k) or not pivots.dtype.is_int:
        raise ShapeError(
            "lu_unpack: pivots are integers, one for each row that was exchanged"
            + lined_up(LU_data=f._shape, LU_pivots=pivots._shape) + at_line()
        )  # fmt: skip
    nothing = zeros(0, dtype=f.dtype)
    p = low = up = nothing
    if unpack_pivots:
        order = triangular.exchanged(pivots, m, "lu_unpack")
        p = (arange(m).unsqueeze(-1) == order.unsqueeze(-2)).to(f.dtype)
    if unpack_data:
        low = f[..., :k].tril(-1) + eye(m, k, dtype=f.dtype)
        up = f[..., :k, :].triu()
    return Unpacked(p, low, up)


@named
def triangular_solve(
    b: Core, A: Core, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> Triangular:
    """The X with A X = b (transpose: Aᵀ X = b) for triangular A, and A:
    `linalg.solve_triangular`, its operands the other way round.

    >>> gu.triangular_solve(gu.tensor([[6.0]]), gu.tensor([[2.0]])).solution.tolist()
    [[3.0]]
    """
    a = matrices("triangular_solve", A, square=True)
    turned, above = (a.mT, not upper) if transpose else (a, upper)
    x = systems.solve_triangular(turned, b, upper=above, unitriangular=unitriangular)
    lead = x._shape[:-2]
    return Triangular(x, expand(a, *lead, *a._shape[-2:]).clone())


# ---- reflections ---------------------------------------------------------------------------------


@named
def geqrf(input: Core) -> Reflections:
    """QR in packed form, as LAPACK has it: what `householder_product` and `ormqr` are given.

    input (…, m, n), k = min(m, n): a (…, m, n), tau (…, k); has no derivative (`linalg.qr` has).

    >>> gu.geqrf(gu.tensor([[3.0], [4.0]])).a.tolist()
    [[-5.0], [0.5]]
    """
    a = matrices("geqrf", input)

    def derivative(g: Given, results: Known, sources: Known) -> Sequence[Tensor]:
        raise GradError("geqrf has no derivative; gu.linalg.qr has" + at_line())

    *lead, m, n = a._shape
    kinds = [(a._shape, a.dtype), ((*lead, min(m, n)), a.dtype)]
    return Reflections(*host(Host("geqrf", lapack.geqrf), (a,), kinds, derivative))


@named
def orgqr(input: Core, input2: Core) -> Tensor:
    """The columns of Q: `linalg.householder_product`.

    >>> gu.orgqr(*gu.geqrf(gu.tensor([[0.0], [2.0]]))).abs().tolist()
    [[0.0], [1.0]]
    """
    return householder_product(input, input2)


@named
def ormqr(
    input: Core, tau: Core, other: Core, left: bool = True, transpose: bool = False
) -> Tensor:
    """Q · other (left=False: other · Q; transpose: Qᵀ for Q), where Q = H₁ H₂ … H_k is the whole
    square matrix that reflections in packed form stand for (see `geqrf`).

    input (…, m, k′) holds the vectors, tau (…, k) their factors; other (…, m, n), or (…, n, m).

    >>> packed, tau = gu.geqrf(gu.tensor([[3.0], [4.0]]))
    >>> gu.ormqr(packed, tau, gu.tensor([[3.0], [4.0]]), transpose=True).round().tolist()
    [[-5.0], [0.0]]
    """
    a, c = matrices("ormqr", input), matrices("ormqr", other)
    t = tensor_of("ormqr", tau)
    one_type("ormqr", a, t)
    one_type("ormqr", a, c)
    m, k = a._shape[-2:]
    size = c._shape[-2 if left else -1]
    fits = t.ndim and t._shape[:-1] == a._shape[:-2] == c._shape[:-2] and size == m
    if not fits or t._shape[-1] != min(m, k):
        raise ShapeError(
            "ormqr: each matrix has one tau for each column of reflections, and as many rows as "
            f"the other matrix has {'rows' if left else 'columns'}"
            + lined_up(input=a._shape, tau=t._shape, other=c._shape) + at_line()
        )  # fmt: skip
    if not left:
        return ormqr(a, t, c.mT, True, not transpose).mT
    unit = a.tril(-1) + eye(m, k, dtype=a.dtype)
    order = range(int(t._shape[-1]))
    for i in order if transpose else reversed(order):
        v = unit[..., i : i + 1]
        c = c - t[..., i : i + 1].unsqueeze(-1) * (v @ (v.mT @ c))
    return c


# ---- a few singular values -----------------------------------------------------------------------


@named
def svd_lowrank(A: Core, q: int | None = 6, niter: int | None = 2, M: Core | None = None) -> SVD:
    """The q greatest singular values of A − M and their vectors, nearly: those of A − M seen on a
    random subspace, brought nearer by niter multiplications with it.

    A, M (…, m, n): U (…, m, q), S (…, q), V (…, n, q). Exact where the rank is at most q. Source:
    Halko, Martinsson, Tropp, Finding structure with randomness (2009), algorithms 4.4 and 5.1.

    >>> gu.svd_lowrank(gu.tensor([[3.0, 4.0], [0.0, 0.0]]), q=1).S.round().tolist()
    [5.0]
    """
    a = matrices("svd_lowrank", A)
    q, niter = 6 if q is None else q, 2 if niter is None else niter
    least = min(a._shape[-2:])
    if not 0 <= q <= least or niter < 0:
        raise ValueError(
            f"svd_lowrank: q is from 0 to the lesser size of a matrix, {int(least)}, and niter at "
            f"least 0; they are {q} and {niter}" + at_line()
        )
    if M is not None:
        one_type("svd_lowrank", a, M)
        a = a - M
    if a._shape[-2] < a._shape[-1]:
        v, s, u = _lowrank(a.mT, q, niter)
        return SVD(u, s, v)
    return _lowrank(a, q, niter)


def _lowrank(a: Tensor, q: int, niter: int) -> SVD:
    """Of matrices with at least as many rows as columns."""
    basis = decompositions.qr(a @ randn(int(a._shape[-1]), q, dtype=a.dtype)).Q
    for _ in range(niter):
        basis = decompositions.qr(a.mT @ basis).Q
        basis = decompositions.qr(a @ basis).Q
    u, s, vh = decompositions.svd(basis.mT @ a, full_matrices=False)
    return SVD(basis @ u, s, vh.mT)


@named
def pca_lowrank(A: Core, q: int | None = None, center: bool = True, niter: int = 2) -> SVD:
    """`svd_lowrank` of A without the mean of its rows (center=False: of A): V's columns are the
    principal directions of the rows. q: by default, at most 6.

    >>> gu.pca_lowrank(gu.tensor([[1.0, 1.0], [3.0, 3.0]]), q=1).S.round().tolist()
    [2.0]
    """
    a = matrices("pca_lowrank", A)
    least = int(min(a._shape[-2:]))
    q = min(6, least) if q is None else q
    if not 0 <= q <= least or niter < 0:
        raise ValueError(
            f"pca_lowrank: q is from 0 to the lesser size of a matrix, {least}, and niter at "
            f"least 0; they are {q} and {niter}" + at_line()
        )
    return svd_lowrank(a - a.mean(-2, keepdim=True) if center else a, q, niter)
