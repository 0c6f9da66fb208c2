"""Mixed precision: which functions compute in a 16-bit type, and which in float32.

Functions ask here, like they ask for grad mode. Must not know what they compute.
"""

from __future__ import annotations

from typing import TypeVar

from ..ir import dtype as dt
from ..ir.dtype import DType
from . import door
from . import pointwise as pw
from .core import Core
from .errors import at_line
from .mode import Block, state

T = TypeVar("T")


class autocast(Block):
    """Mixed precision inside a `with` block or decorated function, in this thread.

        products (matmul, einsum, linear, convolution)     operands → `dtype`, summed in float32,
                                                           the result rounded to `dtype`
        sums, means, variances, norms, softmax,            16-bit operands → float32,
        normalisations, losses                             the result float32
        everything else                                    PyTorch's promotion of what it gets

    dtype: bfloat16 or float16. Parameters stay float32, and so do their gradients: the conversion
    is a part of the expression, and its derivative converts back. float64 is left alone. Only the
    forward pass needs the block; `backward` follows the types that it finds.
    Raises TypeError for any other dtype.
    Source: Micikevicius et al. 2018, Mixed Precision Training.

    >>> a, b = gu.ones(2, 3), gu.ones(3, 4)
    >>> with gu.autocast(dtype=gu.bfloat16):
    ...     y = a @ b
    ...     y.dtype, y.sum().dtype
    (groundup.bfloat16, groundup.float32)
    """

    def __init__(self, dtype: DType = dt.bfloat16, enabled: bool = True) -> None:
        door.passing()
        if not isinstance(dtype, DType) or not dtype.is_float or dtype.bits != 16:
            name = dtype.name if isinstance(dtype, DType) else repr(dtype)
            raise TypeError(f"autocast: dtype is bfloat16 or float16, not {name}" + at_line())
        super().__init__("autocast", dtype if enabled else None)


def lowered(x: T) -> T:
    """An operand of a product: in the block's 16-bit type, if there is a block."""
    to = state.autocast
    if to is None or not isinstance(x, Core) or not x.dtype.is_float or x.dtype.bits == 64:
        return x
    return pw.cast(x, to)  # type: ignore[return-value]


def full(x: T) -> T:
    """An operand of what needs precision: in float32 rather than 16 bits, if there is a block."""
    if state.autocast is None or not isinstance(x, Core) or not is_half(x.dtype):
        return x
    return pw.cast(x, dt.float32)  # type: ignore[return-value]


def is_half(dtype: DType) -> bool:
    """Is this a 16-bit floating type?"""
    return dtype.is_float and dtype.bits == 16
