"""`groundup tune`: it runs a program as Python would, keeps winners, and says what cannot be."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundup.schedule import trials, winners

from .conftest import Command

EXECUTE = sys.modules["groundup.schedule.execute"]
PROGRAM = """
import sys
from pathlib import Path

import groundup as gu
import helper
from groundup import nn

assert __name__ == "__main__"
gu.manual_seed(0)
model = nn.Sequential(nn.Linear(70, 90), nn.ReLU(), nn.Linear(90, 33))
step = gu.jit(lambda x: model(x))
results = [step(gu.ones(16, 70)).tolist() for _ in range(3)]
Path(sys.argv[1]).write_text(repr((sys.argv[2:], helper.NAME, results)))
"""


@pytest.fixture(autouse=True)
def place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept_threads: None
) -> Iterator[Path]:
    """A folder with a program, and a cache of its own."""
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(EXECUTE, "_plans", {})
    winners._tables.clear()
    (tmp_path / "helper.py").write_text("NAME = 'beside'")
    (tmp_path / "program.py").write_text(PROGRAM)
    yield tmp_path
    winners._tables.clear()


@pytest.fixture
def run(command: Command) -> Command:
    """Runs `groundup tune`."""
    return functools.partial(command, "tune")


def problems(said: str) -> int:
    """How many it tuned: of two products, each with the copy that its best way may ask for."""
    found = re.search(r"(\d+) problems", said)
    return int(found[1]) if found else 0


def test_a_program_is_run_with_its_arguments_and_its_results_keep_every_bit(
    place: Path, run: Command
) -> None:
    code, said = run("--threads", 1, place / "program.py", place / "one", "--epochs", "3")
    assert code == 0, said
    assert 2 <= problems(said) <= 4 and "1 threads" in said
    before = (place / "one").read_text()
    assert before.startswith("(['--epochs', '3'], 'beside', [[[")
    # Whatever wins, and did it or not: the last candidate of each problem.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EXECUTE, "_plans", {})
        patch.setattr(trials, "_fastest", lambda ways: (len(ways) - 1, (2.0, 1.0)))
        code, said = run("--threads", 1, place / "program.py", place / "two", "--epochs", "3")
        count = problems(said)
        assert code == 0 and f"{count} with a winner" in said and "2.00×" in said
    assert len(winners.table()) >= count >= 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EXECUTE, "_plans", {})
        assert run(place / "program.py", place / "three", "--epochs", "3")[0] == 0
    assert before == (place / "two").read_text() == (place / "three").read_text()
    code, said = run("--forget")
    assert code == 0 and "Forgot" in said
    assert winners.table() == {}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["nosuch.py"], "nosuch.py does not exist: give a Python file"),
        (["."], "is a folder, not a program"),
        ([], "give a Python program"),
        (["--forget", "program.py"], "takes no program"),
        (["--limit", "0", "program.py"], "a limit is a positive number of seconds, not 0"),
        (["--limit", "nan", "program.py"], "a limit is a positive number of seconds, not nan"),
        (["--threads", "0", "program.py"], "greater than or equal to 1"),
    ],
)
def test_wrong_input_is_said(args: list[str], words: str, run: Command) -> None:
    code, said = run(*args)
    assert code == 2 and words in said.replace("│ ", "").replace(" │", "")


def test_a_program_without_contractions_is_said(place: Path, run: Command) -> None:
    (place / "program.py").write_text("print(1 + 1)")
    code, said = run(place / "program.py")
    assert code == 2 and "no sum of products" in said and "nothing to tune" in said
    (place / "program.py").write_text("1 / 0")
    code, said = run(place / "program.py")
    assert code == 2 and "before it failed" in said


@pytest.mark.parametrize("end", ["raise RuntimeError('late')", "sys.exit(3)", "x ="])
def test_what_a_failing_program_met_is_tuned(
    place: Path, end: str, capfd: pytest.CaptureFixture[str], run: Command
) -> None:
    (place / "program.py").write_text(PROGRAM + end)
    code, said = run("--threads", 1, place / "program.py", place / "one")
    if end == "x =":  # it did not begin
        assert code == 2 and "nothing to tune" in said
        return
    assert code == 1 and problems(said) >= 2
    if "RuntimeError" in end:
        trace = said + capfd.readouterr().err
        assert "RuntimeError: late" in trace and "runpy" not in trace


def test_a_program_that_ends_well_early_is_fine(place: Path, run: Command) -> None:
    (place / "program.py").write_text(PROGRAM + "sys.exit(0)")
    assert run("--threads", 1, place / "program.py", place / "one")[0] == 0


def test_an_interrupted_program_is_tuned_as_far_as_it_came(place: Path, run: Command) -> None:
    (place / "program.py").write_text(PROGRAM + "raise KeyboardInterrupt")
    code, said = run("--threads", 1, place / "program.py", place / "one")
    assert code == 0 and "Interrupted the program" in said and problems(said) >= 2


def test_interrupted_tuning_keeps_what_was_won(
    place: Path, monkeypatch: pytest.MonkeyPatch, run: Command
) -> None:
    calls = iter(range(9))

    def fastest(ways: list[object]) -> tuple[int, tuple[float, float]]:
        if next(calls):
            raise KeyboardInterrupt
        return len(ways) - 1, (2.0, 1.0)

    monkeypatch.setattr(trials, "_fastest", fastest)
    code, said = run("--threads", 1, place / "program.py", place / "one")
    assert code == 130 and "what was won so far is kept" in said
    winners._tables.clear()
    assert len(winners.table()) == 1


def test_a_limit_leaves_problems_over(place: Path, run: Command) -> None:
    code, said = run("--limit", "1e-9", "--threads", 1, place / "program.py", place / "one")
    assert code == 0 and "2 contractions were left over after --limit 1e-09 seconds" in said


@pytest.mark.parametrize("what", ["off", "unwritable", "lost"])
def test_a_cache_that_cannot_keep_winners_is_said(
    place: Path, monkeypatch: pytest.MonkeyPatch, what: str, run: Command
) -> None:
    if what == "off":
        monkeypatch.setenv("GROUNDUP_CACHE", "off")
        assert run("--forget") == (2, "Error: there is no kernel cache, so there are no winners")
    elif what == "unwritable":
        monkeypatch.setattr(os, "access", lambda path, mode: os.path.isfile(path))
    else:
        monkeypatch.setattr(trials, "_fastest", lambda ways: (len(ways) - 1, (2.0, 1.0)))

        def keep(new: dict[str, str]) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(winners, "keep", keep)
    code, said = run("--threads", 1, place / "program.py", place / "one")
    words = {"off": "to keep winners in", "unwritable": "no winner could be kept"}
    assert code == 2 and words.get(what, "cannot keep a winner: [Errno 28] No space") in said
    assert (place / "one").exists() is (what == "lost")
