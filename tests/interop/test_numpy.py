"""NumPy and tensors: memory that both see, in every layout; arithmetic between the two."""

import sys
from typing import Any

import numpy as np
import pytest

import groundup as gu

DTYPES = (
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16",
    "float32", "float64", "complex64", "complex128",
)  # fmt: skip
BASE = np.arange(24.0).reshape(4, 6)
LAYOUTS: dict[str, Any] = {
    "whole": lambda a: a,
    "transposed": lambda a: a.T,
    "reversed": lambda a: a[::-1],
    "reversed both": lambda a: a[::-1, ::-1],
    "part": lambda a: a[1:3, 2:5],
    "steps": lambda a: a[::2, 1::2],
    "backward steps": lambda a: a[::-2, ::-3],
    "turned part": lambda a: a[1:, ::-2].T,
    "column": lambda a: a[:, 3],
    "one": lambda a: a[2:3, ::-1],
    "0-d": lambda a: a[1, 2, ...],
    "empty": lambda a: a[2:2],
    "new axis": lambda a: a[:, None, ::2],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_array_is_shared_in_every_layout(layout: str) -> None:
    a = BASE.copy()
    part = LAYOUTS[layout](a)
    x = gu.from_numpy(part, copy=False)
    assert tuple(x.shape) == part.shape
    np.testing.assert_array_equal(x.numpy(), part)
    if part.size:
        assert [s * 8 for s, n in zip(x.stride(), part.shape, strict=True) if n > 1] == [
            s for s, n in zip(part.strides, part.shape, strict=True) if n > 1
        ]
    a += 100
    np.testing.assert_array_equal((x * 2).numpy(), part * 2)
    before = a.copy()
    x += 0.5
    LAYOUTS[layout](before)[...] += 0.5
    np.testing.assert_array_equal(a, before)
    x[...] = gu.full(x.shape, 7.0, dtype=gu.float64)
    LAYOUTS[layout](before)[...] = 7
    np.testing.assert_array_equal(a, before)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_seen_through_a_shared_array_is_a_tensor_like_any_other(layout: str) -> None:
    part = LAYOUTS[layout](BASE.copy())
    x, copied = gu.from_numpy(part, copy=False), gu.from_numpy(part)
    with gu.debug():
        np.testing.assert_array_equal((x + 1).numpy(), part + 1)
    np.testing.assert_array_equal(x.reshape(-1).numpy(), part.reshape(-1))
    np.testing.assert_array_equal(x.sum().numpy(), copied.sum().numpy())
    double = gu.jit(lambda t: t * 2 + 1)
    for _ in range(3):
        part += 1
        np.testing.assert_array_equal(double(x).numpy(), part * 2 + 1)
    if part.ndim == 2:
        np.testing.assert_array_equal(x.t()[:, :1].numpy(), part.T[:, :1])
        again = gu.from_numpy(part)
        np.testing.assert_array_equal((x @ x.t()).numpy(), (again @ again.t()).numpy())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0), (2, 1, 3)])
def test_both_ways_in_every_type(dtype: str, shape: tuple[int, ...]) -> None:
    a = np.asarray(np.arange(np.prod(shape, dtype=int)).reshape(shape) % 2, dtype)
    x = gu.from_numpy(a, copy=False)
    assert x.dtype.name == dtype and tuple(x.shape) == shape
    b = x.numpy(copy=False)
    assert b.dtype == a.dtype and b.shape == shape
    if a.size:
        assert np.shares_memory(a, b)
        b[...] = b == 0
    np.testing.assert_array_equal(x.numpy(), a)
    y = gu.from_numpy(a)
    c = y.numpy(copy=False)
    c[...] = 0
    assert not np.shares_memory(a, c)
    np.testing.assert_array_equal(y.numpy(), np.zeros(shape, dtype))


