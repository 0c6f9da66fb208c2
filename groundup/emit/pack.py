"""Writes a `Pack` kernel: a copy into another layout, in square blocks transposed in registers.

Knows strides; must not know why another layout is wanted.
"""

from __future__ import annotations

from collections.abc import Callable

from ..ir.dtype import int64
from . import moves
from .builder import Function, Operand, module
from .deal import digits, product, share, size
from .expression import Emitter, Value
from .kernel import Pack
from .nest import SIGNATURE, carefully
from .operations import Writer, convert, storage_type
from .reduction import lane_mask
from .square import transpose


def emit_pack(kernel: Pack, name: str) -> str:
    """The kernel as a module of LLVM IR text."""
    fn = Function(name, SIGNATURE)
    e = Emitter(fn, kernel.width)
    carefully(e, kernel.careful, PackWriter(e, kernel).write)
    return module([fn.text()], fn.declared)


class PackWriter:
    """One copy: units of work are (outer indices, block of lanes)."""

    def __init__(self, e: Emitter, kernel: Pack) -> None:
        self.e, self.f, self.k = e, e.fn, kernel
        self.source, self.dtype = kernel.element.dtype, kernel.stored.dtype
        self.s, self.t = storage_type(self.source), storage_type(self.dtype)
        self.w = kernel.width if self.dtype.bits <= 32 else kernel.width // 2
        self.vt = f"<{self.w} x {self.t}>"
        self.rows: Operand | int | None = None  # of the joined loops; None: all

    def write(self) -> None:
        e, f, k = self.e, self.f, self.k
        lanes = size(e, k.lane[0])
        blocks = f.div(f.add(lanes, self.w - 1), self.w)
        counts = [*(size(e, extent) for extent, _, _ in k.outer), blocks]
        lo, hi = share(e, product(f, counts))
        source = f.gep(e.pointer(k.source), e.word(k.offset), self.s)
        target = e.pointer(k.target)

        def unit(i: Operand, _: list[Operand]) -> None:
            e.open(f.region)
            *places, block = digits(f, i, counts)
            lane = f.mul(block, self.w)
            a, b = source, f.gep(target, self.lane_place(lane), self.t)
            for (_extent, from_, to), at in zip(k.outer, places):
                a = f.gep(a, f.mul(at, e.word(from_)), self.s)
                b = f.gep(b, f.mul(at, e.word(to)), self.t)
            a = f.gep(a, f.mul(lane, e.word(k.lane[1])), self.s)
            ragged = not isinstance(lanes, int) or lanes % self.w > 0
            full = f.put(f"icmp sle i64 {f.add(lane, self.w)}, {lanes}") if ragged else "true"
            f.when(full, lambda: self.block(a, b, lane, None))
            if ragged:
                rest_of = f.put(f"xor i1 {full}, true")
                f.when(rest_of, lambda: self.block(a, b, lane, lanes))
            e.close()

        f.counted(lo, hi, 1, unit)

    def lane_place(self, lane: Operand) -> Operand:
        """Where a block's first lane lies in the target."""
        f, (panel, stride) = self.f, self.k.panel
        if not panel:
            return lane
        inside = f.mul(f.rem(lane, panel), 2 if self.k.pairs else 1)
        return f.add(f.mul(f.div(lane, panel), self.e.word(stride)), inside)

    def block(
        self, a: Operand, b: Operand, lane: Operand, lanes: Operand | int | None
    ) -> None:
        """All rows of one block of lanes; with `lanes`, only those that exist."""
        e, f, k = self.e, self.f, self.k
        e.open(f.region)
        mask = None if lanes is None else lane_mask(e, lane, str(lanes), self.w)
        store = mask if not k.panel[0] else None  # a panel has room for whole vectors
        left: Operand | None = None
        if lanes is not None:
            left = str(lanes % self.w) if isinstance(lanes, int) else f.sub(lanes, lane)
        if k.pairs:
            self.pairs(a, b, mask, left)
        elif k.lane[1] == 1 or k.row_step != 1:
            self.straight(a, b, mask, store)
        else:
            self.transposed(a, b, left, store)
        e.close()

    def row_count(self) -> Operand | int:
        if self.rows is not None:
            return self.rows
        total: Operand | int = 1
        for extent, _ in self.k.row:
            total = self.f.mul(total, size(self.e, extent))
        return total

    def row_place(self, row: Operand) -> Operand:
        """Where row number `row` of the joined loops lies in the target."""
        f, place = self.f, "0"
        for i, (extent, stride) in reversed(list(enumerate(self.k.row))):
            s = size(self.e, extent)
            at = row if i == 0 else f.rem(row, s)
            place = f.add(place, f.mul(at, self.e.word(stride)))
            row = f.div(row, s)
        return place

    def straight(self, a: Operand, b: Operand, mask: Operand | None, store: Operand | None) -> None:
        """Vectors of lanes, row by row; gathered where they do not lie together in the source."""
        f = self.f
        read = self.row_reader(a, mask)

        def body(row: Operand, _: list[Operand]) -> None:
            self.put(read(row), f.gep(b, self.row_place(row), self.t), store)

        f.counted(0, self.row_count(), 1, body)

    def row_reader(self, a: Operand, mask: Operand | None) -> Callable[[Operand], Operand]:
        """What reads the lanes of one row."""
        f, e, stride = self.f, self.e, self.k.lane[1]
        step = e.word(self.k.row_step)
        index = ""
        if stride != 1:
            zero = Value("0", int64, 0, e.scope)
            index = e.lane_indices(zero, stride, self.w, None, f.region)

        def read(row: Operand) -> Operand:
            at = f.gep(a, f.mul(row, step), self.s)
            if stride == 1:
                return self.load(at, mask)
            size = self.source.itemsize
            return self.widened(
                moves.gather(f, at, index, self.s, self.w, mask, size, f.region)
            )

        return read

    # ---- pairs -----------------------------------------------------------------------------------

    def pairs(self, a: Operand, b: Operand, mask: Operand | None, left: Operand | None) -> None:
        """Two rows at a time, an element of each in every lane; of a row without a second the
        other half is anything."""
        f = self.f
        total = self.row_count()
        if self.k.row_step == 1 and self.k.lane[1] != 1:
            self.pairs_across(a, b, left, total)
            return
        read = self.row_reader(a, mask)
        w = Writer(f, f.region, self.w)

        def body(row: Operand, both: bool) -> None:
            w.region = f.region
            first, *second = (read(f.add(row, i)) for i in range(1 + both))
            pair = f.put(f"zext {self.vt} {first} to {w.it}")
            for x in second:
                x = w.iop("shl", f.put(f"zext {self.vt} {x} to {w.it}"), w.i(16))
                pair = w.iop("or", pair, x)
            self.put_pair(pair, b, row)

        even = total // 2 * 2 if isinstance(total, int) else f.put(f"and i64 {total}, -2")
        f.counted(0, even, 2, lambda row, _: body(row, True))
        f.counted(even, total, 1, lambda row, _: body(row, False))

    def pairs_across(
        self, a: Operand, b: Operand, left: Operand | None, total: Operand | int
    ) -> None:
        """Rows that lie together in the source: blocks of w lanes and w pairs, transposed."""
        f, e, w = self.f, self.e, self.w
        wide = f"<{2 * w} x {self.s}>"

        def block(row: Operand, mask: Operand | None) -> None:
            rows = []
            for i in range(w):
                lane: Operand | int = i if left is None else f.smin(f.sub(left, 1), i)
                at = f.gep(f.gep(a, row, self.s), f.mul(e.word(self.k.lane[1]), lane), self.s)
                x = moves.load(f, self.s, 2 * w, at, mask, self.source.itemsize, f.region)
                rows.append(f.put(f"bitcast {wide} {x} to <{w} x i32>"))
            for i, pair in enumerate(transpose(f, rows, w, "i32")):
                here = f.add(row, 2 * i)

                def write(pair: Operand = pair, here: Operand = here) -> None:
                    self.put_pair(pair, b, here)

                f.when(f.less(here, total) if mask is not None else "true", write)

        whole = total // (2 * w) * (2 * w) if isinstance(total, int) else f.put(
            f"and i64 {total}, {-2 * w}"
        )
        f.counted(0, whole, 2 * w, lambda row, _: block(row, None))
        f.counted(
            whole, total, 2 * w, lambda row, _: block(row, lane_mask(e, row, str(total), 2 * w))
        )

    def put_pair(self, pair: Operand, b: Operand, row: Operand) -> None:
        at = self.f.gep(b, self.row_place(row), self.t)
        moves.store(self.f, "i32", self.w, pair, at, None, 4)

    def transposed(
        self, a: Operand, b: Operand, left: Operand | None, store: Operand | None
    ) -> None:
        """Rows that lie together in the source: w × w blocks, transposed."""
        f, w = self.f, self.w
        total = self.row_count()

        def block(row: Operand, count: int | None, mask: Operand | None) -> None:
            stride = self.e.word(self.k.lane[1])
            vectors: list[Operand] = []
            for i in range(w):
                # Nobody reads lanes beyond the end: they are anything, or (where the end is known
                # only now) repeat the last one, as a masked load beyond mapped memory takes
                # hundreds of cycles.
                if left is not None and left[0] != "%" and i >= int(left):
                    vectors.append("poison")
                    continue
                known = left is None or left[0] != "%"
                lane: Operand | int = i if known else f.smin(f.sub(left, 1), i)  # type: ignore[arg-type]
                at = f.gep(f.gep(a, row, self.s), f.mul(stride, lane), self.s)
                vectors.append(self.load(at, mask))
            rows = transpose(f, vectors, w, self.t)
            for i in range(w):
                def write(i: int = i) -> None:
                    here = f.gep(b, self.row_place(f.add(row, i)), self.t)
                    self.put(rows[i], here, store)

                if count is None and mask is not None:
                    f.when(f.put(f"icmp sgt i64 {total}, {f.add(row, i)}"), write)
                elif count is None or i < count:
                    write()

        if isinstance(total, int):
            whole = total // w * w
            f.counted(0, whole, w, lambda row, _: block(row, None, None))
            if whole < total:
                rest = total - whole
                bits = ["true" if i < rest else "false" for i in range(w)]
                block(str(whole), rest, "<" + ", ".join(f"i1 {x}" for x in bits) + ">")
            return
        whole_ = f.put(f"and i64 {total}, {-w}")
        f.counted(0, whole_, w, lambda row, _: block(row, None, None))
        f.counted(
            whole_, total, w,
            lambda row, _: block(row, None, lane_mask(self.e, row, str(total), w)),
        )  # fmt: skip

    # ---- vectors ---------------------------------------------------------------------------------

    def load(self, at: Operand, mask: Operand | None) -> Operand:
        size = self.source.itemsize
        return self.widened(moves.load(self.f, self.s, self.w, at, mask, size, self.f.region))

    def widened(self, x: Operand) -> Operand:
        """A vector of the source's elements in the target's type."""
        w = Writer(self.f, self.f.region, self.w)
        x = convert(w, self.source, self.dtype, x)
        return w.normal(x) if self.k.normal else x

    def put(self, x: Operand, at: Operand, mask: Operand | None) -> None:
        moves.store(self.f, self.t, self.w, x, at, mask, self.dtype.itemsize)
