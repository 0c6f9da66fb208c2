"""Who takes away the history of a value: a captured function, whose results have none.

What is computed from such a value knows it (`Node.cut`): a derivative of it would lack a part, and
is refused. Must not know how a function is captured.
"""

from __future__ import annotations

from typing import NoReturn

from .errors import GradError, at_line


class Captured:
    """A captured function that has computed something from tensors that require grad."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def refuse(self, operation: str) -> NoReturn:
        """Raise GradError: the derivatives by those tensors would be missing."""
        raise GradError(
            f"{operation}: this was computed from what the captured function {self.name} returned "
            f"or wrote, and that from tensors that require grad; no derivative flows out of a "
            f"captured function, so theirs would be missing. Take the derivative inside "
            f"{self.name}; or, where they are not wanted, call it under gu.no_grad() or use the "
            f"detach() of what it returned" + at_line()
        )


class HistoryMatters(Exception):
    """What a function is captured from has a history that its result, or a derivative, needs."""


class Outside:
    """The history of a value that a captured function reaches: the function itself has to run."""

    __slots__ = ()

    def refuse(self, operation: str) -> NoReturn:
        """Raise HistoryMatters."""
        raise HistoryMatters


OUTSIDE = Outside()
