"""How tensors print, compared with torch."""

import re
from typing import Any

import pytest

import groundup as gu

from .support import torch

CASES: list[Any] = [
    lambda lib: lib.tensor(3), lambda lib: lib.tensor(2.5), lambda lib: lib.tensor([1, -20, 3]),
    lambda lib: lib.tensor([1.0, 2.0]), lambda lib: lib.tensor([1.5, -2.25]),
    lambda lib: lib.tensor([[True, False]]), lambda lib: lib.arange(24).reshape(2, 3, 4),
    lambda lib: lib.zeros(2, 0), lambda lib: lib.tensor([]), lambda lib: lib.tensor([1e-8, 1.0]),
    lambda lib: lib.tensor([1e10, 1.0]), lambda lib: lib.tensor([float("nan"), float("inf"), 1.5]),
    lambda lib: lib.tensor([1.0, float("-inf")]), lambda lib: lib.arange(30.0) / 7,
    lambda lib: lib.arange(2000), lambda lib: lib.arange(10000.0).reshape(100, 100) / 3,
    lambda lib: lib.ones(2, dtype=lib.float64), lambda lib: lib.ones(2, dtype=lib.int32),
    lambda lib: lib.tensor([0.00001, 0.00002]), lambda lib: lib.tensor([12345.678, 0.5]),
    lambda lib: lib.tensor([100000000.0, 1.0]), lambda lib: lib.tensor([1e9]),
]  # fmt: skip


@pytest.mark.peers
@pytest.mark.parametrize("case", range(len(CASES)))
def test_as_in_torch(case: int) -> None:
    ours, theirs = repr(CASES[case](gu)), repr(CASES[case](torch()))
    assert ours == theirs.replace("torch.", "groundup.")


def test_history_shows() -> None:
    w = gu.tensor([1.0], requires_grad=True)
    assert repr(w) == "tensor([1.], requires_grad=True)"
    assert re.fullmatch(r"tensor\(\[2\.\], grad_fn=<.*>\)", repr(w * 2))
