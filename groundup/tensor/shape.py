"""Shapes: views (reshape, permute, expand …) and what joins or cuts tensors (cat, pad, tril …).

A view is an index function; joining is a choice between reads. Must not know derivatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import TYPE_CHECKING, Any

from ..ir import node as ir
from ..ir.extent import Extent, product
from ..ir.node import Node
from ..ir.pieces import Piece, choice
from . import pointwise as pw
from . import unfit
from .core import Core, Paired, finish, is_complex, operand
from .errors import ShapeError, at_line, check_dim, check_holds, differing, lined_up, shape_text
from .misuse import named
from .view import (
    Affine,
    Reshape,
    Shape,
    contiguous_strides,
    reshaped_strides,
    same_shape,
    same_size,
)

if TYPE_CHECKING:
    from .tensor import Tensor


def sizes(args: Sequence[Any]) -> Shape:
    """A shape given as numbers or as one sequence."""
    if len(args) == 1 and not isinstance(args[0], int):
        args = tuple(args[0]) if hasattr(args[0], "__iter__") else args
    try:
        return tuple(s if isinstance(s, Extent) else index(s) for s in args)
    except TypeError:
        known = (int, float, str)
        given = ", ".join(f"{s!r:.40}" if isinstance(s, known) else type(s).__name__ for s in args)
        raise TypeError(f"a shape is made of whole numbers, not ({given})" + at_line()) from None


def whole(source: Shape) -> list[tuple[int, int, int]]:
    """The rules of the view that shows everything as it is."""
    return [(0, 1, d) for d in range(len(source))]


# ---- views ---------------------------------------------------------------------------------------


def _completed(operation: str, a: Core, shape: Shape) -> Shape:
    """A shape with its -1, if any, replaced by what is left."""
    total = product(a._shape)
    unknown = [i for i, s in enumerate(shape) if s == -1]
    if any(s < -1 for s in shape) or len(unknown) > 1:
        raise ShapeError(
            f"{operation}: sizes are 0 or more, and at most one is -1 (what is left): "
            f"{shape_text(shape)}" + at_line()
        )
    if unknown:
        known = product([s for s in shape if s != -1])
        if known == 0 or int(total) % int(known):
            raise unfit.elements(operation, a._shape, shape)
        i = unknown[0]
        shape = (*shape[:i], _quotient(total, known), *shape[i + 1 :])
    elif product(shape) != total:
        raise unfit.elements(operation, a._shape, shape)
    return shape


def _quotient(total: int, known: int) -> int:
    if isinstance(total, Extent) and isinstance(known, Extent):
        return (
            int(total) // int(known)
            if total.symbol is not known.symbol
            else (
                total.coef // known.coef
                if total.coef % known.coef == 0
                else int(total) // int(known)
            )
        )
    return total // known


@named
def reshape(a: Core, *shape: Any, operation: str = "reshape") -> Tensor:
    """The same elements in row-major order; a view where memory allows, else a copy."""
    new = _completed(operation, a, sizes(shape))
    if same_shape(new, a._shape):
        return identity(a)
    if a._parent is None or reshaped_strides(a._shape, a.layout()[0], new) is not None:
        return a.through(Reshape(a._shape, new))
    if operation == "view":
        raise ShapeError(
            f"view: memory with strides {a.layout()[0]} cannot be seen as {shape_text(new)} "
            f"without copying: axis {a.ndim - (apart := _broken(a))} does not go on where the next "
            f"one ends; use reshape" + lined_up({"source": apart}, source=a._shape, wanted=new)
            + at_line()
        )  # fmt: skip
    if isinstance(a, Paired):
        return a.over(lambda p: reshape(p, *new, 2))
    return finish(ir.reshape(operand(a), new), a)


def _broken(a: Core) -> int:
    """The last axis, counted from the right, whose steps are not whole rounds of the next one's."""
    steps, run = a.layout()[0], None
    for axis in range(1, a.ndim + 1):
        if a._shape[-axis] == 1:
            continue
        if run is not None and steps[-axis] != run:
            return axis
        run = steps[-axis] * int(a._shape[-axis])
    return 1


