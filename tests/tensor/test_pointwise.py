"""Pointwise operations, compared with torch: values, types, shapes and derivatives."""

import operator
import warnings
from typing import Any

import numpy as np
import pytest

import groundup as gu

from .support import AWKWARD, SPECIAL, compare, same, sample, torch

UNARY = [
    "exp", "expm1", "log", "log1p", "log2", "log10", "sqrt", "rsqrt", "reciprocal", "sin", "cos",
    "tan", "tanh", "erf", "sigmoid", "relu", "square", "neg", "abs", "sign", "floor", "ceil",
    "trunc", "round", "isnan", "isinf", "isfinite", "logical_not",
]  # fmt: skip
BINARY = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow"]
COMPARE = ["lt", "le", "gt", "ge", "eq", "ne"]
DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float32", "float64"]


@pytest.mark.peers
@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("shape", [(), (0,), (3, 1), (2, 3, 4)])
def test_unary(name: str, shape: tuple[int, ...]) -> None:
    positive = name in ("log", "log1p", "log2", "log10", "sqrt", "rsqrt")
    x = sample(shape)
    x = np.abs(x) + np.float32(0.1) if positive else x
    compare(lambda lib, a: getattr(a, name)(), np.asarray(x), rtol=1e-5)


@pytest.mark.peers
@pytest.mark.parametrize("name", UNARY)
def test_unary_of_special_values(name: str) -> None:
    x = np.array(SPECIAL, "float32")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compare(lambda lib, a: getattr(a, name)(), x, grad=False, rtol=1e-5)


@pytest.mark.peers
@pytest.mark.parametrize(
    "name", ["exp", "sqrt", "sigmoid", "neg", "abs", "relu", "floor", "square"]
)
@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "float64"])
def test_unary_types(name: str, dtype: str) -> None:
    x = np.abs(sample((5,), dtype))
    compare(lambda lib, a: getattr(a, name)(), x, rtol=1e-5)


