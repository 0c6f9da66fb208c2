"""Derivatives: `.backward()` and `.grad`, asked of the floor below as more expression.

Must not know the derivative of any operation.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ..ir import node as ir
from ..ir.node import Node
from ..ir.transform import TENSOR_OPS, toposort
from ..runtime import pool
from . import door, hooks
from . import storage as store
from .core import Core, is_complex, wrap
from .errors import GradError, ShapeError, at_line, lined_up
from .leaf import Leaf
from .misuse import named
from .mode import enable_grad, no_grad, state

_accumulating = threading.RLock()  # several threads may add to one gradient
pool.hold_at_fork(_accumulating, outside=True)

if TYPE_CHECKING:
    from .tensor import Tensor


def check_gradient(t: Core, gradient: Any) -> None:
    """Raise unless it is what `.grad` of a tensor may be: a tensor of its shape, or None."""
    if gradient is None:
        return
    if not isinstance(gradient, Core):
        raise TypeError(
            f"the gradient of a tensor is a tensor or None, not a {type(gradient).__name__}; "
            f"gu.tensor makes one of numbers" + at_line()
        )
    if gradient._shape != t._shape:
        raise ShapeError(
            "the gradient has the shape of its tensor"
            + lined_up(tensor=t._shape, gradient=gradient._shape)
            + at_line()
        )


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


def flowing(roots: Sequence[Node]) -> list[Node]:
    """The tensors that derivatives of some pass, sources first."""
    order = toposort(roots, stop=lambda n: not n.tracked and n.op in TENSOR_OPS)
    return [n for n in order if n.tracked and n.op in TENSOR_OPS]


def backward(root: Core, gradient_in: Core | None = None, create_graph: bool = False) -> None:
    """Add d root / d leaf to `.grad` of every leaf that root was computed from."""
    door.passing()
    node = root.node
    if node.cut is not None:
        node.cut.refuse("backward")
    if not root.tracked():
        raise GradError(
            "backward: this tensor was not computed, in grad mode, from a tensor that requires grad"
            + at_line()
        )
    from ..autodiff import gradients

    seed = _seed(root, gradient_in)
    places = hooks.passed(flowing([node]))
    wanted = {n: t for n, leaf in places.items() if leaf.keeps and (t := leaf.wanted()) is not None}
    for batch in state.mapped:
        for t in wanted.values():
            batch.check_write(t._storage, "backward() into .grad")
    grads = gradients([node], [seed], list(wanted), _hooked(places, create_graph, root))
    if state.anomaly is not None:
        state.anomaly.gradients([node], grads)
    for (n, tensor), g in zip(wanted.items(), grads, strict=True):
        # None: reached, but only by steps that are flat everywhere.
        part = ir.loops(tensor._shape, ir.const(0, tensor.dtype)) if g is None else g
        with _accumulating:
            _accumulate(tensor, part, root, create_graph)
        for after in list((places[n].after or {}).values()):
            after(tensor)


def _hooked(
    places: dict[Node, Leaf], create_graph: bool, root: Core
) -> dict[Node, Callable[[Node], Node]]:
    """For the derivative's way back: what is called at each place that has hooks."""
    return {
        n: partial(hooks.called, leaf, create_graph=create_graph, root=root)
        for n, leaf in places.items() if leaf.hooks
    }  # fmt: skip


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


def differentiated(
    outputs: Sequence[Core], seeds: Sequence[Core | None], inputs: Sequence[Core]
) -> list[Node | None]:
    """d Σ outputs · seeds / d inputs, for each input, with its history; None where it is 0.

    A seed that is None is 1, for an output of one element.
    """
    from ..autodiff import gradients

    pairs = [(o.node, _seed(o, s)) for o, s in zip(outputs, seeds, strict=True) if o.tracked()]
    wanted = [x.node for x in inputs]
    roots = [n for n, _ in pairs]
    places = hooks.passed(flowing(roots))
    if any(leaf.hooks for leaf in places.values()):
        passes = _towards(roots, wanted)
        places = {n: leaf for n, leaf in places.items() if n in passes}
    found = gradients(roots, [s for _, s in pairs], wanted, _hooked(places, True, inputs[0]))
    if state.anomaly is not None:
        state.anomaly.gradients(roots, found)
    return found


def _towards(roots: Sequence[Node], wanted: Sequence[Node]) -> set[Node]:
    """What lies between some roots and what derivatives are taken by: only there are they known."""
    found = set(wanted)
    for n in toposort(roots, stop=lambda n: not n.tracked and n.op in TENSOR_OPS):
        if any(s in found for s in n.src):
            found.add(n)
    return found


_FIRST = " (they have no history: a derivative has one where create_graph=True asked for it)"


@named
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
    door.passing()
    outs = [outputs] if isinstance(outputs, Core) else list(outputs)
    ins = [inputs] if isinstance(inputs, Core) else list(inputs)
    seeds = [grad_outputs] if not isinstance(grad_outputs, list | tuple) else list(grad_outputs)
    if grad_outputs is None:
        seeds = [None] * len(outs)
    if is_complex(*outs, *ins):
        from .complex.derive import derivatives as counterpart

        return counterpart(outs, ins, seeds, create_graph, allow_unused)
    for i, x in enumerate(ins):
        if x.tracked() and x.node.op != "leaf" and (
            x._parent is not None or not store.alone(x.node, x._storage)
        ):  # fmt: skip
            raise GradError(
                f"grad: input {i} is no leaf, and its value is that of another tensor, too; call "
                f"its retain_grad() before it is used" + at_line()
            )
    for o in outs:
        if (by := o.node.cut) is not None:
            by.refuse("grad")
    found = differentiated(outs, seeds, ins)
    total: list[Tensor | None] = []
    for i, (x, node) in enumerate(zip(ins, found, strict=True)):
        if node is None and not allow_unused:
            raise GradError(
                f"grad: the outputs do not depend on input {i}"
                + ("" if any(o.tracked() for o in outs) else _FIRST)
                + "; allow_unused=True gives None for it"
                + at_line()
            )
        if node is None:
            total.append(None)
        else:
            total.append(wrap(x, node if create_graph else ir.detach(node), *outs))
    return tuple(total)
