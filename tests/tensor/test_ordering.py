"""sort, argsort, topk, kthvalue, median, compared with torch."""

from typing import Any

import numpy as np
import pytest

import groundup as gu

from .support import SPECIAL, compare, same, sample, torch

DTYPES = ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"]
SHAPES = [(), (0,), (1,), (7,), (33,), (5, 40), (3, 0), (0, 3), (2, 3, 4), (3, 37, 2)]


@pytest.mark.peers
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_sort_is_stable(dtype: str, shape: tuple[int, ...]) -> None:
    x = np.asarray(sample(shape, dtype))
    for dim in range(-max(1, len(shape)), max(1, len(shape))):
        for down in (False, True):
            compare(lambda lib, a, d=dim, r=down: lib.sort(a, dim=d, descending=r, stable=True), x)
            compare(lambda lib, a, d=dim, r=down:
                    lib.argsort(a, dim=d, descending=r, stable=True), x, grad=False)  # fmt: skip


@pytest.mark.peers
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "uint8"])
@pytest.mark.parametrize("k", [0, 1, 3, 31, 33, 40])
def test_topk(dtype: str, k: int) -> None:
    x = np.random.default_rng(k).permutation(200).reshape(5, 40).astype(dtype)  # no equals
    for largest in (True, False):
        compare(lambda lib, a, r=largest: lib.topk(a, k, 1, r), x)
        compare(lambda lib, a, r=largest: lib.topk(a, min(k, 5), 0, r), x[:, :1].copy())
        compare(lambda lib, a, r=largest: lib.topk(a.T, min(k, 5), 1, r), x[:, :1].copy())


@pytest.mark.parametrize("n", [5, 40, 100])
@pytest.mark.parametrize("k", [1, 4, 5])
def test_topk_takes_the_first_of_equals(n: int, k: int) -> None:
    x = np.random.default_rng(n).integers(0, 3, n)
    for largest in (True, False):
        want = np.argsort(-x if largest else x, kind="stable")[:k]
        for dtype in (gu.int64, gu.float32, gu.int8):
            _, got = gu.tensor(x.tolist(), dtype=dtype).topk(k, largest=largest)
            np.testing.assert_array_equal(got.numpy(), want)


@pytest.mark.peers
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_special_values(dtype: str) -> None:
    rng = np.random.default_rng(0)
    with np.errstate(over="ignore"):
        values = np.array([*SPECIAL, 1e-40, -1e-40, 1.0, 1.0], "float64").astype(dtype)
    negative = -np.array([np.nan], dtype)
    x = rng.choice(np.concatenate([values, negative]), (6, 50))
    for down in (False, True):
        compare(lambda lib, a, r=down: lib.sort(a, dim=1, descending=r, stable=True), x, grad=False)
        compare(lambda lib, a, r=down: lib.topk(a, 5, 1, r)[0], x, grad=False)
    compare(lambda lib, a: lib.kthvalue(a, 7, 1)[0], x, grad=False)
    compare(lambda lib, a: lib.median(a), x, grad=False)
    compare(lambda lib, a: lib.median(a, 1)[0], x, grad=False)


@pytest.mark.peers
def test_kthvalue_and_median() -> None:
    x = np.stack([np.random.default_rng(n).permutation(20) for n in range(5)]).astype("float32")
    for keep in (False, True):
        for dim in (0, 1):
            compare(lambda lib, a, d=dim, q=keep: lib.kthvalue(a + 0.01 * a * a, 3, d, q), x[:, :3])
            compare(lambda lib, a, d=dim, q=keep: lib.median(a, d, q), x[:, :1] * 1.0)
    compare(lambda lib, a: lib.median(a), x[0].copy())
    compare(lambda lib, a: lib.median(a[0]), x)
    compare(lambda lib, a: lib.median(a[0, 0]), x)
    i = np.arange(12).reshape(3, 4)
    compare(lambda lib, a: lib.median(a, 1), i)


@pytest.mark.peers
def test_second_derivatives() -> None:
    t = torch()

    def twice(lib: Any, grad: Any, a: Any, w: Any) -> Any:
        values, _ = lib.sort(a, 1)
        (g,) = grad((values**3 * w).sum(), a)
        (h,) = grad((g * g * w).sum(), a)
        return h

    x, w = sample((4, 5), "float64"), sample((4, 5), "float64", 1)
    ours = gu.from_numpy(x).requires_grad_()
    theirs = t.tensor(x, requires_grad=True)
    mine = twice(gu, lambda y, a: gu.derivatives(y, [a], create_graph=True), ours, gu.from_numpy(w))
    his = twice(t, lambda y, a: t.autograd.grad(y, [a], create_graph=True), theirs, t.tensor(w))
    same(mine, his, 1e-9, 1e-9)


@pytest.mark.parametrize("threads", [2, 3, 8, 40])
def test_the_same_bits_on_any_number_of_threads(threads: int, engine: str) -> None:
    x = gu.from_numpy(sample((70, 50 if engine == "python" else 300)))
    before = gu.get_num_threads()
    try:
        results = []
        for n in (1, threads):
            gu.set_num_threads(n)
            results.append([t.numpy().tobytes() for t in (*x.sort(1), *x.sort(0), *x.topk(9, 1))])
        assert results[0] == results[1]
    finally:
        gu.set_num_threads(before)


def test_a_long_row() -> None:
    for dtype in ("float32", "int64"):
        x = (np.random.default_rng(0).normal(size=20000) * 1e4).astype(dtype)
        order = gu.from_numpy(x).argsort().numpy()
        np.testing.assert_array_equal(order, np.argsort(x, kind="stable"))
        order = gu.from_numpy(x).argsort(descending=True).numpy()
        np.testing.assert_array_equal(order, np.argsort(-x, kind="stable"))


def test_a_captured_step_with_a_changing_batch() -> None:
    @gu.jit
    def step(x: gu.Tensor) -> tuple[gu.Tensor, ...]:
        return (*(x * 2).sort(0), *x.sort(1, descending=True), *x.topk(3, 1))

    for n in (32, 32, 32, 7, 64, 1):
        x = sample((n, 40), seed=n)
        a, i, b, j, c, k = (t.numpy() for t in step(gu.from_numpy(x)))
        np.testing.assert_array_equal(i, np.argsort(x, 0, kind="stable"))
        np.testing.assert_array_equal(a, np.sort(x * 2, 0))
        np.testing.assert_array_equal(j, np.argsort(-x, 1, kind="stable"))
        np.testing.assert_array_equal(b, -np.sort(-x, 1))
        np.testing.assert_array_equal(k, j[:, :3])
        np.testing.assert_array_equal(c, b[:, :3])


def test_errors() -> None:
    x = gu.zeros(3, 4)
    for wrong in (lambda: x.topk(5), lambda: x.topk(-1), lambda: x.kthvalue(0), lambda: x.sort(2),
                  lambda: gu.zeros(0).median(), lambda: gu.zeros(3, 0).median(1)):  # fmt: skip
        with pytest.raises(IndexError):
            wrong()
