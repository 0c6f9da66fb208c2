"""What one pointwise operation is in LLVM IR, on scalars and on vectors; number literals.

Knows one operation; must not know loops, memory or expressions around it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from ..ir import dtype as dt
from ..ir.dtype import DType
from ..ir.node import Node
from ..ir.scalar import round_to
from ..runtime import target
from . import scalar_math
from .builder import Function, If, Operand, Region
from .scalar_math import Ops


def storage_type(dtype: DType) -> str:
    """The LLVM type of one element in memory (bool takes a byte)."""
    return "i8" if dtype.kind == "b" else dtype.llvm


def literal(value: bool | int | float, dtype: DType) -> str:
    """A number as LLVM writes it."""
    if dtype.kind == "b":
        return "true" if value else "false"
    if dtype.is_int:
        v = int(value)
        return str(v if v <= 0x7FFFFFFFFFFFFFFF else v - (1 << 64))
    if dtype.bits >= 32:
        (bits,) = struct.unpack("<Q", struct.pack("<d", float(value)))
        return f"0x{bits:016X}"
    if dtype.name == "float16":
        (bits,) = struct.unpack("<H", struct.pack("<e", float(value)))
        return str(bits)
    (bits,) = struct.unpack("<I", struct.pack("<f", float(value)))
    return str(bits >> 16)


_FLOAT_OPS = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_INT_OPS = {"add": "add", "sub": "sub", "mul": "mul", "and": "and", "or": "or", "xor": "xor"}
_INTRINSIC = {
    "abs": "fabs", "sqrt": "sqrt", "floor": "floor", "ceil": "ceil", "trunc": "trunc",
    "round": "roundeven", "copysign": "copysign",
}  # fmt: skip
_COMPARE_FLOAT = {"lt": "olt", "le": "ole", "eq": "oeq", "ne": "une"}
_COMPARE_INT = {"lt": "lt", "le": "le", "eq": "eq", "ne": "ne"}


def suffix(ty: str) -> str:
    """LLVM's mangling of an element type in an intrinsic's name."""
    return {"float": "f32", "double": "f64", "half": "f16", "bfloat": "bf16"}.get(ty, ty)


class Writer:
    """Straight-line instructions of one operation, in one region and one vector shape.

    Also the `Ops` of scalar_math: `real` is the type its formulas compute in.
    """

    def __init__(self, fn: Function, region: Region, lanes: int, real: DType = dt.float32) -> None:
        self.fn, self.region, self.lanes, self.real = fn, region, lanes, real
        self.integer = "i32" if real.bits == 32 else "i64"
        self.ft, self.it, self.bt = self.ty(real.llvm), self.ty(self.integer), self.ty("i1")

    def ty(self, element: str) -> str:
        return f"<{self.lanes} x {element}>" if self.lanes else element

    def put(self, text: str) -> Operand:
        return self.fn.put(text, self.region)

    def constant(self, text: str, element: str) -> Operand:
        return f"splat ({element} {text})" if self.lanes else text

    def intrinsic(self, name: str, element: str, *args: Operand) -> Operand:
        t = self.ty(element)
        full = f"@llvm.{name}.{f'v{self.lanes}' if self.lanes else ''}{suffix(element)}"
        self.fn.declare(f"{t} {full}({', '.join([t] * len(args))})")
        return self.put(f"call {t} {full}({', '.join(f'{t} {a}' for a in args)})")

    # The protocol of scalar_math.Ops.
    def f(self, value: float) -> str:
        return self.constant(literal(round_to(value, self.real), self.real), self.real.llvm)

    def i(self, value: int) -> str:
        return self.constant(str(value), self.integer)

    def fma(self, a: str, b: str, c: str) -> str:
        return self.intrinsic("fma", self.real.llvm, a, b, c)

    def op(self, name: str, a: str, b: str) -> str:
        return self.put(f"{name} {self.ft} {a}, {b}")

    def negative(self, a: str) -> str:
        return self.put(f"fneg {self.ft} {a}")

    def iop(self, name: str, a: str, b: str) -> str:
        return self.put(f"{name} {self.it} {a}, {b}")

    def test(self, name: str, a: str, b: str) -> str:
        return self.put(f"fcmp {name} {self.ft} {a}, {b}")

    def itest(self, name: str, a: str, b: str) -> str:
        return self.put(f"icmp {name} {self.it} {a}, {b}")

    def join(self, name: str, a: str, b: str) -> str:
        return self.put(f"{name} {self.bt} {a}, {b}")

    def opposite(self, a: str) -> str:
        return self.join("xor", a, self.constant("true", "i1"))

    def select(self, c: str, a: str, b: str, ty: str = "") -> str:
        t = ty or self.ft
        return self.put(f"select {self.bt} {c}, {t} {a}, {t} {b}")

    def bits(self, x: str) -> str:
        return self.put(f"bitcast {self.ft} {x} to {self.it}")

    def unbits(self, x: str) -> str:
        return self.put(f"bitcast {self.it} {x} to {self.ft}")

    def to_float(self, x: str) -> str:
        return self.put(f"sitofp {self.it} {x} to {self.ft}")

    def call(self, intrinsic: str, x: str) -> str:
        return self.intrinsic(intrinsic, self.real.llvm, x)

    @property
    def width(self) -> int:
        """The bits of the type that formulas compute in."""
        return self.real.bits

    @property
    def has_scale(self) -> bool:
        """Is there an instruction for x·2^n, rounded once, at this width?"""
        t = target.host()
        return self.lanes in _SCALE and t.has("avx512f") and (self.lanes == 16 or t.has("avx512vl"))

    def add_product(self, a: str, b: str, total: str) -> str:
        """total + a·b for widened bfloat16 a and b: see the orders dot16 in ir.node."""
        if not target.host().adds_pairs:
            return self.intrinsic("fma", "float", self.normal(a), self.normal(b), total)
        # The lower half of each lane adds 0·(−0), which changes nothing, not even −0.
        below = self.iop("or", self.bits(b), self.i(0x8000))
        return self.add_pairs(self.bits(a), below, total)

    def add_pairs(self, a: str, b: str, total: str) -> str:
        """total + a₁·b₁, then + a₀·b₀, for pairs of bfloat16, the first in the lower half of a lane
        of integers: AVX-512's vdpbf16ps, where there is one."""
        if not self.lanes:
            wide = Writer(self.fn, self.region, 4)
            one = [
                self.put(f"insertelement <4 x {t}> poison, {t} {x}, i64 0")
                for t, x in (("i32", a), ("i32", b), ("float", total))
            ]
            return self.put(f"extractelement <4 x float> {wide.add_pairs(*one)}, i64 0")
        if self.lanes > 16:
            half = Writer(self.fn, self.region, self.lanes // 2)
            types = (self.it, self.it, self.ft)
            low, high = (
                half.add_pairs(*(self.part(x, t, at) for x, t in zip((a, b, total), types)))
                for at in (0, half.lanes)
            )
            index = ", ".join(f"i32 {i}" for i in range(self.lanes))
            return self.put(
                f"shufflevector {half.ft} {low}, {half.ft} {high}, <{self.lanes} x i32> <{index}>"
            )
        pairs = f"<{2 * self.lanes} x bfloat>"
        name = f"@llvm.x86.avx512bf16.dpbf16ps.{32 * self.lanes}"
        self.fn.declare(f"{self.ft} {name}({self.ft}, {pairs}, {pairs})")
        a, b = (self.put(f"bitcast {self.it} {x} to {pairs}") for x in (a, b))
        return self.put(f"call {self.ft} {name}({self.ft} {total}, {pairs} {a}, {pairs} {b})")

    def part(self, x: str, ty: str, start: int) -> str:
        """Half of a vector of that type."""
        count = self.lanes // 2
        index = ", ".join(f"i32 {start + i}" for i in range(count))
        return self.put(f"shufflevector {ty} {x}, {ty} poison, <{count} x i32> <{index}>")

    def normal(self, x: str) -> str:
        """x, or the zero of its sign where it is below 2⁻¹²⁶."""
        bits = self.bits(x)
        small = self.itest("eq", self.iop("and", bits, self.i(0x7F800000)), self.i(0))
        sign = self.iop("and", bits, self.i(-0x80000000))
        return self.unbits(self.select(small, sign, bits, self.it))

    def scale(self, x: str, n: str) -> str:
        """x·2^n for an integer n held as a float; AVX-512's vscalefps."""
        mask, rounding = _SCALE[self.lanes]
        name = f"@llvm.x86.avx512.mask.scalef.ps.{self.lanes * 32}"
        more = ", i32" if rounding else ""
        self.fn.declare(f"{self.ft} {name}({self.ft}, {self.ft}, {self.ft}, {mask}{more})")
        given = f"{self.ft} {x}, {self.ft} {n}, {self.ft} zeroinitializer, {mask} -1"
        return self.put(f"call {self.ft} {name}({given}{', i32 4' if rounding else ''})")

    def wide(self) -> Writer:
        return Writer(self.fn, self.region, self.lanes, dt.float64)

    def widened(self, x: str) -> str:
        return self.put(f"fpext {self.ft} {x} to {self.ty('double')}")

    def narrowed(self, x: str) -> str:
        return self.put(f"fptrunc {self.ty('double')} {x} to {self.ft}")

    def rarely(self, c: str, usual: str, slow: Callable[[Ops], str]) -> str:
        """What `slow` writes if the condition holds in any lane, else `usual`; behind a branch."""
        if self.lanes:
            whole = self.put(f"bitcast {self.bt} {c} to i{self.lanes}")
            c = self.put(f"icmp ne i{self.lanes} {whole}, 0")
        block = If(c, Region(self.region.depth + 1))
        inner = Writer(self.fn, block.then, self.lanes, self.real)
        name = self.fn.name_()
        block.result = (name, self.ft, usual, slow(inner))
        self.region.items.append(block)
        return name

    def libm(self, name: str, x: str) -> str:
        return _libm(self, name, self.real, [x])


_SCALE = {4: ("i8", False), 8: ("i8", False), 16: ("i16", True)}  # mask type, rounding argument


def write_operation(w: Writer, op: str, node: Node, x: list[Operand]) -> Operand:
    """One pointwise operation on operands of one vector shape."""
    source = node.src[-1].dtype  # the operands' type (where: of its branches)
    element = source.llvm
    t = w.ty(element)
    if op == "where":
        return w.select(x[0], x[1], x[2], t)
    if op == "cast":
        return convert(w, node.src[0].dtype, node.dtype, x[0])
    if op in _COMPARE_INT:
        if is_half(source):
            t, x = w.ft, [convert(w, source, dt.float32, a) for a in x]
        if source.is_float:
            return w.put(f"fcmp {_COMPARE_FLOAT[op]} {t} {x[0]}, {x[1]}")
        sign = "" if op in ("eq", "ne") else ("s" if source.kind == "i" else "u")
        return w.put(f"icmp {sign}{_COMPARE_INT[op]} {t} {x[0]}, {x[1]}")
    if is_half(source):  # in float32, rounded once
        wide = [convert(w, source, dt.float32, a) for a in x]
        if op == "floordiv":  # the floor of the rounded quotient
            quotient = convert(w, dt.float32, source, w.op("fdiv", *wide))
            op, wide = "floor", [convert(w, source, dt.float32, quotient)]
        return convert(w, dt.float32, source, _write_float(w, op, dt.float32, wide))
    if source.is_float:
        return _write_float(w, op, source, x)
    return _write_integer(w, op, source, x)


def _write_float(w: Writer, op: str, dtype: DType, x: list[Operand]) -> Operand:
    element = dtype.llvm
    t = w.ty(element)
    if op in _FLOAT_OPS:
        return w.put(f"{_FLOAT_OPS[op]} {t} {x[0]}, {x[1]}")
    if op == "neg":
        return w.put(f"fneg {t} {x[0]}")
    if op in ("maximum", "minimum"):
        better = w.put(f"fcmp {'ogt' if op == 'maximum' else 'olt'} {t} {x[0]}, {x[1]}")
        best = w.select(better, x[0], x[1], t)
        nan = w.put(f"fcmp uno {t} {x[0]}, {x[0]}")
        return w.select(nan, x[0], best, t)
    if op in scalar_math.FLOAT32 and dtype is dt.float32:
        return scalar_math.FLOAT32[op](w, *x)
    if op in scalar_math.BOTH:
        return scalar_math.BOTH[op](Writer(w.fn, w.region, w.lanes, dtype), *x)
    if op in _INTRINSIC:
        return w.intrinsic(_INTRINSIC[op], element, *x)
    if op == "floordiv":
        return w.intrinsic("floor", element, w.put(f"fdiv {t} {x[0]}, {x[1]}"))
    if op == "mod":
        r = w.put(f"frem {t} {x[0]}, {x[1]}")
        zero = w.constant(literal(0.0, dtype), element)
        bt = w.ty("i1")
        nonzero = w.put(f"fcmp une {t} {r}, {zero}")
        below, below_divisor = (w.put(f"fcmp olt {t} {a}, {zero}") for a in (r, x[1]))
        differ = w.put(f"xor {bt} {below}, {below_divisor}")
        fix = w.put(f"and {bt} {nonzero}, {differ}")
        r = w.select(fix, w.put(f"fadd {t} {r}, {x[1]}"), r, t)
        is_nan = w.put(f"fcmp uno {t} {r}, {r}")
        signed = w.intrinsic("copysign", element, zero, x[1])
        keep = w.put(f"or {bt} {nonzero}, {is_nan}")
        return w.select(keep, r, signed, t)
    return _libm(w, op, dtype, x)


def _libm(w: Writer, op: str, dtype: DType, x: list[Operand]) -> Operand:
    """Functions with no instruction: one call of the system's libm a lane."""
    element, name = ("float", f"@{op}f") if dtype.bits == 32 else ("double", f"@{op}")
    w.fn.declare(f"{element} {name}({', '.join([element] * len(x))})")

    def one(args: list[Operand]) -> Operand:
        return w.put(f"call {element} {name}({', '.join(f'{element} {a}' for a in args)})")

    if not w.lanes:
        return one(x)
    t = w.ty(dtype.llvm)
    result = "poison"
    for lane in range(w.lanes):
        r = one([w.put(f"extractelement {t} {a}, i64 {lane}") for a in x])
        result = w.put(f"insertelement {t} {result}, {dtype.llvm} {r}, i64 {lane}")
    return result


def _write_integer(w: Writer, op: str, dtype: DType, x: list[Operand]) -> Operand:
    element = dtype.llvm
    t = w.ty(element)
    signed = dtype.kind == "i"
    if op in ("maximum", "minimum"):
        if dtype.kind == "b":
            return w.put(f"{'or' if op == 'maximum' else 'and'} {t} {x[0]}, {x[1]}")
        name = ("s" if signed else "u") + op[:3]
        return w.intrinsic(name, element, *x)
    if op in _INT_OPS:
        return w.put(f"{_INT_OPS[op]} {t} {x[0]}, {x[1]}")
    if op == "neg":
        return w.put(f"sub {t} {w.constant('0', element)}, {x[0]}")
    if op == "abs":
        negative = w.put(f"sub {t} {w.constant('0', element)}, {x[0]}")
        below = w.put(f"icmp slt {t} {x[0]}, {w.constant('0', element)}")
        return w.select(below, negative, x[0], t) if signed else x[0]
    if op == "not":
        ones = "true" if dtype.kind == "b" else "-1"
        return w.put(f"xor {t} {x[0]}, {w.constant(ones, element)}")
    if op in ("shl", "shr"):
        return _write_shift(w, op, dtype, x)
    assert op in ("floordiv", "mod"), op
    return _write_division(w, op, dtype, x)


def _write_shift(w: Writer, op: str, dtype: DType, x: list[Operand]) -> Operand:
    """Shifts by any count: beyond the width, as by less than 0, the bits are gone, or the sign
    stays."""
    element, t = dtype.llvm, w.ty(dtype.llvm)
    top = w.constant(str(dtype.bits - 1), element)
    inside = w.put(f"icmp ule {t} {x[1]}, {top}")
    count = w.select(inside, x[1], top, t)
    if op == "shl":
        shifted = w.put(f"shl {t} {x[0]}, {count}")
        return w.select(inside, shifted, w.constant("0", element), t)
    if dtype.kind == "u":
        shifted = w.put(f"lshr {t} {x[0]}, {count}")
        return w.select(inside, shifted, w.constant("0", element), t)
    return w.put(f"ashr {t} {x[0]}, {count}")


def _write_division(w: Writer, op: str, dtype: DType, x: list[Operand]) -> Operand:
    """Division that rounds toward −∞ as Python's; by zero gives 0, min / −1 wraps."""
    element, t, bt = dtype.llvm, w.ty(dtype.llvm), w.ty("i1")
    signed = dtype.kind == "i"
    constant = not x[1].startswith("%")
    value = int(x[1].split()[-1].rstrip(")")) if constant else 0
    if constant and value > 0:
        divisor, zero_div, minus = x[1], None, None
    else:
        zero_div = w.put(f"icmp eq {t} {x[1]}, {w.constant('0', element)}")
        divisor = w.select(zero_div, w.constant("1", element), x[1], t)
        minus = None
        if signed:
            minus = w.put(f"icmp eq {t} {divisor}, {w.constant('-1', element)}")
            divisor = w.select(minus, w.constant("1", element), divisor, t)
    kind = "s" if signed else "u"
    if op == "floordiv":
        q = w.put(f"{kind}div {t} {x[0]}, {divisor}")
        r = w.put(f"sub {t} {x[0]}, {w.put(f'mul {t} {q}, {divisor}')}")
    else:
        q = ""
        r = w.put(f"{kind}rem {t} {x[0]}, {divisor}")
    zero = w.constant("0", element)
    if signed:
        nonzero = w.put(f"icmp ne {t} {r}, {zero}")
        differ = w.put(f"icmp slt {t} {w.put(f'xor {t} {r}, {divisor}')}, {zero}")
        fix = w.put(f"and {bt} {nonzero}, {differ}")
        if op == "floordiv":
            q = w.select(fix, w.put(f"sub {t} {q}, {w.constant('1', element)}"), q, t)
        else:
            r = w.select(fix, w.put(f"add {t} {r}, {divisor}"), r, t)
    result = q if op == "floordiv" else r
    if minus is not None:
        other = w.put(f"sub {t} {zero}, {x[0]}") if op == "floordiv" else zero
        result = w.select(minus, other, result, t)
    if zero_div is not None:
        result = w.select(zero_div, zero, result, t)
    return result


def _round_to_bfloat16(w: Writer, x: Operand) -> Operand:
    """The upper half of a float32, ties to even. In integers: the processor's own conversion takes
    numbers below 2⁻¹²⁶ for zero."""
    t = w.it
    bits = w.bits(x)
    upper = w.iop("lshr", bits, w.i(16))
    odd = w.iop("and", upper, w.i(1))
    rounded = w.iop("lshr", w.iop("add", bits, w.iop("add", odd, w.i(0x7FFF))), w.i(16))
    quiet = w.iop("or", upper, w.i(0x40))
    chosen = w.select(w.test("uno", x, x), quiet, rounded, t)
    return w.put(f"trunc {t} {chosen} to {w.ty('i16')}")


def is_half(dtype: DType) -> bool:
    """Is this a 16-bit floating type? Registers hold its bits; it computes in float32."""
    return dtype.is_float and dtype.bits == 16


def _has_float16() -> bool:
    """Are there instructions that convert float16?"""
    t = target.host()
    return t.has("f16c") or t.triple.startswith(("aarch64", "arm64"))


def _widened(w: Writer, a: DType, x: Operand) -> Operand:
    """A 16-bit float in float32, exactly."""
    if a is dt.float16 and _has_float16():
        half = w.put(f"bitcast {w.ty('i16')} {x} to {w.ty('half')}")
        return w.put(f"fpext {w.ty('half')} {half} to {w.ft}")
    bits = w.put(f"zext {w.ty('i16')} {x} to {w.it}")
    if a is dt.bfloat16:
        return w.unbits(w.iop("shl", bits, w.i(16)))
    # Exponent and fraction where float32 has them, and the exponents' offsets made equal: 2^112.
    sign = w.iop("shl", w.iop("and", bits, w.i(0x8000)), w.i(16))
    magnitude = w.iop("and", bits, w.i(0x7FFF))
    moved = w.iop("shl", magnitude, w.i(13))
    finite = w.bits(w.op("fmul", w.unbits(moved), w.f(2.0**112)))
    infinite = w.iop("or", moved, w.i(0x7F800000))
    quiet = w.iop("or", infinite, w.i(0x400000))
    special = w.select(w.itest("ugt", magnitude, w.i(0x7C00)), quiet, infinite, w.it)
    value = w.select(w.itest("uge", magnitude, w.i(0x7C00)), special, finite, w.it)
    return w.unbits(w.iop("or", value, sign))


def _round_to_float16(w: Writer, x: Operand) -> Operand:
    """The nearest float16, ties to even."""
    if _has_float16():
        half = w.put(f"fptrunc {w.ft} {x} to {w.ty('half')}")
        return w.put(f"bitcast {w.ty('half')} {half} to {w.ty('i16')}")
    bits = w.bits(x)
    sign = w.iop("and", w.iop("lshr", bits, w.i(16)), w.i(0x8000))
    magnitude = w.iop("and", bits, w.i(0x7FFFFFFF))
    odd = w.iop("and", w.iop("lshr", magnitude, w.i(13)), w.i(1))
    nearest = w.iop("add", magnitude, w.iop("add", odd, w.i(0xFFF - (112 << 23))))
    normal = w.iop("lshr", nearest, w.i(13))
    # Below 2⁻¹⁴ the unit is 2⁻²⁴, which is the gap between float32's from 0.5 on.
    shifted = w.bits(w.op("fadd", w.unbits(magnitude), w.f(0.5)))
    small = w.iop("sub", shifted, w.i(0x3F000000))
    value = w.select(w.itest("ult", magnitude, w.i(0x38800000)), small, normal, w.it)
    value = w.select(w.itest("uge", magnitude, w.i(0x477FF000)), w.i(0x7C00), value, w.it)
    payload = w.iop("and", w.iop("lshr", magnitude, w.i(13)), w.i(0x3FF))
    nan = w.iop("or", payload, w.i(0x7E00))
    value = w.select(w.test("uno", x, x), nan, value, w.it)
    return w.put(f"trunc {w.it} {w.iop('or', value, sign)} to {w.ty('i16')}")


def convert(w: Writer, a: DType, b: DType, x: Operand) -> Operand:
    """Conversion; floats into integers truncate and saturate, NaN gives 0."""
    if a is b:
        return x
    if is_half(a):
        return convert(w, dt.float32, b, _widened(w, a, x))
    if is_half(b):  # by way of float32, as the reference does
        x = convert(w, a, dt.float32, x)
        return (_round_to_float16 if b is dt.float16 else _round_to_bfloat16)(w, x)
    ta, tb = w.ty(a.llvm), w.ty(b.llvm)
    if b.kind == "b":
        zero = w.constant(literal(0, a), a.llvm)
        return w.put(f"{'fcmp une' if a.is_float else 'icmp ne'} {ta} {x}, {zero}")
    if a.is_float and b.is_float:
        return w.put(f"{'fpext' if b.bits > a.bits else 'fptrunc'} {ta} {x} to {tb}")
    if a.is_float:
        name = "fptosi" if b.kind == "i" else "fptoui"
        n = f"v{w.lanes}" if w.lanes else ""
        full = f"@llvm.{name}.sat.{n}{b.llvm}.{n}{suffix(a.llvm)}"
        w.fn.declare(f"{tb} {full}({ta})")
        return w.put(f"call {tb} {full}({ta} {x})")
    if b.is_float:
        return w.put(f"{'sitofp' if a.kind == 'i' else 'uitofp'} {ta} {x} to {tb}")
    if a.bits == b.bits:
        return x if a.llvm == b.llvm else w.put(f"bitcast {ta} {x} to {tb}")
    if b.bits < a.bits:
        return w.put(f"trunc {ta} {x} to {tb}")
    return w.put(f"{'sext' if a.kind == 'i' else 'zext'} {ta} {x} to {tb}")
