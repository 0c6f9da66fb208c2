"""Reductions inside a kernel's body, in the order that the expression fixes.

seq   one running value (a vector of them when an output axis is vectorised)
lanes running value number (last variable mod lanes); combined in a fixed tree. Vectorised along the
      last variable when the result is a scalar; kept in a small array when the result is a vector:
      the same additions in the same order either way.
dot, dotlanes: the same with one fused multiply-add a term.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ..ir import dtype as dt
from ..ir.dtype import DType
from ..ir.node import Node, make, red
from .builder import Operand
from .expression import Binding, Emitter, Value
from .kernel import Word
from .operations import Writer, literal, write_operation

_ORDER_FREE = ("max", "min")


def identity(kind: str, dtype: DType) -> bool | int | float:
    """The value of a reduction over no terms."""
    if kind == "sum":
        return 0
    if kind == "prod":
        return 1
    if kind in ("max", "argmax"):
        return -math.inf if dtype.is_float else dtype.min
    return math.inf if dtype.is_float else dtype.max


COMBINE = {"sum": "add", "prod": "mul", "max": "maximum", "min": "minimum"}


class Reduction:
    """One reduction being written: its parts, and how a term joins a running value."""

    def __init__(self, e: Emitter, node: Node) -> None:
        self.e, self.node = e, node
        self.kind, variables, self.order = node.arg[:3]
        self.variables = [(red(uid), size) for uid, size in variables]
        self.body = node.src[0]
        self.dtype = self.body.dtype
        factors = self.body.src[1] if self.body.op == "where" else self.body
        # A product that turned out to be a constant is added like anything else.
        self.dot = self.order.startswith("dot") and self.dtype.is_float and factors.op == "mul"
        self.in_lanes = (
            self.order in ("lanes", "dotlanes") and self.dtype.is_float and self.kind == "sum"
        )
        self.op = COMBINE.get(self.kind, "")
        if self.dtype.kind == "b" and self.kind in ("sum", "prod"):
            self.op = "or" if self.kind == "sum" else "and"
        a: Node = make("hole", self.dtype, (), (), 0)
        b: Node = make("hole", self.dtype, (), (), 1)
        self.pattern = make(self.op, self.dtype, (), (a, b), None) if self.op else a

    def along(self, body: Node) -> Reduction:
        """The same reduction with another term."""
        return Reduction(self.e, make("reduce", self.node.dtype, (), (body,), self.node.arg))

    def combine(self, a: Operand, b: Operand, lanes: int) -> Operand:
        """a ∘ b in the innermost open scope."""
        return write_operation(
            Writer(self.e.fn, self.e.scope.region, lanes), self.op, self.pattern, [a, b]
        )

    def term(self, running: Operand, lanes: int, mask: Operand | None = None) -> Operand:
        """running ∘ body; lanes outside the mask keep their value."""
        e = self.e
        if self.dot:
            body, guard = self.body, None
            if body.op == "where":
                guard, body = body.src[0], body.src[1]
            a, b = (e.widen(e.emit(s), lanes) for s in body.src)
            w = Writer(e.fn, e.scope.region, lanes)
            joined = w.intrinsic("fma", self.dtype.llvm, a, b, running)
            if guard is not None:
                g = e.widen(e.emit(guard), lanes)
                joined = self._select(g, joined, running, lanes)
        else:
            joined = self.combine(running, e.widen(e.emit(self.body), lanes), lanes)
        return joined if mask is None else self._select(mask, joined, running, lanes)

    def _select(self, mask: Operand, a: Operand, b: Operand, lanes: int) -> Operand:
        t = self.e.type_of(self.dtype, lanes)
        bt = f"<{lanes} x i1>" if lanes else "i1"
        return self.e.fn.put(f"select {bt} {mask}, {t} {a}, {t} {b}", self.e.scope.region)

    def initial(self, lanes: int) -> Operand:
        text = literal(identity(self.kind, self.dtype), self.dtype)
        return f"splat ({self.dtype.llvm} {text})" if lanes else text


def emit_reduction(e: Emitter, node: Node) -> Value:
    """Write a reduction into the deepest scope that it depends on."""
    free = e.free(node)
    place = 0
    lanes = 0
    for i, scope in enumerate(e.scopes):
        for v in free:
            if e.bindings[v].scope is scope:
                place = max(place, i)
                lanes = max(lanes, e.bindings[v].lanes)
    hidden = e.scopes[place + 1 :]
    e.scopes = e.scopes[: place + 1]
    region, e.fn.region = e.fn.region, e.scope.region
    home = e.scope
    r = Reduction(e, node)
    try:
        if r.kind.startswith("arg"):
            name = _extreme_position(r, lanes)
        elif not lanes and _vectorisable(r):
            name = _along_lanes(r)
        elif lanes and r.in_lanes:
            name = _lane_array(r, lanes)
        else:
            name = _running(r, lanes)
    finally:
        e.scopes = e.scopes + hidden
        e.fn.region = region
    return Value(name, node.dtype, lanes, home)


def _vectorisable(r: Reduction) -> bool:
    if r.dtype.is_float and r.kind in ("sum",):
        return r.order in ("lanes", "dotlanes")
    return r.kind in _ORDER_FREE or (r.kind == "sum" and r.dtype.is_int)


def _size(e: Emitter, size: object) -> Operand | int:
    """An extent as a number known now or a parameter."""
    return e.word(size) if isinstance(size, Word) else int(size)  # type: ignore[call-overload]


def nest(
    e: Emitter,
    variables: list[tuple[Node, object]],
    carried: list[tuple[str, Operand]],
    inner: Callable[[list[Operand]], list[Operand]],
) -> list[Operand]:
    """Scalar loops over variables, carrying values through to `inner`; returns the final values."""
    if not variables:
        return inner([value for _, value in carried])
    (variable, size), rest = variables[0], variables[1:]

    def body(iv: Operand, values: list[Operand]) -> list[Operand]:
        scope = e.open(e.fn.region)
        e.bindings[variable] = Binding(iv, 0, scope)
        out = nest(e, rest, [(t, v) for (t, _), v in zip(carried, values)], inner)
        e.close()
        return out

    return e.fn.counted(0, _size(e, size), 1, body, carried)


def _running(r: Reduction, lanes: int) -> Operand:
    """One running value over all terms, in order."""
    t = r.e.type_of(r.dtype, lanes)
    return nest(r.e, r.variables, [(t, r.initial(lanes))], lambda v: [r.term(v[0], lanes)])[0]


def _along_lanes(r: Reduction) -> Operand:
    """A vector of running values along the last variable, then the tree."""
    e, width = r.e, r.e.width
    t = e.type_of(r.dtype, width)
    *outer, (last, size) = r.variables
    n = _size(e, size)

    def inner(values: list[Operand]) -> list[Operand]:
        full = int(n) // width * width if isinstance(n, int) else e.fn.put(f"and i64 {n}, {-width}")

        def block(masked: bool) -> Callable[[Operand, list[Operand]], list[Operand]]:
            def body(iv: Operand, running: list[Operand]) -> list[Operand]:
                mask = lane_mask(e, iv, str(n), width) if masked else None
                scope = e.open(e.fn.region, mask)
                e.bindings[last] = Binding(iv, width, scope)
                out = r.term(running[0], width, mask)
                e.close()
                return [out]

            return body

        values = e.fn.counted(0, full, width, block(False), [(t, values[0])])
        if isinstance(n, int) and n % width == 0:
            return values
        return e.fn.counted(full, n, width, block(True), [(t, values[0])])

    running = nest(e, outer, [(t, r.initial(width))], inner)[0]
    return tree(r, running, width)


def lane_mask(e: Emitter, base: Operand, end: Operand, width: int) -> Operand:
    """Which lanes of base, base+1, … lie before `end`."""
    left = e.fn.sub(end, base)
    vt = f"<{width} x i64>"
    a = e.fn.put(f"insertelement {vt} poison, i64 {left}, i64 0")
    b = e.fn.put(f"shufflevector {vt} {a}, {vt} poison, <{width} x i32> zeroinitializer")
    iota = "<" + ", ".join(f"i64 {i}" for i in range(width)) + ">"
    return e.fn.put(f"icmp slt {vt} {iota}, {b}")


def tree(r: Reduction, x: Operand, lanes: int) -> Operand:
    """Combine lanes l and l + half, for half = lanes/2 … 1."""
    e = r.e
    while lanes > 1:
        half = lanes // 2
        t = e.type_of(r.dtype, lanes)
        low, high = (
            e.fn.put(
                f"shufflevector {t} {x}, {t} poison, <{half} x i32> <"
                + ", ".join(f"i32 {start + i}" for i in range(half)) + ">"
            )
            for start in (0, half)
        )  # fmt: skip
        x = r.combine(low, high, half)
        lanes = half
    return e.fn.put(f"extractelement {e.type_of(r.dtype, 1)} {x}, i64 0")


def _lane_array(r: Reduction, lanes: int) -> Operand:
    """`width` running vectors in a small array, indexed by the last variable mod width."""
    e, width = r.e, r.e.width
    t = e.type_of(r.dtype, lanes)
    array = e.fn.put(f"alloca [{width} x {t}], align 64", e.fn.root)
    for i in range(width):
        at = e.fn.put(f"getelementptr {t}, ptr {array}, i64 {i}")
        e.fn.do(f"store {t} {r.initial(lanes)}, ptr {at}, align 64")
    last = r.variables[-1][0]

    def inner(_: list[Operand]) -> list[Operand]:
        slot = e.fn.put(f"and i64 {e.bindings[last].base}, {width - 1}")
        at = e.fn.put(f"getelementptr {t}, ptr {array}, i64 {slot}")
        before = e.fn.put(f"load {t}, ptr {at}, align 64")
        e.fn.do(f"store {t} {r.term(before, lanes)}, ptr {at}, align 64", e.scope.region)
        return []

    nest(e, r.variables, [], inner)
    parts = []
    for i in range(width):
        at = e.fn.put(f"getelementptr {t}, ptr {array}, i64 {i}")
        parts.append(e.fn.put(f"load {t}, ptr {at}, align 64"))
    return combined(r, parts, lanes)


def combined(r: Reduction, parts: list[Operand], lanes: int) -> Operand:
    """The fixed tree over running values that are vectors."""
    while len(parts) > 1:
        half = len(parts) // 2
        parts = [r.combine(parts[i], parts[i + half], lanes) for i in range(half)]
    return parts[0]


def _extreme_position(r: Reduction, lanes: int) -> Operand:
    """Row-major position of the first extreme; the first NaN counts as the extreme."""
    e = r.e
    t, it = e.type_of(r.dtype, lanes), e.type_of(dt.int64, lanes)
    bt = f"<{lanes} x i1>" if lanes else "i1"
    beats = "ogt" if r.kind == "argmax" else "olt"

    def inner(v: list[Operand]) -> list[Operand]:
        put = e.fn.put
        best, where, position = v
        x = e.widen(e.emit(r.body), lanes)
        if r.dtype.is_float:
            better = put(f"fcmp {beats} {t} {x}, {best}")
            new_nan = put(f"fcmp uno {t} {x}, {x}")
            old_nan = put(f"fcmp uno {t} {best}, {best}")
            first_nan = put(f"and {bt} {new_nan}, {put(f'xor {bt} {old_nan}, {_ones(lanes)}')}")
            better = put(f"or {bt} {better}, {first_nan}")
        else:
            sign = "s" if r.dtype.kind == "i" else "u"
            better = put(f"icmp {sign}{beats[1:]} {t} {x}, {best}")
        # The first term always wins over "nothing seen yet".
        none = put(f"icmp eq i64 {position}, 0")
        better = put(f"or {bt} {better}, {e.widen(Value(none, dt.bool_, 0, e.scope), lanes)}")
        best = put(f"select {bt} {better}, {t} {x}, {t} {best}")
        at = e.widen(Value(position, dt.int64, 0, e.scope), lanes)
        where = put(f"select {bt} {better}, {it} {at}, {it} {where}")
        return [best, where, put(f"add nsw i64 {position}, 1")]

    zero = "zeroinitializer" if lanes else "0"
    carried = [(t, r.initial(lanes)), (it, zero), ("i64", "0")]
    return nest(e, r.variables, carried, inner)[1]


def _ones(lanes: int) -> str:
    return "splat (i1 true)" if lanes else "true"
