"""Layers at the edges of shapes and numbers: compiled = plain Python loops, values and gradients.

No elements, one, primes, one more than a vector or a tile; NaN, infinities, denormals, zeros of
both signs; on one thread and on three the same bits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import groundup as gu
from groundup.nn import functional as F

Run = Callable[[gu.Tensor, gu.Tensor], gu.Tensor]
Shapes = tuple[tuple[int, ...], tuple[int, ...]]

CASES: dict[str, tuple[Run, Shapes]] = {}


def case(name: str, run: Run, *shapes: Shapes) -> None:
    for pair in shapes:
        CASES[f"{name} {pair[0]} {pair[1]}"] = run, pair


case("matmul", lambda a, b: a @ b,
     ((0, 3), (3, 2)), ((3, 0), (0, 2)), ((3, 5), (5, 0)), ((1, 1), (1, 1)), ((7, 17), (17, 33)),
     ((17, 3), (3, 65)), ((2, 0, 3), (2, 3, 4)))  # fmt: skip
case("conv1d", lambda x, w: F.conv1d(x, w, padding=1),
     ((0, 2, 5), (3, 2, 3)), ((1, 1, 1), (1, 1, 1)), ((2, 3, 17), (5, 3, 3)))  # fmt: skip
case("conv1d, dilated groups", lambda x, w: F.conv1d(x, w, dilation=2, groups=2),
     ((0, 2, 5), (2, 1, 2)), ((2, 4, 7), (6, 2, 3)))  # fmt: skip
case("conv2d", lambda x, w: F.conv2d(x, w, stride=2, padding=1),
     ((0, 3, 5, 5), (2, 3, 3, 3)), ((1, 1, 1, 1), (17, 1, 3, 3)),
     ((2, 3, 7, 5), (3, 3, 3, 2)))  # fmt: skip
case("conv2d, depthwise", lambda x, w: F.conv2d(x, w, padding=1, groups=3),
     ((0, 3, 5, 5), (3, 1, 3, 3)), ((2, 3, 5, 5), (3, 1, 3, 3)),
     ((1, 3, 3, 17), (6, 1, 3, 3)))  # fmt: skip
case("conv3d", lambda x, w: F.conv3d(x, w, stride=2, padding=1),
     ((0, 2, 3, 3, 3), (2, 2, 2, 2, 2)), ((1, 2, 3, 4, 5), (3, 2, 2, 3, 2)))  # fmt: skip
case("conv_transpose1d", lambda x, w: F.conv_transpose1d(x, w, stride=2, output_padding=1),
     ((0, 2, 3), (2, 3, 3)), ((1, 1, 1), (1, 1, 1)), ((2, 3, 5), (3, 2, 3)))  # fmt: skip
case("conv_transpose2d", lambda x, w: F.conv_transpose2d(x, w, stride=2, padding=1, groups=2),
     ((0, 2, 3, 3), (2, 1, 3, 3)), ((2, 4, 3, 5), (4, 3, 3, 2)))  # fmt: skip
case("conv_transpose3d", lambda x, w: F.conv_transpose3d(x, w, dilation=2),
     ((0, 1, 2, 2, 2), (1, 1, 2, 2, 2)), ((1, 2, 2, 3, 2), (2, 1, 2, 2, 2)))  # fmt: skip
case("max_pool2d", lambda x, w: F.max_pool2d(x, 2, stride=1) * w,
     ((0, 1, 3, 3), (1,)), ((1, 1, 2, 2), (1,)), ((2, 3, 3, 17), (1,)))  # fmt: skip
case("layer_norm", lambda x, w: F.layer_norm(x, w.shape, w),
     ((0, 5), (5,)), ((1, 1), (1,)), ((3, 17), (17,)), ((2, 3, 33), (33,)))  # fmt: skip
case("softmax", lambda x, w: F.softmax(x, -1) * w,
     ((0, 3), (1,)), ((1, 1), (1,)), ((3, 17), (17,)), ((2, 65), (65,)))  # fmt: skip
case("log_softmax by columns", lambda x, w: F.log_softmax(x, 0) * w,
     ((3, 0), (1,)), ((1, 1), (1,)), ((5, 17), (17,)))  # fmt: skip
case("attention", lambda q, k: F.scaled_dot_product_attention(q, k, k, is_causal=True),
     ((0, 2, 3, 4), (0, 2, 3, 4)), ((1, 1, 1, 1), (1, 1, 1, 1)), ((2, 1, 5, 3), (2, 1, 5, 3)),
     ((1, 2, 17, 5), (1, 2, 17, 5)))  # fmt: skip
case("cumsum", lambda x, w: (x * w).cumsum(-1),
     ((0, 3), (1,)), ((3, 0), (1,)), ((1, 1), (1,)), ((3, 17), (17,)), ((17, 5), (5,)))  # fmt: skip
case("sort", lambda x, w: x.sort(-1)[0] * w,
     ((0, 3), (1,)), ((1, 1), (1,)), ((3, 17), (17,)), ((2, 33), (33,)))  # fmt: skip
case("sums", lambda x, w: x.sum(0) + (x * w).sum(),
     ((0, 3), (1,)), ((3, 0), (1,)), ((1, 1), (1,)), ((17, 5), (5,)), ((3, 67), (67,)))  # fmt: skip


def results(run: Run, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """The value, and the gradient by both operands."""
    x, w = (gu.from_numpy(a).requires_grad_() for a in arrays)
    y = run(x, w)
    (y * y).sum().backward()
    return [y.numpy(), *(t.grad.numpy() for t in (x, w))]


@pytest.mark.parametrize("name", CASES)
def test_awkward_shapes(name: str) -> None:
    run, shapes = CASES[name]
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(-1, 1, s).astype("float32") for s in shapes]
    found = results(run, arrays)
    before = gu.get_num_threads()
    try:
        gu.set_num_threads(3)
        again = results(run, arrays)
    finally:
        gu.set_num_threads(before)
    with gu.debug():
        wanted = results(run, arrays)
    for got, same, want in zip(found, again, wanted, strict=True):
        assert got.tobytes() == same.tobytes()
        assert got.shape == want.shape and got.dtype == want.dtype
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5)


ODD = np.array([np.nan, np.inf, -np.inf, 1e-40, -1e-45, 0.0, -0.0, 3e38], "float32")


@pytest.mark.parametrize("at", range(len(ODD)))
@pytest.mark.parametrize("name", [n for n, (_, s) in CASES.items()
                                  if all(0 < np.prod(shape) <= 300 for shape in s)])  # fmt: skip
def test_odd_numbers_pass_as_in_the_loops(name: str, at: int) -> None:
    """One odd number: where it makes NaN or an infinity, and what stays finite."""
    run, shapes = CASES[name]
    rng = np.random.default_rng(1)
    arrays = [rng.uniform(-1, 1, s).astype("float32") for s in shapes]
    arrays[0].flat[rng.integers(arrays[0].size)] = ODD[at]
    with gu.no_grad():
        got = run(*map(gu.from_numpy, arrays)).numpy()
        with gu.debug():
            want = run(*map(gu.from_numpy, arrays)).numpy()
    assert np.array_equal(np.isnan(got), np.isnan(want))
    assert np.array_equal(got[np.isinf(got)], want[np.isinf(want)])
    finite = np.isfinite(want)
    size = np.abs(want[finite]).max(initial=1.0)
    np.testing.assert_allclose(got[finite], want[finite], rtol=2e-5, atol=2e-5 * size)
