"""Random numbers of other distributions than the uniform and the normal one, as expressions.

Each element is a function of its own random words: a formula, a search among cumulated
probabilities, or the first of a fixed number of trials that is accepted. Must not know methods.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..ir import dtype as dt
from ..ir import node as ir
from ..ir.dtype import DType
from ..ir.node import Node
from . import pointwise as pw
from .core import Core, finish, value_of
from .create import tensor
from .errors import at_line
from .generator import Source, chosen, known
from .host import with_derivative
from .misuse import named
from .random import normal_number, uniform_number
from .shape import sizes
from .tensor import Tensor

if TYPE_CHECKING:
    from .generator import Generator


def _n(value: float) -> Node:
    return ir.const(value, dt.float64)


def _op(name: str) -> Callable[[Node, Node], Node]:
    return lambda a, b: ir.alu(name, a, b)


_add, _sub, _mul, _div, _lt, _le = map(_op, ("add", "sub", "mul", "div", "lt", "le"))
_and, _or, _least, _most = map(_op, ("and", "or", "minimum", "maximum"))


def _log(x: Node) -> Node:
    return ir.alu("log", x)


def _positive(words: Sequence[Node], dtype: DType) -> Node:
    """A uniform number from (0, 1]."""
    return _sub(ir.const(1.0, dtype), uniform_number(list(words), dtype))


def wide(dtype: DType) -> DType:
    """The type in which numbers of a floating type are drawn."""
    return dt.float64 if dtype is dt.float64 else dt.float32


def drawn(
    shape: tuple[int, ...],
    generator: Generator | None,
    dtype: DType,
    body: Callable[[Source, list[Node]], Node],
    parameters: Sequence[Core] = (),
    kind: DType | None = None,
) -> Tensor:
    """Numbers of a shape and type: body(random words, parameters at each element), of no history.

    The parameters broadcast to the shape, and are read as of type `kind`.
    """
    kind = kind or wide(dtype)
    words, state = chosen(generator).source(shape)
    values = [ir.cast(pw.read_at(value_of(p), shape), kind) for p in parameters]
    return finish(ir.loops(shape, ir.cast(body(words, values), dtype)), state, *parameters)


def first_accepted(trials: int, propose: Callable[[Node | int], tuple[Node, Node]]) -> Node:
    """The proposal of the first of `trials` trials that is accepted, of the last if none is.

    propose(number of the trial) gives (value, accepted?); trials are independent of one another.
    """
    depth = max(n.depth for n in propose(0))
    (trial,), pairs = ir.fresh(depth, (trials,))
    taken = ir.where(propose(trial)[1], trial, ir.index(trials - 1))
    return propose(ir.reduce("min", pairs, taken))[0]


# ---- formulas of one uniform number --------------------------------------------------------------


def exponential(rate: float) -> Callable[[Source, list[Node]], Node]:
    """−log u / rate, u in (0, 1]"""

    def body(words: Source, _: list[Node]) -> Node:
        return _div(ir.alu("neg", _log(_positive(words(0), dt.float64))), _n(rate))

    return body


def cauchy(median: float, sigma: float) -> Callable[[Source, list[Node]], Node]:
    """median + σ·tan(π·(u − ½)), u in (0, 1), in steps of 2⁻⁵³"""

    def body(words: Source, _: list[Node]) -> Node:
        u = _sub(_add(uniform_number(words(0), dt.float64), _n(2.0**-54)), _n(0.5))
        return _add(_n(median), _mul(_n(sigma), ir.alu("tan", _mul(_n(math.pi), u))))

    return body


def geometric(p: float) -> Callable[[Source, list[Node]], Node]:
    """⌈log u / log(1 − p)⌉, at least 1, u in (0, 1]: the trials up to the first success"""

    def body(words: Source, _: list[Node]) -> Node:
        ratio = _div(_log(_positive(words(0), dt.float64)), _n(math.log1p(-p)))
        return _most(_n(1.0), ir.alu("ceil", ratio))

    return body


# ---- normal --------------------------------------------------------------------------------------


@named
def normal(
    mean: Any, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None,
    dtype: DType | None = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Normal numbers mean + std · z, of a mean and a standard deviation for each

    normal(mean, std) of tensors that broadcast, or of one tensor and a number; normal(m, s, size)
    of two numbers. Type: that of the first tensor, which is floating; of numbers, dtype.
    No derivative by mean and std: `gu.distributions.Normal(…).rsample` has one.

    Raises ValueError where std is negative or NaN (in captured functions, NaN comes of it).

    >>> gu.normal(gu.tensor([1.0, 2.0]), 0.0).tolist()
    [1.0, 2.0]
    >>> gu.normal(0.0, 1.0, (2, 3)).shape
    (2, 3)
    """
    tensors = [v for v in (mean, std) if isinstance(v, Core)]
    for name, value in (("mean", mean), ("std", std)):
        if not isinstance(value, Core | int | float):
            raise TypeError(
                f"normal: {name} is a tensor or a number, not a {type(value).__name__}" + at_line()
            )
        if isinstance(value, Core) and not value.dtype.is_float:
            raise TypeError(
                f"normal: {name} is of a floating type, not {value.dtype.name}; convert it with "
                f".to(gu.float32)" + at_line()
            )
    if isinstance(std, Core):
        _require("normal", std, pw.binary("le", 0.0, std), "std is 0 or more")
    elif not std >= 0:
        raise ValueError(f"normal: std is 0 or more, not {std}" + at_line())
    if size is None:
        if not tensors:
            raise TypeError(
                "normal: of two numbers, it needs a size: normal(mean, std, size)" + at_line()
            )
        kind, shape = tensors[0].dtype, pw.broadcast("normal", *(t._shape for t in tensors))
    elif tensors:
        raise TypeError("normal: the shape is that of mean and std, so no size is given"
                        + at_line())  # fmt: skip
    else:
        kind, shape = dt.float32 if dtype is None else dtype, sizes((size,))
    if not kind.is_float:
        raise TypeError(f"normal gives floating types, not {kind.name}" + at_line())
    of = wide(kind)

    def body(words: Source, values: list[Node]) -> Node:
        given = iter(values)
        m, s = (next(given) if isinstance(v, Core) else ir.const(float(v), of)
                for v in (mean, std))  # fmt: skip
        scaled = _add(m, _mul(s, normal_number(words(0), of)))
        return ir.where(_lt(s, ir.const(0.0, of)), ir.const(math.nan, of), scaled)

    result = drawn(shape, generator, kind, body, tensors)
    return result.requires_grad_() if requires_grad else result


