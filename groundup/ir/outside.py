"""The error of an index from data that leaves its axis, and where the user wrote that index.

Found when a graph runs; what wrote the index is asked only then. Knows nothing of how graphs run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from .node import Node


class Site(Protocol):
    """Where an index was written: kept beside reads and checks (`Node.site`)."""

    def message(self, error: OutOfRange) -> str:
        """The whole text of the error."""


class OutOfRange(IndexError):
    """An index from data that is none of its axis' positions."""

    def __init__(
        self, index: int, axis: int, shape: tuple[int, ...], size: int, position: int | None = None
    ) -> None:
        """shape: of the tensor that is read; size: of the axis, where it is known only now;
        position: of the read among the nodes of the graph, where it is known."""
        self.index, self.axis, self.shape, self.size = index, axis, shape, size
        self.position, self.told = position, False
        super().__init__(
            f"index {index} is out of range for axis {axis} of a tensor of shape {shape}: "
            + (f"valid are 0 to {size - 1}" if size else "it has no position")
        )

    def written(self, places: Sequence[Place]) -> OutOfRange:
        """The error, once it tells where the index was written: at the read's position in the
        graph, or, where that is not known, at one of those that read such an axis."""
        if self.told:
            return self
        self.told = True
        found = [p for p in places if p.position == self.position]
        found = found or [p for p in places if p.fits(self)]
        if found and found[0].axis is not None:
            self.axis, self.shape = found[0].axis, found[0].shape
        texts = list(dict.fromkeys(p.site.message(self) for p in found))
        if len(texts) == 1:
            self.args = (texts[0],)
        elif texts:
            each = "".join("\n- " + text.replace("\n", "\n  ") for text in texts)
            self.args = (f"{self}; one of these reads it:{each}",)
        return self


class Place(NamedTuple):
    """A read or a check in a graph, and where it was written."""

    position: int  # among all nodes of the graph
    shape: tuple[int, ...]  # of the tensor
    axis: int | None  # None: any whose index comes from data
    site: Site

    def fits(self, error: OutOfRange) -> bool:
        """May an error be that of this place? (Plain loops know of a check the size alone.)"""
        if self.shape == error.shape and self.axis in (None, error.axis):
            return True
        return self.axis is not None and (self.shape[self.axis],) == error.shape


def sites_in(order: Sequence[Node]) -> list[Place]:
    """The reads and checks of a graph of which it is known where they were written."""
    found = []
    for position, node in enumerate(order):
        if node.site is None:
            continue
        if node.op == "checked":
            axis, shape = node.arg[:2]
        else:
            axis, shape = None, tuple([int(s) for s in node.src[0].shape])
        found.append(Place(position, shape, axis, node.site))
    return found


__all__ = ["OutOfRange", "Place", "Site", "sites_in"]
