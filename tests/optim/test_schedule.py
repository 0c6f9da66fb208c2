"""Schedules: their ends, their shapes, their errors."""

from __future__ import annotations

import math

import pytest

from groundup import optim


def test_ends_and_middles() -> None:
    for make in (optim.linear, optim.cosine, optim.exponential):
        s = make(0.5, 0.125)
        assert s(0.0) == 0.5
        assert s(1.0) == pytest.approx(0.125, rel=1e-15)
    assert optim.linear(0.0, 2.0)(0.25) == 0.5
    assert optim.cosine(2.0, 0.0)(0.25) == pytest.approx(1 + math.sqrt(0.5))
    assert optim.exponential(1.0, 100.0)(0.5) == pytest.approx(10.0)
    assert optim.constant(3.0)(0.7) == 3.0


def test_combine_runs_each_schedule_over_its_share() -> None:
    s = optim.combine([0.25, 0.75], [optim.linear(0.0, 1.0), optim.linear(1.0, 4.0)])
    assert [s(t) for t in (0.0, 0.125, 0.25, 0.625, 1.0)] == [0.0, 0.5, 1.0, 2.5, 4.0]
    three = optim.combine([0.1] * 10, [optim.constant(float(i)) for i in range(10)])
    assert [three(i / 10 + 0.05) for i in range(10)] == list(range(10))


def test_one_cycle() -> None:
    s = optim.one_cycle(0.8, pct_start=0.25, div=10.0, final_div=100.0)
    assert s(0.0) == pytest.approx(0.08)
    assert s(0.25) == pytest.approx(0.8)
    assert s(1.0) == pytest.approx(0.0008)
    rates = [s(i / 200) for i in range(201)]
    top = rates.index(max(rates))
    assert top == 50
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    m = optim.one_cycle_momentum()
    assert (m(0.0), m(0.25), m(1.0)) == (0.95, 0.85, 0.95)


@pytest.mark.peers
def test_one_cycle_is_torchs() -> None:
    torch = pytest.importorskip("torch", reason="needs the extra [peers]")
    w = torch.nn.Parameter(torch.zeros(1))
    theirs = torch.optim.SGD([w], lr=1.0, momentum=0.9)
    steps = 41
    rule = torch.optim.lr_scheduler.OneCycleLR(
        theirs, 0.4, total_steps=steps, pct_start=11 / 41, cycle_momentum=False
    )
    # torch puts the top at step pct_start · total − 1 of the steps 0 … total − 1.
    s = optim.one_cycle(0.4, pct_start=10 / 40)
    for i in range(steps):
        assert s(i / (steps - 1)) == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-9)
        theirs.step()
        if i < steps - 1:
            rule.step()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optim.exponential(1.0, 0.0), "never crosses 0"),
        (lambda: optim.combine([0.5, 0.4], [optim.constant(1.0)] * 2), "sum of 1"),
        (lambda: optim.combine([1.0], []), "one for each"),
        (lambda: optim.combine([1.5, -0.5], [optim.constant(1.0)] * 2), "positive"),
        (lambda: optim.one_cycle(1.0, pct_start=1.0), "share of the steps"),
        (lambda: optim.linear(0.0, 1.0)(1.5), "from 0 to 1"),
        (lambda: optim.cosine(0.0, 1.0)(float("nan")), "from 0 to 1"),
    ],
)
def test_errors(make, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        make()
