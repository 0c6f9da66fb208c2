"""Intervals and affine forms: they must hold for every index, and be sharp where guards depend."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.emit.python import values
from groundup.ir import dtype as dt
from groundup.ir.affine import Affine, within
from groundup.ir.extent import Extent
from groundup.ir.interval import FULL, intervals
from groundup.ir.node import Node, alu, const, extent, index, loops, out, outs, where

SIZES = (3, 4)


@st.composite
def expressions(draw: st.DrawFn, depth: int = 4) -> Node:
    """Integer expressions of two variables."""
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from([out(0), out(1), index(draw(st.integers(-5, 5)))]))
    a, b = draw(expressions(depth - 1)), draw(expressions(depth - 1))
    op = draw(st.sampled_from(
        ["add", "sub", "mul", "neg", "abs", "maximum", "minimum", "floordiv", "mod", "where"]
    ))  # fmt: skip
    if op in ("neg", "abs"):
        return alu(op, a)
    if op == "where":
        return where(alu("lt", a, b), a, b)
    return alu(op, a, b)


@settings(max_examples=300, deadline=None)
@given(expressions())
def test_every_value_is_in_the_interval(x: Node) -> None:
    low, high = intervals(x, SIZES)[x]
    assert all(low <= v <= high for v in values([loops(SIZES, x)])[0])


@settings(max_examples=300, deadline=None)
@given(expressions())
def test_an_affine_form_is_the_same_expression(x: Node) -> None:
    form = Affine.of(x)
    sizes = {out(i): s for i, s in enumerate(SIZES)}
    back = form.node()
    assert values([loops(SIZES, back)]) == values([loops(SIZES, x)])
    low, high = form.low(sizes), form.high(sizes)
    got = values([loops(SIZES, x)])[0]
    assert low is None or low[None] <= min(got)
    assert high is None or max(got) <= high[None]


def test_intervals_are_sharp_for_affine_indices() -> None:
    i, j = outs(2)
    x = alu("add", alu("mul", i, index(4)), j)
    assert intervals(x, SIZES)[x] == (0, 11)
    flip = alu("sub", index(2), i)
    assert intervals(flip, SIZES)[flip] == (0, 2)
    half = alu("floordiv", x, index(4))
    assert intervals(half, SIZES)[half] == (0, 2)
    rest = alu("mod", x, index(5))
    assert intervals(rest, SIZES)[rest] == (0, 4)


def test_what_may_wrap_is_unknown() -> None:
    big = alu("mul", out(0), const(2**62, dt.int64))
    assert intervals(big, SIZES)[big] == FULL
    divided = alu("floordiv", index(8), alu("sub", out(0), index(1)))
    assert intervals(divided, SIZES)[divided] == FULL


def test_affine_terms_join_and_vanish() -> None:
    i, j = outs(2)
    x = alu("sub", alu("add", alu("mul", i, index(3)), j), alu("add", i, index(7)))
    form = Affine.of(x)
    assert dict(form.terms) == {i: 2, j: 1} and form.constant == -7
    assert Affine.of(alu("sub", x, x)).node() is index(0)


@pytest.mark.parametrize("n", [1, 5])
def test_bounds_hold_for_all_runtime_sizes(n: int) -> None:
    """What is proved with a size of n is true for any other."""
    size = Extent.named("n", n)
    i = out(0)
    sizes = {i: size * 2}
    flip = Affine.of(alu("sub", alu("sub", extent(size * 2), index(1)), i))
    assert within(flip, size * 2, sizes) == (True, True)
    half = Affine.of(alu("floordiv", i, index(2)))
    assert within(half, size, sizes) == (True, True)
    assert within(Affine.of(i), 2 * n, sizes) == (True, False)
    assert within(Affine.of(i), size, sizes) == (True, False)
    assert within(Affine.of(alu("add", i, index(-1))), size * 2, sizes) == (False, True)


def test_digits_of_a_position() -> None:
    """(4·i + j) // 4 and % 4 stay within their sizes, for each pair."""
    i, j = outs(2)
    position = alu("add", alu("mul", i, index(4)), j)
    q, r = alu("floordiv", position, index(4)), alu("mod", position, index(4))
    pairs = list(zip(*values([loops(SIZES, q), loops(SIZES, r)]), strict=True))
    assert pairs == list(itertools.product(range(3), range(4)))
    sizes = {i: 3, j: 4}
    assert within(Affine.of(q), 3, sizes) == (True, True)
    assert within(Affine.of(r), 4, sizes) == (True, True)
