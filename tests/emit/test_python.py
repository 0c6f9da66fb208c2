"""The Python emitter: the reference itself, against NumPy and by hand."""

from __future__ import annotations

import math
import traceback

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from groundup.emit.python import evaluate, source, values
from groundup.ir import dtype as dt
from groundup.ir.extent import Extent
from groundup.ir.node import (
    alu,
    buffer,
    cast,
    const,
    detach,
    fresh,
    index,
    loops,
    outs,
    read,
    reduce,
    reshape,
    where,
)
from groundup.ir.verify import verify

from .. import build as B
from ..graphs import Case, examples, graphs


def numbers(node: object) -> list[object]:
    return values([node])[0]


@settings(max_examples=examples(300), deadline=None, suppress_health_check=list(HealthCheck))
@given(graphs())
def test_random_graphs_equal_numpy(case: Case) -> None:
    verify(case.roots)
    memory = evaluate(case.roots)
    case.check([B.array(m, r) for m, r in zip(memory, case.roots, strict=True)])


# ---- reductions ----------------------------------------------------------------------------------


def test_float32_sums_round_once() -> None:
    """Of 1 + 2⁻²⁴ + … a running float32 sum would lose every small term."""
    x = B.tensor(np.array([1.0] + [2.0**-24] * 64, np.float32))
    assert numbers(B.over("sum", x, [0])) == [1.0 + 2.0**-18]


def test_float64_sums_are_exact() -> None:
    x = B.tensor(np.array([1e100, 1.0, -1e100]))
    assert numbers(B.over("sum", x, [0])) == [1.0]
    big = B.tensor(np.array([1e308, 1e308, -1e308]))
    assert numbers(B.over("sum", big, [0])) == [1e308]
    assert numbers(B.over("sum", B.tensor(np.array([1e308, 1e308])), [0])) == [math.inf]
    both = numbers(B.over("sum", B.tensor(np.array([math.inf, -math.inf])), [0]))
    assert math.isnan(both[0])


def test_products_in_a_dot_are_not_rounded() -> None:
    a = np.array([[1.0 + 2.0**-23, -1.0]], np.float32)
    b = np.array([[1.0 + 2.0**-23], [1.0 + 2.0**-22]], np.float32)
    assert numbers(B.matmul(B.tensor(a), B.tensor(b))) == [2.0**-46]


@pytest.mark.parametrize("kind", ["max", "min", "argmax", "argmin"])
def test_nothing_has_no_extreme(kind: str) -> None:
    with pytest.raises(ValueError, match=f"{kind} over no terms"):
        evaluate([B.over(kind, B.tensor(np.zeros((2, 0))), [1])])
    assert numbers(B.over(kind, B.tensor(np.zeros((0, 0))), [1])) == []


def test_identities_of_empty_reductions() -> None:
    empty = B.tensor(np.zeros((1, 0), np.float32))
    none = B.tensor(np.zeros((1, 0), bool))
    assert numbers(B.over("sum", empty, [1])) == [0.0]
    assert numbers(B.over("prod", empty, [1])) == [1.0]
    assert numbers(B.over("max", none, [1])) == [False]
    assert numbers(B.over("min", none, [1])) == [True]


def test_nan_is_the_extreme_and_the_first_wins() -> None:
    x = B.tensor(np.array([1.0, math.nan, 9.0, math.nan]))
    assert numbers(B.over("argmax", x, [0])) == numbers(B.over("argmin", x, [0])) == [1]
    assert math.isnan(numbers(B.over("max", x, [0]))[0])
    tie = B.tensor(np.array([[1, 5], [5, 0]]))
    assert numbers(B.over("argmax", tie, [0, 1])) == [1]
    assert numbers(B.over("argmin", tie, [0, 1])) == [3]


def test_siblings_may_share_a_variable() -> None:
    """Two reductions with the same id and unlike extents, over the same expression."""
    x = B.tensor(np.arange(5.0))
    (r,), short = fresh(0, [3])
    _, long = fresh(0, [5])
    square = alu("mul", read(x, r), read(x, r))
    body = alu("sub", reduce("sum", long, square), reduce("sum", short, square))
    assert numbers(loops((), body)) == [25.0]


# ---- choices and reads ---------------------------------------------------------------------------


def test_only_the_chosen_branch_is_evaluated() -> None:
    x = B.tensor(np.arange(3.0))
    i = outs(1)[0]
    far = read(x, B.plus(i, -2))
    deep = alu("exp", alu("mul", far, far))
    body = where(alu("lt", i, index(2)), const(7.0, dt.float64), deep)
    assert numbers(loops((4,), body)) == [7.0, 7.0, 1.0, math.e]


