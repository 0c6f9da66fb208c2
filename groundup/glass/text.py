"""Expressions of kernels as text, their axes marked so that each can have its colour.

Must not know kernels.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from ..ir.node import Node
from ..ir.show import _bare, _expression
from ..ir.transform import TENSOR_OPS, toposort

LONG = 64  # characters: a longer part of an expression gets a name
_MARKED = re.compile("\x01([^\x02\x03]*)\x03?([^\x02]*)\x02")


def mark(axis: str, text: str = "") -> str:
    """The name of an axis, or a text that belongs to it, marked as such; · is none."""
    if axis == "·":
        return text or axis
    return f"\x01{axis}\x03{text}\x02" if text else f"\x01{axis}\x02"


def plain(text: str) -> str:
    """A text without marks."""
    return _MARKED.sub(lambda m: m[2] or m[1], text)


def pieces(text: str) -> Iterator[tuple[str, str]]:
    """(axis or "", text) one after the other."""
    at = 0
    for m in _MARKED.finditer(text):
        if m.start() > at:
            yield "", text[at : m.start()]
        yield m[1], m[2] or m[1]
        at = m.end()
    if at < len(text):
        yield "", text[at:]


def axes_in(text: str) -> list[str]:
    """The axes marked in a text, each once."""
    return list(dict.fromkeys(m[1] for m in _MARKED.finditer(text)))


def expression(
    body: Node, known: Mapping[Node, str], tensors: Callable[[Node], str],
    fresh: Callable[[], str], kept: dict[Node, str] | None = None,
) -> tuple[list[str], str]:  # fmt: skip
    """(assignments of parts that are long or used twice, the expression).

    known: texts of variables, and of values that have been computed. kept: gets the names of the
    parts.
    """
    if body in known:
        return [], known[body]
    order = [
        n for n in toposort([body], stop=lambda n: n in known or n.op in TENSOR_OPS)
        if n.op not in TENSOR_OPS
    ]  # fmt: skip
    names = {s: tensors(s) for n in order for s in n.src if s.op in TENSOR_OPS}
    uses: dict[Node, int] = {}
    for n in order:
        for s in () if n in known else n.src:
            uses[s] = uses.get(s, 0) + 1
    text: dict[Node, str] = {}
    lines: list[str] = []
    for n in order:
        if n in known:
            text[n] = known[n]
            continue
        written = _expression(n, names, known, text)
        size = len(plain(written))
        if n.src and n is not body and (size > LONG or (uses.get(n, 0) > 1 and size > 12)):
            name = fresh()
            lines.append(f"{name} = {_bare(written)}")
            written = name
            if kept is not None:
                kept[n] = name
        text[n] = written
    return lines, _bare(text[body])
