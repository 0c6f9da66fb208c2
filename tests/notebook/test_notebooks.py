"""The notebooks of the course: clean, and their package does what the library does. (Continuous
integration runs them, too: `groundup nb test notebooks`.)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import groundup as gu
from groundup.notebook import clean, export
from groundup.testing import test_near as near

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
PLAY = """
import groundup as gu
from groundup import game

game.start(allowed=["01", "02", "03", "04"])  # what these notebooks have unlocked
gu.manual_seed(0)
from exp.training_loop import main

print(main(epochs=4))
"""


def test_they_are_clean() -> None:
    assert clean([NOTEBOOKS], check=True) == []


def test_their_package_does_what_the_library_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in NOTEBOOKS.glob("*.ipynb"):
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    made = {m.module.stem for m in export()}
    assert made >= {"core", "matmul"}
    try:
        core, matmul = import_module("exp.core"), import_module("exp.matmul")
        assert core.shown(0.0125) == "12.5 ms" and core.timed(lambda: None, 0.001) >= 0
        assert matmul.__all__ == ["einsum", "matmul", "norm", "sum"]
        a, b = gu.randn(3, 4, 5), gu.randn(5, 2)
        near(matmul.matmul(a, b), a @ b, atol=1e-5)
        near(matmul.einsum("bik,kj->bij", a, b), a @ b, atol=1e-5)
        near(matmul.norm(b), b.norm())
        near(matmul.sum(a, 1), a.sum(1), atol=1e-5)
    finally:
        for name in [n for n in sys.modules if n.partition(".")[0] == "exp"]:
            del sys.modules[name]


def test_their_package_learns_to_read_digits_by_the_rules(tmp_path: Path) -> None:
    for path in NOTEBOOKS.glob("*.ipynb"):
        shutil.copy(path, tmp_path)
    export(sorted(tmp_path.glob("*.ipynb")))
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", PLAY], capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.splitlines()[-1]) >= 0.96, done.stdout
