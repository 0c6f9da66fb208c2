"""The axes notation: loops written as indexed expressions, closed into tensors by `.order()`.

    i, j, k = gu.axes("i j k")
    c = (a[i, k] * b[k, j]).sum(k).order(i, j)

Until it is closed an expression is a small tree; sizes are found, ranges checked and the tree
turned into one loop nest at `.order()`. Must not know how a loop nest runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..ir import dtype as dt
from ..ir import node as ir
from ..ir.dtype import DType
from ..ir.node import Node
from . import pointwise as pw
from .core import Core, Deferred
from .errors import at_line

if TYPE_CHECKING:
    from .tensor import Tensor

_of: Any = pw  # its functions give an Indexed for an Indexed


class Indexed(Deferred):
    """A value for each combination of some axes; `.order(i, j)` makes it a Tensor.

    op      src                 arg
    axis                        (this is an Axis)
    number                      a Python number or 0-d tensor
    read    index for each axis (tensor, value beyond its edge or None)
    map     operands            function of nodes
    reduce  (body,)             (kind, axes)
    """

    __slots__ = ("arg", "free", "op", "src")

    op: str
    src: tuple[Indexed, ...]
    arg: Any
    free: dict[Axis, None]

    def __init__(self, op: str, src: tuple[Indexed, ...], arg: Any) -> None:
        self.op, self.src, self.arg = op, src, arg
        self.free = {}
        for s in src:
            self.free.update(s.free)

    # ---- closing -------------------------------------------------------------------------------

    def order(self, *axes: Axis) -> Tensor:
        """The tensor whose axes are these, in this order.

        Raises IndexError for an access that can leave its tensor, ValueError for an axis that is
        left over, missing, or of unknown size.
        """
        from .lower import close

        return close(self, axes)

    # ---- reductions ----------------------------------------------------------------------------

    def _reduce(self, kind: str, axes: tuple[Axis, ...]) -> Indexed:
        if not axes:
            raise ValueError(f"{kind} needs the axes to reduce over, as in .{kind}(k)" + at_line())
        for axis in axes:
            if not isinstance(axis, Axis):
                raise TypeError(
                    f"{kind} reduces over axes, not {type(axis).__name__}: {axis!r}" + at_line()
                )
            if axis not in self.free:
                raise ValueError(
                    f"{kind}({axis.name}): the expression does not depend on axis {axis.name}; it "
                    f"has {_names(self.free)}" + at_line()
                )
        if len(set(axes)) != len(axes):
            raise ValueError(f"{kind}: an axis is named twice: {_names(axes)}" + at_line())
        result = Indexed("reduce", (self,), (kind, axes))
        result.free = {a: None for a in self.free if a not in axes}
        return result

    def sum(self, *axes: Axis) -> Indexed:
        """Σ over axes; integers sum in int64."""
        return self._reduce("sum", axes)

    def prod(self, *axes: Axis) -> Indexed:
        """Π over axes."""
        return self._reduce("prod", axes)

    def max(self, *axes: Axis) -> Indexed:
        """The greatest over axes; NaN wins."""
        return self._reduce("max", axes)

    def min(self, *axes: Axis) -> Indexed:
        """The least over axes; NaN wins."""
        return self._reduce("min", axes)

    def argmax(self, *axes: Axis) -> Indexed:
        """The row-major position of the first greatest over axes."""
        return self._reduce("argmax", axes)

    def argmin(self, *axes: Axis) -> Indexed:
        """The row-major position of the first least over axes."""
        return self._reduce("argmin", axes)

    def mean(self, *axes: Axis) -> Indexed:
        """Σ / n over axes"""
        return self._reduce("mean", axes)

    def logsumexp(self, *axes: Axis) -> Indexed:
        """log Σ e^x over axes, as m + log Σ e^(x − m), m the maximum (0 where infinite)"""
        greatest = self.max(*axes)
        shift = _of.where(_of.isfinite(greatest), greatest, 0.0)
        return _of.exp(self - shift).sum(*axes).log() + shift  # type: ignore[no-any-return]

    # ---- pointwise -----------------------------------------------------------------------------

    def mapped(self, body: Callable[[Node], Node], floating: bool) -> Indexed:
        def call(x: Node) -> Node:
            return body(ir.cast(x, dt.float32) if floating and not x.dtype.is_float else x)

        return Indexed("map", (self,), call)

    def __add__(self, other: Any) -> Indexed:
        return combined("add", self, other)

    def __radd__(self, other: Any) -> Indexed:
        return combined("add", other, self)

    def __sub__(self, other: Any) -> Indexed:
        return combined("sub", self, other)

    def __rsub__(self, other: Any) -> Indexed:
        return combined("sub", other, self)

    def __mul__(self, other: Any) -> Indexed:
        return combined("mul", self, other)

    def __rmul__(self, other: Any) -> Indexed:
        return combined("mul", other, self)

    def __truediv__(self, other: Any) -> Indexed:
        return combined("div", self, other)

    def __rtruediv__(self, other: Any) -> Indexed:
        return combined("div", other, self)

    def __floordiv__(self, other: Any) -> Indexed:
        return combined("floordiv", self, other)

    def __rfloordiv__(self, other: Any) -> Indexed:
        return combined("floordiv", other, self)

    def __mod__(self, other: Any) -> Indexed:
        return combined("mod", self, other)

    def __pow__(self, other: Any) -> Indexed:
        return combined("pow", self, other)

    def __lt__(self, other: Any) -> Indexed:
        return combined("lt", self, other)

    def __le__(self, other: Any) -> Indexed:
        return combined("le", self, other)

    def __gt__(self, other: Any) -> Indexed:
        return combined("lt", other, self)

    def __ge__(self, other: Any) -> Indexed:
        return combined("le", other, self)

    def eq(self, other: Any) -> Indexed:
        """x == y for each element (axes themselves compare by identity)."""
        return combined("eq", self, other)

    def ne(self, other: Any) -> Indexed:
        """x != y for each element."""
        return combined("ne", self, other)

    def __eq__(self, other: object) -> Any:
        return combined("eq", self, other)

    def __ne__(self, other: object) -> Any:
        return combined("ne", self, other)

    __hash__ = None  # type: ignore[assignment]

    def __and__(self, other: Any) -> Indexed:
        return combined("and", self, other)

    def __or__(self, other: Any) -> Indexed:
        return combined("or", self, other)

    def __xor__(self, other: Any) -> Indexed:
        return combined("xor", self, other)

    def __invert__(self) -> Indexed:
        return Indexed("map", (self,), lambda x: ir.alu("not", x))

    def __neg__(self) -> Indexed:
        return Indexed("map", (self,), lambda x: ir.alu("neg", x))

    def __abs__(self) -> Indexed:
        return self.abs()

    def __bool__(self) -> bool:
        raise TypeError(
            "an indexed expression has no truth value: use gu.where, and & | ~ for and, or, not"
            + at_line()
        )

    def __iter__(self) -> Any:
        raise TypeError(
            "an indexed expression cannot be iterated; close it by .order()" + at_line()
        )

    def exp(self) -> Indexed:
        """e^x"""
        return _of.exp(self)  # type: ignore[no-any-return]

    def log(self) -> Indexed:
        """log x"""
        return _of.log(self)  # type: ignore[no-any-return]

    def sqrt(self) -> Indexed:
        """√x"""
        return _of.sqrt(self)  # type: ignore[no-any-return]

    def rsqrt(self) -> Indexed:
        """1 / √x"""
        return _of.rsqrt(self)  # type: ignore[no-any-return]

    def tanh(self) -> Indexed:
        """tanh x"""
        return _of.tanh(self)  # type: ignore[no-any-return]

    def sigmoid(self) -> Indexed:
        """1 / (1 + e^−x)"""
        return _of.sigmoid(self)  # type: ignore[no-any-return]

    def relu(self) -> Indexed:
        """max(x, 0)"""
        return _of.relu(self)  # type: ignore[no-any-return]

    def abs(self) -> Indexed:
        """|x|"""
        return Indexed("map", (self,), lambda x: ir.alu("abs", x))

    def clamp(self, low: float | None = None, high: float | None = None) -> Indexed:
        """min(max(x, low), high)"""
        result = self
        if low is not None:
            result = _of.where(result < low, low, result)
        if high is not None:
            result = _of.where(result > high, high, result)
        return result

    def to(self, dtype: DType) -> Indexed:
        """x converted to a type."""
        return Indexed("map", (self,), lambda x: ir.cast(x, dtype))

    def float(self) -> Indexed:
        """x as float32"""
        return self.to(dt.float32)

    def long(self) -> Indexed:
        """x as int64"""
        return self.to(dt.int64)

    def combined(self, op: str, a: Any, b: Any) -> Indexed:
        return combined(op, a, b)

    def chosen(self, condition: Any, a: Any, b: Any) -> Indexed:
        return chosen(condition, a, b)

    def __repr__(self) -> str:
        return f"<indexed by {_names(self.free)}; .order(…) makes it a tensor>"


class Axis(Indexed):
    """A loop variable: compares by identity, never changes; its value is its position."""

    __slots__ = ("name", "size")

    def __init__(self, name: str, size: int | None = None) -> None:
        if size is not None and size < 0:
            raise ValueError(f"axis {name}: a size is 0 or more, not {size}" + at_line())
        self.name, self.size = name, size
        self.op, self.src, self.arg = "axis", (), None
        self.free = {self: None}

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

    >>> p = gu.axis("p", 28)
    """
    return Axis(name, size)


