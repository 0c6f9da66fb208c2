"""torch.fft's transforms: directions, norms, sizes and axes of the three that there are.

All take input (…), sizes n or s to cut or enlarge it to by zeros, axes, and a norm: None and
'backward' divide the transforms back by n, 'forward' the others, 'ortho' each by √n. Must not know
how a transform runs.
"""

from __future__ import annotations

from typing import Any

from ..complex.tensor import ComplexTensor
from ..core import Core
from ..errors import at_line
from ..misuse import named
from ..tensor import Tensor
from . import kernels
from .operands import (
    Dims,
    Sizes,
    conjugate,
    factor,
    pairs_input,
    planned,
    real_input,
    resized,
)


def _complex(name: str, a: Core, s: Sizes, dim: Dims, norm: str | None, forward: bool) -> Tensor:
    pairs = pairs_input(name, a)
    axes, sizes = planned(name, pairs._shape[:-1], s, dim)
    by = factor(name, norm, forward, sizes)
    return ComplexTensor(kernels.complex_to_complex(resized(pairs, axes, sizes), axes, forward, by))


def _from_real(name: str, a: Core, s: Sizes, dim: Dims, norm: str | None, forward: bool) -> Tensor:
    """Forward: half of the spectrum; else that of the transform back."""
    x = real_input(name, a)
    axes, sizes = planned(name, x._shape, s, dim)
    _some(name, axes)
    by = factor(name, norm, forward, sizes)
    y = kernels.real_to_complex(resized(x, axes, sizes), axes[-1], by)
    if not forward:
        y = conjugate(y)
    return ComplexTensor(kernels.complex_to_complex(y, axes[:-1], forward, 1.0))


