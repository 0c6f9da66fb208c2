"""The core of Tensor: a storage seen through a chain of views, as a value, read and written.

Operations live in their own rooms and call `operand`, `finish` and `assign`. Must not know any
operation.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..ir import node as ir
from ..ir.dtype import DType
from ..ir.extent import product
from ..ir.node import Node
from ..ir.scalar import Number
from ..ir.transform import toposort
from ..runtime import Buffer, allocate, pool
from . import door
from . import storage as store
from .engine import compute, debugging
from .errors import GradError, ShapeError, at_line, computed_at, lined_up, user_line
from .leaf import Leaf
from .mode import state
from .storage import LIMIT, Storage
from .view import Affine, Shape, View, contiguous_strides, same_shape

if TYPE_CHECKING:
    from .tensor import Tensor


class Size(tuple[int, ...]):
    """A shape: a tuple of sizes with PyTorch's `numel`."""

    __slots__ = ()

    def numel(self) -> int:
        """The number of elements."""
        return product(self)


class Deferred:
    """What pointwise operations accept beside tensors: an expression that is closed later."""

    __slots__ = ()

    def mapped(self, body: Callable[[Node], Node], floating: bool, name: str) -> Any:
        """A pointwise function of it; `floating` makes integers float32 first."""
        raise NotImplementedError

    def combined(self, op: str, a: Any, b: Any) -> Any:
        """An operation of two operands, one of them this."""
        raise NotImplementedError

    def applied(
        self, name: str, body: Callable[[Node, Node], Node], floating: bool, a: Any, b: Any
    ) -> Any:
        """A function of two operands, one of them this; `floating` makes integers float32 first."""
        raise NotImplementedError

    def chosen(self, condition: Any, a: Any, b: Any) -> Any:
        """a where the condition holds, else b; one of the three is this."""
        raise NotImplementedError

    def known_as(self, name: str, operands: tuple[Any, ...]) -> Any:
        """Itself, which errors call name(operands)."""
        raise NotImplementedError


def has_axes(key: Any) -> bool:
    """Is an index written in axes?"""
    if type(key) is tuple:
        return any(isinstance(k, Deferred) for k in key)
    return isinstance(key, Deferred)


