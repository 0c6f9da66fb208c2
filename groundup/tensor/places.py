"""Elements put at, or taken from, places that indices name, with a way to join what meets there.

Must not know that a search by data is run as a sort.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..ir import dtype as dt
from ..ir.extent import product
from . import indexing, picking, shape, unfit
from . import pointwise as pw
from . import reduce as rd
from .core import Core, finish, operand
from .errors import ShapeError, at_line, check_dim, lined_up
from .misuse import named
from .notation import axis, indexed
from .placing import asked, check_positions, index_add, same_type, scatter, scatter_add
from .search import argwhere
from .sites import Argument, argument

if TYPE_CHECKING:
    from .notation import Axis, Indexed
    from .tensor import Tensor

_WAYS = ("sum", "prod", "mean", "amax", "amin")


def _checked_way(name: str, reduce: str, ways: Sequence[str] = _WAYS) -> None:
    if reduce not in ways:
        raise ValueError(f"{name}: reduce is one of {', '.join(ways)}, not {reduce!r}" + at_line())


@named
def scatter_reduce(
    a: Core, dim: int, index: Core, src: Core, reduce: str, *, include_self: bool = True
) -> Tensor:
    """x with all src[…, k, …] that go to index[…, k, …] == j joined at j, and x's own element

    reduce: 'sum', 'prod', 'mean', 'amax' or 'amin'. include_self=False: where something goes, x's
    own element does not count. Shapes and errors as for scatter_add.

    >>> x, i = gu.zeros(2), gu.tensor([0, 0])
    >>> gu.scatter_reduce(x, 0, i, gu.tensor([1.0, 3.0]), "amax").tolist()
    [3.0, 0.0]
    """
    _checked_way("scatter_reduce", reduce)
    same_type("scatter_reduce", a, src)
    d = check_dim("scatter_reduce", dim, a.ndim)
    if not a.ndim or not index.ndim:
        if a.ndim > 1 or index.ndim > 1 or src.ndim > 1:
            raise ShapeError("scatter_reduce: tensor, index and source have one number of axes"
                             + lined_up(tensor=a._shape, index=index._shape, source=src._shape)
                             + at_line())  # fmt: skip
        lifted = [shape.reshape(x, -1) for x in (a, index, src)]
        result = scatter_reduce(lifted[0], 0, lifted[1], lifted[2], reduce,
                                include_self=include_self)  # fmt: skip
        return shape.reshape(result, a._shape)
    check_positions("scatter_reduce", d, a, index, src)
    by = Argument("scatter_reduce", f"x.scatter_reduce({d}, index, src, {reduce!r})", "index", "x")
    with argument(by):
        return _scattered(a, d, index, src, reduce, include_self, by)


def _scattered(
    a: Core, d: int, index: Core, src: Core, reduce: str, include_self: bool, by: Argument
) -> Tensor:
    index = asked(index, d, a._shape, by)
    window = tuple(slice(0, int(n)) for n in index._shape)
    source = indexing.getitem(src, window)
    counts = scatter_add(
        shape.expand(_number(0, index), a._shape), d, index,
        shape.expand(_number(1, index), index._shape),
    )  # fmt: skip
    hit = pw.binary("ne", counts, 0)
    if reduce in ("sum", "mean"):
        own = a if include_self else pw.where(hit, 0, a)
        total = scatter_add(pw.cast(own, a.dtype), d, index, source)
        if reduce == "sum":
            return total
        terms = pw.binary("add", counts, 1) if include_self else counts
        terms = pw.where(hit, terms, 1)
        op = "div" if a.dtype.is_float else "floordiv"
        return pw.binary(op, total, pw.cast(terms, a.dtype))
    return _joined(a, d, index, source, hit, reduce, include_self)


def _number(value: int, a: Core) -> Tensor:
    """A number of a tensor's type."""
    from .create import full

    return full((), value, dtype=a.dtype)


def _joined(
    a: Core, d: int, index: Core, source: Core, hit: Core, reduce: str, include_self: bool
) -> Tensor:
    """Products and extremes of what goes to each place: the notation's `at`."""
    if 0 in tuple(map(int, index._shape)):
        return finish(operand(a), a)
    names: list[Axis] = [axis(f"n{e}", int(s)) for e, s in enumerate(index._shape)]
    along = names[d]
    target = axis("to", int(a._shape[d]))
    placed = indexed(source, tuple(names)).at(target, indexed(index, tuple(names)))
    kind = {"prod": "prod", "amax": "max", "amin": "min"}[reduce]
    joined: Indexed = getattr(placed, kind)(along)
    found = joined.order(*names[:d], target, *names[d + 1 :])
    part = tuple(slice(0, int(n)) if e != d else slice(None) for e, n in enumerate(index._shape))
    own = indexing.getitem(a, part)
    hit = indexing.getitem(hit, part)
    found = pw.cast(found, a.dtype)
    if include_self:
        op = {"prod": "mul", "amax": "maximum", "amin": "minimum"}[reduce]
        found = pw.binary(op, own, found)
    new = pw.where(hit, found, own)
    if tuple(map(int, new._shape)) == tuple(map(int, a._shape)):
        return new
    result = finish(operand(a), a)
    indexing.setitem(result, part, new)
    return result


