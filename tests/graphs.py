"""Random graphs for property tests, with what NumPy says about them.

`graphs()` is a hypothesis strategy of cases: root nodes, the value of each, and for each element
how far a result may be from it (0: bit for bit). Every emitter is tested with the same graphs.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

from groundup.ir import dtype as dt
from groundup.ir.bounds import ULPS, sum_bound
from groundup.ir.dtype import DType
from groundup.ir.node import Node, alu, cast, index, loops, out, outs, read, reshape, where
from groundup.ir.transform import body_nodes, element, substitute

from . import build as B

DTYPES = (dt.float32, dt.float64, dt.int64, dt.bool_)
FLOATS = (dt.float32, dt.float64)
LARGEST = 1e6  # finite numbers stay below, so that no order of summation overflows


def examples(usual: int) -> int:
    """How many cases a property test tries: in a nightly run as many as GROUNDUP_GRAPHS says."""
    return int(os.environ.get("GROUNDUP_GRAPHS", usual))


@dataclass
class Value:
    """A tensor, its elements as NumPy computes them, and the greatest error of each."""

    node: Node
    data: np.ndarray
    error: np.ndarray

    @property
    def dtype(self) -> DType:
        return self.node.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def exact(self) -> bool:
        return not self.error.any()


@dataclass
class Case:
    """Tensors to compute, and what they must be."""

    values: list[Value]
    steps: list[str] = field(default_factory=list)
    leaves: list[Value] = field(default_factory=list)

    @property
    def roots(self) -> list[Node]:
        return [v.node for v in self.values]

    def __repr__(self) -> str:
        return "Case: " + "; ".join(self.steps)

    def check(self, actual: list[np.ndarray]) -> None:
        """Raise AssertionError unless every element is within its bound."""
        for value, got in zip(self.values, actual, strict=True):
            assert got.shape == value.shape, f"shape {got.shape}, expected {value.shape}\n{self}"
            wrong = ~close(got, value)
            if wrong.any():
                at = tuple(int(i) for i in np.argwhere(wrong)[0]) if got.ndim else ()
                raise AssertionError(
                    f"{wrong.sum()} of {wrong.size} elements differ, the first at {at}: "
                    f"{got[at]!r}, expected {value.data[at]!r} ± {value.error[at]:g}\n"
                    f"{self}\n{value.node}"
                )


def close(got: np.ndarray, value: Value) -> np.ndarray:
    """Element by element: within the bound; NaN only equals NaN, Inf only itself."""
    if not value.dtype.is_float:
        return got == value.data
    a, b = got.astype(np.longdouble), value.data.astype(np.longdouble)
    with np.errstate(invalid="ignore"):
        near = np.abs(a - b) <= value.error
    return (np.isnan(a) & np.isnan(b)) | (a == b) | (near & np.isfinite(b))


@st.composite
def graphs(
    draw: st.DrawFn,
    most_steps: int = 8,
    sizes: tuple[int, ...] = (1, 2, 3, 4, 5, 7),
    limit: int = 240,
) -> Case:
    """Cases of up to `most_steps` operations on tensors of at most `limit` elements.

    One seed decides everything but the number of steps, so that a failing case shrinks to the
    first steps that fail.
    """
    seed = draw(st.integers(0, 2**64 - 1))
    return make(seed, draw(st.integers(1, most_steps)), sizes, limit)


def make(
    seed: int,
    steps: int,
    sizes: tuple[int, ...] = (1, 2, 3, 4, 5, 7),
    limit: int = 240,
    leaves: bool = False,
    folds: bool = False,
) -> Case:
    """The case with this seed; axes have these sizes, and now and then none.

    With `leaves`, all floats are float64 without NaN and Inf, and derivatives can be taken by
    every buffer of floats. With `folds`, there are many products, extremes and choices.
    """
    maker = _Maker(seed, sizes, limit, leaves)
    if folds:
        maker.kinds, maker.reductions = STEPS + FOLDING, ("sum", "prod", "prod", "max", "min")
    for _ in range(steps):
        maker.step()
    last = maker.pool[-1]
    others = [v for v in maker.pool[:-1] if maker.chance(0.15)][:2]
    return Case([last, *others], maker.steps, maker.leaves or [])


class _Reject(Exception):
    """An operation that cannot be applied, or whose result could not be compared."""


class _Maker:
    """Grows a pool of values by drawn operations."""

    def __init__(self, seed: int, sizes: tuple[int, ...], limit: int, leaves: bool = False) -> None:
        self.sizes, self.limit = sizes, limit
        self.leaves: list[Value] | None = [] if leaves else None
        self.rng = np.random.default_rng(seed)
        self.steps: list[str] = []
        self.pool: list[Value] = []
        self.kinds, self.reductions = STEPS, REDUCTIONS
        self.fresh(self.pick(DTYPES), self.shape())

    # ---- choices ---------------------------------------------------------------------------------

    def pick(self, options: Iterable[Any]) -> Any:
        options = list(options)
        return options[self.rng.integers(len(options))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def between(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def permutation(self, n: int) -> list[int]:
        return [int(i) for i in self.rng.permutation(n)]

    def shape(self, ndim: int | None = None) -> tuple[int, ...]:
        ndim = self.between(0, 4) if ndim is None else ndim
        shape: list[int] = []
        for _ in range(ndim):
            room = self.limit // max(1, math.prod(s for s in shape if s))
            able = [s for s in self.sizes if s <= room]
            shape.append(0 if self.chance(0.03) else self.pick(able) if able else 1)
        return tuple(shape)

    def fresh(self, dtype: DType, shape: tuple[int, ...]) -> Value:
        """A new buffer; some hold NaN, Inf, zeros of both signs and the largest integers."""
        leaves = self.leaves
        odd = self.chance(0.25) and leaves is None
        if leaves is not None and dtype is dt.float32:
            dtype = dt.float64
        if dtype.is_float:
            data = self.rng.normal(size=shape) * self.rng.choice([0.5, 3.0])
            special = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 0.5]
        elif dtype is dt.bool_:
            data, special = self.rng.integers(0, 2, shape), [0, 1]
        else:
            data = self.rng.integers(-9, 10, shape)
            special = [0, 1, -1, 2**63 - 1, -(2**63), 2**53 + 1, 2**24 + 1, -(2**62) - 2**31]
        data = np.asarray(data).astype(B.np_dtype(dtype))
        if odd:
            mask = self.rng.random(shape) < 0.25
            chosen = np.asarray(self.rng.choice(len(special), shape))
            data = np.where(mask, np.array(special).astype(data.dtype)[chosen], data)
        if leaves is None or not dtype.is_float:
            return self.add("buffer", B.tensor(data), data)
        leaves.append(self.add("buffer", B.param(data), data))
        return leaves[-1]

    def value(self, *dtypes: DType) -> Value:
        """A value of one of some types, from the pool if there is one."""
        able = [v for v in self.pool if v.dtype in dtypes]
        if able and self.chance(0.8):
            return self.pick(able[-3:])
        return self.fresh(self.pick(dtypes), self.shape())

    def partner(self, x: Value, dtype: DType) -> Value:
        """A value that broadcasts with x."""
        able = [v for v in self.pool if v.dtype is dtype and self.fits(v.shape, x.shape)]
        if able and self.chance(0.6):
            return self.pick(able)
        shape = [1 if self.chance(0.3) else s for s in x.shape]
        cut = self.between(0, len(shape)) if self.chance(0.4) else 0
        return self.fresh(dtype, tuple(shape[cut:]))

    def fits(self, a: tuple[int, ...], b: tuple[int, ...]) -> bool:
        try:
            return math.prod(np.broadcast_shapes(a, b)) <= self.limit
        except ValueError:
            return False

    # ---- results ---------------------------------------------------------------------------------

    def add(self, step: str, node: Node, data: np.ndarray, error: object = 0.0) -> Value:
        data = np.asarray(data)
        if data.dtype.kind == "f" and step != "buffer":
            finite = data[np.isfinite(data)]
            if finite.size and np.abs(finite).max() > LARGEST:
                raise _Reject
        error = np.broadcast_to(np.asarray(error, float), data.shape)
        error = np.where(np.isfinite(data), error, 0.0) if data.dtype.kind == "f" else error
        if not np.isfinite(error).all():
            raise _Reject
        assert node.shape == data.shape, (step, node.shape, data.shape)
        assert B.np_dtype(node.dtype) == data.dtype, (step, node.dtype, data.dtype)
        value = Value(node, data, error)
        self.steps.append(f"{step} → {node.dtype.name}{list(node.shape)}")
        self.pool.append(value)
        return value

    def step(self) -> None:
        """One more operation."""
        before = len(self.pool), len(self.steps)
        for _ in range(8):
            try:
                with np.errstate(all="ignore"):
                    getattr(self, f"do_{self.pick(self.kinds)}")()
                break
            except _Reject:
                del self.pool[before[0] :], self.steps[before[1] :]
        else:
            return
        if self.chance(0.5):
            last = self.pool[-1]
            last.node = fused(last.node)

    # ---- one element at a time -------------------------------------------------------------------

    def do_unary(self) -> None:
        x = self.value(*FLOATS)
        name = self.pick(UNARY)
        if not x.exact and name not in ("neg", "abs", "tanh", "sin", "cos"):
            raise _Reject
        if name in ("sin", "cos", "tan") and np.any(np.abs(x.data[np.isfinite(x.data)]) > 100):
            raise _Reject
        data = UNARY[name](x.data.astype(np.float64)).astype(x.data.dtype)
        error = x.error + transcendental(name, data)
        self.add(name, B.op(name, x.node), data, error)

    def do_binary(self) -> None:
        x = self.value(*FLOATS)
        y = self.partner(x, x.dtype)
        name = self.pick(BINARY)
        data = BINARY[name](x.data, y.data)
        a, b = np.abs(x.data.astype(float)), np.abs(y.data.astype(float))
        a, b = (np.where(np.isfinite(v), v, 0.0) for v in (a, b))
        if name in ("add", "sub", "maximum", "minimum"):
            error = x.error + y.error
        elif name == "mul":
            error = a * y.error + b * x.error + x.error * y.error
        elif name == "div" and y.exact:
            error = np.where(x.error == 0, 0.0, x.error / b)
        elif x.exact and y.exact:
            error = transcendental(name, data)
        else:
            raise _Reject
        rounded = name in ("add", "sub", "mul", "div")
        if np.any(error) and rounded:
            error = error + ulps(data, 1)
        self.add(name, B.op(name, x.node, y.node), data, error)

    def do_integer(self) -> None:
        x = self.value(dt.int64)
        y = self.partner(x, dt.int64)
        name = self.pick(INTEGER)
        self.add(name, B.op(name, x.node, y.node), INTEGER[name](x.data, y.data))

    def do_integer_unary(self) -> None:
        x = self.value(dt.int64)
        name = self.pick(("neg", "abs", "not"))
        f = {"neg": np.negative, "abs": np.abs, "not": np.invert}[name]
        self.add(name, B.op(name, x.node), f(x.data))

    def do_bool(self) -> None:
        x = self.value(dt.bool_)
        y = self.partner(x, dt.bool_)
        name = self.pick(BOOL)
        node = B.op(name, x.node, y.node) if name != "not" else B.op(name, x.node)
        self.add(name, node, BOOL[name](x.data, y.data) if name != "not" else ~x.data)

    def do_compare(self) -> None:
        x = self.value(*DTYPES)
        y = self.partner(x, x.dtype)
        name = self.pick(("eq", "ne") if x.dtype is dt.bool_ else ("lt", "le", "eq", "ne"))
        if not (x.exact and y.exact):
            raise _Reject
        f = {"lt": np.less, "le": np.less_equal, "eq": np.equal, "ne": np.not_equal}[name]
        self.add(name, B.op(name, x.node, y.node), f(x.data, y.data))

    def do_where(self) -> None:
        x = self.value(*DTYPES)
        y = self.partner(x, x.dtype)
        c = self.partner(x, dt.bool_)
        if not self.fits(c.shape, np.broadcast_shapes(x.shape, y.shape)):
            raise _Reject
        node = B.pointwise(where, c.node, x.node, y.node)
        data = np.where(c.data, x.data, y.data)
        self.add("where", node, data, np.where(c.data, x.error, y.error))

    def do_cast(self) -> None:
        x = self.value(*DTYPES)
        to = self.pick([d for d in DTYPES if d is not x.dtype])
        if (not x.exact and not to.is_float) or (to is dt.float32 and self.leaves is not None):
            raise _Reject
        data = converted(x.data, to)
        error = x.error + ulps(data, 1) if x.error.any() else 0.0
        self.add(f"to {to.name}", B.to(x.node, to), data, error)

    # ---- reductions ------------------------------------------------------------------------------

    def do_reduce(self) -> None:
        x = self.value(*DTYPES)
        if not x.data.ndim:
            raise _Reject
        count = self.between(1, x.data.ndim)
        axes = sorted(self.permutation(x.data.ndim)[:count])
        kinds = ("max", "min") if x.dtype is dt.bool_ else self.reductions
        kind = self.pick(kinds)
        rest = [i for i in range(x.data.ndim) if i not in axes]
        terms = int(np.prod([x.shape[a] for a in axes]))
        if (terms == 0 and kind not in ("sum", "prod")) and x.dtype is not dt.bool_:
            raise _Reject
        kept = tuple(x.shape[i] for i in rest)
        rows = x.data.transpose(*rest, *axes).reshape(*kept, terms)
        errors = x.error.transpose(*rest, *axes).reshape(*kept, terms)
        order = self.pick(("seq", "lanes")) if kind in ("sum", "max", "min") else "seq"
        node = B.over(kind, x.node, axes, order)
        self.add(f"{kind} over {axes}", node, *reduced(kind, rows, errors, x.dtype))

    def do_softmax(self) -> None:
        x = self.value(*FLOATS)
        if not x.data.ndim or 0 in x.shape or not x.exact:
            raise _Reject
        finite = np.isfinite(x.data).all()
        if not finite:
            raise _Reject
        e = np.exp(x.data.astype(np.longdouble) - x.data.max(-1, keepdims=True))
        data = (e / e.sum(-1, keepdims=True)).astype(x.data.dtype)
        n = x.shape[-1]
        # The rounding of x - max is an error of the exponent: relative to its size.
        below = np.abs(x.data.astype(np.float64) - x.data.max(-1, keepdims=True))
        relative = sum_bound(n, x.dtype.eps, 1.0) + (4 * ULPS["exp"] + 40 + below) * x.dtype.eps
        self.add("softmax", B.softmax(x.node), data, np.abs(data) * relative + tiny(x.dtype))

    # ---- contractions ----------------------------------------------------------------------------

    def do_matmul(self) -> None:
        x = self.value(*FLOATS, dt.int64)
        if x.data.ndim < 2:
            x = self.fresh(x.dtype, self.shape(2))
        *batch, m, k = x.shape
        room = self.limit // max(1, m * max(1, math.prod(batch)))
        n = self.pick([s for s in self.sizes if s <= room] or [1])
        y = self.fresh(x.dtype, (*batch, k, n))
        products = x.data[..., :, :, None].astype(wide(x.dtype)) * y.data[..., None, :, :]
        a, b = absolute(x), absolute(y)
        carried = (x.error[..., None] * b[..., None, :, :]).sum(-2)
        self.contraction("matmul", B.matmul(x.node, y.node), products, -2, a, b, carried, x.dtype)

    def do_conv2d(self) -> None:
        x = self.value(*FLOATS)
        if x.data.ndim != 4 or min(x.shape) == 0:
            x = self.fresh(x.dtype, (self.pick((1, 2)), self.pick((1, 2)), 5, 4))
        n, c, h, w = x.shape
        o, u, v = (self.pick((1, 2, 3)) for _ in range(3))
        stride, padding, dilation = self.pick((1, 2)), self.pick((0, 1)), self.pick((1, 2))
        size = [(s + 2 * padding - dilation * (k - 1) - 1) // stride + 1
                for s, k in ((h, u), (w, v))]  # fmt: skip
        if min(size) < 1 or not x.exact or n * o * size[0] * size[1] > self.limit:
            raise _Reject
        y = self.fresh(x.dtype, (o, c, u, v))
        edges = ((0, 0), (0, 0), (padding, padding), (padding, padding))
        padded, there = np.pad(x.data, edges), np.pad(np.ones(x.shape, bool), edges)
        parts = []
        for i in range(u):
            for j in range(v):
                top, left = i * dilation, j * dilation
                rows = slice(top, top + stride * (size[0] - 1) + 1, stride)
                columns = slice(left, left + stride * (size[1] - 1) + 1, stride)
                window = padded[:, None, :, rows, columns].astype(wide(x.dtype))
                terms = window * y.data[None, :, :, i, j, None, None]
                parts.append(np.where(there[:, None, :, rows, columns], terms, 0))
        products = np.stack(parts, -1)  # n, o, c, p, q, uv
        products = np.moveaxis(products, 2, -1).reshape(n, o, *size, -1)
        node = B.conv2d(x.node, y.node, stride, padding, dilation)
        self.contraction("conv2d", node, products, -1, None, None, 0.0, x.dtype)

    def contraction(
        self, name: str, node: Node, products: np.ndarray, axis: int,
        a: np.ndarray | None, b: np.ndarray | None, carried: object, dtype: DType,
    ) -> None:  # fmt: skip
        """Σ of products over one axis, with the promise's bound."""
        if not dtype.is_float:
            self.add(name, node, products.sum(axis))
            return
        data = products.sum(axis).astype(B.np_dtype(dtype))
        total = np.where(np.isfinite(products), np.abs(products), 0).sum(axis).astype(float)
        error = sum_bound(products.shape[axis], dtype.eps, total) + carried
        self.add(name, node, data, error)

    # ---- views -----------------------------------------------------------------------------------

    def do_view(self) -> None:
        x = self.value(*DTYPES)
        name = self.pick(("permute", "flip", "slice", "expand", "reshape", "roll", "diagonal"))
        f: Callable[..., list[Node]]
        nd = x.data.ndim
        if name == "permute":
            order = self.permutation(nd)
            data = x.data.transpose(order)
            f = lambda *o: [o[order.index(i)] for i in range(nd)]  # noqa: E731
        elif name == "reshape":
            sizes = [s for s in x.shape if s != 1]
            cut = self.between(0, len(sizes))
            shape = (math.prod(sizes[:cut]), 1, *sizes[cut:])
            self.add(name, reshape(x.node, shape), x.data.reshape(shape), x.error.reshape(shape))
            return
        elif name == "expand":
            front = self.pick((1, 2, 3))
            if front * x.data.size > self.limit:
                raise _Reject
            data = np.broadcast_to(x.data, (front, *x.shape))
            f = lambda *o: list(o[1:])  # noqa: E731
        elif nd == 0:
            raise _Reject
        elif name == "flip":
            data = x.data[..., ::-1]
            f = lambda *o: [*o[:-1], alu("sub", index(x.shape[-1] - 1), o[-1])]  # noqa: E731
        elif name == "slice":
            start, step = self.between(0, x.shape[-1]), self.pick((1, 2, 3))
            data = x.data[..., start::step]
            f = lambda *o: [*o[:-1], B.plus(B.scaled(o[-1], step), start)]  # noqa: E731
        elif name == "roll" and x.shape[-1]:
            data = np.roll(x.data, 1, -1)
            size = x.shape[-1]
            f = lambda *o: [*o[:-1], alu("mod", B.plus(o[-1], size - 1), index(size))]  # noqa: E731
        elif nd >= 2 and x.shape[-1] == x.shape[-2]:
            data = np.diagonal(x.data, axis1=-2, axis2=-1)
            f = lambda *o: [*o[:-1], o[-1], o[-1]]  # noqa: E731
        else:
            raise _Reject
        node = B.view(x.node, data.shape, f)
        error = np.zeros(data.shape) if x.exact else None
        if error is None:
            if name in ("slice", "diagonal"):
                raise _Reject
            error = {
                "permute": lambda e: e.transpose(order), "flip": lambda e: e[..., ::-1],
                "roll": lambda e: np.roll(e, 1, -1),
                "expand": lambda e: np.broadcast_to(e, data.shape),
            }[name](x.error)  # fmt: skip
        self.add(name, node, data, error)

    def do_pad(self) -> None:
        x = self.value(*FLOATS)
        if not x.data.ndim:
            raise _Reject
        before, after = self.pick((0, 1, 3)), self.pick((0, 1, 2))
        width = [(0, 0)] * (x.data.ndim - 1) + [(before, after)]
        if np.prod(x.shape[:-1]) * (x.shape[-1] + before + after) > self.limit:
            raise _Reject
        data = np.pad(x.data, width, constant_values=-2.5)
        self.add("pad", B.pad(x.node, before, after, -2.5), data, np.pad(x.error, width))

    def do_take(self) -> None:
        """Rows chosen by an int64 tensor, brought into range by mod."""
        x, at = self.value(*DTYPES), self.value(dt.int64)
        if not x.data.ndim or not x.shape[0]:
            raise _Reject
        rows = int(np.prod(x.shape[1:]))
        if at.data.size * rows > self.limit:
            raise _Reject
        n = at.data.ndim
        names = outs(n + x.data.ndim - 1)
        row = alu("mod", read(at.node, *names[:n]), index(x.shape[0]))
        node = loops((*at.shape, *x.shape[1:]), read(x.node, row, *names[n:]))
        chosen = at.data % x.shape[0]
        self.add("take", node, x.data[chosen], x.error[chosen])

    def do_arange(self) -> None:
        """Numbers made of positions alone."""
        shape = self.shape(self.pick((1, 2)))
        total = sum(np.indices(shape)[i] * (3 * i + 1) for i in range(len(shape)))
        body = B.plus(*(B.scaled(out(i), 3 * i + 1) for i in range(len(shape))))
        dtype = self.pick((dt.int64, dt.float32 if self.leaves is None else dt.float64))
        self.add("arange", loops(shape, cast(body, dtype)), total.astype(B.np_dtype(dtype)))


