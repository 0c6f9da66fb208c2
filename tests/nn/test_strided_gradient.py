"""Gradients of strided windows: split by residues into loops without divisibility tests; torch's
values and the reference's; the same bits on any number of threads and at any runtime size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup.emit import llvm
from groundup.emit.kernel import Nest, Several
from groundup.ir.transform import toposort
from groundup.nn import functional as F
from groundup.schedule.plan import Plan

from .support import compare, numbers, torch

POOLS = ["max_pool2d", "avg_pool2d"]


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = gu.get_num_threads()
    yield
    gu.set_num_threads(before)


def _gradient(kind: str, *window: int) -> Callable[[gu.Tensor, gu.Tensor], gu.Tensor]:
    pool = getattr(F, kind)

    def f(x: gu.Tensor, g: gu.Tensor) -> gu.Tensor:
        x = x.detach().requires_grad_()
        pool(x.relu(), *window).backward(g)
        assert x.grad is not None
        return x.grad

    return f


@pytest.mark.parametrize("kind", POOLS)
@pytest.mark.parametrize(
    "window", [(2, 2, 0), (3, 2, 1), (3, 2, 0), (5, 2, 2), (2, 3, 0), (3, 3, 1), (5, 3, 1),
               (1, 2, 0), (5, 4, 2), (3, 5, 1)]
)  # fmt: skip
@pytest.mark.parametrize("size", [(7, 9), (8, 35), (5, 6)])
def test_windows_equal_torch(kind: str, window: tuple[int, ...], size: tuple[int, int]) -> None:
    theirs = getattr(torch().nn.functional, kind)
    ours = getattr(F, kind)

    def around(pool: Callable[..., Any], channels_last: bool) -> Callable[[Any], Any]:
        def f(x: Any) -> Any:
            y = pool((x.permute(0, 3, 1, 2) if channels_last else x).relu(), *window)
            return (y.permute(0, 2, 3, 1) if channels_last else y) * y.shape[0]

        return f

    h, w = size
    compare(around(ours, False), around(theirs, False), [numbers(2, 3, h, w)])
    compare(around(ours, True), around(theirs, True), [numbers(2, h, w, 17)])


@pytest.mark.parametrize("kind", POOLS)
def test_other_shapes_of_windows_equal_torch(kind: str) -> None:
    """Another stride along each axis."""
    t = torch().nn.functional
    for stride in [(2, 1), (1, 3), (2, 3)]:
        compare(
            lambda x, s=stride: getattr(F, kind)(x, 3, s, 1),
            lambda x, s=stride: getattr(t, kind)(x, 3, s, 1),
            [numbers(2, 3, 9, 10)],
        )


@pytest.mark.parametrize("kind", POOLS)
def test_not_a_number_stays_in_its_windows(kind: str) -> None:
    x = numbers(1, 2, 9, 9)
    x[0, 0, 4, 4], x[0, 1, 0, 0], x[0, 1, 8, 8] = np.nan, np.inf, -np.inf
    t = torch()
    a = gu.from_numpy(x).requires_grad_()
    b = t.from_numpy(x.copy()).requires_grad_()
    mine, other = getattr(F, kind)(a, 3, 2, 1), getattr(t.nn.functional, kind)(b, 3, 2, 1)
    weights = numbers(*other.shape, seed=1)
    weights[0, 0, 0, 0], weights[0, 1, 2, 2] = np.nan, np.inf
    mine.backward(gu.from_numpy(weights))
    other.backward(t.from_numpy(weights))
    assert a.grad is not None
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", POOLS)
@pytest.mark.parametrize("window", [(3, 2, 1), (2, 2, 0), (5, 3, 2)])
def test_same_bits(kind: str, window: tuple[int, ...]) -> None:
    """1, 2, 3 and 8 threads; captured, with another batch than the one it was captured with."""
    f = _gradient(kind, *window)
    captured = gu.jit(f)
    for batch in (4, 7, 1):
        x = gu.from_numpy(numbers(batch, 5, 27, 30))
        y = getattr(F, kind)(x, *window)
        g = gu.from_numpy(numbers(*y.shape, seed=2))
        bits = set()
        for threads in (1, 2, 3, 8):
            gu.set_num_threads(threads)
            bits.add(f(x, g).numpy().tobytes())
            bits.add(captured(x, g).numpy().tobytes())
        assert len(bits) == 1
        with gu.debug():
            wanted = f(x, g).numpy()
        got = np.frombuffer(bits.pop(), np.float32).reshape(wanted.shape)
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


def gradient_plan(kind: str, shape: tuple[int, ...], pooled: tuple[int, ...]) -> Plan:
    """The plan of the gradient of a pool of 3 by 3 with stride 2, of images (n, h, w, c)."""
    x, g = gu.from_numpy(numbers(*shape)), gu.from_numpy(numbers(*pooled))
    pool = getattr(F, kind)

    def f(x: gu.Tensor, g: gu.Tensor) -> gu.Tensor:
        x = x.permute(0, 3, 1, 2).detach().requires_grad_()
        pool(x, 3, 2, 1).backward(g)
        assert x.grad is not None
        return x.grad.permute(0, 2, 3, 1)

    captured = gu.jit(f)
    for _ in range(3):
        captured(x, g)
    roots, plan = captured.latest()
    return plan.whole(roots)


@pytest.mark.parametrize("kind", POOLS)
def test_no_divisibility_test_is_left_in_a_loop(kind: str) -> None:
    plan = gradient_plan(kind, (2, 9, 9, 64), (2, 64, 5, 5))
    (kernel,) = [s.kernel for s in plan.steps if isinstance(s.kernel, Several)]
    assert len(kernel.parts) == 4 and all(isinstance(p, Nest) for p in kernel.parts)
    text = llvm.emit(kernel)
    assert "srem" not in text and "sdiv" not in text
    assert not any(s.checks for s in plan.steps)


@pytest.mark.parametrize("kind", POOLS)
def test_residues_of_one_shape_share_their_loops(kind: str) -> None:
    """What neighbours read is read once: one kernel, a result for each residue."""
    kernel = gradient_plan(kind, (2, 10, 8, 64), (2, 64, 5, 4)).steps[-1].kernel
    assert isinstance(kernel, Nest) and len(kernel.outputs) == 4
    assert not any(n.op == "reduce" for o in kernel.outputs for n in toposort([o.body]))
