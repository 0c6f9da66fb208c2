"""What an error of this floor says: the operation, both shapes lined up, the user's line.

Also finds that line. Must not know what an operation computes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from math import isfinite
from operator import index
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..ir.dtype import DType

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class ShapeError(RuntimeError):
    """Shapes that do not fit an operation."""


class JitError(RuntimeError):
    """A function that cannot be captured, or whose capture could not be trusted."""


class NoValue(RuntimeError):
    """A value that was asked for where a function is written for all elements of a batch."""


class LinAlgError(RuntimeError):
    """A matrix for which what was asked does not exist: a singular one has no inverse."""


class GradError(RuntimeError):
    """A derivative that cannot be taken, or a write that would make one wrong."""


class AnomalyError(FloatingPointError, RuntimeError):
    """An operation made a NaN or an infinity, inside `gu.detect_anomaly()`; `origin`: which, in one
    line."""

    def __init__(self, message: str, origin: str = "") -> None:
        super().__init__(message)
        self.origin = origin or message


def user_line() -> str | None:
    """'file:line' of the innermost frame outside the package, or None."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith(_PACKAGE):
            return f"{name}:{frame.f_lineno}"
        frame = frame.f_back
    return None


def at_line() -> str:
    """The user's line with its text, as the last line of an error."""
    return line_text(user_line())


def line_text(line: str | None) -> str:
    """A line of the user's ('file:line') with its text, as the last line of an error."""
    if line is None:
        return ""
    import linecache

    name, _, number = line.rpartition(":")
    text = linecache.getline(name, int(number)).strip()
    return f"\n  at {line}" + (f":  {text}" if text else "")


def computed_at(line: str | None) -> str:
    """Where a value was computed, as the last lines of an error about what is done to it."""
    return "\n  it was computed" + line_text(line) if line is not None else ""


Marks = int | Mapping[str, int]  # an axis, or one of some shapes, by name; the last is 1


def lined_up(marks: Marks = 0, /, **shapes: Sequence[int]) -> str:
    """Shapes under one another, each axis under that which broadcasting compares it with, and marks
    as `picture` draws them."""
    return picture(shapes, marks)


def picture(shapes: Mapping[str, Sequence[int]], marks: Marks = 0) -> str:
    """A line for each shape, axes under one another, counted from the right; a ^ under one axis,
    counted from the right, 1 the last (0: none), or under the axis named for each shape."""
    ndim = max(map(len, shapes.values()))
    columns = [
        max(len(str(int(s[-axis]))) for s in shapes.values() if len(s) >= axis)
        for axis in range(ndim, 0, -1)
    ]
    name = max(map(len, shapes))
    lines = []

    def mark(axis: int) -> None:
        if 0 < axis <= ndim:
            at = 1 + sum(width + 2 for width in columns[: ndim - axis]) + columns[ndim - axis]
            lines.append(f"  {'':<{name}}  {'^':>{at}}")

    each = [0 if isinstance(marks, int) else marks.get(key, 0) for key in shapes]
    last = marks if isinstance(marks, int) else 0
    for (key, shape), axis, after in zip(shapes.items(), each, [*each[1:], last], strict=True):
        lines.append(f"  {key:<{name}}  {_row(shape, columns)}")
        mark(axis if axis != after else 0)  # one is enough for both
    mark(last)
    return "".join("\n" + line for line in lines)


def differing(a: Sequence[int], b: Sequence[int], but: int | None = None) -> int:
    """The first axis, counted from the right, in which two shapes differ (0: in none), an axis
    counted from the left apart."""
    for axis in range(1, max(len(a), len(b)) + 1):
        if axis > min(len(a), len(b)):
            return axis
        if a[-axis] != b[-axis] and len(a) - axis != but:
            return axis
    return 0


def _row(shape: Sequence[int], columns: Sequence[int]) -> str:
    """A shape as Python writes a tuple, its sizes right-aligned in columns."""
    lead = len(columns) - len(shape)
    if not shape:
        return f"{'()':>{sum(width + 2 for width in columns)}}"
    text = " " * sum(width + 2 for width in columns[:lead])
    text += ", ".join(
        f"{f'({int(s)}' if i == 0 else int(s):>{width + (i == 0)}}"
        for i, (s, width) in enumerate(zip(shape, columns[lead:], strict=True))
    )
    return text + (",)" if len(shape) == 1 else ")")


def shape_text(shape: Sequence[int]) -> str:
    """A shape as Python writes a tuple."""
    return "(" + ", ".join(str(int(s)) for s in shape) + ("," if len(shape) == 1 else "") + ")"


