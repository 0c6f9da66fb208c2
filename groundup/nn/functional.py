"""The layers as functions, written as their equations in the axes notation.

Each is a few lines: the equation stands in the docstring, the same equation in code below it, and
the compiler sees nothing else (a convolution is a sum over a product of two reads, like a matmul).
Shapes are PyTorch's: images are (N, C, H, W). Must not know about modules or training loops.
"""

from __future__ import annotations

import math
from typing import Any

from groundup.tensor import (
    ShapeError,
    Tensor,
    axes,
    axis,
    no_grad,
    ones,
    outside,
    rand,
    tensor,
    where,
)
from groundup.tensor.autocast import full, lowered
from groundup.tensor.errors import at_line, lined_up
from groundup.tensor.indexing import check_range

from .waiting import wait

Pair = int | tuple[int, int]


def pair(value: Pair, name: str, least: int = 1) -> tuple[int, int]:
    """(vertical, horizontal) of an argument that may be one number for both."""
    both = (value, value) if isinstance(value, int) else tuple(value)
    if len(both) != 2 or not all(isinstance(v, int) and v >= least for v in both):
        raise ValueError(f"{name} is an int or a pair of ints, each at least {least}, not {value}")
    return both[0], both[1]


def shapes_at_line(**shapes: Any) -> str:
    """Shapes under one another and the user's line, as the end of an error."""
    return lined_up(**shapes) + at_line()


def _one_type(name: str, **operands: Any) -> None:
    """Raise TypeError unless the operands are tensors of one dtype: nothing is promoted silently
    where a whole layer would be computed in another precision."""
    for role, t in operands.items():
        if not isinstance(t, Tensor):
            raise TypeError(f"{name}: {role} is a tensor, not {type(t).__name__}" + at_line())
    dtypes = {role: t.dtype.name for role, t in operands.items()}
    if len(set(dtypes.values())) > 1:
        given = ", ".join(f"{role} {dtype}" for role, dtype in dtypes.items())
        raise TypeError(
            f"{name}: one dtype is expected, not {given}; convert the input (x.to(weight.dtype), "
            f"x.float()) or the layer (layer.to(dtype))" + at_line()
        )


