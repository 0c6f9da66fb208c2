"""Systems without exact solutions: least squares, pseudo-inverses, ranks.

Must not know how a host operation runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ...ir import dtype as dt
from ...ir.node import Host
from .. import pointwise as pw
from .. import storage as store
from ..core import Core, is_complex
from ..create import zeros
from ..errors import ShapeError, at_line, lined_up
from ..host import host
from ..misuse import named
from ..shape import expand
from ..tensor import Tensor
from . import lapack
from .decompositions import eigvalsh, svdvals
from .operands import Given, Known, matrices, steps
from .systems import right_side

EPSILON = {dt.float32: 2.0**-23, dt.float64: 2.0**-52}
DRIVERS = ("gelsy", "gelsd", "gelss", "gels")


class Lstsq(NamedTuple):
    """The result of `lstsq`."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


def _number(name: str, what: str, value: Any) -> float | None:
    """A tolerance as a number."""
    if value is None:
        return None
    if isinstance(value, Tensor) and not value.ndim:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(
            f"{name}: {what} is a number or None, not {type(value).__name__}" + at_line()
        )
    return float(value)


@named
def pinv(
    A: Core, *, atol: float | None = None, rtol: float | None = None, hermitian: bool = False
) -> Tensor:
    """The pseudo-inverse A⁺ (Moore, Penrose): (…, m, n) → (…, n, m).

    Singular values up to max(atol, rtol · the greatest) count as 0. atol is 0 unless given; rtol is
    max(m, n) · ε unless one of the two is given. hermitian: A is symmetric, its lower triangle is
    read. Derivative, where the rank does not change: Golub and Pereyra, The differentiation of
    pseudo-inverses (1973), eq. 4.12.

    >>> gu.linalg.pinv(gu.tensor([[2.0, 0.0], [0.0, 0.0]])).tolist()
    [[0.5, 0.0], [0.0, 0.0]]
    """
    a = matrices("pinv", A, square=hermitian, complex_too=True)
    options = _number("pinv", "atol", atol), _number("pinv", "rtol", rtol), bool(hermitian)
    if is_complex(a):
        from . import complexes

        return complexes.pinv(complexes.checked("pinv", a), *options)

    def derivative(g: Given, results: Known, sources: Known) -> Sequence[Tensor]:
        (gp,), (p,), (x,) = g, results, sources
        assert gp is not None
        return (_pinv_back(gp, p, x),)

    kind = ((*a._shape[:-2], a._shape[-1], a._shape[-2]), a.dtype)
    return host(Host("pinv", lapack.pinv, options), (a,), [kind], derivative)[0]


@named
def pinverse(A: Core, rcond: float = 1e-15) -> Tensor:
    """The pseudo-inverse; singular values up to rcond · the greatest count as 0: `linalg.pinv`.

    >>> gu.pinverse(gu.tensor([[2.0, 0.0], [0.0, 4.0]])).tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """
    return pinv(A, rtol=rcond)


def _pinv_back(g: Tensor, p: Tensor, a: Tensor) -> Tensor:
    """The adjoint of dP = −P dA P + P Pᵀ dAᵀ (1 − A P) + (1 − P A) dAᵀ Pᵀ P."""
    left = g.mT @ p
    left = (left - a @ (p @ left)) @ p.mT
    right = p @ g.mT
    right = p.mT @ (right - (right @ p) @ a)
    return left + right - p.mT @ g @ p.mT


