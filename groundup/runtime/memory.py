"""Memory: buffers of bytes from a caching allocator, so that a training loop that frees and
allocates the same sizes every step touches no fresh page. It must not know shapes or dtypes."""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Callable
from typing import Any

from . import system

_CHUNK = 1 << 20  # blocks of up to a quarter of this are cut from chunks of this size
_SLACK = 64 << 20  # see _more

_free: dict[int, list[int]] = {}  # block size -> addresses of idle blocks
_handles: dict[int, tuple[int, object]] = {}  # address of a block of its own -> (size, handle)
_chunks: list[object] = []  # cut into small blocks, never returned
lock = threading.RLock()  # of the slow paths; a finalizer that runs in one may allocate
_mapped = 0  # bytes obtained from the system
_peak = 0  # most bytes that were live whenever the system was asked for more
_missed: dict[int, None] = {}  # block sizes that were not at hand, latest last


class Buffer:
    """`nbytes` of memory, 64-byte aligned, with arbitrary contents at first.

    The memory goes back to the allocator when the object dies. Raises MemoryError, which states
    the bytes asked for and the bytes live.

    >>> b = Buffer(8)
    >>> b.write("<2f", 0, 1.5, -2.0)
    >>> b.read("<2f")
    (1.5, -2.0)
    """

    __slots__ = ("__weakref__", "_home", "_owner", "address", "nbytes", "readonly")

    address: int
    nbytes: int
    readonly: bool

    def __init__(self, nbytes: int) -> None:
        size = _block_size(nbytes)
        try:
            home = _free[size]
            self.address = home.pop()
        except (KeyError, IndexError):
            home = _free.setdefault(size, [])
            self.address = _more(size, nbytes, home)
        self._home: list[int] | None = home  # last: __del__ of a half-made buffer does nothing
        self._owner: object = None
        self.nbytes = nbytes
        self.readonly = False

    def __del__(self) -> None:
        # list.append is atomic and takes no lock, so a collection may run this anywhere; nothing
        # is unmapped here, so that a thread still computing at exit does not lose its memory.
        try:  # noqa: SIM105 (a context manager costs more than the whole of this)
            self._home.append(self.address)  # type: ignore[union-attr]
        except AttributeError:
            pass  # foreign memory, or __init__ failed

    @classmethod
    def from_object(cls, source: Any, nbytes: int | None = None, owner: object = None) -> Buffer:
        """Wrap foreign memory without copying: an object with the buffer protocol, or an address.

        An address needs `nbytes`, and an `owner` that keeps the memory alive. Raises BufferError
        for memory that is not contiguous.
        """
        self = cls.__new__(cls)
        self._home = None
        if isinstance(source, int):
            if nbytes is None or nbytes < 0:
                raise ValueError("a bare address says nothing of its length: give nbytes >= 0")
            self.address, self.nbytes, self._owner, self.readonly = source, nbytes, owner, False
            return self
        view = memoryview(source)
        if not view.c_contiguous:
            raise BufferError(
                f"memory of shape {view.shape} with strides {view.strides} is not C-contiguous; "
                "copy it first"
            )
        self.address, self.nbytes, self.readonly = _address_of(view), view.nbytes, view.readonly
        self._owner = (view, owner)  # the view keeps a bytearray from being resized
        return self

    @property
    def borrowed(self) -> bool:
        """Does the memory belong to somebody else: to a foreign object, or to another buffer?"""
        return self._owner is not None

    def memoryview(self, keep: object = None) -> memoryview:
        """The bytes as a memoryview of format 'B', which keeps the buffer (and `keep`) alive."""
        span = (ctypes.c_ubyte * self.nbytes).from_address(self.address)
        span._owner = (self, keep)  # type: ignore[attr-defined]
        view = memoryview(span).cast("B") if self.nbytes else memoryview(bytearray())
        return view.toreadonly() if self.readonly else view

    def read(self, fmt: str, offset: int = 0) -> tuple[Any, ...]:
        """Values at a byte offset, in a format of the `struct` module."""
        return struct.unpack(fmt, self.read_bytes(offset, struct.calcsize(fmt)))

    def write(self, fmt: str, offset: int = 0, *values: Any) -> None:
        """Store values at a byte offset, in a format of the `struct` module."""
        self.write_bytes(struct.pack(fmt, *values), offset)

    def read_bytes(self, offset: int = 0, nbytes: int | None = None) -> bytes:
        """A copy of `nbytes` bytes from a byte offset on (all that follow, if None)."""
        count = self.nbytes - offset if nbytes is None else nbytes
        self._check(offset, count)
        return ctypes.string_at(self.address + offset, count)

    def write_bytes(self, data: Any, offset: int = 0) -> None:
        """Copy an object with the buffer protocol to a byte offset."""
        view = memoryview(data)
        self._check(offset, view.nbytes)
        if self.readonly:
            raise BufferError("this buffer wraps read-only memory")
        if not view.c_contiguous:
            view = memoryview(view.tobytes())
        ctypes.memmove(self.address + offset, _address_of(view), view.nbytes)

    def fill(self, pattern: bytes) -> None:
        """Repeat some bytes from the start to the end."""
        if self.readonly:
            raise BufferError("this buffer wraps read-only memory")
        if pattern.count(pattern[:1]) == len(pattern):
            ctypes.memset(self.address, pattern[0], self.nbytes)
            return
        done = min(len(pattern), self.nbytes)
        ctypes.memmove(self.address, pattern, done)
        while done < self.nbytes:  # what is there is copied behind itself
            more = min(done, self.nbytes - done)
            ctypes.memmove(self.address + done, self.address, more)
            done += more

    def copied(self) -> Buffer:
        """Memory of its own with the same bytes."""
        fresh = Buffer(self.nbytes)
        ctypes.memmove(fresh.address, self.address, self.nbytes)
        return fresh

    def _check(self, offset: int, count: int) -> None:
        if offset < 0 or count < 0 or offset + count > self.nbytes:
            raise IndexError(
                f"bytes {offset} to {offset + count} of a buffer that has {self.nbytes}"
            )

    def __repr__(self) -> str:
        return f"Buffer(nbytes={self.nbytes}, address={self.address:#x})"


