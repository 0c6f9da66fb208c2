"""gu.explain: every stage says what the expression becomes, and names things alike."""

import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import groundup as gu
from groundup import nn
from groundup.glass import colours, explanation, peak
from groundup.glass.course import Call
from groundup.glass.text import axes_in, mark, pieces, plain
from groundup.nn import functional as F
from groundup.tensor import JitError, linalg
from groundup.tensor.jit import Jit

pytestmark = pytest.mark.usefixtures("known_roofline")


def product(m: int = 64, n: int = 32, k: int = 128) -> gu.Tensor:
    row, col, term = gu.axes("row col term")
    a, b = gu.randn(m, k).realize(), gu.randn(k, n).realize()
    return (a[row, term] * b[term, col]).sum(term).order(row, col)  # the product


def test_a_pending_tensor_is_explained_stage_by_stage() -> None:
    a, b = gu.randn(64, 128).realize(), gu.randn(128, 32).realize()
    e = gu.explain((a @ b).relu().softmax(1))
    stages = dict(e.stages)
    assert list(stages) == list(explanation.NAMES)
    assert "sum dot over k < 128 of (A[i, k] * B[k, j])" in stages["expression"]
    assert "max lanes over" in stages["kernels"]
    assert "tiles of" in stages["loops"] and "vectors of" in stages["loops"]
    assert "temporaries" in stages["memory"] and "GFLOP/s" in stages["time"]
    assert "define void @kernel" in stages["llvm"] and "kernel:" in stages["assembly"]
    assert "define" not in str(e) and "\x01" not in str(e)
    assert not any("\x01" in text for text in stages.values())


def test_the_users_axes_and_lines_are_at_every_stage() -> None:
    e = gu.explain((product(1024) + 1).softmax(1))
    for name in ("expression", "kernels", "loops", "llvm", "assembly"):
        assert {"row", "col", "term"} >= set(axes_in(e.marked(name))) - {"·"} >= {"term"}, name
    assert "test_explain.py" in e.marked("expression") and "# the product" in e.marked("kernels")
    loops = plain(e.marked("loops"))
    assert "acc += A[row, term] * B[term, col]" in loops and "for term < 128" in loops
    # The softmax runs over the same columns.
    assert "for col < 32" in loops and "parallel for row < 1024" in loops


def test_products_say_their_tiles_vectors_and_threads() -> None:
    e = gu.explain(product(512, 512, 512))
    (step,) = (s for s in e.plan.steps if s.groups)
    k = step.kernel
    loops = dict(e.stages)["loops"]
    assert f"tiles of {k.rows} of row < 512 × {k.vectors * k.width} of col < 512" in loops
    assert f"{k.rows * k.vectors} vectors of {k.width} along col" in loops
    assert "all threads" in loops


@pytest.mark.parametrize("make", [
    lambda: gu.randn(6, 7).softmax(1),
    lambda: gu.randn(6, 7).sum(0),
    lambda: gu.randn(3, 1, 5) + gu.randn(4, 1),
    lambda: gu.randn(5, 4).cumsum(0),
    lambda: gu.randn(5, 4).sort(1)[0],
    lambda: gu.randn(5, 4).topk(2)[1],
    lambda: gu.zeros(10, 4).index_add(0, gu.randint(0, 10, (6,)), gu.randn(6, 4)),
    lambda: F.conv2d(gu.randn(2, 3, 9, 9), gu.randn(4, 3, 3, 3), stride=2, padding=1).relu(),
    lambda: F.max_pool2d(gu.randn(2, 3, 8, 8), 2),
    lambda: F.layer_norm(gu.randn(6, 8), (8,)),
    lambda: F.scaled_dot_product_attention(*(gu.randn(2, 4, 256, 32).realize() for _ in "qkv"),
                                           is_causal=True),
    lambda: gu.randn(3, 4).to(gu.bfloat16) @ gu.randn(4, 5).to(gu.bfloat16),
    lambda: gu.tensor(3.0) * 2,
    lambda: gu.zeros(0, 3) + 1,
    lambda: gu.arange(5) + 1,
    lambda: gu.randn(4, 4).realize(),
    lambda: gu.randn(4, 4).realize().t(),
], ids=range(17))  # fmt: skip
def test_every_kind_of_kernel_is_shown(make) -> None:
    e = gu.explain(make())
    assert all(isinstance(text, str) for _, text in e.stages)
    assert len(e.timings) == len(e.plan.steps)
    assert e.html() and str(e)


