"""The names that a user gave to the axes of a loop nest: for people, beside nodes, no part of their
identity. Must not know where the names are shown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .node import Node
from .transform import body_nodes

Names = tuple[Sequence[str], Sequence[str]]


def remember(node: Node, given: Names) -> None:
    """Note the names of a loop nest's output variables, and of its reductions' variables in the
    order of their ids ("": unknown)."""
    node.names = given


def _name(given: str) -> str:
    """A name that says something: not a0, a1, …, which axes have that were made by number."""
    return "" if _NUMBERED.fullmatch(given) else given


_NUMBERED = re.compile(r"a\d+")


def names_of(node: Node) -> tuple[tuple[str, ...], dict[int, str]]:
    """(names of the output variables, "" where one has none; name of each reduction variable by
    id); empty where nobody gave names."""
    found: Names | None = getattr(node, "names", None)
    if found is None:
        return (), {}
    reductions = (n for n in body_nodes(node.src[0]) if n.op == "reduce")
    ids = sorted({uid for n in reductions for uid, _ in n.arg[1]})
    if len(ids) != len(found[1]):
        return tuple(map(_name, found[0])), {}
    inner = {uid: _name(name) for uid, name in zip(ids, found[1])}
    return tuple(map(_name, found[0])), {uid: name for uid, name in inner.items() if name}
