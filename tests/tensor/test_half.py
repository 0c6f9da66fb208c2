"""16-bit floating types: sums and products run in float32 and are rounded once, as PyTorch does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import groundup as gu

torch = pytest.importorskip("torch")

TYPES = ("bfloat16", "float16")


def both(name: str, *shape: int, seed: int = 0) -> tuple[gu.Tensor, Any]:
    """The same random numbers as a tensor of either library."""
    data = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return gu.tensor(data).to(getattr(gu, name)), torch.from_numpy(data).to(getattr(torch, name))


def units(ours: gu.Tensor, exact: Any, name: str) -> float:
    """The greatest distance to float64 results, in units in the last place of the type."""
    assert ours.dtype is getattr(gu, name)
    got = ours.float().numpy().astype(np.float64)
    exact = exact.numpy()
    bits, least = (8, -133) if name == "bfloat16" else (11, -24)
    _, exponent = np.frexp(np.abs(exact))
    return float((np.abs(got - exact) / np.ldexp(1.0, np.maximum(exponent - bits, least))).max())


REDUCTIONS: dict[str, Callable[[Any], Any]] = {
    "sum": lambda x: x.sum(1), "mean": lambda x: x.mean(1), "all": lambda x: x.sum(),
    "var": lambda x: x.var(1), "std": lambda x: x.std(1), "logsumexp": lambda x: x.logsumexp(1),
    "softmax": lambda x: x.softmax(1), "log_softmax": lambda x: x.log_softmax(1),
    "norm": lambda x: x.norm(), "cumsum": lambda x: x.cumsum(1),
}  # fmt: skip


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("what", REDUCTIONS)
def test_a_reduction_is_rounded_once(what: str, name: str) -> None:
    a, b = both(name, 7, 3001)
    a, b = a.abs() + 0.25, b.abs() + 0.25
    assert units(REDUCTIONS[what](a), REDUCTIONS[what](b.double()), name) <= 0.6


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (3, 700, 5), (17, 33, 16), (64, 64, 64)])
def test_a_product_is_rounded_once(m: int, k: int, n: int, name: str) -> None:
    (a, ta), (b, tb) = both(name, m, k), both(name, k, n, seed=1)
    a, ta, b, tb = a.abs(), ta.abs(), b.abs(), tb.abs()
    assert units(a @ b, ta.double() @ tb.double(), name) <= 0.6
    assert units(gu.einsum("ik,kj->ij", a, b), ta.double() @ tb.double(), name) <= 0.6


@pytest.mark.parametrize("name", TYPES)
def test_compiled_equals_the_plain_loops(name: str) -> None:
    (a, _), (b, _) = both(name, 5, 37), both(name, 37, 3, seed=1)

    def results() -> list[list[Any]]:
        made = [a @ b, a.sum(0), a.mean(), a.prod(1), a.softmax(1)]
        return [np.asarray(r.float().numpy()) for r in made]

    with gu.debug():
        wanted = results()
    for got, reference in zip(results(), wanted, strict=True):
        eps = 2.0**-8 if name == "bfloat16" else 2.0**-11
        assert np.all(np.abs(got - reference) <= 2 * eps * np.abs(reference))


@pytest.mark.parametrize("name", TYPES)
def test_gradients_are_summed_in_float32(name: str) -> None:
    (a, ta), (b, tb) = both(name, 9, 600), both(name, 600, 8, seed=1)
    a, b = a.abs().detach().requires_grad_(), b.abs().detach().requires_grad_()
    ta, tb = ta.abs().double().requires_grad_(), tb.abs().double().requires_grad_()
    (a @ b).sum().backward()
    (ta @ tb).sum().backward()
    assert units(a.grad, ta.grad, name) <= 0.6
    assert units(b.grad, tb.grad, name) <= 0.6


@pytest.mark.parametrize("name", TYPES)
def test_the_axes_notation_sums_in_float32(name: str) -> None:
    a, b = both(name, 11, 2000)
    a, b = a.abs(), b.abs()
    i, k = gu.axes("i k")
    assert units(a[i, k].sum(k).order(i), b.double().sum(1), name) <= 0.6
    assert units(a[i, k].mean(k).order(i), b.double().mean(1), name) <= 0.6
    assert units((a[i, k] * a[i, k]).sum(k).order(i), (b.double() ** 2).sum(1), name) <= 0.6
    rounded = (a * a).sum(1)  # the product is a tensor of its own, with its own rounding
    assert units(rounded, (b * b).double().sum(1), name) <= 0.6
