"""The rules, enforced: who enters groundup under which name, and whether that is open yet.

Stands at the door of the tensors (`groundup.tensor.door`) while a game is on. Must not know how a
piece is checked or shown.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache
from types import FrameType, FunctionType

from groundup.tensor import door
from groundup.tensor.errors import line_text

from .names import Index, public
from .table import COURSE, NOTEBOOKS, PIECES, Piece, is_listed, keys, piece_of


class NotBuiltYet(RuntimeError):
    """What the player has not built yet is not to be used yet."""


@lru_cache(maxsize=1)
def index() -> Index:
    """From running code to public names; made when the first game begins."""
    return Index()


@lru_cache(maxsize=1)
def _second_names() -> dict[str, str]:
    """Of functions with several names (`absolute` is `abs`): the one that the table knows."""
    groups: dict[int, dict[str, None]] = {}
    for name, value, _ in public():
        if isinstance(value, FunctionType):
            groups.setdefault(id(value), {})[name] = None
    found: dict[str, str] = {}
    for group in groups.values():
        listed = [name for name in group if is_listed(name)]
        first = listed[0] if listed else min(group, key=lambda name: ("." in name, len(name), name))
        if len(group) > 1:
            found.update((name, first) for name in group if not is_listed(name))
    return found


def needed(name: str) -> tuple[str, ...] | None:
    """The keys that a public name needs: `table.keys` of the name that it has there."""
    return keys(_second_names().get(name, name))


@lru_cache(maxsize=1)
def names_by_key() -> dict[str, tuple[str, ...]]:
    """All keys, and the public names that need each."""
    found: dict[str, dict[str, None]] = {piece.key: {} for piece in COURSE}
    for name, _, _ in public():
        for key in needed(name) or ():
            found.setdefault(key, {})[name] = None
    return {key: tuple(names) for key, names in found.items()}


def key_of(name: str) -> str:
    """The key that a player means: `matmul`, `gu.mm`, `Tensor.relu`, `nn.Linear`, `F.conv2d`, `@`.

    Raises KeyError, with what it could have been, for a name that there is not.
    """
    plain = {"@": "matmul"}.get(name, name)
    for prefix in ("groundup.", "gu.", "Tensor.", "nn.functional.", "nn.init."):
        if plain.startswith(prefix):
            plain = plain.removeprefix(prefix)
            plain = {"nn.functional.": "F.", "nn.init.": "init."}.get(prefix, "") + plain
    known = names_by_key()
    if plain in known:
        return plain
    asked = needed(plain) if plain in _all_names() else None
    if asked == ():
        raise KeyError(f"{name} is allowed from the start: there is nothing to unlock")
    if asked is not None and len(asked) == 1:
        return asked[0]
    if asked is not None:
        raise KeyError(f"{name} opens by itself once {' and '.join(asked)} are unlocked")
    near = get_close_matches(plain, sorted({*known, *_all_names()}), n=3)
    hint = f": did you mean {' or '.join(near)}?" if near else ""
    raise KeyError(f"groundup has no {name!r}{hint}")


@lru_cache(maxsize=1)
def _all_names() -> frozenset[str]:
    return frozenset(name for name, _, _ in public())


class Rules:
    """What is open in one game, and the watch at the door."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self.opened: dict[str, None] = {}
        self._free: set[int] = set()  # identities of code that needs no key, or has its keys
        self._held: list[object] = []  # keeps that code alive
        self.index = index()
        for name in [allowed] if isinstance(allowed, str) else allowed:
            self.opened.update(dict.fromkeys(_keys_of(name)))

    def open(self, key: str) -> None:
        """Allow what needs this key."""
        self.opened[key] = None

    def missing(self, name: str) -> tuple[str, ...] | None:
        """The keys that a public name still needs; None for what is not public at all."""
        asked = needed(name)
        return None if asked is None else tuple(k for k in asked if k not in self.opened)

    def watch(self) -> None:
        """Refuse what is not open yet: called at the door, by whatever the user's line has asked
        for. What the library itself calls on its way there is not looked at."""
        entry = self.index.entry(sys._getframe(1))
        if entry is None or id(entry.f_code) in self._free:
            return
        name = self.index.name(entry)
        missing = None if name is None else self.missing(name)
        if missing == ():
            if not (entry.f_code.co_freevars or "." in str(name)):  # one code, one name
                self._free.add(id(entry.f_code))
                self._held.append(entry.f_code)
            return
        line = _user_line(entry)
        if name is None or missing is None:
            raise NotBuiltYet(
                f"{entry.f_code.co_qualname} is a part of groundup's inside, and no part of the "
                f"game: use its public names" + line
            )
        raise NotBuiltYet(_refusal(_shown(name), missing, name) + line)


def _shown(name: str) -> str:
    """A public name as an error calls it: a method of a class by its class."""
    room, _, rest = name.partition(".")
    if name.startswith("Indexed."):
        return f"the index notation's {rest}" if rest != "operator" else "the index notation"
    return f"{room}.{rest.partition('.')[0]}" if rest else name


def _refusal(shown: str, missing: tuple[str, ...], name: str) -> str:
    piece = piece_of(missing[0], name)
    lines = [f"{shown} is not built yet: notebook {piece.built_in} builds {_what(piece, shown)}"]
    for key in missing[1:]:
        lines.append(f"  it also needs {key}, of notebook {piece_of(key).built_in}")
    lines.append(f"  meanwhile: {piece.meanwhile}")
    lines.append(
        f'  game.unlock("{piece.key}", yours) opens it, once yours does what the library\'s does'
    )
    return "\n".join(lines)


def _what(piece: Piece, shown: str) -> str:
    return "it" if piece.key in shown.split(".") else piece.key


def _user_line(entry: FrameType) -> str:
    """The user's own line, below the entry."""
    frame = entry.f_back
    kinds = index()
    while frame is not None and kinds.kind(frame.f_code) != 2:
        frame = frame.f_back
    if frame is None:
        return ""
    return line_text(f"{frame.f_code.co_filename}:{frame.f_lineno}")


def _keys_of(name: str) -> list[str]:
    """The keys that `allowed` names: a key or a public name, or all that a notebook builds."""
    if name in NOTEBOOKS:
        return [piece.key for piece in COURSE if piece.notebook == name]
    return [key_of(name)]


def needs(key: str) -> tuple[str, ...]:
    """The pieces that one is built of."""
    return PIECES[key].needs if key in PIECES else ()


_epochs = iter(range(1, 1 << 62))


def enter(rules: Rules | None, epoch: int) -> None:
    """Put a game's rules at the door; None: nobody stands there."""
    door.watch(None if rules is None else rules.watch, 0 if rules is None else epoch)


def next_epoch() -> int:
    """A number for a new game: functions captured in another one are captured again in it."""
    return next(_epochs)
