"""What a fresh process with an empty cache loads and compiles for its first result: little."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import groundup as gu

PROBE = """
import json, sys
def seen(): return sorted(sys.modules)
import groundup as gu
found = {"door": seen()}
a = gu.tensor([[1.0, 2.0], [3.0, 4.0]])
b = gu.ones(2, 2)
found["text"] = str((a + b).sum())
found["first"] = seen()
from groundup.runtime.code import stats
found["compiled"] = [stats()["compiled"]]
c = gu.tensor([[1.0] * 5] * 7)
found["second"] = str((c + gu.ones(7, 5)).sum())
found["compiled"].append(stats()["compiled"])
print(json.dumps(found))
"""
HEAVY = {"llvmlite.binding", "numpy", "rich", "PIL", "matplotlib"}
# Each is needed by something else than the first sum, and costs a new process 1 to 10 ms.
LATER = {
    "dataclasses", "hashlib", "inspect", "numpy",
    "groundup.autodiff", "groundup.emit.contraction", "groundup.emit.python", "groundup.ir.affine",
    "groundup.ir.recipe", "groundup.nn", "groundup.optim", "groundup.schedule.contract",
    "groundup.tensor.contract", "groundup.tensor.find", "groundup.tensor.interop",
    "groundup.tensor.jit", "groundup.tensor.lower", "groundup.tensor.notation",
    "groundup.tensor.random",
}  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    cache = tmp_path_factory.mktemp("start") / "cache"
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(gu.__file__).parents[1],
        env={**os.environ, "GROUNDUP_CACHE": str(cache), "GROUNDUP_NUM_THREADS": "2"},
    )
    return json.loads(done.stdout)


def test_the_door_opens_onto_nothing(found: Any) -> None:
    loaded = set(found["door"])
    assert not loaded & HEAVY
    ours = {name for name in loaded if name.startswith("groundup")}
    assert ours == {"groundup", "groundup._version"}


def test_the_first_sum_loads_no_more_than_it_needs(found: Any) -> None:
    assert found["text"] == "tensor(14.)"
    assert not set(found["first"]) & LATER
    assert "llvmlite.binding" in found["first"]


def test_the_first_sum_compiles_one_kernel_and_the_second_shape_nothing(found: Any) -> None:
    assert found["second"] == "tensor(70.)"
    assert found["compiled"] == [1, 1]
