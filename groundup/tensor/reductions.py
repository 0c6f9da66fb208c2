"""The reductions of Tensor as methods, each one line to its room.

Must not hold any meaning of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from ..ir.dtype import DType
from . import pointwise as pw
from . import reduce as rd
from .core import Core
from .misuse import named
from .reduce import Dims

if TYPE_CHECKING:
    from typing import Any

    from .tensor import Tensor


class Reductions(Core):
    """Reductions."""

    @named
    def sum(self, dim: Dims = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
        """Σ over `dim` (all axes for None); integers sum in int64"""
        return rd.sum_(self, dim, keepdim, dtype)

    @named
    def prod(
        self, dim: Dims = None, keepdim: bool = False, *, dtype: DType | None = None
    ) -> Tensor:
        """Π over `dim`"""
        return rd.prod(self, dim, keepdim, dtype)

    @named
    def mean(
        self, dim: Dims = None, keepdim: bool = False, *, dtype: DType | None = None
    ) -> Tensor:
        """Σ x / n over `dim`"""
        return rd.mean(self if dtype is None else pw.cast(self, dtype), dim, keepdim)

    @named
    def var(
        self, dim: Dims | bool = None, unbiased: bool | None = None, keepdim: bool = False, *,
        correction: float | None = None,
    ) -> Tensor:  # fmt: skip
        """Σ (x − mean)² / (n − correction) over `dim`; correction is 1, or 0 for unbiased=False"""
        from .statistics import var

        return var(self, dim, unbiased, keepdim, correction=correction)

    @named
    def std(
        self, dim: Dims | bool = None, unbiased: bool | None = None, keepdim: bool = False, *,
        correction: float | None = None,
    ) -> Tensor:  # fmt: skip
        """√var"""
        from .statistics import std

        return std(self, dim, unbiased, keepdim, correction=correction)

    @overload
    def max(self) -> Tensor: ...
    @overload
    def max(self, dim: int, keepdim: bool = False) -> rd.Extreme: ...
    @overload
    def max(self, dim: Core) -> Tensor: ...
    @named
    def max(self, dim: int | Core | None = None, keepdim: bool = False) -> Tensor | rd.Extreme:
        """The greatest; with `dim` (values, indices) along it; with a tensor the greater of two"""
        if isinstance(dim, Core):
            return pw.binary("maximum", self, dim)
        if dim is None:
            return rd.extreme("max", self)
        return rd.extreme_with_index("max", self, dim, keepdim)

    @overload
    def min(self) -> Tensor: ...
    @overload
    def min(self, dim: int, keepdim: bool = False) -> rd.Extreme: ...
    @overload
    def min(self, dim: Core) -> Tensor: ...
    @named
    def min(self, dim: int | Core | None = None, keepdim: bool = False) -> Tensor | rd.Extreme:
        """The least; with `dim` (values, indices) along it; with a tensor the lesser of two"""
        if isinstance(dim, Core):
            return pw.binary("minimum", self, dim)
        if dim is None:
            return rd.extreme("min", self)
        return rd.extreme_with_index("min", self, dim, keepdim)

    @named
    def amax(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """The greatest over `dim`; NaN wins"""
        return rd.extreme("max", self, dim, keepdim)

    @named
    def amin(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """The least over `dim`; NaN wins"""
        return rd.extreme("min", self, dim, keepdim)

    @named
    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """The index of the first greatest"""
        return rd.arg("max", self, dim, keepdim)

    @named
    def argmin(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """The index of the first least"""
        return rd.arg("min", self, dim, keepdim)

    @named
    def any(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """Is one element true?"""
        return rd.any_(self, dim, keepdim)

    @named
    def all(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """Are all elements true?"""
        return rd.all_(self, dim, keepdim)

    @named
    def logsumexp(self, dim: Dims, keepdim: bool = False) -> Tensor:
        """log Σ e^x over `dim`"""
        return rd.logsumexp(self, dim, keepdim)

    @named
    def softmax(self, dim: int, dtype: DType | None = None) -> Tensor:
        """e^x / Σ e^x along `dim`"""
        return rd.softmax(self, dim, dtype)

    @named
    def log_softmax(self, dim: int, dtype: DType | None = None) -> Tensor:
        """x − log Σ e^x along `dim`"""
        return rd.log_softmax(self, dim, dtype)

    @named
    def norm(self, p: Any = 2, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """(Σ |x|^p)^(1/p) over `dim`"""
        return rd.norm(self, p, dim, keepdim)
