"""Reductions whose value a derivative needs become tensors of their own.

Without that a derivative would compute the whole reduction again for each element, at quadratic
cost. Must not know which derivative is taken.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..ir.interval import stays_inside
from ..ir.node import Node, loops, out, read
from ..ir.transform import TENSOR_OPS, body_nodes, free_variables, substitute


def active_nodes(nodes: list[Node]) -> set[Node]:
    """Of scalar nodes in order, sources first: those that a derivative may flow through."""
    active: set[Node] = set()
    for node in nodes:
        if node.op in TENSOR_OPS or not node.dtype.is_float:
            continue
        if node.op == "read":
            if node.src[0].tracked:
                active.add(node)
        elif any(s in active for s in node.src):
            active.add(node)
    return active


def split(node: Node) -> Node:
    """The same tensor, where every reduction used other than linearly is read from a tensor."""
    body = node.src[0]
    nodes = body_nodes(body)
    reductions = [n for n in nodes if n.op == "reduce"]
    if not reductions or reductions == [body]:
        return node
    active = active_nodes(nodes)
    linear = {body: True}
    for n in reversed(nodes):
        for i, s in enumerate(n.src):
            linear[s] = linear.get(s, True) and linear[n] and _linear(n, i, active)
    sizes = {out(i): size for i, size in enumerate(node.shape)}
    sizes.update(_bound(reductions))
    parts = {n: stored(n, sizes) for n in reductions if not linear[n]}
    return loops(node.shape, substitute(body, parts))


def _bound(reductions: list[Node]) -> dict[Node, int]:
    """The reduction variables of a body; where siblings share one, its greatest extent."""
    from ..ir.node import red

    sizes: dict[Node, int] = {}
    for n in reductions:
        for uid, size in n.arg[1]:
            if int(size) > int(sizes.get(red(uid), 0)):
                sizes[red(uid)] = size
    return sizes


def _linear(node: Node, i: int, active: set[Node]) -> bool:
    """Is the derivative by operand i independent of that operand's value?"""
    op = node.op
    if op in ("add", "sub", "neg", "cast"):
        return True
    if op == "where":
        return i > 0
    if op == "mul":
        return node.src[1 - i] not in active
    if op == "div":
        return i == 0 and node.src[1] not in active
    return op == "reduce" and node.arg[0] == "sum"


def stored(x: Node, sizes: Mapping[Node, int]) -> Node:
    """A scalar expression of some variables as a read of a tensor that holds all its values.

    It stays as it is when evaluating it everywhere could read outside a tensor.
    """
    free = free_variables(x)
    variables = [v for v in sizes if v in free]
    if len(variables) != len(free):
        return x
    shape = tuple(sizes[v] for v in variables)
    body = substitute(x, {v: out(i) for i, v in enumerate(variables)})
    if not stays_inside(body, shape):
        return x
    return read(loops(shape, body), *variables)
