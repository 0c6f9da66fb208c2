"""How much a loop nest does: floating-point operations, and bytes that it reads and writes.

Counted from the loops as they are written: what fusion computes twice counts once, what lies in a
cache counts as read. Must not know how a kernel runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ..ir.node import Node
from ..ir.transform import TENSOR_OPS, body_nodes
from .fuse import stored_behind
from .sizes import size_of, value

# Operations that count as one each; a comparison, a choice, a conversion and a sign do not.
_COUNTED = frozenset((
    "add", "sub", "mul", "div", "floordiv", "mod", "pow", "maximum", "minimum", "exp", "expm1",
    "log", "log1p", "sqrt", "sin", "cos", "tan", "tanh", "erf",
))  # fmt: skip


class Work(NamedTuple):
    """Floating-point operations, bytes read, bytes written."""

    flop: float = 0.0
    read: float = 0.0
    written: float = 0.0

    @property
    def bytes(self) -> float:
        """Bytes moved."""
        return self.read + self.written

    def plus(self, other: Work) -> Work:
        """Both together."""
        return Work(*(a + b for a, b in zip(self, other, strict=True)))


def flop(nest: Node, n: int | None = None) -> float:
    """Floating-point operations of a loop nest: each operation once for each combination of the
    variables that it depends on, each term of a reduction once more.

    n: the value of the runtime size. Where a term is asked for at column ≤ row only, half count.
    """
    if nest.op not in ("loops", "scan"):
        return 0.0
    order = [node for node in body_nodes(nest.src[0]) if node.op not in TENSOR_OPS]
    extent = _extents(order, nest.shape, n)
    free: dict[Node, frozenset[object]] = {}
    for node in order:
        scalars = [free[s] for s in node.src if s.op not in TENSOR_OPS]
        found: frozenset[object] = frozenset().union(*scalars)
        if node.op in ("out", "red"):
            found = frozenset(((node.op, node.arg),))
        elif node.op == "carry":
            found = frozenset(("out", i) for i in range(nest.ndim))
        elif node.op == "reduce":
            found -= {("red", uid) for uid, _ in node.arg[1]}
        free[node] = found
    share = {nest.src[0]: 1.0}  # of the combinations, those that are asked for
    total = 0.0
    for node in reversed(order):
        here = share.get(node, 1.0)
        for i, s in enumerate(node.src):
            half = _triangle(node, extent) if i == 1 else 1.0
            share[s] = max(share.get(s, 0.0), here * half)
        if node.op == "reduce" and node.src[0].dtype.is_float:
            terms = free[node.src[0]] | {("red", uid) for uid, _ in node.arg[1]}
            total += _product(extent, terms) * here * _triangle(node.src[0], extent)
        elif node.op in _COUNTED and node.dtype.is_float:
            total += _product(extent, free[node]) * here
    return total


def _extents(
    nodes: Iterable[Node], shape: tuple[int, ...], n: int | None
) -> dict[object, float]:
    """The extent of each variable of a body."""
    found: dict[object, float] = {
        ("out", i): value(size_of(s), n) for i, s in enumerate(shape)
    }
    for node in nodes:
        for uid, size in node.arg[1] if node.op == "reduce" else ():
            found["red", uid] = value(size_of(size), n)
    return found


def _product(extent: dict[object, float], variables: Iterable[object]) -> float:
    count = 1.0
    for v in variables:
        count *= extent.get(v, 1.0)
    return count


def _triangle(choice: Node, extent: dict[object, float]) -> float:
    """1/2 for a choice that asks for one side of a diagonal (compares two variables of one
    extent), else 1."""
    if choice.op != "where":
        return 1.0
    condition = choice.src[0]
    names = [(s.op, s.arg) for s in condition.src]
    plain = condition.op in ("lt", "le") and all(op in ("out", "red") for op, _ in names)
    return 0.5 if plain and extent.get(names[0]) == extent.get(names[1]) != 1 else 1.0


def read_by(
    bodies: Iterable[tuple[Node, tuple[int, ...]]], made: Iterable[Node], n: int | None = None
) -> float:
    """Bytes read by loop nests that share a kernel: (body, shape) of each; `made`: tensors that
    they make themselves. Each other tensor is read once, or as often as it is asked for, if that
    is less."""
    made = {stored_behind(t) for t in made}
    asked: dict[Node, float] = {}
    for body, shape in bodies:
        nodes = body_nodes(body)
        extent = _extents(nodes, shape, n)
        for node in nodes:
            if node.op != "read" or stored_behind(node.src[0]) in made:
                continue
            inside = [v for ix in node.src[1:] for v in body_nodes(ix) if v.op in ("out", "red")]
            times = _product(extent, {(v.op, v.arg) for v in inside})
            base = stored_behind(node.src[0])
            asked[base] = asked.get(base, 0.0) + times
    return sum(min(times, elements(t, n)) * t.dtype.itemsize for t, times in asked.items())


def elements(tensor: Node, n: int | None = None) -> float:
    """The number of a tensor's elements."""
    count = 1.0
    for size in tensor.shape:
        count *= value(size_of(size), n)
    return count
