"""`groundup nb test`: fresh kernels in parallel, the first failing cell, and what cannot be run."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from groundup.cli.app import app
from groundup.notebook import files, report, run

from .conftest import Make, write

LEFT_OUT = ("#| skip\n1/0", "#| eval: false\n1/0", "#| slow\nopen('slow', 'w').close()",
            "import os; assert os.environ['IN_TEST'] == '1'; open('ran', 'w').close()", "")


def command(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["nb", *map(str, words)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str, Path]:
    """One run of notebooks that pass and fail, each in its way."""
    folder = tmp_path_factory.mktemp("notebooks")
    write("00_fine.ipynb", *LEFT_OUT, folder=folder)
    write("01_fails.ipynb", "MD text", "def h(x):\n    y = x\n    return y / 0",
          "#| note: 1\nz = 1\nh(3)", "open('after', 'w').close()", folder=folder)
    write("02_kernel.ipynb", "1", kernel={"name": "julia-1.9", "display_name": "J"}, folder=folder)
    write("03_never.ipynb", "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
          "while True: time.sleep(0.1)", folder=folder)
    write("04_dies.ipynb", "import os", "os._exit(3)", folder=folder)
    (folder / "05_broken.ipynb").write_text("{")
    status, said = command("test", folder, "--jobs", 4, "--timeout", 5, "--junit",
                           folder / "report.xml", "--save", folder / "out")  # fmt: skip
    return status, said.replace(f"{folder}/", ""), folder


def test_what_is_said(ran: tuple[int, str, Path]) -> None:
    status, said, folder = ran
    assert status == 1
    said = re.sub(r" \([\d.]+ s\)", "", said)
    assert "ok    00_fine.ipynb: 1 cells, 3 left out\n" in said
    assert (
        "FAIL  01_fails.ipynb: cell 3, line 3\n      > h(3)\n"
        "        raised in cell 2, line 3: return y / 0\n"
        "      ZeroDivisionError: division by zero\n"
    ) in said
    assert "02_kernel.ipynb: cannot be run\n      the kernel 'julia-1.9' that" in said
    assert "03_never.ipynb: cell 1\n" in said and "did not end within 5 s (--timeout)" in said
    assert "04_dies.ipynb: cell 2\n      the kernel died" in said
    assert "05_broken.ipynb: cannot be run\n      05_broken.ipynb is broken: " in said
    assert "1 passed, 5 failed in " in said


def test_cells_run_in_the_notebooks_folder_up_to_the_first_failure(
    ran: tuple[int, str, Path],
) -> None:
    folder = ran[2]
    assert (folder / "ran").exists()
    assert not (folder / "slow").exists() and not (folder / "after").exists()
    saved = files.read(folder / "out" / "01_fails.ipynb")
    assert saved.cells[2].data["outputs"][0]["ename"] == "ZeroDivisionError"
    assert files.read(folder / "01_fails.ipynb").cells[2].data["outputs"] == []


def test_the_report_for_ci(ran: tuple[int, str, Path]) -> None:
    suite = ElementTree.parse(ran[2] / "report.xml").getroot()[0]
    assert suite.get("tests") == "6" and suite.get("failures") == "5"
    cases = {case.get("name"): case.find("failure") for case in suite}
    assert cases["00_fine.ipynb"] is None
    failure = cases["01_fails.ipynb"]
    assert failure is not None and failure.text is not None
    assert failure.get("message") == "cell 3, line 3: ZeroDivisionError: division by zero"
    assert "return y / 0" in failure.text


def test_a_notebook_can_run_notebooks(make: Make) -> None:
    make("00_inner.ipynb", "1 / 0")

    async def cell() -> list[run.Result]:
        return run.test(["00_inner.ipynb"])

    (result,) = asyncio.run(cell())
    assert result.failure is not None and "ZeroDivisionError" in result.failure.error


def test_only_a_tag_runs_slow_cells_of_it(make: Make) -> None:
    make("00_fine.ipynb", *LEFT_OUT)
    make("01_other.ipynb", "1/0")
    status, said = command("test", "--only", "slow")
    assert status == 0 and "2 cells, 2 left out" in said and "1 passed, 0 failed" in said
    assert Path("slow").exists()


def test_wrong_use_has_status_2(make: Make) -> None:
    for words, text in [
        (["test", "x.ipynb"], "there is no file x.ipynb"),
        (["export"], "name notebooks, or give --all"),
        (["clean", "x.ipynb"], "there is no file"),
        (["hooks"], "not a git repository"),
    ]:
        status, said = command(*words)
        assert status == 2 and text in " ".join(said.split())
    make("a.ipynb", "1")
    Path("inner").mkdir()
    make("a.ipynb", "1", folder=Path("inner"))
    status, said = command("test", "a.ipynb", "inner", "--save", "out")
    assert status == 2 and "two notebooks are called a.ipynb" in said
    status, said = command("test", "--only", "gpu")
    assert status == 2 and "no notebook has a cell with the tag 'gpu'" in said


def test_export_and_sync_say_what_they_did(make: Make) -> None:
    make("00_core.ipynb", "#export\nx = 1")
    assert command("export", "--all") == (0, "00_core.ipynb → exp/core.py (written)\n")
    assert command("export", "00_core.ipynb") == (0, "00_core.ipynb → exp/core.py (unchanged)\n")
    assert command("sync")[1] == "no module has edits that its notebook does not hold\n"
    module = Path("exp/core.py")
    module.write_text(module.read_text().replace("x = 1", "x = 2"))
    assert command("export", "--all")[0] == 2
    assert command("sync") == (0, "exp/core.py → 00_core.ipynb, cell 1\n")
    assert command("clean", "--check")[0] == 0


def test_without_nbclient_the_way_is_said(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    make("a.ipynb", "1")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    status, said = command("test")
    assert status == 2 and "pip install 'groundup[notebook]'" in said


def test_a_report_is_short_and_clean(tmp_path: Path) -> None:
    failure = run.Failure(1, 2, "x", "\n".join(f"line {i}\x00" for i in range(30)))
    text = report.indented(failure)
    assert len(text.splitlines()) == 22 and text.endswith("… and 10 lines more")
    result = run.Result(Path("a.ipynb"), 1.0, 0, 0, failure)
    report.write_junit([result], 1.0, tmp_path / "report.xml")
    assert "line 0?" in (tmp_path / "report.xml").read_text(encoding="utf-8")
