"""Where an index from data was written, for the error that is found only when a graph runs.

Kept beside reads and checks (`Node.site`), worded when there is an error and not before. Holds text
alone: no tensor lives longer for it. Must not know how a graph runs.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from ..ir.outside import OutOfRange
from .errors import line_text, lined_up, user_line


class Argument(NamedTuple):
    """An argument of a public operation that holds indices."""

    operation: str
    call: str  # as a user writes it
    name: str  # of the argument, as it stands in the call
    table: str  # what the indices are positions of
    instead: str = ""  # what helps beside a look at them
    below: bool = False  # negative ones are none, and reach the kernel as the axis' size
    back: bool = False  # negative ones count from the back

    def drawn(self) -> str:
        """The call with the argument underlined."""
        head, _, _ = self.call.partition("(" if "(" in self.call else "[")
        at = self.call.index(self.name, len(head))
        return f"\n  {self.call}\n  {' ' * at}{'^' * len(self.name)}"

    def site(self, axis: int = 0) -> Written:
        """Where a user wrote it, for an axis."""
        return Written({axis: self.drawn()}, self.table, user_line(), self.back, self)


class Written:
    """The place of the indices of one read, or of one check."""

    __slots__ = ("argument", "axis", "back", "drawn", "index", "line", "table")

    def __init__(
        self, drawn: Mapping[int, str], table: str, line: str | None, back: bool,
        argument: Argument | None = None, index: Mapping[int, str] | None = None,
        axis: str | None = None,
    ) -> None:  # fmt: skip
        """drawn: for each axis whose index comes from data, what was written, that underlined.

        table: what the tensor is called. index: the text of each index. axis: the name of the axis
        of the result that an index goes to, where it reads nothing.
        """
        self.drawn, self.table, self.line, self.back = drawn, table, line, back
        self.argument, self.index, self.axis = argument, index or {}, axis

    def message(self, error: OutOfRange) -> str:
        """What is wrong, what was written, what to write instead, the user's line."""
        size, index = int(error.size), error.index
        if self.back and index < 0:
            index -= size
        if self.axis is not None:
            where, picture = f"axis {self.axis} of size {size}", ""
        else:
            where = f"axis {error.axis} of {self.table}, of shape {error.shape}"
            picture = lined_up(len(error.shape) - error.axis, **{self.table: error.shape})
        valid = f"valid are 0 to {size - 1}" if size else "it has no position"
        if self.back and size:
            valid += f", and from the back -1 to {-size}"
        if self.argument is not None and self.argument.below and index == size:
            valid += f" (a negative one shows as {size})"
        name = "" if self.argument is None else f"{self.argument.operation}: "
        return (
            f"{name}index {index} is out of range for {where}: {valid}"
            + self._of(self.drawn, error.axis, "")
            + picture
            + f"\n  {self._instead(error.axis, index, size)}"
            + line_text(self.line)
        )

    def _of(self, texts: Mapping[int, str], axis: int, default: str) -> str:
        """The text of an axis (of the only one, where axes are others after a change of views)."""
        if axis not in texts and len(texts) == 1:
            (axis,) = texts
        return texts.get(axis, default)

    def _instead(self, axis: int, index: int, size: int) -> str:
        if self.argument is not None:
            name = self._of(self.index, axis, self.argument.name)
            look = f"look first: (({name} >= 0) & ({name} < {size})).all()"
            return f"{look}; {self.argument.instead}" if self.argument.instead else look
        written = self._of(self.index, axis, "index")
        asks = f"{written} < {size}" if index >= 0 else f"{written} >= {-size if self.back else 0}"
        if self.axis is not None:
            return f"write gu.where({asks}, {written}, 0) for the index and 0 for its term"
        return (
            f"gu.where({asks}, {self.table}[…], value) reads only where the condition holds; "
            f"gu.outside({self.table}, value)[…] gives reads beyond the edge a value"
        )


class _State(threading.local):
    given: Argument | None = None


_state = _State()


@contextmanager
def argument(of: Argument) -> Iterator[None]:
    """What is indexed inside is indexed by this argument of the operation that the user called; the
    outermost such block counts."""
    before = _state.given
    _state.given = before or of
    try:
        yield
    finally:
        _state.given = before


@contextmanager
def table(name: str) -> Iterator[None]:
    """What is indexed inside, by the argument that a block around names, is this tensor."""
    before = _state.given
    _state.given = before and before._replace(table=name)
    try:
        yield
    finally:
        _state.given = before


def given() -> Argument | None:
    """The argument that a block around names."""
    return _state.given


def indexed(by: Argument, axis: int = 0) -> Written:
    """The place of an index that is an argument, unless a block around names another."""
    return (_state.given or by).site(axis)


_KEY = Argument("x[index]", "x[index]", "index", "x", back=True)


def of_key(axes: Sequence[int], ndim: int) -> Written:
    """The place of a key with index tensors for some axes, in their order."""
    if _state.given is not None:
        return _state.given.site(axes[0])
    parts = [":"] * ndim
    for n, axis in enumerate(axes):
        parts[axis] = "index" if len(axes) == 1 else f"index{n}"
    while parts[-1] == ":":
        parts.pop()
    text, drawn, names = f"x[{', '.join(parts)}]", {}, {}
    for axis in axes:
        at = 2 + sum(len(part) + 2 for part in parts[:axis])
        drawn[axis] = f"\n  {text}\n  {' ' * at}{'^' * len(parts[axis])}"
        names[axis] = parts[axis]
    return Written(drawn, "x", user_line(), True, _KEY, names)
