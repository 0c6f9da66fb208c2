"""`groundup bench`: what it checks before it times, what it shows and writes, what it refuses."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from groundup.cli.app import app
from groundup.cli.bench import (
    agree,
    deep,
    fresh,
    limit,
    loops,
    machine,
    measure,
    options,
    report,
    rows,
    run,
    sides,
    suites,
    wake,
)
from groundup.cli.bench.jax import Jax, Process
from groundup.cli.bench.record import (
    Asked,
    BenchError,
    Case,
    Figure,
    Input,
    Loop,
    Row,
    State,
    Suite,
    mean,
)
from groundup.glass import peak
from groundup.runtime import get_num_threads, set_num_threads

RUNNER = CliRunner()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--suite", "gem"],
            ["no suite 'gem'", "known are: gemm, conv", "Did you mean 'gemm'?"],
        ),
        (["--suite", ","], ["no suite was named", "known are: gemm"]),
        (["--only", "mlp,resnet99"], ["no row of steps has 'resnet99'", "mlp-small, mlp, lenet"]),
        (["--peer", "numpi"], ["no peer 'numpi'", "known are: torch, compile, jax, numpy, dims"]),
        (["--peer", "numpy"], ["rows of steps is written for the peer 'numpy'", "gallery"]),
        (["--threads", "0"], ["positive numbers such as 1,2"]),
        (["--threads", "two"], ["positive numbers such as 1,2"]),
        (["--rounds", "0"], ["at least 1"]),
        (["--limit", "0"], ["positive number of seconds"]),
        (["--cpu", "486"], ["--cpu is one of haswell, x86-64", "'486'"]),
        (["--json", "nowhere/rows.json"], ["cannot write nowhere/rows.json", "no folder nowhere"]),
    ],
)
def test_wrong_options(arguments: list[str], words: list[str]) -> None:
    result = RUNNER.invoke(app, ["bench", *arguments])
    assert result.exit_code == 2, result.output
    for word in words:
        assert word in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("cpu", ["haswell", "x86-64"])
def test_both_sides_can_be_held_to_an_older_processor(cpu: str) -> None:
    code = (
        "import os, sys; from groundup.cli.bench import machine, older\n"
        f"older.hold_to({cpu!r}); found = machine.header()\n"
        "print(found['held_to'], found['vector_bits'], os.environ['ONEDNN_MAX_CPU_ISA'],\n"
        "      'torch' in sys.modules)\n"
        "import types; sys.modules['torch'] = types.ModuleType('torch')\n"
        "try: older.hold_to('haswell')\n"
        "except older.BenchError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    said, refused = done.stdout.splitlines()
    wide = {"haswell": "256 AVX2", "x86-64": "128 SSE41"}[cpu]
    assert said == f"{cpu} {wide} False" and "needs a fresh process" in refused


def test_a_missing_peer_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(BenchError, match=r"pip install 'groundup\[peers\]'"):
        run.run(options.parse(only="mlp-small"), str)


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
        short = case.eps > 2.0**-23  # a result of 70 in bfloat16 has a last place of 0.5
        off = agree.check(case, ours.outcome(), "torch", theirs.outcome())
        assert off < (0.6 if short else 0.1)
        assert ours.block(1, 0) > 0 and theirs.block(1, 0) > 0
        shapes = [y.shape for y in ours.outcome()]
        expected = [case.inputs[i].shape for i in case.wrt]
        if case.part != "gradient":
            expected.insert(0, case.result)
        assert shapes == expected


@pytest.mark.peers
@pytest.mark.parametrize(("suite", "case"), every("loops"))
def test_each_loop_agrees_with_torch(suite: str, case: Loop) -> None:
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


def test_a_row_measured_beside_other_work_is_noisy() -> None:
    assert row(elsewhere=0.5).noisy and row(ratio_spread=0.3).noisy and not row().noisy


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="needs Linux")
def test_other_work_is_seen_and_our_own_is_not() -> None:
    def spin(seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pass

    text = "import time; end = time.time() + 1.5\nwhile time.time() < end: pass"
    other = subprocess.Popen([sys.executable, "-c", text])
    try:
        everything, but_it = machine.Others(), machine.Others([other.pid])
        spin(1.0)
        seen, rest = everything.cores(), but_it.cores()
    finally:
        other.wait()
    assert seen - rest > 0.2  # on one core the two would share it


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
        end = report.head().index(title) + len(title)
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
    chosen = options.parse(only="mlp-small", threads="1", json=path, rounds=3, quick=True)
    (only,) = run.run(chosen, lines.append).rows
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
    def names(suite: str, only: str) -> list[str]:
        chosen = options.parse(suite, only)
        return [c.name for part in chosen.suites for c in part.cases] or list(chosen.workloads)

    assert names("steps", "mlp") == ["mlp"]
    assert names("steps", "lenet,mlp-small") == ["mlp-small", "lenet"]
    assert names("steps", "plain") == ["lenet-plain"]
    assert names("einsum", "ab,bcc->ac") == ["ab,bcc->ac [160]", "aab,bcc->ac [160]"]
    assert names("memory", "mlp,lenet") == ["mlp", "lenet"]
    assert [p.name for p in options.parse("gemm,conv", "128³,depthwise").suites] == ["gemm", "conv"]
    assert set(options.parse("all").figures) == {"peak", "wake", "deep", "memory", "first"}
    assert options.parse("memory,peak", "gpt").suites == []


# ---- JAX, in a process of its own ----------------------------------------------------------------


def test_jax_agrees_and_takes_turns() -> None:
    pytest.importorskip("jax", reason="needs jax, of the extra [peers]")
    process = Process(1)
    try:
        for suite, name in (("gemm", "AᵀB 128"), ("conv", "3×3 s2 64→128 56² ∂w"),
                            ("fused", "layernorm +∂"), ("steps", "mlp-small")):  # fmt: skip
            (case,) = (c for c in suites.load(suite, small=True).cases if c.name == name)
            if isinstance(case, Loop):
                mine, state = loops.ours(case)
                side = Jax(process, suite, case, state, small=True)
                loops.check(case, mine, side)
            else:
                side = Jax(process, suite, case, small=True)
                agree.check(case, sides.ours(case).outcome(), "jax", side.outcome())
            assert side.block(2, 1) > 0 and side.first_ms > 0
        with pytest.raises(BenchError, match=r"KeyError|ValueError"):
            process.ask(do="case", suite="gemm", name="none", small=True)
        assert process.ask(do="block", calls=1, warm=0)["seconds"] > 0
    finally:
        process.close()


def test_a_process_that_ends_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jax", reason="needs jax, of the extra [peers]")
    process = Process(1)
    with pytest.raises(BenchError, match="ended with status 1"):
        process.ask(do="nothing")
    process.close()


# ---- the roofline --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", peak.KINDS)
def test_the_kernels_of_memory_do_what_they_say(kind: str) -> None:
    import ctypes

    from groundup.runtime import Buffer, target

    width = target.host().vector_bits // 32
    count = width * peak.STREAMS * 3
    source, goal = Buffer(4 * count), Buffer(4 * count)
    source.write(f"<{count}i", 0, *range(count))
    ctypes.memset(goal.address, 255, 4 * count)
    run = peak._callable(peak._memory_text(kind, width), kind, 4)
    run(source.address, goal.address, 3, 1)
    after, moved = source.read(f"<{count}i"), goal.read(f"<{count}i")
    if kind == "fill":
        assert set(after) == {0} and set(moved) == {-1}
    elif kind == "read":  # what it stores is the exclusive or of all it read, place by place
        lane = width * peak.STREAMS
        assert moved[0] == 0 ^ lane ^ (2 * lane) and moved[1] == 1 ^ (lane + 1) ^ (2 * lane + 1)
    else:
        assert moved == after == tuple(range(count))


@pytest.mark.parametrize("kind", peak.TYPES)
def test_multiply_adds_of_the_peak_are_counted(kind: str) -> None:
    from groundup.runtime import Buffer, target

    if kind == "bfloat16" and not target.host().adds_pairs:
        pytest.skip("this processor has no vdpbf16ps")
    letter, bits = ("d", 64) if kind == "float64" else ("f", 32)
    width = target.host().vector_bits // bits
    out = Buffer(4096)
    if kind == "bfloat16":  # two to a lane
        out.write("<2048H", 0, *[0x4000] * 2048)  # 2.0
        chains, result = peak.PAIR_CHAINS, 1 + 3 * (4 + 4)
    else:
        out.write(f"<{4096 * 8 // bits}{letter}", 0, *[2.0] * (4096 * 8 // bits))
        chains, result = peak.CHAINS, ((1 * 2 + 2) * 2 + 2) * 2 + 2  # each of them three times
    peak._callable(peak._fma_text(width, kind), "fma", 2)(out.address, 3)
    assert set(out.read(f"<{width * chains}{letter}", bits // 8 * width)) == {result}


def test_the_floor_of_several_types_is_the_sum_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    speed = {"float32": 100.0, "float64": 50.0, "bfloat16": 200.0}
    monkeypatch.setattr(peak, "flops", lambda _threads, _seconds, kind: speed[kind])
    assert peak.floor(1, {"float64": 100.0, "bfloat16": 100.0}, 0.0, 0.0) == 2.5
    assert peak.floor(1, 100.0, 0.0, 0.0) == 1.0


def test_the_floor_of_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peak, "flops", lambda *_: 100.0)
    monkeypatch.setattr(peak, "_bandwidth", lambda *_: peak.Bandwidth(10.0, 8.0, 5.0))
    assert peak.floor(1, 1000.0, 0.0, 0.0) == 10.0
    assert peak.floor(1, 1000.0, 20.0, 0.0) == 10.0
    assert peak.floor(1, 0.0, 30.0, 10.0) == pytest.approx(20 / 8 + 20 / 10)
    assert peak.floor(1, 0.0, 10.0, 30.0) == pytest.approx(20 / 8 + 20 / 5)


@pytest.mark.peers
def test_the_pools_are_woken_for_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    before = get_num_threads()
    monkeypatch.setattr(wake, "WORK", (0,))
    monkeypatch.setattr(wake, "ASLEEP", 0.001)
    monkeypatch.setattr(wake, "BLOCK", 0.001)
    monkeypatch.setattr(wake, "WORKLOADS", ("mlp-small",))
    try:
        asleep, beside, single = wake.figures(2, 1)
    finally:
        set_num_threads(before)
    assert asleep.theirs is not None and asleep.asked == pytest.approx(2 * asleep.theirs)
    assert asleep.met is (asleep.ours <= 2 * asleep.theirs)
    assert not (asleep.failed or beside.failed or single.failed)
    assert (beside.theirs, single.theirs) == (beside.asked, single.asked)
    assert wake.figures(1) == []


@pytest.mark.peers
def test_deep_networks_run_in_processes_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    empty, warm, captured = deep.figures(1, (20,))
    assert not (empty.failed or warm.failed or captured.failed)
    assert 0 < warm.ours < empty.ours and captured.ours < empty.ours
    assert captured.met is (captured.ours <= captured.theirs)
    monkeypatch.setattr(deep, "LIMIT", 0.01)
    (failed,) = deep.figures(1, (20,))
    assert failed.failed == "ours: took longer than 0.01 s" and failed.met is False


# ---- fresh processes and the page ----------------------------------------------------------------


@pytest.mark.peers
def test_a_fresh_process_tells_time_and_memory() -> None:
    for side in ("ours", "torch"):
        found = fresh.ask(side, "mlp-small", 1, 100.0)
        assert found["first"] > 0 < found["second"] and found["growth"] >= 0
    with pytest.raises(BenchError, match="ours: KeyError: 'none'"):
        fresh.ask("ours", "none", 1, 100.0)
    with pytest.raises(BenchError, match=r"ours: took longer than 0\.01 s"):
        fresh.ask("ours", "mlp-small", 1, 0.01)


def test_fresh_figures_are_held_to_what_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(side: str, *args: Any, cache: str | None = None) -> dict[str, float]:
        return {"first": 7.0, "growth": 10.0 if side == "ours" else 9.0}

    monkeypatch.setattr(fresh, "ask", ask)
    (memory,) = fresh.figures("memory", "mlp", 1, 1.0)
    assert (memory.ours, memory.theirs, memory.asked, memory.met) == (10.0, 9.0, 9.0, False)
    empty, warm = fresh.figures("first", "resnet18-cifar", 1, 1.0)
    assert (empty.asked, empty.met, warm.asked, warm.met) == (8.0, True, 0.7, False)
    assert [f.met for f in fresh.figures("first", "mlp", 1, 1.0)] == [None, None]


def test_the_page_is_written_from_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = run.Run({"time": "2026-01-01", "cpu": "abacus"}, tmp_path / "a.json")
    found.suites.append(Suite("gemm", (), {"torch": 0.75}))
    found.rows += [
        row(suite="gemm", name="512³", ours_ms=1.25, peer_ms=2.5, ratio_median=0.5, ratio_min=0.4,
            ratio_spread=0.05, asked=0.95, met=True),
        row(suite="gemm", name="1024³", failed="a | b", met=False),
    ]  # fmt: skip
    found.figures.append(Figure("first", "mlp, warm cache", 1, "s", 0.25, "torch", 0.5, n=3))
    found.save()
    monkeypatch.chdir(tmp_path)
    arguments = ["bench", "--write-docs", "--from", "a.json"]
    refused = RUNNER.invoke(app, arguments)
    assert refused.exit_code == 2 and "there is no folder docs here" in refused.output
    (tmp_path / "docs").mkdir()
    assert RUNNER.invoke(app, arguments).exit_code == 0
    page = (tmp_path / "docs" / "benchmarks.md").read_text()
    assert "cpu abacus" in page and "do not edit" in page
    assert "| 512³ | torch | 1 | 1.250 | 2.500 | 0.50 | 0.40 | 0.95 | met |" in page
    assert "failed: a \\| b" in page
    assert "| gemm | torch | 1 | 1 of 2 | 1 |  | 0.500 | 0.75 not met |" in page
    assert "| mlp, warm cache | 1 | 0.25 | torch 0.50 | s |" in page
    tables = [line for line in page.splitlines() if line.startswith("|")]
    for line in tables:
        assert line.replace("\\|", "").count("|") in (9, 18)
    (tmp_path / "b.json").write_text("[]")
    for name, words in (("b.json", "not a run of benchmarks"), ("c.json", "cannot read c.json")):
        result = RUNNER.invoke(app, ["bench", "--write-docs", "--from", name])
        assert result.exit_code == 2 and words in result.output
    result = RUNNER.invoke(app, ["bench", "--from", "a.json"])
    assert result.exit_code == 2 and "add --write-docs" in result.output
