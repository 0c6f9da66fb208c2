"""DLPack: the same memory here and in NumPy and PyTorch, freed when the last of them is done."""

import gc
import os
import threading
import weakref
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup.runtime import allocate, dlpack

NUMPYS = (
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16",
    "float32", "float64", "complex64", "complex128",
)  # fmt: skip


class Old:
    """A producer of before DLPack 1: no version, no copy."""

    def __init__(self, x: Any) -> None:
        self.x = x

    def __dlpack__(self, stream: Any = None) -> object:
        return self.x.__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


@pytest.mark.parametrize("dtype", NUMPYS)
@pytest.mark.parametrize("shape", [(), (0, 2), (3,), (2, 1, 3)])
def test_numpy_both_ways(dtype: str, shape: tuple[int, ...]) -> None:
    a = np.asarray(np.arange(np.prod(shape, dtype=int)).reshape(shape) % 2, dtype)
    for x in (gu.from_dlpack(a), gu.from_dlpack(Old(a)), gu.from_dlpack(a.__dlpack__())):
        assert x.dtype.name == dtype and tuple(x.shape) == shape
        b = np.from_dlpack(x)
        assert b.dtype == a.dtype and b.shape == shape
        if a.size:
            assert np.shares_memory(a, b)
            a[...] = a == 0
        np.testing.assert_array_equal(b, a)
        np.testing.assert_array_equal(x.numpy(), a)


@pytest.mark.parametrize(
    "index", [np.s_[::2], np.s_[::-1], np.s_[1:, ::-3], np.s_[2], np.s_[:, 1], np.s_[3:3]]
)
def test_strides_and_offsets(index: Any) -> None:
    a = np.arange(24).reshape(4, 6)
    part = a[index]
    x = gu.from_dlpack(part)
    np.testing.assert_array_equal(x.numpy(), part)
    x += 10
    np.testing.assert_array_equal(x.numpy(), part)
    y = gu.arange(24).reshape(4, 6)[1:, 2::2].t()
    b = np.from_dlpack(y)
    assert b.strides == (16, 48)
    y[0, 0] = -1
    assert b[0, 0] == -1


def test_a_read_only_array_stays_so() -> None:
    a = np.arange(3.0)
    a.flags.writeable = False
    x = gu.from_dlpack(a)
    with pytest.raises(BufferError, match="read-only where it comes from"):
        x += 1
    assert np.from_dlpack(x).flags.writeable is False
    with pytest.raises(BufferError, match="before version 1 cannot say so"):
        x.__dlpack__()
    y = gu.from_dlpack(a, copy=True)
    y += 1
    assert (y.tolist(), a.tolist()) == ([1.0, 2.0, 3.0], [0.0, 1.0, 2.0])


def test_copies_when_asked() -> None:
    a = np.arange(3.0)
    x = gu.from_dlpack(a, copy=True)
    a[0] = 7
    assert x.tolist() == [0.0, 1.0, 2.0] and x._storage.owner is None
    b = np.from_dlpack(x, copy=True)
    b[0] = 5
    assert x.tolist() == [0.0, 1.0, 2.0] and x._storage.owner is None
    assert np.shares_memory(np.from_dlpack(x), np.from_dlpack(x, copy=False))
    fresh = gu.from_dlpack(x, copy=False)
    fresh[1] = 9
    assert x[1].item() == 9.0


def test_what_a_derivative_needs_is_copied_or_refused() -> None:
    w = gu.ones(2, requires_grad=True)
    h = w * 2
    for t in (w, h):
        with pytest.raises(BufferError, match="requires grad"):
            t.__dlpack__()
    b = np.from_dlpack(h.detach())
    b[:] = 100
    assert h.tolist() == [2.0, 2.0]
    with pytest.raises(BufferError, match="a derivative needs"):
        np.from_dlpack(h.detach(), copy=False)
    (h * h).sum().backward()
    assert w.grad is not None and w.grad.tolist() == [8.0, 8.0]


def test_devices_and_streams() -> None:
    x = gu.ones(2)
    assert x.__dlpack_device__() == (1, 0)
    assert x.__dlpack__(dl_device=(1, 0), stream=None, max_version=(2, 0), copy=False)
    with pytest.raises(BufferError, match=r"cannot be put on \(2, 0\)"):
        x.__dlpack__(dl_device=(2, 0))
    with pytest.raises(BufferError, match="no stream 1"):
        x.__dlpack__(stream=1)
    with pytest.raises(ValueError, match="device is None or 'cpu'"):
        gu.from_dlpack(x, device="cuda")

    class Elsewhere(Old):
        def __dlpack_device__(self) -> tuple[int, int]:
            return (2, 0)

    with pytest.raises(BufferError, match="device type 2"):
        gu.from_dlpack(Elsewhere(x))
    f = gu.jit(lambda t: gu.from_dlpack(t))
    with pytest.raises(RuntimeError, match="from_dlpack.. asks for a value while jit"):
        f(x)


