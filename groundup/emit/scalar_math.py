"""Transcendental functions in float32 as straight-line code; float64 calls the system's libm (but
for `BOTH`).

Each is written through the emitter's `Ops`, the same operations at every vector width, so a value
has the same bits wherever it is computed. No flag assumes away NaN or Inf. `ir.bounds` states the
errors. Coefficients come from tools/fit_functions.py, under the same names, highest power first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Ops(Protocol):
    """What a formula needs from the emitter; every value has one (vector) type.

    Floats are of one type (float32, or float64 after `wide`), integers as wide as they are.
    """

    @property
    def has_scale(self) -> bool: ...
    @property
    def width(self) -> int: ...

    def f(self, value: float) -> str: ...
    def i(self, value: int) -> str: ...
    def fma(self, a: str, b: str, c: str) -> str: ...
    def op(self, name: str, a: str, b: str) -> str: ...
    def negative(self, a: str) -> str: ...
    def iop(self, name: str, a: str, b: str) -> str: ...
    def test(self, name: str, a: str, b: str) -> str: ...
    def itest(self, name: str, a: str, b: str) -> str: ...
    def join(self, name: str, a: str, b: str) -> str: ...
    def opposite(self, a: str) -> str: ...
    def select(self, c: str, a: str, b: str) -> str: ...
    def bits(self, x: str) -> str: ...
    def unbits(self, x: str) -> str: ...
    def to_float(self, x: str) -> str: ...
    def call(self, intrinsic: str, x: str) -> str: ...
    def scale(self, x: str, n: str) -> str: ...
    def wide(self) -> Ops: ...
    def widened(self, x: str) -> str: ...
    def narrowed(self, x: str) -> str: ...
    def rarely(self, c: str, usual: str, slow: Callable[[Ops], str]) -> str: ...
    def libm(self, name: str, x: str) -> str: ...


_INF, _NAN = float("inf"), float("nan")
_SIGN = -0x80000000
_MAGIC = 12582912.0  # 1.5·2^23: adding it rounds to an integer held in the low bits
_MAGIC_BITS = 0x4B400000
_LOG2E = 1.44269504088896341
# Constants in as many float32 as the longest product with an integer needs.
_LN2 = (0.6931471824645996, -1.9046542121259336e-09)
_PI = (3.1415927410125732, -8.742277657347586e-08, -3.4302490200117637e-15)


def polynomial(o: Ops, x: str, coefficients: list[float]) -> str:
    """Horner's rule with fused multiply-add, highest power first."""
    y = o.f(coefficients[0])
    for c in coefficients[1:]:
        y = o.fma(y, x, o.f(c))
    return y


def _least(o: Ops, bound: float, x: str) -> str:
    """min(x, bound); NaN stays. (In this order it is one instruction.)"""
    return o.select(o.test("olt", o.f(bound), x), o.f(bound), x)


def _greatest(o: Ops, bound: float, x: str) -> str:
    """max(x, bound); NaN stays."""
    return o.select(o.test("ogt", o.f(bound), x), o.f(bound), x)


def _with_sign(o: Ops, y: str, x: str) -> str:
    """y ≥ 0 (or of x's sign already) with the sign of x: −0 stays −0."""
    return o.unbits(o.iop("or", o.bits(y), o.iop("and", o.bits(x), o.i(_SIGN))))


def _rounded(o: Ops, shifted: str) -> str:
    """n, from n + 1.5·2^23."""
    return o.op("fsub", shifted, o.f(_MAGIC))


def _power_of_two(o: Ops, shifted: str) -> str:
    """2^n for −126 ≤ n ≤ 127, from n + 1.5·2^23: its low bits moved into the exponent."""
    return o.unbits(o.iop("add", o.iop("shl", o.bits(shifted), o.i(23)), o.i(0x3F800000)))


# ---- exponentials --------------------------------------------------------------------------------

_EXP = [1.381874201e-03, 8.368721232e-03, 4.166829214e-02, 1.666652113e-01, 4.999999404e-01]
_EXPM1 = [1.387055614e-03, 8.366453461e-03, 4.166743904e-02, 1.666654497e-01, 4.999999702e-01]


