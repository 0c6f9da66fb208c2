"""lenet: LeNet-5 on 128 images of 1×28×28, ReLUs and max pooling (0.29 GFLOP).

LeCun et al., "Gradient-based learning applied to document recognition", 1998, in today's form:
every feature map sees every input map, rectifiers for tanh, a plain linear output.
"""

from __future__ import annotations

from typing import Any

from groundup.cli.workloads import Loss, Workload
from groundup.cli.workloads.jax_layers import Layers


def model(nn: Any) -> Any:
    """The model, in groundup's nn or torch's."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(),
        nn.Linear(120, 84), nn.ReLU(),
        nn.Linear(84, 10),
    )  # fmt: skip


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
        x = f.images(x)
        x = f.max_pool(f.relu(f.conv(p, "0", x, padding=2)), 2, 2)
        x = f.max_pool(f.relu(f.conv(p, "3", x)), 2, 2)
        x = x.transpose(0, 3, 1, 2).reshape(x.shape[0], -1)  # flattened as (c, h, w)
        x = f.relu(f.linear(p, "7", x))
        x = f.relu(f.linear(p, "9", x))
        return f.cross_entropy(f.linear(p, "11", x), y)

    return loss


WORKLOAD = Workload("lenet", (128, 1, 28, 28), 10, 61_706, 0.05, ours, theirs, theirs_jax)