# ---- products ------------------------------------------------------------------------------------


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y[…, o] = Σ_k x[…, k] · w[o, k] + b[o]

    x: (…, k); weight: (o, k); bias: (o,). Raises ShapeError when the k or the o differ.

    >>> linear(gu.ones(4, 3), gu.ones(2, 3)).shape
    (4, 2)
    """
    x, weight = lowered(x), lowered(weight)
    _one_type("linear", input=x, weight=weight)
    if x.ndim < 1 or weight.ndim != 2 or x.shape[-1] != weight.shape[1]:
        raise ShapeError(
            "linear: the last axis of the input must be as long as that of the weight"
            + shapes_at_line(input=x.shape, weight=weight.shape)
        )
    if bias is not None and tuple(bias.shape) != (weight.shape[0],):
        raise ShapeError(
            "linear: the bias needs one number for each row of the weight"
            + shapes_at_line(weight=weight.shape, bias=bias.shape)
        )
    *lead, o, k = axes(x.ndim + 1)
    y: Tensor = (x[*lead, k] * weight[o, k]).sum(k).order(*lead, o)
    return y if bias is None else y + lowered(bias)


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Tensor:
    """y[n,o,p,q] = Σ_{c,u,v} x[n, c, s·p + d·u − pad, s·q + d·v − pad] · w[o,c,u,v] + b[o]

    x: (n, c, h, w), 0 beyond its edges; weight: (o, c / groups, u, v); bias: (o,). With groups,
    each run of o / groups outputs sees only its own run of c / groups inputs.
    Raises ShapeError when the channels do not fit or the kernel is larger than the padded image.

    >>> conv2d(gu.ones(1, 3, 8, 8), gu.ones(5, 3, 3, 3), stride=2, padding=1).shape
    (1, 5, 4, 4)
    """
    sh, sw = pair(stride, "stride")
    ph, pw = pair(padding, "padding", 0)
    dh, dw = pair(dilation, "dilation")
    x, weight = lowered(x), lowered(weight)
    _check_conv(x, weight, bias, groups)
    kernel = (int(weight.shape[2]), int(weight.shape[3]))
    height, width = _window_sizes("conv2d", x, kernel, (sh, sw), (ph, pw), (dh, dw))
    p, q = axis("p", height), axis("q", width)
    n, g, o, c, u, v = axes("n g o c u v")
    if groups == 1:
        padded = outside(x, 0.0) if ph or pw else x
        window = padded[n, c, sh * p + dh * u - ph, sw * q + dw * v - pw]
        y: Tensor = (window * weight[o, c, u, v]).sum(c, u, v).order(n, o, p, q)
    else:
        grouped = x.reshape(x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])
        kernels = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
        padded = outside(grouped, 0.0) if ph or pw else grouped
        window = padded[n, g, c, sh * p + dh * u - ph, sw * q + dw * v - pw]
        y = (window * kernels[g, o, c, u, v]).sum(c, u, v).order(n, g, o, p, q)
        y = y.reshape(x.shape[0], weight.shape[0], height, width)
    return y if bias is None else y + lowered(bias).reshape(-1, 1, 1)


def _check_conv(x: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> None:
    _one_type("conv2d", input=x, weight=weight)
    problem = None
    if x.ndim != 4 or weight.ndim != 4:
        problem = "expected (n, c, h, w) and (o, c, kh, kw)"
    elif groups < 1 or x.shape[1] % groups or weight.shape[0] % groups:
        problem = f"{groups} groups must divide both channel counts"
    elif x.shape[1] // groups != weight.shape[1]:
        problem = (
            f"the weight expects {weight.shape[1] * groups} channels"
            f" ({weight.shape[1]} for each of {groups} groups), the input has {x.shape[1]}"
        )
    if problem is not None:
        shapes = shapes_at_line(input=x.shape, weight=weight.shape)
        raise ShapeError(f"conv2d: {problem}{shapes}")
    if bias is not None and tuple(bias.shape) != (weight.shape[0],):
        raise ShapeError(
            "conv2d: the bias needs one number for each output channel"
            + shapes_at_line(weight=weight.shape, bias=bias.shape)
        )


def _window_sizes(
    name: str,
    x: Tensor,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> tuple[int, int]:
    """How many windows fit: ⌊(h + 2·pad − d·(k − 1) − 1) / s⌋ + 1, down and across."""
    sizes = [0, 0]
    for i in range(2):
        free = int(x.shape[2 + i]) + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1
        if free < 0:
            raise ShapeError(
                f"{name}: a kernel of {kernel} (dilation {dilation}) is larger than the image"
                f" with its padding of {padding}" + shapes_at_line(input=x.shape)
            )
        sizes[i] = free // stride[i] + 1
    return sizes[0], sizes[1]


# ---- pooling -------------------------------------------------------------------------------------


def _pool(
    name: str,
    x: Tensor,
    kernel: Pair,
    stride: Pair | None,
    padding: Pair,
    dilation: Pair,
    fill: float,
) -> tuple[Any, tuple[Any, ...], tuple[Any, ...]]:
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
    height, width = _window_sizes(name, x, (kh, kw), (sh, sw), (ph, pw), (dh, dw))
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
    y: Tensor = window.max(*inner).order(*outer)
    return y


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
    total: Tensor = window.sum(*inner).order(*outer)
    if count_include_pad:
        height, width = pair(kernel_size, "kernel_size")
        return total * (1.0 / (height * width))
    window, outer, inner = _pool("avg_pool2d", ones(1, 1, *x.shape[2:], dtype=x.dtype), *args)
    share: Tensor = window.sum(*inner).order(*outer)
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
    rows_: Any = where(down[p, i], x[n, c, i, j], 0.0)
    y = (rows_.sum(i) / tall[p]).order(n, c, p, j)
    columns_: Any = where(across[q, j], y[n, c, p, j], 0.0)
    z: Tensor = (columns_.sum(j) / wide[q]).order(n, c, p, q)
    return z


def _adaptive_windows(size: int, parts: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """(whether position i is in window p, as (p, i); how many positions window p has, as (p,))."""
    bounds = [(p * size // parts, -((p + 1) * size // -parts)) for p in range(parts)]
    member = [[start <= i < end for i in range(size)] for start, end in bounds]
    lengths = [float(end - start) for start, end in bounds]
    return tensor(member), tensor(lengths, dtype=like.dtype)


# ---- pointwise -----------------------------------------------------------------------------------


def relu(x: Tensor) -> Tensor:
    """max(x, 0); its derivative at 0 is 0."""
    return x.relu()


def leaky_relu(x: Tensor, negative_slope: float = 0.01) -> Tensor:
    """x where x > 0, else negative_slope · x (Maas et al. 2013, whose slope 0.01 is)."""
    return where(x > 0, x, x * negative_slope)


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


def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """x · Φ(x) = x · ½(1 + erf(x / √2)) (Hendrycks & Gimpel 2016).

    approximate: 'tanh' takes the paper's ½x(1 + tanh(√(2/π)(x + 0.044715·x³))).
    """
    if approximate == "none":
        return 0.5 * x * (1.0 + (x * math.sqrt(0.5)).erf())
    if approximate == "tanh":
        inner = math.sqrt(2.0 / math.pi) * (x + 0.044715 * (x * x * x))
        return 0.5 * x * (1.0 + inner.tanh())
    raise ValueError(f"approximate is 'none' or 'tanh', not {approximate!r}")


def dropout(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """x · m / (1 − p), m[…] = 1 with probability 1 − p, else 0.

    The division keeps the expectation, so evaluation (training=False) is the identity.
    Source: Srivastava et al. 2014, section 10.
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout: the probability p must be between 0 and 1, not {p}")
    if not training or p == 0.0:
        return x
    if p == 1.0:
        return x * 0.0
    keep = rand(x.shape, dtype=x.dtype) >= p
    return where(keep, x * (1.0 / (1.0 - p)), 0.0)


