"""The door that a user's work passes: where a value is made, viewed, written or derived.

Somebody may watch it, and refuse by raising (the game of `groundup.notebook`); nobody does by
itself, and then it costs a comparison. Must not know who watches, or what is refused.
"""

from __future__ import annotations

from collections.abc import Callable

watcher: Callable[[], None] | None = None
epoch = 0  # another number for each watch: what was captured under one does not serve in another


def watch(new: Callable[[], None] | None, number: int) -> None:
    """Have the door watched (None: no longer), in an epoch of this number (0: nobody watches)."""
    global watcher, epoch
    watcher, epoch = new, number


def passing() -> None:
    """Somebody asks for work that makes no tensor at once: a module, an optimizer, a derivative."""
    if watcher is not None:
        watcher()
