"""The thread pool and the driver that walks a program's table of steps, in LLVM IR. Workers are
native threads that never hold the GIL. It must not know what the steps compute.

Layout of the pool's block, in bytes; what different threads write lies on lines of its own (two
cache lines apart, since processors fetch lines in pairs):

      0  ticket      generation << 16 | threads taking part; a change of it starts a run
    128  program     the header of the program to run; written before the ticket
    256  arrived     threads that have reached the barrier
    384  passed      barriers completed
    512  finished    workers that have left the program
    640  spins, yields   how long to pause, then to yield, before sleeping
    768 + 128 t      worker t: asleep flag (i32), sleep handle, pool, t

Layout of a program's header: steps, table, status block, pool, threads. A step in the table:
function, arguments, threads (0: all), barrier after it."""

from __future__ import annotations

import ctypes
import functools
import os
import threading

from . import code, memory, system, target, workers

MAX_THREADS = 1024
_WORKERS = 768
_LINE = 128
# Some 4 µs of pauses (a pause takes 40 to 70 ns), since two threads may share one processor, where
# pausing keeps the other from its work; then some 5 ms of yields, longer than the Python between
# two steps of a training loop takes, since waking a sleeping thread costs 50 µs and more. With more
# threads than processors a pause is always wasted.
_SPINS = 64
_YIELDS = 10_000

lock = threading.RLock()
"""Held during a run. Reentrant, so that a signal handler may itself compute."""


class Pool:
    """Up to MAX_THREADS - 1 workers, started when first needed, asleep when idle, never ended."""

    def __init__(self) -> None:
        # Not from the allocator: workers may look at it until the process has ended.
        self.address, self._handle = system.current().map(_WORKERS + _LINE * MAX_THREADS)
        self.workers = 0
        self._growing = threading.Lock()

    def ensure(self, threads: int) -> None:
        """Have at least threads - 1 workers, and spin only if each may have a processor."""
        word = ctypes.c_int64
        crowded = threads > system.current().cpu_count()
        word.from_address(self.address + 640).value = 0 if crowded else _SPINS
        word.from_address(self.address + 648).value = _YIELDS
        if self.workers < threads - 1:
            _, worker = entry_points()
            system.uninterrupted(self._start_workers, threads, worker)

    def _start_workers(self, threads: int, worker: int) -> None:
        word = ctypes.c_int64
        with self._growing:
            while self.workers < threads - 1:
                index = self.workers + 1
                line = self.address + _WORKERS + _LINE * index
                word.from_address(line + 8).value = system.current().sleep_handle()
                word.from_address(line + 16).value = self.address
                word.from_address(line + 24).value = index
                system.current().start_thread(worker, line)
                self.workers = index


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
    for each in (lock, code.lock, code.llvm_lock, memory.lock):
        each.acquire()


def _after_fork() -> None:
    for each in (memory.lock, code.llvm_lock, code.lock, lock):
        each.release()


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


# -- native code ------------------------------------------------------------------------------


@functools.cache
def serial_entry() -> int:
    """The address of `i64 run(ptr header)` for one thread."""
    return code.function(_float_mode_ir() + _STATUS + _SERIAL, "run_serial", opt=0)


def serial_is_there() -> bool:
    """Has this process the driver for one thread already?"""
    return serial_entry.cache_info().currsize > 0


@functools.cache
def entry_points() -> tuple[int, int]:
    """The addresses of `i64 run(ptr header)` for several threads, and of the worker's loop."""
    host = system.current()
    text = _float_mode_ir() + _pause_ir() + host.wait_ir + _BARRIER + _STATUS + _PARALLEL
    # It calls, waits and counts: code generated at level 0 runs as fast, and is there in a third
    # of the time when a process with an empty cache asks for its first result.
    run, worker = code.functions(
        text, ("run_parallel", "worker"), imports=host.wait_imports(), opt=0
    )
    return run, worker


def _pause_ir() -> str:
    """IR of `pause`, the processor's hint that a loop waits for another processor."""
    triple = target.host().triple
    if triple.startswith("x86_64"):
        name, call = "llvm.x86.sse2.pause", "call void @llvm.x86.sse2.pause()"
        declare = f"declare void @{name}()"
    elif triple.startswith(("aarch64", "arm64")):
        declare = "declare void @llvm.aarch64.hint(i32)"
        call = "call void @llvm.aarch64.hint(i32 1)"
    else:
        declare = call = ""
    return f"{declare}\ndefine internal void @pause() nounwind {{\n  {call}\n  ret void\n}}"


