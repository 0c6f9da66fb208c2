"""A function beside a contraction's own that fills a thread's own memory, its *room*, with what
some tiles read of an operand, right before them: what it writes is still near when they do.

Must not know what it is filled with (see panel.py: copies; prologue.py: computed elements).
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir.node import Node
from .builder import Function, Operand
from .deal import size
from .expression import Binding, Emitter
from .kernel import Contraction, Stride

Clip = list[tuple[Operand | int, Operand | int]]  # first and end of reduction loops in blocks


class RoomWriter:
    """The function `name`. Its arguments: the kernel's own, where to write, some numbers, the outer
    loops' values, first and end of each reduction loop that runs in blocks."""

    def __init__(
        self, kernel: Contraction, operand: Node, name: str, numbers: Sequence[str], width: int
    ) -> None:
        """operand: the load of the room; its strides say where an element goes."""
        self.k, self.name = kernel, name
        self.blocks = 0 if kernel.block is None else kernel.block[0] + 1
        args = ["ptr %args", "ptr %room", *(f"i64 %{x}" for x in numbers)]
        args += [f"i64 %o{i}" for i, _ in enumerate(kernel.outer)]
        args += [f"i64 %{end}{i}" for i in range(self.blocks) for end in ("lo", "hi")]
        self.f = Function(name, ", ".join(args), "nounwind noinline")
        self.e = Emitter(self.f, width)
        self.to: dict[Node, Stride] = dict(operand.arg.terms)
        for i, (v, _) in enumerate(kernel.outer):
            self.e.bindings[v] = Binding(f"%o{i}", 0, self.e.scopes[0])

    def call(
        self, f: Function, room: Operand, numbers: Sequence[Operand], outer: list[Operand],
        clip: Clip,
    ) -> None:  # fmt: skip
        """Write a call of it into another function."""
        args = ["ptr %args", f"ptr {room}", *(f"i64 {x}" for x in (*numbers, *outer))]
        args += [f"i64 {end}" for ends in clip for end in ends]
        f.do(f"call void @{self.name}({', '.join(args)})")

    def ends(self, loop: int) -> tuple[Operand | int, Operand | int]:
        """First and end of a reduction loop, as far as this call goes."""
        if loop < self.blocks:
            return f"%lo{loop}", f"%hi{loop}"
        return 0, size(self.e, self.k.k[loop][1])

    def stride(self, variable: Node) -> Stride:
        """How many elements of the room lie between two values of a loop."""
        return self.to.get(variable, 0)
