"""Values to and from NumPy, which is imported inside functions alone, and of this floor elsewhere
only where LAPACK and the Fourier transforms are asked for (linalg/lapack.py, fft/host.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..ir import dtype as dt
from ..ir.dtype import DType
from ..ir.extent import product
from ..runtime import Buffer, allocate, dlpack
from . import storage as store
from .core import Core, force, value_of
from .errors import at_line
from .exchange import can_lend, lent, seen
from .shape import is_contiguous
from .storage import Storage
from .tensor import Tensor

if TYPE_CHECKING:
    import numpy as np

    from .complex.refusal import Pairs


def own_dtype(d: Any) -> DType:
    """groundup's type of a NumPy dtype. Raises TypeError if there is none."""
    own = _BY_NAME.get(d.name)
    if own is None:
        raise TypeError(
            f"arrays of {d} have no counterpart; groundup has {', '.join(_BY_NAME)}" + at_line()
        )
    return own


_BY_NAME = {**dt.BY_NAME, **{d.name: d for d in dt.COMPLEX}}


def tensor_from_array(array: Any) -> Tensor:
    """A tensor on an array's memory: each sees at once what is written through the other.

    Raises TypeError for element types that groundup does not have, ValueError for memory that
    cannot be shared (of another byte order, not aligned).
    """
    import numpy as np

    values = np.asarray(array)
    own = own_dtype(values.dtype)
    item = own.itemsize
    why = ""
    if not values.dtype.isnative:
        why = f"its byte order is not this machine's ({values.dtype.str})"
    elif not values.flags.aligned or any(s % item for s in values.strides):
        why = f"its elements are not aligned to their {item} bytes (strides {values.strides})"
    if why:
        raise ValueError(
            f"from_numpy(copy=False) cannot share this array's memory: {why}; write copy=True"
            + at_line()
        )
    strides = tuple(s // item for s in values.strides)
    low, high = dlpack.span(values.shape, strides)
    address = values.__array_interface__["data"][0] + low * item
    buffer = Buffer.from_object(address, (high - low) * item, owner=values)
    buffer.readonly = not values.flags.writeable
    if store.tracing() is not None:
        values_from_array(array, None)  # has it watched: it must stay as it is
    return seen(buffer, values.shape, strides, own, values)


def storage_from_array(array: Any, dtype: DType | None = None) -> Storage:
    """A storage with a copy of an array's elements, which are real.

    Raises TypeError for element types that groundup does not have.
    """
    import numpy as np

    storage = _copied(np.asarray(array), dtype)
    _tell_tracer(array, storage, lambda again: _copied(np.asarray(again), dtype))
    return storage


def values_from_array(array: Any, dtype: DType | None) -> Storage | Pairs:
    """What storage_from_array gives, of complex numbers a storage of pairs."""
    import numpy as np

    values = np.asarray(array)
    if values.dtype.kind != "c" and (dtype is None or not dtype.is_complex):
        return storage_from_array(array, dtype)
    kind = own_dtype(values.dtype) if dtype is None else dtype
    if not kind.is_complex:
        raise TypeError(
            f"an array of {values.dtype} becomes a complex tensor, not one of {kind.name}; take "
            f"its .real" + at_line()
        )
    from .complex.refusal import Pairs

    part = kind.to_real().name

    def pairs(source: Any) -> Storage:
        row_major = np.asarray(source, dtype=kind.name, order="C")
        return _copied(row_major.reshape(-1).view(part).reshape(*row_major.shape, 2), None)

    storage = pairs(array)
    _tell_tracer(array, storage, pairs)
    return Pairs(kind, storage)


def _copied(values: np.ndarray[Any, Any], dtype: DType | None) -> Storage:
    import numpy as np

    own = own_dtype(values.dtype)
    if own.is_complex:
        raise TypeError(
            f"an array of {values.dtype} where real numbers are expected; take its .real"
            + at_line()
        )
    shape = tuple(int(s) for s in values.shape)
    if dtype is not None and dtype is not own:
        from ..ir.scalar import cast

        if dtype.fmt and dtype not in store._HALF and not (own.is_float and not dtype.is_float):
            values = values.astype(dtype.name)
        else:
            flat = [cast(v, dtype) for v in values.reshape(-1).tolist()]
            return store.from_values(flat, shape, dtype)
        own = dtype
    values = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("="), copy=False)
    buffer = allocate(max(1, values.nbytes))
    buffer.write_bytes(values.reshape(-1).view(np.uint8) if values.size else b"")
    return Storage(shape, own, buffer=buffer)


