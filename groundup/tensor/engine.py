"""Which machinery computes expressions: the compiler, or the plain Python loops for debugging.

Must not know storages or tensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..ir.node import Node
from ..runtime import Buffer, pool
from .errors import at_line
from .mode import Block, state

if TYPE_CHECKING:
    from os import PathLike

    from ..schedule import Signature

class Unknown:
    """What stands in an expression for memory that is not there: a handle of a buffer."""

    __slots__ = ()

    def refusal(self) -> Exception:
        """The error of asking for a value that depends on it."""
        raise NotImplementedError


@contextmanager
def debug(folder: str | PathLike[str] | None = None, *, stop: bool = False) -> Iterator[str]:
    """Compute by plain Python loops inside the block, in this thread: slow, but a debugger can step
    through.

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

    files = Files(None if folder is None else Path(folder), stop)
    with Block("debug", files):
        yield str(files.folder)


def debugging() -> bool:
    """Do plain Python loops compute?"""
    return state.debug is not None


def step_by_step() -> bool:
    """Is each operation to be computed by itself?"""
    return state.debug is not None or state.anomaly is not None


def compute(roots: Sequence[Node], signature: Signature | None = None) -> list[Buffer]:
    """The memory of each tensor; `signature` is that of the roots, if it is known."""
    # Imported when used: most processes need one of the two.
    from ..schedule import Signature, execute

    with pool.lock:  # while a graph is looked at, no other thread computes a part of it
        signature = signature or Signature(roots)
        for handle in signature.buffers:
            if not isinstance(handle, Buffer):
                raise _refusal(handle)
        if state.debug is not None:
            from ..emit.python import evaluate

            return evaluate(roots, state.debug)
        return execute(list(roots), signature=signature)


def _refusal(handle: object) -> Exception:
    if isinstance(handle, Unknown):
        return handle.refusal()
    return RuntimeError(
        "the value of a tensor that a captured function has left behind is not known: what it "
        "computed was a graph; return the tensor from the function" + at_line()
    )
