"""Costs grow with work: a network of thousands of equal layers builds, is captured, compiles each
layer's kernels once, and trains. Counts are asserted, not times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import groundup as gu
from groundup import nn
from groundup.nn import functional as F

WIDTH, BATCH = 16, 8


def network(depth: int) -> nn.Module:
    """Linear and ReLU, `depth` times, scaled as by Fixup (Zhang, Dauphin, Ma 2019): no layer of it
    is normalised, so deep weights have to keep the variance themselves."""
    gu.manual_seed(0)
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(WIDTH, WIDTH), nn.ReLU()]
    net = nn.Sequential(*layers, nn.Linear(WIDTH, 1))
    for p in net.parameters():
        if p.ndim == 2:
            nn.init.kaiming_uniform_(p, nonlinearity="relu")
        else:
            nn.init.constant_(p, 0.0)
    return net


def training(net: nn.Module, lr: float = 1e-3) -> Callable[[Any, Any], Any]:
    opt = gu.optim.SGD(net.parameters(), lr=lr)

    def step(x: Any, y: Any) -> Any:
        loss = F.mse_loss(net(x), y)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    return step


def captured(depth: int) -> tuple[Any, list[float], Any]:
    """(a captured step, its first losses, the network)."""
    net = network(depth)
    step = gu.jit(training(net, 1e-3 / depth))
    x, y = gu.randn(BATCH, WIDTH).realize(), gu.randn(BATCH, 1).realize()
    return step, [step(x, y).item() for _ in range(4)], net


def kernels(step: Any) -> tuple[int, int]:
    """(steps of the plan, kernels that differ)."""
    roots, plan = step.latest()
    plan = plan.whole(roots)
    return len(plan.steps), len({s.kernel for s in plan.steps})


def test_equal_layers_compile_once() -> None:
    shallow, deep = (kernels(captured(depth)[0]) for depth in (30, 60))
    assert deep[0] > 1.9 * shallow[0]
    assert deep[1] == shallow[1] < 20


def test_a_deep_network_trains_as_it_does_uncaptured() -> None:
    _, losses, net = captured(40)
    again = network(40)
    step = training(again, 1e-3 / 40)
    x, y = gu.randn(BATCH, WIDTH).realize(), gu.randn(BATCH, 1).realize()
    assert [step(x, y).item() for _ in range(4)] == losses and losses[3] < losses[0]
    for a, b in zip(net.parameters(), again.parameters(), strict=True):
        assert a.tolist() == b.tolist()


def test_a_thousand_layers() -> None:
    step, losses, _ = captured(1000)
    steps, different = kernels(step)
    assert steps > 3000 and different < 20
    assert losses[3] < losses[0]
    assert "kernel 0" in str(gu.explain(step))


def test_long_chains_are_shown_and_let_go_without_recursion() -> None:
    x = gu.ones(3)
    with gu.no_grad():
        y = x
        for _ in range(1500):  # below the limit at which pending work is computed
            y = (y * 1.001).t().flip(0)
    assert "Node" not in repr(y.node) and len(repr(y.node)) > 0
    del y
    w = gu.ones(3, requires_grad=True)
    y = w
    for _ in range(20_000):
        y = y * 1.0
    loss = y.sum()
    del y
    loss.backward()
    del loss
    assert w.grad.tolist() == [1.0] * 3


@pytest.mark.slow
def test_ten_thousand_layers() -> None:
    step, losses, net = captured(10_000)
    assert kernels(step)[1] < 20 and losses[3] < losses[0]
    assert len(list(net.parameters())) == 20_002
