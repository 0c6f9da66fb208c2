"""Derivatives of loop nests are worked out once for each form of nest, then only filled in.

A training loop that is not captured asks for the same derivatives in every step. A nest's form is
its body with the tensors that it reads numbered instead of named. Must not know how a derivative
is worked out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..ir.extent import symbolic_key
from ..ir.node import Node, loops, make
from ..ir.transform import substitute, toposort

_KEPT = 4096  # forms remembered
_VARIABLES = frozenset(("const", "extent", "out", "red", "axis"))
Derive = Callable[[Node, Node], list[tuple[Node, Node]]]


class Form(NamedTuple):
    """A loop nest apart from its tensors, and the tensors."""

    key: tuple[Any, ...]
    tensors: list[Node]


class _Step(NamedTuple):
    """One node to make; a source is a position among known nodes, or a node for all fillings."""

    op: str
    dtype: Any
    shape: tuple[int, ...]
    arg: Any
    value: Any
    sources: tuple[int | Node, ...]


class _Template(NamedTuple):
    """How to fill in a form: nodes to make, then the (tensor, gradient) pairs among them."""

    steps: list[_Step]
    pairs: list[tuple[int, int]]


_templates: dict[tuple[Any, ...], _Template] = {}


def form(node: Node) -> Form:
    """What a loops node computes, as a key that equal computations on other tensors share."""
    place: dict[Node, int | Node] = {}  # a position among `entries`, or the node where no tensor is
    entries: list[tuple[Any, ...]] = []
    slots: dict[Node, int] = {}
    stack = [node.src[0]]
    while stack:
        n = stack[-1]
        if n in place:
            stack.pop()
            continue
        op = n.op
        if op in _VARIABLES:
            place[n] = n
            stack.pop()
            continue
        operands = n.src[1:] if op == "read" else n.src
        missing = [s for s in operands if s not in place]
        if missing:
            stack += missing
            continue
        stack.pop()
        refs = tuple([place[s] for s in operands])
        if op == "read":
            entries.append((slots.setdefault(n.src[0], len(slots)), refs))
        elif any(type(r) is int for r in refs):
            entries.append((op, n.dtype, n.arg, refs))
        else:
            place[n] = n
            continue
        place[n] = len(entries) - 1
    shape = node.shape
    facts = tuple([_facts(t) for t in slots])
    key = (shape, symbolic_key(shape), tuple(entries), place[node.src[0]], facts)
    return Form(key, list(slots))


def _facts(tensor: Node) -> tuple[Any, ...]:
    """What a derivative may depend on of a tensor that is read."""
    shape = tensor.shape
    return shape, symbolic_key(shape), tensor.dtype, tensor.depth, tensor.tracked


def fill(node: Node, known: Form, gradient: Node, derive: Derive) -> list[tuple[Node, Node]]:
    """derive(node, gradient), remembered for all nodes of one form."""
    key = (*known.key, _facts(gradient))
    template = _templates.get(key)
    if template is None:
        if len(_templates) >= _KEPT:
            del _templates[next(iter(_templates))]
        template = _templates[key] = _work_out(node, known.tensors, gradient, derive)
    nodes = [*known.tensors, node, gradient]
    for op, dtype, shape, arg, value, sources in template.steps:
        src = tuple([nodes[s] if type(s) is int else s for s in sources])
        nodes.append(make(op, dtype, shape, src, arg, value))  # type: ignore[arg-type]
    return [(nodes[source], nodes[part]) for source, part in template.pairs]


def _work_out(node: Node, tensors: Sequence[Node], gradient: Node, derive: Derive) -> _Template:
    """The derivative with placeholders for tensors, as steps that make it for others."""
    holders = [_placeholder(i, t) for i, t in enumerate([*tensors, gradient])]
    body = substitute(node.src[0], dict(zip(tensors, holders, strict=False)))
    nest = loops(node.shape, body)
    pairs = derive(nest, holders[-1])
    given = [*holders[:-1], nest, holders[-1]]
    place: dict[Node, int | Node] = {n: i for i, n in enumerate(given)}
    steps: list[_Step] = []
    for n in toposort((n for pair in pairs for n in pair), stop=lambda n: n in place):
        if n in place:
            continue
        sources = tuple(place[s] for s in n.src)
        if any(type(s) is int for s in sources):
            place[n] = len(given) + len(steps)
            steps.append(_Step(n.op, n.dtype, n.shape, n.arg, n.value, sources))
        else:
            place[n] = n
    # A gradient that is the same whatever is read needs a place as well.
    for n in (n for pair in pairs for n in pair):
        if type(place[n]) is not int:
            sources = tuple(place[s] for s in n.src)
            place[n] = len(given) + len(steps)
            steps.append(_Step(n.op, n.dtype, n.shape, n.arg, n.value, sources))
    return _Template(steps, [(_position(place[s]), _position(place[p])) for s, p in pairs])


def _position(place: int | Node) -> int:
    assert isinstance(place, int)
    return place


def _placeholder(i: int, tensor: Node) -> Node:
    """A tensor with the facts of another, and no memory."""
    handle = ("placeholder", i, tensor.depth, tensor.tracked)
    node = make("buffer", tensor.dtype, tensor.shape, (), handle)
    node.depth, node.tracked = tensor.depth, tensor.tracked
    return node
