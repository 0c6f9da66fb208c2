"""Notebooks as tests: each in a fresh kernel, several at a time, each up to its first failing cell.

nbformat and nbclient do the format and the kernels; they are imported when the first notebook runs.
Must not know what cells compute.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from . import files
from .files import Cell, Notebook, NotebookError

if TYPE_CHECKING:
    from nbclient import NotebookClient

_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_FILE = re.compile(r" \(\d+\.py, line \d+\)$")  # what a kernel calls a cell in a SyntaxError
_PLACE = re.compile(r"(?:Cell In|Input In ?)\s*\[(\d+)\], line (\d+)")


class Failure(NamedTuple):
    """Why a notebook stopped."""

    cell: int | None  # its number among all cells, from 1; None: before the first
    line: int | None  # within the cell, from 1
    source: str  # that line
    error: str  # in words; the first line is its kind and the beginning of its text
    inner: str = ""  # where in another cell the error was raised, and that line
    trace: str = ""


class Result(NamedTuple):
    """What became of one notebook."""

    path: Path
    seconds: float
    ran: int  # code cells that were run to their end
    left_out: int  # code cells that their directives leave out
    failure: Failure | None

    @property
    def ok(self) -> bool:
        """Did all cells run?"""
        return self.failure is None


def tags(notebook: Notebook) -> set[str]:
    """The tags of all cells, from directives (`#| slow`) and from Jupyter's own tags."""
    return set().union(*map(cell_tags, notebook.cells)) if notebook.cells else set()


def cell_tags(cell: Cell) -> set[str]:
    """The names of a cell's directives without a value, and its tags in Jupyter."""
    metadata = cell.data.get("metadata")
    own = metadata.get("tags", []) if isinstance(metadata, dict) else []
    return {name for name, value in cell.directives().items() if not value} | {*map(str, own)}


def leaves_out(cell: Cell, only: str | None) -> bool:
    """Do a cell's directives keep it from being run?

    `#| skip` and `#| eval: false` always do, `#| slow` unless --only asks for a tag of the cell.
    """
    own = cell_tags(cell)
    if "skip" in own or cell.directives().get("eval", "").lower() == "false":
        return True
    return "slow" in own and (only is None or only not in own)


