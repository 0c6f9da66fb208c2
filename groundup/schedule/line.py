"""The order in which the steps of a plan run: each after what it reads, and after what must be read
before it is overwritten; such that little memory is needed at once. Must not know kernels.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from heapq import heappop, heappush

from .steps import Result, Step, Temp


def in_order(
    steps: list[Step], waits: dict[Step, set[Step]], checking: Sequence[Step] = (),
    sizes: Mapping[Temp, int] | None = None, small: float = 0.0,
) -> tuple[list[Step], list[Step]]:  # fmt: skip
    """(the steps, each after what it reads and what it waits for; those that could not wait).

    Steps in `waits` also wait for all others in `checking`. A result that no other step reads is
    computed as soon as it can be: what it reads dies early. With `sizes` a copy for such a result
    alone is made only then, and what leads to such results alone is computed as soon as it can be,
    too, where that is smaller by the factor `small` than what it reads.
    """
    line = _Line(steps, waits, set(checking))
    if sizes is not None:
        line.drain(sizes, small)
    for s in steps:
        line.offer(s)
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


def lives_of(
    steps: Sequence[Step], outside: Container[int] = ()
) -> dict[int, tuple[int, int]]:
    """The first and the last step that touches each temporary that is not `outside`."""
    lives: dict[int, tuple[int, int]] = {}
    for at, step in enumerate(steps):
        for ref in (*step.writes, step.scratch, *step.reads):
            if isinstance(ref, Temp) and ref.index not in outside:
                lives[ref.index] = (lives.get(ref.index, (at, at))[0], at)
    return lives


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
        self.turn = {s: (not self.last(s), self.number[s]) for s in steps}
        self.after: dict[Step, list[Step]] = {s: [] for s in steps}
        self.missing: dict[Step, int] = {}
        for s in steps:
            for t in (first := self.needs[s] | self.waits.get(s, set())):
                self.after[t].append(s)
            self.missing[s] = len(first) + (s in self.gated)

    def last(self, s: Step) -> bool:
        """Are its results of no use to other steps?"""
        return all(isinstance(r, Result) and r not in self.read for r in s.writes)

    def drain(self, sizes: Mapping[Temp, int], small: float) -> None:
        """Let what leads to results alone have its turn early, and copies for them wait."""
        users: dict[Step, list[Step]] = {}
        for s in self.steps:
            for t in self.needs[s]:
                users.setdefault(t, []).append(s)
        ends: set[Step] = set()
        for s in reversed(self.steps):
            if self.last(s):
                ends.add(s)
                copies = {t for t in self.needs[s] if not t.groups and users[t] == [s]}
                for copy in copies:
                    self.wait(copy, self.needs[s] - copies - self.needs[copy])
                    self.turn[copy] = (False, self.number[copy])
            elif s.groups and users.get(s) and ends.issuperset(users[s]):
                ends.add(s)
                written, read = (
                    sum(sizes[r] for r in refs if isinstance(r, Temp))
                    for refs in (s.writes, s.reads)
                )
                if written <= small * read:
                    self.turn[s] = (False, self.number[s])

    def wait(self, s: Step, others: set[Step]) -> None:
        """Let a step wait for others as for those that it reads."""
        new = others - self.waits.get(s, set())
        self.needs[s] = self.needs[s] | others
        self.missing[s] += len(new)
        for t in new:
            self.after[t].append(s)

    def offer(self, s: Step) -> None:
        if not self.missing[s]:
            heappush(self.ready, self.turn[s])

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
