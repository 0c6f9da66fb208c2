"""Elements in other places: rolled, turned, tiled, repeated, put on diagonals.

Each is an index function, or made of what stands in shape.py. Must not know derivatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..ir import dtype as dt
from ..ir import node as ir
from ..ir.dtype import DType
from ..ir.extent import product
from . import indexing, picking, shape
from . import pointwise as pw
from .core import Core, Paired, finish, operand
from .errors import GradError, ShapeError, at_line, check_dim, lined_up
from .misuse import named
from .view import Strided, Windows

if TYPE_CHECKING:
    from .tensor import Tensor


def _several(value: int | Sequence[int] | None) -> tuple[int, ...]:
    """An argument that may be one number, or none, as several."""
    if value is None:
        return ()
    return (value,) if isinstance(value, int) else tuple(value)


# ---- turned --------------------------------------------------------------------------------------


@named
def roll(a: Core, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Tensor:
    """y[(i + s) mod n] = x[i] along each of `dims`; without dims, of all elements in their order

    >>> gu.roll(gu.arange(4), 1).tolist()
    [3, 0, 1, 2]
    """
    steps, at = _several(shifts), _several(dims)
    if not at:
        if len(steps) != 1:
            raise ShapeError(f"roll: {len(steps)} shifts need as many dims" + at_line())
        return shape.reshape(roll(shape.reshape(a, -1), steps[0], 0), a._shape)
    if len(steps) != len(at):
        raise ShapeError(
            f"roll: {len(steps)} shifts for {len(at)} dims: one for each" + at_line()
        )
    if isinstance(a, Paired):
        places = [check_dim("roll", d, a.ndim) for d in at]
        return a.over(lambda p: roll(p, steps, places))
    indices = list(ir.outs(a.ndim))
    for step, dim in zip(steps, at, strict=True):
        d = check_dim("roll", dim, a.ndim)
        if not a.ndim:
            raise IndexError("roll: a 0-d tensor has no axis" + at_line())
        moved = ir.alu("sub", indices[d], ir.index(step))
        indices[d] = ir.alu("mod", moved, ir.extent(a._shape[d]))
    return finish(ir.loops(a._shape, ir.read(operand(a), *indices)), a)


@named
def rot90(a: Core, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Turned by k right angles in the plane of two axes, from the first towards the second

    >>> gu.rot90(gu.tensor([[1, 2], [3, 4]])).tolist()
    [[2, 4], [1, 3]]
    """
    if len(dims) != 2 or a.ndim < 2:
        raise ShapeError(
            f"rot90 turns a plane of two axes, not {tuple(dims)}" + lined_up(shape=a._shape)
            + at_line()
        )  # fmt: skip
    i, j = (check_dim("rot90", d, a.ndim) for d in dims)
    if i == j:
        raise ShapeError(f"rot90: {tuple(dims)} are one axis" + at_line())
    turned = k % 4
    if turned == 0:
        return shape.identity(a).clone()
    if turned == 2:
        return shape.flip(a, (i, j))
    if turned == 1:
        return shape.transpose(shape.flip(a, (j,)), i, j)
    return shape.flip(shape.transpose(a, i, j), (j,))


@named
def fliplr(a: Core) -> Tensor:
    """The second axis in reverse order

    >>> gu.fliplr(gu.tensor([[1, 2], [3, 4]])).tolist()
    [[2, 1], [4, 3]]
    """
    if a.ndim < 2:
        raise ShapeError("fliplr needs at least 2 axes" + lined_up(shape=a._shape) + at_line())
    return shape.flip(a, (1,))


@named
def flipud(a: Core) -> Tensor:
    """The first axis in reverse order

    >>> gu.flipud(gu.tensor([[1, 2], [3, 4]])).tolist()
    [[3, 4], [1, 2]]
    """
    if a.ndim < 1:
        raise ShapeError("flipud needs at least 1 axis" + at_line())
    return shape.flip(a, (0,))


@named
def tile(a: Core, *times: Any, dims: Sequence[int] | None = None) -> Tensor:
    """The tensor repeated along each axis, counted from the last; fewer counts than axes are 1s

    >>> gu.tile(gu.arange(2), 2).tolist()
    [0, 1, 0, 1]
    """
    counts = shape.sizes(times if dims is None else (*times, dims))
    return shape.repeat(a, (*(1,) * (a.ndim - len(counts)), *counts))


