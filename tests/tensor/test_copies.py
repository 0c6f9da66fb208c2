"""What is no view has memory of its own, also where it computes nothing; what is one has not."""

from collections.abc import Callable
from typing import Any

import pytest

import groundup as gu

COPIES: dict[str, tuple[tuple[int, ...], Callable[[Any], Any]]] = {
    "cumsum": ((), lambda x: x.cumsum(0)),
    "cumprod": ((), lambda x: x.cumprod(0)),
    "cumprod of one": ((1,), lambda x: x.cumprod(0)),
    "prod": ((), lambda x: x.prod()),
    "prod of one": ((2, 1), lambda x: x.prod(1)),
    "sum of one": ((2, 1), lambda x: x.sum(1)),
    "float": ((2,), lambda x: x.float()),
    "diff": ((2,), lambda x: x.diff(n=0)),
    "pixel_shuffle": ((1, 2, 2), lambda x: gu.nn.functional.pixel_shuffle(x, 1)),
    "pixel_unshuffle": ((1, 2, 2), lambda x: gu.nn.functional.pixel_unshuffle(x, 1)),
    "roll": ((2,), lambda x: x.roll(0)),
    "repeat": ((2,), lambda x: x.repeat(1)),
    "cat": ((2,), lambda x: gu.cat([x])),
    "cat of one": ((2,), lambda x: gu.cat([x, gu.tensor([])])),
}


@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize("dtype", [gu.float64, gu.complex64], ids=str)
@pytest.mark.filterwarnings("ignore:converting")
def test_a_value_has_memory_of_its_own(name: str, dtype: gu.DType) -> None:
    shape, function = COPIES[name]
    x = gu.ones(*shape, dtype=dtype)
    function(x).mul_(5)
    assert bool((x == 1).all())


def test_the_type_of_tensors_without_elements_counts() -> None:
    ones = gu.ones(2, dtype=gu.int8)
    for dtype in (gu.float32, gu.complex64, gu.int64):
        joined = gu.cat([ones, gu.zeros(0, dtype=dtype)])
        assert joined.dtype is dtype and joined.tolist() == [1, 1]
    joined = gu.cat([gu.zeros(0, dtype=gu.complex128), gu.ones(2, dtype=gu.complex64)])
    assert joined.dtype is gu.complex128
