"""Cells to modules, and modules back to cells: nothing is written before all of it is right.

Must not know kernels.
"""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from . import files, modules
from .files import Cell, Notebook, NotebookError

PACKAGE = "exp"


class Written(NamedTuple):
    """A module that an export has made, of which notebook, and whether the file has changed."""

    module: Path
    notebook: Path
    changed: bool


def module_name(notebook: Notebook) -> str:
    """The module that a notebook becomes: its name without the number before it.

    `01_matmul.ipynb` becomes `matmul`; a cell with `#| default_exp NAME` says another.
    """
    for cell in notebook.cells:
        named = cell.directives().get("default_exp")
        if named:
            if not named.isidentifier() or keyword.iskeyword(named):
                raise NotebookError(f"{cell}: {named!r} cannot be the name of a module")
            return named
    stem = notebook.name.removesuffix(".ipynb")
    name = re.sub(r"^\d+[a-z]?[\W_]+(?=\D)", "", stem)
    name = re.sub(r"\W+", "_", name).strip("_")
    if not name.isidentifier() or keyword.iskeyword(name):
        raise NotebookError(
            f"{notebook.name}: {name!r} cannot be the name of a module; say one in a code cell: "
            f"#| default_exp NAME"
        )
    return name


class _Package:
    """What a folder of notebooks exports."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder / name, name
        self.bodies: dict[str, list[modules.Body]] = {}
        self.notebooks: dict[str, Notebook] = {}

    def add(self, notebook: Notebook) -> None:
        """Take a notebook's exporting cells; of one without any, nothing."""
        cells = [cell for cell in notebook.cells if cell.exported]
        if not cells:
            return
        module = module_name(notebook)
        other = self.notebooks.get(module)
        if other is not None:
            raise NotebookError(
                f"{other.name} and {notebook.name} would both become the module {module}; say "
                f"another name in a code cell of one of them: #| default_exp NAME"
            )
        self.notebooks[module] = notebook
        self.bodies[module] = [modules.body(cell, self.name) for cell in cells]

    def texts(self, force: bool) -> dict[Path, str]:
        """What each file is to hold; `force`: edits of modules may be lost."""
        self._check_imports()
        found = {
            self.folder / f"{module}.py": modules.render(
                self.notebooks[module].name, bodies, self.name
            )
            for module, bodies in self.bodies.items()
        }
        for path in found:
            if path.exists():
                self._check_old(path, force)
        return found | self._own_file() if found else found

    def _check_old(self, path: Path, force: bool) -> None:
        """Refuse to write over what no notebook holds."""
        old = modules.read(_text(path), str(path))
        if old is None:
            raise NotebookError(
                f"{path} was not written by an export and is not overwritten: move it away, or "
                f"name the module otherwise: #| default_exp NAME"
            )
        unheld = old.unheld(self.bodies[path.stem])
        if unheld and not force:
            raise NotebookError(
                f"{path} has been edited since it was written ({', '.join(unheld)}), and the "
                f"notebook does not hold that: groundup nb sync carries it back, --force discards "
                f"it"
            )
        mine = self.notebooks[path.stem].name
        if old.notebook != mine and (path.parents[1] / old.notebook).exists():
            raise NotebookError(
                f"{path} is the module of {old.notebook}, which {mine} would replace: say another "
                f"name in a code cell of one of them: #| default_exp NAME"
            )

    def _own_file(self) -> dict[Path, str]:
        """`__init__.py`, unless the user has written one."""
        path = self.folder / "__init__.py"
        if path.exists():
            old = modules.read(_text(path), str(path))
            if old is None or not old.whole:
                return {}
        names = {p.stem for p in self.folder.glob("*.py")} | {*self.bodies}
        return {path: modules.index(sorted(names - {"__init__"}))}

    # ---- imports within the package --------------------------------------------------------

    def _check_imports(self) -> None:
        graph: dict[str, dict[str, str]] = {}  # module → module it imports → where
        for module, bodies in self.bodies.items():
            graph[module] = {}
            for part in bodies:
                for name, line in modules.imported(part.tree, self.name):
                    graph[module].setdefault(name, f"{part.cell}, line {line + part.offset}")
        for path in sorted(self.folder.glob("*.py")):
            if path.stem not in graph and path.stem != "__init__":
                graph[path.stem] = self._imports_of(path)
        for module in self.bodies:
            for name, place in graph[module].items():
                if name not in graph and not (self.folder / name).is_dir():
                    raise NotebookError(
                        f"{place} imports {self.name}.{name}, which no notebook exports; modules "
                        f"are {', '.join(sorted(graph))}"
                    )
        _check_cycles(graph)

    def _imports_of(self, path: Path) -> dict[str, str]:
        try:
            tree = ast.parse(_text(path))
        except SyntaxError:
            return {}
        return {
            name: f"{path}, line {line}" for name, line in modules.imported(tree, self.name)
        }


