"""`gu.profile`: where the time of a program goes, by kernel and by source line.

While a profile is active, the steps of each plan run one by one, each a native call of its own.
Must not know how plans come about.
"""

from __future__ import annotations

import html
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..ir.node import Node
from ..schedule import Plan, Signature
from ..schedule import plan as plans
from ..schedule.plan import Bound
from ..schedule.segments import Operation, course, stretches
from ..schedule.work import Work
from ..tensor.replay import captures
from .anatomy import Anatomy, Names
from .explanation import aligned, seconds_text, written_at

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.table import Table

MOST = 100_000  # calls of kernels that are kept one by one, for the trace
BARS = 20  # of a chart, and rows of a text
WIDE = 120  # columns of a text where there is no terminal
LEAST = 24  # of a name
UNKNOWN = "elsewhere"  # the line of a kernel that belongs to none


class _Step(NamedTuple):
    """What is known of one step of a plan."""

    name: str
    work: Work
    shares: dict[str, float]  # of its source lines


class Row(NamedTuple):
    """A kernel or a source line: calls, seconds, floating-point operations, bytes moved.

    lines: the source lines that a kernel computes, the one with most of its work first.
    """

    name: str
    calls: int
    seconds: float
    flop: float
    bytes: float
    lines: tuple[str, ...] = ()

    @property
    def gflops(self) -> float:
        """10⁹ floating-point operations a second."""
        return self.flop / self.seconds / 1e9 if self.seconds else 0.0

    @property
    def gbytes(self) -> float:
        """10⁹ bytes a second."""
        return self.bytes / self.seconds / 1e9 if self.seconds else 0.0


