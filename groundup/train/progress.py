"""Progress: a live bar and one table row an epoch; plain lines where the output is not a terminal.

Must not know how the numbers come about.
"""

import sys
from typing import TYPE_CHECKING, ClassVar, TextIO

from groundup.train.callbacks import Callback
from groundup.train.guards import StopOnInterrupt, StopOnNaN
from groundup.train.learner import Learner
from groundup.train.recorder import Recorder

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

_WIDTH = 12
_REFRESH = 10  # times a second: smooth to the eye, and under 1% of a core


class Progress(Callback):
    """Shows the training: columns are epoch, train loss, valid loss, each metric, seconds."""

    after: ClassVar[tuple[type[Callback], ...]] = (Recorder, StopOnNaN, StopOnInterrupt)
    reads: ClassVar[frozenset[str]] = frozenset({"rows"})

    def __init__(self, recorder: Recorder, stream: TextIO | None = None) -> None:
        self.recorder = recorder
        self.stream = stream or sys.stdout
        self._console: Console | None = None
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def before_fit(self, learn: Learner) -> None:
        if self.stream.isatty():
            self._open_bar(learn)
        self._headed = False

    def before_epoch(self, learn: Learner) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, epoch=f"epoch {learn.epoch + 1}/{learn.epochs}")

    def after_batch(self, learn: Learner) -> None:
        if self._bar is not None and self._task is not None and learn.training:
            loss = f"loss {learn.loss:.4f}"
            self._bar.update(self._task, completed=learn.step + 1, loss=loss)

    def after_epoch(self, learn: Learner) -> None:
        row = self.recorder.rows[-1]
        shown = [name for name in row if name not in ("step", "lr")]
        if not self._headed:
            self._say("".join(name.replace("_", " ").rjust(_WIDTH) for name in shown), "bold")
            self._headed = True
        self._say("".join(_cell(name, row[name]).rjust(_WIDTH) for name in shown))

    def cleanup_fit(self, learn: Learner) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _open_bar(self, learn: Learner) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self._console = Console(file=self.stream)
        self._bar = Bar(
            TextColumn("{task.fields[epoch]}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[loss]}"),
            TimeRemainingColumn(),
            console=self._console,
            refresh_per_second=_REFRESH,
            transient=True,
        )
        self._task = self._bar.add_task("", total=learn.steps, epoch="", loss="")
        self._bar.start()

    def _say(self, line: str, style: str | None = None) -> None:
        if self._console is not None:
            self._console.print(line, style=style, highlight=False, markup=False)
        else:
            print(line, file=self.stream, flush=True)


def _cell(name: str, value: float) -> str:
    if name == "epoch":
        return str(int(value))
    if name == "seconds":
        return f"{value:.1f}"
    if name == "accuracy":
        return f"{value:.2%}"
    return f"{value:.4f}"
