"""The processor as the schedule sees it: what its vectors hold, and how many it works on at once.

Must not know what is scheduled.
"""

from __future__ import annotations

import os

from ..ir.record import record
from ..runtime import target

# For other processors LLVM orders loads so that tiles of all 32 registers would spill every one.
ALL_REGISTERS = {"znver4", "znver5", "sapphirerapids", "emeraldrapids", "graniterapids"}
# Work on vectors of 512 bits in halves: one multiply-add a cycle, where others do two (AMD's
# software optimisation guides for the Zen 4 and Zen 5 microarchitectures).
IN_HALVES = {"znver4"}


@record
class Machine:
    """What the schedule may know of the processor."""

    width: int  # float32 lanes of a vector
    registers: int  # vector registers
    adds_pairs: bool = False  # adds two products of bfloat16 at once
    slots: int = 8  # parts of a step that run at once, each with memory of its own, at most
    halves: bool = False  # a whole vector takes two cycles of a unit that does half of one in one


def machine() -> Machine:
    """The processor that code is generated for."""
    host = target.host()
    bits = host.vector_bits
    registers = 16 if bits < 512 else 32 if host.cpu in ALL_REGISTERS else 31
    return Machine(
        max(4, bits // 32), registers, host.adds_pairs, slots=4 * (os.cpu_count() or 1),
        halves=host.cpu in IN_HALVES,
    )  # fmt: skip
