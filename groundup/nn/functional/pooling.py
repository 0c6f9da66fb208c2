"""Pooling: the greatest or the mean of each window of one, two or three axes, and back.

Shapes are PyTorch's: (N, C, L), (N, C, H, W), (N, C, D, H, W), or without N. Must not know about
modules or training loops.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from groundup.tensor import (
    Axis,
    Indexed,
    ShapeError,
    Tensor,
    arange,
    axes,
    axis,
    float64,
    outside,
    tensor,
    where,
    zeros,
)
from groundup.tensor.errors import at_line
from groundup.tensor.misuse import named
from groundup.tensor.sites import Argument, argument

from .checks import Pair, Several, Single, Triple, of_reals, several, shapes_at_line

_IMAGES = {1: "(n, c, l)", 2: "images (n, c, h, w)", 3: "(n, c, d, h, w)"}
Asked = int | Sequence[int | None] | None  # the sizes of an adaptive pool's result


class Window:
    """A pool's windows: their sizes and places, checked, for `dims` axes."""

    def __init__(
        self, name: str, dims: int, x: Tensor, kernel: Several, stride: Several | None,
        padding: Several, dilation: Several, ceil: bool,
    ) -> None:  # fmt: skip
        self.name, self.dims = name, dims
        of_reals(name, x)
        if x.ndim not in (dims + 1, dims + 2) or not (x.dtype.is_float or x.dtype.is_int):
            raise ShapeError(
                f"{name}: expected {_IMAGES[dims]} of numbers" + shapes_at_line(input=x.shape)
            )
        self.kernel = several(_one(kernel), "kernel_size", dims)
        given = None if isinstance(stride, list | tuple) and not stride else stride
        self.stride = self.kernel if given is None else several(_one(given), "stride", dims)
        self.padding = several(_one(padding), "padding", dims, 0)
        self.dilation = several(_one(dilation), "dilation", dims)
        if any(2 * p > k for p, k in zip(self.padding, self.kernel, strict=True)):
            raise ValueError(
                f"{name}: a padding of {self.padding} is more than half of the kernel "
                f"{self.kernel}: some windows would see nothing but padding" + at_line()
            )
        self.lengths = tuple(int(h) for h in x.shape[-dims:])
        if 0 in self.lengths or int(x.shape[-dims - 1]) == 0:
            raise ShapeError(
                f"{name}: there is nothing in the axes of the windows"
                + shapes_at_line(input=x.shape)
            )
        self.sizes = tuple(self._count(d, ceil, x) for d in range(dims))

    def _count(self, d: int, ceil: bool, x: Tensor) -> int:
        """How many windows fit along an axis; `ceil`: also one that begins inside but ends beyond,
        unless it begins in the padding at the end."""
        h, k, s = self.lengths[d], self.kernel[d], self.stride[d]
        p, e = self.padding[d], self.dilation[d]
        free = h + 2 * p - e * (k - 1) - 1
        if free < 0 and not (ceil and free + s - 1 >= 0):
            raise ShapeError(
                f"{self.name}: a kernel of {self.kernel} (dilation {self.dilation}) is larger than "
                f"the image with its padding of {self.padding}" + shapes_at_line(input=x.shape)
            )
        count = (free + s - 1 if ceil else free) // s + 1
        if ceil and (count - 1) * s >= h + p:
            count -= 1
        return count

    def beyond(self) -> bool:
        """May a window lie beyond the edges?"""
        return any(
            p > 0 or (n - 1) * s - p + e * (k - 1) >= h
            for p, n, s, e, k, h in zip(
                self.padding, self.sizes, self.stride, self.dilation, self.kernel, self.lengths
            )
        )

    def read(self, x: Tensor, fill: float) -> tuple[Indexed, tuple[Axis, ...], tuple[Axis, ...]]:
        """(x[n, c, s·p + d·u − pad, …], its axes (n, c, p, …), the window's (u, …))"""
        n, c = axes("n c")
        p = [axis(name, size) for name, size in zip("pqr", self.sizes)]
        u = [axis(name, size) for name, size in zip("uvw", self.kernel)]
        padded = outside(x, fill) if self.beyond() else x
        at = [s * i + e * j - pad for s, i, e, j, pad in zip(
            self.stride, p, self.dilation, u, self.padding)]  # fmt: skip
        return padded[n, c, *at], (n, c, *p), tuple(u)


