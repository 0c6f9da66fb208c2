"""Sums of products as problems: two operands with strides, an order, conditions, what is done with
the sum. Matmul, convolution and their gradients all become this.

Must not know which tiles are chosen (see tiles.py).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from math import prod

from ..emit.contraction import affine_coefficient
from ..emit.kernel import Access, Bound, Contraction, Output, Panel, Prologue, RowBound, Stride
from ..ir import dtype as dt
from ..ir.dtype import DType
from ..ir.node import Node, alu, at_site, loops, make, out, read, red
from ..ir.record import frozen, record
from ..ir.transform import body_nodes, product_of, substitute, toposort
from .lower import Lowering, Memory, Noted, Raw, affine
from .machine import Machine
from .nests import Parameters, finish, map_loads
from .sizes import Size, Sym, mul, size_of, value

# Tensor → its copies that exist: by the axis that is innermost, or by how they were gathered.
Copies = dict[Node, dict[object, Memory]]

SMALL = 2_000  # multiply-adds below which plain loops do as well
PARALLEL = 60_000  # fewer take one thread less than a µs, which is what it costs to share them


@record
class Operand:
    """One factor of the contraction's term."""

    read: Node
    load: Node
    strides: dict[Node, Size]
    tied: set[Node]  # variables of computed positions: they cannot be tiled
    body: Node | None = None  # what computes it, if it is not stored (see prologue.py)

    @property
    def raw(self) -> Raw:
        return self.load.arg  # type: ignore[no-any-return]


@frozen
class Gather:
    """An operand copied first, each of its elements where its loops find it, the last fastest."""

    read: Node
    loops: tuple[Node, ...]
    shape: tuple[int, ...]

    @property
    def key(self) -> tuple[tuple[int, ...], tuple[Node, ...]]:
        """What it is, apart from the tensor."""
        names = {v: out(i) for i, v in enumerate(self.loops)}
        return self.shape, tuple(substitute(ix, names) for ix in self.read.src[1:])

    @property
    def node(self) -> Node:
        """The copy, as an expression."""
        shape, indices = self.key
        return loops(shape, at_site(read(self.read.src[0], *indices), self.read.site))


@record
class Choice:
    """One way to run a contraction, and about how many cycles it takes."""

    cost: float
    a: Operand
    b: Operand
    m: Node | None
    n: Node
    rows: int
    vectors: int
    lanes: bool = False
    paired: bool = False
    # What is copied before anything else is chosen: an operand, or (lanes) a tensor with the axis
    # that is made innermost.
    repack: Gather | tuple[Node, int] | None = None
    pack: bool = False  # copy b into panels first
    near: bool = False  # each thread copies a panel right before it is used
    pack_rows: bool = False  # copy a first, so that its rows lie apart in the cache
    block: tuple[int, int] | None = None
    order: str = "rows"  # of the tiles, see emit.kernel.Contraction
    ahead: bool = False  # ask for the next tile's rows of a


@record
class Near:
    """How panels of b are copied right before they are used; see emit.kernel.Panel."""

    raw: Raw  # where b's element lies in a panel
    size: Size
    slots: int
    run: list[Node]
    columns: int


@record
class Made:
    """How an operand is computed right before it is used; see emit.kernel.Prologue."""

    operand: Operand
    raw: Raw  # where its element lies in a thread's memory
    loop: Node
    tiles: int
    size: int
    slots: int
    ahead: Node | None


