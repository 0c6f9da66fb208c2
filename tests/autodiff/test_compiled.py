"""Gradients compiled equal gradients by the Python reference, on random graphs."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from groundup.autodiff import gradient
from groundup.emit.python import evaluate
from groundup.ir import dtype as dt
from groundup.ir.bounds import sum_bound
from groundup.schedule.execute import execute

from .. import build as B
from ..graphs import EXAMPLES, make


@settings(max_examples=EXAMPLES // 3, deadline=None, suppress_health_check=list(HealthCheck))
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
