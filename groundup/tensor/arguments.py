"""The arguments of a captured function: which tensors are among them, how their elements lie in
memory, and a key of all else.

A tensor enters a captured graph as dense memory seen through an index function, so that a
transposed or sliced argument needs no copy. Must not know how a function is captured.
"""

from __future__ import annotations

import copy
import enum
import functools
import inspect
import sys
import types
import weakref
from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ..ir import node as ir
from ..ir.dtype import DType
from ..ir.extent import product
from ..runtime import Buffer
from .core import Core, Paired, force
from .errors import JitError
from .storage import Storage
from .view import Affine, Shape, contiguous_strides

if TYPE_CHECKING:
    from .tensor import Tensor

SCALARS = (bool, int, float, complex, str, bytes, type(None))
_BY_VALUE = (*SCALARS, DType, types.ModuleType, range, frozenset)
# Rooms of the standard library whose objects never change: compared by value.
_VALUE_ROOMS = frozenset(("datetime", "decimal", "fractions", "ipaddress", "pathlib", "re", "uuid"))
_OWN = __package__.partition(".")[0]


class Arguments(NamedTuple):
    """What nested arguments hold."""

    tensors: list[Core]  # each once
    objects: list[Any]  # with a state of their own: modules, functions, tensors that want gradients
    key: list[Hashable]  # everything else by value, and the forms of the tensors
    places: dict[int, int]  # by the id of a tensor or an object: its number


class Same:
    """An object as a part of a key: equal to itself alone, and alive while the key is."""

    __slots__ = ("what",)

    def __init__(self, what: Any) -> None:
        self.what = what

    def __eq__(self, other: object) -> bool:
        return type(other) is Same and other.what is self.what

    def __hash__(self) -> int:
        return id(self.what)


def constant(value: Any) -> Hashable:
    """A plain value as a part of a key: equal only to what no expression can tell from it."""
    kind = type(value)
    if isinstance(value, float):
        return kind, float.hex(value)  # -0.0 is not 0.0; NaN is NaN
    if isinstance(value, complex):
        return kind, repr(value)
    if isinstance(value, frozenset):
        return kind, frozenset(map(constant, value))
    if isinstance(value, tuple):
        return kind, tuple(map(constant, value))
    if kind is range:
        return kind, value.start, value.stop, value.step
    if kind.__module__ == "numpy" and never_changes(value):
        return kind, value.tobytes()
    return (kind, value, repr(value)) if never_changes(value) else (kind, value)


def never_changes(value: Any) -> bool:
    """Is a value of one of the types, other than SCALARS, that are known never to change?"""
    kind = type(value)
    if kind.__module__ == "numpy":  # its numbers have memory of their own
        return isinstance(value, sys.modules["numpy"].generic)
    return kind is range or room_of(kind).partition(".")[0] in _VALUE_ROOMS


def room_of(kind: type) -> str:
    """The module of a class; "" where it does not say."""
    name: object = kind.__module__  # in some classes of C, what reads it from an instance
    return name if isinstance(name, str) else ""


@functools.lru_cache(maxsize=1024)
def of_users(module: str | None) -> bool:
    """Is a module neither of this package nor of Python's library?"""
    top = module.partition(".")[0] if isinstance(module, str) else ""  # of C: see room_of
    return top == "__main__" or (top != _OWN and top not in sys.stdlib_module_names)


