"""What the transforms ask of their arguments: types, axes, sizes, norms; sizes cut and enlarged.

Must not know any transform.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...ir import dtype as dt
from .. import pointwise as pw
from .. import shape
from ..autocast import full, is_half
from ..core import Core, Paired
from ..create import zeros_like
from ..errors import ShapeError, at_line, bad_dim, lined_up, whole_numbers
from ..tensor import Tensor

Dims = int | Sequence[int] | None
Sizes = int | Sequence[int] | None
Plan = tuple[tuple[int, ...], tuple[int, ...]]  # axes, and the size of the transform along each


def real_input(name: str, a: Core) -> Tensor:
    """The operand of a transform of real numbers, in float32 or float64."""
    if isinstance(a, Paired):
        raise TypeError(
            f"{name} takes real numbers, not {a.dtype.name}; fft and ifft take complex ones"
            + at_line()
        )
    if not isinstance(a, Tensor):
        raise TypeError(f"{name} takes a tensor, not a {type(a).__name__}" + at_line())
    a = full(a)
    if is_half(a.dtype):
        raise TypeError(
            f"{name}: {a.dtype.name} has no Fourier transform here; write x.float()" + at_line()
        )
    return a if a.dtype.is_float else pw.cast(a, dt.float32)


def pairs_input(name: str, a: Core) -> Tensor:
    """The operand of a transform of complex numbers, as pairs; real numbers are complex ones."""
    if isinstance(a, Paired):
        return a._pair
    x = real_input(name, a)
    return shape.stack([x, zeros_like(x)], -1)


def conjugate(pairs: Tensor) -> Tensor:
    """Pairs of the conjugates."""
    re, im = shape.unbind(pairs, -1)
    return shape.stack([re, pw.neg(im)], -1)


def planned(name: str, sizes: Sequence[int], s: Sizes, dim: Dims, half: bool = False) -> Plan:
    """The axes of a transform of a shape, and its size along each, from PyTorch's s and dim.

    half: along the last axis the input holds ⌊n/2⌋ + 1 of n values, so 2·(size − 1) by default.
    """
    ndim = len(sizes)
    given = None if s is None else whole_numbers(name, "s", s)
    if dim is None:
        if given is not None and len(given) > ndim:
            raise ShapeError(
                f"{name}: s has {len(given)} sizes, one for each of the last axes, and the tensor "
                f"has {ndim} axes" + lined_up(tensor=sizes) + at_line()
            )
        axes = tuple(range(ndim) if given is None else range(ndim - len(given), ndim))
    else:
        axes = tuple(_axis(name, d, ndim) for d in whole_numbers(name, "dim", dim))
    if len(set(axes)) < len(axes):
        raise ValueError(f"{name}: each axis is transformed once; dim is {dim}" + at_line())
    if given is not None and len(given) != len(axes):
        raise ValueError(
            f"{name}: s and dim say a size for each axis, and have {len(given)} and {len(axes)} "
            f"numbers" + at_line()
        )
    own = [int(sizes[d]) for d in axes]
    if half and own:
        own[-1] = 2 * (own[-1] - 1)
    wanted = tuple(
        n if given is None or given[k] == -1 else given[k] for k, n in enumerate(own)
    )  # fmt: skip
    for d, n in zip(axes, wanted):
        if n >= 2**40:
            raise ValueError(f"{name}: {n} values are more than memory holds" + at_line())
        if n < 1:
            raise ShapeError(
                f"{name}: a transform has 1 value or more, not {n} (axis {d})"
                + lined_up(tensor=sizes) + at_line()
            )  # fmt: skip
    return axes, wanted


def _axis(name: str, dim: int, ndim: int) -> int:
    if not -ndim <= dim < ndim:
        if not ndim:
            raise IndexError(f"{name}: a 0-d tensor has no axis {dim} to transform" + at_line())
        raise bad_dim(name, dim, ndim)
    return dim % ndim


def factor(name: str, norm: str | None, forward: bool, sizes: Sequence[int]) -> float:
    """What a transform of these sizes is multiplied with."""
    if norm not in (None, "backward", "ortho", "forward"):
        raise ValueError(
            f"{name}: norm is 'backward', 'ortho', 'forward' or None, not {norm!r}" + at_line()
        )
    n = 1
    for size in sizes:
        n *= size
    if norm == "ortho":
        return float(n**-0.5)
    return 1 / n if forward == (norm == "forward") else 1.0


def resized(a: Tensor, axes: Sequence[int], sizes: Sequence[int]) -> Tensor:
    """Axes cut, or enlarged by zeros, at their ends."""
    for d, n in zip(axes, sizes):
        own = int(a._shape[d])
        if n < own:
            a = shape.narrow(a, d, 0, n)
        elif n > own:
            amounts: list[Any] = [0] * (2 * (a.ndim - d))
            amounts[-1] = n - own
            a = shape.pad(a, amounts)
    return a
