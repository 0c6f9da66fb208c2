"""The loops of every kind of kernel, as pseudo-code: what runs inside what, along which axes."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

import groundup as gu
from groundup import nn
from groundup.glass.course import Kernels
from groundup.glass.explanation import Explanation
from groundup.glass.text import axes_in, plain
from groundup.nn import functional as F
from groundup.schedule import Plan, Signature
from groundup.schedule import plan as planning
from groundup.schedule.machine import Machine

from ..graphs import make

pytestmark = pytest.mark.usefixtures("known_roofline")


def random(*shape: int) -> gu.Tensor:
    return gu.randn(*shape).realize()


def loops(e: Explanation) -> str:
    return plain(e.marked("loops"))


def in_order(text: str, *parts: str) -> None:
    """Do these come one after the other?"""
    at = 0
    for part in parts:
        found = text.find(part, at)
        assert found >= 0, f"no {part!r} after {text[:at][-200:]!r} in\n{text}"
        at = found + len(part)


def attention(length: int) -> Explanation:
    """Causal attention and its derivatives, in a step."""
    query, key, value = (nn.Parameter(random(2, 4, length, 32)) for _ in range(3))

    @gu.jit
    def step(target: gu.Tensor) -> list[gu.Tensor]:
        for p in (query, key, value):
            p.grad = None
        y = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        ((y - target) ** 2).mean().backward()
        return [p.grad for p in (query, key, value) if p.grad is not None]

    step(random(2, 4, length, 32))
    return gu.explain(step)


def test_what_a_blocked_attention_does_on_each_block_is_shown() -> None:
    q, k, v = (random(2, 4, 512, 32) for _ in range(3))
    e = gu.explain(F.scaled_dot_product_attention(q, k, v, is_causal=True))
    text = loops(e)
    (row,) = re.findall(r"for (\w+)₀ < 512 by 64:", text)
    # How large a tile is depends on the processor.
    tile, *_ = re.findall(rf"tiles of (\d+) of {row} in {row}₀ … {row}₀ \+ 64", text)
    in_order(
        text, f"{row}₀ < 512 by 64:", "# part 1:", f"tiles of {tile} of {row} in {row}₀ … {row}₀ +",
        f"acc[{tile} × ", "] = 0", "acc +=", "if", "# part 2:",
        f"for {row} in {row}₀ … {row}₀ + 64", "= max(", "+= exp(",
        f"< {row}₀ + 64 by ", "# part 3:", "up to the diagonal", "acc +=",
    )  # fmt: skip
    assert "a · b" not in text and "of …" not in text
    # The matrices that are nowhere whole are in the kernel's stage, too.
    assert plain(e.kernel(1)).count("512, 512] = for") == 2


def test_a_blocked_derivative_has_every_part_and_each_axis_one_name() -> None:
    e = attention(512)
    kernel = next(i for i, s in enumerate(e.plan.steps) if len(s.links) > 4)
    text = plain(e.loops(kernel))
    assert text.count("# part ") == len(e.plan.steps[kernel].links) == 7
    assert text.count("what the blocks of rows before have summed") == 2
    assert "in order by one thread" in text
    # batch, head, row, column, and the features of query and of value: six axes in 33 tensors
    assert len(axes_in(e.marked("expression"))) == len(axes_in(e.marked("loops"))) == 6
    assert set(axes_in(e.marked("assembly"))) <= set(axes_in(e.marked("loops")))


def test_loops_that_are_shared_are_written_once_in_one_set_of_names() -> None:
    q, k, v = (nn.Parameter(random(1, 2, 64, 16)) for _ in range(3))

    @gu.jit
    def step(g: gu.Tensor) -> gu.Tensor:
        x = F.max_pool2d((q * k).relu(), 2)
        (x * v[..., :32, :8] * g).sum().backward()
        assert q.grad is not None
        return q.grad

    step(random(1, 2, 32, 8))
    for lines in loops(gu.explain(step)).split("kernel "):
        walked = set(re.findall(r"for ([\w·]+) <", lines))
        walked = {x for name in walked for x in name.split("·")}
        used = {x for places in re.findall(r"\[([\w, ]+)\]", lines) for x in places.split(", ")}
        assert {x for x in used if x.isalpha()} <= walked | {"buffer"}, lines


@pytest.mark.parametrize(("make", "parts"), [
    (lambda: random(5, 4).cumsum(0),
     ["for j < 4", "before = 0.0", "for i < 5:    # in order", "before = B[i, j] = before + A"]),
    (lambda: random(50, 40).sort(1)[0],
     ["for i < 50", "the positions of A[i, j], ascending, j < 40", "radix sort"]),
    (lambda: random(50, 40).topk(2)[1], ["descending, j < 40", "the 2 first are kept"]),
    (lambda: random(9, 7).argmax(1), ["t1, t2 = 0, -inf", "if A[i, j] > t2: t1, t2 = j, A[i, j]"]),
    (lambda: gu.zeros(10, 4).index_add(0, gu.tensor([1, 2, 1]).realize(), random(3, 4)),
     ["order = k < 3, by B[k]", "for k < 3 of order[i]:    # those whose B[k] is i", "acc +="]),
    (lambda: gu.zeros(10).index_add(0, gu.tensor([1, 2, 1]).realize(), random(3)),
     ["D[i] = 0 for all i < 10", "for j < 3:", "i = B[j]", "D[i] += C[j]"]),
    (lambda: F.conv2d(random(4, 16, 33, 33), random(32, 16, 3, 3), stride=2),
     ["copy[c, u, v, o] = B[o, c, u, v]", "for n < 4", "for u < 3", "acc += ", "B[o, c, u, v]"]),
    (lambda: random(300, 400).to(gu.bfloat16).realize() @ random(400, 500).to(gu.bfloat16),
     ["for k < 400 by 2:", "adds two products at once"]),
    (lambda: random(512, 512) @ random(512, 640),
     ["panel = B[k, j] of the tile's", "acc += A[i, k] * B[k, j]"]),
    (lambda: random(6000, 512).relu().exp() @ random(512, 96),
     ["for i, k of the tile's rows:", "C[i, k] = exp(", "acc += C[i, k] * D[k, j]"]),
], ids=range(10))  # fmt: skip
def test_other_kernels_say_what_they_do(
    make: Callable[[], gu.Tensor], parts: list[str]
) -> None:
    in_order(loops(gu.explain(make())), *parts)


def test_a_strided_derivative_is_written_in_the_parts_that_it_runs_in() -> None:
    x, w = nn.Parameter(random(4, 16, 33, 33)), random(32, 16, 3, 3)

    @gu.jit
    def step(g: gu.Tensor) -> gu.Tensor:
        x.grad = None
        (F.conv2d(x, w, stride=2, padding=1) * g).sum().backward()
        assert x.grad is not None
        return x.grad

    step(random(4, 32, 17, 17))
    text = loops(gu.explain(step))
    written = re.findall(r"\w+\[\w+, \w+, ([^\]]+)\] = acc", text)
    places = {re.sub(r"[a-z]", "i", place) for place in written}
    odd_and_even = [f"i * 2{r}, i * 2{s}" for r in ("", " + 1") for s in ("", " + 1")]
    assert set(odd_and_even) <= places
    assert "// 2" not in text


def test_a_copy_in_the_order_of_loops_has_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """A strided 1×1 convolution of few channels reads a copy of the pixels that it meets."""
    monkeypatch.setattr(planning, "machine", lambda: Machine(16, 32))
    x, w = random(2, 16, 56, 56), random(256, 16, 1, 1)
    e = gu.explain(F.conv2d(x, w, stride=2))
    assert isinstance(e.steps[0], Kernels) and e.steps[0].step.gathered is not None
    in_order(plain(e.loops(0)), "for n < 2", "for p < 28", "for c < 16", "for q < 28",
             "copy[n, p, c, q] = A[n, c, p * 2, q * 2]")  # fmt: skip
    n, o, p, q, c = gu.axes("image kind row column channel")
    y = (x[n, c, 2 * p, 2 * q] * w[o, c, 0, 0]).sum(c).order(n, o, p, q)
    assert "copy[image, row, channel, column] = A[image, channel, row * 2, column * 2]" in plain(
        gu.explain(y).loops(0)
    )


def test_the_same_axis_is_in_the_code_of_every_kernel() -> None:
    row, col, k = gu.axes("row col k")
    a, b = random(256, 512), random(512, 384)
    e = gu.explain((a[row, k] * b[k, col]).sum(k).order(row, col))
    for stage in ("expression", "kernels", "loops", "llvm", "assembly"):
        assert set(axes_in(e.marked(stage))) == {"row", "col", "k"}, stage


@pytest.mark.parametrize("seed", range(0, 400, 10))
def test_random_graphs_are_shown_with_a_name_for_every_variable(seed: int) -> None:
    roots = make(seed, 4 + seed % 14).roots
    e = Explanation(roots, Plan(Signature(roots), roots, [None] * len(roots)))
    for stage in ("expression", "kernels", "loops", "llvm"):
        text = plain(e.marked(stage))
        assert not re.search(r"\b(axis|term)\d+ <|of …", text), text
    for number, at in enumerate(e.steps):
        assert isinstance(at, Kernels)
        assert all(name in plain(e.loops(number)) or "as kernel" in e.loops(number)
                   for name in at.stretch.anatomy.written(at.step))  # fmt: skip
