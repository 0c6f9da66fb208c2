"""Compile workers: equal code to one process's, no text lost whatever becomes of a worker, and none
left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundup.runtime import CompileError, Source, all_functions, cache, code, workers

from .test_code import answer, call

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A worker for every batch, on any machine."""
    workers.end_all()
    monkeypatch.setenv("GROUNDUP_COMPILE_WORKERS", "2")
    monkeypatch.setattr(workers, "_WORTH_STARTING", 0.0)
    monkeypatch.setattr(workers, "_WORTH_ASKING", 0.0)
    monkeypatch.setattr(code, "_alive", weakref.WeakValueDictionary())
    yield
    workers.end_all()
    assert not workers._started


def sources(numbers: range) -> list[Source]:
    return [Source(answer(n), lambda n=n: answer(n), "answer") for n in numbers]  # type: ignore[misc]


def check(numbers: range) -> None:
    assert [call(a) for a in all_functions(sources(numbers))] == list(numbers)


def by_workers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process compile nothing but what workers give back."""
    take = workers.Batch._take
    monkeypatch.setattr(
        workers.Batch,
        "_take",
        lambda self, worker=None: take(self, worker) if worker or not any(
            pump.is_alive() for pump in self.pumps) else None,
    )  # fmt: skip


def test_workers_make_the_same_code(monkeypatch: pytest.MonkeyPatch, cache_directory: Path) -> None:
    by_workers_alone(monkeypatch)
    before = dict(workers.counters)
    check(range(300, 340))
    assert workers.counters["compiled"] - before["compiled"] >= 30
    assert len(list(cache_directory.glob("*.bin"))) == 40
    for n in range(300, 340):
        key = cache.digest(code.target.host().key, str(code.OPT_LEVEL), answer(n))
        assert cache.load(key) == code.compile_object(answer(n))


def test_a_second_batch_uses_the_same_workers() -> None:
    before = workers.counters["started"]
    for start in (340, 360, 380):
        check(range(start, start + 20))
    assert 1 <= workers.counters["started"] - before <= 2


def test_little_work_starts_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    before = workers.counters["started"]
    check(range(400, 404))
    assert workers.counters["started"] == before


def test_killed_workers_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_there = workers.Worker.compile

    def killed(self: workers.Worker, text: str, opt: int) -> bytes | None:
        self.process.kill()
        return compile_there(self, text, opt)

    monkeypatch.setattr(workers.Worker, "compile", killed)
    by_workers_alone(monkeypatch)
    before = workers.counters["lost"]
    check(range(410, 430))
    assert workers.counters["lost"] > before


def test_a_crash_of_the_code_generator_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_there = workers.Worker.compile

    def crashed(self: workers.Worker, text: str, opt: int) -> bytes | None:
        self.process.send_signal(signal.SIGSEGV)
        return compile_there(self, text, opt)

    monkeypatch.setattr(workers.Worker, "compile", crashed)
    by_workers_alone(monkeypatch)
    with pytest.raises(CompileError, match="crashed \\(SIGSEGV\\)"):
        all_functions(sources(range(430, 440)))
    monkeypatch.setattr(workers.Worker, "compile", compile_there)
    check(range(430, 440))


def test_an_error_in_a_text_is_raised_here(monkeypatch: pytest.MonkeyPatch) -> None:
    by_workers_alone(monkeypatch)
    wrong = "define i64 @answer() {\n  ret i32 0\n}\n"
    with pytest.raises(CompileError, match="ret i32 0"):
        all_functions([*sources(range(440, 450)), Source(wrong, lambda: wrong, "answer")])
    check(range(440, 450))


def test_an_error_in_storing_is_raised_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(key: bytes, payload: bytes) -> None:
        raise RuntimeWarning("the disk is full")

    by_workers_alone(monkeypatch)
    monkeypatch.setattr(cache, "store", full)
    with pytest.raises(RuntimeWarning, match="full"):
        all_functions(sources(range(450, 460)))


@pytest.mark.parametrize("executable", ["/nowhere/python3", "/bin/false", "", "/bin/cat"])
def test_where_no_worker_can_be_started_all_is_compiled_here(
    monkeypatch: pytest.MonkeyPatch, executable: str, tmp_path: Path
) -> None:
    if executable in ("/bin/false", "/bin/cat"):  # it starts, but is no worker
        (tmp_path / "python").symlink_to(executable)
        executable = str(tmp_path / "python")
    monkeypatch.setattr(sys, "executable", executable)
    check(range(460, 470))
    assert not workers._started


def test_only_python_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    assert workers.most_workers() == 2
    monkeypatch.setattr(sys, "executable", "/opt/editor/bin/editor")
    assert workers.most_workers() == 0
    monkeypatch.setenv("GROUNDUP_COMPILE_WORKERS", "many")
    with pytest.raises(ValueError, match="GROUNDUP_COMPILE_WORKERS='many'"):
        check(range(470, 480))


def test_a_worker_for_another_processor_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = code.target.host()._replace(key="another compiler")
    monkeypatch.setattr(code.target, "host", lambda: elsewhere)
    before = workers.counters["compiled"]
    check(range(480, 490))
    assert workers.counters["compiled"] == before and not workers._started


def test_a_worker_is_light_and_ends_when_idle() -> None:
    source = (
        "import sys\nfrom groundup.runtime import worker\nworker.IDLE_SECONDS = 0.3\n"
        "floors = ('ir', 'emit', 'schedule', 'tensor')\n"
        "assert not any(f'groundup.{f}' in sys.modules for f in floors)\n"
        "assert not {'numpy', 'subprocess'} & set(sys.modules)\n"
        "worker.main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    with process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.read(8)  # it is ready, and we ask nothing
        assert process.wait(30) == 0


def test_an_idle_worker_that_ended_is_replaced() -> None:
    check(range(490, 500))
    for worker in list(workers._started):
        worker.process.kill()
        worker.process.wait()
    check(range(500, 510))


# ---- processes: each in an interpreter of its own ------------------------------------------------

PREAMBLE = '''
import os, signal, sys, time, threading
os.environ["GROUNDUP_COMPILE_WORKERS"] = "2"
from groundup.runtime import Source, all_functions, workers
workers._WORTH_STARTING = 0.0
def text(n, lines=3):
    body = "".join(f"  %v{i + 1} = mul i64 %v{i}, {n + 3}\\n" for i in range(lines))
    return f"define i64 @f(i64 %v0) {{\\n{body}  ret i64 %v{lines}\\n}}\\n"
def compile(numbers, lines=3):
    made = [Source(text(n, lines), lambda n=n: text(n, lines), "f") for n in numbers]
    return all_functions(made)
def pids():
    return [w.process.pid for w in workers._started]
'''


def gone(pid: int) -> bool:
    """Has a process ended, within a while? (One that nobody waited for counts.)"""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state in "ZX":
            return True
        time.sleep(0.02)
    return False


def test_a_program_that_ends_leaves_no_worker(python) -> None:  # type: ignore[no-untyped-def]
    out = python(PREAMBLE + "compile(range(40))\nprint(*pids())").stdout.split()
    assert out and all(gone(int(pid)) for pid in out)


def test_a_program_that_is_killed_leaves_no_worker(cache_directory: Path) -> None:
    """Also when a child of its own lives on."""
    source = PREAMBLE + (
        "compile(range(40))\nchild = os.fork()\n"
        "if child == 0:\n    os.close(1)\n    time.sleep(60)\n    os._exit(0)\n"
        "print(child, *pids(), flush=True)\ntime.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", source], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout is not None
    child, *pids = map(int, process.stdout.readline().split())
    process.kill()
    process.wait()
    process.stdout.close()
    try:
        assert pids and all(gone(pid) for pid in pids)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def test_a_forked_child_has_workers_of_its_own(python) -> None:  # type: ignore[no-untyped-def]
    python(
        PREAMBLE
        + """
