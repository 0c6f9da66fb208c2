"""Writes reductions over windows of a few positions (a pool's) out, one term after the other: no
loop, no counter and no test of an edge that the loops around know, and the greatest of a window and
its position find the same terms compared.

The terms are combined in the order and by the operations that a loop would use, so no bit differs.
Must not know loops or memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from ..ir import dtype as dt
from ..ir.node import Node, alu, const, red, where
from ..ir.transform import body_nodes, substitute
from .order import mixes

FEW = 16  # terms
MOST = 400  # nodes of them all


def written_out(body: Node, reductions: Sequence[Node] | None = None) -> Node:
    """The body (with these reductions) with those over small windows as chains of their terms."""
    mapping: dict[Node, Node] = {}
    if reductions is None:
        reductions = [n for n in body_nodes(body) if n.op == "reduce"]
    for node in reductions:
        if _small_window(node):
            mapping[node] = _chain(node)
    return substitute(body, mapping) if mapping else body


def _small_window(node: Node) -> bool:
    """Is this a reduction over a window, of few terms that are numbers of a plain type?"""
    kind, variables, order = node.arg[:3]
    count = 1
    for _, extent in variables:
        if type(extent) is not int:
            return False
        count *= extent
    if not 0 < count <= FEW:
        return False
    term = node.src[0]
    nodes = body_nodes(term)
    if count * len(nodes) > MOST:
        return False
    if term.dtype.kind == "b" or term.dtype.bits < 32 or any(n.op == "reduce" for n in nodes):
        return False
    if order != "seq" and kind not in ("max", "min", "argmax", "argmin"):
        return False
    if any(n.op == "mod" for n in nodes):
        return False  # strided: residue.py leaves fewer terms of it
    names = {i for i, _ in variables}
    return kind != "prod" and any(
        mixes(ix) and any(v.op == "red" and v.arg in names for v in body_nodes(ix))
        for n in nodes if n.op == "read" for ix in n.src[1:]
    )  # fmt: skip


def _chain(node: Node) -> Node:
    kind = node.arg[0]
    terms = _terms(node)
    if kind == "sum":
        total = const(0, node.dtype)
        for term in terms:
            total = alu("add", total, term)
        return total
    best, place = next(terms), const(0, dt.int64)
    greatest = kind in ("max", "argmax")
    for i, x in enumerate(terms, 1):
        if kind.startswith("arg"):
            later = where(_beats(x, best, greatest), const(i, dt.int64), const(0, dt.int64))
            place = alu("maximum", place, later)  # the last that beat those before it
        # The earlier of equal ones stays, as in a loop.
        best = alu("maximum" if greatest else "minimum", x, best)
    return place if kind.startswith("arg") else best


def _beats(x: Node, best: Node, greatest: bool) -> Node:
    """Is x the extreme of the terms so far? The first that is no number is, for good."""
    better = alu("lt", best, x) if greatest else alu("lt", x, best)
    if x.dtype.is_float:
        better = alu("or", better, alu("and", alu("ne", x, x), alu("eq", best, best)))
    return better


def _terms(node: Node) -> Iterator[Node]:
    """The terms in row-major order of the reduction's variables."""
    variables = node.arg[1]
    for values in product(*(range(extent) for _, extent in variables)):
        here = {red(i): const(x, dt.int64) for (i, _), x in zip(variables, values, strict=True)}
        yield substitute(node.src[0], here)
