"""Which data sets there are: a name, and the function that loads it. A new one is one row in
`_LOADERS`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from groundup.data import DataLoader, Dataset, Loaders, Normalize, Registry


class DataError(Exception):
    """A data file is missing, truncated or damaged."""


@dataclass(frozen=True)
class Splits:
    """A data set with its fixed split, the names of its classes and its normalisation.

    `normalize` holds statistics of the training part alone: nothing of `valid` or `test` leaks into
    them.
    """

    name: str
    train: Dataset
    valid: Dataset
    test: Dataset
    classes: tuple[str, ...]
    normalize: Normalize

    def loaders(self, batch_size: int = 128, seed: int = 0) -> Loaders:
        """Return loaders of normalised batches: `train` shuffled by `seed`, `valid` and `test` in
        order.

        Raises ValueError if `batch_size` is not between 1 and the number of training items.
        """
        train = DataLoader(
            self.train, batch_size, shuffle=True, seed=seed, transform=self.normalize
        )
        valid, test = (
            DataLoader(part, min(_WATCH, len(part)), transform=self.normalize)
            for part in (self.valid, self.test)
        )
        return Loaders(train, valid, test)


# The batch size for the parts that are only watched: results do not depend on it.
_WATCH = 1_000


def _mnist() -> Splits:
    from groundup.datasets.mnist import load as load_mnist

    return load_mnist()


_LOADERS = Registry[Callable[[], Splits]]("data set", {"mnist": _mnist})


def names() -> tuple[str, ...]:
    """Return the names that `load` knows.

    >>> names()
    ('mnist',)
    """
    return tuple(_LOADERS)


def load(name: str) -> Splits:
    """Return the data set `name`, split and checked.

    Raises UnknownName (a KeyError) for a name not in `names()`, DataError for a missing or damaged
    file.

    >>> len(load("mnist").train)
    55000
    """
    return _LOADERS[name]()
