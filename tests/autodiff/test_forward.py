"""Forward mode is the transpose of reverse mode; a graph mapped over a batch, or written again of
other tensors, computes what the graph computes of each: on random graphs."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from groundup.autodiff import Batch, again, forward, gradient
from groundup.emit.python import values
from groundup.ir import dtype as dt
from groundup.ir.node import Node
from groundup.ir.outside import OutOfRange
from groundup.ir.show import show
from groundup.ir.verify import verify

from .. import build as B
from ..graphs import examples, make


def numbers(node: Node) -> np.ndarray:
    return np.array(values([node])[0], float)


@settings(max_examples=examples(250), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**64 - 1), st.integers(1, 7), st.booleans())
def test_forward_is_the_transpose_of_reverse(seed: int, steps: int, folds: bool) -> None:
    """seed · (J · d) = (Jᵀ · seed) · d"""
    case = make(seed, steps, limit=60, leaves=True, folds=folds)
    root = case.roots[0]
    assume(root.dtype is dt.float64 and root.tracked)
    rng = np.random.default_rng(seed % 1000)
    weights = rng.normal(size=root.shape)
    leaves = [v.node for v in case.leaves]
    directions = [rng.normal(size=x.shape) for x in leaves]
    (along,) = forward(
        [root], {x: B.tensor(d) for x, d in zip(leaves, directions, strict=True)}
    )
    found = gradient(root, B.tensor(weights), leaves)
    right = [numbers(g) * d.ravel() for g, d in zip(found, directions, strict=True) if g]
    if along is None:
        assert all(np.all(r == 0) for r in right), show(root)
        return
    verify([along])
    left = numbers(along) * weights.ravel()
    terms = np.concatenate([left, *right])
    assume(np.isfinite(terms).all() and np.abs(terms).max(initial=0) < 1e6)
    size = np.abs(terms).sum() + 1  # what cancels inside a term is rounded, too
    assert abs(left.sum() - sum(r.sum() for r in right)) < 1e-9 * size, f"{case}\n{show(root)}"


@settings(max_examples=examples(200), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**64 - 1), st.integers(1, 7))
def test_a_graph_of_a_batch_and_of_other_tensors(seed: int, steps: int) -> None:
    case = make(seed, steps, limit=60, leaves=True)
    root = case.roots[0]
    leaves = [v.node for v in case.leaves][::2]  # the others are the same for all
    data = [numbers(x).reshape(x.shape) for x in leaves]
    batch = [[d * factor for d in data] for factor in (1.0, 0.5, -0.25)]
    ones = []
    for element in batch:
        others = {x: B.tensor(d) for x, d in zip(leaves, element, strict=True)}
        (one,) = again([root], others)
        verify([one])
        try:
            ones.append(numbers(one))
        except OutOfRange:  # an index that is computed from numbers
            assume(False)
    np.testing.assert_array_equal(ones[0], numbers(root))
    stacked = {x: B.tensor(np.stack(d)) for x, d in zip(leaves, zip(*batch), strict=True)}
    (whole,) = Batch(3, stacked).mapped([root])
    if whole is None:
        for one in ones:
            np.testing.assert_array_equal(one, ones[0])
        return
    assert whole.shape == (3, *root.shape) and whole.dtype is root.dtype
    verify([whole])
    got = numbers(whole).reshape(3, -1)
    for g, one in zip(got, ones, strict=True):
        np.testing.assert_array_equal(g, one, err_msg=f"{case}\n{show(root)}")