def identity(a: Core) -> Tensor:
    """A view of all of a tensor."""
    return a.through(Affine(a._shape, a._shape, tuple(whole(a._shape))))


@named
def permute(a: Core, dims: Sequence[int]) -> Tensor:
    """out axis i is the source's axis dims[i]"""
    order = [check_dim("permute", d, a.ndim) for d in dims]
    if sorted(order) != list(range(a.ndim)):
        raise ShapeError(
            f"permute: dims {tuple(dims)} must name each of the {a.ndim} axes once"
            + lined_up(shape=a._shape)
            + at_line()
        )
    rules = [(0, 1, order.index(d)) for d in range(a.ndim)]
    return a.through(Affine(a._shape, tuple(a._shape[d] for d in order), tuple(rules)))


def transpose(a: Core, dim0: int, dim1: int) -> Tensor:
    """Two axes exchanged."""
    order = list(range(a.ndim))
    i, j = check_dim("transpose", dim0, a.ndim), check_dim("transpose", dim1, a.ndim)
    if order:
        order[i], order[j] = j, i
    return permute(a, order)


@named
def t(a: Core) -> Tensor:
    """The transpose of a matrix; vectors and 0-d tensors as they are."""
    if a.ndim > 2:
        raise ShapeError(
            "t() needs at most 2 axes; use .mT or transpose(i, j)"
            + lined_up(shape=a._shape)
            + at_line()
        )
    return permute(a, range(a.ndim - 1, -1, -1))


@named
def movedim(
    a: Core, source: int | Sequence[int], destination: int | Sequence[int]
) -> Tensor:
    """Axes moved to other places, the rest in their order."""
    of = (source,) if isinstance(source, int) else tuple(source)
    to = (destination,) if isinstance(destination, int) else tuple(destination)
    at = [check_dim("movedim", d, a.ndim) for d in of]
    places = [check_dim("movedim", d, a.ndim) for d in to]
    if len(at) != len(places) or len(set(at)) != len(at) or len(set(places)) != len(places):
        raise ShapeError(
            f"movedim: each axis of {of} goes to one place of {to}, none twice" + at_line()
        )
    if not a.ndim:
        return identity(a)
    order = [d for d in range(a.ndim) if d not in at]
    for place, d in sorted(zip(places, at, strict=True)):
        order.insert(place, d)
    return permute(a, order)


def expand(a: Core, *shape: Any) -> Tensor:
    """Axes of size 1 repeated to the given sizes without copying; -1 keeps a size."""
    new = list(sizes(shape))
    lead = len(new) - a.ndim
    rules: list[tuple[int, int, int]] = []
    fits = lead >= 0
    for d, size in enumerate(a._shape if fits else ()):
        wanted = new[lead + d]
        if wanted == -1:
            new[lead + d] = wanted = size
        if same_size(wanted, size) or wanted == size != 1:
            rules.append((0, 1, lead + d))
        elif size == 1:
            rules.append((0, 1, -1))
        else:
            fits = False
    if not fits or any(s < 0 for s in new):
        raise ShapeError(
            "expand: only axes of size 1, and new ones in front, can grow"
            + lined_up(_unexpanded(a._shape, new), source=a._shape, wanted=new)
            + at_line()
        )
    return a.through(Affine(a._shape, tuple(new), tuple(rules)))


def _unexpanded(shape: Sequence[int], wanted: Sequence[int]) -> int:
    """The first axis, counted from the right, that cannot be what is wanted."""
    for axis in range(1, max(len(shape), len(wanted)) + 1):
        if axis > min(len(shape), len(wanted)):
            return axis if len(shape) > len(wanted) or wanted[-axis] < 0 else 0
        if shape[-axis] != 1 and wanted[-axis] not in (shape[-axis], -1):
            return axis
    return 0


@named
def broadcast_to(a: Core, *shape: Any) -> Tensor:
    """The same as expand."""
    return expand(a, *shape)


