"""Pseudo-code of what is no plain loop nest: copies into another layout, scans, sorts, searches.

Must not know why a kernel is as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ..emit.kernel import Argsort, Kernel, Pack, Placing, Ranks, Scan, Segments, Stride
from ..ir.node import Node, out
from ..ir.transform import body_nodes
from ..schedule.fuse import Group
from ..schedule.search import Search, search_in
from .loops import Listing
from .reductions import TAB, combined
from .text import mark


def unusual(own: Listing, kernel: Kernel, groups: Sequence[Group]) -> list[str]:
    """The loops of such a kernel, which computes these groups."""
    if isinstance(kernel, Pack):
        return pack(own, kernel)
    if isinstance(kernel, Ranks):
        return ranks(own)
    (group,) = groups
    own.named(group)
    if isinstance(kernel, Scan):
        return scan(own, kernel, group)
    if isinstance(kernel, Argsort):
        return argsort(own, kernel, group)
    found = search_in(group.body)
    assert found is not None and isinstance(kernel, Segments | Placing)
    if isinstance(kernel, Segments):
        return segments(own, kernel, group, found)
    return placing(own, kernel, group, found)


def pack(own: Listing, kernel: Pack) -> list[str]:
    """A copy that makes another axis innermost."""
    strides = [kernel.row_step]
    for extent, _ in kernel.row[:0:-1]:
        before, size = own.size(strides[0]), own.size(extent)
        strides.insert(0, before * size if isinstance(before, int) and isinstance(size, int) else 0)
    loops = [(e, s) for e, s, _ in kernel.outer]
    loops += [(e, s) for (e, _), s in zip(kernel.row, strides, strict=True)]
    lanes, step = kernel.lane
    names = _walked(own, [*loops, (lanes, step)])
    wide = f"panels of {kernel.panel[0]} of " if kernel.panel[0] else ""
    how = f"{own.threads}, blocks of {kernel.width} turned in registers"
    how += ", elements of a row two by two" if kernel.pairs else ""
    if names is None:
        around = " × ".join(str(s) for s in (own.size(e) for e, _ in loops) if s != 1) or "1"
        what = f"panels of {kernel.panel[0]}" if kernel.panel[0] else "all"
        return [f"{own.word} {around} rows, {own.size(lanes)} lanes in {what}:    # {how}",
                f"{TAB}copy = {own.source()}    # so that vectors lie along the lanes"]  # fmt: skip
    over = [f"{x} < {own.size(e)}" for x, (e, _) in zip(names, loops) if own.size(e) != 1]
    lane = f"{wide}{names[-1]} < {own.size(lanes)}"
    (source,) = own.a.copied(own.step)
    where = ", ".join(
        x if s != 1 else "·" for x, s in zip(_axes(own, source), source.shape, strict=True)
    )
    to = ", ".join(x for x, (e, _) in zip(names, [*loops, (lanes, step)]) if own.size(e) != 1)
    return [f"{own.word} {', '.join([*over, lane])}:    # {how}",
            f"{TAB}copy[{to}] = {own.a.name(source)}[{where}]"]  # fmt: skip


def _axes(own: Listing, tensor: Node) -> list[str]:
    """The marked names of a tensor's axes."""
    return list(map(mark, own.a.axes_of(tensor))) or ["·"] * tensor.ndim


def _walked(own: Listing, loops: Sequence[tuple[Stride, Stride]]) -> list[str] | None:
    """The axis of the copied tensor that each loop walks, or None where that is not plain: by its
    size, and where several have that, by the order in which they lie in memory."""
    copied = own.a.copied(own.step)
    if len(copied) != 1:
        return None
    shape = [int(s) for s in copied[0].shape]
    axes = dict(enumerate(_axes(own, copied[0])))
    found = []
    for extent, stride in loops:
        size, step = own.size(extent), own.size(stride)
        same = [i for i in axes if shape[i] == size]
        exact = [i for i in same if prod(shape[i + 1 :]) == step]
        choice = exact if len(exact) == 1 else same
        if size == 1:
            found.append("·")
        elif len(choice) == 1:
            found.append(axes.pop(choice[0]))
        else:
            return None
    return None if any(shape[i] != 1 for i in axes) else found


def scan(own: Listing, kernel: Scan, group: Group) -> list[str]:
    """Elements along one axis, each from the one before."""
    around = [f"{own.variable(v)} < {own.size(e)}" for v, e in kernel.loops]
    what = "vectors" if kernel.vector else "rows"
    back = ", backwards" if kernel.reverse else ""
    along = own.variable(kernel.along[0])
    start, (before, text) = group.node.src[-1], own.written(group.body, {**_known(own, group)})
    first = own.written(start, own.variables)[1]
    return [
        f"{own.word} {', '.join(around) or '1 row'}:    # {own.threads}, {kernel.copies} {what} "
        "side by side",
        f"{TAB}before = {first}",
        f"{TAB}for {along} < {own.size(kernel.along[1])}:    # in order{back}",
        *(TAB * 2 + x for x in before),
        f"{TAB * 2}before = {own.element(group)} = {text}",
    ]


