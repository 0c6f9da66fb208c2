"""Activations, element by element or along one axis.

Must not know about modules or training loops.
"""

from __future__ import annotations

import math

from groundup.tensor import Axis, DType, Tensor, axes, float32, where
from groundup.tensor.autocast import full, is_half
from groundup.tensor.errors import check_dim
from groundup.tensor.misuse import named

from .checks import of_reals


@named
def relu(x: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0); its derivative at 0 is 0. inplace: x becomes it."""
    return x.relu_() if inplace else x.relu()


@named
def leaky_relu(x: Tensor, negative_slope: float = 0.01) -> Tensor:
    """x where x > 0, else negative_slope · x (Maas et al. 2013, whose slope 0.01 is)."""
    return where(x > 0, x, x * negative_slope)


@named
def general_relu(
    x: Tensor, leak: float | None = None, sub: float | None = None, maxv: float | None = None
) -> Tensor:
    """min(relu(x) − sub, maxv), with a slope of `leak` below 0.

    relu(z) of a standard normal z has mean 1/√(2π) ≈ 0.4; subtracting a constant (the lesson takes
    0.5) brings the mean of the activations back towards 0.
    """
    y = x.relu() if leak is None else leaky_relu(x, leak)
    if sub is not None:
        y = y - sub
    return y if maxv is None else y.clamp_max(maxv)


@named
def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """x · Φ(x) = x · ½(1 + erf(x / √2)) (Hendrycks & Gimpel 2016).

    approximate: 'tanh' takes the paper's ½x(1 + tanh(√(2/π)(x + 0.044715·x³))). Of 16-bit numbers
    it is computed in float32 and rounded once.
    """
    of_reals("gelu", x)
    if is_half(x.dtype):
        return gelu(x.to(float32), approximate).to(x.dtype)
    if approximate == "none":
        return 0.5 * x * (1.0 + (x * math.sqrt(0.5)).erf())
    if approximate == "tanh":
        inner = math.sqrt(2.0 / math.pi) * (x + 0.044715 * (x * x * x))
        return 0.5 * x * (1.0 + inner.tanh())
    raise ValueError(f"approximate is 'none' or 'tanh', not {approximate!r}")


@named
def softmax(x: Tensor, dim: int = -1, *, dtype: DType | None = None) -> Tensor:
    """s[…,k] = exp(x[…,k] − m[…]) / Σ_k exp(x[…,k] − m[…]), m the maximum over k = axis `dim`.

    As a product with 1 / Σ, so that a row has one division, and so has its derivative. dtype: what
    x is converted to first.
    """
    x = x if dtype is None else x.to(dtype)
    if x.ndim < 2:
        check_dim("softmax", dim, x.ndim)
        return softmax(x.reshape(1, -1), 1).reshape(x.shape)
    x, (at, n, k) = full(x), _along("softmax", x, dim)
    m = x.detach()[*at].max(k).order(*n)
    e = (x[*at] - m[*n]).exp().order(*at)
    total = e[*at].sum(k).order(*n)
    share = (1.0 / total[*n]).order(*n)
    return (e[*at] * share[*n]).order(*at)


@named
def log_softmax(x: Tensor, dim: int = -1, *, dtype: DType | None = None) -> Tensor:
    """l[…,k] = x[…,k] − m[…] − log Σ_k exp(x[…,k] − m[…]), m the maximum over k = axis `dim`.

    dtype: what x is converted to first.
    """
    x = x if dtype is None else x.to(dtype)
    if x.ndim < 2:
        check_dim("log_softmax", dim, x.ndim)
        return log_softmax(x.reshape(1, -1), 1).reshape(x.shape)
    x, (at, n, k) = full(x), _along("log_softmax", x, dim)
    m = x.detach()[*at].max(k).order(*n)
    shifted = (x[*at] - m[*n]).order(*at)
    e = shifted[*at].exp().order(*at)
    total = e[*at].sum(k).order(*n)
    log_sum = total[*n].log().order(*n)
    return (shifted[*at] - log_sum[*n]).order(*at)


def _along(name: str, x: Tensor, dim: int) -> tuple[tuple[Axis, ...], tuple[Axis, ...], Axis]:
    """(the axes of x, those without axis `dim`, that one)."""
    at, d = axes(x.ndim), check_dim(name, dim, x.ndim)
    return at, (*at[:d], *at[d + 1 :]), at[d]
