"""`gu.jit`: a function captured once and then run as one native call.

The function is run with tensors that compute nothing; what it reads, writes and returns becomes one
graph, scheduled as one plan. Each later call reads every tensor, module, optimizer and generator
anew, and checks every plain value that the function can reach; when one differs it is captured
again. Must not know kernels, layers or optimizers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable
from functools import update_wrapper
from typing import Any, Generic, NamedTuple, ParamSpec, TypeVar, cast

from ..ir import node as ir
from ..ir.extent import Extent
from ..ir.node import Node
from ..runtime import Buffer
from ..schedule import Plan, Signature, plan_for
from . import storage as store
from .core import Core, force
from .engine import debugging
from .errors import JitError
from .mode import state
from .random import default_generator
from .reach import Reach
from .storage import Storage
from .tensor import Tensor

P = ParamSpec("P")
R = TypeVar("R")
MAX_CAPTURES = 64


class Placeholder(NamedTuple):
    """Memory that is given at each call: argument `number`, or reached tensor `number`."""

    capture: int  # which capture it belongs to
    kind: str
    number: int


class _Saved(NamedTuple):
    """A storage's state before the captured function wrote to it."""

    buffer: Buffer | None
    number: Any
    pending: Node | None
    oldest: int
    version: int


class _Tracer:
    """Watches storages while the function runs."""

    def __init__(self, known: dict[Storage, Node]) -> None:
        self.known = known
        self.start = next(store.births)
        self.saved: dict[Storage, _Saved] = {}
        self.inputs: set[Storage] = set()

    def read(self, storage: Storage) -> Node | None:
        if storage in self.saved or storage.born > self.start:
            return None
        node = self.known.get(storage)
        if node is None:
            raise JitError(
                f"jit: the function reads a tensor of shape {tuple(storage.shape)} that cannot be "
                f"found from its arguments, closure, globals or the objects they hold, so later "
                f"calls could not read it anew; pass it as an argument"
            )
        self.inputs.add(storage)
        return node

    def writes(self, storage: Storage) -> None:
        if storage in self.saved or storage.born > self.start:
            return
        if storage not in self.known:
            raise JitError(
                f"jit: the function writes to a tensor of shape {tuple(storage.shape)} that cannot "
                f"be found from its arguments, closure or globals; pass it as an argument"
            )
        self.saved[storage] = _Saved(
            storage.buffer, storage.number, storage.pending, storage.oldest, storage.version
        )


class _Output(NamedTuple):
    """Where a result goes: into the returned value, a storage, or a slot of a reached object."""

    kind: str  # "return", "write", "slot", "grad"
    root: int
    where: Any


class _Capture:
    """One captured graph: its plan, where its inputs come from and where its results go."""

    def __init__(
        self, plan: Plan, signature: Signature, roots: list[Node], outputs: list[_Output],
        result: Any,
        shapes: list[tuple[tuple[int, ...], Any]],
    ) -> None:  # fmt: skip
        self.plan, self.n, self.roots = plan, signature.n, roots
        self.sources = list(signature.buffers)
        # What the function itself made (gu.tensor([1, 2])) must be the same in both captures too.
        made = (b.read_bytes() for b in self.sources if type(b) is not Placeholder)
        self.key = (*signature.key, *(hash(b) for b in made))
        self.outputs, self.result, self.shapes = outputs, result, shapes
        written = {o.where: o.root for o in outputs if o.kind == "write"}
        self.donors: list[tuple[str, int] | None] = [None] * len(shapes)
        for where, root in written.items():
            self.donors[root] = where


class _Returned(NamedTuple):
    """A place in the returned value: a result, or an input given back as it is, by number."""

    kind: str
    number: int


_serial = 0


