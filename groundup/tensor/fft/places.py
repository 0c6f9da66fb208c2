"""Where a transform's values lie: their frequencies, and 0 brought to the middle or the front.

Must not know any transform.
"""

from __future__ import annotations

from ...ir import dtype as dt
from ...ir.dtype import DType
from .. import pointwise as pw
from ..arrange import roll
from ..core import Core, Paired
from ..create import arange
from ..errors import at_line, real_number
from ..misuse import named
from ..tensor import Tensor
from .operands import Dims, planned


def _frequencies(
    name: str, ks: tuple[int, int], n: int, d: float, dtype: DType, requires_grad: bool
) -> Tensor:
    d = real_number(name, "d", d)
    if not isinstance(dtype, DType) or not dtype.is_float:
        raise TypeError(f"{name} gives floating types, not {dtype!r}" + at_line())
    if d == 0:
        raise ValueError(f"{name}: the distance of samples d is not 0" + at_line())
    result = pw.binary("mul", arange(*ks, dtype=dtype), 1 / (n * d))
    return result.requires_grad_() if requires_grad else result


def _length(name: str, n: int) -> None:
    if not isinstance(n, int) or n < 1:
        raise ValueError(f"{name}: n is a whole number from 1 on, not {n!r}" + at_line())


@named
def fftfreq(
    n: int, d: float = 1.0, *, dtype: DType = dt.float32, requires_grad: bool = False
) -> Tensor:
    """The frequencies of fft's n values, of samples at distances d: k/(n·d), those of k ≥ n/2 less
    1/d

    >>> gu.fft.fftfreq(4).tolist()
    [0.0, 0.25, -0.5, -0.25]
    """
    _length("fftfreq", n)
    centred = _frequencies("fftfreq", (-(n // 2), n - n // 2), n, d, dtype, False)
    result = roll(centred, -(n // 2))
    return result.requires_grad_() if requires_grad else result


@named
def rfftfreq(
    n: int, d: float = 1.0, *, dtype: DType = dt.float32, requires_grad: bool = False
) -> Tensor:
    """The frequencies of rfft's ⌊n/2⌋ + 1 values, of samples at distances d: k/(n·d)

    >>> gu.fft.rfftfreq(4).tolist()
    [0.0, 0.25, 0.5]
    """
    _length("rfftfreq", n)
    return _frequencies("rfftfreq", (0, n // 2 + 1), n, d, dtype, requires_grad)


def _shifted(name: str, a: Core, dim: Dims, back: bool) -> Tensor:
    if not isinstance(a, Tensor):
        raise TypeError(f"{name} takes a tensor, not a {type(a).__name__}" + at_line())
    if not a.numel():
        return a.clone()
    axes, sizes = planned(name, a._shape, None, dim)
    if not axes:
        return a.clone()
    shifts = [(n + 1) // 2 if back else n // 2 for n in sizes]
    if isinstance(a, Paired):
        return a.over(lambda pairs: roll(pairs, shifts, list(axes)))
    return roll(a, shifts, list(axes))


@named
def fftshift(input: Core, dim: Dims = None) -> Tensor:
    """Frequency 0 brought from the front to the middle, along all axes or dim

    >>> gu.fft.fftshift(gu.fft.fftfreq(4)).tolist()
    [-0.5, -0.25, 0.0, 0.25]
    """
    return _shifted("fftshift", input, dim, False)


@named
def ifftshift(input: Core, dim: Dims = None) -> Tensor:
    """The inverse of fftshift

    >>> gu.fft.ifftshift(gu.tensor([-0.5, -0.25, 0.0, 0.25])).tolist()
    [0.0, 0.25, -0.5, -0.25]
    """
    return _shifted("ifftshift", input, dim, True)
