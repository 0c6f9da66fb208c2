"""Tuning: every way to run a contraction gives the same bits; winners are found again, and a file
that is damaged, of another version or of another processor is ignored."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import groundup as gu
from groundup.cli.bench.suites import conv
from groundup.ir.node import Node
from groundup.nn import functional as F
from groundup.runtime import cache
from groundup.schedule import Plan, Signature, trials, winners
from groundup.schedule.contract import Problem

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of the test's own."""
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "cache"))
    winners._tables.clear()
    yield tmp_path / "cache"
    winners._tables.clear()


def tensor(*shape: int) -> gu.Tensor:
    return gu.from_numpy(RNG.standard_normal(shape).astype("float32"))


def convolution(s: conv.Shape) -> list[gu.Tensor]:
    s = conv._smaller(s)
    x, w = tensor(s.n, s.c, s.h, s.h), tensor(s.out, s.c // s.groups, s.k, s.k)
    x.requires_grad_()
    w.requires_grad_()
    y = F.conv2d(x, w, stride=s.stride, padding=s.padding, groups=s.groups)
    (y * y).sum().backward()
    assert x.grad is not None and w.grad is not None
    return [y, x.grad, w.grad]


GRAPHS = {
    "products": lambda: [
        f(a, b)
        for m, k, n in ((5, 784, 10), (33, 65, 91), (130, 40, 64))
        for a, b in [(tensor(m, k), tensor(k, n))]
        for f in (lambda a, b: (a @ b).relu(), lambda a, b: a @ (b * 1).T.clone().T)
    ] + [tensor(40, 300) @ tensor(64, 300).T, tensor(300, 40).T @ tensor(300, 70)],
    "a vector": lambda: [tensor(200, 333) @ tensor(333), tensor(333) @ tensor(333, 200)],
    "doubles": lambda: [tensor(33, 65).double() @ tensor(65, 91).double()],
    **{s.name: lambda s=s: convolution(s) for s in conv.SHAPES},
}  # fmt: skip


def met_by(nodes: list[Node]) -> list[trials.Met]:
    with trials.meeting() as meeting:
        Plan(Signature(nodes), nodes, [None] * len(nodes))
    return list(meeting.met.values())


@pytest.mark.parametrize("name", GRAPHS)
def test_no_way_changes_a_bit(name: str) -> None:
    """Every candidate of every problem, forced in the whole plan."""
    nodes = [t.node for t in GRAPHS[name]()]
    signature = Signature(nodes)
    free = [None] * len(nodes)

    def results(trial: winners.Trial) -> list[bytes]:
        with winners.trying(trial):
            plan = Plan(signature, nodes, free)
        return [b.read_bytes() for b in plan.run(signature.buffers, signature.n, free)]

    first = winners.Trial({})
    expected = results(first)
    assert first.asked
    tried = 0
    for form, (problem, choice) in first.asked.items():
        for c in trials.candidates(problem):
            trial = winners.Trial({form: winners.described(problem, c)})
            assert results(trial) == expected, (form, c)
            tried += trial.asked[form][1] is not choice
    assert tried >= len(first.asked)


def test_a_winner_is_taken_by_later_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [(tensor(33, 65) @ tensor(65, 91)).node]
    (met,) = met_by(nodes)
    monkeypatch.setattr(trials, "_fastest", lambda ways: (len(ways) - 1, (2.0, 1.0)))
    outcomes: list[trials.Outcome] = []
    assert trials.tune([met], outcomes.append) == 0
    (outcome,) = outcomes
    assert outcome.gains and outcome.refused == 0 and outcome.tried > 2
    assert winners.table() == {outcome.form: outcome.name}

    def kernels() -> list[object]:
        return [s.kernel for s in Plan(Signature(nodes), nodes, [None]).steps]

    tuned = kernels()
    assert winners.forget() == 1 and winners.table() == {}
    plain = kernels()
    assert tuned != plain
    assert winners.forget() == 0


def test_plans_on_disk_know_their_winners() -> None:
    assert winners.version() == ""
    winners.keep({"a": "b"})
    one = winners.version()
    winners.keep({"a": "c"})
    assert one != "" and winners.version() not in ("", one)


def test_a_winner_that_no_candidate_is_counts_for_nothing() -> None:
    nodes = [(tensor(33, 65) @ tensor(65, 91)).node]
    trial = winners.Trial({})
    with winners.trying(trial):
        plain = Plan(Signature(nodes), nodes, [None]).steps
    (form,) = trial.asked
    for wrong in ("", "rows=900", "a=0 b=1 m=out0"):
        winners.keep({form: wrong})
        steps = Plan(Signature(nodes), nodes, [None]).steps
        assert [s.kernel for s in steps] == [s.kernel for s in plain]


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "format", "shape", "open", "folder"])
def test_a_file_that_cannot_be_trusted_is_ignored_with_the_reason(
    folder: Path, damage: str
) -> None:
    winners.keep({"form": "choice"})
    file = folder / "winners"
    data = file.read_bytes()
    if damage == "cut":
        file.write_bytes(data[:-3])
    elif damage == "bit":
        file.write_bytes(data.replace(b"choice", b"chojce"))
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "format":
        file.write_bytes(data.replace(b"winners-1", b"winners-9"))
    elif damage == "shape":
        body = b"[1, 2]"
        file.write_bytes(f"{winners.FORMAT} {winners._digest(body)}\n".encode() + body)
    elif damage == "open":
        os.chmod(file, 0o666)
    else:
        file.unlink()
        file.mkdir()
    winners._tables.clear()
    with pytest.warns(RuntimeWarning, match="winners of `groundup tune`.*ignored"):
        assert winners.table() == {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert winners.table() == {}  # it is said once
    if damage not in ("folder", "open"):
        winners.keep({"form": "new"})
        assert winners.table() == {"form": "new"}


def test_winners_of_other_code_processors_and_threads_are_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    winners.keep({"form": "choice"})
    here = winners.section()
    assert here is not None
    for change in ({"code": "x"}, {"processor": "y"}, {"threads": here.threads + 1}):
        other = here._replace(**change)  # type: ignore[arg-type]
        monkeypatch.setattr(winners, "section", lambda other=other: other)
        winners._tables.clear()
        assert winners.table() == {}
        winners.keep({"form": "other"})
        assert winners.table() == {"form": "other"}
    monkeypatch.setattr(winners, "section", lambda: here)
    winners._tables.clear()
    assert winners.table() == {"form": "choice"}


def test_there_are_never_too_many(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(winners, "MOST", 5)
    for i in range(9):
        winners.keep({str(i): "x"})
    assert list(winners.table()) == ["4", "5", "6", "7", "8"]
    winners.keep({"5": "y"})  # as new
    winners.keep({"9": "x"})
    assert list(winners.table()) == ["6", "7", "8", "5", "9"]
    assert [f.name for f in folder.iterdir() if f.name.endswith(".tmp")] == []


def test_the_cache_is_pruned_without_them(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    winners.keep({"form": "choice"})
    os.utime(folder / "winners", (0, 0))
    monkeypatch.setenv("GROUNDUP_CACHE_MB", "0")
    cache.store(bytes(32), b"x" * 100)
    cache._prune(str(folder))
    assert [f.name for f in folder.iterdir()] == ["winners"]


def test_forms_tell_problems_apart() -> None:
    def form(a: gu.Tensor, b: gu.Tensor) -> str:
        trial = winners.Trial({})
        with winners.trying(trial):
            node = (a @ b).node
            Plan(Signature([node]), [node], [None])
        (name,) = trial.asked
        return name

    plain = form(tensor(33, 65), tensor(65, 91))
    assert form(tensor(33, 65), tensor(65, 91)) == plain
    others = [
        form(tensor(33, 65), tensor(91, 65).T), form(tensor(34, 65), tensor(65, 91)),
        form(tensor(33, 65).double(), tensor(65, 91).double()),
    ]  # fmt: skip
    assert len({plain, *others}) == 4


def test_a_candidate_with_other_bits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were one wrong, it would not win."""
    nodes = [(tensor(33, 65) @ tensor(65, 91)).node]
    (met,) = met_by(nodes)
    load = trials.Way.load
    count = 0

    def wrong(self: trials.Way) -> None:
        nonlocal count
        load(self)
        count += 1
        if count == 2:
            run = self.program.run

            class Wrong:
                def run(self) -> int:
                    code = run()
                    out.write("<f", 0, 7.0)
                    return code

            out = self.outside[met.written]
            self.program = Wrong()  # type: ignore[assignment]

    monkeypatch.setattr(trials.Way, "load", wrong)
    outcomes: list[trials.Outcome] = []
    trials.tune([met], outcomes.append)
    assert [o.refused for o in outcomes] == [1]


def test_problems_have_few_candidates_and_the_models_own_first() -> None:
    nodes = [t.node for make in GRAPHS.values() for t in make()]
    trial = winners.Trial({})
    with winners.trying(trial):
        Plan(Signature(nodes), nodes, [None] * len(nodes))
    for problem, choice in trial.asked.values():
        assert isinstance(problem, Problem)
        found = trials.candidates(problem)
        assert len(found) <= 20
        names = [winners.described(problem, c) for c in found]
        if choice.cost == min(c.cost for c in found):
            assert winners.described(problem, choice) in names
