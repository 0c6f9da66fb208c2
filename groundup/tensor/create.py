"""Tensors from nothing: data, fills, ranges, identity.

A fill or a range is a body without reads, so it costs nothing until used. Must not know
derivatives.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..ir import dtype as dt
from ..ir import node as ir
from ..ir.dtype import DType
from ..ir.node import Node
from ..ir.scalar import Number
from . import storage as store
from .core import Core
from .data import storage_from_data
from .errors import ShapeError, at_line, check_holds, shape_text, user_line
from .misuse import named
from .mode import state
from .pointwise import number_dtype
from .shape import expand, reshape, sizes
from .storage import Storage
from .tensor import Tensor

if TYPE_CHECKING:
    from .complex.refusal import Pairs


def from_node(node: Node, requires_grad: bool = False) -> Tensor:
    """The tensor of an expression that reads no other tensor."""
    if node.line is None:
        node.line = user_line()
    store.serial += 1
    if state.anomaly is not None:
        state.anomaly(node)
    result = Tensor._make(Storage(node.shape, node.dtype, node))
    return result.requires_grad_() if requires_grad else result


@named
def tensor(data: Any, dtype: DType | None = None, requires_grad: bool = False) -> Tensor:
    """A tensor with a copy of numbers, nested lists, an array or another tensor.

    dtype: inferred unless given: bool, int64, float32 or complex64. Raises ShapeError for ragged
    lists.

    >>> gu.tensor([[1, 2], [3, 4]]).shape
    (2, 2)
    """
    if isinstance(data, Core):
        assert isinstance(data, Tensor)
        given = as_tensor(data.detach(), dtype)
        copied = given.clone()
        return copied.requires_grad_() if requires_grad else copied
    result = made_of(storage_from_data(data, dtype))
    return result.requires_grad_() if requires_grad else result


def made_of(storage: Storage | Pairs) -> Tensor:
    """The tensor of data, real or complex."""
    if isinstance(storage, Storage):
        return Tensor._make(storage)
    from .complex.tensor import ComplexTensor

    return ComplexTensor.of(storage)


@named
def as_tensor(data: Any, dtype: DType | None = None) -> Tensor:
    """The data as a tensor, without a copy where it is one already."""
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    return tensor(data, dtype)


@named
def from_numpy(array: Any, copy: bool = True) -> Tensor:
    """A tensor with an array's elements; copy=False shares its memory, read and written at once.

    array: of any strides, also negative ones. A read-only one that is shared refuses writes. Raises
    TypeError for element types that groundup does not have, ValueError for copy=False of memory
    that cannot be shared (of another byte order, not aligned).

    >>> import numpy as np
    >>> a = np.arange(6.0).reshape(2, 3)
    >>> x = gu.from_numpy(a.T[::-1], copy=False)
    >>> a[0, 0] = 9
    >>> x.tolist()
    [[2.0, 5.0], [1.0, 4.0], [9.0, 3.0]]
    """
    from .interop import tensor_from_array, values_from_array

    return made_of(values_from_array(array, None)) if copy else tensor_from_array(array)


def filled(
    shape: tuple[int, ...], value: Any, dtype: DType, requires_grad: bool = False
) -> Tensor:
    """One value everywhere."""
    if dtype.kind == "c":
        from .complex.create import filled as counterpart

        result = counterpart(shape, value, dtype)
        return result.requires_grad_() if requires_grad else result
    if isinstance(value, complex):
        raise TypeError(
            f"{value} is none of {dtype.name}; give dtype=gu.complex64, or its .real" + at_line()
        )
    check_holds(value, dtype)
    return from_node(ir.loops(shape, ir.const(value, dtype)), requires_grad)


def _shape(operation: str, args: Sequence[Any]) -> tuple[int, ...]:
    shape = sizes(args)
    if any(s < 0 for s in shape):
        raise ShapeError(f"{operation}: sizes are 0 or more: {shape_text(shape)}" + at_line())
    return shape


@named
def full(
    size: Sequence[int] | int,
    fill_value: Any,
    *,
    dtype: DType | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor with one value everywhere (a number, or a tensor with one element)."""
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    kind = number_dtype(fill_value) if dtype is None else dtype
    shape = _shape("full", (size,))
    return filled(shape, fill_value, kind, requires_grad)


