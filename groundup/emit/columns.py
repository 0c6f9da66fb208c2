"""Writes a `Nest` whose reductions run down columns: over the rows of what they read, while vectors
lie along a row.

The reductions' loops are outside the loop along the row, so that memory is read in the order in
which it lies; the running values of a block of columns wait in a small array. Each column's terms
are combined in the order that its expression fixes, as everywhere. Must not know why this form was
chosen.
"""

from __future__ import annotations

from collections.abc import Callable

from ..ir.node import Node, red
from ..ir.transform import toposort
from .builder import Operand
from .deal import deal, size
from .expression import Binding, Emitter, Value
from .kernel import Nest
from .nest import write_outputs
from .reduction import Reduction, combined, lane_mask, nest, renamed

BLOCK = 1024  # columns whose running values wait together
ROWS = 4  # terms that join a running value for each time it is loaded

Step = Callable[[Operand], None]


class ColumnsWriter:
    """The loops: blocks of columns, rows, steps along the columns of a block."""

    def __init__(self, e: Emitter, kernel: Nest) -> None:
        self.e, self.k = e, kernel
        bodies = [output.body for output in kernel.outputs]
        self.sums = [Reduction(e, n) for n in toposort(bodies) if n.op == "reduce"]
        self.column, extent = kernel.loops[-1]
        self.n = size(e, extent)
        in_lanes = any(r.in_lanes for r in self.sums)
        self.slots = kernel.width if in_lanes else 1
        self.block = kernel.columns if in_lanes else max(BLOCK, kernel.columns)
        self.rows = 1 if in_lanes else ROWS
        room = self.slots * self.block
        self.arrays = [
            e.fn.put(f"alloca [{room} x {r.dtype.llvm}], align 64", e.fn.root) for r in self.sums
        ]

    def parallel(self) -> None:
        """Deal out the outer loops together with the blocks of columns."""
        e, f, k = self.e, self.e.fn, self.k
        leading = k.loops[:-1]
        block: Operand | int = self.block
        if not leading and self.block > k.columns:  # as many blocks as threads, at least
            steps = self._up(self.n, f.mul(k.columns, "%nthreads"))
            block = f.smin(block, f.smax(f.mul(steps, k.columns), k.columns))

        def body(places: list[Operand]) -> None:
            start = f.mul(places[0], block)
            self.one_block(start, f.smin(f.add(start, block), self.n))

        deal(e, leading, body, (self._up(self.n, block),))

    def _up(self, a: Operand | int, b: Operand | int) -> Operand:
        """a / b, rounded up."""
        f = self.e.fn
        return f.div(f.add(a, f.sub(b, 1)), b)

    def one_block(self, start: Operand, end: Operand) -> None:
        self.clear(self.e.fn.sub(end, start))
        *outer, (last, extent) = self.sums[0].variables
        count = size(self.e, extent)

        def rows(_: list[Operand]) -> list[Operand]:
            f = self.e.fn
            whole = f.mul(f.div(count, self.rows), self.rows)
            f.counted(0, _number(whole), self.rows,
                      lambda iv, _: self.some_rows(last, iv, self.rows, start, end))  # fmt: skip
            if self.rows > 1:
                f.counted(_number(whole), count, 1,
                          lambda iv, _: self.some_rows(last, iv, 1, start, end))  # fmt: skip
            return []

        nest(self.e, outer, [], rows)
        self.finish(start, end)

    def clear(self, columns: Operand) -> None:
        """Start the running values of a block."""
        f, lanes = self.e.fn, self.k.columns
        end: Operand | int = columns if self.slots == 1 else self.slots * self.block

        def body(at: Operand, _: list[Operand]) -> None:
            for r, array in zip(self.sums, self.arrays, strict=True):
                t = self.e.type_of(r.dtype, lanes)
                place = f.gep(array, at, r.dtype.llvm)
                f.do(f"store {t} {r.initial(lanes)}, ptr {place}, align {r.dtype.itemsize}")

        f.counted(0, end, lanes, body)

    def steps(self, start: Operand, end: Operand, write: Step) -> None:
        """`write(offset in the block)` for each step along the columns of a block."""
        e, f, lanes = self.e, self.e.fn, self.k.columns
        whole = f.add(start, f.put(f"and i64 {f.sub(end, start)}, {-lanes}"))

        def step(at: Operand, masked: bool) -> None:
            mask = lane_mask(e, at, end, lanes) if masked else None
            scope = e.open(f.region, mask)
            e.bindings[self.column] = Binding(at, lanes, scope)
            write(f.sub(at, start))
            e.close()

        f.counted(start, whole, lanes, lambda at, _: step(at, False))
        f.counted(whole, end, lanes, lambda at, _: step(at, True))

    def some_rows(
        self, last: Node, iv: Operand, count: int, start: Operand, end: Operand
    ) -> None:
        """A few terms of every running value of a block."""
        e, f = self.e, self.e.fn
        scope = e.open(f.region)
        names = [last] + [red(-1 - i) for i in range(1, count)]
        for i, name in enumerate(names):
            e.bindings[name] = Binding(f.add(iv, i), 0, scope)
        slot = f.put(f"and i64 {iv}, {self.slots - 1}") if self.slots > 1 else "0"
        base = f.mul(slot, self.block)
        terms = [[r if name is last else r.along(renamed(r.body, last, name)) for name in names]
                 for r in self.sums]  # fmt: skip

        def write(offset: Operand) -> None:
            lanes = self.k.columns
            for parts, array in zip(terms, self.arrays, strict=True):
                r = parts[0]
                t, align = e.type_of(r.dtype, lanes), r.dtype.itemsize
                place = f.gep(array, f.add(base, offset), r.dtype.llvm)
                value = f.put(f"load {t}, ptr {place}, align {align}")
                for part in parts:
                    value = part.term(value, lanes)
                f.do(f"store {t} {value}, ptr {place}, align {align}")

        self.steps(start, end, write)
        e.close()

    def finish(self, start: Operand, end: Operand) -> None:
        """The sums of a block become its outputs."""
        e, f, lanes = self.e, self.e.fn, self.k.columns

        def write(offset: Operand) -> None:
            for r, array in zip(self.sums, self.arrays, strict=True):
                t, align = e.type_of(r.dtype, lanes), r.dtype.itemsize
                parts = []
                for slot in range(self.slots):
                    place = f.gep(array, f.add(offset, slot * self.block), r.dtype.llvm)
                    parts.append(f.put(f"load {t}, ptr {place}, align {align}"))
                e.memo[r.node] = Value(combined(r, parts, lanes), r.node.dtype, lanes, e.scope)
                e.scope.memo.append(r.node)
            write_outputs(e, self.k.outputs)

        self.steps(start, end, write)


def _number(x: Operand) -> Operand | int:
    return x if x[0] == "%" else int(x)
