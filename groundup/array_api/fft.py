"""The Fourier transform extension of the array API standard.

Thin functions over groundup's own. Must not hold any meaning of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from groundup.ir.dtype import DType
from groundup.tensor import Tensor
from groundup.tensor import fft as transforms
from groundup.tensor.errors import at_line

from .types import DEFAULT_REAL, Device, check_device, check_dtype, checked

Norm = Literal["backward", "ortho", "forward"]


def _real(name: str, x: Tensor) -> None:
    checked(name, x)
    if not x.dtype.is_float:
        raise TypeError(f"{name} is of real floating numbers, not {x.dtype.name}" + at_line())


def _floating(name: str, x: Tensor) -> None:
    checked(name, x)
    if not (x.dtype.is_float or x.dtype.is_complex):
        raise TypeError(f"{name} is of floating numbers, not {x.dtype.name}" + at_line())


def _axes(name: str, x: Tensor, s: Sequence[int] | None, axes: Sequence[int] | None) -> None:
    if s is not None and axes is None:
        raise ValueError(f"{name}: s, the sizes, needs axes" + at_line())


def fft(x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: Norm = "backward") -> Tensor:
    """y[k] = Σ_t x[t]·e^(−2πi·k·t/n) along an axis, in n points"""
    _floating("fft", x)
    return transforms.fft(x, n, axis, norm)


def ifft(x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: Norm = "backward") -> Tensor:
    """The inverse of fft"""
    _floating("ifft", x)
    return transforms.ifft(x, n, axis, norm)


def rfft(x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: Norm = "backward") -> Tensor:
    """fft of real numbers, without the half that mirrors the other"""
    _real("rfft", x)
    return transforms.rfft(x, n, axis, norm)


def irfft(x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: Norm = "backward") -> Tensor:
    """The inverse of rfft, in n real points, 2·(size − 1) unless given"""
    _floating("irfft", x)
    return transforms.irfft(x, n, axis, norm)


def hfft(x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: Norm = "backward") -> Tensor:
    """fft of what mirrors itself, given by half: real numbers, n of them"""
    _floating("hfft", x)
    return transforms.hfft(x, n, axis, norm)


def ihfft(x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: Norm = "backward") -> Tensor:
    """The inverse of hfft"""
    _real("ihfft", x)
    return transforms.ihfft(x, n, axis, norm)


def fftn(
    x: Tensor,
    /,
    *,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: Norm = "backward",
) -> Tensor:
    """fft along several axes, all unless named"""
    _floating("fftn", x)
    _axes("fftn", x, s, axes)
    return transforms.fftn(x, s, axes, norm)


def ifftn(
    x: Tensor,
    /,
    *,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: Norm = "backward",
) -> Tensor:
    """The inverse of fftn"""
    _floating("ifftn", x)
    _axes("ifftn", x, s, axes)
    return transforms.ifftn(x, s, axes, norm)


def rfftn(
    x: Tensor,
    /,
    *,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: Norm = "backward",
) -> Tensor:
    """fftn of real numbers, without half of the last axis"""
    _real("rfftn", x)
    _axes("rfftn", x, s, axes)
    return transforms.rfftn(x, s, axes, norm)


def irfftn(
    x: Tensor,
    /,
    *,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: Norm = "backward",
) -> Tensor:
    """The inverse of rfftn"""
    _floating("irfftn", x)
    _axes("irfftn", x, s, axes)
    return transforms.irfftn(x, s, axes, norm)


def fftfreq(
    n: int, /, *, d: float = 1.0, dtype: DType | None = None, device: Device | None = None
) -> Tensor:
    """The frequencies of fft's results, of samples a distance d apart"""
    check_dtype("fftfreq", dtype)
    check_device("fftfreq", device)
    return transforms.fftfreq(n, d, dtype=DEFAULT_REAL if dtype is None else dtype)


def rfftfreq(
    n: int, /, *, d: float = 1.0, dtype: DType | None = None, device: Device | None = None
) -> Tensor:
    """The frequencies of rfft's results, of samples a distance d apart"""
    check_dtype("rfftfreq", dtype)
    check_device("rfftfreq", device)
    return transforms.rfftfreq(n, d, dtype=DEFAULT_REAL if dtype is None else dtype)


def fftshift(x: Tensor, /, *, axes: int | Sequence[int] | None = None) -> Tensor:
    """The frequency 0 moved into the middle of axes"""
    checked("fftshift", x)
    return transforms.fftshift(x, axes)


def ifftshift(x: Tensor, /, *, axes: int | Sequence[int] | None = None) -> Tensor:
    """The inverse of fftshift"""
    checked("ifftshift", x)
    return transforms.ifftshift(x, axes)


__all__ = [
    "fft", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifftn", "ifftshift", "ihfft", "irfft",
    "irfftn", "rfft", "rfftfreq", "rfftn",
]  # fmt: skip
