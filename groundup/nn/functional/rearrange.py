"""Elements moved between channels and places, patches of images, classes as rows of 0 and 1.

Must not know about modules or training loops.
"""

from __future__ import annotations

from groundup.tensor import ShapeError, Tensor, arange, axes, axis, int64, pad
from groundup.tensor.errors import at_line
from groundup.tensor.misuse import named

from .checks import Pair, several, shapes_at_line


@named
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
    if r == 1:
        return x.clone()
    split = x.reshape(*lead, c // (r * r), r, r, h, w)
    n = len(lead)
    turned = split.permute(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return turned.reshape(*lead, c // (r * r), h * r, w * r)


@named
def pixel_unshuffle(x: Tensor, downscale_factor: int) -> Tensor:
    """The inverse of pixel_shuffle: y[…, c·r² + i·r + j, h, w] = x[…, c, h·r + i, w·r + j]

    >>> pixel_unshuffle(gu.arange(4.0).reshape(1, 2, 2), 2).reshape(-1).tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    r = downscale_factor
    if x.ndim < 3 or r < 1 or int(x.shape[-1]) % r or int(x.shape[-2]) % r:
        raise ShapeError(
            f"pixel_unshuffle: (…, c, h, w) whose h and w are multiples of {r}, which is positive"
            + shapes_at_line(input=x.shape)
        )
    *lead, c, h, w = x.shape
    if r == 1:
        return x.clone()
    split = x.reshape(*lead, c, h // r, r, w // r, r)
    n = len(lead)
    turned = split.permute(*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return turned.reshape(*lead, c * r * r, h // r, w // r)


@named
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


@named
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


@named
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
