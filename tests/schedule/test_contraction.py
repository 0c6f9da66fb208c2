"""Sums of products: every way of running one gives the reference's values, and the same bits.

The cost model knows many ways to run a contraction (which loop is a vector, how many rows, which
operand is copied, in which blocks the sum runs). Each of them is tried here, also those that it
would not choose.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

import groundup as gu
from groundup import runtime
from groundup.autodiff import gradient
from groundup.emit import python
from groundup.emit.builder import Function, module
from groundup.emit.contraction import ContractionWriter
from groundup.emit.expression import Emitter
from groundup.emit.kernel import Contraction, Pack, Several, Word
from groundup.ir.bounds import sum_bound
from groundup.ir.extent import Extent, Symbol
from groundup.ir.node import Node, alu, buffer, fresh, index, loops, out, outs, read, reduce, where
from groundup.ir.record import replace
from groundup.runtime import code, target
from groundup.schedule import Plan, Signature, caches, contract, pack, tiles

from .. import build as B

ROOT = Path(__file__).resolve().parents[2]
EXTENTS = [0, 1, 2, 3, 5, 7, 15, 16, 17, 31, 33, 47, 49, 63, 65, 97]
Build = Callable[..., list[Node]]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small problems, too, are run in tiles and by all threads."""
    monkeypatch.setattr(contract, "SMALL", 1)
    monkeypatch.setattr(contract, "PARALLEL", 1)
    monkeypatch.setattr(pack, "PARALLEL", 1)
    monkeypatch.setattr(tiles, "NEAR_ROWS", 1)
    monkeypatch.setattr(caches, "AHEAD", 1)


@pytest.fixture
def threads() -> Iterator[None]:
    before = runtime.get_num_threads()
    yield
    runtime.set_num_threads(before)


def kernels(plan: Plan) -> list[Contraction]:
    found: list[Contraction] = []
    for step in plan.steps:
        if isinstance(step.kernel, Several):
            found += step.kernel.parts
        elif isinstance(step.kernel, Contraction):
            found.append(step.kernel)
    return found


def run(roots: list[Node], tiled: bool = True) -> list[np.ndarray]:
    """The values, by a plan made anew; `tiled`: some kernel must be a contraction."""
    signature = Signature(roots)
    plan = Plan(signature, roots, [None] * len(roots))
    assert not tiled or kernels(plan)
    found = plan.run(signature.buffers, signature.n, [None] * len(roots))
    return [B.array(m, r) for m, r in zip(found, roots, strict=True)]


def reference(build: Build, arrays: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """What the Python reference gives, and the same for the operands' absolute values."""
    sides = []
    for given in (arrays, [np.abs(a) for a in arrays]):
        roots = build(*given)
        found = python.evaluate(roots)
        sides.append([B.array(m, r) for m, r in zip(found, roots, strict=True)])
    return list(zip(*sides, strict=True))


def check(
    got: list[np.ndarray], wanted: list[tuple[np.ndarray, np.ndarray]], terms: int, note: object
) -> None:
    """Within (n + 8)·eps·Σ|term| (and n of the smallest numbers, where products underflow); NaN and
    Inf where the reference has them."""
    for a, (b, size) in zip(got, wanted, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        finite = np.isfinite(b)
        assert np.array_equal(a[~finite], b[~finite], equal_nan=True), note
        info = np.finfo(a.dtype)
        bound = sum_bound(terms, info.eps, size[finite].astype(np.float64))
        bound += terms * float(info.smallest_subnormal)
        assert (np.abs(a[finite].astype(np.float64) - b[finite]) <= bound).all(), note


def numbers(seed: int, *shapes: tuple[int, ...], dtype: str = "float32") -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1, 1, s).astype(dtype) for s in shapes]


# ---- every candidate of the cost model gives the same bits ---------------------------------------