def look_through(value: Any, found: Arguments) -> None:
    """Collect what is in nested arguments."""
    tensors, key = found.tensors, found.key
    if isinstance(value, Paired):
        key.append("complex")
        value = value._pair
    if isinstance(value, Core):
        if value._leaf is not None and value._leaf.tensor is not None:
            # Its gradient is kept: read and written as what it is.
            _object(value, found)
            return
        again = found.places.get(id(value))
        if again is not None:
            key.append(("again", again))
            return
        found.places[id(value)] = len(tensors)
        tensors.append(value)
        key.append(
            (value._shape, value._storage.dtype, axes_of(value), value.tracked(), value.cut())
        )
    elif isinstance(value, list | tuple | dict) and has_attributes(value):
        _object(value, found)
    elif isinstance(value, list | tuple):
        key.append((type(value), len(value)))
        for v in value:
            look_through(v, found)
    elif isinstance(value, dict):
        key.append((type(value), tuple(map(constant, value))))
        for v in value.values():
            look_through(v, found)
    elif type(value) is slice:
        key.append(slice)
        for v in (value.start, value.stop, value.step):
            look_through(v, found)
    elif isinstance(value, Iterator) or (
        not isinstance(value, _BY_VALUE) and has_state(value)
    ):
        _object(value, found)
    elif isinstance(value, SCALARS) and type(value) not in SCALARS and is_more(value):
        key.append(constant(value))
        _object(value, found)
    else:
        try:
            hash(value)
        except TypeError:
            raise JitError(
                f"jit: an argument of type {type(value).__name__} can neither be read anew nor be "
                f"compared between calls; pass tensors, numbers, strings, lists or dicts of them"
            ) from None
        key.append(constant(value))


def has_state(value: Any) -> bool:
    """Has it contents that may change: are they to be looked at, like those of what is reached?"""
    if isinstance(value, types.FunctionType | types.MethodType | weakref.ref):
        return True
    if isinstance(value, types.BuiltinFunctionType | types.MethodWrapperType):  # of an object?
        return not isinstance(value.__self__, (types.ModuleType, type, *SCALARS))
    kind = type(value)
    if isinstance(value, type):
        return of_users(value.__module__)
    if never_changes(value):
        return False
    return hasattr(value, "__dict__") or bool(slots_of(kind))


def is_more(value: Any) -> bool:
    """Is a number or a string of a user's class, which may have attributes beside its value?"""
    kind = type(value)
    return of_users(kind.__module__) and not (
        kind.__module__ == "numpy" or isinstance(value, enum.Enum)
    )


def has_attributes(value: Any) -> bool:
    """Has a list, tuple or dictionary more to it than its items?"""
    kind = type(value)
    if kind is list or kind is tuple or kind is dict or not of_users(kind.__module__):
        return False
    return bool(getattr(value, "__dict__", None)) or any(hasattr(value, n) for n in slots_of(kind))


def slots_of(kind: type) -> tuple[str, ...]:
    """The names of attributes that a user's class keeps in slots."""
    known = _slots.get(kind)
    if known is None:
        known = _slots[kind] = _slot_names(kind)
    return known


_slots: weakref.WeakKeyDictionary[type, tuple[str, ...]] = weakref.WeakKeyDictionary()


def _slot_names(kind: type) -> tuple[str, ...]:
    names: list[str] = []
    for base in kind.__mro__:
        own = vars(base).get("__slots__", ()) if of_users(base.__module__) else ()
        for name in (own,) if isinstance(own, str) else own:
            if name not in ("__dict__", "__weakref__"):
                private = name.startswith("__") and not name.endswith("__")
                names.append(f"_{base.__name__.lstrip('_')}{name}" if private else name)
    # A class may have something else of that name, such as a property.
    mine = types.MemberDescriptorType
    return tuple([n for n in names if isinstance(inspect.getattr_static(kind, n, None), mine)])


def _object(value: Any, found: Arguments) -> None:
    number = found.places.setdefault(id(value), len(found.objects))
    found.key.append(("object", number))
    if number == len(found.objects):
        found.objects.append(value)


