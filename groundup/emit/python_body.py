"""One loop nest as Python source: where each value is computed, and how it is written.

A value is written once, in the innermost loop or branch that all its uses share, and only where
it is certainly needed, so that a guarded read outside a tensor is never performed.
"""

from __future__ import annotations

import builtins
import functools
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from keyword import iskeyword

from ..ir import dtype as dt
from ..ir.interval import Interval, intervals
from ..ir.names import names_of
from ..ir.node import Node
from ..ir.transform import TENSOR_OPS, body_nodes, halves
from .python_support import namespace

_LETTERS = "ijklmnpq"
_INLINE = 56  # characters: a longer expression gets a line of its own
_SIGNS = {
    "add": "+", "sub": "-", "mul": "*", "lt": "<", "le": "<=", "eq": "==", "ne": "!=",
    "and": "&", "or": "|", "xor": "^",
}  # fmt: skip
_COMPARE = ("lt", "le", "eq", "ne")
_BOOL_SIGNS = {"and": "and", "or": "or", "xor": "!="}


@dataclass(eq=False)
class _Block:
    """A run of statements: the innermost loop, a reduction's loop or a branch."""

    parent: _Block | None = None
    twin: _Block | None = None  # the other branch of the same `where`
    binds: frozenset[int] = frozenset()  # reduction variables
    certain: bool = False  # runs whenever its parent does
    depth: int = 0
    nodes: list[Node] = field(default_factory=list)  # what it computes, users first
    count: dict[Node, int] = field(default_factory=dict)  # uses in this block itself
    outer: set[Node] = field(default_factory=set)  # values that blocks inside use as well
    inside: dict[Node, tuple[_Block, ...]] = field(default_factory=dict)
    text: dict[Node, tuple[str, bool]] = field(default_factory=dict)  # expression, is it atomic

    def child(self, binds: frozenset[int] = frozenset(), certain: bool = False) -> _Block:
        return _Block(self, binds=binds, certain=certain, depth=self.depth + 1)


# ---- where values are computed -------------------------------------------------------------------


class _Plan:
    """The blocks of one body, with the nodes that each computes."""

    def __init__(self, body: Node, shape: tuple[int, ...]) -> None:
        self.range = intervals(body, shape)
        order = [n for n in body_nodes(body) if n.op not in TENSOR_OPS]
        self.free: dict[Node, frozenset[int]] = {}
        self.safe: dict[Node, bool] = {}
        for node in order:
            self._facts(node)
        self.root = _Block()
        self.uses: dict[Node, list[_Block]] = {body: [self.root]}
        for node in reversed(order):
            self._place(node)

    def _facts(self, node: Node) -> None:
        """The reduction variables a node depends on; whether computing it can fail."""
        scalars = [s for s in node.src if s.op not in TENSOR_OPS]
        free = frozenset().union(*(self.free[s] for s in scalars)) if scalars else frozenset()
        safe = all(self.safe[s] for s in scalars)
        if node.op == "red":
            free = frozenset((node.arg,))
        elif node.op == "reduce":
            free -= {uid for uid, _ in node.arg[1]}
            safe = safe and (node.arg[0] in ("sum", "prod") or _runs(node))
        elif node.op == "read":
            safe = safe and self.inside(node)
        elif node.op == "checked":
            safe = False
        self.free[node], self.safe[node] = free, safe

    def inside(self, node: Node) -> bool:
        """Is a read certainly inside its tensor?"""
        return all(
            self.range[ix][0] >= 0 and self.range[ix][1] < size
            for size, ix in zip(node.src[0].shape, node.src[1:], strict=True)
        )

    def _place(self, node: Node) -> None:
        """Choose the blocks that compute a node, and so the blocks that use its operands."""
        groups: dict[_Block, list[_Block]] = {}
        for block in self.uses.pop(node):
            groups.setdefault(self._scope(block, self.free[node]), []).append(block)
        for scope, users in groups.items():
            for block in self._blocks(scope, users, self.safe[node]):
                block.nodes.append(node)
                block.count[node] = users.count(block)
                if any(u is not block and _within(u, block) for u in users):
                    block.outer.add(node)
                self._operands(node, block)

    def _scope(self, block: _Block, free: frozenset[int]) -> _Block:
        """The innermost enclosing block that binds a variable of an expression."""
        while block.parent is not None and not (block.binds & free):
            block = block.parent
        return block

    def _blocks(self, scope: _Block, users: list[_Block], safe: bool) -> list[_Block]:
        """The outermost blocks where the value is certainly needed (or can do no harm)."""
        needed = set(users)
        pending = list(needed)
        while pending:
            block = pending.pop()
            if block is scope or block.parent in needed:
                continue
            if block.certain or block.twin in needed:
                assert block.parent is not None
                needed.add(block.parent)
                pending.append(block.parent)
        first = [b for b in needed if not any(b is not o and _within(b, o) for o in needed)]
        if len(first) > 1 and safe:
            common = first[0]
            while not all(_within(b, common) for b in first):
                assert common.parent is not None
                common = common.parent
            return [common]
        return sorted(first, key=lambda b: b.depth)

    def _operands(self, node: Node, block: _Block) -> None:
        if node.op == "where":
            then, other = block.child(), block.child()
            then.twin, other.twin = other, then
            block.inside[node] = (then, other)
            places = [block, then, other]
        elif node.op == "reduce":
            binds = frozenset(uid for uid, _ in node.arg[1])
            inner = block.child(binds, certain=_runs(node))
            block.inside[node] = (inner,)
            places = [inner]
        else:
            places = [block] * len(node.src)
        for operand, place in zip(node.src, places, strict=True):
            if operand.op not in TENSOR_OPS:
                self.uses.setdefault(operand, []).append(place)


