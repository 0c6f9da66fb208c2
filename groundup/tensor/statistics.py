"""What is made of reductions: moments, quantiles, the most frequent, integrals of samples.

Must not know derivatives, or how a reduction runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..ir import dtype as dt
from ..ir.dtype import DType
from . import indexing, picking, shape
from . import pointwise as pw
from . import reduce as rd
from .core import Core, Paired, plain
from .errors import ShapeError, at_line, check_dim, lined_up
from .misuse import named
from .ordering import Ordered, argsort, chosen, median, sort
from .reduce import Dims

if TYPE_CHECKING:
    from .tensor import Tensor


class Extremes(NamedTuple):
    """What aminmax gives."""

    min: Tensor
    max: Tensor


# ---- moments -------------------------------------------------------------------------------------


def _moment(dim: Any, unbiased: bool | None, correction: float | None) -> tuple[Dims, float]:
    """(the axes, what is taken from the count), of PyTorch's three ways to say so: `correction`,
    `unbiased`, or `unbiased` in the place of `dim`."""
    if isinstance(dim, bool):  # var(x, True)
        dim, unbiased = None, dim
    if correction is None:
        correction = 0 if unbiased is False else 1
    return dim, correction


@named
def var(
    a: Core, dim: Dims | bool = None, unbiased: bool | None = None, keepdim: bool = False, *,
    correction: float | None = None,
) -> Tensor:  # fmt: skip
    """Σ (x − mean)² / (n − correction) over `dim`; correction is 1, or 0 for unbiased=False

    >>> gu.var(gu.tensor([1.0, 3.0])).item()
    2.0
    """
    dims, less = _moment(dim, unbiased, correction)
    return rd.var(a, dims, less, keepdim)


@named
def std(
    a: Core, dim: Dims | bool = None, unbiased: bool | None = None, keepdim: bool = False, *,
    correction: float | None = None,
) -> Tensor:  # fmt: skip
    """√var

    >>> gu.std(gu.tensor([1.0, 5.0]), unbiased=False).item()
    2.0
    """
    dims, less = _moment(dim, unbiased, correction)
    return rd.std(a, dims, less, keepdim)


@named
def var_mean(
    a: Core, dim: Dims | bool = None, unbiased: bool | None = None, keepdim: bool = False, *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """(var, mean) over `dim`

    >>> [x.item() for x in gu.var_mean(gu.tensor([1.0, 3.0]))]
    [2.0, 2.0]
    """
    dims, less = _moment(dim, unbiased, correction)
    return rd.var(a, dims, less, keepdim), rd.mean(a, dims, keepdim)


@named
def std_mean(
    a: Core, dim: Dims | bool = None, unbiased: bool | None = None, keepdim: bool = False, *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """(std, mean) over `dim`

    >>> [x.item() for x in gu.std_mean(gu.tensor([1.0, 5.0]), correction=0)]
    [2.0, 3.0]
    """
    dims, less = _moment(dim, unbiased, correction)
    return rd.std(a, dims, less, keepdim), rd.mean(a, dims, keepdim)


@named
def nansum(
    a: Core, dim: Dims = None, keepdim: bool = False, *, dtype: DType | None = None
) -> Tensor:
    """Σ over `dim` of what is not NaN

    >>> gu.nansum(gu.tensor([1.0, float("nan")])).item()
    1.0
    """
    return rd.sum_(pw.where(pw.isnan(a), 0, a), dim, keepdim, dtype)


@named
def nanmean(
    a: Core, dim: Dims = None, keepdim: bool = False, *, dtype: DType | None = None
) -> Tensor:
    """The mean over `dim` of what is not NaN; NaN where nothing is

    >>> gu.nanmean(gu.tensor([1.0, float("nan"), 3.0])).item()
    2.0
    """
    if not a.dtype.is_float:
        raise TypeError(f"nanmean needs a floating type, not {a.dtype.name}" + at_line())
    total = nansum(a, dim, keepdim, dtype=dtype)
    count = rd.sum_(pw.logical_not(pw.isnan(a)), dim, keepdim)
    return pw.binary("div", total, pw.cast(count, total.dtype))


@named
def count_nonzero(a: Core, dim: Dims = None) -> Tensor:
    """How many elements are not 0, over `dim`

    >>> gu.count_nonzero(gu.tensor([0, 3, 5])).item()
    2
    """
    return rd.sum_(pw.binary("ne", a, 0), dim)


@named
def aminmax(a: Core, *, dim: int | None = None, keepdim: bool = False) -> Extremes:
    """(min, max) over `dim`

    >>> gu.aminmax(gu.tensor([2.0, 1.0, 3.0])).max.item()
    3.0
    """
    return Extremes(rd.extreme("min", a, dim, keepdim), rd.extreme("max", a, dim, keepdim))


@named
def dist(a: Core, other: Core, p: float = 2) -> Tensor:
    """(Σ |a − other|^p)^(1/p) over all elements

    >>> gu.dist(gu.tensor([3.0, 0.0]), gu.tensor([0.0, 4.0])).item()
    5.0
    """
    return rd.norm(pw.binary("sub", a, other), p)


@named
def renorm(a: Core, p: float, dim: int, maxnorm: float) -> Tensor:
    """x, each of its parts along `dim` shortened to a norm of at most maxnorm

    >>> gu.renorm(gu.tensor([[3.0, 4.0]]), 2, 0, 1.0).norm().item() <= 1.0
    True
    """
    d = check_dim("renorm", dim, a.ndim)
    if a.ndim < 2:
        raise ShapeError("renorm needs at least 2 axes" + lined_up(shape=a._shape) + at_line())
    if p <= 0 or maxnorm < 0:
        raise ValueError(f"renorm: p is positive and maxnorm not negative, not {p} and {maxnorm}"
                         + at_line())  # fmt: skip
    others = tuple(e for e in range(a.ndim) if e != d)
    size = rd.norm(a, p, others, True)
    # PyTorch's guard of 1e-7 against a division by 0.
    share = pw.binary("div", maxnorm, pw.binary("add", size, 1e-7))
    return pw.binary("mul", a, pw.where(pw.binary("lt", maxnorm, size), share, 1.0))


@named
def cov(a: Core, *, correction: int = 1, fweights: Core | None = None,
        aweights: Core | None = None) -> Tensor:  # fmt: skip
    """C[i, j] = Σ_k w[k]·(x[i, k] − μ[i])·(x[j, k] − μ[j]) / (n − correction), rows are variables

    x: (variables, observations), or one variable; C: (variables, variables), or one number. w is
    fweights · aweights, μ the mean under w, n = Σ w. fweights: how often each observation counts
    (integers); aweights: how much (floating), with which correction · Σ w·aweights / Σ w is taken
    from n. Raises ShapeError unless there is one weight for each observation.

    >>> gu.cov(gu.tensor([[1.0, 3.0], [1.0, 5.0]])).tolist()
    [[2.0, 4.0], [4.0, 8.0]]
    """
    from .complex.parts import conj
    from .contract import matmul

    if a.ndim > 2:
        raise ShapeError("cov takes up to 2 axes" + lined_up(shape=a._shape) + at_line())
    if a.dtype.kind == "b":
        raise TypeError("cov of bools has no meaning" + at_line())
    x = shape.reshape(a, 1, -1) if a.ndim < 2 else a
    x = x if pw.category(x.dtype) > 1 else pw.cast(x, dt.float32)
    count = int(x._shape[1])
    weights = _weights(x, fweights, aweights)
    if weights is None:
        about = rd.mean(x, 1, True)
        free: Any = max(count - correction, 0)
        centred = pw.binary("sub", x, about)
        other = centred
    else:
        total = rd.sum_(weights)
        about = pw.binary("div", rd.sum_(pw.binary("mul", x, weights), 1, True), total)
        centred = pw.binary("sub", x, about)
        other = pw.binary("mul", centred, weights)
        free = total
        if correction and aweights is not None:
            twice = rd.sum_(pw.binary("mul", weights, aweights))
            free = pw.binary("sub", total, pw.binary("div", twice, total) * correction)
        elif correction:
            free = pw.binary("sub", total, correction)
        free = pw.clamp(free, 0)
    other = conj(shape.transpose(other, 0, 1))
    result = pw.binary("div", matmul(centred, other), free)
    return shape.squeeze(result)


def _weights(x: Core, frequency: Core | None, importance: Core | None) -> Tensor | None:
    """The product of both kinds of weights, checked; None where there are none."""
    for name, w in (("fweights", frequency), ("aweights", importance)):
        if w is None:
            continue
        if w.ndim != 1 or w._shape[0] != x._shape[1]:
            raise ShapeError(
                f"cov: {name} has one number for each observation"
                + lined_up(observations=x._shape, weights=w._shape) + at_line()
            )  # fmt: skip
        if w.dtype.is_float is (name == "fweights"):
            kind = "integers" if name == "fweights" else "of a floating type"
            raise TypeError(f"cov: {name} are {kind}, not {w.dtype.name}" + at_line())
        if bool(rd.any_(pw.binary("lt", w, 0)).item()):
            raise ValueError(f"cov: {name} are not negative" + at_line())
    if frequency is None or importance is None:
        only = importance if frequency is None else frequency
        return None if only is None else shape.identity(only)
    return pw.binary("mul", frequency, importance)


@named
def corrcoef(a: Core) -> Tensor:
    """R[i, j] = C[i, j] / √(C[i, i]·C[j, j]), brought into [−1, 1]; C = cov

    >>> gu.corrcoef(gu.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]])).round().tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    from .complex.parts import imag, joined, real

    c = cov(a)
    if not c.ndim:
        return pw.binary("div", c, c)
    scale = pw.sqrt(real(shape.diagonal(c)))
    result = pw.binary("div", pw.binary("div", c, shape.unsqueeze(scale, 1)), scale)
    if isinstance(result, Paired):
        return joined(pw.clamp(real(result), -1, 1), pw.clamp(imag(result), -1, 1), result.dtype)
    return pw.clamp(result, -1, 1)


