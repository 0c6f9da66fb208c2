"""`gu.explain`: what an expression becomes on its way to the machine, stage by stage.

Must not know how a stage decides.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..emit.kernel import Chain, Kernel, Ranks
from ..ir.node import Node, loops, out
from ..ir.show import paragraph
from ..runtime import pool
from ..schedule import Plan, Signature
from ..schedule.fuse import Group
from ..schedule.join import loops_of
from ..tensor.core import Core, Deferred, Paired
from ..tensor.jit import Jit
from . import loops as pseudo
from .anatomy import Anatomy, computed, results
from .course import Call, Course, Kernels
from .machine import Code, parts_of
from .text import expression as written
from .text import mark, plain
from .times import CALLED, Timing, step_seconds, timings

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

SHOWN = 300  # tensors of the expression that are shown, and kernels whose code is
NAMES = ("expression", "kernels", "loops", "time", "memory", "llvm", "assembly")
BRIEF = 5  # of these, `str` shows the first


class Stage(NamedTuple):
    """One stage: its name, and its text."""

    name: str
    text: str


class Memory(NamedTuple):
    """Bytes of temporaries: the arena they share, the most that is alive at one step (no arena can
    be smaller), and their sum; what a captured function keeps between its calls, now, because
    tensors that it depends on have stayed as they were; what host operations read and make."""

    planned: int
    alive: int
    total: int
    kept: int = 0
    between: int = 0


class Explanation:
    """The stages of an expression; `str` shows all but the machine's, which are long.

    stages: expression, kernels, loops, time, memory, llvm, assembly, each a `Stage(name, text)`.
    steps: all that runs, in order: kernels, and the host operations (gu.linalg) between them.
    timings: of each step, `Timing(seconds, work, least)`, measured when first asked for; of a host
    operation, the best of the calls so far.
    memory: bytes that are not the user's: `Memory(planned, alive, total, kept, between)`.
    plan: that of the last kernels, which are all where there are no host operations.
    """

    def __init__(self, roots: Sequence[Node], plan: Plan, kept: Sequence[int] = ()) -> None:
        self.roots = roots
        self._course = Course(roots, plan)
        self.steps = self._course.steps
        self.plan = self._course.stretches[-1].plan
        bounds = [s.plan.bind(s.plan.hint) for s in self._course.stretches]
        self._temporaries = sum(len(b.sizes) for b in bounds)
        self.memory = Memory(
            max(b.arena for b in bounds), max(b.live for b in bounds),
            sum(sum(b.sizes.values()) for b in bounds), sum(kept), self._course.between(),
        )  # fmt: skip
        self._code: dict[Kernel, Code] = {}

    # ---- what is shown -------------------------------------------------------------------------

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """All stages as plain text."""
        return tuple(Stage(name, plain(self.marked(name))) for name in NAMES)

    def __str__(self) -> str:
        return "\n\n".join(f"== {n} ==\n{plain(self.marked(n))}" for n in NAMES[:BRIEF])

    def __repr__(self) -> str:
        return str(self)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from .terminal import rendered

        yield from rendered(self)

    def show(self) -> None:
        """Print to the terminal, each axis in its colour."""
        from rich.console import Console

        Console(highlight=False).print(self)

    def _repr_html_(self) -> str:
        from .page import fragment

        return fragment(self)

    def html(self) -> str:
        """A page that needs nothing else: the stages side by side, each axis in one colour."""
        from .page import page

        return page(self)

    def save(self, path: str | Path) -> None:
        """Write the page to a file."""
        Path(path).write_text(self.html(), encoding="utf-8")

    # ---- the stages, their axes marked ---------------------------------------------------------

    def marked(self, name: str) -> str:
        """One stage, its axes marked (see `text`)."""
        if name == "expression":
            return self._expression()
        if name == "time":
            return self._times()
        if name == "memory":
            return self._memory()
        make = {"kernels": self.kernel, "loops": self.loops, "llvm": self.ir,
                "assembly": self.assembly}[name]  # fmt: skip
        count = len(self.steps)
        parts = [make(i) for i in range(min(count, SHOWN))]
        if count > SHOWN:
            parts.append(f"… and {count - SHOWN} further kernels")
        return "\n".join(parts)

    def _expression(self) -> str:
        order = self.order()
        lines = self.tensors(order[:SHOWN])
        if len(order) > SHOWN:
            lines.append(f"… and {len(order) - SHOWN} further tensors")
        return "\n".join(lines)

    def tensors(self, nodes: Sequence[Node]) -> list[str]:
        """Some of the user's tensors, as they were written."""
        lines: list[str] = []
        before: str | None = None
        for node in nodes:
            lines += self.tensor(node, node.line != before)
            before = node.line or before
        return lines

    def tensor(self, node: Node, quoted: bool = True) -> list[str]:
        """One of the user's tensors, as it was written; `quoted`: with the line's text."""
        names = self._course.names
        axes = [mark(x) for x in names.axes.of[node]]
        inner = {uid: mark(x) for uid, x in names.axes.inner.get(node, {}).items()}
        lines = paragraph(node, names.of, axes, inner)
        if node.line is not None:
            where = written_at(node.line)
            lines.insert(1, f"    # {where if quoted else where.partition(': ')[0]}")
        return lines

    def order(self) -> list[Node]:
        """The user's tensors, sources first."""
        return self._course.names.order

    def title(self, number: int) -> str:
        """What a step is called: kernel 0; host 1, a host operation."""
        return f"{'host' if isinstance(self.steps[number], Call) else 'kernel'} {number}"

    def own_tensors(self, number: int) -> list[Node]:
        """The user's tensors that a step computes, and those that it reads, sources first."""
        at = self.steps[number]
        if isinstance(at, Call):
            wanted: set[Node | None] = set(at.tensors())
        else:
            a, step = at.stretch.anatomy, at.step
            wanted = {a.user.get(node) for node, _ in a.own[at.number]}
            wanted |= {a.user.get(t) for g in step.groups for t in g.reads}
            if not step.groups:
                wanted |= {a.user.get(t) for t in a.copied(step)}
        return [t for t in self.order() if t in wanted]

    def kernel(self, number: int) -> str:
        """What a step computes, from what, and where that was written."""
        at = self.steps[number]
        if isinstance(at, Call):
            lines = [f"{self.title(number)}: {at.results()} from {', '.join(at.sources())}"]
            lines += [f"    # {written_at(at.line)}"] if at.line else []
            return "\n".join([*lines, f"    {at.written()}", f"    # {at.by}"])
        a, groups = at.stretch.anatomy, computed(at.step)
        made = {g.node for g in groups}
        reads = dict.fromkeys(a.name(t) for g in groups for t in g.reads if t not in made)
        head = f"kernel {number}: {self._written(at)}"
        lines = [head + (f" from {', '.join(reads)}" if reads else "")]
        lines += [f"    # {written_at(line)}" for line in a.lines(at.number)]
        for group in groups:
            lines += [f"    {x}" for x in self._fused(group, a)]
        return "\n".join(lines)

    def _written(self, at: Kernels) -> str:
        """What a kernel writes, by name."""
        if isinstance(at.step.kernel, Ranks):
            return "positions in order by row, for the next"
        a = at.stretch.anatomy
        copied = ", ".join(map(a.name, a.copied(at.step)))
        return ", ".join(a.written(at.step)) or f"a copy of {copied}, laid out anew"

    def _fused(self, group: Group, a: Anatomy) -> list[str]:
        variables = a.variables(group.node, group.body, group.shape)
        axes = [mark(x) for x in a.outs(group.node, variables, group.shape)]
        inner = {v.arg: mark(x) for v, x in variables.items() if v.op == "red"}
        names = {t: a.name(t) for t in group.reads}
        if group.node.op == "argsort":
            along, descending, _ = group.node.arg
            known = {out(i): x for i, x in enumerate(axes)}
            before, text = written(group.body, known, a.name, lambda: "t")
            shape = ", ".join(str(int(s)) for s in group.node.shape)
            head = f"{a.name(group.node)}: int64[{shape}]"
            order = "descending" if descending else "ascending"
            return [f"{head} = positions along {axes[along]} of {text}, {order}", *before]
        nest = loops(group.shape, group.body)
        return paragraph(nest, {**names, nest: a.name(group.node)}, axes, inner)

    def loops(self, number: int) -> str:
        """A kernel's loops."""
        at = self.steps[number]
        if isinstance(at, Call):
            return f"{self.title(number)}:\n    {at.written()}    # Python, on the calling thread"
        same = self._same(number)
        if same != number:
            return f"kernel {number}: as kernel {same}, on other memory"
        lines = pseudo.listing(at.stretch.anatomy, at.number, at.stretch.plan.hint)
        return "\n".join([f"kernel {number}:", *(f"    {x}" for x in lines)])

    @cached_property
    def _first(self) -> dict[Kernel, int]:
        """The first step with each kernel."""
        steps = reversed(list(enumerate(self.steps)))
        return {at.step.kernel: i for i, at in steps if isinstance(at, Kernels)}

    def _same(self, number: int) -> int:
        """The first step with the same kernel."""
        at = self.steps[number]
        return self._first[at.step.kernel] if isinstance(at, Kernels) else number

    def different(self) -> list[int]:
        """The first step with each kernel."""
        return sorted(self._first.values())

    def code(self, at: Kernels) -> Code:
        """The IR and assembly of a kernel."""
        kernel = at.step.kernel
        found = self._code.get(kernel)
        if found is None:
            found = self._code[kernel] = Code(kernel)
        return found

    def _axes(self, at: Kernels) -> Callable[[str], dict[Node, str]]:
        """The name of each variable of a kernel's loops, in each of its functions."""
        step, a = at.step, at.stretch.anatomy
        whole: dict[Node, str] = {}
        for g in step.groups:
            whole = {**a.variables(g.node, g.body, g.shape), **whole}
        own: dict[str, dict[Node, str]] = {}
        if isinstance(step.kernel, Chain):
            for function, i in parts_of(step.kernel).items():
                main, _ = loops_of(step.links[i].groups)
                own[function] = a.variables(main.node, main.body, main.shape)
        return lambda function: own.get(function, whole)

    def ir(self, number: int) -> str:
        """A kernel's LLVM IR."""
        return self._machine(number, lambda at: self.code(at).marked_ir(self._axes(at)))

    def assembly(self, number: int) -> str:
        """A kernel's assembly; a bar in the colour of an axis runs along its loop."""
        return self._machine(number, lambda at: self.code(at).marked_assembly(self._axes(at)))

    def _machine(self, number: int, code: Callable[[Kernels], str]) -> str:
        at, same = self.steps[number], self._same(number)
        if isinstance(at, Call):
            return f"; {self.title(number)} is not compiled here: {at.name}, {at.by}"
        if same != number:
            return f"; kernel {number} is kernel {same}"
        return f"; kernel {number}\n{code(at)}"

    # ---- time and memory -----------------------------------------------------------------------

    @cached_property
    def timings(self) -> list[Timing]:
        """Each kernel's best time of several runs, beside the roofline of this machine; that of
        each host operation, in the calls so far."""
        found: list[Timing] = []
        for s in self._course.stretches:
            seconds, n, a = step_seconds(s.plan, s.given), s.plan.hint, s.anatomy
            each = range(len(seconds))
            found += timings(seconds, [a.work(i, n) for i in each], [a.flop(i, n) for i in each])
        if len(found) < sum(isinstance(at, Kernels) for at in self.steps):
            return []  # an index from data leaves its tensor: nothing was run
        kernels = iter(found)
        return [
            Timing(at.operation.seconds, CALLED, 0.0) if isinstance(at, Call) else next(kernels)
            for at in self.steps
        ]

    def _times(self) -> str:
        rows = [HEADS, *(row(i, self.what(i), t) for i, t in enumerate(self.timings))]
        rows.append(("", *self.total(), "", "", ""))
        return "\n".join(aligned(rows))

    def total(self) -> tuple[str, str]:
        """What has been timed, and its time."""
        hosts = any(isinstance(at, Call) for at in self.steps)
        seconds = sum(t.seconds for t in self.timings)
        return "all kernels" + (" and host operations" if hosts else ""), seconds_text(seconds)

    def what(self, number: int) -> str:
        """What a step writes, in a few words."""
        at = self.steps[number]
        if isinstance(at, Call):
            count = at.operation.calls
            calls = "its one call" if count == 1 else f"best of {count} calls"
            return f"{at.results()} by {at.name} in Python, {calls}"
        a = at.stretch.anatomy
        return ", ".join(
            f"{a.name(g.node)}[{', '.join(str(int(s)) for s in g.node.shape)}]"
            for g in results(at.step)
        ) or self._copy(at)

    def _copy(self, at: Kernels) -> str:
        if isinstance(at.step.kernel, Ranks):
            return "positions by row"
        a = at.stretch.anatomy
        return " ".join(["copy", *(f"of {a.name(t)}" for t in a.copied(at.step))])

    def _memory(self) -> str:
        memory, plan = self.memory, self.plan
        return (
            f"{self._temporaries} temporaries of {memory.total:,} bytes share "
            f"{memory.planned:,} bytes (at most {memory.alive:,} alive at once); "
            f"{len(plan.donated)} of {len(plan.roots)} results are written over what they replace"
            + (f"; {memory.kept:,} bytes are kept between calls" if memory.kept else "")
            + (f"; {memory.between:,} bytes are what host operations read and make, and what is "
               f"needed after them" if memory.between else "")
        )


