"""Everything but functions of each element: types, shapes and values of array_api_strict's."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    compare,
    ours,
    sample,
    strict,
    theirs,
)

AXES: list[Any] = [None, 0, -1, 1, (0, 2), (1,), (), (-1, 0, 1)]


# ---- reductions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "all", "any", "count_nonzero"])
def test_reductions(name: str) -> None:
    types = {"sum": NUMERIC, "prod": NUMERIC, "max": REAL_NUMERIC, "min": REAL_NUMERIC}
    for dtype in types.get(name, ALL):
        exact = dtype not in (*REALS, *COMPLEXES) or name not in ("sum", "prod")
        x = sample(dtype, (2, 3, 2))
        for axis in AXES:
            compare(name, x, axis=axis, keepdims=axis != 0, exact=exact)
        compare(name, sample(dtype, ()), exact=exact)
        if name not in ("max", "min"):
            compare(name, sample(dtype, (0, 2)), axis=0)
            compare(name, sample(dtype, (0, 2)))


@pytest.mark.parametrize("name", ["sum", "prod", "cumulative_sum", "cumulative_prod"])
def test_sums_in_another_type(name: str) -> None:
    for dtype in INTEGERS:
        x = np.array([100, 3, 2], dtype)
        compare(name, x)
        for wanted in ("int64", "uint64", "float64", "int16"):
            if (dtype == "uint64" and wanted[0] == "i") or (wanted == "uint64" and dtype[0] == "i"):
                continue  # no rule of promotion leads there
            compare(name, x, dtype=wanted)
    compare(name, sample("float32", (4,)), dtype="float64", exact=False)


@pytest.mark.parametrize("name", ["mean", "var", "std"])
@pytest.mark.parametrize("dtype", REALS)
def test_moments(name: str, dtype: str) -> None:
    x = sample(dtype, (2, 3, 2))
    for axis in AXES:
        compare(name, x, axis=axis, keepdims=True, exact=False)
        if name != "mean" and axis != ():
            compare(name, x, axis=axis, correction=0.5, exact=False)


@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_positions_of_extremes(name: str) -> None:
    for dtype in REAL_NUMERIC:
        x = sample(dtype, (3, 4, 2)) % np.array(3, dtype)
        for axis in (None, 0, -1):
            compare(name, x, axis=axis)
            compare(name, x, axis=axis, keepdims=True)


@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod"])
def test_running_ones(name: str) -> None:
    for dtype in NUMERIC:
        exact = dtype in INTEGERS
        x = sample(dtype, (2, 3))
        for axis in (0, -1):
            for first in (False, True):
                compare(name, x, axis=axis, include_initial=first, exact=exact)
        compare(name, sample(dtype, (0,)), include_initial=True)
    with pytest.raises(ValueError, match="needs an axis"):
        getattr(xp, name)(xp.ones((2, 2)))


def test_diff() -> None:
    for dtype in (*REAL_NUMERIC, "bool"):
        x = sample(dtype, (3, 4))
        for n in (0, 1, 2, 5):
            if dtype != "bool":
                compare("diff", x, n=n, axis=0)
                compare("diff", x, n=n)
        if dtype != "bool":
            compare("diff", x, prepend=sample(dtype, (3, 1)), append=sample(dtype, (3, 2)))


# ---- shapes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["bool", "int8", "float32", "complex64"])
def test_shapes(dtype: str) -> None:
    x, y = sample(dtype, (2, 1, 3)), sample(dtype, (2, 3), 1)
    compare("broadcast_to", x, (2, 4, 3))
    compare("broadcast_to", sample(dtype, ()), (2,))
    compare("expand_dims", x, -1)
    compare("expand_dims", x, 0)
    for axes in [(), (0,), (0, -1), (-2, 1), (3, 1, -1)]:
        compare("expand_dims", x, axes)
    for axis in (None, 0, (0, -1), (1, 2)):
        compare("flip", x, axis=axis)
    compare("matrix_transpose", x)
    compare("moveaxis", x, 0, -1)
    compare("moveaxis", x, (0, 1), (2, 0))
    compare("permute_dims", x, (2, 0, 1))
    compare("permute_dims", x, (-1, 0, 1))
    compare("reshape", x, (3, -1))
    compare("reshape", x, (6,), copy=True)
    compare("roll", x, 1)
    compare("roll", x, (1, -2), axis=(0, 2))
    compare("roll", x, 5, axis=-1)
    compare("roll", x, 5, axis=())
    compare("squeeze", x, 1)
    compare("squeeze", x, (-2,))
    compare("repeat", y, 2)
    compare("repeat", y, 2, axis=1)
    compare("tile", y, (2,))
    compare("tile", y, (2, 1, 2))
    compare("tile", y, ())
    compare("unstack", x)
    compare("unstack", x, axis=-1)
    compare("tril", y)
    compare("triu", x, k=1)
    compare("tril", y, k=-1)
    compare("concat", [y, y[:1]])
    compare("concat", [y, y], axis=1)
    compare("concat", [x, y], axis=None)
    compare("stack", [y, y], axis=-1)
    compare("broadcast_arrays", x, y)
    compare("meshgrid", y[0], y[1])
    compare("meshgrid", y[0], y[1], y[:, 0], indexing="ij")


def test_repeats_that_differ() -> None:
    x = sample("int32", (3, 2))
    compare("repeat", x, np.array([0, 2, 1]), axis=0)
    compare("repeat", x, np.array([2]), axis=1)
    compare("repeat", sample("int8", (3,)), np.array([1, 2, 0]))


@pytest.mark.parametrize("pair", [("int8", "uint8"), ("float32", "float64"), ("uint16", "int32")])
def test_joined_arrays_promote(pair: tuple[str, str]) -> None:
    a, b = (sample(d, (2,)) for d in pair)
    compare("concat", [a, b])
    compare("stack", [a, b])
    compare("matmul", a, b, exact=pair[0][0] != "f")
    compare("tensordot", a, b, axes=0, exact=pair[0][0] != "f")


def test_shapes_that_cannot_be() -> None:
    x = xp.ones((2, 1, 3))
    refused: list[tuple[type[Exception] | tuple[type[Exception], ...], Any]] = [
        (ValueError, lambda: xp.squeeze(x, 0)),
        (IndexError, lambda: xp.squeeze(x, 3)),
        (IndexError, lambda: xp.expand_dims(x, 4)),
        (IndexError, lambda: xp.expand_dims(x, -5)),
        (IndexError, lambda: xp.expand_dims(x, (0, 5))),
        (ValueError, lambda: xp.expand_dims(x, (0, -5))),
        (ValueError, lambda: xp.flip(x, axis=(0, -3))),
        (ValueError, lambda: xp.squeeze(x, (1, -2))),
        (gu.ShapeError, lambda: xp.broadcast_to(xp.ones(1), ())),
        (IndexError, lambda: xp.roll(xp.ones(()), 1, axis=0)),
        (ValueError, lambda: xp.roll(x, (1,), axis=())),
        (gu.ShapeError, lambda: xp.tensordot(xp.ones(1), xp.ones(3), axes=1)),
        (gu.ShapeError, lambda: xp.tensordot(x, x, axes=((1,), (0,)))),
        (ValueError, lambda: xp.tensordot(x, x, axes=-1)),
        (ValueError, lambda: xp.broadcast_shapes((2,), (3,))),
        (ValueError, lambda: xp.permute_dims(x, (0, 1))),
        (ValueError, lambda: xp.permute_dims(x, (0, 0, 1))),
        (ValueError, lambda: xp.matrix_transpose(xp.ones(2))),
        (ValueError, lambda: xp.reshape(xp.ones((2, 3)).T, (6,), copy=False)),
        (RuntimeError, lambda: xp.reshape(x, (7,))),
        (RuntimeError, lambda: xp.concat([x, xp.ones(2)])),
        (ValueError, lambda: xp.concat([])),
        (ValueError, lambda: xp.stack([])),
        (IndexError, lambda: xp.sum(x, axis=3)),
        (ValueError, lambda: xp.sum(x, axis=(0, 0))),
        (IndexError, lambda: xp.sum(xp.ones(()), axis=0)),
        (IndexError, lambda: xp.unstack(xp.ones(()))),
        (ValueError, lambda: xp.take(x, xp.asarray([0]))),
        (ValueError, lambda: xp.nonzero(xp.ones(()))),
        (ValueError, lambda: xp.vecdot(xp.ones(3), xp.ones(4))),
        (ValueError, lambda: xp.linalg.outer(x, x)),
        (ValueError, lambda: xp.linalg.cross(xp.ones(2), xp.ones(2))),
        (ValueError, lambda: xp.searchsorted(xp.ones(2), xp.ones(2), side="middle")),  # type: ignore[arg-type]
        (TypeError, lambda: xp.take(xp.ones(2), xp.ones(2))),
    ]
    for error, call in refused:
        with pytest.raises(error):
            call()


# ---- positions, orders, sets ---------------------------------------------------------------------


def test_positions() -> None:
    for dtype in ("bool", "uint8", "int64", "float32"):
        x = sample(dtype, (3, 4))
        compare("nonzero", x)
        compare("nonzero", sample(dtype, (0, 2)))
        for axis in (0, -1):
            i = np.array([2, 0, 0, 1, -1])
            compare("take", x, i, axis=axis)
            compare("take", x, i.astype("uint8")[:4], axis=axis)
        compare("take", x[0], np.array([3, 3]))
        compare("take", x, np.array([], "int64"), axis=0)
        compare("take_along_axis", x, np.array([[0, 2, 1, -1]]), axis=0)
        compare("take_along_axis", x, np.array([[3], [0], [-2]]))


@pytest.mark.parametrize("dtype", REAL_NUMERIC)
def test_orders(dtype: str) -> None:
    x = sample(dtype, (3, 8)) % np.array(4, dtype)
    for descending in (False, True):
        for axis in (0, -1):
            compare("sort", x, axis=axis, descending=descending)
            compare("argsort", x, axis=axis, descending=descending)
            compare("sort", x, axis=axis, descending=descending, stable=False)
    ascending = np.sort(x[0])
    for side in ("left", "right"):
        compare("searchsorted", ascending, x[1:], side=side)
    order = np.argsort(x[2])
    compare("searchsorted", x[2], x[0], sorter=order)
    compare("searchsorted", ascending, 2)
    edges = xp.asarray([2**24, 2**24 + 1], dtype=xp.int32)
    assert xp.searchsorted(edges, 2**24 + 0.5).item() == 1  # which float32 does not hold
    with pytest.raises(TypeError, match="int64 and a float have no common type"):
        xp.searchsorted(xp.asarray([1, 2]), 1.5)


def test_sets_of_complex_numbers() -> None:
    values = [1 + 2j, 1 - 2j, complex(-0.0, 2), 1 + 2j, 2j, 0j, complex(np.nan, 1)]
    for dtype in COMPLEXES:
        x = np.array(values, dtype)
        for name in ("unique_all", "unique_counts", "unique_values"):
            compare(name, x)
        compare("nonzero", x)


@pytest.mark.parametrize("dtype", ["bool", *REAL_NUMERIC])
def test_sets(dtype: str) -> None:
    for shape in [(3, 5), (7,), (), (0, 2)]:
        x = sample(dtype, shape) if dtype == "bool" else np.asarray(sample(dtype, shape) % 3, dtype)
        for name in ("unique_all", "unique_counts", "unique_inverse", "unique_values"):
            compare(name, x)
    if dtype in REALS:
        x = np.array([np.nan, 1, np.nan, 0.0, 1, -np.inf], dtype)
        for name in ("unique_all", "unique_counts", "unique_values"):
            compare(name, x)  # every NaN is another
    a, b = sample(dtype, (3, 4)), sample(dtype, (2,), 1)
    for invert in (False, True):  # array_api_strict 2.6.1 does not heed invert
        found = xp.isin(ours(a), ours(b), invert=invert)
        np.testing.assert_array_equal(np.asarray(found), np.isin(a, b, invert=invert))
    if dtype in INTEGERS:
        compare("isin", a, 2)


# ---- products ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", *REALS, *COMPLEXES])
def test_products(dtype: str) -> None:
    exact = dtype in INTEGERS
    a, b = sample(dtype, (2, 3, 4)), sample(dtype, (4, 3), 1)
    compare("matmul", a, b, exact=exact)
    compare("matmul", a, b[:, 0], exact=exact)
    compare("matmul", a[0, 0], b, exact=exact)
    compare("matmul", a[0, 0], b[:, 1], exact=exact)
    compare("tensordot", a, b, axes=1, exact=exact)
    compare("tensordot", a, b, axes=((1, -1), (1, 0)), exact=exact)
    compare("tensordot", a, b, axes=0, exact=exact)
    compare("vecdot", a, a[:1], exact=exact)
    compare("vecdot", a, a[0], axis=-2, exact=exact)
    compare("linalg.outer", b[:, 0], b[0], exact=exact)
    compare("linalg.trace", a, exact=exact)
    compare("linalg.trace", a, offset=1, exact=exact)
    compare("linalg.diagonal", a, offset=-1)
    compare("linalg.cross", a[..., :3], b[:1, :3] + b[0, 0], exact=exact, ulps=32)
    compare("linalg.cross", a, a[:1, ::-1], axis=-2, exact=exact, ulps=32)


@pytest.mark.parametrize("dtype", [*REALS, *COMPLEXES])
def test_linear_algebra(dtype: str) -> None:
    a = sample(dtype, (2, 3, 3))
    spd = a @ a.conj().swapaxes(-1, -2) + 3 * np.eye(3, dtype=dtype)
    b = sample(dtype, (2, 3, 2), 1)
    near = {"exact": False, "ulps": 200.0}
    for name in ("det", "inv", "slogdet", "svdvals", "matrix_norm"):
        compare(f"linalg.{name}", spd, **near)
    for name in ("eigvalsh", "cholesky"):
        compare(f"linalg.{name}", spd, **near)
    compare("linalg.cholesky", spd, upper=True, **near)
    compare("linalg.solve", spd, b, **near)
    compare("linalg.solve", spd, b[0, :, 0], **near)
    compare("linalg.solve", spd[0], b, **near)
    compare("linalg.solve", spd, b[0], **near)
    compare("linalg.pinv", b, **near)
    compare("linalg.pinv", b, rtol=0.1, **near)
    part = dtype.replace("complex64", "float32").replace("complex128", "float64")
    compare("linalg.pinv", b, rtol=np.array([0.01, 2.0], part), **near)
    compare("linalg.pinv", b[:, :0], rtol=np.array([0.01, 2.0], part), **near)
    compare("linalg.matrix_power", spd, -2, **near)
    compare("linalg.matrix_power", a, 3, **near)
    compare("linalg.matrix_rank", b)
    compare("linalg.matrix_rank", spd, rtol=np.array([0.5, 0.01], part))
    for ord in (1, -1, 2, -2, np.inf, -np.inf, "fro", "nuc"):
        compare("linalg.matrix_norm", a, ord=ord, keepdims=True, **near)
    for ord in (0, 1, 2, 3, -1, np.inf, -np.inf):
        compare("linalg.vector_norm", a, ord=ord, **near)
        compare("linalg.vector_norm", a, ord=ord, axis=(0, 2), keepdims=True, **near)
    compare("linalg.vector_norm", a, axis=1, **near)
    x = ours(b)
    for f, y in [
        (xp.linalg.qr, strict.linalg.qr(theirs(b))),
        (lambda t: xp.linalg.qr(t, mode="complete"), strict.linalg.qr(theirs(b), mode="complete")),
        (xp.linalg.svd, strict.linalg.svd(theirs(b))),
        (lambda t: xp.linalg.svd(t, full_matrices=False), None),
        (xp.linalg.eigh, strict.linalg.eigh(theirs(spd))),
    ]:
        found = f(ours(spd) if f is xp.linalg.eigh else x)
        if y is not None:
            assert found._fields == y._fields
            assert [t.shape for t in found] == [t.shape for t in y]
    q, r = xp.linalg.qr(x)
    np.testing.assert_allclose(np.asarray(q @ r), b, atol=1e-5)
    u, s, vh = xp.linalg.svd(x, full_matrices=False)
    np.testing.assert_allclose(np.asarray((u * s.unsqueeze(-2)) @ vh), b, atol=1e-5)
    values, vectors = xp.linalg.eig(ours(a))
    expected = strict.linalg.eig(theirs(a))
    assert [str(t.dtype).rpartition(".")[2] for t in (values, vectors)] == [
        str(t.dtype).rpartition(".")[2] for t in expected
    ]
    np.testing.assert_allclose(np.asarray(values), np.asarray(expected.eigenvalues), atol=1e-4)
    np.testing.assert_array_equal(np.asarray(xp.linalg.eigvals(ours(a))), np.asarray(values))
    values, vectors = xp.linalg.eigh(ours(spd))
    again = (vectors * values.unsqueeze(-2)) @ vectors.mT.conj()
    np.testing.assert_allclose(np.asarray(again), spd, atol=1e-4)


# ---- transforms ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
def test_transforms(name: str) -> None:
    for dtype in REALS if name in ("rfft", "ihfft") else COMPLEXES:
        x = sample(dtype, (3, 5))
        near = {"exact": False, "ulps": 40.0}
        compare(f"fft.{name}", x, **near)
        compare(f"fft.{name}", x, axis=0, norm="ortho", **near)
        compare(f"fft.{name}", x, n=7, norm="forward", **near)
        compare(f"fft.{name}", x, n=3, **near)
    with pytest.raises(TypeError, match=r"is of (real )?floating numbers, not int64"):
        getattr(xp.fft, name)(xp.asarray([1, 2]))


@pytest.mark.parametrize("name", ["fftn", "ifftn", "rfftn", "irfftn"])
def test_transforms_along_several_axes(name: str) -> None:
    for dtype in REALS if name == "rfftn" else COMPLEXES:
        x = sample(dtype, (2, 3, 4))
        near = {"exact": False, "ulps": 80.0}
        compare(f"fft.{name}", x, **near)
        compare(f"fft.{name}", x, axes=(0, -1), norm="ortho", **near)
        compare(f"fft.{name}", x, s=(3, 2), axes=(1, 2), **near)
    with pytest.raises(ValueError, match="needs axes"):
        getattr(xp.fft, name)(xp.ones((2, 2)), s=(2, 2))


def test_frequencies() -> None:
    for n in (1, 4, 5):
        for dtype in REALS:
            compare("fft.fftfreq", n, d=0.5, dtype=dtype, exact=False)
            compare("fft.rfftfreq", n, d=0.5, dtype=dtype, exact=False)
    x = sample("float32", (3, 4))
    for axes in (None, 0, (0, 1)):
        compare("fft.fftshift", x, axes=axes)
        compare("fft.ifftshift", x, axes=axes)


# ---- creation ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ALL)
def test_creation(dtype: str) -> None:
    for shape in [3, (), (2, 0), (2, 3)]:
        for name in ("zeros", "ones"):
            compare(name, shape, dtype=dtype)
        compare("full", shape, True if dtype == "bool" else 2, dtype=dtype)
    x = sample(dtype, (2, 3))
    for name in ("zeros_like", "ones_like"):
        compare(name, x)
        compare(name, x, dtype="float64")
    compare("full_like", x, dtype == "bool" or 3)
    assert xp.empty((2, 3), dtype=getattr(xp, dtype)).shape == (2, 3)
    assert xp.empty_like(ours(x)).dtype.name == dtype
    for k in (-3, -1, 0, 1, 5, 2**70, -(2**70)):
        compare("eye", 3, 4, k=k, dtype=dtype)
    compare("eye", 2, dtype=dtype)


def test_ranges() -> None:
    for dtype in (*INTEGERS, *REALS):
        for args in [(5,), (0,), (2, 7), (7, 2), (0, 10, 3), (10, 0, -3), (0, 10, -1), (1, 8, 2)]:
            if dtype[0] == "u" and min(args) < 0:
                continue
            compare("arange", *args, dtype=dtype)
    compare("arange", 0.0, 1.0, 0.25, dtype="float64")
    assert xp.arange(3).dtype is xp.int64 and xp.arange(3.0).dtype is xp.float32
    for dtype in REALS:
        for args in [(0, 1, 5), (1.0, -3.0, 4), (0, 1, 1), (0, 1, 0), (2, 2, 3)]:
            for endpoint in (True, False):
                compare("linspace", *args, dtype=dtype, endpoint=endpoint, exact=False)
    compare("linspace", 0, 1 + 2j, 4, dtype="complex128", exact=False)
    assert xp.linspace(0, 1j, 3).dtype is xp.complex64
    assert xp.full(2, 1j).dtype is xp.complex64 and xp.full(2, True).dtype is xp.bool


def test_asarray() -> None:
    assert xp.asarray([[1, 2], [3, 4]]).dtype is xp.int64
    assert xp.asarray([1.5, 2]).dtype is xp.float32
    assert xp.asarray([True]).dtype is xp.bool and xp.asarray(1j).dtype is xp.complex64
    x = xp.asarray([1, 2])
    assert xp.asarray(x) is x and xp.asarray(x, copy=False) is x
    assert xp.asarray(x, copy=True) is not x
    assert xp.asarray(x, dtype=xp.int8, copy=True).dtype is xp.int8
    a = np.arange(3.0)
    shared, copied = xp.asarray(a, copy=False), xp.asarray(a)
    a[0] = 9
    assert shared.tolist() == [9.0, 1.0, 2.0] and copied.tolist() == [0.0, 1.0, 2.0]
    raw = bytearray(b"\1\2\3")
    view = xp.asarray(raw, copy=False)
    raw[0] = 7
    assert view.tolist() == [7, 2, 3] and view.dtype is xp.uint8
    assert xp.asarray(memoryview(raw), dtype=xp.int64).tolist() == [7, 2, 3]
    assert xp.asarray(strict.asarray([1, 2])).tolist() == [1, 2]
    assert xp.from_dlpack(a).tolist() == a.tolist()
    assert xp.from_dlpack(a, device="cpu", copy=True).tolist() == a.tolist()
    for obj, kind in [([1, 2], None), (5, None), (x, xp.float32), (a, xp.float32)]:
        with pytest.raises(ValueError, match=r"asarray\(copy=False\)"):
            xp.asarray(obj, dtype=kind, copy=False)
    with pytest.raises(ValueError, match="device is None or 'cpu'"):
        xp.asarray([1], device="cuda")


# ---- shapes that nobody thought of ---------------------------------------------------------------


shapes = st.lists(st.integers(0, 3), max_size=3).map(tuple)


@settings(max_examples=40, deadline=None)
@given(shape=shapes, seed=st.integers(0, 1000), data=st.data())
def test_any_shape(shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(["int16", "uint8", "float64"]))
    x = sample(dtype, shape, seed)
    ndim = len(shape)
    axis = data.draw(st.sampled_from([None, *range(-ndim, ndim)])) if ndim else None
    with gu.debug():
        compare("sum", x, axis=axis, keepdims=data.draw(st.booleans()), exact=dtype != "float64")
        compare("any", x, axis=axis)
        compare("flip", x, axis=axis)
        compare("unique_values", x)
        compare("roll", x, data.draw(st.integers(-3, 3)), axis=axis)
        compare("reshape", x, (-1,) if x.size else (0,))
        other = data.draw(st.sampled_from([shape, shape[1:], (1, *shape[1:]), ()]))
        y = sample("int16" if dtype == "uint8" else dtype, other, seed + 1)
        compare("add", x, y)
        compare("less", x, y)
        compare("concat", [x, y], axis=None)
        if axis is not None:
            compare("sort", x, axis=axis)
            compare("cumulative_sum", x, axis=axis, exact=dtype != "float64")


def test_indexing_as_the_standard_asks() -> None:
    x = np.arange(24).reshape(2, 3, 4)
    y = ours(x)
    keys: list[Any] = [
        0, -1, (1, 2, 3), ..., (..., 0), slice(1, None), (slice(None, None, 2), ..., slice(1, 3)),
        None, (None, 0, None), (0, ..., None), (slice(0, 0),), (1, slice(None), -1),
    ]  # fmt: skip
    for key in keys:
        np.testing.assert_array_equal(np.asarray(y[key]), x[key])
    mask = x % 3 == 0
    np.testing.assert_array_equal(np.asarray(y[ours(mask)]), x[mask])
    i, j = np.array([0, 1, 1]), np.array([2, 0, -1])
    key = (ours(i), ours(j), 1)
    np.testing.assert_array_equal(np.asarray(y[key]), x[i, j, 1])
    z = xp.asarray(x, copy=True)
    z[0, ...] = 5
    z[1, 1, :] = xp.zeros(4, dtype=xp.int64)
    z[z > 20] = -1
    w = x.copy()
    w[0, ...] = 5
    w[1, 1, :] = 0
    w[w > 20] = -1
    np.testing.assert_array_equal(np.asarray(z), w)
    assert BOOL == ("bool",)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: xp.zeros(None), "zeros: a shape is made of whole numbers, not None"),
        (lambda: xp.reshape(xp.ones(2), 1.5), "reshape: a shape is made of whole numbers"),
        (lambda: xp.broadcast_to(xp.ones(2), "a"), "broadcast_to: a shape is made of"),
        (lambda: xp.broadcast_shapes(None), "broadcast_shapes: a shape is made of"),
        (lambda: xp.permute_dims(xp.ones(2), None), "permute_dims: axes is a whole number"),
        (lambda: xp.expand_dims(xp.ones(2), "a"), "expand_dims: axis is a whole number"),
        (lambda: xp.concat(3), "concat takes a tuple or list of arrays, not a int"),
        (lambda: xp.stack(None), "stack takes a tuple or list of arrays"),
        (lambda: xp.arange("a"), "arange: start, stop and step are numbers"),
        (lambda: xp.finfo(None), "finfo takes an array or a type"),
        (lambda: xp.can_cast(xp.ones(2), None), "can_cast takes an array or a type"),
        (lambda: xp.unique_values([1]), "unique_values takes arrays"),
    ],
)
def test_arguments_of_another_kind_are_named(call: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words) as caught:
        call()
    assert "\n  at " in str(caught.value)
