"""Programs and the pool: every step once, in order, on any number of threads, on each system."""

from __future__ import annotations

import ctypes
import os
import threading
import time

import pytest

from groundup.runtime import (
    Program,
    allocate,
    driver,
    functions,
    get_num_threads,
    pool,
    set_num_threads,
)
from groundup.runtime import program as program_of
from groundup.runtime.system import PortableSystem

KERNELS = """
define void @nothing(ptr %a, i64 %t, i64 %n) nounwind {
  ret void
}
; word 0: an array; its element t counts the calls for chunk t
define void @count(ptr %a, i64 %t, i64 %n) nounwind {
  %array = load ptr, ptr %a
  %at = getelementptr i64, ptr %array, i64 %t
  %old = load i64, ptr %at
  %new = add i64 %old, 1
  store i64 %new, ptr %at
  ret void
}
; words: in, out; out[t] = in[(t + 1) % n] + 1: each reads what another wrote a step ago
define void @rotate(ptr %a, i64 %t, i64 %n) nounwind {
  %out.at = getelementptr i64, ptr %a, i64 1
  %in = load ptr, ptr %a
  %out = load ptr, ptr %out.at
  %t1 = add i64 %t, 1
  %next = urem i64 %t1, %n
  %from = getelementptr i64, ptr %in, i64 %next
  %x = load i64, ptr %from
  %y = add i64 %x, 1
  %to = getelementptr i64, ptr %out, i64 %t
  store i64 %y, ptr %to
  ret void
}
; words: array, n; the sum of array[0..n) goes into array[63]
define void @total(ptr %a, i64 %t, i64 %team) nounwind {
entry:
  %n.at = getelementptr i64, ptr %a, i64 1
  %array = load ptr, ptr %a
  %n = load i64, ptr %n.at
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%i.next, %loop]
  %sum = phi i64 [0, %entry], [%sum.next, %loop]
  %at = getelementptr i64, ptr %array, i64 %i
  %x = load i64, ptr %at
  %sum.next = add i64 %sum, %x
  %i.next = add i64 %i, 1
  %more = icmp slt i64 %i.next, %n
  br i1 %more, label %loop, label %done
done:
  %result = getelementptr i64, ptr %array, i64 63
  store i64 %sum.next, ptr %result
  ret void
}
; words: status block, code
define void @fail(ptr %a, i64 %t, i64 %n) nounwind {
  %code.at = getelementptr i64, ptr %a, i64 1
  %status = load ptr, ptr %a
  %code = load i64, ptr %code.at
  store i64 %code, ptr %status
  %last = getelementptr i64, ptr %status, i64 7
  store i64 %n, ptr %last
  ret void
}
; words: array of float; array[t] = smallest normal number / 2, a denormal
define void @denormal(ptr %a, i64 %t, i64 %n) nounwind {
  %array = load ptr, ptr %a
  %at = getelementptr float, ptr %array, i64 %t
  %x = load volatile float, ptr %at
  %y = fmul float %x, 5.0e-1
  store float %y, ptr %at
  ret void
}
; words: number of turns
define void @dawdle(ptr %a, i64 %t, i64 %n) nounwind {
entry:
  %turns = load i64, ptr %a
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%i.next, %loop]
  %old = load volatile i64, ptr %a
  %i.next = add i64 %i, 1
  %more = icmp slt i64 %i.next, %turns
  br i1 %more, label %loop, label %done
done:
  ret void
}
"""
NAMES = ("nothing", "count", "rotate", "total", "fail", "denormal", "dawdle")
THREADS = [1, 2, 3, 4, 8]
ALL = pool.MAX_THREADS  # all threads, one chunk for each


@pytest.fixture
def kernels(each_system: PortableSystem) -> dict[str, int]:
    return dict(zip(NAMES, functions(KERNELS, NAMES), strict=True))


def zeros(words: int):  # type: ignore[no-untyped-def]
    buffer = allocate(8 * words)
    buffer.write_bytes(bytes(8 * words))
    return buffer


@pytest.mark.parametrize("threads", THREADS)
def test_each_chunk_of_each_step_runs_once(kernels: dict[str, int], threads: int) -> None:
    counts = zeros(64)
    program = Program([(kernels["count"], [counts.address], ALL)] * 1000)
    assert program.run(threads) == 0
    assert counts.read("<64q") == (1000,) * threads + (0,) * (64 - threads)


@pytest.mark.parametrize("threads", THREADS)
def test_a_barrier_stands_between_dependent_steps(kernels: dict[str, int], threads: int) -> None:
    first, second = zeros(64), zeros(64)
    there = (kernels["rotate"], [first.address, second.address], ALL)
    back = (kernels["rotate"], [second.address, first.address], ALL)
    program = Program([there, back] * 10_000)
    start = time.perf_counter()
    program.run(threads)
    assert first.read(f"<{threads}q") == (20_000,) * threads
    assert time.perf_counter() - start < 20


