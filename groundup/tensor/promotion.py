"""The type and the shape of a result: PyTorch's promotion and broadcasting.

Must not know any operation.
"""

from __future__ import annotations

from typing import Any

from ..ir import dtype as dt
from ..ir.dtype import DType, promote
from .core import Core
from .errors import cannot_broadcast
from .view import Shape


def number_dtype(value: object) -> DType:
    """The type that a Python number brings into an operation."""
    if isinstance(value, bool):
        return dt.bool_
    if isinstance(value, complex):
        return dt.complex64
    return dt.float32 if isinstance(value, float) else dt.int64


_CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}


def category(d: DType) -> int:
    return _CATEGORY[d.kind]


def result_type(*values: Any) -> DType:
    """PyTorch's promotion: tensors with axes first, then 0-d ones, then Python numbers.

    A lower group changes the type only if its category (bool < integer < floating < complex) is
    higher; a floating type keeps its precision as a complex one.
    """
    groups: list[DType | None] = [None, None, None]
    for v in values:
        if isinstance(v, Core):
            place, d = (0 if v._shape else 1), v._storage.dtype
        else:
            place, d = 2, number_dtype(v)
        before = groups[place]
        groups[place] = d if before is None else promote(before, d)
    result: DType | None = None
    for group in groups:
        if group is None:
            continue
        if result is None or category(group) > category(result):
            wide = result is not None and result.is_float and group.is_complex
            result = result.to_complex() if wide and result is not None else group
    assert result is not None
    return result


def broadcast(operation: str, *shapes: Shape) -> Shape:
    """The shape that all these shapes broadcast to; raises ShapeError with them lined up."""
    first = shapes[0]
    if all(s is first for s in shapes):
        return first
    ndim = max(len(s) for s in shapes)
    result: list[int] = []
    for axis in range(-ndim, 0):
        size = 1
        for shape in shapes:
            if -axis > len(shape):
                continue
            s = shape[axis]
            if s == 1 and type(s) is int:
                continue
            if type(size) is int and size == 1:
                size = s
            elif s != size:
                raise cannot_broadcast(operation, shapes)
            elif type(s) is not type(size):
                size = int(s)  # a runtime size met an equal fixed one: this graph is special
        result.append(size)
    return tuple(result)
