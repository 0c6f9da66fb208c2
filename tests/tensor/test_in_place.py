"""Writes in place between the use of a value and its derivative: the derivative is that of the
values that were used, or the write is refused; never wrong.

A pending expression denotes values. torch refuses most of these when it finds, in backward, that a
saved tensor has another version; where it allows one, it must give what we give.
"""

from typing import Any

import numpy as np
import pytest

import groundup as gu

from .support import torch


def leaf(L: Any, *values: float) -> Any:
    return L.tensor(list(values), requires_grad=True)


def result_of_exp(L: Any) -> Any:
    x = leaf(L, 1.0, 0.0)
    y = x.exp()
    z = y * y
    y.zero_()
    z.sum().backward()
    return x.grad


def operand_through_a_view(L: Any) -> Any:
    x = leaf(L, 1.0, 2.0, 3.0)
    y = x * 1
    w = y * y
    y[1:].mul_(3)
    (y.sum() + w.sum()).backward()
    return x.grad


def view_of_what_was_written(L: Any) -> Any:
    x = leaf(L, 1.0, 2.0, 3.0)
    y = x * 1
    v = y[1:]
    y.mul_(2)
    v.mul_(3)
    (y * y).sum().backward()
    return x.grad


def leaf_through_data(L: Any) -> Any:
    x = leaf(L, 1.0, 2.0)
    w = (x * x).sum()
    x.data.mul_(10)
    w.backward()
    return x.grad


def leaf_through_detach(L: Any) -> Any:
    x = leaf(L, 1.0, 2.0)
    w = (x * x).sum()
    x.detach()[0].add_(10)
    w.backward()
    return x.grad


def step_between_forward_and_backward(L: Any) -> Any:
    w, x = leaf(L, 1.0, 2.0), L.tensor([3.0, 4.0])
    first = (w * w * x).sum()
    with L.no_grad():
        w -= 0.5
    second = (w * w).sum()
    (first + second).backward()
    return w.grad


def optimizer_step_between(L: Any) -> Any:
    w = leaf(L, 1.0, 2.0)
    optimizer = L.optim.SGD([w], lr=1.0, momentum=0.9)
    loss = (w * w).sum()
    loss.backward(retain_graph=True)
    optimizer.step()
    optimizer.zero_grad()
    loss.backward()
    return w.grad


def constant_factor(L: Any) -> Any:
    x, c = leaf(L, 2.0, 3.0), L.tensor([5.0, 6.0])
    y = (x * c).sum()
    c.zero_()
    y.backward()
    return x.grad


def indices(L: Any) -> Any:
    x, i = leaf(L, 2.0, 3.0), L.tensor([1, 0])
    y = x[i]
    i.fill_(0)
    (y * L.tensor([1.0, 10.0])).sum().backward()
    return x.grad


def mask(L: Any) -> Any:
    x, m = leaf(L, 2.0, 3.0), L.tensor([True, False])
    y = L.where(m, x, x * 5)
    m.fill_(False)
    y.sum().backward()
    return x.grad


def elements_of_zeros(L: Any) -> Any:
    x, y = leaf(L, 1.0, 2.0), L.zeros(3)
    y[:2] = x
    y[1] = 7
    (y * y).sum().backward()
    return x.grad


def overwritten_altogether(L: Any) -> Any:
    x = leaf(L, 2.0, 3.0)
    y = x * 1
    z = y * y
    y.copy_(L.tensor([9.0, 9.0]))
    (z + y).sum().backward()
    return x.grad


def two_operands_in_turn(L: Any) -> Any:
    a, b = leaf(L, 1.0, 2.0), leaf(L, 3.0, 4.0)
    y = a * 1
    y.mul_(b)
    y.mul_(b)
    y.sum().backward()
    return L.stack([a.grad, b.grad])


def summed_up_in_place(L: Any) -> Any:
    x, z = leaf(L, 1.0, 2.0), L.zeros(2)
    z.add_(x)
    w = z * z
    z.add_(x)
    (w + z).sum().backward()
    return x.grad


def piece_of_several(L: Any) -> Any:
    x = leaf(L, 2.0, 3.0, 4.0, 5.0)
    y = x * 1
    first, _ = y.chunk(2)
    first.mul_(2)
    y.sum().backward()
    return x.grad


def gradient_itself(L: Any) -> Any:
    x = leaf(L, 2.0, 3.0)
    (x * x).sum().backward()
    g = x.grad
    g.zero_()
    (x * x).sum().backward()
    return g


