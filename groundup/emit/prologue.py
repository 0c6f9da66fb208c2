"""Writes the function that computes a part of a contraction's operand into a thread's own memory,
right before the tiles that read it: the tensor that it is a part of is nowhere whole.

Must not know what the contraction computes of it.
"""

from __future__ import annotations

import functools

from ..ir.transform import toposort
from .builder import Operand
from .expression import Binding
from .finish import CHAINS
from .kernel import Contraction, Prologue
from .operations import Writer, convert, storage_type
from .reduction import lane_mask
from .room import RoomWriter


class PrologueWriter(RoomWriter):
    """The function that computes %count rows or columns from %first on."""

    def __init__(self, kernel: Contraction, prologue: Prologue, name: str) -> None:
        columns = prologue.loop is kernel.n[0]
        self.dtype = kernel.hole.dtype
        self.width = kernel.width if self.dtype.bits <= 32 else kernel.width // 2
        operand = kernel.b if columns else kernel.a
        super().__init__(kernel, operand, name, ["first", "count"], self.width)
        self.p, self.loop = prologue, prologue.loop
        self.along = self.loop if columns else kernel.k[-1][0]
        # Other loads are the same for each row or column.
        self.loads = [
            n for n in toposort([prologue.body])
            if n.op == "load" and dict(n.arg.terms).get(self.loop, 0) != 0
        ]  # fmt: skip

    def text(self) -> str:
        """The function's IR text."""
        e, f = self.e, self.f
        loops = [i for i, (v, _) in enumerate(self.k.k) if v is not self.along]
        if self.along is self.loop:
            self.terms(loops, "0")
            return f.text(linkage="internal ")

        def row(i: Operand, _: list[Operand]) -> None:
            e.bindings[self.loop] = Binding(f.add("%first", i), 0, e.open(f.region))
            self.terms(loops, f.mul(i, e.word(self.stride(self.loop))))
            e.close()

        f.counted("0", "%count", 1, row)
        return f.text(linkage="internal ")

    def terms(self, loops: list[int], at: Operand) -> None:
        """The loops over terms but the vectorised one; `at`: where this one lies in the room."""
        e, f = self.e, self.f
        if not loops:
            self.vectors(at)
            return
        variable = self.k.k[loops[0]][0]
        lo, hi = self.ends(loops[0])

        def body(iv: Operand, _: list[Operand]) -> None:
            e.bindings[variable] = Binding(iv, 0, e.open(f.region))
            self.terms(loops[1:], f.add(at, f.mul(f.sub(iv, lo), e.word(self.stride(variable)))))
            e.close()

        f.counted(lo, hi, 1, body)

    def vectors(self, at: Operand) -> None:
        """Elements that lie together: some vectors side by side, then one by one, then the rest."""
        e, f, w = self.e, self.f, self.width
        if self.along is self.loop:
            base, count = "%first", "%count"
        else:
            lo, hi = self.ends(len(self.k.k) - 1)
            base, count = str(lo), f.sub(hi, lo)

        def vector(i: Operand, mask: Operand | None) -> None:
            scope = e.open(f.region, mask)
            e.bindings[self.along] = Binding(f.add(base, i), w, scope)
            value = e.emit(self.p.body)
            if self.p.ahead is None:
                self.ask_ahead()
            x = convert(Writer(f, f.region, w), value.dtype, self.dtype, e.widen(value, w))
            there = f.gep("%room", f.add(at, i), self.dtype.llvm)
            # The room has place for whole vectors.
            f.do(f"store <{w} x {self.dtype.llvm}> {x}, ptr {there}, align {self.dtype.itemsize}")
            e.close()

        def some(n: int, i: Operand, _: list[Operand]) -> None:
            f.interleaved([functools.partial(vector, f.add(i, j * w), None) for j in range(n)])

        first: Operand | int = 0
        for n in (CHAINS, 1):
            step = n * w
            whole = f.mul(f.div(count, step), step)
            f.counted(first, whole, step, functools.partial(some, n))
            first = whole
        left = f.less(first, count)
        if left != "false":
            f.when(left, lambda: vector(str(first), lane_mask(e, str(first), count, w)))

    def ask_ahead(self) -> None:
        """Ask for what the next part is computed from, at the same place: it comes while the tiles
        are summed."""
        e, f = self.e, self.f
        f.declare("void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        for load in self.loads:
            steps = dict(load.arg.terms)
            position, _, _, _ = e.position(load.arg, None)
            after = f.add(position.name, f.mul("%count", e.word(steps[self.loop])))
            t = storage_type(load.dtype)
            at = f.put(f"getelementptr {t}, ptr {e.pointer(load.arg.pointer)}, i64 {after}")
            f.do(f"call void @llvm.prefetch.p0(ptr {at}, i32 0, i32 2, i32 1)")
