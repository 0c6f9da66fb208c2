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
from ..ir.recipe import Recipe, facts, placeholder, record, renumbered
from ..ir.transform import substitute

_KEPT = 4096  # forms remembered
_VARIABLES = frozenset(("const", "extent", "out", "axis"))
Derive = Callable[[Node, Node], list[tuple[Node, Node]]]


class Form(NamedTuple):
    """A loop nest apart from its tensors, and the tensors."""

    key: tuple[Any, ...]
    tensors: list[Node]


_templates: dict[tuple[Any, ...], Recipe] = {}


def form(node: Node) -> Form:
    """What a loops node computes, as a key that equal computations on other tensors share.

    Of the ids of reduction variables, which depend on what is read, only the order counts.
    """
    place: dict[Node, int | Node] = {}  # a position among `entries`, or the node where no tensor is
    entries: list[tuple[Any, ...]] = []
    slots: dict[Node, int] = {}
    numbered: list[int] = []  # entries with ids
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
        elif op == "red":
            entries.append((op, n.arg))
            numbered.append(len(entries) - 1)
        elif op == "reduce":
            entries.append((op, tuple([i for i, _ in n.arg[1]])))
            numbered.append(len(entries) - 1)
            sizes = tuple([e for _, e in n.arg[1]])
            entries.append((n.dtype, n.arg[0], sizes, *n.arg[2:], refs))
        elif any(type(r) is int for r in refs):
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
    body = renumbered(substitute(node.src[0], dict(zip(tensors, holders, strict=False))))
    nest = loops(node.shape, body)
    pairs = derive(nest, holders[-1])
    return record([*holders[:-1], nest, holders[-1]], [n for pair in pairs for n in pair])
