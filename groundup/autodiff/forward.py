"""Forward mode over tensors: how results change when what they are computed from changes.

The same tables as in reverse mode, read the other way: on single numbers a derivative is its own
transpose. Must not know how tangents come about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..ir.node import (
    Node,
    alu,
    carry,
    cast,
    const,
    fresh,
    leaf,
    loops,
    out,
    read,
    reduce,
    reshape,
    scan,
    where,
)
from ..ir.recipe import placeholder
from ..ir.transform import TENSOR_OPS, body_nodes, free_variables, product_of, substitute, toposort
from .gradient import add_all, gradient, simple_loops
from .rules import RULES, number
from .running import neighbour
from .scalar import REDUCTIONS, Opened, active_order
from .split import split, stored


def forward(roots: Sequence[Node], tangents: Mapping[Node, Node]) -> list[Node | None]:
    """Σ over some leaves of ∂root/∂leaf · tangent, for each root; None where it is 0 everywhere.

    tangents: by leaf node, a tensor of its shape and type. The results are built of loops and
    reads like any other, so that they can be differentiated again, either way.
    """
    return _Forward(tangents).run(roots)


class NotLinear(RuntimeError):
    """A derivative that was given for a function and is not linear in the gradient."""


class _Forward:
    """Tangents of tensors, each worked out once, sources first."""

    def __init__(self, tangents: Mapping[Node, Node]) -> None:
        self.known: dict[Node, Node | None] = dict(tangents)
        self.nests: dict[Node, Node] = {}
        self.calls: dict[Node, list[tuple[Node, Node]]] = {}

    def run(self, roots: Sequence[Node]) -> list[Node | None]:
        stack = list(roots)
        while stack:
            tensor = stack[-1]
            if tensor in self.known:
                stack.pop()
                continue
            missing = [s for s in self.sources(tensor) if s not in self.known]
            if missing:
                stack += missing
                continue
            stack.pop()
            self.known[tensor] = self.tangent(tensor)
        return [self.known[r] for r in roots]

    def sources(self, tensor: Node) -> list[Node]:
        """The tensors whose tangents that of one is made of."""
        if not tensor.tracked or not tensor.dtype.is_float:
            return []
        if tensor.op in ("loops", "scan"):
            read_here = body_nodes(self.nest(tensor).src[0])
            return [t for t in read_here if t.op in TENSOR_OPS and t is not tensor]
        if tensor.op == "result":
            plain = getattr(tensor.src[1].arg, "plain", None)
            return [plain[tensor.arg]] if plain is not None else list(tensor.src[1].src)
        return list(tensor.src) if tensor.op in ("leaf", "reshape") else []

    def nest(self, tensor: Node) -> Node:
        """The loop nest of a tensor, reductions that its derivative needs read from tensors; of a
        scan, as a nest that reads its own elements before."""
        if tensor not in self.nests:
            if tensor.op == "scan":
                before = {carry(tensor.dtype): neighbour(tensor, tensor, back=True)}
                self.nests[tensor] = loops(tensor.shape, substitute(tensor.src[0], before))
            else:
                self.nests[tensor] = split(tensor)
        return self.nests[tensor]

    def tangent(self, tensor: Node) -> Node | None:
        """One tensor's tangent, of those of its sources."""
        if not tensor.tracked or not tensor.dtype.is_float:
            return None
        found: Node | None = None
        if tensor.op in ("leaf", "reshape"):
            found = self.known[tensor.src[0]]
            found = None if found is None else reshape(found, tensor.shape)
        elif tensor.op == "loops":
            found = self.of_nest(tensor)
        elif tensor.op == "scan":
            found = self.of_scan(tensor)
        elif tensor.op == "result":
            plain = getattr(tensor.src[1].arg, "plain", None)
            found = self.of_result(tensor) if plain is None else self.known[plain[tensor.arg]]
        if found is not None and found.line is None:
            found.line = tensor.line
        return found

    # ---- loop nests --------------------------------------------------------------------------

    def of_nest(self, tensor: Node) -> Node | None:
        nest = self.nest(tensor)
        opened = Opened(nest)
        found = self.scalar(opened, {})
        if found is None:
            return None
        if opened.body.op not in ("read", "where", "cast", "const"):
            # What is computed anyway is not computed twice.
            found = substitute(found, {opened.body: read(tensor, *opened.outs)})
        return simple_loops(tensor.shape, _closed(opened, found))

    def of_scan(self, tensor: Node) -> Node | None:
        """With h[t] = f(h[t−1], x[t]): dh[t] = ∂f/∂h · dh[t−1] + ∂f/∂x · dx[t], a scan again."""
        opened = Opened(self.nest(tensor))
        before = neighbour(tensor, tensor, back=True)
        before = substitute(before, {out(i): v for i, v in enumerate(opened.outs)})
        begun = {} if before.op == "const" else {before: carry(tensor.dtype)}
        found = self.scalar(opened, begun)
        if found is None:
            return None
        axis, reverse = tensor.arg
        start = const(0, tensor.dtype)
        return scan(tensor.shape, axis, _closed(opened, found), start, reverse)

    def scalar(self, opened: Opened, begun: dict[Node, Node]) -> Node | None:
        """The tangent of an opened body; `begun`: those known of some of its expressions."""

        def starts(n: Node) -> bool:
            return n in begun or (n.op == "read" and self.known.get(n.src[0]) is not None)

        order, active = active_order(opened, starts)
        if opened.body not in active:
            return None
        found: dict[Node, Node] = dict(begun)
        for n in order:
            if n in active and n not in found:
                part = self.step(opened, n, found)
                if part is not None:
                    found[n] = part
        return found.get(opened.body)

    def step(self, opened: Opened, n: Node, found: Mapping[Node, Node]) -> Node | None:
        """The tangent of one operation, of those of its operands."""
        if n.op == "read":
            tangent = self.known[n.src[0]]
            return None if tangent is None else read(tangent, *n.src[1:])
        if n.op == "reduce":
            variables, inner = opened.open(n)
            if inner not in found:
                return None
            term = REDUCTIONS[n.arg[0]](opened, n, variables, found[inner])
            return _summed(opened, variables, term)
        if n.op == "cast":
            return cast(found[n.src[0]], n.dtype) if n.src[0] in found else None
        if n.op == "where":
            yes, no = (found.get(s, number(0, n)) for s in n.src[1:])
            return where(n.src[0], yes, no)
        rule = RULES.get(n.op)
        if rule is None:
            raise NotImplementedError(f"{n.op} has no derivative; add a row to autodiff/rules.py")
        total: Node | None = None
        for i, s in enumerate(n.src):
            part = rule(n, found[s])[i] if s in found else None
            if part is not None:
                total = part if total is None else alu("add", total, part)
        return total

    # ---- functions with a derivative of their own ----------------------------------------------

    def of_result(self, tensor: Node) -> Node | None:
        """From the rule for gradients, which is linear: what it makes of unknown gradients u, for
        each source a tensor g(u), holds J in ∂/∂u Σ g(u)·tangent = J·tangent."""
        call = tensor.src[1]
        if all(self.known[s] is None for s in call.src):
            return None
        unknown = placeholder(-1, tensor)
        if getattr(call.arg, "linear", False):  # it is the same at each u, though it may read it
            unknown = loops(tensor.shape, const(0, tensor.dtype))
        asked = leaf(unknown, object())
        parts: list[Node] = []
        for source, part in zip(call.src, call.arg(call, {tensor.arg: asked}), strict=True):
            tangent = self.known[source]
            if part is None or tangent is None or not part.tracked:
                continue
            (found,) = gradient(part, tangent, [asked])
            if found is not None:
                parts.append(found)
        if not parts:
            return None
        total = add_all(parts)
        reached = toposort([total], stop=lambda n: not n.tracked and n.op in TENSOR_OPS)
        if not getattr(call.arg, "linear", False) and asked in reached:
            name = getattr(call.arg, "name", "a function")
            raise NotLinear(
                f"{name}: the derivative that was given for it is not linear in the gradient, so "
                f"that it holds for backward only"
            )
        return total


def _closed(opened: Opened, body: Node) -> Node:
    """A body in named variables as one over output variables."""
    names = {v: out(i) for i, v in enumerate(opened.outs) if v.op != "const"}
    return substitute(body, names)


def _summed(opened: Opened, variables: Sequence[Node], term: Node) -> Node:
    """Σ of a term over variables; each product by itself, so that it stays a contraction."""
    names = [v for v in variables if v.op != "const"]
    if not names:
        return term
    total: Node | None = None
    for part in _terms(term):
        reds, bound = fresh(part.depth, [opened.sizes[v] for v in names])
        body = substitute(part, dict(zip(names, reds, strict=True)))
        found = reduce("sum", bound, body, "dot" if product_of(body) is not None else "seq")
        if found.op == "reduce" and free_variables(found) <= set(opened.outs):
            found = stored(found, {v: opened.sizes[v] for v in opened.outs if v in opened.sizes})
        total = found if total is None else alu("add", total, found)
    assert total is not None
    return total


def _terms(x: Node) -> list[Node]:
    """The terms of a sum, in order."""
    found: list[Node] = []
    stack = [x]
    while stack:
        x = stack.pop()
        if x.op == "add":
            stack += [x.src[1], x.src[0]]
        else:
            found.append(x)
    return found
