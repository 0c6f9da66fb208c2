"""Types of the array API standard: promotion, kinds, limits, conversion.

The arrays are Tensors, but types promote as the standard says: an array without axes counts like
any other. Must not know any other function of the standard.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from operator import index
from typing import Any, NamedTuple, TypeAlias

from groundup.ir import dtype as dt
from groundup.ir.dtype import DType, promote
from groundup.tensor import Tensor
from groundup.tensor.errors import at_line

Scalar: TypeAlias = builtins.bool | int | float | complex
Device: TypeAlias = str

DEFAULT_REAL, DEFAULT_COMPLEX, DEFAULT_INTEGER = dt.float32, dt.complex64, dt.int64
STANDARD: tuple[DType, ...] = (
    dt.bool_, dt.int8, dt.int16, dt.int32, dt.int64, dt.uint8, dt.uint16, dt.uint32, dt.uint64,
    dt.float32, dt.float64, dt.complex64, dt.complex128,
)  # fmt: skip
KINDS: dict[str, str] = {
    "bool": "b", "signed integer": "i", "unsigned integer": "u", "integral": "iu",
    "real floating": "f", "complex floating": "c", "numeric": "iufc",
}  # fmt: skip


class finfo_object(NamedTuple):  # the standard's name
    """Limits of a floating type; of a complex one, those of its parts."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: DType


class iinfo_object(NamedTuple):
    """Limits of an integer type."""

    bits: int
    max: int
    min: int
    dtype: DType


# ---- what the other rooms ask --------------------------------------------------------------------


def checked(name: str, *arrays: Any) -> None:
    """Raise TypeError unless all are arrays."""
    for x in arrays:
        if not isinstance(x, Tensor):
            raise TypeError(
                f"{name} takes arrays of groundup (Tensors), not {type(x).__name__}; write "
                f"asarray(x)" + at_line()
            )


def check_device(name: str, device: Device | None) -> None:
    """Raise ValueError for a device that there is not."""
    if device not in (None, "cpu"):
        raise ValueError(f"{name}: device is None or 'cpu', not {device!r}" + at_line())


def check_dtype(name: str, dtype: DType | None) -> None:
    """Raise TypeError for what is no type of groundup's."""
    if dtype is not None and not isinstance(dtype, DType):
        raise TypeError(f"{name}: dtype is one such as xp.float32, not {dtype!r}" + at_line())


def require_dtype(name: str, dtype: DType) -> None:
    """Raise TypeError for what is no type, None as well."""
    if dtype is None:
        raise TypeError(f"{name} takes an array or a type such as xp.float32, not None" + at_line())
    check_dtype(name, dtype)


def pair(name: str, x1: Any, x2: Any) -> tuple[Tensor, Tensor]:
    """Two operands, at least one of them an array, in their common type."""
    if not isinstance(x1, Tensor) and not isinstance(x2, Tensor):
        raise TypeError(
            f"{name} needs an array among its operands, not {type(x1).__name__} and "
            f"{type(x2).__name__}" + at_line()
        )
    common = result_type(x1, x2)
    a, b = (_in_type(x, common) for x in (x1, x2))
    return a, b


def _in_type(x: Any, common: DType) -> Tensor:
    from groundup.tensor import full

    if isinstance(x, Tensor):
        return x if x.dtype is common else x.to(common)
    if common.kind == "u" and x < 0:  # which PyTorch, and so full, counts from the top
        raise OverflowError(f"{x} is none of the numbers that {common.name} holds" + at_line())
    return full((), x, dtype=common)


def upcast(dtype: DType) -> DType:
    """The type in which a sum of numbers of this type is taken."""
    if dtype.kind == "u":
        return dt.uint64
    return dt.int64 if dtype.kind in "bi" else dtype


# ---- the standard's functions --------------------------------------------------------------------


def result_type(*arrays_and_dtypes: Tensor | DType | Scalar) -> DType:
    """The type that arrays, types and Python numbers have in common.

    Raises TypeError for uint64 with a signed type, and if there is neither array nor type.

    >>> result_type(dt.int8, dt.uint8, 5)
    groundup.int16
    """
    result: DType | None = None
    numbers: list[Any] = []
    for x in arrays_and_dtypes:
        if not isinstance(x, Tensor | DType):
            numbers.append(x)
            continue
        d = x if isinstance(x, DType) else x.dtype
        result = d if result is None else promote(result, d)
    if result is None:
        raise TypeError("result_type needs an array or a type" + at_line())
    for x in numbers:
        result = _with_number(result, x)
    return result


