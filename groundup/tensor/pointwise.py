"""Pointwise operations: arithmetic, comparisons, logic, functions of one number.

Each is a body over elements; broadcasting is an index function. Must not know derivatives.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, overload

from ..ir import dtype as dt
from ..ir import node as ir
from ..ir.dtype import DType
from ..ir.extent import Extent
from ..ir.node import Node
from ..ir.scalar import apply
from ..ir.scalar import cast as cast_number
from .arithmetic import SIGNS, check_operation, combine
from .core import Core, Deferred, Paired, finish, operand, value_of
from .errors import at_line, check_fits, check_holds
from .misuse import named
from .mode import state
from .promotion import broadcast as broadcast
from .promotion import category as category
from .promotion import number_dtype as number_dtype
from .promotion import result_type as result_type
from .protocols import Pairwise as Pairwise
from .protocols import Pointwise as Pointwise
from .protocols import pairwise as pairwise
from .protocols import pointwise as pointwise
from .storage import Storage
from .view import Shape, same_size

if TYPE_CHECKING:
    from .elementwise import Elementwise
    from .notation import Indexed
    from .tensor import Tensor


COMPARISONS = frozenset(("lt", "le", "eq", "ne"))
_OUTS: list[Node] = ir.outs(16)  # those of most tensors


# ---- operands as expressions ---------------------------------------------------------------------


def read_at(node: Node, shape: Shape, outs: list[Node] | None = None) -> Node:
    """One element of an operand broadcast to `shape`, at the output variables."""
    own = node.shape
    if outs is None:
        outs = _OUTS if len(shape) <= len(_OUTS) else ir.outs(len(shape))
    if node.op == "loops" and node.src[0].op == "const" and state.anomaly is None:
        return node.src[0]  # not where it is looked at what an operation makes: it would be folded
    lead = len(shape) - len(own)
    if own == shape:
        return ir.read(node, *outs[: len(own)])
    zero = ir.index(0)
    indices = [
        zero if type(s) is int and s == 1 and not same_size(s, shape[lead + i])
        else outs[lead + i]
        for i, s in enumerate(own)
    ]  # fmt: skip
    return ir.read(node, *indices)


def kind_of(value: object) -> str:
    """What an operand that is none is called; of another library's array, how it becomes one."""
    kind = type(value)
    if hasattr(value, "__dlpack__"):
        return f"{kind.__module__}.{kind.__name__}; gu.from_dlpack(x) makes a tensor of it"
    return kind.__name__


def scalar(value: Any, dtype: DType) -> Node:
    """A Python number as a constant of a type."""
    if isinstance(value, complex):
        raise TypeError(
            f"a tensor of {dtype.name} cannot hold the complex number {value}; write its .real, or "
            f"make the tensor complex: x.to(gu.complex64)" + at_line()
        )
    if not isinstance(value, int | float):
        raise TypeError(f"expected a Tensor or a number, not {kind_of(value)}" + at_line())
    check_fits(value, dtype)
    return ir.const(value, dtype)


def body_of(value: Any, dtype: DType, shape: Shape, history: bool = True) -> Node:
    """An operand (tensor or number) as a scalar expression of a type at the output variables."""
    if dtype.is_complex:  # the other operand is, of a function of real numbers
        from .complex.refusal import refuse

        refuse(dtype)
    if not isinstance(value, Core):
        return scalar(value, dtype)
    node = operand(value) if history else value_of(value)
    return ir.cast(read_at(node, shape), dtype)


# ---- two operands -------------------------------------------------------------------------------


def scaled(value: Any, alpha: Any) -> Any:
    """alpha · value, of tensors, expressions and numbers."""
    return value if alpha == 1 else value * alpha


