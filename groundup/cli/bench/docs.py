"""docs/benchmarks.md, and the times in docs/index-notation.md, written from the JSON of one or
several runs, never by hand.

Must not know how anything was measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from groundup.cli.bench import report
from groundup.cli.bench.record import BenchError, Figure, Row

PLACE = Path("docs/benchmarks.md")
GALLERY = "index-notation.md"  # beside it; between these lines stand the suite gallery's times:
BEGIN = "<!-- times: written by groundup bench --suite gallery --write-docs -->\n"
END = "<!-- end of times -->\n"
PEERS = {"numpy": "NumPy", "torch": "torch", "dims": "functorch.dim"}

INTRODUCTION = """\
# Benchmarks

*Written by `groundup bench --write-docs` from the runs named below; do not edit.*

Ratio = our time / the peer's in each round, median and least; below 1 we are faster. One process,
interleaved blocks, results compared before anything is timed, the same number of threads on both
sides; compilation and warm-up left out and shown as *first ms*. JAX runs in a process of its own,
on as many cores, and takes turns with ours. Spread: third minus first quartile of the ratios, over
their median; n rounds. Roof: the least time that this arithmetic and memory can take on this
machine, measured in the same run, over our time. A verdict with *?* comes from a noisy row.
[benchmarks/README.md](../benchmarks/README.md) says how to run them.
"""

Run = Mapping[str, Any]
MET = {True: " met", False: " not met", None: ""}


def read(paths: Sequence[Path]) -> list[Run]:
    """The runs in these files. Raises BenchError for what is not one."""
    found: list[Run] = []
    for path in paths:
        try:
            run = json.loads(path.read_text())
            found.append({k: run[k] for k in ("header", "rows", "figures", "summary")})
        except OSError as error:
            raise BenchError(f"cannot read {path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError):
            raise BenchError(f"{path} is not a run of benchmarks; --json FILE writes one") from None
    return found


def check_place(place: Path = PLACE) -> None:
    """Raise BenchError if the page cannot be written from here."""
    if not place.parent.is_dir():
        raise BenchError(
            f"cannot write {place}: there is no folder {place.parent} here; run it in the checkout"
        )


def write(runs: Sequence[Run], place: Path = PLACE) -> None:
    """Write the page, and the gallery's times if they are in these runs.

    Raises BenchError where it cannot be.
    """
    check_place(place)
    place.write_text(page(runs))
    gallery = place.parent / GALLERY
    if gallery.is_file() and any(r["suite"] == "gallery" for run in runs for r in run["rows"]):
        gallery.write_text(with_times(gallery.read_text(), runs))


def with_times(text: str, runs: Sequence[Run]) -> str:
    """The gallery's page with the times of these runs, the last one that has each row.

    Raises BenchError for a page without the two lines between which they stand.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise BenchError(f"docs/{GALLERY} lacks the lines between which times are written")
    return before + begin + _times(runs) + end + after


def _times(runs: Sequence[Run]) -> str:
    rows = [Row(**r) for run in runs for r in run["rows"] if r["suite"] == "gallery"]
    header = next(
        run["header"] for run in reversed(runs) if any(r["suite"] == "gallery" for r in run["rows"])
    )
    found = {(r.name, r.threads, r.peer): r for r in rows}
    threads = sorted({r.threads for r in rows})
    head, lines = ["ms"], []
    for count in threads:
        head += [f"ours, {count} thread{'s' * (count > 1)}", *PEERS.values()]
    for name in dict.fromkeys(r.name for r in rows):
        line = [name]
        for count in threads:
            mine = [found.get((name, count, peer)) for peer in PEERS]
            ours = next((r.ours_ms for r in mine if r is not None and not r.failed), None)
            line.append(report.number(ours, ".2f"))
            line += ["" if r is None else _peer_ms(r) for r in mine]
        lines.append(line)
    rounds = sorted({r.n for r in rows if not r.failed})
    said = [
        f"{sum(_faster(r) for r in rows if (r.threads, r.peer) == (count, 'torch'))} of"
        f" {len(lines)} rows are faster than torch on {count} thread{'s' * (count > 1)}"
        for count in threads
    ]
    return (
        f"{'; '.join(said)}. {header['cpu']}, {header['cores']} cores, vectors of"
        f" {header['vector_bits']} bits; torch {header['torch']}, NumPy {header['numpy']};"
        f" {header['time'][:10]}; medians of {rounds[0] if rounds else 0} to"
        f" {rounds[-1] if rounds else 0} interleaved rounds.\n\n" + _table(head, lines)
    )


