"""Functions of complex matrices: LAPACK on pairs (re, im); their derivatives, in complex tensors.

A gradient is ∂L/∂re + i·∂L/∂im, so that dL = Re Σ conj(gradient) · dz: the transposes of the real
formulas become conjugate ones. Must not know how a host operation runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from ...ir.dtype import DType
from ...ir.node import Host
from .. import pointwise as pw
from ..complex.parts import joined
from ..complex.tensor import ComplexTensor
from ..core import Core
from ..create import eye
from ..errors import GradError, ShapeError, at_line, lined_up
from ..host import host
from ..misuse import named
from ..shape import expand
from ..tensor import Tensor
from . import lapack
from .operands import as_factor, diagonals

# (gradients of the results, None where nothing asks; the results; the sources) → gradients.
Derivative: TypeAlias = Callable[
    [Sequence[Tensor | None], Sequence[Tensor], Sequence[Tensor]], Sequence[Tensor | None]
]
_CHOLESKY, _QR, _SVD = map(lapack.of_pairs, (lapack.cholesky, lapack.qr, lapack.svd))
_SVDVALS, _EIGH, _EIGVALSH = map(
    lapack.of_pairs, (lapack.svdvals, lapack.eigh, lapack.eigvalsh)
)
_EIG, _EIGVALS = map(lapack.of_pairs, (lapack.eig, lapack.eigvals))
_SOLVE, _INV, _DET = map(lapack.of_pairs, (lapack.solve, lapack.inv, lapack.det))
_SLOGDET, _PINV = map(lapack.of_pairs, (lapack.slogdet, lapack.pinv))


def checked(name: str, A: Core, square: bool = False) -> ComplexTensor:
    """The operand, if it is a (square) complex matrix or a batch of them."""
    if not isinstance(A, ComplexTensor):
        raise TypeError(
            f"{name}: one type expected, not a complex matrix and {getattr(A, 'dtype', A)!r}; "
            f"write x.to(gu.complex64)" + at_line()
        )
    if A.ndim < 2 or (square and A._shape[-1] != A._shape[-2]):
        raise ShapeError(
            f"{name}: a {'square ' if square else ''}matrix expected, or a batch of them"
            + lined_up(shape=A._shape) + at_line()
        )  # fmt: skip
    return A


def _seen(x: Tensor, dtype: DType) -> Tensor:
    return ComplexTensor(x) if dtype.is_complex else x


def _pairs(x: Core) -> Tensor:
    """What a gradient is for the pairs of a complex tensor."""
    if not isinstance(x, ComplexTensor):
        assert isinstance(x, Tensor)
        return joined(x, 0.0, x.dtype.to_complex())._pair  # type: ignore[attr-defined, no-any-return]
    return x._pair


def _run(
    name: str, function: lapack.Hosted, sources: Sequence[ComplexTensor],
    kinds: Sequence[tuple[tuple[int, ...], DType]], derivative: Derivative, *options: object,
) -> list[Tensor]:  # fmt: skip
    """The results of a function of matrices on complex tensors."""

    def rule(
        g: Sequence[Tensor | None], results: Sequence[Tensor], given: Sequence[Tensor]
    ) -> list[Tensor | None]:
        found = derivative(
            [None if x is None else _seen(x, d) for x, (_, d) in zip(g, kinds, strict=True)],
            [_seen(x, d) for x, (_, d) in zip(results, kinds, strict=True)],
            [ComplexTensor(x) for x in given],
        )
        return [None if x is None else _pairs(x) for x in found]

    real = [((*s, 2), d.to_real()) if d.is_complex else (s, d) for s, d in kinds]
    made = host(Host(name, function, options), [s._pair for s in sources], real, rule)
    return [_seen(x, d) for x, (_, d) in zip(made, kinds, strict=True)]


@named
def adjoint(a: Tensor) -> Tensor:
    """aᴴ"""
    return a.mT.conj()


# ---- systems -------------------------------------------------------------------------------------


def solved(name: str, a: ComplexTensor, b: ComplexTensor) -> Tensor:
    """The X with a X = b of matrices, leading axes broadcast: b̄ = a⁻ᴴ X̄, ā = −b̄ Xᴴ."""
    lead = pw.broadcast(name, a._shape[:-2], b._shape[:-2])
    wide_a, wide_b = expand(a, *lead, *a._shape[-2:]), expand(b, *lead, *b._shape[-2:])
    assert isinstance(wide_a, ComplexTensor) and isinstance(wide_b, ComplexTensor)

    def derivative(
        g: Sequence[Tensor | None], results: Sequence[Tensor], sources: Sequence[Tensor]
    ) -> Sequence[Tensor]:
        (gx,), (x,) = g, results
        assert isinstance(gx, ComplexTensor)
        turned = adjoint(sources[0])
        assert isinstance(turned, ComplexTensor)
        gb = solved(name, turned, gx)
        return -(gb @ adjoint(x)), gb

    return _run(name, _SOLVE, (wide_a, wide_b), [(wide_b._shape, a.dtype)], derivative, name)[0]


def inverted(name: str, a: ComplexTensor, fill: bool) -> Tensor:
    """a⁻¹: ā = −a⁻ᴴ X̄ a⁻ᴴ."""

    def derivative(
        g: Sequence[Tensor | None], results: Sequence[Tensor], sources: Sequence[Tensor]
    ) -> Sequence[Tensor]:
        (gx,), (x,) = g, results
        assert gx is not None
        turned = adjoint(x)
        return (-(turned @ gx @ turned),)

    return _run(name, _INV, (a,), [(a._shape, a.dtype)], derivative, name, fill)[0]


def _turned_inverse(name: str, a: Tensor) -> Tensor:
    assert isinstance(a, ComplexTensor)
    return adjoint(inverted(name, a, False))


@named
def det(a: ComplexTensor) -> Tensor:
    """The determinant: ā = d̄ · conj(d) · a⁻ᴴ, which needs an inverse."""

    def derivative(
        g: Sequence[Tensor | None], results: Sequence[Tensor], sources: Sequence[Tensor]
    ) -> Sequence[Tensor]:
        (gd,), (d,) = g, results
        assert gd is not None
        return (as_factor(gd * d.conj()) * _turned_inverse("the derivative of det", sources[0]),)

    return _run("det", _DET, (a,), [(a._shape[:-2], a.dtype)], derivative)[0]


@named
def slogdet(a: ComplexTensor) -> tuple[Tensor, Tensor]:
    """det a / |det a| and log |det a|: of t = tr(a⁻¹ da) the imaginary part turns the sign, the
    real part is the change of the logarithm."""

    def derivative(
        g: Sequence[Tensor | None], results: Sequence[Tensor], sources: Sequence[Tensor]
    ) -> Sequence[Tensor | None]:
        gs, gl = g
        along = None if gl is None else gl + 0j
        if gs is not None:
            turn = (gs.conj() * results[0] * 1j).real * 1j
            along = turn if along is None else along + turn
        if along is None:
            return (None,)
        return (as_factor(along) * _turned_inverse("the derivative of slogdet", sources[0]),)

    lead = a._shape[:-2]
    kinds = [(lead, a.dtype), (lead, a.dtype.to_real())]
    sign, log = _run("slogdet", _SLOGDET, (a,), kinds, derivative)
    return sign, log


# ---- decompositions ------------------------------------------------------------------------------


@named
def cholesky(a: ComplexTensor) -> Tensor:
    """The lower L with a = L Lᴴ: ā = L⁻ᴴ Φ L⁻¹, made Hermitian, of Φ the lower triangle of Lᴴ L̄,
    half its diagonal's real part."""

    def derivative(
        g: Sequence[Tensor | None], results: Sequence[Tensor], sources: Sequence[Tensor]
    ) -> Sequence[Tensor]:
        (low,), (gl,) = results, g
        assert gl is not None
        n = low._shape[-1]
        inside = (adjoint(low) @ gl).tril()
        phi = inside - 0.5 * (inside * eye(n, dtype=low.dtype))
        phi = 0.5 * (phi + adjoint(phi))
        turned = adjoint(low)
        assert isinstance(turned, ComplexTensor) and isinstance(phi, ComplexTensor)
        half = adjoint(solved("cholesky", turned, phi))
        assert isinstance(half, ComplexTensor)
        return (adjoint(solved("cholesky", turned, half)),)

    return _run("cholesky", _CHOLESKY, (a,), [(a._shape, a.dtype)], derivative)[0]


