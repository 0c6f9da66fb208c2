"""What functions take, as types know it: tensors, or expressions with axes.

Must not know any function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, overload
from typing import cast as known_as

from .core import Core

if TYPE_CHECKING:
    from .elementwise import Elementwise
    from .notation import Indexed
    from .tensor import Tensor


class Pointwise(Protocol):
    """A function of each element: of a tensor, or of an expression that is closed later."""

    @overload
    def __call__(self, a: Core) -> Tensor: ...
    @overload
    def __call__(self, a: Elementwise) -> Indexed: ...


def pointwise(f: Callable[[Any], Any]) -> Pointwise:
    """The function itself, known as one that takes both."""
    return known_as("Pointwise", f)


Rest = ParamSpec("Rest")


class Pairwise(Protocol[Rest]):
    """A function of two operands: of tensors and numbers, or of one or two expressions."""

    @overload
    def __call__(
        self, a: Elementwise, b: Any, /, *args: Rest.args, **kwargs: Rest.kwargs
    ) -> Indexed: ...
    @overload
    def __call__(
        self, a: Any, b: Elementwise, /, *args: Rest.args, **kwargs: Rest.kwargs
    ) -> Indexed: ...
    @overload
    def __call__(self, a: Any, b: Any, /, *args: Rest.args, **kwargs: Rest.kwargs) -> Tensor: ...


def pairwise(f: Callable[Concatenate[Any, Any, Rest], Tensor]) -> Pairwise[Rest]:
    """The function itself, known as one that takes both."""
    known: Any = f
    return known  # type: ignore[no-any-return]
