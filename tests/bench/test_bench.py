"""`groundup bench`: what it checks before it times, what it writes, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from groundup.cli import bench
from groundup.cli.workloads import known


def test_unknown_names_list_the_known_ones() -> None:
    for options, message in (
        ({"only": "mlp,resnet"}, "no workload 'resnet'; known are: mlp-small, mlp, lenet"),
        ({"suite": "micro"}, "no suite 'micro'; known is: steps"),
        ({"peer": "jax"}, "no peer 'jax'; known is: torch"),
        ({"threads": "0"}, "positive numbers such as 1,2"),
        ({"threads": "two"}, "positive numbers such as 1,2"),
        ({"rounds": 0}, "at least 1"),
    ):
        with pytest.raises(bench.BenchError, match=message):
            bench.run(**options)  # type: ignore[arg-type]


def test_a_missing_peer_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(bench.BenchError, match=r"pip install 'groundup\[peers\]'"):
        bench.run(only="mlp-small")


def test_different_losses_are_refused() -> None:
    first = bench._first_losses("x", lambda i: 1.0 + i, lambda i: 1.00005 + i)
    assert first[2] == pytest.approx(5e-5)
    with pytest.raises(bench.BenchError, match="not the same mathematics"):
        bench._first_losses("x", lambda i: 1.0, lambda i: 1.0 + (i == 4) * 2e-4)
    with pytest.raises(bench.BenchError, match="not the same mathematics"):
        bench._first_losses("x", lambda i: float("nan"), lambda i: float("nan"))


def test_rounds_alternate_and_count_steps_only() -> None:
    turns: list[str] = []
    times = bench._rounds(lambda i: _sleep(turns, "a"), lambda i: _sleep(turns, "b"), 2, 1)
    assert len(times) == 2
    measured = "".join(turns).lstrip("a").lstrip("b")  # the calibration of both
    assert "".join(c for c, before in zip(measured, " " + measured) if c != before) == "aba"
    assert all(0.9 < t < 5 for pair in times for t in pair)


def _sleep(turns: list[str], name: str) -> float:
    import time

    turns.append(name)
    time.sleep(0.001)
    return 0.0


@pytest.mark.peers
@pytest.mark.parametrize("name", ["mlp-small", "mlp", "lenet"])
@pytest.mark.parametrize("eager", [False, True])
def test_first_losses_agree_with_torch(name: str, eager: bool) -> None:
    pytest.importorskip("torch", reason="needs the extra [peers]")
    workload = known()[name]
    batches = bench._batches(workload)
    model, ours = bench.ours(workload, batches, eager)
    assert sum(p.numel() for p in model.parameters()) == workload.parameters
    weights = {path: t.numpy() for path, t in model.state_dict().items()}
    theirs = bench.torch_eager(workload, batches, weights)
    _, _, difference = bench._first_losses(name, ours, theirs)
    assert difference <= 1e-4


@pytest.mark.peers
def test_rows_and_header_are_printed_and_written(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the extra [peers]")
    lines: list[str] = []
    path = tmp_path / "bench.json"
    rows = bench.run(only="mlp-small", threads="1", json=path, rounds=3, echo=lines.append)
    (row,) = rows
    assert (row.name, row.threads, row.peer, row.n) == ("mlp-small", 1, "torch", 3)
    assert row.ratio_min <= row.ratio_median == pytest.approx(row.ours_ms / row.peer_ms, rel=0.5)
    text = json.loads(path.read_text())
    wanted = {"name", "threads", "peer", "ours_ms", "peer_ms", "ratio_median", "ratio_min", "n"}
    assert wanted <= text["rows"][0].keys()
    assert {"cpu", "cores", "python", "torch", "groundup", "llvmlite"} <= text["header"].keys()
    assert any(line.startswith("mlp-small") for line in lines)
    with pytest.raises(bench.BenchError, match="cannot write"):
        bench.run(only="mlp-small", threads="1", json=tmp_path / "no" / "x", rounds=1, echo=str)


def test_a_noisy_row_is_called_noisy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "machine", dict)
    for spread, marked in ((0.01, False), (3.0, True)):
        row = bench.Row("mlp", 1, "torch", 1.0, 2.0, 0.5, 0.4, 9, spread)
        monkeypatch.setattr(bench, "compare", lambda *_, row=row: row)
        lines: list[str] = []
        bench.run(only="mlp", threads="1", echo=lines.append)
        assert any("noisy" in line for line in lines) is marked
