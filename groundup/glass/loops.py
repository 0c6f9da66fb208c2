"""Kernels as indented pseudo-code: loops, tiles, vectors and threads.

Must not know why a kernel is as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from math import prod

from ..emit.kernel import Chain, Contraction, Kernel, Nest, Part, Several, Stride, Word
from ..ir.node import Node, out
from ..ir.transform import body_nodes, product_of, substitute
from ..schedule.chain import Link
from ..schedule.contract import Gather
from ..schedule.fuse import Group
from ..schedule.join import loops_of
from ..schedule.sizes import Size, Sym, size_of, value
from .anatomy import Anatomy, computed, results
from .parts import Piece, in_halves, in_parts
from .reductions import TAB, Reductions
from .text import expression, mark


def listing(anatomy: Anatomy, number: int, n: int | None = None) -> list[str]:
    """The loops of one step of a plan; axes are marked (see `text`)."""
    return Listing(anatomy, number, n).lines()


class Listing:
    """The pseudo-code of one step, being written; `n`: the value of the runtime size.

    variables: the marked name of each variable of the body that is written now.
    """

    def __init__(self, anatomy: Anatomy, number: int, n: int | None) -> None:
        self.a, self.step, self.n = anatomy, anatomy.plan.steps[number], n
        self.number = number
        self.variables: dict[Node, str] = {}
        self.temporaries = count(1)
        self.done: dict[Node, str] = {}  # reductions that have been written, and their names
        self.parts: dict[int, dict[Node, str]] = {}  # of results, by the loop they are computed in
        self.threads = "all threads" if self.step.parallel else "one thread"
        self.word = "parallel for" if self.step.parallel else "for"
        self.sizes: Sequence[object] = self.step.words  # what the words of a kernel stand for
        self.rows: tuple[str, int] | None = None  # of a block: its first one, and how many
        self.roles: Mapping[Node, int | str] = {}
        self.short: dict[int, str] = {}  # what is walked instead of so many terms
        if self.step.groups:
            self.named(self.step.groups[0])

    def named(self, group: Group) -> None:
        """From now on variables are those of this group's body."""
        self.variables = {v: mark(name) for v, name in self._names(group).items()}

    def _names(self, group: Group) -> dict[Node, str]:
        whole = group.whole if isinstance(group, Piece) else group
        return self.a.variables(whole.node, whole.body, whole.shape)

    # ---- small parts ---------------------------------------------------------------------------

    def size(self, extent: Stride) -> int | str:
        """An extent as a number, or as what it is called."""
        if not isinstance(extent, Word):
            return extent
        word = self.sizes[extent.position] if extent.position < len(self.sizes) else 0
        if isinstance(word, str):
            return word
        return value(word, self.n) if isinstance(word, int | Sym) else 0

    def range(self, node: Node, name: str, extent: Stride) -> str:
        """The values of a loop: those of a block's rows, or all."""
        if self.rows is not None and self.roles.get(node) == "row":
            first, count = self.rows
            return f"{name} in {first} … {first} + {count}"
        return f"{name} < {self.size(extent)}"

    def terms(self, count: int) -> int | str:
        """How many terms of a row are walked."""
        return self.short.get(count, count)

    def variable(self, node: Node, among: Sequence[Node] = (), shape: Sequence[int] = ()) -> str:
        """The name of a loop; one that walks several axes as one is called by all of them."""
        name = self.variables.get(node)
        if name is None:
            name = mark(f"{'axis' if node.op == 'out' else 'term'}{node.arg}")
        joined: list[str] = []
        if node.op == "out" and among:
            present = {v.arg for v in among if v.op == "out"}
            i = node.arg - 1
            while 0 <= i < len(shape) and i not in present and self.roles.get(out(i)) is None:
                if shape[i] != 1:
                    joined.insert(0, self.variables.get(out(i), mark(f"axis{i}")))
                i -= 1
        return "·".join([*joined, name])

    def temporary(self) -> str:
        """A name for a part of an expression."""
        return f"t{next(self.temporaries)}"

    def element(self, group: Group, names: Mapping[Node, Node] | None = None) -> str:
        """The element that a group computes: C[i, j]; `names`: its variables, as another's."""
        places = [out(i) for i in range(len(group.shape))]
        if names is not None:
            places = [names[v] for v in places]
        texts = [self.variables.get(v, "·") for v in places]
        if isinstance(group, Piece):
            texts = [group.place(i, text) for i, text in enumerate(texts)]
        where = ", ".join(texts)
        return f"{self.a.name(group.node)}[{where}]" if where else self.a.name(group.node)

    def written(self, body: Node, known: Mapping[Node, str]) -> tuple[list[str], str]:
        """(assignments of parts, the expression)."""
        return expression(body, known, self.a.name, self.temporary)

    # ---- kernels -------------------------------------------------------------------------------

    def lines(self) -> list[str]:
        """The whole kernel."""
        return self.kernel(self.step.kernel, results(self.step))

    def kernel(self, kernel: Kernel, groups: Sequence[Group]) -> list[str]:
        """A kernel that computes these groups; none: it copies."""
        if isinstance(kernel, Several):
            lines: list[str] = []
            for i, (part, own) in enumerate(in_parts(groups[0], kernel.parts)):
                lines.append(f"# part {i + 1} of {len(kernel.parts)}: other elements")
                self.named(own[0])
                lines += self.kernel(part, own)
            return lines
        if isinstance(kernel, Nest) and len(kernel.outputs) > len(groups) == 1:
            ((_, groups),) = in_parts(groups[0], [kernel])
        if isinstance(kernel, Nest) and any(o.paired for o in kernel.outputs):
            groups = in_halves(groups)
        if isinstance(kernel, Nest):
            return self.nest(kernel, groups) if groups else self.copy(kernel)
        if isinstance(kernel, Contraction):
            return self.contraction(kernel, groups)
        if isinstance(kernel, Chain):
            return self.chain(kernel)
        from .unusual import unusual

        return unusual(self, kernel, groups)

    def copy(self, kernel: Nest) -> list[str]:
        """A copy that is a plain loop nest."""
        if self.step.gathered is not None:
            return self.gathered(kernel, self.step.gathered)
        source = self.source()
        copied = self.a.copied(self.step)
        shape = copied[0].shape if len(copied) == 1 else ()
        sizes = [self.size(e) for _, e in kernel.loops]
        if shape and prod(x for x in sizes if isinstance(x, int)) == prod(map(int, shape)):
            names = list(map(mark, self.a.axes_of(copied[0])))
            self.variables = {out(i): x for i, x in enumerate(names)}
            source = f"{source}[{', '.join(names)}]" if names else source
        lines = self.headers(kernel, [v for v, _ in kernel.loops], shape)
        return [*lines, f"{TAB * len(lines)}copy = {source}    # laid out anew"]

    def gathered(self, kernel: Nest, copy: Gather) -> list[str]:
        """A copy in the order of the loops of the kernel that reads it, by their names."""
        reader = self.a.reader(self.number)
        step = self.step if reader is None else self.a.plan.steps[reader]
        known: dict[Node, str] = {}
        for g in sorted(computed(step), key=lambda g: copy.read in g.nodes):
            known.update(self._names(g))
        place = {v: out(i) for i, v in enumerate(copy.loops)}
        self.variables = {to: mark(known[v]) for v, to in place.items() if v in known}
        lines = self.headers(kernel, [v for v, _ in kernel.loops], copy.shape)
        here = ", ".join(map(self.variable, place.values()))
        _, source = self.written(copy.node.src[0], self.variables)
        return [*lines, f"{TAB * len(lines)}copy[{here}] = {source}    # each element once"]

    def source(self) -> str:
        """What a copy reads."""
        return ", ".join(map(self.a.name, self.a.copied(self.step))) or "source"

    # ---- plain loops ---------------------------------------------------------------------------

    def headers(self, kernel: Nest, among: Sequence[Node], shape: Sequence[int]) -> list[str]:
        """The lines of a nest's loops."""
        lines = []
        for i, (v, extent) in enumerate(kernel.loops):
            notes = []
            by = ""
            if i == kernel.vector:
                by = f" by {kernel.columns or kernel.width}"
                notes.append(f"vectors of {kernel.width}")
                if kernel.columns:
                    notes.append("each with a running value")
            word = "for"
            if self.rows is None and self.step.parallel and i < max(1, kernel.parallel):
                word = "parallel for"
                notes.append(self.threads)
            if kernel.square and i >= len(kernel.loops) - 2:
                notes.append("in squares, turned in registers")
            note = f"    # {', '.join(notes)}" if notes else ""
            over = self.range(v, self.variable(v, among, shape), extent)
            lines.append(f"{TAB * i}{word} {over}{by}:{note}")
        return lines

    def nest(self, kernel: Nest, groups: Sequence[Group]) -> list[str]:
        """Plain loops; groups that share them are written in the variables of the widest."""
        loops = [v for v, _ in kernel.loops]
        main, renamed = loops_of(list(groups))
        self.named(main)
        self.parts = {}
        heads = self.headers(kernel, loops, main.shape)
        at: dict[int, list[str]] = {}
        for group, names in zip(groups, renamed, strict=True):
            self.named(main)
            own = self._names(group)
            self.variables.update({v: mark(x) for v, x in own.items() if v.op == "red"})
            self._place(kernel, group, main, names, loops, at)
        lines: list[str] = []
        for depth in range(len(loops) + 1):
            lines += [TAB * depth + text for text in at.get(depth, [])]
            if depth < len(loops):
                lines.append(heads[depth])
        return lines

    def _place(
        self, kernel: Nest, group: Group, main: Group, names: Mapping[Node, Node],
        loops: Sequence[Node], at: dict[int, list[str]],
    ) -> None:  # fmt: skip
        """The statements of one result, each in the outermost loop that it can be in."""
        level: dict[Node, int] = {}
        present = {v.arg: i + 1 for i, v in enumerate(loops) if v.op == "out"}
        for i in range(len(main.shape)):
            inside = [depth for d, depth in present.items() if d >= i]
            level[out(i)] = present.get(i, min(inside, default=0))
        body = substitute(group.body, names)
        blocks = Reductions(self, body)
        depth_of: dict[Node, int] = {}
        for node in blocks.free:
            outs = [level.get(v, 0) for v in blocks.free[node] if v.op == "out"]
            depth_of[node] = max(outs, default=0)
        for reduction in blocks.outermost:
            if reduction in self.done:  # another result has asked for it
                blocks.known[reduction] = self.done[reduction]
                continue
            self.done[reduction] = blocks.known[reduction]
            at.setdefault(depth_of[reduction], []).extend(blocks.block(reduction))
        own = [level[names[out(i)]] for i, s in enumerate(group.shape) if s != 1]
        deepest = max([*own, depth_of.get(body, 0)])
        shared = self.parts.setdefault(deepest, {})  # with the results before
        before, text = expression(
            body, {**blocks.known, **shared}, self.a.name, self.temporary, shared
        )
        stream = "    # past the caches" if any(o.stream for o in kernel.outputs) else ""
        target = f"{self.element(group, names)} = {text}{stream}"
        at.setdefault(deepest, []).extend([*before, target])

    # ---- sums of products ----------------------------------------------------------------------

    def contraction(self, kernel: Contraction, groups: Sequence[Group]) -> list[str]:
        """A sum of products in register tiles."""
        shape = groups[0].shape if groups else ()
        tiled = [kernel.n] if kernel.m is None else [kernel.m, kernel.n]
        among = [v for v, _ in (*kernel.outer, *tiled)]
        columns = kernel.vectors * (1 if kernel.lanes else self.lanes(kernel))
        names = [self.variable(v, among, shape) for v, _ in tiled]
        sides = [kernel.rows, columns][-len(tiled) :]
        tile = " × ".join(
            f"{size} of {self.range(v, name, extent)}"
            for size, name, (v, extent) in zip(sides, names, tiled, strict=True)
        )
        word = "for" if self.rows is not None else self.word
        loops = [self.range(v, self.variable(v, among, shape), e) for v, e in kernel.outer]
        notes = [*([] if self.rows is not None else [self.threads]), _ORDERS[kernel.order]]
        lines = [f"{word} {', '.join([*loops, f'tiles of {tile}'])}:    # {', '.join(notes)}"]
        blocks = Reductions(self, groups[0].body, named=False) if groups else None
        best = _sum(blocks) if blocks is not None else None
        inner = [self.terms_along(kernel, best, i) for i in range(len(kernel.k))]
        lines += [TAB + x for x in self._prepared(kernel, groups, best)]
        along = inner[-1] if kernel.lanes else names[-1]
        registers = kernel.rows * kernel.vectors
        start = "what the blocks of rows before have summed" if kernel.run else "0"
        lines.append(
            f"{TAB}acc[{' × '.join(map(str, sides))}] = {start}    "
            f"# {registers} vectors of {self.lanes(kernel)} along {along}, in registers"
        )
        indent = TAB
        if kernel.block is not None:
            depth, size = kernel.block
            lines.append(f"{indent}for blocks of {size} {inner[depth]}:    "
                         f"# in between, the sums wait in memory")  # fmt: skip
            indent += TAB
        ends = self._ends(kernel)
        variables = _kernel_terms(kernel, best)
        for i, (_, extent) in enumerate(kernel.k):
            last = i == len(kernel.k) - 1
            by = f" by {self.lanes(kernel)}" if kernel.lanes and last else ""
            by = " by 2" if kernel.halves == "pairs" and last else by
            over = self.range(variables[i], inner[i], extent)
            note = f"    # {ends}" if ends and i == 0 else ""
            lines.append(f"{indent}for {over}{by}:{note}")
            indent += TAB
        lines += [indent + x for x in self._summed(kernel, blocks, best, registers)]
        if blocks is None or best is None:
            return lines
        known = {**blocks.known, best: "acc"}
        for group in groups:
            before, text = self.written(group.body, known)
            lines += [TAB + x for x in [*before, f"{self.element(group)} = {text}"]]
        return lines

    def _summed(
        self, kernel: Contraction, blocks: Reductions | None, best: Node | None, registers: int
    ) -> list[str]:
        """The statement inside the loops over terms."""
        how = f"{registers} fused multiply-adds of vectors"
        if kernel.halves == "pairs":
            how = f"{registers} vectors; each lane adds two products at once, this one and the next"
        if blocks is None or best is None:
            return [f"acc += a · b    # {how}"]
        parts, text = self.written(best.src[0], blocks.known)
        return [*parts, f"acc += {text}    # {how}"]

    def _ends(self, kernel: Contraction) -> str:
        """Which terms are left out."""
        notes = []
        if kernel.row_bound is not None and self.rows is not None:
            notes.append("each row up to the diagonal")
        elif kernel.row_bound is not None:
            notes.append("each row only its own terms")
        elif kernel.bounds:
            notes.append("only where inside")
        return ", ".join(notes)

    def _prepared(
        self, kernel: Contraction, groups: Sequence[Group], best: Node | None
    ) -> list[str]:
        """What a tile's thread does before it sums."""
        lines = []
        if kernel.diagonal is not None:
            lines.append("# tiles beyond the diagonal are left out: nobody asks for them")
        if kernel.panel is not None:
            factor = self.factor(best, kernel.n[0])
            lines.append(f"panel = {factor} of the tile's {kernel.panel.columns} columns"
                         "    # copied by the thread that uses it, once for many rows")  # fmt: skip
        if kernel.prologue is not None:
            p = kernel.prologue
            side = "columns" if p.loop is kernel.n[0] else "rows"
            many = f"{p.tiles} tiles' {side}" if p.tiles > 1 else f"the tile's {side}"
            for group in self.step.groups[len(self.step.writes) :]:
                self.named(group)
                loops = ", ".join(self.variable(out(i)) for i, s in enumerate(group.shape) if s > 1)
                before, text = self.written(group.body, self.variables)
                lines.append(f"for {loops} of {many}:    # vectors of {self.lanes(kernel)}, "
                             "kept near by the thread that uses them")  # fmt: skip
                lines += [TAB + x for x in [*before, f"{self.element(group)} = {text}"]]
            self.named(groups[0])
        return lines

    def factor(self, best: Node | None, along: Node) -> str:
        """The factor of a product that varies along a loop."""
        pair = product_of(best.src[0]) if best is not None else None
        for factor in pair or ():
            reads = [n for n in body_nodes(factor) if n.op == "read"]
            if len(reads) == 1 and along in body_nodes(reads[0]):
                return self.written(reads[0], self.variables)[1]
        return "one factor"

    def lanes(self, kernel: Contraction) -> int:
        """Numbers in a vector."""
        return kernel.width // 2 if kernel.hole.dtype.bits == 64 else kernel.width

    def terms_along(self, kernel: Contraction, best: Node | None, number: int) -> str:
        """The name of a loop over terms, of several where they are walked as one."""
        if best is None:
            return self.variable(kernel.k[number][0])
        return "·".join(self.variable(v) for v in _walked(kernel, best, self)[number])

    # ---- blocks of rows ------------------------------------------------------------------------

    def chain(self, kernel: Chain) -> list[str]:
        """Kernels that run one after the other on a block of rows, then on the next."""
        link = self.step.links[0]
        self._named_link(link)
        units = [v for v, r in link.roles.items() if isinstance(r, int)]
        loops = [f"{self.variable(v)} < {self.size(u)}"
                 for v, u in zip(units, kernel.units, strict=False)]  # fmt: skip
        row = next(self.variable(v) for v, r in link.roles.items() if r == "row")
        rows = kernel.kinds[0][1]
        first = f"{row}₀"
        deal = ", in order by one thread" if kernel.together else ", dealt out, too"
        end = sum(rows * blocks for _, rows, blocks, _ in kernel.kinds)
        lines = [
            f"{self.word} {', '.join(loops) or 'all'}:    # {self.threads}",
            f"{TAB}for {first} < {end} by {rows}:    # blocks of {rows} rows{deal}; what the parts "
            f"tell each other stays in {kernel.room // 1024} KiB a thread",
        ]
        lines += [f"{TAB * 2}# the last {rest * count} rows in blocks of {rest}"
                  for _, rest, count, _ in kernel.kinds[1:]]  # fmt: skip
        for i, (part, own) in enumerate(zip(kernel.kinds[0][3], self.step.links, strict=True)):
            made = ", ".join(self.a.name(g.node) for g in own.groups)
            lines.append(f"{TAB * 2}# part {i + 1}: {made}")
            lines += [TAB * 2 + x for x in self._part(part, own, first, rows)]
        return lines

    def _named_link(self, link: Link) -> None:
        self.named(loops_of(link.groups)[0])

    def _part(self, part: Part, link: Link, first: str, rows: int) -> list[str]:
        """One kernel of a chain, on the rows of a block."""
        words: list[object] = []
        for fill in part.fills:
            if fill.terms:
                row = any(what == "row" for what, _ in fill.terms)
                words.append(f"{first} + {fill.offset}" if row and fill.offset else first)
            elif fill.base is not None:
                words.append(self.step.words[fill.base.position])
            else:
                words.append(fill.offset)
        before = self.sizes, self.rows, self.roles, self.short
        self.sizes, self.rows, self.roles, self.short = words, (first, rows), link.roles, {}
        if isinstance(part.kernel, Nest) and any(
            isinstance(e, Word) and isinstance(self.size(e), str)
            for o in part.kernel.outputs for n in body_nodes(o.body) if n.op == "reduce"
            for _, e in n.arg[1]
        ):  # fmt: skip
            self.short[int(loops_of(link.groups)[0].shape[-1])] = f"{first} + {rows}"
        self._named_link(link)
        lines = self.kernel(part.kernel, link.groups)
        self.sizes, self.rows, self.roles, self.short = before
        return lines


