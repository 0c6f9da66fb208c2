"""Writing to places that integer tensors name: index_add, scatter_add, scatter, index_put.

Each is a search over positions, as one writes it down: y[j] = x[j] + Σ over i of v[i] where
index[i] is j. Must not know that a search is run as a sort.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..ir import dtype as dt
from ..ir import node as ir
from ..ir.extent import product
from ..ir.node import Node
from ..ir.transform import unravel
from . import pointwise as pw
from . import unfit
from .core import Core, Paired, finish, operand, value_of
from .errors import at_line, check_dim
from .indexing import check_range, wrapped
from .misuse import named
from .picking import from_front
from .sites import Argument, indexed
from .view import Shape, same_shape

if TYPE_CHECKING:
    from .tensor import Tensor


def _place(index: Core, at: Node, axis: int, shape: Shape, by: Argument) -> Node:
    """An index that counts from the front only, checked now if it is known, else when it runs."""
    place, known = from_front(index, at, axis, shape, by)
    return place if known else ir.checked(place, axis, shape, indexed(by))


def asked(index: Core, axis: int, shape: Shape, by: Argument) -> Tensor:
    """An index as positions counted from the front, each checked against an axis."""
    place = _place(index, ir.read(value_of(index), *ir.outs(index.ndim)), axis, shape, by)
    return finish(ir.loops(index._shape, place), index)


@named
def same_type(operation: str, a: Core, source: Core) -> None:
    """Raise TypeError unless a source has the type of what it is put into."""
    if a.dtype is not source.dtype:
        raise TypeError(
            f"{operation}: a source of type {source.dtype.name} cannot be put into a tensor of "
            f"type {a.dtype.name}; write source.to(groundup.{a.dtype.name})" + at_line()
        )


def _added(x: Node, total: Node) -> Node:
    """x + total, element by element, in one loop nest; of bools, x or total."""
    return ir.alu("or" if x.dtype.kind == "b" else "add", x, total)


def _sum(pairs: list[tuple[int, int]], condition: Node, term: Node) -> Node:
    """Σ of the term where the condition holds, in the order of positions."""
    if term.dtype.kind == "b":
        no = ir.const(False, dt.bool_)
        return ir.reduce("max", pairs, ir.where(condition, term, no), "seq")
    return ir.reduce("sum", pairs, ir.where(condition, term, ir.const(0, term.dtype)), "seq")


# ---- along one axis ------------------------------------------------------------------------------


@named
def index_add(a: Core, dim: int, index: Core, source: Core, *, alpha: float = 1) -> Tensor:
    """y[…, j, …] = x[…, j, …] + alpha · Σ source[…, i, …] over the i with index[i] == j.

    `index` has one axis; `source` has x's shape but for axis `dim`, which is as long as `index`.
    The terms of an element are added in the order of i, on any number of threads. Raises
    IndexError for an index outside the axis, ShapeError for a source of another shape.

    >>> gu.zeros(3).index_add(0, gu.tensor([2, 0, 2]), gu.tensor([1.0, 2.0, 3.0])).tolist()
    [2.0, 0.0, 4.0]
    """
    d = check_dim("index_add", dim, a.ndim)
    same_type("index_add", a, source)
    want = (*a._shape[:d], product(index._shape), *a._shape[d + 1 :]) if a.ndim else ()
    if index.ndim > 1 or (a.ndim and not same_shape(source._shape, want)):
        raise unfit.parts("index_add", d, a._shape, index._shape, source._shape)
    if isinstance(a, Paired):
        from .complex.places import index_add as counterpart

        return counterpart(a, d, index, source, alpha)
    x, v, where_to = operand(a), operand(source), value_of(index)
    (r,), pairs = ir.fresh(max(x.depth, v.depth, where_to.depth), [product(index._shape)])
    outs = ir.outs(a.ndim)
    at = ir.read(where_to, *([r] if index.ndim else []))
    shape = a._shape if a.ndim else (1,)
    by = Argument("index_add", f"x.index_add({d}, index, source)", "index", "x")
    place = _place(index, at, d, shape, by)
    match = ir.alu("eq", place, outs[d] if a.ndim else ir.index(0))
    term = ir.read(v, *(r if e == d else o for e, o in enumerate(outs)))
    if alpha != 1:
        term = ir.alu("mul", pw.scalar(alpha, a.dtype), term)
    body = _added(ir.read(x, *outs), _sum(pairs, match, term))
    return finish(ir.loops(a._shape, body), a, index, source)


def check_positions(name: str, d: int, a: Core, index: Core, source: Core | None) -> None:
    """Raise ShapeError unless an index has a position in the tensor for each of its elements."""
    own = index._shape
    fits = len(own) == a.ndim and all(
        e == d or int(n) <= int(s) for e, (n, s) in enumerate(zip(own, a._shape))
    )
    if fits and source is not None:
        fits = source.ndim == a.ndim and all(
            int(n) <= int(s) for n, s in zip(own, source._shape)
        )
    if not fits:
        given = None if source is None else source._shape
        raise unfit.positions(name, d, a._shape, own, given)


def _along(
    name: str, a: Core, dim: int, index: Core, source: Core | None
) -> tuple[int, Node, list[tuple[int, int]], Node, list[Node]]:
    """(axis, variable along it, its extents, does a position go here?, the position's indices)."""
    d = check_dim(name, dim, a.ndim)
    check_positions(name, d, a, index, source)
    by = Argument(name, f"x.{name}({d}, index, src)", "index", "x")
    where_to = value_of(index)
    depth = max(operand(a).depth, where_to.depth, 0 if source is None else operand(source).depth)
    if not a.ndim:
        (r,), pairs = ir.fresh(depth, [1])
        here = _place(index, ir.read(where_to), 0, (1,), by)
        return d, r, pairs, ir.alu("eq", here, ir.index(0)), []
    (r,), pairs = ir.fresh(depth, [index._shape[d]])
    outs = ir.outs(a.ndim)
    at = [*outs[:d], r, *outs[d + 1 :]]
    match = ir.alu("eq", _place(index, ir.read(where_to, *at), d, a._shape, by), outs[d])
    for e, (n, s) in enumerate(zip(index._shape, a._shape)):
        if e != d and int(n) != int(s):
            match = ir.alu("and", ir.alu("lt", outs[e], ir.extent(n)), match)
    return d, r, pairs, match, at


@named
def scatter_add(a: Core, dim: int, index: Core, src: Core) -> Tensor:
    """y[i, j, …] = x[i, j, …] + Σ src[i, k, …] over the k with index[i, k, …] == j (for dim 1).

    The adjoint of gather. `index` has as many axes as x and src, and is no longer than src, nor
    (but along `dim`) than x. The terms of an element are added in the order of k. Raises
    IndexError for an index outside the axis, ShapeError for shapes that do not fit.

    >>> index = gu.tensor([[0, 2, 0]])
    >>> gu.zeros(1, 3).scatter_add(1, index, gu.tensor([[1.0, 2.0, 3.0]])).tolist()
    [[4.0, 0.0, 2.0]]
    """
    same_type("scatter_add", a, src)
    if isinstance(a, Paired):
        from .complex.places import scatter_add as counterpart

        return counterpart(a, check_dim("scatter_add", dim, a.ndim), index, src)
    _, _, pairs, match, at = _along("scatter_add", a, dim, index, src)
    term = ir.read(operand(src), *at)
    body = _added(ir.read(operand(a), *ir.outs(a.ndim)), _sum(pairs, match, term))
    return finish(ir.loops(a._shape, body), a, index, src)


@named
def scatter(
    a: Core, dim: int, index: Core, src: Any = None, *, value: Any = None,
    reduce: str | None = None,
) -> Tensor:  # fmt: skip
    """y[i, j, …] = src[i, k, …] for the last k with index[i, k, …] == j, else x[i, j, …] (dim 1).

    `src` is a tensor, or a number as `src` or `value`; shapes and errors as for scatter_add.
    reduce: 'add' or 'multiply' joins what goes to one place, with x's own element, instead.

    >>> gu.zeros(1, 3).scatter(1, gu.tensor([[2, 0]]), 5.0).tolist()
    [[5.0, 0.0, 5.0]]
    """
    source = src if value is None else value
    if source is None:
        raise TypeError("scatter: what is to be written is given as src or as value" + at_line())
    if reduce is not None:
        return _joined(a, dim, index, source, reduce)
    if isinstance(a, Paired):
        from .complex.places import scatter as counterpart

        return counterpart(a, check_dim("scatter", dim, a.ndim), index, source)
    tensor = source if isinstance(source, Core) else None
    if tensor is not None:
        same_type("scatter", a, tensor)
    d, r, pairs, match, _ = _along("scatter", a, dim, index, tensor)
    found = last(a._shape, pairs, match, r)
    outs = ir.outs(a.ndim)
    at = ir.read(found, *outs)
    here = ir.alu("maximum", at, ir.index(0))
    if tensor is not None:
        new = ir.read(operand(tensor), *(here if e == d else o for e, o in enumerate(outs)))
    else:
        new = pw.scalar(source, a.dtype)
    if 0 in tuple(int(s) for s in index._shape):
        new = ir.read(operand(a), *outs)
    shorter = [
        ir.alu("lt", outs[e], ir.extent(n))
        for e, n in enumerate(index._shape) if e != d and int(n) != int(a._shape[e])
    ]  # fmt: skip
    body = ir.where(ir.alu("le", ir.index(0), at), new, ir.read(operand(a), *outs))
    for c in shorter:
        body = ir.where(c, body, ir.read(operand(a), *outs))
    others = (index,) if tensor is None else (index, tensor)
    return finish(ir.loops(a._shape, body), a, *others)


def _joined(a: Core, dim: int, index: Core, source: Any, reduce: str) -> Tensor:
    """scatter with a way to join what goes to one place."""
    from .create import filled
    from .places import scatter_reduce

    ways = {"add": "sum", "multiply": "prod"}
    if reduce not in ways:
        raise ValueError(f"scatter: reduce is 'add' or 'multiply', not {reduce!r}" + at_line())
    if not isinstance(source, Core):
        source = filled(index._shape, source, a.dtype)
    return scatter_reduce(a, dim, index, source, ways[reduce])


@named
def last(shape: Shape, pairs: list[tuple[int, int]], match: Node, position: Node) -> Node:
    """The last position that goes to each element, or a negative number."""
    none = ir.const(dt.int64.min, dt.int64)
    return ir.loops(shape, ir.reduce("max", pairs, ir.where(match, position, none), "seq"))


# ---- at several indices --------------------------------------------------------------------------


@named
def positions(
    view: Core, gathers: Sequence[tuple[Core, int]], together: Shape, depth: int, name: str
) -> tuple[list[tuple[int, int]], Node, Node, list[Node]]:
    """A variable over all positions of index tensors that stand for axes of a tensor: (its extent,
    the variable, does a position go here?, the position's indices)."""
    (r,), pairs = ir.fresh(depth, [product(together)])
    here = unravel(r, together)
    put = name == "index_put"
    by = Argument(
        name, "x.index_put(indices, values)" if put else name, "indices" if put else "index", "x",
        back=True,
    )
    match: Node | None = None
    for index, axis in gathers:
        size = view._shape[axis]
        low = check_range(index, size, name)
        at = ir.cast(pw.read_at(value_of(index), together, here), dt.int64)
        place = wrapped(at, size, low)
        if low is None:
            place = ir.checked(place, axis, view._shape, indexed(by))
        equal = ir.alu("eq", place, ir.out(axis))
        match = equal if match is None else ir.alu("and", match, equal)
    assert match is not None
    return pairs, r, match, here


@named
def index_put(a: Core, indices: Sequence[Core], values: Any, accumulate: bool = False) -> Tensor:
    """x with values at the places that index tensors (one for each leading axis) name: written, the
    last of several; or, with accumulate=True, added in the order of positions.

    >>> i = gu.tensor([1, 1])
    >>> gu.zeros(3).index_put((i,), gu.tensor([2.0, 3.0]), accumulate=True).tolist()
    [0.0, 5.0, 0.0]
    """
    from .indexing import fitted, parse, result_shape, setitem
    from .shape import identity

    if not accumulate:
        y = identity(a).clone()
        setitem(y, tuple(indices), values)
        return y
    view, gathers = parse(a, tuple(indices))
    shape, place, together = result_shape(view._shape, gathers, "index_put")
    values = fitted(values, shape)
    if isinstance(view, Paired):
        from .complex.places import index_put as counterpart

        return counterpart(view, gathers, values)
    x = operand(view)
    incoming = operand(values) if isinstance(values, Core) else None
    if incoming is not None:
        same_type("index_put", a, values)
    depth = max([x.depth, incoming.depth if incoming else 0,
                 *(value_of(g.index).depth for g in gathers)])  # fmt: skip
    pairs, _, match, here = positions(
        view, [(g.index, g.axis) for g in gathers], together, depth, "index_put"
    )
    taken = {g.axis for g in gathers}
    free = [ir.out(d) for d in range(view.ndim) if d not in taken]
    if incoming is None:
        term = pw.scalar(values, a.dtype)
    else:
        term = pw.read_at(incoming, shape, [*free[:place], *here, *free[place:]])
    body = _added(ir.read(x, *ir.outs(view.ndim)), _sum(pairs, match, term))
    sources = [g.index for g in gathers] + ([values] if isinstance(values, Core) else [])
    return finish(ir.loops(view._shape, body), view, *sources)
