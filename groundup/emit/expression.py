"""Scalar expressions → LLVM IR, scalar or vector, each placed at the outermost loop it can live in.

A *scope* is an open loop (or the function itself). A node is written into the deepest scope among
its operands', so invariant work leaves inner loops by itself, and equal nodes are written once.
Knows one kernel's body; must not know graphs, tensors or why the loops look as they do.
"""

from __future__ import annotations

from typing import NamedTuple

from ..ir import dtype as dt
from ..ir.dtype import DType
from ..ir.node import Node
from ..ir.record import fresh, record
from ..ir.transform import body_nodes, toposort
from . import moves
from .builder import Function, If, Operand, Region
from .kernel import Access, Stride, Word
from .operations import Writer, literal, storage_type, write_operation

_NESTED = 100  # from there on, operands are written before they are asked for
_OWN_ORDER = frozenset(("load", "reduce", "eq", "ne"))
_CHOICES = 4  # loads of which one is chosen by its address


@record
class Scope:
    """An open loop: where its instructions go and what has been written there."""

    region: Region
    depth: int
    memo: list[object] = fresh(default_factory=list)
    mask: Operand | None = None  # lanes that exist, when this scope vectorises a ragged end


class Value(NamedTuple):
    """A written value: its name, element type, lanes (0 = scalar) and home."""

    name: Operand
    dtype: DType
    lanes: int
    scope: Scope


class Binding(NamedTuple):
    """A loop variable: the scalar that holds it (of lane 0 when vectorised)."""

    base: Operand
    lanes: int
    scope: Scope


# Where it is a dict: (function, name in the text) → the loop variable that the name holds, noted
# for those who show the text.
noted: dict[tuple[str, Operand], Node] | None = None


class _Noted(dict[Node, Binding]):
    """Bindings that are noted."""

    def __init__(self, function: str, names: dict[tuple[str, Operand], Node]) -> None:
        self.function, self.names = function, names

    def __setitem__(self, variable: Node, binding: Binding) -> None:
        self.names.setdefault((self.function, binding.base), variable)
        super().__setitem__(variable, binding)


