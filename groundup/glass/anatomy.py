"""What belongs together from the user's expression to the kernels: names of tensors and axes,
source lines, and the part of the expression that each kernel computes.

Must not know how any of it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

from ..emit.kernel import Chain
from ..ir.node import Node, out, red
from ..ir.transform import COMPUTED, TENSOR_OPS, body_nodes, toposort
from ..schedule import Plan, Signature
from ..schedule.fuse import Group, stored_behind
from ..schedule.order import canonical
from ..schedule.sizes import Size, value
from ..schedule.steps import Result, Step, Temp
from ..schedule.work import Work, elements, flop, flop_by_type, read_by
from .axes import Axes, free_of


class Names:
    """The user's tensors of a graph, sources first (`order`), their names (`of`) and their axes;
    names for parts of sums, which are no tensors of the user's."""

    def __init__(self, roots: Sequence[Node]) -> None:
        self.order = [n for n in toposort(roots) if n.op in TENSOR_OPS]
        self.of = {n: _tensor_name(k) for k, n in enumerate(self.order)}
        self.axes = Axes(self.order)
        self._parts = count(1)

    def part(self) -> str:
        """A name for a part of a sum."""
        return f"part{next(self._parts)}"


class Anatomy:
    """A graph and its plan.

    order: the user's tensors, sources first. own: of each step, the (canonical) loop nests that it
    computes, with their source lines. names: of a graph that this one is a part of.
    """

    def __init__(self, roots: Sequence[Node], plan: Plan, names: Names | None = None) -> None:
        self.roots, self.plan = list(roots), plan
        self._known = names or Names(roots)
        self.order = self._known.order
        signature = Signature(roots)
        slots = {handle: i for i, handle in enumerate(signature.buffers)}
        graph = canonical(signature.order, slots, signature.symbol is not None)
        self.user: dict[Node, Node] = {}  # canonical → the user's
        for node, made in graph.of.items():
            self.user.setdefault(made, node)
        # A canonical buffer is known by its position only, so what it is called is this plan's.
        self.names = dict(self._known.of)
        self._axes = self._known.axes
        self.axes, self.inner = self._axes.of, self._axes.inner
        self._parts: dict[Node, list[str]] = {}
        self._variables: dict[tuple[Node, Node], dict[Node, str]] = {}
        self.own = self._owned()
        inputs = {graph.of[n] for n in signature.order if n in graph.of}
        self.stored: dict[object, Node] = {n.value: n for n in inputs if n.op == "buffer"}
        for step in plan.steps:  # which tensor lies where
            self.stored.update((r, g.node) for r, g in zip(step.writes, results(step)))
        for step in plan.steps:  # a part of a sum is no tensor of the user's, but has axes
            for g in step.groups:
                if g.node not in self.user:
                    axes = self.variables(g.node, g.body, g.shape)
                    self._parts[g.node] = self.outs(g.node, axes, g.shape)

    # ---- tensors -------------------------------------------------------------------------------

    def name(self, tensor: Node) -> str:
        """The name of a tensor at every stage: that of the user's tensor, or one for a part."""
        found = self.names.get(tensor)
        if found is None:
            user = self.user.get(tensor) or self.user.get(stored_behind(tensor))
            found = self.names.get(user) if user is not None else None
            if found is None:
                found = self._known.part()
            self.names[tensor] = found
        return found

    def line(self, tensor: Node) -> str | None:
        """Where a tensor was written."""
        return (self.user.get(tensor) or tensor).line

    # ---- axes ----------------------------------------------------------------------------------

    def variables(self, tensor: Node, body: Node, shape: Sequence[int]) -> dict[Node, str]:
        """The name of each variable of a kernel's body, whose results are elements of `tensor`."""
        known = self._variables.get((tensor, body))
        if known is None:
            known = self._variables[tensor, body] = self._named(tensor, body, shape)
        return known

    def _named(self, tensor: Node, body: Node, shape: Sequence[int]) -> dict[Node, str]:
        user = self.user.get(tensor)
        outs = self.axes.get(user, []) if user is not None else []
        outs = list(outs) if len(outs) == len(shape) else ["·" if s == 1 else "" for s in shape]
        nodes = body_nodes(body)
        free = free_of(nodes)
        beside: dict[int, set[Node]] = {}  # of a reduction's variable, those beside it in its terms
        for n in nodes:
            for uid, _ in n.arg[1] if n.op == "reduce" else ():
                beside.setdefault(uid, set()).update(free[n.src[0]])
        found = {out(i): name for i, name in enumerate(outs)}
        for index, name in self._walks(nodes):  # what it reads along that axis
            if found.get(index):
                continue
            taken = found.values() if index.op == "out" else map(found.get, beside[index.arg])
            if name not in taken:
                found[index] = name
        own = self.inner.get(user, {}) if user is not None else {}
        for n in nodes:
            for uid, _ in n.arg[1] if n.op == "reduce" else ():
                if red(uid) not in found:
                    name = own.get(uid, "")
                    fits = name not in ("", "·") and name not in found.values()
                    found[red(uid)] = name if fits else self._axes.fresh()
        return {v: name or self._axes.fresh() for v, name in found.items()}

    def _walks(self, nodes: Sequence[Node]) -> Iterator[tuple[Node, str]]:
        """(variable, name of the axis that it runs along) wherever an index is a variable."""
        for n in nodes:
            for index, name in zip(n.src[1:], self.axes_of(n.src[0]) if n.op == "read" else ()):
                if index.op in ("out", "red") and name != "·":
                    yield index, name

    def axes_of(self, tensor: Node) -> list[str]:
        """The names of the axes of a tensor that a kernel reads; none where it is not known."""
        user = self.user.get(tensor)
        found = self._parts.get(tensor) if user is None else self.axes.get(user)
        return found if found is not None and len(found) == tensor.ndim else []

    def outs(
        self, tensor: Node, variables: dict[Node, str], shape: Sequence[int]
    ) -> list[str]:
        """The names of a kernel's output variables."""
        return [variables.get(out(i), "·") for i in range(len(shape))]

    # ---- kernels -------------------------------------------------------------------------------

    def _owned(self) -> list[list[tuple[Node, str | None]]]:
        """Of each step, the loop nests that it computes and their source lines; of a copy, none."""
        stored = {g.node for step in self.plan.steps for g in results(step)}
        result: list[list[tuple[Node, str | None]]] = []
        for step in self.plan.steps:
            found: dict[Node, str | None] = {}
            stack = [(g.node, self.line(g.node)) for g in results(step)]
            own = {g.node for g in results(step)}
            while stack:
                node, line = stack.pop()
                if node in found:
                    continue
                line = self.line(node) or line
                if node.op in COMPUTED:
                    found[node] = line
                for t in (n for s in node.src for n in body_nodes(s) if n.op in TENSOR_OPS):
                    if t not in own and t not in stored and t.op != "buffer":
                        stack.append((t, line))
            result.append(list(found.items()))
        return result

    def lines(self, number: int) -> list[str]:
        """The source lines that a step computes, that of its result first."""
        found = dict.fromkeys(line for _, line in self.own[number] if line)
        if not found:  # a copy, or a part of a sum: it belongs to what reads it
            reader = self.reader(number)
            return [] if reader is None else self.lines(reader)
        return list(found)

    def reader(self, number: int) -> int | None:
        """The first later step that reads what a step writes."""
        wanted, steps = set(self.plan.steps[number].writes), self.plan.steps
        return next((i for i in range(number + 1, len(steps)) if wanted & steps[i].reads), None)

    def work(self, number: int, n: int | None = None) -> Work:
        """What a step does."""
        step = self.plan.steps[number]
        done = sum(self.flop(number, n).values())
        if step.groups:
            written = sum(elements(g.node, n) * g.node.dtype.itemsize for g in results(step))
            if isinstance(step.kernel, Chain):
                inside = [node for node, _ in self.own[number]]
                nests = [(t.src[0], t.shape) for t in inside if t.op == "loops"]
                read = read_by(nests, inside, n)
            else:
                made = [g.node for g in step.groups]
                read = read_by([(g.body, g.shape) for g in step.groups], made, n)
            return Work(done, read, written)
        size = sum(value(self._size(w), n) for w in step.writes)
        return Work(done, float(size), float(size))

    def flop(self, number: int, n: int | None = None) -> dict[str, float]:
        """A step's floating-point operations, by type."""
        total: dict[str, float] = {}
        for node, _ in self.own[number]:
            for kind, flops in flop_by_type(node, n).items():
                total[kind] = total.get(kind, 0.0) + flops
        return total

    def shares(self, number: int, n: int | None = None) -> dict[str, float]:
        """How much of a step's work each source line asks for: what it computes and stores."""
        weight: dict[str, float] = {}
        for node, line in self.own[number]:
            if line:
                weight[line] = weight.get(line, 0.0) + flop(node, n) + elements(node, n)
        if not weight:
            weight = dict.fromkeys(self.lines(number), 1.0)
        total = sum(weight.values())
        return {line: w / total for line, w in weight.items()}

    def _size(self, ref: object) -> Size:
        plan = self.plan
        if isinstance(ref, Result):
            return plan.bytes[ref.index]
        assert isinstance(ref, Temp)
        return plan.temps[ref.index]

    def copied(self, step: Step) -> list[Node]:
        """The tensors that a copy reads, as far as it is known."""
        return [self.stored[r] for r in step.reads if r in self.stored]

    def written(self, step: Step) -> list[str]:
        """The names of what a step writes."""
        return [self.name(g.node) for g in results(step)]


def computed(step: Step) -> list[Group]:
    """All that a step computes, what it tells itself on the way included."""
    return [g for link in step.links for g in link.groups] or list(step.groups)


def results(step: Step) -> tuple[Group, ...]:
    """What a step stores; its other groups are computed on the way."""
    return step.groups[: len(step.writes)]


def _tensor_name(k: int) -> str:
    return chr(65 + k) if k < 26 else f"T{k}"
