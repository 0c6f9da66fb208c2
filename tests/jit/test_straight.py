"""A call as straight code, which is how all but the first calls of a small step are made: it sees
what the other calls see, and steps aside where they do more."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup import nn, optim
from groundup.tensor import replay
from groundup.tensor.held import MISSING
from groundup.tensor.straight import straight_call


class Counted:
    """How many calls were made as straight code, and by how many it stepped aside."""

    made = aside = 0


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counted]:
    """Straight code from the first call on at which there can be some."""
    found = Counted()

    def watched(one: replay.Replay) -> Any:
        straight = straight_call(one)
        if straight is None:
            return None

        def call(args: Any) -> Any:
            result = straight(args)
            if result is MISSING:
                found.aside += 1
            else:
                found.made += 1
            return result

        return call

    monkeypatch.setattr(replay, "straight_call", watched)
    monkeypatch.setattr(replay, "OFTEN", 1)
    monkeypatch.setattr(replay, "AGAIN", 1)
    yield found


class Net:
    """A step of a small model, captured or not."""

    def __init__(self, captured: bool, zero_first: bool = False, **options: Any) -> None:
        gu.manual_seed(1)
        self.model = model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
        self.optimizer = optimizer = optim.SGD(model.parameters(), lr=0.1, **options)

        def step(x: gu.Tensor, y: gu.Tensor) -> gu.Tensor:
            if zero_first:
                optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
            if not zero_first:
                optimizer.zero_grad()
            return loss

        self.step = gu.jit(step) if captured else step
        self.seen: list[Any] = []
        self.x, self.y = gu.randn(5, 3).realize(), gu.randn(5, 2).realize()

    def run(self, times: int = 3, x: gu.Tensor | None = None) -> None:
        for _ in range(times):
            self.seen.append(self.step(self.x if x is None else x, self.y).item())
        self.seen += [p.tolist() for p in self.model.parameters()]


def compare(scenario: Any, **options: Any) -> None:
    ours, plain = Net(True, **options), Net(False, **options)
    scenario(ours)
    scenario(plain)
    np.testing.assert_allclose(
        np.concatenate([np.ravel(s) for s in ours.seen]),
        np.concatenate([np.ravel(s) for s in plain.seen]), rtol=1e-5, atol=1e-6,
    )  # fmt: skip


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9, "weight_decay": 0.01}])
def test_steps_of_training(options: dict[str, Any], counted: Counted) -> None:
    compare(lambda net: net.run(10), **options)
    assert counted.made >= 5 and counted.aside == 0


def test_a_step_is_straight_after_the_calls_that_it_takes(
    monkeypatch: pytest.MonkeyPatch, counted: Counted
) -> None:
    monkeypatch.setattr(replay, "OFTEN", 6)
    net = Net(True)
    net.run(6)
    assert counted.made == 0
    net.run(9)
    assert counted.made >= 5


def test_gradients_that_each_call_leaves(counted: Counted) -> None:
    """They are new tensors in each call, which others may hold, change or replace meanwhile."""

    def scenario(net: Net) -> None:
        first, *others = net.model.parameters()

        def look() -> None:
            net.seen += [[] if p.grad is None else p.grad.tolist() for p in (first, *others)]

        net.run(8)
        look()
        before = first.grad
        assert before is not None
        held = before.tolist()
        net.run(2)
        assert before.tolist() == held and first.grad is not before
        changes = [
            lambda: setattr(first, "grad", None),
            lambda: setattr(first, "grad", gu.ones(4, 3)),
            lambda: first.grad.mul_(2),
            lambda: first.grad.requires_grad_(),
            lambda: setattr(first.grad, "data", gu.ones(4, 3)),
            lambda: setattr(others[0], "grad", gu.ones(8)[2:6]),
            lambda: first.requires_grad_(False),
            lambda: first.requires_grad_(),
        ]
        for change in changes:
            change()
            net.run(6)
            look()
        short = net.x.clone().realize()
        for n in (4, 5, 4, 4, 5, 5):
            net.seen.append(net.step(short[:n].clone().realize(), net.y[:n].clone()).item())
            look()

    compare(scenario, zero_first=True)
    compare(scenario, zero_first=True, momentum=0.9)
    assert counted.made > 60


def test_a_gradient_is_given_as_an_argument(counted: Counted) -> None:
    model = nn.Linear(3, 3, bias=False)

    @gu.jit
    def step(x: gu.Tensor) -> gu.Tensor:
        model.zero_grad()
        loss = (model(x) ** 2).sum()
        loss.backward()
        with gu.no_grad():
            model.weight.mul_(0.9)
        return loss

    def plain(x: gu.Tensor, w: gu.Tensor) -> tuple[float, gu.Tensor]:
        w = w.detach().requires_grad_()
        loss = ((x @ w.T) ** 2).sum()
        loss.backward()
        assert w.grad is not None
        return loss.item(), w.grad

    x = gu.rand(3, 3).realize()
    for _ in range(6):
        value, slope = plain(x, model.weight.clone())
        assert step(x).item() == pytest.approx(value)
        assert model.weight.grad is not None
        np.testing.assert_allclose(model.weight.grad.numpy(), slope.numpy(), rtol=1e-5)
        x = model.weight.grad
    assert counted.made + counted.aside > 0


def test_rates_that_change_before_each_step(counted: Counted) -> None:
    def scenario(net: Net) -> None:
        for k in range(9):
            net.optimizer.param_groups[0]["lr"] = 0.1 / (1 + k)
            net.run(1)

    compare(scenario)
    assert counted.made >= 3 and counted.aside == 0


def test_a_rate_that_somebody_else_has_taken_over_meanwhile(counted: Counted) -> None:
    def scenario(net: Net) -> None:
        net.run(6)
        group = net.optimizer.param_groups[0]
        group["lr"] = 0.5
        net.optimizer.refresh_hyperparameters()  # as the step of another function does
        group["lr"] = 0.1
        net.run(2)
        net.optimizer.param_groups[0] = type(group)({**group, "lr": 0.2})
        net.optimizer.refresh_hyperparameters()
        net.optimizer.param_groups[0] = group
        net.run(2)
        group["lr"] = 0.3
        net.run(2)
        group["lr"] = 0.1
        net.run(2)

    compare(scenario)
    assert counted.made >= 4


def test_weights_that_others_see_or_hold(counted: Counted) -> None:
    def scenario(net: Net) -> None:
        net.run(6)
        weight = net.model[0].weight
        later = weight.detach() * 2  # nothing is computed yet
        copy = weight.detach().clone()
        net.run(2)
        net.seen += [later.tolist(), copy.tolist()]
        view = weight.detach().numpy(copy=False)
        before = view.copy()
        net.run(2)
        assert (view != before).any()
        net.seen.append(view.tolist())
        del view
        net.run(3)
        flat = memoryview(weight.detach().numpy(copy=False))
        net.run(2)
        net.seen.append(flat.tolist())
        del flat
        with gu.no_grad():
            weight.mul_(0.5)
        net.run(2)
        with gu.no_grad():
            weight[0, 0] = 3.0
        net.run(2)
        weight.data = gu.ones(4, 3)
        net.run(2)
        net.model[2].bias = nn.Parameter(gu.ones(2))
        net.run(2)
        net.optimizer.add_param_group({"params": [net.model[2].bias], "lr": 0.01})
        net.run(3)

    compare(scenario)
    assert counted.made >= 8


def test_arguments_of_all_kinds(counted: Counted) -> None:
    def scenario(net: Net) -> None:
        x = net.x
        net.run(6)
        net.run(2, x * 2)  # not computed yet
        net.run(2, gu.randn(3, 5).t() * 0 + x)
        net.run(2, x.clone().t().contiguous().t())
        net.run(2, gu.concatenate([x, x])[5:])
        net.run(2, gu.from_numpy(x.numpy()))
        net.run(2, gu.full((5, 3), 0.25))
        net.run(2, x)

    compare(scenario)
    assert counted.made >= 4
    net = Net(True)
    net.run(6)
    made = counted.made
    with pytest.raises(TypeError, match="positional"):
        net.step(net.x, net.y, net.y)  # type: ignore[call-arg]
    net.step(net.x, y=net.y)  # type: ignore[call-arg]
    assert counted.made == made


def test_modes(counted: Counted) -> None:
    w = gu.ones(3, requires_grad=True)
    f = gu.jit(lambda x: (x * w).sum())
    x = gu.ones(3).realize()

    def plain() -> None:
        for _ in range(6):
            assert f(x).item() == 3.0

    plain()
    made = counted.made
    assert made > 0
    with gu.no_grad():
        plain()
    with gu.debug():
        assert f(x).item() == 3.0
    with gu.detect_anomaly():
        assert f(x).item() == 3.0
        with pytest.raises(gu.AnomalyError):
            f(gu.full((3,), 3e38)).item()
    assert gu.grad(lambda v: f(v * v))(x).tolist() == [2.0] * 3
    plain()
    assert counted.made > made
    threads = gu.get_num_threads()
    try:
        for n in (2, 1, 3):
            gu.set_num_threads(n)
            plain()
    finally:
        gu.set_num_threads(threads)


def test_results_are_new_each_time(counted: Counted) -> None:
    f = gu.jit(lambda x, k: (x + k, x * 2, x.sum()))
    xs = [gu.full((4,), float(i)).realize() for i in range(9)]
    found = [f(x, 3) for x in xs]
    assert counted.made > 0
    for i, (a, b, c) in enumerate(found):
        assert a.tolist() == [i + 3.0] * 4 and b.tolist() == [2.0 * i] * 4 and c.item() == 4.0 * i
    assert f(xs[1], 5)[0].tolist() == [6.0] * 4
    assert f(xs[1], 3.0)[0].tolist() == [4.0] * 4
    assert f(xs[1], True)[0].tolist() == [2.0] * 4


def test_an_index_out_of_range_leaves_the_weights_as_they_were(counted: Counted) -> None:
    table = gu.ones(4, 2)

    @gu.jit
    def count(places: gu.Tensor) -> gu.Tensor:
        rows = table[places]
        table.add_(1.0)
        return rows.sum()

    good, bad = gu.tensor([0, 3]), gu.tensor([0, 4])
    for i in range(6):
        assert count(good).item() == 4.0 * (i + 1)
    made = counted.made
    with pytest.raises(IndexError, match="out of range for axis 0"):
        count(bad)
    assert table.tolist() == [[7.0, 7.0]] * 4
    assert count(good).item() == 28.0 and counted.made > made


def test_a_reached_tensor_becomes_another_view_of_its_memory() -> None:
    base = gu.arange(6.0).reshape(2, 3).clone().realize()
    row = base[0]
    f = gu.jit(lambda x: x + row.sum())
    x = gu.zeros(2)
    for _ in range(6):
        assert f(x).tolist() == [3.0, 3.0]
    row.data = base
    for _ in range(6):
        assert f(x).tolist() == [15.0, 15.0]


def test_threads_that_train_one_model(counted: Counted) -> None:
    total = gu.zeros(8)

    @gu.jit
    def add(x: gu.Tensor) -> gu.Tensor:
        total.add_(x)
        return x * 2

    one = gu.ones(8).realize()
    for _ in range(6):
        add(one)
    wrong: list[Any] = []

    def work() -> None:
        for _ in range(100):
            if add(one).tolist() != [2.0] * 8:
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong and total.tolist() == [406.0] * 8 and counted.made >= 300
