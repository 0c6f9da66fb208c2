"""Reductions and running values of complex numbers.

A sum is one of pairs; a product is taken of halves, so that its rounding errors grow with the
logarithm of the number of factors. Must not know derivatives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...ir.dtype import DType
from ...ir.extent import product
from .. import pointwise as pw
from .. import reduce as rd
from .. import running, shape
from ..core import Core, Paired, finish, operand
from ..tensor import Tensor
from .create import filled
from .parts import as_complex, imag, real

if TYPE_CHECKING:
    from ..reduce import Dims


def _typed(a: Core, dtype: DType | None) -> Core:
    return a if dtype is None else pw.cast(a, dtype)


def sum_(a: Core, dim: Dims, keepdim: bool, dtype: DType | None) -> Tensor:
    """Σ over `dim`."""
    a = _typed(a, dtype)
    if not isinstance(a, Paired):
        return rd.sum_(a, dim, keepdim)
    dims = rd.axes_of("sum", dim, a.ndim)
    return a.over(lambda p: finish(rd.reduced("sum", operand(p), dims, keepdim), p))


def mean(a: Paired, dim: Dims, keepdim: bool) -> Tensor:
    """Σ x / n over `dim`."""
    dims = rd.axes_of("mean", dim, a.ndim)
    count = product([a._shape[d] for d in dims])
    total = sum_(a, dim, keepdim, None)
    assert isinstance(total, Paired)
    return total.over(lambda p: pw.binary("div", p, count))


def var(a: Paired, dim: Dims, correction: float, keepdim: bool) -> Tensor:
    """Σ |x − mean|² / (n − correction) over `dim`, a real number."""
    re, im = (rd.var(x, dim, correction, keepdim) for x in (real(a), imag(a)))
    return pw.binary("add", re, im)


def prod(a: Core, dim: Dims, keepdim: bool, dtype: DType | None) -> Tensor:
    """Π over `dim`."""
    a = _typed(a, dtype)
    if not isinstance(a, Paired):
        return rd.prod(a, dim, keepdim)
    dims = rd.axes_of("prod", dim, a.ndim)
    rest = [d for d in range(a.ndim) if d not in dims]
    sizes = [a._shape[d] for d in rest]
    x = shape.permute(a, [*dims, *rest])
    x = shape.reshape(x, (int(product([a._shape[d] for d in dims])), *sizes))
    alone = x._shape[0] == 1
    if not x._shape[0]:
        x = filled((1, *sizes), 1, a.dtype)
    while (n := int(x._shape[0])) > 1:
        half = n // 2
        pair = pw.binary("mul", shape.narrow(x, 0, 0, half), shape.narrow(x, 0, half, half))
        x = shape.cat([pair, shape.narrow(x, 0, n - 1, 1)], 0) if n % 2 else pair
    kept = [1 if d in dims else s for d, s in enumerate(a._shape) if keepdim or d not in dims]
    found = shape.reshape(x, kept)
    return found.clone() if alone else found  # never a view of a


def scanned(name: str, a: Core, axis: int, dtype: DType | None) -> Tensor:
    """cumsum or cumprod along an axis, counted from the front."""
    a = _typed(a, dtype)
    if not isinstance(a, Paired):
        return running._scanned(name, a, axis, None)
    if not a.ndim:
        assert isinstance(a, Tensor)
        return a.clone()
    if name == "cumsum":
        return a.over(lambda p: running._scanned(name, p, axis, None))
    x, step, n = as_complex(a, a.dtype).clone(), 1, int(a._shape[axis])
    while step < n:  # each element times the one `step` before it, then twice as far
        rest = shape.narrow(x, axis, step, n - step)
        before = shape.narrow(x, axis, 0, n - step)
        head = shape.narrow(x, axis, 0, step)
        x = shape.cat([head, pw.binary("mul", before, rest)], axis)
        step *= 2
    return x
