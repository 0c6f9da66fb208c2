"""The order of every sum, fixed by the loop nest alone, before anything is fused.

Also strips what has no meaning for running (leaf, detach) and puts numbered slots in the place of
memory, so that the rest of the scheduler sees one canonical graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..ir import dtype as dt
from ..ir.extent import Extent, product
from ..ir.node import Node, at_site, buffer, const, make, red, reduce, where
from ..ir.record import frozen
from ..ir.transform import (
    TENSOR_OPS,
    body_nodes,
    halves,
    product_of,
    rebuild,
    substitute,
    toposort,
)
from .partial import staged
from .search import search
from .sizes import Span

if TYPE_CHECKING:
    from ..ir.recipe import Recipe

DEEP = 300  # nodes of a graph in which layers may be equal


@frozen
class Slot:
    """Input number `index` of the plan."""

    index: int


class Canonical:
    """The canonical graph: what each tensor of the user's graph became.

    Equal layers of a deep network are worked out twice: what a third nest of one form becomes is
    made from what the second one became.
    """

    def __init__(self, symbolic: bool, deep: bool) -> None:
        self.symbolic, self.deep = symbolic, deep
        self.span = Span()
        self.of: dict[Node, Node] = {}
        self.sited = False  # some reads know where their index was written
        self.form_of: dict[Node, object] = {}  # of canonical nests: equal for those of one form
        self.fresh: list[Node] = []  # tensors that were worked out, not filled in
        self._reads: dict[Node, Sequence[Node]] = {}  # of those that were filled in
        self._recipes: dict[object, Recipe | None] = {}
        self._known: dict[object, Node] = {}  # by form and tensors: one node for equal nests

    def add(self, node: Node, slots: dict[object, int]) -> None:
        """A tensor, after those that it is computed from."""
        handle = node.value if node.op == "buffer" else node.cache
        shape = node.shape if self.symbolic else tuple(int(s) for s in node.shape)
        if handle is not None:
            self.of[node] = buffer(Slot(slots[handle]), shape, node.dtype)
        elif node.op in ("leaf", "detach", "result"):
            self.of[node] = self.of[node.src[0]]
        elif node.op == "loops":
            self.of[node] = self._nest(node, shape)
        else:
            src = tuple([self._scalar(s) if node.op == "scan" else self.of[s] for s in node.src])
            made = self.of[node] = make(node.op, node.dtype, shape, src, node.arg)
            self.fresh.append(made)

    def _nest(self, node: Node, shape: tuple[int, ...]) -> Node:
        """What a loop nest became."""
        if not self.deep:
            tensors = [self.of[n] for n in body_nodes(node.src[0]) if n.op in TENSOR_OPS]
            return self._worked_out(node, shape, tensors)[0]
        from ..ir.recipe import form, record  # a first result does not need them

        known = form(node, self.of)
        same = (known.key, *known.tensors)
        made = self._known.get(same)
        if made is not None:
            return made
        recipe = self._recipes.get(known.key)
        if recipe is not None:
            (made,) = recipe.follow(known.tensors)
            self._reads[made] = known.tensors
            if self.sited:
                _at_its_site(made, node)
        else:
            made, alone = self._worked_out(node, shape, known.tensors)
            again = known.key in self._recipes
            # Partial sums are tensors, shared by all that need them: they keep their names.
            fill_in = again and alone
            self._recipes[known.key] = record(known.tensors, [made]) if fill_in else None
        self._known[same] = made
        self.form_of[made] = known.key
        return made

    def _worked_out(
        self, node: Node, shape: tuple[int, ...], reads: Sequence[Node]
    ) -> tuple[Node, bool]:
        """(what a loop nest becomes, whether it is one tensor, without partial sums)."""
        body = ordered(staged(self._scalar(node.src[0]), shape, self.span), self.span)
        made = make("loops", node.dtype, shape, (body,), None)
        nodes = toposort([made], stop=set(reads).__contains__)
        tensors = [n for n in nodes if n.op in TENSOR_OPS and n not in reads]
        self.fresh += tensors
        return made, len(tensors) == 1

    def behind(self, roots: Iterable[Node]) -> list[Node]:
        """Canonical tensors and all that they are computed from, sources first."""
        order: list[Node] = []
        done: set[Node] = set()
        stack: list[Node | None] = []
        stack += reversed(list(roots))
        while stack:
            node = stack.pop()
            if node is None:
                order.append(stack.pop())  # type: ignore[arg-type]
            elif node not in done:
                done.add(node)
                stack += (node, None)
                reads: Sequence[Node] | None = self._reads.get(node)
                if reads is None:
                    reads = [n for s in node.src for n in body_nodes(s) if n.op in TENSOR_OPS]
                for n in reversed(reads):
                    if n not in done:
                        stack.append(n)
        return order

    def _scalar(self, body: Node) -> Node:
        """A body with canonical tensors and sizes."""
        result: dict[Node, Node] = {}
        for node in body_nodes(body):
            if node.op in TENSOR_OPS:
                result[node] = self.of[node]
            elif node.op == "extent" and not self.symbolic:
                result[node] = const(int(node.value), dt.int64)
            elif node.op == "reduce":
                result[node] = _reduction(node, result[node.src[0]], self.symbolic)
            else:
                result[node] = rebuild(node, tuple([result[s] for s in node.src]))
        return result[body]


def _at_its_site(made: Node, node: Node) -> None:
    """Tell the reads of a nest that was filled in where the index of the user's was written, if all
    its indices from data were written in one place."""
    sites = {id(n.site): n.site for n in body_nodes(node.src[0]) if n.site is not None}
    if len(sites) == 1:
        (site,) = sites.values()
        for n in body_nodes(made.src[0]):
            if n.op in ("read", "checked"):
                at_site(n, site)


def canonical(order: list[Node], slots: dict[object, int], symbolic: bool) -> Canonical:
    """The canonical graph of the user's (sources before users in `order`); symbolic: the runtime
    size in it stays one, as far as it can."""
    found = Canonical(symbolic, len(order) >= DEEP)
    found.sited = found.deep and any(n.site is not None for n in order)
    for node in order:
        if node.op in TENSOR_OPS:
            found.add(node, slots)
    if symbolic and found.span.numbers:
        sizes = (s for node in order for s in node.shape if isinstance(s, Extent))
        found = canonical(order, slots, False)
        found.span.alone(next(sizes))
    return found


def _reduction(node: Node, body: Node, symbolic: bool) -> Node:
    kind, variables, order = node.arg[:3]
    if not symbolic:
        variables = tuple((i, int(e)) for i, e in variables)
    return reduce(kind, variables, body, order)


def ordered(body: Node, span: Span) -> Node:
    """The body with the order of each of its floating sums decided."""
    mapping: dict[Node, Node] = {}
    for node in body_nodes(body):
        if node.op == "reduce" and node.arg[0] == "sum" and node.dtype.is_float:
            kind, variables, order = node.arg[:3]
            chosen, kept_order = _choose(node, variables, order, span)
            if (variables, order) != (chosen, kept_order):
                zero = const(0, dt.int64)  # what a variable of extent 1 always is
                units = {red(v[0]): zero for v in variables if v not in chosen}
                inner = substitute(substitute(node.src[0], mapping), units)
                mapping[node] = reduce(kind, chosen, inner, kept_order)
            asked = _asked_before(node)
            if asked is not None:
                total = mapping.get(node, node)
                _, inner, zero = total.src[0].src
                kind, variables, order = total.arg[:3]
                mapping[node] = where(asked, reduce(kind, variables, inner, order), zero)
    return substitute(body, mapping) if mapping else body


def _asked_before(node: Node) -> Node | None:
    """The condition of a sum of products that is the same for all its terms: where it does not
    hold, the sum is 0."""
    body, names = node.src[0], {red(v[0]) for v in node.arg[1]}
    if node.arg[2] != "dot" or body.op != "where" or product_of(body) is None:
        return None
    inside = body_nodes(body.src[0])
    alone = names.isdisjoint(inside) and all(n.op not in ("read", "reduce") for n in inside)
    return body.src[0] if alone else None


def _reads(body: Node) -> list[Node]:
    return [n for n in body_nodes(body) if n.op == "read"]


def fastest(r: Node, span: Span) -> Node:
    """The index along which what is read lies together; of pairs, the one by which they follow each
    other: both parts are read at once."""
    *_, before, last = r.src
    size = r.src[0].shape[-1]
    if len(r.src) <= 2 or last.op not in ("out", "const"):
        return last
    return before if span.at_least(size, 2) and not span.at_least(size, 3) else last


def _plain(index: Node, uid: int) -> bool:
    return index.op == "red" and index.arg == uid


def mixes(index: Node) -> bool:
    """Does an index mix two variables, as a convolution's window does?"""
    if index.op in _PLAIN:
        return False
    return len({n for n in body_nodes(index) if n.op in ("out", "red")}) > 1


