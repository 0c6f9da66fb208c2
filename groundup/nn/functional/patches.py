"""Patches summed back into an image, powers pooled, grids of affine maps, samples of classes.

Must not know about modules or training loops.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from groundup.tensor import (
    ShapeError,
    Tensor,
    arange,
    cat,
    index_add,
    linspace,
    ones,
    rand,
    where,
    zeros,
)
from groundup.tensor.errors import at_line
from groundup.tensor.misuse import named

from .checks import Pair, Single, Triple, several, shapes_at_line
from .pooling import avg_pool1d, avg_pool2d, avg_pool3d


@named
def fold(
    x: Tensor, output_size: Pair, kernel_size: Pair, dilation: Pair = 1, padding: Pair = 0,
    stride: Pair = 1,
) -> Tensor:  # fmt: skip
    """The sum of patches at their places: the adjoint of `unfold`, whose result x is like.

    x (n, c·k_h·k_w, P·Q), or without n; the result (n, c, h, w) with (h, w) = output_size. An
    element that several patches cover is the sum of theirs.

    >>> fold(gu.ones(1, 4, 4), (3, 3), (2, 2))[0, 0].tolist()
    [[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]
    """
    if x.ndim == 2:
        return fold(x.unsqueeze(0), output_size, kernel_size, dilation, padding, stride).squeeze(0)
    size, k = several(output_size, "output_size", 2), several(kernel_size, "kernel_size", 2)
    d, s = several(dilation, "dilation", 2), several(stride, "stride", 2)
    p = several(padding, "padding", 2, 0)
    counts = [(h + 2 * e - b * (a - 1) - 1) // c + 1 for h, a, b, e, c in zip(size, k, d, p, s)]
    fits = x.ndim == 3 and int(x.shape[1]) % (k[0] * k[1]) == 0 and min(counts) > 0
    if not fits or int(x.shape[2]) != counts[0] * counts[1]:
        raise ShapeError(
            f"fold: an image of {size} has {max(counts[0], 0)} · {max(counts[1], 0)} patches of "
            f"{k}; expected (n, c · {k[0] * k[1]}, {max(counts[0], 0) * max(counts[1], 0)})"
            + shapes_at_line(input=x.shape)
        )
    n, c = int(x.shape[0]), int(x.shape[1]) // (k[0] * k[1])
    high, wide = (h + 2 * e for h, e in zip(size, p, strict=True))
    # Where each element of each patch lies in the padded image.
    rows = arange(counts[0]).reshape(1, 1, -1, 1) * s[0] + arange(k[0]).reshape(-1, 1, 1, 1) * d[0]
    columns = (arange(counts[1]) * s[1]).reshape(1, 1, 1, -1)
    columns = columns + arange(k[1]).reshape(1, -1, 1, 1) * d[1]
    places = (rows * wide + columns).reshape(k[0] * k[1] * counts[0] * counts[1])
    flat = zeros(n * c, high * wide, dtype=x.dtype)
    flat = index_add(flat, 1, places, x.reshape(n * c, int(places.shape[0])))
    image = flat.reshape(n, c, high, wide)
    return image[:, :, p[0] : p[0] + size[0], p[1] : p[1] + size[1]]


def _of_powers(mean: Tensor, norm: float, count: int) -> Tensor:
    """(Σ)^(1/p) of a mean over windows; 0 where a sum of odd powers is negative, as in PyTorch."""
    total = mean.sign() * mean.abs().relu() * count
    return total ** (1.0 / norm)


@named
def lp_pool1d(
    x: Tensor, norm_type: float, kernel_size: Single, stride: Single | None = None,
    ceil_mode: bool = False,
) -> Tensor:  # fmt: skip
    """y = (Σ x^p over each window)^(1/p), p = norm_type

    >>> lp_pool1d(gu.tensor([[[3.0, 4.0]]]), 2, 2).tolist()
    [[[5.0]]]
    """
    k = several(kernel_size, "kernel_size", 1)
    mean = avg_pool1d(x**norm_type, kernel_size, stride, 0, ceil_mode)
    return _of_powers(mean, norm_type, k[0])


@named
def lp_pool2d(
    x: Tensor, norm_type: float, kernel_size: Pair, stride: Pair | None = None,
    ceil_mode: bool = False,
) -> Tensor:  # fmt: skip
    """`lp_pool1d` of images

    >>> lp_pool2d(gu.ones(1, 1, 2, 2), 2, 2).tolist()
    [[[[2.0]]]]
    """
    k = several(kernel_size, "kernel_size", 2)
    mean = avg_pool2d(x**norm_type, kernel_size, stride, 0, ceil_mode)
    return _of_powers(mean, norm_type, math.prod(k))


@named
def lp_pool3d(
    x: Tensor, norm_type: float, kernel_size: Triple, stride: Triple | None = None,
    ceil_mode: bool = False,
) -> Tensor:  # fmt: skip
    """`lp_pool1d` of three axes

    >>> lp_pool3d(gu.ones(1, 1, 2, 2, 2), 3, 2).round().tolist()
    [[[[[2.0]]]]]
    """
    k = several(kernel_size, "kernel_size", 3)
    mean = avg_pool3d(x**norm_type, kernel_size, stride, 0, ceil_mode)
    return _of_powers(mean, norm_type, math.prod(k))


@named
def affine_grid(
    theta: Tensor, size: Sequence[int], align_corners: bool = False
) -> Tensor:
    """The places that `grid_sample` reads for affine maps: θ · (x, y, 1) for each pixel.

    theta (n, 2, 3) and size (n, c, h, w): (n, h, w, 2); theta (n, 3, 4) and size (n, c, d, h, w):
    (n, d, h, w, 3). Pixels go from −1 to 1: their middles, or with align_corners the outermost ones
    at the ends.

    >>> affine_grid(gu.eye(2, 3).unsqueeze(0), (1, 1, 1, 2))[0, 0, :, 0].tolist()
    [-0.5, 0.5]
    """
    dims = len(size) - 2
    if dims not in (2, 3) or tuple(theta.shape) != (size[0], dims, dims + 1):
        raise ShapeError(
            "affine_grid: theta (n, 2, 3) for a size (n, c, h, w), or (n, 3, 4) for "
            "(n, c, d, h, w)" + shapes_at_line(theta=theta.shape, size=tuple(size))
        )
    if min(size) < 1 or not theta.dtype.is_float:
        raise ValueError("affine_grid: sizes of at least 1, and a floating theta" + at_line())
    spans = []
    for h in size[2:]:
        line = linspace(-1, 1, h, dtype=theta.dtype) if h > 1 else zeros(1, dtype=theta.dtype)
        spans.append(line if align_corners else line * ((h - 1) / h))
    shape = tuple(size[2:])
    parts = [
        spans[d].reshape(*(-1 if e == d else 1 for e in range(dims))).expand(shape).unsqueeze(-1)
        for d in reversed(range(dims))
    ]
    base = cat([*parts, ones(*shape, 1, dtype=theta.dtype)], -1).reshape(1, -1, dims + 1)
    return (base @ theta.mT).reshape(size[0], *shape, dims)


@named
def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:  # fmt: skip
    """softmax((x + g) / τ), g = −log(−log u): a sample of classes through which a derivative flows.

    hard: 1 at the greatest, 0 elsewhere; the derivative is that of the soft sample. eps says
    nothing, as in PyTorch, whose argument it is. Source: Jang,
    Gu, Poole, Categorical reparameterization with Gumbel-softmax (2017).

    >>> gumbel_softmax(gu.zeros(2, 3), hard=True).sum(-1).tolist()
    [1.0, 1.0]
    """
    if not tau > 0:
        raise ValueError(f"gumbel_softmax: tau is greater than 0, not {tau}" + at_line())
    tiny = 2.0**-24  # u may be 0, of which there is no logarithm
    u = rand(*logits.shape, dtype=logits.dtype).clamp_min(tiny)
    soft = ((logits - (-u.log()).log()) / tau).softmax(dim)
    if not hard:
        return soft
    best = soft.argmax(dim, keepdim=True)
    places = arange(int(soft.shape[dim]))
    places = places.reshape(*(-1 if d == dim % soft.ndim else 1 for d in range(soft.ndim)))
    chosen = where(places == best, 1.0, 0.0).to(soft.dtype)
    return chosen - soft.detach() + soft
