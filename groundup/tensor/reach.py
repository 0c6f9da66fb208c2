"""What a function can reach: the tensors that it may read or change, and the plain values that it
may depend on. `jit` looks here before each call. Must not know how a function is captured.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Hashable, Mapping
from typing import Any

from .core import Core
from .storage import Storage

_MISSING = object()
_SCALARS = (bool, int, float, complex, str, bytes, type(None))
_SKIP = (types.ModuleType, type, types.BuiltinFunctionType, types.MethodDescriptorType)
_OWN = __package__.partition(".")[0]


class Reach:
    """One walk from a function: tensors in a fixed order, and a key of everything else.

    Two walks with equal keys lead to the same graph; `unchanged()` tells cheaply whether a new walk
    could differ from this one.
    """

    def __init__(self, roots: tuple[Any, ...]) -> None:
        self.tensors: list[Core] = []
        self.optimizers: list[Any] = []
        self._structures: list[tuple[Any, Any]] = []  # (optimizer, what its step is made of)
        self.slots: list[tuple[Any, Any, Any]] = []  # (container, key, value): where values stand
        self._lengths: list[tuple[Any, int]] = []
        self._parts: list[Hashable] = []
        self._seen: dict[int, int] = {}
        self._alive: list[Any] = []  # what `_seen` has ids of
        for root in roots:
            self._value(root, True)
        self.storages: dict[Storage, int] = {}
        for i, t in enumerate(self.tensors):
            self.storages.setdefault(t._storage, i)
        self._tensors = [(t, t._storage, t._leaf is None, t._grad) for t in self.tensors]
        self.key: Hashable = tuple(self._parts)

    def unchanged(self) -> bool:
        """Is everything that was found still what stands there?"""
        for container, key, value in self.slots:
            if container.get(key, _MISSING) is not value:
                return False
        for container, length in self._lengths:
            if len(container) != length:
                return False
        for t, storage, no_leaf, grad in self._tensors:
            if t._storage is not storage or t._grad is not grad or (t._leaf is None) is not no_leaf:
                return False
        return all(optimizer.structure() == made for optimizer, made in self._structures)

    def new_gradients(self, replaced: dict[int, Core]) -> bool:
        """Other gradients stand in the places of those (by id) that were found; False if one of
        them was not found."""
        known = {id(t): i for i, t in enumerate(self.tensors)}
        if any(old not in known for old in replaced):
            return False
        for old, new in replaced.items():
            self.tensors[known[old]] = new
        self.storages = {}
        for i, t in enumerate(self.tensors):
            self.storages.setdefault(t._storage, i)
        self._tensors = [(t, t._storage, t._leaf is None, t._grad) for t in self.tensors]
        return True

    # ---- the walk ------------------------------------------------------------------------------

    def _value(self, value: Any, scalars: bool) -> None:
        """Note one value; `scalars` says whether plain values matter here."""
        if isinstance(value, _SCALARS):
            if scalars:
                self._parts.append((type(value).__name__, value if value == value else "nan"))
            return
        if isinstance(value, _SKIP):
            self._parts.append(id(value))
            return
        known = self._seen.get(id(value))
        if known is not None:
            self._parts.append(("again", known))
            return
        self._seen[id(value)] = len(self._seen)
        self._alive.append(value)
        if isinstance(value, Core):
            self._tensor(value)
        elif isinstance(value, Mapping):
            self._mapping(value, scalars)
        elif isinstance(value, list | tuple | set | frozenset):
            self._sequence(value, scalars)
        elif isinstance(value, functools.partial):
            self._value(value.func, scalars)
            self._value(value.args, scalars)
            self._value(value.keywords, scalars)
        elif isinstance(value, types.MethodType):
            self._value(value.__func__, scalars)
            self._value(value.__self__, scalars)
        elif isinstance(value, types.FunctionType):
            self._function(value)
        elif hasattr(value, "__dict__"):
            self._object(value, scalars)
        else:
            self._parts.append((type(value).__name__, id(value)))

    def _tensor(self, t: Core) -> None:
        self.tensors.append(t)
        self._parts.append(
            ("tensor", tuple(int(s) for s in t._shape), t.dtype, t._leaf is None, t._detached,
             t._parent is None, self._storage_number(t._storage))
        )  # fmt: skip
        if t._grad is None:
            self._parts.append(None)
        else:
            self._value(t._grad, True)

    def _storage_number(self, storage: Storage) -> int:
        """Which tensors share memory is part of the key."""
        known = self._seen.get(id(storage))
        if known is None:
            known = self._seen[id(storage)] = len(self._seen)
            self._alive.append(storage)
        return known

    def _mapping(self, value: Mapping[Any, Any], scalars: bool) -> None:
        self._parts.append((type(value).__name__, len(value)))
        self._lengths.append((value, len(value)))
        for key, item in value.items():
            if scalars and isinstance(key, _SCALARS):
                self._parts.append(key)
            elif not isinstance(key, _SCALARS):
                self._value(key, scalars)
            if scalars or not isinstance(item, _SCALARS):
                self.slots.append((value, key, item))
            self._value(item, scalars)

    def _sequence(self, value: Any, scalars: bool) -> None:
        self._parts.append((type(value).__name__, len(value)))
        if isinstance(value, list):
            view = _ListSlots(value)
            self._lengths.append((value, len(value)))
            for i, item in enumerate(value):
                if scalars or not isinstance(item, _SCALARS):
                    self.slots.append((view, i, item))
                self._value(item, scalars)
            return
        for item in value:
            self._value(item, scalars)

    def _function(self, f: types.FunctionType) -> None:
        """Closures always; globals (also of modules that it names) for the user's own code."""
        self._parts.append(id(f.__code__))
        for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            view = _CellSlot(cell)
            item = view.get(None, _MISSING)
            self._parts.append(name)
            if item is not _MISSING:
                self.slots.append((view, None, item))
                self._value(item, True)
        for item in (f.__defaults__, f.__kwdefaults__):
            if item:
                self._value(item, True)
        if (f.__module__ or "").partition(".")[0] == _OWN:
            return
        names = _names(f.__code__)
        for name in sorted(names & f.__globals__.keys()):
            item = f.__globals__[name]
            self._parts.append(name)
            self.slots.append((f.__globals__, name, item))
            if isinstance(item, types.ModuleType):
                self._module(item, names)
            else:
                self._value(item, True)

    def _module(self, module: types.ModuleType, names: set[str]) -> None:
        """Plain values and tensors of a user's module that the code names."""
        if (module.__name__ or "").partition(".")[0] == _OWN:
            return
        for name in sorted(names & vars(module).keys()):
            item = vars(module)[name]
            if isinstance(item, (*_SCALARS, Core, list, dict, tuple)) and not name.startswith("__"):
                self._parts.append((module.__name__, name))
                self.slots.append((vars(module), name, item))
                self._value(item, True)

    def _object(self, value: Any, scalars: bool) -> None:
        if hasattr(value, "captured"):  # a function captured by jit: what that one reaches
            self._value(value.captured, scalars)
            return
        cls = type(value)
        self._parts.append((cls.__module__, cls.__qualname__, id(cls)))
        if hasattr(value, "refresh_hyperparameters"):
            # An optimizer's numbers are runtime scalars: they are refreshed, not compared. Which
            # functions a step is made of is compared.
            value.refresh_hyperparameters()
            self.optimizers.append(value)
            self._structures.append((value, value.structure()))
            self._value(value.structure(), True)
            self._value(value.param_groups, False)
            self._value(value.state, False)
            for t in value.hyperparameter_tensors():
                self._value(t, False)
            return
        self._mapping(vars(value), scalars)
        for base in cls.__mro__:
            if base.__module__.partition(".")[0] in (_OWN, "builtins"):
                continue
            for name, item in vars(base).items():
                plain = isinstance(item, (*_SCALARS, Core)) and not name.startswith("__")
                if plain or isinstance(item, types.FunctionType):
                    self._value(item, True)


class _ListSlots:
    """A list as a container of slots."""

    __slots__ = ("items",)

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def get(self, key: int, default: Any) -> Any:
        return self.items[key] if key < len(self.items) else default

    def __setitem__(self, key: int, value: Any) -> None:
        self.items[key] = value


class _CellSlot:
    """A closure's cell as a container of one slot."""

    __slots__ = ("cell",)

    def __init__(self, cell: types.CellType) -> None:
        self.cell = cell

    def get(self, key: None, default: Any) -> Any:
        try:
            return self.cell.cell_contents
        except ValueError:  # not assigned yet
            return default

    def __setitem__(self, key: None, value: Any) -> None:
        self.cell.cell_contents = value


def _names(code: types.CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant)
    return names
