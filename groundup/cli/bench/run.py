"""One run of the benchmarks: what was asked for is checked, measured, printed and written.

Must not know how a row is measured (rows.py) or what is in a suite.
"""

from __future__ import annotations

import json as json_format
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from groundup.cli.bench import machine, measure, report, rows, sides, suites
from groundup.cli.bench.record import PEERS, BenchError, Row, Suite

Echo = Callable[[str], object]
QUICK = measure.Effort(rounds=5, seconds=1.0)


def run(
    suite: str = "steps",
    only: str | None = None,
    peer: str = "torch",
    threads: str | None = None,
    json: Path | None = None,
    rounds: int | None = None,
    quick: bool = False,
    limit: float = 120.0,
    echo: Echo = print,
) -> list[Row]:
    """Measure and print the rows of these suites; write them to `json` after each.

    suite, peer, threads: names or counts separated by commas, or "all" suites; threads are set
    equal on both sides. only: the rows whose name contains one of these words. Raises BenchError.
    """
    chosen = _suites(suite, only)
    peers = _peers(peer)
    counts = _thread_counts(threads)
    effort = _effort(rounds, quick)
    if limit <= 0:
        raise BenchError(f"--limit is a positive number of seconds for a row, not {limit:g}")
    if json is not None and not json.parent.is_dir():
        raise BenchError(f"cannot write {json}: there is no folder {json.parent}")
    sides.torch_module()
    header = machine.header()
    for key, value in header.items():
        echo(f"# {key}: {value}")
    if max(counts) > machine.cores():
        echo(f"# {max(counts)} threads on {machine.cores()} cores: they take turns on both sides")
    echo("# ratio = ours / peer of each round, below 1 we are faster; blocks interleaved")
    echo("# first ms = our first two calls, with capture and compilation; excluded elsewhere")
    echo("# roof = the least time for this arithmetic and memory here, measured now, over our time")
    found: list[Row] = []
    summary: list[dict[str, Any]] = []
    for part in chosen:
        mine: list[Row] = []
        echo(f"\n{report.title(part)}\n{report.HEAD}")
        for count in counts:
            set_threads(count)
            setting = rows.Setting(count, peers, effort, limit)
            for case in part.cases:
                new = rows.measure_case(part.name, case, setting)
                for row in new:
                    echo(report.line(row))
                mine += new
                _write(json, header, found + mine, summary + report.summary(part, mine))
        found += mine
        summary += report.summary(part, mine)
    _show(summary, echo)
    return found


def set_threads(count: int) -> None:
    """The same number of threads for both sides of this process."""
    import groundup as gu

    gu.set_num_threads(count)
    sides.torch_module().set_num_threads(count)


def _show(summary: list[dict[str, Any]], echo: Echo) -> None:
    from io import StringIO

    from rich.console import Console

    text = StringIO()
    console = Console(file=text, width=110, force_terminal=False)
    console.print(report.table(summary))
    echo("\n" + text.getvalue().rstrip())
    if any(s["noisy"] for s in summary):
        echo("?: the ratios spread too far; other work shares this machine, measure these again")


def _write(
    path: Path | None, header: dict[str, Any], found: list[Row], summary: list[dict[str, Any]]
) -> None:
    if path is None:
        return
    text = {"header": header, "rows": [asdict(row) for row in found], "summary": summary}
    try:
        path.write_text(json_format.dumps(text, indent=1) + "\n")
    except OSError as error:
        raise BenchError(f"cannot write {path}: {error.strerror}") from error


# ---- what was asked for --------------------------------------------------------------------------


def _names(text: str, known: Sequence[str], what: str) -> list[str]:
    names = [n.strip() for n in text.split(",") if n.strip()]
    for name in names:
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise BenchError(f"there is no {what} {name!r}; known are: {', '.join(known)}.{hint}")
    if not names:
        raise BenchError(f"no {what} was named; known are: {', '.join(known)}")
    return names


def _suites(suite: str, only: str | None) -> list[Suite]:
    names = suites.NAMES if suite == "all" else _names(suite, (*suites.NAMES, "all"), "suite")
    found = [suites.load(name) for name in dict.fromkeys(names)]
    if only is None:
        return found
    words = [w.strip() for w in only.split(",") if w.strip()]
    every = [case.name for part in found for case in part.cases]
    for word in words:
        if not any(word in name for name in every):
            close = get_close_matches(word, every, 1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise BenchError(
                f"no row of {', '.join(p.name for p in found)} has {word!r} in its name; the rows"
                f" are: {', '.join(every)}.{hint}"
            )
    kept = [
        replace(p, cases=tuple(c for c in p.cases if any(_means(w, c.name, every) for w in words)))
        for p in found
    ]
    return [p for p in kept if p.cases]


def _means(word: str, name: str, every: Sequence[str]) -> bool:
    """A word that is a row's name means this row alone."""
    return word == name if word in every else word in name


def _peers(peer: str) -> list[str]:
    return list(dict.fromkeys(_names(peer, PEERS, "peer")))


def _thread_counts(threads: str | None) -> list[int]:
    if threads is None:
        return [1, 2] if machine.cores() > 1 else [1]
    try:
        counts = [int(t) for t in threads.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise BenchError(f"--threads is a list of positive numbers such as 1,2, not {threads!r}")
    return counts


def _effort(rounds: int | None, quick: bool) -> measure.Effort:
    effort = QUICK if quick else measure.Effort()
    if rounds is None:
        return effort
    if rounds < 1:
        raise BenchError(f"--rounds must be at least 1, not {rounds}")
    return replace(effort, rounds=rounds)