def _one(value: Any) -> Any:
    """A sequence of one number is that number."""
    if isinstance(value, list | tuple):
        return value[0] if len(value) == 1 else tuple(value)
    return value


def _batched(x: Tensor, dims: int) -> tuple[Tensor, bool]:
    return (x.unsqueeze(0), True) if x.ndim == dims + 1 else (x, False)


# ---- the greatest --------------------------------------------------------------------------------


def _max_pool(
    name: str, dims: int, x: Tensor, kernel: Several, stride: Several | None, padding: Several,
    dilation: Several, ceil: bool, indices: bool,
) -> Any:  # fmt: skip
    w = Window(name, dims, x, kernel, stride, padding, dilation, ceil)
    x, alone = _batched(x, dims)
    least = -math.inf if x.dtype.is_float else x.dtype.min
    window, outer, inner = w.read(x, least)
    y = window.max(*inner).order(*outer)
    if not indices:
        return y.squeeze(0) if alone else y
    window, outer, inner = w.read(x.detach(), least)
    place = window.argmax(*inner).order(*outer)
    # From the place in the window to that in the image, both row-major.
    flat: Any = 0
    rest = place
    parts = []
    for k in reversed(w.kernel):
        parts.append(rest % k)
        rest = rest // k
    for d, part in enumerate(reversed(parts)):
        start = (arange(w.sizes[d]) * w.stride[d] - w.padding[d]).reshape(
            -1, *(1,) * (dims - 1 - d)
        )
        # Where all is −∞ the window's first place may be padding: the first inside is meant.
        first = -((start.clamp_max(0)) // w.dilation[d]) * w.dilation[d]
        at = (start + part * w.dilation[d]).maximum(start + first)
        flat = flat * w.lengths[d] + at
    return (y.squeeze(0), flat.squeeze(0)) if alone else (y, flat)


@named
def max_pool1d(
    x: Tensor, kernel_size: Single, stride: Single | None = None, padding: Single = 0,
    dilation: Single = 1, ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """y[n,c,p] = max_u x[n, c, s·p + d·u − pad]; arguments as for max_pool2d

    >>> max_pool1d(gu.arange(4.0).reshape(1, 1, 4), 2).tolist()
    [[[1.0, 3.0]]]
    """
    options = (kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    return _max_pool("max_pool1d", 1, x, *options)


@named
def max_pool2d(
    x: Tensor, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0,
    dilation: Pair = 1, ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """y[n,c,p,q] = max_{u,v} x[n, c, s·p + d·u − pad, s·q + d·v − pad]; −∞ beyond the edges.

    stride: the kernel's size unless given. ceil_mode: a last window may lie partly beyond the end.
    return_indices: also where each is, counted row-major in an image.

    >>> max_pool2d(gu.arange(16.0).reshape(1, 1, 4, 4), 2).tolist()
    [[[[5.0, 7.0], [13.0, 15.0]]]]
    """
    options = (kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    return _max_pool("max_pool2d", 2, x, *options)


@named
def max_pool3d(
    x: Tensor, kernel_size: Triple, stride: Triple | None = None, padding: Triple = 0,
    dilation: Triple = 1, ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The greatest of each window of three axes; arguments as for max_pool2d"""
    options = (kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    return _max_pool("max_pool3d", 3, x, *options)


def _max_unpool(
    name: str, dims: int, x: Tensor, indices: Tensor, kernel: Several, stride: Several | None,
    padding: Several, output_size: Sequence[int] | None,
) -> Tensor:  # fmt: skip
    if x.ndim not in (dims + 1, dims + 2) or tuple(x.shape) != tuple(indices.shape):
        raise ShapeError(
            f"{name}: {_IMAGES[dims]}, and an index for each element"
            + shapes_at_line(input=x.shape, indices=indices.shape)
        )
    if not indices.dtype.is_int:
        raise TypeError(f"{name}: indices are integers, not {indices.dtype.name}" + at_line())
    k = several(_one(kernel), "kernel_size", dims)
    given = None if isinstance(stride, list | tuple) and not stride else stride
    s = k if given is None else several(_one(given), "stride", dims)
    p = several(_one(padding), "padding", dims, 0)
    sizes = [(int(h) - 1) * b - 2 * c + a for h, a, b, c in zip(x.shape[-dims:], k, s, p)]
    if output_size is not None:
        asked = [int(v) for v in output_size][-dims:]
        if len(output_size) not in (dims, dims + 1, dims + 2) or any(
            abs(a - h) >= b for a, h, b in zip(asked, sizes, s)
        ):
            raise ValueError(
                f"{name}: an output of {tuple(output_size)} is not one that a pool of {k} with "
                f"stride {s} makes this input of (about {tuple(sizes)})" + at_line()
            )
        sizes = asked
    if min(sizes) < 1:
        raise ShapeError(f"{name}: an output of {tuple(sizes)} has no element" + at_line())
    lead = tuple(x.shape[:-dims])
    flat = zeros(*lead, math.prod(sizes), dtype=x.dtype)
    at, each = indices.reshape(*lead, -1), x.reshape(*lead, -1)
    by = Argument(name, f"{name}(x, indices, kernel_size)", "indices", "y")
    with argument(by):
        y = flat.scatter(-1, at, each.detach())
    # Windows overlap: several may name one place, with one value. As in PyTorch, each of them
    # takes the place's derivative: what is added is 0.
    with argument(by):
        y = y + flat.scatter_add(-1, at, each - each.detach())
    return y.reshape(*lead, *sizes)


@named
def max_unpool1d(
    x: Tensor, indices: Tensor, kernel_size: Single, stride: Single | None = None,
    padding: Single = 0, output_size: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """Each element at the place that max_pool1d(…, return_indices=True) took it from, else 0"""
    options = (indices, kernel_size, stride, padding, output_size)
    return _max_unpool("max_unpool1d", 1, x, *options)


@named
def max_unpool2d(
    x: Tensor, indices: Tensor, kernel_size: Pair, stride: Pair | None = None,
    padding: Pair = 0, output_size: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """Each element back at the place that max_pool2d(…, return_indices=True) took it from, else 0

    output_size: which of the sizes that the pool would make this input of is meant.

    >>> y, i = max_pool2d(gu.arange(4.0).reshape(1, 1, 2, 2), 2, return_indices=True)
    >>> max_unpool2d(y, i, 2).tolist()
    [[[[0.0, 0.0], [0.0, 3.0]]]]
    """
    options = (indices, kernel_size, stride, padding, output_size)
    return _max_unpool("max_unpool2d", 2, x, *options)


@named
def max_unpool3d(
    x: Tensor, indices: Tensor, kernel_size: Triple, stride: Triple | None = None,
    padding: Triple = 0, output_size: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """Each element at the place that max_pool3d(…, return_indices=True) took it from, else 0"""
    options = (indices, kernel_size, stride, padding, output_size)
    return _max_unpool("max_unpool3d", 3, x, *options)


# ---- the mean ------------------------------------------------------------------------------------


def _avg_pool(
    name: str, dims: int, x: Tensor, kernel: Several, stride: Several | None, padding: Several,
    ceil: bool, include: bool, divisor: int | None,
) -> Tensor:  # fmt: skip
    w = Window(name, dims, x, kernel, stride, padding, 1, ceil)
    if divisor == 0:
        raise ValueError(f"{name}: divisor_override is not 0" + at_line())
    if not x.dtype.is_float:
        raise TypeError(f"{name} needs a floating type, not {x.dtype.name}" + at_line())
    x, alone = _batched(x, dims)
    window, outer, inner = w.read(x, 0.0)
    total = window.sum(*inner).order(*outer)
    shares = [_shares(w, d, include) for d in range(dims)]
    if divisor is not None:
        y = total / divisor
    elif all(set(s) == {k} for s, k in zip(shares, w.kernel)):
        y = total * (1.0 / math.prod(w.kernel))
    else:
        area: Any = 1
        for d, s in enumerate(shares):
            own = tensor([float(v) for v in s], dtype=float64)
            area = area * own.reshape(-1, *(1,) * (dims - 1 - d))
        y = total / area.to(x.dtype)
    return y.squeeze(0) if alone else y


def _shares(w: Window, d: int, include: bool) -> list[int]:
    """How many positions along an axis count for each window: those of its padding too, or only
    those of the image."""
    h, p = w.lengths[d], w.padding[d]
    found = []
    for i in range(w.sizes[d]):
        start = i * w.stride[d] - p
        end = min(start + w.kernel[d], h + p)
        found.append(end - start if include else min(end, h) - max(start, 0))
    return found


@named
def avg_pool1d(
    x: Tensor, kernel_size: Single, stride: Single | None = None, padding: Single = 0,
    ceil_mode: bool = False, count_include_pad: bool = True,
) -> Tensor:  # fmt: skip
    """y[n,c,p] = 1/k · Σ_u x[n, c, s·p + u − pad]; arguments as for avg_pool2d"""
    options = (kernel_size, stride, padding, ceil_mode, count_include_pad, None)
    return _avg_pool("avg_pool1d", 1, x, *options)


@named
def avg_pool2d(
    x: Tensor, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0,
    ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """y[n,c,p,q] = 1/(k_h·k_w) · Σ_{u,v} x[n, c, s·p + u − pad, s·q + v − pad]; 0 beyond the edges.

    stride: the kernel's size unless given. ceil_mode: a last window may lie partly beyond the end.
    count_include_pad: divide by the kernel's area; False: by the part of it inside the image.
    divisor_override: divide by this instead.

    >>> avg_pool2d(gu.arange(16.0).reshape(1, 1, 4, 4), 2).tolist()
    [[[[2.5, 4.5], [10.5, 12.5]]]]
    """
    options = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return _avg_pool("avg_pool2d", 2, x, *options)


@named
def avg_pool3d(
    x: Tensor, kernel_size: Triple, stride: Triple | None = None, padding: Triple = 0,
    ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """The mean of each window of three axes; arguments as for avg_pool2d"""
    options = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return _avg_pool("avg_pool3d", 3, x, *options)


# ---- to a size that is asked for -----------------------------------------------------------------


def _parts(name: str, dims: int, x: Tensor, asked: Asked) -> tuple[int, ...]:
    if x.ndim not in (dims + 1, dims + 2):
        raise ShapeError(f"{name}: expected {_IMAGES[dims]}" + shapes_at_line(input=x.shape))
    each = [asked] * dims if asked is None or isinstance(asked, int) else list(asked)
    if len(each) == 1 < dims or len(each) != dims:
        raise ShapeError(
            f"{name}: output_size is a number, or one for each of {dims} axes, not {asked!r}"
            + shapes_at_line(input=x.shape)
        )
    lengths = [int(h) for h in x.shape[-dims:]]
    sizes = tuple(h if p is None else p for h, p in zip(lengths, each, strict=True))
    if any(not isinstance(p, int) or p < 0 for p in sizes) or 0 in tuple(x.shape[1:]):
        raise ShapeError(
            f"{name}: sizes are 0 or more, and there is something to choose from: {sizes}"
            + shapes_at_line(input=x.shape)
        )
    return sizes


def _adaptive_avg(name: str, dims: int, x: Tensor, asked: Asked) -> Tensor:
    of_reals(name, x)
    parts = _parts(name, dims, x, asked)
    x, alone = _batched(x, dims)
    lengths = [int(h) for h in x.shape[2:]]
    if 0 in parts:
        y = zeros(*x.shape[:2], *parts, dtype=x.dtype)
    elif not any(h % p for h, p in zip(lengths, parts, strict=True)):
        kernel = tuple(h // p for h, p in zip(lengths, parts, strict=True))
        y = _avg_pool(name, dims, x, kernel, None, 0, False, True, None)
    else:
        y = x
        # One step an axis: an element enters the sum of every window that holds it.
        for d, (h, count) in enumerate(zip(lengths, parts, strict=True), 2):
            at = axes(y.ndim)
            i, (p,) = at[d], axes("p")
            member, length = _adaptive_windows(h, count, x)
            inside = where(member[p, i], y[*at], 0.0).sum(i) / length[p]
            y = inside.order(*at[:d], p, *at[d + 1 :])
    return y.squeeze(0) if alone else y


def _adaptive_windows(size: int, parts: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """(whether position i is in window p, as (p, i); how many positions window p has, as (p,))."""
    if parts > 1 << 20:
        raise MemoryError(f"adaptive pooling: {parts} windows are more than can be held")
    bounds = [(p * size // parts, -((p + 1) * size // -parts)) for p in range(parts)]
    member = [[start <= i < end for i in range(size)] for start, end in bounds]
    lengths = [float(end - start) for start, end in bounds]
    return tensor(member), tensor(lengths, dtype=like.dtype)


def _adaptive_max(
    name: str, dims: int, x: Tensor, asked: Asked, indices: bool
) -> Any:
    parts = _parts(name, dims, x, asked)
    if max(parts) > 1 << 20:
        raise MemoryError(f"{name}: {max(parts)} windows along an axis are more than can be held")
    x, alone = _batched(x, dims)
    lengths = [int(h) for h in x.shape[2:]]
    y, place = x, arange(math.prod(lengths)).reshape(lengths).expand(*x.shape)
    # From the last axis to the first: of equal ones the first row, and in it the first, is taken.
    for d in range(dims + 1, 1, -1):
        h, count = lengths[d - 2], parts[d - 2]
        pieces, where_from = [], []
        for p in range(count):
            start, end = p * h // count, -((p + 1) * h // -count)
            piece = y.narrow(d, start, end - start)
            pieces.append(piece.amax(d, keepdim=True))
            first = piece.detach().argmax(d, keepdim=True)
            where_from.append(place.narrow(d, start, end - start).gather(d, first))
        y, place = _joined(pieces, y, d), _joined(where_from, place, d)
    if not indices:
        return y.squeeze(0) if alone else y
    return (y.squeeze(0), place.squeeze(0)) if alone else (y, place)


def _joined(pieces: list[Tensor], like: Tensor, d: int) -> Tensor:
    from groundup.tensor import cat

    if pieces:
        return cat(pieces, d)
    return zeros(*like.shape[:d], 0, *like.shape[d + 1 :], dtype=like.dtype)


@named
def adaptive_avg_pool1d(x: Tensor, output_size: Asked) -> Tensor:
    """y[n,c,p] = the mean of positions ⌊p·l/P⌋ to ⌈(p+1)·l/P⌉ − 1"""
    return _adaptive_avg("adaptive_avg_pool1d", 1, x, output_size)


@named
def adaptive_avg_pool2d(x: Tensor, output_size: Asked) -> Tensor:
    """y[n,c,p,q] = the mean of rows ⌊p·h/P⌋ to ⌈(p+1)·h/P⌉ − 1 and of columns likewise.

    output_size: (P, Q), or one number for both; None keeps the input's. Where P divides h, these
    are plain windows of h/P; elsewhere the windows overlap or differ by one, as in PyTorch.

    >>> adaptive_avg_pool2d(gu.ones(2, 3, 7, 5), 1).shape
    (2, 3, 1, 1)
    """
    return _adaptive_avg("adaptive_avg_pool2d", 2, x, output_size)


@named
def adaptive_avg_pool3d(x: Tensor, output_size: Asked) -> Tensor:
    """adaptive_avg_pool2d of three axes"""
    return _adaptive_avg("adaptive_avg_pool3d", 3, x, output_size)


@named
def adaptive_max_pool1d(x: Tensor, output_size: Asked, return_indices: bool = False) -> Any:
    """The greatest of the windows of adaptive_avg_pool1d (return_indices: and where it is)"""
    return _adaptive_max("adaptive_max_pool1d", 1, x, output_size, return_indices)


@named
def adaptive_max_pool2d(x: Tensor, output_size: Asked, return_indices: bool = False) -> Any:
    """The greatest of the windows of adaptive_avg_pool2d (return_indices: and where it is)

    >>> adaptive_max_pool2d(gu.arange(9.0).reshape(1, 3, 3), 2).tolist()
    [[[4.0, 5.0], [7.0, 8.0]]]
    """
    return _adaptive_max("adaptive_max_pool2d", 2, x, output_size, return_indices)


@named
def adaptive_max_pool3d(x: Tensor, output_size: Asked, return_indices: bool = False) -> Any:
    """The greatest of the windows of three axes (return_indices: and where it is)"""
    return _adaptive_max("adaptive_max_pool3d", 3, x, output_size, return_indices)