def cannot_broadcast(operation: str, shapes: Sequence[Sequence[int]]) -> ShapeError:
    """The error of operands whose shapes do not broadcast: both lined up, the axis named."""
    names = "abcdefgh"
    sizes: set[int] = set()
    axis = 1
    for axis in range(1, max(map(len, shapes)) + 1):
        sizes = {int(s[-axis]) for s in shapes if len(s) >= axis} - {1}
        if len(sizes) > 1:
            break
    listed = " and ".join(str(s) for s in sorted(sizes))
    return ShapeError(
        f"{operation}: shapes do not fit: counted from the right, axis {axis} has sizes {listed}"
        + picture({names[i]: s for i, s in enumerate(shapes)}, axis)
        + "\n  sizes must be equal, or one of them 1 (unsqueeze adds such an axis)"
        + at_line()
    )


def cannot_enlarge(operation: str, left: Sequence[int], right: Sequence[int]) -> ShapeError:
    """The error of a write in place whose result is larger than what it is written into."""
    for axis in range(1, len(right) + 1):
        if axis > len(left) or (left[-axis] == 1 != right[-axis]):
            break
    has = "no such axis" if axis > len(left) else "size 1 there"
    return ShapeError(
        f"{operation} cannot enlarge its left side: counted from the right, axis {axis} of the "
        f"right side has size {int(right[-axis])}, and the left side has {has}"
        + picture({"left": left, "right": right}, axis)
        + "\n  write x = x … to make a new tensor"
        + at_line()
    )


def bad_dim(operation: str, dim: int, ndim: int) -> IndexError:
    """The error of an axis that a tensor does not have."""
    if ndim == 0:
        allowed = "the tensor is 0-d: it has no axis (-1 and 0 are accepted)"
    else:
        allowed = f"a tensor of {ndim} axes has dim from {-ndim} to {ndim - 1}"
    return IndexError(f"{operation}: dim {dim} is out of range: {allowed}" + at_line())


def check_types(operation: str, a: DType, b: DType) -> None:
    """Raise TypeError unless two operands are of one type."""
    if a is not b:
        raise TypeError(
            f"{operation}: one type expected, not {a.name} and {b.name}; write b.to(a.dtype)"
            + at_line()
        )


def check_fits(value: object, dtype: DType) -> None:
    """Raise OverflowError for a Python integer that no integer type holds, beside one that is."""
    if type(value) is int and dtype.is_int and not -(2**63) <= value < 2**64:
        raise OverflowError(
            f"{value} is more than 64 bits hold, and the operation is made in {dtype.name}; write "
            f"float({value}), or convert the tensor with .double()" + at_line()
        )


def check_holds(value: object, dtype: DType) -> None:
    """Raise OverflowError for a number that is to be kept in an integer type which does not hold
    it. A negative one counts down from the greatest of an unsigned type, as in C: −1 is 255."""
    if not dtype.is_int or not isinstance(value, int | float):
        return
    most = 2 ** (dtype.bits - (dtype.kind == "i")) - 1
    least = -most - 1 if dtype.kind == "i" else -most
    if not (isfinite(value) and least <= int(value) <= most):
        first = 0 if dtype.kind == "u" else least
        raise OverflowError(
            f"{value} is none of the numbers that {dtype.name} holds, {first} to {most}; give "
            f"another dtype" + at_line()
        )


def whole_number(operation: str, name: str, value: object) -> int:
    """An argument that is a whole number, as one; raises TypeError for any other."""
    try:
        return index(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise TypeError(
            f"{operation}: {name} is a whole number, not a {type(value).__name__}" + at_line()
        ) from None


def whole_numbers(operation: str, name: str, value: object) -> tuple[int, ...]:
    """An argument that is one whole number or a sequence of some, as several."""
    several = value if isinstance(value, list | tuple) else (value,)
    return tuple([whole_number(operation, name, v) for v in several])


def real_number(operation: str, name: str, value: object) -> float:
    """An argument that is a real number, as it is; raises TypeError for any other."""
    if not isinstance(value, int | float):
        raise TypeError(
            f"{operation}: {name} is a number, not a {type(value).__name__}" + at_line()
        )
    return value


def check_dim(operation: str, dim: Any, ndim: int) -> int:
    """A dim counted from the front; 0-d tensors accept 0 and -1."""
    most = max(ndim, 1)
    number: int = dim if isinstance(dim, int) else whole_number(operation, "dim", dim)
    if not -most <= number < most:
        raise bad_dim(operation, number, ndim)
    return number + most if number < 0 else number
