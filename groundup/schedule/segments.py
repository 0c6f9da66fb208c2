"""Graphs with host operations: kernels, then functions that Python runs, then kernels again.

Each segment is a plan of its own. Must not know what a host operation computes, or Tensor.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from ..ir.node import Host, Node
from ..ir.outside import OutOfRange, Place, sites_in
from ..ir.record import record
from ..ir.transform import COMPUTED, TENSOR_OPS, body_nodes
from ..runtime import Buffer
from .execute import plan_for
from .plan import Bound, Plan
from .signature import Signature

if TYPE_CHECKING:
    from .once import Once

T = TypeVar("T")


class Held:
    """The handle of memory that an earlier segment has filled."""

    __slots__ = ()


@record
class Operation:
    """One run of a host operation: where its operands are, and where its results go.

    nodes: its results in the graph. calls, seconds: how often it has run, the best time of these.
    """

    function: Host
    sources: list[Any]  # handles
    given: list[tuple[tuple[int, ...], Any]]  # shapes and types
    results: dict[int, Any]  # handles, by number
    nodes: list[Node]
    calls: int = 0
    seconds: float = math.inf

    def run(self, memory: dict[Any, Buffer]) -> None:
        """Run it on what is in memory, and put its results there."""
        given = [memory[h] for h in self.sources]
        start = time.perf_counter()
        made = self.function.run(given, self.given, *self.function.options)
        self.seconds = min(self.seconds, time.perf_counter() - start)
        self.calls += 1
        memory.update((handle, made[k]) for k, handle in self.results.items())


@record
class Segment:
    """Kernels, and the host operations after them."""

    plan: Plan | None  # None: there is nothing to compute before
    reads: list[Any]
    roots: list[Node]
    writes: list[Any]
    n: int | None
    operations: list[Operation]
    places: list[Place]  # where indices were written


class Segmented(Plan):
    """The plan of the last segment, with all that runs before it."""

    segmented = True

    def __init__(
        self, signature: Signature, roots: Sequence[Node], into: Sequence[int | None]
    ) -> None:
        self.handles = list(signature.buffers)
        with _marks() as mark:
            self.segments = list(_segments(signature, mark))
            last = Signature(roots)
            self.reads, self.n, self.places = list(last.buffers), last.n, sites_in(last.order)
            at = {h: i for i, h in enumerate(last.buffers)}
            wish = [None if i is None else at.get(self.handles[i]) for i in into]
            super().__init__(last, roots, wish, recall=True)

    def bind(self, n: int | None) -> Bound:
        """The program of the last segment."""
        return super().bind(self.n)

    def run(
        self, buffers: Sequence[Buffer], n: int | None,
        free: Sequence[Buffer | None], once: Once | None = None,
    ) -> list[Buffer]:  # fmt: skip
        """Results in fresh memory, or in that of the inputs they replace (`free`)."""
        memory: dict[Any, Buffer] = dict(zip(self.handles, buffers, strict=True))
        written: list[Place] = []
        try:
            for s in self.segments:
                written = s.places
                if s.plan is not None:
                    made = s.plan.run([memory[h] for h in s.reads], s.n, [None] * len(s.writes))
                    memory.update(zip(s.writes, made, strict=True))
                for operation in s.operations:
                    operation.run(memory)
            written = self.places
            return super().run([memory[h] for h in self.reads], self.n, free)
        except OutOfRange as error:
            raise error.written(written) from None

    def course(
        self, roots: Sequence[Node], see: Callable[[Plan, Sequence[Node]], T]
    ) -> Iterator[T | Operation]:
        """All that runs, in order: what `see` makes of each segment's plan and its results, and the
        host operations."""
        with _marks() as marked:
            for s in self.segments:
                if s.plan is not None:
                    yield see(s.plan.whole(s.roots), s.roots)
                for node in s.roots:
                    _hold(node, marked)
                yield from s.operations
                for node in (h for o in s.operations for h in o.nodes):
                    _hold(node, marked)
            yield see(self.whole(roots), roots)


def course(
    roots: Sequence[Node], plan: Plan, see: Callable[[Plan, Sequence[Node]], T]
) -> list[T | Operation]:
    """All that runs for a graph, in order: what `see` makes of the plan of each stretch of kernels,
    whole, and of the tensors that it computes; between them the host operations.

    Whatever an earlier segment computes is memory in the graph while `see` looks at it.
    """
    if isinstance(plan, Segmented):
        return list(plan.course(roots, see))
    return [see(plan.whole(roots), roots)]


def stretches(plan: Plan) -> list[Plan]:
    """The plans that run for a graph, each a stretch of kernels, in order."""
    if isinstance(plan, Segmented):
        return [*(s.plan for s in plan.segments if s.plan is not None), plan]
    return [plan]


# ---- cutting a graph ---------------------------------------------------------------------------


@contextmanager
def _marks() -> Iterator[dict[Node, Held]]:
    """Nodes that are in memory from some segment on; forgotten at the end."""
    marked: dict[Node, Held] = {}
    try:
        yield marked
    finally:
        for node in marked:
            node.cache = None


def _hold(node: Node, marked: dict[Node, Held]) -> Held:
    marked[node] = node.cache = Held()
    return marked[node]


def _segments(signature: Signature, marked: dict[Node, Held]) -> Iterator[Segment]:
    """The segments before the last, in order; what each fills is marked as memory."""
    level = _levels(signature.order)
    kept = _kept(signature, level)
    for stage in range(1 + max(level[h] for h in signature.hosts)):
        hosts = [h for h in signature.hosts if level[h] == stage]
        inputs = dict.fromkeys(_memory_of(s) for h in hosts for s in h.src)
        wanted = [n for n in inputs if _handle(n) is None]
        wanted += [n for n in kept if level[n] == stage and n not in inputs]
        plan, reads, n, written = None, [], None, []
        if wanted:
            own = Signature(wanted)
            plan, reads, n = plan_for(own, wanted, (None,) * len(wanted)), list(own.buffers), own.n
            written = sites_in(own.order)
        writes = [_hold(node, marked) for node in wanted]
        operations = _operations(hosts, marked)
        yield Segment(plan, reads, wanted, writes, n, operations, written)


def _operations(hosts: Iterable[Node], marked: dict[Node, Held]) -> list[Operation]:
    """Host operations of one stage: several results of one are one run."""
    found: dict[tuple[Any, ...], Operation] = {}
    for h in hosts:
        function, k = h.arg
        made = found.get((function, h.src))
        if made is None:
            sources = [_handle(_memory_of(s)) for s in h.src]
            kinds = [(tuple(map(int, s.shape)), s.dtype) for s in h.src]
            made = found[function, h.src] = Operation(function, sources, kinds, {}, [])
        made.results[k] = _hold(h, marked)
        made.nodes.append(h)
    return list(found.values())


def _levels(order: Sequence[Node]) -> dict[Node, int]:
    """How many host operations lie one after the other before each node."""
    level: dict[Node, int] = {}
    for node in order:
        # Of a result only its value is computed.
        sources = node.src if node.op != "result" else node.src[:1]
        behind = (level[s] + (s.op == "host" and s.cache is None) for s in sources if s in level)
        level[node] = max(behind, default=0)
    return level


def _memory_of(node: Node) -> Node:
    """The tensor whose row-major elements are this one's."""
    while node.op in ("reshape", "leaf", "detach", "result") and node.cache is None:
        node = node.src[0]
    return node


def _handle(node: Node) -> Any:
    """Where a tensor lies in memory, or None."""
    return node.value if node.op == "buffer" else node.cache


def _kept(signature: Signature, level: dict[Node, int]) -> list[Node]:
    """What is computed for a host operation and read again after it, and costs something."""
    needed: set[Node] = set()  # by some host operation
    late: dict[Node, None] = {}  # read at a later stage than it is computed
    for node in reversed(signature.order):
        if node.op not in TENSOR_OPS or node.op == "buffer" or node.cache is not None:
            continue
        sources = node.src if node.op != "result" else node.src[:1]
        for t in (n for s in sources for n in body_nodes(s) if n.op in TENSOR_OPS):
            if node.op == "host" or node in needed:
                needed.add(t)
            t = _memory_of(t)
            if level[node] > level[t] and t.op in COMPUTED and t.cache is None:
                late[t] = None
    return [t for t in late if t in needed and any(n.op == "reduce" for n in body_nodes(t.src[0]))]
