"""Complex numbers joined, padded and put at places: what is done to their pairs.

Both parts of a number go to one place, so each is an operation on pairs whose last axis takes no
part. Must not know arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .. import placing, shape
from .. import pointwise as pw
from ..core import Core, Paired
from ..errors import at_line
from ..picking import in_pairs
from ..tensor import Tensor
from .parts import imag, joined, pairs_of, real
from .tensor import ComplexTensor

if TYPE_CHECKING:
    from ..indexing import _Gather


def cat(tensors: Sequence[Core], dim: int) -> Tensor:
    """Tensors one after the other along an axis, counted from the front."""
    dtype = pw.result_type(*tensors)
    return ComplexTensor(shape.cat([pairs_of(x, dtype) for x in tensors], dim))


def stack(tensors: Sequence[Core], dim: int) -> Tensor:
    """Tensors of one shape along a new axis, counted from the front."""
    dtype = pw.result_type(*tensors)
    return ComplexTensor(shape.stack([pairs_of(x, dtype) for x in tensors], dim))


def pad(a: Paired, amounts: Sequence[int], mode: str, value: complex) -> Tensor:
    """Axes enlarged by (before, after) pairs, the last axis first."""
    if len(amounts) > 2 * a.ndim:
        raise ValueError(
            f"pad: {len(amounts)} amounts: (before, after) for each of up to {a.ndim} axes, the "
            f"last axis first" + at_line()
        )
    if mode != "constant" or value == 0:
        return a.over(lambda p: shape.pad(p, (0, 0, *amounts), mode))
    parts = zip((real(a), imag(a)), (value.real, value.imag), strict=True)
    re, im = (shape.pad(x, amounts, mode, v) for x, v in parts)
    return joined(re, im, a.dtype)


def index_add(a: Paired, dim: int, index: Core, source: Core, alpha: Any) -> Tensor:
    """index_add along an axis, counted from the front."""
    if not a.ndim:
        one, terms = shape.reshape(a, 1), shape.reshape(source, 1)
        return shape.reshape(placing.index_add(one, 0, index, terms, alpha=alpha), ())
    terms = pairs_of(pw.scaled(source, alpha), a.dtype)
    return a.over(lambda p: placing.index_add(p, dim, index, terms))


def scatter_add(a: Paired, dim: int, index: Core, source: Core) -> Tensor:
    """scatter_add along an axis, counted from the front."""
    placing.check_positions("scatter_add", dim, a, index, source)
    if not a.ndim:
        one, at, more = (shape.reshape(x, 1) for x in (a, index, source))
        return shape.reshape(placing.scatter_add(one, 0, at, more), ())
    pairs = pairs_of(source, a.dtype)
    return a.over(lambda p: placing.scatter_add(p, dim, in_pairs(index), pairs))


def scatter(a: Paired, dim: int, index: Core, source: Any) -> Tensor:
    """scatter along an axis, counted from the front, of a tensor or number."""
    if isinstance(source, Core):
        placing.same_type("scatter", a, source)
    placing.check_positions("scatter", dim, a, index, source if isinstance(source, Core) else None)
    if not a.ndim:
        one = source if not isinstance(source, Core) else shape.reshape(source, 1)
        placed = placing.scatter(shape.reshape(a, 1), 0, shape.reshape(index, 1), one)
        return shape.reshape(placed, ())
    pairs = pairs_of(source, a.dtype)
    if not isinstance(source, Core):
        pairs = shape.expand(pairs, (*index._shape, 2))
    return a.over(lambda p: placing.scatter(p, dim, in_pairs(index), pairs))


def index_put(a: Paired, gathers: Sequence[_Gather], values: Any) -> Tensor:
    """Values added at the places that indices of the leading axes name."""
    pairs = pairs_of(values, a.dtype)
    indices = [g.index for g in gathers]
    return a.over(lambda p: placing.index_put(p, indices, pairs, accumulate=True))
