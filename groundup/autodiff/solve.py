"""The adjoint of a read: from "element idx(o, r) is read" to "who reads element t?".

The index equations idx(o, r) == t are solved for the loop variables (o, r); variables that they
leave open are summed over, equations that they leave open become guards. Must not know where the
contributions come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..ir import dtype as dt
from ..ir.affine import Affine, minus, nonnegative, within
from ..ir.extent import Extent, Symbol
from ..ir.node import (
    Node,
    alu,
    axis,
    cast,
    checked,
    const,
    extent,
    fresh,
    make,
    out,
    red,
    reduce,
    where,
)  # fmt: skip
from ..ir.transform import (
    TENSOR_OPS,
    body_nodes,
    free_variables,
    rebuild,
    substitute,
    toposort,
)
from .rules import index_only, number, peel, times

_ZERO = const(0, dt.int64)


def adjoint(reading: Node, derivative: Node, sizes: dict[Node, int]) -> Node | None:
    """The body, over the tensor's own axes, of Σ of `derivative` over all reads of an element.

    `sizes` are the variables of the expressions with their extents. None if nothing is read.
    """
    tensor, *indices = reading.src
    if reading.site is not None:
        indices = [_asked(ix, d, reading) for d, ix in enumerate(indices)]
    conditions, core = peel(derivative)
    system = _System(tensor.shape, indices, conditions, dict(sizes))
    if not system.solve():
        return None
    return system.close(core)


def _asked(index: Node, d: int, reading: Node) -> Node:
    """An index from data, checked: nobody may ever ask for what is read there, and a derivative by
    the elements of a tensor has none for a position outside."""
    if index.op == "checked" or all(n.op != "read" for n in body_nodes(index)):
        return index
    return checked(index, d, reading.src[0].shape, reading.site)


def placed(
    shape: tuple[int, ...],
    indices: Sequence[Node],
    term: Node,
    sizes: dict[Node, int],
    kind: str,
    absent: Node,
) -> Node:
    """The body, over axes of `shape`, of the terms whose indices name an element, combined by a
    reduction of this kind, of which `absent` is the neutral element."""
    conditions, core = peel(term) if kind == "sum" else ([], term)
    system = _System(shape, indices, conditions, dict(sizes), kind, absent)
    body = system.close(core) if system.solve() else None
    return absent if body is None else body


class _System:
    """Equations (each an Affine that is 0) over variables that start at 0."""

    def __init__(
        self,
        shape: tuple[int, ...],
        indices: Sequence[Node],
        conditions: list[Node],
        sizes: dict[Node, int],
        kind: str = "sum",
        absent: Node | None = None,
    ) -> None:
        self.kind, self.absent = kind, absent  # how terms are combined, and what none gives
        self.sizes = sizes
        self.open = list(sizes)  # variables not solved yet
        self.solution: dict[Node, Node] = {}
        self.conditions: list[Node] = []  # as given
        self.derived: list[Node] = []  # what the equations left
        self.digits: dict[tuple[object, ...], tuple[Affine, Affine]] = {}
        self.moduli: dict[tuple[object, ...], set[int]] = {}
        self.rename: dict[Node, Node] = {}  # index expression -> position in the tensor
        self.equations: list[Affine] = []
        for d, (size, ix) in enumerate(zip(shape, indices, strict=True)):
            position = _ZERO
            if size != 1 or isinstance(size, Extent):
                position = out(d)
                self.sizes[position] = size
            if ix.op not in ("axis", "const", "extent") and _axes(ix):
                self.rename[ix] = position
            self.equations.append(Affine.of(ix).plus(Affine.of(position), -1))
        self._use(conditions)
        self._find_moduli([*indices, *conditions])
        self.equations = [self._expand(e) for e in self.equations]

    def _use(self, conditions: list[Node]) -> None:
        """Equal positions are equations too, unless a condition on data protects them."""
        protected = False
        for c in conditions:
            if c.op == "eq" and c.src[0].dtype is dt.int64 and not protected:
                self.equations.append(Affine.of(c.src[0]).plus(Affine.of(c.src[1]), -1))
            else:
                self.conditions.append(c)
                protected = protected or not index_only(c)

    # ---- quotients and remainders ------------------------------------------------------------

    def _expand(self, equation: Affine) -> Affine:
        """x // s and x % s become variables q and j of the further equation x == s·q + j."""
        while True:
            values = {}
            for atom in equation.terms:
                if atom.op in ("floordiv", "mod") and atom.src[1].op == "const":
                    pair = self._digits(Affine.of(atom.src[0]), atom.src[1].value)
                    if pair is not None:
                        values[atom] = pair[atom.op == "mod"]
            if not values:
                return equation
            equation = equation.replace(values)

    def _find_moduli(self, xs: Sequence[Node]) -> None:
        """All s of x // s and x % s, for each x."""
        for n in toposort(xs, stop=lambda n: n.op in TENSOR_OPS):
            if n.op in ("floordiv", "mod") and n.src[1].op == "const":
                self.moduli.setdefault(_key(Affine.of(n.src[0])), set()).add(n.src[1].value)

    def _digits(self, x: Affine, s: int) -> tuple[Affine, Affine] | None:
        """The quotient and the remainder of x by s, as affine expressions."""
        if s <= 0 or not any(_axes(n) for n in x.terms):
            return None
        raw, x = _key(x), self._expand(x)
        finer = [m for m in self.moduli.get(raw, ()) if 1 < m < s and s % m == 0]
        if finer:  # x // 12 is x // 4 // 3, where x // 4 is asked for as well
            small = self._digits(x, max(finer))
            large = small and self._digits(small[0], s // max(finer))
            if small and large:
                return large[0], small[1].plus(large[1], max(finer))
        low, high = x.low(self.sizes), x.high(self.sizes)
        if low is None or high is None:
            return None
        first, last = _quotient(low, s), _quotient(high, s)
        if first is None or last is None:
            return None
        offset, count = first[None], self._extent(minus(last, first))
        if count is None or any(k for symbol, k in first.items() if symbol is not None):
            return None
        if count == 1 and not isinstance(count, Extent):
            return Affine({}, offset), Affine(x.terms, x.constant - s * offset)
        key = (*_key(x), s)
        if key not in self.digits:
            q, j = self._variable(count), self._variable(s)
            self.digits[key] = Affine({q: 1}, offset), Affine({j: 1})
            self.equations.append(x.plus(Affine({q: -s, j: -1}, -s * offset)))
        self.digits[(*raw, s)] = self.digits[key]
        return self.digits[key]

    def _extent(self, last: dict[Symbol | None, int]) -> int | None:
        """The extent of a variable whose greatest value is `last`, if it can be stated."""
        symbols = [(s, k) for s, k in last.items() if s is not None and k]
        if not symbols:
            return last[None] + 1
        (symbol, k), *more = symbols
        if more or last[None] != -1:
            return None
        for e in self.sizes.values():
            if isinstance(e, Extent) and e.symbol is symbol:
                return Extent.of(e.base * k, k, symbol)
        return None

    def _variable(self, size: int) -> Node:
        name = axis(("grad", "digit", len(self.sizes)))
        self.sizes[name] = size
        self.open.append(name)
        return name

    # ---- solving -----------------------------------------------------------------------------

    def solve(self) -> bool:
        """Solve for what can be solved; False if no variables satisfy the equations."""
        pending = list(self.equations)
        rest: list[Affine] = []
        while pending:
            choices = [(self._rank(e), i) for i, e in enumerate(pending)]
            known = [(rank, i) for rank, i in choices if rank is not None]
            if not known:
                rest = pending
                break
            (*_, v), i = min(known, key=lambda c: c[0][:-1])
            assert isinstance(v, Node)
            left = self._eliminate(v, pending.pop(i))
            pending = [self._put(e) for e in pending]
            if left is not None:
                pending.append(left)
        for e in rest:
            if not e.terms:
                if e.constant:
                    return False
                continue
            self.derived.append(_equal(e))
        return True

    def _rank(self, equation: Affine) -> tuple[object, ...] | None:
        """(how late to use an equation…, variable to solve it for); None: it has none."""
        hidden = {v for n in equation.terms if n.op != "axis" for v in _axes(n)}
        mine = [v for v in equation.terms if v in self.open]
        able = [v for v in mine if v not in hidden]
        if not able:
            return None
        late = not all(index_only(n) for n in equation.terms)
        radix = self._radix(equation, able)
        if radix is not None:
            return (late, len(mine) > 1, len(mine), 0, radix)

        def cost(v: Node) -> tuple[int, bool, int]:
            return -int(self.sizes[v]), abs(equation.terms[v]) != 1, self.open.index(v)

        units = [v for v in able if abs(equation.terms[v]) == 1]
        best = min(able, key=cost)
        if len(units) == 1 and len(able) == 1:
            return (late, 0, 1, -int(self.sizes[best]), best)
        return (late, 1, len(mine), -int(self.sizes[best]), best)

    def _radix(self, equation: Affine, able: list[Node]) -> Node | None:
        """A variable v of s·v + rest where 0 ≤ rest < s: a digit of the known position."""
        v = max(able, key=lambda n: abs(equation.terms[n]))
        s = equation.terms[v]
        if abs(s) == 1:
            return None
        rest = self._unknown(equation.without(v))
        rest = Affine({}, 0).plus(rest, 1 if s > 0 else -1)
        return v if all(within(rest, abs(s), self.sizes)) else None

    def _unknown(self, equation: Affine) -> Affine:
        """The terms that depend on variables not solved yet."""
        return Affine({n: c for n, c in equation.terms.items() if _axes(n)})

    def _eliminate(self, v: Node, equation: Affine) -> Affine | None:
        """Solve an equation for v; what is left of it, if anything."""
        c = equation.terms[v]
        others = equation.without(v)
        sign, s = (-1 if c > 0 else 1), abs(c)
        unknown = Affine({}, 0).plus(self._unknown(others), sign)  # s·v == known + unknown
        known = Affine({}, 0).plus(others, sign).plus(unknown, -1)
        left: Affine | None = None
        if s == 1:
            value = known.plus(unknown)
        elif all(within(Affine({}, 0).plus(unknown, -1), s, self.sizes)):
            value = self._divided(known, s)
            left = self._remainder(known, s).plus(unknown)
        else:
            value = self._divided(known.plus(unknown), s)
            left = self._remainder(known.plus(unknown), s)
            self.derived.append(alu("eq", left.node(), _ZERO))
            left = None
        self._set(v, value)
        return None if left is None else self._put(left)

    def _divided(self, x: Affine, s: int) -> Affine:
        """x // s, with whole multiples of s taken out."""
        whole, rest = _multiples(x, s)
        if all(within(rest, s, self.sizes)):
            return whole
        return whole.plus(Affine.of(alu("floordiv", rest.node(), const(s, dt.int64))))

    def _remainder(self, x: Affine, s: int) -> Affine:
        """x % s, with whole multiples of s left out."""
        _, rest = _multiples(x, s)
        if all(within(rest, s, self.sizes)):
            return rest
        return Affine.of(alu("mod", rest.node(), const(s, dt.int64)))

    def _set(self, v: Node, value: Affine) -> None:
        node = value.node()
        self.open.remove(v)
        self.solution = {u: _put_in({v: node}, x) for u, x in self.solution.items()}
        self.solution[v] = node

    def _put(self, equation: Affine) -> Affine:
        return Affine.of(_put_in(self.solution, equation.node()))

    # ---- the result --------------------------------------------------------------------------

    def close(self, core: Node) -> Node | None:
        """The solved contribution: guarded, and summed over the variables that stay open."""
        into = [core, *self.conditions, *self.derived]
        mapping = _renamed({**self.solution, **self._known_digits(core)}, into)
        self.solution = {v: mapping[v] for v in self.solution}
        mapping |= self.rename
        # Ranges first: the others may read at a solution, and a larger solution at a smaller one.
        conditions = self._ranges()
        # A derived condition says where `rename` is right, so it is not renamed itself.
        derived = [_tidy(substitute(c, self.solution)) for c in self.derived]
        conditions += [c for c in derived if not self._exposed(c)]
        conditions += [_tidy(substitute(c, mapping)) for c in self.conditions]
        conditions += [c for c in derived if self._exposed(c)]
        core = _tidy(substitute(core, mapping))
        # A variable of one possible value is no sum: which of many tensors was stacked here.
        only = {v: x for v in self.open if (x := self._only_value(v, conditions)) is not None}
        if only:
            self.open = [v for v in self.open if v not in only]
            core, *conditions = (substitute(x, only) for x in (core, *conditions))
        term = self._guarded(core, conditions)
        if term is None:
            return None
        free = free_variables(term)
        summed = [v for v in self.open if v in free or self.kind == "prod"]
        for v in self.open:
            if v not in free and self.kind == "sum":  # the same term again and again
                term = times(term, cast(extent(self.sizes[v]), term.dtype))
        if not summed:
            return term
        names, variables = fresh(term.depth, [self.sizes[v] for v in summed])
        order = _order(core, summed[-1]) if self.kind == "sum" else "seq"
        return reduce(
            self.kind, variables, substitute(term, dict(zip(summed, names, strict=True))), order
        )

    def _only_value(self, v: Node, conditions: Sequence[Node]) -> Node | None:
        """The value of an open variable, if comparisons with numbers leave but one."""
        if isinstance(self.sizes[v], Extent):
            return None
        first, last = 0, self.sizes[v] - 1
        for c in conditions:
            if c.op not in ("lt", "le") or c.src[0].dtype is not dt.int64:
                continue
            gap = Affine.of(c.src[1]).plus(Affine.of(c.src[0]), -1)  # ≥ 0, or > 0
            least = int(c.op == "lt")
            if gap.terms == {v: 1}:
                first = max(first, least - gap.constant)
            elif gap.terms == {v: -1}:
                last = min(last, gap.constant - least)
        return const(first, dt.int64) if first == last and self.sizes[v] > 1 else None

    def _ranges(self) -> list[Node]:
        """The conditions that the solved variables stay within their extents."""
        conditions = []
        for v, node in sorted(self.solution.items(), key=lambda item: len(body_nodes(item[1]))):
            above, below = within(Affine.of(node), self.sizes[v], self.sizes)
            if not above:
                conditions.append(alu("le", _ZERO, node))
            if not below:
                conditions.append(alu("lt", node, extent(self.sizes[v])))
        return conditions

    def _known_digits(self, core: Node) -> dict[Node, Node]:
        """Quotients and remainders in an expression that the equations have settled."""
        known: dict[Node, Node] = {}
        if self.digits:
            for n in toposort([core, *self.conditions], stop=lambda n: n.op in TENSOR_OPS):
                if n.op in ("floordiv", "mod") and n.src[1].op == "const":
                    pair = self.digits.get((*_key(Affine.of(n.src[0])), n.src[1].value))
                    if pair is not None:
                        known[n] = substitute(pair[n.op == "mod"].node(), self.solution)
        return known

    def _guarded(self, core: Node, conditions: Iterable[Node]) -> Node | None:
        """`core` where all conditions hold; those on positions alone are asked first."""
        first: Node | None = None
        later: list[Node] = []
        for c in dict.fromkeys(conditions):
            if c.op == "const":
                if not c.value:
                    return None
            elif not index_only(c) or any(n.op == "checked" for n in body_nodes(c)):
                later.append(c)
            elif not self._holds(c):
                first = c if first is None else alu("and", first, c)
        absent = number(0, core) if self.absent is None else self.absent
        for c in reversed(later):
            core = where(c, core, absent)
        return core if first is None else where(first, core, absent)

    def _exposed(self, condition: Node) -> bool:
        """Does a condition read where only the conditions that were given keep it inside?"""
        nodes = body_nodes(condition)
        sizes = dict(self.sizes)
        for n in nodes:
            if n.op == "reduce":
                sizes.update({red(uid): size for uid, size in n.arg[1]})
        for n in nodes:
            if n.op == "checked":
                return True
            if n.op == "read":
                for ix, size in zip(n.src[1:], n.src[0].shape):
                    if not all(within(Affine.of(ix), size, sizes)):
                        return True
        return False

    def _holds(self, condition: Node) -> bool:
        """Is a condition on positions certainly true?"""
        if condition.op not in ("lt", "le") or condition.src[0].dtype is not dt.int64:
            return False
        gap = Affine.of(condition.src[1]).plus(Affine.of(condition.src[0]), -1)
        low = gap.low(self.sizes)
        return low is not None and nonnegative(minus(low, {None: int(condition.op == "lt")}))


def _order(core: Node, innermost: Node) -> str:
    """The order of summation: 'dot' for a product of two reads, 'lanes' along memory."""
    if core.op == "cast" and core.dtype.is_float and core.dtype.bits == 16:
        core = core.src[0]  # summed before it is rounded: see ir.node.reduce
    if core.op == "mul" and all(_plain(s).op == "read" for s in core.src):
        return "dot"
    for n in body_nodes(core):
        if n.op == "read" and len(n.src) > 1 and Affine.of(n.src[-1]).terms.get(innermost) == 1:
            return "lanes"
    return "seq"


def _renamed(solution: dict[Node, Node], into: Sequence[Node]) -> dict[Node, Node]:
    """Solutions (of variables, and of quotients and remainders of them) whose reductions share no
    variable with those that they are put into: the position of an extreme, put for a variable under
    another reduction."""
    depth = max((x.depth for x in (*into, *solution.values())), default=0)
    found = dict(solution)
    changed: dict[Node, Node] = {}  # of all solutions: what they share stays one
    for v, x in solution.items():
        own = _bound(x)
        if not own or own.isdisjoint(uid for y in into for uid in _around(v, y)):
            continue
        for n in body_nodes(x):
            if n in changed:
                continue
            new = rebuild(n, tuple([changed.get(s, s) for s in n.src]))
            if n.op == "reduce":
                names, pairs = fresh(depth, [size for _, size in n.arg[1]])
                named = {red(uid): name for (uid, _), name in zip(n.arg[1], names, strict=True)}
                body = substitute(new.src[0], named)
                new = make("reduce", n.dtype, (), (body,), (n.arg[0], tuple(pairs), *n.arg[2:]))
                depth = new.depth + len(names)
            changed[n] = new
        found[v] = changed[x]
    return found


def _bound(x: Node) -> set[int]:
    return {uid for n in body_nodes(x) if n.op == "reduce" for uid, _ in n.arg[1]}


def _around(v: Node, x: Node) -> set[int]:
    """The variables of all reductions that a variable stands in."""
    found: set[int] = set()
    for n in body_nodes(x):
        if n.op == "reduce" and v in body_nodes(n.src[0]):
            found.update(uid for uid, _ in n.arg[1])
    return found


def _put_in(solution: dict[Node, Node], x: Node) -> Node:
    """The expression with solutions for their variables."""
    return _tidy(substitute(x, _renamed(solution, [x])))


def _tidy(x: Node) -> Node:
    """The expression with a[i + t - i] read as a[t]: what a solution leaves in an index. Ranges are
    found from what an index says, so what cancels must not stand there."""
    changed: dict[Node, Node] = {}
    for n in body_nodes(x):
        src = tuple([changed.get(s, s) for s in n.src])
        if n.op == "read":
            src = (src[0], *map(_cancelled, src[1:]))
        if src != n.src:
            changed[n] = rebuild(n, src)
    return changed.get(x, x)


def _cancelled(index: Node) -> Node:
    if index.op not in ("add", "sub"):
        return index
    short = Affine.of(index).node()
    gone = len(body_nodes(short)) < len(body_nodes(index))
    return short if gone and _variables(short) != _variables(index) else index


def _variables(x: Node) -> set[Node]:
    return {n for n in body_nodes(x) if n.op in ("axis", "out", "red")}


def _plain(x: Node) -> Node:
    return x.src[0] if x.op == "cast" else x


def _axes(x: Node) -> set[Node]:
    return {n for n in body_nodes(x) if n.op == "axis"}


def _key(x: Affine) -> tuple[object, ...]:
    return frozenset(x.terms.items()), x.constant


def _quotient(x: dict[Symbol | None, int], s: int) -> dict[Symbol | None, int] | None:
    if any(k % s for symbol, k in x.items() if symbol is not None):
        return None
    return {symbol: k // s for symbol, k in x.items()}


def _multiples(x: Affine, s: int) -> tuple[Affine, Affine]:
    """(a, b) with x == s·a + b, where b has no whole multiple of s left."""
    whole = {n: c // s for n, c in x.terms.items() if c % s == 0}
    rest = {n: c for n, c in x.terms.items() if c % s}
    return Affine(whole, x.constant // s), Affine(rest, x.constant % s)


def _equal(equation: Affine) -> Node:
    """The condition that an affine expression is 0, with both sides positive."""
    left = Affine({n: c for n, c in equation.terms.items() if c > 0}, max(0, equation.constant))
    right = Affine({n: -c for n, c in equation.terms.items() if c < 0}, max(0, -equation.constant))
    return alu("eq", left.node(), right.node())
