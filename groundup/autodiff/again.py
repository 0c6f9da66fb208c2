"""A graph written once more, of other tensors in the place of some that it is computed from.

Must not know why: what is equal to a known graph is computed once, what is written anew of tensors
that are not is computed again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..ir import node as ir
from ..ir.node import Node, alu, const, loops, outs, read, where
from ..ir.recipe import moved
from ..ir.transform import TENSOR_OPS, body_nodes, rebuild, toposort


def again(roots: Sequence[Node], others: Mapping[Node, Node]) -> list[Node]:
    """The roots, computed from other tensors (of equal shapes and types) in the place of some."""
    known: dict[Node, Node] = dict(others)
    changed = {n for n, other in others.items() if other is not n}
    for node in toposort(roots, stop=lambda n: n in others):
        if node in known:
            continue
        if any(s in changed for s in node.src):
            changed.add(node)
            if node.op in ("loops", "scan"):
                body = _body(node, known, changed)
                known[node] = ir.make(
                    node.op, node.dtype, node.shape, (body, *node.src[1:]), node.arg
                )
                known[node].line = node.line
            elif node.op in TENSOR_OPS:
                known[node] = rebuild(node, tuple([known[s] for s in node.src]))
                known[node].line = node.line
            else:
                known[node] = node  # of a body: written anew with its tensor
        else:
            known[node] = node
    return [known[r] for r in roots]


def _body(node: Node, known: Mapping[Node, Node], changed: set[Node]) -> Node:
    """A body that reads other tensors. Ids of its reductions are moved above those in them."""
    nodes = body_nodes(node.src[0])
    tensors = [n for n in nodes if n.op in TENSOR_OPS]
    by = max([known[t].depth - t.depth for t in tensors if t in changed], default=0)
    new: dict[Node, Node] = {}
    for n in nodes:
        if n.op in TENSOR_OPS:
            new[n] = known[n]
        elif by > 0 and n.op == "red":
            new[n] = ir.red(moved("red", n.arg, by))
        elif not n.src:
            new[n] = n
        else:
            src = tuple([new[s] for s in n.src])
            if by > 0 and n.op == "reduce":
                new[n] = ir.make("reduce", n.dtype, (), src, moved("reduce", n.arg, by))
            else:
                new[n] = rebuild(n, src)
    return new[node.src[0]]


def after(tensor: Node, other: Node) -> Node:
    """The values of a tensor, as an expression of its own that can only be computed once another
    tensor, of at least one element, is known.

    Of a number, "equal to itself or not" is a question with one answer that has to be computed.
    """
    number = read(other, *[ir.index(0)] * other.ndim)
    known = alu("or", alu("eq", number, number), alu("ne", number, number))
    asked = loops((), known)
    own = read(tensor, *outs(tensor.ndim))
    return loops(tensor.shape, where(read(asked), own, const(0, tensor.dtype)))
