"""DLPack capsules: memory handed to other libraries in this process, and memory that they hand out.

Knows the C structures of dlpack.h (versions 0.x and 1.x) and who frees what, and when. It must not
know tensors, nor what the elements of the memory mean.
"""

from __future__ import annotations

import ctypes
import functools
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .code import functions
from .memory import Buffer

CPU = 1  # kDLCPU of DLDeviceType
VERSION = (1, 0)  # the newest that is spoken: flags, and a version that consumers check
INTEGER, UNSIGNED, FLOATING, BFLOAT, COMPLEX, BOOLEAN = 0, 1, 2, 4, 5, 6  # DLDataTypeCode

_READ_ONLY, _IS_COPIED = 1, 2  # DLPACK_FLAG_BITMASK_…
_MOST_AXES = 64  # a capsule that claims more holds no tensor
_MOST_BYTES = 1 << 62


class _Tensor(ctypes.Structure):
    """DLTensor, its device and its data type written out."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class _Managed(ctypes.Structure):
    """DLManagedTensor: the form before version 1."""

    _fields_ = [
        ("tensor", _Tensor),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
    ]


class _Versioned(ctypes.Structure):
    """DLManagedTensorVersioned."""

    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    ]


class _Form(NamedTuple):
    """One of the two forms of a capsule. CPython keeps the address of a name: they stay alive."""

    fresh: bytes
    used: bytes
    structure: type[_Managed] | type[_Versioned]
    word: str  # what its functions are called


_PLAIN = _Form(b"dltensor", b"used_dltensor", _Managed, "plain")
_NEWER = _Form(b"dltensor_versioned", b"used_dltensor_versioned", _Versioned, "versioned")

# The deleter may be called from any thread, with or without Python's lock; the destructor of a
# capsule runs wherever the last reference dies, also while an exception is on its way. Neither is
# a place for Python code, so both are machine code: give up one reference to the owner.
_IR = """
declare i32 @Py_IsInitialized()
declare i32 @PyGILState_Ensure()
declare void @PyGILState_Release(i32)
declare void @Py_DecRef(ptr)
declare i32 @PyCapsule_IsValid(ptr, ptr)
declare ptr @PyCapsule_GetPointer(ptr, ptr)

@name = private constant [{length} x i8] c"{name}\\00"

define void @delete_{word}(ptr %managed) {{
entry:
  %up = call i32 @Py_IsInitialized()
  %alive = icmp ne i32 %up, 0
  br i1 %alive, label %go, label %done
go:
  %state = call i32 @PyGILState_Ensure()
  %place = getelementptr i8, ptr %managed, i64 {context}
  %owner = load ptr, ptr %place
  call void @Py_DecRef(ptr %owner)
  call void @PyGILState_Release(i32 %state)
  br label %done
done:
  ret void
}}

define void @destroy_{word}(ptr %capsule) {{
entry:
  %valid = call i32 @PyCapsule_IsValid(ptr %capsule, ptr @name)
  %fresh = icmp ne i32 %valid, 0
  br i1 %fresh, label %go, label %done
go:
  %managed = call ptr @PyCapsule_GetPointer(ptr %capsule, ptr @name)
  call void @delete_{word}(ptr %managed)
  br label %done
done:
  ret void
}}
"""
_NEEDED = (
    "Py_IsInitialized", "PyGILState_Ensure", "PyGILState_Release", "Py_DecRef",
    "PyCapsule_IsValid", "PyCapsule_GetPointer",
)  # fmt: skip


@functools.cache
def _code(form: _Form) -> tuple[int, int]:
    """The addresses of a form's deleter and of its capsules' destructor."""
    text = _IR.format(
        name=form.fresh.decode(), length=len(form.fresh) + 1, word=form.word,
        context=form.structure.context.offset,
    )  # fmt: skip
    imports = {
        name: ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0
        for name in _NEEDED
    }
    delete, destroy = functions(
        text, (f"delete_{form.word}", f"destroy_{form.word}"), imports=imports
    )
    return delete, destroy


def _api(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """A function of CPython's that keeps its lock, and whose exceptions arrive."""
    made: Callable[..., Any] = ctypes.PYFUNCTYPE(result, *arguments)((name, ctypes.pythonapi))
    return made


