"""A user's lines in the axes notation, as a type checker sees them: strict, and no `Any`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

api = pytest.importorskip("mypy.api")

WRITTEN = '''
import groundup as gu

i, j, k, t = gu.axes("i j k t")
p = gu.axis("p", 28)
a, b = gu.ones(2, 3), gu.ones(3, 4)
label = gu.tensor([0, 1])

reveal_type(i)  # Axis
reveal_type(p)  # Axis
reveal_type(2 * i + p - 1)  # Indexed
reveal_type((i + p) // 2)  # Indexed
reveal_type(i >= j)  # Indexed
reveal_type(a[i, k])  # Indexed
reveal_type(a[i, 2 * k + 1])  # Indexed
reveal_type(a[label[i], k])  # Indexed
reveal_type(a[i, k] * b[k, j])  # Indexed
reveal_type(2.0 - a[i, k])  # Indexed
reveal_type(-a[i, k] ** 2)  # Indexed
reveal_type((a[i, k] * b[k, j]).sum(k))  # Indexed
reveal_type((a[i, k] * b[k, j]).sum(k).order(i, j))  # Tensor
reveal_type(a[i, k].exp())  # Indexed
reveal_type(gu.exp(a[i, k]))  # Indexed
reveal_type(gu.exp(a))  # Tensor
reveal_type(gu.sum(a[i, k], k))  # Indexed
reveal_type(gu.sum(a, 1))  # Tensor
reveal_type(gu.sum(a, dim=1, keepdim=True))  # Tensor
reveal_type(gu.max(a[i, k], i, k))  # Indexed
reveal_type(gu.max(a))  # Tensor
reveal_type(gu.max(a, 1))  # Extreme
reveal_type(gu.argmax(a[i, k], k))  # Indexed
reveal_type(gu.logsumexp(a, 1))  # Tensor
reveal_type(gu.cumsum(a[i, k], k))  # Indexed
reveal_type(gu.cumsum(a, 1))  # Tensor
reveal_type(gu.where(i >= j, a[i, k], 0.0))  # Indexed
reveal_type(gu.where(a > 0, a, 0.0))  # Tensor
reveal_type(gu.clamp(a[i, k], 0, 1))  # Indexed
reveal_type(gu.outside(a, 0.0)[i - 1, k])  # Indexed
reveal_type(a[i, k].at(p, label[i]).sum(i).order(p, k))  # Tensor
reveal_type(gu.scan(t, lambda h: a[i, t] * h + 1.0).order(i, t))  # Tensor
reveal_type(a[i, k].to(gu.float64).maximum(0.0))  # Indexed
reveal_type(gu.eq(i % 2, 0))  # Indexed
reveal_type(gu.maximum(a[i, k], b[k, i]))  # Indexed
reveal_type(gu.minimum(0.0, a[i, k]))  # Indexed
reveal_type(gu.maximum(a, 0))  # Tensor
reveal_type(gu.add(a, a, alpha=2))  # Tensor
reveal_type(gu.add(a[i, k], 1, alpha=2))  # Indexed
reveal_type(gu.atan2(a[i, k], b[k, i]))  # Indexed
reveal_type(gu.logical_or(i > k, k > i))  # Indexed
'''

REFUSED = '''
import groundup as gu

i, k = gu.axes("i k")
a = gu.ones(2, 3)
a[i, k].sum(1)
a[i, k].order("i")
gu.sum(a[i, k], dim=1)
a[i, k].item()
gu.axes(["i"])
gu.axis("p", "3")
'''


def lines(text: str, folder: Path, cache: Path) -> list[str]:
    file = folder / "written.py"
    file.write_text(text)
    options = ["--strict", "--no-error-summary", "--cache-dir", str(cache), str(file)]
    out, err, _ = api.run(options)
    assert not err
    return [line for line in out.splitlines() if "written.py" in line]


@pytest.fixture(autouse=True)
def engine() -> str:
    """Nothing runs."""
    return "compiled"


@pytest.mark.skipif(not Path("pyproject.toml").exists(), reason="needs the checkout's settings")
def test_a_type_checker_knows_what_everything_is(tmp_path: Path) -> None:
    found = lines(WRITTEN, tmp_path, tmp_path / "cache")
    expected = [
        (n + 1, line.rpartition("# ")[2])
        for n, line in enumerate(WRITTEN.splitlines())
        if line.startswith("reveal_type")
    ]
    shown = []
    for line in found:
        assert " error: " not in line, line
        match = re.search(r":(\d+): note: Revealed type is \"(.*)\"", line)
        assert match, line
        name = match[2].replace("tuple[", "").rpartition("fallback=")[2].rstrip("]")
        shown.append((int(match[1]), name.rpartition(".")[2]))
    assert shown == expected
    found = lines(REFUSED, tmp_path, tmp_path / "cache")
    wrong = {int(m[1]) for line in found if (m := re.search(r":(\d+): error:", line))}
    assert wrong == set(range(6, 12))
