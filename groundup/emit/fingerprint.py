"""What names a kernel: text that determines its IR, far cheaper to write than the IR itself.

Complete or absent: what this room has no words for has no fingerprint, and the IR is its name. Must
not know what the parts of a kernel mean.
"""

from __future__ import annotations

import functools
import os
from typing import Any

from ..ir.dtype import DType
from ..ir.node import Node
from ..ir.transform import toposort
from ..runtime import cache
from .kernel import Kernel

# Expressions that hold more than their parts.
_OPAQUE = {"buffer", "extent", "axis", "leaf"}


def fingerprint(kernel: Kernel) -> str | None:
    """Equal for kernels that are written alike, different for all others; None if there is none."""
    version = code_of("emit", "ir")
    if version is None:
        return None
    writer = _Writer()
    try:
        writer.item(kernel)
    except TypeError:
        return None
    return f"{version} {' '.join(writer.words)}"


class _Writer:
    """Writes values as words; an expression is written where it is met first."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.known: dict[Node, str] = {}

    def item(self, x: Any) -> None:
        put = self.words.append
        if isinstance(x, Node):
            self.expression(x)
        elif x is None or x is True or x is False or type(x) is int:
            put(str(x))
        elif type(x) is str or type(x) is bytes:
            put(repr(x))
        elif isinstance(x, DType):
            put(x.name)
        elif isinstance(x, tuple):
            put(f"{type(x).__name__}({len(x)}")
            for part in x:
                self.item(part)
        else:
            fields = getattr(type(x), "__slots__", None)
            if not type(x).__module__.startswith("groundup.emit.") or not fields:
                raise TypeError(f"no words for {x!r}")
            put(f"{type(x).__name__}:")
            for name in fields:
                self.item(getattr(x, name))

    def expression(self, root: Node) -> None:
        if root not in self.known:
            for node in toposort([root]):
                if node not in self.known:
                    self.node(node)
        self.words.append(self.known[root])

    def node(self, node: Node) -> None:
        if node.op in _OPAQUE or node.shape:
            raise TypeError(f"no words for {node.op}")
        self.words.append(f"={node.op}.{node.dtype.name}({len(node.src)}")
        self.words += [self.known[s] for s in node.src]
        self.item(node.arg)
        self.known[node] = f"%{len(self.known)}"


@functools.cache
def code_of(*packages: str) -> str | None:
    """A digest of the code of some packages below this one, but for the Python loops, which shape
    no machine code; None where its source is not to be had."""
    parts: list[str | bytes] = []
    top = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    try:
        for folder in (os.path.join(top, package) for package in packages):
            for name in sorted(os.listdir(folder)):
                if name.endswith(".py") and not name.startswith("python"):
                    with open(os.path.join(folder, name), "rb") as file:
                        parts += [name, file.read()]
    except OSError:
        return None
    return cache.digest(*parts).hex() if parts else None
