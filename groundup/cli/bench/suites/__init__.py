"""The suites of `groundup bench`, one file each. A row is a record; to add one is to add a line.

Must not know how a row is timed.
"""

from __future__ import annotations

from groundup.cli.bench.record import BenchError, Suite

NAMES = ("gemm", "conv", "einsum", "fused", "gallery", "adam", "steps")


def load(name: str, small: bool = False) -> Suite:
    """One suite by name; small: the same rows at sizes that tests can afford. Raises BenchError."""
    if name not in NAMES:
        raise BenchError(f"there is no suite {name!r}; known are: {', '.join(NAMES)}")
    from importlib import import_module

    suite: Suite = import_module(f"groundup.cli.bench.suites.{name}").suite(small)
    return suite
