"""An index from data that leaves its axis: the error shows who wrote it, wherever it is found."""

import re
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import groundup as gu
from groundup.nn import functional as F

b, t, f = gu.axes("b t f")
HOW = ["plain", "captured", "debug", "backward"]


@pytest.fixture(autouse=True)
def engine() -> str:
    """Each test says what it runs on."""
    return "compiled"


def late(*values: Any) -> gu.Tensor:
    """Integers that nobody has looked at when they are used as an index."""
    return gu.tensor(list(values)) * 1


def lines_of(how: str, function: Callable[..., gu.Tensor], *args: gu.Tensor) -> list[str]:
    """The lines of the IndexError that running a function ends in."""
    with gu.debug() if how == "debug" else nullcontext(), pytest.raises(IndexError) as caught:
        if how == "captured":
            captured = gu.jit(function)
            captured(*args).tolist()
        elif how == "backward":
            first = next(a for a in args if a.dtype.is_float)
            first.requires_grad_()
            loss = (function(*args) ** 2).sum()
            loss.backward()
            assert first.grad is not None
            first.grad.tolist()  # which asks rows only of positions that there are
            loss.item()
        else:
            function(*args).tolist()
    return str(caught.value).splitlines()


def marked(lines: list[str]) -> tuple[str, str]:
    """(the line that is underlined first, what of it is)"""
    at = next(n for n, line in enumerate(lines) if line.strip() and not line.strip(" ^"))
    text, under = lines[at - 1], lines[at].ljust(len(lines[at - 1]))
    return text.strip(), "".join(c for c, u in zip(text, under, strict=False) if u == "^")


def gathered(emb: gu.Tensor, tok: gu.Tensor) -> gu.Tensor:
    return (emb[tok[b, t], f] * 2.0).order(b, t, f)


def guarded(emb: gu.Tensor, tok: gu.Tensor) -> gu.Tensor:
    return gu.where(tok[b, t] > 2, emb[tok[b, t], f], 0.0).order(b, t, f)


def summed(emb: gu.Tensor, tok: gu.Tensor) -> gu.Tensor:
    row = tok[b, t] + 1
    return emb[row, f].sum(t, f).order(b)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(("function", "drawn", "culprit", "index"), [
    (gathered, "(emb[tok[b, t], f] * 2.0).order(b, t, f)", "tok[b, t]", 11),
    (guarded, "gu.where(2 < tok[b, t], emb[tok[b, t], f], 0.0).order(b, t, f)", "tok[b, t]", 11),
    (summed, "emb[tok[b, t] + 1, f].sum(t, f).order(b)", "tok[b, t] + 1", 12),
], ids=["gathered", "guarded", "summed"])  # fmt: skip
def test_the_index_of_a_gather_is_underlined(
    how: str, function: Callable[..., gu.Tensor], drawn: str, culprit: str, index: int
) -> None:
    lines = lines_of(how, function, gu.randn(10, 4).realize(), late([1, 2], [3, 11]))
    assert f"index {index} is out of range for axis 0 of emb, of shape (10, 4)" in lines[0]
    assert "valid are 0 to 9, and from the back -1 to -10" in lines[0]
    assert marked(lines) == (drawn, culprit)
    assert lines[3:5] == ["  emb  (10, 4)", "         ^"]
    assert f"gu.where({culprit} < 10, emb[…], value)" in lines[5]
    assert "gu.outside(emb, value)[…]" in lines[5]
    assert "test_sites.py:" in lines[-1] and "order(b" in lines[-1]


def test_what_the_error_says_to_write_is_right() -> None:
    emb, tok = gu.arange(20.0).reshape(10, 2), late([1, 11])
    one = gu.where(tok[b, t] < 10, emb[tok[b, t], f], -1.0).order(b, t, f)
    other = gu.outside(emb, -1.0)[tok[b, t], f].order(b, t, f)
    assert one.tolist() == other.tolist() == [[[2.0, 3.0], [-1.0, -1.0]]]
    low = late([-11, -1])
    lines = lines_of("plain", gathered, emb, low)
    assert "index -11 is out of range" in lines[0] and "gu.where(tok[b, t] >= -10, emb" in lines[5]
    kept = gu.where(low[b, t] >= -10, emb[low[b, t], f], 0.0).order(b, t, f)
    assert kept.tolist() == [[[0.0, 0.0], [18.0, 19.0]]]


@pytest.mark.parametrize("how", HOW)
def test_the_index_of_a_scatter_is_underlined(how: str) -> None:
    bins = gu.axis("bins", 5)

    def histogram(x: gu.Tensor, key: gu.Tensor) -> gu.Tensor:
        return x[t].at(bins, key[t]).sum(t).order(bins)

    lines = lines_of(how, histogram, gu.ones(3), late(0, 4, 5))
    assert lines[0].startswith("index 5 is out of range for axis bins of size 5: valid are 0 to 4")
    assert marked(lines) == ("x[t].at(bins, key[t]).sum(t).order(bins)", "key[t]")
    assert "gu.where(key[t] < 5, key[t], 0) for the index and 0 for its term" in lines[3]


