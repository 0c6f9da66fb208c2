"""LLVM IR and assembly of kernels, with what belongs to an axis marked.

Must not know how kernels are written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

from ..emit import expression, llvm
from ..emit.kernel import Kernel
from ..ir.node import Node
from ..runtime import assembly
from .text import mark

_VALUE = re.compile(r"%[\w.]+")
_DEFINE = re.compile(r"define .*@([\w.]+)\(")
_PHI = re.compile(r"(%i\w+) = phi")
_BLOCK = re.compile(r"^([\w.]+):")
_NUMBER = re.compile(r"(?:loop|body|exit)(\d+)")
_HEADER = re.compile(r"Header=(BB\d+_\d+)")


class Code:
    """One kernel's IR and assembly; `axes`: the name of each loop variable."""

    def __init__(self, kernel: Kernel) -> None:
        seen: dict[tuple[str, str], Node] = {}
        expression.noted = seen
        try:
            self.ir = llvm.emit(kernel)
        finally:
            expression.noted = None
        self.seen = seen

    def marked_ir(self, axes: Mapping[Node, str]) -> str:
        """The IR, each value that holds a loop variable marked."""
        lines, function = [], ""
        for line in self.ir.split("\n"):
            found = _DEFINE.search(line)
            function = found[1] if found else function
            names = partial(self._marked, function, axes)
            lines.append(_VALUE.sub(names, line))
        return "\n".join(lines)

    def _marked(self, function: str, axes: Mapping[Node, str], match: re.Match[str]) -> str:
        text = match[0]
        base = text.removesuffix(".next").removesuffix(".more")
        variable = self.seen.get((function, base))
        name = axes.get(variable) if variable is not None else None
        return mark(name, text) if name else text

    def loops(self, axes: Mapping[Node, str]) -> dict[str, str]:
        """The axis of each loop that walks one, by the number in its labels."""
        found: dict[str, str] = {}
        function = block = ""
        for line in self.ir.split("\n"):
            head = _DEFINE.search(line)
            if head:
                function = head[1]
            start = _BLOCK.match(line)
            if start:
                block = start[1]
            phi = _PHI.search(line)
            number = _NUMBER.match(block)
            if phi and number and (function, phi[1]) in self.seen:
                name = axes.get(self.seen[function, phi[1]])
                if name:
                    found.setdefault(number[1], name)
        return found

    def assembly(self) -> str:
        """The assembly, with LLVM's comments on blocks and loops."""
        return assembly(self.ir, comments=True)

    def marked_assembly(self, axes: Mapping[Node, str]) -> str:
        """The assembly; each line of a loop that walks an axis begins with a mark of it."""
        loops = self.loops(axes)
        blocks: list[tuple[str, list[str]]] = [("", [])]
        for line in self.assembly().split("\n"):
            label = re.match(r"\.L(BB\d+_\d+):", line) or re.match(r"# %(bb\.\d+):", line)
            if label:
                blocks.append((label[1], []))
            if not re.match(r"\s*\.(file|section|p2align|type|globl|size|ident)", line):
                blocks[-1][1].append(line)
        axis: dict[str, str] = {}
        for name, lines in blocks:
            head = "\n".join(line for line in lines if "#" in line)
            number = _NUMBER.search(head)
            if "Loop Header" in head and number and number[1] in loops:
                axis[name] = loops[number[1]]
        result = []
        for name, lines in blocks:
            inside = _HEADER.search("\n".join(lines))
            here = axis.get(name) or (axis.get(inside[1]) if inside else None)
            gutter = mark(here, "▌") if here else " "
            result += [gutter + _neat(x) for x in lines if not _NOTE.match(x)]
        return "\n".join(result)


_NOTE = re.compile(r"\s+#|\s*$")  # a line that holds a comment alone, or nothing


def _neat(line: str) -> str:
    """A line of assembly in narrow columns."""
    code, mark_, comment = line.partition("#")
    parts = code.strip().split("\t", 1)
    text = f"  {parts[0]:<11} {parts[1]}" if len(parts) > 1 else code.strip()
    if line.startswith("\t") and len(parts) == 1:
        text = "  " + text
    return f"{text}  # {comment.strip()}" if mark_ and text else text or f"# {comment.strip()}"
