"""What tests of notebooks share: notebooks made of the texts of their cells."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Make = Callable[..., Path]
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Writes a notebook into the current folder, which is a new one: a text that begins with `MD `
    is no code."""
    monkeypatch.chdir(tmp_path)
    return write


def write(
    name: str, *cells: str, as_list: bool = True, ids: bool = True, kernel: Any = KERNEL,
    folder: Path = Path(),
) -> Path:  # fmt: skip
    """Write a notebook of these cells."""
    found = []
    for number, text in enumerate(cells, 1):
        kind = "markdown" if text.startswith("MD ") else "code"
        source = text.splitlines(keepends=True) if as_list else text
        cell: dict[str, Any] = {"cell_type": kind, "metadata": {}, "source": source}
        if ids:
            cell["id"] = f"c{number}"
        if kind == "code":
            cell |= {"outputs": [], "execution_count": None}
        found.append(cell)
    data = {
        "cells": found, "metadata": {"kernelspec": kernel}, "nbformat": 4,
        "nbformat_minor": 5 if ids else 4,
    }  # fmt: skip
    path = folder / name
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def sources(path: Path) -> list[str]:
    """The texts of a notebook's cells."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells]