# ---- order ---------------------------------------------------------------------------------------

_INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


@named
def quantile(
    a: Core, q: Core | float, dim: int | None = None, keepdim: bool = False, *,
    interpolation: str = "linear",
) -> Tensor:  # fmt: skip
    """What a share q of the elements along `dim` lies below; between two by interpolation.

    q: a number, or several in one axis, each in [0, 1]: the first axis of the result.
    interpolation: 'linear', 'lower', 'higher', 'midpoint' or 'nearest'. NaN where one element is.

    >>> gu.quantile(gu.tensor([1.0, 2.0, 4.0]), 0.25).item()
    1.5
    """
    return _quantile("quantile", a, q, dim, keepdim, interpolation)


@named
def nanquantile(
    a: Core, q: Core | float, dim: int | None = None, keepdim: bool = False, *,
    interpolation: str = "linear",
) -> Tensor:  # fmt: skip
    """quantile of what is not NaN; NaN where nothing is

    >>> gu.nanquantile(gu.tensor([1.0, float("nan"), 3.0]), 0.5).item()
    2.0
    """
    return _quantile("nanquantile", a, q, dim, keepdim, interpolation)


def _quantile(
    name: str, a: Core, q: Core | float, dim: int | None, keepdim: bool, interpolation: str
) -> Tensor:
    from .create import full_like, tensor

    if not a.dtype.is_float or a.dtype.bits < 32:
        raise TypeError(f"{name} needs float32 or float64, not {a.dtype.name}" + at_line())
    if interpolation not in _INTERPOLATIONS:
        raise ValueError(
            f"{name}: interpolation is one of {', '.join(_INTERPOLATIONS)}, not {interpolation!r}"
            + at_line()
        )
    share = q if isinstance(q, Core) else tensor(float(q), dtype=a.dtype)
    if share.ndim > 1 or share.dtype is not a.dtype:
        raise TypeError(
            f"{name}: q is a number or has one axis, and x's dtype, not {share.dtype.name} of "
            f"shape {tuple(share._shape)}" + at_line()
        )
    if 0 in a._shape:
        raise IndexError(f"{name}: nothing to choose from" + lined_up(shape=a._shape) + at_line())
    values = [float(v) for v in indexing.host_values(share, name)]
    if not all(0 <= v <= 1 for v in values):
        raise ValueError(f"{name}: q lies in [0, 1], not {values}" + at_line())
    ndim = a.ndim
    d = 0 if dim is None else check_dim(name, dim, ndim)
    flat = shape.reshape(a, -1) if dim is None or not ndim else shape.movedim(a, d, -1)
    ordered = sort(flat, -1).values
    size = int(ordered._shape[-1])
    nan = pw.isnan(flat)
    counts = rd.sum_(pw.logical_not(nan), -1, True)
    last = pw.cast(counts if name == "nanquantile" else full_like(counts, size), a.dtype)
    place = pw.clamp(pw.binary("mul", share, pw.binary("sub", last, 1)), 0)
    if not share.ndim:
        place = shape.expand(place, (*ordered._shape[:-1], 1))
    result = _between(ordered, place, interpolation)
    if name == "quantile":
        result = pw.where(rd.any_(nan, -1, True), math.nan, result)
    else:
        result = pw.where(pw.binary("eq", counts, 0), math.nan, result)
    result = shape.movedim(result, -1, 0) if result.ndim else result
    if keepdim:
        own = [1] * ndim if dim is None else [s if e != d else 1 for e, s in enumerate(a._shape)]
        result = shape.reshape(result, (len(values), *own))
    return result if share.ndim else shape.select(result, 0, 0)