@named
def unsqueeze(a: Core, dim: int) -> Tensor:
    """A new axis of size 1 at `dim`."""
    axis = check_dim("unsqueeze", dim, a.ndim + 1)
    rules = [(0, 1, d + (d >= axis)) for d in range(a.ndim)]
    return a.through(Affine(a._shape, (*a._shape[:axis], 1, *a._shape[axis:]), tuple(rules)))


@named
def squeeze(a: Core, dim: int | Sequence[int] | None = None) -> Tensor:
    """Without the axes of size 1 (all, or those in `dim`)."""
    if dim is None:
        chosen = list(range(a.ndim))
    else:
        chosen = [
            check_dim("squeeze", d, a.ndim) for d in ((dim,) if isinstance(dim, int) else dim)
        ]
    return squeeze_dims(a, tuple(d for d in chosen if d < a.ndim and same_size(a._shape[d], 1)))


def squeeze_dims(a: Core, dims: tuple[int, ...]) -> Tensor:
    """Without these axes, each of size 1."""
    rules: list[tuple[int, int, int]] = []
    shape: list[int] = []
    for d, size in enumerate(a._shape):
        if d in dims:
            rules.append((0, 1, -1))
        else:
            rules.append((0, 1, len(shape)))
            shape.append(size)
    return a.through(Affine(a._shape, tuple(shape), tuple(rules)))


