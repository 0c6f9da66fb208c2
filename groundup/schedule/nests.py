"""Chooses the loops of pointwise work and reductions: their order, what is joined, vectorised and
dealt out to threads. Nothing decided here changes a bit of any result.
"""

from __future__ import annotations

from collections.abc import Callable

from ..emit.kernel import ROW, Access, Nest, Output, Word
from ..emit.reduction import renamed
from ..emit.square import turns
from ..ir import dtype as dt
from ..ir.bounds import LIBM, ULPS
from ..ir.node import Node, const, make, out, red, reduce
from ..ir.record import fresh, record, replace
from ..ir.transform import rebuild, toposort
from .lower import Raw
from .sizes import Size, Sym, mul, size_of, value

STREAM = 1 << 24  # bytes of an output that is written past the caches: it would not stay in them
AHEAD = 1 << 22  # bytes of a tensor that reductions read: parts of it come from far away
COSTLY = frozenset((*ULPS, *LIBM, "fmod", "div", "sqrt"))
SERIAL = 60_000  # below this many element-operations one thread is faster than waking another


@record
class Parameters:
    """The argument block of one kernel: word 0 is the status block, then what is asked for."""

    words: list[object] = fresh(default_factory=lambda: ["status"])
    pointers: dict[object, Word] = fresh(default_factory=dict)
    walks: dict[object, tuple[int | Word, ...]] = fresh(default_factory=dict)

    def pointer(self, ref: object) -> Word:
        if ref not in self.pointers:
            self.words.append(("pointer", ref))
            self.pointers[ref] = Word(len(self.words) - 1)
        return self.pointers[ref]

    def size(self, size: Size) -> Word:
        self.words.append(size)
        return Word(len(self.words) - 1)

    def stride(self, size: Size) -> int | Word:
        """A stride: 0 and 1 shape the code, others are numbers that it is given."""
        return size if size in (0, 1) and isinstance(size, int) else self.size(size)


def map_loads(body: Node, change: Callable[[Node], Node]) -> Node:
    """The body with every load, parameter and reduction rewritten by `change` (sources done)."""
    return map_all([body], change)[0]


def map_all(bodies: list[Node], change: Callable[[Node], Node]) -> list[Node]:
    """The bodies with every load, parameter and reduction rewritten by `change` (sources done)."""
    result: dict[Node, Node] = {}
    for node in toposort(bodies):
        src = tuple(result[s] for s in node.src)
        if node.op in ("load", "param", "checked"):
            result[node] = change(make(node.op, node.dtype, (), src, node.arg))
        elif node.op == "reduce":
            kind, variables, order = node.arg[:3]
            if any(isinstance(e, Word) for _, e in variables):
                same = make("reduce", node.dtype, (), src, node.arg)
            else:
                same = reduce(kind, variables, src[0], order)
            result[node] = change(same)
        elif node.op in ("out", "red"):
            result[node] = change(node)
        else:
            result[node] = rebuild(node, src) if src else node
    return [result[body] for body in bodies]


def finish(body: Node, params: Parameters) -> Node:
    """Give every size in the body a place in the argument block."""
    return finished([body], params)[0]


def finished(bodies: list[Node], params: Parameters) -> list[Node]:
    """The same for the bodies of one kernel. A reduction variable has one size, whoever uses it."""
    extents: dict[tuple[int, int], object] = {}

    def sized(variable: int, extent: int) -> tuple[int, object]:
        key = (variable, int(extent))
        if key not in extents:
            extents[key] = extent_word(extent, params)
        return variable, extents[key]

    def change(node: Node) -> Node:
        if node.op == "param" and not isinstance(node.arg, Word):
            return make("param", dt.int64, (), (), params.size(node.arg))
        if node.op == "checked" and not isinstance(node.arg, Word):
            params.words.append(("check", node.arg))
            return make("checked", dt.int64, (), node.src, Word(len(params.words) - 1))
        if node.op == "load":
            return make("load", node.dtype, (), node.src, access(node.arg, params))
        if node.op == "reduce":
            kind, variables, order = node.arg[:3]
            words = tuple(v if isinstance(v[1], Word) else sized(*v) for v in variables)
            return make("reduce", node.dtype, (), node.src, (kind, words, order))
        return node

    return map_all(bodies, change)


