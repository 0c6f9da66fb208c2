"""`gu.jit`: a function captured once and then run as one native call.

The function is run with tensors that compute nothing; what it reads, writes and returns becomes one
graph, scheduled as one plan. Each later call reads every tensor, module, optimizer and generator
anew, and checks every plain value that the function can reach; when one differs it is captured
again. Must not know kernels, layers or optimizers.
"""

from __future__ import annotations

import copy
import gc
import threading
import types
import weakref
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import lru_cache, update_wrapper
from itertools import count
from operator import is_
from typing import Any, Generic, ParamSpec, TypeVar, cast

from ..ir import node as ir
from ..ir.extent import Extent
from ..ir.node import Node
from ..runtime import pool
from ..schedule import Plan, Signature, plan_for
from . import door
from . import storage as store
from .arguments import Arguments, Same, axes_of, look_through, memory_view, view_of, with_proxies
from .arguments import refuse_changes as refuse_changed_arguments
from .backward import flowing
from .core import Core, force
from .cut import OUTSIDE, Captured, HistoryMatters
from .effects import Before, Places, Returned
from .engine import step_by_step
from .errors import JitError
from .generator import default_generator
from .held import MISSING
from .mode import state
from .pickled import name_of
from .reach import CapturedFunction, Reach
from .replay import Capture, Foreign, Output, Placeholder, Replay, Standing
from .storage import Storage
from .tensor import Tensor
from .view import Affine

P = ParamSpec("P")
R = TypeVar("R")
MAX_CAPTURES = 64
# While a function is captured, what it reaches holds what it has put there: no other thread
# captures meanwhile. What has been captured runs in any thread.
_one_captures = threading.RLock()
pool.hold_at_fork(_one_captures, outside=True)


class _Tracer:
    """Watches storages while the function runs."""

    def __init__(self, known: dict[Storage, Node]) -> None:
        self.known = known
        self.start = next(store.births)
        self.values: dict[Storage, Node] = {}  # of what was there before and has been written to
        self.inputs: set[Storage] = set()
        self.foreign: list[Foreign] = []  # arrays that the function copied
        self.numbers = False  # those of an optimizer were asked for

    def copied(self, source: Any, copy: Callable[[Any], Storage], storage: Storage) -> None:
        try:
            self.foreign.append(Foreign(weakref.ref(source), copy, storage))
        except TypeError:
            raise JitError(
                f"jit: the function makes a tensor from a {type(source).__name__}, of which later "
                f"calls could not tell whether it has changed; pass the tensor as an argument"
            ) from None

    def made(self, storage: Storage) -> bool:
        return storage.born > self.start

    def written(self, storage: Storage) -> Node | None:
        return self.values.get(storage)

    def read(self, storage: Storage) -> Node | None:
        if storage.born > self.start:
            return None
        node = self.values.get(storage) or self.known.get(storage)
        if node is None:
            raise JitError(
                f"jit: the function reads a tensor of shape {tuple(storage.shape)} that cannot be "
                f"found from its arguments, closure, globals or the objects they hold, so later "
                f"calls could not read it anew; pass it as an argument"
            )
        self.inputs.add(storage)
        return node

    def writes(self, storage: Storage, node: Node) -> bool:
        if storage.born > self.start:
            return False
        if storage not in self.known:
            raise JitError(
                f"jit: the function writes to a tensor of shape {tuple(storage.shape)} that cannot "
                f"be found from its arguments, closure or globals; pass it as an argument"
            )
        self.values[storage] = node
        return True


class _NumbersMatter(Exception):
    """The captured function reads numbers of an optimizer: they have to be compared."""


_serial = 0


