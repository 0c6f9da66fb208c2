"""Derivatives: what is tracked, what `.backward()` fills, what in-place writes may do."""

import math
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup.tensor.engine import debugging

from .support import compare, sample


def leaf(*values: float) -> gu.Tensor:
    return gu.tensor(list(values), requires_grad=True)


def test_leaves_and_what_is_tracked() -> None:
    w = leaf(1.0, 2.0)
    y = w * 2
    assert w.is_leaf and w.requires_grad
    assert not y.is_leaf and y.requires_grad and y.grad_fn is not None
    assert not y.detach().requires_grad and y.detach().is_leaf
    assert not (y > 1).requires_grad
    assert not y.argmax().requires_grad
    assert not y.long().requires_grad
    with gu.no_grad():
        assert not (w * 2).requires_grad
        assert not w[0].requires_grad
        assert not w.view(2, 1).requires_grad
        with gu.enable_grad():
            assert (w * 2).requires_grad
    assert w[0].requires_grad
    assert w.requires_grad_(False) is w
    assert not w.requires_grad
    with pytest.raises(gu.GradError, match="floating"):
        gu.tensor([1]).requires_grad_()
    with pytest.raises(gu.GradError, match="detach"):
        y.requires_grad_(False)


def test_no_grad_decorates() -> None:
    @gu.no_grad()
    def f(x: gu.Tensor) -> gu.Tensor:
        return x * 2

    @gu.set_grad_enabled(False)
    def g(x: gu.Tensor) -> gu.Tensor:
        return x * 2

    assert not f(leaf(1.0)).requires_grad
    assert not g(leaf(1.0)).requires_grad
    assert gu.is_grad_enabled()
    with gu.set_grad_enabled(False):
        assert not gu.is_grad_enabled()
    assert gu.is_grad_enabled()


def test_backward_sums_up() -> None:
    w = leaf(1.0, 2.0)
    (w * w).sum().backward()
    (w * 3).sum().backward()
    assert w.grad is not None
    assert w.grad.tolist() == [5.0, 7.0]
    same = w.grad
    (w * 1).sum().backward()
    assert w.grad is same
    assert same.tolist() == [6.0, 8.0]
    w.grad.zero_()
    assert w.grad.tolist() == [0.0, 0.0]
    w.grad = None
    (w * w * w).backward(gu.tensor([1.0, 10.0]))
    assert w.grad is not None
    assert w.grad.tolist() == [3.0, 120.0]


def test_backward_of_a_realised_loss_and_twice() -> None:
    w = leaf(1.0, 2.0)
    h = (w * w).realize()
    loss = (h * 3).sum()
    assert loss.item() == 15.0
    loss.backward()
    loss.backward()
    assert w.grad is not None
    assert w.grad.tolist() == [12.0, 24.0]


def test_a_step_by_hand_as_in_the_lesson() -> None:
    w = leaf(1.0, -2.0)
    for _ in range(3):
        loss = ((w - 3) ** 2).sum()
        loss.backward()
        with gu.no_grad():
            assert w.grad is not None
            w -= w.grad * 0.25
            w.grad.zero_()
    np.testing.assert_allclose(w.tolist(), [2.75, 2.375])
    assert w.is_leaf and w.requires_grad


def test_a_graph_keeps_the_values_it_was_made_from() -> None:
    w = leaf(2.0)
    loss = (w * w).sum()
    with gu.no_grad():
        w += 10
    loss.backward()
    assert w.grad is not None
    assert w.grad.tolist() == [4.0]


