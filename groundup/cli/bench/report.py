"""How rows are shown: a line each while they come, and what became of each suite at the end.

Must not know how they were measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from groundup.cli.bench.record import Figure, Row, Suite, mean

COLUMNS = (
    f"{'thr':>3} {'peer':<7} {'ours ms':>10} {'peer ms':>10} {'ratio':>6} {'min':>6}"
    f" {'asked':>6} {'':<8} {'GFLOP/s':>8} {'GB/s':>6} {'roof':>5} {'n':>3} {'spread':>6}"
    f" {'first ms':>9} {'peer 1st':>9}  layouts"
)


def width(suite: Suite) -> int:
    """The width of the column of names."""
    return max(20, *(len(case.name) for case in suite.cases))


def head(wide: int = 26) -> str:
    """The names of the columns."""
    return f"{'row':<{wide}} {COLUMNS}"


def title(suite: Suite) -> str:
    """The heading of a suite."""
    means = ", ".join(f"{ratio:g} of {peer}" for peer, ratio in suite.mean.items())
    more = ", ".join(f"{count} than {peer}" for peer, count in suite.faster.items())
    said = [f"geometric mean asked: at most {means}"] if means else []
    said += [f"rows faster, at least: {more}"] if more else []
    return suite.name + (f" ({'; '.join(said)})" if said else "")


def line(row: Row, wide: int = 26) -> str:
    """One row, below `head` of the same width."""
    start = f"{_fit(row.name, wide)} {row.threads:>3} {row.peer:<7} "
    if row.failed:
        return f"{start}FAILED: {row.failed}"
    return (
        f"{start}{row.ours_ms:>10.3f} {row.peer_ms:>10.3f} {row.ratio_median:>6.2f}"
        f" {row.ratio_min:>6.2f} {number(row.asked, '.2f'):>6} {verdict(row):<8}"
        f" {number(row.gflops, '.1f'):>8} {number(row.gbytes, '.1f'):>6}"
        f" {number(row.share, '.0%'):>5} {row.n:>3} {row.ratio_spread:>6.1%}"
        f" {row.ours_first_ms:>9.0f} {row.peer_first_ms:>9.0f}  {layouts(row)}"
    ).rstrip()


def _fit(text: str, wide: int) -> str:
    return f"{text:<{wide}}" if len(text) <= wide else text[: wide - 1] + "…"


def layouts(row: Row) -> str:
    """Ours, then the peer's, where there was a choice; with the peer's idiom, if not the first."""
    both = f"{row.ours_layout} / {row.peer_layout}"
    return both.rstrip(" /") if row.ours_layout else row.peer_layout


def number(value: float | None, form: str) -> str:
    """A number, or nothing where there is none."""
    return "" if value is None or math.isnan(value) else format(value, form)


def verdict(row: Row) -> str:
    """Whether the row reaches what is asked, in a word."""
    if row.failed:
        return "FAILED"
    if row.met is None:
        word = ""
    elif not row.met:
        reached = row.asked is not None and row.ratio_median <= row.asked
        word = "low roof" if reached else "not met"
    elif row.asked is not None and row.ratio_median > row.asked:
        word = "by roof"
    else:
        word = "met"
    return f"{word}?" if row.noisy else word


FIGURE_HEAD = (
    f"{'':<34} {'thr':>3} {'ours':>10} {'peer':>10} {'unit':<8} {'asked':>8} {'':<8} {'n':>3}"
)


def figure(f: Figure) -> str:
    """One figure, in the columns of FIGURE_HEAD."""
    start = f"{_fit(f.name, 34)} {f.threads:>3} "
    if f.failed:
        return f"{start}FAILED: {f.failed}"
    return (
        f"{start}{f.ours:>10.2f} {number(f.theirs, '.2f'):>10} {f.unit:<8}"
        f" {number(f.asked, '.2f'):>8} {figure_verdict(f):<8} {f.n:>3}"
    )


def figure_verdict(f: Figure) -> str:
    """Whether the figure reaches what is asked, in a word."""
    if f.failed:
        return "FAILED"
    return {True: "met", False: "not met", None: ""}[f.met]


def summary(suite: Suite, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """For each peer and thread count: rows, rows met, the geometric mean and what was asked."""
    found = []
    for threads in dict.fromkeys(r.threads for r in rows):
        for peer in dict.fromkeys(r.peer for r in rows):
            mine = [r for r in rows if (r.threads, r.peer) == (threads, peer)]
            ratios = [r.ratio_median for r in mine if not r.failed]
            asked, least = suite.mean.get(peer), suite.faster.get(peer)
            faster = sum(ratio < 1 for ratio in ratios)
            middle = mean(ratios) if ratios else math.nan
            whole = len(ratios) == len(mine)
            found.append({
                "suite": suite.name, "threads": threads, "peer": peer, "rows": len(mine),
                "failed": len(mine) - len(ratios), "noisy": sum(r.noisy for r in mine),
                "asked_rows": sum(r.met is not None for r in mine),
                "met_rows": sum(r.met is True for r in mine),
                "mean": middle, "asked": asked,
                "met": None if asked is None else whole and middle <= asked,
                "faster": faster, "asked_faster": least,
                "met_faster": None if least is None else faster >= least,
            })  # fmt: skip
    return [s for s in found if s["rows"]]


def rows_met(s: Mapping[str, Any]) -> str:
    """How many rows of a summary reach what is asked of each, or are faster as is asked of all.

    (Runs made before suites asked for that say nothing of it.)
    """
    if s["asked_rows"]:
        return f"{s['met_rows']} of {s['asked_rows']}"
    least = s.get("asked_faster")
    if least is None:
        return ""
    word = "met" if s["met_faster"] else "not met"
    return f"{s['faster']} of {s['rows']} faster ({least} asked: {word})"


def table(found: Sequence[dict[str, Any]]) -> Any:
    """The summary as a table of rich."""
    from rich.table import Table

    table = Table(title="summary", title_justify="left", title_style="bold")
    for name in ("suite", "peer"):
        table.add_column(name)
    for name in ("threads", "rows met", "failed", "noisy", "geometric mean", "asked"):
        table.add_column(name, justify="right")
    table.add_column("mean met")
    for s in found:
        word = {True: "[green]yes[/]", False: "[red]no[/]", None: ""}[s["met"]]
        table.add_row(
            s["suite"], s["peer"], str(s["threads"]),
            rows_met(s),
            str(s["failed"] or ""), str(s["noisy"] or ""), number(s["mean"], ".3f"),
            number(s["asked"], ".2f"), word,
        )  # fmt: skip
    return table
