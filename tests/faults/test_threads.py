"""Tensors in several Python threads at once: each gets what it would get alone, and none waits for
ever. The programs run in processes of their own, which may be ended.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import groundup as gu

from .support import run

STRESS = """
import random, sys, threading, time, traceback
import groundup as gu

seconds, kinds = float(sys.argv[1]), sys.argv[2].split(",")
gu.set_num_threads(2)
failed = []
stop = time.monotonic() + seconds


def eager(r):
    m, k = r.randrange(1, 6), r.randrange(1, 6)
    rows = [[float(r.randrange(-5, 5)) for _ in range(k)] for _ in range(m)]
    x = gu.tensor(rows)
    assert (x * 2 + 1).sum(1).tolist() == [sum(2 * v + 1 for v in row) for row in rows]
    products = [[sum(p * q for p, q in zip(u, v)) for v in rows] for u in rows]
    assert (x @ x.T).tolist() == products


def derived(r):
    values = [float(r.randrange(-5, 5)) for _ in range(r.randrange(1, 6))]
    x = gu.tensor(values, requires_grad=True)
    (x * x * x + x).sum().backward()
    assert x.grad.tolist() == [3 * v * v + 1 for v in values]
    with gu.no_grad():
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad


def captured(r):
    model, lr = gu.nn.Linear(3, 2), r.random()
    twin = gu.nn.Linear(3, 2)
    twin.load_state_dict(model.state_dict())
    models = [model, twin]
    optimizers = [gu.optim.SGD(m.parameters(), lr=lr) for m in models]

    def step(m, optimizer, x):
        optimizer.zero_grad()
        loss = (m(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    fast = gu.jit(lambda x: step(model, optimizers[0], x))
    for _ in range(4):
        x = gu.tensor([[r.random() for _ in range(3)] for _ in range(4)])
        mine, other = fast(x).item(), step(twin, optimizers[1], x).item()
        assert abs(mine - other) < 1e-5, (mine, other)


def again(r):
    c = r.randrange(100)
    f = gu.jit(lambda x: (x + c) * 2)
    for n in (1, 2, 5, 1, 2):
        assert f(gu.arange(n).float()).tolist() == [(v + c) * 2 for v in range(n)]


common = gu.arange(100).float() * 1  # computed by whoever is first
model = gu.nn.Linear(4, 1)
scores = gu.jit(lambda m, x: m(x))


def shared(r):
    assert common.sum().item() == 4950.0
    assert (common * 2)[3].item() == 6
    own = gu.nn.Linear(4, 1)  # one captured function, each thread with a model of its own
    x = gu.tensor([[r.random() for _ in range(4)]])
    for m in (own, model, own):
        mine, plain = scores(m, x).item(), m(x).item()
        assert abs(mine - plain) < 1e-5, (mine, plain)


def drawn(r):
    g = gu.Generator(5)
    assert gu.rand(3, generator=g).tolist() == FIRST
    gu.randn(4).sum().item()


def mapped(r):
    rows = [[float(r.randrange(5)) for _ in range(3)] for _ in range(r.randrange(1, 4))]
    x = gu.tensor(rows)
    assert gu.vmap(lambda v: v @ v)(x).tolist() == [sum(a * a for a in row) for row in rows]
    slopes = gu.vmap(gu.grad(lambda v: (v**3).sum()))(x).tolist()
    assert slopes == [[3 * a * a for a in row] for row in rows]
    found = gu.linalg.solve(gu.tensor([[2.0, 0.0], [0.0, 4.0]]), gu.tensor([r.random(), 4.0]))
    assert found[1].item() == 1.0


def modes(r):
    x = gu.ones(4, 4)
    with gu.autocast():
        assert (x @ x).dtype is gu.bfloat16
    assert (x @ x).dtype is gu.float32
    if r.random() < 0.1:
        with gu.detect_anomaly():
            try:
                (x - 1).log()
            except gu.AnomalyError:
                pass
            else:
                raise AssertionError("no anomaly")
        assert (x - 1).log().max().item() == -float("inf")
        with gu.debug():
            assert (x + 1).sum().item() == 32.0
    time.sleep(0.001)


FIRST = gu.rand(3, generator=gu.Generator(5)).tolist()
counts = dict.fromkeys(kinds, 0)


def work(kind, seed):
    r = random.Random(seed)
    try:
        while time.monotonic() < stop and not failed:
            globals()[kind](r)
            counts[kind] += 1
    except BaseException:
        failed.append(kind + ": " + traceback.format_exc())


sys.setswitchinterval(1e-4)
threads = [threading.Thread(target=work, args=(k, i)) for i, k in enumerate(kinds * 2)]
for t in threads:
    t.start()
for t in threads:
    t.join()
print(counts)
assert not failed, failed[0]
assert all(counts.values()), counts
"""
KINDS = "eager,derived,captured,again,shared,drawn,mapped,modes"


def test_all_at_once() -> None:
    run(STRESS, "4", KINDS)


@pytest.mark.slow
@pytest.mark.parametrize("kinds", [KINDS, "shared", "captured,modes", "eager,derived"])
def test_all_at_once_for_long(kinds: str) -> None:
    run(STRESS, "60", kinds)


def both(*work: Callable[[], Any]) -> list[Any]:
    """What functions give that run in threads of their own, at once; raises what they raise."""
    given: list[Any] = [None] * len(work)
    raised: list[BaseException] = []
    start = threading.Barrier(len(work))

    def enter(i: int) -> None:
        try:
            start.wait(20)
            given[i] = work[i]()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=enter, args=(i,), daemon=True) for i in range(len(work))]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
        assert not t.is_alive()
    if raised:
        raise raised[0]
    return given


def test_one_thread_captures_while_others_compute_with_the_same_tensors() -> None:
    weight = gu.ones(3).realize()
    begun, checked = threading.Event(), threading.Event()

    @gu.jit
    def step(x: gu.Tensor) -> gu.Tensor:
        weight.mul_(2)
        begun.set()
        assert checked.wait(20)
        return (x * weight).sum()

    def look() -> list[float]:
        assert begun.wait(20)
        try:  # nothing has been written: the function has only been looked at
            assert (weight + 1).tolist() == [2.0, 2.0, 2.0] and weight[0].item() == 1.0
            return weight.tolist()  # type: ignore[no-any-return]
        finally:
            checked.set()

    assert both(lambda: step(gu.ones(3)).item(), look) == [6.0, [1.0, 1.0, 1.0]]
    assert weight.tolist() == [2.0] * 3


def test_a_tensor_that_another_thread_makes_is_no_part_of_a_captured_function() -> None:
    box: list[gu.Tensor] = []

    def make() -> None:
        box.append(gu.tensor([1.0, 2.0]))

    @gu.jit
    def f(x: gu.Tensor) -> gu.Tensor:
        box.clear()
        t = threading.Thread(target=make)
        t.start()
        t.join()
        return x + box[0]

    with pytest.raises(gu.JitError, match="cannot be found"):
        f(gu.ones(2))


def test_threads_that_share_a_generator_draw_different_numbers() -> None:
    g = gu.Generator(3)
    drawn = both(*[lambda: [gu.rand(1, generator=g).item() for _ in range(20)]] * 3)
    every = [v for values in drawn for v in values]
    alone = gu.Generator(3)
    assert sorted(every) == sorted(gu.rand(1, generator=alone).item() for _ in range(60))


def test_debug_is_of_the_thread_that_asks_for_it() -> None:
    from groundup.tensor.engine import debugging

    inside, done = threading.Event(), threading.Event()

    def plain() -> bool:
        with gu.debug():
            inside.set()
            assert done.wait(20)
            return debugging()

    def other() -> bool:
        assert inside.wait(20)
        try:
            return debugging()
        finally:
            done.set()

    assert both(plain, other) == [True, False]
    assert not debugging()


def test_gradients_of_several_threads_add_up() -> None:
    w = gu.ones(4, requires_grad=True)

    def work() -> None:
        for _ in range(20):
            (w * 2).sum().backward()

    both(work, work, work)
    assert w.grad is not None
    assert w.grad.tolist() == [120.0] * 4


def test_a_write_is_not_lost_by_a_read() -> None:
    for _ in range(100):
        x = gu.zeros(3) + 1

        def add(x: gu.Tensor = x) -> None:
            x.add_(1)

        def read(x: gu.Tensor = x) -> list[float]:
            return x.tolist()  # type: ignore[no-any-return]

        _, seen = both(add, read)
        assert seen in ([1.0] * 3, [2.0] * 3)
        assert x.tolist() == [2.0] * 3


def test_a_part_is_read_whole_while_others_write() -> None:
    x = gu.arange(64).float().realize()
    stop = time.monotonic() + 1

    def read() -> None:
        while time.monotonic() < stop:
            found = (x[8:24] + 0).tolist()
            assert [v - found[0] for v in found] == list(range(16))

    def write() -> None:
        while time.monotonic() < stop:
            x.add_(1)
            x.realize()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        both(read, read, write, write)
    finally:
        sys.setswitchinterval(before)
