"""One stored tensor → one step of a plan: a kernel, its arguments, what it reads and writes."""

from __future__ import annotations

from ..emit.kernel import Kernel
from ..ir.node import Node, out, outs, read
from ..ir.record import fresh, frozen, record
from ..ir.transform import body_nodes, substitute, toposort
from .fuse import Group
from .join import loops_of
from .lower import Lowering, Memory
from .nests import NestBuilder, Parameters, Store
from .order import product_of
from .sizes import Size, mul, row_major_strides, size_of, total


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
    parallel: bool
    writes: tuple[object, ...]  # one for each of its groups
    reads: set[object]
    groups: tuple[Group, ...]  # none for a copy
    shape: tuple[Size, ...] = ()
    checks: bool = False  # may note that an index is out of range


@record
class Check:
    """A run-time check of an index, for the error message."""

    axis: int
    shape: tuple[int, ...]
    line: str | None


@record
class Machine:
    """What the schedule may know of the processor."""

    width: int  # float32 lanes of a vector
    registers: int  # vector registers


@record
class Builder:
    """Turns groups into steps; makes the copies that contractions ask for."""

    machine: Machine
    memory: dict[Node, Memory]
    batches: set[int]
    steps: list[Step] = fresh(default_factory=list)
    temps: list[Size] = fresh(default_factory=list)  # bytes of each
    copies: dict[tuple[Node, int], Memory] = fresh(default_factory=dict)
    checks: list[Check] = fresh(default_factory=list)

    def layout(self, shape: tuple[int, ...]) -> tuple[Size, ...]:
        """Strides of a temporary: row-major, or with the batch innermost."""
        sizes = tuple(size_of(s) for s in shape)
        if len(shape) >= 3 and int(shape[0]) in self.batches:
            return innermost(sizes, 0)
        return row_major_strides(sizes)

    def temporary(self, node: Node, strides: tuple[Size, ...]) -> Memory:
        sizes = tuple(size_of(s) for s in node.shape)
        self.temps.append(mul(total(sizes), node.dtype.itemsize))
        return Memory(Temp(len(self.temps) - 1), sizes, strides)

    def add(self, groups: list[Group], targets: list[Memory]) -> None:
        """Append the step (and copies before it) that computes groups into their targets."""
        alone = len(groups) == 1 and _has_product(groups[0].body)
        if alone and self._contraction(groups[0], targets[0]):
            return
        main, names = loops_of(groups)
        checks: list[tuple[int, tuple[int, ...], str | None]] = []
        stores = []
        for group, target, own in zip(groups, targets, names, strict=True):
            low = Lowering(main.shape, substitute(group.body, own), self.memory)
            checks += low.checks
            terms = tuple((own[out(i)], s) for i, s in enumerate(target.strides))
            stores.append(Store(low.result, target.ref, terms))
        sizes = tuple(size_of(s) for s in main.shape)
        built = NestBuilder(sizes, stores, groups.index(main), self.machine.width).build()
        self._append(*built, targets, groups, checks)

    def _contraction(self, group: Group, target: Memory) -> bool:
        """Append the steps of a sum of products in register tiles, if it is one that gains."""
        from .contract import Problem  # a first result without products should not wait for it

        memory = self.memory
        width, registers = self.machine.width, self.machine.registers
        for _ in range(4):
            problem = Problem(
                group.shape, group.body, memory, target, width, registers, set(self.copies)
            )
            choice = problem.best() if problem.valid else None
            if choice is None:
                break
            if choice.repack is None:
                self._append(*problem.build(choice), [target], [group], problem.checks)
                return True
            memory = {**memory, choice.repack[0]: self.copy(*choice.repack)}
        return False

    def copy(self, tensor: Node, axis: int) -> Memory:
        """A copy of a tensor with one axis innermost, made once."""
        known = self.copies.get((tensor, axis))
        if known is None:
            body = read(tensor, *outs(tensor.ndim))
            sizes = tuple(size_of(s) for s in tensor.shape)
            known = self.temporary(tensor, innermost(sizes, axis))
            low = Lowering(tensor.shape, body, self.memory)
            terms = tuple((out(i), s) for i, s in enumerate(known.strides))
            store = Store(low.result, known.ref, terms)
            built = NestBuilder(sizes, [store], 0, self.machine.width).build()
            self._append(*built, [known], [], [])
            self.copies[tensor, axis] = known
        return known

    def _append(
        self, kernel: Kernel, params: Parameters, parallel: bool, targets: list[Memory],
        groups: list[Group], checks: list[tuple[int, tuple[int, ...], str | None]],
    ) -> None:  # fmt: skip
        words = list(params.words)
        base = len(self.checks)
        self.checks += [Check(*c) for c in checks]
        words = [base + w[1] if isinstance(w, tuple) and w[0] == "check" else w for w in words]
        reads = {w[1] for w in words if isinstance(w, tuple) and w[0] == "pointer"}
        writes = tuple(t.ref for t in targets)
        shape = targets[0].shape
        self.steps.append(
            Step(kernel, words, parallel, writes, reads - {*writes}, tuple(groups), shape,
                 bool(checks))
        )  # fmt: skip


def _has_product(body: Node) -> bool:
    return any(n.op == "reduce" and n.arg[2].startswith("dot") for n in body_nodes(body))


def innermost(shape: tuple[Size, ...], axis: int) -> tuple[Size, ...]:
    """Strides of contiguous memory in which `axis` varies fastest, the others row-major."""
    order = [i for i in range(len(shape)) if i != axis] + [axis]
    inner = row_major_strides(tuple(shape[i] for i in order))
    strides: list[Size] = [0] * len(shape)
    for i, s in zip(order, inner):
        strides[i] = s
    return tuple(strides)


def batch_sizes(groups: list[Group]) -> set[int]:
    """Extents of the first axis of what convolutions read: such tensors, and those that go with
    them, are kept with that axis innermost, so that every loop over it is contiguous."""
    found: set[int] = set()
    for g in groups:
        for n in body_nodes(g.body):
            if n.op != "reduce" or not n.arg[2].startswith("dot"):
                continue
            for r in product_of(n.src[0]) or ():
                if len(r.src) <= 3 or r.src[1].op not in ("out", "red"):
                    continue
                mixed = any(
                    len({v for v in toposort([ix]) if v.op in ("out", "red")}) > 1
                    for ix in r.src[2:]
                )
                if mixed and int(r.src[0].shape[0]) >= 16:
                    found.add(int(r.src[0].shape[0]))
    return found
