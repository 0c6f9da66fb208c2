"""What a captured function gives back, and what it does to Python objects that it reaches.

Both become templates: the same nested values with places for tensors, filled at each call. Must not
know how a function is captured, or run.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import types
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ..ir.node import Node
from .arguments import SCALARS, constant, has_attributes, room_of, slots_of
from .core import Core, Paired
from .errors import JitError
from .held import MISSING, Contents, ListSlots, copied, drawn, holds, progress, put, put_back
from .reach import Reach
from .storage import Storage
from .tensor import Tensor
from .view import Affine, Reshape, Shape, Strided, View, Windows, reshaped_strides

# ---- templates -----------------------------------------------------------------------------------


class Returned(NamedTuple):
    """A place for a tensor: a result, or an input given back as it is, by number."""

    kind: str
    number: int


class Found(NamedTuple):
    """A place for an object that the function reaches, by number."""

    number: int


class Seen(NamedTuple):
    """A place for a view of an input or of a result, which shares its memory."""

    base: Returned
    views: tuple[tuple[View, bool], ...]  # and whether history ends there


class Remade(NamedTuple):
    """A place for a copy of an object with other items: a dictionary, or an object with fields."""

    like: Any
    items: dict[Any, Any]

    def made(self, fill: Callable[[Any], Any]) -> Any:
        new = {} if type(self.like) is dict else _copied(self.like)
        for key, value in self.items.items():
            if isinstance(new, dict):
                new[key] = fill(value)
            else:
                object.__setattr__(new, key, fill(value))
        return new


class Complex(NamedTuple):
    """A place for a tensor of complex numbers."""

    like: Paired
    pairs: Any


class Filling:
    """Fills templates with the tensors of one call; one place gets one tensor."""

    def __init__(
        self, wrap: Callable[[int], Tensor], given: Sequence[Core], reach: Reach
    ) -> None:
        self._wrap, self._given, self._reach = wrap, given, reach
        self._made: dict[Any, Any] = {}

    def __call__(self, value: Any) -> Any:
        kind = type(value)
        if kind is Returned:
            return self._tensor(value)
        if kind is Found:
            return self._reach.object(value.number)
        if kind is Seen:
            made = self._made.get(value)
            if made is None:
                made = self._made[value] = self._view(value)
            return made
        if kind is Remade:
            return value.made(self)
        if kind is Complex:
            return value.like.over(lambda pairs: self(value.pairs))
        if isinstance(value, set | deque | bytearray):
            return copy.copy(value)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return kind(*map(self, value))
        if isinstance(value, list | tuple):
            return kind(map(self, value))
        return value

    def _tensor(self, place: Returned) -> Any:
        kind, number = place
        if kind == "argument":
            return self._given[number]
        if kind == "reached":
            return self._reach.tensors[number]
        made = self._made.get(place)
        if made is None:
            whole = kind == "storage"  # of a reached tensor
            made = (
                Tensor._make(self._reach.tensors[number]._storage) if whole else self._wrap(number)
            )
            self._made[place] = made
        return made

    def _view(self, place: Seen) -> Any:
        t = self._tensor(place.base)
        for view, ends in place.views:
            if isinstance(view, Reshape) and _scattered(t, view.shape):
                t = t.reshape(view.shape)
            else:
                t = t.through(view)
            t._detached = t._detached or ends
        return t if place.views else t.detach()


def results_in(template: Any) -> list[int]:
    """The numbers of the results in a template, each as often as it is there."""
    if type(template) is Returned:
        return [template.number] if template.kind == "result" else []
    if type(template) is Seen:
        return results_in(template.base) * 2  # beside it, and with its memory
    if type(template) is Remade:
        return results_in(tuple(template.items.values()))
    if type(template) is Complex:
        return results_in(template.pairs)
    if type(template) is not Found and isinstance(template, list | tuple):
        return [n for part in template for n in results_in(part)]
    return []


class Places:
    """Turns what a function gave into a template."""

    def __init__(
        self, values: Iterable[Any], inputs: dict[int, Returned], bases: dict[Storage, Returned],
        inside: dict[Storage, Affine], reach: Reach, root: Callable[[Node], int], first: int,
    ) -> None:  # fmt: skip
        """values: all that will be asked for. inputs: places of tensors, by id; bases: of whole
        memory. inside: the view of an argument that its memory is. root: notes an expression to
        compute. first: storages that are younger were made while capturing."""
        self._inputs, self._bases, self._inside = inputs, bases, inside
        self._reach, self._root, self._first = reach, root, first
        self._known: dict[int, Any] = {}  # by the id of a tensor
        # Numbers of reached objects that stand inside others, where no place can be made for them:
        # this serves those objects only.
        self.fixed: set[int] = set()
        found: dict[int, Core] = {}
        for value in values:
            _tensors_in(value, found)
        # Several views of memory that was made inside go on sharing it.
        for s, n in Counter(t._storage for t in found.values()).items():
            if n > 1 and s not in bases and s.born > first:
                bases[s] = Returned("result", root(Tensor._make(s).node))

    def __call__(self, value: Any) -> Any:
        if isinstance(value, Paired):
            if self._reach.found(value):
                return Found(self._reach.number(value))
            return Complex(value, self(value._pair))
        if isinstance(value, Core):
            place = self._inputs.get(id(value)) or self._known.get(id(value))
            if place is None:
                place = self._known[id(value)] = self._place(value)
            return place
        if self._reach.found(value):
            return Found(self._reach.number(value))
        if isinstance(value, list | tuple | dict) and has_attributes(value):
            self._refuse_attributes(value)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*map(self, value))
        if isinstance(value, list | tuple):
            return type(value)(map(self, value))
        if isinstance(value, dict):
            empty = _copied(value)
            empty.clear()
            return Remade(empty, {k: self(v) for k, v in value.items()})
        fields = _fields(value)
        if fields is not None:
            return Remade(copy.copy(value), {n: self(v) for n, v in fields.items()})
        self._refuse(value)
        return value

    def _place(self, t: Core) -> Returned | Seen:
        base = self._bases.get(t._storage)
        if base is None:
            return Returned("result", self._root(t.node))
        if t._parent is None and base.kind == "result":
            return base
        views: list[tuple[View, bool]] = []
        at = t
        while at._parent is not None:
            assert at._view is not None
            views.append((_numbered(at._view), at._detached))
            at = at._parent
            if (known := self._inputs.get(id(at))) is not None and known.kind == "reached":
                return Seen(known, tuple(reversed(views)))
        if t._storage in self._inside:
            views.append((self._inside[t._storage], False))
        return Seen(base, tuple(reversed(views)))

    def _refuse_attributes(self, value: Any) -> None:
        """Raise JitError for a collection whose attributes later calls could not give as well."""
        own = getattr(value, "__dict__", None)
        if own is value:  # they are its items
            return
        if not isinstance(value, dict) or _made_inside(own, self._first):
            raise JitError(
                f"jit: the function gives a {type(value).__name__} that has attributes beside its "
                f"items, which later calls could not give; return them as items, or a dataclass"
            )
        self._keep(own)

    def _refuse(self, value: Any) -> None:
        """Raise JitError where later calls could not give a value like this one."""
        if isinstance(value, Iterator | Coroutine):
            raise JitError(
                f"jit: the function gives a {type(value).__name__}, which would go on after it has "
                f"been captured; return a list or a tuple"
            )
        if _made_inside(value, self._first):
            raise JitError(
                f"jit: the function gives or keeps a {type(value).__name__} that holds a tensor "
                f"made inside, into which later calls could not put theirs; use tuples, lists, "
                f"dictionaries or dataclasses of tensors"
            )
        self._keep(value)

    def _keep(self, value: Any) -> None:
        """Note which reached objects stand inside one that is given back as it is."""
        reach = self._reach
        self.fixed |= {reach.number(x) for x in _held(value, reach) if reach.found(x)}


def _copied(value: Any) -> Any:
    """A copy; of a dictionary whose items are its attributes, one of which that is true as well."""
    new = copy.copy(value)
    if getattr(value, "__dict__", None) is value:
        new.__dict__ = new
    return new


def _scattered(t: Core, shape: Shape) -> bool:
    """Does it take a copy to see a tensor's elements in this shape?"""
    return reshaped_strides(t._shape, t.layout()[0], shape) is None


