"""A small learner for the tests: points on a line, told apart by one linear layer."""

from collections.abc import Sequence

import groundup as gu
from groundup import nn, optim
from groundup.data import DataLoader, Loaders, TensorDataset
from groundup.train import Callback, Learner


def points(n: int) -> TensorDataset:
    """Return n points x = -1, 1, -1.01, 1.01, …, of classes 0, 1, 0, 1, …"""
    values = [[(-1.0 if i % 2 == 0 else 1.0) * (1 + i / 100)] for i in range(n)]
    return TensorDataset(gu.tensor(values), gu.tensor([i % 2 for i in range(n)]), classes=2)


def learner(
    n: int = 10, batch_size: int = 4, lr: float = 0.5, callbacks: Sequence[Callback] = ()
) -> Learner:
    gu.manual_seed(0)
    model = nn.Linear(1, 2)
    loaders = Loaders(
        DataLoader(points(n), batch_size, shuffle=True), DataLoader(points(7), batch_size=3)
    )
    optimizer = optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    return Learner(loaders, model, optimizer, callbacks=callbacks)
