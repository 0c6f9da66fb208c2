"""The names that a user gave to the axes of a loop nest, and what follows from them for its
derivatives: for people, beside nodes, no part of their identity. Must not know where the names are
shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from .node import Node, out, red
from .transform import body_nodes

Names = tuple[Sequence[str], Sequence[str]]


class _Derived(NamedTuple):
    """Where the names of a derivative come from: the loop nest that it belongs to, the derivative
    by that one's elements, and the tensor by which it is taken."""

    nest: Node
    total: Node
    source: Node


def remember(node: Node, given: Names) -> None:
    """Note the names of a loop nest's output variables, and of its reductions' variables in the
    order of their ids ("": unknown)."""
    node.names = given


def derive(node: Node, nest: Node, total: Node, source: Node) -> None:
    """Note that a tensor is the part that a loop nest has in the derivative by `source`, where
    `total` is the derivative by the nest. Its names are found when they are asked for."""
    if node.op == "loops" and getattr(node, "names", None) is None:
        node.names = _Derived(nest, total, source)


def _name(given: str) -> str:
    """A name that says something: not a0, a1, …, which axes have that were made by number."""
    return "" if _NUMBERED.fullmatch(given) else given


_NUMBERED = re.compile(r"a\d+")


def names_of(node: Node) -> tuple[tuple[str, ...], dict[int, str]]:
    """(names of the output variables, "" where one has none; name of each reduction variable by
    id); empty where nobody gave names."""
    found: Names | _Derived | None = getattr(node, "names", None)
    chain: list[tuple[Node, _Derived]] = []  # a derivative of a derivative of …
    while isinstance(found, _Derived):
        if any(node is known for known, _ in chain):
            return (), {}  # equal nests are one: each may be a derivative of the other
        chain.append((node, found))
        node = found.nest
        found = getattr(node, "names", None)
    outs, inner = _given(node, found)
    for node, derived in reversed(chain):
        outs, inner = _followed(node, derived, outs, inner)
    return outs, inner


def _given(node: Node, found: Names | None) -> tuple[tuple[str, ...], dict[int, str]]:
    if found is None:
        return (), {}
    reductions = (n for n in body_nodes(node.src[0]) if n.op == "reduce")
    ids = sorted({uid for n in reductions for uid, _ in n.arg[1]})
    if len(ids) != len(found[1]):
        return tuple(map(_name, found[0])), {}
    inner = {uid: _name(name) for uid, name in zip(ids, found[1])}
    return tuple(map(_name, found[0])), {uid: name for uid, name in inner.items() if name}


def _followed(
    node: Node, derived: _Derived, outs: Sequence[str], inner: dict[int, str]
) -> tuple[tuple[str, ...], dict[int, str]]:
    """The names of a derivative's variables: what walks along an axis of a tensor that the nest
    walks along by itself as well is called as there."""
    nest, total, source = derived
    called: dict[Node, str] = {out(i): name for i, name in enumerate(outs)}
    called.update((red(uid), name) for uid, name in inner.items())
    walks: dict[tuple[Node, int], dict[str, None]] = {}  # (tensor, its axis) → names
    for i, name in enumerate(outs):
        for tensor in (total, nest):
            walks.setdefault((tensor, i), {})[name] = None
    for n in body_nodes(nest.src[0]):
        for d, index in enumerate(n.src[1:] if n.op == "read" else ()):
            walks.setdefault((n.src[0], d), {})[called.get(index, "")] = None
    mine: list[str] = []
    for d in range(node.ndim):
        mine.append(_free(walks.get((source, d), {}), mine))
    found: dict[int, str] = {}
    for r in (n for n in body_nodes(node.src[0]) if n.op == "reduce"):  # inner ones first
        inside = body_nodes(r.src[0])
        for uid, _ in r.arg[1]:
            taken = [*mine, *(found.get(n.arg, "") for n in inside if n.op == "red")]
            along = {
                name: None for n in inside if n.op == "read"
                for d, index in enumerate(n.src[1:]) if index is red(uid)
                for name in walks.get((n.src[0], d), {})
            }  # fmt: skip
            found[uid] = _free(along, taken)
    return tuple(mine), {uid: name for uid, name in found.items() if name}


def _free(names: dict[str, None], taken: Sequence[str]) -> str:
    """The first of some names that says something and is not taken."""
    return next((name for name in names if name and name not in taken), "")


def derived_from(node: Node) -> Node | None:
    """The loop nest whose derivative this one is a part of, if it is known to be one."""
    found = getattr(node, "names", None)
    return found.nest if isinstance(found, _Derived) else None
