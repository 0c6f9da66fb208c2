"""Which machinery computes expressions: the compiler, or the plain Python loops for debugging.

Must not know storages or tensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..ir.node import Node
from ..runtime import Buffer

if TYPE_CHECKING:
    from ..schedule import Signature

_debug = False


@contextmanager
def debug() -> Iterator[None]:
    """Compute by plain Python loops inside the block: slow, but a debugger can step through.

    >>> with gu.debug():
    ...     print((gu.arange(3) * 2).tolist())
    [0, 2, 4]
    """
    global _debug
    before, _debug = _debug, True
    try:
        yield
    finally:
        _debug = before


def debugging() -> bool:
    """Do plain Python loops compute?"""
    return _debug


def compute(roots: Sequence[Node], signature: Signature | None = None) -> list[Buffer]:
    """The memory of each tensor; `signature` is that of the roots, if it is known."""
    # Imported when used: most processes need one of the two.
    if _debug:
        from ..emit.python import evaluate

        return evaluate(roots)
    from ..schedule import execute

    return execute(list(roots), signature=signature)
