"""What of a plan need not be computed at each run: the steps that depend on nothing but inputs that
stay as they are (weights of a model in use: their copies into panels, their casts). They run once,
into memory of their own, and the other steps at each run.

Must not know how it is seen that an input has stayed as it was.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..runtime import Buffer
from .order import Slot
from .plan import Bound, Plan, run_bound
from .sizes import Sym, value
from .steps import Step, Temp

LEAST = 4096  # bytes of a result: fewer are computed again as fast as they are found


class Once:
    """The steps of a plan that need to run only once while some of its inputs stay.

    slots: which inputs those steps read. memory: their results, once they have run.
    """

    def __init__(self, plan: Plan, fixed: Collection[int]) -> None:
        """fixed: the inputs that may stay as they are."""
        self.plan = plan
        chosen = _chosen(plan, fixed)
        inside = set(chosen)
        self.rests = [i for i in range(len(plan.steps)) if i not in inside]
        asked = {r for i in self.rests for r in plan.steps[i].reads}
        steps = [plan.steps[i] for i in chosen]
        temps = [w.index for s in steps for w in s.writes if isinstance(w, Temp) and w in asked]
        self.kept = {t: k for k, t in enumerate(temps)}
        self.sizes = [value(plan.temps[t]) for t in temps]
        self.slots = frozenset(r.index for s in steps for r in s.reads if isinstance(r, Slot))
        self.chosen = chosen
        self.memory: list[Buffer] | None = None
        self._first: Bound | None = None
        self._rest: dict[int | None, Bound] = {}

    def rest(self, n: int | None) -> Bound:
        """The program of the other steps, for one value of the runtime size."""
        bound = self._rest.get(n)
        if bound is None:
            bound = self._rest[n] = self.plan.assemble(self.rests, n, self.kept)
        return bound

    def filled(self, buffers: Sequence[Buffer]) -> list[Buffer]:
        """The results of the steps that run once; they run now if they have not. The caller holds
        the pool's lock."""
        if self.memory is None:
            if self._first is None:
                self._first = self.plan.assemble(self.chosen, None, self.kept)
            memory = [Buffer(size) for size in self.sizes]
            run_bound(self._first, (buffers, (), memory))
            self.memory = memory
        return self.memory


def _chosen(plan: Plan, fixed: Collection[int]) -> list[int]:
    """The steps that depend only on inputs that stay, as far as a large result needs them."""
    writers: dict[object, list[int]] = {}
    for i, step in enumerate(plan.steps):
        for w in step.writes:
            writers.setdefault(w, []).append(i)
    standing: set[object] = {Slot(i) for i in fixed}
    steps: list[int] = []
    for i, step in enumerate(plan.steps):
        alone = all(len(writers[w]) == 1 for w in step.writes)
        if alone and _is_fixed(plan, step) and standing.issuperset(step.reads):
            standing.update(step.writes)
            steps.append(i)
    inside = set(steps)
    outside = {r for i, s in enumerate(plan.steps) if i not in inside for r in s.reads}
    needed: set[int] = set()
    wanted: set[object] = set()
    for i in reversed(steps):
        step = plan.steps[i]
        large = any(
            w in outside and value(plan.temps[w.index]) >= LEAST
            for w in step.writes if isinstance(w, Temp)
        )  # fmt: skip
        if large or not wanted.isdisjoint(step.writes):
            needed.add(i)
            wanted.update(step.reads)
    return [i for i in steps if i in needed]


def _is_fixed(plan: Plan, step: Step) -> bool:
    """Is what a step computes a temporary of the same size at each run, and is it sure to end
    well?"""
    if step.checks or any(isinstance(w, Sym) for w in step.words):
        return False
    return all(
        isinstance(w, Temp) and not isinstance(plan.temps[w.index], Sym) for w in step.writes
    )
