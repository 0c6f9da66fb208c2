"""Functions named like Tensor's methods: `gu.exp(x)` is `x.exp()`.

They take indexed expressions too where the operation is pointwise or a reduction. Must not hold any
meaning of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

from ..ir.dtype import DType, promote
from . import picking, reduce, shape
from . import pointwise as pw
from .core import Core, Deferred, Paired
from .either import over_axes, reducing
from .errors import ShapeError, at_line, lined_up
from .misuse import named
from .tensor import Tensor

if TYPE_CHECKING:
    from .elementwise import Elementwise
    from .notation import Axis, Indexed

exp, expm1, log, log1p, log2, log10 = pw.exp, pw.expm1, pw.log, pw.log1p, pw.log2, pw.log10
sqrt, rsqrt, reciprocal, square = pw.sqrt, pw.rsqrt, pw.reciprocal, pw.square
sin, cos, tan, tanh, erf = pw.sin, pw.cos, pw.tan, pw.tanh, pw.erf
sigmoid, relu, neg, sign = pw.sigmoid, pw.relu, pw.neg, pw.sign
abs, floor, ceil, trunc = pw.absolute, pw.floor, pw.ceil, pw.trunc
isnan, isinf, isfinite, logical_not = pw.isnan, pw.isinf, pw.isfinite, pw.logical_not
where, lerp = pw.where, pw.lerp
sum, prod = reducing(reduce.sum_, __name__), reducing(reduce.prod, __name__)
any, all = reducing(reduce.any_, __name__), reducing(reduce.all_, __name__)
logsumexp = reducing(reduce.logsumexp, __name__)
norm, softmax, log_softmax = reduce.norm, reduce.softmax, reduce.log_softmax
reshape, permute, transpose, t = shape.reshape, shape.permute, shape.transpose, shape.t
unsqueeze, squeeze, flatten, broadcast_to = (
    shape.unsqueeze, shape.squeeze, shape.flatten, shape.broadcast_to,
)  # fmt: skip
cat, stack, split, chunk, unbind = shape.cat, shape.stack, shape.split, shape.chunk, shape.unbind
flip, pad, diagonal, narrow = shape.flip, shape.pad, shape.diagonal, shape.narrow
gather, index_select, take_along_dim = (
    picking.gather, picking.index_select, picking.take_along_dim,
)  # fmt: skip


@overload
def max(a: Indexed, /, *axes: Axis) -> Indexed: ...
@overload
def max(a: Core) -> Tensor: ...
@overload
def max(a: Core, dim: int, keepdim: bool = False) -> reduce.Extreme: ...
@overload
def max(a: Core, dim: Core) -> Tensor: ...
def max(a: Any, *args: Any, **kwargs: Any) -> Any:
    """The greatest; with `dim` (values, indices) along it; with a tensor the greater of two; of an
    expression with axes, the greatest over these. NaN wins.

    >>> gu.max(gu.tensor([[1.0, 3.0], [5.0, 2.0]]), 1).values.tolist()
    [3.0, 5.0]
    >>> i, k = gu.axes("i k")
    >>> gu.max(gu.tensor([[1.0, 3.0], [5.0, 2.0]])[i, k], k).order(i).tolist()
    [3.0, 5.0]
    """
    if isinstance(a, Deferred):
        return over_axes("max", a, args, kwargs)
    if not isinstance(a, Tensor):
        raise TypeError(f"max takes a tensor, not {type(a).__name__}" + at_line())
    return Tensor.max(a, *args, **kwargs)


@overload
def min(a: Indexed, /, *axes: Axis) -> Indexed: ...
@overload
def min(a: Core) -> Tensor: ...
@overload
def min(a: Core, dim: int, keepdim: bool = False) -> reduce.Extreme: ...
@overload
def min(a: Core, dim: Core) -> Tensor: ...
def min(a: Any, *args: Any, **kwargs: Any) -> Any:
    """The least; with `dim` (values, indices) along it; with a tensor the lesser of two; of an
    expression with axes, the least over these. NaN wins.

    >>> gu.min(gu.tensor([[1.0, 3.0], [5.0, 2.0]])).item()
    1.0
    """
    if isinstance(a, Deferred):
        return over_axes("min", a, args, kwargs)
    if not isinstance(a, Tensor):
        raise TypeError(f"min takes a tensor, not {type(a).__name__}" + at_line())
    return Tensor.min(a, *args, **kwargs)


@reducing
@named
def amax(a: Core, dim: reduce.Dims = None, keepdim: bool = False) -> Tensor:
    """The greatest over `dim`, or over the axes of an expression; NaN wins"""
    return reduce.extreme("max", a, dim, keepdim)


@reducing
@named
def amin(a: Core, dim: reduce.Dims = None, keepdim: bool = False) -> Tensor:
    """The least over `dim`, or over the axes of an expression; NaN wins"""
    return reduce.extreme("min", a, dim, keepdim)


@reducing
@named
def argmax(a: Core, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the first greatest along `dim`; over axes of an expression, its position"""
    return reduce.arg("max", a, dim, keepdim)


