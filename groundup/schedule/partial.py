"""Long sums become sums of partial sums (and extremes, of extremes), before anything is fused.

The partial sums are a tensor of their own: threads share them, and rounding grows only with the
longest run of one running value. Decided by the loop nest alone, never by the number of threads; a
runtime size counts as the number that it is, and a `Span` remembers for which it is decided so.
Must not know kernels.
"""

from __future__ import annotations

from ..ir.extent import Extent, product
from ..ir.node import Node, alu, index, make, out, read, red, reduce
from ..ir.transform import body_nodes, product_of, substitute
from .search import search
from .sizes import Span

LONG = 1 << 16  # terms of a sum along one axis that is cut into runs
RUN = 1 << 12
COMBINE = {"sum": "add", "max": "maximum", "min": "minimum"}
INNER = 64  # terms for each index of the first axis from which they are summed on their own

_Variables = tuple[tuple[int, int], ...]


def staged(body: Node, shape: tuple[int, ...], span: Span) -> Node:
    """The body of a tensor with each of its long sums and extremes in two stages."""
    nodes = body_nodes(body)
    sums = [n for n in nodes if n.op == "reduce"]
    if not any(n.arg[0] in COMBINE for n in sums):
        return body
    inner = {m for n in sums for m in body_nodes(n.src[0]) if m.op == "reduce"}
    mapping: dict[Node, Node] = {}
    for node in sums:
        plain = node.arg[0] in COMBINE and node not in inner
        if plain and not any(m.op == "reduce" for m in body_nodes(node.src[0])):
            changed = _staged(node, shape, span)
            if changed is not node:
                mapping[node] = changed
    return substitute(body, mapping) if mapping else body


def _staged(node: Node, shape: tuple[int, ...], span: Span) -> Node:
    """One reduction, whole or in two stages."""
    variables: _Variables = node.arg[1]
    reads = [r for r in body_nodes(node.src[0]) if r.op == "read" and len(r.src) > 1]
    if shares_terms(node) or search(node) is not None:
        return node
    if len(variables) == 1:
        ((_, size),) = variables
        return _in_runs(node, shape, span) if span.at_least(size, LONG) else node
    first = _leading(variables, reads, span)
    if first is not None:
        return _in_two(node, (first,), shape, span)
    if not span.at_least(product([size for _, size in variables]), LONG):
        return node
    return _in_two(node, variables[:-1], shape, span)


def shares_terms(node: Node) -> bool:
    """Is this a product of matrices or a convolution, whose operands serve several results?"""
    pair = product_of(node.src[0]) if node.arg[2].startswith("dot") else None
    if pair is None:
        return False
    outputs = [{n for n in body_nodes(r) if n.op == "out"} for r in pair]
    return outputs[0] != outputs[1] or any(_mixes(ix) for r in pair for ix in r.src[1:])


def _mixes(ix: Node) -> bool:
    return len({n for n in body_nodes(ix) if n.op in ("out", "red")}) > 1


def _leading(variables: _Variables, reads: list[Node], span: Span) -> tuple[int, int] | None:
    """The variable that walks the first axis of what is read, when the others have many terms."""
    for variable in variables:
        name = red(variable[0])
        mine = [r for r in reads if name in body_nodes(r)]
        if not mine or any(r.src[1] is not name for r in mine):
            continue
        if any(name in body_nodes(ix) for r in mine for ix in r.src[2:]):
            continue
        rest = [size for v, size in variables if v != variable[0]]
        return variable if span.at_least(product(rest), INNER) else None
    return None


def _in_two(node: Node, outer: _Variables, shape: tuple[int, ...], span: Span) -> Node:
    """Σ over `outer` of a tensor of partial sums over the other variables."""
    kind, variables, order = node.arg[:3]
    free = _free(node)
    moved = {o: out(len(outer) + i) for i, o in enumerate(free)}
    moved.update({red(v): out(i) for i, (v, _) in enumerate(outer)})
    inner = tuple(v for v in variables if v not in outer)
    partial = _tensor(
        (*(size for _, size in outer), *(shape[o.arg] for o in free)),
        reduce(kind, inner, substitute(node.src[0], moved), order), span,
    )  # fmt: skip
    term = read(partial, *(red(v) for v, _ in outer), *free)
    return _staged(reduce(kind, outer, term, "seq"), shape, span)


def _in_runs(node: Node, shape: tuple[int, ...], span: Span) -> Node:
    """Σ along one long axis: of the sums of its runs, and what is left over.

    How many runs a runtime size has is no multiple of it: such a plan is for one size alone."""
    kind, ((variable, size),), order = node.arg[:3]
    free = _free(node)
    runs, rest = divmod(span.alone(size), RUN)
    moved = {o: out(1 + i) for i, o in enumerate(free)}
    r = red(variable)
    start = alu("mul", out(0), index(RUN))
    partial = _tensor(
        (runs, *(shape[o.arg] for o in free)),
        reduce(kind, [(variable, RUN)],
               substitute(node.src[0], {**moved, r: alu("add", start, r)}), order), span,
    )  # fmt: skip
    total = _staged(reduce(kind, [(variable, runs)], read(partial, r, *free), "seq"), shape, span)
    if not rest:
        return total
    end = substitute(node.src[0], {r: alu("add", r, index(runs * RUN))})
    return alu(COMBINE[kind], total, reduce(kind, [(variable, rest)], end, order))


def _free(node: Node) -> list[Node]:
    """The output variables that a sum depends on."""
    return sorted((n for n in body_nodes(node) if n.op == "out"), key=lambda n: n.arg)


def _tensor(shape: tuple[int, ...], body: Node, span: Span) -> Node:
    from .order import ordered

    if sum(isinstance(s, Extent) for s in shape) > 1:
        span.numbers = True  # a product of two runtime sizes has no place in a plan
    return make("loops", body.dtype, shape, (ordered(staged(body, shape, span), span),), None)
