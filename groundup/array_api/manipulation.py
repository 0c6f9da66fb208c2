"""Shapes, and elements put elsewhere, as the array API standard names them.

Must not know arithmetic.
"""

from __future__ import annotations

from groundup.tensor import (
    ShapeError,
    Tensor,
    broadcast_tensors,
    cat,
    movedim,
    repeat_interleave,
)
from groundup.tensor import stack as stacked
from groundup.tensor.errors import at_line, lined_up, whole_numbers
from groundup.tensor.pointwise import broadcast

from .reductions import axes_of, check_axis
from .types import checked, result_type, shape_of


def broadcast_arrays(*arrays: Tensor) -> tuple[Tensor, ...]:
    """All arrays in the shape that they broadcast to"""
    checked("broadcast_arrays", *arrays)
    return tuple(broadcast_tensors(*arrays)) if arrays else ()


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that shapes broadcast to; ValueError if they do not

    >>> broadcast_shapes((3, 1), (2,))
    (3, 2)
    """
    if not shapes:
        return ()
    try:
        return broadcast("broadcast_shapes", *(shape_of("broadcast_shapes", s) for s in shapes))
    except ShapeError as error:
        raise ValueError(str(error)) from None


def broadcast_to(x: Tensor, /, shape: tuple[int, ...]) -> Tensor:
    """x in a larger shape, its axes of size 1 repeated without copying"""
    checked("broadcast_to", x)
    size = shape_of("broadcast_to", shape)
    if any(n < 0 for n in size):
        raise ValueError(f"broadcast_to: sizes are 0 or more, not {shape}" + at_line())
    if size:
        return x.broadcast_to(*(int(n) for n in size))
    if x.ndim:
        raise ShapeError("broadcast_to: the shape () has fewer axes than x" + lined_up(x=x._shape))
    return x.reshape(())


def concat(arrays: tuple[Tensor, ...] | list[Tensor], /, *, axis: int | None = 0) -> Tensor:
    """Arrays one after the other along an axis, in their common type; None: all as one axis"""
    if not isinstance(arrays, list | tuple):
        raise TypeError(
            f"concat takes a tuple or list of arrays, not a {type(arrays).__name__}" + at_line()
        )
    checked("concat", *arrays)
    if not arrays:
        raise ValueError("concat needs an array" + at_line())
    common = result_type(*arrays)
    same = [x if x.dtype is common else x.to(common) for x in arrays]
    if axis is None:
        return cat([x.reshape(-1) for x in same], 0)
    if any(x.ndim != same[0].ndim for x in same):
        shapes = {f"array {i}": x._shape for i, x in enumerate(same)}
        raise ShapeError(
            "concat: arrays differ in their number of axes" + lined_up(**shapes) + at_line()
        )
    return cat(same, check_axis("concat", axis, same[0].ndim))


def expand_dims(x: Tensor, /, axis: int | tuple[int, ...]) -> Tensor:
    """New axes of size 1 at places of the result; IndexError if there is no such place

    >>> expand_dims(gu.ones(2, 3), (0, -1)).shape
    (1, 2, 3, 1)
    """
    checked("expand_dims", x)
    axes = whole_numbers("expand_dims", "axis", axis)
    ndim = x.ndim + len(axes)
    for a in axes:
        if not -ndim <= a < ndim:
            raise IndexError(f"expand_dims: axis {a} of {ndim} axes" + at_line())
    places = sorted(a % ndim for a in axes)
    if len(set(places)) < len(places):
        raise ValueError(f"expand_dims: axis {axis} names a place twice" + at_line())
    for place in places:
        x = x.unsqueeze(place)
    return x


def flip(x: Tensor, /, *, axis: int | tuple[int, ...] | None = None) -> Tensor:
    """Axes, or all of them, in reverse order"""
    checked("flip", x)
    dims = axes_of("flip", x, axis)
    return x.flip(dims) if dims else x.clone()


def matrix_transpose(x: Tensor, /) -> Tensor:
    """The last two axes exchanged"""
    checked("matrix_transpose", x)
    if x.ndim < 2:
        raise ValueError(
            "matrix_transpose takes matrices: two axes or more" + lined_up(x=x._shape) + at_line()
        )
    return x.mT


def moveaxis(
    x: Tensor, source: int | tuple[int, ...], destination: int | tuple[int, ...], /
) -> Tensor:
    """Axes moved to other places; the others keep their order"""
    checked("moveaxis", x)
    return movedim(x, source, destination) if x.ndim else x.reshape(())


def permute_dims(x: Tensor, /, axes: tuple[int, ...]) -> Tensor:
    """The axes in another order"""
    checked("permute_dims", x)
    order = whole_numbers("permute_dims", "axes", axes)
    if sorted(a + x.ndim if a < 0 else a for a in order) != list(range(x.ndim)):
        raise ValueError(f"permute_dims: {axes} is no order of the {x.ndim} axes of x" + at_line())
    return x.permute(*order) if order else x.reshape(())


def repeat(x: Tensor, repeats: int | Tensor, /, *, axis: int | None = None) -> Tensor:
    """Each element, or slice along an axis, several times

    >>> repeat(gu.tensor([1, 2]), 2).tolist()
    [1, 1, 2, 2]
    """
    checked("repeat", x)
    line, dim = (x.reshape(-1), 0) if axis is None else (x, check_axis("repeat", axis, x.ndim))
    if isinstance(repeats, Tensor) and repeats.numel() == 1:
        repeats = int(repeats.item())
    return repeat_interleave(line, repeats, dim)


def reshape(x: Tensor, /, shape: tuple[int, ...], *, copy: bool | None = None) -> Tensor:
    """The same elements in another shape; copy=False raises ValueError where that takes a copy"""
    checked("reshape", x)
    # Others remember shapes from one call to the next: no runtime sizes.
    size = tuple([int(n) for n in shape_of("reshape", shape)])
    if copy:
        return x.clone().reshape(size)
    if copy is None:
        return x.reshape(size)
    try:
        return x.view(size)
    except ShapeError as error:
        raise ValueError(f"reshape(copy=False): {error}") from None


def roll(
    x: Tensor, /, shift: int | tuple[int, ...], *, axis: int | tuple[int, ...] | None = None
) -> Tensor:
    """Elements moved along axes; what leaves at one end comes back at the other"""
    checked("roll", x)
    if axis is None and not isinstance(shift, int):
        raise TypeError(f"roll: shift {shift} needs an axis for each number" + at_line())
    if isinstance(axis, tuple):
        shift = (shift,) * len(axis) if isinstance(shift, int) else shift
        if len(shift) != len(axis):
            raise ValueError(f"roll: {len(shift)} shifts for {len(axis)} axes" + at_line())
        dims = [check_axis("roll", a, x.ndim) for a in axis]
        return x.roll(shift, dims) if dims else x.clone()
    if axis is None:
        return x.roll(shift) if x.ndim else x.clone()
    return x.roll(shift, check_axis("roll", axis, x.ndim))


def squeeze(x: Tensor, /, axis: int | tuple[int, ...]) -> Tensor:
    """x without some axes, whose size must be 1; ValueError if it is not"""
    checked("squeeze", x)
    dims = axes_of("squeeze", x, axis)
    for d in dims:
        if x.shape[d] != 1:
            raise ValueError(
                f"squeeze: axis {d} has size {int(x.shape[d])}, not 1"
                + lined_up(x.ndim - d, x=x._shape)
                + at_line()
            )
    return x.reshape(tuple(n for d, n in enumerate(x.shape) if d not in dims))


def stack(arrays: tuple[Tensor, ...] | list[Tensor], /, *, axis: int = 0) -> Tensor:
    """Arrays of one shape beside each other along a new axis, in their common type"""
    if not isinstance(arrays, list | tuple):
        raise TypeError(
            f"stack takes a tuple or list of arrays, not a {type(arrays).__name__}" + at_line()
        )
    checked("stack", *arrays)
    if not arrays:
        raise ValueError("stack needs an array" + at_line())
    common = result_type(*arrays)
    dim = check_axis("stack", axis, arrays[0].ndim + 1)
    return stacked([x if x.dtype is common else x.to(common) for x in arrays], dim)


def tile(x: Tensor, repetitions: tuple[int, ...], /) -> Tensor:
    """x several times along each axis"""
    checked("tile", x)
    return x.tile(*repetitions) if repetitions else x.clone()


def unstack(x: Tensor, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices along an axis"""
    checked("unstack", x)
    return x.unbind(check_axis("unstack", axis, x.ndim))
