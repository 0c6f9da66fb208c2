"""Where a captured function's values stand: lists, cells, classes and others as containers of
slots, read and written in one way, and what cannot be read slot by slot.

Must not know what is looked for, or why.
"""

from __future__ import annotations

import array
import contextvars
import sys
import types
from collections import deque
from collections.abc import Hashable, Iterator, Mapping
from operator import is_
from typing import Any

from .arguments import SCALARS, Same, constant

MISSING = object()  # what stands where nothing does


def put(container: Any, key: Any, value: Any) -> None:
    """Have a value stand there; MISSING: nothing."""
    if value is MISSING:
        del container[key]
    else:
        container[key] = value


def inside(container: Any) -> Any:
    """What a container looks into: itself, for a dictionary."""
    if isinstance(container, Mapping):
        return container
    (name,) = type(container).__slots__
    return getattr(container, name)


# ---- as a whole ----------------------------------------------------------------------------------


def is_memory(value: Any) -> bool:
    kind = type(value)
    if kind is bytearray or kind is array.array:
        return True
    arrays = getattr(sys.modules.get("numpy"), "ndarray", None)  # another thread may import it now
    return arrays is not None and isinstance(value, arrays)


def memory(value: Any) -> Hashable:
    """The elements of an array, and what they are."""
    if isinstance(value, bytearray):
        return bytes(value)
    form = getattr(value, "typecode", None) or (value.dtype.str, value.shape)
    return form, value.tobytes()


def holds(container: Any, held: Any) -> bool:
    """Are the contents what they were?"""
    if isinstance(container, list | set | deque):
        return len(container) == len(held) and all(map(is_, container, held))
    return bool(memory(container) == held)


def progress(it: Iterator[Any]) -> Hashable:
    """How far an iterator has come; None where it does not tell."""
    if isinstance(it, types.GeneratorType):
        frame = it.gi_frame
        if frame is None:
            return "at its end"
        return frame.f_lasti, tuple((k, id(v)) for k, v in frame.f_locals.items())
    try:
        return _place(it.__reduce__())
    except (TypeError, AttributeError):
        return None


def _place(state: Any) -> Hashable:
    """What tells one state of an iterator from another."""
    if isinstance(state, SCALARS):
        return constant(state)
    if isinstance(state, tuple):
        return tuple(map(_place, state))
    if isinstance(state, Iterator):
        return progress(state)
    return len(state) if isinstance(state, list) else Same(state)


class Contents:
    """A list, set, deque or array as a container of one slot: all that it holds."""

    __slots__ = ("what",)

    def __init__(self, what: Any) -> None:
        self.what = what

    def get(self, key: None, default: Any) -> Any:
        return default

    def __setitem__(self, key: None, value: Any) -> None:
        if isinstance(self.what, set | deque):
            self.what.clear()
            (self.what.update if isinstance(self.what, set) else self.what.extend)(value)
        elif hasattr(self.what, "shape"):
            self.what[...] = value
        else:
            self.what[:] = value


# ---- slot by slot --------------------------------------------------------------------------------


class ListSlots:
    """A list as a container of slots."""

    __slots__ = ("items",)

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def get(self, key: int, default: Any) -> Any:
        return self.items[key] if key < len(self.items) else default

    def __setitem__(self, key: int, value: Any) -> None:
        self.items[key] = value


class ClassSlots:
    """A class as a container of slots."""

    __slots__ = ("cls",)

    def __init__(self, cls: type) -> None:
        self.cls = cls

    def get(self, key: str, default: Any) -> Any:
        return vars(self.cls).get(key, default)

    def __setitem__(self, key: str, value: Any) -> None:
        setattr(self.cls, key, value)

    def __delitem__(self, key: str) -> None:
        delattr(self.cls, key)


class AttributeSlots:
    """An object without a dictionary, as a container of its slots."""

    __slots__ = ("owner",)

    def __init__(self, owner: Any) -> None:
        self.owner = owner

    def get(self, key: str, default: Any) -> Any:
        return getattr(self.owner, key, default)

    def __setitem__(self, key: str, value: Any) -> None:
        object.__setattr__(self.owner, key, value)

    def __delitem__(self, key: str) -> None:
        object.__delattr__(self.owner, key)


class ContextSlot:
    """A context variable as a container of one slot."""

    __slots__ = ("variable",)

    def __init__(self, variable: contextvars.ContextVar[Any]) -> None:
        self.variable = variable

    def get(self, key: None, default: Any) -> Any:
        return self.variable.get(default)

    def __setitem__(self, key: None, value: Any) -> None:
        self.variable.set(value)


class CellSlot:
    """A closure's cell as a container of one slot."""

    __slots__ = ("cell",)

    def __init__(self, cell: types.CellType) -> None:
        self.cell = cell

    def get(self, key: None, default: Any) -> Any:
        try:
            return self.cell.cell_contents
        except ValueError:  # not assigned yet
            return default

    def __setitem__(self, key: None, value: Any) -> None:
        self.cell.cell_contents = value

    def __delitem__(self, key: None) -> None:
        del self.cell.cell_contents
