"""Writes the two kernels of a search by data: positions in order by row, then each row's terms.

Knows tables of positions and running values; must not know why something is searched for.
"""

from __future__ import annotations

from ..ir.node import Node, make
from .builder import Function, Operand, module
from .deal import deal, digits, product, size
from .expression import Binding, Emitter, Scope, Value
from .kernel import Ranks, Segments, Stride
from .nest import SIGNATURE, carefully
from .operations import Writer, literal, write_operation
from .reduction import COMBINE, identity, lane_mask


def _row_major(e: Emitter, variables: tuple[tuple[Node, Stride], ...]) -> Operand:
    """The row-major number of bound variables."""
    number: Operand = "0"
    for variable, extent in variables:
        number = e.fn.add(e.fn.mul(number, size(e, extent)), e.bindings[variable].base)
    return number


def _load(f: Function, base: Operand, at: Operand) -> Operand:
    return f.put(f"load i32, ptr {f.gep(base, at, 'i32')}, align 4")


def _store(f: Function, x: Operand, base: Operand, at: Operand) -> None:
    f.do(f"store i32 {x}, ptr {f.gep(base, at, 'i32')}, align 4")


def _count_up(f: Function, base: Operand, at: Operand) -> Operand:
    """base[at]++; its value before."""
    address = f.gep(base, at, "i32")
    before = f.put(f"load i32, ptr {address}, align 4")
    f.do(f"store i32 {f.put(f'add i32 {before}, 1')}, ptr {address}, align 4")
    return before


# ---- positions in order --------------------------------------------------------------------------


def emit_ranks(kernel: Ranks, name: str) -> str:
    """The kernel as a module of LLVM IR text."""
    fn = Function(name, SIGNATURE)
    e = Emitter(fn, 0)
    _RanksWriter(e, kernel).write()
    return module([fn.text()], fn.declared)


class _RanksWriter:
    def __init__(self, e: Emitter, kernel: Ranks) -> None:
        self.e, self.k = e, kernel
        f = e.fn
        self.rows, self.positions = size(e, kernel.rows), size(e, kernel.positions)
        self.ends = e.pointer(kernel.table)
        self.row_of = f.gep(self.ends, f.add(self.rows, 2), "i32")
        self.order = f.gep(self.row_of, self.positions, "i32")

    def write(self) -> None:
        f = self.e.fn
        f.counted(0, f.add(self.rows, 2), 1, lambda j, _: _store(f, "0", self.ends, j))
        self.loops(0, "0")
        self.add_up()
        f.counted(0, self.positions, 1, self.place)

    def loops(self, i: int, position: Operand) -> None:
        """Count how many positions each row has; note the row of each."""
        e, f = self.e, self.e.fn
        if i == len(self.k.loops):
            row = e.emit(self.k.row).name
            _store(f, f.put(f"trunc i64 {row} to i32"), self.row_of, position)
            _count_up(f, self.ends, f.add(row, 1))
            return
        variable, extent = self.k.loops[i]
        n = size(e, extent)

        def body(iv: Operand, _: list[Operand]) -> None:
            scope = e.open(f.region)
            e.bindings[variable] = Binding(iv, 0, scope)
            self.loops(i + 1, f.add(f.mul(position, n), iv))
            e.close()

        f.counted(0, n, 1, body)

    def add_up(self) -> None:
        """ends[j + 1]: from the count of row j to where row j starts."""
        f = self.e.fn

        def body(j: Operand, before: list[Operand]) -> list[Operand]:
            at = f.add(j, 1)
            count = _load(f, self.ends, at)
            _store(f, before[0], self.ends, at)
            return [f.put(f"add i32 {before[0]}, {count}")]

        f.counted(0, f.add(self.rows, 1), 1, body, [("i32", "0")])

    def place(self, position: Operand, _: list[Operand]) -> None:
        """Put a position behind those of its row; ends[j + 1] becomes the end of row j."""
        f = self.e.fn
        row = f.put(f"zext i32 {_load(f, self.row_of, position)} to i64")
        at = f.put(f"zext i32 {_count_up(f, self.ends, f.add(row, 1))} to i64")
        _store(f, f.put(f"trunc i64 {position} to i32"), self.order, at)


# ---- each row's terms ----------------------------------------------------------------------------


def emit_segments(kernel: Segments, name: str) -> str:
    """The kernel as a module of LLVM IR text."""
    fn = Function(name, SIGNATURE)
    e = Emitter(fn, kernel.width)
    carefully(e, kernel.careful, _SegmentsWriter(e, kernel).write)
    return module([fn.text()], fn.declared)


