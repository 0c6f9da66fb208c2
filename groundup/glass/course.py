"""All that runs for a graph, in order: the kernels of each stretch, and between stretches what
Python runs (LAPACK's decompositions).

Must not know how either is shown on a page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..ir.extent import product
from ..ir.node import Node
from ..schedule import Plan
from ..schedule.segments import Operation, course
from ..schedule.steps import Step
from ..tensor.linalg.lapack import Hosted
from .anatomy import Anatomy, Names
from .times import Input, inputs


class Stretch(NamedTuple):
    """Kernels that run in one native call: their plan, the tensors that they are for, and the
    memory that they read."""

    anatomy: Anatomy
    plan: Plan
    roots: Sequence[Node]
    given: Sequence[Input]


class Kernels(NamedTuple):
    """One step of a stretch."""

    stretch: Stretch
    number: int

    @property
    def step(self) -> Step:
        """The step."""
        return self.stretch.plan.steps[self.number]


class Call:
    """A host operation: a function that Python runs on memory, between kernels."""

    def __init__(self, operation: Operation, names: Names) -> None:
        self.operation, self._names = operation, names
        self.nodes = operation.nodes
        self.name = operation.function.name

    @property
    def line(self) -> str | None:
        """Where it was written."""
        return self.nodes[0].line

    @property
    def by(self) -> str:
        """What computes it."""
        run = self.operation.function.run
        return run.by if isinstance(run, Hosted) else getattr(run, "__qualname__", "Python")

    def tensors(self) -> list[Node]:
        """The tensors that it reads and makes."""
        return [*self.nodes[0].src, *self.nodes]

    def results(self) -> str:
        """What it makes."""
        return ", ".join(map(self._named, self.nodes))

    def sources(self) -> list[str]:
        """What it reads, by name."""
        return [self._names.of[s] for s in self.nodes[0].src]

    def written(self) -> str:
        """It as a line: D[8, 8] = cholesky(C[8, 8])"""
        given = ", ".join(map(self._named, self.nodes[0].src))
        return f"{self.results()} = {self.name}({given})"

    def _named(self, node: Node) -> str:
        return f"{self._names.of[node]}[{', '.join(str(int(s)) for s in node.shape)}]"


class Course:
    """What runs for a graph: `stretches`, and all their steps and the host calls between them in
    one row, `steps`."""

    def __init__(self, roots: Sequence[Node], plan: Plan) -> None:
        self.names = Names(roots)
        self.stretches: list[Stretch] = []
        self.steps: list[Kernels | Call] = []
        for part in course(roots, plan, self._seen):
            if isinstance(part, Operation):
                self.steps.append(Call(part, self.names))
                continue
            self.stretches.append(part)
            self.steps += [Kernels(part, i) for i in range(len(part.plan.steps))]

    def _seen(self, plan: Plan, roots: Sequence[Node]) -> Stretch:
        return Stretch(Anatomy(roots, plan, self.names), plan, roots, inputs(roots))

    def between(self) -> int:
        """Bytes of what is kept in memory from one stretch to another."""
        kept = [node for s in self.stretches[:-1] for node in s.roots]
        kept += [node for s in self.steps if isinstance(s, Call) for node in s.nodes]
        return sum(int(product(n.shape)) * n.dtype.itemsize for n in kept)
