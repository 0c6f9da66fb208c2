"""Shape errors of what indexes, masks and reshapes: the picture, a mark under what does not fit,
and what would. Must not know what the operations compute.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir.extent import product
from .errors import Marks, ShapeError, at_line, differing, lined_up, shape_text

Shape = Sequence[int]


def _ending(marks: Marks, instead: str, **shapes: Shape) -> str:
    return lined_up(marks, **shapes) + f"\n  {instead}" + at_line()


def positions(
    name: str, d: int, tensor: Shape, index: Shape, source: Shape | None = None
) -> ShapeError:
    """The error of an index that has the axes of its tensor, a position for each of its elements,
    and of the source that is put there: the index is no longer than the source, nor, but along
    axis d, than the tensor."""
    shapes = {"tensor": tensor, "index": index}
    if source is not None:
        shapes["source"] = source
    what = "the index has the tensor's" if source is None else "index and source have the tensor's"
    if any(len(s) != len(tensor) for s in shapes.values()):
        odd = next(key for key, s in shapes.items() if len(s) != len(tensor))
        less, more = sorted(("tensor", odd), key=lambda key: len(shapes[key]))
        instead = f"{less}.unsqueeze(dim) adds an axis of size 1, expand repeats it"
        return ShapeError(
            f"{name}: {what} number of axes"
            + _ending({more: len(shapes[less]) + 1}, instead, **shapes)
        )
    for e, size in enumerate(index):
        for other in ("source", "tensor"):
            if other not in shapes or (other == "tensor" and e == d):
                continue
            most = int(shapes[other][e])
            if int(size) > most:
                apart = f" (only axis {d} may be)" if other == "tensor" else ""
                marks: Marks = {"index": len(index) - e, other: len(index) - e}
                return ShapeError(
                    f"{name}: the index is longer than the {other} on axis {e}{apart}"
                    + _ending(marks, f"write index.narrow({e}, 0, {most})", **shapes)
                )
    raise AssertionError("these shapes fit")


def parts(name: str, d: int, tensor: Shape, index: Shape, source: Shape) -> ShapeError:
    """The error of an index that names parts along axis d, and of the source that has one for
    each."""
    shapes = {"tensor": tensor, "index": index, "source": source}
    if len(index) > 1:
        return one_axis(name, index)
    wanted = (*tensor[:d], int(product(tuple(index))), *tensor[d + 1 :]) if tensor else ()
    axis = differing(source, wanted)
    marks: Marks = {"source": axis, "wanted": axis}
    return ShapeError(
        f"{name}: the source has the tensor's shape, but as many parts along axis {d} as the index "
        f"has positions: {shape_text(wanted)}"
        + _ending(marks, "source.expand repeats axes of size 1", **shapes, wanted=wanted)
    )


def one_axis(name: str, index: Shape, instead: str = "write index.reshape(-1)") -> ShapeError:
    """The error of an index that is no list."""
    return ShapeError(
        f"{name}: the index is a list, of one axis" + _ending(len(index), instead, index=index)
    )


def mask(tensor: Shape, found: Shape, axis: int) -> IndexError:
    """The error of a mask that has not the size of the axes that it stands for, from `axis` on."""
    covered = tuple(tensor[axis : axis + len(found)])
    fits = [
        k for k in range(len(tensor) - len(found) + 1)
        if tuple(map(int, tensor[k : k + len(found)])) == tuple(map(int, found))
    ]  # fmt: skip
    if fits:
        instead = f"write x[{':, ' * fits[0]}mask] for axis {fits[0]}"
    elif all(int(m) in (1, int(s)) for m, s in zip(reversed(found), reversed(tensor))):
        instead = "gu.where(mask, x, value) and x.masked_select(mask) broadcast a mask"
    else:
        instead = f"a condition on what it indexes has that shape, {shape_text(covered)}"
    marks = differing(found, covered)
    return IndexError(
        f"a mask must have the size of the axes it indexes, from axis {axis} on"
        + _ending(marks, instead, mask=found, axes=covered)
    )


def too_many(used: int, tensor: Shape, masks: Sequence[Shape]) -> IndexError:
    """The error of more indices than axes; a mask stands for all of its own."""
    shapes = {"tensor": tensor, **{f"mask {n}" if n else "mask": m for n, m in enumerate(masks)}}
    note = "a mask stands for as many axes as it has" if masks else f"write at most {len(tensor)}"
    marks = {"mask": len(masks[0])} if masks and len(masks[0]) > len(tensor) else 0
    return IndexError(
        f"{used} indices for a tensor of {len(tensor)} axes" + _ending(marks, note, **shapes)
    )


def elements(name: str, source: Shape, wanted: Shape) -> ShapeError:
    """The error of a shape that has another number of elements: the first size that does not go
    into what the sizes before it leave is marked, else the last."""
    total, sizes = int(product(tuple(source))), [int(s) for s in wanted]
    known = [s for s in sizes if s != -1]
    if -1 in sizes:
        what = f"{total} elements do not divide into {shape_text(wanted)}"
    else:
        what = f"{total} elements cannot be shown as {int(product(tuple(known)))}"
    left, culprit = total, len(sizes) - 1
    for n, size in enumerate(sizes):
        if size == -1:
            continue
        if size == 0 or left % size:
            culprit = n
            break
        left //= size
    others = int(product(tuple(s for n, s in enumerate(sizes) if n != culprit and s != -1)))
    instead = f"the sizes of a shape multiply to {total}"
    if -1 in sizes and total:
        instead = f"the sizes beside -1 multiply to a divisor of {total}"
    elif -1 in sizes:
        instead += ": give each of them, for -1 could be any"
    elif sizes and others and total % others == 0:
        fitting = [*sizes[:culprit], total // others, *sizes[culprit + 1 :]]
        instead += f", as those of {shape_text(fitting)}"
    return ShapeError(
        f"{name}: {what}"
        + _ending(len(sizes) - culprit if sizes else 0, instead, source=source, wanted=wanted)
    )