def _require(name: str, a: Core, fine: Tensor, rule: str) -> None:
    """Raise where a parameter is not as it should be, outside captured functions."""
    if not known() or bool(fine.all().item()):
        return
    raise ValueError(f"{name}: {rule}, everywhere in a tensor of shape {tuple(a._shape)}"
                     + at_line())  # fmt: skip


# ---- counts --------------------------------------------------------------------------------------

# Sums of so many probabilities of a count whose mean is below 10: what is left out is less than
# 2⁻⁵³ (Σ_{k ≥ 48} 10ᵏ e⁻¹⁰ / k! = 5e-18; a binomial count of that mean has a lighter tail).
_SEARCHED, _FEW = 48, 10.0
# Hörmann's acceptance at the mean 10 is 3/4 and more beyond: 4⁻²⁸ is 2⁻⁵⁶.
_COUNTED = 28


@named
def poisson(rate: Core, generator: Generator | None = None) -> Tensor:
    """Counts with probabilities λᵏ·e^−λ / k!, of a λ ≥ 0 for each, in λ's shape and type

    λ < 10: a search in the cumulated probabilities; beyond, transformed rejection (W. Hörmann, The
    transformed rejection method for generating Poisson random variables, 1993: algorithm PTRS).

    Raises ValueError for λ < 0, NaN or infinite (in captured functions, NaN comes of it).

    >>> gu.poisson(gu.tensor([0.0, 0.0])).tolist()
    [0.0, 0.0]
    """
    if not isinstance(rate, Core) or not rate.dtype.is_float:
        what = rate.dtype.name if isinstance(rate, Core) else type(rate).__name__
        raise TypeError(f"poisson takes a tensor of a floating type, not {what}" + at_line())
    fine = pw.binary("and", pw.binary("le", 0.0, rate), pw.binary("lt", rate, math.inf))
    _require("poisson", rate, fine, "rates are finite, 0 or more")
    return drawn(rate._shape, generator, rate.dtype, lambda w, p: _poisson(w, p[0]), [rate],
                 dt.float64)  # fmt: skip


