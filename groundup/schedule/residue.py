"""Splits a contraction by residues: where a term is asked to lie on every s-th position (the input
gradient of a strided convolution), output position s·h + r meets only every s-th term, so each r
becomes a contraction of its own and no divisibility test stays inside a loop.

Must not know tiles.
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
    sums = [n for n in body_nodes(body) if n.op == "reduce"]
    if len(sums) != 1 or sums[0].src[0].op != "where":
        return whole
    found = _strided(sums[0])
    if found is None or not found:
        return whole
    if any(isinstance(shape[h], Extent) for h in found):
        return whole
    count = 1
    for s, *_ in found.values():
        count *= s
    if count > MOST:
        return whole
    choices = [[(h, r) for r in range(s)] for h, (s, *_) in found.items()]
    return [_part(shape, body, sums[0], found, dict(rest)) for rest in product(*choices)]


def _strided(node: Node) -> dict[int, tuple[int, int, int, int, int]] | None:
    """Output axis → (step, its coefficient, reduction variable, that one's coefficient, constant)
    of each condition "divisible by step"; None where one ties others together."""
    found: dict[int, tuple[int, int, int, int, int]] = {}
    for c in conjuncts(node.src[0].src[0]):
        bound = as_bound(c)
        if bound is None:
            return None
        if bound.step == 1:
            continue
        parts = affine(bound.value)
        if parts is None:
            return None
        outs = [v for v in parts[0] if v.op == "out"]
        reds = [v for v in parts[0] if v.op == "red"]
        if len(outs) != 1 or len(reds) != 1 or outs[0].arg in found:
            return None
        if reds[0].arg in [f[2] for f in found.values()]:
            return None
        found[outs[0].arg] = (
            bound.step, parts[0][outs[0]], reds[0].arg, parts[0][reds[0]], parts[1]
        )
    return found


def _part(
    shape: tuple[int, ...], body: Node, node: Node,
    found: dict[int, tuple[int, int, int, int, int]], rest: dict[int, int],
) -> Part:  # fmt: skip
    kind, variables, order = node.arg[:3]
    extents = dict(variables)
    starts, steps, sizes = [0] * len(shape), [1] * len(shape), list(shape)
    mapping: dict[Node, Node] = {}
    for h, (s, by_h, u, by_u, constant) in found.items():
        r = rest[h]
        starts[h], steps[h] = r, s
        sizes[h] = max(0, -(-(int(shape[h]) - r) // s))
        mapping[out(h)] = _line(out(h), s, r)
        step = s // gcd(by_u, s)
        first = next((x for x in range(step) if (by_h * r + by_u * x + constant) % s == 0), None)
        if first is None:
            extents[u] = 0
        else:
            extents[u] = max(0, -(-(int(extents[u]) - first) // step))
            mapping[red(u)] = _line(red(u), step, first)
    term = _simple(substitute(node.src[0], mapping))
    total = reduce(kind, [(i, extents[i]) for i, _ in variables], term, order)
    new = _simple(substitute(body, {**mapping, node: total}))
    return Part(tuple(sizes), tuple(starts), tuple(steps), new)


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
