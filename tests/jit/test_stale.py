"""A captured function is never stale: what may change between two calls, and must be seen."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup import nn
from groundup.tensor import JitError, replay
from groundup.tensor.held import MISSING


@pytest.fixture(autouse=True, params=["loops", "straight"])
def straight(request: Any, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Both ways to make a call: the one of the first calls, and that of many, as straight code."""
    monkeypatch.setattr(replay, "OFTEN", 1 if request.param == "straight" else 1 << 60)
    monkeypatch.setattr(replay, "AGAIN", 1)
    return bool(request.param == "straight")


def same_as_plain(f: Any, *calls: tuple[Any, ...]) -> None:
    """Every call of the captured function gives what the plain one gives, in any order of calls."""
    captured = gu.jit(f)
    for args in [*calls, *calls, *calls, *reversed(calls)]:
        assert repr(captured(*args).tolist()) == repr(f(*args).tolist()), args


def test_zeros_of_either_sign_and_numbers_of_other_types_are_told_apart() -> None:
    x = gu.tensor([1.0, -2.0])
    same_as_plain(lambda x, a: x * a, (x, 0.0), (x, -0.0), (x, 0), (x, False), (x, math.nan))
    k = gu.tensor([1, 2])
    same_as_plain(lambda k, a: k * a, (k, 1), (k, 1.0), (k, True))


def test_a_zero_that_changes_its_sign_outside_is_seen() -> None:
    scale: Any = 0.0
    g = gu.jit(lambda x: x * scale)
    x = gu.ones(1)
    got = []
    for value in (0.0, 0.0, 0.0, -0.0, 0, 1.0, True):
        scale = value
        got.append(repr(g(x).item()))
    assert got == ["0.0", "0.0", "0.0", "-0.0", "0.0", "1.0", "1.0"]


def test_an_attribute_of_a_class_is_seen() -> None:
    class Base:
        scale = 2.0

    class Scaled(Base):
        def __call__(self, x: Any) -> Any:
            return x * self.scale

    f = Scaled()
    g = gu.jit(lambda x: f(x))
    x = gu.ones(1)
    assert [g(x).item() for _ in range(3)] == [2.0] * 3
    Base.scale = 3.0
    assert g(x).item() == 3.0
    Scaled.scale = 4.0
    assert g(x).item() == 4.0
    f.scale = 5.0
    assert g(x).item() == 5.0
    del f.scale, Scaled.scale
    assert g(x).item() == 3.0


def test_a_method_that_is_replaced_is_seen() -> None:
    class Net(nn.Module):
        def forward(self, x: Any) -> Any:
            return x * 2

    net = Net()
    g = gu.jit(lambda x: net(x))
    assert [g(gu.ones(1)).item() for _ in range(3)] == [2.0] * 3
    Net.forward = lambda self, x: x * 7  # type: ignore[method-assign]
    assert g(gu.ones(1)).item() == 7.0


def test_items_of_containers_are_seen() -> None:
    table: dict[str, Any] = {"a": [1.0, (2.0, {"b": 3.0})]}
    g = gu.jit(lambda x: x * table["a"][0] + table["a"][1][1]["b"])
    x = gu.ones(1)
    assert [g(x).item() for _ in range(3)] == [4.0] * 3
    table["a"][0] = 10.0
    assert g(x).item() == 13.0
    table["a"][1][1]["b"] = 5.0
    assert g(x).item() == 15.0
    table["a"] = [0.0, (0.0, {"b": 1.0})]
    assert g(x).item() == 1.0


def test_one_tensor_given_twice_and_two_tensors() -> None:
    x, y = gu.tensor([1.0, 2.0]), gu.tensor([3.0, 4.0])
    same_as_plain(lambda a, b: a * 10 + b, (x, y), (x, x), (y, x), (y, y[:]))


def test_a_write_through_one_argument_into_another_is_refused_at_any_call() -> None:
    def f(a: Any, b: Any) -> Any:
        a.add_(1)
        return (a * b).sum()

    g = gu.jit(f)
    for _ in range(3):
        assert g(gu.ones(3), gu.ones(3)).item() == 6.0
    x = gu.ones(3)
    for pair in ((x, x[:]), (x[:2], x[1:])):
        with pytest.raises(JitError, match="given to it twice"):
            g(*pair)
    assert x.tolist() == [1.0] * 3
    assert g(gu.ones(3), gu.ones(3)).item() == 6.0