_PLAIN = ("out", "red", "const")


def narrow(shape: tuple[int, ...], spatial: tuple[int, ...], span: Span) -> bool:
    """Has an image so few channels that they leave vectors half empty?"""
    channels = [s for i, s in enumerate(shape) if i and i not in spatial]
    return not span.at_least(product(channels), CHANNELS)


CHANNELS = 32
FEW = 6  # of the 8 to 16 lanes of a vector
WINDOW = 64  # terms of a sum over a window that goes term by term


def _choose(
    node: Node, variables: tuple[tuple[int, int], ...], order: str, span: Span
) -> tuple[tuple[tuple[int, int], ...], str]:
    """Which order a sum has: see ir.node.ORDERS.

    Products go term by term, with what both operands read as it is innermost (the channels, which
    lie together), and in lanes where a window makes only a few channels from many. Over two images
    with few channels the batch goes last and into lanes, since such images are kept with the batch
    innermost; so do sums of products that are no matrix product.
    Sums over windows go term by term: their results lie side by side, and so do vectors of them.
    """
    variables = tuple(v for v in variables if not _is_one(v[1], span)) or variables[:1]
    body = node.src[0]
    reads = [r for r in _reads(body) if len(r.src) > 1]
    pair = product_of(body) if order.startswith("dot") else None
    if order.startswith("dot") and pair is None:
        order = "lanes"
    if search(node) is not None:  # the terms of a row in the order of their positions
        return variables, "seq"
    if pair is not None:
        variables, order = _order_of_products(pair, variables, span)
        return variables, _of_halves(body, pair, variables, order) if halves(body) else order
    if _strided(body) or _is_window(reads, variables, span):
        return variables, "seq"
    names = {v[0] for v in variables}
    for r in reads:
        inner = {n.arg for n in body_nodes(fastest(r, span)) if n.op == "red"}
        if inner & names:
            last = [v for v in variables if v[0] in inner]
            return (*(v for v in variables if v != last[-1]), last[-1]), "lanes"
    return variables, "seq"


