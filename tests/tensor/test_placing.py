"""index_add, scatter_add, scatter, index_put, and the gradients of reads at indices from data."""

from typing import Any

import numpy as np
import pytest

import groundup as gu

from .support import compare, same, sample, torch

SHAPES = [(1, 1), (5, 3), (7, 1), (4, 17), (3, 33), (13, 130), (2, 3, 5), (3, 2, 4, 19)]


def indices(n: int, shape: tuple[int, ...], seed: int = 0) -> Any:
    return np.random.default_rng([seed, n, *shape]).integers(0, n, shape)


@pytest.mark.peers
@pytest.mark.parametrize("shape", SHAPES)
def test_along_every_axis(shape: tuple[int, ...]) -> None:
    x = sample(shape)
    for dim, size in enumerate(shape):
        for count in (0, 1, 2 * size + 3):
            long = (*shape[:dim], count, *shape[dim + 1 :])
            v, i, one = sample(long, seed=1), indices(size, long), indices(size, (count,))
            compare(lambda lib, a, b, k, d=dim: lib.scatter_add(a, d, k, b), x, v, i)
            compare(lambda lib, a, b, k, d=dim: lib.index_add(a, d, k, b), x, v, one)
            compare(lambda lib, a, b, k, d=dim: a.index_add(d, k, b, alpha=-2), x, v, one)
            compare(lambda lib, a, k, d=dim: lib.scatter(a, d, k, 2.5), x, i)
            compare(lambda lib, a, k, d=dim: a.scatter(d, k, value=2.5), x, i)


@pytest.mark.peers
@pytest.mark.parametrize("dtype", ["float64", "float16", "int64", "int32", "int8", "uint8", "bool"])
def test_dtypes(dtype: str) -> None:
    x, v = sample((5, 7), dtype), sample((9, 7), dtype, 1)
    i = indices(5, (9, 7))
    compare(lambda lib, a, b, k: lib.scatter_add(a, 0, k, b), x, v, i, rtol=2e-2, atol=1e-2)
    compare(lambda lib, a, b, k: lib.index_add(a, 0, k[:, 0], b), x, v, i, rtol=2e-2, atol=1e-2)


def test_shorter_indices_leave_the_rest() -> None:
    x, v = sample((6, 5)), sample((8, 9), seed=1)
    i = indices(5, (4, 7))
    compare(lambda lib, a, b, k: lib.scatter_add(a, 1, k, b), x, v, i, grad=False)
    once = np.stack([np.random.default_rng(n).permutation(5)[:4] for n in range(4)])
    compare(lambda lib, a, b, k: lib.scatter(a, 1, k, b), x, v, once, grad=False)


def test_the_last_of_several_is_written() -> None:
    i = gu.tensor([1, 0, 1])
    v = gu.tensor([1.0, 2.0, 3.0])
    assert gu.zeros(3).scatter(0, i, v).tolist() == [2.0, 3.0, 0.0]
    assert gu.zeros(3).scatter_(0, i + 0, v).tolist() == [2.0, 3.0, 0.0]


@pytest.mark.peers
def test_index_put() -> None:
    x, v = sample((4, 5, 6)), sample((3, 2, 6), seed=1)
    i, j = indices(4, (3, 1)), indices(5, (2,))
    compare(lambda lib, a, b, k, n: a.index_put((k, n), b, accumulate=True), x, v, i, j)
    compare(lambda lib, a, k, n: a.index_put((k, n), lib.tensor(2.0), accumulate=True), x, i, j)
    compare(lambda lib, a, b, k: a.clone().index_put_((k,), b, accumulate=True),
            x, sample((9, 5, 6)), indices(4, (9,)))  # fmt: skip
    y = gu.zeros(3).index_put((gu.tensor([0, 0]),), gu.tensor([1.0, 2.0]))
    assert y.tolist() == [2.0, 0.0, 0.0]


@pytest.mark.peers
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (7, 17), (20, 131)])
def test_gradients_of_reads(shape: tuple[int, ...]) -> None:
    x = sample(shape)
    i = indices(shape[0], (3, 4))
    j = indices(shape[1], (3, 4), 1)
    k = indices(shape[1], (shape[0], 5))
    compare(lambda lib, a, n: a[n] * 2, x, i)
    compare(lambda lib, a, n, m: a[n, m] * 2, x, i, j)
    compare(lambda lib, a, m: a[:, m], x, j)
    compare(lambda lib, a, m: lib.gather(a, 1, m), x, k)
    compare(lambda lib, a, m: lib.gather(a, 1, m[:1]), x, k)
    compare(lambda lib, a, m, b: lib.scatter_add(a, 1, m, b), x, k,
            sample((shape[0], 5), seed=3))  # fmt: skip
    compare(lambda lib, a, m, b: lib.index_add(a, 1, m[0], b, alpha=3), x, k,
            sample((shape[0], 5), seed=3))  # fmt: skip
    once = np.arange(shape[1])[None, ::-1].repeat(shape[0], 0).copy()
    compare(lambda lib, a, m, b: lib.scatter(a, 1, m, b), x, once,
            sample(shape, seed=3))  # fmt: skip