@pytest.mark.peers
def test_shared_and_repeated_use() -> None:
    compare(lambda lib, x: x * x + x[0] * x.sum() - x.t() @ x, sample((3, 3)), rtol=1e-5)
    compare(
        lambda lib, x: lib.cat([x, x.flip(0)]) * lib.stack([x, x]).reshape(4, 3), sample((2, 3))
    )
    compare(
        lambda lib, x: (x - x.mean(0)) / (x.var(0) + 1e-3).sqrt(),
        sample((5, 3)),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.peers
def test_detach_stops_derivatives() -> None:
    compare(lambda lib, x: x * x.detach() + (x * 2).detach(), sample((3,)))


def test_retain_grad() -> None:
    w = leaf(1.0, 2.0)
    h = w * 2
    h.retain_grad()
    (h * h).sum().backward()
    assert h.grad is not None
    assert h.grad.tolist() == [4.0, 8.0]
    assert w.grad is not None
    assert w.grad.tolist() == [8.0, 16.0]
    (g,) = gu.derivatives((h[0] * h).sum(), h)
    assert g is not None
    assert g.tolist() == [8.0, 2.0]
    with pytest.raises(gu.GradError, match="retain_grad"):
        gu.derivatives((w * 2).sum(), w * 2)


def test_gradients_that_others_are_computed_from_are_computed_once() -> None:
    """Asked for one after the other, n gradients of a chain cost n products, not n²."""
    x = gu.randn(3, 4).requires_grad_()
    kept, y = [], x
    for _ in range(5):
        y = (y @ gu.randn(4, 4)).tanh()
        y.retain_grad()
        kept.append(y)
    y.sum().backward()
    assert x.grad is not None and all(t.grad is not None for t in kept)
    x.grad.sum().item()
    for t in kept[:-1]:  # the last one is a constant
        assert t.grad is not None
        assert t.grad._storage.realised or debugging()  # plain loops compute what is asked alone


def test_grad_of_a_function_and_again() -> None:
    f = gu.grad(lambda x: (x * x * x).sum())
    assert f(gu.tensor([2.0])).tolist() == [12.0]
    assert gu.grad(lambda x: f(x).sum())(gu.tensor([2.0])).tolist() == [12.0]
    inner = gu.grad(lambda x: f(x * 2).sum())
    assert inner(gu.tensor([2.0])).tolist() == [48.0]
    two = gu.grad(lambda x, y: (x * y).sum(), (0, 1))
    dx, dy = two(gu.tensor([2.0]), gu.tensor([5.0]))
    assert (dx.tolist(), dy.tolist()) == ([5.0], [2.0])
    assert gu.grad(lambda x: gu.tensor(1.0))(gu.tensor([2.0])).tolist() == [0.0]


def test_second_derivatives_by_create_graph() -> None:
    w = leaf(3.0)
    (w**3).sum().backward(create_graph=True)
    first = w.grad
    assert first is not None
    assert first.requires_grad
    w.grad = None
    first.sum().backward()
    assert w.grad is not None
    assert w.grad.tolist() == [18.0]


def test_derivatives_do_not_touch_grad() -> None:
    w = leaf(1.0, 2.0)
    (g,) = gu.derivatives((w * w).sum(), w)
    assert g is not None
    assert g.tolist() == [2.0, 4.0]
    assert w.grad is None
    with pytest.raises(gu.GradError, match="do not depend on input 0"):
        gu.derivatives((w * w).sum(), leaf(1.0))


def test_in_place_writes_that_would_lose_a_derivative_are_refused() -> None:
    w = leaf(1.0, 2.0)
    for write in (
        lambda: w.add_(1), lambda: w.__setitem__(0, 1.0), lambda: w[0].mul_(2),
        lambda: w.view(2, 1).zero_(), lambda: w.__setitem__(gu.tensor([0]), 1.0),
    ):  # fmt: skip
        with pytest.raises(gu.GradError, match="leaf"):
            write()
    assert w.tolist() == [1.0, 2.0]
    y = w * 2
    with pytest.raises(gu.GradError, match="would be wrong"), gu.no_grad():
        y += 1
    with pytest.raises(gu.GradError, match="would be wrong"):
        y.detach().add_(1)
    with gu.no_grad():
        w[0] = 5.0
        w.view(2, 1)[1] = 6.0
    assert w.tolist() == [5.0, 6.0]
    w.detach().add_(1)
    assert w.tolist() == [6.0, 7.0]
    assert w.requires_grad


def test_what_backward_refuses() -> None:
    with pytest.raises(gu.GradError, match="requires grad"):
        gu.ones(1).sum().backward()
    with pytest.raises(gu.ShapeError, match="one element"):
        (leaf(1.0, 2.0) * 2).backward()
    with pytest.raises(gu.ShapeError, match="shape of the tensor"):
        (leaf(1.0, 2.0) * 2).backward(gu.ones(3))
    w = leaf(1.0)
    with pytest.raises(gu.ShapeError, match="shape of its tensor"):
        w.grad = gu.ones(2)


def test_a_tensor_written_with_tracked_values_is_tracked() -> None:
    w = leaf(1.0, 2.0)
    z = gu.zeros(3)
    view = z[1:]
    z[0] = w[1] * 3
    assert z.requires_grad and view.requires_grad
    (z * 2).sum().backward()
    assert w.grad is not None
    assert w.grad.tolist() == [0.0, 6.0]


@pytest.mark.peers
def test_a_network_by_hand() -> None:
    def f(lib: Any, x: Any, w1: Any, b1: Any, w2: Any, b2: Any) -> Any:
        h = (x @ w1 + b1).clamp_min(0.0)
        y = h @ w2 + b2
        return ((y[:, 0] - x[:, 1]) ** 2).mean()

    arrays = [sample(s, seed=n) for n, s in enumerate([(6, 4), (4, 5), (5,), (5, 1), (1,)])]
    compare(f, *arrays, rtol=1e-5)


def test_long_chains_do_not_recurse() -> None:
    w = leaf(1.0)
    x = w
    for _ in range(1500):
        x = x + 1
    x.sum().backward()
    assert w.grad is not None
    assert w.grad.tolist() == [1.0]
    assert x.tolist() == [1501.0]


@pytest.mark.parametrize("batch", [0, 1, 4])
def test_a_factor_that_is_nan_says_nothing_of_a_sum_without_terms(batch: int) -> None:
    """∂/∂w Σ_n x[n]·w·s = Σ_n x[n]·s, which is 0 for no n, whatever s is."""
    scale = gu.tensor([2.0, math.nan, math.inf])
    w, x = gu.ones(3).requires_grad_(), gu.ones(batch, 3)
    (gradient,) = gu.derivatives((x * w * scale).sum(), w)
    expected = [2.0 * batch, math.nan, math.inf] if batch else [0.0] * 3
    assert str(gradient.tolist()) == str(expected)


def test_a_derivative_without_history_says_how_to_get_one() -> None:
    x = gu.tensor([2.0], requires_grad=True)
    (slope,) = gu.derivatives(x**3, x)
    assert slope is not None
    with pytest.raises(gu.GradError, match="create_graph=True asked for it"):
        gu.derivatives(slope, x)
    y = gu.tensor([2.0], requires_grad=True)
    with pytest.raises(gu.GradError, match="input 1; allow_unused=True gives None"):
        gu.derivatives(x**3, [x, y])
