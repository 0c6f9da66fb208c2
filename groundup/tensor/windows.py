"""Windows of signals: weights that fall off towards both ends, named as in torch.signal.windows.

All have M weights, of float32 or float64. sym: the last weight is the first; without it they are
one period of a window of M + 1. Must not know what they are multiplied with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..ir import dtype as dt
from ..ir.dtype import DType
from .errors import at_line, real_number
from .misuse import named

if TYPE_CHECKING:
    from .tensor import Tensor


def _made(
    name: str, M: int, sym: bool, dtype: DType, requires_grad: bool,
    weight: Callable[[int, int], float],
) -> Tensor:  # fmt: skip
    """weight(k, n) for k < M, n the number of intervals: M − 1, or M where it is periodic.

    Raises ValueError for a length that is none, TypeError for another type than float32, float64.
    """
    from .create import tensor

    if not isinstance(M, int) or M < 0:
        raise ValueError(f"{name}: the length M is 0 or more, not {M!r}" + at_line())
    if not isinstance(dtype, DType) or not dtype.is_float or dtype.bits < 32:
        raise TypeError(f"{name}: dtype is float32 or float64, not {dtype!r}" + at_line())
    n = M - 1 if sym else M
    values = [1.0] if M == 1 else [weight(k, n) for k in range(M)]
    return tensor(values, dtype=dtype, requires_grad=requires_grad)


def general_cosine(
    M: int, *, a: Sequence[float], sym: bool = True, dtype: DType = dt.float32,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """w[k] = Σ_i (−1)^i · a[i] · cos(2π·i·k / n)

    >>> general_cosine(3, a=[0.5, 0.5]).tolist()
    [0.0, 1.0, 0.0]
    """
    if not isinstance(a, list | tuple) or not a:
        raise TypeError(f"general_cosine: a lists at least one number, not {a!r}" + at_line())

    def weight(k: int, n: int) -> float:
        total = 0.0
        for i, c in enumerate(a):
            total += (-c if i % 2 else c) * math.cos(2 * math.pi * i * k / n)
        return total

    return _made("general_cosine", M, sym, dtype, requires_grad, weight)


def general_hamming(
    M: int, *, alpha: float = 0.54, sym: bool = True, dtype: DType = dt.float32,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """w[k] = α − (1 − α)·cos(2π·k / n)

    >>> general_hamming(3, alpha=0.75).tolist()
    [0.5, 1.0, 0.5]
    """
    a = [alpha, 1.0 - alpha]
    return general_cosine(M, a=a, sym=sym, dtype=dtype, requires_grad=requires_grad)


def hamming(M: int, *, sym: bool = True, dtype: DType = dt.float32,
            requires_grad: bool = False) -> Tensor:  # fmt: skip
    """general_hamming with α = 0.54, near which its greatest side lobe is least (Blackman and
    Tukey, The measurement of power spectra, 1958)

    >>> hamming(2, sym=False)[1].item()
    1.0
    """
    return general_hamming(M, alpha=0.54, sym=sym, dtype=dtype, requires_grad=requires_grad)


def hann(M: int, *, sym: bool = True, dtype: DType = dt.float32,
         requires_grad: bool = False) -> Tensor:  # fmt: skip
    """general_hamming with α = ½: it ends in 0

    >>> hann(3).tolist()
    [0.0, 1.0, 0.0]
    """
    return general_hamming(M, alpha=0.5, sym=sym, dtype=dtype, requires_grad=requires_grad)


def blackman(M: int, *, sym: bool = True, dtype: DType = dt.float32,
             requires_grad: bool = False) -> Tensor:  # fmt: skip
    """general_cosine with 0.42, 0.5, 0.08 (Blackman and Tukey, The measurement of power spectra,
    1958)

    >>> round(blackman(5)[1].item(), 2)
    0.34
    """
    a = [0.42, 0.5, 0.08]
    return general_cosine(M, a=a, sym=sym, dtype=dtype, requires_grad=requires_grad)


def nuttall(M: int, *, sym: bool = True, dtype: DType = dt.float32,
            requires_grad: bool = False) -> Tensor:  # fmt: skip
    """general_cosine with the four terms of Nuttall, Some windows with very good sidelobe behavior
    (1981), that make the greatest side lobe least

    >>> round(nuttall(3)[1].item(), 4)
    1.0
    """
    a = [0.3635819, 0.4891775, 0.1365995, 0.0106411]
    return general_cosine(M, a=a, sym=sym, dtype=dtype, requires_grad=requires_grad)


def bartlett(M: int, *, sym: bool = True, dtype: DType = dt.float32,
             requires_grad: bool = False) -> Tensor:  # fmt: skip
    """w[k] = 1 − |2k/n − 1|, a triangle

    >>> bartlett(5).tolist()
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    options = (M, sym, dtype, requires_grad)
    return _made("bartlett", *options, lambda k, n: 1.0 - abs(2 * k / n - 1))


def cosine(M: int, *, sym: bool = True, dtype: DType = dt.float32,
           requires_grad: bool = False) -> Tensor:  # fmt: skip
    """w[k] = sin(π·(k + ½) / (n + 1))

    >>> cosine(3)[1].item()
    1.0
    """
    options = (M, sym, dtype, requires_grad)
    return _made("cosine", *options, lambda k, n: math.sin(math.pi * (k + 0.5) / (n + 1)))