@named
def flatten(a: Core, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes from start_dim to end_dim as one."""
    if not a.ndim:
        return reshape(a, 1)
    start, end = check_dim("flatten", start_dim, a.ndim), check_dim("flatten", end_dim, a.ndim)
    if start > end:
        raise RuntimeError(
            f"flatten: start_dim {start_dim} lies after end_dim {end_dim}" + at_line()
        )
    shape = a._shape
    return reshape(a, (*shape[:start], product(shape[start : end + 1]), *shape[end + 1 :]))


@named
def unflatten(a: Core, dim: int, into: Sequence[int]) -> Tensor:
    """One axis as several."""
    d = check_dim("unflatten", dim, a.ndim)
    into = tuple(into)
    if -1 in into:
        rest = product([s for s in into if s != -1])
        into = tuple(a._shape[d] // rest if s == -1 and rest else s for s in into)
    return reshape(a, (*a._shape[:d], *into, *a._shape[d + 1 :]), operation="unflatten")


@named
def flip(a: Core, dims: Sequence[int]) -> Tensor:
    """The elements of the given axes in reverse order (a copy, as in PyTorch)."""
    chosen = {check_dim("flip", d, a.ndim) for d in dims}
    if isinstance(a, Paired):
        return a.over(lambda p: flip(p, sorted(chosen)))
    rules = [
        (size - 1, -1, d) if d in chosen and size > 0 else (0, 1, d)
        for d, size in enumerate(a._shape)
    ]
    return finish(Affine(a._shape, a._shape, tuple(rules)).apply(operand(a)), a)


@named
def diagonal(a: Core, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """y[…, i] = x[i, i + offset], over axes dim1 and dim2, as the last axis."""
    i, j = check_dim("diagonal", dim1, a.ndim), check_dim("diagonal", dim2, a.ndim)
    if i == j:
        raise RuntimeError(f"diagonal: dim1 and dim2 are one axis, {i}" + at_line())
    down, across = max(0, -offset), max(0, offset)
    count = max(0, min(int(a._shape[i]) - down, int(a._shape[j]) - across))
    rest = [d for d in range(a.ndim) if d not in (i, j)]
    rules = [(0, 1, rest.index(d)) if d in rest else (0, 1, 0) for d in range(a.ndim)]
    rules[i], rules[j] = (down, 1, len(rest)), (across, 1, len(rest))
    return a.through(Affine(a._shape, (*(a._shape[d] for d in rest), count), tuple(rules)))


@named
def narrow(a: Core, dim: int, start: int | Tensor, length: int) -> Tensor:
    """`length` elements of one axis from `start` on."""
    d = check_dim("narrow", dim, a.ndim)
    if not a.ndim:
        raise IndexError("narrow: a 0-d tensor has no axis" + at_line())
    if isinstance(start, Core) and (start.ndim or not start.dtype.is_int):
        raise TypeError(
            f"narrow: a start is a whole number, not {start.dtype.name} of shape "
            f"{shape_text(start._shape)}" + at_line()
        )
    first, length = index(start), length if isinstance(length, Extent) else index(length)
    size = a._shape[d]
    begin = first + size if first < 0 else first
    if length < 0 or not 0 <= begin <= size - length:
        raise IndexError(
            f"narrow: {length} elements from {start} leave axis {d} of size {int(size)}" + at_line()
        )
    rules = whole(a._shape)
    rules[d] = (begin, 1, d)
    return a.through(Affine(a._shape, (*a._shape[:d], length, *a._shape[d + 1 :]), tuple(rules)))


@named
def select(a: Core, dim: int, index: int) -> Tensor:
    """One element of an axis, the axis dropped."""
    d = check_dim("select", dim, a.ndim)
    if not a.ndim:
        raise IndexError("select: a 0-d tensor has no axis to select from" + at_line())
    size = int(a._shape[d])
    if not -size <= index < size:
        raise IndexError(f"index {index} leaves axis {d} of size {size}" + at_line())
    rules = [(0, 1, e - (e > d)) for e in range(a.ndim)]
    rules[d] = (index % size, 1, -1)
    return a.through(Affine(a._shape, (*a._shape[:d], *a._shape[d + 1 :]), tuple(rules)))


def is_contiguous(a: Core) -> bool:
    """Do the elements lie in memory in row-major order, without gaps?"""
    strides = a.layout()[0]
    expected = contiguous_strides(a._shape)
    if product(a._shape) == 0:
        return True
    return all(s == e or n == 1 for s, e, n in zip(strides, expected, a._shape, strict=True))


# ---- joining and cutting -------------------------------------------------------------------------


@named
def cat(tensors: Sequence[Core], dim: int = 0) -> Tensor:
    """Tensors one after the other along an axis."""
    if not tensors:
        raise ValueError("cat needs at least one tensor" + at_line())
    for x in tensors:
        if not isinstance(x, Core):
            raise TypeError(f"cat joins tensors, not {type(x).__name__}" + at_line())
    kept = [x for x in tensors if x._shape != (0,)] or [tensors[0]]
    first = kept[0]
    if not first.ndim:
        raise ShapeError("cat: 0-d tensors have no axis to join along; use stack" + at_line())
    d = check_dim("cat", dim, first.ndim)
    for x in kept[1:]:
        if x.ndim != first.ndim or any(
            e != d and s != r for e, (s, r) in enumerate(zip(x._shape, first._shape, strict=True))
        ):
            raise ShapeError(
                f"cat: every axis but {d} must have one size"
                + lined_up(differing(first._shape, x._shape, d), first=first._shape, other=x._shape)
                + at_line()
            )
    dtype = pw.result_type(*tensors)  # also of those that have no elements
    if is_complex(*tensors):
        from .complex.places import cat as counterpart

        return counterpart([x if x.dtype is dtype else pw.cast(x, dtype) for x in kept], d)
    lengths = [x._shape[d] for x in kept]
    total: int = lengths[0] if len(kept) == 1 else sum(int(n) for n in lengths)
    shape = (*first._shape[:d], total, *first._shape[d + 1 :])
    outs = ir.outs(len(shape))
    pieces: list[Piece] = []
    start = 0
    for x, length in zip(kept, lengths, strict=True):
        here = list(outs)
        here[d] = ir.alu("sub", outs[d], ir.index(start))
        stop = start + int(length)
        pieces.append(Piece(start, stop, ir.cast(pw.read_at(operand(x), x._shape, here), dtype)))
        start = stop
    body = choice(d, pieces)
    return finish(ir.loops(shape, body), first, *kept[1:])


@named
def stack(tensors: Sequence[Core], dim: int = 0) -> Tensor:
    """Tensors of one shape along a new axis."""
    if not tensors:
        raise ValueError("stack needs at least one tensor" + at_line())
    for x in tensors[1:]:
        if x._shape != tensors[0]._shape:
            raise ShapeError(
                "stack: all shapes must be equal"
                + lined_up(
                    differing(tensors[0]._shape, x._shape),
                    first=tensors[0]._shape, other=x._shape,
                )
                + at_line()
            )
    first = tensors[0]
    axis = check_dim("stack", dim, first.ndim + 1)
    if is_complex(*tensors):
        from .complex.places import stack as counterpart

        return counterpart(tensors, axis)
    dtype = pw.result_type(*tensors)
    shape = (*first._shape[:axis], len(tensors), *first._shape[axis:])
    here = ir.outs(len(shape))
    del here[axis]
    pieces = [
        Piece(i, i + 1, ir.cast(pw.read_at(operand(x), x._shape, here), dtype))
        for i, x in enumerate(tensors)
    ]
    return finish(ir.loops(shape, choice(axis, pieces)), first, *tensors[1:])


@named
def split(
    a: Core, split_size_or_sections: int | Sequence[int], dim: int = 0
) -> tuple[Tensor, ...]:
    """Pieces of one size along an axis (the last may be smaller), or of the given sizes."""
    size = split_size_or_sections
    d = check_dim("split", dim, a.ndim)
    total = int(a._shape[d])
    if isinstance(size, int):
        if size <= 0:
            raise ValueError(f"split: a piece needs a positive size, not {size}" + at_line())
        lengths = [min(size, total - i) for i in range(0, max(total, 1), size)]
    else:
        lengths = list(size)
        if sum(lengths) != total:
            raise ShapeError(
                f"split: sizes {tuple(lengths)} sum to {sum(lengths)}, axis {d} has {total}"
                + at_line()
            )
    pieces, start = [], 0
    for length in lengths:
        pieces.append(narrow(a, d, start, length))
        start += length
    return tuple(pieces)


@named
def chunk(a: Core, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` pieces of equal size along an axis (the last may be smaller)."""
    d = check_dim("chunk", dim, a.ndim)
    if chunks < 1:
        raise ValueError(f"chunk: at least one piece is needed, not {chunks}" + at_line())
    return split(a, max(1, -(-int(a._shape[d]) // chunks)), d)


@named
def unbind(a: Core, dim: int = 0) -> tuple[Tensor, ...]:
    """The elements of one axis."""
    d = check_dim("unbind", dim, a.ndim)
    if not a.ndim:
        raise IndexError("unbind: a 0-d tensor has no axis" + at_line())
    return tuple(select(a, d, i) for i in range(a._shape[d]))


def repeat(a: Core, *times: Any) -> Tensor:
    """The tensor tiled `times` along each axis."""
    counts = sizes(times)
    lead = len(counts) - a.ndim
    if lead < 0:
        raise ShapeError(
            "repeat needs a count for each axis"
            + lined_up(shape=a._shape, counts=counts)
            + at_line()
        )
    if any(n < 0 for n in counts):
        raise ShapeError(f"repeat: counts are 0 or more, not {shape_text(counts)}" + at_line())
    source = (1,) * lead + a._shape
    if isinstance(a, Paired):
        return a.over(lambda p: repeat(p, *counts, 1))
    shape = tuple(product([s, n]) for s, n in zip(source, counts, strict=True))
    node = operand(a)
    # A loop for the copies and one for the axis itself: no index has to be divided.
    loops: list[int] = []
    places: list[int] = []
    for s, n in zip(source, counts, strict=True):
        loops += [n, s] if n != 1 and s != 1 else [product([s, n])]
        places.append(len(loops) - 1)
    outs = ir.outs(len(loops))
    indices = [
        outs[places[lead + d]] if s != 1 else ir.index(0) for d, s in enumerate(a._shape)
    ]
    body = node.src[0] if _is_fill(node) else ir.read(node, *indices)
    tiled = ir.loops(tuple(loops), body)
    return finish(tiled if tuple(loops) == shape else ir.reshape(tiled, shape), a)


def _is_fill(node: Node) -> bool:
    return node.op == "loops" and node.src[0].op == "const"


def triangle(a: Core, diagonal: int, upper: bool) -> Tensor:
    """The part above (or below) a diagonal of the last two axes, 0 elsewhere."""
    if a.ndim < 2:
        raise ShapeError(
            "tril and triu need at least 2 axes" + lined_up(shape=a._shape) + at_line()
        )
    if isinstance(a, Paired):
        return a.over(lambda p: movedim(triangle(movedim(p, -1, 0), diagonal, upper), 0, -1))
    row, column = ir.out(a.ndim - 2), ir.out(a.ndim - 1)
    far = 1 << 62  # no axis is as long
    limit = ir.alu("add", row, ir.index(max(-far, min(int(diagonal), far))))
    keep = ir.alu("le", limit, column) if upper else ir.alu("le", column, limit)
    x = pw.read_at(operand(a), a._shape)
    return finish(ir.loops(a._shape, ir.where(keep, x, ir.const(0, x.dtype))), a)


@named
def pad(a: Core, amounts: Sequence[int], mode: str = "constant", value: float = 0.0) -> Tensor:
    """Axes enlarged by (before, after) pairs, the last axis first; negative amounts cut.

    mode: 'constant' fills with `value`; 'reflect' mirrors without the edge, 'replicate' repeats it,
    'circular' goes round.
    """
    if isinstance(a, Paired):
        from .complex.places import pad as counterpart

        return counterpart(a, amounts, mode, value)
    if mode == "circular" and min(amounts, default=0) < 0:  # what is left goes round
        a = pad(a, [min(n, 0) for n in amounts])
        amounts = [max(n, 0) for n in amounts]
    if len(amounts) % 2 or len(amounts) > 2 * a.ndim:
        raise ValueError(
            f"pad: {len(amounts)} amounts: (before, after) for each of up to {a.ndim} axes, the "
            f"last axis first" + at_line()
        )
    before, shape = [0] * a.ndim, list(a._shape)
    for i in range(0, len(amounts), 2):
        d = a.ndim - 1 - i // 2
        before[d] = amounts[i]
        if amounts[i] or amounts[i + 1]:
            shape[d] = shape[d] + (amounts[i] + amounts[i + 1])
    if any(s < 0 for s in shape):
        raise ShapeError("pad: more is cut than there is" + lined_up(source=a._shape) + at_line())
    node, inside, indices = operand(a), [], []
    for d, size in enumerate(a._shape):
        place = ir.alu("sub", ir.out(d), ir.index(before[d]))
        if before[d] > 0 and mode == "constant":
            inside.append(ir.alu("le", ir.index(0), place))
        if mode == "constant" and shape[d] - before[d] > size:
            inside.append(ir.alu("lt", place, ir.extent(size)))
        if mode != "constant" and (before[d] or shape[d] != size):
            place = _wrapped(place, size, mode, max(before[d], shape[d] - size - before[d]))
        indices.append(place)
    x = node.src[0] if _is_fill(node) else ir.read(node, *indices)
    for condition in reversed(inside):
        check_holds(value, x.dtype)
        x = ir.where(condition, x, ir.const(value, x.dtype))
    return finish(ir.loops(tuple(shape), x), a)


def _wrapped(place: Node, size: int, mode: str, amount: int) -> Node:
    """An index beyond an axis, brought back into it."""
    last = ir.alu("sub", ir.extent(size), ir.index(1))
    if mode == "replicate":
        return ir.alu("minimum", ir.alu("maximum", place, ir.index(0)), last)
    least = {"reflect": amount + 1, "circular": amount}.get(mode)
    if least is None:
        raise ValueError(f"pad: mode is constant, reflect, replicate or circular, not {mode!r}")
    if size < least:
        raise ShapeError(f"pad: {mode} by {amount} needs an axis of at least {least}" + at_line())
    if mode == "circular":
        return ir.alu("mod", place, ir.extent(size))
    folded = ir.alu("sub", last, ir.alu("abs", ir.alu("sub", last, ir.alu("abs", place))))
    return folded
