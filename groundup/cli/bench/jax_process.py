"""The process of JAX: reads requests as lines of JSON, answers likewise, waits in between.

`python -m groundup.cli.bench.jax_process THREADS FOLDER`. Takes its cores before JAX is imported.
Must not know who asks.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from groundup.cli.bench import loops, sides, suites
from groundup.cli.bench.record import Case, Loop, State, Step

WARM = 2


class Server:
    """The case at hand."""

    def __init__(self, jax: Any, folder: Path) -> None:
        self.jax, self.folder = jax, folder
        self.call: Step | None = None

    def case(
        self, suite: str, name: str, small: bool, trained: list[str] | None = None
    ) -> dict[str, Any]:
        """Make the case ready: compile it, leave its first results in the folder."""
        import numpy as np

        (case,) = (c for c in suites.load(suite, small).cases if c.name == name)
        start = time.perf_counter()
        if isinstance(case, Loop):
            assert trained is not None and case.jax is not None
            with np.load(self.folder / "state.npz") as found:
                state = State({k: found[k] for k in found.files}, tuple(trained))
            self.call = case.jax(self.jax, state)
            outcome = loops.first(self.call)
        else:
            self.call, outcome = self._compute(case)
        first = time.perf_counter() - start
        np.savez(self.folder / "outcome.npz", *outcome)
        for i in range(WARM):
            self.call(i)
        return {"first_ms": first * 1e3}

    def _compute(self, case: Case) -> tuple[Step, list[Any]]:
        import numpy as np

        jax = self.jax
        args = [jax.numpy.asarray(a) for a in sides.arrays(case)]
        run = jax.jit(jax_function(jax, case))
        results = jax.block_until_ready(run(*args))

        def call(i: int) -> float:
            jax.block_until_ready(run(*args))
            return 0.0

        return call, [np.asarray(y) for y in results]

    def block(self, calls: int, warm: int) -> dict[str, Any]:
        """Time a block of calls."""
        assert self.call is not None
        return {"seconds": sides.timed(self.call, calls, warm)}


def jax_function(jax: Any, case: Case) -> Any:
    """The whole computation of a case, with the gradients it asks for."""
    formula = case.jax
    assert formula is not None
    if case.part == "forward":
        return lambda *args: (formula(jax, *args),)

    def with_gradients(*args: Any) -> tuple[Any, ...]:
        given = list(args[:-1])

        def of_leaves(*leaves: Any) -> Any:
            for i, leaf in zip(case.wrt, leaves, strict=True):
                given[i] = leaf
            return formula(jax, *given)

        y, back = jax.vjp(of_leaves, *(given[i] for i in case.wrt))
        gradients = back(args[-1])
        return (y, *gradients) if case.part == "both" else tuple(gradients)

    return with_gradients


def main(threads: int, folder: Path) -> None:
    """Answer until nobody asks any more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints does not get between the answers
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    os.environ["JAX_PLATFORMS"] = "cpu"
    server = Server(import_module("jax"), folder)
    for line in sys.stdin:
        request = json.loads(line)
        do: Any = {"case": server.case, "block": server.block}[request.pop("do")]
        try:
            answer = do(**request)
        except Exception as error:  # the one who asked says what becomes of the row
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
