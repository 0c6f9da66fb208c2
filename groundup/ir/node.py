"""Expressions: immutable, hash-consed nodes for scalars and for tensors.

A tensor is *a loop nest with a scalar body*: `loops((m, n), body)` is the tensor whose element at
(o0, o1) is `body`. Bodies read other tensors at index expressions and reduce over further
variables, so matmul is

    loops((m, n), reduce("sum", [(r1, k)], mul(read(a, o0, r1), read(b, r1, o1)), order="dot"))

Equal expressions are one object, so equality is identity. The table is weak: what nobody holds is
forgotten. This room knows what an expression is; it must not know how it runs.
"""

from __future__ import annotations

import struct
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, Protocol

from . import dtype as dt
from .dtype import DType
from .extent import Extent, symbolic_key
from .record import frozen
from .scalar import Number, apply
from .scalar import cast as cast_value

# Reductions: identity is the value over no terms (None: an empty reduction is an error).
REDUCTIONS = ("sum", "prod", "max", "min", "argmax", "argmin")
# The order in which a reduction's terms are combined, part of its meaning (rounding):
#   seq    one running value, in row-major order of its variables
#   lanes  a fixed number of running values, each taking every n-th term, combined in a fixed tree
#   dot    like seq, with one fused multiply-add for each product
#   dotlanes  like lanes, with one fused multiply-add for each product
#   dot16, dot16lanes  like dot and dotlanes, of two bfloat16 numbers, where one below 2⁻¹²⁶ counts
#          as zero, and a running value below 2⁻¹²⁶ may: what processors that multiply them do
#   dot16pairs  like dot16, the terms of the last variable two by two: 1, 0, 3, 2, …
# Users ask for dot or for a plain sum; the scheduler decides the rest from the loop nest alone.
ORDERS = ("seq", "lanes", "dot", "dotlanes", "dot16", "dot16lanes", "dot16pairs")


class _Ref(weakref.ref["Node"]):
    """A weak reference that knows the key of its node: WeakValueDictionary, whose methods are
    written in Python, would take most of the time that it takes to make a node."""

    __slots__ = ("key",)
    key: tuple[Any, ...]


# Several threads make nodes at once. Each change of the table is one operation of the interpreter,
# so that no lock is needed: two objects for equal expressions would make a wrong graph.
_table: dict[tuple[Any, ...], _Ref] = {}
_remove_if_dead: Callable[[dict[Any, Any], Any], None] = vars(weakref)["_remove_dead_weakref"]


def _forget(ref: weakref.ref[Node]) -> None:
    assert isinstance(ref, _Ref)
    _remove_if_dead(_table, ref.key)  # another that is alive: an equal node has been made meanwhile


class Node:
    """One expression. `shape` is () for scalars inside a body.

    op      src                arg           meaning
    const   ()                 value key     a number
    extent  ()                 Extent key    a runtime size as int64
    out     ()                 i             output variable i of the loops around it
    red     ()                 id            variable of a reduction around it
    axis    ()                 Axis object   a user's axis, replaced when closed
    read    (tensor, index…)   None          one element of a tensor
    cast    (x,)               None          x in the type `dtype`
    where   (cond, a, b)       None          a if cond else b
    checked (index, size)      (axis, shape, …)  the index, an error unless 0 ≤ index < size
    reduce  (body,)            (kind, ((id, extent)…), order)
    carry   ()                 None          a scan's value at the element before
    <name>  (x…)               None          pointwise, see scalar.FLOAT …
    buffer  ()                 handle        memory (tensor)
    loops   (body,)            None          tensor: body for each value of the out variables
    scan    (body, start)      (axis, reverse)  tensor: like loops, along an axis in order; `carry`
                                             in the body is the element before (start: before all)
    argsort (tensor,)          (axis, descending, count)  tensor of int64: where the first `count`
                                             elements in order are along an axis; equals keep theirs
    reshape (tensor,)          None          same elements in row-major order
    leaf    (tensor,)          uid           identity; derivatives are taken here
    detach  (tensor,)          None          identity; derivatives stop here
    detach  (tensor,)          Cut           identity; derivatives that pass here would be missing
    host    (tensor…)          (Host, k)     tensor: result k of a function that Python runs
    call    (tensor…)          Rule          no value: a function with a derivative of its own
    result  (tensor, call)     k             identity; derivatives go to the call, as its result k
    """

    __slots__ = (
        "op", "dtype", "shape", "src", "arg", "value", "depth", "tracked", "cut", "line", "site",
        "cache", "owner", "names", "__weakref__",
    )  # fmt: skip

    op: str
    dtype: DType
    shape: tuple[int, ...]
    src: tuple[Node, ...]
    arg: Any
    value: Any  # const: the number; extent: the Extent; buffer: the memory's handle
    depth: int  # larger than the id of every reduction variable bound inside
    tracked: bool  # a derivative may flow through here to a leaf
    cut: Any  # who took away the history of something that it is computed from, see `cut`
    line: str | None  # the user's source line, for errors; not part of the identity
    site: Any  # read, checked: where an index was written, see ir.outside; no part of the identity
    cache: Any  # realised memory of this tensor, for later floors
    owner: Any  # a weak reference to what holds this value now and may ask for it again
    names: Any  # of axes, see ir.names; not set where nobody gave any

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __repr__(self) -> str:
        from .show import show

        return show(self)


