"""Stored tensors that are computed together: one kernel with several results, so that what they
read is read once and what one needs of another stays at hand.

Works on the groups that fuse.py leaves, first to last. A group joins an earlier kernel when both
run over the same rows, and it reads what is read or computed there. Joining is substitution, so it
changes no bit. Must not know how a kernel is run.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

from ..ir.extent import Extent
from ..ir.node import Node, const, out
from ..ir.record import fresh, record
from ..ir.transform import body_nodes, substitute
from .fuse import Group, stored_behind, unique_variables
from .lower import affine
from .search import search

MOST_NODES = 320  # of one kernel's bodies
MOST_GROUPS = 8
LARGE = 2048  # elements of a tensor that two kernels would rather read once


@record
class _Form:
    """How a group runs: the axes of its loops, and how many of them its reductions share."""

    axes: tuple[int, ...]  # those of more than one element
    key: tuple[object, ...]  # their extents
    rows: int | None  # leading axes that reductions depend on; None without reductions
    order: tuple[int, ...]  # the axes as they lie in memory, the last one fastest


@record
class _Cluster:
    """Groups of one kernel so far."""

    at: int
    rank: int  # above that of every kernel that it reads
    updates: bool
    groups: list[Group] = fresh(default_factory=list)
    forms: list[_Form] = fresh(default_factory=list)
    size: int = 0
    members: dict[Node, int] = fresh(default_factory=dict)
    below: set[int] = fresh(default_factory=set)  # kernels that it reads
    read: bool = False  # does another kernel need this one?
    joins: bool = True


def join(
    groups: list[Group],
    wanted: set[Node],
    updated: set[Node],
    order_in_memory: Callable[[Group], tuple[int, ...]],
) -> list[list[Group]]:
    """The groups of each kernel, in an order in which each reads only earlier ones.

    wanted: results of the plan; updated: those that may overwrite what they replace.
    order_in_memory: a group's axes in the order in which they lie, the last one fastest.
    """
    clusters: list[_Cluster] = []
    place: dict[Node, int] = {}  # stored tensor → its cluster
    readers: dict[Node, int] = {}  # tensor → the last cluster that reads it
    for group in groups:
        form = _form(group, order_in_memory)
        below = {place[b] for b in map(stored_behind, group.reads) if b in place}
        chosen: _Cluster | None = None
        if form is not None:
            near = below | {readers[t] for t in group.reads if t in readers}
            for at in sorted(near, reverse=True):
                rank = 1 + max((clusters[i].rank for i in below if i != at), default=0)
                if clusters[at].read and clusters[at].rank < rank:
                    continue
                if _fits(clusters[at], group, form, group.node in updated):
                    chosen = clusters[at]
                    chosen.rank = max(chosen.rank, rank)
                    break
        if chosen is None:
            rank = 1 + max((clusters[i].rank for i in below), default=0)
            chosen = _Cluster(len(clusters), rank, group.node in updated, joins=form is not None)
            clusters.append(chosen)
        reads = list(group.reads)
        chosen.below |= below - {chosen.at}
        for i in chosen.below:
            clusters[i].read = True
        _add(chosen, group, form)
        place[group.node] = chosen.at
        for t in reads:
            readers[t] = chosen.at
    clusters = _in_order(clusters)
    return _live(clusters, wanted)


def _form(group: Group, order_in_memory: Callable[[Group], tuple[int, ...]]) -> _Form | None:
    """How a group runs, if it can share a kernel."""
    shape = group.shape
    axes = tuple(i for i, s in enumerate(shape) if isinstance(s, Extent) or s != 1)
    if not axes or 0 in shape or group.node.op in ("scan", "argsort"):
        return None
    indices = {ix for sites in group.reads.values() for r in sites for ix in r.src[1:]}
    if any(ix.op not in ("out", "red", "const") and affine(ix) is None for ix in indices):
        return None
    rows: int | None = None
    for r in group.reductions:
        if r.arg[0].startswith("arg") or group.dots() or search(r) is not None:
            return None
        free = {n.arg for n in body_nodes(r) if n.op == "out"}
        mine = [i for i in axes if i in free]
        if not mine or mine != list(axes[: len(mine)]) or rows not in (None, len(mine)):
            return None
        rows = len(mine)
    if any(n.op == "checked" for n in group.nodes):
        return None
    key = tuple(s.key if isinstance(s, Extent) else int(s) for s in (shape[i] for i in axes))
    return _Form(axes, key, rows, tuple(i for i in order_in_memory(group) if i in axes))


def _fits(cluster: _Cluster, group: Group, form: _Form, updates: bool) -> bool:
    if (
        not cluster.joins or cluster.updates != updates
        or len(cluster.groups) >= MOST_GROUPS or cluster.size + group.size > MOST_NODES
    ):  # fmt: skip
        return False
    for other in cluster.forms:
        if not _same_rows(other, form):
            return False
    shared = False
    for t, sites in group.reads.items():
        member = cluster.members.get(stored_behind(t))
        if member is None:
            continue
        if t.op == "reshape" or not all(
            _at_own_row(cluster.forms[member], t, form, site) for site in sites
        ):
            return False
        shared = True
    return shared or any(
        _count(t.shape) >= LARGE and 2 * _count(t.shape) >= _count(group.shape)
        and any(t in g.reads for g in cluster.groups)
        for t in group.reads
    )  # fmt: skip


def _same_rows(a: _Form, b: _Form) -> bool:
    """Can two groups share their outer loops?"""
    if len(a.key) > len(b.key):
        a, b = b, a
    n = len(a.key)
    if b.key[:n] != a.key:
        return False
    if n == len(b.key):
        places = [[f.axes.index(i) for i in f.order] for f in (a, b)]
        return places[0] == places[1] and (a.rows == b.rows or None in (a.rows, b.rows))
    plain = all(list(f.order) == sorted(f.order) for f in (a, b))
    return plain and a.rows in (None, n) and b.rows in (None, n)


def _at_own_row(member: _Form, tensor: Node, form: _Form, site: Node) -> bool:
    """Does a read of what a member computes ask for the element (or row) of its own loops?"""
    indices = site.src[1:]
    rows = member.rows if member.rows is not None else form.rows
    exact = len(member.axes) if rows is None else min(rows, len(member.axes))
    if len(member.axes) > len(form.axes):
        return False
    for k, axis in enumerate(member.axes):
        own = indices[axis] is out(form.axes[k])
        if not own and (k < exact or any(n.op == "out" for n in body_nodes(indices[axis]))):
            return False
    return True


def _add(cluster: _Cluster, group: Group, form: _Form | None) -> None:
    """Put a group into a cluster; what it reads of the others is computed in its own body."""
    mapping = {}
    for t, sites in group.reads.items():
        member = cluster.members.get(t)
        if member is not None:
            body = cluster.groups[member].body
            for site in sites:
                mapping[site] = substitute(body, {out(i): ix for i, ix in enumerate(site.src[1:])})
    if mapping:
        group.body = substitute(group.body, mapping)
        group.refresh()
    cluster.members[group.node] = len(cluster.groups)
    cluster.groups.append(group)
    if form is not None:
        cluster.forms.append(form)
    cluster.size += group.size


def _in_order(clusters: list[_Cluster]) -> list[_Cluster]:
    """Each after those that it reads, else as they were made."""
    missing = [len(c.below) for c in clusters]
    above: list[list[int]] = [[] for _ in clusters]
    for c in clusters:
        for i in c.below:
            above[i].append(c.at)
    ready = [c.at for c in clusters if not c.below]
    done = []
    while ready:
        at = heappop(ready)
        done.append(clusters[at])
        for i in above[at]:
            missing[i] -= 1
            if not missing[i]:
                heappush(ready, i)
    return done


def _live(clusters: list[_Cluster], wanted: set[Node]) -> list[list[Group]]:
    """Without the tensors that nobody reads any more, and each kernel's variables named anew."""
    needed = set(wanted)
    result: list[list[Group]] = []
    for cluster in reversed(clusters):
        kept = [g for g in cluster.groups if len(cluster.groups) == 1 or g.node in needed]
        bodies = unique_variables(kept)
        for g, body in zip(kept, bodies, strict=True):
            if body is not g.body:
                g.body = body
                g.refresh()
            needed |= {stored_behind(t) for t in g.reads}
        if kept:  # else all of it was written into others, and became constants there
            result.append(kept)
    return result[::-1]


def loops_of(groups: list[Group]) -> tuple[Group, list[dict[Node, Node]]]:
    """The group with the most loops, and for each its own variables as that group's."""
    axes = [
        [i for i, s in enumerate(g.shape) if isinstance(s, Extent) or s != 1] for g in groups
    ]
    main = max(range(len(groups)), key=lambda i: len(axes[i]))
    zero = const(0, out(0).dtype)
    names = []
    for g, own in zip(groups, axes, strict=True):
        renamed = {out(i): zero for i in range(len(g.shape))}
        renamed.update({out(i): out(j) for i, j in zip(own, axes[main])})
        names.append(renamed)
    return groups[main], names


def _count(shape: tuple[int, ...]) -> int:
    n = 1
    for s in shape:
        n *= int(s)
    return n