@pytest.mark.peers
@pytest.mark.parametrize("name", BINARY + COMPARE)
@pytest.mark.parametrize("pair", [
    *zip(AWKWARD[3:], AWKWARD[3:], strict=True),
    ((3, 1), (1, 4)), ((), (2, 3)), ((2, 1, 3), (4, 1)), ((0,), (1,)), ((2, 0, 3), (3,)),
])  # fmt: skip
def test_binary(name: str, pair: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    a, b = np.asarray(sample(pair[0])), np.asarray(sample(pair[1], seed=1))
    if name == "pow":
        a = np.asarray(np.abs(a) + np.float32(0.1))
    grad = name not in ("floordiv", "mod")
    compare(lambda lib, x, y: getattr(operator, name)(x, y), a, b, grad=grad, rtol=1e-5)


@pytest.mark.peers
@pytest.mark.parametrize("name", BINARY + COMPARE)
def test_binary_of_special_values(name: str) -> None:
    a = np.array(SPECIAL, "float32")[:, None]
    b = np.array(SPECIAL, "float32")
    compare(lambda lib, x, y: getattr(operator, name)(x, y), a, b, grad=False, rtol=1e-5)


@pytest.mark.peers
@pytest.mark.parametrize("left", DTYPES)
@pytest.mark.parametrize("right", DTYPES)
@pytest.mark.parametrize("shapes", [((2,), (2,)), ((2,), ()), ((), (2,)), ((), ())])
def test_promotion(left: str, right: str, shapes: Any) -> None:
    a, b = np.asarray(sample(shapes[0], left)), np.asarray(sample(shapes[1], right, 1))
    t = torch()
    for name in ("add", "mul", "truediv", "lt", "eq"):
        f = getattr(operator, name)
        ours = f(gu.from_numpy(a), gu.from_numpy(b))
        theirs = f(t.from_numpy(a), t.from_numpy(b))
        same(ours, theirs, where=f"{left} {name} {right} of {shapes}")


@pytest.mark.peers
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("number", [True, 2, 2.5])
@pytest.mark.parametrize("shape", [(), (3,)])
def test_promotion_with_numbers(dtype: str, number: Any, shape: tuple[int, ...]) -> None:
    a = np.asarray(sample(shape, dtype))
    compare(lambda lib, x: x + number, a, grad=False)
    compare(lambda lib, x: number * x, a, grad=False)
    compare(lambda lib, x: x / number, a, grad=False)
    compare(lambda lib, x: x == number, a, grad=False)
    if dtype != "bool" and number is not True:
        compare(lambda lib, x: number - x, a, grad=False)


@pytest.mark.peers
@pytest.mark.parametrize("exponent", [0, 1, 2, 3, -1, 0.5, -0.5, 2.5, -2])
def test_powers(exponent: float) -> None:
    x = np.abs(sample((4,))) + np.float32(0.2)
    compare(lambda lib, a: a**exponent, x, rtol=1e-5)
    compare(lambda lib, a: exponent**a, x, rtol=1e-5, grad=exponent > 0)


@pytest.mark.peers
@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
def test_integer_operations(dtype: str) -> None:
    a = np.array([0, 1, 2, 3, 5, 100], dtype)
    b = np.array([1, 3, 2, 5, 2, 7], dtype)
    for name in ("add", "sub", "mul", "floordiv", "mod", "and_", "or_", "xor", "pow"):
        compare(lambda lib, x, y, n=name: getattr(operator, n)(x, y), a, b)
    compare(lambda lib, x: ~x, a)
    compare(lambda lib, x: x << 2, a)
    compare(lambda lib, x: x >> 1, a)
    compare(lambda lib, x: x**3, a)


@pytest.mark.peers
def test_negative_integers_divide_downwards() -> None:
    a = np.array([-7, 7, -7, 7], "int64")
    b = np.array([2, -2, -2, 2], "int64")
    compare(lambda lib, x, y: x // y, a, b)
    compare(lambda lib, x, y: x % y, a, b)


@pytest.mark.peers
def test_float_division_downwards() -> None:
    a = np.array([1.0, -1.0, 7.5, 6.0, 0.3], "float32")
    b = np.array([0.1, 0.1, -2.5, 2.0, -0.1], "float32")
    compare(lambda lib, x, y: x // y, a, b, grad=False)
    compare(lambda lib, x, y: x % y, a, b, grad=False)
    compare(lambda lib, x: x[0] // 0.1, a, grad=False)


@pytest.mark.peers
@pytest.mark.parametrize("name", ["and_", "or_", "xor", "add", "mul", "lt", "le", "eq", "ne"])
def test_bools(name: str) -> None:
    a, b = np.array([True, True, False, False]), np.array([True, False, True, False])
    compare(lambda lib, x, y: getattr(operator, name)(x, y), a, b)


@pytest.mark.peers
def test_maximum_minimum() -> None:
    a, b = sample((3, 4)), sample((4,), seed=1)
    compare(lambda lib, x, y: lib.maximum(x, y), a, b)
    compare(lambda lib, x, y: lib.minimum(x, y), a, b)
    s = np.array(SPECIAL, "float32")
    compare(lambda lib, x, y: lib.maximum(x, y), s[:, None], s, grad=False)
    compare(lambda lib, x, y: lib.minimum(x, y), s[:, None], s, grad=False)


@pytest.mark.peers
@pytest.mark.parametrize("low,high", [(0.0, None), (None, 0.5), (-0.5, 0.5), (1.0, -1.0)])
def test_clamp(low: float | None, high: float | None) -> None:
    compare(lambda lib, x: x.clamp(low, high), sample((3, 4)))
    compare(lambda lib, x: x.clamp(low, high), np.array(SPECIAL, "float32"), grad=False)


@pytest.mark.peers
def test_clamp_of_a_kink_as_in_the_lesson() -> None:
    compare(lambda lib, x: x.clamp_min(0.0), np.array([-1.0, 0.0, 2.0], "float32"))
    compare(lambda lib, x: x.clamp_max(2), np.array([-1, 0, 3], "int64"))


@pytest.mark.peers
def test_where_and_masked_fill() -> None:
    a, b, m = sample((3, 4)), sample((4,), seed=1), sample((3, 1), "bool")
    compare(lambda lib, x, y, c: lib.where(c, x, y), a, b, m)
    compare(lambda lib, x, c: lib.where(c, x, 0.0), a, m)
    compare(lambda lib, x, c: lib.where(c, 1, x), sample((3, 4), "int32"), m)
    compare(lambda lib, x, c: x.masked_fill(c, -1.5), a, m)


@pytest.mark.peers
@pytest.mark.parametrize("to", DTYPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_casts(dtype: str, to: str) -> None:
    compare(lambda lib, x: x.to(getattr(lib, to)), np.abs(sample((5,), dtype)))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_types_are_stored(dtype: str, engine: str) -> None:
    if engine == "compiled" and dtype:
        pytest.importorskip("groundup.schedule")
    x = gu.tensor([1.0, -2.5, 65504.0, 1e-3]).to(getattr(gu, dtype))
    back = x.float().tolist()
    assert x.dtype.name == dtype
    assert back[:2] == [1.0, -2.5]
    assert abs(back[3] - 1e-3) < 1e-5


def test_wrong_types_are_explained() -> None:
    with pytest.raises(TypeError, match="~"):
        gu.tensor([True]) - gu.tensor([True])
    with pytest.raises(TypeError, match="bits"):
        gu.tensor([1.0]) & gu.tensor([1.0])
    with pytest.raises(TypeError, match="cast one of them"):
        gu.tensor([1], dtype=gu.uint64) + gu.tensor([1], dtype=gu.int32)
    with pytest.raises(TypeError, match="written in place"):
        x = gu.tensor([1])
        x += 0.5
    with pytest.raises(ValueError, match="negative power"):
        gu.tensor([2]) ** -1
    with pytest.raises(TypeError, match="bool"):
        gu.where(gu.tensor([1]), 1.0, 2.0)


def test_shapes_that_do_not_fit_are_lined_up() -> None:
    with pytest.raises(gu.ShapeError) as error:
        gu.zeros(3, 4) + gu.zeros(3)
    text = str(error.value)
    assert "+: shapes do not fit" in text
    assert "\n  a  (3, 4)\n  b     (3,)\n         ^\n  sizes must be equal" in text
    assert "test_pointwise.py" in text
    assert "gu.zeros(3, 4) + gu.zeros(3)" in text
