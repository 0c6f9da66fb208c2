"""Storages: what views see, what in-place writes leave alone, when values are computed."""

import copy
import gc
import pickle
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup.ir.node import table_size

from .support import torch


def test_views_see_writes_and_writes_of_views_are_seen() -> None:
    x = gu.zeros(3, 4)
    row, column, flat = x[1], x[:, 2], x.view(12)
    row += 1
    column *= 5
    flat[0] = 9.0
    assert x.tolist() == [[9, 0, 0, 0], [1, 1, 5, 1], [0, 0, 0, 0]]
    assert row.tolist() == [1, 1, 5, 1]
    assert column.tolist() == [0, 5, 0]


def test_a_pending_expression_denotes_values_never_later_contents() -> None:
    x = gu.tensor([1.0, 2.0])
    y = x * 10
    z = x[0] + 0
    copied = x.clone()
    x[0] = 7.0
    x += 1
    assert y.tolist() == [10.0, 20.0]
    assert z.item() == 1.0
    assert copied.tolist() == [1.0, 2.0]
    assert x.tolist() == [8.0, 3.0]


def test_equal_expressions_have_memory_of_their_own() -> None:
    a = gu.tensor([1.0, 2.0])
    x, y = a + 1, a + 1
    gu.realize(x, y)
    x[0] = 50.0
    assert y.tolist() == [2.0, 3.0]
    assert a.tolist() == [1.0, 2.0]


def test_an_element_is_a_view_of_memory() -> None:
    x = gu.tensor([1.0, 2.0])
    e = x[0]
    x[0] = 5.0
    assert e.item() == 5.0
    e += 1
    assert x.tolist() == [6.0, 2.0]
    e.fill_(3)
    assert x.tolist() == [3.0, 2.0]


def test_element_writes_need_no_expression() -> None:
    c = gu.zeros(4, 4)
    a = gu.ones(4, 4).realize()
    c[0, 0] = 1.0
    before = table_size()
    for i in range(4):
        for j in range(4):
            c[i, j] += a[i, j] * a[j, i] + 1
    assert table_size() <= before + 4
    assert c.sum().item() == 33.0


def test_the_lessons_triple_loop() -> None:
    a, b = gu.randn(2, 7), gu.randn(7, 3)
    c = gu.zeros(2, 3)
    for i in range(2):
        for j in range(3):
            for k in range(7):
                c[i, j] += a[i, k] * b[k, j]
    assert gu.allclose(c, a @ b, rtol=1e-5, atol=1e-6)
    d = gu.zeros(2, 3)
    for i in range(2):
        for j in range(3):
            d[i, j] = (a[i, :] * b[:, j]).sum()
    assert gu.allclose(d, a @ b, rtol=1e-5, atol=1e-6)
    e = gu.zeros(2, 3)
    for i in range(2):
        e[i] = (a[i, :, None] * b).sum(0)
    assert gu.allclose(e, a @ b, rtol=1e-5, atol=1e-6)


def test_free_attributes() -> None:
    x = gu.zeros(2)
    x.g = gu.ones(2)
    assert x.g.tolist() == [1.0, 1.0]


def test_realising_without_history_forgets_the_expression() -> None:
    x = gu.ones(8)
    for _ in range(10):
        x = x + 1
    x.realize()
    gc.collect()
    y = x + 1
    before = table_size()
    del y
    assert table_size() < before <= 40 or table_size() < before


def test_a_forgotten_running_sum_does_not_keep_everything() -> None:
    start = table_size()
    total = gu.tensor(0.0)
    x = gu.ones(3)
    most = 0
    for _ in range(700):
        total += ((x * 2 + 1).exp() * 0.01).sum()
        most = max(most, table_size() - start)
    assert most < 700 * 5 * 8
    assert abs(total.item() - 700 * 3 * 0.01 * np.exp(3)) < 0.5


def test_item_and_conversions() -> None:
    assert gu.tensor(3).item() == 3
    assert float(gu.tensor([[2.5]])) == 2.5
    assert int(gu.tensor(7.9)) == 7
    assert [10, 20, 30][gu.tensor(1)] == 20
    assert bool(gu.tensor([True]))
    assert not gu.tensor(0.0)
    assert len(gu.zeros(5, 2)) == 5
    assert [t.item() for t in gu.arange(3)] == [0, 1, 2]
    assert 2 in gu.arange(3)
    assert 5 not in gu.arange(3)
    assert f"{gu.tensor(1.234):.2f}" == "1.23"
    assert gu.zeros(2, 0).tolist() == [[], []]
    with pytest.raises(gu.ShapeError, match="exactly one element"):
        gu.zeros(2).item()
    with pytest.raises(gu.ShapeError, match="is a tensor of 0 elements true"):
        bool(gu.zeros(0))
    with pytest.raises(TypeError, match="0-d"):
        len(gu.tensor(1))
    with pytest.raises(TypeError, match="is a position"):
        [1][gu.tensor(0.0)]