class Jit(CapturedFunction, Generic[P, R]):
    """A function that runs captured; made by `jit`."""

    def __init__(self, function: Callable[P, R]) -> None:
        update_wrapper(self, function)  # also what a captured function has, so first
        self.captured: Callable[P, R] = function
        self._cut = Captured(getattr(function, "__qualname__", None) or repr(function))
        self._captures: dict[tuple[Any, ...], Capture] = {}
        self._replays: dict[tuple[Any, ...], Replay] = {}
        self._latest: Replay | None = None
        self._epoch = 0  # of the door: what was captured while nobody watched may be refused now
        self._plain: dict[tuple[Any, ...], None] = {}  # calls whose results have a history
        self._standing: weakref.WeakValueDictionary[Hashable, Standing] = (
            weakref.WeakValueDictionary()
        )
        self._reach: Reach | None = None
        self._numbers_matter = False  # those of optimizers: the function asks for them
        self._objects: list[Any] = []  # among the arguments of the newest walk
        self._numbers: dict[Hashable, int] = {}  # of each key that a walk gave: short to compare
        self._count = count()
        self._number = 0  # that of the newest walk

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        # The object is one more argument: what has been captured is found at the next call.
        return self if instance is None else types.MethodType(self, instance)

    def __deepcopy__(self, memo: dict[int, Any]) -> Jit[P, R]:
        return Jit(copy.deepcopy(self.captured, memo))

    def __reduce__(self) -> Any:
        return name_of(self) or (Jit, (self.captured,))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        latest = self._latest if self._epoch == door.epoch else None
        if latest is not None and not kwargs:
            straight = latest.straight
            if straight is not None:
                result: R = straight(args)
                if result is not MISSING:
                    return result
                if latest.gradients is not None:
                    with pool.lock:
                        latest.gradients.tell()
        # Inside another captured function it is a part of that one; where Python's own loops
        # compute (gu.debug) a debugger is to step through it; gu.detect_anomaly looks at each
        # operation; where a function of functions asks for derivatives, or maps it, its expressions
        # are wanted.
        if (
            step_by_step()
            or state.inlined
            or (store.tracers and store.tracing() is not None)
        ):
            return self.captured(*args, **kwargs)
        if latest is not None and not kwargs:
            with pool.lock:  # no other thread has it run with what it reaches there
                given = latest.fits(args)
                if given is not None:
                    return cast(R, latest.run(given))
        with _one_captures:
            return self._look_up(args, kwargs)

    def latest(self) -> tuple[list[Node], Plan]:
        """The graph and the plan of the newest capture, for `gu.explain`; one from disk has its
        kernels only where it is asked for as a whole (`Plan.whole`)."""
        if not self._captures:
            raise JitError("this function has not been called yet: there is nothing captured")
        newest = list(self._captures.values())[-1]
        return newest.roots, newest.plan

    def kept(self) -> list[int]:
        """Bytes of each result that is not computed again while the tensors that it depends on (the
        weights of a model in use) stay as they are."""
        return [b.nbytes for s in list(self._standing.values()) for b in s.once.memory or ()]

    def _look_up(self, args: Any, kwargs: Any) -> R:
        """Find the capture for these arguments and what can be reached now, or make one."""
        found = Arguments([], [], [], {})
        try:
            look_through((args, kwargs), found)
        except RecursionError:
            raise JitError(
                "jit: the arguments hold themselves, or are nested too deeply to be looked through"
            ) from None
        given, objects, _, _ = found
        reach = self._reach
        if reach is None or not _same(objects, self._objects) or not reach.unchanged():
            for capture in self._captures.values():
                for f in capture.foreign:
                    f.check()
            roots = (self.captured, default_generator, *objects)
            reach = self._reach = Reach(roots, self._numbers_matter)
            self._objects = objects
            self._number = self._numbers.setdefault(reach.key, next(self._count))
        self._epoch = door.epoch
        key = (
            self._number, door.epoch, state.grad, state.autocast, *found.key,
            *_shared(given, reach),
        )  # fmt: skip
        replay = self._replays.get(key)
        if replay is not None and not replay.serves(reach):
            key = (*key, *(Same(reach.object(n)) for n in replay.capture.fixed))
            replay = self._replays.get(key)
        if replay is None:
            self._latest = None
            if key in self._plain:
                return self.captured(*args, **kwargs)
            try:
                return self._first_calls(key, args, kwargs, given, reach)
            except _NumbersMatter:
                self._numbers_matter, self._reach = True, None
                return self._look_up(args, kwargs)
            except HistoryMatters:
                if len(self._plain) >= MAX_CAPTURES:
                    del self._plain[next(iter(self._plain))]
                    self._renumber()
                self._plain[key] = None
                return self.captured(*args, **kwargs)
        with pool.lock:
            self._latest = replay
            if replay.reach is not reach:
                replay.enter(reach)
            replay.viewed = replay.viewed or any(t._parent is not None for t in given)
            if not kwargs and not objects:
                replay.remember(args, given)
            return cast(R, replay.run(given))

    def _first_calls(
        self, key: tuple[Any, ...], args: Any, kwargs: Any, given: list[Core], reach: Reach
    ) -> R:
        """Capture; the second capture under one key must be the same graph as the first."""
        with _uncollected():  # a graph only grows: there is nothing to be found in it
            capture, foreign = self._capture(args, kwargs, given, reach)
            # An array that has survived the call lives outside, where others may write to it.
            capture.foreign = [f for f in foreign if f.source() is not None]
            with pool.lock:
                capture.plan.bind(capture.n)
        before = self._captures.get(key)
        replay = Replay(capture, reach, self._standing)
        replay.viewed = any(t._parent is not None for t in given)
        if before is None:
            if len(self._captures) >= MAX_CAPTURES:
                oldest = next(iter(self._captures))
                del self._captures[oldest]
                self._replays.pop(oldest, None)
                self._renumber()
        elif before.key != capture.key:
            raise JitError(_difference(before.key, capture.key, self.captured))
        else:
            self._replays[key] = replay
        self._captures[key] = capture
        return cast(R, replay.run(given))

    def _renumber(self) -> None:
        """Forget the numbers of what no remembered call reaches."""
        alive = {key[0] for key in (*self._captures, *self._plain)} | {self._number}
        self._numbers = {k: n for k, n in self._numbers.items() if n in alive}

    # ---- capturing -----------------------------------------------------------------------------

    def _capture(
        self, args: Any, kwargs: Any, given: list[Core], reach: Reach
    ) -> tuple[Capture, list[Foreign]]:
        global _serial
        _serial += 1
        force([t._storage for t in reach.tensors])
        known: dict[Storage, Node] = {}
        origin: dict[Storage, tuple[str, int]] = {}
        for s, i in reach.storages.items():
            node = ir.buffer(Placeholder(_serial, "reached", i), s.shape, s.dtype)
            tracked, cut = s.history()
            known[s] = ir.cut(node, OUTSIDE) if tracked else ir.cut(node, cut) if cut else node
            origin[s] = ("reached", i)
        batch, first = _batch(given), next(store.births)
        proxies: dict[int, Core] = {}
        for i, t in enumerate(given):
            storage, proxy = _proxy(t, batch)
            node = ir.buffer(Placeholder(_serial, "argument", i), storage.shape, t.dtype)
            if (cut := t.cut()) is not None:
                node = ir.cut(node, cut)
            storage.pending = node
            known[storage] = node
            origin[storage] = ("argument", i)
            proxies[id(t)] = proxy
        tracer = _Tracer(known)
        objects, mode = Before(reach), (state.grad, state.autocast)
        copies: list[tuple[Any, Any]] = []
        grads = [(t, t._grad) for t in reach.tensors]
        before = store.set_tracer(tracer)
        try:
            replaced = with_proxies((args, kwargs), proxies, copies)
            result = self.captured(*replaced[0], **replaced[1])
            refuse_changed_arguments(copies)
            if (state.grad, state.autocast) != mode:
                raise JitError(
                    "jit: the function leaves grad mode or autocast other than they were, which no "
                    "later call would do; write `with gu.set_grad_enabled(…):`"
                )
            made = self._finish(
                result, tracer, origin, given, proxies, reach, objects, grads, first
            )
            if tracer.numbers and not self._numbers_matter:
                raise _NumbersMatter
            return made, tracer.foreign
        finally:
            state.grad, state.autocast = mode
            store.set_tracer(before)
            for t, g in grads:
                t._grad = g
            objects.restore()

    def _finish(
        self, result: Any, tracer: _Tracer, origin: dict[Storage, tuple[str, int]],
        given: list[Core], proxies: dict[int, Core], reach: Reach, objects: Before,
        grads: list[tuple[Core, Any]], first: int,
    ) -> Capture:  # fmt: skip
        """Turn what the function did into roots of one graph."""
        roots: list[Node] = []
        cuts: list[ir.Cut | None] = []
        outputs: list[Output] = []

        ours = {t._leaf for t in proxies.values()} - {None}

        def root(node: Node) -> int:
            if ours and any(n.op == "leaf" and n.arg in ours for n in flowing([node])):
                raise HistoryMatters
            if node.cut is OUTSIDE:
                raise HistoryMatters
            roots.append(ir.detach(node))
            cuts.append(self._cut if node.tracked and node.dtype.is_float else node.cut)
            return len(roots) - 1

        for s, value in tracer.values.items():
            kind, i = origin[s]
            if kind == "argument":
                value = proxies[id(given[i])].node
            outputs.append(Output("write", root(value), origin[s]))
        self._refuse_aliases(tracer, origin, given, reach)
        self._refuse_history(given, proxies)
        changed = objects.changes()
        moved = [(i, t._grad) for i, (t, g) in enumerate(grads) if t._grad is not g]
        place = Places(
            [result, *(now for _, _, now in changed), *(g for _, g in moved)],
            *_inputs(given, proxies, reach), reach, root, first,
        )  # fmt: skip
        returned = place(result)
        outputs += [Output("grad", place(g), i) for i, g in moved]
        outputs += [Output("slot", place(now), reach.spot(c, k)) for c, k, now in changed]
        with pool.lock:
            signature = Signature(roots)
            wish: list[int | None] = [None] * len(roots)
            at = {p: i for i, p in enumerate(signature.buffers)}
            for o in outputs:
                if o.kind == "write":
                    wish[o.what] = at.get(Placeholder(_serial, *o.where))
            plan = plan_for(signature, roots, tuple(wish))
        shapes = [(tuple(int(s) for s in r.shape), r.dtype) for r in roots]
        return Capture(plan, signature, roots, cuts, outputs, returned, shapes, sorted(place.fixed))

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
        for s in tracer.values:
            kind, i = origin[s]
            real = given[i]._storage if kind == "argument" else reach.tensors[i]._storage
            names = owners.get(real, [])
            if len(names) > 1:
                raise JitError(
                    f"jit: the function writes in place to memory that is given to it twice, as "
                    f"{' and '.join(names)}; pass a clone() of one of them"
                )

    def _refuse_history(self, given: list[Core], proxies: dict[int, Core]) -> None:
        """A derivative cannot flow out through an argument into what it was computed from."""
        for i, t in enumerate(given):
            if proxies[id(t)]._grad is not None:
                raise JitError(
                    f"jit: the function takes the derivative with respect to argument {i}, which "
                    f"was computed outside from tensors that require grad: it could not reach "
                    f"them; compute the argument inside, or pass its detach()"
                )


