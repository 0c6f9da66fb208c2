"""Buffers: aligned, reused, bounded, from any thread, and honest when there is no memory."""

from __future__ import annotations

import ctypes
import gc
import itertools
import random
import threading
import time

import pytest

from groundup.runtime import Buffer, allocate, memory, system

SIZES = [0, 1, 63, 64, 65, 512, 513, 4096, 100_000, 1 << 18, (1 << 18) + 1, 4 << 20, 9_000_001]


@pytest.mark.parametrize("nbytes", SIZES)
def test_aligned_and_writable_to_the_last_byte(
    each_system: system.PortableSystem, nbytes: int
) -> None:
    buffer = allocate(nbytes)
    assert buffer.address % 64 == 0 and buffer.address > 0
    assert buffer.nbytes == nbytes
    ctypes.memset(buffer.address, 0xA5, nbytes)
    assert buffer.read_bytes() == b"\xa5" * nbytes


def test_huge_pages_are_aligned_to_them(each_system: system.PortableSystem) -> None:
    big = allocate(64 << 20)
    assert each_system.name == "portable" or big.address % system.HUGE_PAGE == 0


def test_live_buffers_never_overlap(each_system: system.PortableSystem) -> None:
    rng = random.Random(0)
    live: list[Buffer] = []
    for step in range(3000):
        if live and rng.random() < 0.5:
            live.pop(rng.randrange(len(live)))
        buffer = allocate(rng.choice([0, 8, 64, 200, 5000, 300_000]))
        live.append(buffer)
        if step % 100 == 0:
            spans = sorted((b.address, max(b.nbytes, 1)) for b in live)
            for (start, length), (following, _) in itertools.pairwise(spans):
                assert start + length <= following


@pytest.mark.parametrize("nbytes", [100, 5 << 20])
def test_a_freed_block_is_the_next_one(each_system: system.PortableSystem, nbytes: int) -> None:
    first = allocate(nbytes)
    address = first.address
    del first
    assert allocate(nbytes - 1).address == address


def test_a_training_loop_maps_nothing_after_its_first_step(
    each_system: system.PortableSystem,
) -> None:
    def step() -> None:
        activations = [allocate(n << 16) for n in range(1, 30)]
        gradients = [allocate(n << 15) for n in range(1, 30)]
        del activations, gradients

    step()
    mapped = memory.stats()["mapped"]
    for _ in range(5):
        step()
    assert memory.stats()["mapped"] == mapped


def test_idle_memory_is_bounded(each_system: system.PortableSystem) -> None:
    memory.trim()
    for megabytes in range(8, 200, 3):  # every size once: none is ever asked for again
        allocate(megabytes << 20)
    stats = memory.stats()
    assert stats["mapped"] <= 2 * stats["peak"] + memory._SLACK
    before = stats["live"]
    memory.trim()
    stats = memory.stats()
    assert stats["live"] == before
    assert stats["idle"] <= len(memory._chunks) * memory._CHUNK  # what small blocks are cut from


def test_stats_follow_live_buffers() -> None:
    gc.collect()
    before = memory.stats()["live"]
    buffer = allocate(10 << 20)
    assert memory.stats()["live"] == before + (10 << 20)
    del buffer
    assert memory.stats()["live"] == before


def test_memory_error_states_what_was_asked_and_what_is_live(
    each_system: system.PortableSystem,
) -> None:
    keep = allocate(1 << 20)
    for nbytes in (1 << 60, 1 << 80):
        said = rf"{nbytes} bytes .* were asked for while \d+ .* are live"
        with pytest.raises(MemoryError, match=said):
            allocate(nbytes)
    assert keep.nbytes == 1 << 20


def test_out_of_memory_gives_idle_blocks_back_first(monkeypatch: pytest.MonkeyPatch) -> None:
    memory.trim()
    held = memory.stats()["idle"]  # small blocks of earlier tests, which are never given back
    real, idle = system.current().map, allocate(32 << 20)
    del idle

    def scarce(nbytes: int) -> tuple[int, object]:
        if memory.stats()["idle"] >= held + (32 << 20):
            raise MemoryError("scarce")
        return real(nbytes)

    monkeypatch.setattr(system.current(), "map", scarce)
    assert allocate(48 << 20).nbytes == 48 << 20


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(ValueError, match="-1 bytes"):
        allocate(-1)


