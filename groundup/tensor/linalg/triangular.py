"""LU decomposition, and what is computed from it and from Cholesky factors.

Must not know how a host operation runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...ir import dtype as dt
from ...ir.node import Host
from .. import pointwise as pw
from ..core import Core
from ..create import arange, eye
from ..errors import ShapeError, at_line, lined_up
from ..host import host
from ..misuse import named
from ..picking import take_along_dim
from ..shape import cat
from ..tensor import Tensor
from . import lapack
from .operands import Given, Known, matrices, one_type, tensor_of
from .systems import inv, solve_triangular


class LU(NamedTuple):
    """A = P L U."""

    P: Tensor
    L: Tensor
    U: Tensor


class LUFactor(NamedTuple):
    """L, without its diagonal of ones, and U in one matrix, and the rows exchanged, from 1 on."""

    LU: Tensor
    pivots: Tensor


class LUFactorEx(NamedTuple):
    """The result of `lu_factor_ex`."""

    LU: Tensor
    pivots: Tensor
    info: Tensor


class _Parts(NamedTuple):
    packed: Tensor
    pivots: Tensor
    order: Tensor  # row i of P⁻¹ A is row order[i] of A
    info: Tensor


def _unit(packed: Tensor, k: int) -> Tensor:
    """L of a packed LU: its first k columns below the diagonal, and ones on it."""
    return packed[..., :k].tril(-1) + eye(packed._shape[-2], k, dtype=packed.dtype)


def _factored(name: str, A: Core, pivot: bool = True, check: bool = False) -> _Parts:
    a = matrices(name, A)
    *lead, m, n = a._shape
    k = min(m, n)

    def derivative(g: Given, results: Known, sources: Known) -> Sequence[Tensor]:
        gradient, packed, order = g[0], results[0], results[2]
        assert gradient is not None
        found = _lu_back(gradient, packed, m, n)
        back = order.argsort(-1).unsqueeze(-1).expand(*a._shape)
        return (take_along_dim(found, back, -2),)

    kinds = [(a._shape, a.dtype), ((*lead, k), dt.int32), ((*lead, m), dt.int64),
             (tuple(lead), dt.int32)]  # fmt: skip
    function = Host("lu", lapack.lu, (bool(pivot), name if check else ""))
    return _Parts(*host(function, (a,), kinds, derivative))


def _lu_back(g: Tensor, packed: Tensor, m: int, n: int) -> Tensor:
    """The gradient of P⁻¹ A: L₁⁻ᵀ [tril(L₁ᵀ L̄₁, −1) + triu(Ū₁ U₁ᵀ)] U₁⁻ᵀ for the square part; what
    lies beside it is U₂ = L⁻¹ A₂, below it L₂ = A₂ U⁻¹."""
    k = min(m, n)
    square, g1 = packed[..., :k, :k], g[..., :k, :k]
    low, up = _unit(square, k), square.triu()
    gl, gup = g1.tril(-1), g1.triu()
    beside = below = None
    if n > k:
        beside = solve_triangular(low.mT, g[..., k:], upper=True, unitriangular=True)
        gl = gl - (beside @ packed[..., k:].mT).tril(-1)
    if m > k:
        below = solve_triangular(up.mT, g[..., k:, :], upper=False, left=False)
        gup = gup - (packed[..., k:, :].mT @ below).triu()
    inner = (low.mT @ gl).tril(-1) + (gup @ up.mT).triu()
    inner = solve_triangular(low.mT, inner, upper=True, unitriangular=True)
    found = solve_triangular(up.mT, inner, upper=False, left=False)
    if beside is not None:
        return cat([found, beside], -1)
    return found if below is None else cat([found, below], -2)


@named
def lu(A: Core, *, pivot: bool = True) -> LU:
    """A = P L U by elimination with partial pivoting (pivot=False: without, and P = 1).

    A: (…, m, n), k = min(m, n); P (…, m, m) a permutation, L (…, m, k) with ones on its diagonal,
    U (…, k, n). Derivative: Giles, Collected matrix derivative results (2008), by dA = dL U + L dU;
    it is not finite where a pivot is 0.

    >>> p, l, u = gu.linalg.lu(gu.tensor([[1.0, 2.0], [4.0, 4.0]]))
    >>> l.tolist(), u.tolist()
    ([[1.0, 0.0], [0.25, 1.0]], [[4.0, 4.0], [0.0, 1.0]])
    """
    parts = _factored("lu", A, pivot)
    m, n = parts.packed._shape[-2:]
    k = min(m, n)
    p = (arange(m).unsqueeze(-1) == parts.order.unsqueeze(-2)).to(parts.packed.dtype)
    return LU(p, _unit(parts.packed, k), parts.packed[..., :k, :].triu())


@named
def lu_factor(A: Core, *, pivot: bool = True) -> LUFactor:
    """L and U in one matrix, and the rows exchanged at each step: what `lu_solve` is given.

    Raises LinAlgError, with its place in the batch, for a matrix with a pivot of 0.

    >>> gu.linalg.lu_factor(gu.tensor([[1.0, 2.0], [4.0, 4.0]])).pivots.tolist()
    [2, 2]
    """
    packed, pivots, _, _ = _factored("lu_factor", A, pivot, check=True)
    return LUFactor(packed, pivots)


@named
def lu_factor_ex(A: Core, *, pivot: bool = True, check_errors: bool = False) -> LUFactorEx:
    """`lu_factor` that says of each matrix which of its pivots is the first 0 (info; 0: none)
    where it would raise.

    >>> gu.linalg.lu_factor_ex(gu.zeros(2, 2)).info.item()
    1
    """
    packed, pivots, _, info = _factored("lu_factor_ex", A, pivot, check_errors)
    return LUFactorEx(packed, pivots, info)


@named
def lu_solve(
    LU: Core, pivots: Core, B: Core, *, left: bool = True, adjoint: bool = False
) -> Tensor:
    """The X with A X = B (left=False: X A = B; adjoint: Aᵀ for A), from `lu_factor` of A.

    LU (…, n, n), pivots (…, n), B (…, n, k).

    >>> packed, pivots = gu.linalg.lu_factor(gu.tensor([[1.0, 2.0], [4.0, 4.0]]))
    >>> gu.linalg.lu_solve(packed, pivots, gu.tensor([[3.0], [8.0]])).tolist()
    [[1.0], [1.0]]
    """
    f, b = matrices("lu_solve", LU, square=True), matrices("lu_solve", B)
    one_type("lu_solve", f, b)
    if not left:
        return lu_solve(f, pivots, b.mT, adjoint=not adjoint).mT
    given = tensor_of("lu_solve", pivots)
    if given._shape != f._shape[:-1] or not given.dtype.is_int:
        raise ShapeError(
            "lu_solve: pivots are integers, one for each row"
            + lined_up(LU=f._shape, pivots=given._shape) + at_line()
        )  # fmt: skip
    order = exchanged(given, f._shape[-1], "lu_solve")
    low, up = _unit(f, f._shape[-1]), f
    lead = pw.broadcast("lu_solve", f._shape[:-2], b._shape[:-2])
    b = b.expand(*lead, *b._shape[-2:])
    if adjoint:
        y = solve_triangular(up.mT, b, upper=False)
        y = solve_triangular(low.mT, y, upper=True, unitriangular=True)
        rows = order.argsort(-1)
    else:
        rows, y = order, b
    rows = rows.unsqueeze(-1).expand(*lead, *b._shape[-2:])
    y = take_along_dim(y, rows, -2)
    if adjoint:
        return y
    return solve_triangular(up, solve_triangular(low, y, upper=False, unitriangular=True),
                            upper=True)  # fmt: skip


def exchanged(pivots: Tensor, rows: int, name: str) -> Tensor:
    """The order of rows that exchanges (from 1 on) one after the other give."""
    kinds = [((*pivots._shape[:-1], rows), dt.int64)]
    return host(Host("exchanges", lapack.exchanges, (int(rows), name)), (pivots,), kinds)[0]


@named
def cholesky_solve(B: Core, L: Core, upper: bool = False) -> Tensor:
    """The X with L Lᵀ X = B (upper: Lᵀ L), from a Cholesky factor L.

    The other triangle of L is not read: by it the derivative is 0.

    >>> gu.cholesky_solve(gu.tensor([[8.0]]), gu.tensor([[2.0]])).tolist()
    [[2.0]]
    """
    b, f = matrices("cholesky_solve", B), matrices("cholesky_solve", L, square=True)
    first = solve_triangular(f.mT if upper else f, b, upper=False)
    return solve_triangular(f if upper else f.mT, first, upper=True)


@named
def cholesky_inverse(L: Core, upper: bool = False) -> Tensor:
    """(L Lᵀ)⁻¹ (upper: (Lᵀ L)⁻¹), from a Cholesky factor L.

    The other triangle of L is not read: by it the derivative is 0.

    >>> gu.cholesky_inverse(gu.tensor([[2.0]])).tolist()
    [[0.25]]
    """
    f = matrices("cholesky_inverse", L, square=True)
    low = inv(f.triu().mT if upper else f.tril())
    return low.mT @ low