NAMED: list[tuple[str, Callable[[gu.Tensor], gu.Tensor], str, str, int | str]] = [
    ("embedding", lambda i: F.embedding(i, gu.randn(5, 3)), "embedding(ids, weight)", "ids", 0),
    ("embedding", lambda i: gu.nn.Embedding(5, 3)(i), "embedding(ids, weight)", "ids", 0),
    ("x[index]", lambda i: gu.randn(5, 3)[i], "x[index]", "index", 0),
    ("x[index]", lambda i: gu.randn(3, 5)[:, i], "x[:, index]", "index", 1),
    ("x[index]", lambda i: gu.randn(9, 5)[i, i], "x[index0, index1]", "index1", 1),
    ("gather", lambda i: gu.randn(1, 5).gather(1, i[None]), "x.gather(1, index)", "index", 1),
    ("index_select", lambda i: gu.randn(3, 5).index_select(1, i), "x.index_select(1, index)",
     "index", 1),
    ("take", lambda i: gu.randn(5).take(i), "x.take(index)", "index", 0),
    ("take_along_dim", lambda i: gu.randn(5).take_along_dim(i, 0), "x.take_along_dim(indices, 0)",
     "indices", 0),
    ("cross_entropy", lambda i: F.cross_entropy(gu.randn(2, 5), i, "none"),
     "cross_entropy(x, target)", "target", 1),
    ("cross_entropy", lambda i: F.cross_entropy(gu.randn(2, 5), i, "none", weight=gu.ones(5)),
     "cross_entropy(x, target)", "target", "1 of x|0 of weight"),  # both are asked
    ("nll_loss", lambda i: F.nll_loss(gu.randn(2, 5), i, "none"),
     "nll_loss(log_probs, target)", "target", 1),
    ("scatter_add", lambda i: gu.zeros(5).scatter_add(0, i, gu.ones(2)),
     "x.scatter_add(0, index, src)", "index", 0),
    ("scatter", lambda i: gu.zeros(5).scatter(0, i, 1.0), "x.scatter(0, index, src)", "index", 0),
    ("index_add", lambda i: gu.zeros(5).index_add(0, i, i * 1.0),
     "x.index_add(0, index, source)", "index", 0),
    ("index_put", lambda i: gu.zeros(5).index_put((i,), 1.0, accumulate=True),
     "x.index_put(indices, values)", "indices", 0),
]  # fmt: skip


@pytest.mark.parametrize("how", ["plain", "captured", "debug"])
@pytest.mark.parametrize("case", NAMED, ids=[f"{n}-{row[0]}" for n, row in enumerate(NAMED)])
def test_an_operation_is_named_with_its_argument(how: str, case: Any) -> None:
    name, function, call, culprit, axis = case
    lines = lines_of(how, function, late(1, 7))
    start = rf"{re.escape(name)}: index 7 is out of range for axis ({axis})"
    assert re.match(start + r"(?!\d)", lines[0]), lines[0]
    assert "valid are 0 to 4" in lines[0]
    assert marked(lines) == (call, culprit)
    assert any(f"look first: (({culprit} >= 0) & ({culprit} < 5)).all()" in n for n in lines)
    assert "test_sites.py:" in lines[-1]


@pytest.mark.parametrize("case", NAMED, ids=[f"{n}-{row[0]}" for n, row in enumerate(NAMED)])
def test_an_index_that_is_known_is_an_error_at_once(case: Any) -> None:
    name, function, call, culprit, _ = case
    with pytest.raises(IndexError) as caught:
        function(gu.tensor([1, 7])).tolist()
    lines = str(caught.value).splitlines()
    assert "7" in lines[0] and "test_sites.py:" in lines[-1]
    if name != "x[index]" and name != "index_put":  # whose line shows it
        assert marked(lines) == (call, culprit)


def test_a_negative_id_of_a_table_is_not_shown_as_another() -> None:
    lines = lines_of("plain", lambda i: F.embedding(i, gu.randn(5, 3)), late(1, -2))
    assert "valid are 0 to 4 (a negative one shows as 5)" in lines[0]


def test_equal_graphs_on_two_lines_share_a_plan_and_not_a_line() -> None:
    emb, tok = gu.randn(10, 4).realize(), gu.tensor([3, 11])

    def one(i: gu.Tensor) -> gu.Tensor:
        return emb[i[t], f].order(t, f)

    def other(k: gu.Tensor) -> gu.Tensor:
        return emb[k[t], f].order(t, f)

    from groundup.schedule.execute import _plans

    known = [
        (lines_of(how, function, tok * 1), function.__code__.co_firstlineno + 1, len(_plans))
        for how in ("plain", "captured") for function in (one, other, one)
    ]  # fmt: skip
    for n, (lines, number, _) in enumerate(known):
        assert marked(lines)[1] == ("k[t]" if n % 3 == 1 else "i[t]")
        assert f"test_sites.py:{number}:" in lines[-1]
    assert known[0][2] == known[1][2] == known[2][2]  # one plan for the plain three