def every_way(
    monkeypatch: pytest.MonkeyPatch, roots: list[Node], most: int = 1000
) -> Iterator[tuple[int, list[np.ndarray]]]:
    """The values by each of the ways (at most `most` of them, evenly picked)."""
    all_choices = tiles._choices
    counts: list[int] = []

    def counted(p: contract.Problem) -> list[tiles.Choice]:
        found = all_choices(p)
        counts.append(len(found))
        return found

    monkeypatch.setattr(tiles, "_choices", counted)
    run(roots)
    total = max(counts)
    for number in sorted({i * total // min(most, total) for i in range(min(most, total))}):

        def one(p: contract.Problem, number: int = number) -> list[tiles.Choice]:
            found = all_choices(p)
            return [found[number % len(found)]] if found else []

        monkeypatch.setattr(tiles, "_choices", one)
        for rows in (1, 1 << 60):  # copied right before it is used, or before all tiles
            monkeypatch.setattr(tiles, "NEAR_ROWS", rows)
            yield number, run(roots)
    monkeypatch.setattr(tiles, "_choices", all_choices)


def _matmul(a: np.ndarray, b: np.ndarray) -> list[Node]:
    return [B.matmul(B.tensor(a), B.tensor(b))]


def _turned(a: np.ndarray, b: np.ndarray) -> list[Node]:
    """AᵀB."""
    x = B.tensor(a)
    return [B.matmul(B.view(x, x.shape[::-1], lambda i, j: (j, i)), B.tensor(b))]


def _other_turned(a: np.ndarray, b: np.ndarray) -> list[Node]:
    """ABᵀ."""
    x = B.tensor(b)
    return [B.matmul(B.tensor(a), B.view(x, x.shape[::-1], lambda i, j: (j, i)))]


def _diagonal(a: np.ndarray, b: np.ndarray) -> list[Node]:
    """ab,bcc->ac."""
    (r,), variables = fresh(0, [a.shape[1]])
    i, j = outs(2)
    term = alu("mul", read(B.tensor(a), i, r), read(B.tensor(b), r, j, j))
    return [loops((a.shape[0], b.shape[1]), reduce("sum", variables, term, "dot"))]


def _crossed(a: np.ndarray, b: np.ndarray) -> list[Node]:
    """abcd,efdc->abef."""
    (r, s), variables = fresh(0, a.shape[2:])
    i, j, m, n = outs(4)
    term = alu("mul", read(B.tensor(a), i, j, r, s), read(B.tensor(b), m, n, s, r))
    shape = (*a.shape[:2], *b.shape[:2])
    return [loops(shape, reduce("sum", variables, term, "dot"))]


def _over_two(first: int = 0, step: int = 1) -> Build:
    """pqi,pqj->ij, of the second tensor from `first` on and every `step`-th q."""

    def build(a: np.ndarray, b: np.ndarray) -> list[Node]:
        (p, q), variables = fresh(0, a.shape[:2])
        i, j = outs(2)
        at = B.plus(p, first), alu("mul", q, index(step)) if step > 1 else q
        term = alu("mul", read(B.tensor(a), p, q, i), read(B.tensor(b), *at, j))
        return [loops((a.shape[2], b.shape[2]), reduce("sum", variables, term, "dot"))]

    return build


def _convolution(stride: int, padding: int, dilation: int = 1) -> Build:
    def build(x: np.ndarray, w: np.ndarray) -> list[Node]:
        return [B.conv2d(B.tensor(x), B.tensor(w), stride, padding, dilation)]

    return build


def _triangle(op: str, first: str, shift: int = 0) -> Build:
    """ab,bc->ac of the terms with `first` op the other one of row + shift and column alone."""

    def build(a: np.ndarray, b: np.ndarray) -> list[Node]:
        (r,), variables = fresh(0, [a.shape[1]])
        i, j = outs(2)
        row = B.plus(i, shift) if shift else i
        asked = alu(op, row, r) if first == "row" else alu(op, r, row)
        term = alu("mul", read(B.tensor(a), i, r), read(B.tensor(b), r, j))
        term = where(asked, term, B.number(0, term))
        return [loops((a.shape[0], b.shape[1]), reduce("sum", variables, term, "dot"))]

    return build


@pytest.fixture
def tiny_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sum runs in blocks of a few terms."""
    monkeypatch.setattr(tiles, "PANEL", 1)
    monkeypatch.setattr(tiles, "NEAR", 1)
    monkeypatch.setattr(tiles, "LEAST_BLOCK", 5)


def _gradients(stride: int, padding: int, dilation: int = 1) -> Build:
    def build(x: np.ndarray, w: np.ndarray, dy: np.ndarray) -> list[Node]:
        leaves = [B.param(x), B.param(w)]
        y = B.conv2d(*leaves, stride, padding, dilation)
        return [g for g in gradient(y, B.tensor(dy), leaves) if g is not None]

    return build


FORMS: dict[str, tuple[Build, tuple[tuple[int, ...], ...], int]] = {
    "matmul": (_matmul, ((17, 33), (33, 49)), 33),
    "AᵀB": (_turned, ((33, 15), (33, 31)), 33),
    "ABᵀ": (_other_turned, ((7, 65), (47, 65)), 65),
    "batched": (_matmul, ((3, 5, 17), (3, 17, 33)), 17),
    "diagonal": (_diagonal, ((19, 23), (23, 33, 33)), 23),
    "crossed": (_crossed, ((3, 5, 6, 7), (5, 7, 7, 6)), 42),
    "over two": (_over_two(), ((5, 7, 17), (5, 7, 33)), 35),
    "over two, from one on": (_over_two(1), ((5, 7, 33), (8, 7, 20)), 35),
    "every second": (_over_two(0, 2), ((5, 7, 17), (5, 14, 33)), 35),
    "pixels": (_gradients(1, 0), ((3, 5, 4, 4), (17, 5, 1, 1), (3, 17, 4, 4)), 48),
    "few channels": (_convolution(1, 1), ((17, 2, 5, 6), (5, 2, 3, 3)), 18),
    "many channels": (_convolution(1, 1), ((3, 33, 5, 4), (17, 33, 3, 3)), 297),
    "strided": (_convolution(2, 1), ((2, 3, 9, 8), (16, 3, 3, 3)), 27),
    "dilated": (_convolution(1, 2, 2), ((16, 3, 6, 6), (5, 3, 3, 3)), 27),
    "gradients": (_gradients(1, 1), ((16, 3, 5, 5), (5, 3, 3, 3), (16, 5, 5, 5)), 400),
    "strided gradients": (_gradients(2, 2), ((2, 3, 8, 7), (16, 3, 3, 3), (2, 16, 5, 5)), 144),
    "thirds": (_gradients(3, 0), ((3, 17, 7, 7), (5, 17, 2, 2), (3, 5, 2, 2)), 20),
    "lower triangle": (_triangle("le", "column"), ((33, 40), (40, 33)), 40),
    "upper triangle": (_triangle("le", "row"), ((47, 31), (31, 17)), 31),
    "strict triangle": (_triangle("lt", "column", -3), ((23, 23), (23, 65)), 23),
    "all padding": (_convolution(1, 4), ((1, 3, 2, 3), (16, 3, 3, 3)), 27),
}


@pytest.mark.parametrize("block", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_every_choice_gives_the_same_bits(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, form: str, block: bool
) -> None:
    """Also in blocks of the sum, which wait in memory in between."""
    build, shapes, terms = FORMS[form]
    arrays = numbers(0, *shapes)
    roots = build(*arrays)
    first = run(roots)
    check(first, reference(build, arrays), terms, form)
    if block:
        request.getfixturevalue("tiny_blocks")
    for number, got in every_way(monkeypatch, roots, 12):
        same = all(a.tobytes() == b.tobytes() for a, b in zip(got, first, strict=True))
        assert same, number


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("order", ["rows", "columns", "outer", "across"])
@pytest.mark.parametrize("form", ["matmul", "AᵀB", "ABᵀ", "batched", "crossed"])
def test_no_order_of_tiles_changes_a_bit(
    monkeypatch: pytest.MonkeyPatch, form: str, order: str, blocks: bool
) -> None:
    """On one thread and on several, with a's rows copied first where that can be."""
    build, shapes, terms = FORMS[form]
    arrays = numbers(3, *shapes)
    roots = build(*arrays)
    first = run(roots)
    check(first, reference(build, arrays), terms, form)
    choose = tiles.choose

    def ordered(p: contract.Problem, rows: bool) -> tiles.Choice | None:
        c = choose(p)
        if c is not None and not c.lanes and c.repack is None:
            c.order, c.near = order, False
            c.block = (len(p.k) - 1, 7) if blocks else None
            assert c.m is not None
            c.pack_rows = rows and not c.paired and tiles._rows_packable(p, c.a, c.m)
        return c

    for rows in (False, True):
        monkeypatch.setattr(tiles, "choose", lambda p, rows=rows: ordered(p, rows))
        for threads in (1, 3):
            runtime.set_num_threads(threads)
            signature = Signature(roots)
            plan = Plan(signature, roots, [None])
            assert [k.order for k in kernels(plan)] == [order]
            (got,) = plan.run(signature.buffers, signature.n, [None])
            assert B.array(got, roots[0]).tobytes() == first[0].tobytes(), (rows, threads)


def test_a_long_operand_is_walked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the other one stays in the cache; where it does not, its panels do."""
    monkeypatch.setattr(tiles, "NEAR_ROWS", 128)
    for columns, once in ((50, True), (2000, False)):
        a, b = np.zeros((5000, 784), np.float32), np.zeros((784, columns), np.float32)
        roots = _matmul(a, b)
        (kernel,) = kernels(Plan(Signature(roots), roots, [None]))
        assert (kernel.order == "across") == once, columns


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_window_asks_for_the_rows_below(stride: int) -> None:
    """Each channel by itself: pixels are walked whole, and what the next line of the window will
    see is asked for early, also beyond the end of the last image."""

    def build(x: np.ndarray, w: np.ndarray) -> list[Node]:
        image = gu.from_numpy(x).permute(0, 3, 1, 2)
        y = gu.nn.functional.conv2d(
            image, gu.from_numpy(w), stride=stride, padding=1, groups=x.shape[3]
        )
        return [y.permute(0, 2, 3, 1).node]

    arrays = numbers(11, (2, 9, 30, 37), (37, 1, 3, 3))
    roots = build(*arrays)
    found = [k for k in kernels(Plan(Signature(roots), roots, [None])) if k.paired]
    assert [(k.order, k.ahead) for k in found] == [("across", True)]
    check(run(roots), reference(build, arrays), 9, stride)


def test_terms_that_push_each_other_out_of_the_cache_are_copied_first() -> None:
    """AᵀB with terms 4 KiB apart: each would take the place of the one 32 before."""
    for n, copies in ((1024, 1), (64, 0)):
        a = np.zeros((1024, n), np.float32)
        roots = _turned(a, np.zeros((1024, 1024), np.float32))
        plan = Plan(Signature(roots), roots, [None])
        packs = [s.kernel for s in plan.steps if isinstance(s.kernel, Pack)]
        assert sum(not k.panel[0] for k in packs) == copies, n


def test_rows_on_pages_of_their_own_are_copied_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a recurrent layer left time by time, read sequence by sequence, each row by many tiles;
    with the bits of rows that are read where they lie."""
    symbol = Symbol("n")

    def build(x: np.ndarray, w: np.ndarray) -> list[Node]:
        size = Extent.of(x.shape[1], 1, symbol)
        (r,), variables = fresh(0, [x.shape[2]])
        i, t, j = outs(3)
        node = B.tensor(x)
        rows = buffer(node.value, (x.shape[0], size, x.shape[2]), node.dtype)
        term = alu("mul", read(rows, t, i, r), read(B.tensor(w), j, r))
        return [loops((size, x.shape[0], len(w)), reduce("sum", variables, term, "dot"))]

    def plan(roots: list[Node]) -> tuple[Plan, int]:
        made = Plan(Signature(roots), roots, [None])
        return made, sum(isinstance(s.kernel, Pack) and not s.kernel.panel[0] for s in made.steps)

    large = np.zeros((33, 23, 700), np.float32)
    for columns, copied in ((1024, 1), (64, 0)):
        assert plan(build(large, np.zeros((columns, 700), np.float32)))[1] == copied, columns
    x, w = numbers(8, (33, 23, 70), (600, 70))
    (plain,) = run(build(x, w))
    monkeypatch.setattr(caches, "PAGE", 300)
    monkeypatch.setattr(caches, "LEVEL2", 300)
    made, copied = plan(build(x, w))
    assert copied == 1
    want = np.einsum("tbk,nk->btn", x.astype(np.float64), w.astype(np.float64))
    size = np.einsum("tbk,nk->btn", np.abs(x), np.abs(w)).astype(np.float64)
    for n in (23, 1, 7, 0):
        roots = build(np.ascontiguousarray(x[:, :n]), w)
        (got,) = (B.array(m, r) for m, r in zip(
            made.run(Signature(roots).buffers, n, [None]), roots))  # fmt: skip
        assert (np.abs(got - want[:n]) <= sum_bound(70, 2.0**-23, size[:n])).all(), n
        assert got.tobytes() == plain[:n].tobytes(), n


# ---- copies into panels --------------------------------------------------------------------------


def test_copies_of_one_tensor_for_two_sums_are_told_apart() -> None:
    """A tensor is copied into panels twice: once where an axis is summed over, once where it is an
    axis of the result; the panels lie in another order."""
    x, t = numbers(1, (60, 4, 24), (4, 40, 24))

    def build(x: np.ndarray, t: np.ndarray) -> list[Node]:
        a, b = B.tensor(x), B.tensor(t)
        (r, s), both = fresh(0, [4, 24])
        i, n = outs(2)
        first = alu("mul", read(a, i, r, s), read(b, r, n, s))
        (q,), one = fresh(0, [24])
        o, j, m = outs(3)
        second = alu("mul", read(a, j, o, q), read(b, o, m, q))
        return [
            loops((60, 40), reduce("sum", both, first, "dot")),
            loops((4, 60, 40), reduce("sum", one, second, "dot")),
        ]

    check(run(build(x, t)), reference(build, [x, t]), 96, "")


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [1, 1 << 60])
def test_panels_of_any_width(monkeypatch: pytest.MonkeyPatch, rows: int, dtype: str) -> None:
    """Turned on the way, whatever is left of the last vector: the bits of what lies as it is read;
    right before the panel is used, or before all tiles."""
    monkeypatch.setattr(tiles, "NEAR_ROWS", rows)
    every = tiles._choices
    monkeypatch.setattr(tiles, "_choices", lambda p: [c for c in every(p) if c.n.arg == 1])
    sizes = ((1, 33), (2, 16), (3, 7), (15, 33), (17, 1), (31, 20), (33, 65), (50, 40), (97, 9))
    for n, k in sizes:
        a, b = numbers(n, (19, k), (n, k), dtype=dtype)
        expected = run(_matmul(a, np.ascontiguousarray(b.T)))[0].tobytes()
        for count in (1, 3):
            runtime.set_num_threads(count)
            assert run(_other_turned(a, b))[0].tobytes() == expected, (n, k, count)


@pytest.mark.usefixtures("threads")
def test_only_what_the_conditions_allow_is_copied() -> None:
    """Terms 1 … 600 of 602 exist: nothing before or behind the operand's memory is read."""
    x, y = numbers(2, (40, 602), (300, 600))

    def build(x: np.ndarray, y: np.ndarray) -> list[Node]:
        (r,), variables = fresh(0, [602])
        i, j = outs(2)
        at = B.plus(r, -1)
        term = alu("mul", read(B.tensor(x), i, r), read(B.tensor(y), j, at))
        term = where(B.inside(at, 600), term, B.number(0, term))
        return [loops((40, 300), reduce("sum", variables, term, "dot"))]

    roots = build(x, y)
    for step in Plan(Signature(roots), roots, [None]).steps:
        if isinstance(step.kernel, Pack):
            assert [w for w in step.words if isinstance(w, int) and w < 0] == []
            assert step.kernel.offset == 0
    shifted = np.pad(y.astype(np.float64), ((0, 0), (1, 1)))
    (got,) = run(roots)
    size = np.abs(x.astype(np.float64)) @ np.abs(shifted).T
    assert (np.abs(got - x @ shifted.T) <= sum_bound(602, 2.0**-23, size)).all()


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("block", [False, True])
@pytest.mark.parametrize(
    "shapes", [((70, 37), (300, 37)), ((35, 260), (51, 260)), ((40, 6, 5), (90, 6, 5))]
)
def test_more_threads_than_places_for_panels(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest,
    shapes: tuple[tuple[int, ...], ...], block: bool,
) -> None:  # fmt: skip
    """Threads copy b's columns on their way, each to a place of its own; those without one rest."""
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    x, y = numbers(11, *shapes)

    def build(x: np.ndarray, y: np.ndarray) -> list[Node]:
        rs, variables = fresh(0, list(x.shape[1:]))
        i, j = outs(2)
        term = alu("mul", read(B.tensor(x), i, *rs), read(B.tensor(y), j, *rs))
        return [loops((len(x), len(y)), reduce("sum", variables, term, "dot"))]

    roots = build(x, y)
    monkeypatch.setattr(tiles, "NEAR_ROWS", 1 << 60)
    runtime.set_num_threads(1)
    apart = run(roots)
    check(apart, reference(build, [x, y]), x[0].size, "")
    if block:
        request.getfixturevalue("tiny_blocks")
    monkeypatch.setattr(tiles, "NEAR_ROWS", 1)
    (kernel,) = kernels(Plan(Signature(roots), roots, [None]))
    assert kernel.panel is not None or block
    for count in (1, 4, 7):
        runtime.set_num_threads(count)
        assert run(roots)[0].tobytes() == apart[0].tobytes(), count


# ---- conditions ----------------------------------------------------------------------------------


def test_two_conditions_of_divisibility() -> None:
    """Only one of them can be the step of a loop."""
    a, b = numbers(3, (20, 30), (30, 16))

    def build(a: np.ndarray, b: np.ndarray) -> list[Node]:
        (r,), variables = fresh(0, [30])
        i, j = outs(2)
        twos, threes = (
            alu("eq", alu("mod", ix, index(s)), index(0)) for ix, s in ((r, 2), (B.plus(r, i), 3))
        )
        term = alu("mul", read(B.tensor(a), i, r), read(B.tensor(b), r, j))
        term = where(alu("and", twos, threes), term, B.number(0, term))
        return [loops((20, 16), reduce("sum", variables, term, "dot"))]

    check(run(build(a, b), tiled=False), reference(build, [a, b]), 30, "")


def test_a_window_that_never_meets_the_image() -> None:
    """The term is known to be 0: no product is left of it."""
    arrays = numbers(4, (2, 3, 1, 5), (4, 3, 1, 3))
    build = _padded_rows
    check(run(build(*arrays), tiled=False), reference(build, arrays), 9, "")


def _padded_rows(x: np.ndarray, w: np.ndarray) -> list[Node]:
    """A convolution with stride 3 and padding 1 along rows, of which there is one."""
    b, f, p, q = outs(4)
    (c, v), variables = fresh(0, [3, 3])
    row = B.plus(B.scaled(p, 3), -1)
    image = read(B.tensor(x), b, c, row, B.plus(q, v))
    term = alu("mul", image, read(B.tensor(w), f, c, index(0), v))
    term = where(B.inside(row, 1), term, B.number(0, term))
    return [loops((2, 4, 1, 3), reduce("sum", variables, term, "dot"))]


def test_what_lies_outside_an_image_is_no_term() -> None:
    """Inf in the weights makes no NaN of the zeros around the image."""
    x, w = numbers(5, (2, 3, 5, 5), (17, 3, 3, 3))
    w[:, :, 0, :] = np.inf
    x = np.abs(x)
    for build in (_convolution(1, 1), _convolution(2, 1), _convolution(1, 3)):
        (got,) = run(build(x, w))
        assert not np.isnan(got).any() and np.isfinite(got[:, :, 0]).all()
        check([got], reference(build, [x, w]), 27, "")


# ---- any operands --------------------------------------------------------------------------------


def _strided_matmul(rng: np.random.Generator) -> tuple[Build, list[tuple[int, ...]], int]:
    """Batched, of operands and to a result with axes in any order, of slices of tensors, with
    something done to the sum."""
    batch = [int(b) for b in rng.choice([1, 2, 3], rng.integers(0, 3))]
    m, k, n = (int(e) for e in rng.choice(EXTENTS[1:], 3))
    if max(m, k, n) > 49 or len(batch) > 1:
        m, k, n = (min(e, 33) for e in (m, k, n))
    sizes = [*batch, m, k], [*batch, k, n], [*batch, m, n]
    orders = [rng.permutation(len(s)) for s in sizes]
    steps = [rng.choice([1, 1, 1, 2], len(s)) for s in sizes[:2]]
    starts = [rng.choice([0, 0, 1], len(s)) for s in sizes[:2]]
    shapes = [
        tuple(int(s[i] * step[i] + start[i]) for i in order)
        for s, order, step, start in zip(sizes, orders, steps, starts)
    ]
    shape = tuple(sizes[2][i] for i in orders[2])
    finish = rng.integers(0, 3)

    def build(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> list[Node]:
        names = [outs(len(shape))[list(orders[2]).index(i)] for i in range(len(shape))]
        (r,), variables = fresh(0, [k])
        *lead, i, j = names
        parts = []
        names_of = ([*lead, i, r], [*lead, r, j])
        for x, at, o, step, start in zip((a, b), names_of, orders, steps, starts):
            index_of = [B.plus(B.scaled(at[d], int(step[d])), int(start[d])) for d in o]
            parts.append(read(B.tensor(x), *index_of))
        total = reduce("sum", variables, alu("mul", *parts), "dot")
        if finish == 1:
            total = alu("maximum", total, B.number(0.0, total))
        elif finish == 2:
            total = alu("add", total, read(B.tensor(c), *outs(len(shape))))
        return [loops(shape, total)]

    return build, [*shapes, shape], k + 1


@pytest.mark.parametrize("seed", range(6))
def test_products_of_any_operands(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for case in range(12):
        build, shapes, terms = _strided_matmul(rng)
        dtype = "float64" if case % 3 == 0 else "float32"
        arrays = numbers(case, *shapes, dtype=dtype)
        for a in arrays[:2]:
            if case % 4 == 0 and a.size:
                a.flat[rng.integers(a.size, size=3)] = [np.inf, np.nan, -0.0]
        roots = build(*arrays)
        wanted = reference(build, arrays)
        first = run(roots, tiled=False)
        check(first, wanted, terms, (seed, case))
        with monkeypatch.context() as patch:
            patch.setattr(tiles, "PANEL", 1)
            patch.setattr(tiles, "NEAR", 1)
            patch.setattr(tiles, "LEAST_BLOCK", 3)
            blocked = run(roots, tiled=False)
        assert all(np.array_equal(x, y, equal_nan=True) for x, y in zip(blocked, first))


@pytest.mark.parametrize("first", ["row", "column"])
@pytest.mark.parametrize("op", ["le", "lt"])
def test_nothing_beyond_the_diagonal_is_a_term(op: str, first: str) -> None:
    """Not even NaN and Inf are, for any shape and place of the diagonal."""
    rng = np.random.default_rng(7)
    for case in range(16):
        m, k, n = (int(e) for e in rng.choice(EXTENTS[1:], 3))
        shift = int(rng.integers(-5, 6))
        build = _triangle(op, first, shift)
        a, b = numbers(case, (m, k), (k, n), dtype="float64" if case % 4 == 0 else "float32")
        r, c = np.ogrid[:m, :k]
        gap = (c - r - shift) * (1 if first == "column" else -1)
        a[(gap >= 0) if op == "lt" else (gap > 0)] = rng.choice([np.nan, np.inf])
        roots = build(a, b)
        got = run(roots, tiled=False)
        assert np.isfinite(got[0]).all()
        check(got, reference(build, [a, b]), k, (case, m, k, n, shift))
        check(got, reference(_matmul, [np.where(np.isfinite(a), a, 0), b]), k, case)


# ---- runtime sizes, threads ----------------------------------------------------------------------


def _runtime(symbol: Symbol, n: int, form: str) -> tuple[list[Node], np.ndarray, np.ndarray]:
    """A product over or along a runtime size n; what it is, and Σ|term|."""
    x, y = numbers(n, (n, 33), (n, 17))
    size = Extent.of(n, 1, symbol)
    i, j = outs(2)

    def runtime_rows(a: np.ndarray) -> Node:
        node = B.tensor(a)
        return buffer(node.value, (size, a.shape[1]), node.dtype)

    a, b = runtime_rows(x), runtime_rows(y)
    w = numbers(6, (17, 33))[0]
    if form == "over":
        (r,), variables = fresh(0, [size])
        term, shape, p, q = alu("mul", read(a, r, i), read(b, r, j)), (33, 17), x.T, y
    else:
        (r,), variables = fresh(0, [33])
        rows = form == "rows"
        first, second = read(a, i if rows else j, r), read(B.tensor(w), j if rows else i, r)
        term, shape = alu("mul", first, second), (size, 17) if rows else (17, size)
        p, q = (x, w.T) if rows else (w, x.T)
    p, q = p.astype(np.float64), q.astype(np.float64)
    return [loops(shape, reduce("sum", variables, term, "dot"))], p @ q, np.abs(p) @ np.abs(q)


@pytest.mark.usefixtures("threads", "tiny_blocks")
@pytest.mark.parametrize("form", ["over", "rows", "columns"])
def test_a_plan_in_blocks_serves_every_runtime_size(
    monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Also 0, and sizes larger than the one that was scheduled: the memory in which sums wait is
    large enough."""
    all_choices = tiles._choices
    symbol = Symbol("n")
    for number in range(0, 40, 9):
        monkeypatch.setattr(
            tiles, "_choices",
            lambda p, number=number: (found := all_choices(p))[number % len(found) :][:1],
        )  # fmt: skip
        roots, *_ = _runtime(symbol, 17, form)
        signature = Signature(roots)
        plan = Plan(signature, roots, [None])
        (kernel,) = kernels(plan)
        for n in (17, 0, 1, 5, 97, 300):
            roots, want, size = _runtime(symbol, n, form)
            again = Signature(roots)
            assert again.key == signature.key
            if kernel.partial is not None:
                lanes = kernel.vectors * kernel.width
                height = {"over": 33, "rows": n, "columns": 17}[form]
                width = {"over": 17, "rows": 17, "columns": n}[form]
                if kernel.n[0].arg == 0:
                    height, width = width, height
                assert max(plan.bind(n).sizes.values()) >= 4 * height * -(-width // lanes) * lanes
            for count in (1, 3):
                runtime.set_num_threads(count)
                (got,) = (B.array(m, r) for m, r in zip(plan.run(again.buffers, n, [None]), roots))
                terms = n if form == "over" else 33
                assert (np.abs(got - want) <= sum_bound(terms, 2.0**-23, size)).all(), (number, n)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("form", ["over", "rows"])
def test_rows_copied_first_serve_every_runtime_size(
    monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Rows as long as a runtime size, and as many: the bits of those that are read in place."""
    choose = tiles.choose
    symbol = Symbol("n")
    plans = []
    for copied in (False, True):

        def packed(p: contract.Problem, copied: bool = copied) -> tiles.Choice | None:
            c = choose(p)
            assert c is not None and c.m is not None
            c.pack_rows = copied
            assert tiles._rows_packable(p, c.a, c.m)
            return c

        monkeypatch.setattr(tiles, "choose", packed)
        roots, *_ = _runtime(symbol, 17, form)
        plans.append(Plan(Signature(roots), roots, [None]))
    assert sum(isinstance(s.kernel, Pack) and not s.kernel.panel[0] for s in plans[1].steps) == 1
    for n in (17, 0, 1, 5, 16, 97, 300):
        roots, *_ = _runtime(symbol, n, form)
        buffers = Signature(roots).buffers
        for count in (1, 3):
            runtime.set_num_threads(count)
            one, two = (
                B.array(m, r).tobytes()
                for plan in plans for m, r in zip(plan.run(buffers, n, [None]), roots)
            )  # fmt: skip
            assert one == two, n


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("form", FORMS)
def test_threads_change_no_bit(form: str) -> None:
    build, shapes, _ = FORMS[form]
    roots = build(*numbers(7, *shapes))
    runtime.set_num_threads(1)
    one = run(roots)
    for count in (2, 3, 8):
        runtime.set_num_threads(count)
        assert all(a.tobytes() == b.tobytes() for a, b in zip(run(roots), one, strict=True))


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("order", ["rows", "columns", "outer", "across"])
@pytest.mark.parametrize("n", [1, 5, 16, 17, 33, 48, 50, 64, 128, 211])
def test_each_thread_has_as_many_columns_to_compute(n: int, order: str, known: bool) -> None:
    roots = _matmul(*numbers(11, (24, 40), (40, n)))
    kernel = kernels(Plan(Signature(roots), roots, [None]))[0]
    outer = () if order == "rows" else ((out(7), 5),)
    m, columns = 24, 3 * kernel.width
    kernel = replace(
        kernel, outer=outer, m=(out(0), m), n=(out(1), n if known else Word(1)), rows=8, vectors=3,
        lanes=False, order=order, panel=None,
    )  # fmt: skip
    fn = Function("shares", "ptr %args, i64 %tid, i64 %nthreads")
    writer = ContractionWriter(Emitter(fn, kernel.width), kernel)
    fast, around = {"rows": (m // 8, 1), "across": (1, m // 8 * 5)}.get(order, (m // 8 * 5, 1))
    tiles_of_n = -(-n // columns)
    given = writer.e.word(Word(1)) if not known else n
    n_tiles = fn.div(fn.add(given, columns - 1), columns)
    ends = writer.share(fn.mul(fast * around, n_tiles), given, n_tiles, fast)
    place = fn.put("load ptr, ptr %args")
    for i, end in enumerate(ends):
        fn.do(f"store i64 {end}, ptr {fn.gep(place, i, 'i64')}")
    address = code.function(module([fn.text()], fn.declared), "shares")
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(address)
    found = (ctypes.c_int64 * 2)()
    words = (ctypes.c_int64 * 2)(ctypes.addressof(found), n)
    rest, lanes = n % columns or columns, kernel.width
    while known and 2 * rest <= lanes and lanes > 4:
        lanes //= 2
    weights = [columns] * (fast * (tiles_of_n - 1)) + [-(-rest // lanes) * lanes] * fast
    weights *= around
    for count in (1, 2, 3, 7, 16, 50):
        dealt = 0
        for thread in range(count):
            call(ctypes.addressof(words), thread, count)
            assert found[0] == dealt
            dealt = found[1]
            mine = sum(weights[found[0] : dealt])
            assert abs(mine - sum(weights) / count) < columns
        assert dealt == len(weights)


# ---- other vector widths -------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [32, 64])
def test_gradients_of_few_channels(bits: int) -> None:
    """Sums in lanes over the batch: a tile has no more columns than a vector has lanes."""
    one = (16, 1, 5, 6), (17, 1, 3, 2), (16, 17, 3, 5)
    three = (16, 3, 3, 3), (2, 3, 3, 3), (16, 2, 1, 1)
    for shapes in (one, three):
        arrays = numbers(8, *shapes, dtype=f"float{bits}")
        build = _gradients(1, 0)
        check(run(build(*arrays)), reference(build, arrays), 16 * 15 + 27, shapes)


@pytest.mark.parametrize("cpu", ["haswell", "x86-64"])
def test_other_vector_widths(cpu: str) -> None:
    if not target.host().has("avx2"):
        pytest.skip("this machine cannot run haswell's code")
    some = "few_channels or any_operands or every_choice"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", some, __file__],
        capture_output=True, text=True, cwd=ROOT, timeout=300, check=False,
        env={**os.environ, "GROUNDUP_CPU": cpu},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.parametrize("shape", [(0, 0, 0), (0, 5, 3), (3, 0, 17), (3, 5, 0)])
def test_products_of_empty_tensors_with_work_behind_them(shape: tuple[int, int, int]) -> None:
    m, k, n = shape
    a, b = np.ones((m, k), "float32"), np.ones((k, n), "float32")
    y = (gu.from_numpy(a) @ gu.from_numpy(b)).relu() + 1
    assert np.array_equal(y.numpy(), np.maximum(a @ b, 0) + 1)


# ---- two loops of a sum as one -------------------------------------------------------------------


def test_loops_of_a_sum_are_joined_where_all_walk_them_as_one() -> None:
    def terms(build: Build, *shapes: tuple[int, ...]) -> list[int]:
        roots = build(*numbers(3, *shapes))
        (kernel,) = kernels(Plan(Signature(roots), roots, [None]))
        return [int(e) for _, e in kernel.k]  # type: ignore[arg-type]

    assert terms(_over_two(), (5, 7, 17), (5, 7, 33)) == [35]
    assert terms(_over_two(2), (5, 7, 17), (7, 7, 33)) == [35]
    assert terms(_over_two(), (5, 7, 17), (5, 8, 33)) == [5, 7]  # of the second only a part
    assert terms(_over_two(0, 2), (5, 7, 17), (5, 14, 33)) == [5, 7]
