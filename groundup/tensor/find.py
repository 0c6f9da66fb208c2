"""Finds the operation that made a NaN or an infinity, by computing a graph tensor by tensor.

Must not know when it is looked for (see anomaly), or derivatives beyond where a term of one came
from.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ..emit.elements import load
from ..ir.dtype import DType
from ..ir.extent import product
from ..ir.names import derived_from
from ..ir.node import Node
from ..ir.scalar import Number
from ..ir.transform import COMPUTED, TENSOR_OPS, body_nodes, toposort
from ..runtime import Buffer, pool
from . import storage as store
from .cause import Step, advice, cause
from .core import Core
from .describe import nonfinite, span
from .engine import compute
from .errors import line_text, shape_text
from .misuse import named

_CHUNK = 1 << 16  # elements looked at together
_PASS = ("reshape", "leaf", "detach", "result")


class Bad(NamedTuple):
    """How many elements of a tensor are NaN, how many infinite."""

    nan: int
    inf: int

    def __str__(self) -> str:
        each = [f"{n} {name}" for n, name in ((self.nan, "NaN"), (self.inf, "infinite")) if n]
        return " and ".join(each) or "all finite"


class Finding(NamedTuple):
    """A tensor with a NaN or an infinity, and how it came there."""

    node: Node
    bad: Bad
    place: tuple[int, ...]  # of the first one
    value: float
    step: Step | None  # the operation on single numbers that made it
    name: str
    line: str | None
    forward: str | None  # the operation whose derivative this is a part of; "" if that is not known
    inputs: list[tuple[Node, Bad]]

    def __str__(self) -> str:
        """In one line."""
        where = (
            f"{self.value} at {list(self.place)} of a tensor of shape {shape_text(self.node.shape)}"
        )
        if self.node.op == "buffer":
            return f"the data itself holds {where}"
        made = f"{self._of()}{self.name} made {where}"
        return made + (f", at {self.line}" if self.line else "")

    def _of(self) -> str:
        """What it is a part of, to begin a sentence with."""
        if self.forward is None:
            return ""
        return f"in the gradient of {self.forward}, " if self.forward else "in a derivative, "

    def told(self) -> str:
        """In several lines: what, where, of what, why, the user's line."""
        dtype, shape = self.node.dtype, shape_text(self.node.shape)
        lines = [
            f"{self._of()}{self.name} made {self.value}: {self.bad} of {product(self.node.shape)} "
            f"elements of a {dtype.name} tensor of shape {shape}, the first at {list(self.place)}"
        ]
        if self.step is not None:
            lines.append(f"  there, {self.step}")
            helps = advice(self.step, self.forward or "")
            if helps:
                lines.append(f"  {helps}")
        for node, bad in self.inputs[:_INPUTS]:
            of = f"{node.dtype.name} {shape_text(node.shape)}"
            lines.append(f"  computed from {of}{_span(node)}, {bad}")
        if self.forward:
            lines.append("  that operation:")
        return "\n".join(lines) + line_text(self.line)


_INPUTS = 6  # that a message lists


@named
def first_nonfinite(x: Core) -> str | None:
    """Which operation first made a NaN or an infinity on the way to x, with its line; else None.

    Every tensor that x was computed from (as far back as x remembers) is computed and looked at,
    sources first; data that holds one is named as well. `gu.detect_anomaly` looks while a program
    runs.

    >>> bad = (gu.tensor([1.0, 0.0]).log() + 1).sum()
    >>> print(gu.first_nonfinite(bad))  # doctest: +ELLIPSIS
    log made -inf at [1] of a tensor of shape (2,)...
    """
    store.asked("first_nonfinite()")
    found = Walk().first([x.node], data=True)
    return None if found is None else str(found)


