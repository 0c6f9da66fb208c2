"""A plan: a graph cut into kernels, compiled, with its memory laid out; runs as one native call.

Equal graphs share one plan, whatever memory they read and whatever the value of their runtime
size. Must not know Tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any

from .. import runtime
from ..emit import llvm
from ..emit.fingerprint import fingerprint
from ..emit.kernel import Kernel, Nest, Placing, Several
from ..ir.extent import product
from ..ir.node import Node, loops, outs
from ..ir.record import record, replace
from ..ir.transform import COMPUTED, body_nodes, toposort
from ..ir.verify import verify
from ..runtime import Buffer, pool, target
from . import kept
from .arrange import arrange, most_alive
from .fuse import Group, fuse, stored_behind
from .join import join
from .lower import Memory
from .order import Slot, canonical
from .signature import Signature
from .sizes import Size, row_major_strides, size_of, value
from .steps import Builder, Check, Machine, Result, Step, Temp, images
from .windows import written_out

_compiled: dict[Kernel, int] = {}
ALIGN = 64
SHARED = 1 << 20  # bytes: arenas up to this size are one block


def machine() -> Machine:
    """The processor as the schedule sees it."""
    bits = target.host().vector_bits
    return Machine(width=max(4, bits // 32), registers=32 if bits >= 512 else 16)


def compiled(kernels: Sequence[Kernel]) -> list[int]:
    """The addresses of kernels' code; equal kernels compile once, and new ones together."""
    new = [k for k in dict.fromkeys(kernels) if k not in _compiled]
    _compiled.update(zip(new, runtime.all_functions([_source(k) for k in new])))
    return [_compiled[k] for k in kernels]


def _source(kernel: Kernel) -> runtime.Source:
    """A kernel for the runtime: what names it, and how its IR is written if it must be."""
    name = fingerprint(kernel)
    if name is None:
        text = llvm.emit(kernel)
        return runtime.Source(text, lambda: text, llvm.SYMBOL)
    return runtime.Source(name, lambda: llvm.emit(kernel), llvm.SYMBOL)


_Places = list[tuple[Any, int]]  # (words array, position) of each place that holds one pointer


@record
class _Bound:
    """A plan with numbers for its runtime size: a program and where pointers go in it."""

    program: runtime.Program
    patches: list[tuple[int, int, _Places]]  # (1: a result, 0: an input; number; places)
    homes: list[tuple[int, _Places]]  # of temporaries: (offset in the arena, places)
    temps: dict[int, int]  # temporary → offset in the arena
    sizes: dict[int, int]  # temporary → bytes
    arena: int  # bytes
    live: int  # bytes: the largest sum of temporaries alive at once
    results: list[int]  # bytes of each
    addresses: list[int]  # now in the words, in the order of `patches`
    arena_at: int  # the arena's address now in the words