def explain(x: Core | Jit[..., Any]) -> Explanation:
    """What a tensor that is not computed yet, or a captured function that has been called, becomes.

    The graph as it was written; the kernels; their loops with tiles, vectors and threads; the time
    of each kernel, its GFLOP/s, GB/s and share of this machine's measured roofline; the memory
    plan; in `.stages` also the LLVM IR and the assembly of each kernel. Host operations (gu.linalg)
    of a captured function stand between the kernels, as steps of their own. `.show()` prints it in
    colours, `.save("page.html")` writes a page. A tensor that is in memory already is explained as
    just that.

    Kernels are timed when the time is first asked for (also by `str`): on the graph's memory, or
    on zeros where a captured function's arguments would be; no tensor changes.

    >>> a = gu.ones(64, 64)
    >>> [name for name, text in gu.explain((a @ a).relu()).stages]
    ['expression', 'kernels', 'loops', 'time', 'memory', 'llvm', 'assembly']
    """
    x = getattr(x, "__func__", x)  # of a captured method
    if not isinstance(x, Jit | Core):
        raise _refusal(x)
    with pool.lock:  # no other thread computes a part of the graph meanwhile
        if isinstance(x, Jit):
            roots, plan = x.latest()
            return Explanation(roots, plan, x.kept())
        node = (x._pair if isinstance(x, Paired) else x).node
        return Explanation([node], Plan(Signature([node]), [node], [None]))


