"""Terms of one gradient that are less work together than one by one.

A weight that is used at T time steps has T products in its gradient: one product over the steps as
well. What was cut from a tensor meets in its gradient: a choice of piece, not a sum of terms that
are 0 almost everywhere. Must not know in which order tensors are visited.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir import dtype as dt
from ..ir.affine import Affine
from ..ir.extent import Extent, product, symbolic_key
from ..ir.node import Node, alu, fresh, index, loops, out, outs, read, red, reduce
from ..ir.pieces import Piece, choice, pieces_of
from ..ir.recipe import form
from ..ir.record import fresh as fresh_field
from ..ir.record import record
from ..ir.transform import body_nodes, substitute
from .rules import guarded, number, peel, times

FEWEST = 4  # terms
_END = 1 << 62
_Spans = dict[int, tuple[int, int]]  # axis → from which position to before which


@record
class Slices:
    """Tensors that are one position along an axis of a larger tensor."""

    place: dict[Node, tuple[Node, int, int]] = fresh_field(default_factory=dict)

    def note(self, tensor: Node) -> None:
        """Remember what a tensor was put together from."""
        if tensor.op != "loops" or tensor.src[0].op != "where":
            return
        found = pieces_of(tensor.src[0], tensor.shape)
        if found is None:
            return
        variables = outs(tensor.ndim)
        del variables[found.axis]
        shape = (*tensor.shape[: found.axis], *tensor.shape[found.axis + 1 :])
        for piece in found.pieces:
            body = piece.body
            if (
                piece.stop - piece.start == 1 and body.op == "read"
                and list(body.src[1:]) == variables and _same(body.src[0].shape, shape)
            ):  # fmt: skip
                self.place.setdefault(body.src[0], (tensor, found.axis, piece.start))

    def order(self, tensors: Sequence[Node]) -> list[int] | None:
        """The numbers of tensors in the order of their positions in one larger tensor."""
        places = [self.place.get(t) for t in tensors]
        known = [p for p in places if p is not None]
        if len(known) < len(places) or len({p[:2] for p in known}) > 1:
            return None
        return sorted(range(len(known)), key=lambda i: known[i][2])

    def whole(self, tensors: Sequence[Node]) -> tuple[Node, int, int]:
        """(a tensor that has these one after the other, along which axis, from which position)."""
        first = self.place.get(tensors[0])
        if first is not None:
            tensor, axis, start = first
            if all(self.place.get(t) == (tensor, axis, start + i) for i, t in enumerate(tensors)):
                return first
        shape = tensors[0].shape
        variables = [out(i + 1) for i in range(len(shape))]
        pieces = [Piece(i, i + 1, read(t, *variables)) for i, t in enumerate(tensors)]
        tensor = loops((len(tensors), *shape), choice(0, pieces))
        self.note(tensor)
        return tensor, 0, 0


def _same(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return a == b and symbolic_key(a) == symbolic_key(b)


def together(parts: Sequence[Node], slices: Slices) -> list[Node]:
    """Fewer tensors with the same sum."""
    if len(parts) < FEWEST:
        return list(parts)
    return _one_product(_one_choice(parts), slices)


# ---- products -----------------------------------------------------------------------------------


def _one_product(parts: Sequence[Node], slices: Slices) -> list[Node]:
    """Products that differ only in the tensors that they read become one, over those as well."""
    alike: dict[object, list[Node]] = {}
    for i, part in enumerate(parts):
        key: object = i
        if _is_product(part):
            known = form(part)
            if _gains(part, known.tensors):
                *same, facts = known.key
                key = (*same, *(f[:3] for f in facts))
        alike.setdefault(key, []).append(part)
    result: list[Node] = []
    for group in alike.values():
        result += [_product(group, slices)] if len(group) >= FEWEST else group
    return result


def _is_product(part: Node) -> bool:
    """Is a tensor a sum over products of two reads, at positions that no data decide?"""
    if part.op != "loops" or part.src[0].op != "reduce":
        return False
    sum_ = part.src[0]
    kind, _, order = sum_.arg[:3]
    if kind != "sum" or order != "dot" or sum_.src[0].op != "mul":
        return False
    return sum(n.op == "read" for n in body_nodes(sum_)) == 2 and all(
        (f.src[0] if f.op == "cast" else f).op == "read" for f in sum_.src[0].src
    )


def _gains(part: Node, tensors: Sequence[Node]) -> bool:
    """Is the product larger than what it reads, which may have to be copied?"""
    return int(product(part.shape)) >= sum(int(product(t.shape)) for t in tensors)


def _product(parts: Sequence[Node], slices: Slices) -> Node:
    """The sum of products of one form: one over the number of the part too."""
    columns = list(zip(*(form(p).tensors for p in parts), strict=True))
    order = next((o for c in columns if (o := slices.order(c)) is not None), range(len(parts)))
    columns = [tuple(c[i] for i in order) for c in columns]
    first = parts[order[0]]
    wholes = {
        c[0]: None if all(t is c[0] for t in c) else slices.whole(c) for c in columns
    }  # fmt: skip
    if not any(wholes.values()):  # one term again and again
        return loops(first.shape, times(first.src[0], number(len(parts), first.src[0])))
    sum_ = first.src[0]
    given = [t if w is None else w[0] for t, w in wholes.items()]
    sizes = [e for _, e in sum_.arg[1]]
    names, variables = fresh(max(t.depth for t in given), [len(parts), *sizes])
    mapping = {red(i): v for (i, _), v in zip(sum_.arg[1], names[1:], strict=True)}
    for n in body_nodes(sum_.src[0]):
        if n.op == "read":
            at = [substitute(ix, mapping) for ix in n.src[1:]]
            whole = wholes[n.src[0]]
            tensor = n.src[0]
            if whole is not None:
                tensor, axis, start = whole
                at.insert(axis, alu("add", names[0], index(start)))
            mapping[n] = read(tensor, *at)
    return loops(first.shape, reduce("sum", variables, substitute(sum_.src[0], mapping), "dot"))


# ---- pieces -------------------------------------------------------------------------------------


def _one_choice(parts: Sequence[Node]) -> list[Node]:
    """Terms that lie beside each other become one tensor; the others stay."""
    first = parts[0]
    placed: list[tuple[_Spans, Node]] = []
    others: list[Node] = []
    for part in parts:
        found = _placed(part)
        if found is None:
            others.append(part)
        else:
            placed.append(found)
    if len(placed) < FEWEST:
        return list(parts)
    body = _beside(first.shape, placed)
    return list(parts) if body is None else [loops(first.shape, body), *others]


def _placed(part: Node) -> tuple[_Spans, Node] | None:
    """(where a tensor may differ from 0, its body there), if that is not everywhere."""
    if part.op != "loops":
        return None
    conditions, body = peel(part.src[0])
    spans: _Spans = {}
    rest: list[Node] = []
    for c in conditions:
        span = _span(c)
        if span is None:
            rest.append(c)
            continue
        axis, low, high = span
        before = spans.get(axis, (0, _END))
        spans[axis] = (max(before[0], low), min(before[1], high))
    if not spans:
        return None
    if body.op not in ("read", "const"):  # whether it is stored is not decided here
        body = read(part, *outs(part.ndim))
    return spans, guarded(rest, body)


def _span(condition: Node) -> tuple[int, int, int] | None:
    """(axis, from which position, to before which) of a condition on the position along an axis."""
    if condition.op not in ("lt", "le", "eq") or condition.src[0].dtype is not dt.int64:
        return None
    gap = Affine.of(condition.src[1]).plus(Affine.of(condition.src[0]), -1)  # ≥ 0, > 0 or == 0
    if len(gap.terms) != 1:
        return None
    ((variable, c),) = gap.terms.items()
    if variable.op != "out" or abs(c) != 1:
        return None
    axis: int = variable.arg
    if condition.op == "eq":
        return axis, -c * gap.constant, -c * gap.constant + 1
    least = int(condition.op == "lt")
    if c > 0:
        return axis, least - gap.constant, _END
    return axis, 0, gap.constant - least + 1


def _beside(shape: tuple[int, ...], placed: list[tuple[_Spans, Node]]) -> Node | None:
    """The sum of terms, each 0 outside its spans, as choices; None where they lie on another."""
    for axis in sorted({a for spans, _ in placed for a in spans}):
        groups: dict[tuple[int, int], list[tuple[_Spans, Node]]] = {}
        for spans, body in placed:
            rest = {a: s for a, s in spans.items() if a != axis}
            groups.setdefault(spans.get(axis, (0, _END)), []).append((rest, body))
        size = _END if isinstance(shape[axis], Extent) else int(shape[axis])
        pieces = _pieces(groups, shape, size)
        if pieces is not None:
            return choice(axis, pieces)
    return None


def _pieces(
    groups: dict[tuple[int, int], list[tuple[_Spans, Node]]], shape: tuple[int, ...], size: int
) -> list[Piece] | None:
    """Groups of terms one after the other along an axis, with 0 between; None where they overlap"""
    zero = number(0, next(iter(groups.values()))[0][1])
    pieces: list[Piece] = []
    end = 0
    for (start, stop), group in sorted(groups.items(), key=lambda g: g[0]):
        if start >= min(stop, size):
            continue
        if start < end:
            return None
        if start > end:
            pieces.append(Piece(end, start, zero))
        spans, body = group[0]
        if len(group) > 1 or spans:
            inner = _beside(shape, group)
            if inner is None:
                return None
            body = inner
        pieces.append(Piece(start, stop, body))
        end = stop
    if end < size:
        pieces.append(Piece(end, size, zero))
    return pieces
