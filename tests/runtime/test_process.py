"""The runtime among the events of a process: fork, exit, Ctrl-C; each in an interpreter of its
own, on each system."""

from __future__ import annotations

import pytest

PREAMBLE = '''
import ctypes, os, signal, sys, threading, time
from groundup.runtime import Program, allocate, functions, set_num_threads
KERNELS = """
define void @count(ptr %a, i64 %t, i64 %n) nounwind {
  %array = load ptr, ptr %a
  %at = getelementptr i64, ptr %array, i64 %t
  %old = load i64, ptr %at
  %new = add i64 %old, 1
  store i64 %new, ptr %at
  ret void
}
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
count, dawdle = functions(KERNELS, ("count", "dawdle"))
ALL = 1024  # all threads, one chunk for each
buffer = allocate(512)
buffer.write_bytes(bytes(512))
program = Program([(count, [buffer.address], ALL)] * 10)
set_num_threads(3)
def check(runs):
    assert buffer.read("<4q") == (10 * runs,) * 3 + (0,), buffer.read("<4q")
'''


@pytest.fixture(params=["linux", "portable"])
def run(request: pytest.FixtureRequest, python):  # type: ignore[no-untyped-def]
    return lambda source: python(PREAMBLE + source, GROUNDUP_SYSTEM=request.param)


def test_a_forked_child_has_a_pool_of_its_own(run) -> None:  # type: ignore[no-untyped-def]
    run("""
program.run()
for _ in range(5):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        program.run()
        program.run()
        check(3)  # private memory: the parent's one run and two of our own
        os._exit(7)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7, status
check(1)
program.run()
check(2)
""")


def test_fork_while_other_threads_run_and_compile(run) -> None:  # type: ignore[no-untyped-def]
    run("""
stop = False
def compute():
    while not stop:
        program.run()
def compile():
    n = 0
    while not stop:
        n += 1
        functions(f"define i64 @f() {{\\n  ret i64 {n}\\n}}", ("f",))
threads = [threading.Thread(target=compute), threading.Thread(target=compile)]
for thread in threads:
    thread.start()
for _ in range(20):
    time.sleep(0.005)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        before = buffer.read("<q")[0]
        assert buffer.read("<4q") == (before,) * 3 + (0,)  # never in the middle of a run
        program.run()
        check(before // 10 + 1)
        (f,) = functions("define i64 @f() {\\n  ret i64 -5\\n}", ("f",))
        assert ctypes.CFUNCTYPE(ctypes.c_int64)(f)() == -5
        os._exit(7)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7, status
stop = True
for thread in threads:
    thread.join()
""")


@pytest.mark.parametrize("pause", ["0", "0.0005", "0.05"])
def test_exit_with_live_workers(run, pause: str) -> None:  # type: ignore[no-untyped-def]
    for _ in range(3):
        run(f"program.run(8)\ntime.sleep({pause})\n")


def test_exit_while_a_daemon_thread_computes(run) -> None:  # type: ignore[no-untyped-def]
    run("""
big = allocate(64 << 20)
long = Program([(count, [big.address], ALL), (dawdle, [300_000_000], ALL)] * 20)
threading.Thread(target=long.run, daemon=True).start()
time.sleep(0.1)
""")


def test_interrupt_arrives_after_the_run(run) -> None:  # type: ignore[no-untyped-def]
    run("""
program.run()
slow = Program([(dawdle, [300_000_000], ALL), (count, [buffer.address], ALL)])
for n in range(3):
    threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        slow.run()
        time.sleep(1)
    except KeyboardInterrupt:
        pass
    else:
        raise SystemExit("no interrupt came")
    assert buffer.read("<4q") == (11 + n,) * 3 + (0,)
program.run()
assert buffer.read("<4q") == (23,) * 3 + (0,)
""")


def test_interrupts_at_any_moment_leave_a_working_pool(run) -> None:  # type: ignore[no-untyped-def]
    run("""
import random
random.seed(0)
whole = lambda: buffer.read("<8q")
signal.signal(signal.SIGALRM, signal.default_int_handler)
struck = 0
for n in range(150):
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(2e-5, 2e-3))
        for _ in range(100):
            program.run(random.choice([1, 2, 3, 4, 5, 8]))
        time.sleep(0.01)
    except KeyboardInterrupt:
        struck += 1
assert struck == 150, struck
assert all(value % 10 == 0 for value in whole()), whole()
buffer.write_bytes(bytes(512))
program.run()
check(1)
""")


def test_a_signal_handler_may_compute(run) -> None:  # type: ignore[no-untyped-def]
    run("""
program.run()
signal.signal(signal.SIGUSR1, lambda *_: program.run())
slow = Program([(dawdle, [100_000_000], ALL)])
threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGUSR1)).start()
slow.run()
time.sleep(0.1)
check(2)
""")


def test_one_system_is_forced_by_the_environment(python) -> None:  # type: ignore[no-untyped-def]
    source = "from groundup.runtime import system; print(system.current().name)"
    assert python(source, GROUNDUP_SYSTEM="portable").stdout.strip() == "portable"
    python(
        "from groundup.runtime import system\n"
        "try:\n    system.current()\n"
        "except ValueError as error:\n    assert 'portable' in str(error), error\n"
        "else:\n    raise SystemExit(1)",
        GROUNDUP_SYSTEM="amiga",
    )