def softmax(x: Tensor, dim: int = -1) -> Tensor:
    """s[…,k] = exp(x[…,k] − m[…]) / Σ_k exp(x[…,k] − m[…]), m the maximum over k = axis `dim`."""
    x = full(x)
    shifted = (x - x.detach().amax(dim, keepdim=True)).exp()
    return shifted / shifted.sum(dim, keepdim=True)


def log_softmax(x: Tensor, dim: int = -1) -> Tensor:
    """l[…,k] = x[…,k] − m[…] − log Σ_k exp(x[…,k] − m[…]), m the maximum over k = axis `dim`."""
    x = full(x)
    shifted = x - x.detach().amax(dim, keepdim=True)
    return shifted - shifted.exp().sum(dim, keepdim=True).log()


# ---- normalisation -------------------------------------------------------------------------------


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
    x = full(x)
    if x.ndim < 2:
        raise ShapeError("batch_norm: expected an input (n, c, …)" + shapes_at_line(input=x.shape))
    over = (0, *range(2, x.ndim))
    per_channel = (-1, *(1 for _ in x.shape[2:]))  # lines (c,) up with (n, c, …)
    if training or running_mean is None or running_var is None:
        count = math.prod(x.shape) // max(1, int(x.shape[1]))
        if training and count <= 1:
            raise ShapeError(
                "batch_norm: training needs more than 1 value for each channel"
                " (a batch of one has no variance)" + shapes_at_line(input=x.shape)
            )
        mean = x.mean(over)
        centred = x - mean.reshape(per_channel)
        var = x.var(over, correction=0)
        if training and running_mean is not None and running_var is not None:
            with no_grad():
                _move(running_mean, mean.detach(), momentum)
                _move(running_var, x.detach().var(over, correction=1), momentum)
    else:
        mean, var = running_mean, running_var
        centred = x - mean.reshape(per_channel)
    scale = (var + eps).rsqrt()
    if weight is not None:
        scale = scale * weight
    y = centred * scale.reshape(per_channel)
    return y if bias is None else y + bias.reshape(per_channel)


def _move(running: Tensor, batch: Tensor, momentum: float | Tensor) -> None:
    """running ← running + momentum · (batch − running), in place."""
    wait(running.add_((batch - running) * momentum))


# ---- losses --------------------------------------------------------------------------------------


