"""Reductions: sums, products, extremes and what is made of them.

Each is a reduction over variables of one read. The order of terms (`lanes` along the contiguous
axis, else `seq`) is part of the expression. Must not know derivatives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, NamedTuple, ParamSpec

from ..ir import dtype as dt
from ..ir import node as ir
from ..ir.dtype import DType
from ..ir.extent import product
from ..ir.node import Node
from . import pointwise as pw
from .autocast import full, is_half
from .core import Core, Paired, finish, operand, value_of
from .errors import at_line, check_dim, lined_up
from .misuse import named
from .mode import state

if TYPE_CHECKING:
    from .tensor import Tensor

Dims = int | Sequence[int] | None


class Extreme(NamedTuple):
    """What max(dim) and min(dim) give."""

    values: Tensor
    indices: Tensor


def axes_of(operation: str, dim: Dims, ndim: int) -> tuple[int, ...]:
    """The reduced axes, counted from the front; None or () is all of them."""
    if dim is None:
        return tuple(range(ndim))
    dims = tuple(dim) if isinstance(dim, list | tuple) else (dim,)
    if not dims:
        return tuple(range(ndim))
    checked = tuple(check_dim(operation, d, ndim) for d in dims)
    if len(set(checked)) != len(checked):
        raise RuntimeError(f"{operation}: dim {dims} names an axis twice" + at_line())
    return tuple(d for d in checked if d < ndim)


def check_flag(keepdim: object) -> None:
    """Raise TypeError for a keepdim that is a number: x.sum(0, 1) would not sum over two axes."""
    if keepdim is not True and keepdim is not False:
        raise TypeError(
            f"keepdim is True or False, not {keepdim!r}; several axes are one argument: (0, 1)"
            + at_line()
        )


P = ParamSpec("P")


def in_float32(
    f: Callable[Concatenate[Core, P], Tensor],
) -> Callable[Concatenate[Core, P], Tensor]:
    """A function of a tensor that computes 16-bit types in float32 and rounds once, at the end;
    under autocast the result stays float32."""

    @wraps(f)
    def call(a: Core, *args: P.args, **kwargs: P.kwargs) -> Tensor:
        if not is_half(a.dtype):
            return f(a, *args, **kwargs)
        result = f(pw.cast(a, dt.float32), *args, **kwargs)
        return result if state.autocast is not None else pw.cast(result, a.dtype)

    return call  # type: ignore[return-value]  # its first argument is positional


def reduced(
    kind: str, tensor: Node, dims: tuple[int, ...], keepdim: bool, dtype: DType | None = None
) -> Node:
    """The tensor node of a reduction over some axes of a tensor."""
    check_flag(keepdim)
    shape = tensor.shape
    variables, pairs = ir.fresh(tensor.depth, [shape[d] for d in dims])
    inner = dict(zip(dims, variables, strict=True))
    indices: list[Node] = []
    result: list[int] = []
    for d, size in enumerate(shape):
        if d in inner:
            indices.append(inner[d])
            if keepdim:
                result.append(1)
        else:
            indices.append(ir.out(len(result)))
            result.append(size)
    body = ir.read(tensor, *indices)
    if dtype is not None:
        body = ir.cast(body, dtype)
    order = "lanes" if len(shape) - 1 in inner else "seq"
    return ir.loops(tuple(result), ir.reduce(kind, pairs, body, order))


def _nonempty(operation: str, a: Core, dims: tuple[int, ...]) -> None:
    if any(a._shape[d] == 0 for d in dims):
        raise IndexError(
            f"{operation}: nothing to choose from: a reduced axis has size 0"
            + lined_up(shape=a._shape)
            + at_line()
        )


@named
def sum_(a: Core, dim: Dims = None, keepdim: bool = False, dtype: DType | None = None) -> Tensor:
    """Σ over `dim`; integers and bools sum in int64."""
    if isinstance(a, Paired) or (dtype is not None and dtype.is_complex):
        from .complex.reduce import sum_ as counterpart

        return counterpart(a, dim, keepdim, dtype)
    a = a if dtype is not None else full(a)
    if dtype is None:
        dtype = a.dtype if a.dtype.is_float else dt.int64
    dims = axes_of("sum", dim, a.ndim)
    return finish(reduced("sum", operand(a), dims, keepdim, dtype), a)


@named
def prod(a: Core, dim: Dims = None, keepdim: bool = False, dtype: DType | None = None) -> Tensor:
    """Π over `dim`; integers and bools multiply in int64."""
    if isinstance(a, Paired) or (dtype is not None and dtype.is_complex):
        from .complex.reduce import prod as counterpart

        return counterpart(a, dim, keepdim, dtype)
    a = a if dtype is not None else full(a)
    if dtype is None:
        dtype = a.dtype if a.dtype.is_float else dt.int64
    return finish(reduced("prod", operand(a), axes_of("prod", dim, a.ndim), keepdim, dtype), a)


def _floating(operation: str, a: Core) -> None:
    if not a.dtype.is_float:
        raise TypeError(
            f"{operation} needs a floating type, not {a.dtype.name}; write x.float().{operation}()"
            + at_line()
        )


@named
@in_float32
def mean(a: Core, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Σ x / n over `dim`"""
    if isinstance(a, Paired):
        from .complex.reduce import mean as counterpart

        return counterpart(a, dim, keepdim)
    _floating("mean", a)
    dims = axes_of("mean", dim, a.ndim)
    total = reduced("sum", operand(a), dims, keepdim)
    count = product([a._shape[d] for d in dims])
    return finish(_divided(total, ir.extent(count)), a)


