"""The errors of the axes notation: what was written, why it cannot be, what to write instead.

Each shows the expression with the culprit underlined. Must not know how an expression is lowered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..ir import dtype as dt
from .core import Core
from .errors import at_line, lined_up
from .notation import Axis, Indexed, postorder
from .written import Mark, mistake


def listed(axes: Any) -> str:
    """Names of axes, as a sentence lists them."""
    return ", ".join(a.name for a in axes) or "no axis"


def tensors_in(root: Indexed) -> list[Core]:
    """The tensors that an expression reads."""
    found = {id(t.arg[0]): t.arg[0] for t in postorder(root) if t.op == "read"}
    return list(found.values())


# ---- while an expression is written --------------------------------------------------------------


def one_index_each(tensor: Core, items: Sequence[Any]) -> IndexError:
    """A key of axes that leaves axes of the tensor out, or has slices."""
    return IndexError(
        f"with axes, a tensor needs one index for each of its {tensor.ndim} axes (axes, "
        f"arithmetic of axes, integers, other indexed tensors), not {len(items)}, and no slices: a "
        f"slice is an axis of its own, as in x[1:][i, j]"
        + lined_up(tensor=tensor._shape)
        + at_line()
    )


def no_attribute(tree: Indexed, name: str) -> AttributeError:
    """What only tensors have."""
    from .tensor import Tensor

    if not hasattr(Tensor, name):
        return AttributeError(f"an indexed expression has no .{name}" + at_line())
    order = f".order({listed(tree.free) if tree.free else ''})"
    return AttributeError(
        f"an indexed expression has no .{name}: it is a value for each combination of its axes "
        f"({listed(tree.free)}); a tensor has it: write (…){order}.{name}" + at_line()
    )


def not_affine(read: Indexed, at: int, reason: str) -> IndexError:
    """An index of axes whose range nobody can tell."""
    return mistake(
        IndexError, f"this is no index: {reason}", read, {(id(read), at)},
        "write sums of multiples of axes, // and % by constants (2*i + u, i // 2, i % 3); or index "
        "by the tensor of it: t = (…).order(i, j), then x[t[i, j]]",
        tensors=[read.arg[0]],
    )  # fmt: skip


def own_axis(tree: Indexed) -> ValueError:
    """x.at(b, index) whose index depends on b."""
    name = tree.arg.name
    return mistake(
        ValueError, f"at({name}, …): the index of axis {name} depends on {name} itself", tree,
        {(id(tree), 1)}, f"write gu.where(condition, x, 0.0) for what must hold along {name}",
    )  # fmt: skip


def placed_axis(tree: Indexed, n: int) -> ValueError:
    """x[i].at(c, index).sum(c): a reduction over the axis to which its terms go."""
    kind, axes = tree.arg
    name = axes[n].name
    marks: set[Mark] = {(id(tree), n), id(axes[n])}
    source = tree.src[0]
    others = listed(a for a in source.free if a is not axes[n])
    return mistake(
        ValueError,
        f"{kind}({name}): at({name}, …) says where on axis {name} each term goes, so {name} stays",
        tree, marks,
        f"combine the terms that meet, over {others}: .{kind}({others}); what is then to be done "
        f"over {name} comes after it",
    )  # fmt: skip


def cannot_reduce(tree: Indexed) -> Exception:
    """A reduction (or a running one) over what it cannot go over."""
    kind, (source,) = tree.arg[0], tree.src
    axes = tree.arg[1] if tree.op == "reduce" else (tree.arg[1],)
    if not axes:
        return ValueError(f"{kind} needs the axes to reduce over, as in .{kind}(k)" + at_line())
    for n, a in enumerate(axes):
        if not isinstance(a, Axis):
            return TypeError(f"{kind} reduces over axes, not {type(a).__name__}: {a!r}" + at_line())
        if a in axes[:n]:
            return mistake(
                ValueError, f"{kind}: an axis is named twice: {listed(axes)}", tree,
                {(id(tree), n)}, f"write .{kind}({listed(dict.fromkeys(axes))})",
            )  # fmt: skip
    n, a = next((n, a) for n, a in enumerate(axes) if a not in source.free)
    marks: set[Mark] = {(id(tree), n)}
    for t in postorder(source):
        gone = t.arg[1] if t.op == "reduce" else t.shown[2] if t.shown else ()
        if a in gone:
            marks.add((id(t), gone.index(a)))
    has = listed(source.free)
    if len(marks) > 1:
        return mistake(
            ValueError,
            f"{kind}({a.name}): axis {a.name} is reduced twice: the expression does not depend on "
            f"axis {a.name} any more; it has {has}",
            tree, marks, f"leave .{kind}({a.name}) out, or reduce over one of {has}",
        )  # fmt: skip
    return mistake(
        ValueError,
        f"{kind}({a.name}): the expression does not depend on axis {a.name}; it has {has}",
        tree, marks, f"index a tensor by {a.name}, or leave .{kind}({a.name}) out",
        tensors=tensors_in(source),
    )  # fmt: skip


# ---- when it is closed ---------------------------------------------------------------------------


class Closing:
    """The errors of one `.order(…)`: its expression and its axes."""

    def __init__(self, root: Indexed, axes: Sequence[Axis]) -> None:
        self.root, self.axes = root, axes

    def check_axes(self) -> None:
        """Raise unless the axes of .order are those of the expression, each once."""
        for a in self.axes:
            if not isinstance(a, Axis):
                raise TypeError(f"order takes axes, not {a!r}" + at_line())
        if len(set(self.axes)) != len(self.axes):
            raise ValueError(f"order: an axis is named twice: {listed(self.axes)}" + at_line())
        missing = [a for a in self.root.free if a not in self.axes]
        if missing:
            order, left = listed(self.axes) if self.axes else "", listed(missing)
            raise self._mistake(
                ValueError, f"order({order}): the expression also depends on {left}",
                {id(a) for a in missing},
                f"order or reduce it: .order({', '.join(filter(None, (order, left)))}), or "
                f".sum({left}) before .order({order})",
                tensors=tensors_in(self.root),
            )  # fmt: skip

    def _mistake(
        self, kind: type[Any], what: str, marks: set[Any], instead: str,
        tensors: Sequence[Core] = (),
    ) -> Any:  # fmt: skip
        return mistake(kind, what, self.root, marks, instead, self.axes, tensors)

    def unknown_size(self, a: Axis) -> ValueError:
        """An axis whose size nothing tells."""
        error: ValueError = self._mistake(
            ValueError,
            f"the size of axis {a.name} cannot be read off its use: it indexes no tensor alone, "
            f"nor as the only unknown axis of an affine index",
            {id(a)}, f'give it: {a.name} = gu.axis("{a.name}", size)',
        )  # fmt: skip
        return error

    def two_sizes(
        self, a: Axis, one: tuple[Indexed, int], other: tuple[Indexed, int]
    ) -> IndexError:
        """An axis that indexes axes of two sizes: (read, which index of it) of both."""
        (r, d), (s, e) = one, other
        sizes = int(r.arg[0]._shape[d]), int(s.arg[0]._shape[e])
        least = min(sizes)
        error: IndexError = self._mistake(
            IndexError,
            f"axis {a.name} has size {sizes[0]} in one tensor and {sizes[1]} in another "
            f"(as their axes {d} and {e})",
            {(id(r), d), (id(s), e)},
            f"use two axes, or give the size that both have: gu.axis(\"{a.name}\", {least})",
            tensors=list({id(t): t for t in (r.arg[0], s.arg[0])}.values()),
        )  # fmt: skip
        return error

    def wrong_index_type(self, read: Indexed, d: int, name: str) -> IndexError:
        """An index of a floating type or of truth values."""
        error: IndexError = self._mistake(
            IndexError, f"an index holds integers, not {name}", {(id(read), d)},
            "write gu.where(mask[i], x[i], 0.0)" if name == "bool" else
            "write an integer, or index.long() for an index that is read",
            tensors=[read.arg[0]] if read.op == "read" else [],
        )  # fmt: skip
        return error

    def number_outside(self, read: Indexed, d: int, index: int, size: int) -> IndexError:
        """A constant index beyond its axis."""
        error: IndexError = self._mistake(
            IndexError, f"index {index} leaves axis {d} of size {size}", {(id(read), d)},
            f"write an index from {-size} to {size - 1}" if size else "the axis is empty",
            tensors=[read.arg[0]],
        )  # fmt: skip
        return error

    def leaves(
        self, tree: Indexed, d: int, bounds: tuple[int, int], size: int, sizes: Mapping[Axis, int],
        example: Mapping[Axis, int] | None = None,
    ) -> IndexError:  # fmt: skip
        """An index that can leave its axis: its range, and where a condition lets it."""
        source = tree.src[d] if tree.op == "read" else tree.src[1]
        marks: set[Mark] = {(id(tree), d)}
        ranges = ", ".join(f"{a.name} < {int(sizes[a])}" for a in source.free)
        ranges = f" (for {ranges})" if ranges else ""
        low, high = bounds
        axis = f"axis {d}" if tree.op == "read" else f"axis {tree.arg.name}"
        if low == dt.int64.min or high == dt.int64.max:
            what = f"nobody can tell before it runs which positions the index of {axis} takes"
            what += f"{ranges}; the axis has size {size}"
        else:
            what = f"the index of {axis} goes from {low} to {high}{ranges}, but the axis "
            what += f"has size {size}"
        if isinstance(source, Axis) and source.size is not None:
            what += f"; {source.name} was given size {source.size}"
            other = self._as_long(source)
            if other is not None:
                what += ", as another use of it has"
                marks.add(other)
        if example is not None:
            at = ", ".join(f"{a.name} = {v}" for a, v in example.items())
            what += f"; at {at} the condition of the where holds and the index is outside"
        if tree.op != "read":
            instead = "write gu.where(condition, index, 0) for the index and 0 for its term"
        else:
            instead = "gu.outside(x, value)[…] gives reads beyond the edge a value; gu.where("
            instead += "condition, x[…], value) reads only where the condition holds"
        error: IndexError = self._mistake(
            IndexError, what, marks, instead,
            tensors=[tree.arg[0]] if tree.op == "read" else [],
        )  # fmt: skip
        return error

    def _as_long(self, a: Axis) -> tuple[int, int] | None:
        """A use of an axis in a tensor that has its size."""
        for t in postorder(self.root):
            for d, s in enumerate(t.src if t.op == "read" else ()):
                if s is a and int(t.arg[0]._shape[d]) == a.size:
                    return id(t), d
        return None

    def data_leaves(self, read: Indexed, d: int, error: IndexError) -> IndexError:
        """An index that was read, and of which a known value leaves its axis."""
        what = str(error).partition("\n")[0].replace("an axis of size", f"axis {d} of size")
        found: IndexError = self._mistake(
            IndexError, what, {(id(read), d)},
            "gu.where(condition, x[index[i]], value) reads only where the condition holds",
            tensors=[read.arg[0]],
        )  # fmt: skip
        return found

    def nothing_to_choose(self, tree: Indexed) -> IndexError:
        """The extreme of no elements."""
        kind, axes = tree.arg
        error: IndexError = self._mistake(
            IndexError, f"{kind}({listed(axes)}): nothing to choose from: size 0",
            {(id(tree), n) for n in range(len(axes))}, "",
        )  # fmt: skip
        return error

    def refused(self, tree: Indexed, what: str, instead: str) -> TypeError:
        """A part of the expression that means nothing where it stands."""
        error: TypeError = self._mistake(TypeError, what, {id(tree)}, instead)
        return error
