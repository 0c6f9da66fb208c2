"""Floor 12: notebooks as a place to build in: cells to modules, tests in fresh kernels, the game.

Must not know the command line. nbformat and nbclient (the extra [notebook]) are imported when a
notebook is run; all else needs the standard library alone.
"""

from groundup.notebook.clean import clean, hooks
from groundup.notebook.export import export, sync
from groundup.notebook.files import NotebookError
from groundup.notebook.run import test

__all__ = ["NotebookError", "clean", "export", "hooks", "sync", "test"]
