"""x[...]: slices, integers, None, masks and integer tensors, for reading and assigning.

The basic part is a view; integer tensors are reads at read indices. Must not know the axes
notation.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product as every
from typing import TYPE_CHECKING, Any

from ..ir import dtype as dt
from ..ir import node as ir
from ..ir.extent import product
from ..ir.node import Node
from ..ir.transform import unravel
from . import pointwise as pw
from . import storage as store
from . import unfit, write
from .core import Core, Paired, finish, force, is_complex, operand, value_of
from .errors import ShapeError, at_line, lined_up, shape_text
from .sites import given, of_key
from .storage import Storage, from_values
from .view import Affine, Shape, slice_rule

if TYPE_CHECKING:
    from .tensor import Tensor


_FEW = 1 << 12  # elements that are written one by one rather than by a compiled loop


class _Gather:
    """An integer tensor in place of an axis of the view."""

    def __init__(self, index: Core, axis: int) -> None:
        self.index, self.axis = index, axis


def getitem(a: Core, key: Any) -> Tensor:
    """x[key]: a view where the key has only integers, slices, None and ...; else a copy."""
    view, gathers = parse(a, key)
    return view if not gathers else _gathered(view, gathers)


def element_view(a: Core, key: tuple[int, ...]) -> Tensor | None:
    """x[i, j, …] with one integer for each axis: a 0-d view; None if an index is out of range."""
    rules = []
    for i, size in zip(key, a._shape, strict=True):
        if i < 0:
            i += size
        if not 0 <= i < size:
            return None
        rules.append((i, 1, -1))
    result = a.through(Affine(a._shape, (), tuple(rules)))
    return result


# ---- understanding a key -------------------------------------------------------------------------


def _items(a: Core, key: Any) -> list[Any]:
    """One item for each axis (None items extra), `...` filled in."""
    items = list(key) if isinstance(key, tuple) else [key]
    items = [_as_index(a, item) for item in items]
    used = sum((i.ndim if _is_mask(i) else 1) for i in items if i is not None and i is not Ellipsis)
    if sum(i is Ellipsis for i in items) > 1:
        raise IndexError("an index can have one ... only" + at_line())
    if used > a.ndim:
        raise unfit.too_many(used, a._shape, [i._shape for i in items if _is_mask(i)])
    rest = [slice(None)] * (a.ndim - used)
    for place, item in enumerate(items):
        if item is Ellipsis:
            return items[:place] + rest + items[place + 1 :]
    return items + rest


def _is_mask(item: Any) -> bool:
    return isinstance(item, Core) and item.dtype.kind == "b"


def _as_index(a: Core, item: Any) -> Any:
    """Lists, ranges, bools, foreign arrays and 0-d tensors brought to one of the known kinds."""
    if item is None or item is Ellipsis or isinstance(item, slice):
        return item
    if isinstance(item, bool):
        return a._make(from_values([item], (), dt.bool_))
    if isinstance(item, int):
        return item
    if isinstance(item, Core):
        if item.dtype.is_float:
            raise IndexError(
                f"an index tensor holds integers or bools, not {item.dtype.name}; write "
                f"index.long()" + at_line()
            )
        return item
    if isinstance(item, list | tuple | range):
        return _from_list(a, item)
    if hasattr(item, "__index__"):
        return item.__index__()
    if hasattr(item, "__array__"):
        from .interop import storage_from_array

        return a._make(storage_from_array(item))
    raise IndexError(
        f"an index is an integer, a slice, None, ..., or a tensor or list of integers or bools, "
        f"not {type(item).__name__}" + at_line()
    )


def _from_list(a: Core, item: Sequence[Any]) -> Core:
    shape: list[int] = []
    flat: list[Any] = list(item)
    shape.append(len(flat))
    while flat and isinstance(flat[0], list | tuple):
        shape.append(len(flat[0]))
        flat = [x for row in flat for x in row]
    flat = [x if isinstance(x, bool) else x.__index__() for x in flat]
    kind = dt.bool_ if flat and all(isinstance(x, bool) for x in flat) else dt.int64
    return a._make(from_values(flat, tuple(shape), kind))


def parse(a: Core, key: Any) -> tuple[Tensor, list[_Gather]]:
    """The basic view, and the integer tensors that index axes of it."""
    rules: list[tuple[int, int, int]] = []
    shape: list[int] = []
    gathers: list[_Gather] = []
    new: dict[int, int] = {}  # new axes -> the axis of a that follows
    for item in _items(a, key):
        axis = len(rules)
        if item is None:
            new[len(shape)] = axis
            shape.append(1)
        elif isinstance(item, int):
            rules.append((_position(item, a._shape[axis], axis), 1, -1))
        elif isinstance(item, slice):
            start, step, count = slice_rule(item, a._shape[axis])
            rules.append((start, step, len(shape)))
            shape.append(count)
        elif item.dtype.kind == "b":
            _parse_mask(a, item, rules, shape, gathers)
        else:
            gathers.append(_Gather(item, len(shape)))
            rules.append((0, 1, len(shape)))
            shape.append(a._shape[axis])
    view = a.through(Affine(a._shape, tuple(shape), tuple(rules)))
    if new:
        own, (strides, offset) = a.layout()[0], view.layout()
        ahead = {n: own[d] * a._shape[d] if d < a.ndim else 1 for n, d in new.items()}
        view._layout = tuple(ahead.get(n, st) for n, st in enumerate(strides)), offset
    return view, gathers


def _position(index: int, size: int, axis: int) -> int:
    if not -size <= index < size:
        raise IndexError(f"index {index} leaves axis {axis} of size {int(size)}" + at_line())
    return index + int(size) if index < 0 else index


def _parse_mask(
    a: Core, mask: Core, rules: list[Any], shape: list[int], gathers: list[_Gather]
) -> None:
    """A bool mask is the integer tensors of the positions where it holds."""
    axis = len(rules)
    covered = a._shape[axis : axis + mask.ndim]
    # An axis of size 0 fits any: nothing holds there (the array API standard, NumPy).
    fits = len(covered) == mask.ndim and all(
        m in (0, size) for m, size in zip(mask._shape, covered, strict=True)
    )
    if not fits:
        raise unfit.mask(a._shape, mask._shape, axis)
    if not mask.ndim:  # one new axis of size 0 or 1
        gathers.append(_Gather(nonzero(mask)[0], len(shape)))
        shape.append(1)
        return
    for found in nonzero(mask):
        gathers.append(_Gather(found, len(shape)))
        rules.append((0, 1, len(shape)))
        shape.append(a._shape[len(rules) - 1])


def nonzero(mask: Core) -> list[Tensor]:
    """For each axis, the indices where a tensor is not 0, in row-major order (computed now)."""
    if isinstance(mask, Paired):
        mask = pw.to_bool(mask)
    values = host_values(mask, "an index by a mask")
    places = [i for i, v in enumerate(values) if v]
    if not mask.ndim:
        return [mask._make(from_values([0] * len(places), (len(places),), dt.int64))]
    result = []
    step = 1
    for size in reversed(mask._shape):
        column = [p // step % size for p in places]
        result.append(mask._make(from_values(column, (len(column),), dt.int64)))
        step *= size
    return result[::-1]


def host_values(a: Core, what: str) -> list[Any]:
    """All elements of a tensor as Python numbers, in row-major order; computes them if need be."""
    store.asked(what)
    force([a._storage])
    s = a._storage
    if a._parent is None:
        return s.values()
    total = product(a._shape)
    if total > 4096 and not pw_contiguous(a):
        temporary = Storage(a._shape, a.dtype, value_of(a))
        force([temporary])
        return temporary.values()
    strides, offset = a.layout()
    if pw_contiguous(a) and s.number is None and s.dtype not in store._HALF:
        run: list[Any] = s.items()[offset : offset + total].tolist()
        return run
    values = s.values()
    ranges = [
        range(0, int(n) * st, st) if st else [0] * int(n)
        for n, st in zip(a._shape, strides, strict=True)
    ]
    return [values[offset + sum(p)] for p in every(*ranges)]


def pw_contiguous(a: Core) -> bool:
    """Are the elements one run of memory?"""
    from .shape import is_contiguous

    return is_contiguous(a)


# ---- reading by integer tensors ------------------------------------------------------------------


def result_shape(view: Shape, gathers: list[_Gather], operation: str) -> tuple[Shape, int, Shape]:
    """(shape of the result, place of the index axes in it, shape of the broadcast indices)."""
    try:
        together = pw.broadcast(operation, *(g.index._shape for g in gathers))
    except ShapeError as error:
        raise IndexError(str(error)) from None
    axes = [g.axis for g in gathers]
    rest = [d for d in range(len(view)) if d not in axes]
    adjacent = axes == list(range(axes[0], axes[0] + len(axes)))
    place = axes[0] if adjacent else 0
    sizes = [view[d] for d in rest]
    return (*sizes[:place], *together, *sizes[place:]), place, together


def wrapped(index: Node, size: int, low: int | None) -> Node:
    """An index that may count from the back, as one from the front."""
    if low is not None and low >= 0:
        return index
    back = ir.alu("add", index, ir.extent(size))
    return ir.where(ir.alu("lt", index, ir.index(0)), back, index)


def span_of(index: Core, operation: str) -> tuple[int, int] | None:
    """The least and the greatest of integers in memory, remembered until they change, (0, −1) if
    there are none; None if they are still to be computed, or too many to look at."""
    s = index._storage
    if s.pending is not None or (store.tracers and store.tracing() is not None):
        return None
    whole = index._parent is None and s.owner is None
    if whole and s.span is not None and s.span[0] == s.version:
        return s.span[1:]
    if product(index._shape) > _FEW:  # looked at where they are used: each run checks them
        return None
    values = host_values(index, operation)
    if not values:
        return 0, -1
    low, high = int(min(values)), int(max(values))
    if whole:
        s.span = (s.version, low, high)
    return low, high


def _allowed(least: int, size: int) -> str:
    return f"allowed: {least} to {size - 1}" if size else "it has no position"


def check_range(index: Core, size: int, operation: str, back: bool = True) -> int | None:
    """Check known indices against an axis; the least, or None if they are still to be computed.

    back: may an index count from the back?
    """
    if not index.dtype.is_int:
        raise IndexError(
            f"{operation}: an index tensor holds integers, not {index.dtype.name}; write "
            f"index.long()" + at_line()
        )
    known = span_of(index, operation)
    if known is None or known[0] > known[1]:
        return None if known is None else 0
    low, high = known
    least = -int(size) if back else 0
    if low < least or high >= size:
        bad = high if high >= size else low
        values: list[Any] = host_values(index, operation)
        place = values.index(bad)
        position = []
        for n in reversed(index._shape):
            position.append(place % n)
            place //= n
        raise IndexError(
            f"{operation}: the index {bad} at position {shape_text(position[::-1])} leaves an axis "
            f"of size {int(size)} ({_allowed(least, int(size))})"
            + (by.drawn() if (by := given()) is not None else "") + at_line()
        )
    return int(low)


def _index_node(
    g: Core, together: Shape, outs: list[Node], size: int, operation: str
) -> tuple[Node, int | None]:
    """(an index as a node that counts from the front, the least if they are known)"""
    low = check_range(g, size, operation)
    node = ir.cast(pw.read_at(value_of(g), together, outs), dt.int64)
    return wrapped(node, size, low), low


def _gathered(view: Core, gathers: list[_Gather]) -> Tensor:
    if isinstance(view, Paired):
        return view.over(lambda p: _gathered(p, gathers))
    shape, place, together = result_shape(view._shape, gathers, "index")
    count = len(together)
    inner = [ir.out(place + i) for i in range(count)]
    by_axis = {
        g.axis: _index_node(g.index, together, inner, view._shape[g.axis], "index") for g in gathers
    }
    indices: list[Node] = []
    free = 0
    for d in range(view.ndim):
        if d in by_axis:
            indices.append(by_axis[d][0])
        else:
            indices.append(ir.out(free if free < place else free + count))
            free += 1
    body = ir.read(operand(view), *indices)
    if any(low is None for _, low in by_axis.values()):
        ir.at_site(body, of_key([g.axis for g in gathers], view.ndim))
    return finish(ir.loops(shape, body), view, *(g.index for g in gathers))


# ---- assigning -----------------------------------------------------------------------------------


def setitem(a: Core, key: Any, value: Any) -> None:
    """x[key] = value (a tensor or number that broadcasts to the place)."""
    if not isinstance(value, Core | int | float | complex):
        value = _value_from(a, value)
    if _is_mask(key) and key._shape == a._shape[: key.ndim] and _spreads(key, a, value):
        _assign_mask(a, key, value)
        return
    view, gathers = parse(a, key)
    if not gathers:
        value = fitted(value, view._shape)
        write.write("x[…] = value", view, value)
        return
    _scatter(view, gathers, value)


def _value_from(a: Core, value: Any) -> Core:
    from .create import made_of
    from .data import storage_from_data

    return made_of(storage_from_data(value, None))


def fitted(value: Any, shape: Shape) -> Any:
    """A value without surplus leading axes of size 1, checked to broadcast to a place."""
    if not isinstance(value, Core):
        return value
    while value.ndim > len(shape) and value._shape[0] == 1:
        from .shape import squeeze_dims

        value = squeeze_dims(value, (0,))
    try:
        fits = pw.broadcast("x[…] = value", shape, value._shape) == shape
    except ShapeError:
        fits = False
    if not fits:
        raise ShapeError(
            "x[…] = value: the value does not broadcast to the place it is written to"
            + lined_up(_unfit(shape, value._shape), place=shape, value=value._shape)
            + at_line()
        )
    return value


def _unfit(place: tuple[int, ...], value: tuple[int, ...]) -> int:
    """The first axis of a value, counted from the right, that does not broadcast to its place."""
    for axis in range(1, len(value) + 1):
        if axis > len(place) or value[-axis] not in (1, place[-axis]):
            return axis
    return 0


def _spreads(mask: Core, a: Core, value: Any) -> bool:
    """Does the value not depend on which elements the mask picks?"""
    rest = a.ndim - mask.ndim
    if not isinstance(value, Core):
        return True
    return value.ndim <= rest or all(s == 1 for s in value._shape[: value.ndim - rest])


def _assign_mask(a: Core, mask: Core, value: Any) -> None:
    rest = a.ndim - mask.ndim
    from .shape import reshape

    if isinstance(value, Core):
        value = fitted(value, a._shape[a.ndim - min(rest, a.ndim) :] if rest else ())
    full = reshape(mask, (*mask._shape, *(1,) * rest))
    write.write("x[mask] = value", a, pw.masked_fill(a, full, value))


def _scatter(view: Core, gathers: list[_Gather], value: Any) -> None:
    """Assign at integer tensors: into memory now, or as a search for the last write."""
    name = "x[index] = value"
    shape, place, together = result_shape(view._shape, gathers, name)
    value = fitted(value, shape)
    if isinstance(view, Paired) or is_complex(value):
        from .complex.write import scatter as counterpart

        counterpart(view, gathers, value)
        return
    tracked = isinstance(value, Core) and value.tracked()
    if view.can_poke(1 << 30) and product(shape) <= _FEW and not tracked:
        view.check_writable(name)
        _scatter_now(view, gathers, value, shape, place, together)
        return
    _scatter_later(view, gathers, value, shape, place, together)


def _scatter_now(
    view: Core, gathers: list[_Gather], value: Any, shape: Shape, place: int, together: Shape
) -> None:
    name = "x[index] = value"
    force([view._storage])
    flat: list[Any]
    if isinstance(value, Core):
        temporary = Storage(
            shape, view.dtype, ir.loops(shape, pw.body_of(value, view.dtype, shape, False))
        )
        force([temporary])
        flat = temporary.values()
    else:
        flat = [pw.scalar(value, view.dtype).value]
    strides, offset = view.layout()
    targets = [offset] * max(1, product(together))
    for g in gathers:
        size = int(view._shape[g.axis])
        check_range(g.index, size, name)
        spread = Storage(
            together, dt.int64, ir.loops(together, pw.body_of(g.index, dt.int64, together))
        )
        force([spread])
        for i, p in enumerate(map(int, spread.values())):
            if not -size <= p < size:
                raise IndexError(f"{name}: the index {p} leaves an axis of size {size}" + at_line())
            targets[i] += (p + size if p < 0 else p) * strides[g.axis]
    taken = {g.axis for g in gathers}
    rest = [
        range(0, int(n) * strides[d], strides[d]) if strides[d] else [0] * int(n)
        for d, n in enumerate(view._shape)
        if d not in taken
    ]
    s = view._storage
    if product(shape) == 0:
        return
    pieces: list[Any] = [*rest[:place], targets, *rest[place:]]
    for i, steps in enumerate(every(*pieces)):
        s.set(sum(steps), flat[i] if len(flat) > 1 else flat[0])


def _scatter_later(
    view: Core, gathers: list[_Gather], value: Any, shape: Shape, place: int, together: Shape
) -> None:
    """y[i…] = value at the last position whose indices are i…, if there is one, else x[i…]."""
    from .placing import last, positions

    if product(together) == 0:
        return
    node = view.node
    incoming = operand(value) if isinstance(value, Core) else None
    named = [(g.index, g.axis) for g in gathers]
    depth = max([node.depth, *(value_of(i).depth for i, _ in named),
                 incoming.depth if incoming else 0])  # fmt: skip
    pairs, position, match, _ = positions(view, named, together, depth, "x[index] = value")
    found = ir.read(last(view._shape, pairs, match, position), *ir.outs(view.ndim))
    if incoming is None:
        new = pw.scalar(value, view.dtype)
    else:
        taken = {g.axis for g in gathers}
        free = [ir.out(d) for d in range(view.ndim) if d not in taken]
        where_to = unravel(ir.alu("maximum", found, ir.index(0)), together)
        outs = [*free[:place], *where_to, *free[place:]]
        new = ir.cast(pw.read_at(incoming, shape, outs), view.dtype)
    old = ir.read(node, *ir.outs(view.ndim))
    body = ir.where(ir.alu("le", ir.index(0), found), new, old)
    sources = [g.index._storage.oldest for g in gathers]
    if isinstance(value, Core):
        sources.append(value._storage.oldest)
    view.assign("x[index] = value", ir.loops(view._shape, body), min(sources))
