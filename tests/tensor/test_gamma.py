"""The regularised incomplete gamma functions beside SciPy, torch and finite differences.

How exact they are is measured by tests/ir/test_special_ulp.py.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import groundup as gu

sp: Any = pytest.importorskip("scipy.special")
F64 = gu.float64
INF, NAN = math.inf, math.nan
PAIRS = {"igamma": sp.gammainc, "igammac": sp.gammaincc}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_edges_are_scipys(name: str, kind: Any) -> None:
    ends = np.array([-1.0, -0.0, 0.0, 1.0, 25.0, 1e30, INF, -INF, NAN], dtype=kind)
    a, x = np.meshgrid(ends, ends)
    ours = getattr(gu, name)(gu.from_numpy(a), gu.from_numpy(x)).numpy()
    assert ours.dtype == kind
    np.testing.assert_allclose(ours, PAIRS[name](a, x), rtol=1e-6)


def test_shapes_and_types() -> None:
    rng = np.random.default_rng(1)
    a, x = rng.uniform(0, 30, (4, 1, 6)), rng.uniform(0, 30, (5, 1))
    expected = sp.gammainc(a, x)
    s, t = gu.from_numpy(a), gu.from_numpy(x)
    np.testing.assert_allclose(gu.igamma(s, t).numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(s.igamma(t).numpy(), expected, rtol=1e-12)
    turned = gu.igamma(s.transpose(0, 2)[::2], t.flip(0)[:1].expand(1, 4)).numpy()
    np.testing.assert_allclose(turned, sp.gammainc(a.T[::2], x[::-1][:1].repeat(4, 1)), rtol=1e-12)
    assert gu.igamma(gu.zeros(0, 3), gu.ones(1)).shape == (0, 3)
    assert gu.igamma(gu.tensor(2.0), 1.5).item() == pytest.approx(sp.gammainc(2.0, 1.5), 1e-6)
    assert gu.igamma(gu.ones(2), gu.ones(2, dtype=F64)).dtype is F64
    for half in (gu.float16, gu.bfloat16):
        h, k = gu.tensor([0.5, 3.0], dtype=half), gu.tensor([2.0, 2.5], dtype=half)
        whole = gu.igamma(h.float(), k.float()).to(half)
        assert gu.igamma(h, k).dtype is half and gu.igamma(h, k).tolist() == whole.tolist()
    y = gu.from_numpy(np.array([0.5, 3.0]))
    assert y.igamma_(gu.tensor(2.0)) is y
    np.testing.assert_allclose(y.numpy(), sp.gammainc([0.5, 3.0], 2.0), rtol=1e-14)


@pytest.mark.parametrize("name", PAIRS)
def test_captured_interpreted_and_mapped(name: str) -> None:
    ours = getattr(gu, name)
    a = gu.tensor([0.1, 3.0, 0.6, 40.0, 40.0], dtype=F64)
    x = gu.tensor([0.3, 2.0, 7.0, 44.0, 3.0], dtype=F64)
    want = PAIRS[name](a.numpy(), x.numpy())
    with gu.debug():
        np.testing.assert_allclose(ours(a, x).numpy(), want, rtol=1e-12)
    step = gu.jit(ours)
    for _ in range(2):
        np.testing.assert_allclose(step(a, x).numpy(), want, rtol=1e-12)
    np.testing.assert_allclose(gu.vmap(ours)(a, x).numpy(), want, rtol=1e-12)


def test_derivatives_are_finite_differences() -> None:
    mp: Any = pytest.importorskip("mpmath").mp
    values = [(1e-3, 0.3), (0.5, 0.7), (3.0, 20.0), (30.0, 31.0), (300.0, 250.0)]
    a = gu.tensor([v[0] for v in values], dtype=F64, requires_grad=True)
    x = gu.tensor([v[1] for v in values], dtype=F64, requires_grad=True)
    gu.igamma(a, x).sum().backward()

    def share(s: Any, t: Any) -> Any:
        return mp.gammainc(s, 0, t, regularized=True)

    with mp.workdps(30):
        by_a = [float(mp.diff(share, (s, t), (1, 0), h=s * 1e-9)) for s, t in values]
        by_x = [float(mp.diff(share, (s, t), (0, 1), h=t * 1e-9)) for s, t in values]
    np.testing.assert_allclose(a.grad.numpy(), by_a, rtol=1e-8)
    np.testing.assert_allclose(x.grad.numpy(), by_x, rtol=1e-11)
    other = gu.autograd.grad(gu.igammac(a, x).sum(), (a, x))
    for mine, his in zip(other, (a.grad, x.grad), strict=True):
        np.testing.assert_array_equal(mine.numpy(), -his.numpy())


@pytest.mark.slow
@pytest.mark.parametrize("name", PAIRS)
def test_second_derivatives_of_broadcast_operands(name: str) -> None:
    a = gu.tensor([[0.5], [3.0], [30.0]], dtype=F64, requires_grad=True)
    x = gu.tensor([0.7, 5.0, 31.0], dtype=F64, requires_grad=True)
    assert gu.autograd.gradcheck(getattr(gu, name), (a, x))
    assert gu.autograd.gradgradcheck(getattr(gu, name), (a, x))


def test_derivatives_at_the_edges() -> None:
    a = gu.tensor([0.5, 1.0, 2.0, 0.0, INF, 1.0, -1.0, NAN, 1.0], dtype=F64, requires_grad=True)
    x = gu.tensor([0.0, 0.0, 0.0, 1.0, 1.0, INF, 1.0, 1.0, NAN], dtype=F64, requires_grad=True)
    gu.igamma(a, x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [INF, 1, 0, 0, 0, 0, NAN, NAN, NAN])
    np.testing.assert_array_equal(a.grad.numpy(), [0, 0, 0, NAN, 0, 0, NAN, NAN, NAN])


@pytest.mark.peers
def test_the_derivative_by_x_is_torchs() -> None:
    torch = pytest.importorskip("torch")
    a, x = np.array([[0.3], [2.0], [25.0]]), np.array([0.2, 1.7, 24.0])
    t, ours = torch.tensor(x, requires_grad=True), gu.tensor(x, requires_grad=True)
    torch.igamma(torch.tensor(a), t).sum().backward()
    gu.igamma(gu.tensor(a), ours).sum().backward()
    np.testing.assert_allclose(ours.grad.numpy(), t.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize("call, kind, text", [
    (lambda: gu.igamma(gu.tensor([1]), gu.tensor([2])), TypeError, "floating type, not int64"),
    (lambda: gu.igammac(gu.tensor([1j]), gu.tensor([2.0])), TypeError, "not complex64"),
    (lambda: gu.igamma("a", gu.ones(1)), TypeError, "not str"),
    (lambda: gu.igamma(1.0, 2.0), TypeError, "tensors"),
    (lambda: gu.igamma(gu.ones(3), gu.ones(2)), RuntimeError, "do not fit"),
])  # fmt: skip
def test_errors(call: Any, kind: Any, text: str) -> None:
    with pytest.raises(kind, match=text) as caught:
        call()
    assert "test_gamma.py" in str(caught.value)
