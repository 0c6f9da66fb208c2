"""Writes what is made of a tile's sums: the output's body, in their place.

Knows the sums in registers; must not know how they were summed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..ir.transform import body_nodes
from .builder import Operand
from .deal import size
from .expression import Binding, Value
from .square import transpose

if TYPE_CHECKING:
    from .contraction import ContractionWriter

BODY = 64  # nodes of finished rows written out one by one; larger ones are written in a loop
CHAINS = 4  # vectors of such rows side by side, so that one is worked on while another waits

Masks = list[Operand | None]


def finish_tile(
    c: ContractionWriter, sums: list[Operand], m0: Operand, n0: Operand, height: int, masks: Masks
) -> None:
    """The output's body for every vector of the tile; row by row in a loop when it is long."""
    c.e.open(c.f.region)
    strides = dict(c.k.output.access.terms)
    together = c.k.m is not None and strides.get(c.k.m[0]) == 1 != strides.get(c.k.n[0], 1)
    if together and height > 2:  # the results of a column lie together, not those of a row
        _columns(c, sums, m0, n0, height, masks)
    else:
        _rows(c, sums, m0, n0, height, masks)
    c.e.close()


def finish(c: ContractionWriter, total: Operand, lanes: int, m: Operand) -> None:
    """Put one sum in the place of the hole, and store what the body makes of it."""
    e, k = c.e, c.k
    scope = e.open(c.f.region)
    if k.m:
        e.bindings[k.m[0]] = Binding(m, 0, scope)
    e._remember(k.hole, Value(total, c.dtype, lanes, scope))
    e.store(e.emit(k.output.body), k.output.access)
    e.close()


# ---- rows ----------------------------------------------------------------------------------------


def _rows(
    c: ContractionWriter, sums: list[Operand], m0: Operand, n0: Operand, height: int, masks: Masks
) -> None:
    f, vectors = c.f, len(masks)
    body = len(body_nodes(c.k.output.body))
    if height == 1 or body == 1 or height * vectors * body <= BODY:
        for i in range(height):
            _vectors(c, sums[i * vectors : (i + 1) * vectors], f.add(m0, i), n0, masks)
        return
    kept = f.put(f"alloca [{c.k.rows * c.k.vectors} x {c.vt}], align 64", f.root)
    for i, x in enumerate(sums):
        f.do(f"store {c.vt} {x}, ptr {f.gep(kept, i, c.vt)}, align {c.align}")

    def some(count: int) -> Callable[[Operand, list[Operand]], None]:
        def rows(i: Operand, _: list[Operand]) -> None:
            c.e.open(f.region)
            here = f.gep(kept, f.mul(i, vectors), c.vt)
            at = [f.gep(here, j, c.vt) for j in range(count * vectors)]
            mine = [f.put(f"load {c.vt}, ptr {a}, align {c.align}") for a in at]
            _vectors(c, mine, f.add(m0, i), n0, masks)
            c.e.close()

        return rows

    count = min(height, max(1, CHAINS // vectors))
    whole = height // count * count
    f.counted(0, whole, count, some(count))
    f.counted(whole, height, 1, some(1))


def _vectors(
    c: ContractionWriter, sums: list[Operand], m: Operand, n0: Operand, masks: Masks
) -> None:
    """The output's body for the vectors of some rows, side by side."""
    e, f, k = c.e, c.f, c.k
    rows = [f.add(m, i) for i in range(len(sums) // len(masks))]
    starts = [f.add(n0, j * c.width) for j in range(len(masks))]

    def vector(total: Operand, row: Operand, j: int) -> None:
        scope = e.open(f.region, masks[j])
        e.bindings[k.n[0]] = Binding(starts[j], c.width, scope)
        finish(c, total, c.width, row)
        e.close()

    places = [(row, j) for row in rows for j in range(len(masks))]
    f.interleaved([
        functools.partial(vector, total, *place) for total, place in zip(sums, places, strict=True)
    ])  # fmt: skip


# ---- columns -------------------------------------------------------------------------------------


def _columns(
    c: ContractionWriter, sums: list[Operand], m0: Operand, n0: Operand, height: int, masks: Masks
) -> None:
    """The output's body for every column of the tile, which is turned in registers: vectors of
    what lies together, not lanes apart."""
    f, w, t, vectors = c.f, c.width, c.dtype.llvm, len(masks)
    count = vectors * w
    known = all(mask is None or mask[0] == "<" for mask in masks)
    columns: Operand | int = sum(mask.count("true") if mask else w for mask in masks)
    if not known:
        columns = f.smin(f.sub(size(c.e, c.k.n[1]), n0), count)
    few = count * len(body_nodes(c.k.output.body)) <= BODY
    kept = "" if few and known else f.put(f"alloca [{count} x {c.vt}], align 64", f.root)
    for first in range(0, height, w):
        left = min(w, height - first)
        turned: list[Operand] = []
        for j in range(vectors):
            rows = [sums[i * vectors + j] for i in range(first, first + left)]
            turned += transpose(f, rows + ["poison"] * (w - left), w, t)
        m = f.add(m0, first)
        if not kept:
            for i in range(int(columns)):
                _column(c, turned[i], m, f.add(n0, i), left)
            continue
        for i, x in enumerate(turned):
            f.do(f"store {c.vt} {x}, ptr {f.gep(kept, i, c.vt)}, align {c.align}")

        def column(i: Operand, _: list[Operand], m: Operand = m, left: int = left) -> None:
            c.e.open(f.region)
            x = f.put(f"load {c.vt}, ptr {f.gep(kept, i, c.vt)}, align {c.align}")
            _column(c, x, m, f.add(n0, i), left)
            c.e.close()

        f.counted(0, columns, 1, column)


def _column(c: ContractionWriter, total: Operand, m: Operand, n: Operand, rows: int) -> None:
    """The output's body for some rows of one column."""
    e, k, w = c.e, c.k, c.width
    assert k.m is not None
    bits = ", ".join(f"i1 {'true' if i < rows else 'false'}" for i in range(w))
    scope = e.open(c.f.region, f"<{bits}>" if rows < w else None)
    e.bindings[k.m[0]], e.bindings[k.n[0]] = Binding(m, w, scope), Binding(n, 0, scope)
    e._remember(k.hole, Value(total, c.dtype, w, scope))
    e.store(e.emit(k.output.body), k.output.access)
    e.close()
