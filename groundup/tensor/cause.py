"""Why one element of a tensor is NaN or infinite: its expression, computed number by number, and
what is known to help. Must not know graphs beyond one loop nest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import product as every
from typing import NamedTuple

from ..ir import dtype as dt
from ..ir.dtype import DType
from ..ir.node import Node
from ..ir.scalar import Number, apply
from ..ir.scalar import cast as cast_value

MOST_TERMS = 200_000  # of sums, for one element: more are not looked at one by one
Element = Callable[[Node, int], Number]  # (a tensor, a row-major position) → its value there
_CONVERSION = "the conversion"
_COMBINED = {"sum": "add", "prod": "mul", "max": "maximum", "min": "minimum"}


class Step(NamedTuple):
    """One operation on single numbers that made a NaN or an infinity."""

    op: str
    operands: tuple[Number, ...]
    value: float
    dtype: DType
    terms: int = 0  # of a reduction

    def __str__(self) -> str:
        value = f"{self.value:.6g}"
        if self.terms:
            return f"{self.op} of {self.terms} terms, the greatest {self.operands[0]:.6g}: {value}"
        if self.op == _CONVERSION:
            return f"{self.operands[0]:.6g} as {self.dtype.name} is {value}"
        given = ", ".join(f"{x:.6g}" for x in self.operands)
        return f"{self.op}({given}) = {value} in {self.dtype.name}"


class _Unknown(Exception):
    """This element is not computed here."""


_Seen = tuple[Number, Step | None]  # a number, and what made it NaN or infinite, if that is known


def cause(node: Node, place: tuple[int, ...], element: Element) -> Step | None:
    """The operation inside a loop nest to which an element owes that it is NaN or infinite; None
    where nothing inside made it so, or too much would have to be computed."""
    if node.op != "loops":
        return None
    try:
        return _Body(element).value(node.src[0], {("out", i): p for i, p in enumerate(place)})[1]
    except (_Unknown, RecursionError):
        return None


class _Body:
    """A scalar body, computed as the reference does, of `where` only the branch that is chosen."""

    def __init__(self, element: Element) -> None:
        self.element = element
        self.terms = 0

    def value(self, n: Node, at: Mapping[tuple[str, int], int]) -> _Seen:
        op = n.op
        if op == "const":
            return n.value, None
        if op == "extent":
            return int(n.value), None
        if op in ("out", "red"):
            return at[op, n.arg], None
        if op == "read":
            position = 0
            for size, ix in zip(n.src[0].shape, n.src[1:], strict=True):
                i = int(self.value(ix, at)[0])
                position = position * int(size) + (i if 0 <= i < size else 0)
            return self.element(n.src[0], position), None
        if op == "where":
            chosen = n.src[1 if self.value(n.src[0], at)[0] else 2]
            return self.value(chosen, at)
        if op == "checked":
            return self.value(n.src[0], at)
        if op == "reduce":
            return self.reduced(n, at)
        seen = [self.value(s, at) for s in n.src]
        numbers = tuple(v for v, _ in seen)
        if op == "cast":
            result = cast_value(numbers[0], n.dtype)
        elif n.src and op != "carry":
            result = apply(op, n.src[0].dtype, numbers)
        else:
            raise _Unknown
        return result, _origin(_CONVERSION if op == "cast" else op, n.dtype, result, seen)

    def reduced(self, n: Node, at: Mapping[tuple[str, int], int]) -> _Seen:
        kind, variables = n.arg[:2]
        sizes = [int(e) for _, e in variables]
        self.terms += math.prod(sizes)
        op = _COMBINED.get(kind)
        if op is None or self.terms > MOST_TERMS:
            raise _Unknown
        total: Number | None = None
        worst: _Seen | None = None
        greatest: Number = 0
        for index in every(*map(range, sizes)):
            inner = {("red", i): p for (i, _), p in zip(variables, index, strict=True)}
            term = self.value(n.src[0], {**at, **inner})
            if worst is None and not _finite(term[0]):
                worst = term
            greatest = max(greatest, abs(term[0]))
            total = term[0] if total is None else apply(op, n.dtype, (total, term[0]))
        if total is None:
            raise _Unknown
        total = cast_value(total, n.dtype)
        if _finite(total):
            return total, None
        if worst is None or (worst[1] is None and math.isnan(total) and not math.isnan(worst[0])):
            assert isinstance(total, float)
            return total, Step(kind, (greatest,), total, n.dtype, math.prod(sizes))
        return total, worst[1]


def _finite(x: Number) -> bool:
    return not isinstance(x, float) or math.isfinite(x)


def _origin(op: str, dtype: DType, result: Number, operands: list[_Seen]) -> Step | None:
    """What made a result NaN or infinite: an operand's own cause, else this operation."""
    if not isinstance(result, float) or math.isfinite(result):
        return None
    for number, made_by in operands:
        if not _finite(number) and made_by is not None:
            return made_by
    numbers = [v for v, _ in operands]
    if math.isnan(result):
        new = not any(isinstance(v, float) and math.isnan(v) for v in numbers)
    else:
        new = all(map(_finite, numbers))
    return Step(op, tuple(numbers), result, dtype) if new else None


