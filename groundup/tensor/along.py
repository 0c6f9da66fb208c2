"""Tensor's methods that put elements in places, keep running values and sort along an axis.

Each calls the room that knows the operation, when it is used first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self, overload

from .core import Core
from .misuse import named

if TYPE_CHECKING:
    from ..ir.dtype import DType
    from .ordering import Ordered
    from .running import Running
    from .tensor import Tensor


class Along(Core):
    """Operations along one axis whose places or order come from data."""

    # ---- places --------------------------------------------------------------------------------

    def index_add(self, dim: int, index: Core, source: Core, *, alpha: float = 1) -> Tensor:
        """x with alpha · source[…, i, …] added at index[i] of axis `dim`, in the order of i"""
        from .placing import index_add

        return index_add(self, dim, index, source, alpha=alpha)

    def scatter_add(self, dim: int, index: Core, src: Core) -> Tensor:
        """x with src[…, i, …] added at index[…, i, …] of axis `dim`, in the order of i"""
        from .placing import scatter_add

        return scatter_add(self, dim, index, src)

    def scatter(
        self, dim: int, index: Core, src: Any = None, *, value: Any = None,
        reduce: str | None = None,
    ) -> Tensor:  # fmt: skip
        """x with src[…, i, …] (or a number) at index[…, i, …] of axis `dim`; the last i wins"""
        from .placing import scatter

        return scatter(self, dim, index, src, value=value, reduce=reduce)

    def index_put(self, indices: Sequence[Core], values: Any, accumulate: bool = False) -> Tensor:
        """x with values written (the last wins) or added at the places that index tensors name"""
        from .placing import index_put

        return index_put(self, indices, values, accumulate)

    def index_add_(self, dim: int, index: Core, source: Core, *, alpha: float = 1) -> Self:
        """index_add, in place"""
        return self._become("index_add_", self.index_add(dim, index, source, alpha=alpha))

    def scatter_add_(self, dim: int, index: Core, src: Core) -> Self:
        """scatter_add, in place"""
        return self._become("scatter_add_", self.scatter_add(dim, index, src))

    def scatter_(self, dim: int, index: Core, src: Any = None, *, value: Any = None) -> Self:
        """scatter, in place"""
        return self._become("scatter_", self.scatter(dim, index, src, value=value))

    def index_put_(self, indices: Sequence[Core], values: Any, accumulate: bool = False) -> Self:
        """index_put, in place"""
        return self._become("index_put_", self.index_put(indices, values, accumulate))

    # ---- running values --------------------------------------------------------------------------

    @named
    def cumsum(self, dim: int, dtype: DType | None = None) -> Tensor:
        """Running sums along `dim`"""
        from .running import cumsum

        return cumsum(self, dim, dtype)

    @named
    def cumprod(self, dim: int, dtype: DType | None = None) -> Tensor:
        """Running products along `dim`"""
        from .running import cumprod

        return cumprod(self, dim, dtype)

    def cummax(self, dim: int) -> Running:
        """(values, indices) of the greatest up to each element along `dim`"""
        from .running import cummax

        return cummax(self, dim)

    def cummin(self, dim: int) -> Running:
        """(values, indices) of the least up to each element along `dim`"""
        from .running import cummin

        return cummin(self, dim)

    def logcumsumexp(self, dim: int) -> Tensor:
        """log Σ e^x up to each element along `dim`"""
        from .running import logcumsumexp

        return logcumsumexp(self, dim)

    # ---- order -----------------------------------------------------------------------------------

    @named
    def sort(self, dim: int = -1, descending: bool = False, stable: bool = False) -> Ordered:
        """(values, indices) in order along `dim`; equals keep theirs, NaN is greatest"""
        from .ordering import sort

        return sort(self, dim, descending, stable)

    @named
    def argsort(self, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
        """Where the elements in order are along `dim`"""
        from .ordering import argsort

        return argsort(self, dim, descending, stable)

    def topk(self, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Ordered:
        """(values, indices) of the k greatest (or least) along `dim`, in order"""
        from .ordering import topk

        return topk(self, k, dim, largest, sorted)

    def kthvalue(self, k: int, dim: int = -1, keepdim: bool = False) -> Ordered:
        """(value, index) of the k-th least along `dim`, counted from 1"""
        from .ordering import kthvalue

        return kthvalue(self, k, dim, keepdim)

    @overload
    def median(self) -> Tensor: ...
    @overload
    def median(self, dim: int, keepdim: bool = False) -> Ordered: ...
    def median(self, dim: int | None = None, keepdim: bool = False) -> Tensor | Ordered:
        """The middle element in order (the lower of two); with `dim` (values, indices) along it"""
        from .ordering import median

        return median(self, dim, keepdim)

    def _become(self, operation: str, value: Tensor) -> Self:
        from .write import overwrite

        overwrite(operation, self, value)
        return self
