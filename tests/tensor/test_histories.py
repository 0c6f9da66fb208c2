"""Where the history of a value begins: leaves over values that wait, aliases, running sums."""

from typing import Any

import pytest

import groundup as gu

from .support import torch


@pytest.mark.peers
@pytest.mark.parametrize("name", ["cumsum", "cumprod", "logcumsumexp", "cummax"])
@pytest.mark.parametrize("waits", ["product", "indices"])
def test_a_running_value_of_a_leaf_that_waits_to_be_computed(name: str, waits: str) -> None:
    def gradients(L: Any) -> Any:
        x = L.arange(6).float().reshape(3, 2) + 1
        if waits == "product":
            x = (x @ L.ones(2, 2)) * 0.1
        else:
            x = x.index_add(0, L.tensor([0, 0, 2]), L.ones(3, 2)) * 0.1
        x.requires_grad_()
        y = getattr(x, name)(0)
        y = y.values if name == "cummax" else y
        z = y.sum(1)
        z.retain_grad()
        (z.cumsum(0) ** 2).sum().backward()
        return x.grad.tolist(), z.grad.tolist()

    (x, z), want = gradients(gu), gradients(torch())
    assert x == [pytest.approx(row, rel=1e-5) for row in want[0]]
    assert z == pytest.approx(want[1], rel=1e-5)


@pytest.mark.peers
@pytest.mark.parametrize("write", ["copy_", "mul_", "index"])
def test_what_an_alias_writes_is_no_history_of_a_leaf(write: str) -> None:
    def gradients(L: Any) -> Any:
        x = L.tensor([1.0, 2.0], requires_grad=True)
        y = L.tensor([3.0, 4.0], requires_grad=True)
        d = x.detach()
        if write == "index":
            d[0] = y[1] * 2
        else:
            getattr(d, write)(y)
        (x * x + d * 3).sum().backward()
        return x.tolist(), x.grad.tolist(), y.grad.tolist()

    assert gradients(gu) == gradients(torch())
