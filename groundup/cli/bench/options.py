"""What was asked for on the command line, checked before anything is measured.

Must not know how it is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from groundup.cli.bench import machine, measure, suites
from groundup.cli.bench.record import PEERS, BenchError, Suite
from groundup.cli.workloads import known

FRESH = ("memory", "first")  # workloads, each in processes of its own
ALONE = ("peak", "wake", "deep")  # of the machine, the thread pool, depth; not of workloads
EVERY = (*suites.NAMES, *ALONE, *FRESH)
QUICK = measure.Effort(rounds=5, seconds=1.0)


@dataclass(frozen=True)
class Options:
    """Everything that decides what a run measures."""

    suites: Sequence[Suite]
    figures: Sequence[str]  # of ALONE and FRESH
    workloads: Sequence[str]  # for the fresh ones
    peers: Sequence[str]
    threads: Sequence[int]
    effort: measure.Effort
    limit: float
    json: Path | None


def parse(
    suite: str = "steps",
    only: str | None = None,
    peer: str = "torch",
    threads: str | None = None,
    json: Path | None = None,
    rounds: int | None = None,
    quick: bool = False,
    limit: float = 120.0,
) -> Options:
    """Check the options of `groundup bench`.

    suite, peer, threads: names or counts separated by commas, or "all" suites. only: the rows whose
    name is one of these words, or else contains it. Raises BenchError.
    """
    names = EVERY if suite == "all" else tuple(_names(suite, (*EVERY, "all"), "suite"))
    if "all" in names:
        names = EVERY
    chosen, workloads = _rows(names, only)
    peers = _names(peer, PEERS, "peer")
    _check_peers(names, chosen, peers)
    if limit <= 0:
        raise BenchError(f"--limit is a positive number of seconds for a row, not {limit:g}")
    if json is not None and not json.parent.is_dir():
        raise BenchError(f"cannot write {json}: there is no folder {json.parent}")
    return Options(
        suites=chosen,
        figures=[n for n in names if n in ALONE or (n in FRESH and workloads)],
        workloads=workloads,
        peers=peers,
        threads=_thread_counts(threads),
        effort=_effort(rounds, quick),
        limit=limit,
        json=json,
    )


def _names(text: str, known: Sequence[str], what: str) -> list[str]:
    names = [n.strip() for n in text.split(",") if n.strip()]
    for name in names:
        if name not in known:
            raise BenchError(
                f"there is no {what} {name!r}; known are: {', '.join(known)}.{_hint(name, known)}"
            )
    if not names:
        raise BenchError(f"no {what} was named; known are: {', '.join(known)}")
    return list(dict.fromkeys(names))


def _hint(name: str, known: Sequence[str]) -> str:
    close = get_close_matches(name, known, 1)
    return f" Did you mean {close[0]!r}?" if close else ""


def _rows(names: Sequence[str], only: str | None) -> tuple[list[Suite], list[str]]:
    """The suites with the rows that are wanted, and the workloads for fresh processes."""
    found = [suites.load(name) for name in dict.fromkeys(names) if name in suites.NAMES]
    workloads = list(known()) if any(n in FRESH for n in names) else []
    if only is None:
        return found, workloads
    every = [case.name for part in found for case in part.cases] + workloads
    # Names of einsum rows have commas: the whole may be one of them.
    whole = any(only in name for name in every)
    words = [only] if whole else [w.strip() for w in only.split(",") if w.strip()]
    for word in words or [only]:
        if not any(word in name for name in every):
            raise BenchError(
                f"no row of {', '.join(names)} has {word!r} in its name; the rows are:"
                f" {', '.join(dict.fromkeys(every))}.{_hint(word, every)}"
            )

    def wanted(name: str) -> bool:
        return any(w == name if w in every else w in name for w in words)

    kept = [replace(p, cases=tuple(c for c in p.cases if wanted(c.name))) for p in found]
    return [p for p in kept if p.cases], [w for w in workloads if wanted(w)]


def _check_peers(names: Sequence[str], chosen: Sequence[Suite], peers: Sequence[str]) -> None:
    cases = [case for suite in chosen for case in suite.cases]
    for peer in peers:
        if cases and not any(case.has(peer) for case in cases):
            raise BenchError(
                f"none of these rows of {', '.join(names)} is written for the peer {peer!r};"
                " numpy and dims (functorch.dim) are peers of the suite gallery"
            )


def _thread_counts(threads: str | None) -> list[int]:
    if threads is None:
        return [1, 2] if machine.cores() > 1 else [1]
    try:
        counts = [int(t) for t in threads.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise BenchError(f"--threads is a list of positive numbers such as 1,2, not {threads!r}")
    return list(dict.fromkeys(counts))


def _effort(rounds: int | None, quick: bool) -> measure.Effort:
    effort = QUICK if quick else measure.Effort()
    if rounds is None:
        return effort
    if rounds < 1:
        raise BenchError(f"--rounds must be at least 1, not {rounds}")
    return replace(effort, rounds=rounds)
