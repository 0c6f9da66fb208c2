"""Records: classes that are their named fields, for what would be dataclasses elsewhere.

`dataclasses` costs a new process 5 ms to import and each class another 1 ms, because it writes
and compiles source; the first result of a process cannot afford that. Knows nothing of the IR.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


class _Fresh:
    """A default that is made anew for each object."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[], object]) -> None:
        self.make = make


def fresh(*, default_factory: Callable[[], T]) -> T:
    """A field that starts with an object of its own: `items: list[int] = fresh(…=list)`."""
    return _Fresh(default_factory)  # type: ignore[return-value]


@dataclass_transform(eq_default=False, field_specifiers=(fresh,))
def record(cls: type[T]) -> type[T]:
    """A class whose annotations are its fields and its constructor; compared by identity.

    >>> @record
    ... class Loop:
    ...     extent: int
    ...     step: int = 1
    >>> Loop(8)
    Loop(extent=8, step=1)
    """
    made, _ = _build(cls)
    return made


@dataclass_transform(frozen_default=True)
def frozen(cls: type[T]) -> type[T]:
    """A record that cannot be changed, equal to others with equal fields, and a key of dicts.

    >>> @frozen
    ... class Slot:
    ...     index: int
    >>> Slot(3) == Slot(3), len({Slot(3), Slot(3)})
    (True, 1)
    """
    made, names = _build(cls)
    fields = attrgetter(*names)

    def equal(self: Any, other: object) -> bool:
        return self is other or (type(other) is made and fields(self) == fields(other))

    def hashed(self: Any) -> int:
        return hash(fields(self))

    for name, method in (("__eq__", equal), ("__hash__", hashed), ("__setattr__", _refuse)):
        if name not in cls.__dict__:
            setattr(made, name, method)
    return made


def replace(instance: T, **changes: Any) -> T:
    """A record with some fields changed."""
    names = type(instance).__slots__  # type: ignore[attr-defined]
    return type(instance)(**{name: getattr(instance, name) for name in names} | changes)


def _build(cls: type[T]) -> tuple[type[T], tuple[str, ...]]:
    """The class with slots, a constructor and a representation; and the names of its fields."""
    names = tuple(cls.__annotations__)
    body = dict(cls.__dict__)
    defaults = {name: body.pop(name) for name in names if name in body}
    for gone in ("__dict__", "__weakref__"):
        body.pop(gone, None)
    body["__slots__"] = names
    metaclass: Any = type(cls)
    made: type[T] = metaclass(cls.__name__, cls.__bases__, body)
    count = len(names)
    setters = [made.__dict__[name].__set__ for name in names]

    def initialise(self: Any, *given: Any, **named: Any) -> None:
        if named or len(given) != count:
            given = _complete(cls.__name__, names, defaults, given, named)
        for put, item in zip(setters, given, strict=True):
            put(self, item)

    def text(self: Any) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{cls.__qualname__}({shown})"

    for name, method in (("__init__", initialise), ("__repr__", text)):
        if name not in cls.__dict__:
            setattr(made, name, method)
    return made, names


def _complete(
    what: str,
    names: tuple[str, ...],
    defaults: dict[str, object],
    given: tuple[object, ...],
    named: dict[str, object],
) -> tuple[object, ...]:
    """All fields in order: those given, named, and the defaults of the others."""
    for name in named:
        if name not in names[len(given) :]:
            raise TypeError(f"{what}: no field {name!r} is still to be given; fields: {names}")
    if len(given) > len(names):
        raise TypeError(f"{what}: {len(given)} values for the fields {names}")
    every = list(given)
    for name in names[len(given) :]:
        if name in named:
            every.append(named[name])
        elif name in defaults:
            default = defaults[name]
            every.append(default.make() if isinstance(default, _Fresh) else default)
        else:
            raise TypeError(f"{what}: the field {name!r} was not given")
    return tuple(every)


def _refuse(self: object, name: str, _: object) -> None:
    raise AttributeError(f"{type(self).__name__}.{name} cannot be changed; make another")
