"""What matrix functions ask of their operands, and small parts of their formulas.

Must not know any function of matrices.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...ir import dtype as dt
from .. import pointwise as pw
from ..core import Core, is_complex, operand, value_of
from ..create import eye
from ..errors import ShapeError, at_line, check_types, lined_up
from ..host import with_derivative
from ..misuse import named
from ..tensor import Tensor

Given = Sequence[Tensor | None]  # gradients of results, None where nothing asks
Known = Sequence[Tensor]


def matrices(name: str, A: Core, square: bool = False, complex_too: bool = False) -> Tensor:
    """The operand, if it is a (square) matrix or a batch of them, in float32 or float64, or of
    complex numbers where they are known."""
    a = tensor_of(name, A)
    if not (complex_too and is_complex(a)):
        floating(name, a)
    if a.ndim < 2:
        raise ShapeError(
            f"{name}: a matrix has two axes (a batch of them more), this tensor has {a.ndim}"
            + lined_up(shape=a._shape) + at_line()
        )  # fmt: skip
    if square and a._shape[-1] != a._shape[-2]:
        raise ShapeError(
            f"{name}: a square matrix expected: the last two axes must be equal"
            + lined_up(shape=a._shape) + at_line()
        )  # fmt: skip
    return a


def tensor_of(name: str, x: Core) -> Tensor:
    """The operand, if it is a tensor."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}: a tensor expected, not a {type(x).__name__}" + at_line())
    return x


def floating(name: str, a: Core) -> None:
    """Raise unless a tensor is of a type that LAPACK has."""
    if a.dtype not in (dt.float32, dt.float64):
        raise TypeError(
            f"{name}: float32 or float64 expected, not {a.dtype.name}; write x.float() or "
            f"x.double()" + at_line()
        )


def one_type(name: str, a: Core, b: Core) -> None:
    """Raise unless two tensors are of one type."""
    check_types(name, a.dtype, b.dtype)


def steps(name: str, value: Tensor, source: Tensor) -> Tensor:
    """A value that is constant around almost every value of a tensor: its derivative is 0, where a
    value without history would have none."""
    return with_derivative(name, [value_of(value)], [source], lambda g, y, x: (None,))[0]


def diagonals(v: Tensor) -> Tensor:
    """Square matrices with these diagonals."""
    n = v._shape[-1]
    return pw.where(eye(n).bool(), v.unsqueeze(-1), 0)


def as_factor(v: Tensor) -> Tensor:
    """Numbers as factors of matrices."""
    return v.unsqueeze(-1).unsqueeze(-1)


@named
def tracked(a: Core) -> bool:
    """Does a derivative flow through a tensor?"""
    return operand(a).tracked
