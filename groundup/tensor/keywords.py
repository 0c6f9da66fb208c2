"""PyTorch's keywords that a function has by another name, or that say nothing here.

Looked at only where a call has failed, so that they cost nothing. Must not know any function.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from .errors import at_line

# NumPy's names, which PyTorch takes as well.
_NAMES = {"axis": ("dim", "dims"), "keepdims": ("keepdim",)}
_PLACES = {"input": 0, "other": 1}  # which parameter it is, from the first

# What says nothing where it has one of these values, and what to write for others.
_ALLOWED: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "device": ((None, "cpu"), "there is one device, 'cpu'"),
    "pin_memory": ((None, False), "there is one device, 'cpu', whose memory needs no pinning"),
    "non_blocking": ((None, False, True), ""),
    "sparse_grad": ((None, False), "derivatives are dense"),
    "layout": ((None,), "tensors are strided"),
    "memory_format": ((None,), "what users see lies in row-major order; write x.contiguous()"),
    "out": ((None,), "a result is a new tensor; write y.copy_(…) for one that is there"),
}


def brought(
    function: Callable[..., Any], args: tuple[Any, ...], given: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The keywords of a call by the function's own names; None if there is one that means nothing.

    Raises ValueError for one that says what cannot be had here.
    """
    own = inspect.signature(function).parameters
    listed = list(own)
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name in own:
            found[name] = value
            continue
        called: str | None
        if name in _ALLOWED:
            allowed, instead = _ALLOWED[name]
            if not any(value is a or (isinstance(a, str) and value == a) for a in allowed):
                said = f"{name}={value!r}" if isinstance(value, str | bool) else name
                raise ValueError(
                    f"{function.__name__.rstrip('_')}: {said}: {instead}" + at_line()
                )
            continue
        called = next((n for n in _NAMES.get(name, ()) if n in own), None)
        if name in _PLACES and len(args) <= _PLACES[name] < len(listed):
            called = listed[_PLACES[name]]
        if called is None or called in given or called in found or called == "self":
            return None
        found[called] = value
    return found