def exp(o: Ops, x: str) -> str:
    """e^x = 2^n · e^r with n = round(x / ln 2), |r| ≤ ln 2 / 2."""
    # Beyond these the result is Inf or 0.
    x = _greatest(o, -104.0, _least(o, 89.0, x))
    shifted = o.fma(x, o.f(_LOG2E), o.f(_MAGIC))
    n = _rounded(o, shifted)
    r = o.fma(n, o.f(-_LN2[1]), o.fma(n, o.f(-_LN2[0]), x))
    y = polynomial(o, r, [*_EXP, 1.0, 1.0])
    if o.has_scale:
        return o.scale(y, n)
    # 2^n in two factors, so that results below 2^-126 and 2^128 itself are reached.
    k = o.iop("sub", o.bits(shifted), o.i(_MAGIC_BITS))
    half = o.iop("ashr", k, o.i(1))
    for part in (half, o.iop("sub", k, half)):
        y = o.op("fmul", y, o.unbits(o.iop("shl", o.iop("add", part, o.i(127)), o.i(23))))
    return y


def expm1(o: Ops, x: str) -> str:
    """e^x − 1 = 2·(2^(n−1)·(e^r − 1) + 2^(n−1) − ½)"""
    tiny = o.test("olt", o.call("fabs", x), o.f(2.0**-26))  # x itself; keeps −0
    a = _greatest(o, -20.0, _least(o, 89.0, x))
    shifted = o.fma(a, o.f(_LOG2E), o.f(_MAGIC))
    n = _rounded(o, shifted)
    r = o.fma(n, o.f(-_LN2[1]), o.fma(n, o.f(-_LN2[0]), a))
    p = o.fma(o.op("fmul", r, r), polynomial(o, r, _EXPM1), r)
    half = o.unbits(o.iop("add", o.iop("shl", o.bits(shifted), o.i(23)), o.i(0x3F000000)))
    y = o.fma(half, p, o.op("fsub", half, o.f(0.5)))
    return o.select(tiny, x, o.op("fadd", y, y))


_TANH = [-5.013533309e-02, 1.331234127e-01, -3.333300352e-01]


def tanh(o: Ops, x: str) -> str:
    """tanh a = h / (h + 1), a = |x|, with h = (e^(2a) − 1) / 2 as in expm1; a + a³·P(a²) below 0.3,
    where the rounding of h + 1 would count."""
    a = _least(o, 9.2, o.call("fabs", x))  # beyond it is 1 − less than half a unit
    shifted = o.fma(a, o.f(2 * _LOG2E), o.f(_MAGIC))
    n = _rounded(o, shifted)
    r = o.fma(n, o.f(-_LN2[1] / 2), o.fma(n, o.f(-_LN2[0] / 2), a))
    # (e^(2r) − 1) / 2 = r + r²·Q(r) with coefficients that are those of expm1 times powers of two
    q = [c * 2.0 ** (len(_EXPM1) - k) for k, c in enumerate(_EXPM1)]
    p = o.fma(o.op("fmul", r, r), polynomial(o, r, q), r)
    power = _power_of_two(o, shifted)
    h = o.fma(power, p, o.fma(power, o.f(0.5), o.f(-0.5)))
    large = o.op("fdiv", h, o.op("fadd", h, o.f(1.0)))
    z = o.op("fmul", a, a)
    small = o.fma(o.op("fmul", a, z), polynomial(o, z, _TANH), a)
    return _with_sign(o, o.select(o.test("olt", a, o.f(0.3)), small, large), x)


_EXP2 = [1.326953527e-03, 9.671292268e-03, 5.550710857e-02, 2.40222469e-01, 6.931470037e-01]
_ERF = [-5.959578557e-04, 4.987352062e-03, -2.676296607e-02, 1.128173098e-01, -3.761248887e-01,
        1.283791512e-01]  # fmt: skip
_ERFC = [-7.641467164e-06, 7.204079157e-05, 3.963019481e-05, -4.139420111e-03, 3.256999329e-02,
         -1.517277658e-01, -9.170823693e-01, -1.628141165e+00]  # fmt: skip


def erf(o: Ops, x: str) -> str:
    """erf |x| = |x| + |x|·P(x²) below 0.92, else 1 − 2^(|x|·Q(|x|)), which is 1 from 4 on."""
    magnitude = o.call("fabs", x)
    a = _least(o, 4.0, magnitude)
    small = o.fma(polynomial(o, o.op("fmul", a, a), _ERF), a, a)
    e = o.op("fmul", polynomial(o, a, _ERFC), a)
    shifted = o.op("fadd", e, o.f(_MAGIC))
    p = polynomial(o, o.op("fsub", e, _rounded(o, shifted)), [*_EXP2, 1.0])
    large = o.fma(o.negative(p), _power_of_two(o, shifted), o.f(1.0))
    return _with_sign(o, o.select(o.test("olt", a, o.f(0.92)), small, large), x)


