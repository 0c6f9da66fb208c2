"""What a function can reach: the tensors that it may read or change, and the plain values that it
may depend on. `jit` looks here before each call. Must not know how a function is captured.
"""

from __future__ import annotations

import contextvars
import dis
import functools
import re
import sys
import types
import weakref
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Set
from typing import TYPE_CHECKING, Any, NamedTuple

from . import storage as store
from .arguments import (
    SCALARS,
    Same,
    constant,
    has_state,
    is_more,
    never_changes,
    of_users,
    slots_of,
)
from .core import Core, Paired
from .held import (
    MISSING,
    AttributeSlots,
    CellSlot,
    ClassSlots,
    ContextSlot,
    ListSlots,
    WeakSlot,
    behind,
    holds,
    inside,
    is_memory,
    is_source,
    memory,
)  # fmt: skip
from .storage import Storage
from .straight import FEW, UNLIKE, straight_look
from .view import Affine, Strided, Windows

if TYPE_CHECKING:
    from .tensor import Tensor

_SKIP = (types.ModuleType, type, types.BuiltinFunctionType, types.MethodDescriptorType)
_WRAPPED = (property, classmethod, staticmethod, functools.cached_property)


class CapturedFunction:
    """What a function captured by jit is, to a walk that finds one."""

    captured: Callable[..., Any]


class _Part(NamedTuple):
    """A part of the key, among the values that a walk still has to see."""

    part: Hashable


class Spot(NamedTuple):
    """Where a value stands, in numbers that are the same in all walks of one key."""

    number: int  # of what is looked into; of the slot, where that was not walked through itself
    form: Any  # the class of containers that looks into it; None: it is a dictionary; a slot: int
    key: Any
    found: bool  # the key is an object's number


