"""Scans as kernels: which loops are vectorised or run side by side, and dealt out to threads.

Along the axis one element follows the other, so all that may run at once are other elements. Must
not know what is carried.
"""

from __future__ import annotations

from ..emit.kernel import Output, Scan
from ..ir import dtype as dt
from ..ir.node import Node, carry, const, out
from ..ir.transform import body_nodes, substitute
from .fuse import Group
from .lower import Lowering, Memory, Raw
from .nests import SERIAL, Parameters, access, finish
from .sizes import value

ROWS, VECTORS = 8, 4  # side by side: scalar rows hide the latency of one operation


def build(
    group: Group, target: Memory, memory: dict[Node, Memory], width: int
) -> tuple[Scan, Parameters, bool, Memory, Group, list[tuple[int, tuple[int, ...], str | None]]]:
    """What a step is made of: kernel, parameters, whether threads share it, …"""
    axis, reverse = group.node.arg
    units = [d for d, s in enumerate(target.shape) if d != axis and type(s) is int and s == 1]
    body = substitute(group.body, {out(d): const(0, dt.int64) for d in units})
    low = Lowering(group.shape, body, memory)
    params = Parameters()
    others = [d for d in range(len(target.shape)) if d != axis and d not in units]
    others.sort(key=lambda d: -value(target.strides[d]))
    vector = bool(others) and target.strides[others[-1]] == 1
    terms = tuple((out(d), target.strides[d]) for d in (*others, axis))
    output = Output(finish(low.result, params), access(
        Raw(target.ref, 0, terms, False, False), params))  # fmt: skip
    kernel = Scan(
        tuple((out(d), params.size(target.shape[d])) for d in others), vector,
        (out(axis), params.size(target.shape[axis])), reverse, carry(group.node.dtype),
        group.node.src[1], output, VECTORS if vector else ROWS, width,
    )  # fmt: skip
    work = len(body_nodes(body))
    for s in target.shape:
        work *= value(s)
    return kernel, params, bool(others) and work >= SERIAL, target, group, low.checks
