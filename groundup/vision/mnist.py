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

    Four convolutions, each with batch normalisation and ReLU, of 8, 16, 32 and 64 channels on 28,
    14, 7 and 4 pixels a side, then one linear layer: 34,882 parameters, 0.9 million multiply-adds
    an image. Pooling comes before normalisation, which then has a quarter of the work.
    """
    return nn.Sequential(
        *_block(1, 8, kernel=5, pool=True),
        *_block(8, 16, pool=True),
        *_block(16, 32),
        *_block(32, 64, stride=2),
        nn.Flatten(),
        nn.Linear(64 * 4 * 4, classes),
    )


def mlp(classes: int = 10) -> nn.Module:
    """Return a fully connected network 784-256-128-classes for (n, 1, 28, 28).

    Each hidden layer has batch normalisation and ReLU: 235,530 parameters.
    """
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(28 * 28, 256, bias=False),
        nn.BatchNorm1d(256),
        nn.ReLU(),
        nn.Linear(256, 128, bias=False),
        nn.BatchNorm1d(128),
        nn.ReLU(),
        nn.Linear(128, classes),
    )


def _block(
    channels: int, filters: int, kernel: int = 3, stride: int = 1, pool: bool = False
) -> list[nn.Module]:
    """Convolution, pooling if asked for, normalisation, ReLU. The normalisation has the bias."""
    convolution = nn.Conv2d(channels, filters, kernel, stride, padding=kernel // 2, bias=False)
    halving = [nn.MaxPool2d(2)] if pool else []
    return [convolution, *halving, nn.BatchNorm2d(filters), nn.ReLU()]


MODELS = Registry(
    "model", {"cnn": Recipe(cnn, epochs=5, lr=0.1), "mlp": Recipe(mlp, epochs=5, lr=0.1)}
)
