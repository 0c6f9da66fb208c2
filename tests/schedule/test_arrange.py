"""Placing temporaries: none that live at once overlap, close to the least memory, for any number
of them; and the order of steps when some wait for others."""

from __future__ import annotations

import random

import pytest

import groundup as gu
from groundup import nn, optim
from groundup.schedule import arrange as arranging
from groundup.schedule.arrange import arrange, most_alive
from groundup.schedule.line import in_order
from groundup.schedule.steps import Result, Step, Temp

Lives = dict[int, tuple[int, int]]


def _check(sizes: dict[int, int], lives: Lives) -> float:
    """No overlap; how far the arena is above the bound."""
    offsets, arena = arrange(sizes, lives)
    live = most_alive(sizes, lives)
    assert set(offsets) == set(sizes)
    alive: list[int] = []
    for at in range(max(last for _, last in lives.values()) + 1):
        alive = [t for t in alive if lives[t][1] >= at] + [t for t in lives if lives[t][0] == at]
        end = 0
        for t in sorted(alive, key=lambda t: offsets[t]):
            assert offsets[t] >= end, f"temporary {t} overlaps another at step {at}"
            end = offsets[t] + sizes[t]
        assert end <= arena
        assert sum(sizes[t] for t in alive) <= live
    return arena / live


def _random(seed: int, count: int) -> tuple[dict[int, int], Lives]:
    rng = random.Random(seed)
    lives = {}
    for t in range(count):
        first = rng.randrange(count)
        lives[t] = (first, min(count, first + int(rng.expovariate(0.2))))
    return {t: 64 * rng.choice([1, 2, 3, 16, 100]) for t in range(count)}, lives


@pytest.mark.parametrize("largest", [512, 4, 0])
@pytest.mark.parametrize("seed", range(10))
def test_none_that_live_at_once_overlap(
    monkeypatch: pytest.MonkeyPatch, seed: int, largest: int
) -> None:
    monkeypatch.setattr(arranging, "_LARGEST", largest)
    sizes, lives = _random(seed, 60)
    assert _check(sizes, lives) < 2


def test_nothing_to_place() -> None:
    assert arrange({}, {}) == ({}, 0)
    assert most_alive({}, {}) == 0


def test_equal_layers_need_no_more_than_lives() -> None:
    """2,000 activations that wait for their gradient, which comes in the reverse order."""
    n = 2000
    lives = {t: (t, 2 * n - t) for t in range(n)} | {n + t: (n + t, n + t + 1) for t in range(n)}
    assert _check(dict.fromkeys(lives, 4096), lives) == 1


def test_thousands_of_different_sizes() -> None:
    sizes, lives = _random(1, 3000)
    assert _check(sizes, lives) < 1.25


def _net() -> nn.Module:
    def block(i: int, o: int) -> list[nn.Module]:
        return [nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(), nn.MaxPool2d(2)]

    return nn.Sequential(*block(3, 8), *block(8, 16), nn.Flatten(), nn.Linear(256, 10))


NETS = {
    "mlp": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(768, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)
    ),
    "convolutions": _net,
}


@pytest.mark.parametrize("name", NETS)
def test_a_training_step_plans_what_it_needs(name: str) -> None:
    net = NETS[name]()
    opt = optim.Adam(net.parameters(), lr=1e-3)
    x, y = gu.randn(16, 3, 16, 16).realize(), gu.randint(0, 10, (16,)).realize()

    @gu.jit
    def step(x: gu.Tensor, y: gu.Tensor) -> gu.Tensor:
        loss = nn.functional.cross_entropy(net(x), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        return loss

    step(x, y)
    made = gu.explain(step)
    assert 0 < made.memory.alive <= made.memory.planned <= 1.05 * made.memory.alive
    assert made.memory.planned <= made.memory.total
    assert f"share {made.memory.planned:,} bytes (at most {made.memory.alive:,}" in str(made)


# ---- the order of steps --------------------------------------------------------------------------


def _step(writes: object, *reads: object, checks: bool = False) -> Step:
    return Step(None, [], True, (writes,), set(reads), (), (), checks)  # type: ignore[arg-type]


def test_steps_wait_for_readers_and_for_checks() -> None:
    over, reader = _step(Result(0)), _step(Result(1), Temp(0))
    check = _step(Temp(0), checks=True)
    steps = [over, check, reader]
    assert in_order(steps, {over: {reader}}, [check]) == ([check, reader, over], [])
    assert in_order(steps, {}, [check]) == ([over, check, reader], [])
    assert in_order(steps, {over: set()}, [check])[0].index(over) > 0


def test_steps_that_wait_for_each_other_give_one_up() -> None:
    a, b, c = _step(Result(0)), _step(Result(1)), _step(Result(2))
    steps, given_up = in_order([a, b, c], {a: {b}, b: {c}, c: {a}})
    assert set(steps) == {a, b, c} and given_up == [a]
    assert steps == [a, c, b]


def test_two_that_check_and_overwrite() -> None:
    a, b = _step(Result(0), checks=True), _step(Result(1), checks=True)
    steps, given_up = in_order([a, b], {a: set(), b: set()}, [a, b])
    assert steps == [a, b] and given_up == [a]


def test_many_steps_that_overwrite_are_put_in_order() -> None:
    n = 5000
    check = _step(Temp(n), checks=True)
    chain = [_step(Temp(i), Temp(i - 1)) for i in range(1, n)]
    over = [_step(Result(i), Temp(i)) for i in range(1, n)]
    steps, given_up = in_order(
        [*over, *chain, check], {o: {c} for o, c in zip(over, reversed(chain))}, [check]
    )
    assert not given_up and len(steps) == len(set(steps)) == 2 * n - 1
    at = {s: i for i, s in enumerate(steps)}
    assert all(at[o] > at[check] and at[o] > at[c] for o, c in zip(over, reversed(chain)))
