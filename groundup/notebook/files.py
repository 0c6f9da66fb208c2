"""Notebook files: read with checks, changed cell by cell, written whole or not at all.

A notebook is JSON; what is not understood is kept as it is. Must not know what cells are for, and
needs nothing but the standard library: a git filter runs it at each `git add`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from glob import glob
from pathlib import Path
from typing import Any

_DIRECTIVE = re.compile(r"\s*#\s*\|\s*(.*?)\s*$")
_EXPORT = re.compile(r"\s*#\s*(?:\|\s*)?export\s*$", re.IGNORECASE)


class NotebookError(Exception):
    """A notebook, or a module made of one, that cannot be used as asked. Nothing was written."""


class Cell:
    """One cell: its number among all cells of its notebook, from 1, and its text."""

    def __init__(self, data: dict[str, Any], number: int, notebook: str) -> None:
        self.data, self.number, self.notebook = data, number, notebook

    def __str__(self) -> str:
        return f"{self.notebook}, cell {self.number}"

    def __repr__(self) -> str:
        return f"<{self}>"

    @property
    def is_code(self) -> bool:
        """Does it hold code (or text)?"""
        return bool(self.data["cell_type"] == "code")

    @property
    def id(self) -> str | None:
        """The name of the cell that stays when others move; only newer notebooks have it."""
        return self.data.get("id")

    @property
    def source(self) -> str:
        """The text, which a notebook stores as one string or as a list of lines."""
        text = self.data["source"]
        return text if isinstance(text, str) else "".join(text)

    @source.setter
    def source(self, text: str) -> None:
        as_list = isinstance(self.data["source"], list)
        self.data["source"] = text.splitlines(keepends=True) if as_list else text

    def head(self) -> int:
        """How many lines at the beginning are directives: `#| …`, and an `#export` before them."""
        lines = self.source.splitlines()
        count = 0
        for line in lines:
            if _DIRECTIVE.match(line) is None and not (count == 0 and _EXPORT.match(line)):
                break
            count += 1
        return count

    def directives(self) -> dict[str, str]:
        """The directives at the head of a code cell: {"eval": "false", "slow": "", …}."""
        found: dict[str, str] = {}
        if not self.is_code:
            return found
        for line in self.source.splitlines()[: self.head()]:
            match = _DIRECTIVE.match(line)
            text = "export" if match is None else match[1]
            name, _, value = text.replace(":", " ", 1).partition(" ")
            found[name.lower()] = value.strip()
        return found

    @property
    def exported(self) -> bool:
        """Is the first line `#export`, `# export` or `#| export`?"""
        first = self.source.partition("\n")[0]
        return self.is_code and _EXPORT.match(first) is not None


class Notebook:
    """A notebook as it lies in a file, and its cells, through which it is changed."""

    def __init__(self, data: dict[str, Any], name: str, path: Path) -> None:
        self.data, self.name, self.path = data, name, path
        self.cells = [Cell(c, i, name) for i, c in enumerate(data["cells"], 1)]

    def text(self) -> str:
        """The file's text, as Jupyter writes it: the same notebook gives the same bytes."""
        return json.dumps(self.data, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def read(path: Path) -> Notebook:
    """Read a notebook. Raises NotebookError, saying what is wrong with the file."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise NotebookError(f"there is no file {path}") from None
    except OSError as error:
        raise NotebookError(f"cannot read {path}: {error.strerror}") from None
    return parse(raw, path.name, path)


def parse(raw: bytes, name: str, path: Path = Path()) -> Notebook:
    """The notebook in some bytes; `name` is what errors call it."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotebookError(
            f"{name} is no notebook: byte {error.start} is not UTF-8 text"
        ) from None
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        at = f"line {error.lineno}, column {error.colno}"
        marks = " (a merge has left its marks there?)" if "<<<<<<<" in text else ""
        raise NotebookError(f"{name} is broken: {error.msg} at {at}{marks}") from None
    except RecursionError:
        raise NotebookError(f"{name} is no notebook: it is nested too deeply") from None
    if not isinstance(data, dict) or not isinstance(data.get("nbformat"), int):
        raise NotebookError(f"{name} is no notebook: it has no `nbformat`")
    if data["nbformat"] != 4:
        raise NotebookError(
            f"{name} is of nbformat {data['nbformat']}; format 4 is read: "
            f"jupyter nbconvert --to notebook --inplace {name}"
        )
    cells = data.get("cells")
    if not isinstance(cells, list):
        raise NotebookError(f"{name} is no notebook: it has no list of cells")
    for number, cell in enumerate(cells, 1):
        _check(cell, f"{name}, cell {number}")
    return Notebook(data, name, path)


def _check(cell: Any, place: str) -> None:
    if not isinstance(cell, dict) or cell.get("cell_type") not in ("code", "markdown", "raw"):
        raise NotebookError(f"{place} is broken: it has no cell_type code, markdown or raw")
    source = cell.get("source")
    is_list = isinstance(source, list) and all(isinstance(line, str) for line in source)
    if not (isinstance(source, str) or is_list):
        raise NotebookError(f"{place} is broken: its source is neither text nor lines of text")
    if not isinstance(cell.get("id", ""), str):
        raise NotebookError(f"{place} is broken: its id is no text")


def write(path: Path, text: str) -> None:
    """Write a text file whole, or leave what is there. Raises NotebookError."""
    from ..train import SaveError, write_whole

    try:
        path = path.resolve()  # a link stays a link
        mode = path.stat().st_mode if path.exists() else None
        write_whole(path, text.encode())
        if mode is not None:
            path.chmod(mode)
    except SaveError as error:
        raise NotebookError(str(error)) from None


def fingerprint(text: str, length: int = 64) -> str:
    """What tells one text from another: the beginning of its SHA-256 in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def find(given: Sequence[str | Path], folder: Path | None = None) -> list[Path]:
    """The notebooks that files, folders and patterns name, in order, each once.

    Nothing given: those of the folder (the current one), or else of its folder `notebooks`. Raises
    NotebookError where a name stands for nothing.
    """
    if not given:
        here = folder or Path()
        found = _in(here) or _in(here / "notebooks")
        if not found:
            raise NotebookError(
                f"there are no notebooks in {here.resolve()}, nor in a folder notebooks there"
            )
        return found
    result: dict[Path, None] = {}
    for name in given:
        result.update(dict.fromkeys(_named(name)))
    return list(result)


def _named(name: str | Path) -> Iterator[Path]:
    path = Path(name)
    if path.is_dir():
        found = _in(path)
        if not found:
            raise NotebookError(f"there are no notebooks in the folder {path}")
    elif path.exists():
        found = [path]
    elif not any(c in str(name) for c in "*?["):
        raise NotebookError(f"there is no file {path}")
    else:
        found = sorted(
            Path(p) for p in glob(str(name), recursive=True)
            if p.endswith(".ipynb") and ".ipynb_checkpoints" not in Path(p).parts
        )  # fmt: skip
        if not found:
            raise NotebookError(f"no notebook fits the pattern {name}")
    yield from found


def _in(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.ipynb"))
