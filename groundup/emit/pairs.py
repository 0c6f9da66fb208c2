"""The terms of a tile of products of bfloat16, two by two: of each pair the second is added first.

Where the processor adds two products at once, a pair is one 32-bit lane, the first term in its
lower half: read as it lies where the terms lie together, else put together from two reads. Must
not know what the sums become.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..ir import dtype as dt
from ..ir.dtype import DType
from ..runtime import target
from . import moves
from .builder import Operand
from .expression import Binding, Value
from .operations import Writer, convert

if TYPE_CHECKING:
    from .contraction import ContractionWriter

Pair = list[Operand]  # one lane of both terms; else the second term (if it exists), then the first


class PairTerms:
    """The innermost loop of one tile, for the rows that take part."""

    def __init__(
        self, c: ContractionWriter, height: int, vectors: int, masks: list[Operand | None],
        rows: tuple[int, int],
    ) -> None:  # fmt: skip
        self.c, self.e, self.f, self.k = c, c.e, c.f, c.k
        self.vectors, self.masks, self.rows = vectors, masks, range(*rows)
        self.last, self.extent = self.k.k[-1]
        self.a_step, self.b_step = (
            c.offset(c.strides(x, self.last), 1) for x in (self.k.a, self.k.b)
        )
        a_row = c.strides(self.k.a, self.k.m[0]) if self.k.m else 0
        self.a_rows = [c.offset(a_row, i) for i in range(height)]
        self.unroll = 4 if height * vectors <= 16 else 2
        self.at_once = target.host().adds_pairs

    def write(
        self, lo: Operand | int, hi: Operand | int, running: list[Operand]
    ) -> list[Operand]:
        """The running values after the terms lo … hi - 1; lo is even."""
        f, step = self.f, 2 * self.unroll

        def loop(
            start: Operand | int, end: Operand | int, by: int, body: Callable[..., list[Operand]]
        ) -> None:
            nonlocal running
            running = f.counted(start, end, by, body, [(self.c.vt, v) for v in running])

        if isinstance(lo, int) and isinstance(hi, int):
            whole, even = lo + (hi - lo) // step * step, lo + (hi - lo) // 2 * 2
            loop(lo, whole, step, self.some(self.unroll))
            loop(whole, even, max(2, even - whole), self.some((even - whole) // 2))
            loop(even, hi, 1, self.some(0))
            return running
        count = f.smax(0, f.sub(hi, lo))
        whole_ = f.add(lo, f.put(f"and i64 {count}, {-step}"))
        even_ = f.add(lo, f.put(f"and i64 {count}, -2"))
        loop(lo, whole_, step, self.some(self.unroll))
        loop(whole_, even_, 2, self.some(1))
        if not isinstance(self.extent, int) or self.extent % 2:
            loop(even_, hi, 1, self.some(0))
        return running

    def some(self, pairs: int) -> Callable[[Operand, list[Operand]], list[Operand]]:
        """The terms from one on: so many pairs, or (0) a single one, the last."""

        def body(iv: Operand, running: list[Operand]) -> list[Operand]:
            self.e.open(self.f.region)
            self.e.bindings[self.last] = Binding(iv, 0, self.e.scope)
            a, b = self.c.base(self.k.a), self.c.base(self.k.b)
            for u in range(max(1, pairs)):
                a_u = self.f.gep(a, self.f.mul(self.a_step, 2 * u), self.k.a.dtype.llvm)
                b_u = self.f.gep(b, self.f.mul(self.b_step, 2 * u), self.k.b.dtype.llvm)
                running = self.join(running, a_u, b_u, pairs > 0)
            self.e.close()
            return running

        return body

    def join(self, running: list[Operand], a: Operand, b: Operand, both: bool) -> list[Operand]:
        """A pair, or (not `both`) a single term, of every row and vector added."""
        c, f, k = self.c, self.f, self.k
        w = Writer(f, f.region, c.width)
        running = list(running)
        right = [self.vector(k.b.dtype, b, j, self.b_step, both) for j in range(self.vectors)]
        if self.at_once and not both:  # and 0·(−0), which changes nothing
            right = [[w.iop("or", x, w.i(-0x80000000))] for (x,) in right]
        for i in self.rows:
            at = f.gep(a, self.a_rows[i], k.a.dtype.llvm)
            if not k.paired:
                left = self.broadcast(at, both)
            for j in range(self.vectors):
                if k.paired:
                    left = self.vector(k.a.dtype, at, j, self.a_step, both, False)
                n = i * self.vectors + j
                for x, y in zip(left, right[j], strict=True):
                    if self.at_once:
                        running[n] = w.add_pairs(x, y, running[n])
                    else:
                        running[n] = w.fma(x, y, running[n])
        return running

    # ---- operands --------------------------------------------------------------------------------

    def broadcast(self, at: Operand, both: bool) -> Pair:
        """A pair of a, the same in every lane."""
        f, c, dtype = self.f, self.c, self.k.a.dtype
        scope = self.e.scope
        if self.at_once and both and self.a_step == "1" and dtype is dt.bfloat16:
            pair = [f.put(f"load i32, ptr {at}, align 2")]
        else:
            numbers = []
            for here in self.places(at, self.a_step, dtype, both):
                x = f.put(f"load {dtype.llvm}, ptr {here}, align {dtype.itemsize}")
                numbers.append(x)
            pair = self.together(numbers, dtype, 0)
        kind = dt.int32 if self.at_once else dt.float32
        return [self.e.widen(Value(x, kind, 0, scope), c.width) for x in pair]

    def vector(
        self, dtype: DType, at: Operand, j: int, step: Operand, both: bool,
        panels: bool | None = None,
    ) -> Pair:  # fmt: skip
        """Pairs of an operand, vector number j along n."""
        f, w = self.f, self.c.width
        if self.k.panels if panels is None else panels:  # a panel is there to its end
            here = f.gep(at, j * 2 * w, dtype.llvm)
            pair = f.put(f"load <{w} x i32>, ptr {here}, align 4")
            writer = Writer(f, f.region, w)
            return [pair if both else writer.iop("and", pair, writer.i(0xFFFF))]
        at = f.gep(at, j * w, dtype.llvm)
        numbers = []
        for here in self.places(at, step, dtype, both):
            t, size = dtype.llvm, dtype.itemsize
            numbers.append(moves.load(f, t, w, here, self.masks[j], size, f.region))
        return self.together(numbers, dtype, w)

    def places(self, at: Operand, step: Operand, dtype: DType, both: bool) -> list[Operand]:
        """Where the second term (if it exists) and the first lie."""
        return [self.f.gep(at, step, dtype.llvm), at] if both else [at]

    def together(self, numbers: list[Operand], dtype: DType, lanes: int) -> Pair:
        """The second number (if it exists) and the first as a pair."""
        w = Writer(self.f, self.f.region, lanes)
        if not self.at_once:
            if dtype is dt.float32:  # a copy, made so that none of it is below 2⁻¹²⁶
                return numbers
            return [w.normal(convert(w, dtype, dt.float32, x)) for x in numbers]
        *second, first = numbers
        if dtype is dt.bfloat16:
            pair = self.f.put(f"zext {w.ty('i16')} {first} to {w.it}")
        else:  # widened: the lower halves are zero
            pair = w.iop("lshr", w.bits(first), w.i(16))
        for x in second:
            if dtype is dt.bfloat16:
                x = w.iop("shl", self.f.put(f"zext {w.ty('i16')} {x} to {w.it}"), w.i(16))
            else:
                x = w.bits(x)
            pair = w.iop("or", x, pair)
        return [pair]
