"""Python data (numbers, nested lists, arrays, tensors) to storages.

Must not know operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..ir import dtype as dt
from ..ir.dtype import DType
from ..ir.scalar import cast
from .core import Core, Paired
from .errors import ShapeError, at_line, check_holds
from .storage import Storage, from_values

if TYPE_CHECKING:
    from .complex.refusal import Pairs


def storage_from_data(data: Any, dtype: DType | None) -> Storage | Pairs:
    """A realised storage with a copy of the data; the type is inferred unless given.

    bools give bool, integers int64, anything with a float float32; with a complex number complex64,
    which is a storage of pairs. Raises ShapeError for ragged
    lists and such as contain themselves, TypeError for what is no number, OverflowError for numbers
    beyond the type.
    """
    if hasattr(data, "__array__") and not isinstance(data, Core):
        from .interop import values_from_array

        return values_from_array(data, dtype)
    flat, shape, inferred = _flattened(data)
    kind = inferred if dtype is None else dtype
    if kind.is_complex or inferred.is_complex:
        return _pairs(flat, shape, kind)
    if dtype is None and kind is dt.int64:
        _check_range(flat)
    if kind.is_int and flat:
        for v in flat if inferred.is_float else (min(flat), max(flat)):
            check_holds(v, kind)
    return from_values([cast(v, kind) for v in flat], shape, kind)


def _pairs(values: list[Any], shape: tuple[int, ...], dtype: DType) -> Pairs:
    """Complex numbers as a storage of pairs."""
    from .complex.refusal import Pairs

    if not dtype.is_complex:
        raise TypeError(
            f"a complex number is none of {dtype.name}; give dtype=gu.complex64, or its .real"
            + at_line()
        )
    part = dtype.to_real()
    flat = [cast(p, part) for v in map(complex, values) for p in (v.real, v.imag)]
    return Pairs(dtype, from_values(flat, (*shape, 2), part))


def _check_range(values: list[Any]) -> None:
    """No number is cut without a word. With a dtype, the user has asked for its arithmetic."""
    for v in values:
        if not -(2**63) <= v < 2**63:
            raise OverflowError(
                f"the integer {v} does not fit into int64; give a dtype, such as gu.float64"
                + at_line()
            )


# Deeper nesting is a mistake, not data.
_DEEPEST = 64


def _flattened(data: Any) -> tuple[list[Any], tuple[int, ...], DType]:
    """(the numbers in row-major order, the shape, the type that they call for)."""
    shape: list[int] = []
    level: list[Any] = [data]
    above: set[int] = set()
    while level and _is_list(level[0]):
        lengths = {len(x) if _is_list(x) else -1 for x in level}
        if len(lengths) > 1:
            raise ShapeError(
                f"nested lists must have equal lengths at each depth; at depth {len(shape)} there "
                f"are {sorted(n for n in lengths if n >= 0)}"
                + (" and numbers" if -1 in lengths else "")
                + at_line()
            )
        # In lists of equal lengths, one list has one depth, unless it is inside itself.
        own = {id(x) for x in level}
        if own & above or len(shape) == _DEEPEST:
            what = "contain themselves" if own & above else f"are nested more than {_DEEPEST} deep"
            raise ShapeError(f"these lists {what}: a tensor has a finite shape" + at_line())
        above |= own
        shape.append(lengths.pop())
        level = [x for row in level for x in row]
    values: list[Any] = []
    kinds: set[type] = set()
    inner: tuple[int, ...] | None = None
    for x in level:
        if isinstance(x, Core) or hasattr(x, "__array__"):
            found, size, d = _from_tensor(x)
            if inner not in (None, size):
                raise ShapeError(
                    f"tensors in a list need one shape: {inner} and {size}" + at_line()
                )
            inner = size
            values.extend(found)
            kinds.add({"b": bool, "f": float, "c": complex}.get(d.kind, int))
        elif isinstance(x, bool | int | float | complex):
            values.append(x)
            kinds.add(type(x))
        elif hasattr(x, "__index__"):
            values.append(x.__index__())
            kinds.add(int)
        elif hasattr(x, "__float__"):
            values.append(float(x))
            kinds.add(float)
        else:
            raise TypeError(
                f"a tensor holds numbers; {type(x).__name__} is none: {x!r:.60}" + at_line()
            )
    if inner:
        shape.extend(inner)
    if complex in kinds:
        return values, tuple(shape), dt.complex64
    if kinds == {bool}:
        return values, tuple(shape), dt.bool_
    integers = values and all(issubclass(k, int) for k in kinds)
    return values, tuple(shape), dt.int64 if integers else dt.float32


def _is_list(x: Any) -> bool:
    return isinstance(x, Sequence) and not isinstance(x, str | bytes)


def _from_tensor(x: Any) -> tuple[list[Any], tuple[int, ...], DType]:
    from .indexing import host_values

    if isinstance(x, Core) and not isinstance(x, Paired):
        return host_values(x, "tensor(data)"), tuple(x._shape), x.dtype
    if not isinstance(x, Paired):
        storage = storage_from_data(x, None)
        if isinstance(storage, Storage):
            return storage.values(), storage.shape, storage.dtype
        from .complex.tensor import ComplexTensor

        x = ComplexTensor.of(storage)
    return x.values("tensor(data)"), tuple(x._shape), x.dtype