class Emitter:
    """Writes expressions into one function. Loop variables are bound in `self.bindings`."""

    def __init__(self, function: Function, width: int) -> None:
        self.fn = function
        self.width = width
        root = Scope(function.root, 0)
        self.scopes: list[Scope] = [root]
        self.bindings: dict[Node, Binding] = {} if noted is None else _Noted(function.name, noted)
        self.memo: dict[object, Value] = {}
        self.nested = 0  # calls of `emit` inside one another
        # The reductions of all bodies, by their variables: those that one loop can serve.
        self.reductions: dict[object, list[Node]] = {}
        self.begun: list[Node] = []  # reductions being written, the innermost last
        self.kept: list[tuple[Node, Node, Operand]] = []  # see Nest.kept; with an array for each
        self.stream = False  # whole vectors go past the caches, to aligned places
        self.ahead: frozenset[Word] = frozenset()  # pointers to tensors larger than the caches
        self._params: dict[Word, Operand] = {}
        self._free: dict[Node, frozenset[Node]] = {}
        self._inner: dict[Node, frozenset[Node]] = {}

    # ---- scopes and parameters -----------------------------------------------------------------

    @property
    def scope(self) -> Scope:
        return self.scopes[-1]

    def open(self, region: Region, mask: Operand | None = None) -> Scope:
        """Enter a loop body; instructions go there until `close`."""
        scope = Scope(region, self.scope.depth + 1, mask=mask)
        self.scopes.append(scope)
        self.fn.region = region
        return scope

    def close(self) -> None:
        """Leave the innermost loop body and forget what was written in it."""
        scope = self.scopes.pop()
        for key in scope.memo:
            del self.memo[key]
        self.fn.region = self.scope.region

    def word(self, word: Stride, kind: str = "i64") -> Operand:
        """A parameter's value, loaded once at the head of the kernel."""
        if not isinstance(word, Word):
            return str(word)
        name = self._params.get(word)
        if name is None:
            root = self.fn.root
            address = self.fn.put(f"getelementptr i64, ptr %args, i64 {word.position}", root)
            name = self._params[word] = self.fn.put(f"load {kind}, ptr {address}, align 8", root)
        return name

    def pointer(self, word: Word) -> Operand:
        return self.word(word, "ptr")

    # ---- types ---------------------------------------------------------------------------------

    @staticmethod
    def type_of(dtype: DType, lanes: int, storage: bool = False) -> str:
        t = storage_type(dtype) if storage else dtype.llvm
        return f"<{lanes} x {t}>" if lanes else t

    def _remember(self, key: object, value: Value) -> Value:
        self.memo[key] = value
        value.scope.memo.append(key)
        return value

    def _deepest(self, values: list[Value]) -> Scope:
        scope = self.scopes[0]
        for v in values:
            if v.scope.depth > scope.depth:
                scope = v.scope
        return scope

    def widen(self, value: Value, lanes: int) -> Operand:
        """The value in every lane."""
        if value.lanes == lanes:
            return value.name
        if value.name[0] != "%":
            return f"splat ({value.dtype.llvm} {value.name})"
        key = ("splat", value.name, lanes)
        known = self.memo.get(key)
        if known is not None:
            return known.name
        ty, vt = value.dtype.llvm, self.type_of(value.dtype, lanes)
        region = value.scope.region
        a = self.fn.put(f"insertelement {vt} poison, {ty} {value.name}, i64 0", region)
        b = self.fn.put(
            f"shufflevector {vt} {a}, {vt} poison, <{lanes} x i32> zeroinitializer", region
        )
        self.memo[key] = Value(b, value.dtype, lanes, value.scope)
        value.scope.memo.append(key)
        return b

    # ---- expressions ---------------------------------------------------------------------------

    def emit(self, node: Node) -> Value:
        """Write a scalar expression; returns where its value is."""
        known = self.memo.get(node)
        if known is not None:
            return known
        op = node.op
        if op == "const":
            return Value(literal(node.value, node.dtype), node.dtype, 0, self.scopes[0])
        if op == "param":
            return Value(self.word(node.arg), node.dtype, 0, self.scopes[0])
        if op in ("out", "red"):
            return self._remember(node, self._variable(node))
        if op == "load":
            return self._remember(node, self._load(node))
        if op == "reduce":
            from .reduction import emit_reduction

            return self._remember(node, emit_reduction(self, node))
        if op == "where":
            chosen = self._chosen(node)
            if chosen is not None:
                return self._remember(node, chosen)
        if op in ("eq", "ne"):
            lane = self._which_lane(node)
            if lane is not None:
                return self._remember(node, lane)
        self.nested += 1
        if self.nested > _NESTED:
            self._operands(node)
        values = [self.emit(s) for s in node.src]
        self.nested -= 1
        scope = self._deepest(values)
        if op == "checked":
            return self._remember(node, self._checked(node, values, scope))
        lanes = max(v.lanes for v in values)
        names = [self.widen(v, lanes) for v in values]
        writer = Writer(self.fn, scope.region, lanes)
        name = write_operation(writer, op, node, names)
        return self._remember(node, Value(name, node.dtype, lanes, scope))

    def _operands(self, root: Node) -> None:
        """Write what a node is made of, the innermost first: expressions may be deeper than Python
        calls can be. What decides itself where its operands are written is left to `emit`."""
        stack: list[tuple[Node, bool]] = [(s, False) for s in reversed(root.src)]
        while stack:
            node, ready = stack.pop()
            if node in self.memo or not node.src or node.op in _OWN_ORDER:
                continue
            if node.op == "where" and all(s.op in ("where", "load") for s in node.src[1:]):
                continue
            if ready:
                self.emit(node)
                continue
            stack.append((node, True))
            stack.extend((s, False) for s in reversed(node.src))

    def _variable(self, node: Node) -> Value:
        binding = self.bindings[node]
        if not binding.lanes:
            return Value(binding.base, dt.int64, 0, binding.scope)
        region, n = binding.scope.region, binding.lanes
        vt = f"<{n} x i64>"
        start = self.widen(Value(binding.base, dt.int64, 0, binding.scope), n)
        iota = "<" + ", ".join(f"i64 {i}" for i in range(n)) + ">"
        return Value(
            self.fn.put(f"add nsw {vt} {start}, {iota}", region), dt.int64, n, binding.scope
        )

    def _which_lane(self, node: Node) -> Value | None:
        """Whether a vectorised variable is a number that is the same for all lanes: that lane's
        number, found before the vectors. None for any other comparison."""
        for variable, other in (node.src, node.src[::-1]):
            binding = self.bindings.get(variable)
            if binding is None or not binding.lanes:
                continue
            x = self.emit(other)
            if x.lanes:
                return None
            n, fn = binding.lanes, self.fn
            scope = binding.scope if binding.scope.depth > x.scope.depth else x.scope
            region, vt = scope.region, f"<{n} x i32>"
            lane = fn.put(f"sub i64 {x.name}, {binding.base}", region)
            fn.declare("i64 @llvm.umin.i64(i64, i64)")
            lane = fn.put(f"call i64 @llvm.umin.i64(i64 {lane}, i64 {n})", region)
            lane = fn.put(f"trunc i64 {lane} to i32", region)
            a = fn.put(f"insertelement {vt} poison, i32 {lane}, i64 0", region)
            b = fn.put(
                f"shufflevector {vt} {a}, {vt} poison, <{n} x i32> zeroinitializer", region
            )
            iota = "<" + ", ".join(f"i32 {i}" for i in range(n)) + ">"
            name = fn.put(f"icmp {node.op} {vt} {b}, {iota}", region)
            return Value(name, dt.bool_, n, scope)
        return None

    def free(self, node: Node) -> frozenset[Node]:
        """Loop variables a node depends on."""
        known = self._free.get(node)
        if known is None:
            for n in body_nodes(node):  # operands first
                if n not in self._free:
                    self._free[n] = self._free_of(n)
            known = self._free[node]
        return known

    def _free_of(self, node: Node) -> frozenset[Node]:
        if node.op in ("out", "red"):
            return frozenset((node,))
        names: frozenset[Node] = frozenset().union(*(self._free[s] for s in node.src))
        if node.op == "load":
            names = names.union(v for v, _ in node.arg.terms)
        if node.op == "reduce":
            bound = {i for i, _ in node.arg[1]}
            names = frozenset(v for v in names if v.op != "red" or v.arg not in bound)
        return names

    def inner(self, node: Node) -> frozenset[Node]:
        """The reductions that an expression is made of."""
        known = self._inner.get(node)
        if known is None:
            known = frozenset(n for n in toposort([node]) if n.op == "reduce")
            self._inner[node] = known
        return known

    def _checked(self, node: Node, values: list[Value], scope: Scope) -> Value:
        """An index that comes from data: when it is out of range the status block (parameter 0)
        gets the check's number, the index and the size, and position 0 is read instead."""
        lanes = max(v.lanes for v in values)
        x, size = (self.widen(v, lanes) for v in values)
        t, bt, region = (
            self.type_of(dt.int64, lanes),
            "i1" if not lanes else f"<{lanes} x i1>",
            scope.region,
        )
        put = self.fn.put
        bad = put(f"icmp uge {t} {x}, {size}", region)
        if lanes and self.mask() is not None:
            bad = put(f"and {bt} {bad}, {self.mask()}", region)
        zero = "zeroinitializer" if lanes else "0"
        safe = put(f"select {bt} {bad}, {t} {zero}, {t} {x}", region)
        any_bad, worst = bad, x
        if lanes:
            any_bad = self.across("or", "i1", lanes, bad, region)
            worst = put(f"select {bt} {bad}, {t} {x}, {t} zeroinitializer", region)
            worst = self.across("umax", "i64", lanes, worst, region)
        count = values[1].name
        if values[1].lanes:  # not the same for all of them
            count = put(f"select {bt} {bad}, {t} {size}, {t} zeroinitializer", region)
            count = self.across("umax", "i64", lanes, count, region)
        report = If(any_bad, Region(region.depth + 1))
        status = self.pointer(Word(0))
        for i, what in enumerate((self.word(node.arg), worst, count)):
            at = put(f"getelementptr i64, ptr {status}, i64 {i}", report.then)
            self.fn.do(f"store i64 {what}, ptr {at}, align 8", report.then)
        region.items.append(report)
        return Value(safe, dt.int64, lanes, scope)

    def across(self, op: str, element: str, lanes: int, x: Operand, region: Region) -> Operand:
        """All lanes of an integer vector combined (or, umax, …)."""
        name = f"@llvm.vector.reduce.{op}.v{lanes}{element}"
        self.fn.declare(f"{element} {name}(<{lanes} x {element}>)")
        return self.fn.put(f"call {element} {name}(<{lanes} x {element}> {x})", region)

    # ---- memory --------------------------------------------------------------------------------

    def _sum(self, parts: list[Value]) -> Value:
        """Sum of scalar positions, outermost first, each partial sum in its own scope."""
        parts = sorted((p for p in parts if p.name != "0"), key=lambda p: p.scope.depth)
        if not parts:
            return Value("0", dt.int64, 0, self.scopes[0])
        total = parts[0]
        for part in parts[1:]:
            if total.name[0] != "%" and part.name[0] != "%":
                total = Value(str(int(total.name) + int(part.name)), dt.int64, 0, total.scope)
                continue
            key = ("add", total.name, part.name)
            known = self.memo.get(key)
            if known is None:
                scope = self._deepest([total, part])
                name = self.fn.put(f"add nsw i64 {total.name}, {part.name}", scope.region)
                known = self.memo[key] = Value(name, dt.int64, 0, scope)
                scope.memo.append(key)
            total = known
        return total

    def _term(self, base: Operand, scope: Scope, stride: Stride) -> Value:
        """variable · stride as a scalar in the variable's scope."""
        step = self.word(stride)
        if step == "1" or base == "0" or step == "0":
            return Value("0" if step == "0" else base, dt.int64, 0, scope)
        if base[0] != "%" and step[0] != "%":
            return Value(str(int(base) * int(step)), dt.int64, 0, scope)
        key = ("mul", base, step)
        known = self.memo.get(key)
        if known is None:
            name = self.fn.put(f"mul nsw i64 {base}, {step}", scope.region)
            known = self._remember(key, Value(name, dt.int64, 0, scope))
        return known

    def position(
        self, access: Access, computed: Value | None
    ) -> tuple[Value, Stride, int, Value | None]:
        """(scalar position of lane 0, stride between lanes, lanes, per-lane computed part)."""
        parts = [Value(self.word(access.offset), dt.int64, 0, self.scopes[0])]
        lane_stride: Stride = 0
        lanes = 0
        for variable, stride in access.terms:
            binding = self.bindings[variable]
            if binding.lanes and stride != 0:
                lanes, lane_stride = binding.lanes, stride
            parts.append(self._term(binding.base, binding.scope, stride))
        if computed is not None:
            if computed.lanes:
                lanes = computed.lanes
            else:
                parts.append(computed)
                computed = None
        return self._sum(parts), lane_stride, lanes, computed

    def mask(self) -> Operand | None:
        """The mask of existing lanes, if the vectorised loop has a ragged end."""
        for scope in reversed(self.scopes):
            if scope.mask is not None:
                return scope.mask
        return None

    def _load(self, node: Node) -> Value:
        access: Access = node.arg
        sources = list(node.src)
        guard = self.emit(sources.pop()) if access.guarded else None
        computed = self.emit(sources.pop()) if access.computed else None
        position, stride, lanes, per_lane = self.position(access, computed)
        both = access.part >= 0 and stride == 2 and per_lane is None
        if access.part > 0 and not both:
            position = self._sum([position, Value("1", dt.int64, 0, self.scopes[0])])
        scope = self._deepest([position, *(v for v in (guard, computed) if v is not None)])
        for variable, s in access.terms:
            if s != 0 and self.bindings[variable].scope.depth > scope.depth:
                scope = self.bindings[variable].scope
        if guard is not None and guard.lanes:
            lanes = guard.lanes
        dtype, ty = node.dtype, storage_type(node.dtype)
        base = self.pointer(access.pointer)
        region = scope.region
        if not lanes:
            index = position.name
            if guard is not None:
                index = self.fn.put(f"select i1 {guard.name}, i64 {index}, i64 0", region)
            address = moves.element(self.fn, base, index, ty, region)
            name = self.fn.put(f"load {ty}, ptr {address}, align {dtype.itemsize}", region)
            name = self._from_storage(name, dtype, 0, region)
            if guard is not None:
                zero = literal(0, dtype)
                name = self.fn.put(
                    f"select i1 {guard.name}, {dtype.llvm} {name}, {dtype.llvm} {zero}", region
                )
            return Value(name, dtype, 0, scope)
        if guard is not None and not guard.lanes and per_lane is None and stride in (1, 2):
            position = self._or_first(guard, position, scope)
        mask = self._lane_mask(lanes, guard, region)
        size = dtype.itemsize
        if both:
            from .parts import load_part

            name = load_part(self, node, position, lanes, mask, scope)
        elif per_lane is None and stride == 1:
            address = moves.element(self.fn, base, position.name, ty, region)
            name = moves.load(self.fn, ty, lanes, address, mask, size, region)
            if mask is None and access.pointer in self.ahead:
                moves.ask(self.fn, address, lanes * size, region)
        elif per_lane is None and stride == 0:
            # The guard alone varies between lanes: read once, if any lane reads.
            indices = self.lane_indices(position, 0, lanes, None, region)
            name = moves.gather(self.fn, base, indices, ty, lanes, mask, size, region)
        else:
            indices = self.lane_indices(position, stride, lanes, per_lane, region)
            name = moves.gather(self.fn, base, indices, ty, lanes, mask, size, region)
        return Value(self._from_storage(name, dtype, lanes, region), dtype, lanes, scope)

    def _or_first(self, guard: Value, position: Value, scope: Scope) -> Value:
        """A position where the guard holds, else that of the first element: to read nothing beyond
        what memory there is takes a processor a hundred times as long."""
        key = ("guarded", guard.name, position.name)
        known = self.memo.get(key)
        if known is not None and known.scope is scope:
            return known
        text = f"select i1 {guard.name}, i64 {position.name}, i64 0"
        return self._remember(key, Value(self.fn.put(text, scope.region), dt.int64, 0, scope))

    def _chosen(self, node: Node) -> Value | None:
        """One of several loads, where a vectorised loop does not decide which: one load, from an
        address that is chosen outside that loop. None for any other choice."""
        leaves: list[Node] = []
        asked: set[Node] = set()
        seen = {node}
        stack = [node]
        while stack:
            n = stack.pop()
            if n.op == "where":
                asked.add(n.src[0])
                new = [s for s in dict.fromkeys(n.src[1:]) if s not in seen]
                seen.update(new)
                stack += new
            elif n.op == "load" and not (n.arg.computed or n.arg.guarded):
                leaves.append(n)
            else:
                return None
        if len(leaves) < _CHOICES:
            return None
        if any(self.bindings[v].lanes for c in asked for v in self.free(c)):
            return None
        walks = {
            tuple((v, s) for v, s in n.arg.terms if s != 0 and self.bindings[v].lanes)
            for n in leaves
        }  # fmt: skip
        walk = walks.pop()
        if walks or len(walk) > 1 or any(s != 1 for _, s in walk):
            return None
        at = self._address(node)
        dtype, ty = node.dtype, storage_type(node.dtype)
        if not walk:
            region = at.scope.region
            name = self.fn.put(f"load {ty}, ptr {at.name}, align {dtype.itemsize}", region)
            return Value(self._from_storage(name, dtype, 0, region), dtype, 0, at.scope)
        base, lanes, inner = self.bindings[walk[0][0]]
        scope = inner if inner.depth > at.scope.depth else at.scope
        address = moves.element(self.fn, at.name, base, ty, scope.region)
        name = moves.load(
            self.fn, ty, lanes, address, self.mask(), dtype.itemsize, scope.region
        )
        name = self._from_storage(name, dtype, lanes, scope.region)
        return Value(name, dtype, lanes, scope)

    def _address(self, node: Node) -> Value:
        """The address of a load, or of the chosen one of several, for lane 0 at position 0 of the
        vectorised loop."""
        key = ("address", node)
        known = self.memo.get(key)
        if known is not None:
            return known
        if node.op == "load":
            access: Access = node.arg
            parts = [Value(self.word(access.offset), dt.int64, 0, self.scopes[0])]
            if access.part > 0:
                parts.append(Value("1", dt.int64, 0, self.scopes[0]))
            for variable, stride in access.terms:
                binding = self.bindings[variable]
                if not binding.lanes:
                    parts.append(self._term(binding.base, binding.scope, stride))
            position = self._sum(parts)
            scope = position.scope
            base, ty = self.pointer(access.pointer), storage_type(node.dtype)
            name = moves.element(self.fn, base, position.name, ty, scope.region)
        else:
            asked = self.emit(node.src[0])
            yes, no = self._address(node.src[1]), self._address(node.src[2])
            scope = self._deepest([asked, yes, no])
            name = self.fn.put(
                f"select i1 {asked.name}, ptr {yes.name}, ptr {no.name}", scope.region
            )
        return self._remember(key, Value(name, dt.int64, 0, scope))

    def keep(self, node: Node, array: Operand, at: Operand) -> None:
        """Write a vector of values into an array of the kernel's own, from element `at` on."""
        name = self.widen(self.emit(node), self.width)
        place = moves.element(self.fn, array, at, node.dtype.llvm, self.fn.region)
        t = self.type_of(node.dtype, self.width)
        self.fn.do(f"store {t} {name}, ptr {place}, align {node.dtype.itemsize}")

    def recall(self, node: Node, array: Operand, at: Operand) -> None:
        """Take a vector of values of a node from where they were kept."""
        place = moves.element(self.fn, array, at, node.dtype.llvm, self.fn.region)
        t = self.type_of(node.dtype, self.width)
        name = self.fn.put(f"load {t}, ptr {place}, align {node.dtype.itemsize}")
        self._remember(node, Value(name, node.dtype, self.width, self.scope))

    def _lane_mask(self, lanes: int, guard: Value | None, region: Region) -> Operand | None:
        mask = self.mask()
        if guard is None:
            return mask
        wide = self.widen(guard, lanes)
        if mask is None:
            return wide
        return self.fn.put(f"and <{lanes} x i1> {mask}, {wide}", region)

    def lane_indices(
        self, position: Value, stride: Stride, lanes: int, per_lane: Value | None, region: Region
    ) -> Operand:
        vt = f"<{lanes} x i64>"
        total = self.widen(position, lanes)
        if stride != 0:
            step = self.widen(Value(self.word(stride), dt.int64, 0, self.scopes[0]), lanes)
            iota = "<" + ", ".join(f"i64 {i}" for i in range(lanes)) + ">"
            scaled = self.fn.put(f"mul nsw {vt} {step}, {iota}", region)
            total = self.fn.put(f"add nsw {vt} {total}, {scaled}", region)
        if per_lane is not None:
            total = self.fn.put(f"add nsw {vt} {total}, {self.widen(per_lane, lanes)}", region)
        return total

    def _from_storage(self, name: Operand, dtype: DType, lanes: int, region: Region) -> Operand:
        if dtype.kind != "b":
            return name
        vt = self.type_of(dtype, lanes, storage=True)
        return self.fn.put(f"icmp ne {vt} {name}, zeroinitializer" if lanes else
                           f"icmp ne i8 {name}, 0", region)  # fmt: skip

    def store(self, value: Value, access: Access, computed: Value | None = None) -> None:
        """Write an element (or a vector of them) in the innermost open scope."""
        position, stride, lanes, per_lane = self.position(access, computed)
        if access.part > 0:
            position = self._sum([position, Value("1", dt.int64, 0, self.scopes[0])])
        dtype, ty = value.dtype, storage_type(value.dtype)
        region = self.scope.region
        base = self.pointer(access.pointer)
        name = self.widen(value, lanes) if lanes else value.name
        vt = self.type_of(dtype, lanes, storage=True)
        if dtype.kind == "b":
            name = self.fn.put(f"zext {self.type_of(dtype, lanes)} {name} to {vt}", region)
        align = dtype.itemsize
        if not lanes:
            address = moves.element(self.fn, base, position.name, ty, region)
            self.fn.do(f"store {ty} {name}, ptr {address}, align {align}", region)
            return
        mask = self.mask()
        if per_lane is None and stride == 1:
            address = moves.element(self.fn, base, position.name, ty, region)
            if mask is None and self.stream:
                moves.stream(self.fn, ty, lanes, name, address, align, region)
            else:
                moves.store(self.fn, ty, lanes, name, address, mask, align, region)
            return
        indices = self.lane_indices(position, stride, lanes, per_lane, region)
        moves.scatter(self.fn, base, indices, ty, lanes, name, mask, align, region)
