"""Pages whose examples are one program each: they run, in their order."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("name, count", [("architecture", 2), ("derivatives", 8), ("pytorch", 12)])
def test_the_examples_run(name: str, count: int, tmp_path: Path) -> None:
    page = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    blocks = BLOCK.findall(page)
    assert len(blocks) == page.count("```python") == count
    names: dict[str, Any] = {}
    for number, code in enumerate(blocks):
        file = tmp_path / f"example{number}.py"
        file.write_text(code, encoding="utf-8")  # errors quote its lines
        exec(compile(code, str(file), "exec"), names)
