"""Which public name a piece of running code belongs to: functions, methods and classes of groundup.

Names are written as a user knows them: `matmul` (of gu and of Tensor alike), `nn.Linear`,
`F.conv2d`, `linalg.svd`. Must not know which of them are allowed.
"""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator
from importlib import import_module
from inspect import isclass
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any, NamedTuple

import groundup as gu

_PACKAGE = os.path.dirname(os.path.abspath(gu.__file__)) + os.sep
_NOTEBOOK = _PACKAGE + "notebook" + os.sep
_MISUSE = os.path.join(_PACKAGE, "tensor", "misuse.py")
_PICKLED = os.path.join(_PACKAGE, "tensor", "pickled.py")
_INSTALLED = ("site-packages", "dist-packages")
_STDLIB = sysconfig.get_paths()["stdlib"] + os.sep
# Rooms of the house, of which a notebook needs nothing.
_HOUSE = {"autodiff", "cli", "emit", "ir", "notebook", "runtime", "schedule"}
_OPERATORS = frozenset(
    f"__{side}{name}__"
    for name in (
        "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor", "lshift",
        "rshift",
    )
    for side in ("", "r", "i")
) | frozenset(f"__{n}__" for n in ("lt", "le", "gt", "ge", "eq", "ne", "neg", "pos", "abs",
                                   "invert"))  # fmt: skip


class Public(NamedTuple):
    """A public name and what it stands for; `room`: the module that its code lies in."""

    name: str
    value: Any
    room: str


def rooms() -> dict[str, str]:
    """The rooms whose public names are told apart, and how a user writes them."""
    given: dict[str, Any] = vars(gu)
    outer = {f"groundup.{room}": f"{room}." for room in given["_ROOMS"] if room not in _HOUSE}
    inner = {path: f"{room}." for room, path in given["_INNER"].items()}
    short = {"groundup.nn.functional": "F.", "groundup.nn.init": "init."}
    return {**outer, **short, **inner}


def public() -> Iterator[Public]:
    """Every public name of the floors that a notebook uses, methods of Tensor among them."""
    tensors = import_module("groundup.tensor")
    yield from _exported(tensors, "")
    for kind in (tensors.Tensor, tensors.Indexed, tensors.Axis):
        prefix = "" if kind is tensors.Tensor else "Indexed."
        yield from _methods(kind, prefix)
    for room, prefix in rooms().items():
        module = import_module(room)
        yield from _exported(module, prefix)


def _exported(module: ModuleType, prefix: str) -> Iterator[Public]:
    own = [n for n, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__]
    for name in getattr(module, "__all__", [n for n in own if not n.startswith("_")]):
        value = getattr(module, name)
        if callable(value):
            yield Public(prefix + name, value, getattr(value, "__module__", module.__name__))


def _methods(kind: type, prefix: str) -> Iterator[Public]:
    """What a user can ask of an object: methods, properties and Python's operators."""
    seen: set[str] = set()
    for base in kind.__mro__[:-1]:
        for name, value in vars(base).items():
            if name in seen or _function(value) is None:
                continue
            seen.add(name)
            special = name.startswith(("__", "_repr_", "_ipython_")) and name.endswith("_")
            if special or not name.startswith("_"):
                shown = plain(name)
                if name == "grad":
                    shown = "Tensor.grad"  # where a derivative is kept; gu.grad takes one
                yield Public(prefix + shown, value, base.__module__)


def plain(name: str) -> str:
    """The operation that a method is: `exp_` is exp in place, `__add__` an operator."""
    if name in _OPERATORS:
        return "operator"
    if name.strip("_") in ("matmul", "rmatmul", "imatmul"):
        return "matmul"
    if name.startswith("_"):
        return "__repr__" if name.startswith(("_repr_", "_ipython_")) else name
    return name.rstrip("_") or name


def _function(value: Any) -> FunctionType | None:
    """The function of ours that runs when a function, method or property is used."""
    if isinstance(value, property):
        value = value.fget
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    while isinstance(value, FunctionType) and _wraps(value.__code__):
        value = getattr(value, "__wrapped__", None)
    return value if isinstance(value, FunctionType) else None


def _wraps(code: CodeType) -> bool:
    """Is it code around a function of ours: the standard library's, or what words its errors?"""
    return code.co_filename == _MISUSE or not code.co_filename.startswith(_PACKAGE)


