"""Reverse mode over tensors: the gradient of a tensor, as more graph.

Knows how gradients meet and in which order tensors are visited; must not know any operation but
the five that make tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import count

from ..ir.extent import Extent, symbolic_key
from ..ir.names import derive
from ..ir.node import Node, alu, at_site, loops, out, outs, read, reshape
from ..ir.recipe import Form, form
from ..ir.transform import TENSOR_OPS, body_nodes
from .factors import taken_out
from .running import through_scan
from .scalar import Opened, contributions
from .solve import adjoint
from .split import split
from .template import fill
from .together import Slices, together

Hook = Callable[[Node], Node]  # from a tensor's gradient to the one that is passed on


def gradient(root: Node, seed: Node, wrt: Sequence[Node]) -> list[Node | None]:
    """The derivative of Σ seed·root by each of some leaves; None where root does not depend on it.

    Σ over i of seed[i] · ∂root[i]/∂leaf[j], for each leaf a tensor of its shape and dtype, built of
    loops and reads like any other, so that it can be differentiated again.

    Raises TypeError for a root that is not of a floating type, ValueError for a seed of another
    shape or type and for a `wrt` that is no leaf.
    """
    for x in wrt:
        if x.op != "leaf":
            raise ValueError(
                f"derivatives are taken by leaf nodes, not by {x.op}: wrap it in leaf()"
            )
    return gradients([root], [seed], wrt)


def gradients(
    roots: Sequence[Node],
    seeds: Sequence[Node],
    wrt: Sequence[Node],
    hooks: Mapping[Node, Hook] | None = None,
    further: bool = True,
) -> list[Node | None]:
    """The derivative of Σ over some roots of seed·root, in one pass from all of them down.

    wrt: leaves, or any tensors of the graph. further: are tensors below those visited as well, as
    they must be where one of `wrt` is computed from another?
    hooks: by tensor, a function that is given its whole gradient and gives the one to go on with.
    """
    for root, seed in zip(roots, seeds, strict=True):
        _check(root, seed)
    return _Reverse(roots, hooks or {}, () if further else wrt).run(seeds, wrt)


def _check(root: Node, seed: Node) -> None:
    if not root.dtype.is_float:
        raise TypeError(f"{root.dtype.name} values have no derivative; cast to a floating type")
    if seed.shape != root.shape or seed.dtype is not root.dtype:
        raise ValueError(
            f"the seed is {seed.dtype.name} of shape {tuple(seed.shape)}, the root "
            f"{root.dtype.name} of shape {tuple(root.shape)}: they must agree"
        )


class _Reverse:
    """Gradients that wait for their tensor, visited from the roots down."""

    def __init__(
        self, roots: Sequence[Node], hooks: Mapping[Node, Hook], ends: Sequence[Node]
    ) -> None:
        self.roots, self.hooks, self.ends = roots, hooks, frozenset(ends)
        self.level: dict[Node, int] = {}  # greater than that of every tensor it is computed from
        self.forms: dict[Node, Form] = {}
        self.rank(list(roots))
        self.pending: dict[Node, list[Node]] = {}
        self.calls: dict[Node, dict[int, Node]] = {}  # gradients of results of a call, by number
        self.heap: list[tuple[int, int, int, int, Node]] = []
        self.ties = count()
        self.slices = Slices()

    def sources(self, tensor: Node) -> list[Node]:
        """The tracked tensors that one is computed from."""
        if tensor in self.ends:
            return []
        if tensor.op == "scan":
            return [t for t in body_nodes(tensor.src[0]) if t.op in TENSOR_OPS and t.tracked]
        if tensor.op == "loops":
            if tensor not in self.forms:
                self.forms[tensor] = form(tensor)
            return [t for t in self.forms[tensor].tensors if t.tracked]
        return [t for t in tensor.src if t.tracked]

    def rank(self, tensors: list[Node]) -> None:
        """Find the levels of tensors and of all that they are computed from."""
        stack = [t for t in tensors if t.tracked]
        while stack:
            tensor = stack[-1]
            if tensor in self.level:
                stack.pop()
                continue
            below = self.sources(tensor)
            missing = [t for t in below if t not in self.level]
            if missing:
                stack += missing
                continue
            stack.pop()
            self.level[tensor] = 1 + max((self.level[t] for t in below), default=0)

    def run(self, seeds: Sequence[Node], wrt: Sequence[Node]) -> list[Node | None]:
        found: dict[Node, list[Node]] = {x: [] for x in wrt}
        for root, seed in zip(self.roots, seeds, strict=True):
            self.add(root, seed)
        while self.heap:
            tensor = heappop(self.heap)[-1]
            if tensor.op == "call":
                self.back_through(tensor)
                continue
            total = add_all(together(self.pending.pop(tensor), self.slices))
            if tensor in self.hooks:
                total = self.hooks[tensor](total)
            self.slices.note(total)
            if tensor in found:
                found[tensor].append(total)
            if tensor not in self.ends:
                self.visit(tensor, total)
        return [add_all(found[x]) if found[x] else None for x in wrt]

    def add(self, tensor: Node, part: Node) -> None:
        """One more term of a tensor's gradient."""
        if not tensor.tracked or not tensor.dtype.is_float:
            return
        if tensor not in self.pending:
            self.wait(tensor)
        self.pending.setdefault(tensor, []).append(part)

    def wait(self, tensor: Node) -> None:
        """Have a tensor visited once all that it goes into has been."""
        helper = tensor not in self.level
        if helper:
            self.rank([tensor])
        # Of one level: first what the user's graph has, then what encloses the other.
        key = (-self.level[tensor], int(helper), -tensor.depth, next(self.ties))
        heappush(self.heap, (*key, tensor))

    def back_through(self, call: Node) -> None:
        """Pass the gradients of a call's results on by its own rule, all at once."""
        parts = call.arg(call, self.calls.pop(call))
        for source, part in zip(call.src, parts, strict=True):
            if part is not None:
                self.add(source, part)

    def visit(self, tensor: Node, total: Node) -> None:
        """Pass a tensor's gradient on to what it is computed from."""
        if tensor.op in ("leaf", "reshape"):
            source = tensor.src[0]
            self.add(source, reshape(total, source.shape))
        elif tensor.op == "result":
            call = tensor.src[1]
            if call not in self.calls:
                self.wait(call)
            self.calls.setdefault(call, {})[tensor.arg] = total
        elif tensor.op == "scan":
            for source, part in through_scan(tensor, total, through_loops):
                self.add(source, part)
        elif tensor.op == "loops":
            self.slices.note(tensor)
            for source, part in fill(tensor, self.forms[tensor], total, through_loops):
                part = taken_out(part)
                _asked_for(part, tensor)
                part.line = part.line or tensor.line
                derive(part, tensor, total, source)
                self.add(source, part)