def _faster(row: Row) -> bool:
    return not row.failed and row.ratio_median < 1


def _peer_ms(row: Row) -> str:
    """A peer's time; with ? where other work spoilt the row."""
    return "failed" if row.failed else f"{row.peer_ms:.2f}{'?' * row.noisy}"


def page(runs: Sequence[Run]) -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    for run in runs:
        parts.append(_machine(run["header"]))
        parts.append(_summary(run["summary"]))
        rows = [Row(**r) for r in run["rows"]]
        for suite in dict.fromkeys(r.suite for r in rows):
            parts.append(f"### {suite}\n\n" + _rows([r for r in rows if r.suite == suite]))
        found = [Figure(**f) for f in run["figures"]]
        for suite in dict.fromkeys(f.suite for f in found):
            parts.append(f"### {suite}\n\n" + _figures([f for f in found if f.suite == suite]))
    return "\n".join(p for p in parts if p)


def _table(head: Sequence[str], lines: Sequence[Sequence[str]], text: int = 1) -> str:
    """A table; the first `text` columns are words, the others numbers."""
    rule = ["---" if i < text else "--:" for i in range(len(head))]
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, rule, *lines))


def _machine(header: Mapping[str, Any]) -> str:
    items = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in header.items() if k != "time")
    return f"## The run of {header['time']}\n\n{items}.\n"


def _summary(summary: Sequence[Mapping[str, Any]]) -> str:
    if not summary:
        return ""
    head = ("suite", "peer", "threads", "rows met", "failed", "noisy", "geometric mean", "asked")
    lines = [
        (
            s["suite"], s["peer"], str(s["threads"]),
            report.rows_met(s),
            str(s["failed"] or ""), str(s["noisy"] or ""), report.number(s["mean"], ".3f"),
            report.number(s["asked"], ".2f") + MET[s["met"]],
        )
        for s in summary
    ]  # fmt: skip
    return _table(head, lines, 2)


def _rows(rows: Sequence[Row]) -> str:
    head = (
        "row", "peer", "threads", "ours ms", "peer ms", "ratio", "min", "asked", "", "GFLOP/s",
        "GB/s", "roof", "n", "spread", "first ms", "peer's", "layouts",
    )  # fmt: skip
    lines = []
    for r in rows:
        if r.failed:
            reason = r.failed.replace("|", "\\|")
            lines.append(
                (r.name, r.peer, str(r.threads), *[""] * 5, f"failed: {reason}", *[""] * 8)
            )
            continue
        lines.append((
            r.name, r.peer, str(r.threads), f"{r.ours_ms:.3f}", f"{r.peer_ms:.3f}",
            f"{r.ratio_median:.2f}", f"{r.ratio_min:.2f}", report.number(r.asked, ".2f"),
            report.verdict(r), report.number(r.gflops, ".1f"), report.number(r.gbytes, ".1f"),
            report.number(r.share, ".0%"), str(r.n), f"{r.ratio_spread:.1%}",
            f"{r.ours_first_ms:.0f}", f"{r.peer_first_ms:.0f}", report.layouts(r),
        ))  # fmt: skip
    return _table(head, lines, 2)


def _figures(found: Sequence[Figure]) -> str:
    head = ("", "threads", "ours", "peer", "unit", "asked", "", "n")
    lines = []
    for f in found:
        if f.failed:
            lines.append((f.name, str(f.threads), "", "", "", "", f"failed: {f.failed}", ""))
            continue
        lines.append((
            f.name, str(f.threads), report.number(f.ours, ".2f"),
            f"{f.peer} {report.number(f.theirs, '.2f')}" if f.peer else "", f.unit,
            report.number(f.asked, ".2f"), report.figure_verdict(f), str(f.n),
        ))  # fmt: skip
    return _table(head, lines)
