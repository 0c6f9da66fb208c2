"""Arrays from nothing, from data and from other libraries, as the array API standard names them."""

from __future__ import annotations

from typing import Any, Literal

from groundup.ir import dtype as dt
from groundup.ir.dtype import DType
from groundup.tensor import Tensor, create, exchange
from groundup.tensor import complex as joined
from groundup.tensor.errors import at_line

from .types import (
    DEFAULT_COMPLEX,
    DEFAULT_INTEGER,
    DEFAULT_REAL,
    Device,
    Scalar,
    check_device,
    check_dtype,
    checked,
    shape_of,
)


def _start(name: str, dtype: DType | None, device: Device | None) -> DType:
    check_dtype(name, dtype)
    check_device(name, device)
    return DEFAULT_REAL if dtype is None else dtype


def arange(
    start: float,
    /,
    stop: float | None = None,
    step: float = 1,
    *,
    dtype: DType | None = None,
    device: Device | None = None,
) -> Tensor:
    """start, start + step, … up to but without stop; none if stop lies the other way.

    >>> arange(1, 7, 2).tolist()
    [1, 3, 5]
    """
    check_dtype("arange", dtype)
    check_device("arange", device)
    if stop is None:
        start, stop = 0, start
    try:
        nothing = bool(step) and (stop - start) / step <= 0
    except TypeError:
        raise TypeError(
            f"arange: start, stop and step are numbers, not {start!r}, {stop!r} and {step!r}"
            + at_line()
        ) from None
    if nothing:
        floating = any(isinstance(v, float) for v in (start, stop, step))
        return create.zeros(0, dtype=dtype or (DEFAULT_REAL if floating else DEFAULT_INTEGER))
    return create.arange(start, stop, step, dtype=dtype)


def asarray(
    obj: Any,
    /,
    *,
    dtype: DType | None = None,
    device: Device | None = None,
    copy: bool | None = None,
) -> Tensor:
    """An array of numbers, nested sequences, an array of another library, or a buffer.

    copy: True for memory of its own; None shares what is an array of groundup already; False
    shares memory, or raises ValueError where it cannot.

    >>> asarray([1, 2.5]).dtype
    groundup.float32
    """
    check_dtype("asarray", dtype)
    check_device("asarray", device)
    if isinstance(obj, Tensor):
        if dtype is None or dtype is obj.dtype:
            return obj.clone() if copy else obj
        if copy is False:
            raise _must_copy(f"{obj.dtype.name} becomes {dtype.name}")
        return obj.to(dtype)
    if copy is False:
        return _shared(obj, dtype)
    if isinstance(obj, bytes | bytearray | memoryview):
        made = _shared(obj, None).clone()
        return made if dtype is None else made.to(dtype)
    return create.tensor(obj, dtype)


def _must_copy(why: str) -> ValueError:
    return ValueError(f"asarray(copy=False): {why}, which takes a copy" + at_line())


def _shared(obj: Any, dtype: DType | None) -> Tensor:
    """An array on the memory of another library's array, or of a buffer."""
    if hasattr(obj, "__array_interface__"):
        made = create.from_numpy(obj, copy=False)
    elif hasattr(obj, "__dlpack__"):
        made = exchange.from_dlpack(obj, copy=False)
    else:
        try:
            view = memoryview(obj)
        except TypeError:
            raise _must_copy(f"{type(obj).__name__} has no memory of numbers") from None
        kind = _FORMATS.get(view.format.lstrip("@="))
        if kind is None or kind.itemsize != view.itemsize or not view.c_contiguous:
            raise _must_copy(f"a buffer of format {view.format!r}, strides {view.strides}")
        made = exchange.frombuffer(view, dtype=kind).reshape(view.shape)
    if dtype is not None and made.dtype is not dtype:
        raise _must_copy(f"{made.dtype.name} becomes {dtype.name}")
    return made


_FORMATS = {
    "?": dt.bool_, "b": dt.int8, "B": dt.uint8, "h": dt.int16, "H": dt.uint16,
    "i": dt.int32, "I": dt.uint32, "l": dt.int64, "L": dt.uint64, "q": dt.int64,
    "Q": dt.uint64, "e": dt.float16, "f": dt.float32, "d": dt.float64, "c": dt.uint8,
}  # fmt: skip


def empty(
    shape: int | tuple[int, ...], *, dtype: DType | None = None, device: Device | None = None
) -> Tensor:
    """An array for which no values are promised."""
    kind = _start("empty", dtype, device)
    return create.zeros(*shape_of("empty", shape), dtype=kind)


def empty_like(x: Tensor, /, *, dtype: DType | None = None, device: Device | None = None) -> Tensor:
    """An array in another's shape for which no values are promised."""
    return zeros_like(x, dtype=dtype, device=device)


