"""Tensors put together along their fastest axis are computed piece by piece, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from groundup import runtime
from groundup.emit.kernel import Nest, Several
from groundup.emit.python import evaluate
from groundup.ir.extent import Extent, Symbol
from groundup.ir.node import Node, alu, buffer, index, loops, outs, read
from groundup.ir.pieces import Piece, choice
from groundup.ir.transform import body_nodes
from groundup.schedule import Plan, Signature

from .. import build as B


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = runtime.get_num_threads()
    yield
    runtime.set_num_threads(before)


def together(arrays: list[np.ndarray], axis: int, rows: int | None = None) -> Node:
    """Matrices beside each other, every second one squared."""
    i, j = position = outs(2)
    pieces, at = [], 0
    for n, a in enumerate(arrays):
        t = B.tensor(a)
        if rows is not None:
            t = buffer(t.value, (rows, a.shape[1]), t.dtype)
        here = [i, j]
        here[axis] = B.plus(position[axis], -at)
        body = read(t, *here)
        stop = at + a.shape[axis]
        pieces.append(Piece(at, stop, alu("mul", body, body) if n % 2 else body))
        at = stop
    shape: list[int] = [len(arrays[0]) if rows is None else rows, arrays[0].shape[1]]
    shape[axis] = at
    return loops(tuple(shape), choice(axis, pieces))


def numbers(*shapes: tuple[int, int]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=s).astype(np.float32) for s in shapes]


def nests(plan: Plan) -> list[Nest]:
    (step,) = plan.steps
    parts = step.kernel.parts if isinstance(step.kernel, Several) else (step.kernel,)
    return [k for k in parts if isinstance(k, Nest)]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("sizes", [(32, 32), (65, 33, 64), (650, 650, 650, 650), (40, 7), (3,) * 9])
def test_each_piece_by_itself(sizes: tuple[int, ...], count: int) -> None:
    runtime.set_num_threads(count)
    root = together(numbers(*((50, n) for n in sizes)), 1)
    plan = Plan(Signature([root]), [root], [None])
    kernels = nests(plan)
    asked = any(n.op == "where" for k in kernels for o in k.outputs for n in body_nodes(o.body))
    apart = min(sizes) >= 32
    assert sum(len(k.outputs) for k in kernels) == (len(sizes) if apart else 1)
    assert asked != apart
    (got,) = plan.run(Signature([root]).buffers, None, [None])
    (want,) = evaluate([root])
    assert B.array(got, root).tobytes() == B.array(want, root).tobytes()


def test_rows_below_each_other_are_one_piece() -> None:
    """Along another axis a piece is found once a row."""
    root = together(numbers((40, 64), (50, 64)), 0)
    plan = Plan(Signature([root]), [root], [None])
    assert [len(k.outputs) for k in nests(plan)] == [1]
    (got,) = plan.run(Signature([root]).buffers, None, [None])
    (want,) = evaluate([root])
    assert B.array(got, root).tobytes() == B.array(want, root).tobytes()


def test_a_choice_that_reads_nothing_outside() -> None:
    """A piece may read where another would be outside its tensor, and need not be a read."""
    (a,) = numbers((5, 40))
    i, j = outs(2)
    left = alu("mul", read(B.tensor(a), i, j), read(B.tensor(a), i, B.plus(j, 0)))
    right = read(B.tensor(a), i, B.plus(alu("sub", index(79), j), 0))
    root = loops((5, 80), choice(1, [Piece(0, 40, left), Piece(40, 80, right)]))
    plan = Plan(Signature([root]), [root], [None])
    (got,) = plan.run(Signature([root]).buffers, None, [None])
    want = np.concatenate([a * a, a[:, ::-1]], 1)
    np.testing.assert_array_equal(B.array(got, root), want)


def test_runtime_rows() -> None:
    symbol = Symbol("n")
    plan: Plan | None = None
    for n in (17, 0, 1, 300):
        arrays = numbers((n, 70), (n, 50))
        root = together(arrays, 1, Extent.of(n, 1, symbol))
        signature = Signature([root])
        plan = plan or Plan(signature, [root], [None])
        for count in (1, 3):
            runtime.set_num_threads(count)
            (got,) = plan.run(signature.buffers, n, [None])
            (want,) = evaluate([root])
            assert B.array(got, root).tobytes() == B.array(want, root).tobytes()