def _with_number(d: DType, x: Any) -> DType:
    """The type of an operation of a type and a Python number."""
    if isinstance(x, builtins.bool):
        return d
    if isinstance(x, int):
        return DEFAULT_INTEGER if d.kind == "b" else d
    if isinstance(x, float):
        return d if d.kind in "fc" else DEFAULT_REAL
    if isinstance(x, complex):
        return d.to_complex()
    raise TypeError(f"an array, a type or a number is expected, not {type(x).__name__}" + at_line())


def astype(
    x: Tensor, dtype: DType, /, *, copy: builtins.bool = True, device: Device | None = None
) -> Tensor:
    """x converted to a type; copy=False gives x itself if it is of that type.

    Raises TypeError for complex numbers to a real type: write real(x).
    """
    checked("astype", x)
    check_dtype("astype", dtype)
    check_device("astype", device)
    if x.dtype.is_complex and not dtype.is_complex and dtype.kind != "b":
        raise TypeError(
            f"astype: {x.dtype.name} to {dtype.name} would lose the imaginary parts; write real(x)"
            + at_line()
        )
    if x.dtype is dtype:
        return x.clone() if copy else x
    return x.to(dtype)


def can_cast(from_: DType | Tensor, to: DType, /) -> builtins.bool:
    """Do the rules of promotion lead from one type to the other? They lead from no kind (bool,
    integer, floating) to another.

    >>> can_cast(dt.int8, dt.int16), can_cast(dt.int8, dt.float32)
    (True, False)
    """
    source = from_.dtype if isinstance(from_, Tensor) else from_
    require_dtype("can_cast", source)
    require_dtype("can_cast", to)
    if _category(source) != _category(to) or dt.uint64 in (source, to):
        return source is to or (source.kind == "u" and to is dt.uint64)
    return promote(source, to) is to


def _category(d: DType) -> str:
    return {"b": "bool", "i": "integer", "u": "integer"}.get(d.kind, "floating")


def finfo(type: DType | Tensor, /) -> finfo_object:
    """Limits of a floating type.

    >>> finfo(dt.float32).eps
    1.1920928955078125e-07
    """
    d = type.dtype if isinstance(type, Tensor) else type
    require_dtype("finfo", d)
    real = d.to_real()
    if not real.is_float:
        raise TypeError(f"finfo is of floating types, not {d.name}; see iinfo" + at_line())
    most = real.greatest
    return finfo_object(real.bits, real.eps, most, -most, real.smallest_normal, real)


def iinfo(type: DType | Tensor, /) -> iinfo_object:
    """Limits of an integer type."""
    d = type.dtype if isinstance(type, Tensor) else type
    require_dtype("iinfo", d)
    if not d.is_int:
        raise TypeError(f"iinfo is of integer types, not {d.name}; see finfo" + at_line())
    return iinfo_object(d.bits, d.max, d.min, d)


def isdtype(dtype: DType, kind: DType | str | tuple[DType | str, ...]) -> builtins.bool:
    """Is a type of a kind ('real floating', …), the type itself, or of one of several?

    >>> isdtype(dt.uint8, ("bool", "integral"))
    True
    """
    require_dtype("isdtype", dtype)
    if isinstance(kind, tuple):
        return any(isdtype(dtype, k) for k in kind)
    if isinstance(kind, DType):
        return dtype is kind
    if kind not in KINDS:
        raise ValueError(f"isdtype: kinds are {', '.join(KINDS)}, not {kind!r}" + at_line())
    return dtype.kind in KINDS[kind]


def shape_of(name: str, shape: int | Sequence[int]) -> tuple[int, ...]:
    """A shape given as a number or a tuple."""
    given = shape if isinstance(shape, list | tuple) else (shape,)
    try:
        return tuple([n if isinstance(n, int) else index(n) for n in given])
    except TypeError:
        raise TypeError(
            f"{name}: a shape is made of whole numbers, not {shape!r}" + at_line()
        ) from None
