"""Derivatives of and by complex tensors: those of their pairs.

With L real, ∂L/∂re + i·∂L/∂im is the pair of derivatives by a pair. Must not know any derivative.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import backward
from ..core import Core, Paired
from ..errors import GradError, at_line
from ..tensor import Tensor
from .parts import pairs_of
from .tensor import ComplexTensor


def derivatives(
    outputs: Sequence[Core], inputs: Sequence[Core], seeds: Sequence[Any], create_graph: bool,
    allow_unused: bool,
) -> tuple[Tensor | None, ...]:  # fmt: skip
    """backward.derivatives with complex tensors among the outputs or inputs."""
    outs: list[Core] = []
    given: list[Any] = []
    for o, s in zip(outputs, seeds, strict=True):
        if isinstance(o, Paired) and s is None:
            raise GradError(
                f"the derivative of {o.dtype.name} needs grad_outputs: only a real number is a "
                f"loss; take x.real, x.abs() or the like" + at_line()
            )
        outs.append(o._pair if isinstance(o, Paired) else o)
        given.append(pairs_of(s, o.dtype) if isinstance(o, Paired) else s)
    ins = [x._pair if isinstance(x, Paired) else x for x in inputs]
    found = backward.derivatives(outs, ins, given, create_graph, allow_unused)
    return tuple(
        ComplexTensor(g) if isinstance(x, Paired) and g is not None else g
        for x, g in zip(inputs, found, strict=True)
    )
