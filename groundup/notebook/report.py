"""What a run of notebooks says: in the terminal, and as JUnit XML for continuous integration.

Must not know kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from . import files
from .run import Failure, Result

_LINES = 20  # of an error's text


def line(result: Result) -> str:
    """One notebook's result: a line, and of a failure the cell, its line and the error."""
    took = f"{result.seconds:.1f} s"
    if result.failure is None:
        less = f", {result.left_out} left out" if result.left_out else ""
        return f"ok    {result.path}: {result.ran} cells{less} ({took})"
    return f"FAIL  {result.path}: {place(result.failure)} ({took})\n" + indented(result.failure)


def place(failure: Failure) -> str:
    """cell 3, line 2"""
    if failure.cell is None:
        return "cannot be run"
    return f"cell {failure.cell}" + (f", line {failure.line}" if failure.line else "")


def indented(failure: Failure) -> str:
    """The source line and the error's text, of bounded length."""
    lines = [f"> {failure.source}"] if failure.source else []
    lines += [f"  raised in {failure.inner}"] if failure.inner else []
    error = failure.error.splitlines() or [""]
    lines += error[:_LINES]
    if len(error) > _LINES:
        lines.append(f"… and {len(error) - _LINES} lines more")
    return "\n".join("      " + text for text in lines)


def summary(results: Sequence[Result], seconds: float) -> str:
    """All results in a line."""
    failed = sum(not r.ok for r in results)
    passed = len(results) - failed
    return f"{passed} passed, {failed} failed in {seconds:.1f} s"


def write_junit(results: Sequence[Result], seconds: float, path: Path) -> None:
    """Write results as JUnit XML: a test case for each notebook."""
    failed = sum(not r.ok for r in results)
    suite = ElementTree.Element(
        "testsuite", name="groundup nb test", tests=str(len(results)), failures=str(failed),
        errors="0", time=f"{seconds:.3f}",
    )  # fmt: skip
    for result in results:
        case = ElementTree.SubElement(
            suite, "testcase", classname=_text(result.path.parent.as_posix()),
            name=_text(result.path.name), time=f"{result.seconds:.3f}",
        )  # fmt: skip
        if result.failure is not None:
            said = result.failure.error.partition("\n")[0]
            where = place(result.failure)
            node = ElementTree.SubElement(case, "failure", message=_text(f"{where}: {said}"))
            trace = result.failure.trace
            node.text = _text(f"{indented(result.failure)}\n\n{trace}".rstrip())
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode", xml_declaration=True)
    files.write(path, text + "\n")


def _text(text: str) -> str:
    """Without characters that XML cannot hold."""
    allowed = (c in "\t\n\r" or " " <= c <= "\ud7ff" or c > "\udfff" for c in text)
    return "".join(c if fine else "?" for c, fine in zip(text, allowed))
