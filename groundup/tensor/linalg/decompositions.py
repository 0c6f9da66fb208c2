"""Matrices as products of simple ones: Cholesky, QR, singular values, eigenvalues.

Must not know how a host operation runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ...ir.node import Host
from .. import pointwise as pw
from .. import storage as store
from ..core import Core, is_complex
from ..create import eye, zeros
from ..errors import GradError, at_line
from ..host import host
from ..misuse import named
from ..shape import cat
from ..tensor import Tensor
from . import lapack
from .operands import Given, Known, diagonals, matrices, tracked
from .systems import solve

if TYPE_CHECKING:
    from ..complex.tensor import ComplexTensor


class QR(NamedTuple):
    """A = Q R."""

    Q: Tensor
    R: Tensor


class SVD(NamedTuple):
    """A = U diag(S) Vh."""

    U: Tensor
    S: Tensor
    Vh: Tensor


class Eig(NamedTuple):
    """A = V diag(L) V⁻¹."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class Eigh(NamedTuple):
    """A = V diag(L) Vᵀ."""

    eigenvalues: Tensor
    eigenvectors: Tensor


# ---- Cholesky ------------------------------------------------------------------------------------


@named
def cholesky(A: Core, *, upper: bool = False) -> Tensor:
    """The lower triangular L with A = L Lᵀ (upper: U = Lᵀ), for symmetric positive definite A.

    A: (…, n, n), real or complex (A = L Lᴴ); one triangle of it is read (upper: the upper one).
    Derivative: Murray, Differentiation of the Cholesky decomposition (2016), symmetric in A.

    Raises LinAlgError, with its place in the batch, for a matrix that is not positive definite.

    >>> gu.linalg.cholesky(gu.tensor([[4.0, 2.0], [2.0, 5.0]])).tolist()
    [[2.0, 0.0], [1.0, 2.0]]
    """
    a = matrices("cholesky", A, square=True, complex_too=True)
    if is_complex(a):
        from . import complexes

        z = complexes.checked("cholesky", a.mT.conj() if upper else a, square=True)
        low = complexes.cholesky(z)
        return low.mT.conj() if upper else low
    if upper:
        return cholesky(a.mT).mT

    def derivative(g: Given, results: Known, sources: Known) -> Sequence[Tensor]:
        (low,), (gl,) = results, g
        assert gl is not None
        phi = (low.mT @ gl).tril() * (1 - 0.5 * eye(a._shape[-1], dtype=a.dtype))
        half = solve(low.mT, 0.5 * (phi + phi.mT))
        return (solve(low.mT, half.mT).mT,)

    return host(Host("cholesky", lapack.cholesky), (a,), [(a._shape, a.dtype)], derivative)[0]


# ---- QR ------------------------------------------------------------------------------------------


@named
def qr(A: Core, mode: str = "reduced") -> QR:
    """A = Q R with orthonormal columns of Q and upper triangular R, by Householder reflections.

    A: (…, m, n), k = min(m, n). mode "reduced": Q (…, m, k), R (…, k, n); "complete": Q (…, m, m),
    R (…, m, n); "r": R of the reduced form, and an empty Q. Derivative, where the first k columns
    are independent: Seeger et al., Auto-differentiating linear algebra (2017); of a wide A,
    the columns beyond the first m are Q · (those of R). It is unknown for "complete" with m > n:
    A does not determine the last columns of Q.

    >>> q, r = gu.linalg.qr(gu.tensor([[3.0, 1.0], [4.0, 2.0]]))
    >>> (q @ r).round().tolist()
    [[3.0, 1.0], [4.0, 2.0]]
    """
    a = matrices("qr", A, complex_too=True)
    if mode not in ("reduced", "complete", "r"):
        raise ValueError(f"qr: mode is 'reduced', 'complete' or 'r', not {mode!r}" + at_line())
    if mode == "r":
        return QR(zeros(0, dtype=a.dtype), qr(a).R)
    if is_complex(a):
        from . import complexes

        return QR(*complexes.qr(complexes.checked("qr", a), mode))
    *lead, m, n = a._shape
    k = min(m, n)
    whole = mode == "complete" and m > n

    def derivative(g: Given, results: Known, sources: Known) -> Sequence[Tensor]:
        if whole:
            raise GradError(
                "qr: mode 'complete' of a matrix with more rows than columns has no derivative: "
                "the matrix does not determine the last columns of Q; use mode='reduced'"
                + at_line()
            )
        (gq, gr), (q, r), (x,) = g, results, sources
        if m >= n:
            return (_qr_back(gq, gr, q, r),)
        gu_, gv = (None, None) if gr is None else (gr[..., :m], gr[..., m:])
        if gv is not None:
            more = x[..., m:] @ gv.mT
            gq = more if gq is None else gq + more
        left = _qr_back(gq, gu_, q, r[..., :m])
        right = zeros(*lead, m, n - m, dtype=a.dtype) if gv is None else q @ gv
        return (cat([left, right], -1),)

    wide = m if whole else k
    kinds = [((*lead, m, wide), a.dtype), ((*lead, wide, n), a.dtype)]
    return QR(*host(Host("qr", lapack.qr, (mode,)), (a,), kinds, derivative))