def test_what_is_no_capsule_raises() -> None:
    import _socket

    used = gu.ones(2).__dlpack__()
    gu.from_dlpack(used)
    with pytest.raises(BufferError, match="used up"):
        gu.from_dlpack(used)
    for wild in (3, None, [1.0], object(), _socket.CAPI, "dltensor"):  # type: ignore[attr-defined]
        with pytest.raises(TypeError, match=r"from_dlpack takes|a DLPack capsule named"):
            gu.from_dlpack(wild)

    class Liar(Old):
        def __dlpack__(self, **more: Any) -> Any:  # type: ignore[override]
            return self.x

    for wild in (3, None, _socket.CAPI, used):  # type: ignore[attr-defined]
        with pytest.raises((TypeError, BufferError)):
            gu.from_dlpack(Liar(wild))
    with pytest.raises(BufferError):
        gu.from_dlpack(np.zeros(2, "longdouble"))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"device_type": 2}, "device type 2"),
        ({"lanes": 4}, "4 lanes"),
        ({"bits": 4}, "4 bits"),
        ({"ndim": -1}, "-1 axes"),
        ({"ndim": 1000}, "1000 axes"),
        ({"code": 9}, "type 9 with 32 bits"),
        ({"data": None}, "no memory"),
        ({"byte_offset": 1}, "not aligned"),
        ({"size": -3}, "negative sizes"),
        ({"size": 1 << 62}, "no memory holds"),
        ({"major": 2}, "speaks DLPack 2.0"),
    ],
)
def test_a_capsule_that_cannot_be_is_refused_and_freed(change: dict[str, Any], match: str) -> None:
    buffer, keep = allocate(64), Keep()
    died = weakref.ref(keep)
    capsule = dlpack.give(dlpack.Elements(buffer.address, (2, 2), (2, 1), 2, 32), keep, True)
    del keep
    managed = dlpack._Versioned.from_address(dlpack._pointer(capsule, b"dltensor_versioned"))
    for name, value in change.items():
        if name == "size":
            managed.tensor.shape[0] = value
        else:
            setattr(managed if name == "major" else managed.tensor, name, value)
    with pytest.raises(BufferError, match=match):
        gu.from_dlpack(capsule)
    del capsule, managed
    assert died() is None


class Keep:
    pass


@pytest.mark.parametrize("versioned", [False, True])
def test_memory_lives_until_the_last_of_us_is_done(versioned: bool) -> None:
    buffer, keep = allocate(64), Keep()
    buffer.write("<4f", 0, 1.0, 2.0, 3.0, 4.0)
    died = weakref.ref(keep)
    elements = dlpack.Elements(buffer.address, (2, 2), (2, 1), 2, 32)
    x = gu.from_dlpack(dlpack.give(elements, (keep, buffer), versioned))
    del keep, buffer
    row = x[1]
    b = np.from_dlpack(row)
    del x, row
    gc.collect()
    assert b.tolist() == [3.0, 4.0] and died() is not None
    del b
    gc.collect()
    assert died() is None
    keep = Keep()
    died = weakref.ref(keep)
    capsule = dlpack.give(elements, keep, versioned)
    del keep
    assert died() is not None
    try:
        raise ValueError(capsule)  # a capsule nobody took dies while an error is on its way
    except ValueError:
        del capsule
    assert died() is None


def test_a_capsule_may_be_freed_by_another_thread() -> None:
    held = [np.from_dlpack(gu.ones(1000) * i) for i in range(20)]
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    assert not held


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads Linux's /proc")
def test_ten_thousand_exchanges_need_no_memory() -> None:
    x, a = gu.ones(4096), np.ones(4096, "float32")

    def exchange(n: int) -> None:
        for _ in range(n):
            np.from_dlpack(x)
            gu.from_dlpack(a)
            x.__dlpack__(max_version=(1, 0))
            x.numpy(copy=False)
            gu.from_numpy(a, copy=False)

    exchange(500)
    gc.collect()
    before = resident()
    exchange(10_000)
    gc.collect()
    assert resident() - before < 4 << 20  # of 160 MB each way, had they been kept
    assert x._storage.owner is None


TORCHES = (*NUMPYS, "bfloat16")


