"""gu.vmap: what a loop over the batch gives, with its derivatives; what it refuses, and where."""

import re
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup import nn

from .support import same, sample, torch
from .transformed import CASES

NAMES = [pytest.param(n, marks=[] if c.quick else pytest.mark.slow) for n, c in CASES.items()]


@pytest.mark.parametrize("name", NAMES)
def test_a_loop_and_its_derivative(name: str) -> None:
    case = CASES[name]
    a = case.array()
    xs = gu.from_numpy(np.stack([a, a * 1.5 - 0.1, -a + 0.05])).requires_grad_()
    ys = gu.from_numpy(xs.detach().numpy()).requires_grad_()
    got = gu.vmap(case.ours)(xs)
    want = gu.stack([case.ours(y) for y in ys])
    assert got.shape == want.shape and got.dtype is want.dtype
    np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy(), 1e-10, 1e-10)
    got.sin().sum().backward()
    want.sin().sum().backward()
    assert xs.grad is not None and ys.grad is not None
    np.testing.assert_allclose(xs.grad.numpy(), ys.grad.numpy(), 1e-9, 1e-9)


@pytest.mark.parametrize("name", ["pointwise", "softmax", "cumprod", "solve", "writes", "index"])
def test_derivatives_by_each_element(name: str) -> None:
    case = CASES[name]
    a = case.array()
    xs = gu.from_numpy(np.stack([a, a * 1.5 - 0.1]))
    for way in (gu.jacrev, gu.jacfwd):
        got, want = gu.vmap(way(case.ours))(xs), gu.stack([way(case.ours)(x) for x in xs])
        np.testing.assert_allclose(got.numpy(), want.numpy(), 1e-9, 1e-9)


@pytest.mark.peers
def test_axes_trees_and_nesting_as_torch() -> None:
    lib = torch()

    def f(a: Any, d: Any) -> Any:
        return {"x": a * d["u"], "y": [d["v"] + 1, a.sum()]}

    a, u, v = sample((2, 4), seed=1), sample((2,), seed=2), sample((3, 4), seed=3)
    for dims, outs in (((1, {"u": None, "v": 1}), 0), ((1, {"u": None, "v": 1}), -1),
                       ((-1, {"u": None, "v": -1}), {"x": 1, "y": [-1, 0]})):  # fmt: skip
        got = gu.vmap(f, dims, outs)(gu.from_numpy(a), {"u": gu.from_numpy(u),
                                                         "v": gu.from_numpy(v)})  # fmt: skip
        want = lib.vmap(f, dims, outs)(lib.tensor(a), {"u": lib.tensor(u), "v": lib.tensor(v)})
        same(got["x"], want["x"])
        same(got["y"], want["y"])
    both = gu.vmap(gu.vmap(lambda x, y: x * y, (None, 0)), (0, None))
    assert both(gu.tensor([1.0, 2.0]), gu.tensor([3.0, 4.0, 5.0])).tolist() == [
        [3, 4, 5], [6, 8, 10],
    ]  # fmt: skip
    same(gu.vmap(lambda x: gu.ones(2))(gu.zeros(3)), lib.ones(3, 2))
    shared = gu.vmap(lambda x: (x, gu.ones(2), "text"), out_dims=(0, None, None))(gu.zeros(3))
    assert shared[1].shape == (2,) and shared[2] == "text"
    assert gu.vmap(lambda x, k: x * k, chunk_size=2)(gu.arange(5.0), gu.arange(5.0)).tolist() == [
        0, 1, 4, 9, 16,
    ]  # fmt: skip
    assert gu.vmap(lambda x, *, by: x * by)(gu.arange(3.0), by=gu.tensor(2.0)).tolist() == [0, 2, 4]
    assert gu.vmap(lambda x: x.sum())(gu.zeros(0, 3)).shape == (0,)