def _float_mode_ir() -> str:
    """IR of `enter_float_mode` and `leave_float_mode`: round to nearest, keep denormals.

    Libraries built with -ffast-math make the thread that loads them flush denormals to zero; the
    bits of a result must not depend on that, nor on which thread computed it.
    """
    triple = target.host().triple
    if triple.startswith("x86_64"):
        return """
declare void @llvm.x86.sse.stmxcsr(ptr)
declare void @llvm.x86.sse.ldmxcsr(ptr)
define internal i64 @enter_float_mode() nounwind {
  %old = alloca i64
  %new = alloca i32
  store i64 0, ptr %old
  call void @llvm.x86.sse.stmxcsr(ptr %old)
  store i32 8064, ptr %new           ; 0x1f80: all exceptions masked, nothing flushed
  call void @llvm.x86.sse.ldmxcsr(ptr %new)
  %r = load i64, ptr %old
  ret i64 %r
}
define internal void @leave_float_mode(i64 %mode) nounwind {
  %old = alloca i64
  store i64 %mode, ptr %old
  call void @llvm.x86.sse.ldmxcsr(ptr %old)
  ret void
}
"""
    if triple.startswith(("aarch64", "arm64")):
        return """
declare i64 @llvm.aarch64.get.fpcr()
declare void @llvm.aarch64.set.fpcr(i64)
define internal i64 @enter_float_mode() nounwind {
  %r = call i64 @llvm.aarch64.get.fpcr()
  call void @llvm.aarch64.set.fpcr(i64 0)
  ret i64 %r
}
define internal void @leave_float_mode(i64 %mode) nounwind {
  call void @llvm.aarch64.set.fpcr(i64 %mode)
  ret void
}
"""
    return """
define internal i64 @enter_float_mode() nounwind {
  ret i64 0
}
define internal void @leave_float_mode(i64 %mode) nounwind {
  ret void
}
"""


_STATUS = """
define internal void @clear_status(ptr %program) nounwind {
entry:
  %status.at = getelementptr i64, ptr %program, i64 2
  %status = load ptr, ptr %status.at
  %word = load i64, ptr %status
  %dirty = icmp ne i64 %word, 0
  br i1 %dirty, label %clear, label %done
clear:
  store <8 x i64> zeroinitializer, ptr %status, align 8
  br label %done
done:
  ret void
}
define internal i64 @first_status(ptr %program) nounwind {
  %status.at = getelementptr i64, ptr %program, i64 2
  %status = load ptr, ptr %status.at
  %word = load i64, ptr %status
  ret i64 %word
}
"""

_SERIAL = """
define i64 @run_serial(ptr %program) nounwind {
entry:
  %mode = call i64 @enter_float_mode()
  call void @clear_status(ptr %program)
  %steps = load i64, ptr %program
  %table.at = getelementptr i64, ptr %program, i64 1
  %table = load ptr, ptr %table.at
  %end = getelementptr [4 x i64], ptr %table, i64 %steps
  br label %next
next:
  %step = phi ptr [%table, %entry], [%step.next, %call]
  %over = icmp eq ptr %step, %end
  br i1 %over, label %done, label %call
call:
  %arguments.at = getelementptr i64, ptr %step, i64 1
  %function = load ptr, ptr %step
  %arguments = load ptr, ptr %arguments.at
  call void %function(ptr %arguments, i64 0, i64 1)
  %step.next = getelementptr [4 x i64], ptr %step, i64 1
  br label %next
done:
  call void @leave_float_mode(i64 %mode)
  %code = call i64 @first_status(ptr %program)
  ret i64 %code
}
"""

