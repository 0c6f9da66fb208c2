"""Functions of one or two numbers beyond arithmetic: inverse, hyperbolic, gamma, error functions.

Each is a body over elements. 16-bit types are computed in float32 and rounded once. Must not know
derivatives.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..ir import composed as cp
from ..ir import dtype as dt
from ..ir import node as ir
from ..ir.composed import number
from ..ir.node import Node
from . import pointwise as pw
from .autocast import is_half
from .core import Core, Deferred, finish
from .errors import at_line
from .misuse import named

if TYPE_CHECKING:
    from .tensor import Tensor


def single(name: str, a: Any, body: Callable[[Node], Node], floating: bool = True) -> Tensor:
    """One function of each element; `floating` makes integers float32 first."""
    if not isinstance(a, Core | Deferred):
        raise TypeError(f"{name} takes a tensor, not {type(a).__name__}" + at_line())

    def whole(x: Node) -> Node:
        return ir.cast(body(ir.cast(x, dt.float32)), x.dtype) if is_half(x.dtype) else body(x)

    return pw.unary(a, whole, floating, name)


def pair(
    name: str, a: Any, b: Any, body: Callable[[Node, Node], Node], floating: bool = True
) -> Tensor:
    """One function of two broadcast operands, promoted as PyTorch does."""
    for v in (a, b):
        if isinstance(v, Deferred):
            applied: Tensor = v.applied(name, body, floating, a, b)
            return applied
    tensors = [v for v in (a, b) if isinstance(v, Core)]
    if not tensors or not all(isinstance(v, Core | int | float) for v in (a, b)):
        given = " and ".join(type(v).__name__ for v in (a, b))
        raise TypeError(f"{name} takes tensors and numbers, not {given}" + at_line())
    dtype = pw.result_type(a, b)
    if floating and not dtype.is_float:
        dtype = dt.float32
    wide = dt.float32 if is_half(dtype) else dtype
    shape = pw.broadcast(name, *(t._shape for t in tensors))
    x, y = (ir.cast(pw.body_of(v, dtype, shape), wide) for v in (a, b))
    result = body(x, y)
    result = ir.cast(result, dtype) if result.dtype is wide else result
    return finish(ir.loops(shape, result), *tensors)


def _tabled(name: str, a: Any) -> Tensor:
    """A function that the scalar table has (ir/scalar.py)."""
    return single(name, a, lambda x: ir.alu(name, x))


# ---- one operation of the scalar table -----------------------------------------------------------


@named
def asin(a: Core) -> Tensor:
    """The angle in [−π/2, π/2] whose sine is x; NaN for |x| > 1

    >>> gu.asin(gu.tensor([0.0])).tolist()
    [0.0]
    """
    return _tabled("asin", a)


@named
def acos(a: Core) -> Tensor:
    """The angle in [0, π] whose cosine is x; NaN for |x| > 1

    >>> gu.acos(gu.tensor([1.0])).tolist()
    [0.0]
    """
    return _tabled("acos", a)


@named
def atan(a: Core) -> Tensor:
    """The angle in (−π/2, π/2) whose tangent is x

    >>> gu.atan(gu.tensor([0.0])).tolist()
    [0.0]
    """
    return _tabled("atan", a)


@named
def sinh(a: Core) -> Tensor:
    """(e^x − e^−x) / 2

    >>> gu.sinh(gu.tensor([0.0])).tolist()
    [0.0]
    """
    return _tabled("sinh", a)


@named
def cosh(a: Core) -> Tensor:
    """(e^x + e^−x) / 2

    >>> gu.cosh(gu.tensor([0.0])).tolist()
    [1.0]
    """
    return _tabled("cosh", a)


@named
def asinh(a: Core) -> Tensor:
    """log(x + √(x² + 1)), the inverse of sinh

    >>> gu.asinh(gu.tensor([0.0])).tolist()
    [0.0]
    """
    return _tabled("asinh", a)


@named
def acosh(a: Core) -> Tensor:
    """log(x + √(x² − 1)), the inverse of cosh; NaN for x < 1

    >>> gu.acosh(gu.tensor([1.0])).tolist()
    [0.0]
    """
    return _tabled("acosh", a)


@named
def atanh(a: Core) -> Tensor:
    """½·log((1 + x) / (1 − x)), the inverse of tanh; NaN for |x| > 1

    >>> gu.atanh(gu.tensor([0.0])).tolist()
    [0.0]
    """
    return _tabled("atanh", a)


@named
def erfc(a: Core) -> Tensor:
    """1 − erf x, without its cancellation

    >>> gu.erfc(gu.tensor([0.0])).tolist()
    [1.0]
    """
    return _tabled("erfc", a)


@named
def exp2(a: Core) -> Tensor:
    """2^x

    >>> gu.exp2(gu.tensor([3.0])).tolist()
    [8.0]
    """
    return _tabled("exp2", a)


@named
def lgamma(a: Core) -> Tensor:
    """log |Γ(x)|; ∞ at 0, −1, −2, …

    >>> gu.lgamma(gu.tensor([1.0])).tolist()
    [0.0]
    """
    return _tabled("lgamma", a)


@named
@pw.pairwise
def atan2(a: Any, b: Any) -> Tensor:
    """The angle in [−π, π] of the point (b, a): that of a / b in the right quadrant

    >>> gu.atan2(gu.tensor(0.0), gu.tensor(1.0)).item()
    0.0
    """
    return pair("atan2", a, b, lambda x, y: ir.alu("atan2", x, y))


@named
@pw.pairwise
def hypot(a: Any, b: Any) -> Tensor:
    """√(a² + b²) without overflow of the squares

    >>> gu.hypot(gu.tensor(3.0), gu.tensor(4.0)).item()
    5.0
    """
    return pair("hypot", a, b, lambda x, y: ir.alu("hypot", x, y))


@named
@pw.pairwise
def copysign(a: Any, b: Any) -> Tensor:
    """|a| with the sign of b (also of −0)

    >>> gu.copysign(gu.tensor([2.0, -2.0]), -1.0).tolist()
    [-2.0, -2.0]
    """
    return pair("copysign", a, b, lambda x, y: ir.alu("copysign", x, y))


@named
def signbit(a: Core) -> Tensor:
    """Is the sign −? Also of −0.

    >>> gu.signbit(gu.tensor([1.0, -0.0])).tolist()
    [False, True]
    """

    def body(x: Node) -> Node:
        if x.dtype.is_float:
            x = ir.alu("copysign", number(1, x), x)
        elif x.dtype.kind != "i":
            return ir.const(False, dt.bool_)
        return ir.alu("lt", x, number(0, x))

    return pw.unary(a, body, False, "signbit")


# ---- made of others ------------------------------------------------------------------------------


@named
def digamma(a: Core) -> Tensor:
    """ψ(x), the derivative of log Γ(x); NaN at −1, −2, …

    >>> round(gu.digamma(gu.tensor(1.0)).item(), 4)    # −γ, Euler's constant
    -0.5772
    """
    return single("digamma", a, cp.digamma)


@named
def polygamma(n: int, a: Core) -> Tensor:
    """The n-th derivative of ψ(x); for n > 0 and x > 0 it is (−1)^(n+1)·n!·ζ(n + 1, x)

    >>> round(gu.polygamma(1, gu.tensor(1.0)).item(), 4)    # π²/6
    1.6449
    """
    if not isinstance(n, int) or n < 0:
        raise ValueError(f"polygamma: n is a whole number from 0 on, not {n!r}" + at_line())
    if n > 170:
        raise ValueError(
            f"polygamma: n is at most 170, whose n! a float64 holds, not {n}" + at_line()
        )
    return single("polygamma", a, lambda x: cp.polygamma(n, x))


@named
def mvlgamma(a: Core, p: int) -> Tensor:
    """log of the multivariate gamma function: ¼·p·(p − 1)·log π + Σ_{j<p} log Γ(x − j/2)

    >>> round(gu.mvlgamma(gu.tensor(1.0), 1).item(), 4)    # log Γ(1)
    0.0
    """
    if not isinstance(p, int) or p < 1:
        raise ValueError(f"mvlgamma: p is at least 1, not {p!r}" + at_line())
    if p > 1000:  # each is a term of its own
        raise ValueError(f"mvlgamma: p is at most 1000, not {p}" + at_line())

    def body(x: Node) -> Node:
        total = number(p * (p - 1) / 4 * math.log(math.pi), x)
        for j in range(p):
            total = ir.alu("add", total, ir.alu("lgamma", ir.alu("sub", x, number(j / 2, x))))
        return total

    return single("mvlgamma", a, body)


def zeta(a: Any, b: Any) -> Tensor:
    """The Hurwitz zeta function ζ(a, b) = Σ_{k ≥ 0} (b + k)^−a for a > 1 and b > 0

    >>> round(zeta(gu.tensor(2.0), 1.0).item(), 4)    # π²/6
    1.6449
    """
    return pair("zeta", a, b, cp.zeta)


@named
def erfinv(a: Core) -> Tensor:
    """The y with erf y = x; ±∞ at ±1, NaN beyond

    >>> gu.erfinv(gu.tensor([0.0])).tolist()
    [0.0]
    """
    return single("erfinv", a, cp.erfinv)


def erfcx(a: Core) -> Tensor:
    """e^(x²)·erfc x, which neither overflows nor vanishes for x > 0

    >>> erfcx(gu.tensor([0.0])).tolist()
    [1.0]
    """
    return single("erfcx", a, cp.erfcx)


def ndtr(a: Core) -> Tensor:
    """½·erfc(−x/√2): the share of a normal distribution below x

    >>> ndtr(gu.tensor([0.0])).tolist()
    [0.5]
    """
    return single("ndtr", a, cp.ndtr)


def log_ndtr(a: Core) -> Tensor:
    """log of ndtr, exact far below 0 too

    >>> round(log_ndtr(gu.tensor(0.0)).item(), 4)
    -0.6931
    """
    return single("log_ndtr", a, cp.log_ndtr)


def ndtri(a: Core) -> Tensor:
    """The y with ndtr(y) = x; −∞ at 0, ∞ at 1, NaN beyond

    >>> ndtri(gu.tensor([0.5])).tolist()
    [0.0]
    """
    return single("ndtri", a, cp.ndtri)


@named
def i0(a: Core) -> Tensor:
    """The modified Bessel function I₀(x)

    >>> gu.i0(gu.tensor([0.0])).tolist()
    [1.0]
    """
    return single("i0", a, lambda x: cp.bessel_i(0, x, False))


def i0e(a: Core) -> Tensor:
    """e^−|x|·I₀(x)

    >>> i0e(gu.tensor([0.0])).tolist()
    [1.0]
    """
    return single("i0e", a, lambda x: cp.bessel_i(0, x, True))


def i1(a: Core) -> Tensor:
    """The modified Bessel function I₁(x)

    >>> i1(gu.tensor([0.0])).tolist()
    [0.0]
    """
    return single("i1", a, lambda x: cp.bessel_i(1, x, False))


def i1e(a: Core) -> Tensor:
    """e^−|x|·I₁(x)

    >>> i1e(gu.tensor([0.0])).tolist()
    [0.0]
    """
    return single("i1e", a, lambda x: cp.bessel_i(1, x, True))


def entr(a: Core) -> Tensor:
    """−x·log x; 0 at 0, −∞ below

    >>> entr(gu.tensor([0.0, -1.0])).tolist()
    [0.0, -inf]
    """

    def body(x: Node) -> Node:
        zero = number(0, x)
        positive = ir.alu("lt", zero, x)
        safe = ir.where(positive, x, number(1, x))
        value = ir.where(positive, ir.alu("neg", ir.alu("mul", safe, ir.alu("log", safe))), zero)
        below = ir.where(ir.alu("lt", x, zero), number(-math.inf, x), value)
        return ir.where(ir.alu("ne", x, x), x, below)

    return single("entr", a, body)


@named
def sinc(a: Core) -> Tensor:
    """sin(π·x) / (π·x), 1 at 0

    >>> gu.sinc(gu.tensor([0.0])).tolist()
    [1.0]
    """

    def body(x: Node) -> Node:
        zero, one = number(0, x), number(1, x)
        at_zero = ir.alu("eq", x, zero)
        angle = ir.alu("mul", ir.where(at_zero, one, x), number(math.pi, x))
        return ir.where(at_zero, one, ir.alu("div", ir.alu("sin", angle), angle))

    return single("sinc", a, body)


@named
def logit(a: Core, eps: float | None = None) -> Tensor:
    """log(x / (1 − x)), the inverse of sigmoid; eps: x is brought into [eps, 1 − eps] first

    >>> gu.logit(gu.tensor([0.5])).tolist()
    [0.0]
    """

    def body(x: Node) -> Node:
        if eps is not None:
            low, high = number(eps, x), number(1 - eps, x)
            x = ir.where(ir.alu("lt", x, low), low, ir.where(ir.alu("lt", high, x), high, x))
        return ir.alu("log", ir.alu("div", x, ir.alu("sub", number(1, x), x)))

    return single("logit", a, body)


def _product_of_log(name: str, a: Any, b: Any, log: str, least: float) -> Tensor:
    """a · log b, but 0 where a is 0 and the logarithm infinite or none; NaN stays NaN."""

    def body(x: Node, y: Node) -> Node:
        inside = ir.alu("and", ir.alu("lt", number(least, y), y),
                        ir.alu("lt", y, number(math.inf, y)))  # fmt: skip
        usual = ir.alu("or", inside, ir.alu("ne", y, y))
        formula = ir.alu("or", usual, ir.alu("ne", x, number(0, x)))
        safe = ir.where(formula, y, number(1 + least, y))
        return ir.where(formula, ir.alu("mul", x, ir.alu(log, safe)), number(0, x))

    return pair(name, a, b, body)


@named
@pw.pairwise
def xlogy(a: Any, b: Any) -> Tensor:
    """a · log b, 0 where a is 0 (unless b is NaN)

    >>> gu.xlogy(gu.tensor([0.0, 1.0]), gu.tensor([0.0, 1.0])).tolist()
    [0.0, 0.0]
    """
    return _product_of_log("xlogy", a, b, "log", 0.0)


@pw.pairwise
def xlog1py(a: Any, b: Any) -> Tensor:
    """a · log(1 + b), 0 where a is 0 (unless b is NaN)

    >>> xlog1py(gu.tensor([0.0]), -1.0).tolist()
    [0.0]
    """
    return _product_of_log("xlog1py", a, b, "log1p", -1.0)


def _log_of_sum(name: str, a: Any, b: Any, power: str, scale: float) -> Tensor:
    """m + scale·log(1 + power(−|a − b|)), m the greater of the two: nothing overflows. The
    difference of equal infinities, a NaN, is not taken."""

    def body(x: Node, y: Node) -> Node:
        greater = ir.alu("maximum", x, y)
        same = ir.alu("and", ir.alu("eq", x, y),
                      ir.alu("eq", ir.alu("abs", x), number(math.inf, x)))  # fmt: skip
        gap = ir.alu("abs", ir.where(same, number(0, x), ir.alu("sub", x, y)))
        more = ir.alu("log1p", ir.alu(power, ir.alu("neg", gap)))
        more = more if scale == 1 else ir.alu("mul", more, number(scale, x))
        return ir.where(same, x, ir.alu("add", greater, more))

    return pair(name, a, b, body)


@named
@pw.pairwise
def logaddexp(a: Any, b: Any) -> Tensor:
    """log(e^a + e^b) without overflow

    >>> gu.logaddexp(gu.tensor([1000.0]), gu.tensor([0.0])).tolist()
    [1000.0]
    """
    return _log_of_sum("logaddexp", a, b, "exp", 1)


@named
@pw.pairwise
def logaddexp2(a: Any, b: Any) -> Tensor:
    """log₂(2^a + 2^b) without overflow

    >>> gu.logaddexp2(gu.tensor([1.0]), gu.tensor([1.0])).tolist()
    [2.0]
    """
    return _log_of_sum("logaddexp2", a, b, "exp2", 1 / math.log(2))
