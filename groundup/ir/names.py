"""The names that a user gave to the axes of a loop nest: for people, beside nodes, no part of their
identity. Must not know where the names are shown."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from .node import Node
from .transform import body_nodes

_given: WeakKeyDictionary[Node, tuple[tuple[str, ...], tuple[str, ...]]] = WeakKeyDictionary()


def remember(node: Node, outs: Sequence[str], reductions: Sequence[str]) -> None:
    """Note the names of a loop nest's output variables, and of its reductions' variables in the
    order of their ids ("": unknown)."""
    _given[node] = tuple(outs), tuple(reductions)


def names_of(node: Node) -> tuple[tuple[str, ...], dict[int, str]]:
    """(names of the output variables, name of each reduction variable by id); empty where nobody
    gave names."""
    found = _given.get(node)
    if found is None:
        return (), {}
    reductions = (n for n in body_nodes(node.src[0]) if n.op == "reduce")
    ids = sorted({uid for n in reductions for uid, _ in n.arg[1]})
    if len(ids) != len(found[1]):
        return found[0], {}
    return found[0], {uid: name for uid, name in zip(ids, found[1]) if name}