compile(range(20))
before = pids()
child = os.fork()
if child == 0:
    signal.alarm(40)
    assert pids() == []
    compile(range(20, 60))
    assert pids() and not set(pids()) & set(before)
    sys.exit(7)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 7, status
compile(range(60, 80))
assert set(before) <= set(pids())
"""
    )


def test_an_interrupt_ends_the_batch_and_its_workers(python) -> None:  # type: ignore[no-untyped-def]
    python(
        PREAMBLE
        + """
for n in range(3):
    threading.Timer(0.15, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        compile(range(1000 * n, 1000 * n + 900), 2000)
        time.sleep(2)
    except KeyboardInterrupt:
        pass
    else:
        raise SystemExit("no interrupt came")
    assert threading.active_count() <= 2, threading.enumerate()
compile(range(5000, 5020))
"""
    )


def test_a_signal_handler_may_compile_while_a_batch_does(python) -> None:  # type: ignore[no-untyped-def]
    python(
        PREAMBLE
        + """
seen = []
signal.signal(signal.SIGUSR1, lambda n, frame: seen.append(compile(range(9000, 9010))))
threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
compile(range(100), 1000)
time.sleep(0.2)
assert len(seen) == 1 and len(seen[0]) == 10
"""
    )


def test_many_threads_compile_at_once(python) -> None:  # type: ignore[no-untyped-def]
    python(
        PREAMBLE
        + """
made = {}
def work(t):
    made[t] = compile(range(50))
threads = [threading.Thread(target=work, args=(t,)) for t in range(4)]
for t in threads: t.start()
for t in threads: t.join()
assert made[0] == made[1] == made[2] == made[3] and len(set(made[0])) == 50
"""
    )
