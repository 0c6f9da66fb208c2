"""`groundup train mnist` as a user runs it: from an installed wheel, in a process of its own."""

import csv
import json
import os
import signal
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from groundup import __version__
from groundup.runtime import target

ROOT = Path(__file__).parent.parent.parent
# Processors without fused multiply-adds call a function for each.
TIMES = 1 if target.host().fma else 10
FILES = ["confused.png", "history.csv", "training.png", "weights.safetensors"]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, install it into a fresh virtual environment, return its `groundup`.

    The wheel's dependencies come from the environment that runs the tests, by a .pth file; groundup
    itself does not: such a file adds a folder, and the .pth of an editable install in there is not
    followed.
    """
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT)]
    subprocess.run(build, check=True)
    (wheel,) = folder.glob("groundup-*.whl")
    venv.create(folder / "venv", with_pip=False)
    scripts = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    own = sysconfig.get_path("purelib", "venv", {"base": str(folder / "venv")})
    python = scripts / "python"
    subprocess.run([*pip, "--python", str(python), "install", "--no-deps", str(wheel)], check=True)
    dependencies = sysconfig.get_path("purelib")
    (Path(own) / "dependencies.pth").write_text(f"{dependencies}\n")
    where = "import groundup; print(groundup.__file__)"
    found = subprocess.run(
        [python, "-c", where],
        check=True, capture_output=True, text=True, cwd=folder, env=_environment(),
    )  # fmt: skip
    assert found.stdout.startswith(str(folder)), found.stdout
    return scripts / "groundup"


def _environment(**extra: str) -> dict[str, str]:
    """The environment without PYTHONPATH, which would bring the source in instead of the wheel."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | extra


