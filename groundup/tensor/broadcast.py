"""How shapes broadcast, to be looked at: sizes under one another, and which axes are copied.

Must not know operations: these shapes are compared as every pointwise one compares them.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from .core import Core
from .errors import at_line, picture
from .pointwise import broadcast
from .shape import broadcast_to, sizes
from .show import Format

_LETTERS = "abcdefgh"
GRID = 8  # rows and columns of a result whose cells are shown


class Broadcast:
    """How some shapes broadcast; `str` draws it.

    shape: that of the result. copied: for each operand, the axes of the result along which it is
    repeated, without being stored again.
    """

    def __init__(self, operands: Sequence[Core | tuple[int, ...]]) -> None:
        shapes = [tuple(o._shape) if isinstance(o, Core) else o for o in operands]
        if len(shapes) > len(_LETTERS):
            raise ValueError(f"at most {len(_LETTERS)} operands, not {len(shapes)}" + at_line())
        self._operands = operands
        self._names = dict(zip(_LETTERS, shapes))
        self.shape = broadcast("explain_broadcast", *shapes)
        ndim = len(self.shape)
        self.copied = tuple(
            tuple(
                axis for axis in range(ndim)
                if self.shape[axis] != 1 and _size(shape, axis - ndim) == 1
            )
            for shape in shapes
        )  # fmt: skip

    def __str__(self) -> str:
        lines = picture({**self._names, "result": self.shape})[1:].split("\n")
        width = max(map(len, lines))
        for i, axes in enumerate(self.copied):
            if axes:
                along = ", ".join(f"axis {axis} ({self.shape[axis]} times)" for axis in axes)
                lines[i] = f"{lines[i]:<{width}}  repeated along {along}"
        return "\n".join(lines + self._grids())

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def _grids(self) -> list[str]:
        """The cells of each tensor that is repeated, as a spreadsheet shows them: what is stored,
        and what only seems to be there in brackets."""
        rows, columns = ([1, 1, *map(int, self.shape)])[-2:]
        if len(self.shape) > 2 or max(rows, columns) > GRID or 0 in (rows, columns):
            return []
        lines: list[str] = []
        for name, operand, axes in zip(_LETTERS, self._operands, self.copied):
            if not axes or not isinstance(operand, Core):
                continue
            values = broadcast_to(operand, self.shape).contiguous().reshape(-1).tolist()
            form = Format(values, operand.dtype.is_float)
            lines += ["", f"  {name} as it takes part, (repeated) where nothing is stored:"]
            for r in range(rows):
                cells = []
                for c in range(columns):
                    place = (r, c)[2 - len(self.shape) :]
                    again = any(place[axis] for axis in axes)
                    text = form.one(values[r * columns + c])
                    cells.append(f"{f'({text})' if again else f'{text} ':>{form.width + 2}}")
                lines.append("    " + " ".join(cells).rstrip())
        return lines


def explain_broadcast(*operands: Core | Sequence[int] | int) -> Broadcast:
    """How shapes line up: each axis under those it is compared with, counted from the right.

    operands: tensors, or shapes. An axis that an operand lacks, or has with size 1, is repeated to
    the others' size; one copy is stored (see `x.storage_info()`). Raises ShapeError where sizes
    differ, with the same picture and a mark under the axis.

    >>> print(gu.explain_broadcast((256, 256, 3), (3,)))
      a       (256, 256, 3)
      b                 (3,)  repeated along axis 0 (256 times), axis 1 (256 times)
      result  (256, 256, 3)
    >>> print(gu.explain_broadcast(gu.tensor([[10], [20]]), gu.tensor([1, 2, 3])))
      a       (2, 1)   repeated along axis 1 (3 times)
      b          (3,)  repeated along axis 0 (2 times)
      result  (2, 3)
    <BLANKLINE>
      a as it takes part, (repeated) where nothing is stored:
         10  (10) (10)
         20  (20) (20)
    <BLANKLINE>
      b as it takes part, (repeated) where nothing is stored:
         1   2   3
        (1) (2) (3)
    """
    if not operands:
        raise TypeError("explain_broadcast needs tensors or shapes" + at_line())
    return Broadcast([o if isinstance(o, Core) else _shape(o) for o in operands])


def _shape(value: Any) -> tuple[int, ...]:
    shape = tuple(int(s) for s in sizes([value]))
    if any(s < 0 for s in shape):
        raise ValueError(f"sizes are 0 or more: {shape}" + at_line())
    return shape


def _size(shape: Sequence[int], axis: int) -> int:
    return int(shape[axis]) if -axis <= len(shape) else 1


__all__ = ["Broadcast", "explain_broadcast"]
