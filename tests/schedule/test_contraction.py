"""Sums of products: every way of running one gives the reference's values, and the same bits.

The cost model knows many ways to run a contraction (which loop is a vector, how many rows, which
operand is copied, in which blocks the sum runs). Each of them is tried here, also those that it
would not choose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from groundup import runtime
from groundup.autodiff import gradient
from groundup.emit import python
from groundup.emit.kernel import Contraction, Several
from groundup.ir.bounds import sum_bound
from groundup.ir.node import Node, alu, fresh, loops, outs, read, reduce
from groundup.schedule import Plan, Signature, contract, pack, tiles

from .. import build as B

EXTENTS = [0, 1, 2, 3, 5, 7, 15, 16, 17, 31, 33, 47, 49, 63, 65, 97]
Build = Callable[..., list[Node]]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small problems, too, are run in tiles and by all threads."""
    monkeypatch.setattr(contract, "SMALL", 1)
    monkeypatch.setattr(contract, "PARALLEL", 1)
    monkeypatch.setattr(pack, "PARALLEL", 1)


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
    """Within (n + 8)·eps·Σ|term|; NaN and Inf where the reference has them."""
    for a, (b, size) in zip(got, wanted, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        finite = np.isfinite(b)
        assert np.array_equal(a[~finite], b[~finite], equal_nan=True), note
        bound = sum_bound(terms, np.finfo(a.dtype).eps, size[finite].astype(np.float64))
        assert (np.abs(a[finite].astype(np.float64) - b[finite]) <= bound).all(), note


def numbers(seed: int, *shapes: tuple[int, ...], dtype: str = "float32") -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1, 1, s).astype(dtype) for s in shapes]


# ---- every candidate of the cost model gives the same bits ---------------------------------------


def every_way(
    monkeypatch: pytest.MonkeyPatch, roots: list[Node], most: int = 1000
) -> Iterator[tuple[tiles.Choice, list[np.ndarray]]]:
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
        picked: list[tiles.Choice] = []

        def one(p: contract.Problem, number: int = number) -> list[tiles.Choice]:
            found = all_choices(p)
            if found:
                picked.append(found[number % len(found)])
            return picked[-1:] if found else []

        monkeypatch.setattr(tiles, "_choices", one)
        yield picked, run(roots)  # type: ignore[misc]
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


def _convolution(stride: int, padding: int, dilation: int = 1) -> Build:
    def build(x: np.ndarray, w: np.ndarray) -> list[Node]:
        return [B.conv2d(B.tensor(x), B.tensor(w), stride, padding, dilation)]

    return build


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
    "few channels": (_convolution(1, 1), ((17, 2, 5, 6), (5, 2, 3, 3)), 18),
    "many channels": (_convolution(1, 1), ((3, 33, 5, 4), (17, 33, 3, 3)), 297),
    "strided": (_convolution(2, 1), ((2, 3, 9, 8), (16, 3, 3, 3)), 27),
    "dilated": (_convolution(1, 2, 2), ((16, 3, 6, 6), (5, 3, 3, 3)), 27),
    "all padding": (_convolution(1, 4), ((1, 3, 2, 3), (16, 3, 3, 3)), 27),
}


@pytest.mark.parametrize("block", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_every_choice_gives_the_same_bits(
    monkeypatch: pytest.MonkeyPatch, form: str, block: bool
) -> None:
    """Also in blocks of the sum, which wait in memory in between."""
    build, shapes, terms = FORMS[form]
    arrays = numbers(0, *shapes)
    roots = build(*arrays)
    first = run(roots)
    check(first, reference(build, arrays), terms, form)
    if block:
        monkeypatch.setattr(tiles, "PANEL", 1)
        monkeypatch.setattr(tiles, "NEAR", 1)
        monkeypatch.setattr(tiles, "LEAST_BLOCK", 5)
    for picked, got in every_way(monkeypatch, roots, 12):
        same = all(a.tobytes() == b.tobytes() for a, b in zip(got, first, strict=True))
        assert same, picked


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
