"""Files of generated Python, so that a debugger, a breakpoint and a traceback can enter them.

Must not know what the functions in them compute.
"""

from __future__ import annotations

import atexit
import linecache
import shutil
import tempfile
import weakref
from collections import deque
from collections.abc import Callable
from itertools import count
from pathlib import Path

from ..ir.node import Node

MOST = 1000  # files that stay in a folder of our own; of these the oldest is removed first

_own: Path | None = None


class Files:
    """A folder of files, one for each loop nest that runs.

    folder: None for one of our own, which is gone when the process ends.
    stop: each function begins with `breakpoint()`.
    """

    def __init__(self, folder: Path | None = None, stop: bool = False) -> None:
        self.kept = folder is not None
        self.folder = _own_folder() if folder is None else folder.absolute()
        if self.kept:
            self.folder.mkdir(parents=True, exist_ok=True)
        self.stop = stop
        self.compiled: weakref.WeakKeyDictionary[Node, Callable[..., None]] = (
            weakref.WeakKeyDictionary()
        )

    def write(self, name: str, text: str) -> str:
        """Put a text into a new file; its full name."""
        file = self.folder / f"{next(_numbers):04}_{name}.py"
        file.write_text(text, encoding="utf-8")
        linecache.checkcache(str(file))
        if not self.kept:
            _written.append(file)
            while len(_written) > MOST:
                _written.popleft().unlink(missing_ok=True)
        return str(file)


_numbers = count(1)
_written: deque[Path] = deque()


def _own_folder() -> Path:
    global _own
    if _own is None or not _own.is_dir():
        _own = Path(tempfile.mkdtemp(prefix="groundup-debug-"))
        atexit.register(shutil.rmtree, _own, ignore_errors=True)
    return _own


def heading(node: Node) -> str:
    """Where a loop nest was written, as a comment."""
    if node.line is None:
        return ""
    name, _, number = node.line.rpartition(":")
    text = linecache.getline(name, int(number)).strip()
    return f"# line {number} of {name}\n" + (f"#     {text}\n" if text else "")
