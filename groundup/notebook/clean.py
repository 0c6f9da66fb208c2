"""Notebooks without what only makes noise in a history: outputs, counts, traces of an editor.

`nb hooks` has git do it to what is committed. Must not know kernels, nor change a cell's text.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import files
from .files import Notebook, NotebookError

# What a person has said about a cell or a notebook; all else, programs write for themselves.
_CELL = {"tags", "slideshow", "jupyter", "editable", "deletable", "name", "format", "language"}
_NOTEBOOK = {"kernelspec", "language_info", "title", "authors", "celltoolbar"}
_KERNEL = {"name", "display_name", "language"}
_FILTER = "groundup-nb"
_ATTRIBUTE = f"*.ipynb filter={_FILTER}"


def cleaned(notebook: Notebook) -> Notebook:
    """The notebook without outputs, execution counts and the metadata that programs leave; cells of
    newer notebooks that lack an id get one, made of their text and place."""
    data: dict[str, Any] = dict(notebook.data)
    meta = _only(data.get("metadata"), _NOTEBOOK)
    if "kernelspec" in meta:
        meta["kernelspec"] = _only(meta["kernelspec"], _KERNEL)
    if "language_info" in meta:
        meta["language_info"] = _only(meta["language_info"], {"name"})  # not its version
    data["metadata"] = meta
    named = (data["nbformat"], data.get("nbformat_minor", 0)) >= (4, 5)
    data["cells"] = [_cell(c, i, named) for i, c in enumerate(notebook.data["cells"])]
    return Notebook(data, notebook.name, notebook.path)


def _cell(data: dict[str, Any], place: int, named: bool) -> dict[str, Any]:
    cell = dict(data)
    cell["metadata"] = _only(cell.get("metadata"), _CELL)
    if not cell["metadata"].get("tags", True):
        del cell["metadata"]["tags"]
    if cell["cell_type"] == "code":
        cell["outputs"], cell["execution_count"] = [], None
    if named and not cell.get("id"):
        cell["id"] = files.fingerprint(f"{place} {cell['source']}", 8)
    return cell


def _only(found: object, names: set[str]) -> dict[str, Any]:
    return {k: v for k, v in found.items() if k in names} if isinstance(found, dict) else {}


def clean(notebooks: Sequence[str | Path] = (), check: bool = False) -> list[Path]:
    """Clean notebooks in place; gives those that were not clean.

    check: change nothing. Raises NotebookError, and changes nothing, where one is broken.

    >>> import json, tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.ipynb"
    >>> cell = {"cell_type": "code", "source": "1", "outputs": ["…"], "execution_count": 7}
    >>> _ = path.write_text(json.dumps({"nbformat": 4, "cells": [cell]}))
    >>> [p.name for p in clean([path])], clean([path])
    (['a.ipynb'], [])
    >>> json.loads(path.read_text())["cells"][0]["outputs"]
    []
    """
    found = [(path, files.read(path)) for path in files.find(notebooks)]
    changed: list[Path] = []
    texts = [cleaned(notebook).text() for _, notebook in found]
    for (path, _), text in zip(found, texts):
        if text.encode() != path.read_bytes():
            changed.append(path)
            if not check:
                files.write(path, text)
    return changed


# ---- git ----------------------------------------------------------------------------------------


def hooks(folder: Path | None = None, remove: bool = False) -> str:
    """Have git clean notebooks as they are added to a repository, or no longer; says what it did.

    The files keep their outputs; what is committed has none. Writes the filter into the
    repository's own configuration, and the line that names it into `.git/info/attributes`: nothing
    that is committed. Raises NotebookError outside of a repository.
    """
    here = folder or Path()
    top = Path(_git(here, "rev-parse", "--show-toplevel"))
    info = Path(_git(here, "rev-parse", "--git-path", "info/attributes"))
    info = info if info.is_absolute() else here / info
    lines = info.read_text().splitlines() if info.exists() else []
    kept = [line for line in lines if line.strip() != _ATTRIBUTE]
    if remove:
        _git(here, "config", "--remove-section", f"filter.{_FILTER}", missing_is_fine=True)
        if kept != lines:
            files.write(info, "".join(line + "\n" for line in kept))
        return f"notebooks of {top} are added to git as they are"
    command = f'"{Path(sys.executable).as_posix()}" -m groundup nb clean --filter'
    _git(here, "config", f"filter.{_FILTER}.clean", command)
    _git(here, "config", f"filter.{_FILTER}.smudge", "cat")
    _git(here, "config", f"filter.{_FILTER}.required", "true")  # a broken notebook is not added
    info.parent.mkdir(exist_ok=True)
    files.write(info, "".join(line + "\n" for line in [*kept, _ATTRIBUTE]))
    end = "groundup nb hooks --remove ends it"
    return f"git cleans the notebooks of {top} as they are added ({end})"


def _git(folder: Path, *words: str, missing_is_fine: bool = False) -> str:
    try:
        done = subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise NotebookError("there is no command git on this machine") from None
    if done.returncode and not missing_is_fine:
        raise NotebookError(f"git {words[0]}: {done.stderr.strip() or 'failed'}")
    return done.stdout.strip()
