"""Shapes that do not fit an index, a mask or a reshape: what is marked is at fault, what is written
instead is right."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import groundup as gu
from groundup.tensor import ShapeError

Shape = tuple[int, ...]
shapes = st.lists(st.integers(0, 4), min_size=1, max_size=3).map(tuple)


@pytest.fixture(autouse=True)
def engine() -> str:
    """Nothing is computed here."""
    return "none"


def lines_of(call: Callable[[], Any]) -> list[str] | None:
    """The lines of the error of a call, if there is one."""
    try:
        call()
    except (ShapeError, IndexError) as error:
        return str(error).splitlines()
    return None


def sizes_marked(lines: list[str]) -> dict[str, int | None]:
    """For each shape of a picture, the size over or under the first mark (None: there is none)."""
    at = next(n for n, line in enumerate(lines) if line.strip() == "^")
    column = lines[at].index("^")
    found: dict[str, int | None] = {}
    for line in lines[1:]:
        row = re.fullmatch(r"  (\w+) +\(([-\d, ]*)\)", line)
        if row:
            ends = {m.end() - 1: int(m.group()) for m in re.finditer(r"-?\d+", line)}
            found[row.group(1)] = ends.get(column)
    return found


def integers(shape: Shape) -> gu.Tensor:
    return gu.zeros(*shape, dtype=gu.int64)


@settings(deadline=None)
@given(shapes, shapes, st.one_of(st.none(), shapes), st.integers(0, 2))
def test_an_index_and_a_source_of_positions(
    tensor: Shape, index: Shape, source: Shape | None, dim: int
) -> None:
    assume(dim < len(tensor) and 0 not in index and tensor[dim])
    x, i = gu.zeros(*tensor), integers(index)
    if source is None:
        lines = lines_of(lambda: x.gather(dim, i))
    else:
        values = gu.zeros(*source)
        lines = lines_of(lambda: x.scatter_add(dim, i, values))
    fits = len(index) == len(tensor) and all(
        e == dim or n <= s for e, (n, s) in enumerate(zip(index, tensor))
    )
    if source is not None:
        fits = fits and len(source) == len(tensor) and all(
            n <= s for n, s in zip(index, source)
        )
    assert (lines is None) == fits
    if lines is None:
        return
    marked = sizes_marked(lines)
    if "number of axes" in lines[0]:
        odd = [s for s in (index, source) if s is not None and len(s) != len(tensor)]
        assert odd and None in marked.values() and {*marked.values()} != {None}
        return
    told = re.search(r"longer than the (\w+) on axis (\d)", lines[0])
    narrow = re.search(r"write index.narrow\((\d), 0, (\d)\)", lines[-2])
    assert told is not None and narrow is not None
    other, e = told.group(1), int(told.group(2))
    shape = {"tensor": tensor, "source": source}[other]
    assert shape is not None and index[e] > shape[e]
    assert (marked["index"], marked[other]) == (index[e], shape[e])
    assert (int(narrow.group(1)), int(narrow.group(2))) == (e, shape[e])


@settings(deadline=None)
@given(shapes, st.integers(0, 4), shapes, st.integers(0, 2),
       st.sampled_from(["index_add", "index_copy", "index_reduce"]))  # fmt: skip
def test_a_source_with_a_part_for_each_index(
    tensor: Shape, count: int, source: Shape, dim: int, name: str
) -> None:
    assume(dim < len(tensor) and 0 not in tensor)
    wanted = (*tensor[:dim], count, *tensor[dim + 1 :])
    x, i, v = gu.zeros(*tensor), integers((count,)), gu.zeros(*source)
    more = ("amax",) if name == "index_reduce" else ()
    lines = lines_of(lambda: getattr(gu, name)(x, dim, i, v, *more))
    assert (lines is None) == (source == wanted)
    if lines is not None:
        assert str(wanted).replace(" ", "") in lines[0].replace(" ", "")
        marked = sizes_marked(lines)
        assert marked["source"] != marked["wanted"]


@settings(deadline=None)
@given(shapes, st.lists(st.integers(-1, 6), min_size=1, max_size=4).map(tuple))
def test_a_reshape_to_another_number_of_elements(source: Shape, wanted: Shape) -> None:
    assume(wanted.count(-1) < 2)
    total, known = 1, 1
    for s in source:
        total *= s
    for s in wanted:
        known *= s if s != -1 else 1
    x = gu.zeros(*source)
    lines = lines_of(lambda: x.reshape(*wanted))
    fits = known == total if -1 not in wanted else known != 0 and total % known == 0
    assert (lines is None) == fits
    if lines is None:
        return
    marked = sizes_marked(lines)["wanted"]
    assert marked is not None
    example = re.search(r"as those of \(([\d, ]+)\)", lines[-2])
    if example is not None:
        sizes = tuple(int(s) for s in re.findall(r"\d+", example.group(1)))
        assert x.reshape(*sizes).shape == sizes
        assert sum(a != b for a, b in zip(sizes, wanted, strict=True)) == 1
        at = next(n for n, (a, b) in enumerate(zip(sizes, wanted, strict=True)) if a != b)
        assert wanted[at] == marked
    elif -1 in wanted and total:
        assert f"a divisor of {total}" in lines[-2]
    else:
        assert f"multiply to {total}" in lines[-2]


@settings(deadline=None)
@given(shapes, shapes, st.integers(0, 1))
def test_a_mask_of_another_size(tensor: Shape, mask: Shape, lead: int) -> None:
    assume(lead + len(mask) <= len(tensor))
    x, where = gu.ones(*tensor), gu.zeros(*mask) > 0
    key = (*(slice(None),) * lead, where)
    lines = lines_of(lambda: x[key])
    covered = tensor[lead : lead + len(mask)]
    # As in NumPy, a mask with an axis of size 0 fits one of any size: it selects nothing.
    fits = all(m in (0, size) for m, size in zip(mask, covered, strict=True))
    assert (lines is None) == fits
    if lines is None:
        return
    marked = sizes_marked(lines)
    assert marked["mask"] != marked["axes"]
    write = re.search(r"write x\[((?::, )*)mask\]", lines[-2])
    if write is not None:
        x[(*(slice(None),) * write.group(1).count(":"), where)]
    elif "masked_select" in lines[-2]:
        assert x.masked_select(where).ndim == 1
        assert gu.where(where, x, 0.0).shape == tensor
    else:
        assert str(covered).replace(" ", "") in lines[-2].replace(" ", "")


@pytest.mark.parametrize(("make", "drawn"), [
    (lambda: gu.zeros(3, 4).gather(1, integers((3,))),
     "  tensor  (3, 4)\n           ^\n  index      (3,)"),
    (lambda: gu.zeros(3, 4).gather(1, integers((5, 2))),
     "  tensor  (3, 4)\n  index   (5, 2)\n           ^\n  write index.narrow(0, 0, 3)"),
    (lambda: gu.zeros(3, 4).scatter_add(1, integers((3, 2)), gu.zeros(2, 2)),
     "  index   (3, 2)\n  source  (2, 2)\n           ^\n  write index.narrow(0, 0, 2)"),
    (lambda: gu.zeros(3, 4).scatter(1, integers((5, 2)), 1.0),
     "  tensor  (3, 4)\n  index   (5, 2)\n           ^\n"),
    (lambda: gu.scatter_reduce(gu.zeros(3, 4), 1, integers((3,)), gu.zeros(3, 4), "sum"),
     "  tensor  (3, 4)\n           ^\n  index      (3,)\n  source  (3, 4)"),
    (lambda: gu.zeros(3, 4).index_add(1, integers((2,)), gu.zeros(3, 3)),
     "  source  (3, 3)\n  wanted  (3, 2)\n              ^"),
    (lambda: gu.zeros(3, 4).index_add(1, integers((2, 2)), gu.zeros(3, 2)),
     "  index  (2, 2)\n          ^\n  write index.reshape(-1)"),
    (lambda: gu.zeros(3, 4).index_select(1, integers((2, 2))),
     "  index  (2, 2)\n          ^\n  write x[:, index], or index.reshape(-1)"),
    (lambda: gu.zeros(3, 4)[gu.zeros(4) > 0],
     "  mask  (4,)\n  axes  (3,)\n         ^\n  write x[:, mask] for axis 1"),
    (lambda: gu.zeros(3)[gu.zeros(3, 4) > 0],
     "  tensor     (3,)\n  mask    (3, 4)\n           ^\n  a mask stands for as many axes"),
    (lambda: gu.zeros(3, 4).reshape(5, 2),
     "  wanted  (5, 2)\n           ^\n  the sizes of a shape multiply to 12, as those of (6, 2)"),
    (lambda: gu.zeros(3, 4).view(3, 5),
     "  wanted  (3, 5)\n              ^\n  the sizes of a shape multiply to 12, as those of (3, 4"),
    (lambda: gu.zeros(3, 4).reshape(5, -1),
     "  wanted  (5, -1)\n           ^\n  the sizes beside -1 multiply to a divisor of 12"),
    (lambda: gu.zeros(3, 4).unflatten(1, (3, 2)),
     "  source     (3, 4)\n  wanted  (3, 3, 2)\n              ^"),
    (lambda: gu.zeros(2, 3, 4).transpose(0, 1).view(6, 4),
     "  source  (3, 2, 4)\n              ^\n  wanted     (6, 4)"),
    (lambda: gu.zeros(4, 6)[:, :3].view(12),
     "  source  (4,  3)\n           ^\n  wanted     (12,)"),
    (lambda: gu.zeros(2, 3).take_along_dim(integers((2,)), 0),
     "  tensor  (2, 3)\n           ^\n  index      (2,)"),
    (lambda: gu.zeros(2, 3).take_along_dim(integers((2, 4)), 0),
     "  tensor  (2, 3)\n  index   (2, 4)\n              ^"),
], ids=range(18))  # fmt: skip
def test_pictures(make: Callable[[], object], drawn: str) -> None:
    with pytest.raises((ShapeError, IndexError)) as error:
        make()
    assert f"\n{drawn}" in str(error.value)
    assert "test_unfit.py:" in str(error.value).splitlines()[-1]