@pytest.mark.parametrize("threads", THREADS)
def test_serial_and_parallel_steps_see_each_other(kernels: dict[str, int], threads: int) -> None:
    counts = zeros(64)
    steps = []
    for _ in range(300):
        steps.append((kernels["count"], [counts.address], ALL))
        steps.append((kernels["total"], [counts.address, threads], 1))
        steps.append((kernels["rotate"], [counts.address + 504, counts.address + 496], 1))
    Program(steps).run(threads)
    values = counts.read("<64q")
    assert values[:threads] == (300,) * threads
    assert values[63] == 300 * threads and values[62] == 300 * threads + 1


def test_a_step_may_ask_for_fewer_threads(kernels: dict[str, int]) -> None:
    some = 4 * program_of.CHUNKS
    for limit, threads, expected in ((2, 4, 2), (3, 2, 2), (1, 4, 1), (0, 4, some), (0, 1, 1)):
        counts = zeros(64)
        nothing = (kernels["nothing"], [], ALL)
        Program([nothing, (kernels["count"], [counts.address], limit), nothing]).run(threads)
        assert counts.read("<64q") == (1,) * expected + (0,) * (64 - expected)


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_chunks_of_all_steps_run_once_and_in_order(
    kernels: dict[str, int], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several chunks a thread, of several numbers of threads, with late threads all along."""
    for chunks in (1, 2, 5, 7):
        monkeypatch.setattr(program_of, "CHUNKS", chunks)
        first, second = zeros(64), zeros(64)
        steps = []
        for limit in [0, 1, 2, ALL] * 500:
            steps.append((kernels["rotate"], [first.address, second.address], 0))
            steps.append((kernels["count"], [second.address], limit))
            steps.append((kernels["nothing"], [], limit))
            steps.append((kernels["rotate"], [second.address, first.address], 0))
        Program(steps).run(threads)
        got, want = first.read("<64q"), _sequentially(threads, chunks)
        assert got[: threads * chunks] == want, (threads, chunks)


def _sequentially(threads: int, chunks: int) -> tuple[int, ...]:
    n = threads * chunks
    first, second = [0] * n, [0] * n
    for team in [n, 1, min(2, threads), threads] * 500:
        second = [first[(t + 1) % n] + 1 for t in range(n)]
        for t in range(team):
            second[t] += 1
        first = [second[(t + 1) % n] + 1 for t in range(n)]
    return tuple(first)


def test_a_late_thread_is_not_waited_for(
    kernels: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers that never come: all is done by the thread that is there."""
    monkeypatch.setattr(pool.Pool, "_start_workers", lambda self, threads, worker: None)
    counts = zeros(64)
    steps = [(kernels["count"], [counts.address], 0), (kernels["count"], [counts.address], 1)]
    assert Program(steps * 100).run(4) == 0
    n = 4 * program_of.CHUNKS
    assert counts.read("<64q") == (200,) + (100,) * (n - 1) + (0,) * (64 - n)


def test_no_step_at_all(each_system: PortableSystem) -> None:
    program = Program([])
    assert program.run() == 0 and len(program) == 0


def test_changing_the_number_of_threads_between_runs(kernels: dict[str, int]) -> None:
    counts = zeros(64)
    program = Program([(kernels["count"], [counts.address], ALL)] * 3)
    expected = [0] * 64
    for threads in [1, 4, 2, 8, 2, 1, 3, 3, 8] * 20:
        set_num_threads(threads)
        assert get_num_threads() == threads
        program.run()
        for t in range(threads):
            expected[t] += 3
    assert list(counts.read("<64q")) == expected


def test_words_can_be_patched_between_runs(kernels: dict[str, int]) -> None:
    one, two = zeros(64), zeros(64)
    nothing, count = kernels["nothing"], kernels["count"]
    program = Program([(nothing, [1, 2, 3], ALL), (count, [one.address], ALL)])
    assert list(program.words(0)) == [1, 2, 3]
    words = program.words(1)
    program.run(2)
    words[0] = two.address
    program.run(2)
    del program
    assert one.read("<2q") == two.read("<2q") == (1, 1)
    assert list(words) == [two.address]


@pytest.mark.parametrize("threads", [1, 2])
def test_status_is_reported_and_then_cleared(kernels: dict[str, int], threads: int) -> None:
    program = Program([(kernels["fail"], [0, 42], 1)])
    program.words(0)[0] = program.status_address
    assert program.run(threads) == 42
    assert program.status == (42, 0, 0, 0, 0, 0, 0, 1)
    program.words(0)[1] = 0
    assert program.run(threads) == 0
    assert program.status[:7] == (0,) * 7


def test_workers_sleep_and_wake(kernels: dict[str, int]) -> None:
    counts = zeros(64)
    program = Program([(kernels["count"], [counts.address], ALL)])
    for _ in range(15):
        program.run(3)
        time.sleep(0.02)
    for _ in range(200):  # around the moment at which workers fall asleep
        program.run(3)
        time.sleep(0.004)
    assert counts.read("<3q") == (215,) * 3


def test_workers_that_sleep_use_no_time(kernels: dict[str, int]) -> None:
    program = Program([(kernels["nothing"], [], ALL)])
    program.run(4)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:  # loaded machines take longer to run out of patience
        before = time.process_time()
        time.sleep(0.25)
        if time.process_time() - before < 0.05:
            return
    pytest.fail("the workers never went to sleep")


def test_one_thread_starts_no_pool(kernels: dict[str, int]) -> None:
    before = threading.active_count(), len(os.listdir("/proc/self/task"))
    Program([(kernels["nothing"], [], ALL)] * 10).run(1)
    Program([(kernels["nothing"], [], 1)] * 10).run(8)
    assert pool.setting().pool is None
    assert (threading.active_count(), len(os.listdir("/proc/self/task"))) == before


def test_runs_from_several_python_threads(kernels: dict[str, int]) -> None:
    counts = zeros(64)
    program = Program([(kernels["count"], [counts.address], ALL)] * 5)

    def work() -> None:
        for _ in range(300):
            program.run(3)

    runners = [threading.Thread(target=work) for _ in range(4)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    assert counts.read("<3q") == (4 * 300 * 5,) * 3


@pytest.mark.parametrize("threads", [1, 3])
def test_denormals_survive_a_caller_that_flushes_them(
    kernels: dict[str, int], threads: int
) -> None:
    if not driver.target.host().triple.startswith("x86_64"):
        pytest.skip("sets the control register of x86")
    text = (
        "declare void @llvm.x86.sse.ldmxcsr(ptr)\n"
        "declare void @llvm.x86.sse.stmxcsr(ptr)\n"
        "define void @put(ptr %p) {\n  call void @llvm.x86.sse.ldmxcsr(ptr %p)\n  ret void\n}\n"
        "define void @get(ptr %p) {\n  call void @llvm.x86.sse.stmxcsr(ptr %p)\n  ret void\n}\n"
    )
    put, get = (
        ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)
        for address in functions(text, ("put", "get"))
    )
    values = allocate(4 * threads)
    smallest = 2.0**-126
    values.write(f"<{threads}f", 0, *[smallest] * threads)
    program = Program([(kernels["denormal"], [values.address], ALL)])
    old, flushing, after = (ctypes.c_uint32() for _ in range(3))
    get(ctypes.addressof(old))
    flushing.value = old.value | 0x8040  # flush to zero, denormals are zero
    put(ctypes.addressof(flushing))
    try:
        program.run(threads)
        get(ctypes.addressof(after))
    finally:
        put(ctypes.addressof(old))
    assert values.read(f"<{threads}f") == (smallest / 2,) * threads
    assert after.value == flushing.value  # and the caller's mode is as it was


def test_wrong_numbers_of_threads_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in (0, -1, 1025):
        with pytest.raises(ValueError, match="1 to 1024"):
            set_num_threads(wrong)
    for odd in (2.0, True, "2"):
        with pytest.raises(TypeError, match="must be an int"):
            set_num_threads(odd)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no function"):
        Program([(0, [], 1)])
    with pytest.raises(ValueError, match="-1 threads"):
        Program([(1, [], -1)])


@pytest.mark.parametrize(("given", "expected"), [("3", 3), ("", None)])
def test_the_default_number_of_threads(
    each_system: PortableSystem,
    monkeypatch: pytest.MonkeyPatch,
    given: str,
    expected: int | None,
) -> None:
    monkeypatch.setenv("GROUNDUP_NUM_THREADS", given)
    assert get_num_threads() == (expected or each_system.cpu_count())
    monkeypatch.setattr(pool, "_setting", None)
    monkeypatch.setenv("GROUNDUP_NUM_THREADS", "two")
    with pytest.raises(ValueError, match="GROUNDUP_NUM_THREADS='two'"):
        get_num_threads()


# ---- one by one ----------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2])
def test_steps_run_one_by_one_do_the_same(kernels: dict[str, int], threads: int) -> None:
    before = get_num_threads()
    set_num_threads(threads)
    try:
        array = allocate(8 * 64)
        array.write("<64q", 0, *range(64))
        program = Program([
            (kernels["total"], [array.address, 3], 1), (kernels["total"], [array.address, 64], 1),
        ])  # fmt: skip
        for _ in range(2):
            times = program.run_timed()
        assert len(times) == 2 and times[0][0] < times[0][1] <= times[1][0] < times[1][1]
        timed = array.read("<64q")
        array.write("<64q", 0, *range(64))
        program.run()
        program.run()
        assert array.read("<64q") == timed
        program.words(1)[1] = 0  # what is patched is seen
        program.words(0)[1] = 2
        program.run_timed()
        assert array.read("<64q")[63] != timed[63]
    finally:
        set_num_threads(before)


def test_a_status_stays_from_step_to_step_and_is_cleared_at_the_next_run(
    kernels: dict[str, int],
) -> None:
    program = Program([(kernels["fail"], [0, 42], 1), (kernels["nothing"], [], 1)])
    program.words(0)[0] = program.status_address
    program.run_timed()
    assert program.status[0] == 42
    program.words(0)[1] = 0
    program.run_timed()
    assert program.status[0] == 0
