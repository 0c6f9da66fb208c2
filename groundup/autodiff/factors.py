"""Sums whose terms share a factor: the sum of g·s over all pixels of a channel is that of g, times
s, and the sum of g may well be asked for elsewhere, too (a bias has it for its derivative).

Knows the one form in which derivatives bring it: the sum of what one tensor holds. Must not know
where the sum comes from.
"""

from __future__ import annotations

from ..ir.node import Node, alu, loops, out, red, reduce
from ..ir.transform import body_nodes, free_variables, substitute


def taken_out(tensor: Node) -> Node:
    """The same tensor, with factors that all terms of its sum share outside of the sum.

    A sum without terms is 0 and stays it: times a factor that is NaN it would not.
    """
    if tensor.op != "loops" or tensor.src[0].op != "reduce":
        return tensor
    total = tensor.src[0]
    kind, variables, order = total.arg[:3]
    if kind != "sum" or order not in ("lanes", "seq") or not all(size for _, size in variables):
        return tensor
    summed = {red(i) for i, _ in variables}
    factors, negative, term = _split(total.src[0], summed)
    if not factors:
        return tensor
    body = reduce("sum", variables, term, order)
    for factor in factors:
        body = alu("mul", body, factor)
    return loops(tensor.shape, alu("neg", body) if negative else body)


def _split(term: Node, summed: set[Node]) -> tuple[list[Node], bool, Node]:
    """(factors without the variables of a sum, is it negative, what is left of the term)."""
    factors: list[Node] = []
    negative = False
    while True:
        if term.op == "neg":
            negative, term = not negative, term.src[0]
            continue
        opened = _opened(term) if term.op == "read" else term
        same = [s for s in opened.src if s.op == "read" and not free_variables(s) & summed]
        if opened.op == "neg":
            term = opened
            continue
        if opened.op != "mul" or len(same) != 1:
            return factors, negative, term
        factors.append(same[0])
        term = opened.src[1] if same[0] is opened.src[0] else opened.src[0]


def _opened(reading: Node) -> Node:
    """What is read, as an expression, if it is a product of elements; else the read."""
    tensor, *indices = reading.src
    if tensor.op != "loops" or tensor.src[0].op not in ("neg", "mul"):
        return reading
    body = tensor.src[0]
    if any(n.op == "reduce" for n in body_nodes(body)):
        return reading
    return substitute(body, {out(i): ix for i, ix in enumerate(indices)})
