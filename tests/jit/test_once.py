"""What a captured function computes only once while weights stay: never of weights that changed."""

from __future__ import annotations

import gc
import itertools
import threading
import weakref
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup import nn, optim


def model() -> Any:
    gu.manual_seed(3)
    return nn.Sequential(nn.Linear(40, 70), nn.ReLU(), nn.Linear(70, 33))


def data(batch: int = 9) -> Any:
    return gu.from_numpy(np.random.default_rng(batch).standard_normal((batch, 40), np.float32))


class Watched:
    """A captured model, compared with the plain call and with Python's loops at each call."""

    def __init__(self, m: Any, x: Any | None = None) -> None:
        self.m = m
        self.x = data() if x is None else x
        self.f = gu.jit(lambda x: m(x))

    def check(self, x: Any | None = None, kept: bool | None = None) -> Any:
        x = self.x if x is None else x
        got = self.f(x).tolist()
        assert got == self.m(x).tolist()
        with gu.debug():
            loops = self.m(x.clone()).tolist()  # in another order
        assert np.allclose(got, loops, rtol=1e-5, atol=1e-5 * np.abs(loops).max())
        if kept is not None:
            assert bool(self.f.kept()) is kept
        return got

    def used(self) -> Watched:
        """After calls enough that weights' copies are kept."""
        for kept in (False, False, True, True):
            self.check(kept=kept)
        return self

    def changed(self) -> None:
        """A weight has changed: at once the new results, and soon something is kept again."""
        before = self.f(self.x).tolist()
        assert before == self.check()
        self.check()
        self.check(kept=True)


def test_copies_of_weights_are_made_once() -> None:
    w = Watched(model()).used()
    roots, plan = w.f.latest()
    assert any(not s.groups for s in plan.whole(roots).steps)  # a copy into panels
    replay = w.f._latest
    assert replay is not None and replay.standing is not None
    memory = replay.standing.once.memory
    w.check()
    assert replay.standing.once.memory is memory


def test_an_optimizer_step_outside_is_seen() -> None:
    w = Watched(model()).used()
    opt = optim.SGD(w.m.parameters(), lr=0.1)
    for _ in range(3):
        before = w.check()
        (w.m(w.x) ** 2).mean().backward()
        opt.step()
        opt.zero_grad()
        assert w.check() != before
        w.changed()


def test_a_captured_training_step_is_seen_and_where_weights_change_always_nothing_is_kept() -> None:
    w = Watched(model()).used()
    opt = optim.Adam(w.m.parameters(), lr=0.01)

    @gu.jit
    def step(x: Any) -> Any:
        loss = (w.m(x) ** 2).mean()
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    seen = []
    for _ in range(5):
        step(w.x).item()
        seen.append(w.check(kept=False))
    assert all(a != b for a, b in itertools.pairwise(seen))
    w.changed()


@pytest.mark.parametrize("change", ["copy_", "element", "fill", "add_", "load", "data", "part"])
def test_every_write_from_outside_is_seen(change: str) -> None:
    w = Watched(model()).used()
    weight = w.m[0].weight
    before = w.check()
    with gu.no_grad():
        if change == "copy_":
            weight.copy_(weight.detach() * 2)
        elif change == "element":
            weight[0, 0] = 50.0
        elif change == "fill":
            weight.fill_(0.25)
        elif change == "add_":
            weight += 1.0
        elif change == "load":
            w.m.load_state_dict({k: v * 3 for k, v in w.m.state_dict().items()})
        elif change == "data":
            w.m[0].weight = nn.Parameter(weight.detach() * 5)
        else:
            weight.detach()[3:5, ::2] = 7.0
    assert w.check() != before
    w.changed()


def test_memory_that_numpy_shares_is_never_kept() -> None:
    array = np.random.default_rng(0).standard_normal((70, 40)).astype(np.float32)
    other = gu.from_numpy(np.random.default_rng(1).standard_normal((33, 70)).astype(np.float32))
    shared = gu.from_numpy(array, copy=False)
    f = gu.jit(lambda x: (x @ shared.T).relu() @ other.T)
    x = data()
    for i in range(6):
        array[:] = i - array  # nobody is told
        assert f(x).tolist() == ((x @ shared.T).relu() @ other.T).tolist()
    assert len(f.kept()) == 1  # of the other one alone