# ---- what NumPy says -----------------------------------------------------------------------------

STEPS = (
    "unary", "unary", "binary", "binary", "binary", "integer", "integer_unary", "bool", "compare",
    "where", "cast", "reduce", "reduce", "reduce", "softmax", "matmul", "conv2d", "view", "view",
    "view", "pad", "take", "arange",
)  # fmt: skip
REDUCTIONS = ("sum", "prod", "max", "min", "argmax", "argmin")
FOLDING = ("reduce", "reduce", "reduce", "where", "where", "binary", "binary")


def _power(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.power(x.astype(np.float64), y.astype(np.float64)).astype(np.result_type(x, y))


UNARY: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "neg": np.negative, "abs": np.abs, "exp": np.exp, "expm1": np.expm1, "log": np.log,
    "log1p": np.log1p, "sqrt": np.sqrt, "sin": np.sin, "cos": np.cos, "tan": np.tan,
    "tanh": np.tanh,
    "erf": np.vectorize(math.erf, otypes=[float]), "floor": np.floor, "ceil": np.ceil,
    "trunc": np.trunc, "round": np.rint,
}  # fmt: skip
BINARY: dict[str, Callable[..., np.ndarray]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide,
    "maximum": np.maximum, "minimum": np.minimum, "mod": np.remainder, "pow": _power,
}  # fmt: skip
INTEGER: dict[str, Callable[..., np.ndarray]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "floordiv": np.floor_divide,
    "mod": np.remainder, "maximum": np.maximum, "minimum": np.minimum, "and": np.bitwise_and,
    "or": np.bitwise_or, "xor": np.bitwise_xor,
}  # fmt: skip
BOOL: dict[str, Callable[..., np.ndarray]] = {
    "and": np.logical_and, "or": np.logical_or, "xor": np.not_equal, "not": np.logical_not,
    "maximum": np.logical_or, "minimum": np.logical_and,
}  # fmt: skip


