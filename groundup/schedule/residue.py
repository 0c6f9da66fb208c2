"""Splits a sum by residues: where a term is asked to lie on every s-th position (the input gradient
of a strided convolution, or of a pool), output position s·h + r meets only every s-th term, so each
r becomes a sum of its own and no divisibility test stays inside a loop. What is left out are terms
that are 0 for lack of a place: a sum that starts at 0.0 keeps every bit without them.

Must not know tiles or loops.
"""

from __future__ import annotations

from itertools import product
from math import gcd

from ..ir import dtype as dt
from ..ir.affine import Affine
from ..ir.extent import Extent
from ..ir.node import Node, alu, const, out, red, reduce, where
from ..ir.record import record
from ..ir.transform import TENSOR_OPS, body_nodes, rebuild, substitute
from .contract import as_bound, conjuncts
from .lower import affine

MOST = 16  # parts; more would be many small kernels

# Of one sum: output axis → (step, its coefficient, reduction variable or None, that one's
# coefficient, constant) of each condition "divisible by step".
_Conditions = dict[int, tuple[int, int, int | None, int, int]]


@record
class Part:
    """Positions start + step·i of the output along each axis: their shape and their body."""

    shape: tuple[int, ...]
    starts: tuple[int, ...]
    steps: tuple[int, ...]
    body: Node


def residues(shape: tuple[int, ...], body: Node) -> list[Part]:
    """The parts of a stored tensor; one part, the whole, where no term is strided."""
    whole = [Part(shape, (0,) * len(shape), (1,) * len(shape), body)]
    strided: dict[Node, _Conditions] = {}
    by: dict[int, int] = {}  # output axis → step
    for n in body_nodes(body):
        if n.op == "reduce":
            found = _strided(n)
            if found is None or any(by.setdefault(h, f[0]) != f[0] for h, f in found.items()):
                return whole
            if found:
                strided[n] = found
    count = 1
    for s in by.values():
        count *= s
    if not strided or count > MOST or any(isinstance(shape[h], Extent) for h in by):
        return whole
    choices = [[(h, r) for r in range(s)] for h, s in by.items()]
    parts = [_part(shape, body, strided, by, dict(rest)) for rest in product(*choices)]
    return [part for part in parts if 0 not in part.shape] or whole


def _strided(node: Node) -> _Conditions | None:
    """The strided conditions on a reduction's terms; None where one ties others together, or where
    leaving terms out would change the order of the others."""
    kind, variables, order = node.arg[:3]
    found: _Conditions = {}
    for c in _conditions(node.src[0]) if kind == "sum" else ():
        bound = as_bound(c)
        if bound is None or bound.step == 1:
            continue
        parts = affine(bound.value)
        if parts is None:
            return None
        outs = [v for v in parts[0] if v.op == "out"]
        reds = [v for v in parts[0] if v.op == "red"]
        if len(outs) != 1 or len(reds) > 1 or outs[0].arg in found:
            return None
        if not reds:
            found[outs[0].arg] = bound.step, parts[0][outs[0]], None, 0, parts[1]
            continue
        if reds[0].arg in [f[2] for f in found.values()]:
            return None
        if type(dict(variables).get(reds[0].arg)) is not int:
            return None  # another reduction's, or of a size that is not known yet
        if reds[0].arg == variables[-1][0] and order in ("lanes", "dotlanes"):
            return None
        found[outs[0].arg] = (
            bound.step, parts[0][outs[0]], reds[0].arg, parts[0][reds[0]], parts[1]
        )
    return found


def _conditions(term: Node) -> list[Node]:
    """The conditions without which a term is 0."""
    found: list[Node] = []
    while term.op == "where" and term.src[2].op == "const" and term.src[2].value == 0:
        found += conjuncts(term.src[0])
        term = term.src[1]
    return found


def _part(
    shape: tuple[int, ...], body: Node, strided: dict[Node, _Conditions], by: dict[int, int],
    rest: dict[int, int],
) -> Part:  # fmt: skip
    starts, steps, sizes = [0] * len(shape), [1] * len(shape), list(shape)
    mapping: dict[Node, Node] = {}
    for h, s in by.items():
        starts[h], steps[h] = rest[h], s
        sizes[h] = max(0, -(-(int(shape[h]) - rest[h]) // s))
        mapping[out(h)] = _line(out(h), s, rest[h])
    sums = {node: _sum(node, found, rest, mapping) for node, found in strided.items()}
    new = _simple(substitute(body, {**mapping, **sums}))
    return Part(tuple(sizes), tuple(starts), tuple(steps), new)


def _sum(node: Node, found: _Conditions, rest: dict[int, int], at: dict[Node, Node]) -> Node:
    """The sum over the terms that one residue meets."""
    kind, variables, order = node.arg[:3]
    extents, mapping = dict(variables), dict(at)
    for h, (s, by_h, u, by_u, constant) in found.items():
        step = s // gcd(by_u, s)
        here = by_h * rest[h] + constant
        first = next((x for x in range(step) if (here + by_u * x) % s == 0), None)
        if first is None:
            return const(0, node.dtype)
        if u is not None:
            extents[u] = max(0, -(-(int(extents[u]) - first) // step))
            mapping[red(u)] = _line(red(u), step, first)
    if 0 in extents.values():
        return const(0, node.dtype)
    term = _simple(substitute(node.src[0], mapping))
    return reduce(kind, [(i, extents[i]) for i, _ in variables], term, order)


def _line(variable: Node, step: int, start: int) -> Node:
    scaled = alu("mul", variable, const(step, dt.int64))
    return alu("add", scaled, const(start, dt.int64))


def _simple(body: Node) -> Node:
    """The body with quotients and remainders of what is divisible worked out."""
    result: dict[Node, Node] = {}
    for node in body_nodes(body):
        if node.op in TENSOR_OPS or not node.src:
            result[node] = node
            continue
        src = tuple(result[s] for s in node.src)
        new = rebuild(node, src)
        if node.op in ("floordiv", "mod") and node.dtype is dt.int64 and src[1].op == "const":
            new = _quotient(node.op, src[0], int(src[1].value)) or new
        elif node.op == "and":
            known = [s for s in src if s.op == "const"]
            if known and known[0].value:
                new = src[0] if known[0] is src[1] else src[1]
        elif node.op == "where":
            new = where(*src)
        result[node] = new
    return result[body]


def _quotient(op: str, x: Node, s: int) -> Node | None:
    """x // s or x % s where every term of x is a multiple of s."""
    parts = Affine.of(x)
    if s <= 0 or any(c % s for c in parts.terms.values()):
        return None
    if op == "mod":
        return const(parts.constant % s, dt.int64)
    return Affine({v: c // s for v, c in parts.terms.items()}, parts.constant // s).node()