def make(
    op: str,
    dtype: DType,
    shape: tuple[int, ...],
    src: tuple[Node, ...],
    arg: Any,
    value: Any = None,
) -> Node:
    """The node with these parts, made at most once."""
    key = (op, dtype, shape, arg, symbolic_key(shape) if shape else None, src)
    ref = _table.get(key)
    if ref is not None:
        known = ref()
        if known is not None:
            return known
    node = Node()
    node.op, node.dtype, node.shape, node.src, node.arg, node.value = (
        op, dtype, shape, src, arg, value,
    )  # fmt: skip
    depth, tracked, cut = 0, op == "leaf", None
    for s in src:
        if s.depth > depth:
            depth = s.depth
        if s.tracked:
            tracked = True
        if s.cut is not None:
            cut = s.cut
    if op == "reduce":
        depth = max(depth, max(i for i, _ in arg[1]))
    if op == "detach":
        tracked, cut = False, arg
    elif cut is not None and not dtype.is_float:
        cut = None  # no derivative passes
    node.depth, node.tracked, node.cut = depth, tracked, cut
    node.line = node.site = node.cache = node.owner = None
    ref = _Ref(node, _forget)
    ref.key = key
    while (there := _table.setdefault(key, ref)) is not ref:  # another thread was first
        known = there()
        if known is not None:
            return known
        _remove_if_dead(_table, key)
    return node


def table_size() -> int:
    """How many nodes are alive."""
    return len(_table)


# ---- scalars -----------------------------------------------------------------------------------


def const(value: Number, dtype: DType) -> Node:
    """A number of a given type (converted as `cast` would)."""
    if type(value) is Extent:
        node = extent(value)
        return node if dtype is dt.int64 else cast(node, dtype)
    value = cast_value(value, dtype)
    # Floats are keyed by their bits: NaN is equal to itself, -0.0 differs from 0.0.
    key = struct.pack("<d", value) if dtype.is_float else int(value)
    return make("const", dtype, (), (), key, value)


def index(value: int | Node) -> Node:
    """An integer (or Extent) as an index expression of type int64."""
    return value if isinstance(value, Node) else const(value, dt.int64)


def extent(value: int) -> Node:
    """A size as an int64 scalar that stays a runtime value when the size is one."""
    if not isinstance(value, Extent):
        return const(value, dt.int64)
    return make("extent", dt.int64, (), (), value.key, value)


def out(i: int) -> Node:
    """Output variable `i` of the enclosing loops."""
    return _OUTS[i] if i < len(_OUTS) else make("out", dt.int64, (), (), i)


def red(uid: int) -> Node:
    """The reduction variable with this id."""
    return make("red", dt.int64, (), (), uid)


def axis(handle: object) -> Node:
    """A user's axis (any hashable object) standing for its value; closed later."""
    return make("axis", dt.int64, (), (), handle)


def read(tensor: Node, *indices: Node) -> Node:
    """One element of a tensor; index expressions are int64 and count from the front."""
    if len(indices) != len(tensor.shape):
        raise ValueError(f"{len(indices)} indices for a tensor of {len(tensor.shape)} axes")
    return make("read", tensor.dtype, (), (tensor, *indices), None)


def cast(x: Node, dtype: DType) -> Node:
    """x converted to another type."""
    if x.dtype is dtype:
        return x
    if x.op == "const":
        return const(x.value, dtype)
    if dtype.kind == "c":
        raise TypeError(f"one number of an expression is real, not {dtype.name}")
    return make("cast", dtype, (), (x,), None)


