"""Norms of vectors and matrices, and the condition number.

Must not know how a host operation runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...ir.dtype import DType
from .. import pointwise as pw
from .. import reduce as rd
from ..core import Core, is_complex, value_of
from ..errors import ShapeError, at_line, check_dim, lined_up
from ..host import with_derivative
from ..misuse import named
from ..tensor import Tensor
from .decompositions import svdvals
from .operands import Given, Known, as_factor, matrices, steps, tensor_of
from .systems import inverted

INF = math.inf


def _converted(name: str, given: Core, dtype: DType | None) -> Tensor:
    """The operand in the type in which its norm is computed."""
    x = tensor_of(name, given)
    if not x.dtype.is_float:
        raise TypeError(
            f"{name}: a floating type expected, not {x.dtype.name}; write x.float()" + at_line()
        )
    if dtype is None:
        return x
    if not dtype.is_float or dtype.bits < x.dtype.bits:
        raise TypeError(
            f"{name}: dtype={dtype.name} cannot hold the norm of {x.dtype.name}; a wider floating "
            f"type can" + at_line()
        )
    return x.to(dtype)


def _sizes(x: Core) -> Core:
    """What a norm is of: of complex numbers their absolute values."""
    return x.abs() if isinstance(x, Tensor) and is_complex(x) else x


@named
def vector_norm(
    x: Core, ord: float = 2, dim: int | Sequence[int] | None = None, keepdim: bool = False,
    *, dtype: DType | None = None,
) -> Tensor:  # fmt: skip
    """(Σ |x|^p)^(1/p) over all elements, or over the axes `dim`.

    p: any number; ∞ and −∞ are the greatest and the least |x|, 0 counts what is not 0. dtype: x is
    converted first. Where the norm is 0 its derivative is 0, a subgradient.

    >>> gu.linalg.vector_norm(gu.tensor([3.0, 4.0])).item()
    5.0
    """
    a = _converted("vector_norm", _sizes(x), dtype)
    if isinstance(ord, bool) or not isinstance(ord, int | float):
        raise TypeError(f"vector_norm: ord is a number, not {ord!r}" + at_line())
    p = float(ord)
    dims = tuple(range(a.ndim)) if dim is None else rd.axes_of("vector_norm", dim, a.ndim)
    if not dims and a.ndim:  # dim=(): all, as in torch
        dims = tuple(range(a.ndim))
    if (p < 0 or p == INF) and any(a._shape[d] == 0 for d in dims):
        raise ShapeError(
            f"vector_norm: of no elements the norm with ord={ord} does not exist"
            + lined_up(shape=a._shape) + at_line()
        )  # fmt: skip
    if not a.ndim:
        return _norm(a.reshape(1), p, (0,), False)
    return _norm(a, p, dims, keepdim)


def _norm(a: Tensor, p: float, dims: tuple[int, ...], keepdim: bool) -> Tensor:
    found = rd.norm(a, p, dims, keepdim)
    return steps("vector_norm", found, a) if p == 0 else found


def _last(name: str, a: Tensor, dim: Sequence[int]) -> tuple[Tensor, tuple[int, int]]:
    """The matrix of two axes, last; and these axes."""
    if len(dim) != 2:
        raise ValueError(f"{name}: dim names two axes, not {len(dim)}" + at_line())
    row, column = (check_dim(name, int(d), a.ndim) for d in dim)
    if row == column:
        raise ValueError(f"{name}: dim names axis {row} twice" + at_line())
    others = [d for d in range(a.ndim) if d not in (row, column)]
    return a.permute(*others, row, column), (row, column)


@named
def matrix_norm(
    A: Core, ord: float | str = "fro", dim: Sequence[int] = (-2, -1), keepdim: bool = False,
    *, dtype: DType | None = None,
) -> Tensor:  # fmt: skip
    """A norm of the matrices in two axes.

    ord "fro": √Σ a²; "nuc": Σ of the singular values; 2, −2: the greatest, least of them; 1, −1:
    the greatest, least column sum of |a|; ∞, −∞: of rows. dtype: A is converted first.

    >>> gu.linalg.matrix_norm(gu.tensor([[1.0, -2.0], [3.0, 4.0]]), 1).item()
    6.0
    """
    if tensor_of("matrix_norm", A).ndim < 2:
        matrices("matrix_norm", A, complex_too=True)
    if is_complex(A) and ord in ("nuc", 2, -2):  # of complex singular values
        a = tensor_of("matrix_norm", A)
    else:
        a = _converted("matrix_norm", _sizes(A), dtype)
    turned, axes = _last("matrix_norm", a, dim)
    if ord == "fro":
        found = _norm(turned, 2, (turned.ndim - 2, turned.ndim - 1), False)
    elif ord == "nuc":
        found = svdvals(turned).sum(-1)
    elif ord in (2, -2):
        found = _extreme(svdvals(turned), ord == 2, a)
    elif ord in (1, -1):
        found = _extreme(turned.abs().sum(-2), ord == 1, a)
    elif ord in (INF, -INF):
        found = _extreme(turned.abs().sum(-1), ord == INF, a)
    else:
        raise ValueError(
            f"matrix_norm: ord is 'fro', 'nuc', 1, -1, 2, -2, inf or -inf, not {ord!r}" + at_line()
        )
    if keepdim:
        for d in sorted(axes):
            found = found.unsqueeze(d)
    return found


def nuclear(a: Core, dim: rd.Dims, keepdim: bool) -> Tensor:
    """The sum of the singular values of a matrix, or of those in two axes of a tensor."""
    if dim is None and a.ndim != 2:
        raise ShapeError(
            "norm: 'nuc' is a norm of a matrix; of another tensor, dim names the two axes of "
            "matrices" + lined_up(shape=a._shape) + at_line()
        )
    axes = (-2, -1) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    return matrix_norm(a, "nuc", axes, keepdim)


def _extreme(values: Tensor, greatest: bool, a: Tensor) -> Tensor:
    """The greatest or the least of the values of each matrix of a; the greatest of none is 0.

    Of equal values each takes the same share of the derivative."""
    if values._shape[-1] == 0:
        if greatest:
            return values.sum(-1)
        raise ShapeError(
            "matrix_norm: of an empty matrix a least norm does not exist"
            + lined_up(shape=a._shape) + at_line()
        )  # fmt: skip
    found = values.amax(-1) if greatest else values.amin(-1)

    def derivative(g: Given, results: Known, sources: Known) -> Sequence[Tensor]:
        (gx,), (best,), (x,) = g, results, sources
        assert gx is not None
        equal = (x == best.unsqueeze(-1)).to(x.dtype)
        return (equal * (gx / equal.sum(-1)).unsqueeze(-1),)

    return with_derivative("matrix_norm", [value_of(found)], [values], derivative)[0]


@named
def norm(
    A: Core, ord: Any = None, dim: int | Sequence[int] | None = None, keepdim: bool = False,
    *, dtype: DType | None = None,
) -> Tensor:  # fmt: skip
    """A norm of a vector or a matrix.

    Without ord: the square root of the sum of squares (over all elements, or over dim). With ord:
    `vector_norm` over one axis, `matrix_norm` over two; without dim, of a tensor with so many.

    >>> gu.linalg.norm(gu.tensor([[3.0, 0.0], [0.0, 4.0]])).item()
    5.0
    """
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype)
    if dim is None:
        if tensor_of("norm", A).ndim not in (1, 2):
            raise ShapeError(
                f"norm: ord={ord!r} without dim needs a vector or a matrix; name the axes with dim"
                + lined_up(shape=A._shape) + at_line()
            )  # fmt: skip
        dim = 0 if A.ndim == 1 else (0, 1)
    if isinstance(dim, int):
        dim = (dim,)
    if len(dim) == 1:
        return vector_norm(A, ord, dim, keepdim, dtype=dtype)
    return matrix_norm(A, ord, dim, keepdim, dtype=dtype)


@named
def cond(A: Core, p: float | str | None = None) -> Tensor:
    """The condition number ‖A‖ · ‖A⁻¹‖: (…, m, n) → (…); ∞ of a singular matrix.

    p None or 2: greatest by least singular value; −2 the reverse; else, of square matrices, any
    `ord` of `matrix_norm`.

    >>> gu.linalg.cond(gu.tensor([[2.0, 0.0], [0.0, 4.0]])).item()
    2.0
    """
    if p is None or p in (2, -2):
        a = matrices("cond", A)
        if 0 in (a._shape[-1], a._shape[-2]):
            return a.sum((-2, -1))
        s = svdvals(a)
        first, last = s[..., 0], s[..., -1]
        return last / first if p == -2 else first / last
    a = matrices("cond", A, square=True)
    if a._shape[-1] == 0:
        return a.sum((-2, -1))
    other = inverted("cond", a, True)
    finite = other.detach().isfinite().all(-1).all(-1)
    safe = pw.where(as_factor(finite), other, 0)
    return pw.where(finite, matrix_norm(a, p) * matrix_norm(safe, p), INF)
