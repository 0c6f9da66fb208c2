"""Functions that are no loop nests: host operations (LAPACK), which Python runs between kernels,
and functions with a derivative of their own.

Outside a captured function a host operation runs at once, so that its error (a singular matrix) is
raised at the user's line; while one is captured it becomes part of its graph. Must not know what
is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..ir import node as ir
from ..ir.dtype import DType
from ..ir.node import Host, Node
from ..ir.transform import toposort
from ..runtime import Buffer, memory
from . import storage as store
from .arguments import settled
from .core import Core, finish, force, operand, value_of
from .engine import compute
from .errors import ShapeError, at_line, lined_up, user_line
from .mode import Block, enable_grad, state
from .storage import Storage
from .tensor import Tensor

if TYPE_CHECKING:
    from ..ir.node import Rule

Kind = tuple[tuple[int, ...], DType]  # shape and type of a tensor
# (gradients of the results, None where nothing asks; the results; the sources) → gradients of the
# sources, None where they are 0. All are tensors with their history: it can be derived again.
Derivative = Callable[
    [Sequence["Tensor | None"], Sequence[Tensor], Sequence[Tensor]], Sequence["Core | None"]
]


def host(
    function: Host, sources: Sequence[Core], kinds: Sequence[Kind],
    derivative: Derivative | None = None,
) -> list[Tensor]:  # fmt: skip
    """The results of a host operation on tensors, each of a given shape and type."""
    if store.tracing() is not None or state.mapped:
        values = ir.host(function, [value_of(s) for s in sources], kinds)
        for v in values:
            v.line = user_line()
        return with_derivative(function.name, values, sources, derivative)
    force([s._storage for s in sources])
    given = [settled(s._storage if s._parent is None else _copied(s)) for s in sources]
    shapes = [_in_ints(s._shape, s.dtype) for s in sources]
    try:
        made = function.run(given, shapes, *function.options)
    except MemoryError as error:  # NumPy's or Python's own
        live = memory.stats()["live"]
        raise MemoryError(f"{function.name}: {error}, while {live} bytes are live") from None
    values = [ir.buffer(m, *_in_ints(*k)) for m, k in zip(made, kinds, strict=True)]
    if state.anomaly is not None:
        state.anomaly.given(function.name, values, [value_of(s) for s in sources])
    return with_derivative(function.name, values, sources, derivative)


def run_hosts(roots: Sequence[Node]) -> None:
    """Run now what host operations some tensors depend on, unless a function is being captured: an
    error is raised at the user's line."""
    if store.tracing() is not None:
        return
    for node in toposort(roots, stop=lambda n: n.cache is not None):
        if node.op != "host" or node.cache is not None:
            continue
        function, _ = node.arg
        memory = compute([ir.detach(s) for s in node.src])
        shapes = [_in_ints(s.shape, s.dtype) for s in node.src]
        node.cache = function.run(memory, shapes, *function.options)[node.arg[1]]


def _copied(view: Core) -> Storage:
    """A view's elements in row-major order, in memory of their own."""
    return Storage(view._shape, view.dtype, value_of(view))


def _in_ints(shape: Sequence[int], dtype: DType) -> Kind:
    """A kind without runtime sizes: what a host operation is given has its sizes."""
    return tuple(map(int, shape)), dtype


def with_derivative(
    name: str, values: Sequence[Node], sources: Sequence[Core], derivative: Derivative | None,
    linear: bool = True,
) -> list[Tensor]:  # fmt: skip
    """Tensors of these values, which have no history, whose derivatives are as `derivative` says.

    It is asked once for all results that have a gradient. linear: is it known to be linear in the
    gradients, as a derivative is, so that forward mode may be taken from it?
    """
    nodes = [operand(s) for s in sources]
    call = None
    if derivative is not None and any(n.tracked for n in nodes):
        call = ir.call(_Rule(name, values, derivative, linear), nodes)
    results = []
    for k, value in enumerate(values):
        if call is None or not value.dtype.is_float:
            results.append(_settled(finish(value, *sources), value))
            continue
        results.append(_settled(finish(ir.result(value, call, k), *sources), value))
    return results


def _settled(t: Tensor, value: Node) -> Tensor:
    """The tensor; what is in memory already need not be asked for."""
    if value.op == "buffer" and isinstance(value.value, Buffer):
        t._storage.settle(value, value.value)
    return t


class _Rule:
    """The derivative of one call, as the floor below asks for it."""

    def __init__(
        self, name: str, values: Sequence[Node], derivative: Derivative, linear: bool
    ) -> None:
        self.name, self.values, self.derivative, self.linear = name, values, derivative, linear

    def __call__(self, call: Node, totals: Mapping[int, Node]) -> list[Node | None]:
        results = [_seen(ir.result(v, call, k)) if v.dtype.is_float else _seen(v)
                   for k, v in enumerate(self.values)]  # fmt: skip
        gradients = [_seen(totals[k]) if k in totals else None for k in range(len(results))]
        with enable_grad(), Block("autocast", None):
            found = list(self.derivative(gradients, results, [_seen(s) for s in call.src]))
        if len(found) != len(call.src):
            raise ShapeError(
                f"{self.name}: the derivative gave {len(found)} gradients for {len(call.src)} "
                f"tensors; one for each is expected, None where it is 0" + at_line()
            )
        return [None if g is None else self._checked(g, s) for g, s in zip(found, call.src)]

    def _checked(self, gradient: Core, source: Node) -> Node:
        if not isinstance(gradient, Core):
            raise TypeError(
                f"{self.name}: a gradient is a tensor or None, not a {type(gradient).__name__}"
                + at_line()
            )
        if gradient._shape != source.shape:
            raise ShapeError(
                f"{self.name}: a gradient has the shape of what it is the derivative by"
                + lined_up(tensor=source.shape, gradient=gradient._shape) + at_line()
            )  # fmt: skip
        if gradient.dtype is not source.dtype:
            raise TypeError(
                f"{self.name}: the gradient of a {source.dtype.name} tensor is {source.dtype.name},"
                f" not {gradient.dtype.name}; convert it with .to()" + at_line()
            )
        return gradient.node


def _seen(node: Node) -> Tensor:
    """An expression as a tensor, without taking it from the tensor that holds it."""
    owner = node.owner
    storage = Storage(node.shape, node.dtype, node)
    store.serial += 1
    storage.oldest = store.serial
    if owner is not None and owner() is not None:
        node.owner = owner
    return Tensor._make(storage)


if TYPE_CHECKING:
    _: type[Rule] = _Rule
