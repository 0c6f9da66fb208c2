"""explain_broadcast, storage_info and shape errors: what they draw is what is the case."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

import groundup as gu
from groundup.nn import functional as F
from groundup.tensor import ShapeError
from groundup.tensor.errors import picture

Shape = tuple[int, ...]


def columns(line: str) -> set[int]:
    """Where the numbers of a line end."""
    return {i for i, c in enumerate(line) if c.isdigit() and not line[i + 1 : i + 2].isdigit()}


@given(st.lists(st.lists(st.integers(0, 12345), max_size=5).map(tuple), min_size=1, max_size=4))
def test_sizes_lie_in_columns_counted_from_the_right(shapes: list[Shape]) -> None:
    lines = picture(dict(zip("abcd", shapes))).split("\n")[1:]
    widest = max(shapes, key=len)
    ends = sorted(columns(lines[shapes.index(widest)]))
    for line, shape in zip(lines, shapes, strict=True):
        assert sorted(columns(line)) == ends[len(ends) - len(shape) :]
        text = line[2:].partition(" ")[2].replace(" ", "")
        assert text == repr(tuple(shape)).replace(" ", "")


@given(st.lists(st.sampled_from([(), (3,), (1,), (2, 3), (2, 1), (4, 2, 1), (4, 1, 3), (5,)]),
                min_size=1, max_size=3))
def test_a_broadcast_is_what_addition_does(shapes: list[Shape]) -> None:
    try:
        total = sum(gu.zeros(*s) for s in shapes)
    except ShapeError:
        with pytest.raises(ShapeError, match=r"\^"):
            gu.explain_broadcast(*shapes)
        return
    found = gu.explain_broadcast(*shapes)
    assert found.shape == tuple(total.shape)
    for shape, axes in zip(shapes, found.copied, strict=True):
        strides = gu.zeros(*shape).expand(*found.shape).stride()
        assert axes == tuple(d for d, s in enumerate(strides) if s == 0 and found.shape[d] != 1)


def test_a_small_tensor_is_shown_as_a_spreadsheet_shows_it() -> None:
    text = str(gu.explain_broadcast(gu.zeros(2, 3), gu.tensor([1, 22, -3])))
    assert "repeated along axis 0 (2 times)" in text
    rows = [line.split() for line in text.split("\n")[-2:]]
    assert rows == [["1", "22", "-3"], ["(1)", "(22)", "(-3)"]]
    assert "<pre>" in gu.explain_broadcast((2,), ())._repr_html_()


def test_wrong_operands_are_refused() -> None:
    with pytest.raises(TypeError, match="needs tensors or shapes"):
        gu.explain_broadcast()
    with pytest.raises(TypeError, match="whole numbers"):
        gu.explain_broadcast(2.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="0 or more"):
        gu.explain_broadcast((2, -1))


def test_a_mark_lies_under_the_axis_that_does_not_fit() -> None:
    with pytest.raises(ShapeError) as error:
        gu.zeros(8, 10, 6) * gu.zeros(7, 1)
    a, b, mark = str(error.value).split("\n")[1:4]
    assert "counted from the right, axis 2" in str(error.value)
    assert a[mark.index("^")] == "0" and b[mark.index("^")] == "7"


def test_a_broadcast_stores_one_copy() -> None:
    c = gu.tensor([10.0, 20.0, 30.0])
    rows = c.expand(4, 3)
    info = rows.storage_info()
    assert (info.strides, info.offset, info.elements, info.stored) == ((0, 1), 0, 12, 3)
    assert info.shared == ("c of shape (3,)",)
    assert "axis 0 repeats one copy 4 times" in str(info) and "12 bytes" in str(info)


def test_who_shares_memory_is_named() -> None:
    m = gu.arange(12).reshape(3, 4).clone().realize()
    part, turned = m[1:, 2], m.t()
    info = part.storage_info()
    assert info.strides == (4,) and info.offset == 6 and info.stored == info.elements == 2
    assert info.shared == ("m of shape (3, 4)", "turned of shape (4, 3)")
    assert (m + 1).storage_info().shared == ()
    assert "still to be computed" in str((m + 1).storage_info())
    assert turned.storage_info().strides == (1, 4)


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (1, 1), (5, 1, 2)])
def test_awkward_shapes_have_a_storage(shape: Shape) -> None:
    info = gu.zeros(*shape).storage_info()
    assert info.elements == info.stored and str(info) and "<pre>" in info._repr_html_()


@pytest.mark.parametrize(("make", "drawn"), [
    (lambda: gu.zeros(3, 4) @ gu.zeros(5, 4),
     "  a  (3, 4)\n         ^\n  b  (5, 4)\n      ^"),
    (lambda: gu.zeros(2, 3, 4) @ gu.zeros(3, 4, 5),
     "  a  (2, 3, 4)\n  b  (3, 4, 5)\n      ^"),
    (lambda: gu.zeros(3, 4) @ gu.zeros(3), "  a  (3, 4)\n  b     (3,)\n         ^"),
    (lambda: gu.cat([gu.zeros(2, 3), gu.zeros(2, 4)], 0),
     "  first  (2, 3)\n  other  (2, 4)\n             ^"),
    (lambda: gu.cat([gu.zeros(2, 3), gu.zeros(9)], 1),
     "  first  (2, 3)\n  other     (9,)\n          ^"),
    (lambda: gu.stack([gu.zeros(2, 3), gu.zeros(4, 3)]),
     "  first  (2, 3)\n  other  (4, 3)\n          ^"),
    (lambda: gu.where(gu.zeros(3) > 0, gu.zeros(4, 3), gu.zeros(4, 2)),
     "  a     (3,)\n  b  (4, 3)\n  c  (4, 2)\n         ^"),
    (lambda: gu.zeros(3).add_(gu.zeros(4, 3)), "  left      (3,)\n  right  (4, 3)\n          ^"),
    (lambda: gu.zeros(3, 4).__setitem__(0, gu.zeros(5)),
     "  place  (4,)\n  value  (5,)\n          ^"),
    (lambda: gu.zeros(3, 4).expand(2, 4), "  source  (3, 4)\n  wanted  (2, 4)\n           ^"),
    (lambda: gu.einsum("ij,jk->ik", gu.zeros(2, 3), gu.zeros(4, 5)),
     "  operand 0  (2, 3)\n                 ^\n  operand 1  (4, 5)\n              ^"),
    (lambda: F.linear(gu.zeros(2, 3), gu.zeros(4, 5)),
     "  input   (2, 3)\n  weight  (4, 5)\n              ^"),
    (lambda: F.linear(gu.zeros(2, 3), gu.zeros(4, 3), gu.zeros(5)),
     "  weight  (4, 3)\n           ^\n  bias       (5,)\n              ^"),
    (lambda: F.mse_loss(gu.zeros(3, 4), gu.zeros(3, 1)),
     "  input   (3, 4)\n  target  (3, 1)\n              ^"),
    (lambda: F.cross_entropy(gu.zeros(3, 4), gu.zeros(5, dtype=gu.int64)),
     "  input   (3, 4)\n           ^\n  target     (5,)\n              ^"),
    (lambda: F.conv2d(gu.zeros(1, 3, 8, 8), gu.zeros(4, 2, 3, 3)),
     "  input   (1, 3, 8, 8)\n  weight  (4, 2, 3, 3)\n              ^"),
    (lambda: F.batch_norm(gu.zeros(2, 3), gu.zeros(4), gu.zeros(4)),
     "  running_mean  (4,)\n                 ^"),
    (lambda: F.scaled_dot_product_attention(*(gu.zeros(2, 3, d) for d in (4, 5, 4))),
     "  query  (2, 3, 4)\n  key    (2, 3, 5)\n                ^\n  value  (2, 3, 4)"),
], ids=range(18))  # fmt: skip
def test_shapes_that_do_not_fit_are_drawn_with_a_mark(
    make: Callable[[], object], drawn: str
) -> None:
    with pytest.raises(gu.ShapeError) as error:
        make()
    assert f"\n{drawn}\n" in f"{error.value}\n"
