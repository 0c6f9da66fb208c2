"""What a kernel is, between schedule (which decides) and emit (which writes).

A kernel computes outputs over a nest of loops. Its body is an expression whose reads have become
`load` nodes with an `Access` (pointer, offset, stride for each loop variable). Words are positions
in the kernel's argument block; word 0 is always the status block.
"""

from __future__ import annotations

from typing import NamedTuple

from ..ir.node import Node
from ..ir.record import frozen


@frozen
class Word:
    """A 64-bit parameter of the kernel, by position in its argument block."""

    position: int


Stride = int | Word
ROW = 8192


class Access(NamedTuple):
    """Where an element lies: pointer + offset + Σ variable·stride (+ a computed position)."""

    pointer: Word
    offset: Stride
    terms: tuple[tuple[Node, Stride], ...]
    computed: bool = False  # the load's first source is added to the position
    guarded: bool = False  # the load's last source says whether to read; else the value is 0


@frozen
class Output:
    """One result: the scalar body and where its element goes.

    stream: past the caches, for what is too large to be read from them again; every whole vector
    then starts at a multiple of its size (up to 64 bytes)
    """

    body: Node
    access: Access
    stream: bool = False


@frozen
class Nest:
    """Plain loops: pointwise work, reductions, copies.

    loops     (variable, extent) from the outermost in
    vector    which loop is vectorised, or -1
    parallel  how many leading loops are dealt out to the threads together
    columns   0, or the elements of one step along the last loop, which is the vectorised one, of
              reductions that run down columns: their loops are outside it (see emit/columns.py)
    kept      (part of a reduction's term, the same along the vectorised loop): computed once, for
              the reduction, and kept for a row of at most ROW elements
    """

    loops: tuple[tuple[Node, Stride], ...]
    vector: int
    parallel: int
    outputs: tuple[Output, ...]
    width: int
    careful: bool = False  # do nothing once a check has failed
    columns: int = 0
    kept: tuple[tuple[Node, Node], ...] = ()


@frozen
class Bound:
    """A condition that narrows a reduction loop: lo ≤ value < hi (None: open), and, for step > 1,
    value divisible by step. `value` is affine; for a step its coefficient of the variable that it
    narrows is ±1."""

    value: Node
    lo: int | None = None
    hi: int | None = None
    step: int = 1


@frozen
class Contraction:
    """Sum over `k` of a·b with register tiles: `rows` of m by `vectors` of n.

    outer     output loops around the tiles
    m, n      the tiled output loops (m may be None); n is vectorised unless `lanes`
    k         reduction loops, in the order of the sum
    a, b      load nodes; b varies with n, a with m
    hole      the node in the output's body that stands for the sum
    lanes     vectorise the last reduction loop instead of n (order dotlanes)
    """

    outer: tuple[tuple[Node, Stride], ...]
    m: tuple[Node, Stride] | None
    n: tuple[Node, Stride]
    k: tuple[tuple[Node, Stride], ...]
    bounds: tuple[Bound, ...]
    a: Node
    b: Node
    hole: Node
    rows: int
    vectors: int
    lanes: bool
    output: Output
    width: int
    careful: bool = False  # do nothing once a check has failed


Kernel = Nest | Contraction
