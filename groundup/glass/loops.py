"""Kernels as indented pseudo-code: loops, tiles, vectors and threads.

Must not know why a kernel is as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count

from ..emit.kernel import (
    Argsort,
    Chain,
    Contraction,
    Kernel,
    Nest,
    Pack,
    Placing,
    Ranks,
    Scan,
    Segments,
    Several,
    Stride,
    Word,
)
from ..ir.extent import product
from ..ir.node import Node, out
from ..ir.transform import TENSOR_OPS, body_nodes
from ..schedule.fuse import Group
from ..schedule.sizes import size_of, value
from ..schedule.steps import Step
from .anatomy import Anatomy, results
from .text import expression, mark

TAB = "    "
_START = {"sum": "0", "prod": "1", "max": "-inf", "min": "inf"}
_UPDATE = {"sum": "{0} += {1}", "prod": "{0} *= {1}", "max": "{0} = max({0}, {1})",
           "min": "{0} = min({0}, {1})"}  # fmt: skip


def listing(anatomy: Anatomy, number: int, n: int | None = None) -> list[str]:
    """The loops of one step of a plan; axes are marked (see `text`)."""
    return _Listing(anatomy, anatomy.plan.steps[number], n).lines()


class _Listing:
    def __init__(self, anatomy: Anatomy, step: Step, n: int | None) -> None:
        self.a, self.step, self.n = anatomy, step, n
        self.variables: dict[Node, str] = {}
        self.temporaries = count(1)
        self.done: dict[Node, str] = {}  # reductions that have been written, and their names
        self.threads = "all threads" if step.parallel else "one thread"
        self.first = step.groups[0] if step.groups else None
        if self.first is not None:
            self._named(self.first)

    def _named(self, group: Group) -> None:
        names = self.a.variables(group.node, group.body, group.shape)
        self.variables = {v: mark(name) for v, name in names.items()}
        for i, name in enumerate(self.a.outs(group.node, names, group.shape)):
            self.variables.setdefault(out(i), mark(name))

    # ---- small parts ---------------------------------------------------------------------------

    def size(self, extent: Stride) -> int:
        """An extent as a number."""
        if not isinstance(extent, Word):
            return extent
        word = self.step.words[extent.position] if extent.position < len(self.step.words) else 0
        return value(word, self.n) if isinstance(word, int | tuple) else 0  # type: ignore[arg-type]

    def variable(self, node: Node, among: Sequence[Node] = (), shape: Sequence[int] = ()) -> str:
        """The name of a loop; one that walks several axes as one is called by all of them."""
        name = self.variables.get(node)
        if name is None:
            name = mark(f"{'axis' if node.op == 'out' else 'term'}{node.arg}")
        joined: list[str] = []
        if node.op == "out" and among:
            present = {v.arg for v in among if v.op == "out"}
            i = node.arg - 1
            while 0 <= i < len(shape) and i not in present:
                if shape[i] != 1:
                    joined.insert(0, self.variables.get(out(i), mark(f"axis{i}")))
                i -= 1
        return "·".join([*joined, name])

    def temporary(self) -> str:
        return f"t{next(self.temporaries)}"

    def element(self, group: Group) -> str:
        """The element that a group computes: C[i, j]."""
        where = ", ".join(self.variables.get(out(i), mark("·")) for i in range(len(group.shape)))
        return f"{self.a.name(group.node)}[{where}]" if where else self.a.name(group.node)

    # ---- kernels -------------------------------------------------------------------------------

    def lines(self) -> list[str]:
        """The whole kernel."""
        return self.kernel(self.step.kernel, results(self.step))

    def kernel(self, kernel: Kernel, groups: Sequence[Group]) -> list[str]:
        if isinstance(kernel, Several):
            lines: list[str] = []
            for i, part in enumerate(kernel.parts):
                lines.append(f"# part {i + 1} of {len(kernel.parts)}: other elements")
                lines += self.kernel(part, groups)
            return lines
        if isinstance(kernel, Nest):
            return self.nest(kernel, groups) if groups else self.copy(kernel)
        if isinstance(kernel, Contraction):
            return self.contraction(kernel, groups)
        if isinstance(kernel, Chain):
            return self.chain(kernel)
        if isinstance(kernel, Pack):
            return self.pack(kernel)
        return self.other(kernel, groups)

    def copy(self, kernel: Nest) -> list[str]:
        lines = self.headers(kernel, [v for v, _ in kernel.loops], ())
        return [*lines, f"{TAB * len(lines)}copy = {self.source()}    # laid out anew"]

    def source(self) -> str:
        """What a copy reads."""
        return ", ".join(map(self.a.name, self.a.copied(self.step))) or "source"

    def headers(self, kernel: Nest, among: Sequence[Node], shape: Sequence[int]) -> list[str]:
        """The lines of a nest's loops."""
        lines = []
        for i, (v, extent) in enumerate(kernel.loops):
            name, size = self.variable(v, among, shape), self.size(extent)
            notes = []
            by = ""
            if i == kernel.vector:
                by = f" by {kernel.columns or kernel.width}"
                notes.append(f"vectors of {kernel.width}")
                if kernel.columns:
                    notes.append("each with a running value")
            word = "for"
            if self.step.parallel and i < max(1, kernel.parallel):
                word = "parallel for"
                notes.append(self.threads)
            if kernel.square and i >= len(kernel.loops) - 2:
                notes.append("in squares, turned in registers")
            note = f"    # {', '.join(notes)}" if notes else ""
            lines.append(f"{TAB * i}{word} {name} < {size}{by}:{note}")
        return lines

    def nest(self, kernel: Nest, groups: Sequence[Group]) -> list[str]:
        loops = [v for v, _ in kernel.loops]
        widest = max(groups, key=lambda g: product(g.shape))
        self._named(widest)
        heads = self.headers(kernel, loops, widest.shape)
        at: dict[int, list[str]] = {}
        for group in groups:
            self._named(group)
            self._place(kernel, group, loops, at)
        lines: list[str] = []
        for depth in range(len(loops) + 1):
            lines += [TAB * depth + text for text in at.get(depth, [])]
            if depth < len(loops):
                lines.append(heads[depth])
        return lines

    def _place(
        self, kernel: Nest, group: Group, loops: Sequence[Node], at: dict[int, list[str]]
    ) -> None:
        """The statements of one result, each in the outermost loop that it can be in."""
        level: dict[Node, int] = {}
        present = {v.arg: i + 1 for i, v in enumerate(loops) if v.op == "out"}
        for i in range(len(group.shape)):
            inside = [depth for d, depth in present.items() if d >= i]
            level[out(i)] = present.get(i, min(inside, default=0))
        blocks = _Blocks(self, group.body)
        depth_of: dict[Node, int] = {}
        for node in blocks.free:
            outs = [level.get(v, 0) for v in blocks.free[node] if v.op == "out"]
            depth_of[node] = max(outs, default=0)
        for reduction in blocks.outermost:
            if reduction in self.done:  # another result has asked for it
                blocks.known[reduction] = self.done[reduction]
                continue
            self.done[reduction] = blocks.known[reduction]
            depth = depth_of[reduction]
            at.setdefault(depth, []).extend(blocks.block(reduction))
        before, text = expression(group.body, blocks.known, self.a.name, self.temporary)
        stream = "    # past the caches" if any(o.stream for o in kernel.outputs) else ""
        target = f"{self.element(group)} = {text}{stream}"
        deepest = max((level[out(i)] for i, s in enumerate(group.shape) if s != 1), default=0)
        deepest = max(deepest, depth_of.get(group.body, 0))
        at.setdefault(deepest, []).extend([*before, target])

    def contraction(self, kernel: Contraction, groups: Sequence[Group]) -> list[str]:
        shape = groups[0].shape if groups else ()
        tiled = [kernel.n] if kernel.m is None else [kernel.m, kernel.n]
        among = [v for v, _ in (*kernel.outer, *tiled)]
        columns = kernel.vectors * (1 if kernel.lanes else self.lanes(kernel))
        names = [self.variable(v, among, shape) for v, _ in tiled]
        tile = " × ".join(
            f"{size} of {name} < {self.size(extent)}" for size, name, (_, extent) in
            zip([kernel.rows, columns][-len(tiled) :], names, tiled, strict=True)
        )  # fmt: skip
        word = "parallel for" if self.step.parallel else "for"
        loops = ", ".join(
            f"{self.variable(v, among, shape)} < {self.size(e)}" for v, e in kernel.outer
        )
        lines = [f"{word} {f'{loops}, ' if loops else ''}tiles of {tile}:    # {self.threads}, "
                 f"{_ORDERS[kernel.order]}"]  # fmt: skip
        parts, term, known = self.term(kernel, groups)
        indent = TAB
        if kernel.diagonal is not None:
            lines.append(f"{indent}# tiles beyond the diagonal are left out: nobody asks for them")
        if kernel.panel is not None:
            lines.append(f"{indent}panel = the tile's {kernel.panel.columns} columns of one factor"
                         "    # copied by the thread that uses it, once for many rows")  # fmt: skip
        if kernel.prologue is not None:
            what = "rows" if kernel.prologue.loop is not kernel.n[0] else "columns"
            for group in self.step.groups[len(self.step.writes) :]:
                self._named(group)
                text = self.whole(group)
                lines.append(f"{indent}{self.element(group)} = {text}    # {what} of a factor, "
                             "computed by the thread that uses them")  # fmt: skip
                self._named(groups[0])
        along = self.variable(kernel.k[-1][0]) if kernel.lanes else names[-1]
        registers = kernel.rows * kernel.vectors
        lines.append(
            f"{indent}acc[{' × '.join(map(str, [kernel.rows, columns][-len(tiled) :]))}] = 0    "
            f"# {registers} vectors of {self.lanes(kernel)} along {along}, in registers"
        )
        if kernel.block is not None:
            depth, size = kernel.block
            lines.append(f"{indent}for blocks of {size} {self.variable(kernel.k[depth][0])}:    "
                         f"# in between, the sums wait in memory")  # fmt: skip
            indent += TAB
        inner = indent
        for i, (v, extent) in enumerate(kernel.k):
            by = f" by {self.lanes(kernel)}" if kernel.lanes and i == len(kernel.k) - 1 else ""
            bound = "" if not kernel.bounds else "    # only where inside" if i == 0 else ""
            lines.append(f"{inner}for {self.variable(v)} < {self.size(extent)}{by}:{bound}")
            inner += TAB
        lines += [inner + x for x in parts]
        lines.append(f"{inner}acc += {term}    # {registers} fused multiply-adds of vectors")
        for group in groups:
            before, text = expression(group.body, known, self.a.name, self.temporary)
            lines += [TAB + x for x in [*before, f"{self.element(group)} = {text}"]]
        return lines

    def lanes(self, kernel: Contraction) -> int:
        return kernel.width // 2 if kernel.hole.dtype.bits == 64 else kernel.width

    def term(
        self, kernel: Contraction, groups: Sequence[Group]
    ) -> tuple[list[str], str, dict[Node, str]]:
        """(parts of the term, the term of the sum, texts known in what is made of it)."""
        if not groups:
            return [], "a · b", {}
        blocks = _Blocks(self, groups[0].body)
        sums = [r for r in blocks.outermost if r.arg[2].startswith("dot")]
        if not sums:
            return [], "a · b", blocks.known
        best = max(sums, key=lambda r: len(r.arg[1]))
        for reduction in blocks.outermost:
            if reduction is not best:
                blocks.known.setdefault(reduction, f"({reduction.arg[0]} of …)")
        parts, text = expression(best.src[0], blocks.known, self.a.name, self.temporary)
        return parts, text, {**blocks.known, best: "acc"}

    def pack(self, kernel: Pack) -> list[str]:
        word = "parallel for" if self.step.parallel else "for"
        loops = [self.size(e) for e, _, _ in kernel.outer] + [self.size(e) for e, _ in kernel.row]
        around = " × ".join(str(s) for s in loops if s != 1) or "1"
        lanes = f"panels of {kernel.panel[0]}" if kernel.panel[0] else "all"
        what = ", two by two" if kernel.pairs else ""
        return [
            f"{word} {around} rows, {self.size(kernel.lane[0])} lanes in {lanes}{what}:"
            f"    # {self.threads}, blocks of {kernel.width} turned in registers",
            f"{TAB}copy = {self.source()}    # so that vectors lie along the lanes",
        ]

    def chain(self, kernel: Chain) -> list[str]:
        units = " · ".join(str(self.size(u)) for u in kernel.units) or "1"
        most = max(rows for _, rows, _, _ in kernel.kinds)
        lines = [f"parallel for unit < {units}:    # {self.threads}",
                 f"{TAB}for blocks of {most} rows:    # what the parts tell each other stays in "
                 f"{kernel.room // 1024} KiB a thread"]  # fmt: skip
        for i, part in enumerate(kernel.kinds[0][3]):
            lines.append(f"{TAB * 2}# part {i + 1}")
            lines += [TAB * 2 + x for x in self.kernel_of_part(part.kernel)]
        return lines

    def kernel_of_part(self, kernel: Nest | Contraction) -> list[str]:
        """A part of a chain, whose sizes are found when it runs."""
        if isinstance(kernel, Contraction):
            sides = [kernel.n] if kernel.m is None else [kernel.m, kernel.n]
            names = " × ".join(self.variable(v) for v, _ in sides)
            over = ", ".join(self.variable(v) for v, _ in kernel.k)
            tile = f"{kernel.rows} × {kernel.vectors * self.lanes(kernel)}"
            count = kernel.rows * kernel.vectors
            return [f"for tiles of {tile} of {names}:",
                    f"{TAB}acc += a · b    # over {over}, {count} vectors in registers"]
        known: dict[Node, str] = dict(self.variables)
        lines = []
        for i, (v, _) in enumerate(kernel.loops):
            by = f" by {kernel.width}" if i == kernel.vector else ""
            lines.append(f"{TAB * i}for {self.variable(v)}{by}:")
        for output in kernel.outputs:
            for node in body_nodes(output.body):
                if node.op == "load":
                    known[node] = "x"
                elif node.op in ("param", "extent"):
                    known[node] = "n"
                elif node.op == "reduce":
                    known[node] = f"{node.arg[0]} over a row"
            _, text = expression(output.body, known, self.a.name, self.temporary)
            lines.append(f"{TAB * len(kernel.loops)}y = {text}")
        return lines

    def other(self, kernel: Kernel, groups: Sequence[Group]) -> list[str]:
        """What is no plain loop nest."""
        body = [f"{self.element(g)} = {self.whole(g)}" for g in groups]
        if isinstance(kernel, Scan):
            around = [f"{self.variable(v)} < {self.size(e)}" for v, e in kernel.loops]
            what = "vectors" if kernel.vector else "rows"
            word = "parallel for" if self.step.parallel else "for"
            back = ", backwards" if kernel.reverse else ""
            head = [f"{word} {', '.join(around) or '1 row'}:    # {self.threads}, {kernel.copies} "
                    f"{what} side by side",
                    f"{TAB}for {self.variable(kernel.along[0])} < {self.size(kernel.along[1])}:"
                    f"    # in order{back}"]  # fmt: skip
            return [*head, *(TAB * 2 + x for x in body)]
        if isinstance(kernel, Argsort):
            how = f"keeping the {kernel.few} first" if kernel.few else "by radix sort"
            return [f"for each row of {self.variable(kernel.along[0])}:    # {self.threads}",
                    f"{TAB}positions in order, {how}", *(TAB + x for x in body)]  # fmt: skip
        if isinstance(kernel, Ranks):
            loops = ", ".join(f"{self.variable(v)} < {self.size(e)}" for v, e in kernel.loops)
            return [f"for {loops}:    # {self.threads}",
                    f"{TAB}positions in order by row    # a counting sort"]  # fmt: skip
        if isinstance(kernel, Segments):
            rows = ", ".join(f"{self.variable(v)} < {self.size(e)}" for v, e in kernel.loops)
            return [f"parallel for {rows}:    # {self.threads}",
                    f"{TAB}{kernel.kind} of the row's own positions, in order",
                    *(TAB + x for x in body)]  # fmt: skip
        if isinstance(kernel, Placing):
            loops = ", ".join(f"{self.variable(v)} < {self.size(e)}" for v, e in kernel.variables)
            return [f"for {loops}:    # {self.threads}",
                    f"{TAB}put into its row by {kernel.kind}",
                    *(TAB + x for x in body)]  # fmt: skip
        return body

    def whole(self, group: Group) -> str:
        """A group's body on one line."""
        self._named(group)
        blocks = _Blocks(self, group.body)
        for r in blocks.outermost:
            over = ", ".join(blocks.loop_name(uid, r) for uid, _ in r.arg[1])
            blocks.known[r] = f"({r.arg[0]} over {over} of …)"
        return expression(group.body, blocks.known, self.a.name, self.temporary)[1]