def extent_word(extent: object, params: Parameters) -> object:
    if isinstance(extent, Word):
        return extent
    return params.size(size_of(extent))  # type: ignore[arg-type]


def access(raw: Raw, params: Parameters) -> Access:
    """An access of a kernel; those that walk one tensor alike share their words."""
    both = raw.part >= 0
    key = (raw.ref, raw.offset, both, *(s for _, s in raw.terms))
    if key not in params.walks:
        strides = [2 if both and s == 2 else params.stride(s) for _, s in raw.terms]
        params.walks[key] = (0 if raw.offset == 0 else params.size(raw.offset), *strides)
    offset, *strides = params.walks[key]
    terms = tuple((v, s) for (v, _), s in zip(raw.terms, strides, strict=True))
    return Access(params.pointer(raw.ref), offset, terms, raw.computed, raw.guarded, raw.part)


@record
class Store:
    """One result of a kernel: its lowered body, and where its element goes (from position 0).

    part: 0 or 1 of two elements that lie together there; each 0 is followed by its 1
    """

    body: Node
    ref: object
    terms: tuple[tuple[Node, Size], ...]  # stride of each variable that moves it
    offset: Size = 0
    part: int = -1

    def stride(self, variable: Node) -> Size:
        return next((s for v, s in self.terms if v is variable), 0)


@record
class _Loop:
    variable: Node
    extent: Size
    stride: Size  # of the main output


