"""Derivatives of loop nests are worked out once for each form of nest, then only filled in.

A training loop that is not captured asks for the same derivatives in every step. A nest's form is
its body with the tensors that it reads numbered instead of named. Must not know how a derivative
is worked out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..ir.extent import symbolic_key
from ..ir.node import Node, loops
from ..ir.recipe import Recipe, facts, placeholder, record
from ..ir.transform import substitute

_KEPT = 4096  # forms remembered
_VARIABLES = frozenset(("const", "extent", "out", "red", "axis"))
Derive = Callable[[Node, Node], list[tuple[Node, Node]]]


class Form(NamedTuple):
    """A loop nest apart from its tensors, and the tensors."""

    key: tuple[Any, ...]
    tensors: list[Node]


_templates: dict[tuple[Any, ...], Recipe] = {}


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
    known = tuple([facts(t) for t in slots])
    key = (shape, symbolic_key(shape), tuple(entries), place[node.src[0]], known)
    return Form(key, list(slots))


def fill(node: Node, known: Form, gradient: Node, derive: Derive) -> list[tuple[Node, Node]]:
    """derive(node, gradient), remembered for all nodes of one form."""
    key = (*known.key, facts(gradient))
    template = _templates.get(key)
    if template is None:
        if len(_templates) >= _KEPT:
            del _templates[next(iter(_templates))]
        template = _templates[key] = _work_out(node, known.tensors, gradient, derive)
    found = template.follow([*known.tensors, node, gradient])
    return list(zip(found[::2], found[1::2], strict=True))


def _work_out(node: Node, tensors: Sequence[Node], gradient: Node, derive: Derive) -> Recipe:
    """The derivative with placeholders for tensors, as steps that make it for others."""
    holders = [placeholder(i, t) for i, t in enumerate([*tensors, gradient])]
    body = substitute(node.src[0], dict(zip(tensors, holders, strict=False)))
    nest = loops(node.shape, body)
    pairs = derive(nest, holders[-1])
    return record([*holders[:-1], nest, holders[-1]], [n for pair in pairs for n in pair])
