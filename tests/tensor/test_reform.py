"""In-place changes of shape: as torch, with views that live on, derivatives, and captured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import groundup as gu
from groundup.tensor.errors import GradError, JitError, ShapeError


@pytest.fixture(autouse=True)
def engine() -> str:
    """Shapes change before anything is computed."""
    return "compiled"


CHANGES: dict[str, Callable[[Any], Any]] = {
    "unsqueeze_": lambda x: x.unsqueeze_(1),
    "squeeze_": lambda x: x.squeeze_(),
    "squeeze_ one": lambda x: x.squeeze_(0),
    "transpose_": lambda x: x.transpose_(1, 2),
    "swapaxes_": lambda x: x.swapaxes_(0, -1),
    "swapdims_": lambda x: x.swapdims_(0, 1),
    "t_": lambda x: x.squeeze_().t_(),
    "resize_ same": lambda x: x.resize_(3, 2),
    "resize_ fewer": lambda x: x.resize_((2, 2)),
    "resize_as_": lambda x: x.resize_as_(x[0, 0]),
    "several": lambda x: x.unsqueeze_(0).transpose_(0, -1).squeeze_(1).unsqueeze_(-1),
}
BASES: dict[str, Callable[[Any], Any]] = {
    "its own": lambda m: m.arange(6.0).reshape(1, 2, 3).clone(),
    "a part": lambda m: m.arange(12.0).reshape(2, 2, 3)[1:],
    "turned": lambda m: m.arange(6.0).reshape(3, 2).t().unsqueeze(0),
    "reshaped": lambda m: m.arange(6.0).reshape(6).view(1, 2, 3),
    "complex": lambda m: m.complex(m.arange(6.0), m.ones(6)).reshape(1, 2, 3).clone(),
}


def walk(m: Any, base: str, change: str) -> list[Any]:
    """What a tensor, what it is a view of and its views are, before and after writes."""
    x = BASES[base](m)
    row, flat, whole = x[0, 1], x[0, :, 1:], x.transpose(0, 1)
    if change.startswith("resize") and base == "turned":
        return []  # PyTorch writes over elements that lie between
    y = CHANGES[change](x)
    assert y is x
    seen = [x.tolist(), tuple(x.shape), tuple(x.stride()), row.tolist()]
    x.mul_(2)
    row.add_(100)
    x[(0,) * x.dim()] = -1
    later = x.unsqueeze(0)
    later += 1
    return [*seen, x.tolist(), row.tolist(), flat.tolist(), whole.tolist()]


@pytest.mark.peers
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("change", CHANGES)
def test_a_tensor_and_its_views_are_those_of_torch(base: str, change: str) -> None:
    import torch

    assert walk(gu, base, change) == walk(torch, base, change)


@pytest.mark.peers
def test_derivatives_pass() -> None:
    import torch

    found = []
    for m in (gu, torch):
        w = m.arange(6.0).reshape(2, 3).clone().requires_grad_()
        y = w * w
        part = y[1]
        y.t_().unsqueeze_(0)
        y *= m.tensor([1.0, 3.0])
        (y.sum() + (part * 5).sum()).backward()
        assert w.grad is not None
        found.append(w.grad.tolist())
    assert found[0] == found[1]


def test_what_cannot_be_right_is_refused() -> None:
    w = gu.ones(2, 3, requires_grad=True)
    with pytest.raises(GradError, match=r"y = x\.t\("):
        w.t_()
    y = w * 2
    y.retain_grad()
    with pytest.raises(GradError, match="hook"):
        y.t_()
    with pytest.raises(GradError, match="reshape"):
        (w * 2).resize_(6)
    with pytest.raises(ShapeError, match="7 elements of a memory of 6"):
        gu.ones(6).resize_(7)
    with pytest.raises(ShapeError, match="row-major"):
        gu.ones(2, 3).t().resize_(6)
    with pytest.raises(NotImplementedError, match="as_strided_"):
        gu.ones(2).as_strided_((1,), (1,))
    x = gu.ones(2)
    with pytest.raises(IndexError):
        x.unsqueeze_(5)
    assert x.shape == (2,)


def test_set_looks_at_another_memory() -> None:
    x, y = gu.zeros(3), gu.arange(4.0)
    old = x[1:]
    assert x.set_(y) is x
    y[0] = 7
    x[1] = 9
    old += 1
    assert x.tolist() == y.tolist() == [7, 9, 2, 3] and old.tolist() == [1, 1]
    with pytest.raises(TypeError, match="keeps its type"):
        x.set_(gu.arange(3))


def test_data_of_another_shape_leaves_views_where_they_were() -> None:
    x = gu.arange(6.0)[2:]
    pairs = x.view(2, 2)
    x.data = gu.zeros(5)
    assert pairs.tolist() == [[2, 3], [4, 5]] and x.shape == (5,)


def test_captured() -> None:
    @gu.jit
    def inside(x: gu.Tensor) -> gu.Tensor:
        y = (x + 1).unsqueeze_(0)
        view = y[0]
        y.transpose_(0, 1)
        view *= 2
        return y

    for n in range(3):
        x = gu.arange(3.0) + n
        assert inside(x).tolist() == [[2 * (v + 1)] for v in x.tolist()]
    kept = gu.ones(2, 3)
    for function in (lambda x: x.t_() + 1, lambda x: kept.t_() + x.sum()):
        with pytest.raises(JitError, match="from outside"):
            gu.jit(function)(gu.ones(2, 3))

    rows = gu.jit(lambda x: x * 2 + kept.sum(0))
    assert rows(gu.ones(3)).tolist() == [4, 4, 4]
    kept.t_()  # seen at the next call
    assert rows(gu.ones(2)).tolist() == [5, 5]
    x = gu.arange(6.0).reshape(2, 3)
    twice = gu.jit(lambda x: x * 2)
    assert twice(x).shape == (2, 3)
    assert twice(x.t_()).tolist() == [[0, 6], [2, 8], [4, 10]]


def test_mapped_over_a_batch() -> None:
    x = gu.arange(6.0).reshape(2, 3)
    assert gu.vmap(lambda v: (v * 2).unsqueeze_(0))(x).shape == (2, 1, 3)
    assert gu.vmap(lambda v: v.unsqueeze_(1) + 1)(x).tolist() == (x + 1).unsqueeze(2).tolist()
    assert x.shape == (2, 3)
