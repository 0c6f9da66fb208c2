"""The order in which items are visited: sequential, or a permutation drawn from a counter.

A sampler knows only how many items there are; it must not know what they are.
"""

import hashlib
import sys
from array import array
from collections.abc import Iterator
from typing import Protocol

from groundup.tensor import door


def permutation(n: int, *key: int | str) -> list[int]:
    """Return a permutation of `range(n)` that depends on `n` and `key` alone.

    Item i gets the i-th 64-bit word of the stream SHAKE-128(key) (FIPS 202, an extendable-output
    function: a counter-based generator without state), and the items are sorted by their words.
    Equal on every machine and Python version; no other random number influences it, nor does it
    influence any other.

    >>> sorted(permutation(5, 0, "train")) == [0, 1, 2, 3, 4]
    True
    """
    door.passing()
    stream = hashlib.shake_128(repr(key).encode()).digest(8 * n)
    words = array("Q", stream)
    if sys.byteorder == "big":
        words.byteswap()
    return sorted(range(n), key=words.__getitem__)


class Sampler(Protocol):
    """Gives, each time it is iterated, the indices of one pass over the data."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[int]: ...


class SequentialSampler:
    """Visits items 0, 1, …, n-1.

    >>> list(SequentialSampler(3))
    [0, 1, 2]
    """

    def __init__(self, n: int) -> None:
        door.passing()
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.n))


class RandomSampler:
    """Visits all n items in a new order each pass; pass number `epoch` has the order (seed, epoch).

    `epoch` counts the passes begun so far. Setting it puts the sampler where a run left off: the
    order of a pass depends on no pass before it.

    >>> a, b = RandomSampler(100, seed=1), RandomSampler(100, seed=1)
    >>> first, second = list(a), list(a)
    >>> b.epoch = 1
    >>> first != second and list(b) == second
    True
    """

    def __init__(self, n: int, seed: int = 0) -> None:
        door.passing()
        self.n = n
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[int]:
        order = permutation(self.n, "order", self.seed, self.epoch)
        self.epoch += 1
        return iter(order)
