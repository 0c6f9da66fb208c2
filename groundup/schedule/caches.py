"""What the terms of a contraction's tile find in which cache: what lies near, what lies on pages of
its own, what pushes each other out, what a processor does not see coming. Sizes are those of the
caches of x86-64 servers. Must not know what is chosen for it (tiles.py).
"""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING

from ..ir.node import Node
from .sizes import Size, Sym, value

if TYPE_CHECKING:
    from .contract import Choice, Operand, Problem

PAGE = 4096
LINE = 64  # bytes
FIRST = 16 << 10  # bytes: half of a first-level cache
FIRST_LEVEL = 32 << 10  # bytes: what is there of it on any processor
AHEAD = 256 << 10  # bytes of rows: fewer soon lie in the second-level cache
WINDOW = 8  # rows of a window that slides over an image
FAR, WALK = 16 << 10, 1.7  # bytes between two terms, and how much longer such a walk takes
MANY, LEVEL2 = 512, 1 << 20  # columns; bytes of a second-level cache
# Cycles a term longer, where a tile's rows lie together and each term on a page of its own; where
# those terms push each other out of the second-level cache, too. WAY: bytes of such a cache after
# which lines share their places, of which there are WAYS.
NEW_PAGE, PUSHED_OUT, WAY, WAYS = 0.7, 2.0, 128 << 10, 8


def terms(p: Problem) -> int:
    """How many terms each sum has."""
    k = 1
    for v in p.k:
        k *= value(p.extents[v])
    return k


def rest(p: Problem, *tiled: Node | None) -> int:
    """How often tiles along these loops are repeated, along all others of the result."""
    n = 1
    for v, e in p.extents.items():
        if v.op == "out" and v not in tiled:
            n *= value(e)
    return n


def elements(p: Problem, o: Operand) -> int:
    """How many elements of an operand are read."""
    count = 1
    for v, e in p.extents.items():
        if o.strides.get(v, 0) != 0:
            count *= value(e)
    return count


def lines(p: Problem, a: Operand, m: Node, rows: int) -> float:
    """Lines of a that each term of a tile reads anew; 0 if all of them stay near."""
    step, apart, whole = a.strides.get(p.k[-1], 0), a.strides[m], LINE // p.itemsize
    if isinstance(step, Sym) or isinstance(apart, Sym):
        return 0.0
    anew = rows if apart >= whole else max(1.0, rows * int(apart) / whole)
    anew *= min(1.0, int(step) / whole)
    return anew if anew * terms(p) * LINE > FIRST else 0.0


def fresh(p: Problem, a: Operand, b: Operand, m: Node | None, rows: int) -> int:
    """Vectors of a that each term of a tile of vectors of both operands finds in the second level
    of cache, for each vector of b, where b comes from there."""
    if elements(p, b) * p.itemsize <= FIRST:
        return 0
    slides = m is None or a.strides[m] == a.strides.get(p.k[-1], 0)
    return 1 if slides else rows


def crowded(p: Problem, a: Operand, m: Node, rows: int) -> bool:
    """Do the rows of a tile fall onto the same lines of the first-level cache (64 sets of 8 lines
    of 64 bytes on x86-64), so that they push each other out?"""
    if a.strides.get(p.k[-1], 0) != 1:
        return False  # a line holds all rows of a term
    step = a.strides[m]
    if isinstance(step, Sym):
        return False
    sets = 4096 // gcd(4096, max(64, int(step) * p.itemsize))
    return rows > 4 * sets


def scattered(p: Problem, a: Operand, m: Node, columns: int) -> bool:
    """Does every column of tiles read rows anew from beyond the second-level cache, each a part of
    a page of its own? No processor sees so many short rows coming."""
    if a.strides.get(p.k[-1], 0) != 1:
        return False
    row = 1  # elements that follow each other (or each precedes the one before), in several loops
    for v in reversed(p.k):
        step = a.strides.get(v, 0)
        if isinstance(step, Sym) or abs(int(step)) != row:
            break
        row *= value(p.extents[v])
    apart = value(a.strides[m]) * p.itemsize >= PAGE > row * p.itemsize
    return apart and columns >= MANY and elements(p, a) * p.itemsize > LEVEL2


def walks_far(p: Problem, o: Operand) -> bool:
    """Does each term lie on another page, where no processor expects it?"""
    step = o.strides.get(p.k[-1], 0)
    return not isinstance(step, Sym) and int(step) * p.itemsize >= FAR


def walk(p: Problem, a: Operand, m: Node) -> float:
    """How much longer each term takes because it lies on another page than the one before, with
    the other rows beside it."""
    step = a.strides.get(p.k[-1], 0)
    if a.strides.get(m) != 1 or isinstance(step, Sym) or int(step) * p.itemsize < PAGE // 2:
        return 0.0
    bytes_ = int(step) * p.itemsize
    pushed = terms(p) > WAYS * (WAY // gcd(WAY, bytes_))
    # Of vectors of 256 bits halves of a cycle are counted (see tiles.py); a tile of those of
    # 512 has time enough to hide the next page.
    wide = p.lane_count * p.sum.dtype.bits > 256
    return (PUSHED_OUT if pushed else 0.0) if wide else 2 * (PUSHED_OUT if pushed else NEW_PAGE)


def ahead(p: Problem, c: Choice) -> bool:
    """Should a tile ask for the rows of the next? If they follow its own, and there are many."""
    if c.m is None or c.lanes or c.pack_rows or p.halves:
        return False
    if c.paired:
        return c.order == "across" and slides(p, c) and elements(p, c.a) * p.itemsize >= AHEAD
    return follows(p, c, c.a.strides[c.m], c.a.strides.get(p.k[-1], 0))


def follows(p: Problem, c: Choice, row: Size, term: Size) -> bool:
    """Do rows that are so far apart, as their terms, follow each other in memory, and are there
    many?"""
    terms = p.extents[p.k[-1]]
    if isinstance(row, Sym) or isinstance(terms, Sym) or term != 1:
        return False
    if row not in (terms, 2 * terms):  # or every other pixel of an image, of all channels
        return False
    if c.block is not None and c.block[0] == len(p.k) - 1:
        return False
    return elements(p, c.a) * p.sum.dtype.itemsize >= AHEAD


def slides(p: Problem, c: Choice) -> bool:
    """Does a window slide over a along the outer loop whose steps are next to each other, a few
    rows at a time?"""
    outer = [v for v in p.extents if v.op == "out" and v is not c.m and v is not c.n]
    if not outer or c.m is None or not p.k:
        return False
    below = min(outer, key=lambda v: value(p.target_strides[v]))
    steps = [c.a.strides.get(v, 0) for v in (below, p.k[0], c.m)]
    if any(isinstance(s, Sym) for s in (*steps, p.extents[p.k[0]])) or not steps[1]:
        return False
    new, rest = divmod(value(steps[0]), abs(value(steps[1])))  # backward in a gradient
    return not rest and 0 < new <= value(p.extents[p.k[0]]) <= WINDOW