@named
def zeros(*size: Any, dtype: DType = dt.float32, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros.

    >>> gu.zeros(2, 3).tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    shape = _shape("zeros", size)
    if dtype.kind == "c":
        return filled(shape, 0, dtype, requires_grad)
    return from_node(ir.loops(shape, ir.const(0, dtype)), requires_grad)


@named
def ones(*size: Any, dtype: DType = dt.float32, requires_grad: bool = False) -> Tensor:
    """A tensor of ones."""
    shape = _shape("ones", size)
    if dtype.kind == "c":
        return filled(shape, 1, dtype, requires_grad)
    return from_node(ir.loops(shape, ir.const(1, dtype)), requires_grad)


@named
def empty(*size: Any, dtype: DType = dt.float32, requires_grad: bool = False) -> Tensor:
    """A tensor for which no values are promised (they are zeros)."""
    return zeros(*size, dtype=dtype, requires_grad=requires_grad)


@named
def zeros_like(a: Core, dtype: DType | None = None) -> Tensor:
    """Zeros in the shape and type of another tensor."""
    return filled(a._shape, 0, dtype or a.dtype)


@named
def ones_like(a: Core, dtype: DType | None = None) -> Tensor:
    """Ones in the shape and type of another tensor."""
    return filled(a._shape, 1, dtype or a.dtype)


@named
def full_like(a: Core, fill_value: Any, dtype: DType | None = None) -> Tensor:
    """One value in the shape and type of another tensor."""
    return filled(a._shape, fill_value, dtype or a.dtype)


@named
def empty_like(a: Core, dtype: DType | None = None) -> Tensor:
    """Unpromised values in the shape and type of another tensor."""
    return zeros_like(a, dtype)


@named
def arange(
    start: Number,
    end: Number | None = None,
    step: Number = 1,
    dtype: DType | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, … up to but without end; from 0 with one argument.

    dtype: int64 for integers, else float32.

    >>> gu.arange(3).tolist()
    [0, 1, 2]
    """
    if end is None:
        start, end = 0, start
    if not all(-math.inf < v < math.inf for v in (start, end, step)):
        raise ValueError(f"arange: {start} to {end} by steps of {step} has no end" + at_line())
    if step == 0 or (end - start) * (1 if step > 0 else -1) < 0:
        raise ValueError(f"arange: no way from {start} to {end} by steps of {step}" + at_line())
    if dtype is not None and dtype.is_complex:
        raise TypeError(f"arange: real numbers, not {dtype.name}; write .to(dtype)" + at_line())
    floating = any(isinstance(v, float) for v in (start, end, step))
    kind = dtype or (dt.float32 if floating else dt.int64)
    if floating:
        count = math.ceil((end - start) / step)
    else:
        count = -(-(int(end) - int(start)) // int(step))
    wide = dt.float64 if floating else dt.int64
    place = ir.cast(ir.out(0), wide)
    scaled = ir.alu("mul", place, ir.const(step, wide))
    body = ir.cast(ir.alu("add", scaled, ir.const(start, wide)), kind)
    return from_node(ir.loops((count,), body), requires_grad)


@named
def linspace(start: Any, end: Any, steps: int, dtype: DType = dt.float32) -> Tensor:
    """`steps` values from start to end (numbers, or 0-d tensors), both included, evenly spaced."""
    if dtype.kind == "c":
        from .complex.create import linspace as counterpart

        return counterpart(start, end, steps, dtype)
    start, end = (end_of("linspace", v, dtype) for v in (start, end))
    if not isinstance(steps, int):
        raise TypeError(f"linspace: steps is a whole number, not {steps!r}" + at_line())
    if steps < 0:
        raise ValueError(f"linspace: steps is 0 or more, not {steps}" + at_line())
    step = (end - start) / (steps - 1) if steps > 1 else 0.0
    place = ir.out(0)
    x = ir.cast(place, dt.float64)
    up = ir.alu("add", ir.alu("mul", x, ir.const(step, dt.float64)), ir.const(start, dt.float64))
    back = ir.alu("sub", ir.const(float(steps - 1), dt.float64), x)
    down = ir.alu("sub", ir.const(end, dt.float64), ir.alu("mul", back, ir.const(step, dt.float64)))
    half = ir.alu("lt", place, ir.index((steps + 1) // 2))  # from both ends: the last is exact
    return from_node(ir.loops((steps,), ir.cast(ir.where(half, up, down), dtype)))


def end_of(name: str, value: Any, dtype: DType) -> Any:
    """An end of a range as a number."""
    if isinstance(value, Tensor):
        if value.ndim:
            raise ShapeError(
                f"{name}: the ends are numbers or 0-d tensors, not of shape "
                f"{shape_text(value._shape)}" + at_line()
            )
        value = value.item()
    if not isinstance(value, int | float) and not (dtype.is_complex and isinstance(value, complex)):
        raise TypeError(f"{name}: the ends are numbers, not {type(value).__name__}" + at_line())
    return value


@named
def logspace(
    start: Any, end: Any, steps: int, base: float = 10.0, dtype: DType = dt.float32
) -> Tensor:
    """base to the power of `steps` exponents from start to end, evenly spaced

    >>> gu.logspace(0, 2, 3).tolist()
    [1.0, 10.0, 100.0]
    """
    start, end = (end_of("logspace", v, dtype) for v in (start, end))
    if not isinstance(steps, int) or steps < 0:
        raise ValueError(f"logspace: steps is a whole number from 0 on, not {steps!r}" + at_line())
    from .pointwise import binary, cast

    wide = dt.complex128 if dtype.is_complex else dt.float64
    return cast(binary("pow", base, linspace(start, end, steps, wide)), dtype)


@named
def eye(
    n: int, m: int | None = None, dtype: DType = dt.float32, requires_grad: bool = False
) -> Tensor:
    """Ones on the diagonal, zeros elsewhere."""
    shape = _shape("eye", (n, n if m is None else m))
    if dtype.kind == "c":
        return eye(n, m, dtype.to_real()).to(dtype).requires_grad_(requires_grad)
    equal = ir.alu("eq", ir.out(0), ir.out(1))
    body = ir.where(equal, ir.const(1, dtype), ir.const(0, dtype))
    return from_node(ir.loops(shape, body), requires_grad)


@named
def meshgrid(*tensors: Core, indexing: str = "ij") -> tuple[Tensor, ...]:
    """For each of some vectors its values along its own axis of the grid of them all."""
    if len(tensors) == 1 and isinstance(tensors[0], list | tuple):
        tensors = tuple(tensors[0])
    if any(t.ndim > 1 for t in tensors):
        raise ShapeError("meshgrid takes vectors" + at_line())
    vectors = [reshape(t, -1) for t in tensors]
    if indexing not in ("ij", "xy"):
        raise ValueError(f"meshgrid: indexing is 'ij' or 'xy', not {indexing!r}" + at_line())
    order = list(range(len(vectors)))
    if indexing == "xy" and len(vectors) > 1:
        order[0], order[1] = 1, 0
    shape = tuple(vectors[o]._shape[0] for o in order)
    result = []
    for n, t in enumerate(vectors):
        own = [1] * len(vectors)
        own[order.index(n)] = t._shape[0]
        result.append(expand(reshape(t, *own), *shape))
    return tuple(result)