def test_derivatives_to_what_is_shared() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.BatchNorm1d(4)).eval()
    x = gu.randn(5, 3)
    mapped = gu.vmap(lambda row: model(row[None])[0])(x)
    np.testing.assert_allclose(mapped.detach().numpy(), model(x).detach().numpy(), 1e-5, 1e-6)
    mapped.square().sum().backward()
    got = [p.grad.numpy() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    model(x).square().sum().backward()
    for g, p in zip(got, model.parameters(), strict=True):
        assert p.grad is not None
        np.testing.assert_allclose(g, p.grad.numpy(), 1e-4, 1e-5)


def test_derivatives_that_were_given() -> None:
    asked = []

    @gu.custom_derivative
    def scaled(x: gu.Tensor, w: gu.Tensor) -> gu.Tensor:
        return x * w

    @scaled.derivative
    def _(g: gu.Tensor, y: gu.Tensor, x: gu.Tensor, w: gu.Tensor) -> Any:
        asked.append(tuple(g.shape))
        return 10 * g * w, (10 * g * x).sum()

    x = gu.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], requires_grad=True)
    w = gu.tensor(2.0, requires_grad=True)
    gu.vmap(lambda row: scaled(row, w))(x).sum().backward()
    assert x.grad is not None and w.grad is not None
    assert x.grad.tolist() == [[20.0, 20.0]] * 3 and w.grad.item() == 210.0
    assert asked == [(2,)]  # once, of one element
    twice = gu.vmap(gu.grad(lambda row: gu.grad(lambda r: scaled(r, r[0]).sum())(row).sum()))
    assert twice(x.detach()).shape == (3, 2)


def test_random_numbers() -> None:
    def f(x: gu.Tensor) -> gu.Tensor:
        return x + gu.randn(2)

    zeros = gu.zeros(3, 2)
    gu.manual_seed(4)
    own = gu.vmap(f, randomness="different")(zeros)
    gu.manual_seed(4)
    assert own.tolist() == gu.randn(3, 2).tolist()
    gu.manual_seed(4)
    one = gu.vmap(f, randomness="same")(zeros)
    gu.manual_seed(4)
    assert one.tolist() == [gu.randn(2).tolist()] * 3
    gu.manual_seed(4)
    nested = gu.vmap(gu.vmap(f, randomness="same"), randomness="different")(gu.zeros(2, 3, 2))
    assert len({tuple(r) for row in nested.tolist() for r in row}) == 2
    gu.manual_seed(4)
    drawn = gu.vmap(lambda x: x.clone().normal_(), randomness="different")(zeros)
    assert len({v for row in drawn.tolist() for v in row}) == 6
    parts = gu.vmap(f, randomness="different", chunk_size=2)(zeros)
    assert len({v for row in parts.tolist() for v in row}) == 6
    with pytest.raises(RuntimeError, match="randomness='different'"):
        gu.vmap(f)(zeros)
    captured = gu.jit(lambda x: gu.vmap(f, randomness="different")(x))
    gu.manual_seed(4)
    results = [captured(zeros).tolist() for _ in range(3)]
    gu.manual_seed(4)
    assert results == [gu.randn(3, 2).tolist() for _ in range(3)]


def test_captured_with_a_batch_that_changes() -> None:
    w = gu.randn(2, requires_grad=True)

    @gu.jit
    def slopes(x: gu.Tensor) -> tuple[gu.Tensor, gu.Tensor]:
        each = gu.vmap(gu.grad(lambda w, row: (w * row).sum().tanh()), (None, 0))(w, x)
        return each, gu.linalg.solve(gu.eye(2) * 2, each.mT)

    for n in (4, 4, 4, 6):
        x = gu.randn(n, 2)
        each, half = slopes(x)
        slope = 1 - (x @ w).detach().tanh().square()
        np.testing.assert_allclose(each.numpy(), (slope[:, None] * x).numpy(), 2e-4, 1e-5)
        np.testing.assert_allclose(half.mT.numpy() * 2, each.numpy(), 1e-5, 1e-6)


def test_a_captured_function_is_mapped_as_it_is_written() -> None:
    assert gu.vmap(gu.jit(lambda x: x * 2))(gu.arange(3.0)).tolist() == [0.0, 2.0, 4.0]


def test_values_cannot_be_asked_for() -> None:
    seen: list[Any] = []

    def branch(x: gu.Tensor) -> gu.Tensor:
        seen.append(repr(x))
        return x if x.sum() > 0 else -x

    x = gu.ones(3, 2)
    with pytest.raises(gu.NoValue, match=r"vmap: branch asks .*(?s:.*)return x if x.sum\(\) > 0"):
        gu.vmap(branch)(x)
    assert seen == ["tensor(…, shape=(2,), dtype=groundup.float32, of each element)"]
    for f in (lambda x: x[x > 0], lambda x: gu.tensor(x.tolist()), lambda x: x.nonzero(),
              lambda x: gu.from_numpy(x.numpy())):  # fmt: skip
        with pytest.raises(gu.NoValue):
            gu.vmap(f)(x)
    gu.vmap(lambda x: (seen.append(x * 2), x)[1])(x)
    with pytest.raises(gu.NoValue):
        seen[-1].tolist()
    known = gu.tensor([1.0, 2.0])
    assert gu.vmap(lambda x: x * known.sum().item())(gu.ones(2)).tolist() == [3.0, 3.0]


