"""The sides of a computation with state: each starts from the same numbers and moves them on.

Must not know what is computed.
"""

from __future__ import annotations

import warnings

from groundup.cli.bench.record import BenchError, Loop, State, Step
from groundup.cli.bench.sides import Array, Local, Side, torch_module

CHECKED = 5  # how many first numbers of every side are compared


def first(step: Step) -> list[Array]:
    """The first numbers of a step."""
    import numpy as np

    return [np.array([step(i) for i in range(CHECKED)])]


def ours(loop: Loop) -> tuple[Local, State]:
    """Ours, and the state that the others start from."""
    step, state = loop.ours()
    return Local("ours", "", step, lambda: first(step), warm=2), state


def torch(loop: Loop, state: State, compiled: bool) -> Local:
    """torch's side from that state."""
    if compiled:
        warnings.filterwarnings("ignore", module="torch")
    step = loop.torch(torch_module(), state, compiled)
    return Local("compile" if compiled else "torch", "", step, lambda: first(step), warm=2)


def check(loop: Loop, mine: Side, theirs: Side) -> float:
    """The largest difference of the first numbers. Raises BenchError beyond the tolerance."""
    (a,), (b,) = mine.outcome(), theirs.outcome()
    worst = float(abs(a - b).max())
    if not worst <= loop.tolerance:
        raise BenchError(
            f"the first {CHECKED} losses differ by {worst:.2e}, more than {loop.tolerance:.0e}: "
            f"not the same mathematics (ours {a.tolist()}, {theirs.who} {b.tolist()})"
        )
    return worst
