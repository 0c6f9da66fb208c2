"""The Learner: a model, its data, a loss and an optimizer, and the loop that brings them together.

Must not know what is learned, nor how it is shown or saved: that is said by callbacks.
"""

from collections.abc import Callable, Iterable, Sequence

from groundup.data import DataLoader, Loaders
from groundup.nn import Module
from groundup.nn.functional import cross_entropy
from groundup.optim import Optimizer
from groundup.tensor import Tensor, cat, door, jit, no_grad
from groundup.train.callbacks import (
    Callback,
    CancelBatch,
    CancelEpoch,
    CancelFit,
    Handler,
    handlers,
)
from groundup.train.metrics import Mean, accuracy

Loss = Callable[[Tensor, Tensor], Tensor]
Metric = Callable[[Tensor, Tensor], Tensor]
Step = Callable[..., tuple[Tensor, ...]]

_CANCELS: dict[str, type[Exception] | tuple[()]] = {
    "batch": CancelBatch, "train": (), "valid": (), "epoch": CancelEpoch, "fit": CancelFit,
}  # fmt: skip


class Learner:
    """Trains `model` on `loaders.train`, watching `loaders.valid` after each epoch.

    `loss(model(x), y)` is the mean over a batch. Each of `metrics` gives one number per item, as
    `accuracy` does, and is averaged over items, not over batches. Whole steps (forward, backward,
    update) run captured by `gu.jit`, unless `capture=False`: the way to step through them in a
    debugger.

    Callbacks may read, while the loop runs: `epochs`, `epoch`, `steps`, `step` (training batches
    begun in this fit), `progress` (step / steps, from 0 towards 1), `training`, `x`, `y`, `loss`
    (of this batch), `means` (this pass so far, by name) and `results` (this epoch: train_loss,
    valid_loss, and each metric).

    >>> import groundup as gu
    >>> from groundup.data import DataLoader, Loaders, TensorDataset
    >>> x, y = gu.tensor([[0.0], [1.0]]), gu.tensor([0, 1])
    >>> model = gu.nn.Linear(1, 2)
    >>> learn = Learner(
    ...     Loaders(DataLoader(TensorDataset(x, y), batch_size=2)),
    ...     model,
    ...     gu.optim.SGD(model.parameters(), lr=1.0),
    ... )
    >>> learn.fit(200)
    >>> learn.evaluate(learn.loaders.train)["accuracy"]
    1.0
    """

    def __init__(
        self,
        loaders: Loaders,
        model: Module,
        optimizer: Optimizer,
        loss: Loss = cross_entropy,
        *,
        metrics: Sequence[Metric] = (accuracy,),
        callbacks: Sequence[Callback] = (),
        capture: bool = True,
    ) -> None:
        door.passing()
        self.loaders = loaders
        self.model = model
        self.optimizer = optimizer
        self.loss_function = loss
        self.metrics = tuple(metrics)
        self.callbacks = tuple(callbacks)
        captured: Callable[[Step], Step] = jit if capture else lambda step: step
        self.train_step = captured(training_step(model, optimizer, loss))
        self.watch_step = captured(watching_step(model, loss, self.metrics))
        self.score_step = captured(scoring_step(model))
        self.epochs = self.epoch = self.steps = self.step = 0
        self.progress = 0.0
        self.training = False
        self.loss = float("nan")
        self.means: dict[str, Mean] = {}
        self.results: dict[str, float] = {}
        self._handlers: dict[str, list[Handler]] = {}

    # The loop ---------------------------------------------------------------------------------

    def fit(self, epochs: int, callbacks: Sequence[Callback] = ()) -> None:
        """Train for `epochs` passes over the data, with `callbacks` beside the learner's own.

        Raises ValueError if `epochs` is negative, CallbackOrderError if the callbacks' order is not
        clear.
        """
        if epochs < 0:
            raise ValueError(f"cannot train for {epochs} epochs: give a number from 0")
        self._handlers = handlers([*self.callbacks, *callbacks])
        self.epochs, self.steps, self.step = epochs, epochs * len(self.loaders.train), 0
        self._phase("fit", self._fit)

    def _fit(self) -> None:
        for self.epoch in range(self.epochs):
            self._phase("epoch", self._epoch)

    def _epoch(self) -> None:
        self.results = {}
        self._phase("train", self._train)
        if self.loaders.valid is not None:
            self._phase("valid", self._valid)

    def _train(self) -> None:
        self.training, self.means = True, {"loss": Mean()}
        self.model.train()
        for self.x, self.y in self.loaders.train:
            self.progress = self.step / self.steps
            self._phase("batch", self._train_batch)
            self.step += 1
        self.results["train_loss"] = self.means["loss"].value

    def _train_batch(self) -> None:
        (loss,) = self.train_step(self.x, self.y)
        self._count(loss)

    def _valid(self) -> None:
        assert self.loaders.valid is not None
        self.training, self.means = False, self._watched()
        self.model.eval()
        for self.x, self.y in self.loaders.valid:
            self._phase("batch", self._valid_batch)
        self.results |= {"valid_" * (k == "loss") + k: mean.value for k, mean in self.means.items()}

    def _valid_batch(self) -> None:
        self._count(*self.watch_step(self.x, self.y))

    def _phase(self, name: str, body: Callable[[], None]) -> None:
        try:
            self._notify(f"before_{name}")
            body()
            self._notify(f"after_{name}")
        except _CANCELS[name]:
            self._notify(f"cancelled_{name}")
        finally:
            self._notify(f"cleanup_{name}")

    def _notify(self, event: str) -> None:
        for handler in self._handlers.get(event, ()):
            handler(self)

    # Beside the loop --------------------------------------------------------------------------

    def evaluate(self, loader: DataLoader) -> dict[str, float]:
        """Return the mean loss and metrics over the items of `loader`, by name."""
        self.training, self.means = False, self._watched()
        self.model.eval()
        for self.x, self.y in loader:
            self._valid_batch()
        return {name: mean.value for name, mean in self.means.items()}

    def scores(self, loader: DataLoader) -> tuple[Tensor, Tensor]:
        """Return the model's scores for all items of `loader` in order, (n, classes), and their
        targets, (n,).
        """
        self.model.eval()
        parts = [(*self.score_step(x), y) for x, y in loader]
        return cat([scores for scores, _ in parts]), cat([y for _, y in parts])

    def _count(self, loss: Tensor, *sums: Tensor) -> None:
        """Take up the mean loss of the batch and the sums of its metrics into `means`."""
        n = int(self.y.shape[0])
        self.loss = float(loss.item())
        totals = (self.loss * n, *(float(total.item()) for total in sums))
        for mean, total in zip(self.means.values(), totals, strict=True):
            mean.add(total, n)

    def _watched(self) -> dict[str, Mean]:
        return {name: Mean() for name in ("loss", *metric_names(self.metrics))}


def training_step(model: Module, optimizer: Optimizer, loss: Loss) -> Step:
    """Return the function of a batch that does one update: forward, backward, step."""

    def step(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        value = loss(model(x), y)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        optimizer.zero_grad()  # what nobody keeps is never stored: it goes straight into the update
        return (value.detach(),)

    return step


def watching_step(model: Module, loss: Loss, metrics: Sequence[Metric]) -> Step:
    """Return the function of a batch that gives its mean loss and the sum of each metric."""

    def step(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        with no_grad():
            scores = model(x)
            return (loss(scores, y), *(metric(scores, y).sum() for metric in metrics))

    return step


def scoring_step(model: Module) -> Step:
    """Return the function of a batch's inputs that gives the model's scores."""

    def step(x: Tensor) -> tuple[Tensor, ...]:
        with no_grad():
            return (model(x),)

    return step


def metric_names(metrics: Iterable[Metric]) -> list[str]:
    """Return the name of each metric: the function's own, or its class in lower case."""
    return [getattr(metric, "__name__", type(metric).__name__.lower()) for metric in metrics]