def _between(ordered: Core, place: Core, how: str) -> Tensor:
    """What stands at places, which need not be whole numbers, of the last axis."""
    whole = {"nearest": pw.round_, "higher": pw.ceil}.get(how, pw.floor)
    below = whole(plain(place))
    low = picking.gather(ordered, -1, pw.cast(below, dt.int64))
    if how not in ("linear", "midpoint"):
        return low
    high = picking.gather(ordered, -1, pw.cast(pw.ceil(plain(place)), dt.int64))
    share: Any = 0.5 if how == "midpoint" else pw.binary("sub", place, below)
    return pw.lerp(low, high, share)


@named
def nanmedian(a: Core, dim: int | None = None, keepdim: bool = False) -> Tensor | Ordered:
    """The middle element in order (the lower of two) of what is not NaN; NaN where nothing is

    Along `dim`: (values, indices).

    >>> gu.nanmedian(gu.tensor([3.0, float("nan"), 1.0])).item()
    1.0
    """
    if not a.ndim:
        return median(a, dim, keepdim)
    if dim is None:
        found = nanmedian(shape.reshape(a, -1), 0)
        assert isinstance(found, Ordered)
        return found.values
    d = check_dim("nanmedian", dim, a.ndim)
    if a._shape[d] == 0:
        raise IndexError("nanmedian: nothing to choose from" + lined_up(shape=a._shape) + at_line())
    order = argsort(a, d)
    counts = rd.sum_(pw.logical_not(pw.isnan(a)), d, True)
    middle = pw.clamp(pw.binary("floordiv", pw.binary("sub", counts, 1), 2), 0)
    return chosen(a, d, picking.gather(order, d, middle), keepdim)


