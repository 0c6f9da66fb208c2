"""Which graphs share one plan: a key that forgets buffers and the value of the runtime size.

Walked on every realisation, so it is written for speed. Must not know kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..ir.extent import Extent, Symbol
from ..ir.node import Node

_PASS = ("leaf", "detach", "result")


class Signature:
    """A graph's key, its buffers in order of appearance and its runtime size, if it has one."""

    __slots__ = ("key", "buffers", "order", "owned", "symbol", "n", "hosts")

    def __init__(self, roots: Sequence[Node]) -> None:
        self.buffers: list[Any] = []
        self.order: list[Node] = []
        self.owned: list[Node] = []  # values that something outside the graph may ask for again
        self.hosts: list[Node] = []  # host operations that have to run
        self.symbol: Symbol | None = None
        self.n: int | None = None
        symbolic = self._symbols(roots)
        self.key = self._number(roots, symbolic)

    def _symbols(self, roots: Sequence[Node]) -> bool:
        """Walk once: the nodes in order, and whether at most one runtime size occurs, nowhere
        twice in one shape (products of two runtime sizes have no place in a plan)."""
        order = self.order
        done: set[Node] = set()
        stack: list[Node | None] = list(reversed(roots))
        path: list[Node] = []
        symbols: set[Symbol] = set()
        double = False
        while stack:
            node = stack.pop()
            if node is None:
                order.append(path.pop())
                continue
            if node in done:
                continue
            done.add(node)
            for s in node.shape:
                if type(s) is not int and isinstance(s, Extent):
                    double = double or sum(isinstance(t, Extent) for t in node.shape) > 1
                    symbols.add(s.symbol)
            if node.op == "extent":
                symbols.add(node.value.symbol)
            elif node.op == "reduce":
                extents = [e for _, e in node.arg[1] if isinstance(e, Extent)]
                symbols.update(e.symbol for e in extents)
                double = double or len(extents) > 1
            if not node.src or node.cache is not None:
                order.append(node)
                continue
            if node.owner is not None:
                self.owned.append(node)
            path.append(node)
            stack.append(None)
            # Of a result only its value is computed; what its call was made of is for derivatives.
            sources = node.src if node.op != "result" else node.src[:1]
            for source in reversed(sources):
                if source not in done:
                    stack.append(source)
        if len(symbols) == 1 and not double:
            (self.symbol,) = symbols
            return True
        return False

    def _number(self, roots: Sequence[Node], symbolic: bool) -> tuple[Any, ...]:
        index: dict[Node, int] = {}
        seen: dict[Any, int] = {}
        # Variables of reductions by first use: they are numbered beyond those of what they are
        # computed from, and a weight has one more step behind it each time.
        number: dict[Any, int] = {}
        parts: list[Any] = []
        for node in self.order:
            op = node.op
            if op in _PASS and node.cache is None:
                index[node] = index[node.src[0]]
                continue
            shape: Any = node.shape
            if symbolic and shape:
                shape = self._shape(shape)
            if op == "buffer" or node.cache is not None:
                handle = node.value if op == "buffer" else node.cache
                slot = seen.get(handle)
                if slot is None:
                    slot = seen[handle] = len(self.buffers)
                    self.buffers.append(handle)
                entry: Any = ("buffer", node.dtype, shape, slot)
            else:
                arg = node.arg
                if op == "reduce":
                    sizes = (
                        self._shape(tuple(e for _, e in arg[1]))
                        if symbolic
                        else tuple(int(e) for _, e in arg[1])
                    )
                    variables = tuple(number.setdefault(i, len(number)) for i, _ in arg[1])
                    arg = (arg[0], variables, sizes, arg[2])
                elif op == "red":
                    arg = number.setdefault(arg, len(number))
                elif op == "extent":
                    if symbolic:
                        arg = ("N", node.value.coef)
                        self.n = node.value.base
                    else:
                        arg = int(node.value)
                elif op == "checked":  # what it says of a size is of the graph that runs
                    runtime = arg[2] if symbolic and arg[2] else arg[1]
                    sizes = tuple(s if type(s) is int else ("N", s[1]) for s in runtime)
                    arg = (arg[0], sizes)
                elif op == "host":
                    self.hosts.append(node)
                entry = (op, node.dtype, shape, arg, *[index[s] for s in node.src])
            index[node] = len(parts)
            parts.append(entry)
        results: tuple[Any, ...] = tuple(index[r] for r in roots)
        loose = self.symbol is not None and self.symbol.loose
        parts.append((*results, "loose") if loose else results)
        return tuple(parts)

    def _shape(self, shape: tuple[int, ...]) -> tuple[Any, ...]:
        out: list[Any] = []
        for s in shape:
            if isinstance(s, Extent):
                self.n = s.base
                out.append(("N", s.coef))
            else:
                out.append(s)
        return tuple(out)
