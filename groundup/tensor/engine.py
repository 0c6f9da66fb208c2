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
    from os import PathLike

    from ..emit.python_files import Files
    from ..schedule import Signature

_debug: Files | None = None


@contextmanager
def debug(folder: str | PathLike[str] | None = None, *, stop: bool = False) -> Iterator[str]:
    """Compute by plain Python loops inside the block: slow, but a debugger can step through.

    Each tensor is computed by a Python function of its own, in a file of its own, with the names
    of your axes: a breakpoint, `pdb` and a traceback can enter it. A captured function runs as it
    is written.

    folder: where the files go, and stay; by default into one that is gone when Python ends. Gives
    its name.
    stop: each function begins with `breakpoint()`.

    >>> with gu.debug():
    ...     print((gu.arange(3) * 2).tolist())
    [0, 2, 4]
    """
    from pathlib import Path

    from ..emit.python_files import Files

    global _debug
    before = _debug
    _debug = Files(None if folder is None else Path(folder), stop)
    try:
        yield str(_debug.folder)
    finally:
        _debug = before


def debugging() -> bool:
    """Do plain Python loops compute?"""
    return _debug is not None


def compute(roots: Sequence[Node], signature: Signature | None = None) -> list[Buffer]:
    """The memory of each tensor; `signature` is that of the roots, if it is known."""
    # Imported when used: most processes need one of the two.
    if _debug is not None:
        from ..emit.python import evaluate

        return evaluate(roots, _debug)
    from ..schedule import execute

    return execute(list(roots), signature=signature)
