"""What a tensor holds, in one line: range, mean, spread, and how many elements are NaN, infinite or
zero. Counted by one run of kernels that serve tensors of many sizes. Must not know how a tensor is
printed in full.
"""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from ..emit.elements import load
from ..ir import dtype as dt
from ..ir import node as ir
from ..ir.dtype import DType
from ..ir.extent import Extent, Symbol
from ..ir.node import Node
from ..runtime import Buffer
from . import storage as store
from .core import Core, force, value_of
from .engine import compute
from .errors import shape_text
from .misuse import named
from .storage import Storage

if TYPE_CHECKING:
    from .tensor import Tensor

FEW = 10  # elements: of so many the values are shown
_SIZE = Symbol("n", loose=True)  # one plan serves tensors of every size


class Summary(NamedTuple):
    """What a tensor holds; `str` says it in one line.

    least, greatest, mean, std: of the finite elements, None where there are none; std as
    `Tensor.std` computes it (divided by n - 1), None for fewer than two. For complex tensors, of
    the absolute values. zeros, nan, inf: how many elements are that. state: whether derivatives
    are asked for, and whether there is one. values: all of them, where they are few.
    """

    shape: tuple[int, ...]
    dtype: str
    n: int
    least: float | None
    greatest: float | None
    mean: float | None
    std: float | None
    zeros: int
    nan: int
    inf: int
    state: str
    values: str

    def __str__(self) -> str:
        parts = [f"{self.dtype} {shape_text(self.shape)}"]
        if self.n != 1 or self.shape:
            parts.append(f"n={self.n}")
        if self.dtype == "bool" and self.n:
            parts.append(f"{self.n - self.zeros} true")
        elif self.n > 1 and self.least is not None and self.greatest is not None:
            of = "|x|" if self.dtype.startswith("complex") else "x"
            parts.append(f"{of}∈[{number_text(self.least)}, {number_text(self.greatest)}]")
            parts.append(f"mean={number_text(self.mean)}")
            if self.std is not None:
                parts.append(f"std={number_text(self.std)}")
        if self.n > 1 and self.zeros and self.dtype != "bool":
            parts.append("all zero" if self.zeros == self.n else f"{self.zeros} zero")
        parts += [f"{count} {name}!" for count, name in ((self.nan, "NaN"), (self.inf, "Inf"))
                  if count]  # fmt: skip
        if self.state:
            parts.append(self.state)
        return " ".join(parts) + (f" {self.values}" if self.values else "")

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


@named
def lovely(x: Tensor) -> Summary:
    """One line about a tensor: type, shape, range, mean, standard deviation, how many elements are
    0, NaN or infinite, whether it has derivatives, and the values if they are few.

    Computes x if need be. Of NaN and infinite elements only the number is told: range, mean and
    std are of the others. Raises RuntimeError while jit captures a function.

    >>> gu.lovely(gu.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, float("nan")]]))
    float32 (2, 3) n=6 x∈[0, 4] mean=2 std=1.581 1 zero 1 NaN! [[0, 1, 2], [3, 4, nan]]
    >>> gu.arange(1000).describe()
    int64 (1000,) n=1000 x∈[0, 999] mean=499.5 std=288.8 1 zero
    """
    store.asked("describe()")
    shape = tuple(int(s) for s in x.shape)
    n = math.prod(shape)
    seen = x.detach().abs() if x.dtype.is_complex else x
    facts = _measured(dense(seen), n, seen.dtype) if n else _NOTHING
    values = _nested(x.tolist()) if 0 < n <= FEW else "[]" if not n else ""
    state = ""
    if x.requires_grad:
        state = "requires_grad" if x.is_leaf else "has grad_fn"
    if x.grad is not None:
        state += ", has grad" if state else "has grad"
    return Summary(shape, x.dtype.name, n, *facts, state, values)


_Facts = tuple[
    float | None, float | None, float | None, float | None, int, int, int
]  # least, greatest, mean, std, zeros, nan, inf
_NOTHING: _Facts = (None, None, None, None, 0, 0, 0)


def dense(x: Core) -> Buffer:
    """A tensor's elements in row-major order, in memory."""
    s = x._storage
    if x._parent is None:
        force([s])
        return s.memory()
    own = Storage(x._shape, x.dtype, value_of(x))
    force([own])
    return own.memory()


