"""Dealing the units of work of a kernel out to threads: loops flattened into one, row by row.

Knows numbers of units; must not know what a unit does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..ir.node import Node
from .builder import Function, Operand
from .expression import Binding, Emitter
from .kernel import Stride, Word


def size(e: Emitter, extent: Stride) -> Operand | int:
    """An extent as a number known now or a parameter's value."""
    return e.word(extent) if isinstance(extent, Word) else int(extent)


def product(f: Function, counts: Sequence[Operand | int]) -> Operand | int:
    """How many units there are, where there are so many along each axis."""
    total: Operand | int = 1
    for count in counts:
        total = f.mul(total, count)
    return total


def digits(f: Function, unit: Operand, counts: Sequence[Operand | int]) -> list[Operand]:
    """The place along each axis of a unit in row-major order."""
    found = []
    for i in reversed(range(len(counts))):
        found.append(f.rem(unit, counts[i]) if i else unit)
        unit = f.div(unit, counts[i]) if i else unit
    return found[::-1]


def share(e: Emitter, total: Operand | int, most: int | None = None) -> tuple[Operand, Operand]:
    """This thread's part [lo, hi) of `total` units; at most so many threads have one."""
    f = e.fn
    threads: Operand = "%nthreads"
    if most is not None:
        threads = f.smin(threads, most)
    lo = f.div(f.mul(total, "%tid"), threads)
    hi = f.div(f.mul(total, f.add("%tid", 1)), threads)
    return lo, hi if most is None else f.smin(hi, total)


def deal(
    e: Emitter,
    loops: Sequence[tuple[Node, Stride]],
    body: Callable[[list[Operand]], None],
    within: Sequence[Operand | int] = (),
    most: int | None = None,
) -> None:
    """Write `body` for each unit of this thread; at most so many threads have any. A unit is a
    value of each loop's variable, which is bound, and a place in each further count, for `body`."""
    f = e.fn
    counts = [*(size(e, extent) for _, extent in loops), *within]
    lo, hi = share(e, product(f, counts), most)

    def unit(number: Operand, _: list[Operand]) -> None:
        scope = e.open(f.region)
        places = digits(f, number, counts)
        for (variable, _extent), place in zip(loops, places):
            e.bindings[variable] = Binding(place, 0, scope)
        body(places[len(loops) :])
        e.close()

    f.counted(lo, hi, 1, unit)
