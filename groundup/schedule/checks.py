"""Which steps of a plan are the first to check an index that comes from data: the others only look
at what those have seen. Must not know kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..ir.node import Node, carry, out, red
from ..ir.transform import body_nodes, substitute
from .fuse import Group, stored_behind
from .lower import affine

if TYPE_CHECKING:
    from .steps import Step

# A tensor, the index that is computed from each of its elements (`carry` in it), and the size that
# this must stay below.
Seen = tuple[Node, Node, int]


def first_checks(steps: Sequence[Step]) -> list[Step]:
    """The steps that check, without those whose every index is an element of a tensor that another
    one checks wholly, against the same size. (The derivative of a gather may read as it did.)"""
    seen: set[Seen] = set()
    first: list[Step] = []
    for step in steps:
        if not step.checks:
            continue
        asked = [_asked(g) for g in step.groups]
        known = [k for each in asked if each is not None for k in each]
        if not step.groups or None in asked or not known or not seen.issuperset(known):
            first.append(step)
            for group in step.groups:
                seen |= _wholly(group)
    return first


def _indices(body: Node) -> list[tuple[Node, Node | int]]:
    """(index, size) of all that may have to be checked."""
    found: list[tuple[Node, Node | int]] = []
    for n in body_nodes(body):
        if n.op == "checked":
            found.append((n.src[0], n.src[1]))
        elif n.op == "read":
            for ix, size in zip(n.src[1:], n.src[0].shape):
                if ix.op != "checked" and affine(ix) is None:
                    found.append((ix, size))
    return found


def _element(index: Node, size: Node | int) -> tuple[Node, Seen] | None:
    """The one element of a tensor that an index depends on, and what is checked."""
    if isinstance(size, Node):
        if size.op != "const":
            return None
        size = int(size.value)
    nodes = body_nodes(index)
    reads = [n for n in nodes if n.op == "read"]
    if len(reads) != 1 or type(size) is not int:
        return None
    (reading,) = reads
    computed = substitute(index, {reading: carry(reading.dtype)})
    if any(not n.src and n.op not in ("const", "carry") for n in body_nodes(computed)):
        return None
    return reading, (stored_behind(reading.src[0]), computed, size)


def _asked(group: Group) -> set[Seen] | None:
    """What a group checks elements of; None if it also checks other things."""
    found = [_element(*pair) for pair in _indices(group.body)]
    return None if None in found else {f[1] for f in found if f is not None}


def _wholly(group: Group) -> set[Seen]:
    """The tensors of which a group checks every element, whatever their values."""
    nodes = body_nodes(group.body)
    sizes: dict[Node, int] = {out(i): s for i, s in enumerate(group.shape)}
    for n in nodes:
        if n.op == "reduce":
            sizes.update((red(i), e) for i, e in n.arg[1])
    guarded = {m for n in nodes if n.op == "where" for s in n.src[1:] for m in body_nodes(s)}
    found: set[Seen] = set()
    for index, size in _indices(group.body):
        element = _element(index, size)
        if element is None or index in guarded:
            continue
        reading, what = element
        at, shape = reading.src[1:], reading.src[0].shape
        variables = [v for v, s in zip(at, shape) if s != 1 or v.op != "const"]
        whole = len(set(variables)) == len(variables) and all(
            v in sizes and sizes[v] == s for v, s in zip(at, shape) if v in variables
        )
        if whole:
            found.add(what)
    return found