def _within(block: _Block, outer: _Block) -> bool:
    b: _Block | None = block
    while b is not None and b.depth > outer.depth:
        b = b.parent
    return b is outer


def _runs(reduction: Node) -> bool:
    """Does a reduction have at least one term?"""
    return all(size > 0 for _, size in reduction.arg[1])


# ---- how they are written ------------------------------------------------------------------------


def body_source(node: Node, names: Mapping[Node, str]) -> str:
    """The Python function that computes one loop nest, scan or sort; `names` names the tensors."""
    if node.op == "argsort":
        return _sort_source(node, names)
    writer = _Writer(node, names)
    return writer.function()


def _sort_source(node: Node, names: Mapping[Node, str]) -> str:
    """Where the elements in order are along one axis; equals keep their order, NaN is greatest."""
    (source,), name = node.src, names[node]
    axis, descending, count = node.arg
    size, shape = int(source.shape[axis]), node.shape
    letters = [chr(ord("i") + i) for i in range(len(shape))]
    others = [letter for i, letter in enumerate(letters) if i != axis]
    wanted = "" if count is None else f"[:{int(count)}]"
    x = f"{names[source]}[{_position(source.shape, letters)}]"
    key = "(x != x, x if x == x else 0)"
    if descending:
        key = "(-(x != x), -x if x == x else 0)"
    lines = [
        f"def compute_{name}({name}, {names[source]}):",
        f'    """{name}: {node.dtype.name} of shape {_tuple(shape)}: positions in order."""',
    ]
    for other in others:
        extent = int(shape[letters.index(other)])
        lines.append("    " * len(lines[1:]) + f"for {other} in range({extent}):")
    indent = "    " * (1 + len(others))
    along = letters[axis]
    lines += [
        f"{indent}row = [{x} for {along} in range({size})]",
        f"{indent}keys = [{key} for x in row]",
        f"{indent}order = sorted(range({size}), key=keys.__getitem__)",
        f"{indent}for {along}, position in enumerate(order{wanted}):",
        f"{indent}    {name}[{_position(shape, letters)}] = position",
    ]
    return "\n".join(lines) + "\n"