def allocate(nbytes: int) -> Buffer:
    """A buffer of `nbytes` >= 0 bytes, 64-byte aligned, contents arbitrary."""
    return Buffer(nbytes)


def maker(nbytes: int) -> Callable[[], Buffer]:
    """What makes buffers of one size, in half the time."""
    size = _block_size(nbytes)
    home = _free.setdefault(size, [])
    new = Buffer.__new__

    def make() -> Buffer:
        buffer = new(Buffer)
        try:
            buffer.address = home.pop()
        except IndexError:
            buffer.address = _more(size, nbytes, home)
        buffer._home, buffer._owner, buffer.nbytes, buffer.readonly = home, None, nbytes, False
        return buffer

    return make


def _block_size(nbytes: int) -> int:
    """Round up to 8 sizes per power of two: at most an eighth is lost, and sizes meet again."""
    if nbytes <= 512:
        if nbytes < 0:
            raise ValueError(f"a buffer cannot have {nbytes} bytes")
        return (nbytes + 63) & -64 or 64  # one cache line, and one AVX-512 register
    step = nbytes.bit_length() - 4
    return -(-nbytes >> step) << step


def _more(size: int, nbytes: int, home: list[int]) -> int:
    """A block that no free list had.

    The bound on what is held: twice the most that was ever live at once (two phases of a step may
    need different sizes), and a slack that lets small programs never give anything back.
    """
    global _mapped, _peak
    with lock:
        _missed.pop(size, None)
        _missed[size] = None
        small = size <= _CHUNK // 4
        wanted = _CHUNK if small else size
        live = _mapped - _idle()
        _release(_mapped + wanted - 2 * max(_peak, live + wanted) - _SLACK)
        try:
            address, handle = system.current().map(wanted)
        except MemoryError:
            _release(_mapped)
            try:
                address, handle = system.current().map(wanted)
            except MemoryError as error:
                raise MemoryError(_no_memory(nbytes, live, str(error))) from None
        _mapped += wanted
        _peak = max(_peak, live + wanted)  # not of what there was no memory for
        if small:
            _chunks.append(handle)
            home.extend(range(address + wanted // size * size - size, address, -size))
        else:
            _handles[address] = (size, handle)
        return address


def _no_memory(nbytes: int, live: int, reason: str) -> str:
    """What MemoryError says."""
    if nbytes >= 1 << 63:
        reason = "more than any address can reach; is a size or a shape wrong?"
    return (
        f"{nbytes} bytes ({_readable(nbytes)}) were asked for while {live} ({_readable(live)}) are "
        f"live: {reason}"
    )


def _readable(nbytes: int) -> str:
    """Bytes in the largest unit of which there is one."""
    units = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
    power = min(max(0, nbytes.bit_length() - 1) // 10, len(units) - 1)
    return f"{nbytes / 1024**power:.3g} {units[power]}"


def _release(excess: int) -> None:
    """Return idle blocks to the system, longest at hand sizes first, until enough."""
    global _mapped
    for size in _missed:
        if size <= _CHUNK // 4:
            continue
        while excess > 0:
            try:
                address = _free[size].pop()
            except IndexError:
                break
            system.current().unmap(_handles.pop(address)[1])
            _mapped -= size
            excess -= size


def _idle() -> int:
    return sum(size * len(home) for size, home in list(_free.items()))


def trim() -> None:
    """Return all idle large blocks to the operating system."""
    with lock:
        _release(_mapped)


def stats() -> dict[str, int]:
    """Bytes mapped from the system, live in buffers (rounded to blocks), idle, and the peak."""
    with lock:
        idle = _idle()
        return {"mapped": _mapped, "live": _mapped - idle, "idle": idle, "peak": _peak}


class _PyBuffer(ctypes.Structure):
    """CPython's Py_buffer (Include/pybuffer.h)."""

    _fields_ = [
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    ]


def _address_of(view: memoryview) -> int:
    """Where a contiguous view's bytes lie (ctypes' own from_buffer refuses read-only memory)."""
    record = _PyBuffer()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(view), ctypes.byref(record), 0)
    address = record.buf or 0
    ctypes.pythonapi.PyBuffer_Release(ctypes.byref(record))
    return address