def _reduced(losses: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return losses
    if reduction == "mean":
        return wait(losses.mean())
    if reduction == "sum":
        return wait(losses.sum())
    raise ValueError(f"reduction is 'mean', 'sum' or 'none', not {reduction!r}")


def mse_loss(x: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """mean (or sum, or each) of (x − target)²

    Raises ShapeError when the shapes differ: broadcasting (n, 1) against (n,) would silently make
    an (n, n) table of differences.
    """
    if tuple(x.shape) != tuple(target.shape):
        raise ShapeError(
            "mse_loss: input and target need the same shape"
            + shapes_at_line(input=x.shape, target=target.shape)
        )
    difference = full(x) - full(target)
    return _reduced(difference * difference, reduction)


def l1_loss(x: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """mean (or sum, or each) of |x − target|; raises ShapeError when the shapes differ."""
    if tuple(x.shape) != tuple(target.shape):
        raise ShapeError(
            "l1_loss: input and target need the same shape"
            + shapes_at_line(input=x.shape, target=target.shape)
        )
    return _reduced((full(x) - full(target)).abs(), reduction)


def _check_classes(name: str, x: Tensor, target: Tensor) -> None:
    if x.ndim < 1 or ((*x.shape[:1], *x.shape[2:]) != tuple(target.shape) and x.ndim > 1):
        raise ShapeError(
            f"{name}: expected an input (n, classes, …) and one class index for each target (n, …)"
            + shapes_at_line(input=x.shape, target=target.shape)
        )
    if not target.dtype.is_int:
        raise TypeError(
            f"{name}: targets are class indices of an integer dtype, not {target.dtype.name};"
            " for probabilities write -(target * log_softmax(x, 1)).sum(1).mean()"
        )


def _known_labels(target: Tensor, classes: int) -> bool:
    """Whether labels can be looked at now; raises IndexError for one that is no class."""
    least = check_range(target, classes, f"labels of {classes} classes")
    if least is not None and least < 0:
        raise IndexError(
            f"the label {least} is none of the {classes} classes 0 to {classes - 1}" + at_line()
        )
    return least is not None


def nll_loss(log_probs: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """ℓ[n,…] = −log_probs[n, target[n,…], …]; their mean, sum, or each.

    log_probs: (n, classes, …) or (classes,); target: (n, …) integers or a 0-d one.
    Raises IndexError for a target that is no class: at once if the targets are in memory, else
    when the loss is computed.
    """
    _check_classes("nll_loss", log_probs, target)
    log_probs = full(log_probs)
    if not target.ndim:
        return _reduced(nll_loss(log_probs[None], target[None], "none")[0], reduction)
    n, *rest = axes(target.ndim)
    label, classes = target[n, *rest], int(log_probs.shape[1])
    if not _known_labels(target, classes):
        # A negative label would count from the back: send it beyond the end, which is an error.
        label = where(label < 0, classes, label)
    return _reduced(-log_probs[n, label, *rest].order(n, *rest), reduction)


def cross_entropy(
    x: Tensor, target: Tensor, reduction: str = "mean", label_smoothing: float = 0.0
) -> Tensor:
    """ℓ[n,…] = −(1 − ε) · log p[n, target[n,…], …] − ε/C · Σ_c log p[n,c,…], p = softmax over c

    x: (n, C, …) scores or (C,); target: (n, …) class indices of an integer dtype.
    label_smoothing: ε, the share of the target spread over all classes (Szegedy et al. 2016,
    section 7).
    Raises IndexError for a target that is no class: at once if the targets are in memory, else
    when the loss is computed.

    >>> round(cross_entropy(gu.zeros(2, 10), gu.tensor([3, 7])).item(), 4)
    2.3026
    """
    _check_classes("cross_entropy", x, target)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"label_smoothing must be between 0 and 1, not {label_smoothing}")
    classes = 1 if x.ndim > 1 else 0
    log_probs = log_softmax(x, classes)
    losses = nll_loss(log_probs, target, "none")
    if label_smoothing:
        even = -log_probs.mean(classes)
        losses = losses * (1.0 - label_smoothing) + even * label_smoothing
    return _reduced(losses, reduction)


def binary_cross_entropy_with_logits(x: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """max(x, 0) − x·target + log(1 + exp(−|x|)), the logistic loss without overflow."""
    if tuple(x.shape) != tuple(target.shape):
        raise ShapeError(
            "binary_cross_entropy_with_logits: input and target need the same shape"
            + shapes_at_line(input=x.shape, target=target.shape)
        )
    x, target = full(x), full(target)
    losses = x.relu() - x * target + ((-x.abs()).exp() + 1.0).log()
    return _reduced(losses, reduction)
