"""Differences along axes as derivatives of a function that is known at points: gradient.

Must not know derivatives of expressions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import pointwise as pw
from . import shape
from .core import Core
from .errors import ShapeError, at_line, check_dim, lined_up
from .misuse import named

if TYPE_CHECKING:
    from .tensor import Tensor


@named
def gradient(
    a: Core, *, spacing: Any = 1, dim: int | Sequence[int] | None = None, edge_order: int = 1
) -> tuple[Tensor, ...]:
    """For each axis of `dim` (all of them by default), the derivative along it of a function with
    these values, from the two neighbours of each point: exact for parabolas inside.

    spacing: the distance of two points (one number, or one for each axis), or the coordinates of
    points, a vector for each axis. edge_order: 1, the slope to the neighbour, or 2, that of the
    parabola through the three outermost points. Source: Quarteroni et al., Numerical mathematics
    (2007), 10.10.

    >>> gu.gradient(gu.tensor([0.0, 1.0, 4.0, 9.0]))[0].tolist()
    [1.0, 2.0, 4.0, 5.0]
    """
    x: Core = a
    if dim is None:
        axes = list(range(x.ndim))
    else:
        axes = [check_dim("gradient", d, x.ndim) for d in ((dim,) if isinstance(dim, int) else dim)]
    if len(set(axes)) < len(axes):
        raise RuntimeError(f"gradient: dim names an axis twice, {tuple(axes)}" + at_line())
    if edge_order not in (1, 2):
        raise ValueError(f"gradient: edge_order is 1 or 2, not {edge_order!r}" + at_line())
    if isinstance(spacing, list | tuple):
        spacings = list(spacing)
    else:
        spacings = [1 if spacing is None else spacing] * len(axes)
    if len(spacings) != len(axes):
        raise ValueError(
            f"gradient: spacing is one number, or one for each of {len(axes)} axes, not "
            f"{len(spacings)}" + at_line()
        )
    for d in axes:
        if x._shape[d] < edge_order + 1:
            raise ShapeError(
                f"gradient: with edge_order={edge_order} an axis has at least {edge_order + 1} "
                f"points" + lined_up(x.ndim - d, shape=x._shape) + at_line()
            )
    if not x.dtype.is_float:
        x = pw.cast(x, pw.result_type(x, 1.0))
    return tuple(_along(x, d, h, edge_order) for d, h in zip(axes, spacings, strict=True))


def _along(x: Core, d: int, spacing: Any, edge: int) -> Tensor:
    n = int(x._shape[d])

    def part(t: Core, start: int, count: int) -> Tensor:
        return shape.narrow(t, d, start, count)

    if isinstance(spacing, Core) and spacing.ndim:
        if tuple(spacing._shape) != (n,):
            raise ShapeError(
                f"gradient: the coordinates along axis {d} are a vector of {n}"
                + lined_up(1, shape=x._shape, spacing=spacing._shape) + at_line()
            )  # fmt: skip
        points = shape.reshape(spacing, *(n if e == d else 1 for e in range(x.ndim)))
        gaps: Any = part(points, 1, n - 1) - part(points, 0, n - 1)

        def gap(start: int, count: int) -> Any:
            return part(gaps, start, count)
    else:

        def gap(start: int, count: int) -> Any:
            return spacing

    slopes = (part(x, 1, n - 1) - part(x, 0, n - 1)) / gap(0, n - 1)
    first, last = part(slopes, 0, 1), part(slopes, n - 2, 1)
    if n == 2:
        return shape.cat([first, last], d)
    before, after = part(slopes, 0, n - 2), part(slopes, 1, n - 2)
    h, k = gap(0, n - 2), gap(1, n - 2)
    inner = (before * k + after * h) / (h + k)
    if edge == 2:  # the slope at the end of a parabola, whose slope in the middle is known
        second, one_before = part(slopes, 1, 1), part(slopes, n - 3, 1)
        h0, h1, g0, g1 = gap(0, 1), gap(1, 1), gap(n - 2, 1), gap(n - 3, 1)
        first, last = (first + (first - second) * (h0 / (h0 + h1)),
                       last + (last - one_before) * (g0 / (g0 + g1)))  # fmt: skip
    return shape.cat([first, inner, last], d)