class Core:
    """What every Tensor is: (storage, view), and whether derivatives are asked for."""

    _storage: Storage
    _shape: Shape
    _parent: Core | None = None  # the tensor that this one is a view of
    _view: View | None = None
    _leaf: Leaf | None = None
    _detached: bool = False
    _retains: Leaf | None = None  # of a computed tensor whose derivative is kept, or has hooks
    _used: int = -1  # the version whose value has last entered an expression
    _viewed: bool = False  # has there been a view of it?
    _grad: Tensor | None = None
    _known: tuple[int, weakref.ref[Node]] | None = None  # the value of a version, while in use
    _layout: tuple[Shape, int] | None = None  # strides and offset in the storage

    @staticmethod
    def _make(storage: Storage) -> Tensor:
        """A Tensor (not a subclass) that is the whole of a storage."""
        raise NotImplementedError

    # ---- what it is ------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The sizes of the axes."""
        return Size(self._shape)

    @property
    def dtype(self) -> DType:
        """The type of the elements."""
        return self._storage.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._shape)

    def layout(self) -> tuple[Shape, int]:
        """Strides and offset, in elements, in the storage's row-major memory."""
        layout = self._layout
        if layout is None:
            if self._parent is None:
                layout = contiguous_strides(self._shape), 0
            else:
                assert self._view is not None
                layout = self._view.strides(*self._parent.layout())
            self._layout = layout
        return layout

    # ---- its value as an expression ----------------------------------------------------------

    @property
    def node(self) -> Node:
        """The value as an expression (a tensor node of this shape and dtype)."""
        if self._parent is None and self._leaf is None and not (self._detached or self._retains):
            self._used = self._storage.version
            return self._storage.read()
        chain: list[Core] = []
        at: Core | None = self
        node: Node | None = None
        piece: Node | None = None
        known_apart = store.tracers and store.tracing() is not None  # captured values are others
        while at is not None:
            if not known_apart and at._known is not None:
                version, ref = at._known
                if version == self._storage.version:
                    node = ref()
                    if node is not None:
                        break
            chain.append(at)
            if at._parent is not None and not known_apart:
                piece = at._piece()
                if piece is not None:
                    break
            at = at._parent
        for t in reversed(chain):
            t._used = self._storage.version
            if piece is not None:
                node, piece = piece, None
            elif t._view is not None:
                assert node is not None
                node = t._view.apply(node)
            elif node is None:
                node = self._storage.read()
            if t._detached:
                node = ir.detach(node)
            if t._leaf is not None:
                # What an alias has written there may have a history; that of a leaf begins here.
                # (That of a function of functions, without a tensor, stands on a history outside.)
                node = ir.leaf(ir.detach(node) if t._leaf.tensor else node, t._leaf)
            elif t._retains is not None and t._retained():
                node = ir.leaf(node, t._retains)
            if not known_apart and self._storage.owner is None:
                t._known = (self._storage.version, weakref.ref(node))
        assert node is not None
        return node

    def _retained(self) -> bool:
        """Is there a leaf for the present value? Hooks stay with the value that they were for."""
        leaf = self._retains
        assert leaf is not None
        if leaf.version != self._storage.version:
            self._retains = Leaf(self) if leaf.keeps else None
            if self._retains is not None:
                self._retains.version = self._storage.version
        return self._retains is not None

    def _piece(self) -> Node | None:
        """A row-major part of memory that no derivative flows to, as memory of its own.

        Wherever x[a : a + n] begins: expressions of it are equal, and share one compiled plan. Of
        memory that others write to, a copy of that part alone.
        """
        s, shape = self._storage, self._shape
        memory = s.buffer  # once: another thread may give the storage another value
        if memory is None or s.pending is not None:
            return None
        strides, offset = self.layout()
        count, step = 1, 1
        for n, stride in zip(reversed(shape), reversed(strides), strict=True):
            if type(n) is not int or (stride != step and n != 1):
                return None
            count, step = count * n, step * n
        if not count or count == product(s.shape) or self.tracked():
            return None
        item = s.dtype.itemsize
        part = Buffer.from_object(memory.address + offset * item, count * item, memory)
        if s.owner is not None:
            part = part.copied()
        node = ir.buffer(part, shape, s.dtype)
        return node if s.cut is None or self.cut() is None else ir.cut(node, s.cut)

    def tracked(self) -> bool:
        """May a derivative flow from here to a leaf, were grad mode on?"""
        at: Core | None = self
        while at is not None:
            if at._leaf is not None:
                return True
            if at._detached:
                return False
            at = at._parent
        return self._storage.pending_tracked()

    def cut(self) -> ir.Cut | None:
        """Who took away a part of the history that the value should have?"""
        at: Core | None = self
        while at is not None:
            if at._detached:
                return None
            at = at._parent
        return self._storage.history()[1]

    def number(self) -> Number | None:
        """The value of a 0-d tensor if it can be had and used without any expression."""
        s = self._storage
        if s.pending is not None or (store.tracers and store.tracing() is not None):
            return None
        if state.anomaly is not None:  # each operation is an expression, to be looked at
            return None
        if s.cut is not None and state.grad:
            return None
        if (self._leaf is not None or self._parent is not None) and state.grad and self.tracked():
            return None
        return s.get(self.layout()[1])

    # ---- views -------------------------------------------------------------------------------

    def through(self, view: View) -> Tensor:
        """This tensor seen through a view; both share their storage."""
        if door.watcher is not None:
            door.watcher()
        parent: Core = self
        # Strides of axes of size 1 depend on how the view came about; the others do not.
        layout = view.strides(*self.layout()) if 1 in view.shape else None
        if (
            type(view) is Affine
            and type(self._view) is Affine
            and self._leaf is None
            and not self._detached
            and not self._retains
        ):
            assert self._parent is not None
            view, parent = view.after(self._view), self._parent
            self._used = self._storage.version  # what is derived by this tensor passes it by
        parent._viewed = True
        result = self._make(self._storage)
        result._shape, result._parent, result._view = view.shape, parent, view
        result._layout = layout
        if not state.grad and (self.tracked() or self.cut() is not None):
            result._detached = True
        return result

    def alias(self, target: Core) -> None:
        """Make `target` the same view of the same storage as this tensor, without its history."""
        target._storage, target._shape = self._storage, self._shape
        target._parent, target._view = self._parent, self._view
        target._layout = self._layout
        if self._leaf is None:
            history = self.tracked()
        elif self._parent is not None:
            history = self._parent.tracked()
        else:
            history = self._storage.pending_tracked()
        target._detached = self._detached or history or self.cut() is not None

    # ---- writing -------------------------------------------------------------------------------

    def check_writable(self, operation: str) -> None:
        """Raise if an in-place write here would make a derivative wrong."""
        if door.watcher is not None:
            door.watcher()
        for batch in state.mapped:
            batch.check_write(self._storage, operation)
        at: Core | None = self
        memory = self._storage.buffer
        if memory is not None and memory.readonly:
            raise BufferError(
                f"{operation} writes in place into memory that is read-only where it comes from; "
                f"write into x.clone()" + at_line()
            )
        detached = not state.grad
        while at is not None:
            if at._leaf is not None and state.grad and not detached:
                what = "a leaf" if at is self else "a view of a leaf"
                raise GradError(
                    f"{operation} writes in place into {what} that requires grad: its derivative "
                    f"is taken with respect to the value before the write, which would be gone; "
                    f"write under gu.no_grad(), or into x.clone()" + at_line()
                )
            if at._view is not None and at._view.overlaps:
                raise ShapeError(
                    f"{operation} writes in place into an expanded view: several elements share "
                    f"one place in memory; clone() it first"
                    + lined_up(view=self._shape, memory=self._storage.shape)
                    + at_line()
                )
            detached = detached or at._detached
            at = at._parent
        if detached and self._storage.pending_tracked():
            value = self._storage.pending
            raise GradError(
                f"{operation} writes in place, without grad mode or through detach(), into a "
                f"value that was computed from tensors that require grad: derivatives through it "
                f"would be wrong; write into x.detach().clone()" + at_line()
                + computed_at(None if value is None else value.line)
            )

    def assign(self, operation: str, new: Node, oldest: int) -> None:
        """Replace the value of the viewed elements; every view of the storage sees it."""
        self.check_writable(operation)
        if new.line is None:
            new.line = user_line()
        if not state.grad:
            new = ir.detach(new)
        cut = self._storage.history()[1]
        at: Core = self
        while at._parent is not None:
            assert at._view is not None
            parent = at._parent
            base = parent.node
            if not state.grad:
                base = ir.detach(base)
            new = at._view.unapply(base, new)
            new.line = new.line or user_line()
            at = parent
        if new.tracked and self._any_detached():
            raise GradError(
                f"{operation} writes a value with a history into a detached tensor, which has "
                f"none; write it into the tensor itself or detach the value" + at_line()
            )
        s = self._storage
        if s.owner is not None and new.tracked:
            raise GradError(
                f"{operation} writes a value with a history into memory that is shared with others "
                f"outside, where it has none: write x.detach() into it, or x = x … instead"
                + at_line()
            )
        if cut is not None and not state.grad:  # what is not written over still is as it was
            new = ir.cut(new, cut)
        if state.anomaly is not None:  # before anything is written
            state.anomaly(new)
        store.serial += 1
        oldest = min(oldest, s.oldest, store.serial)
        s.replace(new, oldest)
        if store.serial - oldest > LIMIT:
            relieve(s, ())

    def _any_detached(self) -> bool:
        at: Core | None = self
        while at is not None:
            if at._detached:
                return True
            at = at._parent
        return False

    def poke(self, values: Sequence[Number]) -> None:
        """Write elements of an untracked realised storage, one after the other, in row-major order.

        One value fills them all.
        """
        s = self._storage
        strides, offset = self.layout()
        if not self._shape:
            s.set(offset, values[0])
            return
        ranges = [range(0, int(n) * st, st) if st else [0] * int(n)
                  for n, st in zip(self._shape, strides, strict=True)]  # fmt: skip
        same = len(values) == 1
        for i, steps in enumerate(itertools.product(*ranges)):
            s.set(offset + sum(steps), values[0 if same else i])

    def can_poke(self, limit: int = 1 << 16) -> bool:
        """May elements be written into memory at once, rather than as an expression?"""
        if state.mapped or (store.tracers and store.tracing() is not None):
            return False
        if product(self._shape) > limit:
            return False
        return not self.tracked() and not self._storage.pending_tracked()


