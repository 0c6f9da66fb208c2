"""Reductions that search: only the terms count whose index, read from data, is this row.

`sum over i of (v[i, k] if index[i] == j else 0)`: the adjoint of a gather, a scatter_add, a
histogram. Knows how such a reduction looks; must not know how it is run.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir import dtype as dt
from ..ir.extent import Extent
from ..ir.node import Node, alu, const, red, where
from ..ir.record import frozen
from ..ir.transform import body_nodes, free_variables, substitute


@frozen
class Search:
    """A reduction that keeps the terms of one row: its parts."""

    reduction: Node
    rows: tuple[tuple[int, Node], ...]  # (output axis, the index that must be equal to it)
    batch: tuple[int, ...]  # output axes that the indices depend on
    conditions: tuple[Node, ...]  # others that must hold
    term: Node
    asked: tuple[Node | int, ...]  # all in order: conditions, and the output axes of rows


def neutral(kind: str, dtype: dt.DType) -> bool | int | float:
    """The value that changes nothing when it is combined with others."""
    if kind in ("sum", "prod"):
        return int(kind == "prod")
    if dtype.is_float:
        return float("-inf") if kind == "max" else float("inf")
    return dtype.min if kind == "max" else dtype.max


def search(reduction: Node) -> Search | None:
    """The parts of a reduction that is a search of this kind, else None."""
    kind = reduction.arg[0]
    if kind.startswith("arg") or reduction.dtype.kind == "b":
        return None
    absent = neutral(kind, reduction.dtype)
    conditions: list[Node] = []
    term = reduction.src[0]
    while term.op == "where" and term.src[2].op == "const" and term.src[2].value == absent:
        conditions += _conjuncts(term.src[0])
        term = term.src[1]
    held = _counted(term) if kind == "sum" else None
    if held is not None:
        conditions += _conjuncts(held)
        term = const(1, term.dtype)
    rows: dict[int, Node] = {}
    asked: list[Node | int] = []
    for c in conditions:
        found = _row(c, reduction)
        if found is not None and found[0] not in rows:
            rows[found[0]] = found[1]
            asked.append(found[0])
        else:
            asked.append(c)
    if not rows:
        return None
    used = {v.arg for ix in rows.values() for v in free_variables(ix) if v.op == "out"}
    if used & set(rows):
        return None
    others = tuple(c for c in asked if isinstance(c, Node))
    batch = tuple(sorted(used))
    return Search(reduction, tuple(rows.items()), batch, others, term, tuple(asked))


def _counted(term: Node) -> Node | None:
    """The condition of a term that is 1 where it holds and 0 elsewhere: a bool as a number."""
    while term.op == "cast":
        term = term.src[0]
        if term.dtype.kind == "b":
            return term
    return None


def _conjuncts(condition: Node) -> list[Node]:
    if condition.op != "and":
        return [condition]
    return [c for s in condition.src for c in _conjuncts(s)]


def _row(condition: Node, reduction: Node) -> tuple[int, Node] | None:
    """(output axis, index) of the condition that an index read from data is that axis's value."""
    if condition.op != "eq" or condition.src[0].dtype is not dt.int64:
        return None
    own = {red(uid) for uid, _ in reduction.arg[1]}
    for axis, index in (condition.src, condition.src[::-1]):
        if axis.op == "out" and any(n.op == "read" for n in body_nodes(index)):
            free = free_variables(index)
            if axis not in free and free & own:
                return axis.arg, index
    return None


def search_in(body: Node) -> Search | None:
    """The search of a body that has one reduction and nothing but cheap work around it."""
    reductions = [n for n in body_nodes(body) if n.op == "reduce"]
    if len(reductions) != 1:
        return None
    found = search(reductions[0])
    if found is None or (found.reduction.arg[0] == "sum" and found.reduction.dtype.is_float
                         and found.reduction.arg[2] != "seq"):  # fmt: skip
        return None
    return found


def sites_once(body: Node, reading: Node) -> bool:
    """Is a read inside a search's term evaluated once for each position?"""
    found = search_in(body)
    if found is None or reading not in body_nodes(found.term):
        return False
    return all(
        reading not in body_nodes(c) for c in (*found.conditions, *(i for _, i in found.rows))
    )


def picked(body: Node, reductions: Sequence[Node]) -> Node:
    """The body (with these reductions) with each sum of zeros but for one term as that term.

    `sum over i < n of (v if i == label else 0)` is `v + 0 if 0 <= label < n else 0`, to the bit:
    what the derivative of a cross-entropy asks of its labels.
    """
    mapping = {n: term for n in reductions if (term := _only_term(n)) is not None}
    return substitute(body, mapping) if mapping else body


def _only_term(node: Node) -> Node | None:
    if node.op != "reduce" or node.arg[0] != "sum" or len(node.arg[1]) != 1:
        return None
    ((uid, size),) = node.arg[1]
    term, variable = node.src[0], red(uid)
    conditions = [n for n in body_nodes(term) if n.op == "eq" and variable in n.src]
    if len(conditions) != 1 or isinstance(size, Extent) or node.dtype.kind == "b":
        return None
    (condition,) = conditions
    label = condition.src[condition.src[0] is variable]
    absent = substitute(term, {condition: const(False, dt.bool_)})
    chosen = substitute(term, {condition: const(True, dt.bool_)})
    if absent.op != "const" or absent.value != 0:
        return None
    if variable in free_variables(chosen) | free_variables(label):
        return None
    first, end, zero = const(0, dt.int64), const(int(size), dt.int64), const(0, node.dtype)
    inside = alu("and", alu("le", first, label), alu("lt", label, end))
    return where(inside, alu("add", chosen, zero), zero)
