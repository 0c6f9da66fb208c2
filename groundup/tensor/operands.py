"""Arithmetic by name, of two or three operands: division with a rounding, comparisons, bits.

Each is a body over elements, or made of what stands in pointwise.py. Must not know derivatives.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ..ir import dtype as dt
from ..ir import node as ir
from ..ir.composed import number
from ..ir.node import Node
from . import pointwise as pw
from .arithmetic import combine
from .core import Core, Paired, plain
from .errors import at_line
from .misuse import named
from .special import pair, single

if TYPE_CHECKING:
    from .tensor import Tensor

Same = TypeVar("Same", bound=Core)  # the kind of tensor that was given


def _checked_alpha(name: str, alpha: Any, *operands: Any) -> None:
    """Raise TypeError for a fraction as a factor of integers."""
    if isinstance(alpha, float) and pw.category(pw.result_type(*operands)) < 2:
        raise TypeError(
            f"{name}: alpha {alpha} of integers: the result is of their type, which cannot hold "
            f"it; use an integer alpha, or floats" + at_line()
        )


@named
@pw.pairwise
def add(a: Any, b: Any, *, alpha: Any = 1) -> Tensor:
    """a + alpha · b

    >>> gu.add(gu.tensor([1.0]), gu.tensor([2.0]), alpha=3).tolist()
    [7.0]
    """
    _checked_alpha("add", alpha, a, b)
    return pw.binary("add", a, pw.scaled(b, alpha))


@named
@pw.pairwise
def sub(a: Any, b: Any, *, alpha: Any = 1) -> Tensor:
    """a − alpha · b

    >>> gu.sub(gu.tensor([5.0]), gu.tensor([1.0]), alpha=2).tolist()
    [3.0]
    """
    _checked_alpha("sub", alpha, a, b)
    return pw.binary("sub", a, pw.scaled(b, alpha))


@named
@pw.pairwise
def rsub(a: Any, b: Any, *, alpha: Any = 1) -> Tensor:
    """b − alpha · a

    >>> gu.rsub(gu.tensor([1.0]), 3.0).tolist()
    [2.0]
    """
    result: Tensor = sub(b, a, alpha=alpha)
    return result


@named
@pw.pairwise
def div(a: Any, b: Any, *, rounding_mode: str | None = None) -> Tensor:
    """a / b, integers give float32; rounding_mode 'floor' or 'trunc': the quotient's, in the
    operands' type.

    >>> gu.div(gu.tensor([-7]), 2, rounding_mode="trunc").tolist()
    [-3]
    """
    if rounding_mode is None:
        return pw.binary("div", a, b)
    if rounding_mode == "floor":
        return pw.binary("floordiv", a, b)
    if rounding_mode != "trunc":
        raise ValueError(
            f"div: rounding_mode is None, 'floor' or 'trunc', not {rounding_mode!r}" + at_line()
        )

    def body(x: Node, y: Node) -> Node:
        if x.dtype.is_float:
            return ir.alu("trunc", ir.alu("div", x, y))
        quotient = ir.alu("floordiv", x, y)
        if x.dtype.kind != "i":
            return quotient
        zero, one = number(0, x), number(1, x)
        inexact = ir.alu("ne", ir.alu("mul", quotient, y), x)
        up = ir.alu("and", inexact, ir.alu("lt", quotient, zero))
        return ir.alu("add", quotient, ir.where(up, one, zero))

    if isinstance(a, Core) and isinstance(b, int):
        pw.refuse_zero("div", b, pw.result_type(a, b))
    return pair("div", a, b, body, floating=False)


@named
@pw.pairwise
def gt(a: Any, b: Any) -> Tensor:
    """a > b"""
    return pw.binary("lt", b, a)


@named
@pw.pairwise
def ge(a: Any, b: Any) -> Tensor:
    """a ≥ b"""
    return pw.binary("le", b, a)


@named
@pw.pairwise
def lt(a: Any, b: Any) -> Tensor:
    """a < b"""
    return pw.binary("lt", a, b)


@named
@pw.pairwise
def le(a: Any, b: Any) -> Tensor:
    """a ≤ b"""
    return pw.binary("le", a, b)


@named
@pw.pairwise
def floor_divide(a: Any, b: Any) -> Tensor:
    """⌊a / b⌋; of integers 0 where b holds a 0, and ZeroDivisionError where b is the number 0

    >>> gu.floor_divide(gu.tensor([-7]), 2).tolist()
    [-4]
    """
    return pw.binary("floordiv", a, b)


@named
@pw.pairwise
def remainder(a: Any, b: Any) -> Tensor:
    """a − b·⌊a / b⌋: of b's sign; of integers 0 where b holds a 0, and ZeroDivisionError where b is
    the number 0

    >>> gu.remainder(gu.tensor([-7.0]), 3).tolist()
    [2.0]
    """
    return pw.binary("mod", a, b)


@named
@pw.pairwise
def fmod(a: Any, b: Any) -> Tensor:
    """a − b·trunc(a / b): of a's sign

    >>> gu.fmod(gu.tensor([-7.0]), 3).tolist()
    [-1.0]
    """

    def body(x: Node, y: Node) -> Node:
        if x.dtype.is_float:
            return ir.alu("fmod", x, y)
        if x.dtype.kind == "b":
            x, y = ir.cast(x, dt.int64), ir.cast(y, dt.int64)
        rest = ir.alu("mod", x, y)
        if x.dtype.kind != "i":
            return rest
        zero = number(0, x)
        differ = ir.alu("ne", ir.alu("lt", rest, zero), ir.alu("lt", x, zero))
        back = ir.alu("and", differ, ir.alu("ne", rest, zero))
        return ir.where(back, ir.alu("sub", rest, y), rest)

    if isinstance(a, Core) and isinstance(b, int):
        pw.refuse_zero("fmod", b, pw.result_type(a, b))
    return pair("fmod", a, b, body, floating=False)


@named
def float_power(a: Any, b: Any) -> Tensor:
    """a to the power b in float64, or complex128

    >>> gu.float_power(gu.tensor([2]), 3).dtype
    groundup.float64
    """
    kind = dt.complex128 if pw.result_type(a, b).is_complex else dt.float64
    number = complex if kind.is_complex else float
    wide = [pw.cast(v, kind) if isinstance(v, Core) else number(v) for v in (a, b)]
    return pw.binary("pow", *wide)


@named
def ldexp(a: Any, b: Any) -> Tensor:
    """a · 2^b

    For integers b the result is exact where it is a normal number: 2^b alone may be none of a's
    type. A 16-bit a keeps its type.

    >>> gu.ldexp(gu.tensor([3.0]), gu.tensor([2])).tolist()
    [12.0]
    """
    whole = isinstance(b, int) or (isinstance(b, Core) and b.dtype.kind in "biu")
    if not whole or not isinstance(a, Core) or a.dtype.kind == "c":
        return pw.binary("mul", a, pw.binary("pow", 2.0, b))
    kind = a.dtype if a.dtype.is_float else dt.float32
    work = kind if kind.bits > 16 else dt.float32
    most = 2100 if work is dt.float64 else 300  # from the least number to beyond the greatest
    if isinstance(b, Core):
        at: Any = pw.clamp(pw.cast(b, dt.int64), -most, most)
    else:
        at = max(-most, min(b, most))
    third = at // 3
    result = pw.cast(a, work)
    for part in (third, third, at - 2 * third):  # each a normal number
        power: Any = pw.cast(part, work) if isinstance(part, Core) else None
        factor = 2.0**part if power is None else pw.binary("pow", 2.0, power)
        result = pw.binary("mul", result, factor)
    return pw.cast(result, kind)


# ---- the greater, the lesser ---------------------------------------------------------------------


def _other_if_nan(name: str, a: Any, b: Any, greater: bool) -> Tensor:
    """The greater or the lesser of two numbers; of a number and NaN, the number."""

    def body(x: Node, y: Node) -> Node:
        if not x.dtype.is_float:
            return combine("maximum" if greater else "minimum", x, y)
        first = ir.alu("le", y, x) if greater else ir.alu("le", x, y)
        return ir.where(ir.alu("or", first, ir.alu("ne", y, y)), x, y)

    return pair(name, a, b, body, floating=False)


@named
@pw.pairwise
def fmax(a: Any, b: Any) -> Tensor:
    """The greater of two; a number wins over NaN. Of equals, a takes the derivative.

    >>> gu.fmax(gu.tensor([1.0]), gu.tensor([float("nan")])).tolist()
    [1.0]
    """
    return _other_if_nan("fmax", a, b, True)


@named
@pw.pairwise
def fmin(a: Any, b: Any) -> Tensor:
    """The lesser of two; a number wins over NaN. Of equals, a takes the derivative.

    >>> gu.fmin(gu.tensor([1.0]), gu.tensor([float("nan")])).tolist()
    [1.0]
    """
    return _other_if_nan("fmin", a, b, False)


@named
def heaviside(a: Core, values: Core) -> Tensor:
    """0 below 0, 1 above, `values` at 0 (of one type); has no derivative

    >>> gu.heaviside(gu.tensor([-1.0, 0.0, 2.0]), gu.tensor(0.5)).tolist()
    [0.0, 0.5, 1.0]
    """
    for v in (a, values):
        if not isinstance(v, Core) or v.dtype is not a.dtype:
            raise TypeError(
                "heaviside takes two tensors of one dtype; write values.to(x.dtype)" + at_line()
            )

    def body(x: Node, y: Node) -> Node:
        if x.dtype.kind == "b":
            return ir.alu("or", x, y)
        zero, one = number(0, x), number(1, x)
        return ir.where(ir.alu("eq", x, zero), y, ir.where(ir.alu("lt", zero, x), one, zero))

    return pair("heaviside", plain(a), plain(values), body, floating=False)


@named
def nan_to_num(
    a: Core, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """x with numbers in the place of NaN (0), ∞ (the type's greatest) and −∞ (its least)

    >>> gu.nan_to_num(gu.tensor([float("nan"), 1.0]), nan=7.0).tolist()
    [7.0, 1.0]
    """

    def body(x: Node) -> Node:
        if not x.dtype.is_float:
            return x
        most = _greatest(x)
        high = number(most if posinf is None else posinf, x)
        low = number(-most if neginf is None else neginf, x)
        y = ir.where(ir.alu("eq", x, number(math.inf, x)), high, x)
        y = ir.where(ir.alu("eq", x, number(-math.inf, x)), low, y)
        return ir.where(ir.alu("ne", x, x), number(nan or 0.0, x), y)

    return pw.unary(a, body, False, "nan_to_num")


def _greatest(x: Node) -> float:
    """The greatest finite number of a type: all bits of its fraction 1, the greatest exponent."""
    exponent = {"float16": 16, "float64": 1024}.get(x.dtype.name, 128)
    return (2.0 - x.dtype.eps) * 2.0 ** (exponent - 1)


# ---- one operand ---------------------------------------------------------------------------------


@named
def frac(a: Core) -> Tensor:
    """x − trunc x; of floating types

    >>> gu.frac(gu.tensor([-1.5])).tolist()
    [-0.5]
    """
    if not a.dtype.is_float:
        raise TypeError(f"frac needs a floating type, not {a.dtype.name}" + at_line())
    return single("frac", a, lambda x: ir.alu("sub", x, ir.alu("trunc", x)))


@named
def deg2rad(a: Core) -> Tensor:
    """x · π / 180

    >>> gu.deg2rad(gu.tensor(180.0, dtype=gu.float64)).item()
    3.141592653589793
    """
    return single("deg2rad", a, lambda x: ir.alu("mul", x, number(math.pi / 180, x)))


@named
def rad2deg(a: Core) -> Tensor:
    """x · 180 / π

    >>> gu.rad2deg(gu.tensor(0.0)).item()
    0.0
    """
    return single("rad2deg", a, lambda x: ir.alu("mul", x, number(180 / math.pi, x)))


@named
def positive(a: Same) -> Same:
    """+x: the tensor itself; bools have no sign"""
    if a.dtype.kind == "b":
        raise TypeError("+ of a bool tensor has no meaning" + at_line())
    return a


@named
def angle(a: Core) -> Tensor:
    """The angle of a number: of a real one 0, or π below 0; NaN stays. Its derivative is 0.

    >>> gu.angle(gu.tensor([2.0, -2.0], dtype=gu.float64)).tolist()
    [0.0, 3.141592653589793]
    """
    if isinstance(a, Paired):
        from .complex.functions import angle as counterpart

        return counterpart(a)

    def body(x: Node) -> Node:
        if not x.dtype.is_float:
            x = ir.cast(x, dt.float32)
        zero = number(0, x)
        return ir.where(
            ir.alu("ne", x, x), x, ir.where(ir.alu("lt", x, zero), number(math.pi, x), zero)
        )

    return single("angle", plain(a), body)


def _test(name: str, a: Core, body: Callable[[Node], Node]) -> Tensor:
    """A question to floating numbers, whose answer for integers is no."""

    def asked(x: Node) -> Node:
        return body(x) if x.dtype.is_float else ir.const(False, dt.bool_)

    return pw.unary(plain(a), asked, False, name)


@named
def isposinf(a: Core) -> Tensor:
    """x is ∞

    >>> gu.isposinf(gu.tensor([float("inf"), 1.0])).tolist()
    [True, False]
    """
    return _test("isposinf", a, lambda x: ir.alu("eq", x, number(math.inf, x)))


@named
def isneginf(a: Core) -> Tensor:
    """x is −∞

    >>> gu.isneginf(gu.tensor([float("inf"), -float("inf")])).tolist()
    [False, True]
    """
    return _test("isneginf", a, lambda x: ir.alu("eq", x, number(-math.inf, x)))


@named
def isreal(a: Core) -> Tensor:
    """Is each element a real number? All are.

    >>> gu.isreal(gu.tensor([1.0])).tolist()
    [True]
    """
    return pw.unary(plain(a), lambda x: ir.const(True, dt.bool_), False, "isreal")


@named
def round(a: Core, *, decimals: int = 0) -> Tensor:
    """The nearest integer, halves to even; with `decimals`, the nearest multiple of 10^−decimals

    >>> gu.round(gu.tensor([2.5, 1.26])).tolist()
    [2.0, 1.0]
    """
    if decimals == 0:
        return pw.round_(a)
    if not a.dtype.is_float:
        raise TypeError(f"round to decimals needs a floating type, not {a.dtype.name}" + at_line())

    def body(x: Node) -> Node:
        ten = number(10.0 ** abs(decimals), x)
        there, back = ("mul", "div") if decimals > 0 else ("div", "mul")
        return ir.alu(back, ir.alu("round", ir.alu(there, x, ten)), ten)

    return single("round", a, body)


# ---- bits and truth ------------------------------------------------------------------------------


@named
@pw.pairwise
def bitwise_and(a: Any, b: Any) -> Tensor:
    """a & b

    >>> gu.bitwise_and(gu.tensor([6]), 3).tolist()
    [2]
    """
    return pw.binary("and", a, b)


@named
@pw.pairwise
def bitwise_or(a: Any, b: Any) -> Tensor:
    """a | b"""
    return pw.binary("or", a, b)


@named
@pw.pairwise
def bitwise_xor(a: Any, b: Any) -> Tensor:
    """a ^ b"""
    return pw.binary("xor", a, b)


@named
def bitwise_not(a: Core) -> Tensor:
    """~a

    >>> gu.bitwise_not(gu.tensor([0])).tolist()
    [-1]
    """
    return pw.invert(a)


@named
@pw.pairwise
def bitwise_left_shift(a: Any, b: Any) -> Tensor:
    """a << b

    >>> gu.bitwise_left_shift(gu.tensor([3]), 2).tolist()
    [12]
    """
    return pw.binary("shl", a, b)


@named
@pw.pairwise
def bitwise_right_shift(a: Any, b: Any) -> Tensor:
    """a >> b"""
    return pw.binary("shr", a, b)


@named
@pw.pairwise
def logical_xor(a: Core, b: Any) -> Tensor:
    """Is exactly one of the two not 0?

    >>> gu.logical_xor(gu.tensor([True, True]), gu.tensor([True, False])).tolist()
    [False, True]
    """
    return pw.logical("xor", a, b)


def _integers(name: str, a: Any, b: Any) -> None:
    """Raise TypeError unless the result is of an integer type."""
    if not pw.result_type(a, b).is_int:
        raise TypeError(f"{name} needs integers, not {pw.result_type(a, b).name}" + at_line())


@named
def gcd(a: Any, b: Any) -> Tensor:
    """The greatest common divisor, not negative; gcd(0, 0) = 0

    >>> gu.gcd(gu.tensor([12]), gu.tensor([-18])).tolist()
    [6]
    """
    _integers("gcd", a, b)

    def body(x: Node, y: Node) -> Node:
        if x.dtype.kind == "i":
            x, y = ir.alu("abs", x), ir.alu("abs", y)
        zero = number(0, x)
        # Euclid's steps: by Lamé's theorem at most so many for numbers of that many bits.
        for _ in range({8: 13, 16: 25, 32: 48}.get(x.dtype.bits, 93)):
            done = ir.alu("eq", y, zero)
            rest = ir.alu("mod", x, ir.where(done, number(1, x), y))
            x, y = ir.where(done, x, y), ir.where(done, zero, rest)
        return x

    return pair("gcd", a, b, body, floating=False)


@named
def lcm(a: Any, b: Any) -> Tensor:
    """The least common multiple, not negative; 0 where one of them is 0

    >>> gu.lcm(gu.tensor([4]), gu.tensor([-6])).tolist()
    [12]
    """
    divisor = gcd(a, b)
    none = pw.binary("eq", divisor, 0)
    whole = pw.binary("floordiv", a, pw.where(none, 1, divisor))
    return pw.absolute(pw.binary("mul", whole, b))


# ---- three operands ------------------------------------------------------------------------------


@named
def addcmul(a: Core, tensor1: Core, tensor2: Core, *, value: Any = 1) -> Tensor:
    """a + value · tensor1 · tensor2

    >>> gu.addcmul(gu.ones(1), gu.ones(1), gu.ones(1), value=2).tolist()
    [3.0]
    """
    _checked_alpha("addcmul", value, a, tensor1, tensor2)
    return pw.binary("add", a, pw.scaled(pw.binary("mul", tensor1, tensor2), value))


@named
def addcdiv(a: Core, tensor1: Core, tensor2: Core, *, value: Any = 1) -> Tensor:
    """a + value · tensor1 / tensor2, of floating types

    >>> gu.addcdiv(gu.ones(1), gu.ones(1), gu.tensor([2.0])).tolist()
    [1.5]
    """
    if pw.category(pw.result_type(a, tensor1, tensor2)) < 2:
        raise TypeError(
            "addcdiv needs floating types: x / y of integers is none; write a + x // y" + at_line()
        )
    return pw.binary("add", a, pw.scaled(pw.binary("div", tensor1, tensor2), value))