def jit(function: Callable[P, R]) -> Jit[P, R]:
    """A function that is captured and then runs as one native call; usable as a decorator.

    Tensors among the arguments, and every tensor, module, optimizer and generator that the function
    reaches, are read anew at each call; in-place writes to them happen at each call. Plain values
    (numbers, strings, flags) that it reaches are compared: when one differs the function is
    captured again. Shapes and dtypes likewise, except the first axis that arguments share (the
    batch): another size of it compiles nothing, or once more where it is over 8 times as large or
    as small as those before, or a sum along one axis gets 65,536 terms or more. The first two calls
    are both captured and must give one graph. Whatever the batch, results have the bits of the
    plain call.

    What the function puts into attributes, variables, dictionaries and lists that it reaches is put
    there at each call; one that counts calls so is captured at each. Effects that cannot be seen
    (print, the clock) happen while capturing only; where a tensor would be kept out of sight, an
    iterator or a file advanced, a number drawn from Python's or NumPy's generators, an argument's
    list changed, JitError says so. Views that are returned share the memory that they share
    outside.

    What is returned or written has no history: take derivatives inside. A derivative outside that
    would need it raises GradError, also where it is a part of something else; `detach()` says that
    it is not wanted. Only where something was computed from a tensor that had a history when the
    function was called (so inside `gu.grad`), nothing is captured: the function itself runs.

    What depends only on tensors that the function reaches and does not write (copies of weights
    into panels, their casts) is computed once and kept until one of them changes.

    Raises JitError where a later call could not be trusted to give what the plain call gives.

    >>> @gu.jit
    ... def step(x):
    ...     return (x * 2).sum()
    >>> step(gu.ones(3)).item()
    6.0
    """
    return Jit(function)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without collections of cyclic garbage, whose cost grows with all that is alive.

    What was made meanwhile counts as old: the next collection of new objects need not look through
    all of it.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            if not gc.get_freeze_count():  # else the user has frozen something
                gc.freeze()
                gc.unfreeze()
            gc.enable()


