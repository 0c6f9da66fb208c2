"""Positions, orders and sets, as the array API standard names them.

What depends on the values for its shape is computed now. Must not know arithmetic.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from groundup.ir.dtype import float64
from groundup.tensor import Tensor, cat, full
from groundup.tensor import isin as found_in
from groundup.tensor import searchsorted as places
from groundup.tensor.errors import at_line, lined_up

from .reductions import check_axis
from .types import checked, pair


class UniqueAllResult(NamedTuple):
    """The different values, the first position of each, which is where, and how often each is."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCountsResult(NamedTuple):
    """The different values, and how often each is."""

    values: Tensor
    counts: Tensor


class UniqueInverseResult(NamedTuple):
    """The different values, and which of them is where."""

    values: Tensor
    inverse_indices: Tensor


# ---- positions -----------------------------------------------------------------------------------


def nonzero(x: Tensor, /) -> tuple[Tensor, ...]:
    """The positions of what is not 0, a vector for each axis (computed now)"""
    checked("nonzero", x)
    if not x.ndim:
        raise ValueError("nonzero of an array without axes: it has no positions" + at_line())
    found: tuple[Tensor, ...] = x.nonzero(as_tuple=True)
    return found


def searchsorted(
    x1: Tensor,
    x2: Tensor | float,
    /,
    *,
    side: Literal["left", "right"] = "left",
    sorter: Tensor | None = None,
) -> Tensor:
    """Where in the ascending x1 each of x2 belongs, before ('left') or after those equal to it;
    TypeError for floating numbers among integers of 64 bits, which no floating type holds

    >>> searchsorted(gu.tensor([1, 3, 3, 5]), gu.tensor([3, 6]), side="right").tolist()
    [3, 4]
    """
    checked("searchsorted", x1)
    a, b = pair("searchsorted", *_exact(x1, x2))
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: side is 'left' or 'right', not {side!r}" + at_line())
    if sorter is not None:
        a = a.index_select(0, sorter)
    return places(a, b, side=side)


def _exact(x1: Tensor, x2: Tensor | float) -> tuple[Tensor, Tensor | float]:
    """Both so that their common type holds each: integers beside floating numbers in float64."""
    dtypes = [x.dtype for x in (x1, x2) if isinstance(x, Tensor)]
    whole = [d for d in dtypes if d.is_int]
    if not whole or not (isinstance(x2, float) or any(d.is_float for d in dtypes)):
        return x1, x2
    if any(d.bits == 64 for d in whole):
        names = " and ".join(d.name for d in dtypes) + " and a float" * (len(dtypes) == 1)
        raise TypeError(f"searchsorted: {names} have no common type; cast one" + at_line())
    return x1.to(float64), x2.to(float64) if isinstance(x2, Tensor) else x2


def take(x: Tensor, indices: Tensor, /, *, axis: int | None = None) -> Tensor:
    """The slices along an axis at some positions; negative ones count from the end

    >>> take(gu.tensor([5, 6, 7]), gu.tensor([2, -3])).tolist()
    [7, 5]
    """
    checked("take", x, indices)
    if axis is None and x.ndim != 1:
        raise ValueError(
            "take needs an axis, unless the array has just one" + lined_up(x=x._shape) + at_line()
        )
    dim = check_axis("take", 0 if axis is None else axis, x.ndim)
    flat = _from_front(indices.reshape(-1), int(x.shape[dim]))
    shape = (*x.shape[:dim], *indices.shape, *x.shape[dim + 1 :])
    return x.index_select(dim, flat).reshape(shape)


def take_along_axis(x: Tensor, indices: Tensor, /, *, axis: int = -1) -> Tensor:
    """x[…, indices[…, i, …], …] along an axis, the others broadcast"""
    checked("take_along_axis", x, indices)
    dim = check_axis("take_along_axis", axis, x.ndim)
    if x.ndim != indices.ndim:
        raise ValueError(
            "take_along_axis: as many axes in both"
            + lined_up(x=x._shape, indices=indices._shape)
            + at_line()
        )
    return x.take_along_dim(_from_front(indices, int(x.shape[dim])), dim)


def _from_front(indices: Tensor, size: int) -> Tensor:
    """Positions counted from the front."""
    if not indices.dtype.is_int:
        raise TypeError(f"positions are integers, not {indices.dtype.name}" + at_line())
    wide = indices.long()
    return wide if indices.dtype.kind == "u" else wide + (wide < 0).to(wide.dtype) * size


# ---- orders --------------------------------------------------------------------------------------


def argsort(
    x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True
) -> Tensor:
    """The positions of the elements in order along an axis; equal ones stay in theirs"""
    checked("argsort", x)
    return x.argsort(check_axis("argsort", axis, x.ndim), descending, stable=True)


def sort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The elements in order along an axis"""
    checked("sort", x)
    return x.sort(check_axis("sort", axis, x.ndim), descending, stable=True).values


# ---- sets ----------------------------------------------------------------------------------------


def isin(x1: Tensor | int, x2: Tensor | int, /, *, invert: bool = False) -> Tensor:
    """Is each element of x1 one of x2? invert asks the other way"""
    a, b = pair("isin", x1, x2)
    return found_in(a, b, invert=invert)


def unique_all(x: Tensor, /) -> UniqueAllResult:
    """The different values in order, and the rest of UniqueAllResult; every NaN is another

    >>> unique_all(gu.tensor([2, 1, 2])).indices.tolist()
    [1, 0]
    """
    return _unique("unique_all", x)


def _unique(name: str, x: Tensor) -> UniqueAllResult:
    checked(name, x)
    flat = x.reshape(-1)
    if not flat.numel():
        none = full((0,), 0)
        return UniqueAllResult(flat, none, none.reshape(tuple(x.shape)), none)
    order = _order(flat)
    values = flat.index_select(0, order)
    begins = values[1:].ne(values[:-1])
    starts = _with_zero((begins.nonzero(as_tuple=True)[0]) + 1)
    which = _with_zero(begins.long().cumsum(0))
    inverse = full((flat.numel(),), 0)
    inverse[order] = which
    ends = _joined(starts[1:], flat.numel())
    return UniqueAllResult(
        values.index_select(0, starts),
        order.index_select(0, starts),
        inverse.reshape(tuple(x.shape)),
        ends - starts,
    )


def _order(x: Tensor) -> Tensor:
    """The positions of a vector's elements in order; complex ones by re, then by im."""
    if not x.dtype.is_complex:
        return x.argsort(0, stable=True)
    by_im = (x.imag + 0.0).argsort(0, stable=True)  # + 0: −0 is 0
    return by_im.index_select(0, (x.real + 0.0).index_select(0, by_im).argsort(0, stable=True))


def _with_zero(x: Tensor) -> Tensor:
    return cat([full((1,), 0), x], 0)


def _joined(x: Tensor, last: int) -> Tensor:
    return cat([x, full((1,), last)], 0)


def unique_counts(x: Tensor, /) -> UniqueCountsResult:
    """The different values in order, and how often each is"""
    found = _unique("unique_counts", x)
    return UniqueCountsResult(found.values, found.counts)


def unique_inverse(x: Tensor, /) -> UniqueInverseResult:
    """The different values in order, and which of them is where"""
    found = _unique("unique_inverse", x)
    return UniqueInverseResult(found.values, found.inverse_indices)


def unique_values(x: Tensor, /) -> Tensor:
    """The different values in order"""
    return _unique("unique_values", x).values
