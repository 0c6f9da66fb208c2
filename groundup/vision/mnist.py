"""Two models for 28 × 28 digits, each with the recipe that trains it.

Must not know data files, nor how training is shown.
"""

from collections.abc import Callable
from dataclasses import dataclass

from groundup import nn
from groundup.data import Registry


@dataclass(frozen=True)
class Recipe:
    """A model, and settings that train it well: SGD with momentum, weight decay, a one-cycle
    schedule to `lr`.
    """

    build: Callable[[], nn.Module]
    epochs: int
    lr: float
    batch_size: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4


def cnn(classes: int = 10) -> nn.Module:
    """Return a small convolutional network for (n, 1, 28, 28); its result is (n, classes).

    Convolution, halving, batch normalisation and ReLU, three times (28 → 14 → 7 → 4 pixels a side,
    16 → 32 → 64 channels), then one linear layer. Pooling comes before normalisation so that it has
    a quarter of the work.
    """
    return nn.Sequential(
        *_halved(1, 16),
        *_halved(16, 32),
        nn.Conv2d(32, 64, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * 4 * 4, classes),
    )


def mlp(classes: int = 10) -> nn.Module:
    """Return a fully connected network 784-512-256-classes for (n, 1, 28, 28)."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(28 * 28, 512, bias=False),
        nn.BatchNorm1d(512),
        nn.ReLU(),
        nn.Linear(512, 256, bias=False),
        nn.BatchNorm1d(256),
        nn.ReLU(),
        nn.Linear(256, classes),
    )


def _halved(channels: int, filters: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, filters, 3, padding=1, bias=False),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(filters),
        nn.ReLU(),
    ]


MODELS = Registry(
    "model", {"cnn": Recipe(cnn, epochs=5, lr=0.1), "mlp": Recipe(mlp, epochs=5, lr=0.1)}
)