def _numbered(view: View) -> View:
    """A view with plain sizes, for use outside a graph with a runtime size."""
    source, shape = tuple(map(int, view.source)), tuple(map(int, view.shape))
    if isinstance(view, Affine):
        return Affine(source, shape, view.rules)
    if isinstance(view, Strided):
        return Strided(source, shape, view.steps, view.offset)
    if isinstance(view, Windows):
        return Windows(source, shape, view.axis, view.step)
    return Reshape(source, shape)


def _tensors_in(value: Any, found: dict[int, Core]) -> None:
    if isinstance(value, Paired):
        value = value._pair
    if isinstance(value, Core):
        found[id(value)] = value
    elif isinstance(value, list | tuple):
        for v in value:
            _tensors_in(v, found)
    elif isinstance(value, dict):
        _tensors_in(list(value.values()), found)
    elif (fields := _fields(value)) is not None:
        _tensors_in(list(fields.values()), found)


def _fields(value: Any) -> dict[str, Any] | None:
    """The attributes of an object that does nothing but hold them: a dataclass, a namespace."""
    kind = type(value)
    names: Iterable[str] = getattr(kind, "__dataclass_fields__", ())
    if kind is types.SimpleNamespace:
        names = vars(value)
    elif not names or isinstance(value, type):
        return None
    return {n: getattr(value, n) for n in names if hasattr(value, n)}


