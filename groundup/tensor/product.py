"""Sums of products of more than two tensors, or of what is computed from them, as sums of products
of two, which run in register tiles: (a[i, k].exp() * b[k, j] / s[i]).sum(k).

What all terms share goes after the sum, Σ c·x = c·Σ x; factors that depend on some of the axes only
are multiplied once, as a tensor of their own, and not again for each of the other axes. Must not
know how a sum of products is run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from ..ir import node as ir
from ..ir.extent import product
from ..ir.node import Node
from ..ir.transform import body_nodes, widens
from .notation import Axis, Indexed, postorder
from .recur import stored

if TYPE_CHECKING:
    from .lower import Lowering

T = TypeVar("T")
WORTH = 4  # times that a factor is used: a tensor of its own is written and read once more


def factors_apart(source: Indexed, axes: Sequence[Axis]) -> tuple[Indexed, ...]:
    """The tensors read by the terms of a sum over `axes`, if `as_product` may take it apart."""
    found: list[Indexed] = []
    todo = [source]
    while todo:
        tree = todo.pop()
        if tree.op == "binary" and tree.arg == "mul":
            todo += tree.src
        elif tree.op == "binary" and tree.arg == "div" and not _any(axes, tree.src[1].free):
            todo.append(tree.src[0])
        elif _any(axes, tree.free):
            found.append(tree)
    if _two_groups(found, [tree.free for tree in found]) is None:
        return ()
    reads = {id(t): t for tree in found for t in postorder(tree) if t.op == "read"}
    return tuple(reads.values())


def as_product(
    low: Lowering, term: Node, axes: Sequence[Axis]
) -> tuple[Node, list[tuple[str, Node]]] | None:
    """The term of a sum over `axes` as a product of two reads, and what the sum is then multiplied
    ("mul") or divided ("div") by; None where it is none, or would not gain by it.

    The sum must have terms: without any it is 0, also times a NaN.
    """
    if not term.dtype.is_float or low.guarded or low.scans:
        return None  # a condition around it may be what keeps a read inside its tensor
    summed = {ir.axis(a) for a in axes}
    shared: list[tuple[str, Node]] = []
    left: list[Node] = []
    todo = [term]
    while todo:
        node = todo.pop()
        if node.op == "mul":
            todo += reversed(node.src)
        elif node.op == "div" and summed.isdisjoint(body_nodes(node.src[1])):
            todo.append(node.src[0])
            shared.append(("div", node.src[1]))
        elif summed.isdisjoint(body_nodes(node)):
            shared.insert(0, ("mul", node))
        else:
            left.append(node)
    if any(n.op in ("reduce", "carry") for f in left for n in body_nodes(f)):
        return None
    free = [_axes(f) for f in left]
    groups = _two_groups(left, free, low.size)
    if groups is None:
        return None
    volume = product([low.size[a] for a in set().union(*free)])
    pair: list[Node] = []
    for group in groups:
        factor = group[0]
        for other in group[1:]:
            factor = ir.alu("mul", factor, other)
        if not _as_it_is(factor):
            own = product([low.size[a] for a in _axes(factor)])
            if volume < WORTH * own or _slides(factor):
                return None
            factor = stored(low, factor)
        pair.append(factor)
    return ir.alu("mul", *pair), shared


def _as_it_is(factor: Node) -> bool:
    """Can a sum of products read this factor: an element, or 0 beyond an edge, perhaps widened?"""
    while factor.op == "where" and factor.src[2].op == "const" and factor.src[2].value == 0:
        factor = factor.src[1]
    return (factor.src[0] if widens(factor) else factor).op == "read"


def _slides(factor: Node) -> bool:
    """Does it read through a window? As a tensor of its own each element would be there for each
    place of the window."""
    reads = [n for n in body_nodes(factor) if n.op == "read"]
    return any(len(_axes(index)) > 1 for n in reads for index in n.src[1:])


def _axes(body: Node) -> set[Axis]:
    return {n.arg for n in body_nodes(body) if n.op == "axis"}


def _two_groups(
    factors: Sequence[T], free: Sequence[Collection[Axis]], size: Mapping[Axis, int] | None = None
) -> list[list[T]] | None:
    """Factors in two groups, each of which depends on fewer axes than both; None where they cannot
    be grouped so. One that fits in both goes to the smaller, as far as sizes are known."""
    groups: list[list[T]] = []
    known: list[Collection[Axis]] = []
    rest: list[int] = []
    for n in sorted(range(len(factors)), key=lambda n: -len(free[n])):
        if any(set(free[n]).issubset(k) for k in known):
            rest.append(n)
            continue
        if len(groups) == 2:
            return None
        groups.append([factors[n]])
        known.append(free[n])
    if len(groups) < 2:
        return None
    for n in rest:
        fit = [g for g in (0, 1) if set(free[n]).issubset(known[g])]
        if size is not None:
            fit.sort(key=lambda g: product([size[a] for a in known[g]]))
        groups[fit[0]].append(factors[n])
    return groups


def _any(axes: Sequence[Axis], free: Collection[object]) -> bool:
    return any(a in free for a in axes)