def _refused(name: str, why: str) -> GradError:
    return GradError(
        f"{name} of complex matrices has no derivative here by {why}; write {name}(x.detach()), or "
        f"ask for the values alone" + at_line()
    )


@named
def qr(a: ComplexTensor, mode: str) -> tuple[Tensor, Tensor]:
    """Q with orthonormal columns and R, an upper triangle; no derivative."""

    def derivative(
        g: Sequence[Tensor | None], results: Sequence[Tensor], sources: Sequence[Tensor]
    ) -> Sequence[Tensor]:
        raise _refused("qr", "Q and R")

    *lead, m, n = a._shape
    k = min(m, n) if mode == "reduced" else m
    kinds = [((*lead, m, k), a.dtype), ((*lead, k, n), a.dtype)]
    q, r = _run("qr", _QR, (a,), kinds, derivative, mode)
    return q, r


@named
def svd(a: ComplexTensor, full: bool) -> tuple[Tensor, Tensor, Tensor]:
    """U, the singular values and Vh; a derivative by the singular values alone."""

    def derivative(
        g: Sequence[Tensor | None], results: Sequence[Tensor], sources: Sequence[Tensor]
    ) -> Sequence[Tensor | None]:
        gu, gs, gv = g
        if gu is not None or gv is not None:
            raise _refused("svd", "U and Vh, which are free to turn")
        u, s, vh = results
        if gs is None:
            return (None,)
        k = s._shape[-1]
        return ((u[..., :k] * gs.unsqueeze(-2)) @ vh[..., :k, :],)

    *lead, m, n = a._shape
    k = min(m, n)
    left, right = (m, n) if full else (k, k)
    kinds = [
        ((*lead, m, left), a.dtype), ((*lead, k), a.dtype.to_real()), ((*lead, right, n), a.dtype),
    ]  # fmt: skip
    u, s, vh = _run("svd", _SVD, (a,), kinds, derivative, full)
    return u, s, vh


