"""`groundup bench`: what it checks before it times, what it shows and writes, what it refuses."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from groundup.cli.app import app
from groundup.cli.bench import agree, limit, measure, report, rows, run, sides, suites
from groundup.cli.bench.record import Asked, BenchError, Case, Input, Loop, Row, State, Suite, mean

RUNNER = CliRunner()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--suite", "gem"], ["no suite 'gem'", "known are: gemm, conv", "Did you mean 'gemm'?"]),
        (["--suite", ","], ["no suite was named", "known are: gemm"]),
        (["--only", "mlp,resnet99"], ["no row of steps has 'resnet99'", "mlp-small, mlp, lenet"]),
        (["--peer", "numpy"], ["no peer 'numpy'", "known are: torch, compile, jax"]),
        (["--threads", "0"], ["positive numbers such as 1,2"]),
        (["--threads", "two"], ["positive numbers such as 1,2"]),
        (["--rounds", "0"], ["at least 1"]),
        (["--limit", "0"], ["positive number of seconds"]),
        (["--json", "nowhere/rows.json"], ["cannot write nowhere/rows.json", "no folder nowhere"]),
    ],
)
def test_wrong_options(arguments: list[str], words: list[str]) -> None:
    result = RUNNER.invoke(app, ["bench", *arguments])
    assert result.exit_code == 2, result.output
    for word in words:
        assert word in result.output
    assert "Traceback" not in result.output


def test_a_missing_peer_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(BenchError, match=r"pip install 'groundup\[peers\]'"):
        run.run(only="mlp-small", echo=str)


# ---- rows ----------------------------------------------------------------------------------------


def every(part: str) -> list[Any]:
    return [
        pytest.param(name, case, id=f"{name} {case.name}")
        for name in suites.NAMES
        for case in suites.load(name, small=True).cases
        if isinstance(case, Loop) is (part == "loops")
    ]


@pytest.mark.peers
@pytest.mark.parametrize(("suite", "case"), every("cases"))
def test_each_row_agrees_with_torch_at_small_sizes(suite: str, case: Case) -> None:
    for layout in ("nchw", "nhwc") if case.images else ("",):
        ours, theirs = sides.ours(case, layout), sides.torch(case, layout)
        assert agree.check(case, ours.outcome(), "torch", theirs.outcome()) < 0.1
        assert ours.block(1, 0) > 0 and theirs.block(1, 0) > 0
        shapes = [y.shape for y in ours.outcome()]
        expected = [case.inputs[i].shape for i in case.wrt]
        if case.part != "gradient":
            expected.insert(0, case.result)
        assert shapes == expected


@pytest.mark.peers
@pytest.mark.parametrize(("suite", "case"), every("loops"))
def test_each_loop_agrees_with_torch(suite: str, case: Loop) -> None:
    from groundup.cli.bench import loops

    mine, state = loops.ours(case)
    loops.check(case, mine, loops.torch(case, state, False))


def test_the_work_of_a_row_is_what_it_says() -> None:
    by_name = {c.name: c for c in suites.load("gemm").cases}
    assert by_name["512³"].flop == 2 * 512**3
    assert by_name["512³"].asked.one_core == 0.9 and by_name["128³"].asked.one_core is None
    assert by_name["gemv 4096²"].read == 4 * 4096 * 4097
    by_name = {c.name: c for c in suites.load("conv").cases}
    assert by_name["3×3 64→64 32²"].flop == 2 * 16 * 64 * 32 * 32 * 64 * 9
    assert by_name["7×7 s2 3→64 128² ∂w"].flop == 2 * 16 * 64 * 64 * 64 * 3 * 49
    assert by_name["depthwise 3×3 128 28²"].flop == 2 * 16 * 128 * 28 * 28 * 9
    assert len({c.name for s in suites.NAMES for c in suites.load(s).cases}) == sum(
        len(suites.load(s).cases) for s in suites.NAMES
    )


# ---- honesty -------------------------------------------------------------------------------------

PRODUCT = Case(
    "product", (Input((3, 40)), Input((40, 5))), (3, 5),
    lambda gu, a, b: a @ b, lambda torch, a, b: a @ b, terms=40, linear=True,
)  # fmt: skip


@pytest.mark.peers
def test_another_result_is_refused() -> None:
    right = sides.ours(PRODUCT).outcome()
    assert agree.check(PRODUCT, right, "torch", [y.copy() for y in right]) == 0.0
    for wrong in (right[0] * 1.001, np.full_like(right[0], np.nan)):
        with pytest.raises(BenchError, match="more than rounding explains.*not the same"):
            agree.check(PRODUCT, [wrong], "torch", right)
    with pytest.raises(BenchError, match="shape of our result is"):
        agree.check(PRODUCT, [right[0].T], "torch", right)


def loop(ours: Any, theirs: Any) -> Loop:
    return Loop("x", lambda: (ours, State({}, ())), lambda torch, state, compiled: theirs)


@pytest.mark.peers
def test_different_losses_are_refused() -> None:
    setting = rows.Setting(1, effort=measure.Effort(1, 0.1))
    (row,) = rows.measure_case("s", loop(lambda i: 1.0 + i, lambda i: 1.00005 + i), setting)
    assert not row.failed and row.difference == pytest.approx(5e-5) and row.met is None
    for theirs in (lambda i: 1.0 + (i == 4) * 2e-4, lambda i: math.nan):
        (row,) = rows.measure_case("s", loop(lambda i: 1.0, theirs), setting)
        assert "not the same mathematics" in row.failed and row.n == 0


@pytest.mark.peers
def test_a_row_that_raises_or_lasts_is_reported_and_the_others_go_on() -> None:
    def fails(gu: Any, a: Any, b: Any) -> Any:
        raise ValueError("no such\nthing")

    def lasts(gu: Any, a: Any, b: Any) -> Any:
        while True:
            time.sleep(0.01)

    asked = Asked({"torch": 1.0})
    setting = rows.Setting(1, limit=0.2, effort=measure.Effort(1, 0.1))
    for formula, why in ((fails, "ValueError: no such thing"), (lasts, "took longer than 0.2 s")):
        case = Case("bad", PRODUCT.inputs, (3, 5), formula, PRODUCT.torch, asked=asked)
        (row,) = rows.measure_case("s", case, setting)
        assert row.failed == why and row.met is False and math.isnan(row.ratio_median)
        assert f"FAILED: {why}" in report.line(row)
    (row,) = rows.measure_case("s", PRODUCT, rows.Setting(1, effort=measure.Effort(1, 0.1)))
    assert not row.failed and row.n == 1


def test_the_limit_is_taken_away_again() -> None:
    with limit.seconds(0.05):
        pass
    time.sleep(0.1)
    with pytest.raises(limit.TooLong), limit.seconds(0.02):
        time.sleep(0.5)


class Sleeper:
    """A side that sleeps, and writes its turns down."""

    first_ms = 0.0

    def __init__(self, who: str, layout: str, seconds: float, turns: list[str]) -> None:
        self.who, self.layout, self.seconds, self.turns = who, layout, seconds, turns

    def outcome(self) -> list[Any]:
        return []

    def block(self, calls: int, warm: int) -> float:
        self.turns.append(self.who + self.layout)
        time.sleep(self.seconds / 10)
        return self.seconds


def test_rounds_alternate_and_the_best_layout_counts() -> None:
    turns: list[str] = []
    made = [
        Sleeper("ours", "a", 0.0100, turns), Sleeper("ours", "b", 0.0110, turns),
        Sleeper("ours", "c", 0.0200, turns),  # hopeless: not measured
        Sleeper("torch", "a", 0.0250, turns), Sleeper("torch", "b", 0.0200, turns),
        Sleeper("jax", "", 0.0050, turns),
    ]  # fmt: skip
    torch, jax = measure.compare(made, 1, measure.Effort(2, 0.0))
    assert turns.count("oursc") == min(turns.count("oursa"), turns.count("torcha")) - 2
    names = ["oursa", "oursb", "torcha", "torchb", "jax"]
    assert turns[-10:] == names + names[::-1]
    assert (torch.ours.layout, torch.peer.layout) == ("a", "b")
    assert torch.ratios == pytest.approx([0.5, 0.5]) and torch.spread == 0.0
    assert jax.median == pytest.approx(2.0)


def test_few_rounds_where_they_last_long() -> None:
    made = [Sleeper("ours", "", 0.03, []), Sleeper("torch", "", 0.03, [])]
    (found,) = measure.compare(made, 1, measure.Effort(21, 0.1))
    assert len(found.ratios) == measure.LEAST_ROUNDS


# ---- what is asked, and how it is shown ----------------------------------------------------------


def test_what_is_asked() -> None:
    asked = Asked({"torch": 0.85}, share=0.9)
    assert asked.met("torch", 0.8, None, 1) is True
    assert asked.met("torch", 0.9, 0.5, 1) is False
    assert asked.met("torch", 0.9, 0.95, 2) is True
    assert asked.met("jax", 0.9, 0.95, 2) is None
    peak = Asked({"torch": 0.95}, one_core=0.9)
    assert peak.met("torch", 0.9, 0.89, 1) is False
    assert peak.met("torch", 0.9, 0.89, 2) is True
    assert peak.met("torch", 0.9, 0.91, 1) is True


def row(**fields: Any) -> Row:
    known = {"suite": "s", "name": "r", "threads": 1, "peer": "torch", "n": 9}
    return Row(**known | fields)


def test_a_verdict_in_a_word() -> None:
    for fields, word in (
        ({"met": True, "asked": 0.9, "ratio_median": 0.5}, "met"),
        ({"met": True, "asked": 0.9, "ratio_median": 0.95}, "by roof"),
        ({"met": False, "asked": 0.9, "ratio_median": 0.95}, "not met"),
        ({"met": False, "asked": 0.9, "ratio_median": 0.5}, "low roof"),
        ({"met": True, "asked": 0.9, "ratio_median": 0.5, "ratio_spread": 3.0}, "met?"),
        ({"ratio_median": 0.5}, ""),
        ({"failed": "because", "met": False}, "FAILED"),
    ):
        assert report.verdict(row(**fields)) == word


def test_lines_line_up() -> None:
    full = report.line(
        row(name="7×7 s2 3→64 128² ∂x", ours_ms=1.5, peer_ms=2.0, ratio_median=0.75, ratio_min=0.7,
            asked=1.0, met=True, gflops=99.0, gbytes=1.0, share=0.5, ours_layout="nchw",
            peer_layout="nhwc")
    )  # fmt: skip
    for title, value in (
        ("asked", "1.00"),
        ("GFLOP/s", "99.0"),
        ("roof", "50%"),
        ("ratio", "0.75"),
    ):
        end = report.HEAD.index(title) + len(title)
        assert full[:end].endswith(value)
    assert full.endswith("nchw / nhwc")


def test_the_summary_counts_and_takes_the_geometric_mean() -> None:
    suite = Suite("s", (), {"torch": 0.75})
    found = [
        row(ratio_median=0.5, met=True), row(ratio_median=1.0, met=False, ratio_spread=0.5),
        row(ratio_median=0.4, threads=2, met=True), row(threads=2, failed="x", met=False),
        row(ratio_median=2.0, peer="jax"),
    ]  # fmt: skip
    one, jax, two = report.summary(suite, found)
    assert (one["threads"], one["peer"], one["met_rows"], one["rows"]) == (1, "torch", 1, 2)
    assert one["mean"] == pytest.approx(mean([0.5, 1.0])) and one["met"] is True
    assert one["noisy"] == 1
    assert (jax["peer"], jax["met"]) == ("jax", None)
    assert two["failed"] == 1 and two["met"] is False  # a mean of less than all rows is none


@pytest.mark.peers
def test_rows_and_header_are_printed_and_written(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the extra [peers]")
    lines: list[str] = []
    path = tmp_path / "bench.json"
    found = run.run(only="mlp-small", threads="1", json=path, rounds=3, quick=True,
                    echo=lines.append)  # fmt: skip
    (only,) = found
    assert (only.name, only.threads, only.peer, only.n) == ("mlp-small", 1, "torch", 3)
    assert (
        only.ratio_min <= only.ratio_median == pytest.approx(only.ours_ms / only.peer_ms, rel=0.5)
    )
    text = json.loads(path.read_text())
    wanted = {"name", "threads", "peer", "ours_ms", "peer_ms", "ratio_median", "ratio_min", "n"}
    assert wanted <= text["rows"][0].keys()
    assert {"cpu", "cores", "python", "torch", "groundup", "llvmlite"} <= text["header"].keys()
    assert text["summary"][0]["suite"] == "steps"
    assert any(line.startswith("mlp-small") for line in lines)
    assert any("summary" in line for line in lines)


def test_names_of_rows_are_exact_or_parts() -> None:
    def names(only: str) -> list[str]:
        return [c.name for part in run._suites("steps", only) for c in part.cases]

    assert names("mlp") == ["mlp"]
    assert names("lenet,mlp-small") == ["mlp-small", "lenet"]
    assert names("plain") == ["lenet-plain"]
    assert [p.name for p in run._suites("gemm,conv", "128³,depthwise")] == ["gemm", "conv"]