# ---- small parts ---------------------------------------------------------------------------------


def _same(a: list[Any], b: list[Any]) -> bool:
    return len(a) == len(b) and all(map(is_, a, b))


def _shared(given: list[Core], reach: Reach) -> list[Hashable]:
    """Which arguments share memory, with each other or with what is reached: a capture that writes
    must not serve others."""
    pattern: list[Hashable] = []
    first: dict[Storage, int] = {}
    for i, t in enumerate(given):
        s = t._storage
        at = first.setdefault(s, i)
        if at != i:
            pattern.append(("shares", i, at))
        if s in reach.storages:
            pattern.append(("reached", i, reach.storages[s]))
    return pattern


def _proxy(t: Core, batch: Extent | None) -> tuple[Storage, Tensor]:
    """What stands for an argument while the function is captured: memory, and the tensor."""
    shape = tuple(t._shape)
    if batch is not None and shape and shape[0] == batch:
        shape = (batch, *shape[1:])
    axes = axes_of(t)
    if axes is None:
        storage = Storage(shape, t.dtype)
        proxy = Tensor._make(storage)
    else:
        view = view_of(shape, axes)
        storage = Storage(view.source, t.dtype)
        proxy = Tensor._make(storage).through(view)
    if t.tracked() and t.dtype.is_float:
        proxy.requires_grad_()
    return storage, proxy