def eye(
    n_rows: int,
    n_cols: int | None = None,
    /,
    *,
    k: int = 0,
    dtype: DType | None = None,
    device: Device | None = None,
) -> Tensor:
    """Ones on the k-th diagonal, zeros elsewhere.

    >>> eye(2, 3, k=1).tolist()
    [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    kind = _start("eye", dtype, device)
    columns = n_rows if n_cols is None else n_cols
    if k == 0:
        return create.eye(n_rows, columns, dtype=kind)
    if not -n_rows < k < columns:  # a diagonal outside, however far
        return create.zeros(n_rows, columns, dtype=kind)
    rows = create.arange(n_rows).unsqueeze(1) + k
    return (rows == create.arange(columns)).to(kind)


def from_dlpack(x: Any, /, *, device: Device | None = None, copy: bool | None = None) -> Tensor:
    """An array on the memory of another library's array, by DLPack."""
    return exchange.from_dlpack(x, device=device, copy=copy)


def full(
    shape: int | tuple[int, ...],
    fill_value: Scalar,
    *,
    dtype: DType | None = None,
    device: Device | None = None,
) -> Tensor:
    """One value everywhere, of the default type of its kind.

    >>> full(2, 3).dtype
    groundup.int64
    """
    check_dtype("full", dtype)
    check_device("full", device)
    return create.full(shape_of("full", shape), fill_value, dtype=dtype)


def full_like(
    x: Tensor, /, fill_value: Scalar, *, dtype: DType | None = None, device: Device | None = None
) -> Tensor:
    """One value everywhere, in another array's shape and type."""
    checked("full_like", x)
    check_dtype("full_like", dtype)
    check_device("full_like", device)
    return create.full(tuple(x.shape), fill_value, dtype=dtype or x.dtype)


def linspace(
    start: Any,
    stop: Any,
    /,
    num: int,
    *,
    dtype: DType | None = None,
    device: Device | None = None,
    endpoint: bool = True,
) -> Tensor:
    """num values evenly spaced from start to stop, which endpoint=False leaves out.

    >>> linspace(0, 1, 4, endpoint=False).tolist()
    [0.0, 0.25, 0.5, 0.75]
    """
    check_dtype("linspace", dtype)
    check_device("linspace", device)
    complex_ends = isinstance(start, complex) or isinstance(stop, complex)
    kind = (DEFAULT_COMPLEX if complex_ends else DEFAULT_REAL) if dtype is None else dtype
    if kind.is_complex:
        part = kind.to_real()
        first, last = complex(start), complex(stop)
        re = linspace(first.real, last.real, num, dtype=part, endpoint=endpoint)
        im = linspace(first.imag, last.imag, num, dtype=part, endpoint=endpoint)
        return joined(re, im)
    if complex_ends:
        raise TypeError(f"linspace: complex ends are none of {kind.name}" + at_line())
    if endpoint:
        return create.linspace(start, stop, num, dtype=kind)
    if num < 0:
        raise ValueError(f"linspace: num is 0 or more, not {num}" + at_line())
    return create.linspace(start, stop, num + 1, dtype=kind)[:num]


def meshgrid(*arrays: Tensor, indexing: Literal["xy", "ij"] = "xy") -> tuple[Tensor, ...]:
    """For each of some vectors its values along its own axis of the grid of them all."""
    checked("meshgrid", *arrays)
    return create.meshgrid(*arrays, indexing=indexing) if arrays else ()


def ones(
    shape: int | tuple[int, ...], *, dtype: DType | None = None, device: Device | None = None
) -> Tensor:
    """Ones."""
    kind = _start("ones", dtype, device)
    return create.ones(*shape_of("ones", shape), dtype=kind)


def ones_like(x: Tensor, /, *, dtype: DType | None = None, device: Device | None = None) -> Tensor:
    """Ones in another array's shape and type."""
    checked("ones_like", x)
    return ones(tuple(x.shape), dtype=dtype or x.dtype, device=device)


def tril(x: Tensor, /, *, k: int = 0) -> Tensor:
    """The lower triangle of each matrix, zeros above its k-th diagonal."""
    checked("tril", x)
    return x.tril(k)


def triu(x: Tensor, /, *, k: int = 0) -> Tensor:
    """The upper triangle of each matrix, zeros below its k-th diagonal."""
    checked("triu", x)
    return x.triu(k)


def zeros(
    shape: int | tuple[int, ...], *, dtype: DType | None = None, device: Device | None = None
) -> Tensor:
    """Zeros."""
    kind = _start("zeros", dtype, device)
    return create.zeros(*shape_of("zeros", shape), dtype=kind)


def zeros_like(x: Tensor, /, *, dtype: DType | None = None, device: Device | None = None) -> Tensor:
    """Zeros in another array's shape and type."""
    checked("zeros_like", x)
    return zeros(tuple(x.shape), dtype=dtype or x.dtype, device=device)
