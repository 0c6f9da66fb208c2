"""Products beyond matmul: with something added, over chosen axes, of all pairs; distances.

Each is made of matmul. Must not know how a contraction runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..ir.extent import product
from . import pointwise as pw
from . import reduce as rd
from . import shape
from .contract import bmm, matmul, mm, mv, outer
from .core import Core
from .errors import ShapeError, at_line, check_dim, check_types, lined_up
from .misuse import named

if TYPE_CHECKING:
    from .tensor import Tensor


def _added(name: str, a: Core, value: Core, beta: Any, alpha: Any) -> Tensor:
    """beta · a + alpha · value; where beta is 0, a counts for nothing, not even with NaN"""
    if pw.broadcast(name, a._shape, value._shape) != value._shape:
        raise ShapeError(
            f"{name}: what is added must broadcast to the product"
            + lined_up(added=a._shape, product=value._shape) + at_line()
        )  # fmt: skip
    check_types(name, a.dtype, value.dtype)
    if pw.category(a.dtype) < 2 and (isinstance(beta, float) or isinstance(alpha, float)):
        raise TypeError(f"{name}: beta and alpha of integers are integers" + at_line())
    more: Tensor = pw.scaled(value, alpha)
    if beta == 0:
        return more
    return pw.binary("add", pw.scaled(a, beta), more)


@named
def addmm(a: Core, x: Core, y: Core, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta · a + alpha · (x @ y), of matrices

    >>> gu.addmm(gu.ones(1), gu.ones(2, 3), gu.ones(3, 2)).tolist()
    [[4.0, 4.0], [4.0, 4.0]]
    """
    return _added("addmm", a, mm(x, y), beta, alpha)


