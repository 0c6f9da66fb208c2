"""What a user writes in axes compiles to the kernels of the dedicated call: equal hashes of their
LLVM IR, forward and backward."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

import groundup as gu
import groundup.nn.functional as F
from groundup.emit import llvm
from groundup.schedule import Plan, Signature

i, j, k, n, c, o, p, q, u, v = gu.axes("i j k n c o p q u v")
Function = Callable[..., gu.Tensor]


@pytest.fixture(autouse=True)
def engine() -> str:
    """Kernels are the compiler's alone."""
    return "compiled"


def hashes(*results: gu.Tensor) -> list[str]:
    """Of each kernel of the plan that computes these tensors, in its order."""
    roots = [r.node for r in results]
    plan = Plan(Signature(roots), roots, [None] * len(roots))
    return [hashlib.sha256(llvm.emit(s.kernel).encode()).hexdigest() for s in plan.steps]


def forward_and_backward(f: Function, *shapes: tuple[int, ...]) -> list[list[str]]:
    """Hashes of the value, of each derivative, of all of these together, and of a second one."""
    leaves = [gu.ones(*shape).requires_grad_() for shape in shapes]
    y = f(*leaves)
    seed = gu.full(y.shape, 0.5)
    first = gu.derivatives(y, leaves, seed, create_graph=True)
    second = gu.derivatives((first[0] * first[0]).sum(), [leaves[1]])
    return [hashes(y), *map(hashes, first), hashes(y, *first), hashes(*second)]


@pytest.mark.parametrize("m,inner,w", [(64, 96, 80), (1, 33, 7), (128, 784, 512), (5, 1, 9)])
def test_matmul(m: int, inner: int, w: int) -> None:
    written = forward_and_backward(
        lambda a, b: (a[i, k] * b[k, j]).sum(k).order(i, j), (m, inner), (inner, w)
    )
    assert written == forward_and_backward(lambda a, b: a @ b, (m, inner), (inner, w))
    assert all(written)


def test_batched_matmul() -> None:
    shapes = (4, 16, 24), (4, 24, 8)
    written = forward_and_backward(
        lambda a, b: (a[n, i, k] * b[n, k, j]).sum(k).order(n, i, j), *shapes
    )
    assert written == forward_and_backward(lambda a, b: a @ b, *shapes)


def test_other_products_have_other_hashes() -> None:
    a, b = gu.ones(64, 96), gu.ones(96, 80)
    tropical = (a[i, k] + b[k, j]).max(k).order(i, j)
    assert not {*hashes(a @ b)} & {*hashes(tropical)}


@pytest.mark.parametrize("stride,padding,dilation", [(1, 0, 1), (2, 0, 1), (1, 1, 1), (2, 1, 2)])
@pytest.mark.parametrize("shapes", [
    ((8, 16, 14, 14), (32, 16, 3, 3)), ((2, 3, 9, 11), (4, 3, 3, 3)),
    ((32, 1, 28, 28), (8, 1, 5, 5)),
])  # fmt: skip
def test_convolution(
    shapes: tuple[tuple[int, ...], tuple[int, ...]], stride: int, padding: int, dilation: int
) -> None:
    size = [
        (n + 2 * padding - dilation * (w - 1) - 1) // stride + 1
        for n, w in zip(shapes[0][2:], shapes[1][2:], strict=True)
    ]
    rows, columns = gu.axis("p", size[0]), gu.axis("q", size[1])

    def written(x: gu.Tensor, w: gu.Tensor) -> gu.Tensor:
        there = gu.outside(x, 0.0) if padding else x
        at = stride * rows + dilation * u - padding, stride * columns + dilation * v - padding
        return (there[n, c, *at] * w[o, c, u, v]).sum(c, u, v).order(n, o, rows, columns)

    def called(x: gu.Tensor, w: gu.Tensor) -> gu.Tensor:
        return F.conv2d(x, w, stride=stride, padding=padding, dilation=dilation)

    assert forward_and_backward(written, *shapes) == forward_and_backward(called, *shapes)


def test_a_convolution_whose_sizes_come_from_its_use() -> None:
    shapes = (8, 16, 14, 14), (32, 16, 3, 3)

    def written(x: gu.Tensor, w: gu.Tensor) -> gu.Tensor:
        return (x[n, c, 2 * p + u, 2 * q + v] * w[o, c, u, v]).sum(c, u, v).order(n, o, p, q)

    called = forward_and_backward(lambda x, w: F.conv2d(x, w, stride=2), *shapes)
    assert forward_and_backward(written, *shapes) == called
