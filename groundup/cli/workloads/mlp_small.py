"""mlp-small: the lesson's own network, 784-50-10 with a ReLU, on batches of 64 (0.015 GFLOP)."""

from __future__ import annotations

from typing import Any

from groundup.cli.workloads import Loss, Workload
from groundup.cli.workloads.jax_layers import Layers


def model(nn: Any) -> Any:
    """The model, in groundup's nn or torch's."""
    return nn.Sequential(nn.Linear(784, 50), nn.ReLU(), nn.Linear(50, 10))


def ours() -> Any:
    """The model in groundup."""
    from groundup import nn

    return model(nn)


def theirs(torch: Any) -> Any:
    """The model in torch."""
    return model(torch.nn)


def theirs_jax(jax: Any) -> Loss:
    """The loss as a function of the parameters in JAX."""
    f = Layers(jax)

    def loss(p: Any, x: Any, y: Any) -> Any:
        return f.cross_entropy(f.linear(p, "2", f.relu(f.linear(p, "0", x))), y)

    return loss


WORKLOAD = Workload("mlp-small", (64, 784), 10, 39_760, 0.1, ours, theirs, theirs_jax)
