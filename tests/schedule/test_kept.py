"""Plans on disk: a recalled plan gives the bits of the one that was kept, for any batch, with the
errors and the explanation of a plan made here; what is missing is made again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import pytest

import groundup as gu
from groundup import nn
from groundup.nn import functional as F
from groundup.runtime import cache, code
from groundup.schedule import kept, plan
from groundup.schedule.fuse import fuse

execute = sys.modules["groundup.schedule.execute"]  # a function has its name in the package


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache, and a process that has no plan and no code yet."""
    path = tmp_path / "cache"
    monkeypatch.setenv("GROUNDUP_CACHE", str(path))
    monkeypatch.setattr(cache, "_checked", {})
    forget(monkeypatch)
    yield path


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a new process, as far as plans and code go."""
    monkeypatch.setattr(execute, "_plans", {})
    monkeypatch.setattr(plan, "_compiled", WeakValueDictionary())
    monkeypatch.setattr(code, "_alive", WeakValueDictionary())


def unable(*_: Any) -> Any:
    raise AssertionError("scheduled, though an earlier process has done it")


class Net(nn.Module):
    """Products, convolutions, a gather and norms: several forms of kernel and of word."""

    def __init__(self, depth: int = 6) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 32)
        self.conv = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU())
        self.layers = nn.Sequential(
            *(nn.Sequential(nn.Linear(64, 64), nn.LayerNorm(64), nn.ReLU()) for _ in range(depth))
        )
        self.head = nn.Linear(64, 5)

    def forward(self, x: Any) -> Any:
        y = self.table(x).reshape(-1, 2, 4, 4)
        return self.head(self.layers(self.conv(y).flatten(1)))


def training() -> tuple[Callable[[Any, Any], Any], nn.Module]:
    gu.manual_seed(0)
    net = Net()
    opt = gu.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)

    @gu.jit
    def step(x: Any, y: Any) -> Any:
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    return step, net


def trained(sizes: tuple[int, ...] = (6, 6, 6, 3, 1)) -> tuple[Any, list[Any]]:
    """(the step, losses of batches of these sizes and all weights after them)."""
    step, net = training()
    found: list[Any] = []
    for n in sizes:
        found.append(step(gu.arange(n) % 11, gu.arange(n) % 5).item())
    return step, [*found, *(p.tolist() for p in net.parameters())]


def test_a_recalled_plan_gives_the_bits_of_the_kept_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, first = trained()
    forget(monkeypatch)
    compiled = code.stats()["compiled"]
    with monkeypatch.context() as m:
        m.setattr(plan, "fuse", limited(fuse))
        step, second = trained()
    assert second == first
    assert code.stats()["compiled"] == compiled
    text = str(gu.explain(step))
    assert "kernel 0" in text and "temporaries" in text


def test_a_kept_plan_serves_batches_near_its_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained((6, 6))
    forget(monkeypatch)
    with monkeypatch.context() as m:
        m.setattr(plan, "fuse", limited(fuse))
        _, second = trained((4, 4, 3))
        forget(monkeypatch)
        with pytest.raises(AssertionError, match="scheduled"):
            trained((60, 60))
    forget(monkeypatch)
    monkeypatch.setattr(kept, "find", lambda *_: (None, None))
    assert trained((4, 4, 3))[1] == second


def test_plans_with_sums_of_another_order_are_kept_beside(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def result(x: Any) -> Any:
        total = (x * 2).sum()
        for i in range(90):
            x = (x + total).tanh() * float(i)
        return x.sum(1)

    def found(n: int) -> Any:
        return gu.jit(result)(gu.arange(5 * n).reshape(n, 5).double()).tolist()

    first = [found(n) for n in (13_107, 13_108, 13_109)]  # from 13,108 on 65,536 terms
    forget(monkeypatch)
    monkeypatch.setattr(plan, "fuse", limited(fuse))
    assert [found(n) for n in (13_109, 13_107, 13_108)] == [first[2], *first[:2]]


def limited(real: Any) -> Any:
    """Small graphs are always scheduled anew."""
    return lambda targets, order, forms: (
        unable() if len(order) > 60 else real(targets, order, forms)
    )


def test_without_the_code_of_a_kernel_all_is_made_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, first = trained()
    for path in folder.glob("*.bin"):
        if b"ELF" in path.read_bytes():
            path.unlink()
            break
    else:
        raise AssertionError("no code was kept")
    forget(monkeypatch)
    assert trained()[1] == first


def test_another_graph_batch_or_program_text_has_another_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = set()
    real = kept.name_of

    def noted(*args: Any) -> Any:
        name = real(*args)
        names.add(name)
        return name

    monkeypatch.setattr(kept, "name_of", noted)

    trained((6, 6))
    before = names - {None}
    assert len(before) == 1
    for change in ("batch", "code"):
        names.clear()
        forget(monkeypatch)
        if change == "code":
            monkeypatch.setattr(kept, "code_of", lambda *_: "another")
        trained((60, 60) if change == "batch" else (6, 6))
        assert len(names - {None}) == 1 and not before & names


def test_an_index_out_of_range_is_an_error_of_a_recalled_plan_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gu.manual_seed(0)
    table = gu.randn(7, 64).realize()
    weight = gu.randn(64, 64).realize()

    def result(index: Any) -> Any:
        x = table[index]
        for i in range(40):
            x = (x @ weight).tanh() * 0.5 + float(i)
        return x.sum()

    def found() -> tuple[float, str]:
        step = gu.jit(result)
        good = step(gu.tensor([1, 6, 3])).item()
        with pytest.raises(IndexError, match="index 7 is out of range for axis 0 .* 0 to 6") as e:
            step(gu.tensor([1, 7, 3])).item()
        return good, str(e.value)

    first = found()
    forget(monkeypatch)
    monkeypatch.setattr(plan, "fuse", limited(fuse))
    assert found() == first
