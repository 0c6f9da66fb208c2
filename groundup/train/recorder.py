"""Schedule and Recorder: set the optimizer's hyper-parameters step by step; write down what
happened.

Must not know how the record is shown.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from groundup.train.callbacks import Callback
from groundup.train.learner import Learner


class Schedule(Callback):
    """Sets hyper-parameters before each training batch, each by a function of progress (0 to 1).

    The names are those of the optimizer's groups, such as `lr`; the functions are those of
    `groundup.optim`, or any other.

    Raises KeyError, when a fit begins, for a name that the optimizer does not have.

    >>> schedule = Schedule(lr=lambda progress: 0.1 * (1.0 - progress))
    """

    writes: ClassVar[frozenset[str]] = frozenset({"hyper-parameters"})

    def __init__(self, **functions: Callable[[float], float]) -> None:
        self.functions = functions

    def before_fit(self, learn: Learner) -> None:
        for name in self.functions:
            for group in learn.optimizer.param_groups:
                if name not in group:
                    known = ", ".join(key for key in group if key != "params")
                    raise KeyError(f"the optimizer has no hyper-parameter {name!r}; it has {known}")

    def before_batch(self, learn: Learner) -> None:
        if learn.training:
            for name, function in self.functions.items():
                value = function(learn.progress)
                for group in learn.optimizer.param_groups:
                    group[name] = value


@dataclass
class Recorder(Callback):
    """Keeps the loss and learning rate of each training step, and one row of results an epoch.

    `rows` holds for each epoch `epoch`, `step`, `train_loss`, `valid_loss`, each metric, `lr` and
    `seconds`; its last row is of the epoch that has just ended. An epoch that a fit breaks off gets
    a row, too: what was trained of it, without what comes after. `train_seconds` is the time spent
    in training passes alone.
    """

    after: ClassVar[tuple[type[Callback], ...]] = (Schedule,)
    reads: ClassVar[frozenset[str]] = frozenset({"hyper-parameters"})
    writes: ClassVar[frozenset[str]] = frozenset({"rows"})

    losses: list[float] = field(default_factory=list)
    lrs: list[float] = field(default_factory=list)
    rows: list[dict[str, float]] = field(default_factory=list)
    train_seconds: float = 0.0
    _epoch_began: float = 0.0
    _train_began: float = 0.0

    def before_epoch(self, learn: Learner) -> None:
        self._epoch_began = time.perf_counter()

    def before_train(self, learn: Learner) -> None:
        self._train_began = time.perf_counter()

    def after_batch(self, learn: Learner) -> None:
        if learn.training:
            self.losses.append(learn.loss)
            self.lrs.append(learn.optimizer.param_groups[0]["lr"])

    def cleanup_train(self, learn: Learner) -> None:
        self.train_seconds += time.perf_counter() - self._train_began

    def after_epoch(self, learn: Learner) -> None:
        self._add_row(learn, learn.results)

    def cleanup_fit(self, learn: Learner) -> None:
        """Add the row of an epoch that was broken off."""
        recorded = self.rows[-1]["step"] if self.rows else 0
        if len(self.losses) > recorded:
            self._add_row(learn, learn.results or {"train_loss": learn.means["loss"].value})

    def _add_row(self, learn: Learner, results: dict[str, float]) -> None:
        place = {"epoch": learn.epoch + 1, "step": len(self.losses)}
        seconds = time.perf_counter() - self._epoch_began
        self.rows.append({**place, **results, "lr": self.lrs[-1], "seconds": seconds})

    def csv(self) -> str:
        """Return `rows` as comma-separated values with a heading; integers as such, others in 6
        digits. What a broken-off epoch does not have is empty.
        """
        names = ["epoch", "step", "train_loss", "lr", "seconds"]
        names = list(max(self.rows, key=len, default=names))
        lines = [",".join(names)]
        for row in self.rows:
            lines.append(",".join(f"{row[name]:.6g}" if name in row else "" for name in names))
        return "\n".join(lines) + "\n"
