"""The activations beside relu, gelu and softmax (pointwise.py): their equations, PyTorch's names.

Must not know about modules or training loops.
"""

from __future__ import annotations

import math

from groundup.tensor import DType, ShapeError, Tensor, erfc, rand, where
from groundup.tensor import softmin as along
from groundup.tensor.errors import at_line, check_dim
from groundup.tensor.misuse import named

from .checks import shapes_at_line


def _number(name: str, role: str, value: object) -> float:
    """An argument that must be a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name}: {role} is a number, not {value!r}" + at_line())
    return float(value)


def _floating(name: str, x: Tensor) -> None:
    if not x.dtype.is_float:
        raise TypeError(f"{name} needs a floating type, not {x.dtype.name}" + at_line())


@named
def hardtanh(x: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """min(max(x, min_val), max_val); the derivative at both bounds is 0

    >>> hardtanh(gu.tensor([-2.0, 0.5])).tolist()
    [-1.0, 0.5]
    """
    low, high = _number("hardtanh", "min_val", min_val), _number("hardtanh", "max_val", max_val)
    if low > high:
        raise ValueError(f"hardtanh: min_val {low} is greater than max_val {high}" + at_line())
    if x.dtype.kind == "b" or (x.dtype.kind == "u" and low < 0):
        raise TypeError(f"hardtanh: {x.dtype.name} has no negative numbers" + at_line())
    if not x.dtype.is_float:
        return x.clamp(int(low), int(high))
    return where(x <= low, low, where(x >= high, high, x))


@named
def relu6(x: Tensor) -> Tensor:
    """min(max(x, 0), 6)"""
    return hardtanh(x, 0.0, 6.0)


@named
def hardsigmoid(x: Tensor) -> Tensor:
    """min(max(x / 6 + ½, 0), 1) (Howard et al. 2019)"""
    _floating("hardsigmoid", x)
    return where(x <= -3, 0.0, where(x >= 3, 1.0, (x + 3.0) / 6.0))


@named
def hardswish(x: Tensor) -> Tensor:
    """x · min(max(x + 3, 0), 6) / 6 (Howard et al. 2019)"""
    _floating("hardswish", x)
    return where(x <= -3, 0.0, where(x >= 3, x, x * (x + 3.0) / 6.0))


@named
def silu(x: Tensor) -> Tensor:
    """x · sigmoid x (Elfwing et al. 2017)

    >>> silu(gu.zeros(1)).tolist()
    [0.0]
    """
    if not x.is_complex():
        _floating("silu", x)
    return x * x.sigmoid()


@named
def softplus(x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + e^(β·x)) / β, and x itself where β·x is above the threshold"""
    _floating("softplus", x)
    if beta == 0:
        raise ValueError("softplus: beta is not 0" + at_line())
    inner = x * beta
    far = inner > threshold
    return where(far, x, where(far, 0.0, inner).exp().log1p() / beta)


@named
def logsigmoid(x: Tensor) -> Tensor:
    """log sigmoid x = min(x, 0) − log(1 + e^−|x|)"""
    _floating("logsigmoid", x)
    return where(x < 0, x, 0.0) - (-x.abs()).exp().log1p()


@named
def mish(x: Tensor) -> Tensor:
    """x · tanh(softplus x) (Misra 2019)"""
    _floating("mish", x)
    return x * softplus(x).tanh()


@named
def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x where x > 0, else α·(e^x − 1) (Clevert et al. 2015)

    >>> elu(gu.tensor([1.0, 0.0])).tolist()
    [1.0, 0.0]
    """
    return _elu("elu", x, alpha, 1.0, 1.0)


def _elu(name: str, x: Tensor, alpha: float, scale: float, inner: float) -> Tensor:
    """scale · (x where x > 0, else α·(e^(inner·x) − 1))"""
    _floating(name, x)
    above = x > 0
    below = where(above, 0.0, x)
    curve = (below if inner == 1 else below * inner).expm1() * alpha
    result = where(above, x, curve)
    return result if scale == 1 else result * scale


@named
def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x where x > 0, else α·(e^(x/α) − 1) (Barron 2017)"""
    if alpha == 0:
        raise ValueError("celu: alpha is not 0" + at_line())
    return _elu("celu", x, alpha, 1.0, 1.0 / alpha)


# Klambauer et al. 2017, "Self-Normalizing Neural Networks", eq. 14: the fixed point at mean 0 and
# variance 1.
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