def _made_inside(value: Any, first: int) -> bool:
    """Does an object hold a tensor that was made while a function was captured?"""
    return any(isinstance(x, Core) and x._storage.born > first for x in _held(value))


def _held(value: Any, reach: Reach | None = None) -> Iterator[Any]:
    """All that an object holds; what `reach` has found is not looked into."""
    seen: set[int] = set()
    todo = [value]
    while todo:
        value = todo.pop()
        if isinstance(value, (*SCALARS, types.ModuleType, type)) or id(value) in seen:
            continue
        seen.add(id(value))
        yield value
        if reach is not None and reach.found(value):
            continue
        if isinstance(value, Paired):
            todo.append(value._pair)
        elif isinstance(value, Core):
            pass
        elif isinstance(value, dict):
            todo += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple | set | frozenset | deque):
            todo += value
        elif isinstance(value, types.FunctionType):
            todo += [*(value.__closure__ or ()), value.__defaults__, value.__kwdefaults__]
        elif isinstance(value, types.CellType):
            with contextlib.suppress(ValueError):  # not assigned yet
                todo.append(value.cell_contents)
        elif isinstance(value, types.MethodType):
            todo.append(value.__self__)
        elif isinstance(value, functools.partial):
            todo += [value.args, value.keywords, value.func]
        else:
            todo += [getattr(value, n, None) for n in slots_of(type(value))]
            todo += [vars(value)] if hasattr(value, "__dict__") else []


# ---- effects on what is reached ------------------------------------------------------------------