def _sum(blocks: Reductions) -> Node | None:
    """The sum that a contraction is of."""
    sums = [r for r in blocks.outermost if r.arg[2].startswith("dot")]
    if not sums:
        return None
    best = max(sums, key=lambda r: len(r.arg[1]))
    for reduction in blocks.outermost:
        if reduction is not best:
            blocks.known[reduction] = f"({reduction.arg[0]} of …)"
    return best


def _walked(kernel: Contraction, best: Node, own: Listing) -> list[list[Node]]:
    """The sum's variables that each loop over terms walks: neighbours may be walked as one."""
    names = {v.arg: v for v in body_nodes(best.src[0]) if v.op == "red"}
    rest: list[tuple[Node | None, Size]] = [
        (names.get(uid), size_of(e)) for uid, e in best.arg[1]
    ]
    found: list[list[Node]] = []
    for v, extent in kernel.k:
        walked: list[Node] = []
        count = 1
        wanted = own.size(extent)
        while rest and (not walked or (isinstance(wanted, int) and count < wanted)):
            variable, size = rest.pop(0)
            count *= value(size, own.n)
            if variable is not None:
                walked.append(variable)
        found.append(walked or [v])
    if rest:  # what is left belongs to the last
        found[-1] += [v for v, _ in rest if v is not None]
    return found


def _kernel_terms(kernel: Contraction, best: Node | None) -> list[Node]:
    """For each loop over terms the variable of the sum, where there is one for each."""
    variables = [v for v, _ in kernel.k]
    if best is None:
        return variables
    names = {v.arg: v for v in body_nodes(best.src[0]) if v.op == "red"}
    own = [names.get(uid) for uid, _ in best.arg[1]]
    if len(own) != len(variables):
        return variables
    return [x if x is not None else v for x, v in zip(own, variables, strict=True)]


_ORDERS: Mapping[str, str] = {
    "rows": "tile rows first", "columns": "tile columns last", "outer": "outer loops first",
    "across": "tile columns first",
}  # fmt: skip
