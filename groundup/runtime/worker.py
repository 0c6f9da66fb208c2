"""A compile worker: a process of its own, `python -m groundup.runtime.worker`, that turns IR text
into object code for the process that started it (`workers`), over two pipes. It ends when that
process does, or when nothing came for a while. It must not know the cache, nor import other floors.

Each message is its length (8 bytes, little-endian), one byte, and so much data less that byte:
to the worker the effort of the code generator and IR text; from it, first `k` and the processor
that it compiles for, then for each text `o` and object code, or `e` and why there is none."""

from __future__ import annotations

import os
import signal
import threading
from typing import IO

from . import code, target

IDLE_SECONDS = 30.0
LONGEST = 1 << 30  # bytes of a message


def send(pipe: IO[bytes], kind: bytes, data: bytes) -> None:
    """Write one message; OSError if the other side is gone."""
    pipe.write((len(data) + 1).to_bytes(8, "little") + kind + data)
    pipe.flush()


def receive(pipe: IO[bytes]) -> tuple[bytes, bytes] | None:
    """Read one message: its kind and its data; None if the other side is gone."""
    head = pipe.read(8)
    length = int.from_bytes(head, "little")
    if len(head) < 8 or not 1 <= length <= LONGEST:
        return None
    data = pipe.read(length)
    return (data[:1], data[1:]) if len(data) == length else None


def main() -> None:
    """Answer until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    asked, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)  # whatever LLVM may print is no answer
    send(answers, b"k", target.host().key.encode())
    while True:
        idle = threading.Timer(IDLE_SECONDS, os._exit, (0,))
        idle.daemon = True
        idle.start()
        question = receive(asked)
        idle.cancel()
        if question is None:
            return
        try:
            made = code.compile_object(question[1].decode(), question[0][0])
        except Exception as error:
            send(answers, b"e", str(error).encode(errors="replace"))
        else:
            send(answers, b"o", made)


if __name__ == "__main__":
    try:
        main()
    except OSError:  # nobody listens any more
        pass
    finally:
        os._exit(0)
