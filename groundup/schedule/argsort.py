"""Sorting as a kernel: how it is done, and the memory it needs beside.

A short row, or one of which little is wanted, keeps the best while it is read; else all of it is
put in order by its digits. Must not know what the order is for.
"""

from __future__ import annotations

from typing import Any

from ..emit.kernel import Argsort, scratch_words
from ..ir.node import Node, out
from ..ir.transform import body_nodes
from .fuse import Group
from .lower import Lowering, Memory, Raw
from .nests import SERIAL, Parameters, access, finish
from .sizes import Size, add, mul, size_of, total, value

FEW = 32  # so many are kept in order by comparing each element with all of them
SLOTS = 32  # threads that take part at most


def build(group: Group, target: Memory, memory: dict[Node, Memory], scratch: object) -> Any:
    """What a step is made of, and the bytes of its scratch memory."""
    axis, descending, count = group.node.arg
    low = Lowering(group.shape, group.body, memory)
    params = Parameters()
    others = [d for d in range(len(target.shape)) if d != axis]
    others.sort(key=lambda d: -value(target.strides[d]))
    terms = tuple((out(d), target.strides[d]) for d in (*others, axis))
    n, rows = size_of(group.shape[axis]), total([target.shape[d] for d in others])
    wanted: Size = n if count is None else count
    few = wanted if type(wanted) is int and wanted <= FEW else 0
    slots = min(SLOTS, max(1, rows)) if type(rows) is int else SLOTS
    where_to = access(Raw(target.ref, 0, terms, False, False), params)
    kernel = Argsort(
        tuple((out(d), params.size(target.shape[d])) for d in others),
        (out(axis), params.size(n)), params.size(wanted), descending, few,
        finish(low.result, params), where_to, params.pointer(scratch), slots,
    )  # fmt: skip
    head, each = scratch_words(group.body.dtype)
    words = add(mul(add(n, 1), each), head)
    work = 20 * value(n) * value(rows) * len(body_nodes(group.body))
    parallel = rows != 1 and work >= SERIAL
    return kernel, params, parallel, target, group, low.checks, mul(words, 8 * slots)
