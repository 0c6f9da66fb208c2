"""Functions of each element: types, special values, promotion, as array_api_strict has them."""

import itertools
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup import array_api as xp

from .support import (
    ALL,
    BOOL,
    COMPLEXES,
    INTEGERS,
    NUMERIC,
    REAL_NUMERIC,
    REALS,
    SIGNED,
    UNSIGNED,
    compare,
    sample,
)

EXACT: dict[str, tuple[str, ...]] = {
    "abs": REAL_NUMERIC, "bitwise_invert": (*BOOL, *INTEGERS), "ceil": REAL_NUMERIC,
    "floor": REAL_NUMERIC, "isfinite": NUMERIC, "isinf": NUMERIC, "isnan": NUMERIC,
    "logical_not": BOOL, "negative": (*SIGNED, *REALS), "positive": NUMERIC, "reciprocal": REALS,
    "round": REAL_NUMERIC, "sign": REAL_NUMERIC, "signbit": REALS, "sqrt": REALS,
    "square": REAL_NUMERIC, "trunc": REAL_NUMERIC, "real": ("complex64", "complex128"),
    "imag": ("complex64", "complex128"), "conj": ("complex64", "complex128"),
}  # fmt: skip
CLOSE = (
    "acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "exp", "expm1", "log",
    "log1p", "log2", "log10", "sin", "sinh", "tan", "tanh",
)  # fmt: skip


@pytest.mark.parametrize("name", EXACT)
def test_of_one_operand(name: str) -> None:
    for dtype in EXACT[name]:
        for x in (sample(dtype), sample(dtype, ()), sample(dtype, (0, 2))):
            compare(name, x)


@pytest.mark.parametrize("name", CLOSE)
def test_functions_of_one_operand(name: str) -> None:
    for dtype in REALS:
        x = sample(dtype)
        if name in ("sin", "cos", "tan"):
            x = x[~(np.abs(x) > 1e20) | ~np.isfinite(x)]
        compare(name, x, exact=False)
        zeros = np.array([0.0, -0.0], dtype)
        if name not in ("acos", "acosh", "cos", "cosh", "exp"):
            compare(name, zeros)  # with their signs


ANY_PAIR: dict[str, tuple[str, ...]] = {
    "add": NUMERIC, "bitwise_and": (*BOOL, *INTEGERS), "bitwise_or": (*BOOL, *INTEGERS),
    "bitwise_xor": (*BOOL, *INTEGERS), "copysign": REALS, "divide": REALS, "equal": ALL,
    "greater": REAL_NUMERIC, "greater_equal": REAL_NUMERIC, "less": REAL_NUMERIC,
    "less_equal": REAL_NUMERIC, "logical_and": BOOL, "logical_or": BOOL, "logical_xor": BOOL,
    "maximum": REAL_NUMERIC, "minimum": REAL_NUMERIC, "multiply": REAL_NUMERIC,
    "nextafter": REALS, "not_equal": ALL, "subtract": NUMERIC, "remainder": REALS,
    "floor_divide": REALS,
}  # fmt: skip


@pytest.mark.parametrize("name", ANY_PAIR)
def test_of_two_operands(name: str) -> None:
    """Every pair of special values."""
    for dtype in ANY_PAIR[name]:
        x = sample(dtype)
        if name in ("remainder", "floor_divide"):  # where NumPy's own rounding is not in question
            x = x[~((np.abs(x) > 100) | (np.abs(x) < 0.1)) | ~np.isfinite(x) | (x == 0)]
        compare(name, x[:, None], x[None, :])


