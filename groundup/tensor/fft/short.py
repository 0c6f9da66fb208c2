"""Short-time Fourier transforms: the spectrum of each of many overlapping parts of a signal, and
the signal again.

Must not know how a transform runs.
"""

from __future__ import annotations

from typing import Any

from .. import pointwise as pw
from .. import shape
from ..arrange import unfold
from ..complex.tensor import ComplexTensor
from ..core import Core, Paired
from ..create import ones
from ..edges import outside
from ..errors import ShapeError, at_line, lined_up
from ..generator import known
from ..misuse import named
from ..notation import axis
from ..tensor import Tensor
from . import kernels
from .operands import real_input
from .transforms import fft, ifft


def _checked(
    name: str, n_fft: int, hop: int | None, length: int | None, window: Core | None
) -> tuple[int, int]:
    """The distance of frames and the length of the window; raises unless all fit."""
    for key, value in (("n_fft", n_fft), ("hop_length", hop), ("win_length", length)):
        if not isinstance(value, int) and (value is not None or key == "n_fft"):
            raise TypeError(
                f"{name}: {key} is a whole number, not a {type(value).__name__}" + at_line()
            )
    if n_fft < 1:
        raise ValueError(f"{name}: n_fft is 1 or more, not {n_fft}" + at_line())
    step = n_fft // 4 if hop is None else hop
    if step < 1:
        raise ValueError(
            f"{name}: hop_length (n_fft // 4, if left out) is 1 or more, not {step}" + at_line()
        )
    wide = n_fft if length is None else length
    if not 1 <= wide <= n_fft:
        raise ValueError(f"{name}: win_length is from 1 to n_fft = {n_fft}, not {wide}" + at_line())
    if window is not None and not isinstance(window, Tensor):
        raise TypeError(f"{name}: a window is a tensor, not a {type(window).__name__}" + at_line())
    if window is not None and tuple(map(int, window._shape)) != (wide,):
        raise ShapeError(
            f"{name}: the window has win_length = {wide} weights along one axis"
            + lined_up(window=window._shape) + at_line()
        )  # fmt: skip
    return step, wide


def _window(window: Tensor | None, n_fft: int, wide: int, like: Tensor) -> Tensor:
    """The window in the middle of n_fft values."""
    w = ones(wide, dtype=like.dtype.to_real()) if window is None else window
    left = (n_fft - wide) // 2
    return _padded(w, [left, n_fft - wide - left])


def _padded(a: Tensor, amounts: list[int]) -> Tensor:
    """The last axis enlarged by zeros (before, after)."""
    if not any(amounts):
        return a
    if isinstance(a, Paired):
        return a.over(lambda pairs: shape.pad(pairs, [0, 0, *amounts]))
    return shape.pad(a, amounts)


def _over(a: Tensor, f: Any) -> Tensor:
    """A function of the axes from the front, of real or complex numbers."""
    result: Tensor = a.over(f) if isinstance(a, Paired) else f(a)
    return result


