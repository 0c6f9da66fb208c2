"""The axes notation: loops written as indexed expressions, closed into tensors by `.order()`.

    i, j, k = gu.axes("i j k")
    c = (a[i, k] * b[k, j]).sum(k).order(i, j)

Until it is closed an expression is a small tree; sizes are found, ranges checked and the tree
turned into one loop nest at `.order()`. Must not know how a loop nest runs.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable
from operator import index
from typing import TYPE_CHECKING, Any

from ..ir import dtype as dt
from ..ir import node as ir
from ..ir.node import Node
from . import door
from . import pointwise as pw
from .arithmetic import SIGNS
from .core import Core
from .elementwise import Elementwise
from .errors import at_line

if TYPE_CHECKING:
    from .tensor import Tensor


class Indexed(Elementwise):
    """A value for each combination of some axes; `.order(i, j)` makes it a Tensor.

    op       src                 arg
    axis                         (this is an Axis)
    number                       a Python number or 0-d tensor
    read     index for each axis (tensor, value beyond its edge or None)
    map      (x,)                (function of a node, its name)
    binary   (a, b)              name
    apply    (a, b)              (name, function of two nodes, makes integers float32 first)
    where    (condition, a, b)
    reduce   (body,)             (kind, axes)
    at       (x, index)          axis that is `index`: where it is not, there is no term
    carry                        (in a scan: its value before)
    scan     (first?, body)      (axis, the carry, its start or None, reverse)
    running  (x,)                (kind, axis, reverse)

    shown: what the user wrote, where that is made of other operations: (name, operands, axes).
    """

    __slots__ = ("arg", "free", "op", "shown", "src")
    __array_ufunc__ = None  # NumPy's numbers and arrays leave arithmetic to this class

    op: str
    src: tuple[Indexed, ...]
    arg: Any
    free: dict[Axis, None]
    shown: tuple[str, tuple[Indexed, ...], tuple[Axis, ...]] | None

    def __init__(self, op: str, src: tuple[Indexed, ...], arg: Any) -> None:
        if door.watcher is not None:
            door.watcher()
        self.op, self.src, self.arg, self.shown = op, src, arg, None
        self.free = {}
        for s in src:
            self.free.update(s.free)

    # ---- closing -------------------------------------------------------------------------------

    def order(self, *axes: Axis) -> Tensor:
        """The tensor whose axes are these, in this order.

        Every access stays in its tensor, which is proved here: by the sizes of the axes, by a clamp
        or a `where` in the index, or by the conditions of a `where` around the access. An index or
        a condition that comes from data is looked at when it runs: a read whose condition is false
        does not happen; one whose condition is true and whose index leaves its tensor is an
        IndexError when a value is asked for. (What a reduction or scan computes as a tensor of its
        own, a cumsum or what follows `at`, runs everywhere: the `where` belongs inside it.)

        Raises IndexError for an access that can leave its tensor, ValueError for an axis that is
        left over, missing, or of unknown size, TypeError for an index that is no integer.

        >>> i, j = gu.axes("i j")
        >>> x = gu.arange(6.0).reshape(2, 3)
        >>> x[i, j].order(j, i).tolist()
        [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
        """
        from .lower import close

        return close(self, axes)

    # ---- reductions ----------------------------------------------------------------------------

    def _reduce(self, kind: str, axes: tuple[Axis, ...]) -> Indexed:
        result = Indexed("reduce", (self,), (kind, axes))
        known = axes and all(isinstance(a, Axis) and a in self.free for a in axes)
        if not known or len(set(axes)) != len(axes):
            from .mistakes import cannot_reduce

            raise cannot_reduce(result)
        source = self
        while source.op == "at":
            if source.arg in axes:
                from .mistakes import placed_axis

                raise placed_axis(result, axes.index(source.arg))
            source = source.src[0]
        result.free = {a: None for a in self.free if a not in axes}
        return result

    def sum(self, *axes: Axis) -> Indexed:
        """Σ over axes; integers sum in int64.

        >>> i, j = gu.axes("i j")
        >>> gu.ones(2, 3)[i, j].sum(j).order(i).tolist()
        [3.0, 3.0]
        """
        return self._reduce("sum", axes)

    def prod(self, *axes: Axis) -> Indexed:
        """Π over axes; integers multiply in int64

        >>> i, j = gu.axes("i j")
        >>> x = gu.tensor([[1.0, 3.0], [2.0, 4.0]])
        >>> x[i, j].prod(j).order(i).tolist()
        [3.0, 8.0]
        """
        return self._reduce("prod", axes)

    def max(self, *axes: Axis) -> Indexed:
        """The greatest over axes; NaN wins. Of equals, the first takes the derivative.

        >>> i, j = gu.axes("i j")
        >>> x = gu.tensor([[1.0, 3.0], [2.0, 4.0]])
        >>> x[i, j].max(i).order(j).tolist()
        [2.0, 4.0]
        """
        return self._reduce("max", axes)

    def min(self, *axes: Axis) -> Indexed:
        """The least over axes; NaN wins. Of equals, the first takes the derivative.

        >>> i, j = gu.axes("i j")
        >>> x = gu.tensor([[1.0, 3.0], [2.0, 4.0]])
        >>> x[i, j].min(i, j).order().item()
        1.0
        """
        return self._reduce("min", axes)

    def argmax(self, *axes: Axis) -> Indexed:
        """The row-major position of the first greatest over axes, an int64

        >>> i, j = gu.axes("i j")
        >>> x = gu.tensor([[1.0, 3.0], [2.0, 4.0]])
        >>> x[i, j].argmax(j).order(i).tolist(), x[i, j].argmax(i, j).order().item()
        ([1, 1], 3)
        """
        return self._reduce("argmax", axes)

    def argmin(self, *axes: Axis) -> Indexed:
        """The row-major position of the first least over axes, an int64

        >>> i, j = gu.axes("i j")
        >>> x = gu.tensor([[1.0, 3.0], [2.0, 4.0]])
        >>> x[i, j].argmin(i).order(j).tolist()
        [0, 0]
        """
        return self._reduce("argmin", axes)

    def mean(self, *axes: Axis) -> Indexed:
        """Σ / n over axes, of a floating type; after `at`, n is how many terms there are

        >>> i, j = gu.axes("i j")
        >>> x = gu.tensor([[1.0, 3.0], [2.0, 4.0]])
        >>> x[i, j].mean(j).order(i).tolist()
        [2.0, 3.0]
        """
        return self._reduce("mean", axes)

    def any(self, *axes: Axis) -> Indexed:
        """Is one of them true (not 0)? Of none: False

        >>> i, j = gu.axes("i j")
        >>> (gu.eye(2)[i, j] > 0).any(j).order(i).tolist()
        [True, True]
        """
        return self._reduce("any", axes)

    def all(self, *axes: Axis) -> Indexed:
        """Are all of them true (not 0)? Of none: True

        >>> i, j = gu.axes("i j")
        >>> (gu.eye(2)[i, j] > 0).all(j).order(i).tolist()
        [False, False]
        """
        return self._reduce("all", axes)

    def logsumexp(self, *axes: Axis) -> Indexed:
        """log Σ e^x over axes, as m + log Σ e^(x − m), m the maximum (0 where infinite)

        >>> i = gu.axis("i")
        >>> gu.zeros(4)[i].logsumexp(i).exp().order().item()
        4.0
        """
        self._reduce("logsumexp", axes)  # refuses in its own name
        placed: list[Indexed] = []
        terms = self
        while terms.op == "at":
            placed.append(terms)
            terms = terms.src[0]
        greatest = self.max(*axes)
        greatest.shown = ("max", (self,), axes)  # of no terms it is −∞, which nobody asked for
        greatest = greatest.detach()
        shift = pw.where(pw.isfinite(greatest), greatest, 0.0)
        powers = pw.exp(terms - shift)
        for p in reversed(placed):
            powers = powers.at(p.arg, p.src[1])
        return (powers.sum(*axes).log() + shift).known_as("logsumexp", (self,), axes)

    # ---- to a position, along an axis ------------------------------------------------------------

    def at(self, axis: Axis, index: Any) -> Indexed:
        """x where `axis` is `index`, and no term elsewhere: what y[index] += x writes on the left.

            y[label[i], f] += x[i, f]     is     x[i, f].at(c, label[i]).sum(i).order(c, f)

        index: an integer expression, usually read from a tensor; several `at` for several axes.
        A reduction follows at once: sum, prod, max, min, mean, any, all, logsumexp of the terms
        that go to each position, in their order. To a position where nothing goes it gives its
        neutral element: 0, 1, −∞ (or the type's least), ∞, 0/0, False, True, −∞.
        The axis needs a size of its own or from another use. An index that is computed from axes is
        solved for: x[i].at(c, 2*i + 1).sum(i) reads x[(c − 1) / 2] where c is odd. One that is read
        from data costs a sort of the positions, not a search. An index counts from the back where
        it is negative; IndexError if it leaves the axis.

        >>> i, b = gu.axis("i"), gu.axis("b", 4)
        >>> x = gu.tensor([0, 3, 3, 1])
        >>> gu.ones(4)[i].at(b, x[i]).sum(i).order(b).tolist()   # a histogram
        [1.0, 1.0, 0.0, 2.0]
        """
        if not isinstance(axis, Axis):
            raise TypeError(f"at takes an axis and its index, not {axis!r}" + at_line())
        place = _tree(index)
        result = Indexed("at", (self, place), axis)
        result.free[axis] = None
        if axis in place.free:
            from .mistakes import own_axis

            raise own_axis(result)
        return result

    def _running(self, kind: str, axis: Axis, reverse: bool) -> Indexed:
        if not isinstance(reverse, bool):
            raise TypeError(
                f"{kind} runs along one axis; reverse is True or False, not {reverse!r}: write "
                f".{kind}(i).{kind}(j) for two" + at_line()
            )
        result = Indexed("running", (self,), (kind, axis, reverse))
        if not isinstance(axis, Axis) or axis not in self.free:
            from .mistakes import cannot_reduce

            raise cannot_reduce(result)
        return result

    def cumsum(self, axis: Axis, reverse: bool = False) -> Indexed:
        """Σ up to each position of an axis (reverse: from there on); integers sum in int64

        >>> i = gu.axis("i")
        >>> gu.tensor([1.0, 2.0, 4.0])[i].cumsum(i).order(i).tolist()
        [1.0, 3.0, 7.0]
        """
        return self._running("cumsum", axis, reverse)

    def cumprod(self, axis: Axis, reverse: bool = False) -> Indexed:
        """Π up to each position of an axis (reverse: from there on)

        >>> i = gu.axis("i")
        >>> gu.tensor([1.0, 2.0, 4.0])[i].cumprod(i).order(i).tolist()
        [1.0, 2.0, 8.0]
        """
        return self._running("cumprod", axis, reverse)

    def cummax(self, axis: Axis, reverse: bool = False) -> Indexed:
        """The greatest up to each position of an axis (reverse: from there on); NaN wins

        >>> i = gu.axis("i")
        >>> gu.tensor([1.0, 4.0, 2.0])[i].cummax(i).order(i).tolist()
        [1.0, 4.0, 4.0]
        """
        return self._running("cummax", axis, reverse)

    def cummin(self, axis: Axis, reverse: bool = False) -> Indexed:
        """The least up to each position of an axis (reverse: from there on); NaN wins

        >>> i = gu.axis("i")
        >>> gu.tensor([1.0, 4.0, 2.0])[i].cummin(i, reverse=True).order(i).tolist()
        [1.0, 2.0, 2.0]
        """
        return self._running("cummin", axis, reverse)

    # ---- what it is made of ----------------------------------------------------------------------

    def detach(self) -> Indexed:
        """The same value, through which no derivative flows.

        >>> i, j = gu.axes("i j")
        >>> x = gu.ones(1, 2, requires_grad=True)
        >>> e = (x[i, j] - x[i, j].max(j).detach()).exp()
        >>> (e / e.sum(j)).order(i, j).tolist()  # softmax, whose shift has no slope
        [[0.5, 0.5]]
        """
        return _detached(self)

    def known_as(
        self, name: str, operands: tuple[Any, ...], axes: tuple[Axis, ...] = ()
    ) -> Indexed:
        """Itself, which errors show as name(operands, axes), not as what that is made of."""
        self.shown = (name, tuple([_tree(x) for x in operands]), axes)
        return self

    def mapped(self, body: Callable[[Node], Node], floating: bool, name: str) -> Indexed:
        def call(x: Node) -> Node:
            return body(ir.cast(x, dt.float32) if floating and not x.dtype.is_float else x)

        return Indexed("map", (self,), (call, name))

    def __bool__(self) -> bool:
        raise TypeError(
            "an indexed expression has no truth value: use gu.where, and & | ~ for and, or, not"
            + at_line()
        )

    def __iter__(self) -> Any:
        raise TypeError(
            "an indexed expression cannot be iterated; close it by .order()" + at_line()
        )

    if not TYPE_CHECKING:  # checkers know what there is

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            from .mistakes import no_attribute

            raise no_attribute(self, name)

    def combined(self, op: str, a: Any, b: Any) -> Indexed:
        return combined(op, a, b)

    def applied(
        self, name: str, body: Callable[[Node, Node], Node], floating: bool, a: Any, b: Any
    ) -> Indexed:
        return Indexed("apply", (_tree(a), _tree(b)), (name, body, floating))

    def chosen(self, condition: Any, a: Any, b: Any) -> Indexed:
        return chosen(condition, a, b)

    def __repr__(self) -> str:
        from .written import text

        return f"<{text(self)}, indexed by {_names(self.free)}; .order(…) makes it a tensor>"


class Axis(Indexed):
    """A loop variable: compares by identity, never changes; its value is its position."""

    __slots__ = ("name", "size")

    name: str
    size: int | None

    def __init__(self, name: str, size: int | None = None) -> None:
        if size is not None:
            if isinstance(size, bool) or not hasattr(size, "__index__"):
                raise TypeError(f"axis {name}: a size is an integer, not {size!r}" + at_line())
            size = size if isinstance(size, int) else index(size)
            if size < 0:
                raise ValueError(f"axis {name}: a size is 0 or more, not {size}" + at_line())
        if not isinstance(name, str) or not name:
            raise TypeError(f"an axis has a name, such as gu.axis(\"p\"), not {name!r}" + at_line())
        door.passing()
        parts = {"name": name, "size": size, "op": "axis", "src": (), "arg": None, "shown": None}
        for part, value in (*parts.items(), ("free", {self: None})):
            object.__setattr__(self, part, value)

    def __setattr__(self, part: str, value: Any) -> None:
        raise AttributeError(
            f"axis {self.name} never changes, since other expressions may use it: make another, "
            f"gu.axis({self.name!r}, size)" + at_line()
        )

    def __reduce__(self) -> Any:
        return Axis, (self.name, self.size)

    def __copy__(self) -> Axis:
        return self

    def __deepcopy__(self, memo: object) -> Axis:
        return self  # a loop variable is itself: a copy would be another loop

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)

    def __repr__(self) -> str:
        return f"axis({self.name!r}{'' if self.size is None else f', {self.size}'})"


def _names(axes: Any) -> str:
    return ", ".join(a.name for a in axes) or "no axis"


def axis(name: str, size: int | None = None) -> Axis:
    """An axis, with a size if it cannot be read off its use.

    Axes compare by identity: two of one name are two loops. A size may be smaller than that of the
    tensors that it indexes. Raises TypeError and ValueError for a size that is no integer from 0.

    >>> p = gu.axis("p", 28)
    """
    return Axis(name, size)


def axes(names: str | int) -> tuple[Axis, ...]:
    """One axis for each name (or so many axes); their sizes come from their use.

    >>> i, j, k = gu.axes("i j k")
    >>> a, b = gu.ones(2, 3), gu.ones(3, 4)
    >>> (a[i, k] * b[k, j]).sum(k).order(i, j).shape
    (2, 4)
    """
    if isinstance(names, int):
        return tuple(Axis(f"a{n}") for n in range(names))
    if not isinstance(names, str):
        raise TypeError(
            f'axes takes names in one string, as in gu.axes("i j k"), not {names!r}' + at_line()
        )
    return tuple(Axis(name) for name in names.replace(",", " ").split())


def _tree(value: Any) -> Indexed:
    if isinstance(value, Indexed):
        return value
    if isinstance(value, Core):
        if value.ndim:
            raise TypeError(
                f"an indexed expression mixes with numbers and 0-d tensors, not with a tensor of "
                f"shape {tuple(value.shape)}: index it by axes too" + at_line()
            )
        return Indexed("number", (), value)
    if isinstance(value, int | float):
        return Indexed("number", (), value)
    if isinstance(value, numbers.Real):  # NumPy's
        return Indexed("number", (), index(value) if hasattr(value, "__index__") else float(value))
    raise TypeError(f"expected an indexed expression or a number, not {value!r}" + at_line())


def _detached(root: Indexed) -> Indexed:
    """A tree whose tensors have no history."""
    new: dict[int, Indexed] = {}
    for tree in postorder(root):
        src = tuple([new[id(s)] for s in tree.src])
        arg = tree.arg
        held = arg[0] if tree.op == "read" else arg
        if isinstance(held, Core) and held.tracked():
            plain: Core = held.detach()  # type: ignore[attr-defined]
            arg = (plain, arg[1]) if tree.op == "read" else plain
        changed = arg is not tree.arg or any(a is not b for a, b in zip(src, tree.src, strict=True))
        if not changed:
            new[id(tree)] = tree
            continue
        bare = new[id(tree)] = Indexed(tree.op, src, arg)
        bare.free = tree.free
        if tree.shown is not None:
            name, operands, axes = tree.shown
            bare.shown = name, tuple([new.get(id(x), x) for x in operands]), axes
    return new[id(root)]


def postorder(root: Indexed) -> list[Indexed]:
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
        if not tree.src:
            order.append(tree)
            continue
        stack.append((tree, True))
        stack.extend([(s, False) for s in tree.src[::-1]])
    return order


def combined(op: str, a: Any, b: Any) -> Indexed:
    """A pointwise operation of two operands of which one is indexed."""
    return Indexed("binary", (_tree(a), _tree(b)), op)


def chosen(condition: Any, a: Any, b: Any) -> Indexed:
    """a where the condition holds, else b."""
    return Indexed("where", (_tree(condition), _tree(a), _tree(b)), None)


def indexed(tensor: Core, key: Any, beyond: float | None = None) -> Indexed:
    """x[i, 2 * j + 1, 0, …]: one index for each axis of a tensor."""
    items = key if isinstance(key, tuple) else (key,)
    if len(items) != tensor.ndim or any(
        i is None or i is Ellipsis or isinstance(i, slice) for i in items
    ):
        from .mistakes import one_index_each

        raise one_index_each(tensor, items)
    result = Indexed("read", tuple([_tree(i) for i in items]), (tensor, beyond))
    for n, place in enumerate(result.src):
        if place.op != "axis":
            reason = _no_index(place)
            if reason:
                from .mistakes import not_affine

                raise not_affine(result, n, reason)
    return result


_FRACTIONS = {
    "exp", "expm1", "log", "log1p", "log2", "log10", "sqrt", "rsqrt", "reciprocal", "sin", "cos",
    "tan", "tanh", "erf", "sigmoid",
}  # fmt: skip


def _no_index(tree: Indexed) -> str:
    """Why an expression of axes is no index, or nothing: only sums of multiples of axes, and these
    divided by constants, are known to stay in range. What is read is checked when it runs."""
    if tree.op == "number" and isinstance(tree.arg, float):
        return f"{tree.arg} is no integer"
    if tree.op == "map":
        name = tree.arg[1]
        if name in _FRACTIONS:
            return f"{name} gives a fraction"
        return "" if name.startswith("to[") else _no_index(tree.src[0])
    if tree.op != "binary":
        return ""
    a, b = tree.src
    if tree.arg in ("floordiv", "mod") and b.op == "number" and not isinstance(b.arg, Core):
        if not b.arg:
            return f"{SIGNS[tree.arg]} by 0 has no value"
        if b.arg < 0 and not isinstance(b.arg, float):
            return f"{SIGNS[tree.arg]} by {b.arg} is 0 or less"
    reason = _no_index(a) or _no_index(b)
    if reason or any(s.op in ("read", "reduce", "where") for t in tree.src for s in postorder(t)):
        return reason
    if tree.arg == "mul" and a.free and b.free:
        return "a product of axes is not affine"
    if tree.arg in ("floordiv", "mod", "pow") and b.free:
        return f"{'//' if tree.arg == 'floordiv' else SIGNS[tree.arg]} by an axis is not affine"
    if tree.arg == "pow" and a.free:
        return "a power of an axis is not affine"
    if tree.arg == "div":
        return "/ gives a fraction"
    return ""


def scan(
    axis: Axis, step: Callable[[Indexed], Any], start: Any = 0.0, reverse: bool = False
) -> Indexed:
    """h[t] = step(h[t − 1]) along an axis, with h[−1] = `start`: a recurrence, element by element.

    step: a function of the value before that gives the value here; it may read anything at `axis`
    and further axes, but sums over neither the value before it nor other elements of it.
    start: a number, a 0-d tensor, or an expression without `axis`. reverse: from the last position
    to the first. Differentiable by all that `step` and `start` read.

    >>> t = gu.axis("t")
    >>> a, x = gu.full((3,), 0.5), gu.ones(3)
    >>> gu.scan(t, lambda h: a[t] * h + x[t]).order(t).tolist()
    [1.0, 1.5, 1.75]
    """
    if not isinstance(axis, Axis):
        raise TypeError(f"scan runs along an axis, not {axis!r}" + at_line())
    carry = Indexed("carry", (), None)
    source: tuple[Indexed, ...] = (_tree(step(carry)),)  # the first value, then the others
    number = isinstance(start, int | float)
    if not number:
        source = (_tree(step(_tree(start))), *source)
        if axis in _tree(start).free:
            raise ValueError(
                f"scan: the start is what there is before axis {axis.name}; it cannot depend on it"
                + at_line()
            )
    result = Indexed("scan", source, (axis, carry, start if number else None, reverse))
    result.free[axis] = None
    return result
