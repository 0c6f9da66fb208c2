"""Systems of equations, inverses and determinants.

Must not know how a host operation runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...ir.node import Host
from .. import pointwise as pw
from ..core import Core, is_complex
from ..create import eye
from ..errors import ShapeError, at_line, lined_up
from ..host import host
from ..misuse import named
from ..shape import expand
from ..tensor import Tensor
from . import lapack
from .operands import Given, Known, as_factor, matrices, one_type, tensor_of


class Slogdet(NamedTuple):
    """det A = sign · exp(logabsdet)."""

    sign: Tensor
    logabsdet: Tensor


# ---- solutions and inverses ----------------------------------------------------------------------


@named
def solve(A: Core, B: Core, *, left: bool = True) -> Tensor:
    """The X with A X = B (left=False: X A = B), by LU decomposition with partial pivoting.

    A: (…, n, n); B: (…, n, k), leading axes broadcast; or a vector for each matrix: B of one axis,
    or of the shape of A without its last. Derivative: Giles (2008), 2.3.1: B̄ = A⁻ᵀ X̄, Ā = −B̄ Xᵀ.

    Raises LinAlgError, with its place in the batch, for a singular matrix.

    >>> gu.linalg.solve(gu.tensor([[2.0, 0.0], [0.0, 4.0]]), gu.tensor([2.0, 2.0])).tolist()
    [1.0, 0.5]
    """
    return solved("solve", A, B, left)


def solved(name: str, A: Core, B: Core, left: bool = True) -> Tensor:
    """The solution, for a function of this name."""
    a = matrices(name, A, square=True, complex_too=True)
    b, vector = right_side(name, a, B)
    if not left:
        if vector:
            raise ShapeError(
                f"{name}: left=False needs a matrix on the right side, not a vector"
                + lined_up(A=a._shape, B=B._shape) + at_line()
            )  # fmt: skip
        if a._shape[-1] != b._shape[-1]:
            raise _unequal(name, a, b, "columns of B")
        return solved(name, a.mT, b.mT).mT
    if a._shape[-1] != b._shape[-2]:
        raise _unequal(name, a, b, "rows of B")
    if is_complex(a):
        from . import complexes

        found = complexes.solved(name, complexes.checked(name, a), complexes.checked(name, b))
        return found.squeeze(-1) if vector else found
    lead = pw.broadcast(name, a._shape[:-2], b._shape[:-2])
    a, b = expand(a, *lead, *a._shape[-2:]), expand(b, *lead, *b._shape[-2:])

    def derivative(g: Given, results: Known, sources: Known) -> Sequence[Tensor]:
        (gx,), (x,) = g, results
        assert gx is not None
        gb = solved(name, sources[0].mT, gx)
        return -(gb @ x.mT), gb

    (x,) = host(Host("solve", lapack.solve, (name,)), (a, b), [(b._shape, b.dtype)], derivative)
    return x.squeeze(-1) if vector else x


def right_side(name: str, a: Tensor, B: Core) -> tuple[Tensor, bool]:
    """The right side of a system as matrices, and whether it is vectors."""
    b = tensor_of(name, B)
    one_type(name, a, b)
    if not b.ndim:
        raise ShapeError(f"{name}: B needs at least one axis" + at_line())
    vector = b.ndim == 1 or (b.ndim == a.ndim - 1 and b._shape == a._shape[:-1])
    return (b.unsqueeze(-1) if vector else b), vector


def _unequal(name: str, a: Tensor, b: Tensor, what: str) -> ShapeError:
    return ShapeError(
        f"{name}: A has {int(a._shape[-2])} rows: so many {what} are needed"
        + lined_up(A=a._shape, B=b._shape) + at_line()
    )  # fmt: skip


@named
def solve_triangular(
    A: Core, B: Core, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    """`solve` for triangular A: the other triangle is not looked at (unitriangular: nor the
    diagonal, which is 1).

    >>> low = gu.tensor([[2.0, 9.0], [1.0, 1.0]])
    >>> gu.linalg.solve_triangular(low, gu.tensor([[2.0], [3.0]]), upper=False).tolist()
    [[1.0], [2.0]]
    """
    a = matrices("solve_triangular", A, square=True)
    b = matrices("solve_triangular", B)
    n = a._shape[-1]
    t = a.triu() if upper else a.tril()
    if unitriangular:
        t = pw.where(eye(n).bool(), 1, t)
    if not left:
        return solve_triangular(a.mT, b.mT, upper=not upper, unitriangular=unitriangular).mT
    return solved("solve_triangular", t, _as_matrix(t, b))


def _as_matrix(a: Tensor, b: Tensor) -> Tensor:
    """B with as many axes as A, so that it is not taken for vectors."""
    return expand(b, *((1,) * (a.ndim - b.ndim)), *b._shape) if b.ndim < a.ndim else b


@named
def inv(A: Core) -> Tensor:
    """A⁻¹: (…, n, n) → (…, n, n). To solve a system, `solve` is faster and closer.

    Derivative: Giles (2008), 2.2.3: Ā = −A⁻ᵀ X̄ A⁻ᵀ. Raises LinAlgError for a singular matrix.

    >>> gu.linalg.inv(gu.tensor([[2.0, 0.0], [0.0, 4.0]])).tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """
    return inverted("inv", A, False)


@named
def inverse(A: Core) -> Tensor:
    """A⁻¹: `linalg.inv`."""
    return inv(A)


def inverted(name: str, A: Core, fill: bool) -> Tensor:
    """The inverse; fill: infinities where there is none."""
    a = matrices(name, A, square=True, complex_too=True)
    if is_complex(a):
        from . import complexes

        return complexes.inverted(name, complexes.checked(name, a), fill)

    def derivative(g: Given, results: Known, sources: Known) -> Sequence[Tensor]:
        (gx,), (x,) = g, results
        assert gx is not None
        return (-(x.mT @ gx @ x.mT),)

    return host(Host("inv", lapack.inv, (name, fill)), (a,), [(a._shape, a.dtype)], derivative)[0]


# ---- determinants --------------------------------------------------------------------------------


def _cofactor(a: Tensor) -> Tensor:
    """The derivative of det. Its own is that of det A · A⁻ᵀ, where A has an inverse."""

    def derivative(g: Given, results: Known, sources: Known) -> Sequence[Tensor]:
        (gc,), (x,) = g, sources
        assert gc is not None
        turned = inverted("the second derivative of det", x, False).mT
        along = as_factor((gc * turned).sum((-2, -1))) * turned
        return (as_factor(det(x)) * (along - turned @ gc.mT @ turned),)

    return host(Host("cofactor", lapack.cofactors), (a,), [(a._shape, a.dtype)], derivative)[0]


@named
def det(A: Core) -> Tensor:
    """The determinant: (…, n, n) → (…).

    Derivative: Giles (2008), 2.2.4, as the matrix of cofactors, which a singular matrix has, too;
    higher derivatives are those of det A · A⁻ᵀ and need an inverse.

    >>> gu.linalg.det(gu.tensor([[2.0, 1.0], [1.0, 3.0]])).round().item()
    5.0
    """
    a = matrices("det", A, square=True, complex_too=True)
    if is_complex(a):
        from . import complexes

        return complexes.det(complexes.checked("det", a))

    def derivative(g: Given, results: Known, sources: Known) -> Sequence[Tensor]:
        (gd,), (x,) = g, sources
        assert gd is not None
        return (as_factor(gd) * _cofactor(x),)

    return host(Host("det", lapack.det), (a,), [(a._shape[:-2], a.dtype)], derivative)[0]


@named
def slogdet(A: Core) -> Slogdet:
    """Sign and logarithm of the absolute value of the determinant: (…, n, n) → (…), (…).

    Of a singular matrix sign is 0 and the logarithm −∞. Derivative: that of log|det A| is A⁻ᵀ
    (Giles (2008), 2.2.4), which needs an inverse; that of sign is 0.

    >>> sign, log = gu.linalg.slogdet(gu.tensor([[-2.0]]))
    >>> sign.item(), round(log.item(), 4)
    (-1.0, 0.6931)
    """
    a = matrices("slogdet", A, square=True, complex_too=True)
    if is_complex(a):
        from . import complexes

        return Slogdet(*complexes.slogdet(complexes.checked("slogdet", a)))

    def derivative(g: Given, results: Known, sources: Known) -> Sequence[Tensor | None]:
        log = g[1]
        if log is None:
            return (None,)
        return (as_factor(log) * inverted("the derivative of slogdet", sources[0], False).mT,)

    lead = a._shape[:-2]
    sign, log = host(Host("slogdet", lapack.slogdet), (a,), [(lead, a.dtype)] * 2, derivative)
    return Slogdet(sign, log)


@named
def logdet(A: Core) -> Tensor:
    """log det A: (…, n, n) → (…); −∞ where it is 0, NaN where it is negative. Of complex matrices
    it is complex: log |det A| + i·the angle of det A.

    >>> gu.logdet(gu.eye(3)).item()
    0.0
    """
    sign, log = slogdet(A)
    if is_complex(sign):
        return pw.log(sign) + log
    return pw.where(sign == -1, float("nan"), log)
