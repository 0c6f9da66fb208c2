"""Matrices that are never whole in memory: what is computed row by row from small operands and is
consumed by sums along its rows or columns (attention's scores and weights, and their gradients)
is computed a block of rows at a time, and again where a later sum needs it.

Works on the kernels that join.py leaves. Each chain of kernels becomes one step; the order of every
sum stays, so it changes no bit. Must not know how a block is computed (see blocks.py).
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

from ..emit.reduction import identity
from ..ir.extent import Extent
from ..ir.node import Node, out, red
from ..ir.record import fresh, record
from ..ir.transform import body_nodes, product_of
from .fuse import Group, stored_behind
from .lower import affine
from .partial import shares_terms
from .search import search

LARGE = 1 << 20  # bytes of a matrix from which it leaves the caches
LEAST = 32  # rows and columns
TERMS = 256  # of the products that it is computed from: more, and doing it again costs too much

Role = int | str  # of a variable: unit axis i, or "row"


@record
class Link:
    """One kernel of a chain: what it computes, and which of its variables are what."""

    groups: list[Group]
    roles: dict[Node, Role]
    product: bool


@record
class Linked:
    """Kernels that run together on one block of rows after the other."""

    shape: tuple[int, ...]  # of the matrices: unit axes, rows, columns
    rank: int
    matrices: dict[int, Link] = fresh(default_factory=dict)  # by the number of the kernel
    sinks: dict[int, Link] = fresh(default_factory=dict)

    @property
    def links(self) -> list[Link]:
        """Each after those that it reads."""
        return [self.matrices[i] for i in sorted(self.matrices)] + [
            self.sinks[i] for i in sorted(self.sinks)
        ]

    @property
    def running(self) -> bool:
        """Does a sum run over the rows?"""
        return any(v.op == "red" for s in self.sinks.values() for v in s.roles)


def link(kernels: list[list[Group]], wanted: set[Node]) -> list[list[Group] | Linked]:
    """The kernels, with those that work on matrices that need not be stored as chains."""
    found = _Finder(kernels, wanted)
    if not found.matrices:
        return list(kernels)
    return found.chains()


class _Finder:
    def __init__(self, kernels: list[list[Group]], wanted: set[Node]) -> None:
        self.kernels, self.wanted = kernels, wanted
        self.place = {g.node: i for i, kernel in enumerate(kernels) for g in kernel}
        self.matrices: dict[int, Link] = {}
        for i, kernel in enumerate(kernels):
            shape = _large(kernel)
            if shape is not None and not any(g.node in wanted for g in kernel):
                made = _matrix(kernel, shape)
                if made is not None:
                    self.matrices[i] = made
        if not self.matrices:
            return
        self.readers: dict[int, set[int]] = {}
        for i, kernel in enumerate(kernels):
            for g in kernel:
                for t in g.reads:
                    at = self.place.get(stored_behind(t))
                    if at is not None and at != i:
                        self.readers.setdefault(at, set()).add(i)
        # What is no matrix after all must not keep another from being one: sums come last.
        while self.drops(self.computed, list(self.matrices)):
            pass
        while self.drops(self.consumed, list(self.matrices)[::-1]):
            while self.drops(self.computed, list(self.matrices)):
                pass
        self.sinks: dict[int, Link] = {
            j: sink for j in {j for i in self.matrices for j in self.readers[i]}
            if j not in self.matrices and (sink := self.sink(j)) is not None
        }  # fmt: skip

    def drops(self, test: Callable[[int], bool], order: list[int]) -> bool:
        """Leave out the matrices that fail a test, the next one knowing of those before it."""
        before = len(self.matrices)
        for i in order:
            if not test(i):
                del self.matrices[i]
        return len(self.matrices) < before

    def own(self, kernel: list[Group]) -> list[tuple[Group, Node, list[Node]]]:
        """(group, matrix, sites) of each matrix that a kernel reads."""
        return [
            (g, t, sites) for g in kernel for t, sites in g.reads.items()
            if self.place.get(stored_behind(t)) in self.matrices
        ]  # fmt: skip

    def rows(self, i: int) -> set[int]:
        """The matrices that are computed from one, row by row."""
        found = {j for j in self.readers.get(i, ()) if j in self.matrices}
        return {j for j in found if not self.matrices[j].product}

    def computed(self, i: int) -> bool:
        """Is this matrix a sum of products that others are computed from, or one of those?"""
        mine, reads = self.matrices[i], self.own(self.kernels[i])
        if mine.product:
            return not reads and bool(self.rows(i))
        return bool(reads) and all(
            _by_row(len(mine.roles), g, t, s) for g, t, sites in reads for s in sites
        )

    def consumed(self, i: int) -> bool:
        """Is it read by what works in rows, and by sums of products, alone?"""
        readers = self.readers.get(i, set())
        sums = all(self.sink(j) is not None for j in readers - self.rows(i))
        return bool(readers) and sums

    def shape_of(self, t: Node) -> tuple[int, ...]:
        """The shape of the matrices of a kernel."""
        kernel = self.kernels[self.place[t]]
        return max((g.shape for g in kernel), key=lambda s: len(long_axes(s)))

    def sink(self, j: int) -> Link | None:
        """The kernel as a sum of products along the rows or the columns of one matrix."""
        kernel = self.kernels[j]
        reads = self.own(kernel)
        if len(kernel) != 1 or len(reads) != 1 or len(reads[0][2]) != 1:
            return None
        group, t, (site,) = reads[0]
        pair = _pair(group, True)
        if pair is None or site not in pair or t not in self.place:
            return None
        if t.shape != self.shape_of(t):
            return None  # a number for each row
        *units, row, column = site.src[1:]
        if {row.op, column.op} != {"out", "red"} or len(group.reductions[0].arg[1]) != 1:
            return None
        roles: dict[Node, Role] = {row: "row"}
        for i, (ix, size) in enumerate(zip(units, t.shape)):
            if isinstance(size, Extent) or size != 1:
                if ix.op != "out" or ix in roles or ix is column or group.shape[ix.arg] != size:
                    return None
                roles[ix] = i
        return Link(kernel, roles, True) if _depends(pair, roles) else None

    # ---- chains ----------------------------------------------------------------------------------

    def chains(self) -> list[list[Group] | Linked]:
        """Sums over the same matrices share a chain where they can be computed at the same time:
        none needs what another gives."""
        ranks: dict[int, int] = {}
        chain_of: dict[int, Linked] = {}
        open_: dict[int, Linked] = {}  # matrix → the chain that computed it last
        chains: list[Linked] = []
        for i, kernel in enumerate(self.kernels):
            if i in self.matrices:
                continue
            if i not in self.sinks:
                ranks[i] = 1 + self.below(kernel, ranks)
                continue
            needed = self.needed(kernel)
            rank = max(self.below(self.kernels[j], ranks) for j in (i, *needed))
            chain = next((open_[j] for j in needed if j in open_ and open_[j].rank > rank), None)
            if chain is None:
                chain = Linked(self.own(kernel)[0][1].shape, 1 + rank)
                chains.append(chain)
            chain.sinks[i] = self.sinks[i]
            chain.matrices.update((j, self.matrices[j]) for j in needed)
            open_.update(dict.fromkeys(needed, chain))
            chain_of[i] = chain
            ranks[i] = chain.rank
        return self.in_order(chain_of)

    def below(self, kernel: list[Group], ranks: dict[int, int]) -> int:
        """The highest rank of what a kernel reads, matrices apart."""
        places = {self.place.get(stored_behind(t)) for g in kernel for t in g.reads}
        return max((ranks[p] for p in places if p in ranks), default=0)

    def needed(self, kernel: list[Group]) -> list[int]:
        """The matrices that a kernel is computed from, directly or not."""
        found: dict[int, None] = {}
        todo = [kernel]
        while todo:
            for _, t, _ in self.own(todo.pop()):
                at = self.place[t]
                if at not in found:
                    found[at] = None
                    todo.append(self.kernels[at])
        return list(found)

    def in_order(self, chain_of: dict[int, Linked]) -> list[list[Group] | Linked]:
        """Each after those that it reads, else as they were."""
        items: dict[int, list[Group] | Linked] = {}
        at: dict[int, int] = {}  # kernel → item
        for i, kernel in enumerate(self.kernels):
            if i in chain_of:
                at[i] = min(chain_of[i].sinks)
                items[at[i]] = chain_of[i]
            elif i not in self.matrices:
                at[i] = i
                items[i] = kernel
        missing: dict[int, int] = {}
        above: dict[int, set[int]] = {}
        for i, item in items.items():
            kernels = [x.groups for x in item.links] if isinstance(item, Linked) else [item]
            places = {self.place.get(stored_behind(t)) for k in kernels for g in k for t in g.reads}
            below = {at[p] for p in places if p in at} - {i}
            missing[i] = len(below)
            for j in below:
                above.setdefault(j, set()).add(i)
        ready = [i for i in items if not missing[i]]
        done = []
        while ready:
            i = heappop(ready)
            done.append(items[i])
            for j in above.get(i, ()):
                missing[j] -= 1
                if not missing[j]:
                    heappush(ready, j)
        return done


def long_axes(shape: tuple[int, ...]) -> list[int]:
    """The axes of more than one element."""
    return [i for i, s in enumerate(shape) if isinstance(s, Extent) or s != 1]


def _large(kernel: list[Group]) -> tuple[int, ...] | None:
    """The shape of the large matrices that a kernel computes, if it does: units, rows, columns;
    the rest may be a number for each row."""
    shape = max((g.shape for g in kernel), key=lambda s: len(long_axes(s)))
    if len(shape) < 3 or any(isinstance(s, Extent) or s < LEAST for s in shape[-2:]):
        return None
    sizes = [shape[i] for i in long_axes(shape)]
    for g in kernel:
        own = [g.shape[i] for i in long_axes(g.shape)]
        if g.node.op != "loops" or not g.node.dtype.is_float:
            return None
        if g.shape != shape and own != sizes[:-1]:
            return None
    size = kernel[0].node.dtype.itemsize
    for s in shape:
        size *= int(s)
    return shape if len(sizes) > 2 and size >= LARGE else None


def _matrix(kernel: list[Group], shape: tuple[int, ...]) -> Link | None:
    """The kernel as one that computes matrices, each row on its own."""
    *units, _, columns = shape
    roles: dict[Node, Role] = {out(i): i for i in long_axes(tuple(units))}
    roles[out(len(units))] = "row"
    pair = _pair(kernel[0]) if len(kernel) == 1 else None
    if pair is not None:
        terms = 1
        for _, e in kernel[0].reductions[0].arg[1]:
            terms *= int(e)
        return Link(kernel, roles, True) if terms <= TERMS and _depends(pair, roles) else None
    for g in kernel:
        if not all(_along_row(r, columns) for r in g.reductions) or not _plain(g):
            return None
    return Link(kernel, roles, False)


def _along_row(r: Node, columns: int) -> bool:
    """Is this a reduction along a row, of its own terms?"""
    variables = r.arg[1]
    plain = len(variables) == 1 and int(variables[0][1]) == columns
    return plain and r.arg[0] in ("sum", "max", "min") and not shares_terms(r) and search(r) is None


def _plain(g: Group) -> bool:
    """Does a body read only at affine indices?"""
    return all(
        affine(ix) is not None for sites in g.reads.values() for r in sites for ix in r.src[1:]
    ) and not any(n.op in ("checked", "carry") for n in body_nodes(g.body))


def _pair(group: Group, asked: bool = False) -> tuple[Node, Node] | None:
    """The factors of the only sum of a body, if that is a plain sum of products of matrices; asked:
    terms may depend on a condition."""
    if len(group.reductions) != 1 or group.node.op != "loops" or not _plain(group):
        return None
    (r,) = group.reductions
    if r.arg[2] != "dot" or not shares_terms(r) or r.dtype.name not in ("float32", "float64"):
        return None
    return product_of(r.src[0]) if asked or r.src[0].op == "mul" else None


def _depends(pair: tuple[Node, Node], roles: dict[Node, Role]) -> bool:
    """Is each factor another one in each unit?"""
    units = {v for v, role in roles.items() if role != "row"}
    return all(units <= set(body_nodes(r)) for r in pair)


def _by_row(rows: int, group: Group, t: Node, site: Node) -> bool:
    """Does a group read a matrix (or a number for each row) in its own row? `rows` axes say which
    row that is."""
    mine, theirs = long_axes(group.shape), long_axes(t.shape)
    if t.op == "reshape" or not rows <= len(theirs) <= rows + 1:
        return False
    for i, k in zip(mine[:rows], theirs):
        if group.shape[i] != t.shape[k] or site.src[1 + k] is not out(i):
            return False
    if len(theirs) == rows:
        return True
    column = site.src[1 + theirs[rows]]
    return column.op == "red" or [column] == [out(i) for i in mine[rows:]]


def unseen(linked: Linked, t: Node) -> bool:
    """Does nobody in a chain look at what a matrix holds beyond its diagonal (column > row)?"""
    rows = len(long_axes(linked.shape)) - 1

    def row(x: Link, g: Group) -> Node:
        if x.product:
            return next(v for v, role in x.roles.items() if role == "row")
        return out(long_axes(g.shape)[rows - 1])

    return all(
        _under(g.body, t, row(x, g)) for x in linked.links for g in x.groups if t in g.reads
    )  # fmt: skip


def short(linked: Linked, link: Link) -> bool:
    """May a kernel that works in rows end each of them at the diagonal? If nobody looks at what it
    makes beyond, and no term of its sums and extremes counts there."""
    rows = len(long_axes(linked.shape)) - 1
    for g in link.groups:
        axes = long_axes(g.shape)
        if len(axes) > rows and not unseen(linked, g.node):
            return False
        if not all(_ends(r, out(axes[rows - 1])) for r in g.reductions):
            return False
    return True


def _ends(r: Node, row: Node) -> bool:
    """Is every term of a reduction along a row the neutral element beyond the diagonal?"""
    body = r.src[0]
    if body.op != "where" or body.src[2].op != "const":
        return False
    asked, _, beyond = body.src
    before = asked.op in ("le", "lt") and asked.src == (red(r.arg[1][0][0]), row)
    return before and beyond.value == identity(r.arg[0], r.dtype)


def _under(body: Node, t: Node, row: Node) -> bool:
    """Is every read of a matrix inside a `where` that asks for column ≤ row first?"""
    todo: list[tuple[Node, frozenset[Node]]] = [(body, frozenset())]
    seen = set(todo)
    while todo:
        node, columns = todo.pop()
        if node.op == "read":
            if node.src[0] is t and node.src[-1] not in columns:
                return False
            continue
        for i, s in enumerate(node.src):
            inside = columns
            if node.op == "where" and i == 1:
                asked = node.src[0]
                if asked.op in ("le", "lt") and asked.src[1] is row:
                    inside = columns | {asked.src[0]}
            if (s, inside) not in seen:
                seen.add((s, inside))
                todo.append((s, inside))
    return True
