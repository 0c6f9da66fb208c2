"""Functions named like reductions, for both: of a tensor along dims, of an expression over axes.

Must not know what a reduction computes, or how an expression is lowered.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, cast, overload

from .core import Core, Deferred
from .errors import at_line
from .misuse import named

if TYPE_CHECKING:
    from .notation import Axis, Indexed

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class Reducing(Protocol[P, R_co]):
    """f(tensor, dim, …) gives what it gives; f(expression, i, j) is the expression's own method."""

    @overload
    def __call__(self, a: Indexed, /, *axes: Axis) -> Indexed: ...
    @overload
    def __call__(self, a: Core, /, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


def reducing(
    f: Callable[Concatenate[Core, P], R_co], room: str | None = None
) -> Reducing[P, R_co]:
    """The function of tensors, and of expressions with axes by their method of that name.

    room: the module in which it stands under that name, where that is not the one of `f`.
    """
    method = f.__name__.rstrip("_")
    method = {"amax": "max", "amin": "min"}.get(method, method)

    @named
    @wraps(f)
    def call(a: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(a, Deferred):
            return over_axes(method, a, args, kwargs)
        return f(a, *args, **kwargs)

    if room is not None:
        call.__module__, call.__qualname__ = room, f.__name__.rstrip("_")
    return cast("Reducing[P, R_co]", call)


def over_axes(name: str, a: Deferred, axes: tuple[Any, ...], given: dict[str, Any]) -> Any:
    """a.name(*axes); what only tensors know (dim=, keepdim=, dtype=) is refused."""
    given = dict(given)
    if name.startswith("cum") and "reverse" in given:
        return getattr(a, name)(*axes, reverse=given.pop("reverse"))
    if given:
        listed = ", ".join(f"{key}=" for key in given)
        raise TypeError(
            f"{name} of an expression with axes takes the axes that it goes over, not {listed}: "
            f"write gu.{name}(x[i, k], k)" + at_line()
        )
    return getattr(a, name)(*axes)
