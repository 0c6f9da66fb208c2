"""The lesson's program runs as a user runs it, checks itself, and its loops are quick enough."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from groundup.runtime import target

ROOT = Path(__file__).resolve().parents[2]


def test_the_lesson_runs_and_its_checks_pass() -> None:
    # Processors without fused multiply-adds call a function for each.
    limit = 60 if target.host().fma else 600
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs/examples/lesson8.py")],
        capture_output=True, text=True, env=environment, timeout=2 * limit, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all checks passed" in done.stdout
    loops = re.search(r"three Python loops +([\d.]+) ms", done.stdout)
    assert loops
    assert float(loops[1]) > 0
    total = re.search(r"all checks passed in ([\d.]+) s", done.stdout)
    assert total
    assert float(total[1]) < limit
