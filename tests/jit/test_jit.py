"""jit gives what the plain call gives, or raises: the ways in which captured functions go stale."""

from __future__ import annotations

import sys
import time

import pytest

import groundup as gu
from groundup import nn
from groundup.runtime import code
from groundup.schedule import tiles
from groundup.schedule.sizes import Sym
from groundup.tensor import JitError

SCALE = 2.0


def twice(f, *args):
    """A captured function's results in three calls: captured, captured again, replayed."""
    captured = gu.jit(f)
    return [captured(*args) for _ in range(3)]


def test_results_equal_the_plain_call() -> None:
    x = gu.tensor([[1.0, 2.0], [3.0, 4.0]])
    for r in twice(lambda x: (x @ x).sum(0), x):
        assert r.tolist() == [17.0, 32.0 - 0.0] or r.tolist() == (x @ x).sum(0).tolist()


def test_an_output_kept_from_an_earlier_call_stays() -> None:
    f = gu.jit(lambda x: x * 2)
    kept = [f(gu.tensor([float(i)])) for i in range(5)]
    assert [k.item() for k in kept] == [0.0, 2.0, 4.0, 6.0, 8.0]


def test_a_python_number_is_not_baked_in() -> None:
    f = gu.jit(lambda x, a: x * a)
    x = gu.ones(2)
    assert [f(x, a).tolist()[0] for a in (1, 1, 1, 2, 3.5, 2, 1)] == [1, 1, 1, 2, 3.5, 2, 1]


def test_a_closure_that_changes_is_seen() -> None:
    factor = 1.0

    def f(x):
        return x * factor

    g = gu.jit(f)
    x = gu.ones(1)
    results = []
    for value in (1.0, 1.0, 1.0, 4.0, 1.0, 4.0):
        factor = value
        results.append(g(x).item())
    assert results == [1.0, 1.0, 1.0, 4.0, 1.0, 4.0]


def test_a_global_that_changes_is_seen() -> None:
    global SCALE
    g = gu.jit(lambda x: x * SCALE)
    x = gu.ones(1)
    before = SCALE
    try:
        results = []
        for value in (2.0, 2.0, 2.0, 5.0):
            SCALE = value
            results.append(g(x).item())
        assert results == [2.0, 2.0, 2.0, 5.0]
    finally:
        SCALE = before


def test_a_tensor_in_a_closure_is_read_anew() -> None:
    w = gu.ones(2)
    g = gu.jit(lambda x: x * w)
    x = gu.ones(2)
    for _ in range(3):
        g(x)
    w.mul_(3)
    assert g(x).tolist() == [3.0, 3.0]
    w[0] = 7.0
    assert g(x).tolist() == [7.0, 3.0]


def test_a_rebound_tensor_is_read_anew() -> None:
    state = {"w": gu.ones(2)}
    g = gu.jit(lambda x: x * state["w"])
    x = gu.ones(2)
    for _ in range(3):
        g(x)
    state["w"] = gu.full((2,), 5.0)
    assert g(x).tolist() == [5.0, 5.0]


def test_an_input_may_be_a_view() -> None:
    data = gu.arange(12).float().reshape(4, 3)
    g = gu.jit(lambda x: x * 2)
    for i in (0, 1, 2, 3, 1):
        assert g(data[i]).tolist() == [2.0 * v for v in data[i].tolist()]
    assert g(data.t()[1]).tolist() == [2.0, 8.0, 14.0, 20.0]


def test_memory_of_an_input_may_change_outside() -> None:
    x = gu.zeros(3)
    g = gu.jit(lambda x: x + 1)
    for i in range(5):
        x[1] = float(i)
        assert g(x).tolist() == [1.0, i + 1.0, 1.0]


def test_a_pending_input_is_computed_first() -> None:
    g = gu.jit(lambda x: x + 1)
    x = gu.ones(2)
    for i in range(4):
        assert g(x * i).tolist() == [i + 1.0, i + 1.0]


def test_in_place_writes_happen_at_each_call() -> None:
    x, total = gu.ones(2), gu.zeros(2)

    def f(x):
        total.add_(x)
        x.mul_(2)
        return total.sum()

    g = gu.jit(f)
    assert [g(x).item() for _ in range(4)] == [2.0, 6.0, 14.0, 30.0]
    assert x.tolist() == [16.0, 16.0] and total.tolist() == [15.0, 15.0]


def test_a_written_view_of_an_argument_reaches_its_base() -> None:
    data = gu.zeros(2, 3)

    def f(row):
        row.add_(1)
        return row.sum()

    g = gu.jit(f)
    for _ in range(4):
        g(data[1])
    assert data.tolist() == [[0.0] * 3, [4.0] * 3]


