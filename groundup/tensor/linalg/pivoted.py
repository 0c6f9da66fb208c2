"""L D Lᵀ of arrays, row by row as LAPACK's sytf2 and sytrs: NumPy does not offer them.

Works with the methods of the arrays that it is given, and imports nothing. Must not know tensors or
derivatives.
"""

from __future__ import annotations

import math
from itertools import product as indices_of
from typing import TYPE_CHECKING

from ..errors import LinAlgError, at_line
from ..misuse import named
from .lapack import SINGULAR, fault, hosted

if TYPE_CHECKING:
    from .lapack import Array

# Which growth of the elements a pivot of one row may bring: it balances that of one and of two.
# Source: Bunch and Kaufman (1977), section 4.
_ALPHA = (1 + math.sqrt(17)) / 8


@named
@hosted("NumPy, row by row, as LAPACK's sytf2")
def ldl_factor(a: Array, name: str) -> tuple[Array, ...]:
    """L and D in one array, the exchanges, and which block of D is the first that is 0 (else 0),
    which is an error if there is a name for it."""
    packed = a.copy()
    pivots = a.sum(-1).astype("int32")
    info = a.sum((-1, -2), keepdims=True).astype("int32")
    for at in indices_of(*map(range, a.shape[:-2])):
        info[at] = found = _factor(packed[at], pivots[at])
        if name and found:
            raise fault(name, SINGULAR, a, at)
    return packed, pivots, info.reshape(a.shape[:-2])


def _factor(x: Array, pivots: Array) -> int:
    n, k, info = len(x), 0, 0
    while k < n:
        kp, step = _pivot(x, k)
        _exchange(x, k, k + step - 1, kp)
        if step == 1:
            pivots[k] = kp + 1
            if x[k, k] == 0:
                info = info or k + 1
            else:
                column = x[k + 1 :, k].copy()
                x[k + 1 :, k] = column / x[k, k]
                x[k + 1 :, k + 1 :] -= x[k + 1 :, k, None] * column
        else:
            pivots[k : k + 2] = -kp - 1
            _eliminate_two(x, k)
        k += step
    for i in range(n):
        x[i, i + 1 :] = 0
    return info


def _pivot(x: Array, k: int) -> tuple[int, int]:
    """(the row to exchange, how many rows the block of D has)"""
    here, below = abs(x[k, k]), abs(x[k + 1 :, k])
    if not below.size or max(here, below.max()) == 0:
        return k, 1
    best = k + 1 + int(below.argmax())
    column = below[best - k - 1]
    if here >= _ALPHA * column:
        return k, 1
    row = abs(x[best, k:best]).max()
    if best + 1 < len(x):
        row = max(row, abs(x[best + 1 :, best]).max())
    if here >= _ALPHA * column * (column / row):
        return k, 1
    return best, 1 if abs(x[best, best]) >= _ALPHA * row else 2


def _exchange(x: Array, k: int, one: int, other: int) -> None:
    """Rows and columns `one` and `other` > `one` of the symmetric matrix that begins at k."""
    if one == other:
        return
    for a, b in (
        (x[other + 1 :, one], x[other + 1 :, other]),
        (x[one + 1 : other, one], x[other, one + 1 : other]),
        (x[one, k:one], x[other, k:one]),
    ):
        kept = a.copy()
        a[:] = b
        b[:] = kept
    x[one, one], x[other, other] = x[other, other], x[one, one]


def _eliminate_two(x: Array, k: int) -> None:
    """The rows below a block of two: their columns of L, and what is left of the matrix."""
    if k + 2 >= len(x):
        return
    off = x[k + 1, k]
    low, high = x[k + 1, k + 1] / off, x[k, k] / off
    scale = 1 / (low * high - 1) / off
    first, second = x[k + 2 :, k].copy(), x[k + 2 :, k + 1].copy()
    x[k + 2 :, k] = scale * (low * first - second)
    x[k + 2 :, k + 1] = scale * (high * second - first)
    rest = x[k + 2 :, k + 2 :]
    rest -= first[:, None] * x[k + 2 :, k] + second[:, None] * x[k + 2 :, k + 1]


@named
@hosted("NumPy, row by row, as LAPACK's sytrs")
def ldl_solve(packed: Array, pivots: Array, b: Array) -> tuple[Array, ...]:
    """The X with A X = B."""
    result = b.copy()
    for at in indices_of(*map(range, b.shape[:-2])):
        _solve(packed[at], pivots[at].tolist(), result[at])
    return (result,)


def _swap(b: Array, one: int, other: int) -> None:
    if one != other:
        kept = b[one].copy()
        b[one] = b[other]
        b[other] = kept


def _solve(x: Array, pivots: list[int], b: Array) -> None:
    n, k = len(x), 0
    if any(not 1 <= abs(p) <= n for p in pivots):
        raise LinAlgError(f"ldl_solve: pivots are from 1 to {n} in size" + at_line())
    while k < n:
        if pivots[k] > 0:
            _swap(b, k, pivots[k] - 1)
            b[k + 1 :] -= x[k + 1 :, k, None] * b[k]
            b[k] /= x[k, k]
            k += 1
            continue
        if k + 1 == n:
            raise LinAlgError("ldl_solve: the last block of two lacks a row" + at_line())
        _swap(b, k + 1, -pivots[k] - 1)
        b[k + 2 :] -= x[k + 2 :, k, None] * b[k] + x[k + 2 :, k + 1, None] * b[k + 1]
        off = x[k + 1, k]
        high, low = x[k, k] / off, x[k + 1, k + 1] / off
        one, two = b[k] / off, b[k + 1] / off
        b[k], b[k + 1] = ((low * one - two) / (high * low - 1),
                          (high * two - one) / (high * low - 1))  # fmt: skip
        k += 2
    k = n - 1
    while k >= 0:
        b[k] -= x[k + 1 :, k] @ b[k + 1 :]
        if pivots[k] > 0:
            _swap(b, k, pivots[k] - 1)
            k -= 1
            continue
        b[k - 1] -= x[k + 1 :, k - 1] @ b[k + 1 :]
        _swap(b, k, -pivots[k] - 1)
        k -= 2
