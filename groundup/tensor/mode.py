"""Modes of each thread: whether operations remember how to be derived (grad mode), the type that
mixed precision computes products in (see autocast), whether plain Python loops compute, whether
each result is looked at (see anomaly), and what a function is written for (see vmap).

Must not know tensors.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ..ir.dtype import DType

if TYPE_CHECKING:
    from ..emit.python_files import Files
    from ..ir.node import Node

F = TypeVar("F", bound=Callable[..., Any])


class Look(Protocol):
    """What looks at each result at once."""

    def __call__(self, node: Node) -> None:
        """Called with the value of each operation."""

    def gradients(self, roots: Sequence[Node], found: Sequence[Node | None]) -> None:
        """Called with gradients of a tensor; None is one that is 0."""

    def given(self, name: str, values: Sequence[Node], sources: Sequence[Node]) -> None:
        """Called with the results of a function that Python runs, which are in memory."""


class _State(threading.local):
    def __init__(self) -> None:  # once in each thread, so that `vars` has all of them
        self.grad = True
        self.autocast: DType | None = None
        self.debug: Files | None = None
        self.anomaly: Look | None = None
        self.mapped: tuple[Any, ...] = ()  # the batches that a function is written for, see vmap
        self.inlined = False  # captured functions run as they are written, see transforms


state = _State()


class Block:
    """Sets one of this thread's modes inside a `with` block or a decorated function."""

    def __init__(self, name: str, value: object) -> None:
        self._name, self._value = name, value
        self._before: list[object] = []

    def __enter__(self) -> None:
        self._before.append(getattr(state, self._name))
        setattr(state, self._name, self._value)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        setattr(state, self._name, self._before.pop())

    def __call__(self, function: F) -> F:
        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with Block(self._name, self._value):
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


class set_grad_enabled(Block):
    """Switch grad mode: at once, for a `with` block, or for a decorated function.

    >>> with gu.set_grad_enabled(False):
    ...     gu.is_grad_enabled()
    False
    """

    def __init__(self, mode: bool) -> None:
        super().__init__("grad", bool(mode))
        super().__enter__()

    def __enter__(self) -> None:
        state.grad = bool(self._value)

    def __call__(self, function: F) -> F:
        self.__exit__(None, None, None)  # a decorator switches nothing by itself
        return super().__call__(function)


class no_grad(Block):
    """Operations inside the block (or decorated function) remember nothing for derivatives.

    >>> w = gu.ones(2, requires_grad=True)
    >>> with gu.no_grad():
    ...     (w * 2).requires_grad
    False
    """

    def __init__(self) -> None:
        super().__init__("grad", False)


class enable_grad(Block):
    """Operations inside the block (or decorated function) remember derivatives again."""

    def __init__(self) -> None:
        super().__init__("grad", True)


def is_grad_enabled() -> bool:
    """Do operations remember how to be derived?"""
    return state.grad
