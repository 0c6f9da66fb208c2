"""Products that read one matrix again and again, as the steps of a recurrent network do: a copy
that one of them asks for is made once for all, counts as much, and changes no bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import groundup as gu
from groundup import runtime
from groundup.emit.kernel import Contraction, Pack
from groundup.ir.node import Node
from groundup.runtime import target
from groundup.schedule import Plan, Signature, pack, trials, winners

STEPS = 12


@pytest.fixture
def threads() -> Iterator[None]:
    before = runtime.get_num_threads()
    yield
    runtime.set_num_threads(before)


def tensor(seed: int, *shape: int) -> gu.Tensor:
    draw = np.random.default_rng(seed).standard_normal(shape)
    return gu.from_numpy(draw.astype("float32"))


def products(rows: int, terms: int, columns: int, turned: bool, count: int) -> list[Node]:
    w = tensor(0, columns, terms).T if turned else tensor(0, terms, columns)
    return [(tensor(1 + i, rows, terms) @ w).node for i in range(count)]


def planned(roots: list[Node]) -> Plan:
    return Plan(Signature(roots), roots, [None] * len(roots))


def kinds(plan: Plan) -> list[type]:
    return [type(step.kernel) for step in plan.steps]


def run(plan: Plan, roots: list[Node]) -> list[bytes]:
    signature = Signature(roots)
    return [m.read_bytes() for m in plan.run(signature.buffers, None, [None] * len(roots))]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("rows", "terms", "columns"),
    [(1, 65, 97), (3, 64, 1), (5, 300, 31), (16, 257, 300), (17, 300, 257), (20, 130, 520),
     (130, 70, 290)],
)  # fmt: skip
def test_together_as_alone(
    rows: int, terms: int, columns: int, turned: bool, threads: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The bits of many products are those of each alone, on one thread and on several."""
    monkeypatch.setattr(pack, "PARALLEL", 1)
    roots = products(rows, terms, columns, turned, STEPS)
    alone = [run(planned([r]), [r])[0] for r in roots]
    plan = planned(roots)
    for n in (1, 3):
        runtime.set_num_threads(n)
        assert run(plan, roots) == alone
    w = (tensor(0, columns, terms).T if turned else tensor(0, terms, columns)).numpy()
    for i, got in enumerate(alone):
        x = tensor(1 + i, rows, terms).numpy().astype("float64")
        exact = x @ w.astype("float64")
        bound = (terms + 8) * np.finfo("float32").eps * (np.abs(x) @ np.abs(w).astype("float64"))
        assert (np.abs(np.frombuffer(got, "float32").reshape(exact.shape) - exact) <= bound).all()


@pytest.mark.parametrize("turned", [False, True])
def test_one_copy_for_all(turned: bool) -> None:
    """A matrix that one product of few rows would rather read as it lies is copied for many.
    (Vectors of 128 bits along the turned one's rows: each product copies its own few rows then.)"""
    shared = not turned or target.host().vector_bits > 128
    one = products(24, 650, 1300, turned, 1)
    many = products(24, 650, 1300, turned, STEPS)
    ways = kinds(planned(many))
    assert ways.count(Pack) == (1 if shared else STEPS) and ways.count(Contraction) == STEPS
    (first,) = [s.kernel for s in planned(one).steps if isinstance(s.kernel, Contraction)]
    later = {s.kernel for s in planned(many).steps if isinstance(s.kernel, Contraction)}
    assert len(later) == 1 and (first not in later or not shared)


def test_two_ways_to_read_are_not_one() -> None:
    """x·w and y·wᵀ have nothing to share; nor do columns of one matrix and all of another."""
    w = tensor(0, 640, 640)
    x, y = tensor(1, 20, 640), tensor(2, 20, 640)
    for roots in ([x @ w, y @ w.T], [x @ w[:, :320], y @ w]):
        nodes = [r.node for r in roots]
        together = [s.kernel for s in planned(nodes).steps]
        apart = [s.kernel for n in nodes for s in planned([n]).steps]
        assert sorted(map(repr, together)) == sorted(map(repr, apart))


def test_gradients_of_a_recurrent_chain(threads: None) -> None:
    """Forward and backward through time, captured and not: the same bits on 1 and 3 threads."""
    w = (tensor(0, 120, 60) * 0.1).realize().requires_grad_()
    x = tensor(1, STEPS, 7, 120)

    def step(x: gu.Tensor) -> tuple[gu.Tensor, gu.Tensor]:
        h = gu.zeros(7, 60)
        for t in range(STEPS):
            g = x[t] + h @ w.T
            h = g[:, :60].tanh() * g[:, 60:].sigmoid()
        loss = (h * h).sum()
        loss.backward()
        grad, w.grad = w.grad, None
        assert grad is not None
        return loss, grad

    def bits(f: object) -> list[bytes]:
        return [t.numpy().tobytes() for t in f(x)]  # type: ignore[operator]

    captured = gu.jit(step)
    runtime.set_num_threads(1)
    expected = bits(step)
    assert [bits(captured) for _ in range(3)] == [expected] * 3
    runtime.set_num_threads(3)
    assert bits(step) == expected and bits(captured) == expected


def test_tuning_shares_the_copy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Candidates of a repeated product run several times after one copy; their form is another."""
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path))
    winners._tables.clear()
    forms = []
    for count in (1, STEPS):
        with trials.meeting() as meeting:
            planned(products(20, 650, 1300, True, count))
        (met,) = meeting.met.values()
        way = trials.Way(met, {}, {r: trials._filled(*s) for r, s in met.sizes.items()})
        assert way.valid and met.count == count and way.times == count
        forms += way.trial.asked
        before = [s.kernel for s in way.steps]
        way.load()
        assert [s.kernel for s in way.steps] == before
        assert way.seconds(1) > 0
    assert len(set(forms)) == 2
    winners._tables.clear()
