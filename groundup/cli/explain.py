"""The command `groundup explain`: runs a program, shows what one of its names becomes.

Must not know how an explanation comes about.
"""

from __future__ import annotations

import difflib
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console

from groundup.glass import Explanation, explain
from groundup.glass.page import BEGINS
from groundup.glass.terminal import rendered
from groundup.runtime import set_num_threads
from groundup.tensor import JitError, Tensor
from groundup.tensor.jit import Jit

HOW = "as in groundup explain train.py:step"


class ExplainError(Exception):
    """What keeps a name from being explained, in words for its user."""


def explain_name(
    target: str, html: Path | None, machine: bool, threads: int | None, out: Console
) -> None:
    """Run the program of FILE.py:NAME and show what the name becomes, in a page, too, if asked for.

    machine: also LLVM IR and assembly.
    """
    file, name = parsed(target)
    if html is not None:
        writable(html)
    if threads is not None:
        set_num_threads(threads)
    found = explained(file, name)
    for part in rendered(found, machine=machine):
        out.print(part)
    if html is not None:
        try:
            found.save(html)
        except OSError as error:
            raise ExplainError(f"cannot write {html}: {error.strerror}") from None
        out.print(f"Written to {html}.", highlight=False, soft_wrap=True)


def writable(html: Path) -> None:
    """May a page be written there? Raises before the program runs, which may take long."""
    folder = html.absolute().parent
    if html.is_dir():
        raise ExplainError(f"{html} is a folder: give the name of a file, such as {html}/page.html")
    if not folder.is_dir():
        raise ExplainError(f"there is no folder {folder} to put {html.name} into")
    if not html.exists():
        if not os.access(folder, os.W_OK):
            raise ExplainError(f"cannot write {html}: {folder} is not for you to write to")
        return
    try:
        with html.open("rb") as file:
            begins = file.read(len(BEGINS))
        if begins and begins != BEGINS.encode():
            raise ExplainError(
                f"{html} is there, and is no page of groundup explain: it stays as it is; give "
                f"another name, or remove it first"
            )
        with html.open("ab"):
            pass
    except OSError as error:
        raise ExplainError(f"cannot write {html}: {error.strerror}") from None


def parsed(target: str) -> tuple[Path, str]:
    """The file and the name of FILE.py:NAME."""
    file, colon, name = target.rpartition(":")
    if not colon or not file or not name:
        raise ExplainError(f"{target} has no name: give FILE.py:NAME, {HOW}")
    if not all(part.isidentifier() for part in name.split(".")):
        raise ExplainError(f"{name} is not a name: give FILE.py:NAME, {HOW}")
    path = Path(file)
    if not path.is_file():
        what = "is a folder, not a program" if path.is_dir() else "does not exist"
        raise ExplainError(f"{path} {what}: give a Python file and a name, {HOW}")
    return path, name


def explained(file: Path, name: str) -> Explanation:
    """The explanation of a name of a program, after the program has run."""
    value = looked_up(file, name, run(file))
    value = getattr(value, "__func__", value)  # of a captured method
    if not isinstance(value, Tensor | Jit):
        raise ExplainError(
            f"{name} of {file} is of type {type(value).__name__}; what can be explained is a "
            f"tensor that has not been computed yet, or a function of gu.jit that has been called"
            + (" (make it one: step = gu.jit(step))" if callable(value) else "")
        )
    if isinstance(value, Tensor) and value._storage.realised:
        raise ExplainError(
            f"{name} of {file} has been computed, so what it was computed from is forgotten; name "
            f"a tensor that nothing has asked a value of (print, .item(), .realize())"
        )
    try:
        return explain(value)
    except JitError as error:
        raise ExplainError(f"{name} of {file}: {error}; call it once in the program") from None


def looked_up(file: Path, name: str, names: dict[str, Any]) -> Any:
    """What a name, or an attribute of one, stands for."""
    first, *rest = name.split(".")
    if first not in names:
        known = [k for k, v in names.items() if isinstance(v, Tensor | Jit)]
        near = _near(first, known)
        listed = ", ".join(sorted(known)) or "none"
        raise ExplainError(
            f"{file} has no name {first}" + (f"; did you mean {near[0]}?" if near else
            f"; its tensors and functions of gu.jit are: {listed}")
        )  # fmt: skip
    value = names[first]
    for part in rest:
        if not hasattr(value, part):
            near = _near(part, [x for x in dir(value) if not x.startswith("_")])
            raise ExplainError(
                f"{first} of {file}, a {type(value).__name__}, has no {part}"
                + (f"; did you mean {near[0]}?" if near else "")
            )
        value, first = getattr(value, part), f"{first}.{part}"
    return value


def _near(name: str, known: Sequence[str]) -> list[str]:
    """The name that is most like one, if any is, whatever its case."""
    alike = {k.lower(): k for k in known}
    return [alike[k] for k in difflib.get_close_matches(name.lower(), alike, 1)]


def run(file: Path) -> dict[str, Any]:
    """Run a program as Python would; its names at its end."""
    module = ModuleType("__main__")
    module.__file__ = str(file)
    argv, path, main = sys.argv, list(sys.path), sys.modules["__main__"]
    sys.argv, sys.modules["__main__"] = [str(file)], module
    sys.path.insert(0, str(file.resolve().parent))
    try:
        exec(compile(file.read_bytes(), str(file), "exec"), module.__dict__)
    except SystemExit as end:
        if end.code not in (None, 0):
            raise ExplainError(f"{file} ended with exit code {end.code}") from None
    except Exception as error:
        traceback.print_exception(type(error), error, _own(error, file))
        raise ExplainError(f"{file} failed, so there is nothing to explain") from None
    finally:
        sys.argv, sys.path[:], sys.modules["__main__"] = argv, path, main
    return module.__dict__


def _own(error: BaseException, file: Path) -> Any:
    """The traceback of the program, without what ran it; none where it did not begin."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != str(file):
        trace = trace.tb_next
    return trace
