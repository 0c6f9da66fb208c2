"""Files: whole or absent, never overwritten, the same bytes for the same weights."""

import errno
import os
import time
from pathlib import Path

import pytest

import groundup as gu
from groundup import nn
from groundup.train import SaveError, load_weights, new_run_folder, save_weights, write_whole


def test_writing_replaces_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"one")
    write_whole(path, b"second")
    assert path.read_bytes() == b"second"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.name != "posix", reason="modes are a POSIX notion")
def test_a_written_file_has_the_usual_mode(tmp_path: Path) -> None:
    plain, ours = tmp_path / "plain", tmp_path / "ours"
    plain.write_bytes(b"")
    write_whole(ours, b"")
    assert ours.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_full_disk_leaves_the_file_before_intact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    path = tmp_path / "weights.safetensors"
    write_whole(path, b"precious")

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, fails, full)
    with pytest.raises(SaveError, match=r"disk is full: 9 bytes are needed, [\d,]+ are free"):
        write_whole(path, b"new bytes")
    monkeypatch.undo()
    assert path.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_device_that_is_really_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The write itself fails: the temporary file is opened on /dev/full."""
    import tempfile

    real = tempfile.mkstemp

    def onto_full(**named: str) -> tuple[int, str]:
        number, name = real(**named)
        os.close(number)
        return os.open("/dev/full", os.O_WRONLY), name

    monkeypatch.setattr(tempfile, "mkstemp", onto_full)
    with pytest.raises(SaveError, match="disk is full"):
        write_whole(tmp_path / "file", b"x" * 100_000)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SaveError, match="cannot save .*nowhere.*No such file"):
        write_whole(tmp_path / "nowhere" / "file", b"")


def model(seed: int) -> nn.Module:
    gu.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))


def test_weights_come_back_and_are_the_same_bytes(tmp_path: Path) -> None:
    one, two = tmp_path / "1.safetensors", tmp_path / "2.safetensors"
    save_weights(model(7), one)
    save_weights(model(7), two)
    assert one.read_bytes() == two.read_bytes()

    other = model(8)
    assert other[0].weight.tolist() != model(7)[0].weight.tolist()
    load_weights(other, one)
    wanted = {name: t.tolist() for name, t in model(7).state_dict().items()}
    assert {name: t.tolist() for name, t in other.state_dict().items()} == wanted


def test_the_format_is_safetensors(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    path = tmp_path / "weights.safetensors"
    save_weights(model(7), path)
    arrays = load_file(path)
    assert arrays["3.weight"].shape == (3, 8)
    assert arrays["3.weight"].tolist() == model(7)[3].weight.tolist()


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights(nn.Linear(2, 3), path)
    with pytest.raises((ValueError, KeyError, RuntimeError), match="weight"):
        load_weights(nn.Linear(2, 4), path)


def test_runs_of_one_second_get_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "strftime", lambda pattern: "20260102-030405")
    names = [str(new_run_folder("mnist")) for _ in range(3)]
    first = str(Path("runs") / "mnist-20260102-030405")
    assert names == [first, f"{first}-2", f"{first}-3"]
    assert all(Path(name).is_dir() for name in names)


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    assert new_run_folder("mnist", tmp_path / "a" / "b").is_dir()
    assert new_run_folder("mnist", tmp_path / "a" / "b").is_dir()  # empty still
    (tmp_path / "a" / "b" / "weights.safetensors").touch()
    with pytest.raises(SaveError, match="is not empty, and a run is never overwritten"):
        new_run_folder("mnist", tmp_path / "a" / "b")


def test_a_file_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs").touch()
    for out in (tmp_path / "runs", tmp_path / "runs" / "deeper"):
        with pytest.raises(SaveError, match="runs is a file|runs.*cannot write|runs"):
            new_run_folder("mnist", out)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SaveError, match="runs"):
        new_run_folder("mnist")


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    def refused(**named: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(tmp_path))

    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    with pytest.raises(SaveError, match="cannot write into .*Permission denied"):
        new_run_folder("mnist", tmp_path)
