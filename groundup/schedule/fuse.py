"""Cuts a graph into kernels: which tensors are stored, and the body of each stored one.

Works from the results backwards. A tensor that is only a view or a few operations is written into
its users' bodies; a reduction is, when that repeats no work; what many need is stored. Fusion is
substitution, so it changes no rounding. Must not know how a kernel is run.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..ir import dtype as dt
from ..ir.extent import Extent
from ..ir.interval import intervals
from ..ir.node import Node, checked, const, out, outs, read, red, reduce, reshape
from ..ir.record import fresh, record
from ..ir.transform import (
    TENSOR_OPS,
    body_nodes,
    rebuild,
    row_major,
    substitute,
    toposort,
    unravel,
    widens,
)
from .lower import affine
from .partial import shares_terms
from .search import picked, search, sites_once

MAX_BODY = 128  # nodes of one kernel's body
CHEAP = 3  # operations that are rather repeated than stored


@record
class Group:
    """One stored tensor: `body` over `shape`; `reads` are the tensors its body reads."""

    node: Node
    body: Node
    number: int = 0
    size: int = 0  # nodes of the body
    reads: dict[Node, list[Node]] = fresh(default_factory=dict)
    reductions: list[Node] = fresh(default_factory=list)
    nodes: list[Node] = fresh(default_factory=list)  # of the body, sources first
    _dots: list[set[Node]] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The loops in which the body is evaluated."""
        return (self.node.src[0] if self.node.op == "argsort" else self.node).shape

    def refresh(self) -> None:
        """Look through the body, which has changed."""
        nodes = self.nodes = body_nodes(self.body)
        self.size = len(nodes)
        self.reads = {}
        self.reductions = []
        self._dots = None
        for n in nodes:
            if n.op == "read":
                self.reads.setdefault(n.src[0], []).append(n)
            elif n.op == "reduce":
                self.reductions.append(n)

    def dots(self) -> list[set[Node]]:
        """The nodes of each product of matrices or convolution in the body."""
        if self._dots is None:
            self._dots = [set(body_nodes(r)) for r in self.reductions if shares_terms(r)]
        return self._dots


class _Facts:
    """What decides whether a tensor is stored, computed once for each form of tensor."""

    def __init__(self, node: Node) -> None:
        nodes = body_nodes(node.src[0])
        self.reductions = [n for n in nodes if n.op == "reduce"]
        self.product = any(shares_terms(r) for r in self.reductions)
        self.search = any(search(r) is not None for r in self.reductions)
        skip = ("read", "out", "red", "const", "extent", "where", "cast")
        # Index arithmetic is free beside what it reads.
        self.cost = sum(
            1 for n in nodes if n.op not in skip and n.dtype is not dt.int64
            and n.op not in TENSOR_OPS and n.src and n.src[0].dtype is not dt.int64
        )  # fmt: skip
        self.size = len(nodes)
        # Factors of a product are read as they are, or widened.
        self.converts = any(n.op == "cast" and n.dtype.is_float and not widens(n) for n in nodes)
        reads = [n for n in nodes if n.op == "read"]
        self.reads = len(reads)
        # Those as large as the tensor itself: what is read instead of it where it is written in.
        self.large = sum(2 * _count(n.src[0].shape) > _count(node.shape) for n in reads)


