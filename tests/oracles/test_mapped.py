"""torch's list of operations mapped by gu.vmap: what each element gives by itself.

Two samples of each entry, all their tensors mapped or the first alone. Must not know any operation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup.tensor import tree

from . import harness
from .entries import RANDOM, function

pytest.importorskip("torch")
pytest.importorskip("expecttest")
from .test_op_db import MAPPED, entries

pytestmark = [pytest.mark.peers, pytest.mark.slow]
LARGEST = 300  # elements of the tensors of a sample together
# What cannot be mapped is refused, with one of these.
REFUSED = ("asks for the value", "writes in place into", "draws random numbers")


@pytest.mark.parametrize("key", [k for k in MAPPED if entries()[k].name not in RANDOM])
def test_each_element_by_itself(key: str) -> None:
    import torch

    op = entries()[key]
    ours = function(op.name, op.variant_test_name)
    assert ours is not None
    kind = torch.float64 if torch.float64 in op.dtypes else torch.int64
    if kind not in op.dtypes:
        pytest.skip("complex numbers alone")
    taken = 0
    for _, sample in harness.samples(op, kind, False):
        try:
            args, kwargs = harness.arguments(sample, [])
        except harness.Unsupported:
            continue
        leaves, spec = tree.flatten((tuple(args), kwargs))
        at = [i for i, x in enumerate(leaves) if isinstance(x, gu.Tensor)]
        if not at or sum(leaves[i].numel() for i in at) > LARGEST:
            continue
        taken += 1

        def f(*tensors: gu.Tensor, leaves: Any = leaves, spec: Any = spec, at: Any = at) -> Any:
            assert ours is not None
            given = list(leaves)
            for i, t in zip(at, tensors, strict=True):
                given[i] = t
            args, kwargs = tree.unflatten(given, spec)
            return ours(*args, **kwargs)

        for mapped in {len(at), 1}:
            _compare(f, [leaves[i] for i in at], mapped, harness.described(sample))
        if taken == 2:
            break


def _compare(f: Any, tensors: list[gu.Tensor], mapped: int, where: str) -> None:
    """f of two elements: the tensors, and half of the first `mapped` of them."""
    halves = [t * 0.5 if t.dtype.is_float and i < mapped else t for i, t in enumerate(tensors)]
    try:
        one, two = (tree.flatten(f(*[t.clone() for t in ts]))[0] for ts in (tensors, halves))
    except (ValueError, RuntimeError):  # half of it is no argument
        halves = tensors
        one = two = tree.flatten(f(*[t.clone() for t in tensors]))[0]
    if not all(isinstance(t, gu.Tensor) for t in one):
        return
    dims = tuple(0 if i < mapped else None for i in range(len(tensors)))
    given = [gu.stack([t, h]) if d == 0 else t for t, h, d in zip(tensors, halves, dims)]
    try:
        got = tree.flatten(gu.vmap(f, dims)(*given))[0]
    except RuntimeError as error:
        assert any(reason in str(error) for reason in REFUSED), where
        return
    for g, a, b in zip(got, one, two, strict=True):
        if a.shape != b.shape:
            continue
        want = gu.stack([a, b])
        assert g.shape == want.shape and g.dtype is want.dtype, where
        if g.dtype is gu.bfloat16:
            g, want = g.float(), want.float()
        np.testing.assert_allclose(g.numpy(), want.numpy(), 1e-9, 1e-10, err_msg=where)
