"""Recipes: how some nodes were made from given ones, to make them again from others.

A training loop that is not captured writes the same expressions in every step; what was worked out
once for one form of expression is only filled in for the next. Must not know what is worked out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from .extent import symbolic_key
from .node import Node, make
from .transform import toposort


class _Step(NamedTuple):
    """One node to make; a source is a position among known nodes, or a node for all fillings."""

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
        for op, dtype, shape, arg, value, sources in self.steps:
            src = tuple([nodes[s] if type(s) is int else s for s in sources])
            nodes.append(make(op, dtype, shape, src, arg, value))  # type: ignore[arg-type]
        return [nodes[r] for r in self.results]


def facts(tensor: Node) -> tuple[Any, ...]:
    """What an expression may depend on of a tensor that it reads, apart from its value."""
    shape = tensor.shape
    return shape, symbolic_key(shape), tensor.dtype, tensor.depth, tensor.tracked


def placeholder(i: int, tensor: Node) -> Node:
    """A tensor with the facts of another, and no memory."""
    handle = ("placeholder", i, tensor.depth, tensor.tracked)
    node = make("buffer", tensor.dtype, tensor.shape, (), handle)
    node.depth, node.tracked = tensor.depth, tensor.tracked
    return node


def record(given: Sequence[Node], results: Sequence[Node]) -> Recipe:
    """How `results` are made from `given` (placeholders, or expressions that are known as well)."""
    place: dict[Node, int | Node] = {n: i for i, n in enumerate(given)}
    steps: list[_Step] = []

    def add(n: Node, sources: tuple[int | Node, ...]) -> None:
        place[n] = len(given) + len(steps)
        steps.append(_Step(n.op, n.dtype, n.shape, n.arg, n.value, sources))

    for n in toposort(results, stop=lambda n: n in place):
        if n in place:
            continue
        sources = tuple(place[s] for s in n.src)
        if any(type(s) is int for s in sources):
            add(n, sources)
        else:
            place[n] = n
    # A result that is the same whatever is given needs a place as well.
    for n in results:
        if type(place[n]) is not int:
            add(n, tuple(place[s] for s in n.src))
    return Recipe(steps, [p for n in results if isinstance(p := place[n], int)])
