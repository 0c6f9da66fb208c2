"""What stands in a complex tensor's place for a storage: its type, and an error for who asks more.

A function that does not know complex numbers reaches for a value and is told so, by the name that
the user called. Must not know any function.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any, NoReturn

from ...ir.dtype import DType
from ..errors import _PACKAGE, at_line
from ..storage import Storage

_WRAPPERS = frozenset(("call", "__call__", "<lambda>", "<genexpr>", "<listcomp>"))


def called() -> str:
    """The function of this package that the user's code has called."""
    frame: FrameType | None = sys._getframe(1)
    names: list[str] = []
    while frame is not None:
        code = frame.f_code
        if not code.co_filename.startswith(_PACKAGE):
            break
        names.append(code.co_qualname if code.co_name in ("forward", "__init__") else code.co_name)
        frame = frame.f_back
    return next((n for n in reversed(names) if n not in _WRAPPERS), "this function")


def depth() -> int:
    """How many calls below the user's code the caller is: for a warning to show that line."""
    frame: FrameType | None = sys._getframe(1)
    count = 0
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        count, frame = count + 1, frame.f_back
    return count


def refuse(dtype: DType) -> NoReturn:
    """Raise the error of a function of real numbers that was given complex ones."""
    raise TypeError(
        f"{called()} is a function of real numbers and was given {dtype.name}; apply it to the "
        f"parts x.real and x.imag, to x.abs(), or to gu.view_as_real(x), whichever is meant"
        + at_line()
    )


class Pairs:
    """In place of a storage: a complex type, and in `real` the storage of pairs, if just made."""

    __slots__ = ("dtype", "real")

    def __init__(self, dtype: DType, real: Storage | None = None) -> None:
        self.dtype, self.real = dtype, real

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        refuse(self.dtype)
