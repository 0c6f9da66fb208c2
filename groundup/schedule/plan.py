"""A plan: a graph cut into kernels, compiled, with its memory laid out; runs as one native call.

Equal graphs share one plan, whatever memory they read, for a range of values of their runtime
size. Must not know Tensor.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol

from .. import runtime
from ..emit import llvm
from ..emit.fingerprint import fingerprint
from ..emit.kernel import Chain, Kernel, Nest, Placing, Several
from ..ir.extent import product, symbolic_key
from ..ir.node import Node, outs
from ..ir.outside import OutOfRange, sites_in
from ..ir.record import record, replace
from ..ir.transform import COMPUTED, body_nodes
from ..ir.verify import verify
from ..runtime import Buffer, pool
from . import kept
from .arrange import arrange, most_alive
from .chain import Linked, link
from .checks import first_checks
from .forms import repeats
from .fuse import Group, fuse, stored_behind
from .join import join
from .layout import images
from .line import in_order, lives_of
from .lower import Memory
from .machine import machine
from .order import Canonical, Slot, canonical
from .prologue import candidates
from .signature import Signature
from .sizes import ENDLESS, Size, Sym, row_major_strides, size_of, value
from .steps import Builder, Check, Result, Step, Temp
from .windows import written_out

if TYPE_CHECKING:
    from .once import Once

_compiled: weakref.WeakValueDictionary[Kernel, runtime.Address] = weakref.WeakValueDictionary()
ALIGN = 64
_ENDLESS = 1 << 61  # elements: of 8 bytes each, as many as there are addresses
SHARED = 1 << 20  # bytes: arenas up to this size are one block
NEAR = 8  # by so much a runtime size may grow or shrink under one plan
# Several orders are tried from so many bytes of temporaries on, up to so many steps (one takes
# some 20 µs a step).
WORTH, MOST = 16 << 20, 4096
# Threads of a program's step by `Step.parallel`: one; all, a chunk for each; all, some for each.
THREADS = (1, pool.MAX_THREADS, 0)


def compiled(kernels: Sequence[Kernel]) -> list[runtime.Address]:
    """The addresses of kernels' code; equal kernels compile once, and new ones together."""
    mine = {id(k): k for k in kernels}  # equal layers share one object: few are compared
    found = {k: _compiled.get(k) for k in mine.values()}
    new = [k for k, address in found.items() if address is None]
    made = dict(zip(new, runtime.all_functions([_source(k) for k in new]), strict=True))
    _compiled.update(made)
    addresses = {i: found[k] or made[k] for i, k in mine.items()}
    return [addresses[id(k)] for k in kernels]


def _source(kernel: Kernel) -> runtime.Source:
    """A kernel for the runtime: what names it, and how its IR is written if it must be."""
    name = fingerprint(kernel)
    if name is None:
        text = llvm.emit(kernel)
        return runtime.Source(text, lambda: text, llvm.SYMBOL)
    return runtime.Source(name, lambda: llvm.emit(kernel), llvm.SYMBOL)


_Places = list[tuple[Any, int]]  # (words array, position) of each place that holds one pointer


@record
class Bound:
    """A plan with numbers for its runtime size: a program and where pointers go in it."""

    program: runtime.Program
    patches: list[tuple[int, int, _Places]]  # (input, result or kept: 0, 1, 2; number; places)
    homes: list[tuple[int, _Places]]  # of temporaries: (offset in the arena, places)
    temps: dict[int, int]  # temporary → offset in the arena
    sizes: dict[int, int]  # temporary → bytes
    arena: int  # bytes
    live: int  # bytes: the largest sum of temporaries alive at once
    results: list[int]  # bytes of each
    addresses: list[int]  # of all inputs, results and kept memory, as they are in the words now
    at: list[_Places]  # where each of these goes; none before the first run
    arena_at: int  # the arena's address now in the words
    plan: weakref.ref[Plan]
    numbers: Sequence[int]  # which of the plan's steps these are
    n: int | None  # the runtime size


