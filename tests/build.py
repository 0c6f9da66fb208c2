"""Tensors for tests, written directly as loops and reads: no floor above `ir` is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count

import numpy as np

from groundup.ir import dtype as dt
from groundup.ir.dtype import DType
from groundup.ir.node import (
    Node,
    alu,
    buffer,
    cast,
    const,
    extent,
    fresh,
    index,
    leaf,
    loops,
    outs,
    read,
    reduce,
    where,
)
from groundup.runtime import Buffer, allocate

_uids = count()


# ---- in and out of memory ------------------------------------------------------------------------


def np_dtype(dtype: DType) -> np.dtype:
    return np.dtype(dtype.name)


def gu_dtype(dtype: np.dtype) -> DType:
    return dt.BY_NAME[np.dtype(dtype).name]


def tensor(array: object, dtype: DType | None = None) -> Node:
    """A buffer node that holds a copy of an array."""
    data = np.ascontiguousarray(array, None if dtype is None else np_dtype(dtype))
    data = data.reshape(np.shape(array))
    memory = allocate(max(1, data.nbytes))
    memory.write_bytes(data.tobytes())
    return buffer(memory, data.shape, gu_dtype(data.dtype))


def param(array: object, dtype: DType | None = None) -> Node:
    """A leaf: a tensor that derivatives are taken by."""
    return leaf(tensor(array, dtype), next(_uids))


def array(memory: Buffer, node: Node) -> np.ndarray:
    """The elements of a computed tensor."""
    shape = tuple(int(s) for s in node.shape)
    size = int(np.prod(shape)) * node.dtype.itemsize
    return np.frombuffer(memory.read_bytes(0, size), np_dtype(node.dtype)).reshape(shape)


# ---- index and scalar helpers --------------------------------------------------------------------


def plus(*terms: Node | int) -> Node:
    """A sum of index expressions."""
    total = index(0)
    for t in terms:
        total = alu("add", total, index(t))
    return total


def scaled(x: Node, factor: int) -> Node:
    return alu("mul", x, index(factor))


def number(value: float, like: Node) -> Node:
    return const(value, like.dtype)


def inside(ix: Node, size: int) -> Node:
    return alu("and", alu("le", index(0), ix), alu("lt", ix, extent(size)))


# ---- tensors -------------------------------------------------------------------------------------


def own(x: Node, shape: Sequence[int] | None = None) -> Node:
    """The element of x at the out variables, broadcast to `shape` as NumPy does."""
    shape = x.shape if shape is None else tuple(shape)
    names = outs(len(shape))[len(shape) - x.ndim :]
    return read(x, *(index(0) if s == 1 else v for s, v in zip(x.shape, names, strict=True)))


def pointwise(f: Callable[..., Node], *xs: Node) -> Node:
    """f on the elements of broadcast tensors."""
    shape = np.broadcast_shapes(*(x.shape for x in xs))
    return loops(shape, f(*(own(x, shape) for x in xs)))


def op(name: str, *xs: Node) -> Node:
    return pointwise(lambda *elements: alu(name, *elements), *xs)


def to(x: Node, dtype: DType) -> Node:
    return pointwise(lambda e: cast(e, dtype), x)


def over(kind: str, x: Node, axes: Sequence[int], order: str = "seq") -> Node:
    """A reduction over some axes, which disappear."""
    axes = sorted(axes)
    names, variables = fresh(x.depth, [x.shape[a] for a in axes])
    free = iter(outs(x.ndim - len(axes)))
    at = [names[axes.index(i)] if i in axes else next(free) for i in range(x.ndim)]
    shape = tuple(s for i, s in enumerate(x.shape) if i not in axes)
    return loops(shape, reduce(kind, variables, read(x, *at), order))


def keep(x: Node, axes: Sequence[int]) -> Node:
    """Axes of size 1 put back in after a reduction."""
    shape = list(x.shape)
    for a in sorted(axes):
        shape.insert(a, 1)
    names = [v for i, v in enumerate(outs(len(shape))) if i not in axes]
    return loops(tuple(shape), read(x, *names))


def matmul(a: Node, b: Node) -> Node:
    """(…, m, k) @ (…, k, n) with equal leading axes."""
    *batch, m, k = a.shape
    n = b.shape[-1]
    names = outs(len(batch) + 2)
    (r,), variables = fresh(max(a.depth, b.depth), [k])
    first = read(a, *names[:-1], r)
    second = read(b, *names[:-2], r, names[-1])
    body = reduce("sum", variables, alu("mul", first, second), "dot")
    return loops((*batch, m, n), body)


def conv2d(x: Node, w: Node, stride: int = 1, padding: int = 0, dilation: int = 1) -> Node:
    """(n, c, h, w) with (o, c, u, v), as torch.nn.functional.conv2d."""
    n, c, *size = x.shape
    o, _, *kernel = w.shape
    out = [(s + 2 * padding - dilation * (k - 1) - 1) // stride + 1 for s, k in zip(size, kernel)]
    b, f, p, q = outs(4)
    (rc, ru, rv), variables = fresh(max(x.depth, w.depth), [c, *kernel])
    ih = plus(scaled(p, stride), scaled(ru, dilation), -padding)
    iw = plus(scaled(q, stride), scaled(rv, dilation), -padding)
    term = alu("mul", read(x, b, rc, ih, iw), read(w, f, rc, ru, rv))
    if padding:  # a product with what lies outside is no term
        guard = alu("and", inside(ih, size[0]), inside(iw, size[1]))
        term = where(guard, term, number(0, term))
    return loops((n, o, *out), reduce("sum", variables, term, "dot"))


def pool2d(kind: str, x: Node, kernel: int, stride: int | None = None) -> Node:
    """Windows of (n, c, h, w) reduced by max, or averaged."""
    stride = stride or kernel
    n, c, *size = x.shape
    out = [(s - kernel) // stride + 1 for s in size]
    b, f, p, q = outs(4)
    (ru, rv), variables = fresh(x.depth, [kernel, kernel])
    value = read(x, b, f, plus(scaled(p, stride), ru), plus(scaled(q, stride), rv))
    if kind == "max":
        return loops((n, c, *out), reduce("max", variables, value))
    total = reduce("sum", variables, value)
    return loops((n, c, *out), alu("mul", total, number(1 / kernel**2, value)))


def softmax(x: Node) -> Node:
    """Over the last axis, in one body."""
    *lead, n = x.shape
    names = outs(x.ndim)
    (r,), variables = fresh(x.depth, [n])
    top = reduce("max", variables, read(x, *names[:-1], r))
    (s,), more = fresh(top.depth, [n])
    total = reduce("sum", more, alu("exp", alu("sub", read(x, *names[:-1], s), top)))
    return loops((*lead, n), alu("div", alu("exp", alu("sub", read(x, *names), top)), total))


def logsumexp(x: Node) -> Node:
    """Over the last axis, in one body."""
    *lead, n = x.shape
    names = outs(len(lead))
    (r,), variables = fresh(x.depth, [n])
    top = reduce("max", variables, read(x, *names, r))
    (s,), more = fresh(top.depth, [n])
    total = reduce("sum", more, alu("exp", alu("sub", read(x, *names, s), top)))
    return loops(tuple(lead), alu("add", alu("log", total), top))


def take(x: Node, at: Node) -> Node:
    """x[n, at[n]]: one element of each row."""
    n = outs(1)[0]
    return loops(at.shape, read(x, n, read(at, n)))


def embedding(w: Node, at: Node) -> Node:
    """w[at]: one row for each integer."""
    names = outs(at.ndim + 1)
    return loops((*at.shape, w.shape[1]), read(w, read(at, *names[:-1]), names[-1]))


def view(x: Node, shape: Sequence[int], f: Callable[..., Sequence[Node]]) -> Node:
    """The tensor whose element at (o…) is x at f(o…)."""
    return loops(tuple(shape), read(x, *f(*outs(len(shape)))))


def pad(x: Node, before: int, after: int, value: float = 0.0) -> Node:
    """The last axis made longer with a constant."""
    size = x.shape[-1]
    names = outs(x.ndim)
    ix = plus(names[-1], -before)
    element = read(x, *names[:-1], ix)
    body = where(inside(ix, size), element, number(value, element))
    return loops((*x.shape[:-1], size + before + after), body)
