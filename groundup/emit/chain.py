"""Writes a `Chain` kernel: other kernels as functions, and the loops over blocks of rows that call
them, each with an argument block of its own.

What the parts tell each other lies in scratch memory of the thread. Must not know what they
compute.
"""

from __future__ import annotations

from .builder import Function, Operand, module
from .contraction import ContractionWriter
from .deal import size
from .expression import Emitter
from .kernel import Chain, Fill, Nest, Part
from .nest import SIGNATURE, carefully, nest_function


def emit_chain(kernel: Chain, name: str) -> str:
    """The kernel as a module of LLVM IR text."""
    texts: list[str] = []
    declared: dict[str, None] = {}
    functions: dict[object, str] = {}
    for _, _, _, parts in kernel.kinds:
        for part in parts:
            if part.kernel in functions:
                continue
            own = functions[part.kernel] = f"{name}.{len(functions)}"
            fn = _function(part, own)
            texts.append(fn.text(linkage="internal "))
            declared.update(fn.declared)
    main = Function(name, SIGNATURE)
    e = Emitter(main, 1)
    carefully(e, kernel.careful, _ChainWriter(e, kernel, functions).write)
    return module([*texts, main.text()], {**declared, **main.declared})


def _function(part: Part, name: str) -> Function:
    if isinstance(part.kernel, Nest):
        return nest_function(part.kernel, name)
    fn = Function(name, SIGNATURE)
    ContractionWriter(Emitter(fn, part.kernel.width), part.kernel).write()
    return fn


class _ChainWriter:
    def __init__(self, e: Emitter, kernel: Chain, functions: dict[object, str]) -> None:
        self.e, self.k, self.f, self.functions = e, kernel, e.fn, functions
        self.now: dict[int | str, Operand | int] = {}  # values that words are filled with

    def write(self) -> None:
        """Deal the units (or their blocks) out to the threads that have scratch memory."""
        f, k = self.f, self.k
        threads = f.smin("%nthreads", k.slots)
        f.when(f.less("%tid", threads), lambda: self.share(threads))

    def share(self, threads: Operand) -> None:
        e, f, k = self.e, self.f, self.k
        e.open(f.region)
        at = f.mul("%tid", k.room)
        self.scratch = f.put(f"ptrtoint ptr {f.gep(e.pointer(k.scratch), at, 'i8')} to i64")
        self.blocks = [self.arguments(parts) for _, _, _, parts in k.kinds]
        sizes = [size(e, s) for s in k.units]
        count = sum(blocks for _, _, blocks, _ in k.kinds)
        total: Operand | int = 1 if k.together else count
        for s in sizes:
            total = f.mul(total, s)
        lo = f.div(f.mul(total, "%tid"), threads)
        hi = f.div(f.mul(total, f.add("%tid", 1)), threads)

        def unit(t: Operand, _: list[Operand]) -> None:
            e.open(f.region)
            rest = t
            block = "0"
            if not k.together:
                block, rest = f.rem(rest, count), f.div(rest, count)
            for i in reversed(range(len(sizes))):
                self.now[i] = f.rem(rest, sizes[i]) if i else rest
                rest = f.div(rest, sizes[i]) if i else rest
            if k.together:
                self.every_block()
            else:
                self.one_block(block)
            e.close()

        f.counted(lo, hi, 1, unit)
        e.close()

    def every_block(self) -> None:
        """All blocks of a unit, in order."""
        f, k = self.f, self.k
        for i, (start, rows, blocks, _) in enumerate(k.kinds):
            ends = [i == 0, i == len(k.kinds) - 1]

            def block(b: Operand, _: list[Operand], i: int = i, start: int = start,
                      rows: int = rows, blocks: int = blocks, ends: list[bool] = ends) -> None:
                self.e.open(f.region)
                first = f.put(f"icmp eq i64 {b}, 0") if ends[0] else "false"
                last = f.put(f"icmp eq i64 {b}, {blocks - 1}") if ends[1] else "false"
                self.run(i, f.add(f.mul(b, rows), start), first, last)
                self.e.close()

            f.counted(0, blocks, 1, block)

    def one_block(self, number: Operand) -> None:
        """Block `number` of a unit."""
        f, before = self.f, 0
        for i, (start, rows, blocks, _) in enumerate(self.k.kinds):
            local = f.sub(number, before)
            inside = f.put(f"icmp ult i64 {local}, {blocks}") if len(self.k.kinds) > 1 else "true"

            def run(i: int = i, local: Operand = local, start: int = start,
                    rows: int = rows) -> None:
                self.e.open(f.region)
                self.run(i, f.add(f.mul(local, rows), start), "true", "true")
                self.e.close()

            f.when(inside, run)
            before += blocks

    # ---- argument blocks -------------------------------------------------------------------------

    def arguments(self, parts: tuple[Part, ...]) -> list[Operand]:
        """An argument block for each part, with the words that stay as they are."""
        f = self.f
        made = []
        for part in parts:
            room = f.put(f"alloca [{len(part.fills)} x i64], align 8", f.root)
            for i, fill in enumerate(part.fills):
                if not fill.terms:
                    self.fill(room, i, fill)
            made.append(room)
        return made

    def fill(self, room: Operand, i: int, fill: Fill) -> None:
        f, e = self.f, self.e
        x: Operand | int = self.scratch if fill.scratch else 0
        if fill.base is not None:
            x = e.word(fill.base)
        x = f.add(x, fill.offset)
        for what, scale in fill.terms:
            x = f.add(x, f.mul(self.now[what], e.word(scale)))
        f.do(f"store i64 {x}, ptr {f.gep(room, i, 'i64')}, align 8")

    def run(self, kind: int, row: Operand, first: Operand, last: Operand) -> None:
        """All parts on one block of rows."""
        f = self.f
        _, rows, _, parts = self.k.kinds[kind]
        flags = [f.put(f"zext i1 {x} to i64") for x in (first, last)]
        self.now.update(row=row, rows=rows, first=flags[0], last=flags[1])
        for part, room in zip(parts, self.blocks[kind], strict=True):
            for i, fill in enumerate(part.fills):
                if fill.terms:
                    self.fill(room, i, fill)
            f.do(f"call void @{self.functions[part.kernel]}(ptr {room}, i64 0, i64 1)")
