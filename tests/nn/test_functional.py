"""Every function of nn.functional against torch: values and gradients, over awkward shapes."""

from __future__ import annotations

import math

import numpy as np
import pytest

import groundup as gu
from groundup.nn import functional as F

from .support import compare, near, numbers, torch

pytestmark = pytest.mark.peers


@pytest.mark.parametrize("shape", [(3,), (1, 3), (5, 3), (2, 4, 3), (0, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(shape: tuple[int, ...], bias: bool) -> None:
    inputs = [numbers(*shape), numbers(7, 3, seed=1)] + [numbers(7, seed=2)] * bias
    compare(F.linear, torch().nn.functional.linear, inputs)


CONVOLUTIONS = [
    # (x, weight, stride, padding, dilation, groups)
    ((2, 3, 7, 6), (4, 3, 3, 3), 1, 0, 1, 1),
    ((2, 1, 9, 8), (6, 1, 5, 5), 1, 2, 1, 1),
    ((1, 3, 8, 9), (5, 3, 3, 2), 2, 1, 1, 1),
    ((2, 2, 11, 10), (3, 2, 3, 3), (2, 3), (1, 0), (2, 1), 1),
    ((1, 2, 5, 5), (4, 2, 5, 5), 1, 0, 1, 1),  # one output pixel
    ((1, 2, 5, 7), (3, 2, 1, 1), 3, 0, 1, 1),  # pixels that no window reads
    ((3, 1, 1, 1), (2, 1, 3, 3), 1, 1, 1, 1),  # mostly padding
    ((2, 4, 6, 6), (6, 2, 3, 3), 1, 1, 1, 2),
    ((2, 4, 6, 5), (8, 1, 3, 3), 2, 1, 1, 4),  # depthwise, with a multiplier
]


@pytest.mark.parametrize(("x", "w", "stride", "padding", "dilation", "groups"), CONVOLUTIONS)
def test_conv2d(x, w, stride, padding, dilation, groups) -> None:  # type: ignore[no-untyped-def]
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    compare(
        lambda x, w, b: F.conv2d(x, w, b, **options),
        lambda x, w, b: torch().nn.functional.conv2d(x, w, b, **options),
        [numbers(*x), numbers(*w, seed=1), numbers(w[0], seed=2)],
        2e-5,
    )


POOLS = [
    # (x, kernel, stride, padding, dilation)
    ((2, 3, 8, 8), 2, None, 0, 1),
    ((1, 2, 7, 9), (3, 2), (2, 1), (1, 1), 1),  # windows overlap
    ((2, 1, 9, 9), 3, 2, 1, (2, 1)),
    ((1, 1, 5, 5), 2, 3, 0, 1),  # pixels that no window reads
    ((1, 1, 3, 3), 3, 1, 1, 1),
]


@pytest.mark.parametrize(("x", "kernel", "stride", "padding", "dilation"), POOLS)
def test_max_pool2d(x, kernel, stride, padding, dilation) -> None:  # type: ignore[no-untyped-def]
    compare(
        lambda x: F.max_pool2d(x, kernel, stride, padding, dilation),
        lambda x: torch().nn.functional.max_pool2d(x, kernel, stride, padding, dilation),
        [numbers(*x)],
    )


def test_max_pool2d_of_negative_images_ignores_the_padding() -> None:
    x = -np.abs(numbers(1, 1, 4, 4)) - 1
    compare(
        lambda x: F.max_pool2d(x, 3, 2, 1),
        lambda x: torch().nn.functional.max_pool2d(x, 3, 2, 1),
        [x],
    )


def test_max_pool2d_of_equal_values_sends_the_gradient_to_the_first() -> None:
    x = np.zeros((1, 2, 4, 6), np.float32)
    compare(lambda x: F.max_pool2d(x, 2), lambda x: torch().nn.functional.max_pool2d(x, 2), [x])


def test_max_pool2d_keeps_nan() -> None:
    x = numbers(1, 1, 4, 4)
    x[0, 0, 1, 2] = math.nan
    near(
        F.max_pool2d(gu.from_numpy(x), 2),
        torch().nn.functional.max_pool2d(torch().from_numpy(x), 2),
    )


@pytest.mark.parametrize(("x", "kernel", "stride", "padding", "dilation"), POOLS)
@pytest.mark.parametrize("count_include_pad", [True, False])
def test_avg_pool2d(x, kernel, stride, padding, dilation, count_include_pad) -> None:  # type: ignore[no-untyped-def]
    compare(
        lambda x: F.avg_pool2d(x, kernel, stride, padding, count_include_pad=count_include_pad),
        lambda x: torch().nn.functional.avg_pool2d(
            x, kernel, stride, padding, count_include_pad=count_include_pad
        ),
        [numbers(*x)],
    )


@pytest.mark.parametrize("size", [(6, 8), (7, 5), (1, 1), (4, 9)])
@pytest.mark.parametrize("output", [1, 2, 3, (3, 4), (None, 1), (7, 7)])
def test_adaptive_avg_pool2d(size, output) -> None:  # type: ignore[no-untyped-def]
    compare(
        lambda x: F.adaptive_avg_pool2d(x, output),
        lambda x: torch().nn.functional.adaptive_avg_pool2d(x, output),
        [numbers(2, 3, *size)],
    )


def test_adaptive_avg_pool2d_keeps_infinity_in_its_window() -> None:
    x = numbers(1, 1, 5, 5)
    x[0, 0, 4, 4] = math.inf
    ours = F.adaptive_avg_pool2d(gu.from_numpy(x), 2)
    near(
        ours[0, 0, 0], torch().nn.functional.adaptive_avg_pool2d(torch().from_numpy(x), 2)[0, 0, 0]
    )
    assert ours[0, 0, 1, 1].item() == math.inf


POINTWISE = {
    "relu": (F.relu, lambda f: f.relu),
    "leaky_relu": (F.leaky_relu, lambda f: f.leaky_relu),
    "gelu": (F.gelu, lambda f: f.gelu),
    "gelu_tanh": (
        lambda x: F.gelu(x, "tanh"),
        lambda f: lambda x: f.gelu(x, approximate="tanh"),
    ),
    "softmax": (lambda x: F.softmax(x, -1), lambda f: lambda x: f.softmax(x, -1)),
    "softmax_first": (lambda x: F.softmax(x, 0), lambda f: lambda x: f.softmax(x, 0)),
    "log_softmax": (lambda x: F.log_softmax(x, 1), lambda f: lambda x: f.log_softmax(x, 1)),
}


@pytest.mark.parametrize("name", POINTWISE)
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (2, 3, 4)])
def test_pointwise(name: str, shape: tuple[int, ...]) -> None:
    ours, theirs = POINTWISE[name]
    compare(ours, theirs(torch().nn.functional), [3 * numbers(*shape)])


@pytest.mark.parametrize("approximate", ["none", "tanh"])
@pytest.mark.parametrize("dtype", [gu.bfloat16, gu.float16])
def test_gelu_of_16_bits_is_rounded_once(dtype: gu.DType, approximate: str) -> None:
    x = gu.from_numpy(3 * numbers(7, 33)).to(dtype).requires_grad_()
    wide = x.detach().to(gu.float32).requires_grad_()
    y, exact = F.gelu(x, approximate), F.gelu(wide, approximate)
    assert y.dtype is dtype
    assert y.tolist() == exact.to(dtype).tolist()
    y.backward(gu.ones(7, 33, dtype=dtype))
    exact.backward(gu.ones(7, 33))
    assert x.grad is not None and wide.grad is not None
    assert x.grad.tolist() == wide.grad.to(dtype).tolist()


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_of_huge_scores_is_finite(name: str) -> None:
    x = np.array([[1e4, -1e4, 9999.0], [-3e38, 3e38, 0.0]], np.float32)
    compare(
        lambda x: getattr(F, name)(x, 1), lambda x: getattr(torch().nn.functional, name)(x, 1), [x]
    )


def test_relu_has_no_slope_at_zero() -> None:
    compare(F.relu, torch().relu, [np.array([-1.0, -0.0, 0.0, 2.0], np.float32)])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(
    ("x", "y"),
    [((4, 3), (4,)), ((1, 10), (1,)), ((2, 3, 4), (2, 4)), ((2, 3, 2, 5), (2, 2, 5)), ((5,), ())],
)
def test_cross_entropy(x, y, smoothing: float, reduction: str) -> None:  # type: ignore[no-untyped-def]
    classes = x[1] if len(x) > 1 else x[0]
    target = np.asarray(np.random.default_rng(3).integers(0, classes, y))
    compare(
        lambda x, t: F.cross_entropy(x, t, reduction, smoothing),
        lambda x, t: torch().nn.functional.cross_entropy(
            x, t, reduction=reduction, label_smoothing=smoothing
        ),
        [4 * numbers(*x), target],
    )


def test_nll_loss() -> None:
    compare(F.nll_loss, torch().nn.functional.nll_loss, [numbers(4, 3), np.array([0, 2, 1, 1])])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "binary_cross_entropy_with_logits"])