@named
def addmv(a: Core, x: Core, y: Core, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta · a + alpha · (x @ y), of a matrix and a vector

    >>> gu.addmv(gu.ones(2), gu.ones(2, 3), gu.ones(3)).tolist()
    [4.0, 4.0]
    """
    return _added("addmv", a, mv(x, y), beta, alpha)


@named
def addr(a: Core, x: Core, y: Core, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta · a + alpha · x yᵀ, of vectors

    >>> gu.addr(gu.ones(1, 2), gu.tensor([2.0]), gu.tensor([1.0, 3.0])).tolist()
    [[3.0, 7.0]]
    """
    if a.dtype.kind == "b":
        return pw.binary("or", a, outer(x, y)) if beta else outer(x, y)
    return _added("addr", a, outer(x, y), beta, alpha)


@named
def baddbmm(a: Core, x: Core, y: Core, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta · a + alpha · (x @ y), of batches of matrices

    >>> gu.baddbmm(gu.ones(1), gu.ones(4, 1, 3), gu.ones(4, 3, 2)).shape
    (4, 1, 2)
    """
    return _added("baddbmm", a, bmm(x, y), beta, alpha)


@named
def addbmm(a: Core, x: Core, y: Core, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta · a + alpha · Σ_n x[n] @ y[n]

    >>> gu.addbmm(gu.zeros(1), gu.ones(4, 1, 3), gu.ones(4, 3, 2)).tolist()
    [[12.0, 12.0]]
    """
    return _added("addbmm", a, rd.sum_(bmm(x, y), 0), beta, alpha)


@named
def inner(a: Core, b: Core) -> Tensor:
    """Σ_k a[…, k] · b[…′, k] over the last axes, the others of a before those of b

    >>> gu.inner(gu.tensor([1.0, 2.0]), gu.tensor([3.0, 4.0])).item()
    11.0
    """
    if not a.ndim or not b.ndim:
        return pw.binary("mul", a, b)
    if a._shape[-1] != b._shape[-1]:
        raise ShapeError(
            "inner: the last axes must be equal" + lined_up(a=a._shape, b=b._shape) + at_line()
        )
    return tensordot(a, b, ((-1,), (-1,)))


@named
def vdot(a: Core, b: Core) -> Tensor:
    """Σ_k conj(a[k]) · b[k] of two vectors

    >>> gu.vdot(gu.tensor([1, 2]), gu.tensor([3, 4])).item()
    11
    """
    from .complex.parts import conj
    from .contract import dot

    return dot(conj(a), b)


@named
def tensordot(a: Core, b: Core, dims: Any = 2) -> Tensor:
    """Σ over pairs of axes of a · b: the last `dims` of a with the first of b, or listed ones

    dims: a number, or (axes of a, axes of b). The result has a's other axes, then b's.

    >>> gu.tensordot(gu.ones(2, 3), gu.ones(3, 4), 1).shape
    (2, 4)
    """
    from .tensor import Tensor

    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if not 0 <= dims <= min(a.ndim, b.ndim):
            raise ShapeError(
                f"tensordot: {dims} axes of both" + lined_up(a=a._shape, b=b._shape) + at_line()
            )
        dims = (range(a.ndim - dims, a.ndim), range(dims))
    first, second = (
        [check_dim("tensordot", d, t.ndim) for d in ((at,) if isinstance(at, int) else at)]
        for at, t in zip(dims, (a, b), strict=True)
    )
    if len(first) != len(second) or any(
        a._shape[i] != b._shape[j] and 1 not in (a._shape[i], b._shape[j])
        for i, j in zip(first, second, strict=False)
    ):
        raise ShapeError(
            f"tensordot: the axes {first} of a and {second} of b are pairs of equal sizes"
            + lined_up(a=a._shape, b=b._shape) + at_line()
        )  # fmt: skip
    for i, j in zip(first, second, strict=True):
        if a._shape[i] != b._shape[j]:  # one of them is 1: the other is summed alone
            longer, d = (a, i) if b._shape[j] == 1 else (b, j)
            summed = rd.sum_(longer, d, True)
            a, b = (summed, b) if longer is a else (a, summed)
    mine = [d for d in range(a.ndim) if d not in first]
    its = [d for d in range(b.ndim) if d not in second]
    inside = product([a._shape[d] for d in first])
    rows = [a._shape[d] for d in mine]
    columns = [b._shape[d] for d in its]
    left = shape.reshape(shape.permute(a, [*mine, *first]), (product(rows), inside))
    right = shape.reshape(shape.permute(b, [*second, *its]), (inside, product(columns)))
    return shape.reshape(matmul(left, right), (*rows, *columns))


@named
def kron(a: Core, b: Core) -> Tensor:
    """y[i·p + k, j·q + l] = a[i, j] · b[k, l] for b of shape (p, q), in any number of axes

    >>> gu.kron(gu.tensor([1, 2]), gu.tensor([1, 1])).tolist()
    [1, 1, 2, 2]
    """
    ndim = max(a.ndim, b.ndim)
    own = (1,) * (ndim - a.ndim) + a._shape
    its = (1,) * (ndim - b.ndim) + b._shape
    left = shape.reshape(a, tuple(n for s in own for n in (s, 1)))
    right = shape.reshape(b, tuple(n for s in its for n in (1, s)))
    result = tuple(product([s, t]) for s, t in zip(own, its, strict=True))
    return shape.reshape(pw.binary("mul", left, right), result)


@named
def cross(a: Core, other: Core, dim: int | None = None) -> Tensor:
    """The vector product along an axis of size 3 (the first such one for None)

    >>> gu.cross(gu.tensor([1, 0, 0]), gu.tensor([0, 1, 0]), dim=0).tolist()
    [0, 0, 1]
    """
    if a.ndim != other.ndim:
        raise ShapeError(
            "cross: both have one number of axes"
            + lined_up(a=a._shape, other=other._shape) + at_line()
        )  # fmt: skip
    size = pw.broadcast("cross", a._shape, other._shape)
    if dim is None:
        three = [d for d, s in enumerate(a._shape) if s == 3]
        if not three:
            raise ShapeError("cross: no axis has size 3" + lined_up(shape=a._shape) + at_line())
        dim = three[0]
    d = check_dim("cross", dim, len(size))
    if a._shape[d : d + 1] != (3,) or other._shape[d : d + 1] != (3,):
        raise ShapeError(
            f"cross: axis {d} of both has size 3"
            + lined_up(a=a._shape, other=other._shape) + at_line()
        )  # fmt: skip
    (a0, a1, a2), (b0, b1, b2) = (
        shape.unbind(shape.expand(x, size), d) for x in (a, other)
    )

    def minor(p: Core, q: Core, r: Core, s: Core) -> Tensor:
        return pw.binary("sub", pw.binary("mul", p, q), pw.binary("mul", r, s))

    return shape.stack([minor(a1, b2, a2, b1), minor(a2, b0, a0, b2), minor(a0, b1, a1, b0)], d)


@named
def vander(a: Core, N: int | None = None, increasing: bool = False) -> Tensor:
    """The powers of a vector's elements, one column each, the highest first unless `increasing`

    >>> gu.vander(gu.tensor([2, 3])).tolist()
    [[2, 1], [3, 1]]
    """
    if a.ndim != 1:
        raise ShapeError("vander takes a vector" + lined_up(shape=a._shape) + at_line())
    count = int(a._shape[0]) if N is None else N
    if count < 0:
        raise ValueError(f"vander: N is 0 or more, not {N}" + at_line())
    powers = range(count) if increasing else range(count - 1, -1, -1)
    from .create import zeros

    if not count:
        return zeros(a._shape[0], 0, dtype=a.dtype)
    return shape.stack([pw.binary("pow", a, p) for p in powers], 1)


@named
def cdist(
    x1: Core, x2: Core, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary"
) -> Tensor:
    """d[…, i, j] = (Σ_k |x1[…, i, k] − x2[…, j, k]|^p)^(1/p); its derivative is 0 where d is

    compute_mode: PyTorch's; the sums of squares are always taken of differences here.

    >>> gu.cdist(gu.tensor([[0.0, 0.0]]), gu.tensor([[3.0, 4.0]])).tolist()
    [[5.0]]
    """
    modes = ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist",
             "donot_use_mm_for_euclid_dist")  # fmt: skip
    if compute_mode not in modes:
        raise ValueError(f"cdist: compute_mode is one of {', '.join(modes)}" + at_line())
    if x1.ndim < 2 or x2.ndim < 2 or x1._shape[-1] != x2._shape[-1]:
        raise ShapeError(
            "cdist: (…, i, k) and (…, j, k) expected" + lined_up(x1=x1._shape, x2=x2._shape)
            + at_line()
        )  # fmt: skip
    if x1.dtype.is_complex or x2.dtype.is_complex:
        raise TypeError(
            f"cdist: distances of real points, not of {x1.dtype.name} and {x2.dtype.name}; "
            f"view_as_real makes two coordinates of each number" + at_line()
        )
    if p < 0 or not (x1.dtype.is_float and x1.dtype is x2.dtype):
        raise ValueError("cdist: p is not negative, and both have one floating type" + at_line())
    lead = pw.broadcast("cdist", x1._shape[:-2], x2._shape[:-2])
    x1, x2 = (shape.expand(x, (*lead, *x._shape[-2:])) for x in (x1, x2))
    return _length(pw.binary("sub", shape.unsqueeze(x1, -2), shape.unsqueeze(x2, -3)), p)


def _length(difference: Core, p: float) -> Tensor:
    """The p-norm over the last axis; of nothing it is 0, also for p = ∞."""
    if difference._shape[-1] == 0:
        return rd.sum_(difference, -1)
    return rd.norm(difference, p, -1)


@named
def pdist(a: Core, p: float = 2.0) -> Tensor:
    """cdist of all pairs i < j of the rows of a matrix, in one axis

    >>> pdist(gu.tensor([[0.0, 0.0], [3.0, 4.0]])).tolist()
    [5.0]
    """
    if a.ndim != 2:
        raise ShapeError("pdist takes a matrix" + lined_up(shape=a._shape) + at_line())
    from .arrange import triu_indices
    from .picking import index_select

    n = int(a._shape[0])
    first, second = shape.unbind(triu_indices(n, n, 1), 0)
    return _length(pw.binary("sub", index_select(a, 0, first), index_select(a, 0, second)), p)


@named
def chain_matmul(matrices: Sequence[Core]) -> Tensor:
    """The product of several matrices, in the order that takes the fewest multiply-adds

    >>> gu.chain_matmul([gu.ones(2, 3), gu.ones(3, 4), gu.ones(4, 1)]).shape
    (2, 1)
    """
    from .linalg.products import chained

    if len(matrices) < 2 or any(m.ndim != 2 for m in matrices):
        raise ShapeError("chain_matmul takes two matrices or more" + at_line())
    return chained("chain_matmul", matrices)
