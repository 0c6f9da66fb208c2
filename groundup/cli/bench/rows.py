"""From a case to its rows: the sides are made, compared, measured and held against what is asked.

A side that fails is a row that says why; the others go on. Must not know what a case computes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from groundup.cli.bench import agree, limit, loops, machine, measure, sides
from groundup.cli.bench.jax import Jax, Process
from groundup.cli.bench.record import Case, Loop, Row
from groundup.glass import peak

# Whatever a compiler of either side may raise over one row: it is reported there.
ANYTHING = (Exception,)


@dataclass(frozen=True)
class Setting:
    """How rows are measured: with whom, on how many threads, how long at most for a case."""

    threads: int
    peers: Sequence[str] = ("torch",)
    effort: measure.Effort = field(default_factory=measure.Effort)
    limit: float = 120.0  # seconds for one case with all its peers
    jax: Process | None = None  # where "jax" is among the peers


def measure_case(suite: str, case: Case | Loop, setting: Setting) -> list[Row]:
    """One row for each peer."""
    rows = {p: Row(suite, case.name, setting.threads, p) for p in _peers(case, setting.peers)}
    for row in rows.values():
        row.asked = case.asked.ratio.get(row.peer)
    try:
        with limit.seconds(setting.limit):
            _fill(suite, case, rows, setting)
    except (limit.TooLong, *ANYTHING) as error:
        for row in rows.values():
            row.failed = row.failed or limit.reason(error)
    for row in rows.values():
        if row.failed and row.asked is not None:
            row.met = False
    return list(rows.values())


def _peers(case: Case | Loop, wanted: Sequence[str]) -> list[str]:
    return [p for p in wanted if case.has(p)]


def _fill(suite: str, case: Case | Loop, rows: dict[str, Row], setting: Setting) -> None:
    ready, make, check = _prepare(suite, case, setting.jax)
    theirs: list[sides.Side] = []
    for peer, row in rows.items():
        try:
            made = make(peer)
            row.difference = max(check(a, b) for a in ready for b in made)
            theirs += made
        except ANYTHING as error:
            row.failed = limit.reason(error)
    if not theirs:
        return
    child = setting.jax.pid if setting.jax is not None else None
    others = machine.Others([child] if child is not None else [])
    compared = measure.compare([*ready, *theirs], setting.threads, setting.effort)
    elsewhere = others.cores()
    for found in compared:
        row = rows[found.peer.who]
        row.elsewhere = elsewhere
        write(row, found, case, setting.threads)


Make = Callable[[str], list[sides.Side]]  # peer → its sides, one for each layout
Check = Callable[[sides.Side, sides.Side], float]  # → the largest difference


def _prepare(
    suite: str, case: Case | Loop, jax: Process | None
) -> tuple[list[sides.Side], Make, Check]:
    """Our sides, how to make a peer's, and how to compare two."""
    if isinstance(case, Loop):
        mine, state = loops.ours(case)

        def other(peer: str) -> list[sides.Side]:
            if peer == "jax" and jax is not None:
                return [Jax(jax, suite, case, state)]
            return [loops.torch(case, state, peer == "compile")]

        return [mine], other, lambda a, b: loops.check(case, a, b)
    layouts = ("nchw", "nhwc") if case.images else ("",)

    def others(peer: str) -> list[sides.Side]:
        if peer == "jax" and jax is not None:
            return [Jax(jax, suite, case)]
        if peer in ("numpy", "dims"):
            return [sides.numpy(case) if peer == "numpy" else sides.dims(case)]
        idioms = ("", *case.idioms) if peer == "torch" else ("",)
        return [
            sides.torch(case, layout, peer == "compile", idiom)
            for layout in layouts
            for idiom in idioms
        ]

    return (
        [sides.ours(case, layout) for layout in layouts],
        others,
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