def test_explaining_changes_no_tensor() -> None:
    a, b = gu.randn(40, 30).realize(), gu.randn(30, 20).realize()
    before = a.numpy(), b.numpy()
    y = (a @ b).relu()
    text = str(gu.explain(y))
    assert y._storage.pending is not None and "GFLOP/s" in text
    assert np.array_equal(a.numpy(), before[0]) and np.array_equal(b.numpy(), before[1])
    assert np.allclose(y.numpy(), np.maximum(before[0] @ before[1], 0), atol=1e-4)


def test_work_is_counted() -> None:
    m, n, k = 64, 32, 128
    (t,) = gu.explain(product(m, n, k)).timings
    assert t.work.flop == 2 * m * n * k
    assert t.work.read == 4 * (m * k + k * n) and t.work.written == 4 * m * n
    assert t.share == pytest.approx(t.least / t.seconds)
    assert t.gflops == pytest.approx(t.work.flop / t.seconds / 1e9)
    (t,) = gu.explain((gu.ones(8, 5).realize() * 2 + gu.ones(5).realize()).exp()).timings
    assert t.work == (3 * 40, 4 * 45, 4 * 40)
    # A broadcast operand is read once, a part of a tensor as far as it is asked for.
    (t,) = gu.explain(gu.ones(100, 50).realize()[:, :2] * 1.5).timings
    assert t.work.read == 4 * 200 and t.work.flop == 200


def test_a_causal_product_counts_half() -> None:
    q, k, v = (gu.randn(1, 1, 256, 32).realize() for _ in range(3))
    whole = gu.explain(F.scaled_dot_product_attention(q, k, v))
    half = gu.explain(F.scaled_dot_product_attention(q, k, v, is_causal=True))
    flops = [sum(t.work.flop for t in e.timings) for e in (whole, half)]
    assert 0.45 < flops[1] / flops[0] < 0.55
    assert flops[0] >= 2 * 2 * 256 * 256 * 32


def test_a_captured_step_is_explained_once_it_was_called() -> None:
    model = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = gu.optim.SGD(model.parameters(), lr=0.1)

    @gu.jit
    def step(x: gu.Tensor, y: gu.Tensor) -> gu.Tensor:
        loss = F.cross_entropy(model(x), y)  # the loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    with pytest.raises(JitError, match="not been called"):
        gu.explain(step)
    x, y = gu.randn(16, 12).realize(), gu.randint(0, 3, (16,)).realize()
    step(x, y)
    weights = [p.tolist() for p in model.parameters()]
    e = gu.explain(step)
    assert len(e.timings) == len(e.plan.steps) and all(t.seconds > 0 for t in e.timings)
    assert "# the loss" in str(e)
    assert [p.tolist() for p in model.parameters()] == weights


def posterior() -> Jit:
    """Kernels, two host operations, kernels, a third one, kernels."""
    i, j, k = gu.axes("row other feature")

    @gu.jit
    def step(x: gu.Tensor, y: gu.Tensor) -> tuple[gu.Tensor, gu.Tensor]:
        product = (x[i, k] * x[j, k]).sum(k).order(i, j)  # the products
        noisy = product + 64 * gu.eye(24)
        lower = linalg.cholesky(noisy)  # the root
        half = linalg.solve(lower, y)
        return product @ half.exp(), linalg.svdvals(noisy).sum()

    x, y = gu.randn(24, 5), gu.randn(24, 3)
    for _ in range(3):
        step(x, y)
    return step