def test_views_of_a_tensor_are_shared_with_their_strides() -> None:
    x = gu.arange(24).reshape(2, 3, 4)
    for view in (x, x[1], x[:, 1:], x.permute(2, 0, 1), x[:, ::2, 3], x.diagonal()):
        shared = view.numpy(copy=False)
        assert tuple(s // 8 for s in shared.strides) == tuple(view.stride())
        shared += 1
        np.testing.assert_array_equal(shared, view.numpy())
    row = gu.zeros(3).expand(2, 3)
    assert row.numpy(copy=False).strides == (0, 4)
    with pytest.raises(RuntimeError, match="expanded"):
        row += 1


def test_a_read_only_array_refuses_writes() -> None:
    a = np.arange(4.0)
    a.flags.writeable = False
    x = gu.from_numpy(a, copy=False)
    assert (x + 1).tolist() == [1.0, 2.0, 3.0, 4.0]
    for write in (lambda: x.add_(1), lambda: x.fill_(0), lambda: x.copy_(x), lambda: put(x)):
        with pytest.raises(BufferError, match="read-only where it comes from"):
            write()
    assert x.numpy(copy=False).flags.writeable is False
    assert x.tolist() == a.tolist()


def put(x: gu.Tensor) -> None:
    x[1] = 5


def test_what_cannot_be_shared_is_said() -> None:
    with pytest.raises(ValueError, match=r"byte order is not this machine's \(>f4\)"):
        gu.from_numpy(np.zeros(2, ">f4"), copy=False)
    unaligned = np.zeros(9, "uint8")[1:].view("float32")
    with pytest.raises(ValueError, match="not aligned to their 4 bytes"):
        gu.from_numpy(unaligned, copy=False)
    pair = np.zeros(3, [("a", "f4"), ("b", "i2")])
    with pytest.raises(ValueError, match=r"strides \(6,\)"):
        gu.from_numpy(pair["a"], copy=False)
    assert gu.from_numpy(pair["a"]).tolist() == [0.0, 0.0, 0.0]
    for alien in (np.array(["a"]), np.zeros(2, "M8[s]"), np.array([None]), np.zeros(1, "G")):
        with pytest.raises(TypeError, match="no counterpart"):
            gu.from_numpy(alien)
    with pytest.raises(TypeError, match="NumPy has no bfloat16"):
        gu.zeros(2, dtype=gu.bfloat16).numpy(copy=False)


def test_overlapping_memory_is_read_and_refuses_writes() -> None:
    a = np.arange(5.0)
    windows = np.lib.stride_tricks.sliding_window_view(a, 3, writeable=True)
    x = gu.from_numpy(windows, copy=False)
    a[2] = 9
    assert x.tolist() == windows.tolist()
    huge = gu.from_numpy(np.broadcast_to(np.float32(1), (1 << 20, 1 << 20)), copy=False)
    assert huge[0, :3].tolist() == [1.0, 1.0, 1.0]  # one number, and no copy of it
    with pytest.raises(RuntimeError, match="several elements share"):
        x += 1


def test_array_with_numpys_rules_for_copies() -> None:
    x = gu.tensor([1.0, 2.0])
    assert np.asarray(x).dtype == np.float32
    assert np.asarray(x, "int64").tolist() == [1, 2]
    assert np.array(x, copy=True).tolist() == [1.0, 2.0]
    shared = np.asarray(x, copy=False)
    shared[0] = 5
    assert x.tolist() == [5.0, 2.0]
    with pytest.raises(ValueError, match="becomes int64 only in a copy"):
        np.asarray(x, "int64", copy=False)
    fresh = np.asarray(x)
    fresh[0] = -1
    assert x.tolist() == [5.0, 2.0]
    with pytest.raises(RuntimeError, match="no derivative would flow"):
        np.asarray(gu.ones(2, requires_grad=True))


def test_memory_is_lent_until_nobody_outside_sees_it() -> None:
    x = gu.arange(4.0)
    y = x * 2
    shared = x.numpy(copy=False)
    part = shared[1:]
    del shared
    part[0] = 10
    assert x.tolist() == [0.0, 10.0, 2.0, 3.0]
    assert y.tolist() == [0.0, 2.0, 4.0, 6.0]  # what was asked for before
    z = x[1] + 0
    part[0] = 11
    assert x._storage.owner is not None
    del part
    assert x._storage.owner is None
    assert (x[1].item(), z.item()) == (11.0, 10.0)
    x += 1
    assert x.tolist() == [1.0, 12.0, 3.0, 4.0]


def test_a_view_known_before_sharing_sees_what_is_written_after() -> None:
    x = gu.arange(4.0)
    view = x[1:]
    y = view * 2  # holds the value of view as an expression
    shared = x.numpy(copy=False)
    shared[:] = 7
    assert (view + 0).tolist() == [7.0, 7.0, 7.0]
    del shared
    assert (view + 0).tolist() == [7.0, 7.0, 7.0]
    assert y.tolist() == [2.0, 4.0, 6.0]


def test_memory_that_a_derivative_needs_is_not_shared() -> None:
    w = gu.ones(3, requires_grad=True)
    h = w * 2
    for t in (w, h, h.detach(), h[1:].detach()):
        with pytest.raises(RuntimeError, match="would hide writes from that derivative"):
            t.numpy(copy=False)
    w.detach().numpy(copy=False)[:] = 3  # the memory of a leaf, as x.data
    assert w.tolist() == [3.0, 3.0, 3.0]
    x = gu.zeros(3)
    shared = x.numpy(copy=False)
    with pytest.raises(RuntimeError, match="shared with others outside, where it has none"):
        x += w
    assert shared.tolist() == [0.0, 0.0, 0.0]


def test_arithmetic_with_arrays_and_numbers_of_numpys_gives_tensors() -> None:
    x, a = gu.tensor([1.0, 2.0], requires_grad=True), np.array([3.0, 5.0])
    for got in (x + a, a + x):
        assert isinstance(got, gu.Tensor) and got.dtype is gu.float64
        assert got.tolist() == [4.0, 7.0]
    assert (a - x).tolist() == [2.0, 3.0] and (x - a).tolist() == [-2.0, -3.0]
    assert (a > x).tolist() == [True, True] and (x == a).tolist() == [False, False]
    assert (a == x).dtype is gu.bool and (a != x).all()
    f = a.astype("float32")
    assert (f @ x).item() == 13.0 and (x @ f).item() == 13.0
    (f * x).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [3.0, 5.0]
    for two in (np.float32(2), np.float64(2), np.float16(2), np.longdouble(2)):
        assert isinstance(two * x, gu.Tensor)
        assert (two * x).dtype is gu.float32 and (x * two).tolist() == [2.0, 4.0]
    assert (np.int64(2) ** gu.tensor([3])).tolist() == [8]
    assert (gu.tensor([True, False]) & np.bool_(True)).tolist() == [True, False]
    assert (x + np.array(1.0)).dtype is gu.float32  # 0-d, as a 0-d tensor
    with pytest.raises(RuntimeError, match="sizes 2 and 3"):
        x + np.zeros(3)
    for alien in (np.dtype("f4"), np.sin, np.array(["a"]), [1.0, 2.0]):
        with pytest.raises(TypeError):
            x + alien
    with gu.no_grad():
        x += a.astype("float32")
    assert x.tolist() == [4.0, 7.0]


def test_numpys_functions_give_arrays() -> None:
    x = gu.tensor([[0.0, 1.0]])
    assert type(np.sin(x)) is np.ndarray
    np.testing.assert_array_equal(np.sin(x), np.sin(x.numpy()))
    assert np.concatenate([x, x]).shape == (2, 2)
    np.testing.assert_allclose(x, [[0.0, 1.0]])


def test_arrays_in_a_captured_function_are_watched() -> None:
    a = np.ones(3, "float32")
    f = gu.jit(lambda t: t * a)
    x = gu.tensor([1.0, 2.0, 3.0])
    for _ in range(3):
        assert f(x).tolist() == [1.0, 2.0, 3.0]
    a[0] = 5
    with pytest.raises(gu.JitError, match="has changed since it was captured"):
        f(x)


def test_the_buffer_protocol() -> None:
    x = gu.arange(6).reshape(2, 3)
    view = memoryview(x) if sys.version_info >= (3, 12) else x.__buffer__(0)  # type: ignore[arg-type]
    assert (view.shape, view.format, view.readonly) == ((2, 3), "l", False)
    view[0, 1] = 50
    assert x.tolist() == [[0, 50, 2], [3, 4, 5]]
    turned = x.t().__buffer__(0)
    assert turned.strides == (8, 24) and turned.tolist() == [[0, 3], [50, 4], [2, 5]]
    with pytest.raises(RuntimeError, match="requires grad"):
        gu.ones(2, requires_grad=True).__buffer__(0)


def test_frombuffer_shares_memory() -> None:
    raw = bytearray(b"\0" * 16)
    x = gu.frombuffer(raw, dtype=gu.int32)
    x[1] = 258
    assert raw[4:8] == (258).to_bytes(4, sys.byteorder)
    raw[0] = 7
    assert x.tolist() == [7, 258, 0, 0]
    assert gu.frombuffer(raw, dtype=gu.int32, count=2, offset=4).tolist() == [258, 0]
    assert gu.frombuffer(raw, dtype=gu.uint8, count=0).shape == (0,)
    assert gu.frombuffer(b"\x80\x3f", dtype=gu.bfloat16).tolist() == [1.0]
    fixed = gu.frombuffer(b"\1\0\0\1", dtype=gu.bool)
    assert fixed.tolist() == [True, False, False, True]
    with pytest.raises(BufferError, match="read-only"):
        fixed[0] = False
    del x
    for wrong in ({"count": 5}, {"offset": 17}, {"offset": 2}, {"offset": -4}, {"count": -2}):
        with pytest.raises(ValueError, match="do not fit into a buffer of 16 bytes"):
            gu.frombuffer(raw, dtype=gu.int32, **wrong)
    with pytest.raises(ValueError, match="byte 2 of this buffer is not aligned"):
        gu.frombuffer(raw, dtype=gu.int32, count=1, offset=2)
    with pytest.raises(TypeError, match="whole numbers"):
        gu.frombuffer(raw, dtype=gu.uint8, count=1.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"memory of an object.*not int"):
        gu.frombuffer(3, dtype=gu.int32)
    with pytest.raises(TypeError, match="dtype is one such as"):
        gu.frombuffer(raw, dtype="int32")  # type: ignore[arg-type]


def test_shared_memory_says_so() -> None:
    x = gu.zeros(2)
    shared = x.numpy(copy=False)
    assert "shared with others outside" in str(x.storage_info())
    y = gu.from_numpy(shared, copy=False)
    assert "shared with ndarray outside" in str(y.storage_info())


def test_complex_arrays_are_shared_and_watched() -> None:
    a = (np.arange(12) - 3j).reshape(3, 4)
    for part in (a, a.T[::-1], a[1:, ::2], a[2]):
        z = gu.from_numpy(part, copy=False)
        assert z.stride() == tuple(s // 16 for s in part.strides)
        a[2, 2] += 1j
        np.testing.assert_array_equal(z.numpy(), part)
        z.imag.mul_(2)
        np.testing.assert_array_equal(z.numpy(), part)
        np.testing.assert_array_equal((z * 2).numpy(), part * 2)
    f = gu.jit(lambda t: (t * a).imag)
    for _ in range(3):
        np.testing.assert_array_equal(f(gu.ones(3, 4)).numpy(), a.imag)
    a[0] = 0
    with pytest.raises(gu.JitError, match="has changed since it was captured"):
        f(gu.ones(3, 4))
    x = gu.ones(3, 4, dtype=gu.complex128)
    assert (np.complex64(2j) * gu.ones(1)).tolist() == [2j]
    assert np.asarray(x).dtype == np.complex128
    shared = x.numpy(copy=False)
    shared[0, 0] = 5j
    assert x[0, 0].item() == 5j


@pytest.mark.parametrize("layout", ["whole", "steps", "backward steps"])
def test_captured_functions_write_shared_memory_at_once(layout: str) -> None:
    a = np.zeros((4, 6), "float32")
    part = LAYOUTS[layout](a)
    x = gu.from_numpy(part, copy=False)

    @gu.jit
    def reached(t: gu.Tensor) -> gu.Tensor:
        x.add_(t)
        return x.sum()

    @gu.jit
    def given(t: gu.Tensor) -> gu.Tensor:
        t.mul_(2)
        return t + 1

    one = gu.ones(*part.shape)
    for k in range(1, 4):
        assert reached(one).item() == part.size * k
        assert (part == k).all() and a.sum() == part.size * k
    part[:] = 1
    for k in range(1, 4):
        assert (given(x).numpy() == 2**k + 1).all()
        assert (part == 2**k).all()


def test_captured_functions_read_lent_memory_as_it_is_now() -> None:
    z = gu.zeros(3)
    shared = z.numpy(copy=False)

    @gu.jit
    def count() -> gu.Tensor:
        z.add_(1)
        return z * 1

    for k in range(1, 4):
        assert count().tolist() == [k] * 3 == shared.tolist()
    shared[:] = 10
    assert count().tolist() == [11.0] * 3
    del shared
    assert count().tolist() == [12.0] * 3 and z._storage.owner is None
