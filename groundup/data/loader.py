"""Batches: a data set walked in a sampler's order, so many items at a time.

Must not know models or training.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from groundup.data.dataset import Dataset, Item
from groundup.data.sampler import RandomSampler, Sampler, SequentialSampler
from groundup.tensor import Tensor, door


class DataLoader:
    """Iterates over `dataset` in batches of `batch_size`; the last may be smaller unless
    `drop_last`.

    `shuffle` gives each pass an order of its own, drawn from (seed, number of the pass); `sampler`
    gives the order instead. `transform` maps the first tensor of each batch (normalisation, say).

    Raises TypeError or ValueError for a batch size that is not a whole number from 1 to
    len(dataset).

    >>> import groundup as gu
    >>> from groundup.data import TensorDataset
    >>> loader = DataLoader(TensorDataset(gu.arange(5)), batch_size=2)
    >>> [x.tolist() for (x,) in loader]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 64,
        *,
        shuffle: bool = False,
        seed: int = 0,
        sampler: Sampler | None = None,
        drop_last: bool = False,
        transform: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        door.passing()
        check_batch_size(batch_size, len(dataset))
        if sampler is not None and shuffle:
            raise ValueError(
                "give DataLoader either shuffle=True or a sampler: a sampler is an order"
            )
        if sampler is None:
            n = len(dataset)
            sampler = RandomSampler(n, seed) if shuffle else SequentialSampler(n)
        self.dataset = dataset
        self.batch_size = batch_size
        self.sampler = sampler
        self.drop_last = drop_last
        self.transform = transform

    def __len__(self) -> int:
        full, rest = divmod(len(self.sampler), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Item]:
        order = iter(self.sampler)
        while indices := list(islice(order, self.batch_size)):
            if len(indices) < self.batch_size and self.drop_last:
                return
            x, *rest = self.dataset.batch(indices)
            yield (x if self.transform is None else self.transform(x), *rest)


@dataclass(frozen=True)
class Loaders:
    """The loaders of one run: `train` to learn from, `valid` to watch, `test` to touch once."""

    train: DataLoader
    valid: DataLoader | None = None
    test: DataLoader | None = None


def check_batch_size(batch_size: int, items: int) -> None:
    """Raise TypeError or ValueError unless `batch_size` is a whole number from 1 to `items`."""
    if isinstance(batch_size, bool) or not isinstance(batch_size, int):
        raise TypeError(f"batch size must be a whole number, not {batch_size!r}")
    if batch_size < 1:
        raise ValueError(f"batch size {batch_size} is too small: a batch holds at least 1 item")
    if batch_size > items:
        raise ValueError(
            f"batch size {batch_size} is larger than the data: there are {items} items, "
            f"so it can be at most {items}"
        )
