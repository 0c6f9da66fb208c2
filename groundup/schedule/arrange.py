"""Where the temporaries of a plan lie in its one arena: those that live at once never overlap.

Knows sizes and lifetimes, numbers only; must not know what is stored.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence

Life = tuple[int, int]  # the first and the last step that touches a temporary

# Placing the largest first comes within a percent of the bound, but looks at all that are placed
# already: so many of them are placed so (some 20 ms), and what is smaller in the order of time.
_LARGEST = 512
_FEW = 128  # of which other orders are tried as well, where the largest first leaves gaps


def arrange(sizes: Mapping[int, int], lives: Mapping[int, Life]) -> tuple[dict[int, int], int]:
    """(the offset of each temporary, the bytes of the arena), in near-linear time."""
    by_size = sorted(sizes, key=lambda t: -sizes[t])
    large, small = by_size[:_LARGEST], by_size[_LARGEST:]
    offsets, arena = _one_by_one(large, sizes, lives)
    if len(by_size) <= _FEW and arena > (least := most_alive(sizes, lives)):
        span = {t: last - first + 1 for t, (first, last) in lives.items()}
        for order in (
            sorted(by_size, key=lambda t: -sizes[t] * span[t]),
            sorted(by_size, key=lambda t: (-span[t], -sizes[t])),
            sorted(by_size, key=lambda t: (lives[t][0], -sizes[t])),
            sorted(by_size, key=lambda t: (-lives[t][1], -sizes[t])),
        ):
            others, end = _one_by_one(order, sizes, lives)
            if end < arena:
                offsets, arena = others, end
            if arena == least:
                break
    if small:
        more, beyond = _in_time(small, sizes, lives)
        for t, offset in more.items():
            offsets[t] = arena + offset
        arena += beyond
        others, least = _in_time(by_size, sizes, lives)
        if least < arena:
            return others, least
    return offsets, arena


def most_alive(sizes: Mapping[int, int], lives: Mapping[int, Life]) -> int:
    """The largest sum of the sizes alive at one step: no arena can be smaller."""
    change: dict[int, int] = {}
    for t, (first, last) in lives.items():
        change[first] = change.get(first, 0) + sizes[t]
        change[last + 1] = change.get(last + 1, 0) - sizes[t]
    now = most = 0
    for at in sorted(change):
        now += change[at]
        most = max(most, now)
    return most


def _one_by_one(
    order: Sequence[int], sizes: Mapping[int, int], lives: Mapping[int, Life]
) -> tuple[dict[int, int], int]:
    """Each, in this order, at the lowest place that is free for all its life."""
    placed: list[tuple[int, int, int, int]] = []  # offset, end, first, last
    offsets: dict[int, int] = {}
    for t in order:
        offset, size, (first, last) = 0, sizes[t], lives[t]
        for start, end, since, until in placed:
            if until < first or since > last:
                continue
            if offset + size <= start:
                break
            if end > offset:
                offset = end
        offsets[t] = offset
        insort(placed, (offset, offset + size, first, last))
    return offsets, max((end for _, end, _, _ in placed), default=0)


def _in_time(
    order: Sequence[int], sizes: Mapping[int, int], lives: Mapping[int, Life]
) -> tuple[dict[int, int], int]:
    """As an allocator would during the run: the smallest hole that is large enough."""
    born: dict[int, list[int]] = {}
    dying: dict[int, list[int]] = {}
    for t in order:
        born.setdefault(lives[t][0], []).append(t)
        dying.setdefault(lives[t][1], []).append(t)
    holes = _Holes()
    offsets: dict[int, int] = {}
    for at in sorted({*born, *dying}):
        for t in born.get(at, ()):
            offsets[t] = holes.take(sizes[t])
        for t in dying.get(at, ()):
            holes.give(offsets[t], sizes[t])
    return offsets, holes.end


class _Holes:
    """The free ranges of an arena that grows at its end."""

    def __init__(self) -> None:
        self.end = 0
        self.by_size: list[tuple[int, int]] = []  # (size, offset)
        self.starts: dict[int, int] = {}  # offset → size
        self.ends: dict[int, int] = {}  # end → offset

    def take(self, size: int) -> int:
        at = bisect_left(self.by_size, (size, -1))
        if at < len(self.by_size):
            have, offset = self.by_size[at]
            self._forget(offset, have)
            self._note(offset + size, have - size)
            return offset
        offset = self.ends.get(self.end, self.end)  # the last hole, made larger
        if offset < self.end:
            self._forget(offset, self.end - offset)
        self.end = offset + size
        return offset

    def give(self, offset: int, size: int) -> None:
        before = self.ends.get(offset)
        if before is not None:
            self._forget(before, offset - before)
            offset, size = before, size + offset - before
        after = self.starts.get(offset + size)
        if after is not None:
            self._forget(offset + size, after)
            size += after
        self._note(offset, size)

    def _note(self, offset: int, size: int) -> None:
        if size:
            insort(self.by_size, (size, offset))
            self.starts[offset], self.ends[offset + size] = size, offset

    def _forget(self, offset: int, size: int) -> None:
        del self.by_size[bisect_left(self.by_size, (size, offset))]
        del self.starts[offset], self.ends[offset + size]
