"""Printing: what a graph reads like, and that printing stays linear."""

from __future__ import annotations

import numpy as np

from groundup.ir import dtype as dt
from groundup.ir.extent import Extent
from groundup.ir.node import (
    Node,
    alu,
    argsort,
    buffer,
    carry,
    cast,
    const,
    fresh,
    index,
    loops,
    outs,
    read,
    scan,
    where,
)
from groundup.ir.show import show

from .. import build as B


def test_matmul() -> None:
    a, b = buffer("a", (2, 3), dt.float32), buffer("b", (3, 4), dt.float32)
    assert show(B.matmul(a, b)) == (
        "A: float32[2, 3] = buffer\n"
        "B: float32[3, 4] = buffer\n"
        "C: float32[2, 4] = for i < 2, j < 4:\n"
        "    sum dot over k < 3 of (A[i, k] * B[k, j])"
    )


def test_choices_casts_and_runtime_sizes() -> None:
    n = Extent.named("n", 64)
    x = buffer("x", (n, 3), dt.float32)
    i, j = outs(2)
    ix = alu("sub", alu("sub", B.extent(n), index(1)), i)
    value = where(alu("lt", j, index(2)), read(x, ix, j), const(0.5, dt.float32))
    assert show(loops((n, 3), cast(value, dt.float64))) == (
        "A: float32[n(=64), 3] = buffer\n"
        "B: float64[n(=64), 3] = for i < n(=64), j < 3:\n"
        "    float64(A[(n(=64) - 1) - i, j] if j < 2 else 0.5)"
    )


def test_shared_parts_are_named_once() -> None:
    x = buffer("x", (3,), dt.float32)
    e = alu("exp", alu("add", read(x, outs(1)[0]), const(1.0, dt.float32)))
    assert show(loops((3,), alu("mul", e, e))).splitlines()[1:] == [
        "B: float32[3] = for i < 3:",
        "    t1 * t1",
        "      where",
        "        t1 = exp(A[i] + 1.0)",
    ]


def test_reductions_have_letters_of_their_own() -> None:
    x = buffer("x", (2, 3), dt.float32)
    (r,), first = fresh(0, [3])
    assert "max over j < 3 of A[i, j]" in show(B.over("max", x, [1]))
    assert "argmin over j < 2, k < 3 of A[j, k]" in show(
        loops((1,), B.reduce("argmin", fresh(0, [2, 3])[1], read(x, *fresh(0, [2, 3])[0])))
    )
    assert repr(first[0]) and r.op == "red"


def test_repr_shows_scalars_and_tensors() -> None:
    x = buffer("x", (), dt.int64)
    assert repr(x) == "A: int64[] = buffer"
    assert repr(read(x)).endswith("A[]")
    assert repr(loops((), read(x))).endswith("B: int64[] = \n    A[]")
    special = [const(v, dt.float64) for v in (float("nan"), float("-inf"), -0.0, 1e300)]
    assert [repr(c) for c in special] == ["nan", "-inf", "-0.0", "1e+300"]


def doubled(times: int) -> Node:
    x = buffer("x", (1,), dt.float64)
    body = read(x, outs(1)[0])
    for _ in range(times):
        body = alu("add", body, body)
    return loops((1,), body)


def test_length_is_linear_in_the_graph() -> None:
    short, long = len(show(doubled(50))), len(show(doubled(100)))
    assert long < 2.5 * short


def test_long_graphs_are_cut_and_deep_ones_need_no_recursion() -> None:
    x = B.tensor(np.ones(1))
    for _ in range(2000):
        x = B.op("neg", x)
    lines = show(x, limit=3).splitlines()
    assert lines[0] == "… 1998 tensors before these"
    assert len(lines) == 1 + 3 * 2
    assert len(show(x, limit=None).splitlines()) == 1 + 2000 * 2


def test_scans_and_sorts() -> None:
    x = buffer("x", (2, 3), dt.float32)
    i, j = outs(2)
    running = scan((2, 3), 1, alu("add", carry(dt.float32), read(x, i, j)), const(0, dt.float32))
    assert show(running).splitlines()[1:] == [
        "B: float32[2, 3] = for i < 2, j < 3, before = 0.0 along j:",
        "    before + A[i, j]",
    ]
    back = scan((2, 3), 0, carry(dt.float32), const(0, dt.float32), reverse=True)
    assert "before = 0.0 backwards along i" in show(back)
    best = argsort(x, 1, True, 2)
    assert show(best).splitlines()[1] == "B: int64[2, 2] = positions along axis 1, descending, of A"
