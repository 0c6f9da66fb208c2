"""Sums of products, as the array API standard names them; also found in its `linalg`.

Must not know decompositions.
"""

from __future__ import annotations

from collections.abc import Sequence

from groundup.tensor import ShapeError, Tensor
from groundup.tensor import tensordot as contracted
from groundup.tensor.errors import at_line, lined_up

from .types import checked, pair


def matmul(x1: Tensor, x2: Tensor, /) -> Tensor:
    """Σ_k x1[…, i, k] · x2[…, k, j]"""
    checked("matmul", x1, x2)
    a, b = pair("matmul", x1, x2)
    return a.matmul(b)


def tensordot(
    x1: Tensor, x2: Tensor, /, *, axes: int | tuple[Sequence[int], Sequence[int]] = 2
) -> Tensor:
    """Products summed over the last axes of x1 and the first of x2, or over pairs of axes

    >>> tensordot(gu.ones(2, 3), gu.ones(3, 4), axes=1).shape
    (2, 4)
    """
    checked("tensordot", x1, x2)
    a, b = pair("tensordot", x1, x2)
    if isinstance(axes, int):
        if axes < 0:
            raise ValueError(f"tensordot: axes is 0 or more, not {axes}" + at_line())
        axes = (range(-axes, 0), range(axes))
    left, right = (list(d) for d in axes)
    for i, j in zip(left, right, strict=False):  # groundup's own would broadcast a size of 1
        if -a.ndim <= i < a.ndim and -b.ndim <= j < b.ndim and a.shape[i] != b.shape[j]:
            raise ShapeError(
                f"tensordot: axis {i} of x1 has size {a.shape[i]}, its partner {j} of x2 "
                f"{b.shape[j]}" + lined_up(x1=a._shape, x2=b._shape) + at_line()
            )
    return contracted(a, b, (left, right))


def check_common_axis(name: str, a: Tensor, b: Tensor, axis: int) -> None:
    """Raise unless an axis is the same one of two arrays that broadcast: counted from the end, or,
    of as many axes, from the front."""
    if not -min(a.ndim, b.ndim) <= axis <= -1 and not (a.ndim == b.ndim and 0 <= axis < a.ndim):
        raise ValueError(
            f"{name}: axis {axis} is counted from the end, in both"
            + lined_up(x1=a._shape, x2=b._shape)
            + at_line()
        )


def vecdot(x1: Tensor, x2: Tensor, /, *, axis: int = -1) -> Tensor:
    """Σ conj(x1) · x2 along an axis, counted from the end, the others broadcast"""
    checked("vecdot", x1, x2)
    a, b = pair("vecdot", x1, x2)
    check_common_axis("vecdot", a, b, axis)
    if a.shape[axis] != b.shape[axis]:
        raise ValueError(
            f"vecdot: axis {axis} has sizes {a.shape[axis]} and {b.shape[axis]}"
            + lined_up(x1=a._shape, x2=b._shape)
            + at_line()
        )
    a, b = a.movedim(axis, -1), b.movedim(axis, -1)
    product = a.conj().unsqueeze(-2).matmul(b.unsqueeze(-1))
    return product.squeeze(-1).squeeze(-1)