def fuse(
    roots: list[Node], order: list[Node], form_of: Mapping[Node, object]
) -> list[Group]:
    """Groups in an order in which each reads only earlier ones (and inputs).

    form_of: of nests that differ only in which tensors they read, the same.
    """
    facts_of: dict[object, _Facts] = {}
    users: dict[Node, set[Group]] = {}
    groups: list[Group] = []
    wanted = set(roots)
    shown: set[Node] = set()  # tensors whose memory a reshape shows: stored whatever they are

    def register(group: Group) -> None:
        group.refresh()
        for t in group.reads:
            users.setdefault(t, set()).add(group)
            if t.op == "reshape" and _alias(t):
                shown.add(stored_behind(t))

    def store(node: Node, body: Node) -> None:
        group = Group(node, body, len(groups))
        groups.append(group)
        register(group)

    def write_in(node: Node, into: list[Group]) -> None:
        for g in into:
            while node in g.reads:  # again where one read was the index of another
                mapping = {r: _element(node, _kept_inside(g, r)) for r in g.reads[node]}
                for t in g.reads:
                    users[t].discard(g)
                g.body = substitute(g.body, mapping)
                register(g)

    def facts(node: Node) -> _Facts:
        form = form_of.get(node, node)
        known = facts_of.get(form)
        if known is None:
            known = facts_of[form] = _Facts(node)
        return known

    for node in reversed(order):
        if node.op in ("scan", "argsort"):
            if node in wanted or node in shown or users.get(node):
                scans = node.op == "scan"
                store(node, node.src[0] if scans else read(node.src[0], *outs(node.ndim)))
            continue
        if node.op not in ("loops", "reshape"):
            if node.op == "buffer" and node in wanted:
                store(node, read(node, *outs(node.ndim)))
            continue
        into = sorted(users.get(node, ()), key=lambda g: g.number)
        if node in wanted:
            if node.op == "reshape":
                store(node, _element(node, tuple(outs(node.ndim))))
            else:
                store(node, node.src[0])
        elif node in shown:
            store(node, node.src[0])
        elif not into:
            continue
        elif node.op == "reshape":
            if not _alias(node):
                write_in(node, into)
            elif (
                _regroups(node) and not users.get(node.src[0]) and node.src[0] not in wanted
                and not any(_inside_dot(g, r) or _repeats(g, r) > 1
                            for g in into for r in g.reads[node])
            ):  # fmt: skip
                shown.discard(node.src[0])
                write_in(node, into)
        elif _inline(node, into, facts(node)):
            write_in(node, into)
        else:
            store(node, node.src[0])
    # What has become a number by now need not be read.
    numbers = {
        g.node: g.body for g in groups if g.body.op == "const" and g.node.op == "loops"
    }
    for node in wanted | shown:
        numbers.pop(node, None)
    for node in list(numbers):
        sites = [(g, r) for g in users.get(node, ()) for r in g.reads[node]]
        if any(_inside_dot(g, r) or _forgets(g, r) for g, r in sites):
            del numbers[node]
    for node, number in numbers.items():
        for g in users.get(node, ()):
            g.body = substitute(g.body, dict.fromkeys(g.reads[node], number))
            g.refresh()
    groups = [g for g in reversed(groups) if g.node not in numbers]
    for g in groups:
        body = picked(g.body, g.reductions) if g.reductions else g.body
        if body is not g.body:
            g.body = body
            g.refresh()
    return groups


def stored_behind(node: Node) -> Node:
    """The tensor whose memory a reshape shows."""
    while node.op == "reshape":
        node = node.src[0]
    return node


def _alias(node: Node) -> bool:
    """A reshape that regroups axes reads its source's memory; one that only adds or removes axes
    of size 1 is an index function like any other."""
    a = [s for s in node.shape if s != 1]
    b = [s for s in node.src[0].shape if s != 1]
    return a != b


def _element(node: Node, indices: tuple[Node, ...]) -> Node:
    """The scalar expression of one element of a tensor that is not stored."""
    if node.op == "reshape":
        source = node.src[0]
        if _alias(node) and _regroups(node):
            mapping = {
                r: read(reshape(r.src[0], node.shape), *indices)
                for r in body_nodes(source.src[0]) if r.op == "read"
            }  # fmt: skip
            return substitute(source.src[0], mapping)
        if not _alias(node):
            mine = iter(ix for s, ix in zip(node.shape, indices) if s != 1)
            zero = const(0, dt.int64)
            return read(source, *(zero if s == 1 else next(mine) for s in source.shape))
        return read(source, *unravel(row_major(node.shape, indices), source.shape))
    return substitute(node.src[0], {out(i): ix for i, ix in enumerate(indices)})


def _regroups(node: Node) -> bool:
    """Is the source of a reshape pointwise over tensors of its own shape, so that the reshape can
    be asked of those instead?"""
    source = node.src[0]
    if source.op != "loops":
        return False
    mine = tuple(outs(source.ndim))
    reads = 0
    nodes = body_nodes(source.src[0])
    inside = {i for n in nodes if n.op == "read" for i in n.src[1:]}
    for n in nodes:
        if n.op == "reduce" or (n.op == "out" and n not in inside):
            return False
        if n.op == "read":
            reads += 1
            if n.src[1:] != mine or n.src[0].shape != source.shape:
                return False
        elif n.op not in ("out",) and n.op not in TENSOR_OPS and any(s.op == "out" for s in n.src):
            return False
    return 0 < reads <= 4 and len(nodes) < 60


