"""A graph that was written for one element of a batch, written for all of them.

Every tensor that depends on what stands for an element gets one more axis in front; where such a
tensor is read, the batch's own element of it is. Must not know what is mapped, or why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ..ir import node as ir
from ..ir.extent import product
from ..ir.node import Host, Node, at_site, loops, out, outs, read
from ..ir.recipe import moved
from ..ir.transform import TENSOR_OPS, body_nodes, rebuild, toposort
from ..runtime import Buffer, allocate

Within = Callable[[], AbstractContextManager[Any]]


class Batch:
    """The elements of one batch; remembers what has been written for all of them."""

    def __init__(
        self, size: int, given: Mapping[Node, Node], within: Within = nullcontext,
        made: Callable[[list[Node]], None] = lambda nodes: None,
    ) -> None:  # fmt: skip
        """given: by what stands for one element of a tensor, the tensor of all, its axis first.

        within: around each derivative that a user's function is asked for, of one element.
        made: called with what has been written for all of them.
        """
        self.size, self.within, self.made = size, within, made
        self.known: dict[Node, Node] = dict(given)
        self.apart: set[Node] = set()  # known to be the same for all elements

    def mapped(self, roots: Sequence[Node]) -> list[Node | None]:
        """The tensors of all elements' values, axis first; None for one that is the same for all.

        What marks a place of derivatives (a leaf) is left out: derivatives by one element have
        been taken where it was one.
        """
        for node in toposort(roots, stop=self._settled):
            if node in self.known or node in self.apart:
                continue
            if not any(s in self.known for s in node.src):
                self.apart.add(node)
            elif node.op in TENSOR_OPS:
                new = self.known[node] = self._tensor(node)
                if new.line is None:
                    new.line = node.line
            else:
                self.known[node] = node  # of a body: written anew with its tensor
        found = [self.known.get(r) for r in roots]
        self.made([n for n in found if n is not None])
        return found

    def _settled(self, node: Node) -> bool:
        return node in self.known or node in self.apart or node.cache is not None

    def everywhere(self, tensor: Node) -> Node:
        """A tensor that is the same for all elements, once for each of them."""
        return loops((self.size, *tensor.shape), read(tensor, *outs(tensor.ndim + 1)[1:]))

    def of(self, tensor: Node) -> Node:
        """A tensor of all elements, whether it is the same for them or not."""
        return self.known[tensor] if tensor in self.known else self.everywhere(tensor)

    def _tensor(self, node: Node) -> Node:
        shape = (self.size, *node.shape)
        if node.op == "loops":
            return loops(shape, self._body(node))
        if node.op == "scan":
            axis, reverse = node.arg
            return ir.scan(shape, axis + 1, self._body(node), node.src[1], reverse)
        if node.op == "argsort":
            axis, descending, count = node.arg
            return ir.argsort(self.known[node.src[0]], axis + 1, descending, count)
        if node.op == "host":
            function, k = node.arg
            arg = (self._host(function, node.src), k)
            return ir.make("host", node.dtype, shape, tuple(map(self.of, node.src)), arg)
        if node.op == "call":
            sources = [self.known.get(s, s) for s in node.src]
            return ir.call(_Rule(self, node), sources)
        if node.op == "result":
            value, call = node.src
            return ir.result(self.of(value), self.known.get(call, call), node.arg)
        source = self.known[node.src[0]]
        if node.op == "reshape":
            return ir.reshape(source, shape)
        return rebuild(node, (source,)) if node.op == "detach" else source

    def _body(self, node: Node) -> Node:
        """A body over one more axis. Ids of its reductions are moved above those in what it reads,
        by as little as possible: what is written twice is one expression."""
        nodes = body_nodes(node.src[0])
        read_here = [n for n in nodes if n.op in TENSOR_OPS and n in self.known]
        by = max([self.known[t].depth - t.depth for t in read_here], default=0)
        new: dict[Node, Node] = {}
        for n in nodes:
            if n.op in TENSOR_OPS:
                new[n] = self.known.get(n, n)
            elif n.op == "out":
                new[n] = out(n.arg + 1)
            elif by > 0 and n.op == "red":
                new[n] = ir.red(moved("red", n.arg, by))
            elif not n.src:
                new[n] = n
            else:
                src = tuple([new[s] for s in n.src])
                if n.op == "read" and n.src[0] in self.known:
                    new[n] = at_site(read(src[0], out(0), *src[1:]), n.site)
                elif by > 0 and n.op == "reduce":
                    new[n] = ir.make("reduce", n.dtype, (), src, moved("reduce", n.arg, by))
                else:
                    new[n] = rebuild(n, src)
        return new[node.src[0]]

    def _host(self, function: Host, sources: Sequence[Node]) -> Host:
        """A host operation on one more axis in front."""
        if getattr(function.run, "leading", False):  # it takes any number of them
            return function
        return Host(function.name, EACH, (function.run, *function.options))


class Each:
    """Runs a host operation for the elements of a batch, one after the other."""

    by = "each element by itself"

    def __call__(
        self, memory: Sequence[Buffer], kinds: Sequence[Any], run: Any, *options: Any
    ) -> list[Buffer]:
        size = int(kinds[0][0][0])
        one = [(tuple(shape[1:]), dtype) for shape, dtype in kinds]
        raw = [m.read_bytes() for m in memory]
        joined: list[bytearray] = []
        for i in range(max(size, 1)):  # of none: run once for the number of results
            given = []
            for whole, (shape, dtype) in zip(raw, one, strict=True):
                count = product(shape) * dtype.itemsize
                piece = allocate(max(1, count))
                piece.write_bytes(whole[i * count : (i + 1) * count] or bytes(count))
                given.append(piece)
            made = run(given, one, *options)
            joined = joined or [bytearray() for _ in made]
            for part, result in zip(joined, made, strict=True):
                part += result.read_bytes() if i < size else b""
        results = []
        for part in joined:
            buffer = allocate(max(1, len(part)))
            buffer.write_bytes(bytes(part))
            results.append(buffer)
        return results


EACH = Each()


class _Rule:
    """The derivative of a function that was called for one element, for all of them."""

    def __init__(self, batch: Batch, call: Node) -> None:
        self.batch, self.call = batch, call
        self.name = getattr(call.arg, "name", "a function")
        self.linear = getattr(call.arg, "linear", False)

    def __call__(self, call: Node, totals: Mapping[int, Node]) -> list[Node | None]:
        batch, one = self.batch, {}
        for k, total in totals.items():
            holder = ir.buffer(object(), total.shape[1:], total.dtype)
            holder.tracked, holder.cut = total.tracked, total.cut
            one[k] = holder
            batch.known[holder] = total
        with batch.within():
            parts = self.call.arg(self.call, one)
        batch.mapped([p for p in parts if p is not None])
        found: list[Node | None] = []
        for source, part in zip(self.call.src, parts, strict=True):
            if part is None:
                found.append(None)
            elif source in batch.known:
                found.append(batch.of(part))
            else:
                found.append(_summed(batch.of(part)))
        return found


def _summed(tensor: Node) -> Node:
    """The sum over the first axis."""
    rest = outs(tensor.ndim - 1)
    (r,), bound = ir.fresh(tensor.depth, tensor.shape[:1])
    return loops(tensor.shape[1:], ir.reduce("sum", bound, read(tensor, r, *rest)))
