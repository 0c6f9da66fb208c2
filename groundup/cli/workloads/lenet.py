"""lenet: LeNet-5 on 128 images of 1×28×28, ReLUs and max pooling (0.29 GFLOP).

LeCun et al., "Gradient-based learning applied to document recognition", 1998, in today's form:
every feature map sees every input map, rectifiers for tanh, a plain linear output.
"""

from __future__ import annotations

from typing import Any

from groundup.cli.workloads import Workload


def _layers(nn: Any) -> Any:
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

    return _layers(nn)


def theirs(torch: Any) -> Any:
    """The model in torch."""
    return _layers(torch.nn)


WORKLOAD = Workload("lenet", (128, 1, 28, 28), 10, 61_706, 0.05, ours, theirs)
