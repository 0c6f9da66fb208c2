"""Sizes inside a plan: integers, or a + b·N with N the plan's one runtime size.

A plan is compiled once and bound to numbers each time it runs; what depends on N must stay exact
here, so this room knows only exact arithmetic and refuses the rest.
"""

from __future__ import annotations

from typing import NamedTuple

from ..ir.extent import Extent

ENDLESS = 1 << 62  # more than any size


class Span:
    """The runtime sizes N, `least` to `most`, for which all that has been decided holds.

    What depends on how large a size is (the order of a long sum) is decided by what it is now, as
    for a size that is a number, and holds for a plan's other sizes as far as this tells. numbers:
    something was found that can only be said of a number.
    """

    def __init__(self) -> None:
        self.least, self.most, self.numbers = 0, ENDLESS, False

    def at_least(self, size: int, bound: int) -> bool:
        """Is a size of the graph at least so large? The same for all N that remain."""
        if isinstance(size, Extent):
            if size.symbol.loose:
                return False
            first = -(-bound // size.coef)  # the first N with which it is
            if size.base >= first:
                self.least = max(self.least, first)
            else:
                self.most = min(self.most, first - 1)
        return size >= bound

    def alone(self, size: int) -> int:
        """A size of the graph as a number: no other N remains."""
        if isinstance(size, Extent):
            self.least = self.most = size.base
        return int(size)


class Sym(NamedTuple):
    """a + b·N, b ≠ 0; `hint` is the value of N in the graph that was scheduled."""

    a: int
    b: int
    hint: int


Size = int | Sym


def size_of(value: int) -> Size:
    """An extent of the graph as a size of the plan."""
    if isinstance(value, Extent):
        return Sym(0, value.coef, value.base)
    return int(value)


def _make(a: int, b: int, hint: int) -> Size:
    return Sym(a, b, hint) if b else a


def add(x: Size, y: Size) -> Size:
    if not isinstance(x, Sym):
        if not isinstance(y, Sym):
            return x + y
        x, y = y, x
    if isinstance(y, Sym):
        return _make(x.a + y.a, x.b + y.b, x.hint)
    return Sym(x.a + y, x.b, x.hint)


def mul(x: Size, y: Size) -> Size:
    if isinstance(x, Sym) and isinstance(y, Sym):
        raise ArithmeticError("a product of two runtime sizes")
    if isinstance(y, Sym):
        x, y = y, x
    assert isinstance(y, int)
    return _make(x.a * y, x.b * y, x.hint) if isinstance(x, Sym) else x * y


def value(x: Size, n: int | None = None) -> int:
    """The number, with N = n (its hint by default)."""
    if not isinstance(x, Sym):
        return int(x)
    return x.a + x.b * (x.hint if n is None else n)


def total(sizes: tuple[Size, ...] | list[Size]) -> Size:
    """The product."""
    n: Size = 1
    for s in sizes:
        n = mul(n, s)
    return n


def row_major_strides(shape: tuple[Size, ...]) -> tuple[Size, ...]:
    """Strides, in elements, of contiguous row-major memory."""
    strides: list[Size] = []
    step: Size = 1
    for s in reversed(shape):
        strides.append(step)
        step = mul(step, s)
    return tuple(reversed(strides))


def view_strides(
    shape: tuple[Size, ...], strides: tuple[Size, ...], new: tuple[Size, ...]
) -> tuple[Size, ...] | None:
    """Strides that show memory of one shape as another, elements in row-major order, if any do."""
    old = [(s, t) for s, t in zip(shape, strides) if s != 1]
    out: list[Size] = []
    i = 0  # next unused old axis
    room: Size = 1  # elements of the joined old axes not yet covered by new ones
    step: Size = 0  # stride just outside the covered part
    for size in reversed(new):
        if size == 1:
            out.append(0)
            continue
        if room == 1:
            if i >= len(old):
                return None
            room, step = old[-1 - i]
            i += 1
        while not _divides(size, room):
            if i >= len(old):
                return None
            outer, outer_step = old[-1 - i]
            # The next axis joins when it continues where this one ends.
            covered = _quotient(mul_safe(room, step), step)
            if covered is None or outer_step != mul_safe(room, step):
                return None
            room = mul_safe(room, outer)
            i += 1
        out.append(step)
        step = mul_safe(step, size)
        room = _quotient(room, size) or 1
    return tuple(reversed(out)) if i == len(old) and room == 1 else None


def mul_safe(x: Size, y: Size) -> Size:
    try:
        return mul(x, y)
    except ArithmeticError:
        return -1


def _divides(size: Size, room: Size) -> bool:
    return _quotient(room, size) is not None


def _quotient(x: Size, y: Size) -> Size | None:
    """x / y when exact for every N."""
    if isinstance(y, Sym):
        if isinstance(x, Sym) and x.a * y.b == x.b * y.a and x.b % y.b == 0:
            return x.b // y.b
        return None
    if y == 0:
        return None
    if isinstance(x, Sym):
        return Sym(x.a // y, x.b // y, x.hint) if x.a % y == 0 and x.b % y == 0 else None
    return x // y if x % y == 0 else None
