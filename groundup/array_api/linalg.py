"""The linear algebra extension of the array API standard.

Thin functions over groundup's own. Must not hold any meaning of its own but where the standard and
PyTorch differ.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from groundup.ir.dtype import DType
from groundup.tensor import Tensor, broadcast_tensors, linalg, where
from groundup.tensor.errors import at_line, lined_up

from .manipulation import matrix_transpose
from .products import check_common_axis, matmul, tensordot, vecdot
from .reductions import Axis, axes_of
from .reductions import sum as total
from .types import checked, pair


class EigResult(NamedTuple):
    """Eigenvalues in no order, and eigenvectors as columns."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class EighResult(NamedTuple):
    """Eigenvalues in ascending order, and eigenvectors as columns."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class QRResult(NamedTuple):
    """x = Q·R"""

    Q: Tensor
    R: Tensor


class SlogdetResult(NamedTuple):
    """det x = sign · e^logabsdet"""

    sign: Tensor
    logabsdet: Tensor


class SVDResult(NamedTuple):
    """x = U·diag(S)·Vh"""

    U: Tensor
    S: Tensor
    Vh: Tensor


def cholesky(x: Tensor, /, *, upper: bool = False) -> Tensor:
    """L of x = L·Lᴴ, or its U of x = Uᴴ·U"""
    checked("cholesky", x)
    return linalg.cholesky(x, upper=upper)


def cross(x1: Tensor, x2: Tensor, /, *, axis: int = -1) -> Tensor:
    """The vector product along an axis of size 3, counted from the end; the others broadcast"""
    checked("cross", x1, x2)
    a, b = pair("cross", x1, x2)
    check_common_axis("cross", a, b, axis)
    if a.shape[axis] != 3 or b.shape[axis] != 3:
        raise ValueError(
            f"cross: axis {axis} has size 3 in both"
            + lined_up(x1=a._shape, x2=b._shape)
            + at_line()
        )
    a, b = broadcast_tensors(a.movedim(axis, -1), b.movedim(axis, -1))
    result = linalg.cross(a, b, dim=-1)
    return result.movedim(-1, axis)


def det(x: Tensor, /) -> Tensor:
    """The determinant"""
    checked("det", x)
    return linalg.det(x)


def diagonal(x: Tensor, /, *, offset: int = 0) -> Tensor:
    """A diagonal of each matrix, as the last axis"""
    checked("diagonal", x)
    return x.diagonal(offset, -2, -1)


def eig(x: Tensor, /) -> EigResult:
    """Eigenvalues and eigenvectors of any square matrix, complex"""
    checked("eig", x)
    return EigResult(*linalg.eig(x))


def eigvals(x: Tensor, /) -> Tensor:
    """Eigenvalues of any square matrix, complex"""
    checked("eigvals", x)
    return linalg.eigvals(x)


def eigh(x: Tensor, /) -> EighResult:
    """Eigenvalues and eigenvectors of a symmetric or Hermitian matrix"""
    checked("eigh", x)
    return EighResult(*linalg.eigh(x))


def eigvalsh(x: Tensor, /) -> Tensor:
    """Eigenvalues of a symmetric or Hermitian matrix, in ascending order"""
    checked("eigvalsh", x)
    return linalg.eigvalsh(x)


def inv(x: Tensor, /) -> Tensor:
    """The inverse"""
    checked("inv", x)
    return linalg.inv(x)


def matrix_norm(
    x: Tensor, /, *, keepdims: bool = False, ord: float | Literal["fro", "nuc"] | None = "fro"
) -> Tensor:
    """A norm of each matrix"""
    checked("matrix_norm", x)
    return linalg.matrix_norm(x, "fro" if ord is None else ord, keepdim=keepdims)


def matrix_power(x: Tensor, n: int, /) -> Tensor:
    """x·x·… n times; of the inverse for a negative n"""
    checked("matrix_power", x)
    return linalg.matrix_power(x, n)


def matrix_rank(x: Tensor, /, *, rtol: float | Tensor | None = None) -> Tensor:
    """How many singular values are more than rtol times the largest"""
    checked("matrix_rank", x)
    return linalg.matrix_rank(x, rtol=rtol)


def outer(x1: Tensor, x2: Tensor, /) -> Tensor:
    """x1[i] · x2[j] of two vectors"""
    checked("outer", x1, x2)
    a, b = pair("outer", x1, x2)
    if a.ndim != 1 or b.ndim != 1:
        raise ValueError("outer takes two vectors" + lined_up(x1=a._shape, x2=b._shape) + at_line())
    return a.unsqueeze(1) * b


def pinv(x: Tensor, /, *, rtol: float | Tensor | None = None) -> Tensor:
    """The pseudo-inverse; singular values up to rtol times the largest count as 0"""
    checked("pinv", x)
    if not isinstance(rtol, Tensor) or not x.numel():
        return linalg.pinv(x, rtol=None if isinstance(rtol, Tensor) else rtol)
    U, S, Vh = linalg.svd(x, full_matrices=False)
    kept = rtol.unsqueeze(-1) * S.amax(-1, keepdim=True) < S
    inverse = where(kept, 1 / where(kept, S, 1.0), 0.0)
    return (Vh.mT.conj() * inverse.unsqueeze(-2)).matmul(U.mT.conj())


def qr(x: Tensor, /, *, mode: Literal["reduced", "complete"] = "reduced") -> QRResult:
    """Q with orthonormal columns and R, an upper triangle, whose product is x"""
    checked("qr", x)
    if mode not in ("reduced", "complete"):
        raise ValueError(f"qr: mode is 'reduced' or 'complete', not {mode!r}" + at_line())
    return QRResult(*linalg.qr(x, mode=mode))


def slogdet(x: Tensor, /) -> SlogdetResult:
    """The sign of the determinant, and the logarithm of its magnitude"""
    checked("slogdet", x)
    return SlogdetResult(*linalg.slogdet(x))


def solve(x1: Tensor, x2: Tensor, /) -> Tensor:
    """X of x1·X = x2; x2 is a vector only if it has one axis"""
    checked("solve", x1, x2)
    a, b = pair("solve", x1, x2)
    if b.ndim == 1:
        return linalg.solve(a, b.unsqueeze(-1)).squeeze(-1)
    lead = max(a.ndim, b.ndim)
    b = b.reshape((*(1,) * (lead - b.ndim), *b.shape))  # no doubt that it holds matrices
    return linalg.solve(a, b)


def svd(x: Tensor, /, *, full_matrices: bool = True) -> SVDResult:
    """Singular values in descending order, and vectors"""
    checked("svd", x)
    return SVDResult(*linalg.svd(x, full_matrices=full_matrices))


def svdvals(x: Tensor, /) -> Tensor:
    """Singular values in descending order"""
    checked("svdvals", x)
    return linalg.svdvals(x)


def trace(x: Tensor, /, *, offset: int = 0, dtype: DType | None = None) -> Tensor:
    """The sum of a diagonal of each matrix"""
    return total(diagonal(x, offset=offset), axis=-1, dtype=dtype)


def vector_norm(
    x: Tensor, /, *, axis: Axis = None, keepdims: bool = False, ord: float = 2
) -> Tensor:
    """(Σ |x|^ord)^(1/ord) over axes"""
    checked("vector_norm", x)
    axes = axes_of("vector_norm", x, axis)
    if not axes:
        return linalg.vector_norm(x.unsqueeze(0), ord, dim=[0])
    return linalg.vector_norm(x, ord, dim=axes, keepdim=keepdims)


__all__ = [
    "cholesky", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh", "inv", "matmul",
    "matrix_norm", "matrix_power", "matrix_rank", "matrix_transpose", "outer", "pinv", "qr",
    "slogdet", "solve", "svd", "svdvals", "tensordot", "trace", "vecdot", "vector_norm",
]  # fmt: skip
