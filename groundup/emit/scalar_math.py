"""Vector transcendental functions in float32 as polynomials; other types call the system's libm.

Each writes straight-line IR through the emitter's `Ops`. No flag assumes away NaN or Inf.
Coefficients of exp, log and tanh: Cephes (S. Moshier, 1992), single precision.
"""

from __future__ import annotations

from typing import Protocol


class Ops(Protocol):
    """What a polynomial needs from the emitter; every value has one (vector) type."""

    def f(self, value: float) -> str: ...
    def i(self, value: int) -> str: ...
    def fma(self, a: str, b: str, c: str) -> str: ...
    def op(self, name: str, a: str, b: str) -> str: ...
    def iop(self, name: str, a: str, b: str) -> str: ...
    def less(self, a: str, b: str) -> str: ...
    def select(self, c: str, a: str, b: str) -> str: ...
    def bits(self, x: str) -> str: ...
    def unbits(self, x: str) -> str: ...
    def to_float(self, x: str) -> str: ...
    def call(self, intrinsic: str, x: str) -> str: ...
    def unordered(self, x: str) -> str: ...


def polynomial(o: Ops, x: str, coefficients: list[float]) -> str:
    """Horner's rule with fused multiply-add, highest power first."""
    y = o.f(coefficients[0])
    for c in coefficients[1:]:
        y = o.fma(y, x, o.f(c))
    return y


_EXP = [1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2,
        1.6666665459e-1, 5.0000001201e-1]  # fmt: skip
_MAGIC = 12582912.0  # 1.5·2^23: adding it rounds to an integer held in the low bits


def exp(o: Ops, x: str) -> str:
    """e^x = 2^n · e^r with n = round(x / ln 2), |r| ≤ ln 2 / 2."""
    # Beyond these 2^n leaves the range; the comparisons are false for NaN, which passes through.
    x = o.select(o.less(o.f(89.0), x), o.f(89.0), x)
    x = o.select(o.less(x, o.f(-104.0)), o.f(-104.0), x)
    shifted = o.fma(x, o.f(1.44269504088896341), o.f(_MAGIC))
    n = o.op("fsub", shifted, o.f(_MAGIC))
    r = o.fma(n, o.f(-0.693359375), x)
    r = o.fma(n, o.f(2.12194440e-4), r)
    p = polynomial(o, r, _EXP)
    y = o.op("fadd", o.fma(o.op("fmul", r, r), p, r), o.f(1.0))
    # 2^n in two factors, so that results below 2^-126 and 2^128 itself are reached.
    k = o.iop("sub", o.bits(shifted), o.i(0x4B400000))
    half = o.iop("ashr", k, o.i(1))
    for part in (half, o.iop("sub", k, half)):
        y = o.op("fmul", y, o.unbits(o.iop("shl", o.iop("add", part, o.i(127)), o.i(23))))
    return y


_LOG = [7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
        -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1]  # fmt: skip


def log(o: Ops, x: str) -> str:
    """ln x = ln m + e·ln 2 with x = m·2^e, √½ ≤ m < √2."""
    tiny = o.less(x, o.f(1.17549435e-38))
    scaled = o.select(tiny, o.op("fmul", x, o.f(8388608.0)), x)
    bits = o.bits(scaled)
    # Shift the exponent so that the mantissa falls in [√½, √2).
    moved = o.iop("sub", bits, o.i(0x3F3504F3))
    e = o.to_float(o.iop("ashr", moved, o.i(23)))
    e = o.op("fsub", e, o.select(tiny, o.f(23.0), o.f(0.0)))
    m = o.unbits(o.iop("add", o.iop("and", moved, o.i(0x7FFFFF)), o.i(0x3F3504F3)))
    r = o.op("fsub", m, o.f(1.0))
    z = o.op("fmul", r, r)
    y = o.op("fmul", o.op("fmul", polynomial(o, r, _LOG), r), z)
    y = o.fma(e, o.f(-2.12194440e-4), y)
    y = o.fma(z, o.f(-0.5), y)
    y = o.fma(e, o.f(0.693359375), o.op("fadd", r, y))
    inf, nan = float("inf"), float("nan")
    y = o.select(o.less(x, o.f(inf)), y, x)  # +Inf and NaN are their own logarithms
    y = o.select(o.less(x, o.f(0.0)), o.f(nan), y)
    return o.select(o.less(o.call("fabs", x), o.f(1e-45)), o.f(-inf), y)


_TANH = [-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1,
         -3.33332819422e-1]  # fmt: skip


def tanh(o: Ops, x: str) -> str:
    """tanh x: odd polynomial for |x| < 0.625, else sign(x)·(1 − 2/(e^{2|x|} + 1))."""
    a = o.call("fabs", x)
    big = exp(o, o.op("fadd", a, a))
    big = o.op("fsub", o.f(1.0), o.op("fdiv", o.f(2.0), o.op("fadd", big, o.f(1.0))))
    sign = o.iop("and", o.bits(x), o.i(-0x80000000))
    big = o.unbits(o.iop("or", o.bits(big), sign))
    z = o.op("fmul", x, x)
    small = o.fma(o.op("fmul", polynomial(o, z, _TANH), z), x, x)
    return o.select(o.less(a, o.f(0.625)), small, big)


FLOAT32 = {"exp": exp, "log": log, "tanh": tanh}
