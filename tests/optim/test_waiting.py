"""A plain step computes its loss and the running statistics together with the parameters."""

from __future__ import annotations

import gc

import groundup as gu
from groundup import nn, optim
from groundup.nn import waiting


def realised(t: gu.Tensor) -> bool:
    return t._storage.realised


def test_loss_and_statistics_are_in_memory_after_the_step() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    x, y = gu.randn(6, 3), gu.randint(0, 2, (6,))
    for _ in range(3):
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        assert not realised(loss)
        optimizer.step()
        optimizer.zero_grad()
        assert realised(loss)
        assert all(realised(t) for t in (*model.parameters(), *model.buffers()))
    assert waiting.taken() == []


def test_what_nobody_wants_any_more_is_not_kept() -> None:
    waiting.taken()
    for _ in range(3 * waiting._LIMIT):
        nn.functional.mse_loss(gu.ones(2), gu.zeros(2))
    gc.collect()
    assert waiting.taken() == []
    assert len(waiting._waiting.tensors) <= waiting._LIMIT