class _Writer:
    """Writes the source of one loops node."""

    def __init__(self, node: Node, names: Mapping[Node, str]) -> None:
        self.node, self.names = node, names
        self.plan = _Plan(node.src[0], node.shape)
        self.lines: list[str] = []
        self.temporaries = 0
        self.fused: set[Node] = set()  # products that are not rounded before they are summed
        self.halves: set[Node] = set()  # those of bfloat16, where what is below 2⁻¹²⁶ is zero
        self.letters, self.reductions = _axis_names(node, names.values())

    def function(self) -> str:
        node, name = self.node, self.names[self.node]
        reads = [n for n in body_nodes(node.src[0]) if n.op in TENSOR_OPS]
        arguments = ", ".join([name, *(self.names[t] for t in reads)])
        self.lines.append(f"def compute_{name}({arguments}):")
        self.lines.append(f'    """{name}: {node.dtype.name} of shape {_tuple(node.shape)}."""')
        indent = 1
        for i, size in enumerate(node.shape):
            steps = f"range({int(size)})"
            if node.op == "scan" and node.arg == (i, True):
                steps = f"reversed({steps})"
            indent = self.loop(indent, self.letters[i], steps, node.ndim)
        if node.op == "scan":
            self.before(indent)
        self.block(self.plan.root, indent)
        position = _position(node.shape, self.letters)
        self.line(indent, f"{name}[{position}] = {self.value(node.src[0], self.plan.root)}")
        return "\n".join(self.lines) + "\n"

    def before(self, indent: int) -> None:
        """The element before, along the axis of a scan."""
        node, name = self.node, self.names[self.node]
        axis, reverse = node.arg
        here = self.letters
        first = int(node.shape[axis]) - 1 if reverse else 0
        before = [*here[:axis], f"({here[axis]} {'+' if reverse else '-'} 1)", *here[axis + 1 :]]
        start, _ = _literal(node.src[1].value)
        read = f"{name}[{_position(node.shape, before)}]"
        self.line(indent, f"before = {start} if {here[axis]} == {first} else {read}")

    def variable(self, uid: int, block: _Block | None) -> str:
        """The name of a reduction variable; one bound again inside its own loop gets another."""
        bound = 0
        while block is not None:
            bound += uid in block.binds
            block = block.parent
        return self.reductions.get(uid, f"r{uid}") + "x" * (bound - 1)

    def loop(self, indent: int, variable: str, steps: str, among: int) -> int:
        """One of several loops; how deep is what it repeats. Python nests 20 at most: of many,
        those that run once are none."""
        if among > 8 and "range(1)" in steps:
            self.line(indent, f"{variable} = 0")
            return indent
        self.line(indent, f"for {variable} in {steps}:")
        return indent + 1

    def line(self, indent: int, text: str) -> None:
        self.lines.append("    " * indent + text)

    def temporary(self) -> str:
        self.temporaries += 1
        return f"t{self.temporaries}"

    def block(
        self, block: _Block, indent: int, without: Sequence[tuple[Node, _Block]] = ()
    ) -> None:
        """The statements of one block, but for the choices that its caller writes."""
        for node in reversed(block.nodes):
            if (node, block) in without:
                continue
            if node.op == "where":
                self.where(node, block, indent)
            elif node.op == "reduce":
                self.reduce(node, block, indent)
            else:
                text, atomic = self.expression(node, block)
                once = block.count[node] == 1 and node not in block.outer
                if node.src and not (once and len(text) <= _INLINE):
                    name = self.temporary()
                    self.line(indent, f"{name} = {text}")
                    text, atomic = name, True
                block.text[node] = (text, atomic)

    def value(self, node: Node, block: _Block, atomic: bool = False) -> str:
        """A value that this block or one around it has computed, in brackets if asked for."""
        at: _Block | None = block
        while at is not None and node not in at.text:
            at = at.parent
        assert at is not None, node.op
        text, is_atomic = at.text[node]
        return f"({text})" if atomic and not is_atomic else text

    def where(self, node: Node, block: _Block, indent: int) -> None:
        """A choice; a long chain of them is written flat, since Python's nesting is limited."""
        name = self.temporary()
        chain = self.chain(node, block)
        block.text[node] = (name, True)
        if len(chain) <= 4:
            self.choice(node, block, indent, name, chain[1:])
            return
        self.line(indent, "while True:  # the first condition that holds")
        for test, at in chain:
            then, other = at.inside[test]
            self.line(indent + 1, f"if {self.value(test.src[0], at)}:")
            self.block(then, indent + 2)
            self.line(indent + 2, f"{name} = {self.value(test.src[1], then)}")
            self.line(indent + 2, "break")
            self.block(other, indent + 1, without=chain)
        self.line(indent + 1, f"{name} = {self.value(test.src[2], other)}")
        self.line(indent + 1, "break")

    def choice(
        self, node: Node, block: _Block, indent: int, name: str, chain: list[tuple[Node, _Block]]
    ) -> None:
        """One choice as if and else; the rest of its chain assigns to the same name."""
        then, other = block.inside[node]
        self.line(indent, f"if {self.value(node.src[0], block)}:")
        self.block(then, indent + 1)
        self.line(indent + 1, f"{name} = {self.value(node.src[1], then)}")
        self.line(indent, "else:")
        self.block(other, indent + 1, without=chain)
        if chain:
            self.choice(*chain[0], indent + 1, name, chain[1:])
        else:
            self.line(indent + 1, f"{name} = {self.value(node.src[2], other)}")

    def chain(self, node: Node, block: _Block) -> list[tuple[Node, _Block]]:
        """A choice, the choice that only its else branch needs, and so on, with their blocks."""
        chain = [(node, block)]
        while True:
            other = block.inside[node][1]
            node, block = node.src[2], other
            used_once = other.count.get(node) == 1 and node not in other.outer
            if node.op != "where" or not used_once or other.nodes[0] is not node:
                return chain
            chain.append((node, block))

    def reduce(self, node: Node, block: _Block, indent: int) -> None:
        kind, variables, order = node.arg[:3]
        (inner,) = block.inside[node]
        dtype, name = node.src[0].dtype, self.temporary()
        start, step, end = _reduction(kind, dtype, name)
        for text in start:
            self.line(indent, text)
        deep = indent
        for uid, size in variables:
            steps = f"range({int(size)})"
            deep = self.loop(deep, self.variable(uid, inner), steps, len(variables))
        if order == "dot":
            products = _products(node.src[0])
            self.fused.update(products)
            self.halves.update(products if halves(node.src[0]) else ())
        self.block(inner, deep)
        value = self.value(node.src[0], inner)
        if kind in ("argmax", "argmin") and not value.isidentifier():
            self.line(deep, f"{name}_x = {value}")
            value = f"{name}_x"
        for text in step:
            self.line(deep, text.replace("$", value))
        for text in end:
            self.line(indent, text)
        block.text[node] = (name, True)

    def expression(self, node: Node, block: _Block) -> tuple[str, bool]:
        """A node as an expression of its operands, and whether it needs no brackets."""
        op = node.op
        if op in ("const", "extent"):
            return _literal(int(node.value) if op == "extent" else node.value)
        if op == "out":
            return self.letters[node.arg], True
        if op == "carry":
            return "before", True
        if op == "red":
            return self.variable(node.arg, block), True
        if op == "axis":
            raise ValueError(f"axis {node.arg!r} is not closed: call .order(…) with it")
        if op == "read":
            return self.read(node, block), True
        if op == "checked":
            index, size = (self.value(s, block) for s in node.src)
            return f"at(({size},), {index})", True
        if op == "cast":
            return f"{node.dtype.name}({self.value(node.src[0], block)})", True
        return self.pointwise(node, block)

    def read(self, node: Node, block: _Block) -> str:
        tensor, indices = node.src[0], node.src[1:]
        if self.plan.inside(node):
            position = _position(tensor.shape, [self.value(ix, block, True) for ix in indices])
        else:
            arguments = ", ".join(self.value(ix, block) for ix in indices)
            position = f"at({_tuple(tensor.shape)}, {arguments})"
        return f"{self.names[tensor]}[{position}]"

    def pointwise(self, node: Node, block: _Block) -> tuple[str, bool]:
        op, dtype = node.op, node.src[0].dtype
        if op in _COMPARE or (op in _SIGNS and (dtype.kind != "b" or op in _BOOL_SIGNS)):
            sign = _BOOL_SIGNS[op] if dtype.kind == "b" and op in _BOOL_SIGNS else _SIGNS[op]
            if node in self.halves:
                return " * ".join(f"normal({self.value(s, block)})" for s in node.src), False
            text = f" {sign} ".join(self.value(s, block, True) for s in node.src)
            exact = op in (*_COMPARE, "and", "or", "xor") or dtype is dt.float64
            if exact or node in self.fused or self.fits(node):
                return text, False
            return f"{dtype.name}({text})", True
        if op in ("floordiv", "mod") and self.divides(node):
            sign = "//" if op == "floordiv" else "%"
            return f" {sign} ".join(self.value(s, block, True) for s in node.src), False
        if op == "not" and dtype.kind == "b":
            return f"not {self.value(node.src[0], block, True)}", False
        arguments = ", ".join(self.value(s, block) for s in node.src)
        return f"{op}_{dtype.name}({arguments})", True

    def fits(self, node: Node) -> bool:
        """Can int64 arithmetic certainly not wrap?"""
        known = [self.plan.range[s] for s in node.src if s in self.plan.range]
        if len(known) != 2:
            return False
        (a, b), (c, d) = known
        corners: Interval
        if node.op == "mul":
            corners = min(a * c, a * d, b * c, b * d), max(a * c, a * d, b * c, b * d)
        elif node.op == "add":
            corners = a + c, b + d
        else:
            corners = a - d, b - c
        return dt.int64.min <= corners[0] and corners[1] <= dt.int64.max

    def divides(self, node: Node) -> bool:
        """Is this an integer division by something that is certainly positive?"""
        divisor = self.plan.range.get(node.src[1])
        return divisor is not None and divisor[0] > 0


