"""Python's numbers beside tensors: what a type does not hold, divisions by 0, shifts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup import nn, optim
from groundup.nn import functional as F

KEPT: dict[str, Callable[[Any, gu.DType], Any]] = {
    "full": lambda v, d: gu.full((2,), v, dtype=d),
    "tensor": lambda v, d: gu.tensor([v, 0], dtype=d),
    "full_like": lambda v, d: gu.full_like(gu.zeros(2, dtype=d), v),
    "new_full": lambda v, d: gu.zeros(1, dtype=d).new_full((2,), v),
    "fill_": lambda v, d: gu.zeros(2, dtype=d).fill_(v),
    "masked_fill": lambda v, d: gu.zeros(2, dtype=d).masked_fill(gu.tensor([True, False]), v),
    "index_fill": lambda v, d: gu.zeros(2, dtype=d).index_fill(0, gu.tensor([0]), v),
    "x[0] = v": lambda v, d: gu.zeros(2, dtype=d).__setitem__(0, v),
    "x[:1] = v": lambda v, d: gu.zeros(2, dtype=d).__setitem__(slice(1), v),
    "pad": lambda v, d: gu.pad(gu.zeros(2, dtype=d), (1, 0), value=v),
}


@pytest.mark.parametrize("name", KEPT)
def test_a_number_that_a_type_does_not_hold_is_refused(name: str) -> None:
    keep = KEPT[name]
    for dtype, wrong, right in (
        (gu.uint8, (256, 300, -256, math.inf, math.nan), (255, 0, -1, -255)),
        (gu.int8, (128, -129, 2**70), (127, -128)),
        (gu.int64, (2**63, -(2**63) - 1, 2**70), (2**63 - 1, -(2**63))),
    ):
        for value in wrong:
            with pytest.raises(OverflowError, match=r"holds|does not fit|64 bits") as caught:
                keep(value, dtype)
            assert "test_numbers.py" in str(caught.value)
        for value in right:
            made = keep(value, dtype)
            if made is not None:
                assert value % 2**dtype.bits in [x % 2**dtype.bits for x in made.tolist()]


def test_choices_refuse_what_the_tensor_s_type_does_not_hold() -> None:
    small, yes = gu.zeros(2, dtype=gu.int8), gu.tensor([True, False])
    for choose in (
        lambda: gu.where(yes, small, 1000),
        lambda: small.clamp(max=1000),
        lambda: small.clamp_min(-1000),
    ):
        with pytest.raises(OverflowError, match="int8 holds, -128 to 127"):
            choose()
    assert (small + 1000).tolist() == [-24, -24]  # arithmetic goes round, as in C
    assert gu.where(yes, small, 1000.0).tolist() == [0.0, 1000.0]


def test_an_integer_divided_by_a_known_0_is_refused() -> None:
    x = gu.arange(3)
    for divide in (
        lambda: x // 0, lambda: x % 0, lambda: gu.fmod(x, 0), lambda: x.floor_divide_(0),
        lambda: gu.div(x, 0, rounding_mode="trunc"), lambda: gu.tensor(5) // gu.tensor(0),
    ):  # fmt: skip
        with pytest.raises(ZeroDivisionError, match="divided by 0"):
            divide()
    assert (x / 0).isinf().tolist() == [False, True, True]
    assert (gu.ones(1) // 0).tolist() == [math.inf] and math.isnan((gu.ones(1) % 0).item())
    assert (x // gu.tensor([0, 1, 2])).tolist() == [0, 1, 1]  # by data: 0, as documented


def test_shifts_by_any_count(engine: str) -> None:
    counts = gu.tensor([0, 1, 62, 63, 64, 70, -1, -64])
    assert (gu.tensor([1] * 8) << counts).tolist() == [1, 2, 2**62, -(2**63), 0, 0, 0, 0]
    assert (gu.tensor([-8] * 8) >> counts).tolist() == [-8, -4, -1, -1, -1, -1, -1, -1]
    assert (gu.tensor([9] * 8) >> counts).tolist() == [9, 4, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("label", [-1, -3, -99, 3])
def test_labels_that_are_no_class_are_refused_with_weights_too(label: int) -> None:
    scores, weight = gu.randn(2, 3), gu.ones(3)
    losses: list[Callable[[gu.Tensor], gu.Tensor]] = [
        lambda y: F.cross_entropy(scores, y, weight=weight),
        lambda y: F.cross_entropy(scores, y, ignore_index=0),
        lambda y: F.nll_loss(scores, y, weight=weight, ignore_index=1),
        lambda y: F.cross_entropy(scores, y, weight=weight, label_smoothing=0.1),
        lambda y: F.multi_margin_loss(scores, y),
    ]
    for loss in losses:
        with pytest.raises(IndexError):
            loss(gu.tensor([label, 2])).item()
    if label < 0:
        one = F.cross_entropy(scores, gu.tensor([label, 2]), ignore_index=label)
        assert gu.allclose(one, F.cross_entropy(scores[1:], gu.tensor([2])))


def test_a_choice_by_a_constant_keeps_its_history() -> None:
    x = gu.zeros(3, requires_grad=True)
    for y in (
        gu.where(x == 0, 0.0, x * 3), gu.where(x != 0, x * 3, 0.0), x.clamp(min=1.0),
        x.masked_fill(x == 0, 7.0),
    ):  # fmt: skip
        assert y.requires_grad
        x.grad = None
        y.sum().backward()
        assert x.grad is not None and x.grad.tolist() == [0.0] * 3


def test_a_loss_that_failed_does_not_fail_the_next_step() -> None:
    net = nn.Linear(3, 3)
    opt = optim.SGD(net.parameters(), lr=0.1)
    x, good = gu.randn(4, 3), gu.tensor([0, 1, 1, 2]).realize()
    bad = gu.tensor([0, 1, 7, 2]).realize()
    failed = F.cross_entropy(net(x), bad + 0)  # kept, and nobody has asked for it
    before = net.weight.tolist()
    F.cross_entropy(net(x), good).backward()
    opt.step()
    assert net.weight.tolist() != before
    with pytest.raises(IndexError, match="index 7 is out of range"):
        failed.item()


@pytest.mark.parametrize("name", ["float16", "float32", "float64", "int8", "uint64"])
def test_the_limits_of_types_are_numpys(name: str) -> None:
    dtype = getattr(gu, name)
    info = np.finfo(name) if dtype.is_float else np.iinfo(name)
    assert (dtype.least, dtype.greatest) == (info.min, info.max)
    if dtype.is_float:
        assert (dtype.smallest_normal, dtype.eps) == (info.tiny, info.eps)


def test_the_limits_of_bfloat16_and_of_parts() -> None:
    kind = gu.bfloat16  # 8 bits of the exponent, 7 of the fraction
    assert kind.greatest == float.fromhex("0x1.fep127") and kind.least == -kind.greatest
    assert (kind.smallest_normal, kind.eps) == (2.0**-126, 2.0**-7)
    assert gu.complex64.greatest == gu.float32.greatest and gu.bool.greatest == 1
