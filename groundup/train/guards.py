"""Guards: stop a fit in time, leaving the model whole. Ctrl-C, and a loss that is no longer a
number.

Must not know where or whether the model is saved.
"""

import math
import re
import signal
from collections import deque
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, ClassVar

from groundup.tensor import AnomalyError, Tensor, detect_anomaly, first_nonfinite, isfinite
from groundup.train.callbacks import Callback, CancelFit
from groundup.train.learner import Learner
from groundup.train.recorder import Recorder, Schedule


class NonFiniteLoss(ArithmeticError):
    """The loss became NaN or infinite at step `step`, from 1, since in step `cause_step` `origin`
    did.
    """

    def __init__(self, loss: float, step: int, place: str, cause_step: int, origin: str) -> None:
        self.step = step
        self.cause_step = cause_step
        self.origin = origin
        then = "that step" if cause_step == step else f"step {cause_step}"
        cause = f"The first cause, in {then}: {origin}. " if origin else ""
        super().__init__(
            f"the loss became {loss} at step {step} ({place}). {cause}"
            f"The model is as it was before {then}. A lower learning rate is the usual remedy"
        )


@dataclass
class _Window:
    """The state before a stretch of steps, and those steps: number, batch, hyper-parameters."""

    state: tuple[dict[str, Any], dict[str, Any]]
    steps: list[tuple[int, Tensor, Tensor, list[dict[str, Any]]]] = field(default_factory=list)


class StopOnNaN(Callback):
    """Ends the fit with NonFiniteLoss when the loss is NaN or infinite, and takes the model back.

    Each `every` steps the state of model and optimizer is copied, and the batches since are kept.
    If the loss fails, the steps of the last two such windows are done again, one by one: steps give
    the same bits each time. The first of them after which the loss or the model is not finite is
    taken back, and its operations are looked at one by one. Often it is the one before the loss
    failed.
    """

    # A record of the failing loss would be a row of nonsense: stop before it is written.
    before: ClassVar[tuple[type[Callback], ...]] = (Recorder,)
    after: ClassVar[tuple[type[Callback], ...]] = (Schedule,)
    reads: ClassVar[frozenset[str]] = frozenset({"hyper-parameters"})

    def __init__(self, every: int = 16) -> None:
        self.every = every
        # Two windows, for the copy of the latest may already hold what went wrong a step before.
        self._windows: deque[_Window] = deque(maxlen=2)

    def before_batch(self, learn: Learner) -> None:
        if not learn.training:
            return
        if not self._windows or len(self._windows[-1].steps) == self.every:
            self._windows.append(_Window(_state(learn)))
        self._windows[-1].steps.append((learn.step, learn.x, learn.y, _hyper_parameters(learn)))

    def after_batch(self, learn: Learner) -> None:
        if not learn.training or math.isfinite(learn.loss):
            return
        loss, failed = learn.loss, learn.step + 1
        step = self._take_back(learn) + 1
        lr = learn.optimizer.param_groups[0]["lr"]
        place = f"epoch {learn.epoch + 1}, learning rate {lr:.3g}"
        raise NonFiniteLoss(loss, failed, place, step, find_nan(learn))

    def cleanup_fit(self, learn: Learner) -> None:
        self._windows.clear()

    def _take_back(self, learn: Learner) -> int:
        """Leave model, optimizer and batch as they were before the first bad step; return its
        number.
        """
        _restore(learn, self._windows[0].state)
        for number, learn.x, learn.y, groups in [s for w in self._windows for s in w.steps]:
            state = _state(learn)
            _set_hyper_parameters(learn, groups)
            (loss,) = learn.train_step(learn.x, learn.y)
            if not (math.isfinite(loss.item()) and _all_finite(learn)):
                _restore(learn, state)
                _set_hyper_parameters(learn, groups)
                return number
        raise AssertionError("a step gave another loss when it was done again")


def find_nan(learn: Learner) -> str:
    """Return what first gives NaN or infinity in a training step on the learner's current batch.

    Looked at are the data, the operations of the loss, of the gradients, and of the update. The
    model is left as it was. Empty if everything is finite.
    """
    state = _state(learn)
    learn.optimizer.zero_grad()
    loss = learn.loss_function(learn.model(learn.x), learn.y)
    origin = first_nonfinite(loss) or ""
    if not origin:
        try:
            with detect_anomaly():
                loss.backward()
                learn.optimizer.step()
        except AnomalyError as error:
            origin = error.origin
    learn.optimizer.zero_grad()
    _restore(learn, state)
    return _FOREIGN_LINE.sub("", origin)


# The line of an operation that no user wrote, but a command's machinery, says nothing.
_FOREIGN_LINE = re.compile(r", at \S*[/\\]site-packages[/\\]\S*$")


class StopOnInterrupt(Callback):
    """Turns the first Ctrl-C into an end of the fit after the current batch; a second one
    interrupts at once.

    `interrupted` says whether that happened. Only the main thread can hear Ctrl-C; in others this
    does nothing.
    """

    # So that the batch that is still finished is recorded too.
    after: ClassVar[tuple[type[Callback], ...]] = (Recorder, StopOnNaN)

    def __init__(self) -> None:
        self.interrupted = False
        self._previous: Any = None
        self._hearing = False

    def before_fit(self, learn: Learner) -> None:
        self.interrupted = False
        try:
            self._previous = signal.signal(signal.SIGINT, self._hear)
            self._hearing = True
        except ValueError:  # not the main thread
            self._hearing = False

    def after_batch(self, learn: Learner) -> None:
        if self.interrupted:
            raise CancelFit

    def cleanup_fit(self, learn: Learner) -> None:
        if self._hearing:
            signal.signal(signal.SIGINT, self._previous)
            self._hearing = False

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True


def _state(learn: Learner) -> tuple[dict[str, Any], dict[str, Any]]:
    return _copy(learn.model.state_dict()), _copy(learn.optimizer.state_dict())


def _restore(learn: Learner, state: tuple[dict[str, Any], dict[str, Any]]) -> None:
    learn.model.load_state_dict(state[0])
    learn.optimizer.load_state_dict(state[1])


def _all_finite(learn: Learner) -> bool:
    """Whether parameters and buffers are: a running variance may overflow before a loss does."""
    return all(bool(isfinite(t).all().item()) for t in learn.model.state_dict().values())


def _copy(state: dict[str, Any]) -> dict[str, Any]:
    """Return `state` with every tensor in it copied, in dicts and lists to any depth."""

    def copied(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.detach().clone().realize()
        if isinstance(value, dict):
            return {key: copied(item) for key, item in value.items()}
        if isinstance(value, list):
            return [copied(item) for item in value]
        return value

    return {key: copied(value) for key, value in state.items()}


def _hyper_parameters(learn: Learner) -> list[dict[str, Any]]:
    groups = learn.optimizer.param_groups
    return [{key: value for key, value in group.items() if key != "params"} for group in groups]


def _set_hyper_parameters(learn: Learner, groups: list[dict[str, Any]]) -> None:
    for group, values in zip(learn.optimizer.param_groups, groups, strict=True):
        group.update(values)
