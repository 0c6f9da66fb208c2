"""What a training step computes anyway, though no parameter depends on it.

A loss that is asked for only after the step would need the forward pass a second time; running
statistics that nobody asks for would pile up, one step on another. So an optimizer realises them
with its parameters. Must not know who computes them, or when.
"""

from __future__ import annotations

import weakref

from groundup.tensor import Tensor, storage

# Keyed by identity: `==` of tensors compares elements.
_tensors: dict[int, weakref.ref[Tensor]] = {}
_LIMIT = 1000  # without an optimizer, nobody takes them: keep no more than the latest


def wait(t: Tensor) -> Tensor:
    """Have this value computed with the next step, if it is still wanted then; returns it."""
    if storage.tracer is None:  # a captured step computes all that it returns or writes
        _tensors[id(t)] = weakref.ref(t)
        if len(_tensors) > _LIMIT:
            del _tensors[next(iter(_tensors))]
    return t


def taken() -> list[Tensor]:
    """The values that have been waiting and are still wanted; they wait no longer."""
    alive = [t for ref in _tensors.values() if (t := ref()) is not None]
    _tensors.clear()
    return alive
