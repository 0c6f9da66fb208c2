"""Views: index functions from a view's elements to those of the tensor it looks at, and back.

`apply` reads a tensor through the view; `unapply` gives the tensor with the viewed elements
replaced. Must not know storages or tensors: expressions in, expressions out.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence

from ..ir import node as ir
from ..ir.extent import Extent, product, symbolic_key
from ..ir.node import Node
from .errors import at_line

Shape = tuple[int, ...]


def element(tensor: Node, indices: Sequence[Node]) -> Node:
    """One element of a tensor; of a tensor that is a number everywhere, the number."""
    if tensor.op == "loops" and tensor.src[0].op == "const":
        return tensor.src[0]
    return ir.read(tensor, *indices)


def same_size(a: int, b: int) -> bool:
    """Equal for every value of a runtime size, not only for the one at hand."""
    return int(a) == int(b) and symbolic_key((a,)) == symbolic_key((b,))


def same_shape(a: Shape, b: Shape) -> bool:
    """Equal for every value of runtime sizes."""
    return a == b and symbolic_key(a) == symbolic_key(b)


class Affine:
    """out[o] = source[start + step · o], one rule for each axis of the source.

    Slices, selections, permutations, flips, diagonals, new axes and expansion are all of this
    kind. `rules[d]` is (start, step, axis of the view or -1): index start + step · o[axis].
    """

    __slots__ = ("rules", "shape", "source")

    def __init__(
        self, source: Shape, shape: Shape, rules: tuple[tuple[int, int, int], ...]
    ) -> None:
        self.source, self.shape, self.rules = source, shape, rules

    def apply(self, tensor: Node) -> Node:
        indices = []
        for start, step, axis in self.rules:
            if axis < 0:
                indices.append(ir.index(start))
                continue
            index = ir.out(axis)
            if step != 1:
                index = ir.alu("mul", index, ir.index(step))
            indices.append(ir.alu("add", index, ir.index(start)))
        return ir.loops(self.shape, element(tensor, indices))

    def unapply(self, base: Node, new: Node) -> Node:
        if 0 in self.shape:  # nothing is replaced
            return base
        inside, back = self._inverse()
        old = [ir.out(d) for d in range(len(self.source))]
        body = element(new, back)
        for condition in reversed(inside):
            body = ir.where(condition, body, element(base, old))
        return ir.loops(self.source, body)

    def _inverse(self) -> tuple[list[Node], list[Node]]:
        """Conditions for an element of the source to be in the view, and where it is there."""
        inside: list[Node] = []
        back: dict[int, Node] = {}
        for d, (start, step, axis) in enumerate(self.rules):
            here = ir.out(d)
            if axis < 0:
                if self.source[d] != 1 or type(self.source[d]) is not int:
                    inside.append(ir.alu("eq", here, ir.index(start)))
                continue
            size = self.shape[axis]
            if step > 0:
                distance = ir.alu("sub", here, ir.index(start))
            else:
                distance = ir.alu("sub", ir.index(start), here)
            count, full = distance, same_size(size, self.source[d]) and abs(step) == 1
            if abs(step) != 1:
                count = ir.alu("floordiv", distance, ir.index(abs(step)))
                remainder = ir.alu("mod", distance, ir.index(abs(step)))
                inside.append(ir.alu("eq", remainder, ir.index(0)))
            if not full:
                if (start if step > 0 else int(self.source[d]) - 1 - start) != 0:
                    inside.append(ir.alu("le", ir.index(0), distance))
                inside.append(ir.alu("lt", count, ir.extent(size)))
            if axis in back:
                inside.append(ir.alu("eq", count, back[axis]))
            else:
                back[axis] = count
        return inside, [back.get(axis, ir.index(0)) for axis in range(len(self.shape))]

    @property
    def overlaps(self) -> bool:
        """Do several elements of the view look at one element of the source (expand)?"""
        seen = {axis for _, _, axis in self.rules}
        several = any(a not in seen and size > 1 for a, size in enumerate(self.shape))
        return several and 0 not in self.shape

    def strides(self, base: Shape, offset: int) -> tuple[Shape, int]:
        """Strides and offset of the view of memory with these strides and this offset."""
        result: list[int | None] = [None] * len(self.shape)
        for stride, (start, step, axis) in zip(base, self.rules, strict=True):
            offset += start * stride
            if axis >= 0:
                result[axis] = (result[axis] or 0) + step * stride
        following = 1
        for axis in range(len(self.shape) - 1, -1, -1):
            stride_here = result[axis]
            if stride_here is None:
                stride_here = 0 if self.shape[axis] != 1 else following
                result[axis] = stride_here
            following = self.shape[axis] * stride_here
        return tuple(r for r in result if r is not None), offset

    def after(self, first: Affine) -> Affine:
        """The one view that is this one of `first`."""
        rules: list[tuple[int, int, int]] = []
        for start, step, axis in first.rules:
            if axis < 0:
                rules.append((start, step, axis))
                continue
            start2, step2, axis2 = self.rules[axis]
            rules.append((start + step * start2, step * step2, axis2))
        return Affine(first.source, self.shape, tuple(rules))


class Reshape:
    """The same elements in row-major order, in another shape."""

    __slots__ = ("shape", "source")
    overlaps = False

    def __init__(self, source: Shape, shape: Shape) -> None:
        self.source, self.shape = source, shape

    def apply(self, tensor: Node) -> Node:
        return ir.reshape(tensor, self.shape)

    def unapply(self, base: Node, new: Node) -> Node:
        return ir.reshape(new, self.source)

    def strides(self, base: Shape, offset: int) -> tuple[Shape, int]:
        found = reshaped_strides(self.source, base, self.shape)
        assert found is not None
        return found, offset


class Strided:
    """out[o] = source[offset + Σ stride[d] · o[d]]: foreign memory that is not row-major, whose
    source is the run of memory from its first element to its last."""

    __slots__ = ("offset", "shape", "source", "steps")

    def __init__(self, source: Shape, shape: Shape, steps: Shape, offset: int) -> None:
        self.source, self.shape, self.steps, self.offset = source, shape, steps, offset

    def apply(self, tensor: Node) -> Node:
        place = ir.index(self.offset)
        for d, step in enumerate(self.steps):
            place = ir.alu("add", place, ir.alu("mul", ir.out(d), ir.index(step)))
        return ir.loops(self.shape, element(tensor, [place]))

    def unapply(self, base: Node, new: Node) -> Node:
        # The position, counted from the least one, in the digits of the strides.
        least = self.offset + sum(s * (n - 1) for s, n in self._axes() if s < 0)
        rest = ir.alu("sub", ir.out(0), ir.index(least))
        inside = [ir.alu("le", ir.index(0), rest)]
        back = [ir.index(0)] * len(self.shape)
        for d in self._order():
            step, size = self.steps[d], self.shape[d]
            digit = ir.alu("floordiv", rest, ir.index(abs(step)))
            rest = ir.alu("mod", rest, ir.index(abs(step)))
            inside.append(ir.alu("lt", digit, ir.index(size)))
            back[d] = digit if step > 0 else ir.alu("sub", ir.index(size - 1), digit)
        inside.append(ir.alu("eq", rest, ir.index(0)))
        body = element(new, back)
        for condition in reversed(inside):
            body = ir.where(condition, body, element(base, [ir.out(0)]))
        return ir.loops(self.source, body)

    def _axes(self) -> list[tuple[int, int]]:
        return list(zip(self.steps, self.shape, strict=True))

    def _order(self) -> list[int]:
        """The axes that have more than one element, the largest stride first."""
        return sorted(
            (d for d, n in enumerate(self.shape) if n > 1), key=lambda d: -abs(self.steps[d])
        )

    @property
    def overlaps(self) -> bool:
        """May several elements of the view look at one element of the source?"""
        reach = 0  # of the axes inside
        for d in reversed(self._order()):
            if abs(self.steps[d]) <= reach:
                return True
            reach += abs(self.steps[d]) * (self.shape[d] - 1)
        return False

    def strides(self, base: Shape, offset: int) -> tuple[Shape, int]:
        """Strides and offset, in elements."""
        (step,) = base
        return tuple([step * s for s in self.steps]), offset + step * self.offset


class Windows:
    """out[…, i, …, u] = source[…, step · i + u, …]: windows along an axis, their elements last."""

    __slots__ = ("axis", "shape", "source", "step")

    def __init__(self, source: Shape, shape: Shape, axis: int, step: int) -> None:
        self.source, self.shape, self.axis, self.step = source, shape, axis, step

    def apply(self, tensor: Node) -> Node:
        *indices, inside = ir.outs(len(self.shape))
        start = ir.alu("mul", indices[self.axis], ir.index(self.step))
        indices[self.axis] = ir.alu("add", start, inside)
        return ir.loops(self.shape, element(tensor, indices))

    def unapply(self, base: Node, new: Node) -> Node:
        old = [ir.out(d) for d in range(len(self.source))]
        step = max(self.step, int(self.shape[-1]), 1)  # of one window any, that holds it
        window = ir.alu("floordiv", old[self.axis], ir.index(step))
        inside = ir.alu("mod", old[self.axis], ir.index(step))
        back = [*old, inside]
        back[self.axis] = window
        body = ir.where(
            ir.alu("lt", inside, ir.index(self.shape[-1])), element(new, back), element(base, old)
        )
        there = ir.alu("lt", window, ir.extent(self.shape[self.axis]))
        return ir.loops(self.source, ir.where(there, body, element(base, old)))

    @property
    def overlaps(self) -> bool:
        """Do windows share elements of the source?"""
        several = self.shape[self.axis] > 1 and self.shape[-1] > self.step
        return several and 0 not in self.shape

    def strides(self, base: Shape, offset: int) -> tuple[Shape, int]:
        """Strides and offset, in elements."""
        found = [*base, base[self.axis]]
        found[self.axis] = self.step * base[self.axis]
        return tuple(found), offset


View = Affine | Reshape | Strided | Windows


def contiguous_strides(shape: Shape) -> Shape:
    """Strides, in elements, of row-major memory."""
    strides: list[int] = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step = product([step, max(size, 1)]) if not isinstance(size, Extent) else size * step
    return tuple(reversed(strides))


def reshaped_strides(shape: Shape, strides: Shape, new: Shape) -> Shape | None:
    """Strides that show memory of `shape` and `strides` as the shape `new`; None if none do."""
    if product(shape) == 0:
        return contiguous_strides(new)
    result: list[int] = []
    d = len(shape) - 1
    block, view_block = 1, 1  # elements of the source's contiguous run, and of the view's in it
    base = strides[d] if shape else 1
    target = len(new) - 1
    while d >= 0:
        block *= int(shape[d])
        if d == 0 or (shape[d - 1] != 1 and strides[d - 1] != block * base):
            while target >= 0 and (view_block < block or new[target] == 1):
                result.append(view_block * base)
                view_block *= int(new[target])
                target -= 1
            if view_block != block:
                return None
            if d > 0:
                base, block, view_block = strides[d - 1], 1, 1
        d -= 1
    while target >= 0:  # a 0-d source
        result.append(1)
        target -= 1
    return tuple(reversed(result))


def slice_rule(item: slice, size: int) -> tuple[int, int, int]:
    """(start, step, number of elements) of a slice of an axis; a negative step counts down, as in
    NumPy."""
    step = 1 if item.step is None else operator.index(item.step)
    if step == 0:
        raise ValueError(
            "slice: a step of 0 stays where it is; it is 1 or more, or -1 or less" + at_line()
        )
    if step < 0:
        if item.start is None and item.stop is None and step == -1 and int(size) > 0:
            return size - 1, -1, size
        start, stop, step = slice(item.start, item.stop, step).indices(int(size))
        count = max(0, -((start - stop) // step))
        return (start, step, count) if count else (0, 1, 0)
    if item.start is None and item.stop is None and step == 1:
        return 0, 1, size
    if item.start in (None, 0) and isinstance(item.stop, Extent) and item.stop <= size:
        stop_only = item.stop
        return (0, 1, stop_only) if step == 1 else (0, step, -(-int(stop_only) // step))
    start, stop, step = slice(item.start, item.stop, step).indices(int(size))
    if start == 0 and stop == size and step == 1:
        return 0, 1, size
    return start, step, max(0, -(-(stop - start) // step))
