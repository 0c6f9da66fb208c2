"""The terms of a contraction's tile: running vectors in registers, one fused multiply-add each.

*Broadcast*: `vectors` vectors of b along n, `rows` scalars of a along m (or, paired, vectors along
n, too), added in the order of the sum. *Lanes*: both operands are vectors along the last reduction
loop; the lanes of each running value are added in a fixed tree at the end. Must not know what the
finished sums become.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ..ir.dtype import DType
from .builder import Operand
from .deal import size
from .expression import Binding, Value
from .finish import finish
from .kernel import RowBound
from .operations import Writer, convert, storage_type
from .reduction import lane_mask

if TYPE_CHECKING:
    from .contraction import ContractionWriter, Inner, Rows


# ---- broadcast -----------------------------------------------------------------------------------


def sum_broadcast(
    c: ContractionWriter, kind: Rows, m0: Operand, vectors: int, masks: list[Operand | None],
    start: list[Operand],
) -> list[Operand]:  # fmt: skip
    """Running values, row by row: rows × vectors vectors."""
    from .pairs import PairTerms

    e, f, k = c.e, c.f, c.k
    vt, t, height = c.vt, c.dtype.llvm, kind[1]
    a_type, b_type = k.a.dtype, k.b.dtype  # of 16 bits, or that of the sum
    last, extent = k.k[-1]
    a_step, b_step = c.strides(k.a, last), c.strides(k.b, last)
    a_row = c.strides(k.a, k.m[0]) if k.m else 0
    a_rows = [c.offset(a_row, i) for i in range(height)]
    unroll = 4 if height * vectors <= 16 else 2
    rows = (0, height)  # that take part where we are

    def load(address: Operand, j: int, dtype: DType) -> Operand:
        return c.vector(f.gep(address, j * c.width, dtype.llvm), masks[j], dtype)

    def terms(iv: Operand, running: list[Operand], count: int) -> list[Operand]:
        scope = e.open(f.region)
        e.bindings[last] = Binding(iv, 0, scope)
        a0, b0 = c.base(k.a), c.base(k.b)
        running = list(running)
        w = Writer(f, f.region, c.width)

        def add(i: int, j: int, x: Operand, y: Operand) -> None:
            at = i * vectors + j
            if k.halves:
                running[at] = w.add_product(x, y, running[at])
            else:
                running[at] = w.intrinsic("fma", t, x, y, running[at])

        if k.ahead and not k.paired and count == unroll:
            ask_ahead(iv)
        for u in range(count):
            a_u = f.gep(a0, c.offset(a_step, u), a_type.llvm)
            b_u = f.gep(b0, c.offset(b_step, u), b_type.llvm)
            if k.paired:  # one vector of b at a time: registers for more rows of sums
                for j in range(vectors):
                    y = load(b_u, j, b_type)
                    for i in range(*rows):
                        add(i, j, load(f.gep(a_u, a_rows[i], a_type.llvm), j, a_type), y)
                continue
            b = [load(b_u, j, b_type) for j in range(vectors)]
            for i in range(*rows):
                address = f.gep(a_u, a_rows[i], a_type.llvm)
                x = f.put(f"load {a_type.llvm}, ptr {address}, align {a_type.itemsize}")
                x = convert(Writer(f, f.region, 0), a_type, c.dtype, x)
                x = e.widen(Value(x, c.dtype, 0, scope), c.width)
                for j in range(vectors):
                    add(i, j, x, b[j])
        e.close()
        return running

    def ask_ahead(iv: Operand) -> None:
        """Ask for some lines of the next tile's rows (or of what those after the computed ones are
        computed from), which follow this one's in memory: these terms' part of all that they fill.
        No processor sees so many short rows coming."""
        load, tiles = (k.a, 1) if k.prologue is None else (k.prologue.ahead, k.prologue.tiles)
        assert load is not None and k.m is not None
        itemsize, row = load.dtype.itemsize, c.strides(load, k.m[0])
        # From one row to the next, in rows: 2 where every other pixel of an image is one.
        across = int(c.offset(row, 1)) // int(size(e, extent))
        lines = -(-height * across * unroll * itemsize // 64)
        apart = lines * 64 // itemsize // unroll  # elements for each term; the base is at term iv
        after = f.add(c.offset(row, height * tiles), f.mul(iv, apart - 1))
        start = f.put(f"getelementptr {storage_type(load.dtype)}, ptr {c.base(load)}, i64 {after}")
        f.declare("void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        for i in range(lines):
            at = f.put(f"getelementptr i8, ptr {start}, i64 {64 * i}")
            f.do(f"call void @llvm.prefetch.p0(ptr {at}, i32 0, i32 2, i32 1)")

    def ask_below() -> None:
        """Ask for what the tile below will read that this one does not: the next rows of an image
        under a window, a column of which comes from memory a few lines at a time."""
        below, (window, count) = k.outer[-1][0], k.k[0]
        step = int(c.offset(c.strides(k.a, window), 1))
        new = int(c.offset(c.strides(k.a, below), 1)) // abs(step)
        rows = int(size(e, count))
        unread = range(rows, rows + new) if step > 0 else range(-new, 0)
        scope = e.open(f.region)
        for variable, _ in k.k:
            e.bindings[variable] = Binding("0", 0, scope)
        start = c.base(k.a)
        f.declare("void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        for row in unread:
            for r in a_rows:
                first = (row * step + int(r)) * a_type.itemsize
                for line in range(0, vectors * c.width * a_type.itemsize, 64):
                    at = f.put(f"getelementptr i8, ptr {start}, i64 {first + line}")
                    f.do(f"call void @llvm.prefetch.p0(ptr {at}, i32 0, i32 2, i32 1)")
        e.close()

    def some(
        lo: Operand | int, hi: Operand | int, these: tuple[int, int], running: list[Operand]
    ) -> list[Operand]:
        """Terms in which the same rows take part."""
        nonlocal rows
        rows = these
        count = unroll if these == (0, height) else 1
        values = unrolled(c, lo, hi, 1, count, terms, [(vt, v) for v in running])
        rows = (0, height)
        return values

    def innermost(running: list[Operand]) -> list[Operand]:
        lo, hi, step = c.bounds(len(k.k) - 1, size(e, extent))
        if k.row_bound is not None and k.row_bound.variable is last:
            assert step == 1 and k.halves != "pairs"
            for start, end, these in _along_diagonal(c, k.row_bound, m0, height):
                first = lo if start is None else f.smax(lo, start)
                running = some(first, hi if end is None else f.smin(hi, end), these, running)
            return running
        if k.halves == "pairs":
            return PairTerms(c, height, vectors, masks, rows).write(lo, hi, running)
        return unrolled(c, lo, hi, step, unroll, terms, [(vt, v) for v in running])

    def narrowed(term: Operand, running: list[Operand], go_on: Inner) -> list[Operand]:
        """Go on with the rows that take part in a term, which is one of a few known cases."""
        nonlocal rows
        assert k.row_bound is not None
        first, end = _rows_at(c, k.row_bound, m0, height, term)

        def side(these: tuple[int, int]) -> list[Operand]:
            nonlocal rows
            e.open(f.region)
            rows = these
            values = go_on(running)
            rows = (0, height)
            e.close()
            return values

        def among(cases: list[tuple[int, int]]) -> list[Operand]:
            if not cases:
                return running
            these = cases[0]
            same = [f.put(f"icmp eq i64 {x}, {y}") for x, y in zip((first, end), these)]
            return f.choose(
                f.put(f"and i1 {same[0]}, {same[1]}"), lambda: side(these),
                lambda: among(cases[1:]), [vt] * len(running),
            )  # fmt: skip

        variable_extent = dict(k.k)[k.row_bound.variable]
        cases = row_cases(k.row_bound, kind, int(variable_extent))  # type: ignore[arg-type]
        return side(cases[0]) if cases == [(0, height)] else among(
            [these for these in cases if these != (0, 0)]
        )

    if k.ahead and k.paired:
        ask_below()
    return c.reduction_loops([(vt, s) for s in start], innermost, narrowed)


def _along_diagonal(
    c: ContractionWriter, bound: RowBound, m0: Operand, height: int
) -> Iterator[tuple[Operand | int | None, Operand | int | None, tuple[int, int]]]:
    """(first term, end, rows that take part) of the terms of a tile: row r ends (or begins) with
    term T + r."""
    f = c.f
    at = f.add(m0, c.e.word(bound.constant))
    if bound.lo is not None:
        turn = f.sub(at, bound.lo)
        yield None, f.add(turn, 1), (0, height)
        for r in range(1, height):
            yield f.add(turn, r), f.add(turn, r + 1), (r, height)
        return
    assert bound.hi is not None
    turn = f.sub(at, bound.hi - 1)
    for r in range(height - 1):
        yield f.add(turn, r), f.add(turn, r + 1), (0, r + 1)
    yield f.add(turn, height - 1), None, (0, height)


def row_cases(bound: RowBound, kind: Rows, extent: int) -> list[tuple[int, int]]:
    """Which runs of rows take part in some term of some tile, the whole tile first."""
    start, height, count = (int(x) for x in kind)
    found = {
        bound.rows(start + i * height, height, term)
        for i in range(count) for term in range(extent)
    }  # fmt: skip
    return sorted(found, key=lambda these: (these[0] - these[1], these))


def _rows_at(
    c: ContractionWriter, bound: RowBound, m0: Operand, height: int, term: Operand
) -> tuple[Operand, Operand]:
    """RowBound.rows for a tile and a term that are known when the kernel runs."""
    f, by = c.f, bound.by_row
    at = f.add(f.add(f.mul(m0, by), f.mul(term, bound.by_term)), c.e.word(bound.constant))
    first, end = "0", str(height)
    if bound.lo is not None:
        first = f.smax(0, c.floor(f.add(f.sub(bound.lo, at), by - 1), by))
    if bound.hi is not None:
        end = f.smin(height, c.floor(f.add(f.sub(bound.hi, at), by - 1), by))
    return first, end


def unrolled(
    c: ContractionWriter, lo: Operand | int, hi: Operand | int, step: int, unroll: int,
    terms: Callable[[Operand, list[Operand], int], list[Operand]],
    carried: list[tuple[str, Operand]],
) -> list[Operand]:  # fmt: skip
    """The innermost reduction loop, several terms an iteration."""
    f, k = c.f, c.k

    def some(count: int) -> Callable[[Operand, list[Operand]], list[Operand]]:
        return lambda iv, running: terms(iv, running, count)

    if step > 1 or k.a.arg.computed or k.b.arg.computed:
        return f.counted(lo, hi, step, some(1), carried)
    if not (isinstance(lo, int) and isinstance(hi, int)):
        count = f.smax(0, f.sub(hi, lo))
        middle = f.add(lo, f.put(f"and i64 {count}, {-unroll}"))
        values = f.counted(lo, middle, unroll, some(unroll), carried)
        return f.counted(middle, hi, 1, some(1), [(t, v) for (t, _), v in zip(carried, values)])
    if hi - lo <= unroll + 1:
        values = [v for _, v in carried]
        return terms(str(lo), values, hi - lo) if hi > lo else values
    whole = lo + (hi - lo) // unroll * unroll
    values = f.counted(lo, whole, unroll, some(unroll), carried)
    return values if whole == hi else terms(str(whole), values, hi - whole)


# ---- lanes ---------------------------------------------------------------------------------------


def sum_lanes(
    c: ContractionWriter, height: int, columns: int, ragged: Operand | None
) -> list[Operand]:
    """Running vectors along the last reduction loop: height × columns of them."""
    e, f, k = c.e, c.f, c.k
    w = c.width
    vt, t = e.type_of(c.dtype, w), c.dtype.llvm
    a_type, b_type = k.a.dtype, k.b.dtype
    values = [(vt, "zeroinitializer")] * (height * columns)
    last, extent = k.k[-1]
    n = size(e, extent)
    a_row = c.strides(k.a, k.m[0]) if k.m else 0
    b_row = c.strides(k.b, k.n[0])
    a_rows = [c.offset(a_row, i) for i in range(height)]
    b_rows = [c.offset(b_row, j) for j in range(columns)]
    if ragged is not None:  # columns beyond the end read the last one; they are not stored
        left = f.sub(f.sub(str(size(e, k.n[1])), ragged), 1)
        b_rows = [f.mul(f.smin(left, j), e.word(b_row)) for j in range(columns)]

    def terms(masked: bool) -> Callable[[Operand, list[Operand]], list[Operand]]:
        def body(iv: Operand, running: list[Operand]) -> list[Operand]:
            mask = None
            if masked:
                mask = lane_mask(e, iv, str(n), w)
            scope = e.open(f.region)
            e.bindings[last] = Binding(iv, 0, scope)
            a0, b0 = c.base(k.a), c.base(k.b)

            b = [c.vector(f.gep(b0, r, b_type.llvm), mask, b_type) for r in b_rows]
            writer = Writer(f, f.region, w)
            out = list(running)
            for i in range(height):
                a = c.vector(f.gep(a0, a_rows[i], a_type.llvm), mask, a_type)
                for j in range(columns):
                    # Lanes beyond the end add 0·0.
                    at = i * columns + j
                    if not k.halves:
                        out[at] = writer.intrinsic("fma", t, a, b[j], out[at])
                        continue
                    total = writer.add_product(a, b[j], out[at])
                    # Here a running value may be −0, which 0·0 would change.
                    out[at] = writer.select(mask, total, out[at]) if mask else total
            e.close()
            return out

        return body

    def innermost(running: list[Operand]) -> list[Operand]:
        carried = [(vt, v) for v in running]
        if isinstance(n, int):
            full = n // w * w
            running = f.counted(0, full, w, terms(False), carried)
            if full < n:
                running = terms(True)(str(full), running)
            return running
        full_ = f.put(f"and i64 {n}, {-w}")
        running = f.counted(0, full_, w, terms(False), carried)
        return f.counted(full_, n, w, terms(True), [(vt, v) for v in running])

    return c.reduction_loops(values, innermost)


def finish_lanes(
    c: ContractionWriter, sums: list[Operand], m0: Operand, n0: Operand, height: int, columns: int,
    ragged: bool,
) -> None:  # fmt: skip
    """Add the lanes of each running value in a fixed tree; store row by row."""
    e, f, k = c.e, c.f, c.k
    padded = 1 << (columns - 1).bit_length()
    mask: Operand | None = None
    if ragged:
        n = str(size(e, k.n[1]))
        mask = lane_mask(e, n0, n, padded) if padded > 1 else None
    elif padded != columns:
        bits = ["true" if i < columns else "false" for i in range(padded)]
        mask = "<" + ", ".join(f"i1 {b}" for b in bits) + ">"
    for i in range(height):
        row = sums[i * columns : (i + 1) * columns]
        total = add_lanes(c, row + ["zeroinitializer"] * (padded - columns))
        lanes = padded if padded > 1 else 0
        scope = e.open(f.region, mask)
        e.bindings[k.n[0]] = Binding(n0, lanes, scope)
        finish(c, total, lanes, f.add(m0, i))
        e.close()


def add_lanes(c: ContractionWriter, rows: list[Operand]) -> Operand:
    """[r0, r1, …] (a power of two of vectors) → <Σ r0, Σ r1, …>, lanes added l with l + half.

    Two vectors share one once each needs only half of its lanes.
    """
    f, t = c.f, c.dtype.llvm
    w = c.width
    part = w  # lanes still in use for each row
    packed = rows
    held = 1  # rows held by each vector
    while part > 1:
        half = part // 2
        vt = f"<{w} x {t}>"
        if len(packed) > 1:
            merged = []
            for a, b in zip(packed[::2], packed[1::2]):
                low = [r * part + x for r in range(held) for x in range(half)]
                high = [i + half for i in low]
                index = [low + [w + i for i in low], high + [w + i for i in high]]
                x, y = (
                    f.put(
                        f"shufflevector {vt} {a}, {vt} {b}, <{w} x i32> <"
                        + ", ".join(f"i32 {i}" for i in ix) + ">"
                    )
                    for ix in index
                )  # fmt: skip
                merged.append(f.put(f"fadd {vt} {x}, {y}"))
            packed, held = merged, held * 2
        else:
            index_high = [
                (r * part + half + x) if x < half else r * part + x
                for r in range(held) for x in range(part)
            ]  # fmt: skip
            index_high += [0] * (w - len(index_high))
            y = f.put(
                f"shufflevector {vt} {packed[0]}, {vt} poison, <{w} x i32> <"
                + ", ".join(f"i32 {i}" for i in index_high)
                + ">"
            )
            s = f.put(f"fadd {vt} {packed[0]}, {y}")
            keep = [r * part + x for r in range(held) for x in range(half)]
            keep += [0] * (w - len(keep))
            packed = [
                f.put(
                    f"shufflevector {vt} {s}, {vt} poison, <{w} x i32> <"
                    + ", ".join(f"i32 {i}" for i in keep)
                    + ">"
                )
            ]
        part = half
    n = len(rows)
    if n == 1:
        return f.put(f"extractelement <{w} x {t}> {packed[0]}, i64 0")
    if n == w:
        return packed[0]
    first = [f"i32 {i}" for i in range(n)]
    return f.put(
        f"shufflevector <{w} x {t}> {packed[0]}, <{w} x {t}> poison, <{n} x i32> <"
        + ", ".join(first)
        + ">"
    )
