"""What an error of this floor says: the operation, both shapes lined up, the user's line.

Also finds that line. Must not know what an operation computes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from types import FrameType

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class ShapeError(RuntimeError):
    """Shapes that do not fit an operation."""


class JitError(RuntimeError):
    """A function that cannot be captured, or whose capture could not be trusted."""


class GradError(RuntimeError):
    """A derivative that cannot be taken, or a write that would make one wrong."""


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
    line = user_line()
    if line is None:
        return ""
    import linecache

    name, _, number = line.rpartition(":")
    text = linecache.getline(name, int(number)).strip()
    return f"\n  at {line}" + (f":  {text}" if text else "")


def lined_up(**shapes: Sequence[int]) -> str:
    """Shapes under one another, right-aligned as broadcasting compares them."""
    width = max(len(name) for name in shapes)
    texts = {name: shape_text(shape) for name, shape in shapes.items()}
    most = max(len(text) for text in texts.values())
    return "".join(f"\n  {name:<{width}}  {text:>{most}}" for name, text in texts.items())


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
        + lined_up(**{names[i]: s for i, s in enumerate(shapes)})
        + "\n  sizes must be equal, or one of them 1 (unsqueeze adds such an axis)"
        + at_line()
    )


def bad_dim(operation: str, dim: int, ndim: int) -> IndexError:
    """The error of an axis that a tensor does not have."""
    if ndim == 0:
        allowed = "the tensor is 0-d: it has no axis (-1 and 0 are accepted)"
    else:
        allowed = f"a tensor of {ndim} axes has dim from {-ndim} to {ndim - 1}"
    return IndexError(f"{operation}: dim {dim} is out of range: {allowed}" + at_line())


def check_dim(operation: str, dim: int, ndim: int) -> int:
    """A dim counted from the front; 0-d tensors accept 0 and -1."""
    most = max(ndim, 1)
    if not -most <= dim < most:
        raise bad_dim(operation, dim, ndim)
    return dim + most if dim < 0 else dim