# ---- what helps ----------------------------------------------------------------------------------


def advice(step: Step, forward: str = "") -> str:
    """What commonly leads to this, and what helps; `forward`: the operation whose derivative it is
    a part of."""
    if forward and step.op in ("div", "log", "pow", "mul"):
        for name, text in _SLOPES.items():
            if name in forward.split(" · "):
                return text
    x = step.operands[0]
    y = step.operands[1] if len(step.operands) > 1 else 0
    numbers = [v for v in step.operands if isinstance(v, float)]
    if any(map(math.isinf, numbers)) and not step.terms:
        return _OF_INFINITY.get(step.op, "an infinite operand came from outside: look at the data")
    if step.op == "div":
        if y != 0:
            return _beyond(step)
        what = "0 / 0 is NaN" if x == 0 else "a number divided by 0 is infinite"
        return (
            f"{what}: choose before dividing, a / where(b == 0, 1, b), or add a small number to b"
        )
    if step.op in ("exp", "exp2", "expm1", "sinh", "cosh"):
        limit = math.log2(step.dtype.greatest) if step.op == "exp2" else math.log(
            step.dtype.greatest)  # fmt: skip
        return (
            f"{step.op} of more than {limit:.1f} is beyond {step.dtype.name}: subtract the "
            f"greatest first, as softmax, log_softmax and logsumexp do, or clamp"
        )
    if step.op == "log":
        if x == 0:
            return "the logarithm of 0 is -inf: " + _LOG
        return "a negative number has no logarithm: " + _LOG
    if step.op == "pow":
        if x == 0:
            return "0 to a negative power is infinite: keep the base away from 0"
        if x < 0 and math.isnan(step.value):
            return "a negative number has no power that is no whole number: take abs() or clamp"
    return _KNOWN.get(step.op) or _beyond(step)


def _beyond(step: Step) -> str:
    """Finite operands, an infinite result."""
    limit = f"{step.dtype.greatest:.3g}"
    text = f"the result is beyond {limit}, the greatest {step.dtype.name}"
    if step.dtype is dt.float16:
        return text + ": scale the loss, or take bfloat16, whose range is float32's"
    if step.dtype is dt.float64:
        return text
    return text + ": scale down, mean instead of sum, a lower learning rate, or float64"


_LOG = (
    "keep it away from there, as in x.clamp_min(1e-12).log(); of probabilities take log_softmax, "
    "of a sigmoid logsigmoid"
)
_OF_INFINITY = {
    "sub": "inf - inf is NaN: a row whose entries are all -inf (all masked) has no softmax",
    "add": "inf + -inf is NaN: two infinite terms of opposite sign",
    "mul": "0 · inf is NaN: one factor was infinite before",
    "div": "inf / inf is NaN: both were infinite before",
    "sin": "an infinite angle has no sine",
    "cos": "an infinite angle has no cosine",
    "mod": "what is left of infinity is not known",
}
_KNOWN = {
    "sqrt": "a negative number has no square root: rounding may have made it so; clamp_min(0)",
    "log1p": "log1p is -inf at -1 and NaN below: keep its argument above -1",
    "asin": "asin is defined from -1 to 1: clamp",
    "acos": "acos is defined from -1 to 1: clamp",
    "acosh": "acosh is defined from 1 on: clamp_min(1)",
    "atanh": "atanh is infinite at -1 and 1 and NaN beyond: clamp a little inside",
    "lgamma": "lgamma is infinite at 0 and at negative whole numbers",
    "fmod": "the remainder of a division by 0 is NaN",
    "mod": "the remainder of a division by 0 is NaN",
}
_SLOPES = {
    "sqrt": "the slope of sqrt at 0 is infinite (of a norm, too): take sqrt(x + 1e-12)",
    "pow": "the slope of a power below 1 is infinite at 0: keep the base away from 0",
    "log": "the slope of log at 0 is infinite: keep its argument away from 0, as clamp_min does",
    "asin": "the slope of asin at -1 and 1 is infinite: clamp a little inside",
    "acos": "the slope of acos at -1 and 1 is infinite: clamp a little inside",
    "hypot": "hypot has no slope at (0, 0)",
    "atan2": "atan2 has no slope at (0, 0)",
    "div": "dividing by a number near 0 has an unbounded slope: keep the divisor away from 0",
}
