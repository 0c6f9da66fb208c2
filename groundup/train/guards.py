"""Guards: stop a fit in time, leaving the model whole. Ctrl-C, and a loss that is no longer a
number.

Must not know where or whether the model is saved.
"""

import math
import signal
from types import FrameType
from typing import Any, ClassVar

from groundup.tensor import Tensor, first_nonfinite
from groundup.train.callbacks import Callback, CancelFit
from groundup.train.learner import Learner
from groundup.train.recorder import Recorder, Schedule


class NonFiniteLoss(ArithmeticError):
    """The loss became NaN or infinite. `step` counts from 1; `origin` names the first operation, if
    found.
    """

    def __init__(self, loss: float, step: int, place: str, origin: str) -> None:
        self.step = step
        self.origin = origin
        cause = f"the first cause: {origin}. " if origin else ""
        super().__init__(
            f"the loss became {loss} at step {step} ({place}); {cause}"
            f"The model is as it was before that step. A lower learning rate is the usual remedy"
        )


class StopOnNaN(Callback):
    """Ends the fit with NonFiniteLoss when the loss is NaN or infinite, and takes the model back.

    Each `every` steps the state of model and optimizer is copied, and the batches since are kept.
    If the loss fails, that state is put back and the steps since are done again, up to the one that
    failed: steps give the same bits each time, so the model is as it was before the failure, and
    the failed step's operations can be looked at one by one.
    """

    # A record of the failing loss would be a row of nonsense: stop before it is written.
    before: ClassVar[tuple[type[Callback], ...]] = (Recorder,)
    after: ClassVar[tuple[type[Callback], ...]] = (Schedule,)
    reads: ClassVar[frozenset[str]] = frozenset({"hyper-parameters"})

    def __init__(self, every: int = 16) -> None:
        self.every = every
        self._state: tuple[dict[str, Any], dict[str, Any]] | None = None
        self._kept: list[tuple[Tensor, Tensor, list[dict[str, Any]]]] = []

    def before_batch(self, learn: Learner) -> None:
        if not learn.training:
            return
        if self._state is None or len(self._kept) == self.every:
            self._state = _copy(learn.model.state_dict()), _copy(learn.optimizer.state_dict())
            self._kept.clear()
        self._kept.append((learn.x, learn.y, _hyper_parameters(learn)))

    def after_batch(self, learn: Learner) -> None:
        if learn.training and not math.isfinite(learn.loss):
            loss = learn.loss
            self._go_back(learn)
            lr = learn.optimizer.param_groups[0]["lr"]
            place = f"epoch {learn.epoch + 1}, learning rate {lr:.3g}"
            raise NonFiniteLoss(loss, learn.step + 1, place, find_nan(learn))

    def cleanup_fit(self, learn: Learner) -> None:
        self._state = None
        self._kept.clear()

    def _go_back(self, learn: Learner) -> None:
        assert self._state is not None
        model, optimizer = self._state
        learn.model.load_state_dict(model)
        learn.optimizer.load_state_dict(optimizer)
        for x, y, groups in self._kept[:-1]:
            _set_hyper_parameters(learn, groups)
            learn.train_step(x, y)
        _set_hyper_parameters(learn, self._kept[-1][2])


def find_nan(learn: Learner) -> str:
    """Return the first operation of the loss of the learner's current batch whose result is not
    finite.

    The model's state is left as it was (layers that count, such as batch normalisation, are put
    back). Empty if every operation's result is finite.
    """
    state = _copy(learn.model.state_dict())
    loss = learn.loss_function(learn.model(learn.x), learn.y)
    origin = first_nonfinite(loss)
    learn.model.load_state_dict(state)
    return origin or ""


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