def _inputs(
    given: list[Core], proxies: dict[int, Core], reach: Reach
) -> tuple[dict[int, Returned], dict[Storage, Returned], dict[Storage, Affine]]:
    """The places of tensors that a function is given or reaches, by id and by memory, and the view
    of an argument that its memory is where that is not the argument itself."""
    inputs = {id(t): Returned("reached", i) for i, t in enumerate(reach.tensors)}
    bases = {s: Returned("storage", i) for s, i in reach.storages.items()}
    inside: dict[Storage, Affine] = {}
    for i, t in enumerate(given):
        proxy = proxies[id(t)]
        inputs[id(proxy)] = bases[proxy._storage] = Returned("argument", i)
        axes = axes_of(t)
        if axes is not None:
            inside[proxy._storage] = memory_view(tuple(map(int, t._shape)), axes)
    return inputs, bases, inside


def _batch(given: list[Core]) -> Extent | None:
    """The runtime size: the first axis of the first argument that has several axes (else one)."""
    for least in (2, 1):
        for t in given:
            if len(t._shape) >= least and t._shape[0] > 1:
                return _batch_of(int(t._shape[0]))
    return None


@lru_cache(maxsize=64)
def _batch_of(size: int) -> Extent:
    """The runtime size of captures with this batch: one, so that the next capture makes the same
    expressions, whose derivatives are known."""
    return Extent.named("batch", size)


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