def _check_cycles(graph: dict[str, dict[str, str]]) -> None:
    """Refuse modules that import each other in a circle: the first of them could not be loaded."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> None:
        if name in path:
            circle = [*path[path.index(name) :], name]
            raise NotebookError(
                f"imports go in a circle: {' → '.join(circle)}"
                + "".join(f"\n  {a} imports {b}: {graph[a][b]}" for a, b in pairwise(circle))
            )
        if name in done or name not in graph:
            return
        for following in sorted(graph[name]):
            visit(following, [*path, name])
        done.add(name)

    for name in sorted(graph):
        visit(name, [])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise NotebookError(f"{path} is not UTF-8 text") from None
    except OSError as error:
        raise NotebookError(f"cannot read {path}: {error.strerror}") from None


def export(
    notebooks: Sequence[str | Path] = (), package: str = PACKAGE, force: bool = False
) -> list[Written]:
    """Write the exporting cells of notebooks as modules of a package in their folder.

    Code cells whose first line is `#export`, `# export` or `#| export` become the module that
    `module_name` says, in the order of the notebook; `from exp.x import y` becomes relative, and
    `__all__` lists what is defined. The same notebooks give the same bytes.

    notebooks: files, folders or patterns; nothing: all of this folder, or of its folder
    `notebooks`. package: the name of the package. force: discard edits of modules.
    Raises NotebookError, and writes nothing at all, where a notebook is broken, a cell is not
    Python, two cells of a notebook export one name, imports go in a circle or into nothing, or a
    module has edits that its notebook does not hold (see `sync`).

    >>> import json, tempfile
    >>> path = Path(tempfile.mkdtemp()) / "01_area.ipynb"
    >>> cell = {"cell_type": "code", "source": "#export\\ndef area(r): return 3 * r * r"}
    >>> _ = path.write_text(json.dumps({"nbformat": 4, "cells": [cell]}))
    >>> (made,) = export([path])
    >>> made.module.name, made.changed
    ('area.py', True)
    >>> print(made.module.read_text().splitlines()[3])
    __all__ = ["area"]
    """
    if not package.isidentifier() or keyword.iskeyword(package):
        raise NotebookError(f"{package!r} cannot be the name of a package")
    packages: dict[Path, _Package] = {}
    for path in files.find(notebooks):
        packages.setdefault(path.resolve().parent, _Package(path.parent, package)).add(
            files.read(path)
        )
    texts: dict[Path, str] = {}
    for mine in packages.values():
        texts |= mine.texts(force)
    changed = _write(texts)
    made = [
        (mine.folder / f"{module}.py", notebook.path)
        for mine in packages.values()
        for module, notebook in mine.notebooks.items()
    ]
    return [Written(path, source, path in changed) for path, source in made]


def _write(texts: dict[Path, str]) -> set[Path]:
    """Write the files that are to hold something else than they do; gives these."""
    changed = {path for path, text in texts.items() if not path.exists() or _text(path) != text}
    for path in sorted(changed):
        try:
            path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise NotebookError(f"cannot make the folder {path.parent}: {error.strerror}") from None
        files.write(path, texts[path])
    return changed


# ---- back ---------------------------------------------------------------------------------------


class Carried(NamedTuple):
    """A cell that took over an edit of its module."""

    module: Path
    cell: Cell


def sync(notebooks: Sequence[str | Path] = (), package: str = PACKAGE) -> list[Carried]:
    """Carry edits of modules back into the cells they came from, and write the modules anew.

    A part of a module goes back into its cell, which keeps its directives. Raises NotebookError,
    and writes nothing, where an edit lies outside of the parts, its cell is gone, or the cell has
    been changed, too, since the export.
    """
    carried: list[Carried] = []
    packages: dict[Path, _Package] = {}
    for path in files.find(notebooks):
        notebook = files.read(path)
        if not any(cell.exported for cell in notebook.cells):
            continue
        file = path.parent / package / f"{module_name(notebook)}.py"
        module = modules.read(_text(file), str(file)) if file.exists() else None
        if module is None or module.whole:
            continue
        if module.outside:
            raise NotebookError(
                f"{file} has a line outside of the parts that came from cells, so there is no cell "
                f"to carry it to: {module.outside}\n  move it below a line '# %% {path.name}, cell "
                f"…', or into the notebook"
            )
        carried += [Carried(file, cell) for cell in _carry(module, notebook, file, package)]
        packages.setdefault(path.resolve().parent, _Package(path.parent, package)).add(notebook)
    texts: dict[Path, str] = {}
    for mine in packages.values():  # all is checked before anything is written
        texts |= mine.texts(force=True)
    for mine in packages.values():
        for notebook in mine.notebooks.values():
            files.write(notebook.path, notebook.text())
    _write(texts)
    return carried


def _carry(module: modules.Module, notebook: Notebook, file: Path, package: str) -> list[Cell]:
    """Put each edited part into its cell."""
    exported = [cell for cell in notebook.cells if cell.exported]
    cells = {cell.id: cell for cell in exported if cell.id}
    numbers = {cell.number: cell for cell in exported}
    found: list[Cell] = []
    for part in module.parts:
        cell = cells.get(part.id) if part.id else numbers.get(part.number)
        if not part.edited:
            continue
        if cell is None:
            raise NotebookError(
                f"{file}: {part} has been edited, and that cell is no longer exported there"
            )
        now = modules.body(cell, package).text
        if now == part.text:
            continue  # both were changed to the same
        if files.fingerprint(now, modules.SHORT) != part.hash:
            raise NotebookError(
                f"both have been changed since the export: {cell}, and its part of {file}. Take "
                f"over by hand what one has, then export or sync"
            )
        _put(cell, part.text, file, package)
        found.append(cell)
    return found


def _put(cell: Cell, text: str, file: Path, package: str) -> None:
    lines = cell.source.split("\n")
    head = lines[: cell.head()]
    head += [line for line in lines[cell.head() :] if line.startswith("from __future__ import ")]
    try:
        text = modules.absolute(text, package)
    except SyntaxError as error:
        raise NotebookError(
            f"{file}: the part of {cell} is not Python: {error.msg} in its line {error.lineno}"
        ) from None
    cell.source = "\n".join([*head, text] if text else head)