def binary(op: str, a: Any, b: Any) -> Tensor:
    """One pointwise operation of two operands, at least one of them a tensor."""
    if isinstance(a, Core):
        first = a
        if isinstance(b, Deferred):
            return b.combined(op, a, b)  # type: ignore[no-any-return]
        if isinstance(b, Core):
            same = a._storage.dtype is b._storage.dtype
            dtype = a._storage.dtype if same else result_type(a, b)
            if dtype.kind == "c":
                return _of_complex(op, a, b)
            sa, sb = a._shape, b._shape
            if not sa and not sb:
                known = folded(op, a, b, dtype)
                if known is not None:
                    return known
            shape = sa if sa is sb else broadcast(SIGNS.get(op, op), sa, sb)
        elif _foreign(b):
            return binary(op, a, known_operand(b))
        else:
            dtype, shape = result_type(a, b), a._shape
            if dtype.kind == "c":
                return _of_complex(op, a, b)
            if op in ("floordiv", "mod"):
                refuse_zero(op, b, dtype)
            elif op == "pow":
                _refuse_negative(b, dtype)
            if not shape:
                known = folded(op, a, b, dtype)
                if known is not None:
                    return known
    elif isinstance(a, Deferred):
        return a.combined(op, a, b)  # type: ignore[no-any-return]
    elif isinstance(b, Deferred):
        return b.combined(op, a, b)  # type: ignore[no-any-return]
    elif not isinstance(b, Core):
        raise TypeError(
            f"{SIGNS.get(op, op)} needs a tensor among its operands, not {type(a).__name__} and "
            f"{type(b).__name__}" + at_line()
        )
    elif _foreign(a):
        return binary(op, known_operand(a), b)
    else:
        first = b
        dtype, shape = result_type(a, b), b._shape
        if dtype.kind == "c":
            return _of_complex(op, a, b)
        if not shape:
            known = folded(op, a, b, dtype)
            if known is not None:
                return known
    compare = op in COMPARISONS
    if op == "div" and not dtype.is_float:
        dtype = dt.float32
    x = body_of(a, dtype, shape, not compare)
    y = body_of(b, dtype, shape, not compare)
    node = ir.loops(shape, combine(op, x, y))
    if isinstance(a, Core) and isinstance(b, Core):
        return finish(node, a, b)
    return finish(node, first)


def refuse_zero(op: str, divisor: Any, dtype: DType) -> None:
    """Raise ZeroDivisionError where integers are divided by a 0 that is known: there is no quotient
    and no rest. (By a 0 in a tensor both are 0: that costs no look at each element.)"""
    if op in ("floordiv", "mod", "fmod", "div") and dtype.is_int and divisor == 0:
        raise ZeroDivisionError(
            f"{SIGNS.get(op, op)}: integers of {dtype.name} divided by 0; floating ones give ±inf "
            f"or nan: write x.float()" + at_line()
        )


def _refuse_negative(power: Any, dtype: DType) -> None:
    """Raise ValueError for integers to a negative number. (To one in a tensor it is 0, 1 or −1.)"""
    if dtype.is_int and power < 0:
        raise ValueError(
            "an integer to a negative power is no integer; cast to a floating type first"
            + at_line()
        )


def _of_complex(op: str, a: Any, b: Any) -> Tensor:
    from .complex.arithmetic import binary as counterpart

    return counterpart(op, a, b)


def _foreign(value: object) -> bool:
    """Is an operand that is no tensor of NumPy's types?"""
    return type(value).__module__ == "numpy"


def known_operand(value: Any) -> Any:
    """An array as a tensor, NumPy's numbers as Python's."""
    from .interop import operand_from

    return operand_from(value)


def folded(op: str, a: Any, b: Any, dtype: DType) -> Tensor | None:
    """The result for two known numbers, without any expression."""
    x = a.number() if isinstance(a, Core) else a
    if x is None:
        return None
    y = b.number() if isinstance(b, Core) else b
    if y is None or isinstance(x, Extent) or isinstance(y, Extent):
        return None
    if op == "div" and not dtype.is_float:
        dtype = dt.float32
    if op == "pow" and not isinstance(b, Core):
        _refuse_negative(y, dtype)
    if dtype.kind == "b" or op == ("floordiv" if dtype.is_float else "pow"):
        node = combine(op, ir.const(x, dtype), ir.const(y, dtype))
        if node.op != "const":
            return None
        value, dtype = node.value, node.dtype
    else:
        check_operation(op, dtype)
        if op in ("floordiv", "mod"):
            refuse_zero(op, y, dtype)
        if not (dtype.is_float and type(x) is float and type(y) is float) or dtype.bits < 64:
            check_fits(x, dtype)
            check_fits(y, dtype)
            x, y = cast_number(x, dtype), cast_number(y, dtype)
        value = apply(op, dtype, (x, y))
        if op in COMPARISONS:
            dtype = dt.bool_
    first = a if isinstance(a, Core) else b
    return first._make(Storage((), dtype, number=value))


