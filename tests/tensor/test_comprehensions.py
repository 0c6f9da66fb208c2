"""Random index expressions: the compiler, the plain Python loops, and their meaning written out.

All numbers are small integers held in float64, so sums and products are exact and every comparison
is for equality, whatever the order of the terms; but for derivatives of products, which divide.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import groundup as gu

from ..graphs import examples

SIZES = (1, 2, 3, 4, 5, 7)
EXACT = 2.0**45

Env = dict[gu.Axis, int]
Value = Callable[[Env], Any]
Part = tuple[Any, Value]  # an indexed expression, and what it is at a position


class Maker:
    """Grows an expression by drawn parts, and beside it the function that says what it means."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.leaves: list[gu.Tensor] = []
        self.count = 0
        self.exact = True  # a product's derivative divides, and its second one cancels

    def pick(self, options: Any) -> Any:
        options = list(options)
        return options[int(self.rng.integers(len(options)))]

    def axis(self) -> gu.Axis:
        self.count += 1
        return gu.axis(f"a{self.count}", self.pick(SIZES))

    # ---- indices ---------------------------------------------------------------------------------

    def index(self, axes: list[gu.Axis]) -> tuple[Any, Value, int]:
        """(index, its value, the size of the axis that it stays in)."""
        kind = self.pick(
            ("plain", "plain", "affine", "back", "divided", "rest", "gather", "fixed", "apart",
             "clamped", "chosen", "behind", "twice")
        )  # fmt: skip
        a, b = self.pick(axes), self.pick(axes)
        n, m = a.size or 1, b.size or 1
        if kind == "affine":
            s, r, c = (int(v) for v in self.rng.integers(1, 3, 3))
            size = s * (n - 1) + r * (m - 1) + c + 1
            return s * a + r * b + c, lambda e: s * e[a] + r * e[b] + c, size
        if kind == "back":
            return n - 1 - a, lambda e: n - 1 - e[a], n
        if kind == "divided":
            return (a + 1) // 2, lambda e: (e[a] + 1) // 2, n // 2 + 1
        if kind == "rest":
            return (a - b) % 3, lambda e: (e[a] - e[b]) % 3, 3
        if kind == "gather":
            size = self.pick(SIZES)
            table = self.rng.integers(0, size, n)
            return gu.from_numpy(table)[a], lambda e: int(table[e[a]]), size
        if kind == "fixed":
            return self.pick((1, -1)), lambda e: 1, 2
        if kind == "apart":
            return 2 * a - b + m - 1, lambda e: 2 * e[a] - e[b] + m - 1, 2 * n + m - 2
        if kind == "clamped":
            low, high = sorted(int(v) for v in self.rng.integers(0, 5, 2))
            return (a + b - 1).clamp(low, high), lambda e: min(max(e[a] + e[b] - 1, low), high), 5
        if kind == "chosen":
            return gu.where(a > b, a - b, 0), lambda e: max(e[a] - e[b], 0), n
        if kind == "behind":  # counts from the back
            size = self.pick(SIZES)
            back = self.rng.integers(-size, size, n)
            return gu.from_numpy(back)[a], lambda e: int(back[e[a]]) % size, size
        if kind == "twice":
            one, size = self.rng.integers(0, m, n), self.pick(SIZES)
            other = self.rng.integers(0, size, m)
            inner, outer = gu.from_numpy(one), gu.from_numpy(other)
            return outer[inner[a]], lambda e: int(other[one[e[a]]]), size
        return a, lambda e: e[a], n

    # ---- expressions -----------------------------------------------------------------------------

    def read(self, axes: list[gu.Axis]) -> Part:
        first = self.pick(axes)
        found: list[tuple[Any, Value, int]] = [(first, lambda e: e[first], first.size or 1)]
        found += [self.index(axes) for _ in range(self.pick((0, 1, 1, 2)))]
        shape = tuple(size for _, _, size in found)
        data = self.rng.integers(-2, 3, shape).astype(np.float64)
        x = gu.from_numpy(data).requires_grad_()
        self.leaves.append(x)
        a, shift = self.pick(axes), int(self.rng.integers(-2, 3))
        size = int(self.rng.integers(1, 6))
        kind = self.pick(("plain", "plain", "plain", "outside", "guarded", "checked", "beyond"))
        if kind == "plain":
            values = [v for _, v, _ in found]
            return x[tuple(ix for ix, _, _ in found)], lambda e: data[tuple(v(e) for v in values)]
        row = self.rng.integers(-2, 3, size).astype(np.float64)
        y = gu.from_numpy(row).requires_grad_()
        self.leaves.append(y)

        def value(e: Env) -> float:
            at = e[a] + shift
            return float(row[at]) if 0 <= at < size else 2.0

        if kind in ("checked", "beyond"):  # an index from data that leaves its tensor
            table = self.rng.integers(-9, 9, a.size)
            at, wide = gu.from_numpy(table)[a], self.rng.random() < 0.5

            def looked_up(e: Env) -> float:
                place = int(table[e[a]])
                return float(row[place]) if 0 <= place < size else 2.0

            if kind == "beyond":
                return gu.outside(y, 2.0)[at], looked_up
            held = (at >= 0) & (at < size) if wide else ~((at < 0) | (size <= at))
            return gu.where(held, y[at], 2.0), looked_up
        if kind == "outside":
            return gu.outside(y, 2.0)[a + shift], value
        inside = (a >= -shift) & (a < size - shift)
        return gu.where(inside, y[a + shift], 2.0), value

    def condition(self, axes: list[gu.Axis], depth: int) -> Part:
        a, b = self.pick(axes), self.pick(axes)
        kind = self.pick(("lt", "le", "eq", "values", "both"))
        if kind == "lt":
            return a < b + 1, lambda e: e[a] < e[b] + 1
        if kind == "le":
            return a >= b, lambda e: e[a] >= e[b]
        if kind == "eq":
            return gu.eq(a % 2, 0), lambda e: e[a] % 2 == 0
        x, u = self.part(axes, depth - 1)
        if kind == "values":
            return x > 0, lambda e: u(e) > 0
        return (x > 0) & ~(a > b), lambda e: u(e) > 0 and not e[a] > e[b]

    def part(self, axes: list[gu.Axis], depth: int) -> Part:
        if depth <= 0:
            return self.read(axes)
        kind = self.pick(
            ("read", "add", "sub", "mul", "greater", "less", "clamp", "where", "reduce", "reduce",
             "axis", "truth", "at", "at", "running")
        )  # fmt: skip
        if kind == "read":
            return self.read(axes)
        if kind == "axis":
            a = self.pick(axes)
            return a.to(gu.float64), lambda e: float(e[a])
        if kind == "where":
            (c, holds), (x, u), (y, v) = (
                self.condition(axes, depth - 1), self.part(axes, depth - 1), self.part(axes, 0),
            )  # fmt: skip
            return gu.where(c, x, y), lambda e: u(e) if holds(e) else v(e)
        if kind in ("reduce", "truth", "at", "running"):
            return getattr(self, kind)(axes, depth)
        if kind == "clamp":
            x, u = self.part(axes, depth - 1)
            return abs(x.clamp(-2, 3)), lambda e: abs(min(max(u(e), -2), 3))
        (x, u), (y, v) = self.part(axes, depth - 1), self.part(axes, depth - 1)
        if kind == "less":
            return gu.minimum(x, y), lambda e: min(u(e), v(e))
        if kind == "add":
            return x + y, lambda e: u(e) + v(e)
        if kind == "sub":
            return x - 2 * y, lambda e: u(e) - 2 * v(e)
        if kind == "mul":
            return x * y, lambda e: u(e) * v(e)
        return gu.maximum(x, y), lambda e: max(u(e), v(e))

    def reduce(self, axes: list[gu.Axis], depth: int) -> Part:
        own = [self.axis() for _ in range(self.pick((1, 1, 2)))]
        x, u = self.part([*own, *self.some(axes)], depth - 1)
        own = [a for a in own if a in x.free]
        if not own:
            return x, u
        count = math.prod(a.size or 1 for a in own)
        kind = self.pick(
            ("sum", "sum", "max", "min", "argmax", "argmin", "prod",
             "mean" if count in (1, 2, 4) else "sum")
        )  # fmt: skip
        self.exact = self.exact and kind != "prod"
        take: Callable[[list[Any]], Any] = {
            "sum": sum, "max": max, "min": min, "argmax": lambda t: float(np.argmax(t)),
            "argmin": lambda t: float(np.argmin(t)), "prod": math.prod,
            "mean": lambda t: sum(t) / count,
        }[kind]  # fmt: skip

        def value(e: Env) -> float:
            return take([u({**e, **inner}) for inner in positions(own)])

        y = getattr(gu, kind)(x, *own) if self.rng.random() < 0.3 else getattr(x, kind)(*own)
        return (y.to(gu.float64) if kind.startswith("arg") else y), value

    def truth(self, axes: list[gu.Axis], depth: int) -> Part:
        own = self.axis()
        x, u = self.condition([own, *self.some(axes)], depth)
        if own not in x.free:
            return gu.where(x, 1.0, 0.0).to(gu.float64), lambda e: float(u(e))
        kind = self.pick(("any", "all"))
        take = {"any": any, "all": all}[kind]
        y = gu.where(getattr(x, kind)(own), 1.0, -1.0).to(gu.float64)
        return y, lambda e: 1.0 if take([u({**e, **n}) for n in positions([own])]) else -1.0

    def place(self, own: list[gu.Axis], place: gu.Axis) -> tuple[Any, Value]:
        """An index of an axis, from data or computed from axes of its own, and its value."""
        a, b, size = self.pick(own), self.pick(own), place.size or 1
        n, m = a.size or 1, b.size or 1
        kind = self.pick(("data", "data", "rest", "rest", "back", "affine", "half", "clamped"))
        if kind == "rest":
            c = int(self.rng.integers(0, 4))
            return (a + 2 * b + c) % size, lambda e: (e[a] + 2 * e[b] + c) % size
        if kind == "back" and n <= size:
            return size - 1 - a, lambda e: size - 1 - e[a]
        if kind == "affine" and 2 * (n - 1) + m - 1 < size:
            return 2 * a + b, lambda e: 2 * e[a] + e[b]
        if kind == "half" and (n + 1) // 2 < size:
            return (a + 1) // 2, lambda e: (e[a] + 1) // 2
        if kind == "clamped":
            return (a - 1).clamp(0, size - 1), lambda e: min(max(e[a] - 1, 0), size - 1)
        labels = self.rng.integers(0, size, n)
        return gu.from_numpy(labels)[a], lambda e: int(labels[e[a]])

    def at(self, axes: list[gu.Axis], depth: int) -> Part:
        own = [self.axis() for _ in range(self.pick((1, 1, 2)))]
        to = list(self.rng.permutation(len(axes))[: self.pick((1, 1, 2))])
        places = [axes[n] for n in to]
        x, u = self.part([*own, *(a for a in self.some(axes) if a not in places)], depth - 1)
        own = [a for a in own if a in x.free]
        if not own or any(a in x.free for a in places):
            return x, u
        where = []
        for a in places:
            index, at = self.place(own, a)
            x = x.at(a, index)
            where.append((a, at))
        kind, none = self.pick(
            (("sum", 0.0), ("max", None), ("min", None), ("prod", 1.0), ("any", 0.0), ("all", 1.0))
        )

        self.exact = self.exact and kind != "prod"

        def value(e: Env) -> float:
            inner = [{**e, **n} for n in positions(own)]
            terms = [u(n) for n in inner if all(at(n) == e[a] for a, at in where)]
            if kind in ("any", "all"):
                return float(any(terms) if kind == "any" else all(terms))
            if kind in ("max", "min"):
                return (max if kind == "max" else min)(terms, default=-3.0)
            return float(sum(terms) if kind == "sum" else math.prod(terms)) + 0 * none

        y = getattr(x, kind)(*own)
        if kind in ("any", "all"):
            return y.to(gu.float64), value
        return (gu.where(y.isinf(), -3.0, y) if kind in ("max", "min") else y), value

    def running(self, axes: list[gu.Axis], depth: int) -> Part:
        a = self.pick(axes)
        x, u = self.part(axes, depth - 1)
        if a not in x.free:
            return x, u
        back = bool(self.rng.random() < 0.5)

        def so_far(e: Env) -> list[Any]:
            """The values up to here, in order."""
            here, n = e[a], a.size or 1
            order = range(n - 1, here - 1, -1) if back else range(here + 1)
            return [u({**e, a: m}) for m in order]

        kind = self.pick(("cumsum", "cummax", "cummin", "cumprod", "scan", "linear", "start"))
        if kind.startswith("cum"):
            self.exact = self.exact and kind != "cumprod"
            take = {"cumsum": sum, "cummax": max, "cummin": min, "cumprod": math.prod}[kind]
            return getattr(x, kind)(a, reverse=back), lambda e: take(so_far(e))
        step: Callable[[Any, Any], Any] = {
            "scan": lambda h, v: max(h, v) - 1, "linear": lambda h, v: v - h,
            "start": lambda h, v: min(h, v) + v,
        }[kind]  # fmt: skip
        others = [b for b in axes if b is not a]
        first, begin = self.read(others) if kind == "start" and others else (1.0, lambda e: 1.0)

        def value(e: Env) -> float:
            h = begin(e)
            for v in so_far(e):
                h = step(h, v)
            return h

        steps: dict[str, Callable[[Any], Any]] = {
            "scan": lambda h: gu.maximum(h, x) - 1, "linear": lambda h: x - h,
            "start": lambda h: gu.minimum(h, x) + x,
        }  # fmt: skip
        return gu.scan(a, steps[kind], start=first, reverse=back), value

    def some(self, axes: list[gu.Axis]) -> list[gu.Axis]:
        kept = [a for a in axes if self.rng.random() < 0.7]
        return kept or axes[:1]


