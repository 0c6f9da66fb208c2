"""Reductions inside a kernel's body, in the order that the expression fixes.

seq   one running value (a vector of them when an output axis is vectorised)
lanes running value number (last variable mod lanes); combined in a fixed tree. Vectorised along the
      last variable when the result is a scalar; kept in a small array when the result is a vector:
      the same additions in the same order either way.
dot, dotlanes: the same with one fused multiply-add a term; dot16, dot16lanes: for bfloat16.
dot16pairs    dot16 with the terms of the last variable two by two: 1, 0, 3, 2, …
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ..ir import dtype as dt
from ..ir.dtype import DType
from ..ir.node import Node, make, red
from ..ir.record import replace
from ..ir.transform import rebuild, toposort
from .builder import Operand
from .expression import Binding, Emitter, Scope, Value
from .kernel import Access, Word
from .operations import Writer, convert, is_half, literal, write_operation

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
            "lanes" in self.order and self.dtype.is_float and self.kind == "sum"
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
        w = Writer(self.e.fn, self.e.scope.region, lanes)
        if self.kind in _ORDER_FREE and self.dtype.is_float and self.dtype.bits >= 32:
            # A NaN in a stays by itself, one in b is asked for: the running value waits for less.
            t = w.ty(self.dtype.llvm)
            better = w.put(f"fcmp {'ogt' if self.kind == 'max' else 'olt'} {t} {b}, {a}")
            best = w.select(better, b, a, t)
            return w.select(w.put(f"fcmp uno {t} {b}, {b}"), b, best, t)
        return write_operation(w, self.op, self.pattern, [a, b])

    def term(self, running: Operand, lanes: int, mask: Operand | None = None) -> Operand:
        """running ∘ body; lanes outside the mask keep their value."""
        e = self.e
        if self.dot:
            body, guard = self.body, None
            if body.op == "where":
                guard, body = body.src[0], body.src[1]
            a, b = (e.widen(e.emit(s), lanes) for s in body.src)
            w = Writer(e.fn, e.scope.region, lanes)
            if self.order.startswith("dot16"):
                joined = w.add_product(a, b, running)
            else:
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
    """Write a reduction into the deepest scope that it depends on, with all others that run over
    the same variables there."""
    place, lanes = _home(e, node)
    hidden = e.scopes[place + 1 :]
    e.scopes = e.scopes[: place + 1]
    region, e.fn.region = e.fn.region, e.scope.region
    home = e.scope
    first = Reduction(e, node)
    way = _way(first, lanes)
    together = [first]
    for other in e.reductions.get(node.arg[1], ()):
        if other is not node and other not in e.memo and _home(e, other) == (place, lanes):
            if any(not apart(e, other, begun) for begun in e.begun):
                continue  # what waits for this one would have to be there before
            r = Reduction(e, other)
            # One may need another's result: a condition that guards its reads, for instance.
            if _way(r, lanes) is way and all(apart(e, r.node, t.node) for t in together):
                together.append(r)
    again = _set_aside(e, hidden)
    e.begun += [r.node for r in together]
    try:
        names = way(together, lanes)
    finally:
        del e.begun[-len(together) :]
        e.scopes = e.scopes + hidden
        e.fn.region = region
        again()
    values = [Value(name, r.node.dtype, lanes, home) for name, r in zip(names, together)]
    for r, value in zip(together[1:], values[1:]):
        e._remember(r.node, value)
    return values[0]


def _set_aside(e: Emitter, hidden: list[Scope]) -> Callable[[], None]:
    """Forget what was written inside loops that what follows is written before, until the function
    that this gives is called: a guard may hold a reduction over a variable of the same name as that
    of the loop it guards."""
    bound = {v: b for v, b in e.bindings.items() if v.op == "red" and b.scope in hidden}
    if not bound:
        return lambda: None
    aside: list[tuple[Scope, dict[object, Value]]] = [
        (scope, {key: e.memo.pop(key) for key in scope.memo}) for scope in hidden
    ]

    def again() -> None:
        e.bindings.update(bound)
        for scope, values in aside:
            new = {key: value for key, value in values.items() if key not in e.memo}
            e.memo.update(new)
            scope.memo[:] = [key for key in scope.memo if key in new]

    return again


def _home(e: Emitter, node: Node) -> tuple[int, int]:
    """(position of the deepest open scope that a reduction depends on, lanes of its value);
    position -1 while a loop that it depends on is not open."""
    place, lanes = 0, 0
    for v in e.free(node):
        binding = e.bindings.get(v)
        if binding is None:
            return -1, 0
        depth = binding.scope.depth
        if depth >= len(e.scopes) or e.scopes[depth] is not binding.scope:
            return -1, 0  # a loop that is closed
        place = max(place, depth)
        lanes = max(lanes, binding.lanes)
    return place, lanes


def apart(e: Emitter, a: Node, b: Node) -> bool:
    """Is neither of two reductions a part of the other?"""
    return a not in e.inner(b) and b not in e.inner(a)


_Way = Callable[[list["Reduction"], int], list[Operand]]


def _way(r: Reduction, lanes: int) -> _Way:
    """How a reduction is written."""
    if r.kind.startswith("arg"):
        return _extreme_position
    if not lanes and _vectorisable(r):
        return _along_lanes
    if r.order == "dot16pairs":
        return _by_pairs
    return _lane_arrays if lanes and r.in_lanes else _running


def _vectorisable(r: Reduction) -> bool:
    if r.dtype.is_float and r.kind in ("sum",):
        return "lanes" in r.order
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


def _running(rs: list[Reduction], lanes: int) -> list[Operand]:
    """One running value each over all terms, in order."""
    e = rs[0].e
    carried = [(e.type_of(r.dtype, lanes), r.initial(lanes)) for r in rs]
    return nest(
        e, rs[0].variables, carried,
        lambda values: [r.term(v, lanes) for r, v in zip(rs, values, strict=True)],
    )  # fmt: skip


def _by_pairs(rs: list[Reduction], lanes: int) -> list[Operand]:
    """One running value each; of two neighbouring terms of the last variable the second first."""
    e, f = rs[0].e, rs[0].e.fn
    types = [e.type_of(r.dtype, lanes) for r in rs]
    *outer, (last, size) = rs[0].variables
    n = _size(e, size)
    even = n // 2 * 2 if isinstance(n, int) else f.put(f"and i64 {n}, -2")

    def term(at: Operand, values: list[Operand]) -> list[Operand]:
        scope = e.open(f.region)
        e.bindings[last] = Binding(at, 0, scope)
        values = [r.term(v, lanes) for r, v in zip(rs, values, strict=True)]
        e.close()
        return values

    def both(at: Operand, values: list[Operand]) -> list[Operand]:
        e.open(f.region)
        values = term(at, term(f.add(at, 1), values))
        e.close()
        return values

    def inner(values: list[Operand]) -> list[Operand]:
        values = f.counted(0, even, 2, both, list(zip(types, values)))
        return f.counted(even, n, 1, term, list(zip(types, values)))

    carried = [(t, r.initial(lanes)) for t, r in zip(types, rs, strict=True)]
    return nest(e, outer, carried, inner)


def _along_lanes(rs: list[Reduction], _: int) -> list[Operand]:
    """A vector of running values each along the last variable, then the tree."""
    e, width = rs[0].e, rs[0].e.width
    types = [e.type_of(r.dtype, width) for r in rs]
    *outer, (last, size) = rs[0].variables
    n = _size(e, size)
    terms = set(toposort([r.body for r in rs], stop=lambda n: n.op == "reduce"))
    kept = [(inside, array) for inside, _, array in e.kept if inside in terms]
    # What an earlier reduction has kept: earlier, because this one needs its result.
    before = set(toposort([r.body for r in rs])) - terms
    known = [
        (renamed(inside, v, last), array)
        for inside, _, array in e.kept if inside in before
        for v in e.free(inside) if v.op == "red"
    ]  # fmt: skip
    known = [(node, array) for node, array in known if node in terms]

    def inner(values: list[Operand]) -> list[Operand]:
        full = int(n) // width * width if isinstance(n, int) else e.fn.put(f"and i64 {n}, {-width}")

        def block(masked: bool) -> Callable[[Operand, list[Operand]], list[Operand]]:
            def body(iv: Operand, running: list[Operand]) -> list[Operand]:
                mask = lane_mask(e, iv, str(n), width) if masked else None
                scope = e.open(e.fn.region, mask)
                e.bindings[last] = Binding(iv, width, scope)
                for node, array in known:
                    e.recall(node, array, iv)
                out = [r.term(v, width, mask) for r, v in zip(rs, running, strict=True)]
                for inside, array in kept:
                    e.keep(inside, array, iv)
                e.close()
                return out

            return body

        values = e.fn.counted(0, full, width, block(False), list(zip(types, values)))
        if isinstance(n, int) and n % width == 0:
            return values
        return e.fn.counted(full, n, width, block(True), list(zip(types, values)))

    carried = [(t, r.initial(width)) for t, r in zip(types, rs, strict=True)]
    running = nest(e, outer, carried, inner)
    return [tree(r, x, width) for r, x in zip(rs, running, strict=True)]


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


def _lane_arrays(rs: list[Reduction], lanes: int) -> list[Operand]:
    """`width` running vectors each in a small array, indexed by the last variable mod width."""
    e, width = rs[0].e, rs[0].e.width
    arrays = []
    for r in rs:
        t = e.type_of(r.dtype, lanes)
        array = e.fn.put(f"alloca [{width} x {t}], align 64", e.fn.root)
        arrays.append((r, t, array))
        for i in range(width):
            at = e.fn.put(f"getelementptr {t}, ptr {array}, i64 {i}")
            e.fn.do(f"store {t} {r.initial(lanes)}, ptr {at}, align 64")
    last = rs[0].variables[-1][0]

    def inner(_: list[Operand]) -> list[Operand]:
        slot = e.fn.put(f"and i64 {e.bindings[last].base}, {width - 1}")
        for r, t, array in arrays:
            at = e.fn.put(f"getelementptr {t}, ptr {array}, i64 {slot}")
            before = e.fn.put(f"load {t}, ptr {at}, align 64")
            e.fn.do(f"store {t} {r.term(before, lanes)}, ptr {at}, align 64", e.scope.region)
        return []

    nest(e, rs[0].variables, [], inner)
    results = []
    for r, t, array in arrays:
        parts = []
        for i in range(width):
            at = e.fn.put(f"getelementptr {t}, ptr {array}, i64 {i}")
            parts.append(e.fn.put(f"load {t}, ptr {at}, align 64"))
        results.append(combined(r, parts, lanes))
    return results


def combined(r: Reduction, parts: list[Operand], lanes: int) -> Operand:
    """The fixed tree over running values that are vectors."""
    while len(parts) > 1:
        half = len(parts) // 2
        parts = [r.combine(parts[i], parts[i + half], lanes) for i in range(half)]
    return parts[0]


def _extreme_position(rs: list[Reduction], lanes: int) -> list[Operand]:
    """Row-major position of the first extreme; the first NaN counts as the extreme."""
    return [_first_extreme(r, lanes) for r in rs]


def _first_extreme(r: Reduction, lanes: int) -> Operand:
    e = r.e
    t, it = e.type_of(r.dtype, lanes), e.type_of(dt.int64, lanes)
    bt = f"<{lanes} x i1>" if lanes else "i1"
    beats = "ogt" if r.kind == "argmax" else "olt"

    def inner(v: list[Operand]) -> list[Operand]:
        put = e.fn.put
        best, where, position = v
        x = e.widen(e.emit(r.body), lanes)
        if r.dtype.is_float:
            w = Writer(e.fn, e.fn.region, lanes)
            real = dt.float32 if is_half(r.dtype) else r.dtype
            a, b = (convert(w, r.dtype, real, v) for v in (x, best))
            ft = e.type_of(real, lanes)
            better = put(f"fcmp {beats} {ft} {a}, {b}")
            new_nan = put(f"fcmp uno {ft} {a}, {a}")
            old_nan = put(f"fcmp uno {ft} {b}, {b}")
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


def renamed(body: Node, old: Node, new: Node) -> Node:
    """An expression with another name for one of its variables."""
    result: dict[Node, Node] = {old: new}
    for n in toposort([body], stop=lambda n: n is old):
        if n is old:
            continue
        src = tuple(result[s] for s in n.src)
        if n.op == "load":
            terms = tuple((new if v is old else v, s) for v, s in n.arg.terms)
            terms = tuple(sorted(terms, key=lambda t: (t[0].op, t[0].arg)))
            access = n.arg._replace(terms=terms) if isinstance(n.arg, Access) else replace(
                n.arg, terms=terms
            )
            result[n] = make("load", n.dtype, (), src, access)
        else:
            result[n] = rebuild(n, src) if src else n
    return result[body]