class Jit(Generic[P, R]):
    """A function that runs captured; made by `jit`."""

    def __init__(self, function: Callable[P, R]) -> None:
        self.captured = function
        update_wrapper(self, function)
        self._captures: dict[Hashable, list[_Capture]] = {}
        self._reach: Reach | None = None
        self._numbers: dict[Hashable, int] = {}  # of each key that a walk gave: short to compare
        self._number = 0  # that of the newest walk

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else Jit(self.captured.__get__(instance, owner))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        # Inside another captured function it is a part of that one; where Python's own loops
        # compute (gu.debug) a debugger is to step through it.
        if store.tracer is not None or debugging():
            return self.captured(*args, **kwargs)
        reach = self._reach
        if reach is None or not reach.unchanged():
            reach = self._reach = Reach((self.captured, default_generator))
            self._number = self._numbers.setdefault(reach.key, len(self._numbers))
        given: list[Core] = []
        shape_key: list[Hashable] = [self._number, state.grad, state.autocast]
        _flatten((args, kwargs), given, shape_key)
        for optimizer in reach.optimizers:
            optimizer.refresh_hyperparameters()
        key = tuple(shape_key)
        captures = self._captures.get(key)
        if captures is not None and len(captures) >= 2:
            return cast(R, self._replay(captures[-1], given, reach))
        return self._first_calls(key, args, kwargs, given, reach)

    def latest(self) -> tuple[list[Node], Plan]:
        """The graph and the plan of the newest capture, for `gu.explain`."""
        if not self._captures:
            raise JitError("this function has not been called yet: there is nothing captured")
        newest = list(self._captures.values())[-1][-1]
        return newest.roots, newest.plan

    def _first_calls(
        self, key: Hashable, args: Any, kwargs: Any, given: list[Core], reach: Reach
    ) -> R:
        """Capture; the second capture under one key must be the same graph as the first."""
        capture = self._capture(args, kwargs, given, reach)
        before = self._captures.get(key)
        if before is None:
            if len(self._captures) >= MAX_CAPTURES:
                del self._captures[next(iter(self._captures))]
            self._captures[key] = [capture]
        elif before[0].key != capture.key:
            raise JitError(_difference(before[0].key, capture.key, self.captured))
        else:
            before.append(capture)
        return cast(R, self._replay(capture, given, reach))

    # ---- capturing -----------------------------------------------------------------------------

    def _capture(self, args: Any, kwargs: Any, given: list[Core], reach: Reach) -> _Capture:
        global _serial
        _serial += 1
        force([t._storage for t in reach.tensors])
        known: dict[Storage, Node] = {}
        origin: dict[Storage, tuple[str, int]] = {}
        for s, i in reach.storages.items():
            known[s] = ir.buffer(Placeholder(_serial, "reached", i), s.shape, s.dtype)
            origin[s] = ("reached", i)
        batch = _batch(given)
        proxies: dict[int, Core] = {}
        for i, t in enumerate(given):
            shape = tuple(t._shape)
            if batch is not None and shape and shape[0] == batch:
                shape = (batch, *shape[1:])
            storage = Storage(shape, t.dtype)
            node = ir.buffer(Placeholder(_serial, "argument", i), shape, t.dtype)
            storage.pending = node
            known[storage] = node
            origin[storage] = ("argument", i)
            proxy = Tensor._make(storage)
            if t._leaf is not None:
                proxy.requires_grad_()
            proxies[id(t)] = proxy
        tracer = _Tracer(known)
        slots = [(c, k, v) for c, k, v in reach.slots]
        grads = [(t, t._grad) for t in reach.tensors]
        before = store.set_tracer(tracer)
        try:
            result = self.captured(*_replace(args, proxies), **_replace(kwargs, proxies))
            store.set_tracer(before)
            return self._finish(result, tracer, origin, given, proxies, reach, slots, grads)
        finally:
            store.set_tracer(before)
            for s, saved in tracer.saved.items():
                s.buffer, s.number, s.pending, s.oldest, s.version = saved
                s._items = s._memory = None
            for t, g in grads:
                t._grad = g
            for container, k, v in slots:
                if container.get(k, None) is not v:
                    container[k] = v

    def _finish(
        self, result: Any, tracer: _Tracer, origin: dict[Storage, tuple[str, int]],
        given: list[Core], proxies: dict[int, Core], reach: Reach,
        slots: list[tuple[Any, Any, Any]], grads: list[tuple[Core, Any]],
    ) -> _Capture:  # fmt: skip
        """Turn what the function did into roots of one graph."""
        roots: list[Node] = []
        outputs: list[_Output] = []

        def root(node: Node) -> int:
            roots.append(ir.detach(node))
            return len(roots) - 1

        for s in tracer.saved:
            assert s.pending is not None
            outputs.append(_Output("write", root(s.pending), origin[s]))
        self._refuse_aliases(tracer, origin, given, reach)
        for t, g in grads:
            if t._grad is not None and t._grad is not g:
                outputs.append(_Output("grad", root(t._grad.node), t))
        for container, k, v in slots:
            now = container.get(k, None)
            if now is not v and isinstance(now, Core):
                outputs.append(_Output("slot", root(now.node), (container, k)))
        inputs = {id(p): ("argument", i) for i, p in enumerate(proxies[id(t)] for t in given)}
        inputs |= {id(t): ("reached", i) for i, t in enumerate(reach.tensors)}

        def place(value: Any) -> Any:
            if isinstance(value, Core):
                if id(value) in inputs:
                    return _Returned(*inputs[id(value)])
                return _Returned("result", root(value.node))
            if isinstance(value, tuple) and hasattr(value, "_fields"):
                return type(value)(*(place(v) for v in value))
            if isinstance(value, list | tuple):
                return type(value)(place(v) for v in value)
            if isinstance(value, dict):
                return {k: place(v) for k, v in value.items()}
            return value

        returned = place(result)
        signature = Signature(roots)
        wish: list[int | None] = [None] * len(roots)
        at = {p: i for i, p in enumerate(signature.buffers)}
        for o in outputs:
            if o.kind == "write":
                wish[o.root] = at.get(Placeholder(_serial, *o.where))
        plan = plan_for(signature, roots, tuple(wish))
        shapes = [(tuple(int(s) for s in r.shape), r.dtype) for r in roots]
        return _Capture(plan, signature, roots, outputs, returned, shapes)

    def _refuse_aliases(
        self, tracer: _Tracer, origin: dict[Storage, tuple[str, int]], given: list[Core],
        reach: Reach,
    ) -> None:  # fmt: skip
        """Arguments are captured as separate values: a write must not reach another of them."""
        owners: dict[Storage, list[str]] = {}
        for i, t in enumerate(given):
            owners.setdefault(t._storage, []).append(f"argument {i}")
        for s in reach.storages:
            if s in owners:
                owners[s].append("a tensor that the function reaches")
        for s in tracer.saved:
            kind, i = origin[s]
            real = given[i]._storage if kind == "argument" else reach.tensors[i]._storage
            names = owners.get(real, [])
            if len(names) > 1:
                raise JitError(
                    f"jit: the function writes in place to memory that is given to it twice, as "
                    f"{' and '.join(names)}; pass a clone() of one of them"
                )

    # ---- replaying -----------------------------------------------------------------------------

    def _replay(self, c: _Capture, given: list[Core], reach: Reach) -> Any:
        buffers: list[Buffer] = []
        for source in c.sources:
            if type(source) is not Placeholder:
                buffers.append(source)  # a constant made by the function itself
            elif source.kind == "argument":
                buffers.append(_memory(given[source.number]))
            else:
                buffers.append(_settled(reach.tensors[source.number]._storage))
        free: list[Buffer | None] = [None] * len(c.shapes)
        for root, where in enumerate(c.donors):
            if where is not None:
                target = given[where[1]] if where[0] == "argument" else reach.tensors[where[1]]
                free[root] = _donated(target)
        results = c.plan.run(buffers, c.n, free)
        gradients: dict[int, Core] = {}  # by the id of the one before
        for kind, root, where in c.outputs:
            if kind == "write":
                target = given[where[1]] if where[0] == "argument" else reach.tensors[where[1]]
                if where[0] == "argument" and target._parent is not None:
                    with _no_grad():
                        target.copy_(self._wrap(c, root, results))
                else:
                    _assign(target._storage, results[root])
            elif kind == "grad":
                old, where._grad = where._grad, self._wrap(c, root, results)
                gradients[id(old)] = where._grad
            else:
                self._reach = None  # a new tensor stands in a reached place
                container, k = where
                container[k] = self._wrap(c, root, results)
        if gradients and not reach.new_gradients(gradients):
            self._reach = None
        return self._give(c, c.result, results, given, reach)

    def _wrap(self, c: _Capture, root: int, results: list[Buffer]) -> Tensor:
        shape, dtype = c.shapes[root]
        return Tensor._make(Storage(shape, dtype, buffer=results[root]))

    def _give(
        self, c: _Capture, value: Any, results: list[Buffer], given: list[Core], reach: Reach
    ) -> Any:
        """The returned value with this call's tensors in it."""
        if type(value) is _Returned:
            if value.kind == "result":
                return self._wrap(c, value.number, results)
            return given[value.number] if value.kind == "argument" else reach.tensors[value.number]
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*(self._give(c, v, results, given, reach) for v in value))
        if isinstance(value, list | tuple):
            return type(value)(self._give(c, v, results, given, reach) for v in value)
        if isinstance(value, dict):
            return {k: self._give(c, v, results, given, reach) for k, v in value.items()}
        return value


