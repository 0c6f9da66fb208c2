"""What happens to a batch before a model sees it: normalisation, with the statistics it needs.

Must not know models.
"""

import math

from groundup.data.dataset import Dataset
from groundup.tensor import Tensor, door, float32, int64


class Normalize:
    """Maps x to (x - mean) / std as float32, so that the data has mean 0 and standard deviation 1.

    Raises ValueError if `std` is not positive and finite.

    >>> import groundup as gu
    >>> Normalize(mean=2.0, std=4.0)(gu.tensor([2.0, 6.0])).tolist()
    [0.0, 1.0]
    """

    def __init__(self, mean: float, std: float) -> None:
        door.passing()
        if not (math.isfinite(std) and std > 0 and math.isfinite(mean)):
            raise ValueError(
                f"Normalize needs a finite mean and a positive std, not {mean} and {std}"
            )
        self.mean = mean
        self.std = std

    def __call__(self, x: Tensor) -> Tensor:
        return (x.to(float32) - self.mean) * (1.0 / self.std)

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean:.6g}, std={self.std:.6g})"


def statistics(dataset: Dataset, chunk: int = 5_000) -> tuple[float, float]:
    """Return mean and standard deviation of all values of the items' first tensor, which holds
    integers.

    The sums Σx and Σx² are taken in int64, hence exactly, in any order.
    mean = Σx / n; std = sqrt(Σx² / n - mean²).

    Raises ValueError if the data set is empty.

    >>> import groundup as gu
    >>> from groundup.data import TensorDataset
    >>> statistics(TensorDataset(gu.tensor([1, 3])))
    (2.0, 1.0)
    """
    count = total = squares = 0
    for start in range(0, len(dataset), chunk):
        x = dataset.batch(range(start, min(start + chunk, len(dataset))))[0].to(int64)
        count += math.prod(x.shape)
        total += int(x.sum().item())
        squares += int((x * x).sum().item())
    if count == 0:
        raise ValueError("statistics of an empty data set: there is nothing to take a mean of")
    return total / count, math.sqrt(squares * count - total * total) / count
