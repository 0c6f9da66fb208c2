"""What is computed of numbers that are known at once (0-d tensors, fills) is what is computed of
the same numbers in memory, and what torch computes."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest

import groundup as gu

OPS = ("sub", "floor_divide", "remainder", "fmod", "pow", "bitwise_left_shift")
KINDS = {
    "bool": [True, False],
    "uint8": [0, 1, 2, 3, 5, 7, 200, 255],
    "int8": [0, 1, -1, 2, 3, 5, -3, 100, -128],
    "int64": [0, 1, -1, 2, 3, -3, 5, 40],
    "float32": [0.0, -0.0, 1.0, -1.5, 3.0, math.inf, math.nan],
}


@pytest.fixture(autouse=True)
def engine() -> str:
    """What is known at once runs on nothing."""
    return "compiled"


def same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and math.isnan(a):
        return isinstance(b, float) and math.isnan(b)
    return bool(a == b) and math.copysign(1, a) == math.copysign(1, b)


def pairs(kind: str, op: str) -> list[tuple[Any, Any]]:
    found = list(itertools.product(KINDS[kind], repeat=2))
    if "shift" in op:
        found = [(a, b) for a, b in found if 0 <= b < 7]
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("op", OPS)
def test_two_known_numbers_are_two_elements(op: str, kind: str) -> None:
    function, dtype = getattr(gu, op), getattr(gu, kind)
    given = pairs(kind, op)
    a, b = (gu.tensor(list(side), dtype=dtype) for side in zip(*given, strict=True))
    try:
        every = function(a, b)
    except TypeError:
        with pytest.raises(TypeError):
            function(a[0].clone(), b[0].clone())
        return
    for n, ((x, y), want) in enumerate(zip(given, every.tolist(), strict=True)):
        try:
            got = function(gu.tensor(x, dtype=dtype), gu.tensor(y, dtype=dtype))
        except ZeroDivisionError:
            assert y == 0
            continue
        assert got.dtype is every.dtype and same(got.item(), want), (x, y, got.item(), want)
        if n % 7 == 0:
            fill = function(gu.full((1,), x, dtype=dtype), gu.full((1,), y, dtype=dtype))
            assert same(fill.item(), want), (x, y, fill.item(), want)


@pytest.mark.peers
@pytest.mark.parametrize("kind", ["uint8", "int8", "int64"])
def test_powers_are_those_of_torch(kind: str) -> None:
    import torch

    given = pairs(kind, "pow")
    a, b = zip(*given, strict=True)
    ours = gu.tensor(a, dtype=getattr(gu, kind)) ** gu.tensor(b, dtype=getattr(gu, kind))
    x, y = (torch.tensor(v, dtype=getattr(torch, kind)) for v in (a, b))
    theirs = x**y
    assert ours.tolist() == theirs.tolist()
    for n, e in itertools.product(KINDS[kind], range(9)):
        want = (torch.tensor(n, dtype=getattr(torch, kind)) ** e).item()
        assert (gu.tensor(n, dtype=getattr(gu, kind)) ** e).item() == want
        assert (gu.full((2,), n, dtype=getattr(gu, kind)) ** e).tolist() == [want] * 2
    with pytest.raises(ValueError, match="negative power"):
        gu.tensor([3], dtype=getattr(gu, kind)) ** -1
    with pytest.raises(ValueError, match="negative power"):
        gu.tensor(3, dtype=getattr(gu, kind)) ** -1


def test_a_bool_to_the_power_of_a_bool() -> None:
    a, b = gu.tensor([True, True, False, False]), gu.tensor([True, False, True, False])
    assert (a**b).tolist() == [True, True, False, True] and (a**True).dtype is gu.bool


@pytest.mark.peers
@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float32", "float64"])
def test_ldexp_is_exact(kind: str) -> None:
    import torch

    values = [3.0, -0.7, 0.0, 1e-7, 1e-40, 6e4, math.inf, math.nan]
    for e in (0, 1, -3, 20, -20, 127, 140, -140, 200, 900, -900):
        a, b = (lib.tensor(values, dtype=getattr(lib, kind)) for lib in (gu, torch))
        ours, theirs = gu.ldexp(a, gu.tensor([e])), torch.ldexp(b, torch.tensor([e]))
        assert ours.dtype.name == kind
        got = torch.tensor(ours.tolist(), dtype=theirs.dtype)
        torch.testing.assert_close(got, theirs, equal_nan=True)
        assert gu.ldexp(a, e).tolist()[:3] == ours.tolist()[:3]
