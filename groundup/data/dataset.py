"""Data sets: a length, an item for each index, and a batch for a list of indices.

Must not know the order of visits (samplers), nor models.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from groundup.tensor import Tensor, door, int64, stack
from groundup.tensor import tensor as make_tensor

Item = tuple[Tensor, ...]


class Dataset(ABC):
    """A sequence of items, each a tuple of tensors such as (image, label)."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: int) -> Item: ...

    def batch(self, indices: Sequence[int]) -> Item:
        """Return the items at `indices`, stacked along a new first dimension."""
        return tuple(
            stack(list(column)) for column in zip(*map(self.__getitem__, indices), strict=True)
        )


class TensorDataset(Dataset):
    """Items are the rows of tensors of equal length: item i = (t[i] for each tensor t).

    With `classes` (how many), the last tensor holds labels, and each is checked to lie in [0,
    classes).

    Raises ValueError if there is no tensor, if lengths differ, or if a label is outside the
    classes.

    >>> import groundup as gu
    >>> data = TensorDataset(gu.zeros(3, 2), gu.tensor([0, 1, 1]), classes=2)
    >>> len(data), data.batch([2, 0])[1].tolist()
    (3, [1, 0])
    """

    def __init__(self, *tensors: Tensor, classes: int | None = None) -> None:
        door.passing()
        if not tensors:
            raise ValueError("TensorDataset needs at least one tensor, such as TensorDataset(x, y)")
        lengths = [tensor.shape[0] if tensor.shape else None for tensor in tensors]
        if None in lengths or len(set(lengths)) != 1:
            shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
            raise ValueError(
                f"the tensors of a TensorDataset need the same first dimension, the number of "
                f"items; their shapes are {shapes}"
            )
        if classes is not None:
            _check_labels(tensors[-1], classes)
        self.tensors = tensors
        self.classes = classes

    def __len__(self) -> int:
        return int(self.tensors[0].shape[0])

    def __getitem__(self, index: int) -> Item:
        return tuple(tensor[index] for tensor in self.tensors)

    def batch(self, indices: Sequence[int]) -> Item:
        rows = make_tensor(list(indices), dtype=int64)
        return tuple(tensor[rows] for tensor in self.tensors)


class Subset(Dataset):
    """The items of `dataset` at `indices`; nothing is copied.

    >>> import groundup as gu
    >>> part = Subset(TensorDataset(gu.arange(10)), [7, 3])
    >>> len(part), part[0][0].item()
    (2, 7)
    """

    def __init__(self, dataset: Dataset, indices: Sequence[int]) -> None:
        door.passing()
        n = len(dataset)
        wrong = next((i for i in indices if not 0 <= i < n), None)
        if wrong is not None:
            raise IndexError(
                f"Subset: index {wrong} is outside the data set's {n} items (0 to {n - 1})"
            )
        self.dataset = dataset
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Item:
        return self.dataset[self.indices[index]]

    def batch(self, indices: Sequence[int]) -> Item:
        return self.dataset.batch([self.indices[i] for i in indices])


def _check_labels(labels: Tensor, classes: int) -> None:
    if labels.shape[0] == 0:
        return
    low, high = int(labels.min().item()), int(labels.max().item())
    if low < 0 or high >= classes:
        values = labels.tolist()
        bad = low if low < 0 else high
        where = values.index(bad)
        raise ValueError(
            f"label {bad} of item {where} is outside the {classes} classes (0 to {classes - 1}); "
            f"the labels run from {low} to {high}"
        )
