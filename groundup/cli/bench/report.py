"""How rows are shown: a line each while they come, and what became of each suite at the end.

Must not know how they were measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from groundup.cli.bench.record import Row, Suite, mean

HEAD = (
    f"{'row':<26} {'thr':>3} {'peer':<7} {'ours ms':>10} {'peer ms':>10} {'ratio':>6} {'min':>6}"
    f" {'asked':>6} {'':<8} {'GFLOP/s':>8} {'GB/s':>6} {'roof':>5} {'n':>3} {'spread':>6}"
    f" {'first ms':>9}  layouts"
)


def title(suite: Suite) -> str:
    """The heading of a suite."""
    means = ", ".join(f"{ratio:g} of {peer}" for peer, ratio in suite.mean.items())
    return f"{suite.name}" + (f" (geometric mean asked: at most {means})" if means else "")


def line(row: Row) -> str:
    """One row, in the columns of HEAD."""
    start = f"{_fit(row.name, 26)} {row.threads:>3} {row.peer:<7} "
    if row.failed:
        return f"{start}FAILED: {row.failed}"
    layouts = f"{row.ours_layout} / {row.peer_layout}" if row.ours_layout else ""
    return (
        f"{start}{row.ours_ms:>10.3f} {row.peer_ms:>10.3f} {row.ratio_median:>6.2f}"
        f" {row.ratio_min:>6.2f} {_number(row.asked, '.2f'):>6} {verdict(row):<8}"
        f" {_number(row.gflops, '.1f'):>8} {_number(row.gbytes, '.1f'):>6}"
        f" {_number(row.share, '.0%'):>5} {row.n:>3} {row.ratio_spread:>6.1%}"
        f" {row.ours_first_ms:>9.0f}  {layouts}"
    ).rstrip()


def _fit(text: str, width: int) -> str:
    return f"{text:<{width}}" if len(text) <= width else text[: width - 1] + "…"


def _number(value: float | None, form: str) -> str:
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


def summary(suite: Suite, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """For each peer and thread count: rows, rows met, the geometric mean and what was asked."""
    found = []
    for threads in dict.fromkeys(r.threads for r in rows):
        for peer in dict.fromkeys(r.peer for r in rows):
            mine = [r for r in rows if (r.threads, r.peer) == (threads, peer)]
            ratios = [r.ratio_median for r in mine if not r.failed]
            asked = suite.mean.get(peer)
            middle = mean(ratios) if ratios else math.nan
            whole = len(ratios) == len(mine)
            found.append({
                "suite": suite.name, "threads": threads, "peer": peer, "rows": len(mine),
                "failed": len(mine) - len(ratios), "noisy": sum(r.noisy for r in mine),
                "asked_rows": sum(r.met is not None for r in mine),
                "met_rows": sum(r.met is True for r in mine),
                "mean": middle, "asked": asked,
                "met": None if asked is None else whole and middle <= asked,
            })  # fmt: skip
    return [s for s in found if s["rows"]]


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
            f"{s['met_rows']} of {s['asked_rows']}" if s["asked_rows"] else "",
            str(s["failed"] or ""), str(s["noisy"] or ""), _number(s["mean"], ".3f"),
            _number(s["asked"], ".2f"), word,
        )  # fmt: skip
    return table
