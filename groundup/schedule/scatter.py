"""Searches by data run as sorts: positions in order by row, then each row's own terms.

`sum over i of (v[i, k] if index[i] == j else 0)` as written compares every position with every row.
Here the positions are put in order by row first (stably, so that each row's terms keep their
order), then each row adds its own. The terms left out are the neutral element: no bit changes.
Knows kernels and memory; must not know who wrote the search.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..emit.kernel import Output, Placing, Ranks, Segments, Word
from ..ir import dtype as dt
from ..ir.extent import product
from ..ir.interval import stays_inside
from ..ir.node import Node, alu, const, extent, make, out, red, reduce, where
from ..ir.transform import body_nodes, free_variables, row_major, substitute
from .fuse import Group
from .lower import Lowering, Memory, Noted, Raw
from .nests import SERIAL, Parameters, access, finish, map_loads
from .search import Search, neutral
from .sizes import Size, add, mul, size_of, total, value

VECTORS = 8  # running vectors of one row at once


# ---- kernels -------------------------------------------------------------------------------------


def _row_number(found: Search, shape: tuple[int, ...]) -> tuple[Node, int] | None:
    """(the row of a position, or the number of rows where it has none; the number of rows); None
    where positions cannot be asked without their row."""
    sizes = [shape[d] for d, _ in found.rows]
    rows = product([*(shape[d] for d in found.batch), *sizes])
    row = row_major(
        (*(shape[d] for d in found.batch), *sizes),
        (*(out(d) for d in found.batch), *(ix for _, ix in found.rows)),
    )
    own = {red(uid) for uid, _ in found.reduction.arg[1]} | {out(d) for d in found.batch}
    valid = _valid(found, shape, own)
    return None if valid is None else (guarded(valid[0], row, extent(rows)), rows)


def ranks(
    found: Search, shape: tuple[int, ...], memory: dict[Node, Memory], table: object
) -> tuple[Ranks, Parameters, Lowering, Size] | None:
    """The kernel that puts positions in order by row; and the bytes of its table."""
    number = _row_number(found, shape)
    if number is None:
        return None
    row, rows = number
    variables = found.reduction.arg[1]
    low = Lowering(shape, reduce("max", variables, row), memory)
    params = Parameters()
    body = finish(low.result.src[0], params)
    loops = [(out(d), size_of(shape[d])) for d in found.batch]
    loops += [(red(uid), size_of(e)) for uid, e in variables]
    positions = total([s for _, s in loops])
    kernel = Ranks(
        tuple((v, params.size(s)) for v, s in loops), body,
        params.size(size_of(rows)), params.size(positions), params.pointer(table),
    )  # fmt: skip
    words = add(add(size_of(rows), 2), mul(positions, 2))
    return kernel, params, low, mul(words, 4)


def guarded(conditions: Sequence[Node], x: Node, absent: Node) -> Node:
    """x where all conditions hold, asked in this order, else `absent`."""
    for c in reversed(conditions):
        x = where(c, x, absent)
    return x


def _valid(
    found: Search, shape: tuple[int, ...], known: set[Node]
) -> tuple[list[Node], dict[int, list[Node]]] | None:
    """The conditions that a position has a row, as far as they depend on known variables; and for
    each row's axis those that are asked before its index.

    They are asked in their order: one may keep the reads of the next inside. What only a condition
    on other variables keeps inside is left out with it; None if that is an index.
    """
    conditions: list[Node] = []
    before: dict[int, list[Node]] = {}
    rows, variables, complete = dict(found.rows), found.reduction.arg[1], True

    def inside(x: Node) -> bool:
        return complete or stays_inside(reduce("max", variables, x), shape, conditions)

    for c in found.asked:
        if isinstance(c, int):
            ix = rows[c]
            if not inside(ix):
                return None
            before[c] = list(conditions)
            if ix.op != "checked" or int(ix.arg[1][ix.arg[0]]) != int(shape[c]):
                conditions += [alu("le", const(0, dt.int64), ix), alu("lt", ix, extent(shape[c]))]
        elif free_variables(c) <= known and inside(c):
            conditions.append(c)
        else:
            complete = False
    return conditions, before


def placing(
    found: Search, group: Group, memory: dict[Node, Memory], target: Memory, width: int
) -> tuple[Placing, Parameters, bool, Memory, Group, list[Noted]] | None:
    """One kernel that puts each position's term where it belongs: for single elements, where there
    is nothing to do at once in a row. None where rows are vectors, or a term may only be looked at
    where it has a row."""
    shape, params = group.shape, Parameters()
    kind, variables, _ = found.reduction.arg[:3]
    axes = sorted(range(len(shape)), key=lambda d: -value(target.strides[d]))
    rows = dict(found.rows)
    last = axes[-1]
    if target.strides[last] == 1 and last not in rows and last not in found.batch:
        return None
    if group.body.dtype is not found.reduction.dtype:
        return None
    hole = make("hole", found.reduction.dtype, (), (), 0)
    checks: list[Noted] = []

    def lowered(body: Node) -> Node:
        """A body at one position; its own variables are those of the reduction."""
        low = Lowering(shape, reduce("max", variables, body), memory, checks=checks)
        return finish(low.result.src[0], params)

    known = {out(d) for d in axes if d not in rows} | {red(uid) for uid, _ in variables}
    asked = _valid(found, shape, known)
    if asked is None:
        return None
    placed, before = asked
    valid = guarded(placed, const(True, dt.bool_), const(False, dt.bool_))
    keys = {d: guarded(before[d], ix, const(0, dt.int64)) for d, ix in found.rows}
    absent = const(neutral(kind, found.term.dtype), found.term.dtype)
    term = guarded(found.conditions, found.term, absent)
    if not free_variables(term).isdisjoint(out(d) for d in rows):
        # What depends on the row itself takes the one that this position has.
        term = guarded(placed, substitute(term, {out(d): ix for d, ix in found.rows}), absent)
    try:
        term = lowered(term)
    except IndexError:
        return None
    if checks:
        return None
    low = Lowering(shape, substitute(group.body, {found.reduction: hole}), memory, checks=checks)
    sizes = {d: params.size(target.shape[d]) for d in axes}
    terms = tuple((out(d), s) for d, s in enumerate(target.strides))
    output = Output(finish(low.result, params), access(
        Raw(target.ref, 0, terms, False, False), params))  # fmt: skip
    kernel = Placing(
        tuple((out(d), sizes[d]) for d in axes if d not in rows),
        tuple((out(d), sizes[d], lowered(keys[d])) for d in axes if d in rows),
        target.strides[last] == 1 and last in rows,
        tuple((red(uid), params.size(size_of(e))) for uid, e in variables),
        lowered(valid), kind, term, hole, output, width,
    )  # fmt: skip
    units = work = 1
    for d in axes:
        units *= 1 if d in rows else int(shape[d])
    for _, size in variables:
        work *= int(size)
    return kernel, params, units > 1 and units * work * 10 >= SERIAL, target, group, checks


class SegmentBuilder:
    """Builds the kernel in which each row combines the terms of its positions."""

    def __init__(
        self, found: Search, shape: tuple[int, ...], body: Node, memory: dict[Node, Memory],
        target: Memory, table: object, width: int,
    ) -> None:  # fmt: skip
        self.found, self.shape, self.target, self.table = found, shape, target, table
        self.width = width
        kind, variables, order = found.reduction.arg[:3]
        absent = const(neutral(kind, found.term.dtype), found.term.dtype)
        term = guarded(found.conditions, found.term, absent)
        plain = reduce(kind, variables, term, order)
        self.low = Lowering(shape, substitute(body, {found.reduction: plain}), memory)

    def build(self) -> tuple[Segments, Parameters, bool]:
        """(kernel, its parameters, whether several threads share it)."""
        found, target, params = self.found, self.target, Parameters()
        kind, variables, _ = found.reduction.arg[:3]
        axes = sorted(range(len(self.shape)), key=lambda d: -value(target.strides[d]))
        fixed = {*found.batch, *(d for d, _ in found.rows)}
        vector = bool(axes) and axes[-1] not in fixed and target.strides[axes[-1]] == 1
        terms = tuple((out(d), s) for d, s in enumerate(target.strides))
        where_to = access(Raw(target.ref, 0, terms, False, False), params)
        loops = tuple((out(d), params.size(target.shape[d])) for d in axes)
        sizes = dict(loops)
        hole = make("hole", found.reduction.dtype, (), (), 0)
        inner: list[Node] = []

        def take_out(node: Node) -> Node:
            if node.op != "reduce":
                return node
            inner.append(node.src[0])
            return hole

        output = Output(finish(map_loads(self.low.result, take_out), params), where_to)
        counts = tuple((red(uid), params.size(size_of(e))) for uid, e in variables)
        row = [out(d) for d in found.batch] + [out(d) for d, _ in found.rows]
        kernel = Segments(
            loops, vector, tuple((v, sizes[v]) for v in row), len(found.batch),
            counts, kind, finish(inner[0], params), hole, output, params.pointer(self.table),
            params.size(size_of(product([self.shape[v.arg] for v in row]))),
            self._positions(params), VECTORS, self.width,
        )  # fmt: skip
        return kernel, params, self._work() >= SERIAL

    def _positions(self, params: Parameters) -> Word:
        sizes = [size_of(self.shape[d]) for d in self.found.batch]
        sizes += [size_of(e) for _, e in self.found.reduction.arg[1]]
        return params.size(total(sizes))

    def _work(self) -> int:
        """About how many element-operations the kernel performs."""
        elements = terms = 1
        for d, size in enumerate(self.shape):
            elements *= int(size)
            if d not in (d for d, _ in self.found.rows):
                terms *= int(size)
        for _, size in self.found.reduction.arg[1]:
            terms *= int(size)
        return elements * 2 + terms * len(body_nodes(self.found.term))
