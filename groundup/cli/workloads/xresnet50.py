"""xresnet50: fast.ai's ResNet-50 with the bag of tricks, on 8 images of 3×128×128 (67.8 GFLOP)."""

from __future__ import annotations

from typing import Any

from groundup.cli.workloads import Workload
from groundup.cli.workloads.xresnet import loss_in_jax, model

BLOCKS = (3, 4, 6, 3)


def ours() -> Any:
    """The model in groundup."""
    from groundup import nn

    return model(nn, BLOCKS, bottleneck=True)


def theirs(torch: Any) -> Any:
    """The model in torch."""
    return model(torch.nn, BLOCKS, bottleneck=True)


WORKLOAD = Workload(
    "xresnet50", (8, 3, 128, 128), 10, 23_547_754, 0.05, ours, theirs, loss_in_jax(BLOCKS)
)
