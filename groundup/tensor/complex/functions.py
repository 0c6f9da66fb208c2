"""Functions of one complex number, by the names of those of a real one, with their derivatives.

Values come from formulas of the parts (elementary.py, circular.py); slopes are formulas of complex
numbers, on the same side of every cut. Must not know axes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from .. import pointwise as pw
from ..core import Core, Paired
from ..errors import at_line
from ..tensor import Tensor
from . import circular, elementary
from .arithmetic import square
from .parts import joined
from .refusal import refuse
from .rule import differentiable, with_rule
from .single import Parts, Real, written


def unary(name: str, a: Paired) -> Tensor:
    """The function of this name; TypeError if it is none of complex numbers."""
    f = _FUNCTIONS.get(name)
    if f is None:
        refuse(a.dtype)
    return f(a)


# ---- signs and sizes -----------------------------------------------------------------------------


def _neg(a: Paired) -> Tensor:
    return a.over(pw.neg)


def absolute(a: Core) -> Tensor:
    """√(re² + im²) without overflow of the squares; its derivative at 0 is 0."""
    assert isinstance(a, Tensor)

    def derivative(g: Tensor, y: Tensor, xs: Sequence[Tensor]) -> list[Tensor]:
        return [g * sgn(xs[0])]

    return with_rule("abs", written("abs", elementary.size, a.dtype, a), derivative, a)


def angle(a: Core) -> Tensor:
    """The angle of z in [−π, π]; its derivative at 0 is 0."""
    assert isinstance(a, Tensor)

    def derivative(g: Tensor, y: Tensor, xs: Sequence[Tensor]) -> list[Tensor]:
        size = pw.absolute(xs[0])
        return [g * 1j * sgn(xs[0]) / pw.where(size == 0, 1, size)]

    return with_rule("angle", written("angle", elementary.angle, a.dtype, a), derivative, a)


def sgn(a: Core) -> Tensor:
    """z / |z|, 0 at 0"""
    if not isinstance(a, Paired):
        return pw.sign(a)
    size = pw.absolute(a)
    zero = size == 0
    return pw.where(zero, 0, a / pw.where(zero, 1, size))


def polar(abs: Core, angle: Core) -> Tensor:
    """abs · (cos angle + i·sin angle) of two real tensors of one floating type that broadcast.

    Raises TypeError for types other than float32 and float64.

    >>> gu.polar(gu.tensor([2.0]), gu.tensor([0.0]))
    tensor([2.+0.j])
    """
    for x in (abs, angle):
        if not isinstance(x, Core) or not x.dtype.is_float or x.dtype.bits < 32:
            kind = x.dtype.name if isinstance(x, Core) else type(x).__name__
            raise TypeError(f"polar takes float32 or float64 tensors, not {kind}" + at_line())
    if abs.dtype is not angle.dtype:
        raise TypeError(
            f"polar: both are of one type, not {abs.dtype.name} and {angle.dtype.name}" + at_line()
        )
    re, im = (pw.binary("mul", abs, f(angle)) for f in (pw.cos, pw.sin))
    return joined(re, im, abs.dtype.to_complex())


# ---- questions -----------------------------------------------------------------------------------


_QUESTIONS: dict[str, Callable[[Parts], Real]] = {
    "isnan": lambda z: pw.isnan(z[0]) | pw.isnan(z[1]),
    "isinf": lambda z: pw.isinf(z[0]) | pw.isinf(z[1]),
    "isfinite": lambda z: pw.isfinite(z[0]) & pw.isfinite(z[1]),
    "isreal": lambda z: z[1] == 0,
}


def _asked(name: str, a: Paired) -> Tensor:
    return written(name, _QUESTIONS[name], a.dtype, a)


# ---- functions with a slope ----------------------------------------------------------------------


def _both(z: Any) -> Any:
    """√(1 − z) · √(1 + z), which has the cuts of asin and acos; √(1 − z²) has others."""
    return pw.sqrt(1 - z) * pw.sqrt(1 + z)


def _slope_of_sinc(y: Any, z: Any) -> Any:
    """(cos πz − sinc z) / z, 0 at 0"""
    none = z == 0
    return pw.where(none, 0, (pw.cos(z * math.pi) - y) / pw.where(none, 1, z))


# name: (values, from y = f(z) and z the slope f′(z))
_SLOPES: dict[str, tuple[Callable[[Parts], Parts], Callable[[Any, Any], Any]]] = {
    "exp": (elementary.exp, lambda y, z: y),
    "exp2": (elementary.exp2, lambda y, z: y * math.log(2)),
    "expm1": (elementary.expm1, lambda y, z: y + 1),
    "sigmoid": (elementary.sigmoid, lambda y, z: y * (1 - y)),
    "log": (elementary.log, lambda y, z: 1 / z),
    "log1p": (elementary.log1p, lambda y, z: 1 / (1 + z)),
    "log2": (elementary.scaled_log(2), lambda y, z: 1 / (z * math.log(2))),
    "log10": (elementary.scaled_log(10), lambda y, z: 1 / (z * math.log(10))),
    "sqrt": (elementary.sqrt, lambda y, z: 0.5 / y),
    "reciprocal": (elementary.reciprocal, lambda y, z: -y * y),
    "sinc": (circular.sinc, lambda y, z: _slope_of_sinc(y, z)),
    "sinh": (circular.sinh, lambda y, z: _smooth("cosh", z)),
    "cosh": (circular.cosh, lambda y, z: _smooth("sinh", z)),
    "tanh": (circular.tanh, lambda y, z: 1 - y * y),
    "sin": (circular.sin, lambda y, z: pw.cos(z)),
    "cos": (circular.cos, lambda y, z: -pw.sin(z)),
    "tan": (circular.tan, lambda y, z: 1 + y * y),
    "asin": (circular.asin, lambda y, z: 1 / _both(z)),
    "acos": (circular.acos, lambda y, z: -1 / _both(z)),
    "atan": (circular.atan, lambda y, z: 1 / ((1 + 1j * z) * (1 - 1j * z))),
    "asinh": (circular.asinh, lambda y, z: 1 / _both(1j * z)),
    "acosh": (circular.acosh, lambda y, z: 1 / (pw.sqrt(z - 1) * pw.sqrt(z + 1))),
    "atanh": (circular.atanh, lambda y, z: 1 / ((1 - z) * (1 + z))),
}


def _smooth(name: str, a: Core) -> Tensor:
    assert isinstance(a, Tensor)
    values, slope = _SLOPES[name]
    return differentiable(name, values, (slope,), a.dtype, a)


_FUNCTIONS: dict[str, Callable[[Any], Tensor]] = {
    "neg": _neg,
    "abs": absolute,
    "angle": angle,
    "square": square,
    "rsqrt": lambda z: 1 / pw.sqrt(z),
    **{name: partial(_asked, name) for name in _QUESTIONS},
    **{name: partial(_smooth, name) for name in _SLOPES},
}
