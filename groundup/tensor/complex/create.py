"""Complex tensors from nothing.

Must not know derivatives.
"""

from __future__ import annotations

from ...ir import node as ir
from ...ir.dtype import DType
from ..create import from_node
from ..tensor import Tensor
from .tensor import ComplexTensor


def filled(size: tuple[int, ...], value: complex, dtype: DType) -> Tensor:
    """One complex number everywhere."""
    part = dtype.to_real()
    re, im = ir.const(value.real, part), ir.const(value.imag, part)
    if re is not im:
        re = ir.where(ir.alu("eq", ir.out(len(size)), ir.index(1)), im, re)
    return ComplexTensor(from_node(ir.loops((*size, 2), re)))
