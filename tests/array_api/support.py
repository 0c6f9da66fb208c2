"""groundup.array_api beside array_api_strict, the standard's own strict implementation on NumPy."""

from typing import Any

import array_api_strict as strict
import numpy as np

from groundup import array_api as xp

strict.set_array_api_strict_flags(api_version="2025.12")

BOOL = ("bool",)
SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
INTEGERS = (*SIGNED, *UNSIGNED)
REALS = ("float32", "float64")
COMPLEXES = ("complex64", "complex128")
ALL = (*BOOL, *INTEGERS, *REALS, *COMPLEXES)
NUMERIC = (*INTEGERS, *REALS, *COMPLEXES)
REAL_NUMERIC = (*INTEGERS, *REALS)

_SPECIAL = [
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, 7.25, -7.25, 1e-30, -1e-30, 1e30, -1e30,
    float("inf"), float("-inf"), float("nan"),
]  # fmt: skip


def sample(dtype: str, shape: tuple[int, ...] | None = None, seed: int = 0) -> np.ndarray[Any, Any]:
    """Values of a type: the special ones, or such as no function of the standard overflows on."""
    kind = np.dtype(dtype).kind
    if shape is None:
        if kind == "b":
            return np.array([True, False])
        if kind == "f":
            return np.array(_SPECIAL, dtype)
        if kind == "c":
            return np.array([1 + 2j, -1 + 0.5j, 0j, 3 - 4j, 0.25, -2j], dtype)
        low = np.iinfo(dtype).min
        few = [0, 1, 2, 3, 5, 7, 100, np.iinfo(dtype).max]
        return np.array(few + ([-1, -2, -3, -7, -100, low] if low else []), dtype)
    rng = np.random.default_rng(seed)
    if kind == "b":
        return np.asarray(rng.integers(0, 2, shape).astype(dtype))
    if kind == "f":
        return np.asarray(rng.normal(size=shape).astype(dtype))
    if kind == "c":
        return np.asarray((rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype))
    return np.asarray(rng.integers(0 if kind == "u" else -5, 6, shape).astype(dtype))


def ours(x: Any) -> Any:
    """Arguments with arrays of ours in place of NumPy's, and types of ours for their names."""
    return _mapped(x, xp.asarray, lambda d: getattr(xp, d))


def theirs(x: Any) -> Any:
    """Arguments with arrays of array_api_strict's."""
    return _mapped(x, strict.asarray, lambda d: getattr(strict, d))


def _mapped(x: Any, array: Any, dtype: Any) -> Any:
    if isinstance(x, np.ndarray):
        return array(x)
    if isinstance(x, list):
        return [_mapped(v, array, dtype) for v in x]
    if isinstance(x, str) and x in ALL:
        return dtype(x)
    return x


def found(namespace: Any, name: str) -> Any:
    for part in name.split("."):
        namespace = getattr(namespace, part)
    return namespace


def compare(name: str, *args: Any, exact: bool = True, ulps: float = 8, **kwargs: Any) -> None:
    """One function of both, on the same arguments: equal types, shapes and values."""
    with np.errstate(all="ignore"):
        want = found(strict, name)(*map(theirs, args), **{k: theirs(v) for k, v in kwargs.items()})
    got = found(xp, name)(*map(ours, args), **{k: ours(v) for k, v in kwargs.items()})
    same(got, want, f"{name}{args}{kwargs}", exact, ulps)


def same(got: Any, want: Any, where: str, exact: bool = True, ulps: float = 8) -> None:
    """Equal types, shapes and values."""
    if isinstance(want, tuple):
        assert isinstance(got, tuple) and len(got) == len(want), where
        assert getattr(got, "_fields", None) == getattr(want, "_fields", None), where
        for g, w in zip(got, want, strict=True):
            same(g, w, where, exact, ulps)
        return
    if isinstance(want, strict._dtypes.DType):
        assert got.name == np.dtype(want._np_dtype).name, where
        return
    if not hasattr(want, "dtype"):
        assert got == want and type(got) is type(want), where
        return
    there = np.asarray(want._array)
    here = np.asarray(got)
    assert got.dtype.name == there.dtype.name, (where, got.dtype, there.dtype)
    assert here.shape == there.shape, (where, here.shape, there.shape)
    if exact:
        np.testing.assert_array_equal(here, there, err_msg=where)
        if there.dtype.kind == "f":
            numbers = ~np.isnan(there)
            signs = np.signbit(here[numbers]), np.signbit(there[numbers])
            np.testing.assert_array_equal(*signs, err_msg=f"signs of {where}")
    elif there.dtype.kind in "biu":
        np.testing.assert_array_equal(here, there, err_msg=where)
    else:
        eps = np.finfo(there.dtype).eps
        np.testing.assert_allclose(here, there, rtol=ulps * eps, atol=ulps * eps, err_msg=where)
