"""From the axes notation to one loop nest: finds sizes, checks ranges, builds the body.

Must not know how a loop nest runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..ir import dtype as dt
from ..ir import node as ir
from ..ir.dtype import DType, promote
from ..ir.extent import Extent
from ..ir.interval import intervals
from ..ir.names import Names, remember
from ..ir.node import Node
from ..ir.recipe import Recipe, facts, forget_oldest, placeholder, record
from ..ir.transform import body_nodes, substitute
from . import pointwise as pw
from . import storage as store
from .arithmetic import combine
from .autocast import is_half
from .core import Core, finish, operand
from .errors import user_line
from .fit import fitted
from .guards import Facts, guards, verdict
from .indexing import check_range, wrapped
from .mistakes import Closing
from .mode import state
from .notation import Axis, Indexed, postorder
from .sites import Written, given
from .terms import factors, from_data, reduction
from .written import Drawing

if TYPE_CHECKING:
    from .tensor import Tensor


def close(expression: Indexed, axes: Sequence[Axis]) -> Tensor:
    """The tensor of an indexed expression whose free axes are `axes`, in this order."""
    form = _form(expression, axes)
    if form is not None:
        known = _closed.get(form[0])
        if known is not None:
            node = known[0].follow(form[2])[0]
            remember(node, known[1])
            return finish(node, *form[1])
    lowering = Lowering(expression, axes)
    body = lowering.lower(expression)
    mapping = {ir.axis(a): ir.out(n) for n, a in enumerate(axes)}
    mean = expression.op == "reduce" and expression.arg[0] == "mean"
    node = ir.loops(tuple([lowering.size[a] for a in axes]), substitute(body, mapping))
    made = body.op == "read" and body.src[0] in lowering.made
    if made and body.src[1:] == tuple(mapping):  # it is a tensor already
        node = body.src[0]
    names = [a.name for a in axes], [lowering.names[i] for i in sorted(lowering.names)]
    remember(node, names)
    tensors = lowering.tensors
    if not tensors:
        from .tensor import Tensor

        if state.anomaly is not None:
            state.anomaly(node)
        store.serial += 1
        return Tensor._make(store.Storage(node.shape, node.dtype, node))
    plain, node = node, _divided_apart(node) if mean else node
    # Memory that others write to as well is read anew each time that it is asked for: what was
    # lowered may hold another copy than the form's, and must not be filled in for others.
    inside = {n.src[0] for n in body_nodes(plain.src[0]) if n.op == "read"}
    if form is not None and not lowering.made and inside.issubset(form[2]):
        if len(_closed) >= _KEPT:
            forget_oldest(_closed)
        holders = [placeholder(i, t) for i, t in enumerate(form[2])]
        body = substitute(plain.src[0], dict(zip(form[2], holders, strict=True)))
        again = ir.loops(node.shape, body)
        recipe = record(holders, [_divided_apart(again) if mean else again])
        _closed[form[0]] = recipe, names
        # As the next time, so now: ids of reduction variables may differ from those of `node`, and
        # a captured function must give the same graph at each call.
        node = recipe.follow(form[2])[0]
        remember(node, names)
    return finish(node, *tensors)


def _divided_apart(node: Node) -> Node:
    """A mean whose sum is a tensor of its own: the derivative is then divided before it is spread
    over all terms."""
    body = node.src[0]
    quotient = body.src[0] if body.op == "cast" else body
    if quotient.op != "div" or quotient.src[0].op != "reduce":
        return node
    total = ir.read(ir.loops(node.shape, quotient.src[0]), *ir.outs(node.ndim))
    return ir.loops(node.shape, ir.cast(ir.alu("div", total, quotient.src[1]), body.dtype))


_KEPT = 4096  # forms remembered
_closed: dict[tuple[Any, ...], tuple[Recipe, Names]] = {}


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
    for tree in postorder(expression):
        op, arg = tree.op, tree.arg
        sources = tuple([number[id(s)] for s in tree.src])
        if isinstance(tree, Axis):
            entry: Any = _axis_form(tree)
        elif op == "read":
            inside = [t for t in tree.src if t.src]  # indices that are more than an axis
            if any(s.op in ("read", "where", "reduce") for t in inside for s in postorder(t)):
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
        elif op == "at":
            if id(arg) not in number:
                number[id(arg)] = len(entries)
                entries.append(_axis_form(arg))
            entry = (op, number[id(arg)], sources)
        else:
            return None
        number[id(tree)] = len(entries)
        entries.append(entry)
    if not nodes or any(not isinstance(a, Axis) or id(a) not in number for a in axes):
        return None
    entries.append(tuple([number[id(a)] for a in axes]))
    return tuple(entries), tensors, nodes


def _axis_form(a: Axis) -> tuple[Any, ...]:
    return "axis", a.name, a.size, a.size.key if isinstance(a.size, Extent) else None


class Lowering:
    """One expression on its way to a body."""

    def __init__(self, root: Indexed, axes: Sequence[Axis]) -> None:
        self.closing = Closing(root, axes)
        self.closing.check_axes()
        self.order = postorder(root)
        self.by_id: dict[int, Node] = {}
        self.made: set[Node] = set()  # tensors that are parts of the expression
        self.scans = {id(t.arg[1]): t for t in self.order if t.op == "scan"}
        self.carry_type: dict[int, DType] = {}
        self.drawing: Drawing | None = None  # for errors that are found when it runs
        self.unsure: list[int] = []  # the indices of a read that are checked then
        self.names: dict[int, str] = {}  # of reduction variables, "" where two share an id
        reads = [t for t in self.order if t.op == "read"]
        self.tensors: list[Core] = [t.arg[0] for t in reads]
        self.tensors += [t.arg for t in self.order if t.op == "number" and isinstance(t.arg, Core)]
        self.guarded = False  # there is a `where`: what holds at each read
        self.facts: dict[int, list[Facts]] | None = {}
        if any(t.op == "where" for t in self.order):
            self.guarded, self.facts = True, guards(root)
        # Factors are read even where they are one number everywhere: what a sum of products is
        # decides in which order it is added, and a tensor that was looked at is the same.
        pairs = [pair for t in self.order if t.op == "reduce" and (pair := factors(t))]
        self.factors = {id(s) for pair in pairs for s in pair}
        self.products = len(pairs)  # sums of products
        self.size = fitted(self.order, reads, axes, self.closing)

    # ---- bodies --------------------------------------------------------------------------------

    def lower(self, root: Indexed) -> Node:
        """The body of the whole expression, with axes as placeholders."""
        for tree in self.order:
            if tree.op != "at":
                self.by_id[id(tree)] = self.one(tree)
        if root.op == "at":
            raise self._unreduced(root)
        return self.by_id[id(root)]

    def place(self, a: Axis) -> int:
        """Where an axis comes in a tensor that is a part of the expression: as in the result."""
        axes = self.closing.axes
        return axes.index(a) if a in axes else len(axes)

    def one(self, tree: Indexed) -> Node:
        """The body of one part, from those of its own parts."""
        if isinstance(tree, Axis):
            return ir.axis(tree)
        if tree.op == "number":
            if isinstance(tree.arg, Core):
                return pw.read_at(operand(tree.arg), ())
            return ir.const(tree.arg, pw.number_dtype(tree.arg))
        if tree.op == "reduce":
            return reduction(self, tree)
        for s in tree.src:
            if s.op == "at":
                raise self._unreduced(s)
        if tree.op == "read":
            return self._read(tree)
        if tree.op in ("carry", "scan", "running"):
            return self._along(tree)
        if tree.op == "binary":
            dtype = self._common(tree.src)
            if tree.arg == "div" and not dtype.is_float:
                dtype = dt.float32
            return combine(tree.arg, *[self._typed(s, dtype) for s in tree.src])
        if tree.op == "apply":
            _, function, floating = tree.arg
            dtype = self._common(tree.src)
            if floating and not dtype.is_float:
                dtype = dt.float32
            wide = dt.float32 if is_half(dtype) else dtype
            result = function(*[ir.cast(self._typed(s, dtype), wide) for s in tree.src])
            return ir.cast(result, dtype) if result.dtype is wide else result
        if tree.op == "where":
            condition = self.by_id[id(tree.src[0])]
            if condition.dtype is not dt.bool_:
                raise self.closing.refused(
                    tree.src[0], f"where needs a bool condition, not {condition.dtype.name}",
                    "write x != 0",
                )  # fmt: skip
            dtype = self._common(tree.src[1:])
            return ir.where(condition, *[self._typed(s, dtype) for s in tree.src[1:]])
        return tree.arg[0](self.by_id[id(tree.src[0])])  # type: ignore[no-any-return]

    def _typed(self, tree: Indexed, dtype: DType) -> Node:
        """An operand in the type of an operation; a number is rounded once, to that type."""
        if tree.op == "number" and not isinstance(tree.arg, Core):
            return ir.const(tree.arg, dtype)
        return ir.cast(self.by_id[id(tree)], dtype)

    def _unreduced(self, tree: Indexed) -> TypeError:
        return self.closing.refused(
            tree, f"at({tree.arg.name}, …) says where the terms of a reduction go; there is none",
            "reduce right after it: x[i].at(b, index[i]).sum(i)",
        )  # fmt: skip

    def _along(self, tree: Indexed) -> Node:
        from . import recur

        if tree.op == "running":
            return recur.running(self, tree)
        if tree.op == "scan":
            recur.refuse_carry(self, tree)
            return recur.recurrence(self, tree)
        owner = self.scans.get(id(tree))
        if owner is None:
            raise self.closing.refused(
                tree, "the value before it is known only inside the step of its scan",
                "write gu.scan(t, lambda h: …), and use what it gives",
            )  # fmt: skip
        if id(tree) not in self.carry_type:
            self.carry_type[id(tree)] = recur.first_type(self, owner)
        return ir.carry(self.carry_type[id(tree)])

    def _common(self, operands: Sequence[Indexed]) -> DType:
        """Promotion: indexed values first, then 0-d tensors, then numbers."""
        groups: list[DType | None] = [None, None, None]
        for s in operands:
            d = self.by_id[id(s)].dtype
            place = 2 if s.op in ("number", "carry") else 0  # a carry takes its step's type
            if isinstance(s.arg, Core):
                place = 1
            before = groups[place]
            groups[place] = d if before is None else promote(before, d)
        result: DType | None = None
        for group in groups:
            if group is not None and (result is None or pw.category(group) > pw.category(result)):
                result = group
        assert result is not None
        return result

    # ---- reads ---------------------------------------------------------------------------------

    def _read(self, tree: Indexed) -> Node:
        tensor, beyond = tree.arg
        indices: list[Node] = []
        inside: list[Node] = []
        self.unsure = []
        for d, (s, size) in enumerate(zip(tree.src, tensor._shape, strict=True)):
            index = self.by_id[id(s)]
            if index.dtype.is_float or index.dtype.kind == "b":
                raise self.closing.wrong_index_type(tree, d, index.dtype.name)
            index = ir.cast(index, dt.int64)
            indices.append(self._checked(tree, d, s, index, size, inside))
        node = operand(tensor)
        constant = node.op == "loops" and node.src[0].op == "const" and state.anomaly is None
        constant = constant and id(tree) not in self.factors
        if constant and not any(from_data(ix) for ix in indices):  # those are checked where read
            body = node.src[0]
        else:
            body = ir.read(node, *indices)
            if self.unsure:
                ir.at_site(body, self.site(tree, self.unsure, True))
        for condition in reversed(inside):
            body = ir.where(condition, body, ir.const(beyond, body.dtype))
        return body

    def _checked(
        self, tree: Indexed, d: int, source: Indexed, index: Node, size: int, inside: list[Node]
    ) -> Node:
        """An index that stays in its tensor; conditions for that go to `inside`."""
        beyond = tree.arg[1]
        if isinstance(source, Axis) and self.size[source] is size:
            return index
        if any(self.size[a] == 0 for a in source.free):
            return index
        low, high = self.interval(index)
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
            raise self.closing.number_outside(tree, d, source.arg, int(size))
        facts = self.facts.get(id(tree), []) if self.facts is not None else None
        guarded = facts is None or all(facts)
        if from_data(index):
            always = not (self.guarded and guarded)
            try:
                place = self.data_index(source, index, size, always)
            except IndexError as error:
                raise self.closing.data_leaves(tree, d, error) from None
            if place is not index:  # nobody has looked at it yet
                self.unsure.append(d)
            return place
        if self.guarded and guarded:
            return self._guarded(tree, d, index, size, facts)
        if self.guarded or _has_extreme(source):
            found = verdict(source, int(size), (), self.size)
            if found.inside:  # the index itself asks: a clamp, a where
                return index
        raise self.closing.leaves(tree, d, (low, high), int(size), self.size)

    def data_index(self, source: Indexed, index: Node, size: int, always: bool = True) -> Node:
        """An index that was read: checked now if it is known and always used, else when it runs."""
        low = None
        core = source.arg[0] if source.op == "read" else source.arg
        if always and source.op in ("read", "number") and isinstance(core, Core):
            low = check_range(core, size, "index")
        return wrapped(index, size, low)

    def _guarded(
        self, tree: Indexed, d: int, index: Node, size: int, facts: list[Facts] | None
    ) -> Node:
        """An index that is used only where conditions hold: they keep it inside, or it is checked
        when it runs, where they hold."""
        found = [verdict(tree.src[d], int(size), f, self.size) for f in facts or ()]
        for v in found:
            if v.inside is False:
                bounds = self.interval(index)
                raise self.closing.leaves(tree, d, bounds, int(size), self.size, v.example)
        if facts and all(v.inside for v in found):
            return index
        return ir.checked(index, d, tree.arg[0]._shape, self.site(tree, [d], False))

    def site(self, tree: Indexed, axes: Sequence[int], back: bool) -> Written:
        """Where some indices of a read (or that of an `at`, number 1) were written."""
        by = given()
        if by is not None:
            return by.site(axes[0])
        if self.drawing is None:
            self.drawing = Drawing(self.closing.root, self.closing.axes)
        drawn, texts = {}, {}
        for d in axes:
            drawn[d], texts[d] = self.drawing.marked((id(tree), d))
        if tree.op == "at":
            return Written(drawn, "", user_line(), back, None, texts, tree.arg.name)
        table = self.drawing.names[id(tree.arg[0])]
        return Written(drawn, table, user_line(), back, None, texts)

    def interval(self, index: Node) -> tuple[int, int]:
        """The least and the greatest value of an index."""
        if index.op in ("const", "extent"):
            return int(index.value), int(index.value)
        found = [n for n in body_nodes(index) if n.op == "axis"]
        mapping = {n: ir.out(i) for i, n in enumerate(found)}
        moved = substitute(index, mapping)
        return intervals(moved, [self.size[n.arg] for n in found])[moved]


def _has_extreme(source: Indexed) -> bool:
    return any(t.op == "binary" and t.arg in ("maximum", "minimum") for t in postorder(source))