_new = _api("PyCapsule_New", ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
_is_valid = _api("PyCapsule_IsValid", ctypes.c_int, ctypes.py_object, ctypes.c_char_p)
_pointer = _api("PyCapsule_GetPointer", ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)
_rename = _api("PyCapsule_SetName", ctypes.c_int, ctypes.py_object, ctypes.c_char_p)
_increment = _api("Py_IncRef", None, ctypes.py_object)


class _Given:
    """What a managed tensor of ours needs until its deleter is called."""

    __slots__ = ("keep", "managed", "numbers")

    def __init__(self, managed: _Managed | _Versioned, numbers: Any, keep: object) -> None:
        self.managed, self.numbers, self.keep = managed, numbers, keep


class Elements(NamedTuple):
    """How elements lie in memory, as DLPack says it; strides in elements."""

    address: int  # of the first element
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    code: int
    bits: int
    readonly: bool = False
    copied: bool = False  # the consumer is the only one who sees it


def give(elements: Elements, keep: object, versioned: bool) -> object:
    """A capsule for these elements, which keeps `keep` alive until its consumer is done with them.

    Raises BufferError for read-only memory in the form before version 1, which cannot say so.
    """
    form = _NEWER if versioned else _PLAIN
    if elements.readonly and not versioned:
        raise BufferError(
            "this memory is read-only, and a DLPack capsule before version 1 cannot say so; "
            "ask for max_version=(1, 0), or copy"
        )
    ndim = len(elements.shape)
    numbers = (ctypes.c_int64 * max(1, 2 * ndim))(*elements.shape, *elements.strides)
    managed = form.structure()
    t = managed.tensor
    t.data, t.device_type, t.device_id, t.ndim = elements.address, CPU, 0, ndim
    t.code, t.bits, t.lanes, t.byte_offset = elements.code, elements.bits, 1, 0
    first = ctypes.addressof(numbers)
    whole = ctypes.POINTER(ctypes.c_int64)
    t.shape = ctypes.cast(first, whole)
    t.strides = ctypes.cast(first + 8 * ndim, whole)
    delete, destroy = _code(form)
    owner = _Given(managed, numbers, keep)
    managed.context, managed.deleter = id(owner), delete
    if isinstance(managed, _Versioned):
        managed.major, managed.minor = VERSION
        managed.flags = _READ_ONLY * elements.readonly | _IS_COPIED * elements.copied
    capsule: object = _new(ctypes.addressof(managed), form.fresh, destroy)
    _increment(owner)  # the deleter gives it up
    return capsule


def take(capsule: object) -> tuple[Elements, Buffer]:
    """What a capsule holds, and the memory it lies in, whose end calls the producer's deleter.

    The capsule is used up. Raises BufferError for a used capsule and for what does not lie in this
    processor's memory, TypeError for what is no DLPack capsule.
    """
    form = next((f for f in (_NEWER, _PLAIN) if _is_valid(capsule, f.fresh)), None)
    if form is None:
        if any(_is_valid(capsule, f.used) for f in (_NEWER, _PLAIN)):
            raise BufferError("this DLPack capsule is used up; ask its maker for another one")
        raise TypeError(
            f"a DLPack capsule named 'dltensor' or 'dltensor_versioned' is expected, not "
            f"{capsule!r:.80}"
        )
    managed = form.structure.from_address(_pointer(capsule, form.fresh))
    readonly = copied = False
    if isinstance(managed, _Versioned):
        if managed.major != VERSION[0]:
            raise BufferError(
                f"the capsule speaks DLPack {managed.major}.{managed.minor}; "
                f"1.x and the unversioned form are understood"
            )
        readonly = bool(managed.flags & _READ_ONLY)
        copied = bool(managed.flags & _IS_COPIED)
    elements = _elements(managed.tensor, readonly, copied)
    low, high = span(elements.shape, elements.strides)
    item = elements.bits // 8
    nbytes = (high - low) * item
    if nbytes and not elements.address:
        raise BufferError(f"the capsule has elements of shape {elements.shape}, but no memory")
    _rename(capsule, form.used)
    keep = _Taken(ctypes.addressof(managed), managed.deleter or 0)
    buffer = Buffer.from_object(elements.address + low * item, nbytes, owner=keep)
    buffer.readonly = readonly
    return elements, buffer


class _Taken:
    """A managed tensor of somebody else's: its end is its deleter's call."""

    __slots__ = ("__weakref__",)

    def __init__(self, address: int, deleter: int) -> None:
        if deleter:
            call = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(deleter)
            # At exit, memory is left alone: other libraries may be gone already.
            weakref.finalize(self, call, address).atexit = False


def span(shape: Sequence[int], strides: Sequence[int]) -> tuple[int, int]:
    """The first position and the one after the last that elements lie at, the first one's being
    0; (0, 0) if there are none."""
    if 0 in shape:
        return 0, 0
    ends = [(n - 1) * s for n, s in zip(shape, strides, strict=True)]
    return sum(e for e in ends if e < 0), sum(e for e in ends if e > 0) + 1


def _elements(t: _Tensor, readonly: bool, copied: bool) -> Elements:
    if t.device_type != CPU:
        raise BufferError(
            f"the capsule's memory is on device type {t.device_type} (DLPack's numbers); only "
            f"this processor's, type {CPU}, can be read: copy it to the CPU first"
        )
    if t.lanes != 1 or t.bits % 8:
        raise BufferError(f"elements of {t.lanes} lanes of {t.bits} bits are not understood")
    if not 0 <= t.ndim <= _MOST_AXES or (t.ndim and not t.shape):
        raise BufferError(f"the capsule claims {t.ndim} axes; up to {_MOST_AXES} are understood")
    shape = tuple(t.shape[d] for d in range(t.ndim))
    if any(n < 0 for n in shape):
        raise BufferError(f"the capsule's shape {shape} has negative sizes")
    if t.strides and 0 not in shape:
        strides = tuple(t.strides[d] for d in range(t.ndim))
    else:
        strides = tuple(_row_major(shape))
    low, high = span(shape, strides)
    if (high - low) * (t.bits // 8) > _MOST_BYTES:
        raise BufferError(f"no memory holds shape {shape} with strides {strides}")
    address = (t.data or 0) + t.byte_offset
    return Elements(address, shape, strides, t.code, t.bits, readonly, copied)


def _row_major(shape: Sequence[int]) -> list[int]:
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return strides[::-1]
