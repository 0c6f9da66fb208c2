"""Gradients of random graphs against finite differences, and what every operation must have."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from groundup.autodiff import gradient
from groundup.autodiff.rules import RULES
from groundup.emit.python import values
from groundup.ir import dtype as dt
from groundup.ir.extent import Extent
from groundup.ir.node import Node, alu, buffer, fresh, leaf, loops, outs, read, reduce
from groundup.ir.scalar import operations
from groundup.ir.show import show
from groundup.ir.transform import toposort
from groundup.ir.verify import verify

from .. import build as B
from ..graphs import examples, make


def total(root: Node, seed: np.ndarray) -> float:
    return float(np.dot(np.array(values([root])[0], float), seed.ravel()))


def moved(x: Node, by: np.ndarray) -> None:
    """Add to the memory of a leaf."""
    memory = x.src[0].value
    data = np.frombuffer(memory.read_bytes(0, by.nbytes)).reshape(by.shape)
    memory.write_bytes((data + by).tobytes())


@settings(max_examples=examples(300), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**64 - 1), st.integers(1, 6))
@example(124988085652, 6)  # a jump of % on each side
@example(1083875517, 6)  # a condition that reads, behind another
def test_random_gradients_equal_finite_differences(seed: int, steps: int) -> None:
    """Σ gradient · direction = the slope of Σ seed · root along the direction."""
    case = make(seed, steps, limit=60, leaves=True)
    root = case.roots[0]
    assume(root.dtype is dt.float64 and root.tracked and case.values[0].data.size > 0)
    rng = np.random.default_rng(seed % 1000)
    weights = rng.normal(size=root.shape)
    leaves = [v.node for v in case.leaves]
    found = gradient(root, B.tensor(weights), leaves)
    verify([g for g in found if g is not None])
    directions = [rng.normal(size=x.shape) for x in leaves]
    slope = 0.0
    for g, d in zip(found, directions, strict=True):
        if g is not None:
            slope += float(np.dot(np.array(values([g])[0], float), d.ravel()))
    here = total(root, weights)
    right, left = slopes(root, weights, leaves, directions, 1e-6)
    nearer = slopes(root, weights, leaves, directions, 1e-7)
    singular = {n.op for n in toposort([root])} & {"sqrt", "pow", "log", "log1p", "div"}
    assume(np.isfinite(slope) or not singular)  # √0: infinity times a slope of 0
    size = abs(right) + abs(left) + abs(here) + 1
    # Not at a kink, or a jump, or where it is too curved; a jump on each side, of equal height,
    # shows when the sides are nearer.
    assume(all(abs(s - right) < 1e-3 * size for s in (left, *nearer)))
    central = (right + left) / 2
    assert abs(slope - central) < 1e-5 * size, f"{slope} and {central}\n{case}\n{show(root)}"


def slopes(
    root: Node, weights: np.ndarray, leaves: list[Node], directions: list[np.ndarray], h: float
) -> tuple[float, float]:
    """Σ weights · root along the directions, from here to h further and from h before."""
    here = total(root, weights)
    sides = []
    for step in (h, -2 * h, h):
        for x, d in zip(leaves, directions, strict=True):
            moved(x, step * d)
        sides.append(total(root, weights))
    return (sides[0] - here) / h, (here - sides[1]) / h


@pytest.mark.parametrize("dtype", [dt.float32, dt.int64, dt.bool_], ids=lambda d: d.name)
def test_every_operation_has_a_row(dtype: dt.DType) -> None:
    assert operations(dtype) <= set(RULES)
    assert {"where", "cast"} <= set(RULES)


# ---- the size of a graph of derivatives ----------------------------------------------------------


def chain(layers: int) -> tuple[Node, list[Node]]:
    x = B.tensor(np.ones((2, 2)))
    weights = []
    for _ in range(layers):
        weights.append(B.param(np.full((2, 2), 0.5)))
        x = B.op("tanh", B.matmul(x, weights[-1]))
    return x, weights


def test_deep_graphs_cost_linear_and_need_no_recursion() -> None:
    sizes = []
    for layers in (250, 500, 1000):
        root, weights = chain(layers)
        start = time.perf_counter()
        found = gradient(root, B.tensor(np.ones((2, 2))), weights)
        spent = time.perf_counter() - start
        sizes.append(len(toposort([g for g in found if g is not None])))
        assert None not in found and spent < 20
    assert sizes[2] - sizes[1] == 2 * (sizes[1] - sizes[0])


@pytest.mark.slow
def test_ten_thousand_layers() -> None:
    root, weights = chain(10_000)
    found = gradient(root, B.tensor(np.ones((2, 2))), weights)
    assert len(found) == 10_000 and None not in found


def test_many_uses_of_one_tensor_are_not_paths() -> None:
    """x → 2x → 4x …: 2⁶⁰ paths, sixty nodes."""
    x = y = B.param(np.array([1.0]))
    for _ in range(60):
        y = B.op("add", y, y)
    (g,) = gradient(y, B.tensor(np.ones(1)), [x])
    assert values([g])[0] == [2.0**60]


def test_equal_forms_share_their_derivation() -> None:
    from groundup.autodiff import template

    template._templates.clear()
    for k in range(3):
        x, w = B.param(np.full((2, 3), k + 1.0)), B.param(np.full((3, 2), 2.0))
        g, _ = gradient(B.matmul(x, w), B.tensor(np.full((2, 2), k + 1.0)), [x, w])
        assert len(template._templates) == 1
        assert values([g])[0] == [4.0 * (k + 1)] * 6


# ---- runtime sizes -------------------------------------------------------------------------------


def test_guards_depend_on_runtime_sizes_only_where_they_must() -> None:
    """With a runtime batch of n, gradients keep n, and nothing is proved from its value now."""
    n = Extent.named("n", 4)
    data = B.tensor(np.arange(12.0).reshape(4, 3)).value
    x = leaf(buffer(data, (n, 3), dt.float64), "x")
    w = B.param(np.arange(6.0).reshape(3, 2))
    i, j = outs(2)
    (k,), variables = fresh(0, [3])
    y = loops((n, 2), reduce("sum", variables, alu("mul", read(x, i, k), read(w, k, j)), "dot"))
    gx, gw = gradient(y, B.tensor(np.ones((4, 2))), [x, w])
    verify([gx, gw])
    assert isinstance(gx.shape[0], Extent) and gx.shape[0].symbol is n.symbol
    (extent,) = [e for r in toposort([gw]) if r.op == "reduce" for _, e in r.arg[1]]
    assert isinstance(extent, Extent) and extent.symbol is n.symbol
    assert not [r for r in toposort([gx, gw]) if r.op == "where"]
    # x[:4] of n rows: 4 is the size now, but the guard i < 4 must stay.
    part = loops((4, 3), read(x, i, j))
    (g,) = gradient(part, B.tensor(np.ones((4, 3))), [x])
    assert [r for r in toposort([g]) if r.op == "where"]
    # and the other way round, n rows of a table of four: t < n.
    table = B.param(np.ones((4, 3)))
    (g,) = gradient(loops((n, 3), read(table, i, j)), B.tensor(np.ones((4, 3))), [table])
    assert [r for r in toposort([g]) if r.op == "where"]


def test_runtime_sizes_in_windows_and_flips() -> None:
    n = Extent.named("n", 3)
    x = leaf(buffer(B.tensor(np.arange(6.0)).value, (n * 2,), dt.float64), "x")
    i = outs(1)[0]
    (u,), variables = fresh(0, [2])
    pooled = loops((n,), reduce("max", variables, read(x, B.plus(B.scaled(i, 2), u))))
    (g,) = gradient(pooled, B.tensor(np.array([1.0, 2.0, 3.0])), [x])
    assert values([g])[0] == [0.0, 1.0, 0.0, 2.0, 0.0, 3.0]
    assert isinstance(g.shape[0], Extent)
    ranges = [c for c in toposort([g]) if c.op in ("lt", "le")]
    assert not ranges, show(g)
    last = alu("sub", B.plus(B.extent(n * 2), -1), i)
    (g,) = gradient(loops((n * 2,), read(x, last)), B.tensor(np.arange(6.0)), [x])
    assert values([g])[0] == [5.0, 4.0, 3.0, 2.0, 1.0, 0.0]
    assert not [c for c in toposort([g]) if c.op in ("lt", "le")], show(g)


# ---- what is refused -----------------------------------------------------------------------------


def test_errors_teach() -> None:
    x = B.param(np.ones(3))
    y = B.op("exp", x)
    with pytest.raises(ValueError, match=r"the seed is float64 of shape \(2,\), the root"):
        gradient(y, B.tensor(np.ones(2)), [x])
    with pytest.raises(ValueError, match="leaf"):
        gradient(y, B.tensor(np.ones(3)), [y])
    whole = B.to(y, dt.int64)
    with pytest.raises(TypeError, match="int64 values have no derivative"):
        gradient(whole, B.tensor(np.ones(3, np.int64)), [x])
    assert gradient(x, B.tensor(np.ones(3)), [x])[0] is not None
    assert gradient(B.tensor(np.ones(3)), B.tensor(np.ones(3)), [x]) == [None]
