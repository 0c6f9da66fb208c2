"""Storages: what a tensor and its views share: a value, in memory or still an expression.

The one place where a value is read for an expression or replaced, so that `jit` can watch both.
Must not know views, derivatives or operations.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any, Protocol

from ..emit.elements import load, store
from ..ir import node as ir
from ..ir.dtype import DType, bfloat16, float16
from ..ir.extent import product
from ..ir.node import Node
from ..ir.scalar import Number
from ..runtime import Buffer, allocate
from .engine import compute
from .errors import at_line

LIMIT = 2000  # tensors that one pending value may still have to compute, before it is realised
_NEVER = 1 << 62
_HALF = (float16, bfloat16)  # memoryview has no format for these


class Tracer(Protocol):
    """What `jit` hangs in while it captures a function."""

    def read(self, storage: Storage) -> Node | None:
        """Called before a storage's value enters an expression; may give another node for it."""

    def writes(self, storage: Storage) -> None:
        """Called before a storage gets a new value."""

    def copied(self, source: Any, copy: Callable[[Any], Storage], storage: Storage) -> None:
        """Called when a storage is made of a foreign array, by a function that makes it."""


tracer: Tracer | None = None
births = count()
serial = 0  # operations since the start, see Storage.oldest


def set_tracer(new: Tracer | None) -> Tracer | None:
    """Install a tracer (None: none) and return the one before."""
    global tracer
    old, tracer = tracer, new
    return old


def asked(what: str) -> None:
    """Raise if a value is asked for while a function is being captured."""
    if tracer is not None:
        raise RuntimeError(
            f"{what} asks for a value while jit captures the function: nothing has been computed "
            f"yet; return the tensor and ask for its value outside" + at_line()
        )


