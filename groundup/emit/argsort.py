"""Writes an `Argsort` kernel: a stable radix sort of order-preserving integers, row by row.

Each element becomes an unsigned integer of the same order, next to its position: in the two halves
of one word, or (64-bit elements) in two words. All is put in order by one byte after the other, the
lowest first; a byte that all elements share is passed over. Must not know what is sorted.
"""

from __future__ import annotations

from ..ir import dtype as dt
from .builder import Function, Operand, module
from .deal import deal, size
from .expression import Binding, Emitter, Value
from .kernel import Argsort, key_bits, scratch_words
from .nest import SIGNATURE, carefully


def emit_argsort(kernel: Argsort, name: str) -> str:
    """The kernel as a module of LLVM IR text."""
    fn = Function(name, SIGNATURE)
    e = Emitter(fn, 0)
    carefully(e, kernel.careful, _ArgsortWriter(e, kernel).write)
    return module([fn.text()], fn.declared)


class _ArgsortWriter:
    def __init__(self, e: Emitter, kernel: Argsort) -> None:
        self.e, self.k, self.f = e, kernel, e.fn
        self.dtype = kernel.body.dtype
        self.bits = key_bits(self.dtype)
        self.wide = self.bits == 64  # an element and its position are two words
        self.n = size(e, kernel.along[1])
        self.count = size(e, kernel.count)

    # ---- rows ----------------------------------------------------------------------------------

    def write(self) -> None:
        """Deal the rows out to the threads that have scratch memory."""
        f, k = self.f, self.k
        f.when(f.less("%tid", k.slots), self.rows)

    def rows(self) -> None:
        e, f, k = self.e, self.f, self.k
        e.open(f.region)
        head, each = scratch_words(self.dtype)
        n = f.add(self.n, 1)
        words = f.add(f.mul(n, each), head)
        base = f.gep(e.pointer(k.scratch), f.mul("%tid", words), "i64")
        self.counts = base
        self.first = f.gep(base, head, "i64")
        self.second = f.gep(self.first, f.mul(n, each // 2), "i64")
        self.now, self.other = (f.put("alloca ptr, align 8", f.root) for _ in range(2))

        def row(_: list[Operand]) -> None:
            if k.few:
                self.select()
            else:
                self.sort()

        deal(e, k.loops, row, most=k.slots)
        e.close()

    def store(self, i: Operand, position: Operand) -> None:
        e, region = self.e, self.f.region
        scope = e.open(region)
        e.bindings[self.k.along[0]] = Binding(i, 0, scope)
        e.store(Value(position, dt.int64, 0, scope), self.k.access)
        e.close()
        self.f.region = region

    # ---- keys ----------------------------------------------------------------------------------

    def key(self, i: Operand) -> Operand:
        """Element i of the row as an unsigned 64-bit integer of the same order."""
        e, f = self.e, self.f
        region = f.region
        scope = e.open(region)
        e.bindings[self.k.along[0]] = Binding(i, 0, scope)
        x = e.emit(self.k.body).name
        t, bits, put = f"i{self.bits}", self.bits, f.put
        dtype = self.dtype
        sign = 1 << (bits - 1)
        if dtype.kind == "b":
            x = put(f"zext i1 {x} to i8")
        elif dtype.is_float:
            x = self.float_key(x, sign)
        elif dtype.kind == "i":
            x = put(f"xor {t} {x}, {-sign}")
        if self.k.descending:
            x = put(f"xor {t} {x}, -1")
        if bits < 64:
            x = put(f"zext {t} {x} to i64")
        e.close()
        f.region = region
        return x

    def float_key(self, x: Operand, sign: int) -> Operand:
        """Negative numbers turned over, positive ones above them; one zero, one NaN above all."""
        t, put, dtype = f"i{self.bits}", self.f.put, self.dtype
        exponent = {"float64": 11, "float32": 8, "bfloat16": 8, "float16": 5}[dtype.name]
        infinity = ((1 << exponent) - 1) << (self.bits - 1 - exponent)
        x = put(f"bitcast {dtype.llvm} {x} to {t}")
        magnitude = put(f"and {t} {x}, {sign - 1}")
        zero = put(f"icmp eq {t} {magnitude}, 0")
        nan = put(f"icmp ugt {t} {magnitude}, {infinity}")
        x = put(f"select i1 {zero}, {t} 0, {t} {x}")
        spread = put(f"ashr {t} {x}, {self.bits - 1}")
        key = put(f"xor {t} {x}, {put(f'or {t} {spread}, {-sign}')}")
        return put(f"select i1 {nan}, {t} -1, {t} {key}")

    # ---- elements in scratch memory ------------------------------------------------------------

    def packed(self, key: Operand, position: Operand) -> list[Operand]:
        """The words of one element with its position."""
        if self.wide:
            return [key, position]
        return [self.f.put(f"or i64 {self.f.put(f'shl i64 {key}, 32')}, {position}")]

    def put_at(self, base: Operand, i: Operand, words: list[Operand]) -> None:
        f = self.f
        for w, word in enumerate(words):
            at = f.gep(base, f.add(f.mul(i, len(words)), w), "i64")
            f.do(f"store i64 {word}, ptr {at}, align 8")

    def take(self, base: Operand, i: Operand) -> list[Operand]:
        f, count = self.f, 2 if self.wide else 1
        return [
            f.put(f"load i64, ptr {f.gep(base, f.add(f.mul(i, count), w), 'i64')}, align 8")
            for w in range(count)
        ]

    def position(self, words: list[Operand]) -> Operand:
        return words[1] if self.wide else self.f.put(f"and i64 {words[0]}, {0xFFFFFFFF}")

    def digit(self, word: Operand, number: int) -> Operand:
        """A byte of a key, the lowest first."""
        shift = 8 * number + (0 if self.wide else 32)
        shifted = self.f.put(f"lshr i64 {word}, {shift}") if shift else word
        return self.f.put(f"and i64 {shifted}, 255")

    # ---- the few first -------------------------------------------------------------------------

    def select(self) -> None:
        """Keep the first few in order: each element that belongs to them pushes others on."""
        f, few = self.f, self.k.few
        nothing = ["-1", "0"] if self.wide else ["-1"]
        f.counted(0, few, 1, lambda i, _: self.put_at(self.first, i, nothing))

        def element(i: Operand, _: list[Operand]) -> None:
            words = self.packed(self.key(i), i)
            worst = self.take(self.first, str(few - 1))[0]
            better = f.put(f"icmp ult i64 {words[0]}, {worst}")
            if self.wide:  # the greatest key of all, while places are free
                free = f.put(f"icmp slt i64 {i}, {few}")
                better = f.put(f"or i1 {better}, {free}")
            f.when(better, lambda: self.insert(words, i))

        f.counted(0, self.n, 1, element)

        def out(i: Operand, _: list[Operand]) -> None:
            self.store(i, self.position(self.take(self.first, i)))

        f.counted(0, self.count, 1, out)

    def insert(self, words: list[Operand], i: Operand) -> None:
        """Put an element before the first that is greater, those from there on one further."""
        f = self.f
        filled = f.smin(f.add(i, 1), self.k.few)

        def place(at: Operand, carried: list[Operand]) -> list[Operand]:
            *new, pushing = carried
            old = self.take(self.first, at)
            less = f.put(f"icmp ult i64 {new[0]}, {old[0]}")
            last = f.put(f"icmp eq i64 {at}, {i}")  # a place that nothing holds yet
            pushing = f.put(f"or i1 {f.put(f'or i1 {pushing}, {less}')}, {last}")
            put = [f.put(f"select i1 {pushing}, i64 {a}, i64 {b}") for a, b in zip(new, old)]
            on = [f.put(f"select i1 {pushing}, i64 {b}, i64 {a}") for a, b in zip(new, old)]
            self.put_at(self.first, at, put)
            return [*on, pushing]

        f.counted("0", filled, 1, place, [*(("i64", w) for w in words), ("i1", "false")])

    # ---- all -----------------------------------------------------------------------------------

    def sort(self) -> None:
        f, digits = self.f, self.bits // 8
        f.counted(0, digits * 128, 1, lambda i, _: f.do(
            f"store i64 0, ptr {f.gep(self.counts, i, 'i64')}, align 8"))  # fmt: skip
        f.do(f"store ptr {self.first}, ptr {self.now}, align 8")
        f.do(f"store ptr {self.second}, ptr {self.other}, align 8")

        def read(i: Operand, _: list[Operand]) -> None:
            words = self.packed(self.key(i), i)
            self.put_at(self.first, i, words)
            for d in range(digits):
                self.count_up(f.add(self.digit(words[0], d), 256 * d))

        f.counted(0, self.n, 1, read)
        for d in range(digits):
            self.by_digit(d)
        done = f.put(f"load ptr, ptr {self.now}, align 8")
        f.counted(0, self.count, 1, lambda i, _: self.store(i, self.position(self.take(done, i))))

    def count_up(self, at: Operand) -> Operand:
        f = self.f
        address = f.gep(self.counts, at, "i32")
        before = f.put(f"load i32, ptr {address}, align 4")
        f.do(f"store i32 {f.put(f'add i32 {before}, 1')}, ptr {address}, align 4")
        return before

    def by_digit(self, d: int) -> None:
        """Put elements in order by one byte, from the list they are in into the other."""
        f = self.f
        source = f.put(f"load ptr, ptr {self.now}, align 8")
        shared = f.add(self.digit(self.take(source, "0")[0], d), 256 * d)
        many = f.put(f"load i32, ptr {f.gep(self.counts, shared, 'i32')}, align 4")
        all_ = f.put(f"trunc i64 {self.n} to i32") if isinstance(self.n, str) else self.n

        def work() -> None:
            target = f.put(f"load ptr, ptr {self.other}, align 8")

            def start(i: Operand, before: list[Operand]) -> list[Operand]:
                address = f.gep(self.counts, f.add(i, 256 * d), "i32")
                count = f.put(f"load i32, ptr {address}, align 4")
                f.do(f"store i32 {before[0]}, ptr {address}, align 4")
                return [f.put(f"add i32 {before[0]}, {count}")]

            f.counted(0, 256, 1, start, [("i32", "0")])

            def move(i: Operand, _: list[Operand]) -> None:
                words = self.take(source, i)
                place = self.count_up(f.add(self.digit(words[0], d), 256 * d))
                self.put_at(target, f.put(f"zext i32 {place} to i64"), words)

            f.counted(0, self.n, 1, move)
            f.do(f"store ptr {target}, ptr {self.now}, align 8")
            f.do(f"store ptr {source}, ptr {self.other}, align 8")

        f.when(f.put(f"icmp ne i32 {many}, {all_}"), work)
