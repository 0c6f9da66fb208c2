"""mlp-small: the lesson's own network, 784-50-10 with a ReLU, on batches of 64 (0.015 GFLOP)."""

from __future__ import annotations

from typing import Any

from groundup.cli.workloads import Workload


def _layers(nn: Any) -> Any:
    return nn.Sequential(nn.Linear(784, 50), nn.ReLU(), nn.Linear(50, 10))


def ours() -> Any:
    """The model in groundup."""
    from groundup import nn

    return _layers(nn)


def theirs(torch: Any) -> Any:
    """The model in torch."""
    return _layers(torch.nn)


WORKLOAD = Workload("mlp-small", (64, 784), 10, 39_760, 0.1, ours, theirs)
