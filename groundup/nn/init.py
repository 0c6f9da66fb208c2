"""Initial values: what a weight starts as, and the paper that each constant comes from.

Every function fills a tensor in place, outside of any gradient, and gives it memory at once: an
initialised parameter is a value, not a pending expression. Must not know which layer it serves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from groundup.tensor import Tensor, no_grad, random, realize

_GAIN = {
    # x → x keeps the variance.
    "linear": 1.0,
    "sigmoid": 1.0,
    # PyTorch's convention for tanh (its own documentation gives no source either).
    "tanh": 5 / 3,
    # He et al. 2015, eq. 10: a rectifier halves the second moment, so the weights carry a 2.
    "relu": math.sqrt(2.0),
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor on a weight's deviation that makes up for the nonlinearity after it.

    linear, sigmoid: 1; tanh: 5/3; relu: √2; leaky_relu with slope a: √(2 / (1 + a²))
    (He et al. 2015, eq. 15, where a is 0.01 unless `param` says otherwise).

    Raises ValueError for a nonlinearity that has no gain.

    >>> round(calculate_gain("relu"), 4)
    1.4142
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return math.sqrt(2.0 / (1.0 + slope**2))
    if nonlinearity not in _GAIN:
        known = ", ".join([*_GAIN, "leaky_relu"])
        raise ValueError(f"no gain is known for {nonlinearity!r}; known are {known}")
    return _GAIN[nonlinearity]


def fan(shape: Sequence[int]) -> tuple[int, int]:
    """(fan_in, fan_out): how many inputs feed one output of a weight, and the reverse.

    For a matrix (out, in) and a convolution (out, in, *kernel): in · |kernel| and out · |kernel|.
    """
    if len(shape) < 2:
        raise ValueError(
            f"fan-in and fan-out need a weight of at least 2 axes (out, in, …), not {tuple(shape)}"
        )
    kernel = math.prod(shape[2:])
    return int(shape[1] * kernel), int(shape[0] * kernel)


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Fill with draws from the uniform distribution on [a, b)."""
    random.fill(tensor, "uniform", b - a, a)
    return tensor


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Fill with draws from the normal distribution."""
    random.fill(tensor, "normal", std, mean)
    return tensor


def constant_(tensor: Tensor, value: float) -> Tensor:
    """Fill with one number."""
    with no_grad():
        tensor.fill_(value)
        realize(tensor)
    return tensor


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with 0."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with 1."""
    return constant_(tensor, 1.0)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Glorot's uniform initialisation: U(−b, b), b = gain · √(6 / (fan_in + fan_out)).

    Keeps the variance of both activations and gradients about constant through linear layers:
    Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    AISTATS 2010, eq. 16.
    """
    fan_in, fan_out = fan(tensor.shape)
    bound = gain * math.sqrt(6.0 / (fan_in + fan_out))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Glorot's initialisation with a normal: N(0, σ²), σ = gain · √(2 / (fan_in + fan_out)).

    Glorot & Bengio 2010, eq. 12.
    """
    fan_in, fan_out = fan(tensor.shape)
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / (fan_in + fan_out)))


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode is 'fan_in' or 'fan_out', not {mode!r}")
    fan_in, fan_out = fan(tensor.shape)
    gain = calculate_gain(nonlinearity, a)
    return gain / math.sqrt(max(1, fan_in if mode == "fan_in" else fan_out))


def kaiming_uniform_(
    tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """He's initialisation with a uniform: U(−b, b), b = gain · √(3 / fan).

    a: the slope of the leaky ReLU that follows (0: a plain ReLU).
    mode: 'fan_in' keeps the variance of activations, 'fan_out' that of gradients.
    Source: He et al., "Delving deep into rectifiers", ICCV 2015, section 2.2; the 3 because
    U(−b, b) has variance b²/3.
    """
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(
    tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """He's initialisation: N(0, σ²), σ = gain / √fan.

    Arguments as for `kaiming_uniform_`. Source: He et al. 2015, eq. 10 (forward, fan_in) and
    eq. 14 (backward, fan_out).
    """
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity))


def torch_default_(weight: Tensor, bias: Tensor | None) -> None:
    """The initialisation that PyTorch gives Linear and Conv2d: all U(−b, b), b = 1 / √fan_in.

    PyTorch writes it as `kaiming_uniform_(weight, a=√5)`: the gain √(2 / (1 + 5)) = √(1/3) cancels
    the √3 of the uniform, and what is left is LeCun's rule ("Efficient backprop", 1998, section
    4.6: deviation 1/√fan_in) with the bound in the place of the deviation. So √5 is no slope of
    any leaky ReLU: it keeps the distribution of Torch7. The variance is a sixth of He's, which a
    deep ReLU network without normalisation feels: call `kaiming_normal_` there.
    """
    kaiming_uniform_(weight, a=math.sqrt(5.0))
    if bias is not None:
        bound = 1.0 / math.sqrt(max(1, fan(weight.shape)[0]))
        uniform_(bias, -bound, bound)
