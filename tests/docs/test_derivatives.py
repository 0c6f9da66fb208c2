"""The page on derivatives: its examples run, in its order."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[2] / "docs" / "derivatives.md"
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def test_the_examples_run(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    blocks = BLOCK.findall(page)
    assert len(blocks) == page.count("```python") == 7
    names: dict[str, Any] = {}
    for number, code in enumerate(blocks):
        file = tmp_path / f"example{number}.py"
        file.write_text(code, encoding="utf-8")  # errors quote its lines
        exec(compile(code, str(file), "exec"), names)
