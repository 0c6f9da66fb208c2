"""The neutral workloads: their sizes, and the same losses in groundup, torch and JAX."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup import nn, optim
from groundup.cli.workloads import (
    Workload,
    gpt,
    known,
    lenet,
    lstm_lm,
    mlp_small,
    resnet18_cifar,
    xresnet,
    xresnet18,
    xresnet50,
)

pytestmark = pytest.mark.peers

STEPS = 5
TOLERANCE = 1e-4  # as PERFORMANCE's rule for comparing: the first five losses agree so far

SIZES = {
    "mlp-small": ((64, 784), "39760"),
    "mlp": ((128, 784), "669706"),
    "lenet": ((128, 1, 28, 28), "61706"),
    "resnet18-cifar": ((32, 3, 32, 32), "11.17M"),
    "xresnet18": ((16, 3, 128, 128), "11.20M"),
    "xresnet50": ((8, 3, 128, 128), "23.5M"),
    "gpt": ((4, 256), "10.80M"),
    "lstm-lm": ((20, 35), "19.78M"),
}


def torch() -> Any:
    return pytest.importorskip("torch", reason="needs the extra [peers]")


def test_every_workload_is_listed() -> None:
    assert list(known()) == list(SIZES)
    for name, (batch, _) in SIZES.items():
        assert known()[name].batch == batch
        (x, y), (other, _) = known()[name].batches(2)
        tokens = known()[name].tokens
        assert x.shape == batch and x.dtype == (np.int64 if tokens else np.float32)
        assert y.shape == (batch if tokens else batch[:1]) and y.dtype == np.int64
        assert y.min() >= 0 and y.max() < known()[name].classes
        assert (x != other).any()
        np.testing.assert_array_equal(known()[name].batches(1)[0][0], x)


@pytest.mark.parametrize("name", SIZES)
def test_the_number_of_parameters(name: str) -> None:
    workload, text = known()[name], SIZES[name][1]
    with torch().device("meta"):  # no memory, no draws
        count = sum(p.numel() for p in workload.theirs(torch()).parameters())
    assert count == workload.parameters
    places = len(text.rstrip("M").partition(".")[2])
    assert (f"{count / 1e6:.{places}f}M" if text.endswith("M") else str(count)) == text


def _both(make: Callable[[Any], Any]) -> dict[str, Any]:
    return {"ours": lambda: make(nn), "theirs": lambda torch: make(torch.nn)}


def _xresnet(blocks: tuple[int, ...], bottleneck: bool) -> dict[str, Any]:
    made = _both(lambda n: xresnet.model(n, blocks, bottleneck, (3, 4, 4), (4, 6)))
    return {**made, "theirs_jax": xresnet.loss_in_jax(blocks)}


# The same mathematics on models and batches small enough for every run of the tests.
SMALL = {
    "mlp-small": replace(mlp_small.WORKLOAD, batch=(3, 784)),
    "lenet": replace(lenet.WORKLOAD, batch=(3, 1, 28, 28)),
    "resnet18-cifar": replace(
        resnet18_cifar.WORKLOAD,
        batch=(4, 3, 8, 8),
        **_both(lambda n: resnet18_cifar.model(n, (4, 6, 6), 2)),
    ),
    "xresnet18": replace(xresnet18.WORKLOAD, batch=(3, 3, 32, 32), **_xresnet((2, 1), False)),
    "xresnet50": replace(xresnet50.WORKLOAD, batch=(3, 3, 32, 32), **_xresnet((1, 2), True)),
    "gpt": replace(gpt.WORKLOAD, batch=(2, 9), **_both(lambda n: gpt.model(n, 2, 24, 6, 65, 16))),
    "lstm-lm": replace(
        lstm_lm.WORKLOAD,
        batch=(3, 5),
        tokens=17,
        classes=17,
        **_both(lambda n: lstm_lm.model(n, 17, 12)),
    ),
}


def _start(workload: Workload) -> tuple[Any, dict[str, np.ndarray]]:
    gu.manual_seed(0)
    model = workload.ours()
    return model, {path: t.numpy().copy() for path, t in model.state_dict().items()}


def our_losses(workload: Workload, model: Any) -> list[float]:
    optimizer = optim.SGD(model.parameters(), lr=workload.lr)

    @gu.jit
    def step(x: gu.Tensor, y: gu.Tensor) -> gu.Tensor:
        loss = workload.loss(nn.functional, model, x, y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    pairs = workload.batches(STEPS)
    return [float(step(gu.from_numpy(x), gu.from_numpy(y)).item()) for x, y in pairs]


def torch_losses(workload: Workload, state: dict[str, np.ndarray]) -> list[float]:
    t = torch()
    model = workload.theirs(t)
    model.load_state_dict({path: t.from_numpy(v.copy()) for path, v in state.items()})
    optimizer = t.optim.SGD(model.parameters(), lr=workload.lr)
    losses = []
    for x, y in workload.batches(STEPS):
        loss = workload.loss(t.nn.functional, model, t.from_numpy(x), t.from_numpy(y))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def jax_losses(workload: Workload, parameters: dict[str, np.ndarray]) -> list[float]:
    jax = pytest.importorskip("jax")
    loss = workload.theirs_jax(jax)

    @jax.jit
    def step(p: Any, x: Any, y: Any) -> Any:
        value, grads = jax.value_and_grad(loss)(p, x, y)
        return value, {path: p[path] - workload.lr * grads[path] for path in p}

    p: Any = parameters
    losses = []
    for x, y in workload.batches(STEPS):
        value, p = step(p, x, y)
        losses.append(float(value))
    return losses


def _trained(model: Any, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {path: state[path] for path, _ in model.named_parameters()}


@pytest.mark.parametrize("name", SMALL)
def test_small_models_have_torchs_losses(name: str) -> None:
    model, state = _start(SMALL[name])
    wanted = torch_losses(SMALL[name], state)
    assert our_losses(SMALL[name], model) == pytest.approx(wanted, abs=TOLERANCE)
    assert len(set(wanted)) == STEPS


@pytest.mark.parametrize("name", SMALL)
def test_small_models_have_the_same_losses_in_jax(name: str) -> None:
    model, state = _start(SMALL[name])
    wanted = torch_losses(SMALL[name], state)
    losses = jax_losses(SMALL[name], _trained(model, state))
    assert losses == pytest.approx(wanted, abs=TOLERANCE)


def test_the_loss_can_be_compiled_by_torch() -> None:
    """One graph, without a break: what a fair comparison with torch.compile needs."""
    t = torch()
    for name in ("gpt", "xresnet18", "resnet18-cifar"):
        workload = SMALL[name]
        model = workload.theirs(t)
        x, y = (t.from_numpy(a) for a in workload.batches(1)[0])
        explained = t._dynamo.explain(
            lambda x, y, w=workload, m=model: w.loss(t.nn.functional, m, x, y)
        )(x, y)
        assert explained.graph_break_count == 0, name


@pytest.mark.slow
@pytest.mark.parametrize("name", SIZES)
def test_full_models_have_the_same_losses_everywhere(name: str) -> None:
    workload = known()[name]
    model, state = _start(workload)
    assert sum(p.numel() for p in model.parameters()) == workload.parameters
    wanted = torch_losses(workload, state)
    trained = _trained(model, state)
    assert our_losses(workload, model) == pytest.approx(wanted, abs=TOLERANCE)
    assert jax_losses(workload, trained) == pytest.approx(wanted, abs=TOLERANCE)
