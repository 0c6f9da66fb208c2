"""Sizes of arguments as Python numbers inside a captured function: they follow each call."""

from __future__ import annotations

import math
from typing import Any

import groundup as gu

from .scenarios import as_plain, values


@as_plain
def test_the_size_of_a_batch_is_returned_anew(jit: Any) -> Any:
    g = jit(lambda x: (x.sum(), len(x), x.shape[0], x.numel(), x.shape))
    return [repr(values(g(gu.ones(n, 2)))) for n in (3, 3, 3, 5, 5, 4)]


@as_plain
def test_a_mean_by_hand_follows_the_batch(jit: Any) -> Any:
    g = jit(lambda x: x.sum() / x.shape[0])
    return [repr(values(g(gu.ones(n, 2)))) for n in (3, 3, 3, 5, 5, 4)]


@as_plain
def test_arithmetic_with_sizes_follows_them(jit: Any) -> Any:

    def f(x):
        n = x.shape[0]
        return (
            x * (1 / n),
            x * (n % 2),
            x * math.sqrt(n),
            x * float(n),
            x + -n,
            x * (n - 1),
            x * (2 * n),
            x.sum() * n,
            x * int(n),
            x * (n > 4),
            x * max(n, 4),
            x * abs(n),
            x * divmod(n, 2)[0],
            x * (n // 2),
            x * n**2,
            x * bool(n - 3),
            x * round(n),
            x * (n << 1),
            x * hash(n),
            x * len(str(n)),
            x * len(f"{n:5d}{'a' * n}"),
            x * ~n,
            x * (n ^ 1),
            x * (n & 1),
        )

    g = jit(f)
    return [repr(values(g(gu.ones(n, 2)))) for n in (3, 3, 3, 5, 5, 4, 11, 12)]


@as_plain
def test_branches_on_sizes_follow_them(jit: Any) -> Any:

    def f(x):
        if x.shape[0] > 4:
            return x * 2
        if x.shape[0] == 3:
            return x * 3
        if x.shape == (4, 2):
            return x * 4
        return x

    g = jit(f)
    return [repr(values(g(gu.ones(n, 2)))) for n in (3, 3, 3, 5, 5, 4, 2, 1)]


@as_plain
def test_sizes_as_keys_and_ranges_follow_them(jit: Any) -> Any:

    def f(x):
        d = {3: 1.0, 5: 2.0}
        return (
            x * d.get(x.shape[0], 9.0),
            x * (x.shape[0] in (3, 4)),
            x * [1, 2, 3, 4, 5, 6][x.shape[0]],
            x * sum(range(x.shape[0])),
            x * len([0] * x.shape[0]),
        )

    g = jit(f)
    return [repr(values(g(gu.ones(n, 2)))) for n in (3, 3, 3, 5, 5, 4, 2)]


@as_plain
def test_sizes_as_indices_follow_them(jit: Any) -> Any:

    def f(x):
        return (
            x[x.shape[0] - 1],
            x[x.shape[0] // 2 :],
            x[: x.shape[0] - 1],
            x[-1],
            gu.arange(x.shape[0]),
            gu.zeros(x.shape[0] + 1),
            gu.linspace(0, 1, x.shape[0]),
            gu.eye(x.shape[0]),
            x.reshape(-1),
            gu.full((x.shape[0],), x.shape[0]),
        )

    g = jit(f)
    return [repr(values(g(gu.ones(n, 2)))) for n in (3, 3, 3, 5, 5, 4, 2)]


@as_plain
def test_rows_are_as_many_as_there_are(jit: Any) -> Any:

    def f(x):
        s = 0
        for part in x:
            s = s * 2 + part
        return s

    g = jit(f)
    return [repr(values(g(gu.ones(n, 2)))) for n in (3, 3, 3, 5, 5, 4, 2)]


@as_plain
def test_pieces_are_as_many_as_there_are(jit: Any) -> Any:

    def f(x):
        return (
            [r * 2 for r in x.unbind(0)],
            [c.sum() for c in x.split(2)],
            [c.sum() for c in x.chunk(2)],
        )

    g = jit(f)
    return [repr(values(g(gu.ones(n, 2)))) for n in (3, 3, 3, 5, 5, 4, 2)]
