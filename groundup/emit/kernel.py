"""What a kernel is, between schedule (which decides) and emit (which writes).

A kernel computes outputs over a nest of loops. Its body is an expression whose reads have become
`load` nodes with an `Access` (pointer, offset, stride for each loop variable). Words are positions
in the kernel's argument block; word 0 is always the status block.
"""

from __future__ import annotations

from typing import NamedTuple

from ..ir.dtype import DType
from ..ir.node import Node
from ..ir.record import frozen


@frozen
class Word:
    """A 64-bit parameter of the kernel, by position in its argument block."""

    position: int


Stride = int | Word
ROW = 8192


class Access(NamedTuple):
    """Where an element lies: pointer + offset + Σ variable·stride (+ a computed position).

    part: 0 or 1 where two elements lie together at that place, of which this is one: a stride of 2
    is then a number, and vectors of both are moved at once
    """

    pointer: Word
    offset: Stride
    terms: tuple[tuple[Node, Stride], ...]
    computed: bool = False  # the load's first source is added to the position
    guarded: bool = False  # the load's last source says whether to read; else the value is 0
    part: int = -1


@frozen
class Output:
    """One result: the scalar body and where its element goes.

    stream: past the caches, for what is too large to be read from them again; every whole vector
    then starts at a multiple of its size (up to 64 bytes)
    paired: the next output is the other part (1) of what this one is part 0 of
    """

    body: Node
    access: Access
    stream: bool = False
    paired: bool = False


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
    square    walk the last two loops in squares as wide as a vector, in which loads that lie
              together along the last but one are turned (see emit/square.py)
    ahead     pointers to large tensors that reductions read: what lies further on is asked for
    """

    loops: tuple[tuple[Node, Stride], ...]
    vector: int
    parallel: int
    outputs: tuple[Output, ...]
    width: int
    careful: bool = False  # do nothing once a check has failed
    columns: int = 0
    kept: tuple[tuple[Node, Node], ...] = ()
    square: bool = False
    ahead: tuple[Word, ...] = ()


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
class RowBound:
    """Which rows of a tile take part in the terms of one reduction loop: row m does when

        lo ≤ by_row·m + by_term·variable + constant < hi      (None: open; by_row > 0)
    """

    variable: Node
    by_row: int
    by_term: int
    constant: Stride  # a word only where `diagonal`
    lo: int | None
    hi: int | None

    @property
    def diagonal(self) -> bool:
        """Does a row's terms end (or begin) one term after those of the row before?"""
        one_end = (self.lo is None) != (self.hi is None)
        return one_end and (self.by_row, self.by_term) == (1, -1)

    def rows(self, m0: int, height: int, term: int) -> tuple[int, int]:
        """[first, end) of the rows of a tile at m0 that take part in a term."""
        assert isinstance(self.constant, int)
        at = self.by_row * m0 + self.by_term * term + self.constant
        first = 0 if self.lo is None else max(0, -((at - self.lo) // self.by_row))
        end = height if self.hi is None else min(height, -((at - self.hi) // self.by_row))
        return (first, end) if first < end else (0, 0)


@frozen
class Panel:
    """Where a contraction copies b as it goes: each thread copies the columns of one tile, of one
    block of terms, and runs all tiles there before the next. A term's columns lie together, the
    terms one after the other.

    source   the load of b where it lies
    room     memory for the panels: `size` bytes for each of `slots` threads
    run      the reduction loops that the source walks as one, the last fastest, if not n: the
             copy turns blocks of them in registers
    columns  the width of a panel
    """

    source: Node
    room: Word
    size: Stride
    slots: int
    run: tuple[Node, ...]
    columns: int


@frozen
class Prologue:
    """How a contraction computes an operand as it goes: each thread computes what some tiles that
    follow each other read of it, of one block of terms, right before them.

    loop     m: of a's rows, order "across", vectorised along the last reduction loop; or n: of b's
             columns, order "rows", vectorised along n. What is vectorised lies together in the room
    tiles    of how many tiles along that loop
    body     the operand's element, at values of the other output loops and of the reduction's
    room     memory for the elements: `size` bytes for each of `slots` threads
    ahead    the load of which the tiles ask for what comes next (see Contraction.ahead)
    """

    loop: Node
    tiles: int
    body: Node
    room: Word
    size: int
    slots: int
    ahead: Node | None = None


@frozen
class Contraction:
    """Sum over `k` of a·b with register tiles: `rows` of m by `vectors` of n.

    outer     output loops around the tiles
    m, n      the tiled output loops (m may be None); n is vectorised unless `lanes`
    k         reduction loops, in the order of the sum
    bounds    conditions that narrow reduction loops for a whole tile
    row_bound a condition that narrows one reduction loop for each row of a tile
    a, b      load nodes; b varies with n, a with m
    paired    a is a vector along n, too
    hole      the node in the output's body that stands for the sum
    lanes     vectorise the last reduction loop instead of n (order dotlanes)
    halves    for products of bfloat16 how they are added (see ir.node, dot16): "each", or in
              "pairs" of terms of the last loop; "" for all others
    panels    b is packed so that the two terms of a pair lie together
    block     (depth, size): the tiles' sums are run in blocks of the reduction: every value of the
              loops before `depth`, `size` values of the one at `depth`, so that what a block reads
              stays in the cache; between blocks they wait in `partial`
    run       (words that say whether these are the sum's first and its last terms): one run of a
              longer sum, whose running values wait in `partial` between runs
    diagonal  nobody looks at elements of n > m + diagonal: tiles of such alone are left out
    order     which tiles follow each other: "rows", those along m, then n, then the outer loops;
              "columns", those along n come last, so that b's panel stays in the cache; "outer", the
              outer loops come first, which lie closest in the output; "across", those along n, then
              m, then the outer loops, so that a is walked once
    ahead     a's rows follow each other in memory: the next tile's are asked for early; paired: so
              is what a window of the last outer loop's next step will see
    """

    outer: tuple[tuple[Node, Stride], ...]
    m: tuple[Node, Stride] | None
    n: tuple[Node, Stride]
    k: tuple[tuple[Node, Stride], ...]
    bounds: tuple[Bound, ...]
    row_bound: RowBound | None
    a: Node
    b: Node
    paired: bool
    hole: Node
    rows: int
    vectors: int
    lanes: bool
    halves: str
    panels: bool
    block: tuple[int, int] | None
    partial: Word | None
    order: str
    output: Output
    width: int
    careful: bool = False  # do nothing once a check has failed
    panel: Panel | None = None  # b is copied there first: its load is of a panel
    prologue: Prologue | None = None  # an operand is computed: its load is of the room
    run: tuple[Word, Word] | None = None
    diagonal: Word | None = None
    ahead: bool = False


@frozen
class Several:
    """Kernels of one argument block, run one after the other, that write different elements."""

    parts: tuple[Contraction | Nest, ...]
    careful: bool = False


@frozen
class Pack:
    """A copy that makes another axis innermost, in blocks transposed in registers; elements of 16
    bits are widened to float32 where the target's type is that.

    outer    (extent, stride in the source, stride in the target) of loops around
    row      (extent, stride in the target) of loops that the source walks as one, the last fastest
    row_step that one's stride in the source: 1, or anything where the lanes' own stride is 1
    lane     extent, stride in the source, of the loop that becomes contiguous
    panel    (lanes, stride): that many lanes lie together, the next ones `stride` further on; the
             rest of the last one is anything. (0, 0): all lanes lie together
    pairs    of 16 bits: elements 2·i and 2·i + 1 of the row lie together in each lane of a panel
    normal   an element below 2⁻¹²⁶ becomes the zero of its sign, as a factor of the order dot16
    """

    source: Word
    offset: Stride
    target: Word
    outer: tuple[tuple[Stride, Stride, Stride], ...]
    row: tuple[tuple[Stride, Stride], ...]
    row_step: Stride
    lane: tuple[Stride, Stride]
    panel: tuple[int, Stride]
    element: Node  # of the source's type
    stored: Node  # of the target's: that type, or float32 for a source of 16 bits
    pairs: bool
    normal: bool
    width: int
    careful: bool = False


@frozen
class Ranks:
    """Positions put in order by row, stably: a counting sort, by one thread.

    loops      the variables of a position, row-major
    row        the row of a position; `rows` where it has none
    table      int32: rows + 2 ends of rows (row j lies from end j to end j + 1), then the row of
               each position, then the positions in order
    """

    loops: tuple[tuple[Node, Stride], ...]
    row: Node
    rows: Stride
    positions: Stride
    table: Word


@frozen
class Segments:
    """Each row combines the terms of its own positions, in order.

    loops      output loops from the outermost in; `vector`: the last is vectorised
    row        the variables that number a row, row-major; the first `batch` number a position too
    variables  of the reduction: a position's other variables, row-major
    hole       the node in the output's body that stands for the combined terms
    vectors    running vectors at once
    """

    loops: tuple[tuple[Node, Stride], ...]
    vector: bool
    row: tuple[tuple[Node, Stride], ...]
    batch: int
    variables: tuple[tuple[Node, Stride], ...]
    kind: str
    term: Node
    hole: Node
    output: Output
    table: Word
    rows: Stride
    positions: Stride
    vectors: int
    width: int
    careful: bool = False  # do nothing once a check has failed


@frozen
class Placing:
    """Positions one after the other, each combined with what its element holds by then.

    loops      output loops that are no part of a row's number, dealt out to threads
    rows       (output variable, extent, its value at a position) for the others; `vector`: the last
               is contiguous
    variables  of the reduction, in the order of positions
    valid      does a position have a row?
    hole       the node in the output's body that stands for the combined terms
    """

    loops: tuple[tuple[Node, Stride], ...]
    rows: tuple[tuple[Node, Stride, Node], ...]
    vector: bool
    variables: tuple[tuple[Node, Stride], ...]
    valid: Node
    kind: str
    term: Node
    hole: Node
    output: Output
    width: int
    careful: bool = False  # do nothing once a check has failed


@frozen
class Scan:
    """Elements along one axis, each from the one before.

    loops    the other output loops from the outermost in; `vector`: the last is vectorised
    along    the loop of the axis; `reverse`: from its end
    carry    the node in the output's body that stands for the element before; `start`: the first's
    copies   rows (or vectors of columns) side by side
    """

    loops: tuple[tuple[Node, Stride], ...]
    vector: bool
    along: tuple[Node, Stride]
    reverse: bool
    carry: Node
    start: Node
    output: Output
    copies: int
    width: int
    careful: bool = False  # do nothing once a check has failed


@frozen
class Argsort:
    """Positions along one axis in the order of their elements, one row after the other.

    loops    the other output loops from the outermost in, dealt out to threads
    along    the loop of the axis; `count`: how many positions are wanted
    few      keep only the `count` best while reading (0: put all in order)
    scratch  `slots` pieces of memory, one for each thread that takes part (scratch_words of each)
    """

    loops: tuple[tuple[Node, Stride], ...]
    along: tuple[Node, Stride]
    count: Stride
    descending: bool
    few: int
    body: Node
    access: Access
    scratch: Word
    slots: int
    careful: bool = False  # do nothing once a check has failed


def key_bits(dtype: DType) -> int:
    """The bits of the integer that stands for an element when it is put in order."""
    return max(8, dtype.bits)


def scratch_words(dtype: DType) -> tuple[int, int]:
    """(a, b): a + b·n 64-bit words of memory for putting n elements in order: counts of digits,
    and two lists of elements with their positions (in one word where both fit)."""
    return key_bits(dtype) // 8 * 128 + 4, 4 if dtype.bits == 64 else 2


@frozen
class Fill:
    """A word of a part's argument block: base + offset + Σ value·scale, where `base` is a word of
    the chain (None: 0), or this thread's scratch memory, and a value is one of the chain's: unit
    index i by number, or "row" (the block's first), "rows" (how many), "first", "last" (is it the
    unit's first, last block?)."""

    base: Word | None = None
    scratch: bool = False
    offset: int = 0
    terms: tuple[tuple[int | str, Stride], ...] = ()


@frozen
class Part:
    """A kernel that works on one block of rows, and how its argument block is filled."""

    kernel: Nest | Contraction
    fills: tuple[Fill, ...]


@frozen
class Chain:
    """Kernels run one after the other on a block of rows, then on the next block: what they tell
    each other stays in scratch memory of the thread.

    units     extents of the loops around the blocks, dealt out to threads
    kinds     (first row, rows of a block, blocks, what runs on each), in the order of rows
    together  all blocks of a unit run in order on one thread, else they are dealt out, too
    scratch   `slots` pieces of `room` bytes, one for each thread that takes part
    """

    units: tuple[Stride, ...]
    kinds: tuple[tuple[int, int, int, tuple[Part, ...]], ...]
    together: bool
    scratch: Word
    room: int
    slots: int
    careful: bool = False  # do nothing once a check has failed


Kernel = (
    Nest | Contraction | Several | Pack | Ranks | Segments | Placing | Scan | Argsort | Chain
)
