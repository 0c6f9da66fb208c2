"""The products and the functions of matrices of Tensor as methods, each one line to its room.

Must not hold any meaning of its own. The room is imported when it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from . import pointwise as pw
from .core import Core
from .write import overwrite

if TYPE_CHECKING:
    from .linalg.systems import Slogdet
    from .tensor import Tensor


class Matrices(Core):
    """Functions of matrices."""

    def det(self) -> Tensor:
        """The determinant: `gu.linalg.det`."""
        from .linalg.systems import det

        return det(self)

    def slogdet(self) -> Slogdet:
        """Sign and logarithm of the determinant: `gu.linalg.slogdet`."""
        from .linalg.systems import slogdet

        return slogdet(self)

    def logdet(self) -> Tensor:
        """The logarithm of the determinant: `gu.logdet`."""
        from .linalg.systems import logdet

        return logdet(self)

    def inverse(self) -> Tensor:
        """The inverse: `gu.linalg.inv`."""
        from .linalg.systems import inv

        return inv(self)

    def pinverse(self, rcond: float = 1e-15) -> Tensor:
        """The pseudo-inverse: `gu.pinverse`."""
        from .linalg.least import pinverse

        return pinverse(self, rcond)

    def matrix_exp(self) -> Tensor:
        """The exponential: `gu.linalg.matrix_exp`."""
        from .linalg.exponential import matrix_exp

        return matrix_exp(self)

    def matrix_power(self, n: int) -> Tensor:
        """The n-th power: `gu.linalg.matrix_power`."""
        from .linalg.products import matrix_power

        return matrix_power(self, n)

    def cholesky(self, upper: bool = False) -> Tensor:
        """The Cholesky factor: `gu.linalg.cholesky`."""
        from .linalg.decompositions import cholesky

        return cholesky(self, upper=upper)

    # ---- products --------------------------------------------------------------------------------

    def __matmul__(self, other: Any) -> Tensor:
        if type(other).__module__ == "numpy":
            other = pw.known_operand(other)
        return self.matmul(other) if isinstance(other, Core) else NotImplemented

    def __imatmul__(self, other: Any) -> Self:
        overwrite("@=", self, self @ other)
        return self

    def __rmatmul__(self, other: Any) -> Tensor:
        return pw.known_operand(other).matmul(self)  # type: ignore[no-any-return]

    def matmul(self, other: Core) -> Tensor:
        """Σ_k x[…, i, k] · y[…, k, j]"""
        from .contract import matmul

        return matmul(self, other)

    def mm(self, other: Core) -> Tensor:
        """The product of two matrices."""
        from .contract import mm

        return mm(self, other)

    def bmm(self, other: Core) -> Tensor:
        """The products of two batches of matrices."""
        from .contract import bmm

        return bmm(self, other)

    def mv(self, other: Core) -> Tensor:
        """A matrix times a vector."""
        from .contract import mv

        return mv(self, other)

    def dot(self, other: Core) -> Tensor:
        """Σ x · y of two vectors."""
        from .contract import dot

        return dot(self, other)

    def outer(self, other: Core) -> Tensor:
        """x[i] · y[j] of two vectors."""
        from .contract import outer

        return outer(self, other)
