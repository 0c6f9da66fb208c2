"""LLVM IR and assembly of kernels, with what belongs to an axis marked.

Must not know how kernels are written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial

from ..emit import expression, llvm
from ..emit.kernel import Chain, Kernel
from ..ir.node import Node
from ..runtime import assembly
from .text import mark

_VALUE = re.compile(r"%[\w.]+")
_DEFINE = re.compile(r"define .*@([\w.]+)\(")
_PHI = re.compile(r"%i\w+ = phi")
_SET = re.compile(r"\s*(%[\w.]+) = ")
_BLOCK = re.compile(r"(loop|body|exit)(\d+):")
_NUMBER = re.compile(r"(?:loop|body|exit)(\d+)")
_HEADER = re.compile(r"Header=(BB\d+_\d+)")


BARS = 2  # beside a line of assembly, at most
Axes = Callable[[str], Mapping[Node, str]]


class Code:
    """One kernel's IR and assembly; `axes`: the name of each loop variable of a function."""

    def __init__(self, kernel: Kernel) -> None:
        seen: dict[tuple[str, str], Node] = {}
        expression.noted = seen
        try:
            self.ir = llvm.emit(kernel)
        finally:
            expression.noted = None
        self.seen = seen

    def marked_ir(self, axes: Axes) -> str:
        """The IR, each value that holds a loop variable marked."""
        lines, function = [], ""
        for line in self.ir.split("\n"):
            found = _DEFINE.search(line)
            function = found[1] if found else function
            names = partial(self._marked, function, axes)
            lines.append(_VALUE.sub(names, line))
        return "\n".join(lines)

    def _marked(self, function: str, axes: Axes, match: re.Match[str]) -> str:
        text = match[0]
        base = text.removesuffix(".next").removesuffix(".more")
        variable = self.seen.get((function, base))
        name = axes(function).get(variable) if variable is not None else None
        return mark(name, text) if name else text

    def loops(self, axes: Axes) -> dict[tuple[str, str], tuple[str, ...]]:
        """The axes of each loop that walks any, by its function and the number in its labels: one,
        or those of the tiles that it walks."""
        found: dict[tuple[str, str], tuple[str, ...]] = {}
        tiles: dict[tuple[str, str], tuple[str, ...]] = {}
        function, inside = "", list[str]()  # the loops that a line is in
        for line in self.ir.split("\n"):
            head, block = _DEFINE.search(line), _BLOCK.match(line)
            if head:
                function, inside = head[1], []
            if block and block[1] == "loop":
                inside.append(block[2])
            elif block and block[2] in inside:
                del inside[inside.index(block[2]) + (block[1] == "body") :]
            value = _SET.match(line)
            variable = self.seen.get((function, value[1])) if value else None
            name = axes(function).get(variable) if variable is not None else None
            if name and inside:
                here = found if _PHI.search(line) else tiles
                known = here.get((function, inside[-1]), ())
                here[function, inside[-1]] = known if name in known else (*known, name)
        return {**tiles, **found}

    def assembly(self) -> str:
        """The assembly, with LLVM's comments on blocks and loops."""
        return assembly(self.ir, comments=True)

    def marked_assembly(self, axes: Axes) -> str:
        """The assembly; each line of a loop that walks an axis begins with a mark of it."""
        loops = self.loops(axes)
        blocks: list[tuple[str, list[str]]] = [("", [])]
        for line in self.assembly().split("\n"):
            label = re.match(r"\.L(BB\d+_\d+):", line) or re.match(r"# %(bb\.\d+):", line)
            if label:
                blocks.append((label[1], []))
            if not re.match(r"\s*\.(file|section|p2align|type|globl|size|ident)", line):
                blocks[-1][1].append(line)
        axis: dict[str, tuple[str, ...]] = {}
        function = ""
        for name, lines in blocks:
            begins = re.search(r"# @([\w.]+)", "\n".join(lines))
            head = "\n".join(line for line in lines if "#" in line)
            number = _NUMBER.search(head)
            if "Loop Header" in head and number and (function, number[1]) in loops:
                axis[name] = loops[function, number[1]]
            function = begins[1] if begins else function
        result = []
        for name, lines in blocks:
            inside = _HEADER.search("\n".join(lines))
            here = axis.get(name) or (axis.get(inside[1], ()) if inside else ())
            gutter = "".join(mark(x, "▌") for x in here[:BARS]) + " " * (BARS - len(here))
            result += [gutter + _neat(x) for x in lines if not _NOTE.match(x)]
        return "\n".join(result)


def parts_of(kernel: Chain) -> dict[str, int]:
    """The part of a chain that each function of its module is (see emit/chain.py)."""
    functions: dict[object, str] = {}
    found: dict[str, int] = {}
    for _, _, _, parts in kernel.kinds:
        for i, part in enumerate(parts):
            name = functions.setdefault(part.kernel, f"{llvm.SYMBOL}.{len(functions)}")
            found.setdefault(name, i)
    return found


_NOTE = re.compile(r"\s+#|\s*$")  # a line that holds a comment alone, or nothing


def _neat(line: str) -> str:
    """A line of assembly in narrow columns."""
    code, mark_, comment = line.partition("#")
    parts = code.strip().split("\t", 1)
    text = f"  {parts[0]:<11} {parts[1]}" if len(parts) > 1 else code.strip()
    if line.startswith("\t") and len(parts) == 1:
        text = "  " + text
    return f"{text}  # {comment.strip()}" if mark_ and text else text or f"# {comment.strip()}"
