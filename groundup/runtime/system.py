"""What an operating system must provide to the runtime, and nothing else: memory, threads,
sleep and wake, a processor count, a private directory. One class holds a portable way of each,
another what Linux does better. It must not know what the memory or the threads are used for."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import mmap
import os
import signal
import stat
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import ClassVar, TypeVar

T = TypeVar("T")

HUGE_PAGE = 2 << 20  # x86-64 and AArch64 (4 KiB granule) huge pages are 2 MiB
HUGE_PAGES_FROM = 4 << 20  # below this, rounding up to huge pages wastes more than it saves


class PortableSystem:
    """Every service by means that any CPython has: no futex, no huge pages, Python's threads."""

    name = "portable"

    # -- memory ---------------------------------------------------------------------------------

    def map(self, nbytes: int) -> tuple[int, object]:
        """Fresh page-aligned memory: its address, and a handle for `unmap`. MemoryError if none."""
        return self._map(nbytes)

    def unmap(self, handle: object) -> None:
        """Give memory of `map` back to the operating system."""
        assert isinstance(handle, mmap.mmap)
        handle.close()
        ctypes.pythonapi.Py_DecRef(ctypes.py_object(handle))

    def _map(self, nbytes: int) -> tuple[int, mmap.mmap]:
        try:
            if hasattr(mmap, "MAP_PRIVATE"):  # private: a forked child must not write into ours
                flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
                area = mmap.mmap(-1, nbytes, flags=flags)
            else:
                area = mmap.mmap(-1, nbytes)
        except (OSError, OverflowError, ValueError) as error:
            raise MemoryError(str(error)) from None
        # Finalisation of the interpreter must not unmap what a thread may still be using: only
        # unmap, or the end of the process, gives memory back.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(area))
        return ctypes.addressof(ctypes.c_char.from_buffer(area)), area

    # -- threads --------------------------------------------------------------------------------

    def cpu_count(self) -> int:
        """Processors this process may run on."""
        affinity = getattr(os, "sched_getaffinity", None)
        return max(1, len(affinity(0)) if affinity else os.cpu_count() or 1)

    def start_thread(self, function: int, argument: int) -> None:
        """Run the native `ptr function(ptr argument)` on a thread of its own, never joined."""
        enter = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(function)  # releases the GIL
        threading.Thread(
            target=enter, args=(argument,), name="groundup-worker", daemon=True
        ).start()

    def sleep_handle(self) -> int:
        """A word that the native `sleep` and `wake` of one worker need: here a lock, held."""
        new_lock = ctypes.pythonapi.PyThread_allocate_lock
        new_lock.restype = ctypes.c_void_p
        acquire = ctypes.pythonapi.PyThread_acquire_lock
        acquire.argtypes = [ctypes.c_void_p, ctypes.c_int]
        lock = new_lock()
        if not lock:
            raise MemoryError("no lock for a worker thread")
        acquire(lock, 1)
        return int(lock)

    # CPython's own locks need no GIL, are in its stable ABI, and exist wherever it runs.
    wait_ir = """
declare i32 @PyThread_acquire_lock(ptr, i32)
declare void @PyThread_release_lock(ptr)
declare i32 @yield_processor()
define internal void @sleep(ptr %flag, ptr %handle) nounwind {
  %r = call i32 @PyThread_acquire_lock(ptr %handle, i32 1)
  ret void
}
define internal void @wake(ptr %flag, ptr %handle) nounwind {
  call void @PyThread_release_lock(ptr %handle)
  ret void
}
"""
    """IR of `sleep(flag, handle)`: return once `wake` was called, also if that came first; the
    flag is an i32 that is 1 until the waker has set it 0. `yield_processor` is imported."""

    def wait_imports(self) -> dict[str, int]:
        """Addresses of the functions that `wait_ir` declares and the C library may not have."""
        names = ("PyThread_acquire_lock", "PyThread_release_lock")
        found = {name: _address(getattr(ctypes.pythonapi, name)) for name in names}
        found["yield_processor"] = self._yield_address()
        return found

    def _yield_address(self) -> int:
        if sys.platform == "win32":
            return _address(ctypes.windll.kernel32.SwitchToThread)
        return _address(ctypes.CDLL(None).sched_yield)

    # -- files ----------------------------------------------------------------------------------

    def cache_home(self) -> str:
        """The directory in which programs keep what they can make again, for this user."""
        home = os.path.expanduser("~")
        if sys.platform == "win32":
            return os.environ.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local")
        if sys.platform == "darwin":
            return os.path.join(home, "Library", "Caches")
        xdg = os.environ.get("XDG_CACHE_HOME", "")  # to be ignored if relative, says its standard
        return xdg if os.path.isabs(xdg) else os.path.join(home, ".cache")

    def why_not_private(self, status: os.stat_result) -> str | None:
        """Why another user might have written this file or directory; None if none could."""
        if not hasattr(os, "getuid"):
            return None  # Windows: what lies under the user's profile is the user's
        if status.st_uid != os.getuid():
            return f"belongs to user {status.st_uid}, not to user {os.getuid()}"
        mode = stat.S_IMODE(status.st_mode)
        if mode & 0o077:
            return f"has mode {mode:04o}, so other users may enter it"
        return None


