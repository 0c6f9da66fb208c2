"""Equal layers are worked out once and filled in; updates wait for the first check of an index
alone; what is remembered of a captured step is bounded."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup import nn, optim
from groundup.autodiff import gradient, template
from groundup.nn import functional as F
from groundup.schedule import Plan, Signature, order
from groundup.schedule.checks import first_checks
from groundup.schedule.line import in_order
from groundup.schedule.steps import Result, Step, Temp

from .. import build as B

execute = sys.modules["groundup.schedule.execute"]  # a function has its name in the package


def _deep_roots() -> list[Any]:
    rng = np.random.default_rng(0)
    x = B.tensor(rng.normal(size=(8, 8)).astype("float32"))
    weights = [B.param(rng.normal(size=(8, 8)).astype("float32")) for _ in range(12)]
    for w in weights:
        x = B.op("tanh", B.matmul(x, w))
    return [g for g in gradient(x, B.tensor(np.ones((8, 8), "float32")), weights) if g is not None]


def test_a_filled_in_layer_is_the_one_that_is_worked_out(monkeypatch: pytest.MonkeyPatch) -> None:
    roots = _deep_roots()
    made = []
    for least in (0, 1 << 30):
        monkeypatch.setattr(order, "DEEP", least)
        plan = Plan(Signature(roots), roots, [None] * len(roots))
        made.append([(s.kernel, s.words, s.parallel) for s in plan.steps])
    assert made[0] == made[1] and len(made[0]) > 20


def test_most_layers_are_filled_in() -> None:
    signature = Signature(_deep_roots())
    slots: dict[object, int] = {handle: i for i, handle in enumerate(signature.buffers)}
    found = order.canonical(signature.order, slots, False)
    assert len(found.fresh) < len(found.form_of) / 2


class Words(nn.Module):
    """An embedding whose derivative reads it again: through a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 64)
        self.norm = nn.LayerNorm(64)
        self.head = nn.Linear(64, 5)

    def forward(self, x: Any) -> Any:
        return self.head(self.norm(self.table(x)).mean(1))


def _words() -> tuple[Any, Words, Any]:
    gu.manual_seed(0)
    net = Words()
    opt = optim.SGD(net.parameters(), lr=0.1)

    @gu.jit
    def step(x: Any, y: Any) -> Any:
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    x, y = gu.randint(0, 11, (6, 9)).realize(), gu.randint(0, 5, (6,)).realize()
    return lambda i: step(gu.where(x == 3, i, x).realize(), y).item(), net, step


def test_updates_wait_for_the_first_check_alone() -> None:
    run, net, step = _words()
    run(3)
    roots, plan = step.latest()
    plan = plan.whole(roots)
    checking = [s for s in plan.steps if s.checks]
    first = first_checks(plan.steps)
    assert 1 <= len(first) < len(checking)
    before = [p.tolist() for p in net.parameters()]
    with pytest.raises(IndexError, match="11"):
        run(11)
    assert [p.tolist() for p in net.parameters()] == before


def _step(writes: object, *reads: object) -> Step:
    return Step(None, [], True, (writes,), set(reads), (), (), False)  # type: ignore[arg-type]


def test_a_copy_for_a_result_alone_is_made_just_before_it() -> None:
    early, late = _step(Temp(0)), _step(Temp(1), Temp(0))
    early.groups = late.groups = (None,)  # type: ignore[assignment]
    copy = _step(Temp(2), Temp(0))
    result = _step(Result(0), Temp(2), Temp(1))
    steps = [early, copy, late, result]
    assert in_order(steps, {})[0] == steps
    sizes = {Temp(i): 64 for i in range(3)}
    assert in_order(steps, {}, (), sizes)[0] == [early, late, copy, result]


def test_the_second_capture_knows_the_derivatives(monkeypatch: pytest.MonkeyPatch) -> None:
    run, _, _ = _words()
    run(3)

    def never(*_: Any) -> Any:
        raise AssertionError("a derivative was worked out again")

    monkeypatch.setattr(template, "_work_out", never)
    run(3)


def test_captures_that_are_gone_leave_nothing_behind() -> None:
    number = 0.0

    @gu.jit
    def step(x: Any) -> Any:
        return (x * number).sum()

    x = gu.ones(3)
    for k in range(100):
        number = float(k)
        assert step(x).item() == 3.0 * k
    assert len(step._captures) <= 64 and len(step._numbers) <= 66


def test_plans_are_forgotten_by_their_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute, "_plans", {})
    monkeypatch.setattr(execute, "_steps", 0)
    monkeypatch.setattr(execute, "MAX_STEPS", 100)
    for k in range(120):
        assert (gu.ones(2) * float(k) + 1).sum().item() == 2.0 * k + 2
    plans = execute._plans
    assert len(plans) <= execute.LEAST
    every = [p for few in plans.values() for p in few]
    assert execute._steps == sum(p.weight for p in every)
    assert all(p.weight >= 1 + len(p.steps) for p in every)
