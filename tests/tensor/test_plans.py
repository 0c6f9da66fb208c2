"""Loops written by users: what is equal in each turn is scheduled once, and nothing grows."""

from collections.abc import Callable

import pytest

import groundup as gu
from groundup.schedule.plan import Plan


@pytest.fixture
def scheduled(monkeypatch: pytest.MonkeyPatch, engine: str) -> list[int]:
    """How many nodes each graph has that is scheduled from here on."""
    if engine == "python":
        pytest.skip("plain loops need no plan")
    sizes: list[int] = []
    make: Callable[..., None] = Plan.__init__

    def counted(self: Plan, signature: object, *args: object, **options: object) -> None:
        sizes.append(len(signature.order))  # type: ignore[attr-defined]
        make(self, signature, *args, **options)

    monkeypatch.setattr(Plan, "__init__", counted)
    return sizes


def test_a_training_loop_by_hand_is_scheduled_a_few_times(scheduled: list[int]) -> None:
    """The loss is asked for after the step, as most people write it: the weights that it was
    computed with have been written over by then."""
    x, target = gu.randn(8, 5).realize(), gu.randn(8, 3).realize()
    w = (gu.randn(5, 3) * 0.1).realize().requires_grad_()
    expected = w.detach().numpy().astype("float64")
    a, b = x.numpy().astype("float64"), target.numpy()
    scheduled.clear()
    for _ in range(12):
        loss = ((x @ w - target) ** 2).mean()
        loss.backward()
        with gu.no_grad():
            assert w.grad is not None
            w -= 0.05 * w.grad
        w.grad = None
        loss.item()
        expected -= 0.05 * 2 / 24 * a.T @ (a @ expected - b)
    assert abs(w.detach().numpy() - expected).max() < 1e-5
    assert len(scheduled) <= 4  # two first steps that differ, and the last weights


def test_parts_of_memory_share_a_plan_wherever_they_begin(scheduled: list[int]) -> None:
    x, w = gu.randn(40, 6).realize(), gu.randn(6, 4).realize()
    whole = (x @ w).relu().sum(1).tolist()
    scheduled.clear()
    parts = [(x[i : i + 5] @ w).relu().sum(1).tolist() for i in range(0, 40, 5)]
    assert [row for part in parts for row in part] == whole
    assert len(scheduled) == 1
    rows = [(x[i] * 2).sum().item() for i in range(1, 40)]
    assert rows == (x * 2).sum(1).tolist()[1:]
    assert len(scheduled) <= 3


def test_a_part_of_memory_is_a_value_and_no_place(engine: str) -> None:
    x = gu.arange(12).reshape(4, 3).float().realize()
    later = x[1:3] * 10
    x[1] = -1.0
    assert later.tolist() == [[30.0, 40.0, 50.0], [60.0, 70.0, 80.0]]
    assert (x[1:3] + 0).tolist() == [[-1.0, -1.0, -1.0], [6.0, 7.0, 8.0]]
    for copy in (x[2:4].clone(), x[2:4].contiguous().clone(), gu.tensor(x[2:4])):
        copy.realize()
        copy[0, 0] = 5.0
        copy += 1
        assert copy.tolist() == [[6.0, 8.0, 9.0], [10.0, 11.0, 12.0]]
    assert x[2:].tolist() == [[6.0, 7.0, 8.0], [9.0, 10.0, 11.0]]
    leaf = gu.ones(4, 2, requires_grad=True)
    (leaf[1:3] * 3).sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.tolist() == [[0.0, 0.0], [3.0, 3.0], [3.0, 3.0], [0.0, 0.0]]
