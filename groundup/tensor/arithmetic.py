"""Arithmetic on elements: one operation of two scalar expressions of one type.

What an operation means where the scalar table has no single entry for it: powers, ⌊x / y⌋ of
floats, bools. Must not know tensors, shapes or promotion.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ..ir import dtype as dt
from ..ir import node as ir
from ..ir.dtype import DType
from ..ir.node import Node
from .errors import at_line

SIGNS = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "floordiv": "//", "mod": "%", "pow": "**",
    "lt": "<", "le": "<=", "eq": "==", "ne": "!=", "and": "&", "or": "|", "xor": "^",
    "shl": "<<", "shr": ">>",
}  # fmt: skip
_BOOL_FORM = {"add": "or", "mul": "and"}


def combine(op: str, x: Node, y: Node) -> Node:
    """One operation of two scalar expressions of one type."""
    dtype = x.dtype
    if dtype.kind == "b":
        op = _BOOL_FORM.get(op, op)
        if op in ("sub", "neg"):
            raise TypeError("- of bool tensors has no meaning; use ^ or ~" + at_line())
        if op == "pow":  # False only where it is False to the power True
            return ir.alu("or", x, ir.alu("not", y))
        if op in ("lt", "le"):  # False < True
            x, y = ir.cast(x, dt.uint8), ir.cast(y, dt.uint8)
        elif op not in ("and", "or", "xor", "eq", "ne", "maximum", "minimum"):
            x, y = ir.cast(x, dt.int64), ir.cast(y, dt.int64)
        return ir.alu(op, x, y)
    if op == "pow":
        return power(x, y)
    if op == "floordiv" and dtype.is_float:
        return _float_floordiv(x, y)
    check_operation(op, dtype)
    return ir.alu(op, x, y)


def _float_floordiv(x: Node, y: Node) -> Node:
    """⌊x / y⌋ from the exact remainder, since the rounded quotient may reach the next integer.

    As in PyTorch and Python: 1 // 0.1 is 9; ∞ // y is NaN; x // 0 is x / 0.
    """
    zero, infinity = ir.const(0.0, x.dtype), ir.const(math.inf, x.dtype)
    quotient = ir.alu("div", x, y)
    exact = ir.alu("div", ir.alu("sub", x, ir.alu("mod", x, y)), y)
    small = ir.alu("eq", exact, zero)
    result = ir.where(small, ir.alu("mul", quotient, zero), ir.alu("round", exact))
    opposite = ir.alu("lt", quotient, zero)
    opposite = ir.alu("or", opposite, ir.alu("lt", ir.alu("mul", x, y), zero))
    far = ir.where(opposite, ir.const(-1.0, x.dtype), quotient)
    finite = ir.alu("lt", ir.alu("abs", x), infinity)
    beyond = ir.alu("and", ir.alu("eq", ir.alu("abs", y), infinity), finite)
    result = ir.where(beyond, far, result)
    return ir.where(ir.alu("eq", y, zero), quotient, result)


def check_operation(op: str, dtype: DType) -> None:
    if dtype.is_float and op in ("and", "or", "xor", "shl", "shr", "not"):
        raise TypeError(
            f"{SIGNS.get(op, '~')} works on bits: integers or bools, not {dtype.name}" + at_line()
        )


def power(x: Node, y: Node) -> Node:
    """x ** y; integer powers by squaring, common exponents by products and roots."""
    dtype = x.dtype
    if y.op == "const" and dtype.is_float:
        return _float_power(x, y)
    if y.op == "const" and y.value >= 0:
        e = y.value
        found: Node | None = None
        square = x
        while e:
            if e & 1:
                found = square if found is None else ir.alu("mul", found, square)
            e >>= 1
            if e:
                square = ir.alu("mul", square, square)
        return ir.const(1, dtype) if found is None else found
    if dtype.is_float:
        return ir.alu("pow", x, y)
    result, square = ir.const(1, dtype), x
    one, zero = ir.const(1, dtype), ir.const(0, dtype)
    for bit in range(dtype.bits - (dtype.kind == "i")):
        here = ir.alu("and", ir.alu("shr", y, ir.const(bit, dtype)), one)
        result = ir.where(ir.alu("eq", here, zero), result, ir.alu("mul", result, square))
        square = ir.alu("mul", square, square)
    if dtype.kind == "u":
        return result
    # 1 / x^|y|, towards zero: 0 but where x is 1 or −1.
    minus = ir.const(-1, dtype)
    odd = ir.alu("eq", ir.alu("and", y, one), one)
    sign = ir.where(ir.alu("eq", x, minus), ir.where(odd, minus, one), zero)
    inverse = ir.where(ir.alu("eq", x, one), one, sign)
    return ir.where(ir.alu("lt", y, zero), inverse, result)


def _float_power(x: Node, y: Node) -> Node:
    one = ir.const(1.0, x.dtype)
    forms: dict[float, Callable[[], Node]] = {
        0.5: lambda: ir.alu("sqrt", x),
        -0.5: lambda: ir.alu("div", one, ir.alu("sqrt", x)),
        1.0: lambda: x,
        2.0: lambda: ir.alu("mul", x, x),
        3.0: lambda: ir.alu("mul", ir.alu("mul", x, x), x),
        -1.0: lambda: ir.alu("div", one, x),
        -2.0: lambda: ir.alu("div", one, ir.alu("mul", x, x)),
    }
    form = forms.get(y.value)
    return ir.alu("pow", x, y) if form is None else form()
