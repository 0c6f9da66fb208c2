"""`groundup explain`: it runs a program as Python would, shows a name, and says what cannot be."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import groundup as gu
from groundup.cli.app import app
from groundup.glass import peak

PROGRAM = """
import sys
import groundup as gu
import explained_helper

assert __name__ == "__main__" and sys.argv[1:] == []
i, j, k = gu.axes("i j k")
a, b = gu.ones(40, 30).realize(), gu.ones(30, 20).realize()
y = (a[i, k] * b[k, j]).sum(k).order(i, j)  # the product
step = gu.jit(lambda x: (x @ b).relu())
never = gu.jit(lambda x: x + 1)
step(a)
done = (a + 1).realize()

def plain(x):
    return x

class Box:
    inside = y * 2

box = Box()
sys.exit(0)
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a program; a roofline that need not be measured."""
    monkeypatch.setattr(peak, "flops", lambda *_: 1e18)
    monkeypatch.setattr(peak, "_bandwidth", lambda *_: peak.Bandwidth(1e18, 1e18, 1e18))
    (tmp_path / "explained_helper.py").write_text("")
    (tmp_path / "program.py").write_text(PROGRAM)
    threads = gu.get_num_threads()
    yield tmp_path
    gu.set_num_threads(threads)
    sys.modules.pop("explained_helper", None)


def run(*args: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["explain", *map(str, args)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, " ".join(result.output.split())


def test_a_tensor_is_shown(place: Path) -> None:
    code, said = run(f"{place}/program.py:y")
    assert code == 0
    for part in ("# program.py:9: y =", "acc += A[i, k] * B[k, j]", "GFLOP/s", "of the roofline"):
        assert part in said
    assert "define" not in said
    code, said = run(f"{place}/program.py:y", "--machine", "--threads", 1)
    assert code == 0 and "define void @kernel" in said and gu.get_num_threads() == 1


def test_a_captured_function_and_an_attribute_are_shown(place: Path) -> None:
    code, said = run(f"{place}/program.py:step")
    assert code == 0 and "batch(=40)" in said and "kernel 0" in said
    code, said = run(f"{place}/program.py:box.inside")
    assert code == 0 and "* 2.0" in said


def test_a_page_is_written(place: Path) -> None:
    page = place / "page.html"
    code, said = run(f"{place}/program.py:y", "--html", page)
    assert code == 0 and "page.html" in said
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>") and 'data-axis="k"' in text


@pytest.mark.parametrize(("target", "word"), [
    ("program.py", "has no name: give FILE.py:NAME"),
    ("program.py:", "has no name"),
    (":y", "has no name"),
    ("program.py:y z", "is not a name"),
    ("nothing.py:y", "nothing.py does not exist"),
    (":y", "give FILE.py:NAME"),
    ("program.py:yy", "has no name yy; did you mean y?"),
    ("program.py:quite_other", "functions of gu.jit are: a, b, done, never, step, y"),
    ("program.py:box.outside", "box of program.py, a Box, has no outside"),
    ("program.py:plain", "step = gu.jit(step)"),
    ("program.py:i", "is of type Axis"),
    ("program.py:done", "has been computed, so what it was computed from is forgotten"),
    ("program.py:never", "has not been called yet"),
])  # fmt: skip
def test_errors_teach(place: Path, monkeypatch: pytest.MonkeyPatch, target: str, word: str) -> None:
    monkeypatch.chdir(place)
    code, said = run(target)
    assert code == 2 and word in said and said.startswith("Error: ")


def test_a_page_that_cannot_be_written(place: Path) -> None:
    code, said = run(f"{place}/program.py:y", "--html", place / "no" / "page.html")
    assert code == 2 and "there is no folder" in said
    code, said = run(f"{place}/program.py:y", "--html", place)
    assert code == 2 and "is a folder" in said


def test_a_program_that_fails_shows_its_own_traceback(place: Path) -> None:
    (place / "broken.py").write_text("def f():\n    return 1 / 0\nf()\n")
    code, said = run(f"{place}/broken.py:f")
    assert code == 2 and "failed, so there is nothing to explain" in said
    (place / "ended.py").write_text("import sys\nsys.exit(3)\n")
    code, said = run(f"{place}/ended.py:f")
    assert code == 2 and "exit code 3" in said
    own = {**os.environ, "PYTHONPATH": str(Path(gu.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-m", "groundup", "explain", f"{place}/broken.py:f"],
        capture_output=True, text=True, env=own, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "ZeroDivisionError" in done.stderr and "cli/explain.py" not in done.stderr


def test_what_was_main_is_so_again(place: Path) -> None:
    before = sys.modules["__main__"], list(sys.argv), list(sys.path)
    run(f"{place}/program.py:y")
    assert (sys.modules["__main__"], sys.argv, sys.path) == before