class Plan:
    """Compiled form of one graph. `run` takes the graph's buffers in order of appearance.

    recall: a plan that lies on disk will do, and a new one is put there (see kept).
    """

    def __init__(
        self, signature: Signature, roots: Sequence[Node], into: Sequence[int | None],
        recall: bool = False,
    ) -> None:  # fmt: skip
        self.hint = signature.n  # the runtime size of the graph that was scheduled
        self.into = tuple(into)
        self.bound: dict[int | None, _Bound] = {}
        self.copies: list[tuple[int, int]] = []  # (result, equal earlier result)
        name = kept.name_of(signature, into) if recall else None
        parts = kept.recall(name) if name is not None else None
        self.recalled = parts is not None
        if parts is not None:
            (self.steps, self.addresses, self.temps, self.checks, self.copies, self.donated,
             self.bytes) = parts  # fmt: skip
            return
        slots = {handle: i for i, handle in enumerate(signature.buffers)}
        mapping = canonical(signature.order, slots, signature.symbol is not None)
        self.roots = [mapping[r] for r in roots]
        self.bytes = [_bytes(r.shape, r.dtype.itemsize) for r in self.roots]
        groups = self._groups()
        self.steps, self.temps, self.checks = self._lower(groups)
        self.donated = self._donate(into)
        self.addresses = compiled([s.kernel for s in self.steps])
        if name is not None:
            sources = {k: _source(k) for k in {s.kernel: None for s in self.steps}}
            kept.keep(name, self._parts(), [sources[s.kernel] for s in self.steps])

    def _parts(self) -> kept.Parts:
        return kept.Parts(
            self.steps, self.addresses, self.temps, self.checks, self.copies, self.donated,
            self.bytes,
        )  # fmt: skip

    def whole(self, roots: Sequence[Node]) -> Plan:
        """The plan with the kernels and loop nests of its steps, which a recalled one lacks, for
        people to look at."""
        return Plan(Signature(roots), roots, self.into) if self.recalled else self

    # ---- building --------------------------------------------------------------------------------

    def _groups(self) -> list[Group]:
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
        order = [n for n in toposort(targets) if n.op in ("buffer", "reshape", *COMPUTED)]
        verify(targets)
        groups = fuse(targets, order)
        for group in groups:
            body = written_out(group.body)
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
        builder = Builder(machine(), memory, images(groups))

        def strides(g: Group) -> tuple[Size, ...]:
            if g.node in self.result_of:
                return row_major_strides(tuple(size_of(s) for s in g.node.shape))
            return builder.layout(g.node.shape)

        def in_memory(g: Group) -> tuple[int, ...]:
            step = strides(g)
            return tuple(sorted(range(len(step)), key=lambda i: -value(step[i])))

        updated = {n for n, i in self.result_of.items() if self.into[i] is not None}
        kernels = join(groups, set(self.result_of), updated, in_memory)
        verify([loops(g.shape, g.body) for kernel in kernels for g in kernel])
        for kernel in kernels:
            places = []
            for g in kernel:
                number = self.result_of.get(g.node)
                if number is not None:
                    places.append(_row_major(Result(number), g.node.shape))
                else:
                    places.append(builder.temporary(g.node.shape, g.node.dtype, strides(g)))
            builder.add(kernel, places)
            memory.update(
                (g.node, p) for g, p in zip(kernel, places, strict=True) if g.node.op != "buffer"
            )
        return builder.steps, builder.temps, builder.checks

    def _donate(self, into: Sequence[int | None]) -> dict[int, int]:
        """Put the steps in order; which results may overwrite the input they replace, {result:
        slot}.

        Such a step comes after every other that reads the old value, and may read it only at the
        place that it writes. It also comes after every check of an index, and does nothing when one
        has failed: the old value is still there when the error is raised.
        """
        checking = [s for s in self.steps if s.checks]
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
        self.steps, given_up = in_order(self.steps, waits, checking)
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

    # ---- binding ---------------------------------------------------------------------------------

    def bind(self, n: int | None) -> _Bound:
        """The program for one value of the runtime size."""
        known = self.bound.get(n)
        if known is not None:
            return known
        temps, sizes, arena, live = self._arrange(n)
        steps = []
        places: list[tuple[int, int, object]] = []
        for i, step in enumerate(self.steps):
            words = []
            for j, w in enumerate(step.words):
                if w == "status" or (isinstance(w, tuple) and w[0] == "pointer"):
                    places.append((i, j, w))
                    words.append(0)
                else:
                    words.append(value(w, n))  # type: ignore[arg-type]
            steps.append((self.addresses[i], words, 0 if step.parallel else 1))
        program = runtime.Program(steps)
        arrays = [program.words(i) for i in range(len(steps))]
        pointers: dict[object, _Places] = {}
        for i, j, w in places:
            if w == "status":
                arrays[i][j] = program.status_address
            else:
                pointers.setdefault(w[1], []).append((arrays[i], j))  # type: ignore[index]
        patches: list[tuple[int, int, _Places]] = []
        homes: list[tuple[int, _Places]] = []
        for ref, at in pointers.items():
            if isinstance(ref, Temp):
                homes.append((temps[ref.index], at))
            else:
                assert isinstance(ref, (Slot, Result))
                patches.append((int(isinstance(ref, Result)), ref.index, at))
        bound = _Bound(
            program, patches, homes, temps, sizes, arena, live,
            [value(size, n) for size in self.bytes], [0] * len(patches), 0,
        )  # fmt: skip
        self.bound[n] = bound
        return bound

    def _arrange(self, n: int | None) -> tuple[dict[int, int], dict[int, int], int, int]:
        """(offset of each temporary, its bytes, bytes of the arena, most bytes alive at once)."""
        lives: dict[int, tuple[int, int]] = {}
        for at, step in enumerate(self.steps):
            for ref in (*step.writes, step.scratch, *step.reads):
                if isinstance(ref, Temp):
                    lives[ref.index] = (lives.get(ref.index, (at, at))[0], at)
        sizes = {t: -(-value(self.temps[t], n) // ALIGN) * ALIGN for t in lives}
        offsets, arena = arrange(sizes, lives)
        return offsets, sizes, arena, most_alive(sizes, lives)

    # ---- running ---------------------------------------------------------------------------------

    def run(
        self, buffers: Sequence[Buffer], n: int | None,
        free: Sequence[Buffer | None],
    ) -> list[Buffer]:  # fmt: skip
        """Results in fresh memory, or in that of the inputs they replace (`free`)."""
        bound = self.bound.get(n) or self.bind(n)
        donated = self.donated
        if donated:
            results: list[Buffer] = []
            for i, size in enumerate(bound.results):
                old = free[i] if i in donated else None
                results.append(old if old is not None else Buffer(size))
        else:
            results = [Buffer(size) for size in bound.results]
        with pool.lock:
            arena = _arena(bound.arena) if bound.homes else None
            given = (buffers, results)
            addresses = [given[kind][index].address for kind, index, _ in bound.patches]
            if addresses != bound.addresses:
                _patch(bound, addresses)
            if arena is not None and bound.arena_at != arena.address:
                bound.arena_at = arena.address
                for offset, places in bound.homes:
                    for array, j in places:
                        array[j] = arena.address + offset
            code = bound.program.run()
            status = bound.program.status if code else ()
        if code:
            raise IndexError(self._explain(status))
        for i, j in self.copies:
            results[i].memoryview()[:] = results[j].memoryview()
        return results

    def _explain(self, status: tuple[int, ...]) -> str:
        number, index, size = status[0], status[1], status[2]
        check = self.checks[number - 1]
        line = f" (at {check.line})" if check.line else ""
        return (
            f"index {index} is out of range for axis {check.axis} of a tensor of shape "
            f"{check.shape}: "
            f"valid are 0 to {size - 1}{line}"
        )


def _patch(bound: _Bound, addresses: list[int]) -> None:
    """Write the addresses that are others than in the last run."""
    before = bound.addresses
    for k, address in enumerate(addresses):
        if before[k] != address:
            for array, j in bound.patches[k][2]:
                array[j] = address
    bound.addresses = addresses


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


def in_order(
    steps: list[Step], waits: dict[Step, set[Step]], checking: Sequence[Step] = ()
) -> tuple[list[Step], list[Step]]:
    """(the steps, each after what it reads and what it waits for; those that could not wait).

    Steps in `waits` also wait for all others in `checking`. A result that no other step reads is
    computed as soon as it can be: what it reads dies early.
    """
    line = _Line(steps, waits, set(checking))
    candidates = iter([s for s in steps if s in waits])
    given_up: list[Step] = []
    while len(line.done) < len(steps):
        if line.ready:
            line.run()
            continue
        # Two steps wait for each other: one of them keeps out of the other's memory.
        stuck = next(s for s in candidates if s not in line.placed)
        given_up.append(stuck)
        line.give_up(stuck)
    return line.done, given_up


class _Line:
    """Steps that stand in line until what they need is there."""

    def __init__(
        self, steps: list[Step], waits: dict[Step, set[Step]], checking: set[Step]
    ) -> None:
        self.steps, self.checking = steps, checking
        self.number = {s: i for i, s in enumerate(steps)}
        self.read = {r for s in steps for r in s.reads}
        self.done: list[Step] = []
        self.placed: set[Step] = set()
        self.ready: list[tuple[bool, int]] = []
        self.unchecked = len(checking)
        # One that checks does not wait for itself, so it waits for each of the others.
        self.waits = {
            s: w | (checking - {s}) if s in checking else w for s, w in waits.items()
        }
        self.gated = {s for s in waits if checking and s not in checking}
        writer = {ref: s for s in steps for ref in s.writes}
        self.needs = {s: {writer[r] for r in s.reads if r in writer} for s in steps}
        self.after: dict[Step, list[Step]] = {s: [] for s in steps}
        self.missing: dict[Step, int] = {}
        for s in steps:
            for t in (first := self.needs[s] | self.waits.get(s, set())):
                self.after[t].append(s)
            self.missing[s] = len(first) + (s in self.gated)
        for s in steps:
            self.offer(s)

    def offer(self, s: Step) -> None:
        if not self.missing[s]:
            inner = any(r in self.read or not isinstance(r, Result) for r in s.writes)
            heappush(self.ready, (inner, self.number[s]))

    def run(self) -> None:
        """Place the first of those that are ready."""
        step = self.steps[heappop(self.ready)[1]]
        self.done.append(step)
        self.placed.add(step)
        for s in self.after[step]:
            if s in self.waits or step in self.needs[s]:  # else it has given up waiting
                self.missing[s] -= 1
                self.offer(s)
        if step in self.checking:
            self.unchecked -= 1
            if not self.unchecked:
                gated, self.gated = self.gated, set()
                for s in gated:
                    self.missing[s] -= 1
                    self.offer(s)

    def give_up(self, s: Step) -> None:
        """Let a step wait only for what it reads."""
        self.missing[s] -= len(self.waits.pop(s) - self.needs[s] - self.placed)
        if s in self.gated:
            self.gated.remove(s)
            self.missing[s] -= 1
        self.offer(s)


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
    if isinstance(step.kernel, Placing):  # what it writes to stands for sums meanwhile
        return False
    shape = step.groups[step.writes.index(target)].shape
    for group in step.groups:
        nodes = body_nodes(group.body)
        inside = {r for n in nodes if n.op == "reduce" for r in body_nodes(n.src[0])}
        for n in nodes:
            if n.op == "read" and stored_behind(n.src[0]).value == slot:
                if n in inside or n.src[0].shape != shape or group.shape != shape:
                    return False
                if tuple(n.src[1:]) != tuple(outs(len(shape))):
                    return False
    return True
