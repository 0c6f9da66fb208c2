"""Derivatives of loop nests are worked out once for each form of nest, then only filled in.

A training loop that is not captured asks for the same derivatives in every step. Must not know how
a derivative is worked out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..ir.node import Node, loops
from ..ir.recipe import Form, Recipe, facts, forget_oldest, placeholder, record, renumbered
from ..ir.transform import substitute

_KEPT = 4096  # forms remembered
Derive = Callable[[Node, Node], list[tuple[Node, Node]]]


_templates: dict[tuple[Any, ...], Recipe] = {}


def fill(node: Node, known: Form, gradient: Node, derive: Derive) -> list[tuple[Node, Node]]:
    """derive(node, gradient), remembered for all nodes of one form."""
    key = (*known.key, facts(gradient))
    template = _templates.get(key)
    if template is None:
        if len(_templates) >= _KEPT:
            forget_oldest(_templates)
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
