"""The suite gallery: all spellings of an item give the same, and what is told of their times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from groundup.cli.bench import agree, blas, docs, report, rows, sides, suites
from groundup.cli.bench.measure import Effort
from groundup.cli.bench.record import BenchError, Case, Loop, Row
from groundup.cli.bench.suites.gallery import in_torch

SMALL = [case for case in suites.load("gallery", small=True).cases if not isinstance(case, Loop)]
FULL = [case for case in suites.load("gallery").cases if not isinstance(case, Loop)]
PAGE = Path(__file__).resolve().parents[2] / "docs/index-notation.md"


def each(cases: list[Case]) -> Any:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


@each(SMALL)
def test_each_item_agrees_with_numpy(case: Case) -> None:
    ours, theirs = sides.ours(case).outcome(), sides.numpy(case).outcome()
    assert ours[0].shape == case.result and np.isfinite(ours[0]).all()
    assert np.ptp(ours[0].astype(np.float64)) > 0  # a result that is one number tells nothing
    agree.check(case, ours, "numpy", theirs)


@pytest.mark.peers
@each(SMALL)
def test_each_idiom_of_torch_agrees(case: Case) -> None:
    for layout in ("nchw", "nhwc") if case.images else ("",):
        ours = sides.ours(case, layout).outcome()
        for idiom in case.idioms:
            theirs = sides.torch(case, layout, idiom=idiom)
            assert theirs.layout == f"{layout} {idiom}".strip()
            agree.check(case, ours, idiom, theirs.outcome())


@pytest.mark.peers
@each([case for case in SMALL if case.has("dims")])
def test_first_class_dimensions_agree(case: Case) -> None:
    theirs = sides.dims(case)
    assert theirs.who == "dims"
    agree.check(case, sides.ours(case).outcome(), "dims", theirs.outcome())


def test_the_items_are_those_of_the_page() -> None:
    assert len(FULL) == 22 and sum(case.has("dims") for case in FULL) == 15
    known = {case.name.rpartition(" ")[0].replace(" ", "_").replace("-", "_") for case in FULL}
    assert set(in_torch.IDIOMS) <= known
    for case in FULL:
        assert case.written <= 2**25  # see the suite: what glibc keeps
    by_name = {case.name: case for case in FULL}
    assert by_name["life 4096×4096"].inputs[0].nbytes == 4096**2
    assert by_name["attention 4×8×512×64"].flop == 2.0 * 4 * 8 * 512 * 512 * 64


@pytest.mark.peers
def test_one_row_for_each_peer_that_has_it() -> None:
    setting = rows.Setting(1, ("torch", "numpy", "dims"), Effort(1, 0.01))
    by_name = {case.name.split()[0]: case for case in SMALL}
    found = rows.measure_case("gallery", by_name["softmax"], setting)
    assert [r.peer for r in found] == ["torch", "numpy", "dims"]
    found += rows.measure_case("gallery", by_name["jacobi"], setting)
    assert [r.peer for r in found[3:]] == ["torch", "numpy"]
    assert not any(r.failed for r in found) and all(r.n == 1 for r in found)
    assert found[3].peer_layout in ("", "conv2d")
    with pytest.raises(BenchError, match="not written for functorch"):
        sides.dims(by_name["jacobi"])


def test_numbers_of_another_deviation() -> None:
    (cell,) = (case for case in SMALL if case.name.startswith("lstm"))
    x, *_, weight, _, _ = sides.arrays(cell)
    assert 0.5 < x.std() < 2 and 0.2 < weight.std() < 0.7 and weight.dtype == np.float32


def test_products_of_numpy_are_held_to_threads() -> None:
    if not blas.set_threads(1):
        pytest.skip("NumPy here has another BLAS, or the system does not say")
    assert blas.set_threads(2)


# ---- what is said of it --------------------------------------------------------------------------


def row(name: str, peer: str, ours: float, theirs: float, **fields: Any) -> Row:
    return Row("gallery", name, 1, peer, ours, theirs, ours / theirs, n=5, **fields)


def test_rows_that_are_faster_are_counted() -> None:
    suite = suites.load("gallery")
    found = [row(f"r{i}", "torch", 1.0, 2.0 if i < 16 else 0.5) for i in range(22)]
    (summary,) = report.summary(suite, found)
    assert (summary["faster"], summary["met_faster"]) == (16, True)
    assert report.rows_met(summary) == "16 of 22 faster (16 asked: met)"
    found[0].failed = "because"
    (summary,) = report.summary(suite, found)
    assert report.rows_met(summary) == "15 of 22 faster (16 asked: not met)"
    (summary,) = report.summary(suite, [row("r", "numpy", 1.0, 2.0)])
    assert report.rows_met(summary) == ""
    assert "at least: 16 than torch" in report.title(suite)
    idiom = row("r", "torch", 1.0, 2.0, peer_layout="einsum")
    assert report.line(idiom).endswith("  einsum")
    assert report.layouts(row("r", "numpy", 1.0, 2.0, ours_layout="nchw")) == "nchw"


def test_times_are_written_into_the_gallery(tmp_path: Path) -> None:
    header = {"cpu": "abacus", "cores": 2, "vector_bits": 8, "torch": "2", "numpy": "1",
              "time": "2026-01-01T00:00:00Z"}  # fmt: skip
    found = [row("trace 3", "torch", 1.25, 2.5), row("trace 3", "numpy", 1.25, 1.0),
             row("life 3", "torch", 3.0, 2.0, ratio_spread=1.0),
             Row("gallery", "life 3", 1, "numpy", failed="because")]  # fmt: skip
    run = {"header": header, "rows": [vars(r) for r in found], "figures": [], "summary": []}
    (tmp_path / "docs").mkdir()
    gallery = tmp_path / "docs" / docs.GALLERY
    gallery.write_text(f"before\n{docs.BEGIN}old\n{docs.END}after\n")
    docs.write([run], tmp_path / "docs" / "benchmarks.md")
    text = gallery.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "1 of 2 rows are faster than torch on 1 thread. abacus, 2 cores" in text
    assert "| trace 3 | 1.25 | 1.00 | 2.50 |  |" in text
    assert "| life 3 | 3.00 | failed | 2.00? |  |" in text
    assert docs.with_times(text, [run]) == text
    with pytest.raises(BenchError, match="lacks the lines"):
        docs.with_times("nothing", [run])


def test_the_page_has_a_place_for_times() -> None:
    begin, end = PAGE.read_text().find(docs.BEGIN), PAGE.read_text().find(docs.END)
    assert 0 < begin < end
