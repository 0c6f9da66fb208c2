"""`groundup.testing`: what passes, what fails, and that a failure says where and by how much."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup import testing

NAN, INF = float("nan"), float("inf")


def said(function: Callable[..., None], *args: Any, **kwargs: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        function(*args, **kwargs)
    return str(caught.value)


EQUAL = [
    (1, 1.0), ("a", "a"), (None, None), (2**70, 2**70), (b"x", b"x"),
    (gu.arange(3), [0, 1, 2]), (gu.tensor(2.0), 2.0), (gu.zeros(0, 3), gu.zeros(0, 3)),
    (gu.ones(2, requires_grad=True), (1, 1)), (gu.ones(2), np.ones(2, np.float32)),
    (gu.tensor([1.0, NAN]), gu.tensor([1.0, NAN])), (NAN, NAN), (gu.tensor(-0.0), 0.0),
    (gu.ones(3)[None].expand(2, 3), gu.ones(2, 3)), (gu.ones(2, 3).shape, [2, 3]),
    (gu.ones(2, dtype=gu.bfloat16), gu.ones(2, dtype=gu.bfloat16)),
    ({"a": [1, gu.ones(2)]}, {"a": (1, gu.ones(2))}), ((i for i in range(3)), [0, 1, 2]),
    (np.array(["a", "b"]), np.array(["a", "b"])), ([[1, 2], [3]], [[1, 2], [3]]), ({1, 2}, {2, 1}),
    (range(2), [0, 1]), ([], ()),
]  # fmt: skip


@pytest.mark.parametrize("a, b", EQUAL, ids=[f"{type(a).__name__}" for a, _ in EQUAL])
def test_what_is_equal(a: Any, b: Any) -> None:
    testing.test_eq(a, b)
    if not hasattr(a, "send"):  # a generator has been read
        assert "a and b are equal" in said(testing.test_ne, a, b)


DIFFERENT = [
    (gu.ones(3), gu.ones(3, 1), "shapes differ"),
    (gu.ones(2), gu.ones(2, dtype=gu.float64), "types differ: a is float32, b is float64"),
    (gu.tensor([1.0, NAN]), gu.tensor([1.0, 2.0]), "a is NaN at 1 of these"),
    (gu.tensor([1.0, 2.0, 4.0]), [1, 2, 3], "1 of 3 elements differs\n  at [2]:  a 4.0   b 3"),
    ({"a": [1, {"b": gu.ones(2)}]}, {"a": [1, {"b": gu.zeros(2)}]}, "at a['a'][1]['b']"),
    ([1, 2, 3], [1, 2], "lengths differ: 3 and 2; the rest is equal\n  only in a: [2] = 3"),
    ([1, 2, 3], [1, 5], "they differ from [1] on"),
    ("hello", "hallo", "^ character 1"),
    ({1: 2}, {1: 2, 3: 4}, "keys differ\n  only in b:  3"),
    ({1, 2}, {2, 3}, "only in a:  1\n  only in b:  3"),
    (None, 1, "NoneType and int"), (2**70, 2**70 + 1, "a and b differ"),
    (gu.ones(2), "text", "an array of numbers and something else"),
    (gu.tensor(INF), -INF, "the numbers differ"),
    (np.array(["a", "b"]), np.array(["a", "c"]), "a and b differ at a[1]"),
    (np.array([["a", "b"]]), np.array(["a", "b"]), "shapes differ"),
    (np.array([2**64 - 1], np.uint64), np.array([2**64 - 2], np.uint64), "a − b = 1"),
    (gu.tensor([1 + 2j]), [1 - 2j], "a (1+2j)   b (1-2j)   a − b = 0+4j"),
]  # fmt: skip


@pytest.mark.parametrize("a, b, text", DIFFERENT, ids=[d[2][:20] for d in DIFFERENT])
def test_what_differs(a: Any, b: Any, text: str) -> None:
    message = said(testing.test_eq, a, b)
    assert text in message
    assert "test_testing.py:" in message  # the user's line
    testing.test_ne(a, b)


def test_a_large_tensor_gives_a_short_message() -> None:
    x = gu.randn(300, 300)
    message = said(testing.test_eq, x, x + 1)
    assert "90000 of 90000 elements differ" in message and "and 89995 more" in message
    assert len(message) < 800
    assert "Tensor of shape (300, 300), float32" in said(testing.test_eq, [None], [x])


def test_near_is_absolute_and_relative() -> None:
    testing.test_near([1.0, 1000.0], [1.0005, 1000.9])
    testing.test_near({"a": gu.ones(2)}, {"a": gu.ones(2, dtype=gu.float64)})
    testing.test_near(gu.tensor([NAN, INF]), [NAN, INF])
    testing.test_near(1, True)
    message = said(testing.test_near, gu.tensor([[1.0, 2.0], [1.0, 5.0]]), [[1.0, 2.1], [1.0, 6.0]])
    assert "2 of 4 elements differ by more than 1e-05 + 0.001·|b|" in message
    worst, other = message.splitlines()[1:3]
    assert worst == "  at [1, 1]:  a 5.0   b 6.0   a − b = -1, 0.167 of |b|"
    assert other.startswith("  at [0, 1]:")
    assert "what are no numbers must be equal" in said(testing.test_near, "a", "b")


@pytest.mark.parametrize("a, b", [(INF, -INF), (1.0, INF), (INF, 1.0), (NAN, 1.0), (1.0, NAN)])
def test_nothing_finite_is_near_infinity_or_nan(a: float, b: float) -> None:
    for test in (testing.test_near, testing.test_close):
        assert "the numbers differ" in said(test, a, b)


def test_close_and_near_zero() -> None:
    testing.test_close(gu.tensor([100.0]), [100.5], eps=0.6)
    assert "by more than 0.1" in said(testing.test_close, [100.0], [100.5], eps=0.1)
    testing.test_near_zero(gu.tensor([1e-4, -1e-4]))
    testing.test_near_zero([0.0, 0])
    assert "at [1]:  a 1.0" in said(testing.test_near_zero, gu.tensor([0.0, 1.0]))
    assert "no number" in said(testing.test_near_zero, "zero")
    with pytest.raises(ValueError, match="a tolerance is 0 or more, not -1"):
        testing.test_near(1, 1, rtol=-1)


def test_fail_looks_at_the_error() -> None:
    testing.test_fail(lambda: 1 / 0, contains="division", kind=ZeroDivisionError)
    testing.test_fail(int, kind=(TypeError, ValueError), args=("x",), kwargs={"base": 10})
    assert "no error was raised; the result is 3" in said(testing.test_fail, lambda: 3)
    assert "expected  'foo'" in said(testing.test_fail, lambda: 1 / 0, contains="foo")
    message = said(testing.test_fail, lambda: 1 / 0, kind=ValueError)
    assert "ValueError was expected, and ZeroDivisionError was raised" in message


def test_test_takes_any_comparison() -> None:
    testing.test(gu.ones(2), gu.zeros(2), lambda a, b: a > b)
    assert "greater(a, b) does not hold" in said(
        testing.test, gu.tensor([1.0, -1.0]), 0, lambda a, b: a > b, "greater"
    )


@pytest.mark.peers
def test_tensors_of_other_libraries() -> None:
    import torch

    testing.test_eq(gu.ones(2), torch.ones(2, requires_grad=True))
    testing.test_eq(gu.ones(2, dtype=gu.bfloat16), torch.ones(2, dtype=torch.bfloat16))
    assert "float32, b is float64" in said(testing.test_eq, gu.ones(1), torch.ones(1).double())


def test_it_is_light() -> None:
    code = "import sys, groundup.testing; print('numpy' in sys.modules, 'nbformat' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "False False\n"
