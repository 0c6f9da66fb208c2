"""`groundup explain`: it runs a program as Python would, shows a name, and says what cannot be."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import groundup as gu
from groundup.glass import peak

from .conftest import Command

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
def place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept_threads: None
) -> Iterator[Path]:
    """A folder with a program; a roofline that need not be measured."""
    monkeypatch.setattr(peak, "flops", lambda *_: 1e18)
    monkeypatch.setattr(peak, "_bandwidth", lambda *_: peak.Bandwidth(1e18, 1e18, 1e18))
    (tmp_path / "explained_helper.py").write_text("")
    (tmp_path / "program.py").write_text(PROGRAM)
    yield tmp_path
    sys.modules.pop("explained_helper", None)


@pytest.fixture
def run(command: Command) -> Command:
    """Runs `groundup explain`."""
    return functools.partial(command, "explain")


def test_a_tensor_is_shown(place: Path, run: Command) -> None:
    code, said = run(f"{place}/program.py:y")
    assert code == 0
    for part in ("# program.py:9: y =", "acc += A[i, k] * B[k, j]", "GFLOP/s", "of the roofline"):
        assert part in said
    assert "define" not in said
    code, said = run(f"{place}/program.py:y", "--machine", "--threads", 1)
    assert code == 0 and "define void @kernel" in said and gu.get_num_threads() == 1


def test_a_captured_function_and_an_attribute_are_shown(place: Path, run: Command) -> None:
    code, said = run(f"{place}/program.py:step")
    assert code == 0 and "batch(=40)" in said and "kernel 0" in said
    code, said = run(f"{place}/program.py:box.inside")
    assert code == 0 and "* 2.0" in said


def test_a_page_is_written(place: Path, run: Command) -> None:
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
    ("program.py:STEP", "did you mean step?"),
    ("program.py:box.insid", "has no insid; did you mean inside?"),
    ("program.py:quite_other", "functions of gu.jit are: a, b, done, never, step, y"),
    ("program.py:box.outside", "box of program.py, a Box, has no outside"),
    ("program.py:plain", "step = gu.jit(step)"),
    ("program.py:i", "is of type Axis"),
    ("program.py:done", "has been computed, so what it was computed from is forgotten"),
    ("program.py:never", "has not been called yet"),
])  # fmt: skip
def test_errors_teach(
    place: Path, monkeypatch: pytest.MonkeyPatch, run: Command, target: str, word: str
) -> None:
    monkeypatch.chdir(place)
    code, said = run(target)
    assert code == 2 and word in said and said.startswith("Error: ")


def test_a_page_that_cannot_be_written(place: Path, run: Command) -> None:
    code, said = run(f"{place}/program.py:y", "--html", place / "no" / "page.html")
    assert code == 2 and "there is no folder" in said
    code, said = run(f"{place}/program.py:y", "--html", place)
    assert code == 2 and "is a folder" in said


def test_nothing_but_a_page_is_written_over(place: Path, run: Command) -> None:
    program = place / "program.py"
    for precious in (program, place / "notes.txt"):
        if precious is not program:
            precious.write_text("precious")
        before = precious.read_bytes()
        code, said = run(f"{program}:y", "--html", precious)
        assert code == 2 and "is no page of groundup explain" in said
        assert precious.read_bytes() == before
    page = place / "page.html"
    page.touch()  # an empty file, as mktemp makes them
    assert run(f"{program}:y", "--html", page)[0] == 0
    first = page.read_bytes()
    assert run(f"{program}:step", "--html", page)[0] == 0 and page.read_bytes() != first


def test_a_place_that_may_not_be_written_is_named_before_the_program_runs(
    place: Path, run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "program.py").write_text("raise AssertionError('it ran')")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    code, said = run(f"{place}/program.py:y", "--html", place / "page.html")
    assert code == 2 and "is not for you to write to" in said
    monkeypatch.undo()

    page = place / "page.html"
    page.touch()

    def refuse(self: Path, mode: str) -> object:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    code, said = run(f"{place}/program.py:y", "--html", page)
    assert code == 2 and "cannot write" in said and "Permission denied" in said


def test_a_program_that_fails_shows_its_own_traceback(place: Path, run: Command) -> None:
    (place / "broken.py").write_text("def f():\n    return 1 / 0\nf()\n")
    code, said = run(f"{place}/broken.py:f")
    assert code == 2 and "failed, so there is nothing to explain" in said
    (place / "ended.py").write_text("import sys\nsys.exit(3)\n")
    code, said = run(f"{place}/ended.py:f")
    assert code == 2 and "exit code 3" in said
    (place / "wrong.py").write_text("x = 1 +\n")
    code, said = run(f"{place}/wrong.py:x")
    assert code == 2 and "failed, so there is nothing to explain" in said
    own = {**os.environ, "PYTHONPATH": str(Path(gu.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-m", "groundup", "explain", f"{place}/broken.py:f"],
        capture_output=True, text=True, env=own, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "ZeroDivisionError" in done.stderr and "cli/explain.py" not in done.stderr
    done = subprocess.run(
        [sys.executable, "-m", "groundup", "explain", f"{place}/wrong.py:x"],
        capture_output=True, text=True, env=own, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "x = 1 +" in done.stderr and "SyntaxError" in done.stderr
    assert "cli/explain.py" not in done.stderr


def test_what_was_main_is_so_again(place: Path, run: Command) -> None:
    before = sys.modules["__main__"], list(sys.argv), list(sys.path)
    run(f"{place}/program.py:y")
    assert (sys.modules["__main__"], sys.argv, sys.path) == before
