"""The namespace: every name of the standard, with its signature; what it says of itself."""

import inspect
from types import ModuleType
from typing import Any

import array_api_compat
import numpy as np
import pytest

import groundup as gu
from groundup import array_api as xp

from .support import ALL, strict

# What array_api_strict exports beside the standard.
OWN = {
    "ArrayAPIStrictFlags", "Device", "get_array_api_strict_flags", "reset_array_api_strict_flags",
    "set_array_api_strict_flags", "__version__",
}  # fmt: skip


def names() -> list[tuple[str, Any, Any]]:
    listed = []
    for path in ("", "linalg", "fft"):
        theirs = getattr(strict, path) if path else strict
        ours = getattr(xp, path) if path else xp
        for name in sorted(set(theirs.__all__) - OWN):
            listed.append((f"{path}.{name}" if path else name, ours, theirs))
    return listed


@pytest.mark.parametrize(("name", "ours", "theirs"), names(), ids=[n for n, _, _ in names()])
def test_every_name_has_the_signature_of_the_standard(name: str, ours: Any, theirs: Any) -> None:
    last = name.rpartition(".")[2]
    f, g = getattr(ours, last), getattr(theirs, last)
    assert last in ours.__all__
    if not callable(g) or not inspect.isfunction(g):
        assert type(f) is type(g) or last in ALL
        return
    here, there = inspect.signature(f).parameters, inspect.signature(g).parameters
    assert [(p.name, p.kind) for p in here.values()] == [(p.name, p.kind) for p in there.values()]
    for key, parameter in there.items():
        default = None if "UNDEF" in repr(parameter.default) else parameter.default
        assert here[key].default == default
    assert f.__doc__ and f.__name__ == last


def test_constants() -> None:
    assert (xp.e, xp.pi, xp.inf, xp.newaxis) == (np.e, np.pi, np.inf, None)
    assert xp.nan != xp.nan and xp.__array_api_version__ == "2025.12"
    assert {d: getattr(xp, d) for d in ALL} == {d: getattr(gu, d) for d in ALL}


def test_the_namespace_of_a_tensor() -> None:
    x = gu.ones(2)
    for version in (None, "2022.12", "2025.12"):
        assert x.__array_namespace__(api_version=version) is xp
    with pytest.raises(ValueError, match="versions of the array API standard"):
        x.__array_namespace__(api_version="2020.01")
    assert isinstance(xp, ModuleType)
    assert array_api_compat.array_namespace(x) is xp
    assert array_api_compat.is_array_api_obj(x) and array_api_compat.size(gu.ones(2, 3)) == 6
    assert array_api_compat.device(x) == "cpu" and array_api_compat.to_device(x, "cpu") is x


def test_what_the_namespace_says_of_itself() -> None:
    info, other = xp.__array_namespace_info__(), strict.__array_namespace_info__()
    assert info.capabilities().keys() == other.capabilities().keys()
    assert info.default_device() == "cpu" and info.devices() == ("cpu",)
    assert info.default_dtypes().keys() == other.default_dtypes().keys()
    assert info.default_dtypes(device="cpu")["real floating"] is xp.asarray(1.0).dtype
    assert info.default_dtypes()["integral"] is xp.asarray(1).dtype
    assert info.default_dtypes()["complex floating"] is xp.asarray(1j).dtype
    for kind in [None, "bool", "signed integer", "unsigned integer", "integral", "real floating",
                 "complex floating", "numeric", ("bool", "real floating"), ()]:  # fmt: skip
        assert info.dtypes(kind=kind).keys() == other.dtypes(kind=kind).keys()
        assert all(getattr(xp, name) is d for name, d in info.dtypes(kind=kind).items())
    with pytest.raises(ValueError, match="kinds are"):
        info.dtypes(kind="real")
    with pytest.raises(ValueError, match="device is None or 'cpu'"):
        info.dtypes(device="cuda")


def test_as_many_axes_as_it_says() -> None:
    most = xp.__array_namespace_info__().capabilities()["max dimensions"]
    x = xp.ones((1,) * most, dtype=xp.complex64)
    for name in ("svd", "eig", "cholesky", "matrix_norm"):
        made = getattr(xp.linalg, name)(x)
        assert np.abs(np.asarray(made[0] if isinstance(made, tuple) else made)).item() == 1
    assert xp.fft.fftn(x).item() == 1
    more = xp.ones((1,) * (most + 40))
    assert (xp.sum(more + 1, axis=0) * more).item() == 2
    with pytest.raises(gu.ShapeError, match=f"at most {most} axes"):
        xp.fft.fft(more)


@pytest.mark.parametrize("dtype", ALL)
def test_types(dtype: str) -> None:
    ours, theirs = getattr(xp, dtype), getattr(strict, dtype)
    for kind in ["bool", "signed integer", "unsigned integer", "integral", "real floating",
                 "complex floating", "numeric", ("bool", "numeric"), ()]:  # fmt: skip
        assert xp.isdtype(ours, kind) == strict.isdtype(theirs, kind)
    for one in ALL:
        pair = (("integral", getattr(lib, one)) for lib in (xp, strict))
        assert xp.isdtype(ours, next(pair)) == strict.isdtype(theirs, next(pair))
    for other in ALL:
        assert xp.can_cast(ours, getattr(xp, other)) == strict.can_cast(
            theirs, getattr(strict, other)
        )
    if dtype in ("float32", "float64", "complex64", "complex128"):
        for name in ("bits", "eps", "max", "min", "smallest_normal"):
            for what in (ours, xp.ones(2, dtype=ours)):
                assert getattr(xp.finfo(what), name) == getattr(strict.finfo(theirs), name)
                assert type(getattr(xp.finfo(what), name)) in (int, float)
        assert xp.finfo(ours).dtype.name == strict.finfo(theirs).dtype._np_dtype.name
        with pytest.raises(TypeError, match="iinfo is of integer types"):
            xp.iinfo(ours)
    else:
        with pytest.raises(TypeError, match="finfo is of floating types"):
            xp.finfo(ours)
    if "int" in dtype:
        for name in ("bits", "max", "min"):
            assert getattr(xp.iinfo(ours), name) == getattr(strict.iinfo(theirs), name)
        assert xp.iinfo(xp.ones(1, dtype=ours)).dtype is ours


def test_wrong_types_are_said() -> None:
    for call in (
        lambda: xp.isdtype("float32", "bool"),  # type: ignore[arg-type]
        lambda: xp.astype(xp.ones(2), "float32"),  # type: ignore[arg-type]
        lambda: xp.zeros(2, dtype=float),  # type: ignore[arg-type]
        lambda: xp.sum(xp.ones(2), dtype="int8"),  # type: ignore[arg-type]
        lambda: xp.astype(xp.ones(2, dtype=xp.complex64), xp.float32),
        lambda: xp.result_type(1, 2),
    ):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(ValueError, match="kinds are"):
        xp.isdtype(xp.float32, "float")
    x = xp.ones(2)
    assert xp.astype(x, xp.float32, copy=False) is x
    assert xp.astype(x, xp.float32) is not x
    assert xp.astype(x, xp.int8, device="cpu").dtype is xp.int8
    with pytest.raises(ValueError, match="device is None or 'cpu'"):
        xp.astype(x, xp.int8, device="cuda")
    assert xp.astype(xp.asarray([0j, 1j]), xp.bool).tolist() == [False, True]
