"""The structural rules of expressions, checked between the stages of the compiler.

Knows what every floor may rely upon; must not know what a stage did.
"""

from __future__ import annotations

from collections.abc import Sequence

from . import dtype as dt
from .extent import product
from .node import ORDERS, REDUCTIONS, Node
from .scalar import COMPARE, operations
from .show import show
from .transform import TENSOR_OPS, body_nodes, toposort

_NONE: frozenset[int] = frozenset()
_LEAVES = ("const", "extent", "out", "red", "axis", "carry")
_UNARY = frozenset((
    "neg", "abs", "exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tan", "tanh", "erf",
    "erfc", "exp2", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh", "lgamma",
    "floor", "ceil", "trunc", "round", "not",
))  # fmt: skip


class VerifyError(ValueError):
    """An expression that breaks a structural rule, with the expression printed."""


def verify(roots: Sequence[Node], inside: bool = False) -> None:
    """Check every expression that some tensors are computed from.

    inside: check the tensors themselves, but not again those that they read.
    Raises VerifyError that names the rule and prints the offending expression.
    """
    for root in roots:
        if root.op not in TENSOR_OPS:
            _fail(root, "a root must be a tensor; close a scalar with loops((), body)")
    free: dict[Node, frozenset[int]] = {}  # unbound reduction variables
    bound: dict[Node, frozenset[int]] = {}  # reduction variables bound inside
    outs: dict[Node, int] = {}  # how many out variables a scalar needs
    mine = set(roots)
    stop = (lambda n: n.op in TENSOR_OPS and n not in mine) if inside else (lambda n: False)
    for node in toposort(roots, stop):
        if node.op in TENSOR_OPS:
            free[node], bound[node], outs[node] = _NONE, _NONE, 0
            if inside and node not in mine:
                continue
            _tensor(node)
            if node.op in ("loops", "scan"):
                _closed(node, free[node.src[0]], outs[node.src[0]])
        else:
            _scalar(node)
            free[node], bound[node] = _variables(node, free, bound)
            needed = node.arg + 1 if node.op == "out" else 0
            for s in node.src:
                if outs[s] > needed:
                    needed = outs[s]
            outs[node] = needed


def _fail(node: Node, rule: str) -> None:
    raise VerifyError(f"{node.op}: {rule}\n{show(node, limit=6)}")


def _require(holds: bool, node: Node, rule: str) -> None:
    if not holds:
        _fail(node, rule)


# ---- tensors -------------------------------------------------------------------------------------


def _tensor(node: Node) -> None:
    for size in node.shape:
        _require(isinstance(size, int) and size >= 0, node, f"size {size!r} is not a count")
    if node.op == "buffer":
        _require(not node.src, node, "a buffer is computed from nothing")
        return
    if node.op in ("scan", "argsort"):
        _along(node)
        return
    if node.op in ("host", "call"):
        made_of = all(s.op in TENSOR_OPS for s in node.src)
        _require(made_of, node, "the sources must be tensors")
        return
    if node.op == "result":
        right = len(node.src) == 2 and node.src[1].op == "call"
        _require(right, node, "a value and the call that it is a result of expected")
        value = node.src[0]
        same = value.shape == node.shape and value.dtype is node.dtype and not value.tracked
        _require(same, node, "the value is of another form, or has a derivative of its own")
        return
    _require(len(node.src) == 1, node, f"{len(node.src)} sources, one expected")
    (source,) = node.src
    _require(source.dtype is node.dtype, node, f"made of {source.dtype.name}, not its own type")
    if node.op == "loops":
        _require(source.op not in TENSOR_OPS, node, "the body must be a scalar expression")
        return
    _require(source.op in TENSOR_OPS, node, "the source must be a tensor")
    if node.op == "reshape":
        have, want = product(source.shape), product(node.shape)
        _require(have == want, node, f"{have} elements cannot be {want}")
    else:
        _require(source.shape == node.shape, node, f"shape {source.shape} became {node.shape}")


def _along(node: Node) -> None:
    axis, count = node.arg[0], 2 if node.op == "scan" else 1
    _require(len(node.src) == count, node, f"{len(node.src)} sources, {count} expected")
    _require(0 <= axis < node.ndim, node, f"axis {axis} of only {node.ndim}")
    if node.op == "argsort":
        (source,) = node.src
        _require(source.op in TENSOR_OPS, node, "the source must be a tensor")
        _require(node.dtype is dt.int64, node, "positions have type int64")
        sizes = [(a, b) for i, (a, b) in enumerate(zip(source.shape, node.shape)) if i != axis]
        fits = source.ndim == node.ndim and all(a == b for a, b in sizes)
        fits = fits and node.shape[axis] <= source.shape[axis]
        _require(fits, node, f"shape {source.shape} became {node.shape}")
        return
    body, start = node.src
    _require(body.op not in TENSOR_OPS, node, "the body must be a scalar expression")
    _require(start.op == "const", node, "the start must be a constant")
    same = body.dtype is node.dtype is start.dtype
    _require(same, node, f"from {start.dtype.name}, made of {body.dtype.name}, not its own type")
    carries = [n for n in body_nodes(body) if n.op in ("carry", "reduce")]
    right = all(n.op == "carry" and n.dtype is node.dtype for n in carries)
    _require(right, node, "a scan's body has no reduction, and carries its own type")


