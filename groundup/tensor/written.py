"""An indexed expression as the text that a user would write, with the culprit underlined.

Looks up what the user calls a tensor, when an error is worded and never before. Must not know sizes
or how an expression is lowered.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from .arithmetic import SIGNS
from .core import Core
from .errors import _PACKAGE, at_line, lined_up

if TYPE_CHECKING:
    from .notation import Axis, Indexed

# What is underlined: a part of the tree (its id), or the n-th index or axis of one (id, n).
Mark = int | tuple[int, int]
Pieces = list[tuple[str, bool]]
E = TypeVar("E", bound=Exception)

_LEVELS = {
    "lt": 1, "le": 1, "eq": 1, "ne": 1, "or": 2, "xor": 3, "and": 4, "shl": 5, "shr": 5, "add": 6,
    "sub": 6, "mul": 7, "div": 7, "floordiv": 7, "mod": 7, "pow": 9,
}  # fmt: skip
_ATOM, _SIGN = 10, 8
_DEEP, _LONG = 40, 150  # what lies deeper is …; a longer line is cut around what is underlined


def mistake(
    kind: type[E],
    what: str,
    root: Indexed,
    marks: Collection[Mark],
    instead: str,
    order: Sequence[Axis] | None = None,
    tensors: Sequence[Core] = (),
) -> E:
    """The error of an expression: what is wrong, the expression with the marked parts underlined,
    the shapes of the tensors that matter, what to write instead, the user's line.

    order: the axes of the `.order()` that was asked for.
    """
    names = _names(root)
    pieces = _Writer(names, marks).write(root, _ATOM if order is not None else 0)
    if order is not None:
        pieces = _calls(pieces, "order", [(a.name, id(a) in marks) for a in order])
    shapes = {names[id(t)]: t._shape for t in tensors}
    return kind(
        what
        + _underlined(pieces)
        + (lined_up(**shapes) if shapes else "")
        + (f"\n  {instead}" if instead else "")
        + _alike(root, order or ())
        + at_line()
    )


class Drawing:
    """An expression that is about to be closed, to be drawn with one index or another marked."""

    def __init__(self, root: Indexed, order: Sequence[Axis]) -> None:
        self._root, self._order = root, order
        self.names = _names(root)

    def marked(self, mark: Mark) -> tuple[str, str]:
        """(the expression with a part underlined, the text of that part)"""
        pieces = _Writer(self.names, (mark,)).write(self._root, _ATOM)
        pieces = _calls(pieces, "order", [(a.name, False) for a in self._order])
        return _underlined(pieces), "".join(piece for piece, marked in pieces if marked)


def _alike(root: Indexed, order: Sequence[Axis]) -> str:
    """A line if axes share a name: nobody would see which is which."""
    from .notation import Axis, postorder

    found: dict[str, set[int]] = {}
    for t in [*postorder(root), *order]:
        for a in (t, *_own_axes(t)):
            if isinstance(a, Axis):
                found.setdefault(a.name, set()).add(id(a))
    names = [name for name, axes in found.items() if len(axes) > 1]
    if not names:
        return ""
    return (
        f"\n  there are {len(found[names[0]])} axes named {names[0]}: axes compare by identity; "
        "make each once, or give each a name of its own"
    )


def _own_axes(tree: Indexed) -> tuple[Any, ...]:
    """The axes that a part of an expression names beside its operands."""
    if tree.op == "reduce":
        return tuple(tree.arg[1])
    if tree.op == "running":
        return (tree.arg[1],)
    if tree.op == "scan":
        return (tree.arg[0],)
    return (tree.arg,) if tree.op == "at" else ()


def text(root: Indexed) -> str:
    """The expression in one line."""
    return "".join(piece for piece, _ in _Writer(_names(root), ()).write(root, 0))


def _underlined(pieces: Pieces) -> str:
    line = "".join(piece for piece, _ in pieces)
    under = "".join(("^" if marked else " ") * len(piece) for piece, marked in pieces)
    if len(line) > _LONG:
        first = max(0, under.find("^"))
        start = max(0, min(first - _LONG // 2, len(line) - _LONG))
        line, under = line[start : start + _LONG], under[start : start + _LONG]
        line = ("…" if start else "") + line + "…"
        under = (" " if start else "") + under
    return f"\n  {line}" + (f"\n  {under.rstrip()}" if "^" in under else "")


# ---- names ---------------------------------------------------------------------------------------


def _names(root: Indexed) -> dict[int, str]:
    """What each tensor of an expression is called where it is used, else x0, x1, …"""
    tensors: dict[int, Core] = {}
    stack, seen = [root], set()
    while stack:
        tree = stack.pop()
        if id(tree) in seen:
            continue
        seen.add(id(tree))
        stack += reversed(tree.src)
        held = tree.arg[0] if tree.op == "read" else tree.arg if tree.op == "number" else None
        if isinstance(held, Core):
            tensors[id(held)] = held
    found: dict[int, str] = {}
    frame: FrameType | None = sys._getframe(1)
    own = _PACKAGE + "tensor"
    while frame is not None and len(found) < len(tensors):
        if not frame.f_code.co_filename.startswith(own):
            _look(frame.f_locals, tensors, found)
            _look(frame.f_globals, tensors, found)
        frame = frame.f_back
    return {key: found.get(key, f"x{n}") for n, key in enumerate(tensors)}


def _look(names: Any, tensors: dict[int, Core], found: dict[int, str]) -> None:
    attributes = getattr(names.get("self"), "__dict__", None)
    named = [(name, value) for name, value in list(names.items()) if not name.startswith("_")]
    if isinstance(attributes, dict):
        named += [(f"self.{name}", value) for name, value in list(attributes.items())]
    for name, value in named:
        if id(value) in tensors:
            found.setdefault(id(value), name)
        if isinstance(value, Core):  # x[i].detach() reads another tensor of the same memory
            for key, t in tensors.items():
                shared = value._storage is t._storage and value._shape == t._shape
                if shared and value.layout() == t.layout():
                    found.setdefault(key, name)


# ---- writing -------------------------------------------------------------------------------------


def _calls(pieces: Pieces, name: str, arguments: Pieces) -> Pieces:
    """pieces.name(arguments)"""
    return [*pieces, (f".{name}(", False), *_listed([[a] for a in arguments]), (")", False)]


def _listed(parts: Sequence[Pieces]) -> Pieces:
    result: Pieces = []
    for n, part in enumerate(parts):
        result += [(", ", False), *part] if n else part
    return result


class _Writer:
    """Writes trees, with brackets where Python needs them."""

    def __init__(self, names: dict[int, str], marks: Collection[Mark]) -> None:
        self.names, self.marks, self.depth = names, set(marks), 0

    def write(self, tree: Indexed, level: int) -> Pieces:
        """The text of a tree where operators that bind less than `level` need brackets."""
        if self.depth > _DEEP:
            return [("…", id(tree) in self.marks)]
        self.depth += 1
        own, pieces = self._plain(tree) if tree.shown is None else self._shown(tree)
        self.depth -= 1
        if own < level:
            pieces = [("(", False), *pieces, (")", False)]
        return self._marked(pieces, id(tree))

    def _marked(self, pieces: Pieces, mark: Mark) -> Pieces:
        return [(piece, True) for piece, _ in pieces] if mark in self.marks else pieces

    def _shown(self, tree: Indexed) -> tuple[int, Pieces]:
        """What the user wrote, in place of what it is made of."""
        from .notation import postorder

        assert tree.shown is not None
        name, (first, *others), axes = tree.shown
        arguments = [self.write(x, 0) for x in others]
        arguments += [[(a.name, (id(tree), n) in self.marks)] for n, a in enumerate(axes)]
        head = [*self.write(first, _ATOM), (f".{name}(", False)]
        pieces = [*head, *_listed(arguments), (")", False)]
        if not any(marked for _, marked in pieces):
            inside = {id(t) for t in postorder(tree)}
            if any((m if isinstance(m, int) else m[0]) in inside for m in self.marks):
                pieces = [(piece, True) for piece, _ in pieces]
        return _ATOM, pieces

    def _plain(self, tree: Indexed) -> tuple[int, Pieces]:
        op, src, arg = tree.op, tree.src, tree.arg
        if op == "axis":
            return _ATOM, [(tree.name, False)]  # type: ignore[attr-defined]
        if op == "number":
            return _ATOM, [(self._number(arg), False)]
        if op == "binary":
            return self._binary(tree)
        if op == "read":
            return _ATOM, self._read(tree)
        if op == "map":
            return self._map(tree)
        if op == "apply":
            inside = _listed([self.write(s, 0) for s in src])
            return _ATOM, [(f"gu.{arg[0]}(", False), *inside, (")", False)]
        if op == "where":
            inside = _listed([self.write(s, 0) for s in src])
            return _ATOM, [("gu.where(", False), *inside, (")", False)]
        if op in ("reduce", "running"):
            axes = arg[1] if op == "reduce" else (arg[1],)
            listed = [(a.name, (id(tree), n) in self.marks) for n, a in enumerate(axes)]
            return _ATOM, _calls(self.write(src[0], _ATOM), arg[0], listed)
        if op == "at":
            index = self._marked(self.write(src[1], 0), (id(tree), 1))
            where = [[(arg.name, id(arg) in self.marks)], index]
            head = [*self.write(src[0], _ATOM), (".at(", False)]
            return _ATOM, [*head, *_listed(where), (")", False)]
        if op == "scan":
            return _ATOM, self._scan(tree)
        return _ATOM, [("h", False)]

    def _number(self, value: Any) -> str:
        return self.names.get(id(value), "x") if isinstance(value, Core) else repr(value)

    def _scan(self, tree: Indexed) -> Pieces:
        axis, _, start, reverse = tree.arg
        step = [("lambda h: ", False), *self.write(tree.src[-1], 0)]
        parts = [[(axis.name, id(axis) in self.marks)], step]
        if start is None:
            parts.append([("start=…", False)])
        elif start != 0:
            parts.append([(f"start={start!r}", False)])
        if reverse:
            parts.append([("reverse=True", False)])
        return [("gu.scan(", False), *_listed(parts), (")", False)]

    def _binary(self, tree: Indexed) -> tuple[int, Pieces]:
        sign = SIGNS.get(tree.arg)
        if sign is None:
            inside = _listed([self.write(s, 0) for s in tree.src])
            return _ATOM, [(f"gu.{tree.arg}(", False), *inside, (")", False)]
        level = _LEVELS[tree.arg]
        left, right = (level + 1, level) if tree.arg == "pow" else (level, level + 1)
        if level == _LEVELS["lt"]:
            left = level + 1
        a, b = (self.write(s, at) for s, at in zip(tree.src, (left, right), strict=True))
        return level, [*a, (f" {sign} ", False), *b]

    def _map(self, tree: Indexed) -> tuple[int, Pieces]:
        name = tree.arg[1]
        if name in ("neg", "invert"):
            return _SIGN, [("-" if name == "neg" else "~", False), *self.write(tree.src[0], _SIGN)]
        name, _, dtype = name.partition("[")
        given = f"(gu.{dtype[:-1]})" if dtype else "()"
        return _ATOM, [*self.write(tree.src[0], _ATOM), (f".{name}{given}", False)]

    def _read(self, tree: Indexed) -> Pieces:
        tensor, beyond = tree.arg
        name = self.names[id(tensor)]
        if beyond is not None:
            name = f"gu.outside({name}, {beyond!r})"
        indices = [
            self._marked(self.write(s, 0), (id(tree), n)) for n, s in enumerate(tree.src)
        ]
        return [(name + "[", False), *_listed(indices), ("]", False)]
