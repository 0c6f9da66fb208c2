"""What alternates along a fastest axis of two: both parts in one pass, with the same values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import groundup as gu
from groundup.emit.kernel import Nest, Several
from groundup.ir.transform import toposort
from groundup.schedule import Plan, Signature

LENGTHS = (1, 2, 5, 16, 17, 40, 100)


def numbers(*shape: int, seed: int = 0, name: str = "float32") -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(name)


def nests(x: gu.Tensor) -> list[Nest]:
    """The plain loops of a plan."""
    node = x.node
    kernels = [s.kernel for s in Plan(Signature([node]), [node], [None]).steps]
    parts = [p for k in kernels for p in (k.parts if isinstance(k, Several) else (k,))]
    return [k for k in parts if isinstance(k, Nest)]


@pytest.mark.parametrize("name", ["float32", "float64", "float16"])
@pytest.mark.parametrize("n", LENGTHS)
def test_two_stacked_along_a_new_last_axis(n: int, name: str) -> None:
    a, b = numbers(3, n, name=name), numbers(3, n, seed=1, name=name)
    y = gu.stack([gu.tensor(a), gu.tensor(b) * 2], -1)
    assert np.array_equal(y.numpy(), np.stack([a, b * 2], -1))
    flags = gu.stack([gu.tensor(a) > 0, gu.tensor(b) > 0], -1)
    assert np.array_equal(flags.numpy(), np.stack([a > 0, b > 0], -1))


def test_both_parts_are_one_kernel_without_loops_of_two() -> None:
    p, q = gu.tensor(numbers(50, 2)).realize(), gu.tensor(numbers(50, 2, seed=1)).realize()
    re = p[:, 0] * q[:, 0] - p[:, 1] * q[:, 1]
    im = p[:, 0] * q[:, 1] + p[:, 1] * q[:, 0]
    (kernel,) = nests(gu.stack([re, im], -1))
    assert len(kernel.loops) == 1
    assert [o.paired for o in kernel.outputs] == [True, False]
    assert [o.access.part for o in kernel.outputs] == [0, 1]


@pytest.mark.parametrize("n", LENGTHS)
def test_parts_are_read_where_they_lie(n: int) -> None:
    x = numbers(3, n, 2)
    t = gu.tensor(x)
    assert np.array_equal((t[..., 1] * 2 - t[..., 0]).numpy(), x[..., 1] * 2 - x[..., 0])
    assert np.array_equal((t[:, ::2, 1] + 1).numpy(), x[:, ::2, 1] + 1)
    assert np.array_equal((t[:, 1:, 1] + 1).numpy(), x[:, 1:, 1] + 1)
    turned = t.transpose(0, 1)
    assert np.array_equal(turned.contiguous().numpy(), x.transpose(1, 0, 2))
    assert np.array_equal((turned[..., 1] + 1).numpy(), x.transpose(1, 0, 2)[..., 1] + 1)
    swapped = gu.stack([t[..., 1], t[..., 0]], -1)
    assert np.array_equal(swapped.numpy(), x[..., ::-1])
    padded = gu.nn.functional.pad(t, (0, 0, 2, 1))
    flipped = gu.stack([padded[..., 1], padded[..., 0]], -1)
    wanted = np.pad(x, ((0, 0), (2, 1), (0, 0)))[..., ::-1]
    assert np.array_equal(flipped.numpy(), wanted)


@pytest.mark.parametrize("n", [*LENGTHS, 5000, 70_000])
def test_sums_of_pairs(n: int) -> None:
    x = numbers(n, 2, name="float64")
    got = gu.tensor(x).sum(0).numpy()
    assert np.allclose(got, x.sum(0), rtol=1e-12, atol=1e-12)
    rows = numbers(4, n, 2, name="float64") if n < 10_000 else x[None]
    got = gu.tensor(rows).sum(1).numpy()
    assert np.allclose(got, rows.sum(1), rtol=1e-12, atol=1e-12)


SHARED: dict[str, Callable[[gu.Tensor, gu.Tensor], gu.Tensor]] = {
    "broadcast": lambda x, y: x * y[:, :1] + gu.stack([y[..., 1], x[..., 0]], -1),
    "rows": lambda x, y: gu.stack([x[..., 0].sum(1), (x * y)[..., 1].sum(1)], -1),
    "where": lambda x, y: gu.where(x[..., :1] > 0, gu.stack([x[..., 1], y[..., 0]], -1), y),
    "columns": lambda x, y: gu.stack([x[..., 0] - y[..., 0], x[..., 1]], -1).sum(0),
    "position": lambda x, y: x * gu.arange(2),
}


@pytest.mark.parametrize("form", SHARED)
def test_as_plain_loops_do(form: str) -> None:
    x, y = (gu.tensor(numbers(3, 21, 2, seed=i)).realize() for i in (0, 1))
    got = SHARED[form](x, y).numpy()
    with gu.debug():
        wanted = SHARED[form](x, y).numpy()
    assert np.allclose(got, wanted, rtol=1e-6, atol=1e-6)


def test_what_is_larger_than_the_caches_goes_past_them() -> None:
    a, b = numbers(1 << 21), numbers(1 << 21, seed=1)
    y = gu.stack([gu.tensor(a), gu.tensor(b)], -1)
    (kernel,) = nests(y)
    assert all(o.stream for o in kernel.outputs)
    assert np.array_equal(y.numpy(), np.stack([a, b], -1))


def test_what_a_kernel_does_is_shown_for_each_part() -> None:
    a = gu.tensor(numbers(40)).realize()
    text = str(gu.explain(gu.stack([a, -a], -1)))
    assert "[i, 0] = A[i]" in text
    assert "[i, 1] = neg(A[i])" in text


@pytest.mark.parametrize("shape", [(100, 2), (40, 50, 2), (7, 2)])
def test_pairs_put_one_after_the_other_are_copied_piece_by_piece(shape: tuple[int, ...]) -> None:
    x, y = numbers(*shape), numbers(*shape, seed=1)
    for axis in range(len(shape) - 1):
        made = gu.cat([gu.tensor(x), gu.tensor(y) * 2], axis)
        assert np.array_equal(made.numpy(), np.concatenate([x, y * 2], axis))
    last = gu.cat([gu.tensor(x).realize(), gu.tensor(y).realize()], len(shape) - 2)
    asked = [n for k in nests(last) for o in k.outputs for n in toposort([o.body]) if n.op == "lt"]
    assert bool(asked) is (shape == (7, 2))  # few elements: which piece is asked at each


def test_pieces_whose_parts_differ() -> None:
    x, y = numbers(100, 2), numbers(60, 2, seed=1)
    p, q = gu.tensor(x).realize(), gu.tensor(y).realize()
    made = gu.cat([gu.stack([p[:, 1], p[:, 0] * 3], -1), q])
    kernels = nests(made)
    assert [o.paired for k in kernels for o in k.outputs] == [True, False] * 2
    turned = np.stack([x[:, 1], x[:, 0] * 3], -1)
    assert np.array_equal(made.numpy(), np.concatenate([turned, y]))
