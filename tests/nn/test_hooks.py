"""Hooks of modules: what they are given and what they change, as torch calls them."""

import importlib
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup import nn


def told(x: Any) -> Any:
    if isinstance(x, tuple | list):
        return [told(v) for v in x]
    return np.round(x.detach().numpy(), 3).tolist() if hasattr(x, "detach") else x


def both(run: Any) -> None:
    torch = importlib.import_module("torch")
    logs = []
    for lib in (gu, torch):
        model = lib.nn.Sequential(lib.nn.Linear(2, 3), lib.nn.Tanh(), lib.nn.Linear(3, 1))
        with lib.no_grad():
            for n, p in enumerate(model.parameters()):
                p.copy_(lib.arange(float(p.numel())).reshape(p.shape) * 0.1 - 0.2 * n)
        log: list[Any] = []
        x = lib.tensor([[1.0, 2.0], [-1.0, 0.5]], requires_grad=True)
        run(lib, model, x, lambda *what, log=log: log.append(told(what)))
        log.append(told([x.grad] + [p.grad for p in model.parameters()]))
        logs.append(log)
    assert logs[0] == logs[1]


@pytest.mark.peers
def test_forward() -> None:
    def run(lib: Any, model: Any, x: Any, log: Any) -> None:
        model[1].register_forward_pre_hook(lambda m, a: log("pre", a))
        model[1].register_forward_pre_hook(lambda m, a: a[0] * 2)
        model[1].register_forward_pre_hook(lambda m, a: log("first", a), prepend=True)
        model[1].register_forward_hook(lambda m, a, y: log("post", a, y))
        model[1].register_forward_hook(lambda m, a, y: y + 1)
        last = model[1].register_forward_hook(
            lambda m, a, k, y: log("named", a, k, y), with_kwargs=True
        )
        model(x).sum().backward()
        last.remove()
        model(x).sum().backward()

    both(run)


@pytest.mark.peers
def test_backward() -> None:
    def run(lib: Any, model: Any, x: Any, log: Any) -> None:
        for n, part in enumerate(model):
            part.register_full_backward_hook(lambda m, i, o, n=n: log("hook", n, i, o))
            part.register_full_backward_pre_hook(lambda m, o, n=n: log("pre", n, o))
        model[1].register_full_backward_hook(lambda m, i, o: (i[0] * 10,))
        model[1].register_full_backward_pre_hook(lambda m, o: (o[0] * 3,))
        model(x).square().sum().backward()
        x.grad = None
        model(x.detach()).sum().backward()  # nothing flows to the argument of the first

    both(run)


@pytest.mark.peers
def test_several_arguments_and_results() -> None:
    def run(lib: Any, model: Any, x: Any, log: Any) -> None:
        class Two(lib.nn.Module):  # type: ignore[misc, name-defined]
            def forward(self, a: Any, n: int, b: Any) -> Any:
                return a * b * n, b * 2, n

        two = Two()
        two.register_full_backward_hook(lambda m, i, o: log("two", i, o))
        y, z, _ = two(x * 1, 3, x * 2)
        z.sum().backward()
        y, z, _ = two(x * 1, 3, lib.ones(2))
        y.sum().backward()
        y, z, _ = two(x * 1, 3, x * 5)
        (y + z).sum().backward()

    both(run)


def test_captured_and_functions_of_functions() -> None:
    layer = nn.Linear(2, 2)
    scale = {"by": 2.0}
    step = gu.jit(lambda x: layer(x))
    x = gu.randn(3, 2)
    plain = layer(x).detach().numpy()
    for _ in range(3):
        np.testing.assert_array_equal(step(x).detach().numpy(), plain)
    handle = layer.register_forward_hook(lambda m, a, y: y * scale["by"])
    for factor in (2.0, 5.0):
        scale["by"] = factor
        for _ in range(3):
            np.testing.assert_allclose(step(x).detach().numpy(), plain * factor, rtol=1e-6)
    handle.remove()
    np.testing.assert_array_equal(step(x).detach().numpy(), plain)
    layer.register_full_backward_hook(lambda m, i, o: (i[0] * 10,))
    slope = gu.grad(lambda x: layer(x).sum())(x)
    each = gu.vmap(gu.grad(lambda r: layer(r).sum()))(x)
    want = 10 * layer.weight.detach().sum(0).expand(3, 2)
    for got in (slope, each):
        np.testing.assert_allclose(got.detach().numpy(), want.numpy(), rtol=1e-6)
    along = gu.jvp(lambda x: layer(x), (x,), (x,))[1]
    np.testing.assert_allclose(
        along.detach().numpy(), (x @ layer.weight.detach().t()).numpy(), rtol=1e-5, atol=1e-6
    )


def test_errors() -> None:
    layer, x = nn.Linear(2, 2), gu.ones(1, 2, requires_grad=True)
    with (layer.register_forward_pre_hook(lambda m, a, k: a, with_kwargs=True),
          pytest.raises(TypeError, match="gives \\(args, kwargs\\) or None")):  # fmt: skip
        layer(x)
    with layer.register_full_backward_hook(lambda m, i, o: (i[0], i[0])):
        y = layer(x)
        with pytest.raises(ValueError, match="for each of 1 tensors; it gave 2"):
            y.sum().backward()
    layer(x).sum().backward()
    wrong = layer.register_full_backward_hook(lambda m, i, o: (i[0].sum(),))
    with wrong, pytest.raises(gu.ShapeError, match="of the shape that it was given"):
        layer(x).sum().backward()
