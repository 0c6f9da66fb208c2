"""Bessel functions of the first and second kind, modified ones of the second, and Airy's.

All are computed in float64 and rounded once; none has a derivative, as in PyTorch. Must not know
their formulas.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..ir import bessel as formulas
from ..ir import dtype as dt
from ..ir import node as ir
from ..ir.node import Node
from .core import Core, plain
from .errors import at_line
from .special import single

if TYPE_CHECKING:
    from .tensor import Tensor


def _in_double(name: str, a: Core, body: Callable[[Node], Node]) -> Tensor:
    if not isinstance(a, Core):
        raise TypeError(f"{name} takes a tensor, not {type(a).__name__}" + at_line())
    return single(name, plain(a), lambda x: ir.cast(body(ir.cast(x, dt.float64)), x.dtype))


def bessel_j0(a: Core) -> Tensor:
    """J₀(x), Bessel's function of the first kind and order 0 (DLMF 10.2.2)

    >>> gu.special.bessel_j0(gu.tensor([0.0])).round().tolist()
    [1.0]
    """
    return _in_double("bessel_j0", a, lambda x: formulas.bessel_j(0, x))


def bessel_j1(a: Core) -> Tensor:
    """J₁(x), Bessel's function of the first kind and order 1 (DLMF 10.2.2)

    >>> gu.special.bessel_j1(gu.tensor([0.0])).tolist()
    [0.0]
    """
    return _in_double("bessel_j1", a, lambda x: formulas.bessel_j(1, x))


def bessel_y0(a: Core) -> Tensor:
    """Y₀(x), Bessel's function of the second kind and order 0; −∞ at 0, NaN below (DLMF 10.8.1)

    >>> gu.special.bessel_y0(gu.tensor([0.0])).tolist()
    [-inf]
    """
    return _in_double("bessel_y0", a, lambda x: formulas.bessel_y(0, x))


def bessel_y1(a: Core) -> Tensor:
    """Y₁(x), Bessel's function of the second kind and order 1; −∞ at 0, NaN below (DLMF 10.8.1)

    >>> gu.special.bessel_y1(gu.tensor([0.0])).tolist()
    [-inf]
    """
    return _in_double("bessel_y1", a, lambda x: formulas.bessel_y(1, x))


def modified_bessel_k0(a: Core) -> Tensor:
    """K₀(x), the modified function of the second kind and order 0; ∞ at 0, NaN below (DLMF 10.31)

    >>> gu.special.modified_bessel_k0(gu.tensor([0.0])).tolist()
    [inf]
    """
    return _in_double("modified_bessel_k0", a, lambda x: formulas.bessel_k(0, x, False))


def modified_bessel_k1(a: Core) -> Tensor:
    """K₁(x), the modified function of the second kind and order 1; ∞ at 0, NaN below (DLMF 10.31)

    >>> gu.special.modified_bessel_k1(gu.tensor([0.0])).tolist()
    [inf]
    """
    return _in_double("modified_bessel_k1", a, lambda x: formulas.bessel_k(1, x, False))


def scaled_modified_bessel_k0(a: Core) -> Tensor:
    """eˣ·K₀(x), which does not vanish for large x

    >>> gu.special.scaled_modified_bessel_k0(gu.tensor([0.0])).tolist()
    [inf]
    """
    return _in_double("scaled_modified_bessel_k0", a, lambda x: formulas.bessel_k(0, x, True))


def scaled_modified_bessel_k1(a: Core) -> Tensor:
    """eˣ·K₁(x), which does not vanish for large x

    >>> gu.special.scaled_modified_bessel_k1(gu.tensor([0.0])).tolist()
    [inf]
    """
    return _in_double("scaled_modified_bessel_k1", a, lambda x: formulas.bessel_k(1, x, True))


def spherical_bessel_j0(a: Core) -> Tensor:
    """j₀(x) = sin(x) / x, 1 at 0 (DLMF 10.49.3)

    >>> gu.special.spherical_bessel_j0(gu.tensor([0.0])).tolist()
    [1.0]
    """
    return _in_double("spherical_bessel_j0", a, formulas.spherical_j0)


def airy_ai(a: Core) -> Tensor:
    """Ai(x), Airy's function (DLMF 9.2)

    >>> (1000 * gu.special.airy_ai(gu.tensor([0.0]))).round().tolist()
    [355.0]
    """
    return _in_double("airy_ai", a, formulas.airy_ai)
