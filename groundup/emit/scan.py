"""Writes a `Scan` kernel: running values along one axis, several rows or columns side by side.

Knows loops and one carried value for each row; must not know what the value means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..ir.node import Node, make
from ..ir.transform import rebuild, toposort
from .builder import Function, Operand, module
from .deal import deal, digits, product, share, size
from .expression import Binding, Emitter, Value
from .kernel import Access, Scan
from .nest import SIGNATURE, carefully
from .operations import literal
from .reduction import lane_mask
from .square import transpose


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


def tile_loads(kernel: Scan) -> list[Node] | None:
    """The loads that a tile turns: contiguous along the axis, one row each. None where the body
    needs anything else of a row."""
    rows = {v for v, _ in kernel.loops}
    along = kernel.along[0]
    moving: list[Node] = []
    stride = dict(kernel.output.access.terms).get(along)
    if not rows or stride != 1 or kernel.carry.dtype.kind == "b":
        return None
    for node in toposort([kernel.output.body]):
        if node in rows or node.op in ("checked", "reduce"):
            return None
        if node.op == "load":
            terms = dict(node.arg.terms)
            if kernel.carry in toposort(node.src):  # only read where the element before says so
                return None
            if terms.get(along) == 1 and not node.arg.computed and node.dtype.kind != "b":
                moving.append(node)
            elif along in terms or rows & terms.keys() or node.src:
                return None
    return moving


class _ScanWriter:
    def __init__(self, e: Emitter, kernel: Scan) -> None:
        self.e, self.k, self.f = e, kernel, e.fn
        self.dtype = kernel.carry.dtype
        self.lanes = kernel.width if kernel.vector else 0
        own = kernel.loops[-1:] if kernel.vector else kernel.loops
        self.side = kernel.width // (2 if self.dtype.bits == 64 else 1)  # of a tile
        self.moving = None if kernel.vector else tile_loads(kernel)
        self.names: list[dict[Node, Node]] = [
            {v: make("out", v.dtype, (), (), (c, v.arg)) for v, _ in own}
            for c in range(kernel.copies if self.moving is None else self.side)
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
        lo, hi = share(e, product(f, sizes))

        def several(copies: int, lo: Operand, run: Callable[[int], None]) -> Operand:
            """Rows from lo on, so many at once, as long as there are so many."""

            def body(unit: Operand, _: list[Operand]) -> None:
                scope = e.open(f.region)
                for c in range(copies):
                    for (v, _extent), place in zip(k.loops, digits(f, f.add(unit, c), sizes)):
                        e.bindings[self.names[c][v]] = Binding(place, 0, scope)
                run(copies)
                e.close()

            end = f.add(lo, f.mul(f.div(f.sub(hi, lo), copies), copies))
            f.counted(lo, end, copies, body)
            return end

        if self.moving is not None:
            lo = several(self.side, lo, self.tiles)
        lo = several(min(k.copies, self.side), lo, lambda copies: self.along(copies, None))
        several(1, lo, lambda copies: self.along(copies, None))

    # ---- tiles of rows and steps -----------------------------------------------------------------

    def tiles(self, side: int) -> None:
        """Rows side by side as the lanes of vectors: elements are read and written along the rows,
        and turned in between, a square tile at a time."""
        f, k = self.f, self.k
        n = size(self.e, k.along[1])
        full = f.put(f"and i64 {n}, {-side}") if isinstance(n, str) else int(n) // side * side
        t = self.e.type_of(self.dtype, side)
        start = f"splat ({self.dtype.llvm} {literal(k.start.value, self.dtype)})"

        def whole(base: Operand, carried: list[Operand]) -> list[Operand]:
            at = f.sub(f.sub(full, side), base) if k.reverse else base
            return [self.tile(at, carried[0], None)]

        def rest(base: Operand, carried: list[Operand]) -> list[Operand]:
            return [self.tile(base, carried[0], lane_mask(self.e, base, str(n), side))]

        if k.reverse:
            (start,) = f.counted(full, n, side, rest, [(t, start)])
        (start,) = f.counted(0, full, side, whole, [(t, start)])
        if not k.reverse:
            f.counted(full, n, side, rest, [(t, start)])

    def tile(self, base: Operand, running: Operand, mask: Operand | None) -> Operand:
        """One tile from step `base` on; steps outside the mask do not count."""
        e, f, k, side = self.e, self.f, self.k, self.side
        assert self.moving is not None
        e.open(f.region, mask)
        columns: dict[Node, list[Operand]] = {}
        for load in self.moving:
            rows = []
            for names in self.names:
                scope = e.open(f.region, mask)
                e.bindings[k.along[0]] = Binding(base, side, scope)
                rows.append(e.widen(e.emit(renamed(load, names)), side))
                e.close()
            columns[load] = transpose(f, rows, side, load.dtype.llvm)
        results = [running] * side
        t = e.type_of(self.dtype, side)
        for j in reversed(range(side)) if k.reverse else range(side):
            scope = e.open(f.region)
            e.bindings[k.along[0]] = Binding(f.add(base, j), 0, scope)
            known = {load: Value(c[j], load.dtype, side, scope) for load, c in columns.items()}
            known[k.carry] = Value(running, self.dtype, side, scope)
            for node, value in known.items():
                e.memo[node] = value
                scope.memo.append(node)
            results[j] = e.widen(e.emit(k.output.body), side)
            if mask is None:
                running = results[j]
            else:
                here = f.put(f"extractelement <{side} x i1> {mask}, i64 {j}")
                running = f.put(f"select i1 {here}, {t} {results[j]}, {t} {running}")
            e.close()
        turned = transpose(f, results, side, self.dtype.llvm)
        for names, row in zip(self.names, turned, strict=True):
            scope = e.open(f.region, mask)
            e.bindings[k.along[0]] = Binding(base, side, scope)
            e.store(Value(row, self.dtype, side, scope), moved(k.output.access, names))
            e.close()
        e.close()
        return running

    # ---- vectors of columns --------------------------------------------------------------------

    def columns(self) -> None:
        """Deal out blocks of columns, for each value of the loops around them."""
        e, f, k = self.e, self.e.fn, self.k
        *leading, (variable, extent) = k.loops
        n, wide = size(e, extent), k.copies * k.width
        blocks = f.div(f.add(n, wide - 1), wide)

        def unit(places: list[Operand]) -> None:
            base = f.mul(places[0], wide)
            end = f.smin(f.add(base, wide), n)
            whole = f.put(f"icmp eq i64 {f.sub(end, base)}, {wide}")
            f.when(whole, lambda: self.vectors(variable, base, k.copies, None))
            start = f.put(f"select i1 {whole}, i64 {end}, i64 {base}")
            full = f.add(start, f.mul(f.div(f.sub(end, start), k.width), k.width))
            f.counted(start, full, k.width, lambda b, _: self.vectors(variable, b, 1, None))
            f.counted(full, end, k.width, lambda b, _: self.vectors(
                variable, b, 1, lane_mask(e, b, str(n), k.width)))  # fmt: skip

        deal(e, leading, unit, (blocks,))

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
