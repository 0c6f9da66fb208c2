"""What comparisons with torch share: the same numbers on both sides, a strict comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import groundup as gu


def torch() -> Any:
    """The oracle; the extra [peers] installs it."""
    return pytest.importorskip("torch", reason="needs the extra [peers]")


def numbers(*shape: int, seed: int = 0, dtype: Any = np.float32) -> np.ndarray:
    """Normal random numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def near(ours: gu.Tensor, theirs: Any, tolerance: float = 1e-5) -> None:
    """Equal shapes; differences of at most `tolerance` of the largest value (float32: 84 ulp)."""
    a, b = ours.detach().numpy(), theirs.detach().numpy()
    assert a.shape == b.shape
    np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
    scale = min(max(1.0, float(np.nanmax(np.abs(b), initial=0.0))), 1e3)
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale)


def compare(
    ours: Callable[..., gu.Tensor],
    theirs: Callable[..., Any],
    inputs: Sequence[np.ndarray],
    tolerance: float = 1e-5,
) -> None:
    """Equal values and equal gradients, of every float input, of a weighted sum of the result.

    The weights are random, so that no gradient is right by symmetry.
    """
    t = torch()
    a = [gu.from_numpy(x) for x in inputs]
    b = [t.from_numpy(x.copy()) for x in inputs]
    for x, y in zip(a, b, strict=True):
        if x.dtype.is_float:
            x.requires_grad_(True)
            y.requires_grad_(True)
    mine, other = ours(*a), theirs(*b)
    near(mine, other, tolerance)
    weights = numbers(*other.shape, seed=99).reshape(tuple(other.shape))
    (mine * gu.from_numpy(weights).to(mine.dtype)).sum().backward()
    (other * t.from_numpy(weights).to(other.dtype)).sum().backward()
    for x, y in zip(a, b, strict=True):
        if x.dtype.is_float:
            assert x.grad is not None
            near(x.grad, y.grad, tolerance)


def same_module(
    ours: Any,
    theirs: Any,
    inputs: Sequence[np.ndarray],
    tolerance: float = 1e-5,
    pick: Callable[[Any], Any] = lambda y: y,
) -> None:
    """torch's state dict fits ours, name by name; with it, equal results and equal gradients.

    pick: the tensor of the result that is compared.
    """
    state = {name: gu.from_numpy(v.numpy().copy()) for name, v in theirs.state_dict().items()}
    assert list(ours.state_dict()) == list(state)
    ours.load_state_dict(state)
    named = dict(ours.named_parameters())
    compare(lambda *x: pick(ours(*x)), lambda *x: pick(theirs(*x)), inputs, tolerance)
    for name, p in theirs.named_parameters():
        if p.grad is None:
            assert named[name].grad is None, name
            continue
        assert named[name].grad is not None, name
        near(named[name].grad, p.grad, tolerance)
