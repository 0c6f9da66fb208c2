"""How much a loop nest does: floating-point operations, and bytes that it reads and writes.

Counted from the loops as they are written: what fusion computes twice counts once, what lies in a
cache counts as read. Must not know how a kernel runs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import NamedTuple

from ..ir.node import Node
from ..ir.scalar import Number, apply
from ..ir.transform import TENSOR_OPS, body_nodes, toposort
from .fuse import stored_behind
from .sizes import size_of, value

# Operations that count as one each; a comparison, a choice, a conversion and a sign do not.
_COUNTED = frozenset((
    "add", "sub", "mul", "div", "floordiv", "mod", "pow", "maximum", "minimum", "exp", "expm1",
    "log", "log1p", "sqrt", "sin", "cos", "tan", "tanh", "erf",
    "erfc", "exp2", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh", "lgamma",
    "atan2", "hypot", "fmod",
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
    """Floating-point operations of a loop nest, of all types (see `flop_by_type`)."""
    return sum(flop_by_type(nest, n).values())


def flop_by_type(nest: Node, n: int | None = None) -> dict[str, float]:
    """Floating-point operations of a loop nest by the arithmetic that they need, float32, float64,
    or bfloat16 for sums of products of that (smaller types are computed in float32): each
    operation once for each combination of the variables that it depends on, each term of a
    reduction once more.

    n: the value of the runtime size. Terms beyond an edge or a diagonal, for which nobody asks, do
    not count.
    """
    if nest.op not in ("loops", "scan"):
        return {}
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
    halves = {f for n in order if _of_halves(n) for f in (n, *_products(n.src[0]))}
    share = {nest.src[0]: 1.0}  # of the combinations, those that are asked for
    total: dict[str, float] = {}
    for node in reversed(order):
        here = share.get(node, 1.0)
        for i, s in enumerate(node.src):
            asked = _asked(node, extent) if i == 1 else 1.0
            share[s] = max(share.get(s, 0.0), here * asked)
        if node.op == "reduce" and node.src[0].dtype.is_float:
            terms = free[node.src[0]] | {("red", uid) for uid, _ in node.arg[1]}
            count = _product(extent, terms) * here * _asked(node.src[0], extent)
        elif node.op in _COUNTED and node.dtype.is_float:
            count = _product(extent, free[node]) * here
        else:
            continue
        kind = "bfloat16" if node in halves else _ARITHMETIC.get(node.dtype.name, "float32")
        total[kind] = total.get(kind, 0.0) + count
    return total


_ARITHMETIC = {"float64": "float64"}


def _of_halves(node: Node) -> bool:
    """Is this a sum of products of bfloat16?"""
    return node.op == "reduce" and node.arg[2].startswith("dot16")


def _products(term: Node) -> list[Node]:
    """The product that a term is, where conditions hold."""
    while term.op == "where":
        term = term.src[1]
    return [term] if term.op == "mul" else []


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


def _asked(choice: Node, extent: dict[object, float]) -> float:
    """The share of combinations for which a choice asks for its first branch, where that follows
    from variables alone: an edge, a diagonal, a step."""
    if choice.op != "where":
        return 1.0
    conditions: list[Node] = []
    stack = [choice.src[0]]
    while stack:
        c = stack.pop()
        if c.op == "and":
            stack += c.src
        elif all(n.op in _PLAIN for n in body_nodes(c)):
            conditions.append(c)
    share = 1.0
    groups: list[tuple[set[Node], list[Node]]] = []  # (variables, conditions on them)
    for c in conditions:
        variables, together = {n for n in body_nodes(c) if n.op in ("out", "red")}, [c]
        apart = []
        for group in groups:
            if group[0].isdisjoint(variables):
                apart.append(group)
            else:
                variables, together = variables | group[0], together + group[1]
        groups = [*apart, (variables, together)]
    for variables, together in groups:
        share *= _share(sorted(variables, key=lambda v: (v.op, v.arg)), together, extent)
    return share


_PLAIN = {
    "out", "red", "const", "add", "sub", "mul", "floordiv", "mod", "neg", "lt", "le", "eq", "ne",
    "or", "not",
}  # fmt: skip
_FEW = 20_000  # combinations that are tried one by one


def _share(
    variables: list[Node], conditions: list[Node], extent: dict[object, float]
) -> float:
    """The share of the variables' combinations for which all conditions hold."""
    sizes = [int(extent.get((v.op, v.arg), 1)) for v in variables]
    count = math.prod(sizes)
    (first, *rest) = conditions
    pair = not rest and len(variables) == 2 and set(first.src) == set(variables)
    if pair and first.op in ("lt", "le") and sizes[0] == sizes[1] > 0:  # one side of a diagonal
        return (sizes[0] + (1 if first.op == "le" else -1)) / (2 * sizes[0])
    if not 0 < count <= _FEW:
        return 1.0
    order = [n for n in toposort(conditions) if n not in variables]
    held = 0
    for place in itertools.product(*map(range, sizes)):
        known: dict[Node, Number] = dict(zip(variables, place, strict=True))
        for n in order:
            values = tuple(known[s] for s in n.src)
            dtype = n.src[0].dtype if n.src else n.dtype
            known[n] = n.value if n.op == "const" else apply(n.op, dtype, values)
        held += all(known[c] for c in conditions)
    return held / count


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
