"""Chooses register tiles for contractions: which loops are tiled, which operand is broadcast, what
is copied into a better layout first. One cost model for matmul, convolution and their gradients.
"""

from __future__ import annotations

from ..emit.contraction import affine_coefficient
from ..emit.kernel import Access, Bound, Contraction, Output, Stride
from ..ir import dtype as dt
from ..ir.node import Node, make, out, red
from ..ir.record import record
from ..ir.transform import body_nodes, substitute, toposort
from .lower import Lowering, Memory, Raw, affine
from .nests import Parameters, finish
from .order import product_of
from .sizes import Size, Sym, size_of, value

SMALL = 2_000  # multiply-adds below which plain loops do as well
PARALLEL = 30_000


@record
class Operand:
    """One factor of the contraction's term."""

    read: Node
    load: Node
    strides: dict[Node, Size]
    tied: set[Node]  # variables of computed positions: they cannot be tiled


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
    lanes: bool
    repack: tuple[Node, int] | None  # (tensor, axis to make innermost) for b


class Problem:
    """A stored tensor whose body finishes exactly one contraction."""

    def __init__(
        self, shape: tuple[int, ...], body: Node, memory: dict[Node, Memory], target: Memory,
        width: int, registers: int, copies: set[tuple[Node, int]] | None = None,
    ) -> None:  # fmt: skip
        self.copies = copies or set()  # (tensor, innermost axis) copies that exist already
        self.shape, self.body, self.memory, self.target = shape, body, memory, target
        self.width, self.registers = width, registers
        self.extents: dict[Node, Size] = {out(i): size_of(s) for i, s in enumerate(shape)}
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
        self.lanes = order == "dotlanes"
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
        for read in pair:
            if any(n.op == "read" for ix in read.src[1:] for n in body_nodes(ix)):
                return False
            low = Lowering(self.shape, read, self.memory, trusted=True)
            load = low.result
            raw: Raw = load.arg
            tied = {n for s in load.src for n in toposort([s]) if n.op in ("out", "red")}
            self.operands.append(Operand(read, load, dict(raw.terms), tied))
        return self._count() >= SMALL

    def _count(self) -> int:
        n = 1
        for e in self.extents.values():
            n *= value(e)
        return n

    def _bounds(self, guard: Node) -> list[Bound] | None:
        """The conditions of a guard as bounds on reduction loops, if all can be."""
        bounds = []
        for c in _conjuncts(guard):
            b = _bound(c)
            if b is None or not self._solvable(b):
                return None
            bounds.append(b)
        return bounds

    def _solvable(self, bound: Bound) -> bool:
        """Is there a reduction variable to narrow? The last one in loop order is."""
        if affine(bound.value) is None:
            return False
        mine = [v for v in self.k if v in _variables(bound.value)]
        return bool(mine) and (
            bound.step == 1 or affine_coefficient(bound.value, mine[-1]) in (1, -1)
        )

    # ---- the choice ------------------------------------------------------------------------------

    def choices(self) -> list[Choice]:
        x, y = self.operands
        found: list[Choice] = []
        outputs = [v for v in self.extents if v.op == "out"]
        for a, b in ((x, y), (y, x)):
            blocked = a.tied | b.tied | self.guarded
            for n in outputs:
                if n in blocked or b.strides.get(n, 0) == 0 or a.strides.get(n, 0) != 0:
                    continue
                for m in [None, *outputs]:
                    if m is not None and (
                        m in blocked or m is n or a.strides.get(m, 0) == 0
                        or b.strides.get(m, 0) != 0
                        or (self.lanes and isinstance(self.extents[m], Sym))
                    ):  # fmt: skip
                        continue
                    found += self._lanes(a, b, m, n) if self.lanes else self._broadcast(a, b, m, n)
        return found

    def _terms(self) -> int:
        k = 1
        for v in self.k:
            k *= value(self.extents[v])
        return k

    def _rest(self, *tiled: Node | None) -> int:
        n = 1
        for v, e in self.extents.items():
            if v.op == "out" and v not in tiled:
                n *= value(e)
        return n

    def _lanes(self, a: Operand, b: Operand, m: Node | None, n: Node) -> list[Choice]:
        last = self.k[-1]
        repack: tuple[Node, int] | None = None
        extra = 0.0
        for o in (a, b):
            if o.strides.get(last) != 1:
                wanted, cost = self._repack(o, last)
                if wanted is None:
                    return []
                repack, extra = wanted, extra + cost
        if last in self.guarded or last in a.tied or last in b.tied:
            return []
        width = self.width
        height, columns = value(self.extents[m]) if m else 1, value(self.extents[n])
        found = []
        for vectors in (1, 2, 3, 4, 5, 6):
            rows = min(height, (self.registers - 1 - vectors) // (vectors + 0))
            rows = min(rows, self.registers - 2 - vectors if vectors == 1 else rows)
            while rows > 1 and rows * vectors + vectors + 1 > self.registers - 1:
                rows -= 1
            if (1 << (vectors - 1).bit_length()) > width or rows < 1:
                continue
            inner = value(self.extents[last])
            steps = self._terms() // max(1, inner) * -(-inner // width)
            rows = _even(height, rows)
            tiles = -(-height // rows) * -(-columns // vectors) * self._rest(m, n)
            per_step = max(rows * vectors, rows + vectors, 4)
            per_tile = steps * per_step + rows * vectors * 4 + 10
            found.append(Choice(tiles * per_tile + extra, a, b, m, n, rows, vectors, True, repack))
        return found

    def _broadcast(self, a: Operand, b: Operand, m: Node | None, n: Node) -> list[Choice]:
        repack, extra = self._repack(b, n)
        if b.strides[n] != 1 and repack is None:
            return []
        if self.lanes:
            return []
        width = self.width // (2 if self.sum.dtype.bits == 64 else 1)
        height, columns = value(self.extents[m]) if m else 1, value(self.extents[n])
        stored = next(
            (t for v, t in zip(self.extents, self.target.strides) if v is n), 1
        )  # the output's stride along n
        scatter = 0.0 if stored == 1 else 1.5 * columns * height * self._rest(m, n)
        found = []
        for vectors in (1, 2, 3, 4):
            if vectors > 1 and (vectors - 1) * width >= columns:
                break
            rows = min(height, (self.registers - 1 - vectors) // vectors, 14)
            if rows < 1:
                continue
            runtime = m is not None and isinstance(self.extents[m], Sym)
            heights = range(1, rows + 1) if runtime else (_even(height, rows),)
            for rows in heights:
                # A runtime number of rows ends in single rows, others in equal tiles.
                tiles = [(rows, height // rows), (1, height % rows)] if runtime else [
                    (rows, -(-height // rows))
                ]
                cycles = sum(
                    count * self._tile_cycles(r, vectors, columns, width) for r, count in tiles
                )
                cost = cycles * self._rest(m, n) + scatter + extra
                found.append(Choice(cost, a, b, m, n, rows, vectors, False, repack))
        return found

    def _tile_cycles(self, rows: int, vectors: int, columns: int, width: int) -> float:
        """About how many cycles the tiles of some rows take, over all columns."""
        whole, rest = divmod(columns, vectors * width)
        cycles = 0.0
        for count, v in ((whole, vectors), (1 if rest else 0, -(-rest // width))):
            per_step = max(rows * v, v + rows * 0.6, 4) + (1.0 if self.bounds else 0.0)
            cycles += count * (self._terms() * per_step + rows * v * 2 + 12)
        return cycles

    def _repack(self, b: Operand, n: Node) -> tuple[tuple[Node, int] | None, float]:
        """Copying b so that n is contiguous: (what to copy, about how many cycles)."""
        if b.strides.get(n, 0) == 1:
            return None, 0.0
        for axis, ix in enumerate(b.read.src[1:]):
            if ix is n:
                elements = 1
                for s in b.read.src[0].shape:
                    elements *= int(s)
                wanted = (b.read.src[0], axis)
                return wanted, 0.0 if wanted in self.copies else 1.6 * elements
        return None, 0.0

    def best(self) -> Choice | None:
        found = self.choices()
        return min(found, key=lambda c: c.cost) if found else None

    # ---- the kernel ------------------------------------------------------------------------------

    def build(self, choice: Choice) -> tuple[Contraction, Parameters, bool]:
        """(kernel, its parameters, whether several threads share it)."""
        params = Parameters()

        def stride(size: Size) -> Stride:
            return params.size(size) if isinstance(size, Sym) else int(size)

        def place(raw: Raw) -> Access:
            terms = tuple((v, stride(s)) for v, s in raw.terms)
            return Access(
                params.pointer(raw.ref), stride(raw.offset), terms, raw.computed, raw.guarded
            )

        ids = {v: red(i + 1) for i, v in enumerate(self.k)}

        def load(o: Operand) -> Node:
            access = place(o.load.arg)
            access = access._replace(terms=tuple((ids.get(v, v), s) for v, s in access.terms))
            src = tuple(finish(substitute(s, ids), params) for s in o.load.src)
            return make("load", o.load.dtype, (), src, access)

        a, b = load(choice.a), load(choice.b)
        hole = make("hole", self.sum.dtype, (), (), 0)
        rest = substitute(self.body, {self.sum: hole})
        low = Lowering(self.shape, rest, self.memory)
        self.checks = low.checks
        target = Raw(
            self.target.ref, 0,
            tuple((out(i), s) for i, s in enumerate(self.target.strides) if s != 0), False, False,
        )  # fmt: skip
        where_to = place(target)
        body = finish(low.result, params)
        tiled = (choice.m, choice.n)
        outer = [v for v in self.extents if v.op == "out" and v not in tiled]
        outer.sort(key=lambda v: -value(self.target.strides[v.arg]))
        kernel = Contraction(
            outer=tuple((v, stride(self.extents[v])) for v in outer),
            m=(choice.m, stride(self.extents[choice.m])) if choice.m else None,
            n=(choice.n, stride(self.extents[choice.n])),
            k=tuple((ids[v], stride(self.extents[v])) for v in self.k),
            bounds=tuple(
                Bound(substitute(b.value, ids), b.lo, b.hi, b.step) for b in self.bounds
            ),
            a=a, b=b, hole=hole, rows=choice.rows, vectors=choice.vectors, lanes=choice.lanes,
            output=Output(body, where_to), width=self.width,
        )  # fmt: skip
        return kernel, params, self._count() >= PARALLEL


def _even(total: int, tile: int) -> int:
    """The tile size that cuts `total` into as many, but equal, parts."""
    return -(-total // -(-total // tile))


def _variables(node: Node) -> set[Node]:
    return {n for n in body_nodes(node) if n.op in ("out", "red")}


def _conjuncts(guard: Node) -> list[Node]:
    if guard.op == "and":
        return _conjuncts(guard.src[0]) + _conjuncts(guard.src[1])
    return [guard]


def _bound(c: Node) -> Bound | None:
    """A comparison of an affine value (or its quotient) with a number, as a bound."""
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
        return None
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