def test_a_write_to_what_an_argument_shares_is_refused_at_any_call() -> None:
    w = gu.ones(3)
    g = gu.jit(lambda x: (w.add_(1) * x).sum())
    assert [g(gu.ones(3)).item() for _ in range(3)] == [6.0, 9.0, 12.0]
    with pytest.raises(JitError, match="given to it twice"):
        g(w)
    with pytest.raises(JitError, match="given to it twice"):
        g(w[:])
    assert w.tolist() == [4.0] * 3


def test_an_argument_that_requires_grad_keeps_its_gradient() -> None:
    def f(x: Any, factor: float) -> None:
        (x * x * factor).sum().backward()

    g = gu.jit(f)
    a, b = gu.tensor([1.0, 2.0], requires_grad=True), gu.tensor([3.0, 4.0], requires_grad=True)
    for n in range(1, 4):
        g(a, 1.0)
        assert a.grad.tolist() == [2.0 * n, 4.0 * n]
    for n in range(1, 4):
        g(b, 1.0)
        assert b.grad.tolist() == [6.0 * n, 8.0 * n]
    a.grad = None
    g(a, 10.0)
    assert a.grad.tolist() == [20.0, 40.0] and b.grad.tolist() == [18.0, 24.0]


def test_a_derivative_through_an_argument_with_a_history_is_refused() -> None:
    w = gu.tensor([2.0], requires_grad=True)
    g = gu.jit(lambda h: (h * h).sum().backward())
    for _ in range(2):
        with pytest.raises(JitError, match="argument 0, which was computed outside"):
            g(w * 3)
    assert w.grad is None
    assert [gu.jit(lambda h: h * 2)(w * 3).tolist() for _ in range(3)] == [[12.0]] * 3


def test_a_module_may_be_an_argument_and_its_mode_is_seen() -> None:
    def f(net: nn.Module, x: Any) -> Any:
        return net(x)

    g = gu.jit(f)
    nets = [nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5)) for _ in range(2)]
    for net in nets:
        net.eval()
    x = gu.randn(4, 3)
    for net in (*nets, *nets, *nets):
        assert gu.allclose(g(net, x), f(net, x), rtol=1e-6, atol=1e-6)
    nets[0].train()
    gu.manual_seed(1)
    dropped = g(nets[0], x).tolist()
    assert sum(v == 0.0 for row in dropped for v in row) > 0
    with gu.no_grad():
        nets[1][0].weight.mul_(2)
    assert gu.allclose(g(nets[1], x), f(nets[1], x), rtol=1e-6, atol=1e-6)


def test_a_function_may_be_an_argument_and_its_closure_is_seen() -> None:
    scale = 2.0

    def by_scale(x: Any) -> Any:
        return x * scale

    g = gu.jit(lambda f, x: f(x))
    x = gu.ones(1)
    assert [g(by_scale, x).item() for _ in range(3)] == [2.0] * 3
    scale = 3.0
    assert g(by_scale, x).item() == 3.0
    assert g(functools.partial(gu.mul, 5.0), x).item() == 5.0


def test_what_an_optimizer_steps_over_is_seen() -> None:
    w = nn.Parameter(gu.ones(2))
    opt = gu.optim.SGD([w], lr=1.0)

    def step() -> None:
        opt.zero_grad()
        (w * 1.0).sum().backward()
        opt.step()

    g = gu.jit(step)
    for _ in range(3):
        g()
    assert w.tolist() == [-2.0] * 2
    opt.param_groups[0]["lr"] = 10.0
    g()
    assert w.tolist() == [-12.0] * 2
    opt.param_groups[0]["weight_decay"] = 0.5  # another chain of steppers
    g()
    assert w.tolist() == [-12.0 - 10 * (1 - 6.0)] * 2
    opt.param_groups[0]["momentum"] = 0.9
    before, grad = 38.0, 1 + 19.0
    for momentum in (grad,):
        g()
        assert w.tolist() == pytest.approx([before - 10 * momentum] * 2)