def _divided(total: Node, count: Node) -> Node:
    """A tensor of its own: its derivative is then divided before it is spread over all terms."""
    sums = ir.read(total, *ir.outs(total.ndim))
    return ir.loops(total.shape, ir.alu("div", sums, ir.cast(count, total.dtype)))


@named
@in_float32
def var(a: Core, dim: Dims = None, correction: float = 1, keepdim: bool = False) -> Tensor:
    """Σ (x − mean)² / (n − correction) over `dim`"""
    if isinstance(a, Paired):
        from .complex.reduce import var as counterpart

        return counterpart(a, dim, correction, keepdim)
    _floating("var", a)
    dims = axes_of("var", dim, a.ndim)
    about = mean(a, dims if a.ndim else None, True)
    fixed = about.detach()
    centred = pw.binary("sub", a, fixed)
    total = reduced("sum", operand(pw.square(centred)), dims, keepdim)
    count = ir.extent(product([a._shape[d] for d in dims]))
    if about.tracked():
        # Σ (x − c)² − n·(mean − c)², for any c: what is taken away is 0 for this one, and so is its
        # derivative, but not the derivative of that. Through the mean itself there would be one
        # more sum over all elements, of Σ (x − mean), which is 0.
        zero = operand(pw.square(pw.binary("sub", about, fixed)))
        rest = iter(range(total.ndim))
        own = [next(rest) if keepdim or d not in dims else None for d in range(a.ndim)]
        at = [ir.index(0) if d in dims or i is None else ir.out(i) for d, i in enumerate(own)]
        away = ir.alu("mul", ir.cast(count, total.dtype), ir.read(zero, *at))
        total = ir.loops(total.shape, ir.alu("sub", total.src[0], away))
    if correction != int(correction):
        count, less, none = (
            ir.cast(count, total.dtype), ir.const(correction, total.dtype), ir.const(0, total.dtype)
        )  # fmt: skip
    else:
        less, none = ir.index(int(correction)), ir.index(0)
    free = ir.alu("maximum", ir.alu("sub", count, less), none)
    return finish(_divided(total, free), a)


@named
@in_float32
def std(a: Core, dim: Dims = None, correction: float = 1, keepdim: bool = False) -> Tensor:
    """√var; where all elements are equal its derivative is 0"""
    return _root(pw.sqrt, var(a, dim, correction, keepdim))


