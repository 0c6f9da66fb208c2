"""The neutral workloads of `groundup bench`: one file each, the same mathematics for every peer.

A workload says what the model is, in groundup and in torch, and what a batch looks like; the step
is the same for all (cross-entropy, backward, plain SGD). Must not know how it is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Workload:
    """One model and the shape of its batches.

    ours: makes the groundup model; theirs: makes the torch model from the module `torch`, with the
    same parameter names, so that one state dict serves both.
    """

    name: str
    batch: tuple[int, ...]
    classes: int
    parameters: int
    lr: float
    ours: Callable[[], Any]
    theirs: Callable[[Any], Any]


def known() -> dict[str, Workload]:
    """Every workload by name."""
    from groundup.cli.workloads import lenet, mlp, mlp_small

    return {w.name: w for w in (mlp_small.WORKLOAD, mlp.WORKLOAD, lenet.WORKLOAD)}
