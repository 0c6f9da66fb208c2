"""Products and powers of vectors and matrices, in operations of tensors alone.

Must not know LAPACK.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ...ir.extent import product
from .. import algebra, shape
from .. import pointwise as pw
from ..complex.parts import conj
from ..core import Core, is_complex
from ..create import eye, ones
from ..errors import ShapeError, at_line, check_dim, lined_up
from ..misuse import named
from ..shape import cat, expand
from ..tensor import Tensor
from .operands import matrices, one_type, steps, tensor_of
from .systems import inv, inverted, solve


@named
def matrix_power(A: Core, n: int) -> Tensor:
    """A · A · … (n times), by repeated squaring; n < 0: of the inverse; n = 0: the identity.

    >>> gu.linalg.matrix_power(gu.tensor([[1.0, 1.0], [0.0, 1.0]]), 5).tolist()
    [[1.0, 5.0], [0.0, 1.0]]
    """
    if isinstance(n, bool) or not isinstance(n, int):
        raise TypeError(f"matrix_power: n is a whole number, not {n!r}" + at_line())
    a = matrices("matrix_power", A, square=True, complex_too=True)
    if n < 0:
        a, n = inverted("matrix_power", a, False), -n
    if n == 0:
        one = expand(eye(a._shape[-1], dtype=a.dtype), *a._shape)
        return one if is_complex(a) else steps("matrix_power", one, a)
    result: Tensor | None = None
    while n:
        if n & 1:
            result = a if result is None else result @ a
        n >>= 1
        if n:
            a = a @ a
    assert result is not None
    return result


@named
def multi_dot(tensors: Sequence[Core]) -> Tensor:
    """The product of several matrices, in the order that takes the fewest multiplications.

    The first may be a row, the last a column (tensors of one axis). The order: Cormen et al.,
    Introduction to Algorithms, matrix-chain multiplication.

    >>> gu.linalg.multi_dot([gu.ones(2, 3), gu.ones(3, 4), gu.ones(4, 1)]).tolist()
    [[12.0], [12.0]]
    """
    given = [tensor_of("multi_dot", t) for t in tensors]
    if len(given) < 2:
        raise ValueError(f"multi_dot: at least two tensors expected, not {len(given)}" + at_line())
    for i, t in enumerate(given):
        one_type("multi_dot", given[0], t)
        fits = t.ndim == 2 or (t.ndim == 1 and i in (0, len(given) - 1))
        if not fits:
            raise ShapeError(
                f"multi_dot: tensor {i} of {len(given)} has {t.ndim} axes; matrices expected (the "
                f"first and the last may be vectors)" + lined_up(shape=t._shape) + at_line()
            )
    row, column = given[0].ndim == 1, given[-1].ndim == 1
    if row:
        given[0] = given[0].unsqueeze(0)
    if column:
        given[-1] = given[-1].unsqueeze(1)
    made = chained("multi_dot", given)
    made = made.squeeze(0) if row else made
    return made.squeeze(-1) if column else made


def chained(name: str, matrices: Sequence[Core]) -> Tensor:
    """The product of matrices, in the order that takes the fewest multiplications: of each run of
    them, from the short to the long, the best place to cut it."""
    chain = [tensor_of(name, m) for m in matrices]
    for i, (a, b) in enumerate(pairwise(chain)):
        if a._shape[1] != b._shape[0]:
            raise ShapeError(
                f"{name}: matrices {i} and {i + 1} do not fit"
                + lined_up(a=a._shape, b=b._shape) + at_line()
            )  # fmt: skip
    n = len(chain)
    size = [int(chain[0]._shape[0]), *(int(t._shape[1]) for t in chain)]
    cost = {(i, i): 0 for i in range(n)}
    cut: dict[tuple[int, int], int] = {}
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            cost[i, j], cut[i, j] = min(
                (cost[i, k] + cost[k + 1, j] + size[i] * size[k + 1] * size[j + 1], k)
                for k in range(i, j)
            )

    def made(i: int, j: int) -> Tensor:
        if i == j:
            return chain[i]
        return made(i, cut[i, j]) @ made(cut[i, j] + 1, j)

    return made(0, n - 1)


@named
def householder_product(A: Core, tau: Core) -> Tensor:
    """The first n columns of H₁ H₂ … H_k, H_i = 1 − τ_i v_i v_iᵀ, from QR in packed form.

    A: (…, m, n) with m ≥ n, whose column i holds v_i below the diagonal (on it v_i is 1, above it
    0); tau (…, k), k ≤ n.

    >>> gu.linalg.householder_product(gu.tensor([[0.0], [1.0]]), gu.tensor([1.0])).tolist()
    [[0.0], [-1.0]]
    """
    a, t = matrices("householder_product", A), tensor_of("householder_product", tau)
    one_type("householder_product", a, t)
    m, n = a._shape[-2:]
    if m < n or t._shape[:-1] != a._shape[:-2] or not t.ndim or t._shape[-1] > n:
        raise ShapeError(
            "householder_product: A needs at least as many rows as columns, and at most so many "
            "tau for each A" + lined_up(A=a._shape, tau=t._shape) + at_line()
        )  # fmt: skip
    unit = a.tril(-1) + eye(m, n, dtype=a.dtype)
    q = expand(eye(m, n, dtype=a.dtype), *a._shape)
    if t._shape[-1] == 0:
        return steps("householder_product", q, a)
    for i in reversed(range(int(t._shape[-1]))):
        v = unit[..., i : i + 1]
        q = q - t[..., i : i + 1].unsqueeze(-1) * (v @ (v.mT @ q))
    return q


@named
def cross(input: Core, other: Core, *, dim: int = -1) -> Tensor:
    """The vector product along an axis of 3, in which both have 3; the other axes broadcast.

    >>> gu.linalg.cross(gu.tensor([1.0, 0.0, 0.0]), gu.tensor([0.0, 1.0, 0.0])).tolist()
    [0.0, 0.0, 1.0]
    """
    return algebra.cross(tensor_of("cross", input), tensor_of("cross", other), dim)


@named
def vecdot(x: Core, y: Core, *, dim: int = -1) -> Tensor:
    """Σ conj(x) · y along an axis; the others broadcast.

    >>> gu.linalg.vecdot(gu.ones(2, 3), gu.tensor([1.0, 2.0, 3.0])).tolist()
    [6.0, 6.0]
    """
    one_type("vecdot", tensor_of("vecdot", x), tensor_of("vecdot", y))
    return pw.binary("mul", conj(x), y).sum(dim)


@named
def diagonal(A: Core, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonals of matrices, as the last axis.

    >>> gu.linalg.diagonal(gu.tensor([[1, 2], [3, 4]])).tolist()
    [1, 4]
    """
    return shape.diagonal(tensor_of("diagonal", A), offset, dim1, dim2)