def transcendental(name: str, data: np.ndarray) -> np.ndarray:
    """The greatest distance between two results of an operation, the second by NumPy."""
    return ulps(data, ULPS[name] + 1) if name in ULPS else np.zeros(())


def ulps(data: np.ndarray, count: float) -> np.ndarray:
    """The size of `count` units in the last place of each element."""
    finite = np.where(np.isfinite(data), data, 0).astype(data.dtype)
    return count * np.spacing(np.abs(finite)).astype(float)


def tiny(dtype: DType) -> float:
    """The least normal number of a type, near which relative bounds end."""
    return float(np.finfo(B.np_dtype(dtype)).tiny)


def wide(dtype: DType) -> type:
    """A type that products of this one are (nearly) exact in."""
    return np.longdouble if dtype.is_float else np.int64


def absolute(x: Value) -> np.ndarray:
    data = np.abs(x.data.astype(float))
    return np.where(np.isfinite(data), data, 0.0)


def converted(data: np.ndarray, to: DType) -> np.ndarray:
    """A cast as the engine defines it: NaN to 0 and saturation into integers."""
    if to is dt.bool_:
        return data != 0
    if to is dt.int64 and data.dtype.kind == "f":
        clean = np.nan_to_num(np.trunc(data.astype(float)), nan=0.0, posinf=1e300, neginf=-1e300)
        top, bottom = clean >= 2.0**63, clean < -(2.0**63)
        inner = np.where(top | bottom, 0.0, clean).astype(np.int64)
        return np.where(top, 2**63 - 1, np.where(bottom, -(2**63), inner)).astype(np.int64)
    return data.astype(B.np_dtype(to))


