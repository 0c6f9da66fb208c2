"""What the axes notation says beyond sums of products: reductions, positions, scans, guards, sizes.

Oracles are NumPy and torch; every test runs on the plain Python loops and on the compiler.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import groundup as gu

from .support import compare, sample, torch

i, j, k, t, f = gu.axes("i j k t f")
FUNCTIONS = (
    "exp", "expm1", "log", "log1p", "log2", "log10", "sqrt", "rsqrt", "reciprocal", "square",
    "sin", "cos", "tan", "tanh", "erf", "sigmoid", "relu", "abs", "sign", "floor", "ceil", "trunc",
    "round", "isnan", "isinf", "isfinite",
)  # fmt: skip
AWKWARD = [(0, 3), (1, 1), (1, 7), (3, 1), (5, 17), (2, 33)]


def equal(ours: gu.Tensor, expected: Any, rtol: float = 2e-6) -> None:
    expected = np.asarray(expected)
    assert ours.shape == expected.shape
    np.testing.assert_allclose(ours.numpy(), expected, rtol=rtol, atol=1e-6)


# ---- reductions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", AWKWARD)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
def test_reductions_over_awkward_shapes(shape: tuple[int, int], dtype: str) -> None:
    a = sample(shape, dtype)
    x = gu.from_numpy(a)
    n = gu.axis("n", shape[1])
    equal(x[i, n].sum(n).order(i), a.sum(1))
    equal(x[i, n].prod(n).order(i), a.prod(1), rtol=1e-5)
    equal(x[i, n].any(n).order(i), a.any(1))
    equal(x[i, n].all(n).order(i), a.all(1))
    equal(x[i, j].any(i, j).order(), a.any())
    equal(x[i, j].all(i, j).order(), a.all())
    equal(x[i, j].sum(i).order(j), a.sum(0))
    equal(x[i, j].all(i).order(j), a.all(0))  # of none: True
    if shape[0] and dtype != "bool":
        equal(x[i, n].max(n).order(i), a.max(1))
        equal(x[i, n].min(i).order(n), a.min(0))
        equal(x[i, n].argmax(n).order(i), a.argmax(1))
        equal(x[i, n].argmin(i, n).order(), a.argmin())
    if dtype.startswith("float"):
        wide = a.astype(np.float64)
        equal(x[i, n].mean(n).order(i), a.mean(1))
        equal(x[i, n].logsumexp(n).order(i), np.log(np.exp(wide).sum(1)))


def test_nan_and_infinity_in_reductions() -> None:
    a = np.array([[1.0, np.nan], [np.inf, 2.0], [-np.inf, -np.inf], [np.inf, np.inf]])
    x = gu.from_numpy(a)
    equal(x[i, j].max(j).order(i), a.max(1))
    equal(x[i, j].min(j).order(i), a.min(1))
    equal(x[i, j].any(j).order(i), [True] * 4)
    equal(x[i, j].logsumexp(j).order(i), [np.nan, np.inf, -np.inf, np.inf])


@pytest.mark.peers
def test_reductions_nest_in_any_order() -> None:
    def g(lib: Any, x: Any, y: Any) -> Any:
        if lib is not gu:
            pairs = (x[:, None] - x[None]).abs()
            return (
                pairs.sum(-1).amin(1), (x.sum(1)[:, None] * y.amax(1)[None]).amax(0),
                ((x - x.mean(1, keepdim=True)) ** 2).mean(1), (x @ y.T).logsumexp(1).sum(),
            )  # fmt: skip
        u = gu.axis("u")
        return (
            (x[i, j] - x[k, j]).abs().sum(j).min(k).order(i),
            (x[i, j].sum(j) * y[k, u].max(u)).max(i).order(k),
            ((x[i, j] - x[i, j].mean(j)) ** 2).mean(j).order(i),
            (x[i, j] * y[k, j]).sum(j).logsumexp(k).sum(i).order(),
        )

    compare(g, sample((3, 4)), sample((5, 4), seed=1), rtol=1e-5)


def test_an_axis_that_is_reduced_inside_may_be_free_outside() -> None:
    a = sample((3, 4))
    x = gu.from_numpy(a)
    equal((x[i, j] / x[i, j].sum(j)).order(i, j), a / a.sum(1, keepdims=True), 1e-5)
    equal((x[i, j].sum(j) * x[i, j]).max(j).order(i), (a.sum(1, keepdims=True) * a).max(1), 1e-5)


@pytest.mark.peers
def test_functions_of_one_number() -> None:
    a = np.abs(sample((2, 5))) + 0.1
    for name in FUNCTIONS:

        def g(lib: Any, x: Any, name: str = name) -> Any:
            if lib is not gu:
                return getattr(lib, name)(x), getattr(lib, name)(x)
            method, function = getattr(x[i, j], name)(), getattr(gu, name)(x[i, j])
            return method.order(i, j), function.order(i, j)

        compare(g, a, rtol=1e-5)


def test_operators_with_a_number_on_the_left_and_types() -> None:
    p = gu.axis("p", 5)
    assert (7 % (p + 1)).order(p).tolist() == [0, 1, 1, 3, 2]
    assert (2.0**p).order(p).tolist() == [1, 2, 4, 8, 16]
    assert (True & (p > 2)).order(p).tolist() == [False, False, False, True, True]
    assert ((p << 1) >> 1 ^ p).order(p).tolist() == [0] * 5
    assert (-p + abs(-p)).order(p).tolist() == [0] * 5
    assert (~(p > 2)).order(p).tolist() == [True, True, True, False, False]
    assert gu.clamp(p, 1, 3).order(p).tolist() == [1, 1, 2, 3, 3]
    assert gu.logical_and(p > 1, p < 4).order(p).tolist() == [False, False, True, True, False]
    assert gu.masked_fill(p, p > 2, 9).order(p).tolist() == [0, 1, 2, 9, 9]
    assert p.to(gu.float64).order(p).dtype is gu.float64
    assert p.int().order(p).dtype is gu.int32
    assert p.bool().order(p).tolist() == [False, True, True, True, True]


# ---- terms that go to positions ------------------------------------------------------------------


def _groups(values: Any, labels: Any, count: int, of: Callable[[Any], Any]) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.array([of(values[labels == c]) for c in range(count)])


@pytest.mark.parametrize("n", [1, 2, 17, 100])
def test_terms_at_positions(n: int) -> None:
    a, labels = sample((n, 3)), np.random.default_rng(n).integers(0, 4, n)
    x, where = gu.from_numpy(a), gu.from_numpy(labels)
    c = gu.axis("c", 5)  # nothing goes to the last position
    placed = x[i, f].at(c, where[i])

    def some(of: str, none: float) -> Callable[[Any], Any]:
        return lambda v: getattr(v, of)(0) if len(v) else np.full(3, none)

    equal(placed.sum(i).order(c, f), _groups(a, labels, 5, lambda v: v.sum(0)), 1e-5)
    equal(placed.sum(i).order(f, c), _groups(a, labels, 5, lambda v: v.sum(0)).T, 1e-5)
    equal(placed.prod(i).order(c, f), _groups(a, labels, 5, lambda v: v.prod(0)), 1e-5)
    equal(placed.max(i).order(c, f), _groups(a, labels, 5, some("max", -np.inf)))
    equal(placed.min(i).order(c, f), _groups(a, labels, 5, some("min", np.inf)))
    equal(placed.mean(i).order(c, f), _groups(a, labels, 5, some("mean", np.nan)), 1e-5)
    soft = _groups(a.astype(np.float64), labels, 5, lambda v: np.log(np.exp(v).sum(0)))
    equal(placed.logsumexp(i).order(c, f), soft, 1e-5)
    equal((x[i, f] > 1).at(c, where[i]).any(i).order(c, f),
          _groups(a > 1, labels, 5, lambda v: v.any(0)))  # fmt: skip
    equal((x[i, f] > 0).at(c, where[i]).all(i).order(c, f),
          _groups(a > 0, labels, 5, lambda v: v.all(0)))  # fmt: skip
    ratio = x[i, f].at(c, where[i]).sum(i) / gu.ones(n)[i].at(c, where[i]).sum(i)
    equal(ratio.order(c, f), _groups(a, labels, 5, some("mean", np.nan)), 1e-5)


def test_several_positions_batches_and_computed_ones() -> None:
    rng = np.random.default_rng(0)
    rows, columns, a = rng.integers(0, 3, 40), rng.integers(0, 4, 40), sample((40,))
    r, c, x = gu.from_numpy(rows), gu.from_numpy(columns), gu.from_numpy(a)
    p, q = gu.axis("p", 3), gu.axis("q", 4)
    expected = np.zeros((3, 4), np.float32)
    np.add.at(expected, (rows, columns), a)
    equal(x[i].at(p, r[i]).at(q, c[i]).sum(i).order(p, q), expected, 1e-5)
    labels, b = rng.integers(0, 4, (5, 9)), sample((5, 9))
    where, y = gu.from_numpy(labels), gu.from_numpy(b)
    each = np.zeros((5, 4), np.float32)
    for n in range(5):
        np.add.at(each[n], labels[n], b[n])
    equal(y[i, j].at(q, where[i, j]).sum(j).order(i, q), each, 1e-5)
    equal(y[i, j].at(q, where[i, j]).sum(i, j).order(q), each.sum(0), 1e-5)
    bins = (y[i, j].clamp(-1.9, 1.9) + 2).floor().long()
    counts = np.bincount(np.floor(np.clip(b, -1.9, 1.9) + 2).astype(int).ravel(), minlength=4)
    equal(gu.ones(5, 9)[i, j].at(q, bins).sum(i, j).order(q), counts)
    equal(gu.arange(2)[k].at(q, 2 * k + 1).sum(k).order(q), [0, 0, 0, 1])
    equal(gu.ones(2)[k].at(q, gu.tensor([-1, 0])[k]).sum(k).order(q), [1, 0, 0, 1])


def test_positions_that_leave_their_axis() -> None:
    x, c = gu.ones(3), gu.axis("c", 4)
    labels = gu.tensor([0, 4, 1])
    with pytest.raises(IndexError, match="index 4 at position \\(1,\\) leaves an axis of size 4"):
        x[i].at(c, labels[i]).sum(i).order(c)
    with pytest.raises(IndexError, match="index 5"):
        x[i].at(c, labels[i] + 1).sum(i).order(c).tolist()
    with pytest.raises(IndexError, match=r"axis c goes from 0 to 6 \(for k < 4\)"):
        gu.ones(4)[k].at(c, 2 * k).sum(k).order(c)
    with pytest.raises(TypeError, match="says where the terms of a reduction go"):
        x[i].at(c, labels[i]).order(i, c)
    with pytest.raises(TypeError, match="says where the terms of a reduction go"):
        (x[i].at(c, labels[i]) * 2).sum(i).order(c)
    with pytest.raises(TypeError, match="there may be no term"):
        x[i].at(c, labels[i]).argmax(i).order(c)
    with pytest.raises(IndexError, match="holds integers, not float32"):
        x[i].at(c, x[i]).sum(i).order(c)
    with pytest.raises(ValueError, match="depends on c itself"):
        x[i].at(c, c)
    with pytest.raises(TypeError, match="takes an axis"):
        x[i].at(3, labels[i])  # type: ignore[arg-type]


# ---- along an axis -------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (1, 9), (4, 17), (2, 0)])
def test_running_values(shape: tuple[int, int]) -> None:
    a = sample(shape)
    x = gu.from_numpy(a)
    n = gu.axis("n", shape[1])
    for name, run in (
        ("cumsum", np.cumsum), ("cumprod", np.cumprod), ("cummax", np.maximum.accumulate),
        ("cummin", np.minimum.accumulate),
    ):  # fmt: skip
        equal(getattr(x[i, n], name)(n).order(i, n), run(a, axis=1), 1e-5)
        equal(getattr(x[i, n], name)(n).order(n, i), run(a, axis=1).T, 1e-5)
        equal(getattr(x[i, n], name)(i).order(i, n), run(a, axis=0), 1e-5)
        back = run(a[:, ::-1], axis=1)[:, ::-1]
        equal(getattr(x[i, n], name)(n, reverse=True).order(i, n), back, 1e-5)
    assert gu.tensor([1, 2], dtype=gu.int32)[i].cumsum(i).order(i).dtype is gu.int64
    half = gu.tensor([1.0, 2.0]).half()
    assert half[i].cumsum(i).order(i).dtype is gu.float16


def test_running_values_inside_an_expression() -> None:
    a = sample((4, 9))
    x = gu.from_numpy(a)
    mean = (x[i, t] ** 2).cumsum(t) / (t + 1)
    equal(mean.sqrt().order(i, t), np.sqrt((a**2).cumsum(1) / np.arange(1, 10)), 1e-5)
    equal(x[i, t].cumsum(t).max(t).order(i), a.cumsum(1).max(1), 1e-5)
    equal((x[i, t] * x[j, t]).sum(t).cumsum(j).order(i, j), (a @ a.T).cumsum(1), 1e-5)
    assert x[i, t].cumsum(t).order(i, t).node is gu.cumsum(x, 1).node


def _recurrence(step: Callable[[Any, int], Any], start: Any, count: int) -> np.ndarray:
    values, h = [], start
    for n in range(count):
        h = step(h, n)
        values.append(h)
    return np.stack(values, -1)


def test_scans() -> None:
    a, b = np.abs(sample((4, 7))), sample((4, 7), seed=1)
    x, y, h0 = gu.from_numpy(a), gu.from_numpy(b), gu.from_numpy(b[:, 0].copy())

    def step(h: Any) -> Any:
        return x[i, t] * h + y[i, t]

    def theirs(h: Any, n: int) -> Any:
        return a[:, n] * h + b[:, n]

    zero = np.zeros(4, np.float32)
    equal(gu.scan(t, step).order(i, t), _recurrence(theirs, zero, 7), 1e-5)
    equal(gu.scan(t, step, start=2.0).order(t, i), _recurrence(theirs, zero + 2, 7).T, 1e-5)
    equal(gu.scan(t, step, start=gu.tensor(2.0)).order(i, t),
          _recurrence(theirs, zero + 2, 7), 1e-5)  # fmt: skip
    equal(gu.scan(t, step, start=h0[i]).order(i, t), _recurrence(theirs, b[:, 0], 7), 1e-5)
    back = _recurrence(lambda h, n: theirs(h, 6 - n), b[:, 0], 7)[:, ::-1]
    equal(gu.scan(t, step, start=h0[i], reverse=True).order(i, t), back, 1e-5)
    equal((gu.scan(t, step) * 2).max(t).order(i), _recurrence(theirs, zero, 7).max(1) * 2, 1e-5)
    s = gu.axis("s", 5)
    assert gu.scan(s, lambda h: 2 * h + 1, start=0).order(s).tolist() == [1, 3, 7, 15, 31]
    assert gu.scan(t, lambda h: h + y[i, t], start=0).order(i, t).dtype is gu.float32
    assert gu.scan(t, lambda h: h + y[i, t].double()).order(i, t).dtype is gu.float64


def test_sums_in_the_step_of_a_scan() -> None:
    a = sample((5, 5))
    x = gu.from_numpy(a)
    inner = gu.scan(t, lambda h: 0.5 * h + (x[i, k] * x[t, k]).sum(k)).order(i, t)
    products = a @ a.T
    expected = _recurrence(lambda h, n: 0.5 * h + products[:, n], np.zeros(5), 5)
    equal(inner, expected, 1e-5)
    p = gu.axis("p", 5)  # the sum is taken out of the where, and only asks where that holds
    later = gu.scan(p, lambda h: gu.where(p > 0, h + x[p - 1, k].sum(k), 0.0)).order(p)
    equal(later, np.concatenate([[0], a.sum(1)[:-1].cumsum()]), 1e-5)
    with pytest.raises(TypeError, match="stands inside a reduction"):
        gu.scan(t, lambda h: (h * x[i, k]).sum(k) + x[i, t]).order(i, t)
    with pytest.raises(TypeError, match="inside another scan"):
        u = gu.axis("u", 3)
        gu.scan(u, lambda h: gu.scan(t, lambda g: g + h * x[i, t]).max(t)).order(i, u)


def test_the_value_before_stays_in_its_step() -> None:
    x, kept = gu.ones(3), []

    def step(h: Any) -> Any:
        kept.append(h)
        return h + x[t]

    gu.scan(t, step)
    with pytest.raises(TypeError, match="only inside the step of its scan"):
        (kept[0] + x[t]).order(t)
    with pytest.raises(ValueError, match="start is what there is before axis t"):
        gu.scan(t, lambda h: h + x[t], start=x[t])
    with pytest.raises(TypeError, match="runs along an axis"):
        gu.scan(3, lambda h: h)  # type: ignore[arg-type]


# ---- sizes and ranges ----------------------------------------------------------------------------


def test_sizes_of_divided_axes() -> None:
    x = gu.arange(5.0)
    assert x[i // 2].order(i).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    p = gu.axis("p", 7)
    assert x[p % 5].order(p).tolist() == [0, 1, 2, 3, 4, 0, 1]
    assert x[(p - 3) % 5].order(p).tolist() == [2, 3, 4, 0, 1, 2, 3]
    assert x[(p + i) // 3].order(p, i).shape == (7, 9)
    assert x[-i + 4].order(i).tolist() == [4, 3, 2, 1, 0]
    with pytest.raises(ValueError, match="size of axis i cannot be read"):
        x[i % 5].order(i)


def test_a_where_guards_what_its_condition_keeps_inside() -> None:
    a = sample((9, 7))
    x = gu.from_numpy(a)
    p, q = gu.axis("p", 12), gu.axis("q", 9)
    equal(gu.where((p >= 2) & (p < 11), x[p - 2, 0], 0.0).order(p), [0, 0, *a[:, 0], 0])
    equal(gu.where(~(p < 2) & ~(p >= 11), x[p - 2, 0], 0.0).order(p), [0, 0, *a[:, 0], 0])
    equal(gu.where((p < 2) | (p >= 11), 0.0, x[p - 2, 0]).order(p), [0, 0, *a[:, 0], 0])
    equal(gu.where(p < 9, x[p, 0], x[p - 9, 1]).order(p), [*a[:, 0], *a[:3, 1]])
    expected = [[a[r - c, 0] if r >= c else 0 for c in range(9)] for r in range(9)]
    s = gu.axis("s", 9)
    equal(gu.where(q >= s, x[q - s, 0], 0.0).order(q, s), expected)
    equal(gu.where(gu.eq(p, 3), x[p + 1, 0], 0.0).order(p), [0] * 3 + [a[4, 0]] + [0] * 8)
    with pytest.raises(IndexError, match="at p = 9 the condition of the where holds"):
        gu.where(p < 10, x[p, 0], 0.0).order(p)
    with pytest.raises(IndexError, match="goes from 0 to 11"):  # another p, which nothing guards
        gu.where(p < 9, x[p, 0].sum(p), 0.0).order(p)


def test_guards_that_cannot_be_proved_are_checked_when_they_run() -> None:
    n = 6000
    x, p = gu.arange(n), gu.axis("p", n + 1)
    guarded = gu.where((p * p >= 1) & (p <= n), x[p - 1], 0).sum(p).order()
    assert guarded.item() == n * (n - 1) // 2
    with pytest.raises(IndexError, match="-1"):
        gu.where((p * p >= 0) & (p <= n), x[p - 1], 0).sum(p).order().item()
    mask = gu.tensor([False, True, True, True])
    y = gu.tensor([1.0, 2.0, 3.0])
    q = gu.axis("q", 4)
    assert gu.where(mask[q], y[q - 1], 0.0).order(q).tolist() == [0, 1, 2, 3]
    with pytest.raises(IndexError, match="-1"):
        gu.where(~mask[q], y[q - 1], 0.0).order(q).tolist()
    ids = gu.tensor([1, -100, 2])
    assert gu.where(ids[k] >= 0, y[ids[k]], 0.0).order(k).tolist() == [2, 0, 3]


# ---- errors show the expression ------------------------------------------------------------------


def _message(error: type[Exception], call: Callable[[], Any]) -> list[str]:
    with pytest.raises(error) as caught:
        call()
    return str(caught.value).splitlines()


def test_errors_underline_the_culprit() -> None:
    a, b = gu.zeros(2, 3), gu.zeros(4, 5)

    def shown(error: type[Exception], call: Callable[[], Any]) -> tuple[str, str, str]:
        lines = _message(error, call)
        line = next(n for n, text in enumerate(lines) if "^" in text)
        marked = "".join(
            c for c, m in zip(lines[line - 1], lines[line].ljust(200), strict=False) if m == "^"
        )
        assert "test_notation.py" in lines[-1]
        return lines[0], lines[line - 1].strip(), marked

    what, text, marked = shown(IndexError, lambda: (a[i, k] * b[k, j]).sum(k).order(i, j))
    assert "axis k has size 3 in one tensor and 4 in another" in what
    assert (text, marked) == ("(a[i, k] * b[k, j]).sum(k).order(i, j)", "kk")
    what, text, marked = shown(ValueError, lambda: (a[i, k] * b[t, j]).sum(k).order(i, j))
    assert "also depends on t" in what
    assert (text, marked) == ("(a[i, k] * b[t, j]).sum(k).order(i, j)", "t")
    what, text, marked = shown(ValueError, lambda: a[i, k].sum(k).exp().sum(k))
    assert "axis k is reduced twice" in what
    assert (text, marked) == ("a[i, k].sum(k).exp().sum(k)", "kk")
    what, text, marked = shown(ValueError, lambda: a[i, k].sum(j))
    assert (text, marked) == ("a[i, k].sum(j)", "j")
    what, text, marked = shown(IndexError, lambda: a[i * k, 0])
    assert "a product of axes is not affine" in what
    assert (text, marked) == ("a[i * k, 0]", "i * k")
    assert "not affine" in shown(IndexError, lambda: a[i // k, 0])[0]
    assert "not affine" in shown(IndexError, lambda: a[i**2, 0])[0]
    assert "fraction" in shown(IndexError, lambda: a[i / 2, 0])[0]
    what, text, marked = shown(IndexError, lambda: a[i, 2.5 * k])
    assert marked == "2.5 * k" or marked == "k * 2.5"
    what, text, marked = shown(IndexError, lambda: a[b[i, 0], k].order(i, k))
    assert "an index holds integers, not float32" in what
    assert (text, marked) == ("a[b[i, 0], k].order(i, k)", "b[i, 0]")
    p = gu.axis("p", 4)
    what, text, marked = shown(IndexError, lambda: (2 * a[i, p - 1] + 1).order(i, p))
    assert "goes from -1 to 2 (for p < 4), but the axis has size 3" in what
    assert (text, marked) == ("(2 * a[i, p - 1] + 1).order(i, p)", "p - 1")
    what, text, marked = shown(IndexError, lambda: a[7, k].order(k))
    assert (text, marked) == ("a[7, k].order(k)", "7")
    what, text, marked = shown(ValueError, lambda: gu.where(t > 1, a[i, k], 0.0).order(i, k, t))
    assert "size of axis t cannot be read" in what
    assert marked == "tt"
    what, text, marked = shown(IndexError, lambda: gu.zeros(0, 2)[i, k].max(i).order(k))
    assert "nothing to choose from" in what
    what, text, marked = shown(TypeError, lambda: gu.where(a[i, k], 1.0, 0.0).order(i, k))
    assert (text, marked) == ("gu.where(a[i, k], 1.0, 0.0).order(i, k)", "a[i, k]")
    for bad in (lambda: a[i, :], lambda: a[i, None, k], lambda: a[..., i]):
        assert "one index for each of its 2 axes" in _message(IndexError, bad)[0]


def test_what_an_expression_is_called_and_how_it_is_written() -> None:
    x, labels = gu.zeros(3, 4), gu.tensor([0, 1, 1])
    c = gu.axis("c", 2)
    shown = repr((-(x[i, k] + 1) ** 2 * 3 - (x[i, k] - (2 - k))).max(k) * (i > 2))
    assert "(-(x[i, k] + 1) ** 2 * 3 - (x[i, k] - (2 - k))).max(k) * (2 < i)" in shown
    both = repr((i > 0) & (x[i, k] <= 2) | ~(i < 1))
    assert "(0 < i) & (x[i, k] <= 2) | ~(i < 1)" in both
    assert "indexed by i" in shown
    assert "x[i, k].at(c, labels[i]).sum(i)" in repr(x[i, k].at(c, labels[i]).sum(i))
    assert "gu.scan(k, lambda h: h + x[i, k])" in repr(gu.scan(k, lambda h: h + x[i, k]))
    assert "gu.outside(x, 0.0)[i - 1, k].to(gu.int64)" in repr(gu.outside(x)[i - 1, k].long())
    assert "gu.maximum(x[i, k].cumsum(k), 1)" in repr(gu.maximum(x[i, k].cumsum(k), 1))

    class Holder:
        def __init__(self) -> None:
            self.weight = gu.zeros(2)

        def shown(self) -> str:
            return repr(self.weight[i])

    assert "self.weight[i]" in Holder().shown()
    deep = x[i, k]
    for _ in range(3000):
        deep = deep + 1
    assert len(repr(deep)) < 2000


# ---- derivatives, jit ----------------------------------------------------------------------------


def _derivatives(
    ours: Callable[..., gu.Tensor], theirs: Callable[..., Any], *arrays: np.ndarray
) -> None:
    """Equal values, first and second derivatives, in float64."""
    lib = torch()
    xs = [gu.from_numpy(a.copy()).requires_grad_() for a in arrays]
    ys = [lib.tensor(a.copy(), requires_grad=True) for a in arrays]
    mine, his = ours(*xs), theirs(*ys)
    np.testing.assert_allclose(mine.detach().numpy(), his.detach().numpy(), 1e-9, 1e-9)
    weights = sample(tuple(his.shape), "float64", 3)
    a, b = (mine * gu.from_numpy(weights)).sum(), (his * lib.tensor(weights)).sum()
    for _ in range(2):
        ga = gu.derivatives(a, xs, create_graph=True, allow_unused=True)
        gb = lib.autograd.grad(b, ys, create_graph=True, allow_unused=True)
        a, b = None, None
        for p, q, x in zip(ga, gb, arrays, strict=True):
            if q is None:
                assert p is None or not np.any(p.detach().numpy())
                continue
            got = np.zeros_like(x) if p is None else p.detach().numpy()
            np.testing.assert_allclose(got, q.detach().numpy(), 1e-8, 1e-8)
            if p is not None:
                a = p.sin().sum() if a is None else a + p.sin().sum()
            b = q.sin().sum() if b is None else b + q.sin().sum()
        if b is None or not b.requires_grad:
            return


def _double(*shape: int) -> np.ndarray:
    return sample(shape, "float64")


@pytest.mark.peers
def test_derivatives_of_products_extremes_and_nests() -> None:
    lib = torch()
    _derivatives(lambda a, b: (a[i, k] * b[k, j]).sum(k).order(i, j), lambda a, b: a @ b,
                 _double(3, 4), _double(4, 5))  # fmt: skip
    _derivatives(lambda a, b: (a[i, k] + b[k, j]).max(k).order(i, j),
                 lambda a, b: (a[:, :, None] + b[None]).amax(1),
                 _double(3, 4), _double(4, 5))  # fmt: skip
    _derivatives(lambda a: (((a[i, k] - a[j, k]) ** 2).sum(k) + 0.1).sqrt().order(i, j),
                 lambda a: (((a[:, None] - a) ** 2).sum(-1) + 0.1).sqrt(),
                 _double(4, 3))  # fmt: skip
    _derivatives(lambda a: a[i, k].logsumexp(k).order(i), lambda a: a.logsumexp(1), _double(4, 3))
    _derivatives(lambda a: a[i, k].prod(k).order(i), lambda a: a.prod(1), _double(4, 3))
    _derivatives(lambda a: ((a[i, k] - a[i, k].mean(k)) ** 2).mean(k).order(i),
                 lambda a: a.var(1, correction=0), _double(4, 3))  # fmt: skip

    def convolved(a: Any, w: Any) -> Any:
        return lib.conv1d(a[None, None, 1:], w[None, None], stride=2, dilation=3)[0, 0]

    _derivatives(lambda a, w: (a[2 * i + 3 * k + 1] * w[k]).sum(k).order(i), convolved,
                 _double(23), _double(3))  # fmt: skip
    _derivatives(lambda a: (a[i, j].clamp(-0.5, 0.5) + a[i, j].abs() * a[i, j].erf()).order(i, j),
                 lambda a: a.clamp(-0.5, 0.5) + a.abs() * a.erf(), _double(3, 4))  # fmt: skip


@pytest.mark.peers
def test_derivatives_of_gathers_guards_and_positions() -> None:
    lib = torch()
    labels = np.array([0, 2, 1, 1, 3, 0, 2])
    where, index = gu.from_numpy(labels), lib.tensor(labels)
    c, p, q = gu.axis("c", 4), gu.axis("p", 9), gu.axis("q", 7)
    x = _double(7, 3)
    _derivatives(lambda a: a[where[i], f].order(i, f), lambda a: a[index], _double(4, 3))
    _derivatives(lambda a: a[i, a[i, j].argmax(j)].order(i), lambda a: a.amax(1), _double(4, 3))
    _derivatives(lambda a: a[i // 2, q % 3].order(i, q),
                 lambda a: a.repeat_interleave(2, 0)[:, [0, 1, 2, 0, 1, 2, 0]],
                 _double(4, 3))  # fmt: skip
    _derivatives(lambda a: gu.where((p >= 2) & (p < 9), a[p - 2], 0.0).order(p),
                 lambda a: lib.nn.functional.pad(a, (2, 0)), _double(7))  # fmt: skip
    _derivatives(lambda a: gu.where((p * p >= 4) & (p < 9), a[p - 2], 0.0).order(p),
                 lambda a: lib.nn.functional.pad(a, (2, 0)), _double(7))  # fmt: skip
    _derivatives(lambda a: a[i, f].sin().at(c, where[i]).sum(i).order(c, f),
                 lambda a: lib.zeros(4, 3).double().index_add(0, index, a.sin()), x)  # fmt: skip
    for name, of in (
        ("mean", lambda v: v.mean(0)), ("max", lambda v: v.amax(0)), ("prod", lambda v: v.prod(0)),
        ("logsumexp", lambda v: v.logsumexp(0)),
    ):  # fmt: skip

        def ours(a: gu.Tensor, name: str = name) -> gu.Tensor:
            result: gu.Tensor = getattr(a[i, f].at(c, where[i]), name)(i).order(c, f)
            return result

        def theirs(a: Any, of: Callable[[Any], Any] = of) -> Any:
            return lib.stack([of(a[index == n]) for n in range(4)])

        _derivatives(ours, theirs, x)


@pytest.mark.peers
def test_derivatives_along_an_axis() -> None:
    lib = torch()

    def run(step: Callable[[Any, int], Any], h: Any, count: int) -> Any:
        values = []
        for n in range(count):
            h = step(h, n)
            values.append(h)
        return lib.stack(values, 1)

    a, b, h0 = np.abs(_double(4, 6)), _double(4, 6), _double(4)
    _derivatives(lambda x: x[i, t].cumsum(t, reverse=True).order(i, t),
                 lambda x: x.flip(1).cumsum(1).flip(1), b)  # fmt: skip
    _derivatives(lambda x: x[i, t].cumprod(t).order(i, t), lambda x: x.cumprod(1), b)
    _derivatives(lambda x: x[i, t].cummax(t).order(i, t), lambda x: x.cummax(1).values, b)
    _derivatives(lambda x: x[i, t].cummin(t).order(i, t), lambda x: x.cummin(1).values, b)
    _derivatives(
        lambda x, y, h: gu.scan(t, lambda g: (x[i, t] * g + y[i, t]).tanh(), h[i]).order(i, t),
        lambda x, y, h: run(lambda g, n: (x[:, n] * g + y[:, n]).tanh(), h, 6), a, b, h0,
    )  # fmt: skip
    _derivatives(
        lambda x, y: gu.scan(t, lambda g: 0.5 * g + (x[i, k] * y[t, k]).sum(k)).order(i, t),
        lambda x, y: run(lambda g, n: 0.5 * g + (x @ y.T)[:, n], lib.zeros(4), 4), a, b,
    )  # fmt: skip


def test_inside_jit_and_beside_tensors(engine: str) -> None:
    if engine == "python":
        return
    c = gu.axis("c", 3)

    def step(x: gu.Tensor, labels: gu.Tensor) -> tuple[gu.Tensor, gu.Tensor, gu.Tensor]:
        means = x[i, f].at(c, labels[i]).mean(i).order(c, f)
        running = gu.scan(i, lambda h: 0.5 * h + x[i, f]).order(i, f)
        picked = means[labels[i], f].order(i, f)
        return means @ means.T, running.relu(), (picked - x).square().sum()

    captured = gu.jit(step)
    for n in (6, 6, 6, 4, 9):
        x = gu.from_numpy(sample((n, 4), seed=n))
        labels = gu.from_numpy(np.arange(n) % 3)
        for ours, plain in zip(captured(x, labels), step(x, labels), strict=True):
            np.testing.assert_array_equal(ours.numpy(), plain.numpy())
    with pytest.raises(IndexError, match="3"):
        captured(gu.ones(6, 4), gu.tensor([0, 1, 2, 3, 0, 1]))[0].numpy()


def test_numbers_are_rounded_once_to_the_type_of_the_others() -> None:
    x = gu.ones(2, dtype=gu.float64)
    assert (x[i] + 0.1).order(i).tolist() == [1.1, 1.1]
    assert gu.where(x[i] > 2, x[i], 0.1).order(i).tolist() == [0.1, 0.1]
    assert (x[i] * gu.tensor(0.5)).order(i).dtype is gu.float64


def test_a_sum_beside_a_tensor_of_sums_is_captured_twice_alike() -> None:
    a = sample((6, 3), "float32")

    def squares(x: gu.Tensor) -> gu.Tensor:
        length = (x[i, f] ** 2).sum(f).order(i)
        return (length[i] + length[j] - 2 * (x[i, f] * x[j, f]).sum(f)).order(i, j)

    captured = gu.jit(squares)
    for _ in range(3):
        equal(captured(gu.from_numpy(a)), ((a[:, None] - a) ** 2).sum(-1), rtol=1e-5)