def _poisson(words: Source, rate: Node) -> Node:
    few = _lt(rate, _n(_FEW))
    small = ir.where(few, rate, _n(0.0))
    mean = ir.where(few, _n(_FEW), rate)
    p = ir.alu("exp", ir.alu("neg", small))
    by_search = _search(words, p, lambda k, p: _mul(p, _mul(small, _n(1.0 / (k + 1)))))
    log_mean = _log(mean)

    def log_probability(k: Node) -> Node:
        return _sub(_sub(_mul(k, log_mean), mean), ir.alu("lgamma", _add(k, _n(1.0))))

    root = ir.alu("sqrt", mean)
    b = _add(_n(0.931), _mul(_n(2.53), root))
    a = _add(_n(-0.059), _mul(_n(0.02483), b))
    alpha = _add(_n(1.1239), _div(_n(1.1328), _sub(b, _n(3.4))))
    high = _sub(_n(0.9277), _div(_n(3.6224), _sub(b, _n(2.0))))
    by_trial = _hoermann(words, a, b, alpha, high, _add(mean, _n(0.43)), log_probability, None)
    valid = _and(_le(_n(0.0), rate), _lt(rate, _n(math.inf)))
    return ir.where(valid, ir.where(few, by_search, by_trial), _n(math.nan))


def _search(words: Source, first: Node, after: Callable[[int, Node], Node]) -> Node:
    """How many of the cumulated probabilities are at most a uniform number; `after` gives the
    probability of k + 1 from that of k."""
    u = uniform_number(words(0), dt.float64)
    p, total, count = first, first, _n(0.0)
    for k in range(_SEARCHED):
        count = _add(count, ir.cast(_le(total, u), dt.float64))
        p = after(k, p)
        total = _add(total, p)
    return count


def _hoermann(
    words: Source, a: Node, b: Node, alpha: Node, high: Node, centre: Node,
    log_probability: Callable[[Node], Node], most: Node | None,
) -> Node:  # fmt: skip
    """Transformed rejection with squeeze, as Hörmann's PTRS and BTRS have it: k is
    ⌊(2a/(½ − |u|) + b)·u + centre⌋ for u in [−½, ½)."""

    def propose(trial: Node | int) -> tuple[Node, Node]:
        w = words(trial)
        u = _sub(uniform_number(w, dt.float64), _n(0.5))
        v = _positive(w[2:], dt.float64)
        edge = _most(_sub(_n(0.5), ir.alu("abs", u)), _n(2.0**-53))
        slope = _add(_div(_mul(_n(2.0), a), edge), b)
        k = ir.alu("floor", _add(_mul(slope, u), centre))
        at_once = _and(_le(_n(0.07), edge), _le(v, high))
        inside = _le(_n(0.0), k)
        if most is not None:
            inside = _and(inside, _le(k, most))
        safe = ir.where(inside, k, _n(0.0))
        steep = _add(_div(a, _mul(edge, edge)), b)
        below = _le(_log(_div(_mul(v, alpha), steep)), log_probability(safe))
        return k, _and(inside, _or(at_once, below))

    return first_accepted(_COUNTED, propose)