@named
def index_reduce(
    a: Core, dim: int, index: Core, source: Core, reduce: str, *, include_self: bool = True
) -> Tensor:
    """scatter_reduce of whole parts along an axis: source[…, k, …] goes to index[k]

    reduce: 'prod', 'mean', 'amax' or 'amin'. Raises ShapeError unless the source has the tensor's
    shape, with one part for each index.

    >>> x, i = gu.ones(2), gu.tensor([0, 0])
    >>> gu.index_reduce(x, 0, i, gu.tensor([2.0, 3.0]), "prod").tolist()
    [6.0, 1.0]
    """
    _checked_way("index_reduce", reduce, _WAYS[1:])
    d = check_dim("index_reduce", dim, a.ndim)
    same_type("index_reduce", a, source)
    if index.ndim > 1:
        raise unfit.one_axis("index_reduce", index._shape)
    if not a.ndim:
        return scatter_reduce(a, 0, index, source, reduce, include_self=include_self)
    want = (*a._shape[:d], int(product(index._shape)), *a._shape[d + 1 :])
    if tuple(map(int, source._shape)) != tuple(map(int, want)):
        raise unfit.parts("index_reduce", d, a._shape, index._shape, source._shape)
    by = Argument("index_reduce", f"x.index_reduce({d}, index, source, {reduce!r})", "index", "x")
    with argument(by):
        indexing.check_range(index, int(a._shape[d]), "index_reduce", back=False)
        spread = shape.reshape(index, (-1, *(1,) * (a.ndim - 1 - d)))
        return scatter_reduce(a, d, shape.expand(spread, want), source, reduce,
                              include_self=include_self)  # fmt: skip


def _vector(name: str, index: Core) -> Tensor:
    """An index of at most one axis, with one."""
    if index.ndim > 1:
        raise unfit.one_axis(name, index._shape)
    _integers(name, index)
    return shape.reshape(index, -1)


def _integers(name: str, index: Core) -> None:
    """Raise IndexError unless an index holds integers."""
    if not index.dtype.is_int:
        raise IndexError(
            f"{name}: an index tensor holds integers, not {index.dtype.name}" + at_line()
        )


def _front(name: str, index: Core, size: int) -> Tensor:
    """Indices that may count from the back, from the front."""
    low = indexing.check_range(index, size, name)
    whole = pw.cast(index, dt.int64)
    if low is not None and low >= 0:
        return whole
    return pw.where(pw.binary("lt", whole, 0), pw.binary("add", whole, size), whole)


@named
def index_fill(a: Core, dim: int, index: Core, value: Any) -> Tensor:
    """x with a number at the parts of an axis that the index names

    >>> gu.index_fill(gu.zeros(3), 0, gu.tensor([0, 2]), 5.0).tolist()
    [5.0, 0.0, 5.0]
    """
    if isinstance(value, Core) and value.ndim:
        raise ShapeError("index_fill takes a number" + lined_up(value=value._shape) + at_line())
    d = check_dim("index_fill", dim, a.ndim)
    at = _vector("index_fill", index)
    if not a.ndim:
        return shape.reshape(index_fill(shape.reshape(a, 1), 0, at, value), ())
    by = Argument("index_fill", f"x.index_fill({d}, index, value)", "index", "x", back=True)
    with argument(by):
        at = _front("index_fill", at, int(a._shape[d]))
        none = shape.expand(_number(0, at), (int(a._shape[d]),))
        counts = index_add(none, 0, at, shape.expand(_number(1, at), at._shape))
    hit = shape.reshape(pw.binary("ne", counts, 0), (-1, *(1,) * (a.ndim - 1 - d)))
    return pw.masked_fill(a, shape.expand(hit, a._shape), value)