def _axis_names(node: Node, tensors: Iterable[str]) -> tuple[list[str], dict[int, str]]:
    """The names of a nest's variables: those that its user gave, where Python can take them and no
    other is called so."""
    outs, reductions = names_of(node)
    taken = {*tensors, *_python_names()}

    def own(name: str) -> str:
        text = unicodedata.normalize("NFKC", name)
        if not text.isidentifier() or _OURS.fullmatch(text):
            return ""
        text += "_" * iskeyword(text)
        free = text
        for k in count(2):
            if free not in taken:
                break
            free = f"{text}_{k}"
        taken.add(free)
        return free

    given = [own(name) for name in outs] or [""] * node.ndim
    letters = [name or own(_letter(i)) for i, name in enumerate(given)]
    inner = {uid: own(name) for uid, name in reductions.items()}
    return letters, {uid: name for uid, name in inner.items() if name}


@functools.cache
def _python_names() -> frozenset[str]:
    return frozenset((*namespace(), *dir(builtins), "before"))


_OURS = re.compile(r"[tr]\d+.*")  # temporaries and reduction variables


def _products(term: Node) -> list[Node]:
    """The product in a term of a `dot` reduction, which may stand behind guards."""
    while term.op == "where":
        term = term.src[1]
    return [term] if term.op == "mul" and term.dtype.is_float else []