def _known(own: Listing, group: Group) -> dict[Node, str]:
    """Texts of a scan's variables, and of the element before."""
    carries = {n: "before" for n in body_nodes(group.body) if n.op == "carry"}
    return {**own.variables, **carries}


def argsort(own: Listing, kernel: Argsort, group: Group) -> list[str]:
    """Positions along one axis in the order of their elements."""
    rows = ", ".join(f"{own.variable(v)} < {own.size(e)}" for v, e in kernel.loops)
    along, order = own.variable(kernel.along[0]), "descending" if kernel.descending else "ascending"
    how = f"the {kernel.few} first are kept while reading" if kernel.few else "radix sort, stable"
    before, text = own.written(group.body, own.variables)
    return [
        f"{own.word} {rows or '1 row'}:    # {own.threads}",
        *(TAB + x for x in before),
        f"{TAB}{own.element(group)} = the positions of {text}, {order}, {along} < "
        f"{own.size(kernel.along[1])}    # {how}",
    ]


# ---- searches by data ----------------------------------------------------------------------------


def ranks(own: Listing) -> list[str]:
    """Positions put in order by row, for the kernel that comes next."""
    reader = own.a.reader(own.number)
    groups = own.a.plan.steps[reader].groups if reader is not None else ()
    found = search_in(groups[0].body) if groups else None
    if found is None:
        return ["positions in order by row    # a counting sort"]
    own.named(groups[0])
    return [f"order = {_positions(own, found)}, by {_keys(own, found)}"
            f"    # a counting sort, {own.threads}"]  # fmt: skip


def _positions(own: Listing, found: Search) -> str:
    """The loops over positions."""
    body = body_nodes(found.reduction.src[0])
    names = {v.arg: own.variable(v) for v in body if v.op == "red"}
    batch = [f"{own.variable(out(d))}" for d in found.batch]
    return ", ".join([
        *batch, *(f"{names.get(uid, mark(f'term{uid}'))} < {int(e)}" for uid, e in
                  found.reduction.arg[1]),
    ])  # fmt: skip


def _keys(own: Listing, found: Search) -> str:
    """Which row a position has."""
    return ", ".join(own.written(ix, own.variables)[1] for _, ix in found.rows)


def _term(own: Listing, found: Search) -> tuple[list[str], str]:
    """(parts of a position's term, the term), with the conditions on it."""
    parts, term = own.written(found.term, own.variables)
    asked = [own.written(c, own.variables)[1] for c in found.conditions]
    return parts, f"{term} if {' and '.join(asked)}" if asked else term


def segments(own: Listing, kernel: Segments, group: Group, found: Search) -> list[str]:
    """Each row combines the terms of its own positions, in order."""
    last = len(kernel.loops) - 1
    loops = [
        f"{own.variable(v)} < {own.size(e)}"
        + (f" by {kernel.width}" if kernel.vector and i == last else "")
        for i, (v, e) in enumerate(kernel.loops)
    ]
    parts, term = _term(own, found)
    row = ", ".join(own.variable(out(d)) for d, _ in found.rows)
    known = {**own.variables, found.reduction: "acc"}
    before, text = own.written(group.body, known)
    start = {"sum": "0", "prod": "1", "max": "-inf", "min": "inf"}[kernel.kind]
    vectors = f", {kernel.vectors} vectors at once" if kernel.vector else ""
    return [
        f"{own.word} {', '.join(loops) or '1 row'}:    # {own.threads}{vectors}",
        f"{TAB}acc = {start}",
        f"{TAB}for {_positions(own, found)} of order[{row}]:"
        f"    # those whose {_keys(own, found)} is {row}",
        *(TAB * 2 + x for x in [*parts, combined(kernel.kind, "acc", term)]),
        *(TAB + x for x in [*before, f"{own.element(group)} = {text}"]),
    ]


def placing(own: Listing, kernel: Placing, group: Group, found: Search) -> list[str]:
    """Positions one after the other, each combined with what its element holds by then."""
    place = own.element(group)
    lines, indent = [], ""
    if kernel.loops:
        loops = ", ".join(f"{own.variable(v)} < {own.size(e)}" for v, e in kernel.loops)
        lines, indent = [f"{own.word} {loops}:    # {own.threads}"], TAB
    rows = ", ".join(f"{own.variable(v)} < {own.size(e)}" for v, e, _ in kernel.rows)
    start = {"sum": "0", "prod": "1", "max": "-inf", "min": "inf"}[kernel.kind]
    parts, term = _term(own, found)
    keys = [f"{own.variable(out(d))} = {own.written(ix, own.variables)[1]}"
            for d, ix in found.rows]  # fmt: skip
    lines += [
        f"{indent}{place} = {start} for all {rows}",
        f"{indent}for {_positions(own, found)}:    # in order",
        *(indent + TAB + x for x in [*parts, *keys, combined(kernel.kind, place, term)]),
    ]
    known = {**own.variables, found.reduction: place}
    before, text = own.written(group.body, known)
    if group.body is not found.reduction:
        lines += [f"{indent}for {rows}:",
                  *(indent + TAB + x for x in [*before, f"{place} = {text}"])]  # fmt: skip
    return lines