def test_memory_that_numpy_gets_later_is_no_longer_kept() -> None:
    weight = gu.randn(70, 40).realize()
    f = gu.jit(lambda x: x @ weight.T)
    x = data()
    for _ in range(4):
        f(x)
    assert f.kept()
    alias = weight.numpy(copy=False)
    for i in range(5):
        alias[:] = alias + i
        assert f(x).tolist() == (x @ weight.T).tolist()
    assert not f.kept()


def test_another_dtype_is_another_function() -> None:
    w = Watched(model()).used()
    w.m.to(gu.float64)
    x = w.x.double()
    for _ in range(4):
        got = w.f(x)
        assert got.dtype is gu.float64 and got.tolist() == w.m(x).tolist()
    w.m.to(gu.float32)
    w.check()
    w.changed()


def test_batch_sizes_share_what_is_kept() -> None:
    w = Watched(model(), data(8)).used()
    size = sum(w.f.kept())
    many = data(64)  # so near that it shares the plan
    for _ in range(4):
        assert w.f(many).tolist() == w.m(many).tolist()
        assert sum(w.f.kept()) == size
    with gu.no_grad():
        w.m[2].weight.fill_(0.5)
    for x in (many, w.x, data(1), many, data(1), w.x, data(1)):
        assert w.f(x).tolist() == w.m(x).tolist()


def test_two_functions_share_a_weight() -> None:
    m = model()
    a, b = Watched(m).used(), Watched(m).used()
    with gu.no_grad():
        m[0].weight.copy_(m[0].weight * -1)
    b.check()
    a.check()
    a.changed()
    b.changed()


def test_a_weight_that_the_function_writes_is_not_kept() -> None:
    weight = gu.randn(70, 40).realize()

    def f(x: Any) -> Any:
        y = x @ weight.T
        weight.copy_(weight * 0.5)
        return y

    g, x, now = gu.jit(f), data(), weight.clone().realize()
    for _ in range(5):
        assert g(x).tolist() == (x @ now.T).tolist()
        now = (now * 0.5).realize()
    assert not g.kept()


def test_what_is_kept_dies_with_the_function_and_explain_says_it() -> None:
    w = Watched(model()).used()
    kept = sum(w.f.kept())
    told = gu.explain(w.f)
    assert told.memory.kept == kept and f"{kept:,} bytes are kept" in str(told)
    replay = w.f._latest
    assert replay is not None and replay.standing is not None and replay.standing.once.memory
    memory = weakref.ref(replay.standing.once.memory[0])
    del replay, w, told
    gc.collect()
    assert memory() is None


def test_casts_of_weights_are_kept_too() -> None:
    m = model()
    f = gu.jit(lambda x: m(x))
    x = data(16)
    with gu.autocast(gu.bfloat16):
        for _ in range(5):
            assert f(x).float().tolist() == m(x).float().tolist()
        with gu.no_grad():
            m[0].weight.fill_(0.125)
        for _ in range(4):
            assert f(x).float().tolist() == m(x).float().tolist()


def test_threads_use_and_change_one_model() -> None:
    """Each result is that of some state of the weights, never a mixture of two."""
    w1, w2 = gu.ones(48, 64).realize(), gu.ones(64, 16).realize()
    f = gu.jit(lambda x: ((x @ w1) @ w2, w1.sum(), w2.sum()))

    def double() -> None:
        w1.copy_(w1 * 2)
        w2.copy_(w2 * 2)

    change = gu.jit(double)
    x = gu.ones(5, 48).realize()
    for _ in range(4):
        f(x)
    change(), change()
    wrong: list[Any] = []
    stop = threading.Event()

    def infer() -> None:
        while not stop.is_set():
            y, s1, s2 = f(x)
            if y[0, 0].item() != s1.item() * s2.item() / 1024:
                wrong.append((y[0, 0].item(), s1.item(), s2.item()))

    threads = [threading.Thread(target=infer) for _ in range(2)]
    for t in threads:
        t.start()
    for _ in range(20):
        change()
    stop.set()
    for t in threads:
        t.join()
    assert not wrong
