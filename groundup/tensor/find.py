"""Finds the first operation that made a NaN or an infinity, by computing a graph bit by bit.

Must not know derivatives.
"""

from __future__ import annotations

import math

from ..ir.node import Node
from ..ir.transform import TENSOR_OPS, body_nodes, toposort
from . import storage as store
from .core import Core
from .engine import compute
from .errors import shape_text
from .storage import Storage


def first_nonfinite(x: Core) -> str | None:
    """Which operation first made a NaN or an infinity on the way to x, with its line; else None.

    Every tensor that x was computed from (as far back as x remembers) is computed anew and looked
    at, sources first.

    >>> bad = (gu.tensor([1.0, 0.0]).log() + 1).sum()
    >>> print(gu.first_nonfinite(bad))  # doctest: +ELLIPSIS
    log made -inf at [1] of a tensor of shape (2,)...
    """
    store.asked("first_nonfinite()")
    for node in toposort([x.node]):
        if node.op not in TENSOR_OPS or not node.dtype.is_float:
            continue
        if node.op not in ("buffer", "loops"):
            continue
        found = _nonfinite(node)
        if found is None:
            continue
        value, place = found
        where = f"{value} at {place} of a tensor of shape {shape_text(node.shape)}"
        if node.op == "buffer":
            return f"the data itself holds {where}"
        return f"{_name(node)} made {where}" + (f", at {node.line}" if node.line else "")
    return None


def _nonfinite(node: Node) -> tuple[float, list[int]] | None:
    (buffer,) = compute([node])
    values = Storage(node.shape, node.dtype, buffer=buffer).values()
    for i, v in enumerate(values):
        if not math.isfinite(v):
            place = []
            for size in reversed(node.shape):
                place.append(i % int(size))
                i //= int(size)
            return v, place[::-1]
    return None


def _name(node: Node) -> str:
    """What an operation is called: the functions in its body."""
    dull = {"read", "out", "red", "const", "extent", "cast", *TENSOR_OPS}
    names = [
        n.arg[0] if n.op == "reduce" else n.op
        for n in body_nodes(node.src[0])
        if n.op not in dull and (n.dtype.is_float or n.op == "reduce")
    ]
    return " · ".join(dict.fromkeys(names)) or "a copy"
