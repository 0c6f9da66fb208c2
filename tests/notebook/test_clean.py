"""`groundup nb clean` and `hooks`: what only makes noise does not reach a history."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from groundup.notebook import NotebookError, clean, hooks
from groundup.notebook.clean import cleaned
from groundup.notebook.files import parse

from .conftest import Make, sources

NOISY: dict[str, Any] = {
    "cells": [
        {
            "cell_type": "code", "execution_count": 7, "source": ["x\n", "ä"],
            "metadata": {"ExecuteTime": {"a": 1}, "collapsed": True, "tags": ["keep"]},
            "outputs": [{"output_type": "stream", "name": "stdout", "text": "hi"}],
        },
        {
            "cell_type": "markdown", "id": "m1", "source": "text", "attachments": {"a": {}},
            "metadata": {"id": "colab", "tags": []},
        },
    ],
    "metadata": {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "env": "/home/me"},
        "language_info": {"name": "python", "version": "3.11.4"}, "widgets": {"big": 1},
        "vscode": {"x": 1}, "title": "Mine",
    },
    "nbformat": 4, "nbformat_minor": 5,
}  # fmt: skip


def test_noise_goes_and_the_rest_stays(make: Make) -> None:
    path = Path("a.ipynb")
    path.write_text(json.dumps(NOISY))
    path.chmod(0o640)
    assert clean() == [path]
    data = json.loads(path.read_text())
    code, text = data["cells"]
    assert code["outputs"] == [] and code["execution_count"] is None
    assert code["metadata"] == {"tags": ["keep"]} and code["source"] == ["x\n", "ä"]
    assert len(code["id"]) == 8 and text["id"] == "m1"
    assert text["metadata"] == {} and text["attachments"] == {"a": {}} and text["source"] == "text"
    assert data["metadata"] == {
        "kernelspec": {"name": "python3", "display_name": "Python 3"},
        "language_info": {"name": "python"}, "title": "Mine",
    }  # fmt: skip
    assert "ä" in path.read_text(encoding="utf-8") and path.stat().st_mode & 0o777 == 0o640
    assert clean() == []
    once = parse(path.read_bytes(), "a")
    assert cleaned(once).text() == path.read_text(encoding="utf-8")


def test_checking_changes_nothing_and_one_broken_notebook_stops_all(make: Make) -> None:
    path = Path("a.ipynb")
    path.write_text(json.dumps(NOISY))
    before = path.read_bytes()
    assert clean(check=True) == [path] and path.read_bytes() == before
    Path("b.ipynb").write_text("{")
    with pytest.raises(NotebookError, match="b.ipynb is broken"):
        clean()
    assert path.read_bytes() == before


def git(*words: str) -> str:
    done = subprocess.run(["git", *words], capture_output=True, text=True, check=True)
    return done.stdout


def test_git_cleans_what_is_added(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotebookError, match="not a git repository"):
        hooks()
    root = Path(sys.modules["groundup"].__file__ or "").parents[1]
    monkeypatch.setenv("PYTHONPATH", str(root))
    git("init", "-q")
    Path(".git/info/attributes").write_text("*.bin binary")
    assert "git cleans the notebooks" in hooks()
    hooks()  # twice is once
    attributes = Path(".git/info/attributes").read_text()
    assert attributes == "*.bin binary\n*.ipynb filter=groundup-nb\n"
    path = Path("a.ipynb")
    path.write_text(json.dumps(NOISY))
    git("add", "a.ipynb")
    added = json.loads(git("show", ":a.ipynb"))
    assert added["cells"][0]["outputs"] == [] and sources(path)[0] == "x\nä"
    assert json.loads(path.read_text())["cells"][0]["outputs"]  # the file keeps its own
    Path("b.ipynb").write_text("{")
    failed = subprocess.run(["git", "add", "b.ipynb"], capture_output=True, text=True)
    assert failed.returncode and "is broken" in failed.stderr
    assert "as they are" in hooks(remove=True)
    assert Path(".git/info/attributes").read_text() == "*.bin binary\n"
    git("add", "b.ipynb")
