"""Gradient checkpointing: what a function computes on its way is computed again for the derivative,
in the place of being kept until then.

Must not know what the function computes: its expression is written once more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..ir import node as ir
from ..ir.extent import product
from ..ir.node import Node
from ..ir.transform import toposort
from . import hooks, tree
from .core import Core, operand, wrap
from .errors import at_line
from .mode import state
from .transforms import closed, opened


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """function(*args, **kwargs), whose values on the way are not kept in memory for the derivative.

    A derivative needs the values that the function computes on its way. They are computed from its
    arguments again when it is asked for, so a deep network needs memory for the results of its
    checkpointed parts and the inside of one of them, for the time of one more run of each (Chen et
    al. 2016, "Training Deep Nets with Sublinear Memory Cost").

    The function runs once: what is computed again is its expression, with the same random numbers,
    and what it does besides (statistics of a batch norm, print) is done once. Tensors may stand in
    nested arguments and results. Derivatives of any order, captured functions, and the functions of
    `gu.vmap`, `gu.jvp` and the like see no difference.

    use_reentrant, preserve_rng_state: PyTorch's; there is one kind of checkpoint here, and random
    numbers are always the same.

    >>> x = gu.tensor([1.0, 2.0], requires_grad=True)
    >>> gu.checkpoint(lambda x: (x * x).exp(), x).sum().backward()
    >>> bool((x.grad == 2 * x * (x * x).exp()).all())
    True
    """
    leaves, _ = tree.flatten((args, kwargs))
    before = [operand(t) for t in opened(leaves) if isinstance(t, Core)]
    returned = function(*args, **kwargs)
    results, form = tree.flatten(returned)
    reals = opened(results)
    if not state.grad:
        return returned
    tracked = [
        i for i, r in enumerate(reals)
        if isinstance(r, Core) and r.dtype.is_float and r.tracked()
    ]  # fmt: skip
    nodes = [operand(reals[i]) for i in tracked]
    made = [i for i, n in zip(tracked, nodes, strict=True) if n not in before]
    nodes = [n for n in nodes if n not in before]
    if not nodes:
        return returned
    rule = _Again(getattr(function, "__name__", "checkpoint"), nodes, before)
    call = ir.call(rule, [s if s in rule.flowing else ir.detach(s) for s in rule.sources])
    for k, (i, n) in enumerate(zip(made, nodes, strict=True)):
        value = ir.result(ir.detach(n), call, k)
        value.line = value.line or n.line
        value.cut = n.cut  # what it was computed from need not be among the sources
        reals[i] = wrap(reals[i], value, reals[i])
    return tree.unflatten(closed(results, reals), form)


class _Again:
    """The derivative of a checkpointed function: of its expression, written once more.

    plain: the results as they are without a checkpoint, for forward mode, which keeps nothing.
    """

    linear = True

    def __init__(self, name: str, nodes: Sequence[Node], before: Sequence[Node]) -> None:
        self.name, self.plain = name, list(nodes)
        self.arguments = frozenset(before)
        self.sources: list[Node] = []  # arguments, and places of derivatives that it reaches
        self.flowing = set(toposort(nodes, stop=lambda n: self._ends(n) or not n.tracked))
        for n in toposort(nodes, stop=self._ends):
            if self._ends(n) and (n in self.flowing or n in self.arguments):
                self.sources.append(n)

    def _ends(self, node: Node) -> bool:
        if node in self.arguments:
            return True
        return node.tracked and (node.op == "leaf" or hooks.watched(node))

    def __call__(self, call: Node, totals: Mapping[int, Node]) -> list[Node | None]:
        from ..autodiff import after, again, gradients

        other = next((g for g in totals.values() if product(g.shape) > 0), None)
        places: dict[Node, Node] = {}
        for source, now in zip(self.sources, call.src, strict=True):
            value = now
            if other is not None and source in self.arguments:
                value = after(now, other)  # what is kept is the arguments
            places[source] = ir.leaf(value, object()) if source.tracked else value
        numbers = list(totals)
        whole = again([self.plain[k] for k in numbers], places)
        wanted = [places[s] for s in self.sources if s.tracked and s.dtype.is_float]
        found = gradients(whole, [totals[k] for k in numbers], wanted, further=False)
        parts = dict(zip(wanted, found, strict=True))
        return [parts.get(places[s]) for s in self.sources]


def checkpoint_sequential(
    functions: Sequence[Callable[..., Any]], segments: int, input: Any, **kwargs: Any
) -> Any:
    """A chain of functions (or `nn.Sequential`) in segments of about equal length, all but the last
    of them checkpointed.

    segments: how many; about the square root of the number of functions needs the least memory.
    Other arguments are those of `gu.checkpoint`.

    >>> x = gu.tensor([1.0, 2.0], requires_grad=True)
    >>> y = gu.checkpoint_sequential([gu.exp, gu.sin, gu.cos], 2, x)
    >>> bool((y == x.exp().sin().cos()).all())
    True
    """
    chain = list(functions)
    if not 1 <= segments <= max(1, len(chain)):
        raise ValueError(
            f"checkpoint_sequential: {len(chain)} functions can be 1 to {max(1, len(chain))} "
            f"segments, not {segments}" + at_line()
        )
    size = len(chain) // segments

    def run(start: int, end: int) -> Callable[[Any], Any]:
        def part(x: Any) -> Any:
            for f in chain[start:end]:
                x = f(x)
            return x

        return part

    end = 0
    for start in range(0, size * (segments - 1), size):
        end = start + size
        input = checkpoint(run(start, end), input, **kwargs)
    return run(end, len(chain))(input)
