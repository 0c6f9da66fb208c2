"""Writes a `Scan` kernel: running values along one axis, several rows or columns side by side.

Knows loops and one carried value for each row; must not know what the value means.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..ir.node import Node, make
from ..ir.transform import rebuild, toposort
from .builder import Function, Operand, module
from .expression import Binding, Emitter, Value
from .kernel import Access, Scan
from .nest import SIGNATURE, carefully, share, size
from .operations import literal
from .reduction import lane_mask


def emit_scan(kernel: Scan, name: str) -> str:
    """The kernel as a module of LLVM IR text."""
    fn = Function(name, SIGNATURE)
    e = Emitter(fn, kernel.width)
    carefully(e, kernel.careful, _ScanWriter(e, kernel).write)
    return module([fn.text()], fn.declared)


def renamed(body: Node, names: Mapping[Node, Node]) -> Node:
    """The body with other variables, in loads as well."""
    result: dict[Node, Node] = {}
    for node in toposort([body]):
        src = tuple(result[s] for s in node.src)
        if node in names:
            result[node] = names[node]
        elif node.op == "load":
            result[node] = make("load", node.dtype, (), src, moved(node.arg, names))
        elif node.op == "checked":
            result[node] = make("checked", node.dtype, (), src, node.arg)
        else:
            result[node] = rebuild(node, src) if src else node
    return result[body]


def moved(access: Access, names: Mapping[Node, Node]) -> Access:
    """The access with other variables."""
    return access._replace(terms=tuple((names.get(v, v), s) for v, s in access.terms))


class _ScanWriter:
    def __init__(self, e: Emitter, kernel: Scan) -> None:
        self.e, self.k = e, kernel
        self.dtype = kernel.carry.dtype
        self.lanes = kernel.width if kernel.vector else 0
        own = kernel.loops[-1:] if kernel.vector else kernel.loops
        self.names: list[dict[Node, Node]] = [
            {v: make("out", v.dtype, (), (), (c, v.arg)) for v, _ in own}
            for c in range(kernel.copies)
        ]
        for c, names in enumerate(self.names):
            names[kernel.carry] = make("carry", self.dtype, (), (), c)
        self.bodies = [renamed(kernel.output.body, names) for names in self.names]

    def write(self) -> None:
        if self.k.vector:
            self.columns()
        else:
            self.rows()

    # ---- scalar rows side by side --------------------------------------------------------------

    def rows(self) -> None:
        e, f, k = self.e, self.e.fn, self.k
        sizes = [size(e, extent) for _, extent in k.loops]
        total: Operand | int = 1
        for s in sizes:
            total = f.mul(total, s)
        lo, hi = share(e, total)
        some = f.add(lo, f.mul(f.div(f.sub(hi, lo), k.copies), k.copies))

        def several(copies: int) -> None:
            def body(unit: Operand, _: list[Operand]) -> None:
                scope = e.open(f.region)
                for c in range(copies):
                    rest = f.add(unit, c)
                    for (v, _extent), s in reversed(list(zip(k.loops, sizes))[1:]):
                        e.bindings[self.names[c][v]] = Binding(f.rem(rest, s), 0, scope)
                        rest = f.div(rest, s)
                    if k.loops:
                        e.bindings[self.names[c][k.loops[0][0]]] = Binding(rest, 0, scope)
                self.along(copies, None)
                e.close()

            first, last = (lo, some) if copies > 1 else (some, hi)
            f.counted(first, last, copies, body)

        several(k.copies)
        several(1)

    # ---- vectors of columns --------------------------------------------------------------------

    def columns(self) -> None:
        """Deal out blocks of columns, for each value of the loops around them."""
        e, f, k = self.e, self.e.fn, self.k
        *leading, (variable, extent) = k.loops
        n, wide = size(e, extent), k.copies * k.width
        blocks = f.div(f.add(n, wide - 1), wide)
        sizes = [size(e, extent) for _, extent in leading]
        total: Operand | int = blocks
        for s in sizes:
            total = f.mul(total, s)

        def unit(number: Operand, _: list[Operand]) -> None:
            scope = e.open(f.region)
            base = f.mul(f.rem(number, blocks), wide)
            rest = f.div(number, blocks)
            for (v, _extent), s in reversed(list(zip(leading, sizes))[1:]):
                e.bindings[v] = Binding(f.rem(rest, s), 0, scope)
                rest = f.div(rest, s)
            if leading:
                e.bindings[leading[0][0]] = Binding(rest, 0, scope)
            end = f.smin(f.add(base, wide), n)
            whole = f.put(f"icmp eq i64 {f.sub(end, base)}, {wide}")
            f.when(whole, lambda: self.vectors(variable, base, k.copies, None))
            start = f.put(f"select i1 {whole}, i64 {end}, i64 {base}")
            full = f.add(start, f.mul(f.div(f.sub(end, start), k.width), k.width))
            f.counted(start, full, k.width, lambda b, _: self.vectors(variable, b, 1, None))
            f.counted(full, end, k.width, lambda b, _: self.vectors(
                variable, b, 1, lane_mask(e, b, str(n), k.width)))  # fmt: skip
            e.close()

        f.counted(*share(e, total), 1, unit)

    def vectors(self, variable: Node, base: Operand, copies: int, mask: Operand | None) -> None:
        e, f, k = self.e, self.e.fn, self.k
        scope = e.open(f.region, mask)
        for c in range(copies):
            at = f.add(base, c * k.width)
            e.bindings[self.names[c][variable]] = Binding(at, k.width, scope)
        self.along(copies, mask)
        e.close()

    # ---- along the axis ------------------------------------------------------------------------

    def along(self, copies: int, mask: Operand | None) -> None:
        """The loop of the axis, with one running value for each copy."""
        e, f, k = self.e, self.e.fn, self.k
        t = e.type_of(self.dtype, self.lanes)
        text = literal(k.start.value, self.dtype)
        start = f"splat ({self.dtype.llvm} {text})" if self.lanes else text
        n = size(e, k.along[1])
        last = f.sub(n, 1)

        def step(iv: Operand, running: list[Operand]) -> list[Operand]:
            scope = e.open(f.region, mask)
            at = f.sub(last, iv) if k.reverse else iv
            e.bindings[k.along[0]] = Binding(at, 0, scope)
            result = []
            for c, before in enumerate(running):
                carry = self.names[c][k.carry]
                e.memo[carry] = Value(before, self.dtype, self.lanes, scope)
                scope.memo.append(carry)
                value = e.emit(self.bodies[c])
                e.store(value, moved(k.output.access, self.names[c]))
                result.append(e.widen(value, self.lanes))
            e.close()
            return result

        f.counted(0, n, 1, step, [(t, start)] * copies)
