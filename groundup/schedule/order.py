"""The order of every sum, fixed by the loop nest alone, before anything is fused.

Also strips what has no meaning for running (leaf, detach) and puts numbered slots in the place of
memory, so that the rest of the scheduler sees one canonical graph.
"""

from __future__ import annotations

from ..ir import dtype as dt
from ..ir.extent import Extent
from ..ir.node import Node, buffer, const, make, red, reduce
from ..ir.record import frozen
from ..ir.transform import body_nodes, rebuild, substitute
from .partial import staged
from .search import search


@frozen
class Slot:
    """Input number `index` of the plan."""

    index: int


def canonical(order: list[Node], slots: dict[object, int], symbolic: bool) -> dict[Node, Node]:
    """Map each node of the user's graph to its canonical one (sources before users in `order`)."""
    result: dict[Node, Node] = {}
    for node in order:
        handle = node.value if node.op == "buffer" else node.cache
        shape = node.shape if symbolic else tuple(int(s) for s in node.shape)
        if handle is not None:
            result[node] = buffer(Slot(slots[handle]), shape, node.dtype)
        elif node.op in ("leaf", "detach"):
            result[node] = result[node.src[0]]
        elif node.op == "extent" and not symbolic:
            result[node] = const(int(node.value), dt.int64)
        elif node.op == "reduce":
            result[node] = _reduction(node, result[node.src[0]], symbolic)
        elif node.op in ("scan", "argsort"):
            src = tuple(result[s] for s in node.src)
            result[node] = make(node.op, node.dtype, shape, src, node.arg)
        elif node.op in ("loops", "reshape"):
            src = tuple(result[s] for s in node.src)
            if node.op == "loops":
                src = (ordered(staged(src[0], shape)),)
            result[node] = make(node.op, node.dtype, shape, src, None)
        else:
            result[node] = rebuild(node, tuple(result[s] for s in node.src))
    return result


def _reduction(node: Node, body: Node, symbolic: bool) -> Node:
    kind, variables, order = node.arg[:3]
    if not symbolic:
        variables = tuple((i, int(e)) for i, e in variables)
    return reduce(kind, variables, body, order)


def ordered(body: Node) -> Node:
    """The body with the order of each of its floating sums decided."""
    mapping: dict[Node, Node] = {}
    for node in body_nodes(body):
        if node.op == "reduce" and node.arg[0] == "sum" and node.dtype.is_float:
            kind, variables, order = node.arg[:3]
            chosen, kept_order = _choose(node, variables, order)
            if (variables, order) != (chosen, kept_order):
                zero = const(0, dt.int64)  # what a variable of extent 1 always is
                units = {red(v[0]): zero for v in variables if v not in chosen}
                inner = substitute(substitute(node.src[0], mapping), units)
                mapping[node] = reduce(kind, chosen, inner, kept_order)
    return substitute(body, mapping) if mapping else body


def _reads(body: Node) -> list[Node]:
    return [n for n in body_nodes(body) if n.op == "read"]


def _plain(index: Node, uid: int) -> bool:
    return index.op == "red" and index.arg == uid


def mixes(index: Node) -> bool:
    """Does an index mix two variables, as a convolution's window does?"""
    return len({n for n in body_nodes(index) if n.op in ("out", "red")}) > 1


def narrow(shape: tuple[int, ...], spatial: tuple[int, ...]) -> bool:
    """Has an image so few channels that they leave vectors half empty?"""
    channels = 1
    for i in range(1, len(shape)):
        if i not in spatial:
            channels *= int(shape[i])
    return channels < CHANNELS


CHANNELS = 32
WINDOW = 64  # terms of a sum over a window that goes term by term


def product_of(body: Node) -> tuple[Node, Node] | None:
    """The two reads of a contraction's term, guarded or not; a factor of a 16-bit type is read and
    widened to the type of the sum, which is exact."""
    if body.op == "where" and body.src[2].op == "const" and body.src[2].value == 0:
        body = body.src[1]
    if body.op != "mul":
        return None
    a, b = (s.src[0] if widens(s) else s for s in body.src)
    return (a, b) if a.op == "read" and b.op == "read" else None