def test_host_operations_are_steps_between_the_kernels() -> None:
    e = gu.explain(posterior())
    names = [at.name if isinstance(at, Call) else "kernel" for at in e.steps]
    order = [name for name, before in zip(names, ["", *names], strict=False) if name != before]
    assert order == ["kernel", "cholesky", "svdvals", "kernel", "solve", "kernel"]
    at = names.index("cholesky")
    stages = dict(e.stages)
    for name, text in (("kernels", "# LAPACK's potrf, called by numpy.linalg.cholesky"),
                       ("kernels", "test_explain.py:"), ("kernels", "# the root"),
                       ("loops", "[24, 24] = cholesky("), ("loops", "[24, 3] = solve("),
                       ("time", "by cholesky in Python, best of 2 calls"),
                       ("time", "all kernels and host operations"),
                       ("memory", "are what host operations read and make"),
                       ("llvm", f"; host {at} is not compiled here: cholesky"),
                       ("assembly", f"; host {at} is not compiled here")):  # fmt: skip
        assert text in stages[name], (name, text)
    # Each step is there, under its number, with the names that the expression gives.
    titles = [line for line in stages["kernels"].splitlines() if not line.startswith(" ")]
    assert [line.split(":")[0] for line in titles] == [
        f"{'host' if name != 'kernel' else 'kernel'} {i}" for i, name in enumerate(names)
    ]
    (made,) = re.findall(r"(\w+): float32\[24, 24\] = cholesky", stages["expression"])
    assert titles[at].startswith(f"host {at}: {made}[24, 24] from ")
    assert {"row", "other", "feature"} <= set(axes_in(e.marked("loops")))
    assert len(e.timings) == len(e.steps)
    assert all(t.seconds > 0 for t in e.timings)
    assert e.memory.between >= 2 * 24 * 24 * 4


def test_a_derivative_through_a_host_operation_is_explained() -> None:
    @gu.jit
    def slope(x: gu.Tensor) -> gu.Tensor:
        return gu.grad(lambda m: linalg.inv(m).square().sum())(x @ x.mT + gu.eye(8))

    x = gu.randn(8, 8).realize()
    found = slope(x)
    e = gu.explain(slope)
    assert [at.name for at in e.steps if isinstance(at, Call)] == ["inv"]
    assert "its one call" in str(e) and "numpy.linalg.inv" in str(e)
    assert gu.equal(slope(x), found)  # explaining leaves the captured graph as it was


def test_the_page_and_the_terminal_show_host_operations() -> None:
    e = gu.explain(posterior())
    text = e.html()
    assert "kernels and 3 host operations</h1>" in text
    at = next(i for i, s in enumerate(e.steps) if isinstance(s, Call))
    assert f"<summary>host {at}: " in text and text.count('<div class="called">') == 3
    assert "LAPACK&#x27;s potrf, called by numpy.linalg.cholesky" in text
    out = io.StringIO()
    Console(file=out, width=120).print(e)
    assert "by cholesky in Python" in out.getvalue()


def test_an_index_that_is_out_of_range_is_found_when_it_runs_not_when_it_is_explained() -> None:
    late = gu.tensor([0, 2]) + 1
    y = gu.zeros(3, 2).index_add(0, late, gu.ones(2, 2))
    assert "kernel 0" in str(gu.explain(y))
    with pytest.raises(IndexError):
        y.realize()


def test_only_tensors_and_captured_functions_are_explained() -> None:
    with pytest.raises(TypeError, match="explain takes a tensor"):
        gu.explain(3)  # type: ignore[arg-type]
    i = gu.axis("i")
    with pytest.raises(TypeError, match=r"close it by \.order"):
        gu.explain(gu.ones(3)[i] * 2)


# ---- pages and terminals -------------------------------------------------------------------------


