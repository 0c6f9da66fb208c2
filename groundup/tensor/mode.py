"""Modes of each thread: whether operations remember how to be derived (grad mode), and the type
that mixed precision computes products in (see autocast).

Must not know tensors.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from types import TracebackType
from typing import Any, TypeVar

from ..ir.dtype import DType

F = TypeVar("F", bound=Callable[..., Any])


class _State(threading.local):
    grad = True
    autocast: DType | None = None


state = _State()


class set_grad_enabled:
    """Switch grad mode: at once, for a `with` block, or for a decorated function.

    >>> with gu.set_grad_enabled(False):
    ...     gu.is_grad_enabled()
    False
    """

    _value: bool

    def __init__(self, mode: bool) -> None:
        self._value = bool(mode)
        self._before: list[bool] = [state.grad]
        state.grad = self._value

    def __enter__(self) -> None:
        state.grad = self._value

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        state.grad = self._before.pop()

    def __call__(self, function: F) -> F:
        state.grad = self._before.pop()  # a decorator switches nothing by itself
        return _decorate(function, self._value)


class _Block:
    """A `with` block or decorator that sets grad mode."""

    _value: bool

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(state.grad)
        state.grad = self._value

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        state.grad = self._before.pop()

    def __call__(self, function: F) -> F:
        return _decorate(function, self._value)


class no_grad(_Block):
    """Operations inside the block (or decorated function) remember nothing for derivatives.

    >>> w = gu.ones(2, requires_grad=True)
    >>> with gu.no_grad():
    ...     (w * 2).requires_grad
    False
    """

    _value = False


class enable_grad(_Block):
    """Operations inside the block (or decorated function) remember derivatives again."""

    _value = True


def _decorate(function: F, value: bool) -> F:
    @wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        before = state.grad
        state.grad = value
        try:
            return function(*args, **kwargs)
        finally:
            state.grad = before

    return wrapped  # type: ignore[return-value]


def is_grad_enabled() -> bool:
    """Do operations remember how to be derived?"""
    return state.grad
