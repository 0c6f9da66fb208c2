"""A captured graph, and what runs it again: memory in, one native call, results to their places.

Written for speed: a small captured step spends most of its time here. Must not know how a function
is captured.
"""

from __future__ import annotations

import sys
import weakref
from collections import Counter
from collections.abc import Callable, Hashable, MutableMapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from ..ir.extent import product
from ..ir.node import Cut, Node
from ..ir.outside import OutOfRange, sites_in
from ..runtime import Buffer, pool
from ..schedule import Plan, Signature
from ..schedule.once import Once
from .arguments import memory_of, settled
from .core import Core, Paired
from .effects import Complex, Filling, Returned, results_in
from .errors import JitError
from .held import MISSING, put
from .mode import no_grad, state
from .reach import Reach
from .storage import Storage
from .straight import Gradients, assign, made, straight_call
from .tensor import Tensor

# Calls from which straight code pays: it takes a millisecond or two to make. Where it does not fit
# then, it is made again after so many times the calls.
OFTEN, AGAIN = 64, 4
_KINDS = {"argument": 0, "reached": 1}


class Placeholder(NamedTuple):
    """Memory that is given at each call: argument `number`, or reached tensor `number`."""

    capture: int  # which capture it belongs to
    kind: str
    number: int

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise JitError(
            "jit: this tensor was made inside a captured function and kept where no later call "
            "could put its own (in a list, a cache, an object made inside); it has no value "
            "outside: return it"
        )


class Output(NamedTuple):
    """Where a result goes beside the returned value."""

    kind: str  # "write" into a storage, "slot" of a reached object, "grad" of a tensor
    what: Any  # write: the root's number; else the template of a value
    where: Any  # slot: a spot of the walk; grad: which of its tensors


class Foreign(NamedTuple):
    """An array that the function copied while it was captured: it must not have changed since."""

    source: weakref.ref[Any]
    copy: Callable[[Any], Storage]
    storage: Storage  # the copy

    def check(self) -> None:
        array = self.source()
        if array is None:
            return
        now, then = self.copy(array), self.storage
        assert now.buffer is not None and then.buffer is not None
        same = now.shape == then.shape and (
            0 in now.shape or now.buffer.read_bytes() == then.buffer.read_bytes()
        )
        if not same:
            raise JitError(
                f"jit: the function makes a tensor from an array of shape {tuple(then.shape)} that "
                f"has changed since it was captured; pass the tensor as an argument"
            )


class Capture:
    """One captured graph: its plan, where its inputs come from and where its results go."""

    def __init__(
        self, plan: Plan, signature: Signature, roots: list[Node], cuts: list[Cut | None],
        outputs: list[Output], result: Any, shapes: list[tuple[tuple[int, ...], Any]],
        fixed: list[int],
    ) -> None:  # fmt: skip
        """cuts: of each root, who takes away the history that it should have, if it should have
        one. fixed: the numbers of reached objects that stand inside others that are given back."""
        self.plan, self.n, self.roots = plan, signature.n, roots
        self.sources = list(signature.buffers)
        # What the function itself made (gu.tensor([1, 2])) must be the same in both captures too;
        # memory of no elements has a byte, whichever.
        empty = {n.value for n in signature.order if n.op == "buffer" and 0 in n.shape}
        made = (
            b"" if b in empty else b.read_bytes()
            for b in self.sources if type(b) is not Placeholder
        )
        self.key = (*signature.key, *(hash(b) for b in made))
        self.outputs, self.result, self.shapes, self.cuts = outputs, result, shapes, cuts
        self.fixed = fixed
        self.places = sites_in(signature.order)  # where indices from data were written
        self.foreign: list[Foreign] = []
        captures.add(self)


    def results(self) -> list[int]:
        """The numbers of the results in all templates."""
        return [n for template in (self.result, *(o.what for o in self.outputs))
                for n in results_in(template)]  # fmt: skip


captures: weakref.WeakSet[Capture] = weakref.WeakSet()  # all that are alive

_Groups = tuple[Sequence[Core], Sequence[Core], Sequence[Core]]


