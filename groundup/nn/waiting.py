"""What a training step computes anyway, though no parameter depends on it.

A loss that is asked for only after the step would need the forward pass a second time; running
statistics that nobody asks for would pile up, one step on another. So an optimizer realises them
with its parameters. Must not know who computes them, or when.
"""

from __future__ import annotations

import threading
import weakref

from groundup.tensor import Tensor, storage


class _Waiting(threading.local):
    """What waits in this thread: its own optimizer computes it."""

    def __init__(self) -> None:
        # Keyed by identity: `==` of tensors compares elements.
        self.tensors: dict[int, weakref.ref[Tensor]] = {}


_waiting = _Waiting()
_LIMIT = 1000  # without an optimizer, nobody takes them: keep no more than the latest


def wait(t: Tensor) -> Tensor:
    """Have this value computed with the next step, if it is still wanted then; returns it."""
    if storage.tracing() is None:  # a captured step computes all that it returns or writes
        tensors = _waiting.tensors
        tensors[id(t)] = weakref.ref(t)
        if len(tensors) > _LIMIT:
            del tensors[next(iter(tensors))]
    return t


def taken() -> list[Tensor]:
    """The values that have been waiting and are still wanted; they wait no longer."""
    alive = [t for ref in _waiting.tensors.values() if (t := ref()) is not None]
    _waiting.tensors.clear()
    return alive
