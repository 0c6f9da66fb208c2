"""Splits a tensor whose fastest axis has two positions that are computed in different ways (the
parts of complex numbers, what `stack` makes of two) into these: both are computed in one pass over
the other axes, from what they share, and laid alternately.

Must not know tiles or loops.
"""

from __future__ import annotations

from ..ir import dtype as dt
from ..ir.node import Node, const, out, red
from ..ir.transform import body_nodes, substitute
from .order import fastest
from .residue import Part
from .sizes import Span

_COMPARED = frozenset(("lt", "le", "eq", "ne"))


def differ(body: Node, axis: int) -> bool:
    """Are the positions along an axis computed in different ways, or from sums along pairs that
    follow each other?"""
    here = out(axis)
    for n in body_nodes(body):
        if n.op in _COMPARED and here in n.src:
            return True
        if n.op == "reduce" and "lanes" in n.arg[2]:
            last = red(n.arg[1][-1][0])
            reads = [r for r in body_nodes(n.src[0]) if r.op == "read" and r.src[-1] is here]
            if any(last in body_nodes(fastest(r, Span())) for r in reads):
                return True
    return False


def halves(shape: tuple[int, ...], body: Node, axis: int) -> list[Part]:
    """The two parts along an axis."""
    size, step = list(shape), [1] * len(shape)
    size[axis], step[axis] = 1, 2
    found = []
    for k in (0, 1):
        start = [0] * len(shape)
        start[axis] = k
        here = substitute(body, {out(axis): const(k, dt.int64)})
        found.append(Part(tuple(size), tuple(start), tuple(step), here))
    return found
