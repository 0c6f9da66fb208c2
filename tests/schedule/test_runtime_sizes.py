"""Plans of one graph for runtime sizes far apart: made again where kernels of another size are
wanted, or sums of another order; few; and each with the same bits."""

from __future__ import annotations

import sys
from itertools import pairwise
from typing import Any

import pytest

import groundup as gu
from groundup.ir.extent import Extent
from groundup.schedule.plan import NEAR, Plan
from groundup.schedule.sizes import ENDLESS, Span

execute = sys.modules["groundup.schedule.execute"]  # a function has its name in the package


@pytest.fixture(autouse=True)
def no_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute, "_plans", {})
    monkeypatch.setattr(execute, "_steps", 0)


def plans_of(step: Any) -> list[Plan]:
    """The plans of a captured function's captures, in the order of its calls."""
    return [c.plan for c in step._captures.values()]


def test_a_size_far_from_those_before_gets_kernels_of_its_own() -> None:
    w = gu.randn(784, 50).realize()

    def f(x: gu.Tensor) -> gu.Tensor:
        return (x @ w).relu()

    step = gu.jit(f)
    sizes = (8, 64, 20, 1000, 500, 8000, 7, 3)
    for n in sizes:
        x = gu.randn(n, 784).realize()
        assert step(x).tolist() == f(x).tolist()
    plans = dict(zip(sizes, plans_of(step), strict=True))
    assert [p.hint for p in plans.values()] == [8, 8, 8, 1000, 1000, 1000, 8, 8]
    assert len(set(plans.values())) == 2
    fresh = gu.jit(lambda x: (x @ w).relu())
    execute._plans.clear()
    fresh(gu.ones(1000, 784))
    # What a size gets after a small one is what it gets when it is the first.
    (first,) = plans_of(fresh)
    assert [s.words for s in first.steps] == [s.words for s in plans[1000].steps]
    assert [s.parallel for s in first.steps] == [s.parallel for s in plans[1000].steps]


def test_there_are_few_plans_whatever_sizes_come() -> None:
    step = gu.jit(lambda x: (x * 2).sum(0))
    for n in range(2, 3000, 71):
        step(gu.ones(n, 3))
    plans = set(plans_of(step))
    assert 2 <= len(plans) <= 5  # powers of NEAR, up to 3000
    (known,) = [few for few in execute._plans.values() if plans & set(few)]
    assert set(known) == plans
    hints = sorted(p.hint or 0 for p in plans)
    assert all(b > a * NEAR for a, b in pairwise(hints))


def test_plans_for_one_size_alone_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute, "MOST", 3)
    step = gu.jit(lambda x: x.flatten().sum())
    for n in range(3):
        assert step(gu.ones(40 + n, 2)).item() == 80 + 2 * n
    for n in range(6):
        assert step(gu.ones(40_000 + n, 2)).item() == 80_000 + 2 * n
    graphs = [few for few in execute._plans.values() if few[0].hint is not None]
    assert [len(few) for few in graphs] == [3]
    assert graphs[0][0].least == graphs[0][0].most == 40_005
    assert execute._steps == sum(p.weight for few in execute._plans.values() for p in few)


def test_a_plan_is_for_the_sizes_whose_sums_have_its_order() -> None:
    step = gu.jit(lambda x: (x * 0.5).sum())
    for n in (20_000, 10_000, 13_107, 13_108, 60_000):
        step(gu.ones(n, 5))
    long, short, same, still, last = plans_of(step)
    assert long is still is last and short is same and long is not short
    assert (short.most, long.least) == (13_107, 13_108)  # 65,536 terms


def test_the_first_size_changes_no_bit() -> None:
    x = [gu.randn(n, 6, dtype=gu.float64).realize() for n in (2, 9, 70, 400)]
    w = gu.randn(6, 6, dtype=gu.float64).realize()
    found = []
    for order in (x, x[::-1], [x[2], x[0], x[3], x[1]]):
        execute._plans.clear()
        step = gu.jit(lambda x: ((x @ w).softmax(0).t() @ x, (x * x).t().mean(1), x.t().sum()))
        made = {len(x): [v.tolist() for v in step(x)] for x in order}
        found.append([made[len(x)] for x in x])
    assert found[0] == found[1] == found[2]


def test_what_is_decided_by_a_size_holds_for_a_span() -> None:
    n = Extent.named("n", 100)
    span = Span()
    assert span.at_least(50, 50) and not span.at_least(49, 50)
    assert (span.least, span.most) == (0, ENDLESS)
    assert span.at_least(n, 64) and not span.at_least(n * 3, 301)
    assert (span.least, span.most) == (64, 100)
    assert span.at_least(n * 7, 700) and (span.least, span.most) == (100, 100)
    span = Span()
    assert span.alone(7) == 7 and (span.least, span.most) == (0, ENDLESS)
    assert span.alone(n * 7) == 700 and (span.least, span.most) == (100, 100)
