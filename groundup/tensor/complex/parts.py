"""A complex tensor and its parts: made of (re, im) or pairs, seen as them, given its conjugate.

Views share memory: `z.real`, `z.imag`, `view_as_real`, `view_as_complex`. Must not know arithmetic.
"""

from __future__ import annotations

import warnings
from builtins import complex as _number
from typing import Any

from ...ir import dtype as dt
from ...ir import node as ir
from ...ir.dtype import DType
from .. import pointwise as pw
from .. import shape
from ..core import Core, Paired, finish, operand
from ..create import filled
from ..errors import ShapeError, at_line, lined_up, shape_text
from ..misuse import named
from ..tensor import Tensor
from .refusal import depth, refuse
from .tensor import ComplexTensor


def parts(value: Any, dtype: DType) -> tuple[Any, Any]:
    """(re, im) of an operand as real tensors of a complex type's parts, or as numbers."""
    real = dtype.to_real()
    if isinstance(value, Paired):
        re, im = (pw.cast(shape.select(value._pair, -1, k), real) for k in (0, 1))
        return re, im
    if isinstance(value, Core):
        return pw.cast(value, real), 0.0
    if not isinstance(value, int | float | _number):
        raise TypeError(
            f"expected a Tensor or a number, not {pw.kind_of(value)}" + at_line()
        )
    value = _number(value)
    return value.real, value.imag


def joined(re: Any, im: Any, dtype: DType) -> Tensor:
    """The complex tensor of two parts that broadcast, tensors or numbers, at least one a tensor."""
    real = dtype.to_real()
    sizes = pw.broadcast("complex", *(x._shape for x in (re, im) if isinstance(x, Core)))
    both = [
        shape.expand(pw.cast(x, real), sizes) if isinstance(x, Core) else filled(sizes, x, real)
        for x in (re, im)
    ]
    return ComplexTensor(shape.stack(both, -1))


def pairs_of(value: Any, dtype: DType) -> Tensor:
    """The real tensor of pairs of a tensor or number, of a complex type."""
    if isinstance(value, Paired):
        return pw.cast(value._pair, dtype.to_real())
    re, im = parts(value, dtype)
    if not isinstance(re, Core):
        re = filled((), re, dtype.to_real())
    made = joined(re, im, dtype)
    assert isinstance(made, Paired)
    return made._pair


def as_complex(value: Any, dtype: DType) -> Tensor:
    """A tensor or number as a complex tensor of a type; itself if it is one."""
    if isinstance(value, ComplexTensor) and value.dtype is dtype:
        return value
    return ComplexTensor(pairs_of(value, dtype))


def cast(a: Core, dtype: DType) -> Tensor:
    """A tensor converted between complex types, from a real one, or to bool: whether it is not 0.

    TypeError for any other type: a function that converts to it knows real numbers only."""
    if dtype.is_complex:
        return as_complex(a, dtype)
    if dtype.kind != "b":
        refuse(a.dtype)
    re, im = parts(a, a.dtype)
    return pw.binary("or", pw.to_bool(re), pw.to_bool(im))


def converted(a: Paired, dtype: DType) -> Tensor:
    """A complex tensor converted as a user asks for it: to a real type, the real parts, with a
    warning, as in PyTorch."""
    if dtype.is_complex or dtype.kind == "b":
        return pw.cast(a, dtype)
    warnings.warn(
        f"converting {a.dtype.name} to {dtype.name} discards the imaginary parts; x.real says so"
        + at_line(),
        stacklevel=depth() + 1,
    )
    real = pw.cast(shape.select(a._pair, -1, 0), dtype)
    return real.clone() if real._storage is a._pair._storage else real  # a value, unlike x.real


# ---- doors ---------------------------------------------------------------------------------------


def complex(real: Core, imag: Core) -> Tensor:
    """re + i·im of two real tensors of one floating type that broadcast.

    float32 parts make complex64, float64 parts complex128. Raises TypeError for other types.

    >>> gu.complex(gu.tensor([1.0, 2.0]), gu.tensor([0.0, -1.0]))
    tensor([1.+0.j, 2.-1.j])
    """
    for x in (real, imag):
        if not isinstance(x, Core) or x.dtype not in (dt.float32, dt.float64):
            kind = x.dtype.name if isinstance(x, Core) else type(x).__name__
            raise TypeError(f"complex takes float32 or float64 tensors, not {kind}" + at_line())
    if real.dtype is not imag.dtype:
        raise TypeError(
            f"complex: both parts are of one type, not {real.dtype.name} and {imag.dtype.name}"
            + at_line()
        )
    return joined(real, imag, real.dtype.to_complex())