class Profile:
    """What ran while a profile was active; `str` is a table.

    kernels, lines: a `Row` for each kernel and each source line, the longest first. A kernel that
    computes several lines counts for each with its share of the operations and elements.
    seconds: of the whole block (so far), without `aside`, in which the profile looked at graphs.
    events: (name, line, start, seconds, thread) of each call, the first 100,000.
    """

    def __init__(self) -> None:
        self.events: list[tuple[str, str, float, float, int]] = []
        self._works: list[Work] = []  # of each event
        self._ended: float | None = None
        self.dropped = 0  # calls after those
        self.aside = 0.0  # seconds in which the profile looked at graphs
        self._start = time.perf_counter()
        self._known: dict[tuple[int, int | None], list[_Step] | None] = {}
        self._plans: dict[int, Plan] = {}  # kept, so that their ids stay theirs
        self._calls: dict[tuple[int, int | None, int], list[float]] = {}

    @property
    def seconds(self) -> float:
        """Of the block, until now or its end."""
        end = time.perf_counter() if self._ended is None else self._ended
        return max(0.0, end - self._start - self.aside)

    def end(self) -> None:
        """The block ends now."""
        self._ended = time.perf_counter()

    # ---- what runs -----------------------------------------------------------------------------

    def meet(self, plan: Plan, roots: Sequence[Node]) -> None:
        """Note what the steps of a plan do, while its graph is there."""
        n = Signature(roots).n
        if (id(plan), n) not in self._known:
            self._look(plan, roots, n)

    def _look(
        self, plan: Plan, roots: Sequence[Node] | None, n: int | None, within: Plan | None = None
    ) -> None:
        start = time.perf_counter()
        found = None if roots is None else _described(plan, roots, n, within or plan)
        self._known[id(plan), n] = found
        self._plans[id(plan)] = plan
        self.aside += time.perf_counter() - start

    def run(self, bound: Bound) -> None:
        """Run steps of a plan one by one, and note their times."""
        times = bound.program.run_timed()
        plan = bound.plan()
        assert plan is not None
        key = id(plan), bound.n
        if key not in self._known:
            found = [c for c in list(captures) if plan in stretches(c.plan)]
            found.sort(key=lambda c: c.n != plan.hint)  # the one that was scheduled
            if found:
                self._look(plan, found[0].roots, bound.n, found[0].plan)
            else:
                self._look(plan, None, bound.n)
        steps = self._known[key]
        thread = threading.get_ident()
        for number, (start, end) in zip(bound.numbers, times, strict=True):
            call = self._calls.setdefault((*key, number), [0, 0.0])
            call[0] += 1
            call[1] += end - start
            if len(self.events) >= MOST:
                self.dropped += 1
                continue
            name, line, work = f"kernel {number}", "", Work()
            if steps is not None:
                name, line = steps[number].name, _first(steps[number].shares)
                work = steps[number].work
            self._works.append(work)
            self.events.append((name, line, start - self._start, end - start, thread))

    # ---- what is known of it -------------------------------------------------------------------

    @property
    def kernels(self) -> list[Row]:
        """A row for each kernel of each plan, the longest first."""
        rows = []
        for (plan, n, number), (calls, seconds) in self._calls.items():
            steps = self._known[plan, n]
            step = _Step(f"kernel {number}", Work(), {}) if steps is None else steps[number]
            lines = sorted(step.shares, key=lambda x: -step.shares[x])
            rows.append(Row(step.name, int(calls), seconds, calls * step.work.flop,
                            calls * step.work.bytes, tuple(lines)))  # fmt: skip
        return sorted(rows, key=lambda r: -r.seconds)

    @property
    def lines(self) -> list[Row]:
        """A row for each source line, the longest first."""
        total: dict[str, list[float]] = {}
        for (plan, n, number), (calls, seconds) in self._calls.items():
            steps = self._known[plan, n]
            step = _Step("", Work(), {}) if steps is None else steps[number]
            for line, share in (step.shares or {UNKNOWN: 1.0}).items():
                found = total.setdefault(line, [0, 0.0, 0.0, 0.0])
                for i, more in enumerate((
                    calls, share * seconds, share * calls * step.work.flop,
                    share * calls * step.work.bytes,
                )):  # fmt: skip
                    found[i] += more
        rows = [Row(line, int(c), s, f, b) for line, (c, s, f, b) in total.items()]
        return sorted(rows, key=lambda r: -r.seconds)

    @property
    def kernel_seconds(self) -> float:
        """Seconds in kernels."""
        return sum(seconds for _, seconds in self._calls.values())

    # ---- how it is shown -----------------------------------------------------------------------

    def __str__(self) -> str:
        return self._written(shutil.get_terminal_size((WIDE, 24)).columns)

    def _written(self, wide: int) -> str:
        """Both tables, no wider than so many columns."""
        return "\n".join([
            f"{seconds_text(self.seconds)}, of which {seconds_text(self.kernel_seconds)} in "
            f"{sum(r.calls for r in self.kernels)} calls of {len(self.kernels)} kernels",
            "", "by kernel", *self._text(self.kernels, wide),
            "", "by source line", *self._text(self.lines, wide),
        ])  # fmt: skip

    def _text(self, rows: Sequence[Row], wide: int) -> list[str]:
        """The longest as a table."""
        cells = [self._cells(r) for r in rows[:BARS]]
        others = sum(max(map(len, c)) + 2 for i, c in enumerate(zip(_HEADS, *cells)) if i != 1)
        room = max(LEAST, wide - others)
        lines = aligned([_HEADS, *((a, shortened(b, room), *rest) for a, b, *rest in cells)])
        more = len(rows) - BARS
        return lines + ([f"… and {more} more"] if more > 0 else [])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self._written(WIDE))}</pre>"

    def _cells(self, r: Row) -> tuple[str, ...]:
        """A row's cells."""
        name = r.name
        if r.lines:
            name = f"{name}  {written_at(r.lines[0])}"
            if len(r.lines) > 1:
                name += f" (+{len(r.lines) - 1})"
        elif name != UNKNOWN and ":" in name:
            name = written_at(name)
        share = r.seconds / self.kernel_seconds if self.kernel_seconds else 0.0
        return (
            f"{share:.0%}", shortened(name, 100), str(r.calls),
            seconds_text(r.seconds), f"{r.flop / 1e6:.1f}", f"{r.bytes / 1e6:.1f}",
            f"{r.gflops:.1f}" if r.flop else "", f"{r.gbytes:.1f}",
        )  # fmt: skip

    def table(self, by: str = "kernel") -> Table:
        """The rows of kernels, or by="line" of source lines, for rich to print."""
        from rich.table import Table
        from rich.text import Text

        rows = self._rows(by)
        found = Table(title=f"by {'kernel' if by == 'kernel' else 'source line'}", box=None,
                      title_justify="left")  # fmt: skip
        cells = [self._cells(r) for r in rows]
        for i, column in enumerate(zip(_HEADS, *cells)):
            if i == 1:  # it alone gives way where the terminal is narrow
                found.add_column(column[0])
            else:
                found.add_column(column[0], justify="right", no_wrap=True)
        for share, name, *rest in cells:
            found.add_row(share, Text(name, no_wrap=True, overflow="ellipsis"), *rest)
        return found

    def show(self, by: str = "kernel") -> None:
        """Print the table to the terminal."""
        from rich.console import Console

        Console(highlight=False, markup=False).print(self.table(by))

    def _rows(self, by: str) -> list[Row]:
        if by not in ("kernel", "line"):
            raise ValueError(f"a profile is shown by='kernel' or by='line', not {by!r}")
        return self.kernels if by == "kernel" else self.lines

    def chart(self, path: str | os.PathLike[str], by: str = "line") -> None:
        """Write a bar chart of the longest as a picture, a PNG by its name."""
        from matplotlib.figure import Figure

        rows = self._rows(by)[:BARS]
        figure = Figure(figsize=(9, 1.2 + 0.32 * max(1, len(rows))), layout="constrained")
        self._bars(figure.add_subplot(), rows, by)
        figure.savefig(path, dpi=144)

    def _bars(self, axes: Axes, rows: Sequence[Row], by: str) -> None:
        unit, scale = ("ms", 1e3) if rows and rows[0].seconds >= 1e-3 else ("µs", 1e6)
        names = [self._cells(r)[1] for r in rows]
        names = [shortened(n, 70) for n in names]
        places = range(len(rows))
        bars = axes.barh(places, [scale * r.seconds for r in rows], color="#2176ae", height=0.7)
        axes.set_yticks(places, [n.replace("$", r"\$") for n in names], fontsize=8)
        axes.invert_yaxis()
        labels = [
            f" {scale * r.seconds:.3g} {unit}, "
            + (f"{r.gflops:.3g} GFLOP/s" if r.gflops >= r.gbytes / 10 else f"{r.gbytes:.3g} GB/s")
            for r in rows
        ]
        axes.bar_label(bars, labels, fontsize=8)
        axes.margins(x=0.3)
        axes.set_xlabel(f"time in kernels, {unit}")
        what = "kernel" if by == "kernel" else "source line"
        axes.set_title(f"{seconds_text(self.kernel_seconds)} in kernels, by {what}", loc="left")
        axes.spines[["top", "right"]].set_visible(False)

    def trace(self, path: str | os.PathLike[str]) -> None:
        """Write the calls as a Chrome trace file, for chrome://tracing or ui.perfetto.dev."""
        events: list[dict[str, Any]] = [
            {
                "name": name, "cat": "kernel", "ph": "X", "ts": start * 1e6, "dur": seconds * 1e6,
                "pid": os.getpid(), "tid": thread,
                "args": {"line": line, "flop": work.flop, "bytes": work.bytes},
            }
            for (name, line, start, seconds, thread), work in
            zip(self.events, self._works, strict=True)
        ]  # fmt: skip
        content = {"traceEvents": events, "displayTimeUnit": "ns",
                   "otherData": {"dropped": self.dropped}}  # fmt: skip
        Path(path).write_text(json.dumps(content), encoding="utf-8")


