"""The pieces of the course as a tree: what is built, what can be built next, what that opens.

Text, and a picture (SVG) for a notebook. Must not know how pieces are checked.
"""

from __future__ import annotations

from html import escape
from itertools import groupby

from .table import COURSE, NOTEBOOKS, Piece

_BUILT, _NEXT, _LATER = "built", "next", "later"
_SIGNS = {_BUILT: "●", _NEXT: "○", _LATER: "·"}
_COLOURS = {  # fill, edge, text: readable on white, and told apart without colour by their edge
    _BUILT: ("#2e7d32", "#2e7d32", "#ffffff"),
    _NEXT: ("#ffffff", "#1565c0", "#0d47a1"),
    _LATER: ("#f5f5f5", "#bdbdbd", "#616161"),
}
_CHAR, _HIGH, _GAP, _ROW, _LEFT, _WIDE = 7.4, 24, 10, 36, 232, 960


class Tree:
    """What is built of the course; `str` and a notebook show it."""

    def __init__(self, opened: tuple[str, ...], beyond: tuple[Piece, ...], on: bool) -> None:
        self.opened, self.beyond, self.on = frozenset(opened), beyond, on

    def state(self, piece: Piece) -> str:
        """built, next (all that it is made of is built) or later."""
        if piece.key in self.opened:
            return _BUILT
        return _NEXT if all(need in self.opened for need in piece.needs) else _LATER

    def __str__(self) -> str:
        built = sum(piece.key in self.opened for piece in COURSE)
        lines = [f"{built} of {len(COURSE)} pieces built   ● built   ○ can be built now   · later"]
        for number, pieces in groupby(COURSE, key=lambda p: p.notebook):
            lines.append(NOTEBOOKS[number])
            group = list(pieces)
            for i, piece in enumerate(group):
                branch = "└─" if i == len(group) - 1 else "├─"
                lines.append(f"  {branch} {_SIGNS[self.state(piece)]} {self._line(piece)}")
        if self.beyond:
            lines.append("beyond the course: " + ", ".join(p.key for p in self.beyond))
        if not self.on:
            lines.append("no game is on: game.start() begins one")
        return "\n".join(lines)

    def _line(self, piece: Piece) -> str:
        text = piece.key
        lacking = [need for need in piece.needs if need not in self.opened]
        if lacking and piece.key not in self.opened:
            text += f"   needs {', '.join(lacking)}"
        onward = [p.key for p in COURSE if piece.key in p.needs]
        return text + (f"   → {', '.join(onward)}" if onward else "")

    __repr__ = __str__

    # ---- a picture -----------------------------------------------------------------------------

    def svg(self) -> str:
        """A row for each notebook, a box for each piece, a line from a piece to what it opens."""
        places = self._places()
        height = max(y for _, y, _ in places.values()) + _HIGH + 44
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE} {height:.0f}" '
            f'width="100%" style="max-width:{_WIDE}px;background:#fff" role="img" '
            f'font-family="system-ui, sans-serif" font-size="12">',
            f"<title>{escape(str(self).partition(chr(10))[0])}</title>",
        ]
        parts += [self._edges(places)]
        last = ""
        for piece in COURSE:
            x, y, wide = places[piece.key]
            if piece.notebook != last:
                last = piece.notebook
                label = escape(NOTEBOOKS[piece.notebook])
                parts.append(
                    f'<text x="8" y="{y + 16}" font-weight="600" fill="#333">{label}</text>'
                )
            parts.append(self._box(piece, x, y, wide))
        parts.append(self._legend(height - 26))
        return "".join([*parts, "</svg>"])

    def _places(self) -> dict[str, tuple[float, float, float]]:
        """Left, top and width of each piece's box."""
        places: dict[str, tuple[float, float, float]] = {}
        y = 10.0
        for _, pieces in groupby(COURSE, key=lambda p: p.notebook):
            x: float = _LEFT
            for piece in pieces:
                wide = len(piece.key) * _CHAR + 20
                if x + wide > _WIDE - 8:
                    x, y = _LEFT, y + _ROW
                places[piece.key] = x, y, wide
                x += wide + _GAP
            y += _ROW + 14
        return places

    def _edges(self, places: dict[str, tuple[float, float, float]]) -> str:
        found = []
        for piece in COURSE:
            for need in piece.needs:
                x1, y1, w1 = places[need]
                x2, y2, w2 = places[piece.key]
                known = need in self.opened and self.state(piece) != _LATER
                line = (
                    'stroke="#2e7d32" stroke-width="1.6" opacity=".75"' if known
                    else 'stroke="#9e9e9e" opacity=".3"'
                )  # fmt: skip
                if y1 == y2:
                    start, end, bend = (x1 + w1 / 2, y1), (x2 + w2 / 2, y2), y1 - 12
                    path = f"C{start[0]:.0f},{bend} {end[0]:.0f},{bend} {end[0]:.0f},{end[1]}"
                else:
                    start, end = (x1 + w1 / 2, y1 + _HIGH), (x2 + w2 / 2, y2)
                    mid = (start[1] + end[1]) / 2
                    path = f"C{start[0]:.0f},{mid} {end[0]:.0f},{mid} {end[0]:.0f},{end[1]}"
                found.append(
                    f'<path d="M{start[0]:.0f},{start[1]} {path}" fill="none" {line}/>'
                )
        return "".join(found)

    def _box(self, piece: Piece, x: float, y: float, wide: float) -> str:
        state = self.state(piece)
        fill, edge, ink = _COLOURS[state]
        dash = ' stroke-dasharray="3 2"' if state == _LATER else ""
        opens = ", ".join(piece.opens)
        return (
            f'<g><title>{escape(f"{piece.key}: {state}; opens {opens}")}</title>'
            f'<rect x="{x:.0f}" y="{y}" width="{wide:.0f}" height="{_HIGH}" rx="5" fill="{fill}" '
            f'stroke="{edge}" stroke-width="1.4"{dash}/>'
            f'<text x="{x + wide / 2:.0f}" y="{y + 16}" text-anchor="middle" '
            f'fill="{ink}">{escape(piece.key)}</text></g>'
        )

    def _legend(self, y: float) -> str:
        parts, x = [], float(_LEFT)
        for state, text in ((_BUILT, "built"), (_NEXT, "can be built now"), (_LATER, "later")):
            fill, edge, _ = _COLOURS[state]
            dash = ' stroke-dasharray="3 2"' if state == _LATER else ""
            parts.append(
                f'<rect x="{x}" y="{y}" width="14" height="14" rx="3" fill="{fill}" '
                f'stroke="{edge}" stroke-width="1.4"{dash}/>'
                f'<text x="{x + 20}" y="{y + 11}" fill="#333">{text}</text>'
            )
            x += 40 + len(text) * _CHAR
        if self.beyond:
            more = escape("beyond the course: " + ", ".join(p.key for p in self.beyond))
            parts.append(f'<text x="{x}" y="{y + 11}" fill="#333">{more}</text>')
        return "".join(parts)

    def _repr_html_(self) -> str:
        return self.svg()
