"""The neutral workloads of `groundup bench`: one file each, the same mathematics for every peer.

A workload says what the model is (for groundup and torch as modules with the same parameter names,
for JAX as a pure function of those parameters), what a batch is and how its loss comes about; the
step is the same for all (loss, backward, plain SGD). Must not know how it is timed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Loss = Callable[[Mapping[str, Any], Any, Any], Any]


@dataclass(frozen=True)
class Workload:
    """One model and the shape of its batches.

    name: what it is called on the command line.
    batch: the shape of x, its first axis the examples.
    classes: how many scores the model gives for each target.
    parameters: how many numbers it trains; a model that has others is not this workload.
    lr: the step size of plain SGD.
    ours: makes the groundup model, a Module.
    theirs: makes the torch model from the module `torch`: the same parameter and buffer names, so
        that one state dict serves both. Starts in training mode, as ours does.
    theirs_jax: makes from the module `jax` the function loss(params, x, y): params maps the same
        parameter names to arrays (of the same shapes; buffers are not read, and should not be
        passed to jax.grad); batch norm takes the statistics of the batch. It keeps no running
        statistics, so JAX has a little less to do than the others.
    tokens: 0: x holds float32 numbers and y one class for each example, (n,); else x holds ids
        below `tokens` and y one class for each id, of x's shape. Ids and classes are int64.
    """

    name: str
    batch: tuple[int, ...]
    classes: int
    parameters: int
    lr: float
    ours: Callable[[], Any]
    theirs: Callable[[Any], Any]
    theirs_jax: Callable[[Any], Loss]
    tokens: int = 0

    def batches(self, count: int, seed: int = 0) -> list[tuple[Any, Any]]:
        """`count` random pairs (x, y) as NumPy arrays, the same for everyone."""
        import numpy as np

        rng = np.random.default_rng(seed)
        pairs = []
        for _ in range(count):
            x: Any
            if self.tokens:
                x = rng.integers(0, self.tokens, self.batch)
                y = rng.integers(0, self.classes, self.batch)
            else:
                x = rng.standard_normal(self.batch, dtype=np.float32)
                y = rng.integers(0, self.classes, self.batch[0])
            pairs.append((x, y))
        return pairs

    def loss(self, functional: Any, model: Any, x: Any, y: Any) -> Any:
        """The mean cross-entropy of model(x) for y, every token an example.

        functional: groundup's or torch's `nn.functional`. The function to compile for
        torch.compile is lambda x, y: workload.loss(functional, model, x, y).
        """
        scores = model(x)  # (n, classes), or (n, t, classes) for tokens
        if self.tokens:
            scores, y = scores.flatten(0, 1), y.flatten()
        return functional.cross_entropy(scores, y)


def known() -> dict[str, Workload]:
    """Every workload by name."""
    from groundup.cli.workloads import (
        gpt,
        lenet,
        lstm_lm,
        mlp,
        mlp_small,
        resnet18_cifar,
        xresnet18,
        xresnet50,
    )

    modules = (mlp_small, mlp, lenet, resnet18_cifar, xresnet18, xresnet50, gpt, lstm_lm)
    return {module.WORKLOAD.name: module.WORKLOAD for module in modules}