@pytest.mark.parametrize("name", ["atan2", "hypot", "logaddexp", "pow"])
@pytest.mark.parametrize("dtype", REALS)
def test_functions_of_two_operands(name: str, dtype: str) -> None:
    x = sample(dtype)
    compare(name, x[:, None], x[None, :], exact=False)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_of_two_integers(dtype: str) -> None:
    a = sample(dtype)[:, None]
    b = np.array([1, 2, 3, 7], dtype)
    if dtype in SIGNED:
        b = np.concatenate([b, -b])
        a = a[a != np.iinfo(dtype).min].reshape(-1, 1)
    compare("remainder", a, b)
    compare("floor_divide", a, b)
    shift = np.arange(np.iinfo(dtype).bits, dtype=dtype)
    compare("bitwise_left_shift", a, shift)
    compare("bitwise_right_shift", a, shift)
    compare("pow", a, np.array([0, 1, 2, 3], dtype))


def promotable() -> list[tuple[str, str]]:
    groups = [BOOL, INTEGERS, ("float32", "float64", "complex64", "complex128")]
    pairs = [p for g in groups for p in itertools.product(g, g)]
    return [p for p in pairs if not ("uint64" in p and any(q in SIGNED for q in p))]


@pytest.mark.parametrize("pair", promotable(), ids="-".join)
def test_promotion(pair: tuple[str, str]) -> None:
    """The type of a result is that of the standard's tables, also where one has no axes."""
    for s1, s2 in [((2, 3), (3,)), ((), (3,)), ((), ())]:
        a, b = sample(pair[0], s1), sample(pair[1], s2, 1)
        compare("equal", a, b)
        compare("result_type", a, b)
        compare("where", np.array(True), a, b)
        if pair[0] != "bool":
            compare("add", a, b)
        if {*pair} <= {*REAL_NUMERIC}:
            compare("maximum", a, b)
    ours = xp.asarray(sample(pair[0], (3,))) == xp.asarray(sample(pair[1], (3,)))
    assert ours.dtype is xp.bool


def test_types_that_do_not_promote() -> None:
    for signed in SIGNED:
        for a, b in [("uint64", signed), (signed, "uint64")]:
            with pytest.raises(TypeError, match="no common integer type"):
                xp.add(xp.ones(2, dtype=getattr(xp, a)), xp.ones(2, dtype=getattr(xp, b)))
    with pytest.raises(TypeError, match="needs an array"):
        xp.add(1, 2)
    for wrong in ("a", None, [1, 2], np.ones(2)):
        with pytest.raises(TypeError):
            xp.add(xp.ones(2), wrong)
        with pytest.raises(TypeError, match=r"sin takes arrays|where takes"):
            xp.sin(wrong)


@pytest.mark.parametrize("dtype", ALL)
def test_python_numbers(dtype: str) -> None:
    kind = np.dtype(dtype).kind
    x = sample(dtype, (3,))
    numbers: list[Any] = {"b": [True], "c": [2, 2.5, 1 + 1j], "f": [2, 2.5]}.get(kind, [3])
    for number in numbers:
        for name in ("equal", "where", "add", "multiply", "subtract"):
            if kind == "b" and name not in ("equal", "where"):
                continue
            args = (np.array([True, False, True]),) if name == "where" else ()
            compare(name, *args, x, number)
            compare(name, *args, number, x)
        if kind in "iuf":
            for name in ("maximum", "less", "floor_divide"):
                compare(name, x, number)
    if kind == "f":
        assert (xp.asarray(x) + 1j).dtype.name == {"float32": "complex64"}.get(dtype, "complex128")


@pytest.mark.parametrize("dtype", REAL_NUMERIC)
def test_clip(dtype: str) -> None:
    x = sample(dtype, (4, 3))
    compare("clip", x, 1, 3)
    compare("clip", x, None, 2)
    compare("clip", x, 1)
    compare("clip", x)
    low = sample(dtype, (3,), 1)
    compare("clip", x, low, low + np.array(3, dtype))
    y = xp.asarray(x)
    assert xp.clip(y) is not y
    if dtype in REALS:
        compare("clip", sample(dtype), -1.0, 2.5)
        return
    with pytest.raises(TypeError, match="whole numbers"):
        xp.clip(y, 0.5)
    if dtype == "int8":
        wide = xp.asarray([300, 0, -300], dtype=xp.int16)
        assert xp.clip(y[0], wide).tolist()[0] == 127
        assert xp.clip(y[0], max=wide).tolist()[2] == -128


