"""In which order the operands of an einsum are contracted: the fewest multiply-adds.

Contracting two terms costs the product of the sizes of all their letters, and leaves the letters
that the result or another operand names. Letters in, numbers out: must not know tensors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from ..ir.recipe import forget_oldest

EXACT = 8  # operands up to which all orders are compared: 3⁸ pairs of subsets
Cost = tuple[int, int]  # multiply-adds, elements of all intermediate results
Path = list[tuple[int, int]]

_known: dict[object, Path] = {}
_KEPT = 1024


def path(terms: Sequence[str], result: str, sizes: Mapping[str, int]) -> Path:
    """Pairs of positions to contract, one after the other: (i, j), i < j, takes terms i and j out
    of the list and puts theirs at the end, as in NumPy's and opt_einsum's paths.

    The cheapest of all for up to 8 operands (dynamic programming over subsets), of the cheapest
    the one with the smallest intermediate results; beyond that, step by step, the pair whose result
    adds least memory, then costs least. Equal costs are decided by the operands' order.

    >>> path(["ij", "jk", "kl"], "il", {"i": 100, "j": 100, "k": 100, "l": 1})
    [(1, 2), (0, 1)]
    """
    key = (tuple(terms), result, tuple(sorted(sizes.items())))
    found = _known.get(key)
    if found is None:
        if len(_known) >= _KEPT:
            forget_oldest(_known)
        sets = [frozenset(t) for t in terms]
        how = _exact if len(terms) <= EXACT else _greedy
        found = _known[key] = how(sets, frozenset(result), sizes)
    return found


def _size(letters: frozenset[str], sizes: Mapping[str, int]) -> int:
    n = 1
    for c in letters:
        n *= sizes[c]
    return n


def _exact(
    terms: list[frozenset[str]], result: frozenset[str], sizes: Mapping[str, int]
) -> Path:
    """Dynamic programming: the cheapest way to contract each subset of the operands."""
    count = len(terms)
    everyone = (1 << count) - 1
    named = [
        frozenset().union(*(t for i, t in enumerate(terms) if subset >> i & 1))
        for subset in range(everyone + 1)
    ]
    left = [named[s] & (named[everyone ^ s] | result) for s in range(everyone + 1)]
    for i in range(count):
        left[1 << i] = terms[i]
    best: list[tuple[Cost, int]] = [((0, 0), 0)] * (everyone + 1)  # and one half of the best split
    for subset in range(1, everyone + 1):
        if not subset & (subset - 1):
            continue
        lowest = subset & -subset
        made = _size(left[subset], sizes) if subset != everyone else 0
        chosen: tuple[Cost, int] | None = None
        half = subset
        while half := (half - 1) & subset:
            if not half & lowest:  # each split once
                continue
            (a, room_a), _ = best[half]
            (b, room_b), _ = best[subset ^ half]
            work = a + b + _size(left[half] | left[subset ^ half], sizes)
            cost = ((work, room_a + room_b + made), half)
            if chosen is None or cost < chosen:
                chosen = cost
        assert chosen is not None
        best[subset] = chosen
    return _positions(count, _pairs(everyone, best))


def _pairs(subset: int, best: Sequence[tuple[Cost, int]]) -> list[tuple[int, int]]:
    """The splits from the operands up, as pairs of subsets."""
    order: list[tuple[int, int]] = []
    todo = [subset]
    while todo:
        s = todo.pop()
        if s & (s - 1):
            half = best[s][1]
            order.append((half, s ^ half))
            todo += (half, s ^ half)
    return order[::-1]


def _positions(count: int, pairs: Sequence[tuple[int, int]]) -> Path:
    standing = [1 << i for i in range(count)]
    found: Path = []
    for a, b in pairs:
        i, j = sorted((standing.index(a), standing.index(b)))
        found.append((i, j))
        del standing[j], standing[i]
        standing.append(a | b)
    return found


def _greedy(
    terms: list[frozenset[str]], result: frozenset[str], sizes: Mapping[str, int]
) -> Path:
    standing = list(terms)
    found: Path = []
    while len(standing) > 1:
        uses: dict[str, int] = dict.fromkeys(result, 1)
        for t in standing:
            for c in t:
                uses[c] = uses.get(c, 0) + 1
        chosen: tuple[int, int, int, int] | None = None
        kept: frozenset[str] = frozenset()
        for i, j in combinations(range(len(standing)), 2):
            a, b = standing[i], standing[j]
            both = a | b
            rest = frozenset(c for c in both if uses[c] > (c in a) + (c in b))
            more = _size(rest, sizes) - _size(a, sizes) - _size(b, sizes)
            candidate = (more, _size(both, sizes), i, j)
            if chosen is None or candidate < chosen:
                chosen, kept = candidate, rest
        assert chosen is not None
        i, j = chosen[2:]
        found.append((i, j))
        del standing[j], standing[i]
        standing.append(kept)
    return found
