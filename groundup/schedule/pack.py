"""An operand of a contraction copied into panels: which part of it, where its elements lie then.

A panel is as wide as a tile; within it the terms of the sum follow each other, so that a tile walks
through memory without a jump. Must not know what the contraction computes.
"""

from __future__ import annotations

from ..emit.kernel import Pack, Stride
from ..ir import dtype as dt
from ..ir.node import Node, alu, const, make, out, read
from ..ir.record import record
from .contract import Choice, Near, Problem
from .lower import Lowering, Memory, Raw, affine
from .nests import Parameters
from .sizes import Size, Sym, add, mul, size_of, value

PARALLEL = 5_000  # elements: copying fewer takes one thread less than 2 µs (tiles.TRANSPOSE)


@record
class _Axis:
    """One axis of the tensor: elements low … low + length - 1 of it are copied."""

    number: int
    variable: Node | None
    by: int  # the index is by·variable + constant
    constant: int
    low: int
    length: Size
    stride: Size = 0  # in the copy


class Packing:
    """The copy that a choice asks for."""

    def __init__(
        self, problem: Problem, choice: Choice, memory: dict[Node, Memory], rows: bool = False
    ) -> None:
        """Of b in panels; with `rows`, of a with the terms of each row together."""
        operand = choice.a if rows else choice.b
        self.tensor, *indices = operand.read.src
        self.memory = memory
        self.dtype = problem.packed_dtype  # a tensor of 16 bits is widened on the way, mostly
        self.pairs = problem.adds_pairs and not rows
        self.normal = bool(problem.halves) and not problem.adds_pairs
        axes = [_axis(i, ix, problem, self.tensor.shape[i]) for i, ix in enumerate(indices)]
        lane = problem.k[-1] if rows else choice.n
        every_k = problem.every_k  # also those that are walked as part of another
        self.lane = next(a for a in axes if a.variable is lane)
        self.sums = [
            a for v in every_k for a in axes if a.variable is v and a is not self.lane
        ]  # fmt: skip
        self.outer = [a for a in axes if a is not self.lane and a not in self.sums]
        targets = {out(i): s for i, s in enumerate(problem.target.strides)}
        self.outer.sort(key=lambda a: -value(targets[a.variable]) if a.variable else -(1 << 62))
        self.panel = 0
        count = self._rows() if rows else self._panels(choice.vectors * problem.lane_count)
        for a in reversed(self.outer):
            a.stride = count
            count = mul(count, a.length)
        self.bytes = mul(count, self.dtype.itemsize)
        order = [*self.outer, *self.sums, self.lane]
        self.key = (
            self.tensor, self.panel, len(self.outer), self.dtype.name, self.normal,
            tuple((a.number, a.low, a.length) for a in order),
        )  # fmt: skip

    def _panels(self, width: int) -> Size:
        """Strides of panels as wide as a tile; the elements of all of them."""
        self.panel = width
        step: Size = 1
        for a in reversed(self.sums):
            a.stride = step
            room = a.length
            if self.pairs and a is self.sums[-1]:  # the last pair has room for both
                room = add(room, 1) if isinstance(room, Sym) else room + room % 2
            step = mul(step, room)
        self.lane.stride = step
        for a in self.sums:
            a.stride = mul(a.stride, self.panel)
        lanes = self.lane.length
        if isinstance(lanes, Sym):  # the last panel is partly beyond
            return mul(step, add(lanes, self.panel - 1))
        return mul(step, self.panel * -(-lanes // self.panel))

    def _rows(self) -> Size:
        """Strides of rows, each an odd number of lines long (of a runtime size: a line longer), so
        that neighbouring rows fall onto different sets of the cache; the elements of one."""
        step: Size = 1
        for a in reversed([*self.sums, self.lane]):
            a.stride = step
            step = mul(step, a.length)
        line = 64 // self.dtype.itemsize
        if isinstance(step, Sym):
            return add(step, line)
        return (-(-step // line) | 1) * line

    def raw(self, ref: object) -> Raw:
        """Where the operand's element lies in the copy."""
        offset: Size = 0
        terms = []
        for a in [*self.outer, *self.sums, self.lane]:
            offset = add(offset, mul(a.stride, a.constant - a.low))
            if a.variable is not None:
                terms.append((a.variable, mul(a.stride, a.by)))
        return Raw(ref, offset, tuple(terms), False, False)

    def build(self, ref: object, width: int) -> tuple[Pack, Parameters, bool]:
        """(the kernel, its parameters, whether several threads share it)."""
        axes = sorted([*self.outer, *self.sums, self.lane], key=lambda a: a.number)
        body = read(
            self.tensor,
            *(alu("add", out(a.number), const(a.low, dt.int64)) for a in axes),
        )
        shape = tuple(value(a.length) for a in axes)
        source: Raw = Lowering(shape, body, self.memory, trusted=True).result.arg
        from_ = {v.arg: s for v, s in source.terms}
        params = Parameters()
        others = [*self.outer, *self.sums]
        row = self.sums[-1:] if self.pairs else _run(
            others, from_, from_.get(self.lane.number, 0)
        )
        outer = [a for a in others if a not in row]

        def sized(size: Size) -> Stride:
            return params.size(size) if isinstance(size, Sym) else int(size)

        kernel = Pack(
            source=params.pointer(source.ref), offset=sized(source.offset),
            target=params.pointer(ref),
            outer=tuple(
                (sized(a.length), sized(from_.get(a.number, 0)), sized(a.stride)) for a in outer
            ),
            row=tuple((sized(a.length), sized(a.stride)) for a in row),
            row_step=sized(from_.get(row[-1].number, 0)) if row else 0,
            lane=(sized(self.lane.length), sized(from_.get(self.lane.number, 0))),
            panel=(self.panel, sized(mul(self.lane.stride, self.panel)) if self.panel else 0),
            element=make("hole", self.tensor.dtype, (), (), 0),
            stored=make("hole", self.dtype, (), (), 0), pairs=self.pairs,
            normal=self.normal, width=width,
        )  # fmt: skip
        elements = value(self.bytes) // self.dtype.itemsize
        return kernel, params, elements >= PARALLEL


def near(p: Problem, c: Choice, room: object, slots: int) -> Near:
    """Panels of b for the terms of one block, for each thread; b's layout within one."""
    columns = c.vectors * p.lane_count
    depth, most = c.block or (0, value(p.extents[p.k[0]]))
    terms = []
    step: Size = columns
    for i, v in reversed(list(enumerate(p.k))):
        if i < depth or c.b.strides.get(v, 0) == 0:
            continue
        terms.append((v, step))
        step = mul(step, most if c.block and i == depth else p.extents[v])
    size = mul(step, p.sum.dtype.itemsize)
    page = 4096 + 64  # apart in the caches, too
    size = -(-size // page) * page if isinstance(size, int) else add(size, page)
    run = [] if c.b.strides[c.n] == 1 else turned(p, c)
    return Near(Raw(room, 0, tuple(terms), False, False), size, slots, run, columns)


def turned(p: Problem, c: Choice) -> list[Node]:
    """The reduction loops that b walks as one, the last fastest; none if no loop lies together."""
    run: list[Node] = []
    step: Size = 1
    while True:
        following = [v for v in p.k if v not in run and c.b.strides.get(v, 0) == step]
        if not following or isinstance(p.extents[following[0]], Sym):
            return run
        run.insert(0, following[0])
        step = mul(step, p.extents[following[0]])


def _axis(number: int, index: Node, problem: Problem, size: int) -> _Axis:
    parts = affine(index)
    assert parts is not None
    terms, constant = parts
    for v, by in terms.items():
        if by == 1:
            return _Axis(number, v, 1, constant, constant, problem.full[v])
        return _Axis(number, v, by, constant, 0, size_of(size))
    return _Axis(number, None, 0, constant, constant, 1)


def _run(axes: list[_Axis], from_: dict[int, Size], lane: Size) -> list[_Axis]:
    """The axes that the source walks as one, the last fastest: those that lie together in it, or,
    where the lanes do, the last loop of the sum."""
    if lane == 1:
        return axes[-1:]
    found: list[_Axis] = []
    step: Size = 1
    while True:
        following = [
            a for a in axes
            if a not in found and from_.get(a.number, 0) == step and not isinstance(a.length, Sym)
        ]  # fmt: skip
        if not following:
            return found or axes[-1:]
        found.insert(0, following[0])
        step = mul(step, following[0].length)
