"""Memory that tensors share with others in this process: DLPack capsules and Python buffers.

Shared memory is read and written at once, never lazily. Must not know NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..ir import dtype as dt
from ..ir.dtype import DType
from ..ir.extent import product
from ..runtime import Buffer, dlpack
from . import storage as store
from .core import Core, Paired, force, value_of
from .errors import at_line
from .storage import Storage
from .tensor import Tensor
from .view import Strided, contiguous_strides

_CODES = {
    "b": dlpack.BOOLEAN, "u": dlpack.UNSIGNED, "i": dlpack.INTEGER, "f": dlpack.FLOATING,
    "c": dlpack.COMPLEX,
}  # fmt: skip
_CPU = (dlpack.CPU, 0)


def _code_of(d: DType) -> int:
    return dlpack.BFLOAT if d is dt.bfloat16 else _CODES[d.kind]


_TYPES = (*dt.ALL, *dt.COMPLEX)
_BY_CODE = {(_code_of(d), 8 * d.itemsize): d for d in _TYPES}


# ---- memory of others ----------------------------------------------------------------------------


def seen(
    buffer: Buffer, shape: Sequence[int], strides: Sequence[int], dtype: DType, owner: object
) -> Tensor:
    """A tensor on foreign memory, which the buffer spans from the first element to the last.

    strides: in elements. owner: whose memory it is; None if nobody else sees it any more.
    """
    size = tuple(int(n) for n in shape)
    if dtype.is_complex:
        from .complex.tensor import ComplexTensor

        pairs = [*(2 * s for s in strides), 1]
        return ComplexTensor(seen(buffer, (*size, 2), pairs, dtype.to_real(), owner))
    if 0 in size:
        return Tensor._make(Storage(size, dtype, buffer=Buffer(1)))
    low, high = dlpack.span(size, strides)
    whole = all(s == t for s, t, n in zip(strides, contiguous_strides(size), size) if n != 1)
    storage = Storage(size if whole else (high - low,), dtype, buffer=buffer)
    storage.owner = owner
    result = Tensor._make(storage)
    if not whole:
        result = result.through(Strided((high - low,), size, tuple(map(int, strides)), -low))
    return result


def from_dlpack(x: Any, *, device: str | None = None, copy: bool | None = None) -> Tensor:
    """A tensor on the memory of another library's array, by DLPack; both see what either writes.

    x: anything with `__dlpack__` and `__dlpack_device__` (a NumPy array, a PyTorch tensor, …), or a
    capsule of DLPack. device: None or 'cpu'. copy: True for memory of its own, None and False to
    share it. Raises BufferError for memory elsewhere, for element types that groundup does not have
    and for a capsule that has been used; TypeError for what does not speak DLPack.

    >>> import numpy as np
    >>> a = np.zeros(3, np.float32)
    >>> x = gu.from_dlpack(a)
    >>> a[0] = 5
    >>> x.tolist()
    [5.0, 0.0, 0.0]
    """
    store.asked("from_dlpack()")
    if device not in (None, "cpu"):
        raise ValueError(f"from_dlpack: device is None or 'cpu', not {device!r}" + at_line())
    try:
        elements, buffer = dlpack.take(_capsule(x, copy))
    except BufferError as error:
        raise BufferError(f"from_dlpack: {error}" + at_line()) from None
    dtype = _BY_CODE.get((elements.code, elements.bits))
    if dtype is None:
        raise BufferError(
            f"from_dlpack: elements of DLPack type {elements.code} with {elements.bits} bits have "
            f"no counterpart; groundup has {', '.join(d.name for d in _TYPES)}" + at_line()
        )
    if elements.address % dtype.itemsize and copy is not True and buffer.nbytes:
        raise BufferError(
            f"from_dlpack: {dtype.name} at address {elements.address:#x} is not aligned to "
            f"{dtype.itemsize} bytes; write copy=True" + at_line()
        )
    alone = elements.copied and not elements.readonly
    shared = seen(buffer, elements.shape, elements.strides, dtype, None if alone else x)
    return copied(shared) if copy else shared


def copied(a: Core) -> Tensor:
    """The elements in row-major memory of their own, now."""
    if isinstance(a, Paired):
        return a.over(copied)
    storage = Storage(a._shape, a.dtype, value_of(a))
    force([storage])
    storage.memory()
    storage.own()
    return a._make(storage)


def _capsule(x: Any, copy: bool | None) -> object:
    """What x hands out; x itself, which may be a capsule, if it has no `__dlpack__`."""
    if not hasattr(x, "__dlpack__"):
        if hasattr(x, "__dlpack_device__") or type(x).__name__ != "PyCapsule":
            raise TypeError(
                f"from_dlpack takes an array with __dlpack__, or a DLPack capsule, not "
                f"{type(x).__name__}" + at_line()
            )
        return x
    if hasattr(x, "__dlpack_device__"):
        kind = int(x.__dlpack_device__()[0])
        if kind != dlpack.CPU:
            raise BufferError(
                f"the memory of this {type(x).__name__} is on device type {kind} (DLPack's "
                f"numbers); only this processor's, type {dlpack.CPU}, can be read: copy it to the "
                f"CPU first"
            )
    more: dict[str, Any] = {"copy": False} if copy is False else {}
    for arguments in ({"max_version": dlpack.VERSION, **more}, {}):
        try:
            return x.__dlpack__(**arguments)
        except TypeError:  # of before version 1, which takes neither and never copies
            if not arguments:
                raise
    return None


def frombuffer(
    buffer: Any, *, dtype: DType, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """A tensor in one axis on the memory of an object with Python's buffer protocol.

    buffer: bytes, bytearray, memoryview, array.array, mmap, …; both see what either writes, and a
    read-only one refuses writes. count: how many elements, -1 for all that fit. offset: where the
    first begins, in bytes. Raises ValueError if they lie beyond the end of the buffer.

    >>> gu.frombuffer(bytes([1, 0, 2, 0]), dtype=gu.int16).tolist()
    [1, 2]
    """
    store.asked("frombuffer()")
    if not isinstance(dtype, DType):
        raise TypeError(f"frombuffer: dtype is one such as gu.float32, not {dtype!r}" + at_line())
    try:
        whole = Buffer.from_object(memoryview(buffer), owner=buffer)
    except TypeError:
        raise TypeError(
            f"frombuffer takes the memory of an object with the buffer protocol, such as bytes, "
            f"not {type(buffer).__name__}" + at_line()
        ) from None
    except BufferError as error:
        raise BufferError(f"frombuffer: {error}" + at_line()) from None
    if not isinstance(count, int) or not isinstance(offset, int):
        raise TypeError(
            f"frombuffer: count and offset are whole numbers, not {count!r} and {offset!r}"
            + at_line()
        )
    item = dtype.itemsize
    room = whole.nbytes - offset
    if offset < 0 or room < 0 or (count < 0 and room % item) or count < -1 or count * item > room:
        raise ValueError(
            f"frombuffer: {'all' if count < 0 else count} elements of {dtype.name} ({item} bytes "
            f"each) from byte {offset} on do not fit into a buffer of {whole.nbytes} bytes"
            + at_line()
        )
    size = room // item if count < 0 else count
    if size and (whole.address + offset) % item:
        raise ValueError(
            f"frombuffer: byte {offset} of this buffer is not aligned to the {item} bytes of "
            f"{dtype.name}; copy the bytes first" + at_line()
        )
    part = Buffer.from_object(whole.address + offset, size * item, owner=whole)
    part.readonly = whole.readonly
    result = seen(part, (size,), (1,), dtype, buffer)
    return result.requires_grad_() if requires_grad else result


# ---- our memory ----------------------------------------------------------------------------------


def can_lend(a: Core) -> bool:
    """May others write to a tensor's memory without making a derivative wrong?"""
    if isinstance(a, Paired):
        return can_lend(a._pair)
    return not (a.tracked() or a._storage.pending_tracked())


