"""Structured LLVM IR text: regions, counted loops with carried values, ifs.

Instructions may be appended to an outer region while an inner loop is still being written, which is
how the emitters hoist. Text is about ten times cheaper than building IR objects. Must not know
tensors.
"""

from __future__ import annotations

from collections.abc import Callable

from ..ir.record import fresh, record

Operand = str  # "%v3", "17", "<…>"


@record
class Region:
    """A sequence of instructions, loops and ifs at one nesting depth."""

    depth: int = 0
    items: list[str | Loop | If | Choice] = fresh(default_factory=list)


@record
class Loop:
    """`for (iv = lo; iv < hi; iv += step)` with carried values (phi name, type, initial value)."""

    iv: str
    lo: Operand
    hi: Operand
    step: int
    carried: list[tuple[str, str, Operand]]
    body: Region
    next: list[Operand] = fresh(default_factory=list)


@record
class If:
    """`if (cond) { then }`; result (name, type, otherwise, inside) is a value that it gives."""

    cond: Operand
    then: Region
    result: tuple[str, str, Operand, Operand] | None = None


@record
class Choice:
    """`if (cond) { then } else { other }` with results (name, type, value of each side)."""

    cond: Operand
    then: Region
    other: Region
    results: list[tuple[str, str, Operand, Operand]]