@named
def view_as_complex(pairs: Core) -> Tensor:
    """Pairs (re, im) along the last axis as complex numbers, in the same memory.

    (…, 2) of float32 or float64 → (…). Raises ShapeError where the two parts of a number do not
    lie beside each other in memory.

    >>> x = gu.tensor([[1.0, 2.0], [3.0, -4.0]])
    >>> z = gu.view_as_complex(x)
    >>> z.imag.fill_(0)
    tensor([0., 0.])
    >>> x
    tensor([[1., 0.],
            [3., 0.]])
    """
    if pairs.dtype not in (dt.float32, dt.float64):
        raise TypeError(
            f"view_as_complex takes float32 or float64, not {pairs.dtype.name}" + at_line()
        )
    if not pairs.ndim or pairs._shape[-1] != 2:
        raise ShapeError(
            "view_as_complex: the last axis holds re and im, so its size is 2"
            + lined_up(1 if pairs.ndim else 0, shape=pairs._shape)
            + at_line()
        )
    strides, offset = pairs.layout()
    if strides[-1] != 1 or any(s % 2 for s in strides[:-1]) or offset % 2:
        raise ShapeError(
            f"view_as_complex: re and im must lie beside each other, each pair at an even place; "
            f"strides are {shape_text(strides)}, offset {offset}; write x.contiguous()" + at_line()
        )
    return ComplexTensor(shape.identity(pairs))


@named
def view_as_real(z: Core) -> Tensor:
    """Complex numbers as pairs (re, im) along a new last axis, in the same memory.

    (…) → (…, 2). Raises TypeError for real tensors.

    >>> gu.view_as_real(gu.tensor([1 + 2j]))
    tensor([[1., 2.]])
    """
    if not isinstance(z, Paired):
        raise TypeError(
            f"view_as_real takes a complex tensor, not one of {z.dtype.name}; write "
            f"x.to(gu.complex64)" + at_line()
        )
    return shape.identity(z._pair)


@named
def real(a: Core) -> Tensor:
    """The real parts, in the same memory; of a real tensor, itself.

    >>> gu.real(gu.tensor([1 + 2j]))
    tensor([1.])
    """
    if isinstance(a, Paired):
        return shape.select(a._pair, -1, 0)
    assert isinstance(a, Tensor)
    return a


@named
def imag(a: Core) -> Tensor:
    """The imaginary parts, in the same memory. Raises TypeError for real tensors, as PyTorch.

    >>> gu.imag(gu.tensor([1 + 2j]))
    tensor([2.])
    """
    if isinstance(a, Paired):
        return shape.select(a._pair, -1, 1)
    raise TypeError(
        f"imag of {a.dtype.name}: real numbers have no imaginary part; write gu.zeros_like(x)"
        + at_line()
    )


@named
def conj(a: Core) -> Tensor:
    """re − i·im; of a real tensor, itself.

    A value, not a view: unlike PyTorch's, a write into it leaves `a` as it was.

    >>> gu.conj(gu.tensor([1 + 2j]))
    tensor([1.-2.j])
    """
    if isinstance(a, Paired):
        pair = a._pair
        x = pw.read_at(operand(pair), pair._shape)
        first = ir.alu("lt", ir.out(a.ndim), ir.index(1))
        body = ir.where(first, x, ir.alu("neg", x))
        return ComplexTensor(finish(ir.loops(pair._shape, body), pair))
    assert isinstance(a, Tensor)
    return a


def is_complex(a: Core) -> bool:
    """Is the type a complex one?

    >>> gu.is_complex(gu.tensor([1j]))
    True
    """
    if not isinstance(a, Core):
        raise TypeError(f"is_complex takes a tensor, not {type(a).__name__}" + at_line())
    return isinstance(a, Paired)