def test_numpy_copies_unless_told_otherwise() -> None:
    a = np.arange(6, dtype="float32").reshape(2, 3)
    x = gu.from_numpy(a)
    a[0, 0] = 99
    assert x[0, 0].item() == 0.0
    n = x.numpy()
    n[0, 0] = 50
    assert x[0, 0].item() == 0.0
    assert np.asarray(x.t()).tolist() == [[0, 3], [1, 4], [2, 5]]


def test_products_of_shared_memory_are_those_of_its_values_now() -> None:
    a = np.ones((2, 3))
    shared, x = gu.from_numpy(a, copy=False), gu.tensor(np.eye(2))
    for i in range(3):
        a[:] = i
        assert (x @ shared).tolist() == a.tolist()
        # An equal form, of other memory, is not filled in with what was shared.
        assert (x @ gu.tensor(a + 1)).tolist() == (a + 1).tolist()


def test_shared_memory_is_read_and_written_at_once() -> None:
    a = np.zeros((2, 2), "float32")
    x = gu.from_numpy(a, copy=False)
    before = x * 1
    a[0, 0] = 1.0
    y = x * 1
    a[0, 0] = 2.0
    assert (x[0, 0].item(), before[0, 0].item(), y[0, 0].item()) == (2.0, 0.0, 1.0)
    x += 1
    assert a.tolist() == [[3.0, 1.0], [1.0, 1.0]]
    x[1] = gu.tensor([7.0, 8.0])
    assert a.tolist() == [[3.0, 1.0], [7.0, 8.0]]
    z = gu.zeros(2, 3)
    shared = z.t().numpy(copy=False)
    shared[2, 0] = 4.0
    assert z.tolist() == [[0.0, 0.0, 4.0], [0.0, 0.0, 0.0]]
    z[1, 1] = 5.0
    assert shared[1, 1] == 5.0


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int16", "int64", "float16", "float32", "float64"]
)
def test_numpy_types(dtype: str) -> None:
    a = np.array([[0, 1], [1, 0]], dtype)
    assert gu.from_numpy(a).dtype.name == dtype
    np.testing.assert_array_equal(gu.from_numpy(a).numpy(), a)
    np.testing.assert_array_equal(gu.from_numpy(a[:, ::-1]).numpy(), a[:, ::-1])
    big = a.astype(a.dtype.newbyteorder(">"))
    np.testing.assert_array_equal(gu.from_numpy(big).numpy(), a)
    assert gu.from_numpy(np.zeros((0, 3), dtype)).shape == (0, 3)


def test_numpy_types_without_counterpart() -> None:
    with pytest.raises(TypeError, match="no counterpart"):
        gu.from_numpy(np.zeros(2, "datetime64[s]"))
    with pytest.raises(ValueError, match="byte order"):
        gu.from_numpy(np.zeros((2, 4), ">f4"), copy=False)


@pytest.mark.peers
def test_tensor_infers_like_torch() -> None:
    t = torch()
    for data in (
        [1, 2],
        [1.0, 2],
        [True, False],
        [True, 1],
        [],
        [[]],
        3,
        2.5,
        [[1, 2], [3, 4]],
        ((1,),),
    ):
        ours, theirs = gu.tensor(data), t.tensor(data)
        assert ours.dtype.name == str(theirs.dtype)[6:], data
        assert ours.tolist() == theirs.tolist()
        assert tuple(ours.shape) == tuple(theirs.shape)
    assert gu.tensor([gu.tensor(1.5), gu.tensor(2.5)]).tolist() == [1.5, 2.5]
    with pytest.raises(gu.ShapeError, match="equal lengths"):
        gu.tensor([[1, 2], [3]])
    with pytest.raises(TypeError, match="numbers"):
        gu.tensor(["a"])


