"""Convolutions over one, two and three axes and their adjoints, the transposed convolutions.

Both are one expression in the axes notation: a sum over a product of two reads, like a matmul.
Shapes are PyTorch's: (N, C, L), (N, C, H, W), (N, C, D, H, W). Must not know about modules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from groundup.tensor import (
    ShapeError,
    Tensor,
    axes,
    axis,
    derivatives,
    enable_grad,
    is_grad_enabled,
    outside,
    zeros,
)
from groundup.tensor.autocast import lowered
from groundup.tensor.complex.parts import complex as complex_
from groundup.tensor.errors import at_line
from groundup.tensor.misuse import named

from .checks import Pair, Several, Single, Triple, one_type, several, shapes_at_line

_IMAGE = {1: "n, c, l", 2: "n, c, h, w", 3: "n, c, d, h, w"}
_KERNEL = {1: "k", 2: "kh, kw", 3: "kd, kh, kw"}


@named
def conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Single = 1,
    padding: Single | str = 0,
    dilation: Single = 1,
    groups: int = 1,
) -> Tensor:
    """y[n,o,p] = Σ_{c,u} x[n, c, s·p + d·u − pad] · w[o,c,u] + b[o]

    x: (n, c, l) or (c, l); weight: (o, c / groups, u). Arguments and errors as for conv2d.

    >>> conv1d(gu.tensor([[[1.0, 2.0, 4.0]]]), gu.ones(1, 1, 2)).tolist()
    [[[3.0, 6.0]]]
    """
    return _convolution("conv1d", 1, x, weight, bias, stride, padding, dilation, groups)


@named
def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Tensor:
    """y[n,o,p,q] = Σ_{c,u,v} x[n, c, s·p + d·u − pad, s·q + d·v − pad] · w[o,c,u,v] + b[o]

    x: (n, c, h, w) or (c, h, w), 0 beyond its edges; weight: (o, c / groups, u, v); bias: (o,).
    padding: how far the edges are away, a number or one for each axis; 'valid' is 0; 'same' keeps
    the image's size (d·(k − 1) in all, an odd one at the end; stride 1 only).
    groups: each run of o / groups outputs sees only its own run of c / groups inputs.
    Raises ShapeError when the channels do not fit or the kernel is larger than the padded image,
    TypeError for two dtypes, ValueError for a stride, padding or dilation that cannot be.

    >>> conv2d(gu.ones(1, 3, 8, 8), gu.ones(5, 3, 3, 3), stride=2, padding=1).shape
    (1, 5, 4, 4)
    """
    return _convolution("conv2d", 2, x, weight, bias, stride, padding, dilation, groups)


@named
def conv3d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Triple = 1,
    padding: Triple | str = 0,
    dilation: Triple = 1,
    groups: int = 1,
) -> Tensor:
    """y[n,o,p,q,r] = Σ_{c,u,v,w} x[n, c, s·p + d·u − pad, …, …] · w[o,c,u,v,w] + b[o]

    x: (n, c, d, h, w) or (c, d, h, w); weight: (o, c / groups, u, v, w). Arguments and errors as
    for conv2d.

    >>> conv3d(gu.ones(1, 2, 4, 4, 4), gu.ones(3, 2, 2, 2, 2)).shape
    (1, 3, 3, 3, 3)
    """
    return _convolution("conv3d", 3, x, weight, bias, stride, padding, dilation, groups)


@named
def conv_transpose1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Single = 1,
    padding: Single = 0,
    output_padding: Single = 0,
    groups: int = 1,
    dilation: Single = 1,
) -> Tensor:
    """y[n,o,t] = Σ x[n,c,p] · w[c,o,u] + b[o] over c and all p, u with s·p + d·u − pad = t

    x: (n, c, l) or (c, l); weight: (c, o / groups, u). Arguments and errors as for
    conv_transpose2d.

    >>> conv_transpose1d(gu.tensor([[[1.0, 2.0]]]), gu.ones(1, 1, 2), stride=2).tolist()
    [[[1.0, 1.0, 2.0, 2.0]]]
    """
    options = (stride, padding, output_padding, groups, dilation)
    return _transposed("conv_transpose1d", 1, x, weight, bias, *options)


@named
def conv_transpose2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair = 0,
    output_padding: Pair = 0,
    groups: int = 1,
    dilation: Pair = 1,
) -> Tensor:
    """y[n,o,t,…] = Σ x[n,c,p,…] · w[c,o,u,…] + b[o] over c and all p, u with s·p + d·u − pad = t

    The adjoint of conv2d: what a gradient by the image of that convolution is, whose outputs have
    x's shape. Each axis of y has (h − 1)·s − 2·pad + d·(k − 1) + output_padding + 1 elements.
    x: (n, c, h, w) or (c, h, w); weight: (c, o / groups, u, v); bias: (o,).
    padding: as of the convolution, so it takes edges away.
    output_padding: which of the sizes that the convolution maps to x's is meant, as a number of
    elements at the end; less than the stride or the dilation.
    Source: Dumoulin & Visin, "A guide to convolution arithmetic for deep learning", 2016, ch. 4.
    Raises ShapeError when the channels do not fit or nothing would be left, TypeError for two
    dtypes, ValueError for a stride, padding or dilation that cannot be.

    >>> conv_transpose2d(gu.ones(1, 3, 4, 4), gu.ones(3, 5, 3, 3), stride=2, padding=1).shape
    (1, 5, 7, 7)
    """
    options = (stride, padding, output_padding, groups, dilation)
    return _transposed("conv_transpose2d", 2, x, weight, bias, *options)


@named
def conv_transpose3d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Triple = 1,
    padding: Triple = 0,
    output_padding: Triple = 0,
    groups: int = 1,
    dilation: Triple = 1,
) -> Tensor:
    """y[n,o,t,…] = Σ x[n,c,p,…] · w[c,o,u,…] + b[o] over c and all p, u with s·p + d·u − pad = t

    x: (n, c, d, h, w) or (c, d, h, w); weight: (c, o / groups, u, v, w). Arguments and errors as
    for conv_transpose2d.

    >>> conv_transpose3d(gu.ones(1, 2, 3, 3, 3), gu.ones(2, 1, 2, 2, 2)).shape
    (1, 1, 4, 4, 4)
    """
    options = (stride, padding, output_padding, groups, dilation)
    return _transposed("conv_transpose3d", 3, x, weight, bias, *options)


# ---- the equation --------------------------------------------------------------------------------


def _windows(
    x: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    sizes: Sequence[int],
    padded: bool,
) -> Tensor:
    """y[n,o,p…] = Σ_{c,u…} x[n, c, s·p + d·u − pad, …] · w[o,c,u…], with p < sizes.

    padded: whether a window may lie beyond x's edges.
    """
    dims = len(sizes)
    n, g, o, c = axes("n g o c")
    p = [axis(name, size) for name, size in zip("pqr", sizes, strict=False)]
    u = axes("u v w")[:dims]
    at = [s * p + d * u - pad for s, p, d, u, pad in zip(stride, p, dilation, u, padding)]
    if groups == 1:
        image = outside(x, 0.0) if padded else x
        return (image[n, c, *at] * weight[o, c, *u]).sum(c, *u).order(n, o, *p)
    grouped = x.reshape(x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])
    kernels = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
    image = outside(grouped, 0.0) if padded else grouped
    y = (image[n, g, c, *at] * kernels[g, o, c, *u]).sum(c, *u).order(n, g, o, *p)
    return y.reshape(x.shape[0], weight.shape[0], *sizes)


def _convolution(
    name: str,
    dims: int,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Several,
    padding: Several | str,
    dilation: Several,
    groups: int,
) -> Tensor:
    stride, dilation = several(stride, "stride", dims), several(dilation, "dilation", dims)
    x, weight, bias = lowered(x), lowered(weight), lowered(bias)
    _check(name, dims, x, weight, bias, groups, transposed=False)
    if x.ndim == dims + 1:
        args = (stride, padding, dilation, groups)
        return _convolution(name, dims, x.unsqueeze(0), weight, bias, *args).squeeze(0)
    kernel = tuple(int(k) for k in weight.shape[2:])
    before, after = _edges(name, padding, kernel, stride, dilation)
    sizes = window_sizes(name, x, kernel, stride, before, after, dilation)
    sums = (stride, before, dilation, groups, sizes, any((*before, *after)))
    y = _of_parts(lambda a, b: _windows(a, b, *sums), x, weight)
    return y if bias is None else y + bias.reshape(-1, *(1,) * dims)


def _transposed(
    name: str,
    dims: int,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Several,
    padding: Several,
    output_padding: Several,
    groups: int,
    dilation: Several,
) -> Tensor:
    stride, dilation = several(stride, "stride", dims), several(dilation, "dilation", dims)
    padding = several(padding, "padding", dims, 0)
    extra = several(output_padding, "output_padding", dims, 0)
    x, weight, bias = lowered(x), lowered(weight), lowered(bias)
    _check(name, dims, x, weight, bias, groups, transposed=True)
    if x.ndim == dims + 1:
        args = (stride, padding, extra, groups, dilation)
        return _transposed(name, dims, x.unsqueeze(0), weight, bias, *args).squeeze(0)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise ValueError(
            f"{name}: an output padding of {extra} must be less than the stride {stride} or the"
            f" dilation {dilation}: what lies further is the image of the next input" + at_line()
        )
    inputs = tuple(int(h) for h in x.shape[2:])
    kernel = tuple(int(k) for k in weight.shape[2:])
    sizes = [
        (h - 1) * s - 2 * pad + d * (k - 1) + e + 1
        for h, s, pad, d, k, e in zip(inputs, stride, padding, dilation, kernel, extra)
    ]
    if min(sizes) < 1:
        raise ShapeError(
            f"{name}: a padding of {padding} leaves an output of {tuple(sizes)}"
            + shapes_at_line(input=x.shape, weight=weight.shape)
        )
    y = _of_parts(lambda a, b: _image_of(a, b, stride, padding, dilation, groups, sizes), x, weight)
    return y if bias is None else y + bias.reshape(-1, *(1,) * dims)


def _of_parts(
    product: Callable[[Tensor, Tensor], Tensor], x: Tensor, weight: Tensor
) -> Tensor:
    """A product that is linear in both operands; of complex ones, of their parts."""
    if not x.is_complex():
        return product(x, weight)
    (a, b), (c, d) = (x.real, x.imag), (weight.real, weight.imag)
    return complex_(product(a, c) - product(b, d), product(a, d) + product(b, c))


def _image_of(
    x: Tensor,
    weight: Tensor,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
    sizes: list[int],
) -> Tensor:
    """The image, of these sizes, whose windows x weighs."""
    # The convolution is linear in its image, so its derivative there does not depend on the image:
    # this one is only the place where the derivative is taken, and is never computed.
    with enable_grad():
        shape = (x.shape[0], weight.shape[1] * groups, *sizes)
        image = zeros(*shape, dtype=x.dtype).requires_grad_(True)
        inputs = tuple(int(h) for h in x.shape[2:])
        sums = (stride, padding, dilation, groups, inputs, any(padding))
        convolved = _windows(image, weight, *sums)
        found = derivatives(convolved, image, x, create_graph=is_grad_enabled())
    (y,) = found
    assert y is not None
    return y


# ---- checks --------------------------------------------------------------------------------------


def _check(
    name: str,
    dims: int,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    groups: int,
    transposed: bool,
) -> None:
    one_type(name, input=x, weight=weight)
    problem = None
    outputs, inputs = ("c", "o / groups") if transposed else ("o", "c / groups")
    if x.ndim not in (dims + 1, dims + 2) or weight.ndim != dims + 2:
        image, kernel = _IMAGE[dims], f"{outputs}, {inputs}, {_KERNEL[dims]}"
        problem = f"expected ({image}) or ({image[3:]}), and a weight ({kernel})"
    else:
        problem = _channels(int(x.shape[-dims - 1]), weight, groups, transposed)
    if problem is not None:
        fits = x.ndim > dims and weight.ndim == dims + 2
        marks = {"input": dims + 1, "weight": dims + (2 if transposed else 1)} if fits else {}
        shapes = shapes_at_line(marks, input=x.shape, weight=weight.shape)
        raise ShapeError(f"{name}: {problem}{shapes}")
    count = int(weight.shape[1]) * groups if transposed else int(weight.shape[0])
    if bias is not None and tuple(bias.shape) != (count,):
        raise ShapeError(
            f"{name}: the bias needs one number for each of {count} output channels"
            + shapes_at_line(weight=weight.shape, bias=bias.shape)
        )
    if bias is not None:
        one_type(name, input=x, bias=bias)


def _channels(channels: int, weight: Tensor, groups: int, transposed: bool) -> str | None:
    """What is wrong with the channels and groups, if anything is."""
    first, second = int(weight.shape[0]), int(weight.shape[1])
    if groups < 1 or channels % groups or first % groups:
        return f"{groups} groups must divide both channel counts"
    expected = first if transposed else second * groups
    if channels == expected:
        return None
    each = "" if transposed else f" ({second} for each of {groups} groups)"
    return f"the weight expects {expected} channels{each}, the input has {channels}"


def _edges(
    name: str,
    padding: Several | str,
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """How far the edges are away, (at the beginning, at the end) of each axis."""
    if not isinstance(padding, str):
        both = several(padding, "padding", len(kernel), 0)
        return both, both
    if padding == "valid":
        return (0,) * len(kernel), (0,) * len(kernel)
    if padding != "same":
        raise ValueError(
            f"{name}: padding is a number, one for each axis, 'valid' or 'same', not {padding!r}"
            + at_line()
        )
    if any(s != 1 for s in stride):
        raise ValueError(
            f"{name}: padding='same' keeps the image's size, which a stride of {tuple(stride)}"
            " cannot; give the padding as a number" + at_line()
        )
    total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)


def window_sizes(
    name: str,
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    before: Sequence[int],
    after: Sequence[int],
    dilation: Sequence[int],
) -> tuple[int, ...]:
    """How many windows fit along each axis: ⌊(h + before + after − d·(k − 1) − 1) / s⌋ + 1."""
    sizes = []
    for i, size in enumerate(x.shape[2:]):
        free = int(size) + before[i] + after[i] - dilation[i] * (kernel[i] - 1) - 1
        if free < 0 or kernel[i] < 1:
            raise ShapeError(
                f"{name}: a kernel of {tuple(kernel)} (dilation {tuple(dilation)})"
                + (" has no element" if min(kernel) < 1 else " is larger than the image")
                + f" with its padding of {tuple(before)}"
                + shapes_at_line(input=x.shape)
            )
        sizes.append(free // stride[i] + 1)
    return tuple(sizes)
