"""Tables of points that a nest reads from a turned copy: the same bits, from fewer lines."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest

import groundup as gu
from groundup.schedule import kept, turn

i, j, f, c = gu.axes("i j f c")


def points(rows: int, columns: int, dtype: str = "float32") -> gu.Tensor:
    rng = np.random.default_rng(rows)
    return gu.from_numpy(rng.normal(size=(rows, columns)).astype(dtype))


def distances(x: gu.Tensor, y: gu.Tensor) -> gu.Tensor:
    return ((x[i, f] - y[j, f]) ** 2).sum(f).order(i, j)


def nearest(x: gu.Tensor, y: gu.Tensor) -> gu.Tensor:
    return ((x[i, f] - y[c, f]) ** 2).sum(f).argmin(c).order(i)


def tropical(x: gu.Tensor, y: gu.Tensor) -> gu.Tensor:
    return (x[i, f] + y[j, f]).max(f).order(i, j)


@pytest.mark.parametrize("function", [distances, nearest, tropical])
@pytest.mark.parametrize("shape", [(33, 3), (64, 1), (17, 7), (40, 15), (16, 2)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_no_bit_depends_on_the_copy(
    monkeypatch: pytest.MonkeyPatch,
    function: Callable[[gu.Tensor, gu.Tensor], gu.Tensor],
    shape: tuple[int, int],
    dtype: str,
) -> None:
    x, y = points(*shape, dtype), points(shape[0] + 5, shape[1], dtype)
    found = function(x, y).tolist()
    assert gu.jit(function)(x, y).tolist() == found
    with gu.debug():  # which adds in another order
        assert np.allclose(function(x.clone(), y.clone()).tolist(), found, 1e-5, 1e-5)
    monkeypatch.setattr(turn, "NEAR", 0)
    monkeypatch.setattr(sys.modules["groundup.schedule.execute"], "_plans", {})
    monkeypatch.setattr(kept, "find", lambda *_: (None, None))
    assert gu.jit(lambda x, y: function(x, y))(x, y).tolist() == found


def _steps(y: gu.Tensor) -> int:
    return len(gu.explain(y).plan.steps)


def test_a_table_is_copied_once_and_only_where_it_is_read_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, y = points(33, 3), points(40, 3)
    assert _steps(distances(x, y)) == 2  # the copy of y, and the distances
    assert _steps(distances(x, x)) == 2  # one table, in two places
    assert _steps(distances(points(33, 32), points(40, 32))) == 1  # vectors along the terms
    assert _steps(distances(points(3, 3), y)) == 1  # read three times
    monkeypatch.setattr(turn, "NEAR", 1)
    assert _steps(distances(points(34, 3), y)) == 1
