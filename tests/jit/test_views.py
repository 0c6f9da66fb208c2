"""Views as arguments of captured functions: read where they lie, and as right as plain calls."""

from __future__ import annotations

from typing import Any

import pytest

import groundup as gu
from groundup.ir.transform import toposort
from groundup.nn import functional as F
from groundup.runtime import code

DATA = gu.arange(7 * 4 * 3).float().reshape(7, 4, 3).realize()
VIEWS: dict[str, Any] = {
    "whole": lambda x: x,
    "row": lambda x: x[2],
    "rows": lambda x: x[1:4],
    "permuted": lambda x: x.permute(2, 0, 1),
    "transposed row": lambda x: x[3].t(),
    "permuted rows": lambda x: x[2:6].permute(0, 2, 1),
    "expanded": lambda x: x[2:3].expand(5, 4, 3),
    "expanded and permuted": lambda x: x[1].t().unsqueeze(1).expand(3, 2, 4),
    "column": lambda x: x[:, :, 1],
    "columns": lambda x: x[:, 1:3],
    "strided": lambda x: x[::2],
    "flipped": lambda x: x.flip(0),
    "flipped column": lambda x: x[:, :, 2].flip(1),
    "diagonal": lambda x: x[0].diagonal(),
    "one element": lambda x: x[1, 2, 0],
    "units": lambda x: x[1:2, :, 2:3],
    "unit transposed": lambda x: x[1:2].permute(1, 0, 2),
    "empty": lambda x: x[3:3],
    "empty permuted": lambda x: x[:, 2:2].permute(1, 2, 0),
    "reshaped": lambda x: x.reshape(28, 3)[4:9],
    "reshaped view": lambda x: x[2:5].view(3, 12),
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_is_read_like_in_a_plain_call(name: str) -> None:
    def f(x: Any) -> Any:
        return x * 2 + 1, x.sum(), x.reshape(-1) * 3

    g, view = gu.jit(f), VIEWS[name]
    for k in range(5):
        x = view((DATA + k).realize())
        for got, wanted in zip(g(x), f(x), strict=True):
            assert got.shape == wanted.shape and got.tolist() == wanted.tolist()


@pytest.mark.parametrize("name", VIEWS)
def test_views_of_all_kinds_in_turn(name: str) -> None:
    """The guard tells forms of one shape apart."""
    g = gu.jit(lambda x: x + 1)
    target = VIEWS[name](DATA)
    others = [v(DATA) for v in VIEWS.values() if v(DATA).shape == target.shape]
    dense = target.clone().realize()
    for x in (dense, target, *others, dense, target, *others, target, dense, target):
        assert g(x).tolist() == (x + 1).tolist()


@pytest.mark.parametrize("name", [n for n in VIEWS if "expand" not in n])
def test_a_written_view_changes_its_base(name: str) -> None:
    def f(x: Any) -> Any:
        x.mul_(2)
        return x.sum()

    g = gu.jit(f)
    captured, plain = DATA.clone().realize(), DATA.clone().realize()
    for _ in range(4):
        got, wanted = g(VIEWS[name](captured)), f(VIEWS[name](plain))
        assert got.tolist() == wanted.tolist() and captured.tolist() == plain.tolist()


def test_slices_of_one_tensor_compile_once_and_copy_nothing() -> None:
    x, w = gu.randn(64, 12).realize(), gu.randn(12, 3).realize()
    g = gu.jit(lambda x: x @ w)
    for i in range(0, 16, 8):
        g(x[i : i + 8])
    before = code.stats()["compiled"] + code.stats()["loaded_from_cache"]
    for i in range(0, 64, 8):
        assert g(x[i : i + 8]).tolist() == (x[i : i + 8].clone() @ w).tolist()
    assert code.stats()["compiled"] + code.stats()["loaded_from_cache"] <= before + 2
    assert len(g._captures) == 1


def test_channels_last_images_are_not_copied() -> None:
    images = gu.randn(4, 9, 8, 3).realize()
    w = gu.randn(5, 3, 3, 3).realize()
    g = gu.jit(lambda x: F.conv2d(x, w))
    for _ in range(3):
        got = g(images.permute(0, 3, 1, 2))
    assert got.tolist() == F.conv2d(images.permute(0, 3, 1, 2), w).tolist()
    (capture,) = g._captures.values()
    (source,) = [s for s in capture.sources if s.kind == "argument"]
    (node,) = [n for n in _buffers(capture.roots) if n.value is source or n.value == source]
    assert tuple(map(int, node.shape)) == (4, 9, 8, 3)
    other = gu.randn(2, 9, 8, 3).realize().permute(0, 3, 1, 2)
    assert g(other).tolist() == F.conv2d(other, w).tolist()


def _buffers(roots: Any) -> list[Any]:
    from groundup.ir.transform import toposort

    return [n for n in toposort(roots) if n.op == "buffer"]


def test_a_result_that_is_a_view_is_right() -> None:
    g = gu.jit(lambda x: (x.t(), x[1:], (x * 2).t()[0]))
    for k in range(4):
        x = (gu.arange(6).float().reshape(3, 2) + k).realize()
        a, b, c = g(x)
        assert a.tolist() == x.t().tolist() and b.tolist() == x[1:].tolist()
        assert c.tolist() == (x * 2).t()[0].tolist()


def test_a_view_of_a_pending_tensor() -> None:
    g = gu.jit(lambda x: x + 1)
    for k in range(4):
        x = (gu.arange(6).float() * k).reshape(2, 3).t()
        assert g(x).tolist() == [[i * k + 1.0, (i + 3) * k + 1.0] for i in range(3)]


def test_a_batch_shown_as_a_number_divides_no_index() -> None:
    """`x.reshape(8, …)` of a batch of 8: elements are found by strides; other batches are refused
    by the reshape, as in a plain call, or captured anew."""

    def patches(x: Any) -> Any:
        n = 8 if x.shape[0] == 8 else 2
        return x.reshape(n, 3, 4, 2, 6, 2).permute(0, 2, 4, 1, 3, 5).reshape(n, 24, 12) + 1

    g = gu.jit(patches)
    for n in (8, 8, 2, 8, 2):
        x = gu.arange(n * 3 * 8 * 12).float().reshape(n, 3, 8, 12).realize()
        assert g(x).tolist() == patches(x).tolist()
        roots, plan = g.latest()
        for step in plan.whole(roots).steps:
            bodies = [n for o in step.kernel.outputs for n in toposort([o.body])]
            assert not any(n.op in ("floordiv", "mod") for n in bodies)
    with pytest.raises(gu.ShapeError, match="reshape"):
        g(gu.zeros(3, 3, 8, 12).realize())


def test_how_a_reached_tensor_sees_its_memory_counts() -> None:
    class Box:
        def __init__(self, x: gu.Tensor) -> None:
            self.x = x

    base = gu.arange(10).float().realize()
    parts = [base[i : i + 4] for i in (0, 3, 6)]
    parts += [base[:8:2], base.flip(0)[:4], base[2:3].expand(4), base[:4], base[1:5].detach()]
    f = gu.jit(lambda box: box.x * 1)
    table = {"x": parts[0]}
    g = gu.jit(lambda: table["x"] * 1)
    for _ in range(3):
        for part in parts:
            table["x"] = part
            assert f(Box(part)).tolist() == g().tolist() == part.tolist()
    double = gu.jit(lambda box: box.x.mul_(2).sum())
    for k, part in enumerate(parts[:3] * 3):
        before = base.tolist()
        double(Box(part))
        at = 3 * (k % 3)
        assert base.tolist() == [v * (2 if at <= i < at + 4 else 1) for i, v in enumerate(before)]
