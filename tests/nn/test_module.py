"""Module: what is found, in which order, how it is saved, loaded and shown."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup import nn

from .support import near, numbers, torch


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(gu.ones(width))
        self.inner = nn.ModuleList([nn.Linear(width, width), nn.BatchNorm1d(width)])
        self.note = gu.zeros(3)  # neither trained nor saved

    def forward(self, x: gu.Tensor) -> gu.Tensor:
        for layer in self.inner:
            x = layer(x)
        return x * self.scale


NAMES = ["scale", "inner.0.weight", "inner.0.bias", "inner.1.weight", "inner.1.bias"]
BUFFERS = ["inner.1.running_mean", "inner.1.running_var", "inner.1.num_batches_tracked"]


def test_parameters_are_found_at_any_depth_in_the_order_they_were_set() -> None:
    block = Block(4)
    assert [name for name, _ in block.named_parameters()] == NAMES
    assert [name for name, _ in block.named_buffers()] == BUFFERS
    assert [name for name, _ in block.named_modules()] == ["", "inner", "inner.0", "inner.1"]
    assert list(block.children()) == [block.inner]
    assert len(list(block.modules())) == 4
    assert all(p.requires_grad for p in block.parameters())


def test_shared_modules_and_parameters_count_once_but_are_saved_under_each_name() -> None:
    layer = nn.Linear(3, 3)
    model = nn.Sequential(layer, nn.ReLU(), layer)
    assert len(list(model.parameters())) == 2
    assert set(model.state_dict()) == {"0.weight", "0.bias", "2.weight", "2.bias"}


def test_a_module_inside_itself_is_an_error() -> None:
    model = nn.Sequential(nn.ReLU())
    model.append(model)
    with pytest.raises(ValueError, match="contains itself"):
        list(model.modules())


def test_ten_thousand_nested_modules_need_no_recursion() -> None:
    model: nn.Module = nn.ReLU()
    for _ in range(10_000):
        outer = nn.Module()
        outer.inner = model  # type: ignore[attr-defined]
        model = outer
    assert sum(1 for _ in model.modules()) == 10_001
    model.eval()


def test_train_and_eval_reach_every_module() -> None:
    block = Block(4)
    assert block.eval() is block
    assert not any(m.training for m in block.modules())
    block.train()
    assert all(m.training for m in block.modules())


def test_a_subclass_may_forget_super_init() -> None:
    class Lazy(nn.Module):
        def __init__(self) -> None:
            self.w = nn.Parameter(gu.ones(2))

    assert Lazy().training
    assert len(list(Lazy().parameters())) == 1


def test_apply_zero_grad_and_requires_grad() -> None:
    block = Block(4)
    seen: list[str] = []
    block.apply(lambda m: seen.append(type(m).__name__))
    assert sorted(seen) == ["BatchNorm1d", "Block", "Linear", "ModuleList"]
    assert seen[-1] == "Block"
    block(gu.from_numpy(numbers(5, 4))).sum().backward()
    assert block.scale.grad is not None
    block.zero_grad(set_to_none=False)
    assert block.scale.grad.tolist() == [0.0] * 4
    block.zero_grad()
    assert block.scale.grad is None
    block.requires_grad_(False)
    assert not any(p.requires_grad for p in block.parameters())


def test_state_dict_round_trip() -> None:
    gu.manual_seed(0)
    a, b = Block(4), Block(4)
    x = gu.from_numpy(numbers(6, 4))
    a(x), a(x)  # moves the running statistics
    saved = a.state_dict()
    assert list(saved) == [NAMES[0], *NAMES[1:], *BUFFERS]
    assert not any(t.requires_grad for t in saved.values())
    b.load_state_dict(saved)
    for name, tensor in b.state_dict().items():
        assert tensor.tolist() == saved[name].tolist(), name
    assert b.inner[1].num_batches_tracked.item() == 2  # type: ignore[attr-defined]
    a.eval(), b.eval()
    assert a(x).tolist() == b(x).tolist()
    assert b.scale.requires_grad


def test_loading_copies() -> None:
    a, b = nn.Linear(2, 2), nn.Linear(2, 2)
    b.load_state_dict(a.state_dict())
    before = b.weight.tolist()
    nn.init.zeros_(a.weight)
    assert b.weight.tolist() == before


def test_load_state_dict_lists_everything_that_does_not_fit_and_changes_nothing() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    before = model[0].bias.tolist()  # type: ignore[union-attr]
    state = dict(nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 5)).state_dict())
    state["extra"] = state.pop("1.bias")
    with pytest.raises(ValueError) as error:
        model.load_state_dict(state)
    text = str(error.value)
    assert "missing from the state: 1.bias" in text
    assert "not in the module: extra" in text
    assert "0.weight: shape (2, 4) in the state, (2, 3) in the module" in text
    assert "1.weight: shape (5, 2) in the state, (2, 2) in the module" in text
    assert model[0].bias.tolist() == before  # type: ignore[union-attr]
    state["0.weight"], state["1.weight"] = gu.ones(2, 3), gu.ones(2, 2)
    model.load_state_dict(state, strict=False)
    assert model[0].weight.tolist() == [[1.0] * 3] * 2  # type: ignore[union-attr]


def test_to_converts_floats_in_place() -> None:
    block = Block(4)
    parameter = block.scale
    assert block.to(gu.float64) is block
    assert block.scale is parameter
    assert {t.dtype for t in block.parameters()} == {gu.float64}
    assert block.inner[1].running_mean.dtype is gu.float64  # type: ignore[attr-defined]
    assert block.inner[1].num_batches_tracked.dtype is gu.int64  # type: ignore[attr-defined]
    block(gu.zeros(3, 4, dtype=gu.float64)).sum().backward()
    assert parameter.grad is not None
    assert parameter.grad.dtype is gu.float64


def test_containers() -> None:
    a, b, c = nn.ReLU(), nn.Tanh(), nn.Sigmoid()
    items = nn.ModuleList([a, b])
    items.append(c)
    assert len(items) == 3
    assert list(items) == [a, b, c]
    assert items[-1] is c
    assert list(items[1:]) == [b, c]
    items.insert(0, c)
    del items[1]
    items[0] = a
    assert list(items) == [a, b, c]
    named = nn.Sequential({"first": a, "second": b})
    assert [name for name, _ in named.named_children()] == ["first", "second"]
    assert list(named[:1]) == [a]
    table = nn.ModuleDict({"x": a})
    table["y"] = nn.Linear(2, 2)
    assert list(table) == ["x", "y"]
    assert "x" in table
    assert len(list(table.parameters())) == 2


@pytest.mark.peers
def test_repr_is_as_in_torch() -> None:
    def model(nn: Any) -> Any:
        return nn.Sequential(
            nn.Conv2d(1, 6, 5, stride=2, padding=2, groups=1, bias=False),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.Sequential(nn.Flatten(), nn.GELU(), nn.Tanh()),
            nn.Linear(3, 2, bias=False),
        )

    assert repr(model(nn)) == repr(model(torch().nn))
    assert repr(nn.Sequential()) == repr(torch().nn.Sequential())


@pytest.mark.peers
def test_names_and_shapes_are_as_in_torch() -> None:
    def model(nn: Any) -> Any:
        return nn.Sequential(
            nn.Conv2d(4, 6, (5, 3), groups=2), nn.BatchNorm2d(6), nn.ModuleList([nn.Linear(3, 2)])
        )

    ours, theirs = model(nn).state_dict(), model(torch().nn).state_dict()
    assert [(k, tuple(v.shape)) for k, v in ours.items()] == [
        (k, tuple(v.shape)) for k, v in theirs.items()
    ]


LAYERS = {
    "linear": (lambda nn: nn.Linear(5, 3), (4, 5)),
    "conv": (lambda nn: nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2), (3, 2, 7, 8)),
    "batchnorm1d": (lambda nn: nn.BatchNorm1d(3), (6, 3)),
    "batchnorm1d of lines": (lambda nn: nn.BatchNorm1d(3, eps=1e-3), (2, 3, 5)),
    "batchnorm2d": (lambda nn: nn.BatchNorm2d(3, momentum=0.4), (2, 3, 5, 4)),
    "batchnorm2d, average": (lambda nn: nn.BatchNorm2d(3, momentum=None), (2, 3, 5, 4)),
    "batchnorm2d, plain": (lambda nn: nn.BatchNorm2d(3, affine=False), (2, 3, 5, 4)),
    "batchnorm2d, untracked": (
        lambda nn: nn.BatchNorm2d(3, track_running_stats=False), (2, 3, 5, 4),
    ),
    "tanh": (lambda nn: nn.Tanh(), (4, 5)),
    "sigmoid": (lambda nn: nn.Sigmoid(), (4, 5)),
    "gelu": (lambda nn: nn.GELU(), (4, 5)),
    "leaky": (lambda nn: nn.LeakyReLU(0.2), (4, 5)),
    "softmax": (lambda nn: nn.Softmax(1), (4, 5)),
    "logsoftmax": (lambda nn: nn.LogSoftmax(1), (4, 5)),
    "maxpool": (lambda nn: nn.MaxPool2d(3, 2, 1), (2, 2, 7, 7)),
    "avgpool": (lambda nn: nn.AvgPool2d(3, 2, 1), (2, 2, 7, 7)),
    "adaptive": (lambda nn: nn.AdaptiveAvgPool2d(3), (2, 2, 7, 6)),
    "flatten": (lambda nn: nn.Flatten(), (2, 2, 3)),
    "identity": (lambda nn: nn.Identity(), (2, 2, 3)),
}  # fmt: skip


@pytest.mark.peers
@pytest.mark.parametrize("name", LAYERS)
def test_layers_train_and_evaluate_as_in_torch(name: str) -> None:
    """Two training passes with gradients, then evaluation: outputs, gradients and buffers."""
    make, shape = LAYERS[name]
    t = torch()
    ours, theirs = make(nn), make(t.nn)
    theirs.load_state_dict({k: t.tensor(v.tolist()) for k, v in ours.state_dict().items()})
    for seed in (1, 2):
        x = 2 + 3 * numbers(*shape, seed=seed)
        a, b = gu.from_numpy(x).requires_grad_(True), t.from_numpy(x).requires_grad_(True)
        mine, other = ours(a), theirs(b)
        near(mine, other, 2e-5)
        weights = numbers(*other.shape, seed=9)
        (mine * gu.from_numpy(weights)).sum().backward()
        (other * t.from_numpy(weights)).sum().backward()
        near(a.grad, b.grad, 2e-5)
    for (path, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert p.grad is not None, path
        near(p.grad, q.grad, 2e-5)
    for p, q in zip(ours.buffers(), theirs.buffers(), strict=True):
        near(p, q)
    ours.eval(), theirs.eval()
    near(ours(gu.from_numpy(x)), theirs(t.from_numpy(x)), 2e-5)


def test_general_relu() -> None:
    x = gu.tensor([-2.0, -0.5, 0.0, 1.0, 9.0])
    assert nn.GeneralReLU()(x).tolist() == nn.ReLU()(x).tolist()
    assert nn.GeneralReLU(leak=0.5)(x).tolist() == [-1.0, -0.25, 0.0, 1.0, 9.0]
    assert nn.GeneralReLU(leak=0.5, sub=0.25, maxv=6.0)(x).tolist() == [
        -1.25,
        -0.5,
        -0.25,
        0.75,
        6.0,
    ]


def test_dropout_only_drops_in_training() -> None:
    layer = nn.Dropout(0.5)
    x = gu.ones(1000)
    assert 300 < (layer(x) == 0).sum().item() < 700
    layer.eval()
    assert layer(x) is x


# ---- initial values ------------------------------------------------------------------------------


def spread(t: gu.Tensor) -> tuple[float, float, float]:
    values = t.numpy().astype(np.float64)
    return float(values.mean()), float(values.std()), float(np.abs(values).max())


@pytest.mark.parametrize("shape", [(300, 200), (64, 32, 5, 3)])
def test_initialisations_have_the_deviations_of_their_papers(shape: tuple[int, ...]) -> None:
    gu.manual_seed(0)
    kernel = math.prod(shape[2:])
    fan_in, fan_out = shape[1] * kernel, shape[0] * kernel
    w = nn.Parameter(gu.zeros(*shape))
    for fill, deviation, bounded in (
        (lambda: nn.init.kaiming_normal_(w), math.sqrt(2 / fan_in), False),
        (lambda: nn.init.kaiming_normal_(w, mode="fan_out"), math.sqrt(2 / fan_out), False),
        (lambda: nn.init.kaiming_normal_(w, a=1.0), math.sqrt(1 / fan_in), False),
        (lambda: nn.init.kaiming_uniform_(w), math.sqrt(2 / fan_in), True),
        (lambda: nn.init.kaiming_uniform_(w, a=math.sqrt(5)), math.sqrt(1 / 3 / fan_in), True),
        (lambda: nn.init.xavier_normal_(w, 2.0), 2 * math.sqrt(2 / (fan_in + fan_out)), False),
        (lambda: nn.init.xavier_uniform_(w), math.sqrt(2 / (fan_in + fan_out)), True),
        (lambda: nn.init.normal_(w, 0.0, 3.0), 3.0, False),
        (lambda: nn.init.uniform_(w, -1.0, 1.0), math.sqrt(1 / 3), True),
    ):
        assert fill() is w
        mean, std, largest = spread(w)
        # The deviation of n draws has a relative error of at most 1/√(2n): 5 of those.
        assert abs(std / deviation - 1) < 5 / math.sqrt(2 * w.numel())
        assert abs(mean) < 5 * deviation / math.sqrt(w.numel())
        if bounded:
            assert largest <= deviation * math.sqrt(3) * (1 + 1e-6)
            assert largest > deviation * math.sqrt(3) * 0.99
        else:
            assert largest > deviation * 3
        assert w.requires_grad and w.grad is None


@pytest.mark.parametrize("layer", [nn.Linear(400, 100), nn.Conv2d(16, 100, 5)])
def test_default_weights_are_pytorchs(layer: nn.Module) -> None:
    weight, bias = layer.parameters()
    bound = 1 / math.sqrt(400)
    for t in (weight, bias):
        _, std, largest = spread(t)
        assert largest <= bound * (1 + 1e-6)
        assert largest > 0.9 * bound
        assert abs(std / (bound / math.sqrt(3)) - 1) < 0.2


def test_constants_and_gains() -> None:
    w = gu.zeros(2, 2)
    assert nn.init.ones_(w).tolist() == [[1, 1], [1, 1]]
    assert nn.init.constant_(w, 2.5).tolist() == [[2.5, 2.5], [2.5, 2.5]]
    assert nn.init.zeros_(w).tolist() == [[0, 0], [0, 0]]
    assert nn.init.calculate_gain("relu") == math.sqrt(2)
    assert nn.init.calculate_gain("leaky_relu", 0.2) == math.sqrt(2 / 1.04)
    assert nn.init.calculate_gain("tanh") == 5 / 3


def test_the_same_seed_gives_the_same_weights() -> None:
    gu.manual_seed(5)
    a = nn.Linear(4, 3)
    gu.manual_seed(5)
    b = nn.Linear(4, 3)
    assert a.weight.tolist() == b.weight.tolist()
    assert a.weight.tolist() != nn.Linear(4, 3).weight.tolist()
