"""Positions and counts that depend on values: searchsorted, histograms, unique, isin.

What has a shape that depends on values is computed now. Must not know derivatives.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..ir import dtype as dt
from ..ir import node as ir
from ..ir.extent import product
from . import indexing, picking, shape
from . import pointwise as pw
from . import reduce as rd
from .core import Core, finish, plain, value_of
from .errors import ShapeError, at_line, check_dim, check_types, lined_up
from .misuse import named

if TYPE_CHECKING:
    from .tensor import Tensor


class Histogram(NamedTuple):
    """What histogram gives."""

    hist: Tensor
    bin_edges: Tensor


@named
def argwhere(a: Core) -> Tensor:
    """The indices of what is not 0, one row each (computed now)

    >>> gu.argwhere(gu.tensor([0, 3])).tolist()
    [[1]]
    """
    from .create import zeros

    if not a.ndim:
        return zeros(len(indexing.nonzero(a)[0]), 0, dtype=dt.int64)
    return shape.stack(indexing.nonzero(a), 1)


@named
def searchsorted(
    sorted_sequence: Core,
    values: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Core | None = None,
) -> Tensor:
    """The number of elements of each sorted row that are below each value (right: or equal)

    sorted_sequence: (…, n) or (n,); values: (…, m), any shape for one row, or a number.
    sorter: the indices that sort each row.

    >>> gu.searchsorted(gu.tensor([1, 3, 5]), gu.tensor([3, 4])).tolist()
    [1, 2]
    """
    from .create import tensor

    if side not in (None, "left", "right") or (side == "left" and right):
        raise ValueError(f"searchsorted: side {side!r} and right={right} disagree" + at_line())
    if not sorted_sequence.ndim:
        raise ShapeError("searchsorted: the sequence has at least one axis" + at_line())
    if sorter is not None:
        if sorter._shape != sorted_sequence._shape or sorter.dtype is not dt.int64:
            raise TypeError(
                "searchsorted: the sorter holds int64 in the sequence's shape"
                + lined_up(sequence=sorted_sequence._shape, sorter=sorter._shape) + at_line()
            )  # fmt: skip
        indexing.check_range(sorter, int(sorted_sequence._shape[-1]), "searchsorted")
        sorted_sequence = picking.gather(sorted_sequence, -1, sorter)
    x = values if isinstance(values, Core) else tensor(values, dtype=sorted_sequence.dtype)
    check_types("searchsorted", sorted_sequence.dtype, x.dtype)
    rows = sorted_sequence._shape[:-1]
    if rows and (x.ndim != sorted_sequence.ndim or x._shape[:-1] != rows):
        raise ShapeError(
            "searchsorted: for several rows, values and sequence agree in all axes but the last"
            + lined_up(sequence=sorted_sequence._shape, values=x._shape) + at_line()
        )  # fmt: skip
    below = _count_below(sorted_sequence, x, right or side == "right")
    return pw.cast(below, dt.int32) if out_int32 else below


def _count_below(edges: Core, x: Core, right: bool) -> Tensor:
    """How many of the last axis of edges are < x (right: ≤ x); NaN is greater than any number."""
    e, v = value_of(edges), value_of(x)
    n = edges._shape[-1]
    (r,), pairs = ir.fresh(max(e.depth, v.depth), [n])
    outs = ir.outs(x.ndim)
    here = ir.read(v, *outs)
    edge = ir.read(e, *(outs[: edges.ndim - 1]), r)
    less = ir.alu("le" if right else "lt", edge, here)
    if x.dtype.is_float:
        nan_here = ir.alu("ne", here, here)
        both = ir.alu("and", nan_here, ir.alu("ne", edge, edge))
        beyond = ir.alu("and", nan_here, ir.alu("eq", edge, edge))
        less = ir.alu("or", less, beyond)
        less = ir.alu("or", less, both) if right else less
    count = ir.reduce("sum", pairs, ir.cast(less, dt.int64), "seq")
    return finish(ir.loops(x._shape, count), edges, x)


@named
def bucketize(a: Any, boundaries: Core, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The number of the interval between sorted boundaries that each element is in

    >>> gu.bucketize(gu.tensor([0, 4]), gu.tensor([1, 3])).tolist()
    [0, 2]
    """
    if boundaries.ndim != 1:
        raise ShapeError("bucketize: the boundaries are a vector" + at_line())
    return searchsorted(boundaries, a, out_int32=out_int32, right=right)


