"""Images read at places that a grid names: grid_sample, in two and three axes.

Must not know about modules or training loops.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from groundup.tensor import ShapeError, Tensor, axes, fmod, where
from groundup.tensor.errors import at_line
from groundup.tensor.misuse import named

from .checks import one_type, shapes_at_line

_MODES = ("bilinear", "nearest", "bicubic")
_PADDING = ("zeros", "border", "reflection")


@named
def grid_sample(
    x: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """y[n,c,p,q] = x[n,c] at the place grid[n,p,q], between elements by `mode`

    x: (n, c, h, w) or (n, c, d, h, w); grid: (n, p, q, 2) of (column, row), or (n, o, p, q, 3) of
    (column, row, depth), −1 and 1 the edges: of the outermost elements' centres with align_corners,
    else of their outer sides.
    mode: 'bilinear', 'nearest', or 'bicubic' (of images, with Keys' weights, a = −¾).
    padding_mode: beyond the edges 'zeros', the 'border', or a 'reflection' of the image.
    Source: Jaderberg et al. 2015, "Spatial transformer networks", section 3.3.

    >>> grid_sample(gu.arange(4.0).reshape(1, 1, 2, 2), gu.zeros(1, 1, 1, 2)).item()
    1.5
    """
    dims = x.ndim - 2
    one_type("grid_sample", input=x, grid=grid)
    if mode not in _MODES or padding_mode not in _PADDING:
        raise ValueError(
            f"grid_sample: mode is one of {', '.join(_MODES)} and padding_mode of "
            f"{', '.join(_PADDING)}, not {mode!r} and {padding_mode!r}" + at_line()
        )
    fits = dims in (2, 3) and grid.ndim == x.ndim and grid.shape[-1] == dims
    if not fits or x.shape[0] != grid.shape[0] or 0 in tuple(x.shape[1:]):
        raise ShapeError(
            "grid_sample: (n, c, h, w) and (n, p, q, 2), or (n, c, d, h, w) and (n, o, p, q, 3)"
            + shapes_at_line(input=x.shape, grid=grid.shape)
        )
    if mode == "bicubic" and dims == 3:
        raise ValueError("grid_sample: bicubic is of images (n, c, h, w)" + at_line())
    corners = bool(align_corners)
    lengths = [int(h) for h in x.shape[2:]]
    flat = grid.reshape(grid.shape[0], -1, dims)
    # The grid's last axis names the image's last axis first.
    places = [
        _scaled(flat.select(-1, dims - 1 - d), h, corners) for d, h in enumerate(lengths)
    ]
    if mode == "bicubic":
        y = _bicubic(x, places, lengths, padding_mode, corners)
    else:
        places = [
            _brought_back(at, h, padding_mode, corners)
            for at, h in zip(places, lengths, strict=True)
        ]
        y = _nearest(x, places, lengths) if mode == "nearest" else _linear(x, places, lengths)
    return y.reshape(x.shape[0], x.shape[1], *grid.shape[1:-1])


def _scaled(at: Tensor, h: int, corners: bool) -> Tensor:
    """−1 … 1 as a position among h elements."""
    if corners:
        return (at + 1.0) / 2.0 * float(h - 1)
    return ((at + 1.0) * float(h) - 1.0) / 2.0


def _brought_back(at: Tensor, h: int, padding: str, corners: bool) -> Tensor:
    """A position beyond the edges as the one that is read instead."""
    if padding == "zeros":
        return at
    if padding == "reflection":
        low, span = (0.0, float(h - 1)) if corners else (-0.5, float(h))
        if span == 0:
            at = at * 0.0
        else:
            away = (at - low).abs()
            extra, flips = fmod(away, span), (away.detach() / span).floor()
            even = fmod(flips, 2.0) == 0
            at = where(even, extra + low, span - extra + low)
    last = float(h - 1)
    return where(at > 0, where(at < last, at, last), 0.0)


def _read(x: Tensor, indices: Sequence[Tensor], lengths: Sequence[int]) -> Tensor:
    """x[n, c, i[n, p], j[n, p], …], 0 where one leaves the image; indices are whole floats."""
    inside, flat = None, None
    for i, h in zip(indices, lengths, strict=True):
        here = (i >= 0) & (i <= float(h - 1))
        inside = here if inside is None else inside & here
        whole = where(here, i, 0.0).long()
        flat = whole if flat is None else flat * h + whole
    assert inside is not None and flat is not None
    n, c, p = axes("n c p")
    rows = x.reshape(*x.shape[:2], math.prod(lengths))
    return where(inside[n, p], rows[n, c, flat[n, p]], 0.0).order(n, c, p)


def _nearest(x: Tensor, places: Sequence[Tensor], lengths: Sequence[int]) -> Tensor:
    return _read(x, [at.detach().round() for at in places], lengths)


def _linear(x: Tensor, places: Sequence[Tensor], lengths: Sequence[int]) -> Tensor:
    """Σ over the corners around each place of their elements, by how near they are."""
    below = [at.detach().floor() for at in places]
    shares = [at - b for at, b in zip(places, below, strict=True)]
    total: Tensor | None = None
    for corner in range(2 ** len(places)):
        weight: Tensor | None = None
        indices = []
        for d, (b, share) in enumerate(zip(below, shares, strict=True)):
            up = corner >> d & 1
            indices.append(b + float(up))
            own = share if up else 1.0 - share
            weight = own if weight is None else weight * own
        assert weight is not None
        term = _read(x, indices, lengths) * weight.unsqueeze(1)
        total = term if total is None else total + term
    assert total is not None
    return total


def _bicubic(
    x: Tensor, places: Sequence[Tensor], lengths: Sequence[int], padding: str, corners: bool
) -> Tensor:
    below = [at.detach().floor() for at in places]
    shares = [at - b for at, b in zip(places, below, strict=True)]
    total: Tensor | None = None
    for k in range(-1, 3):
        for m in range(-1, 3):
            at = [
                _brought_back(b + float(step), h, padding, corners).round()
                for b, step, h in zip(below, (k, m), lengths, strict=True)
            ]
            weight = _keys(shares[0], k) * _keys(shares[1], m)
            term = _read(x, at, lengths) * weight.unsqueeze(1)
            total = term if total is None else total + term
    assert total is not None
    return total


def _keys(t: Tensor, k: int, a: float = -0.75) -> Tensor:
    """The weight of the element k places on, t the share after the first: Keys 1981, eq. 15."""
    d = t - float(k) if k < 1 else float(k) - t
    if k in (0, 1):
        return ((a + 2) * d - (a + 3)) * d * d + 1
    return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
