"""Arguments that a function was not written for: the error names it, and what it was given.

A function is written for tensors where its parameters say so. Where it is given something else,
Python's own error comes from somewhere inside (`'float' object has no attribute 'ndim'`); `named`
says in its place which argument is at fault. Must not know any function.
"""

from __future__ import annotations

import builtins
import linecache
import struct
from collections.abc import Callable
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from ..ir.dtype import DType
from .core import Core, Deferred
from .errors import _PACKAGE, at_line

if TYPE_CHECKING:
    import inspect

F = TypeVar("F", bound=Callable[..., Any])
_INSIDE = (
    AttributeError, KeyError, AssertionError, NameError, OverflowError, RecursionError,
    ZeroDivisionError, StopIteration, struct.error, TypeError, ValueError, IndexError,
)  # fmt: skip


def named(function: F) -> F:
    """The function, whose errors about its arguments are its own; costs nothing else.

    What it raises by intent passes, and so does what a user's function raises that it calls.
    """

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except _INSIDE as error:
            if kwargs and (again := _by_our_names(function, args, kwargs, error)) is not None:
                return function(*args, **again)
            found = _misuse(function, args, kwargs, error)
            if found is None:
                raise
            raise found from error

    return call  # type: ignore[return-value]


def _by_our_names(
    function: Callable[..., Any], args: Any, kwargs: dict[str, Any], error: Exception
) -> dict[str, Any] | None:
    """The keywords of a call that never began, if they are PyTorch's for what the function has."""
    trace = error.__traceback__
    if not isinstance(error, TypeError) or trace is None or trace.tb_next is not None:
        return None
    from .keywords import brought

    found = brought(function, args, kwargs)
    return found if found != kwargs else None


def _misuse(
    function: Callable[..., Any], args: Any, kwargs: Any, error: Exception
) -> Exception | None:
    """The error to raise in the place of one from inside; None where it was raised by intent."""
    trace = error.__traceback__
    assert trace is not None
    if trace.tb_next is None:  # the call itself: a parameter is missing, or there is none
        return None
    if not _inside(trace, error):
        return None
    import inspect  # only now: the first result needs no error

    signature = inspect.signature(function)
    given = signature.bind(*args, **kwargs).arguments
    name = function.__name__
    if name == "__init__":
        name = type(args[0]).__name__
    elif hasattr(builtins, name[:-1]):  # sum_ is gu.sum
        name = name[:-1]
    given.pop("self", None)
    for parameter, value in given.items():
        wanted = str(signature.parameters[parameter].annotation)
        if _is_tensor_type(wanted) and not isinstance(value, (Core, Deferred)):
            if value is None and "None" in wanted:
                continue
            return TypeError(
                f"{name}: {parameter} is a tensor, not {_described(value)}; "
                f"gu.tensor makes one of numbers" + at_line()
            )
        if "DType" in wanted and not isinstance(value, DType) and value is not None:
            return TypeError(
                f"{name}: {parameter} is a type such as gu.float32, not {_described(value)}"
                + at_line()
            )
    kind = ValueError if isinstance(error, OverflowError | ZeroDivisionError) else TypeError
    listed = ", ".join(f"{p} = {_described(v)}" for p, v in given.items())
    return kind(
        f"{name} was not written for {listed} ({error}); it takes {name}{_shown(signature)}"
        + at_line()
    )


def _inside(trace: TracebackType, error: Exception) -> bool:
    """Does an error come from inside the library, and not by its intent?"""
    while trace.tb_next is not None:
        if trace.tb_next.tb_frame.f_code.co_name == "__getattr__":
            break  # a name that a tensor has not: who asked is at fault
        trace = trace.tb_next
    file = trace.tb_frame.f_code.co_filename
    if not file.startswith(_PACKAGE):
        return False
    return not linecache.getline(file, trace.tb_lineno).lstrip().startswith("raise ")


def _is_tensor_type(annotation: str) -> bool:
    kinds = annotation.replace(" ", "").split("|")
    return any(k in ("Tensor", "Core") for k in kinds) and set(kinds) <= {"Tensor", "Core", "None"}


def _described(value: Any) -> str:
    """A value in a few words: its type, and what it is if that is short."""
    if isinstance(value, Core):
        return f"a tensor of shape {tuple(map(int, value._shape))}"
    if value is None or isinstance(value, bool | int | float | complex | str):
        text = repr(value)
        return text if len(text) <= 40 else f"{text[:37]}…"
    return f"{type(value).__name__!r} object"


def _shown(signature: inspect.Signature) -> str:
    """A signature without its defaults."""
    parts = []
    for p in signature.parameters.values():
        if p.name != "self":
            default = "" if p.default is p.empty else "=…"
            parts.append(str(p.replace(default=p.empty)).replace("'", "") + default)
    return f"({', '.join(parts)})"