class _SegmentsWriter:
    def __init__(self, e: Emitter, kernel: Segments) -> None:
        self.e, self.k = e, kernel
        self.dtype = kernel.term.dtype
        self.lanes = kernel.width if kernel.vector else 0
        self.op = COMBINE[kernel.kind]
        a, b = (make("hole", self.dtype, (), (), i) for i in (1, 2))
        self.pattern = make(self.op, self.dtype, (), (a, b), None)

    def write(self) -> None:
        """Deal the leading loops out, flattened into one; without a vector loop the last of
        several stays a loop."""
        e, f, k = self.e, self.e.fn, self.k
        self.ends = e.pointer(k.table)
        rows = size(e, k.rows)
        self.order = f.gep(self.ends, f.add(f.add(rows, 2), size(e, k.positions)), "i32")
        count = len(k.loops) - 1 if k.vector or len(k.loops) > 1 else len(k.loops)

        def body(_: list[Operand]) -> None:
            if count == len(k.loops) or k.vector:
                self.row()
            else:
                self.last()

        deal(e, k.loops[:count], body)

    def last(self) -> None:
        e, f = self.e, self.e.fn
        variable, extent = self.k.loops[-1]

        def body(iv: Operand, _: list[Operand]) -> None:
            scope = e.open(f.region)
            e.bindings[variable] = Binding(iv, 0, scope)
            self.row()
            e.close()

        f.counted(0, size(e, extent), 1, body)

    def row(self) -> None:
        """All elements of the output that belong to one row (and the bound free variables)."""
        e, f, k = self.e, self.e.fn, self.k
        number = _row_major(e, k.row)
        first, end = (
            f.put(f"zext i32 {_load(f, self.ends, at)} to i64") for at in (number, f.add(number, 1))
        )
        if not k.vector:
            self.block(first, end, [], None)
            return
        n, width = size(e, k.loops[-1][1]), k.width

        def blocks(lo: Operand | int, hi: Operand | int, vectors: int) -> None:
            f.counted(
                lo, hi, vectors * width,
                lambda base, _: self.block(first, end, [f.add(base, v * width)
                                                        for v in range(vectors)], None),
            )  # fmt: skip

        wide = k.vectors * width
        some, whole = (
            f.put(f"and i64 {n}, {-w}") if isinstance(n, str) else n // w * w for w in (wide, width)
        )
        blocks(0, some, k.vectors)
        blocks(some, whole, 1)
        f.counted(
            whole, n, width,
            lambda base, _: self.block(first, end, [base], lane_mask(e, base, str(n), width)),
        )  # fmt: skip

    def block(
        self, first: Operand, end: Operand, bases: list[Operand], mask: Operand | None
    ) -> None:
        """Combine a row's terms for some vectors of elements (none: for one scalar)."""
        e, f, k = self.e, self.e.fn, self.k
        e.open(f.region)
        t = e.type_of(self.dtype, self.lanes)
        text = literal(identity(k.kind, self.dtype), self.dtype)
        start = f"splat ({self.dtype.llvm} {text})" if self.lanes else text

        def term(at: Operand, running: list[Operand]) -> list[Operand]:
            scope = e.open(f.region)
            position = f.put(f"zext i32 {_load(f, self.order, at)} to i64")
            self.bind(position, scope)
            result = []
            for i, before in enumerate(running):
                inner = e.open(f.region, mask)
                if bases:
                    e.bindings[k.loops[-1][0]] = Binding(bases[i], k.width, inner)
                x = e.widen(e.emit(k.term), self.lanes)
                writer = Writer(f, f.region, self.lanes)
                result.append(write_operation(writer, self.op, self.pattern, [before, x]))
                e.close()
            e.close()
            return result

        count = max(1, len(bases))
        sums = f.counted(first, end, 1, term, [(t, start)] * count)
        for i, total in enumerate(sums):
            scope = e.open(f.region, mask)
            if bases:
                e.bindings[k.loops[-1][0]] = Binding(bases[i], k.width, scope)
            e.memo[k.hole] = Value(total, self.dtype, self.lanes, scope)
            scope.memo.append(k.hole)
            e.store(e.emit(k.output.body), k.output.access)
            e.close()
        e.close()

    def bind(self, position: Operand, scope: Scope) -> None:
        """Bind the reduction's variables to the digits of a position within its batch."""
        e, f, k = self.e, self.e.fn, self.k
        sizes = [size(e, extent) for _, extent in k.variables]
        if k.batch:
            batch = _row_major(e, k.row[: k.batch])
            position = f.sub(position, f.mul(batch, product(f, sizes)))
        for (variable, _), place in zip(k.variables, digits(f, position, sizes)):
            e.bindings[variable] = Binding(place, 0, scope)