def test_a_parameter_that_gets_other_data_is_seen() -> None:
    w = nn.Parameter(gu.ones(2))
    g = gu.jit(lambda x: x * w)
    x = gu.ones(2)
    for _ in range(3):
        g(x)
    w.data = gu.full((2,), 9.0)
    assert g(x).tolist() == [9.0, 9.0]
    w.requires_grad_(False)
    assert g(x).tolist() == [9.0, 9.0]


def test_what_is_reached_may_be_nested_deeply() -> None:
    class Link(nn.Module):
        def __init__(self, after: Any) -> None:
            super().__init__()
            self.after = after

    last = Link(gu.ones(1))
    net: Any = last
    for _ in range(5000):
        net = Link(net)
    g = gu.jit(lambda x: x + last.after * (net is not None))
    assert [g(gu.ones(1)).item() for _ in range(3)] == [2.0] * 3
    last.after = gu.full((1,), 5.0)
    assert g(gu.ones(1)).item() == 6.0
    while net is not last:  # from the outside: one link at a time
        net = net.after


@pytest.mark.parametrize(
    "take",
    [gu.from_numpy, lambda a: gu.from_numpy(a, copy=False), lambda a: gu.tensor(a, gu.bfloat16)],
)
def test_an_array_that_is_copied_inside_may_not_change(take: Any) -> None:
    outside = np.ones(3, np.float32)
    g = gu.jit(lambda x: x * take(outside))
    h = gu.jit(lambda x: x * gu.from_numpy(np.full(3, 2.0, np.float32)))
    x = gu.ones(3)
    for _ in range(4):
        assert g(x).tolist() == [1.0] * 3 and h(x).tolist() == [2.0] * 3
    outside[1] = 5.0
    with pytest.raises(JitError, match="has changed since it was captured"):
        g(x)
    outside[1] = 1.0
    assert g(x).tolist() == [1.0] * 3


def test_a_call_that_only_computes_sees_what_every_call_sees(straight: bool) -> None:
    table, places = gu.randn(7, 3).realize(), gu.tensor([1, 0, 6])
    scale = [2.0]
    take = gu.jit(lambda t, i: (t[i] * scale[0], t.sum()))
    for _ in range(4):
        got, total = take(table, places)
    assert take._latest is not None and straight == (take._latest.straight is not None)
    if take._latest.straight is not None:
        assert take._latest.straight((table, places)) is not MISSING
    wide, leaf = gu.randn(7, 6).realize(), gu.randn(7, 3).realize().requires_grad_()
    given: list[gu.Tensor] = [
        table, table + 1, wide[:, ::2], wide[:, 3:], leaf, gu.randn(7, 3).double().realize(),
        gu.randn(9, 3).realize(), gu.randn(9, 2).realize(), gu.full((7, 3), 2.0), table,
    ]  # fmt: skip
    for t in given:
        got, total = take(t, places)
        assert got.tolist() == (t[places] * 2.0).tolist()
        assert total.item() == t.sum().item()
        assert got is not table and not got.requires_grad
    for bad in (gu.tensor([1, 0, 7]), gu.tensor([-8, 0, 0])):
        with pytest.raises(IndexError, match="out of range for axis 0"):
            take(table, bad)
    scale[0] = 3.0
    assert take(table, places)[0].tolist() == (table[places] * 3.0).tolist()


def test_what_was_looked_at_often_is_still_seen() -> None:
    """Each kind of place, after so many calls that straight code looks at it."""
    numbers, table, weight = [2.0], {"a": 3.0}, gu.ones(2)
    layer = nn.Linear(2, 2)
    bias = 1.0

    def f(x: Any) -> Any:
        total = sum(numbers) + table["a"] + bias
        return layer(x) * total + weight + len(table)

    g, x = gu.jit(f), gu.ones(3, 2)

    def look() -> None:
        for _ in range(3):
            assert g(x).tolist() == f(x).tolist()

    look()
    numbers[0] = 5.0
    look()
    numbers.append(1.0)
    look()
    table["a"] = 4.0
    look()
    table["b"] = 0.0
    look()
    bias = 2.0
    look()
    with gu.no_grad():
        weight.add_(1.0)
    look()
    weight = gu.zeros(2)
    look()
    layer.weight = nn.Parameter(gu.ones(2, 2))
    look()
    layer.weight.requires_grad_(False)
    look()
    layer.bias.grad = gu.ones(2)
    look()
