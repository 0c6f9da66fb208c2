"""Sums of products of complex numbers, each as one sum of products of real ones.

Of a the pairs stay as they are: (re, im) is one more axis to sum over. Of b each number becomes the
matrix that multiplies a pair by it: (re, im) · [[re, im], [−im, re]]. So n · m · k complex
multiply-adds are n · 2m · 2k real ones, in the register tiles of any product. Must not know how a
contraction runs.
"""

from __future__ import annotations

from ...ir.extent import product
from .. import contract, shape
from .. import pointwise as pw
from ..core import Core, Paired
from ..tensor import Tensor
from .parts import imag, real
from .tensor import ComplexTensor

# Letters of einsum that no user writes: the pair that is summed over, that of the result.
PART, WHOLE = "ℙ", "ℂ"


def factors(a: Paired, b: Paired) -> tuple[Tensor, Tensor]:
    """(…, p) and (…, p, c): the pairs of a, and for each number of b the matrix."""
    return a._pair, shape.stack([b._pair, _turned(b)], -2)


def contracted(
    a: Paired, la: str, b: Paired, lb: str, following: set[str], result: str | None
) -> tuple[Core, str]:
    """contract._contract: two operands of einsum as one, and its letters."""
    x, y = factors(a, b)
    whole = None if result is None else result + WHOLE
    made, term = contract._contract(
        x, la + PART, y, lb + PART + WHOLE, following | {WHOLE}, whole
    )
    assert isinstance(made, Tensor)
    return ComplexTensor(made), term[:-1]


def _turned(b: Paired) -> Tensor:
    """The pairs of i·b: (−im, re)."""
    return shape.stack([pw.neg(imag(b)), real(b)], -1)


def matmul(a: Paired, b: Core) -> Tensor:
    """y[…, i, j] = Σ_k a[…, i, k] · b[…, k, j] of shapes that are known to fit."""
    assert isinstance(b, Paired)
    pairs = a._pair
    left = shape.reshape(pairs, (*a._shape[:-1], product((a._shape[-1], 2))))
    if b.ndim == 1:
        _, right = factors(a, b)
        inner = shape.reshape(right, (product((b._shape[0], 2)), 2))
        return ComplexTensor(contract.matmul(left, inner))
    *lead, k, j = b._shape
    right = shape.stack([b._pair, _turned(b)], -3)  # (…, k, p, j, c)
    inner = shape.reshape(right, (*lead, product((k, 2)), product((j, 2))))
    made = contract.matmul(left, inner)
    return ComplexTensor(shape.reshape(made, (*made._shape[:-1], j, 2)))
