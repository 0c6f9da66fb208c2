"""mlp: 784-512-512-10 with ReLUs, on batches of 128 (0.41 GFLOP)."""

from __future__ import annotations

from typing import Any

from groundup.cli.workloads import Workload


def _layers(nn: Any) -> Any:
    return nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )


def ours() -> Any:
    """The model in groundup."""
    from groundup import nn

    return _layers(nn)


def theirs(torch: Any) -> Any:
    """The model in torch."""
    return _layers(torch.nn)


WORKLOAD = Workload("mlp", (128, 784), 10, 669_706, 0.1, ours, theirs)
