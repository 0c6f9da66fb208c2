"""A limit of time for a piece of Python, so that one hopeless row does not end a run.

Must not know what is limited.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class TooLong(Exception):
    """It took longer than it may."""


@contextmanager
def seconds(limit: float) -> Iterator[None]:
    """Raise TooLong in the body after `limit` seconds: at its next line of Python, for native code
    runs to its end. Without effect outside the main thread, or where there is no such timer."""
    alarm = getattr(signal, "SIGALRM", None)
    if alarm is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(number: int, frame: Any) -> None:
        raise TooLong(f"took longer than {limit:g} s")

    before = signal.signal(alarm, ring)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(alarm, before)
