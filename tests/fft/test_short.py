"""stft and istft: values and gradients as torch's, the signal again, errors; windows."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import groundup as gu

RNG = np.random.default_rng(3)


def both(torch: Any, array: Any) -> tuple[gu.Tensor, Any]:
    return gu.from_numpy(array).requires_grad_(), torch.from_numpy(array).requires_grad_()


def compared(ours: gu.Tensor, theirs: Any, leaves: list[tuple[gu.Tensor, Any]]) -> None:
    """Values and gradients, with random weights."""
    expected = theirs.detach().resolve_conj().numpy()
    assert ours.dtype.name == expected.dtype.name
    np.testing.assert_allclose(ours.detach().numpy(), expected, rtol=1e-11, atol=1e-12)
    weights = RNG.standard_normal(expected.shape).astype(expected.dtype)
    ours.backward(gu.from_numpy(weights))
    theirs.backward(torch_of(weights))
    for a, b in leaves:
        assert a.grad is not None
        got, want = a.grad.numpy(), b.grad.resolve_conj().numpy()
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-11)


def torch_of(array: Any) -> Any:
    import torch

    return torch.from_numpy(array)


FORWARD: list[dict[str, Any]] = [
    {"n_fft": 8, "return_complex": True},
    {"n_fft": 7, "hop_length": 3, "return_complex": True, "center": False},
    {"n_fft": 8, "hop_length": 2, "window": 8, "return_complex": True, "normalized": True},
    {"n_fft": 9, "win_length": 6, "window": 6, "return_complex": True, "onesided": False},
    {"n_fft": 8, "win_length": 5, "return_complex": False, "pad_mode": "constant"},
    {"n_fft": 8, "return_complex": True, "pad_mode": "circular"},
    {"n_fft": 8, "return_complex": True, "pad_mode": "replicate"},
    {"n_fft": 8, "win_length": 5, "window": 5, "return_complex": True, "center": False,
     "align_to_window": True},
    {"n_fft": 8, "win_length": 5, "window": 5, "return_complex": True, "center": False,
     "align_to_window": False},
]  # fmt: skip


@pytest.mark.peers
@pytest.mark.parametrize("case", range(len(FORWARD)))
@pytest.mark.parametrize("of_complex", [False, True])
def test_stft_as_torchs(case: int, of_complex: bool) -> None:
    torch = pytest.importorskip("torch")
    for shape in ((30,), (3, 21)):
        options = dict(FORWARD[case])
        if options.get("align_to_window") and len(shape) == 2:
            continue  # torch reads beyond its memory's end there, and says so
        x = RNG.standard_normal(shape)
        if of_complex:
            x = x + 1j * RNG.standard_normal(shape)
        a, b = both(torch, x)
        leaves, theirs = [(a, b)], dict(options)
        if "window" in options:
            w = both(torch, RNG.standard_normal(options["window"]))
            options["window"], theirs["window"] = w
            leaves.append(w)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            z = torch.stft(b, **theirs)
        compared(gu.stft(a, **options), z, leaves)


BACK: list[dict[str, Any]] = [
    {"n_fft": 8, "window": "hann"},
    {"n_fft": 9, "hop_length": 4},
    {"n_fft": 8, "hop_length": 2, "window": "hamming", "normalized": True},
    {"n_fft": 8, "hop_length": 3, "window": "hamming", "center": False, "length": 13},
    {"n_fft": 8, "win_length": 6, "hop_length": 1, "window": "hamming", "onesided": False},
    {"n_fft": 9, "window": "hamming", "onesided": False, "return_complex": True},
    {"n_fft": 8, "window": "hamming", "length": 40},
]


@pytest.mark.peers
@pytest.mark.parametrize("case", range(len(BACK)))
def test_istft_as_torchs(case: int) -> None:
    torch = pytest.importorskip("torch")
    options = dict(BACK[case])
    n = options["n_fft"]
    rows = n if options.get("onesided") is False else n // 2 + 1
    for lead in ((), (2,)):
        shape = (*lead, rows, 7)
        a, b = both(torch, RNG.standard_normal(shape) + 1j * RNG.standard_normal(shape))
        ours, theirs, leaves = dict(options), dict(options), [(a, b)]
        if "window" in options:
            length = options.get("win_length", n)
            make = getattr(np, options["window"] + "ing" if options["window"] == "hann" else
                           options["window"])  # fmt: skip
            w = both(torch, make(length + 1)[:length] + 0.1)
            ours["window"], theirs["window"] = w
            leaves.append(w)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            z = torch.istft(b, **theirs)
        compared(gu.istft(a, **ours), z, leaves)


@pytest.mark.parametrize("hop", [1, 2, 4])
@pytest.mark.parametrize("n", [7, 8])
def test_the_signal_again_in_jit_too(n: int, hop: int) -> None:
    window = gu.hamming_window(n)

    def again(x: gu.Tensor) -> gu.Tensor:
        spectra = gu.stft(x, n, hop, window=window, return_complex=True)
        return gu.istft(spectra, n, hop, window=window, length=int(x.shape[-1]))

    x = gu.randn(2, 33, generator=gu.Generator(1))
    captured = gu.jit(again)
    for _ in range(3):
        np.testing.assert_allclose(again(x).numpy(), x.numpy(), atol=2e-6)
        np.testing.assert_allclose(captured(x).numpy(), x.numpy(), atol=2e-6)


def _spectra() -> gu.Tensor:
    return gu.stft(gu.ones(32), 8, return_complex=True)


ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: gu.stft(gu.ones(8), 4), TypeError, "return_complex"),
    (lambda: gu.stft(gu.ones(8), 0, return_complex=True), ValueError, "n_fft"),
    (lambda: gu.stft(gu.ones(8), 3, return_complex=True), ValueError, "hop_length"),
    (lambda: gu.stft(gu.ones(8), 4, 0, return_complex=True), ValueError, "hop_length"),
    (lambda: gu.stft(gu.ones(8), 4, 1, 5, return_complex=True), ValueError, "win_length"),
    (lambda: gu.stft(gu.ones(8), 4, window=gu.ones(3)), RuntimeError, "window"),
    (lambda: gu.stft(gu.ones(2, 2, 8), 4, return_complex=True), RuntimeError, "one axis"),
    (lambda: gu.stft(gu.ones(3), 8, return_complex=True), RuntimeError, "enlarged by 4"),
    (lambda: gu.stft(gu.ones(3), 8, center=False, return_complex=True), RuntimeError, "3 values"),
    (lambda: gu.stft(gu.ones(8), 4, pad_mode="odd", return_complex=True), ValueError, "pad_mode"),
    (lambda: gu.stft(gu.tensor([1j] * 8), 4, onesided=True), ValueError, "onesided"),
    (lambda: gu.istft(gu.ones(5, 3), 8), TypeError, "complex"),
    (lambda: gu.istft(_spectra(), 12), RuntimeError, "frequencies"),
    (lambda: gu.istft(_spectra(), 8, 5, 4), ValueError, "more than win_length"),
    (lambda: gu.istft(_spectra(), 8, window=gu.zeros(8)), ValueError, "no weight"),
    (lambda: gu.istft(_spectra(), 8, return_complex=True), ValueError, "real signals"),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(ERRORS)))
def test_errors_say_what_is_wrong_and_where(case: int) -> None:
    call, kind, text = ERRORS[case]
    with pytest.raises(kind, match=text) as error:
        call()
    assert "test_short.py" in str(error.value)


@pytest.mark.peers
@pytest.mark.parametrize("name", ["hann", "hamming", "blackman", "bartlett", "kaiser"])
def test_windows_as_torchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = getattr(gu, f"{name}_window"), getattr(torch, f"{name}_window")
    for n in (0, 1, 2, 5, 8):
        for periodic in (True, False):
            got = ours(n, periodic, dtype=gu.float64).numpy()
            want = theirs(n, periodic, dtype=torch.float64).numpy()
            np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-15)
    with pytest.raises(TypeError, match="periodic"):
        ours(4, 3)
