"""What must stay cheap: building expressions, reading and writing elements."""

import time
from collections.abc import Callable

import pytest

import groundup as gu


def best(function: Callable[[], object], repeats: int = 5) -> float:
    """Seconds of the fastest of several runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def test_building_an_operation_is_cheap() -> None:
    x, y = gu.ones(3, 4) * 2, gu.ones(3, 4) + 1

    def build() -> gu.Tensor:
        z = x
        for _ in range(500):
            z = z + y
        return z

    assert best(build) / 500 < 60e-6  # about 10 µs on a quiet machine


def test_the_lessons_triple_loop_is_quick(engine: str) -> None:
    if engine == "python":
        pytest.skip("the engine has no part in it")
    a, b = gu.ones(5, 784).realize(), gu.ones(784, 10).realize()
    c = gu.zeros(5, 10)

    def loops() -> None:
        for i in range(5):
            for j in range(10):
                for k in range(78):
                    c[i, j] += a[i, k] * b[k, j]

    assert best(loops, 3) * 10 < 6.0  # a tenth of 39,200 steps, about 0.12 s on a quiet machine
    assert c.sum().item() == 3 * 5 * 10 * 78