def exponential(
    M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True,
    dtype: DType = dt.float32, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """w[k] = e^(−|k − c| / τ), c the middle, or `center` of a periodic one

    Raises ValueError unless tau is positive.

    >>> exponential(3)[1].item()
    1.0
    """
    if tau <= 0:
        raise ValueError(f"exponential: tau is positive, not {tau}" + at_line())
    if sym and center is not None:
        raise ValueError("exponential: a symmetric window has its own center" + at_line())

    def weight(k: int, n: int) -> float:
        return math.exp(-abs(k - (n / 2 if center is None else center)) / tau)

    return _made("exponential", M, sym, dtype, requires_grad, weight)


def gaussian(
    M: int, *, std: float = 1.0, sym: bool = True, dtype: DType = dt.float32,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """w[k] = e^(−½·((k − n/2) / σ)²)

    Raises ValueError unless std is positive.

    >>> gaussian(3)[1].item()
    1.0
    """
    if std <= 0:
        raise ValueError(f"gaussian: std is positive, not {std}" + at_line())
    options = (M, sym, dtype, requires_grad)
    return _made("gaussian", *options, lambda k, n: math.exp(-(((k - n / 2) / std) ** 2) / 2))


def _bessel(x: float) -> float:
    """I₀(x), from its power series."""
    term, total, k = 1.0, 1.0, 1
    while term > total * 2.0**-60:  # less changes no bit of a float64
        term *= (x / 2 / k) ** 2
        total, k = total + term, k + 1
    return total


def kaiser(
    M: int, *, beta: float = 12.0, sym: bool = True, dtype: DType = dt.float32,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """w[k] = I₀(β·√(1 − (2k/n − 1)²)) / I₀(β) (Kaiser and Schafer, On the use of the I₀-sinh
    window for spectrum analysis, 1980)

    Raises ValueError unless beta is 0 or more.

    >>> kaiser(3, beta=0.0).tolist()
    [1.0, 1.0, 1.0]
    """
    if not real_number("kaiser", "beta", beta) >= 0:
        raise ValueError(f"kaiser: beta is not negative, not {beta}" + at_line())

    def weight(k: int, n: int) -> float:
        return _bessel(beta * math.sqrt(max(0.0, 1 - (2 * k / n - 1) ** 2))) / _bessel(beta)

    return _made("kaiser", M, sym, dtype, requires_grad, weight)


# ---- under the older names of torch --------------------------------------------------------------


def _periodic(name: str, length: int, periodic: bool) -> bool:
    """Is a window of this length one whose last weight is its first?"""
    if not isinstance(periodic, bool):
        raise TypeError(f"{name}: periodic is True or False, not {periodic!r}" + at_line())
    return not periodic


@named
def hann_window(
    window_length: int, periodic: bool = True, *, dtype: DType = dt.float32,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """½·(1 − cos(2π·k/n)), n the length, or, if not periodic, one less

    >>> gu.hann_window(4).tolist()
    [0.0, 0.5, 1.0, 0.5]
    """
    sym = _periodic("hann_window", window_length, periodic)
    return hann(window_length, sym=sym, dtype=dtype, requires_grad=requires_grad)


@named
def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, *,
    dtype: DType = dt.float32, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """α − β·cos(2π·k/n), n the length, or, if not periodic, one less

    >>> round(gu.hamming_window(4)[0].item(), 2)
    0.08
    """
    sym = _periodic("hamming_window", window_length, periodic)
    return general_cosine(
        window_length, a=[alpha, beta], sym=sym, dtype=dtype, requires_grad=requires_grad
    )


@named
def blackman_window(
    window_length: int, periodic: bool = True, *, dtype: DType = dt.float32,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """0.42 − ½·cos(2π·k/n) + 0.08·cos(4π·k/n), n the length, or, if not periodic, one less

    >>> gu.blackman_window(4)[2].item()
    1.0
    """
    sym = _periodic("blackman_window", window_length, periodic)
    return blackman(window_length, sym=sym, dtype=dtype, requires_grad=requires_grad)


@named
def bartlett_window(
    window_length: int, periodic: bool = True, *, dtype: DType = dt.float32,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """1 − |2k/n − 1|, n the length, or, if not periodic, one less

    >>> gu.bartlett_window(4).tolist()
    [0.0, 0.5, 1.0, 0.5]
    """
    sym = _periodic("bartlett_window", window_length, periodic)
    return bartlett(window_length, sym=sym, dtype=dtype, requires_grad=requires_grad)


@named
def kaiser_window(
    window_length: int, periodic: bool = True, beta: float = 12.0, *, dtype: DType = dt.float32,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """I₀(β·√(1 − (2k/n − 1)²)) / I₀(β), n the length, or, if not periodic, one less

    >>> gu.kaiser_window(4)[2].item()
    1.0
    """
    sym = _periodic("kaiser_window", window_length, periodic)
    return kaiser(window_length, beta=beta, sym=sym, dtype=dtype, requires_grad=requires_grad)
