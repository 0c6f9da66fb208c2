"""How a chain of kernels runs: on a block of rows, its matrices in scratch memory of the thread.

Each kernel is made as if for whole tensors, then restricted to a block: loops over units and rows
outside it become parts of the pointers that it is given. Must not know why kernels are a chain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..emit.contraction import split
from ..emit.kernel import (
    Access,
    Chain,
    Contraction,
    Fill,
    Nest,
    Output,
    Part,
    RowBound,
    Stride,
    Word,
)
from ..ir import dtype as dt
from ..ir.node import Node, alu, const, make
from ..ir.record import frozen, replace
from ..ir.transform import substitute
from .chain import Link, Linked, Role, long_axes, short, unseen
from .join import loops_of
from .lower import Lowering, Memory
from .nests import NestBuilder, Parameters, Store, map_all
from .sizes import Size, mul, size_of

if TYPE_CHECKING:
    from .contract import Choice, Problem
    from .steps import Builder

ROWS, FEWER = 64, 32  # rows of a block; where they are long
LONG = 1024  # elements of a row
SLOTS = 32  # threads that take part at most,
MEMORY = 1 << 26  # and bytes that they have beside the tensors
LINE = 64  # bytes


@frozen
class Scratch:
    """Bytes from here on in the scratch memory of a thread."""

    offset: int


@frozen
class Filled:
    """A Fill whose words are not yet words of the chain."""

    base: object = None
    scratch: bool = False
    offset: int = 0
    terms: tuple[tuple[Role, Size], ...] = ()


class Blocks:
    """One chain being built; `build` makes its kernel."""

    def __init__(self, linked: Linked, builder: Builder, targets: dict[Node, Memory]) -> None:
        self.linked, self.builder, self.targets = linked, builder, targets
        *_, rows, self.columns = (int(s) for s in linked.shape)
        self.kinds = split(rows, ROWS if self.columns < LONG else FEWER)
        self.most = max(rows for _, rows, _ in self.kinds)
        self.room = 0
        self.memory = dict(builder.memory)
        self.axes = [i for i, s in enumerate(linked.shape[:-2]) if size_of(s) != 1]
        for x in linked.links:
            if x.groups[0].node not in targets:
                for g in x.groups:
                    self.memory[g.node] = self.matrix(g.node)

    def take(self, size: int) -> Scratch:
        """So many bytes of scratch memory."""
        here = Scratch(self.room)
        self.room += -(-size // LINE) * LINE
        return here

    def matrix(self, node: Node) -> Memory:
        """Where the rows of a block of a matrix lie: a line apart more than they are long, so that
        they do not push each other out of the cache."""
        sizes = tuple(size_of(s) for s in node.shape)
        axes = long_axes(node.shape)
        if len(axes) == len(self.axes) + 1:  # a number for each row
            steps = tuple(int(i == axes[-1]) for i in range(len(sizes)))
            return Memory(self.take(self.most * node.dtype.itemsize), sizes, steps)
        lanes = LINE // node.dtype.itemsize
        step = (-(-self.columns // lanes) + 1) * lanes
        ref = self.take(self.most * step * node.dtype.itemsize)
        return Memory(ref, sizes, (*[0] * (len(sizes) - 2), step, 1))

    def build(self) -> tuple[Chain, Parameters, bool] | None:
        """(kernel, its parameters, whether several threads share it); None if it cannot be."""
        wholes = [self.whole(x) for x in self.linked.links]
        if any(w is None for w in wholes):
            return None
        params = Parameters()
        seen: dict[object, Word] = {"status": Word(0)}

        def word(w: object) -> Word:
            if w not in seen:
                params.words.append(w)
                seen[w] = Word(len(params.words) - 1)
            return seen[w]

        def fill(x: Filled) -> Fill:
            base = None if x.base is None else word(x.base)
            terms = tuple((r, s if isinstance(s, int) else word(s)) for r, s in x.terms)
            return Fill(base, x.scratch, x.offset, terms)

        kinds = []
        for start, rows, count in self.kinds:
            parts = []
            for whole in wholes:
                assert whole is not None
                kernel, fills = whole.block(rows, start + rows * count)
                parts.append(Part(kernel, tuple(fill(x) for x in fills)))
            kinds.append((start, rows, count, tuple(parts)))
        units = [size_of(self.linked.shape[i]) for i in self.axes]
        together = self.linked.running
        count = 1 if together else sum(count for _, _, count in self.kinds)
        for s in units:
            count *= s if isinstance(s, int) else SLOTS
        slots = max(1, min(SLOTS, count, MEMORY // self.room))
        scratch = self.builder.scratch(self.room * slots)
        chain = Chain(
            tuple(s if isinstance(s, int) else word(s) for s in units), tuple(kinds),
            together, word(("pointer", scratch)), self.room, slots,
        )  # fmt: skip
        return chain, params, slots > 1

    def whole(self, link: Link) -> _Whole | None:
        """A kernel of the chain over all rows of all units."""
        names = {v: self.axes.index(r) if isinstance(r, int) else r for v, r in link.roles.items()}
        if link.product:
            return self.product(link, names)
        main, own = loops_of(link.groups)
        stores = []
        for g, names_ in zip(link.groups, own, strict=True):
            low = Lowering(main.shape, substitute(g.body, names_), self.memory)
            if low.checks:
                return None
            place = self.memory[g.node]
            terms = [(names_[v], s) for v, s in zip(names_, place.strides) if s != 0]
            stores.append(Store(low.result, place.ref, tuple(terms)))
        shape = tuple(size_of(s) for s in main.shape)
        width = self.builder.machine.width
        apart = frozenset(link.roles)
        nest = NestBuilder(shape, stores, link.groups.index(main), width, apart=apart)
        kernel, params, _ = nest.build()
        if kernel.columns or kernel.loops[-1][0] in apart:
            return None
        return _Whole(kernel, params, names, lower=short(self.linked, link), columns=self.columns)

    def product(self, link: Link, names: dict[Node, Role]) -> _Whole | None:
        """A sum of products of the chain."""
        from .contract import Problem

        (group,) = link.groups
        target = self.targets.get(group.node) or self.memory[group.node]
        p = Problem(
            group.shape, group.body, self.memory, target, self.builder.machine,
            None, 0, 0, frozenset(link.roles),
        )  # fmt: skip
        choice = self.choice(p, names) if p.valid and not p.checks else None
        if choice is None:
            return None
        panels = self.builder.pack(p, choice, False) if choice.pack else None
        params = Parameters()
        kernel, _ = p.build(choice, None, panels, params, None)
        for v, extent in kernel.outer:
            if v not in names:
                if extent != 1:
                    return None
                names = {**names, v: "one"}
        sums = None
        if any(v.op == "red" for v in names):
            sums = self.take(_waiting(p, choice))
        row = next(v for v, r in names.items() if r == "row")
        if row.op == "red":  # variables of reductions are numbered from 1 in a kernel
            names = {v: r for v, r in names.items() if r != "row"}
            names[kernel.k[0][0]] = "row"
        lower = group.node not in self.targets and unseen(self.linked, group.node)
        return _Whole(kernel, params, names, sums, lower)

    def choice(self, p: Problem, names: dict[Node, Role]) -> Choice | None:
        """The cheapest tiles of a block."""
        from .tiles import choose

        units = {v for v, r in names.items() if r != "row"}
        row = next(v for v, r in names.items() if r == "row")

        def fits(c: Choice) -> bool:
            tiled = not c.lanes and not c.paired and c.repack is None and c.m is not None
            tiled = tiled and not {c.m, c.n} & units
            if p.bounds:  # of the diagonal alone
                bound = p.row_bound(c.m) if len(p.bounds) == 1 and c.m is not None else None
                tiled = tiled and bound is not None and bound.diagonal
            rows = c.n is not row and (row.op == "red" or c.m is row)
            return tiled and rows and not (c.pack and isinstance(c.b.raw.ref, Scratch))

        best = choose(p, fits)
        if best is not None:
            best.pack_rows, best.block, best.near = False, None, False
        return best


def _waiting(p: Problem, c: Choice) -> int:
    """Bytes of the running sums of all tiles."""
    assert c.m is not None
    lanes = p.lane_count
    rows = -(-_number(p.extents[c.m]) // c.rows) * c.rows
    columns = -(-_number(p.extents[c.n]) // (c.vectors * lanes)) * c.vectors * lanes
    return rows * columns * p.sum.dtype.itemsize


def _number(size: Size) -> int:
    assert isinstance(size, int)
    return size


class _Whole:
    """A kernel over all rows of all units, to be restricted to blocks of rows."""

    def __init__(
        self, kernel: Nest | Contraction, params: Parameters, names: dict[Node, Role],
        sums: Scratch | None = None, lower: bool = False, columns: int = 0,
    ) -> None:  # fmt: skip
        self.kernel, self.names, self.sums, self.lower = kernel, names, sums, lower
        self.columns = columns
        self.words = params.words
        (self.row,) = [v for v, r in names.items() if r == "row"]

    def block(self, rows: int, end: int) -> tuple[Nest | Contraction, list[Filled]]:
        """The kernel on one block of rows, and how its words are filled; `end`: the end of the last
        block of this kind."""
        self.rows = rows
        self.short = self.lower and end <= self.columns
        self.fills = [self.plain(w) for w in self.words]
        self.made: dict[Filled, Word] = {}
        k = self.kernel
        kernel = self.contraction(k) if isinstance(k, Contraction) else self.nest(k)
        return kernel, self.fills

    def plain(self, word: object) -> Filled:
        if isinstance(word, tuple) and word[0] == "pointer" and isinstance(word[1], Scratch):
            return Filled(None, True, word[1].offset)
        return Filled(None, False, word) if type(word) is int else Filled(word)

    def word(self, fill: Filled) -> Word:
        """A word that is filled in this way."""
        if fill not in self.made:
            self.fills.append(fill)
            self.made[fill] = Word(len(self.fills) - 1)
        return self.made[fill]

    def size(self, s: Stride) -> Size:
        """What the plan knows of a size: a number, where it is one."""
        return self.words[s.position] if isinstance(s, Word) else s  # type: ignore[return-value]

    def number(self, s: Stride) -> Stride:
        known = self.size(s)
        return known if type(known) is int else s

    def along(self, s: Stride) -> Stride:
        """The elements of a row that a block needs: up to the diagonal in its last row."""
        known = self.number(s)
        if not self.short or known != self.columns:
            return known
        return self.word(Filled(None, False, self.rows, (("row", 1),)))

    # ---- what a block reads and writes -----------------------------------------------------------

    def access(self, a: Access, itemsize: int) -> Access:
        """Units, and rows before the block, move the pointer."""
        here = self.words[a.pointer.position]
        scratch = isinstance(here, tuple) and isinstance(here[1], Scratch)
        moved: list[tuple[Role, Size]] = []
        kept = []
        for v, s in a.terms:
            role = self.names.get(v)
            if role is None or role == "row":
                kept.append((v, self.number(s)))
            if role is not None and role != "one" and not scratch:
                moved.append((role, mul(self.size(s), itemsize)))
        pointer = a.pointer
        if moved:
            pointer = self.word(Filled(here, False, 0, tuple(moved)))
        return a._replace(pointer=pointer, offset=self.number(a.offset), terms=tuple(kept))

    def bodies(self, bodies: list[Node]) -> list[Node]:
        return map_all(bodies, self.change)

    def change(self, n: Node) -> Node:
        """Part of a body, as a block sees it."""
        role = self.names.get(n)
        if role == "one":
            return const(0, dt.int64)
        if role is not None:
            at = make("param", dt.int64, (), (), self.word(Filled(terms=((role, 1),))))
            return alu("add", n, at) if role == "row" else at
        if n.op == "load":
            return make("load", n.dtype, (), n.src, self.access(n.arg, _bytes(n)))
        if n.op == "param":
            known = self.size(n.arg)
            return const(known, dt.int64) if type(known) is int else n
        if n.op == "reduce":
            kind, variables, order = n.arg[:3]
            known_ = tuple((v, self.along(e)) for v, e in variables)
            return make("reduce", n.dtype, (), n.src, (kind, known_, order))
        return n

    def nest(self, k: Nest) -> Nest:
        loops = []
        for v, extent in k.loops:
            role = self.names.get(v)
            if role is None or role == "row":
                loops.append((v, self.rows if role == "row" else self.along(extent)))
        pairs = [n for pair in k.kept for n in pair]
        done = self.bodies([*(o.body for o in k.outputs), *pairs])
        n = len(k.outputs)
        outputs = tuple(
            Output(body, self.access(o.access, _bytes(o.body)))
            for body, o in zip(done[:n], k.outputs, strict=True)
        )
        vector = k.vector - (len(k.loops) - len(loops)) if k.vector >= 0 else -1
        return replace(
            k, loops=tuple(loops), vector=vector, parallel=0, outputs=outputs,
            kept=tuple(zip(done[n::2], done[n + 1 :: 2])),
        )  # fmt: skip

    def contraction(self, k: Contraction) -> Contraction:
        assert k.m is not None
        ends = None
        if self.sums is not None:
            ends = tuple(self.word(Filled(terms=((x, 1),))) for x in ("first", "last"))
        rows = self.rows

        def loop(v: Node, extent: Stride) -> tuple[Node, Stride]:
            return v, rows if v is self.row else self.number(extent)

        # The variable of a sum over rows is counted from the block's first, in its pointers.
        a, b = (self.change(x) for x in (k.a, k.b))
        (body,) = self.bodies([k.output.body])
        return replace(
            k, outer=(), m=loop(*k.m), n=loop(*k.n), k=tuple(loop(*x) for x in k.k), a=a, b=b,
            output=Output(body, self.access(k.output.access, _bytes(k.output.body))),
            partial=None if self.sums is None else self.word(
                Filled(None, True, self.sums.offset)),
            run=ends, order="rows", row_bound=self.diagonal(k),
            diagonal=self.word(Filled(terms=(("row", 1),))) if self.lower else None,
        )  # fmt: skip

    def diagonal(self, k: Contraction) -> RowBound | None:
        """Which terms a row has: rows and terms are counted from the block's first."""
        b = k.row_bound
        if b is None:
            return None
        assert k.m is not None and b.constant == 0
        by = b.by_row if k.m[0] is self.row else b.by_term
        return replace(b, constant=self.word(Filled(terms=(("row", by),))))


def _bytes(node: Node) -> int:
    return 1 if node.dtype.kind == "b" else node.dtype.itemsize
