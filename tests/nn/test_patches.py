"""fold, pools of powers, affine grids and samples of classes: beside torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import groundup as gu
import groundup.nn.functional as F

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peers


def compared(name: str, x: Any, *args: Any, **options: Any) -> None:
    ours, theirs = gu.from_numpy(x.copy()).requires_grad_(), torch.from_numpy(x.copy())
    theirs.requires_grad_()
    a = getattr(F, name)(ours, *args, **options)
    b = getattr(torch.nn.functional, name)(theirs, *args, **options)
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12, atol=1e-14)
    a.square().sum().backward()
    b.square().sum().backward()
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-10, atol=1e-12)


RNG = np.random.default_rng(0)


def test_fold() -> None:
    compared("fold", RNG.standard_normal((2, 3 * 4, 12)), (4, 5), 2)
    compared("fold", RNG.standard_normal((2, 6, 12)), (5, 6), (3, 2), (1, 2), (1, 0), (2, 1))
    compared("fold", RNG.standard_normal((4, 9)), (6, 6), 2, 1, 0, 2)
    compared("fold", RNG.standard_normal((1, 1, 4)), (2, 2), 1)
    with pytest.raises(gu.ShapeError, match="3 · 4 patches"):
        F.fold(gu.ones(2, 12, 11), (4, 5), 2)
    x = gu.randn(2, 3, 5, 6)
    back = F.fold(F.unfold(x, 3, padding=1), (5, 6), 3, padding=1)
    times = F.fold(F.unfold(gu.ones(1, 1, 5, 6), 3, padding=1), (5, 6), 3, padding=1)
    assert gu.allclose(back, x * times, atol=1e-5)


def test_pools_of_powers() -> None:
    x = RNG.random((2, 3, 7)) + 0.1
    compared("lp_pool1d", x, 2, 3)
    compared("lp_pool1d", x, 3, 2, 1, True)
    compared("lp_pool2d", RNG.random((2, 3, 7, 6)) + 0.1, 2.0, (3, 2), ceil_mode=True)
    compared("lp_pool3d", RNG.random((1, 2, 4, 5, 4)) + 0.1, 1.5, 2)


@pytest.mark.parametrize("corners", [False, True])
def test_affine_grids(corners: bool) -> None:
    theta = RNG.standard_normal((2, 2, 3))
    compared("affine_grid", theta, (2, 1, 3, 4), align_corners=corners)
    compared("affine_grid", theta, (2, 1, 1, 1), align_corners=corners)
    compared("affine_grid", RNG.standard_normal((1, 3, 4)), (1, 1, 2, 3, 4), align_corners=corners)
    with pytest.raises(gu.ShapeError, match="theta"):
        F.affine_grid(gu.ones(2, 2, 3), (1, 1, 2, 2))


def test_samples_of_classes() -> None:
    gu.manual_seed(0)
    logits = gu.tensor([0.0, 1.0, 2.0]).expand(4000, 3)
    share = F.gumbel_softmax(logits, hard=True).mean(0)
    assert gu.allclose(share, gu.softmax(logits[0], 0), atol=0.03)
    x = gu.zeros(3, requires_grad=True)
    (F.gumbel_softmax(x, 0.5, hard=True) * gu.arange(3)).sum().backward()
    assert x.grad is not None and x.grad.abs().sum().item() > 0
    with pytest.raises(ValueError, match="tau is greater than 0"):
        F.gumbel_softmax(logits, 0)
