"""Reductions, compared with torch: values, types, shapes and derivatives."""

from typing import Any

import numpy as np
import pytest

import groundup as gu

from .support import compare, sample

SHAPES: list[tuple[tuple[int, ...], Any]] = [
    ((), None), ((5,), None), ((5,), 0), ((1,), -1), ((3, 4), None), ((3, 4), 0), ((3, 4), 1),
    ((3, 4), (0, 1)), ((2, 3, 4), 1), ((2, 3, 4), (0, 2)), ((2, 3, 4), -1), ((2, 1, 3), 1),
    ((3, 130), 1), ((130, 3), 0),
]  # fmt: skip
EMPTY: list[tuple[tuple[int, ...], Any]] = [((0,), None), ((0, 3), 0), ((2, 0, 3), 1), ((2, 0), 0)]


def apply(name: str, dim: Any, **options: Any) -> Any:
    def call(lib: Any, x: Any) -> Any:
        return getattr(x, name)(**options) if dim is None else getattr(x, name)(dim, **options)

    return call


@pytest.mark.peers
@pytest.mark.parametrize("name", ["sum", "mean", "amax", "amin", "logsumexp", "var", "std", "norm"])
@pytest.mark.parametrize("shape,dim", SHAPES)
@pytest.mark.parametrize("keepdim", [False, True])
def test_floats(name: str, shape: tuple[int, ...], dim: Any, keepdim: bool) -> None:
    if dim is None and (keepdim or name in ("logsumexp",)):
        return
    if name in ("var", "std") and int(np.prod(shape)) < 2:
        return
    options: dict[str, Any] = {} if dim is None else {"keepdim": keepdim}
    if name in ("var", "std") and shape == (2, 1, 3):
        options["correction"] = 0
    if name == "norm":

        def call(lib: Any, x: Any) -> Any:
            return x.norm(2, dim, **options) if dim is not None else x.norm()

    else:
        call = apply(name, dim, **options)
    x = np.asarray(sample(shape))
    grad = not (name in ("std", "norm") and shape == (2, 1, 3))
    compare(call, x, rtol=1e-5, grad=grad)


@pytest.mark.peers
@pytest.mark.parametrize("name", ["sum", "any", "all"])
@pytest.mark.parametrize("shape,dim", SHAPES + EMPTY)
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64", "float32"])
def test_counts(name: str, shape: tuple[int, ...], dim: Any, dtype: str) -> None:
    x = np.asarray(sample(shape, dtype))
    if name != "sum":
        x = np.asarray((x > 0).astype(dtype))
    if name != "sum" and dtype == "uint8":
        return  # torch answers in uint8, for history's sake
    compare(apply(name, dim), x, grad=name == "sum", rtol=1e-5)


@pytest.mark.peers
@pytest.mark.parametrize("shape,dim", [s for s in SHAPES if not isinstance(s[1], tuple)])
def test_prod_and_positions(shape: tuple[int, ...], dim: Any) -> None:
    x = np.asarray(sample(shape))
    if 130 not in shape:
        compare(apply("prod", dim), x, rtol=1e-5)
        compare(apply("prod", dim), np.asarray(sample(shape, "int32")))
    compare(apply("argmax", dim), x)
    compare(apply("argmin", dim), x)
    if dim is not None:
        compare(lambda lib, a: tuple(a.max(dim)), x)
        compare(lambda lib, a: tuple(a.min(dim, keepdim=True)), x)
    else:
        compare(lambda lib, a: a.max(), x)
        compare(lambda lib, a: lib.min(a), x)


@pytest.mark.peers
@pytest.mark.parametrize("name", ["sum", "mean", "amax", "amin", "argmax", "argmin"])
def test_nan_and_infinity(name: str) -> None:
    rows = [
        [1.0, np.nan, 2.0],
        [np.inf, 1.0, -np.inf],
        [np.inf, np.inf, 0.0],
        [-np.inf, -1.0, -2.0],
    ]
    compare(apply(name, 1), np.array(rows, "float32"), grad=False)


@pytest.mark.peers
def test_ties() -> None:
    x = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]], "float32")
    compare(lambda lib, a: a.amax(1), x, grad=False)
    compare(lambda lib, a: a.max(1).values, x)
    compare(lambda lib, a: a.argmax(1), x)
    w = gu.from_numpy(x).requires_grad_()
    w.amax(1).sum().backward()  # torch shares the derivative among equals here, not in max(1)
    assert w.grad is not None
    assert w.grad.tolist() == [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]


@pytest.mark.peers
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize(
    "shape,dim", [((5,), 0), ((3, 4), 1), ((3, 4), 0), ((2, 3, 4), -1), ((2, 0), 1)]
)
def test_softmax(name: str, shape: tuple[int, ...], dim: int) -> None:
    compare(apply(name, dim), sample(shape), rtol=1e-5)
    compare(apply(name, dim), sample(shape, "float64"), rtol=1e-12, atol=1e-14)


@pytest.mark.peers
def test_softmax_of_large_scores() -> None:
    x = np.array([[1e4, 1e4 - 1, -1e4], [0.0, -np.inf, 0.0]], "float32")
    compare(apply("softmax", 1), x, rtol=1e-5)
    compare(apply("logsumexp", 1), x, rtol=1e-5)
    compare(apply("logsumexp", 0), np.full((2, 2), -np.inf, "float32"), grad=False)


