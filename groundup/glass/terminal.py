"""An explanation in a terminal, by rich. Must not know how a stage comes about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from .colours import Colours
from .explanation import BRIEF, HEADS, NAMES, row
from .text import axes_in, pieces

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from .explanation import Explanation

TITLES = {
    "expression": "the expression, as it was written",
    "kernels": "the kernels that it becomes",
    "loops": "their loops",
    "time": "their time",
    "memory": "memory",
    "llvm": "LLVM IR",
    "assembly": "assembly",
}


def rendered(e: Explanation, machine: bool = False) -> Iterator[RenderableType]:
    """The stages as rich shows them; `machine`: also LLVM IR and assembly."""
    marked = {name: e.marked(name) for name in NAMES if name not in ("time", "llvm", "assembly")}
    colours = Colours(axes_in("\n".join(marked.values())))
    for name in NAMES if machine else NAMES[:BRIEF]:
        yield Rule(TITLES[name], align="left", style="dim")
        if name == "time":
            yield Padding(times(e), (0, 0, 1, 0))
            continue
        lines = text(marked[name] if name in marked else e.marked(name), colours)
        yield Padding(lines, (0, 0, 1, 0))


def text(marked: str, colours: Colours) -> RenderableType:
    """Lines with each axis in its colour, comments dim."""
    return Group(*(_Hanging(line, colours) for line in marked.split("\n")))


class _Hanging:
    """A line; what is too long hangs below it."""

    def __init__(self, marked: str, colours: Colours) -> None:
        self.indent = len(marked) - len(marked.lstrip(" "))
        self.text = _line(marked.lstrip(" "), colours)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = options.max_width - self.indent
        deeper = self.indent + 4
        if room >= self.text.cell_len or options.max_width <= 2 * deeper:
            yield Text(" " * self.indent) + self.text
            return
        first, *rest = self.text.wrap(console, options.max_width - deeper)
        yield Text(" " * self.indent) + first
        yield from (Text(" " * deeper) + line for line in rest)


def _line(marked: str, colours: Colours) -> Text:
    line = Text()
    dim = ""
    for axis, piece in pieces(marked):
        if axis:
            line.append(piece, style=f"bold {colours.of(axis)}")
            continue
        code, mark, rest = piece.partition("# ")
        line.append(code, style=dim)
        if mark:
            dim = "dim"
            line.append(mark + rest, style=dim)
    return line


def times(e: Explanation) -> Table:
    """A row for each step."""
    table = Table(box=None, pad_edge=False)
    for i, head in enumerate(HEADS):
        table.add_column(head, justify="left" if i == 1 else "right", no_wrap=i != 1)
    for i, t in enumerate(e.timings):
        number, what, *rest = row(i, e.what(i), t)
        table.add_row(number, Text(what, no_wrap=True, overflow="ellipsis"), *rest)
    table.add_row("", *e.total())
    return table