def _tell_tracer(array: Any, storage: Storage, copy: Callable[[Any], Storage]) -> None:
    """An array enters a captured function; `storage` is the copy of it, made by `copy`."""
    import numpy as np

    if store.tracer is not None and not isinstance(array, np.generic):
        store.tracer.copied(array, copy, storage)


def operand_from(value: Any) -> Any:
    """What an object of NumPy's is in arithmetic: an array a tensor, a number one of Python's."""
    import numpy as np

    if isinstance(value, np.ndarray):
        from .create import made_of

        return made_of(values_from_array(value, None))
    if isinstance(value, np.generic):
        number = value.item()
        if isinstance(number, np.generic):  # longer than Python's numbers
            number = complex(number) if number.dtype.kind == "c" else float(number)
        return number
    raise TypeError(
        f"expected a Tensor, an array or a number, not numpy.{type(value).__name__}" + at_line()
    )


def to_array(a: Core, copy: bool = True) -> np.ndarray[Any, Any]:
    """The elements as a NumPy array; copy=False shares the tensor's memory."""
    import numpy as np

    store.asked("numpy()")
    if a.dtype is dt.bfloat16:
        raise TypeError("NumPy has no bfloat16; write x.float().numpy()" + at_line())
    shape = tuple(s.__index__() for s in a._shape)
    if not copy:
        return _shared(a, shape)
    force([a._storage])
    storage, (_, offset) = a._storage, a.layout()
    if not is_contiguous(a):
        storage, offset = Storage(a._shape, a.dtype, value_of(a)), 0
        force([storage])
    size, item = int(product(shape)), a.dtype.itemsize
    raw = storage.memory().memoryview()[offset * item : (offset + size) * item]
    values = np.frombuffer(raw, dtype=a.dtype.name).copy()
    return values.reshape(shape)


def _shared(a: Core, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """An array on the tensor's own memory: writes on either side are seen by the other at once."""
    import numpy as np

    if not can_lend(a):
        raise RuntimeError(
            "numpy(copy=False) of a tensor that requires grad, or whose value a derivative needs, "
            "would hide writes from that derivative; write x.detach().clone().numpy(copy=False)"
            + at_line()
        )
    if 0 in shape:
        return np.empty(shape, a.dtype.name)
    buffer, lease = lent(a)
    strides, offset = a.layout()
    item = a.dtype.itemsize
    steps = tuple(s.__index__() * item for s in strides)
    return np.ndarray(shape, a.dtype.name, buffer.memoryview(lease), int(offset) * item, steps)


def as_array(
    a: Core, numpy: Callable[[bool], np.ndarray[Any, Any]], dtype: Any, copy: bool | None
) -> np.ndarray[Any, Any]:
    """See `Tensor.__array__`; `numpy` is the tensor's method."""
    import numpy as np

    if a.tracked():
        raise RuntimeError(
            "NumPy takes a tensor that requires grad as an array, and no derivative would flow "
            "through what it computes; write x.detach(), or x.numpy() for its values" + at_line()
        )
    if copy is not False:
        array = numpy(True)
        return array if dtype is None else array.astype(dtype, copy=False)
    if dtype is not None and np.dtype(dtype) != np.dtype(a.dtype.name):
        raise ValueError(
            f"__array__(copy=False): {a.dtype.name} becomes {np.dtype(dtype)} only in a copy"
            + at_line()
        )
    return numpy(False)