class Reach:
    """One walk from a function: tensors in a fixed order, and a key of everything else.

    Two walks with equal keys lead to the same graph; `unchanged()` tells cheaply whether a new walk
    could differ from this one.
    """

    _straight: Callable[[Reach], bool] | None

    def __init__(self, roots: tuple[Any, ...], numbers: bool = False) -> None:
        """numbers: whether those of optimizers are compared as well."""
        self._numbers = numbers
        self.tensors: list[Core] = []
        self.stale = False  # something was put into a reached place: walk again
        self._changes = store.changes
        self.slots: list[tuple[Any, Any, Any]] = []  # (container, key, value): where values stand
        self._structures: list[tuple[Any, Any]] = []  # (optimizer, what its step is made of)
        self.containers: list[tuple[Any, int]] = []  # and how many items they hold
        self._orders: list[tuple[Mapping[Any, Any], list[Any]]] = []  # of keys, which code sees
        self.contents: list[tuple[Any, Any]] = []  # of what is no list or dictionary
        self.iterators: list[Iterator[Any]] = []
        self.sources: list[Any] = []  # of random numbers, other than ours
        self._classes: list[tuple[Any, type]] = []  # of objects of the user's
        self._functions: list[tuple[Any, Any, Any, Any]] = []  # and what they are made of
        self._parts: list[Hashable] = []
        self._seen: dict[int, int] = {}
        self._alive: list[Any] = []  # what `_seen` has ids of
        # A stack of (value, whether plain values matter here), not recursion: models may be deep.
        self._todo: list[tuple[Any, bool]] = [(r, True) for r in reversed(roots)]
        while self._todo:
            value, scalars = self._todo.pop()
            if type(value) is _Part:
                self._parts.append(value.part)
            else:
                self._value(value, scalars)
        self._note_tensors()
        self._sort_slots()
        self.key: Hashable = tuple(self._parts)

    def unchanged(self) -> bool:
        """Is everything that was found still what stands there? Optimizers' numbers are taken over
        where they have changed."""
        if self._straight is not None:
            return self._straight(self)
        if self.stale or self._changes != store.changes:
            return False
        try:
            if not self._in_loops():
                return False
            for container, key, value in self._others:
                if container.get(key, MISSING) is not value:
                    return False
            for container, held in self.contents:
                if not holds(container, held):
                    return False
        except UNLIKE:
            return False
        return self._refreshed()

    def _refreshed(self) -> bool:
        """Take over optimizers' numbers that have changed: are their steps made of the same?"""
        for optimizer, made in self._structures:
            if not optimizer.up_to_date():
                optimizer.refresh_hyperparameters()
                self.stale = optimizer.structure() != made
                if self.stale:
                    return False
        return True

    def _in_loops(self) -> bool:
        """Do the usual places hold what they held?"""
        for mapping, key, value in self._dicts:
            if mapping[key] is not value:
                return False
        for items, i, value in self._lists:
            if items[i] is not value:
                return False
        for cell, value in self._cells:
            if cell.cell_contents is not value:
                return False
        for container, length in self.containers:
            if len(container) != length:
                return False
        for mapping, keys in self._orders:
            if [*mapping] != keys:
                return False
        for value, cls in self._classes:
            if type(value) is not cls:
                return False
        for f, code, defaults, named in self._functions:
            if (
                f.__code__ is not code
                or f.__defaults__ is not defaults
                or f.__kwdefaults__ is not named
            ):
                return False
        for t, storage, parent, no_leaf, grad in self._tensors:
            if (
                t._storage is not storage
                or t._grad is not grad
                or (t._leaf is None) is not no_leaf
                or t._parent is not parent
            ):
                return False
        return True

    def straighten(self) -> None:
        """Have `unchanged` run straight code."""
        if self._straight is None and len(self.slots) <= FEW:
            self._straight = straight_look(self)

    def found(self, value: Any) -> bool:
        """Is it an object, other than a tensor, that was found?"""
        return id(value) in self._seen and not isinstance(value, SCALARS)

    def number(self, value: Any) -> int:
        """The number of an object that was found, the same in all walks of one key."""
        return self._seen[id(value)]

    def object(self, number: int) -> Any:
        """The object of a number."""
        return self._alive[number]

    def spot(self, container: Any, key: Any) -> Spot:
        """Where the value of a container's slot stands."""
        found = self.found(key)
        what = inside(container)
        if id(what) in self._seen:
            form = None if what is container else type(container)
            return Spot(self.number(what), form, self.number(key) if found else key, found)
        for i, (other, k, _) in enumerate(self.slots):
            if inside(other) is what and k == key:
                return Spot(i, int, None, False)
        raise AssertionError(f"{key!r} of {container!r} was not found by this walk")

    def at(self, spot: Spot) -> tuple[Any, Any]:
        """The container and the key of a spot, which another walk of this key may have noted."""
        if spot.form is int:
            container, key, _ = self.slots[spot.number]
            return container, key
        what = self._alive[spot.number]
        key = self._alive[spot.key] if spot.found else spot.key
        return what if spot.form is None else spot.form(what), key

    def new_gradients(self, replaced: dict[int, Tensor]) -> None:
        """Other gradients stand in the places of those (by id) that were found."""
        known = self._numbers_of
        if any(old not in known for old in replaced):
            self.stale = True
            return
        at = [(known[old], new) for old, new in replaced.items()]
        for i, new in at:
            self.tensors[i] = new
        if len(self.storages) < len(self.tensors):  # some share memory
            self._note_tensors()
            return
        self._straight = None
        notes = self._tensors
        for (i, new), old in zip(at, replaced):
            t, storage, parent, no_leaf, _ = notes[self._holders[i]]
            notes[self._holders[i]] = t, storage, parent, no_leaf, new
            del known[old], self.storages[notes[i][1]]
            known[id(new)] = self.storages[new._storage] = i
            notes[i] = new, new._storage, new._parent, new._leaf is None, new._grad
            new._storage.watched = True

    def _sort_slots(self) -> None:
        """By kind of container, each read as Python reads it fastest."""
        self._dicts = [s for s in self.slots if type(s[0]) is dict]
        self._lists = [(c.items, k, v) for c, k, v in self.slots if type(c) is ListSlots]
        self._cells = [(c.cell, v) for c, _, v in self.slots if type(c) is CellSlot]
        known = (dict, ListSlots, CellSlot)
        self._others = [s for s in self.slots if type(s[0]) not in known]

    def _note_tensors(self) -> None:
        self.storages: dict[Storage, int] = {}
        for i, t in enumerate(self.tensors):
            self.storages.setdefault(t._storage, i)
            t._storage.watched = True
        self._tensors = [
            (t, t._storage, t._parent, t._leaf is None, t._grad) for t in self.tensors
        ]
        self._numbers_of = {id(t): i for i, t in enumerate(self.tensors)}
        # Of each gradient, whose it is.
        self._holders = {
            self._numbers_of[id(t._grad)]: i
            for i, t in enumerate(self.tensors) if id(t._grad) in self._numbers_of
        }  # fmt: skip
        self._straight = None

    # ---- the walk ------------------------------------------------------------------------------

    def _next(self, items: Iterable[tuple[Any, bool]]) -> None:
        """What is to be seen next, in this order."""
        self._todo.extend(reversed(list(items)))

    def _value(self, value: Any, scalars: bool) -> None:
        """Note one value; `scalars` says whether plain values matter here."""
        if isinstance(value, SCALARS):
            if scalars:
                self._parts.append(constant(value))
            if type(value) in SCALARS or not is_more(value):
                return
        if isinstance(value, _SKIP) and behind(value) is None:
            self._parts.append(Same(value))
            if isinstance(value, type) and _mine(value.__module__):
                for base in (*value.__mro__, *type(value).mro(type(value))):
                    if _mine(base.__module__):
                        self._next(self._class(base))
            return
        known = self._seen.get(id(value))
        if known is not None:
            self._parts.append(("again", known))
            return
        self._seen[id(value)] = len(self._seen)
        self._alive.append(value)
        if is_source(value):
            self.sources.append(value)
        if isinstance(value, SCALARS):
            self._attributes(value, scalars)
            return
        if (inner := behind(value)) is not None:
            self._parts.append((type(value).__name__, getattr(value, "__name__", None)))
            self._next([(inner, scalars)])
        elif isinstance(value, weakref.ref):
            inner = value()
            self.slots.append((WeakSlot(value), None, inner))
            self._next([(inner, scalars)])
        elif isinstance(value, Paired):
            self.slots.append((vars(value), "_pair", value._pair))
            self._next([(value._pair, scalars)])
        elif isinstance(value, Core):
            self._tensor(value)
        elif isinstance(value, Mapping | list | tuple | set | frozenset | deque):
            if of_users(type(value).__module__) and has_state(value):
                self._parts.append(Same(type(value)))
                self._attributes(value, scalars)
            if isinstance(value, Mapping):
                self._mapping(value, scalars)
            else:
                self._sequence(value, scalars)
        elif isinstance(value, functools.partial):
            self._next([(value.func, scalars), (value.args, scalars), (value.keywords, scalars)])
        elif isinstance(value, types.MethodType):
            self._next([(value.__func__, scalars), (value.__self__, scalars)])
        elif isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, _WRAPPED):
            names = ("fget", "fset", "fdel", "func", "__func__")
            self._next([(getattr(value, name, None), scalars) for name in names])
        elif isinstance(value, contextvars.ContextVar):
            view = ContextSlot(value)
            item = view.get(None, MISSING)
            self.slots.append((view, None, item))
            self._next([(item, scalars)])
        elif is_memory(value):
            held = memory(value)
            self.contents.append((value, held))
            self._parts.append((type(value).__name__, held) if scalars else type(value).__name__)
        elif isinstance(value, Iterator) and (
            not has_state(value) or hasattr(type(value), "readline")  # a file
        ):
            self.iterators.append(value)
            self._parts.append(Same(value))
        elif has_state(value):
            self._object(value, scalars)
        else:
            self._parts.append(constant(value) if never_changes(value) else Same(value))

    def _tensor(self, t: Core) -> None:
        self.tensors.append(t)
        self._parts.append(
            ("tensor", tuple(int(s) for s in t._shape), t.dtype, t._leaf is None, t._detached,
             _views(t), self._storage_number(t._storage), t._storage.history())
        )  # fmt: skip
        leaf = t._leaf
        if leaf is not None and (leaf.hooks or leaf.after):
            called = (*(leaf.hooks or {}).values(), None, *(leaf.after or {}).values())
            self._next([(called, True)])
        if t._grad is None:
            self._parts.append(None)
        else:
            self._next([(t._grad, True)])

    def _storage_number(self, storage: Storage) -> int:
        """Which tensors share memory is part of the key."""
        known = self._seen.get(id(storage))
        if known is None:
            known = self._seen[id(storage)] = len(self._seen)
            self._alive.append(storage)
        return known

    def _mapping(self, value: Mapping[Any, Any], scalars: bool) -> None:
        self._parts.append((type(value).__name__, len(value)))
        self.containers.append((value, len(value)))
        keys = [*value] if scalars and isinstance(value, dict) and len(value) > 1 else []
        if keys and all(isinstance(k, SCALARS) for k in keys):
            self._orders.append((value, keys))
        items: list[tuple[Any, bool]] = []
        for key, item in value.items():
            if scalars or not isinstance(key, SCALARS):
                items.append((key, scalars))
            if scalars or not isinstance(item, SCALARS):
                self.slots.append((value, key, item))
            items.append((item, scalars))
        self._next(items)

    def _sequence(self, value: Any, scalars: bool) -> None:
        self._parts.append((type(value).__name__, len(value)))
        if isinstance(value, list):
            view = ListSlots(value)
            self.containers.append((value, len(value)))
            self.slots += [
                (view, i, item)
                for i, item in enumerate(value) if scalars or not isinstance(item, SCALARS)
            ]  # fmt: skip
        elif isinstance(value, set | deque):
            self.contents.append((value, tuple(value)))
        self._next((item, scalars) for item in value)

    def _function(self, f: types.FunctionType) -> None:
        """Closures always; globals (also of modules that it names) for the user's own code."""
        self._parts.append(f.__code__)
        items: list[tuple[Any, bool]] = []
        if of_users(f.__module__):
            self._functions.append((f, f.__code__, f.__defaults__, f.__kwdefaults__))
            if f.__dict__:
                items.append((f.__dict__, True))
        names = _named(f)
        for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            view = CellSlot(cell)
            item = view.get(None, MISSING)
            items.append((_Part(name), True))
            if item is not MISSING:
                self.slots.append((view, None, item))
                items.append((item, True))
                if isinstance(item, types.ModuleType):
                    items += self._module(item, names)
        items += [(item, True) for item in (f.__defaults__, f.__kwdefaults__) if item]
        if of_users(f.__module__):
            for name in sorted(names & f.__globals__.keys()):
                item = f.__globals__[name]
                items.append((_Part(name), True))
                self.slots.append((f.__globals__, name, item))
                if isinstance(item, types.ModuleType):
                    items += self._module(item, names)
                else:
                    items.append((item, True))
            for name in sorted(_imported(f.__code__) & sys.modules.keys()):
                items += self._module(sys.modules[name], names)
        self._next(items)

    def _module(self, module: types.ModuleType, names: Set[str]) -> list[tuple[Any, bool]]:
        """What the code names of a module: of the user's own everything, else plain values."""
        items: list[tuple[Any, bool]] = []
        todo, seen = [module], {id(module)}
        while todo:
            module = todo.pop()
            if not of_users(module.__name__) and module.__name__ not in _WITH_STATE:
                continue
            mine = _mine(module.__name__)
            for name in sorted(names & vars(module).keys()):
                item = vars(module)[name]
                if name.startswith("__"):
                    continue
                if isinstance(item, types.ModuleType):
                    if id(item) not in seen and (mine or item.__name__ in _WITH_STATE):
                        seen.add(id(item))
                        todo.append(item)
                elif mine or _counts(item):
                    self.slots.append((vars(module), name, item))
                    items += [(_Part((module.__name__, name)), True), (item, True)]
        return items

    def _object(self, value: Any, scalars: bool) -> None:
        if isinstance(value, CapturedFunction):  # what that one reaches
            self._next([(value.captured, scalars)])
            return
        cls = type(value)
        self._parts.append(Same(cls))
        if hasattr(cls, "refresh_hyperparameters"):
            # An optimizer's numbers are runtime scalars: they are refreshed, not compared. Which
            # functions a step is made of is compared.
            value.refresh_hyperparameters()
            self._structures.append((value, value.structure()))
            own = vars(value)
            self.slots += [(own, k, v) for k, v in own.items() if not k.startswith("_")]
            parts = [(value.structure(), True), (value.param_groups, self._numbers)]
            hyper = [(t, False) for t in value.hyperparameter_tensors()]
            self._next([*parts, (value.state, False), *hyper])
            return
        self._attributes(value, scalars)

    def _attributes(self, value: Any, scalars: bool) -> None:
        """What an object of a user's class has, and what the class has."""
        cls = type(value)
        items: list[tuple[Any, bool]] = []
        if of_users(cls.__module__):
            self._classes.append((value, cls))
        if hasattr(value, "__dict__"):
            items.append((vars(value), scalars))
        for name in slots_of(cls):
            slot = AttributeSlots(value)
            item = slot.get(name, MISSING)
            self.slots.append((slot, name, item))
            items += [(_Part(name), True), (item, scalars)]
        for base in (*cls.__mro__, *type(cls).__mro__):
            if of_users(base.__module__):
                items += self._class(base)
        self._next(items)

    def _class(self, cls: type) -> list[tuple[Any, bool]]:
        """What a user's class holds, once; of others' plain values, tensors and methods."""
        if id(cls) in self._seen:
            return []
        self._seen[id(cls)] = len(self._seen)
        self._alive.append(cls)
        body, view = vars(cls), ClassSlots(cls)
        self.containers.append((body, len(body)))
        items: list[tuple[Any, bool]] = []
        mine = _mine(cls.__module__)
        for name, item in body.items():
            if isinstance(item, _DESCRIPTORS) or name == "_abc_impl":
                continue
            plain = not name.startswith("__") and (mine or isinstance(item, (*SCALARS, Core)))
            if plain or isinstance(item, types.FunctionType):
                self.slots.append((view, name, item))
                items += [(_Part(name), True), (item, True)]
        return items


