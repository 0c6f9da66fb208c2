"""The thread pool: how many threads compute, and the native threads that do, which never hold the
GIL. It must not know what they compute; driver.py has their loop and the layout of their block."""

from __future__ import annotations

import ctypes
import os
import threading
from typing import Protocol

from . import code, driver, memory, system, workers

MAX_THREADS = 1024
_WORKERS = 768
_LINE = 128
# Some 4 µs of pauses (a pause takes 40 to 70 ns), since two threads may share one processor, where
# pausing keeps the other from its work; then some 5 ms of yields, longer than the Python between
# two steps of a training loop takes, since waking a sleeping thread costs 50 µs and more. With more
# threads than processors a pause is always wasted.
_SPINS = 64
_IDLE_YIELDS = 10_000
# Within a run a thread waits for at most one chunk of each of the others. One that waits longer
# makes room: on its processor, the thread that it waits for may go on.
_YIELDS = 2_000

lock = threading.RLock()
"""Held during a run, and while it is worked out what is to run. Reentrant, so that a signal handler
may itself compute."""

_outer: list[Lock] = []  # other floors' locks, taken before ours and after ours
_inner: list[Lock] = []


class Lock(Protocol):
    """What `_before_fork` needs of a lock."""

    def acquire(self) -> bool:
        """Take it."""

    def release(self) -> None:
        """Give it back."""


def hold_at_fork(each: Lock, outside: bool = False) -> None:
    """Let no other thread hold this lock while the process is copied: nobody would give it back in
    the child. outside: threads take it before the pool's own, otherwise after all others."""
    (_outer if outside else _inner).append(each)


class Pool:
    """Up to MAX_THREADS - 1 workers, started when first needed, asleep when idle, never ended."""

    def __init__(self) -> None:
        # Not from the allocator: workers may look at it until the process has ended.
        self.address, self._handle = system.current().map(_WORKERS + _LINE * MAX_THREADS)
        self.workers = 0
        self._place(0)
        self._growing = threading.Lock()

    def ensure(self, threads: int) -> None:
        """Have at least threads - 1 workers, and spin only if each may have a processor."""
        word = ctypes.c_int64
        crowded = threads > system.current().cpu_count()
        word.from_address(self.address + 640).value = 0 if crowded else _SPINS
        word.from_address(self.address + 648).value = _YIELDS
        word.from_address(self.address + 656).value = _IDLE_YIELDS
        if self.workers < threads - 1:
            _, worker = driver.entry_points()
            system.uninterrupted(self._start_workers, threads, worker)

    def _start_workers(self, threads: int, worker: int) -> None:
        with self._growing:
            while self.workers < threads - 1:
                index = self.workers + 1
                system.current().start_thread(worker, self._place(index))
                self.workers = index

    def _place(self, index: int) -> int:
        """The address of a thread's own lines, made ready."""
        word = ctypes.c_int64
        line = self.address + _WORKERS + _LINE * index
        word.from_address(line + 8).value = system.current().sleep_handle()
        word.from_address(line + 16).value = self.address
        word.from_address(line + 24).value = index
        return line


class Setting:
    """The number of threads, and the pool that supplies them; replaced, never changed."""

    def __init__(self, threads: int, pool: Pool | None) -> None:
        self.threads = threads
        self.pool = pool


_setting: Setting | None = None


def setting() -> Setting:
    """The setting now in force. Programs compare it by identity to see a change."""
    global _setting
    if _setting is None:
        _setting = Setting(_default_threads(), None)
    return _setting


def pool(threads: int) -> Pool:
    """The process's pool, with workers for so many threads. Call it with the lock held."""
    now = setting()
    if now.pool is None:
        now.pool = Pool()
    now.pool.ensure(threads)
    return now.pool


def set_num_threads(threads: int) -> None:
    """Compute on so many threads from now on, 1 to 1024; results do not depend on it, bit for bit.

    >>> set_num_threads(2)
    >>> get_num_threads()
    2
    """
    global _setting
    threads = _checked(threads, "set_num_threads")
    with lock:
        _setting = Setting(threads, setting().pool)


def get_num_threads() -> int:
    """Threads that compute: `set_num_threads`, else GROUNDUP_NUM_THREADS, else all processors
    that this process may use."""
    return setting().threads


def _default_threads() -> int:
    given = os.environ.get("GROUNDUP_NUM_THREADS", "")
    if not given:
        return min(system.current().cpu_count(), MAX_THREADS)
    if not given.strip().isdecimal():
        raise ValueError(f"GROUNDUP_NUM_THREADS={given!r} is not a whole number, as 2 would be")
    return _checked(int(given), "GROUNDUP_NUM_THREADS")


def _checked(threads: int, where: str) -> int:
    if isinstance(threads, bool) or not isinstance(threads, int):
        raise TypeError(f"{where}: the number of threads must be an int, not {threads!r}")
    if not 1 <= threads <= MAX_THREADS:
        raise ValueError(f"{where}: {threads} threads; possible are 1 to {MAX_THREADS}")
    return threads


def _before_fork() -> None:
    """Let no other thread be inside a run, the compiler or the allocator while memory is copied."""
    for each in _locks():
        each.acquire()


def _after_fork() -> None:
    for each in reversed(_locks()):
        each.release()


def _locks() -> list[Lock]:
    return [*_outer, lock, code.lock, code.llvm_lock, memory.lock, *_inner]


def _after_fork_in_child() -> None:
    """Threads do not survive a fork: forget the parent's pool."""
    global _setting
    if _setting is not None:
        _setting = Setting(_setting.threads, None)
    workers.forget_all()
    _after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child
    )