def widens(x: Node) -> bool:
    """Is this a conversion from a 16-bit floating type to float32, which is exact?"""
    if x.op != "cast" or x.dtype is not dt.float32:
        return False
    return x.src[0].dtype.is_float and x.src[0].dtype.bits == 16


def _choose(
    node: Node, variables: tuple[tuple[int, int], ...], order: str
) -> tuple[tuple[tuple[int, int], ...], str]:
    """Which order a sum has: see ir.node.ORDERS.

    Products go term by term, with what both operands read as it is innermost (the channels, which
    lie together). Over two images with few channels the batch goes last and into lanes, since such
    images are kept with the batch innermost; so do sums of products that are no matrix product.
    Sums over windows go term by term: their results lie side by side, and so do vectors of them.
    """
    variables = tuple(v for v in variables if not _is_one(v[1])) or variables[:1]
    body = node.src[0]
    reads = [r for r in _reads(body) if len(r.src) > 1]
    pair = product_of(body) if order.startswith("dot") else None
    if order.startswith("dot") and pair is None:
        order = "lanes"
    if search(node) is not None:  # the terms of a row in the order of their positions
        return variables, "seq"
    if pair is not None:
        return _order_of_products(pair, variables)
    if _strided(body) or _is_window(reads, variables):
        return variables, "seq"
    names = {v[0] for v in variables}
    for r in reads:
        inner = {n.arg for n in body_nodes(r.src[-1]) if n.op == "red"}
        if inner & names:
            last = [v for v in variables if v[0] in inner]
            return (*(v for v in variables if v != last[-1]), last[-1]), "lanes"
    return variables, "seq"


def _is_window(reads: list[Node], variables: tuple[tuple[int, int], ...]) -> bool:
    """Do few terms lie in a window that slides along two axes?"""
    count = 1
    for _, extent in variables:
        if isinstance(extent, Extent):
            return False
        count *= extent
    return count <= WINDOW and any(sum(map(mixes, r.src[1:])) > 1 for r in reads)


def _strided(body: Node) -> bool:
    """Does a term ask to lie on every s-th position, as the gradient of a strided window does?"""
    return body.op == "where" and any(n.op == "mod" for n in body_nodes(body.src[0]))


def _order_of_products(
    pair: tuple[Node, Node], variables: tuple[tuple[int, int], ...]
) -> tuple[tuple[tuple[int, int], ...], str]:
    """The order of a sum over products of two reads."""
    both = [
        v for v in variables
        if all(any(_plain(ix, v[0]) for ix in r.src[1:]) for r in pair)
    ]  # fmt: skip
    outputs = [{n for n in body_nodes(r) if n.op == "out"} for r in pair]
    matrix = outputs[0] - outputs[1] and outputs[1] - outputs[0]
    windows = [r for r in pair if any(mixes(ix) for ix in r.src[1:])]
    batch = [v for v in both if all(len(r.src) > 3 and _plain(r.src[1], v[0]) for r in pair)]
    if windows and batch and all(_few_channels(r, windows[0]) for r in pair):
        return (*(v for v in variables if v != batch[0]), batch[0]), "dotlanes"
    if not matrix and not windows:
        last = [v for v in both if all(_plain(r.src[-1], v[0]) for r in pair)]
        if last:
            return (*(v for v in variables if v != last[0]), last[0]), "dotlanes"
    if windows and not batch:
        sliding = [v for v in variables if v not in both]
        return (*sliding, *both), "dot"
    return variables, "dot"


def _few_channels(r: Node, window: Node) -> bool:
    """Is this a read of an image with few channels?"""
    spatial = tuple(i for i, ix in enumerate(window.src[1:]) if mixes(ix))
    shape = r.src[0].shape
    return len(shape) == len(window.src[0].shape) and narrow(shape, spatial)


def _is_one(size: int) -> bool:
    return not isinstance(size, Extent) and size == 1
