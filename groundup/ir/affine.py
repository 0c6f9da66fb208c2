"""Affine index expressions: sums of integer multiples of variables, and what they can reach.

Reasoning here holds for every value of a runtime size, not only for the value at hand. Must not
know what an index is used for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .dtype import int64
from .extent import Extent, Symbol
from .node import Node, alu, const
from .record import frozen

Linear = dict[Symbol | None, int]  # an integer, linear in runtime sizes (None: the constant)
Sizes = Mapping[Node, int]  # the extents of variables, each of which starts at 0


@frozen
class Affine:
    """Σ coefficient × atom + constant; an atom is a variable or anything not affine."""

    terms: Mapping[Node, int]
    constant: int = 0

    @staticmethod
    def of(node: Node) -> Affine:
        """An int64 expression as far as it is affine."""
        terms: dict[Node, int] = {}
        constant = 0
        stack = [(node, 1)]
        while stack:
            n, c = stack.pop()
            if n.op == "const":
                constant += c * n.value
            elif n.op in ("add", "sub"):
                stack += [(n.src[1], c if n.op == "add" else -c), (n.src[0], c)]
            elif n.op == "neg":
                stack.append((n.src[0], -c))
            elif n.op == "mul" and n.src[1].op == "const":
                stack.append((n.src[0], c * n.src[1].value))
            else:
                terms[n] = terms.get(n, 0) + c
        return Affine({n: c for n, c in terms.items() if c}, constant)

    def node(self) -> Node:
        """The expression again: positive terms first, the constant last."""
        total: Node | None = None
        for atom, c in sorted(self.terms.items(), key=lambda t: t[1] < 0):
            size = atom if abs(c) == 1 else alu("mul", atom, const(abs(c), int64))
            if total is None:
                total = size if c > 0 else alu("mul", atom, const(c, int64))
            else:
                total = alu("add" if c > 0 else "sub", total, size)
        if total is None:
            return const(self.constant, int64)
        return alu("add", total, const(self.constant, int64))

    def plus(self, other: Affine, times: int = 1) -> Affine:
        """self + times × other."""
        terms = dict(self.terms)
        for n, c in other.terms.items():
            terms[n] = terms.get(n, 0) + times * c
        kept = {n: c for n, c in terms.items() if c}
        return Affine(kept, self.constant + times * other.constant)

    def without(self, atom: Node) -> Affine:
        """The other terms."""
        return Affine({n: c for n, c in self.terms.items() if n is not atom}, self.constant)

    def replace(self, values: Mapping[Node, Affine]) -> Affine:
        """With some atoms replaced by affine expressions."""
        result = Affine({n: c for n, c in self.terms.items() if n not in values}, self.constant)
        for n, c in self.terms.items():
            if n in values:
                result = result.plus(values[n], c)
        return result

    def low(self, sizes: Sizes) -> Linear | None:
        """A lower bound, or None where nothing is known."""
        return self._bound(sizes, 0)

    def high(self, sizes: Sizes) -> Linear | None:
        """An upper bound, or None where nothing is known."""
        return self._bound(sizes, 1)

    def _bound(self, sizes: Sizes, side: int) -> Linear | None:
        total: Linear = {None: self.constant}
        for atom, c in self.terms.items():
            ends = span(atom, sizes)
            if ends is None:
                return None
            end = ends[side if c > 0 else 1 - side]
            for symbol, k in end.items():
                total[symbol] = total.get(symbol, 0) + c * k
        return total


def span(atom: Node, sizes: Sizes) -> tuple[Linear, Linear] | None:
    """The least and the greatest value of an atom, or None."""
    if atom in sizes:
        top = linear(sizes[atom])
        return {None: 0}, {**top, None: top[None] - 1}
    if atom.op == "extent":
        return linear(atom.value), linear(atom.value)
    if atom.op in ("floordiv", "mod") and atom.src[1].op == "const" and atom.src[1].value > 0:
        s = atom.src[1].value
        inner = Affine.of(atom.src[0])
        low, high = inner.low(sizes), inner.high(sizes)
        if atom.op == "mod":
            inside = low is not None and high is not None and nonnegative(low)
            if inside and high is not None and nonnegative(minus({None: s - 1}, high)):
                return low or {None: 0}, high
            return {None: 0}, {None: s - 1}
        if low is not None and high is not None and _divisible((low, high), s):
            return _divide(low, s), _divide(high, s)
    return None


def linear(size: int) -> Linear:
    """A size as an expression of runtime sizes."""
    if isinstance(size, Extent):
        return {None: 0, size.symbol: size.coef}
    return {None: int(size)}


def minus(a: Linear, b: Linear) -> Linear:
    """The difference of two bounds."""
    result = dict(a)
    for symbol, k in b.items():
        result[symbol] = result.get(symbol, 0) - k
    return result


def nonnegative(x: Linear) -> bool:
    """Is this at least 0 for every runtime size of at least 1?"""
    return all(k >= 0 for s, k in x.items() if s is not None) and sum(x.values()) >= 0


def _divisible(bounds: Iterable[Linear], s: int) -> bool:
    return all(k % s == 0 for x in bounds for symbol, k in x.items() if symbol is not None)


def _divide(x: Linear, s: int) -> Linear:
    return {symbol: k // s for symbol, k in x.items()}


def within(x: Affine, size: int, sizes: Sizes) -> tuple[bool, bool]:
    """Is x certainly at least 0; is it certainly less than `size`?"""
    low, high = x.low(sizes), x.high(sizes)
    top = minus(linear(size), {None: 1})
    return (
        low is not None and nonnegative(low),
        high is not None and nonnegative(minus(top, high)),
    )