def _qr_back(gq: Tensor | None, gr: Tensor | None, q: Tensor, r: Tensor) -> Tensor:
    """The gradient of A with at least as many rows as columns."""
    inner = zeros(*r.shape, dtype=r.dtype) if gr is None else r @ gr.mT
    if gq is not None:
        inner = inner - gq.mT @ q
    low = q @ (inner.tril() + inner.tril(-1).mT)
    return solve(r, (low if gq is None else gq + low).mT).mT


# ---- singular values -----------------------------------------------------------------------------


@named
def svd(A: Core, full_matrices: bool = True) -> SVD:
    """A = U diag(S) Vh, with orthonormal columns of U and rows of Vh, S descending.

    A: (…, m, n), k = min(m, n); U (…, m, m), S (…, k), Vh (…, n, n), or without full_matrices
    U (…, m, k), Vh (…, k, n). Vectors are determined up to a sign. Derivative: Townsend,
    Differentiating the singular value decomposition (2016); that by S is always
    right, that by vectors not finite where two singular values are equal (or one is 0 and A is not
    square). With full_matrices the vectors beyond the first k have none.

    >>> gu.linalg.svd(gu.tensor([[3.0, 0.0], [0.0, -4.0]])).S.tolist()
    [4.0, 3.0]
    """
    a = matrices("svd", A, complex_too=True)
    if is_complex(a):
        from . import complexes

        return SVD(*complexes.svd(complexes.checked("svd", a), full_matrices))
    *lead, m, n = a._shape
    k = min(m, n)

    def derivative(g: Given, results: Known, sources: Known) -> Sequence[Tensor]:
        gu_, gs, gvh = g
        _no_tail("svd", gu_, -1, k)
        _no_tail("svd", gvh, -2, k)
        u, s, vh = results[0][..., :k], results[1], results[2][..., :k, :]
        return (_svd_back(None if gu_ is None else gu_[..., :k], gs,
                          None if gvh is None else gvh[..., :k, :], u, s, vh),)  # fmt: skip

    wide, high = (m, n) if full_matrices else (k, k)
    kinds = [((*lead, m, wide), a.dtype), ((*lead, k), a.dtype), ((*lead, high, n), a.dtype)]
    return SVD(*host(Host("svd", lapack.svd, (bool(full_matrices),)), (a,), kinds, derivative))


def _no_tail(name: str, g: Tensor | None, axis: int, k: int) -> None:
    """Raise where a gradient asks for vectors that the matrix does not determine."""
    if g is None or g._shape[axis] == k:
        return
    tail = g[..., k:] if axis == -1 else g[..., k:, :]
    if store.tracer is not None or bool((tail.detach() != 0).any().item()):
        raise GradError(
            f"{name}: the vectors beyond the first {int(k)} have no derivative: the matrix does "
            f"not determine them; use full_matrices=False" + at_line()
        )


def _svd_back(
    gu_: Tensor | None, gs: Tensor | None, gvh: Tensor | None, u: Tensor, s: Tensor, vh: Tensor
) -> Tensor:
    """U [(skew(UᵀŪ) / E) S + S (skew(VᵀV̄) / E) + diag(S̄)] Vh, E_ij = s_j² − s_i², and what leaves
    the spaces of U and V."""
    k = s._shape[-1]
    square = s * s
    gaps = square.unsqueeze(-2) - square.unsqueeze(-1) + eye(k, dtype=s.dtype)
    inner = diagonals(pw.binary("mul", s, 0) if gs is None else gs)
    outside = []
    if gu_ is not None:
        x = u.mT @ gu_
        inner = inner + (x - x.mT) / gaps * s.unsqueeze(-2)
        if u._shape[-2] > k:
            scaled = gu_ / s.unsqueeze(-2)
            outside.append((scaled - u @ (u.mT @ scaled)) @ vh)
    if gvh is not None:
        y = vh @ gvh.mT
        inner = inner + s.unsqueeze(-1) * ((y - y.mT) / gaps)
        if vh._shape[-1] > k:
            scaled = gvh / s.unsqueeze(-1)
            outside.append(u @ (scaled - (scaled @ vh.mT) @ vh))
    total = u @ inner @ vh
    for part in outside:
        total = total + part
    return total


