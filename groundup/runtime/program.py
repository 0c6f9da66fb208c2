"""A program: a table of steps (function, argument words, threads) that runs as one native call.
It must not know what the steps compute; the words are addresses, extents and scalars to others."""

from __future__ import annotations

import ctypes
import time
import weakref
from collections.abc import Callable, Sequence

from . import driver, memory, pool
from .code import Address

_HEADER = 8  # words: steps, table, status block, pool, threads (see driver.py), padding
_STATUS = 8
_OFTEN = 50  # runs of a single step after which the driver's compilation pays
# Chunks for each thread of a step. With more, a thread that is held up leaves less undone; but each
# is a call, which repeats what a kernel does at its head.
CHUNKS = 4
_RUN = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)
_STEP = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


class Program:
    """Steps `(function address, argument words, threads)`, run in order.

    Each function is `void kernel(ptr args, i64 chunk, i64 chunks)`, called once for each chunk of
    its work, by any thread; `args` points to the step's own 64-bit words. `threads` is 1 (a single
    chunk), 0 (all threads, some chunks for each) or a largest number of threads, a chunk for each.
    A step sees all that earlier steps wrote. The caller keeps alive what the words point to.

    >>> from groundup.runtime import allocate, function
    >>> store = function('''define void @store(ptr %args, i64 %chunk, i64 %chunks) {
    ...   %value.at = getelementptr i64, ptr %args, i64 1
    ...   %target = load ptr, ptr %args
    ...   %value = load i64, ptr %value.at
    ...   store i64 %value, ptr %target
    ...   ret void
    ... }''', "store")
    >>> buffer = allocate(8)
    >>> program = Program([(store, [buffer.address, 7], 1)])
    >>> program.words(0)[1] = 8
    >>> program.run(), buffer.read("<q")
    (0, (8,))
    """

    __slots__ = (
        "__weakref__",
        "_block",
        "_call",
        "_functions",
        "_header",
        "_most",
        "_offsets",
        "_parts",
        "_prepared",
        "_storage",
        "status_address",
    )

    def __init__(self, steps: Sequence[tuple[int | Address, Sequence[int], int]]) -> None:
        table = _HEADER + _STATUS
        start = table + 4 * len(steps)
        size = start + sum(len(words) for _, words, _ in steps)
        self._storage = memory.allocate(8 * size)
        base = self._storage.address
        block = (ctypes.c_int64 * size).from_buffer(self._storage.memoryview())
        block[:] = [0] * size
        self._offsets: list[tuple[int, int]] = []
        self._functions = [function for function, _, _ in steps]  # an Address keeps its code loaded
        for index, (function, words, threads) in enumerate(steps):
            if not function:
                raise ValueError(f"step {index} has no function: its address is {function!r}")
            if threads < 0:
                raise ValueError(f"step {index} asks for {threads} threads; 0 means all, 1 one")
            chunks = CHUNKS if threads == 0 else 1
            record = table + 4 * index
            block[record : record + 4] = [int(function), base + 8 * start, threads, chunks]
            block[start : start + len(words)] = list(words)
            self._offsets.append((8 * start, len(words)))
            start += len(words)
        asked = [threads for _, _, threads in steps]
        self._most = pool.MAX_THREADS if 0 in asked else max(asked, default=1)
        self.status_address = base + 8 * _HEADER
        block[0:3] = [len(steps), base + 8 * table, self.status_address]
        self._block = block
        self._header = ctypes.c_void_p(base)
        self._prepared: object = None
        self._parts: list[Program] | None = None  # of one step each, see run_timed
        self._call: Callable[[ctypes.c_void_p], int] = _RUN(0)

    def run(self, threads: int | None = None) -> int:
        """Run all steps, on `threads` threads (`set_num_threads`'s by default); the status word 0.

        One native call, with the GIL released; runs of several Python threads follow each other.
        """
        with pool.lock:
            if threads is not None:
                self._prepare(threads)
                return self._call(self._header)
            return self.go()

    def go(self) -> int:
        """`run` for a caller that holds the pool's lock."""
        if self._prepared is not pool._setting or self._prepared is None:
            self._prepared = self._prepare(pool.get_num_threads())
        return self._call(self._header)

    def run_timed(self) -> list[tuple[float, float]]:
        """Run all steps, each as a native call of its own; when each began and ended, in seconds
        of `time.perf_counter`. The status words are what the steps have left there, as after `run`.
        """
        with pool.lock:
            if self._parts is None:
                self._parts = [self._part(i) for i in range(len(self))]
            self._block[_HEADER : _HEADER + _STATUS] = [0] * _STATUS
            times = []
            for part in self._parts:
                start = time.perf_counter()
                part.run()
                times.append((start, time.perf_counter()))
            return times

    def _part(self, step: int) -> Program:
        """A program of one of the steps, with the same words; it has a status block of its own,
        which its step does not know of."""
        record = _HEADER + _STATUS + 4 * step
        function, words, threads = self._block[record : record + 3]
        part = Program([(function, (), threads)])
        part._block[_HEADER + _STATUS + 1] = words
        return part

    def _prepare(self, threads: int) -> object:
        """Choose the driver for so many threads and start the workers; the setting now in force."""
        self._prepared = None
        team = min(threads, self._most)
        if team > 1:
            self._block[3] = pool.pool(team).address
            self._block[4] = team
            self._call = _RUN(driver.entry_points()[0])
        elif len(self) == 1 and not driver.serial_is_there():
            # The driver takes 4 ms to compile: a first result should not wait for it.
            self._call = self._alone()
        else:
            self._call = _RUN(driver.serial_entry())
        return pool.setting()

    def _alone(self) -> Callable[[ctypes.c_void_p], int]:
        """What runs the only step without a driver, in a thread that computes as the driver would
        have it (see `driver._float_mode_ir`). One that runs often is worth a driver."""
        block = self._block
        step, arguments = _STEP(block[_HEADER + _STATUS]), block[_HEADER + _STATUS + 1]
        runs, program = 0, weakref.ref(self)

        def call(header: ctypes.c_void_p) -> int:
            nonlocal runs
            runs += 1
            if runs > _OFTEN or not _floats_are_plain():
                entry = driver.serial_entry()
                alive = program()
                if alive is not None:
                    alive._prepared = None  # the next run finds the driver
                return int(_RUN(entry)(header))
            if block[_HEADER]:
                block[_HEADER : _HEADER + _STATUS] = [0] * _STATUS
            step(arguments, 0, 1)
            return block[_HEADER]

        return call

    def words(self, step: int) -> ctypes.Array[ctypes.c_int64]:
        """The argument words of a step, to be read and patched between runs; keeps them alive."""
        offset, count = self._offsets[step]
        return (ctypes.c_int64 * count).from_buffer(self._block, offset)

    def __len__(self) -> int:
        return len(self._offsets)

    @property
    def status(self) -> tuple[int, ...]:
        """Eight words that kernels may write at `status_address`; all 0 when a run starts."""
        return tuple(self._block[_HEADER : _HEADER + _STATUS])


_NORMAL, _DENORMAL, _HALF_ULP = 2.0**-1022, 2.0**-1074, 2.0**-53  # names: nothing is folded


def _floats_are_plain() -> bool:
    """Does this thread round to nearest and keep denormals, as operands and as results?"""
    return (
        _NORMAL * 0.3 != 0.0
        and _DENORMAL * 2.0**100 != 0.0
        and 1.0 + _HALF_ULP == 1.0
        and 1.0 + 1.5 * _HALF_ULP > 1.0
    )
