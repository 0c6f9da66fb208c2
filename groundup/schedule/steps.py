"""One stored tensor → one step of a plan: a kernel, its arguments, what it reads and writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..emit.kernel import Contraction, Kernel, Nest, Several
from ..ir.dtype import DType
from ..ir.extent import Extent
from ..ir.node import Node, loops, out, outs, read
from ..ir.record import fresh, frozen, record
from ..ir.transform import body_nodes, substitute
from ..ir.verify import verify
from .forms import form
from .fuse import Group, stored_behind
from .join import loops_of
from .layout import innermost, strides
from .lower import Lowering, Memory, Noted, Raw
from .machine import Machine
from .nests import SERIAL, NestBuilder, Parameters, Store
from .search import Search, search_in
from .sizes import Size, Sym, add, mul, row_major_strides, size_of, total, value
from .turn import turned
from .windows import written_out

if TYPE_CHECKING:
    from .chain import Link, Linked
    from .contract import Choice, Copies, Gather, Near, Problem
    from .residue import Part


@frozen
class Temp:
    """Temporary number `index` of a plan."""

    index: int


@frozen
class Result:
    """Result number `index` of a plan."""

    index: int


@record
class Step:
    """A kernel and what it touches; `words` resolve to numbers when the plan is bound."""

    kernel: Kernel
    words: list[object]
    parallel: int  # 0: for one thread; else a chunk for each (1), or some (2)
    writes: tuple[object, ...]  # one for each of its groups
    reads: set[object]
    groups: tuple[Group, ...]  # none for a copy
    shape: tuple[Size, ...] = ()
    checks: bool = False  # may note that an index is out of range
    scratch: object = None  # memory of its own, for as long as it runs
    links: tuple[Link, ...] = ()  # of a chain: what each of its parts computes
    gathered: Gather | None = None  # of a copy in the order of the loops of what comes next


@record
class Check:
    """A run-time check of an index, for the error message."""

    axis: int
    shape: tuple[int, ...]
    site: Any  # where it was written; in a plan its position in the graph, or None


# Is told of each contraction before it is added (see trials.meeting).
listener: Callable[[Builder, Group, Memory], None] | None = None

# A step apart from the memory it touches: kernel, words (with numbers of references), whether
# threads share it; of a packed copy also (which tensor, the rest of its key, bytes).
Lowered = tuple[Kernel, list[Any], int, tuple[int, list[Any], Size] | None]


@record
class Builder:
    """Turns groups into steps; makes the copies that contractions ask for."""

    machine: Machine
    memory: dict[Node, Memory]
    images: dict[tuple[int, int], tuple[int, ...]]
    updates: bool = False  # weights change in each run, so that nothing made of them stands
    repeats: Mapping[Node, int] = fresh(default_factory=dict)  # see `repeats`
    steps: list[Step] = fresh(default_factory=list)
    temps: list[Size] = fresh(default_factory=list)  # bytes of each
    copies: Copies = fresh(default_factory=dict)
    packed: dict[tuple[Any, ...], Temp] = fresh(default_factory=dict)
    checks: list[Check] = fresh(default_factory=list)
    forms: dict[object, list[Lowered]] = fresh(default_factory=dict)
    room: Temp | None = None  # for what threads copy or compute on their way
    # Tensors that their reader may compute itself (see prologue.py), with their places if not.
    waiting: dict[Node, tuple[Group, Memory]] = fresh(default_factory=dict)
    shared: int = 0  # copies of whole tensors, and earlier packed copies, that were asked for

    def layout(self, shape: tuple[int, ...]) -> tuple[Size, ...]:
        """Strides of a temporary: row-major, or an image's (see `images`)."""
        return strides(shape, self.images)

    def temporary(self, shape: tuple[int, ...], dtype: DType, strides: tuple[Size, ...]) -> Memory:
        sizes = tuple(size_of(s) for s in shape)
        self.temps.append(mul(total(sizes), dtype.itemsize))
        return Memory(Temp(len(self.temps) - 1), sizes, strides)

    def add(self, groups: list[Group], targets: list[Memory]) -> None:
        """Append the step (and copies before it) that computes groups into their targets.

        Groups that differ in nothing but which memory they read and write (equal layers) are
        lowered once.
        """
        if all(0 in g.shape and any(type(s) is int and s == 0 for s in g.shape) for g in groups):
            return  # there is nothing to compute
        if self.waiting:
            for t in [t for g in groups for t in map(stored_behind, g.reads) if t in self.waiting]:
                mine, home = self.waiting.pop(t)
                if self._computes(groups[0], targets[0], mine, home):
                    return
                self.add([mine], [home])
                self.memory[t] = home
        if listener is not None and len(groups) == 1 and _has_product(groups[0].reductions):
            listener(self, groups[0], targets[0])
        key, tensors, refs = form(groups, targets, self.memory, self.copies, self.repeats)
        known = self.forms.get(key)
        if known is not None:
            self._repeat(known, groups, targets, tensors, refs)
            return
        verify([loops(g.shape, g.body) for g in groups], inside=True)
        before = len(self.steps), len(self.temps), self.shared
        packed = len(self.packed)
        self._add(groups, targets)
        fresh = list(self.packed.items())[packed:]
        after = len(self.steps) - 1 - len(fresh), len(self.temps) - len(fresh), self.shared
        if before != after or any(s.checks for s in self.steps[before[0] :]):
            return
        place = {t: i for i, t in enumerate(tensors)}
        if any(packed[0] not in place for packed, _ in fresh):
            return
        copies: list[Any] = [(place[t], rest, self.temps[u.index]) for (t, *rest), u in fresh]
        refs += [("pointer", temp) for _, temp in fresh]
        number = {ref: i for i, ref in enumerate(refs)}
        lowered: list[Lowered] = []
        for s, copy in zip(self.steps[before[0] :], [*copies, None], strict=True):
            words = [("ref", number[w]) if w in number else w for w in s.words]
            lowered.append((s.kernel, words, s.parallel, copy))
        self.forms[key] = lowered

    def _repeat(
        self, known: list[Lowered], groups: list[Group], targets: list[Memory],
        tensors: list[Node], refs: list[object],
    ) -> None:  # fmt: skip
        """Append the steps of groups like some before, with their own memory."""
        for kernel, words, parallel, copy in known:
            places, mine = targets, groups
            if copy is not None:
                at, rest, size = copy
                packed = (tensors[at], *rest)
                temp = self.packed.get(packed)
                if temp is not None:
                    refs.append(("pointer", temp))
                    continue
                self.temps.append(size)
                temp = self.packed[packed] = Temp(len(self.temps) - 1)
                refs.append(("pointer", temp))
                places, mine = [Memory(temp, (), ())], []
            here = [refs[w[1]] if isinstance(w, tuple) and w[0] == "ref" else w for w in words]
            self.steps.append(_step(kernel, here, parallel, places, mine, False))

    def _add(self, groups: list[Group], targets: list[Memory]) -> None:
        if len(groups) == 1 and self._special(groups[0], targets[0]):
            return
        main, names = loops_of(groups)
        checks: list[Noted] = []
        stores = []
        memory = self.memory
        if len(groups) == 1:
            wanted = turned(main, targets[0], memory, self.machine.width)
            memory = {**memory, **{t: self.copy(t, axis) for t, axis in wanted.items()}}
        bodies = [substitute(g.body, own) for g, own in zip(groups, names, strict=True)]
        at = groups.index(main)
        axis = _axis_of_two(main.shape, targets[at].strides)
        if axis is not None and self._alternating(axis, bodies, names, groups, targets, memory):
            return
        for body, target, own in zip(bodies, targets, names, strict=True):
            low = Lowering(main.shape, body, memory, parts=True)
            checks += low.checks
            terms = tuple((own[out(i)], s) for i, s in enumerate(target.strides))
            stores.append(Store(low.result, target.ref, terms))
        sizes = tuple(size_of(s) for s in main.shape)
        builder = NestBuilder(sizes, stores, at, self.machine.width)
        if axis is not None and builder.narrow:
            self._alternating(axis, bodies, names, groups, targets, memory, always=True)
            return
        self._append_all(*builder.build(), targets, groups, checks)

    def _alternating(
        self, axis: int, bodies: list[Node], names: list[dict[Node, Node]], groups: list[Group],
        targets: list[Memory], memory: dict[Node, Memory], always: bool = False,
    ) -> bool:  # fmt: skip
        """Append the step that computes both parts along an axis of two in one pass, where they
        differ, or always."""
        from .alternate import differ, halves

        if not always and not any(differ(body, axis) for body in bodies):
            return False
        main, _ = loops_of(groups)
        checks: list[Noted] = []
        stores: list[Store] = []
        first = 0
        for group, body, target, own in zip(groups, bodies, targets, names, strict=True):
            if group is main:
                first = len(stores)
            terms = tuple((own[out(i)], s) for i, s in enumerate(target.strides))
            apart = next((s for v, s in terms if v is out(axis)), None)
            parts = halves(main.shape, body, axis)
            for k, part in enumerate(parts if apart is not None else parts[:1]):
                low = Lowering(part.shape, part.body, memory, checks=checks, parts=True)
                together = apart == 1
                offset = 0 if apart is None or together else mul(apart, k)
                store = Store(low.result, target.ref, terms, offset, k if together else -1)
                stores.append(store)
        sizes = tuple(size_of(s) for s in parts[0].shape)
        builder = NestBuilder(sizes, stores, first, self.machine.width, 2)
        self._append_all(*builder.build(), targets, groups, checks)
        return True

    def chain(self, linked: Linked, targets: dict[Node, Memory]) -> bool:
        """Append the step of a chain of kernels; False if it is none after all."""
        from .blocks import Blocks

        built = Blocks(linked, self, targets).build()
        if built is None:
            return False
        kernel, params, parallel = built
        groups = [x.groups[0] for x in linked.links if x.groups[0].node in targets]
        self._append_all(kernel, params, parallel, [targets[g.node] for g in groups], groups, [])
        step = self.steps[-1]
        step.links = tuple(linked.links)
        scratch = Temp(len(self.temps) - 1)
        step.reads.discard(scratch)
        step.scratch = scratch
        return True

    def scratch(self, size: Size) -> Temp:
        """Memory of a step's own, for as long as it runs."""
        self.temps.append(size)
        return Temp(len(self.temps) - 1)

    def _special(self, group: Group, target: Memory) -> bool:
        """Append the steps of what has a form of its own, if the group is that."""
        if group.node.op == "scan":
            from .scan import build

            self._append(*build(group, target, self.memory, self.machine.width))
            return True
        if group.node.op == "argsort":
            from .argsort import build as build_argsort

            scratch = Temp(len(self.temps))
            *step, size = build_argsort(group, target, self.memory, scratch)
            self.temps.append(size)
            self._append(*step)
            self.steps[-1].reads.discard(scratch)
            self.steps[-1].scratch = scratch
            return True
        if _has_product(group.reductions) and self._contraction(group, target):
            return True
        if any(n.op == "mod" for n in body_nodes(group.body)) and self._residues(group, target):
            return True
        if group.body.op == "where" and self._beside(group, target):
            return True
        found = search_in(group.body)
        return found is not None and self._scatter(found, group, target)

    def _scatter(self, found: Search, group: Group, target: Memory) -> bool:
        """Append the two steps of a search by data: positions in order by row, and the rows."""
        from .scatter import SegmentBuilder, placing, ranks

        placed = placing(found, group, self.memory, target, self.machine.width)
        if placed is not None:
            self._append(*placed)
            return True
        table = Temp(len(self.temps))
        try:
            segments = SegmentBuilder(
                found, group.shape, group.body, self.memory, target, table, self.machine.width
            )
        except IndexError:  # only the search itself keeps a read inside its tensor
            return False
        order = ranks(found, group.shape, self.memory, table)
        if order is None:
            return False
        kernel, params, low, size = order
        self.temps.append(size)
        self._append(kernel, params, False, Memory(table, (), ()), None, low.checks)
        self._append(*segments.build(), target, group, segments.low.checks)
        return True

    def _contraction(self, group: Group, target: Memory) -> bool:
        """Append the steps of a sum of products in register tiles, if it is one that gains; plain
        loops for those of its residues that have no terms."""
        from .residue import residues  # a first result without products should not wait for it

        parts = residues(group.shape, group.body)
        tiled = [part for part in parts if _has_product(body_nodes(part.body))]
        chosen = [self._choose(part, target, len(parts) > 1) for part in tiled]
        if any(c is None for c in chosen):
            return False
        params = Parameters()
        kernels: list[Contraction | Nest] = []
        checks: list[Noted] = []
        parallel = False
        for pair in chosen:
            assert pair is not None
            problem, choice = pair
            rows = self.pack(problem, choice, True) if choice.pack_rows else None
            near = self._near(problem, choice) if choice.near else None
            packed = choice.pack and not choice.near
            panels = self.pack(problem, choice, False) if packed else None
            waiting = self._waiting(problem, choice) if choice.block else None
            kernel, several = problem.build(choice, rows, panels, params, waiting, near)
            kernels.append(kernel)
            parallel = parallel or several
            checks += problem.checks
        if len(tiled) < len(parts):
            rest = [part for part in parts if part not in tiled]
            nests, several = self._nests(rest, target, params, checks)
            kernels += nests
            parallel = (parallel or several) and all(k.parallel for k in nests)
        kernel_ = kernels[0] if len(kernels) == 1 else Several(tuple(kernels))
        self._append(kernel_, params, parallel, target, group, checks)
        return True

    def _computes(
        self, group: Group, target: Memory, mine: Group, place: Memory
    ) -> bool:  # fmt: skip
        """Append the step of a product that computes one of its operands itself, if that pays."""
        from .contract import Problem
        from .prologue import chosen, computed, room
        from .residue import residues

        (site,) = group.reads[mine.node]
        body = computed(mine, site, self.memory)
        if body is None or len(residues(group.shape, group.body)) > 1:
            return False
        problem = Problem(
            group.shape, group.body, {**self.memory, mine.node: place}, target,
            self.machine, self.copies, repeats=self.repeats, prologue=(site, body),
            updates=self.updates,
        )  # fmt: skip
        choice = chosen(problem) if problem.valid else None
        if choice is None:
            return False
        params = Parameters()
        made = room(problem, choice, self._room(0), self.machine.slots)
        self._room(made.size * made.slots)
        panels = self.pack(problem, choice, False) if choice.pack else None
        waiting = self._waiting(problem, choice) if choice.block else None
        kernel, several = problem.build(choice, None, panels, params, waiting, made=made)
        self._append_all(kernel, params, several, [target], [group, mine], problem.checks)
        return True

    def _choose(self, part: Part, target: Memory, several: bool) -> tuple[Problem, Choice] | None:
        """How to run one part of a contraction; copies that it asks for are made."""
        from .contract import SMALL, Problem
        from .tiles import choose

        memory, body = self.memory, part.body
        place, offset = positions(part, target) if several else (target, 0)
        for _ in range(4):
            problem = Problem(
                part.shape, body, memory, place, self.machine, self.copies, offset,
                0 if several else SMALL, repeats=self.repeats, updates=self.updates,
            )  # fmt: skip
            choice = choose(problem) if problem.valid else None
            if choice is None or choice.repack is None:
                return None if choice is None else (problem, choice)
            if isinstance(choice.repack, tuple):
                tensor, axis = choice.repack
                memory = {**memory, tensor: self.copy(tensor, axis)}
                continue
            gather = choice.repack
            memory = {**memory, gather.node: self.gather(gather)}
            body = substitute(body, {gather.read: read(gather.node, *gather.loops)})
        return None

    def _near(self, problem: Problem, choice: Choice) -> Near:
        """Memory for the panels that threads copy on their way."""
        from .pack import near

        found = near(problem, choice, self._room(0), self.machine.slots)
        whole = mul(found.size, found.slots)
        if isinstance(whole, Sym):  # no larger one is known
            self.temps.append(whole)
            return near(problem, choice, Temp(len(self.temps) - 1), self.machine.slots)
        self._room(whole)
        return found

    def _room(self, size: int) -> Temp:
        """Memory for what threads copy or compute on their way, of at least so many bytes: one
        place for all steps, of which one runs at a time."""
        if self.room is None:
            self.temps.append(0)
            self.room = Temp(len(self.temps) - 1)
        self.temps[self.room.index] = max(value(self.temps[self.room.index]), size)
        return self.room

    def _residues(self, group: Group, target: Memory) -> bool:
        """Append the step of a strided sum that is none of products, if it is one: plain loops for
        the residues; those of one shape share them, and what they read."""
        from .residue import residues

        parts = residues(group.shape, group.body)
        if len(parts) == 1 or any(n.arg[2].startswith("dot") for n in group.reductions):
            return False
        self._apart(parts, group, target)
        return True

    def _beside(self, group: Group, target: Memory) -> bool:
        """Append the step of what is put together along its fastest axis, if it is one: plain loops
        for the pieces; those of one shape share them."""
        from .beside import pieces

        two = _axis_of_two(group.shape, target.strides)
        unit = 1 if two is None else 2  # pairs are put together along the axis before
        axis = next((i for i, s in enumerate(target.strides) if s == unit), None)
        parts = [] if axis is None else pieces(group.shape, group.body, axis)
        if parts:
            self._apart(parts, group, target, two)
        return bool(parts)

    def _apart(
        self, parts: list[Part], group: Group, target: Memory, two: int | None = None
    ) -> None:
        """Append the step that computes a tensor in parts; `two`: its fastest axis of two."""
        params = Parameters()
        checks: list[Noted] = []
        if two is not None:
            from .alternate import differ

            two = two if differ(group.body, two) else None
        kernels, parallel = self._nests(parts, target, params, checks, two)
        kernel = kernels[0] if len(kernels) == 1 else Several(tuple(kernels))
        self._append(kernel, params, parallel, target, group, checks)

    def _nests(
        self, parts: list[Part], target: Memory, params: Parameters, checks: list[Noted],
        two: int | None = None,
    ) -> tuple[list[Nest], bool]:  # fmt: skip
        """(plain loops for residues, whether threads share them): those of one shape share their
        loops, and what they read. two: an axis of two whose positions alternate."""
        from .alternate import halves

        unit = next((step for s, step in zip(target.strides, parts[0].steps) if s == 1), 1)
        unit = unit if two is None else 2
        shapes: dict[tuple[int, ...], list[Store]] = {}
        for part in parts:
            place, offset = positions(part, target)
            terms = tuple((out(i), s) for i, s in enumerate(place.strides))
            both = [part] if two is None else halves(part.shape, part.body, two)
            for k, half in enumerate(both):
                body, apart = written_out(half.body), two is not None
                low = Lowering(half.shape, body, self.memory, checks=checks, parts=apart)
                store = Store(low.result, target.ref, terms, offset, k if apart else -1)
                shapes.setdefault(half.shape, []).append(store)
        kernels, work = list[Nest](), 0
        for shape, stores in shapes.items():
            sizes = tuple(size_of(s) for s in shape)
            builder = NestBuilder(sizes, stores, 0, self.machine.width, unit)
            work += builder.work()
            kernels.append(builder.build(params)[0])
        return kernels, work >= SERIAL and all(k.parallel for k in kernels)

    def _waiting(self, problem: Problem, choice: Choice) -> Temp:
        """Memory for the sums of all tiles between two blocks of the reduction."""
        tile = choice.vectors * problem.lane_count
        columns = problem.extents[choice.n]
        # A runtime size may be larger than now: the last tile is partly beyond it.
        count = add(columns, tile) if isinstance(columns, Sym) else -(-columns // tile) * tile
        count = mul(count, problem.sum.dtype.itemsize)
        for v, e in problem.extents.items():
            if v is choice.m:  # tiles hold `rows` rows each, the single ones at the end too
                room = choice.rows * (choice.rows + 1)
                count = mul(count, add(e, room) if isinstance(e, Sym) else -(-e // choice.rows)
                            * choice.rows)  # fmt: skip
            elif v.op == "out" and v is not choice.n:
                count = mul(count, e)
        self.temps.append(count)
        return Temp(len(self.temps) - 1)

    def pack(self, problem: Problem, choice: Choice, rows: bool) -> Raw:
        """Append the copy of an operand that a choice asks for, made once; where its elements lie
        then."""
        from .pack import Packing

        packing = Packing(problem, choice, self.memory, rows)
        known = self.packed.get(packing.key)
        self.shared += known is not None
        if known is None:
            self.temps.append(packing.bytes)
            known = self.packed[packing.key] = Temp(len(self.temps) - 1)
            kernel, params, parallel = packing.build(known, self.machine.width)
            place = Memory(known, (), ())
            self._append(kernel, params, parallel, place, None, [])
        return packing.raw(known)

    def copy(self, tensor: Node, axis: int) -> Memory:
        """A copy of a tensor with one axis innermost, made once."""
        sizes = tuple(size_of(s) for s in tensor.shape)
        body = read(tensor, *outs(tensor.ndim))
        return self._copy(tensor, axis, tensor.shape, body, innermost(sizes, axis))

    def gather(self, wanted: Gather) -> Memory:
        """A copy of an operand in the order of its loops, made once."""
        tensor, node, count = wanted.read.src[0], wanted.node, len(self.steps)
        strides = row_major_strides(tuple(size_of(s) for s in node.shape))
        known = self._copy(tensor, wanted.key, node.shape, node.src[0], strides)
        for step in self.steps[count:]:
            step.gathered = wanted
        return known

    def _copy(
        self, tensor: Node, key: object, shape: tuple[int, ...], body: Node,
        strides: tuple[Size, ...],
    ) -> Memory:  # fmt: skip
        self.shared += 1
        copies = self.copies.setdefault(tensor, {})
        if key not in copies:
            known = copies[key] = self.temporary(shape, tensor.dtype, strides)
            low = Lowering(shape, body, self.memory, trusted=True)
            terms = tuple((out(i), s) for i, s in enumerate(known.strides))
            store = Store(low.result, known.ref, terms)
            built = NestBuilder(known.shape, [store], 0, self.machine.width).build()
            self._append(*built, known, None, [])
        return copies[key]

    def _append(
        self, kernel: Kernel, params: Parameters, parallel: bool, target: Memory,
        group: Group | None, checks: list[Noted],
    ) -> None:  # fmt: skip
        groups = [] if group is None else [group]
        self._append_all(kernel, params, parallel, [target], groups, checks)

    def _append_all(
        self, kernel: Kernel, params: Parameters, parallel: bool, targets: list[Memory],
        groups: list[Group], checks: list[Noted],
    ) -> None:  # fmt: skip
        words = list(params.words)
        base = len(self.checks)
        self.checks += [Check(*c) for c in checks]
        words = [base + w[1] if isinstance(w, tuple) and w[0] == "check" else w for w in words]
        self.steps.append(_step(kernel, words, parallel, targets, groups, bool(checks)))


def _axis_of_two(shape: tuple[int, ...], strides: tuple[Size, ...]) -> int | None:
    """The fastest axis, if it has two positions."""
    for axis, (size, stride) in enumerate(zip(shape, strides, strict=True)):
        if size == 2 and stride == 1 and not isinstance(size, Extent):
            return axis
    return None


def _step(
    kernel: Kernel, words: list[object], parallel: int, targets: list[Memory],
    groups: list[Group], checks: bool,
) -> Step:  # fmt: skip
    reads = {w[1] for w in words if isinstance(w, tuple) and w[0] == "pointer"}
    writes, shape = tuple(t.ref for t in targets), targets[0].shape
    share = 0 if not parallel else 1 if _walks_all(kernel) else 2
    return Step(kernel, words, share, writes, reads - {*writes}, tuple(groups), shape, checks)


def _walks_all(kernel: Kernel) -> bool:
    """Does each chunk walk through all that the kernel reads, however small its part of the
    results: the blocks of a sum, the rows of columns?"""
    if isinstance(kernel, Several):
        return any(map(_walks_all, kernel.parts))
    if isinstance(kernel, Contraction):
        return kernel.block is not None
    return isinstance(kernel, Nest) and bool(kernel.columns)


def positions(part: Part, target: Memory) -> tuple[Memory, Size]:
    """Where the elements of a residue's part lie in the whole, and the offset of its first."""
    strides = tuple(mul(s, step) for s, step in zip(target.strides, part.steps))
    offset: Size = 0
    for s, start in zip(target.strides, part.starts):
        offset = add(offset, mul(s, start))
    return Memory(target.ref, tuple(size_of(s) for s in part.shape), strides), offset


def _has_product(nodes: Iterable[Node]) -> bool:
    return any(n.op == "reduce" and n.arg[2].startswith("dot") for n in nodes)