@named
def binomial(count: Core, prob: Core, generator: Generator | None = None) -> Tensor:
    """How many of n trials succeed, each with probability p: of an n and a p for each

    Both broadcast, and are of one floating type, that of the result. Where the rarer outcome is
    expected less than 10 times, a search in the cumulated probabilities; else transformed rejection
    (W. Hörmann, The generation of binomial random variates, 1993: algorithm BTRS).

    Raises ValueError for n < 0 or not whole, and for p outside [0, 1] (in captured functions, NaN
    comes of it).

    >>> gu.binomial(gu.tensor([3.0, 3.0]), gu.tensor([0.0, 1.0])).tolist()
    [0.0, 3.0]
    """
    for name, t in (("count", count), ("prob", prob)):
        if not isinstance(t, Core) or not t.dtype.is_float or t.dtype is not count.dtype:
            what = t.dtype.name if isinstance(t, Core) else type(t).__name__
            raise TypeError(
                f"binomial takes two tensors of one floating type; {name} is {what}" + at_line()
            )
    whole = pw.binary("eq", pw.floor(count), count)
    fine = pw.binary("and", pw.binary("le", 0.0, count), whole)
    _require("binomial", count, fine, "counts are whole, 0 or more")
    fine = pw.binary("and", pw.binary("le", 0.0, prob), pw.binary("le", prob, 1.0))
    _require("binomial", prob, fine, "probabilities are from 0 to 1")
    shape = pw.broadcast("binomial", count._shape, prob._shape)
    return drawn(shape, generator, count.dtype, lambda w, p: _binomial(w, *p), [count, prob],
                 dt.float64)  # fmt: skip


def _binomial(words: Source, n: Node, p: Node) -> Node:
    flipped = _lt(_n(0.5), p)
    q = ir.where(flipped, _sub(_n(1.0), p), p)  # of the rarer outcome
    valid = _and(_and(_le(_n(0.0), n), _lt(n, _n(math.inf))), _le(_n(0.0), q))
    valid = _and(valid, _and(_le(p, _n(1.0)), ir.alu("eq", n, ir.alu("floor", n))))
    q = ir.where(valid, q, _n(0.0))
    n = ir.where(valid, n, _n(0.0))
    few = _lt(_mul(n, q), _n(_FEW))
    odds = _div(q, _sub(_n(1.0), q))
    none = ir.alu("exp", _mul(n, _log1m(q)))

    def after(k: int, probability: Node) -> Node:
        rest = _most(_sub(n, _n(float(k))), _n(0.0))
        return _mul(probability, _mul(_mul(rest, odds), _n(1.0 / (k + 1))))

    by_search = _least(_search(words, none, after), n)
    # For the trials, n and q are those of a count for which they hold, where there are few.
    m, r = ir.where(few, _n(100.0), n), ir.where(few, _n(0.25), q)
    spread = ir.alu("sqrt", _mul(_mul(m, r), _sub(_n(1.0), r)))
    b = _add(_n(1.15), _mul(_n(2.53), spread))
    a = _add(_add(_n(-0.0873), _mul(_n(0.0248), b)), _mul(_n(0.01), r))
    alpha = _mul(_add(_n(2.83), _div(_n(5.1), b)), spread)
    high = _sub(_n(0.92), _div(_n(4.2), b))
    top = ir.alu("floor", _mul(_add(m, _n(1.0)), r))
    log_odds = _sub(_log(r), _log1m(r))

    def ways(k: Node) -> Node:
        above = ir.alu("lgamma", _add(_sub(m, k), _n(1.0)))
        return _add(ir.alu("lgamma", _add(k, _n(1.0))), above)

    def log_ratio(k: Node) -> Node:
        return _add(_sub(ways(top), ways(k)), _mul(_sub(k, top), log_odds))

    centre = _add(_mul(m, r), _n(0.5))
    by_trial = _hoermann(words, a, b, alpha, high, centre, log_ratio, m)
    rare = ir.where(few, by_search, by_trial)
    return ir.where(valid, ir.where(flipped, _sub(n, rare), rare), _n(math.nan))


def _log1m(x: Node) -> Node:
    return ir.alu("log1p", ir.alu("neg", x))


# ---- gamma ---------------------------------------------------------------------------------------

# Marsaglia and Tsang accept 0.951 of what is proposed for α = 1, more for larger: (1 − 0.951)¹³ is
# 2⁻⁵⁶.
_GAMMA_TRIALS = 13


