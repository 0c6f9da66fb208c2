"""The decomposition of symmetric matrices that need not be positive definite: L D Lᵀ.

Must not know how a host operation runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...ir import dtype as dt
from ...ir.node import Host
from .. import pointwise as pw
from ..core import Core
from ..errors import GradError, ShapeError, at_line, lined_up
from ..host import host
from ..misuse import named
from ..shape import expand
from ..tensor import Tensor
from . import pivoted
from .operands import Given, Known, matrices, one_type, tensor_of


class LDLFactor(NamedTuple):
    """L, below its diagonal of ones, and D in one matrix, and what was exchanged."""

    LD: Tensor
    pivots: Tensor


class LDLFactorEx(NamedTuple):
    """The result of `ldl_factor_ex`."""

    LD: Tensor
    pivots: Tensor
    info: Tensor


@named
def ldl_factor_ex(A: Core, *, hermitian: bool = False, check_errors: bool = False) -> LDLFactorEx:
    """`ldl_factor` that says of each matrix which block of D is the first that is 0 (info; 0:
    none) where it would raise.

    >>> gu.linalg.ldl_factor_ex(gu.zeros(2, 2)).info.item()
    1
    """
    name = "ldl_factor_ex"
    return _factored(name, A, name if check_errors else "")


def _factored(name: str, A: Core, check: str) -> LDLFactorEx:
    a = matrices(name, A, square=True)

    def derivative(g: Given, results: Known, sources: Known) -> Sequence[Tensor]:
        raise GradError(f"{name} has no derivative; gu.linalg.solve has" + at_line())

    lead = a._shape[:-2]
    kinds = [(a._shape, a.dtype), (a._shape[:-1], dt.int32), (lead, dt.int32)]
    function = Host("ldl_factor", pivoted.ldl_factor, (check,))
    return LDLFactorEx(*host(function, (a,), kinds, derivative))


@named
def ldl_factor(A: Core, *, hermitian: bool = False) -> LDLFactor:
    """A = P L D Lᵀ Pᵀ for symmetric A, in packed form: L has ones on its diagonal, D blocks of one
    or two rows on its. hermitian: of real matrices the same.

    A: (…, n, n), whose lower triangle is read; LD (…, n, n), pivots (…, n) int32 as LAPACK's sytrf
    has them: p > 0: rows k and p were exchanged; two equal p < 0: a block of two rows, of which the
    second and −p were. Source: Bunch and Kaufman, Some stable methods for calculating inertia and
    solving symmetric linear systems (1977). Has no derivative. Raises LinAlgError for a singular A.

    >>> gu.linalg.ldl_factor(gu.tensor([[4.0, 2.0], [2.0, 5.0]])).LD.tolist()
    [[4.0, 0.0], [0.5, 4.0]]
    """
    packed, pivots, _ = _factored("ldl_factor", A, "ldl_factor")
    return LDLFactor(packed, pivots)


@named
def ldl_solve(LD: Core, pivots: Core, B: Core, *, hermitian: bool = False) -> Tensor:
    """The X with A X = B from `ldl_factor` of A: LD (…, n, n), pivots (…, n), B (…, n, k).

    >>> packed = gu.linalg.ldl_factor(gu.tensor([[0.0, 2.0], [2.0, 0.0]]))
    >>> gu.linalg.ldl_solve(*packed, gu.tensor([[2.0], [6.0]])).tolist()
    [[3.0], [1.0]]
    """
    f, b = matrices("ldl_solve", LD, square=True), matrices("ldl_solve", B)
    p = tensor_of("ldl_solve", pivots)
    one_type("ldl_solve", f, b)
    if p._shape != f._shape[:-1] or not p.dtype.is_int or b._shape[-2] != f._shape[-1]:
        raise ShapeError(
            "ldl_solve: pivots are integers, one for each row, and B has as many rows"
            + lined_up(LD=f._shape, pivots=p._shape, B=b._shape) + at_line()
        )  # fmt: skip
    lead = pw.broadcast("ldl_solve", f._shape[:-2], b._shape[:-2])
    f, b = expand(f, *lead, *f._shape[-2:]), expand(b, *lead, *b._shape[-2:])
    p = expand(p, *lead, p._shape[-1])

    def derivative(g: Given, results: Known, sources: Known) -> Sequence[Tensor]:
        raise GradError("ldl_solve has no derivative; gu.linalg.solve has" + at_line())

    function = Host("ldl_solve", pivoted.ldl_solve)
    return host(function, (f, p, b), [(b._shape, b.dtype)], derivative)[0]