@pytest.mark.parametrize("how", ["plain", "captured", "debug"])
@settings(max_examples=12, deadline=None)
@given(bad=st.integers(0, 3), spots=st.lists(st.integers(0, 4), min_size=4, max_size=4),
       how_far=st.integers(5, 9))  # fmt: skip
def test_the_one_of_several_that_leaves_is_shown(
    how: str, bad: int, spots: list[int], how_far: int
) -> None:
    """Tables of one shape, all read in one expression: only one of the indices is outside."""
    one, two = gu.arange(5.0), gu.arange(5.0) * 2.0
    tables = [one.realize(), two.realize()]

    def mixed(*keys: gu.Tensor) -> gu.Tensor:
        p, q, r, s = keys
        x, y = tables
        return (x[p[t]] + y[q[t]] * x[r[t]] - gu.where(s[t] >= 0, y[s[t]], 0.0)).order(t)

    values = [how_far if n == bad else spot for n, spot in enumerate(spots)]
    lines = lines_of(how, mixed, *(late(0, v) for v in values))
    assert f"index {how_far} is out of range" in lines[0]
    assert marked(lines)[1] == f"{'pqrs'[bad]}[t]"


def test_a_call_that_fails_leaves_the_next_as_it_was() -> None:
    emb = gu.randn(10, 4).realize()
    step = gu.jit(gathered)
    good = step(emb, late([1, 2])).tolist()
    for _ in range(2):
        with pytest.raises(IndexError, match="index 12"):
            step(emb, late([1, 12]))
        assert step(emb, late([1, 2])).tolist() == good


def test_what_a_kept_plan_ran_knows_the_line_of_this_program() -> None:
    """A large graph, whose plan holds no expressions any more."""
    emb = gu.randn(10, 8).realize()

    def deep(tok: gu.Tensor) -> gu.Tensor:
        x = emb[tok[t], f].order(t, f)
        for n in range(60):
            x = (x @ x.t()).tanh() @ x * (1.0 + n)
        return x

    lines = lines_of("captured", deep, late(1, 10))
    assert marked(lines) == ("emb[tok[t], f].order(t, f)", "tok[t]")


@pytest.mark.parametrize("bad", range(4))
def test_the_layer_that_leaves_is_shown_among_equal_ones(bad: int) -> None:
    """Equal layers of a deep graph are worked out twice, then filled in."""
    tables = [gu.randn(6, 8).realize() for _ in range(4)]
    weight = gu.randn(8, 8).realize()

    def deep(*keys: gu.Tensor) -> gu.Tensor:
        p, q, r, s = keys
        x = tables[0][p[t], f].order(t, f)
        x = _stirred(x, weight) + tables[1][q[t], f].order(t, f)
        x = _stirred(x, weight) + tables[2][r[t], f].order(t, f)
        return _stirred(x, weight) + tables[3][s[t], f].order(t, f)

    for how in ("plain", "captured"):
        lines = lines_of(how, deep, *(late(1, 6 if n == bad else 2) for n in range(4)))
        assert marked(lines)[1] == f"{'pqrs'[bad]}[t]"


def _stirred(x: gu.Tensor, weight: gu.Tensor) -> gu.Tensor:
    for n in range(12):
        x = (x @ weight).tanh() * (1.0 + n)
    return x


@pytest.mark.parametrize("function", [
    lambda k, x: gu.ones(5)[k],
    lambda k, x: x.expand(5, 3)[k],
    lambda k, x: (x.expand(5, 3) * 2)[k],
    lambda k, x: F.embedding(k, gu.zeros(5, 3)),
    lambda k, x: gu.zeros(5, 3).gather(0, k.reshape(2, 1)),
    lambda k, x: gu.ones(5)[k[b]].order(b),
    lambda k, x: gu.ones(5)[k].sum() + 1,
    lambda k, x: F.cross_entropy(gu.zeros(2, 5), k),
    lambda k, x: F.cross_entropy(gu.zeros(2, 5) + x[0, 0], k),
])  # fmt: skip
@pytest.mark.parametrize("how", ["plain", "captured", "debug"])
def test_an_index_into_equal_elements_is_checked(how: str, function: Any) -> None:
    x = gu.randn(1, 3)
    inside = gu.jit(function)(late(4, 1), x)
    assert inside.isfinite().all()
    assert any("index 7 is out of range" in s for s in lines_of(how, function, late(1, 7), x))


def test_an_axis_that_begins_beyond_its_tensor() -> None:
    v = gu.arange(6.0)
    assert v[6 + b].order(b).shape == (0,)
    assert v[2 * b + 6].order(b).shape == (0,)
    assert v[-1 - b].order(b).shape == (0,)
    for index in (7 + b, 2 * b + 7, -2 - b, 30 + b):
        with pytest.raises(IndexError, match="but the axis has size 6"):
            v[index].order(b)
