"""What the functions of this room check before they compute, and how their errors are worded.

Must not know what any of them computes.
"""

from __future__ import annotations

from typing import Any

from groundup.tensor import Tensor, storage
from groundup.tensor.errors import Marks, ShapeError, at_line, differing, lined_up
from groundup.tensor.indexing import check_range
from groundup.tensor.mode import state

Several = int | tuple[int, ...]  # one number for every axis, or one for each
Single = Several  # one axis
Pair = Several  # two axes
Triple = Several  # three axes

_WORD = {1: "a tuple of one", 2: "a pair of ints", 3: "a triple of ints"}


def several(value: Several, name: str, count: int, least: int = 1) -> tuple[int, ...]:
    """One number for each of `count` axes, of an argument that may be one number for all."""
    every = (value,) * count if isinstance(value, int) else tuple(value)
    if len(every) != count or not all(isinstance(v, int) and v >= least for v in every):
        raise ValueError(
            f"{name} is an int or {_WORD[count]}, each at least {least}, not {value}" + at_line()
        )
    return every


def pair(value: Pair, name: str, least: int = 1) -> tuple[int, int]:
    """(vertical, horizontal) of an argument that may be one number for both."""
    vertical, horizontal = several(value, name, 2, least)
    return vertical, horizontal


def shapes_at_line(marks: Marks = 0, /, **shapes: Any) -> str:
    """Shapes under one another, marks under axes that do not fit, and the user's line, as the end
    of an error."""
    return lined_up(marks, **shapes) + at_line()


def same_shape(name: str, x: Tensor, target: Tensor) -> None:
    """Raise ShapeError unless a loss compares tensors of one shape: broadcasting (n, 1) with (n,)
    would give an (n, n) table. Losses are of real numbers: TypeError for complex ones."""
    of_reals(name, x, target)
    if tuple(x.shape) != tuple(target.shape):
        raise ShapeError(
            f"{name}: input and target need the same shape"
            + shapes_at_line(differing(x.shape, target.shape), input=x.shape, target=target.shape)
        )


def one_for_each(name: str, role: str, t: Tensor | None, count: int, what: str) -> None:
    """Raise ShapeError unless there is one number for each of something."""
    if t is not None and tuple(t.shape) != (count,):
        raise ShapeError(
            f"{name}: {role} has one number for each of {count} {what}, ({count},)"
            + shapes_at_line(1 if t.ndim else 0, **{role: t.shape})
        )


def of_reals(name: str, *operands: Tensor | None) -> None:
    """Raise TypeError for complex operands of a function whose formula says nothing about them."""
    for t in operands:
        if isinstance(t, Tensor) and t.is_complex():
            raise TypeError(
                f"{name} is a function of real numbers, not of {t.dtype.name}; apply it to the "
                f"parts x.real and x.imag, or to x.abs(), whichever is meant" + at_line()
            )


def one_type(name: str, **operands: Any) -> None:
    """Raise TypeError unless the operands are tensors of one dtype: nothing is promoted silently
    where a whole layer would be computed in another precision."""
    for role, t in operands.items():
        if not isinstance(t, Tensor):
            raise TypeError(f"{name}: {role} is a tensor, not {type(t).__name__}" + at_line())
    dtypes = {role: t.dtype.name for role, t in operands.items()}
    if len(set(dtypes.values())) > 1:
        given = ", ".join(f"{role} {dtype}" for role, dtype in dtypes.items())
        raise TypeError(
            f"{name}: one dtype is expected, not {given}; convert the input (x.to(weight.dtype), "
            f"x.float()) or the layer (layer.to(dtype))" + at_line()
        )


def known_indices(indices: Tensor, count: int, role: str, place: str) -> bool:
    """Whether indices can be looked at now; raises IndexError for one that is negative, or not
    below `count`."""
    plural = place + ("es" if place.endswith("s") else "s")
    what = f"{role}s of {count} {plural}"
    return check_range(indices, count, what, back=False) is not None


def values_known() -> bool:
    """May a value be asked for here? Not where a function is captured, or mapped over a batch."""
    return storage.tracing() is None and not state.mapped
