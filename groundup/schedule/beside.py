"""Splits a tensor that is put together along its fastest axis (what `cat` makes, and the adjoint of
`chunk`) into its pieces: each has loops of its own, and none asks at every element which it is.

Must not know tiles or loops.
"""

from __future__ import annotations

from ..ir import dtype as dt
from ..ir.extent import Extent
from ..ir.node import Node, alu, const, out
from ..ir.pieces import pieces_of
from ..ir.transform import body_nodes, substitute
from .residue import Part

MOST = 8  # pieces; more would be many loops
LEAST = 32  # elements of a piece: fewer are a vector or two, and masks cost no more than loops


def pieces(shape: tuple[int, ...], body: Node, axis: int) -> list[Part]:
    """The parts of a stored tensor along an axis; none where it is not put together along it."""
    if isinstance(shape[axis], Extent) or any(n.op == "reduce" for n in body_nodes(body)):
        return []
    found = pieces_of(body, shape)
    if found is None or found.axis != axis or not 1 < len(found.pieces) <= MOST:
        return []
    if any(p.stop - p.start < LEAST for p in found.pieces):
        return []
    parts = []
    for p in found.pieces:
        here = alu("add", out(axis), const(p.start, dt.int64))
        size, start, step = list(shape), [0] * len(shape), (1,) * len(shape)
        size[axis], start[axis] = p.stop - p.start, p.start
        inside = substitute(p.body, {out(axis): here})
        parts.append(Part(tuple(size), tuple(start), step, inside))
    return parts
