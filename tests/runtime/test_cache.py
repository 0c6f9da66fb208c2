"""The kernel cache: whole entries or none, only of this user, only of this version."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from groundup.runtime import cache, code

from .test_code import answer, call

KEY = cache.digest("some", "parts")


def entry(directory: Path) -> Path:
    (path,) = directory.glob("*.bin")
    return path


def test_a_round_trip_in_a_private_directory(cache_directory: Path) -> None:
    assert cache.load(KEY) is None
    cache.store(KEY, b"payload")
    assert cache.load(KEY) == b"payload"
    assert stat.S_IMODE(cache_directory.stat().st_mode) == 0o700
    assert [p.name for p in cache_directory.iterdir()] == [f"{KEY.hex()}.bin"]


def test_the_digest_separates_parts() -> None:
    assert cache.digest("ab", "c") != cache.digest("a", "bc") != cache.digest("a", "b", "c")


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:20],
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: data.replace(b"code-1", b"code-0", 1),
        lambda data: data[:30] + bytes([data[30] ^ 1]) + data[31:],
        lambda data: os.urandom(len(data)),
    ],
    ids=["empty", "header", "short", "long", "bit", "version", "other key", "noise"],
)
def test_a_damaged_entry_is_compiled_anew(
    cache_directory: Path, monkeypatch: pytest.MonkeyPatch, damage
) -> None:
    monkeypatch.setattr(code, "_memo", {})
    code.function(answer(21), "answer")
    path = entry(cache_directory)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    monkeypatch.setattr(code, "_memo", {})
    compiled, damaged = code.stats()["compiled"], cache.counters["damaged"]
    assert call(code.function(answer(21), "answer")) == 21
    assert code.stats()["compiled"] == compiled + 1
    assert cache.counters["damaged"] == damaged + 1
    assert path.read_bytes() == whole


def test_an_entry_under_another_name_is_not_believed(cache_directory: Path) -> None:
    cache.store(KEY, b"payload")
    other = cache.digest("other")
    os.rename(entry(cache_directory), cache_directory / f"{other.hex()}.bin")
    assert cache.load(other) is None


def test_another_compiler_version_or_cpu_is_another_entry(
    cache_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code, "_memo", {})
    code.function(answer(22), "answer")
    monkeypatch.setattr(code, "_memo", {})
    elsewhere = code.target.host()._replace(key="another compiler")
    monkeypatch.setattr(code.target, "host", lambda: elsewhere)
    compiled = code.stats()["compiled"]
    assert call(code.function(answer(22), "answer")) == 22
    assert code.stats()["compiled"] == compiled + 1
    assert len(list(cache_directory.glob("*.bin"))) == 2


def test_an_entry_that_others_may_write_is_not_believed(cache_directory: Path) -> None:
    cache.store(KEY, b"payload")
    entry(cache_directory).chmod(0o622)
    assert cache.load(KEY) is None


def test_an_entry_of_another_user_is_not_believed(
    cache_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.store(KEY, b"payload")
    mine = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    assert cache.load(KEY) is None


def test_a_link_in_place_of_an_entry_is_not_followed(cache_directory: Path, tmp_path: Path) -> None:
    cache.store(KEY, b"payload")
    path = entry(cache_directory)
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    assert cache.load(KEY) is None


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o702])
def test_an_open_directory_is_ignored_with_one_warning(cache_directory: Path, mode: int) -> None:
    cache_directory.mkdir()
    cache_directory.chmod(mode)
    with pytest.warns(RuntimeWarning, match="chmod 700"):
        assert call(code.function(answer(100 + mode), "answer")) == 100 + mode
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.store(KEY, b"payload")
        assert cache.load(KEY) is None
    assert list(cache_directory.iterdir()) == []


def test_another_users_directory_is_ignored(
    cache_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache_directory.mkdir(mode=0o700)
    mine = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    with pytest.warns(RuntimeWarning, match=f"belongs to user {mine}"):
        assert cache.directory() is None


def test_a_file_in_place_of_the_directory_is_ignored(cache_directory: Path) -> None:
    cache_directory.write_text("not a directory")
    with pytest.warns(RuntimeWarning, match="is not a directory"):
        assert call(code.function(answer(23), "answer")) == 23


def test_a_directory_that_cannot_be_made_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(RuntimeWarning, match="cannot make the kernel cache"):
        assert call(code.function(answer(24), "answer")) == 24


def test_a_directory_that_cannot_be_written_warns_once(python, cache_directory: Path) -> None:
    # A limit on the size of files stops the superuser too, whom a mode would not.
    source = """