def _inline(node: Node, into: list[Group], facts: _Facts) -> bool:
    """Write this tensor into all of its users rather than store it?"""
    sites = [(g, r) for g in into for r in g.reads[node]]
    if any(_forgets(g, r) for g, r in sites):
        return False
    if any(g.size + facts.size * len(g.reads[node]) > MAX_BODY for g in into):
        return facts.reads <= 1 and facts.cost == 0 and facts.size < 40
    if not facts.reductions:
        inside_dot = any(_inside_dot(g, r) for g, r in sites)
        if inside_dot and node.op == "loops" and node.src[0].op == "const":
            return False  # the same product, whether its operand was looked at or not
        if facts.cost == 0 and facts.reads <= 1 and not (facts.converts and inside_dot):
            return True  # a view, a constant, a padded or shifted read
        if inside_dot:
            return False
        if facts.cost <= CHEAP and (len(into) <= 3 or facts.large <= 1):
            return all(_repeats(g, r) <= 4 for g, r in sites)
        return len(into) == 1 and all(_repeats(g, r) <= 1 for g, r in sites) and len(sites) <= 2
    if len(into) != 1 or into[0].node.op != "loops":
        return False
    group = into[0]
    if facts.search:
        return False
    if facts.product:
        return len(sites) == 1 and _epilogue(group, node, sites[0][1])
    if any(_inside_dot(g, r) for g, r in sites):
        return False
    return _hoistable(group, node, [r for _, r in sites])


def _forgets(group: Group, site: Node) -> bool:
    """Would an index that has to be checked be gone, with its check, if the read were replaced:
    because all elements along its axis are the same?"""
    tensor = site.src[0]
    if tensor.op != "loops" or tensor.ndim == 0:
        return False
    used = {n.arg for n in body_nodes(tensor.src[0]) if n.op == "out"}
    if len(used) == tensor.ndim:
        return False
    kept = _kept_inside(group, site)
    return any(
        any(n.op == "checked" for n in body_nodes(ix))
        for i, ix in enumerate(kept) if i not in used
    )


def _kept_inside(group: Group, site: Node) -> tuple[Node, ...]:
    """The indices of a read that is about to be replaced, checked where the loops alone do not keep
    them inside the tensor. (An affine index that can leave is guarded by the `where` around it.)"""
    indices = list(site.src[1:])
    plain = ("out", "red", "const")
    computed = [
        i for i, ix in enumerate(indices) if ix.op not in plain and affine(ix) is None
    ]
    if computed:
        ranges = intervals(group.body, group.shape)
        shape = site.src[0].shape
        for i in computed:
            low, high = ranges[indices[i]]
            if low < 0 or high >= int(shape[i]):
                indices[i] = checked(indices[i], i, shape, site.site)
    return tuple(indices)


def _inside_dot(group: Group, site: Node) -> bool:
    """Is this read an operand of a product of matrices or of a convolution?"""
    return any(site in nodes for nodes in group.dots())