def _closed(node: Node, free: frozenset[int], outs: int) -> None:
    _require(outs <= node.ndim, node, f"out variable {outs - 1} of only {node.ndim} axes")
    _require(not free, node, f"reduction variables {sorted(free)} are bound by nothing")


# ---- scalars -------------------------------------------------------------------------------------


def _scalar(node: Node) -> None:
    op = node.op
    _require(node.shape == (), node, "a scalar has no shape")
    if op == "read":
        _read(node)
        return
    for s in node.src:
        _require(s.op not in TENSOR_OPS, node, "a tensor is used as a scalar; read an element")
    if op in _LEAVES:
        _leaf(node)
    elif op == "cast":
        _require(len(node.src) == 1, node, f"{len(node.src)} operands, one expected")
    elif op == "where":
        _where(node)
    elif op == "reduce":
        _reduce(node)
    elif op == "checked":
        integers = len(node.src) == 2 and all(s.dtype is dt.int64 for s in node.src)
        _require(integers, node, "an index and a size are checked, both int64")
    else:
        _pointwise(node)


def _leaf(node: Node) -> None:
    _require(not node.src, node, "a constant or variable has no operands")
    if node.op == "const":
        kind = {"b": bool, "f": float}.get(node.dtype.kind, int)
        right = type(node.value) is kind
        _require(right, node, f"{node.value!r} is no {node.dtype.name}")
        if node.dtype.is_int:
            inside = node.dtype.min <= node.value <= node.dtype.max
            _require(inside, node, f"{node.value} is beyond {node.dtype.name}")
        return
    if node.op == "carry":
        return
    _require(node.op != "axis", node, "a user's axis is left in the expression; close it")
    _require(node.dtype is dt.int64, node, "a variable or size has type int64")


def _read(node: Node) -> None:
    tensor, *indices = node.src
    _require(tensor.op in TENSOR_OPS, node, "only an element of a tensor can be read")
    _require(tensor.dtype is node.dtype, node, f"an element of a {tensor.dtype.name} tensor")
    given = len(indices)
    _require(given == tensor.ndim, node, f"{given} indices for {tensor.ndim} axes")
    for ix in indices:
        _require(ix.op not in TENSOR_OPS, node, "an index must be a scalar")
        _require(ix.dtype is dt.int64, node, f"an index of type {ix.dtype.name}, not int64")


def _where(node: Node) -> None:
    _require(len(node.src) == 3, node, f"{len(node.src)} operands, three expected")
    condition, a, b = node.src
    _require(condition.dtype is dt.bool_, node, f"the condition is {condition.dtype.name}")
    same = a.dtype is b.dtype is node.dtype
    _require(same, node, f"branches of {a.dtype.name} and {b.dtype.name} give {node.dtype.name}")


def _pointwise(node: Node) -> None:
    op = node.op
    count = 1 if op in _UNARY else 2
    _require(len(node.src) == count, node, f"{len(node.src)} operands, {count} expected")
    dtype = node.src[0].dtype
    same = all(s.dtype is dtype for s in node.src)
    _require(same, node, f"operands of types {', '.join(s.dtype.name for s in node.src)}")
    _require(op in operations(dtype), node, f"there is no {op} of {dtype.name}")
    gives = dt.bool_ if op in COMPARE else dtype
    _require(node.dtype is gives, node, f"{op} of {dtype.name} gives {gives.name}")


def _reduce(node: Node) -> None:
    kind, variables, order = node.arg[:3]
    body = node.src[0]
    _require(kind in REDUCTIONS, node, f"{kind!r} is no reduction")
    _require(order in ORDERS, node, f"{order!r} is no order of summation")
    for _, size in variables:
        _require(isinstance(size, int) and size >= 0, node, f"extent {size!r} is not a count")
    ids = [uid for uid, _ in variables]
    _require(len(set(ids)) == len(ids) > 0, node, f"variables {ids} are not distinct, or none")
    gives = dt.int64 if kind.startswith("arg") else body.dtype
    _require(node.dtype is gives, node, f"{kind} of {body.dtype.name} gives {gives.name}")
    possible = body.dtype is not dt.bool_ or kind in ("max", "min")
    _require(possible, node, f"there is no {kind} of bool; cast to int64 first")


def _variables(
    node: Node, free: dict[Node, frozenset[int]], bound: dict[Node, frozenset[int]]
) -> tuple[frozenset[int], frozenset[int]]:
    """The reduction variables that a scalar leaves unbound, and those bound inside it."""
    if node.op == "red":
        return frozenset((node.arg,)), _NONE
    open_ = inner = _NONE
    for s in node.src:  # most are empty
        if free[s]:
            open_ = open_ | free[s] if open_ else free[s]
        if bound[s]:
            inner = inner | bound[s] if inner else bound[s]
    if node.op == "reduce":
        own = frozenset(uid for uid, _ in node.arg[1])
        again = sorted(own & inner)
        _require(not again, node, f"variables {again} are bound again inside; take ids from fresh")
        return open_ - own, inner | own
    return open_, inner
