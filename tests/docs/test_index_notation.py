"""The gallery of the axes notation runs as it is written: its blocks, one after the other."""

from __future__ import annotations

import linecache
import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[2] / "docs/index-notation.md"


def test_the_gallery_runs() -> None:
    text = PAGE.read_text()
    names: dict[str, Any] = {"__name__": "gallery"}
    blocks = list(re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    assert len(blocks) > 8
    for block in blocks:
        line = text.count("\n", 0, block.start(1))
        code = "\n" * line + block[1]  # so that an error names the line of the page
        name = str(PAGE)
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        exec(compile(code, name, "exec"), names)
