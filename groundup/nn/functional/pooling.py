"""Pooling: the greatest or the mean of each window of an image.

Shapes are PyTorch's: images are (N, C, H, W). Must not know about modules or training loops.
"""

from __future__ import annotations

import math

from groundup.tensor import (
    Axis,
    Indexed,
    ShapeError,
    Tensor,
    axes,
    axis,
    ones,
    outside,
    tensor,
    where,
)

from .checks import Pair, pair, shapes_at_line
from .convolution import window_sizes


def _pool(
    name: str,
    x: Tensor,
    kernel: Pair,
    stride: Pair | None,
    padding: Pair,
    dilation: Pair,
    fill: float,
) -> tuple[Indexed, tuple[Axis, ...], tuple[Axis, ...]]:
    """(the windows x[n, c, s·p + d·u − pad, …], their axes (n, c, p, q), the window's (u, v))."""
    if x.ndim != 4:
        raise ShapeError(f"{name}: expected images (n, c, h, w)" + shapes_at_line(input=x.shape))
    kh, kw = pair(kernel, "kernel_size")
    sh, sw = (kh, kw) if stride is None else pair(stride, "stride")
    ph, pw = pair(padding, "padding", 0)
    dh, dw = pair(dilation, "dilation")
    if 2 * ph > kh or 2 * pw > kw:
        raise ValueError(
            f"{name}: a padding of {(ph, pw)} is more than half of the kernel {(kh, kw)}:"
            " some windows would see nothing but padding"
        )
    pads = (ph, pw)
    height, width = window_sizes(name, x, (kh, kw), (sh, sw), pads, pads, (dh, dw))
    n, c = axes("n c")
    p, q, u, v = axis("p", height), axis("q", width), axis("u", kh), axis("v", kw)
    padded = outside(x, fill) if ph or pw else x
    window = padded[n, c, sh * p + dh * u - ph, sw * q + dw * v - pw]
    return window, (n, c, p, q), (u, v)


def max_pool2d(
    x: Tensor, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, dilation: Pair = 1
) -> Tensor:
    """y[n,c,p,q] = max_{u,v} x[n, c, s·p + d·u − pad, s·q + d·v − pad]; −∞ beyond the edges.

    stride: the kernel's size unless given.

    >>> max_pool2d(gu.arange(16.0).reshape(1, 1, 4, 4), 2).tolist()
    [[[[5.0, 7.0], [13.0, 15.0]]]]
    """
    args = (kernel_size, stride, padding, dilation, -math.inf)
    window, outer, inner = _pool("max_pool2d", x, *args)
    return window.max(*inner).order(*outer)


def avg_pool2d(
    x: Tensor,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    count_include_pad: bool = True,
) -> Tensor:
    """y[n,c,p,q] = 1/(k_h·k_w) · Σ_{u,v} x[n, c, s·p + u − pad, s·q + v − pad]; 0 beyond the edges.

    stride: the kernel's size unless given.
    count_include_pad: divide by the kernel's area; False: by the part of it inside the image.

    >>> avg_pool2d(gu.arange(16.0).reshape(1, 1, 4, 4), 2).tolist()
    [[[[2.5, 4.5], [10.5, 12.5]]]]
    """
    args = (kernel_size, stride, padding, 1, 0.0)
    window, outer, inner = _pool("avg_pool2d", x, *args)
    total = window.sum(*inner).order(*outer)
    if count_include_pad:
        height, width = pair(kernel_size, "kernel_size")
        return total * (1.0 / (height * width))
    window, outer, inner = _pool("avg_pool2d", ones(1, 1, *x.shape[2:], dtype=x.dtype), *args)
    share = window.sum(*inner).order(*outer)
    return total / share


def adaptive_avg_pool2d(
    x: Tensor, output_size: int | tuple[int | None, int | None] | None
) -> Tensor:
    """y[n,c,p,q] = the mean of rows ⌊p·h/P⌋ to ⌈(p+1)·h/P⌉ − 1 and of columns likewise.

    output_size: (P, Q), or one number for both; None keeps the input's. Where P divides h, these
    are plain windows of h/P; elsewhere the windows overlap or differ by one, as in PyTorch.

    >>> adaptive_avg_pool2d(gu.ones(2, 3, 7, 5), 1).shape
    (2, 3, 1, 1)
    """
    if x.ndim != 4:
        shape = shapes_at_line(input=x.shape)
        raise ShapeError(f"adaptive_avg_pool2d: expected images (n, c, h, w){shape}")
    asked = output_size if isinstance(output_size, tuple) else (output_size, output_size)
    h, w = int(x.shape[2]), int(x.shape[3])
    rows, columns = pair(
        (h if asked[0] is None else asked[0], w if asked[1] is None else asked[1]), "output_size"
    )
    if h % rows == 0 and w % columns == 0:
        return avg_pool2d(x, (h // rows, w // columns))
    n, c, p, q, i, j = axes("n c p q i j")
    down, tall = _adaptive_windows(h, rows, x)
    across, wide = _adaptive_windows(w, columns, x)
    # Two steps, one axis each: a row enters the sum of every window that holds it.
    y = (where(down[p, i], x[n, c, i, j], 0.0).sum(i) / tall[p]).order(n, c, p, j)
    return (where(across[q, j], y[n, c, p, j], 0.0).sum(j) / wide[q]).order(n, c, p, q)


def _adaptive_windows(size: int, parts: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """(whether position i is in window p, as (p, i); how many positions window p has, as (p,))."""
    bounds = [(p * size // parts, -((p + 1) * size // -parts)) for p in range(parts)]
    member = [[start <= i < end for i in range(size)] for start, end in bounds]
    lengths = [float(end - start) for start, end in bounds]
    return tensor(member), tensor(lengths, dtype=like.dtype)
