"""The reductions of a kernel's body as loops of pseudo-code.

Must not know the kernel around them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..ir.node import Node, red
from ..ir.transform import TENSOR_OPS, body_nodes
from ..schedule.sizes import size_of, value
from .axes import free_of
from .text import expression, mark

if TYPE_CHECKING:
    from .loops import Listing

TAB = "    "


class Reductions:
    """The reductions of one body: which are loops of their own, and their statements.

    named: each gets a name, which the body then knows it by.
    """

    """The reductions of one body: which are loops of their own, and their statements."""

    def __init__(self, owner: Listing, body: Node, named: bool = True) -> None:
        self.owner = owner
        self.known: dict[Node, str] = dict(owner.variables)
        order = [n for n in body_nodes(body) if n.op not in TENSOR_OPS]
        self.free = free_of(order)
        self.reductions = [n for n in order if n.op == "reduce"]
        self.known.update((n, "before") for n in order if n.op == "carry")
        self.outermost = [r for r in self.reductions if all(v.op == "out" for v in self.free[r])]
        for r in self.reductions if named else ():
            self.known[r] = owner.done.get(r) or owner.temporary()

    def loop_name(self, uid: int) -> str:
        """The name of a reduction's variable."""
        return self.owner.variables.get(red(uid), mark(f"term{uid}"))

    def block(self, reduction: Node) -> list[str]:
        """The statements of one reduction, those inside its loop included."""
        kind, variables, order = reduction.arg[:3]
        name = self.known[reduction]
        best = self.owner.temporary() if kind in ("argmax", "argmin") else ""
        start = "-inf" if kind in ("max", "argmax") else "inf"
        start = {"sum": "0", "prod": "1"}.get(kind, start)
        lines = [f"{name}, {best} = 0, {start}" if best else f"{name} = {start}"]
        indent = ""
        last = next((uid for uid, e in variables[::-1] if e != 1), None)
        for uid, extent in variables:
            how = f"    # {SUMS[order]}" if order in SUMS and uid == last else ""
            size = self.owner.terms(value(size_of(extent), self.owner.n))
            if size == 1:
                continue
            lines.append(f"{indent}for {self.loop_name(uid)} < {size}:{how}")
            indent += TAB
        ids = {uid for uid, _ in variables}
        inside = body_nodes(reduction.src[0])
        for inner in self.reductions:
            if inner is not reduction and inner in inside and any(
                v.op == "red" and v.arg in ids for v in self.free[inner]
            ):
                lines += [indent + x for x in self.block(inner)]
        before, text = expression(
            reduction.src[0], self.known, self.owner.a.name, self.owner.temporary
        )
        if best:
            at = "·".join(self.loop_name(uid) for uid, e in variables if e != 1) or "0"
            sign = ">" if kind == "argmax" else "<"
            update = f"if {text} {sign} {best}: {name}, {best} = {at}, {text}"
        else:
            update = combined(kind, name, text)
        return [*lines, *(indent + x for x in [*before, update])]


def combined(kind: str, name: str, text: str) -> str:
    """The statement that takes one more term."""
    if kind in ("sum", "prod"):
        return f"{name} {'+' if kind == 'sum' else '*'}= {text}"
    return f"{name} = {kind}({name}, {text})"


SUMS: Mapping[str, str] = {
    "lanes": "a vector of running values, combined at the end",
    "dotlanes": "a vector of running values, fused multiply-adds",
    "dot": "fused multiply-adds",
}
