"""The derivative of a scan: another scan, from the other end.

With h[t] = f(h[t-1], x[t]), what h[t] contributes to the result is
l[t] = g[t] + l[t+1] · df/dh at t+1: again each element from its neighbour. Must not know which f.
"""

from __future__ import annotations

from collections.abc import Callable

from ..ir.node import Node, alu, carry, const, extent, index, loops, outs, read, scan, where
from ..ir.recipe import placeholder, record
from ..ir.transform import body_nodes, substitute
from .rules import RULES, guarded, is_number, number, peel, times

Through = Callable[[Node, Node, Node], list[tuple[Node, Node]]]


def through_scan(tensor: Node, total: Node, through: Through) -> list[tuple[Node, Node]]:
    """(tensor read, its gradient) for a scan; `through(nest, gradient, value)` for a loop nest."""
    holder = placeholder(-1, tensor)
    holder.tracked = False  # its own derivative is accounted for by the scan backwards
    before = neighbour(tensor, holder, back=True)
    nest = loops(tensor.shape, substitute(tensor.src[0], {carry(tensor.dtype): before}))
    seen = _contributed(tensor, total, before)
    parts = through(nest, seen, holder)
    if not parts:
        return []
    results = [n for pair in parts for n in pair]
    # Given as well, to be found as they are: what the scan reads, and what comes to it.
    read_there = [n.src[0] for n in body_nodes(tensor.src[0]) if n.op == "read"]
    known = list(dict.fromkeys([*read_there, total]))
    found = record([holder, *known], results).follow([tensor, *known])
    return list(zip(found[::2], found[1::2], strict=True))


def neighbour(tensor: Node, of: Node, back: bool, absent: Node | None = None) -> Node:
    """The element of a tensor before (or after) this one in a scan's order, as a body."""
    axis, reverse = tensor.arg
    variables = outs(tensor.ndim)
    here = variables[axis]
    earlier = back != reverse
    step = alu("add", here, index(-1 if earlier else 1))
    end = alu("sub", extent(tensor.shape[axis]), index(1))
    exists = alu("lt", index(0), here) if earlier else alu("lt", here, end)
    value = read(of, *variables[:axis], step, *variables[axis + 1 :])
    return where(exists, value, tensor.src[1] if absent is None else absent)


def _contributed(tensor: Node, total: Node, before: Node) -> Node:
    """What each element of a scan contributes to the result, itself and through later ones."""
    body = tensor.src[0]
    axis, reverse = tensor.arg
    slope = _slope(body, carry(tensor.dtype))
    if slope is None:
        return total
    running = carry(tensor.dtype)
    if is_number(slope, 1):
        term = running
    else:
        slopes = loops(tensor.shape, substitute(slope, {carry(tensor.dtype): before}))
        zero = number(0, slope)
        after = neighbour(tensor, slopes, back=False, absent=zero)
        term = times(after, running)
    body = alu("add", read(total, *outs(tensor.ndim)), term)
    return scan(tensor.shape, axis, body, const(0, tensor.dtype), not reverse)


def _slope(body: Node, variable: Node) -> Node | None:
    """The derivative of a scalar expression by one variable; None if it does not depend on it."""
    order = body_nodes(body)
    active = {variable}
    for n in order:
        if n.dtype.is_float and n.op != "read" and any(s in active for s in n.src):
            active.add(n)
    if body not in active:
        return None
    adjoints: dict[Node, Node] = {body: number(1, body)}
    for n in reversed(order):
        g = adjoints.get(n)
        if g is None or n is variable:
            continue
        guards, core = ([], g) if n.op == "where" else peel(g)
        for s, part in zip(n.src, RULES[n.op](n, core), strict=True):
            if part is not None and s in active:
                part = guarded(guards, part)
                adjoints[s] = alu("add", adjoints[s], part) if s in adjoints else part
    return adjoints.get(variable)
