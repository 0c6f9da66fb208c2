"""Sums of captured functions are added in the order in which the plain call adds them: wherever the
batch lies, whichever size it has, and whichever size was captured first."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import groundup as gu

from ..graphs import examples

Step = Callable[[gu.Tensor], gu.Tensor]


def bits(value: Any) -> list[bytes]:
    """The memory of each tensor of a result."""
    values = value if isinstance(value, tuple) else (value,)
    return [v.detach().numpy().tobytes() for v in values]


def view(r: random.Random, t: gu.Tensor, fixed: list[int]) -> tuple[str, Step]:
    """A step that moves axes or changes them; `fixed`: the sizes of axes that are no batch."""
    kind = r.choice(["permute", "permute", "flatten", "slice", "unsqueeze", "pointwise", "outer"])
    axes = list(range(t.ndim))
    r.shuffle(axes)
    low, high = sorted(r.choices(range(t.ndim), k=2))
    d = r.choice([i for i, s in enumerate(t.shape) if s in fixed] or [-1])
    if kind == "permute":
        return f"permute{axes}", lambda x: x.permute(*axes)
    if kind == "flatten" and low < high:
        return f"flatten {low} {high}", lambda x: x.flatten(low, high)
    if kind == "slice" and d >= 0:
        start, step = r.choice([0, 1]), r.choice([1, 2])
        where = (*[slice(None)] * d, slice(start, None, step))
        return f"[{d}: {start}::{step}]", lambda x: x[where]
    if kind == "unsqueeze":
        return f"unsqueeze {low}", lambda x: x.unsqueeze(low)
    if kind == "outer" and t.ndim < 4:
        return "outer", lambda x: x.unsqueeze(-1) * gu.arange(1, 4).to(x.dtype)
    return "tanh", lambda x: (x * 0.7).tanh()


def reduction(r: random.Random, rank: int) -> tuple[str, Step]:
    """A step that sums along some axis, in one of many ways."""
    d, e = r.randrange(rank), r.randrange(rank)
    both = (d,) if d == e else (d, e)
    first = r.random() < 0.5

    def rows(x: gu.Tensor) -> gu.Tensor:
        return x.movedim(d, -1).flatten(0, -2) if rank > 1 else x.unsqueeze(0)

    def layer_norm(x: gu.Tensor) -> gu.Tensor:
        z = x - x.mean(d, keepdim=True)
        return z / ((z * z).mean(d, keepdim=True) + 1e-5).sqrt()

    table: dict[str, Step] = {
        "sum": lambda x: x.sum(d),
        "mean": lambda x: x.mean(d),
        "sum of all": lambda x: x.sum(),
        "sum of two": lambda x: x.sum(both),
        "mean of squares": lambda x: (x * x).mean(),
        "var": lambda x: x.var(d, unbiased=False),
        "var of all": lambda x: x.var(unbiased=False),
        "softmax": lambda x: x.softmax(d),
        "log_softmax": lambda x: x.log_softmax(d),
        "logsumexp": lambda x: x.logsumexp(d),
        "norm": lambda x: (x * x + 1e-3).sum(d).sqrt(),
        "prod": lambda x: (x * 0.1 + 1).prod(d),
        "max": lambda x: x.max(d).values,
        "cumsum": lambda x: x.cumsum(d),
        "layer norm": layer_norm,
        "dot": lambda x: x.flatten() @ x.flatten().cos(),
        "gram": lambda x: rows(x) @ rows(x).t() if first else rows(x).t() @ rows(x).cos(),
    }
    name = r.choice(list(table))
    return f"{name} {d} {e}", table[name]


SIZES = st.sampled_from([2, 7, 9, 12, 20, 64, 65, 130, 300, 1000, 3000])


@settings(max_examples=examples(10), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**64 - 1), st.lists(SIZES, min_size=2, max_size=4))
def test_reductions_of_a_batch_anywhere_are_the_plain_ones(seed: int, sizes: list[int]) -> None:
    r = random.Random(seed)
    dtype = r.choice([gu.float32, gu.float64])
    inner = [r.choice([1, 3, 5, 8, 33]) for _ in range(r.choice([0, 1, 1, 2, 2]))]
    names, steps = [], []
    # What is sliced depends on sizes: none of a batch is one of an axis that is not.
    t = gu.ones(77, *inner)
    for _ in range(r.choice([1, 2, 3])):
        name, step = view(r, t, [3, 5, 8, 33])
        t = step(t)
        names.append(name)
        steps.append(step)
    name, step = reduction(r, t.ndim)
    names.append(name)
    steps.append(step)
    slopes, turned = r.random() < 0.6, r.random() < 0.3

    def f(x: gu.Tensor, w: gu.Tensor) -> Any:
        y = x * w
        for step in steps:
            y = step(y)
        if not slopes:
            return y
        loss = (y.sin() * y).sum()
        w.grad = None
        loss.backward()
        assert w.grad is not None
        return y, loss, w.grad

    captured = gu.jit(f)
    for n in sizes:
        if "gram" in name and n > 300:
            continue
        x = gu.randn(*inner, n, dtype=dtype).movedim(-1, 0) if turned else gu.randn(
            n, *inner, dtype=dtype)  # fmt: skip
        w = gu.randn(*inner, dtype=dtype).requires_grad_(slopes)
        x.realize()
        assert bits(captured(x, w)) == bits(f(x, w)), (n, inner, dtype, turned, names)


LONG = [65535, 65536, 70001, 40]  # around the length from which a sum is one of partial sums


@pytest.mark.parametrize("dtype", [gu.float32, gu.float64])
@pytest.mark.parametrize(
    ("rest", "sizes"), [((), LONG), ((5,), [13107, 13108, 40000, 65536, 40]), ((63,), [1040, 1041])]
)
def test_sums_around_the_length_from_which_they_are_cut(
    rest: tuple[int, ...], sizes: list[int], dtype: gu.DType
) -> None:
    def f(x: gu.Tensor) -> Any:
        flat = x.flatten()
        found = (x.sum(), x.mean(), flat.sum(), (flat * flat).sum(), flat @ flat.sin(), x.sum(0),
                 x.softmax(0), x.var(), flat.logsumexp(0), flat.cumsum(0))  # fmt: skip
        return (*found, x.t().sum(1), x.t().sum(), (x.t() * 2).cumsum(1)) if x.ndim > 1 else found

    captured = gu.jit(f)
    for n in sizes:
        x = gu.randn(n, *rest, dtype=dtype).realize()
        assert bits(captured(x)) == bits(f(x)), n


def test_a_sum_over_all_pairs_of_rows() -> None:
    """Its partial sums are a tensor with two runtime sizes, which no plan can have."""

    def f(x: gu.Tensor) -> gu.Tensor:
        i, j, k = gu.axes("i j k")
        return abs(x[i, k] - x[j, k]).sum(i, k).order(j)

    captured = gu.jit(f)
    for n in (6, 6, 9, 80):
        x = gu.randn(n, 70).realize()
        assert bits(captured(x)) == bits(f(x))


def test_images_whose_channels_are_the_batch() -> None:
    """Whether there are few channels decides the order of a convolution's sums."""

    def f(x: gu.Tensor, w: gu.Tensor) -> Any:
        image, scale = x.transpose(0, 1), gu.ones((), dtype=x.dtype, requires_grad=True)
        y = gu.nn.functional.conv2d(image * scale, w.transpose(0, 1))
        (y.sin() * y).sum().backward()
        return y, scale.grad, gu.nn.functional.avg_pool2d(image, 2), image.sum((1, 2, 3))

    captured = gu.jit(f)
    for n in (40, 20, 33, 7, 300):
        x = gu.randn(n, 3, 6, 5, dtype=gu.float64).realize()
        w = gu.randn(n, 4, 3, 3, dtype=gu.float64).realize()
        assert bits(captured(x, w)) == bits(f(x, w)), n