def _measured(memory: Buffer, n: int, dtype: DType) -> _Facts:
    """Two sweeps over memory: the second for the squares of distances from the mean."""
    x, over = _element(memory, n, dtype)
    number = _number(x)
    wide = ir.cast(number, dt.float64)
    zero, one, none = (ir.const(v, dt.float64) for v in (0.0, 1.0, math.inf))
    if dtype.is_float:
        finite = ir.alu("lt", ir.alu("abs", wide), none)
        nan = ir.alu("ne", wide, wide)
        inf = ir.alu("eq", ir.alu("abs", wide), none)
    else:
        finite, nan, inf = (ir.const(v, dt.bool_) for v in (True, False, False))

    def total(term: Node) -> Node:
        return ir.loops((), ir.reduce("sum", over, term))

    def count(condition: Node) -> Node:
        return total(ir.cast(condition, dt.int64))

    def extreme(kind: str, outside: float) -> Node:
        term = number if not dtype.is_float else ir.where(
            finite, number, ir.const(outside, number.dtype))  # fmt: skip
        return ir.loops((), ir.reduce(kind, over, term))

    amount = ir.loops((), ir.reduce("sum", over, ir.where(finite, one, zero)))
    at_least_one = ir.alu("maximum", ir.read(amount), one)
    sums = total(ir.where(finite, wide, zero))
    mean = ir.loops((), ir.alu("div", ir.read(sums), at_least_one))
    off = ir.alu("sub", wide, ir.read(mean))
    squares = total(ir.where(finite, ir.alu("mul", off, off), zero))
    roots = [
        extreme("min", math.inf), extreme("max", -math.inf), mean, squares,
        count(ir.alu("eq", wide, zero)), count(nan), count(inf),
    ]  # fmt: skip
    found = [load(b, r.dtype, 1)[0] for r, b in zip(roots, compute(roots), strict=True)]
    least, greatest, average, spread, zeros, nans, infs = found
    known = n - int(nans) - int(infs)
    std = math.sqrt(spread / (known - 1)) if known > 1 else None
    if not known:
        return None, None, None, None, int(zeros), int(nans), int(infs)
    # -0.0 + 0 is 0.0
    return least + 0, greatest + 0, average, std, int(zeros), int(nans), int(infs)


def span(memory: Buffer, n: int, dtype: DType) -> tuple[float, float] | None:
    """The least and the greatest of the finite ones among n elements; None if there are none."""
    least, greatest = _measured(memory, n, dtype)[:2] if n else (None, None)
    return None if least is None or greatest is None else (least, greatest)


def nonfinite(memory: Buffer, n: int, dtype: DType) -> tuple[int, int]:
    """How many of n elements are NaN, and how many infinite."""
    if not n:
        return 0, 0
    x, over = _element(memory, n, dtype)
    number = _number(x)
    tests = ir.alu("ne", number, number), ir.alu(
        "eq", ir.alu("abs", number), ir.const(math.inf, number.dtype)
    )
    roots = [ir.loops((), ir.reduce("sum", over, ir.cast(t, dt.int64))) for t in tests]
    nan, inf = (int(load(b, dt.int64, 1)[0]) for b in compute(roots))
    return nan, inf


def _element(memory: Buffer, n: int, dtype: DType) -> tuple[Node, list[tuple[int, int]]]:
    """One of n elements, and the variable that runs over them."""
    size = Extent.of(n, 1, _SIZE)
    flat = ir.buffer(memory, (size,), dtype)
    (r,), over = ir.fresh(flat.depth, [size])
    return ir.read(flat, r), over


def _number(x: Node) -> Node:
    """An element in a type that reductions are made in."""
    if x.dtype.kind == "b":
        return ir.cast(x, dt.uint8)
    return ir.cast(x, dt.float32) if x.dtype.is_float and x.dtype.bits == 16 else x


def _nested(value: Any) -> str:
    """Values as nested lists, short."""
    if isinstance(value, list):
        return "[" + ", ".join(map(_nested, value)) + "]"
    return number_text(value)


def number_text(value: Any) -> str:
    """A number in few digits; whole numbers in full."""
    if isinstance(value, complex):
        imag = number_text(value.imag)
        return number_text(value.real) + ("" if imag[0] == "-" else "+") + imag + "j"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


__all__ = ["Summary", "lovely"]
