"""Which part of a tensor each kernel computes, where one step computes it in parts: the residues of
a strided sum, pieces that lie side by side.

Must not know how it is shown.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..emit.kernel import Contraction, Nest
from ..ir.transform import body_nodes
from ..schedule.alternate import halves
from ..schedule.beside import pieces
from ..schedule.fuse import Group
from ..schedule.residue import Part, residues
from ..schedule.windows import written_out


class Piece(Group):
    """Positions start + step·i of a stored tensor."""

    def __init__(self, group: Group, part: Part, plain: bool) -> None:
        super().__init__(group.node, written_out(part.body) if plain else part.body)
        self.whole, self.part = group, part

    @property
    def shape(self) -> tuple[int, ...]:
        """The loops in which the body is evaluated."""
        return self.part.shape

    def place(self, axis: int, name: str) -> str:
        """The position in the whole tensor."""
        step, start = self.part.steps[axis], self.part.starts[axis]
        if step != 1 and self.part.shape[axis] == 1:
            return str(start)
        scaled = name if step == 1 else f"{name} * {step}"
        return f"{scaled} + {start}" if start else scaled


def in_parts(
    group: Group, kernels: Sequence[Nest | Contraction]
) -> list[tuple[Nest | Contraction, list[Group]]]:
    """Each kernel with what it computes: the whole, where the group is in no parts."""
    whole: list[tuple[Nest | Contraction, list[Group]]] = [(k, [group]) for k in kernels]
    parts = residues(group.shape, group.body)
    if len(parts) == 1:
        axes = range(len(group.shape))
        parts = next(filter(None, (pieces(group.shape, group.body, i) for i in axes)), parts)
    if len(parts) == 1:
        return whole
    products = [k for k in kernels if isinstance(k, Contraction)]
    tiled = [p for p in parts if products and _has_product(p)]
    rest: dict[tuple[int, ...], list[Part]] = {}  # plain loops: those of one shape share them
    for p in parts:
        if p not in tiled:
            rest.setdefault(p.shape, []).append(p)
    nests = [k for k in kernels if isinstance(k, Nest)]
    if len(tiled) != len(products) or len(rest) != len(nests):
        return whole
    found: list[tuple[Nest | Contraction, list[Group]]] = []
    found += [(k, [Piece(group, p, False)]) for k, p in zip(products, tiled, strict=True)]
    found += [(k, [Piece(group, p, True) for p in own])
              for k, own in zip(nests, rest.values(), strict=True)]  # fmt: skip
    return found


def in_halves(groups: Sequence[Group]) -> list[Group]:
    """What a kernel computes that writes both parts along an axis of two in one pass."""
    found: list[Group] = []
    for g in groups:
        axis = len(g.shape) - 1
        if g.shape[axis : axis + 1] != (2,):
            found.append(g)
            continue
        for p in halves(g.shape, g.body, axis):
            if isinstance(g, Piece):
                before = g.part.starts[:axis], g.part.steps[:axis]
                starts, steps = (x + y[axis:] for x, y in zip(before, (p.starts, p.steps)))
                p = Part(p.shape, starts, steps, p.body)
            found.append(Piece(g.whole if isinstance(g, Piece) else g, p, False))
    return found


def _has_product(part: Part) -> bool:
    return any(n.op == "reduce" and n.arg[2].startswith("dot") for n in body_nodes(part.body))
