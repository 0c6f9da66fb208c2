"""One colour for each axis, the same at every stage. Must not know what the stages are."""

from __future__ import annotations

from collections.abc import Iterable

# Hues apart from their neighbours, on white (3 : 1 contrast or more) and on black.
PALETTE = (
    "#d1495b", "#2176ae", "#2e8b57", "#b5651d", "#7b4fb7", "#00838f", "#c2185b", "#827717",
    "#5d4037", "#455a64", "#e65100", "#3949ab",
)  # fmt: skip


class Colours:
    """Gives each axis the next colour when it is first seen."""

    def __init__(self, axes: Iterable[str] = ()) -> None:
        self.number: dict[str, int] = {}
        for axis in axes:
            self.of(axis)

    def of(self, axis: str) -> str:
        """The colour of an axis, as #rrggbb."""
        return PALETTE[self.index(axis)]

    def index(self, axis: str) -> int:
        """Its place in the palette, which begins again after the last."""
        return self.number.setdefault(axis, len(self.number)) % len(PALETTE)