# What is right, and whether torch computes it (else it refuses; of `.data` it takes the new value).
CASES: dict[Any, tuple[Any, bool]] = {
    result_of_exp: ([2 * np.exp(2.0), 2.0], False),
    operand_through_a_view: ([3.0, 7.0, 9.0], False),
    view_of_what_was_written: ([8.0, 144.0, 216.0], True),
    leaf_through_data: ([2.0, 4.0], False),
    leaf_through_detach: ([2.0, 4.0], False),
    step_between_forward_and_backward: ([7.0, 19.0], False),
    optimizer_step_between: ([2.0, 4.0], False),
    constant_factor: ([5.0, 6.0], False),
    indices: ([10.0, 1.0], False),
    mask: ([1.0, 5.0], False),
    elements_of_zeros: ([2.0, 0.0], True),
    overwritten_altogether: ([4.0, 6.0], False),
    two_operands_in_turn: ([[9.0, 16.0], [6.0, 16.0]], True),
    summed_up_in_place: ([4.0, 6.0], False),
    piece_of_several: ([2.0, 2.0, 1.0, 1.0], False),
    gradient_itself: ([4.0, 6.0], True),
}


@pytest.mark.peers
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.__name__)
def test_derivatives_are_those_of_the_values_that_were_used(case: Any) -> None:
    want, allowed = CASES[case]
    np.testing.assert_allclose(case(gu).numpy(), want, rtol=1e-6)
    if allowed:
        np.testing.assert_allclose(case(torch()).numpy(), want, rtol=1e-6)
    elif case is not leaf_through_data:
        with pytest.raises(RuntimeError):
            case(torch())


@pytest.mark.parametrize("case", [c for c in CASES if c not in (result_of_exp, mask, indices)],
                         ids=lambda c: c.__name__)  # fmt: skip
def test_captured(case: Any) -> None:
    @gu.jit
    def run(x: gu.Tensor) -> gu.Tensor:
        grad: gu.Tensor = case(gu)
        return grad + x

    if case is optimizer_step_between:
        return  # a new optimizer at each call is no captured step
    for _ in range(3):
        np.testing.assert_allclose(run(gu.zeros(1)).numpy(), CASES[case][0], rtol=1e-6)


def test_memory_that_numpy_writes() -> None:
    a = np.array([1.0, 2.0], dtype=np.float32)
    x = gu.from_numpy(a, copy=False).requires_grad_()
    y, z = (x * x).sum(), gu.checkpoint(lambda x: (x * x).exp(), x)
    _, pull = gu.vjp(lambda x: x * x * x, x.detach())
    mapped = gu.vmap(lambda x: x * x)(x.detach())
    a[:] = 100
    y.backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2.0, 4.0]
    assert pull(gu.ones(2))[0].tolist() == [3.0, 12.0] and mapped.tolist() == [1.0, 4.0]
    x.grad = None
    z.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [2 * np.e, 4 * np.exp(4.0)], rtol=1e-6)
    c, w = gu.tensor([3.0, 4.0]), gu.tensor([1.0, 2.0], requires_grad=True)
    before, shared = w * c * c, c.numpy(copy=False)
    between = gu.checkpoint(lambda w: w * c[:1] * c, w)
    shared[:] = 0
    (before + between).sum().backward()
    assert w.grad is not None
    assert w.grad.tolist() == [18.0, 28.0]
    own = w.detach().numpy(copy=False)
    loss = (w * w).sum()
    own[:] = 50
    w.grad = None
    loss.backward()
    assert w.grad.tolist() == [2.0, 4.0] and w.tolist() == [50.0, 50.0]
    h = (w * 3).realize()
    with pytest.raises(RuntimeError, match="would hide writes from that derivative"):
        h.detach().numpy(copy=False)


def test_what_is_refused_says_where_it_was_written_and_computed() -> None:
    w = gu.tensor([1.0, 2.0], requires_grad=True)
    y = w * 2  # computed here
    for write in (lambda: y.detach().add_(1), lambda: y.data.__setitem__(0, 3.0)):
        with pytest.raises(gu.GradError) as refused:
            write()
        text = str(refused.value)
        assert "would be wrong" in text and "  it was computed\n  at" in text
        assert "y = w * 2  # computed here" in text and "y.detach().add_(1)" in text
    with gu.no_grad(), pytest.raises(gu.GradError, match="it was computed"):
        y += 1
    with pytest.raises(gu.ShapeError, match="expanded view"):
        (w[:1] * 1).expand(3).add_(1)
    with pytest.raises(gu.GradError, match="history into a detached tensor"):
        gu.zeros(2).detach_().copy_(w * 2)
    y.sum().backward()
    assert w.grad is not None
    assert w.grad.tolist() == [2.0, 2.0]


def test_data_of_another_shape_may_be_a_part_of_itself() -> None:
    x = (gu.arange(6).float().reshape(2, 3) * 1).realize()
    row, big = x[0], gu.arange(8).float().realize()
    x.data = x.t()
    assert x.tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
    assert row.tolist() == [0.0, 1.0, 2.0] and (row * 2).tolist() == [0.0, 2.0, 4.0]
    f = gu.jit(lambda: x * 1)
    assert [f().shape for _ in range(3)] == [(3, 2)] * 3
    x.data = big[2:6]
    assert f().tolist() == x.tolist() == [2.0, 3.0, 4.0, 5.0]
    assert (row * 2).tolist() == [0.0, 2.0, 4.0]
