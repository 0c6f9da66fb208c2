"""Functions that are called with a derivative when it is known, and may give another to go on with.

A hook belongs to a value: where a tensor is used after it was registered, a node marks the place;
where it has been used before, the node of its value is the place. Must not know derivatives.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any

from ..ir import node as ir
from ..ir.node import Node
from . import storage as store
from .core import Core, Paired, operand, wrap
from .errors import GradError, ShapeError, at_line, lined_up
from .leaf import Leaf
from .mode import Block

if TYPE_CHECKING:
    from .tensor import Tensor

Hook = Callable[[Any], Any]
_numbers = count()
# Values that had been used before a hook, or retain_grad, was asked for.
_places: weakref.WeakKeyDictionary[Node, Leaf] = weakref.WeakKeyDictionary()


class RemovableHandle:
    """What registering a hook gives: `remove()` takes it away again, as does the end of a `with`.

    >>> x = gu.ones(2, requires_grad=True)
    >>> with x.register_hook(lambda g: g * 2):
    ...     x.sum().backward()
    >>> x.sum().backward()
    >>> x.grad.tolist()
    [3.0, 3.0]
    """

    def __init__(self, hooks: dict[int, Any], hook: Any, first: bool = False) -> None:
        store.changes += 1
        self.id = next(_numbers)
        self._hooks = hooks
        hooks[self.id] = hook
        if first:
            rest = [k for k in hooks if k != self.id]
            for k in rest:
                hooks[k] = hooks.pop(k)

    def remove(self) -> None:
        """Take the hook away."""
        store.changes += 1
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


def register(t: Core, hook: Hook) -> RemovableHandle:
    """Have `hook` called with the derivative by t's present value."""
    if isinstance(t, Paired):
        return register(t._pair, lambda g: _pair_of(hook(t.over(lambda _: g))))
    if not (t.tracked() and t.dtype.is_float):
        raise GradError(
            "register_hook: this tensor does not require grad, so that there is no derivative to "
            "be called with" + at_line()
        )
    leaf = place(t, "register_hook")
    if leaf.hooks is None:
        leaf.hooks = {}
    return RemovableHandle(leaf.hooks, hook)


def _pair_of(result: Any) -> Any:
    return result._pair if isinstance(result, Paired) else result


def register_after(t: Core, hook: Hook) -> RemovableHandle:
    """Have `hook` called with a leaf once `.backward()` has added to its `.grad`."""
    if isinstance(t, Paired):
        return register_after(t._pair, lambda _: hook(t))
    if t._leaf is None:
        raise GradError(
            "register_post_accumulate_grad_hook: only a leaf, made with requires_grad, has its "
            "derivatives summed up; see register_hook" + at_line()
        )
    if t._leaf.after is None:
        t._leaf.after = {}
    return RemovableHandle(t._leaf.after, hook)


def place(t: Core, operation: str) -> Leaf:
    """Where the derivative by a tensor passes: its leaf, or one for its present value."""
    if t._leaf is not None:
        return t._leaf
    if t._retains is not None and t._retained():
        return t._retains
    leaf = Leaf(t, keeps=False)
    leaf.version = t._storage.version
    if t._used != leaf.version:
        t._retains, t._known = leaf, None
        return leaf
    node = t.node
    if node not in _places:
        if t._parent is not None or not store.alone(node, t._storage):
            raise GradError(
                f"{operation}: this tensor has been used before, and it is a view, or another "
                f"tensor has its value, too: which part of the derivative is whose cannot be told; "
                f"call it before the tensor is used" + at_line()
            )
        _places[node] = leaf
    return _places[node]


def retain(t: Core) -> None:
    """Have `.grad` filled by `.backward()`, though t is no leaf."""
    if t._leaf is None:
        place(t, "retain_grad").keeps = True


def watched(node: Node) -> bool:
    """Is a value, which had been used before, the place of a hook or of `.grad`?"""
    return bool(_places) and node in _places


def passed(nodes: Iterable[Node]) -> dict[Node, Leaf]:
    """Of nodes that derivatives pass: the places that have hooks, or keep what passes."""
    found: dict[Node, Leaf] = {}
    for node in nodes:
        if node.op == "leaf":
            if isinstance(node.arg, Leaf) and (node.arg.hooks or node.arg.wanted() is not None):
                found[node] = node.arg
        elif _places:
            leaf = _places.get(node)
            if leaf is not None:
                found[node] = leaf
    return found


def called(leaf: Leaf, total: Node, create_graph: bool, root: Core) -> Node:
    """What hooks make of a derivative of `root`."""
    if not leaf.hooks:
        return total
    with Block("grad", create_graph):
        for hook in list(leaf.hooks.values()):
            given = _seen(total if create_graph else ir.detach(total), root)
            result = hook(given)
            if result is not None:
                total = _checked(result, given)
    return total


def _seen(node: Node, root: Core) -> Tensor:
    """A derivative as a tensor, without taking it from one that holds it."""
    owner = node.owner
    result = wrap(root, node, root)
    if owner is not None and owner() is not None:
        node.owner = owner
    return result


def _checked(result: Any, given: Core) -> Node:
    if not isinstance(result, Core):
        raise TypeError(
            f"a hook gives a tensor, the derivative to go on with, or None, not a "
            f"{type(result).__name__}" + at_line()
        )
    if result._shape != given._shape:
        raise ShapeError(
            "a hook gives a derivative of the shape that it was given"
            + lined_up(given=given._shape, result=result._shape) + at_line()
        )  # fmt: skip
    if result.dtype is not given.dtype:
        raise TypeError(
            f"a hook gives a derivative of the type that it was given, {given.dtype.name}, not "
            f"{result.dtype.name}; convert it with .to()" + at_line()
        )
    return result.node


# ---- several tensors at once ---------------------------------------------------------------------

Passing = Callable[[list[Any]], list[Any]]


def passing(name: str, tensors: list[Any], seen: Passing) -> list[Any]:
    """The same tensors, of which `seen` is given the derivatives once all that reach them are
    known (None where there is none), and gives those to go on with."""
    nodes = [operand(t) for t in tensors]
    call = ir.call(_Pass(name, nodes, tensors, seen), nodes)
    found = []
    for k, (t, node) in enumerate(zip(tensors, nodes, strict=True)):
        result = ir.result(ir.detach(node), call, k)
        result.line = node.line
        found.append(wrap(t, result, t))
    return found


class _Pass:
    """The derivative of what gives back its operands; plain: the results in forward mode, which
    passes no hook."""

    linear = True

    def __init__(self, name: str, nodes: list[Node], tensors: list[Any], seen: Passing) -> None:
        self.name, self.plain, self.seen, self.like = name, nodes, seen, tensors

    def __call__(self, call: Node, totals: Mapping[int, Node]) -> list[Node | None]:
        given = [
            _seen(totals[k], t) if k in totals else None for k, t in enumerate(self.like)
        ]
        found = self.seen(given)
        return [
            None if g is None else _checked(g, t)
            for g, t in zip(found, self.like, strict=True)
        ]
