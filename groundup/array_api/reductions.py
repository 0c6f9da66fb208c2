"""Sums, products, extremes, moments, counts and running ones, as the array API standard types them.

Sums of small integers are taken in 64 bits. Must not hold any meaning of its own but where the
standard and PyTorch differ.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable

from groundup.ir.dtype import DType
from groundup.tensor import Tensor, cat, full
from groundup.tensor.errors import ShapeError, at_line, check_dim, lined_up

from .types import check_dtype, checked, upcast

Axis = int | tuple[int, ...] | None


def axes_of(name: str, x: Tensor, axis: Axis) -> list[int]:
    """The axes that a function reduces, each once, counted from the front."""
    if axis is None:
        return list(range(x.ndim))
    if isinstance(axis, int):
        return [check_axis(name, axis, x.ndim)]
    found = [check_axis(name, a, x.ndim) for a in axis]
    if len(set(found)) < len(found):
        raise ValueError(f"{name}: axis {axis} names an axis twice" + at_line())
    return found


def check_axis(name: str, axis: int, ndim: int) -> int:
    """An axis counted from the front. Raises IndexError for one that is not there."""
    if ndim == 0:
        raise IndexError(f"{name}: axis {axis} of an array that has none" + at_line())
    return check_dim(name, axis, ndim)


def _reduced(name: str, x: Tensor, axis: Axis, f: Callable[[Tensor, list[int]], Tensor]) -> Tensor:
    """f over axes, and x itself, in a copy, where it has none to reduce."""
    axes = axes_of(name, x, axis)
    return f(x, axes) if axes else f(x.unsqueeze(0), [0])


def _kept(x: Tensor, axis: Axis, result: Tensor, keepdims: builtins.bool) -> Tensor:
    """The result with an axis of size 1 for each that was reduced, if wanted."""
    if not keepdims:
        return result
    gone = axes_of("", x, axis)
    return result.reshape(tuple(1 if d in gone else n for d, n in enumerate(x.shape)))


# ---- statistics ----------------------------------------------------------------------------------


def sum(
    x: Tensor, /, *, axis: Axis = None, dtype: DType | None = None, keepdims: builtins.bool = False
) -> Tensor:
    """Σ x over axes; of small integers in 64 bits, of the same signedness, unless dtype says else

    >>> sum(gu.tensor([100, 100], dtype=gu.int8))
    tensor(200)
    """
    checked("sum", x)
    check_dtype("sum", dtype)
    wide = x.to(upcast(x.dtype) if dtype is None else dtype)
    result = _reduced("sum", wide, axis, lambda t, d: t.sum(d, dtype=t.dtype))
    return _kept(x, axis, result, keepdims)


def prod(
    x: Tensor, /, *, axis: Axis = None, dtype: DType | None = None, keepdims: builtins.bool = False
) -> Tensor:
    """∏ x over axes; of small integers in 64 bits, of one signedness, unless dtype says else"""
    checked("prod", x)
    check_dtype("prod", dtype)
    wide = x.to(upcast(x.dtype) if dtype is None else dtype)
    result = _reduced("prod", wide, axis, lambda t, d: t.prod(d, dtype=t.dtype))
    return _kept(x, axis, result, keepdims)


def max(x: Tensor, /, *, axis: Axis = None, keepdims: builtins.bool = False) -> Tensor:
    """The greatest over axes; NaN wins"""
    checked("max", x)
    result = _reduced("max", x, axis, lambda t, d: t.amax(d))
    return _kept(x, axis, result, keepdims)


def min(x: Tensor, /, *, axis: Axis = None, keepdims: builtins.bool = False) -> Tensor:
    """The least over axes; NaN wins"""
    checked("min", x)
    result = _reduced("min", x, axis, lambda t, d: t.amin(d))
    return _kept(x, axis, result, keepdims)


def mean(x: Tensor, /, *, axis: Axis = None, keepdims: builtins.bool = False) -> Tensor:
    """Σ x / n over axes"""
    checked("mean", x)
    result = _reduced("mean", x, axis, lambda t, d: t.mean(d))
    return _kept(x, axis, result, keepdims)


def var(
    x: Tensor, /, *, axis: Axis = None, correction: float = 0.0, keepdims: builtins.bool = False
) -> Tensor:
    """Σ (x − mean)² / (n − correction) over axes"""
    checked("var", x)
    result = _reduced("var", x, axis, lambda t, d: t.var(d, correction=correction))
    return _kept(x, axis, result, keepdims)


def std(
    x: Tensor, /, *, axis: Axis = None, correction: float = 0.0, keepdims: builtins.bool = False
) -> Tensor:
    """√var"""
    checked("std", x)
    result = _reduced("std", x, axis, lambda t, d: t.std(d, correction=correction))
    return _kept(x, axis, result, keepdims)


# ---- truth and counts ----------------------------------------------------------------------------


def all(x: Tensor, /, *, axis: Axis = None, keepdims: builtins.bool = False) -> Tensor:
    """Are all elements over axes other than 0?"""
    checked("all", x)
    result = _reduced("all", x, axis, lambda t, d: t.all(d))
    return _kept(x, axis, result, keepdims)


def any(x: Tensor, /, *, axis: Axis = None, keepdims: builtins.bool = False) -> Tensor:
    """Is any element over axes other than 0?"""
    checked("any", x)
    result = _reduced("any", x, axis, lambda t, d: t.any(d))
    return _kept(x, axis, result, keepdims)


def count_nonzero(x: Tensor, /, *, axis: Axis = None, keepdims: builtins.bool = False) -> Tensor:
    """How many elements over axes are other than 0?"""
    checked("count_nonzero", x)
    return sum(x.ne(0), axis=axis, keepdims=keepdims)


def argmax(x: Tensor, /, *, axis: int | None = None, keepdims: builtins.bool = False) -> Tensor:
    """The position of the first of the greatest, along an axis or in row-major order"""
    checked("argmax", x)
    flat, dim = _line("argmax", x, axis)
    return _kept(x, axis, flat.argmax(dim), keepdims)


def argmin(x: Tensor, /, *, axis: int | None = None, keepdims: builtins.bool = False) -> Tensor:
    """The position of the first of the least, along an axis or in row-major order"""
    checked("argmin", x)
    flat, dim = _line("argmin", x, axis)
    return _kept(x, axis, flat.argmin(dim), keepdims)


def _line(name: str, x: Tensor, axis: int | None) -> tuple[Tensor, int]:
    return (x.reshape(-1), 0) if axis is None else (x, check_axis(name, axis, x.ndim))


# ---- running -------------------------------------------------------------------------------------


def cumulative_sum(
    x: Tensor,
    /,
    *,
    axis: int | None = None,
    dtype: DType | None = None,
    include_initial: builtins.bool = False,
) -> Tensor:
    """The sum of each element and those before it along an axis; include_initial puts 0 first

    >>> cumulative_sum(gu.tensor([1, 2, 3]), include_initial=True).tolist()
    [0, 1, 3, 6]
    """
    checked("cumulative_sum", x)
    check_dtype("cumulative_sum", dtype)
    dim = _only_axis("cumulative_sum", x, axis)
    wide = x.to(upcast(x.dtype) if dtype is None else dtype)
    return _with_first(wide.cumsum(dim, dtype=wide.dtype), dim, 0, include_initial)


def cumulative_prod(
    x: Tensor,
    /,
    *,
    axis: int | None = None,
    dtype: DType | None = None,
    include_initial: builtins.bool = False,
) -> Tensor:
    """The product of each element and those before it along an axis; include_initial: 1 first"""
    checked("cumulative_prod", x)
    check_dtype("cumulative_prod", dtype)
    dim = _only_axis("cumulative_prod", x, axis)
    wide = x.to(upcast(x.dtype) if dtype is None else dtype)
    return _with_first(wide.cumprod(dim, dtype=wide.dtype), dim, 1, include_initial)


def _only_axis(name: str, x: Tensor, axis: int | None) -> int:
    if axis is not None:
        return check_axis(name, axis, x.ndim)
    if x.ndim != 1:
        raise ValueError(
            f"{name} needs an axis, unless the array has just one"
            + lined_up(shape=x._shape)
            + at_line()
        )
    return 0


def _with_first(x: Tensor, dim: int, first: int, wanted: builtins.bool) -> Tensor:
    if not wanted:
        return x
    shape = tuple(1 if d == dim else n for d, n in enumerate(x.shape))
    return cat([full(shape, first, dtype=x.dtype), x], dim)


def diff(
    x: Tensor,
    /,
    *,
    axis: int = -1,
    n: int = 1,
    prepend: Tensor | None = None,
    append: Tensor | None = None,
) -> Tensor:
    """Differences of neighbours along an axis, n times

    >>> diff(gu.tensor([1, 4, 9, 16]), n=2).tolist()
    [2, 2]
    """
    checked("diff", x, *(t for t in (prepend, append) if t is not None))
    dim = check_axis("diff", axis, x.ndim)
    if n < 0:
        raise ValueError(f"diff: n is 0 or more, not {n}" + at_line())
    ends = [t for t in (prepend, x, append) if t is not None]
    for t in ends:
        if t.ndim != x.ndim:
            raise ShapeError(
                "diff: ends have the axes of x" + lined_up(x=x._shape, end=t._shape) + at_line()
            )
    line = cat(ends, dim) if len(ends) > 1 else x
    for _ in range(n):
        size = int(line.shape[dim])
        if not size:
            break
        a, b = line.narrow(dim, 1, size - 1), line.narrow(dim, 0, size - 1)
        line = a.ne(b) if line.dtype.kind == "b" else a - b
    return line.clone() if line is x else line
