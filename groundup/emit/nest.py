"""Writes a `Nest` kernel: plain loops, vectorised along one of them, dealt out to threads.

Knows loops and bodies; must not know why they were chosen.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from ..ir.transform import toposort
from .builder import Function, Operand, module
from .deal import deal, share, size
from .expression import Binding, Emitter
from .kernel import ROW, Nest, Output, Word
from .reduction import lane_mask

SIGNATURE = "ptr %args, i64 %tid, i64 %nthreads"


def emit_nest(kernel: Nest, name: str) -> str:
    """The kernel as a module of LLVM IR text."""
    fn = nest_function(kernel, name)
    return module([fn.text()], fn.declared)


def nest_function(kernel: Nest, name: str) -> Function:
    """The kernel as a function."""
    fn = Function(name, SIGNATURE)
    write_nest(Emitter(fn, kernel.width), kernel)
    return fn


def write_nest(e: Emitter, kernel: Nest) -> None:
    """The kernel as the body of a function."""
    fn = e.fn
    for node in toposort([output.body for output in kernel.outputs]):
        if node.op == "reduce":
            e.reductions.setdefault(node.arg[1], []).append(node)
    e.ahead = frozenset(kernel.ahead)
    for inside, outside in kernel.kept:
        room = f"[{ROW + kernel.width} x {inside.dtype.llvm}]"
        e.kept.append((inside, outside, fn.put(f"alloca {room}, align 64", fn.root)))
    work: Callable[[], None]
    if kernel.columns:
        from .columns import ColumnsWriter

        work = ColumnsWriter(e, kernel).parallel
    elif kernel.square:
        from .square import SquareWriter

        work = SquareWriter(e, kernel).parallel
    else:
        writer = _NestWriter(e, kernel)
        work = writer.parallel if kernel.parallel else functools.partial(writer.loops, 0)
    carefully(e, kernel.careful, work)
    if any(output.stream for output in kernel.outputs):
        fn.do("fence seq_cst")  # streamed stores are seen before the kernel's end


def carefully(e: Emitter, careful: bool, write: Callable[[], None]) -> None:
    """Write a kernel's work; a careful one does nothing when a check of an earlier step has failed:
    what it would overwrite is kept."""
    if not careful:
        write()
        return
    code = e.fn.put(f"load i64, ptr {e.pointer(Word(0))}, align 8")

    def inside() -> None:
        e.open(e.fn.region)
        write()
        e.close()

    e.fn.when(e.fn.put(f"icmp eq i64 {code}, 0"), inside)


def write_outputs(e: Emitter, outputs: tuple[Output, ...]) -> None:
    """Compute one element (or vector) of each output, then store them all."""
    values = [e.emit(output.body) for output in outputs]
    before = None
    for output, value in zip(outputs, values, strict=True):
        e.stream = output.stream
        if before is not None:
            from .parts import store_both

            (first, early), before = before, None
            store_both(e, (early, value), (first.access, output.access))
        elif output.paired:
            before = output, value
        else:
            e.store(value, output.access)
    e.stream = False


class _NestWriter:
    def __init__(self, e: Emitter, kernel: Nest) -> None:
        self.e, self.k = e, kernel

    def parallel(self) -> None:
        """Deal the leading loops out, flattened into one."""
        e, f, k = self.e, self.e.fn, self.k
        if k.vector == 0:
            n = size(e, k.loops[0][1])
            blocks = f.div(f.add(n, k.width - 1), k.width)
            lo, hi = share(e, blocks)
            self.vector_loop(0, f.mul(lo, k.width), f.smin(f.mul(hi, k.width), n), n)
            return
        deal(e, k.loops[: k.parallel], lambda _: self.loops(k.parallel))

    def loops(self, i: int) -> None:
        """Write loop i and everything inside it."""
        e, f, k = self.e, self.e.fn, self.k
        here = tuple(o for o in k.outputs if len(o.access.terms) == i)
        if here:
            write_outputs(e, here)
        if i == len(k.loops):
            return
        variable, extent = k.loops[i]
        n = size(e, extent)
        if i == k.vector:
            self.vector_loop(i, "0", str(n), n)
            return

        def body(iv: Operand, _: list[Operand]) -> None:
            scope = e.open(f.region)
            e.bindings[variable] = Binding(iv, 0, scope)
            self.loops(i + 1)
            e.close()

        f.counted(0, n, 1, body)

    def vector_loop(self, i: int, lo: Operand, hi: Operand, n: Operand | int) -> None:
        """Whole vectors of loop i in [lo, hi), then one masked vector where the loop ends."""
        e, f, k = self.e, self.e.fn, self.k
        variable, width = k.loops[i][0], k.width

        def block(base: Operand, masked: bool) -> None:
            mask = lane_mask(e, base, str(n), width) if masked else None
            scope = e.open(f.region, mask)
            e.bindings[variable] = Binding(base, width, scope)
            for _, outside, array in e.kept:
                e.recall(outside, array, base)
            self.loops(i + 1)
            e.close()

        full = (
            str(int(n) // width * width) if isinstance(n, int) else f.put(f"and i64 {n}, {-width}")
        )
        known = isinstance(n, int) and lo == "0" and hi == str(n)
        f.counted(
            0 if known else lo, int(full) if known else f.smin(hi, full), width,
            lambda base, _: block(base, False),
        )  # fmt: skip
        if not (isinstance(n, int) and n % width == 0):
            start = int(full) if known else f.smax(lo, full)
            f.counted(start, int(n) if known else hi, width, lambda base, _: block(base, True))