# ---- one operand --------------------------------------------------------------------------------


def unary(
    a: Any, body: Callable[[Node], Node], floating: bool = False, name: str = ""
) -> Tensor:
    """One pointwise function of a tensor; `floating` makes integers float32 first; `name`: what an
    error calls it, unless it is that of the function around the body."""
    if isinstance(a, Deferred):
        name = name or body.__qualname__.partition(".")[0]
        return a.mapped(body, floating, name)  # type: ignore[no-any-return]
    if isinstance(a, Paired):
        from .complex.functions import unary as counterpart

        return counterpart(name or body.__qualname__.partition(".")[0], a)
    if not isinstance(a, Core):
        called = name or body.__qualname__.partition(".")[0]
        raise TypeError(f"{called} takes a tensor, not {kind_of(a)}" + at_line())
    node = operand(a)
    x = read_at(node, a._shape)
    if floating and not x.dtype.is_float:
        x = ir.cast(x, dt.float32)
    return finish(ir.loops(a._shape, body(x)), a)


def function(name: str, floating: bool = True) -> Pointwise:
    """The function that applies one operation of the scalar table."""

    def call(a: Core) -> Tensor:
        return unary(a, lambda x: ir.alu(name, x), floating, name)

    call.__name__ = call.__qualname__ = name  # the second: pickled by this name
    return pointwise(call)


exp, expm1, log, log1p = (function(n) for n in ("exp", "expm1", "log", "log1p"))
sqrt, sin, cos, tan = (function(n) for n in ("sqrt", "sin", "cos", "tan"))
tanh, erf = function("tanh"), function("erf")


def _one(x: Node) -> Node:
    return ir.const(1, x.dtype)


@pointwise
def rsqrt(a: Any) -> Any:
    """1 / √x"""
    return unary(a, lambda x: ir.alu("div", _one(x), ir.alu("sqrt", x)), True)


@pointwise
def reciprocal(a: Any) -> Any:
    """1 / x"""
    return unary(a, lambda x: ir.alu("div", _one(x), x), True)


@pointwise
def log2(a: Any) -> Any:
    """log x / log 2"""
    return unary(
        a, lambda x: ir.alu("mul", ir.alu("log", x), ir.const(1 / math.log(2), x.dtype)), True
    )


@pointwise
def log10(a: Any) -> Any:
    """log x / log 10"""
    return unary(
        a, lambda x: ir.alu("mul", ir.alu("log", x), ir.const(1 / math.log(10), x.dtype)), True
    )


@pointwise
def square(a: Any) -> Any:
    """x · x"""
    return unary(a, lambda x: combine("mul", x, x))


@pointwise
def sigmoid(a: Any) -> Any:
    """1 / (1 + e^−x), written with e^−|x| so that neither it nor its derivative overflows."""

    def body(x: Node) -> Node:
        zero = ir.const(0, x.dtype)
        negative = ir.alu("lt", x, zero)
        e = ir.alu("exp", ir.where(negative, x, ir.alu("neg", x)))
        return ir.alu("div", ir.where(negative, e, _one(x)), ir.alu("add", _one(x), e))

    return unary(a, body, True)


@pointwise
def relu(a: Any) -> Any:
    """max(x, 0); NaN stays NaN, the derivative at 0 is 0."""

    def body(x: Node) -> Node:
        zero = ir.const(0, x.dtype)
        return ir.where(ir.alu("le", x, zero), zero, x)

    return unary(a, body)


@pointwise
def neg(a: Any) -> Any:
    """−x"""
    if not isinstance(a, Core) or isinstance(a, Paired):
        return unary(a, _negated, name="neg")
    if a._storage.dtype.kind == "b":
        raise TypeError("- of a bool tensor has no meaning; use ~" + at_line())
    if not a._shape:
        known = a.number()
        if known is not None:
            value = apply("neg", a._storage.dtype, (known,))
            return a._make(Storage((), a._storage.dtype, number=value))
    return unary(a, _negated)


def _negated(x: Node) -> Node:
    if x.dtype.kind == "b":
        raise TypeError("- of a bool value has no meaning; use ~" + at_line())
    return ir.alu("neg", x)


@pointwise
def absolute(a: Any) -> Any:
    """|x|"""
    return unary(a, lambda x: x if x.dtype.kind in "bu" else ir.alu("abs", x), name="abs")


