"""Pages whose examples are one program each: they run, in their order. On all pages links lead
somewhere, and the rows of a table have equally many cells."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [*ROOT.glob("*.md"), *DOCS.glob("*.md"), ROOT / "benchmarks" / "README.md"]
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("name, count", [("architecture", 2), ("derivatives", 8), ("pytorch", 13)])
def test_the_examples_run(name: str, count: int, tmp_path: Path) -> None:
    page = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    blocks = BLOCK.findall(page)
    assert len(blocks) == page.count("```python") == count
    names: dict[str, Any] = {}
    for number, code in enumerate(blocks):
        file = tmp_path / f"example{number}.py"
        file.write_text(code, encoding="utf-8")  # errors quote its lines
        exec(compile(code, str(file), "exec"), names)


def _anchors(page: str) -> set[str]:
    """What a link may name behind #, as GitHub makes it of headings."""
    titles = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere_and_tables_are_whole(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith("http"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target.read_text(encoding="utf-8")), link
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        rows = [re.sub(r"`[^`]*`", "", row).count("|") for row in table.splitlines()]
        assert len(set(rows)) == 1, (rows, table.splitlines()[rows.index(min(rows))][:80])
