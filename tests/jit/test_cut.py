"""Results of captured functions have no history: a derivative that would need it is refused, never
silently without a part; what a captured function reaches that has one is right."""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable
from typing import Any

import pytest

import groundup as gu
from groundup.tensor import storage as store


def leaves(n: int = 2) -> list[gu.Tensor]:
    return [gu.tensor([float(i + 1), 2.0], requires_grad=True) for i in range(n)]


def refused(loss: gu.Tensor, name: str = "g") -> None:
    with pytest.raises(gu.GradError, match=f"captured function .*{name}.*detach"):
        loss.backward()


ROUTES: dict[str, Callable[[gu.Tensor, gu.Tensor], gu.Tensor]] = {
    "itself": lambda r, w: r.sum(),
    "beside": lambda r, w: (r.sum() + w.sum()),
    "times": lambda r, w: (r * w).sum(),
    "realised": lambda r, w: ((r * 2).realize() + w).sum(),
    "realised twice": lambda r, w: (((r * 2).realize() * 3).realize() + w).sum(),
    "number": lambda r, w: r[0] + w[1],
    "sliced": lambda r, w: r[1:].sum() + w.sum(),
    "viewed": lambda r, w: (r.reshape(2, 1).T + w).sum(),
    "written": lambda r, w: (w * 1).index_fill(0, gu.tensor([0]), 0).add_(r).sum(),
    "copied": lambda r, w: gu.zeros(2).copy_(r).sum() + w.sum(),
    "cloned": lambda r, w: (r.clone() + w).sum(),
    "checkpoint": lambda r, w: gu.checkpoint(lambda x: (x * r).sum(), w),
    "mapped": lambda r, w: gu.vmap(lambda x, y: x * y)(r, w).sum(),
    "mapped inside": lambda r, w: gu.vmap(lambda y: r.sum() * y)(w).sum(),
    "slope": lambda r, w: gu.grad(lambda x: (x * r).sum())(w).sum() + w.sum(),
    "value": lambda r, w: gu.vjp(lambda x: (x * r).sum(), gu.ones(2))[0] + w.sum(),
    "host": lambda r, w: gu.linalg.solve(gu.eye(2) + r.diag(), w).sum(),
    "half": lambda r, w: (r.to(gu.float16) + w.to(gu.float16)).sum(),
    "complex": lambda r, w: (gu.complex(r, w) * (1 + 2j)).abs().sum(),
    "where": lambda r, w: gu.where(w > 1, r, w).sum(),
    "scan": lambda r, w: r.cumsum(0).sum() + w.sum(),
    "sorted": lambda r, w: r.sort().values.sum() + w.sum(),
}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("calls", [1, 3])
def test_a_derivative_that_would_lack_a_part_is_refused(route: str, calls: int) -> None:
    v, w = leaves()
    g = gu.jit(lambda: v * 3)
    for _ in range(calls):
        r = g()
    refused(ROUTES[route](r, w))
    assert v.grad is None and w.grad is None
    with pytest.raises(gu.GradError, match="captured function"):
        gu.derivatives(ROUTES[route](g(), w), w, allow_unused=True)


@pytest.mark.parametrize("route", [r for r in ROUTES if r != "itself"])
def test_without_its_history_it_is_a_number_as_any_other(route: str) -> None:
    v, w = leaves()
    g = gu.jit(lambda: v * 3)
    found = []
    for r in (g().detach(), (v * 3).detach()):
        w.grad = None
        ROUTES[route](r, w).backward()
        assert w.grad is not None
        found.append(w.grad.tolist())
    with gu.no_grad():
        r = g()
    w.grad = None
    ROUTES[route](r, w).backward()
    assert w.grad is not None
    assert found[0] == found[1] == w.grad.tolist()
    assert v.grad is None


def test_where_no_derivative_passes_nothing_is_missing() -> None:
    v, w = leaves()
    teacher = gu.jit(lambda x: x * v)
    x = gu.tensor([[1.0, 5.0], [3.0, 1.0]])
    for _ in range(2):
        labels = teacher(x).argmax(1)
        better = (teacher(x) > 2).float()
        gu.nn.functional.cross_entropy(x * w, labels).backward()
        (w * better).sum().backward()
        w.grad = None


def test_results_that_need_no_history_are_plain() -> None:
    v = gu.tensor([1.0, 2.0])
    w = gu.ones(2, requires_grad=True)
    g = gu.jit(lambda x: (x * v, (w * x).detach(), (w > 1)))
    for _ in range(3):
        a, b, c = g(gu.ones(2))
        (a * w + b + c).sum().backward()
    assert w.grad is not None and w.grad.tolist() == [3.0, 6.0]


def test_what_other_captured_functions_compute_from_it() -> None:
    v, w = leaves()
    enc, loss = gu.jit(lambda: v * 3), gu.jit(lambda a, b: ((a - b) ** 2).sum())
    for _ in range(3):
        refused(loss(enc(), gu.ones(2)) + w.sum())
    for _ in range(3):  # and a call with others is not concerned
        (loss(gu.ones(2), gu.zeros(2)) + w.sum()).backward()
    refused(loss(enc(), gu.ones(2)) + w.sum())


def test_inside_another_captured_function() -> None:
    v, w = leaves()
    enc = gu.jit(lambda: v * 3)
    r = enc()

    @gu.jit
    def step(r: gu.Tensor) -> gu.Tensor:
        loss = (r * w).sum()
        loss.backward()
        return loss

    with pytest.raises(gu.GradError, match="captured function"):
        step(r)
    assert w.grad is None
    step(r.detach())
    assert w.grad is not None

    @gu.jit
    def whole() -> gu.Tensor:  # a captured function inside is a part of this one
        loss = (enc() * w).sum()
        loss.backward()
        return loss

    w.grad = None
    for _ in range(2):
        whole()
    assert v.grad is not None and v.grad.tolist() == [12.0, 12.0]


