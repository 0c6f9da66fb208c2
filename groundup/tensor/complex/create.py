"""Complex tensors from nothing.

Must not know derivatives.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ...ir import node as ir
from ...ir.dtype import DType
from .. import create as real
from .. import random
from ..create import end_of, from_node
from ..tensor import Tensor
from .parts import joined
from .tensor import ComplexTensor

if TYPE_CHECKING:
    from ..generator import Generator


def linspace(start: Any, end: Any, steps: int, dtype: DType) -> Tensor:
    """Evenly spaced numbers on the line between two."""
    a, b = (complex(end_of("linspace", v, dtype)) for v in (start, end))
    part = dtype.to_real()
    re, im = (real.linspace(*ends, steps, part) for ends in ((a.real, b.real), (a.imag, b.imag)))
    return joined(re, im, dtype)


def rand(
    size: tuple[int, ...], dtype: DType, generator: Generator | None, requires_grad: bool
) -> Tensor:
    """Numbers whose parts are uniform in [0, 1)."""
    made = ComplexTensor(random.rand(*size, 2, dtype=dtype.to_real(), generator=generator))
    return made.requires_grad_(requires_grad)


def randn(
    size: tuple[int, ...], dtype: DType, generator: Generator | None, requires_grad: bool
) -> Tensor:
    """Normal numbers of mean 0 and variance 1, half of it in each part."""
    parts = random.randn(*size, 2, dtype=dtype.to_real(), generator=generator)
    return ComplexTensor(parts * math.sqrt(0.5)).requires_grad_(requires_grad)


def filled(size: tuple[int, ...], value: complex, dtype: DType) -> Tensor:
    """One complex number everywhere."""
    part = dtype.to_real()
    re, im = ir.const(value.real, part), ir.const(value.imag, part)
    if re is not im:
        re = ir.where(ir.alu("eq", ir.out(len(size)), ir.index(1)), im, re)
    return ComplexTensor(from_node(ir.loops((*size, 2), re)))
