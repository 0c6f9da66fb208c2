"""groundup: deep learning in Python from the ground up, from three nested loops to trained models.

This file only opens doors: nothing below is imported until it is used (PEP 562), so that
`import groundup` stays light. It must not know what any floor does.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from groundup._version import __version__ as __version__

# The rooms a user enters by name. `tensor` is not among them: `gu.tensor` is the function that
# makes a Tensor; its room is reached as `from groundup.tensor import …`.
_ROOMS = (
    "autodiff", "cli", "data", "datasets", "emit", "ir", "nn", "optim", "runtime", "schedule",
    "train", "vision",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    """Open the door `name`: a room, or one of the public names of `groundup.tensor`."""
    if name in _ROOMS:
        return import_module(f"groundup.{name}")
    if not name.startswith("_"):
        floor = import_module("groundup.tensor")
        if name in floor.__all__:
            value = getattr(floor, name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'groundup' has no attribute {name!r}")


def __dir__() -> list[str]:
    names = {name for name in globals() if not name.startswith("_")} - _PRIVATE
    return sorted({"__version__", *names, *_ROOMS, *import_module("groundup.tensor").__all__})


class _Package(ModuleType):
    """Keeps `gu.tensor` the function, also after the room of that name has been imported.

    Python binds an imported submodule as an attribute of its package; here that would hide the
    function behind the room `groundup.tensor`.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name == "tensor" and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


_PRIVATE = {"sys", "import_module", "ModuleType", "TYPE_CHECKING", "Any"}
sys.modules[__name__].__class__ = _Package

if TYPE_CHECKING:
    from groundup import autodiff as autodiff
    from groundup import data as data
    from groundup import datasets as datasets
    from groundup import emit as emit
    from groundup import ir as ir
    from groundup import nn as nn
    from groundup import optim as optim
    from groundup import runtime as runtime
    from groundup import schedule as schedule
    from groundup import train as train
    from groundup import vision as vision
