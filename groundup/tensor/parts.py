"""Tensors cut into parts, and put together of parts: side by side, on a diagonal, in every choice.

Each is made of what stands in shape.py. Must not know derivatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations as chosen
from itertools import combinations_with_replacement as chosen_again
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ..ir import dtype as dt
from . import indexing, picking, shape
from . import pointwise as pw
from .core import Core
from .errors import ShapeError, at_line, check_dim, lined_up
from .misuse import named

if TYPE_CHECKING:
    from .tensor import Tensor

# ---- cut -----------------------------------------------------------------------------------------


@named
def tensor_split(
    a: Core, indices_or_sections: Core | int | Sequence[int], dim: int = 0
) -> tuple[Tensor, ...]:
    """Pieces along an axis: so many, as equal as can be, or cut before each index

    >>> [x.tolist() for x in gu.tensor_split(gu.arange(3), 2)]
    [[0, 1], [2]]
    """
    d = check_dim("tensor_split", dim, a.ndim)
    if not a.ndim:
        raise ShapeError("tensor_split needs at least one axis" + at_line())
    size = int(a._shape[d])
    given = indices_or_sections
    if isinstance(given, Core):
        if given.ndim > 1 or given.dtype is not dt.int64:
            raise TypeError(
                "tensor_split: a tensor of indices holds int64 in one axis (or the number of "
                "pieces in none)" + at_line()
            )
        values = indexing.host_values(given, "tensor_split")
        given = values if given.ndim else values[0]
    if isinstance(given, int):
        if given < 1:
            raise ValueError(f"tensor_split: at least one piece, not {given}" + at_line())
        small, more = divmod(size, given)
        if given > 1 << 20:
            raise MemoryError(f"tensor_split: {given} pieces cannot be held" + at_line())
        cuts = [i * small + min(i, more) for i in range(1, given)]
    else:
        cuts = list(given)
        if not all(isinstance(i, int) for i in cuts):
            raise TypeError(f"tensor_split: indices are integers, not {given!r}" + at_line())
    bounds = [0, *(slice(None, c).indices(size)[1] for c in cuts), size]
    return tuple(
        shape.narrow(a, d, start, max(0, end - start))
        for start, end in pairwise(bounds)
    )


def _split_evenly(name: str, a: Core, where: int | Sequence[int], dim: int) -> tuple[Tensor, ...]:
    """tensor_split, whose pieces must be equal where only their number is given."""
    if isinstance(where, int) and (where < 1 or int(a._shape[dim]) % where):
        raise ShapeError(
            f"{name}: {where} equal pieces of an axis of {int(a._shape[dim])}" + at_line()
        )
    return tensor_split(a, where, dim)


@named
def hsplit(a: Core, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """tensor_split into equal pieces along the second axis (of a vector the first)

    >>> [x.tolist() for x in gu.hsplit(gu.tensor([[1, 2], [3, 4]]), 2)]
    [[[1], [3]], [[2], [4]]]
    """
    if not a.ndim:
        raise ShapeError("hsplit needs at least 1 axis" + at_line())
    return _split_evenly("hsplit", a, indices_or_sections, 0 if a.ndim == 1 else 1)


@named
def vsplit(a: Core, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """tensor_split into equal pieces along the first axis

    >>> [x.tolist() for x in gu.vsplit(gu.tensor([[1, 2], [3, 4]]), 2)]
    [[[1, 2]], [[3, 4]]]
    """
    if a.ndim < 2:
        raise ShapeError("vsplit needs at least 2 axes" + lined_up(shape=a._shape) + at_line())
    return _split_evenly("vsplit", a, indices_or_sections, 0)


@named
def dsplit(a: Core, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """tensor_split into equal pieces along the third axis

    >>> [x.shape for x in gu.dsplit(gu.ones(2, 2, 4), 2)]
    [(2, 2, 2), (2, 2, 2)]
    """
    if a.ndim < 3:
        raise ShapeError("dsplit needs at least 3 axes" + lined_up(shape=a._shape) + at_line())
    return _split_evenly("dsplit", a, indices_or_sections, 2)


# ---- stacked -------------------------------------------------------------------------------------


def _each(tensors: Any, least: int) -> Any:
    """One tensor, or several, with at least so many axes, as NumPy adds them."""
    many = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else tensors
    grown = tuple(_grown(x, least) for x in many)
    return grown[0] if len(many) == 1 and many is tensors else grown


def _grown(x: Core, least: int) -> Tensor:
    """x with new axes in front; with three, the third is a new one behind: (n,) is (1, n, 1)."""
    if x.ndim >= least:
        return shape.identity(x)
    behind = 1 if least == 3 else 0
    return shape.reshape(x, (*(1,) * (least - x.ndim - behind), *x._shape, *(1,) * behind))


@named
def atleast_1d(*tensors: Any) -> Any:
    """Tensors with at least one axis

    >>> gu.atleast_1d(gu.tensor(3)).shape
    (1,)
    """
    return _each(tensors, 1)


@named
def atleast_2d(*tensors: Any) -> Any:
    """Tensors with at least two axes: a vector is a row

    >>> gu.atleast_2d(gu.tensor([1, 2])).tolist()
    [[1, 2]]
    """
    return _each(tensors, 2)


@named
def atleast_3d(*tensors: Any) -> Any:
    """Tensors with at least three axes: a vector is (1, n, 1), a matrix (n, m, 1)

    >>> gu.atleast_3d(gu.tensor([1, 2])).shape
    (1, 2, 1)
    """
    return _each(tensors, 3)


def _nonempty(name: str, tensors: Sequence[Core]) -> None:
    if not tensors:
        raise ValueError(f"{name} needs at least one tensor" + at_line())


@named
def hstack(tensors: Sequence[Core]) -> Tensor:
    """Side by side: cat along the second axis (of vectors along the first)

    >>> gu.hstack([gu.tensor([1]), gu.tensor([2])]).tolist()
    [1, 2]
    """
    _nonempty("hstack", tensors)
    grown = [_grown(x, 1) for x in tensors]
    return shape.cat(grown, 0 if grown[0].ndim == 1 else 1)


@named
def vstack(tensors: Sequence[Core]) -> Tensor:
    """Below one another: cat along the first axis; a vector is a row

    >>> gu.vstack([gu.tensor([1, 2]), gu.tensor([3, 4])]).tolist()
    [[1, 2], [3, 4]]
    """
    _nonempty("vstack", tensors)
    return shape.cat([_grown(x, 2) for x in tensors], 0)


@named
def dstack(tensors: Sequence[Core]) -> Tensor:
    """Behind one another: cat along the third axis

    >>> gu.dstack([gu.tensor([1, 2]), gu.tensor([3, 4])]).tolist()
    [[[1, 3], [2, 4]]]
    """
    _nonempty("dstack", tensors)
    return shape.cat([_grown(x, 3) for x in tensors], 2)


@named
def column_stack(tensors: Sequence[Core]) -> Tensor:
    """cat along the second axis; a vector is a column

    >>> gu.column_stack([gu.tensor([1, 2]), gu.tensor([3, 4])]).tolist()
    [[1, 3], [2, 4]]
    """
    _nonempty("column_stack", tensors)
    return shape.cat(
        [shape.reshape(x, (-1, 1)) if x.ndim < 2 else shape.identity(x) for x in tensors], 1
    )


@named
def block_diag(*tensors: Core) -> Tensor:
    """The matrix with matrices along its diagonal, 0 elsewhere

    >>> gu.block_diag(gu.ones(1, 1), gu.ones(1, 2)).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]]
    """
    for x in tensors:
        if x.ndim > 2:
            raise ShapeError("block_diag takes matrices" + lined_up(shape=x._shape) + at_line())
    blocks = [_grown(x, 2) for x in tensors]
    if not blocks:
        raise ValueError("block_diag needs at least one tensor" + at_line())
    dtype = pw.result_type(*blocks)
    width = sum(int(b._shape[1]) for b in blocks)
    rows, left = [], 0
    for b in blocks:
        own = int(b._shape[1])
        rows.append(shape.pad(pw.cast(b, dtype), (left, width - left - own)))
        left += own
    return shape.cat(rows, 0)


def _grid(tensors: Sequence[Core], name: str) -> list[Tensor]:
    """The elements of each vector in every choice of one of each, the last changing first."""
    if any(x.ndim != 1 for x in tensors):
        raise ShapeError(f"{name} takes vectors" + at_line())
    sizes = tuple(x._shape[0] for x in tensors)
    own = [(*(1,) * i, s, *(1,) * (len(sizes) - 1 - i)) for i, s in enumerate(sizes)]
    return [
        shape.reshape(shape.expand(shape.reshape(x, o), sizes), -1)
        for x, o in zip(tensors, own, strict=True)
    ]


@named
def cartesian_prod(*tensors: Core) -> Tensor:
    """Every choice of one element of each vector, a row each

    >>> gu.cartesian_prod(gu.tensor([1, 2]), gu.tensor([3])).tolist()
    [[1, 3], [2, 3]]
    """
    _nonempty("cartesian_prod", tensors)
    if len(tensors) == 1:
        return shape.identity(tensors[0])
    return shape.stack(_grid(tensors, "cartesian_prod"), 1)


@named
def combinations(a: Core, r: int = 2, with_replacement: bool = False) -> Tensor:
    """Every choice of r elements of a vector, in their order, a row each

    >>> gu.combinations(gu.tensor([1, 2, 3])).tolist()
    [[1, 2], [1, 3], [2, 3]]
    """
    from .create import filled, tensor

    if a.ndim != 1 or r < 0:
        raise ShapeError(
            f"combinations of {r} elements: of a vector, and r is 0 or more"
            + lined_up(shape=a._shape) + at_line()
        )  # fmt: skip
    if r == 0:
        return filled((0,), 0, a.dtype)
    choose = chosen_again if with_replacement else chosen
    places = [list(c) for c in choose(range(int(a._shape[0])), r)]
    if not places:
        return filled((0, r), 0, a.dtype)
    flat = tensor([i for c in places for i in c], dtype=dt.int64)
    return shape.reshape(picking.index_select(a, 0, flat), len(places), r)