class LinuxSystem(PortableSystem):
    """Linux: huge pages, threads without a Python frame, futex, cgroup quota."""

    name = "linux"

    # Numbers of the futex system call (asm/unistd.h of each architecture).
    _FUTEX: ClassVar = {"x86_64": 202, "aarch64": 98, "riscv64": 98, "ppc64le": 221, "s390x": 238}

    def map(self, nbytes: int) -> tuple[int, object]:
        if nbytes < HUGE_PAGES_FROM:
            return self._map(nbytes)
        # The surplus is address space only: pages never touched are never backed.
        address, area = self._map(nbytes + HUGE_PAGE)
        offset = -address % HUGE_PAGE
        with contextlib.suppress(AttributeError, OSError):  # a kernel without them: only slower
            area.madvise(mmap.MADV_HUGEPAGE, offset, nbytes)
        return address + offset, area

    def cpu_count(self) -> int:
        return min(super().cpu_count(), _cgroup_quota())

    def start_thread(self, function: int, argument: int) -> None:
        libc = ctypes.CDLL(None)
        create, signal_mask = libc.pthread_create, libc.pthread_sigmask
        create.argtypes = [ctypes.c_void_p] * 4
        signal_mask.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
        # A new thread inherits the mask. With all signals blocked it cannot swallow the Ctrl-C
        # that should interrupt the main thread's own system call.
        everything, before = ctypes.create_string_buffer(128), ctypes.create_string_buffer(128)
        libc.sigfillset(everything)
        thread = ctypes.c_void_p()
        signal_mask(2, everything, before)  # 2: SIG_SETMASK
        try:
            error = create(ctypes.byref(thread), None, function, argument)
        finally:
            signal_mask(2, before, None)
        if error:
            raise OSError(error, f"cannot start a worker thread: {os.strerror(error)}")
        libc.pthread_detach(thread)

    def sleep_handle(self) -> int:
        return 0

    @property
    def wait_ir(self) -> str:  # type: ignore[override]
        number = self._FUTEX[os.uname().machine]
        return f"""
declare i64 @syscall(i64, ...)
declare i32 @yield_processor()
define internal void @sleep(ptr %flag, ptr %handle) nounwind {{
entry:
  br label %again
again:                               ; 128: FUTEX_WAIT | FUTEX_PRIVATE_FLAG, while the flag is 1
  %r = call i64 (i64, ...) @syscall(i64 {number}, ptr %flag, i32 128, i32 1, ptr null)
  %f = load atomic i32, ptr %flag acquire, align 4
  %asleep = icmp eq i32 %f, 1
  br i1 %asleep, label %again, label %awake
awake:
  ret void
}}
define internal void @wake(ptr %flag, ptr %handle) nounwind {{
  %r = call i64 (i64, ...) @syscall(i64 {number}, ptr %flag, i32 129, i32 1)
  ret void
}}
"""

    def wait_imports(self) -> dict[str, int]:
        return {"yield_processor": self._yield_address()}

    @classmethod
    def supported(cls) -> bool:
        return sys.platform == "linux" and os.uname().machine in cls._FUTEX


def uninterrupted(function: Callable[..., T], *arguments: object) -> T:
    """Call a function that must not be left half-way, and handle signals after it.

    Python handles signals, and so raises KeyboardInterrupt, between any two lines of the main
    thread. What llvmlite has just freed it would then free a second time.
    """
    if threading.current_thread() is not threading.main_thread():
        return function(*arguments)
    pending: list[int] = []  # without the frames, which would keep what the function has dropped
    held = [(n, h) for n in _HANDLED if callable(h := signal.getsignal(n))]
    try:
        for number, _ in held:
            signal.signal(number, lambda n, frame: pending.append(n))
        return function(*arguments)
    finally:
        _restore(held)
        for number in pending:
            dict(held)[number](number, sys._getframe())


# The signals that programs give handlers; each exists on some systems only.
_HANDLED = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM", "SIGUSR1", "SIGUSR2", "SIGBREAK")
    if hasattr(signal, name)
]
_Handler = Callable[[int, FrameType | None], object]


def _restore(held: list[tuple[int, _Handler]]) -> None:
    """Give signals their handlers back, all of them even if the first one raises at once."""
    if held:
        try:
            signal.signal(*held[0])
        finally:
            _restore(held[1:])


def _address(function: object) -> int:
    address = ctypes.cast(function, ctypes.c_void_p).value  # type: ignore[arg-type]
    assert address is not None
    return address


def _cgroup_quota() -> int:
    """Processors a container's quota pays for; a large number without one."""
    try:
        with open("/sys/fs/cgroup/cpu.max") as file:
            quota, period = file.read().split()
        return max(1, -(-int(quota) // int(period)))
    except (OSError, ValueError):
        return 1 << 16


@functools.cache
def _make(choice: str) -> PortableSystem:
    if choice == "portable":
        return PortableSystem()
    if choice == "linux" and not LinuxSystem.supported():
        raise ValueError("GROUNDUP_SYSTEM=linux, but this is no Linux whose futex is known")
    if choice not in ("", "linux"):
        raise ValueError(f"GROUNDUP_SYSTEM={choice!r}; known are 'linux' and 'portable'")
    return LinuxSystem() if LinuxSystem.supported() else PortableSystem()


@functools.cache
def current() -> PortableSystem:
    """The system in use: Linux's on Linux, else the portable one; `GROUNDUP_SYSTEM` forces one."""
    return _make(os.environ.get("GROUNDUP_SYSTEM", ""))