def test_numbers_that_an_unsigned_type_does_not_hold() -> None:
    x = xp.asarray([1, 255], dtype=xp.uint8)
    for name in ("equal", "less", "add", "maximum", "searchsorted", "isin"):
        with pytest.raises(OverflowError, match="uint8 holds"):
            getattr(xp, name)(x, -1)


@pytest.mark.parametrize("dtype", COMPLEXES)
def test_complex_numbers(dtype: str) -> None:
    x = sample(dtype)
    compare("add", x[:, None], x)
    compare("subtract", x[:, None], x)
    compare("conj", x)
    y, z = sample(dtype, (3, 4)), sample(dtype, (4,), 1)
    for name in (*CLOSE, "abs", "reciprocal", "sign", "sqrt", "square"):
        compare(name, y, exact=False, ulps=16)
    for name in ("multiply", "divide", "pow"):
        compare(name, y, z, exact=False, ulps=32)


@pytest.mark.parametrize("dtype", COMPLEXES)
def test_complex_special_cases_of_the_standard(dtype: str) -> None:
    """Those where PyTorch's function, and so Tensor's method, gives something else."""
    inf, nan = float("inf"), float("nan")
    cases = {
        "expm1": [
            (complex(a, b), complex(0, b)) for a in (0.0, -0.0) for b in (0.0, -0.0)
        ] + [(complex(inf, b), complex(inf, nan)) for b in (inf, -inf, nan)],
        "tanh": [
            (complex(a, b), complex(np.sign(a), np.copysign(0.0, b)))
            for a in (inf, -inf)
            for b in (0.0, -0.0, 1.0, 2.0, 3.0, -2.0, -3.0)
        ],
        "round": [(2.5 - 3.5j, 2 - 4j), (complex(-0.4, nan), complex(-0.0, nan))],
    }  # fmt: skip
    for name, pairs in cases.items():
        given, want = (np.array(side, dtype) for side in zip(*pairs, strict=True))
        for shape in ((-1,), (1, -1)):
            got = np.asarray(getattr(xp, name)(xp.asarray(given.reshape(shape)))).reshape(-1)
            assert got.dtype == dtype
            for there, here in ((want.real, got.real), (want.imag, got.imag)):
                np.testing.assert_array_equal(here, there, err_msg=name)
                known = ~np.isnan(there)
                np.testing.assert_array_equal(np.signbit(here[known]), np.signbit(there[known]))
        nothing = getattr(xp, name)(xp.zeros((0, 2), dtype=getattr(xp, dtype)))
        assert nothing.shape == (0, 2) and nothing.dtype.name == dtype


def test_operators_that_the_standard_asks_for() -> None:
    x = gu.tensor([1, 2, 3])
    assert (2 << x).tolist() == [4, 8, 16] and (64 >> x).tolist() == [32, 16, 8]
    x <<= 1
    assert x.tolist() == [2, 4, 6]
    x >>= 1
    x **= 2
    assert x.tolist() == [1, 4, 9]
    m = gu.eye(2) * 2
    m @= gu.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert m.tolist() == [[2.0, 4.0], [6.0, 8.0]]
    with pytest.raises(RuntimeError, match="@="):
        v = gu.ones(2, 2)
        v @= gu.ones(2, 3)
    assert complex(gu.tensor(2.0)) == 2 and (complex(gu.tensor(1j)), int(gu.tensor(3))) == (1j, 3)
    assert x.to_device("cpu") is x and x.device == "cpu"
    with pytest.raises(ValueError, match="the device is 'cpu'"):
        x.to_device("cuda")
    assert UNSIGNED[0] == "uint8"
