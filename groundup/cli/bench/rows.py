"""From a case to its rows: the sides are made, compared, measured and held against what is asked.

A side that fails is a row that says why; the others go on. Must not know what a case computes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from groundup.cli.bench import agree, limit, loops, measure, peak, sides
from groundup.cli.bench.record import BenchError, Case, Loop, Row

# Whatever a compiler of either side may raise over one row: it is reported there.
ANYTHING = (Exception,)


@dataclass(frozen=True)
class Setting:
    """How rows are measured: with whom, on how many threads, how long at most for a case."""

    threads: int
    peers: Sequence[str] = ("torch",)
    effort: measure.Effort = field(default_factory=measure.Effort)
    limit: float = 120.0  # seconds for one case with all its peers


def measure_case(suite: str, case: Case | Loop, setting: Setting) -> list[Row]:
    """One row for each peer."""
    rows = {p: Row(suite, case.name, setting.threads, p) for p in _peers(case, setting.peers)}
    for row in rows.values():
        row.asked = case.asked.ratio.get(row.peer)
    try:
        with limit.seconds(setting.limit):
            _fill(case, rows, setting)
    except (limit.TooLong, *ANYTHING) as error:
        for row in rows.values():
            row.failed = row.failed or reason(error)
    for row in rows.values():
        if row.failed and row.asked is not None:
            row.met = False
    return list(rows.values())


def _peers(case: Case | Loop, wanted: Sequence[str]) -> list[str]:
    return [p for p in wanted if p != "jax" or case.jax is not None]


def reason(error: BaseException) -> str:
    """An error in a line."""
    text = " ".join(str(error).split()) or "no reason given"
    name = "" if isinstance(error, BenchError | limit.TooLong) else f"{type(error).__name__}: "
    return f"{name}{text}"[:300]


def _fill(case: Case | Loop, rows: dict[str, Row], setting: Setting) -> None:
    ready, make, check = _prepare(case)
    theirs: list[sides.Side] = []
    for peer, row in rows.items():
        try:
            made = make(peer)
            row.difference = max(check(a, b) for a in ready for b in made)
            theirs += made
        except limit.TooLong:
            raise
        except ANYTHING as error:
            row.failed = reason(error)
    if not theirs:
        return
    for found in measure.compare([*ready, *theirs], setting.threads, setting.effort):
        write(rows[found.peer.who], found, case, setting.threads)


Make = Callable[[str], list[sides.Side]]  # peer → its sides, one for each layout
Check = Callable[[sides.Side, sides.Side], float]  # → the largest difference


def _prepare(case: Case | Loop) -> tuple[list[sides.Side], Make, Check]:
    """Our sides, how to make a peer's, and how to compare two."""
    if isinstance(case, Loop):
        mine, state = loops.ours(case)
        return (
            [mine],
            lambda peer: [loops.torch(case, state, peer == "compile")],
            lambda a, b: loops.check(case, a, b),
        )
    layouts = ("nchw", "nhwc") if case.images else ("",)
    return (
        [sides.ours(case, layout) for layout in layouts],
        lambda peer: [sides.torch(case, layout, peer == "compile") for layout in layouts],
        lambda a, b: agree.check(case, a.outcome(), b.who, b.outcome()),
    )


def write(row: Row, found: measure.Compared, case: Case | Loop, threads: int) -> None:
    """Write what was measured into its row."""
    seconds = found.ours_seconds
    row.ours_ms, row.peer_ms = seconds * 1e3, found.peer_seconds * 1e3
    row.ratio_median, row.ratio_min = found.median, min(found.ratios)
    row.n, row.ratio_spread = len(found.ratios), found.spread
    row.ours_layout, row.peer_layout = found.ours.layout, found.peer.layout
    row.ours_first_ms, row.peer_first_ms = found.ours.first_ms, found.peer.first_ms
    row.ratios = [round(r, 4) for r in found.ratios]
    row.gflops = case.flop / seconds / 1e9 if case.flop else None
    moved = case.read + case.written
    row.gbytes = moved / seconds / 1e9 if moved else None
    if case.flop or moved:
        row.share = peak.floor(threads, case.flop, case.read, case.written) / seconds
    row.met = case.asked.met(row.peer, row.ratio_median, row.share, threads)
    assert not math.isnan(row.ratio_median)
