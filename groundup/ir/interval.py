"""Intervals of index expressions: which integers an int64 expression of one body can be.

Extents count with their value in the graph at hand. Must not know what an index is used for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .dtype import int64
from .node import Node
from .transform import TENSOR_OPS, body_nodes

Interval = tuple[int, int]
FULL: Interval = (int64.min, int64.max)


def intervals(body: Node, shape: Sequence[int]) -> dict[Node, Interval]:
    """For each int64 node of a body inside loops of `shape`: the least and the greatest value.

    An operation that could leave int64 (and so wrap) gets all of int64.
    """
    nodes = body_nodes(body)
    bound: dict[int, int] = {}  # a variable's greatest extent; siblings may share an id
    for node in nodes:
        if node.op == "reduce":
            for uid, size in node.arg[1]:
                bound[uid] = max(bound.get(uid, 1), int(size))
    result: dict[Node, Interval] = {}
    for node in nodes:
        if node.dtype is int64 and node.op not in TENSOR_OPS:
            result[node] = _one(node, result, shape, bound)
    return result


def _one(
    node: Node, known: dict[Node, Interval], shape: Sequence[int], bound: dict[int, int]
) -> Interval:
    op = node.op
    if op in ("const", "extent"):
        return int(node.value), int(node.value)
    if op == "out":
        return 0, max(0, int(shape[node.arg]) - 1) if node.arg < len(shape) else FULL[1]
    if op == "red":
        return (0, bound[node.arg] - 1) if node.arg in bound else FULL
    if op == "checked":
        return 0, max(0, known[node.src[1]][1] - 1)
    if op == "where":
        (a, b), (c, d) = known[node.src[1]], known[node.src[2]]
        return min(a, c), max(b, d)
    if op == "reduce":
        if node.arg[0].startswith("arg"):
            count = 1
            for _, size in node.arg[1]:
                count *= int(size)
            return 0, max(0, count - 1)
        return known[node.src[0]] if node.arg[0] in ("max", "min") else FULL
    if op == "cast":
        source = node.src[0].dtype
        if source.is_float:
            return FULL
        return known[node.src[0]] if source is int64 else (source.min, source.max)
    if op in _RULES and all(s in known for s in node.src):
        low, high = _RULES[op](*(known[s] for s in node.src))
        if FULL[0] <= low and high <= FULL[1]:
            return low, high
    return FULL


def _mul(x: Interval, y: Interval) -> Interval:
    corners = [a * b for a in x for b in y]
    return min(corners), max(corners)


def _floordiv(x: Interval, y: Interval) -> Interval:
    if y[0] <= 0:
        return FULL
    corners = [a // b for a in x for b in y]
    return min(corners), max(corners)


def _mod(x: Interval, y: Interval) -> Interval:
    if y[0] <= 0:
        return FULL
    if x[0] >= 0 and x[1] < y[0]:
        return x
    return 0, y[1] - 1


def _abs(x: Interval) -> Interval:
    top = max(abs(x[0]), abs(x[1]))
    return (0 if x[0] <= 0 <= x[1] else min(abs(x[0]), abs(x[1]))), top


_RULES: dict[str, Callable[..., Interval]] = {
    "add": lambda x, y: (x[0] + y[0], x[1] + y[1]),
    "sub": lambda x, y: (x[0] - y[1], x[1] - y[0]),
    "mul": _mul,
    "neg": lambda x: (-x[1], -x[0]),
    "abs": _abs,
    "maximum": lambda x, y: (max(x[0], y[0]), max(x[1], y[1])),
    "minimum": lambda x, y: (min(x[0], y[0]), min(x[1], y[1])),
    "floordiv": _floordiv,
    "mod": _mod,
}