def is_library(value: Any) -> bool:
    """Is it groundup's own function, method or class (bound or partially applied)?"""
    for _ in range(8):
        value = getattr(value, "func", getattr(value, "__func__", value))
    if isinstance(value, FunctionType):
        return value.__code__.co_filename.startswith(_PACKAGE)
    kind = value if isclass(value) else type(value)
    return kind.__module__.partition(".")[0] == "groundup"


class Index:
    """From running code to public names."""

    def __init__(self) -> None:
        self._by_code: dict[int, list[tuple[str, FunctionType]]] = {}
        self._by_place: dict[tuple[str, str], str] = {}
        self._classes: dict[type, str] = {}
        self._kinds: dict[int, tuple[CodeType, int]] = {}
        self._rooms: dict[str, set[str]] = {}
        for name, value, room in public():
            if isclass(value):
                self._classes.setdefault(value, name)
                continue
            self._rooms.setdefault(room, set()).add(name)
            for part in (value.fget, value.fset) if isinstance(value, property) else (value,):
                self._add(name, part)

    def _add(self, name: str, value: Any) -> None:
        function = _function(value)
        if function is None:
            return
        code = function.__code__
        known = self._by_code.setdefault(id(code), [])
        if not any(other is function for _, other in known):
            known.append((name, function))
        self._by_place.setdefault((code.co_filename, code.co_qualname), name)

    def entry(self, frame: FrameType | None) -> FrameType | None:
        """The frame in which the user's own line entered groundup, going outwards from a frame of
        groundup; None where no user is found (a thread of the library's own)."""
        kinds, found = self._kinds, None
        while frame is not None:
            code = frame.f_code
            known = kinds.get(id(code))
            kind = known[1] if known is not None else self.kind(code)
            if kind == 2:
                return found
            if kind == 0:
                found = frame
            frame = frame.f_back
        return None

    def kind(self, code: CodeType) -> int:
        """0: groundup's code; 1: what is around it, or called by both; 2: a user's."""
        name = code.co_filename
        if name == _MISUSE:
            kind = 1
        elif name.startswith(_PACKAGE):
            kind = 0
        elif name.startswith("<frozen") or (
            name.startswith(_STDLIB) and not any(room in name for room in _INSTALLED)
        ):
            kind = 1
        else:
            kind = 2
        self._kinds[id(code)] = (code, kind)
        return kind

    def name(self, frame: FrameType) -> str | None:
        """The public name that an entry frame belongs to, or None for code that is not public."""
        code = frame.f_code
        if code.co_name == "<module>":
            return "import"
        if code.co_filename.startswith(_NOTEBOOK):
            return "notebook"  # what the game does itself
        if code.co_filename == _PICKLED:
            return "__reduce__"  # what a pickle calls
        known = self._by_code.get(id(code))
        if known is not None and len(known) == 1:
            return known[0][0]
        if known is not None:
            return self._by_closure(known, frame)
        owner = self._class_of(frame)
        if owner is not None:
            return owner
        outer = code.co_qualname.partition(".<locals>")[0]
        return self._by_place.get((code.co_filename, outer))

    def _by_closure(self, known: list[tuple[str, FunctionType]], frame: FrameType) -> str | None:
        """Functions made by one function share their code: what they enclose tells them apart."""
        held = frame.f_locals
        free = frame.f_code.co_freevars
        for name, function in known:
            cells = function.__closure__ or ()
            if all(held.get(n) is c.cell_contents for n, c in zip(free, cells)):
                return name
        return None

    def _class_of(self, frame: FrameType) -> str | None:
        """CLASS.METHOD of the public class of ours whose method runs: the nearest one, where a user
        has derived from it."""
        code = frame.f_code
        if not code.co_argcount or "." not in code.co_qualname:
            return None
        given = frame.f_locals.get(code.co_varnames[0])
        kind = given if isclass(given) else type(given)
        for base in kind.__mro__:
            if base in self._classes and base is not gu.Tensor:
                name = self._classes[base]
                return f"{name}.{code.co_name}" if "." in name else name
        # A class without a public name (that of captured functions, say): what makes it has one.
        makers = self._rooms.get(kind.__module__, set())
        return next(iter(makers)) if len(makers) == 1 else None
