"""The loop: what it computes, and that means weigh items, not batches."""

import math

import pytest

import groundup as gu
from groundup import nn, optim
from groundup.data import DataLoader, Loaders, TensorDataset
from groundup.train import Callback, CancelFit, Learner, Mean, Recorder, Schedule, accuracy

from .support import learner, points


def test_training_separates_the_points() -> None:
    learn = learner(n=40)
    learn.fit(20)
    assert learn.results["accuracy"] == 1.0
    assert learn.results["valid_loss"] < 0.1 and learn.results["train_loss"] < 0.1


def test_the_learner_does_what_the_loop_written_out_does() -> None:
    learn = learner()
    learn.fit(2)

    gu.manual_seed(0)
    model = nn.Linear(1, 2)
    optimizer = optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    loader = DataLoader(points(10), 4, shuffle=True)
    for _ in range(2):
        for x, y in loader:
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    for own, other in zip(learn.model.parameters(), model.parameters(), strict=True):
        assert own.tolist() == other.tolist()


def test_captured_steps_give_the_bits_of_plain_ones() -> None:
    def weights(capture: bool) -> list[object]:
        gu.manual_seed(1)
        model = nn.Sequential(nn.Linear(1, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
        loaders = Loaders(DataLoader(points(14), 4, shuffle=True), DataLoader(points(5), 5))
        learn = Learner(loaders, model, optimizer, capture=capture)
        learn.fit(3, [Schedule(lr=optim.one_cycle(0.2))])
        return [t.tolist() for t in model.state_dict().values()]

    assert weights(True) == weights(False)


def test_means_weigh_items_not_batches() -> None:
    model = nn.Linear(1, 2)
    with gu.no_grad():
        model.weight.copy_(gu.tensor([[0.0], [1.0]]))
        model.bias.copy_(gu.zeros(2))
    # Batches of 2 and 1: right, right; wrong. A mean of means would say 1/2.
    data = TensorDataset(gu.tensor([[1.0], [2.0], [3.0]]), gu.tensor([1, 1, 0]))
    learn = Learner(Loaders(DataLoader(data, 2)), model, optim.SGD(model.parameters(), lr=0.1))
    found = learn.evaluate(learn.loaders.train)
    losses = [math.log1p(math.exp(-1.0)), math.log1p(math.exp(-2.0)), math.log1p(math.exp(3.0))]
    assert found["accuracy"] == pytest.approx(2 / 3, abs=1e-12)
    assert found["loss"] == pytest.approx(sum(losses) / 3, rel=1e-6)


def test_scores_are_in_order_and_of_all_items() -> None:
    learn = learner(n=10)
    assert learn.loaders.valid is not None
    scores, targets = learn.scores(learn.loaders.valid)
    assert tuple(scores.shape) == (7, 2)
    assert targets.tolist() == [0, 1, 0, 1, 0, 1, 0]
    x = learn.loaders.valid.dataset.batch(range(7))[0]
    for row, other in zip(scores.tolist(), learn.model(x).tolist(), strict=True):
        assert row == pytest.approx(other, rel=1e-6)


def test_evaluation_changes_nothing() -> None:
    gu.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    learn = Learner(Loaders(DataLoader(points(6), 3)), model, optim.SGD(model.parameters(), lr=0.1))
    before = {name: t.tolist() for name, t in model.state_dict().items()}
    learn.evaluate(learn.loaders.train)
    learn.scores(learn.loaders.train)
    assert {name: t.tolist() for name, t in model.state_dict().items()} == before


def test_progress_runs_from_0_towards_1() -> None:
    class Watch(Callback):
        def __init__(self) -> None:
            self.seen: list[float] = []

        def before_batch(self, learn: Learner) -> None:
            if learn.training:
                self.seen.append(learn.progress)

    watch = Watch()
    learner(n=8, batch_size=4).fit(2, [watch])
    assert watch.seen == [0.0, 0.25, 0.5, 0.75]


def test_a_schedule_sets_the_learning_rate_of_each_step() -> None:
    recorder = Recorder()
    learner(n=8, batch_size=4).fit(2, [recorder, Schedule(lr=lambda p: 1.0 - p)])
    assert recorder.lrs == [1.0, 0.75, 0.5, 0.25]
    assert len(recorder.losses) == 4


def test_a_schedule_of_an_unknown_hyper_parameter_is_refused() -> None:
    with pytest.raises(KeyError, match="no hyper-parameter 'learning_rate'.*lr"):
        learner().fit(1, [Schedule(learning_rate=lambda p: 0.1)])


def test_the_recorder_keeps_one_row_an_epoch() -> None:
    recorder = Recorder()
    learn = learner(n=10, batch_size=4)
    learn.fit(2, [recorder])
    assert [row["epoch"] for row in recorder.rows] == [1, 2]
    assert [row["step"] for row in recorder.rows] == [3, 6]
    heading, *lines = recorder.csv().splitlines()
    assert heading == "epoch,step,train_loss,valid_loss,accuracy,lr,seconds"
    assert len(lines) == 2 and lines[1].startswith("2,6,")
    last = dict(zip(heading.split(","), map(float, lines[1].split(",")), strict=True))
    assert last["valid_loss"] == pytest.approx(learn.results["valid_loss"], rel=1e-5)
    assert 0 < recorder.train_seconds < sum(row["seconds"] for row in recorder.rows)
    # The loss of an epoch is the mean over its items: 4, 4 and 2.
    a, b, c = recorder.losses[3:]
    assert recorder.rows[1]["train_loss"] == pytest.approx((4 * a + 4 * b + 2 * c) / 10)


def test_no_validation_data_no_validation() -> None:
    learn = learner()
    learn.loaders = Loaders(learn.loaders.train)
    learn.fit(1)
    assert list(learn.results) == ["train_loss"]


def test_epochs() -> None:
    learn = learner()
    before = [p.tolist() for p in learn.model.parameters()]
    learn.fit(0)
    assert [p.tolist() for p in learn.model.parameters()] == before
    with pytest.raises(ValueError, match="cannot train for -1 epochs"):
        learn.fit(-1)


def test_mean() -> None:
    mean = Mean()
    assert math.isnan(mean.value)
    mean.add(3.0, 3)
    mean.add(0.0, 1)
    assert mean.value == 0.75


def test_accuracy() -> None:
    scores = gu.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]])
    assert accuracy(scores, gu.tensor([1, 2])).tolist() == [1.0, 0.0]


class StopAtOnce(Callback):
    after = (Recorder,)

    def after_batch(self, learn: Learner) -> None:
        raise CancelFit


def test_an_epoch_that_is_broken_off_leaves_a_row() -> None:
    class Stop(Callback):
        after = (Recorder,)

        def after_batch(self, learn: Learner) -> None:
            if learn.epoch == 1 and learn.training and learn.step == 4:
                raise CancelFit

    recorder = Recorder()
    learner(n=10, batch_size=4).fit(3, [recorder, Stop()])
    assert [(row["epoch"], row["step"]) for row in recorder.rows] == [(1, 3), (2, 5)]
    assert recorder.rows[1]["train_loss"] == pytest.approx(sum(recorder.losses[3:]) / 2)
    heading, whole, broken = recorder.csv().splitlines()
    assert heading == "epoch,step,train_loss,valid_loss,accuracy,lr,seconds"
    assert "" not in whole.split(",") and broken.split(",")[3:5] == ["", ""]

    first = Recorder()
    learner(n=10, batch_size=4).fit(1, [first, StopAtOnce()])
    assert first.csv().startswith("epoch,step,train_loss,lr,seconds\n1,1,")