def _asked_for(part: Node, tensor: Node) -> None:
    """Tell the checks in a gradient where the tensor's index was written, if in one place."""
    checks = [n for n in body_nodes(part.src[0]) if n.op == "checked"] if part.src else []
    if checks:
        sites = {id(n.site): n.site for n in body_nodes(tensor.src[0]) if n.site is not None}
        if len(sites) == 1:
            (site,) = sites.values()
            for n in checks:
                at_site(n, site)


def through_loops(
    tensor: Node, total: Node, value: Node | None = None
) -> list[tuple[Node, Node]]:
    """(tensor read, its gradient) for one loop nest: the adjoint of each of its reads.

    `value` is the tensor in which the graph knows its elements, if that is another.
    """
    opened = Opened(split(tensor))
    plain: dict[Node, list[Node]] = {}  # bodies without sums, joined in one loop nest
    result: list[tuple[Node, Node]] = []
    for reading, context, derivative in contributions(opened, value or tensor, total):
        source = reading.src[0]
        used = {v: opened.sizes[v] for v in (*opened.outs, *context) if v in opened.sizes}
        body = adjoint(reading, derivative, used)
        if body is None:
            continue
        if any(n.op == "reduce" for n in body_nodes(body)):
            result.append((source, loops(source.shape, body)))
        else:
            plain.setdefault(source, []).append(body)
    for source, bodies in plain.items():
        body = bodies[0]
        for other in bodies[1:]:
            body = alu("add", body, other)
        result.append((source, simple_loops(source.shape, body)))
    return result


def simple_loops(shape: tuple[int, ...], body: Node) -> Node:
    """loops(shape, body), or the tensor itself where the body only reads it in place."""
    if body.op == "read":
        tensor, *indices = body.src
        same = tensor.shape == shape and symbolic_key(tensor.shape) == symbolic_key(shape)
        if same and all(_is_own(ix, i, shape[i]) for i, ix in enumerate(indices)):
            return tensor
    return loops(shape, body)


def _is_own(index: Node, i: int, size: int) -> bool:
    if index is out(i):
        return True
    return size == 1 and not isinstance(size, Extent) and index.op == "const" and index.value == 0


def add_all(parts: Sequence[Node]) -> Node:
    """The sum of tensors of one shape, in one loop nest."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    variables = outs(first.ndim)
    body = read(first, *variables)
    for part in parts[1:]:
        body = alu("add", body, read(part, *variables))
    return loops(first.shape, body)
