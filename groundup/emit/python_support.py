"""What the generated Python calls: one small function for each operation that Python lacks.

Every one is a row of `ir.scalar`; this file only gives them names that read well in a listing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from ctypes import c_float
from functools import partial
from typing import Any

from ..ir import dtype as dt
from ..ir.outside import OutOfRange
from ..ir.scalar import BOOL, FLOAT, INTEGER, Number, apply, cast

SMALLEST_NORMAL = 2.0**-126  # of float32, and of bfloat16

_shared: dict[str, Any] = {}


def namespace() -> dict[str, Any]:
    """A fresh scope with every name that generated source may use."""
    if not _shared:
        _fill(_shared)
    return dict(_shared)


def _fill(scope: dict[str, Any]) -> None:
    scope.update(inf=math.inf, nan=math.nan, at=at, empty=empty, exact_sum=exact_sum)
    scope.update(normal=normal)
    scope.update(larger=larger, smaller=smaller, before_max=before_max, before_min=before_min)
    for dtype in dt.ALL:
        scope[dtype.name] = partial(cast, dtype=dtype)
        table: dict[str, Callable[..., Number]]
        table = FLOAT if dtype.is_float else BOOL if dtype.kind == "b" else INTEGER  # type: ignore[assignment]
        for op in table:
            scope[f"{op}_{dtype.name}"] = _operation(op, dtype)
    scope["float32"] = _float32
    scope["float64"] = _float64


def _operation(op: str, dtype: dt.DType) -> Callable[..., Number]:
    return lambda *values: apply(op, dtype, values)


def _float32(value: Number) -> Number:
    return c_float(value).value if type(value) is float else cast(value, dt.float32)


def _float64(value: Number) -> Number:
    return value if type(value) is float else cast(value, dt.float64)


def at(shape: tuple[int, ...], *indices: int) -> int:
    """The row-major position of an element; IndexError when there is no such element."""
    position = 0
    for axis, (size, index) in enumerate(zip(shape, indices, strict=True)):
        if not 0 <= index < size:
            raise OutOfRange(index, axis, shape, size)
        position = position * size + index
    return position


def empty(kind: str) -> None:
    """Refuse a reduction without terms that has no identity."""
    raise ValueError(f"{kind} over no terms has no value; reduce over at least one")


def normal(x: float) -> float:
    """A factor of a product of bfloat16 numbers: below 2⁻¹²⁶ it is zero, of the same sign."""
    return x * 0.0 if abs(x) < SMALLEST_NORMAL else x


def exact_sum(terms: list[float]) -> float:
    """The sum of float64 terms, rounded once; Inf and NaN as in a running sum."""
    try:
        return math.fsum(terms)
    except ValueError:  # Inf and -Inf
        return math.nan
    except OverflowError:  # a partial sum is beyond float64, the whole may not be
        scaled = math.fsum(math.ldexp(t, -64) for t in terms)
        try:
            return math.ldexp(scaled, 64)
        except OverflowError:
            return math.copysign(math.inf, scaled)


def larger(best: Number | None, x: Number) -> Number:
    """The greater of the greatest so far (None: nothing yet) and x; NaN stays."""
    return x if best is None else best if best >= x or best != best else x


def smaller(best: Number | None, x: Number) -> Number:
    """The lesser of the least so far (None: nothing yet) and x; NaN stays."""
    return x if best is None else best if best <= x or best != best else x


def before_max(x: Number, best: Number) -> bool:
    """Does x replace the greatest so far? NaN is greater than anything, the first one wins."""
    return best == best and (x > best or x != x)


def before_min(x: Number, best: Number) -> bool:
    """Does x replace the least so far? NaN is less than anything, the first one wins."""
    return best == best and (x < best or x != x)