@named
def log_standard_gamma(alpha: Core, generator: Generator | None = None) -> Tensor:
    """Logarithms of random numbers with density x^(α−1)·e^−x / Γ(α), of an α > 0 for each.

    In α's shape and floating type. The logarithm neither overflows nor vanishes where x does: for
    α = 0.001 most x are below any number. It is derived by α along the curve on which the
    distribution function stays as it is (implicit reparameterisation; see `slope_of_log`), to any
    order.
    Source: G. Marsaglia, W. W. Tsang, A simple method for generating gamma variables, 2000; for
    α < 1, x of α + 1, times u^(1/α).

    >>> log_standard_gamma(gu.full((3,), 2.0)).shape
    (3,)
    """
    if not isinstance(alpha, Core) or not alpha.dtype.is_float:
        what = alpha.dtype.name if isinstance(alpha, Core) else type(alpha).__name__
        raise TypeError(f"a gamma draw takes α of a floating type, not {what}" + at_line())
    kind = wide(alpha.dtype)
    value = drawn(alpha._shape, generator, alpha.dtype,
                  lambda w, p: _log_gamma(w, p[0], kind), [alpha])  # fmt: skip

    def derivative(
        g: Sequence[Tensor | None], y: Sequence[Tensor], x: Sequence[Tensor]
    ) -> Sequence[Core]:
        assert g[0] is not None
        return (g[0] * slope_of_log(x[0], y[0]),)

    return with_derivative("standard_gamma", [value_of(value)], (alpha,), derivative)[0]


def _log_gamma(words: Source, alpha: Node, kind: DType) -> Node:
    def n(value: float) -> Node:
        return ir.const(value, kind)

    valid = _lt(n(0.0), alpha)
    small = _lt(alpha, n(1.0))
    shape = ir.where(valid, ir.where(small, _add(alpha, n(1.0)), alpha), n(1.0))
    d = _sub(shape, n(1 / 3))
    c = _div(n(1.0), ir.alu("sqrt", _mul(n(9.0), d)))

    def propose(trial: Node | int) -> tuple[Node, Node]:
        w = words(trial)
        x = normal_number(w, kind)
        base = _add(n(1.0), _mul(c, x))
        inside = _lt(n(0.0), base)
        log_v = _mul(n(3.0), _log(ir.where(inside, base, n(1.0))))
        v = _mul(_mul(base, base), base)
        u = _log(_positive(w[2:], kind))
        bound = _add(_mul(n(0.5), _mul(x, x)), _mul(d, _add(_sub(n(1.0), v), log_v)))
        return log_v, _and(inside, _lt(u, bound))

    log_v = first_accepted(_GAMMA_TRIALS, propose)
    once_more = _div(_log(_positive(words(_GAMMA_TRIALS), kind)), alpha)
    result = _add(_log(d), log_v)
    result = ir.where(small, _add(result, once_more), result)
    return ir.where(valid, result, n(math.nan))


def _nodes(h: float, low: float, high: float) -> tuple[list[float], list[float]]:
    """Positions and weights for ∫₀^∞ f(w) dw of an f that falls as e^−w: w = e^(t − e^−t), the
    trapezoidal rule in t with step h (H. Takahasi, M. Mori 1974, Double exponential formulas)."""
    ts = [low + h * k for k in range(round((high - low) / h) + 1)]
    ws = [math.exp(t - math.exp(-t)) for t in ts]
    return ws, [h * w * (1 + math.exp(-t)) for w, t in zip(ws, ts, strict=True)]


def slope_of_log(alpha: Tensor, y: Tensor) -> Tensor:
    """∂y/∂α = −(∂F/∂α) / (∂F/∂y), where y = log x and F is the gamma distribution function of x.

    F and 1 − F as integrals over v = |log(t/x)|, w = α·v, derived by α:

        x < α:  −1/α · ∫₀^∞ (y − ψ(α) − w/α) · e^(−w + x·(1 − e^(−w/α))) dw
        x ≥ α:   1/α · ∫₀^∞ (y − ψ(α) + w/α) · e^(w − x·(e^(w/α) − 1)) dw

    by the double exponential rule, in units of how fast the integrand falls. For α < 1 and x < 2
    from the slope s of α + 1 instead, (x·s + ψ(α + 1) − y) / α, which is F(α) = F(α + 1) + its
    density, derived. Relative error at most 1e-8 in float64 for α from 1e-3 to 1e6
    (tests/distributions/test_samplers.py, against mpmath). 16-bit types are computed in float32.
    """
    from .special import digamma

    kind, of = alpha.dtype, wide(alpha.dtype)
    ws, weights = _nodes(0.1, -3.8, 4.3)
    unit, weight = (tensor(v, dtype=of) for v in (ws, weights))
    given, logx = alpha.to(of), y.to(of)
    x = logx.exp()
    raised = ((given < 1) & (x < 2)).detach()
    a = pw.where(raised, given + 1, given)
    low = (x < a).detach()
    sign = pw.where(low, -1.0, 1.0)
    least = pw.where(low & (a < 1), 1.0, 0.0)
    fall = ((1 - x / a).abs() + x.sqrt() / a).maximum(least).detach()
    w = unit / fall.unsqueeze(-1)
    step = sign.unsqueeze(-1) * w
    away = step / a.unsqueeze(-1)
    # Beyond these exponents the integrand is 0, and e^(w/α) would be infinite.
    grown = pw.expm1(away.clamp_max(80.0 if of is dt.float32 else 700.0))
    value = ((logx - digamma(a)).unsqueeze(-1) + away) * pw.exp(step - x.unsqueeze(-1) * grown)
    slope = sign * (value * weight).sum(-1) / (fall * a)
    below = (x * slope + digamma(a) - logx) / given
    return pw.where(raised, below, slope).to(kind)


