"""Reverse mode inside one body: what each read of a tensor contributes to the result.

Every reduction is opened: its variables get names of their own, so that an expression can leave
it. Must not know how contributions become a tensor again (see solve.py).
"""

from __future__ import annotations

from collections.abc import Callable

from ..ir import dtype as dt
from ..ir.affine import Affine, within
from ..ir.extent import Extent
from ..ir.node import Node, alu, axis, const, make, out, read, red, reduce, where
from ..ir.transform import TENSOR_OPS, body_nodes, row_major, substitute
from .rules import RULES, guarded, index_only, number, peel, times
from .split import stored

Context = tuple[Node, ...]  # the variables of the reductions around a use


class Opened:
    """The body of one loops node with named variables."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.sizes: dict[Node, int] = {}  # the extents of the variables, in order
        self.inner: dict[Node, tuple[tuple[Node, ...], Node]] = {}
        self.outs = tuple(self.variable(size) for size in node.shape)
        self.body = substitute(node.src[0], {out(i): v for i, v in enumerate(self.outs)})

    def variable(self, size: int) -> Node:
        """A new variable; the only position on an axis of size 1 is 0."""
        if size == 1 and not isinstance(size, Extent):
            return const(0, dt.int64)
        name = axis(("grad", len(self.sizes)))
        self.sizes[name] = size
        return name

    def open(self, reduction: Node) -> tuple[tuple[Node, ...], Node]:
        """The variables of a reduction, renamed, and its body in terms of them."""
        if reduction not in self.inner:
            names = tuple(self.variable(size) for _, size in reduction.arg[1])
            renamed = {red(uid): v for (uid, _), v in zip(reduction.arg[1], names, strict=True)}
            self.inner[reduction] = names, substitute(reduction.src[0], renamed)
        return self.inner[reduction]

    def exposed(self, node: Node) -> bool:
        """May an expression read outside a tensor where nothing guards it?"""
        reads: list[Node] = []
        pending = [node]
        for expression in pending:
            nodes = body_nodes(expression)
            pending += [self.open(n)[1] for n in nodes if n.op == "reduce"]
            reads += [n for n in nodes if n.op == "read"]
        return not all(
            all(within(Affine.of(ix), size, self.sizes))
            for n in reads for size, ix in zip(n.src[0].shape, n.src[1:], strict=True)
        )  # fmt: skip


def contributions(opened: Opened, tensor: Node, gradient: Node) -> list[tuple[Node, Context, Node]]:
    """(read, variables of the reductions around it, derivative) for each use of a tensor.

    `tensor` is the opened one as the graph knows it, `gradient` the derivative by its elements.
    """
    order, active = active_order(opened, lambda n: n.op == "read" and n.src[0].tracked)
    body = opened.body
    if body not in active:
        return []
    adjoints: dict[Node, dict[Context, Node]] = {body: {(): read(gradient, *opened.outs)}}
    result: list[tuple[Node, Context, Node]] = []
    for node in reversed(order):
        for context, g in adjoints.pop(node, {}).items():
            if node.op == "read":
                result.append((node, context, g))
                continue
            for operand, where_used, part in _parts(opened, node, context, g, active):
                known = adjoints.setdefault(operand, {})
                known[where_used] = (
                    _both(opened, operand, known[where_used], part) if where_used in known else part
                )
    value = read(tensor, *opened.outs)
    if body.op not in ("read", "where", "cast"):  # what is computed anyway is not computed twice
        result = [(r, c, substitute(g, {body: value})) for r, c, g in result]
    return result


def active_order(opened: Opened, starts: Callable[[Node], bool]) -> tuple[list[Node], set[Node]]:
    """The float nodes of an opened body, sources first, and those that depend on one of which
    `starts` says that a derivative begins there."""
    order: list[Node] = []
    active: set[Node] = set()
    seen: set[Node] = set()
    stack = [(opened.body, False)]
    while stack:
        node, ready = stack.pop()
        operands = (opened.open(node)[1],) if node.op == "reduce" else node.src
        if ready:
            order.append(node)
            if starts(node) or (node.op != "read" and any(s in active for s in operands)):
                active.add(node)
        elif node not in seen and node.dtype.is_float and node.op not in TENSOR_OPS:
            seen.add(node)
            stack.append((node, True))
            if node.op != "read":
                stack += [(s, False) for s in operands]
    return order, active


def _both(opened: Opened, operand: Node, a: Node, b: Node) -> Node:
    """The sum of two derivatives by one operand, still guarded where both are."""
    total = alu("add", a, b)
    sides = [peel(x)[0] for x in (a, b)]
    if not all(sides) or not opened.exposed(operand):
        return total
    shared = _shared(*sides)
    yes, no = const(True, dt.bool_), const(False, dt.bool_)
    asked = [yes, yes]
    for i, conditions in enumerate(sides):
        for c in reversed(conditions):
            if c not in shared:
                asked[i] = where(c, asked[i], no)
    if yes not in asked:
        either = asked[0] if asked[0] is asked[1] else alu("or", *asked)
        total = where(either, total, number(0, total))
    return guarded(shared, total)


def _shared(first: list[Node], second: list[Node]) -> list[Node]:
    """The conditions of both of two lists that can be asked before the others: each alone says
    where reads stay inside, which one of two alternatives does not."""
    found: list[Node] = []
    apart = False
    for c in first:
        if c in second and (not apart or index_only(c)):
            found.append(c)
        else:
            apart = True
    return found


def _parts(
    opened: Opened, node: Node, context: Context, g: Node, active: set[Node]
) -> list[tuple[Node, Context, Node]]:
    """The derivative by each active operand of one node."""
    # Guards stay outside: what is not chosen contributes nothing, not even 0 times infinity, and
    # is not read. A condition on positions alone may be asked before them.
    if node.op == "where":
        plain = index_only(node.src[0])
    else:
        plain = node.op == "reduce" and node.arg[0] == "sum"
    guards, core = ([], g) if plain else peel(g)
    if node.op == "reduce":
        variables, inner = opened.open(node)
        part = guarded(guards, REDUCTIONS[node.arg[0]](opened, node, variables, core))
        return [(inner, context + tuple(v for v in variables if v.op != "const"), part)]
    rule = RULES.get(node.op)
    if rule is None:
        raise NotImplementedError(f"{node.op} has no derivative; add a row to autodiff/rules.py")
    return [
        (s, context, guarded(guards, part))
        for s, part in zip(node.src, rule(node, core), strict=True)
        if part is not None and s in active
    ]


def _sum(opened: Opened, node: Node, variables: tuple[Node, ...], g: Node) -> Node:
    return g


def _extreme(opened: Opened, node: Node, variables: tuple[Node, ...], g: Node) -> Node:
    """The gradient goes to the first extreme (the first NaN, if there is one)."""
    kind, bound, *order = node.arg
    if len(node.arg) > 3:
        winner = make("reduce", dt.int64, (), node.src, (f"arg{kind}", bound, *order))
    else:
        winner = reduce(f"arg{kind}", bound, node.src[0])
    position = row_major(tuple(size for _, size in bound), variables)
    wins = alu("eq", position, stored(winner, opened.sizes))
    return where(wins, g, number(0, g))


def _product(opened: Opened, node: Node, variables: tuple[Node, ...], g: Node) -> Node:
    """The product of the other terms: by a division, or where there are zeros, term by term."""
    bound, term = node.arg[1], node.src[0]
    value = opened.open(node)[1]
    zeros = where(alu("eq", term, number(0, term)), number(1, term), number(0, term))
    none = alu("eq", stored(reduce("sum", bound, zeros), opened.sizes), number(0, term))
    same = const(True, dt.bool_)
    for (uid, _), v in zip(bound, variables, strict=True):
        here = alu("eq", red(uid), v)
        same = here if same.op == "const" else alu("and", same, here)
    others = reduce("prod", bound, where(same, number(1, term), term))
    quotient = alu("div", stored(node, opened.sizes), value)
    return times(g, where(none, quotient, others))


REDUCTIONS: dict[str, Callable[[Opened, Node, tuple[Node, ...], Node], Node]] = {
    "sum": _sum,
    "max": _extreme,
    "min": _extreme,
    "prod": _product,
}