@named
def svdvals(a: ComplexTensor) -> Tensor:
    """The singular values; where a derivative flows, with the vectors that it needs."""
    if a.tracked():
        return svd(a, False)[1]
    *lead, m, n = a._shape
    kinds = [((*lead, min(m, n)), a.dtype.to_real())]
    return _run("svdvals", _SVDVALS, (a,), kinds, lambda g, y, x: (None,))[0]


@named
def eigh(a: ComplexTensor, uplo: str) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors of Hermitian matrices: ā = V (diag L̄ + X ∘ F) Vᴴ with X half of
    Vᴴ V̄ − V̄ᴴ V and F[i, j] = 1 / (L[j] − L[i]), 0 on the diagonal, for functions that no turn of a
    vector changes."""

    def derivative(
        g: Sequence[Tensor | None], results: Sequence[Tensor], sources: Sequence[Tensor]
    ) -> Sequence[Tensor | None]:
        values, v = results
        gl, gv = g
        inner = None if gl is None else diagonals(gl) + 0j
        if gv is not None:
            same = eye(values._shape[-1]).bool()
            gaps = pw.where(same, 1, values.unsqueeze(-2) - values.unsqueeze(-1))
            x = adjoint(v) @ gv
            turned = (x - adjoint(x)) * pw.where(same, 0, 0.5 / gaps)
            inner = turned if inner is None else inner + turned
        return (None if inner is None else v @ inner @ adjoint(v),)

    kinds = [(a._shape[:-1], a.dtype.to_real()), (a._shape, a.dtype)]
    values, vectors = _run("eigh", _EIGH, (a,), kinds, derivative, uplo)
    return values, vectors


@named
def eigvalsh(a: ComplexTensor, uplo: str) -> Tensor:
    """The eigenvalues of Hermitian matrices."""
    if a.tracked():
        return eigh(a, uplo)[0]
    kinds = [(a._shape[:-1], a.dtype.to_real())]
    return _run("eigvalsh", _EIGVALSH, (a,), kinds, lambda g, y, x: (None,), uplo)[0]


@named
def eig(a: ComplexTensor, real: bool) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors of length 1 (real: of a matrix without imaginary parts):
    ā = V⁻ᴴ (diag L̄ + (Vᴴ V̄ − Vᴴ V Re diag(Vᴴ V̄)) ∘ F) Vᴴ with F[i, j] = 1 / conj(L[j] − L[i]), 0 on
    the diagonal, for functions that no turn of a vector changes (Boeddeker et al. 2017,
    https://arxiv.org/abs/1701.00392, for vectors of length 1)."""

    def derivative(
        g: Sequence[Tensor | None], results: Sequence[Tensor], sources: Sequence[Tensor]
    ) -> Sequence[Tensor | None]:
        values, v = results
        gl, gv = g
        turned = adjoint(v)
        inner = None if gl is None else diagonals(gl)
        if gv is not None:
            same = eye(values._shape[-1]).bool()
            gaps = (values.unsqueeze(-2) - values.unsqueeze(-1)).conj()
            x = turned @ gv
            along = x.diagonal(0, -2, -1).real.unsqueeze(-2)
            x = pw.where(same, 0, x - turned @ (v * along)) / pw.where(same, 1, gaps)
            inner = x if inner is None else inner + x
        if inner is None:
            return (None,)
        right = inner @ turned
        assert isinstance(turned, ComplexTensor) and isinstance(right, ComplexTensor)
        return (solved("the derivative of eig", turned, right),)

    kinds = [(a._shape[:-1], a.dtype), (a._shape, a.dtype)]
    values, vectors = _run("eig", _EIG, (a,), kinds, derivative, real)
    return values, vectors


