"""The axes notation and the contractions written in it."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup.emit.kernel import Contraction
from groundup.schedule import Plan, Signature

from .support import compare, sample, torch


@pytest.mark.peers
@pytest.mark.parametrize("a,b", [
    ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)),
    ((5, 2, 3), (5, 3, 4)), ((2, 1, 2, 3), (5, 3, 4)), ((2, 3), (5, 3, 4)), ((3,), (5, 3, 4)),
    ((5, 2, 3), (3,)), ((1, 1), (1, 1)), ((2, 0), (0, 3)), ((0, 2), (2, 3)), ((7, 33), (33, 9)),
])  # fmt: skip
def test_matmul(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    compare(lambda lib, x, y: x @ y, sample(a), sample(b, seed=1), rtol=1e-5, atol=1e-5)
    x, y = sample(a, "int64"), sample(b, "int64", 1)
    compare(lambda lib, p, q: p @ q, x, y)


@pytest.mark.peers
def test_matmul_relatives() -> None:
    m, n, v = sample((3, 4)), sample((4, 2), seed=1), sample((4,), seed=2)
    compare(lambda lib, a, b: lib.mm(a, b), m, n, rtol=1e-5)
    compare(lambda lib, a, b: lib.mv(a, b), m, v, rtol=1e-5)
    compare(lambda lib, a, b: lib.dot(a, b), v, v + 1, rtol=1e-5)
    compare(lambda lib, a, b: lib.outer(a, b), v, m[:, 0].copy())
    compare(lambda lib, a, b: lib.bmm(a, b), sample((2, 3, 4)), sample((2, 4, 1)), rtol=1e-5)


@pytest.mark.peers
@pytest.mark.parametrize("equation,shapes", [
    ("ik,kj->ij", [(2, 3), (3, 4)]), ("ik,kj", [(2, 3), (3, 4)]), ("ij->ji", [(2, 3)]),
    ("ij->", [(2, 3)]), ("ij->j", [(2, 3)]), ("ii->i", [(3, 3)]), ("ii", [(3, 3)]),
    ("i,j->ij", [(2,), (3,)]), ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]), ("i,i->", [(4,), (4,)]),
    ("...ij,...jk->...ik", [(2, 1, 3, 4), (5, 4, 2)]), ("...i->...", [(2, 3)]),
    ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 2)]), ("bhid,bhjd->bhij", [(1, 2, 3, 4), (1, 2, 5, 4)]),
    ("iij,jk->ik", [(3, 3, 2), (2, 4)]), ("ij,ij->ij", [(2, 3), (2, 3)]), ("i,->i", [(3,), ()]),
    ("ij,kj->ik", [(2, 3), (4, 3)]), (" b i , i -> b ", [(2, 3), (3,)]),
])  # fmt: skip
def test_einsum(equation: str, shapes: list[tuple[int, ...]]) -> None:
    arrays = [np.asarray(sample(s, seed=n)) for n, s in enumerate(shapes)]
    compare(lambda lib, *x: lib.einsum(equation, *x), *arrays, rtol=1e-5, atol=1e-5)


def test_contraction_errors_explain() -> None:
    with pytest.raises(gu.ShapeError, match=r"last axis has 3.*second to last axis 4") as error:
        gu.zeros(2, 3) @ gu.zeros(4, 5)
    assert "  a  (2, 3)\n         ^\n  b  (4, 5)\n      ^\n" in str(error.value)
    with pytest.raises(TypeError, match="one type expected"):
        gu.zeros(2, 3) @ gu.zeros(3, 4, dtype=gu.float64)
    with pytest.raises(gu.ShapeError, match="axis 'j'"):
        gu.einsum("ij,jk->ik", gu.zeros(2, 3), gu.zeros(4, 5))
    with pytest.raises(ValueError, match="names 1 operands"):
        gu.einsum("ij->i", gu.zeros(2, 3), gu.zeros(4, 5))
    with pytest.raises(gu.ShapeError, match="names 3 axes"):
        gu.einsum("ijk->i", gu.zeros(2, 3))
    with pytest.raises(ValueError, match="at most once"):
        gu.einsum("ij->ik", gu.zeros(2, 3))


@pytest.mark.peers
@pytest.mark.parametrize("stride,padding,dilation", [(1, 0, 1), (2, 1, 1), (1, 2, 2), (3, 0, 1)])
def test_convolution(stride: int, padding: int, dilation: int) -> None:
    def f(lib: Any, x: Any, w: Any) -> Any:
        if lib is not gu:
            return torch().nn.functional.conv2d(x, w, None, stride, padding, dilation)
        h = (x.shape[2] + 2 * padding - dilation * (w.shape[2] - 1) - 1) // stride + 1
        n, o, c, u, v = gu.axes("n o c u v")
        p, q = gu.axis("p", h), gu.axis("q", h)
        at = gu.outside(x, 0.0)[
            n, c, stride * p + dilation * u - padding, stride * q + dilation * v - padding
        ]
        return (at * w[o, c, u, v]).sum(c, u, v).order(n, o, p, q)

    compare(f, sample((2, 3, 7, 7)), sample((4, 3, 3, 3), seed=1), rtol=1e-5, atol=1e-5)


@pytest.mark.peers
def test_pooling_with_sizes_from_range() -> None:
    def f(lib: Any, x: Any) -> Any:
        if lib is not gu:
            return torch().nn.functional.max_pool2d(x, 2)
        n, c, p, q = gu.axes("n c p q")
        u, v = gu.axis("u", 2), gu.axis("v", 2)
        return x[n, c, 2 * p + u, 2 * q + v].max(u, v).order(n, c, p, q)

    compare(f, sample((2, 3, 5, 4)))


@pytest.mark.peers
def test_gathers_and_embeddings() -> None:
    tokens = np.array([[1, 0, 4], [2, 2, 3]])

    def f(lib: Any, e: Any, t: Any) -> Any:
        if lib is not gu:
            return torch().nn.functional.embedding(t, e)
        b, s, k = gu.axes("b s k")
        return e[t[b, s], k].order(b, s, k)

    compare(f, sample((5, 3)), tokens)


@pytest.mark.peers
def test_a_fused_softmax_and_reductions() -> None:
    def f(lib: Any, x: Any) -> Any:
        if lib is not gu:
            return x.softmax(1), x.logsumexp(1), x.mean(0), x.prod(1), x.amin(1)
        i, j = gu.axes("i j")
        m = x[i, j].max(j)
        e = (x[i, j] - m).exp()
        return (
            (e / e.sum(j)).order(i, j), x[i, j].logsumexp(j).order(i), x[i, j].mean(i).order(j),
            x[i, j].prod(j).order(i), x[i, j].min(j).order(i),
        )  # fmt: skip

    compare(f, sample((3, 4)), rtol=1e-5)


def test_axes_as_values_and_integer_arithmetic() -> None:
    i, j = gu.axis("i", 6), gu.axis("j", 2)
    x = gu.arange(12.0).reshape(2, 6)
    assert (i * 10 + j).order(i, j).tolist() == [
        [10 * a, 10 * a + 1] for a in range(6) for _ in [0]
    ]
    assert x[j, i // 2 + i % 2].order(j, i)[0].tolist() == [0, 1, 1, 2, 2, 3]
    assert gu.where(i < 3, x[0, i], -1.0).order(i).tolist() == [0, 1, 2, -1, -1, -1]
    assert (x[j, i] * i).sum(i).order(j).dtype is gu.float32
    assert (x[j, i] > 5).order(j, i).dtype is gu.bool
    assert (gu.arange(6)[i] * 0.5).order(i).dtype is gu.float32
    assert (gu.arange(6)[i] + 1).order(i).dtype is gu.int64
    assert x[j, i].argmax(i).order(j).tolist() == [5, 5]
    assert gu.eq(i, 2).order(i).tolist() == [False, False, True, False, False, False]
    assert (x[1, i] + gu.tensor(1.0) - 2).order(i).tolist() == [5, 6, 7, 8, 9, 10]
    assert x[-1, i].order(i).tolist() == [6, 7, 8, 9, 10, 11]
    assert gu.sqrt(x[j, i]).sum(i, j).order().shape == ()
    assert x[j, 5 - i].order(j, i)[0].tolist() == [5, 4, 3, 2, 1, 0]


def test_sizes_from_the_range_of_an_affine_index() -> None:
    x = gu.arange(10.0)
    i, u = gu.axes("i u")
    u = gu.axis("u", 3)
    assert x[2 * i + u].sum(u).order(i).shape == (4,)
    assert x[i + 3].order(i).tolist() == [3, 4, 5, 6, 7, 8, 9]
    assert x[9 - 2 * i].order(i).tolist() == [9, 7, 5, 3, 1]


def test_guards() -> None:
    x = gu.tensor([1.0, 2.0, 4.0])
    i = gu.axis("i", 5)
    assert gu.outside(x, -1.0)[i - 1].order(i).tolist() == [-1, 1, 2, 4, -1]
    assert gu.where((i >= 1) & (i < 4), x[i - 1], 0.0).order(i).tolist() == [0, 1, 2, 4, 0]
    with pytest.raises(
        IndexError, match=r"goes from -1 to 3 \(for i < 5\), but the axis has size 3"
    ):
        x[i - 1].order(i)


def test_axes_errors_explain() -> None:
    i, j, k = gu.axes("i j k")
    x, y = gu.zeros(2, 3), gu.zeros(4, 5)
    with pytest.raises(IndexError, match="axis k has size 3 in one tensor and 4 in another"):
        (x[i, k] * y[k, j]).sum(k).order(i, j)
    with pytest.raises(ValueError, match="also depends on j"):
        x[i, j].order(i)
    with pytest.raises(ValueError, match="size of axis k cannot be read"):
        (x[i, j] + k).order(i, j, k)
    with pytest.raises(ValueError, match="does not depend on axis k"):
        x[i, j].sum(k)
    with pytest.raises(IndexError, match="one index for each of its 2 axes"):
        x[i]
    with pytest.raises(TypeError, match="index it by axes too"):
        x[i, j] + x
    with pytest.raises(TypeError, match="no truth value"):
        bool(x[i, j] > 0)
    with pytest.raises(IndexError, match="leaves axis 0 of size 2"):
        x[gu.tensor([0, 2])[k], j].order(k, j)
    with pytest.raises(IndexError, match="float32"):
        x[gu.tensor([0.0])[k], j].order(k, j)
    with pytest.raises(TypeError, match="axes"):
        x[i, j] = 1.0
    assert i == i
    assert i != j
    assert len({i, j, i}) == 2
    assert x[i, j].order(i, j).shape == (2, 3)
    assert y[i, j].order(i, j).shape == (4, 5)


@pytest.mark.peers
def test_einsum_and_axes_agree_about_second_derivatives() -> None:
    x = gu.tensor([[1.0, 2.0], [3.0, 4.0]])
    i, j, k = gu.axes("i j k")
    f = gu.grad(lambda a: ((a[i, k] * a[k, j]).sum(k).order(i, j) ** 2).sum())
    g = gu.grad(lambda a: (gu.einsum("ik,kj->ij", a, a) ** 2).sum())
    assert gu.allclose(f(x), g(x))
    t = torch()
    tx = t.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    ((tx @ tx) ** 2).sum().backward()
    np.testing.assert_allclose(f(x).numpy(), tx.grad.numpy())


def test_several_products_in_one_expression_run_in_tiles_each() -> None:
    """The gates of an LSTM: as one nest they would be plain loops, a hundred times slower."""
    n, m, k, f = gu.axes("n m k f")
    x, h, wx, wh = (
        gu.from_numpy(np.random.default_rng(s).normal(size=(48, 48)).astype(np.float32))
        for s in range(4)
    )
    gates = (x[n, k] * wx[m, k]).sum(k) + (h[n, f] * wh[m, f]).sum(f) + 1
    node = gates.order(n, m).node
    plan = Plan(Signature([node]), [node], [None])
    assert sum(isinstance(step.kernel, Contraction) for step in plan.steps) == 2
    expected = x.numpy() @ wx.numpy().T + h.numpy() @ wh.numpy().T + 1
    np.testing.assert_allclose(gates.order(n, m).numpy(), expected, rtol=1e-4, atol=1e-4)


def test_an_axis_never_changes_and_is_itself_when_copied() -> None:
    p = gu.axis("p", 3)
    with pytest.raises(AttributeError, match="never changes"):
        p.size = 4
    assert copy.copy(p) is p
    x = gu.arange(3.0)
    assert copy.deepcopy([x[p] + p])[0].order(p).tolist() == [0.0, 2.0, 4.0]
    again = pickle.loads(pickle.dumps([x[p], p]))  # in one pickle an axis stays one
    assert again[0].order(again[1]).tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("name", [3, "", None])
def test_an_axis_has_a_name(name: Any) -> None:
    with pytest.raises(TypeError, match="an axis has a name"):
        gu.axis(name, 2)