@reducing
@named
def argmin(a: Core, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the first least along `dim`; over axes of an expression, its position"""
    return reduce.arg("min", a, dim, keepdim)


@reducing
def mean(
    a: Core, dim: reduce.Dims = None, keepdim: bool = False, dtype: DType | None = None
) -> Tensor:
    """Σ x / n over `dim`, or over the axes of an expression"""
    return reduce.mean(a if dtype is None else pw.cast(a, dtype), dim, keepdim)


@overload
def clamp(a: Core, min: Any = None, max: Any = None) -> Tensor: ...
@overload
def clamp(a: Elementwise, min: Any = None, max: Any = None) -> Indexed: ...
def clamp(a: Any, min: Any = None, max: Any = None) -> Any:
    """x, but at least min and at most max"""
    return pw.clamp(a, min, max)


@pw.pairwise
def clamp_min(a: Core, min: Any) -> Tensor:
    """x, but at least min"""
    return pw.clamp(a, min, None, "clamp_min")


@pw.pairwise
def clamp_max(a: Core, max: Any) -> Tensor:
    """x, but at most max"""
    return pw.clamp(a, None, max, "clamp_max")


def masked_fill(a: Core, mask: Core, value: Any) -> Tensor:
    """value (a number, or a 0-d tensor) where the mask holds, else x, in x's type"""
    if isinstance(a, Core) and isinstance(value, Core) and value.ndim:
        raise ShapeError(
            "masked_fill takes one number; where(mask, values, x) takes a tensor"
            + lined_up(value=value._shape) + at_line()
        )  # fmt: skip
    return pw.masked_fill(a, mask, value)


def masked_select(a: Tensor, mask: Core) -> Tensor:
    """The elements where a mask holds, in one axis (computed now)"""
    return a.masked_select(mask)


@named
def nonzero(a: Tensor, *, as_tuple: bool = False) -> Any:
    """The indices of what is not 0, one row each, or a tensor for each axis (computed now)"""
    return a.nonzero(as_tuple=as_tuple)


def movedim(a: Core, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Axes moved to other places"""
    return shape.movedim(a, source, destination)


def unflatten(a: Core, dim: int, sizes: Sequence[int]) -> Tensor:
    """One axis as several"""
    return shape.unflatten(a, dim, sizes)


def sgn(a: Core) -> Tensor:
    """−1, 0 or 1; of a complex number z / |z|, or 0"""
    if isinstance(a, Paired):
        from .complex.functions import sgn as counterpart

        return counterpart(a)
    return pw.sign(a)


@pw.pairwise
def true_divide(a: Any, b: Any) -> Tensor:
    """a / b; integers give float32"""
    return pw.binary("div", a, b)


@pw.pairwise
def mul(a: Any, b: Any) -> Tensor:
    """a · b"""
    return pw.binary("mul", a, b)


@pw.pairwise
def pow(a: Any, b: Any) -> Tensor:
    """a to the power b"""
    return pw.binary("pow", a, b)


@pw.pairwise
def maximum(a: Any, b: Any) -> Tensor:
    """The greater of two; NaN wins."""
    return pw.binary("maximum", a, b)


@pw.pairwise
def minimum(a: Any, b: Any) -> Tensor:
    """The lesser of two; NaN wins."""
    return pw.binary("minimum", a, b)


@pw.pairwise
def eq(a: Any, b: Any) -> Tensor:
    """a == b, also for axes (whose own == is identity)"""
    return pw.binary("eq", a, b)


@pw.pairwise
def ne(a: Any, b: Any) -> Tensor:
    """a != b, also for axes"""
    return pw.binary("ne", a, b)


@pw.pairwise
def logical_and(a: Core, b: Any) -> Tensor:
    """a and b, of truth values"""
    return pw.logical("and", a, b)


@pw.pairwise
def logical_or(a: Core, b: Any) -> Tensor:
    """a or b, of truth values"""
    return pw.logical("or", a, b)


@named
def tril(a: Core, diagonal: int = 0) -> Tensor:
    """The lower triangle of the last two axes, 0 above."""
    return shape.triangle(a, diagonal, upper=False)


@named
def triu(a: Core, diagonal: int = 0) -> Tensor:
    """The upper triangle of the last two axes, 0 below."""
    return shape.triangle(a, diagonal, upper=True)


def isclose(
    a: Core, other: Core, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """|a − other| ≤ atol + rtol · |other|, or equal (infinities), or both NaN if asked"""
    if not (isinstance(a, Core) and isinstance(other, Core)) or a.dtype is not other.dtype:
        given = " and ".join(
            x.dtype.name if isinstance(x, Core) else type(x).__name__ for x in (a, other)
        )
        raise TypeError(f"isclose compares tensors of one dtype, not {given}" + at_line())
    if rtol < 0 or atol < 0:
        raise ValueError(f"isclose: rtol {rtol} and atol {atol} are 0 or more" + at_line())
    near = pw.binary(
        "le", pw.absolute(pw.binary("sub", a, other)),
        pw.binary("add", pw.absolute(other) * rtol, atol),
    )  # fmt: skip
    near = pw.binary("and", near, pw.isfinite(other))
    result = pw.binary("or", near, pw.binary("eq", a, other))
    if equal_nan:
        result = pw.binary("or", result, pw.binary("and", pw.isnan(a), pw.isnan(other)))
    return result


@named
def allclose(
    a: Core, other: Core, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Are all elements close? See isclose.

    >>> gu.allclose(gu.ones(2), gu.ones(2) + 1e-9)
    True
    """
    return bool(reduce.all_(isclose(a, other, rtol, atol, equal_nan)).item())


@named
def equal(a: Core, other: Core) -> bool:
    """Are shapes and all elements equal?"""
    if tuple(a._shape) != tuple(other._shape):
        return False
    return bool(reduce.all_(pw.binary("eq", a, other)).item())


def broadcast_tensors(*tensors: Core) -> tuple[Tensor, ...]:
    """Tensors expanded to the shape they broadcast to."""
    for x in tensors:
        if not isinstance(x, Core):
            raise TypeError(
                f"broadcast_tensors takes tensors, not a {type(x).__name__}" + at_line()
            )
    size = pw.broadcast("broadcast_tensors", *(x._shape for x in tensors))
    return tuple(shape.expand(x, size) for x in tensors)


@named
def numel(a: Core) -> int:
    """The number of elements."""
    return a.shape.numel()


@named
def promote_types(a: DType, b: DType) -> DType:
    """The type of a result of operands of two types."""
    return promote(a, b)


def concat(tensors: Sequence[Core], dim: int = 0) -> Tensor:
    """cat"""
    return cat(tensors, dim)
