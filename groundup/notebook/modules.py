"""The text of a module made of a notebook's cells: written, and read back part by part.

A head (who wrote it, and the hash of all that follows), `__all__`, then a part for each cell behind
a mark that names the cell and the hash of what was written for it. Edits of a part can so be told
from edits of its cell. Must not know how notebooks are stored.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .files import Cell, NotebookError, fingerprint

_HEAD = "# Written by `groundup nb export` from "
_HELP = "# Edit the notebook, or edit here and run `groundup nb sync`."
_HASH = "# sha256 of the rest: "
_MARK = re.compile(r"# %% (?P<notebook>.+), cell (?P<number>\d+)(?: \[(?P<id>[\w-]+)\])? "
                   r"(?P<hash>[0-9a-f]{12})$")  # fmt: skip
_FUTURE = "from __future__ import "
SHORT = 12  # digits of a part's hash


class Part(NamedTuple):
    """What a module holds of one cell."""

    notebook: str
    number: int
    id: str | None
    hash: str  # of the text that was written for the cell
    text: str

    @property
    def edited(self) -> bool:
        """Is the text another than the one that was written?"""
        return fingerprint(self.text, SHORT) != self.hash

    def __str__(self) -> str:
        return f"the part of {self.notebook}, cell {self.number}"


class Module(NamedTuple):
    """A module file that an export has written, read back."""

    notebook: str
    whole: bool  # is everything after the head as it was written?
    parts: list[Part]
    outside: str | None  # a line that is in no part, and that no export has written

    def unheld(self, bodies: Sequence[Body]) -> list[str]:
        """Where there are edits that these cells do not hold, in words."""
        if self.whole:
            return []
        held = {b.text for b in bodies}
        found = [f"cell {p.number}" for p in self.parts if p.edited and p.text not in held]
        return [*found, f"outside of the cells' parts: {self.outside}"] if self.outside else found


class Body(NamedTuple):
    """A cell's code as a module has it."""

    cell: Cell
    text: str
    tree: ast.Module
    future: list[str]
    offset: int  # of lines of the text to those of the cell

    def mark(self) -> str:
        """The line above the part."""
        known = f" [{self.cell.id}]" if self.cell.id else ""
        own = fingerprint(self.text, SHORT)
        return f"# %% {self.cell.notebook}, cell {self.cell.number}{known} {own}"


def body(cell: Cell, package: str) -> Body:
    """The code of an exporting cell, its imports of the package made relative.

    Raises NotebookError if it is not Python.
    """
    lines = cell.source.split("\n")[cell.head() :]
    for number, line in enumerate(lines, cell.head() + 1):
        if _MARK.match(line):
            raise NotebookError(
                f"{cell}, line {number}: this is how a module marks the cells it is made of; "
                f"change the line: {line.strip()}"
            )
    text, offset = _stripped("\n".join(lines), cell.head())
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        raise NotebookError(_no_python(cell, text, offset, error)) from None
    text, future = _without_future(text, tree)
    text, offset = _stripped(text, offset)
    if future:
        tree = ast.parse(text)
    return Body(cell, _relative(text, tree, package), tree, future, offset)


def _stripped(text: str, offset: int) -> tuple[str, int]:
    """Text without empty lines around it, and how far its first line is from the cell's."""
    inner = text.lstrip("\n")
    return inner.rstrip(), offset + len(text) - len(inner)


def _no_python(cell: Cell, text: str, offset: int, error: SyntaxError | ValueError) -> str:
    if not isinstance(error, SyntaxError) or error.lineno is None:
        return f"{cell} is exported, and is not Python: {error}"
    lines = text.split("\n")
    line = lines[error.lineno - 1].strip() if error.lineno <= len(lines) else ""
    hint = ""
    if line.startswith(("%", "!", "?")) or line.endswith("?"):
        hint = "; commands of the notebook belong into a cell that is not exported"
    at = error.lineno + offset
    return f"{cell}, line {at} is exported, and is not Python ({error.msg}): {line}{hint}"