def _to_real(name: str, a: Core, s: Sizes, dim: Dims, norm: str | None, forward: bool) -> Tensor:
    """Back from half of a spectrum; forward: of what has a real spectrum, that."""
    pairs = pairs_input(name, a)
    axes, sizes = planned(name, pairs._shape[:-1], s, dim, half=True)
    _some(name, axes)
    by = factor(name, norm, forward, sizes)
    pairs = resized(pairs, axes, (*sizes[:-1], sizes[-1] // 2 + 1))
    y = kernels.complex_to_complex(pairs, axes[:-1], forward, 1.0)
    if forward:
        y = conjugate(y)
    return kernels.complex_to_real(y, axes[-1], sizes[-1], by)


def _some(name: str, axes: tuple[int, ...]) -> None:
    if not axes:
        raise ValueError(f"{name} transforms at least one axis" + at_line())


def _one(name: str, n: int | None, dim: int) -> dict[str, Any]:
    for key, value in (("n", n), ("dim", dim)):
        if not (isinstance(value, int) or (key == "n" and value is None)):
            raise TypeError(
                f"{name}: {key} is a whole number, not a {type(value).__name__}; {name}n takes "
                f"several" + at_line()
            )
    return {"s": None if n is None else (n,), "dim": (dim,)}


@named
def fft(input: Core, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The discrete Fourier transform along one axis: y_k = Σ_m x_m · e^(−2πi·k·m/n)

    input: real or complex, float32 or float64 (integers and bool as float32). Result: complex64 or
    complex128. Derivative: the transform of the other sign, not divided.

    Raises ShapeError for an n below 1, ValueError for a norm that there is not.

    >>> gu.fft.fft(gu.tensor([1.0, 0.0, 0.0, 0.0]))
    tensor([1.+0.j, 1.+0.j, 1.+0.j, 1.+0.j])
    """
    return _complex("fft", input, **_one("fft", n, dim), norm=norm, forward=True)


@named
def ifft(input: Core, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of fft: x_m = 1/n · Σ_k y_k · e^(2πi·k·m/n)

    >>> gu.fft.ifft(gu.tensor([4.0, 0.0, 0.0, 0.0]))
    tensor([1.+0.j, 1.+0.j, 1.+0.j, 1.+0.j])
    """
    return _complex("ifft", input, **_one("ifft", n, dim), norm=norm, forward=False)


@named
def rfft(input: Core, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """fft of real numbers: the values at 0 … ⌊n/2⌋, of which the others are conjugates

    Raises TypeError for complex numbers.

    >>> gu.fft.rfft(gu.tensor([1.0, 2.0, 3.0, 4.0]))
    tensor([10.+0.j, -2.+2.j, -2.+0.j])
    """
    return _from_real("rfft", input, **_one("rfft", n, dim), norm=norm, forward=True)


@named
def irfft(input: Core, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of rfft: n real numbers (2·(size − 1), if n is left out: an odd n must be given)

    The imaginary part at 0, and of an even n at n/2, has no part in it.

    >>> gu.fft.irfft(gu.tensor([10.0, -2 + 2j, -2.0])).tolist()
    [1.0, 2.0, 3.0, 4.0]
    """
    return _to_real("irfft", input, **_one("irfft", n, dim), norm=norm, forward=False)


@named
def hfft(input: Core, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """fft of n numbers of which x_−m is the conjugate of x_m, given the first ⌊n/2⌋ + 1: real

    >>> gu.fft.hfft(gu.tensor([1.0, 1j, 0.0])).tolist()
    [1.0, 3.0, 1.0, -1.0]
    """
    return _to_real("hfft", input, **_one("hfft", n, dim), norm=norm, forward=True)


@named
def ihfft(input: Core, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of hfft: the first ⌊n/2⌋ + 1 values of ifft of real numbers

    >>> gu.fft.ihfft(gu.tensor([4.0, 4.0, 4.0, 4.0]))
    tensor([4.-0.j, 0.-0.j, 0.-0.j])
    """
    return _from_real("ihfft", input, **_one("ihfft", n, dim), norm=norm, forward=False)


@named
def fftn(input: Core, s: Sizes = None, dim: Dims = None, norm: str | None = None) -> Tensor:
    """fft along several axes: all, the last len(s), or dim; −1 in s leaves a size as it is

    >>> gu.fft.fftn(gu.ones(2, 2))
    tensor([[4.+0.j, 0.+0.j],
            [0.+0.j, 0.+0.j]])
    """
    return _complex("fftn", input, s, dim, norm, True)


@named
def ifftn(input: Core, s: Sizes = None, dim: Dims = None, norm: str | None = None) -> Tensor:
    """The inverse of fftn

    >>> gu.fft.ifftn(gu.fft.fftn(gu.ones(2, 2))).real.tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    return _complex("ifftn", input, s, dim, norm, False)


@named
def rfftn(input: Core, s: Sizes = None, dim: Dims = None, norm: str | None = None) -> Tensor:
    """fftn of real numbers, half of the last of its axes

    >>> gu.fft.rfftn(gu.ones(2, 4)).shape
    (2, 3)
    """
    return _from_real("rfftn", input, s, dim, norm, True)


@named
def irfftn(input: Core, s: Sizes = None, dim: Dims = None, norm: str | None = None) -> Tensor:
    """The inverse of rfftn

    >>> gu.fft.irfftn(gu.fft.rfftn(gu.ones(2, 4))).tolist()
    [[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]
    """
    return _to_real("irfftn", input, s, dim, norm, False)


@named
def hfftn(input: Core, s: Sizes = None, dim: Dims = None, norm: str | None = None) -> Tensor:
    """fftn of numbers with a real result, of which half of the last of the axes is given

    >>> gu.fft.hfftn(gu.ones(1, 3)).tolist()
    [[4.0, 0.0, 0.0, 0.0]]
    """
    return _to_real("hfftn", input, s, dim, norm, True)


@named
def ihfftn(input: Core, s: Sizes = None, dim: Dims = None, norm: str | None = None) -> Tensor:
    """The inverse of hfftn

    >>> gu.fft.ihfftn(gu.ones(2, 4)).shape
    (2, 3)
    """
    return _from_real("ihfftn", input, s, dim, norm, False)


@named
def fft2(input: Core, s: Sizes = None, dim: Dims = (-2, -1), norm: str | None = None) -> Tensor:
    """fftn along the last two axes

    >>> gu.fft.fft2(gu.ones(3, 2, 2)).shape
    (3, 2, 2)
    """
    return _complex("fft2", input, s, dim, norm, True)


@named
def ifft2(input: Core, s: Sizes = None, dim: Dims = (-2, -1), norm: str | None = None) -> Tensor:
    """ifftn along the last two axes

    >>> gu.fft.ifft2(gu.ones(3, 2, 2)).shape
    (3, 2, 2)
    """
    return _complex("ifft2", input, s, dim, norm, False)


@named
def rfft2(input: Core, s: Sizes = None, dim: Dims = (-2, -1), norm: str | None = None) -> Tensor:
    """rfftn along the last two axes

    >>> gu.fft.rfft2(gu.ones(3, 2, 4)).shape
    (3, 2, 3)
    """
    return _from_real("rfft2", input, s, dim, norm, True)


@named
def irfft2(input: Core, s: Sizes = None, dim: Dims = (-2, -1), norm: str | None = None) -> Tensor:
    """irfftn along the last two axes

    >>> gu.fft.irfft2(gu.ones(3, 2, 3)).shape
    (3, 2, 4)
    """
    return _to_real("irfft2", input, s, dim, norm, False)


@named
def hfft2(input: Core, s: Sizes = None, dim: Dims = (-2, -1), norm: str | None = None) -> Tensor:
    """hfftn along the last two axes

    >>> gu.fft.hfft2(gu.ones(3, 2, 3)).shape
    (3, 2, 4)
    """
    return _to_real("hfft2", input, s, dim, norm, True)


@named
def ihfft2(input: Core, s: Sizes = None, dim: Dims = (-2, -1), norm: str | None = None) -> Tensor:
    """ihfftn along the last two axes

    >>> gu.fft.ihfft2(gu.ones(3, 2, 4)).shape
    (3, 2, 3)
    """
    return _from_real("ihfft2", input, s, dim, norm, False)
