"""Names for all axes of a graph: an axis is one variable with one name through all tensors that
are read along it.

Must not know kernels, nor how names are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import count

from ..ir.extent import Extent
from ..ir.names import names_of
from ..ir.node import Node
from ..ir.transform import COMPUTED, TENSOR_OPS, body_nodes

LETTERS = "ijklmnpqrstuvwxyz"
Key = tuple[Node, str, int]  # axis i of a tensor ("out"), or a reduction's variable in it ("red")


class _Axis:
    """Variables that are one axis."""

    def __init__(self, key: Key, name: str, weak: str) -> None:
        self.keys: dict[Node, list[Key]] = {key[0]: [key]}
        self.name, self.weak = name, weak  # as its user called it; as its size is called
        self.count = 1


class Axes:
    """The axes of a graph's tensors, sources first.

    of: the name of each axis of a tensor. inner: of each reduction's variable in it, by id.
    Where a plain variable is an index of a read, it runs along that axis: both are one. Two
    variables that one tensor runs over together stay apart, and so do those that users gave
    different names.
    """

    def __init__(self, order: Sequence[Node]) -> None:
        self._axis: dict[Key, _Axis] = {}
        self._beside: dict[Node, dict[int, set[Key]]] = {}
        self._keys: dict[Node, list[Key]] = {}
        for node in order:
            self._meet(node)
        for node in order:
            for a, b in _same(node):
                self._join(a, b)
        self._fresh = _letters(order)
        self._called(order)
        self.of = {n: [self._name((n, "out", i)) for i in range(n.ndim)] for n in order}
        self.inner = {
            n: {uid: self._name((n, "red", uid)) for uid in self._beside[n]}
            for n in order if n.op in ("loops", "scan")
        }  # fmt: skip

    def fresh(self) -> str:
        """A name that no axis has yet."""
        return next(self._fresh)

    def _meet(self, node: Node) -> None:
        """Every variable of a tensor as an axis of its own."""
        given, inner = names_of(node) if node.op in COMPUTED else ((), {})
        keys: list[Key] = [(node, "out", i) for i in range(node.ndim)]
        for i, (key, size) in enumerate(zip(keys, node.shape, strict=True)):
            name = given[i] if i < len(given) else ""
            self._axis[key] = _Axis(key, name, _symbol(size))
        beside = self._beside[node] = {}
        if node.op in ("loops", "scan"):
            body = body_nodes(node.src[0])
            free = free_of(body)
            for n in body:
                for uid, size in n.arg[1] if n.op == "reduce" else ():
                    key = (node, "red", uid)
                    if uid not in beside:
                        beside[uid] = set()
                        keys.append(key)
                        self._axis[key] = _Axis(key, inner.get(uid, ""), _symbol(size))
                    beside[uid] |= {(node, v.op, v.arg) for v in free[n.src[0]]} - {key}
        self._keys[node] = keys

    def _apart(self, a: Key, b: Key) -> bool:
        """Do two variables of one tensor run over their values together?"""
        if a[1] == b[1] == "out":
            return a != b
        beside = self._beside[a[0]]
        return any(x[1] == "red" and y in beside[x[2]] for x, y in ((a, b), (b, a)))

    def _join(self, a: Key, b: Key) -> None:
        """Make one axis of two, if they can be one."""
        one, other = self._axis[a], self._axis[b]
        if one is other or (one.name and other.name and one.name != other.name):
            return
        if one.count < other.count:
            one, other = other, one
        for node, keys in other.keys.items():
            if any(self._apart(x, y) for x in keys for y in one.keys.get(node, ())):
                return
        for named, unnamed in ((one, other), (other, one)):
            if named.name and not unnamed.name and self._taken(unnamed, named):
                return
        for node, keys in other.keys.items():
            one.keys.setdefault(node, []).extend(keys)
            self._axis.update(dict.fromkeys(keys, one))
        one.count += other.count
        one.name, one.weak = one.name or other.name, one.weak or other.weak

    def _taken(self, axis: _Axis, named: _Axis) -> bool:
        """Is there another axis of that name beside this one?"""
        return any(
            other.name == named.name and other is not named
            for key in self._around(axis) if (other := self._axis[key]) is not axis
        )  # fmt: skip

    def _around(self, axis: _Axis) -> Iterator[Key]:
        """The variables that a tensor runs over together with this axis."""
        for node, keys in axis.keys.items():
            for other in self._keys[node]:
                if any(self._apart(key, other) for key in keys):
                    yield other

    def _called(self, order: Sequence[Node]) -> None:
        """Name what nobody has named: by its size, or by a letter, from the results on."""
        for node in reversed(order):
            for key in self._keys[node]:
                axis = self._axis[key]
                if axis.name or (key[1] == "out" and node.shape[key[2]] == 1):
                    continue
                axis.name = axis.weak
                if not axis.name or self._taken(axis, axis):
                    axis.name = next(self._fresh)

    def _name(self, key: Key) -> str:
        axis = self._axis[key]
        return axis.name or "·"


def _symbol(size: int) -> str:
    """What a runtime size is called: the batch of a captured function."""
    return size.symbol.name if isinstance(size, Extent) and size.coef == 1 else ""


def free_of(body: Iterable[Node]) -> dict[Node, frozenset[Node]]:
    """The variables that each part of a body depends on."""
    free: dict[Node, frozenset[Node]] = {}
    for n in body:
        if n.op in TENSOR_OPS:
            continue
        found: frozenset[Node] = frozenset().union(
            *(free[s] for s in n.src if s.op not in TENSOR_OPS)
        )
        if n.op in ("out", "red"):
            found = frozenset((n,))
        elif n.op == "reduce":
            ids = {uid for uid, _ in n.arg[1]}
            found = frozenset(v for v in found if v.op == "out" or v.arg not in ids)
        free[n] = found
    return free


def _same(node: Node) -> Iterator[tuple[Key, Key]]:
    """The variables of a tensor that walk along an axis of one that it is made of."""
    if node.op in ("loops", "scan"):
        for n in body_nodes(node.src[0]):
            if n.op == "read":
                for d, index in enumerate(n.src[1:]):
                    if index.op in ("out", "red") and n.src[0].shape[d] != 1:
                        yield (node, index.op, index.arg), (n.src[0], "out", d)
    elif node.src:
        source = node.src[0]
        ends = [[i for i, s in enumerate(t.shape) if s != 1] for t in (node, source)]
        pairs = list(zip(*ends, strict=False))
        whole = len(ends[0]) == len(ends[1])
        for way in (pairs, list(zip(*(e[::-1] for e in ends), strict=False))):
            for i, j in way:  # a reshape keeps what is left, and what is right, of its change
                if node.shape[i] != source.shape[j]:
                    whole = False
                    break
                yield (node, "out", i), (source, "out", j)
            if whole:
                return


def _letters(order: Sequence[Node]) -> Iterator[str]:
    """Names that no user has given, each once."""
    found = [names_of(n) for n in order if n.op in COMPUTED]
    given = {name for outs, inner in found for name in (*outs, *inner.values())}
    for k in count():
        for letter in LETTERS:
            name = letter if k == 0 else f"{letter}{k}"
            if name not in given:
                yield name