class _Blocks:
    """The reductions of one body: which are loops of their own, and their statements."""

    def __init__(self, owner: _Listing, body: Node) -> None:
        self.owner = owner
        self.known: dict[Node, str] = dict(owner.variables)
        self.free: dict[Node, frozenset[Node]] = {}
        order = [n for n in body_nodes(body) if n.op not in TENSOR_OPS]
        bound: dict[Node, frozenset[Node]] = {}
        for n in order:
            sources = [self.free[s] for s in n.src if s.op not in TENSOR_OPS]
            found: frozenset[Node] = frozenset().union(*sources)
            if n.op in ("out", "red"):
                found = frozenset((n,))
            elif n.op == "reduce":
                ids = {uid for uid, _ in n.arg[1]}
                bound[n] = frozenset(v for v in found if v.op == "red" and v.arg in ids)
                found -= bound[n]
            self.free[n] = found
            if n.op == "carry":
                self.known[n] = "before"
        self.reductions = list(bound)
        self.outermost = [r for r in self.reductions if all(v.op == "out" for v in self.free[r])]
        for r in self.reductions:
            self.known[r] = owner.temporary()

    def loop_name(self, uid: int, reduction: Node) -> str:
        for n in body_nodes(reduction.src[0]):
            if n.op == "red" and n.arg == uid:
                return self.owner.variables.get(n, mark(f"term{uid}"))
        return mark(f"term{uid}")

    def block(self, reduction: Node) -> list[str]:
        """The statements of one reduction, those inside its loop included."""
        kind, variables, order = reduction.arg[:3]
        name = self.known[reduction]
        lines = [f"{name} = {_START.get(kind, 'nothing')}"]
        indent = ""
        for uid, extent in variables:
            how = f"    # {_SUMS[order]}" if order in _SUMS and uid == variables[-1][0] else ""
            size = value(size_of(extent), self.owner.n)
            lines.append(f"{indent}for {self.loop_name(uid, reduction)} < {size}:{how}")
            indent += TAB
        ids = {uid for uid, _ in variables}
        inside = body_nodes(reduction.src[0])
        for inner in self.reductions:
            if inner is not reduction and inner in inside and any(
                v.op == "red" and v.arg in ids for v in self.free[inner]
            ):
                lines += [indent + x for x in self.block(inner)]
        before, text = expression(
            reduction.src[0], self.known, self.owner.a.name, self.owner.temporary
        )
        update = _UPDATE.get(kind, f"{{0}} = {kind}({{0}}, {{1}})").format(name, text)
        return [*lines, *(indent + x for x in [*before, update])]


_SUMS: Mapping[str, str] = {
    "lanes": "a vector of running values, combined at the end",
    "dotlanes": "a vector of running values, fused multiply-adds",
    "dot": "fused multiply-adds",
}
_ORDERS: Mapping[str, str] = {
    "rows": "tile rows first", "columns": "tile columns last", "outer": "outer loops first",
    "across": "tile columns first",
}  # fmt: skip
