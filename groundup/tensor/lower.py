"""From the axes notation to one loop nest: finds sizes, checks ranges, builds the body.

Must not know how a loop nest runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..ir import dtype as dt
from ..ir import node as ir
from ..ir.dtype import DType, promote
from ..ir.extent import Extent, product
from ..ir.interval import intervals
from ..ir.names import remember
from ..ir.node import Node
from ..ir.recipe import Recipe, facts, placeholder, record
from ..ir.transform import TENSOR_OPS, body_nodes, substitute
from . import pointwise as pw
from . import storage as store
from .core import Core, finish, operand
from .errors import at_line, lined_up
from .indexing import check_range, wrapped
from .notation import Axis, Indexed, _names

if TYPE_CHECKING:
    from .tensor import Tensor

Affine = tuple[int, dict[Axis, int]]


def close(expression: Indexed, axes: Sequence[Axis]) -> Tensor:
    """The tensor of an indexed expression whose free axes are `axes`, in this order."""
    form = _form(expression, axes)
    if form is not None:
        known = _closed.get(form[0])
        if known is not None:
            node = known[0].follow(form[2])[0]
            remember(node, [a.name for a in axes], known[1])
            return finish(node, *form[1])
    for a in axes:
        if not isinstance(a, Axis):
            raise TypeError(f"order takes axes, not {a!r}" + at_line())
    if len(set(axes)) != len(axes):
        raise ValueError(f"order: an axis is named twice: {_names(axes)}" + at_line())
    missing = [a for a in expression.free if a not in axes]
    if missing:
        raise ValueError(
            f"order({_names(axes)}): the expression also depends on {_names(missing)}: order or "
            f"reduce it" + at_line()
        )
    lowering = _Lowering(expression, axes)
    body = lowering.lower(expression)
    mapping = {ir.axis(a): ir.out(n) for n, a in enumerate(axes)}
    node = ir.loops(tuple(lowering.size[a] for a in axes), substitute(body, mapping))
    names = tuple(lowering.names[i] for i in sorted(lowering.names))
    remember(node, [a.name for a in axes], names)
    tensors = lowering.tensors
    if not tensors:
        from .tensor import Tensor

        store.serial += 1
        return Tensor._make(store.Storage(node.shape, node.dtype, node))
    # Memory that others write to as well is read anew each time that it is asked for: what was
    # lowered may hold another copy than the form's, and must not be filled in for others.
    inside = {n.src[0] for n in body_nodes(node.src[0]) if n.op == "read"}
    if form is not None and inside.issubset(form[2]):
        if len(_closed) >= _KEPT:
            del _closed[next(iter(_closed))]
        holders = [placeholder(i, t) for i, t in enumerate(form[2])]
        body = substitute(node.src[0], dict(zip(form[2], holders, strict=True)))
        _closed[form[0]] = record(holders, [ir.loops(node.shape, body)]), names
    return finish(node, *tensors)


_KEPT = 4096  # forms remembered
_closed: dict[tuple[Any, ...], tuple[Recipe, tuple[str, ...]]] = {}


def _form(
    expression: Indexed, axes: Sequence[Axis]
) -> tuple[tuple[Any, ...], list[Core], list[Node]] | None:
    """(what determines the loop nest apart from the tensors' values, the tensors, their nodes), or
    None where more than that matters: functions of nodes, indices that come from data."""
    number: dict[int, int] = {}  # of each part of the tree
    entries: list[Any] = []
    tensors: list[Core] = []
    nodes: list[Node] = []
    slots: dict[Node, int] = {}
    for tree in _postorder(expression):
        op, arg = tree.op, tree.arg
        sources = tuple([number[id(s)] for s in tree.src])
        if op == "axis":
            size = tree.size  # type: ignore[attr-defined]
            entry: Any = (op, tree.name, size, size.key if isinstance(size, Extent) else None)  # type: ignore[attr-defined]
        elif op == "read":
            if any(s.op in ("read", "where", "reduce") for t in tree.src for s in _postorder(t)):
                return None
            node = operand(arg[0])
            if node.op == "loops" and node.src[0].op == "const":
                return None
            tensors.append(arg[0])
            if node not in slots:
                slots[node] = len(nodes)
                nodes.append(node)
            entry = (op, slots[node], facts(node), arg[1], sources)
        elif op == "number":
            if isinstance(arg, Core):
                return None
            entry = (op, type(arg), arg)
        elif op == "reduce":
            entry = (op, arg[0], tuple([number.get(id(a), a.name) for a in arg[1]]), sources)
        elif op in ("binary", "where"):
            entry = (op, arg, sources)
        else:
            return None
        number[id(tree)] = len(entries)
        entries.append(entry)
    if not nodes or any(not isinstance(a, Axis) or id(a) not in number for a in axes):
        return None
    entries.append(tuple([number[id(a)] for a in axes]))
    return tuple(entries), tensors, nodes


class _Lowering:
    """One expression on its way to a body."""

    def __init__(self, root: Indexed, axes: Sequence[Axis]) -> None:
        self.order = _postorder(root)
        self.size: dict[Axis, int] = {}
        self.by_id: dict[int, Node] = {}
        self.names: dict[int, str] = {}  # of reduction variables, "" where two share an id
        reads = [t for t in self.order if t.op == "read"]
        self.tensors: list[Core] = [t.arg[0] for t in reads]
        self.tensors += [t.arg for t in self.order if t.op == "number" and isinstance(t.arg, Core)]
        self.guarded = _under_where(root)
        # Factors are read even where they are one number everywhere: what a sum of products is
        # decides in which order it is added, and a tensor that was looked at is the same.
        self.factors = {id(s) for t in self.order if t.op == "reduce" for s in _factors(t)}
        self._find_sizes(reads, axes)

    # ---- sizes ---------------------------------------------------------------------------------

    def _find_sizes(self, reads: list[Indexed], axes: Sequence[Axis]) -> None:
        every = {a: None for t in self.order for a in (t.free if t.op != "axis" else (t,))}
        for tree in self.order:
            if tree.op == "reduce":
                every.update(dict.fromkeys(tree.arg[1]))
        every.update(dict.fromkeys(axes))
        for a in every:
            if isinstance(a, Axis) and a.size is not None:
                self.size[a] = a.size
        plain: dict[Axis, Core] = {}
        for tree in reads:
            for index, size in zip(tree.src, tree.arg[0]._shape, strict=True):
                if isinstance(index, Axis) and index.size is None:
                    self._plain(index, size, tree.arg[0], plain)
        self._find_affine(reads)
        unknown = [a for a in every if isinstance(a, Axis) and a not in self.size]
        if unknown:
            a = unknown[0]
            raise ValueError(
                f"the size of axis {a.name} cannot be read off its use; give it: "
                f'gu.axis("{a.name}", size)' + at_line()
            )

    def _plain(self, a: Axis, size: int, tensor: Core, plain: dict[Axis, Core]) -> None:
        before = self.size.get(a)
        if before is None:
            self.size[a], plain[a] = size, tensor
        elif before != size:
            raise IndexError(
                f"axis {a.name} has size {int(before)} in one tensor and {int(size)} in another"
                + lined_up(one=plain[a]._shape, another=tensor._shape)
                + at_line()
            )
        elif isinstance(before, Extent) and not isinstance(size, Extent):
            self.size[a] = size

    def _find_affine(self, reads: list[Indexed]) -> None:
        """An index with one axis of unknown size: the largest that keeps it in range."""
        waiting = []
        for tree in reads:
            for index, size in zip(tree.src, tree.arg[0]._shape, strict=True):
                if any(a not in self.size for a in index.free):
                    form = affine(index)
                    if form is not None:
                        waiting.append((form, size))
        found = True
        while found:
            found = False
            for (start, factors), size in waiting:
                unknown = [a for a in factors if a not in self.size]
                if len(unknown) != 1:
                    continue
                a = unknown[0]
                top = start
                for b, factor in factors.items():
                    if b is not a and factor > 0:
                        top += factor * (int(self.size[b]) - 1)
                if factors[a] > 0:
                    self.size[a] = max(0, (int(size) - 1 - top) // factors[a] + 1)
                else:
                    low = start + sum(
                        f * (int(self.size[b]) - 1)
                        for b, f in factors.items()
                        if b is not a and f < 0
                    )
                    self.size[a] = max(0, low // -factors[a] + 1)
                found = True

    # ---- bodies --------------------------------------------------------------------------------

    def lower(self, root: Indexed) -> Node:
        """The body of the whole expression, with axes as placeholders."""
        for tree in self.order:
            self.by_id[id(tree)] = self._one(tree)
        return self.by_id[id(root)]

    def _one(self, tree: Indexed) -> Node:
        if isinstance(tree, Axis):
            return ir.axis(tree)
        if tree.op == "number":
            if isinstance(tree.arg, Core):
                return pw.read_at(operand(tree.arg), ())
            return ir.const(tree.arg, pw.number_dtype(tree.arg))
        if tree.op == "read":
            return self._read(tree)
        if tree.op == "reduce":
            return self._reduce(tree)
        nodes = [self.by_id[id(s)] for s in tree.src]
        if tree.op == "binary":
            dtype = self._common(tree.src)
            if tree.arg == "div" and not dtype.is_float:
                dtype = dt.float32
            return pw.combine(tree.arg, ir.cast(nodes[0], dtype), ir.cast(nodes[1], dtype))
        if tree.op == "where":
            if nodes[0].dtype is not dt.bool_:
                raise TypeError(
                    f"where needs a bool condition, not {nodes[0].dtype.name}" + at_line()
                )
            dtype = self._common(tree.src[1:])
            return ir.where(nodes[0], ir.cast(nodes[1], dtype), ir.cast(nodes[2], dtype))
        return tree.arg(*nodes)  # type: ignore[no-any-return]

    def _common(self, operands: Sequence[Indexed]) -> DType:
        """Promotion: indexed values first, then 0-d tensors, then numbers."""
        groups: list[DType | None] = [None, None, None]
        for s in operands:
            d = self.by_id[id(s)].dtype
            place = 0 if s.op != "number" else 1 if isinstance(s.arg, Core) else 2
            before = groups[place]
            groups[place] = d if before is None else promote(before, d)
        result: DType | None = None
        for group in groups:
            if group is not None and (result is None or pw.category(group) > pw.category(result)):
                result = group
        assert result is not None
        return result

    def _reduce(self, tree: Indexed) -> Node:
        kind, axes = tree.arg
        (source,) = tree.src
        body = self.by_id[id(source)]
        sizes = [self.size[a] for a in axes]
        count = product(sizes)
        if kind in ("max", "min", "argmax", "argmin") and count == 0:
            raise IndexError(f"{kind}({_names(axes)}): nothing to choose from: size 0" + at_line())
        mean = kind == "mean"
        if mean:
            kind = "sum"
            if not body.dtype.is_float:
                raise TypeError(f"mean needs a floating type, not {body.dtype.name}" + at_line())
        if kind in ("sum", "prod") and not body.dtype.is_float:
            body = ir.cast(body, dt.int64)
        order = self._order(kind, axes, source)
        if order == "dot":
            body = _guards_outside(body)
        variables, pairs = ir.fresh(body.depth, sizes)
        for (uid, _), a in zip(pairs, axes, strict=True):
            self.names[uid] = a.name if self.names.get(uid, a.name) == a.name else ""
        mapping = {ir.axis(a): v for a, v in zip(axes, variables, strict=True)}
        result = ir.reduce(kind, pairs, substitute(body, mapping), order)
        if not mean:
            return result
        total = result
        if result.dtype.bits == 16 and result.op == "cast":  # divided before the one rounding
            total = result.src[0]
        quotient = ir.alu("div", total, ir.cast(ir.extent(count), total.dtype))
        return ir.cast(quotient, result.dtype)

    def _order(self, kind: str, axes: Sequence[Axis], source: Indexed) -> str:
        factors = _product(source) if kind == "sum" else ()
        if (
            factors
            and self.by_id[id(source)].dtype.is_float
            and len({s.arg[0].dtype for s in factors}) == 1
        ):
            return "dot"
        for tree in _postorder(source):
            last = tree.src[-1] if tree.op == "read" and tree.src else None
            if isinstance(last, Axis) and last in axes:
                return "lanes"
        return "seq"

    # ---- reads ---------------------------------------------------------------------------------

    def _read(self, tree: Indexed) -> Node:
        tensor, beyond = tree.arg
        indices: list[Node] = []
        inside: list[Node] = []
        for d, (s, size) in enumerate(zip(tree.src, tensor._shape, strict=True)):
            index = self.by_id[id(s)]
            if index.dtype.is_float or index.dtype.kind == "b":
                raise IndexError(f"an index holds integers, not {index.dtype.name}" + at_line())
            index = ir.cast(index, dt.int64)
            indices.append(self._checked(tree, d, s, index, size, inside))
        node = operand(tensor)
        constant = node.op == "loops" and node.src[0].op == "const" and id(tree) not in self.factors
        if constant and not any(_has_read(ix) for ix in indices):  # those are checked where read
            body = node.src[0]
        else:
            body = ir.read(node, *indices)
        for condition in reversed(inside):
            body = ir.where(condition, body, ir.const(beyond, body.dtype))
        return body

    def _checked(
        self, tree: Indexed, d: int, source: Indexed, index: Node, size: int, inside: list[Node]
    ) -> Node:
        """An index that stays in its tensor; conditions for that go to `inside`."""
        tensor, beyond = tree.arg
        if isinstance(source, Axis) and self.size[source] is size:
            return index
        if any(self.size[a] == 0 for a in source.free):
            return index
        low, high = self._interval(index)
        if low >= 0 and high < size:
            return index
        if beyond is not None:
            if low < 0:
                inside.append(ir.alu("le", ir.index(0), index))
            if high >= size:
                inside.append(ir.alu("lt", index, ir.extent(size)))
            return index
        if source.op == "number" and not isinstance(source.arg, Core):
            if -size <= source.arg < size:
                return ir.index(source.arg + int(size))
            raise IndexError(f"index {source.arg} leaves axis {d} of size {int(size)}" + at_line())
        if _has_read(index):
            return self._data_index(source, index, size)
        if id(tree) in self.guarded:
            last = ir.alu("sub", ir.extent(size), ir.index(1))
            return ir.alu("minimum", ir.alu("maximum", index, ir.index(0)), last)
        sizes = ", ".join(f"{a.name} < {int(self.size[a])}" for a in source.free)
        raise IndexError(
            f"the index of axis {d} goes from {low} to {high} (for {sizes}), but the axis has size "
            f"{int(size)}; gu.outside(x, value)[…] gives reads beyond the edge a value"
            + lined_up(shape=tensor._shape)
            + at_line()
        )

    def _data_index(self, source: Indexed, index: Node, size: int) -> Node:
        """An index that was read: checked now if it is known, else when it runs."""
        low = None
        core = source.arg[0] if source.op == "read" else source.arg
        if source.op in ("read", "number") and isinstance(core, Core):
            low = check_range(core, size, "index")
        return wrapped(index, size, low)

    def _interval(self, index: Node) -> tuple[int, int]:
        """The least and the greatest value of an index."""
        if index.op in ("const", "extent"):
            return int(index.value), int(index.value)
        found = [n for n in body_nodes(index) if n.op == "axis"]
        mapping = {n: ir.out(i) for i, n in enumerate(found)}
        moved = substitute(index, mapping)
        return intervals(moved, [self.size[n.arg] for n in found])[moved]


def _factors(reduction: Indexed) -> tuple[Indexed, ...]:
    """The two tensors of a sum of products; none of another reduction."""
    return _product(reduction.src[0]) if reduction.arg[0] in ("sum", "mean") else ()


def _product(source: Indexed) -> tuple[Indexed, ...]:
    """The two tensors of a product of two, or of 0 where a condition fails; else none."""
    if source.op == "where" and source.src[2].op == "number" and source.src[2].arg == 0:
        source = source.src[1]
    plain = source.op == "binary" and source.arg == "mul"
    return tuple(source.src) if plain and all(s.op == "read" for s in source.src) else ()


def _guards_outside(product: Node) -> Node:
    """A product whose factor is zero beyond an edge is no term there: where(c, x, 0)·w becomes
    where(c, x·w, 0), so that the loops need not run there at all."""
    if product.op != "mul":
        return product
    conditions: list[Node] = []
    factors = []
    for factor in product.src:
        while factor.op == "where" and factor.src[2].op == "const" and factor.src[2].value == 0:
            conditions.append(factor.src[0])
            factor = factor.src[1]
        factors.append(factor)
    if not conditions:
        return product
    inside = conditions[0]
    for c in conditions[1:]:
        inside = ir.alu("and", inside, c)
    return ir.where(inside, ir.alu("mul", *factors), ir.const(0, product.dtype))


def _has_read(index: Node) -> bool:
    return any(n.op == "read" or n.op in TENSOR_OPS for n in body_nodes(index))


def _postorder(root: Indexed) -> list[Indexed]:
    """The trees of an expression, operands first, each object once."""
    order: list[Indexed] = []
    seen: set[int] = set()
    stack: list[tuple[Indexed, bool]] = [(root, False)]
    while stack:
        tree, ready = stack.pop()
        if ready:
            order.append(tree)
            continue
        if id(tree) in seen:
            continue
        seen.add(id(tree))
        stack.append((tree, True))
        stack.extend((s, False) for s in reversed(tree.src))
    return order


def _under_where(root: Indexed) -> set[int]:
    """The reads that happen only in a branch of a where."""
    free: set[int] = set()
    stack: list[tuple[Indexed, bool]] = [(root, False)]
    reached: set[tuple[int, bool]] = set()
    reads: set[int] = set()
    while stack:
        tree, guarded = stack.pop()
        if (id(tree), guarded) in reached:
            continue
        reached.add((id(tree), guarded))
        if tree.op == "read":
            reads.add(id(tree))
            if not guarded:
                free.add(id(tree))
        for n, s in enumerate(tree.src):
            stack.append((s, guarded or (tree.op == "where" and n > 0)))
    return reads - free


def affine(tree: Indexed) -> Affine | None:
    """(start, factor of each axis) of an index, or None if it is not of that form."""
    if isinstance(tree, Axis):
        return 0, {tree: 1}
    if tree.op == "number" and isinstance(tree.arg, int):
        return int(tree.arg), {}
    if tree.op != "binary" or tree.arg not in ("add", "sub", "mul"):
        return None
    left, right = affine(tree.src[0]), affine(tree.src[1])
    if left is None or right is None:
        return None
    if tree.arg == "mul":
        if left[1] and right[1]:
            return None
        (factor, _), (start, factors) = (right, left) if left[1] else (left, right)
        return start * factor, {a: f * factor for a, f in factors.items()}
    sign = 1 if tree.arg == "add" else -1
    factors = dict(left[1])
    for a, f in right[1].items():
        factors[a] = factors.get(a, 0) + sign * f
    return left[0] + sign * right[0], {a: f for a, f in factors.items() if f}