@named
def stft(
    input: Core, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
    window: Tensor | None = None, center: bool = True, pad_mode: str = "reflect",
    normalized: bool = False, onesided: bool | None = None, return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Tensor:  # fmt: skip
    """Spectra of overlapping parts: X[k, m] = Σ_t w[t] · x[m·hop + t] · e^(−2πi·k·t/n_fft)

    input: a signal (L,) or a batch (B, L), real or complex. Result: (…, frequencies, frames):
    ⌊n_fft/2⌋ + 1 frequencies if onesided (the default of real numbers), else n_fft; complex, or,
    with return_complex=False, with pairs as the last axis. hop_length: n_fft // 4 by default.
    window: win_length weights (1 by default), in the middle of n_fft. center: the signal is
    enlarged by n_fft // 2 at both ends, as `gu.pad` does in pad_mode, so that frame m has its
    middle at m·hop. normalized: divided by √n_fft. align_to_window: without center, the first
    window, not the first n_fft values, begins with the signal.

    Raises TypeError where return_complex is left out for real numbers, ShapeError for a signal that
    is too short.

    >>> gu.stft(gu.ones(16), 4, window=gu.ones(4), return_complex=True).shape
    (3, 17)
    """
    step, wide = _checked("stft", n_fft, hop_length, win_length, window)
    x = input if isinstance(input, ComplexTensor) else real_input("stft", input)
    if x.ndim not in (1, 2):
        raise ShapeError(
            "stft: a signal has one axis, a batch of them two" + lined_up(input=x._shape)
            + at_line()
        )  # fmt: skip
    of_complex = isinstance(x, Paired) or isinstance(window, Paired)
    if return_complex is None and not of_complex:
        raise TypeError(
            "stft: say return_complex=True for complex numbers, or False for pairs of real ones"
            + at_line()
        )
    half = not of_complex if onesided is None else onesided
    if half and of_complex:
        raise ValueError(
            "stft: onesided spectra are of real signals with a real window; write onesided=False"
            + at_line()
        )
    if center and align_to_window is not None:
        raise ValueError("stft: align_to_window is for center=False" + at_line())
    if center:
        x = _enlarged(x, n_fft // 2, pad_mode)
    elif align_to_window:
        left = (n_fft - wide) // 2
        amounts = [left, n_fft - wide - left]
        x = _padded(x, amounts)
    if int(x._shape[-1]) < n_fft:
        raise ShapeError(
            f"stft: n_fft is {n_fft}, and the signal" + (", enlarged," if center else "")
            + f" has {int(x._shape[-1])} values" + lined_up(input=x._shape) + at_line()
        )  # fmt: skip
    frames = _framed(x, n_fft, step) * _window(window, n_fft, wide, x)
    factor = n_fft**-0.5 if normalized else 1.0
    last = frames.ndim - 1
    if half:
        spectra: Tensor = ComplexTensor(kernels.real_to_complex(frames, last, factor))
    else:
        spectra = fft(frames, norm="ortho" if normalized else None)
    spectra = shape.transpose(spectra, -1, -2)
    if return_complex is False:
        from ..complex.parts import view_as_real

        return view_as_real(spectra)
    return spectra


def _enlarged(x: Tensor, by: int, mode: str) -> Tensor:
    """A signal with more values at both ends."""
    if mode not in ("constant", "reflect", "replicate", "circular"):
        raise ValueError(
            f"stft: pad_mode is 'constant', 'reflect', 'replicate' or 'circular', not {mode!r}"
            + at_line()
        )
    n = int(x._shape[-1])
    if (mode == "reflect" and by >= n) or (mode == "circular" and by > n) or not n:
        raise ShapeError(
            f"stft: the signal is enlarged by {by} at both ends ({mode}), for which its {n} values "
            f"are too few; a smaller n_fft, or center=False" + lined_up(input=x._shape) + at_line()
        )
    if not isinstance(x, Paired):
        return shape.pad(x, [by, by], mode)
    turned = shape.transpose(x._pair, -1, -2)
    return ComplexTensor(shape.transpose(shape.pad(turned, [by, by], mode), -1, -2))


def _framed(x: Tensor, n: int, step: int) -> Tensor:
    """(…, L) as overlapping parts (…, frames, n)."""
    d = x.ndim - 1
    if not isinstance(x, Paired):
        return unfold(x, d, n, step)
    return ComplexTensor(shape.transpose(unfold(x._pair, d, n, step), -1, -2))


@named
def istft(
    input: Core, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
    window: Tensor | None = None, center: bool = True, normalized: bool = False,
    onesided: bool | None = None, length: int | None = None, return_complex: bool = False,
) -> Tensor:  # fmt: skip
    """The signal of which these are the spectra, as stft gives them: overlapping parts are weighted
    with the window once more, summed, and divided by the sum of its squares (D. Griffin, J. Lim,
    Signal estimation from modified short-time Fourier transform, 1984).

    input: complex, (frequencies, frames) or (B, frequencies, frames); onesided by default where
    there are not n_fft frequencies. Result: (L,) or (B, L), real; complex if return_complex, of
    spectra that are not onesided. length: of the signal, which stft's frames may not cover.

    Raises ValueError where the windows leave a value of the signal without any weight.

    >>> x = gu.arange(16.0)
    >>> spectra = gu.stft(x, 8, window=gu.ones(8), return_complex=True)
    >>> gu.allclose(gu.istft(spectra, 8, window=gu.ones(8)), x, atol=1e-5)
    True
    """
    step, wide = _checked("istft", n_fft, hop_length, win_length, window)
    if not isinstance(input, Paired):
        kind = input.dtype.name if isinstance(input, Core) else type(input).__name__
        raise TypeError(
            f"istft takes complex spectra, not {kind}; of pairs: gu.view_as_complex(x)" + at_line()
        )
    if input.ndim not in (2, 3) or 0 in tuple(map(int, input._shape)):
        raise ShapeError(
            "istft: spectra have two axes (frequencies, frames), a batch three, none of size 0"
            + lined_up(input=input._shape) + at_line()
        )  # fmt: skip
    if step > wide:
        raise ValueError(
            f"istft: hop_length {step} is more than win_length {wide}, so some of the signal is in "
            f"no window" + at_line()
        )
    count, frames = int(input._shape[-2]), int(input._shape[-1])
    half = count != n_fft if onesided is None else onesided
    expected = n_fft // 2 + 1 if half else n_fft
    if count != expected:
        raise ShapeError(
            f"istft: {expected} frequencies are expected (onesided={half}, n_fft={n_fft}), not "
            f"{count}" + lined_up(2, input=input._shape) + at_line()
        )
    if return_complex and half:
        raise ValueError("istft: onesided spectra are of real signals; return_complex=False"
                         + at_line())  # fmt: skip
    if window is not None and window.dtype.is_complex and not return_complex:
        raise ValueError("istft: with a complex window, the signal is complex: return_complex=True"
                         + at_line())  # fmt: skip
    spectra: Tensor = shape.transpose(input, -1, -2)
    parts = _parts(spectra, n_fft, normalized, return_complex)
    w = _window(window, n_fft, wide, spectra)
    signal = _summed(parts * w, step)
    weights = _summed(shape.expand((w * w).reshape(1, n_fft), (frames, n_fft)), step)
    return _cut(signal, weights, n_fft // 2 if center else 0, center, length)


def _parts(spectra: Tensor, n: int, normalized: bool, return_complex: bool) -> Tensor:
    """The parts of a signal (…, frames, n) of their spectra (…, frames, frequencies)."""
    if return_complex:
        return ifft(spectra, norm="ortho" if normalized else None)
    assert isinstance(spectra, Paired)
    pairs = spectra._pair
    pairs = shape.narrow(pairs, pairs.ndim - 2, 0, n // 2 + 1)
    return kernels.complex_to_real(pairs, pairs.ndim - 2, n, n**-0.5 if normalized else 1 / n)


def _summed(parts: Tensor, step: int) -> Tensor:
    """y[…, t] = Σ_m parts[…, m, t − m·step], of (…, frames, n): of each residue of t by step, the
    sum of the n/step parts that reach it."""
    if isinstance(parts, Paired):
        re, im = (_summed(shape.select(parts._pair, -1, k), step) for k in (0, 1))
        return ComplexTensor(shape.stack([re, im], -1))
    *lead, frames, n = map(int, parts._shape)
    blocks = -(-n // step)
    wide = shape.pad(parts, [0, blocks * step - n])
    wide = shape.reshape(wide, (-1, frames, blocks, step))
    b, q, j, r = axis("b"), axis("q", frames + blocks - 1), axis("j", blocks), axis("r")
    total = outside(wide, 0)[b, q - j, j, r].sum(j).order(b, q, r)
    whole = shape.reshape(total, (*lead, (frames + blocks - 1) * step))
    return shape.narrow(whole, whole.ndim - 1, 0, n + step * (frames - 1))


def _cut(signal: Tensor, weights: Tensor, start: int, center: bool, length: int | None) -> Tensor:
    """The signal divided by the weights, without what stft had added at its ends."""
    have = int(signal._shape[-1])
    end = start + length if length is not None else have - start if center else have
    stop = min(end, have)
    if stop <= start:
        raise ShapeError(
            f"istft: nothing is left of {have} values, from {start} up to but without {end}"
            + at_line()
        )
    size = stop - start
    weights = _over(weights, lambda a: shape.narrow(a, 0, start, size))
    signal = _over(signal, lambda a: shape.narrow(a, signal.ndim - 1, start, size))
    if known() and float(pw.absolute(weights.detach()).amin().item()) < 1e-11:
        raise ValueError(
            "istft: a value of the signal has no weight: all windows that reach it are 0 there. "
            "A hop_length below win_length / 2, a window without 0, or center=True" + at_line()
        )
    return _padded(signal / weights, [0, end - stop])
