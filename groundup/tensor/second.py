"""PyTorch's second names of functions, `gu.arccos` for `gu.acos`, and small questions about
tensors, shapes and types.

Must not hold any meaning of its own where another name has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..ir import dtype as dt
from ..ir.dtype import DType
from ..ir.extent import product
from . import functions as fn
from . import operands, parts, shape, special
from . import pointwise as pw
from .contract import outer
from .core import Core
from .create import as_tensor
from .errors import at_line, check_dim
from .misuse import named

if TYPE_CHECKING:
    from .tensor import Tensor

arccos, arccosh, arcsin, arcsinh = special.acos, special.acosh, special.asin, special.asinh
arctan, arctanh, arctan2 = special.atan, special.atanh, special.atan2
absolute, negative, fix, clip = fn.abs, fn.neg, fn.trunc, fn.clamp
divide, multiply, subtract = operands.div, fn.mul, operands.sub
greater, greater_equal, less, less_equal = operands.gt, operands.ge, operands.lt, operands.le
not_equal, ger, moveaxis, concatenate = fn.ne, outer, fn.movedim, fn.concat
swapdims = fn.transpose
row_stack = parts.vstack
split_with_sizes = unsafe_split = fn.split
unsafe_chunk = fn.chunk
select = shape.select


@named
def ravel(a: Core) -> Tensor:
    """All elements in one axis.

    >>> gu.ravel(gu.ones(2, 2)).shape
    (4,)
    """
    return shape.reshape(a, -1) if a.ndim else shape.reshape(a, 1)


def swapaxes(a: Core, axis0: int, axis1: int) -> Tensor:
    """Two axes exchanged.

    >>> gu.swapaxes(gu.ones(2, 3), 0, 1).shape
    (3, 2)
    """
    return shape.transpose(a, axis0, axis1)


def clone(a: Core) -> Tensor:
    """The same values in memory of their own: `x.clone()`."""
    return _method(a, "clone")


def detach(a: Core) -> Tensor:
    """The same memory without its history: `x.detach()`."""
    return _method(a, "detach")


def _method(a: Core, name: str) -> Tensor:
    if not isinstance(a, Core):
        raise TypeError(f"{name} takes a tensor, not {type(a).__name__}" + at_line())
    made: Tensor = getattr(a, name)()
    return made


@named
def adjoint(a: Core) -> Tensor:
    """The last two axes exchanged, and complex numbers conjugated.

    >>> gu.adjoint(gu.ones(2, 3)).shape
    (3, 2)
    """
    made: Tensor = a.mH  # type: ignore[attr-defined]
    return made


@named
def slice_copy(
    a: Core, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """x[…, start:end:step, …] along one axis, in memory of its own.

    >>> gu.slice_copy(gu.arange(6), 0, 1, -1, 2).tolist()
    [1, 3]
    """
    d = check_dim("slice_copy", dim, a.ndim)
    key = (*(slice(None),) * d, slice(start, end, step))
    made: Tensor = a[key].clone()  # type: ignore[index]
    return made


# ---- made anew -----------------------------------------------------------------------------------


def scalar_tensor(s: Any, *, dtype: DType = dt.float32, requires_grad: bool = False) -> Tensor:
    """One number as a tensor without axes, float32 unless said otherwise.

    >>> gu.scalar_tensor(2)
    tensor(2.)
    """
    if isinstance(s, Core) or not isinstance(s, int | float | complex):
        raise TypeError(f"scalar_tensor takes a number, not {type(s).__name__}" + at_line())
    made = as_tensor(s, dtype)
    return made.requires_grad_() if requires_grad else made


def asarray(
    obj: Any, *, dtype: DType | None = None, copy: bool | None = None, requires_grad: bool = False
) -> Tensor:
    """Data, an array or a tensor as a tensor: of a tensor itself where nothing changes.

    copy=True: in memory of its own; False: an error where that would be needed.

    >>> gu.asarray([1, 2]).tolist()
    [1, 2]
    """
    same = isinstance(obj, Core) and dtype in (None, obj.dtype)
    if copy is False and not same:
        raise ValueError(
            "asarray: copy=False, but this has to be copied; gu.from_numpy(array, copy=False) "
            "shares the memory of an array" + at_line()
        )
    made = as_tensor(obj, dtype)
    made = made.clone() if copy and same else made
    return made.requires_grad_() if requires_grad else made


# ---- questions -----------------------------------------------------------------------------------


def is_tensor(obj: Any) -> bool:
    """Is it a tensor?

    >>> gu.is_tensor(gu.ones(1)), gu.is_tensor(1)
    (True, False)
    """
    return isinstance(obj, Core)


@named
def is_floating_point(a: Core) -> bool:
    """Is the type a floating one?

    >>> gu.is_floating_point(gu.ones(1))
    True
    """
    return a.dtype.is_float


@named
def is_signed(a: Core) -> bool:
    """Does the type have numbers below 0?"""
    return a.dtype.kind not in "ub"


def is_nonzero(a: Core) -> bool:
    """Is the one element not 0? An error for any other number of elements.

    >>> gu.is_nonzero(gu.tensor([2.0]))
    True
    """
    return bool(a)


@named
def is_same_size(a: Core, b: Core) -> bool:
    """Are the shapes equal?"""
    return tuple(a._shape) == tuple(b._shape)


def can_cast(from_: DType, to: DType) -> bool:
    """Can a value of one type be written into another: not from complex to real, from floating to
    whole, or from any number to bool.

    >>> gu.can_cast(gu.float32, gu.float16), gu.can_cast(gu.float32, gu.int64)
    (True, False)
    """
    for t in (from_, to):
        if not isinstance(t, DType):
            raise TypeError(f"can_cast takes types, not {type(t).__name__}" + at_line())
    return pw.category(from_) <= pw.category(to)


def broadcast_shapes(*shapes: int | Sequence[int]) -> tuple[int, ...]:
    """The shape to which tensors of these shapes broadcast.

    >>> gu.broadcast_shapes((2, 1), (3,))
    (2, 3)
    """
    given = [(s,) if isinstance(s, int) else tuple(s) for s in shapes]
    for s in given:
        if any(not isinstance(n, int) or n < 0 for n in s):
            raise ValueError(f"broadcast_shapes: sizes are 0 or more, not {s}" + at_line())
    return tuple(pw.broadcast("broadcast_shapes", *given))


def unravel_index(indices: Core, shape: int | Sequence[int]) -> tuple[Tensor, ...]:
    """The place along each axis of positions in row-major order in a tensor of a shape.

    >>> [i.tolist() for i in gu.unravel_index(gu.tensor([5]), (2, 3))]
    [[1], [2]]
    """
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if not isinstance(indices, Core) or not indices.dtype.is_int:
        given = indices.dtype.name if isinstance(indices, Core) else type(indices).__name__
        raise TypeError(f"unravel_index takes a tensor of integers, not {given}" + at_line())
    if any(not isinstance(n, int) or n < 0 for n in sizes):
        raise ValueError(f"unravel_index: sizes are whole numbers from 0 on, not {sizes}"
                         + at_line())  # fmt: skip
    from .indexing import check_range

    low = check_range(indices, product(sizes), "unravel_index")
    if low is not None and low < 0:
        raise ValueError(f"unravel_index: positions are 0 or more, not {low}" + at_line())
    found: list[Tensor] = []
    rest: Any = pw.cast(indices, dt.int64)
    for n in reversed(sizes):
        found.append(pw.cast(pw.binary("mod", rest, max(n, 1)), indices.dtype))
        rest = pw.binary("floordiv", rest, max(n, 1))
    return tuple(reversed(found))