@named
def standard_gamma(alpha: Core, generator: Generator | None = None) -> Tensor:
    """Random numbers with density x^(α−1)·e^−x / Γ(α), of an α > 0 for each; see
    log_standard_gamma. What is below the least normal number becomes that number.

    >>> bool((standard_gamma(gu.full((3,), 1e-4)) > 0).all())
    True
    """
    return pw.exp(log_standard_gamma(alpha, generator)).clamp_min(alpha.dtype.smallest_normal)


# ---- angles --------------------------------------------------------------------------------------

# Best and Fisher accept 0.658 of what is proposed, or more: 0.342³⁵ is 2⁻⁵⁴.
_ANGLE_TRIALS = 35


def von_mises(concentration: Core, generator: Generator | None = None) -> Tensor:
    """Angles in [−π, π] with density e^(κ·cos x) / (2π·I₀(κ)), of a κ > 0 for each

    Source: D. Best, N. Fisher, Efficient simulation of the von Mises distribution, 1979.

    >>> von_mises(gu.ones(3)).shape
    (3,)
    """
    return drawn(concentration._shape, generator, concentration.dtype,
                 lambda w, p: _von_mises(w, p[0]), [concentration], dt.float64)  # fmt: skip


def _von_mises(words: Source, given: Node) -> Node:
    valid = _lt(_n(0.0), given)
    k = ir.where(valid, given, _n(1.0))
    tau = _add(_n(1.0), ir.alu("sqrt", _add(_n(1.0), _mul(_n(4.0), _mul(k, k)))))
    rho = _div(_sub(tau, ir.alu("sqrt", _mul(_n(2.0), tau))), _mul(_n(2.0), k))
    small = _lt(k, _n(1e-5))  # where all digits of τ − √(2τ) cancel: the first terms in κ
    safe = ir.where(small, _n(1.0), rho)
    r = _div(_add(_n(1.0), _mul(safe, safe)), _mul(_n(2.0), safe))
    r = ir.where(small, _add(_div(_n(1.0), k), k), r)

    def propose(trial: Node | int) -> tuple[Node, Node]:
        w = words(trial)
        z = ir.alu("cos", _mul(_n(math.pi), uniform_number(w, dt.float64)))
        u = _positive(w[2:], dt.float64)
        f = _div(_add(_n(1.0), _mul(r, z)), _add(r, z))
        c = _mul(k, _sub(r, f))
        at_once = _lt(u, _mul(c, _sub(_n(2.0), c)))
        log = _log(_div(_most(c, _n(1e-300)), u))
        below = _le(_n(0.0), _sub(_add(log, _n(1.0)), c))
        return f, _or(at_once, below)

    f = first_accepted(_ANGLE_TRIALS, propose)
    angle = ir.alu("acos", _least(_most(f, _n(-1.0)), _n(1.0)))
    side = _lt(uniform_number(words(_ANGLE_TRIALS), dt.float64), _n(0.5))
    return ir.where(valid, ir.where(side, angle, ir.alu("neg", angle)), _n(math.nan))
