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


OPTIONS: list[dict[str, Any]] = [
    {"precision": 2}, {"threshold": 5}, {"edgeitems": 1, "threshold": 10}, {"linewidth": 40},
    {"profile": "short"}, {"profile": "full"}, {"sci_mode": True}, {"sci_mode": False},
    {"profile": "short", "precision": 6}, {"precision": 0}, {"threshold": float("inf")},
]  # fmt: skip


@pytest.mark.peers
@pytest.mark.parametrize("options", OPTIONS)
def test_options_as_in_torch(options: dict[str, Any]) -> None:
    theirs = torch()
    try:
        gu.set_printoptions(**options)
        theirs.set_printoptions(**options)
        for case in CASES:
            expected = repr(case(theirs)).replace("torch.", "groundup.")
            assert repr(case(gu)) == expected
    finally:
        gu.set_printoptions(profile="default")
        theirs.set_printoptions(profile="default")


def test_options_of_a_block_and_wrong_ones() -> None:
    with gu.printoptions(precision=1):
        assert repr(gu.tensor([1.25])) == "tensor([1.2])"
        assert gu.get_printoptions()["precision"] == 1
    assert gu.get_printoptions() == {
        "precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80, "sci_mode": None,
    }  # fmt: skip
    for wrong in ({"precision": -1}, {"profile": "long"}, {"edgeitems": 0}, {"threshold": "many"}):
        with pytest.raises(ValueError, match="set_printoptions"):
            gu.set_printoptions(**wrong)  # type: ignore[arg-type]


def test_of_large_tensors_only_what_is_shown_is_read() -> None:
    x = gu.arange(40000).reshape(200, 200)
    assert repr(x.T) == repr(gu.tensor(x.T.tolist()))
    half = (x[:, ::2] % 50).half()
    assert repr(half).replace(", dtype=groundup.float16", "") == repr(half.float())
    assert repr(gu.ones(1).expand(2000)).startswith("tensor([1., 1., 1.,  ..., 1.")
