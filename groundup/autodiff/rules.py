"""The table of derivatives: one row for each pointwise operation, expression to expression.

A rule gets the operation's node and the derivative by its result, and gives the derivative by
each operand (None: there is none). It must not know loops, tensors or graphs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from ..ir.composed import digamma
from ..ir.node import Node, alu, cast, const, where
from ..ir.transform import body_nodes

Rule = Callable[[Node, Node], tuple[Node | None, ...]]


def number(value: float, like: Node) -> Node:
    """A constant of the type of another expression."""
    return const(value, like.dtype)


def is_number(x: Node, value: float) -> bool:
    """Is this the constant `value`?"""
    return x.op == "const" and x.value == value


def times(a: Node, b: Node) -> Node:
    """a·b without factors 1; a zero outside a guard on indices stays outside the product."""
    if is_number(a, 1):
        return b
    if is_number(b, 1):
        return a
    for x, y, swap in ((a, b, False), (b, a, True)):
        if x.op == "where" and is_number(x.src[2], 0) and index_only(x.src[0]):
            product = times(y, x.src[1]) if swap else times(x.src[1], y)
            return where(x.src[0], product, x.src[2])
    return alu("mul", a, b)


def peel(x: Node) -> tuple[list[Node], Node]:
    """An expression that is 0 unless all of some conditions hold: (conditions, expression)."""
    conditions: list[Node] = []
    while x.op == "where" and x.src[2].op == "const" and x.src[2].value == 0:
        stack = [x.src[0]]
        while stack:
            c = stack.pop()
            if c.op == "and":
                stack += [c.src[1], c.src[0]]
            elif c not in conditions:
                conditions.append(c)
        x = x.src[1]
    return conditions, x


def guarded(conditions: Iterable[Node], x: Node) -> Node:
    """x where all conditions hold, asked in this order, else 0."""
    zero = number(0, x)
    for c in reversed(list(conditions)):
        x = where(c, x, zero)
    return x


def index_only(condition: Node) -> bool:
    """Does a condition depend on positions alone, never on the elements of a tensor?"""
    return all(n.op not in ("read", "reduce") for n in body_nodes(condition))


def _where(node: Node, g: Node) -> tuple[Node | None, ...]:
    zero = number(0, g)
    return None, where(node.src[0], g, zero), where(opposite(node.src[0]), g, zero)


def opposite(c: Node) -> Node:
    """The condition that holds where c does not."""
    if c.op == "not":
        return c.src[0]
    if c.op in ("eq", "ne"):
        return alu("ne" if c.op == "eq" else "eq", *c.src)
    if c.op in ("lt", "le") and not c.src[0].dtype.is_float:  # of floats, NaN holds in neither
        return alu("le" if c.op == "lt" else "lt", c.src[1], c.src[0])
    return alu("not", c)


def _sign(a: Node) -> Node:
    """-1, 0 or 1 (0 for NaN, as PyTorch says)."""
    zero, one, minus = number(0, a), number(1, a), number(-1, a)
    return where(alu("lt", zero, a), one, where(alu("lt", a, zero), minus, zero))


def _extreme(a: Node, b: Node, g: Node, loses: Node) -> Node:
    """The gradient of the operand a of maximum or minimum: equal operands share half."""
    half = times(g, number(0.5, g))
    return where(loses, number(0, g), where(alu("eq", a, b), half, g))


def _maximum(node: Node, g: Node) -> tuple[Node | None, ...]:
    a, b = node.src
    less, more = alu("lt", a, b), alu("lt", b, a)
    return _extreme(a, b, g, less), _extreme(b, a, g, more)


def _minimum(node: Node, g: Node) -> tuple[Node | None, ...]:
    a, b = node.src
    less, more = alu("lt", a, b), alu("lt", b, a)
    return _extreme(a, b, g, more), _extreme(b, a, g, less)


def _pow(node: Node, g: Node) -> tuple[Node | None, ...]:
    """d aᵇ/da = b·aᵇ⁻¹ (0 where b is 0); d aᵇ/db = aᵇ·log a (0 where a is 0 and b at least 0)."""
    a, b = node.src
    zero = number(0, g)
    if b.op == "const":
        lower = b.value - 1
        power = a if lower == 1 else alu("pow", a, number(lower, a))
        if lower in (-1, 0):
            return (None, None) if lower == -1 else (g, None)
        return times(g, times(b, power)), None
    power = alu("pow", a, alu("sub", b, number(1, b)))
    by_a = where(alu("eq", b, zero), zero, times(g, times(b, power)))
    at_zero = alu("and", alu("eq", a, zero), alu("le", zero, b))
    by_b = where(at_zero, zero, times(g, times(node, alu("log", a))))
    return by_a, by_b


def _div(node: Node, g: Node) -> tuple[Node | None, ...]:
    b = node.src[1]
    return alu("div", g, b), times(alu("neg", g), alu("div", node, b))


def _tanh(node: Node, g: Node) -> tuple[Node | None, ...]:
    return (times(g, alu("sub", number(1, g), alu("mul", node, node))),)


def _tan(node: Node, g: Node) -> tuple[Node | None, ...]:
    return (times(g, alu("add", number(1, g), alu("mul", node, node))),)


def _erf(node: Node, g: Node) -> tuple[Node | None, ...]:
    """d erf(a)/da = 2/√π · exp(-a²)."""
    (a,) = node.src
    bell = alu("exp", alu("neg", alu("mul", a, a)))
    return (times(g, times(number(2 / math.sqrt(math.pi), g), bell)),)


def _erfc(node: Node, g: Node) -> tuple[Node | None, ...]:
    (by_erf,) = _erf(node, g)
    assert by_erf is not None
    return (alu("neg", by_erf),)


def _root(a: Node, sign: str, one: str) -> Node:
    """√(a² + 1), √(a² − 1) or √(1 − a²)."""
    square, unit = alu("mul", a, a), number(1, a)
    return alu("sqrt", alu(sign, square, unit) if one == "last" else alu(sign, unit, square))


def _lgamma(node: Node, g: Node) -> tuple[Node | None, ...]:
    return (times(g, digamma(node.src[0])),)


def _atan2(node: Node, g: Node) -> tuple[Node | None, ...]:
    """d atan2(a, b) = (b·da − a·db) / (a² + b²)"""
    a, b = node.src
    share = alu("div", g, alu("add", alu("mul", a, a), alu("mul", b, b)))
    return times(share, b), times(share, alu("neg", a))


def _hypot(node: Node, g: Node) -> tuple[Node | None, ...]:
    a, b = node.src
    return times(g, alu("div", a, node)), times(g, alu("div", b, node))


def _fmod(node: Node, g: Node) -> tuple[Node | None, ...]:
    """d fmod(a, b) = da − trunc(a / b)·db"""
    return g, times(alu("neg", g), alu("trunc", alu("div", *node.src)))


def _copysign(node: Node, g: Node) -> tuple[Node | None, ...]:
    """The sign that a takes on, 0 where a is 0; nothing by b."""
    a = node.src[0]
    ratio = where(alu("eq", a, number(0, a)), number(0, a), alu("div", node, a))
    return times(g, ratio), None


def _none(node: Node, g: Node) -> tuple[Node | None, ...]:
    return (None,) * len(node.src)


RULES: dict[str, Rule] = {
    "add": lambda n, g: (g, g),
    "sub": lambda n, g: (g, alu("neg", g)),
    "mul": lambda n, g: (times(g, n.src[1]), times(g, n.src[0])),
    "div": _div,
    "mod": lambda n, g: (g, times(alu("neg", g), alu("floordiv", *n.src))),
    "pow": _pow,
    "neg": lambda n, g: (alu("neg", g),),
    "abs": lambda n, g: (times(g, _sign(n.src[0])),),
    "maximum": _maximum,
    "minimum": _minimum,
    "exp": lambda n, g: (times(g, n),),
    "expm1": lambda n, g: (times(g, alu("add", n, number(1, n))),),
    "log": lambda n, g: (alu("div", g, n.src[0]),),
    "log1p": lambda n, g: (alu("div", g, alu("add", n.src[0], number(1, g))),),
    "sqrt": lambda n, g: (alu("div", g, alu("mul", number(2, n), n)),),
    "sin": lambda n, g: (times(g, alu("cos", n.src[0])),),
    "cos": lambda n, g: (times(g, alu("neg", alu("sin", n.src[0]))),),
    "tan": _tan,
    "tanh": _tanh,
    "erf": _erf,
    "erfc": _erfc,
    "exp2": lambda n, g: (times(g, times(n, number(math.log(2), g))),),
    "asin": lambda n, g: (alu("div", g, _root(n.src[0], "sub", "first")),),
    "acos": lambda n, g: (alu("neg", alu("div", g, _root(n.src[0], "sub", "first"))),),
    "atan": lambda n, g: (
        alu("div", g, alu("add", alu("mul", n.src[0], n.src[0]), number(1, g))),
    ),
    "sinh": lambda n, g: (times(g, alu("cosh", n.src[0])),),
    "cosh": lambda n, g: (times(g, alu("sinh", n.src[0])),),
    "asinh": lambda n, g: (alu("div", g, _root(n.src[0], "add", "last")),),
    "acosh": lambda n, g: (alu("div", g, _root(n.src[0], "sub", "last")),),
    "atanh": lambda n, g: (
        alu("div", g, alu("sub", number(1, g), alu("mul", n.src[0], n.src[0]))),
    ),
    "lgamma": _lgamma,
    "atan2": _atan2,
    "hypot": _hypot,
    "fmod": _fmod,
    "copysign": _copysign,
    "where": _where,
    "cast": lambda n, g: (cast(g, n.src[0].dtype),),
    **dict.fromkeys(("floordiv", "floor", "ceil", "trunc", "round"), _none),
    **dict.fromkeys(("lt", "le", "eq", "ne", "and", "or", "xor", "not", "shl", "shr"), _none),
}
