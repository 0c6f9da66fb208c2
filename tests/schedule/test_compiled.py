"""Compiled graphs = NumPy = the Python reference, on random graphs and on awkward contractions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from groundup import runtime
from groundup.autodiff import gradient
from groundup.emit import python
from groundup.ir.bounds import sum_bound
from groundup.ir.node import Node
from groundup.ir.verify import verify
from groundup.schedule import execute

from .. import build as B
from ..graphs import Case, examples, graphs


@settings(max_examples=examples(300), deadline=None, suppress_health_check=list(HealthCheck))
@given(graphs())
def test_random_graphs_equal_numpy(case: Case) -> None:
    verify(case.roots)
    case.check([B.array(m, r) for m, r in zip(execute(case.roots), case.roots, strict=True)])


# ---- contractions: every way through the register tiles ------------------------------------------

SIZES = [0, 1, 2, 3, 5, 8, 13, 16, 17, 31, 33, 64, 65]


def _check(build: Callable[..., list[Node]], terms: int, *arrays: np.ndarray) -> None:
    """Compiled = the Python reference within (n + 8)·eps·Σ|term|; the sum of the terms' absolute
    values is what the same graph gives for the operands' absolute values."""
    roots = build(*arrays)
    compiled = [B.array(m, r) for m, r in zip(execute(roots), roots, strict=True)]
    wanted = [B.array(m, r) for m, r in zip(python.evaluate(roots), roots, strict=True)]
    sizes = [
        B.array(m, r)
        for m, r in zip(python.evaluate(build(*map(np.abs, arrays))), roots, strict=True)
    ]
    for got, want, size in zip(compiled, wanted, sizes, strict=True):
        assert got.shape == want.shape and got.dtype == want.dtype
        finite = np.isfinite(want)
        assert np.array_equal(got[~finite], want[~finite], equal_nan=True)
        bound = sum_bound(terms, np.finfo(got.dtype).eps, size[finite].astype(np.float64))
        assert (np.abs(got[finite].astype(np.float64) - want[finite]) <= bound).all()


def _random(rng: np.random.Generator, *shape: int, dtype: str = "float32") -> np.ndarray:
    return rng.uniform(-1, 1, shape).astype(dtype)


def _matmul(a: np.ndarray, b: np.ndarray) -> list[Node]:
    return [B.matmul(B.tensor(a), B.tensor(b))]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_matmul_over_awkward_shapes(dtype: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        m, k, n = (int(rng.choice(SIZES)) for _ in range(3))
        a, b = _random(rng, m, k, dtype=dtype), _random(rng, k, n, dtype=dtype)
        _check(_matmul, k, a, b)


def test_matmul_with_nan_and_inf() -> None:
    rng = np.random.default_rng(1)
    a, b = _random(rng, 33, 40), _random(rng, 40, 65)
    a[3, 7], a[5, 0], b[2, 11], b[39, 64] = np.nan, np.inf, -np.inf, np.nan
    _check(_matmul, 40, a, b)


@pytest.mark.parametrize("batch", [1, 3, 16, 17, 32, 50])
@pytest.mark.parametrize("stride,padding,dilation", [(1, 0, 1), (1, 1, 1), (2, 1, 1), (1, 2, 2)])
def test_convolution(batch: int, stride: int, padding: int, dilation: int) -> None:
    rng = np.random.default_rng(2)

    def conv(x: np.ndarray, w: np.ndarray) -> list[Node]:
        return [B.conv2d(B.tensor(x), B.tensor(w), stride, padding, dilation)]

    for c, o, size, kernel in [(1, 6, 7, 3), (3, 4, 6, 3), (2, 17, 5, 1)]:
        x, w = _random(rng, batch, c, size, size), _random(rng, o, c, kernel, kernel)
        _check(conv, c * kernel * kernel, x, w)


@pytest.mark.parametrize("batch", [2, 16, 33])
@pytest.mark.parametrize("stride,padding", [(1, 0), (1, 1), (2, 1), (3, 2)])
def test_convolution_gradients(batch: int, stride: int, padding: int) -> None:
    def conv(x: np.ndarray, w: np.ndarray, dy: np.ndarray) -> list[Node]:
        leaf_x, leaf_w = B.param(x), B.param(w)
        y = B.conv2d(leaf_x, leaf_w, stride, padding)
        dx, dw = gradient(y, B.tensor(dy), [leaf_x, leaf_w])
        assert dx is not None and dw is not None
        return [y, dx, dw]

    rng = np.random.default_rng(3)
    x, w = _random(rng, batch, 3, 7, 7), _random(rng, 5, 3, 3, 3)
    out = (7 + 2 * padding - 3) // stride + 1
    _check(conv, batch * out * out, x, w, _random(rng, batch, 5, out, out))


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_threads_change_no_bit(threads: int) -> None:
    rng = np.random.default_rng(4)
    x, w = _random(rng, 64, 3, 14, 14), _random(rng, 8, 3, 3, 3)
    a, b = _random(rng, 130, 77), _random(rng, 77, 210)
    roots = [B.conv2d(B.tensor(x), B.tensor(w), 1, 1), *_matmul(a, b)]
    roots += [B.over("sum", r, range(r.ndim)) for r in roots] + [B.softmax(roots[1])]
    before = runtime.get_num_threads()
    try:
        runtime.set_num_threads(1)
        one = [m.read_bytes() for m in execute(roots)]
        runtime.set_num_threads(threads)
        assert [m.read_bytes() for m in execute(roots)] == one
    finally:
        runtime.set_num_threads(before)
