"""gu.fft: values as NumPy's and torch's, gradients of any order, in jit, under autocast; errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import groundup as gu

RNG = np.random.default_rng(0)
ONE = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
REAL = ("rfft", "ihfft")  # of real numbers
TOLERANCE = {"float32": 2e-6, "float64": 1e-14}


def numbers(shape: tuple[int, ...], kind: str, real: bool) -> Any:
    x = RNG.standard_normal(shape)
    if not real:
        x = x + 1j * RNG.standard_normal(shape)
    return x.astype(kind if real else f"complex{int(kind[5:]) * 2}")


def close(ours: gu.Tensor, theirs: Any, kind: str) -> None:
    a, b = ours.detach().numpy(), np.asarray(theirs)
    assert a.shape == b.shape
    size = max(1.0, float(np.abs(b).max(initial=0)))
    assert np.abs(a - b).max(initial=0) <= TOLERANCE[kind] * size * 4


@pytest.mark.parametrize("name", ONE)
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_one_axis_as_numpys(name: str, kind: str) -> None:
    ours, theirs = getattr(gu.fft, name), getattr(np.fft, name)
    for shape in ((1,), (2,), (7,), (8,), (3, 0, 5), (2, 5, 6)):
        for n in (None, 1, 4, 9):
            for norm in (None, "ortho", "forward", "backward"):
                x = numbers(shape, kind, name in REAL)
                if n is None and shape[-1] == 1 and name in ("irfft", "hfft"):
                    continue  # no values are expected of one
                result = ours(gu.from_numpy(x), n=n, norm=norm)
                expected = theirs(x, n=n, norm=norm)
                bits = gu.complex64 if kind == "float32" else gu.complex128
                assert result.dtype is (bits.to_real() if name in ("irfft", "hfft") else bits)
                close(result, expected, kind)
    x = numbers((4, 3, 2), kind, name in REAL)
    close(ours(gu.from_numpy(x), dim=-2), theirs(x, axis=-2), kind)


@pytest.mark.peers
@pytest.mark.parametrize("name", [n + s for n in ONE for s in ("n", "2")])
def test_several_axes_and_their_gradients_as_torchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = getattr(gu.fft, name), getattr(torch.fft, name)
    for kwargs in (
        {}, {"s": (4, 3)}, {"s": (3, -1), "dim": (0, 2)}, {"dim": (-1, 0), "norm": "ortho"},
        {"dim": 1, "norm": "forward"}, {"s": 5, "dim": -2, "norm": "backward"},
    ):  # fmt: skip
        x = numbers((4, 5, 6), "float64", name[:-1] in REAL)
        a = gu.from_numpy(x).requires_grad_()
        b = torch.from_numpy(x).requires_grad_()
        y, z = ours(a, **kwargs), theirs(b, **kwargs)
        close(y, z.detach().resolve_conj().numpy(), "float64")
        weights = numbers(tuple(z.shape), "float64", not z.is_complex())
        y.backward(gu.from_numpy(weights))
        z.backward(torch.from_numpy(weights))
        assert a.grad is not None
        close(a.grad, b.grad.resolve_conj().numpy(), "float64")


@pytest.mark.parametrize("name", ONE)
@pytest.mark.parametrize("n", [5, 6])
def test_gradients_of_gradients(name: str, n: int) -> None:
    """Of Σ |f(x)|⁴, by finite differences of its gradients."""
    shape = (n // 2 + 1,) if name in ("irfft", "hfft") else (n,)
    x = numbers(shape, "float64", name in REAL)
    direction = numbers(shape, "float64", name in REAL)

    def slope(at: Any) -> gu.Tensor:
        z = gu.from_numpy(np.stack([at.real, at.imag], -1)).requires_grad_()
        return z

    def gradient(z: gu.Tensor) -> gu.Tensor:
        value = z[..., 0].contiguous() if name in REAL else gu.view_as_complex(z)
        y = getattr(gu.fft, name)(value, n=n)
        square = y * y if not y.is_complex() else y.real * y.real + y.imag * y.imag
        (found,) = gu.derivatives((square * square).sum(), [z], create_graph=True)
        assert found is not None
        return found

    z = slope(x)
    pair = gu.from_numpy(np.stack([direction.real, direction.imag], -1))
    (twice,) = gu.derivatives((gradient(z) * pair).sum(), [z])
    assert twice is not None
    h = 1e-5
    ahead, behind = (gradient(slope(x + s * h * direction)).detach() for s in (1, -1))
    expected = ((ahead - behind) / (2 * h)).numpy()
    room = 1e-6 * np.abs(expected).max()
    np.testing.assert_allclose(twice.numpy(), expected, rtol=1e-6, atol=room)


@pytest.mark.parametrize("kind", ["int64", "bool", "uint8"])
def test_integers_are_float32(kind: str) -> None:
    x = gu.tensor([1, 0, 1, 1]).to(getattr(gu, kind + "_" if kind == "bool" else kind))
    for name in ONE:
        y = getattr(gu.fft, name)(x)
        assert y.dtype.to_real() is gu.float32
        close(y, getattr(np.fft, name)(x.numpy()), "float32")


def test_views_nans_and_infinities() -> None:
    x = gu.from_numpy(RNG.standard_normal((4, 6)))
    for view in (x.T, x[::2], x[:, 1:5], x[0].expand(3, 6), x.unsqueeze(0)):
        close(gu.fft.fft(view), np.fft.fft(view.numpy()), "float64")
        close(gu.fft.irfft(gu.fft.rfft(view)), view.numpy(), "float64")
    z = gu.fft.fft(x)
    close(gu.fft.ifft(z.T, dim=0), x.numpy().T, "float64")
    close(gu.fft.ifft(z.conj()), np.fft.ifft(z.numpy().conj()), "float64")
    for bad in (math.nan, math.inf):
        y = gu.fft.fft(gu.tensor([[bad, 1.0], [1.0, 2.0]])).numpy()
        assert np.isnan(y[0]).all() or np.isinf(y[0].real).any()
        assert y[1].tolist() == [3, -1]
    assert gu.fft.fft(gu.zeros(0, 4)).shape == (0, 4)
    assert gu.fft.rfft(gu.zeros(0, 4)).shape == (0, 3)
    assert gu.fft.irfft(gu.zeros(0, 3)).shape == (0, 4)
    assert gu.fft.fftn(gu.tensor(2.0)).item() == 2.0
    assert gu.fft.fftn(gu.ones(2, 3), dim=()).shape == (2, 3)


def test_a_captured_step_is_the_plain_one() -> None:
    kernel = gu.randn(8, generator=gu.Generator(1)).requires_grad_()

    def step(x: gu.Tensor) -> tuple[gu.Tensor, gu.Tensor]:
        y = gu.fft.irfft(gu.fft.rfft(x * 2) * gu.fft.rfft(kernel), n=8)
        (g,) = gu.derivatives((y * y).sum(), [kernel])
        assert g is not None
        return y.detach() + 1, g

    captured = gu.jit(step)
    for k, size in enumerate((3, 3, 3, 5)):
        x = gu.randn(size, 8, generator=gu.Generator(k + 5))
        for a, b in zip(captured(x), step(x)):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-5)
    with gu.debug():
        x = gu.randn(3, 8, generator=gu.Generator(5))
        for a, b in zip(step(x), captured(x)):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-5)


def test_under_autocast_it_is_float32() -> None:
    a = gu.randn(4, 4, generator=gu.Generator(2)).requires_grad_()
    with gu.autocast():
        y = a @ a
        z = gu.fft.fft(y)
    assert y.dtype is gu.bfloat16 and z.dtype is gu.complex64
    z.real.sum().backward()
    assert a.grad is not None and a.grad.isfinite().all().item()
    with pytest.raises(TypeError, match="bfloat16 has no"):
        gu.fft.fft(y)


ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: gu.fft.fft(gu.tensor(1.0)), IndexError, "0-d"),
    (lambda: gu.fft.fft(gu.ones(2), dim=1), IndexError, "fft"),
    (lambda: gu.fft.fft(gu.ones(2), n=0), RuntimeError, "1 value or more, not 0"),
    (lambda: gu.fft.fft(gu.ones(2, 0)), RuntimeError, "1 value or more"),
    (lambda: gu.fft.irfft(gu.ones(1)), RuntimeError, "1 value or more, not 0"),
    (lambda: gu.fft.fft(gu.ones(2), norm="big"), ValueError, "norm is"),
    (lambda: gu.fft.rfft(gu.tensor([1j])), TypeError, "real numbers"),
    (lambda: gu.fft.fftn(gu.ones(2, 2), dim=(0, -2)), ValueError, "once"),
    (lambda: gu.fft.fftn(gu.ones(2, 2), s=(2,), dim=(0, 1)), ValueError, "have 1 and 2"),
    (lambda: gu.fft.fftn(gu.ones(2), s=(2, 2)), RuntimeError, "s has 2 sizes"),
    (lambda: gu.fft.rfftn(gu.tensor(1.0)), ValueError, "at least one axis"),
    (lambda: gu.fft.fft(gu.ones(2, dtype=gu.float16)), TypeError, "float16"),
    (lambda: gu.fft.fft([1.0]), TypeError, "list"),  # type: ignore[arg-type]
    (lambda: gu.fft.fft(gu.ones(2), n=(2,)), TypeError, "whole number"),  # type: ignore[arg-type]
    (lambda: gu.fft.fftfreq(0), ValueError, "from 1 on"),
    (lambda: gu.fft.fftfreq(3, 0.0), ValueError, "distance"),
    (lambda: gu.fft.fftfreq(3, dtype=gu.int64), TypeError, "floating"),
]


@pytest.mark.parametrize("case", range(len(ERRORS)))
def test_errors_say_what_is_wrong_and_where(case: int) -> None:
    call, kind, text = ERRORS[case]
    with pytest.raises(kind, match=text) as error:
        call()
    assert "test_transforms.py" in str(error.value)


def test_frequencies_and_shifts_as_numpys() -> None:
    for n in (1, 2, 5, 8):
        close(gu.fft.fftfreq(n, 0.1, dtype=gu.float64), np.fft.fftfreq(n, 0.1), "float64")
        close(gu.fft.rfftfreq(n, 0.1, dtype=gu.float64), np.fft.rfftfreq(n, 0.1), "float64")
    assert gu.fft.fftfreq(3).dtype is gu.float32
    assert gu.fft.rfftfreq(3, requires_grad=True).is_leaf
    x = RNG.standard_normal((4, 5)) + 1j
    for a in (x, x.real.copy()):
        for dim in (None, 0, (0, 1), -1):
            for name in ("fftshift", "ifftshift"):
                expected = getattr(np.fft, name)(a, axes=dim)
                close(getattr(gu.fft, name)(gu.from_numpy(a), dim), expected, "float64")
    assert gu.fft.fftshift(gu.zeros(0)).shape == (0,)
