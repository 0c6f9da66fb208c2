"""Writes a `Nest` some of whose loads lie together along another loop than its results do: a
transposition, with whatever else its body computes.

The two loops are walked in squares as wide as a vector. Such loads are read along their own loop,
turned in registers, and kept in a small array until the rows of the square are computed. Must not
know why this form was chosen.
"""

from __future__ import annotations

from ..ir.node import Node
from ..ir.transform import toposort
from .builder import Function, Operand
from .deal import deal, size
from .expression import Binding, Emitter, Value
from .kernel import Nest
from .nest import write_outputs
from .reduction import lane_mask


class SquareWriter:
    """The loops: squares of the last two loops, the rows of a square."""

    def __init__(self, e: Emitter, kernel: Nest) -> None:
        self.e, self.k, self.w = e, kernel, kernel.width
        (self.row, rows), (self.lane, lanes) = kernel.loops[-2:]
        self.rows, self.lanes = size(e, rows), size(e, lanes)
        self.turned = [
            n for n in toposort([output.body for output in kernel.outputs])
            if turns(n, self.row, self.lane)
        ]  # fmt: skip
        self.arrays = [
            e.fn.put(f"alloca [{self.w} x {self.type_of(n)}], align 64", e.fn.root)
            for n in self.turned
        ]

    def type_of(self, load: Node) -> str:
        return self.e.type_of(load.dtype, self.w)

    def parallel(self) -> None:
        """Deal the squares out, along the results' rows first."""
        e, f, k, w = self.e, self.e.fn, self.k, self.w
        down, across = (f.div(f.add(n, w - 1), w) for n in (self.rows, self.lanes))

        def body(places: list[Operand]) -> None:
            row, lane = (f.mul(place, w) for place in places)
            inside = f.put(f"icmp sle i64 {f.add(lane, w)}, {self.lanes}")
            below = f.put(f"icmp sle i64 {f.add(row, w)}, {self.rows}")
            whole = f.put(f"and i1 {inside}, {below}")
            f.when(whole, lambda: self.square(row, lane, True))
            f.when(f.put(f"xor i1 {whole}, true"), lambda: self.square(row, lane, False))

        deal(e, k.loops[:-2], body, (down, across))

    def square(self, row: Operand, lane: Operand, whole: bool) -> None:
        """One square; one that is not whole ends with the loops."""
        e, f, w = self.e, self.e.fn, self.w
        e.open(f.region)
        across = None if whole else lane_mask(e, lane, str(self.lanes), w)
        down = None if whole else lane_mask(e, row, str(self.rows), w)
        for load, array in zip(self.turned, self.arrays, strict=True):
            vectors = []
            for i in range(w):
                scope = e.open(f.region, down)
                # Lanes beyond the end repeat the last one: nobody uses them.
                at = f.add(lane, i) if whole else f.smin(f.add(lane, i), f.sub(self.lanes, 1))
                e.bindings[self.row] = Binding(row, w, scope)
                e.bindings[self.lane] = Binding(at, 0, scope)
                vectors.append(e.widen(e.emit(load), w))
                e.close()
            t, align = self.type_of(load), w * load.dtype.itemsize
            for i, x in enumerate(transpose(f, vectors, w, load.dtype.llvm)):
                f.do(f"store {t} {x}, ptr {f.gep(array, i, t)}, align {align}")

        def one(j: Operand, _: list[Operand]) -> None:
            scope = e.open(f.region, across)
            e.bindings[self.row] = Binding(f.add(row, j), 0, scope)
            e.bindings[self.lane] = Binding(lane, w, scope)
            for load, array in zip(self.turned, self.arrays, strict=True):
                t, align = self.type_of(load), w * load.dtype.itemsize
                name = f.put(f"load {t}, ptr {f.gep(array, j, t)}, align {align}")
                e.memo[load] = Value(name, load.dtype, w, scope)
                scope.memo.append(load)
            write_outputs(e, self.k.outputs)
            e.close()

        f.counted(0, w if whole else f.smin(f.sub(self.rows, row), w), 1, one)
        e.close()


def turns(node: Node, row: Node, lane: Node) -> bool:
    """Is this a load that lies together along `row` and apart along `lane`?"""
    if node.op != "load" or node.src or node.dtype.kind == "b":
        return False
    terms = dict(node.arg.terms)
    together = 1 if node.arg.part < 0 else 2
    return terms.get(row) == together and terms.get(lane, 0) not in (0, together)


def transpose(f: Function, rows: list[Operand], w: int, t: str) -> list[Operand]:
    """w vectors of w elements, transposed in log w stages of exchanges at distance 1, 2, 4, …"""
    vt = f"<{w} x {t}>"

    def pick(a: Operand, b: Operand, index: list[int]) -> Operand:
        lanes = ", ".join(f"i32 {i}" for i in index)
        return f.put(f"shufflevector {vt} {a}, {vt} {b}, <{w} x i32> <{lanes}>")

    s = 1
    while s < w:
        after = list(rows)
        for i in range(w):
            if not i & s:
                a, b = rows[i], rows[i | s]
                after[i] = pick(a, b, [c if not c & s else w + (c & ~s) for c in range(w)])
                after[i | s] = pick(a, b, [(c | s) if not c & s else w + c for c in range(w)])
        rows = after
        s *= 2
    return rows
