"""Optimizers against torch.optim, step by step, and what their interface promises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup import nn, optim

torch = pytest.importorskip("torch", reason="needs the extra [peers]")
pytestmark = pytest.mark.peers

SHAPES = [(4, 3), (3,), (), (2, 1, 3)]

# name → (ours, torch's, options)
CASES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "sgd": (optim.SGD, torch.optim.SGD, {"lr": 0.1}),
    "sgd momentum": (optim.SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    "sgd nesterov": (optim.SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "sgd decay": (optim.SGD, torch.optim.SGD, {"lr": 0.1, "weight_decay": 0.3}),
    "sgd all": (
        optim.SGD,
        torch.optim.SGD,
        {"lr": 0.05, "momentum": 0.8, "weight_decay": 0.1, "nesterov": True},
    ),
    "adam": (optim.Adam, torch.optim.Adam, {"lr": 0.02}),
    "adam decay": (optim.Adam, torch.optim.Adam, {"lr": 0.02, "weight_decay": 0.1}),
    "adam betas": (optim.Adam, torch.optim.Adam, {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3}),
    "adamw": (optim.AdamW, torch.optim.AdamW, {"lr": 0.02}),
    "adamw decay": (optim.AdamW, torch.optim.AdamW, {"lr": 0.02, "weight_decay": 0.5}),
}


class Pair:
    """The same tensors and the same loss on both sides."""

    def __init__(self, dtype: Any = np.float32) -> None:
        rng = np.random.default_rng(0)
        values = [np.asarray(rng.standard_normal(s)).astype(dtype) for s in SHAPES]
        self.ours = [nn.Parameter(gu.from_numpy(v)) for v in values]
        self.theirs = [torch.nn.Parameter(torch.from_numpy(v.copy())) for v in values]
        self.scales = [1.0, 0.01, 3.0, 1.0]  # gradients of very different size

    def gradients(self, only: list[int] | None = None) -> None:
        """Gradients of Σ scale · √(1 + (p − 1)²) on both sides; of some parameters, if asked."""
        for side in (self.ours, self.theirs):
            for p in side:
                p.grad = None
            chosen = [i for i in range(len(SHAPES)) if only is None or i in only]
            total = 0.0
            for i in chosen:
                square = (side[i] - 1.0) * (side[i] - 1.0)
                total = total + self.scales[i] * (1.0 + square).sqrt().sum()
            total.backward()  # type: ignore[attr-defined]

    def check(self, tolerance: float = 2e-6) -> None:
        for a, b in zip(self.ours, self.theirs, strict=True):
            np.testing.assert_allclose(
                a.detach().numpy(), b.detach().numpy(), rtol=tolerance, atol=tolerance
            )


@pytest.mark.parametrize("name", CASES)
def test_six_steps_as_in_torch(name: str) -> None:
    ours, theirs, options = CASES[name]
    pair = Pair()
    a, b = ours(pair.ours, **options), theirs(pair.theirs, **options)
    for _ in range(6):
        pair.gradients()
        a.step(), b.step()
        pair.check()


@pytest.mark.parametrize("name", ["sgd all", "adamw decay"])
def test_float64_follows_to_the_last_digits(name: str) -> None:
    ours, theirs, options = CASES[name]
    pair = Pair(np.float64)
    a, b = ours(pair.ours, **options), theirs(pair.theirs, **options)
    for _ in range(6):
        pair.gradients()
        a.step(), b.step()
    pair.check(1e-13)


@pytest.mark.parametrize("name", ["sgd all", "adam decay", "adamw"])
def test_numbers_may_change_between_steps(name: str) -> None:
    ours, theirs, options = CASES[name]
    pair = Pair()
    a, b = ours(pair.ours, **options), theirs(pair.theirs, **options)
    for i in range(5):
        for optimizer in (a, b):
            group = optimizer.param_groups[0]
            group["lr"] = 0.1 / (i + 1)
            group["weight_decay"] = 0.2 / (i + 1)
            if "momentum" in group:
                group["momentum"] = 0.5 + 0.1 * i
            else:
                group["betas"] = (0.9 - 0.05 * i, 0.99)
        pair.gradients()
        a.step(), b.step()
        pair.check()


@pytest.mark.parametrize("name", ["sgd momentum", "adamw"])
def test_parameters_without_gradient_stay(name: str) -> None:
    ours, theirs, options = CASES[name]
    pair = Pair()
    a, b = ours(pair.ours, **options), theirs(pair.theirs, **options)
    for only in ([0, 1, 2, 3], [0, 2], [0, 2], [0, 1, 3], [0, 1, 2, 3]):
        pair.gradients(only)
        a.step(), b.step()
        pair.check()


def test_groups_have_numbers_of_their_own() -> None:
    pair = Pair()
    options = {"lr": 0.1, "momentum": 0.9}
    a = optim.SGD([{"params": pair.ours[:2]}, {"params": pair.ours[2:], "lr": 0.01}], **options)
    b = torch.optim.SGD(
        [{"params": pair.theirs[:2]}, {"params": pair.theirs[2:], "lr": 0.01}], **options
    )
    for i in range(5):
        if i == 2:
            a.param_groups[1]["momentum"] = b.param_groups[1]["momentum"] = 0.0
        pair.gradients()
        a.step(), b.step()
        pair.check()


def test_momentum_may_begin_later() -> None:
    pair = Pair()
    a, b = optim.SGD(pair.ours, 0.1), torch.optim.SGD(pair.theirs, 0.1)
    for i in range(4):
        if i == 2:
            a.param_groups[0]["momentum"] = b.param_groups[0]["momentum"] = 0.9
        pair.gradients()
        a.step(), b.step()
        pair.check()


@pytest.mark.parametrize("name", CASES)
def test_state_dict_resumes_with_the_same_bits(name: str) -> None:
    ours, _, options = CASES[name]
    straight, broken = Pair(), Pair()
    a, b = ours(straight.ours, **options), ours(broken.ours, **options)
    for i in range(5):
        if i == 3:
            resumed = ours(broken.ours, **{**options, "lr": 9.0})
            saved = b.state_dict()
            resumed.load_state_dict(saved)
            b.step()  # with the gradients of before: moves what `saved` must not share
            for p, q in zip(broken.ours, straight.ours, strict=True):
                with gu.no_grad():
                    p.copy_(q)
            b = resumed
        straight.gradients(), broken.gradients()
        a.step(), b.step()
    for p, q in zip(straight.ours, broken.ours, strict=True):
        assert p.tolist() == q.tolist()


def test_state_dict_has_torchs_layout() -> None:
    pair = Pair()
    a, b = optim.Adam(pair.ours), torch.optim.Adam(pair.theirs)
    pair.gradients()
    a.step(), b.step()
    mine, other = a.state_dict(), b.state_dict()
    assert mine["param_groups"][0]["params"] == other["param_groups"][0]["params"]
    assert mine["param_groups"][0]["lr"] == other["param_groups"][0]["lr"]
    assert mine["state"].keys() == other["state"].keys()
    for i, state in mine["state"].items():
        assert state.keys() == other["state"][i].keys()
        for name, value in state.items():
            np.testing.assert_allclose(value.numpy(), other["state"][i][name].numpy(), rtol=2e-6)


def test_a_state_that_does_not_fit_changes_nothing() -> None:
    a = optim.Adam([nn.Parameter(gu.ones(2)), nn.Parameter(gu.ones(3))])
    saved = a.state_dict()
    with pytest.raises(ValueError, match=r"groups of \[2\] parameters, the optimizer has \[1\]"):
        optim.Adam([nn.Parameter(gu.ones(2))]).load_state_dict(saved)
    other = optim.Adam([nn.Parameter(gu.ones(2)), nn.Parameter(gu.ones(4))], lr=0.5)
    with pytest.raises(ValueError, match=r"'exp_avg' of parameter 1 has shape \(3,\).*\(4,\)"):
        other.load_state_dict(saved)
    assert other.param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: optim.SGD(p, lr=-0.1), "lr must not be negative, but is -0.1"),
        (lambda p: optim.SGD(p, lr=float("nan")), "lr must not be negative, but is nan"),
        (lambda p: optim.SGD(p, momentum=-1), "momentum must not be negative"),
        (lambda p: optim.SGD(p, nesterov=True), "set momentum"),
        (lambda p: optim.Adam(p, betas=(0.9, 1.0)), "beta2 must be below 1"),
        (lambda p: optim.AdamW(p, weight_decay=-1e-3), "weight_decay must not be negative"),
        (lambda p: optim.SGD([]), "at least one parameter"),
        (lambda p: optim.SGD([*p, *p]), "given twice"),
        (lambda p: optim.SGD([{"params": p, "beta": 1}]), "knows no beta"),
    ],
)
def test_impossible_numbers_are_value_errors(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make([nn.Parameter(gu.ones(2))])


def test_a_negative_rate_set_later_is_a_value_error() -> None:
    w = nn.Parameter(gu.ones(2))
    optimizer = optim.SGD([w], lr=0.1)
    optimizer.param_groups[0]["lr"] = -1.0
    (w * w).sum().backward()
    with pytest.raises(ValueError, match="lr must not be negative"):
        optimizer.step()
    assert w.tolist() == [1.0, 1.0]


def test_zero_grad_and_closure() -> None:
    w = nn.Parameter(gu.ones(2))
    optimizer = optim.SGD([w], lr=0.25)

    def closure() -> gu.Tensor:
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    loss = optimizer.step(closure)
    assert loss is not None
    assert loss.item() == 2.0
    assert w.tolist() == [0.5, 0.5]
    optimizer.zero_grad(set_to_none=False)
    assert w.grad is not None
    assert w.grad.tolist() == [0.0, 0.0]
    optimizer.zero_grad()
    assert w.grad is None


def test_adam_moves_a_parameter_of_zero_gradient_nowhere() -> None:
    w = nn.Parameter(gu.ones(3))
    optimizer = optim.Adam([w], eps=0.0 + 1e-8)
    (w * 0.0).sum().backward()
    optimizer.step()
    assert w.tolist() == [1.0, 1.0, 1.0]


def test_trains_a_network() -> None:
    """A step lowers the loss of a small classifier, for every optimizer."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 8)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    for ours, _, options in CASES.values():
        gu.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 2))
        optimizer = ours(model.parameters(), **{**options, "weight_decay": 0.0})
        losses = []
        for _ in range(12):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(gu.from_numpy(x)), gu.from_numpy(y))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < losses[0] * 0.97
