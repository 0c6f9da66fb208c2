"""Writes a `Contraction` kernel: matmul, convolution and their gradients, by one tiled path.

A tile is `rows` × `vectors` running vectors in registers. This room cuts the output into tiles,
walks the reduction's loops; the terms are in `terms`, what is made of the sums in `finish`. Must
not know why the tiles are what they are.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from ..ir import dtype as dt
from ..ir.dtype import DType
from ..ir.node import Node, const
from ..ir.transform import body_nodes, substitute
from . import moves
from .builder import Function, Operand, module
from .deal import product, share, size
from .expression import Binding, Emitter
from .finish import finish_tile
from .kernel import Access, Bound, Contraction, Stride, Word
from .nest import SIGNATURE, carefully
from .operations import Writer, convert, storage_type
from .panel import PanelWriter
from .prologue import PrologueWriter
from .reduction import lane_mask
from .room import RoomWriter


def emit_contraction(kernel: Contraction, name: str) -> str:
    """The kernel as a module of LLVM IR text."""
    fn = Function(name, SIGNATURE)
    e = Emitter(fn, kernel.width)
    carefully(e, kernel.careful, ContractionWriter(e, kernel).write)
    return module([fn.text()], fn.declared)


def split(total: int, tile: int) -> list[tuple[int, int, int]]:
    """Cut `total` into tiles of nearly equal size ≤ tile: (start, size, count) of each kind."""
    count = -(-total // tile)
    base, extra = divmod(total, count)
    kinds = []
    if extra:
        kinds.append((0, base + 1, extra))
    if count - extra:
        kinds.append((extra * (base + 1), base, count - extra))
    return kinds


Rows = tuple[Operand | int, int, Operand | int]  # first row, rows, how many tiles


class ContractionWriter:
    """One kernel being written."""

    def __init__(self, e: Emitter, kernel: Contraction) -> None:
        self.e, self.k, self.f = e, kernel, e.fn
        self.dtype = kernel.hole.dtype
        self.width = kernel.width
        if self.dtype.bits == 64:
            self.width //= 2
        self.vt = e.type_of(self.dtype, self.width)
        self.clip: list[tuple[Operand | int, Operand | int]] = []  # of blocked reduction loops
        self.first: Operand = "true"
        self.last: Operand = "true"
        self.slot: Operand = ""  # where this tile's sums wait between blocks
        self.near: Operand | None = None  # b's panel, as if of all terms
        self.rows: Operand | None = None  # a's computed rows, likewise, and as if of all rows

    # ---- tiles -----------------------------------------------------------------------------------

    def write(self) -> None:
        """All of this thread's tiles, block after block of the reduction."""
        e, f, k = self.e, self.f, self.k
        rows, m_tiles = self.row_tiles()
        tile = k.vectors * (1 if k.lanes else self.width)
        n = size(e, k.n[1])
        n_tiles = f.div(f.add(n, tile - 1), tile)
        sizes = [size(e, extent) for _, extent in k.outer]
        total = product(f, [n_tiles, m_tiles, *sizes])
        inside = {"rows": [m_tiles], "across": []}.get(k.order, [m_tiles, *sizes])
        fast = product(f, inside)
        lo, hi = self.share(total, n, n_tiles, fast)
        panel = PanelWriter(k, k.panel, f"{f.name}.panel") if k.panel else None
        prologue = PrologueWriter(k, k.prologue, f"{f.name}.part") if k.prologue else None
        nest = self.order(m_tiles, n_tiles, sizes)

        def unit(t: Operand, _: list[Operand]) -> None:
            scope = e.open(f.region)
            rest: Operand | int = t
            index: dict[object, Operand] = {}
            for i, (name, count) in enumerate(nest):
                last = i == len(nest) - 1
                index[name] = str(rest) if last else f.rem(rest, count)
                rest = rest if last else f.div(rest, count)
            for variable, _extent in k.outer:
                e.bindings[variable] = Binding(index[variable], 0, scope)
            m_index, n_index = index["m"], index["n"]
            n0 = f.mul(n_index, tile)
            self.place(t)
            begins = f.put(f"icmp eq i64 {t}, {lo}") if panel or prologue else ""
            if prologue is not None and prologue.loop is k.n[0]:
                self.compute_columns(prologue, begins, m_index, n, n0, tile)
            if panel is not None:
                names = [name for name, _ in nest]
                first = [index[name] for name in names[: names.index("n")]]
                self.copy(panel, begins, first, n0)
            before: Operand | int = 0
            for kind in rows:
                local = f.sub(m_index, before)
                m0 = f.add(f.mul(local, kind[1]), kind[0])
                cond = f.put(f"icmp ult i64 {local}, {kind[2]}") if len(rows) > 1 else "true"
                go_on = functools.partial(self.columns, n, n0, tile, m0, kind)
                if prologue is not None and prologue.loop is not k.n[0]:
                    go_on = functools.partial(
                        self.compute_rows, prologue, begins, n_index, local, kind, go_on
                    )
                f.when(cond, go_on)
                before = f.add(before, kind[2])
            e.close()

        if k.run is not None:
            ends = [f.put(f"icmp ne i64 {e.word(w)}, 0", f.root) for w in k.run]
            self.first, self.last = ends
        self.blocks(0, lambda: f.counted(lo, hi, 1, unit))
        for helper in (panel, prologue):
            if helper is not None:
                f.helpers.append(helper.text())
                f.declared.update(helper.f.declared)

    def order(
        self, m_tiles: Operand | int, n_tiles: Operand | int, outer: list[Operand | int]
    ) -> list[tuple[object, Operand | int]]:
        """(loop, how often) of the loops over tiles, the fastest first."""
        m, n = ("m", m_tiles), ("n", n_tiles)
        around = [(v, s) for (v, _), s in reversed(list(zip(self.k.outer, outer)))]
        if self.k.order == "columns":
            return [m, *around, n]
        if self.k.order == "across":
            return [n, m, *around]
        return [*around, m, n] if self.k.order == "outer" else [m, n, *around]

    def share(
        self, total: Operand | int, n: Operand | int, n_tiles: Operand | int, fast: Operand | int
    ) -> tuple[Operand, Operand]:
        """This thread's tiles [lo, hi), as much work as any other's to about a tile: one at the end
        of n counts for its own columns only. `fast`: tiles of the same columns that follow each
        other.
        """
        f, k = self.f, self.k
        width = 1 if k.lanes else self.width
        tile = k.vectors * width
        room = k.panel or k.prologue
        most = room.slots if room else None
        if isinstance(n, int):
            rest: Operand | int = self.counted_columns(n % tile)
            if not rest or rest == tile or n_tiles == "1":
                return share(self.e, total, most)
        else:
            rest = f.mul(f.div(f.add(f.rem(n, tile), width - 1), width), width)
        threads = "%nthreads" if most is None else f.smin("%nthreads", most)
        wide = f.mul(fast, f.mul(f.div(n, tile), tile))
        around = f.smax(1, f.add(wide, f.mul(fast, rest)))
        work = f.mul(around, f.div(total, f.smax(1, f.mul(fast, n_tiles))))

        def first(thread: Operand) -> Operand:
            at = f.div(f.mul(work, thread), threads)
            before, inside = f.mul(f.div(at, around), f.mul(fast, n_tiles)), f.rem(at, around)
            narrow = f.div(f.smax(0, f.sub(inside, wide)), f.smax(1, rest))
            return f.add(before, f.add(f.div(f.smin(inside, wide), tile), narrow))

        hi = first(f.add("%tid", 1))
        return first("%tid"), hi if most is None else f.smin(hi, total)

    def counted_columns(self, columns: int) -> int:
        """As how many a narrow tile's columns count: those of its vectors (see `shorten`)."""
        if self.k.lanes or not columns:
            return columns
        whole = self.width, self.vt
        self.shorten(columns)
        width = self.width
        self.width, self.vt = whole
        return -(-columns // width) * width

    def blocks(self, depth: int, tiles: Callable[[], object]) -> None:
        """The loops over blocks of the reduction, outside those over the tiles."""
        e, f, k = self.e, self.f, self.k
        if k.block is None or depth > k.block[0]:
            tiles()
            return
        extent = size(e, k.k[depth][1])
        step = k.block[1] if depth == k.block[0] else 1

        def body(at: Operand, _: list[Operand]) -> None:
            e.open(f.region)
            end = f.smin(f.add(at, step), extent)
            before = self.first, self.last
            self.first = self.both(self.first, f.put(f"icmp eq i64 {at}, 0"))
            self.last = self.both(self.last, f.put(f"icmp eq i64 {end}, {extent}"))
            self.clip.append((at, end))
            self.blocks(depth + 1, tiles)
            self.clip.pop()
            self.first, self.last = before
            e.close()

        # A sum of no terms is finished, too.
        loop = f.loop("0", str(f.smax(extent, 1)), step)
        outer, f.region = f.region, loop.body
        body(loop.iv, [])
        f.region = outer
        outer.items.append(loop)

    def both(self, a: Operand, b: Operand) -> Operand:
        return b if a == "true" else self.f.put(f"and i1 {a}, {b}")

    def either(self, a: Operand, b: Operand) -> Operand:
        return "true" if "true" in (a, b) else self.f.put(f"or i1 {a}, {b}")

    def place(self, t: Operand) -> None:
        """Where the sums of tile t wait."""
        if self.k.partial is None:
            return
        at = self.f.mul(t, self.k.rows * self.k.vectors)
        self.slot = self.f.gep(self.e.pointer(self.k.partial), at, self.vt)

    def copy(
        self, panel: PanelWriter, begins: Operand, first: list[Operand], n0: Operand
    ) -> None:  # fmt: skip
        """b's columns for this tile and those that follow, if it is the first of them or the first
        of all that this thread has."""
        e, f, k = self.e, self.f, self.k
        room = f.gep(e.pointer(panel.p.room), f.mul("%tid", e.word(panel.p.size)), "i8")
        inside = "true"
        for index in first:
            inside = self.both(inside, f.put(f"icmp eq i64 {index}, 0"))
        needed = self.either(begins, inside)
        outer = [e.bindings[v].base for v, _ in k.outer]
        f.when(needed, lambda: panel.call(f, room, [n0], outer, self.clip))
        self.near = self.of_all_terms(panel, room)

    def compute_rows(
        self, prologue: PrologueWriter, begins: Operand, n_index: Operand, local: Operand,
        kind: Rows, tile: Callable[[], None],
    ) -> None:  # fmt: skip
        """A tile, after a's rows for it and those that follow if it is the first of them, or the
        first of all that this thread has."""
        f, (start, height, count) = self.f, kind
        inside = f.rem(local, prologue.p.tiles)
        first = f.mul(f.sub(local, inside), height)  # of the rows that are computed together
        end = f.smin(f.add(first, height * prologue.p.tiles), f.mul(height, count))
        ahead = f.mul(inside, height)
        needed = self.both(
            f.put(f"icmp eq i64 {n_index}, 0"), f.put(f"icmp eq i64 {inside}, 0")
        )
        at, left = f.add(f.add(start, first), ahead), f.sub(f.sub(end, first), ahead)
        step = self.e.word(prologue.stride(prologue.loop))
        room = self.compute(
            prologue, self.either(begins, needed), f.mul(ahead, step), at, left
        )
        back = f.mul(f.add(start, first), step)
        self.rows = f.put(f"getelementptr {self.dtype.llvm}, ptr {room}, i64 {f.sub(0, back)}")
        tile()

    def compute_columns(
        self, prologue: PrologueWriter, begins: Operand, m_index: Operand, n: Operand | int,
        n0: Operand, tile: int,
    ) -> None:  # fmt: skip
        """b's columns for a tile and those that follow, likewise."""
        f = self.f
        needed = self.either(begins, f.put(f"icmp eq i64 {m_index}, 0"))
        self.near = self.compute(prologue, needed, "0", n0, f.smin(f.sub(n, n0), tile))

    def compute(
        self, prologue: PrologueWriter, needed: Operand, at: Operand, first: Operand,
        count: Operand,
    ) -> Operand:  # fmt: skip
        """Part of an operand, computed into this thread's room from element `at` on; the room, as
        if of all terms."""
        e, f, k, t = self.e, self.f, self.k, self.dtype.llvm
        room = f.gep(e.pointer(prologue.p.room), f.mul("%tid", prologue.p.size), "i8")
        outer = [e.bindings[v].base for v, _ in k.outer]
        f.when(
            needed,
            lambda: prologue.call(f, f.gep(room, at, t), [first, count], outer, self.clip),
        )
        return self.of_all_terms(prologue, room)

    def of_all_terms(self, writer: RoomWriter, room: Operand) -> Operand:
        """The address at which a room would begin that held the terms before this block's, too."""
        back: Operand | int = 0
        for (variable, _), (start, _) in zip(self.k.k, self.clip):
            back = self.f.add(back, self.f.mul(start, self.e.word(writer.stride(variable))))
        t = self.dtype.llvm
        return self.f.put(f"getelementptr {t}, ptr {room}, i64 {self.f.sub(0, back)}")

    def row_tiles(self) -> tuple[list[Rows], Operand | int]:
        """(first row, rows, how many) of each kind of tile along m, and their number in all.

        A runtime number of rows has whole tiles, then single rows.
        """
        f, k = self.f, self.k
        if k.m is None:
            return [(0, 1, 1)], 1
        if not isinstance(k.m[1], Word):
            kinds = split(k.m[1], k.rows)
            return list(kinds), sum(count for _, _, count in kinds)
        total = size(self.e, k.m[1])
        whole, single = f.div(total, k.rows), f.rem(total, k.rows)
        return [(0, k.rows, whole), (f.mul(whole, k.rows), 1, single)], f.add(whole, single)

    def columns(self, n: Operand | int, n0: Operand, tile: int, m0: Operand, kind: Rows) -> None:
        """A tile of some rows, whole or at the ragged end of n."""
        f = self.f
        if self.k.diagonal is not None:
            end = f.add(f.add(m0, self.e.word(self.k.diagonal)), kind[1])
            f.when(f.less(n0, end), lambda: self.whole_or_ragged(n, n0, tile, m0, kind))
            return
        self.whole_or_ragged(n, n0, tile, m0, kind)

    def whole_or_ragged(
        self, n: Operand | int, n0: Operand, tile: int, m0: Operand, kind: Rows
    ) -> None:
        f = self.f
        if isinstance(n, int):
            whole, rest = divmod(n, tile)
            if whole:
                inside = f.less(n0, whole * tile) if rest else "true"
                f.when(inside, lambda: self.tile(m0, kind, n0, tile, False))
            if rest:
                ragged = f.put(f"icmp sge i64 {n0}, {whole * tile}") if whole else "true"
                f.when(ragged, lambda: self.tile(m0, kind, n0, rest, False))
            return
        fits = f.put(f"icmp sle i64 {f.add(n0, tile)}, {n}")
        f.when(fits, lambda: self.tile(m0, kind, n0, tile, False))
        f.when(f.put(f"xor i1 {fits}, true"), lambda: self.tile(m0, kind, n0, tile, True))

    def tile(self, m0: Operand, kind: Rows, n0: Operand, columns: int, ragged: bool) -> None:
        """One register tile: the sum, then the body for each of its elements."""
        from . import terms

        e, f, k = self.e, self.f, self.k
        scope = e.open(f.region)
        if k.m:
            e.bindings[k.m[0]] = Binding(m0, 0, scope)
        e.bindings[k.n[0]] = Binding(n0, 0, scope)
        height = kind[1]
        if k.lanes:
            sums = terms.sum_lanes(self, height, columns, n0 if ragged else None)
            terms.finish_lanes(self, sums, m0, n0, height, columns, ragged)
        else:
            whole = self.width, self.vt
            self.shorten(columns)
            vectors = -(-columns // self.width)
            masks = self.masks(n0, columns, vectors, ragged)
            start = self.waiting(height * vectors)
            sums = terms.sum_broadcast(self, kind, m0, vectors, masks, start)
            f.when(self.last, lambda: finish_tile(self, sums, m0, n0, height, masks))
            if self.k.partial is not None:
                more = f.put(f"xor i1 {self.last}, true")
                f.when(more, lambda: self.wait(sums))
            self.width, self.vt = whole
        e.close()

    def shorten(self, columns: int) -> None:
        """Shorter vectors for a tile of so few columns: some processors do two in the time of one
        (AMD's Zen 4 works on 512 bits in halves), and none is slower."""
        if self.k.halves:
            return
        while 2 * columns <= self.width and self.width * self.dtype.bits > 128:
            self.width //= 2
        self.vt = self.e.type_of(self.dtype, self.width)

    @property
    def align(self) -> int:
        return self.width * self.dtype.itemsize

    def waiting(self, count: int) -> list[Operand]:
        """What a tile's sums start from: zeros, or where the last block left them."""
        f = self.f

        def zeros() -> list[Operand]:
            return ["zeroinitializer"] * count

        def kept() -> list[Operand]:
            at = [f.gep(self.slot, i, self.vt) for i in range(count)]
            return [f.put(f"load {self.vt}, ptr {a}, align {self.align}") for a in at]

        return f.choose(self.first, zeros, kept, [self.vt] * count)

    def wait(self, sums: list[Operand]) -> None:
        for i, s in enumerate(sums):
            at = self.f.gep(self.slot, i, self.vt)
            self.f.do(f"store {self.vt} {s}, ptr {at}, align {self.align}")

    def masks(self, n0: Operand, columns: int, vectors: int, ragged: bool) -> list[Operand | None]:
        """Which lanes of each vector exist (None: all)."""
        w = self.width
        if ragged:
            n = str(size(self.e, self.k.n[1]))
            return [lane_mask(self.e, self.f.add(n0, j * w), n, w) for j in range(vectors)]
        masks: list[Operand | None] = [None] * vectors
        if columns % w:
            bits = ["true" if i < columns % w else "false" for i in range(w)]
            masks[-1] = "<" + ", ".join(f"i1 {b}" for b in bits) + ">"
        return masks

    # ---- where things are ------------------------------------------------------------------------

    def strides(self, load: Node, variable: Node) -> Stride:
        return dict(load.arg.terms).get(variable, 0)  # type: ignore[no-any-return]

    def offset(self, stride: Stride, times: int) -> Operand:
        """times · stride as an operand, in the outermost scope."""
        if isinstance(stride, Word):
            region, self.f.region = self.f.region, self.f.root
            r = self.f.mul(self.e.word(stride), times)
            self.f.region = region
            return r
        return str(int(stride) * times)

    def base(self, load: Node) -> Operand:
        """Address of an operand's element at the current bindings."""
        e = self.e
        access: Access = load.arg
        computed = e.emit(load.src[0]) if access.computed else None
        position, _, _, _ = e.position(access, computed)
        pointer = self.near if load is self.k.b else self.rows if load is self.k.a else None
        pointer = pointer or e.pointer(access.pointer)
        return self.f.gep(pointer, position.name, storage_type(load.dtype))

    def vector(self, at: Operand, mask: Operand | None, dtype: DType) -> Operand:
        """A vector of an operand's elements, in the type of the sum; 0 outside the mask."""
        f, w, t = self.f, self.width, dtype.llvm
        x = moves.load(f, t, w, at, mask, dtype.itemsize, f.region)
        return convert(Writer(f, f.region, w), dtype, self.dtype, x)

    # ---- the reduction's loops -------------------------------------------------------------------

    def reduction_loops(
        self,
        values: list[tuple[str, Operand]],
        innermost: Callable[[list[Operand]], list[Operand]],
        rows: Callable[[Operand, list[Operand], Inner], list[Operand]] | None = None,
    ) -> list[Operand]:
        """The loops over k but the last, each narrowed by the bounds it decides.

        `rows(value of the row bound's variable, running values, go on inside)` is asked which rows
        take part below that variable.
        """
        e, f, k = self.e, self.f, self.k

        def level(i: int, running: list[Operand]) -> list[Operand]:
            if i == len(k.k) - 1:
                return innermost(running)
            variable, extent = k.k[i]
            lo, hi, step = self.bounds(i, size(e, extent))

            def body(iv: Operand, inside: list[Operand]) -> list[Operand]:
                scope = e.open(f.region)
                e.bindings[variable] = Binding(iv, 0, scope)
                if rows is not None and k.row_bound and k.row_bound.variable is variable:
                    out = rows(iv, inside, functools.partial(level, i + 1))
                else:
                    out = level(i + 1, inside)
                e.close()
                return out

            return f.counted(lo, hi, step, body, [(t, v) for (t, _), v in zip(values, running)])

        return level(0, [v for _, v in values])

    def bounds(self, i: int, extent: Operand | int) -> tuple[Operand | int, Operand | int, int]:
        """lo, hi, step of reduction loop i: what its conditions leave of 0 … extent."""
        e, f, k = self.e, self.f, self.k
        variable = k.k[i][0]
        inner = {v for v, _ in k.k[i + 1 :]}
        lo, hi = self.clip[i] if i < len(self.clip) else (0, extent)
        step = 1
        for bound in k.bounds:
            free = e.free(bound.value)
            if variable not in free or inner & free:
                continue
            lo, hi, step = self.narrow(bound, variable, lo, hi, step)
        if step > 1:  # the first allowed value at or after lo
            raise_by = f.rem(f.add(f.sub(self._residue, f.rem(lo, step)), step), step)
            lo = f.add(lo, raise_by)
        return lo, hi, step

    def narrow(
        self, bound: Bound, variable: Node, lo: Operand | int, hi: Operand | int, step: int
    ) -> tuple[Operand | int, Operand | int, int]:
        """Tighten [lo, hi) by a bound on value = rest + sign·variable."""
        e, f = self.e, self.f
        zero = const(0, dt.int64)
        at_zero = e.emit(substitute(bound.value, {variable: zero})).name
        by = affine_coefficient(bound.value, variable)
        assert by, "schedule admits only bounds that the variable decides"
        if by > 0:  # (lo − rest) / by ≤ v < (hi − rest) / by, rounded up
            if bound.lo is not None:
                lo = f.smax(lo, self.floor(f.add(f.sub(bound.lo, at_zero), by - 1), by))
            if bound.hi is not None:
                hi = f.smin(hi, self.floor(f.add(f.sub(bound.hi, at_zero), by - 1), by))
        else:  # (rest − hi) / −by < v ≤ (rest − lo) / −by, rounded down
            if bound.hi is not None:
                lo = f.smax(lo, f.add(self.floor(f.sub(at_zero, bound.hi), -by), 1))
            if bound.lo is not None:
                hi = f.smin(hi, f.add(self.floor(f.sub(at_zero, bound.lo), -by), 1))
        if bound.step > 1:
            assert by in (1, -1), "schedule admits only unit coefficients here"
            step = bound.step
            # value ≡ 0 (mod step): v ≡ ∓rest; a multiple of step keeps the remainder positive.
            rest = f.rem(f.add(at_zero, step << 32), step)
            self._residue = rest if by == -1 else f.rem(f.sub(step, rest), step)
        return lo, hi, step

    def floor(self, x: Operand, by: int) -> Operand:
        """x / by rounded down, x possibly negative (but far from the ends of int64)."""
        if by == 1:
            return x
        return self.f.sub(self.f.div(self.f.add(x, by << 32), by), 1 << 32)

    _residue: Operand = "0"


Inner = Callable[[list[Operand]], list[Operand]]


def affine_coefficient(node: Node, variable: Node) -> int | None:
    """The integer coefficient of a variable in an affine expression, or None."""
    if node is variable:
        return 1
    if node.op in ("add", "sub"):
        a, b = (affine_coefficient(s, variable) for s in node.src)
        if a is None or b is None:
            return None
        return a + b if node.op == "add" else a - b
    if node.op == "neg":
        a = affine_coefficient(node.src[0], variable)
        return None if a is None else -a
    if node.op == "mul" and node.src[1].op == "const":
        a = affine_coefficient(node.src[0], variable)
        return None if a is None else a * node.src[1].value
    return None if variable in _variables(node) else 0


def _variables(node: Node) -> set[Node]:
    return {n for n in body_nodes(node) if n.op in ("out", "red", "axis")}
