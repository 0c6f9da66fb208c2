"""Functions of complex numbers that give their own derivative: values by formulas of parts, with
care for overflow and cuts, derivatives by formulas of complex numbers.

With y = f(z) of a derivative f′, the gradient of a real loss by z is g · conj(f′(z)). Must not know
any function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...ir.dtype import DType
from .. import shape
from ..core import Core, Paired, operand, value_of
from ..host import with_derivative
from ..tensor import Tensor
from .parts import as_complex, conj
from .single import Parts, written
from .tensor import ComplexTensor

# f′ as a complex tensor (or number), of y = f(z, …) and z, …
Slope = Callable[..., Any]


def tracked(*values: Any) -> bool:
    """Will a derivative flow to one of these?"""
    return any(operand(_source(v)).tracked for v in values if isinstance(v, Core))


def _source(z: Core) -> Core:
    return z._pair if isinstance(z, Paired) else z


def differentiable(
    name: str, function: Callable[..., Parts], slopes: Sequence[Slope], dtype: DType, *values: Any
) -> Tensor:
    """A holomorphic function, in a complex type, of operands that broadcast: its parts by
    `function` of theirs, and for each operand its slope."""
    y = written(name, function, dtype, *values)
    if not tracked(*values):
        return y
    zs = [shape.expand(as_complex(v, dtype), y._shape) for v in values]

    def derivative(g: Tensor, y: Tensor, xs: Sequence[Tensor]) -> list[Tensor]:
        return [g * conj_of(f(y, *xs)) for f in slopes]

    return with_rule(name, y, derivative, *zs)


def conj_of(value: Any) -> Any:
    """The conjugate of a tensor or number."""
    return conj(value) if isinstance(value, Core) else complex(value).conjugate()


def with_rule(
    name: str,
    y: Tensor,
    derivative: Callable[[Tensor, Tensor, Sequence[Tensor]], Sequence[Tensor]],
    *zs: Tensor,
) -> Tensor:
    """y, computed without history from zs (each real or complex), with a derivative: from the
    gradient of y, y and zs to the gradients of zs."""
    sources = [_source(z) for z in zs]
    if not any(operand(s).tracked for s in sources):
        return y
    complex_result = isinstance(y, Paired)

    def rule(
        gs: Sequence[Tensor | None], ys: Sequence[Tensor], xs: Sequence[Tensor]
    ) -> Sequence[Core | None]:
        if gs[0] is None:
            return [None] * len(xs)
        whole = [ComplexTensor(x) if isinstance(z, Paired) else x for x, z in zip(xs, zs)]
        g, value = gs[0], ys[0]
        if complex_result:
            g, value = ComplexTensor(g), ComplexTensor(value)
        found = derivative(g, value, whole)
        return [f._pair if isinstance(f, Paired) else f for f in found]

    value = value_of(y._pair if isinstance(y, Paired) else y)
    (done,) = with_derivative(name, [value], sources, rule)
    return ComplexTensor(done) if complex_result else done
