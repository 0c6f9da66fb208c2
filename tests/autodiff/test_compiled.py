"""Gradients compiled equal gradients by the Python reference: on random graphs, once and twice, and
where a condition guards what is read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from groundup.autodiff import gradient
from groundup.emit.python import evaluate
from groundup.ir import dtype as dt
from groundup.ir.bounds import sum_bound
from groundup.ir.node import Node, alu, const, fresh, index, loops, out, read, reduce, where
from groundup.schedule.execute import execute

from .. import build as B
from ..graphs import examples, make


@settings(max_examples=examples(100), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**64 - 1), st.integers(1, 6))
def test_compiled_gradients_equal_the_reference(seed: int, steps: int) -> None:
    case = make(seed, steps, limit=120, leaves=True)
    root = case.roots[0]
    assume(root.dtype is dt.float64 and root.tracked)
    weights = B.tensor(np.random.default_rng(seed % 1000).normal(size=root.shape))
    found = gradient(root, weights, [v.node for v in case.leaves])
    graphs = [g for g in found if g is not None]
    for g, ours, reference in zip(graphs, execute(graphs), evaluate(graphs), strict=True):
        got, wanted = B.array(ours, g), B.array(reference, g)
        finite = np.abs(wanted[np.isfinite(wanted)])
        # Terms cancel on the way; no term is larger than a million times the largest result.
        scale = 1e6 * max(1.0, float(finite.max(initial=0.0)))
        bound = sum_bound(120, dt.float64.eps, scale)
        np.testing.assert_allclose(got, wanted, rtol=0, atol=bound, err_msg=f"{case}\n{g}")


@settings(max_examples=examples(100), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**64 - 1), st.integers(2, 6))
def test_compiled_second_derivatives_equal_the_reference(seed: int, steps: int) -> None:
    """The adjoint of a product, an extreme or a choice holds reductions that guard one another."""
    case = make(seed, steps, limit=60, leaves=True, folds=True)
    root = case.roots[0]
    assume(root.dtype is dt.float64 and root.tracked)
    rng = np.random.default_rng(seed % 1000)
    leaves = [v.node for v in case.leaves]
    first = gradient(root, B.tensor(rng.normal(size=root.shape)), leaves)
    graphs = []
    for g in first:
        if g is not None and g.tracked:
            seed_ = B.tensor(rng.normal(size=g.shape))
            graphs += [h for h in gradient(g, seed_, leaves) if h is not None]
    assume(graphs)
    for g, ours, reference in zip(graphs, execute(graphs), evaluate(graphs), strict=True):
        got, wanted = B.array(ours, g), B.array(reference, g)
        finite = np.abs(wanted[np.isfinite(wanted)])
        scale = 1e6 * max(1.0, float(finite.max(initial=0.0)))
        bound = sum_bound(60, dt.float64.eps, scale)
        np.testing.assert_allclose(got, wanted, rtol=0, atol=bound, err_msg=f"{case}\n{g}")


# ---- what guards a read guards it in the derivative ----------------------------------------------

N = 4
ZERO, NONE = const(0, dt.int64), const(0.0, dt.float64)


def _guarded_bodies(x: Node, table: Node) -> dict[str, Node]:
    """Bodies over i < 4 that read x and a table where, and only where, a condition holds."""
    i = out(0)
    before = B.plus(i, -1)
    inside, late = alu("le", ZERO, before), alu("le", index(2), i)
    chosen = read(B.tensor(np.array([0, -1, 2, 7])), i)  # partly outside
    able = alu("and", alu("le", ZERO, chosen), alu("lt", chosen, index(N)))
    mask = read(B.tensor(np.array([True, False, True, True])), before)
    wave = alu("sin", read(x, before))
    (r,), over = fresh(0, [3])
    bodies = {
        "data asked behind a position": where(inside, where(mask, read(x, before), NONE), NONE),
        "one value behind two guards": alu(
            "add", where(inside, wave, NONE), where(late, alu("mul", wave, wave), NONE)
        ),
        "a position from data": where(able, alu("exp", read(x, chosen)), NONE),
    }
    for kind in ("sum", "prod", "max"):
        row = reduce(kind, over, read(table, before, r))
        bodies[f"{kind} behind a position"] = where(inside, row, NONE)
        row = reduce(kind, over, read(table, chosen, r))
        bodies[f"{kind} behind data"] = where(able, row, NONE)
    return bodies


@pytest.mark.parametrize("name", _guarded_bodies(B.param(np.ones(N)), B.param(np.ones((N, 3)))))
def test_guards_hold_in_first_and_second_derivatives(name: str) -> None:
    rng = np.random.default_rng(5)
    x, table = B.param(rng.normal(size=N)), B.param(rng.normal(size=(N, 3)))
    y = loops((N,), _guarded_bodies(x, table)[name])
    found = gradient(y, B.tensor(rng.normal(size=N)), [x, table])
    graphs = [g for g in found if g is not None]
    assert graphs
    for g in list(graphs):
        if g.tracked:
            more = gradient(g, B.tensor(rng.normal(size=g.shape)), [x, table])
            graphs += [h for h in more if h is not None]
    for g, ours, reference in zip(graphs, execute(graphs), evaluate(graphs), strict=True):
        wanted = B.array(reference, g)
        np.testing.assert_allclose(B.array(ours, g), wanted, rtol=1e-12, atol=1e-12)


def test_a_term_that_depends_on_the_row_it_is_put_into() -> None:
    """Σ over positions of (v[i] · w[row] if key[i] == row else 0), each row a single element."""
    v, w = B.tensor(np.arange(17.0)), B.tensor(np.array([2.0, -3.0]))
    key = np.arange(17) % 3  # rows 0 and 1; 2 is none
    i = out(0)
    (j,), over = fresh(0, [17])
    here = alu("eq", read(B.tensor(key), j), i)
    term = where(here, alu("mul", read(v, j), alu("floor", read(w, i))), NONE)
    node = loops((2,), reduce("sum", over, term))
    (ours,) = execute([node])
    wanted = [2.0 * sum(range(0, 17, 3)), -3.0 * sum(range(1, 17, 3))]
    assert B.array(ours, node).tolist() == wanted