class Plan:
    """Compiled form of one graph. `run` takes the graph's buffers in order of appearance.

    recall: a plan that lies on disk will do, and a new one is put there (see kept). Such a plan
    holds what runs, not the expressions that it was made of.
    """

    weight = 0  # of memory that it takes, among the plans that are remembered
    segmented = False  # is it the last of several, between which Python runs host operations?

    def __init__(
        self, signature: Signature, roots: Sequence[Node], into: Sequence[int | None],
        recall: bool = False,
    ) -> None:  # fmt: skip
        self.hint = signature.n  # the runtime size of the graph that was scheduled
        self.least, self.most = 0, ENDLESS  # the runtime sizes that it is for
        self.into = tuple(into)
        self.bound: dict[int | None, Bound] = {}
        self.copies: list[tuple[int, int]] = []  # (result, equal earlier result)
        name, parts = kept.find(signature, into) if recall else (None, None)
        self.bare = recall
        if parts is not None:
            (self.hint, self.least, self.most, self.steps, self.addresses, self.temps,
             self.checks, self.copies, self.donated, self.bytes) = parts  # fmt: skip
            return
        _refuse_endless(signature.order)
        slots = {handle: i for i, handle in enumerate(signature.buffers)}
        graph = canonical(signature.order, slots, signature.symbol is not None)
        if self.hint is not None and signature.symbol is not None and not signature.symbol.loose:
            span = graph.span
            self.least = max(span.least, self.hint // NEAR)
            self.most = min(span.most, self.hint * NEAR)
        verify(graph.fresh, inside=True)
        self.roots = [graph.of[r] for r in roots]
        self.bytes = [_bytes(r.shape, r.dtype.itemsize) for r in self.roots]
        groups = self._groups(graph)
        self.steps, self.temps, self.checks = self._lower(groups)
        at = {id(p.site): p.position for p in sites_in(signature.order)}
        for check in self.checks:  # a graph that shares the plan has its own sites
            check.site = at.get(id(check.site))
        self.donated = self._donate(into)
        self.addresses = compiled([s.kernel for s in self.steps])
        if name is not None:
            kernels = {id(s.kernel): s.kernel for s in self.steps}
            sources = {i: _source(k) for i, k in kernels.items()}
            kept.keep(name, self._parts(), [sources[id(s.kernel)] for s in self.steps])
        if recall:
            nothing: Any = None
            for step in self.steps:
                step.kernel, step.groups, step.gathered = nothing, (), None
            del self.roots, self.result_of

    def _parts(self) -> kept.Parts:
        return kept.Parts(
            self.hint, self.least, self.most, self.steps, self.addresses, self.temps,
            self.checks, self.copies, self.donated, self.bytes,
        )  # fmt: skip

    def serves(self, n: int | None) -> bool:
        """Is it for graphs with this runtime size? All others are of the order that the sums of
        such a graph have, or so much larger or smaller that they want kernels of their own."""
        return n is None or self.least <= n <= self.most

    def whole(self, roots: Sequence[Node]) -> Plan:
        """The plan with the kernels and loop nests of its steps, which a bare one lacks, for
        people to look at."""
        return Plan(Signature(roots), roots, self.into) if self.bare else self

    # ---- building --------------------------------------------------------------------------------

    def _groups(self, graph: Canonical) -> list[Group]:
        """Fuse; remember which stored tensor is which result."""
        self.result_of: dict[Node, int] = {}
        targets: list[Node] = []
        plain = {r for r in self.roots if r.op in COMPUTED}
        for i, root in enumerate(self.roots):
            base = stored_behind(root)
            node = base if base.op in COMPUTED and base not in plain else root
            if node in self.result_of:
                self.copies.append((i, self.result_of[node]))
                continue
            self.result_of[node] = i
            targets.append(node)
        groups = fuse(targets, graph.behind(targets), graph.form_of)
        for group in groups:
            if group.reductions:
                body = written_out(group.body, group.reductions)
                if body is not group.body:
                    group.body = body
                    group.refresh()
        return groups

    def _lower(self, groups: list[Group]) -> tuple[list[Step], list[Size], list[Check]]:
        memory: dict[Node, Memory] = {}
        for g in groups:
            for t in g.reads:
                base = stored_behind(t)
                if base.op == "buffer":
                    memory[base] = _row_major(base.value, base.shape)
        updates = any(slot is not None for slot in self.into)
        builder = Builder(machine(), memory, images(groups), updates)

        known: dict[object, tuple[tuple[Size, ...], tuple[int, ...]]] = {}

        def layout(g: Group) -> tuple[tuple[Size, ...], tuple[int, ...]]:
            """A tensor's strides, and its axes as they lie, the last one fastest."""
            shape, result = g.node.shape, g.node in self.result_of
            found = known.get((shape, symbolic_key(shape), result))
            if found is None:
                plain = row_major_strides(tuple(size_of(s) for s in shape))
                step = plain if result else builder.layout(shape)
                order = tuple(sorted(range(len(step)), key=lambda i: -value(step[i])))
                found = known[shape, symbolic_key(shape), result] = step, order
            return found

        updated = {n for n, i in self.result_of.items() if self.into[i] is not None}
        kernels = join(groups, set(self.result_of), updated, lambda g: layout(g)[1])

        def add(kernel: list[Group]) -> None:
            places = [place(g) for g in kernel]
            builder.add(kernel, places)
            memory.update(
                (g.node, p) for g, p in zip(kernel, places, strict=True) if g.node.op != "buffer"
            )

        def place(g: Group) -> Memory:
            number = self.result_of.get(g.node)
            if number is not None:
                return _row_major(Result(number), g.node.shape)
            return builder.temporary(g.node.shape, g.node.dtype, layout(g)[0])

        linked = list(link(kernels, set(self.result_of)))
        computable = candidates(linked, set(self.result_of))
        builder.repeats = repeats([g for k in linked if not isinstance(k, Linked) for g in k])
        for kernel in linked:
            if not isinstance(kernel, Linked):
                if kernel[0].node in computable:
                    builder.waiting[kernel[0].node] = kernel[0], place(kernel[0])
                else:
                    add(kernel)
                continue
            targets = {g.node: place(g) for x in kernel.sinks.values() for g in x.groups}
            if builder.chain(kernel, targets):
                memory.update(targets)
                continue
            for x in kernel.links:  # one after the other
                if x.groups[0].node not in memory:
                    add(x.groups)
        return builder.steps, builder.temps, builder.checks

    def _donate(self, into: Sequence[int | None]) -> dict[int, int]:
        """Put the steps in order; which results may overwrite the input they replace, {result:
        slot}.

        Such a step comes after every other that reads the old value, and may read it only at the
        place that it writes. It also comes after every check of an index, and does nothing when one
        has failed: the old value is still there when the error is raised.
        """
        checking = first_checks(self.steps)
        readers: dict[object, list[Step]] = {}
        for step in self.steps:
            for ref in step.reads:
                readers.setdefault(ref, []).append(step)
        wish = {i: s for i, s in enumerate(into) if s is not None}
        for i, j in self.copies:
            wish.pop(i, None)
            wish.pop(j, None)
        donated: dict[int, int] = {}
        waits: dict[Step, set[Step]] = {}
        taken: set[int] = set()
        for step in self.steps:
            for ref in step.writes:
                if not isinstance(ref, Result):
                    continue
                slot = wish.get(ref.index)
                if slot is None or slot in taken or not _reads_in_place(step, ref, Slot(slot)):
                    continue
                donated[ref.index] = slot
                taken.add(slot)
                earlier = {s for s in readers.get(Slot(slot), ()) if s is not step}
                waits[step] = waits.get(step, set()) | earlier
        self.steps, given_up = self._least_memory(waits, checking)
        for step in given_up:
            for ref in step.writes:
                if isinstance(ref, Result):
                    donated.pop(ref.index, None)
        for step in waits.keys() - set(given_up):
            kernel = step.kernel
            # What is overwritten has been read: it is in the caches.
            if isinstance(kernel, Nest):
                step.kernel = kernel = _cached(kernel)
            elif isinstance(kernel, Several):
                parts = tuple(_cached(p) if isinstance(p, Nest) else p for p in kernel.parts)
                step.kernel = kernel = replace(kernel, parts=parts)
            if checking:
                step.kernel = replace(kernel, careful=True)
        return donated

    def _least_memory(
        self, waits: dict[Step, set[Step]], checking: list[Step]
    ) -> tuple[list[Step], list[Step]]:
        """The steps in that order, of a few, whose temporaries need the least memory at once."""
        sizes = {Temp(i): value(t, self.hint) for i, t in enumerate(self.temps)}
        best = in_order(self.steps, waits, checking)
        if sum(sizes.values()) < WORTH or len(self.steps) > MOST:
            return best
        least = self._alive(best[0])
        for small in (0.0, 0.25):
            other = in_order(self.steps, waits, checking, sizes, small)
            alive = self._alive(other[0])
            if alive < least and len(other[1]) <= len(best[1]):
                best, least = other, alive
        return best

    def _alive(self, steps: Sequence[Step]) -> int:
        lives = lives_of(steps)
        return most_alive({t: value(self.temps[t], self.hint) for t in lives}, lives)

    # ---- binding ---------------------------------------------------------------------------------

    def bind(self, n: int | None) -> Bound:
        """The program for one value of the runtime size."""
        known = self.bound.get(n)
        if known is None:
            known = self.bound[n] = self.assemble(range(len(self.steps)), n, {})
        return known

    def assemble(
        self, numbers: Sequence[int], n: int | None, kept: Mapping[int, int]
    ) -> Bound:
        """The program of some steps; `kept`: temporaries that lie in memory given at each run, and
        its number there."""
        chosen = [self.steps[i] for i in numbers]
        temps, sizes, arena, live = self._arrange(chosen, n, kept)
        steps = []
        places: list[tuple[int, int, object]] = []  # of the status block (None), or of memory
        for i, (number, step) in enumerate(zip(numbers, chosen)):
            words = []
            for j, w in enumerate(step.words):
                if isinstance(w, _NUMBERS):
                    words.append(value(w, n))
                else:
                    places.append((i, j, w[1] if isinstance(w, tuple) else None))
                    words.append(0)
            steps.append((self.addresses[number], words, THREADS[step.parallel]))
        program = runtime.Program(steps)
        arrays = [program.words(i) for i in range(len(steps))]
        pointers: dict[object, _Places] = {}
        for i, j, ref in places:
            if ref is None:
                arrays[i][j] = program.status_address
            else:
                pointers.setdefault(ref, []).append((arrays[i], j))
        patches: list[tuple[int, int, _Places]] = []
        homes: list[tuple[int, _Places]] = []
        for ref, at in pointers.items():
            if isinstance(ref, Temp) and ref.index in kept:
                patches.append((2, kept[ref.index], at))
            elif isinstance(ref, Temp):
                homes.append((temps[ref.index], at))
            else:
                assert isinstance(ref, (Slot, Result))
                patches.append((int(isinstance(ref, Result)), ref.index, at))
        return Bound(
            program, patches, homes, temps, sizes, arena, live,
            [value(size, n) for size in self.bytes], [], [], 0, weakref.ref(self), numbers, n,
        )  # fmt: skip

    def _arrange(
        self, steps: Sequence[Step], n: int | None, kept: Mapping[int, int]
    ) -> tuple[dict[int, int], dict[int, int], int, int]:
        """(offset of each temporary, its bytes, bytes of the arena, most bytes alive at once)."""
        lives = lives_of(steps, kept)
        sizes = {t: -(-value(self.temps[t], n) // ALIGN) * ALIGN for t in lives}
        offsets, arena = arrange(sizes, lives)
        return offsets, sizes, arena, most_alive(sizes, lives)

    # ---- running ---------------------------------------------------------------------------------

    def run(
        self, buffers: Sequence[Buffer], n: int | None,
        free: Sequence[Buffer | None], once: Once | None = None,
    ) -> list[Buffer]:  # fmt: skip
        """Results in fresh memory, or in that of the inputs they replace (`free`); `once`: what
        need not be computed again."""
        bound = self.bound.get(n) or self.bind(n)
        donated = self.donated
        if donated:
            results: list[Buffer] = []
            for i, size in enumerate(bound.results):
                old = free[i] if i in donated else None
                results.append(old if old is not None else Buffer(size))
        else:
            results = list(map(Buffer, bound.results))
        with pool.lock:
            kept: Sequence[Buffer] = ()
            if once is not None:
                bound, kept = once.rest(n), once.filled(buffers)
            status = run_bound(bound, (buffers, results, kept))
        if status:
            raise self.fault(status)
        for i, j in self.copies:
            results[i].memoryview()[:] = results[j].memoryview()
        return results

    def fault(self, status: tuple[int, ...]) -> OutOfRange:
        """What a run's status block says; who has the graph adds where the index was written."""
        check = self.checks[status[0] - 1]
        return OutOfRange(status[1], check.axis, check.shape, status[2], check.site)


def _refuse_endless(order: Sequence[Node]) -> None:
    """Raise where there are more elements, or terms of a sum, than 64 bits can count."""
    for node in order:
        sizes = tuple(e for _, e in node.arg[1]) if node.op == "reduce" else node.shape
        if sizes and product(sizes) >= _ENDLESS:
            what = "a sum over" if node.op == "reduce" else "a tensor of"
            raise MemoryError(
                f"{what} {' × '.join(str(int(s)) for s in sizes)} elements, more than any address "
                f"can reach; is a size wrong?" + (f"\n  at {node.line}" if node.line else "")
            )


class Watcher(Protocol):
    """What looks at each run of a plan, and runs it in its own way (`gu.profile`)."""

    def meet(self, plan: Plan, roots: Sequence[Node]) -> None:
        """Called before a plan runs, with the graph that it was made of; not for captured ones."""

    def run(self, bound: Bound) -> None:
        """Runs some of a plan's steps; called instead of the program's own `run`."""


watcher: Watcher | None = None


def run_bound(bound: Bound, given: Sequence[Sequence[Buffer]]) -> tuple[int, ...]:
    """Run a program on its inputs, results and kept memory; its status block where that says
    something. The caller holds the pool's lock."""
    addresses = list(map(_address, chain.from_iterable(given)))
    arena = _arena(bound.arena) if bound.homes else None
    if addresses != bound.addresses:
        if not bound.at:
            first = (0, len(given[0]), len(given[0]) + len(given[1]))
            bound.at = [[] for _ in addresses]
            for kind, index, places in bound.patches:
                bound.at[first[kind] + index] = places
        patch(bound, addresses)
    if arena is not None and bound.arena_at != arena.address:
        bound.arena_at = arena.address
        for offset, places in bound.homes:
            for array, j in places:
                array[j] = arena.address + offset
    if watcher is not None:
        watcher.run(bound)
        return bound.program.status if bound.program.status[0] else ()
    return bound.program.status if bound.program.go() else ()


def patch(bound: Bound, addresses: list[int]) -> None:
    """Write the addresses that are others than in the last run."""
    before = bound.addresses or [0] * len(addresses)
    for places, old, new in zip(bound.at, before, addresses):
        if old != new:
            for array, j in places:
                array[j] = new
    bound.addresses = addresses


def settled(bound: Bound) -> bool:
    """Has it run, and do its temporaries lie where they will lie in each run?"""
    home = not bound.homes or (
        bound.arena <= SHARED and bound.arena_at == _arena(bound.arena).address
    )
    return home and bool(bound.at)


_address = attrgetter("address")
_NUMBERS = (int, Sym)  # words that do not depend on where memory lies
_small: list[Buffer] = []


def _arena(size: int) -> Buffer:
    """Memory for temporaries while one program runs: one program runs at a time, so small ones
    share a block, and find their temporaries where they were."""
    if size > SHARED:
        return Buffer(size)
    if not _small:
        _small.append(Buffer(SHARED))
    return _small[0]


def _cached(kernel: Nest) -> Nest:
    """The same loops, writing through the caches."""
    return replace(kernel, outputs=tuple(replace(o, stream=False) for o in kernel.outputs))


def _bytes(shape: tuple[int, ...], itemsize: int) -> Size:
    from .sizes import mul

    return mul(size_of(product(shape)), itemsize)


def _row_major(ref: object, shape: tuple[int, ...]) -> Memory:
    sizes = tuple(size_of(s) for s in shape)
    return Memory(ref, sizes, row_major_strides(sizes))


def _reads_in_place(step: Step, target: Result, slot: Slot) -> bool:
    """Does a step read this input only at the element of `target` that it writes?"""
    if not step.groups or any(g.node.op == "argsort" for g in step.groups):
        return False
    if slot not in step.reads:
        return True
    if isinstance(step.kernel, (Placing, Chain)):  # it reads again when it has written
        return False
    shape = step.groups[step.writes.index(target)].shape
    if any(t for g in step.groups[len(step.writes) :] for t in g.reads
           if stored_behind(t).value == slot):  # fmt: skip
        return False  # what is computed on the way is read in other places
    for group in step.groups:
        nodes = group.nodes
        inside = {r for n in nodes if n.op == "reduce" for r in body_nodes(n.src[0])}
        for n in nodes:
            if n.op == "read" and stored_behind(n.src[0]).value == slot:
                if n in inside or n.src[0].shape != shape or group.shape != shape:
                    return False
                if tuple(n.src[1:]) != tuple(outs(len(shape))):
                    return False
    return True
