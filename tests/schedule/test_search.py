"""Searches by data are run as sorts and segments (or, element by element, as they come), whatever
stands around them, and give what the plain loops say."""

from __future__ import annotations

import numpy as np
import pytest

from groundup.emit import python
from groundup.emit.kernel import Nest, Placing, Ranks, Segments
from groundup.ir import dtype as dt
from groundup.ir.node import Node, alu, cast, const, loops, out, outs, read, red, reduce, where
from groundup.ir.transform import free_variables, substitute
from groundup.schedule import Plan, Signature, execute

from .. import build as B


def _kernels(root: Node) -> list[type]:
    return [type(s.kernel) for s in Plan(Signature([root]), [root], [None]).steps]


def _same(root: Node) -> None:
    (got,) = (B.array(m, root) for m in execute([root]))
    (want,) = (B.array(m, root) for m in python.evaluate([root]))
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def _index(n: int, *shape: int) -> Node:
    return B.tensor(np.random.default_rng(n).integers(-1, n + 1, shape))  # some of no row


def _floats(*shape: int, dtype: str = "float32") -> Node:
    return B.tensor((np.random.default_rng(len(shape)).normal(size=shape) * 4).astype(dtype))


@pytest.mark.parametrize("kind", ["sum", "prod", "max", "min"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32"])
@pytest.mark.parametrize("trailing", [0, 1, 17, 130, 160])
def test_every_reduction(kind: str, dtype: str, trailing: int) -> None:
    v, i = _floats(23, *([trailing] if trailing else []), dtype=dtype), _index(5, 23)
    d = v.dtype
    neutral = {"sum": 0, "prod": 1}.get(kind)
    if neutral is None:
        low = float("-inf") if d.is_float else d.min
        high = float("inf") if d.is_float else d.max
        neutral = low if kind == "max" else high
    term = read(v, red(1), *([out(1)] if trailing else []))
    body = where(alu("eq", read(i, red(1)), out(0)), term, const(neutral, d))
    root = loops((5, trailing) if trailing else (5,), reduce(kind, [(1, 23)], body))
    assert _kernels(root) == ([Ranks, Segments] if trailing else [Placing])
    _same(root)


def _histogram(n: int = 5, count: int = 40) -> Node:
    one, none = const(1, dt.int64), const(0, dt.int64)
    found = alu("eq", read(_index(n, count), red(1)), out(0))
    return reduce("sum", [(1, count)], where(found, one, none))


def test_a_histogram_and_what_is_made_of_it() -> None:
    body = _histogram()
    assert _kernels(loops((5,), body)) == [Placing]
    _same(loops((5,), body))
    _same(loops((5,), alu("mul", body, alu("add", out(0), const(3, dt.int64)))))
    counts = loops((5,), body)
    shares = loops((5,), alu("mul", read(counts, out(0)), read(counts, const(0, dt.int64))))
    _same(shares)


@pytest.mark.parametrize("dtype", ["int64", "int32", "float64", "float32", "float16"])
def test_bools_that_are_summed_are_a_histogram(dtype: str) -> None:
    i, j = _index(5, 40), _index(4, 40)
    equal = alu("eq", read(i, red(1)), out(0))
    early = alu("lt", red(1), const(30, dt.int64))
    other = alu("eq", read(j, red(1)), out(1))
    for found, shape in (
        (equal, (5,)), (alu("and", early, equal), (5,)), (alu("and", equal, other), (5, 4)),
    ):  # fmt: skip
        root = loops(shape, reduce("sum", [(1, 40)], cast(found, getattr(dt, dtype))))
        assert _kernels(root) == ([Ranks, Segments] if dtype == "float16" else [Placing])
        _same(root)


def test_bools_that_are_no_histogram() -> None:
    """0 is not the neutral element of products and extremes; a factor beside a bool may be NaN."""
    i = _index(5, 40)
    equal = alu("eq", read(i, red(1)), out(0))
    for kind in ("prod", "max", "min"):
        root = loops((5,), reduce(kind, [(1, 40)], cast(equal, dt.int64)))
        assert _kernels(root) == [Nest]
        _same(root)
    for term in (read(i, red(1)), alu("mul", cast(equal, dt.int64), read(i, red(1)))):
        root = loops((5,), reduce("sum", [(1, 40)], term))
        assert _kernels(root) == [Nest]
        _same(root)


def test_rows_of_several_indices_in_batches() -> None:
    v, i, j = _floats(3, 7, 4), _index(4, 3, 7), _index(2, 7)
    one, other = read(i, out(0), red(1)), read(j, red(1))
    found = alu("and", alu("eq", one, out(2)), alu("eq", other, out(1)))
    term = read(v, out(0), red(1), out(3))
    body = reduce("sum", [(1, 7)], where(found, term, const(0, v.dtype)))
    root = loops((3, 2, 4, 4), body)
    assert _kernels(root) == [Ranks, Segments]
    _same(root)
    turned = substitute(body, {out(0): out(3), out(3): out(0)})
    swapped = loops((4, 2, 4, 3), turned)
    assert _kernels(swapped) == [Placing]
    _same(swapped)


def test_other_conditions() -> None:
    v, i = _floats(30, 6), _index(4, 30)
    early = alu("lt", red(1), const(20, dt.int64))
    column = alu("lt", out(1), const(3, dt.int64))
    positive = alu("lt", const(0, v.dtype), read(v, red(1), out(1)))
    for others in ([early], [column], [positive], [early, column, positive]):
        condition = alu("eq", read(i, red(1)), out(0))
        for c in others:
            condition = alu("and", c, condition)
        term = where(condition, read(v, red(1), out(1)), const(0, v.dtype))
        root = loops((4, 6), reduce("sum", [(1, 30)], term))
        assert _kernels(root) == [Ranks, Segments]
        _same(root)


def test_what_is_no_such_search_stays_a_loop() -> None:
    v, i = _floats(9, 3), _index(4, 9)
    term = read(v, red(1), out(1))
    equal = alu("eq", read(i, red(1)), out(0))
    for body in (
        where(equal, term, const(1, v.dtype)),  # the terms left out count
        where(alu("le", read(i, red(1)), out(0)), term, const(0, v.dtype)),
        where(alu("or", equal, alu("eq", out(1), out(0))), term, const(0, v.dtype)),
    ):
        root = loops((4, 3), reduce("sum", [(1, 9)], body))
        assert _kernels(root) == [Nest]
        _same(root)


def test_reads_that_only_the_search_keeps_inside() -> None:
    v, i = _floats(4, 3), _index(4, 9)
    found = alu("eq", read(i, red(1)), out(0))
    past = alu("add", red(1), const(-5, dt.int64))
    inside = alu("and", alu("le", const(0, dt.int64), past), alu("lt", past, const(4, dt.int64)))
    term = where(found, where(inside, read(v, past, out(1)), const(0, v.dtype)), const(0, v.dtype))
    _same(loops((4, 3), reduce("sum", [(1, 9)], term)))


def _asked_first(conditions: list[Node], term: Node, rows: int = 4) -> Node:
    """The sum over 30 positions of a term, with these conditions around it, the first outermost."""
    for c in reversed(conditions):
        term = where(c, term, const(0, term.dtype))
    columns = (6,) if out(1) in free_variables(term) else ()
    return loops((rows, *columns), reduce("sum", [(1, 30)], term))


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("early", [False, True])
def test_conditions_keep_the_next_inside(columns: bool, early: bool) -> None:
    """A condition that needs the row is not asked of positions alone, nor what only it guards."""
    v, i, w = _floats(30, 6), _index(4, 30), _floats(30, dtype="float64")
    term = read(v, red(1), out(1) if columns else const(0, dt.int64))
    zero, ahead = const(0.0, w.dtype), alu("add", red(1), const(9, dt.int64))
    found = alu("eq", read(i, red(1)), out(0))
    later = alu("eq", read(i, ahead), out(0))
    inside = alu("lt", ahead, const(30, dt.int64))
    halves = [alu("lt", out(0), const(2, dt.int64)), alu("lt", const(2, dt.int64), out(0))]
    either = alu("or", *(alu("and", inside, half) for half in halves))
    first = [alu("lt", const(1, dt.int64), red(1))] if early else []
    positive = alu("lt", zero, read(w, ahead))
    fast = [Ranks, Segments] if columns else [Placing]
    for guard, sorted_by_row in ((inside, True), (either, False)):
        root = _asked_first([*first, guard, later, positive], term)
        assert _kernels(root) == (fast if sorted_by_row else [Nest])
        _same(root)
    root = _asked_first([*first, found, either, positive], term)
    assert _kernels(root) == fast
    _same(root)


def test_a_condition_at_the_row_of_a_position() -> None:
    """It is asked where there is such a row: the others are no error."""
    v, i, w = _floats(30, 6), _index(4, 30), _floats(4, dtype="float64")
    row = read(i, red(1))
    positive = alu("lt", const(0.0, w.dtype), read(w, row))
    root = _asked_first([alu("eq", row, out(0)), positive], read(v, red(1), out(1)))
    assert _kernels(root) == [Ranks, Segments]
    _same(root)


def test_the_order_is_that_of_positions_after_fusion() -> None:
    v = _floats(500, 3)
    i = _index(4, 500)
    half = loops((500, 3), alu("mul", read(v, *outs(2)), const(0.1, v.dtype)))
    found = alu("eq", read(i, red(1)), out(0))
    body = reduce("sum", [(1, 500)], where(found, read(half, red(1), out(1)), const(0, v.dtype)))
    rows = loops((4, 3), body)
    root = loops((4, 3), alu("add", read(rows, *outs(2)), const(1, v.dtype)))
    (m,) = execute([root])
    h = B.array(execute([half])[0], half)
    want = np.zeros((4, 3), "float32")
    for at, row in zip(B.array(i.value, i), h, strict=True):
        if 0 <= at < 4:
            want[at] += row
    assert B.array(m, root).tobytes() == (want + np.float32(1)).tobytes()


@pytest.mark.parametrize("order", ["seq", "lanes"])
@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 33, 1000])
def test_a_sum_of_one_term_is_that_term(size: int, order: str) -> None:
    """Whatever it is: infinite, not a number, minus zero; and nothing for a label beyond."""
    labels = B.tensor(np.array([0, size - 1, size // 2, -1, size, 2**63 - 1, -(2**63)] * 2))
    values = B.tensor(np.array([1.5, np.inf, np.nan, 2, -np.inf, 3, 4] + 7 * [-0.0], np.float32))
    v, label = read(values, out(0)), read(labels, out(0))
    zero = const(0.0, dt.float32)
    for turned in (False, True):
        found = alu("eq", *((label, red(1)) if turned else (red(1), label)))
        term = alu("neg", where(found, v, zero))
        root = loops((14,), reduce("sum", [(1, size)], term, order))
        (step,) = Plan(Signature([root]), [root], [None]).steps
        assert not step.groups[0].reductions
        (got,) = (B.array(m, root) for m in execute([root]))
        (want,) = (B.array(m, root) for m in python.evaluate([root]))
        np.testing.assert_array_equal(got, want)
        zeros = want == 0
        assert not np.signbit(got[zeros]).any() and not np.signbit(want[zeros]).any()


@pytest.mark.parametrize("op", ["eq", "ne"])
@pytest.mark.parametrize("size", [1, 7, 16, 33, 64])
def test_a_label_among_lanes(op: str, size: int) -> None:
    far = [0, size - 1, size // 2, size, -1, -size, 2**31, 2**32, 2**32 + 1, 2**63 - 1, -(2**63)]
    label = read(B.tensor(np.array(far)), out(0))
    one, other = const(1.0, dt.float32), read(_floats(len(far), size), out(0), out(1))
    root = loops((len(far), size), where(alu(op, out(1), label), one, other))
    _same(root)
    turned = loops((size, size), where(alu(op, out(0), out(1)), one, const(0.0, dt.float32)))
    _same(turned)
