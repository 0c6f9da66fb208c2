"""A limit of time for a piece of Python, so that one hopeless row does not end a run, and the
reason of a failure in a line.

Must not know what is limited.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from groundup.cli.bench.record import BenchError

AGAIN = 5.0  # seconds until the next ring: the first may come where Python drops exceptions


class TooLong(BaseException):
    """It took longer than it may. Like KeyboardInterrupt, nothing that expects errors stops it."""


def reason(error: BaseException) -> str:
    """An error in a line; the name of its class is left out where the message says it all."""
    text = " ".join(str(error).split()) or "no reason given"
    name = "" if isinstance(error, BenchError | TooLong) else f"{type(error).__name__}: "
    return f"{name}{text}"[:300]


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
    signal.setitimer(signal.ITIMER_REAL, limit, AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(alarm, before)
