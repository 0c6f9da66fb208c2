"""`gu.explain`: what an expression becomes on its way to the machine, stage by stage, as text.

Must not know how a stage decides.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import NamedTuple

from ..emit import llvm
from ..emit.kernel import (
    Argsort,
    Chain,
    Contraction,
    Kernel,
    Pack,
    Placing,
    Ranks,
    Scan,
    Segments,
    Several,
)
from ..ir.node import Node, buffer, loops
from ..ir.show import show
from ..ir.transform import substitute
from ..runtime import assembly
from ..schedule import Plan, Signature
from ..schedule.fuse import Group
from .core import Core
from .jit import Jit

SHOWN = 8  # results whose expressions are shown


class Stage(NamedTuple):
    """One stage: its name, and its text."""

    name: str
    text: str


class Memory(NamedTuple):
    """Bytes of a plan's temporaries: the arena they share, the most that is alive at one step (no
    arena can be smaller), and their sum; and what a captured function keeps between its calls, now,
    because tensors that it depends on have stayed as they were."""

    planned: int
    alive: int
    total: int
    kept: int = 0


class Explanation:
    """The stages of an expression; `str` shows all but the machine's, which are long.

    stages: expression, kernels, memory, llvm, assembly, each a `Stage(name, text)`.
    memory: what the temporaries take, in bytes: `Memory(planned, alive, total, kept)`.
    """

    def __init__(self, roots: Sequence[Node], plan: Plan, kept: Sequence[int] = ()) -> None:
        kernels = [step.kernel for step in plan.steps]
        bound = plan.bind(plan.hint)
        self.memory = Memory(bound.arena, bound.live, sum(bound.sizes.values()), sum(kept))
        text = {k: llvm.emit(k) for k in dict.fromkeys(kernels)}  # equal layers share kernels
        code = {k: assembly(t) for k, t in text.items()}
        self.stages = (
            Stage("expression", _expressions(roots)),
            Stage("kernels", "\n".join(_kernels(plan))),
            Stage("memory", _memory(plan, self.memory)),
            Stage("llvm", _numbered(kernels, text)),
            Stage("assembly", _numbered(kernels, code)),
        )

    def __str__(self) -> str:
        return "\n\n".join(f"== {name} ==\n{text}" for name, text in self.stages[:3])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return "".join(
            f"<details{' open' if i < 3 else ''}><summary>{name}</summary>"
            f"<pre>{html.escape(text)}</pre></details>"
            for i, (name, text) in enumerate(self.stages)
        )


def explain(x: Core | Jit[..., object]) -> Explanation:
    """What a tensor that is not computed yet, or a captured function that has been called, becomes.

    The graph as it was written; the kernels with their loops, tiles and threads; the memory plan;
    in `.stages` also the LLVM IR and the assembly of each kernel. A tensor that is in memory
    already is explained as just that.

    >>> a = gu.ones(64, 64)
    >>> [name for name, text in gu.explain((a @ a).relu()).stages]
    ['expression', 'kernels', 'memory', 'llvm', 'assembly']
    """
    if isinstance(x, Jit):
        roots, plan = x.latest()
        return Explanation(roots, plan, x.kept())
    if not isinstance(x, Core):
        raise TypeError(
            f"explain takes a tensor or a function that gu.jit captured, not {type(x).__name__}"
        )
    node = x.node
    return Explanation([node], Plan(Signature([node]), [node], [None]))


def _kernels(plan: Plan) -> list[str]:
    """Each kernel: what it computes, how its loops run, what it reads and writes."""
    lines: list[str] = []
    for i, step in enumerate(plan.steps):
        reads = ", ".join(sorted(_name(r) for r in step.reads)) or "nothing"
        lines.append(f"kernel {i}: {', '.join(map(_name, step.writes))} from {reads}")
        lines += [f"    {line}" for line in _form(step.kernel, bool(step.parallel))]
        if not step.groups and not isinstance(step.kernel, Ranks):
            lines.append("    a copy into another layout")
        for group in step.groups:
            text = _as_written(group)
            lines += [f"    {line}" for line in text.split("\n") if not line.startswith("…")]
    return lines


def _form(kernel: Kernel, parallel: bool) -> list[str]:
    threads = "all threads" if parallel else "one thread"
    if isinstance(kernel, Several):
        return [line for part in kernel.parts for line in _form(part, parallel)]
    if isinstance(kernel, Chain):
        most = max(rows for _, rows, _, _ in kernel.kinds)
        each = [line for part in kernel.kinds[0][3] for line in _form(part.kernel, parallel)]
        return [f"one after the other, on {most} rows at a time:", *(f"    {x}" for x in each)]
    if isinstance(kernel, Pack):
        return [f"a copy into panels of {kernel.panel[0]} lanes, {threads}"]
    if isinstance(kernel, Contraction):
        m = "" if kernel.m is None else f"{kernel.rows} rows of {_variable(kernel.m[0])} × "
        how = "columns" if kernel.lanes else f"vectors of {kernel.width}"
        along = kernel.k[-1][0] if kernel.lanes else kernel.n[0]
        copied = kernel.panel and f", panels of {kernel.panel.columns} lanes copied on the way"
        if kernel.prologue is not None:
            what = "rows" if kernel.prologue.loop is not kernel.n[0] else "columns"
            copied = f", {what} of an operand computed on the way"
        return [
            f"tiles of {m}{kernel.vectors} {how} of {_variable(kernel.n[0])}, "
            f"vectorised along {_variable(along)}, {threads}{copied or ''}"
        ]
    order = " ".join(_variable(v) for v, _ in kernel.loops) or "no loop"
    if isinstance(kernel, Ranks):
        return [f"positions {order} put in order by row, {threads}"]
    if isinstance(kernel, Argsort):
        how = f"the {kernel.few} first" if kernel.few else "radix sort"
        return [f"rows of {_variable(kernel.along[0])} in order ({how}), {threads}"]
    if isinstance(kernel, Placing):
        rows = " ".join(_variable(v) for v, _, _ in kernel.rows)
        return [f"positions in order, each put into its row {rows} by {kernel.kind}, {threads}"]
    if isinstance(kernel, Scan):
        what = f"vectors of {_variable(kernel.loops[-1][0])}" if kernel.vector else "rows"
        back = " backwards" if kernel.reverse else ""
        path = f"running along {_variable(kernel.along[0])}{back}"
        return [f"{path}, {kernel.copies} {what} side by side, {threads}"]
    if isinstance(kernel, Segments):
        rows = " ".join(_variable(v) for v, _ in kernel.row)
        vector = f", vectorised along {_variable(kernel.loops[-1][0])}" if kernel.vector else ""
        return [f"rows {rows}, each the {kernel.kind} of its own positions{vector}, {threads}"]
    vector = f", vectorised along {_variable(kernel.loops[kernel.vector][0])}" if (
        kernel.vector >= 0
    ) else ""
    return [f"loops {order}{vector}, {threads}"]


def _variable(node: Node) -> str:
    return f"{'axis' if node.op == 'out' else 'sum'} {node.arg}"


def _name(ref: object) -> str:
    """A reference of a plan in words: Slot(2) → input 2."""
    kind = {"Slot": "input", "Temp": "temporary", "Result": "result"}[type(ref).__name__]
    return f"{kind} {ref.index}"  # type: ignore[attr-defined]


def _memory(plan: Plan, memory: Memory) -> str:
    return (
        f"{len(plan.bind(plan.hint).sizes)} temporaries of {memory.total:,} bytes share "
        f"{memory.planned:,} bytes (at most {memory.alive:,} alive at once); "
        f"{len(plan.donated)} of {len(plan.roots)} results are written over what they replace"
        + (f"; {memory.kept:,} bytes are kept between calls" if memory.kept else "")
    )


def _numbered(kernels: list[Kernel], texts: dict[Kernel, str]) -> str:
    """The text of each kernel once."""
    first: dict[Kernel, int] = {}
    return "\n".join(
        f"; kernel {i}\n{texts[k]}" if first.setdefault(k, i) == i
        else f"; kernel {i} is kernel {first[k]}"
        for i, k in enumerate(kernels)
    )  # fmt: skip


def _expressions(roots: Sequence[Node]) -> str:
    """The first results as they were written: each is found by a walk of the whole graph."""
    shown = [show(r) for r in roots[:SHOWN]]
    if len(roots) > SHOWN:
        shown.append(f"… and {len(roots) - SHOWN} further results")
    return "\n".join(shown)


def _as_written(group: Group) -> str:
    """A kernel's loop nest, the tensors that it reads named in the order of reading."""
    stands_for: dict[Node, Node] = {
        t: buffer(("shown", i), t.shape, t.dtype) for i, t in enumerate(group.reads)
    }
    return show(loops(group.shape, substitute(group.body, stands_for)), limit=1)


__all__ = ["Explanation", "Memory", "Stage", "explain"]
