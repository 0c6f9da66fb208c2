"""Tensors that a product computes of others as it reads them, and that are nowhere stored: each
thread computes what a few tiles read right before them (see emit/prologue.py).

A tensor can be computed so if it is pointwise over tensors that are stored, one product of matrices
(or 1×1 convolution) reads it and nobody else does, and each of its elements is read there once for
each of the product's columns; it is, if it is so large that it would leave the caches on its way
through memory. (A larger window reads each element several times: then what is stored is the copy.)
Changes no bit: the element is the same, whoever computes it. Must not know how kernels are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

from ..ir.node import Node, make
from ..ir.transform import product_of, toposort
from .caches import elements, follows
from .chain import Linked
from .fuse import Group, stored_behind
from .lower import Lowering, Memory, Raw, affine
from .nests import map_loads
from .sizes import Size, Sym, add, mul, value

if TYPE_CHECKING:
    from .contract import Choice, Made, Operand, Problem

LARGE = 1 << 20  # bytes of a tensor from which it leaves the second-level cache
SAVED = 1.5  # cycles an element that is neither written nor read again
WEIGHTS = 1 << 20  # bytes of the other operand, where it is walked for each tile
TOGETHER = 16 << 10  # bytes of rows that are computed together: long runs, in the nearest cache
LINE = 64  # bytes


def candidates(items: Sequence[list[Group] | Linked], wanted: set[Node]) -> set[Node]:
    """Tensors that their only reader, a product, might compute itself."""
    single = {k[0].node: k[0] for k in items if not isinstance(k, Linked) and len(k) == 1}
    large = {
        t for t, mine in single.items()
        if t.op == "loops" and not mine.reductions and t.dtype.is_float and t not in wanted
        and _bytes(t) >= LARGE
    }  # fmt: skip
    if not large:
        return large
    readers: dict[Node, list[tuple[Group, list[Node]]]] = {}
    for item in items:
        for kernel in [x.groups for x in item.links] if isinstance(item, Linked) else [item]:
            for g in kernel:
                for t, sites in g.reads.items():
                    base = stored_behind(t)
                    if base in large:
                        readers.setdefault(base, []).append((g, sites if base is t else []))
    found: dict[Node, Node] = {}  # reader → the tensor, the larger one if there are two
    for t, reads in readers.items():
        if len(reads) != 1:
            continue
        ((reader, sites),) = reads
        if reader.node in single and len(sites) == 1 and _factor(reader, sites[0]):
            other = found.get(reader.node)
            found[reader.node] = t if other is None or _bytes(t) > _bytes(other) else other
    return set(found.values())


def _bytes(t: Node) -> int:
    return prod(map(int, t.shape)) * t.dtype.itemsize


def _factor(reader: Group, site: Node) -> bool:
    """Is this read a factor of the reader's only sum, a product, at one variable for each axis?"""
    if len(reader.reductions) != 1 or reader.reductions[0].arg[2] != "dot":
        return False
    pair = product_of(reader.reductions[0].src[0])
    if pair is None or site not in pair or pair[0] is pair[1]:
        return False
    return reader.reductions[0].src[0].op == "mul"


def computed(mine: Group, site: Node, memory: dict[Node, Memory]) -> Node | None:
    """The element that a product reads at `site`, with loads of what it is computed from; None if
    those are not plain."""
    low = Lowering(mine.shape, mine.body, memory)
    nodes = toposort([low.result])
    loads = [n for n in nodes if n.op == "load"]
    inside = {v for n in loads for s in n.src for v in toposort([s])}
    if low.checks or inside or any(n.op in ("out", "param") for n in nodes):
        return None
    parts = [affine(ix) for ix in site.src[1:]]
    if any(p is None or len(p[0]) > 1 for p in parts):
        return None

    def change(node: Node) -> Node:
        if node.op != "load":
            return node
        raw: Raw = node.arg
        offset = raw.offset
        terms: dict[Node, Size] = {}
        for v, s in raw.terms:
            part = parts[v.arg]
            assert part is not None
            offset = add(offset, mul(s, part[1]))
            for w, by in part[0].items():
                terms[w] = add(terms.get(w, 0), mul(s, by))
        pairs = tuple((w, s) for w, s in terms.items() if s != 0)
        return make("load", node.dtype, (), (), Raw(raw.ref, offset, pairs, False, False))

    return map_loads(low.result, change)


def chosen(p: Problem) -> Choice | None:
    """The cheapest way in which a product computes an operand itself, if that is cheaper than to
    store it first."""
    from .tiles import choose

    (operand,) = [o for o in p.operands if o.body is not None]
    if p.halves or p.bounds or p.lanes or any(isinstance(p.extents[v], Sym) for v in p.k):
        return None
    best = choose(p, lambda c: _fits(p, c, operand))
    plain = choose(p)
    if best is None or plain is None:
        return None
    if best.cost > plain.cost + SAVED * elements(p, operand):
        return None
    best.order = "across" if best.a is operand else "rows"
    best.pack, best.near = best.pack and best.a is operand, False
    best.ahead = best.a is operand and _asked(p, best) is not None
    return best


def _asked(p: Problem, c: Choice) -> Node | None:
    """The load of rows that follow each other in memory, if tiles should ask for those to come."""
    assert c.m is not None and c.a.body is not None
    for n in toposort([c.a.body]):
        if n.op == "load":
            walk = dict(n.arg.terms)
            if follows(p, c, walk.get(c.m, 0), walk.get(p.k[-1], 0)):
                return n
    return None


def _fits(p: Problem, c: Choice, operand: Operand) -> bool:
    """Can these tiles read what is computed on the way, each element once?"""
    if c.m is None or c.lanes or c.paired or c.repack or c.pack_rows:
        return False
    rows = c.a is operand
    if any(operand.strides.get(v, 0) == 0 for v in p.extents if v is not (c.n if rows else c.m)):
        return False
    assert operand.body is not None
    along = p.k[-1] if rows else c.n  # whose elements lie together in all that it is computed from
    walks = [dict(n.arg.terms) for n in toposort([operand.body]) if n.op == "load"]
    if {w.get(along, 0) for w in walks} not in ({1}, {0, 1}):
        return False
    return not rows or elements(p, c.b) * p.itemsize <= WEIGHTS


def room(p: Problem, c: Choice, ref: object, slots: int) -> Made:
    """How the computed elements lie in each thread's memory."""
    from .contract import Made

    itemsize, line = p.sum.dtype.itemsize, LINE // p.sum.dtype.itemsize
    depth = prod(value(p.extents[v]) for v in p.k)
    assert c.m is not None
    terms: list[tuple[Node, Size]] = []
    if c.a.body is not None:
        operand, loop, step = c.a, c.m, 1
        tiles = max(1, TOGETHER // (c.rows * depth * itemsize))
    else:
        operand, loop, tiles, step = c.b, c.n, 1, c.vectors * p.lane_count
    for v in reversed(p.k):
        terms.append((v, step))
        step *= value(p.extents[v])
    if loop is c.m:  # an odd number of lines apart, on different sets of the cache
        step = (-(-step // line) | 1) * line
        terms.append((c.m, step))
        step *= c.rows * tiles
    page = 4096 + LINE  # apart in the caches, too; stored vectors may be longer than what is left
    size = -(-(step * itemsize + LINE) // page) * page
    raw = Raw(ref, 0, tuple(terms), False, False)
    asked = _asked(p, c) if c.ahead else None
    return Made(operand, raw, loop, tiles, size, slots, asked)