def positions(axes: list[gu.Axis]) -> list[Env]:
    """All combinations of values of axes, in row-major order."""
    found: list[Env] = [{}]
    for a in axes:
        found = [{**e, a: n} for e in found for n in range(a.size or 0)]
    return found


def run(result: gu.Tensor, leaves: list[gu.Tensor]) -> list[np.ndarray]:
    """The value and its derivatives by all leaves that it has any by, and those of these."""
    values = [result.detach().numpy()]
    total = (result * gu.arange(float(result.numel())).reshape(result.shape).double()).sum()
    for _ in range(2):
        if not total.requires_grad:
            break
        found = gu.derivatives(total, leaves, create_graph=True, allow_unused=True)
        used = [g for g in found if g is not None]
        values += [g.detach().numpy() for g in used]
        total = sum(((g * g).sum() for g in used), gu.tensor(0.0, dtype=gu.float64))
    return values


@settings(
    max_examples=examples(60), deadline=None, derandomize="GROUNDUP_GRAPHS" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)  # fmt: skip
@given(st.integers(0, 2**64 - 1), st.integers(0, 4))
def test_random_comprehensions(engine: str, seed: int, depth: int) -> None:
    if engine == "compiled":  # both are run by this
        assume(check(seed, depth))


def test_residues_with_different_numbers_of_terms(engine: str) -> None:
    """Even positions of this derivative have one term, odd ones two."""
    rng = np.random.default_rng(1)
    x, y = (rng.integers(-2, 3, n).astype("float64") for n in (3, 16))
    a, b = gu.from_numpy(x), gu.from_numpy(y).requires_grad_()
    i, j = gu.axis("i", 3), gu.axis("j", 7)
    value = gu.maximum(a[(j + i) % 3], b[i + 2 * j + 1]).order(i, j)
    (got,) = gu.derivatives(value, [b], gu.arange(1.0, 22.0).reshape(3, 7).double())
    expected = np.zeros(16)
    for p, q in np.ndindex(3, 7):
        over = y[p + 2 * q + 1] - x[(q + p) % 3]
        expected[p + 2 * q + 1] += (7 * p + q + 1) * (0.5 if over == 0 else over > 0)
    np.testing.assert_array_equal(got.numpy(), expected)


