"""Storages: what a tensor and its views share: a value, in memory or still an expression.

The one place where a value is read for an expression or replaced, so that `jit` can watch both.
Must not know views, derivatives or operations.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from threading import get_ident
from typing import TYPE_CHECKING, Any, Protocol

from ..emit.elements import load, store
from ..ir import node as ir
from ..ir.dtype import DType, bfloat16, float16
from ..ir.extent import product
from ..ir.node import Node
from ..ir.scalar import Number
from ..runtime import Buffer, allocate, pool
from . import door
from .engine import compute
from .errors import at_line
from .mode import state

LIMIT = 2000  # tensors that one pending value may still have to compute, before it is realised
_NEVER = 1 << 62
# Held where a storage changes from one form of its value into another. Never for long: not while
# something is computed.
changing = threading.RLock()
pool.hold_at_fork(changing)
_HALF = (float16, bfloat16)  # memoryview has no format for these


class Tracer(Protocol):
    """What `jit` hangs in while it captures a function."""

    numbers: bool  # an optimizer's were asked for

    def read(self, storage: Storage) -> Node | None:
        """Called before a storage's value enters an expression; may give another node for it."""

    def writes(self, storage: Storage, node: Node) -> bool:
        """Called before a storage gets a new value; says whether the tracer keeps it: then the
        storage, which other threads see as well, stays as it is."""

    def made(self, storage: Storage) -> bool:
        """Was a storage made by the function that is captured?"""

    def written(self, storage: Storage) -> Node | None:
        """The new value of a storage that the tracer keeps."""

    def copied(self, source: Any, copy: Callable[[Any], Storage], storage: Storage) -> None:
        """Called when a storage is made of a foreign array, by a function that makes it."""


tracers: dict[int, Tracer] = {}  # by thread; what is asked often asks first whether it is empty
births = count(1)
serial = 0  # operations since the start, see Storage.oldest
# Of hooks, and of the kind of history that a watched value has: a captured function that reaches
# one may have to be captured again.
changes = 0

if TYPE_CHECKING:
    tracer: Tracer | None  # of this thread
else:

    def __getattr__(name: str) -> Any:
        if name == "tracer":
            return tracing()
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def tracing() -> Tracer | None:
    """The tracer of this thread, if it captures a function."""
    return tracers.get(get_ident())


def set_tracer(new: Tracer | None) -> Tracer | None:
    """Install a tracer in this thread (None: none) and return the one before."""
    old = tracers.pop(get_ident(), None)
    if new is not None:
        tracers[get_ident()] = new
    return old


def _born() -> int:
    """The number of a storage that is made while some thread captures: 0 in all others."""
    return next(births) if tracing() is not None or state.mapped else 0


def asked(what: str) -> None:
    """Raise if a value is asked for while a function is being captured."""
    if tracers and tracing() is not None:
        raise RuntimeError(
            f"{what} asks for a value while jit captures the function: nothing has been computed "
            f"yet; return the tensor and ask for its value outside" + at_line()
        )


class Lease:
    """Held by all that sees a storage's memory from outside; at its end the storage is alone."""

    __slots__ = ("__weakref__",)
class Owner(weakref.ref["Storage"]):
    """Which storage holds the value of a node; several: another has held it, too."""

    __slots__ = ("several",)
    several: bool


def alone(node: Node, storage: Storage) -> bool:
    """Has no other storage ever held the value of a node?"""
    owner = node.owner
    return isinstance(owner, Owner) and owner() is storage and not owner.several