def test(
    notebooks: Sequence[str | Path] = (),
    jobs: int | None = None,
    timeout: float = 600.0,
    only: str | None = None,
    kernel: str | None = None,
    save: Path | None = None,
    report: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Run notebooks in fresh kernels, in their own folders, each up to its first failing cell.

    notebooks: files, folders or patterns; nothing: all of this folder, or of its folder
    `notebooks`. jobs: how many at a time; all processors by default. timeout: seconds for one cell.
    only: a tag; notebooks without a cell of that tag are not run, and slow cells that have it are.
    kernel: the name of a kernel instead of the one that a notebook names. save: a folder for copies
    with their outputs. report: is called with each result as it comes.
    Raises NotebookError where there is no such notebook, or nbclient is not installed. In a kernel,
    the environment variable IN_TEST is 1.
    """
    _check_installed()
    if save is not None:
        try:
            save.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise NotebookError(f"cannot make the folder {save}: {error.strerror}") from None
    paths, run = files.find(notebooks), _Run(timeout, only, kernel, save)
    names = [path.name for path in paths]
    twice = next((name for name in names if names.count(name) > 1), None)
    if save is not None and twice is not None:
        raise NotebookError(f"two notebooks are called {twice}: one copy would replace the other")

    def work() -> list[Result]:
        return asyncio.run(_all(paths, run, jobs or os.cpu_count() or 1, report))

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    with ThreadPoolExecutor(1) as elsewhere:  # in a notebook this thread has a loop of its own
        return elsewhere.submit(work).result()


def _check_installed() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("nbformat", "nbclient", "ipykernel") if find_spec(name) is None]
    if missing:
        raise NotebookError(
            f"running notebooks needs {', '.join(missing)}: pip install 'groundup[notebook]'"
        )


class _Run(NamedTuple):
    """What holds for all notebooks of one run."""

    timeout: float
    only: str | None
    kernel: str | None
    save: Path | None


async def _all(
    paths: Sequence[Path], run: _Run, jobs: int, report: Callable[[Result], None] | None
) -> list[Result]:
    places = asyncio.Semaphore(jobs)

    async def one(path: Path) -> Result | None:
        async with places:
            start = time.perf_counter()
            try:
                notebook = files.read(path)
            except NotebookError as error:
                result = Result(path, 0.0, 0, 0, Failure(None, None, "", str(error)))
            else:
                if run.only is not None and run.only not in tags(notebook):
                    return None
                result = await _execute(notebook, run, start)
            if report is not None:
                report(result)
            return result

    return [r for r in await asyncio.gather(*map(one, paths)) if r is not None]


async def _execute(notebook: Notebook, run: _Run, start: float) -> Result:
    """Run one notebook; every way in which that can fail is a Failure."""
    import nbformat
    from jupyter_client.kernelspec import NoSuchKernel
    from nbclient import NotebookClient

    ran, left_out = 0, 0

    def done(failure: Failure | None) -> Result:
        return Result(notebook.path, time.perf_counter() - start, ran, left_out, failure)

    try:
        node = nbformat.from_dict(_fresh(notebook))
        nbformat.validate(node)
    except nbformat.ValidationError as error:
        said = str(error).partition("\n")[0]
        return done(Failure(None, None, "", f"{notebook.name} is no valid notebook: {said}"))
    client = NotebookClient(
        node,
        timeout=run.timeout,
        kernel_name=run.kernel or "",
        resources={"metadata": {"path": str(notebook.path.resolve().parent)}},
        shutdown_kernel="immediate",
        allow_errors=False,
        store_widget_state=False,
        extra_arguments=_quiet(notebook, run.kernel),
    )
    here = 0
    try:
        async with client.async_setup_kernel(env={**os.environ, "IN_TEST": "1"}):
            with suppress(NotImplementedError):  # Ctrl-C ends the run, not only this kernel
                asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
            for cell in notebook.cells:
                here = cell.number
                if not cell.is_code or not cell.source.strip():
                    continue
                if leaves_out(cell, run.only):
                    left_out += 1
                    continue
                failure = await _cell(client, notebook, cell, run)
                if failure is not None:
                    return done(failure)
                ran += 1
    except NoSuchKernel as error:
        return done(Failure(None, None, "", _no_kernel(notebook, run.kernel or error.name)))
    except Exception as error:  # a kernel that does not start, or dies, says so in many ways
        said = f"the kernel failed: {type(error).__name__}: {error}"
        return done(Failure(here or None, None, "", said))
    finally:
        if run.save is not None:
            files.write(run.save / notebook.name, nbformat.writes(node) + "\n")
    return done(None)


def _fresh(notebook: Notebook) -> dict[str, Any]:
    """The notebook as nbformat holds it in memory, its outputs those of this run alone."""
    cells = []
    for cell in notebook.cells:
        data = {**cell.data, "source": cell.source}
        if cell.is_code:
            data |= {"outputs": [], "execution_count": None}
        cells.append(data)
    return {**notebook.data, "cells": cells}


def _quiet(notebook: Notebook, kernel: str | None) -> list[str]:
    """Arguments that keep a Python kernel from logging its warnings into the report."""
    spec = notebook.data.get("metadata", {}).get("kernelspec", {})
    name = kernel or spec.get("name", "python3")
    return ["--log-level=ERROR"] if str(name).startswith("python") else []


async def _cell(
    client: NotebookClient, notebook: Notebook, cell: Cell, run: _Run
) -> Failure | None:
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    node = client.nb.cells[cell.number - 1]
    try:
        await client.async_execute_cell(node, cell.number - 1)
    except CellTimeoutError:
        first = cell.source.splitlines()[cell.head() :] or [""]
        said = f"the cell did not end within {run.timeout:g} s (--timeout)"
        return Failure(cell.number, None, first[0].strip(), said)
    except DeadKernelError:
        return Failure(cell.number, None, "", "the kernel died while it ran this cell")
    except CellExecutionError as error:
        return _failure(client.nb.cells, notebook, cell, error)
    return None


def _failure(nodes: Sequence[Any], notebook: Notebook, cell: Cell, error: Any) -> Failure:
    """Where a cell failed, and why, out of the traceback that the kernel has sent."""
    node = nodes[cell.number - 1]
    outputs = [o for o in node.get("outputs", ()) if o.get("output_type") == "error"]
    trace = "\n".join(outputs[-1].get("traceback", ())) if outputs else ""
    trace = _COLOUR.sub("", trace)
    counts = {n.get("execution_count"): c for n, c in zip(nodes, notebook.cells)}
    places = [(counts.get(int(count)), int(line)) for count, line in _PLACE.findall(trace)]
    # The first place of a traceback in this cell is the statement that was run.
    line = next((line for where, line in places if where is cell), None)
    source = _line(cell, line) if line is not None else ""
    said = f"{error.ename}: {error.evalue}" if error.evalue else str(error.ename)
    said = _FILE.sub("", _COLOUR.sub("", said))
    inner = ""
    last, at = places[-1] if places else (None, 0)
    if last is not None and (last, at) != (cell, line):
        inner = f"cell {last.number}, line {at}: {_line(last, at)}"
    return Failure(cell.number, line, source, said, inner, trace)


def _line(cell: Cell, number: int) -> str:
    lines = cell.source.splitlines()
    return lines[number - 1].strip() if number <= len(lines) else ""


def _no_kernel(notebook: Notebook, name: str) -> str:
    from jupyter_client.kernelspec import KernelSpecManager

    installed = ", ".join(sorted(KernelSpecManager().find_kernel_specs())) or "none"
    return (
        f"the kernel {name!r} that {notebook.name} asks for is not installed; installed: "
        f"{installed} (--kernel NAME runs it in another)"
    )