# ---- small parts ---------------------------------------------------------------------------------


def _refusal(x: object) -> TypeError:
    hint = "; close it by .order(…)" if isinstance(x, Deferred) else ""
    return TypeError(
        "explain takes a tensor or a function that gu.jit captured, not "
        f"{type(x).__name__}{hint}"
    )


HEADS = ("kernel", "writes", "time", "GFLOP/s", "GB/s", "of the roofline")


def row(number: int, what: str, t: Timing) -> tuple[str, ...]:
    """A kernel's row in a table of times."""
    return (
        str(number), what, seconds_text(t.seconds),
        f"{t.gflops:.1f}" if t.work.flop else "",
        *(("", "") if t.work is CALLED else (f"{t.gbytes:.1f}", f"{t.share:.0%}")),
    )  # fmt: skip


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, in columns; all but the second to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(f"{x:<{w}}" if i == 1 else f"{x:>{w}}" for i, (x, w) in
                  enumerate(zip(cells, widths, strict=True))).rstrip()
        for cells in rows
    ]  # fmt: skip


def seconds_text(seconds: float) -> str:
    """A time with three digits or so."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.1f} µs"


def written_at(line: str) -> str:
    """A source line in words: train.py:12: y = …"""
    name, colon, number = line.rpartition(":")
    if not colon:
        return line
    text = linecache.getline(name, int(number)).strip()
    return f"{Path(name).name}:{number}" + (f": {text}" if text else "")


__all__ = ["Explanation", "Memory", "Stage", "explain"]