def test_read_and_write_check_their_bounds() -> None:
    buffer = allocate(16)
    buffer.write("<id", 4, 7, 2.5)
    assert buffer.read("<id", 4) == (7, 2.5)
    for wrong in (
        lambda: buffer.read("<q", 9),
        lambda: buffer.write("<q", 9, 1),
        lambda: buffer.read_bytes(-1, 1),
        lambda: buffer.write_bytes(b"x", 16),
    ):
        with pytest.raises(IndexError, match="of a buffer that has 16"):
            wrong()


def test_memoryview_shares_the_bytes_and_keeps_them_alive() -> None:
    buffer = allocate(4)
    address, view = buffer.address, buffer.memoryview()
    view[:] = b"abcd"
    del buffer
    gc.collect()
    assert allocate(4).address != address
    assert bytes(view) == b"abcd" and view.format == "B"
    assert allocate(0).memoryview().nbytes == 0


def test_from_object_copies_nothing() -> None:
    source = bytearray(b"hello")
    buffer = Buffer.from_object(source)
    buffer.write_bytes(b"J")
    assert source == b"Jello" and not buffer.readonly
    with pytest.raises(BufferError):
        source.append(1)  # a resize would pull the memory away
    del buffer
    source.append(1)


def test_from_object_read_only_and_strided() -> None:
    buffer = Buffer.from_object(b"const")
    assert buffer.readonly and buffer.read_bytes() == b"const"
    assert buffer.memoryview().readonly
    with pytest.raises(BufferError, match="read-only"):
        buffer.write_bytes(b"x")
    with pytest.raises(BufferError, match="not C-contiguous"):
        Buffer.from_object(memoryview(b"abcdef")[::2])


def test_from_an_address_needs_a_length_and_keeps_the_owner() -> None:
    owner = (ctypes.c_int32 * 2)(5, 6)
    buffer = Buffer.from_object(ctypes.addressof(owner), 8, owner)
    del owner
    gc.collect()
    assert buffer.read("<2i") == (5, 6)
    with pytest.raises(ValueError, match="nbytes"):
        Buffer.from_object(buffer.address)


def test_threads_never_get_the_same_block() -> None:
    wrong: list[str] = []

    def work(mark: int) -> None:
        rng = random.Random(mark)
        for _ in range(2000):
            buffer = allocate(rng.choice([64, 1000, 300_000]))
            buffer.write("<q", 0, mark)
            time.sleep(0)
            if buffer.read("<q") != (mark,):
                wrong.append(f"thread {mark}")

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_small_allocations_are_cheap() -> None:
    def once() -> float:
        start = time.perf_counter()
        for _ in range(2000):
            allocate(256)
        return (time.perf_counter() - start) / 2000

    once()
    assert min(once() for _ in range(20)) < 1.5e-6


@pytest.mark.parametrize("pattern", [b"\0", b"abc", b"abcdefgh", b"aaaa", b"\0\0\x80?"])
@pytest.mark.parametrize("times", [1, 2, 3, 1000, 100_001])
def test_a_pattern_fills_all(pattern: bytes, times: int) -> None:
    buffer = allocate(len(pattern) * times)
    buffer.fill(pattern)
    assert buffer.read_bytes() == pattern * times
    allocate(0).fill(pattern)
    with pytest.raises(BufferError):
        Buffer.from_object(b"const").fill(pattern)


def test_sizes_are_written_to_be_read() -> None:
    sizes = [0, 1, 1023, 1024, 1536, 10 << 20, 1 << 30, 1 << 60, 1 << 75]
    assert [memory._readable(n) for n in sizes] == [
        "0 bytes", "1 bytes", "1.02e+03 bytes", "1 KiB", "1.5 KiB", "10 MiB", "1 GiB", "1 EiB",
        "3.28e+04 EiB",
    ]  # fmt: skip
