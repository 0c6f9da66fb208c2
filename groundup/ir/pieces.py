"""Choices between expressions by the position along one axis: pieces that lie one after the other.

What joins tensors is written so, and found again by who looks for slices of a larger tensor. Must
not know why something is in pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .node import Node, alu, index, out, where
from .record import frozen


@frozen
class Piece:
    """An expression that holds from one position to before another."""

    start: int
    stop: int
    body: Node


class Pieces(NamedTuple):
    """Pieces along an axis."""

    axis: int
    pieces: list[Piece]


def choice(axis: int, pieces: Sequence[Piece]) -> Node:
    """The piece at the position along an axis, for pieces that follow one another.

    It is found in log₂(pieces) questions.
    """
    if len(pieces) == 1:
        return pieces[0].body
    middle = len(pieces) // 2
    before = alu("lt", out(axis), index(pieces[middle].start))
    return where(before, choice(axis, pieces[:middle]), choice(axis, pieces[middle:]))


def pieces_of(body: Node, shape: tuple[int, ...]) -> Pieces | None:
    """What `choice` was given, if a body over this shape is a choice along one axis."""
    if body.op != "where" or not _asks(body):
        return None
    position = body.src[0].src[0]
    axis: int = position.arg
    found: list[Piece] = []
    stack = [Piece(0, int(shape[axis]), body)]
    while stack:
        piece = stack.pop()
        if piece.body.op == "where" and _asks(piece.body) and piece.body.src[0].src[0] is position:
            question, before, after = piece.body.src
            middle = min(max(int(question.src[1].value), piece.start), piece.stop)
            stack += [Piece(middle, piece.stop, after), Piece(piece.start, middle, before)]
        elif piece.start < piece.stop:
            found.append(piece)
    return Pieces(axis, found)


def _asks(node: Node) -> bool:
    """Does a choice ask whether the position along an axis lies before a number?"""
    question = node.src[0]
    return (
        question.op == "lt" and question.src[0].op == "out" and question.src[1].op == "const"
    )