@named
def index_copy(a: Core, dim: int, index: Core, source: Core) -> Tensor:
    """x with source[…, k, …] at index[k] of an axis; of several the last

    Raises IndexError for an index that is negative or beyond the end.

    >>> gu.index_copy(gu.zeros(3), 0, gu.tensor([2]), gu.ones(1)).tolist()
    [0.0, 0.0, 1.0]
    """
    d = check_dim("index_copy", dim, a.ndim)
    at = _vector("index_copy", index)
    same_type("index_copy", a, source)
    if not a.ndim:
        lifted = index_copy(shape.reshape(a, 1), 0, at, shape.reshape(source, -1))
        return shape.reshape(lifted, ())
    want = (*a._shape[:d], int(at._shape[0]), *a._shape[d + 1 :])
    if source.ndim and tuple(map(int, source._shape)) != tuple(map(int, want)):
        raise unfit.parts("index_copy", d, a._shape, index._shape, source._shape)
    source = shape.expand(shape.reshape(source, want), want)
    with argument(Argument("index_copy", f"x.index_copy({d}, index, source)", "index", "x")):
        indexing.check_range(at, int(a._shape[d]), "index_copy", back=False)
        spread = shape.reshape(pw.cast(at, dt.int64), (-1, *(1,) * (a.ndim - 1 - d)))
        return scatter(a, d, shape.expand(spread, want), source)


@named
def masked_scatter(a: Core, mask: Core, source: Core) -> Tensor:
    """x with the elements of source, in order, where the mask holds

    >>> mask = gu.tensor([True, False, True])
    >>> gu.masked_scatter(gu.zeros(3), mask, gu.tensor([1.0, 2.0])).tolist()
    [1.0, 0.0, 2.0]
    """
    if mask.dtype.kind != "b":
        raise TypeError(f"masked_scatter needs a bool mask, not {mask.dtype.name}" + at_line())
    same_type("masked_scatter", a, source)
    from .running import cumsum

    size = pw.broadcast("masked_scatter", a._shape, mask._shape)
    a, mask = shape.expand(a, size), shape.expand(mask, size)
    needed = int(rd.sum_(mask).item())
    if needed > int(product(source._shape)):
        raise ShapeError(
            f"masked_scatter: the mask asks for {needed} elements, the source has "
            f"{int(product(source._shape))}" + at_line()
        )
    if not needed:
        return finish(operand(a), a)
    order = pw.binary("sub", cumsum(shape.reshape(pw.cast(mask, dt.int64), -1), 0), 1)
    place = pw.clamp(shape.reshape(order, size), 0, None)
    values = picking.taken(shape.reshape(source, -1), 0, shape.reshape(place, -1))
    return pw.where(mask, shape.reshape(values, size), a)


@named
def take(a: Core, index: Core) -> Tensor:
    """x[i] for each i of an index, x in one axis

    >>> gu.take(gu.tensor([[1, 2], [3, 4]]), gu.tensor([3, 0])).tolist()
    [4, 1]
    """
    _integers("take", index)
    flat = shape.reshape(a, -1)
    if 0 in a._shape and 0 not in index._shape:
        raise IndexError("take: there is nothing to take from" + at_line())
    with argument(Argument("take", "x.take(index)", "index", "x", back=True)):
        indexing.check_range(index, int(product(a._shape)), "take")
        return indexing.getitem(flat, pw.cast(index, dt.int64))


@named
def put(a: Core, index: Core, source: Core, accumulate: bool = False) -> Tensor:
    """x with source[k] at index[k] (of several the last, or added), x in one axis

    >>> gu.tensor([1, 2, 3]).put(gu.tensor([0, 2]), gu.tensor([7, 9])).tolist()
    [7, 2, 9]
    """
    _integers("put", index)
    same_type("put", a, source)
    if product(index._shape) != product(source._shape):
        raise ShapeError(
            "put: one element of the source for each index"
            + lined_up(index=index._shape, source=source._shape) + at_line()
        )  # fmt: skip
    if 0 in a._shape and 0 not in index._shape:
        raise IndexError("put: there is no place to put anything" + at_line())
    flat = shape.reshape(a, -1)
    with argument(Argument("put", "x.put(index, source)", "index", "x", back=True)):
        at = _front("put", shape.reshape(index, -1), int(product(a._shape)))
        new = shape.reshape(source, -1)
        joined = index_add(flat, 0, at, new) if accumulate else scatter(flat, 0, at, new)
    return shape.reshape(joined, a._shape)


@named
def nonzero_static(a: Core, *, size: int, fill_value: int = -1) -> Tensor:
    """The first `size` rows of argwhere; rows of fill_value where there are fewer

    >>> gu.tensor([0, 3]).nonzero_static(size=2).tolist()
    [[1], [-1]]
    """
    from .create import full

    if size < 0:
        raise ValueError(f"nonzero_static: size is 0 or more, not {size}" + at_line())
    found = argwhere(a)
    have = int(found._shape[0])
    if have >= size:
        return shape.narrow(found, 0, 0, size)
    return shape.cat([found, full((size - have, a.ndim), fill_value)], 0)