@named
def svdvals(A: Core) -> Tensor:
    """The singular values of A, descending: (…, m, n) → (…, min(m, n)).

    >>> gu.linalg.svdvals(gu.tensor([[3.0, 0.0], [0.0, -4.0]])).tolist()
    [4.0, 3.0]
    """
    a = matrices("svdvals", A, complex_too=True)
    if is_complex(a):
        from . import complexes

        return complexes.svdvals(complexes.checked("svdvals", a))
    if tracked(a):
        return svd(a, full_matrices=False).S
    *lead, m, n = a._shape
    return host(Host("svdvals", lapack.svdvals), (a,), [((*lead, min(m, n)), a.dtype)])[0]


# ---- eigenvalues ---------------------------------------------------------------------------------


def _triangle(name: str, uplo: str) -> str:
    if uplo not in ("L", "U", "l", "u"):
        raise ValueError(f"{name}: UPLO is 'L' or 'U', not {uplo!r}" + at_line())
    return uplo.upper()


@named
def eigh(A: Core, UPLO: str = "L") -> Eigh:
    """A = V diag(L) Vᵀ for symmetric A: eigenvalues, ascending, and orthonormal eigenvectors.

    A: (…, n, n), of which one triangle is read; L (…, n), V (…, n, n), each column up to a sign.
    Derivative: Giles, Collected matrix derivative results (2008), 3.1, for a symmetric A; that by
    V is not finite where two eigenvalues are equal.

    >>> gu.linalg.eigh(gu.tensor([[2.0, 0.0], [0.0, 1.0]])).eigenvalues.tolist()
    [1.0, 2.0]
    """
    a = matrices("eigh", A, square=True, complex_too=True)
    uplo = _triangle("eigh", UPLO)
    if is_complex(a):
        from . import complexes

        return Eigh(*complexes.eigh(complexes.checked("eigh", a), uplo))

    def derivative(g: Given, results: Known, sources: Known) -> Sequence[Tensor]:
        (gl, gv), (w, v) = g, results
        if gv is None:
            assert gl is not None
            return ((v * gl.unsqueeze(-2)) @ v.mT,)
        n = w._shape[-1]
        same = eye(n).bool()
        gaps = pw.where(same, 1, w.unsqueeze(-2) - w.unsqueeze(-1))
        x = v.mT @ gv
        inner = 0.5 * (x - x.mT) / gaps
        if gl is not None:
            inner = inner + diagonals(gl)
        return (v @ inner @ v.mT,)

    kinds = [(a._shape[:-1], a.dtype), (a._shape, a.dtype)]
    return Eigh(*host(Host("eigh", lapack.eigh, (uplo,)), (a,), kinds, derivative))


@named
def eigvalsh(A: Core, UPLO: str = "L") -> Tensor:
    """The eigenvalues of symmetric A, ascending: (…, n, n) → (…, n).

    >>> gu.linalg.eigvalsh(gu.tensor([[0.0, 1.0], [1.0, 0.0]])).tolist()
    [-1.0, 1.0]
    """
    a = matrices("eigvalsh", A, square=True, complex_too=True)
    uplo = _triangle("eigvalsh", UPLO)
    if is_complex(a):
        from . import complexes

        return complexes.eigvalsh(complexes.checked("eigvalsh", a), uplo)
    if tracked(a):
        return eigh(a, uplo).eigenvalues
    return host(Host("eigvalsh", lapack.eigvalsh, (uplo,)), (a,), [(a._shape[:-1], a.dtype)])[0]


# ---- eigenvalues of any matrix -------------------------------------------------------------------


def _complex(name: str, A: Core) -> ComplexTensor:
    from . import complexes

    a = matrices(name, A, square=True, complex_too=True)
    return complexes.checked(name, a if is_complex(a) else a.to(a.dtype.to_complex()))


@named
def eig(A: Core) -> Eig:
    """A = V diag(L) V⁻¹ for any square A that has so many eigenvectors.

    A: (…, n, n), real or complex; L (…, n) and V (…, n, n) are complex, L in no order, each column
    of V of length 1 and up to a factor of length 1. The derivative is that of functions which no
    such factor changes, and is not finite where two eigenvalues are equal.

    >>> gu.linalg.eig(gu.tensor([[0.0, -1.0], [1.0, 0.0]])).eigenvalues.imag.abs().tolist()
    [1.0, 1.0]
    """
    from . import complexes

    return Eig(*complexes.eig(_complex("eig", A), not is_complex(A)))


@named
def eigvals(A: Core) -> Tensor:
    """The eigenvalues of any square A, complex and in no order: (…, n, n) → (…, n).

    >>> gu.linalg.eigvals(gu.tensor([[2.0, 1.0], [0.0, 2.0]])).tolist()
    [(2+0j), (2+0j)]
    """
    from . import complexes

    return complexes.eigvals(_complex("eigvals", A), not is_complex(A))
