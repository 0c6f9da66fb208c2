"""Operations and bytes of loop nests, against counting by hand."""

import itertools

import pytest

import groundup as gu
from groundup.nn import functional as F
from groundup.schedule import Plan, Signature
from groundup.schedule.work import elements, flop, flop_by_type, read_by


def nests(t: gu.Tensor) -> float:
    """The operations of all loop nests of a tensor's expression."""
    return sum(flop(n) for n in Signature([t.node]).order)


@pytest.mark.parametrize(
    ("size", "stride", "padding"), [(4, 1, 1), (9, 2, 1), (7, 3, 2), (5, 1, 0)]
)
def test_terms_beyond_the_edge_of_an_image_do_not_count(
    size: int, stride: int, padding: int
) -> None:
    x, w = gu.randn(2, 3, size, size).realize(), gu.randn(4, 3, 3, 3).realize()
    out = (size + 2 * padding - 3) // stride + 1
    inside = sum(
        0 <= p * stride + u - padding < size
        for p, u in itertools.product(range(out), range(3))
    )
    got = nests(F.conv2d(x, w, stride=stride, padding=padding))
    assert got == pytest.approx(2 * 2 * 4 * 3 * inside**2)


def test_one_side_of_a_diagonal_counts() -> None:
    i, j, k = gu.axes("i j k")
    a, b = gu.randn(5, 7).realize(), gu.randn(7, 5).realize()
    zero = gu.where(j <= i, (a[i, k] * b[k, j]).sum(k), 0.0).order(i, j)
    assert nests(zero) == pytest.approx(2 * 7 * 15)
    zero = gu.where(j < i, (a[i, k] * b[k, j]).sum(k), 0.0).order(i, j)
    assert nests(zero) == pytest.approx(2 * 7 * 10)


def test_each_operation_counts_once_for_what_it_depends_on() -> None:
    i, j = gu.axes("i j")
    a, b = gu.randn(6, 4).realize(), gu.randn(6).realize()
    # exp runs once a row, the rest for each element
    assert nests((a[i, j] * b[i].exp() + 1.0).order(i, j)) == 6 + 2 * 24
    assert nests((a[i, j]).max(j).order(i)) == 24
    assert nests(gu.arange(10) + gu.arange(10)) == 0  # not floating


def test_bytes_are_those_that_are_asked_for() -> None:
    x = gu.randn(100, 50).realize()

    def read(t: gu.Tensor) -> float:
        plan = Plan(Signature([t.node]), [t.node], [None])
        (group,) = plan.steps[0].groups
        assert elements(group.node) == t.numel()
        return read_by([(group.body, group.shape)], [group.node])

    assert read(x + 1) == 4 * 5000
    assert read(x[:4] + 1) == 4 * 200
    assert read(x[::2, 3] + 1) == 4 * 50
    assert read(x * x) == 4 * 5000
    assert read(x[0].expand(100, 50) * 2) == 4 * 50


@pytest.mark.parametrize("name", ["float32", "float64", "float16", "bfloat16"])
def test_operations_are_counted_by_the_arithmetic_that_they_need(name: str) -> None:
    dtype = getattr(gu, name)
    a, b = gu.randn(6, 5).to(dtype).realize(), gu.randn(5, 4).to(dtype).realize()
    plan = Plan(Signature([(a @ b).node]), [(a @ b).node], [None])
    (made,) = (g.node for s in plan.steps for g in s.groups)
    kind = "float32" if name == "float16" else name  # widened, and summed there
    assert flop_by_type(made) == {kind: 2 * 6 * 5 * 4} and flop(made) == 2 * 6 * 5 * 4
    assert flop_by_type((a.to(gu.float64) * 2).node) == {"float64": 30}
