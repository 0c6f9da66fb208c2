"""Images of another size: what lies between their elements.

Shapes are PyTorch's: (N, C, L), (N, C, H, W), (N, C, D, H, W). Must not know about modules.
"""

from __future__ import annotations

import math

from groundup.tensor import ShapeError, Tensor, axes, tensor
from groundup.tensor.errors import at_line
from groundup.tensor.misuse import named

from .checks import several, shapes_at_line

_LINEAR = {3: "linear", 4: "bilinear", 5: "trilinear"}


@named
def interpolate(
    x: Tensor,
    size: int | tuple[int, ...] | None = None,
    scale_factor: float | tuple[float, ...] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """y[…,p,…] = (1 − λ[p]) · x[…, i[p], …] + λ[p] · x[…, min(i[p] + 1, h − 1), …], axis by axis

    where i[p] + λ[p] = max((p + ½) · h/H − ½, 0), or p · (h − 1)/(H − 1) with align_corners; with
    mode 'nearest', i[p] = ⌊p · h/H⌋ and λ = 0.
    x: (n, c, …) with one, two or three further axes; size: theirs in the result, H; or
    scale_factor, H/h; each one number for all axes or one for each.
    mode: 'nearest', 'nearest-exact' (i[p] = ⌊(p + ½) · h/H⌋), 'area' (adaptive_avg_pool), or
    'linear', 'bilinear', 'trilinear' for one, two, three axes; 'bicubic' for two: four elements
    with Keys' weights (1981), a = −¾.
    recompute_scale_factor: h/H is taken from the sizes, not from scale_factor.
    Raises ShapeError for another number of axes, ValueError for a size or mode that cannot be.

    >>> interpolate(gu.tensor([[[0.0, 4.0]]]), size=4, mode="linear").tolist()
    [[[0.0, 1.0, 3.0, 4.0]]]
    """
    if x.ndim not in _LINEAR or 0 in tuple(map(int, x.shape[2:])):
        raise ShapeError(
            "interpolate: expected (n, c, l), (n, c, h, w) or (n, c, d, h, w), not empty"
            + shapes_at_line(input=x.shape)
        )
    modes = ["nearest", "nearest-exact", "area", _LINEAR[x.ndim]] + ["bicubic"] * (x.ndim == 4)
    if mode not in modes:
        raise ValueError(
            f"interpolate: mode is 'nearest' or '{_LINEAR[x.ndim]}' (or one of "
            f"{', '.join(m for m in modes if m not in ('nearest', _LINEAR[x.ndim]))}) for an input "
            f"of {x.ndim} axes, not {mode!r}" + at_line()
        )
    if antialias:
        raise ValueError("interpolate: antialias is not built yet" + at_line())
    if align_corners is not None and mode in ("nearest", "nearest-exact", "area"):
        raise ValueError(f"interpolate: align_corners has no meaning for {mode!r}" + at_line())
    align_corners = bool(align_corners)
    lengths = [int(h) for h in x.shape[2:]]
    sizes, steps = _sizes(lengths, size, scale_factor)
    if recompute_scale_factor:
        steps = [h / s for h, s in zip(lengths, sizes, strict=True)]
    if mode == "area":
        from .pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d

        pools = {3: adaptive_avg_pool1d, 4: adaptive_avg_pool2d, 5: adaptive_avg_pool3d}
        return pools[x.ndim](x, sizes)
    if mode == "bicubic":
        for d, (h, count, step) in enumerate(zip(lengths, sizes, steps, strict=True), 2):
            at = [_exact(p, h, count, step, align_corners) for p in range(count)]
            x = _cubic(x, d, at)
        return x
    for d, (h, count, step) in enumerate(zip(lengths, sizes, steps, strict=True), 2):
        places = [_place(p, h, count, step, mode, align_corners) for p in range(count)]
        x = _along(x, d, places, not mode.startswith("nearest"))
    return x


@named
def upsample_nearest(
    x: Tensor,
    size: int | tuple[int, ...] | None = None,
    scale_factor: float | tuple[float, ...] | None = None,
) -> Tensor:
    """interpolate with mode 'nearest'"""
    return interpolate(x, size, scale_factor)


@named
def upsample_bilinear(
    x: Tensor,
    size: int | tuple[int, ...] | None = None,
    scale_factor: float | tuple[float, ...] | None = None,
) -> Tensor:
    """interpolate with mode 'bilinear' and align_corners=True"""
    return interpolate(x, size, scale_factor, "bilinear", True)


def _exact(p: int, h: int, count: int, step: float, corners: bool) -> float:
    """Where among h elements element p of `count` lies, also beyond the edges."""
    if corners:
        return p * (h - 1) / (count - 1) if count > 1 else 0.0
    return (p + 0.5) * step - 0.5


def _cubic(x: Tensor, dim: int, places: list[float]) -> Tensor:
    """Along one axis, the four elements around each place, weighted; the edges go on."""
    *n, p = axes(x.ndim)
    before, after = n[:dim], n[dim:]
    h = int(x.shape[dim])
    whole = [math.floor(at) for at in places]
    shares = [at - i for at, i in zip(places, whole, strict=True)]
    total = None
    for k in range(-1, 3):
        index = tensor([min(max(i + k, 0), h - 1) for i in whole])
        weight = tensor([keys(abs(t - k)) for t in shares], dtype=x.dtype)
        term = weight[p] * x[*before, index[p], *after]
        total = term if total is None else total + term
    assert total is not None
    return total.order(*before, p, *after)


def keys(d: float, a: float = -0.75) -> float:
    """The weight of an element at distance d: Keys' cubic convolution, 1981, eq. 15."""
    if d <= 1:
        return ((a + 2) * d - (a + 3)) * d * d + 1
    return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a if d < 2 else 0.0


def _along(x: Tensor, dim: int, places: list[float], between: bool) -> Tensor:
    """y[…,p,…] of the equation, along one axis; places: i[p] + λ[p]."""
    *n, p = axes(x.ndim)
    before, after = n[:dim], n[dim:]
    h = int(x.shape[dim])
    low = tensor([int(at) for at in places])
    first = x[*before, low[p], *after]
    if not between:
        return first.order(*before, p, *after)
    high = tensor([min(int(at) + 1, h - 1) for at in places])
    share = tensor([at - int(at) for at in places], dtype=x.dtype)
    mixed = (1.0 - share[p]) * first + share[p] * x[*before, high[p], *after]
    return mixed.order(*before, p, *after)


def _place(p: int, h: int, count: int, step: float, mode: str, corners: bool) -> float:
    """Where among h elements element p of `count` lies, `step` elements to each."""
    if mode == "nearest":
        return float(min(math.floor(p * step), h - 1))
    if mode == "nearest-exact":
        return float(min(math.floor((p + 0.5) * step), h - 1))
    if corners:
        return p * (h - 1) / (count - 1) if count > 1 else 0.0
    return min(max((p + 0.5) * step - 0.5, 0.0), float(h - 1))


def _sizes(
    lengths: list[int],
    size: int | tuple[int, ...] | None,
    scale: float | tuple[float, ...] | None,
) -> tuple[list[int], list[float]]:
    """(the sizes of the result, how many elements of x each of its elements stands for)."""
    if (size is None) == (scale is None):
        raise ValueError("interpolate: give either size or scale_factor" + at_line())
    count = len(lengths)
    if size is not None:
        sizes = list(several(size, "size", count))
        return sizes, [h / s for h, s in zip(lengths, sizes, strict=True)]
    factors = scale if isinstance(scale, tuple | list) else (scale,) * count
    if len(factors) != count or not all(isinstance(f, int | float) and f > 0 for f in factors):
        raise ValueError(
            f"interpolate: scale_factor is a positive number, or one for each of {count} axes, not "
            f"{scale}" + at_line()
        )
    known = [float(f) for f in factors if f is not None]
    sizes = [math.floor(h * f) for h, f in zip(lengths, known, strict=True)]
    if min(sizes) < 1:
        raise ValueError(f"interpolate: a scale of {scale} leaves a size of {sizes}" + at_line())
    return sizes, [1.0 / f for f in known]