_BARRIER = """
declare i64 @llvm.smin.i64(i64, i64)
; Wait until the word at %at differs from %old (%until = 0) or equals it (%until = 1).
define internal void @wait(ptr %pool, ptr %at, i64 %old, i1 %until) nounwind {
entry:
  %spins.at = getelementptr i8, ptr %pool, i64 640
  %spins = load i64, ptr %spins.at
  br label %look
look:
  %k = phi i64 [0, %entry], [%k.next, %spin], [%k, %yield]
  %now = load atomic i64, ptr %at acquire, align 8
  %same = icmp eq i64 %now, %old
  %go = icmp eq i1 %same, %until
  br i1 %go, label %done, label %busy
busy:
  %patient = icmp slt i64 %k, %spins
  br i1 %patient, label %spin, label %yield
spin:
  %k.next = add i64 %k, 1
  call void @pause()
  br label %look
yield:
  %r = call i32 @yield_processor()
  br label %look
done:
  ret void
}
define internal void @barrier(ptr %pool, i64 %threads) nounwind {
entry:
  %arrived.at = getelementptr i8, ptr %pool, i64 256
  %passed.at = getelementptr i8, ptr %pool, i64 384
  %passed = load atomic i64, ptr %passed.at acquire, align 8
  %before = atomicrmw add ptr %arrived.at, i64 1 acq_rel
  %count = add i64 %before, 1
  %last = icmp eq i64 %count, %threads
  br i1 %last, label %release, label %wait
release:
  store atomic i64 0, ptr %arrived.at monotonic, align 8
  %passed.next = add i64 %passed, 1
  store atomic i64 %passed.next, ptr %passed.at release, align 8
  ret void
wait:
  call void @wait(ptr %pool, ptr %passed.at, i64 %passed, i1 false)
  ret void
}
"""