@pytest.mark.peers
def test_creation_like_torch() -> None:
    t = torch()
    calls: list[Any] = [
        lambda lib: lib.zeros(2, 3), lambda lib: lib.ones((2, 0)), lambda lib: lib.full((2,), 3),
        lambda lib: lib.full((2,), 2.5), lambda lib: lib.arange(5),
        lambda lib: lib.arange(1, 2, 0.25),
        lambda lib: lib.arange(5, 0, -2), lambda lib: lib.arange(0), lambda lib: lib.eye(3),
        lambda lib: lib.eye(2, 4), lambda lib: lib.linspace(0, 1, 5),
        lambda lib: lib.linspace(3, -3, 4),
        lambda lib: lib.linspace(1, 2, 1), lambda lib: lib.zeros_like(lib.arange(3)),
        lambda lib: lib.ones(2, dtype=lib.int32), lambda lib: lib.full_like(lib.ones(2), 7),
        lambda lib: lib.zeros(2, 3).new_ones(4), lambda lib: lib.arange(3.0),
        lambda lib: lib.meshgrid(lib.arange(2), lib.arange(3), indexing="xy")[1],
    ]  # fmt: skip
    for n, call in enumerate(calls):
        ours, theirs = call(gu), call(t)
        assert ours.dtype.name == str(theirs.dtype)[6:], n
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6, err_msg=str(n))
    with pytest.raises(ValueError, match="no way"):
        gu.arange(0, 5, -1)
    with pytest.raises(gu.ShapeError, match="0 or more"):
        gu.zeros(-1)


def test_copies() -> None:
    w = gu.tensor([1.0, 2.0], requires_grad=True)
    (w * w).sum().backward()
    w.tag = "kept"
    for other in (copy.deepcopy(w), pickle.loads(pickle.dumps(w))):
        assert other.requires_grad
        assert other.is_leaf
        assert other.tag == "kept"
        assert other.tolist() == [1.0, 2.0]
        with gu.no_grad():
            other += 1
        assert w.tolist() == [1.0, 2.0]
    half = gu.arange(6).reshape(2, 3).t().to(gu.bfloat16)
    assert pickle.loads(pickle.dumps(half)).tolist() == half.tolist()


def test_close_and_equal() -> None:
    nan, inf = float("nan"), float("inf")
    assert gu.equal(gu.arange(3), gu.arange(3))
    assert not gu.equal(gu.arange(3), gu.arange(4))
    assert gu.allclose(gu.tensor([1.0, inf]), gu.tensor([1.0 + 1e-6, inf]))
    assert not gu.allclose(gu.tensor([1.0, inf]), gu.tensor([1.0, -inf]))
    assert not gu.allclose(gu.tensor([nan]), gu.tensor([nan]))
    assert gu.allclose(gu.tensor([nan]), gu.tensor([nan]), equal_nan=True)


def test_the_first_operation_that_made_a_nan_is_named() -> None:
    x = gu.tensor([1.0, -1.0, 4.0])
    good = x * 2
    bad = (good.log() + 1).sum()
    found = gu.first_nonfinite(bad)
    assert found is not None
    assert found.startswith("log made nan at [1] of a tensor of shape (3,)")
    assert "test_values.py:" in found
    assert gu.first_nonfinite(good.sum()) is None
    assert "data itself" in str(gu.first_nonfinite(gu.tensor([float("inf")]) + 1))


def test_tracing_forbids_asking_for_values() -> None:
    from groundup.tensor import storage

    class Watch:
        def __init__(self) -> None:
            self.reads: list[Any] = []
            self.stored: list[Any] = []

        def read(self, s: Any) -> None:
            self.reads.append(s)

        def writes(self, s: Any, value: Any) -> bool:
            self.stored.append(s)
            return False

        def written(self, s: Any) -> None:
            """It keeps no values."""

    x, y = gu.ones(3).realize(), gu.zeros(3)
    watch = Watch()
    before = storage.set_tracer(watch)  # type: ignore[arg-type]
    try:
        z = x[0] * 2 + y
        y += z
        y[1] = x[2]
        for ask in (
            z.item,
            z.tolist,
            z.numpy,
            z.realize,
            lambda: bool(z[0] > 1),
            lambda: float(x[0]),
        ):
            with pytest.raises(RuntimeError, match="jit"):
                ask()
        assert "captured" in repr(z)
    finally:
        storage.set_tracer(before)
    assert x._storage in watch.reads
    assert y._storage in watch.reads
    assert watch.stored == [y._storage, y._storage]
    assert y.tolist() == [2.0, 1.0, 2.0]