def _repeats(group: Group, site: Node) -> int:
    """How often each element read here would be computed anew."""
    if len(group.reductions) == 1 and sites_once(group.body, site):
        return 1
    within = [r for r in group.reductions if site in body_nodes(r)]
    count = 1
    for s in group.shape:
        count *= int(s)
    for r in within:
        for _, e in r.arg[1]:
            count *= int(e)
    elements = 1
    for s in site.src[0].shape:
        elements *= int(s)
    return -(-count // max(1, elements))


def _epilogue(group: Group, node: Node, site: Node) -> bool:
    """Is the user pointwise over exactly this contraction, so that it can finish its tiles?"""
    # In any order of its axes, and without those of size 1.
    pairs = [(ix, s) for ix, s in zip(site.src[1:], node.shape) if ix.op != "const" or s != 1]
    if len(pairs) != len(group.shape) or {ix for ix, _ in pairs} != set(outs(len(pairs))):
        return False
    if any(group.shape[ix.arg] != size for ix, size in pairs):
        return False
    return not group.reductions


def _hoistable(group: Group, node: Node, sites: list[Node]) -> bool:
    """Can the reduction run in outer loops of its user, once for each of its elements?"""
    for r in group.reductions:
        if shares_terms(r) or search(r) is not None:
            return False
    indices = {tuple(s.src[1:]) for s in sites}
    if len(indices) != 1:
        return False
    (index,) = indices
    if len(index) != node.ndim:
        return False
    used = [ix for ix, size in zip(index, node.shape) if int(size) != 1 or ix.op != "const"]
    if any(ix.op != "out" for ix in used) or len(set(used)) != len(used):
        return False
    if any(group.shape[ix.arg] != node.shape[i] for i, ix in enumerate(index) if ix.op == "out"):
        return False
    # The outer loops are those over the leading axes: others would not walk memory in its order.
    leading = [i for i, s in enumerate(group.shape) if isinstance(s, Extent) or s != 1]
    if used and [i for i in leading if out(i) in used] != leading[: len(used)]:
        return False
    # Several reductions share outer loops only over the same variables.
    for r in group.reductions:
        free = {n for n in body_nodes(r) if n.op == "out"}
        if free != set(used):
            return False
    return bool(used) or _count(group.shape) == 1


def _count(shape: tuple[int, ...]) -> int:
    n = 1
    for s in shape:
        n *= int(s)
    return n


def unique_variables(groups: list[Group]) -> list[Node]:
    """The bodies of one kernel's groups with their reductions' variables numbered from 1, the inner
    ones first: equal kernels become equal whatever graph they come from. Reductions over the same
    extents share variables, unless one is inside the other, so that one loop can serve them."""
    height: dict[Node, int] = {}
    ids: dict[tuple[object, ...], list[int]] = {}
    bodies = [g.body for g in groups]
    if len(groups) == 1 and len(groups[0].reductions) <= 1:  # nothing to tell apart
        (group,) = groups
        mine = {red(i): red(k) for n in group.reductions for k, (i, _) in enumerate(n.arg[1], 1)}
        plain = all(old is new for old, new in mine.items())
        return bodies if plain else [_with_variables(group.body, mine, True, group.nodes)]
    result: dict[Node, Node] = {}
    count = 0
    for node in toposort(bodies, stop=lambda n: n.op in TENSOR_OPS):
        if node.op in TENSOR_OPS:
            result[node], height[node] = node, 0
            continue
        src = tuple(result[s] for s in node.src)
        height[node] = max((height[s] for s in node.src), default=0)
        if node.op != "reduce":
            result[node] = rebuild(node, src) if src else node
            continue
        height[node] += 1
        kind, pairs, order = node.arg[:3]
        key = (height[node], *(e.key if isinstance(e, Extent) else int(e) for _, e in pairs))
        if key not in ids:
            ids[key] = [-(count + 1 + j) for j in range(len(pairs))]
            count += len(pairs)
        names = {red(i): red(j) for (i, _), j in zip(pairs, ids[key])}
        named = [(j, e) for (_, e), j in zip(pairs, ids[key])]
        result[node] = reduce(kind, named, _with_variables(src[0], names), order)
    # Negative while the work lasts, so that no number is both an old and a new one.
    final = {red(-i): red(i) for i in range(1, count + 1)}
    return [_with_variables(result[body], final, True) for body in bodies]


def _with_variables(
    body: Node, variables: dict[Node, Node], bound: bool = False,
    nodes: list[Node] | None = None,
) -> Node:  # fmt: skip
    """The body (of these nodes) with variables replaced (and where they are bound)."""
    result: dict[Node, Node] = {}
    for node in nodes or body_nodes(body):
        if node.op in TENSOR_OPS:
            result[node] = node
            continue
        src = tuple([result[s] for s in node.src])
        if node.op == "red":
            result[node] = variables.get(node, node)
        elif src == node.src and not (bound and node.op == "reduce"):
            result[node] = node
        elif node.op == "reduce":
            kind, pairs, order = node.arg[:3]
            if bound:
                pairs = tuple((variables[red(i)].arg, e) for i, e in pairs)
            result[node] = reduce(kind, pairs, src[0], order)
        else:
            result[node] = rebuild(node, src) if src else node
    return result[body]
