"""Intervals of index expressions: which integers an int64 expression of one body can be, and
whether they keep its reads inside their tensors.

Extents count with their value in the graph at hand. Must not know where a body comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from .dtype import int64
from .node import Node, alu, const, extent
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


def stays_inside(body: Node, shape: Sequence[int], holding: Iterable[Node] = ()) -> bool:
    """Is every read of a body within its tensor, by itself or by the conditions around it?

    The conditions are asked as they stand: `0 <= index` and `index < size` of that very index.
    `holding` are conditions that hold wherever the body is evaluated.
    """
    known = intervals(body, shape)
    zero = const(0, int64)
    outside = frozenset(p for c in holding for p in _parts(c))
    seen: set[tuple[Node, frozenset[Node]]] = set()
    stack: list[tuple[Node, frozenset[Node]]] = [(body, outside)]
    while stack:
        node, around = stack.pop()
        if (node, around) in seen or node.op in TENSOR_OPS:
            continue
        seen.add((node, around))
        if node.op == "where":
            condition, yes, no = node.src
            stack += [(condition, around), (yes, around | _parts(condition)), (no, around)]
            continue
        stack += [(s, around) for s in node.src]
        if node.op == "read":
            for size, ix in zip(node.src[0].shape, node.src[1:], strict=True):
                low, high = known[ix]
                if low < 0 and alu("le", zero, ix) not in around:
                    return False
                if high >= size and alu("lt", ix, extent(size)) not in around:
                    return False
    return True


def _parts(condition: Node) -> frozenset[Node]:
    """The conditions that hold together where one does."""
    if condition.op == "and":
        return _parts(condition.src[0]) | _parts(condition.src[1])
    return frozenset((condition,))


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
