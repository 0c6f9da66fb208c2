"""The arguments of a captured function: which tensors are among them, how their elements lie in
memory, and a key of all else.

A tensor enters a captured graph as dense memory seen through an index function, so that a
transposed or sliced argument needs no copy. Must not know how a function is captured.
"""

from __future__ import annotations

import types
from collections.abc import Hashable
from typing import Any, NamedTuple

from ..ir import node as ir
from ..ir.dtype import DType
from ..ir.extent import product
from ..runtime import Buffer
from .core import Core, force
from .errors import JitError
from .storage import Storage
from .view import Affine, Shape, contiguous_strides

SCALARS = (bool, int, float, complex, str, bytes, type(None))
_BY_VALUE = (*SCALARS, DType, type, types.ModuleType, types.BuiltinFunctionType)


class Arguments(NamedTuple):
    """What nested arguments hold."""

    tensors: list[Core]  # each once
    objects: list[Any]  # with a state of their own: modules, functions, tensors that want gradients
    key: list[Hashable]  # everything else by value, and the forms of the tensors


def constant(value: Any) -> Hashable:
    """A plain value as a part of a key: equal only to what no expression can tell from it."""
    kind = type(value)
    if kind is float:
        return kind, value.hex()  # -0.0 is not 0.0; NaN is NaN
    return (kind, repr(value)) if kind is complex else (kind, value)


def look_through(value: Any, found: Arguments) -> None:
    """Collect what is in nested arguments."""
    tensors, key = found.tensors, found.key
    if isinstance(value, Core):
        for i, t in enumerate(tensors):
            if t is value:
                key.append(("again", i))
                return
        if value._leaf is not None:  # its gradient is kept: read and written as what it is
            _object(value, found)
            return
        tensors.append(value)
        key.append((value._shape, value._storage.dtype, axes_of(value), value.tracked()))
    elif isinstance(value, list | tuple):
        key.append((type(value), len(value)))
        for v in value:
            look_through(v, found)
    elif isinstance(value, dict):
        key.append((dict, tuple(map(constant, value))))
        for v in value.values():
            look_through(v, found)
    elif not isinstance(value, _BY_VALUE) and _has_state(value):
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


def _has_state(value: Any) -> bool:
    if isinstance(value, types.FunctionType | types.MethodType):
        return True
    # What compares by identity: its contents are looked at like those of what is reached.
    return hasattr(value, "__dict__") and "__eq__" not in _methods(type(value))


def _methods(cls: type) -> set[str]:
    return {name for base in cls.__mro__ if base is not object for name in vars(base)}


def _object(value: Any, found: Arguments) -> None:
    for i, known in enumerate(found.objects):
        if known is value:
            found.key.append(("object", i))
            return
    found.key.append(("object", len(found.objects)))
    found.objects.append(value)


def with_proxies(value: Any, proxies: dict[int, Core]) -> Any:
    """Nested arguments with other tensors in the places of those whose ids are given."""
    if isinstance(value, Core):
        return proxies.get(id(value), value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(with_proxies(v, proxies) for v in value))
    if isinstance(value, list | tuple):
        return type(value)(with_proxies(v, proxies) for v in value)
    if isinstance(value, dict):
        return {k: with_proxies(v, proxies) for k, v in value.items()}
    return value


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
