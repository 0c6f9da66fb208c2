"""`gu.masked`: reductions of the elements where a mask holds, by the names of torch.masked.

Where it does not, an element counts as if it were not there; a part without any gives what its
reduction gives of nothing, or NaN. Must not hold another meaning of a reduction than its room.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..ir.dtype import DType
from . import functions as fn
from . import pointwise as pw
from . import reduce as rd
from . import running, special, statistics
from .core import Core
from .errors import at_line

if TYPE_CHECKING:
    from .tensor import Tensor

Dims = int | Sequence[int] | None


def _kept(name: str, a: Core, mask: Core | None, filler: Any, dtype: DType | None = None) -> Core:
    """The elements where the mask holds, elsewhere a filler."""
    if not isinstance(a, Core):
        raise TypeError(f"masked.{name} takes a tensor, not {type(a).__name__}" + at_line())
    a = a if dtype is None else pw.cast(a, dtype)
    if mask is None:
        return a
    if not isinstance(mask, Core) or mask.dtype.kind != "b":
        given = mask.dtype.name if isinstance(mask, Core) else type(mask).__name__
        raise TypeError(f"masked.{name}: a mask holds bools, not {given}" + at_line())
    if pw.broadcast(f"masked.{name}", a._shape, mask._shape) != a._shape:
        raise ValueError(f"masked.{name}: the mask broadcasts to the tensor's shape" + at_line())
    return pw.masked_fill(a, pw.logical_not(mask), filler)


def _least(a: Core, dtype: DType | None) -> Any:
    kind = dtype or a.dtype
    return -math.inf if kind.is_float else kind.min


def _greatest(a: Core, dtype: DType | None) -> Any:
    kind = dtype or a.dtype
    return math.inf if kind.is_float else kind.max


def _dims(dim: Dims) -> Any:
    """No axis named is each of them."""
    return None if dim is None or (isinstance(dim, list | tuple) and not dim) else dim


def _counts(a: Core, dim: Dims, keepdim: bool, mask: Core | None, dtype: DType) -> Tensor:
    """How many elements count."""
    one: Core = pw.cast(pw.binary("eq", a, a), dtype) * 0 + 1
    return rd.sum_(_kept("mean", one, mask, 0), _dims(dim), keepdim)


def sum(
    input: Core, dim: Dims = None, *, keepdim: bool = False, dtype: DType | None = None,
    mask: Core | None = None,
) -> Tensor:  # fmt: skip
    """Σ of what counts; 0 of nothing

    >>> gu.masked.sum(gu.tensor([1.0, 2.0]), mask=gu.tensor([True, False])).item()
    1.0
    """
    return rd.sum_(_kept("sum", input, mask, 0, dtype), _dims(dim), keepdim)


def prod(
    input: Core, dim: Dims = None, *, keepdim: bool = False, dtype: DType | None = None,
    mask: Core | None = None,
) -> Tensor:  # fmt: skip
    """The product of what counts; 1 of nothing

    >>> gu.masked.prod(gu.tensor([3.0, 2.0]), mask=gu.tensor([True, False])).item()
    3.0
    """
    x: Any = _kept("prod", input, mask, 1, dtype)
    dims = _dims(dim)
    if dims is None or isinstance(dims, int):
        made: Tensor = x.prod() if dims is None else x.prod(dims, keepdim)
        if dims is None and keepdim:
            made = made.reshape((1,) * x.ndim)
        return made
    for d in sorted((d % max(x.ndim, 1) for d in dims), reverse=True):
        x = x.prod(d, keepdim)
    return x  # type: ignore[no-any-return]


def amax(
    input: Core, dim: Dims = None, *, keepdim: bool = False, dtype: DType | None = None,
    mask: Core | None = None,
) -> Tensor:  # fmt: skip
    """The greatest of what counts; −∞, or the type's least, of nothing

    >>> gu.masked.amax(gu.tensor([3.0, 5.0]), mask=gu.tensor([True, False])).item()
    3.0
    """
    x = _kept("amax", input, mask, _least(input, dtype), dtype)
    return rd.extreme("max", x, _dims(dim), keepdim)


def amin(
    input: Core, dim: Dims = None, *, keepdim: bool = False, dtype: DType | None = None,
    mask: Core | None = None,
) -> Tensor:  # fmt: skip
    """The least of what counts; ∞, or the type's greatest, of nothing

    >>> gu.masked.amin(gu.tensor([3.0, 2.0]), mask=gu.tensor([True, False])).item()
    3.0
    """
    x = _kept("amin", input, mask, _greatest(input, dtype), dtype)
    return rd.extreme("min", x, _dims(dim), keepdim)


def argmax(
    input: Core, dim: int | None = None, *, keepdim: bool = False, dtype: DType | None = None,
    mask: Core | None = None,
) -> Tensor:  # fmt: skip
    """Where the greatest of what counts is, in the type of the elements, as in torch.masked

    >>> gu.masked.argmax(gu.tensor([3.0, 5.0]), 0, mask=gu.tensor([True, False])).item()
    0.0
    """
    x = _kept("argmax", input, mask, _least(input, dtype), dtype)
    return pw.cast(rd.arg("max", x, dim, keepdim), x.dtype)


def argmin(
    input: Core, dim: int | None = None, *, keepdim: bool = False, dtype: DType | None = None,
    mask: Core | None = None,
) -> Tensor:  # fmt: skip
    """Where the least of what counts is, in the type of the elements, as in torch.masked

    >>> gu.masked.argmin(gu.tensor([3.0, 2.0]), 0, mask=gu.tensor([True, False])).item()
    0.0
    """
    x = _kept("argmin", input, mask, _greatest(input, dtype), dtype)
    return pw.cast(rd.arg("min", x, dim, keepdim), x.dtype)


def cumsum(
    input: Core, dim: int, *, dtype: DType | None = None, mask: Core | None = None
) -> Tensor:
    """Running sums of what counts

    >>> gu.masked.cumsum(gu.ones(3), 0, mask=gu.tensor([True, False, True])).tolist()
    [1.0, 1.0, 2.0]
    """
    return running.cumsum(_kept("cumsum", input, mask, 0, dtype), dim)


def cumprod(
    input: Core, dim: int, *, dtype: DType | None = None, mask: Core | None = None
) -> Tensor:
    """Running products of what counts

    >>> gu.masked.cumprod(gu.full((3,), 2.0), 0, mask=gu.tensor([True, False, True])).tolist()
    [2.0, 2.0, 4.0]
    """
    return running.cumprod(_kept("cumprod", input, mask, 1, dtype), dim)


def mean(
    input: Core, dim: Dims = None, *, keepdim: bool = False, dtype: DType | None = None,
    mask: Core | None = None,
) -> Tensor:  # fmt: skip
    """The mean of what counts; NaN of nothing

    >>> gu.masked.mean(gu.tensor([1.0, 7.0, 3.0]), mask=gu.tensor([True, False, True])).item()
    2.0
    """
    total = sum(input, dim, keepdim=keepdim, dtype=dtype, mask=mask)
    return total / _counts(input, dim, keepdim, mask, total.dtype)


def median(
    input: Core, dim: int = -1, *, keepdim: bool = False, dtype: DType | None = None,
    mask: Core | None = None,
) -> Tensor:  # fmt: skip
    """The middle of what counts along an axis, the lower of two; NaN of nothing, or with a NaN

    >>> gu.masked.median(gu.tensor([1.0, 7.0, 3.0]), mask=gu.tensor([True, False, True])).item()
    1.0
    """
    x = _kept("median", input, mask, math.nan, dtype)
    if not x.dtype.is_float:
        raise TypeError(f"masked.median: floats expected, not {x.dtype.name}" + at_line())
    found: Any = statistics.nanmedian(x, dim, keepdim)
    if mask is None:
        return found.values  # type: ignore[no-any-return]
    bad = rd.any_(pw.binary("and", pw.isnan(input), mask), dim, keepdim)
    return pw.where(bad, math.nan, found.values)


def norm(
    input: Core, ord: float | None = 2.0, dim: Dims = None, *, keepdim: bool = False,
    dtype: DType | None = None, mask: Core | None = None,
) -> Tensor:  # fmt: skip
    """(Σ |x|^ord)^(1/ord) of what counts

    >>> gu.masked.norm(gu.tensor([3.0, 9.0]), 2.0, 0, mask=gu.tensor([True, False])).item()
    3.0
    """
    p = 2.0 if ord is None else float(ord)
    # In the place of what does not count: what changes no sum, no greatest and no least.
    x = _kept("norm", input, mask, math.inf if p < 0 else 0.0, dtype)
    return rd.norm(x, p, _dims(dim), keepdim)


def _moment(
    input: Core, dim: Dims, unbiased: bool | None, correction: float | None, keepdim: bool,
    dtype: DType | None, mask: Core | None,
) -> Tensor:  # fmt: skip
    own = input if dtype is None else pw.cast(input, dtype)
    own = own if own.dtype.is_float else fn.true_divide(own, 1)
    n = _counts(own, dim, True, mask, own.dtype)
    middle = sum(own, dim, keepdim=True, mask=mask) / n
    apart = sum(pw.square(own - middle), dim, keepdim=keepdim, mask=mask)
    count = _counts(own, dim, keepdim, mask, own.dtype)
    less = correction if correction is not None else 0 if unbiased is False else 1
    return apart / (count - less).clamp_min(0)


def var(
    input: Core, dim: Dims = None, unbiased: bool | None = None, *, keepdim: bool = False,
    correction: float | None = None, dtype: DType | None = None, mask: Core | None = None,
) -> Tensor:  # fmt: skip
    """The variance of what counts, Σ (x − mean)² / (n − 1), or / n for unbiased=False

    >>> gu.masked.var(gu.tensor([1.0, 7.0, 3.0]), mask=gu.tensor([True, False, True])).item()
    2.0
    """
    return _moment(input, dim, unbiased, correction, keepdim, dtype, mask)


def std(
    input: Core, dim: Dims = None, unbiased: bool | None = None, *, keepdim: bool = False,
    correction: float | None = None, dtype: DType | None = None, mask: Core | None = None,
) -> Tensor:  # fmt: skip
    """√var

    >>> gu.masked.std(gu.tensor([1.0, 7.0, 5.0]), unbiased=False,
    ...               mask=gu.tensor([True, False, True])).item()
    2.0
    """
    return pw.sqrt(_moment(input, dim, unbiased, correction, keepdim, dtype, mask))


def softmax(
    input: Core, dim: int, *, dtype: DType | None = None, mask: Core | None = None
) -> Tensor:
    """e^x / Σ e^x of what counts, 0 elsewhere; NaN of nothing

    >>> gu.masked.softmax(gu.ones(2), 0, mask=gu.tensor([True, False])).tolist()
    [1.0, 0.0]
    """
    return rd.softmax(_kept("softmax", input, mask, -math.inf, dtype), dim)


def log_softmax(
    input: Core, dim: int, *, dtype: DType | None = None, mask: Core | None = None
) -> Tensor:
    """log softmax

    >>> gu.masked.log_softmax(gu.ones(2), 0, mask=gu.tensor([True, False])).tolist()
    [0.0, -inf]
    """
    return rd.log_softmax(_kept("log_softmax", input, mask, -math.inf, dtype), dim)


def softmin(
    input: Core, dim: int, *, dtype: DType | None = None, mask: Core | None = None
) -> Tensor:
    """softmax of −x

    >>> gu.masked.softmin(gu.ones(2), 0, mask=gu.tensor([True, False])).tolist()
    [1.0, 0.0]
    """
    return rd.softmax(-_kept("softmin", input, mask, math.inf, dtype), dim)  # type: ignore[operator]


def normalize(
    input: Core, ord: float, dim: int, *, eps: float = 1e-12, dtype: DType | None = None,
    mask: Core | None = None,
) -> Tensor:  # fmt: skip
    """x / max(norm(x), eps) of what counts, 0 elsewhere

    >>> gu.masked.normalize(gu.tensor([3.0, 4.0]), 2, 0, mask=gu.tensor([True, False])).tolist()
    [1.0, 0.0]
    """
    x: Any = _kept("normalize", input, mask, 0.0, dtype)
    length = norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask)
    return x / length.clamp_min(eps)  # type: ignore[no-any-return]


def logaddexp(
    input: Core, other: Core, *, dtype: DType | None = None, input_mask: Core | None = None,
    other_mask: Core | None = None,
) -> Tensor:  # fmt: skip
    """log(e^x + e^y) of what counts of either

    >>> gu.masked.logaddexp(gu.ones(1), gu.ones(1), other_mask=gu.tensor([False])).tolist()
    [1.0]
    """
    a = _kept("logaddexp", input, input_mask, -math.inf, dtype)
    b = _kept("logaddexp", other, other_mask, -math.inf, dtype)
    made: Tensor = special.logaddexp(a, b)
    return made


def logsumexp(
    input: Core, dim: Dims = None, *, keepdim: bool = False, dtype: DType | None = None,
    mask: Core | None = None,
) -> Tensor:  # fmt: skip
    """log Σ e^x of what counts; −∞ of nothing

    >>> gu.masked.logsumexp(gu.ones(2), 0, mask=gu.tensor([True, False])).item()
    1.0
    """
    x = _kept("logsumexp", input, mask, -math.inf, dtype)
    dims = _dims(dim)
    return rd.logsumexp(x, tuple(range(x.ndim)) if dims is None else dims, keepdim)