# ---- logarithms ----------------------------------------------------------------------------------

_LOG = [-1.289487630e-01, 1.398991942e-01, -1.218368635e-01, 1.400484592e-01, -1.668051630e-01,
        2.001046240e-01, -2.499979734e-01, 3.333321512e-01, -0.5]  # fmt: skip
_TWO_THIRDS = 0x3F2AAAAB


def _parts(o: Ops, x: str) -> tuple[str, str, str]:
    """(the bits of 2^e times 1.0's own, m, e) of a normal x > 0: x = m·2^e, 2/3 ≤ m < 4/3."""
    bits = o.bits(x)
    power = o.iop("and", o.iop("sub", bits, o.i(_TWO_THIRDS)), o.i(-0x800000))
    m = o.unbits(o.iop("sub", bits, power))
    return power, m, o.to_float(o.iop("ashr", power, o.i(23)))


def _log_of(o: Ops, r: str, e: str) -> str:
    """ln((1 + r)·2^e)"""
    y = o.fma(o.op("fmul", r, r), polynomial(o, r, _LOG), r)
    return o.fma(e, o.f(_LN2[0]), y)


def _where_defined(o: Ops, u: str, x: str, y: str) -> str:
    """y where u > 0; −Inf at 0, NaN below; x itself (Inf or NaN) where it is not finite."""
    y = o.select(o.test("olt", x, o.f(_INF)), y, x)
    y = o.select(o.test("olt", u, o.f(0.0)), o.f(_NAN), y)
    return o.select(o.test("oeq", u, o.f(0.0)), o.f(-_INF), y)


def log(o: Ops, x: str) -> str:
    """ln x = ln m + e·ln 2 with x = m·2^e"""
    tiny = o.test("olt", x, o.f(2.0**-126))
    normal = o.select(tiny, o.op("fmul", x, o.f(2.0**23)), x)
    _, m, e = _parts(o, normal)
    e = o.select(tiny, o.op("fsub", e, o.f(23.0)), e)
    return _where_defined(o, x, x, _log_of(o, o.op("fsub", m, o.f(1.0)), e))


def log1p(o: Ops, x: str) -> str:
    """ln(1 + x) = ln(u + c), with u = 1 + x rounded and c what that lost."""
    u = o.op("fadd", x, o.f(1.0))
    c = o.op("fsub", x, o.op("fsub", u, o.f(1.0)))
    power, m, e = _parts(o, u)
    # 2^-e; where it is no normal number, c is 0
    back = _greatest(o, 0.0, o.unbits(o.iop("sub", o.i(0x3F800000), power)))
    r = o.fma(c, back, o.op("fsub", m, o.f(1.0)))
    return _with_sign(o, _where_defined(o, u, x, _log_of(o, r, e)), x)


# ---- circular functions --------------------------------------------------------------------------

_SIN = [-1.950744627e-04, 8.332104422e-03, -1.666665375e-01]
_COS = [2.442941513e-05, -1.388729434e-03, 4.166664556e-02, -0.5]
_TAN = [4.505028948e-03, -1.638582908e-04, 1.102851983e-02, 2.121126652e-02, 5.407278612e-02,
        1.333256066e-01, 3.333335221e-01]  # fmt: skip
_HALF_PI = tuple(part / 2 for part in _PI)
# Up to here n·π/2 is exact enough in three parts (Cody and Waite, 1980): with n < 2^16 the first
# leaves no error beside x, and what the third leaves out is below 2^-59. Beyond, libm is called.
_FAR = 65536.0


def _quadrant(o: Ops, x: str) -> tuple[str, str]:
    """(n + 1.5·2^23, n) with n = round(x / (π/2))"""
    shifted = o.fma(x, o.f(0.63661977236758134), o.f(_MAGIC))
    return shifted, _rounded(o, shifted)