def test_a_value_kept_outside_survives_a_write_inside() -> None:
    w = gu.ones(3)
    pending = w * 10  # denotes the value now
    g = gu.jit(lambda: w.add_(1).sum())
    for _ in range(4):
        g()
    assert pending.tolist() == [10.0] * 3
    copy = w.clone()
    g()
    assert copy.tolist() == [5.0] * 3 and w.tolist() == [6.0] * 3


def test_aliased_arguments_that_are_written_are_refused() -> None:
    x = gu.ones(3)

    def f(a, b):
        a.add_(1)
        return (a * b).sum()

    with pytest.raises(JitError, match="given to it twice"):
        gu.jit(f)(x, x[:])
    assert x.tolist() == [1.0] * 3
    assert gu.jit(lambda a, b: (a * b).sum())(x, x).item() == 3.0


def test_asking_for_a_value_inside_is_refused_and_nothing_is_lost() -> None:
    w = gu.ones(2)

    def f(x):
        w.add_(1)
        return x * w.sum().item()

    g = gu.jit(f)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="asks for a value while jit captures"):
            g(gu.ones(2))
        assert w.tolist() == [1.0, 1.0]
    assert (gu.ones(2) * 2).tolist() == [2.0, 2.0]  # the tracer is gone


def test_two_captures_that_differ_name_the_node() -> None:
    g = gu.jit(lambda x: x * (time.perf_counter_ns() % 10007))
    g(gu.ones(2))
    with pytest.raises(JitError, match="const float32"):
        g(gu.ones(2))


def test_constants_made_inside_must_not_change() -> None:
    g = gu.jit(lambda x: x + gu.tensor([time.perf_counter_ns() % 10007, 1]))
    g(gu.ones(2))
    with pytest.raises(JitError, match="differ"):
        g(gu.ones(2))
    h = gu.jit(lambda x: x + gu.tensor([2.0, 1.0]))
    assert [h(gu.ones(2)).tolist() for _ in range(3)] == [[3.0, 2.0]] * 3


def test_random_numbers_advance() -> None:
    g = gu.jit(lambda x: x * 0 + gu.rand(3))
    gu.manual_seed(5)
    captured = [g(gu.zeros(3)).tolist() for _ in range(4)]
    gu.manual_seed(5)
    plain = [gu.rand(3).tolist() for _ in range(4)]
    assert captured == plain


def test_train_and_eval_are_told_apart() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.BatchNorm1d(4))
    g = gu.jit(lambda x: net(x))
    x = gu.randn(8, 3)
    for _ in range(3):
        g(x)
    net.eval()
    wanted = net(x).tolist()
    for _ in range(3):
        assert gu.allclose(g(x), gu.tensor(wanted), rtol=1e-5, atol=1e-6)


def _training(net, opt, captured):
    def step(x, y):
        opt.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        opt.step()
        return loss

    return gu.jit(step) if captured else step


@pytest.mark.parametrize("kind", ["sgd", "momentum", "adamw"])
def test_a_training_step_equals_the_plain_loop(kind: str) -> None:
    losses = []
    for captured in (False, True):
        gu.manual_seed(1)
        net = nn.Sequential(
            # No bias before the normalisation: its gradient would be nothing but rounding.
            nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
            nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 5),
        )  # fmt: skip
        opt = {
            "sgd": lambda p: gu.optim.SGD(p, lr=0.1),
            "momentum": lambda p: gu.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
            "adamw": lambda p: gu.optim.AdamW(p, lr=0.01),
        }[kind](net.parameters())
        step = _training(net, opt, captured)
        got = []
        for i in range(8):
            n = 17 if i % 3 == 2 else 32  # a short batch now and then
            opt.param_groups[0]["lr"] = 0.05 / (i + 1)
            x, y = gu.randn(n, 1, 8, 8), gu.randint(0, 5, (n,))
            got.append(step(x, y).item())
        got += [v for p in net.parameters() for v in p.flatten().tolist()[:5]]
        losses.append(got)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5, abs=1e-6)


def test_gradients_that_are_kept_accumulate() -> None:
    w = gu.ones(2, requires_grad=True)

    def f(x):
        (w * x).sum().backward()

    g = gu.jit(f)
    for n in range(1, 6):
        g(gu.full((2,), 3.0))
        assert w.grad is not None and w.grad.tolist() == [3.0 * n] * 2


