"""The three transforms that all others are made of, on real tensors of pairs, with derivatives.

Each is linear and its adjoint is another of the three: so derivatives have any order. Must not know
norms, or PyTorch's arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...ir.node import Host
from ..create import tensor
from ..host import host
from ..tensor import Tensor
from . import host as on_memory

Given = Sequence[Tensor | None]
Known = Sequence[Tensor]


def complex_to_complex(
    pairs: Tensor, axes: tuple[int, ...], forward: bool, factor: float
) -> Tensor:
    """Along these axes (counted from the front), the last of `pairs` holding re and im.

    The adjoint of a complex matrix is its conjugate transpose: the transform of the other sign.
    """
    if not axes:
        return pairs

    def derivative(g: Given, y: Known, x: Known) -> list[Any]:
        return [None if g[0] is None else complex_to_complex(g[0], axes, not forward, factor)]

    name = f"fft{list(axes)}" if forward else f"ifft{list(axes)}"
    function = Host(name, on_memory.complex_to_complex, (axes, forward, factor))
    return host(function, (pairs,), [(pairs._shape, pairs.dtype)], derivative)[0]


def real_to_complex(x: Tensor, axis: int, factor: float) -> Tensor:
    """The first ⌊n/2⌋ + 1 of the forward transform's n values along an axis, as pairs.

    Adjoint: x̄ₙ = Re Σₖ ȳₖ·e^(2πi·k·n/N) over that half, which counts each value once where
    complex_to_real counts it and its conjugate.
    """
    n = int(x._shape[axis])

    def derivative(g: Given, y: Known, _: Known) -> list[Any]:
        if g[0] is None:
            return [None]
        half = g[0] / _counts(n, axis, g[0])
        return [complex_to_real(half, axis, n, factor)]

    shape = (*x._shape[:axis], n // 2 + 1, *x._shape[axis + 1 :], 2)
    function = Host(f"rfft[{axis}]", on_memory.real_to_complex, (axis, factor))
    return host(function, (x,), [(shape, x.dtype)], derivative)[0]


def complex_to_real(pairs: Tensor, axis: int, n: int, factor: float) -> Tensor:
    """The backward transform of n values, the first ⌊n/2⌋ + 1 of which are given as pairs and the
    others are their conjugates."""

    def derivative(g: Given, y: Known, _: Known) -> list[Any]:
        if g[0] is None:
            return [None]
        back = real_to_complex(g[0], axis, factor)
        return [back * _counts(n, axis, back)]

    shape = (*pairs._shape[:axis], n, *pairs._shape[axis + 1 : -1])
    function = Host(f"irfft[{axis}]", on_memory.complex_to_real, (axis, n, factor))
    return host(function, (pairs,), [(shape, pairs.dtype)], derivative)[0]


def _counts(n: int, axis: int, pairs: Tensor) -> Tensor:
    """How often each of the first ⌊n/2⌋ + 1 values counts among all n: twice, but for the first
    and, of an even number, the last."""
    half = n // 2 + 1
    counts = [1.0 if k == 0 or 2 * k == n else 2.0 for k in range(half)]
    return tensor(counts, dtype=pairs.dtype).reshape(half, *(1,) * (pairs.ndim - 1 - axis))
