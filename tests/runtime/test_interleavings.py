"""The pool's protocol in every order of its threads' accesses: each chunk once, each step after the
one before it, and no thread waits for ever. The text that is run is the driver's own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from groundup.runtime import code, driver, system, target

from .interleave import ALWAYS, Memory, Thread, World, Wrong

POOL, PROGRAM, STATUS, NOTES = 1 << 20, 1 << 24, 1 << 28, 1 << 50
Steps = list[tuple[int, int]]  # threads (0: all), chunks a thread


def driver_ir(monkeypatch: pytest.MonkeyPatch, name: str) -> str:
    """The driver's text, without the instructions that set the mode of floats."""
    host = system.LinuxSystem() if name == "linux" else system.PortableSystem()
    texts: list[str] = []

    def keep(text: str, symbols: tuple[str, ...], **options: object) -> tuple[int, ...]:
        texts.append(text)
        return tuple(range(1, 1 + len(symbols)))

    monkeypatch.setattr(system, "current", lambda: host)
    monkeypatch.setattr(target, "host", lambda: target.Target("none", "", "", 0, False, ""))
    monkeypatch.setattr(code, "functions", keep)
    driver.entry_points.__wrapped__()
    return texts[0]


class Runs(World):
    """A pool of some threads, and programs that thread 0 runs one after the other."""

    def __init__(self, text: str, runs: list[tuple[int, Steps]], patience: int) -> None:
        outside: dict[str, Callable[..., int | None]] = {
            "@pause": lambda memory, thread, arguments: 0,
            "@yield_processor": lambda memory, thread, arguments: 0,
            "@syscall": self.futex,
            "@PyThread_acquire_lock": self.acquire,
            "@PyThread_release_lock": self.release,
            "kernel": self.kernel,
        }
        super().__init__(text, outside, long=("kernel", "@yield_processor"))
        self.runs = runs
        self.threads = max(threads for threads, _ in runs)
        m, fixed = self.memory, self.fixed
        m |= {POOL + at: 0 for at in (*range(0, 56, 8), 128, 136, 256, 384, 512)}
        fixed |= {POOL + 640: 0, POOL + 648: patience, POOL + 656: patience, STATUS: 0}
        for t in range(self.threads):
            line = POOL + 768 + 128 * t
            m |= {line: 0, line + 64: 0, line + 40: 0}  # 40: the lock, or what the futex knows
            fixed |= {line + 8: line + 8, line + 16: POOL, line + 24: t}
        for number, (threads, steps) in enumerate(runs):
            header = PROGRAM + (number << 16)
            words = [len(steps), header + 64, STATUS, POOL, threads, 0, 0, 0]
            for i, (limit, chunks) in enumerate(steps):
                words += [7, self.arguments(number, i), limit, chunks]
            fixed |= {header + 8 * i: word for i, word in enumerate(words)}
        self.begin(m, 0)

    def arguments(self, run: int, step: int) -> int:
        return (run << 8) + step + 1

    def chunks(self, run: int, step: int) -> int:
        threads, steps = self.runs[run]
        limit, chunks = steps[step]
        return 1 if limit == 1 else (min(limit, threads) if limit else threads) * chunks

    # ---- what is outside -------------------------------------------------------------------------

    def kernel(self, memory: Memory, thread: int, arguments: list[int]) -> int:
        run, step = arguments[0] >> 8, (arguments[0] & 255) - 1
        want = self.chunks(run, step)
        if run != memory[NOTES]:
            raise Wrong(f"a chunk of run {run} is computed in run {memory[NOTES]}")
        if arguments[2] != want:
            raise Wrong(f"step {step} in {arguments[2]} chunks, not {want}")
        for earlier in range(step):
            if memory[NOTES + 8 + 8 * earlier] != (1 << self.chunks(run, earlier)) - 1:
                raise Wrong(f"step {step} begins before step {earlier} is over")
        place = NOTES + 8 + 8 * step
        if memory[place] >> arguments[1] & 1:
            raise Wrong(f"chunk {arguments[1]} of step {step} twice")
        memory[place] |= 1 << arguments[1]
        return 0

    def acquire(self, memory: Memory, thread: int, arguments: list[int]) -> int | None:
        place = arguments[0] + 32
        if not memory[place]:
            return None
        memory[place] = 0
        return 1

    def release(self, memory: Memory, thread: int, arguments: list[int]) -> int:
        if memory[arguments[0] + 32]:
            raise Wrong("a lock is released that nobody holds")
        memory[arguments[0] + 32] = 1
        return 0

    def futex(self, memory: Memory, thread: int, arguments: list[int]) -> int | None:
        """Waiting takes two steps: to be put down as one who waits (1), and to have been woken
        (2)."""
        flag, operation, wanted = arguments[1:4]
        place = flag + 40
        if operation == 129:
            memory[place] = 2 if memory[place] == 1 else memory[place]
            return 0
        assert operation == 128
        if memory[place] == 2:
            memory[place] = 0
            return 0
        if memory[place] == 1:
            return None
        if memory[flag] != wanted:
            return 0
        raise Waiting

    # ---- thread 0 --------------------------------------------------------------------------------

    def step(self, memory: Memory, number: int, thread: Thread) -> Thread | None:
        try:
            new = super().step(memory, number, thread)
        except Waiting:
            memory[POOL + 768 + 128 * number + 40] = 1
            return thread
        if number == 0 and new == ():
            self.check(memory)
            following = memory[NOTES] + 1
            if following < len(self.runs):
                self.begin(memory, following)
                return self.call(0, "run_parallel", PROGRAM + (following << 16))
        return new

    def check(self, memory: Memory) -> None:
        run = memory[NOTES]
        for step in range(len(self.runs[run][1])):
            if memory[NOTES + 8 + 8 * step] != (1 << self.chunks(run, step)) - 1:
                raise Wrong(f"run {run} returns before step {step} is over")

    def begin(self, memory: Memory, run: int) -> None:
        for place in [p for p in memory if p >= NOTES]:
            del memory[place]
        memory[NOTES] = run
        memory |= {NOTES + 8 + 8 * i: 0 for i in range(len(self.runs[run][1]))}

    def all_orders(self, switches: int) -> int:
        lines = [POOL + 768 + 128 * t for t in range(1, self.threads)]
        threads = [
            self.call(0, "run_parallel", PROGRAM),
            *(self.call(t + 1, "worker", line) for t, line in enumerate(lines)),
        ]
        return self.explore(threads, lambda memory, now: now[0] == (), switches)


