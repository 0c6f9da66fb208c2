"""Sums of products of more than two tensors run as sums of products of two."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import groundup as gu
from groundup.ir.node import Node
from groundup.ir.transform import toposort

i, j, k = gu.axes("i j k")
RNG = np.random.default_rng(0)
A, B = RNG.uniform(0.5, 1.5, (6, 5)), RNG.uniform(0.5, 1.5, (5, 7))
S, R, K = (RNG.uniform(0.5, 1.5, n) for n in (6, 7, 5))

Form = Callable[..., gu.Tensor]
FORMS: dict[str, tuple[Form, np.ndarray]] = {
    "number": (lambda a, b, s, r, t: (a[i, k] * b[k, j] * 2).sum(k).order(i, j), 2 * (A @ B)),
    "in front": (lambda a, b, s, r, t: (3 * a[i, k] * b[k, j]).sum(k).order(i, j), 3 * (A @ B)),
    "divided": (lambda a, b, s, r, t: (a[i, k] * b[k, j] / 8).sum(k).order(i, j), (A @ B) / 8),
    "by rows": (
        lambda a, b, s, r, t: (s[i] * a[i, k] * b[k, j] / r[j]).sum(k).order(i, j),
        S[:, None] * (A @ B) / R,
    ),
    "0-d": (
        lambda a, b, s, r, t: (a[i, k] * (s[0] * b[k, j])).sum(k).order(i, j), S[0] * (A @ B),
    ),
    "along the sum": (
        lambda a, b, s, r, t: (a[i, k] * t[k] * b[k, j]).sum(k).order(i, j), (A * K) @ B,
    ),
    "computed": (
        lambda a, b, s, r, t: (a[i, k].exp() * (b[k, j] + 1)).sum(k).order(i, j),
        np.exp(A) @ (B + 1),
    ),
    "mean": (
        lambda a, b, s, r, t: ((a[i, k] + t[k]) * b[k, j] * r[j]).mean(k).order(j, i),
        (((A + K) @ B) * R / 5).T,
    ),
    "finished": (
        lambda a, b, s, r, t: ((2 * a[i, k] * b[k, j]).sum(k) + s[i]).order(i, j),
        2 * (A @ B) + S[:, None],
    ),
    "two sums": (
        lambda a, b, s, r, t: (
            (2 * a[i, k] * b[k, j]).sum(k) * (a[i, k] * t[k] * b[k, j]).sum(k)
        ).order(i, j),
        2 * (A @ B) * ((A * K) @ B),
    ),
    "inside a sum": (
        lambda a, b, s, r, t: ((2 * a[i, k] * b[k, j]).sum(k) * r[j]).sum(j).order(i),
        2 * (A @ B) @ R,
    ),
}  # fmt: skip


def given(dtype: gu.DType = gu.float64) -> list[gu.Tensor]:
    return [gu.tensor(x.tolist(), dtype=dtype, requires_grad=True) for x in (A, B, S, R, K)]


def orders(tensor: gu.Tensor) -> list[str]:
    nodes: list[Node] = toposort([tensor.node])
    return [n.arg[2] for n in nodes if n.op == "reduce" and n.arg[0] == "sum"]


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("dtype", [gu.float64, gu.float32, gu.float16])
def test_values_and_orders(name: str, dtype: gu.DType) -> None:
    form, expected = FORMS[name]
    result = form(*given(dtype))
    assert "dot" in orders(result)
    assert result.dtype is dtype
    rtol = {gu.float64: 1e-13, gu.float32: 1e-5, gu.float16: 4e-3}[dtype]
    np.testing.assert_allclose(result.detach().double().numpy(), expected, rtol=rtol)


@pytest.mark.parametrize("name", FORMS)
def test_derivatives(name: str) -> None:
    form, _ = FORMS[name]
    tensors = given()
    (form(*tensors) * 1.5).sum().backward()
    for t in tensors:
        if t.grad is None:
            continue
        step = np.zeros(t.shape)
        at = tuple(n // 2 for n in t.shape)
        step[at] = 1e-6
        values = []
        for sign in (1, -1):
            others = [x.detach() for x in tensors]
            others[[x is t for x in tensors].index(True)] = t.detach() + gu.tensor(sign * step)
            values.append((form(*others) * 1.5).sum().item())
        slope = (values[0] - values[1]) / 2e-6
        assert t.grad[at].item() == pytest.approx(slope, rel=1e-6)


def test_what_is_the_same_for_all_terms_may_be_anything_but_makes_no_term() -> None:
    """A sum without terms is 0; one of terms that are 0 is what IEEE says."""
    none = gu.ones(3, 0)
    bad = gu.tensor([float("nan"), float("inf"), 1.0])
    empty = (none[i, k] * none[j, k] * bad[i]).sum(k).order(i, j)
    assert empty.tolist() == [[0.0] * 3] * 3
    zero = gu.zeros(3, 2)
    found = (zero[i, k] * zero[j, k] * bad[i]).sum(k).order(i, j)
    assert np.isnan(found.numpy()[:2]).all() and (found.numpy()[2] == 0).all()


def test_integers_and_conditions_stay_as_they_are() -> None:
    n = gu.arange(6).reshape(2, 3)
    expected = 7 * (n.numpy() @ n.numpy().T)
    assert ((n[i, k] * n[j, k] * 7).sum(k).order(i, j).numpy() == expected).all()
    x, scale = gu.ones(3, 4), gu.tensor([float("inf"), 1.0, 2.0])
    kept = gu.where(gu.lt(k, 0), x[i, k] * x[j, k] * scale[i], 0).sum(k).order(i, j)
    assert (kept.numpy() == 0).all()


def test_a_condition_around_it_keeps_reads_inside() -> None:
    x, y, w = gu.rand(5, 4), gu.rand(4, 6), gu.rand(4)
    inner = (x[i + 1, k] * w[k] * y[k, j]).sum(k)
    z = gu.zeros(5)
    kept = (gu.where(gu.lt(i, 4), inner, 0) + z[i]).order(i, j)
    expected = np.zeros((5, 6))
    expected[:4] = (x.numpy()[1:] * w.numpy()) @ y.numpy()
    np.testing.assert_allclose(kept.numpy(), expected, rtol=1e-5)


def test_small_ones_are_not_worth_a_tensor() -> None:
    x, y = gu.rand(5, 4), gu.rand(4, 2)
    few = (x[i, k].exp() * y[k, j]).sum(k).order(i, j)
    assert "dot" not in orders(few)


def test_windows_stay_windows() -> None:
    """A factor that slides is no tensor of its own; 0 beyond an edge is no term."""
    x, w, c = gu.rand(3, 12), gu.rand(4, 3, 3), gu.rand(3)
    o, n, u, y = gu.axes("o n u y")
    rows = gu.outside(x, 0)
    found = (rows[n, y + u - 1] * w[o, n, u] * c[n]).sum(n, u).order(o, y)
    assert "dot" in orders(found)
    assert all(m.shape != (3, 3, 12) for m in toposort([found.node]))
    padded = np.pad(x.numpy() * c.numpy()[:, None], ((0, 0), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 3, axis=1)
    expected = np.einsum("nyu,onu->oy", windows, w.numpy())[:, : found.shape[1]]
    np.testing.assert_allclose(found.numpy(), expected, 1e-5)
    computed = (rows[n, y + u - 1].exp() * w[o, n, u]).sum(n, u).order(o, y)
    assert "dot" not in orders(computed)


def test_looking_changes_no_bit() -> None:
    """A factor that is one number everywhere is read all the same."""
    x, y = gu.rand(8, 16), gu.rand(16, 9)
    ones, seen = gu.ones(16), gu.ones(16)
    seen.tolist()
    found = [(x[i, k] * t[k] * y[k, j]).sum(k).order(i, j).tolist() for t in (ones, seen)]
    assert found[0] == found[1]
