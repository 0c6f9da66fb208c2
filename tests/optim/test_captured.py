"""Optimizers inside `gu.jit`: a captured step follows every number, with the plain step's bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import groundup as gu
from groundup import nn, optim
from groundup.tensor.jit import Jit

MAKERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "sgd all": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
    "adam": lambda p: optim.Adam(p, lr=0.01),
    "adamw": lambda p: optim.AdamW(p, lr=0.01, weight_decay=0.1),
}


class Training:
    """A small network with batch norm, its optimizer, and a step."""

    def __init__(self, make: Callable[[Any], optim.Optimizer], jit: bool) -> None:
        gu.manual_seed(0)
        self.model = nn.Sequential(
            nn.Linear(5, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)
        )
        self.optimizer = make(self.model.parameters())
        self.x, self.y = gu.randn(12, 5).realize(), gu.randint(0, 3, (12,)).realize()
        model, optimizer = self.model, self.optimizer

        def step(x: gu.Tensor, y: gu.Tensor) -> gu.Tensor:
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return loss

        self.step = gu.jit(step) if jit else step

    def bits(self) -> list[Any]:
        return [t.tolist() for t in self.model.state_dict().values()]


@pytest.mark.parametrize("name", MAKERS)
def test_a_captured_step_has_the_plain_steps_bits(name: str) -> None:
    plain, captured = Training(MAKERS[name], False), Training(MAKERS[name], True)
    for _ in range(6):
        a, b = plain.step(plain.x, plain.y), captured.step(captured.x, captured.y)
        assert a.item() == b.item()
        assert plain.bits() == captured.bits()


@pytest.mark.parametrize("name", MAKERS)
def test_new_numbers_neither_capture_again_nor_go_unheard(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    captures = []
    capture = Jit._capture

    def counted(self: Any, *args: Any) -> Any:
        captures.append(self)
        return capture(self, *args)

    monkeypatch.setattr(Jit, "_capture", counted)
    plain, captured = Training(MAKERS[name], False), Training(MAKERS[name], True)
    for i in range(7):
        for training in (plain, captured):
            group = training.optimizer.param_groups[0]
            group["lr"] = 0.1 / (i + 1)
            if group.get("momentum"):
                group["momentum"] = 0.5 + 0.05 * i
            if group["weight_decay"]:
                group["weight_decay"] = 0.1 / (i + 1)
            training.step(training.x, training.y)
        assert plain.bits() == captured.bits()
    assert len(captures) == 2  # the first two calls, compared with one another


def test_momentum_that_begins_later_is_captured_anew() -> None:
    plain, captured = Training(MAKERS["sgd"], False), Training(MAKERS["sgd"], True)
    for i in range(7):
        for training in (plain, captured):
            if i == 3:
                training.optimizer.param_groups[0]["momentum"] = 0.9
            if i == 5:
                training.optimizer.param_groups[0]["nesterov"] = True
            training.step(training.x, training.y)
        assert plain.bits() == captured.bits()


def test_a_negative_rate_is_refused_before_anything_moves() -> None:
    training = Training(MAKERS["sgd"], True)
    for _ in range(3):
        training.step(training.x, training.y)
    before = training.bits()
    training.optimizer.param_groups[0]["lr"] = -0.1
    with pytest.raises(ValueError, match="lr must not be negative"):
        training.step(training.x, training.y)
    assert training.bits() == before


def test_a_shorter_last_batch_captures_once_and_is_right() -> None:
    plain, captured = Training(MAKERS["adamw"], False), Training(MAKERS["adamw"], True)
    for n in (12, 12, 12, 7, 7, 12, 7):
        for training in (plain, captured):
            training.step(training.x[:n].clone(), training.y[:n].clone())
        assert plain.bits() == captured.bits()


def test_evaluation_after_training_uses_the_running_statistics() -> None:
    training = Training(MAKERS["sgd"], True)
    model = training.model
    predict = gu.jit(lambda x: model(x))
    for _ in range(3):
        training.step(training.x, training.y)
        model.eval()
        with gu.no_grad():
            plain, jitted = model(training.x), predict(training.x)
        assert plain.tolist() == jitted.tolist()
        model.train()