def extreme(kind: str, a: Core, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """The greatest or least over `dim`; NaN wins. Of equals, the first takes the derivative."""
    dims = axes_of(f"a{kind}", dim, a.ndim)
    _nonempty(kind, a, dims)
    return finish(reduced(kind, operand(a), dims, keepdim), a)


def extreme_with_index(kind: str, a: Core, dim: int, keepdim: bool = False) -> Extreme:
    """(values, indices) of the first greatest or least along one axis."""
    return Extreme(extreme(kind, a, dim, keepdim), arg(kind, a, dim, keepdim))


def arg(kind: str, a: Core, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the first greatest or least; over all elements in row-major order for None."""
    if dim is None:
        dims = tuple(range(a.ndim))
    else:
        dims = axes_of(f"arg{kind}", dim, a.ndim)
    _nonempty(f"arg{kind}", a, dims)
    if a.dtype is dt.bool_:
        a = pw.cast(a, dt.uint8)
    return finish(reduced(f"arg{kind}", value_of(a), dims, keepdim), a)


@named
def any_(a: Core, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Is one element true?"""
    return _truth("max", a, axes_of("any", dim, a.ndim), keepdim)


@named
def all_(a: Core, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Are all elements true?"""
    return _truth("min", a, axes_of("all", dim, a.ndim), keepdim)


def _truth(kind: str, a: Core, dims: tuple[int, ...], keepdim: bool) -> Tensor:
    """any as a maximum, all as a minimum of truth values; of nothing: False and True."""
    if isinstance(a, Paired):
        a = pw.to_bool(a)
    if any(a._shape[d] == 0 for d in dims):
        shape = tuple(
            1 if d in dims else s for d, s in enumerate(a._shape) if keepdim or d not in dims
        )
        return finish(ir.loops(shape, ir.const(kind == "min", dt.bool_)), a)
    return finish(reduced(kind, value_of(a), dims, keepdim, dt.bool_), a)


@named
@in_float32
def logsumexp(a: Core, dim: Dims, keepdim: bool = False) -> Tensor:
    """log Σ e^x over `dim`, computed as m + log Σ e^(x − m), m the maximum of the real parts (0
    where infinite)."""
    dims = axes_of("logsumexp", dim, a.ndim)
    x = a if pw.category(a.dtype) > 1 else pw.cast(a, dt.float32)
    if any(x._shape[d] == 0 for d in dims):
        return pw.log(sum_(pw.exp(x), dims, keepdim))
    greatest = _shift(x, dims)
    total = sum_(pw.exp(pw.binary("sub", x, greatest)), dims or None, True)
    result = pw.binary("add", pw.log(total), greatest)
    if keepdim or not dims:
        return result
    from .shape import squeeze_dims

    return squeeze_dims(result, dims)


def _shift(x: Core, dims: tuple[int, ...]) -> Tensor:
    """The maximum over `dims`, kept, as a value without history; 0 where it is infinite."""
    if isinstance(x, Paired):
        from .complex.parts import real

        x = real(x)
    node = reduced("max", value_of(x), dims, True) if dims else value_of(x)
    greatest = finish(node, x)
    m = pw.read_at(node, node.shape)
    finite = ir.alu("lt", ir.alu("abs", m), ir.const(float("inf"), m.dtype))
    return finish(ir.loops(node.shape, ir.where(finite, m, ir.const(0.0, m.dtype))), greatest)


@named
def softmax(a: Core, dim: int, dtype: DType | None = None) -> Tensor:
    """e^(x − m) / Σ e^(x − m) along `dim`, m the maximum"""
    return _softmax(a if dtype is None else pw.cast(a, dtype), dim)


@in_float32
def _softmax(x: Core, dim: int) -> Tensor:
    dims = _for_softmax("softmax", x, dim)
    e = pw.exp(pw.binary("sub", x, _greatest(x, dims)))
    # As a product with 1 / Σ, so that a row has one division, and so has its derivative.
    return pw.binary("mul", e, pw.reciprocal(sum_(e, dims or None, True)))


@named
def log_softmax(a: Core, dim: int, dtype: DType | None = None) -> Tensor:
    """x − m − log Σ e^(x − m) along `dim`, m the maximum"""
    return _log_softmax(a if dtype is None else pw.cast(a, dtype), dim)


@in_float32
def _log_softmax(x: Core, dim: int) -> Tensor:
    dims = _for_softmax("log_softmax", x, dim)
    shifted = pw.binary("sub", x, _greatest(x, dims))
    return pw.binary("sub", shifted, pw.log(sum_(pw.exp(shifted), dims or None, True)))


def _for_softmax(name: str, x: Core, dim: int) -> tuple[int, ...]:
    _floating(name, x)
    return axes_of(name, dim, x.ndim)


def _greatest(x: Core, dims: tuple[int, ...]) -> Tensor:
    if any(x._shape[d] == 0 for d in dims):  # nothing to shift
        return finish(ir.loops(tuple(1 for _ in x._shape), ir.const(0.0, x.dtype)), x)
    return finish(reduced("max", value_of(x), dims, True), x)


@named
@in_float32
def norm(a: Core, p: Any = 2, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """(Σ |x|^p)^(1/p); p may be ∞, −∞ or 0 (the count of what is not 0), or "fro", which is 2; or
    "nuc", the sum of the singular values of the matrices in two axes (`linalg.matrix_norm`).

    Where the norm is 0 its derivative is 0, a subgradient.

    >>> gu.tensor([3.0, 4.0]).norm().item()
    5.0
    """
    if p == "nuc":
        from .linalg.norms import nuclear

        return nuclear(a, dim, keepdim)
    if isinstance(a, Paired):
        a = pw.absolute(a)
    _floating("norm", a)
    if p is None or p == "fro":
        p = 2
    if isinstance(p, str):
        raise ValueError(f"norm: p is a number, 'fro' or 'nuc', not {p!r}" + at_line())
    p = float(p)
    if p == float("inf"):
        return extreme("max", pw.absolute(a), dim, keepdim)
    if p == float("-inf"):
        return extreme("min", pw.absolute(a), dim, keepdim)
    if p == 0:
        return sum_(pw.cast(pw.binary("ne", a, 0), a.dtype), dim, keepdim)
    if p == 1:
        return sum_(pw.absolute(a), dim, keepdim)
    if p == 2:
        return _root(pw.sqrt, sum_(pw.square(a), dim, keepdim))
    # Roots and powers of 0 may have no finite derivative: in its place they are taken of 1.
    zero = pw.binary("eq", a, 0)
    powers = pw.binary("pow", pw.where(zero, 1.0, pw.absolute(a)), p)
    terms = pw.where(zero, math.inf if p < 0 else 0.0, powers)
    total = sum_(terms, dim, keepdim)
    if p < 0:  # it is ∞ where an element is 0: nothing is lost
        return pw.binary("pow", total, 1 / p)
    return _root(lambda x: pw.binary("pow", x, 1 / p), total)


def _root(root: Callable[[Core], Tensor], total: Core) -> Tensor:
    """A root of a sum, with a derivative of 0 where it is 0."""
    zero = pw.binary("eq", total, 0)
    return pw.where(zero, 0.0, root(pw.where(zero, 1.0, total)))
