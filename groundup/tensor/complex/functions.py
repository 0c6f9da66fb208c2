"""Functions of one complex number.

Values by formulas of the parts, accurate near cuts and without needless overflow; derivatives by
formulas of complex numbers. Must not know axes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .. import pointwise as pw
from ..core import Core, Paired
from ..special import hypot
from ..tensor import Tensor
from .parts import imag, real
from .refusal import refuse
from .rule import split, with_rule


def unary(name: str, a: Paired) -> Tensor:
    """The function of this name; TypeError if it is none of complex numbers."""
    f = _FUNCTIONS.get(name)
    if f is None:
        refuse(a.dtype)
    return f(a)


def _neg(a: Paired) -> Tensor:
    return a.over(pw.neg)


def _square(a: Paired) -> Tensor:
    return pw.binary("mul", a, a)


def absolute(a: Paired) -> Tensor:
    """√(re² + im²) without overflow of the squares; its derivative at 0 is 0."""
    assert isinstance(a, Tensor)
    re, im = split(a.detach())
    y = hypot(re, im)

    def derivative(g: Tensor, y: Tensor, xs: Sequence[Tensor]) -> list[Tensor]:
        return [g * sgn(xs[0])]

    return with_rule("abs", y, derivative, a)


def sgn(a: Core) -> Tensor:
    """z / |z|, 0 at 0."""
    size = pw.absolute(a)
    zero = pw.binary("eq", size, 0)
    return pw.where(zero, 0, a / pw.where(zero, 1, size))


def _isnan(a: Paired) -> Tensor:
    return pw.isnan(real(a)) | pw.isnan(imag(a))


def _isinf(a: Paired) -> Tensor:
    return pw.isinf(real(a)) | pw.isinf(imag(a))


def _isfinite(a: Paired) -> Tensor:
    return pw.isfinite(real(a)) & pw.isfinite(imag(a))


def _isreal(a: Paired) -> Tensor:
    return imag(a) == 0


_FUNCTIONS: dict[str, Callable[[Paired], Tensor]] = {
    "neg": _neg,
    "square": _square,
    "abs": absolute,
    "isnan": _isnan,
    "isinf": _isinf,
    "isfinite": _isfinite,
    "isreal": _isreal,
}
