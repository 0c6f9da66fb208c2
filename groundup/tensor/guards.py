"""Which indices stay in their tensor because a `where` asks for it.

An index is affine in axes, and so are the conditions around it: what they allow together is a
system of linear inequalities over whole numbers. Must not know how an expression is lowered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import product
from math import prod
from typing import NamedTuple

from .notation import Axis, Indexed, postorder

Form = tuple[int, dict[Axis, int]]  # start + Σ factor · axis
Facts = tuple[tuple[Indexed, bool], ...]  # conditions that hold, or (False) do not

_POINTS = 4096  # positions that are tried one by one, where nothing was proved
_CASES = 64  # pieces of one expression
_PATHS = 10_000  # ways through an expression that are looked at


def affine(tree: Indexed) -> Form | None:
    """(start, factor of each axis) of an index, or None if it is not of that form."""
    if isinstance(tree, Axis):
        return 0, {tree: 1}
    if tree.op == "number" and isinstance(tree.arg, int):
        return int(tree.arg), {}
    if tree.op == "map" and tree.arg[1] == "neg":
        form = affine(tree.src[0])
        return None if form is None else _plus((0, {}), form, -1)
    if tree.op != "binary" or tree.arg not in ("add", "sub", "mul"):
        return None
    left, right = affine(tree.src[0]), affine(tree.src[1])
    if left is None or right is None:
        return None
    if tree.arg != "mul":
        return _plus(left, right, 1 if tree.arg == "add" else -1)
    if left[1] and right[1]:
        return None
    (factor, _), form = (right, left) if left[1] else (left, right)
    return _plus((0, {}), form, factor)


def _plus(a: Form, b: Form, times: int) -> Form:
    factors = dict(a[1])
    for x, f in b[1].items():
        factors[x] = factors.get(x, 0) + times * f
    return a[0] + times * b[0], {x: f for x, f in factors.items() if f}


# ---- what holds where a read happens -------------------------------------------------------------


def guards(root: Indexed) -> dict[int, list[Facts]] | None:
    """For each read (by id), what holds on each way to it; None if there are too many ways.

    A condition on an axis says nothing about another axis of that name: where a reduction over an
    axis begins, what was known of it ends. Scans and
    what goes to positions are tensors of their own, computed whoever asks for which element.
    """
    found: dict[int, list[Facts]] = {}
    carried: set[int] = set()
    for t in postorder(root):
        if t.op == "carry" or (t.op != "scan" and any(id(s) in carried for s in t.src)):
            carried.add(id(t))
    seen: set[tuple[int, frozenset[tuple[int, bool]]]] = set()
    stack: list[tuple[Indexed, Facts]] = [(root, ())]
    while stack:
        tree, facts = stack.pop()
        key = (id(tree), frozenset((id(c), holds) for c, holds in facts))
        if key in seen:
            continue
        seen.add(key)
        if len(seen) > _PATHS:
            return None
        if tree.op == "read":
            found.setdefault(id(tree), []).append(facts)
        elif tree.op in ("scan", "running") or (tree.op == "reduce" and tree.src[0].op == "at"):
            facts = ()
        elif tree.op == "reduce":
            facts = tuple((c, h) for c, h in facts if not any(a in c.free for a in tree.arg[1]))
        elif tree.op == "where":
            condition, yes, no = tree.src
            stack.append((condition, facts))
            given = id(condition) not in carried  # else it may be evaluated apart from its where
            stack.append((yes, (*facts, *_parts(condition, True)) if given else facts))
            stack.append((no, (*facts, *_parts(condition, False)) if given else facts))
            continue
        stack.extend((s, facts) for s in tree.src)
    return found


def _parts(condition: Indexed, holds: bool) -> Facts:
    """A condition as several that all hold (or do not)."""
    if condition.op == "map" and condition.arg[1] == "invert":
        return _parts(condition.src[0], not holds)
    if condition.op == "binary" and condition.arg == ("and" if holds else "or"):
        return (*_parts(condition.src[0], holds), *_parts(condition.src[1], holds))
    return ((condition, holds),)


# ---- proofs --------------------------------------------------------------------------------------


Case = tuple[tuple[Form, ...], Form]  # where all of some forms are 0 or more, a value


class Verdict(NamedTuple):
    """Does an index stay in [0, size) under some facts? None: nobody can tell before it runs."""

    inside: bool | None
    example: dict[Axis, int] | None = None  # where it does not


def verdict(index: Indexed, size: int, facts: Facts, sizes: Mapping[Axis, int]) -> Verdict:
    """Does an index stay within an axis where these facts hold?"""
    values = cases(index)
    if values is None:
        return Verdict(None)
    ways: list[tuple[Form, ...]] = [()]
    complete = True
    for condition, holds in facts:
        more = _ways(condition, holds)
        if more is None or len(ways) * len(more) > _CASES:
            complete = False
        else:
            ways = [(*one, *other) for one in ways for other in more]
    found = [
        _verdict(form, size, (*known, *own), complete, sizes)
        for known in ways for own, form in values
    ]  # fmt: skip
    outside = [v for v in found if v.inside is False]
    if outside:
        return outside[0]
    return Verdict(True if all(v.inside for v in found) else None)


def _verdict(
    form: Form, size: int, known: Sequence[Form], complete: bool, sizes: Mapping[Axis, int]
) -> Verdict:
    wanted = [form, _plus((size - 1, {}), form, -1)]
    if all(_follows(w, known, sizes) for w in wanted):
        return Verdict(True)
    names = {a: None for f in (form, *known) for a in f[1]}
    if prod(int(sizes[a]) for a in names) > _POINTS:
        return Verdict(None)
    for point in _points(list(names), sizes):
        if all(_value(k, point) >= 0 for k in known) and any(_value(w, point) < 0 for w in wanted):
            return Verdict(False, point) if complete else Verdict(None)
    return Verdict(True)


# ---- expressions that are affine in pieces -------------------------------------------------------


def cases(tree: Indexed) -> list[Case] | None:
    """An expression of axes as affine ones, each with where it is that: a `where`, a clamp, an
    extreme, |x|. None if it is of no such form, or of too many pieces."""
    form = affine(tree)
    if form is not None:
        return [((), form)]
    if tree.op == "where":
        return _either(tree.src[0], tree.src[1], tree.src[2])
    if tree.op == "map":
        return _mapped(tree)
    if tree.op != "binary":
        return None
    left, right = (cases(s) for s in tree.src)
    if left is None or right is None:
        return None
    found: list[Case] = []
    for (one, a), (other, b) in product(left, right):
        known = (*one, *other)
        if tree.arg in ("add", "sub"):
            found.append((known, _plus(a, b, 1 if tree.arg == "add" else -1)))
        elif tree.arg == "mul" and not (a[1] and b[1]):
            (factor, _), x = (b, a) if a[1] else (a, b)
            found.append((known, _plus((0, {}), x, factor)))
        elif tree.arg in ("maximum", "minimum"):
            larger, less = ((*known, _plus(a, b, -1)), (*known, _plus(b, a, -1)))
            found += [(larger, a), (less, b)] if tree.arg == "maximum" else [(larger, b), (less, a)]
        else:
            return None
    return _limited(found)


def _mapped(tree: Indexed) -> list[Case] | None:
    values = cases(tree.src[0]) if tree.arg[1] in ("neg", "abs") else None
    if values is None:
        return None
    negative = [(known, x, _plus((0, {}), x, -1)) for known, x in values]
    if tree.arg[1] == "neg":
        return [(known, y) for known, _, y in negative]
    below = [((*known, _plus((-1, {}), x, -1)), y) for known, x, y in negative]
    return _limited([*(((*known, x), x) for known, x in values), *below])


def _either(condition: Indexed, yes: Indexed, no: Indexed) -> list[Case] | None:
    found: list[Case] = []
    for tree, holds in ((yes, True), (no, False)):
        values, ways = cases(tree), _ways(condition, holds)
        if values is None or ways is None:
            return None
        found += [((*known, *own), form) for known in ways for own, form in values]
    return _limited(found)


def _limited(found: list[Case]) -> list[Case] | None:
    return found if len(found) <= _CASES else None


def _ways(condition: Indexed, holds: bool) -> list[tuple[Form, ...]] | None:
    """The ways in which a condition holds (or does not): forms that are all 0 or more; None if it
    is not one of affine expressions."""
    if condition.op == "map" and condition.arg[1] == "invert":
        return _ways(condition.src[0], not holds)
    if condition.op != "binary":
        return None
    if condition.arg in ("and", "or"):
        one, other = (_ways(s, holds) for s in condition.src)
        if one is None or other is None:
            return None
        if holds == (condition.arg == "or"):
            return [*one, *other]
        return [(*p, *q) for p in one for q in other] if len(one) * len(other) <= _CASES else None
    if condition.arg not in ("lt", "le", "eq", "ne"):
        return None
    left, right = (cases(s) for s in condition.src)
    if left is None or right is None or len(left) * len(right) > _CASES:
        return None
    return [
        (*known, *more, *own)
        for (known, a), (more, b) in product(left, right)
        for own in _compared(condition.arg, a, b, holds)
    ]


def _compared(op: str, a: Form, b: Form, holds: bool) -> list[tuple[Form, ...]]:
    up, down = _plus(b, a, -1), _plus(a, b, -1)  # b − a, a − b
    if op in ("eq", "ne"):
        if holds == (op == "eq"):
            return [(up, down)]
        return [((up[0] - 1, up[1]),), ((down[0] - 1, down[1]),)]
    strict = (op == "lt") == holds
    start, factors = up if holds else down
    return [((start - strict, factors),)]


# ---- what follows from inequalities --------------------------------------------------------------


def _follows(wanted: Form, known: Sequence[Form], sizes: Mapping[Axis, int]) -> bool:
    """Is `wanted` at least 0 wherever all `known` are? (Farkas: it is a sum of multiples of them
    and of what is 0 or more at every position; only such sums that clear an axis are tried.)"""
    rest = (Fraction(wanted[0]), {a: Fraction(f) for a, f in wanted[1].items()})
    return _cleared(rest, list(known), sizes)


def _cleared(
    rest: tuple[Fraction, dict[Axis, Fraction]], known: list[Form], sizes: Mapping[Axis, int]
) -> bool:
    start, factors = rest
    least = start + sum(f * (int(sizes[a]) - 1) for a, f in factors.items() if f < 0)
    if least >= 0:
        return True
    for n, (begin, own) in enumerate(known):
        others = known[:n] + known[n + 1 :]
        for times in {factors[a] / f for a, f in own.items() if a in factors}:
            if times <= 0:
                continue
            left = dict(factors)
            for a, f in own.items():
                left[a] = left.get(a, Fraction(0)) - times * f
            after = (start - times * begin, {a: f for a, f in left.items() if f})
            if len(known) <= 6 and _cleared(after, others, sizes):
                return True
    return False


def _points(axes: list[Axis], sizes: Mapping[Axis, int]) -> Iterator[dict[Axis, int]]:
    for values in product(*(range(int(sizes[a])) for a in axes)):
        yield dict(zip(axes, values, strict=True))


def _value(form: Form, point: Mapping[Axis, int]) -> int:
    return form[0] + sum(f * point[a] for a, f in form[1].items())
