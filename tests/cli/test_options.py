"""Wrong options: said clearly, with exit code 2, no traceback, and before anything is made."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from groundup import __version__
from groundup.cli import train
from groundup.cli.app import app

RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["minst"], ["unknown data set 'minst'", "known: mnist", "Did you mean 'mnist'?"]),
        (["mnist", "--model", "cn"], ["--model", "unknown model 'cn'", "known: cnn, mlp"]),
        (["mnist", "--epochs", "0"], ["--epochs", "greater than or equal to 1"]),
        (["mnist", "--epochs", "two"], ["--epochs", "integer"]),
        (["mnist", "--lr", "-0.1"], ["--lr", "a learning rate is a positive number, not -0.1"]),
        (["mnist", "--lr", "0"], ["--lr", "positive"]),
        (["mnist", "--lr", "nan"], ["--lr", "positive"]),
        (["mnist", "--lr", "inf"], ["--lr", "positive"]),
        (["mnist", "--batch-size", "0"], ["--batch-size", "at least 1"]),
        (["mnist", "--batch-size", "-5"], ["--batch-size", "at least 1"]),
        (["mnist", "--batch-size", "55001"], ["--batch-size", "there are 55000 items"]),
        (["mnist", "--seed", "-1"], ["--seed", "greater than or equal to 0"]),
        (["mnist", "--threads", "0"], ["--threads", "greater than or equal to 1"]),
        (["mnist", "--json", "nowhere/report.json"], ["--json", "there is no folder nowhere"]),
        (["mnist", "--json", "."], ["--json", "is a folder"]),
        (["mnist", "--json", "run", "--out", "run"], ["--json", "run is to be the folder"]),
        (["mnist", "--colour", "red"], ["--colour"]),
        ([], ["Missing argument", "dataset"]),
    ],
)
def test_wrong_options(arguments: list[str], words: list[str], tmp_path: Path) -> None:
    result = RUNNER.invoke(app, ["train", *arguments])
    assert result.exit_code == 2, result.output
    for word in words:
        assert word in result.output
    assert "Traceback" not in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_refused_and_left_alone(tmp_path: Path) -> None:
    used = tmp_path / "used"
    used.mkdir()
    (used / "weights.safetensors").write_bytes(b"precious")
    result = RUNNER.invoke(app, ["train", "mnist", "--out", str(used)])
    assert result.exit_code == 2
    assert "is not empty, and a run is never overwritten" in result.output.replace("\n", " ")
    assert (used / "weights.safetensors").read_bytes() == b"precious"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that nobody can write to")
def test_a_folder_that_cannot_be_written() -> None:
    result = RUNNER.invoke(app, ["train", "mnist", "--out", "/proc/run"])
    assert result.exit_code == 2
    assert "--out" in result.output and "/proc/run" in result.output


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that nobody can write to")
def test_a_report_that_cannot_be_written_is_refused_before_the_training(tmp_path: Path) -> None:
    """Permissions alone do not tell: they do not bind the administrator."""
    result = RUNNER.invoke(app, ["train", "mnist", "--json", "/proc/report.json"])
    assert result.exit_code == 2
    assert "--json" in result.output and "cannot write into the folder /proc" in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_disk_with_too_little_room_is_refused_before_the_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    full = shutil.disk_usage(".")._replace(free=65_536)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    result = RUNNER.invoke(app, ["train", "mnist", "--out", "run"])
    assert result.exit_code == 2
    words = " ".join(result.output.split())
    assert "the disk of run is full" in words and "65,536 are free" in words


def test_ctrl_c_before_the_training_says_that_nothing_was_saved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(options: train.Options) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "train_and_save", interrupted)
    result = RUNNER.invoke(app, ["train", "mnist"])
    assert result.exit_code == 130
    assert "Interrupted: nothing was saved." in result.output


def test_the_version() -> None:
    result = RUNNER.invoke(app, ["--version"])
    assert result.exit_code == 0 and result.output == f"groundup {__version__}\n"


def test_help_names_every_option() -> None:
    result = RUNNER.invoke(app, ["train", "--help"])
    for name in ("model", "epochs", "lr", "batch-size", "seed", "threads", "out", "json"):
        assert f"--{name}" in result.output
