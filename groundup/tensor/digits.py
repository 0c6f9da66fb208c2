"""Floating numbers taken apart: mantissa and exponent, and the number next to one.

Each is a body over elements. Must not know derivatives.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from ..ir import dtype as dt
from ..ir import node as ir
from ..ir.composed import number
from ..ir.dtype import DType
from ..ir.node import Node
from . import pointwise as pw
from .core import Core, plain, value_of
from .errors import at_line
from .shape import expand
from .special import pair, single

if TYPE_CHECKING:
    from .tensor import Tensor

# (digits of the mantissa, exponent of the least normal number as a power of two)
_FORM = {"float64": (53, -1022), "float32": (24, -126), "float16": (11, -14), "bfloat16": (8, -126)}


class Frexp(NamedTuple):
    """x = mantissa · 2^exponent."""

    mantissa: Tensor
    exponent: Tensor


def _apart(x: Node) -> tuple[Node, Node]:
    """(m, e) with |x| = m · 2^e and 0.5 ≤ m < 1, e of x's type; of 0, (0, 0)."""
    zero, one = number(0, x), number(1, x)
    size = ir.alu("abs", x)
    usual = ir.alu("and", ir.alu("lt", zero, size), ir.alu("lt", size, number(math.inf, x)))
    size = ir.where(usual, size, one)
    # A logarithm of a subnormal number loses digits: it is made normal first.
    digits, least = _FORM[x.dtype.name]
    low = ir.alu("lt", size, number(2.0**least, x))
    size = ir.where(low, ir.alu("mul", size, number(2.0**digits, x)), size)
    guess = ir.alu("floor", ir.alu("mul", ir.alu("log", size), number(1 / math.log(2), x)))
    half = ir.alu("trunc", ir.alu("mul", guess, number(0.5, x)))  # 2^−guess itself may overflow
    for part in (half, ir.alu("sub", guess, half)):
        size = ir.alu("mul", size, ir.alu("exp2", ir.alu("neg", part)))
    large = ir.alu("le", number(2, x), size)
    size = ir.where(large, ir.alu("mul", size, number(0.5, x)), size)
    guess = ir.where(large, ir.alu("add", guess, one), guess)
    small = ir.alu("lt", size, one)
    size = ir.where(small, ir.alu("mul", size, number(2, x)), size)
    guess = ir.where(small, ir.alu("sub", guess, one), guess)
    exponent = ir.alu("add", guess, one)
    exponent = ir.where(low, ir.alu("sub", exponent, number(digits, x)), exponent)
    mantissa = ir.alu("mul", size, number(0.5, x))
    return ir.where(usual, mantissa, ir.alu("abs", x)), ir.where(usual, exponent, zero)


def frexp(a: Core) -> Frexp:
    """(m, e) with a = m · 2^e, 0.5 ≤ |m| < 1, e an int32; of 0, ±∞ and NaN, (itself, 0).

    Source: C's frexp. The derivative of m is 2^−e, that of e is 0.

    >>> m, e = gu.frexp(gu.tensor([8.0, -0.75]))
    >>> m.tolist(), e.tolist()
    ([0.5, -0.75], [4, 0])
    """
    if not isinstance(a, Core) or not a.dtype.is_float:
        given = a.dtype.name if isinstance(a, Core) else type(a).__name__
        raise TypeError(f"frexp takes a tensor of a floating type, not {given}" + at_line())
    e = single("frexp", plain(a), lambda x: _apart(x)[1])
    half = pw.floor(e * 0.5)
    m: Any = a
    for part in (half, e - half):
        m = pw.binary("mul", m, pw.binary("pow", 2.0, -part))
    return Frexp(pw.where(pw.isfinite(a), m, a), pw.cast(e, dt.int32))


def _power(e: Node) -> Node:
    """2^e, in two steps: the result may be subnormal."""
    half = ir.alu("floor", ir.alu("mul", e, number(0.5, e)))
    return ir.alu("mul", ir.alu("exp2", half), ir.alu("exp2", ir.alu("sub", e, half)))


def nextafter(a: Any, b: Any) -> Tensor:
    """The number of the type that comes next after a towards b; b where they are equal.

    Source: IEEE 754's nextUp and nextDown. Its derivative by a is taken to be 1, that by b 0.

    >>> gu.nextafter(gu.tensor([1.0, 0.0]), gu.tensor([2.0, 0.0])).tolist()
    [1.0000001192092896, 0.0]
    """
    kind = pw.result_type(a, b)
    if not kind.is_float:
        raise TypeError(f"nextafter: floating types expected, not {kind.name}" + at_line())
    first, second = (plain(v) if isinstance(v, Core) else v for v in (a, b))
    value = pair("nextafter", first, second, lambda x, y: _next(x, y, kind))
    if not isinstance(a, Core):
        return value
    from .host import with_derivative

    whole = expand(pw.cast(a, kind), value._shape)
    return with_derivative("nextafter", [value_of(value)], [whole], lambda g, y, x: (g[0],))[0]


def _next(x: Node, y: Node, kind: DType) -> Node:
    digits, least = _FORM[kind.name]
    zero = number(0, x)
    mantissa, exponent = _apart(x)
    up = ir.alu("lt", x, y)
    outward = ir.alu("eq", ir.alu("lt", zero, x), up)  # away from 0, for a number that is not 0
    # Below a power of two the step is half of that above.
    inward = ir.alu("eq", mantissa, number(0.5, x))
    inward = ir.where(outward, ir.const(False, dt.bool_), inward)
    floor = number(least + 1 - digits, x)
    place = ir.alu("sub", exponent, number(digits, x))
    place = ir.where(inward, ir.alu("sub", place, number(1, x)), place)
    step = _power(ir.alu("maximum", place, floor))
    step = ir.where(ir.alu("eq", x, zero), _power(floor), step)
    moved = ir.where(up, ir.alu("add", x, step), ir.alu("sub", x, step))
    greatest = (2.0 - 2.0 ** (1 - digits)) * 2.0 ** (1 - least)
    infinite = ir.alu("eq", ir.alu("abs", x), number(math.inf, x))
    moved = ir.where(infinite, ir.alu("copysign", number(greatest, x), x), moved)
    if kind.bits == 16:  # what lies beyond the greatest is ∞ in the type itself
        beyond = ir.alu("lt", number(greatest, x), ir.alu("abs", moved))
        moved = ir.where(beyond, ir.alu("copysign", number(math.inf, x), moved), moved)
    moved = ir.where(ir.alu("eq", moved, zero), ir.alu("copysign", moved, x), moved)
    result = ir.where(ir.alu("eq", x, y), y, moved)
    nan = ir.alu("or", ir.alu("ne", x, x), ir.alu("ne", y, y))
    return ir.where(nan, number(math.nan, x), result)