_HEADS = ("time", "of", "calls", "total", "MFLOP", "MB", "GFLOP/s", "GB/s")


@contextmanager
def profile() -> Iterator[Profile]:
    """Note what runs inside the block: for each kernel and each source line its calls, time,
    floating-point operations and bytes.

    `print(p)` shows a table; `p.kernels` and `p.lines` are its rows; `p.chart("p.png")` draws it;
    `p.trace("p.json")` writes each call for chrome://tracing. Inside the block each kernel is a
    native call of its own, which costs a few µs; outside, a profile costs nothing. Each new graph
    is scheduled once more, to know its lines, and that takes as long again. The derivative of an
    operation belongs to the operation's line.

    >>> a = gu.ones(64, 64)
    >>> with gu.profile() as p:
    ...     (a @ a).realize()  # doctest: +ELLIPSIS
    tensor(...)
    >>> max(kernel.flop for kernel in p.kernels)
    524288.0
    """
    found = Profile()
    before = plans.watcher
    if before is not None:
        raise RuntimeError("a profile is active already: profiles do not nest")
    plans.watcher = found
    try:
        yield found
    finally:
        plans.watcher = before
        found.end()


def _described(
    plan: Plan, roots: Sequence[Node], n: int | None, within: Plan
) -> list[_Step] | None:
    """What each step of a plan does; None if that cannot be told. `within`: the plan of the roots,
    of which this one may be a stretch between host operations."""
    outside, plans.watcher = plans.watcher, None
    try:
        names = Names(roots)
        seen = course(roots, within, lambda made, own: (made, Anatomy(own, made, names)))
        parts = [part for part in seen if not isinstance(part, Operation)]
        whole, anatomy = parts[stretches(within).index(plan)]
    finally:
        plans.watcher = outside
    if [(s.writes, s.reads) for s in whole.steps] != [(s.writes, s.reads) for s in plan.steps]:
        return None
    steps = []
    for i, step in enumerate(whole.steps):
        shape = ", ".join(
            f"{anatomy.name(g.node)}[{', '.join(str(int(s)) for s in g.node.shape)}]"
            for g in step.groups[: len(step.writes)]
        )  # fmt: skip
        copied = "" if shape else ", ".join(map(anatomy.name, anatomy.copied(step)))
        shape = shortened(shape, 40) or (f"of {copied}" if copied else "")
        name = f"{_KINDS.get(type(step.kernel).__name__, 'loops')} {shape}".rstrip()
        steps.append(_Step(name, anatomy.work(i, n), anatomy.shares(i, n)))
    return steps


_KINDS = {
    "Contraction": "product", "Several": "parts", "Pack": "copy", "Chain": "chain",
    "Argsort": "sort", "Ranks": "ranks", "Segments": "segments", "Placing": "placing",
    "Scan": "scan",
}  # fmt: skip


def shortened(text: str, most: int) -> str:
    """At most so many characters of a text."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _first(shares: dict[str, float]) -> str:
    return max(shares, key=lambda x: shares[x]) if shares else ""


__all__ = ["Profile", "Row", "profile"]
