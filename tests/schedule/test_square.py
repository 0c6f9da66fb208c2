"""Nests whose operands and results lie along different loops: transpositions, with what else they
compute, give the reference's bits."""

from __future__ import annotations

import numpy as np
import pytest

from groundup import runtime
from groundup.emit import python
from groundup.emit.kernel import Nest
from groundup.ir import dtype as dt
from groundup.ir.extent import Extent, Symbol
from groundup.ir.node import Node, alu, buffer, cast, index, loops, outs, read, where
from groundup.schedule import Plan, Signature

from .. import build as B

EXTENTS = [1, 2, 8, 15, 16, 17, 31, 33, 50]
DTYPES = ["float32", "float64", "float16", "int8", "int16", "int32", "int64", "uint8", "bool"]


def is_square(plan: Plan) -> bool:
    return any(isinstance(s.kernel, Nest) and s.kernel.square for s in plan.steps)


def numbers(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    x = rng.integers(-90, 90, shape).astype(dtype)
    if x.dtype.kind == "f" and x.size:
        x.flat[rng.integers(x.size, size=4)] = [np.inf, np.nan, -0.0, np.finfo(dtype).tiny / 4]
    return x


def turned(shape: tuple[int, ...], axes: np.ndarray, a: np.ndarray, b: np.ndarray) -> Node:
    """b − a with its axes permuted, and the position in the last axis of the result."""
    at = outs(len(shape))
    x = read(B.tensor(a), *(at[int(np.flatnonzero(axes == i)[0])] for i in range(a.ndim)))
    if a.dtype == np.bool_:
        return loops(shape, alu("xor", x, read(B.tensor(b), *at)))
    term = alu("sub", read(B.tensor(b), *at), x)
    return loops(shape, alu("add", term, cast(at[-1], getattr(dt, str(a.dtype)))))


@pytest.mark.parametrize("dtype", DTYPES)
def test_permuted_operands_of_any_shape(dtype: str) -> None:
    rng = np.random.default_rng(len(dtype))
    squares = 0
    for _ in range(12):
        ndim = int(rng.integers(2, 5))
        sizes = [int(e) for e in rng.choice(EXTENTS if ndim < 4 else EXTENTS[:6], ndim)]
        axes = rng.permutation(ndim)
        shape = tuple(sizes[i] for i in axes)
        a, b = numbers(rng, tuple(sizes), dtype), numbers(rng, shape, dtype)
        root = turned(shape, axes, a, b)
        signature = Signature([root])
        plan = Plan(signature, [root], [None])
        squares += is_square(plan)
        (got,) = plan.run(signature.buffers, signature.n, [None])
        (wanted,) = python.evaluate([root])
        assert B.array(got, root).tobytes() == B.array(wanted, root).tobytes(), (sizes, axes)
    assert squares or dtype == "bool"


def test_a_runtime_size_and_any_number_of_threads() -> None:
    """One plan, made for 17 rows, serves all others."""
    symbol = Symbol("n")
    before = runtime.get_num_threads()

    def graph(n: int) -> tuple[Node, np.ndarray]:
        x = np.random.default_rng(n).standard_normal((n, 37)).astype(np.float32)
        size = Extent.of(n, 1, symbol)
        i, j = outs(2)
        at = read(buffer(B.tensor(x).value, (size, 37), dt.float32), j, i)
        return loops((37, size), alu("mul", at, at)), x

    root, _ = graph(17)
    signature = Signature([root])
    plan = Plan(signature, [root], [None])
    assert is_square(plan)
    for n in (17, 0, 1, 5, 16, 97, 300):
        root, x = graph(n)
        again = Signature([root])
        assert again.key == signature.key
        for count in (1, 2, 3, 8):
            runtime.set_num_threads(count)
            (got,) = plan.run(again.buffers, again.n, [None])
            assert np.array_equal(B.array(got, root), (x * x).T), (n, count)
    runtime.set_num_threads(before)


def test_what_is_not_read_is_not_turned() -> None:
    """A guarded read is left to its condition: nothing beyond the tensor is touched."""
    x = np.random.default_rng(0).standard_normal((40, 30)).astype(np.float32)
    i, j = outs(2)
    inside = alu("lt", i, index(30))
    body = where(inside, read(B.tensor(x), j, i), B.number(7.0, read(B.tensor(x), j, i)))
    root = loops((36, 40), body)
    signature = Signature([root])
    (got,) = Plan(signature, [root], [None]).run(signature.buffers, signature.n, [None])
    wanted = np.concatenate([x.T, np.full((6, 40), 7.0, np.float32)])
    assert np.array_equal(B.array(got, root), wanted)
