"""What belongs together from the user's expression to the kernels: names of tensors and axes,
source lines, and the part of the expression that each kernel computes.

Must not know how any of it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

from ..emit.kernel import Chain
from ..ir.extent import Extent
from ..ir.names import names_of
from ..ir.node import Node, out
from ..ir.transform import COMPUTED, TENSOR_OPS, body_nodes, toposort
from ..schedule import Plan, Signature
from ..schedule.fuse import Group, stored_behind
from ..schedule.order import canonical
from ..schedule.steps import Result, Step
from ..schedule.work import Work, elements, flop, read_by

LETTERS = "ijklmnpqrstuvwxyz"


class Anatomy:
    """A graph and its plan.

    order: the user's tensors, sources first. own: of each step, the (canonical) loop nests that it
    computes, with their source lines.
    """

    def __init__(self, roots: Sequence[Node], plan: Plan) -> None:
        self.roots, self.plan = list(roots), plan
        self.order = [n for n in toposort(roots) if n.op in TENSOR_OPS]
        signature = Signature(roots)
        slots = {handle: i for i, handle in enumerate(signature.buffers)}
        graph = canonical(signature.order, slots, signature.symbol is not None)
        self.user: dict[Node, Node] = {}  # canonical → the user's
        for node, made in graph.of.items():
            self.user.setdefault(made, node)
        self.names = {n: _tensor_name(k) for k, n in enumerate(self.order)}
        self.axes: dict[Node, list[str]] = {}
        self.inner: dict[Node, dict[int, str]] = {}
        self._name_axes()
        self.own = self._owned()
        inputs = {graph.of[n] for n in signature.order if n in graph.of}
        self.stored: dict[object, Node] = {n.value: n for n in inputs if n.op == "buffer"}
        for step in plan.steps:  # which tensor lies where
            self.stored.update((r, g.node) for r, g in zip(step.writes, results(step)))

    # ---- tensors -------------------------------------------------------------------------------

    def name(self, tensor: Node) -> str:
        """The name of a tensor at every stage: that of the user's tensor, or one for a part."""
        found = self.names.get(tensor)
        if found is None:
            user = self.user.get(tensor) or self.user.get(stored_behind(tensor))
            found = self.names.get(user) if user is not None else None
            if found is None:
                found = f"part{sum(n.startswith('part') for n in self.names.values()) + 1}"
            self.names[tensor] = found
        return found

    def line(self, tensor: Node) -> str | None:
        """Where a tensor was written."""
        return (self.user.get(tensor) or tensor).line

    # ---- axes ----------------------------------------------------------------------------------

    def _name_axes(self) -> None:
        """Names for all axes: what users have named keeps its name in all that is computed from
        it; then, from the results to the sources, a tensor's axes are called as the loops that
        read it."""
        for node in self.order:
            self._take_on(node)
        fresh = _fresh(self.order)
        for node in reversed(self.order):
            taken = self.axes[node]
            for i, size in enumerate(node.shape):
                if not taken[i]:
                    taken[i] = next(fresh) if size != 1 else "·"
            if node.op in ("loops", "scan"):
                for uid in _ids(node.src[0]):
                    if uid not in self.inner[node]:
                        self.inner[node][uid] = next(fresh)
                self._pass_on(node)
            elif node.src:
                self._through(node, node.src[0])

    def _take_on(self, node: Node) -> None:
        """The names that a tensor's user gave, and those that come with what it reads."""
        given, inner = names_of(node) if node.op in COMPUTED else ((), {})
        outs = list(given) or [""] * node.ndim
        self.axes[node] = outs
        for i, size in enumerate(node.shape):  # the batch of a captured function
            if isinstance(size, Extent) and size.coef == 1 and size.symbol.name not in outs:
                outs[i] = outs[i] or size.symbol.name
        if node.op not in ("loops", "scan"):
            if node.src and node.ndim == node.src[0].ndim:
                self.axes[node] = list(self.axes[node.src[0]])
            elif node.src:
                self._through(node.src[0], node)
            return
        self.inner[node] = dict(inner)
        for n in body_nodes(node.src[0]):
            for uid, size in n.arg[1] if n.op == "reduce" else ():
                if isinstance(size, Extent) and size.coef == 1 and size.symbol.name not in outs:
                    self.inner[node].setdefault(uid, size.symbol.name)
        for index, name in self._plain_reads(node):
            if name in outs or name in self.inner[node].values():
                continue
            if index.op == "out" and not outs[index.arg]:
                outs[index.arg] = name
            elif index.op == "red":
                self.inner[node].setdefault(index.arg, name)

    def _plain_reads(self, node: Node) -> Iterator[tuple[Node, str]]:
        """(variable, name of the axis that it runs along) wherever an index is a variable."""
        for n in body_nodes(node.src[0]):
            if n.op == "read":
                for index, name in zip(n.src[1:], self.axes[n.src[0]], strict=True):
                    if index.op in ("out", "red") and name not in ("", "·"):
                        yield index, name

    def _pass_on(self, node: Node) -> None:
        outs, inner = self.axes[node], self.inner[node]
        for n in body_nodes(node.src[0]):
            if n.op != "read":
                continue
            names = self.axes[n.src[0]]
            taken = {*names, *self.inner.get(n.src[0], {}).values()}
            for d, index in enumerate(n.src[1:]):
                found = ""
                if index.op == "out":
                    found = outs[index.arg]
                elif index.op == "red":
                    found = inner[index.arg]
                if found and found != "·" and not names[d] and found not in taken:
                    names[d] = found
                    taken.add(found)

    def _through(self, source: Node, target: Node) -> None:
        """A reshape that only adds or removes axes of size 1 keeps the others' names."""
        names = [a for a, s in zip(self.axes[source], source.shape, strict=True) if s != 1]
        if [s for s in source.shape if s != 1] != [s for s in target.shape if s != 1]:
            return
        mine, rest = self.axes[target], iter(names)
        for i, s in enumerate(target.shape):
            if s != 1:
                name = next(rest)
                if not mine[i] and name not in mine:
                    mine[i] = name

    def variables(self, tensor: Node, body: Node, shape: Sequence[int]) -> dict[Node, str]:
        """The name of each variable of a kernel's body, whose results are elements of `tensor`."""
        user = self.user.get(tensor)
        outs = self.axes.get(user) if user is not None else None
        if outs is None or len(outs) != len(shape):
            outs = ["" if s != 1 else "·" for s in shape]
        outs, spare = list(outs), iter(LETTERS)
        nodes = body_nodes(body)
        beside = {  # of each reduction's variable, the names that its terms depend on as well
            uid: {outs[v.arg] for v in body_nodes(n.src[0]) if v.op == "out"}
            for n in nodes if n.op == "reduce" for uid, _ in n.arg[1]
        }  # fmt: skip
        found: dict[Node, str] = {}
        for n in nodes:  # what a reduction runs over is what it reads along that axis
            if n.op != "read":
                continue
            base = self.user.get(n.src[0])
            names = self.axes.get(base, []) if base is not None else []
            for index, name in zip(n.src[1:], names):
                if index.op == "red" and name not in ("", "·", *beside.get(index.arg, ())):
                    found.setdefault(index, name)
        for n in nodes:
            if n.op == "red" and n not in found:
                taken = {*outs, *found.values()}
                own = self.inner.get(user, {}).get(n.arg, "") if user is not None else ""
                found[n] = own if own and own not in taken else _another(taken, spare)
        for i, name in enumerate(outs):
            if not name:
                outs[i] = _another({*outs, *found.values()}, spare)
        for n in nodes:
            if n.op == "out":
                found[n] = outs[n.arg]
        return found

    def outs(
        self, tensor: Node, variables: dict[Node, str], shape: Sequence[int]
    ) -> list[str]:
        """The names of a kernel's output variables, those too on which its body does not depend."""
        user = self.user.get(tensor)
        names = self.axes.get(user, []) if user is not None else []
        names = names if len(names) == len(shape) else ["·"] * len(shape)
        return [variables.get(out(i), name) for i, name in enumerate(names)]

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
            wanted = set(self.plan.steps[number].writes)
            for i in range(number + 1, len(self.plan.steps)):
                if wanted & self.plan.steps[i].reads:
                    return self.lines(i)
        return list(found)

    def work(self, number: int, n: int | None = None) -> Work:
        """What a step does."""
        step = self.plan.steps[number]
        done = sum(flop(node, n) for node, _ in self.own[number])
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
        from ..schedule.sizes import value

        size = sum(value(self._size(w), n) for w in step.writes)
        return Work(done, float(size), float(size))

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

    def _size(self, ref: object) -> int:
        plan = self.plan
        return plan.bytes[ref.index] if isinstance(ref, Result) else plan.temps[ref.index]  # type: ignore[attr-defined,return-value]

    def copied(self, step: Step) -> list[Node]:
        """The tensors that a copy reads, as far as it is known."""
        return [self.stored[r] for r in step.reads if r in self.stored]

    def written(self, step: Step) -> list[str]:
        """The names of what a step writes."""
        return [self.name(g.node) for g in results(step)]


def results(step: Step) -> tuple[Group, ...]:
    """What a step stores; its other groups are computed on the way."""
    return step.groups[: len(step.writes)]


def _ids(body: Node) -> list[int]:
    """The variables of a body's reductions."""
    return list(dict.fromkeys(
        uid for n in body_nodes(body) if n.op == "reduce" for uid, _ in n.arg[1]
    ))  # fmt: skip


def _tensor_name(k: int) -> str:
    return chr(65 + k) if k < 26 else f"T{k}"


def _fresh(order: Sequence[Node]) -> Iterator[str]:
    """Names that no user has given, each once."""
    given = {name for n in order if n.op in COMPUTED for name in names_of(n)[0]}
    given |= {name for n in order if n.op in COMPUTED for name in names_of(n)[1].values()}
    for k in count():
        for letter in LETTERS:
            name = letter if k == 0 else f"{letter}{k}"
            if name not in given:
                yield name


def _another(taken: set[str], letters: Iterator[str]) -> str:
    return next((x for x in letters if x not in taken), f"x{len(taken)}")