@pointwise
def sign(a: Any) -> Any:
    """−1, 0 or 1; NaN gives 0, as in PyTorch."""

    def body(x: Node) -> Node:
        zero, one = ir.const(0, x.dtype), ir.const(1, x.dtype)
        if x.dtype.kind == "b":
            return x
        positive = ir.where(ir.alu("lt", zero, x), one, zero)
        if x.dtype.kind == "u":
            return positive
        return ir.where(ir.alu("lt", x, zero), ir.const(-1, x.dtype), positive)

    return unary(a, body)


def rounding(name: str) -> Pointwise:
    """floor, ceil, trunc or round; integers stay as they are."""

    def call(a: Core) -> Tensor:
        return unary(a, lambda x: ir.alu(name, x) if x.dtype.is_float else x, name=name)

    call.__name__ = call.__qualname__ = name
    return pointwise(call)


floor, ceil, trunc, round_ = (rounding(n) for n in ("floor", "ceil", "trunc", "round"))


@pointwise
def invert(a: Any) -> Any:
    """~x: the bits of an integer, or `not` of a bool."""

    def body(x: Node) -> Node:
        check_operation("not", x.dtype)
        return ir.alu("not", x)

    return unary(a, body)


def logical(op: str, a: Core, b: Any) -> Tensor:
    """and, or, xor of truth values."""
    x, y = (to_bool(v) if isinstance(v, Core | Deferred) else bool(v) for v in (a, b))
    return binary(op, x, y)


def to_bool(a: Any) -> Any:
    """x != 0"""
    return cast(a, dt.bool_)


@pointwise
def logical_not(a: Any) -> Any:
    """x == 0"""
    return binary("eq", a, 0)


@overload
def cast(a: Core, dtype: DType) -> Tensor: ...
@overload
def cast(a: Elementwise, dtype: DType) -> Indexed: ...
def cast(a: Any, dtype: DType) -> Any:
    """x converted to another type; the tensor itself if it has that type."""
    if not isinstance(dtype, DType):
        raise TypeError(f"a type is one such as gu.float32, not {dtype!r:.40}" + at_line())
    if isinstance(a, Deferred):
        name = f"to[{dtype.name}]"
        return a.mapped(lambda x: ir.cast(x, dtype), False, name)
    if a._storage.dtype is dtype:
        return a
    if dtype.kind == "c" or isinstance(a, Paired):
        from .complex.parts import cast as counterpart

        return counterpart(a, dtype)
    history = dtype.is_float
    node = operand(a) if history else value_of(a)
    return finish(ir.loops(a._shape, ir.cast(read_at(node, a._shape), dtype)), a)


@pointwise
def isnan(a: Any) -> Any:
    """x != x"""
    return _test(a, lambda x: ir.alu("ne", x, x))


@pointwise
def isinf(a: Any) -> Any:
    """|x| == ∞"""

    def body(x: Node) -> Node:
        if not x.dtype.is_float:
            return ir.const(False, dt.bool_)
        return ir.alu("eq", ir.alu("abs", x), ir.const(math.inf, x.dtype))

    return _test(a, body)


@pointwise
def isfinite(a: Any) -> Any:
    """neither NaN nor ±∞"""

    def body(x: Node) -> Node:
        if not x.dtype.is_float:
            return ir.const(True, dt.bool_)
        return ir.alu("lt", ir.alu("abs", x), ir.const(math.inf, x.dtype))

    return _test(a, body)


def _test(a: Any, body: Callable[[Node], Node]) -> Tensor:
    if not isinstance(a, Core) or isinstance(a, Paired):
        return unary(a, body)
    return finish(ir.loops(a._shape, body(read_at(value_of(a), a._shape))), a)


# ---- more operands ------------------------------------------------------------------------------


