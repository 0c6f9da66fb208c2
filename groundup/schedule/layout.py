"""How temporaries lie in memory: row-major, or images with their channels or their batch innermost.

Must not know kernels.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..ir.transform import body_nodes, product_of
from .fuse import Group
from .order import mixes, narrow
from .sizes import Size, Span, row_major_strides, size_of

BATCH = 16  # images that fill a vector


def innermost(shape: tuple[Size, ...], axis: int) -> tuple[Size, ...]:
    """Strides of contiguous memory in which `axis` varies fastest, the others row-major."""
    return permuted(shape, [i for i in range(len(shape)) if i != axis] + [axis])


def permuted(shape: tuple[Size, ...], order: list[int]) -> tuple[Size, ...]:
    """Strides of contiguous memory with the axes in this order, the last one fastest."""
    inner = row_major_strides(tuple(shape[i] for i in order))
    strides: list[Size] = [0] * len(shape)
    for i, s in zip(order, inner):
        strides[i] = s
    return tuple(strides)


def strides(
    shape: tuple[int, ...], images: Mapping[tuple[int, int], tuple[int, ...]]
) -> tuple[Size, ...]:
    """Of a temporary: row-major, or an image's (see `images`)."""
    sizes = tuple(size_of(s) for s in shape)
    spatial = images.get((len(shape), int(shape[0]) if shape else 0))
    if spatial is None:
        return row_major_strides(sizes)
    channels = [i for i in range(1, len(shape)) if i not in spatial]
    if narrow(shape, spatial, Span()) and int(shape[0]) >= BATCH:
        return permuted(sizes, [*channels, *spatial, 0])
    return permuted(sizes, [0, *spatial, *channels])


def images(groups: list[Group]) -> dict[tuple[int, int], tuple[int, ...]]:
    """(rank, extent of the first axis) of what convolutions read → its axes of pixels.

    Such tensors, and those that go with them, are kept with the channels innermost (NHWC), or with
    the batch innermost where the channels are few: either way vectors lie along what a convolution
    neither slides over nor pads.
    """
    found: dict[tuple[int, int], tuple[int, ...]] = {}

    def note(shape: tuple[int, ...], spatial: set[int]) -> None:
        if spatial and 0 not in spatial:
            found.setdefault((len(shape), int(shape[0])), tuple(sorted(spatial)))

    for g in groups:
        for n in g.reductions:
            if not n.arg[2].startswith("dot"):
                continue
            for r in product_of(n.src[0]) or ():
                mixed = {i for i, ix in enumerate(r.src[1:]) if mixes(ix)}
                ours = {
                    v.arg for i in mixed for v in body_nodes(r.src[1 + i]) if v.op == "out"
                }  # fmt: skip
                if r.src[1:2] and r.src[1].op == "out":
                    note(g.shape, ours)
                if len(r.src) > 3 and r.src[1].op in ("out", "red") and r.src[0].op != "buffer":
                    note(r.src[0].shape, mixed)
    return found
