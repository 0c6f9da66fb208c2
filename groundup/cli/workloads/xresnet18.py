"""xresnet18: fast.ai's ResNet-18 with the bag of tricks, on 16 images of 3×128×128 (64.2 GFLOP)."""

from __future__ import annotations

from typing import Any

from groundup.cli.workloads import Workload
from groundup.cli.workloads.xresnet import loss_in_jax, model

BLOCKS = (2, 2, 2, 2)


def ours() -> Any:
    """The model in groundup."""
    from groundup import nn

    return model(nn, BLOCKS, bottleneck=False)


def theirs(torch: Any) -> Any:
    """The model in torch."""
    return model(torch.nn, BLOCKS, bottleneck=False)


WORKLOAD = Workload(
    "xresnet18", (16, 3, 128, 128), 10, 11_200_874, 0.05, ours, theirs, loss_in_jax(BLOCKS)
)