def _views(t: Core) -> Hashable:
    """How a tensor sees its memory, and where derivatives end or are taken on the way."""
    found: list[Hashable] = []
    while t._parent is not None:
        view = t._view
        assert view is not None
        how: Hashable = view.rules if isinstance(view, Affine) else None
        if isinstance(view, Strided):
            how = view.steps, view.offset
        elif isinstance(view, Windows):
            how = view.axis, view.step
        sizes = tuple(map(int, view.source)), tuple(map(int, view.shape))
        t = t._parent
        found.append((type(view), sizes, how, t._detached, t._leaf is None))
    return tuple(found)


_DESCRIPTORS = (
    types.MemberDescriptorType, types.GetSetDescriptorType, types.WrapperDescriptorType,
    types.MethodDescriptorType, types.ClassMethodDescriptorType,
)  # fmt: skip


@functools.lru_cache(maxsize=1024)
def _mine(module: str | None) -> bool:
    """Is a module the user's own: not the library's, not this package's, and not installed?"""
    if not isinstance(module, str):
        return False
    place = getattr(sys.modules.get(module), "__file__", None) or ""
    return of_users(module) and "site-packages" not in place and "dist-packages" not in place


# Rooms of other libraries whose functions have a state between calls: random numbers, the
# environment.
_WITH_STATE = frozenset(("random", "numpy.random", "os"))