class Walk:
    """Looks at tensors, each once, and remembers what it saw."""

    def __init__(self, nan: bool = True, inf: bool = True) -> None:
        self.kinds = nan, inf
        self.seen: weakref.WeakKeyDictionary[Node, Bad] = weakref.WeakKeyDictionary()

    def first(
        self, roots: Sequence[Node], data: bool = False, known: Iterable[Node] = ()
    ) -> Finding | None:
        """The first tensor, sources first, with a NaN or an infinity that its inputs do not have,
        nor a constant in what computes it. What is computed stays in memory, as in any graph.

        data: memory that holds one counts as well. known: what belongs to no derivative; the rest
        does, if there are any of them.
        """
        forward = set(known)
        with pool.lock:
            order = toposort(roots, stop=lambda n: n.op == "buffer" or n in self.seen)
            users = _users(order) if forward else {}
            for node in order:
                if node.op not in TENSOR_OPS or not node.dtype.is_float or node.op in _PASS:
                    continue
                if node.op == "call" or (node.op == "buffer" and not data):
                    continue
                bad = self.bad(node)
                if not self.counts(bad):
                    continue
                inputs = [] if node.op == "buffer" else [(t, self.bad(t)) for t in _inputs(node)]
                if node.op == "buffer" or self.new(node, bad, [b for _, b in inputs]):
                    belongs = users.get(node) if node not in forward else None
                    return self.finding(node, bad, inputs, belongs)
        return None

    def counts(self, bad: Bad) -> bool:
        """Is there something that is looked for?"""
        return bool((bad.nan and self.kinds[0]) or (bad.inf and self.kinds[1]))

    def new(self, node: Node, bad: Bad, inputs: list[Bad]) -> bool:
        """Are there NaN or infinite elements which neither inputs nor constants have?"""
        body = [] if node.op == "host" else body_nodes(node.src[0])
        given = [n.value for n in body if n.op == "const" and n.dtype.is_float]
        nan = any(b.nan for b in inputs) or any(map(math.isnan, given))
        inf = any(b.inf for b in inputs) or any(map(math.isinf, given))
        return self.counts(Bad(0 if nan else bad.nan, 0 if nan or inf else bad.inf))

    def bad(self, node: Node) -> Bad:
        """What is NaN or infinite in a tensor, which is computed if need be."""
        found = self.seen.get(node) if node.op != "buffer" else None
        if found is None:
            found = Bad(*nonfinite(_memory(node), int(product(node.shape)), node.dtype))
            if node.op != "buffer":  # memory may be written to
                self.seen[node] = found
        return found

    def finding(
        self, node: Node, bad: Bad, inputs: list[tuple[Node, Bad]], user: Node | None
    ) -> Finding:
        position, value = self._first(node)
        place = []
        for size in reversed(node.shape):
            place.append(position % int(size))
            position //= int(size)
        at = tuple(place[::-1])
        step = cause(node, at, _element)
        origin = derived_from(user) if user is not None else None
        line = node.line or (user.line if user is not None else None)
        name = step.op if step is not None else name_of(node)
        forward = None if user is None else "" if origin is None else name_of(origin)
        return Finding(node, bad, at, value, step, name, line, forward, inputs)

    def _first(self, node: Node) -> tuple[int, float]:
        """The first element that is looked for: (row-major position, value)."""
        nan, inf = self.kinds
        start = 0
        for values in _chunks(_memory(node), node.dtype, int(product(node.shape))):
            for i, v in enumerate(values):
                if (v != v and nan) or (inf and v in (math.inf, -math.inf)):
                    return start + i, float(v)
            start += len(values)
        raise AssertionError("the kernel that counts them has seen one")


# ---- tensors and their memory --------------------------------------------------------------------


def _behind(node: Node) -> Node:
    """The tensor whose row-major elements are this one's."""
    while node.op in _PASS and node.cache is None:
        node = node.src[0]
    return node


def _memory(node: Node) -> Buffer:
    """The elements of a tensor; what had to be computed stays with it."""
    node = _behind(node)
    found = node.value if node.op == "buffer" else node.cache
    if found is None:
        (found,) = compute([node])
        node.cache = found
    assert isinstance(found, Buffer)
    return found


def _inputs(node: Node) -> list[Node]:
    """The floating tensors that one is computed from."""
    sources = node.src if node.op == "host" else [
        t for s in node.src for t in body_nodes(s) if t.op in TENSOR_OPS
    ]  # fmt: skip
    return [t for t in dict.fromkeys(map(_behind, sources)) if t.dtype.is_float]


def _chunks(buffer: Buffer, dtype: DType, size: int) -> Iterator[list[Number]]:
    for start in range(0, size, _CHUNK):
        count = min(_CHUNK, size - start)
        at = buffer.address + start * dtype.itemsize
        part = Buffer.from_object(at, count * dtype.itemsize, owner=buffer)
        yield load(part, dtype, count)


def _element(tensor: Node, position: int) -> Number:
    memory, item = _memory(tensor), tensor.dtype.itemsize
    part = Buffer.from_object(memory.address + position * item, item, owner=memory)
    return load(part, tensor.dtype, 1)[0]


def _users(order: Sequence[Node]) -> dict[Node, Node]:
    """For each tensor of a derivative, the nearest one computed from it (or itself) of which it is
    known what it is the derivative of."""
    users: dict[Node, Node] = {}
    for node in reversed(order):
        if node.op not in TENSOR_OPS:
            continue
        mine = node if derived_from(node) is not None else users.get(node, node)
        users[node] = mine
        for t in (t for s in node.src for t in body_nodes(s) if t.op in TENSOR_OPS):
            users.setdefault(t, mine)
    return users


def _span(node: Node) -> str:
    """The least and the greatest of the finite elements."""
    found = span(_memory(node), int(product(node.shape)), node.dtype)
    return "" if found is None else f" from {found[0]:.6g} to {found[1]:.6g}"


def name_of(node: Node) -> str:
    """What an operation is called: the functions in its body."""
    if node.op == "host":
        return str(node.arg[0].name)
    if node.op not in COMPUTED:
        return node.op
    dull = {"read", "out", "red", "const", "extent", "cast", "where", "checked", *TENSOR_OPS}
    names = [
        n.arg[0] if n.op == "reduce" else n.op
        for n in body_nodes(node.src[0])
        if n.op not in dull and (n.dtype.is_float or n.op == "reduce")
    ]
    return " · ".join(dict.fromkeys(names)) or "a copy"
