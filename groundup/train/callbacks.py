"""Callbacks: what may be said between the lines of the training loop, in an order that is declared.

Must not know what any particular callback does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import combinations
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from groundup.train.learner import Learner

PHASES = ("fit", "epoch", "train", "valid", "batch")
MOMENTS = ("before", "after", "cancelled", "cleanup")
EVENTS = tuple(f"{moment}_{phase}" for phase in PHASES for moment in MOMENTS)

Handler = Callable[["Learner"], None]


class Cancel(Exception):
    """Ends a phase early, without error: raise CancelBatch, CancelEpoch or CancelFit."""


class CancelBatch(Cancel):
    """Leaves the rest of this batch out."""


class CancelEpoch(Cancel):
    """Ends this epoch; the next begins."""


class CancelFit(Cancel):
    """Ends the fit."""


class CallbackOrderError(ValueError):
    """Declared orders contradict each other, or leave open an order that matters."""


class Callback:
    """A visitor of the training loop: its methods are the events that it wants to see.

    Events take the learner: `before_P`, `after_P` (P went through), `cancelled_P`
    (P was cancelled) and `cleanup_P` (always, also after an error), for each phase P of fit, epoch,
    train, valid, batch.

    `before` and `after` name callback classes that this one comes before or after. `reads` and
    `writes` name what this one looks at and changes ("row", "optimizer", …): two callbacks of one
    event, of which one writes what the other reads or writes, need a declared order, else the fit
    raises CallbackOrderError.

    >>> class Count(Callback):
    ...     batches = 0
    ...
    ...     def after_batch(self, learn):
    ...         self.batches += 1
    """

    before: ClassVar[tuple[type[Callback], ...]] = ()
    after: ClassVar[tuple[type[Callback], ...]] = ()
    reads: ClassVar[frozenset[str]] = frozenset()
    writes: ClassVar[frozenset[str]] = frozenset()


def handlers(callbacks: Sequence[Callback]) -> dict[str, list[Handler]]:
    """Return for each event its handlers, in the declared order of their callbacks."""
    for callback in callbacks:
        _check_names(callback)
    table: dict[str, list[Handler]] = {}
    for event in EVENTS:
        having = [callback for callback in callbacks if hasattr(callback, event)]
        _check_ties(event, having)
    for callback in in_order(callbacks):
        for event in EVENTS:
            if hasattr(callback, event):
                table.setdefault(event, []).append(getattr(callback, event))
    return table


def in_order(callbacks: Sequence[Callback]) -> list[Callback]:
    """Return `callbacks` in an order that fulfils every `before` and `after`; else as they were
    given.
    """
    sorter = TopologicalSorter(dict.fromkeys(range(len(callbacks)), ()))
    for later, earlier in _edges(callbacks):
        sorter.add(later, earlier)
    try:
        sorter.prepare()
    except CycleError as error:
        names = " before ".join(_name(callbacks[i]) for i in reversed(error.args[1]))
        raise CallbackOrderError(f"the declared orders contradict each other: {names}") from None
    order: list[int] = []
    ready: list[int] = []
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()])
        order.append(ready.pop(0))
        sorter.done(order[-1])
    return [callbacks[i] for i in order]


def _edges(callbacks: Sequence[Callback]) -> Iterable[tuple[int, int]]:
    """Yield (later, earlier) for each declared order among `callbacks`."""
    for i, one in enumerate(callbacks):
        for j, other in enumerate(callbacks):
            if i != j and isinstance(other, one.before):
                yield j, i
            if i != j and isinstance(other, one.after):
                yield i, j


def _check_ties(event: str, callbacks: Sequence[Callback]) -> None:
    if len(callbacks) < 2:
        return
    before = _closure(len(callbacks), ((b, a) for a, b in _edges(callbacks)))
    for i, j in combinations(range(len(callbacks)), 2):
        one, other = callbacks[i], callbacks[j]
        shared = one.writes & (other.reads | other.writes) | other.writes & one.reads
        if shared and j not in before[i] and i not in before[j]:
            raise CallbackOrderError(
                f"{_name(one)} and {_name(other)} both act at {event} and share "
                f"{', '.join(sorted(shared))}, which one of them changes, so their order matters "
                f"and none is declared: give {_name(one)} `before = ({_name(other)},)` or "
                f"`after = ({_name(other)},)`"
            )


def _closure(n: int, pairs: Iterable[tuple[int, int]]) -> list[set[int]]:
    """Return for each i the set of all j that are reached from i along `pairs`."""
    following: list[set[int]] = [set() for _ in range(n)]
    for i, j in pairs:
        following[i].add(j)
    for middle in range(n):
        for reached in following:
            if middle in reached:
                reached |= following[middle]
    return following


def _check_names(callback: Callback) -> None:
    for name in dir(callback):
        moment, _, phase = name.partition("_")
        if moment in MOMENTS and phase and name not in EVENTS:
            raise AttributeError(
                f"{_name(callback)}.{name} would never be called: there is no such event. "
                f"Events are {', '.join(MOMENTS)} × {', '.join(PHASES)}, such as before_batch"
            )


def _name(callback: Callback) -> str:
    return type(callback).__name__
