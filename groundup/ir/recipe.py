"""Recipes: how some nodes were made from given ones, to make them again from others.

A training loop that is not captured writes the same expressions in every step; what was worked out
once for one form of expression is only filled in for the next: so are equal layers of a deep
network. Must not know what is worked out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from .extent import symbolic_key
from .node import Node, at_site, make, red
from .transform import TENSOR_OPS, body_nodes, toposort


def forget_oldest(known: dict[Any, Any]) -> None:
    """Make room among what is remembered. Other threads may do the same at once: no harm if it is
    not the oldest, or if nothing is forgotten this time."""
    with suppress(KeyError, RuntimeError, StopIteration):
        del known[next(iter(known))]


class _Step(NamedTuple):
    """One node to make; a source is a position among known nodes, or a node for all fillings.

    Ids of reduction variables count from 1 and are moved above the depth of what is given.
    """

    op: str
    dtype: Any
    shape: tuple[int, ...]
    arg: Any
    value: Any
    sources: tuple[int | Node, ...]


class Recipe(NamedTuple):
    """Nodes to make after the given ones, and the positions of the results."""

    steps: list[_Step]
    results: list[int]

    def follow(self, given: Sequence[Node]) -> list[Node]:
        """The results for other given nodes, which have the facts of those recorded."""
        nodes = list(given)
        above = max([n.depth for n in given], default=0)
        for op, dtype, shape, arg, value, sources in self.steps:
            src = tuple([nodes[s] if type(s) is int else s for s in sources])
            if above and op in _NUMBERED:
                arg = moved(op, arg, above)
            nodes.append(make(op, dtype, shape, src, arg, value))  # type: ignore[arg-type]
        return [nodes[r] for r in self.results]


_NUMBERED = ("red", "reduce")


def moved(op: str, arg: Any, by: int) -> Any:
    """The argument of a variable or a reduction, with other ids."""
    if op == "red":
        return arg + by
    return (arg[0], tuple([(i + by, e) for i, e in arg[1]]), *arg[2:])


def facts(tensor: Node) -> tuple[Any, ...]:
    """What an expression may depend on of a tensor that it reads, apart from its value."""
    shape = tensor.shape
    return shape, symbolic_key(shape), tensor.dtype, tensor.tracked


def placeholder(i: int, tensor: Node) -> Node:
    """A tensor with the facts of another, no memory, and no reductions inside."""
    node = make("buffer", tensor.dtype, tensor.shape, (), ("placeholder", i, tensor.tracked))
    node.tracked = tensor.tracked
    return node


def renumbered(body: Node) -> Node:
    """The body with the ids of its reduction variables as small as they can be, in their order."""
    nodes = body_nodes(body)
    ids = sorted({i for n in nodes if n.op == "reduce" for i, _ in n.arg[1]})
    number = {i: k for k, i in enumerate(ids, 1)}
    result: dict[Node, Node] = {}
    for n in nodes:
        if n.op in TENSOR_OPS or not n.src:
            result[n] = red(number[n.arg]) if n.op == "red" and n.arg in number else n
            continue
        src = tuple([result[s] for s in n.src])
        if n.op == "reduce":
            arg = (n.arg[0], tuple((number[i], e) for i, e in n.arg[1]), *n.arg[2:])
            result[n] = make("reduce", n.dtype, (), src, arg)
        else:
            result[n] = at_site(make(n.op, n.dtype, n.shape, src, n.arg, n.value), n.site)
    return result[body]


def record(given: Sequence[Node], results: Sequence[Node]) -> Recipe:
    """How `results` are made from `given` (placeholders, or expressions that are known as well)."""
    place: dict[Node, int | Node] = {n: i for i, n in enumerate(given)}
    steps: list[_Step] = []
    order = [n for n in toposort(results, stop=lambda n: n in place) if n not in place]
    lowest = min((i for n in order if n.op == "reduce" for i, _ in n.arg[1]), default=1)

    def add(n: Node, sources: tuple[int | Node, ...]) -> None:
        place[n] = len(given) + len(steps)
        arg = moved(n.op, n.arg, 1 - lowest) if n.op in _NUMBERED else n.arg
        steps.append(_Step(n.op, n.dtype, n.shape, arg, n.value, sources))

    for n in order:
        sources = tuple(place[s] for s in n.src)
        if n.op in _NUMBERED or any(type(s) is int for s in sources):
            add(n, sources)
        else:
            place[n] = n
    # A result that is the same whatever is given needs a place as well.
    for n in results:
        if type(place[n]) is not int:
            add(n, tuple(place[s] for s in n.src))
    return Recipe(steps, [p for n in results if isinstance(p := place[n], int)])


# ---- forms ---------------------------------------------------------------------------------------

_VARIABLES = frozenset(("const", "extent", "out", "axis"))


class Form(NamedTuple):
    """A loop nest apart from its tensors, and the tensors."""

    key: tuple[Any, ...]
    tensors: list[Node]


def form(node: Node, names: Mapping[Node, Node] | None = None) -> Form:
    """What a loops node computes, as a key that equal computations on other tensors share.

    names: other tensors that are read in the place of those that the node reads.

    Of the ids of reduction variables, which depend on what is read, only the order counts.
    """
    place: dict[Node, int | Node] = {}  # a position among `entries`, or the node where no tensor is
    entries: list[tuple[Any, ...]] = []
    slots: dict[Node, int] = {}
    numbered: list[int] = []  # entries with ids
    for n in body_nodes(node.src[0]):
        op = n.op
        if op in _VARIABLES:
            place[n] = n
            continue
        if op == "read":
            refs = tuple([place[s] for s in n.src[1:]])
            slot = slots[n.src[0] if names is None else names[n.src[0]]]
            entries.append((slot, refs, n.site is not None))  # whose index nobody has looked at
        elif op == "red":
            entries.append((op, n.arg))
            numbered.append(len(entries) - 1)
        elif op in TENSOR_OPS:
            slots.setdefault(n if names is None else names[n], len(slots))
            continue
        else:
            refs = tuple([place[s] for s in n.src])
            if op == "reduce":
                entries.append((op, tuple([i for i, _ in n.arg[1]])))
                numbered.append(len(entries) - 1)
                sizes = tuple([e for _, e in n.arg[1]])
                entries.append((n.dtype, n.arg[0], sizes, *n.arg[2:], refs))
            elif int in map(type, refs):
                entries.append((op, n.dtype, n.arg, refs))
            else:
                place[n] = n
                continue
        place[n] = len(entries) - 1
    if numbered:
        _rank(entries, numbered)
    shape = node.shape
    known = tuple([facts(t) for t in slots])
    key = (shape, symbolic_key(shape), tuple(entries), place[node.src[0]], known)
    return Form(key, list(slots))


def _rank(entries: list[tuple[Any, ...]], numbered: list[int]) -> None:
    """Put the ranks of ids in the place of ids."""
    ids: set[int] = set()
    for at in numbered:
        arg = entries[at][1]
        ids.update((arg,) if type(arg) is int else arg)
    rank = {i: k for k, i in enumerate(sorted(ids))}
    for at in numbered:
        op, arg = entries[at]
        entries[at] = (op, rank[arg] if type(arg) is int else tuple([rank[i] for i in arg]))