def _without_future(text: str, tree: ast.Module) -> tuple[str, list[str]]:
    """`from __future__ import …` goes to the top of the module: elsewhere it is an error."""
    found = [n for n in tree.body if isinstance(n, ast.ImportFrom) and n.module == "__future__"]
    lines = text.split("\n")
    for node in found:
        for row in range(node.lineno - 1, node.end_lineno or node.lineno):
            lines[row] = ""
    names = {alias.name for node in found for alias in node.names}
    return "\n".join(lines), sorted(names)


# ---- imports --------------------------------------------------------------------------------


def _relative(text: str, tree: ast.Module, package: str) -> str:
    """`from exp.x import y` becomes `from .x import y`, `import exp.x as z` `from . import x as z`.

    Only the words of the statement change, so that what was there comes back (`absolute`).
    """
    return _replaced(text, list(_absolute_imports(tree, package)))


def _absolute_imports(tree: ast.Module, package: str) -> Iterator[tuple[ast.stmt, str, str]]:
    """(statement, what it begins with, what it is to begin with)"""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
            if node.module == package:
                yield node, f"from {package} ", "from . "
            elif node.module.startswith(package + "."):
                yield node, f"from {package}.", "from ."
        elif isinstance(node, ast.Import) and len(node.names) == 1:
            name = node.names[0]
            inside = name.name.startswith(package + ".") and name.name.count(".") == 1
            if inside and name.asname is not None:
                yield node, f"import {package}.", "from . import "


