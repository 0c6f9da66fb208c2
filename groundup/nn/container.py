"""Modules that hold modules: Sequential, ModuleList, ModuleDict.

Their children are attributes named '0', '1', … (or by key), so everything that a Module does finds
them, and `state_dict` has PyTorch's paths. Must not know what the children compute.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, overload

from groundup.tensor.misuse import named

from .module import Module


def _checked(owner: Module, module: object) -> Module:
    if not isinstance(module, Module):
        hint = f": write {type(owner).__name__}({module.__name__}(), …)" if isinstance(
            module, type
        ) and issubclass(module, Module) else ""  # fmt: skip
        raise TypeError(f"{type(owner).__name__} holds modules, not {type(module).__name__}{hint}")
    return module


class ModuleList(Module):
    """A list of modules whose parameters are found; it has no forward of its own.

    >>> layers = ModuleList([Linear(4, 4) for _ in range(3)])
    >>> len(layers), len(list(layers.parameters()))
    (3, 6)
    """

    @named
    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules)

    def append(self, module: Module) -> ModuleList:
        """Add a module at the end."""
        setattr(self, str(len(self)), _checked(self, module))
        return self

    def extend(self, modules: Iterable[Module]) -> ModuleList:
        """Add several modules at the end."""
        for i, module in enumerate(modules, len(self)):
            setattr(self, str(i), _checked(self, module))
        return self

    def insert(self, index: int, module: Module) -> None:
        """Put a module before the one at `index`."""
        items = list(self)
        items.insert(index, _checked(self, module))
        self._refill(items)

    def _refill(self, items: list[Module]) -> None:
        for name, _ in list(self.named_children()):
            delattr(self, name)
        self.extend(items)

    def __len__(self) -> int:
        return sum(1 for _ in self.named_children())

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> ModuleList: ...
    def __getitem__(self, index: int | slice) -> Module | ModuleList:
        items = list(self)[index]
        return type(self)(items) if isinstance(items, list) else items

    def __setitem__(self, index: int, module: Module) -> None:
        position = range(len(self))[index]
        setattr(self, list(dict(self.named_children()))[position], _checked(self, module))

    def __delitem__(self, index: int | slice) -> None:
        items = list(self)
        del items[index]
        self._refill(items)


class Sequential(Module):
    """y = f_k(… f_2(f_1(x))): its modules called one after another.

    Takes modules, or one mapping of names to modules.

    >>> model = Sequential(Linear(784, 50), ReLU(), Linear(50, 10))
    >>> model(gu.zeros(64, 784)).shape
    (64, 10)
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                setattr(self, name, _checked(self, module))
            return
        for i, item in enumerate(modules):
            setattr(self, str(i), _checked(self, item))

    def forward(self, x: Any) -> Any:
        """Each module on the result of the one before."""
        for module in self.children():
            x = module(x)
        return x

    def append(self, module: Module) -> Sequential:
        """Add a module at the end."""
        setattr(self, str(len(self)), _checked(self, module))
        return self

    def __len__(self) -> int:
        return sum(1 for _ in self.named_children())

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Module | Sequential:
        if isinstance(index, slice):
            return Sequential(dict(list(self.named_children())[index]))
        return list(self)[index]

    def __setitem__(self, index: int, module: Module) -> None:
        name = list(self.named_children())[index][0]
        setattr(self, name, _checked(self, module))


class ModuleDict(Module):
    """A dict of modules whose parameters are found; it has no forward of its own."""

    @named
    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__()
        for name, module in (modules or {}).items():
            self[name] = module

    def __getitem__(self, name: str) -> Module:
        return dict(self.named_children())[name]

    def __setitem__(self, name: str, module: Module) -> None:
        if hasattr(type(self), name):
            raise KeyError(f"{name!r} is a method of Module: choose another name")
        setattr(self, name, _checked(self, module))

    def __len__(self) -> int:
        return sum(1 for _ in self.named_children())

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.named_children())

    def __contains__(self, name: object) -> bool:
        return name in dict(self.named_children())

    def keys(self) -> Iterator[str]:
        """The names."""
        return iter(self)

    def values(self) -> Iterator[Module]:
        """The modules."""
        return self.children()

    def items(self) -> Iterator[tuple[str, Module]]:
        """(name, module) pairs."""
        return self.named_children()
