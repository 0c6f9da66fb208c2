"""A function of complex numbers as one loop nest, rather than an operation after the other.

Its formula is followed once for each type, on expressions that stand for the parts; what comes out
is then written for any operands. Must not know any formula, nor derivatives.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from ...ir import dtype as dt
from ...ir import node as ir
from ...ir.dtype import DType, promote
from ...ir.node import Node
from ...ir.record import frozen
from ...ir.transform import substitute
from .. import pointwise as pw
from ..arithmetic import combine
from ..core import Core, Paired, finish, value_of
from ..elementwise import Elementwise
from ..tensor import Tensor
from .tensor import ComplexTensor


class Element(Elementwise):
    """A real number of which only the expression is known: what formulas are followed on."""

    __slots__ = ("node",)

    def __init__(self, node: Node) -> None:
        self.node = node

    @property
    def dtype(self) -> DType:
        """Its type."""
        return self.node.dtype

    def combined(self, op: str, a: Any, b: Any) -> Any:
        """An operation of two operands, one of them this."""
        dtype = _common(a, b)
        if op == "div" and not dtype.is_float:
            dtype = dt.float32
        return Element(combine(op, _typed(a, dtype), _typed(b, dtype)))

    def chosen(self, condition: Any, a: Any, b: Any) -> Any:
        """a where the condition holds, else b; one of the three is this."""
        dtype = _common(a, b)
        test = _typed(condition, dt.bool_)
        return Element(ir.where(test, _typed(a, dtype), _typed(b, dtype)))

    def mapped(self, body: Callable[[Node], Node], floating: bool, name: str) -> Any:
        """A function of this."""
        node = self.node
        if floating and not node.dtype.is_float:
            node = ir.cast(node, dt.float32)
        return Element(body(node))

    def applied(
        self, name: str, body: Callable[[Node, Node], Node], floating: bool, a: Any, b: Any
    ) -> Any:
        """A function of two operands, one of them this."""
        dtype = _common(a, b)
        if floating and not dtype.is_float:
            dtype = dt.float32
        return Element(body(_typed(a, dtype), _typed(b, dtype)))


# An Element; what operations of expressions give is declared as another kind of them.
Real = Any
Parts = tuple[Real, Real]  # (re, im)


def number(value: float, dtype: DType) -> Element:
    """A number of a type of its own: of two Python numbers `where` makes float32."""
    return Element(ir.const(value, dtype))


def _common(*values: Any) -> DType:
    """The type of an operation: that of expressions, unless a number is of a higher kind."""
    known: DType | None = None
    for v in values:
        if isinstance(v, Element):
            known = v.dtype if known is None else promote(known, v.dtype)
    for v in values:
        if not isinstance(v, Element):
            own = pw.number_dtype(v)
            known = own if known is None or pw.category(own) > pw.category(known) else known
    assert known is not None
    return known


def _typed(value: Any, dtype: DType) -> Node:
    return ir.cast(value.node, dtype) if isinstance(value, Element) else ir.const(value, dtype)


# ---- formulas ------------------------------------------------------------------------------------


@frozen
class _Formula:
    """What a function makes: an expression of `holes`, two for each operand; of complex numbers it
    asks `axis` which part is wanted."""

    body: Node
    holes: tuple[Node, ...]
    axis: Node | None


@cache
def _followed(function: Callable[..., Any], dtype: DType, count: int) -> _Formula:
    """The function of so many operands with parts of a real type."""
    holes = [ir.make("hole", dtype, (), (), k) for k in range(2 * count)]
    parts = [Element(hole) for hole in holes]
    made = function(*zip(parts[::2], parts[1::2], strict=True))
    if isinstance(made, Element):
        return _Formula(made.node, tuple(holes), None)
    re, im = (_typed(x, dtype) for x in made)
    axis = ir.make("hole", dt.int64, (), (), -1)
    first = ir.alu("lt", axis, ir.index(1))
    return _Formula(ir.where(first, re, im), tuple(holes), axis)


def written(name: str, function: Callable[..., Any], dtype: DType, *values: Any) -> Tensor:
    """A function of the parts of operands (tensors or numbers, which broadcast), without history.

    function: of a pair (re, im) for each operand; it gives a pair, or a real number
    dtype: the complex type in which it is computed
    """
    real = dtype.to_real()
    formula = _followed(function, real, len(values))
    cores = [v for v in values if isinstance(v, Core)]
    shape = pw.broadcast(name, *(v._shape for v in cores))
    places = ir.outs(len(shape))
    filled = [x for v in values for x in _parts(v, real, shape, places)]
    mapping = dict(zip(formula.holes, filled, strict=True))
    sources = [v._pair if isinstance(v, Paired) else v for v in cores]
    if formula.axis is None:
        return finish(ir.loops(shape, substitute(formula.body, mapping)), *sources)
    mapping[formula.axis] = ir.out(len(shape))
    node = ir.loops((*shape, 2), substitute(formula.body, mapping))
    return ComplexTensor(finish(node, *sources))


def _parts(
    value: Any, real: DType, shape: tuple[int, ...], places: list[Node]
) -> tuple[Node, Node]:
    """(re, im) of an operand at an element."""
    if isinstance(value, Paired):
        node, whole = value_of(value._pair), (*shape, 2)
        re, im = (pw.read_at(node, whole, [*places, ir.index(k)]) for k in (0, 1))
        return ir.cast(re, real), ir.cast(im, real)
    if isinstance(value, Core):
        return pw.body_of(value, real, shape, False), ir.const(0.0, real)
    z = complex(value)
    return pw.scalar(z.real, real), pw.scalar(z.imag, real)
