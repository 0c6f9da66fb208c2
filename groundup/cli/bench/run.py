"""One run of the benchmarks: measured, printed and written, row by row.

Must not know how a row is measured (rows.py, fresh.py, roof.py, …) or what is in a suite.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from groundup.cli.bench import blas, deep, fresh, machine, report, roof, rows, sides, wake
from groundup.cli.bench.jax import Process
from groundup.cli.bench.options import ALONE, Options
from groundup.cli.bench.record import BenchError, Figure, Row, Suite

Echo = Callable[[str], object]


@dataclass
class Run:
    """What a run has found so far, and the file that it is kept in."""

    header: dict[str, Any]
    path: Path | None = None
    rows: list[Row] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    suites: list[Suite] = field(default_factory=list)

    @property
    def summary(self) -> list[dict[str, Any]]:
        """What became of each suite."""
        parts = [(s, [r for r in self.rows if r.suite == s.name]) for s in self.suites]
        return [line for suite, mine in parts for line in report.summary(suite, mine)]

    def data(self) -> dict[str, Any]:
        """The run as plain data for JSON, which has no NaN."""
        return {
            "header": self.header,
            "rows": [_plain(asdict(r)) for r in self.rows],
            "figures": [_plain(asdict(f)) for f in self.figures],
            "summary": [_plain(s) for s in self.summary],
        }

    def save(self) -> None:
        """Write the file, if there is one: after each row, for a run may be broken off."""
        if self.path is None:
            return
        try:
            self.path.write_text(json.dumps(self.data(), indent=1, allow_nan=False) + "\n")
        except OSError as error:
            raise BenchError(f"cannot write {self.path}: {error.strerror}") from error


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    return {
        k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()
    }


def run(options: Options, echo: Echo = print) -> Run:
    """Measure, print and write what the options ask for. Raises BenchError."""
    if options.suites or set(options.figures) - {"peak"}:
        sides.torch_module()
    found = Run(machine.header(), options.json)
    _introduce(found.header, options, echo)
    jax = {n: Process(n) for n in options.threads} if "jax" in options.peers else {}
    try:
        for suite in options.suites:
            found.suites.append(suite)
            _measure(suite, options, jax, found, echo)
    finally:
        for process in jax.values():
            process.close()
    for name in options.figures:
        echo(f"\n{name}\n{report.FIGURE_HEAD}")
        for threads in options.threads:
            _figures(name, threads, options, found, echo)
    _show(found.summary, echo)
    return found


def _introduce(header: dict[str, Any], options: Options, echo: Echo) -> None:
    for key, value in header.items():
        echo(f"# {key}: {value}")
    most = max(options.threads)
    if most > machine.cores():
        echo(f"# {most} threads on {machine.cores()} cores: they take turns, on both sides")
    if options.suites:
        echo("# ratio = ours / peer of each round, below 1 we are faster; blocks interleaved")
        echo("# first ms = our first two calls, with capture and compilation; not in the ratio")
        echo("# roof = the least time for this arithmetic and memory, measured now, over our time")


def _measure(
    suite: Suite, options: Options, jax: dict[int, Process], found: Run, echo: Echo
) -> None:
    wide = report.width(suite)
    echo(f"\n{report.title(suite)}\n{report.head(wide)}")
    for threads in options.threads:
        set_threads(threads)
        setting = rows.Setting(
            threads, options.peers, options.effort, options.limit, jax.get(threads)
        )
        for case in suite.cases:
            for row in rows.measure_case(suite.name, case, setting):
                echo(report.line(row, wide))
                found.rows.append(row)
            found.save()


def _figures(name: str, threads: int, options: Options, found: Run, echo: Echo) -> None:
    if name in ALONE:
        new = {"peak": roof.figures, "wake": wake.figures, "deep": deep.figures}[name](threads)
        for figure in new:
            echo(report.figure(figure))
        found.figures += new
        found.save()
        return
    for workload in options.workloads:
        for figure in fresh.figures(name, workload, threads, options.limit):
            echo(report.figure(figure))
            found.figures.append(figure)
        found.save()


def set_threads(count: int) -> None:
    """The same number of threads for all sides of this process."""
    import groundup as gu

    gu.set_num_threads(count)
    blas.set_threads(count)
    sides.torch_module().set_num_threads(count)


def _show(summary: list[dict[str, Any]], echo: Echo) -> None:
    if not summary:
        return
    from io import StringIO

    from rich.console import Console

    text = StringIO()
    Console(file=text, width=110).print(report.table(summary))
    echo("\n" + text.getvalue().rstrip())
    if any(s["noisy"] for s in summary):
        echo("?: the ratios spread, or other work took a core; measure these again on their own")
