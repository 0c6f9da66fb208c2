"""Writes a `Placing` kernel: terms put where they belong, one after the other.

Knows loops and one element at a time; must not know why a position belongs where it does.
"""

from __future__ import annotations

from collections.abc import Callable

from ..ir.node import make
from .builder import Function, Operand, module
from .deal import deal, size
from .expression import Binding, Emitter, Value
from .kernel import Placing
from .nest import SIGNATURE, carefully
from .operations import Writer, literal, write_operation
from .reduction import COMBINE, identity, lane_mask, nest


def emit_placing(kernel: Placing, name: str) -> str:
    """The kernel as a module of LLVM IR text."""
    fn = Function(name, SIGNATURE)
    e = Emitter(fn, kernel.width)
    carefully(e, kernel.careful, _PlacingWriter(e, kernel).write)
    return module([fn.text()], fn.declared)


class _PlacingWriter:
    def __init__(self, e: Emitter, kernel: Placing) -> None:
        self.e, self.k, self.f = e, kernel, e.fn
        self.dtype = kernel.term.dtype
        self.op = COMBINE[kernel.kind]
        a, b = (make("hole", self.dtype, (), (), i) for i in (1, 2))
        self.pattern = make(self.op, self.dtype, (), (a, b), None)
        self.held = make("load", self.dtype, (), (), kernel.output.access)

    def write(self) -> None:
        e, k = self.e, self.k

        def unit(_: list[Operand]) -> None:
            text = literal(identity(k.kind, self.dtype), self.dtype)
            self.sweep(lambda: Value(text, self.dtype, 0, e.scope))
            variables: list[tuple[object, object]] = list(k.variables)
            nest(e, variables, [], self.position)  # type: ignore[arg-type]
            if k.output.body is not k.hole:
                self.sweep(self.finished)

        deal(e, k.loops, unit)

    def position(self, _: list[Operand]) -> list[Operand]:
        """Combine one position's term with what its element holds."""
        e, f, k = self.e, self.f, self.k
        valid = e.emit(k.valid).name
        values = [(variable, e.emit(key)) for variable, _, key in k.rows]
        term = e.emit(k.term)

        def place() -> None:
            scope = e.open(f.region)
            for variable, value in values:
                e.bindings[variable] = Binding(value.name, 0, scope)
            before = e.emit(self.held)
            writer = Writer(f, f.region, 0)
            after = write_operation(writer, self.op, self.pattern, [before.name, term.name])
            e.store(Value(after, self.dtype, 0, scope), k.output.access)
            e.close()

        region = f.region
        f.when(valid, place)
        f.region = region
        return []

    def finished(self) -> Value:
        """The output's element where the combined terms are in its place."""
        held = self.e.emit(self.held)
        self.e.memo[self.k.hole] = held
        self.e.scope.memo.append(self.k.hole)
        return self.e.emit(self.k.output.body)

    def sweep(self, value: Callable[[], Value]) -> None:
        """Write all elements of the rows."""
        e, f, k = self.e, self.f, self.k

        def element() -> None:
            e.store(value(), k.output.access)

        def along(i: int) -> None:
            if i == len(k.rows):
                element()
                return
            variable, extent, _ = k.rows[i]
            n = size(e, extent)

            def body(lanes: int, masked: bool) -> Callable[[Operand, list[Operand]], None]:
                def write(iv: Operand, _: list[Operand]) -> None:
                    mask = lane_mask(e, iv, str(n), lanes) if masked else None
                    scope = e.open(f.region, mask)
                    e.bindings[variable] = Binding(iv, lanes, scope)
                    along(i + 1)
                    e.close()

                return write

            if i + 1 < len(k.rows) or not k.vector:
                f.counted(0, n, 1, body(0, False))
                return
            full = f.put(f"and i64 {n}, {-k.width}")
            f.counted(0, full, k.width, body(k.width, False))
            f.counted(full, n, k.width, body(k.width, True))

        along(0)
