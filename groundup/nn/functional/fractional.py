"""Pooling over windows at random places that divide an image by a ratio that need not be whole.

Must not know about modules or training loops.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from groundup.tensor import ShapeError, Tensor, arange, cat, gather, int64, rand
from groundup.tensor.errors import at_line
from groundup.tensor.misuse import named

from .checks import Several, several, shapes_at_line


def _sizes(
    name: str, x: Tensor, dims: int, size: Several | None, ratio: float | Sequence[float] | None
) -> tuple[int, ...]:
    """How many windows there are along each axis."""
    if size is not None:
        return several(size, "output_size", dims)
    if ratio is None:
        raise ValueError(f"{name}: output_size or output_ratio says how many windows" + at_line())
    ratios = (ratio,) * dims if isinstance(ratio, int | float) else tuple(ratio)
    if len(ratios) != dims or not all(0 < r < 1 for r in ratios):
        raise ValueError(
            f"{name}: output_ratio is a number between 0 and 1, or {dims} of them, not {ratio!r}"
            + at_line()
        )
    return tuple(int(int(h) * r) for h, r in zip(x.shape[-dims:], ratios, strict=True))


def _starts(sample: Tensor, length: int, count: int, kernel: int) -> Tensor:
    """Where windows begin: ⌊(i + u)·α⌋ − ⌊u·α⌋ with α = (length − kernel) / (count − 1), the last
    at the end; u is one for each image and channel (n, c): (n, c, count)."""
    last = (sample * 0).to(int64).unsqueeze(-1) + (length - kernel)
    if count == 1:
        return last
    # The quotient is one of the sample's type, and rounds as in PyTorch.
    step = ((sample * 0 + (length - kernel)) / (count - 1)).unsqueeze(-1)
    u = sample.unsqueeze(-1)
    first = ((arange(count - 1) + u) * step).to(int64) - (u * step).to(int64)
    return cat([first, last], -1)


def _pool(
    name: str, dims: int, x: Tensor, kernel_size: Several, output_size: Several | None,
    output_ratio: float | Sequence[float] | None, indices: bool, samples: Tensor | None,
) -> Any:  # fmt: skip
    if x.ndim not in (dims + 1, dims + 2) or not x.dtype.is_float:
        raise ShapeError(
            f"{name}: expected (n, c, {'d, ' if dims == 3 else ''}h, w) of a floating type"
            + shapes_at_line(input=x.shape)
        )
    kernel = several(kernel_size, "kernel_size", dims)
    sizes = _sizes(name, x, dims, output_size, output_ratio)
    lengths = tuple(int(h) for h in x.shape[-dims:])
    if min(sizes) < 1 or any(p + k - 1 > h for p, k, h in zip(sizes, kernel, lengths)):
        raise ShapeError(
            f"{name}: {sizes} windows of {kernel} begin at different places, and do not fit"
            + shapes_at_line(input=x.shape)
        )
    alone = x.ndim == dims + 1
    x = x.unsqueeze(0) if alone else x
    n, c = (int(v) for v in x.shape[:2])
    if samples is None:
        samples = rand(n, c, dims, dtype=x.dtype)
    if tuple(samples.shape) != (n, c, dims) or samples.dtype is not x.dtype:
        raise ShapeError(
            f"{name}: _random_samples are {dims} numbers from 0 to 1 for each image and channel, "
            f"of the input's type" + shapes_at_line(input=x.shape, samples=samples.shape)
        )
    flat: Tensor | int = 0
    for d in range(dims):
        # PyTorch has the samples of two axes the other way round, of three not.
        sample = samples[..., 1 - d if dims == 2 else d].detach()
        starts = _starts(sample, lengths[d], sizes[d], kernel[d])
        places = starts.unsqueeze(-1) + arange(kernel[d])  # (n, c, windows, places in one)
        shape = [n, c, *(1,) * (2 * dims)]
        shape[2 + d], shape[2 + dims + d] = sizes[d], kernel[d]
        flat = flat * lengths[d] + places.reshape(*shape)
    assert isinstance(flat, Tensor)
    at = flat.expand(n, c, *sizes, *kernel).reshape(n, c, math.prod(sizes), math.prod(kernel))
    every = x.reshape(n, c, math.prod(lengths))
    windows = gather(every.detach(), 2, at.reshape(n, c, at.shape[2] * at.shape[3]))
    windows = windows.reshape(*at.shape)
    best = gather(at, 3, windows.argmax(-1, keepdim=True)).squeeze(-1)
    y = gather(every, 2, best).reshape(n, c, *sizes)
    places = best.reshape(n, c, *sizes)
    if alone:
        y, places = y.squeeze(0), places.squeeze(0)
    return (y, places) if indices else y


@named
def fractional_max_pool2d(
    x: Tensor, kernel_size: Several, output_size: Several | None = None,
    output_ratio: float | Sequence[float] | None = None, return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:  # fmt: skip
    """The greatest of windows whose steps are random: of ⌊α⌋ and ⌈α⌉, α = (h − k) / (p − 1).

    x (n, c, h, w), or without n: (n, c, p, q) with output_size (p, q), or ⌊h · output_ratio⌋.
    return_indices: also where each is, counted row-major in an image. _random_samples (n, c, 2)
    from 0 to 1 say where windows begin: one for the columns, one for the rows. Source: Graham,
    Fractional max-pooling (2014), pseudo-random, overlapping.

    >>> fractional_max_pool2d(gu.arange(16.0).reshape(1, 1, 4, 4), 2, 2)[0, 0, 1].tolist()
    [13.0, 15.0]
    """
    return _pool("fractional_max_pool2d", 2, x, kernel_size, output_size, output_ratio,
                 return_indices, _random_samples)  # fmt: skip


@named
def fractional_max_pool3d(
    x: Tensor, kernel_size: Several, output_size: Several | None = None,
    output_ratio: float | Sequence[float] | None = None, return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:  # fmt: skip
    """`fractional_max_pool2d` of three axes, (n, c, d, h, w); _random_samples (n, c, 3) are for d,
    h and w.

    >>> fractional_max_pool3d(gu.ones(1, 1, 4, 4, 4), 2, output_ratio=0.5).shape
    (1, 1, 2, 2, 2)
    """
    return _pool("fractional_max_pool3d", 3, x, kernel_size, output_size, output_ratio,
                 return_indices, _random_samples)  # fmt: skip
