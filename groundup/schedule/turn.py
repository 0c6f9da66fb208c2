"""Tensors that a loop nest should read from a copy with another axis innermost.

Vectors lie along the loop in which the result is contiguous. A table of points, x[j, f], has its
coordinates together instead: its few elements are read again and again, each vector from as many
lines as it has lanes. Must not know kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from ..ir.node import Node, out
from ..ir.transform import body_nodes
from .fuse import Group
from .lower import Memory
from .sizes import Size, row_major_strides, size_of, value

OFTEN = 8  # reads of an element that pay for its copy, which is as slow as one of them
NEAR = 1 << 20  # bytes of a table: a larger one is not read again and again from the caches


def turned(
    group: Group, target: Memory, memory: Mapping[Node, Memory], width: int
) -> dict[Node, int]:
    """Which tensors to copy, each with the axis to lie together."""
    if group.node.op != "loops" or not group.reductions:
        return {}
    along = [
        i for i, s in enumerate(target.strides) if s == 1 and value(size_of(group.shape[i])) > 1
    ]
    if len(along) != 1 or value(size_of(group.shape[along[0]])) < width:
        return {}
    lanes = out(along[0])
    loops = prod(value(size_of(s)) for s in group.shape)
    terms: dict[Node, int] = {}  # of the sums around each read, together
    for r in group.reductions:
        count = prod(value(size_of(e)) for _, e in r.arg[1])
        if value(size_of(r.arg[1][-1][1])) >= width and "seq" not in r.arg[2]:
            return {}  # its vectors lie along its terms
        for n in body_nodes(r.src[0]):
            if n.op == "read":
                terms[n] = terms.get(n, 1) * count
    found: dict[Node, int] = {}
    for tensor, reads in group.reads.items():
        axes = {
            i for n in reads for i, ix in enumerate(n.src[1:])
            if lanes in body_nodes(ix) and value(_strides(tensor, memory)[i]) != 0
        }  # fmt: skip
        inside = [n for n in reads if n in terms and any(ix is lanes for ix in n.src[1:])]
        elements = prod(value(size_of(s)) for s in tensor.shape)
        if (
            len(axes) != 1 or not inside or not elements or elements * tensor.dtype.itemsize > NEAR
            or loops * max(terms[n] for n in inside) < OFTEN * elements
        ):  # fmt: skip
            continue
        (axis,) = axes
        if value(_strides(tensor, memory)[axis]) > 1:
            found[tensor] = axis
    return found


def _strides(tensor: Node, memory: Mapping[Node, Memory]) -> tuple[Size, ...]:
    """How far apart the elements of each axis lie."""
    known = memory.get(tensor)
    if known is not None:
        return known.strides
    return row_major_strides(tuple(size_of(s) for s in tensor.shape))
