"""What the runtime's tests share: a cache directory of their own, and each system in turn."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from groundup.runtime import cache, driver, memory, pool, system

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def cache_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "cache"
    monkeypatch.setenv("GROUNDUP_CACHE", str(path))
    monkeypatch.setattr(cache, "_checked", {})
    monkeypatch.setattr(cache, "_warned", set())
    return path


@pytest.fixture(params=["linux", "portable"])
def each_system(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[system.PortableSystem]:
    """The services of Linux, then the portable ones, with a pool and fresh memory from them."""
    if request.param == "linux" and not system.LinuxSystem.supported():
        pytest.skip("not a Linux whose futex is known")
    chosen = system._make(request.param)
    monkeypatch.setattr(system, "current", lambda: chosen)
    monkeypatch.setattr(pool, "_setting", None)
    memory.trim()
    driver.entry_points.cache_clear()
    yield chosen
    driver.entry_points.cache_clear()


@pytest.fixture
def python(cache_directory: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a program in a fresh interpreter; fails the test unless it ends well within a minute."""

    def run(source: str, **environment: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        done = subprocess.run(
            [sys.executable, "-c", source], env=env, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
        return done

    return run