def _reduction(kind: str, dtype: dt.DType, name: str) -> tuple[list[str], list[str], list[str]]:
    """Lines before, inside (where $ is the term) and after the loops of a reduction."""
    if kind == "sum" and dtype is dt.float64:
        return [f"{name} = []"], [f"{name}.append($)"], [f"{name} = exact_sum({name})"]
    if kind in ("sum", "prod"):
        sign, start = ("+=", 0) if kind == "sum" else ("*=", 1)
        first = f"{name} = {float(start) if dtype.is_float else start}"
        return [first], [f"{name} {sign} $"], [f"{name} = {dtype.name}({name})"]
    if dtype.kind == "b" and kind in ("max", "min"):
        word = "or" if kind == "max" else "and"
        return [f"{name} = {kind == 'min'}"], [f"{name} = {name} {word} ($)"], []
    missing = [f"if {name} is None:", f'    empty("{kind}")']
    if kind in ("max", "min"):
        better = "larger" if kind == "max" else "smaller"
        return [f"{name} = None"], [f"{name} = {better}({name}, $)"], missing
    best, count, before = f"{name}_best", f"{name}_count", f"before_{kind[3:]}"
    step = [
        f"if {name} is None or {before}($, {best}):",
        f"    {name}, {best} = {count}, $",
        f"{count} += 1",
    ]
    return [f"{name} = None", f"{count} = 0"], step, missing


def _literal(value: bool | int | float) -> tuple[str, bool]:
    if isinstance(value, float) and (math.isinf(value) or math.isnan(value)):
        return ("nan" if math.isnan(value) else "inf" if value > 0 else "-inf"), value > 0
    negative = value < 0 or (isinstance(value, float) and math.copysign(1.0, value) < 0)
    return repr(value), not negative


def _letter(i: int) -> str:
    return _LETTERS[i] if i < len(_LETTERS) else f"o{i}"


def _tuple(shape: tuple[int, ...]) -> str:
    return repr(tuple(int(s) for s in shape))


def _position(shape: tuple[int, ...], indices: list[str]) -> str:
    """Row-major position of an element, in Horner's form."""
    text = "0"
    for i, (size, index) in enumerate(zip(shape, indices, strict=True)):
        if i == 0 or text == "0":
            text = index
            continue
        text = f"({text})" if " + " in text else text
        text = f"{text} * {int(size)} + {index}"
    return text
