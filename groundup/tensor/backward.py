"""Derivatives: `.backward()`, `.grad`, `gu.grad(f)`, asked of the floor below as more expression.

Must not know the derivative of any operation.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..ir import node as ir
from ..ir.node import Node
from ..ir.transform import TENSOR_OPS, toposort
from ..runtime import pool
from . import storage as store
from .core import Core, Leaf, Paired, is_complex
from .errors import GradError, ShapeError, at_line, lined_up
from .mode import enable_grad, no_grad, state
from .storage import Storage

_accumulating = threading.RLock()  # several threads may add to one gradient
pool.hold_at_fork(_accumulating, outside=True)

if TYPE_CHECKING:
    from .tensor import Tensor


def _seed(root: Core, gradient_in: Core | None) -> Node:
    if gradient_in is not None:
        if gradient_in._shape != root._shape:
            raise ShapeError(
                "backward: the gradient has the shape of the tensor"
                + lined_up(tensor=root._shape, gradient=gradient_in._shape)
                + at_line()
            )
        node = gradient_in.node
        if node.dtype is not root.dtype:
            node = ir.loops(node.shape, ir.cast(ir.read(node, *ir.outs(node.ndim)), root.dtype))
        return node
    if any(s != 1 for s in root._shape):
        raise ShapeError(
            "backward() needs a tensor with one element, such as a loss; sum it, or give "
            "backward(gradient)" + lined_up(shape=root._shape) + at_line()
        )
    return ir.loops(root._shape, ir.const(1, root.dtype))


def targets(root: Node) -> dict[Node, Core]:
    """The nodes that a graph reaches whose derivatives a living tensor wants."""
    found: dict[Node, Core] = {}
    for node in toposort([root], stop=lambda n: not n.tracked and n.op in TENSOR_OPS):
        if node.op == "leaf" and isinstance(node.arg, Leaf) and node.arg.tensor is not None:
            tensor = node.arg.tensor()
            if tensor is not None:
                found[node] = tensor
    return found


def backward(root: Core, gradient_in: Core | None = None, create_graph: bool = False) -> None:
    """Add d root / d leaf to `.grad` of every leaf that root was computed from."""
    if not root.tracked():
        raise GradError(
            "backward: this tensor was not computed, in grad mode, from a tensor that requires grad"
            + at_line()
        )
    from ..autodiff import gradient

    seed = _seed(root, gradient_in)
    node = root.node
    wanted = targets(node)
    grads = gradient(node, seed, list(wanted))
    if state.anomaly is not None:
        state.anomaly.gradients(node, grads)
    with _accumulating:
        for tensor, g in zip(wanted.values(), grads, strict=True):
            # None: reached, but only by steps that are flat everywhere.
            part = ir.loops(tensor._shape, ir.const(0, tensor.dtype)) if g is None else g
            _accumulate(tensor, part, root, create_graph)


def _accumulate(tensor: Core, g: Node, root: Core, create_graph: bool) -> None:
    if not create_graph:
        g = ir.detach(g)
    old = tensor._grad
    if old is None:
        tensor._grad = wrap(tensor, g, root)
        return
    with enable_grad() if create_graph else no_grad():
        if create_graph:
            tensor._grad = old + wrap(tensor, g, root)
        else:
            old.add_(wrap(tensor, g, root))


def wrap(like: Core, node: Node, *sources: Core) -> Tensor:
    """A tensor of a derivative, as old as what it was derived from."""
    storage = Storage(node.shape, node.dtype, node)
    store.serial += 1
    storage.oldest = min(store.serial, *(s._storage.oldest for s in sources))
    return like._make(storage)


_FIRST = " (they have no history: a derivative has one where create_graph=True asked for it)"


def derivatives(
    outputs: Core | Sequence[Core],
    inputs: Core | Sequence[Core],
    grad_outputs: Any = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """d Σ outputs · grad_outputs / d inputs, without touching any `.grad` (torch.autograd.grad).

    grad_outputs: a tensor like each output, 1 by default for outputs of one element. create_graph:
    the derivatives have derivatives, too. allow_unused: None for inputs that outputs do not depend
    on, where else a GradError is raised.

    >>> x = gu.tensor([2.0], requires_grad=True)
    >>> (slope,) = gu.derivatives(x**3, x, create_graph=True)
    >>> (curve,) = gu.derivatives(slope, x)
    >>> slope.item(), curve.item()
    (12.0, 12.0)
    """
    from ..autodiff import gradient

    outs = [outputs] if isinstance(outputs, Core) else list(outputs)
    ins = [inputs] if isinstance(inputs, Core) else list(inputs)
    seeds = [grad_outputs] if not isinstance(grad_outputs, list | tuple) else list(grad_outputs)
    if grad_outputs is None:
        seeds = [None] * len(outs)
    if is_complex(*outs, *ins):
        from .complex.derive import derivatives as counterpart

        return counterpart(outs, ins, seeds, create_graph, allow_unused)
    wanted = [x.node for x in ins]
    for i, node in enumerate(wanted):
        if node.op != "leaf":
            raise GradError(
                f"grad: input {i} is no leaf; call its retain_grad() before it is used" + at_line()
            )
    total: list[Tensor | None] = [None] * len(ins)
    for o, s in zip(outs, seeds, strict=True):
        grads = gradient(o.node, _seed(o, s), wanted)
        if state.anomaly is not None:
            state.anomaly.gradients(o.node, grads)
        for i, found in enumerate(grads):
            if found is None:
                continue
            part = wrap(ins[i], found if create_graph else ir.detach(found), o)
            before = total[i]
            total[i] = part if before is None else before + part
    for i, g in enumerate(total):
        if g is None and not allow_unused:
            raise GradError(
                f"grad: the outputs do not depend on input {i}"
                + ("" if any(o.tracked() for o in outs) else _FIRST)
                + "; allow_unused=True gives None for it"
                + at_line()
            )
    return tuple(total)


def _zeros(x: Core) -> Tensor:
    """The derivative by a tensor that nothing depends on."""
    if isinstance(x, Paired):
        return x.over(_zeros)
    return wrap(x, ir.loops(x._shape, ir.const(0, x.dtype)), x)


def _probe(x: Core) -> Tensor:
    """The value of x (and its history) as a place where derivatives are taken."""
    if isinstance(x, Paired):
        return x.over(_probe)
    probe = wrap(x, x.node, x)
    probe._leaf = Leaf(None)
    return probe


def grad(function: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """The function that gives the derivative of a function with one number as its result.

    grad(f)(x) = df/dx at x, in x's shape; `argnums` names which arguments. Can be applied again.

    >>> gu.grad(lambda x: (x * x).sum())(gu.tensor([1.0, 2.0])).tolist()
    [2.0, 4.0]
    """
    several = not isinstance(argnums, int)
    numbers = list(argnums) if isinstance(argnums, Sequence) else [argnums]

    def derived(*args: Any, **kwargs: Any) -> Any:
        given = list(args)
        nested = any(given[n].tracked() for n in numbers)
        for n in numbers:
            x = given[n]
            given[n] = _probe(x)
        with enable_grad():
            result = function(*given, **kwargs)
            if not isinstance(result, Core) or not result.tracked():
                found: Any = tuple(_zeros(given[n]) for n in numbers)
            else:
                found = derivatives(
                    result, [given[n] for n in numbers], create_graph=nested, allow_unused=True
                )
        return found if several else found[0]

    return derived