def alu(op: str, *src: Node) -> Node:
    """A pointwise operation on scalars of one type; constants fold, exact identities vanish."""
    a = src[0]
    dtype = a.dtype
    for s in src[1:]:
        if s.dtype is not dtype:
            raise TypeError(f"{op} of {' and '.join(s.dtype.name for s in src)}: one type expected")
    if a.op == "const" and all(s.op == "const" for s in src):
        value = apply(op, dtype, tuple(s.value for s in src))
        return const(value, dt.bool_ if op in ("lt", "le", "eq", "ne") else dtype)
    if dtype is dt.int64 and len(src) == 2:
        simple = _simplify_integer(op, a, src[1])
        if simple is not None:
            return simple
    return make(op, dt.bool_ if op in ("lt", "le", "eq", "ne") else dtype, (), src, None)


def _simplify_integer(op: str, a: Node, b: Node) -> Node | None:
    """Exact identities of index arithmetic, constants to the right, sums of constants joined."""
    if a.op == "const" and op in ("add", "mul"):
        a, b = b, a
    if b.op != "const":
        return None
    v = b.value
    if op in ("add", "sub"):
        if v == 0:
            return a
        if op == "sub":
            return alu("add", a, const(-v, dt.int64))
        if a.op == "add" and a.src[1].op == "const":
            return alu("add", a.src[0], const(a.src[1].value + v, dt.int64))
        return make("add", dt.int64, (), (a, b), None)
    if op == "mul":
        if v == 0 or v == 1:
            return b if v == 0 else a
        if a.op == "mul" and a.src[1].op == "const":
            return alu("mul", a.src[0], const(a.src[1].value * v, dt.int64))
        return make("mul", dt.int64, (), (a, b), None)
    if v == 1 and op == "floordiv":
        return a
    if v == 1 and op == "mod":
        return const(0, dt.int64)
    return None


def where(cond: Node, a: Node, b: Node) -> Node:
    """a where cond holds, else b; only the chosen branch is evaluated."""
    if a.dtype is not b.dtype:
        raise TypeError(f"where of {a.dtype.name} and {b.dtype.name}: one type expected")
    if cond.op == "const":
        return a if cond.value else b
    if a is b:
        return a
    return make("where", a.dtype, (), (cond, a, b), None)


def checked(index: Node, axis: int, shape: tuple[int, ...], site: Any = None) -> Node:
    """An index along one axis of a tensor, checked when it runs: fusion may take away the read of
    memory that would have been checked."""
    arg = (axis, tuple(int(s) for s in shape), symbolic_key(shape))
    return at_site(make("checked", dt.int64, (), (index, extent(shape[axis])), arg), site)


def at_site(node: Node, site: Any) -> Node:
    """A read or a check, and where its index was written (None: as it is known)."""
    if site is not None:
        node.site = site
    return node


def reduce(
    kind: str, variables: Sequence[tuple[int, int]], body: Node, order: str = "seq"
) -> Node:
    """Combine `body` over variables (id, extent), in row-major order of the variables.

    Ids must be larger than `body.depth` without them; take them from `fresh`.
    Sums and products of a 16-bit floating type run in float32 and are rounded once, at the end:
    cast(reduce(kind, …, cast(body, float32)), body.dtype); a product is summed unrounded.
    """
    if not variables:
        return body if not kind.startswith("arg") else const(0, dt.int64)
    if body.dtype.is_float and body.dtype.bits == 16 and kind in ("sum", "prod"):
        return cast(reduce(kind, variables, _unrounded(body), order), body.dtype)
    dtype = dt.int64 if kind.startswith("arg") else body.dtype
    key = tuple((i, e) for i, e in variables)
    symbolic = symbolic_key(tuple(e for _, e in key))
    arg = (kind, key, order) if symbolic is None else (kind, key, order, symbolic)
    return make("reduce", dtype, (), (body,), arg)


def _unrounded(body: Node) -> Node:
    """A term of a 16-bit type in float32: what was to be rounded just before it is summed (a
    product, a conversion from float32) is not; guards that give 0 stay outside."""
    if body.op == "cast" and body.src[0].dtype is dt.float32:
        return body.src[0]
    if body.op == "mul":
        return alu("mul", *(cast(s, dt.float32) for s in body.src))
    if body.op == "where" and body.src[2].op == "const" and body.src[2].value == 0:
        return where(body.src[0], _unrounded(body.src[1]), const(0, dt.float32))
    return cast(body, dt.float32)


def fresh(depth: int, extents: Sequence[int]) -> tuple[list[Node], list[tuple[int, int]]]:
    """Variables for a reduction over bodies no deeper than `depth`: (nodes, (id, extent) pairs)."""
    ids = range(depth + 1, depth + 1 + len(extents))
    return [red(i) for i in ids], list(zip(ids, extents))


# ---- tensors -----------------------------------------------------------------------------------