class Paired(Core):
    """A tensor of complex numbers: each a pair (re, im) along one more axis of a real tensor.

    It has no expression of its own, so a function that does not know it raises TypeError. One that
    does asks `is_complex` and goes on in the room of its counterpart (tensor/complex).
    """

    _pair: Tensor

    def over(self, f: Callable[[Tensor], Tensor]) -> Tensor:
        """f of the pairs, as complex numbers again; f must leave the last axis as it is."""
        raise NotImplementedError

    def values(self, what: str) -> list[complex]:
        """All elements as Python's numbers, in row-major order; errors say what asked for them."""
        raise NotImplementedError


def is_complex(*values: Any) -> bool:
    """Is one of these a tensor of complex numbers?"""
    for v in values:  # noqa: SIM110  # a generator takes twice the time
        if isinstance(v, Paired):
            return True
    return False


# ---- operands and results -----------------------------------------------------------------------


def operand(t: Core) -> Node:
    """A tensor's value for use in an operation, without history where none is wanted."""
    node = t.node
    if not state.grad and (node.tracked or node.cut is not None):
        return ir.detach(node)
    return node


def value_of(t: Core) -> Node:
    """A tensor's value for an operation that has no derivative."""
    return ir.detach(t.node)


def plain(t: Core) -> Tensor:
    """A tensor of the same value, without history."""
    if isinstance(t, Paired):
        return t.over(plain)
    return finish(value_of(t), t)


