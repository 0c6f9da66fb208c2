"""`x.storage_info()`: where a tensor's elements lie, and who else looks at the same memory.

Looks through all live objects, which takes a while: it is for people. Must not change anything.
"""

from __future__ import annotations

import gc
import html
import sys
import weakref
from types import FrameType
from typing import NamedTuple

from ..ir.extent import product
from .core import Core
from .errors import _PACKAGE, shape_text


class StorageInfo(NamedTuple):
    """Where a tensor's elements lie; `str` says it in words.

    strides, offset: in elements, of the memory behind it. elements: of the tensor. stored: places
    in memory that they take, fewer where an axis is repeated (its stride is 0). nbytes: of the
    whole memory. shared: the other tensors that look at it, each with the name it has where
    `storage_info` was called.
    """

    shape: tuple[int, ...]
    dtype: str
    strides: tuple[int, ...]
    offset: int
    elements: int
    stored: int
    nbytes: int
    state: str
    shared: tuple[str, ...]

    def __str__(self) -> str:
        size = self.nbytes * self.stored // max(1, self._places())
        lines = [
            f"{self.dtype} of shape {shape_text(self.shape)}: strides {shape_text(self.strides)}, "
            f"offset {self.offset}, in elements",
            f"{self.elements} elements, {self.stored} stored ({size} bytes)"
            + ("" if self.stored == self.elements else f": {self._repeated()}"),
            f"memory: {self.nbytes} bytes, {self.state}",
        ]
        if self.shared:
            lines.append("shared with " + "; ".join(self.shared))
        else:
            lines.append("shared with no other tensor")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def _places(self) -> int:
        from ..ir.dtype import BY_NAME

        return self.nbytes // BY_NAME[self.dtype].itemsize

    def _repeated(self) -> str:
        axes = [
            f"axis {d} repeats one copy {size} times"
            for d, (size, stride) in enumerate(zip(self.shape, self.strides, strict=True))
            if stride == 0 and size > 1
        ]
        return ", ".join(axes) or "there are no others"


def storage_info(t: Core) -> StorageInfo:
    """See `Tensor.storage_info`."""
    strides, offset = t.layout()
    shape = tuple(int(s) for s in t._shape)
    elements = int(product(shape))
    stored = int(product([n for n, s in zip(shape, strides, strict=True) if s]))
    storage = t._storage
    if storage.owner is not None:
        lent = type(storage.owner) is weakref.ref
        other = "others" if lent else type(storage.owner).__name__
        state = f"shared with {other} outside, which may write to it"
    elif storage.realised:
        state = "computed"
    else:
        state = "still to be computed"
    names = _names()
    # The tensor that a view was made of may be held by the view alone.
    others = [o for o in gc.get_objects() if issubclass(type(o), Core) and o is not t]
    shared = tuple(sorted(
        f"{names.get(id(o), 'a tensor')} of shape {shape_text(o._shape)}"
        for o in others if getattr(o, "_storage", None) is storage
    ))  # fmt: skip
    return StorageInfo(
        shape, storage.dtype.name, tuple(int(s) for s in strides), int(offset), elements,
        stored if elements else 0,
        int(product(storage.shape)) * storage.dtype.itemsize, state, shared,
    )  # fmt: skip


def _names() -> dict[int, str]:
    """The names of values where the user called, by id."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    if frame is None:
        return {}
    found = {id(v): k for k, v in frame.f_globals.items() if isinstance(v, Core)}
    found.update((id(v), k) for k, v in frame.f_locals.items() if isinstance(v, Core))
    return found


__all__ = ["StorageInfo", "storage_info"]
