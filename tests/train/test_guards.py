"""Guards: a NaN stops the fit and is explained; Ctrl-C ends it after the batch."""

import math
import os
import signal

import pytest

import groundup as gu
from groundup import nn, optim
from groundup.data import DataLoader, Loaders, TensorDataset
from groundup.tensor import Tensor
from groundup.train import (
    Callback,
    Learner,
    NonFiniteLoss,
    Progress,
    Recorder,
    StopOnInterrupt,
    StopOnNaN,
)

from .support import learner, points


class Root(nn.Module):
    """sqrt(w·x + b), which is NaN once w·x + b is negative."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(1, 1)
        self.outer = nn.Linear(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.outer(self.inner(x).sqrt())


def failing(at: int, every: int) -> tuple[Learner, StopOnNaN, Recorder]:
    """A learner whose loss is NaN at step `at`, from 1: there the data have a negative root."""
    gu.manual_seed(2)
    n = 12
    x = [[4.0 + i] for i in range(n)]
    x[at - 1] = [-100.0]
    model = Root()
    with gu.no_grad():
        model.inner.weight.copy_(gu.tensor([[1.0]]))
        model.inner.bias.copy_(gu.tensor([0.0]))
    data = TensorDataset(gu.tensor(x), gu.tensor([i % 2 for i in range(n)]))
    optimizer = optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
    return Learner(Loaders(DataLoader(data, 1)), model, optimizer), StopOnNaN(every), Recorder()


@pytest.mark.parametrize("every", [1, 3, 100])
@pytest.mark.parametrize("at", [1, 3, 7])
def test_a_nan_loss_names_the_step_and_the_operation(at: int, every: int) -> None:
    learn, guard, recorder = failing(at, every)
    with pytest.raises(
        NonFiniteLoss, match=rf"became nan at step {at} \(epoch 1, .*sqrt"
    ) as caught:
        learn.fit(1, [recorder, guard])
    assert caught.value.step == at and "sqrt" in caught.value.origin
    assert len(recorder.losses) == at - 1
    assert all(map(math.isfinite, recorder.losses))

    # The model is as after the step before: as if only those had been trained.
    good, _, _ = failing(at, every)
    for x, y in list(good.loaders.train)[: at - 1]:
        good.train_step(x, y)
    state = {name: t.tolist() for name, t in good.model.state_dict().items()}
    assert {name: t.tolist() for name, t in learn.model.state_dict().items()} == state


def test_a_gradient_that_fails_is_taken_back_to_its_own_step() -> None:
    """sqrt has a finite value at 0 and an infinite slope: the loss fails one step after the
    gradient.
    """
    learn, guard, recorder = failing(at=5, every=2)
    x = learn.loaders.train.dataset.tensors[0]  # type: ignore[attr-defined]
    x[4] = gu.tensor([0.0])
    for group in learn.optimizer.param_groups:
        group["lr"] = 0.0
    with pytest.raises(
        NonFiniteLoss, match=r"at step 6 .*first cause, in step 5: in the gradient"
    ) as e:
        learn.fit(1, [recorder, guard])
    assert (e.value.step, e.value.cause_step) == (6, 5)
    assert all(math.isfinite(v) for p in learn.model.parameters() for v in _flat(p.tolist()))


def test_an_infinite_loss_stops_too() -> None:
    model = nn.Linear(1, 2)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    loaders = Loaders(DataLoader(points(4), 2))
    learn = Learner(loaders, model, optimizer, lambda scores, y: (scores * 1e30).exp().mean())
    with pytest.raises(NonFiniteLoss, match="became inf at step 1"):
        learn.fit(1, [StopOnNaN()])
    assert all(math.isfinite(v) for p in model.parameters() for v in _flat(p.tolist()))


def test_batch_statistics_are_taken_back_too() -> None:
    gu.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    values = [[1.0], [2.0], [3.0], [4.0], [math.inf], [1.0]]
    data = TensorDataset(gu.tensor(values), gu.tensor([0, 1] * 3))
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    learn = Learner(Loaders(DataLoader(data, 2)), model, optimizer)
    with pytest.raises(NonFiniteLoss, match="step 3"):
        learn.fit(1, [StopOnNaN()])
    for name, tensor in model.state_dict().items():
        assert all(map(math.isfinite, _flat(tensor.tolist()))), name
    assert model.state_dict()["1.num_batches_tracked"].item() == 2


def _flat(value: object) -> list[float]:
    if isinstance(value, list):
        return [v for item in value for v in _flat(item)]
    assert isinstance(value, float | int)
    return [value]


class InterruptAt(Callback):
    def __init__(self, step: int, times: int = 1) -> None:
        self.at = step
        self.times = times

    def before_batch(self, learn: Learner) -> None:
        if learn.training and learn.step == self.at:
            for _ in range(self.times):
                os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_ends_the_fit_after_the_batch() -> None:
    before = signal.getsignal(signal.SIGINT)
    recorder, stop = Recorder(), StopOnInterrupt()
    learner(n=40).fit(3, [recorder, stop, InterruptAt(4)])
    assert stop.interrupted
    assert len(recorder.losses) == 5  # the batch in which it came is finished and recorded
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_interrupts_at_once() -> None:
    before = signal.getsignal(signal.SIGINT)
    recorder = Recorder()
    with pytest.raises(KeyboardInterrupt):
        learner(n=40).fit(3, [recorder, StopOnInterrupt(), InterruptAt(4, times=2)])
    assert len(recorder.losses) == 4
    assert signal.getsignal(signal.SIGINT) is before


def test_the_stop_is_armed_anew_for_each_fit() -> None:
    stop = StopOnInterrupt()
    learn = learner(n=8)
    learn.fit(2, [stop, InterruptAt(0)])
    learn.fit(1, [stop])
    assert not stop.interrupted


def test_plain_lines_where_there_is_no_terminal() -> None:
    import io

    out = io.StringIO()
    recorder = Recorder()
    learner(n=10).fit(2, [Progress(recorder, out), recorder])
    heading, first, second = out.getvalue().splitlines()
    assert heading.split() == ["epoch", "train", "loss", "valid", "loss", "accuracy", "seconds"]
    assert first.split()[0] == "1" and second.split()[0] == "2"
    assert second.split()[3].endswith("%") and len(second) == len(heading)


def test_a_bar_and_the_rows_on_a_terminal() -> None:
    import io

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    recorder = Recorder()
    learner(n=10).fit(2, [Progress(recorder, out), recorder])
    shown = out.getvalue()
    assert "valid loss" in shown and "epoch 2/2" in shown and "6/6" in shown
    assert f"{recorder.rows[1]['train_loss']:.4f}" in shown


def test_points_are_what_the_tests_think() -> None:
    assert points(3).batch([0, 1, 2])[1].tolist() == [0, 1, 0]