class Problem:
    """A stored tensor whose body finishes exactly one contraction."""

    def __init__(
        self, shape: tuple[int, ...], body: Node, memory: dict[Node, Memory], target: Memory,
        machine: Machine, copies: Copies | None = None,
        offset: Size = 0, least: int = SMALL,
        apart: frozenset[Node] = frozenset(), repeats: Mapping[Node, int] | None = None,
        prologue: tuple[Node, Node] | None = None, updates: bool = False,
    ) -> None:  # fmt: skip
        self.updates = updates  # see steps.Builder
        self.prologue = prologue  # (a factor's read, what computes it)
        self.apart = apart  # output loops that are not joined with others
        self.repeats = repeats or {}  # see steps.repeats
        self.copies = copies or {}
        self.shape, self.body, self.memory, self.target = shape, body, memory, target
        self.width, self.registers, self.target_offset = machine.width, machine.registers, offset
        self.least, self.adds_pairs = least, machine.adds_pairs
        self.in_halves = machine.halves
        self.extents: dict[Node, Size] = {out(i): size_of(s) for i, s in enumerate(shape)}
        self.checks: list[Noted] = []
        self.valid = self._analyse()

    def _analyse(self) -> bool:
        sums = [n for n in body_nodes(self.body) if n.op == "reduce"]
        if len(sums) != 1 or not sums[0].arg[2].startswith("dot"):
            return False
        self.sum = sums[0]
        if self.sum.dtype.name not in ("float32", "float64"):
            return False
        _, variables, order = self.sum.arg[:3]
        self.k = [red(i) for i, _ in variables]
        self.extents.update({red(i): size_of(e) for i, e in variables})
        self.lanes = "lanes" in order
        self.halves = "pairs" if order == "dot16pairs" else "each" if "16" in order else ""
        self.adds_pairs = self.adds_pairs and self.halves == "pairs"
        if self.sum.dtype.bits == 64:
            self.lane_count = self.width // 2
        else:
            self.lane_count = self.width
        term = self.sum.src[0]
        pair = product_of(term)
        if pair is None:
            return False
        bounds = self._bounds(term.src[0]) if term.op == "where" else []
        if bounds is None:
            return False
        self.bounds = bounds
        self.guarded = {v for b in bounds for v in _variables(b.value)}
        self.operands = []
        for factor in pair:
            if any(n.op == "read" for ix in factor.src[1:] for n in body_nodes(ix)):
                return False
            load = Lowering(self.shape, factor, self.memory, trusted=True).result
            self.operands.append(_operand(factor, load))
            if self.prologue is not None and factor is self.prologue[0]:
                self.operands[-1].body = self.prologue[1]
        if self._count() < self.least:
            return False
        self.full = dict(self.extents)
        # The loops that each loop walks as one.
        self.parts: dict[Node, tuple[Node, ...]] = {v: (v,) for v in self.extents}
        self.gone: set[Node] = set()  # output loops that are walked as part of another
        self.joined: set[Node] = set()  # those others
        self._lower_rest()
        self._merge_outputs()
        self.every_k = list(self.k)
        self._merge_terms()
        return True

    def _count(self) -> int:
        n = 1
        for e in self.extents.values():
            n *= value(e)
        return n

    def _bounds(self, guard: Node) -> list[Bound] | None:
        """The conditions of a guard as bounds on reduction loops, if all can be."""
        bounds = []
        stepped: set[Node] = set()
        for c in conjuncts(guard):
            b = as_bound(c)
            v = None if b is None else self._narrowed(b)
            if b is None or v is None or (b.step > 1 and v in stepped):
                return None
            if b.step > 1:
                stepped.add(v)
            bounds.append(b)
        return bounds

    def _narrowed(self, bound: Bound) -> Node | None:
        """The reduction variable that a bound narrows, the last one in loop order, if it can."""
        mine = [v for v in self.k if v in _variables(bound.value)]
        if affine(bound.value) is None or not mine:
            return None
        if bound.step > 1 and affine_coefficient(bound.value, mine[-1]) not in (1, -1):
            return None
        return mine[-1]

    def _lower_rest(self) -> None:
        """What is done with the sum, with the sum as a hole in it."""
        self.hole = make("hole", self.sum.dtype, (), (), 0)
        low = Lowering(self.shape, substitute(self.body, {self.sum: self.hole}), self.memory)
        self.rest, self.checks = low.result, low.checks
        self.target_strides: dict[Node, Size] = {
            out(i): s for i, s in enumerate(self.target.strides)
        }

    # ---- output loops that are walked as one -----------------------------------------------------

    def _merge_outputs(self) -> None:
        """Join output loops wherever every access walks two of them as one: the pixels of images
        that a 1×1 convolution reads become the rows of a matrix."""
        if self.lanes:
            return
        inside = toposort([self.rest])
        loads = [n for n in inside if n.op == "load"]
        fixed = {n for n in inside if n.op == "out"} | self.guarded | self.apart
        for o in self.operands:
            fixed |= o.tied
        outs = [v for v in self.extents if v.op == "out" and v not in fixed]
        outs.sort(key=lambda v: -value(self.target_strides[v]))
        for x, y in itertools.pairwise(outs):
            accesses = [dict(n.arg.terms) for n in loads] + self._computed_from()
            accesses += [o.strides for o in self.operands] + [self.target_strides]
            if not all(self._one_walk(s.get(x, 0), s.get(y, 0), y) for s in accesses):
                continue
            if self._join(x, y):
                del self.target_strides[x]

    def _merge_terms(self) -> None:
        """Join reduction loops likewise: the terms keep their order, and the sums their bits. Where
        lanes or pairs of the last loop are added its extent counts."""
        if self.lanes or self.halves == "pairs":
            return
        fixed = self.guarded | self.apart
        for o in self.operands:
            fixed |= o.tied
        for x, y in reversed(list(itertools.pairwise(self.k))):
            y = self.k[self.k.index(x) + 1]
            walks = all(_plain(o.read, x, y) for o in self.operands) and all(
                self._one_walk(s.get(x, 0), s.get(y, 0), y)
                for s in [o.strides for o in self.operands] + self._computed_from()
            )
            if {x, y} & fixed or not walks:
                continue
            if self._join(x, y):
                self.k.remove(x)

    def _computed_from(self) -> list[dict[Node, Size]]:
        """How the loops walk what an operand is computed from."""
        bodies = [o.body for o in self.operands if o.body is not None]
        return [dict(n.arg.terms) for n in toposort(bodies) if n.op == "load"]

    def _join(self, x: Node, y: Node) -> bool:
        """From now on y walks both loops, if one number counts their steps."""
        try:
            joined = mul(self.extents[x], self.extents[y])
        except ArithmeticError:
            return False
        self.extents[y] = joined
        self.parts[y] = (*self.parts.pop(x), *self.parts[y])
        del self.extents[x]
        for o in self.operands:
            o.strides.pop(x, None)
        self.gone.add(x)
        self.joined.add(y)
        return True

    def _one_walk(self, outer: Size, inner: Size, variable: Node) -> bool:
        try:
            return outer == mul(inner, self.extents[variable])
        except ArithmeticError:
            return False

    # ---- copies ----------------------------------------------------------------------------------

    def shared(self, operand: Operand, cycles: float) -> float:
        """What this contraction bears of the cost of a copy, which all that read the operand so
        share."""
        return cycles / self.repeats.get(operand.read, 1)

    def gather(self, operand: Operand, last: Node) -> Gather | None:
        """The copy of an operand in which `last` is innermost and all other loops are in order, if
        each of its loops reads inside the tensor and none of its elements is copied twice."""
        if self.bounds or operand.raw.guarded:
            return None
        tensor, *indices = operand.read.src
        mine = set().union(*map(_variables, indices))
        sizes = {out(i): s for i, s in enumerate(self.shape)}
        sizes.update({red(i): e for i, e in self.sum.arg[1]})
        order = [v for v in self.extents if v.op == "out" and v is not last]
        order.sort(key=lambda v: -value(self.target_strides[v]))
        order += [v for v in self.k if v is not last]
        every = [w for v in (*order, last) for w in self.parts[v] if w in mine]
        shape = tuple(sizes[v] for v in every)
        if set(every) != mine or prod(map(int, shape)) > prod(map(int, tensor.shape)):
            return None
        return Gather(operand.read, tuple(every), shape)

    # ---- the kernel ------------------------------------------------------------------------------

    @property
    def itemsize(self) -> int:
        """Bytes of an operand's element, as a tile reads it."""
        return self.packed_dtype.itemsize

    @property
    def packed_dtype(self) -> DType:
        """The type of a packed copy: that of the sum, unless pairs of 16 bits are multiplied."""
        return dt.bfloat16 if self.adds_pairs else self.sum.dtype

    def row_bound(self, m: Node) -> RowBound | None:
        """The conditions that tie m to one reduction variable, as one; None if they cannot be."""
        found: RowBound | None = None
        for b in self.bounds:
            parts = affine(b.value)
            if parts is None or m not in parts[0]:
                continue
            terms, constant = parts
            others = [v for v in terms if v is not m]
            if b.step != 1 or len(others) != 1 or others[0] not in self.k:
                return None
            v = others[0]
            if isinstance(self.extents[v], Sym) or isinstance(self.extents[m], Sym):
                return None
            lo = None if b.lo is None else b.lo - constant
            hi = None if b.hi is None else b.hi - constant
            if terms[m] < 0:
                terms = {w: -by for w, by in terms.items()}
                lo, hi = (None if x is None else 1 - x for x in (hi, lo))
            if found is None:
                found = RowBound(v, terms[m], terms[v], 0, lo, hi)
                continue
            if (found.variable, found.by_row, found.by_term) != (v, terms[m], terms[v]):
                return None
            lo = found.lo if lo is None else lo if found.lo is None else max(lo, found.lo)
            hi = found.hi if hi is None else hi if found.hi is None else min(hi, found.hi)
            found = RowBound(v, terms[m], terms[v], 0, lo, hi)
        return found

    def build(
        self, choice: Choice, a_raw: Raw | None, b_raw: Raw | None, params: Parameters,
        partial: object, near: Near | None = None, made: Made | None = None,
    ) -> tuple[Contraction, bool]:  # fmt: skip
        """(the kernel, whether several threads share it); its parameters go to `params`.

        a_raw, b_raw: where an operand lies when it has been packed. partial: where sums wait
        between blocks. near: how panels of b are copied on the way; made: how an operand is
        computed.
        """

        def stride(size: Size) -> Stride:
            return params.size(size) if isinstance(size, Sym) else int(size)

        def place(raw: Raw) -> Access:
            terms = tuple((v, stride(s)) for v, s in raw.terms if v not in self.gone)
            return Access(
                params.pointer(raw.ref), stride(raw.offset), terms, raw.computed, raw.guarded
            )

        ids = {v: red(i + 1) for i, v in enumerate(self.k)}

        def walk(raw: Raw) -> Access:
            access = place(raw)
            return access._replace(terms=tuple((ids.get(v, v), s) for v, s in access.terms))

        def load(packed: Raw | None, operand: Operand) -> Node:
            node = operand.load
            access = walk(packed or operand.raw)
            src = tuple(finish(substitute(s, ids), params) for s in node.src)
            dtype = self.packed_dtype if packed else node.dtype
            return make("load", dtype, (), src, access)

        packed = b_raw is not None
        if near is not None:
            b_raw = near.raw
        if made is not None and made.operand is choice.a:
            a_raw = made.raw
        elif made is not None:
            b_raw = made.raw
        a, b = load(a_raw, choice.a), load(b_raw, choice.b)
        prologue = None
        if made is not None and made.operand.body is not None:
            def walked(n: Node) -> Node:
                return make("load", n.dtype, (), (), walk(n.arg)) if n.op == "load" else n

            prologue = Prologue(
                made.loop, made.tiles, map_loads(made.operand.body, walked),
                params.pointer(made.raw.ref), made.size, made.slots,
                None if made.ahead is None else walked(made.ahead),
            )  # fmt: skip
        panel = None if near is None else Panel(
            load(None, choice.b), b.arg.pointer, stride(near.size), near.slots,
            tuple(ids[v] for v in near.run), near.columns,
        )  # fmt: skip
        target = Raw(
            self.target.ref, self.target_offset,
            tuple((v, s) for v, s in self.target_strides.items() if s != 0), False, False,
        )  # fmt: skip
        where_to = place(target)
        body = finish(without(self.rest, self.gone), params)
        tiled = (choice.m, choice.n)
        outer = [v for v in self.extents if v.op == "out" and v not in tiled]
        outer.sort(key=lambda v: -value(self.target_strides[v]))
        tied = self.row_bound(choice.m) if choice.m in self.guarded and choice.m else None
        k = [(ids[v], stride(self.extents[v])) for v in self.k]
        if tied is not None:
            tied = RowBound(
                ids[tied.variable], tied.by_row, tied.by_term, tied.constant, tied.lo, tied.hi
            )
            if k[-1][0] is tied.variable and not tied.diagonal:
                # The rows of a term are chosen outside its loop.
                k.append((red(len(k) + 1), 1))
        kernel = Contraction(
            outer=tuple((v, stride(self.extents[v])) for v in outer),
            m=(choice.m, stride(self.extents[choice.m])) if choice.m else None,
            n=(choice.n, stride(self.extents[choice.n])),
            k=tuple(k),
            bounds=tuple(
                Bound(substitute(b.value, ids), b.lo, b.hi, b.step)
                for b in self.bounds
                if choice.m is None or choice.m not in _variables(b.value)
            ),
            row_bound=tied,
            a=a, b=b, paired=choice.paired,
            hole=self.hole, rows=choice.rows, vectors=choice.vectors, lanes=choice.lanes,
            halves=self.halves, panels=self.adds_pairs and packed,
            block=choice.block,
            partial=params.pointer(partial) if choice.block else None,
            order=choice.order,
            output=Output(body, where_to), width=self.width, panel=panel, prologue=prologue,
            ahead=choice.ahead,
        )  # fmt: skip
        return kernel, self._count() >= PARALLEL and self._tiles(choice) > 1

    def _tiles(self, choice: Choice) -> int:
        """How many register tiles there are: one is for one thread."""
        tiles = 1
        for v, extent in self.extents.items():
            if v is choice.m:
                tiles *= -(-value(extent) // choice.rows)
            elif v is choice.n:
                lanes = 1 if choice.lanes else self.lane_count
                tiles *= -(-value(extent) // (choice.vectors * lanes))
            elif v.op == "out":
                tiles *= value(extent)
        return tiles


def without(body: Node, gone: set[Node]) -> Node:
    """The body with joined loops' variables left out of its accesses."""
    if not gone:
        return body
    from ..ir.record import replace

    def change(node: Node) -> Node:
        if node.op != "load":
            return node
        kept = tuple((v, s) for v, s in node.arg.terms if v not in gone)
        return make("load", node.dtype, (), node.src, replace(node.arg, terms=kept))

    return map_loads(body, change)


def _plain(read: Node, *variables: Node) -> bool:
    """Is each index that a variable decides alone that variable, plus a number? Then a copy of what
    is read is walked as the tensor itself is."""
    for ix in read.src[1:]:
        terms, _ = affine(ix) or ({}, 0)
        if len(terms) == 1 and any(terms.get(v, 1) != 1 for v in variables):
            return False
    return True


def _operand(factor: Node, load: Node) -> Operand:
    raw: Raw = load.arg
    tied = {n for s in load.src for n in toposort([s]) if n.op in ("out", "red")}
    return Operand(factor, load, dict(raw.terms), tied)


def _variables(node: Node) -> set[Node]:
    return {n for n in body_nodes(node) if n.op in ("out", "red")}


def conjuncts(guard: Node) -> list[Node]:
    """The conditions that hold together when a guard does."""
    if guard.op == "and":
        return conjuncts(guard.src[0]) + conjuncts(guard.src[1])
    return [guard]


def as_bound(c: Node) -> Bound | None:
    """A comparison of affine values (or of a quotient with a number), as a bound."""
    if c.op in ("lt", "le") and c.src[0].dtype is dt.int64:
        x, y = c.src
        if y.op == "const":  # x < y, x ≤ y
            hi = int(y.value) + (c.op == "le")
            if x.op == "floordiv" and x.src[1].op == "const":
                return Bound(x.src[0], hi=hi * int(x.src[1].value))
            return Bound(x, hi=hi)
        if x.op == "const":  # x < y, x ≤ y
            lo = int(x.value) + (c.op == "lt")
            if y.op == "floordiv" and y.src[1].op == "const":
                return Bound(y.src[0], lo=lo * int(y.src[1].value))
            return Bound(y, lo=lo)
        return Bound(alu("sub", y, x), lo=int(c.op == "lt"))
    if c.op == "not" and c.src[0].op == "lt" and c.src[0].dtype is dt.bool_:
        inner = c.src[0]
        x, y = inner.src
        if x.dtype is dt.int64 and y.op == "const":  # x ≥ y
            return Bound(x, lo=int(y.value))
        return None
    if c.op == "eq" and c.src[0].op == "mod" and c.src[1].op == "const" and c.src[1].value == 0:
        by = c.src[0].src[1]
        if by.op == "const" and by.value > 0:
            return Bound(c.src[0].src[0], step=int(by.value))
    return None