@named
def repeat_interleave(
    a: Core, repeats: Core | int, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Each element of an axis several times in a row (a number for all, or one for each)

    >>> gu.repeat_interleave(gu.tensor([1, 2]), 2).tolist()
    [1, 1, 2, 2]
    """
    if dim is None:
        return repeat_interleave(shape.reshape(a, -1), repeats, 0, output_size=output_size)
    d = check_dim("repeat_interleave", dim, a.ndim)
    if not a.ndim:
        a = shape.reshape(a, 1)
    size = int(a._shape[d])
    if isinstance(repeats, Core):
        if repeats.ndim > 1 or repeats.dtype.is_float:
            raise TypeError("repeat_interleave: repeats are integers in one axis" + at_line())
        counts = [int(n) for n in indexing.host_values(repeats, "repeat_interleave")]
        counts = counts * size if len(counts) == 1 else counts
    else:
        counts = [repeats] * size
    if len(counts) != size or any(n < 0 for n in counts):
        raise ShapeError(
            f"repeat_interleave: {len(counts)} counts, each 0 or more, for an axis of {size}"
            + at_line()
        )
    if output_size not in (None, sum(counts)):
        raise ShapeError(
            f"repeat_interleave: the counts sum to {sum(counts)}, not to output_size {output_size}"
            + at_line()
        )
    from .create import tensor

    places = tensor([i for i, n in enumerate(counts) for _ in range(n)], dtype=dt.int64)
    return picking.index_select(a, d, places)


@named
def unfold(a: Core, dimension: int, size: int, step: int) -> Tensor:
    """y[…, i, …, u] = x[…, step·i + u, …]: windows along an axis, their elements as the last axis

    A view: what is written to windows that do not overlap is written to the tensor.

    >>> gu.unfold(gu.arange(4), 0, 2, 1).tolist()
    [[0, 1], [1, 2], [2, 3]]
    """
    d = check_dim("unfold", dimension, a.ndim)
    whole = int(a._shape[d]) if a.ndim else 1
    if not 0 <= size <= whole or step < 1:
        raise ShapeError(
            f"unfold: windows of {size}, {step} apart, in an axis of {whole}: a window is not "
            f"longer than the axis, and the step is positive" + at_line()
        )
    if isinstance(a, Paired) and a.ndim:
        return a.over(lambda p: shape.transpose(unfold(p, d, size, step), -1, -2))
    if not a.ndim:
        return shape.reshape(a, 1) if size else finish(ir.loops((0,), ir.const(0, a.dtype)), a)
    count = (whole - size) // step + 1
    result = (*a._shape[:d], count, *a._shape[d + 1 :], size)
    return a.through(Windows(a._shape, result, d, step))


@named
def as_strided(
    a: Core, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Tensor:
    """y[i, j, …] = memory[offset + i·stride₀ + j·stride₁ + …], read from the tensor's memory

    A view: what is written to it, where no elements share a place, is written to the memory.

    >>> gu.as_strided(gu.arange(4), (3, 2), (1, 1)).tolist()
    [[0, 1], [1, 2], [2, 3]]
    """
    at, ends = a, a._detached
    while at._parent is not None:
        if at._leaf is not None:
            raise GradError(
                "as_strided reads the whole memory, of which this leaf is a part, so a derivative "
                "by it would pass it by; index it, or call clone() first" + at_line()
            )
        at = at._parent
        ends = ends or at._detached
    offset = a.layout()[1] if storage_offset is None else storage_offset
    if len(size) != len(stride) or min([0, offset, *size, *stride]) < 0:
        raise ShapeError(
            f"as_strided: one stride for each size, none negative, not {tuple(stride)} for "
            f"{tuple(size)}" + at_line()
        )
    if isinstance(a, Paired):
        more = [2 * s for s in stride]
        first = a.layout()[1] if storage_offset is None else storage_offset
        return a.over(lambda p: as_strided(p, (*size, 2), (*more, 1), 2 * first))
    total = int(product(at._shape))
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if 0 not in size and last >= total:
        raise IndexError(
            f"as_strided: the last element would be number {last} of a memory of {total}"
            + at_line()
        )
    if 0 in size:
        return finish(ir.loops(tuple(size), ir.const(0, a.dtype)), a)
    flat = shape.reshape(at, -1)
    result = flat.through(Strided(flat._shape, tuple(size), tuple(stride), offset))
    return result.detach() if ends else result


# ---- diagonals and triangles ---------------------------------------------------------------------


@named
def diag_embed(a: Core, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """y[…, i, i + offset] = x[…, i], 0 elsewhere: the last axis as a diagonal of two axes

    >>> gu.diag_embed(gu.tensor([1, 2])).tolist()
    [[1, 0], [0, 2]]
    """
    if not a.ndim:
        raise ShapeError("diag_embed needs at least one axis" + at_line())
    i, j = (check_dim("diag_embed", d, a.ndim + 1) for d in (dim1, dim2))
    if i == j:
        raise ShapeError(f"diag_embed: dim1 and dim2 are one axis, {i}" + at_line())
    if isinstance(a, Paired):
        return a.over(lambda p: shape.movedim(
            diag_embed(shape.movedim(p, -1, 0), offset, i + 1, j + 1), 0, -1))
    count = int(a._shape[-1])
    side = count + abs(offset)
    down = max(0, -offset)
    rest = [d for d in range(a.ndim + 1) if d not in (i, j)]
    result = [0] * (a.ndim + 1)
    for d, s in zip(rest, a._shape[:-1], strict=True):
        result[d] = s
    result[i] = result[j] = side
    outs = ir.outs(a.ndim + 1)
    across = ir.alu("sub", outs[j], outs[i])
    place = ir.alu("sub", outs[i], ir.index(down))
    here = ir.alu("eq", across, ir.index(offset))
    if down:
        here = ir.alu("and", ir.alu("le", ir.index(0), place), here)
    if offset > 0:
        here = ir.alu("and", ir.alu("lt", place, ir.index(count)), here)
    x = ir.read(operand(a), *(outs[d] for d in rest), place)
    return finish(ir.loops(tuple(result), ir.where(here, x, ir.const(0, a.dtype))), a)


@named
def diag(a: Core, diagonal: int = 0) -> Tensor:
    """The matrix with a vector on its diagonal, or the diagonal of a matrix

    >>> gu.diag(gu.tensor([[1, 2], [3, 4]])).tolist()
    [1, 4]
    """
    if a.ndim == 1:
        return diag_embed(a, diagonal)
    if a.ndim != 2:
        raise ShapeError("diag takes a vector or a matrix" + lined_up(shape=a._shape) + at_line())
    return shape.diagonal(a, diagonal).clone()


@named
def diagflat(a: Core, offset: int = 0) -> Tensor:
    """The matrix with all elements, in their order, on its diagonal

    >>> gu.diagflat(gu.tensor([1, 2])).tolist()
    [[1, 0], [0, 2]]
    """
    return diag_embed(shape.reshape(a, -1), offset)


def _triangle(row: int, col: int, offset: int, dtype: DType, upper: bool) -> Tensor:
    """The places (i, j) with j − i at least the offset (upper), or at most."""
    from .create import tensor

    if row < 0 or col < 0:
        raise ShapeError(f"a matrix has 0 rows or more, not ({row}, {col})" + at_line())
    keep = [(i, j) for i in range(row) for j in range(col)
            if (j - i >= offset if upper else j - i <= offset)]  # fmt: skip
    return shape.reshape(tensor([p[k] for k in (0, 1) for p in keep], dtype=dtype), 2, len(keep))


@named
def tril_indices(row: int, col: int, offset: int = 0, *, dtype: DType = dt.int64) -> Tensor:
    """The (row, column) of each element on and below a diagonal, as two rows of numbers

    >>> gu.tril_indices(2, 2).tolist()
    [[0, 1, 1], [0, 0, 1]]
    """
    return _triangle(row, col, offset, dtype, False)


@named
def triu_indices(row: int, col: int, offset: int = 0, *, dtype: DType = dt.int64) -> Tensor:
    """The (row, column) of each element on and above a diagonal, as two rows of numbers

    >>> gu.triu_indices(2, 2).tolist()
    [[0, 0, 1], [0, 1, 1]]
    """
    return _triangle(row, col, offset, dtype, True)


def _replaced(name: str, a: Core, part: Tensor, source: Core, place: Tensor) -> Tensor:
    """x with the elements that `place` (positions in row-major order) names taken from source."""
    if part._shape != source._shape:
        raise ShapeError(
            f"{name}: the source has the shape of the part that it replaces"
            + lined_up(part=part._shape, source=source._shape) + at_line()
        )  # fmt: skip
    from .placing import scatter

    new = shape.reshape(pw.cast(source, a.dtype), -1)
    flat = shape.reshape(a, -1)
    return shape.reshape(scatter(flat, 0, shape.reshape(place, -1), new), a._shape)


def _positions(a: Core) -> Tensor:
    """The row-major position of each element."""
    from .create import arange

    return shape.reshape(arange(int(product(a._shape))), a._shape)


def with_diagonal(a: Core, value: Any, wrap: bool) -> Tensor:
    """x with one number on its diagonal i, i, …; wrap: on after each row that is left out."""
    from .create import arange

    if a.ndim < 2 or (a.ndim > 2 and len(set(a._shape)) > 1):
        raise ShapeError(
            "fill_diagonal_: a tensor of at least two axes, of more than two all of one size"
            + lined_up(shape=a._shape) + at_line()
        )  # fmt: skip
    if isinstance(value, Core) and value.ndim:
        raise ShapeError("fill_diagonal_ takes one number" + lined_up(value=value._shape)
                         + at_line())  # fmt: skip
    first, *others = (
        shape.reshape(arange(int(n)), *(-1 if e == d else 1 for e in range(a.ndim)))
        for d, n in enumerate(a._shape)
    )
    if wrap and a.ndim == 2:
        first = pw.binary("mod", first, int(a._shape[1]) + 1)
    on = pw.binary("eq", first, others[0])
    for other in others[1:]:
        on = pw.binary("and", on, pw.binary("eq", first, other))
    return pw.masked_fill(a, on, value)


@named
def diagonal_scatter(
    a: Core, source: Core, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Tensor:
    """x with a diagonal replaced

    >>> gu.diagonal_scatter(gu.zeros(2, 2), gu.ones(2)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    part = shape.diagonal(a, offset, dim1, dim2)
    place = shape.diagonal(_positions(a), offset, dim1, dim2)
    return _replaced("diagonal_scatter", a, part, source, place)


@named
def select_scatter(a: Core, source: Core, dim: int, index: int) -> Tensor:
    """x with one element of an axis replaced

    >>> gu.select_scatter(gu.zeros(3), gu.tensor(5.0), 0, 1).tolist()
    [0.0, 5.0, 0.0]
    """
    part = shape.select(a, dim, index)
    return _replaced("select_scatter", a, part, source, shape.select(_positions(a), dim, index))


@named
def slice_scatter(
    a: Core, source: Core, dim: int = 0, start: int | None = None, end: int | None = None,
    step: int = 1,
) -> Tensor:  # fmt: skip
    """x with the elements start:end:step of an axis replaced

    >>> gu.slice_scatter(gu.zeros(4), gu.ones(2), step=2).tolist()
    [1.0, 0.0, 1.0, 0.0]
    """
    d = check_dim("slice_scatter", dim, a.ndim)
    if step < 1:
        raise ValueError(f"slice_scatter: the step is positive, not {step}" + at_line())
    key = (*(slice(None),) * d, slice(start, end, step))
    place = indexing.getitem(_positions(a), key)
    return _replaced("slice_scatter", a, indexing.getitem(a, key), source, place)


@named
def as_strided_scatter(
    a: Core, source: Core, size: Sequence[int], stride: Sequence[int],
    storage_offset: int | None = None,
) -> Tensor:  # fmt: skip
    """x with the elements that as_strided would read replaced, of places read twice by the last

    >>> gu.as_strided_scatter(gu.zeros(4), gu.ones(2), (2,), (3,)).tolist()
    [1.0, 0.0, 0.0, 1.0]
    """
    part = as_strided(a, size, stride, storage_offset)
    at = as_strided(_positions(a), size, stride, storage_offset)
    return _replaced("as_strided_scatter", a, part, source, at)