def test_a_value_needed_in_unlike_branches_stays_in_them() -> None:
    """far is read in an inner branch on either side, never where neither holds."""
    x = B.tensor(np.arange(1.0, 3.0))
    i = outs(1)[0]
    far = read(x, B.plus(i, -1))
    zero = const(0.0, dt.float64)
    one = where(alu("eq", i, index(1)), alu("neg", far), zero)
    two = where(alu("eq", i, index(2)), alu("exp", far), zero)
    body = where(alu("lt", i, index(2)), one, two)
    assert numbers(loops((5,), body)) == [0.0, -1.0, math.exp(2.0), 0.0, 0.0]


def test_long_chains_of_choices() -> None:
    i = outs(1)[0]
    body = const(-1.0, dt.float64)
    for k in range(300):
        body = where(alu("eq", i, index(k)), cast(index(k * k), dt.float64), body)
    assert numbers(loops((302,), body)) == [float(k * k) for k in range(300)] + [-1.0, -1.0]


@pytest.mark.parametrize("at", [-1, 3])
def test_a_read_outside_names_shape_position_and_value(at: int) -> None:
    x = B.tensor(np.zeros((2, 3)))
    bad = loops((2,), read(x, outs(1)[0], index(at)))
    with pytest.raises(IndexError, match=rf"index {at} .* axis 1 of a tensor of shape \(2, 3\)"):
        evaluate([bad])


def test_a_traceback_shows_the_loop() -> None:
    x = B.tensor(np.zeros(3))
    bad = loops((2,), read(x, B.plus(outs(1)[0], 2)))
    try:
        evaluate([bad])
    except IndexError:
        assert "B[i] = A[at((3,), i + 2)]" in traceback.format_exc()
    else:
        raise AssertionError("no error")


def test_source_is_plain_loops() -> None:
    a, b = B.tensor(np.zeros((2, 3))), B.tensor(np.zeros((3, 4)))
    text = source(B.matmul(a, b))
    assert text == (
        "def compute_C(C, A, B):\n"
        '    """C: float64 of shape (2, 4)."""\n'
        "    for i in range(2):\n"
        "        for j in range(4):\n"
        "            t1 = []\n"
        "            for r1 in range(3):\n"
        "                t1.append(A[i * 3 + r1] * B[r1 * 4 + j])\n"
        "            t1 = exact_sum(t1)\n"
        "            C[i * 4 + j] = t1\n"
    )


# ---- types and memory ----------------------------------------------------------------------------


def test_each_operation_rounds_to_its_type() -> None:
    x = B.tensor(np.array([16777216.0], np.float32))
    one = B.tensor(np.array([1.0], np.float32))
    assert numbers(B.op("sub", B.op("add", x, one), x)) == [0.0]
    big = B.tensor(np.array([2**63 - 1]))
    assert numbers(B.op("add", big, B.tensor(np.array([1])))) == [-(2**63)]


@pytest.mark.parametrize("dtype", dt.ALL, ids=lambda d: d.name)
def test_every_type_goes_to_memory_and_back(dtype: dt.DType) -> None:
    stored = loops((2,), cast(outs(1)[0], dtype))
    (memory,) = evaluate([stored])
    assert len(memory.read_bytes(0, 2 * dtype.itemsize)) == 2 * dtype.itemsize
    again = buffer(memory, (2,), dtype)
    assert numbers(loops((2,), read(again, outs(1)[0]))) == [0, 1]


def test_bfloat16_is_the_upper_half_of_float32() -> None:
    (memory,) = evaluate([loops((2,), where(alu("eq", outs(1)[0], index(0)),
                          const(-1.0, dt.bfloat16), const(math.inf, dt.bfloat16)))])  # fmt: skip
    assert memory.read("<2H") == (0xBF80, 0x7F80)


def test_identities_share_memory() -> None:
    x = B.param(np.arange(6.0))
    (memory,) = evaluate([reshape(detach(B.op("neg", x)), (2, 3))])
    assert memory.read("<6d") == tuple(-float(i) for i in range(6))
    same, original = evaluate([reshape(x, (2, 3)), x])
    assert same is original


def test_cached_memory_is_not_computed_again() -> None:
    x = B.tensor(np.zeros(2))
    node = B.op("exp", x)
    (node.cache,) = evaluate([B.op("add", x, B.tensor(np.array([5.0, 6.0])))])
    assert numbers(B.op("neg", node)) == [-5.0, -6.0]
    assert evaluate([node]) == [node.cache]


def test_runtime_sizes_are_integers_here() -> None:
    n = Extent.named("n", 3)
    x = B.tensor(np.arange(3.0))
    i = outs(1)[0]
    flipped = loops((n,), read(x, alu("sub", alu("sub", B.extent(n), index(1)), i)))
    assert numbers(flipped) == [2.0, 1.0, 0.0]


def test_deep_graphs_need_no_recursion() -> None:
    x = B.tensor(np.zeros(1))
    for _ in range(3000):
        x = B.op("add", x, B.tensor(np.ones(1)))
    assert numbers(x) == [3000.0]