import resource, warnings, ctypes
from groundup.runtime import function
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    for n in (1, 2):
        text = f"define i64 @f() {{\\n  ret i64 {n}\\n}}"
        assert ctypes.CFUNCTYPE(ctypes.c_int64)(function(text, "f"))() == n
messages = [str(w.message) for w in seen]
assert len(messages) == 1 and "cannot write the kernel cache" in messages[0], messages
"""
    python(source)
    assert list(cache_directory.iterdir()) == []


def test_the_default_is_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GROUNDUP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.directory() == str(tmp_path / "xdg" / "groundup")


def fill(directory: Path, count: int, size: int = 100 << 10) -> list[bytes]:
    """Entries that were last used days ago, the first one longest."""
    keys = [cache.digest(f"filled {n}") for n in range(count)]
    for n, key in enumerate(keys):
        cache.store(key, bytes(size))
        os.utime(directory / f"{key.hex()}.bin", (n, time.time() - 86400 * (count - n)))
    return keys


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of one MiB, that is looked after at each write."""
    monkeypatch.setenv("GROUNDUP_CACHE_MB", "1")
    monkeypatch.setattr(cache, "_PRUNE_EVERY", 1)
    monkeypatch.setattr(cache, "counters", {**cache.counters, "written": 0})


def there(directory: Path, keys: list[bytes]) -> list[int]:
    return [n for n, key in enumerate(keys) if (directory / f"{key.hex()}.bin").exists()]


def test_what_was_used_least_recently_leaves_a_full_cache(
    cache_directory: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_PRUNE_EVERY", 1000)
    keys = fill(cache_directory, 12)
    assert len(there(cache_directory, keys)) == 12
    for n in (0, 3, 11):  # so these have been used just now
        assert cache.load(keys[n]) == bytes(100 << 10)
    monkeypatch.setattr(cache, "counters", {**cache.counters, "written": 0})
    cache.store(KEY, bytes(100 << 10))  # the thirteenth of 100 KiB: 7 fit into 3/4 of a MiB
    assert there(cache_directory, keys) == [0, 3, 8, 9, 10, 11]
    assert cache.load(KEY) is not None


def test_a_cache_within_its_limit_keeps_all(cache_directory: Path, small: None) -> None:
    keys = fill(cache_directory, 10)
    assert there(cache_directory, keys) == list(range(10))
    assert sum(p.stat().st_size for p in cache_directory.iterdir()) <= cache.limit()


def test_using_an_entry_is_noted_once_in_an_hour(cache_directory: Path) -> None:
    cache.store(KEY, b"payload")
    path = entry(cache_directory)
    recent = path.stat().st_mtime - 600
    os.utime(path, (recent, recent))
    assert cache.load(KEY) and path.stat().st_mtime == recent
    os.utime(path, (recent - 7200, recent - 7200))
    assert cache.load(KEY) and path.stat().st_mtime > recent


def test_what_killed_processes_left_is_removed(cache_directory: Path, small: None) -> None:
    cache.store(KEY, b"payload")
    old, new = cache_directory / ".old.tmp", cache_directory / ".new.tmp"
    old.write_bytes(b"half")
    new.write_bytes(b"half")
    os.utime(old, (0, time.time() - 7200))
    cache.store(cache.digest("other"), b"payload")
    assert not old.exists() and new.exists() and cache.load(KEY)


def test_a_file_that_another_process_has_removed_is_no_matter(
    cache_directory: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = fill(cache_directory, 10)
    unlink = os.unlink

    def late(path: str) -> None:
        unlink(path)
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "unlink", late)
    cache.store(KEY, bytes(100 << 10))
    assert there(cache_directory, keys) == list(range(4, 10)) and cache.load(KEY) is not None


def test_a_wrong_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDUP_CACHE_MB", "1.5")
    with pytest.raises(ValueError, match="GROUNDUP_CACHE_MB='1.5'"):
        cache.limit()


def test_two_processes_race_on_an_empty_cache(cache_directory: Path) -> None:
    source = """
import ctypes, sys
import llvmlite.binding
from groundup.runtime import function
sys.stdin.read(1)
for n in range(40):
    text = f"define i64 @f() {{\\n  ret i64 {n}\\n}}"
    assert ctypes.CFUNCTYPE(ctypes.c_int64)(function(text, "f"))() == n
"""
    root = Path(__file__).resolve().parents[2]
    racers = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", source],
            stdin=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(root)},
        )
        for _ in range(3)
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write(b"x")
        racer.stdin.close()
    assert [racer.wait(timeout=60) for racer in racers] == [0, 0, 0]
    assert len(list(cache_directory.glob("*.bin"))) == 40
    assert not list(cache_directory.glob(".*.tmp"))
    for path in cache_directory.glob("*.bin"):
        assert cache.load(bytes.fromhex(path.stem)) is not None