def run(
    command: Path, folder: Path, *options: str, code: int = 0, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `groundup train mnist` in `folder`, without PYTHONPATH, and check its exit code."""
    done = subprocess.run(
        [command, "train", "mnist", *options],
        cwd=folder, env=_environment(**environment), timeout=240 * TIMES,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_a_short_run_leaves_everything_it_promises(command: Path, tmp_path: Path) -> None:
    done = run(command, tmp_path, "--model", "mlp", "--epochs", "1", "--json", "report.json")

    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("mnist-")
    assert sorted(p.name for p in folder.iterdir()) == FILES
    report = json.loads((tmp_path / "report.json").read_text())
    assert report | {"dataset": "mnist", "model": "mlp", "epochs": 1, "seed": 0} == report
    assert report["version"] == __version__ and report["parameters"] == 235_530
    assert report["threads"] >= 1
    assert 0.95 < report["test_accuracy"] < 1
    assert round(report["test_accuracy"] * 10_000) / 10_000 == report["test_accuracy"]
    assert 0 < report["train_seconds"] < report["total_seconds"]
    assert 0 < report["compile_seconds"] < report["total_seconds"]

    with (folder / "history.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert int(row["epoch"]) == 1 and int(row["step"]) == 430
    assert float(row["accuracy"]) > 0.95

    assert f"test accuracy {report['test_accuracy']:.2%}" in done.stdout
    assert str(folder.relative_to(tmp_path)) in done.stdout
    assert "\x1b" not in done.stdout  # no terminal, no control characters
    headings = [line for line in done.stdout.splitlines() if "train loss" in line]
    assert len(headings) == 1

    from safetensors.numpy import load_file

    weights = load_file(folder / "weights.safetensors")
    assert (
        sum(w.size for name, w in weights.items() if name.endswith(("weight", "bias"))) == 235_530
    )


def test_the_same_seed_gives_the_same_bytes_on_1_thread_and_on_2(
    command: Path, tmp_path: Path
) -> None:
    def weights(name: str, *options: str) -> bytes:
        run(command, tmp_path, "--model", "mlp", "--epochs", "1", "--out", name, *options)
        return (tmp_path / name / "weights.safetensors").read_bytes()

    one = weights("one", "--seed", "3", "--threads", "1")
    two = weights("two", "--seed", "3", "--threads", "2")
    other = weights("other", "--seed", "4", "--threads", "2")
    assert one == two != other


def test_two_that_start_at_once_and_a_damaged_cache_change_nothing(
    command: Path, tmp_path: Path
) -> None:
    """Both train with one cache that is empty when they start; the third finds each entry cut."""
    cache = tmp_path / "cache"
    own = _environment(GROUNDUP_CACHE=str(cache), PYTHONWARNINGS="error::UserWarning:groundup")

    def start(name: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [command, "train", "mnist", "--model", "mlp", "--epochs", "1", "--out", name],
            cwd=tmp_path, env=own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def weights(process: subprocess.Popen[str], name: str) -> bytes:
        text, _ = process.communicate(timeout=240 * TIMES)
        assert process.returncode == 0 and "Traceback" not in text, text
        return (tmp_path / name / "weights.safetensors").read_bytes()

    one, two = start("one"), start("two")
    expected = weights(one, "one")
    assert weights(two, "two") == expected
    entries = list(cache.glob("*.bin"))
    assert len(entries) > 10
    whole = {entry: entry.read_bytes() for entry in entries}
    for entry in entries:
        entry.write_bytes(whole[entry][: len(whole[entry]) // 2])
    assert weights(start("three"), "three") == expected
    assert {entry: entry.read_bytes() for entry in entries} == whole  # written anew


def test_ctrl_c_saves_what_was_trained(command: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        [command, "train", "mnist", "--model", "mlp", "--epochs", "50", "--out", "run"],
        cwd=tmp_path, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        for line in process.stdout:
            if line.split()[:1] == ["1"]:  # the row of the first epoch
                break
        process.send_signal(signal.SIGINT)
        errors = process.stderr.read()
        assert process.wait(60) == 130
    assert "is saved in run" in errors and "Traceback" not in errors
    left = sorted(p.name for p in (tmp_path / "run").iterdir())
    assert left == ["history.csv", "training.png", "weights.safetensors"]

    from safetensors.numpy import load_file

    assert len(load_file(tmp_path / "run" / "weights.safetensors")) > 0


def test_a_nan_loss_stops_with_the_step_and_the_operation(command: Path, tmp_path: Path) -> None:
    options = ["--model", "mlp", "--epochs", "1", "--lr", "1e30", "--out", "run"]
    done = run(command, tmp_path, *options, code=1)
    assert "the loss became" in done.stderr and "at step" in done.stderr
    assert "The first cause" in done.stderr and "is saved in run" in done.stderr

    import numpy as np
    from safetensors.numpy import load_file

    weights = load_file(tmp_path / "run" / "weights.safetensors")
    assert all(np.isfinite(w).all() for w in weights.values())


def test_a_truncated_data_file_is_named(command: Path, tmp_path: Path) -> None:
    (file,) = command.parent.parent.rglob("mnist.xz")
    content = file.read_bytes()
    try:
        file.write_bytes(content[:1_000_000])
        done = run(command, tmp_path, "--out", "run", code=1)
    finally:
        file.write_bytes(content)
    assert "mnist.xz is truncated" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_wrong_options_end_with_code_2(command: Path, tmp_path: Path) -> None:
    done = run(command, tmp_path, "--lr", "-1", code=2)
    assert "positive" in done.stderr


def accepted(command: Path, folder: Path, model: str, seed: int) -> dict[str, float]:
    """Run with the defaults of `model` and an empty kernel cache; return the report."""
    cache = folder / "cache"
    cache.mkdir(mode=0o700)
    options = ["--model", model, "--seed", str(seed), "--json", "report.json"]
    run(command, folder, *options, GROUNDUP_CACHE=str(cache))
    report: dict[str, float] = json.loads((folder / "report.json").read_text())
    return report


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3, 4))]
)
def test_the_main_job(command: Path, tmp_path: Path, seed: int) -> None:
    """The default model reaches 99.2% in under 60 s for the whole process, compilation included."""
    report = accepted(command, tmp_path, "cnn", seed)
    assert report["test_accuracy"] >= 0.992
    assert report["total_seconds"] < 60 * TIMES


def test_the_mlp_reaches_98_percent(command: Path, tmp_path: Path) -> None:
    assert accepted(command, tmp_path, "mlp", 0)["test_accuracy"] >= 0.98
