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
from ..emit.kernel import Kernel, Nest
from ..ir.extent import product
from ..ir.node import Node, loops, outs
from ..ir.record import record, replace
from ..ir.transform import body_nodes, toposort
from ..ir.verify import verify
from ..runtime import pool, target
from .fuse import Group, fuse, stored_behind
from .join import join
from .lower import Memory
from .order import Slot, canonical
from .signature import Signature
from .sizes import Size, row_major_strides, size_of, value
from .steps import Builder, Check, Machine, Result, Step, Temp, batch_sizes

_compiled: dict[Kernel, int] = {}
ALIGN = 64


def machine() -> Machine:
    """The processor as the schedule sees it."""
    bits = target.host().vector_bits
    return Machine(width=max(4, bits // 32), registers=32 if bits >= 512 else 16)


def compile_kernel(kernel: Kernel) -> int:
    """The address of a kernel's code; equal kernels compile once."""
    address = _compiled.get(kernel)
    if address is None:
        address = _compiled[kernel] = runtime.function(llvm.emit(kernel), llvm.SYMBOL)
    return address


_Places = list[tuple[Any, int]]  # (words array, position) of each place that holds one pointer


@record
class _Bound:
    """A plan with numbers for its runtime size: a program and where pointers go in it."""

    program: runtime.Program
    patches: list[tuple[bool, int, _Places]]  # (a result? else an input, number, places)
    homes: list[tuple[int, _Places]]  # of temporaries: (offset in the arena, places)
    temps: dict[int, int]  # temporary → offset in the arena
    sizes: dict[int, int]  # temporary → bytes
    arena: int  # bytes
    live: int  # bytes: the largest sum of temporaries alive at once
    results: list[int]  # bytes of each
    addresses: list[int]  # now in the words, in the order of `patches`
    arena_at: int  # the arena's address now in the words


class Plan:
    """Compiled form of one graph. `run` takes the graph's buffers in order of appearance."""

    def __init__(
        self, signature: Signature, roots: Sequence[Node], into: Sequence[int | None]
    ) -> None:
        slots = {handle: i for i, handle in enumerate(signature.buffers)}
        self.hint = signature.n  # the runtime size of the graph that was scheduled
        mapping = canonical(signature.order, slots, signature.symbol is not None)
        self.roots = [mapping[r] for r in roots]
        self.dtypes = [r.dtype for r in self.roots]
        self.bytes: list[Size] = [
            _bytes(r.shape, r.dtype.itemsize) for r in self.roots
        ]
        self.bound: dict[int | None, _Bound] = {}
        self.copies: list[tuple[int, int]] = []  # (result, equal earlier result)
        self.into = into
        groups = self._groups()
        self.steps, self.temps, self.checks = self._lower(groups)
        self.donated = self._donate(into)
        self.addresses = [compile_kernel(s.kernel) for s in self.steps]

    # ---- building --------------------------------------------------------------------------------

    def _groups(self) -> list[Group]:
        """Fuse; remember which stored tensor is which result."""
        self.result_of: dict[Node, int] = {}
        targets: list[Node] = []
        plain = {r for r in self.roots if r.op == "loops"}
        for i, root in enumerate(self.roots):
            base = stored_behind(root)
            node = base if base.op == "loops" and base not in plain else root
            if node in self.result_of:
                self.copies.append((i, self.result_of[node]))
                continue
            self.result_of[node] = i
            targets.append(node)
        order = [n for n in toposort(targets) if n.op in ("buffer", "loops", "reshape")]
        verify(targets)
        return fuse(targets, order)

    def _lower(self, groups: list[Group]) -> tuple[list[Step], list[Size], list[Check]]:
        memory: dict[Node, Memory] = {}
        for g in groups:
            for t in g.reads:
                base = stored_behind(t)
                if base.op == "buffer":
                    memory[base] = _row_major(base.value, base.shape)
        builder = Builder(machine(), memory, batch_sizes(groups))

        def strides(g: Group) -> tuple[Size, ...]:
            if g.node in self.result_of:
                return row_major_strides(tuple(size_of(s) for s in g.shape))
            return builder.layout(g.shape)

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
                    places.append(_row_major(Result(number), g.shape))
                else:
                    places.append(builder.temporary(g.node, strides(g)))
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
        checking = {s for s in self.steps if s.checks}
        wish = {i: s for i, s in enumerate(into) if s is not None}
        for i, j in self.copies:
            wish.pop(i, None)
            wish.pop(j, None)
        donated: dict[int, int] = {}
        readers: dict[object, set[Step]] = {}
        for step in self.steps:
            for ref in step.reads:
                readers.setdefault(ref, set()).add(step)
        waits: dict[Step, set[Step]] = {}
        for step in self.steps:
            for ref in step.writes:
                slot = wish.get(ref.index) if isinstance(ref, Result) else None
                if slot is None or slot in donated.values():
                    continue
                if not _reads_in_place(step, ref, Slot(slot)):
                    continue
                donated[ref.index] = slot
                earlier = readers.get(Slot(slot), set()) | checking
                waits[step] = waits.get(step, set()) | earlier - {step}
        self.steps, given_up = in_order(self.steps, waits)
        for step in given_up:
            for ref in step.writes:
                if isinstance(ref, Result):
                    donated.pop(ref.index, None)
        for step in waits.keys() - given_up:
            kernel = step.kernel
            if isinstance(kernel, Nest):  # what is overwritten has been read: it is in the caches
                cached = tuple(replace(o, stream=False) for o in kernel.outputs)
                step.kernel = kernel = replace(kernel, outputs=cached)
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
        patches: list[tuple[bool, int, _Places]] = []
        homes: list[tuple[int, _Places]] = []
        for ref, at in pointers.items():
            if isinstance(ref, Temp):
                homes.append((temps[ref.index], at))
            else:
                assert isinstance(ref, (Slot, Result))
                patches.append((isinstance(ref, Result), ref.index, at))
        bound = _Bound(
            program, patches, homes, temps, sizes, arena, live,
            [value(size, n) for size in self.bytes], [0] * len(patches), 0,
        )  # fmt: skip
        self.bound[n] = bound
        return bound

    def _arrange(self, n: int | None) -> tuple[dict[int, int], dict[int, int], int, int]:
        """Offsets of temporaries in one arena: those alive at once never overlap."""
        first: dict[int, int] = {}
        last: dict[int, int] = {}
        for at, step in enumerate(self.steps):
            for ref in (*step.writes, *step.reads):
                if isinstance(ref, Temp):
                    first.setdefault(ref.index, at)
                    last[ref.index] = at
        size = {t: -(-value(self.temps[t], n) // ALIGN) * ALIGN for t in first}
        placed: list[tuple[int, int, int]] = []  # offset, end, temp
        offsets: dict[int, int] = {}
        for t in sorted(first, key=lambda t: -size[t]):
            offset = 0
            for o, end, other in sorted(placed):
                if last[other] < first[t] or first[other] > last[t]:
                    continue
                if offset + size[t] <= o:
                    break
                offset = max(offset, end)
            offsets[t] = offset
            placed.append((offset, offset + size[t], t))
        arena = max((end for _, end, _ in placed), default=0)
        live = max(
            (sum(size[t] for t in first if first[t] <= at <= last[t])
             for at in range(len(self.steps))), default=0,
        )  # fmt: skip
        return offsets, size, arena, live

    # ---- running ---------------------------------------------------------------------------------

    def run(
        self, buffers: Sequence[runtime.Buffer], n: int | None,
        free: Sequence[runtime.Buffer | None],
    ) -> list[runtime.Buffer]:  # fmt: skip
        """Results in fresh memory, or in that of the inputs they replace (`free`)."""
        bound = self.bind(n)
        results: list[runtime.Buffer] = []
        for i, size in enumerate(bound.results):
            old = free[i] if i in self.donated else None
            results.append(old if old is not None else runtime.allocate(size))
        arena = runtime.allocate(bound.arena)
        addresses = bound.addresses
        with pool.lock:
            for k, (is_result, index, places) in enumerate(bound.patches):
                address = (results if is_result else buffers)[index].address
                if addresses[k] != address:
                    addresses[k] = address
                    for array, j in places:
                        array[j] = address
            if bound.arena_at != arena.address:
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


def in_order(
    steps: list[Step], waits: dict[Step, set[Step]]
) -> tuple[list[Step], list[Step]]:
    """(the steps, each after what it reads and what it waits for; those that could not wait).

    A result that no other step reads is computed as soon as it can be: what it reads dies early.
    """
    writer = {ref: s for s in steps for ref in s.writes}
    number = {s: i for i, s in enumerate(steps)}
    read = {r for s in steps for r in s.reads}
    needs = {s: {writer[r] for r in s.reads if r in writer} for s in steps}
    after: dict[Step, list[Step]] = {s: [] for s in steps}
    for s in steps:
        for t in needs[s] | waits.get(s, set()):
            after[t].append(s)
    missing = {s: len(needs[s] | waits.get(s, set())) for s in steps}
    ready: list[tuple[bool, int]] = []

    def offer(s: Step) -> None:
        leaf = all(isinstance(ref, Result) and ref not in read for ref in s.writes)
        heappush(ready, (not leaf, number[s]))

    for s in steps:
        if not missing[s]:
            offer(s)
    done: list[Step] = []
    given_up: list[Step] = []
    placed: set[Step] = set()
    while len(done) < len(steps):
        if not ready:  # two steps wait for each other: one of them keeps out of the other's memory
            stuck = next(s for s in steps if s in waits and s not in placed and s not in given_up)
            given_up.append(stuck)
            missing[stuck] -= len(waits[stuck] - needs[stuck] - placed)
            for t in waits[stuck] - needs[stuck] - placed:
                after[t].remove(stuck)
            if not missing[stuck]:
                offer(stuck)
            continue
        step = steps[heappop(ready)[1]]
        done.append(step)
        placed.add(step)
        for s in after[step]:
            missing[s] -= 1
            if not missing[s]:
                offer(s)
    return done, given_up


def _bytes(shape: tuple[int, ...], itemsize: int) -> Size:
    from .sizes import mul

    return mul(size_of(product(shape)), itemsize)


def _row_major(ref: object, shape: tuple[int, ...]) -> Memory:
    sizes = tuple(size_of(s) for s in shape)
    return Memory(ref, sizes, row_major_strides(sizes))


def _reads_in_place(step: Step, target: Result, slot: Slot) -> bool:
    """Does a step read this input only at the element of `target` that it writes?"""
    if not step.groups:
        return False
    if slot not in step.reads:
        return True
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