class Storage:
    """A tensor's value: memory, a number (0-d), or a pending expression; and a version.

    buffer   row-major memory of the current value, if there is any
    number   the value of a 0-d storage known without memory
    pending  the expression of the current value; kept beside `buffer` only where a derivative may
             flow through it
    """

    __slots__ = (
        "__weakref__", "_items", "_memory", "born", "buffer", "dtype", "number", "oldest", "owner",
        "pending", "shape", "span", "version",
    )  # fmt: skip

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: DType,
        pending: Node | None = None,
        buffer: Buffer | None = None,
        number: Number | None = None,
    ) -> None:
        self.shape, self.dtype = shape, dtype
        self.pending, self.buffer, self.number = pending, buffer, number
        self.version = 0
        self.born = next(births)  # tells what was made while jit captures
        if pending is not None:
            self._owns(pending)
        # The operation count when the oldest part of the pending expression was written: the span
        # to now bounds how many tensors it still has to compute.
        self.oldest = serial if pending is not None else _NEVER
        self.owner: Any = None  # foreign memory (from_numpy(copy=False)), written by others as well
        self.span: tuple[int, int, int] | None = None  # (version, least, greatest) of an index
        self._items: Any = None  # a memoryview
        self._memory: weakref.ref[Node] | None = None

    # ---- the two doors that a tracer watches -----------------------------------------------

    def read(self) -> Node:
        """The value as a tensor node."""
        if tracer is not None:
            seen = tracer.read(self)
            if seen is not None:
                return seen
        if self.pending is not None:
            return self.pending
        if self.number is not None:
            self.items()  # into memory, so that other values of it share one compiled plan
        if self.owner is not None:  # others may write to it later: take the value now
            return ir.buffer(self._copied(), self.shape, self.dtype)
        node = self._memory() if self._memory is not None else None
        if node is None:
            node = ir.buffer(self.buffer, self.shape, self.dtype)
            self._memory = weakref.ref(node)
        return node

    def replace(self, node: Node, oldest: int) -> None:
        """Give the storage a new value; every view sees it."""
        if tracer is not None:
            tracer.writes(self)
        self.version += 1
        if self.owner is not None and tracer is None:
            self._write_through(node)
            return
        self._items = self.buffer = self.number = self._memory = None
        self.pending, self.oldest = node, oldest
        self._owns(node)

    def put(self, buffer: Buffer) -> None:
        """Give the storage a new value that has been computed already; nobody is capturing."""
        self.version += 1
        self._items = self.number = self.pending = self._memory = None
        self.buffer, self.oldest = buffer, _NEVER

    def _owns(self, node: Node) -> None:
        """Let a value know who will ask for it: what is computed from it computes it, too.

        A gradient is detached from its history; other gradients are computed from what it detaches.
        """
        node.owner = ref = weakref.ref(self)
        if node.op == "detach":
            value = node.src[0]
            if value.owner is None or value.owner() is None:
                value.owner = ref

    # ---- memory ----------------------------------------------------------------------------

    @property
    def realised(self) -> bool:
        """Is the value known, without anything left to compute?"""
        return self.buffer is not None or self.number is not None

    def pending_tracked(self) -> bool:
        """May a derivative flow through the value?"""
        return self.pending is not None and self.pending.tracked

    def settle(self, buffer: Buffer) -> None:
        """The pending value has been computed into `buffer`."""
        node = self.pending
        assert node is not None
        self.buffer, self._items = buffer, None
        self.oldest = _NEVER
        if node.op != "buffer":
            node.cache = buffer
        if node.op == "detach":
            node.src[0].cache = buffer
        if not node.tracked:
            self.pending = self._memory = None

    def items(self) -> Any:
        """The elements of realised memory, as a flat memoryview of the dtype's format."""
        items = self._items
        if items is None:
            if self.buffer is None:
                self.buffer = allocate(max(1, self.dtype.itemsize))
                store(self.buffer, [self.number], self.dtype)  # type: ignore[list-item]
                self.number = None
            items = self.buffer.memoryview()[: product(self.shape) * self.dtype.itemsize]
            items = items.cast("H" if self.dtype in _HALF else self.dtype.fmt)  # type: ignore[call-overload]
            self._items = items
        return items

    def values(self) -> list[Number]:
        """All elements of a realised storage, in row-major order, as Python numbers."""
        if self.number is not None:
            return [self.number]
        if self.dtype in _HALF:
            assert self.buffer is not None
            return load(self.buffer, self.dtype, product(self.shape))
        return self.items().tolist()  # type: ignore[no-any-return]

    def get(self, position: int) -> Number:
        """One element of a realised storage."""
        if self.number is not None:
            return self.number
        if self.dtype in _HALF:
            return self.values()[position]
        return (self._items or self.items())[position]  # type: ignore[no-any-return]

    def set(self, position: int, value: Number) -> None:
        """Write one element (a value of the dtype) of an untracked realised storage in place."""
        if self.number is not None:
            self.number = value
        else:
            self.own()
            if self.dtype in _HALF:
                self._store_half(position, value)
            else:
                (self._items or self.items())[position] = value
        self.version += 1

    def _store_half(self, position: int, value: Number) -> None:
        one = allocate(2)
        store(one, [value], self.dtype)
        self.items()[position] = one.read("=H")[0]

    def own(self) -> None:
        """Make the memory this storage's alone: whoever else holds it denotes the old value."""
        assert self.buffer is not None
        # One reference is this attribute, one the call's argument, one the memoryview's.
        held = 2 if self._items is None or not len(self._items) else 3
        if self.owner is None and sys.getrefcount(self.buffer) > held:
            self.buffer = self._copied()
            self._items = self._memory = None

    def _copied(self) -> Buffer:
        assert self.buffer is not None
        fresh = allocate(self.buffer.nbytes)
        fresh.write_bytes(self.buffer.memoryview())
        return fresh

    def _write_through(self, node: Node) -> None:
        assert self.buffer is not None
        (result,) = compute([node])
        self.buffer.write_bytes(result.read_bytes(0, product(self.shape) * self.dtype.itemsize))


def from_values(values: Sequence[Number], shape: tuple[int, ...], dtype: DType) -> Storage:
    """Realised memory with these elements (each a value of the dtype), in row-major order."""
    buffer = allocate(max(1, len(values) * dtype.itemsize))
    store(buffer, values, dtype)
    return Storage(shape, dtype, buffer=buffer)


def oldest(storages: Iterable[Storage]) -> int:
    """The oldest pending part among storages that enter one operation."""
    return min((s.oldest for s in storages), default=_NEVER)
