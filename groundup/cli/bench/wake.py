"""How the thread pool does when it is not alone: woken from sleep, beside libgomp's (the pool of
PyTorch), and while another process takes a processor. Must not know how the pool works."""

from __future__ import annotations

import ctypes
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from groundup.cli.bench import measure, sides
from groundup.cli.bench.record import BenchError, Figure, Step
from groundup.cli.bench.suites import steps
from groundup.cli.workloads import known
from groundup.runtime import Program, allocate, functions, set_num_threads

ASLEEP = 0.03  # seconds without work, after which both pools sleep
EACH = 5  # cold steps in a round
ASKED = 2.0  # a cold wake-up is at most so many times libgomp's
WORK = (0, 20, 200, 2000)  # microseconds of work for one thread, about
WORKLOADS = ("mlp", "lenet")
BLOCK = 0.05  # seconds one side runs before the next has its turn
ROUNDS = 11

# share: words are where the threads count themselves, and the turns for all; alone: the same for a
# pool that tells a function nothing but its data, there the number of threads is the third word.
KERNELS = """
define void @share(ptr %a, i64 %chunk, i64 %chunks) nounwind {
entry:
  %turns.at = getelementptr i64, ptr %a, i64 1
  %count = load ptr, ptr %a
  %all = load i64, ptr %turns.at
  %turns = udiv i64 %all, %chunks
  br label %look
look:
  %i = phi i64 [0, %entry], [%i.next, %turn]
  %more = icmp slt i64 %i, %turns
  br i1 %more, label %turn, label %done
turn:
  %seen = load volatile i64, ptr %turns.at
  %i.next = add i64 %i, 1
  br label %look
done:
  %old = atomicrmw add ptr %count, i64 1 monotonic
  ret void
}
define void @alone(ptr %a) nounwind {
  %threads.at = getelementptr i64, ptr %a, i64 2
  %threads = load i64, ptr %threads.at
  call void @share(ptr %a, i64 0, i64 %threads)
  ret void
}
"""
TURNS = 4000  # of the loop, which waits for its load, in a microsecond: about


def figures(threads: int, rounds: int = ROUNDS) -> list[Figure]:
    """The rows for so many threads; none for one, which has nobody to wake."""
    if threads < 2:
        return []
    found: list[Figure] = []
    makes: list[Callable[[int, int], list[Figure]]] = [_cold, _contended]
    for make in makes:
        try:
            found += make(threads, rounds)
        except BenchError as error:
            found.append(Figure("wake", "", threads, "", failed=str(error), met=False))
    return found


# ---- woken from sleep ----------------------------------------------------------------------------


def libgomp() -> ctypes.CDLL:
    """The libgomp that torch computes with. Raises BenchError where there is none."""
    sides.torch_module()
    try:
        for line in Path("/proc/self/maps").read_text().splitlines():
            path = line.split(maxsplit=5)[-1]
            if "libgomp" in path:
                return ctypes.CDLL(path)
    except OSError:
        pass
    raise BenchError("torch has not loaded libgomp here: there is nothing to compare with")


def regions(threads: int, microseconds: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """The same work as a step of our pool and as a parallel region of libgomp's."""
    share, alone = functions(KERNELS, ("share", "alone"))
    run = libgomp().GOMP_parallel
    run.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    run.restype = None
    set_num_threads(threads)
    memory = allocate(1024)
    memory.write_bytes(bytes(1024))
    turns = TURNS * microseconds
    memory.write("<3q", 512, memory.address, turns, threads)
    program = Program([(share, [memory.address, turns], threads)])

    def theirs() -> None:
        run(alone, memory.address + 512, threads, 0)

    for call in (program.run, theirs):
        memory.write("<q", 0, 0)
        call()
        if memory.read("<q") != (threads,):
            raise BenchError(f"{memory.read('<q')[0]} shares were computed, not {threads}")
    return program.run, theirs


def _cold(threads: int, rounds: int) -> list[Figure]:
    found: list[Figure] = []
    n = EACH * rounds  # they last a moment
    for microseconds in WORK:
        ours, theirs = regions(threads, microseconds)
        times: tuple[list[float], list[float]] = [], []
        for i in range(n):
            for number, call in ((0, ours), (1, theirs)) if i % 2 else ((1, theirs), (0, ours)):
                time.sleep(ASLEEP)
                start = time.perf_counter()
                call()
                times[number].append(time.perf_counter() - start)
        mine, other = (statistics.median(each) * 1e6 for each in times)
        asked = ASKED * other if microseconds == 0 else None
        found.append(
            Figure("wake", f"asleep, {microseconds} µs of work", threads, "µs", mine, "libgomp",
                   other, asked, None if asked is None else mine <= asked, n=n)
        )  # fmt: skip
    return found


# ---- beside a busy process -----------------------------------------------------------------------


@contextmanager
def busy() -> Iterator[None]:
    """Another process that never rests."""
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(0.2)
        yield
    finally:
        other.kill()
        other.wait()


def _contended(threads: int, rounds: int) -> list[Figure]:
    """Steps of ours on several threads, on one, and torch's on several."""
    import groundup as gu

    torch = sides.torch_module()
    found: list[Figure] = []
    for name in WORKLOADS:
        workload = known()[name]
        ours, state = steps.ours(workload)
        theirs = steps.torch(workload, torch, state, False)
        kinds: list[tuple[Step, int]] = [(ours, threads), (ours, 1), (theirs, threads)]
        times: list[list[float]] = [[] for _ in kinds]

        def block(step: Step, count: int) -> float:
            gu.set_num_threads(count)
            torch.set_num_threads(count)
            for i in range(3):
                step(i)
            taken, start = 0, time.perf_counter()
            while time.perf_counter() - start < BLOCK:
                step(taken)
                taken += 1
            return (time.perf_counter() - start) / taken

        with busy():
            for _ in range(rounds):
                for number, (step, count) in enumerate(kinds):
                    times[number].append(block(step, count))
                    time.sleep(measure.IDLE_SECONDS)
        mine, single, other = (statistics.median(each) * 1e3 for each in times)
        found += _beside(name, threads, mine, single, other, rounds)
    gu.set_num_threads(threads)
    torch.set_num_threads(threads)
    return found


def _beside(
    name: str, threads: int, mine: float, single: float, other: float, n: int
) -> Sequence[Figure]:
    """That more threads are no slower than one is asked; torch's time is shown beside it."""
    label = f"{name} beside a busy process"
    return (
        Figure("wake", label, threads, "ms", mine, "torch", other, other, mine <= other, n=n),
        Figure("wake", f"{label}, 1 thr", threads, "ms", mine, "one thread", single, single,
               mine <= single, n=n),
    )  # fmt: skip
