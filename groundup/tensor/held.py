"""Where a captured function's values stand: lists, cells, classes and others as containers of
slots, read and written in one way, and what cannot be read slot by slot: memory, iterators, other
libraries' random numbers.

Must not know what is looked for, or why.
"""

from __future__ import annotations

import array
import contextvars
import copy
import ctypes
import os
import pickle
import sys
import types
import weakref
from collections import deque
from collections.abc import Hashable, Iterator, Mapping, MappingView
from contextlib import suppress
from operator import is_
from typing import Any

from .arguments import SCALARS, Same, constant, room_of

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
    if is_array(value):
        return True
    try:
        memoryview(value).release()
    except (TypeError, ValueError, BufferError):  # ValueError: it has been released
        return False
    return True


def is_array(value: Any) -> bool:
    """Is it an array of NumPy's?"""
    arrays = getattr(sys.modules.get("numpy"), "ndarray", None)  # another thread may import it now
    return arrays is not None and isinstance(value, arrays)


def memory(value: Any) -> Hashable:
    """The elements of an array, and what they are."""
    if isinstance(value, bytearray):
        return bytes(value)
    if is_array(value):
        return (value.dtype.str, value.shape), value.tobytes()
    with memoryview(value) as view:
        return (view.format, view.shape), view.tobytes()


def copied(value: Any) -> Any:
    """The contents of a set, a deque or of memory, to be put back."""
    if isinstance(value, set | deque | bytearray | array.array) or is_array(value):
        return copy.copy(value)
    return bytes(memoryview(value))


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
    if hasattr(it, "tell"):  # a file
        with suppress(OSError, ValueError):
            return constant(it.tell())
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


def behind(value: Any) -> Any:
    """What a value of Python's library looks at: the dictionary of a view of its items, the object
    of a bound method, the environment of a function that reads it; None of all others."""
    if isinstance(value, types.BuiltinFunctionType | types.MethodWrapperType):
        owner = value.__self__
        return None if isinstance(owner, (types.ModuleType, type, *SCALARS)) else owner
    if isinstance(value, MappingView):
        return getattr(value, "mapping", None) or getattr(value, "_mapping", None)
    if value is os.getenv or value is os.environ:
        return vars(os.environ)["_data"]
    return None


# ---- other libraries' random numbers -------------------------------------------------------------


def is_source(value: Any) -> bool:
    """Does it draw random numbers, from a state that it has?"""
    kind = type(value)
    random = sys.modules.get("random")
    if random is not None and isinstance(value, random.Random):
        return not isinstance(value, random.SystemRandom)
    return room_of(kind).startswith("numpy.random.") and (
        hasattr(kind, "get_state") or hasattr(kind, "bit_generator") or hasattr(kind, "state")
    )


def drawn(source: Any) -> Any:
    """The state of a source of random numbers: another one after each draw."""
    if hasattr(source, "getstate"):
        return source.getstate()
    if hasattr(source, "get_state"):
        return pickle.dumps(source.get_state(legacy=False))
    return pickle.dumps(getattr(source, "bit_generator", source).state)


def put_back(source: Any, state: Any) -> None:
    """Give a source of random numbers the state back that `drawn` has told."""
    if hasattr(source, "setstate"):
        source.setstate(state)
    elif hasattr(source, "set_state"):
        source.set_state(pickle.loads(state))
    else:
        getattr(source, "bit_generator", source).state = pickle.loads(state)


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
        elif is_array(self.what):
            self.what[...] = value
        elif isinstance(self.what, list | bytearray | array.array):
            self.what[:] = value
        else:
            (ctypes.c_char * len(value)).from_buffer(self.what)[:] = value


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


class WeakSlot:
    """A weak reference as a container of one slot."""

    __slots__ = ("reference",)

    def __init__(self, reference: weakref.ref[Any]) -> None:
        self.reference = reference

    def get(self, key: None, default: Any) -> Any:
        return self.reference()
