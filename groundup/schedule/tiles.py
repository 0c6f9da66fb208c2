"""Chooses register tiles for contractions: which loops are tiled, which operand is broadcast, what
is packed first, in which blocks the sum runs. One cost model for matmul, convolution and their
gradients; costs are about cycles of one core.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from ..emit.contraction import split
from ..ir.node import Node
from ..ir.record import replace
from . import caches
from .caches import FIRST, FIRST_LEVEL, LINE, PAGE, WALK
from .contract import Choice, Gather, Operand, Problem
from .lower import affine
from .pack import turned
from .sizes import Sym, size_of, value
from .winners import elected

PANEL = 320 << 10  # bytes of b that one tile walks: they stay in the second-level cache
NEAR = 640 << 10  # bytes of both operands that all tiles walk in one block, likewise
LEAST_BLOCK = 512  # terms of a block: fewer, and keeping the sums between blocks shows
RUN = 16  # likewise, where both operands are vectors
# Cycles an element, where the output is not contiguous along the vector: within a few lines, and
# where each lane has a page of its own.
SCATTER, SCATTER_FAR = 1.5, 5.0
TURN = 6.0  # cycles a column of a tile, where that is what lies together in the output
APART = 4.0  # cycles a term longer, where vectors of a tile's rows lie pages apart
NEAR_ROWS = 128  # that use a panel: fewer, and it is copied once for all users, by all threads
STREAMS = 8  # rows of memory that are read side by side
CROWDED = 1.3  # how much longer it takes when rows push each other out of the cache
POINTERS = 9  # rows a runtime size apart for which there are registers enough
TRANSPOSE, COPY = 0.8, 0.4  # cycles an element of a copy into panels
LARGE, AWAY = 4 << 20, 1.5  # bytes of a copy that leaves the caches; what an element costs then
LOOSE_VECTOR, LOOSE_NUMBER = 2.0, 1.5  # cycles to put a pair together from two reads
GATHER, START = 1.6, 3000.0  # an element of any other copy, and its kernel
# Cycles for each run of the innermost loop along which the rows of a tile enter and leave, as the
# taps of a window do at the edges of an image.
EDGES = 20.0
LATER = 1.05  # how much dearer vectors along a runtime size are: a later one may not fill them
NEARLY, TRIED = 1.8, 8  # what is worth timing: how much dearer it may look, and how many


def choose(p: Problem, fits: Callable[[Choice], bool] = bool) -> Choice | None:
    """The cheapest way that the cost model knows and that fits, if there is any, or what timing has
    found to be faster (see winners.py)."""
    found = [c for c in _choices(p) if fits(c)]
    if not found:
        return None
    best = min(found, key=lambda c: c.cost)
    if not best.lanes and best.repack is None:
        _arrange(p, best)
    best = elected(p, best, lambda p: [c for c in candidates(p) if fits(c)])
    best.near = best.pack and not best.lanes and best.repack is None and _near(p, best)
    best.ahead = caches.ahead(p, best)
    return best


def candidates(p: Problem) -> list[Choice]:
    """Ways that are worth timing, the model's own first: those that it thinks not much dearer, and
    for the cheapest other orders of tiles, other blocks, with a copy or without."""
    found = sorted(_choices(p), key=lambda c: c.cost)
    near = [c for c in found if c.cost <= NEARLY * found[0].cost][:TRIED]
    tiled = [c for c in near if not c.lanes and c.repack is None]
    more: list[Choice] = []
    for c in tiled:
        _arrange(p, c)
    for c in tiled[:2]:
        orders = [o for o in ("rows", "columns", "outer", "across") if o != c.order]
        more += [replace(c, order=o) for o in orders]
        if c.block is not None:
            more.append(replace(c, block=None))
        if not c.paired and c.b.strides[c.n] == 1 and packable(p, c.b, c.n):
            more.append(replace(c, pack=not c.pack))
    return near + more


def _choices(p: Problem) -> list[Choice]:
    x, y = p.operands
    found: list[Choice] = []
    outputs = [v for v in p.extents if v.op == "out"]
    for a, b in ((x, y), (y, x)):
        blocked = a.tied | b.tied
        for n in outputs:
            if n in blocked or n in p.guarded or b.strides.get(n, 0) == 0:
                continue
            paired = a.strides.get(n, 0) != 0
            if paired and (p.lanes or a.strides[n] != 1):
                continue
            for m in [None, *outputs]:
                if m is not None and not _rows_allowed(p, a, b, m, n, blocked):
                    continue
                if p.lanes:
                    found += [] if paired else _lanes(p, a, b, m, n)
                else:
                    found += _broadcast(p, a, b, m, n, paired)
    return found


def _rows_allowed(
    p: Problem, a: Operand, b: Operand, m: Node, n: Node, blocked: set[Node]
) -> bool:
    if m in blocked or m is n or a.strides.get(m, 0) == 0 or b.strides.get(m, 0) != 0:
        return False
    if m in p.guarded:
        return not p.lanes and p.row_bound(m) is not None
    return not (p.lanes and isinstance(p.extents[m], Sym))


def even(total: int, tile: int) -> int:
    """The tile size that cuts `total` into as many, but equal, parts."""
    return -(-total // -(-total // tile))


# ---- broadcast -----------------------------------------------------------------------------------


def _broadcast(
    p: Problem, a: Operand, b: Operand, m: Node | None, n: Node, paired: bool
) -> list[Choice]:
    ways: list[tuple[bool, float, Gather | None]] = [
        (pack, extra, None) for pack, extra in _packing(p, b, m, n)
    ]
    if not ways:
        gather = p.gather(b, n)
        if gather is None:
            return []
        known = gather.key in p.copies.get(b.read.src[0], {})
        whole = START + GATHER * prod(map(int, gather.shape))
        extra = 0.0 if known else p.shared(b, whole)
        ways = [(False, extra, gather)]
    return [c for way in ways for c in _tiles(p, a, b, m, n, paired, *way)]


def _tiles(
    p: Problem, a: Operand, b: Operand, m: Node | None, n: Node, paired: bool, pack: bool,
    extra: float, gather: Gather | None,
) -> list[Choice]:  # fmt: skip
    """Tiles of all sensible sizes, with b in panels, as it lies, or gathered; `extra`: the cycles
    of its copy."""
    width = p.lane_count
    height, columns = value(p.extents[m]) if m else 1, value(p.extents[n])
    stored = p.target_strides[n]
    outside = 0.0
    if stored != 1:
        far = value(stored) * p.sum.dtype.itemsize * 4 > PAGE
        outside = (SCATTER_FAR if far else SCATTER) * columns * height * caches.rest(p, m, n)
    # Emitted tiles are then turned in registers.
    turned = m is not None and p.target_strides[m] == 1 != stored
    found = []
    every = 0.0
    if paired and m is not None and value(a.strides[m]) * p.itemsize >= PAGE:
        every = APART
    loose = _apart(p, a, paired), p.halves == "pairs" and not pack
    edges = 0.0 if m is None else _edges(p, m)
    walk = 0.0 if m is None or paired else caches.walk(p, a, m)
    for vectors in (1, 2, 3, 4, 6, 8) if m is None or paired else (1, 2, 3, 4):
        if vectors > 1 and (vectors - 1) * width >= columns:
            break
        rows = min(height, _most_rows(p.registers, vectors, paired))
        if rows < 1:
            continue
        runtime = m is not None and isinstance(p.extents[m], Sym)
        for rows in range(1, rows + 1) if runtime else (even(height, rows),):
            # A runtime number of rows ends in single rows, others in equal tiles.
            tiles = [(rows, height // rows), (1, height % rows)]
            if not runtime:
                tiles = [(size, count) for _, size, count in split(height, rows)]
            cycles = sum(
                count * _tile_cycles(
                    p, r, vectors, columns, width, paired, every, loose,
                    caches.fresh(p, a, b, m, r) if paired
                    else 0.0 if m is None else caches.lines(p, a, m, r),
                )
                for r, count in tiles
            ) + edges * sum(count for _, count in tiles) * -(-columns // (vectors * width))
            store = outside
            if turned and rows > 2:
                store = TURN * columns * sum(count for _, count in tiles) * caches.rest(p, m, n)
            cost = cycles * caches.rest(p, m, n) + min(store, outside) + extra
            c = Choice(
                cost, a, b, m, n, rows, vectors, paired=paired, pack=pack, repack=gather
            )
            if m is not None and not paired and caches.walks_far(p, a) and caches.terms(p) >= 64:
                c.cost += (WALK - 1) * cycles * caches.rest(p, m, n)
            elif walk:
                c.cost += walk * caches.terms(p) * sum(count for _, count in tiles) * -(
                    -columns // (vectors * width)) * caches.rest(p, m, n)
            if gather is None and m is not None and (
                caches.crowded(p, a, m, rows) or caches.scattered(p, a, m, columns)
            ):  # fmt: skip
                c.cost, c.pack_rows = _uncrowded(p, a, m, cost)
            if isinstance(p.extents[n], Sym) and gather is None and pack:
                c.cost *= LATER
            found.append(c)
            together = (loose[0] or c.cost > cost) and not c.pack_rows
            if gather is None and m is not None and together and _rows_packable(p, a, m):
                found.append(_with_rows(p, c, tiles, columns, width, outside + extra))
    return found


def _most_rows(registers: int, vectors: int, paired: bool) -> int:
    """Rows of a tile whose running values stay in registers through every term.

    Besides rows × vectors of them, a term holds `vectors` of b and two factors of a (paired: one of
    each, and what is read ahead). Where a tile is one vector wide, b's of four terms are read
    ahead: counted in the machine code that LLVM makes of all tiles for each kind of processor
    (tests/emit/test_spills.py).
    """
    rows = (registers * 3 // 4 if paired else registers - 2 - vectors) // vectors
    return min(rows, registers - 6 if vectors == 1 else rows, 14)


def _with_rows(
    p: Problem, c: Choice, tiles: list[tuple[int, int]], columns: int, width: int, extra: float
) -> Choice:
    """The choice with a copied first, so that its pairs, or the terms of a row, lie together."""
    loose = False, p.halves == "pairs" and not c.pack
    cycles = sum(
        count * _tile_cycles(p, r, c.vectors, columns, width, False, 0.0, loose)
        for r, count in tiles
    )
    if isinstance(p.extents[p.k[-1]], Sym) and c.rows > POINTERS:
        cycles *= CROWDED
    cost = cycles * caches.rest(p, c.m, c.n) + extra + TRANSPOSE * caches.elements(p, c.a)
    return replace(c, cost=cost, pack_rows=True)


def _apart(p: Problem, a: Operand, paired: bool) -> bool:
    """Must each pair of a be put together from two numbers, or widened and held against 2⁻¹²⁶?"""
    apart = not p.adds_pairs or a.strides.get(p.k[-1], 0) != 1
    return p.halves == "pairs" and not paired and apart


def _tile_cycles(
    p: Problem, rows: int, vectors: int, columns: int, width: int, paired: bool, every: float,
    loose: tuple[bool, bool], lines: float = 0.0,
) -> float:  # fmt: skip
    """About how many cycles the tiles of some rows take, over all columns; `loose`: the pairs of a
    and of b are put together (or their numbers held against 2⁻¹²⁶) in the tile; `lines`: of a that
    each term finds in the second level of cache (paired: vectors, for each of b's)."""
    whole, rest = divmod(columns, vectors * width)
    # Two vectors are multiplied in a cycle, and two are loaded, a repeated number like any other:
    # then halves of a cycle are counted. Where a processor works in halves it is one.
    wide = p.in_halves and width * p.sum.dtype.bits > 256
    near = 24 if width * p.sum.dtype.bits > 256 else 12  # bytes that the cache below gives
    terms = caches.terms(p)
    if p.adds_pairs:
        last = value(p.extents[p.k[-1]])
        terms = terms // max(1, last) * -(-last // 2)
    cycles = 0.0
    for count, across in ((whole, vectors * width), (1 if rest else 0, rest)):
        v = -(-across // width)
        loads = v * (1 + rows) if paired else v + rows * (0.5 if wide else 1.0)
        work = rows * v + (LOOSE_VECTOR * v if loose[1] else 0)
        if loose[0] and p.adds_pairs:
            loads += LOOSE_NUMBER * rows
        elif loose[0]:
            work += LOOSE_NUMBER * rows
        if paired and p.halves == "pairs":
            work += LOOSE_VECTOR * rows * v
        if 2 * across <= width and wide and not p.halves:
            work /= 2
        per_step = max(work, loads, 4 if wide else 8) + (0.5 if p.bounds else 0.2) + every
        # What a tile reads of b comes from the second level of cache; see `_arrange`.
        far = lines * (v * width * 4 if paired else LINE)
        per_step = max(per_step, (v * width * 4 + far) / near)
        cycles += count * (terms * per_step + rows * v * 2 + 15)
    return cycles


def _edges(p: Problem, m: Node) -> float:
    """Cycles that one tile takes because its rows enter and leave along the innermost loop."""
    bound = p.row_bound(m) if m in p.guarded else None
    last = p.k[-1]
    if bound is None or bound.variable is not last:
        return 0.0
    if value(p.extents[last]) <= value(p.extents[m]):
        return 0.0  # few terms, many rows: it is the rows that are cut
    runs = prod(value(p.extents[v]) for v in p.k[:-1])
    # Where a multiply-add of a vector takes a whole cycle (see `_tile_cycles`) half of it is hidden
    # behind them; elsewhere halves of a cycle are counted.
    whole = p.in_halves and p.lane_count * p.sum.dtype.bits > 256
    return runs * EDGES * (0.5 if whole else 2.0)


def _uncrowded(p: Problem, a: Operand, m: Node, cost: float) -> tuple[float, bool]:
    """(the cost, whether a is copied first into rows that are not crowded)."""
    if _rows_packable(p, a, m):
        elements = caches.elements(p, a)
        # Of so many the copy leaves the caches, which is as slow as to turn them there.
        each = TRANSPOSE if elements * p.itemsize > LARGE else COPY
        copied = cost + each * elements
        if copied < CROWDED * cost:
            return copied, True
    return CROWDED * cost, False


def _rows_packable(p: Problem, a: Operand, m: Node) -> bool:
    last = p.k[-1]
    if m in p.guarded or m in p.joined or len(p.k) > 1:
        return False
    if isinstance(p.extents[last], Sym) and isinstance(p.extents[m], Sym):
        return False
    return packable(p, a, last, runtime=True)


def _packing(p: Problem, b: Operand, m: Node | None, n: Node) -> list[tuple[bool, float]]:
    """Ways to read b: whether it is copied into panels first, and what that costs."""
    # Where nothing changes a copy of the weights, which have no runtime size, stands for good.
    along = p.updates and b.strides[n] != 1 and value(p.extents[n]) >= p.lane_count
    if not packable(p, b, n, runtime=along):
        return [(False, 0.0)] if b.strides[n] == 1 else []
    elements = p.shared(b, caches.elements(p, b))
    if b.strides[n] != 1:
        whole = m is None or value(p.extents[m]) < NEAR_ROWS  # see `_near`
        away = AWAY if whole and elements * p.itemsize > LARGE else 0.0
        return [(True, (TRANSPOSE + away) * elements)]
    if p.halves == "pairs":
        return [(False, 0.0), (True, COPY * elements)]
    uses = p._count() / max(1.0, elements)  # how often each element is used
    last = b.strides.get(p.k[-1], 0)
    # A step of the sum changes lines. (The rows of a chain's unit are near soon, and a copy of them
    # would leave the caches.)
    far = not isinstance(last, Sym) and int(last) * 4 >= 1024 and not p.apart
    if far and uses >= 256 and caches.terms(p) >= 64 and not isinstance(p.extents[n], Sym):
        return [(True, COPY * elements)]
    return [(False, 0.0)]


def packable(p: Problem, b: Operand, n: Node, runtime: bool = False) -> bool:
    """Is every index of the read affine in one variable of its own, n as it is, and inside the
    tensor whatever the conditions of the terms say? runtime: n may have a runtime size."""
    if b.raw.computed or b.raw.guarded:
        return False
    if n in p.joined or (isinstance(p.full[n], Sym) and not runtime):
        return False
    tensor, *indices = b.read.src
    if sum(isinstance(size_of(s), Sym) for s in tensor.shape) > 1:
        return False  # a copy of the square of a runtime size
    seen: set[Node] = set()
    for ix, size in zip(indices, tensor.shape):
        parts = affine(ix)
        if parts is None or len(parts[0]) > 1:
            return False
        for v, c in parts[0].items():
            if v in seen or c < 1 or (v is n and (c, parts[1]) != (1, 0)):
                return False
            if c == 1 and not 0 <= parts[1] <= value(size_of(size)) - value(p.full[v]):
                return False  # only a part of the loop reads
            seen.add(v)
    return n in seen


def _near(p: Problem, c: Choice) -> bool:
    """Should each thread copy a panel right before it uses it? If rows enough follow that use it,
    and none of b's elements lies elsewhere than in its own loops."""
    if isinstance(p.extents[c.n], Sym):
        return False
    outer = [v for v in p.extents if v.op == "out" and v is not c.m and v is not c.n]
    varies = any(c.b.strides.get(v, 0) != 0 for v in outer)
    rows = value(p.extents[c.m]) if c.m is not None else 1
    if c.order != "rows":
        rows *= caches.rest(p, c.m, c.n)
        if varies:
            return False
    if rows < NEAR_ROWS or c.order == "across" or c.paired or p.halves:
        return False
    if any(by != 1 for ix in c.b.read.src[1:] for by in (affine(ix) or ({}, 0))[0].values()):
        return False
    if c.b.strides[c.n] == 1:
        return True
    run = turned(p, c)
    if not run or not c.block:
        return bool(run)
    first = min(p.k.index(v) for v in run)
    return first > c.block[0] or (first == c.block[0] and len(run) == 1)


def _arrange(p: Problem, c: Choice) -> None:
    """Blocks of the reduction, and which tiles come first, so that data stay near."""
    width = p.lane_count * p.itemsize
    terms = caches.terms(p)
    columns = value(p.extents[c.n])
    rows = 1  # all that a's block holds for one term
    for v, s in c.a.strides.items():
        if v.op == "out" and s != 0 and v not in p.guarded:
            rows *= value(p.extents[v])
    itemsize = p.itemsize
    panel = terms * c.vectors * width
    repeated = caches.rest(p, c.m, c.n) * -(-columns // (c.vectors * p.lane_count))
    outer = [v for v in p.extents if v.op == "out" and v is not c.m and v is not c.n]
    shared = not any(v.op == "out" and v is not c.n and s for v, s in c.b.strides.items())
    tile = c.vectors * p.lane_count
    if terms * columns * itemsize > PANEL and panel <= 2 * PANEL and shared:
        c.order = "columns"
    elif not outer and c.m is not None and columns > tile and not c.paired and (
        terms * rows * itemsize > NEAR or isinstance(p.extents[c.m], Sym)
    ):  # fmt: skip
        # a is read once, the whole of b from the second-level cache. A plan for a few rows of a
        # runtime number serves any.
        c.order = "across"
    elif c.paired and caches.slides(p, c) and caches.elements(p, c.b) * itemsize <= FIRST:
        c.order = "across"  # pixels are read and written whole, b lies in the first-level cache
    elif outer and all(value(p.target_strides[v]) < value(p.target_strides[c.n]) for v in outer):
        c.order = "outer"
    if len(p.k) == 0 or repeated == 0:
        return
    most = max(LEAST_BLOCK, PANEL // (c.vectors * width))
    near = NEAR // ((rows + columns) * itemsize)
    across = c.a.strides.get(p.k[-1], 0) != 1  # a tile takes a part of each line that it touches
    if c.m is None and caches.walks_far(p, c.b) and terms > 2 * STREAMS:
        c.block = (len(p.k) - 1, STREAMS)  # runs of that many rows are read side by side
        return
    if across and terms * (rows + columns) * itemsize > NEAR and near >= LEAST_BLOCK:
        most = min(most, near)
    if c.paired and outer and caches.elements(p, c.b) * itemsize > FIRST:
        # Each tile of an outer loop (a tap of a window) reads the same vectors of both again.
        most = max(RUN, FIRST_LEVEL // (2 * c.vectors * width))
    if terms <= most * 5 // 4:
        return
    inner = 1
    for depth in reversed(range(len(p.k))):
        extent = value(p.extents[p.k[depth]])
        if inner * extent > most:
            size = max(1, most // inner)
            if -(-extent // size) > 1:
                size = even(extent, size)
                pairs = p.halves == "pairs" and depth == len(p.k) - 1
                c.block = (depth, size + size % 2 if pairs else size)
            return
        inner *= extent


# ---- lanes ---------------------------------------------------------------------------------------


def _lanes(p: Problem, a: Operand, b: Operand, m: Node | None, n: Node) -> list[Choice]:
    last = p.k[-1]
    repack: Gather | tuple[Node, int] | None = None
    extra = 0.0
    for o in (a, b):
        if o.strides.get(last) != 1:
            wanted, cost = _repack(p, o, last)
            if wanted is None:
                return []
            repack, extra = wanted, extra + cost
    if last in p.guarded or last in a.tied or last in b.tied:
        return []
    if m is not None and m in p.guarded:
        return []
    width = p.lane_count
    height, columns = value(p.extents[m]) if m else 1, value(p.extents[n])
    found = []
    for vectors in (1, 2, 3, 4, 5, 6):
        rows = min(height, (p.registers - 1 - vectors) // vectors)
        rows = min(rows, p.registers - 2 - vectors if vectors == 1 else rows)
        while rows > 1 and rows * vectors + vectors + 1 > p.registers - 1:
            rows -= 1
        if (1 << (vectors - 1).bit_length()) > width or rows < 1:
            continue
        inner = value(p.extents[last])
        steps = caches.terms(p) // max(1, inner) * -(-inner // width)
        rows = even(height, rows)
        tiles = -(-height // rows) * -(-columns // vectors) * caches.rest(p, m, n)
        per_step = max(rows * vectors, rows + vectors, 4)
        per_tile = steps * per_step + rows * vectors * 4 + 10
        cost = tiles * per_tile + extra
        found.append(Choice(cost, a, b, m, n, rows, vectors, lanes=True, repack=repack))
    return found


def _repack(
    p: Problem, o: Operand, last: Node
) -> tuple[Gather | tuple[Node, int] | None, float]:
    """Copying an operand so that `last` is contiguous: (what to copy, about how many cycles)."""
    tensor, *indices = o.read.src
    if last not in indices:
        return None, 0.0
    axis, known = indices.index(last), p.copies.get(tensor, {})
    if axis in known:
        return (tensor, axis), 0.0
    whole = prod(map(int, tensor.shape))
    gather = p.gather(o, last)
    if gather is not None and (gather.key in known or 2 * prod(map(int, gather.shape)) <= whole):
        return gather, 0.0 if gather.key in known else GATHER * prod(map(int, gather.shape))
    return (tensor, axis), GATHER * whole
