"""Rounds of interleaved blocks, and what is read from them. Must not know what is measured."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from groundup.cli.bench.sides import Side

BLOCK_SECONDS = 0.06  # how long one side runs before the next has its turn
# libgomp's workers go on spinning after a parallel region ends and would steal the other side's
# core: with more than one thread, each side waits until the other's have gone to sleep.
IDLE_SECONDS = 0.03
LEAST_ROUNDS = 5
# A layout that is this much slower than the best of its side is measured no further.
HOPELESS = 1.3


@dataclass(frozen=True)
class Effort:
    """How much is measured: at most `rounds` rounds, and about `seconds` for a row."""

    rounds: int = 21
    seconds: float = 6.0


@dataclass(frozen=True)
class Compared:
    """Two sides: medians in seconds a call, and the ratio of each round."""

    ours: Side
    peer: Side
    ours_seconds: float
    peer_seconds: float
    ratios: list[float]

    @property
    def median(self) -> float:
        """The median of the ratios."""
        return statistics.median(self.ratios)

    @property
    def spread(self) -> float:
        """Third quartile minus first, over the median."""
        if len(self.ratios) < 2:
            return 0.0
        quarter = statistics.quantiles(self.ratios, n=4)
        return (quarter[2] - quarter[0]) / self.median


def compare(sides: Sequence[Side], threads: int, effort: Effort) -> list[Compared]:
    """Measure all sides in interleaved rounds; compare ours with each peer, best layout each."""
    idle = IDLE_SECONDS if threads > 1 else 0.0
    sides, plans = _calibrate(sides, idle)
    spent = sum(once * (calls + warm) + idle for once, calls, warm in plans)
    rounds = max(min(effort.rounds, LEAST_ROUNDS), min(effort.rounds, int(effort.seconds / spent)))
    times: list[list[float]] = [[] for _ in sides]
    gc.collect()
    gc.disable()
    try:
        for i in range(rounds):
            order = range(len(sides)) if i % 2 == 0 else reversed(range(len(sides)))
            for number in order:
                _, calls, warm = plans[number]
                times[number].append(sides[number].block(calls, warm))
                time.sleep(idle)
    finally:
        gc.enable()
    best = {
        who: min((n for n, s in enumerate(sides) if s.who == who), key=_by_median(times))
        for who in dict.fromkeys(s.who for s in sides)
    }
    mine = best.pop("ours")
    return [
        Compared(
            sides[mine], sides[n], statistics.median(times[mine]), statistics.median(times[n]),
            [a / b for a, b in zip(times[mine], times[n], strict=True)],
        )
        for n in best.values()
    ]  # fmt: skip


def _by_median(times: list[list[float]]):  # type: ignore[no-untyped-def]
    return lambda n: statistics.median(times[n])


def _calibrate(
    sides: Sequence[Side], idle: float
) -> tuple[list[Side], list[tuple[float, int, int]]]:
    """The sides worth measuring; for each (seconds a call, calls of a block, warming calls)."""
    once: list[float] = []
    for side in sides:
        first = side.block(1, 0)
        calls = max(1, min(1000, round(BLOCK_SECONDS / 3 / max(first, 1e-7))))
        once.append(min(side.block(calls, 0) for _ in range(3 if first < BLOCK_SECONDS else 1)))
        time.sleep(idle)
    fastest = {s.who: min(t for o, t in zip(sides, once) if o.who == s.who) for s in sides}
    kept = [n for n, s in enumerate(sides) if once[n] <= HOPELESS * fastest[s.who]]
    plans = []
    for n in kept:
        # Two calls wake threads and caches; one does where a call is long.
        warm = 2 if once[n] < BLOCK_SECONDS else 1
        plans.append((once[n], max(1, round(BLOCK_SECONDS / once[n])), warm))
    return [sides[n] for n in kept], plans
