"""Extents: the size of an axis, an integer or a named runtime value.

An `Extent` is an int (its value in the graph at hand) that remembers that it came from a named
runtime size. Products with integers keep the memory; anything else gives a plain int, which only
makes the graph more special, never wrong. This room must not know what an axis is used for.
"""

from __future__ import annotations

from itertools import count

_ids = count()


class Symbol:
    """A named runtime size, for example the batch; identity is the name's scope.

    loose: one plan for all values is asked for, not the order that sums of a plain size have.
    """

    __slots__ = ("name", "bound", "uid", "loose")

    def __init__(self, name: str, bound: int = 1 << 40, loose: bool = False) -> None:
        self.name, self.bound, self.uid, self.loose = name, bound, next(_ids), loose

    def __repr__(self) -> str:
        return self.name


class Extent(int):
    """`coef` × `symbol`, an int that knows that it is a runtime size.

    >>> n = Extent.named("n", 64)
    >>> n * 49, (n * 49).coef, n + 1
    (3136, 49, 65)
    """

    coef: int
    symbol: Symbol

    @staticmethod
    def of(value: int, coef: int, symbol: Symbol) -> Extent:
        self = Extent(value)
        self.coef, self.symbol = coef, symbol
        return self

    @staticmethod
    def named(name: str, value: int, bound: int = 1 << 40) -> Extent:
        """A new runtime size called `name` that is `value` in this graph."""
        return Extent.of(value, 1, Symbol(name, bound))

    @property
    def base(self) -> int:
        """The value of the symbol alone."""
        return int(self) // self.coef

    def __mul__(self, other: object) -> int:
        if type(other) is int:
            if other == 0:
                return 0
            return Extent.of(int(self) * other, self.coef * other, self.symbol)
        return int.__mul__(self, other)  # type: ignore[operator]

    __rmul__ = __mul__

    def __floordiv__(self, other: object) -> int:
        if type(other) is int and other > 0 and self.coef % other == 0:
            return Extent.of(int(self) // other, self.coef // other, self.symbol)
        return int.__floordiv__(self, other)  # type: ignore[operator]

    @property
    def key(self) -> tuple[str, int, int]:
        """What distinguishes this extent from a plain int of the same value."""
        return ("extent", self.coef, self.symbol.uid)


def symbolic_key(shape: tuple[int, ...]) -> object:
    """None for plain sizes, else what tells a symbolic shape from an equal plain one."""
    for s in shape:
        if type(s) is not int:
            return tuple(s.key if isinstance(s, Extent) else int(s) for s in shape)
    return None


def product(shape: tuple[int, ...] | list[int]) -> int:
    """The number of elements of a shape; an Extent when one of the sizes is."""
    n: int = 1
    for s in shape:
        n = s * n if isinstance(s, Extent) else n * s
    return n
