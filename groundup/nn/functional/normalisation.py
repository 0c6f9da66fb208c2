"""Values brought to one scale: mean 0 and variance 1 by batch, layer, group or image, or a mean
square of 1, or less where the neighbouring channels are large.

Must not know about modules or training loops.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from groundup.tensor import ShapeError, Tensor, axes, axis, no_grad, pad
from groundup.tensor.autocast import full
from groundup.tensor.misuse import named

from ..waiting import wait
from .checks import of_reals, one_for_each, one_type, shapes_at_line


@named
def batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float | Tensor = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """y[n,c,…] = (x[n,c,…] − μ[c]) / √(σ²[c] + eps) · weight[c] + bias[c]

    training: μ and σ² (biased: divided by the count) are this batch's, over every axis but c, and
    the running statistics move in place, by PyTorch's convention:
    running ← (1 − momentum) · running + momentum · batch, with the unbiased variance.
    Otherwise μ and σ² are the running ones; without running ones, the batch's.
    Source: Ioffe & Szegedy 2015, algorithms 1 and 2.
    Raises ShapeError when a channel has a single value to learn its variance from.
    """
    of_reals("batch_norm", x, weight, bias)
    x = full(x)
    if tuple(x.shape) == (0,):  # no channels: PyTorch accepts it
        return x * 1.0
    if x.ndim < 2:
        raise ShapeError("batch_norm: expected an input (n, c, …)" + shapes_at_line(input=x.shape))
    for role, t in (("running_mean", running_mean), ("running_var", running_var),
                    ("weight", weight), ("bias", bias)):  # fmt: skip
        one_for_each("batch_norm", role, t, int(x.shape[1]), "channels")
    n, c, *p = axes(x.ndim)
    over = (0, *range(2, x.ndim))
    if training or running_mean is None or running_var is None:
        count = math.prod(x.shape) // max(1, int(x.shape[1]))
        if training and count <= 1:
            raise ShapeError(
                "batch_norm: training needs more than 1 value for each channel"
                " (a batch of one has no variance)" + shapes_at_line(input=x.shape)
            )
        mean = x[n, c, *p].mean(n, *p).order(c)
        # In axes, with f = μ.detach(), ((x − f)²).mean(n, *p) − (μ − f)² has the same bits, but the
        # running variance below, Σ/(count − 1) of the same sum, would not share that sum with it:
        # the notation has no way to divide by one less than a count that may be known at run time.
        var = x.var(over, correction=0)
        if training and running_mean is not None and running_var is not None:
            with no_grad():
                _move(running_mean, mean.detach(), momentum)
                _move(running_var, x.detach().var(over, correction=1), momentum)
    else:
        mean, var = running_mean, running_var
    centred = (x[n, c, *p] - mean[c]).order(n, c, *p)
    inverse = (var[c] + eps).rsqrt()
    scale = (inverse if weight is None else inverse * weight[c]).order(c)
    y = (centred[n, c, *p] * scale[c]).order(n, c, *p)
    return y if bias is None else (y[n, c, *p] + bias[c]).order(n, c, *p)


def _move(running: Tensor, batch: Tensor, momentum: float | Tensor) -> None:
    """running ← running + momentum · (batch − running), in place."""
    wait(running.add_((batch - running) * momentum))


@named
def layer_norm(
    x: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """y[…,k] = (x[…,k] − μ[…]) / √(σ²[…] + eps) · weight[k] + bias[k], k the last axes together

    normalized_shape: the sizes of those axes, over which μ and σ² (divided by the count) go.
    weight, bias: of that shape. Source: Ba, Kiros & Hinton, "Layer normalization", 2016, eq. 4;
    eps is PyTorch's.
    Raises ShapeError when x does not end in these axes.

    >>> layer_norm(gu.tensor([[1.0, 3.0]]), (2,), eps=0.0).tolist()
    [[-1.0, 1.0]]
    """
    sizes = tuple(normalized_shape)
    x, weight, bias = full(x), full(weight), full(bias)
    if not sizes or tuple(x.shape[-len(sizes) :]) != sizes:
        raise ShapeError(
            f"layer_norm: an input that ends in axes of {sizes} is expected"
            + shapes_at_line(input=x.shape)
        )
    for role, t in (("weight", weight), ("bias", bias)):
        if t is not None and tuple(t.shape) != sizes:
            raise ShapeError(
                f"layer_norm: the {role} has one number for each place that is normalised, {sizes}"
                + shapes_at_line(input=x.shape, **{role: t.shape})
            )
        if t is not None:
            one_type("layer_norm", input=x, **{role: t})
    if x.ndim == len(sizes):
        return layer_norm(x.unsqueeze(0), sizes, weight, bias, eps).squeeze(0)
    at = axes(x.ndim)
    n, k = at[: -len(sizes)], at[-len(sizes) :]
    mean = x[*at].mean(*k).order(*n)
    centred = (x[*at] - mean[*n]).order(*at)
    var = centred[*at].square().mean(*k).order(*n)
    scale = (var[*n] + eps).rsqrt().order(*n)
    y = (centred[*at] * scale[*n]).order(*at)
    y = y if weight is None else (y[*at] * weight[*k]).order(*at)
    return y if bias is None else (y[*at] + bias[*k]).order(*at)


@named
def group_norm(
    x: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """y[n,c,…] = (x[n,c,…] − μ[n,g]) / √(σ²[n,g] + eps) · weight[c] + bias[c], g the group of c

    x: (n, c, …), its channels in `num_groups` runs of equal length; μ and σ² go over a run and all
    further axes. One group: layer norm of an image; c groups: instance norm.
    Source: Wu & He, "Group normalization", 2018, eq. 7.
    Raises ShapeError when the groups do not divide the channels.

    >>> group_norm(gu.ones(2, 6, 4, 4), 3).shape
    (2, 6, 4, 4)
    """
    x, weight, bias = full(x), full(weight), full(bias)
    if x.ndim < 2 or num_groups < 1 or x.shape[1] % num_groups:
        raise ShapeError(
            f"group_norm: expected an input (n, c, …) whose c is a multiple of {num_groups} groups"
            + shapes_at_line(input=x.shape)
        )
    channels = int(x.shape[1])
    for role, t in (("weight", weight), ("bias", bias)):
        if t is not None and tuple(t.shape) != (channels,):
            raise ShapeError(
                f"group_norm: the {role} has one number for each of {channels} channels"
                + shapes_at_line(input=x.shape, **{role: t.shape})
            )
        if t is not None:
            one_type("group_norm", input=x, **{role: t})
    grouped = x.reshape(x.shape[0], num_groups, channels // num_groups, *x.shape[2:])
    n, g, *rest = axes(grouped.ndim)
    mean = grouped[n, g, *rest].mean(*rest).order(n, g)
    centred = (grouped[n, g, *rest] - mean[n, g]).order(n, g, *rest)
    var = centred[n, g, *rest].square().mean(*rest).order(n, g)
    scale = (var[n, g] + eps).rsqrt().order(n, g)
    y = (centred[n, g, *rest] * scale[n, g]).order(n, g, *rest).reshape(x.shape)
    n, c, *p = axes(x.ndim)
    y = y if weight is None else (y[n, c, *p] * weight[c]).order(n, c, *p)
    return y if bias is None else (y[n, c, *p] + bias[c]).order(n, c, *p)


@named
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

    The running statistics move by the mean over images of theirs; with use_input_stats=False they
    are used instead. Source: Ulyanov et al. 2016. Raises ShapeError for images of one element.

    >>> instance_norm(gu.tensor([[[1.0, 3.0]]]), eps=0.0).tolist()
    [[[-1.0, 1.0]]]
    """
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
    n, c, *p = axes(x.ndim)
    mean = x[n, c, *p].mean(*p).order(n, c)
    centred = (x[n, c, *p] - mean[n, c]).order(n, c, *p)
    var = centred[n, c, *p].square().mean(*p).order(n, c)
    if running_mean is not None and running_var is not None:
        with no_grad():
            _move(running_mean, mean.detach().mean(0), momentum)
            _move(running_var, var.detach().mean(0) * (count / (count - 1)), momentum)
    scale = (var[n, c] + eps).rsqrt().order(n, c)
    y = (centred[n, c, *p] * scale[n, c]).order(n, c, *p)
    y = y if weight is None else (y[n, c, *p] * weight[c]).order(n, c, *p)
    return y if bias is None else (y[n, c, *p] + bias[c]).order(n, c, *p)


@named
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
    if x.ndim == len(sizes):
        return rms_norm(x.unsqueeze(0), sizes, weight, eps).squeeze(0)
    at = axes(x.ndim)
    n, k = at[: -len(sizes)], at[-len(sizes) :]
    square = x[*at].square().mean(*k).order(*n)
    scale = (square[*n] + (x.dtype.eps if eps is None else eps)).rsqrt().order(*n)
    y = (x[*at] * scale[*n]).order(*at)
    return y if weight is None else (y[*at] * weight[*k]).order(*at)


@named
def local_response_norm(
    x: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """x[n,c,…] / (k + α/size · Σ over `size` neighbouring channels of x²)^β

    Source: Krizhevsky et al. 2012, section 3.3.

    >>> local_response_norm(gu.ones(1, 1, 1), 1, alpha=1.0, beta=1.0).item()
    0.5
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
