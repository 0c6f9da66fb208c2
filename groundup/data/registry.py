"""A registry: names and what they stand for, with an error that lists the names that exist.

Must not know what is registered.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import TypeVar

T = TypeVar("T")


class UnknownName(KeyError):
    """A name that a registry does not hold. Its text is the message itself, not the repr of it."""

    def __str__(self) -> str:
        return str(self.args[0])


class Registry(Mapping[str, T]):
    """A fixed mapping from names to values of one `kind`; a missing name raises UnknownName.

    >>> colours = Registry("colour", {"red": 1, "green": 2})
    >>> colours["gren"]  # doctest: +NORMALIZE_WHITESPACE
    Traceback (most recent call last):
    groundup.data.registry.UnknownName: unknown colour 'gren';
    known: red, green. Did you mean 'green'?
    """

    def __init__(self, kind: str, entries: Mapping[str, T]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> T:
        if name in self._entries:
            return self._entries[name]
        near = get_close_matches(name, self._entries, n=1)
        hint = f". Did you mean {near[0]!r}?" if near else ""
        raise UnknownName(f"unknown {self.kind} {name!r}; known: {', '.join(self._entries)}{hint}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