@named
def mode(a: Core, dim: int = -1, keepdim: bool = False) -> Ordered:
    """(values, indices) of the most frequent along `dim`, the least of several; where it is last.

    A NaN equals none, so that each is there once, and comes after all numbers. (What PyTorch gives
    depends on where among the others it stands.)

    >>> gu.mode(gu.tensor([2, 1, 2])).values.item()
    2
    """
    d = check_dim("mode", dim, a.ndim)
    if not a.ndim:
        return sort(a)
    if a._shape[d] == 0:
        raise IndexError("mode: nothing to choose from" + lined_up(shape=a._shape) + at_line())
    from .create import arange
    from .running import cummax

    ordered, order = sort(plain(a), d)
    n = int(a._shape[d])
    behind = a.ndim - 1 - d
    place = shape.reshape(arange(n), (n, *(1,) * behind))
    previous = shape.narrow(ordered, d, 0, n - 1)
    new = pw.binary("ne", shape.narrow(ordered, d, 1, n - 1), previous)
    begun = pw.where(new, shape.narrow(place, 0, 1, n - 1), 0)
    begun = shape.pad(begun, (*(0, 0) * behind, 1, 0))  # the first run begins at 0
    start = cummax(begun, d).values  # where the run of each element began
    length = pw.binary("sub", place, start)
    end = rd.arg("max", length, d, True)  # of the first longest run, its last element
    return chosen(a, d, picking.gather(order, d, end), keepdim)


@named
def msort(a: Core) -> Tensor:
    """The elements in order along the first axis

    >>> gu.msort(gu.tensor([3, 1, 2])).tolist()
    [1, 2, 3]
    """
    return sort(a, 0).values


# ---- neighbours ----------------------------------------------------------------------------------


@named
def diff(
    a: Core, n: int = 1, dim: int = -1, prepend: Core | None = None, append: Core | None = None
) -> Tensor:
    """x[i + 1] − x[i] along `dim`, n times; of bools, whether they differ

    >>> gu.diff(gu.tensor([1, 4, 9])).tolist()
    [3, 5]
    """
    if not a.ndim:
        raise ShapeError("diff needs at least one axis" + at_line())
    d = check_dim("diff", dim, a.ndim)
    if n < 0:
        raise ValueError(f"diff: n is 0 or more, not {n}" + at_line())
    parts = [x for x in (prepend, a, append) if x is not None]
    x: Core = a if len(parts) == 1 or not n else shape.cat(parts, d)
    op = "ne" if x.dtype.kind == "b" else "sub"
    for _ in range(min(n, int(x._shape[d]))):
        size = int(x._shape[d])
        x = pw.binary(op, shape.narrow(x, d, 1, size - 1), shape.narrow(x, d, 0, size - 1))
    return shape.identity(x).clone() if x is a else shape.identity(x)