def lent(a: Core) -> tuple[Buffer, object]:
    """A tensor's memory, and what others must hold while they see it."""
    s = a._pair._storage if isinstance(a, Paired) else a._storage
    force([s])
    s.memory()
    lease = s.lend()
    return s.memory(), lease


def to_dlpack(
    a: Core,
    stream: Any,
    max_version: tuple[int, int] | None,
    dl_device: tuple[int, int] | None,
    copy: bool | None,
) -> object:
    """See `Tensor.__dlpack__`."""
    store.asked("__dlpack__()")
    if stream not in (None, -1):
        raise BufferError(f"__dlpack__: a CPU has no stream {stream!r}; it is None" + at_line())
    if dl_device is not None and tuple(dl_device) != _CPU:
        raise BufferError(
            f"__dlpack__: memory is on the CPU, {_CPU}, and cannot be put on {dl_device}"
            + at_line()
        )
    if a.tracked():
        raise BufferError(
            "__dlpack__ of a tensor that requires grad would hide writes from its derivative; "
            "give x.detach().clone()" + at_line()
        )
    if not can_lend(a):
        if copy is False:
            raise BufferError(
                "__dlpack__(copy=False): a derivative needs the value in this memory, which others "
                "could overwrite; give x.detach().clone()" + at_line()
            )
        copy = True
    versioned = max_version is not None and max_version[0] >= dlpack.VERSION[0]
    if copy:
        a = copied(a)  # lent as well: the consumer alone has it
    buffer, keep = lent(a)
    strides, offset = a.layout()
    shape = tuple(s.__index__() for s in a._shape)
    item = a.dtype.itemsize
    address = buffer.address + offset * item if product(shape) else 0
    elements = dlpack.Elements(
        address, shape, tuple(s.__index__() for s in strides), _code_of(a.dtype), 8 * item,
        buffer.readonly, bool(copy),
    )  # fmt: skip
    return dlpack.give(elements, (buffer, keep), versioned)
