"""gu.profile: what is counted is what ran, nothing else changes, and nothing is left behind."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import groundup as gu
from groundup import nn
from groundup.glass import profiling
from groundup.nn import functional as F
from groundup.schedule import plan as plans


def line_of(p: gu.glass.Profile, text: str) -> gu.glass.profiling.Row:
    """The row of the source line that holds a text."""
    (row,) = (r for r in p.lines if text in profiling.written_at(r.name))
    return row


def test_calls_operations_and_bytes_of_a_product() -> None:
    a, b = gu.randn(48, 64).realize(), gu.randn(64, 32).realize()
    with gu.profile() as p:
        for _ in range(3):
            c = (a @ b).realize()  # product
    row = line_of(p, "# product")
    assert row.flop == 3 * 2 * 48 * 64 * 32
    product = next(r for r in p.kernels if r.name.startswith("product"))
    assert product.calls == 3 and product.flop == row.flop
    assert product.bytes == 3 * 4 * (48 * 64 + 64 * 32 + 48 * 32)
    assert 0 < product.seconds <= p.kernel_seconds <= p.seconds
    assert np.allclose(c.numpy(), a.numpy() @ b.numpy(), atol=1e-4)


def test_lines_share_a_kernel_and_add_up() -> None:
    x = gu.randn(1000).realize()
    with gu.profile() as p:
        y = x * 2  # first
        z = y + 1  # second
        z.realize()
    (kernel,) = p.kernels
    assert len(kernel.lines) == 2
    first, second = line_of(p, "# first"), line_of(p, "# second")
    assert first.seconds + second.seconds == pytest.approx(kernel.seconds)
    assert first.flop + second.flop == kernel.flop == 2000


def trained(profiled: bool) -> tuple[list[list[float]], gu.glass.Profile | None]:
    gu.manual_seed(3)
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2))
    optimizer = gu.optim.Adam(model.parameters(), lr=0.01)

    @gu.jit
    def step(x: gu.Tensor, y: gu.Tensor) -> gu.Tensor:
        loss = F.cross_entropy(model(x), y)  # loss
        loss.backward()
        optimizer.step()  # update
        optimizer.zero_grad()
        return loss

    def run() -> None:
        for n in (8, 8, 8, 5):
            step(gu.randn(n, 6).realize(), gu.randint(0, 2, (n,)).realize())

    if not profiled:
        run()
        return [p.tolist() for p in model.parameters()], None
    with gu.profile() as p:
        run()
    return [p.tolist() for p in model.parameters()], p


def test_a_captured_step_is_counted_and_keeps_its_bits() -> None:
    plain, _ = trained(False)
    same, p = trained(True)
    assert same == plain and p is not None
    loss, update = line_of(p, "# loss"), line_of(p, "# update")
    assert loss.flop > 0 and update.flop > 0
    assert not [r for r in p.lines if r.name == profiling.UNKNOWN]
    assert plans.watcher is None


def test_the_kernels_around_host_operations_are_counted() -> None:
    @gu.jit
    def ridge(x: gu.Tensor) -> gu.Tensor:
        inverse = gu.linalg.inv(x @ x.mT + 8 * gu.eye(8))  # before
        return inverse @ x  # after

    x = gu.randn(8, 8).realize()
    expected = ridge(x), ridge(x)
    with gu.profile() as p:
        found = ridge(x)
    assert gu.equal(found, expected[0])
    assert line_of(p, "# before").flop >= 2 * 8**3 and line_of(p, "# after").flop == 2 * 8**3


def test_a_shorter_batch_does_less() -> None:
    step = gu.jit(lambda x: (x * 2 + 1).sum(1))
    long, short = gu.ones(64, 10).realize(), gu.ones(7, 10).realize()
    for x in (long, long, short):
        step(x)
    with gu.profile() as p:
        step(long)
        step(short)
    assert sorted(r.flop for r in p.kernels) == [7 * 30, 64 * 30]


def test_what_stands_between_calls_is_counted_when_it_runs() -> None:
    w = gu.randn(64, 64).realize()
    f = gu.jit(lambda x: x @ w.t())
    x = gu.randn(32, 64).realize()
    want = f(x).tolist()
    f(x)
    with gu.profile() as p:
        assert f(x).tolist() == want and f(x).tolist() == want
    assert all(r.calls in (1, 2) for r in p.kernels)


def test_an_index_out_of_range_is_an_error_as_ever_and_the_profile_ends() -> None:
    late = gu.tensor([0, 2]) + 1
    y = gu.zeros(3, 2).index_add(0, late, gu.ones(2, 2))
    with pytest.raises(IndexError, match="out of range"), gu.profile():
        y.realize()
    assert plans.watcher is None


def test_profiles_do_not_nest() -> None:
    with gu.profile(), pytest.raises(RuntimeError, match="do not nest"), gu.profile():
        pass
    assert plans.watcher is None


def test_threads_are_told_apart() -> None:
    x = gu.ones(100).realize()
    with gu.profile() as p:
        worker = threading.Thread(target=lambda: (x + 1.5).realize())
        worker.start()
        worker.join()
        (x + 1.5).realize()
    assert len({thread for *_, thread in p.events}) == 2


def test_no_more_calls_are_kept_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiling, "MOST", 2)
    x = gu.ones(10).realize()
    with gu.profile() as p:
        for _ in range(5):
            (x + 1.25).realize()
    assert len(p.events) == 2 and p.dropped == 3 and sum(r.calls for r in p.kernels) == 5


def test_tables_pictures_and_traces(tmp_path: Path) -> None:
    a = gu.randn(30, 40).realize()
    with gu.profile() as p:
        (a @ a.t()).softmax(1).realize()  # $ & <b>
    text = str(p)
    assert "by kernel" in text and "by source line" in text and "GFLOP/s" in text
    assert "&lt;b&gt;" in p._repr_html_()
    console = Console(width=160, record=True)
    console.print(p.table("line"))
    assert "# $ & <b>" in console.export_text()
    for by in ("kernel", "line"):
        p.chart(tmp_path / f"{by}.png", by=by)
        with Image.open(tmp_path / f"{by}.png") as picture:
            assert picture.format == "PNG" and min(picture.size) > 100
    p.trace(tmp_path / "trace.json")
    trace = json.loads((tmp_path / "trace.json").read_text())
    assert len(trace["traceEvents"]) == sum(r.calls for r in p.kernels)
    events = trace["traceEvents"]
    ends = [e["ts"] + e["dur"] for e in events]
    assert ends == sorted(ends) and all(e["ph"] == "X" and e["dur"] > 0 for e in events)
    with pytest.raises(ValueError, match="by='kernel'"):
        p.chart(tmp_path / "x.png", by="module")


@pytest.mark.parametrize("width", [80, 120])
def test_tables_fit_the_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    a = gu.randn(30, 40).realize()
    with gu.profile() as p:
        (a @ a.t()).softmax(1).realize()  # a line that is long, longer than any terminal is wide…
    monkeypatch.setenv("COLUMNS", str(width))
    assert "…" in str(p) and all(len(line) <= width for line in str(p).split("\n"))
    console = Console(width=width, record=True)
    console.print(p.table("line"))
    (row,) = (line for line in console.export_text().split("\n") if "test_profile.py" in line)
    (line,) = p.lines
    assert f"{line.flop / 1e6:.1f}" in row and f"{line.gbytes:.1f}" in row and "…" in row


def test_a_trace_tells_calls_of_one_name_apart(tmp_path: Path) -> None:
    step = gu.jit(lambda x: x * 2 + 1)
    long, short = gu.ones(64, 10).realize(), gu.ones(7, 10).realize()
    step(long)
    with gu.profile() as p:
        step(long)
        step(short)
        assert p.seconds > 0  # so far
    p.trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert [e["args"]["flop"] for e in events] == [64 * 20, 7 * 20]
    assert sum(e["args"]["bytes"] for e in events) == sum(r.bytes for r in p.kernels)
    for key in ("seconds", "flop", "bytes"):
        total = sum(getattr(r, key) for r in p.kernels)
        assert sum(getattr(r, key) for r in p.lines) == pytest.approx(total)


def test_an_error_inside_ends_the_profile() -> None:
    with pytest.raises(ValueError, match="mine"), gu.profile() as p:
        (gu.ones(3).realize() * 2 + 1).realize()
        raise ValueError("mine")
    assert plans.watcher is None and sum(r.calls for r in p.kernels) == 1
    before = p.seconds
    assert p.seconds == before  # it has ended


def test_nothing_ran() -> None:
    with gu.profile() as p:
        pass
    assert p.kernels == p.lines == [] and "0 calls" in str(p)


def test_under_debug_no_kernel_runs() -> None:
    with gu.profile() as p, gu.debug():
        (gu.ones(3).realize() * 2 + 1).tolist()
    assert not p.kernels
