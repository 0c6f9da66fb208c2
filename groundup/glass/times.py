"""How long each kernel of a plan takes, and how that compares with what this machine can do.

Must not know how a kernel is shown.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..ir.extent import product
from ..ir.node import Node
from ..runtime import Buffer, get_num_threads
from ..schedule import Plan, Signature
from ..schedule import plan as plans
from ..schedule.plan import Bound
from ..schedule.work import Work
from . import peak

SECONDS = 0.3  # of measuring, once a plan has run
ROUNDS = 30
Input = tuple[object, Node]
CALLED = Work()  # of what is not ours: it is not counted
# Seconds of one measurement of the roofline: short at first, since somebody waits; longer where it
# was wrong.
SOON = (0.004, 0.01, 0.04)


class Timing(NamedTuple):
    """A kernel's time in seconds, the best of several; its work; the least time that this machine
    needs for that work, by the roofline."""

    seconds: float
    work: Work
    least: float

    @property
    def gflops(self) -> float:
        """10⁹ floating-point operations a second."""
        return self.work.flop / self.seconds / 1e9

    @property
    def gbytes(self) -> float:
        """10⁹ bytes a second."""
        return self.work.bytes / self.seconds / 1e9

    @property
    def share(self) -> float:
        """The share of the roofline."""
        return self.least / self.seconds


class _Stopwatch:
    """Runs a plan's steps several times and keeps the best time of each."""

    def __init__(self) -> None:
        self.best: list[float] = []

    def meet(self, plan: Plan, roots: Sequence[Node]) -> None:
        """Nothing is to be known of it."""

    def run(self, bound: Bound) -> None:
        bound.program.run_timed()
        until = time.perf_counter() + SECONDS
        for _ in range(ROUNDS):
            took = [end - start for start, end in bound.program.run_timed()]
            self.best = list(map(min, self.best, took)) if self.best else took
            if time.perf_counter() > until:
                break


def step_seconds(plan: Plan, given: Sequence[Input]) -> list[float]:
    """The best time of each step of a plan: on the graph's memory, or zeros where it has none.
    No tensor changes."""
    buffers = [_memory(handle, node) for handle, node in given]
    watch = _Stopwatch()
    before, plans.watcher = plans.watcher, watch
    try:
        with contextlib.suppress(IndexError):  # of an index from data: it is raised when it is run
            plan.run(buffers, plan.hint, [None] * len(plan.bytes))
    finally:
        plans.watcher = before
    return watch.best


def timings(
    seconds: Sequence[float], works: Sequence[Work], flop: Sequence[Mapping[str, float]]
) -> list[Timing]:
    """Times beside the roofline of this machine, which is measured when first asked for, and again
    for what is faster than it: then the machine was busy. flop: of each, by type."""
    least, threads = [math.inf] * len(seconds), get_num_threads()
    wrong = list(range(len(seconds)))
    for soon in SOON:
        for i in wrong:
            w = works[i]
            least[i] = min(least[i], peak.floor(threads, flop[i], w.read, w.written, soon))
        wrong = [i for i in wrong if least[i] > seconds[i]]
    return [Timing(*found) for found in zip(seconds, works, least, strict=True)]


def inputs(roots: Sequence[Node]) -> list[Input]:
    """What a graph reads: handles of memory, each with a tensor that lies there."""
    signature = Signature(roots)
    node_of: dict[object, Node] = {}
    for node in signature.order:
        handle = node.value if node.op == "buffer" else node.cache
        if handle is not None:
            node_of.setdefault(handle, node)
    return [(handle, node_of[handle]) for handle in signature.buffers]


def _memory(handle: object, node: Node) -> Buffer:
    if isinstance(handle, Buffer):
        return handle
    buffer = Buffer(max(1, int(product(node.shape)) * node.dtype.itemsize))
    ctypes.memset(buffer.address, 0, buffer.nbytes)
    return buffer