def _circular(o: Ops, name: str, x: str, turn: int) -> str:
    """sin(x + turn·π/2): ±sin r or ±cos r with r = x − n·π/2, |r| ≤ π/4."""
    shifted, n = _quadrant(o, x)
    r = x
    for part in _HALF_PI:
        r = o.fma(n, o.f(-part), r)
    k = o.iop("add", o.bits(shifted), o.i(turn)) if turn else o.bits(shifted)
    z = o.op("fmul", r, r)
    sine = o.fma(o.op("fmul", r, z), polynomial(o, z, _SIN), r)
    cosine = o.fma(polynomial(o, z, _COS), z, o.f(1.0))
    odd = o.itest("ne", o.iop("and", k, o.i(1)), o.i(0))
    sign = o.iop("and", o.iop("shl", k, o.i(30)), o.i(_SIGN))
    y = o.unbits(o.iop("xor", o.bits(o.select(odd, cosine, sine)), sign))
    if not turn:
        y = o.select(o.test("oeq", x, o.f(0.0)), x, y)  # −0
    return _or_far(o, name, x, y)


def _or_far(o: Ops, name: str, x: str, y: str) -> str:
    """y, but libm's word for |x| beyond the range of the reduction (Inf too: NaN)."""
    far = o.test("ogt", o.call("fabs", x), o.f(_FAR))
    return o.rarely(far, y, lambda slow: slow.select(far, slow.libm(name, x), y))


def sin(o: Ops, x: str) -> str:
    """sin x"""
    return _circular(o, "sin", x, 0)


def cos(o: Ops, x: str) -> str:
    """cos x = sin(x + π/2)"""
    return _circular(o, "cos", x, 1)


def tan(o: Ops, x: str) -> str:
    """tan x = tan r for even n, −1 / tan r for odd, with n = round(x / (π/2)), |r| ≤ π/4"""
    shifted, n = _quadrant(o, x)
    first = o.fma(n, o.f(-_HALF_PI[0]), x)
    second = o.op("fmul", n, o.f(_HALF_PI[1]))
    r = o.op("fsub", first, second)
    # What these roundings lost, since near a pole r alone counts.
    lost = o.op("fsub", o.op("fsub", first, r), second)
    lost = o.op("fsub", lost, o.fma(n, o.f(_HALF_PI[1]), o.negative(second)))
    lost = o.fma(n, o.f(-_HALF_PI[2]), lost)
    z = o.op("fmul", r, r)
    lost = o.fma(lost, z, lost)  # times the derivative, nearly
    y = o.op("fadd", r, o.fma(o.op("fmul", r, z), polynomial(o, z, _TAN), lost))
    odd = o.itest("ne", o.iop("and", o.bits(shifted), o.i(1)), o.i(0))
    y = o.select(odd, o.op("fdiv", o.f(-1.0), y), y)
    y = o.select(o.test("oeq", x, o.f(0.0)), x, y)  # −0
    return _or_far(o, "tan", x, y)


# ---- powers --------------------------------------------------------------------------------------

# In double precision: log2|x| needs 2^-34 of itself, since the exponent may be 150 of its units.
_LOG2 = [3.4077271536019316e-01, 4.116705211595977e-01, 5.770836196720713e-01,
         9.617966731712527e-01, 2.885390081790212e00]  # fmt: skip
_EXP2_64 = [1.5353362507863007e-04, 1.339887447409564e-03, 9.618437354152158e-03,
            5.550332470914893e-02, 2.402264791365782e-01, 6.931472028552326e-01]  # fmt: skip
_MAGIC_64 = 6755399441055744.0  # 1.5·2^52


def _log2(d: Ops, a: str) -> str:
    """log2 a in float64 for a normal a > 0: log2((1 + s)/(1 − s)) + e, s = (m − 1)/(m + 1)."""
    bits = d.bits(a)
    power = d.iop("and", d.iop("sub", bits, d.i(0x3FE6A09E667F3BCD)), d.i(-(1 << 52)))
    m = d.unbits(d.iop("sub", bits, power))
    e = d.to_float(d.iop("ashr", power, d.i(52)))
    s = d.op("fdiv", d.op("fsub", m, d.f(1.0)), d.op("fadd", m, d.f(1.0)))
    return d.fma(s, polynomial(d, d.op("fmul", s, s), _LOG2), e)