def finish(node: Node, first: Core, *others: Core) -> Tensor:
    """The tensor whose value is this expression of these tensors."""
    if node.line is None:
        node.line = user_line()
    store.serial = serial = store.serial + 1
    storage = Storage(node.shape, node.dtype, node)
    oldest = serial
    o = first._storage.oldest
    if o < oldest:
        oldest = o
    for t in others:
        o = t._storage.oldest
        if o < oldest:
            oldest = o
    storage.oldest = oldest
    if state.anomaly is not None:
        state.anomaly(node)
    if serial - oldest > LIMIT:
        relieve(storage, (first, *others))
    return first._make(storage)


def wrap(like: Core, node: Node, *sources: Core) -> Tensor:
    """A tensor of an expression that was made of those of others, as old as they are."""
    storage = Storage(node.shape, node.dtype, node)
    store.serial += 1
    storage.oldest = min(store.serial, *(s._storage.oldest for s in sources))
    return like._make(storage)


def relieve(storage: Storage, sources: Sequence[Core]) -> None:
    """Realise a value that has come to depend on too much that is still to be computed."""
    node = storage.pending
    if node is None or state.mapped or (store.tracers and store.tracing() is not None):
        return
    order = toposort([node], stop=lambda n: n.op == "buffer" or n.cache is not None)
    count = sum(n.op == "loops" for n in order)
    if count > LIMIT:
        force([storage])
        return
    storage.oldest = store.serial - count
    for t in sources:
        if t._storage.pending is not None:
            t._storage.oldest = max(t._storage.oldest, storage.oldest)


def force(storages: Sequence[Storage]) -> None:
    """Compute what is pending in these storages, together. Several threads follow each other: what
    one has computed, the next one finds."""
    for s in storages:
        if s.pending is not None and s.buffer is None:
            break
    else:
        return
    with pool.lock:
        todo: dict[Storage, Node] = {}
        for s in storages:
            node = s.pending
            if node is not None and s.buffer is None and not _settled_at_once(s, node):
                todo[s] = node
        if todo:
            for (s, node), buffer in zip(*compute_with_owned(todo), strict=True):
                s.settle(node, buffer)


def compute_with_owned(
    todo: dict[Storage, Node],
) -> tuple[Iterable[tuple[Storage, Node]], list[Buffer]]:
    """Compute storages, and with them what they are computed from and somebody will ask for: it
    would be computed again."""
    roots = list(todo.values())
    if debugging():
        return todo.items(), compute(roots)
    from ..schedule import Signature

    signature = Signature(roots)
    more: dict[Storage, Node] = {}
    past: list[tuple[Storage, Node]] = []
    for node in signature.owned:
        s = node.owner()
        pending = None if s is None else s.pending
        if pending is None or s.buffer is not None or s in todo:
            continue
        if node.op == "loops" and node.src[0].op not in ("read", "const"):
            if pending is node or (pending.op == "detach" and pending.src[0] is node):
                more[s] = pending
            else:
                past.append((s, node))
    todo |= more
    # A value that was written over while it was still to be computed, as a weight is by a step:
    # what it was replaced by needs it, unless that is computed here, too.
    kept = [node for s, node in past if s not in todo]
    if not more and not kept:
        return todo.items(), compute(roots, signature)
    buffers = compute([*todo.values(), *kept])
    for node, buffer in zip(kept, buffers[len(todo) :], strict=True):
        node.cache = buffer
    return todo.items(), buffers[: len(todo)]


def _settled_at_once(s: Storage, pending: Node) -> bool:
    """Does memory hold the value already, or is it one number everywhere?"""
    node = pending
    while node.op in ("reshape", "leaf", "detach", "result") and node.cache is None:
        node = node.src[0]
    if node.op == "buffer" and not isinstance(node.value, Buffer):
        return False  # nothing is known of it
    if node.op == "buffer" or node.cache is not None:
        held = node.value if node.op == "buffer" else node.cache
        if held.borrowed:  # a part of another tensor's memory, which keeps it for itself
            held = held.copied()
        s.settle(pending, held)
        return True
    if node.op == "loops" and node.src[0].op == "const":
        size = product(s.shape)
        filled = store.from_values([node.src[0].value], (1,), s.dtype).buffer
        assert filled is not None
        if size != 1:
            one = filled.read_bytes(0, s.dtype.itemsize)
            filled = allocate(max(1, int(size) * s.dtype.itemsize))
            filled.fill(one)
        s.settle(pending, filled)
        return True
    return False


def same(a: Core, b: Core) -> bool:
    """Do two tensors have one shape for every value of runtime sizes?"""
    return same_shape(a._shape, b._shape)
