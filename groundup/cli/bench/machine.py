"""Hardware and versions, as every report states them. Must not know what is measured."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def header() -> dict[str, Any]:
    """Return hardware, versions and the time."""
    import groundup
    from groundup.runtime import target

    found = {
        "cpu": cpu(),
        "cores": cores(),
        "vector_bits": target.host().vector_bits,
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "groundup": groundup.__version__,
    }
    for package in ("llvmlite", "numpy", "torch", "jax"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    if os.environ.get("GROUNDUP_CPU"):
        found["held_to"] = os.environ["GROUNDUP_CPU"]
    found["time"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return found


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu() -> str:
    """The processor's name."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


class Others:
    """How busy the machine is with other work than this process and the children named."""

    def __init__(self, children: Sequence[int] = ()) -> None:
        self._children = children
        self._start = self._now()

    def cores(self) -> float:
        """How many cores other work has taken since this was made; 0 where nobody says."""
        now, start = self._now(), self._start
        if now is None or start is None:
            return 0.0
        passed = now[1] - start[1]
        return max(0.0, now[0] - start[0]) / passed if passed > 0 else 0.0

    def _now(self) -> tuple[float, float] | None:
        """(seconds that others have run for, on any core; the clock).

        /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal in ticks (man 5 proc).
        """
        try:
            tick = 1 / os.sysconf("SC_CLK_TCK")
            words = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
            ticks = [int(word) for word in words]
            own = time.process_time()
            for child in self._children:
                after_name = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
                own += (int(after_name[14 - 3]) + int(after_name[15 - 3])) * tick
        except (OSError, ValueError, IndexError, AttributeError):
            return None
        busy = sum(ticks) - ticks[3] - ticks[4]
        return busy * tick - own, time.monotonic()


def _memory_gib() -> int | str:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (ValueError, OSError, AttributeError):
        return "unknown"
