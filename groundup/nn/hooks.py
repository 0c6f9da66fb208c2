"""Functions that are called when a module is, before and after, and with its derivatives.

Must not know what a module computes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from groundup.tensor import Tensor, is_grad_enabled, zeros_like
from groundup.tensor.hooks import RemovableHandle, passing

if TYPE_CHECKING:
    from .module import Module

Hook = Callable[..., Any]


class ModuleHooks:
    """The hooks of one module, each kind in the order in which they are called."""

    def __init__(self) -> None:
        self.before: dict[int, tuple[Hook, bool]] = {}  # (hook, is it given keyword arguments?)
        self.after: dict[int, tuple[Hook, bool]] = {}
        self.backward_before: dict[int, Hook] = {}
        self.backward: dict[int, Hook] = {}

    def call(self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """module.forward(*args, **kwargs), and all hooks."""
        for hook, with_kwargs in list(self.before.values()):
            args, kwargs = _replaced(module, hook, with_kwargs, args, kwargs)
        watch = None
        if (self.backward or self.backward_before) and is_grad_enabled():
            watch = _Backward(module, self)
            args = watch.enter(args)
        result = module.forward(*args, **kwargs)
        for hook, with_kwargs in list(self.after.values()):
            given = (args, kwargs) if with_kwargs else (args,)
            other = hook(module, *given, result)
            result = result if other is None else other
        return result if watch is None else watch.leave(result)


def _replaced(
    module: Module, hook: Hook, with_kwargs: bool, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments after a hook has seen them."""
    name = type(module).__name__
    if with_kwargs:
        other = hook(module, args, kwargs)
        if other is None:
            return args, kwargs
        if not isinstance(other, tuple) or len(other) != 2 or not isinstance(other[1], dict):
            raise TypeError(
                f"a forward pre-hook of {name} that is given keyword arguments gives (args, "
                f"kwargs) or None, not a {type(other).__name__}"
            )
        positional, named = other
        return (positional if isinstance(positional, tuple) else (positional,)), named
    other = hook(module, args)
    if other is None:
        return args, kwargs
    return (other if isinstance(other, tuple) else (other,)), kwargs


class _Backward:
    """One call of a module whose derivatives are watched."""

    def __init__(self, module: Module, hooks: ModuleHooks) -> None:
        self.module, self.hooks = module, hooks
        self.grad_output: tuple[Any, ...] = ()
        self.watched = False  # do derivatives reach the arguments?
        self.count = 0

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, whose derivatives are the last that is known."""
        self.count = len(args)
        at = _tracked(args)
        if not at:
            return args
        self.watched = True

        def seen(grads: list[Any]) -> list[Any]:
            whole = [zeros_like(a.detach()) if isinstance(a, Tensor) else None for a in args]
            for i, g in zip(at, grads, strict=True):
                whole[i] = whole[i] if g is None else g
            found = self.called(tuple(whole))
            return [found[i] for i in at]

        return _with(args, at, passing(self.name("input"), [args[i] for i in at], seen))

    def leave(self, result: Any) -> Any:
        """The results, whose derivatives are the first that is known."""
        several = isinstance(result, tuple)
        results = result if several else (result,)
        at = _tracked(results)
        if not at:
            return result

        def seen(grads: list[Any]) -> list[Any]:
            whole: list[Any] = [None] * len(results)
            for i, g in zip(at, grads, strict=True):
                whole[i] = g
            self.grad_output = tuple(whole)
            for hook in list(self.hooks.backward_before.values()):
                other = hook(self.module, self.grad_output)
                self.grad_output = self.others("pre-hook", other, self.grad_output)
            if not self.watched:
                self.called((None,) * self.count)
            return [self.grad_output[i] for i in at]

        made = passing(self.name("output"), [results[i] for i in at], seen)
        whole = _with(results, at, made)
        return whole if several else whole[0]

    def called(self, grad_input: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in list(self.hooks.backward.values()):
            other = hook(self.module, grad_input, self.grad_output)
            grad_input = self.others("hook", other, grad_input)
        return grad_input

    def others(self, what: str, given: Any, before: tuple[Any, ...]) -> tuple[Any, ...]:
        if given is None:
            return before
        found = given if isinstance(given, tuple) else (given,)
        if len(found) != len(before):
            raise ValueError(
                f"a backward {what} of {type(self.module).__name__} gives None or a derivative "
                f"for each of {len(before)} tensors; it gave {len(found)}"
            )
        return found

    def name(self, what: str) -> str:
        return f"the {what} of {type(self.module).__name__}"


def _tracked(values: Sequence[Any]) -> list[int]:
    return [i for i, v in enumerate(values) if isinstance(v, Tensor) and v.requires_grad]


def _with(values: Sequence[Any], at: Sequence[int], others: Sequence[Any]) -> tuple[Any, ...]:
    found = list(values)
    for i, other in zip(at, others, strict=True):
        found[i] = other
    return tuple(found)


__all__ = ["ModuleHooks", "RemovableHandle"]