def _counts(item: Any) -> bool:
    """Is a value in a module of others one that may be another at the next call?"""
    if isinstance(item, types.MethodType):
        return is_source(item.__self__)
    return isinstance(item, (*SCALARS, Core, list, dict, tuple)) or behind(item) is not None


def _named(f: types.FunctionType) -> Set[str]:
    """The names that a function may ask for; where it asks for globals whose names are nowhere in
    its code, those of all numbers, strings and tensors there."""
    names = _names(f.__code__)
    if not names.isdisjoint(("globals", "eval", "exec")) and of_users(f.__module__):
        plain = [k for k, v in f.__globals__.items() if isinstance(v, (*SCALARS, Core))]
        return names.union(plain)
    return names


# Of these, what they are asked for by name is in strings.
_BY_NAME = frozenset(
    ("getattr", "attrgetter", "methodcaller", "globals", "vars", "eval", "exec", "__dict__")
)


@functools.lru_cache(maxsize=4096)
def _names(code: types.CodeType) -> frozenset[str]:
    names, texts = set(code.co_names), [c for c in code.co_consts if isinstance(c, str)]
    if not names.isdisjoint(_BY_NAME):
        names.update(*(re.findall(r"[^\W\d]\w*", text) for text in texts))
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            names |= _names(inner)
    return frozenset(names)


@functools.lru_cache(maxsize=4096)
def _imported(code: types.CodeType) -> frozenset[str]:
    """The modules that code imports, or finds by name, while it runs."""
    found = [str(i.argval) for i in dis.get_instructions(code) if i.opname == "IMPORT_NAME"]
    if not {"modules", "import_module", "__import__"}.isdisjoint(code.co_names):
        found += [c for c in code.co_consts if isinstance(c, str)]
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            found += _imported(inner)
    return frozenset(found)
