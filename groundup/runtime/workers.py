"""Compiling many texts at once: in this process, and in worker processes when there is enough to
do for them (LLVM, as llvmlite gives it, compiles serially in one process). It must not know what
the texts compute. Whatever becomes of a worker, every text is compiled or its error is raised."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
from collections.abc import Callable
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from . import system
from . import target as processor

if TYPE_CHECKING:
    import subprocess

MOST = 8  # workers: each takes some 100 MB
# Measured: LLVM takes some 4 ms for a module and 0.6 µs for each byte of its text. A new worker
# is ready after 70 ms, so what waits should take each process twice that; one that is there
# already costs only the message.
_SECONDS_EACH, _SECONDS_A_BYTE = 4e-3, 0.6e-6
_WORTH_STARTING, _WORTH_ASKING = 0.15, 0.01
_CRASHES = {"SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV"}  # LLVM's own failures

_idle: list[Worker] = []
_started: set[Worker] = set()  # all that may be alive
counters = {"started": 0, "compiled": 0, "lost": 0}


class Crash(Exception):
    """The code generator took a worker down: compiling the text here would end this process."""


class Job:
    """A text to compile, and what became of it."""

    __slots__ = ("crash", "done", "text")

    def __init__(self, text: str, done: Callable[[bytes], None]) -> None:
        self.text, self.done = text, done
        self.crash: Crash | None = None

    @property
    def seconds(self) -> float:
        return _SECONDS_EACH + _SECONDS_A_BYTE * len(self.text)


class Worker:
    """One worker process. OSError or EOFError says that it is no more."""

    def __init__(self) -> None:
        import subprocess

        pipe = subprocess.PIPE
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            # -S, -P: no site packages' start-up code, nothing from the current folder
            [sys.executable, "-S", "-P", "-m", "groundup.runtime.worker"],
            stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL,
            env=_environment(), start_new_session=os.name == "posix",
        )  # fmt: skip
        _started.add(self)
        counters["started"] += 1
        atexit.register(end_all)  # runs once, however often it is registered: nothing is left then

    def greet(self) -> bool:
        """Wait until it is ready; does it compile for the processor that we compile for?"""
        from .worker import receive

        assert self.process.stdout is not None
        return receive(self.process.stdout) == (b"k", processor.host().key.encode())

    def compile(self, text: str, opt: int) -> bytes | None:
        """Object code, or None if there is an error to be found out here."""
        from .worker import receive, send

        assert self.process.stdin is not None and self.process.stdout is not None
        send(self.process.stdin, bytes([opt]), text.encode())
        answer = receive(self.process.stdout)
        if answer is None:
            raise EOFError
        return answer[1] if answer[0] == b"o" else None

    def end(self, at_once: bool = True) -> int:
        """End it and wait for that; its exit code."""
        _started.discard(self)
        with contextlib.suppress(OSError):
            if at_once:
                self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        import subprocess

        try:
            return self.process.wait(1)
        except subprocess.TimeoutExpired:  # it compiles something that nobody waits for
            self.process.kill()
            return self.process.wait()


def _environment() -> dict[str, str]:
    """Ours, with the two packages where this process found them, and nothing else."""
    import llvmlite

    homes: dict[str, None] = {}
    for package in (__package__.partition(".")[0], llvmlite.__name__):
        file = os.path.abspath(str(sys.modules[package].__file__))
        homes[os.path.dirname(os.path.dirname(file))] = None
    drop = ("PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONPROFILEIMPORTTIME", "PYTHONVERBOSE")
    kept = {k: v for k, v in os.environ.items() if k not in drop}
    return {**kept, "PYTHONPATH": os.pathsep.join(homes)}


def most_workers() -> int:
    """How many workers may run: GROUNDUP_COMPILE_WORKERS, else one less than there are processors;
    0 where this program is not the Python interpreter that would run them."""
    given = os.environ.get("GROUNDUP_COMPILE_WORKERS", "")
    if given and not given.strip().isdecimal():
        raise ValueError(f"GROUNDUP_COMPILE_WORKERS={given!r} is not a whole number, as 1 would be")
    name = os.path.basename(sys.executable or "").lower()
    if getattr(sys, "frozen", False) or not name.startswith(("python", "pypy")):
        return 0
    return min(MOST, int(given) if given else system.current().cpu_count() - 1)


def end_all() -> None:
    """End all workers, and wait for that."""
    atexit.unregister(end_all)
    _idle.clear()
    for worker in list(_started):
        worker.end()


def forget_all() -> None:
    """In a forked child: the workers are the parent's. Leave them alone, but let go of the pipes,
    or they would not see it when the parent ends."""
    _idle.clear()
    for worker in list(_started):
        _started.discard(worker)
        worker.process.returncode = 0  # not ours to wait for
        for pipe in (worker.process.stdin, worker.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


class Batch:
    """Texts that are compiled together. Use it in a `with`, which ends with all compiled.

    An exception in the body, or Ctrl-C, drops what is not compiled yet.
    """

    def __init__(self, here: Callable[[str, int], bytes], opt: int) -> None:
        self.here, self.opt = here, opt
        self.most = most_workers()
        self.change = threading.Condition()
        self.waiting: list[tuple[int, int, Job]] = []  # a heap: the longest text first
        self.away: dict[Job, Worker] = {}  # at a worker
        self.failed: list[Job] = []  # to be compiled here, whatever comes of it
        self.seconds = 0.0  # of what waits
        self.pumps: list[threading.Thread] = []
        self.stop = False
        self._count = 0

    def add(self, job: Job) -> None:
        """Have a text compiled, by whoever is first at hand."""
        with self.change:
            self._count += 1
            heappush(self.waiting, (-len(job.text), self._count, job))
            self.seconds += job.seconds
        share = self.seconds / (len(self.pumps) + 2)
        if len(self.pumps) < self.most and share > (
            _WORTH_ASKING if len(_idle) > 0 else _WORTH_STARTING
        ):
            pump = threading.Thread(target=self._pump, name="groundup-compile", daemon=True)
            self.pumps.append(pump)
            pump.start()

    def __enter__(self) -> Batch:
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            with self.change:
                self.stop = True
                self.waiting.clear()
                busy = list(self.away.values())
            for worker in busy:  # only after an exception: nobody wants its answer
                with contextlib.suppress(OSError):
                    worker.process.kill()
            for pump in self.pumps:
                pump.join()

    def _finish(self) -> None:
        """Compile here what nobody else has taken, then wait for the others."""
        while True:
            job = self._take()
            if job is not None:
                job.done(self.here(job.text, self.opt))
                continue
            with self.change:
                if self.failed:
                    job = self.failed.pop()
                elif self.away:
                    if not any(pump.is_alive() for pump in self.pumps):  # in a child of a fork
                        self.failed += self.away
                        self.away.clear()
                    self.change.wait(0.5)
                    continue
                elif not self.waiting:
                    return
                else:
                    continue
            if job.crash is not None:
                raise job.crash
            job.done(self.here(job.text, self.opt))

    def _take(self, worker: Worker | None = None) -> Job | None:
        with self.change:
            if not self.waiting:
                return None
            job = heappop(self.waiting)[2]
            self.seconds -= job.seconds
            if worker is not None:
                self.away[job] = worker
            return job

    def _pump(self) -> None:
        """Keep one worker busy until nothing waits (a thread of its own)."""
        worker = _one()
        if worker is None:
            return
        while not self.stop:
            job = self._take(worker)
            if job is None:
                break
            finished, alive = False, True
            try:
                made = worker.compile(job.text, self.opt)
                if made is not None:
                    job.done(made)
                    finished = True
            except (OSError, EOFError):
                alive = False
                job.crash = _post_mortem(worker)
            except Exception:  # of `done`: raised again when the text is compiled here
                pass
            with self.change:
                counters["compiled"] += finished
                self.away.pop(job, None)
                if not finished:
                    self.failed.append(job)
                self.change.notify_all()
            if not alive:
                return
        _idle.append(worker)


def _one() -> Worker | None:
    """A worker that is ready, or None if there can be none."""
    with contextlib.suppress(IndexError):
        while True:
            worker = _idle.pop()
            if worker.process.poll() is None:
                return worker
            worker.end()  # it had nothing to do for a while
    try:
        worker = Worker()
    except (OSError, ValueError, ImportError):  # processes cannot be started here
        return None
    with contextlib.suppress(OSError):
        if worker.greet():
            return worker
    worker.end()
    return None


def _post_mortem(worker: Worker) -> Crash | None:
    """What to do about a worker's end: an error if LLVM crashed, else the text is compiled here."""
    import signal

    counters["lost"] += 1
    with contextlib.suppress(Exception):
        worker.process.wait(0.2)  # it is ending; if it is not, it is killed
    code = worker.end()
    try:
        name = signal.Signals(-code).name
    except ValueError:
        return None
    if name not in _CRASHES:
        return None
    return Crash(f"LLVM's code generator crashed ({name}) on this text")
