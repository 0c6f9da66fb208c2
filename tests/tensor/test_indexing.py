"""x[...] for reading and assigning, compared with torch."""

from typing import Any

import numpy as np
import pytest

import groundup as gu

from .support import compare, same, sample, torch

S = slice(None)


def keys(lib: Any) -> list[Any]:
    """Index expressions for a tensor of shape (4, 5, 6)."""
    i = lib.tensor([0, 2, -1])
    j = lib.tensor([[1], [3]])
    m = lib.tensor([True, False, True, True])
    m2 = lib.tensor([[(a * 5 + b) % 3 == 0 for b in range(5)] for a in range(4)])
    return [
        1, -1, (1, 2), (1, 2, 3), (-1, -2, -3), S, (S, 1), (Ellipsis, 1), (Ellipsis,), None,
        (slice(1, 3), slice(None, None, 2)), (slice(3, 1),), (slice(-3, None), S, slice(0, -1)),
        (None, 1, Ellipsis, None), (S, None, slice(1, 4), 2),
        i, (S, i), (i, i), (i, S, i), (j, i), (S, j, i), (i, 1), (1, i), (i, slice(1, 3)),
        (1, S, i), (i, 2, j[:, 0][:1]), (slice(1, 3), i), (None, i), (i, None, i),
        (Ellipsis, i), (j, Ellipsis),
        [0, 2], ([0, 2], [1, 1]), (S, [4, 0, 0]), lib.tensor(2),
        (lib.tensor(2), lib.tensor([1, 2])),
        m, m2, (m, S, 1), (S, lib.tensor([True, False, True, False, True])), (m, i),
        lib.tensor(True), lib.tensor([], dtype=lib.int64), (S, lib.tensor([], dtype=lib.int64)),
        lib.zeros(4, dtype=lib.bool), (i.to(lib.int32) if lib is gu else i,), range(1, 3),
    ]  # fmt: skip


COUNT = len(keys(gu))


@pytest.mark.peers
@pytest.mark.parametrize("n", range(COUNT))
def test_reading(n: int) -> None:
    x = sample((4, 5, 6))
    compare(lambda lib, a: a[keys(lib)[n]], x)
    compare(lambda lib, a: (a * 2).transpose(0, 1).transpose(0, 1)[keys(lib)[n]] * 3, x)


@pytest.mark.peers
@pytest.mark.parametrize("n", range(COUNT))
@pytest.mark.parametrize("what", ["number", "0-d", "full", "row", "expression"])
def test_assigning(n: int, what: str) -> None:
    x = sample((4, 5, 6))
    t = torch()
    theirs = t.from_numpy(x.copy())
    place = theirs[keys(t)[n]].shape
    if what == "row" and len(place) < 1:
        return
    full = np.asarray(sample(tuple(place), seed=5))
    row = np.asarray(sample(tuple(place[-1:]), seed=6))
    for make in (lambda a: gu.from_numpy(a), lambda a: gu.from_numpy(a) * 1):
        ours, theirs = make(x), t.from_numpy(x.copy())
        key, his = keys(gu)[n], keys(t)[n]
        if what == "number":
            ours[key], theirs[his] = 2.5, 2.5
        elif what == "0-d":
            ours[key], theirs[his] = gu.tensor(1.5), t.tensor(1.5)
        elif what == "full":
            if repeated(theirs, his):
                return
            ours[key], theirs[his] = gu.from_numpy(full), t.from_numpy(full)
        elif what == "row":
            if repeated(theirs, his):
                return
            ours[key], theirs[his] = gu.from_numpy(row), t.from_numpy(row)
        else:
            ours[key] = gu.tensor(2.0) * 3
            theirs[his] = t.tensor(6.0)
        same(ours, theirs)


def repeated(x: Any, key: Any) -> bool:
    """Does an index name a place twice (then torch leaves open which value stays)?"""
    where = torch().arange(x.numel()).reshape(x.shape)[key]
    return len(where.unique()) < where.numel()


@pytest.mark.peers
@pytest.mark.parametrize("n", range(COUNT))
def test_derivative_of_assigning(n: int) -> None:
    x = sample((4, 5, 6))
    place = torch().from_numpy(x)[keys(torch())[n]]
    if repeated(torch().from_numpy(x), keys(torch())[n]):
        return
    v = np.asarray(sample(tuple(place.shape), seed=5))

    def f(lib: Any, a: Any, b: Any) -> Any:
        y = a * 2
        y[keys(lib)[n]] = b
        return y * 3

    compare(f, x, v)


def test_the_last_of_equal_indices_stays() -> None:
    index = gu.tensor([1, 1, 0])
    for value in (gu.tensor([1.0, 2.0, 3.0]), gu.tensor([1.0, 2.0, 3.0]).requires_grad_()):
        x = gu.zeros(3)
        x[index] = value
        assert x.tolist() == [3.0, 2.0, 0.0]


@pytest.mark.peers
def test_in_place_operations_on_indexed_places() -> None:
    def f(lib: Any, a: Any) -> Any:
        y = a * 1
        y[1] += 2
        y[:, 2] *= y[:, 3].clone()
        y[lib.tensor([0, 2])] -= 1
        y[y > 1] = 0.25
        return y

    compare(f, sample((4, 5)))