def test_what_a_captured_function_writes() -> None:
    v, w = leaves()
    state = gu.zeros(2)

    @gu.jit
    def advance() -> None:
        state.mul_(0.5).add_(v)

    read = gu.jit(lambda: state * 2)
    for _ in range(3):
        state = state.detach()
        (read() + w).sum().backward()  # nothing has been written yet
        advance()
        refused(state.sum() + w.sum(), "advance")
        refused(read().sum() + w.sum(), "advance")
        with gu.no_grad():
            state[0] = 0  # the other element still is what it was
        refused(state.sum() + w.sum(), "advance")
        state.zero_()
        (state.sum() + w.sum()).backward()
        (read() + w).sum().backward()


def test_a_view_among_the_arguments_is_written() -> None:
    v, w = leaves()

    @gu.jit
    def put(x: gu.Tensor) -> None:
        x.copy_(v)

    for _ in range(3):
        whole = gu.zeros(4)
        put(whole[1:3])
        refused(whole.sum() + w.sum(), "put")


def test_gradients_with_a_history() -> None:
    v, w = leaves()

    @gu.jit
    def slope() -> gu.Tensor:
        (g,) = gu.derivatives((v**3).sum(), v, create_graph=True)
        return g

    for _ in range(3):
        refused((slope() * w).sum(), "slope")


def test_a_step_keeps_no_history_of_its_loss() -> None:
    v, w = leaves()

    @gu.jit
    def step() -> gu.Tensor:
        loss = (v * v).sum()
        loss.backward()
        return loss

    total = gu.zeros(())
    for _ in range(100):
        total += step()
    assert total.item() == 500.0
    assert not total.requires_grad
    refused(total * w.sum(), "step")


def test_what_is_reached_with_a_history_is_right() -> None:
    v, w = leaves()
    z = v * 2
    g = gu.jit(lambda: (z * 3).sum())
    for _ in range(3):
        (g() + w.sum()).backward()
    assert v.grad is not None and v.grad.tolist() == [18.0, 18.0]

    @gu.jit
    def step() -> gu.Tensor:
        loss = (z * w).sum()
        loss.backward()
        return loss

    v.grad = w.grad = None
    for _ in range(2):
        step()
    assert v.grad.tolist() == [8.0, 8.0]
    assert w.grad is not None and w.grad.tolist() == [4.0, 8.0]


def test_what_is_reached_and_gets_a_history_later() -> None:
    v, w = leaves()
    z = gu.ones(2)
    g = gu.jit(lambda: (z * 3).sum())
    for _ in range(3):
        (g() + w.sum()).backward()
    z.mul_(v)
    for _ in range(3):
        v.grad = None
        (g() + w.sum()).backward()
        assert v.grad is not None and v.grad.tolist() == [3.0, 3.0]
    with gu.no_grad():
        z = z.detach() * 1
    v.grad = None
    (g() + w.sum()).backward()
    assert v.grad is None


def test_asking_for_its_derivative_is_refused() -> None:
    v, _ = leaves()
    g = gu.jit(lambda: v * 3)
    r = g()
    with pytest.raises(gu.GradError, match=r"requires_grad_.*captured function"):
        r.requires_grad_()
    start = r.detach().requires_grad_()
    (start * 2).sum().backward()
    assert start.grad is not None and start.grad.tolist() == [2.0, 2.0]


def test_copies_by_value_are_new_values() -> None:
    v, w = leaves()
    g = gu.jit(lambda: v * 3)
    for other in (copy.deepcopy(g()), gu.tensor(g().tolist()), gu.from_numpy(g().numpy())):
        (other * w).sum().backward()


def test_writing_elements_leaves_the_rest() -> None:
    v, w = leaves()
    g = gu.jit(lambda: v * 3)
    r = g()
    r[0] = 7
    assert r.tolist() == [7.0, 6.0]
    refused((r + w).sum())
    refused(r[1] + w[0])


def test_memory_shared_with_others_is_read_anew() -> None:
    v, w = leaves()
    g = gu.jit(lambda: v * 3)
    r = g()
    array = r.detach().numpy(copy=False)
    array[0] = 10
    assert (r * 1).tolist() == [10.0, 6.0]
    refused((r + w).sum())


def test_nothing_is_kept_of_calls() -> None:
    v, _ = leaves()
    g = gu.jit(lambda x: x * v)
    h = gu.zeros(2)
    for _ in range(5):
        h = g(h)
    gc.collect()
    nodes, storages = gu.ir.node.table_size(), _storages()
    for _ in range(50):
        h = g(h)
        _ = (h * 2).sum().item()
    gc.collect()
    assert gu.ir.node.table_size() <= nodes + 4
    assert _storages() <= storages + 1


def _storages() -> int:
    return sum(isinstance(x, store.Storage) for x in gc.get_objects())


def test_captured_and_plain_agree_where_state_changes_hands() -> None:
    """One function, called with values that have no history, a cut one, and a true one."""
    v, w = leaves()
    f = gu.jit(lambda x: x * w)
    cut: Any = gu.jit(lambda: v * 3)
    for _ in range(2):
        refused(f(gu.ones(2)).sum(), "lambda")
        refused(f(cut()).sum(), "lambda")
        v.grad = w.grad = None
        f(v * 2).sum().backward()
        assert v.grad is not None and v.grad.tolist() == [4.0, 4.0]
        assert w.grad is not None and w.grad.tolist() == [2.0, 4.0]
