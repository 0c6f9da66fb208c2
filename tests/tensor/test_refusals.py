"""What cannot be is refused with a reason: numbers beyond their type, lists without end, wrong
sizes. Must not end in an internal error, a hang, or a silently wrong number.
"""

from collections.abc import Callable
from typing import Any

import pytest

import groundup as gu


@pytest.mark.parametrize("value", [[1, 2**70], 2**63, -(2**63) - 1, [[0], [2**64]]])
def test_integers_beyond_int64(value: Any) -> None:
    with pytest.raises(OverflowError, match="(?s)does not fit into int64.*test_refusals.py"):
        gu.tensor(value)


def test_integers_that_fit_and_none_is_cut() -> None:
    assert gu.tensor([-(2**63), 2**63 - 1]).tolist() == [-(2**63), 2**63 - 1]
    assert gu.tensor(2**64 - 1, dtype=gu.uint64).item() == 2**64 - 1
    assert gu.tensor(2**70, dtype=gu.float64).item() == 2.0**70
    assert gu.tensor([2**70, 0.5]).tolist() == [2.0**70, 0.5]
    with pytest.raises(OverflowError, match="uint8 holds, 0 to 255"):
        gu.tensor([300], dtype=gu.uint8)
    assert gu.tensor([300]).to(gu.uint8).tolist() == [44]


def _nested(depth: int) -> Any:
    value: Any = 1.0
    for _ in range(depth):
        value = [value]
    return value


def test_lists_without_end() -> None:
    one: list[Any] = []
    one.append(one)
    two: list[Any] = []
    two += [[two], [two]]
    for endless in (one, two):
        with pytest.raises(gu.ShapeError, match="contain themselves"):
            gu.tensor(endless)
    with pytest.raises(gu.ShapeError, match="nested more than 64 deep"):
        gu.tensor(_nested(100_000))
    assert gu.tensor(_nested(64)).shape == (1,) * 64


def test_lists_that_are_shared_are_data() -> None:
    row = [1, 2]
    assert gu.tensor([[row, row], [row, row]]).tolist() == [[row, row], [row, row]]
    empty: list[Any] = []
    assert gu.tensor([[empty], [empty]]).shape == (2, 1, 0)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: gu.randperm(-1), ValueError, "n is 0 or more, not -1"),
        (lambda: gu.randint(0, 2**70, (3,)), OverflowError, "more than int64 holds"),
        (lambda: gu.zeros(3).chunk(0), ValueError, "at least one piece"),
        (lambda: gu.zeros(2.5), TypeError, "whole numbers, not \\(2.5\\)"),
        (lambda: gu.zeros(2, "a"), TypeError, "whole numbers, not \\(2, 'a'\\)"),
        (lambda: gu.zeros(3).reshape([1.5, 2]), TypeError, "whole numbers"),
        (lambda: gu.ones(2, _nested(5000)), TypeError, "not \\(2, list\\)"),
        (lambda: gu.arange(0, float("inf")), ValueError, "has no end"),
        (lambda: gu.arange(0, float("nan")), ValueError, "has no end"),
        (lambda: gu.zeros(3).fill_(gu.ones(2)), gu.ShapeError, "copy_ takes a tensor"),
        (lambda: gu.real(3), TypeError, "real: a is a tensor, not 3"),
        (lambda: gu.amax([1.0]), TypeError, "amax: a is a tensor, not 'list'"),
        (lambda: gu.isnan("a"), TypeError, "isnan takes a tensor"),
        (lambda: gu.neg(None), TypeError, "neg takes a tensor"),
        (lambda: gu.reshape(3, 1), TypeError, "reshape: a is a tensor, not 3"),
        (lambda: gu.promote_types(gu.int8, "a"), TypeError, "promote_types: b is a type"),
        (lambda: gu.broadcast_tensors(gu.ones(1), 3), TypeError, "takes tensors, not a int"),
        (lambda: gu.realize(3), TypeError, "realize takes tensors, not a int"),
        (lambda: gu.derivatives(gu.ones(1), 3), TypeError, "derivatives was not written for"),
        (lambda: gu.imag([1j]), TypeError, "imag: a is a tensor, not 'list'"),
        (lambda: gu.conj(1j), TypeError, "conj: a is a tensor, not 1j"),
        (lambda: gu.view_as_real(None), TypeError, "view_as_real: z is a tensor, not None"),
        (lambda: gu.view_as_complex(2.0), TypeError, "view_as_complex: pairs is a tensor"),
        (lambda: gu.ones(1, dtype=gu.complex64).backward(1.0), TypeError, "gradient is a tensor"),
        (lambda: setattr(gu.ones(1), "grad", 1.0), TypeError, "a tensor or None, not a float"),
        (lambda: setattr(gu.tensor([1j]), "grad", [1j]), TypeError, "or None, not a list"),
    ],
)
def test_wrong_arguments(call: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_degrees_that_no_number_holds() -> None:
    x = gu.ones(2)
    for degree in (2**40, float("inf"), float("-inf"), float("nan"), 10**400):
        with pytest.raises(ValueError, match="a degree is"):
            gu.special.hermite_polynomial_h(x, degree)
    for n in (171, 2**40, 10**400):
        with pytest.raises(ValueError, match="n is at most 170"):
            gu.polygamma(n, x)
    assert gu.polygamma(170, x.double()).isfinite().all()
