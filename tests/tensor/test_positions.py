"""Terms that go to positions: `x.at(c, index)`, the index from data or computed from axes.

Oracles are NumPy and torch; every test runs on the plain Python loops and on the compiler.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup.ir.transform import body_nodes

from .support import same_slopes, sample, torch
from .test_notation import equal

i, j, k, t, f = gu.axes("i j k t f")


def _double(*shape: int) -> np.ndarray:
    return sample(shape, "float64")


def _groups(values: Any, labels: Any, count: int, of: Callable[[Any], Any]) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.array([of(values[labels == c]) for c in range(count)])


@pytest.mark.parametrize("n", [1, 2, 17, 100])
def test_terms_at_positions(n: int) -> None:
    a, labels = sample((n, 3)), np.random.default_rng(n).integers(0, 4, n)
    x, where = gu.from_numpy(a), gu.from_numpy(labels)
    c = gu.axis("c", 5)  # nothing goes to the last position
    placed = x[i, f].at(c, where[i])

    def some(of: str, none: float) -> Callable[[Any], Any]:
        return lambda v: getattr(v, of)(0) if len(v) else np.full(3, none)

    equal(placed.sum(i).order(c, f), _groups(a, labels, 5, lambda v: v.sum(0)), 1e-5)
    equal(placed.sum(i).order(f, c), _groups(a, labels, 5, lambda v: v.sum(0)).T, 1e-5)
    equal(placed.prod(i).order(c, f), _groups(a, labels, 5, lambda v: v.prod(0)), 1e-5)
    equal(placed.max(i).order(c, f), _groups(a, labels, 5, some("max", -np.inf)))
    equal(placed.min(i).order(c, f), _groups(a, labels, 5, some("min", np.inf)))
    equal(placed.mean(i).order(c, f), _groups(a, labels, 5, some("mean", np.nan)), 1e-5)
    soft = _groups(a.astype(np.float64), labels, 5, lambda v: np.log(np.exp(v).sum(0)))
    equal(placed.logsumexp(i).order(c, f), soft, 1e-5)
    equal((x[i, f] > 1).at(c, where[i]).any(i).order(c, f),
          _groups(a > 1, labels, 5, lambda v: v.any(0)))  # fmt: skip
    equal((x[i, f] > 0).at(c, where[i]).all(i).order(c, f),
          _groups(a > 0, labels, 5, lambda v: v.all(0)))  # fmt: skip
    ratio = x[i, f].at(c, where[i]).sum(i) / gu.ones(n)[i].at(c, where[i]).sum(i)
    equal(ratio.order(c, f), _groups(a, labels, 5, some("mean", np.nan)), 1e-5)


def test_several_positions_batches_and_computed_ones() -> None:
    rng = np.random.default_rng(0)
    rows, columns, a = rng.integers(0, 3, 40), rng.integers(0, 4, 40), sample((40,))
    r, c, x = gu.from_numpy(rows), gu.from_numpy(columns), gu.from_numpy(a)
    p, q = gu.axis("p", 3), gu.axis("q", 4)
    expected = np.zeros((3, 4), np.float32)
    np.add.at(expected, (rows, columns), a)
    equal(x[i].at(p, r[i]).at(q, c[i]).sum(i).order(p, q), expected, 1e-5)
    labels, b = rng.integers(0, 4, (5, 9)), sample((5, 9))
    where, y = gu.from_numpy(labels), gu.from_numpy(b)
    each = np.zeros((5, 4), np.float32)
    for n in range(5):
        np.add.at(each[n], labels[n], b[n])
    equal(y[i, j].at(q, where[i, j]).sum(j).order(i, q), each, 1e-5)
    equal(y[i, j].at(q, where[i, j]).sum(i, j).order(q), each.sum(0), 1e-5)
    bins = (y[i, j].clamp(-1.9, 1.9) + 2).floor().long()
    counts = np.bincount(np.floor(np.clip(b, -1.9, 1.9) + 2).astype(int).ravel(), minlength=4)
    equal(gu.ones(5, 9)[i, j].at(q, bins).sum(i, j).order(q), counts)
    equal(gu.arange(2)[k].at(q, 2 * k + 1).sum(k).order(q), [0, 0, 0, 1])
    equal(gu.ones(2)[k].at(q, gu.tensor([-1, 0])[k]).sum(k).order(q), [1, 0, 0, 1])


PLACES: list[tuple[tuple[int, ...], tuple[int, ...], Callable[..., tuple[Any, ...]]]] = [
    ((5,), (12,), lambda a: (2 * a + 1,)),
    ((5,), (5,), lambda a: (4 - a,)),
    ((7,), (5,), lambda a: (a // 2,)),
    ((7,), (4,), lambda a: (a % 3,)),
    ((3, 4), (7,), lambda a, b: (a + b,)),
    ((3, 4), (9,), lambda a, b: (2 * a + b,)),
    ((3, 4), (7,), lambda a, b: (a - b + 3,)),
    ((3, 4), (4, 7), lambda a, b: (a, 2 * b)),
    ((4, 3), (3,), lambda a, b: ((a + b) // 2,)),
    ((8,), (4, 2), lambda a: (a // 2, a % 2)),
    ((3,), (4, 3), lambda a: (a, a)),
    ((3,), (4,), lambda a: (0 * a + 2,)),
    ((1,), (1,), lambda a: (a,)),
    ((6,), (4,), lambda a: (abs(a - 3),)),
]


@pytest.mark.parametrize("sizes,outs,places", PLACES)
@pytest.mark.parametrize("kind", ["sum", "prod", "max", "min", "mean", "any", "all", "logsumexp"])
def test_positions_computed_from_axes(
    sizes: tuple[int, ...], outs: tuple[int, ...], places: Callable[..., Any], kind: str
) -> None:
    data = np.random.default_rng(1).integers(-3, 4, (*sizes, 2)).astype(float)
    terms: dict[tuple[int, ...], list[np.ndarray]] = {}
    for at in np.ndindex(*sizes):
        terms.setdefault(tuple(int(p) for p in places(*at)), []).append(data[at])
    take: dict[str, Callable[[np.ndarray], Any]] = {
        "sum": lambda v: v.sum(0), "prod": lambda v: v.prod(0), "any": lambda v: v.any(0),
        "max": lambda v: v.max(0, initial=-np.inf), "min": lambda v: v.min(0, initial=np.inf),
        "mean": lambda v: v.sum(0) / len(v), "all": lambda v: v.all(0),
        "logsumexp": lambda v: np.log(np.exp(v).sum(0)),
    }  # fmt: skip
    expected = np.empty((*outs, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        for at in np.ndindex(*outs):
            expected[at] = take[kind](np.array(terms.get(at, [])).reshape(-1, 2))
    own = [gu.axis(f"r{n}", size) for n, size in enumerate(sizes)]
    to = [gu.axis(f"o{n}", size) for n, size in enumerate(outs)]
    x = gu.from_numpy(data)[(*own, f)]
    for axis, place in zip(to, places(*own), strict=True):
        x = x.at(axis, place)
    np.testing.assert_allclose(getattr(x, kind)(*own).order(*to, f).numpy(), expected, 1e-12)


def test_positions_computed_from_axes_are_not_searched() -> None:
    """Work grows with the terms: what is inverted reads once for each element."""
    n = 1 << 20
    x, c = gu.arange(n).float(), gu.axis("c", 2 * n)
    placed = x[i].at(c, 2 * i + 1).sum(i).order(c)
    assert not any(node.op == "reduce" for node in body_nodes(placed.node.src[0]))
    d = gu.axis("d", 12)
    few = gu.arange(6.0)[i].at(d, 2 * i + 1).sum(i).order(d)
    assert few.tolist() == [0, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5]


@pytest.mark.peers
def test_derivatives_of_positions_computed_from_axes() -> None:
    lib = torch()
    labels = np.array([2, 0, 1, 1, 0])
    where, c, q = gu.from_numpy(labels), gu.axis("c", 3), gu.axis("q", 11)

    def scattered(shape: tuple[int, ...], index: Any) -> Callable[[Any], Any]:
        return lambda a: (lib.zeros(shape).double().flatten().index_add(0, index, a.sin().flatten())
                          .reshape(shape))  # fmt: skip

    rows = lib.arange(5)
    same_slopes(lambda a: a[i].sin().at(q, 2 * i + 1).sum(i).order(q),
                scattered((11,), 2 * rows + 1), _double(5))  # fmt: skip
    same_slopes(lambda a: a[i].sin().at(q, i // 2).sum(i).order(q),
                scattered((11,), rows // 2), _double(5))  # fmt: skip
    sums = (rows[:, None] + 2 * lib.arange(3)).flatten()
    same_slopes(lambda a: a[i, j].sin().at(q, i + 2 * j).sum(i, j).order(q),
                scattered((11,), sums), _double(5, 3))  # fmt: skip
    both = lib.tensor(labels) * 11 + rows + 1
    same_slopes(lambda a: a[i].sin().at(c, where[i]).at(q, i + 1).sum(i).order(c, q),
                scattered((3, 11), both), _double(5))  # fmt: skip
    pairs = (lib.tensor(labels)[:, None] * 11 + rows[:, None] + lib.arange(3)).flatten()
    same_slopes(lambda a: a[i, j].sin().at(c, where[i]).at(q, i + j).sum(i, j).order(c, q),
                scattered((3, 11), pairs), _double(5, 3))  # fmt: skip
    same_slopes(lambda a: a[i, j].at(q, i + 2 * j).max(i, j).clamp(-9, 9).order(q),
                lambda a: lib.full((11,), -9.0).double().scatter_reduce(
                     0, sums, a.flatten(), "amax"), _double(5, 3))  # fmt: skip


def test_positions_that_leave_their_axis() -> None:
    x, c = gu.ones(3), gu.axis("c", 4)
    labels = gu.tensor([0, 4, 1])
    with pytest.raises(IndexError, match="index 4 at position \\(1,\\) leaves an axis of size 4"):
        x[i].at(c, labels[i]).sum(i).order(c)
    with pytest.raises(IndexError, match="index 5"):
        x[i].at(c, labels[i] + 1).sum(i).order(c).tolist()
    with pytest.raises(IndexError, match=r"axis c goes from 0 to 6 \(for k < 4\)"):
        gu.ones(4)[k].at(c, 2 * k).sum(k).order(c)
    with pytest.raises(TypeError, match="says where the terms of a reduction go"):
        x[i].at(c, labels[i]).order(i, c)
    with pytest.raises(TypeError, match="says where the terms of a reduction go"):
        (x[i].at(c, labels[i]) * 2).sum(i).order(c)
    with pytest.raises(TypeError, match="there may be no term"):
        x[i].at(c, labels[i]).argmax(i).order(c)
    with pytest.raises(IndexError, match="holds integers, not float32"):
        x[i].at(c, x[i]).sum(i).order(c)
    with pytest.raises(ValueError, match="depends on c itself"):
        x[i].at(c, c)
    with pytest.raises(TypeError, match="takes an axis"):
        x[i].at(3, labels[i])  # type: ignore[arg-type]
