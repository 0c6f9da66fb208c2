"""Reads beyond the edges of a tensor: `gu.outside(x, value)[i + u - 1]`.

Must not know how an expression is lowered.
"""

from __future__ import annotations

import math
import numbers
from operator import index
from typing import Any

from . import door
from .core import Core
from .errors import at_line
from .notation import Indexed, indexed


class Outside:
    """A tensor that has a value beyond its edges."""

    __slots__ = ("tensor", "value")

    def __init__(self, tensor: Core, value: float) -> None:
        self.tensor, self.value = tensor, value

    def __getitem__(self, key: Any) -> Indexed:
        return indexed(self.tensor, key, self.value)


def outside(x: Core, value: float = 0.0) -> Outside:
    """x with a value for reads beyond its edges, to be indexed by axes.

    value: a number that x's type holds. An index from data counts from the front here: a negative
    one is beyond the edge. Raises TypeError for what is no tensor or no such number.

    >>> i, u = gu.axis("i", 3), gu.axis("u", 3)
    >>> x = gu.tensor([1.0, 2.0, 4.0])
    >>> gu.outside(x, 0.0)[i + u - 1].sum(u).order(i).tolist()
    [3.0, 7.0, 6.0]
    """
    door.passing()
    if not isinstance(x, Core):
        raise TypeError(f"outside takes a tensor, not {type(x).__name__}: {x!r}" + at_line())
    beyond: Any = value
    if not isinstance(beyond, numbers.Real):
        raise TypeError(
            f"outside: the value beyond the edge is a number, not {type(value).__name__}; write "
            f"gu.where(condition, x[…], value) for one that is computed" + at_line()
        )
    number = index(beyond) if hasattr(beyond, "__index__") else float(beyond)
    if not x.dtype.is_float and (
        not math.isfinite(number)
        or number != int(number)
        or not x.dtype.min <= number <= x.dtype.max
    ):
        raise TypeError(
            f"outside: {x.dtype.name} holds no {number}; write gu.outside(x.float(), {number})"
            + at_line()
        )
    return Outside(x, number)
