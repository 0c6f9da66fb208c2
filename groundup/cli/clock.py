"""How long this process has been running. Must not know what it does."""

import os
import time
from pathlib import Path

_IMPORTED = time.monotonic()


def process_seconds() -> float:
    """Return the seconds since this process was started; where that is not known, since this
    import.

    Linux keeps the start in field 22 of /proc/self/stat, in clock ticks since boot (man 5 proc).
    """
    try:
        after_name = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        started = int(after_name[22 - 3]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (OSError, ValueError, IndexError, AttributeError):
        return time.monotonic() - _IMPORTED
