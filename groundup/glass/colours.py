"""One colour for each axis, the same at every stage. Must not know what the stages are."""

from __future__ import annotations

from collections.abc import Iterable

# Hues apart from their neighbours: on white, and the same hues on black, each with a contrast of
# 4.5 : 1 or more.
PALETTE = (
    "#c73a4d", "#1b6ba0", "#277a4b", "#a2560f", "#7b4fb7", "#007785", "#c2185b", "#776c10",
    "#6d4c41", "#4a6069", "#c24400", "#3949ab",
)  # fmt: skip
DARK = (
    "#f0808c", "#62b0ea", "#62c48a", "#e79b52", "#b795ec", "#45bccb", "#f47fae", "#c9bb4a",
    "#c8a398", "#9db3bd", "#ff8a50", "#8f9ef0",
)  # fmt: skip
# Of a terminal nobody knows the background: 4.3 : 1 or more on both.
TERMINAL = (
    "#e23446", "#1f7dc3", "#368857", "#b2661d", "#8f5dde", "#2b848f", "#e61f6f", "#847a2a",
    "#a36b5a", "#5f7d8b", "#d54a05", "#596ee5",
)  # fmt: skip


class Colours:
    """Gives each axis the next colour when it is first seen."""

    def __init__(self, axes: Iterable[str] = ()) -> None:
        self.number: dict[str, int] = {}
        for axis in axes:
            self.of(axis)

    def of(self, axis: str) -> str:
        """The colour of an axis in a terminal, as #rrggbb."""
        return TERMINAL[self.index(axis)]

    def index(self, axis: str) -> int:
        """Its place in the palette, which begins again after the last."""
        return self.number.setdefault(axis, len(self.number)) % len(PALETTE)
