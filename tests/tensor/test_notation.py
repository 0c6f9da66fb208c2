"""What the axes notation says beyond sums of products: reductions, positions, scans, guards, sizes.

Oracles are NumPy and torch; every test runs on the plain Python loops and on the compiler.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup.ir.show import show

from .support import compare, same_slopes, sample, torch

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


@pytest.mark.peers
def test_reductions_as_functions() -> None:
    a = sample((3, 4))
    for name in ("sum", "prod", "max", "min", "mean", "logsumexp", "argmax", "argmin", "amax",
                "amin", "any", "all"):  # fmt: skip

        def g(lib: Any, x: Any, name: str = name) -> Any:
            if lib is not gu:
                if name in ("max", "min"):
                    return getattr(lib, f"a{name}")(x, 1), getattr(lib, name)(x)
                flat = (x > 0.5) if name in ("any", "all") else x
                return getattr(lib, name)(flat, 1), getattr(lib, name)(flat.reshape(-1), 0)
            y = (x[i, j] > 0.5) if name in ("any", "all") else x[i, j]
            f = getattr(lib, name)
            return f(y, j).order(i), f(y, i, j).order()

        compare(g, a, rtol=1e-5)
    for name in ("cumsum", "cumprod", "cummax", "cummin"):

        def h(lib: Any, x: Any, name: str = name) -> Any:
            if lib is gu:
                return getattr(lib, name)(x[i, j], j).order(i, j)
            y = getattr(lib, name)(x, 1)
            return y.values if name in ("cummax", "cummin") else y

        compare(h, a, rtol=1e-5)
    x = gu.from_numpy(a)
    equal(gu.cumsum(x[i, j], j, reverse=True).order(i, j), a[:, ::-1].cumsum(1)[:, ::-1], 1e-5)
    with pytest.raises(TypeError, match="takes the axes that it goes over, not dim="):
        gu.sum(x[i, j], dim=1)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="reduces over axes, not int: 1"):
        gu.sum(x[i, j], 1)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="runs along one axis"):
        gu.cumsum(x[i, j], i, j)


@pytest.mark.peers
def test_functions_of_two_by_name() -> None:
    p, q = sample((3, 4)), np.abs(sample((3, 4), seed=1)) + 0.5

    def g(lib: Any, x: Any, y: Any) -> Any:
        u, v = (x[i, j], y[i, j]) if lib is gu else (x, y)
        found = (
            u.add(v), u.sub(2), u.mul(v), u.div(v), u.remainder(v), v.pow(u),
            u.neg(), u.maximum(v), u.minimum(v), u.lt(v), u.le(v), u.gt(v), u.ge(0.5),
            u.logical_and(v), u.logical_or(u), u.logical_xor(v), u.logical_not(), u.lerp(v, 0.3),
            u.masked_fill(v > 1, 7.0), u.where(v > 1, v), u.clamp_min(0.2), u.clamp_max(0.2),
        )  # fmt: skip
        return tuple(w.order(i, j) for w in found) if lib is gu else found

    def divided(lib: Any, x: Any, y: Any) -> Any:
        if lib is not gu:
            return x.floor_divide(y)
        return x[i, j].floor_divide(y[i, j]).order(i, j)

    compare(g, p, q, rtol=1e-5)
    compare(divided, p, q, grad=False)


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
    s3 = gu.axis("s3", 3)
    y = gu.tensor([1.0, 2.0, 4.0])
    for inside in (
        gu.clamp(p - 4, 0, 2), (p - 4).clamp_min(0).clamp_max(2), gu.minimum(p, 2),
        gu.where(p > 2, 2, p), gu.where((p > 2) | (p < 1), 1, 2 * p - 2), abs(2 - p.clamp_max(4)),
    ):  # fmt: skip
        at = inside.order(p).numpy()
        equal(y[inside].order(p), y.numpy()[at])
        equal(gu.ones(12)[p].at(s3, inside).sum(p).order(s3), np.bincount(at, minlength=3))
    with pytest.raises(IndexError, match="goes from 0 to 11"):
        y[gu.where(p > 3, 2, p)].order(p)
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


# ---- derivatives, jit ----------------------------------------------------------------------------


def _double(*shape: int) -> np.ndarray:
    return sample(shape, "float64")


@pytest.mark.peers
def test_derivatives_of_products_extremes_and_nests() -> None:
    lib = torch()
    same_slopes(lambda a, b: (a[i, k] * b[k, j]).sum(k).order(i, j), lambda a, b: a @ b,
                _double(3, 4), _double(4, 5))  # fmt: skip
    same_slopes(lambda a, b: (a[i, k] + b[k, j]).max(k).order(i, j),
                lambda a, b: (a[:, :, None] + b[None]).amax(1),
                _double(3, 4), _double(4, 5))  # fmt: skip
    same_slopes(lambda a: (((a[i, k] - a[j, k]) ** 2).sum(k) + 0.1).sqrt().order(i, j),
                lambda a: (((a[:, None] - a) ** 2).sum(-1) + 0.1).sqrt(),
                _double(4, 3))  # fmt: skip
    same_slopes(lambda a: a[i, k].logsumexp(k).order(i), lambda a: a.logsumexp(1), _double(4, 3))
    same_slopes(lambda a: a[i, k].prod(k).order(i), lambda a: a.prod(1), _double(4, 3))
    same_slopes(lambda a: ((a[i, k] - a[i, k].mean(k)) ** 2).mean(k).order(i),
                lambda a: a.var(1, correction=0), _double(4, 3))  # fmt: skip

    def convolved(a: Any, w: Any) -> Any:
        return lib.conv1d(a[None, None, 1:], w[None, None], stride=2, dilation=3)[0, 0]

    same_slopes(lambda a, w: (a[2 * i + 3 * k + 1] * w[k]).sum(k).order(i), convolved,
                _double(23), _double(3))  # fmt: skip
    same_slopes(lambda a: (a[i, j].clamp(-0.5, 0.5) + a[i, j].abs() * a[i, j].erf()).order(i, j),
                lambda a: a.clamp(-0.5, 0.5) + a.abs() * a.erf(), _double(3, 4))  # fmt: skip


@pytest.mark.peers
def test_derivatives_of_gathers_guards_and_positions() -> None:
    lib = torch()
    labels = np.array([0, 2, 1, 1, 3, 0, 2])
    where, index = gu.from_numpy(labels), lib.tensor(labels)
    c, p, q = gu.axis("c", 4), gu.axis("p", 9), gu.axis("q", 7)
    x = _double(7, 3)
    same_slopes(lambda a: a[where[i], f].order(i, f), lambda a: a[index], _double(4, 3))
    same_slopes(lambda a: a[i, a[i, j].argmax(j)].order(i), lambda a: a.amax(1), _double(4, 3))
    same_slopes(lambda a: a[i // 2, q % 3].order(i, q),
                lambda a: a.repeat_interleave(2, 0)[:, [0, 1, 2, 0, 1, 2, 0]],
                _double(4, 3))  # fmt: skip
    same_slopes(lambda a: gu.where((p >= 2) & (p < 9), a[p - 2], 0.0).order(p),
                lambda a: lib.nn.functional.pad(a, (2, 0)), _double(7))  # fmt: skip
    same_slopes(lambda a: (gu.outside(a, 2.0)[p - 1] ** 3 * (p + 1)).order(p),
                lambda a: lib.nn.functional.pad(a, (1, 1), value=2.0) ** 3 * lib.arange(1, 10),
                _double(7))  # fmt: skip
    same_slopes(lambda a: gu.outside(a, 0.0)[where[i] * 2 - 1].sin().order(i),
                lambda a: lib.nn.functional.pad(a, (1, 0))[2 * index].sin(),
                _double(7))  # fmt: skip
    ids = gu.from_numpy(np.array([1, -100, 3, 99]))
    safe = lib.tensor([1, 0, 3, 0])
    same_slopes(lambda a: gu.where((ids[i] >= 0) & (ids[i] < 7), a[ids[i]] ** 3, 0.0).order(i),
                lambda a: a[safe] ** 3 * lib.tensor([1, 0, 1, 0]), _double(7))  # fmt: skip
    same_slopes(lambda a: a[gu.clamp(p - 1, 0, 6)].sin().order(p),
                lambda a: lib.cat([a[:1], a, a[-1:]]).sin(), _double(7))  # fmt: skip
    same_slopes(lambda a: gu.where((p * p >= 4) & (p < 9), a[p - 2], 0.0).order(p),
                lambda a: lib.nn.functional.pad(a, (2, 0)), _double(7))  # fmt: skip
    same_slopes(lambda a: a[i, f].sin().at(c, where[i]).sum(i).order(c, f),
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

        same_slopes(ours, theirs, x)


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
    same_slopes(lambda x: x[i, t].cumsum(t, reverse=True).order(i, t),
                lambda x: x.flip(1).cumsum(1).flip(1), b)  # fmt: skip
    same_slopes(lambda x: x[i, t].cumprod(t).order(i, t), lambda x: x.cumprod(1), b)
    same_slopes(lambda x: x[i, t].cummax(t).order(i, t), lambda x: x.cummax(1).values, b)
    same_slopes(lambda x: x[i, t].cummin(t).order(i, t), lambda x: x.cummin(1).values, b)
    same_slopes(
        lambda x, y, h: gu.scan(t, lambda g: (x[i, t] * g + y[i, t]).tanh(), h[i]).order(i, t),
        lambda x, y, h: run(lambda g, n: (x[:, n] * g + y[:, n]).tanh(), h, 6), a, b, h0,
    )  # fmt: skip
    same_slopes(
        lambda x, y: gu.scan(t, lambda g: 0.5 * g + (x[i, k] * y[t, k]).sum(k)).order(i, t),
        lambda x, y: run(lambda g, n: 0.5 * g + (x @ y.T)[:, n], lib.zeros(4), 4), a, b,
    )  # fmt: skip


def test_a_gradient_prints_as_loops() -> None:
    x = gu.ones(4, 3).requires_grad_()
    y = (x[i, k] * x[j, k]).sum(k).max(j).order(i)
    (g,) = gu.derivatives(y.sum(), [x])
    shown = show(g.node)
    assert "for i < 4, j < 3" in shown
    assert "k < 4 of (" in shown
    c = gu.axis("c", 9)
    (g,) = gu.derivatives(x[i, k].at(c, 2 * i + 1).sum(i).order(c, k), [x], gu.ones(9, 3))
    assert " over " not in show(g.node)  # each element is read once: nothing is added


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


def test_of_nothing_logsumexp_is_minus_infinity() -> None:
    x = gu.zeros(0, 3)
    assert x[i, j].logsumexp(i).order(j).tolist() == [-np.inf] * 3
    with pytest.raises(IndexError, match="nothing to choose from"):
        x[i, j].max(i).order(j)


def test_the_first_of_truth_values() -> None:
    given = np.array([[False, True, True], [False, False, False], [True, True, True]])
    x = gu.from_numpy(given)
    for kind in ("argmax", "argmin"):
        expected = getattr(given, kind)(1)
        equal(getattr(x[i, j], kind)(j).order(i), expected)
        equal(getattr(x, kind)(1), expected)
        assert getattr(x, kind)().item() == getattr(given, kind)()


PAIRS = (
    "fmod", "fmax", "fmin", "atan2", "hypot", "copysign", "xlogy", "logaddexp", "logaddexp2",
)  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_functions_of_two_numbers_take_expressions(name: str) -> None:
    function = getattr(gu, name)
    x, y = gu.from_numpy(_double(4, 3)), gu.from_numpy(_double(3, 4)) + 2
    expected = function(x, y.T)
    equal(function(x[i, j], y[j, i]).order(i, j), expected.numpy())
    equal(function(x[i, j] * 2, 3).sum(j).order(i), function(x * 2, 3).sum(1).numpy(), 1e-12)
    assert function(x.half()[i, j], 2).order(i, j).dtype is gu.float16
    assert f"gu.{name}(x[i, j], 3)" in repr(function(x[i, j], 3))
    p, q = (v.abs().add(0.5).requires_grad_() for v in (x, y))
    ours = gu.derivatives(function(p[i, j], q[j, i]).order(i, j).sum(), [p, q], allow_unused=True)
    whole = gu.derivatives(function(p, q.T).sum(), [p, q], allow_unused=True)
    for a, b in zip(ours, whole, strict=True):
        assert (a is None) == (b is None)  # copysign does not depend on how large b is
        if a is not None and b is not None:
            equal(a, b.numpy(), 1e-12)


def test_expressions_may_be_deeper_than_calls_of_python() -> None:
    given = _double(6)
    x = gu.from_numpy(given)
    terms, expected = x[i], given.copy()
    for n in range(700):
        terms = terms * 0.99 + x[i]
        expected = expected * 0.99 + given
    equal(terms.order(i), expected, 1e-12)
    position = gu.from_numpy(np.array([1, 5, 2])) + 0
    read, chosen = x[position[t]], x[i]
    known = [given[[1, 5, 2]], given.copy()]
    for n in range(300):
        read = read + gu.where(position[t] > n % 4, x[position[t]], 0.0)
        known[0] = known[0] + np.where(np.array([1, 5, 2]) > n % 4, given[[1, 5, 2]], 0.0)
        chosen = gu.where(chosen > n, chosen * 0.5, chosen + 1)
        known[1] = np.where(known[1] > n, known[1] * 0.5, known[1] + 1)
    equal(read.order(t), known[0], 1e-12)
    equal(chosen.order(i), known[1], 1e-12)