@pytest.mark.peers
@pytest.mark.parametrize("dtype", TORCHES)
def test_torch_both_ways(dtype: str) -> None:
    import torch

    kind = getattr(torch, dtype)
    t = (torch.arange(12).reshape(3, 4) % 2).to(kind)
    for theirs in (t, t.t(), t[1:, ::2], t[:, 0], t[1, 1], t[:0]):
        x = gu.from_dlpack(theirs)
        assert x.dtype.name == dtype and tuple(x.shape) == tuple(theirs.shape)
        assert x.tolist() == theirs.tolist()
        y = torch.from_dlpack(x)
        assert y.dtype == kind and y.tolist() == theirs.tolist()
        if theirs.numel():
            assert y.data_ptr() == theirs.data_ptr()
            t.copy_(t == 0)
            assert x.tolist() == theirs.tolist() == y.tolist()
            with gu.no_grad():
                x.real.copy_(x == 0)
            assert x.tolist() == theirs.tolist()
    ours = gu.ones(2, 3, dtype=getattr(gu, dtype))
    there = torch.from_dlpack(ours.t())
    assert there.stride() == (1, 3) or there.numel() == 0
    ours.real[0, 1] = 0
    assert there.tolist() == ours.t().tolist()
    there.zero_()
    assert ours.tolist() == gu.zeros(2, 3, dtype=ours.dtype).tolist()
    # The form before version 1.
    old = torch.utils.dlpack.from_dlpack(ours.__dlpack__())
    assert gu.from_dlpack(torch.utils.dlpack.to_dlpack(old)).tolist() == ours.tolist()


@pytest.mark.peers
def test_torch_frees_ours() -> None:
    import torch

    x = gu.ones(5)
    t = torch.from_dlpack(x)
    assert x._storage.owner is not None
    part = t[1:]
    del t
    part[0] = 4
    assert x.tolist() == [1.0, 4.0, 1.0, 1.0, 1.0]
    del part
    gc.collect()
    assert x._storage.owner is None
    with pytest.raises(BufferError):
        gu.from_dlpack(torch.ones(2, requires_grad=True))


@pytest.mark.peers
def test_arithmetic_with_torch_says_how() -> None:
    import torch

    for call in (lambda: gu.ones(2) + torch.ones(2), lambda: gu.ones(2) * (torch.ones(2) + 0j)):
        with pytest.raises(TypeError, match=r"not torch.Tensor; gu.from_dlpack\(x\) makes"):
            call()


def test_a_row_of_shared_memory_is_taken_alone() -> None:
    a = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    x = gu.from_dlpack(a)
    taken = x[1, 1:].node.value
    assert taken.nbytes == 2 * 4 * 4
    y = x[1, 1:] + 0
    a[:] = -1
    assert y.tolist() == [[16, 17, 18, 19], [20, 21, 22, 23]]
    assert (x[1, 1:] + 0).tolist() == [[-1] * 4] * 2


def test_a_captured_function_gives_back_views_of_shared_memory() -> None:
    a = np.arange(12, dtype=np.float32).reshape(3, 4)
    for part in (a.T, a[:, ::2], a[::-1, 1:], a[1:2, ::3]):
        x = gu.from_dlpack(part)
        f = gu.jit(lambda x=x: (x.detach(), x.detach()[:, -1]))
        for n in range(3):
            whole, column = f()
            assert whole.tolist() == part.tolist() and column.tolist() == part[:, -1].tolist()
            whole[0, 0] = n
            assert part[0, 0] == n


def test_a_captured_function_writes_nothing_where_one_memory_is_read_only() -> None:
    fixed, count = gu.frombuffer(bytes(8), dtype=gu.float32), gu.zeros(2)

    @gu.jit
    def step(x: gu.Tensor) -> gu.Tensor:
        count.add_(1)
        x.add_(1)
        return x * 1

    for _ in range(3):
        with pytest.raises(BufferError, match=r"read-only where it comes from; write into x.clone"):
            step(fixed)
        assert count.tolist() == [0, 0] and fixed.tolist() == [0, 0]
    assert step(gu.ones(2)).tolist() == [2, 2] and count.tolist() == [1, 1]


@pytest.mark.parametrize(
    "parts",
    [
        (slice(None), slice(2, 4)),
        (slice(3, 5), slice(None)),
        (slice(0, 4), slice(0, 4)),
        (slice(0, 4), slice(3, 6)),
    ],
)
def test_a_captured_function_does_not_write_where_another_tensor_lies(
    parts: tuple[slice, slice],
) -> None:
    a = np.arange(6, dtype=np.float32)
    p, q = (gu.from_dlpack(a[part]) for part in parts)
    step = gu.jit(lambda x, y: (x.add_(1), y * 1)[1])
    reads = gu.jit(lambda x, y: (x.sum(), y * 1)[1])
    for _ in range(3):
        with pytest.raises(gu.JitError, match="reaches twice"):
            step(p, q)
        assert reads(p, q).tolist() == a[parts[1]].tolist() and a.tolist() == list(range(6))
    apart = gu.from_dlpack(a[:2]), gu.from_dlpack(a[2:])
    for n in range(3):
        assert step(*apart).tolist() == [2, 3, 4, 5] and a[:2].tolist() == [n + 1, n + 2]
    with pytest.raises(gu.JitError, match="reaches twice"):
        gu.jit(lambda: (p.copy_(gu.ones(1)), q.zero_())[1].sum() * 0)()