@named
def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False,
         invert: bool = False) -> Tensor:  # fmt: skip
    """Is each element one of some others? (invert: none of them?)

    assume_unique: PyTorch's; it changes nothing here.

    >>> gu.isin(gu.tensor([1, 2, 3]), gu.tensor([2])).tolist()
    [False, True, False]
    """
    from .create import tensor

    if not isinstance(elements, Core) and not isinstance(test_elements, Core):
        raise TypeError("isin needs a tensor" + at_line())
    a, b = (v if isinstance(v, Core) else tensor(v) for v in (elements, test_elements))
    equal = pw.binary("eq", shape.unsqueeze(a, -1), shape.reshape(b, -1))
    found = rd.any_(equal, -1)
    return pw.invert(found) if invert else found


# ---- counts --------------------------------------------------------------------------------------


@named
def bincount(a: Core, weights: Core | None = None, minlength: int = 0) -> Tensor:
    """How often each of 0, 1, 2, … occurs (or the sum of the weights where it does)

    >>> gu.bincount(gu.tensor([0, 2, 2])).tolist()
    [1, 0, 2]
    """
    from .create import ones, zeros
    from .placing import index_add

    if a.ndim != 1 or not a.dtype.is_int or minlength < 0:
        raise TypeError(
            f"bincount takes integers in one axis, and a minlength of 0 or more, not "
            f"{a.dtype.name} of shape {tuple(a._shape)} and {minlength}" + at_line()
        )
    if weights is not None and weights._shape != a._shape:
        raise ShapeError(
            "bincount: one weight for each element"
            + lined_up(elements=a._shape, weights=weights._shape) + at_line()
        )  # fmt: skip
    values = indexing.host_values(a, "bincount")
    if values and min(values) < 0:
        raise ValueError("bincount: the elements are not negative" + at_line())
    size = max(minlength, max(values) + 1 if values else 0)
    if weights is None:
        weights = ones(*a._shape, dtype=dt.int64)
    elif not weights.dtype.is_float:
        weights = pw.cast(weights, dt.float64)
    return index_add(zeros(size, dtype=weights.dtype), 0, pw.cast(a, dt.int64), plain(weights))