class Before:
    """The objects that a function reaches, as they were before it was captured."""

    def __init__(self, reach: Reach) -> None:
        self._dicts = [(c, dict(c)) for c, _ in reach.containers if isinstance(c, dict)]
        self._lists = [(c, list(c)) for c, _ in reach.containers if isinstance(c, list)]
        self._others = [(c, copied(c), held) for c, held in reach.contents]
        whole = {id(c) for c, _ in (*self._dicts, *self._lists)}
        self._slots = [
            (c, k, v) for c, k, v in reach.slots
            if id(c.items if isinstance(c, ListSlots) else c) not in whole
        ]  # fmt: skip
        self._tensors = [(t, t._storage, t._leaf) for t in reach.tensors]
        self._iterators = [(it, progress(it)) for it in reach.iterators]
        self._sources = [(s, drawn(s)) for s in reach.sources]

    def changes(self) -> list[tuple[Any, Any, Any]]:
        """(container, key, what stands there now) where it is something else."""
        self._refuse()
        found: list[tuple[Any, Any, Any]] = []
        for d, old in self._dicts:
            there = dict(dict.items(d))  # as it is, whoever watches d
            for key in {**old, **there}:
                was, now = old.get(key, MISSING), there.get(key, MISSING)
                if not _equal(was, now):
                    found.append((d, key, now))
        for items, before in self._lists:
            if len(items) != len(before):
                found.append((Contents(items), None, self._without_new(items, before)))
                continue
            pairs = enumerate(zip(before, items, strict=True))
            found += [(ListSlots(items), i, b) for i, (a, b) in pairs if not _equal(a, b)]
        for c, before, held in self._others:
            if not holds(c, held):
                known = isinstance(c, set | deque)
                now = tuple(self._without_new(c, before)) if known else copied(c)
                found.append((Contents(c), None, now))
        for container, key, was in self._slots:
            now = container.get(key, MISSING)
            if not _equal(was, now):
                found.append((container, key, now))
        return found

    def _refuse(self) -> None:
        for it, at in self._iterators:
            if progress(it) != at:
                raise JitError(
                    f"jit: the function takes items from a {type(it).__name__}, from which each "
                    f"call of it would take others; take them outside, and pass them as arguments"
                )
        for source, state in self._sources:
            if drawn(source) != state:
                raise JitError(
                    f"jit: the function draws from {_named(source)}, from which each call of it "
                    f"would draw other numbers; draw with gu.rand and the like, whose numbers a "
                    f"captured function draws anew, or outside, and pass them as arguments"
                )
        for t, storage, leaf in self._tensors:
            if t._storage is not storage or (t._leaf is None) is not (leaf is None):
                what = "requires_grad" if t._storage is storage else "memory (x.data = …)"
                raise JitError(
                    f"jit: the function changes the {what} of a tensor of shape "
                    f"{tuple(map(int, t._shape))} that it is given or reaches; do so outside"
                )

    def _without_new(self, items: Iterable[Any], before: Iterable[Any]) -> list[Any]:
        known = set(map(id, before))
        found: dict[int, Core] = {}
        _tensors_in([item for item in items if id(item) not in known], found)
        if found:
            raise JitError(
                f"jit: the function puts a tensor into a {type(items).__name__} that it reaches, "
                f"which grows or shrinks: no later call would do so again; return the tensor, and "
                f"put it there outside"
            )
        return list(items)

    def restore(self) -> None:
        """Put everything back."""
        for d, old in self._dicts:
            if len(d) != len(old) or any(d.get(k, MISSING) is not v for k, v in old.items()):
                d.clear()
                d.update(old)
        for items, before in self._lists:
            if not holds(items, before):
                items[:] = before
        for c, before, held in self._others:
            if not holds(c, held):
                Contents(c)[None] = before
        for container, key, was in self._slots:
            if container.get(key, MISSING) is not was:
                put(container, key, was)
        for source, state in self._sources:
            if drawn(source) != state:
                put_back(source, state)
        for t, storage, leaf in self._tensors:
            t._storage, t._leaf = storage, leaf


def _named(source: Any) -> str:
    return f"a {room_of(type(source)).partition('.')[0]}.{type(source).__name__}"


def _equal(a: Any, b: Any) -> bool:
    """Can nobody tell one value from another?"""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, SCALARS):
        return constant(a) == constant(b)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(_equal, a, b))
    return False