class Function:
    """One function being written; `text()` is its IR."""

    def __init__(self, name: str, args: str, attributes: str = "nounwind") -> None:
        self.name, self.args, self.attributes = name, args, attributes
        self.root = Region()
        self.region = self.root
        self.declared: dict[str, None] = {}
        self.helpers: list[str] = []  # text of functions that it calls
        self._names = 0

    def name_(self, prefix: str = "v") -> str:
        self._names += 1
        return f"%{prefix}{self._names}"

    def put(self, text: str, region: Region | None = None) -> str:
        """Append `%new = text`; returns the new name."""
        self._names += 1
        name = f"%v{self._names}"
        (region or self.region).items.append(f"{name} = {text}")
        return name

    def do(self, text: str, region: Region | None = None) -> None:
        """Append an instruction without a result."""
        (region or self.region).items.append(text)

    def declare(self, declaration: str) -> None:
        self.declared[f"declare {declaration}"] = None

    def loop(
        self,
        lo: Operand,
        hi: Operand,
        step: int = 1,
        carried: list[tuple[str, Operand]] | None = None,
        region: Region | None = None,
    ) -> Loop:
        """A loop to be filled in through its `body` and closed with `close`."""
        parent = region or self.region
        phis = [(self.name_("c"), ty, init) for ty, init in carried or []]
        return Loop(self.name_("i"), lo, hi, step, phis, Region(parent.depth + 1))

    def counted(
        self,
        lo: Operand | int,
        hi: Operand | int,
        step: int,
        body: Callable[[Operand, list[Operand]], list[Operand] | None],
        carried: list[tuple[str, Operand]] | None = None,
    ) -> list[Operand]:
        """Write a loop at once: `body(iv, values) -> next values`; returns the final values.

        A loop known to run once or never leaves no loop behind.
        """
        if isinstance(lo, int) and isinstance(hi, int):
            if lo >= hi:
                return [init for _, init in carried or []]
            if lo + step >= hi:
                return body(str(lo), [init for _, init in carried or []]) or []
        loop = self.loop(str(lo), str(hi), step, carried)
        outer, self.region = self.region, loop.body
        loop.next = body(loop.iv, [phi for phi, _, _ in loop.carried]) or []
        self.region = outer
        outer.items.append(loop)
        return [phi for phi, _, _ in loop.carried]

    def when(self, cond: Operand, then: Callable[[], None]) -> None:
        """`if (cond) then()`"""
        if cond == "true":
            then()
        elif cond != "false":
            block = If(cond, Region(self.region.depth + 1))
            outer, self.region = self.region, block.then
            then()
            self.region = outer
            outer.items.append(block)

    def choose(
        self,
        cond: Operand,
        then: Callable[[], list[Operand]],
        other: Callable[[], list[Operand]],
        types: list[str],
    ) -> list[Operand]:
        """`cond ? then() : other()`, for a list of values at once."""
        if cond in ("true", "false"):
            return then() if cond == "true" else other()
        sides: list[tuple[Region, list[Operand]]] = []
        outer = self.region
        for write in (then, other):
            self.region = region = Region(outer.depth + 1)
            sides.append((region, write()))
        self.region = outer
        (a, x), (b, y) = sides
        results = [(self.name_("s"), t, p, q) for t, p, q in zip(types, x, y, strict=True)]
        outer.items.append(Choice(cond, a, b, results))
        return [name for name, *_ in results]

    def interleaved(self, parts: list[Callable[[], None]]) -> None:
        """Write parts that are independent of each other; instruction by instruction in turn, where
        none has loops or branches: while one chain waits for a result, the others go on."""
        outer = self.region
        regions = [Region(outer.depth) for _ in parts]
        for region, write in zip(regions, parts, strict=True):
            self.region = region
            write()
        self.region = outer
        items = [region.items for region in regions]
        if all(isinstance(item, str) for part in items for item in part):
            # The k-th of n instructions comes at (k + 1) / n, so that all end together.
            turns = [((k + 1) / len(part), i, k) for i, part in enumerate(items)
                     for k in range(len(part))]  # fmt: skip
            outer.items += [items[i][k] for _, i, k in sorted(turns)]
        else:
            outer.items += [item for part in items for item in part]

    # Integer arithmetic on i64 operands; numbers known now are folded.
    def add(self, a: Operand | int, b: Operand | int) -> Operand:
        a, b = str(a), str(b)
        if a == "0" or b == "0":
            return b if a == "0" else a
        if a[0] != "%" and b[0] != "%":
            return str(int(a) + int(b))
        return self.put(f"add nsw i64 {a}, {b}")

    def sub(self, a: Operand | int, b: Operand | int) -> Operand:
        a, b = str(a), str(b)
        if b == "0":
            return a
        if a[0] != "%" and b[0] != "%":
            return str(int(a) - int(b))
        return self.put(f"sub nsw i64 {a}, {b}")

    def mul(self, a: Operand | int, b: Operand | int) -> Operand:
        a, b = str(a), str(b)
        if "0" in (a, b):
            return "0"
        if a == "1" or b == "1":
            return b if a == "1" else a
        if a[0] != "%" and b[0] != "%":
            return str(int(a) * int(b))
        return self.put(f"mul nsw i64 {a}, {b}")

    def div(self, a: Operand | int, b: Operand | int) -> Operand:
        """Quotient of non-negative numbers."""
        a, b = str(a), str(b)
        if b == "1":
            return a
        if a[0] != "%" and b[0] != "%":
            return str(int(a) // int(b))
        return self.put(f"udiv i64 {a}, {b}")

    def rem(self, a: Operand | int, b: Operand | int) -> Operand:
        """Remainder of non-negative numbers."""
        a, b = str(a), str(b)
        if b == "1":
            return "0"
        if a[0] != "%" and b[0] != "%":
            return str(int(a) % int(b))
        return self.put(f"urem i64 {a}, {b}")

    def smin(self, a: Operand | int, b: Operand | int) -> Operand:
        return self._extreme("smin", min, str(a), str(b))

    def smax(self, a: Operand | int, b: Operand | int) -> Operand:
        return self._extreme("smax", max, str(a), str(b))

    def _extreme(self, name: str, fold: Callable[[int, int], int], a: str, b: str) -> Operand:
        if a[0] != "%" and b[0] != "%":
            return str(fold(int(a), int(b)))
        self.declare(f"i64 @llvm.{name}.i64(i64, i64)")
        return self.put(f"call i64 @llvm.{name}.i64(i64 {a}, i64 {b})")

    def less(self, a: Operand | int, b: Operand | int) -> Operand:
        a, b = str(a), str(b)
        if a[0] != "%" and b[0] != "%":
            return "true" if int(a) < int(b) else "false"
        return self.put(f"icmp slt i64 {a}, {b}")

    def gep(self, pointer: Operand, index: Operand | int, ty: str) -> Operand:
        if str(index) == "0":
            return pointer
        return self.put(f"getelementptr inbounds {ty}, ptr {pointer}, i64 {index}")

    def text(self, returns: str = "void", linkage: str = "") -> str:
        """The function as IR text."""
        lines = [
            f"define {linkage}{returns} @{self.name}({self.args}) {self.attributes} {{",
            "entry:",
        ]
        labels = 0
        current = "entry"

        def write(region: Region) -> None:
            nonlocal labels, current
            for item in region.items:
                if isinstance(item, str):
                    lines.append("  " + item)
                elif isinstance(item, If):
                    labels += 1
                    n, before = labels, current
                    lines.append(f"  br i1 {item.cond}, label %then{n}, label %end{n}")
                    lines.append(f"then{n}:")
                    current = f"then{n}"
                    write(item.then)
                    lines.append(f"  br label %end{n}")
                    lines.append(f"end{n}:")
                    if item.result is not None:
                        name, ty, other, value = item.result
                        at = f"[{other}, %{before}], [{value}, %{current}]"
                        lines.append(f"  {name} = phi {ty} {at}")
                    current = f"end{n}"
                elif isinstance(item, Choice):
                    labels += 1
                    write_choice(item, labels)
                else:
                    labels += 1
                    write_loop(item, labels)

        def write_choice(item: Choice, n: int) -> None:
            nonlocal current
            lines.append(f"  br i1 {item.cond}, label %then{n}, label %else{n}")
            ends = []
            for label, region in (("then", item.then), ("else", item.other)):
                lines.append(f"{label}{n}:")
                current = f"{label}{n}"
                write(region)
                lines.append(f"  br label %end{n}")
                ends.append(current)
            lines.append(f"end{n}:")
            current = f"end{n}"
            for name, ty, x, y in item.results:
                lines.append(f"  {name} = phi {ty} [{x}, %{ends[0]}], [{y}, %{ends[1]}]")

        def write_loop(loop: Loop, n: int) -> None:
            nonlocal current
            before = current
            lines.append(f"  br label %loop{n}")
            lines.append(f"loop{n}:")
            at = len(lines)
            lines.append(f"  {loop.iv}.more = icmp slt i64 {loop.iv}, {loop.hi}")
            lines.append(f"  br i1 {loop.iv}.more, label %body{n}, label %exit{n}")
            lines.append(f"body{n}:")
            current = f"body{n}"
            write(loop.body)
            lines.append(f"  {loop.iv}.next = add nsw i64 {loop.iv}, {loop.step}")
            lines.append(f"  br label %loop{n}")
            phis = [f"  {loop.iv} = phi i64 [{loop.lo}, %{before}], [{loop.iv}.next, %{current}]"]
            for (phi, ty, init), after in zip(loop.carried, loop.next):
                phis.append(f"  {phi} = phi {ty} [{init}, %{before}], [{after}, %{current}]")
            lines[at:at] = phis
            lines.append(f"exit{n}:")
            current = f"exit{n}"

        write(self.root)
        lines += ["  ret void" if returns == "void" else "  unreachable", "}"]
        return "\n".join([*self.helpers, *lines]) + "\n"


def module(functions: list[str], declarations: dict[str, None]) -> str:
    """IR text of a module of functions."""
    return "\n".join([*functions, *declarations]) + "\n"
