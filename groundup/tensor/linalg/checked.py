"""Decompositions that say by a number, instead of an error, for which matrices there is none.

Must not know how a host operation runs.
"""

from __future__ import annotations

from typing import NamedTuple

from ...ir import dtype as dt
from ...ir.node import Host
from .. import pointwise as pw
from ..core import Core
from ..create import eye
from ..host import host
from ..misuse import named
from ..tensor import Tensor
from . import lapack
from .decompositions import cholesky
from .operands import as_factor, matrices
from .systems import inverted, right_side, solved
from .triangular import lu_factor_ex


class InvEx(NamedTuple):
    """The result of `inv_ex`."""

    inverse: Tensor
    info: Tensor


class SolveEx(NamedTuple):
    """The result of `solve_ex`."""

    result: Tensor
    info: Tensor


class CholeskyEx(NamedTuple):
    """The result of `cholesky_ex`."""

    L: Tensor
    info: Tensor


def _sound(a: Tensor, info: Tensor) -> Tensor:
    """The matrices; 1 in the place of those for which there is nothing."""
    return pw.where(as_factor(info == 0), a, eye(a._shape[-1], dtype=a.dtype))


@named
def inv_ex(A: Core, *, check_errors: bool = False) -> InvEx:
    """`inv`, and for each matrix info: 0, or which pivot is the first 0; the inverse is NaN then.

    >>> gu.linalg.inv_ex(gu.zeros(2, 2)).info.item()
    1
    """
    a = matrices("inv_ex", A, square=True)
    info = lu_factor_ex(a.detach(), check_errors=check_errors).info
    inverse = inverted("inv_ex", _sound(a, info), False)
    return InvEx(pw.where(as_factor(info == 0), inverse, float("nan")), info)


@named
def solve_ex(
    A: Core, B: Core, *, left: bool = True, check_errors: bool = False
) -> SolveEx:
    """`solve`, and for each A info: 0, or which pivot is the first 0; the solution is NaN then.

    >>> gu.linalg.solve_ex(gu.eye(2), gu.ones(2)).info.item()
    0
    """
    a = matrices("solve_ex", A, square=True)
    _, vector = right_side("solve_ex", a, B)
    info = lu_factor_ex(a.detach(), check_errors=check_errors).info
    x = solved("solve_ex", _sound(a, info), B, left)
    sound = info == 0
    sound = sound.unsqueeze(-1) if vector else as_factor(sound)
    return SolveEx(pw.where(sound, x, float("nan")), info)


@named
def cholesky_ex(A: Core, *, upper: bool = False, check_errors: bool = False) -> CholeskyEx:
    """`cholesky`, and for each matrix info: 0, or the order of the first leading minor that is not
    positive; the factor is NaN then.

    >>> gu.linalg.cholesky_ex(gu.tensor([[1.0, 2.0], [2.0, 1.0]])).info.item()
    2
    """
    a = matrices("cholesky_ex", A, square=True)
    if check_errors:
        cholesky(a.detach(), upper=upper)
    read = (a.mT if upper else a).detach()
    info = host(Host("definite", lapack.definite), (read,), [(a._shape[:-2], dt.int32)])[0]
    low = cholesky(_sound(a, info), upper=upper)
    return CholeskyEx(pw.where(as_factor(info == 0), low, float("nan")), info)