@named
def vander(x: Core, N: int | None = None) -> Tensor:
    """The powers 0, 1, …, N − 1 of each element, along a new last axis; N: by default, how many
    elements the last axis of x has.

    >>> gu.linalg.vander(gu.tensor([2.0, 3.0]), 3).tolist()
    [[1.0, 2.0, 4.0], [1.0, 3.0, 9.0]]
    """
    a = tensor_of("vander", x)
    if not a.ndim:
        a = a.reshape(1)
    n = int(a._shape[-1]) if N is None else N
    if n <= 1:
        raise ValueError(f"vander: N is greater than 1, not {n}" + at_line())
    one = ones(*a.shape, 1, dtype=a.dtype)
    powers = expand(a.unsqueeze(-1), *a._shape, n - 1).cumprod(-1)
    return cat([one, powers], -1)


@named
def tensorinv(A: Core, ind: int = 2) -> Tensor:
    """The inverse of A, its first `ind` axes taken together as rows, the others as columns.

    The result has the columns' axes first: tensordot(tensorinv(A), A, ind) is the identity.

    >>> gu.linalg.tensorinv(gu.eye(4).reshape(4, 2, 2), ind=1).shape
    (2, 2, 4)
    """
    a = tensor_of("tensorinv", A)
    if not isinstance(ind, int) or ind <= 0:
        raise ValueError(f"tensorinv: ind is a positive number of axes, not {ind!r}" + at_line())
    rows, columns = a._shape[:ind], a._shape[ind:]
    m = product(rows)
    if m != product(columns):
        raise ShapeError(
            f"tensorinv: the first {ind} axes have {int(m)} elements together, the others "
            f"{int(product(columns))}: they must have as many" + lined_up(shape=a._shape)
            + at_line()
        )  # fmt: skip
    return inv(a.reshape(m, m)).reshape(*columns, *rows)


@named
def tensorsolve(A: Core, B: Core, dims: Sequence[int] | None = None) -> Tensor:
    """The X with Σ A · X = B over all axes of X: A has as many axes as B for it, then those of X.

    dims: axes of A that are moved to its end first.

    >>> gu.linalg.tensorsolve(2 * gu.eye(4).reshape(2, 2, 4), gu.ones(2, 2)).tolist()
    [0.5, 0.5, 0.5, 0.5]
    """
    a, b = tensor_of("tensorsolve", A), tensor_of("tensorsolve", B)
    if dims is not None:
        moved = [check_dim("tensorsolve", d, a.ndim) for d in dims]
        a = a.permute(*[d for d in range(a.ndim) if d not in moved], *moved)
    columns = a._shape[b.ndim :]
    n = product(b._shape)
    if a.ndim < b.ndim or not n == product(a._shape[: b.ndim]) == product(columns):
        raise ShapeError(
            f"tensorsolve: the first {b.ndim} axes of A, its other axes and B must have as many "
            f"elements" + lined_up(A=a._shape, B=b._shape) + at_line()
        )  # fmt: skip
    return solve(a.reshape(n, n), b.reshape(n)).reshape(*columns)