_PARALLEL = """
define internal void @walk(ptr %program, ptr %pool, i64 %tid, i64 %threads) nounwind {
entry:
  %steps = load i64, ptr %program
  %table.at = getelementptr i64, ptr %program, i64 1
  %table = load ptr, ptr %table.at
  %end = getelementptr [4 x i64], ptr %table, i64 %steps
  br label %next
next:
  %step = phi ptr [%table, %entry], [%step.next, %after]
  %over = icmp eq ptr %step, %end
  br i1 %over, label %done, label %share
share:
  %step.next = getelementptr [4 x i64], ptr %step, i64 1
  %wanted.at = getelementptr i64, ptr %step, i64 2
  %wanted = load i64, ptr %wanted.at
  %all = icmp eq i64 %wanted, 0
  %least = call i64 @llvm.smin.i64(i64 %wanted, i64 %threads)
  %team = select i1 %all, i64 %threads, i64 %least
  %member = icmp slt i64 %tid, %team
  br i1 %member, label %call, label %check
call:
  %arguments.at = getelementptr i64, ptr %step, i64 1
  %function = load ptr, ptr %step
  %arguments = load ptr, ptr %arguments.at
  call void %function(ptr %arguments, i64 %tid, i64 %team)
  br label %check
check:
  %meet.at = getelementptr i64, ptr %step, i64 3
  %meet = load i64, ptr %meet.at
  %apart = icmp eq i64 %meet, 0
  br i1 %apart, label %after, label %join
join:
  call void @barrier(ptr %pool, i64 %threads)
  br label %after
after:
  br label %next
done:
  ret void
}

; Let the workers of this run see it, and wake those who sleep. A worker first raises its flag and
; then looks at the ticket, we do the opposite: whatever the order, one of the two sees the other.
define internal void @post(ptr %program, ptr %pool, i64 %threads) nounwind {
entry:
  %program.at = getelementptr i8, ptr %pool, i64 128
  %finished.at = getelementptr i8, ptr %pool, i64 512
  store ptr %program, ptr %program.at
  store atomic i64 0, ptr %finished.at monotonic, align 8
  %old = load atomic i64, ptr %pool monotonic, align 8
  %generation = lshr i64 %old, 16
  %generation.next = add i64 %generation, 1
  %high = shl i64 %generation.next, 16
  %ticket = or i64 %high, %threads
  %ignored = atomicrmw xchg ptr %pool, i64 %ticket seq_cst
  br label %next
next:
  %t = phi i64 [1, %entry], [%t.next, %after]
  %over = icmp sge i64 %t, %threads
  br i1 %over, label %done, label %look
look:
  %t.next = add i64 %t, 1
  %offset = mul i64 %t, 128
  %start = add i64 %offset, 768
  %line = getelementptr i8, ptr %pool, i64 %start
  %asleep = load atomic i32, ptr %line seq_cst, align 4
  %sleeps = icmp eq i32 %asleep, 1
  br i1 %sleeps, label %take, label %after
take:
  %pair = cmpxchg ptr %line, i32 1, i32 0 seq_cst seq_cst
  %taken = extractvalue {i32, i1} %pair, 1
  br i1 %taken, label %rouse, label %after
rouse:
  %handle.at = getelementptr i8, ptr %line, i64 8
  %handle = load ptr, ptr %handle.at
  call void @wake(ptr %line, ptr %handle)
  br label %after
after:
  br label %next
done:
  ret void
}

define i64 @run_parallel(ptr %program) nounwind {
entry:
  %mode = call i64 @enter_float_mode()
  call void @clear_status(ptr %program)
  %pool.at = getelementptr i64, ptr %program, i64 3
  %pool = load ptr, ptr %pool.at
  %threads.at = getelementptr i64, ptr %program, i64 4
  %threads = load i64, ptr %threads.at
  call void @post(ptr %program, ptr %pool, i64 %threads)
  call void @walk(ptr %program, ptr %pool, i64 0, i64 %threads)
  %finished.at = getelementptr i8, ptr %pool, i64 512
  %others = sub i64 %threads, 1
  call void @wait(ptr %pool, ptr %finished.at, i64 %others, i1 true)
  call void @leave_float_mode(i64 %mode)
  %code = call i64 @first_status(ptr %program)
  ret i64 %code
}

define ptr @worker(ptr %line) nounwind {
entry:
  %mode = call i64 @enter_float_mode()
  %handle.at = getelementptr i8, ptr %line, i64 8
  %pool.at = getelementptr i8, ptr %line, i64 16
  %tid.at = getelementptr i8, ptr %line, i64 24
  %handle = load ptr, ptr %handle.at
  %pool = load ptr, ptr %pool.at
  %tid = load i64, ptr %tid.at
  %program.at = getelementptr i8, ptr %pool, i64 128
  %finished.at = getelementptr i8, ptr %pool, i64 512
  %spins.at = getelementptr i8, ptr %pool, i64 640
  %yields.at = getelementptr i8, ptr %pool, i64 648
  br label %idle
idle:                                ; %last: the ticket already dealt with; %k: turns waited
  %last = phi i64 [0, %entry], [%last, %spin], [%last, %yield], [%last, %recheck],
                  [%last, %rest], [%ticket, %work], [%ticket, %other]
  %k = phi i64 [0, %entry], [%k.spin, %spin], [%k.yield, %yield], [0, %recheck],
               [0, %rest], [0, %work], [%k, %other]
  %ticket = load atomic i64, ptr %pool acquire, align 8
  %news = icmp ne i64 %ticket, %last
  br i1 %news, label %read, label %wait
read:
  %threads = and i64 %ticket, 65535
  %mine = icmp slt i64 %tid, %threads
  br i1 %mine, label %work, label %other
work:                                ; the run's first thread waits for us: nothing can change
  %program = load ptr, ptr %program.at
  call void @walk(ptr %program, ptr %pool, i64 %tid, i64 %threads)
  %done = atomicrmw add ptr %finished.at, i64 1 acq_rel
  br label %idle
other:                               ; a run of fewer threads: do not touch anything of it
  br label %idle
wait:
  %spins = load i64, ptr %spins.at
  %early = icmp slt i64 %k, %spins
  br i1 %early, label %spin, label %late
spin:
  call void @pause()
  %k.spin = add i64 %k, 1
  br label %idle
late:
  %yields = load i64, ptr %yields.at
  %limit = add i64 %spins, %yields
  %awake = icmp slt i64 %k, %limit
  br i1 %awake, label %yield, label %tired
yield:
  %r = call i32 @yield_processor()
  %k.yield = add i64 %k, 1
  br label %idle
tired:
  %x = atomicrmw xchg ptr %line, i32 1 seq_cst
  %again = load atomic i64, ptr %pool seq_cst, align 8
  %quiet = icmp eq i64 %again, %last
  br i1 %quiet, label %rest, label %recheck
recheck:                             ; take the flag back, unless a waker has: then it wakes us
  %pair = cmpxchg ptr %line, i32 1, i32 0 seq_cst seq_cst
  %back = extractvalue {i32, i1} %pair, 1
  br i1 %back, label %idle, label %rest
rest:
  call void @sleep(ptr %line, ptr %handle)
  br label %idle
}
"""