@pytest.mark.peers
def test_gather_and_relatives() -> None:
    x, i = sample((3, 4)), np.array([[0, 3], [1, 1], [2, 0]])
    compare(lambda lib, a, k: a.gather(1, k), x, i)
    compare(lambda lib, a, k: a.gather(0, k[:2] % 3), x, i)
    compare(lambda lib, a, k: a.index_select(1, k[:, 0]), x, i)
    compare(lambda lib, a, k: a.index_select(0, k[0, 0]), x, i)  # 0-d: a list of one
    compare(lambda lib, a, k: a.index_select(1, k[1, 1]), x, i)
    compare(lambda lib, a, k: a[0, 1].index_select(0, k[0, 0]), x, i)
    compare(lambda lib, a, k: a[0, 1].index_select(-1, k[0, :1]), x, i)
    compare(lambda lib, a, k: a[0].gather(0, k[2, 0]), x, i)
    compare(lambda lib, a, k: a[k[1, 0]] + a[:, k[0, 1]].sum(), x, i)
    compare(lambda lib, a, k: lib.take_along_dim(a, k, 1), x, i)
    compare(lambda lib, a: lib.take_along_dim(a, a.argmax(1, keepdim=True), 1), x)
    compare(lambda lib, a: a.masked_select(a > 0), x)
    compare(lambda lib, a: a.nonzero(), sample((3, 4), "int32"))


@pytest.mark.peers
def test_an_index_still_to_be_computed() -> None:
    compare(lambda lib, a: a[a.argmax(0), lib.arange(4)], sample((3, 4)))
    compare(lambda lib, a: a[(a[:, 0] * 0).long() - 1], sample((3, 4)))


def test_a_known_index_is_looked_at_again_after_a_write() -> None:
    x, i = gu.arange(3.0), gu.tensor([0, 2])
    assert x[i].tolist() == [0.0, 2.0]
    assert x[i].tolist() == [0.0, 2.0]
    with pytest.raises(IndexError, match=r"index 2 at position \(1,\)"):
        gu.arange(2.0)[i]
    i[0] = 5
    with pytest.raises(IndexError, match=r"index 5 at position \(0,\)"):
        x[i]


@pytest.mark.parametrize(
    ("shape", "mask"), [((1,), (0,)), ((3, 2), (0,)), ((3, 2), (3, 0)), ((3, 2), (0, 2))]
)
def test_a_mask_of_size_0_selects_nothing(shape: tuple[int, ...], mask: tuple[int, ...]) -> None:
    """As the array API standard and NumPy have it; any other size that differs is an error."""
    x = gu.ones(*shape, requires_grad=True)
    none = gu.zeros(*mask, dtype=gu.bool_)
    want = np.ones(shape)[np.zeros(mask, bool)]
    assert x[none].shape == want.shape
    x[none].sum().backward()
    assert x.grad is not None and x.grad.tolist() == np.zeros(shape).tolist()
    y = gu.ones(*shape)
    y[none] = 5.0
    y[none] = gu.ones(*want.shape)
    assert y.tolist() == np.ones(shape).tolist()


def test_errors_explain() -> None:
    x = gu.zeros(3, 4)
    with pytest.raises(IndexError, match="index 3 leaves axis 0 of size 3"):
        x[3]
    with pytest.raises(IndexError, match="index -5 leaves axis 1 of size 4"):
        x[0, -5]
    with pytest.raises(IndexError, match="index 4 leaves axis 1"):
        x[0, 4] = 1.0
    with pytest.raises(IndexError, match=r"index 7 at position \(1,\) leaves an axis of size 3"):
        x[gu.tensor([0, 7])]
    with pytest.raises(IndexError, match="leaves an axis of size 3"):
        x[gu.tensor([0, -4])] = 1.0
    with pytest.raises(gu.ShapeError, match="index is a list, of one axis"):
        x.index_select(0, gu.tensor([[0]]))
    with pytest.raises(gu.ShapeError, match="one axis and one element"):
        x[0, 0].index_select(0, gu.tensor([0, 0]))
    with pytest.raises(IndexError, match="a mask is no list of indices"):
        x.index_select(0, x[:, 0] > 0)
    with pytest.raises(IndexError, match="3 indices for a tensor of 2 axes"):
        x[0, 0, 0]
    with pytest.raises(IndexError, match="mask must have the size"):
        x[gu.tensor([True, False])]
    with pytest.raises(IndexError, match="not float32"):
        x[gu.tensor([1.0])]
    with pytest.raises(gu.ShapeError, match="does not broadcast"):
        x[0] = gu.zeros(3)
    with pytest.raises(IndexError, match="only"):
        x[..., ...]
    with pytest.raises(IndexError, match="str"):
        x["a"]


def test_an_index_out_of_range_is_found_when_it_is_computed(engine: str) -> None:
    x, i = gu.arange(3.0), gu.arange(2) * 4
    with pytest.raises(IndexError):
        (x[i] + 1).tolist()