def _is_window(
    reads: list[Node], variables: tuple[tuple[int, int], ...], span: Span
) -> bool:
    """Do few terms lie in a window that slides along two axes?"""
    slides = any(sum(map(mixes, r.src[1:])) > 1 for r in reads)
    return slides and not span.at_least(product([size for _, size in variables]), WINDOW + 1)


def _strided(body: Node) -> bool:
    """Does a term ask to lie on every s-th position, as the gradient of a strided window does?"""
    return body.op == "where" and any(n.op == "mod" for n in body_nodes(body.src[0]))


def _order_of_products(
    pair: tuple[Node, Node], variables: tuple[tuple[int, int], ...], span: Span
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
    if windows and batch and all(_few_channels(r, windows[0], span) for r in pair):
        return (*(v for v in variables if v != batch[0]), batch[0]), "dotlanes"
    if not matrix and not windows:
        last = [v for v in both if all(_plain(r.src[-1], v[0]) for r in pair)]
        if last:
            return (*(v for v in variables if v != last[0]), last[0]), "dotlanes"
    if windows and not batch:
        sliding = [v for v in variables if v not in both]
        few = both and len(windows) == 1 and _few_results(pair, windows[0], span)
        return (*sliding, *both), "dotlanes" if few else "dot"
    return variables, "dot"


def _few_results(pair: tuple[Node, Node], window: Node, span: Span) -> bool:
    """Does a window over an image of many channels make one with so few that vectors along them
    would be mostly empty?"""
    weights = pair[0] if pair[1] is window else pair[1]
    sizes = [s for ix, s in zip(weights.src[1:], weights.src[0].shape) if ix.op == "out"]
    many = span.at_least(product(sizes), FEW + 1)
    return not many and not _few_channels(window, window, span)


def _of_halves(
    body: Node, pair: tuple[Node, Node], variables: tuple[tuple[int, int], ...], order: str
) -> str:
    """The same order for products of two bfloat16 numbers: in pairs of neighbouring terms, where
    no condition and no other variable comes in between."""
    if order == "dotlanes":
        return "dot16lanes"
    last = variables[-1][0]
    plain = all(any(_plain(ix, last) for ix in r.src[1:]) for r in pair)
    asked = body.op == "where" and red(last) in body_nodes(body.src[0])
    alone = all(sum(red(last) in body_nodes(ix) for ix in r.src[1:]) == 1 for r in pair)
    return "dot16pairs" if plain and alone and not asked else "dot16"


def _few_channels(r: Node, window: Node, span: Span) -> bool:
    """Is this a read of an image with few channels?"""
    spatial = tuple(i for i, ix in enumerate(window.src[1:]) if mixes(ix))
    shape = r.src[0].shape
    return len(shape) == len(window.src[0].shape) and narrow(shape, spatial, span)


def _is_one(size: int, span: Span) -> bool:
    return span.at_least(size, 1) and not span.at_least(size, 2)
