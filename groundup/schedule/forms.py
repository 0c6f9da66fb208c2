"""What a step depends on apart from which memory it is, so that equal layers are lowered once; how
many contractions read a tensor alike.

Must not know kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..ir.extent import symbolic_key
from ..ir.node import Node, red
from ..ir.transform import TENSOR_OPS, product_of, substitute, toposort
from .fuse import Group, stored_behind
from .lower import Memory

if TYPE_CHECKING:
    from .contract import Copies


def form(
    groups: list[Group], targets: list[Memory], memory: dict[Node, Memory],
    copies: Copies, repeats: Mapping[Node, int],
) -> tuple[object, list[Node], list[object]]:  # fmt: skip
    """(what a step depends on, apart from which memory it is; the tensors that it reads; the
    memory, as words).

    Tensors are told apart by how they lie in memory, and by which of them share it.
    """
    words: list[object] = [("pointer", target.ref) for target in targets]
    number: dict[object, int] = {target.ref: i for i, target in enumerate(targets)}
    places: dict[Node, int] = {}
    tensors: list[Node] = []
    parts: list[object] = []
    for g, target in zip(groups, targets, strict=True):
        node = g.node
        parts += [node.op, node.arg, node.dtype, g.shape, symbolic_key(g.shape),
                  target.shape, target.strides]  # fmt: skip
    head = len(parts)
    if len(groups) == 1:
        nodes = groups[0].nodes
    else:
        nodes = toposort([g.body for g in groups], stop=lambda n: n.op in TENSOR_OPS)
    for n in nodes:
        if n.op in TENSOR_OPS:
            tensors.append(n)
            base = stored_behind(n)
            place = memory.get(n) or memory[base]
            if place.ref not in number:
                number[place.ref] = len(words)
                words.append(("pointer", place.ref))
            part: object = (
                n.op, base.op, n.dtype, n.shape, symbolic_key(n.shape), place.shape, place.strides,
                number[place.ref], tuple(copies.get(n, ())),
            )  # fmt: skip
        else:
            part = (n.op, n.dtype, n.arg, repeats.get(n, 1), *[places[s] for s in n.src])
        places[n] = len(parts) - head
        parts.append(part)
    parts.append(tuple(places[g.body] for g in groups))
    return tuple(parts), tensors, words


def repeats(groups: list[Group]) -> dict[Node, int]:
    """How many contractions read a tensor as a factor's read does, for each such read: a copy that
    one of them asks for serves them all."""
    ways: dict[Node, set[Node]] = {}
    users: dict[Node, int] = {}
    for g in groups:
        mine: set[Node] = set()
        for n in g.reductions:
            if not n.arg[2].startswith("dot"):
                continue
            names = {red(i): red(-1 - place) for place, (i, _) in enumerate(n.arg[1])}
            for r in product_of(n.src[0]) or ():
                way = substitute(r, names)
                ways.setdefault(way, set()).add(r)
                mine.add(way)
        for way in mine:
            users[way] = users.get(way, 0) + 1
    return {r: users[way] for way, reads in ways.items() for r in reads}