def test_another_batch_size_compiles_nothing() -> None:
    gu.manual_seed(2)
    net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))
    opt = gu.optim.SGD(net.parameters(), lr=0.1)
    step = _training(net, opt, True)

    def run(n: int) -> float:
        return step(gu.randn(n, 1, 8, 8), gu.randint(0, 10, (n,))).item()

    for _ in range(3):
        run(64)
    before = code.stats()["compiled"] + code.stats()["loaded_from_cache"]
    for n in (40, 64, 40, 23, 128):
        run(n)
    assert code.stats()["compiled"] + code.stats()["loaded_from_cache"] == before


def test_methods_and_nested_captures() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(gu.ones(2))
            self.inner = gu.jit(lambda x: x + 1)

        @gu.jit
        def score(self, x):
            return (self.inner(x) * self.w).sum()

    m = Model()
    assert [m.score(gu.ones(2)).item() for _ in range(3)] == [4.0] * 3


def test_arguments_of_any_nesting() -> None:
    def f(batch, *, options):
        x, (y, z) = batch
        return {"sum": x + y["a"] * options["k"], "pair": (z, x)}

    g = gu.jit(f)
    x, y, z = gu.ones(2), gu.full((2,), 2.0), gu.zeros(1)
    for k in (1, 1, 1, 3):
        r = g([x, ({"a": y}, z)], options={"k": k})
        assert r["sum"].tolist() == [1.0 + 2.0 * k] * 2
        assert r["pair"][0] is z and r["pair"][1] is x


def test_an_argument_that_cannot_be_compared_is_named() -> None:
    with pytest.raises(JitError, match="argument of type set"):
        gu.jit(lambda x, s: x)(gu.ones(1), {1, 2})


def test_under_debug_the_function_itself_runs() -> None:
    seen = []

    def f(x):
        seen.append(x.sum().item())
        return x + 1

    g = gu.jit(f)
    with gu.debug():
        for i in range(3):
            assert g(gu.full((2,), float(i))).tolist() == [i + 1.0] * 2
    assert seen == [0.0, 2.0, 4.0]


def test_a_gradient_given_from_outside_is_seen() -> None:
    w = gu.ones(2, requires_grad=True)
    g = gu.jit(lambda x: (w * x).sum().backward())
    for _ in range(4):
        g(gu.ones(2))
    w.grad = gu.full((2,), 100.0)
    g(gu.ones(2))
    assert w.grad.tolist() == [101.0] * 2
    w.grad = None
    g(gu.ones(2))
    assert w.grad.tolist() == [1.0] * 2


def test_explain_shows_the_newest_capture() -> None:
    w = gu.ones(4)

    @gu.jit
    def step(x):
        w.add_(x)
        return (x * 2).sum()

    step(gu.ones(4))
    text = str(gu.explain(step))
    assert "kernel 0" in text and "1 of 2 results are written over what they replace" in text


def test_a_bad_index_leaves_everything_as_it_was() -> None:
    gu.manual_seed(3)
    net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    opt = gu.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    step = _training(net, opt, True)
    x, y = gu.randn(16, 6).realize(), gu.randint(0, 3, (16,)).realize()
    for _ in range(3):
        step(x, y)

    def state():
        moments = [t for s in opt.state.values() for t in s.values()]
        return [t.tolist() for t in (*net.parameters(), *net.buffers(), *moments)]

    before = state()
    bad = y.clone()
    bad[5] = 3
    with pytest.raises(IndexError, match="index 3 is out of range"):
        step(x, bad)
    assert state() == before
    step(x, y)
    assert state() != before


def test_vectors_along_a_batch_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of a runtime size in panels: the last one is partly beyond the batch, of any size."""
    monkeypatch.setattr(tiles, "LATER", 1e-3)
    monkeypatch.setattr(sys.modules["groundup.schedule.plan"], "NEAR", 100)  # one plan for all
    weights = [gu.randn(37, 70).realize(), gu.randn(37, 70).realize()]
    weights[1].copy_(weights[0])

    def step(w: gu.Tensor, x: gu.Tensor) -> gu.Tensor:
        y = x @ w.t()
        w.sub_(y.sum(0).unsqueeze(1) * 1e-3)
        return y

    captured = gu.jit(lambda x: step(weights[0], x))
    for batch in (64, 64, 16, 33, 200, 2, 17, 64):
        x = gu.randn(batch, 70).realize()
        assert captured(x).tolist() == step(weights[1], x).tolist()
        assert weights[0].tolist() == weights[1].tolist()
    plans = {id(c.plan): c.plan for c in captured._captures.values()}.values()
    assert all(any(isinstance(t, Sym) for t in plan.temps) for plan in plans)
