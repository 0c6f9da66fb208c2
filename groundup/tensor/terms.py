"""Reductions of indexed expressions: their order, their mean, and terms that go to positions.

Must not know sizes or ranges.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..autodiff import solve
from ..ir import dtype as dt
from ..ir import node as ir
from ..ir.extent import Extent, product
from ..ir.node import Node
from ..ir.transform import TENSOR_OPS, body_nodes, substitute
from ..schedule.search import neutral
from .guards import verdict
from .notation import Axis, Indexed, postorder
from .product import as_product, factors_apart

if TYPE_CHECKING:
    from .lower import Lowering

_TRUTH = {"any": "max", "all": "min"}


def reduction(low: Lowering, tree: Indexed) -> Node:
    """The body of x.sum(k) and its like, from that of x."""
    kind, axes = tree.arg
    source = tree.src[0]
    placed: list[Indexed] = []
    while source.op == "at":
        placed.append(source)
        source = source.src[0]
    body = _terms(low, tree, low.by_id[id(source)])
    sizes = [low.size[a] for a in axes]
    count = product(sizes)
    choose = _TRUTH.get(kind, kind)
    if placed:
        return _placed(low, tree, body, placed)
    if choose in ("max", "min", "argmax", "argmin") and count == 0:
        if kind in _TRUTH:
            return ir.const(kind == "all", dt.bool_)
        if tree.shown is not None:
            return ir.const(neutral(choose, body.dtype), body.dtype)
        raise low.closing.nothing_to_choose(tree)
    choose = "sum" if kind == "mean" else choose
    order = _order(low, choose, axes, source)
    shared: list[tuple[str, Node]] = []
    if choose == "sum" and order != "dot" and count != 0:
        apart = as_product(low, body, axes)
        if apart is not None:
            body, shared = apart
            order = "dot"
    if order == "dot":
        body = _guards_outside(body)
    total = _over(low, choose, axes, body, order)
    for op, factor in shared:
        total = _scaled(total, op, factor)
    if order == "dot" and low.products > 1 and all(a in low.closing.axes for a in tree.free):
        # One kernel computes one sum of products in register tiles, and finishes it; the others
        # are tensors, as if each had been closed by an `order` of its own. (Not where that is
        # larger than the result: a sum inside of another reduction.)
        from .recur import stored

        total = stored(low, total)
    if kind == "mean":
        total = _scaled(total, "div", ir.extent(count))
    return total


def _terms(low: Lowering, tree: Indexed, body: Node) -> Node:
    """The terms in the type in which they are combined."""
    kind = tree.arg[0]
    if kind == "mean" and not body.dtype.is_float:
        raise low.closing.refused(
            tree, f"mean needs a floating type, not {body.dtype.name}", "write x.float().mean(…)"
        )
    if kind in ("sum", "prod") and not body.dtype.is_float:
        return ir.cast(body, dt.int64)
    if kind in ("argmax", "argmin") and body.dtype is dt.bool_:
        return ir.cast(body, dt.uint8)
    return ir.cast(body, dt.bool_) if kind in _TRUTH else body


def _over(low: Lowering, kind: str, axes: Sequence[Axis], body: Node, order: str) -> Node:
    variables, pairs = ir.fresh(body.depth, [low.size[a] for a in axes])
    for (uid, _), a in zip(pairs, axes, strict=True):
        low.names[uid] = a.name if low.names.get(uid, a.name) == a.name else ""
    mapping = {ir.axis(a): v for a, v in zip(axes, variables, strict=True)}
    return ir.reduce(kind, pairs, substitute(body, mapping), order)


def _scaled(total: Node, op: str, factor: Node) -> Node:
    """A sum multiplied (or divided) by a number of its type."""
    dtype = total.dtype
    if dtype.bits == 16 and total.op == "cast":  # before the one rounding
        total = total.src[0]
    return ir.cast(ir.alu(op, total, ir.cast(factor, total.dtype)), dtype)


# ---- terms that go to positions ------------------------------------------------------------------


def _placed(low: Lowering, tree: Indexed, body: Node, placed: Sequence[Indexed]) -> Node:
    """Σ of the terms whose index is this position: a search by data, which the compiler runs as a
    sort; so it is a tensor of its own."""
    from .recur import refuse_carry, stored

    kind, axes = tree.arg
    refuse_carry(low, tree)
    if kind.startswith("arg"):
        raise low.closing.refused(
            tree, f"{kind} after at(…): there may be no term to choose",
            f"write gu.where(gu.eq(index, b), x, −∞).{kind}(…)",
        )  # fmt: skip
    places = [_index(low, p) for p in placed]
    if any(not from_data(place) for place in places):
        return _inverted(low, tree, body, placed, places)
    here: Node | None = None
    for p, place in zip(placed, places, strict=True):
        equal = ir.alu("eq", place, ir.axis(p.arg))
        here = equal if here is None else ir.alu("and", here, equal)
    assert here is not None
    if kind == "mean":
        one, none = ir.const(1, dt.int64), ir.const(0, dt.int64)
        count = stored(low, _over(low, "sum", axes, ir.where(here, one, none), "seq"))
        return stored(low, _scaled(_at(low, "sum", axes, here, body), "div", count))
    if kind in _TRUTH:
        found = _at(low, _TRUTH[kind], axes, here, ir.cast(body, dt.uint8))
        return stored(low, ir.cast(found, dt.bool_))
    return _at(low, kind, axes, here, body)


def _inverted(
    low: Lowering, tree: Indexed, body: Node, at: Sequence[Indexed], places: Sequence[Node]
) -> Node:
    """Terms whose position is computed from axes: who goes to a position is solved for, so that
    nobody searches: x[i].at(c, 2*i + 1) is x[(c - 1) // 2] where c is odd."""
    kind = tree.arg[0]
    if kind == "mean":
        counted = ir.const(1, dt.int64)
        total = _solved(low, tree, body, at, places, "sum")
        return _scaled(total, "div", _solved(low, tree, counted, at, places, "sum"))
    if body.dtype is dt.bool_:  # max or min of truth values
        found = _solved(low, tree, ir.cast(body, dt.uint8), at, places, _TRUTH.get(kind, kind))
        return ir.cast(found, dt.bool_)
    return _solved(low, tree, body, at, places, kind)


def _solved(
    low: Lowering, tree: Indexed, body: Node, at: Sequence[Indexed], places: Sequence[Node],
    kind: str,
) -> Node:  # fmt: skip
    own = [p.arg for p in at]
    known = [*own, *(a for a in tree.free if a not in own)]
    shape = tuple([low.size[a] for a in known])
    absent = ir.const(neutral(kind, body.dtype), body.dtype)
    axes = tree.arg[1]
    if any(int(low.size[a]) == 0 for a in axes):
        return absent
    # A position is an output variable, or 0 on an axis of one.
    positions = [
        ir.out(d) if n != 1 or isinstance(n, Extent) else ir.index(0) for d, n in enumerate(shape)
    ]
    here = {ir.axis(a): p for a, p in zip(known, positions, strict=True)}
    indices = [*(substitute(p, here) for p in places), *positions[len(places) :]]
    sizes = {ir.axis(a): low.size[a] for a in axes}
    found = solve.placed(shape, indices, substitute(body, here), sizes, kind, absent)
    back = {p: ir.axis(a) for a, p in zip(known, positions, strict=True) if p.op == "out"}
    found = substitute(found, back)
    for n in body_nodes(found):
        for uid, _ in n.arg[1] if n.op == "reduce" else ():
            low.names.setdefault(uid, "")
    return found


def from_data(index: Node) -> bool:
    """Does an index come from data?"""
    return any(n.op == "read" or n.op in TENSOR_OPS for n in body_nodes(index))


def _at(low: Lowering, kind: str, axes: Sequence[Axis], here: Node, body: Node) -> Node:
    from .recur import stored

    absent = ir.const(neutral(kind, body.dtype), body.dtype)
    if body.dtype is dt.bool_:  # max or min of truth values
        return ir.cast(_at(low, kind, axes, here, ir.cast(body, dt.uint8)), dt.bool_)
    if any(int(low.size[a]) == 0 for a in axes):
        return absent
    return stored(low, _over(low, kind, axes, ir.where(here, body, absent), "seq"))


def _index(low: Lowering, tree: Indexed) -> Node:
    """The position that x.at(b, index) names, inside its axis, or an error when it runs."""
    source, size = tree.src[1], low.size[tree.arg]
    index = low.by_id[id(source)]
    if index.dtype.is_float or index.dtype.kind == "b":
        raise low.closing.wrong_index_type(tree, 1, index.dtype.name)
    index = ir.cast(index, dt.int64)
    bounds = low.interval(index)
    if bounds[0] >= 0 and bounds[1] < size:
        return index
    if not from_data(index):
        if verdict(source, int(size), (), low.size).inside:
            return index
        raise low.closing.leaves(tree, 1, bounds, int(size), low.size)
    place = low.data_index(source, index, size)
    if place is index and source.op == "read":  # looked at already
        return place
    return ir.checked(place, 0, (size,), low.site(tree, [1], True))


# ---- the order of a sum --------------------------------------------------------------------------


def _order(low: Lowering, kind: str, axes: Sequence[Axis], source: Indexed) -> str:
    found = _product(source) if kind == "sum" else ()
    if (
        found
        and low.by_id[id(source)].dtype.is_float
        and len({s.arg[0].dtype for s in found}) == 1
    ):
        return "dot"
    for tree in postorder(source):
        last = tree.src[-1] if tree.op == "read" and tree.src else None
        if isinstance(last, Axis) and last in axes:
            return "lanes"
    return "seq"


def factors(reduction: Indexed) -> tuple[Indexed, ...]:
    """The tensors read by the factors of a sum of products; none of another reduction."""
    kind, axes = reduction.arg
    if kind not in ("sum", "mean"):
        return ()
    return _product(reduction.src[0]) or factors_apart(reduction.src[0], axes)


def _product(source: Indexed) -> tuple[Indexed, ...]:
    """The two tensors of a product of two, or of 0 where a condition fails; else none."""
    if source.op == "where" and source.src[2].op == "number" and source.src[2].arg == 0:
        source = source.src[1]
    plain = source.op == "binary" and source.arg == "mul"
    return tuple(source.src) if plain and all(s.op == "read" for s in source.src) else ()


def _guards_outside(product: Node) -> Node:
    """A product whose factor is zero beyond an edge is no term there: where(c, x, 0)·w becomes
    where(c, x·w, 0), so that the loops need not run there at all."""
    if product.op != "mul":
        return product
    conditions: list[Node] = []
    plain = []
    for factor in product.src:
        while factor.op == "where" and factor.src[2].op == "const" and factor.src[2].value == 0:
            conditions.append(factor.src[0])
            factor = factor.src[1]
        plain.append(factor)
    if not conditions:
        return product
    inside = conditions[0]
    for c in conditions[1:]:
        inside = ir.alu("and", inside, c)
    return ir.where(inside, ir.alu("mul", *plain), ir.const(0, product.dtype))