@named
def selu(x: Tensor) -> Tensor:
    """λ · (x where x > 0, else α·(e^x − 1)), which keeps mean 0 and variance 1"""
    return _elu("selu", x, SELU_ALPHA, SELU_SCALE, 1.0)


@named
def glu(x: Tensor, dim: int = -1) -> Tensor:
    """a · sigmoid b, a and b the two halves of an axis (Dauphin et al. 2016)

    >>> glu(gu.tensor([2.0, 0.0])).tolist()
    [1.0]
    """
    d = check_dim("glu", dim, x.ndim)
    if not x.ndim or int(x.shape[d]) % 2:
        raise ShapeError(
            f"glu: axis {d} is halved: it needs an even size" + shapes_at_line(input=x.shape)
        )
    half = int(x.shape[d]) // 2
    return x.narrow(d, 0, half) * x.narrow(d, half, half).sigmoid()


@named
def prelu(x: Tensor, weight: Tensor) -> Tensor:
    """x where x > 0, else weight · x, one weight for all or one for each channel (He et al. 2015)

    >>> prelu(gu.tensor([-1.0, 1.0]), gu.tensor([0.5])).tolist()
    [-0.5, 1.0]
    """
    if not isinstance(weight, Tensor) or weight.dtype is not x.dtype:
        raise TypeError("prelu: the weight is a tensor of the input's dtype" + at_line())
    count = weight.numel()
    channels = int(x.shape[1]) if x.ndim > 1 else 1
    if weight.ndim > 1 or (count != 1 and (not x.ndim or count != channels)):
        raise ShapeError(
            "prelu: one weight, or one for each channel (axis 1)"
            + shapes_at_line(input=x.shape, weight=weight.shape)
        )
    if count != 1:
        weight = weight.reshape(-1, *(1,) * (x.ndim - 2))
    elif weight.ndim and not x.ndim:
        weight = weight.reshape(())
    return where(x > 0, x, weight * x)


@named
def rrelu(
    x: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False
) -> Tensor:
    """x where x ≥ 0, else a·x with a random slope in [lower, upper], its mean if not training

    Source: Xu et al. 2015, "Empirical evaluation of rectified activations"; the bounds are theirs.
    """
    _floating("rrelu", x)
    if lower > upper:
        raise ValueError(f"rrelu: lower {lower} is greater than upper {upper}" + at_line())
    if not training:
        return where(x >= 0, x, x * ((lower + upper) / 2))
    return where(x > 0, x, x * (rand(x.shape, dtype=x.dtype) * (upper - lower) + lower))


@named
def softsign(x: Tensor) -> Tensor:
    """x / (1 + |x|)"""
    return x / (x.abs() + 1)


@named
def tanhshrink(x: Tensor) -> Tensor:
    """x − tanh x"""
    return x - x.tanh()


@named
def softshrink(x: Tensor, lambd: float = 0.5) -> Tensor:
    """x − λ above λ, x + λ below −λ, 0 between

    >>> softshrink(gu.tensor([1.0, 0.2])).tolist()
    [0.5, 0.0]
    """
    _floating("softshrink", x)
    if not lambd >= 0:
        raise ValueError(f"softshrink: lambd is 0 or more, not {lambd}" + at_line())
    inside = where(x < -lambd, x + lambd, where(x != x, x, 0.0))
    return where(x > lambd, x - lambd, inside)


@named
def hardshrink(x: Tensor, lambd: float = 0.5) -> Tensor:
    """x where |x| > λ, else 0"""
    _floating("hardshrink", x)
    inside = ((x >= -lambd) & (x <= lambd))
    return where(inside, 0.0, x)


@named
def threshold(x: Tensor, threshold: float, value: float) -> Tensor:
    """x where x > threshold, else value"""
    below = x <= threshold
    return x.masked_fill(below, value)


@named
def softmin(x: Tensor, dim: int = -1, dtype: DType | None = None) -> Tensor:
    """softmax of −x

    >>> softmin(gu.tensor([0.0, 0.0])).tolist()
    [0.5, 0.5]
    """
    return along(x, dim, dtype)


def normal_share(x: Tensor) -> Tensor:
    """Φ(x) = ½·erfc(−x/√2), the share of a normal distribution below x"""
    return 0.5 * erfc(x * -math.sqrt(0.5))
