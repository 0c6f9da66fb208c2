"""Running values along an axis: sums, products, extremes, log-sum-exp, linear recurrences.

Each is a scan: an element computed from the one before. One pass, in the order of the axis, on any
number of threads. Must not know derivatives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..ir import dtype as dt
from ..ir import node as ir
from ..ir.dtype import DType
from ..ir.extent import product
from ..ir.node import Node
from . import pointwise as pw
from .autocast import full, is_half
from .core import Core, Paired, finish, operand, value_of
from .either import reducing
from .errors import ShapeError, at_line, check_dim, lined_up
from .misuse import named

if TYPE_CHECKING:
    from .tensor import Tensor


class Running(NamedTuple):
    """What cummax and cummin give."""

    values: Tensor
    indices: Tensor


def _typed(a: Core, dtype: DType | None) -> tuple[Node, DType]:
    """(the value in the type that is computed in, the type of the result): integers in int64,
    16-bit floats in float32."""
    if dtype is None:
        a = full(a)
        dtype = a.dtype if a.dtype.is_float else dt.int64
    wide = dt.float32 if is_half(dtype) else dtype
    return _cast(operand(a), wide), dtype


def _cast(node: Node, dtype: DType) -> Node:
    if node.dtype is dtype:
        return node
    return ir.loops(node.shape, ir.cast(ir.read(node, *ir.outs(node.ndim)), dtype))


def _scanned(name: str, a: Core, dim: int, dtype: DType | None) -> Tensor:
    axis = check_dim(name, dim, a.ndim)
    if isinstance(a, Paired) or (dtype is not None and dtype.is_complex):
        from .complex.reduce import scanned as counterpart

        return counterpart(name, a, axis, dtype)
    x, result = _typed(a, dtype)
    if not a.ndim:  # in memory of its own, whichever type it is cast to
        return finish(_cast(operand(a), result), a)
    return finish(_cast(_combined(name, x, axis), result), a)


def _combined(name: str, x: Node, axis: int, reverse: bool = False) -> Node:
    """Running sums, products or extremes of a tensor node, in its type."""
    runs = _in_runs(x, axis) if name == "cumsum" and not reverse else None
    if runs is not None:
        return runs
    op, start = {
        "cumsum": ("add", 0), "cumprod": ("mul", 1),
        "cummax": ("maximum", _least(x.dtype)), "cummin": ("minimum", _greatest(x.dtype)),
    }[name]  # fmt: skip
    body = ir.alu(op, ir.carry(x.dtype), ir.read(x, *ir.outs(x.ndim)))
    return ir.scan(x.shape, axis, body, ir.const(start, x.dtype), reverse)


def along(name: str, x: Node, axis: int, reverse: bool = False) -> Node:
    """cumsum, cumprod, cummax or cummin of a tensor node (reverse: from the other end): integers
    sum and multiply in int64, 16-bit floats in float32."""
    own = x.dtype
    if name in ("cumsum", "cumprod"):
        own = own if own.is_float else dt.int64
        wide = dt.float32 if is_half(own) else own
    else:
        wide = dt.uint8 if own.kind == "b" else own
    return _cast(_combined(name, _cast(x, wide), axis, reverse), own)


LONG, FEW = 1 << 15, 16  # a long axis, of few rows: sums of runs first, then of what is before them
_RUNS = range(1 << 12, 1 << 8, -1)  # lengths of a run: the greatest that divides the axis


def _in_runs(x: Node, axis: int) -> Node | None:
    """Running sums of few long rows: inside runs, which do not wait for each other, and of the
    runs before. None where the shape has no such runs."""
    shape, n = x.shape, int(x.shape[axis])  # a runtime size, too, counts as what it is
    if n < LONG or int(product(shape)) // n >= FEW:
        return None
    run = next((r for r in _RUNS if n % r == 0), None)
    if run is None:
        return None
    shape = (*shape[:axis], n // run, run, *shape[axis + 1 :])
    outs = ir.outs(len(shape))
    add = ir.alu("add", ir.carry(x.dtype), ir.read(ir.reshape(x, shape), *outs))
    zero = ir.const(0, x.dtype)
    inside = ir.scan(shape, axis + 1, add, zero)
    runs = (*shape[: axis + 1], *shape[axis + 2 :])
    some = ir.outs(len(runs))
    last = ir.read(inside, *some[: axis + 1], ir.index(run - 1), *some[axis + 1 :])
    ends = ir.scan(runs, axis, ir.alu("add", ir.carry(x.dtype), last), zero)
    block = outs[axis]
    end = ir.read(ends, *outs[:axis], ir.alu("sub", block, ir.index(1)), *outs[axis + 2 :])
    before = ir.where(ir.alu("lt", ir.index(0), block), end, zero)
    body = ir.alu("add", before, ir.read(inside, *outs))
    return ir.reshape(ir.loops(shape, body), x.shape)


@named
@reducing
def cumsum(a: Core, dim: int, dtype: DType | None = None) -> Tensor:
    """y[i] = Σ over r ≤ i of x[r] along `dim`; integers sum in int64.

    The terms are added in the order of r; of few long rows, those of each run of some thousand
    first. The order depends on the shape alone.

    >>> gu.cumsum(gu.tensor([1.0, 2.0, 3.0]), 0).tolist()
    [1.0, 3.0, 6.0]
    """
    return _scanned("cumsum", a, dim, dtype)


@named
@reducing
def cumprod(a: Core, dim: int, dtype: DType | None = None) -> Tensor:
    """y[i] = Π over r ≤ i of x[r] along `dim`, in the order of r; integers multiply in int64.

    >>> gu.cumprod(gu.tensor([1.0, 2.0, 3.0]), 0).tolist()
    [1.0, 2.0, 6.0]
    """
    return _scanned("cumprod", a, dim, dtype)


@named
@reducing
def cummax(a: Core, dim: int) -> Running:
    """(values, indices): the greatest up to each element along `dim`, and where it is (of equals
    the last). NaN wins. The derivative goes to the elements at the indices.

    >>> values, indices = gu.cummax(gu.tensor([1.0, 3.0, 2.0]), 0)
    >>> values.tolist(), indices.tolist()
    ([1.0, 3.0, 3.0], [0, 1, 1])
    """
    return _extreme("cummax", a, dim)


@named
@reducing
def cummin(a: Core, dim: int) -> Running:
    """(values, indices): the least up to each element along `dim`, and where it is (of equals the
    last). NaN wins. The derivative goes to the elements at the indices.

    >>> values, indices = gu.cummin(gu.tensor([2.0, 1.0, 3.0]), 0)
    >>> values.tolist(), indices.tolist()
    ([2.0, 1.0, 1.0], [0, 1, 1])
    """
    return _extreme("cummin", a, dim)


def _extreme(name: str, a: Core, dim: int) -> Running:
    axis = check_dim(name, dim, a.ndim)
    if not a.ndim:
        zero = finish(ir.loops((), ir.const(0, dt.int64)), a)
        return Running(finish(operand(a), a), zero)
    x = value_of(a)
    small = dt.uint8 if x.dtype.kind == "b" else x.dtype
    outs = ir.outs(x.ndim)
    here = ir.read(_cast(x, small), *outs)
    best = _combined(name, _cast(x, small), axis)
    new = ir.alu("eq", here, ir.read(best, *outs))
    if small.is_float:
        new = ir.where(new, ir.const(True, dt.bool_), ir.alu("ne", here, here))
    at = ir.where(new, outs[axis], ir.carry(dt.int64))
    indices = finish(ir.scan(x.shape, axis, at, ir.const(0, dt.int64)), a)
    if not a.tracked():
        return Running(finish(_cast(best, x.dtype), a), indices)
    from .picking import taken

    return Running(taken(a, axis, indices), indices)


def _least(dtype: DType) -> float:
    return float("-inf") if dtype.is_float else dtype.min


def _greatest(dtype: DType) -> float:
    return float("inf") if dtype.is_float else dtype.max


@named
def logcumsumexp(a: Core, dim: int) -> Tensor:
    """y[i] = log Σ over r ≤ i of e^x[r] along `dim`, without overflow:
    y[i] = m + log1p(e^−|y[i−1] − x[i]|), m the greater of the two.

    >>> gu.logcumsumexp(gu.zeros(3), 0).exp().round().tolist()
    [1.0, 2.0, 3.0]
    """
    axis = check_dim("logcumsumexp", dim, a.ndim)
    if not a.dtype.is_float:
        raise TypeError(
            f"logcumsumexp needs a floating type, not {a.dtype.name}; write "
            f"x.float().logcumsumexp({dim})" + at_line()
        )
    if not a.ndim:
        return finish(operand(a), a)
    x, result = _typed(a, None)
    before, here = ir.carry(x.dtype), ir.read(x, *ir.outs(x.ndim))
    gap = ir.alu("abs", ir.alu("sub", before, here))
    more = ir.alu("log1p", ir.alu("exp", ir.alu("neg", gap)))
    # Of equal infinities the difference is NaN; the sum is the one of them.
    infinite = ir.alu("eq", ir.alu("abs", here), ir.const(float("inf"), x.dtype))
    same = ir.where(infinite, ir.alu("eq", before, here), ir.const(False, dt.bool_))
    body = ir.where(same, here, ir.alu("add", ir.alu("maximum", before, here), more))
    node = ir.scan(x.shape, axis, body, ir.const(float("-inf"), x.dtype))
    return finish(_cast(node, result), a)


@named
def linear_recurrence(a: Core, b: Core, dim: int = -1, initial: Core | None = None) -> Tensor:
    """h[t] = a[t] · h[t−1] + b[t] along `dim`, with h[−1] = `initial` (0 by default).

    a and b have one floating type and broadcast with each other; `initial` has their shape without
    axis `dim`. Differentiable by all three. What a gated or state-space layer runs over time.

    >>> gu.linear_recurrence(gu.full((3,), 0.5), gu.ones(3)).tolist()
    [1.0, 1.5, 1.75]
    """
    shape = pw.broadcast("linear_recurrence", a._shape, b._shape)
    axis = check_dim("linear_recurrence", dim, len(shape))
    types = {t.dtype.name for t in (a, b, initial) if t is not None}
    if len(types) > 1 or not a.dtype.is_float:
        raise TypeError(
            f"linear_recurrence needs one floating type, not {', '.join(sorted(types))}" + at_line()
        )
    outs = ir.outs(len(shape))
    slope, offset = (pw.read_at(operand(t), shape) for t in (a, b))
    body = ir.alu("add", ir.alu("mul", slope, ir.carry(a.dtype)), offset)
    others = [a, b]
    if initial is not None:
        want = (*shape[:axis], *shape[axis + 1 :])
        if pw.broadcast("linear_recurrence", initial._shape, want) != want:
            raise ShapeError(
                "linear_recurrence: the initial value has the shape of the others without axis "
                f"{axis}" + lined_up(initial=initial._shape, others=shape) + at_line()
            )
        h = pw.read_at(operand(initial), want, [*outs[:axis], *outs[axis + 1 :]])
        first = ir.alu("add", ir.alu("mul", slope, h), offset)
        body = ir.where(ir.alu("eq", outs[axis], ir.index(0)), first, body)
        others.append(initial)
    return finish(ir.scan(shape, axis, body, ir.const(0, a.dtype)), *others)