def jit(function: Callable[P, R]) -> Jit[P, R]:
    """A function that is captured and then runs as one native call; usable as a decorator.

    Tensors among the arguments, and every tensor, module, optimizer and generator that the function
    reaches, are read anew at each call; in-place writes to them happen at each call. Plain values
    (numbers, strings, flags) that it reaches are compared: when one differs the function is
    captured again. Shapes and dtypes likewise, except the first axis that arguments share (the
    batch): another size of it compiles nothing. The first two calls are both captured and must give
    one graph. Other effects (print, append) happen while capturing only. What is returned has no
    history: take derivatives inside.

    Raises JitError where a later call could not be trusted to give what the plain call gives.

    >>> @gu.jit
    ... def step(x):
    ...     return (x * 2).sum()
    >>> step(gu.ones(3)).item()
    6.0
    """
    return Jit(function)


# ---- small parts ---------------------------------------------------------------------------------


def _flatten(value: Any, tensors: list[Core], key: list[Hashable]) -> None:
    """Collect the tensors in nested arguments; describe everything else by value."""
    if isinstance(value, Core):
        for i, t in enumerate(tensors):
            if t is value:
                key.append(("again", i))
                return
        tensors.append(value)
        plain = value._leaf is None and value._parent is None and value._storage.pending is None
        key.append((value._shape, value.dtype, plain or value._leaf is None,
                    not plain and value.tracked()))  # fmt: skip
        return
    if isinstance(value, list | tuple):
        key.append((type(value), len(value)))
        for v in value:
            _flatten(v, tensors, key)
    elif isinstance(value, dict):
        key.append((dict, tuple(value)))
        for v in value.values():
            _flatten(v, tensors, key)
    else:
        try:
            hash(value)
        except TypeError:
            raise JitError(
                f"jit: an argument of type {type(value).__name__} can neither be read anew nor be "
                f"compared between calls; pass tensors, numbers, strings, lists or dicts of them"
            ) from None
        key.append((type(value), value))


