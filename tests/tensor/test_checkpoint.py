"""gu.checkpoint: the same bits with less memory; random numbers, hooks, writes, every transform."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup import nn


def slopes(f: Callable[..., Any], *xs: gu.Tensor) -> list[Any]:
    for x in xs:
        x.grad = None
    f(*xs).sum().backward()
    return [None if x.grad is None else x.grad.tolist() for x in xs]


def weights(n: int, size: int = 3) -> list[gu.Tensor]:
    gu.manual_seed(1)
    return [(gu.randn(size, size) * 0.4).requires_grad_() for _ in range(n)]


def test_memory_of_a_deep_stack_falls_and_no_bit_changes(engine: str) -> None:
    if engine == "python":
        pytest.skip("plain loops run a captured function as it is written, without a plan")
    ws = weights(8, 64)

    @gu.jit
    def step(x: gu.Tensor, kept: bool) -> tuple[gu.Tensor, ...]:
        for w in ws:
            w.grad = None

            def block(h: gu.Tensor, w: gu.Tensor = w) -> gu.Tensor:
                for _ in range(4):
                    h = (h @ w).tanh() * 1.1
                return h

            x = block(x) if kept else gu.checkpoint(block, x)
        loss = (x * x).mean()
        loss.backward()
        return loss, *(w.grad for w in ws if w.grad is not None)

    x = gu.randn(2048, 64)
    peaks, results = [], []
    for kept in (True, False):
        results.append([t.numpy() for t in step(x, kept)])
        _, plan = step.latest()
        peaks.append(plan.bind(2048).arena / x.nbytes)
    # Eight blocks of four products, each with its tanh; then the results of the eight, and the
    # inside of one of them.
    assert peaks[0] > 60 and peaks[1] < 20, peaks
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", [
    "several arguments", "nested", "scan", "sort", "solve", "embedded", "views and writes",
    "one of another", "given back",
])  # fmt: skip
def test_derivatives_of_both_orders(name: str) -> None:
    def several(x: gu.Tensor, w: gu.Tensor) -> Any:
        return (x @ w).exp().sum(0) * x[0]

    def nested(x: gu.Tensor, w: gu.Tensor) -> Any:
        return gu.checkpoint(lambda y: (y @ w).sin(), gu.checkpoint(lambda y: (y * y) @ w, x))

    def written(x: gu.Tensor, w: gu.Tensor) -> Any:
        y = (x * 2).t()
        y[0] = w[0].exp()
        y += x
        return y * y

    functions: dict[str, Callable[..., Any]] = {
        "several arguments": several,
        "nested": nested,
        "scan": lambda x, w: (x.cumprod(0) * w).cumsum(1),
        "sort": lambda x, w: x.sort(0)[0].max(1)[0] * w,
        "solve": lambda x, w: gu.linalg.solve(w + 3 * gu.eye(3), x).tanh(),
        "embedded": lambda x, w: w[gu.tensor([2, 0, 2])].exp() * x,
        "views and writes": written,
        "one of another": lambda x, w: gu.checkpoint(lambda a, b: (a * b).sin() + b, x, x * 2) * w,
        "given back": lambda x, w: x,
    }
    f = functions[name]
    x, w = weights(2)

    def second(f: Callable[..., Any]) -> Any:
        return gu.grad(lambda x, w: (gu.grad(lambda x: f(x, w).sin().sum())(x) * w).sum(), (0, 1))

    assert slopes(lambda x, w: gu.checkpoint(f, x, w), x, w) == slopes(f, x, w)
    with gu.no_grad():
        got, want = second(lambda x, w: gu.checkpoint(f, x, w))(x, w), second(f)(x, w)
    for g, v in zip(got, want, strict=True):
        np.testing.assert_allclose(g.numpy(), v.numpy(), 1e-4, 1e-6)


def test_random_numbers_and_effects_are_those_of_one_run() -> None:
    ran = []
    norm, (w,) = nn.BatchNorm1d(3), weights(1)

    def f(x: gu.Tensor) -> gu.Tensor:
        ran.append(1)
        return norm(nn.functional.dropout(x @ w, 0.5)).exp()

    results = []
    (x,) = weights(1)
    for run in (f, lambda x: gu.checkpoint(f, x, use_reentrant=False)):
        gu.manual_seed(3)
        norm.running_mean.zero_()
        w.grad = None
        found = slopes(run, x)
        assert w.grad is not None
        results.append((found, w.grad.tolist(), norm.running_mean.tolist(),
                        gu.get_rng_state().tolist()))  # fmt: skip
    assert results[0] == results[1]
    assert len(ran) == 2


def test_trees_numbers_and_what_has_no_derivative() -> None:
    x = gu.tensor([1.0, 2.0], requires_grad=True)

    def f(d: dict[str, gu.Tensor], *, by: float) -> dict[str, Any]:
        return {"y": [d["x"] * by], "n": 3, "i": d["x"].argmax(), "same": d["x"]}

    got = gu.checkpoint(f, {"x": x}, by=2.0)
    assert got["n"] == 3 and got["i"].item() == 1 and got["same"] is x
    got["y"][0].sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2.0, 2.0]
    with gu.no_grad():
        assert not gu.checkpoint(lambda x: x * 2, x).requires_grad
    assert not gu.checkpoint(lambda x: x * 2, x.detach()).requires_grad
    assert gu.checkpoint(lambda x: x * 2, gu.zeros(0, requires_grad=True)).shape == (0,)
    z = gu.tensor([1 + 2j], requires_grad=True)
    gu.checkpoint(lambda z: z * z, z).real.sum().backward()
    assert z.grad is not None
    assert z.grad.tolist() == [2 - 4j]


def test_the_argument_may_be_written_inside_and_afterwards() -> None:
    def f(x: gu.Tensor) -> gu.Tensor:
        x *= 3
        return x * x

    seen = []
    for run in (f, lambda x: gu.checkpoint(f, x)):
        a = gu.tensor([1.0, 2.0], requires_grad=True)
        x = a * 1
        y = run(x)
        x += 100
        y.sum().backward()
        assert a.grad is not None
        seen.append((x.tolist(), y.tolist(), a.grad.tolist()))
    assert seen[0] == seen[1]


def test_hooks_and_kept_derivatives_inside() -> None:
    seen: list[Any] = []
    logs = []
    for run in (lambda f, x: f(x), gu.checkpoint):
        seen.clear()
        x = gu.tensor([1.0, 2.0], requires_grad=True)
        kept = []

        def f(x: gu.Tensor, kept: list[Any] = kept) -> gu.Tensor:
            a = x * 2
            a.register_hook(lambda g: (seen.append(g.tolist()), g * 10)[1])
            b = a * a
            c = b.sin()
            b.retain_grad()  # after it was used
            kept.append(b)
            return c

        run(f, x).sum().backward()
        assert x.grad is not None
        logs.append((list(seen), x.grad.tolist(), kept[0].grad.tolist()))
    assert logs[0] == logs[1]
    assert logs[0][0]


def test_functions_of_functions_and_captured() -> None:
    (w,) = weights(1)

    def plain(x: gu.Tensor) -> gu.Tensor:
        return (x @ w).tanh().exp()

    def kept(x: gu.Tensor) -> gu.Tensor:
        return gu.checkpoint(plain, x)

    x = gu.randn(4, 3)
    for way in (lambda f: gu.jacrev(f)(x[0]), lambda f: gu.jacfwd(f)(x[0]),
                lambda f: gu.vmap(gu.grad(lambda r: f(r).sum()))(x),
                lambda f: gu.vmap(f)(x), lambda f: gu.hessian(lambda r: f(r).sum())(x[0]),
                lambda f: gu.jvp(f, (x,), (x,))[1]):  # fmt: skip
        np.testing.assert_allclose(
            way(kept).detach().numpy(), way(plain).detach().numpy(), 1e-5, 1e-6
        )
    y = x.clone().requires_grad_()
    gu.vmap(kept)(y).sum().backward()
    got = (y.grad, w.grad)
    y.grad = w.grad = None
    plain(y).sum().backward()
    for g, v in zip(got, (y.grad, w.grad), strict=True):
        assert g is not None and v is not None
        np.testing.assert_allclose(g.numpy(), v.numpy(), 1e-5, 1e-6)


def test_a_chain_in_segments() -> None:
    (x,) = weights(1)
    chain = [gu.exp, gu.sin, gu.cos, gu.tanh, lambda x: x * 2]

    def whole(x: gu.Tensor) -> gu.Tensor:
        for f in chain:
            x = f(x)
        return x

    for segments in (1, 2, 3, 5):
        assert slopes(lambda x, n=segments: gu.checkpoint_sequential(chain, n, x), x) == slopes(
            whole, x
        )
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    assert slopes(lambda x: gu.checkpoint_sequential(model, 3, x), x) == slopes(model, x)
    for segments in (0, 6):
        with pytest.raises(ValueError, match="can be 1 to 5 segments"):
            gu.checkpoint_sequential(chain, segments, x)
