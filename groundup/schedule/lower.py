"""Bodies with reads → bodies with loads: where each element lies in memory.

A read becomes a pointer, an offset and a stride for every loop variable; an index that no stride
can express is computed. A read that its `where` protects is guarded; one at an index that comes
from data is checked. Must not know loops' order or tiles.
"""

from __future__ import annotations

from typing import Any

from ..ir import dtype as dt
from ..ir.interval import intervals
from ..ir.node import Node, alu, const, make, reduce, where
from ..ir.record import frozen
from ..ir.transform import TENSOR_OPS, body_nodes, rebuild, row_major, unravel
from .sizes import Size, Sym, add, mul, size_of, value, view_strides

# A check of an index: axis, shape, where it was written (see ir.outside).
Noted = tuple[int, tuple[int, ...], Any]


@frozen
class Memory:
    """Where a stored tensor lies: a reference the plan resolves, and how its axes run."""

    ref: object
    shape: tuple[Size, ...]
    strides: tuple[Size, ...]


@frozen
class Raw:
    """An access before parameters are assigned; becomes an emit Access.

    part: 0 or 1, of two elements that lie together from here on; -1 where there is nothing to tell
    """

    ref: object
    offset: Size
    terms: tuple[tuple[Node, Size], ...]
    computed: bool
    guarded: bool
    part: int = -1


def affine(node: Node) -> tuple[dict[Node, int], int] | None:
    """({variable: coefficient}, constant) of an affine index, else None."""
    op = node.op
    if op in ("out", "red"):
        return {node: 1}, 0
    if op == "const":
        return {}, int(node.value)
    if op in ("add", "sub"):
        a, b = affine(node.src[0]), affine(node.src[1])
        if a is None or b is None:
            return None
        sign = 1 if op == "add" else -1
        terms = dict(a[0])
        for v, c in b[0].items():
            terms[v] = terms.get(v, 0) + sign * c
        return {v: c for v, c in terms.items() if c}, a[1] + sign * b[1]
    if op == "neg":
        a = affine(node.src[0])
        return None if a is None else ({v: -c for v, c in a[0].items()}, -a[1])
    if op == "mul":
        x, y = node.src
        if x.op == "const":
            x, y = y, x
        a = affine(x)
        if y.op != "const" or a is None:
            return None
        return {v: c * y.value for v, c in a[0].items() if y.value}, a[1] * int(y.value)
    return None