class NestBuilder:
    """Builds the Nest of one or several stored tensors; `main` is the one with the most loops.

    unit: the stride of neighbours in memory, more than 1 where only every unit-th element is meant
    """

    def __init__(
        self, shape: tuple[Size, ...], stores: list[Store], main: int, width: int, unit: int = 1,
        apart: frozenset[Node] = frozenset(),
    ) -> None:  # fmt: skip
        self.width, self.unit = width, unit
        self.apart = apart  # loops that come first and are not joined with others
        self.stores = stores
        self.main = stores[main]
        self.loops = [
            _Loop(out(i), s, self.main.stride(out(i))) for i, s in enumerate(shape)
        ]
        self._drop_units()
        self._look()
        self.outer = self._needed_outside()
        self._order()
        self._join()

    # ---- facts -----------------------------------------------------------------------------------

    def _look(self) -> None:
        """The nodes, loads and reductions of all bodies."""
        self.nodes = toposort([s.body for s in self.stores])
        self.loads = [n for n in self.nodes if n.op == "load"]
        self.sums = [n for n in self.nodes if n.op == "reduce"]

    def _change(self, change: Callable[[Node], Node], gone: set[Node]) -> None:
        """Rewrite the loads of all bodies; no place depends on the variables in `gone` any more."""
        bodies = map_all([s.body for s in self.stores], change)
        for store, body in zip(self.stores, bodies, strict=True):
            store.body = body
            store.terms = tuple((v, s) for v, s in store.terms if v not in gone)

    def _drop_units(self) -> None:
        """A loop of one iteration is no loop."""
        units = {lp.variable for lp in self.loops if lp.extent == 1}
        reds: set[int] = set()
        longer: set[int] = set()  # in another reduction of the same number: a residue has its own
        nodes = toposort([s.body for s in self.stores])
        for n in nodes:
            if n.op == "reduce":
                unit = not n.arg[0].startswith("arg")
                for i, e in n.arg[1]:
                    (reds if unit and type(e) is int and e == 1 else longer).add(i)
        reds -= longer
        if not units and not reds:
            return
        zero = const(0, dt.int64)
        gone = units | {n for n in nodes if n.op == "red" and n.arg in reds}

        def change(node: Node) -> Node:
            if node in gone:
                return zero
            if node.op == "load":
                raw: Raw = node.arg
                kept = tuple((v, s) for v, s in raw.terms if v not in gone and not _unit(v, reds))
                return make("load", node.dtype, (), node.src, replace(raw, terms=kept))
            if node.op == "reduce" and not node.arg[0].startswith("arg"):
                kind, variables, order = node.arg[:3]
                more = tuple(v for v in variables if v[0] not in reds)
                return reduce(kind, more or variables[:1], node.src[0], order)
            return node

        self._change(change, gone)
        self.loops = [lp for lp in self.loops if lp.extent != 1]

    def _needed_outside(self) -> set[Node]:
        """Output variables that some reduction or output depends on while others it does not:
        outermost."""
        needed: set[Node] = set()
        mine = {lp.variable for lp in self.loops}
        for free in [*(_free(n) & mine for n in self.sums), *map(self._moved_by, self.stores)]:
            if free != mine:
                needed |= free
        return needed

    def _moved_by(self, store: Store) -> set[Node]:
        return {v for v, _ in store.terms} & {lp.variable for lp in self.loops}

    def _order(self) -> None:
        """The output's memory order, with what reductions need moved out."""
        self.loops.sort(key=lambda lp: -value(lp.stride))
        self.loops.sort(key=lambda lp: lp.variable not in self.outer)
        self.loops.sort(key=lambda lp: lp.variable not in self.apart)

    def _stride(self, load: Node, variable: Node) -> Size:
        for v, s in load.arg.terms:
            if v is variable:
                return s  # type: ignore[no-any-return]
        return 0

    def _elsewhere(self) -> set[Node]:
        """Variables used as values, not only through strides."""
        return {n for n in self.nodes if n.op in ("out", "red")}

    def _join(self) -> None:
        """Join neighbouring loops that every access walks as one."""
        fixed = self._elsewhere() | self.apart
        i = 0
        while i + 1 < len(self.loops):
            a, b = self.loops[i], self.loops[i + 1]
            if (
                a.variable in fixed or b.variable in fixed
                or (a.variable in self.outer) != (b.variable in self.outer)
                or not self._walks_as_one(a, b)
            ):  # fmt: skip
                i += 1
                continue
            gone = a.variable

            def change(node: Node, gone: Node = gone) -> Node:
                if node.op == "load":
                    raw: Raw = node.arg
                    kept = tuple((v, s) for v, s in raw.terms if v is not gone)
                    return make("load", node.dtype, (), node.src, replace(raw, terms=kept))
                return node

            self._change(change, {gone})
            self._look()
            self.loops[i : i + 2] = [_Loop(b.variable, mul(a.extent, b.extent), b.stride)]
            self.outer.discard(gone)
            i = max(0, i - 1)

    def _walks_as_one(self, a: _Loop, b: _Loop) -> bool:
        try:
            mul(a.extent, b.extent)
            return all(
                s.stride(a.variable) == mul(s.stride(b.variable), b.extent) for s in self.stores
            ) and all(
                self._stride(n, a.variable) == mul(self._stride(n, b.variable), b.extent)
                for n in self.loads
            )
        except ArithmeticError:
            return False

    @property
    def narrow(self) -> bool:
        """Would vectors lie along a loop of two, with nothing to be summed up?"""
        return not self.sums and bool(self.loops) and self.loops[-1].extent == 2

    # ---- choices ---------------------------------------------------------------------------------

    def _vector(self) -> int:
        """The loop to vectorise: where the output is contiguous, unless its reduction's terms are
        contiguous along the last reduction variable instead (then that one is vectorised)."""
        for i, lp in enumerate(self.loops):
            if lp.stride != self.unit:
                continue
            for n in self.sums:
                last_id = n.arg[1][-1][0]
                inside = [x for x in toposort([n.src[0]]) if x.op == "load"]
                along = sum(any(v.op == "red" and v.arg == last_id and s == _together(x)
                                for v, s in x.arg.terms) for x in inside)  # fmt: skip
                across = sum(self._stride(x, lp.variable) not in (0, _together(x)) for x in inside)
                if along and across and not n.arg[0].startswith("arg") and n.arg[2] != "seq":
                    return -1
                if along and across and n.arg[0] in ("max", "min"):
                    return -1
            return i
        return -1

    def _columns(self) -> int:
        """The elements of a step along columns, if the body's reductions run down columns: 0, or
        as many vectors as there are columns for, up to four. Puts the columns' loop last."""
        sums = self.sums
        if not sums or not self.loops or any(s.arg[1] != sums[0].arg[1] for s in sums):
            return 0
        if any(len(self._moved_by(s)) < len(self.loops) for s in self.stores):
            return 0
        terms = 1
        for _, e in sums[0].arg[1]:
            terms *= int(e)
        if terms < 8 or len({"lanes" in s.arg[2] for s in sums}) > 1:
            return 0
        if any(s.arg[2] == "dot16pairs" for s in sums):  # rows come one after the other there
            return 0
        last = red(sums[0].arg[1][-1][0])
        score = dict.fromkeys((lp.variable for lp in self.loops), 0.0)
        for s in sums:
            inside = toposort([s.src[0]])
            if (
                s.arg[0].startswith("arg") or s.dtype.kind == "b"
                or any(n.op == "reduce" for n in inside)
            ):  # fmt: skip
                return 0
            for load in inside:
                if load.op == "load":
                    if load.arg.computed:
                        return 0
                    for variable, stride in load.arg.terms:
                        if variable in score:
                            score[variable] += stride == 1
        column = max(self.loops, key=lambda lp: score[lp.variable] + 0.5 * (lp.stride == 1))
        mine = {lp.variable for lp in self.loops}
        if not score[column.variable] or any(mine - _free(s) for s in sums):
            return 0
        if any(self._stride(n, last) == 1 and self._stride(n, column.variable) for n in self.loads):
            return 0  # rows lie across
        self.loops.remove(column)
        self.loops.append(column)
        n, vectors = value(column.extent), 4 if len(self.nodes) <= 40 else 2
        while vectors > 1 and n <= vectors // 2 * self.width:
            vectors //= 2
        return vectors * self.width

    def _square(self, vector: int) -> bool:
        """Is the nest walked in squares, because loads lie together along another loop than the
        results? Puts these two loops last."""
        if vector < 0 or self.sums or self.apart:
            return False
        if any(len(self._moved_by(s)) < len(self.loops) for s in self.stores):
            return False
        lane = self.loops[vector]
        turned = [
            (sum(turns(n, lp.variable, lane.variable) for n in self.loads), i, lp)
            for i, lp in enumerate(self.loops) if lp is not lane
        ]  # fmt: skip
        count, _, row = max(turned, default=(0, 0, lane))
        if not count or min(value(row.extent), value(lane.extent)) < self.width // 2:
            return False
        self.loops = [lp for lp in self.loops if lp is not row and lp is not lane] + [row, lane]
        return True

    def _kept(self, vector: int) -> list[tuple[Node, Node]]:
        """Costly parts of reductions' terms that the outputs need again along the same row."""
        if vector < 0 or vector + 1 < len(self.loops):
            return []
        if not any(n.op in COSTLY for n in self.nodes):
            return []
        row = self.loops[-1]
        if isinstance(row.extent, Sym) or row.extent > ROW:
            return []
        outside = toposort([s.body for s in self.stores], stop=lambda n: n.op == "reduce")
        wanted = set(outside)
        kept: list[tuple[Node, Node]] = []
        covered: set[Node] = set()
        for s in self.sums:
            kind, variables, order = s.arg[:3]
            last = red(variables[0][0])
            along = kind in ("max", "min") or "lanes" in order
            if len(variables) > 1 or not along or size_of(variables[0][1]) != row.extent:
                continue
            if _free(s) - {lp.variable for lp in self.loops[:-1]}:
                continue
            inside = toposort([s.src[0]], stop=lambda n: n.op == "reduce")
            varying, costly = {last}, set[Node]()
            for n in inside:
                loaded = n.op == "load" and any(v is last for v, _ in n.arg.terms)
                if loaded or any(m in varying for m in n.src):
                    varying.add(n)
                    if n.op in COSTLY or any(m in costly for m in n.src):
                        costly.add(n)
            for n in reversed(inside):
                if n in covered:
                    covered.update(n.src)
                elif n in costly and n.dtype.is_float:
                    other = renamed(n, last, row.variable)
                    if other in wanted:
                        covered.update(n.src)
                        if all(other is not known for _, known in kept):
                            kept.append((n, other))
        return kept

    def _streams(self, store: Store, vector: int) -> bool:
        """Is an output so large that it goes past the caches? Every vector must be aligned."""
        itemsize = 1 if store.body.dtype.kind == "b" else store.body.dtype.itemsize
        unit = 1 if store.part < 0 else 2
        lanes = min(64 // itemsize, unit * self.width)
        count = unit * itemsize
        for lp in self.loops:
            count *= value(lp.extent)
        if count < STREAM or vector < 0 or len(self._moved_by(store)) < len(self.loops):
            return False
        if store.stride(self.loops[vector].variable) != unit:
            return False
        others = [store.stride(lp.variable) for i, lp in enumerate(self.loops) if i != vector]
        others.append(store.offset)
        return all(
            part % lanes == 0
            for s in others
            for part in ((s.a, s.b) if isinstance(s, Sym) else (s,))
        )

    def _ahead(self) -> list[object]:
        """The large tensors that reductions read, if they do more than to add elements up: a
        processor expects that walk, and has room for it."""
        sizes = {lp.variable: value(lp.extent) for lp in self.loops}
        sizes.update((red(i), int(e)) for s in self.sums for i, e in s.arg[1])
        if all(s.src[0].op == "load" for s in self.sums):
            return []
        found: dict[object, None] = {}
        for load in toposort([s.src[0] for s in self.sums]):
            if load.op != "load" or load.arg.computed:
                continue
            count = load.dtype.itemsize
            for v, stride in load.arg.terms:
                count *= 1 if stride == 0 else sizes.get(v, 1)
            if count >= AHEAD:
                found[load.arg.ref] = None
        return list(found)

    def _parallel(self, vector: int) -> int:
        """How many leading loops are dealt out together: one or two, whatever their sizes, so that
        another shape is the same kernel."""
        if not self.loops or vector == 0:
            return len(self.loops[:1])
        limit = min(
            len(self.outer) if self.outer else len(self.loops),
            *(len(self._moved_by(s)) for s in self.stores),
        )
        if 0 <= vector < limit:
            limit = vector
        return min(2, max(1, limit))

    def work(self) -> int:
        """About how many element-operations the kernel performs."""
        n = 1
        for lp in self.loops:
            n *= value(lp.extent)
        total = n * len(self.nodes)
        for node in self.sums:
            terms = 1
            for _, e in node.arg[1]:
                terms *= int(e)
            repeats = 1
            free = _free(node)
            for lp in self.loops:
                if lp.variable in free:
                    repeats *= value(lp.extent)
            total += terms * repeats * len(toposort([node.src[0]]))
        return total

    def build(self, shared: Parameters | None = None) -> tuple[Nest, Parameters, bool]:
        """(kernel, its parameters, whether several threads share it).

        shared: of kernels with one argument block, which this one's are added to
        """
        params = shared or Parameters()
        columns = self._columns()
        vector = len(self.loops) - 1 if columns else self._vector()
        square = not columns and self._square(vector)
        if square:
            vector = len(self.loops) - 1
        parallel = len(self.loops) if columns or square else self._parallel(vector)
        places = []
        for store in self.stores:
            terms = tuple((lp.variable, store.stride(lp.variable)) for lp in self.loops
                          if lp.variable in self._moved_by(store))  # fmt: skip
            raw = Raw(store.ref, store.offset, terms, False, False, store.part)
            places.append(access(raw, params))
        loops = tuple((lp.variable, params.size(lp.extent)) for lp in self.loops)
        kept = self._kept(vector) if not columns and not square else []
        ahead = tuple(params.pointer(ref) for ref in self._ahead())
        pairs = [n for pair in kept for n in pair]
        n = len(self.stores)
        bodies = finished([*(s.body for s in self.stores), *pairs], params)
        outputs = tuple(
            Output(body, place, not columns and self._streams(store, vector), store.part == 0)
            for body, place, store in zip(bodies[:n], places, self.stores, strict=True)
        )
        nest = Nest(
            loops, vector, parallel, outputs, self.width, columns=columns,
            kept=tuple(zip(bodies[n::2], bodies[n + 1 :: 2])), square=square, ahead=ahead,
        )  # fmt: skip
        return nest, params, bool(parallel) and self.work() >= SERIAL


def _together(load: Node) -> int:
    """The stride between neighbours that are loaded as they lie."""
    return 1 if load.arg.part < 0 else 2


def _unit(variable: Node, reds: set[int]) -> bool:
    return variable.op == "red" and variable.arg in reds


def _free(node: Node) -> set[Node]:
    """Loop variables of loads and values inside, minus those bound inside."""
    names: set[Node] = set()
    bound: set[int] = set()
    for n in toposort([node]):
        if n.op in ("out", "red"):
            names.add(n)
        elif n.op == "load":
            names.update(v for v, _ in n.arg.terms)
        elif n.op == "reduce":
            bound |= {i for i, _ in n.arg[1]}
    return {v for v in names if not (v.op == "red" and v.arg in bound)}