@named
def lstsq(A: Core, B: Core, rcond: float | None = None, *, driver: str | None = None) -> Lstsq:
    """The X of least norm for which Σ (A X − B)² is least, by singular values.

    A: (…, m, n); B: (…, m, k), or a vector for each matrix. Gives solution (…, n, k); residuals
    (…, k), the sums of squares, where m > n, except for the driver "gelsy", the default, and where
    some A has not full rank (else empty; "gels" takes the rank for full); rank (…), except for
    "gels"; singular_values, for "gelsd" and "gelss". All are computed by LAPACK's gelsd. rcond:
    singular values up to rcond · the greatest count as 0; by default max(m, n) · ε. Derivative:
    that of A⁺ B (see `pinv`).

    Raises RuntimeError while jit captures a function, for "gelsd" and "gelss" where m > n: whether
    there are residuals is decided by values.

    >>> A = gu.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    >>> gu.linalg.lstsq(A, gu.tensor([[1.0], [3.0], [5.0]])).solution.round().tolist()
    [[1.0], [2.0]]
    """
    a = matrices("lstsq", A)
    driver = driver or "gelsy"
    if driver not in DRIVERS:
        raise ValueError(
            f"lstsq: driver is one of {', '.join(DRIVERS)}, not {driver!r}" + at_line()
        )
    b, vector = right_side("lstsq", a, B)
    *_, m, n = a._shape
    if b._shape[-2] != m:
        raise ShapeError(
            f"lstsq: A has {int(m)} rows: B needs as many" + lined_up(A=a._shape, B=b._shape)
            + at_line()
        )  # fmt: skip
    depends = m > n and driver in ("gelsd", "gelss")
    if depends:
        store.asked("lstsq: whether there are residuals")
    lead = pw.broadcast("lstsq", a._shape[:-2], b._shape[:-2])
    a, b = expand(a, *lead, m, n), expand(b, *lead, *b._shape[-2:])

    def derivative(g: Given, results: Known, sources: Known) -> Sequence[Tensor | None]:
        gx, (x, y) = g[0], sources
        if gx is None:
            return None, None
        p = pinv(x, rtol=limit)
        return _pinv_back(gx @ y.mT, p, x), p.mT @ gx

    given = _number("lstsq", "rcond", rcond)
    limit = max(m, n) * EPSILON[a.dtype] if given is None else given
    kinds = [((*lead, n, b._shape[-1]), a.dtype), (lead, dt.int64), ((*lead, min(m, n)), a.dtype)]
    x, rank, s = host(Host("lstsq", lapack.lstsq, (limit,)), (a, b), kinds, derivative)
    residuals = steps("lstsq", zeros(0, dtype=a.dtype), x)
    if (m > n and driver == "gels") or (depends and bool((rank == n).all().item())):
        residuals = (a @ x - b).square().sum(-2)
    return Lstsq(
        x.squeeze(-1) if vector else x,
        residuals,
        zeros(0, dtype=dt.int64) if driver == "gels" else rank,
        s.detach() if driver in ("gelsd", "gelss") else zeros(0, dtype=a.dtype),
    )


@named
def matrix_rank(
    A: Core, *, atol: Any = None, rtol: Any = None, hermitian: bool = False
) -> Tensor:
    """How many singular values are greater than max(atol, rtol · the greatest): (…, m, n) → (…),
    int64.

    atol is 0 unless given; rtol is max(m, n) · ε unless one of the two is given; both may be
    tensors of the leading axes. hermitian: absolute eigenvalues are used.

    >>> gu.linalg.matrix_rank(gu.tensor([[1.0, 2.0], [2.0, 4.0]])).item()
    1
    """
    a = matrices("matrix_rank", A, square=hermitian, complex_too=True).detach()
    s = eigvalsh(a).abs() if hermitian else svdvals(a)
    if 0 in (a._shape[-1], a._shape[-2]):
        return s.sum(-1).long()
    if rtol is None:
        # A tensor may be 0 in places: there the default holds.
        default = max(a._shape[-2:]) * EPSILON[a.dtype.to_real()]
        if isinstance(atol, Tensor):
            rtol = pw.where(atol > 0, 0.0, default)
        else:
            rtol = 0.0 if atol else default
    greatest = s.amax(-1)
    limit = pw.binary("mul", greatest, rtol)
    if atol is not None:
        limit = pw.where(limit > atol, limit, atol)
    return (s > limit.unsqueeze(-1)).sum(-1)