def test_writes_in_place() -> None:
    def builds(x: gu.Tensor) -> gu.Tensor:
        z = gu.zeros(3)
        z[0] = x.sum()
        z[1:] = x[1:]
        z += x
        return z

    x = gu.randn(4, 3)
    want = gu.stack([builds(row) for row in x])
    np.testing.assert_allclose(gu.vmap(builds)(x).numpy(), want.numpy(), 1e-5, 1e-6)
    outside = gu.zeros(3)
    for write in (lambda x: outside.add_(x), lambda x: outside.add_(1), lambda x: x.add_(1),
                  lambda x: x[0].zero_(), lambda x: outside.__setitem__(0, 5.0),
                  lambda x: outside.normal_()):  # fmt: skip
        with pytest.raises(RuntimeError, match="writes in place into"):
            gu.vmap(lambda x, write=write: (write(x), x)[1], randomness="same")(x)
    assert outside.tolist() == [0.0, 0.0, 0.0]
    w = gu.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match=re.escape("backward() into .grad")):
        gu.vmap(lambda x: ((x * w).sum().backward(), x)[1])(x)
    assert w.grad is None
    with pytest.raises(RuntimeError, match="writes in place into a tensor that"):
        gu.vmap(nn.BatchNorm1d(3).train())(gu.ones(2, 4, 3))


def test_errors() -> None:
    x = gu.ones(3, 2)
    for make, kind, text in (
        (lambda: gu.vmap(lambda a, b: a)(x, gu.ones(2)), gu.ShapeError, "batches of 3, 2 elements"),
        (lambda: gu.vmap(lambda a: a, 5)(x), IndexError, "dim 5 is out of range"),
        (lambda: gu.vmap(lambda a: a, None)(x), ValueError, "no argument of <lambda> has an axis"),
        (lambda: gu.vmap(lambda a: a)(gu.tensor(1.0)), gu.ShapeError, "0-d: it has no elements"),
        (lambda: gu.vmap(lambda a: a)(2.0), TypeError, "only tensors have"),
        (lambda: gu.vmap(lambda a: a, (0, 0))(x), ValueError, "not built as the arguments"),
        (lambda: gu.vmap(lambda a: a, 0, (0, 0))(x), ValueError, "not built as the results"),
        (lambda: gu.vmap(lambda a: a, 0, None)(x), ValueError, "not the same for all"),
        (lambda: gu.vmap(lambda a: 1.0)(x), TypeError, "gives tensors, not a float"),
        (lambda: gu.vmap(lambda a: a, randomness="never"), ValueError, "randomness is one of"),
        (lambda: gu.vmap(lambda a: a, chunk_size=0), ValueError, "at least 1"),
        (lambda: gu.vmap(gu.linalg.inv)(gu.zeros(2, 2, 2)), RuntimeError,
         r"matrix \[0\] of the batch"),
    ):  # fmt: skip
        with pytest.raises(kind, match=text):
            make()


def test_losses_that_look_at_values_outside() -> None:
    x, y = gu.tensor([[0.2, 0.9], [0.5, 1.5]]), gu.tensor([[0.0, 1.0], [1.0, 0.0]])
    loss = nn.functional.binary_cross_entropy
    with pytest.raises(ValueError, match="probabilities"):
        loss(x, y)
    for way in (gu.vmap(loss)(x, y), gu.vmap(gu.jit(loss))(x, y)):
        np.testing.assert_allclose(way[0].item(), loss(x[0], y[0]).item(), rtol=1e-6)
        assert np.isnan(way[1].item())
    nll, var = nn.functional.gaussian_nll_loss, gu.tensor([[1.0, 2.0], [1.0, -1.0]])
    each = gu.vmap(nll)(x, y, var)
    np.testing.assert_allclose(each[0].item(), nll(x[0], y[0], var[0]).item(), rtol=1e-6)
    assert np.isnan(each[1].item())
