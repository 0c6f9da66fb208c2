"""Times the ways to run the contractions that a program has met, and keeps the winners.

Each candidate is the real kernel (with the copies that it asks for), run on memory of the real
sizes and strides; candidates take turns, so that what disturbs the machine disturbs them alike. One
that gave other bits than the model's choice would be refused. Must not know Tensor.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from time import perf_counter
from typing import NamedTuple

from .. import runtime
from ..emit import elements
from ..emit.kernel import Kernel
from ..ir.dtype import DType
from ..ir.node import Node
from ..ir.record import frozen
from ..runtime import Buffer
from . import steps, winners
from .contract import Choice, Problem
from .forms import form
from .fuse import Group, stored_behind
from .lower import Memory
from .machine import machine
from .plan import THREADS, compiled
from .sizes import value
from .steps import Builder, Temp
from .tiles import candidates

SAMPLE = 5e-4  # seconds of one measurement: many clock ticks, few interruptions
ROUNDS = 7
MOST_RUNS = 16  # of a contraction after one copy that serves several
HOPELESS = 1.5  # how much slower a candidate may be at first sight
GAIN = 1.03  # what a winner must gain: less is noise, and not worth a file


@frozen
class _Outside:
    """Memory that a contraction reads or writes, in place of what its plan had there."""

    index: int


class Met:
    """A contraction that a program has met, apart from the memory it used."""

    def __init__(self, builder: Builder, group: Group, target: Memory, tensors: list[Node]) -> None:
        refs: dict[object, _Outside] = {}
        self.sizes: dict[_Outside, tuple[int, DType]] = {}
        self.group, self.images, self.count = group, builder.images, 0
        self.repeats = {n: builder.repeats[n] for n in group.nodes if n in builder.repeats}

        def outside(place: Memory, dtype: DType) -> Memory:
            ref = refs.setdefault(place.ref, _Outside(len(refs)))
            reach = sum((value(n) - 1) * value(s) for n, s in zip(place.shape, place.strides))
            size = max((reach + 1) * dtype.itemsize, self.sizes.get(ref, (0, dtype))[0])
            self.sizes[ref] = size, dtype
            return Memory(ref, place.shape, place.strides)

        self.memory: dict[Node, Memory] = {}
        for t in tensors:
            node = t if t in builder.memory else stored_behind(t)
            self.memory[node] = outside(builder.memory[node], node.dtype)
        self.copies = {
            t: {key: outside(place, t.dtype) for key, place in builder.copies[t].items()}
            for t in tensors if t in builder.copies
        }  # fmt: skip
        self.target = outside(target, group.node.dtype)
        self.written = refs[target.ref]


class Meeting:
    """What contractions a program meets while it runs."""

    def __init__(self) -> None:
        self.met: dict[object, Met] = {}

    def note(self, builder: Builder, group: Group, target: Memory) -> None:
        """A builder is about to add this contraction."""
        key, tensors, _ = form(
            [group], [target], builder.memory, builder.copies, builder.repeats
        )
        found = self.met.get(key)
        if found is None:
            found = self.met[key] = Met(builder, group, target, tensors)
        found.count += 1


@contextmanager
def meeting() -> Iterator[Meeting]:
    """Within, what plans are made of is noted; none comes from disk."""
    now = Meeting()
    before, steps.listener = steps.listener, now.note
    try:
        yield now
    finally:
        steps.listener = before


class Outcome(NamedTuple):
    """What timing said of one problem."""

    form: str
    problem: Problem
    uses: int  # how often plans have it
    tried: int
    before: Choice  # the model's, or an earlier winner
    winner: Choice
    seconds: tuple[float, float]  # with the one and with the other
    name: str  # of the winner
    refused: int  # candidates that gave other bits

    @property
    def gains(self) -> bool:
        """Is the winner another one?"""
        return self.winner is not self.before


class Way:
    """One way to run a contraction, ready to run."""

    def __init__(self, met: Met, forced: dict[str, str], outside: dict[_Outside, Buffer]) -> None:
        self.trial = winners.Trial(forced)
        copies = {t: dict(known) for t, known in met.copies.items()}
        builder = Builder(
            machine(), dict(met.memory), met.images, repeats=met.repeats, copies=copies
        )
        with winners.trying(self.trial):
            self.valid = builder._contraction(met.group, met.target)
        self.steps, self._temps = builder.steps, builder.temps
        self.outside = outside
        # A copy that serves several contractions is made once for as many runs.
        self.times = min(MOST_RUNS, max(met.repeats.values(), default=1))
        self.kernels: tuple[Kernel, ...] = tuple(s.kernel for s in self.steps)

    def load(self) -> None:
        """Give it code and memory."""
        temps = [Buffer(max(64, value(size))) for size in self._temps]

        def number(word: object) -> int:
            if isinstance(word, tuple) and word[0] == "pointer":
                ref = word[1]
                buffer = temps[ref.index] if isinstance(ref, Temp) else self.outside[ref]
                return buffer.address
            return 0 if word == "status" else value(word)  # type: ignore[arg-type]

        code = dict(zip(self.kernels, compiled(self.kernels), strict=True))
        steps = [s for s in self.steps if not s.groups]
        steps += [s for s in self.steps if s.groups] * self.times
        table = [
            (code[s.kernel], [number(w) for w in s.words], THREADS[s.parallel]) for s in steps
        ]
        self.program, self._alive = runtime.Program(table), temps
        for i, s in enumerate(steps):
            for j, w in enumerate(s.words):
                if w == "status":
                    self.program.words(i)[j] = self.program.status_address

    def seconds(self, runs: int) -> float:
        """How long a run takes, over some."""
        run, start = self.program.run, perf_counter()
        for _ in range(runs):
            run()
        return (perf_counter() - start) / (runs * self.times)


def tune(met: Sequence[Met], done: Callable[[Outcome], None], until: float = math.inf) -> int:
    """Time the candidates of each problem, those with the most work first; what each gave is told
    to `done`, and kept on disk if it gains. `until`: when to stop, by `perf_counter`. How many
    contractions were left over.

    Raises OSError where winners cannot be kept.
    """
    seen: set[str] = set()
    order = sorted(met, key=lambda m: -_work(m))
    for i, m in enumerate(order):
        if perf_counter() > until:
            return len(order) - i
        for outcome in _tune(m, seen):
            if outcome.gains:
                winners.keep({outcome.form: outcome.name})
            done(outcome)
    return 0


def _work(m: Met) -> float:
    """About how many cycles the model thinks that all uses take."""
    return m.count * sum(c.cost for _, c in Way(m, {}, {}).trial.asked.values())


def _tune(m: Met, seen: set[str]) -> Iterator[Outcome]:
    """The outcome of each problem of a contraction that is not among those seen."""
    outside = {ref: _filled(size, dtype) for ref, (size, dtype) in m.sizes.items()}
    known = winners.table()
    model = Way(m, {}, outside)
    if not model.valid:
        return
    forced = {f: known[f] for f in model.trial.asked if f in known}
    for name, (problem, _) in model.trial.asked.items():
        if name in seen:
            continue
        seen.add(name)
        first = Way(m, forced, outside)
        if name not in first.trial.asked:
            continue  # only the model asks it, of a copy that an earlier winner does without
        ways = {first.kernels: first}
        for c in candidates(problem):
            way = Way(m, forced | {name: winners.described(problem, c)}, outside)
            if way.valid and name in way.trial.asked:
                ways.setdefault(way.kernels, way)
        refused = _load(list(ways.values()), outside[m.written])
        left = [w for w in ways.values() if w not in refused]
        best, seconds = _fastest(left)
        before, winner = left[0].trial.asked[name][1], left[best].trial.asked[name][1]
        text = winners.described(*left[best].trial.asked[name])
        if best:
            forced = forced | {name: text}
        yield Outcome(
            name, problem, m.count, len(left), before, winner, seconds, text, len(refused)
        )


def _load(ways: list[Way], result: Buffer) -> list[Way]:
    """Make them ready; those that give other bits than the first."""
    compiled([k for w in ways for k in w.kernels])
    bits: list[bytes] = []
    for way in ways:
        way.load()
        result.write_bytes(bytes(result.nbytes))
        way.program.run()
        bits.append(result.read_bytes())
    return [w for w, b in zip(ways, bits, strict=True) if b != bits[0]]


def _fastest(ways: list[Way]) -> tuple[int, tuple[float, float]]:
    """(the fastest of them, if it gains enough, else the first; seconds of the first and of it)."""
    if len(ways) == 1:
        (t,) = _medians(ways, 1, 3)
        return 0, (t, t)
    first = [w.seconds(1) for w in ways]
    near = [i for i, t in enumerate(first) if i == 0 or t <= HOPELESS * first[0]]
    runs = max(1, round(SAMPLE / max(1e-9, min(first))))
    middle = _medians([ways[i] for i in near], runs, 3)
    order = sorted(range(1, len(near)), key=middle.__getitem__)
    final = [0, *[near[i] for i in order[:3]]]
    middle = _medians([ways[i] for i in final], runs, ROUNDS)
    best = min(range(len(final)), key=middle.__getitem__)
    if middle[best] * GAIN > middle[0]:
        return 0, (middle[0], middle[0])
    before, after = _medians([ways[0], ways[final[best]]], runs, ROUNDS)  # it may have been luck
    if after * GAIN > before:
        return 0, (before, before)
    return final[best], (before, after)


def _medians(ways: list[Way], runs: int, rounds: int) -> list[float]:
    """Seconds of each in the middle one of some rounds, in which they take turns."""
    times: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds):
        for i, way in enumerate(ways):
            if runs > 1:
                way.seconds(1)  # what it reads is where it left it, not where another left it
            times[i].append(way.seconds(runs))
    return [median(t) for t in times]


def _filled(size: int, dtype: DType) -> Buffer:
    """Memory full of plain numbers, different ones (0 where they may be indices)."""
    count = min(4093, -(-size // dtype.itemsize))  # a prime: no row is like another
    draw = random.Random(count).uniform
    one = Buffer(count * dtype.itemsize)
    numbers = [draw(-1, 1) if dtype.is_float else 0 for _ in range(count)]
    elements.store(one, numbers, dtype)
    whole = Buffer(size + 64)
    period = one.nbytes
    piece = one.read_bytes()
    times = -(-whole.nbytes // period)
    whole.write_bytes((piece * times)[: whole.nbytes])
    return whole