@pytest.mark.parametrize("seed,depth", [
    (10483, 3),  # a reduction waits for one in the guard of its reads, which another joins
    (10573, 3),  # the position of an extreme is put for a variable under one of the same variables
    (10818, 3),
    (11149, 4),  # one of two alternatives, on another variable, keeps a later condition inside
    (2059154521581299456, 4),  # a quotient of such a position, put for the quotient
    (20266, 4),  # the position of an extreme, put into an equation under one of its variables
])  # fmt: skip
def test_drawn_once_and_wrong(engine: str, seed: int, depth: int) -> None:
    if engine == "compiled":
        assert check(seed, depth)


@pytest.mark.slow  # its second derivative is one kernel of thousands of instructions
def test_a_reduction_in_a_guard_inside_a_loop_of_its_variable(engine: str) -> None:
    """Two reductions over a variable of one name, the one in the guard of the other's reads."""
    if engine == "compiled":
        assert check(494, 4)


def check(seed: int, depth: int) -> bool:
    """Compiled and plain, values and derivatives, of one drawn expression; False if its numbers are
    too large to be exact."""
    maker = Maker(seed)
    outer = [maker.axis() for _ in range(maker.pick((1, 2, 3)))]
    x, value = maker.part(outer, depth)
    free = [a for a in outer if a in x.free]
    expected = np.array([value(e) for e in positions(free)])
    expected = expected.reshape(tuple(a.size or 0 for a in free))
    if not np.all(np.abs(expected) < EXACT):
        return False
    compiled = run(x.order(*free), maker.leaves)
    np.testing.assert_array_equal(compiled[0], expected, err_msg=repr(x))
    if not all(np.all(np.abs(c) < EXACT) for c in compiled):
        return False
    with gu.debug():
        plain = run(x.order(*free), maker.leaves)
    assert len(plain) == len(compiled)
    for n, (a, b) in enumerate(zip(compiled, plain, strict=True)):
        if maker.exact or n == 0:
            np.testing.assert_array_equal(a, b, err_msg=repr(x))
        else:
            scale = max(1.0, *(float(np.abs(v).max(initial=0.0)) for v in plain))
            np.testing.assert_allclose(a, b, 1e-12, 1e-12 * scale, err_msg=repr(x))
    return True


@pytest.mark.parametrize("seed", range(20))
def test_what_is_made_reads_as_python(engine: str, seed: int) -> None:
    """The text of an expression is an expression: it evaluates to equal values."""
    if engine == "python":
        return
    maker = Maker(seed)
    outer = [maker.axis() for _ in range(2)]
    x, _ = maker.part(outer, 2)
    text = repr(x)[1:].rpartition(", indexed by")[0]
    if "…" in text or ".at(" in text:
        return
    assert text.count("(") == text.count(")")
    assert text.count("[") == text.count("]")
    compile(text, "expression", "eval")