@named
def histc(a: Core, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements are in each of `bins` equal parts of [min, max]; of all there are if equal

    >>> gu.histc(gu.tensor([0.0, 1.0, 2.0]), bins=2).tolist()
    [1.0, 2.0]
    """
    from .create import zeros
    from .placing import index_add

    if not a.dtype.is_float or bins < 1:
        raise TypeError(
            f"histc needs a floating type and at least one bin, not {a.dtype.name} and {bins}"
            + at_line()
        )
    low, high = _range("histc", a, min, max, 1.0)
    x = shape.reshape(plain(a), -1)
    inside = pw.binary("and", pw.binary("le", low, x), pw.binary("le", x, high))
    place = pw.floor(pw.binary("div", pw.binary("mul", pw.binary("sub", x, low), bins),
                               high - low))  # fmt: skip
    place = pw.cast(pw.clamp(pw.where(inside, place, 0.0), 0, bins - 1), dt.int64)
    # Counted as integers: float32 stops at 2²⁴.
    counts = index_add(zeros(bins, dtype=dt.int64), 0, place, pw.cast(inside, dt.int64))
    return pw.cast(counts, a.dtype)


def _range(name: str, a: Core, low: float, high: float, room: float) -> tuple[float, float]:
    """A range; of equal ends, that of the elements, widened by `room` where these are equal."""
    if low > high:
        raise ValueError(f"{name}: min {low} is greater than max {high}" + at_line())
    if low == high and product(a._shape):
        low = float(rd.extreme("min", plain(a)).item())
        high = float(rd.extreme("max", plain(a)).item())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"{name}: the range from {low} to {high} is not finite" + at_line())
    return (low - room, high + room) if low == high else (low, high)


@named
def histogram(
    a: Core,
    bins: int | Core,
    *,
    range: Sequence[float] | None = None,
    weight: Core | None = None,
    density: bool = False,
) -> Histogram:
    """(how many elements, or what weight, is in each bin; the edges of the bins)

    bins: a number of equal parts of `range` (or of all there is), or their edges. density: per
    unit of length and of the whole.

    >>> gu.histogram(gu.tensor([0.0, 1.0, 2.0]), 2).hist.tolist()
    [1.0, 2.0]
    """
    from .create import linspace, zeros
    from .placing import index_add

    if isinstance(bins, Core):
        edges = plain(bins)
    else:
        low, high = range if range is not None else (0.0, 0.0)
        if range is None and not product(a._shape):
            high = 1.0
        low, high = _range("histogram", a, float(low), float(high), 0.5)
        edges = linspace(low, high, bins + 1, dtype=a.dtype)
    if edges.ndim != 1 or edges._shape[0] < 2 or edges.dtype is not a.dtype:
        raise ShapeError("histogram: the edges are a vector of at least two, of x's dtype"
                         + at_line())  # fmt: skip
    count = int(edges._shape[0]) - 1
    x = shape.reshape(plain(a), -1)
    first, last = shape.select(edges, 0, 0), shape.select(edges, 0, count)
    inside = pw.binary("and", pw.binary("le", first, x), pw.binary("le", x, last))
    place = pw.binary("sub", _count_below(edges, x, True), 1)
    place = pw.clamp(pw.where(inside, place, 0), 0, count - 1)
    own: Core = pw.cast(inside, dt.int64)  # counted as integers: float32 stops at 2²⁴
    if weight is not None:
        if weight._shape != a._shape:
            raise ShapeError("histogram: one weight for each element"
                             + lined_up(x=a._shape, weight=weight._shape) + at_line())  # fmt: skip
        own = pw.where(inside, shape.reshape(plain(weight), -1), 0.0)
    hist: Core = index_add(zeros(count, dtype=own.dtype), 0, place, own)
    hist = pw.cast(hist, a.dtype)
    if density:
        lengths = pw.binary("sub", shape.narrow(edges, 0, 1, count),
                            shape.narrow(edges, 0, 0, count))  # fmt: skip
        hist = pw.binary("div", pw.binary("div", hist, rd.sum_(hist)), lengths)
    return Histogram(hist, edges)


class HistogramDD(NamedTuple):
    """What histogramdd gives."""

    hist: Core
    bin_edges: tuple[Core, ...]


def histogramdd(
    a: Core,
    bins: int | Sequence[int] | Sequence[Core],
    *,
    range: Sequence[float] | None = None,
    weight: Core | None = None,
    density: bool = False,
) -> HistogramDD:
    """(how many points, or what weight, is in each box; the edges of the boxes along each axis)

    a (…, d): points of d coordinates. bins: how many equal parts of `range` (lowest, highest, for
    each axis in turn; or of all there is), one number or one for each axis, or the edges along
    each. density: per unit of volume and of the whole.

    >>> gu.histogramdd(gu.tensor([[0.0, 0.0], [1.0, 2.0]]), [2, 2]).hist.tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    from .create import linspace, zeros
    from .placing import index_add

    if not a.ndim or not a.dtype.is_float:
        raise ShapeError("histogramdd: points (…, d) of a floating type"
                         + lined_up(points=a._shape) + at_line())  # fmt: skip
    d = int(a._shape[-1])
    each: list[Any] = [bins] * d if isinstance(bins, int) else list(bins)
    if len(each) != d or not d:
        raise ShapeError(
            f"histogramdd: bins for each of {d} coordinates, not for {len(each)}"
            + lined_up(1, points=a._shape) + at_line()
        )  # fmt: skip
    if range is not None and len(range) != 2 * d:
        raise ValueError(
            f"histogramdd: range is lowest and highest for each of {d} coordinates, {2 * d} "
            f"numbers, not {len(range)}" + at_line()
        )
    points = shape.reshape(plain(a), product(a._shape[:-1]), d)
    edges: list[Core] = []
    inside: Any = None
    place: Any = None
    for k, asked in enumerate(each):
        x = shape.select(points, 1, k)
        if isinstance(asked, Core):
            line: Core = plain(asked)
        else:
            low, high = (0.0, 0.0) if range is None else tuple(range[2 * k : 2 * k + 2])
            if range is None and not product(x._shape):
                high = 1.0
            low, high = _range("histogramdd", x, float(low), float(high), 0.5)
            line = linspace(low, high, asked + 1, dtype=a.dtype)
        if line.ndim != 1 or line._shape[0] < 2 or line.dtype is not a.dtype:
            raise ShapeError("histogramdd: the edges are vectors of at least two, of x's dtype"
                             + at_line())  # fmt: skip
        count = int(line._shape[0]) - 1
        first, last = shape.select(line, 0, 0), shape.select(line, 0, count)
        here = pw.binary("and", pw.binary("le", first, x), pw.binary("le", x, last))
        inside = here if inside is None else pw.binary("and", inside, here)
        at = pw.clamp(pw.binary("sub", _count_below(line, x, True), 1), 0, count - 1)
        place = at if place is None else pw.binary("add", pw.binary("mul", place, count), at)
        edges.append(line)
    sizes = [int(e._shape[0]) - 1 for e in edges]
    own: Core = pw.cast(inside, dt.int64)
    if weight is not None:
        if weight._shape != a._shape[:-1]:
            raise ShapeError("histogramdd: one weight for each point"
                             + lined_up(points=a._shape, weight=weight._shape)
                             + at_line())  # fmt: skip
        own = pw.where(inside, shape.reshape(plain(weight), points._shape[0]), 0.0)
    flat = index_add(zeros(product(sizes), dtype=own.dtype), 0, pw.where(inside, place, 0), own)
    hist: Core = shape.reshape(pw.cast(flat, a.dtype), *sizes)
    if density:
        hist = pw.binary("div", hist, rd.sum_(hist))
        for k, line in enumerate(edges):
            lengths = pw.binary("sub", shape.narrow(line, 0, 1, sizes[k]),
                                shape.narrow(line, 0, 0, sizes[k]))  # fmt: skip
            lead = [1] * k + [sizes[k]] + [1] * (d - 1 - k)
            hist = pw.binary("div", hist, shape.reshape(lengths, *lead))
    return HistogramDD(hist, tuple(edges))


# ---- each once -----------------------------------------------------------------------------------


def _rows(a: Core, dim: int | None, name: str) -> tuple[list[Any], int]:
    """(what is compared with one another: numbers, or each part as a tuple of them; the axis)"""
    if dim is None:
        return indexing.host_values(a, name), 0
    d = check_dim(name, dim, a.ndim)
    parts = shape.movedim(a, d, 0)
    count = int(parts._shape[0]) if parts.ndim else 1
    values = indexing.host_values(shape.reshape(parts, -1), name)
    each = len(values) // count if count else 0
    return [tuple(values[i * each : (i + 1) * each]) for i in range(count)], d


def _found(
    a: Core, dim: int | None, d: int, places: list[int],
    inverse: list[int] | None, counts: list[int] | None,
) -> Any:  # fmt: skip
    """What stands at some places, and with it, where asked, which of them each element (or part)
    is, and how often each occurs."""
    from .create import tensor

    flat = shape.reshape(plain(a), -1) if dim is None else plain(a)
    answer = [picking.index_select(flat, d, tensor(places, dtype=dt.int64))]
    if inverse is not None:
        which = tensor(inverse, dtype=dt.int64)
        answer.append(shape.reshape(which, a._shape) if dim is None else which)
    if counts is not None:
        answer.append(tensor(counts, dtype=dt.int64))
    return answer[0] if len(answer) == 1 else tuple(answer)


def _in_order(rows: list[Any]) -> list[Any]:
    """Sorted; NaN last."""
    return sorted(rows, key=lambda r: (r != r, r) if not isinstance(r, tuple) else (False, r))


@named
def unique(
    a: Core,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """Every element once, in order (along `dim`: every part once); computed now

    sorted: PyTorch's; they are in order in any case. return_inverse: also which of them each
    element is; return_counts: how often each occurs.

    >>> gu.unique(gu.tensor([3, 1, 3])).tolist()
    [1, 3]
    """
    rows, d = _rows(a, dim, "unique")
    first: dict[Any, int] = {}
    for i, row in enumerate(rows):
        first.setdefault(row, i)
    order = _in_order(list(first))
    number = {row: i for i, row in enumerate(order)}
    counts = [0] * len(order)
    inverse = []
    for row in rows:
        inverse.append(number[row])
        counts[number[row]] += 1
    which, often = inverse if return_inverse else None, counts if return_counts else None
    return _found(a, dim, d, [first[row] for row in order], which, often)


@named
def unique_consecutive(
    a: Core, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The first of every run of equal elements (along `dim`: parts); computed now

    >>> gu.unique_consecutive(gu.tensor([1, 1, 3, 1])).tolist()
    [1, 3, 1]
    """
    rows, d = _rows(a, dim, "unique_consecutive")
    places: list[int] = []
    inverse, counts = [], []
    for i, row in enumerate(rows):
        if not i or row != rows[i - 1]:
            places.append(i)
            counts.append(0)
        inverse.append(len(places) - 1)
        counts[-1] += 1
    which, often = inverse if return_inverse else None, counts if return_counts else None
    return _found(a, dim, d, places, which, often)
