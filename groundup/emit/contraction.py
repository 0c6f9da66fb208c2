"""Writes a `Contraction` kernel: matmul, convolution and their gradients, by one tiled path.

Two forms. *Broadcast*: `vectors` vectors of b along n, `rows` scalars of a along m, one fused
multiply-add for each pair and term, in the order of the sum. *Lanes*: both operands are vectors
along the last reduction loop; the lanes of each running value are added in a fixed tree at the end.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from ..ir import dtype as dt
from ..ir.node import Node, const
from ..ir.transform import substitute
from .builder import Function, Operand, module
from .expression import Binding, Emitter, Value
from .kernel import Access, Bound, Contraction, Stride, Word
from .nest import SIGNATURE, carefully, share, size
from .operations import Writer, storage_type
from .reduction import lane_mask


def emit_contraction(kernel: Contraction, name: str) -> str:
    """The kernel as a module of LLVM IR text."""
    fn = Function(name, SIGNATURE)
    e = Emitter(fn, kernel.width)
    carefully(e, kernel.careful, _ContractionWriter(e, kernel).write)
    return module([fn.text()], fn.declared)


def _split(total: int, tile: int) -> list[tuple[int, int, int]]:
    """Cut `total` into tiles of nearly equal size ≤ tile: (start, size, count) of each kind."""
    count = -(-total // tile)
    base, extra = divmod(total, count)
    kinds = []
    if extra:
        kinds.append((0, base + 1, extra))
    if count - extra:
        kinds.append((extra * (base + 1), base, count - extra))
    return kinds


class _ContractionWriter:
    def __init__(self, e: Emitter, kernel: Contraction) -> None:
        self.e, self.k, self.f = e, kernel, e.fn
        self.dtype = kernel.hole.dtype
        self.width = kernel.width
        if self.dtype.bits == 64:
            self.width //= 2

    # ---- tiles -----------------------------------------------------------------------------------

    def write(self) -> None:
        e, f, k = self.e, self.f, self.k
        rows, m_tiles = self.row_tiles()
        tile = k.vectors * (1 if k.lanes else self.width)
        n = size(e, k.n[1])
        n_tiles = f.div(f.add(n, tile - 1), tile)
        sizes = [size(e, extent) for _, extent in k.outer]
        total: Operand | int = f.mul(n_tiles, m_tiles)
        for s in sizes:
            total = f.mul(total, s)
        lo, hi = share(e, total)

        def unit(t: Operand, _: list[Operand]) -> None:
            scope = e.open(f.region)
            m_index, rest = f.rem(t, m_tiles), f.div(t, m_tiles)
            n_index, rest = f.rem(rest, n_tiles), f.div(rest, n_tiles)
            for (variable, _extent), s in reversed(list(zip(k.outer, sizes))):
                e.bindings[variable] = Binding(f.rem(rest, s), 0, scope)
                rest = f.div(rest, s)
            n0 = f.mul(n_index, tile)
            before: Operand | int = 0
            for start, height, count in rows:
                local = f.sub(m_index, before)
                m0 = f.add(f.mul(local, height), start)
                cond = f.put(f"icmp ult i64 {local}, {count}") if len(rows) > 1 else "true"
                f.when(cond, functools.partial(self.columns, n, n0, tile, m0, height))
                before = f.add(before, count)
            e.close()

        f.counted(lo, hi, 1, unit)

    def row_tiles(self) -> tuple[list[tuple[Operand | int, int, Operand | int]], Operand | int]:
        """(first row, rows, how many) of each kind of tile along m, and their number in all.

        A runtime number of rows has whole tiles, then single rows.
        """
        f, k = self.f, self.k
        if k.m is None:
            return [(0, 1, 1)], 1
        if not isinstance(k.m[1], Word):
            kinds = _split(k.m[1], k.rows)
            return list(kinds), sum(count for _, _, count in kinds)
        total = size(self.e, k.m[1])
        whole, single = f.div(total, k.rows), f.rem(total, k.rows)
        return [(0, k.rows, whole), (f.mul(whole, k.rows), 1, single)], f.add(whole, single)

    def columns(self, n: Operand | int, n0: Operand, tile: int, m0: Operand, height: int) -> None:
        """A tile of `height` rows, whole or at the ragged end of n."""
        f = self.f
        if isinstance(n, int):
            whole, rest = divmod(n, tile)
            if whole:
                inside = f.less(n0, whole * tile) if rest else "true"
                f.when(inside, lambda: self.tile(m0, height, n0, tile, False))
            if rest:
                ragged = f.put(f"icmp sge i64 {n0}, {whole * tile}") if whole else "true"
                f.when(ragged, lambda: self.tile(m0, height, n0, rest, False))
            return
        fits = f.put(f"icmp sle i64 {f.add(n0, tile)}, {n}")
        f.when(fits, lambda: self.tile(m0, height, n0, tile, False))
        f.when(f.put(f"xor i1 {fits}, true"), lambda: self.tile(m0, height, n0, tile, True))

    def tile(self, m0: Operand, height: int, n0: Operand, columns: int, ragged: bool) -> None:
        """One register tile: the sum, then the body for each of its elements."""
        e, f, k = self.e, self.f, self.k
        scope = e.open(f.region)
        if k.m:
            e.bindings[k.m[0]] = Binding(m0, 0, scope)
        e.bindings[k.n[0]] = Binding(n0, 0, scope)
        if k.lanes:
            sums = self.sum_lanes(height, columns, n0 if ragged else None)
            self.finish_lanes(sums, m0, n0, height, columns, ragged)
        else:
            vectors = -(-columns // self.width)
            masks = self.masks(n0, columns, vectors, ragged)
            sums = self.sum_broadcast(height, vectors, masks)
            self.finish_broadcast(sums, m0, n0, height, vectors, masks)
        e.close()

    def masks(self, n0: Operand, columns: int, vectors: int, ragged: bool) -> list[Operand | None]:
        """Which lanes of each vector exist (None: all)."""
        w = self.width
        if ragged:
            n = str(size(self.e, self.k.n[1]))
            return [lane_mask(self.e, self.f.add(n0, j * w), n, w) for j in range(vectors)]
        masks: list[Operand | None] = [None] * vectors
        if columns % w:
            bits = ["true" if i < columns % w else "false" for i in range(w)]
            masks[-1] = "<" + ", ".join(f"i1 {b}" for b in bits) + ">"
        return masks

    # ---- the sum ---------------------------------------------------------------------------------

    def strides(self, load: Node, variable: Node) -> Stride:
        for v, stride in load.arg.terms:
            if v is variable:
                return stride  # type: ignore[no-any-return]
        return 0

    def offset(self, stride: Stride, times: int) -> Operand:
        """times · stride as an operand, in the outermost scope."""
        if isinstance(stride, Word):
            region, self.f.region = self.f.region, self.f.root
            r = self.f.mul(self.e.word(stride), times)
            self.f.region = region
            return r
        return str(int(stride) * times)

    def base(self, load: Node) -> Operand:
        """Address of an operand's element at the current bindings."""
        e = self.e
        access: Access = load.arg
        computed = e.emit(load.src[0]) if access.computed else None
        position, _, _, _ = e.position(access, computed)
        address = self.f.gep(e.pointer(access.pointer), position.name, storage_type(load.dtype))
        return address

    def reduction_loops(
        self, values: list[tuple[str, Operand]], innermost: Callable[..., list[Operand]]
    ) -> list[Operand]:
        """The loops over k but the last, each narrowed by the bounds it decides."""
        e, f, k = self.e, self.f, self.k

        def level(i: int, running: list[Operand]) -> list[Operand]:
            if i == len(k.k) - 1:
                return innermost(running)
            variable, extent = k.k[i]
            lo, hi, step = self.bounds(i, size(e, extent))

            def body(iv: Operand, inside: list[Operand]) -> list[Operand]:
                scope = e.open(f.region)
                e.bindings[variable] = Binding(iv, 0, scope)
                out = level(i + 1, inside)
                e.close()
                return out

            return f.counted(lo, hi, step, body, [(t, v) for (t, _), v in zip(values, running)])

        return level(0, [v for _, v in values])

    def bounds(self, i: int, extent: Operand | int) -> tuple[Operand | int, Operand | int, int]:
        """lo, hi, step of reduction loop i: what its conditions leave of 0 … extent."""
        e, f, k = self.e, self.f, self.k
        variable = k.k[i][0]
        inner = {v for v, _ in k.k[i + 1 :]}
        lo: Operand | int = 0
        hi: Operand | int = extent
        step = 1
        for bound in k.bounds:
            free = e.free(bound.value)
            if variable not in free or inner & free:
                continue
            lo, hi, step = self.narrow(bound, variable, lo, hi, step)
        if step > 1:  # the first allowed value at or after lo
            raise_by = f.rem(f.add(f.sub(self._residue, f.rem(lo, step)), step), step)
            lo = f.add(lo, raise_by)
        return lo, hi, step

    def narrow(
        self, bound: Bound, variable: Node, lo: Operand | int, hi: Operand | int, step: int
    ) -> tuple[Operand | int, Operand | int, int]:
        """Tighten [lo, hi) by a bound on value = rest + sign·variable."""
        e, f = self.e, self.f
        zero = const(0, dt.int64)
        at_zero = e.emit(substitute(bound.value, {variable: zero})).name
        by = affine_coefficient(bound.value, variable)
        assert by, "schedule admits only bounds that the variable decides"
        if by > 0:  # (lo − rest) / by ≤ v < (hi − rest) / by, rounded up
            if bound.lo is not None:
                lo = f.smax(lo, self.floor(f.add(f.sub(bound.lo, at_zero), by - 1), by))
            if bound.hi is not None:
                hi = f.smin(hi, self.floor(f.add(f.sub(bound.hi, at_zero), by - 1), by))
        else:  # (rest − hi) / −by < v ≤ (rest − lo) / −by, rounded down
            if bound.hi is not None:
                lo = f.smax(lo, f.add(self.floor(f.sub(at_zero, bound.hi), -by), 1))
            if bound.lo is not None:
                hi = f.smin(hi, f.add(self.floor(f.sub(at_zero, bound.lo), -by), 1))
        if bound.step > 1:
            assert by in (1, -1), "schedule admits only unit coefficients here"
            step = bound.step
            # value ≡ 0 (mod step): v ≡ ∓rest; a multiple of step keeps the remainder positive.
            rest = f.rem(f.add(at_zero, step << 32), step)
            self._residue = rest if by == -1 else f.rem(f.sub(step, rest), step)
        return lo, hi, step

    def floor(self, x: Operand, by: int) -> Operand:
        """x / by rounded down, x possibly negative (but far from the ends of int64)."""
        if by == 1:
            return x
        return self.f.sub(self.f.div(self.f.add(x, by << 32), by), 1 << 32)

    _residue: Operand = "0"

    def sum_broadcast(
        self, height: int, vectors: int, masks: list[Operand | None]
    ) -> list[Operand]:
        """Running values, row by row: rows × vectors vectors."""
        e, f, k = self.e, self.f, self.k
        vt = e.type_of(self.dtype, self.width)
        values = [(vt, "zeroinitializer")] * (height * vectors)
        last, extent = k.k[-1]
        a_step, b_step = self.strides(k.a, last), self.strides(k.b, last)
        a_row = self.strides(k.a, k.m[0]) if k.m else 0
        t = self.dtype.llvm
        a_rows = [self.offset(a_row, i) for i in range(height)]

        def terms(iv: Operand, running: list[Operand], unroll: int) -> list[Operand]:
            scope = e.open(f.region)
            e.bindings[last] = Binding(iv, 0, scope)
            a0, b0 = self.base(k.a), self.base(k.b)
            running = list(running)
            for u in range(unroll):
                a_u = f.gep(a0, self.offset(a_step, u), t)
                b_u = f.gep(b0, self.offset(b_step, u), t)
                w = Writer(f, f.region, self.width)
                b = [
                    e._vector_load(vt, t, self.width, f.gep(b_u, j * self.width, t), masks[j],
                                   self.dtype.itemsize, f.region)
                    for j in range(vectors)
                ]  # fmt: skip
                for i in range(height):
                    address = f.gep(a_u, a_rows[i], t)
                    x = f.put(f"load {t}, ptr {address}, align {self.dtype.itemsize}")
                    x = e.widen(Value(x, self.dtype, 0, scope), self.width)
                    for j in range(vectors):
                        at = i * vectors + j
                        running[at] = w.intrinsic("fma", t, x, b[j], running[at])
            e.close()
            return running

        def innermost(running: list[Operand]) -> list[Operand]:
            lo, hi, step = self.bounds(len(k.k) - 1, size(e, extent))
            return self.unrolled(lo, hi, step, terms, [(vt, v) for v in running])

        return self.reduction_loops(values, innermost)

    def unrolled(
        self, lo: Operand | int, hi: Operand | int, step: int,
        terms: Callable[[Operand, list[Operand], int], list[Operand]],
        carried: list[tuple[str, Operand]],
    ) -> list[Operand]:  # fmt: skip
        """The innermost reduction loop: four terms an iteration where the count is known."""
        f, k = self.f, self.k
        computed = k.a.arg.computed or k.b.arg.computed

        def one(iv: Operand, running: list[Operand]) -> list[Operand]:
            return terms(iv, running, 1)

        if not (isinstance(lo, int) and isinstance(hi, int)) or step > 1 or computed:
            return f.counted(lo, hi, step, one, carried)
        if hi - lo <= 5:
            return (
                terms(str(lo), [v for _, v in carried], hi - lo)
                if hi > lo
                else [v for _, v in carried]
            )
        whole = lo + (hi - lo) // 4 * 4
        values = f.counted(lo, whole, 4, lambda iv, r: terms(iv, r, 4), carried)
        if whole == hi:
            return values
        return terms(str(whole), values, hi - whole)

    def finish_broadcast(
        self, sums: list[Operand], m0: Operand, n0: Operand, height: int, vectors: int,
        masks: list[Operand | None],
    ) -> None:  # fmt: skip
        """The output's body for every vector of the tile."""
        e, f, k = self.e, self.f, self.k
        for j in range(vectors):
            scope = e.open(f.region, masks[j])
            e.bindings[k.n[0]] = Binding(f.add(n0, j * self.width), self.width, scope)
            for i in range(height):
                self.finish(sums[i * vectors + j], self.width, f.add(m0, i))
            e.close()

    def finish(self, total: Operand, lanes: int, m: Operand) -> None:
        """Put one sum in the place of the hole, and store what the body makes of it."""
        e, f, k = self.e, self.f, self.k
        scope = e.open(f.region)
        if k.m:
            e.bindings[k.m[0]] = Binding(m, 0, scope)
        e._remember(k.hole, Value(total, self.dtype, lanes, scope))
        e.store(e.emit(k.output.body), k.output.access)
        e.close()

    # ---- lanes -----------------------------------------------------------------------------------

    def sum_lanes(self, height: int, columns: int, ragged: Operand | None) -> list[Operand]:
        """Running vectors along the last reduction loop: height × columns of them."""
        e, f, k = self.e, self.f, self.k
        w = self.width
        vt, t = e.type_of(self.dtype, w), self.dtype.llvm
        values = [(vt, "zeroinitializer")] * (height * columns)
        last, extent = k.k[-1]
        n = size(e, extent)
        a_row = self.strides(k.a, k.m[0]) if k.m else 0
        b_row = self.strides(k.b, k.n[0])
        a_rows = [self.offset(a_row, i) for i in range(height)]
        b_rows = [self.offset(b_row, j) for j in range(columns)]
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
                a0, b0 = self.base(k.a), self.base(k.b)

                def load(address: Operand) -> Operand:
                    return e._vector_load(vt, t, w, address, mask, self.dtype.itemsize, f.region)

                b = [load(f.gep(b0, r, t)) for r in b_rows]
                writer = Writer(f, f.region, w)
                out = list(running)
                for i in range(height):
                    a = load(f.gep(a0, a_rows[i], t))
                    for j in range(columns):
                        # Lanes beyond the end add 0·0.
                        at = i * columns + j
                        out[at] = writer.intrinsic("fma", t, a, b[j], out[at])
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

        return self.reduction_loops(values, innermost)

    def finish_lanes(
        self, sums: list[Operand], m0: Operand, n0: Operand, height: int, columns: int, ragged: bool
    ) -> None:
        """Add the lanes of each running value in a fixed tree; store row by row."""
        e, f, k = self.e, self.f, self.k
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
            total = self.add_lanes(row + ["zeroinitializer"] * (padded - columns))
            lanes = padded if padded > 1 else 0
            scope = e.open(f.region, mask)
            e.bindings[k.n[0]] = Binding(n0, lanes, scope)
            self.finish(total, lanes, f.add(m0, i))
            e.close()

    def add_lanes(self, rows: list[Operand]) -> Operand:
        """[r0, r1, …] (a power of two of vectors) → <Σ r0, Σ r1, …>, lanes added l with l + half.

        Two vectors share one once each needs only half of its lanes.
        """
        f, t = self.f, self.dtype.llvm
        w = self.width
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


def affine_coefficient(node: Node, variable: Node) -> int | None:
    """The integer coefficient of a variable in an affine expression, or None."""
    if node is variable:
        return 1
    if node.op in ("add", "sub"):
        a, b = (affine_coefficient(s, variable) for s in node.src)
        if a is None or b is None:
            return None
        return a + b if node.op == "add" else a - b
    if node.op == "neg":
        a = affine_coefficient(node.src[0], variable)
        return None if a is None else -a
    if node.op == "mul" and node.src[1].op == "const":
        a = affine_coefficient(node.src[0], variable)
        return None if a is None else a * node.src[1].value
    return None if variable in _variables(node) else 0


def _variables(node: Node) -> set[Node]:
    from ..ir.transform import body_nodes

    return {n for n in body_nodes(node) if n.op in ("out", "red", "axis")}