class Waiting(Exception):
    """A thread has been put down as one who waits."""


ALWAYS_LATE = 0  # no patience: who has nothing to do goes to sleep at once
# name: (programs, run one after the other: threads, steps; how often a thread is left)
CASES: dict[str, tuple[list[tuple[int, Steps]], int]] = {
    "two steps": ([(2, [(0, 2), (0, 2)])], ALWAYS),
    "more chunks": ([(2, [(2, 1), (0, 2)])], ALWAYS),
    "fewer chunks": ([(2, [(0, 2), (2, 1)])], ALWAYS),
    "single chunks": ([(2, [(1, 1), (0, 1), (1, 1), (1, 1), (0, 1), (1, 1)])], ALWAYS),
    "two runs": ([(2, [(0, 1)]), (2, [(0, 2)])], ALWAYS),
    "no steps": ([(2, []), (2, [(0, 1)]), (2, [(1, 1)])], ALWAYS),
    "three threads": ([(3, [(0, 1)])], 1),
    "three threads, two steps": ([(3, [(0, 1), (0, 1)])], 0),
    "a larger team": ([(3, [(2, 1), (0, 1)])], 1),
    "a smaller team": ([(3, [(0, 1), (2, 1)])], 0),
    "more threads": ([(2, [(0, 1)]), (3, [(0, 1)])], 0),
    "fewer threads": ([(3, [(0, 1)]), (2, [(0, 1)])], 0),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("host", ["linux", "portable"])
def test_every_order(monkeypatch: pytest.MonkeyPatch, host: str, name: str) -> None:
    runs, switches = CASES[name]
    states = Runs(driver_ir(monkeypatch, host), runs, ALWAYS_LATE).all_orders(switches)
    assert states > 100  # several threads took part


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, (_, switches) in CASES.items() if switches < ALWAYS])
@pytest.mark.parametrize("host", ["linux", "portable"])
def test_more_orders(monkeypatch: pytest.MonkeyPatch, host: str, name: str) -> None:
    runs, switches = CASES[name]
    Runs(driver_ir(monkeypatch, host), runs, ALWAYS_LATE).all_orders(switches + 1)


@pytest.mark.parametrize("host", ["linux", "portable"])
def test_every_order_with_patience(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    Runs(driver_ir(monkeypatch, host), CASES["two steps"][0], 1).all_orders(2)


COUNTED = "  %x = atomicrmw add ptr %sleepers, i64 1 seq_cst\n"
FLAG = "  %y = atomicrmw xchg ptr %line, i32 1 seq_cst\n"
# name: (a case, what of the text is replaced, by what, what comes of it)
ERRORS: dict[str, tuple[str, str, str, str]] = {
    "asleep before counted": (
        "three threads", COUNTED + FLAG, FLAG + COUNTED, "nobody can go on",
    ),
    "asleep without a second look": (
        "two runs", "%quiet = icmp eq i64 %again, %now", "%quiet = icmp eq i64 0, 0",
        "nobody can go on",
    ),
    "the next step written over the open one": (
        "more chunks", "%offset = mul i64 %odd, 24", "%offset = mul i64 %odd, 0",
        "twice|in .* chunks",
    ),
    "no look whether the step is still open": (
        "two runs", "%same = icmp eq i64 %still, %now", "%same = icmp eq i64 0, 0",
        "twice|in .* chunks|in run",
    ),
    "claimed by a store": (
        "two steps", "br i1 %mine, label %run, label %claim",
        "br i1 true, label %run, label %claim", "twice",
    ),
    "counted before it is computed": (
        "two steps", "%finished = add i64 %before, %count", "%finished = add i64 %total, 0",
        "begins before|returns before",
    ),
    "nobody is woken": (
        "two runs", "%none = icmp eq i64 %sleepers, 0", "%none = icmp eq i64 0, 0",
        "nobody can go on",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("host", ["linux", "portable"])
def test_an_error_is_found(monkeypatch: pytest.MonkeyPatch, host: str, name: str) -> None:
    """Each of these has been in a version of the driver, or might have been."""
    case, right, wrong, message = ERRORS[name]
    text = driver_ir(monkeypatch, host)
    assert text.count(right) == 1
    runs, switches = CASES[case]
    with pytest.raises(Wrong, match=message):
        Runs(text.replace(right, wrong), runs, ALWAYS_LATE).all_orders(switches)