def pow(o: Ops, x: str, y: str) -> str:
    """x^y = ±2^(y·log2|x|), in float64 and rounded once; special values as C99 has them."""
    d = o.wide()
    a, b = o.widened(o.call("fabs", x)), o.widened(y)
    # A great number stands for Inf, so that times 0 it is 0.
    least = d.select(d.test("oeq", a, d.f(0.0)), d.f(-1e300), _log2(d, a))
    log2 = d.select(d.test("oeq", a, d.f(_INF)), d.f(1e300), least)
    e = _greatest(d, -160.0, _least(d, 160.0, d.op("fmul", b, log2)))
    shifted = d.op("fadd", e, d.f(_MAGIC_64))
    r = d.op("fsub", e, d.op("fsub", shifted, d.f(_MAGIC_64)))
    p = polynomial(d, r, [*_EXP2_64, 1.0])
    p = d.unbits(d.iop("add", d.bits(p), d.iop("shl", d.bits(shifted), d.i(52))))
    result = o.narrowed(p)
    # The sign, and NaN for a negative number to a power that is no integer.
    half = o.op("fmul", y, o.f(0.5))
    whole = o.test("oeq", o.call("trunc", y), y)
    odd = o.join("and", whole, o.test("une", o.call("trunc", half), half))
    sign = o.iop("and", o.bits(x), o.i(_SIGN))
    result = o.select(odd, o.unbits(o.iop("xor", o.bits(result), sign)), result)
    below = o.join("and", o.test("olt", x, o.f(0.0)), o.test("ogt", x, o.f(-_INF)))
    neither = o.join("and", below, o.opposite(whole))
    result = o.select(neither, o.f(_NAN), result)
    result = o.select(o.test("uno", x, y), o.f(_NAN), result)
    unit = o.join("or", o.test("oeq", x, o.f(1.0)), o.test("oeq", y, o.f(0.0)))
    minus = o.join("and", o.test("oeq", x, o.f(-1.0)), o.test("oeq", o.call("fabs", y), o.f(_INF)))
    return o.select(o.join("or", unit, minus), o.f(1.0), result)


# ---- lengths -------------------------------------------------------------------------------------

# Of float32 and float64: up to where squares keep all digits, and the powers of two that bring
# greater and lesser numbers there; 1/h within 5 % from the bits of h, whose sum with those of its
# reciprocal is nearly constant (twice those of 1, less what balances the error on both sides).
_RANGE = {32: (40, 70, 100), 64: (400, 600, 700)}
_RECIPROCAL = {32: 0x7EF311C7, 64: 0x7FDE6238E0000000}


def hypot(o: Ops, x: str, y: str) -> str:
    """√(x² + y²) = h + e / 2h with h = √s, s = x² + y² rounded, and e what s and h² have lost, all
    of which fused products give exactly (C. F. Borges, "An improved algorithm for hypot(a, b)",
    2019); ∞ where one of them is, whatever the other."""
    a, b = o.call("fabs", x), o.call("fabs", y)
    less = o.test("olt", a, b)
    big, small = o.select(less, b, a), o.select(less, a, b)
    near, down, up = _RANGE[o.width]
    large, tiny = o.test("ogt", big, o.f(2.0**near)), o.test("olt", big, o.f(2.0**-near))

    def scale(of_large: float, of_tiny: float) -> str:
        return o.select(large, o.f(of_large), o.select(tiny, o.f(of_tiny), o.f(1.0)))

    there = scale(2.0**-down, 2.0**up)
    u, v = o.op("fmul", big, there), o.op("fmul", small, there)
    uu, vv = o.op("fmul", u, u), o.op("fmul", v, v)
    s = o.op("fadd", uu, vv)
    h = o.call("sqrt", s)
    lost = o.op("fsub", vv, o.op("fsub", s, uu))  # uu ≥ vv
    lost = o.op("fadd", lost, o.fma(v, v, o.negative(vv)))
    lost = o.op("fadd", lost, o.fma(u, u, o.negative(uu)))
    e = o.op("fadd", o.fma(o.negative(h), h, s), lost)
    # 1/h to a few digits by one step of Newton's; e is 0 where h is.
    guess = o.unbits(o.iop("sub", o.i(_RECIPROCAL[o.width]), o.bits(h)))
    better = o.fma(o.op("fmul", h, o.f(-0.5)), guess, o.f(1.0))
    h = o.fma(o.op("fmul", e, guess), better, h)
    result = o.op("fmul", h, scale(2.0**down, 2.0**-up))
    far = o.join("or", o.test("oeq", a, o.f(_INF)), o.test("oeq", b, o.f(_INF)))
    return o.select(far, o.f(_INF), result)


BOTH: dict[str, Callable[..., str]] = {"hypot": hypot}  # in float32 and float64
FLOAT32: dict[str, Callable[..., str]] = {
    **BOTH,
    "exp": exp, "expm1": expm1, "log": log, "log1p": log1p, "sin": sin, "cos": cos, "tan": tan,
    "tanh": tanh, "erf": erf, "pow": pow,
}  # fmt: skip
