"""The side of JAX, in a process of its own: its threads are the cores that it finds on import.

The two processes take turns: while one runs a block, the other waits at its end of the pipe. Must
not know JAX (jax_process.py does).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from groundup.cli.bench.record import BenchError, Case, Loop, State
from groundup.cli.bench.sides import Array


class Process:
    """JAX on so many cores; started when first asked, again after it has failed."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._running: subprocess.Popen[str] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="groundup-bench-")

    @property
    def folder(self) -> Path:
        """Where arrays are handed over."""
        return Path(self._folder.name)

    @property
    def pid(self) -> int | None:
        """Its number, if it runs."""
        return self._running.pid if self._running else None

    def ask(self, **request: Any) -> dict[str, Any]:
        """One request, one answer. Raises BenchError with the reason that JAX gives."""
        running = self._running = self._running or self._start()
        assert running.stdin is not None and running.stdout is not None
        try:
            running.stdin.write(json.dumps(request) + "\n")
            running.stdin.flush()
            line = running.stdout.readline()
        except BaseException:  # out of step with it: a later answer would be taken for another
            self.close()
            raise
        if not line:
            status = running.wait()
            self.close()
            raise BenchError(f"the process of JAX ended with status {status}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise BenchError(answer["error"])
        return answer

    def _start(self) -> subprocess.Popen[str]:
        if find_spec("jax") is None:
            raise BenchError("the peer jax is not installed: pip install 'groundup[peers]'")
        module = "groundup.cli.bench.jax_process"
        return subprocess.Popen(
            [sys.executable, "-m", module, str(self.threads), str(self.folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def close(self) -> None:
        """End it."""
        if self._running is not None:
            self._running.kill()
            self._running.wait()
            for pipe in (self._running.stdin, self._running.stdout):
                if pipe is not None:
                    pipe.close()
        self._running = None


class Jax:
    """JAX at work on one case of a suite."""

    who, layout = "jax", ""

    def __init__(
        self,
        process: Process,
        suite: str,
        case: Case | Loop,
        state: State | None = None,
        small: bool = False,
    ) -> None:
        import numpy as np

        self._process = process
        request: dict[str, Any] = {"do": "case", "suite": suite, "name": case.name, "small": small}
        if state is not None:
            np.savez(process.folder / "state.npz", **state.arrays)
            request["trained"] = list(state.trained)
        answer = process.ask(**request)
        self.first_ms = float(answer["first_ms"])
        with np.load(process.folder / "outcome.npz") as found:
            self._outcome = [found[name] for name in found.files]

    def outcome(self) -> list[Array]:
        """Return its results."""
        return self._outcome

    def block(self, calls: int, warm: int) -> float:
        """Let it time a block of calls."""
        return float(self._process.ask(do="block", calls=calls, warm=warm)["seconds"])