def test_losses_of_equal_shapes(name: str, reduction: str) -> None:
    target = np.abs(np.sin(numbers(4, 3, seed=5)))
    compare(
        lambda x: getattr(F, name)(x, gu.from_numpy(target), reduction),
        lambda x: getattr(torch().nn.functional, name)(
            x, torch().from_numpy(target), reduction=reduction
        ),
        [2 * numbers(4, 3)],
    )


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm(shape: tuple[int, ...], training: bool) -> None:
    t = torch()
    mean, var = numbers(3, seed=7), np.abs(numbers(3, seed=8)) + 0.5
    ours = gu.from_numpy(mean), gu.from_numpy(var)
    theirs = t.from_numpy(mean.copy()), t.from_numpy(var.copy())
    compare(
        lambda x, w, b: F.batch_norm(x, *ours, w, b, training, 0.3),
        lambda x, w, b: t.nn.functional.batch_norm(x, *theirs, w, b, training, 0.3),
        [5 + 3 * numbers(*shape), numbers(3, seed=1), numbers(3, seed=2)],
        2e-5,
    )
    near(ours[0], theirs[0])
    near(ours[1], theirs[1])


def test_dropout_keeps_the_share_and_the_mean() -> None:
    gu.manual_seed(0)
    x = gu.ones(100, 100)
    y = F.dropout(x, 0.3).numpy()
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.7)}
    assert abs((y == 0).mean() - 0.3) < 0.02  # 4.4 standard deviations of 10,000 draws
    assert F.dropout(x, 0.3, training=False) is x
    assert F.dropout(x, 0.0) is x
    assert F.dropout(x, 1.0).sum().item() == 0


def test_dropout_drops_the_gradient_alike() -> None:
    gu.manual_seed(0)
    x = gu.ones(50).requires_grad_(True)
    y = F.dropout(x, 0.5)
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == y.tolist()
