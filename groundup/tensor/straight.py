"""Straight code: the look at what a function reaches, and a whole call of a captured one, written
out for the objects at hand, without loops, because a small step is over in less time than those
take. Says what `Reach.unchanged`, `Replay.fits` and `Replay.run` say, and must not know more.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

from ..ir.dtype import DType, uint8
from ..ir.node import Cut
from ..ir.outside import OutOfRange
from ..runtime import Buffer, memory, pool
from ..schedule import plan as plans
from . import door
from . import storage as store
from .arguments import of_users, settled
from .core import Core
from .held import MISSING, holds
from .mode import state
from .storage import Storage, of_memory
from .tensor import Tensor

if TYPE_CHECKING:
    from .reach import Reach
    from .replay import Capture, Replay

FEW = 256  # places: of a larger model the look is small beside a step
MOST = 16  # arguments
UNLIKE = (KeyError, IndexError, ValueError)  # where a place is gone; ValueError: an empty cell


class Names:
    """The objects that straight code speaks of, and their names in it.

    They are defaults of parameters: local variables, which Python reads fastest.

    >>> name = Names()
    >>> numbers = [1, 2]
    >>> same = name.function("other", [f"return {name(numbers)} == other"])
    >>> same([1, 2])
    True
    """

    def __init__(self) -> None:
        self._objects: dict[str, Any] = {}
        self._names: dict[int, str] = {}  # by id

    def __call__(self, x: Any) -> str:
        """The name of an object."""
        if x is None:
            return "None"
        known = self._names.get(id(x))
        if known is None:
            known = self._names[id(x)] = f"v{len(self._names)}"
            self._objects[known] = x
        return known

    def function(self, parameters: str, lines: Sequence[str]) -> Callable[..., Any]:
        """The function of these parameters, whose body is these lines."""
        head = ", ".join([parameters, *(f"{v}={v}" for v in self._objects)])
        text = "\n    ".join([f"def straight({head}):", *lines])
        scope = dict(self._objects)
        exec(compile(text, "<straight code of a captured call>", "exec"), scope)
        written: Callable[..., Any] = scope.pop("straight")
        for known in self._objects:  # the defaults are enough: no cycle keeps objects alive
            del scope[known]
        return written


# ---- a look at what is reached -------------------------------------------------------------------


def straight_look(reach: Reach) -> Callable[[Reach], bool]:
    """What `unchanged` asks."""
    name = Names()
    return name.function("reach", [
        "try:",
        f"    return {' and '.join(_asked_of_places(reach, name, 'reach'))}",
        f"except {name(UNLIKE)}:",
        "    return False",
    ])  # fmt: skip


def _asked_of_places(
    r: Reach, name: Names, reach: str, gradients: Gradients | None = None
) -> list[str]:
    """The conditions that all stands where it stood, for a walk that goes by the name of `reach`;
    one of UNLIKE may be raised. Gradients that are new in each call are those of the last one."""
    raw = name(dict.__getitem__)
    asked = [
        f"not {reach}.stale", f"{reach}._tensors is {name(r._tensors)}",
        f"{name(store)}.changes == {r._changes}",
    ]  # fmt: skip
    for container, key, value in (*r._dicts, *r._lists):
        at = repr(key) if type(key) in (str, int) else name(key)
        asked.append(f"{name(container)}[{at}] is {name(value)}")
    asked += [f"{name(c)}.cell_contents is {name(v)}" for c, v in r._cells]
    ordered = {id(d) for d, _ in r._orders}  # this tells their lengths as well
    asked += [f"len({name(c)}) == {n}" for c, n in r.containers if id(c) not in ordered]
    asked += [f"[*{name(d)}] == {name(keys)}" for d, keys in r._orders]
    asked += [f"type({name(value)}) is {name(cls)}" for value, cls in r._classes]
    for f, code, defaults, named in r._functions:
        asked += [f"{name(f)}.__code__ is {name(code)}"]
        asked += [f"{name(f)}.__defaults__ is {name(defaults)}"]
        asked += [f"{name(f)}.__kwdefaults__ is {name(named)}"]
    new = {id(g): p for p, g in enumerate(gradients.now)} if gradients is not None else {}
    for t, storage, parent, no_leaf, grad in r._tensors:
        if id(t) in new:
            continue
        # Python reads what stands in the object itself faster than what stands in its class.
        t._grad, t._leaf, t._parent = t._grad, t._leaf, t._parent
        asked.append(f"{name(t)}._storage is {name(storage)}")
        if gradients is not None and id(grad) in new:
            p = new[id(grad)]
            asked += [
                f"(g{p} := {name(t)}._grad) is {name(gradients.now)}[{p}]",
                f"g{p}._storage is {name(gradients.storages)}[{p}]",
                f"g{p}._grad is None", f"g{p}._leaf is None", f"g{p}._parent is None",
            ]  # fmt: skip
        else:
            asked.append(f"{name(t)}._grad is {name(grad)}")
        asked.append(f"{name(t)}._leaf is {'' if no_leaf else 'not '}None")
        asked.append(f"{name(t)}._parent is {name(parent)}")
    for container, key, value in r._others:
        if isinstance(container, dict) and not of_users(type(container).__module__):
            asked.append(f"{raw}({name(container)}, {name(key)}) is {name(value)}")
        else:
            get = f"{name(container)}.get({name(key)}, {name(MISSING)})"
            asked.append(f"{get} is {name(value)}")
    asked += [f"{name(holds)}({name(c)}, {name(held)})" for c, held in r.contents]
    same: list[str] = []
    for optimizer, _ in r._structures:
        same.append(f"{name(optimizer)}._taken is {name(optimizer._taken)}")
        same += [f"[*{name(dict.values)}({name(g)})] == {name(h)}" for g, h in optimizer._taken]
    if same:  # last: the lists of parameters are known to be the same
        asked.append(f"({' and '.join(same)} or {reach}._refreshed())")
    return asked


# ---- a call --------------------------------------------------------------------------------------


class Gradients:
    """New gradients that each call leaves in the places of those before, which it does not look at:
    a step that begins with `zero_grad`.

    roots     the results that they are
    owners    the tensors whose gradients they are
    now       those that the last call has left
    storages  theirs

    The walk is told of them (`tell`) before anybody looks at it.
    """

    def __init__(self, reach: Reach, roots: list[int], owners: list[Core]) -> None:
        self.reach, self.roots, self.owners = reach, roots, owners
        self.now: list[Any] = [t._grad for t in owners]
        self.storages: list[Storage] = [g._storage for g in self.now]
        self._told = list(self.now)

    @classmethod
    def of(cls, r: Replay) -> Gradients | None:
        """Those of a capture, if it puts nothing else anywhere."""
        roots: list[int] = []
        owners: list[Core] = []
        inputs = {number for kind, number in r.sources if kind == 1}
        inputs.update(number for _, kind, number, _ in r.writes if kind == 1)
        places = {id(t): i for i, t in enumerate(r.reach.tensors)}
        for kind, what, t in r.others:
            old = places.get(id(t._grad)) if kind == "grad" else None
            if old is None or old in inputs or r.shared_results:
                return None
            if getattr(what, "kind", None) != "result" or r.reach.tensors[old]._parent is not None:
                return None
            roots.append(what.number)
            owners.append(t)
        distinct = len({id(t._grad) for t in owners}) == len(owners)
        return cls(r.reach, roots, owners) if owners and distinct else None

    def note(self) -> None:
        """Others have put gradients there, and told the walk."""
        self.now[:] = [t._grad for t in self.owners]
        self.storages[:] = [g._storage for g in self.now]
        self._told[:] = self.now

    def tell(self) -> None:
        """Tell the walk."""
        pairs = zip(self._told, self.now)
        new = {id(old): g for old, g in pairs if old is not g}
        if new:
            self.reach.new_gradients(new)
            self._told[:] = self.now


def straight_call(r: Replay) -> Callable[[Sequence[Any]], Any] | None:
    """What `fits` and `run` do, written out, where new tensors are given back and nothing is put
    elsewhere than into memory and gradients; it gives MISSING where something has changed, or
    memory is shared. None where this capture does more.

    In the code, a0, … are arguments, i0, … the memory of inputs, r0, … that of results, g0, …
    gradients.
    """
    c, plan = r.capture, r.capture.plan
    if (
        r.count < 0 or r.viewed or r.keeps or c.foreign or plan.copies
        or (r.others and r.gradients is None)
        or plan.segmented or (r.one is None and r.row is None)
        or len(r.reach.slots) > FEW or r.count > MOST or not plans.settled(r.bound)
    ):  # fmt: skip
        return None
    for _, kind, number, _ in r.writes:
        if kind == 0 or r.reach.tensors[number]._parent is not None:
            return None
    name = Names()
    donated = {k: at for k, _, _, at in r.writes if k in plan.donated and at is not None}
    gradients = r.gradients
    asked = _asked_of_arguments(r, name)
    asked += _asked_of_places(r.reach, name, name(r.reach), gradients)
    asked += _asked_of_memory(r, name, donated)
    results = [
        f"i{donated[root]}" if root in donated else f"r{root}" for root in range(len(c.shapes))
    ]
    makers = {root: memory.maker(size) for root, size in enumerate(r.bound.results)}
    inputs = [f"i{at}" for at in range(len(r.sources))]
    bound, missing = name(r.bound), name(MISSING)
    give = [
        f"{name(made)}({name(shape)}, {name(dtype)}, {results[root]}, {name(c.cuts[root])})"
        for root, (shape, dtype) in enumerate(c.shapes)
    ]
    lines = [
        f"with {name(pool.lock)}:",  # who looks at versions sees memory and version together
        "    try:",
        f"        {''.join(f'{_given(r, i)}, ' for i in range(r.count)) or '()'} = args",
        f"        modes = {name(state)}.__dict__",
        f"        if not ({' and '.join(asked)}):",
        f"            return {missing}",
        f"    except {name(UNLIKE)}:",
        f"        return {missing}",
        *(f"    r{k} = {name(make)}()" for k, make in makers.items() if k not in donated),
        f"    addresses = [{', '.join(f'{x}.address' for x in (*inputs, *results))}]",
        f"    if {bound}.addresses != addresses:",
        f"        {name(plans.patch)}({bound}, addresses)",
        f"    if {name(r.bound.program)}.go():",
        f"        raise {name(_fault)}({name(c)}, {bound})",
    ]
    if r.writes:
        lines.append(f"    with {name(store.changing)}:")
    for root, _, number, _ in r.writes:
        s, cut = name(r.reach.tensors[number]._storage), name(c.cuts[root])
        lines += [
            f"        if {s}.buffer is {results[root]} and {s}.pending is None"
            f" and {s}.cut is {cut}:",
            f"            {s}.version += 1",
            f"            {s}._memory = None",
            "        else:",
            f"            {name(assign)}({s}, {results[root]}, {cut})",
        ]
    if gradients is not None:
        for p, (root, t) in enumerate(zip(gradients.roots, gradients.owners)):
            lines += [
                f"    {name(t)}._grad = {name(gradients.now)}[{p}] = g = {give[root]}",
                f"    {name(gradients.storages)}[{p}] = s = g._storage",
                "    s.watched = True",
            ]
    if r.row is None:
        one = give[r.one or 0]
        lines.append(f"return {one}" if r.complex is None else f"return {name(r.complex)}({one})")
    else:
        lines.append(f"return ({''.join(f'{give[p.number]}, ' for p in r.row)})")
    return name.function("args", lines)


def _given(r: Replay, i: int) -> str:
    """An argument as it comes: a complex one has its pairs still to be taken out."""
    return f"p{i}" if i in r.paired else f"a{i}"


def _asked_of_arguments(r: Replay, name: Names) -> list[str]:
    """The conditions that modes and arguments fit; their memory becomes known as i0, …"""
    asked = [
        'modes["debug"] is None', 'modes["anomaly"] is None', 'not modes["inlined"]',
        f'modes["grad"] is {r.grad}', f'modes["autocast"] is {name(r.autocast)}',
        f"not {name(store.tracers)}", f"{name(door)}.watcher is None",
        f"{name(plans)}.watcher is None",
    ]  # fmt: skip
    tensors = []
    for i, (shape, dtype, value, cut) in enumerate(r.forms):
        if shape is None:
            asked.append(f"a{i} is {name(value)}")
            continue
        tensors.append(f"s{i}")
        if i in r.paired:
            asked += [f"type(p{i}) is {name(r.paired[i])}", f"(a{i} := p{i}._pair) is not None"]
        asked += [
            f"type(a{i}) is {name(Tensor)}", f"a{i}._leaf is None", f"a{i}._parent is None",
            f"a{i}._shape == {name(shape)}", f"(s{i} := a{i}._storage).dtype is {name(dtype)}",
            f"s{i}.cut is {name(cut)}",
            f"(s{i}.pending is None or not s{i}.pending.tracked"
            f" and s{i}.pending.cut is {name(cut)})",
        ]  # fmt: skip
    if r.writes:
        asked += [f"{a} is not {b}" for a, b in combinations(tensors, 2)]
        asked += [f"{s} not in {name(r.reach.storages)}" for s in tensors]
        if r.gradients is not None:
            asked += [f"{s} not in {name(r.gradients.storages)}" for s in tensors]
    return asked


def _asked_of_memory(r: Replay, name: Names, donated: dict[int, int]) -> list[str]:
    """The conditions that what is written may be, once all inputs are in memory."""
    asked, tensors = [], [i for i, (shape, *_) in enumerate(r.forms) if shape is not None]
    for at, (kind, number) in enumerate(r.sources):
        t = (None, r.reach.tensors, r.constants)[kind]
        s = f"s{tensors[number]}" if t is None else name(t[number]._storage)
        asked.append(f"(i{at} := {s}.buffer or {name(settled)}({s}))")
    count, alone = name(sys.getrefcount), _references()
    for root, _, number, _ in r.writes:
        s = name(r.reach.tensors[number]._storage)
        asked.append(f"{s}.owner is None")
        if root in donated:
            at = donated[root]
            most = f"({alone} if {s}._items is None else {alone + 1})"
            asked += [f"i{at} is {s}.buffer", f"not i{at}.readonly"]
            asked.append(f"{count}(i{at}) <= {most}")
        else:
            asked.append(f"({s}.buffer is None or not {s}.buffer.readonly)")
    return asked


# ---- what straight code calls, and other code as well -----------------------------------------


def assign(s: Storage, buffer: Buffer, cut: Cut | None) -> None:
    """Give a storage a new value that has been computed; `cut`: who took away its history."""
    if s.cut is not cut or s.pending is not None:
        s.watch(False, cut)
    s.cut = cut
    if s.owner is not None:
        s.version += 1
        assert s.buffer is not None
        if s.buffer is not buffer:
            s.buffer.write_bytes(buffer.read_bytes(0, s.buffer.nbytes))
        return
    with store.changing:
        s.version += 1
        if s.buffer is not buffer:
            s._items = None
            s.buffer = buffer
        s.number = s.pending = s._memory = None
        s.oldest = store._NEVER


def made(shape: tuple[int, ...], dtype: DType, buffer: Buffer, cut: Cut | None) -> Tensor:
    """A result."""
    storage = of_memory(shape, dtype, buffer)
    storage.cut = cut
    return Tensor._make(storage)


def _fault(c: Capture, bound: plans.Bound) -> OutOfRange:
    """What the status block says."""
    return c.plan.fault(bound.program.status).written(c.places)


def _references() -> int:
    """How many references to a buffer there are where straight code looks at one that nobody else
    holds: the attribute, a variable of the function, the call's argument."""
    s = of_memory((), uint8, Buffer(1))
    buffer = s.buffer
    return sys.getrefcount(buffer)