class Storage:
    """A tensor's value: memory, a number (0-d), or a pending expression; and a version.

    buffer   row-major memory of the current value, if there is any
    number   the value of a 0-d storage known without memory
    pending  the expression of the current value; kept beside `buffer` only where a derivative may
             flow through it
    cut      of a value without expression: who took away the history that it should have, if it
             should have one
    watched  does a captured function reach it?
    """

    __slots__ = (
        "__weakref__", "_items", "_memory", "born", "buffer", "cut", "dtype", "number", "oldest",
        "owner", "pending", "shape", "span", "version", "watched",
    )  # fmt: skip

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: DType,
        pending: Node | None = None,
        buffer: Buffer | None = None,
        number: Number | None = None,
    ) -> None:
        if door.watcher is not None:
            door.watcher()
        self.shape, self.dtype = shape, dtype
        self.pending, self.buffer, self.number = pending, buffer, number
        self.version = 0
        # Tells what was made while jit captures.
        self.born = _born() if tracers else next(births)
        if pending is not None:
            self._owns(pending)
        # The operation count when the oldest part of the pending expression was written: the span
        # to now bounds how many tensors it still has to compute.
        self.oldest = serial if pending is not None else _NEVER
        # Set where others write to the memory as well: whose it is, or a weak reference to what
        # those hold who see ours.
        self.owner: Any = None
        self.cut: ir.Cut | None = None
        self.watched = False
        self.span: tuple[int, int, int] | None = None  # (version, least, greatest) of an index
        self._items: Any = None  # a memoryview
        self._memory: weakref.ref[Node] | None = None

    # ---- the two doors that a tracer watches -----------------------------------------------

    def read(self) -> Node:
        """The value as a tensor node."""
        if tracers and (tracer := tracing()) is not None:
            seen = tracer.read(self)
            if seen is not None:
                return seen
        pending = self.pending  # once: another thread may be computing it
        if pending is not None:
            return pending
        # Held before it is asked whose it is: who lends it meanwhile goes on with a copy. A number
        # goes into memory, so that other values of it share one compiled plan.
        buffer = self.buffer or self.memory()
        if self.owner is not None:  # others may write to it later: take the value now
            node = ir.buffer(buffer.copied(), self.shape, self.dtype)
            return node if self.cut is None else ir.cut(node, self.cut)
        known = self._memory() if self._memory is not None else None
        if known is None or known.value is not buffer:
            known = ir.buffer(buffer, self.shape, self.dtype)
            self._memory = weakref.ref(known)
        return known if self.cut is None else ir.cut(known, self.cut)

    def replace(self, node: Node, oldest: int) -> None:
        """Give the storage a new value; every view sees it."""
        tracer = tracing() if tracers else None
        if tracer is not None and tracer.writes(self, node):
            return
        self.watch(node.tracked, node.cut)
        if self.owner is not None and tracer is None:
            self.version += 1
            self._write_through(node)
            self.cut = node.cut
            return
        with changing:
            self.version += 1
            self.pending, self.oldest = node, oldest  # first: at no time is there no value
            self._items = self.buffer = self.number = self._memory = self.cut = None
        self._owns(node)

    def put(self, buffer: Buffer) -> None:
        """Give the storage a new value that has been computed already; nobody is capturing."""
        self.watch(False, None)
        with changing:
            self.version += 1
            self.buffer, self.oldest = buffer, _NEVER
            self._items = self.number = self.pending = self._memory = self.cut = None

    def history(self) -> tuple[bool, ir.Cut | None]:
        """May a derivative flow through the value; and who took away a part of its history?"""
        pending = self.current()
        return (False, self.cut) if pending is None else (pending.tracked, pending.cut)

    def watch(self, tracked: bool, cut: ir.Cut | None) -> None:
        """Tell captured functions that reach it of a value with another kind of history."""
        global changes
        if self.watched and self.history() != (tracked, cut):
            changes += 1

    def cut_off(self, by: ir.Cut) -> None:
        """Somebody has taken away a part of the value's history."""
        pending = self.pending
        if pending is not None:
            self.replace(ir.cut(pending, by), self.oldest)
        else:
            self.watch(False, by)
            self.cut = by

    def _owns(self, node: Node) -> None:
        """Let a value know who will ask for it: what is computed from it computes it, too.

        A gradient, or a weight written without grad mode, is detached from its history; other
        gradients, and the next step, are computed from what it detaches.
        """
        ref = Owner(self)
        ref.several = node.owner is not None
        node.owner = ref
        if node.op == "detach":
            node.src[0].owner = ref

    # ---- memory ----------------------------------------------------------------------------

    @property
    def realised(self) -> bool:
        """Is the value known, without anything left to compute?"""
        return self.buffer is not None or self.number is not None

    def pending_tracked(self) -> bool:
        """May a derivative flow through the value?"""
        pending = self.current()
        return pending is not None and pending.tracked

    def current(self) -> Node | None:
        """The pending expression, as the function sees it that this thread captures."""
        if tracers and (tracer := tracing()) is not None:
            seen = tracer.written(self)
            if seen is not None:
                return seen
        return self.pending

    def settle(self, node: Node, buffer: Buffer) -> None:
        """The value `node` has been computed into `buffer`."""
        if node.op != "buffer":
            node.cache = buffer
        if node.op == "detach":
            node.src[0].cache = buffer
        with changing:
            if self.pending is not node:  # another thread has written to it, or has asked for it
                return
            self.buffer, self._items = buffer, None
            self.oldest = _NEVER
            if not node.tracked:
                self.cut = node.cut  # first: who finds no expression looks there
                self.pending = self._memory = None

    def items(self) -> Any:
        """The elements of realised memory, as a flat memoryview of the dtype's format."""
        items = self._items
        if items is None:
            buffer = self.memory()
            items = buffer.memoryview()[: product(self.shape) * self.dtype.itemsize]
            items = items.cast("H" if self.dtype in _HALF else self.dtype.fmt)  # type: ignore[call-overload]
            with changing:
                if self.buffer is buffer:
                    self._items = items
        return items

    def memory(self) -> Buffer:
        """The memory of a storage that was realised: another thread may have written to it since.
        A number becomes memory, which is whole before any thread sees it."""
        while (buffer := self.buffer) is None:
            with changing:
                number, pending = self.number, self.pending
                if self.buffer is None and number is not None:
                    fresh = allocate(max(1, self.dtype.itemsize))
                    store(fresh, [number], self.dtype)
                    self.buffer = fresh
                    self.number = None
            if number is None and pending is not None:
                self.settle(pending, compute([pending])[0])
        return buffer

    def values(self) -> list[Number]:
        """All elements of a realised storage, in row-major order, as Python numbers."""
        number = self.number
        if number is not None:
            return [number]
        if self.dtype in _HALF:
            return load(self.memory(), self.dtype, product(self.shape))
        return self.items().tolist()  # type: ignore[no-any-return]

    def get(self, position: int) -> Number:
        """One element of a realised storage."""
        number = self.number
        if number is not None:
            return number
        if self.dtype in _HALF:
            return self.values()[position]
        return (self._items or self.items())[position]  # type: ignore[no-any-return]

    def set(self, position: int, value: Number) -> None:
        """Write one element (a value of the dtype) of an untracked realised storage in place."""
        if self.number is not None and self._renumbered(value):
            pass
        else:
            self.own()
            if self.dtype in _HALF:
                self._store_half(position, value)
            else:
                (self._items or self.items())[position] = value
        self.version += 1

    def _renumbered(self, value: Number) -> bool:
        """Another number, if no thread has put it into memory meanwhile."""
        with changing:
            known = self.number is not None
            if known:
                self.number = value
            return known

    def _store_half(self, position: int, value: Number) -> None:
        one = allocate(2)
        store(one, [value], self.dtype)
        self.items()[position] = one.read("=H")[0]

    def own(self) -> None:
        """Make the memory this storage's alone: whoever else holds it denotes the old value."""
        if self.owner is None:
            self._take()

    def _take(self) -> None:
        """Leave the memory to whoever else holds it, if somebody does."""
        buffer = self.buffer
        assert buffer is not None
        # The attribute, this variable, the call's argument; the memoryview.
        held = 3 if self._items is None or not len(self._items) else 4
        if sys.getrefcount(buffer) > held:
            self.buffer = buffer.copied()
            self._items = self._memory = None

    def lend(self) -> object:
        """What must live while somebody outside sees the (realised) memory; until then it is read
        and written at once."""
        with changing:
            owner = self.owner
            lease = owner() if type(owner) is weakref.ref else owner
            if lease is None:
                lease = Lease()
                me = weakref.ref(self)

                def returned(ref: weakref.ref[Any]) -> None:
                    s = me()
                    if s is not None and s.owner is ref:
                        s.owner = None
                        s.version += 1  # nobody told what was written

                self._take()
                self.owner = weakref.ref(lease, returned)
                self._take()  # from who has asked meanwhile whose it is
                self.version += 1  # expressions known to be this value hold it as it was
            return lease

    def _write_through(self, node: Node) -> None:
        assert self.buffer is not None
        (result,) = compute([node])
        self.buffer.write_bytes(result.read_bytes(0, product(self.shape) * self.dtype.itemsize))

    def __reduce__(self) -> Any:
        from .pickled import storage_parts

        return storage_parts(self)


def of_memory(shape: tuple[int, ...], dtype: DType, buffer: Buffer) -> Storage:
    """`Storage(shape, dtype, None, buffer)`, in half the time."""
    if door.watcher is not None:
        door.watcher()
    s: Storage = _new(Storage)
    s.shape, s.dtype, s.buffer, s.version, s.oldest = shape, dtype, buffer, 0, _NEVER
    s.pending = s.number = s.cut = s.owner = s.span = s._items = s._memory = None
    s.watched = False
    s.born = _born() if tracers else next(births)
    return s


_new = Storage.__new__


def from_values(values: Sequence[Number], shape: tuple[int, ...], dtype: DType) -> Storage:
    """Realised memory with these elements (each a value of the dtype), in row-major order."""
    buffer = allocate(max(1, len(values) * dtype.itemsize))
    store(buffer, values, dtype)
    return Storage(shape, dtype, buffer=buffer)


def oldest(storages: Iterable[Storage]) -> int:
    """The oldest pending part among storages that enter one operation."""
    return min((s.oldest for s in storages), default=_NEVER)
