"""The sizes of the axes of an expression, from what they index.

Must not know how an expression is lowered.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir.extent import Extent
from .core import Core
from .guards import affine
from .mistakes import Closing
from .notation import Axis, Indexed

_MOST = 1 << 40  # no axis is longer


def fitted(
    order: Sequence[Indexed], reads: Sequence[Indexed], axes: Sequence[Axis], closing: Closing
) -> dict[Axis, int]:
    """The size of each axis: given, or that of the tensor's axis that it indexes alone, or the
    largest that keeps an index, of which it is the only unknown axis, in range.

    Raises IndexError for an axis with two sizes, ValueError for one with none.
    """
    every: dict[Axis, None] = {a: None for t in order for a in t.free}
    for tree in order:
        if tree.op == "reduce":
            every.update(dict.fromkeys(tree.arg[1]))
    every.update(dict.fromkeys(axes))
    size: dict[Axis, int] = {}
    for a in every:
        if a.size is not None:
            size[a] = a.size
    plain: dict[Axis, tuple[Indexed, int]] = {}
    for tree in reads:
        tensor: Core = tree.arg[0]
        for d, (index, n) in enumerate(zip(tree.src, tensor._shape, strict=True)):
            if isinstance(index, Axis) and index.size is None:
                before = size.get(index)
                if before is None:
                    size[index], plain[index] = n, (tree, d)
                elif before != n:
                    raise closing.two_sizes(index, plain[index], (tree, d))
                elif isinstance(before, Extent) and not isinstance(n, Extent):
                    size[index] = n
    if any(a not in size for a in every):
        _largest(reads, size)
        for a in every:
            if a not in size:
                raise closing.unknown_size(a)
    return size


def _largest(reads: Sequence[Indexed], size: dict[Axis, int]) -> None:
    """An index with one axis of unknown size: the largest that keeps it in range."""
    waiting = []
    for tree in reads:
        for index, n in zip(tree.src, tree.arg[0]._shape, strict=True):
            if any(a not in size for a in index.free):
                waiting.append((index, int(n)))
    found = True
    while found:
        found = False
        for index, n in waiting:
            unknown = [a for a in index.free if a not in size]
            if len(unknown) != 1:
                continue
            most = _affine_most(index, n, unknown[0], size)
            if most is None:
                most = _searched_most(index, n, unknown[0], size)
            if most is not None:
                size[unknown[0]] = most
                found = True


def _affine_most(index: Indexed, n: int, a: Axis, size: dict[Axis, int]) -> int | None:
    """The largest size of an axis of an affine index, else None. Where the index begins beyond the
    tensor, no size would do: then 1, of which the check of ranges says where it leaves."""
    form = affine(index)
    if form is None or a not in form[1]:
        return None
    start, factors = form
    own = factors[a]
    ends = [(f, f * (int(size[b]) - 1)) for b, f in factors.items() if b is not a]
    if own > 0:
        top = start + sum(end for f, end in ends if f > 0)
        return (n - 1 - top) // own + 1 if top <= n else 1
    low = start + sum(end for f, end in ends if f < 0)
    return low // -own + 1 if low >= -1 else 1


def _searched_most(index: Indexed, n: int, a: Axis, size: dict[Axis, int]) -> int | None:
    """The largest size of an axis of an index with // and %; None if the index has no bounds, or
    leaves its axis for no size."""

    def inside(most: int) -> bool:
        bounds = span(index, {**size, a: most})
        return bounds is not None and bounds[0] >= 0 and bounds[1] < n

    if not inside(1) or inside(_MOST):
        return None
    low, high = 1, _MOST  # inside, outside
    while high - low > 1:
        middle = (low + high) // 2
        if inside(middle):
            low = middle
        else:
            high = middle
    return low


def span(tree: Indexed, size: dict[Axis, int]) -> tuple[int, int] | None:
    """The least and the greatest value of an expression of axes and integers, else None."""
    if isinstance(tree, Axis):
        return 0, max(0, int(size[tree]) - 1)
    if tree.op == "number":
        return (int(tree.arg), int(tree.arg)) if isinstance(tree.arg, int) else None
    if tree.op == "map" and tree.arg[1] == "neg":
        own = span(tree.src[0], size)
        return None if own is None else (-own[1], -own[0])
    if tree.op != "binary":
        return None
    a, b = (span(s, size) for s in tree.src)
    if a is None or b is None:
        return None
    if tree.arg in ("add", "sub"):
        return (a[0] + b[0], a[1] + b[1]) if tree.arg == "add" else (a[0] - b[1], a[1] - b[0])
    if tree.arg == "mul":
        ends = [x * y for x in a for y in b]
        return min(ends), max(ends)
    if b[0] != b[1] or b[0] <= 0:
        return None
    if tree.arg == "floordiv":
        return a[0] // b[0], a[1] // b[0]
    if tree.arg == "mod":
        return a if a[0] >= 0 and a[1] < b[0] else (0, b[0] - 1)
    return None
