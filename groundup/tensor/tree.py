"""Nested tuples, lists and dicts of tensors: taken apart into their leaves and put together again.

Must not know what the leaves are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple


class Spec(NamedTuple):
    """How a nested value is built: the type of each level, its keys, and what is below."""

    kind: Any  # a type; None: a leaf
    keys: tuple[Any, ...] = ()
    below: tuple[Spec, ...] = ()

    @property
    def leaves(self) -> int:
        """The number of leaves."""
        return 1 if self.kind is None else sum(s.leaves for s in self.below)


LEAF = Spec(None)


def flatten(tree: Any) -> tuple[list[Any], Spec]:
    """The leaves of a nested value, in order, and how it is built."""
    kind = type(tree)
    if isinstance(tree, dict):
        keys, items = tuple(tree), list(tree.values())
    elif isinstance(tree, list | tuple):
        keys, items = (), list(tree)
    else:
        return [tree], LEAF
    leaves: list[Any] = []
    below = []
    for item in items:
        found, spec = flatten(item)
        leaves += found
        below.append(spec)
    return leaves, Spec(kind, keys, tuple(below))


def unflatten(leaves: Iterable[Any], spec: Spec) -> Any:
    """A nested value built as `spec` says."""
    return _built(iter(leaves), spec)


def _built(leaves: Iterator[Any], spec: Spec) -> Any:
    if spec.kind is None:
        return next(leaves)
    items = [_built(leaves, s) for s in spec.below]
    if issubclass(spec.kind, dict):
        return spec.kind(zip(spec.keys, items, strict=True))
    return spec.kind(*items) if hasattr(spec.kind, "_fields") else spec.kind(items)


def mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """The nested value with a function of each leaf in its place."""
    leaves, spec = flatten(tree)
    return unflatten([function(x) for x in leaves], spec)


def spread(prefix: Any, spec: Spec) -> list[Any] | None:
    """For each leaf of a nested value what `prefix`, which is built like its upper levels, says of
    the branch that it is on; None where it is built in another way.

    >>> from groundup.tensor.tree import flatten, spread
    >>> spread((0, {"w": None}), flatten((1, {"w": [2, 3]}))[1])
    [0, None, None]
    """
    if not isinstance(prefix, list | tuple | dict):
        return [prefix] * spec.leaves
    if spec.kind is None or isinstance(prefix, dict) != issubclass(spec.kind, dict):
        return None
    if isinstance(prefix, dict):
        if set(prefix) != set(spec.keys):
            return None
        items = [prefix[k] for k in spec.keys]
    else:
        items = list(prefix)
    if len(items) != len(spec.below):
        return None
    found: list[Any] = []
    for item, s in zip(items, spec.below, strict=True):
        part = spread(item, s)
        if part is None:
            return None
        found += part
    return found