class Page(HTMLParser):
    """Checks that tags are closed, and gathers the class of each axis."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.axes: dict[str, set[str]] = {}
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag not in ("meta", "br"):
            self.open.append(tag)
        if found.get("data-axis"):
            classes = str(found["class"]).split()
            self.axes.setdefault(str(found["data-axis"]), set()).add(classes[-1])
        self.links += [str(v) for k, v in attrs if k in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_colours_an_axis_alike_everywhere(tmp_path: Path) -> None:
    e = gu.explain((product() + 1).softmax(1))
    file = tmp_path / "page.html"
    e.save(file)
    page = Page()
    page.feed(file.read_text(encoding="utf-8"))
    assert not page.open and not page.links  # self-contained
    assert set(page.axes) >= {"row", "col", "term"}
    assert all(len(colours) == 1 for colours in page.axes.values())
    assert len({min(c) for c in page.axes.values()}) == len(page.axes)
    text = e.html()
    for heading in ("as written", "fused kernel", "loops", "LLVM IR", "assembly", "roofline"):
        assert heading in text
    assert "http" not in re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert e._repr_html_() in text


def test_what_a_user_wrote_is_escaped() -> None:
    a = gu.ones(3).realize()
    x = gu.axis("<b>&")
    text = gu.explain((a[x] * 2).order(x)).html()  # <em>
    assert "<b>&" not in text and "&lt;b&gt;&amp;" in text
    assert "# &lt;em&gt;" in text and "# <em>" not in text


def test_the_terminal_shows_the_same_words() -> None:
    e = gu.explain(product())
    console = Console(width=200, record=True, file=io.StringIO(), color_system="truecolor")
    console.print(e)
    text = console.export_text(clear=False)
    assert "acc += A[row, term] * B[term, col]" in text and "GFLOP/s" in text
    assert "define" not in text
    coloured = console.export_text(styles=True)
    assert "\x1b[1;3" in coloured  # bold, in a colour


def test_marks_come_off() -> None:
    text = f"for {mark('i')} < 3: {mark('k', '%i3')} # {mark('i')}"
    assert plain(text) == "for i < 3: %i3 # i" and axes_in(text) == ["i", "k"]
    assert list(pieces(text))[1] == ("i", "i") and ("k", "%i3") in list(pieces(text))


def test_a_roofline_that_something_exceeds_is_measured_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from groundup.glass import times
    from groundup.schedule.work import Work

    speeds = iter([1e9, 4e9, 4e9])
    monkeypatch.setattr(peak, "flops", lambda *_: next(speeds))
    (found,) = times.timings([0.5], [Work(1e9, 0.0, 0.0)], [{"float32": 1e9}])
    assert found.least == 0.25 and found.share == 0.5


def contrast(one: str, other: str) -> float:
    """Of two colours, as WCAG 2 defines it."""

    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (x / 12.92 if x <= 0.03928 else ((x + 0.055) / 1.055) ** 2.4 for x in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


def test_colours_can_be_read_on_their_background() -> None:
    assert all(contrast(c, "#ffffff") >= 4.5 for c in colours.PALETTE)
    assert all(contrast(c, "#16191d") >= 4.5 for c in colours.DARK)
    assert all(min(contrast(c, "#ffffff"), contrast(c, "#000000")) >= 4.3 for c in colours.TERMINAL)
    assert len(colours.PALETTE) == len(colours.DARK) == len(colours.TERMINAL)
    assert "prefers-color-scheme:dark" in gu.explain(product()).html()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_what_is_too_long_for_the_terminal_hangs_below(width: int) -> None:
    q, k, v = (gu.randn(2, 4, 512, 32).realize() for _ in range(3))
    e = gu.explain(F.scaled_dot_product_attention(q, k, v, is_causal=True))
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(e)
    lines = console.export_text().split("\n")
    assert all(len(line) <= width for line in lines)
    (at,) = [i for i, line in enumerate(lines) if "# blocks of" in line]
    if len(lines[at].strip()) > width - 20:  # it goes on below, deeper
        deep = len(lines[at]) - len(lines[at].lstrip())
        assert lines[at + 1].startswith(" " * (deep + 4))
