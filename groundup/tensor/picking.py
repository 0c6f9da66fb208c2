"""Elements of one axis that integer tensors name: gather, take_along_dim, index_select.

Their indices count from the front, as PyTorch's do; those of x[index] may count from the back. Must
not know keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..ir import dtype as dt
from ..ir import node as ir
from ..ir.extent import product
from ..ir.node import Node
from . import indexing, shape, unfit
from . import pointwise as pw
from .core import Core, Paired, finish, operand, value_of
from .errors import ShapeError, at_line, check_dim, lined_up
from .misuse import named
from .sites import Argument, argument, given, indexed
from .view import Shape

if TYPE_CHECKING:
    from .tensor import Tensor


def from_front(index: Core, at: Node, axis: int, shape: Shape, by: Argument) -> tuple[Node, bool]:
    """An index that counts from the front only, of which `at` is the element; was it looked at?"""
    by = given() or by
    if index.dtype.is_float or index.dtype.kind == "b":
        raise IndexError(
            f"{by.operation}: an index tensor holds integers, not {index.dtype.name}; write "
            f"index.long()" + at_line()
        )
    with argument(by):
        low = indexing.check_range(index, shape[axis], by.operation, back=False)
    return ir.cast(at, dt.int64), low is not None


@named
def gather(a: Core, dim: int, index: Core) -> Tensor:
    """y[i, j, …] = x[i, …, index[i, j, …], …], the index in place of axis `dim`; a 0-d index of a
    tensor of one axis gives a 0-d tensor.

    Raises IndexError for an index that is negative or beyond the end: at once if it is in memory,
    else when the result is computed. take_along_dim counts negative ones from the back.

    >>> x = gu.tensor([[1, 2], [3, 4]])
    >>> x.gather(1, gu.tensor([[0, 0], [1, 0]])).tolist()
    [[1, 1], [4, 3]]
    """
    d = check_dim("gather", dim, a.ndim)
    by = Argument("gather", f"x.gather({d}, index)", "index", "x")
    return _gathered(a, d, index, by, back=False)


def _gathered(a: Core, d: int, index: Core, by: Argument, back: bool) -> Tensor:
    """gather, by an operation whose indices may count from the back or not."""
    if 0 in index._shape:
        from .create import filled

        return filled(index._shape, 0, a.dtype)
    if a.ndim + index.ndim == 1:  # a number is an axis of one
        flat = _gathered(shape.reshape(a, -1), 0, shape.reshape(index, -1), by, back)
        return shape.reshape(flat, index._shape)
    if index.ndim != a.ndim or any(
        e != d and n > s for e, (n, s) in enumerate(zip(index._shape, a._shape, strict=True))
    ):
        raise unfit.positions("gather", d, a._shape, index._shape)
    if not a.ndim:
        lifted = _gathered(shape.reshape(a, 1), 0, shape.reshape(index, 1), by, back)
        return shape.reshape(lifted, ())
    if isinstance(a, Paired):
        return a.over(lambda p: _gathered(p, d, in_pairs(index), by, back))
    outs = ir.outs(a.ndim)
    at, known = _place(index, ir.read(value_of(index), *outs), d, a._shape, by, back)
    body = ir.read(operand(a), *outs[:d], at, *outs[d + 1 :])
    if not known:
        ir.at_site(body, indexed(by, d))
    return finish(ir.loops(index._shape, body), a, index)


def _place(
    index: Core, at: Node, axis: int, size: Shape, by: Argument, back: bool
) -> tuple[Node, bool]:
    """An index counted from the front; was it looked at?"""
    if not back:
        return from_front(index, at, axis, size, by)
    with argument(by):
        low = indexing.check_range(index, size[axis], by.operation)
    return indexing.wrapped(ir.cast(at, dt.int64), size[axis], low), low is not None


def in_pairs(index: Core) -> Tensor:
    """An index of complex numbers as one of their pairs: both parts are at the same place."""
    return shape.expand(shape.unsqueeze(index, -1), (*index._shape, 2))


def taken(a: Core, axis: int, index: Core) -> Tensor:
    """gather at indices that are known to be inside, all axes of one size but `axis`."""
    if isinstance(a, Paired):
        return a.over(lambda p: taken(p, axis, in_pairs(index)))
    outs = ir.outs(a.ndim)
    at = ir.read(value_of(index), *outs)
    body = ir.read(operand(a), *outs[:axis], at, *outs[axis + 1 :])
    return finish(ir.loops(index._shape, body), a, index)


@named
def take_along_dim(a: Core, indices: Core, dim: int | None = None) -> Tensor:
    """gather, after broadcasting all axes but `dim`, where negative indices count from the back;
    for None, gather of all elements in their order.

    Raises IndexError for an index outside the axis, ShapeError for axes that do not broadcast.

    >>> x = gu.tensor([[1, 2], [3, 4]])
    >>> x.take_along_dim(gu.tensor([[-1]]), 1).tolist()
    [[2], [4]]
    """
    index = indices
    if dim is None:
        by = Argument("take_along_dim", "x.take_along_dim(indices)", "indices", "x")
        return _gathered(shape.reshape(a, -1), 0, shape.reshape(index, -1), by, back=False)
    if a.ndim != index.ndim:
        raise ShapeError(
            "take_along_dim: tensor and indices have one number of axes"
            + lined_up({"tensor" if a.ndim > index.ndim else "index": min(a.ndim, index.ndim) + 1},
                       tensor=a._shape, index=index._shape)
            + at_line()
        )  # fmt: skip
    d = check_dim("take_along_dim", dim, a.ndim)
    for e, (n, m) in enumerate(zip(a._shape, index._shape, strict=True)):
        if e != d and n != m and 1 not in (n, m):
            raise ShapeError(
                f"take_along_dim: tensor and indices broadcast on every axis but {d}; on axis {e} "
                f"they do not" + lined_up(a.ndim - e, tensor=a._shape, index=index._shape)
                + at_line()
            )  # fmt: skip
    lead = pw.broadcast(
        "take_along_dim",
        (*a._shape[:d], 1, *a._shape[d + 1 :]),
        (*index._shape[:d], 1, *index._shape[d + 1 :]),
    )
    source = shape.expand(a, (*lead[:d], a._shape[d], *lead[d + 1 :]))
    index = shape.expand(index, (*lead[:d], index._shape[d], *lead[d + 1 :]))
    by = Argument("take_along_dim", f"x.take_along_dim(indices, {d})", "indices", "x", back=True)
    return _gathered(source, d, index, by, back=True)


@named
def index_select(a: Core, dim: int, index: Core) -> Tensor:
    """The elements of one axis that a list of indices names; a 0-d index is a list of one.

    Of a 0-d tensor, itself. Raises ShapeError for an index of more axes, IndexError for one that is
    negative or beyond the end: at once if it is in memory, else when the result is computed.

    >>> gu.arange(6.0).reshape(2, 3).index_select(1, gu.tensor([2, 0])).tolist()
    [[2.0, 0.0], [5.0, 3.0]]
    """
    d = check_dim("index_select", dim, a.ndim)
    if index.dtype.kind == "b":
        raise IndexError("index_select: a mask is no list of indices; write x[mask]" + at_line())
    if index.ndim > 1 or (not a.ndim and product(index._shape) != 1):
        if a.ndim:
            instead = f"write x[{':, ' * d}index], or index.reshape(-1)"
            raise unfit.one_axis("index_select", index._shape, instead)
        raise ShapeError(
            "index_select: of a 0-d tensor, the index is a list, of one axis and one element"
            + lined_up(max(0, index.ndim), tensor=a._shape, index=index._shape)
            + at_line()
        )
    index = index if index.ndim else shape.reshape(index, 1)
    if not a.ndim:
        return shape.reshape(index_select(shape.reshape(a, 1), 0, index), ())
    if isinstance(a, Paired):
        return a.over(lambda p: index_select(p, d, index))
    by = Argument("index_select", f"x.index_select({d}, index)", "index", "x")
    outs = ir.outs(a.ndim)
    at, known = from_front(index, ir.read(value_of(index), outs[d]), d, a._shape, by)
    body = ir.read(operand(a), *outs[:d], at, *outs[d + 1 :])
    if not known:
        ir.at_site(body, indexed(by, d))
    return finish(ir.loops((*a._shape[:d], index._shape[0], *a._shape[d + 1 :]), body), a, index)
