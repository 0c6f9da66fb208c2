"""The command `groundup tune`: runs a program, times ways to run the contractions that it met,
keeps the winners. Must not know how candidates come about or are timed.
"""

from __future__ import annotations

import math
import os
import runpy
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from groundup.runtime import get_num_threads, set_num_threads
from groundup.schedule.sizes import Size, value
from groundup.schedule.trials import Meeting, Outcome, meeting, tune

if TYPE_CHECKING:
    from groundup.schedule.contract import Choice, Problem


class TuneError(Exception):
    """What keeps a program from being tuned, in words for its user."""


def forget() -> str:
    """Remove all winners; what to say of it."""
    from groundup.runtime import cache
    from groundup.schedule import winners

    folder = cache.directory()
    if folder is None:
        raise TuneError("there is no kernel cache, so there are no winners")
    try:
        count = winners.forget()
    except OSError as error:
        raise TuneError(f"cannot remove the winners in {folder}: {error.strerror}") from None
    return f"Forgot {count} winner{'' if count == 1 else 's'} in {folder}."


def tune_program(
    file: Path, args: Sequence[str], limit: float | None, threads: int | None, out: Console
) -> int:
    """Run a program, tune what it met; the exit code: 1 where the program failed, 130 where tuning
    was interrupted."""
    check(file)
    if threads is not None:
        set_num_threads(threads)
    with meeting() as met:
        failed = run(file, args, out)
    if not met.met:
        raise TuneError(
            f"{file} computed no sum of products (matmul, convolution) with groundup"
            + (" before it failed" if failed else "") + ": there is nothing to tune"
        )  # fmt: skip
    interrupted = report(met, limit, out)
    return 130 if interrupted else int(failed)


def check(file: Path) -> None:
    """Refuse what cannot be run, and a cache that could not keep winners."""
    from groundup.runtime import cache

    if not file.is_file():
        what = "is a folder, not a program" if file.is_dir() else "does not exist"
        raise TuneError(f"{file} {what}: give a Python file, as in groundup tune train.py")
    folder = cache.directory()
    if folder is None:
        raise TuneError(
            "there is no kernel cache to keep winners in: GROUNDUP_CACHE must name a folder of "
            "yours with mode 0700, or be unset"
        )
    if not os.access(folder, os.W_OK):
        raise TuneError(f"the kernel cache {folder} cannot be written, so no winner could be kept")


def run(file: Path, args: Sequence[str], out: Console) -> bool:
    """Run a program as Python would; whether it failed. Ctrl-C ends the program alone."""
    argv, path = sys.argv, list(sys.path)
    sys.argv = [str(file), *args]
    sys.path.insert(0, str(file.resolve().parent))
    try:
        runpy.run_path(str(file), run_name="__main__")
    except KeyboardInterrupt:
        out.print("Interrupted the program: tuning what it met so far (Ctrl-C again to stop).")
    except SystemExit as end:
        if end.code not in (None, 0):
            out.print(f"{file} ended with exit code {end.code}: tuning what it met until then.",
                      style="yellow", highlight=False)  # fmt: skip
            return True
    except BaseException as error:
        _show(error, file)
        out.print(f"{file} failed: tuning what it met until then.", style="yellow")
        return True
    finally:
        sys.argv, sys.path[:] = argv, path
    return False


def _show(error: BaseException, file: Path) -> None:
    """The traceback of the program, without what ran it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != str(file):
        trace = trace.tb_next
    traceback.print_exception(type(error), error, trace or error.__traceback__)


def report(met: Meeting, limit: float | None, out: Console) -> bool:
    """Tune, and show a row for each problem; whether it was interrupted."""
    from groundup.runtime import cache

    found: list[Outcome] = []
    until = math.inf if limit is None else time.perf_counter() + limit
    count = len(met.met)
    left, interrupted = 0, False
    try:
        with out.status(f"timing {count} contractions") as status:

            def done(outcome: Outcome) -> None:
                found.append(outcome)
                status.update(f"timing {count} contractions: {len(found)} problems done")

            left = tune(list(met.met.values()), done, until)
    except KeyboardInterrupt:
        interrupted = True
    except OSError as error:
        raise TuneError(f"cannot keep a winner: {error}") from None
    out.print(table(found), highlight=False)
    for line in summary(found, left, limit):
        out.print(line, highlight=False)
    if any(o.gains for o in found):
        out.print(f"Winners are kept in {cache.directory()}.", highlight=False, soft_wrap=True)
    if interrupted:
        out.print("Interrupted: what was won so far is kept.")
    return interrupted


def table(found: Sequence[Outcome]) -> Table:
    """A row for each problem, the longest first."""
    rows = Table(title=f"contractions, {get_num_threads()} threads", title_justify="left")
    for name, justify in (
        ("kernel", "left"), ("uses", "right"), ("chosen before", "left"), ("winner", "left"),
        ("before", "right"), ("after", "right"), ("gain", "right"),
    ):  # fmt: skip
        rows.add_column(name, justify=justify)  # type: ignore[arg-type]
    for o in sorted(found, key=lambda o: -o.uses * o.seconds[0]):
        before, after = o.seconds
        rows.add_row(
            shape(o.problem), str(o.uses), way(o.before), way(o.winner) if o.gains else "the same",
            _time(before), _time(after), f"{before / after:.2f}×" if o.gains else "",
        )  # fmt: skip
    return rows


def summary(found: Sequence[Outcome], left: int, limit: float | None) -> list[str]:
    """What it comes to in all."""
    before = sum(o.uses * o.seconds[0] for o in found)
    after = sum(o.uses * o.seconds[1] for o in found)
    won = sum(o.gains for o in found)
    lines = [f"{len(found)} problems, {won} with a winner; all uses together {_time(before)} → "
             f"{_time(after)}."]  # fmt: skip
    refused = sum(o.refused for o in found)
    if refused:
        lines.append(f"{refused} ways gave other bits and were refused: please report this.")
    if left:
        lines.append(f"{left} contractions were left over after --limit {limit:g} seconds.")
    return lines


def shape(p: Problem) -> str:
    """A problem's loops: those of the result, and those of the sum."""
    def sizes(kind: str) -> str:
        return "×".join(_extent(e) for v, e in p.full.items() if v.op == kind)

    return f"{sizes('out')} sum {sizes('red')}"


def _extent(e: Size) -> str:
    return str(value(e)) if isinstance(e, int) else f"N({value(e)})"


def way(c: Choice) -> str:
    """A choice in a few words."""
    if c.repack is not None:
        return "copied first"
    m = "" if c.m is None else f"{c.rows} of axis {c.m.arg} × "
    words = [f"{m}{c.vectors} {'columns' if c.lanes else 'vectors'} of axis {c.n.arg}"]
    words += ["packed"] if c.pack else []
    words += ["rows packed"] if c.pack_rows else []
    words += [f"blocks of {c.block[1]}"] if c.block else []
    words += [c.order] if c.order != "rows" else []
    return ", ".join(words)


def _time(seconds: float) -> str:
    return f"{seconds * 1e6:.0f} µs" if seconds < 1e-3 else f"{seconds * 1e3:.2f} ms"
