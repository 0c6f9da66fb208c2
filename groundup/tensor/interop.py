"""Values to and from NumPy. The only file of this floor that may import it, inside functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..ir import dtype as dt
from ..ir.dtype import DType
from ..ir.extent import product
from ..runtime import Buffer, allocate
from . import storage as store
from .core import Core, force, value_of
from .errors import at_line
from .shape import is_contiguous
from .storage import Storage

if TYPE_CHECKING:
    import numpy as np

    from .complex.refusal import Pairs


def storage_from_array(array: Any, dtype: DType | None = None, copy: bool = True) -> Storage:
    """A storage with an array's elements; copy=False shares its memory instead.

    Raises TypeError for element types that groundup does not have, ValueError for copy=False of
    memory that cannot be shared (not row-major, of another byte order).
    """
    import numpy as np

    values = np.asarray(array)
    own = dt.BY_NAME.get(values.dtype.name)
    if own is None:
        raise TypeError(
            f"arrays of {values.dtype} have no counterpart; groundup has "
            f"{', '.join(d.name for d in dt.ALL)}" + at_line()
        )
    shape = tuple(int(s) for s in values.shape)
    if not copy:
        if not values.flags.c_contiguous or not values.dtype.isnative:
            raise ValueError(
                "copy=False shares memory, which must be row-major and of this machine's byte "
                "order; use numpy.ascontiguousarray, or copy" + at_line()
            )
        storage = Storage(shape, own, buffer=Buffer.from_object(values.reshape(-1), owner=values))
        storage.owner = values
        if store.tracer is not None:
            storage_from_array(array)  # has it watched: it must stay as it is
        return storage
    if dtype is not None and dtype is not own:
        from ..ir.scalar import cast

        if dtype.fmt and dtype not in store._HALF and not (own.is_float and not dtype.is_float):
            values = values.astype(dtype.name)
        else:
            flat = [cast(v, dtype) for v in values.reshape(-1).tolist()]
            return _tell_tracer(array, dtype, store.from_values(flat, shape, dtype))
        own = dtype
    values = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("="), copy=False)
    buffer = allocate(max(1, values.nbytes))
    buffer.write_bytes(values.reshape(-1).view(np.uint8) if values.size else b"")
    return _tell_tracer(array, dtype, Storage(shape, own, buffer=buffer))


def values_from_array(array: Any, dtype: DType | None, copy: bool = True) -> Storage | Pairs:
    """What storage_from_array gives, of complex numbers a storage of pairs."""
    import numpy as np

    values = np.asarray(array)
    if values.dtype.kind != "c" and (dtype is None or not dtype.is_complex):
        return storage_from_array(array, dtype, copy)
    known = {d.name: d for d in dt.COMPLEX}
    kind = known.get(values.dtype.name) if dtype is None else dtype
    if kind is None or not kind.is_complex:
        raise TypeError(
            f"an array of {values.dtype} becomes a tensor of {' or '.join(known)}, not of "
            f"{'any other type' if dtype is None else dtype.name}; take its .real" + at_line()
        )
    from .complex.refusal import Pairs

    row_major = np.asarray(values, dtype=kind.name, order="C")
    if not copy and row_major is not values:
        raise ValueError(
            "copy=False shares memory, which must be row-major and of this machine's byte "
            "order; use numpy.ascontiguousarray, or copy" + at_line()
        )
    pairs = row_major.reshape(-1).view(kind.to_real().name).reshape(*values.shape, 2)
    return Pairs(kind, storage_from_array(pairs, copy=copy))


def _tell_tracer(array: Any, dtype: DType | None, storage: Storage) -> Storage:
    """An array enters a captured function; `storage` is the copy of it."""
    import numpy as np

    if store.tracer is not None and not isinstance(array, np.generic):
        store.tracer.copied(array, lambda again: storage_from_array(again, dtype), storage)
    return storage


def to_array(a: Core, copy: bool = True) -> np.ndarray[Any, Any]:
    """The elements as a NumPy array; copy=False shares the tensor's memory."""
    import numpy as np

    store.asked("numpy()")
    if a.dtype is dt.bfloat16:
        raise TypeError("NumPy has no bfloat16; write x.float().numpy()" + at_line())
    if not copy:
        return _shared(a)
    force([a._storage])
    storage, (_, offset) = a._storage, a.layout()
    if not is_contiguous(a):
        storage, offset = Storage(a._shape, a.dtype, value_of(a)), 0
        force([storage])
    size, item = int(product(a._shape)), a.dtype.itemsize
    storage.items()
    assert storage.buffer is not None
    raw = storage.buffer.memoryview()[offset * item : (offset + size) * item]
    values = np.frombuffer(raw, dtype=a.dtype.name).copy()
    return values.reshape(tuple(map(int, a._shape)))


def _shared(a: Core) -> np.ndarray[Any, Any]:
    """An array on the tensor's own memory: writes on either side are seen by the other at once."""
    import numpy as np

    if a.tracked():
        raise RuntimeError(
            "numpy(copy=False) of a tensor that requires grad would hide writes from its "
            "derivative; write x.detach().clone().numpy(copy=False)" + at_line()
        )
    force([a._storage])
    s = a._storage
    s.items()
    s.own()
    assert s.buffer is not None
    flat = np.frombuffer(s.buffer.memoryview(), dtype=a.dtype.name, count=product(s.shape))
    s.owner = s.owner or flat
    strides, offset = a.layout()
    return np.lib.stride_tricks.as_strided(
        flat[offset:],
        tuple(map(int, a._shape)),
        tuple(int(st) * a.dtype.itemsize for st in strides),
    )