@overload
def where(condition: Elementwise, a: Any, b: Any) -> Indexed: ...
@overload
def where(condition: Core, a: Elementwise, b: Any) -> Indexed: ...
@overload
def where(condition: Core) -> tuple[Tensor, ...]: ...
@overload
def where(condition: Core, a: Any, b: Any) -> Tensor: ...
def where(condition: Any, a: Any = None, b: Any = None) -> Any:
    """a where the condition holds, else b; all three broadcast. Of a condition alone: where it
    holds, the indices of each axis (computed now)."""
    if a is None and b is None and isinstance(condition, Core):
        from .indexing import nonzero

        return tuple(nonzero(condition))
    for v in (condition, a, b):
        if isinstance(v, Deferred):
            return v.chosen(condition, a, b)
    tensors = [v for v in (condition, a, b) if isinstance(v, Core)]
    if not isinstance(condition, Core) or condition._storage.dtype.kind != "b":
        kind = (
            condition._storage.dtype.name
            if isinstance(condition, Core)
            else type(condition).__name__
        )
        raise TypeError(
            f"where needs a bool tensor as its condition, not {kind}; write x != 0" + at_line()
        )
    dtype = result_type(a, b)
    if dtype.kind == "c":
        from .complex.arithmetic import where as counterpart

        return counterpart(condition, a, b)
    shape = broadcast("where", *(t._shape for t in tensors))
    check_holds(a, dtype)
    check_holds(b, dtype)
    test = read_at(value_of(condition), shape)
    body = _chosen(test, body_of(a, dtype, shape), body_of(b, dtype, shape))
    return finish(ir.loops(shape, body), tensors[0], *tensors[1:])


def _chosen(test: Node, a: Node, b: Node) -> Node:
    """a where a condition holds, else b, with the history of both: of a constant condition, too."""
    if test.op == "const" and a.tracked is not b.tracked:
        return ir.make("where", a.dtype, (), (test, a, b), None)
    return ir.where(test, a, b)


@overload
def clamp(a: Core, low: Any = None, high: Any = None, name: str = "clamp") -> Tensor: ...
@overload
def clamp(a: Elementwise, low: Any = None, high: Any = None, name: str = "clamp") -> Indexed: ...
@named
def clamp(a: Any, low: Any = None, high: Any = None, name: str = "clamp") -> Any:
    """min(max(x, low), high); NaN stays NaN."""
    bounds = [v for v in (low, high) if v is not None]
    if not bounds:
        raise ValueError(f"{name} needs a bound" + at_line())
    if any(isinstance(v, Deferred) for v in (a, *bounds)):
        y: Any = a
        if low is not None:
            y = where(binary("lt", y, low), low, y)
        if high is not None:
            y = where(binary("lt", high, y), high, y)
        called = "clamp" if len(bounds) == 2 else "clamp_min" if high is None else "clamp_max"
        return y.known_as(called, (a, *bounds))
    dtype = result_type(a, *bounds)
    tensors = [v for v in (a, *bounds) if isinstance(v, Core)]
    if not isinstance(a, Core):
        raise TypeError(f"{name} takes a tensor, not {type(a).__name__}" + at_line())
    shape = broadcast(name, *(t._shape for t in tensors))
    for v in bounds:
        check_holds(v, dtype)
    x = body_of(a, dtype, shape)
    if low is not None:
        bound = body_of(low, dtype, shape)
        x = _chosen(ir.alu("lt", x, bound), bound, x)
    if high is not None:
        bound = body_of(high, dtype, shape)
        x = _chosen(ir.alu("lt", bound, x), bound, x)
    return finish(ir.loops(shape, x), a, *tensors[1:])


@named
def masked_fill(a: Core, mask: Core, value: Any) -> Tensor:
    """value where the mask holds, else x; the result has x's type."""
    if any(isinstance(v, Deferred) for v in (a, mask, value)):
        chosen: Any = where(mask, value, a)
        return chosen  # type: ignore[no-any-return]
    dtype = a._storage.dtype
    if isinstance(a, Paired):
        from .complex.arithmetic import masked_fill as counterpart

        return counterpart(a, mask, value)
    shape = broadcast("masked_fill", a._shape, mask._shape)
    if mask._storage.dtype.kind != "b":
        raise TypeError(
            f"masked_fill needs a bool mask, not {mask._storage.dtype.name}" + at_line()
        )
    check_holds(value, dtype)
    test = read_at(value_of(mask), shape)
    body = _chosen(test, body_of(value, dtype, shape), body_of(a, dtype, shape))
    others = (value,) if isinstance(value, Core) else ()
    return finish(ir.loops(shape, body), a, mask, *others)


@named
def lerp(a: Core, end: Core, weight: Any) -> Tensor:
    """a + weight · (end − a)"""
    return binary("add", a, binary("mul", weight, binary("sub", end, a)))
