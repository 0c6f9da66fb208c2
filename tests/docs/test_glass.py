"""The page on the glass: its examples run, in its order, and print what it says."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

import groundup as gu
from groundup.glass import peak

PAGE = Path(__file__).resolve().parents[2] / "docs" / "glass.md"
BLOCK = re.compile(r"```python\n(.*?)```(?:\n```text\n(.*?)```)?", re.DOTALL)


def test_the_examples_run_and_print_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")  # as where there is no terminal
    monkeypatch.setattr(peak, "flops", lambda *_: 1e18)
    monkeypatch.setattr(peak, "_bandwidth", lambda *_: peak.Bandwidth(1e18, 1e18, 1e18))
    page = PAGE.read_text(encoding="utf-8")
    blocks = BLOCK.findall(page)
    assert len(blocks) == page.count("```python") == 9
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    shown = []
    for number, (code, says) in enumerate(blocks):
        file = tmp_path / f"example{number}.py"
        file.write_text(code)  # its lines are shown
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(code, str(file), "exec"), module.__dict__)
        printed = out.getvalue()
        shown.append(printed)
        if says:
            assert printed.rstrip() == says.rstrip(), number
    assert "acc += A[row, k] * B[k, col]" in shown[0]
    assert (tmp_path / "softmax.html").read_text(encoding="utf-8").startswith("<!DOCTYPE")
    kernels = [f.read_text() for f in sorted((tmp_path / "kernels").iterdir())]
    listed = re.findall(r"```console\n(# line.*?)```", page, re.DOTALL)[0].split("\n", 1)[1]
    assert listed.strip() in kernels[-1]
    assert "example2.py" in shown[2] and "hidden = model[0](x).relu()" in shown[2]
    assert (tmp_path / "profile.png").exists() and (tmp_path / "profile.json").exists()


def test_the_page_names_what_there_is() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name in ("explain", "debug", "profile", "explain_broadcast", "detect_anomaly", "lovely"):
        assert f"gu.{name}(" in page and hasattr(gu, name)
    assert "x.storage_info()" in page
