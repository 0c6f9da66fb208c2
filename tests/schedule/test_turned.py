"""Tiles whose columns lie together in the output are turned in registers before they are stored:
the bits of every other way, and not a byte beside the tile."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from groundup import runtime
from groundup.emit.kernel import Contraction
from groundup.ir.extent import Symbol
from groundup.ir.node import Node, alu, fresh, loops, outs, read, reduce, where
from groundup.runtime import allocate
from groundup.schedule import Plan, Signature, contract, tiles

from .. import build as B
from .test_contraction import _runtime

AROUND = 64  # bytes before and behind a result that must stay as they are


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(contract, "SMALL", 1)
    monkeypatch.setattr(contract, "PARALLEL", 1)
    before = runtime.get_num_threads()
    yield
    runtime.set_num_threads(before)


def only(monkeypatch: pytest.MonkeyPatch, turned: bool, number: int = 0) -> None:
    """Choose among the tiles whose columns (or rows) lie together in the output."""
    every = tiles._choices

    def chosen(p: contract.Problem) -> list[contract.Choice]:
        found = [
            c for c in every(p)
            if c.m is not None and p.target_strides[c.m if turned else c.n] == 1
        ]  # fmt: skip
        return found[number % len(found) :][:1] if found else []

    monkeypatch.setattr(tiles, "_choices", chosen)


def product(m: int, k: int, n: int, dtype: str, seed: int) -> tuple[list[Node], np.ndarray]:
    rng = np.random.default_rng(seed)
    a, b = (rng.uniform(-1, 1, s).astype(dtype) for s in ((k, m), (k, n)))
    x = B.tensor(a)
    return [B.matmul(B.view(x, (m, k), lambda i, j: (j, i)), B.tensor(b))], a.T @ b


def run(roots: list[Node], threads: int) -> tuple[bytes, list[Contraction]]:
    """The result, which is written between bytes that are not touched."""
    runtime.set_num_threads(threads)
    signature = Signature(roots)
    plan = Plan(signature, roots, [None])
    plan.donated = {0: 0}  # the result goes where it is told to
    size = plan.bind(None).results[0]
    whole = allocate(size + 2 * AROUND)
    whole.write_bytes(b"\xa5" * whole.nbytes)
    inside = runtime.Buffer.from_object(whole.address + AROUND, size, whole)
    plan.run(signature.buffers, None, [inside])
    for start in (0, AROUND + size):
        assert whole.read_bytes(start, AROUND) == b"\xa5" * AROUND
    kernels = [s.kernel for s in plan.steps if isinstance(s.kernel, Contraction)]
    return whole.read_bytes(AROUND, size), kernels


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "shape",
    [(3, 5, 17), (50, 64, 33), (33, 9, 1), (1, 40, 65), (47, 3, 2), (16, 20, 16), (14, 1, 31),
     (97, 31, 50), (2, 7, 130)],
)  # fmt: skip
def test_turned_and_not_give_the_same_bits(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int, int], dtype: str
) -> None:
    """Output rows m, columns n: vectors along n, or along m and turned, in tiles of all sizes."""
    m, k, n = shape
    with monkeypatch.context() as patch:
        only(patch, False)
        roots, exact = product(m, k, n, dtype, 0)
        expected, _ = run(roots, 1)
    got = np.frombuffer(expected, dtype).reshape(exact.shape)
    assert np.allclose(got, exact, rtol=0, atol=(k + 8) * float(np.finfo(dtype).eps) * k)
    seen = set()
    for number in range(8):
        with monkeypatch.context() as patch:
            only(patch, True, number)
            roots, _ = product(m, k, n, dtype, 0)
            for threads in (1, 3):
                bits, kernels = run(roots, threads)
                assert bits == expected, (number, threads)
            for c in kernels:
                assert (c.n[0].arg == 0 or n == 1) and c.output.body is c.hole
                seen.add((c.rows, c.vectors))
    assert seen


BODIES = {
    "update": lambda s, c, d, u, v, i, j: alu("sub", read(c, i, j), alu("mul", read(v, i), s)),
    "turned": lambda s, c, d, u, v, i, j: alu("add", s, read(d, j, i)),
    "rows and columns": lambda s, c, d, u, v, i, j: alu(
        "mul", alu("add", s, read(u, j)), read(v, i)
    ),
    "long": lambda s, c, d, u, v, i, j: where(
        alu("lt", s, read(c, i, j)), alu("exp", alu("mul", s, read(u, j))),
        alu("add", alu("tanh", s), read(d, j, i)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("shape", [(3, 5, 17), (50, 64, 33), (31, 20, 16), (14, 1, 130)])
def test_bodies(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int, int], body: str, dtype: str
) -> None:
    """What is done with the sum is done alike, whatever else it reads."""
    m, k, n = shape
    rng = np.random.default_rng(1)
    sizes = ((k, m), (k, n), (m, n), (n, m), (n,), (m,))
    a, b, *others = (B.tensor(rng.uniform(-1, 1, s).astype(dtype)) for s in sizes)
    (r,), variables = fresh(0, [k])
    i, j = outs(2)
    total = reduce("sum", variables, alu("mul", read(a, r, i), read(b, r, j)), "dot")
    roots = [loops((m, n), BODIES[body](total, *others, i, j))]
    with monkeypatch.context() as patch:
        only(patch, False)
        expected, _ = run(roots, 1)
    for number in range(6):
        with monkeypatch.context() as patch:
            only(patch, True, number)
            for threads in (1, 3):
                bits, kernels = run(roots, threads)
                assert bits == expected and kernels, (number, threads)
                assert all(c.n[0].arg == 0 for c in kernels)


@pytest.mark.parametrize("form", ["rows", "columns"])
def test_of_a_runtime_size(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """One plan for all sizes; a ragged end is known only when it runs."""
    symbol = Symbol("n")
    for number in range(0, 12, 3):
        with monkeypatch.context() as patch:
            only(patch, True, number)
            roots, *_ = _runtime(symbol, 17, form)
            signature = Signature(roots)
            plan = Plan(signature, roots, [None])
            for n in (17, 0, 1, 16, 33, 130):
                roots, want, size = _runtime(symbol, n, form)
                again = Signature(roots)
                for count in (1, 3):
                    runtime.set_num_threads(count)
                    (memory,) = plan.run(again.buffers, n, [None])
                    error = np.abs(B.array(memory, roots[0]) - want)
                    assert (error <= 50 * 2.0**-23 * size).all(), (number, n)


def test_special_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """NaN, infinities, denormals and −0 pass through a turned tile as through any other."""
    rows = np.array([np.nan, np.inf, -np.inf, 1e-45, -0.0, 1e30, -1e-42, 3.0], "float32")
    a, b = np.resize(rows, (1, 19)), np.ones((1, 35), "float32")
    bits = []
    for turned in (False, True):
        with monkeypatch.context() as patch:
            only(patch, turned)
            x = B.tensor(a)
            roots = [B.matmul(B.view(x, (19, 1), lambda i, j: (j, i)), B.tensor(b))]
            bits.append(run(roots, 1)[0])
    assert bits[0] == bits[1]
    got = np.frombuffer(bits[1], "float32").reshape(19, 35)
    assert np.array_equal(got, a.T * b + np.float32(0), equal_nan=True)