@named
def eigvals(a: ComplexTensor, real: bool) -> Tensor:
    """The eigenvalues; where a derivative flows, with the vectors that it needs."""
    if a.tracked():
        return eig(a, real)[0]
    kinds = [(a._shape[:-1], a.dtype)]
    return _run("eigvals", _EIGVALS, (a,), kinds, lambda g, y, x: (None,), real)[0]


@named
def pinv(a: ComplexTensor, *options: object) -> Tensor:
    """The pseudo-inverse P: dP = −P da P + P Pᴴ daᴴ (1 − a P) + (1 − P a) daᴴ Pᴴ P, turned."""

    def derivative(
        g: Sequence[Tensor | None], results: Sequence[Tensor], sources: Sequence[Tensor]
    ) -> Sequence[Tensor]:
        (gp,), (p,), (x,) = g, results, sources
        assert gp is not None
        left = adjoint(gp) @ p
        left = (left - x @ (p @ left)) @ adjoint(p)
        right = p @ adjoint(gp)
        right = adjoint(p) @ (right - (right @ p) @ x)
        return (left + right - adjoint(p) @ gp @ adjoint(p),)

    kind = ((*a._shape[:-2], a._shape[-1], a._shape[-2]), a.dtype)
    return _run("pinv", _PINV, (a,), [kind], derivative, *options)[0]