class Standing:
    """What of a plan need not be computed again while the tensors that it depends on stay."""

    def __init__(self, once: Once, fixed: tuple[tuple[int, int, int], ...]) -> None:
        self.once, self.fixed = once, fixed
        self.key = (once.plan, fixed)
        self.seen: list[tuple[weakref.ref[Storage], int, weakref.ref[Buffer]]] = []

    def look(self, groups: _Groups, buffers: Sequence[Buffer]) -> bool:
        """Are all tensors what they were at the last look (or is this the first)?

        What is kept of others is let go: where tensors change at each call, nothing is kept.
        """
        seen = self.seen
        if seen:
            for (storage, version, buffer), (at, kind, number) in zip(seen, self.fixed):
                s = groups[kind][number]._storage
                if s.version != version or buffer() is not buffers[at] or storage() is not s:
                    break
            else:
                return True
            self.once.memory = None
        self.seen = []
        for at, kind, number in self.fixed:
            s = groups[kind][number]._storage
            self.seen.append((weakref.ref(s), s.version, weakref.ref(buffers[at])))
        return not seen


class Replay:
    """Runs one capture: with arguments of one form, while what is reached is of one form."""

    def __init__(
        self, capture: Capture, reach: Reach, shared: MutableMapping[Hashable, Standing]
    ) -> None:
        """shared: what the captures of one function keep, so that those of one plan, for several
        batch sizes, keep it once."""
        self.capture, self.shared = capture, shared
        self.own = [reach.object(n) for n in capture.fixed]
        self.enter(reach)
        # Where each input comes from: (0 argument, 1 reached, 2 made by the function; number).
        self.constants: list[Core] = []
        self.sources: list[tuple[int, int]] = []
        for source in capture.sources:
            if type(source) is Placeholder:
                self.sources.append((_KINDS[source.kind], source.number))
            else:
                held = Storage((), capture.shapes[0][1], buffer=source)
                self.sources.append((2, len(self.constants)))
                self.constants.append(Tensor._make(held))
        count = len(self.sources)
        self.all_given = count if self.sources == [(0, i) for i in range(count)] else -1
        slot = {source: k for k, source in enumerate(self.sources)}
        # What is written in place: (root, kind, number, which input holds its old value).
        self.writes = [
            (root, _KINDS[where[0]], where[1], slot.get((_KINDS[where[0]], where[1])))
            for kind, root, where in capture.outputs if kind == "write"
        ]  # fmt: skip
        place = capture.result
        # The usual results, a tensor or a tuple of new ones: no walk through them at each call.
        results = Counter(capture.results())
        self.shared_results = any(n > 1 for n in results.values())  # a tensor goes to two places
        usual = not self.shared_results
        # A complex tensor is its pairs, in a class that is made of them.
        self.complex: Callable[[Tensor], Tensor] | None = None
        if type(place) is Complex and _is_new(place.pairs):
            kind: Any = type(place.like)
            self.complex, place = kind, place.pairs
        self.one = place.number if usual and _is_new(place) else None
        self.row = place if usual and type(place) is tuple and all(map(_is_new, place)) else None
        self.nothing: list[Buffer | None] = [None] * len(capture.shapes)
        self.grad, self.autocast, self.count = True, state.autocast, -1
        # (shape, dtype, strides, who cut off its history), or (None, None, value, None).
        self.forms: list[tuple[Any, ...]] = []
        self.paired: dict[int, type] = {}  # complex arguments: forms are those of their pairs
        self.plain = True  # every argument is a tensor
        self.viewed = False  # some have been views
        written = {(kind, number) for _, kind, number, _ in self.writes}
        # What may stay as it is between calls: which input, and its source.
        self.fixed = [
            (at, kind, number) for at, (kind, number) in enumerate(self.sources)
            if kind != 0 and (kind, number) not in written
        ]  # fmt: skip
        self.standing: Standing | None = None
        self.keeps = not capture.plan.segmented  # something may stand, as far as is known
        self.runs = 0  # before the second, nothing is kept: there may be no other
        plan = capture.plan
        self.bound = plan.bind(capture.n)

    def serves(self, reach: Reach) -> bool:
        """May another walk of the same key be gone on with?"""
        return all(reach.object(n) is x for n, x in zip(self.capture.fixed, self.own))

    def enter(self, reach: Reach) -> None:
        """Go on with what another walk has found, whose key is the same: other objects of the same
        form may stand where those stood that were captured."""
        self.reach = reach
        self.straight: Callable[[Sequence[Any]], Any] | None = None
        self.gradients: Gradients | None = None  # those that straight code makes
        self.calls, self.next = 0, OFTEN  # of `run`, and at which straight code is to be made
        # What goes elsewhere than into memory: (kind, template, where).
        self.others: list[tuple[str, Any, Any]] = [
            (kind, what, reach.at(where) if kind == "slot" else reach.tensors[where])
            for kind, what, where in self.capture.outputs if kind != "write"
        ]  # fmt: skip

    # ---- does it fit -----------------------------------------------------------------------------

    def remember(self, args: Sequence[Any], given: list[Core]) -> None:
        """Note the form of these arguments, if it is simple enough for `fits`."""
        before, self.count = (self.count, self.forms, self.grad, self.autocast, self.paired), -1
        straight, self.straight = self.straight, None
        self.paired = {i: type(a) for i, a in enumerate(args) if isinstance(a, Paired)}
        args = [a._pair if isinstance(a, Paired) else a for a in args]
        tensors = [a for a in args if type(a) is Tensor]
        if len(tensors) != len(given) or any(isinstance(a, list | tuple | dict) for a in args):
            return
        if self.writes and len({t._storage for t in tensors}) < len(tensors):
            return
        self.forms = [
            (a._shape, a._storage.dtype, a.layout()[0], a.cut()) if type(a) is Tensor
            else (None, None, a, None)
            for a in args
        ]  # fmt: skip
        self.grad, self.autocast = state.grad, state.autocast
        self.count, self.plain = len(args), len(tensors) == len(args)
        count, forms, *modes = before
        same = count == self.count and modes == [self.grad, self.autocast, self.paired]
        if same and all(map(_same_form, forms, self.forms)):
            self.straight = straight

    def fits(self, args: Sequence[Any]) -> Sequence[Core] | None:
        """The tensors among arguments of the form remembered, if what is reached is unchanged."""
        if len(args) != self.count or state.grad is not self.grad:
            return None
        if state.autocast is not self.autocast:
            return None
        if self.paired:
            args = list(args)
            for i, kind in self.paired.items():
                if type(args[i]) is not kind:
                    return None
                args[i] = args[i]._pair
        for t, (shape, dtype, known, cut) in zip(args, self.forms):
            if shape is None:
                if t is not known:
                    return None
                continue
            if type(t) is not Tensor or t._leaf is not None or t._shape != shape:
                return None
            s = t._storage
            if s.dtype is not dtype or s.cut is not cut:
                return None
            if s.pending is not None and (s.pending.tracked or s.pending.cut is not cut):
                return None
            if t._parent is not None and (not self.viewed or t.tracked()):
                return None
            if self.viewed and t.layout()[0] != known:
                return None
        given = args if self.plain else [a for a in args if type(a) is Tensor]
        reach = self.reach
        if self.writes and given:
            storages = {t._storage for t in given}
            if len(storages) < len(given) or not reach.storages.keys().isdisjoint(storages):
                return None
        return given if reach.unchanged() else None

    # ---- running ---------------------------------------------------------------------------------

    def run(self, given: Sequence[Core]) -> Any:
        """The result for the tensors among arguments that fit."""
        c = self.capture
        self.calls += 1
        if self.calls == self.next:
            self.gradients = Gradients.of(self)
            again, self.straight = self.straight is not None, straight_call(self)
            self.next = max(self.next * AGAIN, self.next + 1)
            if again or self.straight is None:  # it does not fit often
                self.reach.straighten()
        for f in c.foreign:
            f.check()
        with pool.lock:  # who looks at versions sees memory and version change together
            groups = (given, self.reach.tensors, self.constants)
            if len(given) == self.all_given:
                buffers = [t._storage.buffer for t in given]
            else:
                buffers = [groups[kind][number]._storage.buffer for kind, number in self.sources]
            if self.viewed or None in buffers:
                buffers = [memory_of(groups[kind][number]) if kind == 0
                           else settled(groups[kind][number]._storage)
                           for kind, number in self.sources]  # fmt: skip
            free = self.nothing
            if self.writes:
                free = free.copy()
                shared = False
                for root, kind, number, at in self.writes:
                    t = groups[kind][number]
                    shared = shared or t._storage.owner is not None
                    free[root] = _donated(t, buffers, at)
                if shared:
                    self._refuse_overlaps(groups)
            once = self._once(groups, buffers) if self.runs and self.keeps else None  # type: ignore[arg-type]
            self.runs = 1
            try:
                results = c.plan.run(buffers, c.n, free, once)  # type: ignore[arg-type]
            except OutOfRange as error:
                raise error.written(c.places) from None
            for root, kind, number, _ in self.writes:
                t = groups[kind][number]
                if t._parent is not None and kind == 0:
                    with no_grad():
                        t.copy_(self._wrap(root, results))
                    if (cut := c.cuts[root]) is not None:
                        t._storage.cut_off(cut)
                else:
                    assign(t._storage, results[root], c.cuts[root])
            returned = None
            usual = self.one is not None or self.row is not None
            if self.others or not usual:
                fill = Filling(lambda root: self._wrap(root, results), given, self.reach)
                returned = None if usual else fill(c.result)
                self._put(fill, results)
        if self.one is not None:
            one = self._wrap(self.one, results)
            return one if self.complex is None else self.complex(one)
        if self.row is not None:
            return tuple([self._wrap(p.number, results) for p in self.row])
        return returned

    def _refuse_overlaps(self, groups: _Groups) -> None:
        """A graph holds its tensors for separate values: where memory comes from outside, two of
        them may lie in the same place."""
        written = {groups[kind][number]._storage for _, kind, number, _ in self.writes}
        storages = {groups[kind][number]._storage for kind, number in self.sources} | written
        lie = [
            (s.buffer.address, s.buffer.address + s.buffer.nbytes, s)
            for s in storages if s.owner is not None and s.buffer is not None
        ]  # fmt: skip
        lie.sort(key=itemgetter(0))
        end, last = 0, None  # of those before, the one that goes furthest
        for start, ends, s in lie:
            if last is not None and start < end and (s in written or last in written):
                raise JitError(
                    f"jit: the function writes in place to memory from outside that it is given or "
                    f"reaches twice, as tensors of {product(last.shape)} and {product(s.shape)} "
                    f"elements; pass a clone() of one of them"
                )
            if ends > end:
                end, last = ends, s

    def _once(self, groups: _Groups, buffers: Sequence[Buffer]) -> Once | None:
        """What need not be computed again in this call, if there is something."""
        standing = self.standing
        if standing is None:
            # Memory that others write to as well is never known to be what it was.
            fixed = [f for f in self.fixed if groups[f[1]][f[2]]._storage.owner is None]
            once = Once(self.capture.plan, [at for at, _, _ in fixed])
            self.keeps = bool(once.chosen)
            if not self.keeps:
                return None
            new = Standing(once, tuple(f for f in fixed if f[0] in once.slots))
            standing = self.standing = self.shared.setdefault(new.key, new)
        for _, kind, number in standing.fixed:
            if groups[kind][number]._storage.owner is not None:
                self.standing = None
                return None
        return standing.once if standing.look(groups, buffers) else None

    def _put(self, fill: Filling, results: list[Buffer]) -> None:
        """Gradients, and what the function put into reached places."""
        reach = self.reach
        gradients: dict[int, Tensor] = {}  # by the id of the one before
        for kind, what, where in self.others:
            new = type(what) is Returned and what.kind == "result" and not self.shared_results
            value = self._wrap(what.number, results) if new else fill(what)
            if kind == "slot":
                container, k = where
                if container.get(k, MISSING) is not value:
                    put(container, k, value)
                    reach.stale = True
            elif value is None:
                reach.stale = reach.stale or where._grad is not None
                where._grad = None
            else:
                old, where._grad = where._grad, value
                gradients[id(old)] = value
        if gradients:
            reach.new_gradients(gradients)
            if self.gradients is not None:
                self.gradients.note()

    def _wrap(self, root: int, results: list[Buffer]) -> Tensor:
        c = self.capture
        return made(*c.shapes[root], results[root], c.cuts[root])


def _same_form(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    return a[2] is b[2] if a[0] is None or b[0] is None else a == b


def _is_new(place: Any) -> bool:
    return type(place) is Returned and place.kind == "result"


def _donated(t: Core, buffers: list[Buffer | None], at: int | None) -> Buffer | None:
    """Memory that a new value may overwrite: a storage's own, seen by nobody else.

    at: which input holds the old value. Raises BufferError, before anything is computed, where no
    value may be written.
    """
    s = t._storage
    buffer = s.buffer
    if buffer is not None and buffer.readonly:
        t.check_writable("jit: the captured function")
    if at is None or t._parent is not None or buffer is not buffers[at] or s.owner is not None:
        return None
    # This variable, the attribute, the call's argument, the list of inputs; a cached memoryview.
    held = 4 if s._items is None or not len(s._items) else 5
    return buffer if sys.getrefcount(buffer) <= held else None