class Lowering:
    """Rewrites one body. `memory` maps stored tensors to where they are.

    parts: note which reads ask for one of two elements that lie together
    """

    def __init__(
        self, shape: tuple[int, ...], body: Node, memory: dict[Node, Memory], trusted: bool = False,
        checks: list[Noted] | None = None, parts: bool = False,
    ) -> None:  # fmt: skip
        self.memory, self.shape, self.parts = memory, shape, parts
        self.trusted = trusted  # the loops themselves keep every read inside
        self.ranges = intervals(body, shape)
        # Loops of no iteration read nothing.
        self.empty = 0 in shape or any(
            n.op == "reduce" and any(int(e) == 0 for _, e in n.arg[1]) for n in body_nodes(body)
        )
        self.known: dict[tuple[Node, Node | None], Node] = {}
        self.exposed: dict[Node, bool] = {}
        # Axis, shape, line of each; the bodies of one kernel number theirs together.
        self.checks = checks if checks is not None else []
        self.result = self.lower(body, None)

    def _in_range(self, read: Node) -> bool:
        return self.empty or all(
            self.ranges[ix][0] >= 0 and self.ranges[ix][1] < int(size)
            for ix, size in zip(read.src[1:], read.src[0].shape)
        )

    def _exposed(self, node: Node) -> bool:
        """Does a read inside need the protection of the `where` around it?"""
        exposed = self.exposed
        if node not in exposed:
            for n in body_nodes(node):  # operands first
                if n in exposed:
                    continue
                if n.op == "checked":
                    exposed[n] = True  # what is not used is not checked
                elif n.op == "read":
                    exposed[n] = not self._in_range(n) or any(exposed[s] for s in n.src[1:])
                else:
                    exposed[n] = n.op not in TENSOR_OPS and any(exposed[s] for s in n.src)
        return exposed[node]

    def lower(self, node: Node, guard: Node | None) -> Node:
        """The node with loads for reads, given that it is only used where `guard` holds."""
        first = self._key(node, guard)
        known = self.known
        stack = [first]  # not Python's own: an expression may be as deep as a user's loop is long
        while stack:
            key = stack[-1]
            if key not in known:
                missing = [k for k in self._operands(*key) if k not in known]
                if missing:
                    stack.extend(reversed(missing))
                    continue
                known[key] = self._lower(*key)
            stack.pop()
        return known[first]

    def _key(self, node: Node, guard: Node | None) -> tuple[Node, Node | None]:
        return node, guard if guard is not None and self._exposed(node) else None

    def _operands(self, node: Node, guard: Node | None) -> list[tuple[Node, Node | None]]:
        """What is lowered before a node; the branches of a `where` after its condition."""
        if node.op == "read":
            return []
        if node.op != "where":
            return [self._key(s, guard) for s in node.src]
        condition = self._key(node.src[0], guard)
        if condition not in self.known:
            return [condition]
        cond = self.known[condition]
        inverse = alu("not", cond)
        yes = cond if guard is None else alu("and", guard, cond)
        no = inverse if guard is None else alu("and", guard, inverse)
        return [condition, self._key(node.src[1], yes), self._key(node.src[2], no)]

    def _lower(self, node: Node, guard: Node | None) -> Node:
        if node.op == "read":
            return self._load(node, guard)
        src = tuple([self.known[key] for key in self._operands(node, guard)])
        if node.op == "where":
            return where(*src)
        if not node.src:
            if node.op == "extent":
                return make("param", dt.int64, (), (), size_of(node.value))
            return node
        if node.op == "checked":
            self.checks.append((*node.arg[:2], node.site))
            return self._checked(src[0], src[1], guard)
        if node.op == "reduce":
            kind, variables, order = node.arg[:3]
            return reduce(kind, variables, src[0], order)
        return rebuild(node, src)

    def _load(self, node: Node, guard: Node | None) -> Node:
        tensor, indices = node.src[0], node.src[1:]
        place, indices = self._place(tensor, indices)
        offset: Size = 0
        terms: dict[Node, Size] = {}
        computed: Node | None = None
        inside = self._in_range(node)
        protected = guard is not None and not inside
        for axis, (ix, stride, size) in enumerate(zip(indices, place.strides, place.shape)):
            parts = affine(ix)
            if parts is not None:
                if guard is None and not self._sure(ix, size):
                    raise IndexError(self._outside(node))
                coefficients, constant = parts
                offset = add(offset, mul(stride, constant))
                for v, c in coefficients.items():
                    terms[v] = add(terms.get(v, 0), mul(stride, c))
                continue
            ix = self._index(node, axis, ix, size, guard)
            part = alu("mul", ix, make("param", dt.int64, (), (), stride)) if stride != 1 else ix
            computed = part if computed is None else alu("add", computed, part)
        src: tuple[Node, ...] = () if computed is None else (computed,)
        if protected:
            assert guard is not None
            src = (*src, guard)
        pairs = tuple(sorted(((v, s) for v, s in terms.items() if s != 0), key=_variable_order))
        which = _part(place, indices) if self.parts else -1
        first = add(offset, -1) if which > 0 else offset
        raw = Raw(place.ref, first, pairs, computed is not None, protected, which)
        return make("load", node.dtype, (), src, raw)

    def _sure(self, ix: Node, size: Size) -> bool:
        """Does an affine index stay within an axis, as far as the loops alone tell?"""
        if self.trusted or self.empty or ix not in self.ranges:
            return True
        low, high = self.ranges[ix]
        return low >= 0 and high < value(size)

    def _outside(self, read: Node) -> str:
        ranges = ", ".join("{}…{}".format(*self.ranges[ix]) for ix in read.src[1:])
        return (
            f"a read at [{ranges}] can leave a tensor of shape {tuple(read.src[0].shape)}; "
            f"guard it with where(…) or give the outside a value"
        )

    def _index(self, read: Node, axis: int, ix: Node, size: Size, guard: Node | None) -> Node:
        """A computed index: lowered, and checked when the loops alone do not keep it inside."""
        lowered = self.lower(ix, guard)
        if self._sure(ix, size):
            return lowered
        self.checks.append((axis, tuple(int(s) for s in read.src[0].shape), read.site))
        return self._checked(lowered, make("param", dt.int64, (), (), size), guard)

    def _checked(self, index: Node, size: Node, guard: Node | None) -> Node:
        """The newest check, on an index; where the guard does not hold there is none."""
        if guard is not None:
            index = where(guard, index, const(0, dt.int64))
            if type(size.arg) is not int or size.arg == 0:  # which has no position 0
                size = where(guard, size, const(1, dt.int64))
        return make("checked", dt.int64, (), (index, size), len(self.checks))

    def _place(self, tensor: Node, indices: tuple[Node, ...]) -> tuple[Memory, tuple[Node, ...]]:
        """Memory and indices of a stored tensor, or of what a reshape shows of one."""
        place = self.memory.get(tensor)
        if place is not None:
            return place, indices
        assert tensor.op == "reshape", tensor.op
        base = tensor
        while base.op == "reshape":
            base = base.src[0]
        place = self.memory[base]
        shape = tuple(size_of(s) for s in tensor.shape)
        strides = view_strides(place.shape, place.strides, shape)
        if strides is None and not any(isinstance(s, Sym) for s in shape):
            # A runtime size was shown as a number, which it is then. No stride of these is runtime.
            strides = view_strides(tuple(map(value, place.shape)), place.strides, shape)
        if strides is not None:
            return Memory(place.ref, shape, strides), indices
        at = tuple(unravel(row_major(tensor.shape, indices), base.shape))
        return place, at


def _part(place: Memory, indices: tuple[Node, ...]) -> int:
    """Which of two elements that lie together a read asks for; -1 where there are no such two."""
    if not indices or indices[-1].op != "const" or place.shape[-1] != 2 or place.strides[-1] != 1:
        return -1
    return int(indices[-1].value) if indices[-1].value in (0, 1) else -1


def _variable_order(item: tuple[Node, Size]) -> tuple[str, int]:
    return item[0].op, item[0].arg
