"""Metrics: one number per item, and means that weigh every item alike.

Must not know models or the loop.
"""

from groundup.tensor import Tensor, door, float32


class Mean:
    """The mean over items, gathered batch by batch: Σ sums / Σ counts, right for uneven batches
    too.

    >>> mean = Mean()
    >>> mean.add(3.0, count=3)
    >>> mean.add(0.0, count=1)
    >>> mean.value
    0.75
    """

    def __init__(self) -> None:
        door.passing()
        self.total = 0.0
        self.count = 0

    def add(self, total: float, count: int) -> None:
        """Add `count` items whose numbers sum to `total`."""
        self.total += total
        self.count += count

    @property
    def value(self) -> float:
        """The mean so far; NaN if there were no items."""
        return self.total / self.count if self.count else float("nan")


def accuracy(scores: Tensor, target: Tensor) -> Tensor:
    """Return 1 for each item whose highest score is its target class, else 0.

    `scores` (n, classes) float, `target` (n,) integer; the result is (n,) float32.

    >>> import groundup as gu
    >>> accuracy(gu.tensor([[0.1, 0.9], [0.8, 0.2]]), gu.tensor([1, 1])).tolist()
    [1.0, 0.0]
    """
    return (scores.argmax(1) == target).to(float32)