def buffer(handle: object, shape: tuple[int, ...], dtype: DType) -> Node:
    """Memory: row-major elements behind a handle that later floors understand."""
    return make("buffer", dtype, shape, (), handle, handle)


def loops(shape: tuple[int, ...], body: Node) -> Node:
    """The tensor of this shape whose element at (out 0, out 1, …) is `body`."""
    return make("loops", body.dtype, shape, (body,), None)


def carry(dtype: DType) -> Node:
    """The value of the scan around it at the element before."""
    return make("carry", dtype, (), (), None)


def scan(
    shape: tuple[int, ...], axis: int, body: Node, start: Node, reverse: bool = False
) -> Node:
    """The tensor whose elements along `axis`, one after the other, are `body`, in which `carry` is
    the element before it (the constant `start` for the first; reverse: from the last to the first).
    """
    return make("scan", body.dtype, shape, (body, start), (axis, reverse))


def argsort(tensor: Node, axis: int, descending: bool = False, count: int | None = None) -> Node:
    """Positions along `axis` of its elements in order, or of the first `count` of them.

    Equal elements keep their order, ascending or descending; NaN is greater than any number.
    """
    size = tensor.shape[axis] if count is None else count
    shape = (*tensor.shape[:axis], size, *tensor.shape[axis + 1 :])
    whole = count is None or count == int(tensor.shape[axis])
    arg = (axis, descending, None if whole else count)
    return make("argsort", dt.int64, shape, (tensor,), arg)


def reshape(tensor: Node, shape: tuple[int, ...]) -> Node:
    """The same elements, in row-major order, in another shape."""
    if tensor.shape == shape and symbolic_key(tensor.shape) == symbolic_key(shape):
        return tensor
    if tensor.op == "reshape":
        return reshape(tensor.src[0], shape)
    return make("reshape", tensor.dtype, shape, (tensor,), None)


def leaf(tensor: Node, uid: object) -> Node:
    """`tensor`, marked as a place where derivatives are asked for."""
    return make("leaf", tensor.dtype, tensor.shape, (tensor,), uid)


def detach(tensor: Node) -> Node:
    """`tensor` with no derivative flowing through it."""
    while tensor.op == "leaf" or (tensor.op == "detach" and tensor.cut is not None):
        tensor = tensor.src[0]  # it may mark a value that itself has a history
    if not tensor.tracked and tensor.cut is None:
        return tensor
    return make("detach", tensor.dtype, tensor.shape, (tensor,), None)


def cut(tensor: Node, by: Cut) -> Node:
    """`tensor` with no derivative flowing through it, though one would have to: what is computed
    from it knows so, and taking derivatives of that is an error."""
    if not tensor.dtype.is_float:
        return tensor
    return make("detach", tensor.dtype, tensor.shape, (detach(tensor),), by)


class Cut(Protocol):
    """Who took away a value's history."""

    def refuse(self, operation: str) -> NoReturn:
        """Raise, where a derivative is asked for that would be missing."""


@frozen
class Host:
    """A function outside the house that turns memory into memory: a host operation.

    run(memory of the sources, (shape, type) of each, *options): the memory of the results. Two
    hosts are one where all fields are equal: `run` must depend on nothing else.
    """

    name: str
    run: Callable[..., list[Any]]
    options: tuple[Any, ...] = ()


class Rule(Protocol):
    """The derivative of a call."""

    def __call__(self, call: Node, totals: Mapping[int, Node]) -> Sequence[Node | None]:
        """The gradients of the call's sources, from those of some of its results."""


def host(
    function: Host, sources: Sequence[Node], kinds: Sequence[tuple[tuple[int, ...], DType]]
) -> list[Node]:
    """The results, of these shapes and types, of a host operation on tensors."""
    src = tuple(sources)
    return [make("host", d, shape, src, (function, k)) for k, (shape, d) in enumerate(kinds)]


def call(rule: Rule, sources: Sequence[Node]) -> Node:
    """A function of some tensors whose derivative is `rule`; its values are `result`s."""
    return make("call", dt.float64, (), tuple(sources), rule)


def result(value: Node, of: Node, k: int) -> Node:
    """`value`, which has no derivative of its own, as result k of a call."""
    return make("result", value.dtype, value.shape, (value, of), k)


def outs(n: int) -> list[Node]:
    """Output variables 0 … n-1."""
    return _OUTS[:n] if n <= len(_OUTS) else [out(i) for i in range(n)]


_OUTS: list[Node] = []  # those of most tensors, always at hand
_OUTS += [out(i) for i in range(8)]
