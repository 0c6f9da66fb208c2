"""How a tensor prints: values in PyTorch's layout.

Must not know derivatives beyond whether there are any.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..ir import dtype as dt
from ..ir.extent import product
from . import storage as store
from .core import Core
from .errors import NoValue, shape_text
from .indexing import host_values

PRECISION = 4  # digits after the point
THRESHOLD = 1000  # elements; more are summarised
EDGE = 3  # elements shown at each end of a summarised axis
WIDTH = 80  # characters


class Format:
    """How each number of one tensor is written, all equally wide."""

    def __init__(self, values: list[Any], floating: bool) -> None:
        self.floating = floating
        self.scientific = self.whole = False
        counted = [v for v in values if v and math.isfinite(v)] if floating else values
        if floating:
            self.whole = all(v == math.floor(v) for v in values if math.isfinite(v))
            if counted:
                most, least = max(map(abs, counted)), min(map(abs, counted))
                self.scientific = most / least > 1000.0 or most > 1e8
                self.scientific |= not self.whole and least < 1e-4
        self.width = max((len(self.one(v)) for v in counted), default=1)

    def one(self, v: Any) -> str:
        if not self.floating:
            return str(v)
        if math.isnan(v):
            return "nan"
        if math.isinf(v):
            return "inf" if v > 0 else "-inf"
        if self.scientific:
            return f"{v:.{PRECISION}e}"
        return f"{v:.0f}." if self.whole else f"{v:.{PRECISION}f}"

    def padded(self, v: Any) -> str:
        return f"{self.one(v):>{self.width}}"


def show(a: Core) -> str:
    """tensor(…) with values, dtype where it is not the default, and whether it is tracked."""
    if store.tracer is not None:
        return f"tensor(…, shape={shape_text(a._shape)}, dtype={a.dtype!r}, being captured)"
    try:
        values = host_values(a, "print")
    except NoValue:
        return f"tensor(…, shape={shape_text(a._shape)}, dtype={a.dtype!r}, of each element)"
    named = a.dtype not in (dt.float32, dt.int64, dt.bool_) or (
        not values and a.dtype is not dt.float32
    )
    floating = a.dtype.is_float
    text = nested(a._shape, values, lambda picked: Format(picked, floating))
    return f"tensor({text}{ending(a, named, a._leaf is not None)})"


def ending(a: Core, named: bool, leaf: bool) -> str:
    """What stands behind the values: the size of none, the dtype if it is to be named, whether
    derivatives are asked for."""
    extra = ""
    if product(a._shape) == 0 and a._shape != (0,):
        extra += f", size={shape_text(a._shape)}"
    if named:
        extra += f", dtype={a.dtype!r}"
    if leaf:
        extra += ", requires_grad=True"
    elif a.tracked():
        extra += ", grad_fn=<…>"
    return extra


class Cells(Protocol):
    """How each number of one tensor is written."""

    width: int

    def one(self, v: Any) -> str:
        """A number by itself."""

    def padded(self, v: Any) -> str:
        """A number as wide as the others."""


def nested(sizes: Sequence[int], values: list[Any], formatted: Callable[[list[Any]], Cells]) -> str:
    """Values in the nested brackets of a shape, the middle of long axes left out."""
    shape = tuple(int(s) for s in sizes)
    summary = len(values) > THRESHOLD
    picked = values
    if summary:
        picked = [values[p] for p in _corner(shape)]
    fmt = formatted(picked)
    if not shape:
        return fmt.one(values[0])
    if not values:
        return "[]"
    strides = [math.prod(shape[d + 1 :]) for d in range(len(shape))]

    def level(axis: int, offset: int) -> str:
        indent = " " * (len("tensor([") + axis)
        places: list[int | None] = list(range(shape[axis]))
        if summary and shape[axis] > 2 * EDGE:
            places = [*range(EDGE), None, *range(shape[axis] - EDGE, shape[axis])]
        if axis == len(shape) - 1:
            cells = [" ..." if p is None else fmt.padded(values[offset + p]) for p in places]
            per_line = max(1, (WIDTH - len(indent) + 1) // (fmt.width + 2))
            lines = [cells[i : i + per_line] for i in range(0, len(cells), per_line)]
            return "[" + f",\n{indent}".join(", ".join(line) for line in lines) + "]"
        parts = [
            "..." if p is None else level(axis + 1, offset + p * strides[axis]) for p in places
        ]
        return "[" + (",".ljust(len(shape) - axis, "\n") + indent).join(parts) + "]"

    return level(0, 0)


def _corner(shape: tuple[int, ...]) -> list[int]:
    """The positions of the elements that a summary shows."""
    places = [0]
    for size in shape:
        own = list(range(size)) if size <= 2 * EDGE else [*range(EDGE), *range(size - EDGE, size)]
        places = [p * size + i for p in places for i in own]
    return places