def axes(names: str | int) -> tuple[Axis, ...]:
    """One axis for each name; their sizes come from their use.

    >>> i, j, k = gu.axes("i j k")
    >>> a, b = gu.ones(2, 3), gu.ones(3, 4)
    >>> (a[i, k] * b[k, j]).sum(k).order(i, j).shape
    (2, 4)
    """
    if isinstance(names, int):
        return tuple(Axis(f"a{n}") for n in range(names))
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
    raise TypeError(f"expected an indexed expression or a number, not {value!r}" + at_line())


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
        raise IndexError(
            f"with axes, a tensor needs one index for each of its {tensor.ndim} axes (axes, "
            f"arithmetic of axes, integers, other indexed tensors)" + at_line()
        )
    return Indexed("read", tuple(_tree(i) for i in items), (tensor, beyond))


class Outside:
    """A tensor that has a value beyond its edges."""

    __slots__ = ("tensor", "value")

    def __init__(self, tensor: Core, value: float) -> None:
        self.tensor, self.value = tensor, value

    def __getitem__(self, key: Any) -> Indexed:
        return indexed(self.tensor, key, self.value)


def outside(x: Core, value: float = 0.0) -> Outside:
    """x with a value for reads beyond its edges, to be indexed by axes.

    >>> i, u = gu.axis("i", 3), gu.axis("u", 3)
    >>> x = gu.tensor([1.0, 2.0, 4.0])
    >>> gu.outside(x, 0.0)[i + u - 1].sum(u).order(i).tolist()
    [3.0, 7.0, 6.0]
    """
    return Outside(x, value)
