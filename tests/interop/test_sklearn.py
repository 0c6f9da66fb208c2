"""scikit-learn's estimators and metrics that are documented to take arrays of the array API take
tensors and give tensors, with NumPy's results."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def differences(*options: str) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.interop.learners", *options],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = dict(json.loads(line) for line in done.stdout.splitlines())
    assert len(found) >= 50
    return {name: what for name, what in found.items() if what}


def test_on_plain_python_loops() -> None:
    assert differences("--python") == {}


@pytest.mark.slow
def test_on_the_compiler() -> None:
    assert differences() == {}
