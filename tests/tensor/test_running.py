"""Running sums, products, extremes, log-sum-exp and linear recurrences, compared with torch."""

from typing import Any

import numpy as np
import pytest

import groundup as gu

from .support import SPECIAL, compare, same, sample, torch

SHAPES = [(), (0,), (1,), (5,), (37,), (3, 1), (1, 4), (7, 19), (2, 0, 3), (2, 3, 4), (3, 20, 67),
          (17, 33)]  # fmt: skip
NAMES = ["cumsum", "cumprod", "cummax", "cummin", "logcumsumexp"]


@pytest.mark.peers
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", SHAPES)
def test_along_every_axis(name: str, shape: tuple[int, ...], engine: str) -> None:
    if engine == "python" and len(shape) == 3 and shape[-1] > 60:
        shape = (2, 5, 9)
    x = np.asarray(sample(shape))
    for dim in range(-max(1, len(shape)), max(1, len(shape))):
        compare(lambda lib, a, d=dim: getattr(lib, name)(a, d), x, rtol=1e-5, atol=1e-5)
        compare(lambda lib, a, d=dim: getattr(a * 2, name)(d), x, rtol=1e-5, atol=1e-5)


@pytest.mark.peers
@pytest.mark.parametrize("name", NAMES)
def test_special_values(name: str) -> None:
    finite = [x for x in SPECIAL if abs(x) < 1e10]
    rng = np.random.default_rng(0)
    for values in (SPECIAL, finite, [1.0, 2.0, 2.0, -1.0, 2.0, 3.0, 0.0, 4.0]):
        x = rng.choice(np.array(values, "f"), (6, 9))
        for dim in (0, 1):
            grad = values is not SPECIAL and name != "logcumsumexp"
            compare(lambda lib, a, d=dim: getattr(lib, name)(a, d), x, grad=grad)


@pytest.mark.peers
@pytest.mark.parametrize("name", NAMES[:4])
@pytest.mark.parametrize("dtype", ["float64", "float16", "int64", "int32", "int8", "uint8", "bool"])
def test_dtypes(name: str, dtype: str) -> None:
    x = sample((5, 7), dtype)
    tolerance = 1e-2 if dtype == "float16" else 1e-6
    compare(lambda lib, a: getattr(lib, name)(a, 1), x, rtol=tolerance, atol=tolerance)
    if name in ("cumsum", "cumprod"):
        compare(lambda lib, a: getattr(lib, name)(a, 0, dtype=lib.float64), x, grad=False)


def recurrence(lib: Any, a: Any, b: Any, dim: int, initial: Any = None) -> Any:
    if lib is gu:
        return gu.linear_recurrence(a, b, dim, initial)
    a, b = lib.broadcast_tensors(a, b)
    h, result = initial, []
    for x, y in zip(a.unbind(dim), b.unbind(dim), strict=True):
        h = y if h is None else x * h + y
        result.append(h)
    return lib.stack(result, dim)


@pytest.mark.peers
@pytest.mark.parametrize("shape", [(1,), (9,), (3, 5), (4, 7, 33)])
def test_linear_recurrence(shape: tuple[int, ...]) -> None:
    a, b = sample(shape), sample(shape, seed=1)
    for dim in range(len(shape)):
        h = np.asarray(sample((*shape[:dim], *shape[dim + 1 :]), seed=2))
        compare(lambda lib, x, y, d=dim: recurrence(lib, x, y, d), a, b, rtol=1e-4, atol=1e-4)
        compare(lambda lib, x, y, z, d=dim: recurrence(lib, x, y, d, z), a, b, h,
                rtol=1e-4, atol=1e-4)  # fmt: skip
    compare(lambda lib, x, y: recurrence(lib, x, y, 0), a[..., :1].copy(), b, rtol=1e-4, atol=1e-4)


@pytest.mark.peers
@pytest.mark.parametrize("name", ["cumsum", "cumprod", "logcumsumexp", "cummax", "recurrence"])
@pytest.mark.parametrize("dim", [0, 1])
def test_second_derivatives(name: str, dim: int) -> None:
    t = torch()

    def function(lib: Any, a: Any) -> Any:
        if name == "recurrence":
            return recurrence(lib, a, a * a, dim)
        y = getattr(lib, name)(a, dim)
        return y[0] if name == "cummax" else y

    def twice(lib: Any, grad: Any, a: Any, w: Any) -> Any:
        (g,) = grad((function(lib, a) ** 2 * w).sum(), a)
        (h,) = grad((g * g * w).sum(), a)
        return h

    x, w = sample((4, 5), "float64"), sample((4, 5), "float64", 1)
    ours = gu.from_numpy(x).requires_grad_()
    theirs = t.tensor(x, requires_grad=True)
    mine = twice(gu, lambda y, a: gu.derivatives(y, [a], create_graph=True), ours, gu.from_numpy(w))
    his = twice(t, lambda y, a: t.autograd.grad(y, [a], create_graph=True), theirs, t.tensor(w))
    same(mine, his, 1e-7, 1e-9)


@pytest.mark.parametrize("threads", [2, 3, 8])
@pytest.mark.parametrize("dim", [0, 1, 2])
def test_the_same_bits_on_any_number_of_threads(threads: int, dim: int) -> None:
    x = gu.from_numpy(sample((13, 40, 70)))
    before = gu.get_num_threads()
    try:
        results = []
        for n in (1, threads):
            gu.set_num_threads(n)
            results.append(x.cumsum(dim).numpy().tobytes())
        assert results[0] == results[1]
    finally:
        gu.set_num_threads(before)


@pytest.mark.parametrize("name", NAMES)
def test_compiled_equals_plain_loops(name: str) -> None:
    x = gu.from_numpy(sample((5, 9), "float64"))
    for dim in (0, 1):
        with gu.debug():
            want = getattr(gu, name)(x, dim)
            want = [w.numpy() for w in want] if isinstance(want, tuple) else [want.numpy()]
        got = getattr(gu, name)(x, dim)
        got = [g.numpy() for g in got] if isinstance(got, tuple) else [got.numpy()]
        for g, w in zip(got, want, strict=True):
            np.testing.assert_allclose(g, w, rtol=1e-14, atol=0)


def test_a_captured_step_with_a_changing_batch() -> None:
    @gu.jit
    def step(x: gu.Tensor) -> tuple[gu.Tensor, gu.Tensor]:
        return x.cumsum(0), (x * 2).cumsum(1)

    for n in (32, 32, 32, 7, 19, 1):
        x = sample((n, 8), seed=n)
        a, b = step(gu.from_numpy(x))
        np.testing.assert_allclose(a.numpy(), np.cumsum(x, 0), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(b.numpy(), np.cumsum(x * 2, 1), rtol=1e-5, atol=1e-5)


def test_a_long_row_costs_one_pass() -> None:
    x = gu.ones(1 << 20, dtype=gu.float64)
    assert (x * 1).cumsum(0)[-1].item() == 1 << 20


def test_errors() -> None:
    with pytest.raises(TypeError):
        gu.tensor([1, 2]).logcumsumexp(0)
    with pytest.raises(IndexError):
        gu.zeros(3).cumsum(1)
    with pytest.raises(TypeError):
        gu.linear_recurrence(gu.zeros(3), gu.zeros(3, dtype=gu.float64))
    with pytest.raises(gu.ShapeError):
        gu.linear_recurrence(gu.zeros(3, 4), gu.zeros(3, 4), 1, gu.zeros(4))
