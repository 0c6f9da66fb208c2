"""Scans of indexed expressions: running values and recurrences along an axis.

Each becomes a tensor of its own, read where the expression asks for it: its elements wait for one
another. Must not know sizes or ranges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..ir import node as ir
from ..ir.dtype import DType
from ..ir.node import Node
from ..ir.transform import body_nodes, rebuild, substitute
from . import pointwise as pw
from .notation import Axis, Indexed, postorder
from .running import along

if TYPE_CHECKING:
    from .lower import Lowering

Conditions = tuple[Node, ...]  # carry-free ones that hold where a part is evaluated


def stored(low: Lowering, node: Node, axes: list[Axis] | None = None) -> Node:
    """A part of the body as a tensor over the axes that it depends on, read at them."""
    nodes = body_nodes(node)
    if axes is None:
        axes = [n.arg for n in nodes if n.op == "axis"]
        axes.sort(key=low.place)
    shape = tuple([low.size[a] for a in axes])
    variables = [ir.axis(a) for a in axes]
    outs = dict(zip(variables, ir.outs(len(axes)), strict=True))
    whole = node.op == "read" and node.src[1:] == tuple(variables)
    if whole and node.src[0].shape == shape and node.src[0].op in ("buffer", "scan", "leaf"):
        return node
    tensor = ir.loops(shape, substitute(node, outs))
    low.made.add(tensor)
    return ir.read(tensor, *variables)


def running(low: Lowering, tree: Indexed) -> Node:
    """x.cumsum(t) and its like."""
    kind, axis, reverse = tree.arg
    (source,) = tree.src
    refuse_carry(low, tree)
    axes = sorted(tree.free, key=low.place)
    reading = stored(low, low.by_id[id(source)], axes)
    tensor = along(kind, reading.src[0], axes.index(axis), reverse)
    low.made.add(tensor)
    return ir.read(tensor, *reading.src[1:])


def recurrence(low: Lowering, tree: Indexed) -> Node:
    """gu.scan(t, step, start): the type of the value is found first, then its body."""
    axis, _, start, reverse = tree.arg
    body = _typed(low, tree)
    if len(tree.src) > 1:
        end = ir.alu("sub", ir.extent(low.size[axis]), ir.index(1)) if reverse else ir.index(0)
        first = ir.cast(low.by_id[id(tree.src[0])], body.dtype)
        body = ir.where(ir.alu("eq", ir.axis(axis), end), first, body)
    body = _Hoist(low, tree).part(body, ())
    axes = sorted(tree.free, key=low.place)
    outs = {ir.axis(a): ir.out(n) for n, a in enumerate(axes)}
    begin = ir.const(start if start is not None else 0, body.dtype)
    shape = tuple([low.size[a] for a in axes])
    tensor = ir.scan(shape, axes.index(axis), substitute(body, outs), begin, reverse)
    low.made.add(tensor)
    return ir.read(tensor, *(ir.axis(a) for a in axes))


def _typed(low: Lowering, tree: Indexed) -> Node:
    """The body of a step, whose value before has the type of the value here."""
    carry, source = tree.arg[1], tree.src[-1]
    carried = {id(carry)}
    again = []
    for t in postorder(source):
        if id(t) in carried or any(id(s) in carried for s in t.src):
            carried.add(id(t))
            again.append(t)
    body = low.by_id[id(source)]
    for _ in range(2):
        if not again or body.dtype is low.carry_type[id(carry)]:
            return body
        low.carry_type[id(carry)] = body.dtype
        for t in again:
            low.by_id[id(t)] = low.one(t)
        body = low.by_id[id(source)]
    raise low.closing.refused(
        tree, f"scan: the value becomes {body.dtype.name} at each step, from "
        f"{low.carry_type[id(carry)].name}", "write (…).to(dtype) around the step's value",
    )  # fmt: skip


def first_type(low: Lowering, tree: Indexed) -> DType:
    """The type that a scan's value has before its step is known."""
    if len(tree.src) > 1:
        return low.by_id[id(tree.src[0])].dtype
    return pw.number_dtype(tree.arg[2])


def refuse_carry(low: Lowering, tree: Indexed) -> None:
    """Raise if a part that is a tensor of its own asks for the value before, of a scan around."""
    own = {id(tree.arg[1])} if tree.op == "scan" else set()
    parts = postorder(tree)
    own |= {id(t.arg[1]) for t in parts if t.op == "scan"}
    if any(t.op == "carry" and id(t) not in own for t in parts):
        raise low.closing.refused(
            tree, "scan: the value before it stands inside another scan, or a reduction",
            "write a step of arithmetic with the value before; sums over other axes beside it",
        )  # fmt: skip


class _Hoist:
    """Takes reductions, which a scan's body cannot have, out of it: they become tensors."""

    def __init__(self, low: Lowering, tree: Indexed) -> None:
        self.low, self.tree = low, tree
        self.carries: dict[Node, bool] = {}
        self.reduces: dict[Node, bool] = {}
        self.known: dict[tuple[Node, Conditions], Node] = {}

    def part(self, node: Node, conditions: Conditions) -> Node:
        """The node with its reductions read from tensors."""
        if not self.carries:
            for n in body_nodes(node):
                own = [s for s in n.src if s in self.carries]
                self.carries[n] = n.op == "carry" or any(self.carries[s] for s in own)
                self.reduces[n] = n.op == "reduce" or any(self.reduces[s] for s in own)
        if not self.reduces.get(node):
            return node
        known = self.known.get((node, conditions))
        if known is None:
            known = self.known[node, conditions] = self._part(node, conditions)
        return known

    def _part(self, node: Node, conditions: Conditions) -> Node:
        if not self.carries[node]:
            for c in reversed(conditions):
                node = ir.where(c, node, ir.const(0, node.dtype))
            return stored(self.low, node)
        if node.op == "reduce":
            raise self.low.closing.refused(
                self.tree, "scan: the value before stands inside a reduction",
                "take it out of the sum: h * x[t, k].sum(k), not (h * x[t, k]).sum(k)",
            )  # fmt: skip
        if node.op != "where":
            return rebuild(node, tuple([self.part(s, conditions) for s in node.src]))
        test = node.src[0]
        yes, no = conditions, conditions
        if not self.carries[test]:
            yes, no = (*conditions, test), (*conditions, ir.alu("not", test))
        return ir.where(
            self.part(test, conditions), self.part(node.src[1], yes), self.part(node.src[2], no)
        )
