"""einops on tensors: its functions for the array API, and its plain ones; NumPy's results."""

from collections.abc import Callable
from typing import Any

import einops
import einops.array_api
import numpy as np
import pytest

import groundup as gu

WAYS = {"array_api": einops.array_api, "plain": einops}
X = np.arange(2 * 3 * 4 * 6, dtype="float32").reshape(2, 3, 4, 6)
PATTERNS: dict[str, Callable[[Any, Any], Any]] = {
    "reorder": lambda e, x: e.rearrange(x, "b c h w -> w (b h) c"),
    "split": lambda e, x: e.rearrange(x, "b c (h p) (w q) -> (b h w) (p q c)", p=2, q=3),
    "ellipsis": lambda e, x: e.rearrange(x, "b ... -> ... b"),
    "new axes": lambda e, x: e.rearrange(x, "b c h w -> b 1 c h 1 w"),
    "identity": lambda e, x: e.rearrange(x, "... -> ..."),
    "list": lambda e, x: e.rearrange([x, x], "n b c h w -> b (n c) h w"),
    "max pooling": lambda e, x: e.reduce(x, "b c (h p) (w q) -> b c h w", "max", p=2, q=2),
    "mean": lambda e, x: e.reduce(x, "b c h w -> b c", "mean"),
    "sum of all": lambda e, x: e.reduce(x, "b c h w ->", "sum"),
    "least": lambda e, x: e.reduce(x, "b c h w -> h () b", "min"),
    "product": lambda e, x: e.reduce(x / 50, "b c h w -> b h", "prod"),
    "repeat": lambda e, x: e.repeat(x, "b c h w -> b (c k) h w", k=2),
    "tile": lambda e, x: e.repeat(x, "b c h w -> (k b) c h w n", k=3, n=2),
}


@pytest.fixture(autouse=True)
def registered() -> None:
    gu.register_einops()
    gu.register_einops()  # again changes nothing


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns(way: str, pattern: str) -> None:
    f = PATTERNS[pattern]
    with gu.debug():
        got = f(WAYS[way], gu.from_numpy(X))
        assert isinstance(got, gu.Tensor)
        np.testing.assert_allclose(got.numpy(), f(einops, X), rtol=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_pack_and_unpack(way: str) -> None:
    e = WAYS[way]
    a, b, c = gu.ones(2, 3, 5), gu.zeros(2, 5), gu.ones(2, 7, 2, 5)
    packed, shapes = e.pack([a, b, c], "i * k")
    assert packed.shape == (2, 18, 5)
    for x, y in zip(e.unpack(packed, shapes, "i * k"), (a, b, c), strict=True):
        assert x.tolist() == y.tolist()
    assert type(e.asnumpy(a)) is np.ndarray


def test_einsum_and_truth() -> None:
    x = gu.from_numpy(X)
    got = einops.einsum(x, x, "b c h w, b d h w -> b c d")
    np.testing.assert_allclose(got.numpy(), np.einsum("bchw,bdhw->bcd", X, X), rtol=1e-5)
    for name in ("any", "all"):
        for e in WAYS.values():
            got = e.reduce(x > 60, "b c h w -> b c", name)
            assert got.tolist() == einops.reduce(X > 60, "b c h w -> b c", name).tolist()
    assert einops.parse_shape(x, "b c _ w") == {"b": 2, "c": 3, "w": 6}
    assert einops.asnumpy(x.requires_grad_()).shape == (2, 3, 4, 6)


@pytest.mark.parametrize("way", WAYS)
def test_derivatives_flow(way: str) -> None:
    e = WAYS[way]
    x = gu.from_numpy(X).requires_grad_()
    y = e.reduce(e.rearrange(x, "b c h w -> b (h w) c"), "b t c -> c", "sum")
    (y * gu.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert x.grad is not None
    assert x.grad[1, :, 2, 3].tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("way", WAYS)
def test_in_a_captured_function_of_any_batch(way: str) -> None:
    """einops remembers the shapes that it has seen; those of one capture are no part of another."""
    e = WAYS[way]

    @gu.jit
    def f(x: gu.Tensor) -> gu.Tensor:
        y = e.rearrange(x * 2, "(b k) c -> b (k c)", k=2)
        return e.repeat(y, "b c -> (b n) c", n=2)

    @gu.jit
    def g(x: gu.Tensor) -> gu.Tensor:
        return e.reduce(e.rearrange(x, "a b -> b a") + 1, "b a -> a b", "sum")

    for n in (4, 6, 8, 4, 2, 12, 8, 6):
        x = gu.arange(n * 3.0).reshape(n, 3)
        want = np.repeat((x.numpy() * 2).reshape(n // 2, 6), 2, axis=0)
        assert f(x).tolist() == want.tolist()
        assert g(x).tolist() == (x + 1).tolist()
        assert e.rearrange(x, "a b -> (a b)").shape == (n * 3,)  # and outside of them


def test_errors_are_those_of_einops() -> None:
    x = gu.zeros(2, 3)
    for e in WAYS.values():
        with pytest.raises(einops.EinopsError, match="Shape mismatch|can't divide"):
            e.rearrange(x, "a (b c) -> a b c", c=2)
    with pytest.raises(NotImplementedError, match="reduction 'median'"):
        from groundup.tensor.einops import _reduce

        _reduce(x, "median", [0])
