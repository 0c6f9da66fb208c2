"""mlp: 784-512-512-10 with ReLUs, on batches of 128 (0.41 GFLOP)."""

from __future__ import annotations

from typing import Any

from groundup.cli.workloads import Loss, Workload
from groundup.cli.workloads.jax_layers import Layers


def model(nn: Any) -> Any:
    """The model, in groundup's nn or torch's."""
    return nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )


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
        x = f.relu(f.linear(p, "0", x))
        x = f.relu(f.linear(p, "2", x))
        return f.cross_entropy(f.linear(p, "4", x), y)

    return loss


WORKLOAD = Workload("mlp", (128, 784), 10, 669_706, 0.1, ours, theirs, theirs_jax)
