"""Elements moved between axes, counted or normalised: shuffles, patches, one-hot, more norms.

Must not know about modules or training loops.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from groundup.tensor import ShapeError, Tensor, arange, axes, axis, int64, pad, rand, where
from groundup.tensor.algebra import bilinear as products
from groundup.tensor.errors import at_line

from .checks import Pair, one_type, several, shapes_at_line

# ---- between channels and places -----------------------------------------------------------------


def pixel_shuffle(x: Tensor, upscale_factor: int) -> Tensor:
    """y[…, c, h·r + i, w·r + j] = x[…, c·r² + i·r + j, h, w] (Shi et al. 2016)

    >>> pixel_shuffle(gu.arange(4.0).reshape(4, 1, 1), 2).tolist()
    [[[0.0, 1.0], [2.0, 3.0]]]
    """
    r = upscale_factor
    if x.ndim < 3 or r < 1 or int(x.shape[-3]) % (r * r):
        raise ShapeError(
            f"pixel_shuffle: (…, c, h, w) whose c is a multiple of {r}², r positive"
            + shapes_at_line(input=x.shape)
        )
    *lead, c, h, w = x.shape
    split = x.reshape(*lead, c // (r * r), r, r, h, w)
    n = len(lead)
    turned = split.permute(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return turned.reshape(*lead, c // (r * r), h * r, w * r)


def pixel_unshuffle(x: Tensor, downscale_factor: int) -> Tensor:
    """The inverse of pixel_shuffle: y[…, c·r² + i·r + j, h, w] = x[…, c, h·r + i, w·r + j]"""
    r = downscale_factor
    if x.ndim < 3 or r < 1 or int(x.shape[-1]) % r or int(x.shape[-2]) % r:
        raise ShapeError(
            f"pixel_unshuffle: (…, c, h, w) whose h and w are multiples of {r}, which is positive"
            + shapes_at_line(input=x.shape)
        )
    *lead, c, h, w = x.shape
    split = x.reshape(*lead, c, h // r, r, w // r, r)
    n = len(lead)
    turned = split.permute(*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return turned.reshape(*lead, c * r * r, h // r, w // r)


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Channels in `groups` runs, taken in turn from each run (Zhang et al. 2018)

    >>> channel_shuffle(gu.arange(4.0).reshape(1, 4, 1), 2).reshape(-1).tolist()
    [0.0, 2.0, 1.0, 3.0]
    """
    if x.ndim < 3 or groups < 1 or int(x.shape[1]) % groups:
        raise ShapeError(
            f"channel_shuffle: (n, c, …) whose c is a multiple of {groups} groups"
            + shapes_at_line(input=x.shape)
        )
    n, c, *rest = x.shape
    return x.reshape(n, groups, c // groups, *rest).transpose(1, 2).reshape(x.shape)


def unfold(
    x: Tensor, kernel_size: Pair, dilation: Pair = 1, padding: Pair = 0, stride: Pair = 1
) -> Tensor:
    """y[n, c·k_h·k_w + u·k_w + v, p·Q + q] = x[n, c, s·p + d·u − pad, s·q + d·v − pad]

    The patches that a convolution sees, a column each; 0 beyond the edges.

    >>> unfold(gu.arange(4.0).reshape(1, 1, 2, 2), 2).shape
    (1, 4, 1)
    """
    if x.ndim not in (3, 4) or (x.ndim == 4 and 0 in tuple(x.shape[1:])) or 0 in x.shape[-3:]:
        raise ShapeError("unfold: expected (n, c, h, w) or (c, h, w)"
                         + shapes_at_line(input=x.shape))  # fmt: skip
    k, d = several(kernel_size, "kernel_size", 2), several(dilation, "dilation", 2)
    p, s = several(padding, "padding", 2, 0), several(stride, "stride", 2)
    if x.ndim == 3:
        return unfold(x.unsqueeze(0), kernel_size, dilation, padding, stride).squeeze(0)
    sizes = [
        (int(h) + 2 * e - b * (a - 1) - 1) // c + 1
        for h, a, b, e, c in zip(x.shape[2:], k, d, p, s)
    ]
    if min(sizes) < 1:
        raise ShapeError(
            f"unfold: a kernel of {k} (dilation {d}) is larger than the image with its padding "
            f"of {p}" + shapes_at_line(input=x.shape)
        )
    padded = pad(x, (p[1], p[1], p[0], p[0])) if any(p) else x
    n, c = axes("n c")
    u, v = axis("u", k[0]), axis("v", k[1])
    i, j = axis("i", sizes[0]), axis("j", sizes[1])
    y = padded[n, c, s[0] * i + d[0] * u, s[1] * j + d[1] * v].order(n, c, u, v, i, j)
    return y.reshape(x.shape[0], int(x.shape[1]) * k[0] * k[1], sizes[0] * sizes[1])


def one_hot(ids: Tensor, num_classes: int = -1) -> Tensor:
    """y[…, c] = 1 where ids[…] is c, else 0, as int64; −1: as many classes as there are

    >>> one_hot(gu.tensor([1, 0])).tolist()
    [[0, 1], [1, 0]]
    """
    if ids.dtype is not int64:
        raise TypeError(f"one_hot: ids are int64, not {ids.dtype.name}" + at_line())
    if not ids.numel():
        if num_classes <= 0:
            raise ValueError("one_hot: of no ids, the number of classes is not known" + at_line())
    elif int(ids.min().item()) < 0:
        raise ValueError("one_hot: ids are not negative" + at_line())
    if num_classes == -1:
        num_classes = int(ids.max().item()) + 1
    elif num_classes < 1 or (ids.numel() and int(ids.max().item()) >= num_classes):
        raise ValueError(f"one_hot: every id is below {num_classes} classes" + at_line())
    return (ids.unsqueeze(-1) == arange(num_classes)).long()


def bilinear(a: Tensor, b: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y[…, o] = Σ_{i, j} a[…, i] · w[o, i, j] · b[…, j] + bias[o]"""
    one_type("bilinear", input=a, other=b, weight=weight)
    if (
        tuple(a.shape[:-1]) != tuple(b.shape[:-1]) or weight.ndim != 3 or not a.ndim
        or tuple(weight.shape[1:]) != (a.shape[-1], b.shape[-1])
    ):  # fmt: skip
        raise ShapeError(
            "bilinear: (…, i), (…, j) and a weight (o, i, j)"
            + shapes_at_line(input=a.shape, other=b.shape, weight=weight.shape)
        )
    y = products(a, b, weight)
    return y if bias is None else y + bias


# ---- more normalisations -------------------------------------------------------------------------


def instance_norm(
    x: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """batch_norm of every image by itself: μ and σ² over all axes but the first two

    The running statistics move by the mean over images of theirs. Source: Ulyanov et al. 2016.
    """
    from .normalisation import batch_norm

    if x.ndim < 2:
        raise ShapeError("instance_norm: expected (n, c, …)" + shapes_at_line(input=x.shape))
    if not use_input_stats:
        return batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    count = math.prod(int(s) for s in x.shape[2:])
    if count <= 1:
        raise ShapeError(
            "instance_norm: an image needs more than 1 element to have a variance"
            + shapes_at_line(input=x.shape)
        )
    over = tuple(range(2, x.ndim))
    mean = x.mean(over, True)
    centred = x - mean
    var = (centred * centred).mean(over, True)
    if running_mean is not None and running_var is not None:
        from groundup.tensor import no_grad

        with no_grad():
            unbiased = var.detach() * (count / (count - 1))
            own = mean.detach().reshape(x.shape[:2]).mean(0)
            running_mean.add_((own - running_mean) * momentum)
            running_var.add_((unbiased.reshape(x.shape[:2]).mean(0) - running_var) * momentum)
    y = centred * (var + eps).rsqrt()
    tail = (1,) * (x.ndim - 2)
    y = y if weight is None else y * weight.reshape(-1, *tail)
    return y if bias is None else y + bias.reshape(-1, *tail)


def rms_norm(
    x: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:  # fmt: skip
    """y[…,k] = x[…,k] / √(mean x² + eps) · weight[k], k the last axes together

    eps: the type's gap after 1 unless given. Source: Zhang & Sennrich 2019, eq. 4.

    >>> rms_norm(gu.tensor([[3.0, 3.0]]), (2,), eps=0.0).tolist()
    [[1.0, 1.0]]
    """
    sizes = tuple(normalized_shape)
    if not sizes or tuple(x.shape[-len(sizes) :]) != sizes:
        raise ShapeError(
            f"rms_norm: an input that ends in axes of {sizes} is expected"
            + shapes_at_line(input=x.shape)
        )
    if weight is not None and tuple(weight.shape) != sizes:
        raise ShapeError(
            f"rms_norm: the weight has one number for each place that is normalised, {sizes}"
            + shapes_at_line(input=x.shape, weight=weight.shape)
        )
    over = tuple(range(x.ndim - len(sizes), x.ndim))
    square = (x * x).mean(over, True)
    y = x * (square + (x.dtype.eps if eps is None else eps)).rsqrt()
    return y if weight is None else y * weight


def local_response_norm(
    x: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """x[n,c,…] / (k + α/size · Σ over `size` neighbouring channels of x²)^β

    Source: Krizhevsky et al. 2012, section 3.3.
    """
    if x.ndim < 3 or size < 1:
        raise ShapeError(
            f"local_response_norm: expected (n, c, …, l), and a size of at least 1, not {size}"
            + shapes_at_line(input=x.shape)
        )
    if not x.numel():
        return x
    before = size // 2
    square = x * x
    rows = square.reshape(x.shape[0], x.shape[1], -1)
    padded = pad(rows, (0, 0, before, (size - 1) // 2))
    n, p = axes("n p")
    c, u = axis("c", int(x.shape[1])), axis("u", size)
    total = padded[n, c + u, p].sum(u).order(n, c, p)
    return x / (total.reshape(x.shape) * (alpha / size) + k) ** beta


# ---- random zeros --------------------------------------------------------------------------------


def _whole_channels(name: str, x: Tensor, p: float, axes_kept: int, training: bool) -> Tensor:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"{name}: the probability p must be between 0 and 1, not {p}" + at_line())
    if not training or p == 0.0:
        return x
    if p == 1.0:
        return x * 0.0
    shape = (*x.shape[:axes_kept], *(1,) * (x.ndim - axes_kept))
    keep = rand(shape, dtype=x.dtype) >= p
    return where(keep, x * (1.0 / (1.0 - p)), 0.0)


def dropout1d(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """dropout of whole channels of (n, c, l) or (c, l)"""
    return _whole_channels("dropout1d", x, p, 2 if x.ndim == 3 else 1, training)


def dropout2d(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """dropout of whole channels of (n, c, h, w), (n, c, l) or (c, …): the first two axes stay

    >>> dropout2d(gu.ones(1, 2, 3, 3), 0.0).shape
    (1, 2, 3, 3)
    """
    return _whole_channels("dropout2d", x, p, min(2, x.ndim), training)


def dropout3d(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """dropout of whole channels of (n, c, d, h, w) or (c, d, h, w)"""
    return _whole_channels("dropout3d", x, p, 2 if x.ndim == 5 else min(1, x.ndim), training)


_ALPHA = 1.7580993408473766  # −λ·α of selu: what it tends to far below 0


def alpha_dropout(x: Tensor, p: float = 0.5, training: bool = False) -> Tensor:
    """dropout that keeps mean 0 and variance 1 after selu (Klambauer et al. 2017, section 3)"""
    return _alpha("alpha_dropout", x, p, training, x.ndim)


def feature_alpha_dropout(x: Tensor, p: float = 0.5, training: bool = False) -> Tensor:
    """alpha_dropout of whole channels"""
    return _alpha("feature_alpha_dropout", x, p, training, min(2, x.ndim))


def _alpha(name: str, x: Tensor, p: float, training: bool, axes_kept: int) -> Tensor:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"{name}: the probability p must be between 0 and 1, not {p}" + at_line())
    if not training or p == 0.0:
        return x
    if p == 1.0:
        return x * 0.0
    keep = rand((*x.shape[:axes_kept], *(1,) * (x.ndim - axes_kept)), dtype=x.dtype) >= p
    scale = 1.0 / math.sqrt((1.0 - p) * (1.0 + p * _ALPHA * _ALPHA))
    return where(keep, x, -_ALPHA) * scale + scale * p * _ALPHA