def absolute(text: str, package: str) -> str:
    """The text of a part as a cell has it: its relative imports name the package again."""
    tree = ast.parse(text)
    changes: list[tuple[ast.stmt, str, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            inside = node.module is not None
            changes.append(
                (node, "from ." if inside else "from . ",
                 f"from {package}." if inside else f"from {package} ")
            )  # fmt: skip
    return _replaced(text, changes)


def _replaced(text: str, changes: Sequence[tuple[ast.stmt, str, str]]) -> str:
    lines = text.split("\n")
    for node, old, new in sorted(changes, key=lambda c: (-c[0].lineno, -c[0].col_offset)):
        row = node.lineno - 1
        raw = lines[row].encode()  # ast counts bytes
        before, rest = raw[: node.col_offset].decode(), raw[node.col_offset :].decode()
        words = re.compile(r"\s+".join(map(re.escape, old.split())) + (r"\s+" * old.endswith(" ")))
        match = words.match(rest)
        if match is not None:
            lines[row] = before + new + rest[match.end() :]
    return "\n".join(lines)


def imported(tree: ast.Module, package: str) -> Iterator[tuple[str, int]]:
    """Which modules of the package the code imports as it is loaded, and in which line."""
    waiting: list[ast.AST] = [*tree.body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue  # what a function imports is there when it is called
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            waiting += node.orelse
            continue
        if isinstance(node, ast.ImportFrom):
            own = node.module or ""
            if node.level == 0:
                own = "" if own == package else own.removeprefix(package + ".")
                inside = node.module == package or str(node.module).startswith(package + ".")
            else:
                inside = node.level == 1
            if inside:
                names = [own] if own else [alias.name for alias in node.names]
                yield from ((name.partition(".")[0], node.lineno) for name in names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith(package + "."):
                    yield alias.name.split(".")[1], node.lineno
        waiting += ast.iter_child_nodes(node)


# ---- names ----------------------------------------------------------------------------------


def defined(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """The names that code defines at its top level, and the line of each: functions, classes and
    what is assigned; not what is imported."""
    waiting: list[ast.stmt] = [*reversed(tree.body)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                yield from _names(target)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            yield from _names(node.target)
        elif isinstance(node, ast.For | ast.With | ast.If | ast.Try | ast.While):
            for field in ("finalbody", "orelse", "handlers", "body"):
                for inner in reversed(getattr(node, field, [])):
                    waiting += (
                        reversed(inner.body) if isinstance(inner, ast.ExceptHandler) else [inner]
                    )


def _names(target: ast.expr) -> Iterator[tuple[str, int]]:
    if isinstance(target, ast.Name):
        yield target.id, target.lineno
    elif isinstance(target, ast.Tuple | ast.List):
        for element in target.elts:
            yield from _names(element)
    elif isinstance(target, ast.Starred):
        yield from _names(target.value)


# ---- files ----------------------------------------------------------------------------------


def render(notebook: str, bodies: Sequence[Body], package: str) -> str:
    """The text of the module of these cells: the same cells, the same bytes."""
    where: dict[str, tuple[Cell, int]] = {}
    for part in bodies:
        here: set[str] = set()
        for name, line in defined(part.tree):
            first = where.get(name)
            if first is not None and name not in here and name != "_":
                raise NotebookError(
                    f"two cells export the name {name!r}: {first[0]} and {part.cell} "
                    f"(line {line + part.offset}). In the module the second would replace the "
                    f"first: rename one, or export only one of the two"
                )
            where.setdefault(name, (part.cell, line + part.offset))
            here.add(name)
    public = sorted(name for name in where if not name.startswith("_"))
    future = sorted({name for part in bodies for name in part.future})
    lines = [f"{_FUTURE}{', '.join(future)}", ""] if future else []
    lines += _listed(public)
    for part in bodies:
        lines += ["", part.mark(), part.text] if part.text else ["", part.mark()]
    rest = "\n".join(lines) + "\n"
    head = [_HEAD + notebook + ".", _HELP, _HASH + fingerprint(rest)]
    return "\n".join(head) + "\n" + rest


def _listed(names: Sequence[str]) -> list[str]:
    line = "__all__ = [" + ", ".join(f'"{name}"' for name in names) + "]"
    if len(line) <= 100:
        return [line]
    return ["__all__ = [", *(f'    "{name}",' for name in names), "]"]


def index(modules: Sequence[str]) -> str:
    """The text of the package's own file: which modules it has."""
    rest = "\n".join(_listed(sorted(modules))) + "\n"
    head = [_HEAD + "the notebooks beside this folder.", _HASH + fingerprint(rest)]
    return "\n".join(head) + "\n" + rest


def read(text: str, name: str) -> Module | None:
    """A module file read back, or None if no export has written it."""
    first, _, text = text.partition("\n")
    if not first.startswith(_HEAD):
        return None
    lines = text.removesuffix("\n").split("\n")
    at = next((i for i, line in enumerate(lines[:3]) if line.startswith(_HASH)), None)
    if at is None:
        raise NotebookError(f"{name}: the line with the hash is gone from its head")
    rest = "\n".join(lines[at + 1 :]) + "\n"
    whole = fingerprint(rest) == lines[at].removeprefix(_HASH).strip()
    parts: list[Part] = []
    start: tuple[re.Match[str], int] | None = None
    for i in range(at + 1, len(lines) + 1):
        match = _MARK.match(lines[i]) if i < len(lines) else None
        if match is None and i < len(lines):
            continue
        if start is not None:
            mark, begin = start
            own, _ = _stripped("\n".join(lines[begin:i]), 0)
            parts.append(Part(mark["notebook"], int(mark["number"]), mark["id"], mark["hash"], own))
        if match is not None:
            start = match, i + 1
    marks = (i for i in range(at + 1, len(lines)) if _MARK.match(lines[i]))
    end = next(marks, len(lines))
    outside = None if whole else _outside(lines[at + 1 : end])
    return Module(first.removeprefix(_HEAD).removesuffix("."), whole, parts, outside)


def _outside(lines: Sequence[str]) -> str | None:
    """The first line before all parts that is neither `__all__` nor a future import."""
    try:
        tree = ast.parse("\n".join(lines))
    except SyntaxError as error:
        return lines[(error.lineno or 1) - 1] if lines else None
    ours: set[int] = set()
    for node in tree.body:
        future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        listed = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        if future or listed:
            ours |= {*range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    others = (line for i, line in enumerate(lines, 1) if i not in ours and line.strip())
    return next(others, None)
