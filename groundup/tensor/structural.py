"""Tensor's methods of statistics, arrangements, searches and places, each one line to its room.

Must not hold any meaning of its own. A room is imported when a method first asks for it: a first
result needs none of them (tests/test_startup.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .core import Core

if TYPE_CHECKING:
    from ..ir.dtype import DType
    from .ordering import Ordered
    from .reduce import Dims
    from .search import Histogram
    from .statistics import Extremes
    from .tensor import Tensor


class Structural(Core):
    """Functions of whole tensors, named as in gu."""

    def movedim(
        self, source: int | Sequence[int], destination: int | Sequence[int]
    ) -> Tensor:
        """Axes moved to other places."""
        from .shape import movedim

        return movedim(self, source, destination)

    @property
    def H(self) -> Tensor:
        """The conjugate transpose of a matrix."""
        from .complex.parts import conj
        from .shape import t

        return conj(t(self))

    @property
    def mH(self) -> Tensor:
        """The conjugates, the last two axes exchanged."""
        from .complex.parts import conj
        from .shape import transpose

        return conj(transpose(self, -2, -1))

    def var_mean(
        self, dim: Dims | bool = None, unbiased: bool | None = None, keepdim: bool = False, *,
        correction: float | None = None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """(var, mean) over `dim`"""
        from .statistics import var_mean

        return var_mean(self, dim, unbiased, keepdim, correction=correction)

    def std_mean(
        self, dim: Dims | bool = None, unbiased: bool | None = None, keepdim: bool = False, *,
        correction: float | None = None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """(std, mean) over `dim`"""
        from .statistics import std_mean

        return std_mean(self, dim, unbiased, keepdim, correction=correction)

    def nansum(
        self, dim: Dims = None, keepdim: bool = False, *, dtype: DType | None = None,
    ) -> Tensor:  # fmt: skip
        """Σ over `dim` of what is not NaN"""
        from .statistics import nansum

        return nansum(self, dim, keepdim, dtype=dtype)

    def nanmean(
        self, dim: Dims = None, keepdim: bool = False, *, dtype: DType | None = None,
    ) -> Tensor:  # fmt: skip
        """The mean over `dim` of what is not NaN"""
        from .statistics import nanmean

        return nanmean(self, dim, keepdim, dtype=dtype)

    def count_nonzero(self, dim: Dims = None) -> Tensor:
        """How many elements are not 0, over `dim`"""
        from .statistics import count_nonzero

        return count_nonzero(self, dim)

    def aminmax(self, *, dim: int | None = None, keepdim: bool = False) -> Extremes:
        """(min, max) over `dim`"""
        from .statistics import aminmax

        return aminmax(self, dim=dim, keepdim=keepdim)

    def dist(self, other: Core, p: float = 2) -> Tensor:
        """(Σ |x − other|^p)^(1/p)"""
        from .statistics import dist

        return dist(self, other, p)

    def renorm(self, p: float, dim: int, maxnorm: float) -> Tensor:
        """x, each of its parts along `dim` shortened to a norm of at most maxnorm"""
        from .statistics import renorm

        return renorm(self, p, dim, maxnorm)

    def cov(
        self, *, correction: int = 1, fweights: Core | None = None, aweights: Core | None = None,
    ) -> Tensor:  # fmt: skip
        """Covariances of the rows: C[i, j] = Σ_k w[k]·(x[i, k] − μ[i])·(x[j, k] − μ[j]) / n′"""
        from .statistics import cov

        return cov(self, correction=correction, fweights=fweights, aweights=aweights)

    def corrcoef(self) -> Tensor:
        """R[i, j] = C[i, j] / √(C[i, i]·C[j, j]), brought into [−1, 1]; C = cov"""
        from .statistics import corrcoef

        return corrcoef(self)

    def quantile(
        self, q: Core | float, dim: int | None = None, keepdim: bool = False, *,
        interpolation: str = "linear",
    ) -> Tensor:  # fmt: skip
        """What a share q of the elements along `dim` lies below; between two by interpolation."""
        from .statistics import quantile

        return quantile(self, q, dim, keepdim, interpolation=interpolation)

    def nanquantile(
        self, q: Core | float, dim: int | None = None, keepdim: bool = False, *,
        interpolation: str = "linear",
    ) -> Tensor:  # fmt: skip
        """quantile of what is not NaN"""
        from .statistics import nanquantile

        return nanquantile(self, q, dim, keepdim, interpolation=interpolation)

    def nanmedian(self, dim: int | None = None, keepdim: bool = False) -> Tensor | Ordered:
        """The middle element in order (the lower of two) of what is not NaN"""
        from .statistics import nanmedian

        return nanmedian(self, dim, keepdim)

    def mode(self, dim: int = -1, keepdim: bool = False) -> Ordered:
        """(values, indices) of the most frequent along `dim`, the least of several"""
        from .statistics import mode

        return mode(self, dim, keepdim)

    def msort(self) -> Tensor:
        """The elements in order along the first axis"""
        from .statistics import msort

        return msort(self)

    def diff(
        self, n: int = 1, dim: int = -1, prepend: Core | None = None, append: Core | None = None,
    ) -> Tensor:  # fmt: skip
        """x[i + 1] − x[i] along `dim`, n times; of bools, whether they differ"""
        from .statistics import diff

        return diff(self, n, dim, prepend, append)

    def trace(self) -> Tensor:
        """Σ x[i, i] of a matrix"""
        from .statistics import trace

        return trace(self)

    def sum_to_size(self, *size: Any) -> Tensor:
        """Σ over the axes that a tensor of this size would be repeated along to have x's shape"""
        from .statistics import sum_to_size

        return sum_to_size(self, *size)

    def roll(self, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Tensor:
        """y[(i + s) mod n] = x[i] along each of `dims`; without dims, of all elements"""
        from .arrange import roll

        return roll(self, shifts, dims)

    def rot90(self, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
        """Turned by k right angles in the plane of two axes, from the first towards the second"""
        from .arrange import rot90

        return rot90(self, k, dims)

    def fliplr(self) -> Tensor:
        """The second axis in reverse order"""
        from .arrange import fliplr

        return fliplr(self)

    def flipud(self) -> Tensor:
        """The first axis in reverse order"""
        from .arrange import flipud

        return flipud(self)

    def tile(self, *counts: Any, dims: Sequence[int] | None = None) -> Tensor:
        """The tensor repeated along each axis, counted from the last"""
        from .arrange import tile

        return tile(self, *(counts if dims is None else (*counts, dims)))

    def repeat_interleave(
        self, repeats: Core | int, dim: int | None = None, *, output_size: int | None = None,
    ) -> Tensor:  # fmt: skip
        """Each element of an axis several times in a row (a number for all, or one for each)"""
        from .arrange import repeat_interleave

        return repeat_interleave(self, repeats, dim, output_size=output_size)

    def unfold(self, dimension: int, size: int, step: int) -> Tensor:
        """y[…, i, …, u] = x[…, step·i + u, …]: windows along an axis"""
        from .arrange import unfold

        return unfold(self, dimension, size, step)

    def as_strided(
        self, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None,
    ) -> Tensor:  # fmt: skip
        """y[i, j, …] = memory[offset + i·stride₀ + j·stride₁ + …], a view"""
        from .arrange import as_strided

        return as_strided(self, size, stride, storage_offset)

    def diag_embed(self, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
        """y[…, i, i + offset] = x[…, i], 0 elsewhere: the last axis as a diagonal of two axes"""
        from .arrange import diag_embed

        return diag_embed(self, offset, dim1, dim2)

    def diag(self, diagonal: int = 0) -> Tensor:
        """The matrix with a vector on its diagonal, or the diagonal of a matrix"""
        from .arrange import diag

        return diag(self, diagonal)

    def diagflat(self, offset: int = 0) -> Tensor:
        """The matrix with all elements, in their order, on its diagonal"""
        from .arrange import diagflat

        return diagflat(self, offset)

    def diagonal_scatter(
        self, source: Core, offset: int = 0, dim1: int = 0, dim2: int = 1,
    ) -> Tensor:  # fmt: skip
        """x with a diagonal replaced"""
        from .arrange import diagonal_scatter

        return diagonal_scatter(self, source, offset, dim1, dim2)

    def select_scatter(self, source: Core, dim: int, index: int) -> Tensor:
        """x with one element of an axis replaced"""
        from .arrange import select_scatter

        return select_scatter(self, source, dim, index)

    def slice_scatter(
        self,
        source: Core,
        dim: int = 0,
        start: int | None = None,
        end: int | None = None,
        step: int = 1,
    ) -> Tensor:
        """x with the elements start:end:step of an axis replaced"""
        from .arrange import slice_scatter

        return slice_scatter(self, source, dim, start, end, step)

    def as_strided_scatter(
        self,
        source: Core,
        size: Sequence[int],
        stride: Sequence[int],
        storage_offset: int | None = None,
    ) -> Tensor:
        """x with the elements that as_strided would read replaced"""
        from .arrange import as_strided_scatter

        return as_strided_scatter(self, source, size, stride, storage_offset)

    def tensor_split(
        self, indices_or_sections: Core | int | Sequence[int], dim: int = 0,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        """Pieces along an axis: so many, as equal as can be, or cut before each index"""
        from .parts import tensor_split

        return tensor_split(self, indices_or_sections, dim)

    def hsplit(self, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
        """tensor_split into equal pieces along the second axis (of a vector the first)"""
        from .parts import hsplit

        return hsplit(self, indices_or_sections)

    def vsplit(self, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
        """tensor_split into equal pieces along the first axis"""
        from .parts import vsplit

        return vsplit(self, indices_or_sections)

    def dsplit(self, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
        """tensor_split into equal pieces along the third axis"""
        from .parts import dsplit

        return dsplit(self, indices_or_sections)

    def argwhere(self) -> Tensor:
        """The indices of what is not 0, one row each (computed now)"""
        from .search import argwhere

        return argwhere(self)

    def isin(
        self, test_elements: Any, *, assume_unique: bool = False, invert: bool = False,
    ) -> Tensor:  # fmt: skip
        """Is each element one of some others? (invert: none of them?)"""
        from .search import isin

        return isin(self, test_elements, assume_unique=assume_unique, invert=invert)

    def bincount(self, weights: Core | None = None, minlength: int = 0) -> Tensor:
        """How often each of 0, 1, 2, … occurs (or the sum of the weights where it does)"""
        from .search import bincount

        return bincount(self, weights, minlength)

    def histc(self, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
        """How many elements are in each of `bins` equal parts of [min, max]"""
        from .search import histc

        return histc(self, bins, min, max)

    def histogram(
        self,
        bins: int | Core,
        *,
        range: Sequence[float] | None = None,
        weight: Core | None = None,
        density: bool = False,
    ) -> Histogram:
        """(how many elements, or what weight, is in each bin; the edges of the bins)"""
        from .search import histogram

        return histogram(self, bins, range=range, weight=weight, density=density)

    def unique(
        self,
        sorted: bool = True,
        return_inverse: bool = False,
        return_counts: bool = False,
        dim: int | None = None,
    ) -> Any:
        """Every element once, in order (along `dim`: every part once); computed now"""
        from .search import unique

        return unique(self, sorted, return_inverse, return_counts, dim)

    def unique_consecutive(
        self, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None,
    ) -> Any:  # fmt: skip
        """The first of every run of equal elements (along `dim`: parts); computed now"""
        from .search import unique_consecutive

        return unique_consecutive(self, return_inverse, return_counts, dim)

    def scatter_reduce(
        self, dim: int, index: Core, src: Core, reduce: str, *, include_self: bool = True,
    ) -> Tensor:  # fmt: skip
        """x with all src[…, k, …] that go to index[…, k, …] == j joined at j"""
        from .places import scatter_reduce

        return scatter_reduce(self, dim, index, src, reduce, include_self=include_self)

    def index_reduce(
        self, dim: int, index: Core, source: Core, reduce: str, *, include_self: bool = True,
    ) -> Tensor:  # fmt: skip
        """scatter_reduce of whole parts along an axis: source[…, k, …] goes to index[k]"""
        from .places import index_reduce

        return index_reduce(self, dim, index, source, reduce, include_self=include_self)

    def index_fill(self, dim: int, index: Core, value: Any) -> Tensor:
        """x with a number at the parts of an axis that the index names"""
        from .places import index_fill

        return index_fill(self, dim, index, value)

    def index_copy(self, dim: int, index: Core, source: Core) -> Tensor:
        """x with source[…, k, …] at index[k] of an axis; of several the last"""
        from .places import index_copy

        return index_copy(self, dim, index, source)

    def masked_scatter(self, mask: Core, source: Core) -> Tensor:
        """x with the elements of source, in order, where the mask holds"""
        from .places import masked_scatter

        return masked_scatter(self, mask, source)

    def take(self, index: Core) -> Tensor:
        """x[i] for each i of an index, x in one axis"""
        from .places import take

        return take(self, index)

    def put(self, index: Core, source: Core, accumulate: bool = False) -> Tensor:
        """x with source[k] at index[k] (of several the last, or added), x in one axis"""
        from .places import put

        return put(self, index, source, accumulate)

    def nonzero_static(self, *, size: int, fill_value: int = -1) -> Tensor:
        """The first `size` rows of argwhere; rows of fill_value where there are fewer"""
        from .places import nonzero_static

        return nonzero_static(self, size=size, fill_value=fill_value)

    def addmm(self, x: Core, y: Core, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
        """beta · a + alpha · (x @ y), of matrices"""
        from .algebra import addmm

        return addmm(self, x, y, beta=beta, alpha=alpha)

    def addmv(self, x: Core, y: Core, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
        """beta · a + alpha · (x @ y), of a matrix and a vector"""
        from .algebra import addmv

        return addmv(self, x, y, beta=beta, alpha=alpha)

    def addr(self, x: Core, y: Core, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
        """beta · a + alpha · x yᵀ, of vectors"""
        from .algebra import addr

        return addr(self, x, y, beta=beta, alpha=alpha)

    def baddbmm(self, x: Core, y: Core, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
        """beta · a + alpha · (x @ y), of batches of matrices"""
        from .algebra import baddbmm

        return baddbmm(self, x, y, beta=beta, alpha=alpha)

    def addbmm(self, x: Core, y: Core, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
        """beta · a + alpha · Σ_n x[n] @ y[n]"""
        from .algebra import addbmm

        return addbmm(self, x, y, beta=beta, alpha=alpha)

    def inner(self, b: Core) -> Tensor:
        """Σ_k a[…, k] · b[…′, k] over the last axes, the others of a before those of b"""
        from .algebra import inner

        return inner(self, b)

    def vdot(self, b: Core) -> Tensor:
        """Σ_k a[k] · b[k] of two vectors (of complex numbers, the first conjugated)"""
        from .algebra import vdot

        return vdot(self, b)

    def kron(self, b: Core) -> Tensor:
        """y[i·p + k, j·q + l] = a[i, j] · b[k, l] for b of shape (p, q), in any number of axes"""
        from .algebra import kron

        return kron(self, b)

    def cross(self, other: Core, dim: int | None = None) -> Tensor:
        """The vector product along an axis of size 3 (the first such one for None)"""
        from .algebra import cross

        return cross(self, other, dim)