def reduced(
    kind: str, rows: np.ndarray, errors: np.ndarray, dtype: DType
) -> tuple[np.ndarray, np.ndarray]:
    """A reduction over the last axis and its bound."""
    none = np.zeros(rows.shape[:-1])
    n = rows.shape[-1]
    if kind in ("argmax", "argmin"):
        if errors.any():
            raise _Reject
        return np.asarray(getattr(np, kind)(rows, -1), np.int64), none
    if kind in ("max", "min"):
        if dtype is dt.bool_:
            return (rows.any(-1) if kind == "max" else rows.all(-1)), none
        return getattr(rows, kind)(-1), errors.max(-1)
    if not dtype.is_float:
        return np.asarray(getattr(rows, kind)(-1)), none
    exact = rows.astype(np.longdouble)
    finite = np.where(np.isfinite(rows), np.abs(exact), 0)
    if kind == "sum":
        bound = sum_bound(n, dtype.eps, finite.sum(-1).astype(float)) + errors.sum(-1)
        return np.asarray(exact.sum(-1), B.np_dtype(dtype)), bound
    large = np.prod(np.maximum(finite, 1), -1)
    small = np.prod(np.where(finite > 0, np.minimum(finite, 1), 1), -1)
    if errors.any() or np.any(large > 1e30) or np.any(small < 1e-30):
        raise _Reject
    data = np.asarray(exact.prod(-1), B.np_dtype(dtype))
    magnitude = np.where(np.isfinite(data), np.abs(data), 0).astype(float)
    return data, sum_bound(n, dtype.eps, magnitude)


# ---- one loop nest put into another --------------------------------------------------------------


def fused(node: Node) -> Node:
    """The same tensor with the loops that it reads written into its body."""
    if node.op != "loops":
        return node
    parts = {n: element(n.src[0], n.src[1:]) for n in _reads(node.src[0]) if n.src[0].op == "loops"}
    return loops(node.shape, substitute(node.src[0], parts)) if parts else node


def _reads(body: Node) -> Iterator[Node]:
    for n in body_nodes(body):
        if n.op == "read":
            yield n