def _areas(name: str, y: Core, x: Core | None, dx: Any, dim: int) -> tuple[Tensor, int]:
    """(the area between each two neighbouring samples; the axis, from the last: x may have had
    more axes than y)"""
    d = check_dim(name, dim, y.ndim)
    size = int(y._shape[d])
    if x is not None:
        if x.ndim == 1 and y.ndim > 1:
            if x._shape[0] != size:
                raise ShapeError(
                    f"{name}: there is one x for each y along dim {d}"
                    + lined_up(y=y._shape, x=x._shape) + at_line()
                )  # fmt: skip
            x = shape.reshape(x, (size, *(1,) * (y.ndim - 1 - d)))
        own = check_dim(name, d - y.ndim, x.ndim)
        if x._shape[own] not in (1, size):
            raise ShapeError(
                f"{name}: there is one x for each y along dim {d}"
                + lined_up(y=y._shape, x=x._shape) + at_line()
            )  # fmt: skip
        dx = diff(x, 1, own)
    if size == 0:
        pair = shape.narrow(y, d, 0, 0)
    else:
        pair = pw.binary("add", shape.narrow(y, d, 1, size - 1), shape.narrow(y, d, 0, size - 1))
    return pw.binary("mul", pw.binary("div", pair, 2.0), dx), d - y.ndim


@named
def trapezoid(y: Core, x: Core | None = None, *, dx: Any = 1, dim: int = -1) -> Tensor:
    """Σ ½·(y[i] + y[i + 1])·(x[i + 1] − x[i]) along `dim`; without x, samples dx apart

    >>> gu.trapezoid(gu.tensor([1.0, 2.0, 3.0])).item()
    4.0
    """
    areas, axis = _areas("trapezoid", y, x, dx, dim)
    return rd.sum_(areas, axis)


@named
def trapz(y: Core, x: Core | None = None, *, dx: Any = 1, dim: int = -1) -> Tensor:
    """trapezoid

    >>> gu.trapz(gu.tensor([1.0, 2.0]), dx=2.0).item()
    3.0
    """
    return trapezoid(y, x, dx=dx, dim=dim)


@named
def cumulative_trapezoid(y: Core, x: Core | None = None, *, dx: Any = 1, dim: int = -1) -> Tensor:
    """trapezoid up to each sample

    >>> gu.cumulative_trapezoid(gu.tensor([1.0, 2.0, 3.0])).tolist()
    [1.5, 4.0]
    """
    from .running import cumsum

    areas, axis = _areas("cumulative_trapezoid", y, x, dx, dim)
    return cumsum(areas, axis)


@named
def trace(a: Core) -> Tensor:
    """Σ x[i, i] of a matrix

    >>> gu.trace(gu.tensor([[1, 2], [3, 4]])).item()
    5
    """
    if a.ndim != 2:
        raise ShapeError("trace takes a matrix" + lined_up(shape=a._shape) + at_line())
    return rd.sum_(shape.diagonal(a))


@named
def softmin(a: Core, dim: int, dtype: DType | None = None) -> Tensor:
    """softmax of −x

    >>> gu.softmin(gu.tensor([0.0, 0.0]), 0).tolist()
    [0.5, 0.5]
    """
    return rd.softmax(pw.neg(a), dim, dtype)


@named
def sum_to_size(a: Core, *size: Any) -> Tensor:
    """Σ over the axes that a tensor of this size would be repeated along to have x's shape

    >>> gu.ones(2, 3).sum_to_size(3).tolist()
    [2.0, 2.0, 2.0]
    """
    new: Sequence[int] = shape.sizes(size)
    lead = a.ndim - len(new)
    if lead < 0 or any(n not in (1, s) for n, s in zip(new, a._shape[lead:], strict=True)):
        raise ShapeError(
            "sum_to_size: the size must broadcast to the shape"
            + lined_up(shape=a._shape, size=new) + at_line()
        )  # fmt: skip
    gone = [*range(lead), *(lead + i for i, n in enumerate(new) if n != a._shape[lead + i])]
    summed = rd.sum_(a, gone, True) if gone else shape.identity(a)
    return shape.reshape(summed, new)
