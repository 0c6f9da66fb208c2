"""What a benchmark is made of: a case says what is computed, a row says what was measured.

Both are plain records. Must not know how anything is timed, and imports no library of either side.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

# A row whose ratios spread further says more about the other work on the machine than about us.
NOISY = 0.25
# So many cores at work for others while a row was measured spoil it, however even the times are.
CROWDED = 0.2

PEERS = ("torch", "compile", "jax", "numpy", "dims")

Function = Callable[..., Any]  # (the library, *its tensors) → a tensor


class BenchError(Exception):
    """What the user asked for cannot be measured; the message says why."""


@dataclass(frozen=True)
class Input:
    """One argument, made of seeded random numbers: normal f32, or integers below `below`.

    image: activations (n, c, h, w), which both sides may keep in either layout. dtype: of integers.
    std: the standard deviation of numbers.
    """

    shape: tuple[int, ...]
    below: int = 0
    image: bool = False
    dtype: Literal["int64", "uint8"] = "int64"
    std: float = 1.0

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        width = {"int64": 8, "uint8": 1}[self.dtype] if self.below else 4
        return math.prod(self.shape) * width


@dataclass(frozen=True)
class Asked:
    """What a row has to reach.

    ratio: peer → the greatest ours / peer. share: this share of the roofline will do instead.
    one_core: on one thread, this share of the roofline as well.
    """

    ratio: Mapping[str, float] = field(default_factory=dict)
    share: float | None = None
    one_core: float | None = None

    def met(self, peer: str, ratio: float, share: float | None, threads: int) -> bool | None:
        """Whether it is reached; None if nothing is asked of this peer."""
        verdict: bool | None = None
        if peer in self.ratio:
            verdict = ratio <= self.ratio[peer] or (
                self.share is not None and share is not None and share >= self.share
            )
        if self.one_core is not None and threads == 1 and peer == "torch" and share is not None:
            verdict = verdict is not False and share >= self.one_core
        return verdict


@dataclass(frozen=True)
class Case:
    """One computation, the same mathematics in every library.

    The functions take their library and one tensor for each of `inputs`, and give a tensor of shape
    `result`. part: "forward", "gradient" (by the inputs numbered in `wrt`, from a given gradient of
    the result) or "both". torch_gradient: torch's own function for a single gradient, if it has
    one: (torch, *inputs, gradient of the result) → the gradients. idioms: other spellings of
    torch's, by name; all are measured, and the fastest counts. numpy, dims (functorch.dim): only of
    what is all forward.

    terms: how many terms its longest sum has; linear: it is a sum of products of its inputs, so
    that its error is bounded by what it gives for their absolute values (ir/bounds.py). A case that
    is not linear is held to the largest element of its result. eps: the gap after 1 of the type
    that the result is rounded to. read, written: bytes that must move.
    """

    name: str
    inputs: tuple[Input, ...]
    result: tuple[int, ...]
    ours: Function
    torch: Function
    jax: Function | None = None
    part: Literal["forward", "gradient", "both"] = "forward"
    wrt: tuple[int, ...] = ()
    torch_gradient: Function | None = None
    flop: float = 0.0
    read: float = 0.0
    written: float = 0.0
    terms: int = 1
    linear: bool = False
    eps: float = 2.0**-23
    asked: Asked = field(default_factory=Asked)
    numpy: Function | None = None
    dims: Function | None = None
    idioms: Mapping[str, Function] = field(default_factory=dict)

    @property
    def images(self) -> bool:
        """Whether there is a layout to choose."""
        return any(i.image for i in self.inputs)

    def has(self, peer: str) -> bool:
        """Whether it is written for this peer."""
        functions = {"jax": self.jax, "numpy": self.numpy, "dims": self.dims}
        return peer not in functions or functions[peer] is not None


@dataclass(frozen=True)
class State:
    """What all libraries start from: NumPy arrays by name, and which of them are trained."""

    arrays: Mapping[str, Any]
    trained: tuple[str, ...]


Step = Callable[[int], float]  # the number of the call → a number that tells right from wrong


@dataclass(frozen=True)
class Loop:
    """A computation that moves a state on with every call, such as a training step.

    ours gives its first state and a step; torch takes (the library, that state, whether to compile)
    and jax (the library, that state). The first numbers of every side differ by at most
    `tolerance`.
    """

    name: str
    ours: Callable[[], tuple[Step, State]]
    torch: Callable[[Any, State, bool], Step]
    jax: Callable[[Any, State], Step] | None = None
    tolerance: float = 1e-4
    flop: float = 0.0
    read: float = 0.0
    written: float = 0.0
    asked: Asked = field(default_factory=Asked)

    def has(self, peer: str) -> bool:
        """Whether it is written for this peer."""
        return peer in ("torch", "compile") or (peer == "jax" and self.jax is not None)


@dataclass(frozen=True)
class Suite:
    """Cases under one name.

    mean: peer → the ratio that their geometric mean has to reach. faster: peer → how many of them
    have to be faster than it.
    """

    name: str
    cases: tuple[Case | Loop, ...]
    mean: Mapping[str, float] = field(default_factory=dict)
    faster: Mapping[str, int] = field(default_factory=dict)


@dataclass
class Row:
    """One comparison. Times in milliseconds a call; ratio = ours / peer, below 1 we are faster."""

    suite: str
    name: str
    threads: int
    peer: str
    ours_ms: float = math.nan
    peer_ms: float = math.nan
    ratio_median: float = math.nan
    ratio_min: float = math.nan
    n: int = 0
    ratio_spread: float = 0.0  # (third quartile − first quartile) / median of the ratios
    ours_layout: str = ""
    peer_layout: str = ""
    gflops: float | None = None
    gbytes: float | None = None  # GB/s
    share: float | None = None  # of the roofline: its time / ours
    asked: float | None = None
    met: bool | None = None
    ours_first_ms: float = 0.0  # until a result is there: capturing and compiling included
    peer_first_ms: float = 0.0
    difference: float = 0.0  # the largest, before anything was timed
    elsewhere: float = 0.0  # cores that other work took during the rounds
    failed: str = ""  # why there are no numbers
    ratios: list[float] = field(default_factory=list, repr=False)

    @property
    def noisy(self) -> bool:
        """Whether other work on the machine spoilt it."""
        return self.ratio_spread > NOISY or self.elsewhere > CROWDED


@dataclass
class Figure:
    """One number of ours, beside a peer's where there is one; at most `asked` is asked for."""

    suite: str
    name: str
    threads: int
    unit: str
    ours: float = math.nan
    peer: str = ""
    theirs: float | None = None
    asked: float | None = None
    met: bool | None = None
    failed: str = ""
    n: int = 1


def mean(ratios: list[float]) -> float:
    """The geometric mean.

    >>> round(mean([0.5, 2.0]), 12)
    1.0
    """
    return math.exp(sum(math.log(r) for r in ratios) / len(ratios))
