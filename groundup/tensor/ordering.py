"""Order along an axis: sort, argsort, topk, kthvalue, median.

All are the positions of elements in order (one expression), and reads at them, through which
derivatives flow. Must not know how things are sorted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..ir import dtype as dt
from ..ir import node as ir
from . import pointwise as pw
from . import reduce as rd
from .core import Core, finish, operand, value_of
from .errors import at_line, check_dim, lined_up
from .misuse import named
from .picking import taken

if TYPE_CHECKING:
    from .tensor import Tensor


class Ordered(NamedTuple):
    """What sort, topk, kthvalue and median(dim) give."""

    values: Tensor
    indices: Tensor


def _first(a: Core, axis: int, descending: bool, count: int | None) -> Tensor:
    """The positions of the first `count` elements in order (None: all)."""
    return finish(ir.argsort(value_of(a), axis, descending, count), a)


def _single(a: Core) -> Ordered:
    zero = finish(ir.loops((), ir.const(0, dt.int64)), a)
    return Ordered(finish(operand(a), a), zero)


@named
def sort(a: Core, dim: int = -1, descending: bool = False, stable: bool = False) -> Ordered:
    """(values, indices) in order along `dim`: values[…, i, …] = x[…, indices[…, i, …], …].

    Equal elements keep their order, whatever `stable` says; NaN is greater than any number. The
    derivative of the values goes to where they came from.

    >>> values, indices = gu.sort(gu.tensor([3.0, 1.0, 2.0]))
    >>> values.tolist(), indices.tolist()
    ([1.0, 2.0, 3.0], [1, 2, 0])
    """
    axis = check_dim("sort", dim, a.ndim)
    if not a.ndim:
        return _single(a)
    indices = _first(a, axis, descending, None)
    return Ordered(taken(a, axis, indices), indices)


@named
def argsort(a: Core, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The indices that sort(dim) gives: where the elements in order are.

    >>> gu.argsort(gu.tensor([3.0, 1.0, 2.0]), descending=True).tolist()
    [0, 2, 1]
    """
    axis = check_dim("argsort", dim, a.ndim)
    return _first(a, axis, descending, None) if a.ndim else _single(a).indices


@named
def topk(a: Core, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Ordered:
    """(values, indices) of the k greatest (or least) along `dim`, in order, of equals the first.

    NaN is greater than any number. Raises IndexError unless 0 ≤ k ≤ the size of the axis.

    >>> gu.topk(gu.tensor([3.0, 1.0, 2.0]), 2).values.tolist()
    [3.0, 2.0]
    """
    axis = check_dim("topk", dim, a.ndim)
    size = a._shape[axis] if a.ndim else 1
    if not 0 <= k <= size:
        raise IndexError(
            f"topk: {k} of an axis of size {int(size)}: k is from 0 to that"
            + lined_up(shape=a._shape)
            + at_line()
        )
    if not a.ndim:
        return _single(a)
    indices = _first(a, axis, largest, int(k))
    return Ordered(taken(a, axis, indices), indices)


@named
def kthvalue(a: Core, k: int, dim: int = -1, keepdim: bool = False) -> Ordered:
    """(value, index) of the k-th least along `dim`, counted from 1; NaN is the greatest.

    >>> gu.kthvalue(gu.tensor([3.0, 1.0, 2.0]), 2).values.item()
    2.0
    """
    axis = check_dim("kthvalue", dim, a.ndim)
    size = a._shape[axis] if a.ndim else 1
    if not 1 <= k <= size:
        raise IndexError(
            f"kthvalue: {k} of an axis of size {int(size)}: k is from 1 to that"
            + lined_up(shape=a._shape)
            + at_line()
        )
    return _at(a, axis, int(k) - 1, keepdim) if a.ndim else _single(a)


def _at(a: Core, axis: int, place: int, keepdim: bool, nan: bool = False) -> Ordered:
    """The element at one place in order along an axis (nan: the first NaN, if there is one)."""
    from .shape import narrow

    indices = narrow(_first(a, axis, False, place + 1), axis, place, 1)
    if nan and a.dtype.is_float:
        first = rd.arg("max", a, axis, True)
        indices = pw.where(pw.isnan(rd.extreme("max", finish(value_of(a), a), axis, True)),
                           first, indices)  # fmt: skip
    return chosen(a, axis, indices, keepdim)


def chosen(a: Core, axis: int, indices: Tensor, keepdim: bool) -> Ordered:
    """The one element that indices name in each row along an axis, and the indices."""
    from .shape import squeeze_dims

    values = taken(a, axis, indices)
    if keepdim:
        return Ordered(values, indices)
    return Ordered(squeeze_dims(values, (axis,)), squeeze_dims(indices, (axis,)))


@named
def median(a: Core, dim: int | None = None, keepdim: bool = False) -> Tensor | Ordered:
    """The middle element in order (the lower of two); along `dim`: (values, indices).

    NaN where one of the elements is. Raises IndexError for an axis of size 0.

    >>> gu.median(gu.tensor([3.0, 1.0, 2.0, 4.0])).item()
    2.0
    """
    from .shape import reshape

    if dim is None:
        if not a.ndim:
            return finish(operand(a), a)
        flat = reshape(a, -1)
        if 0 in a._shape:
            raise IndexError(
                "median: nothing to choose from" + lined_up(shape=a._shape) + at_line()
            )
        return _at(flat, 0, (int(flat._shape[0]) - 1) // 2, False, True).values
    axis = check_dim("median", dim, a.ndim)
    if not a.ndim:
        return _single(a)
    if a._shape[axis] == 0:
        raise IndexError("median: nothing to choose from" + lined_up(shape=a._shape) + at_line())
    return _at(a, axis, (int(a._shape[axis]) - 1) // 2, keepdim, True)
