"""Runs LLVM IR text of several threads in every order in which their accesses to shared memory can
happen, and says whether all goes well in each. Must not know what the text is for.

Memory is sequentially consistent here: an ordering that is too weak is not found. Plain loads and
stores are taken to be a thread's own business; what threads share is accessed atomically."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

MASK = (1 << 64) - 1
ALWAYS = 1 << 30  # as a number of switches: not counted
SIZES = {"i8": 1, "i64": 8, "[4 x i64]": 32}

Instruction = tuple[Any, ...]
Memory = dict[int, int]
Frame = list[Any]  # function, number of the next instruction, values, where a call's result goes
Thread = tuple[Any, ...]  # the frames, as something that can be compared
# The memory, the threads, who went on last, how often a thread may still be left
State = tuple[frozenset[tuple[int, int]], tuple[Thread, ...], int, int]


class Wrong(Exception):
    """Something that must not happen did; its message says what, and in which order."""


class Function:
    """The instructions of one function, and which values each of them, or a later one, uses."""

    def __init__(self, head: str, body: str) -> None:
        self.name, parameters = re.match(r"define (?:internal )?\S+ @(\w+)\((.*)\)", head).groups()  # type: ignore[union-attr]
        self.parameters = re.findall(r"%[\w.]+", parameters)
        self.code: list[Instruction] = []
        self.labels: dict[str, int] = {}
        self.phis: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        block = "entry"
        text = re.sub(r";.*", "", body)
        text = re.sub(r",\s*\n\s*", ", ", text)
        for line in filter(None, map(str.strip, text.splitlines())):
            if line.endswith(":"):
                block = line[:-1]
            elif " = phi " in line:
                ways = re.findall(r"\[([^,\]]+), %([\w.]+)\]", line)
                phi = line.split(" = ")[0], {label: operand(v) for v, label in ways}
                self.phis.setdefault(block, []).append(phi)
            else:
                self.labels.setdefault(block, len(self.code))
                self.code.append(parse(line, block))
        self.live = self._live()

    def _live(self) -> list[tuple[str, ...]]:
        live: list[set[str]] = [set() for _ in self.code]
        changed = True
        while changed:
            changed = False
            for i in reversed(range(len(self.code))):
                op, defined, *rest = self.code[i]
                after: set[str] = set()
                if op == "br":
                    block, condition, *targets = rest
                    rest = [condition]
                    for target in targets:
                        phis = self.phis.get(target, ())
                        after |= live[self.labels[target]] - {n for n, _ in phis}
                        after |= set(names(ways[block] for _, ways in phis))
                elif op != "ret":
                    after = live[i + 1] - {defined}
                here = after | set(names(rest))
                changed |= here != live[i]
                live[i] = here
        return [tuple(sorted(each)) for each in live]


def names(operands: Iterable[Any]) -> Iterable[str]:
    for each in operands:
        if isinstance(each, list):
            yield from names(each)
        elif isinstance(each, str) and each.startswith("%"):
            yield each


def operand(text: str) -> Any:
    """A name, or the number that is written."""
    word = text.split()[-1]
    if word.startswith(("%", "@")):
        return word
    words = {"null": 0, "true": 1, "false": 0, "zeroinitializer": 0, "void": 0}
    return words[word] if word.isalpha() else int(word) & MASK


# How each instruction is written, and which of the groups are its operands; "*" follows the name of
# one that is atomic.
ONE = r"(-?[%\w.]+)"
FORMS: tuple[tuple[str, str], ...] = (
    ("ret", f"ret (?:\\w+ )?{ONE}"),
    ("load", f"load [\\w]+, ptr {ONE}"),
    ("load*", f"load atomic \\w+, ptr {ONE}"),
    ("store", f"store (?:<.*>|\\w+) {ONE}, ptr {ONE}"),
    ("store*", f"store atomic \\w+ {ONE}, ptr {ONE}"),
    ("exchange", f"atomicrmw xchg ptr {ONE}, \\w+ {ONE}"),
    ("increase", f"atomicrmw add ptr {ONE}, \\w+ {ONE}"),
    ("decrease", f"atomicrmw sub ptr {ONE}, \\w+ {ONE}"),
    ("cmpxchg", f"cmpxchg ptr {ONE}, \\w+ {ONE}, \\w+ {ONE}"),
    ("part", f"extractvalue {{.*}} {ONE}, (\\d)"),
    ("select", f"select i1 {ONE}, \\w+ {ONE}, \\w+ {ONE}"),
    ("trunc", f"trunc i64 {ONE} to i1"),
    ("alloca", "alloca i64"),
    *((name, f"icmp {name} \\w+ {ONE}, {ONE}") for name in ("eq", "ne", "ult", "slt", "sge")),
    *(
        (name, f"{name} \\w+ {ONE}, {ONE}")
        for name in ("add", "sub", "mul", "and", "or", "shl", "lshr")
    ),
)


def parse(line: str, block: str) -> Instruction:
    """(what to do, the name of its result, operands …)."""
    name, _, rest = line.rpartition(" = ") if re.match(r"%[\w.]+ = ", line) else (None, "", line)
    if rest.startswith("br "):
        targets = re.findall(r"label %([\w.]+)", rest)
        return "br", None, block, operand(rest.split(",")[0]) if targets[1:] else 1, *targets
    found = re.match(r"call .*?([%@][\w.]+)\((.*)\)$", rest)
    if found:
        return "call", name, found[1], [operand(a) for a in found[2].split(",") if a.strip()]
    found = re.match(r"getelementptr (.+), ptr (\S+), i64 (\S+)$", rest)
    if found:
        return "add*", name, operand(found[2]), operand(found[3]), SIZES[found[1]]
    for op, form in FORMS:
        found = re.match(form, rest)
        if found:
            return op, name, *map(operand, found.groups())
    raise ValueError(f"no form for {line!r}")


def signed(x: int) -> int:
    return x - (1 << 64) if x >> 63 else x


PLAIN: Mapping[str, Callable[..., int]] = {
    "add": lambda a, b: (a + b) & MASK,
    "sub": lambda a, b: (a - b) & MASK,
    "mul": lambda a, b: (a * b) & MASK,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "shl": lambda a, b: (a << b) & MASK,
    "lshr": lambda a, b: a >> b,
    "add*": lambda a, b, size: (a + b * size) & MASK,
    "eq": lambda a, b: int(a == b),
    "ne": lambda a, b: int(a != b),
    "ult": lambda a, b: int(a < b),
    "slt": lambda a, b: int(signed(a) < signed(b)),
    "sge": lambda a, b: int(signed(a) >= signed(b)),
    "select": lambda c, a, b: a if c else b,
    "trunc": lambda a: a & 1,
    "part": lambda pair, i: pair[i],
}
CHANGES: Mapping[str, Callable[[int, int], int]] = {
    "exchange": lambda old, x: x,
    "increase": PLAIN["add"],
    "decrease": PLAIN["sub"],
}
SHARED = ("load", "store", "load*", "store*", "cmpxchg", "outside", *CHANGES)


class World:
    """Functions, memory and threads; subclasses say what functions of the outside do.

    outside[name](memory, thread, arguments) gives a call's result, or None while the caller has to
    wait for another thread. long: those that last so long that others go on meanwhile. fixed:
    memory that nobody writes.
    """

    def __init__(
        self, text: str, outside: Mapping[str, Callable[..., int | None]],
        long: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        parts = re.findall(r"^(define .*?) \{\n(.*?)^\}", text, re.M | re.S)
        self.functions = {f.name: f for f in (Function(*part) for part in parts)}
        self.outside, self.long = outside, long
        self.memory: Memory = {}
        self.fixed: Memory = {}
        self.next: dict[Thread, tuple[str, list[Any]]] = {}
        self.after: dict[tuple[int, Thread, Any], Thread] = {}

    # ---- one thread ------------------------------------------------------------------------------

    def call(self, number: int, name: str, *arguments: int) -> Thread:
        """A thread that has called a function, before its first access to what is shared."""
        f = self.functions[name]
        stack: list[Frame] = [[f, 0, dict(zip(f.parameters, arguments, strict=True)), None]]
        return self.alone(number, stack)

    def freeze(self, stack: list[Frame]) -> Thread:
        return tuple(
            (f.name, at, tuple(values.get(n) for n in f.live[at]), to)
            for f, at, values, to in stack
        )

    def thaw(self, thread: Thread) -> list[Frame]:
        found = []
        for name, at, values, to in thread:
            f = self.functions[name]
            found.append([f, at, dict(zip(f.live[at], values)), to])
        return found

    def step(self, memory: Memory, number: int, thread: Thread) -> Thread | None:
        """One access to what is shared, and all that a thread does until the next: None, and
        nothing changed, if it has to wait; () when its function has returned."""
        if thread not in self.next:
            f, at, values, _ = self.thaw(thread)[-1]
            op, _, *rest = f.code[at]
            if op == "call":
                op, rest = rest[0] if rest[0].startswith("@") else "kernel", rest[1]
            self.next[thread] = op, [values[x] if isinstance(x, str) else x for x in rest]
        op, given = self.next[thread]
        result = self.access(memory, number, op, given)
        if result is None:
            return None
        key = number, thread, result
        if key not in self.after:
            stack = self.thaw(thread)
            f, at, values, _ = frame = stack[-1]
            values[f.code[at][1]] = result
            frame[1] = at + 1
            self.after[key] = self.alone(number, stack)
        return self.after[key]

    def access(self, memory: Memory, number: int, op: str, given: list[Any]) -> Any:
        if op in ("load", "load*"):
            return memory[given[0]]
        if op in ("store", "store*"):
            memory[given[1]] = given[0]
            return 0
        if op == "cmpxchg":
            place, old, new = given
            before = memory[place]
            if before == old:
                memory[place] = new
            return before, int(before == old)
        if op in CHANGES:
            before = memory[given[0]]
            memory[given[0]] = CHANGES[op](before, given[1])
            return before
        return self.outside[op](memory, number, given)

    def alone(self, number: int, stack: list[Frame]) -> Thread:
        """Carry out instructions until one that concerns other threads."""
        while stack:
            frame = stack[-1]
            f, at, values, _ = frame
            op, to, *rest = f.code[at]

            def get(x: Any, values: dict[str, Any] = values) -> Any:
                return values[x] if isinstance(x, str) else x

            if op == "call" and rest[0][1:] in self.functions:
                g = self.functions[rest[0][1:]]
                frame[1], frame[3] = at + 1, to
                stack.append([g, 0, dict(zip(g.parameters, map(get, rest[1]), strict=True)), None])
                continue
            if op == "ret":
                stack.pop()
                if stack:
                    stack[-1][2][stack[-1][3]] = get(rest[0])
                continue
            if op == "br":
                block, condition, *targets = rest
                target = targets[0] if get(condition) else targets[-1]
                values.update({n: get(ways[block]) for n, ways in f.phis.get(target, ())})
                frame[1] = f.labels[target]
                continue
            if op == "load" and get(rest[0]) in self.fixed:
                result: Any = self.fixed[get(rest[0])]
            elif op == "call" and rest[0] == "@llvm.smin.i64":
                result = min(map(get, rest[1]))
            elif op == "alloca":
                result = (number + 1) << 40
            elif op == "call" or op in SHARED:
                break
            else:
                result = PLAIN[op](*map(get, rest))
            values[to] = result
            frame[1] = at + 1
        return self.freeze(stack)

    # ---- all of them -----------------------------------------------------------------------------

    def explore(
        self, threads: list[Thread], over: Callable[[Memory, list[Thread]], bool],
        switches: int = ALWAYS,
    ) -> int:  # fmt: skip
        """Go through all orders; how many states there are.

        over(memory, threads): may it end so? switches: how often at most a thread is left for
        another while it could go on. Wrong is raised where a step raises it, where nobody can go
        on, and where it cannot end so any more.
        """
        nobody = 0 if switches == ALWAYS else -1
        start = frozenset(self.memory.items()), tuple(threads), nobody, switches
        came: dict[State, tuple[State | None, int]] = {start: (None, -1)}
        before: dict[State, list[State]] = {start: []}
        ends: list[State] = []
        todo: list[State] = [start]
        while todo:
            state = todo.pop()
            if over(dict(state[0]), list(state[1])):
                ends.append(state)
                continue
            following = self._following(state, came)
            if not following:
                raise Wrong(f"nobody can go on\n{self._way(came, state)}")
            for number, new in following:
                if new not in came:
                    came[new] = state, number
                    before[new] = []
                    todo.append(new)
                before[new].append(state)
        self._can_end(came, before, ends)
        return len(came)

    def _following(
        self, state: State, came: dict[State, tuple[State | None, int]]
    ) -> list[tuple[int, State]]:
        """Which thread may go on, and to which state that leads."""
        places, threads, last, switches = state
        found: list[tuple[int, State]] = []
        left = switches
        for number in sorted(range(len(threads)), key=lambda n: n != last):
            if left < 0:
                break
            memory = dict(places)
            try:
                new = self.step(memory, number, threads[number]) if threads[number] else None
            except Wrong as error:
                raise Wrong(f"{error}\n{self._way(came, state)} {number}") from None
            if new is None:
                continue
            if number == last and self.next[threads[number]][0] not in self.long:
                left = switches - 1  # it could go on: to leave it counts
            changed = (*threads[:number], new, *threads[number + 1 :])
            following = frozenset(memory.items()), changed
            if switches == ALWAYS:
                found.append((number, (*following, 0, ALWAYS)))
            else:
                here = switches if number == last else left
                found.append((number, (*following, number, here)))
        return found

    def _can_end(
        self, came: dict[State, tuple[State | None, int]], before: dict[State, list[State]],
        ends: list[State],
    ) -> None:  # fmt: skip
        fine = set(ends)
        todo = list(ends)
        while todo:
            for state in before[todo.pop()]:
                if state not in fine:
                    fine.add(state)
                    todo.append(state)
        for state in came:
            if state not in fine:
                raise Wrong(f"it cannot end any more\n{self._way(came, state)}")

    def _way(self, came: dict[State, tuple[State | None, int]], state: State) -> str:
        """Which thread went on, time after time, until this state."""
        way = []
        where = [f"thread {i}: {[frame[:2] for frame in t]}" for i, t in enumerate(state[1])]
        before, number = came[state]
        while before is not None:
            way.append(str(number))
            before, number = came[before]
        return "\n".join([*where, "order: " + " ".join(reversed(way))])
