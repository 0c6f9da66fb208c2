"""Writes the function that copies one panel of a contraction's operand into a thread's own memory,
right before the tiles that read it: what it writes is still near when they do.

Must not know what the contraction computes.
"""

from __future__ import annotations

import functools

from ..ir.node import make
from .builder import Operand
from .expression import Binding
from .kernel import Access, Contraction, Pack, Panel
from .operations import storage_type
from .pack import PackWriter
from .room import RoomWriter

AHEAD = 12  # terms: what is copied that many later is asked for now


class PanelWriter(RoomWriter):
    """The function that copies the columns from %n0 on."""

    def __init__(self, kernel: Contraction, panel: Panel, name: str) -> None:
        super().__init__(kernel, kernel.b, name, ["n0"], kernel.width)
        self.p = panel
        self.source: Access = panel.source.arg
        self.from_ = dict(self.source.terms)
        self.s = storage_type(panel.source.dtype)
        self.t = storage_type(kernel.hole.dtype)
        self.writer = PackWriter(self.e, self._pack())
        self.width = self.writer.w

    def _pack(self) -> Pack:
        """The copy of one vector of columns, in the words of another room."""
        k, p = self.k, self.p
        extents = dict(k.k)
        return Pack(
            source=self.source.pointer, offset=0, target=p.room, outer=(),
            row=tuple((extents[v], self.to[v]) for v in p.run), row_step=1,
            lane=(k.n[1], self.from_[k.n[0]]), panel=(p.columns, 0),
            element=make("hole", p.source.dtype, (), (), 0), stored=k.hole,
            pairs=False, normal=False, width=k.width,
        )  # fmt: skip

    def text(self) -> str:
        """The function's IR text."""
        e, f, k = self.e, self.f, self.k
        e.bindings[k.n[0]] = Binding("%n0", 0, e.scopes[0])
        loops = [i for i, (v, _) in enumerate(k.k) if v in self.from_]
        n, columns = int(k.n[1]), self.p.columns  # type: ignore[arg-type]
        whole, rest = divmod(n, columns)
        inside = f.less("%n0", whole * columns) if whole and rest else "true"
        if whole:
            f.when(inside, functools.partial(self.rows, loops, "0", columns))
        if rest:
            ragged = f.put(f"icmp sge i64 %n0, {whole * columns}") if whole else "true"
            f.when(ragged, functools.partial(self.rows, loops, "0", rest))
        return f.text(linkage="internal ")

    def rows(self, loops: list[int], at: Operand, columns: int) -> None:
        """The loops over terms; `at`: where this one's row lies in the panel."""
        e, f = self.e, self.f
        if not loops:
            self.turned(at, columns) if self.p.run else self.straight(at, columns)
            return
        variable = self.k.k[loops[0]][0]
        lo, hi = self.ends(loops[0])
        go_on = functools.partial(self.rows, loops[1:])

        def body(iv: Operand, _: list[Operand]) -> None:
            scope = e.open(f.region)
            e.bindings[variable] = Binding(iv, 0, scope)
            go_on(f.add(at, f.mul(f.sub(iv, lo), e.word(self.stride(variable)))), columns)
            e.close()

        if variable not in self.p.run:
            f.counted(lo, hi, 1, body)
            return
        if len(self.p.run) == 1:
            self.writer.rows = f.sub(hi, lo)
        e.open(f.region)
        e.bindings[variable] = Binding(str(lo), 0, e.scope)
        go_on(at, columns)
        e.close()

    def address(self) -> Operand:
        """Of the source's element at the current bindings."""
        e = self.e
        position, _, _, _ = e.position(self.source, None)
        return self.f.gep(e.pointer(self.source.pointer), position.name, self.s)

    def straight(self, at: Operand, columns: int) -> None:
        """One term's columns, which lie together in the source."""
        f, w = self.f, self.width
        a, b = self.address(), f.gep("%room", at, self.t)
        last = next(v for v, _ in reversed(self.k.k) if v in self.from_)
        ahead = f.mul(self.e.word(self.from_[last]), AHEAD)
        f.declare("void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        for j in range(0, columns, 64 // self.p.source.dtype.itemsize):
            there = f.put(f"getelementptr {self.s}, ptr {f.gep(a, j, self.s)}, i64 {ahead}")
            f.do(f"call void @llvm.prefetch.p0(ptr {there}, i32 0, i32 3, i32 1)")
        for j in range(0, columns, w):
            mask = None
            if columns - j < w:
                bits = ["true" if i < columns - j else "false" for i in range(w)]
                mask = "<" + ", ".join(f"i1 {b}" for b in bits) + ">"
            x = self.writer.load(f.gep(a, j, self.s), mask)
            self.writer.put(x, f.gep(b, j, self.t), None)

    def turned(self, at: Operand, columns: int) -> None:
        """All terms of the run, turned in registers, a vector of columns at a time."""
        f, w = self.f, self.width
        a, b = self.address(), f.gep("%room", at, self.t)
        step = self.e.word(self.from_[self.k.n[0]])

        def vector(j: Operand, _: list[Operand], left: Operand | None = None) -> None:
            self.e.open(f.region)
            here = f.gep(a, f.mul(j, step), self.s)
            self.writer.transposed(here, f.gep(b, j, self.t), left, None)
            self.e.close()

        whole = columns // w * w
        f.counted(0, whole, w, vector)
        if whole < columns:
            vector(str(whole), [], str(columns - whole))
