"""Second derivatives of torch's list of operations, by finite differences of ours in float64.

One small sample of each entry that torch differentiates twice, both modes. Must not know any
operation: entries.py says which of ours is meant.
"""

from __future__ import annotations

import math
from typing import Any

import pytest

import groundup as gu

from . import harness
from .entries import RANDOM, SHAPED, WRONG_THERE, function

pytest.importorskip("torch")
pytest.importorskip("expecttest")
from .test_op_db import MAPPED, entries

pytestmark = [pytest.mark.peers, pytest.mark.slow]
LARGEST = 500  # elements of the tensors of a sample together

# Functions of one triangle, whose derivative is by a symmetric matrix.
SYMMETRIC = ("cholesky", "linalg.cholesky", "linalg.cholesky_ex", "linalg.pinv:hermitian")
# Where finite differences say nothing, with the reason.
SKIPPED = {
    **dict.fromkeys(("bfloat16", "half", "float"), "the result has fewer digits than a difference"),
    "linalg.norm:subgradients_at_zero": "at a place without a derivative",
}


def small(key: str) -> Any:
    """(function, arguments) of the first small sample that has something to be derived."""
    import torch

    op = entries()[key]
    ours = function(op.name, op.variant_test_name)
    for _, sample in harness.samples(op, torch.float64, True):
        if op.name in RANDOM and RANDOM[op.name](sample):
            continue
        leaves: list[tuple[Any, gu.Tensor]] = []
        try:
            args, kwargs = harness.arguments(sample, leaves)
        except harness.Unsupported:
            continue
        size = sum(t.numel() for _, t in leaves)
        finite = all(math.isfinite(v) for _, t in leaves for v in t.detach().reshape(-1).tolist())
        if not (leaves and 0 < size <= LARGEST and finite):
            continue
        whole = sample.output_process_fn_grad

        def f(*given: Any, kwargs: Any = kwargs, whole: Any = whole) -> Any:
            assert ours is not None
            if key in SYMMETRIC:
                given = (given[0] + given[0].mT, *given[1:])
            if op.name in SHAPED:
                return whole(SHAPED[op.name](ours, *given, **kwargs))
            return whole(ours(*given, **kwargs))

        return f, args
    pytest.skip("no small sample")


TWICE = [
    k for k in MAPPED
    if entries()[k].supports_autograd and entries()[k].supports_gradgrad
    and entries()[k].name not in WRONG_THERE and k not in SKIPPED
]  # fmt: skip


@pytest.mark.parametrize("key", TWICE)
def test_second_derivatives(key: str) -> None:
    import torch

    if torch.float64 not in entries()[key].dtypes:
        pytest.skip("not of float64")
    f, args = small(key)
    try:
        gu.autograd.gradgradcheck(f, args, fast_mode=True, check_fwd_over_rev=True, rtol=1e-3)
    except gu.GradError as error:
        if "no floating tensor" not in str(error) and "view_as_real" not in str(error):
            raise
        pytest.skip("complex numbers, or no derivative")