@pytest.mark.peers
def test_second_derivatives() -> None:
    t = torch()
    x, i, v = sample((6, 5)), indices(6, (4, 3)), sample((4, 3, 5), seed=2)

    def twice(lib: Any, grad: Any, a: Any, n: Any, b: Any) -> Any:
        (g,) = grad(((a[n] * b) ** 3).sum(), a)
        (h,) = grad((g * g).sum(), b)
        return h

    ours = [gu.from_numpy(x).requires_grad_(), gu.from_numpy(i), gu.from_numpy(v).requires_grad_()]
    theirs = [t.tensor(x, requires_grad=True), t.tensor(i), t.tensor(v, requires_grad=True)]
    same(
        twice(gu, lambda y, a: gu.derivatives(y, [a], create_graph=True), *ours),
        twice(t, lambda y, a: t.autograd.grad(y, [a], create_graph=True), *theirs), 1e-4, 1e-5,
    )  # fmt: skip


def test_indices_outside() -> None:
    x, v = gu.zeros(3, 2), gu.ones(2, 2)
    for bad in ([0, 3], [-1, 0]):
        with pytest.raises(IndexError):
            x.index_add(0, gu.tensor(bad), v)
        late = gu.tensor([b - 1 for b in bad]) + 1
        with pytest.raises(IndexError):
            x.index_add(0, late, v).realize()
        with pytest.raises(IndexError), gu.debug():
            x.index_add(0, gu.tensor([b - 1 for b in bad]) + 1, v).realize()
        late = gu.tensor([[b - 1, 0] for b in bad]) + gu.tensor([[1, 0]])
        with pytest.raises(IndexError):
            x.scatter_add(0, late, v).realize()
    with pytest.raises(gu.ShapeError):
        x.scatter_add(0, gu.zeros(2, 3, dtype=gu.int64), v)
    with pytest.raises(TypeError):
        x.index_add(0, gu.tensor([0, 1]), v.double())


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_the_same_bits_on_any_number_of_threads(threads: int) -> None:
    w = gu.from_numpy(sample((50, 70))).requires_grad_()
    i = gu.from_numpy(indices(50, (30, 40)))
    g = gu.from_numpy(sample((30, 40, 70), seed=1))
    before = gu.get_num_threads()
    try:
        results = []
        for n in (1, threads):
            gu.set_num_threads(n)
            (y,) = gu.derivatives((w[i] * g).sum(), [w])
            results.append(y.numpy().tobytes())
        assert results[0] == results[1]
    finally:
        gu.set_num_threads(before)


def test_the_order_of_terms_is_that_of_positions(engine: str) -> None:
    if engine == "python":
        pytest.skip("the reference sums in float64")
    v = sample((1000,)) * 10.0 ** sample((1000,), seed=3)
    i = indices(7, (1000,))
    ours = gu.zeros(7).index_add(0, gu.from_numpy(i), gu.from_numpy(v.astype("f"))).numpy()
    want = np.zeros(7, "f")
    for at, x in zip(i, v.astype("f"), strict=True):
        want[at] += x
    assert ours.tobytes() == want.tobytes()


def test_compiled_equals_plain_loops() -> None:
    x, v, i = sample((4, 6)), sample((5, 6), seed=1), indices(4, (5, 6))
    a, b, k = (gu.from_numpy(n) for n in (x, v, i))
    with gu.debug():
        want = [a.scatter_add(0, k, b).numpy(), a.scatter(0, k, b).numpy(),
                a.index_add(1, k[0], b[:4]).numpy()]  # fmt: skip
    got = [a.scatter_add(0, k, b), a.scatter(0, k, b), a.index_add(1, k[0], b[:4])]
    for g, w in zip(got, want, strict=True):
        np.testing.assert_allclose(g.numpy(), w, rtol=1e-6, atol=1e-6)


def test_a_captured_step_with_a_changing_batch() -> None:
    w = gu.from_numpy(sample((20, 8))).requires_grad_()

    @gu.jit
    def step(i: gu.Tensor, g: gu.Tensor) -> gu.Tensor:
        (d,) = gu.derivatives((w[i] * g).sum(), [w])
        return d

    for n in (32, 32, 32, 7, 19, 1):
        i, g = indices(20, (n,), n), sample((n, 8), seed=n)
        want = np.zeros((20, 8), "f")
        np.add.at(want, i, g)
        got = step(gu.from_numpy(i), gu.from_numpy(g)).numpy()
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_large_assignment_at_indices() -> None:
    x, i, v = sample((300, 40)), indices(300, (200,)), sample((200, 40), seed=1)
    ours = gu.from_numpy(x)
    ours[gu.from_numpy(i)] = gu.from_numpy(v)
    want = x.copy()
    for at, row in zip(i, v, strict=True):
        want[at] = row
    assert ours.numpy().tobytes() == want.tobytes()
