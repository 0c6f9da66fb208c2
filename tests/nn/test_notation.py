"""The layers are loops in the axes notation: what a user writes in axes is the same expression, and
compiles to the same kernels; interpolation against torch.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

import groundup as gu
import groundup.nn.functional as F
from groundup.emit.fingerprint import fingerprint
from groundup.schedule import Plan, Signature

n, c, o, p, q, u, v, i, j, k = gu.axes("n c o p q u v i j k")


def kernels(y: gu.Tensor, *inputs: gu.Tensor) -> list[str | None]:
    """What names the kernels of a value and of its derivatives."""
    found = gu.derivatives(y.square().sum(), list(inputs))
    roots = [y.node, *(g.node for g in found if g is not None)]
    plan = Plan(Signature(roots), roots, [None] * len(roots))
    return [fingerprint(step.kernel) for step in plan.steps]


def randn(*shape: int) -> gu.Tensor:
    data = np.random.default_rng([*shape]).normal(size=shape).astype(np.float32)
    return gu.from_numpy(data).requires_grad_()


def same(one: gu.Tensor, other: gu.Tensor, *inputs: gu.Tensor) -> None:
    assert one.node is other.node
    assert kernels(one, *inputs) == kernels(other, *inputs)


@pytest.mark.parametrize("m,r,s", [(1, 1, 1), (7, 33, 9), (64, 128, 65)])
def test_matmul_in_axes_is_matmul(m: int, r: int, s: int) -> None:
    a, b = randn(m, r), randn(r, s)
    same((a[i, k] * b[k, j]).sum(k).order(i, j), a @ b, a, b)
    w = randn(s, r)
    same((a[i, k] * w[j, k]).sum(k).order(i, j), F.linear(a, w), a, w)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_convolution_in_axes_is_conv2d(stride: int) -> None:
    x, w = randn(2, 3, 9, 9), randn(4, 3, 3, 3)
    at = x[n, c, stride * p + u, stride * q + v]
    y = (at * w[o, c, u, v]).sum(c, u, v).order(n, o, p, q)
    same(y, F.conv2d(x, w, stride=stride), x, w)
    h, z = gu.axis("h", 9), gu.axis("z", 9)
    padded = gu.outside(x, 0.0)[n, c, h + u - 1, z + v - 1]
    y = (padded * w[o, c, u, v]).sum(c, u, v).order(n, o, h, z)
    same(y, F.conv2d(x, w, padding=1), x, w)


def test_the_means_of_losses_are_those_of_tensors() -> None:
    """Losses end in axes; the mean of a tensor is the same expression."""
    x, y = randn(6, 4), randn(4, 6).detach().T
    same(F.mse_loss(x, y), F.mse_loss(x, y, "none").mean(), x)
    same(F.l1_loss(x, y, "sum"), F.l1_loss(x, y, "none").sum(), x)
    labels = gu.tensor([0, 3, 1, 1, 2, 0])
    smooth = F.cross_entropy(x, labels, "none") * (1 - 0.125) - F.log_softmax(x, 1).mean(1) * 0.125
    assert gu.allclose(F.cross_entropy(x, labels, label_smoothing=0.125), smooth.mean())
    assert F.mse_loss(x[0, 0], y[0, 0]).shape == ()


def test_pooling_and_sums_in_axes_are_those_of_the_library() -> None:
    x, r, s = randn(2, 3, 8, 6), gu.axis("r", 2), gu.axis("s", 2)
    window = x[n, c, 2 * p + r, 2 * q + s]
    same(window.max(r, s).order(n, c, p, q), F.max_pool2d(x, 2), x)
    a = randn(5, 17)
    assert a[i, k].sum(k).order(i).node is a.sum(1).node
    assert a[i, k].max(k).order(i).node is a.amax(1).node
    assert a[i, k].mean(k).order(i).node is a.mean(1).node


@pytest.mark.peers
@pytest.mark.parametrize("shape", [(2, 3, 5), (1, 2, 4, 7), (1, 1, 2, 3, 4), (1, 1, 1, 1)])
@pytest.mark.parametrize("corners", [False, True])
def test_interpolation(shape: tuple[int, ...], corners: bool) -> None:
    lib: Any = importlib.import_module("torch")
    linear = {3: "linear", 4: "bilinear", 5: "trilinear"}[len(shape)]
    data = np.random.default_rng(0).normal(size=shape)
    options: list[dict[str, Any]] = [
        {"size": tuple(2 * h + 1 for h in shape[2:])}, {"size": 3}, {"size": 1},
        {"scale_factor": 2}, {"scale_factor": 1.5},
    ]  # fmt: skip
    for given in options:
        for mode in ("nearest", linear):
            x = gu.from_numpy(data).requires_grad_()
            t = lib.tensor(data, requires_grad=True)
            extra = {} if mode == "nearest" else {"align_corners": corners}
            ours = F.interpolate(x, mode=mode, **given, **extra)
            theirs = lib.nn.functional.interpolate(t, mode=mode, **given, **extra)
            np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), 1e-9, 1e-9)
            (ours * ours).sum().backward()
            (theirs * theirs).sum().backward()
            assert x.grad is not None
            np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), 1e-9, 1e-9)


def test_interpolation_refuses_what_cannot_be() -> None:
    x = gu.ones(1, 1, 2, 2)
    with pytest.raises(ValueError, match="either size or scale_factor"):
        F.interpolate(x)
    with pytest.raises(ValueError, match="'nearest' or 'bilinear'"):
        F.interpolate(x, size=2, mode="linear")
    with pytest.raises(ValueError, match="leaves a size"):
        F.interpolate(x, scale_factor=0.1)
    with pytest.raises(gu.ShapeError, match="expected"):
        F.interpolate(gu.ones(2, 2), size=2)


def test_layers_of_one_axis_or_none() -> None:
    x, t = gu.tensor(2.0), gu.tensor(1.5)
    assert F.mse_loss(x, t).item() == 0.25
    assert F.l1_loss(x, t, "none").item() == 0.5
    assert F.binary_cross_entropy_with_logits(x, t).shape == ()
    assert F.softmax(x, 0).item() == 1.0
    assert F.log_softmax(gu.zeros(1), 0).tolist() == [0.0]
    assert F.layer_norm(gu.tensor([1.0, 3.0]), (2,), eps=0.0).tolist() == [-1.0, 1.0]
    with pytest.raises(IndexError, match="dim 1 is out of range"):
        F.softmax(gu.zeros(3), 1)
