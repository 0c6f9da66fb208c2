"""Functions named like Tensor's methods: `gu.exp(x)` is `x.exp()`.

They take indexed expressions too where the operation is pointwise. Must not hold any meaning of
its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..ir.dtype import DType, promote
from . import indexing, reduce, shape
from . import pointwise as pw
from .core import Core
from .tensor import Tensor

exp, expm1, log, log1p, log2, log10 = pw.exp, pw.expm1, pw.log, pw.log1p, pw.log2, pw.log10
sqrt, rsqrt, reciprocal, square = pw.sqrt, pw.rsqrt, pw.reciprocal, pw.square
sin, cos, tan, tanh, erf = pw.sin, pw.cos, pw.tan, pw.tanh, pw.erf
sigmoid, relu, neg, sign = pw.sigmoid, pw.relu, pw.neg, pw.sign
abs, floor, ceil, trunc, round = pw.absolute, pw.floor, pw.ceil, pw.trunc, pw.round_
isnan, isinf, isfinite, logical_not = pw.isnan, pw.isinf, pw.isfinite, pw.logical_not
where, clamp, lerp, masked_fill = pw.where, pw.clamp, pw.lerp, pw.masked_fill
sum, prod, mean, var, std = reduce.sum_, reduce.prod, reduce.mean, reduce.var, reduce.std
any, all, logsumexp, softmax = reduce.any_, reduce.all_, reduce.logsumexp, reduce.softmax
log_softmax, norm = reduce.log_softmax, reduce.norm
max, min, amax, amin = Tensor.max, Tensor.min, Tensor.amax, Tensor.amin
argmax, argmin = Tensor.argmax, Tensor.argmin
reshape, permute, transpose, t = shape.reshape, shape.permute, shape.transpose, shape.t
unsqueeze, squeeze, flatten, broadcast_to = (
    shape.unsqueeze, shape.squeeze, shape.flatten, shape.broadcast_to,
)  # fmt: skip
cat, stack, split, chunk, unbind = shape.cat, shape.stack, shape.split, shape.chunk, shape.unbind
flip, pad, diagonal, narrow = shape.flip, shape.pad, shape.diagonal, shape.narrow
gather, index_select, take_along_dim = (
    indexing.gather, indexing.index_select, indexing.take_along_dim,
)  # fmt: skip


def add(a: Any, b: Any) -> Tensor:
    """a + b"""
    return pw.binary("add", a, b)


def sub(a: Any, b: Any) -> Tensor:
    """a − b"""
    return pw.binary("sub", a, b)


def mul(a: Any, b: Any) -> Tensor:
    """a · b"""
    return pw.binary("mul", a, b)


def div(a: Any, b: Any) -> Tensor:
    """a / b; integers give float32"""
    return pw.binary("div", a, b)


def pow(a: Any, b: Any) -> Tensor:
    """a to the power b"""
    return pw.binary("pow", a, b)


def maximum(a: Any, b: Any) -> Tensor:
    """The greater of two; NaN wins."""
    return pw.binary("maximum", a, b)


def minimum(a: Any, b: Any) -> Tensor:
    """The lesser of two; NaN wins."""
    return pw.binary("minimum", a, b)


def eq(a: Any, b: Any) -> Tensor:
    """a == b, also for axes (whose own == is identity)"""
    return pw.binary("eq", a, b)


def ne(a: Any, b: Any) -> Tensor:
    """a != b, also for axes"""
    return pw.binary("ne", a, b)


def logical_and(a: Core, b: Any) -> Tensor:
    """a and b, of truth values"""
    return pw.logical("and", a, b)


def logical_or(a: Core, b: Any) -> Tensor:
    """a or b, of truth values"""
    return pw.logical("or", a, b)


def tril(a: Core, diagonal: int = 0) -> Tensor:
    """The lower triangle of the last two axes, 0 above."""
    return shape.triangle(a, diagonal, upper=False)


def triu(a: Core, diagonal: int = 0) -> Tensor:
    """The upper triangle of the last two axes, 0 below."""
    return shape.triangle(a, diagonal, upper=True)


def isclose(
    a: Core, b: Core, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """|a − b| ≤ atol + rtol · |b|, or equal (infinities), or both NaN if asked"""
    near = pw.binary(
        "le", pw.absolute(pw.binary("sub", a, b)), pw.binary("add", pw.absolute(b) * rtol, atol)
    )
    near = pw.binary("and", near, pw.isfinite(b))
    result = pw.binary("or", near, pw.binary("eq", a, b))
    if equal_nan:
        result = pw.binary("or", result, pw.binary("and", pw.isnan(a), pw.isnan(b)))
    return result


def allclose(
    a: Core, b: Core, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Are all elements close? See isclose.

    >>> gu.allclose(gu.ones(2), gu.ones(2) + 1e-9)
    True
    """
    return bool(reduce.all_(isclose(a, b, rtol, atol, equal_nan)).item())


def equal(a: Core, b: Core) -> bool:
    """Are shapes and all elements equal?"""
    if tuple(a._shape) != tuple(b._shape):
        return False
    return bool(reduce.all_(pw.binary("eq", a, b)).item())


def broadcast_tensors(*tensors: Core) -> tuple[Tensor, ...]:
    """Tensors expanded to the shape they broadcast to."""
    size = pw.broadcast("broadcast_tensors", *(x._shape for x in tensors))
    return tuple(shape.expand(x, size) for x in tensors)


def numel(a: Core) -> int:
    """The number of elements."""
    return a.shape.numel()


def promote_types(a: DType, b: DType) -> DType:
    """The type of a result of operands of two types."""
    return promote(a, b)


def concat(tensors: Sequence[Core], dim: int = 0) -> Tensor:
    """cat"""
    return cat(tensors, dim)