def with_proxies(value: Any, proxies: dict[int, Core], made: list[tuple[Any, Any]]) -> Any:
    """Nested arguments with other tensors in the places of those whose ids are given.

    made: gets each list and dictionary that the function is given, and what it holds.
    """
    if isinstance(value, Paired):
        pairs = proxies.get(id(value._pair))
        return value if pairs is None else value.over(lambda _: cast("Tensor", pairs))
    if isinstance(value, Core):
        return proxies.get(id(value), value)
    if isinstance(value, list | tuple | dict) and has_attributes(value):
        return value
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(with_proxies(v, proxies, made) for v in value))
    if isinstance(value, list | tuple):
        new = type(value)(with_proxies(v, proxies, made) for v in value)
        if isinstance(new, list):
            made.append((new, list(new)))
        return new
    if isinstance(value, dict):
        changed = {k: with_proxies(v, proxies, made) for k, v in value.items()}
        if type(value) is not dict:
            again = copy.copy(value)
            again.update(changed)
            changed = again
        made.append((changed, dict(changed)))
        return changed
    if type(value) is slice:
        parts = (value.start, value.stop, value.step)
        return slice(*(with_proxies(v, proxies, made) for v in parts))
    return value


def refuse_changes(made: list[tuple[Any, Any]]) -> None:
    """Raise JitError if the function has changed a list or dictionary among its arguments."""
    for now, before in made:
        same = len(now) == len(before)
        if isinstance(now, dict):
            same = same and all(k in now and now[k] is v for k, v in before.items())
        else:
            same = same and all(a is b for a, b in zip(now, before, strict=True))
        if not same:
            raise JitError(
                f"jit: the function changes a {type(now).__name__} that is an argument, which "
                f"later calls could not do again; return what is to be put into it"
            )


# ---- how a tensor lies in memory -----------------------------------------------------------------


def axes_of(t: Core) -> tuple[int, ...] | None:
    """The axes of a view in the order in which they lie in dense memory, outermost first; None
    where memory is row-major, or has to be copied to become so.

    An axis of stride 0 (expanded) is not in memory; one of size 1 need not be.
    """
    return None if t._parent is None else _axes(t._shape, t.layout()[0])


def _axes(shape: Shape, strides: Shape) -> tuple[int, ...] | None:
    inside = [d for d, n in enumerate(shape) if n != 1]
    if 0 in shape or all(strides[d] == s for d, s in _dense(shape, inside)):
        return None
    there = sorted((d for d in inside if strides[d] != 0), key=lambda d: -strides[d])
    return tuple(there) if all(strides[d] == s for d, s in _dense(shape, there)) else None


def _dense(shape: Shape, axes: list[int]) -> list[tuple[int, int]]:
    """(axis, stride) of some axes in dense memory."""
    steps = contiguous_strides(tuple([shape[d] for d in axes]))
    return list(zip(axes, steps, strict=True))


def view_of(shape: Shape, axes: tuple[int, ...]) -> Affine:
    """A tensor of this shape as a view of dense memory that holds some of its axes."""
    memory = tuple([shape[d] for d in axes])
    return Affine(memory, shape, tuple([(0, 1, d) for d in axes]))


def memory_view(shape: Shape, axes: tuple[int, ...]) -> Affine:
    """The dense memory that holds some axes of a tensor of this shape, as a view of the tensor."""
    memory = tuple([shape[d] for d in axes])
    rules = [(0, 1, axes.index(d)) if d in axes else (0, 1, -1) for d in range(len(shape))]
    return Affine(shape, memory, tuple(rules))


def settled(s: Storage) -> Buffer:
    """A storage's memory, computed if it is pending."""
    if s.buffer is None and s.pending is not None:
        force([s])
    return s.memory()


def memory_of(t: Core) -> Buffer:
    """A tensor's elements in dense memory, its axes in the order that `axes_of` gives."""
    s = t._storage
    if t._parent is None:
        return settled(s)
    shape = t._shape
    strides, offset = t.layout()
    axes = _axes(shape, strides)
    inside = [d for d, n in enumerate(shape) if n != 1]
    if axes is None and any(strides[d] != step for d, step in _dense(shape, inside)):
        return settled(Storage(tuple(shape), s.dtype, ir.detach(t.node)))
    whole, item = settled(s), s.dtype.itemsize
    count = product(shape if axes is None else [shape[d] for d in axes])
    if offset == 0:
        return whole
    return Buffer.from_object(whole.address + offset * item, max(1, count * item), owner=whole)
