"""What only a fresh process can tell: the time of the first step, and the memory that a step takes.

`python -m groundup.cli.bench.fresh WORKLOAD ours|torch THREADS` is such a process; it prints its
findings as JSON. Must not know the models.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from groundup.cli.bench import sides
from groundup.cli.bench.limit import reason
from groundup.cli.bench.record import BenchError, Figure, Step
from groundup.cli.bench.suites import steps
from groundup.cli.workloads import known

STEPS = 4
TIMES = 3  # fresh processes of each kind
# Seconds of the first step with an empty and a warm kernel cache.
ASKED_FIRST: Mapping[str, tuple[float, float]] = {"resnet18-cifar": (8.0, 0.7)}

Found = dict[str, float]


def figures(kind: str, name: str, threads: int, limit: float) -> list[Figure]:
    """The rows of "memory" or "first" for one workload."""
    make: dict[str, Callable[[str, int, float], list[Figure]]] = {
        "memory": _memory,
        "first": _first,
    }
    try:
        return make[kind](name, threads, limit)
    except BenchError as error:
        return [Figure(kind, name, threads, "", failed=str(error), met=False)]


def _memory(name: str, threads: int, limit: float) -> list[Figure]:
    """The growth over the first steps, with a warm cache, beside torch's."""
    ask("ours", name, threads, limit)  # leaves its kernels in the cache
    ours = [ask("ours", name, threads, limit)["growth"] for _ in range(TIMES)]
    theirs = [ask("torch", name, threads, limit)["growth"] for _ in range(TIMES)]
    mine, other = statistics.median(ours), statistics.median(theirs)
    return [
        Figure("memory", name, threads, "MiB", mine, "torch", other, other, mine <= other, n=TIMES)
    ]


def _first(name: str, threads: int, limit: float) -> list[Figure]:
    """Seconds until the first loss is there, with an empty kernel cache and with a warm one."""
    theirs = statistics.median(ask("torch", name, threads, limit)["first"] for _ in range(TIMES))
    empty: list[Found] = []
    warm: list[Found] = []
    for _ in range(TIMES):
        with tempfile.TemporaryDirectory(prefix="groundup-bench-") as folder:
            empty.append(ask("ours", name, threads, limit, cache=folder))
            warm.append(ask("ours", name, threads, limit, cache=folder))
    found = []
    limits = ASKED_FIRST.get(name, (None, None))
    for state, times, asked in zip(("empty", "warm"), (empty, warm), limits, strict=True):
        seconds = statistics.median(t["first"] for t in times)
        met = None if asked is None else seconds <= asked
        found.append(
            Figure("first", f"{name}, {state} cache", threads, "s", seconds, "torch", theirs,
                   asked, met, n=TIMES)
        )  # fmt: skip
    return found


def ask(side: str, name: str, threads: int, limit: float, cache: str | None = None) -> Found:
    """What a fresh process finds. Raises BenchError if it fails or lasts longer than `limit`."""
    environment = os.environ | ({"GROUNDUP_CACHE": cache} if cache else {})
    command = [sys.executable, "-m", "groundup.cli.bench.fresh", name, side, str(threads)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=limit, env=environment
        )
    except subprocess.TimeoutExpired:
        raise BenchError(f"{side}: took longer than {limit:g} s") from None
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise BenchError(f"{side}: {last[0]}"[:300])
    found: Found = json.loads(done.stdout.splitlines()[-1])
    return found


# ---- in that process -----------------------------------------------------------------------------


def status(field: str) -> float:
    """A size from /proc/self/status, in MiB. Raises BenchError where there is none."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    raise BenchError("this system does not say how much memory a process has used")


def _step(name: str, side: str, threads: int) -> Step:
    workload = known()[name]
    if side == "ours":
        import groundup as gu

        gu.set_num_threads(threads)
        return steps.ours(workload)[0]
    torch = sides.torch_module()
    torch.set_num_threads(threads)
    return steps.torch(workload, torch, None, False)


def main(name: str, side: str, threads: int) -> dict[str, Any]:
    """Run the first steps of a workload and return what they took.

    growth: from the resident memory before the first step, with the model and the data in place, to
    its highest during the steps, in MiB; what the library loads for them is part of it.
    """
    step = _step(name, side, threads)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # from here on, VmHWM is the highest (proc(5))
    before = status("VmRSS")
    times = []
    for i in range(STEPS):
        start = time.perf_counter()
        step(i)
        times.append(time.perf_counter() - start)
    return {"first": times[0], "second": times[1], "growth": status("VmHWM") - before}


if __name__ == "__main__":
    try:
        print(json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
    except Exception as error:
        sys.exit(reason(error))