def _replace(value: Any, proxies: dict[int, Core]) -> Any:
    if isinstance(value, Core):
        return proxies[id(value)]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_replace(v, proxies) for v in value))
    if isinstance(value, list | tuple):
        return type(value)(_replace(v, proxies) for v in value)
    if isinstance(value, dict):
        return {k: _replace(v, proxies) for k, v in value.items()}
    return value


def _batch(given: list[Core]) -> Extent | None:
    """The runtime size: the first axis of the first argument that has several axes (else one)."""
    for least in (2, 1):
        for t in given:
            if len(t._shape) >= least and t._shape[0] > 1:
                return Extent.named("batch", int(t._shape[0]))
    return None


def _settled(s: Storage) -> Buffer:
    """A storage's memory, computed if it is pending."""
    if s.buffer is None:
        if s.pending is not None:
            force([s])
        else:
            s.items()
    assert s.buffer is not None
    return s.buffer


def _memory(t: Core) -> Buffer:
    """An argument's value in row-major memory of its own shape."""
    if t._parent is None:
        return _settled(t._storage)
    copy = Storage(tuple(t._shape), t.dtype, ir.detach(t.node))
    return _settled(copy)


def _donated(t: Core) -> Buffer | None:
    """Memory that a new value may overwrite: a storage's own, seen by nobody else."""
    s = t._storage
    buffer = s.buffer
    if t._parent is not None or buffer is None or s.owner is not None:
        return None
    # This variable, the attribute, the call's argument, the list of inputs; a cached memoryview.
    held = 4 + (s._items is not None and len(s._items) > 0)
    return buffer if sys.getrefcount(buffer) <= held else None


def _assign(s: Storage, buffer: Buffer) -> None:
    """Give a storage a new value that has been computed."""
    s.version += 1
    if s.owner is not None:
        assert s.buffer is not None
        if s.buffer is not buffer:
            s.buffer.write_bytes(buffer.read_bytes(0, s.buffer.nbytes))
        return
    if s.buffer is not buffer:
        s._items = None
        s.buffer = buffer
    s.number = s.pending = s._memory = None
    s.oldest = store._NEVER


def _no_grad() -> Any:
    from .mode import no_grad

    return no_grad()


def _difference(first: Any, second: Any, function: Any) -> str:
    """Name the first node in which two captures of one call differ."""
    name = getattr(function, "__qualname__", "the function")
    for i, (a, b) in enumerate(zip(first, second)):
        if a != b and isinstance(a, int):
            return (
                f"jit: {name} makes a tensor from Python values, and two captures with equal "
                f"arguments made tensors that differ, so a later call could not be trusted; pass "
                f"the values as an argument"
            )
        if a != b:
            return (
                f"jit: two captures of {name} with equal arguments gave different graphs; they "
                f"differ first in node {i}: {_describe(a)} against {_describe(b)}. A captured "
                f"function must do the same at each call: make what changes an argument or a tensor"
            )
    return (
        f"jit: two captures of {name} with equal arguments gave graphs of {len(first)} and "
        f"{len(second)} nodes; a captured function must do the same at each call"
    )


def _describe(entry: Any) -> str:
    if len(entry) >= 4 and isinstance(entry[0], str):
        op, dtype, shape, arg = entry[:4]
        if op == "const" and isinstance(arg, bytes):
            import struct

            arg = struct.unpack("<d", arg)[0]
        return f"{op} {dtype.name}{list(shape) if shape else ''} {arg if arg is not None else ''}"
    return repr(entry)