@pytest.mark.peers
@pytest.mark.parametrize(
    "shape,dim", [((5,), 0), ((1,), 0), ((0,), 0), ((3, 70), 1), ((200, 2), 0), ((), 0)]
)
def test_cumsum(shape: tuple[int, ...], dim: int) -> None:
    compare(apply("cumsum", dim), np.asarray(sample(shape)), rtol=1e-5, atol=1e-5)
    compare(apply("cumsum", dim), np.asarray(sample(shape, "int32")))


@pytest.mark.peers
def test_large_sums_over_several_axes_keep_their_digits(engine: str) -> None:
    shape = (300, 256) if engine == "python" else (6000, 784)
    x = np.full(shape, 0.1, "float32") + sample(shape) * np.float32(1e-3)
    exact = float(x.astype("float64").mean())
    ours = gu.from_numpy(x)
    assert abs(ours.mean().item() - exact) < 1e-6 * abs(exact)
    assert abs(ours.sum((0, 1), keepdim=True).item() / x.size - exact) < 1e-6 * abs(exact)
    y = x[:300, :256].reshape(300, 1, 256)
    compare(lambda lib, a: a.sum((0, 2), keepdim=True), y, rtol=1e-5)
    compare(lambda lib, a: a.mean((0, 2)), y, rtol=1e-5)


@pytest.mark.peers
@pytest.mark.parametrize("p", [0, 1, 2, 3, float("inf")])
def test_norms(p: float) -> None:
    compare(lambda lib, x: x.norm(p), sample((3, 4)), rtol=1e-5, grad=p != 0)
    compare(lambda lib, x: x.norm(p, 1), sample((3, 4)), rtol=1e-5, grad=False)


@pytest.mark.peers
@pytest.mark.parametrize("p", [0.5, 1, 1.5, 2, 3, float("inf")])
def test_where_a_norm_is_0_its_derivative_is_0(p: float) -> None:
    x = np.array([[0, 0, 0], [0, 2, -1]], np.float32)
    compare(lambda lib, x: x.norm(p, 1), x, rtol=1e-5, atol=1e-6)
    compare(lambda lib, x: lib.dist(x[0], x[0] * 2, p), x, rtol=1e-5, atol=1e-6)
    compare(lambda lib, x: lib.renorm(x, p, 0, 1.5), x, rtol=1e-5, atol=1e-6)
    compare(lambda lib, x: lib.linalg.vector_norm(x, p, 1), x, rtol=1e-5, atol=1e-6)
    compare(lambda lib, x: lib.cdist(x, x.detach(), p), x, rtol=1e-5, atol=1e-6)


@pytest.mark.peers
def test_where_a_deviation_is_0_its_derivative_is_0() -> None:
    x = np.array([[3, 3, 3], [0, 2, -1]], np.float32)
    compare(lambda lib, x: x.std(1), x, rtol=1e-5, atol=1e-6)
    compare(lambda lib, x: lib.std_mean(x, 1)[0], x, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("p", [0.5, 1.0, 1.5, 2.0, 3.0, float("inf")])
def test_the_derivative_of_a_distance_whose_powers_vanish_is_finite(p: float) -> None:
    x = gu.tensor([[1e-30, 0.0], [0.0, 0.0]], requires_grad=True)
    gu.cdist(x, x.detach(), p).sum().backward()
    assert x.grad is not None and x.grad.isfinite().all().item()


def test_errors_explain() -> None:
    with pytest.raises(TypeError, match="mean needs a floating type, not int64"):
        gu.arange(3).mean()
    with pytest.raises(IndexError, match="dim 2 is out of range"):
        gu.zeros(2, 2).sum(2)
    with pytest.raises(IndexError, match="nothing to choose from"):
        gu.zeros(0).max()
    with pytest.raises(RuntimeError, match="twice"):
        gu.zeros(2, 2).sum((0, -2))


@pytest.mark.parametrize("n", [1 << 16, 70001, 300_000])
def test_long_sums_stay_exact(engine: str, n: int) -> None:
    """One running value would lose far more: here the error is that of runs of a few thousand."""
    if engine == "python":
        pytest.skip("the reference sums in float64 anyway, slowly")
    a = np.random.default_rng(0).random((2, n), dtype=np.float32)
    x = gu.from_numpy(a)
    exact = a.astype(np.float64)
    for ours, wanted in [
        (x.sum(1), exact.sum(1)), (x.mean(1), exact.mean(1)), (x.sum(), exact.sum()),
        (x.std(1), exact.std(1, ddof=1)), (x.t().contiguous().sum(0), exact.sum(1)),
    ]:  # fmt: skip
        assert np.abs(np.array(ours.tolist()) / wanted - 1).max() < 2e-6
    assert x.sum(1, keepdim=True).shape == (2, 1)
    w = gu.from_numpy(a[0]).requires_grad_()
    (w.sum() * 3).backward()
    assert w.grad is not None and w.grad.tolist() == [3.0] * n


def test_the_second_derivative_of_a_variance() -> None:
    """∂²var/∂x∂x is (2/m)·(identity − 1/n), also where the mean stays out of the first one."""
    n = 7
    for correction in (0, 1):
        x = gu.from_numpy(np.random.default_rng(1).normal(size=n)).requires_grad_()
        (first,) = gu.derivatives(x.var(0, correction=correction), [x], create_graph=True)
        assert first is not None
        for i in range(n):
            (row,) = gu.derivatives(first[i], [x], create_graph=True)
            assert row is not None
            wanted = 2 / (n - correction) * (np.eye(n)[i] - 1 / n)
            np.testing.assert_allclose(row.detach().numpy(), wanted, 1e-12, 1e-12)
