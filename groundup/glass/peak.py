"""The roofline of this machine: multiply-adds a second, and bytes a second by working set.

Measured by kernels of our own, written as LLVM IR text, in the same run as the rows that are held
against them. Must not know what those rows compute.
"""

from __future__ import annotations

import ctypes
import functools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..runtime import Buffer, function, target

# Independent chains of multiply-adds: more than latency × units of any processor we know (Zen 4:
# 4 cycles × 1 unit of 512 bits; Golden Cove: 4 × 2), and few enough for 16 registers.
CHAINS = 12
# Of vdpbf16ps, which exists only where there are 32 registers (Zen 5: 6 cycles × 2 units, and 16
# chains run 9% faster than 12).
PAIR_CHAINS = 16
STREAMS = 8  # vectors in flight in the kernels of memory
SECONDS = 0.02  # of one measurement, if nobody wants it sooner
TRIES = 5
LEAST_BYTES = 1 << 16  # a smaller working set than 64 KiB has the bandwidth of that

KINDS = ("read", "copy", "stream", "fill")  # stream: a copy whose stores go past the caches


@dataclass(frozen=True)
class Bandwidth:
    """Bytes a second of one working set, all threads together; a copy counts both directions."""

    read: float
    copy: float
    fill: float

    def seconds(self, read: float, written: float) -> float:
        """The least time to read and write so many bytes: both at once while there are both."""
        both = min(read, written)
        return 2 * both / self.copy + (read - both) / self.read + (written - both) / self.fill


TYPES = ("float32", "float64", "bfloat16")  # that have multiply-adds of their own


@functools.cache
def flops(threads: int, seconds: float = SECONDS, kind: str = "float32") -> float:
    """The multiply-adds of `threads` threads, 2 flop each, in flop a second; measured for so many
    seconds a few times.

    kind: float32, float64, or bfloat16 for products of that summed in float32, which where the
    processor adds two at once (AVX-512's vdpbf16ps) are twice as many, and else float32's.
    """
    if kind == "bfloat16" and not target.host().adds_pairs:
        return flops(threads, seconds)
    width = target.host().vector_bits // (64 if kind == "float64" else 32)
    run = _callable(_fma_text(width, kind), "fma", 2)
    out = [_filled(4096) for _ in range(threads)]  # zeros: no denormals
    each = width * (4.0 * PAIR_CHAINS if kind == "bfloat16" else 2.0 * CHAINS)
    rounds = _rounds(lambda n: run(out[0].address, n), seconds)
    return max(
        threads * rounds * each / _together([(run, (b.address, rounds)) for b in out])
        for _ in range(TRIES)
    )


def bandwidth(threads: int, nbytes: float, seconds: float = SECONDS) -> Bandwidth:
    """The bandwidth of a working set of this size (rounded to a power of two)."""
    size = LEAST_BYTES
    while size * 1.5 < nbytes:
        size *= 2
    return _bandwidth(threads, size, seconds)


@functools.cache
def _bandwidth(threads: int, size: int, seconds: float) -> Bandwidth:
    found = {kind: _bytes_a_second(kind, threads, size, seconds) for kind in KINDS}
    return Bandwidth(found["read"], max(found["copy"], found["stream"]), found["fill"])


def floor(
    threads: int, flop: float | Mapping[str, float], read: float, written: float,
    seconds: float = SECONDS,
) -> float:  # fmt: skip
    """The least seconds that this much work can take here: arithmetic and memory overlap.

    flop: of float32, or of each of TYPES.
    """
    each = flop if isinstance(flop, Mapping) else {"float32": flop}
    arithmetic = sum(x / flops(threads, seconds, kind) for kind, x in each.items() if x)
    if not read + written:
        return arithmetic
    return max(
        arithmetic, bandwidth(threads, read + written, seconds).seconds(read, written)
    )


def forget() -> None:
    """Measure anew when asked again."""
    flops.cache_clear()
    _bandwidth.cache_clear()


# ---- measuring -----------------------------------------------------------------------------------

Kernel = Callable[..., None]


def _bytes_a_second(kind: str, threads: int, size: int, seconds: float) -> float:
    """Each thread works on its part of the working set, over and over."""
    width = target.host().vector_bits // 32
    step = 4 * width * STREAMS
    run = _callable(_memory_text(kind, width), kind, 4)
    two = kind in ("copy", "stream")
    part = size // threads // (2 if two else 1) // step * step
    sources = [_filled(part) for _ in range(threads)]
    targets = [_filled(part if two else step) for _ in range(threads)]

    def work(n: int) -> list[tuple[Kernel, Sequence[int]]]:
        return [
            (run, (a.address, b.address, part // step, n))
            for a, b in zip(sources, targets, strict=True)
        ]

    def alone(n: int) -> None:
        _together(work(n))

    rounds = _rounds(alone, seconds)
    moved = part * (2 if two else 1) * threads
    return max(moved * rounds / _together(work(rounds)) for _ in range(TRIES))


def _filled(nbytes: int) -> Buffer:
    """Memory whose pages are there."""
    buffer = Buffer(nbytes)
    ctypes.memset(buffer.address, 0, nbytes)
    return buffer


def _rounds(run: Callable[[int], object], seconds: float) -> int:
    """How many rounds take about so many seconds."""
    rounds = 1
    while True:
        start = time.perf_counter()
        run(rounds)
        taken = time.perf_counter() - start
        if taken > seconds / 4:
            return max(1, round(rounds * seconds / taken))
        rounds *= 4


def _together(work: Sequence[tuple[Kernel, Sequence[int]]]) -> float:
    """Seconds from the first thread's start to the last one's end; ctypes lets go of the GIL."""
    if len(work) == 1:
        run, args = work[0]
        start = time.perf_counter()
        run(*args)
        return time.perf_counter() - start
    times: list[tuple[float, float]] = []
    gate = threading.Barrier(len(work))

    def one(run: Kernel, args: Sequence[int]) -> None:
        gate.wait()
        start = time.perf_counter()
        run(*args)
        times.append((start, time.perf_counter()))

    threads = [threading.Thread(target=one, args=item) for item in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return max(end for _, end in times) - min(start for start, _ in times)


# ---- the kernels ---------------------------------------------------------------------------------


@functools.cache
def _callable(text: str, name: str, arguments: int) -> Kernel:
    kinds = [ctypes.c_int64] * arguments
    return ctypes.CFUNCTYPE(None, *kinds)(function(text, name))


def _fma_text(width: int, kind: str = "float32") -> str:
    """fma(out, n): n rounds of independent multiply-adds of vectors in registers."""
    chains = range(PAIR_CHAINS if kind == "bfloat16" else CHAINS)
    number = "double" if kind == "float64" else "float"
    v = f"<{width} x {number}>"
    ones = ", ".join(f"{number} {_hex(1.0)}" for _ in range(width))
    lines = ["define void @fma(i64 %out, i64 %n) nounwind {", "entry:", "  br label %loop", "loop:"]
    lines.append("  %i = phi i64 [0, %entry], [%next, %loop]")
    for c in chains:
        lines.append(f"  %a{c} = phi {v} [<{ones}>, %entry], [%b{c}, %loop]")
    lines += ["  %p = inttoptr i64 %out to ptr", f"  %x = load {v}, ptr %p, align 64"]
    name, operands = f"@llvm.fma.v{width}f{64 if kind == 'float64' else 32}", f"{v}, {v}, {v}"
    if kind == "bfloat16":
        pairs = f"<{2 * width} x bfloat>"
        name, operands = f"@llvm.x86.avx512bf16.dpbf16ps.{32 * width}", f"{v}, {pairs}, {pairs}"
        lines.append(f"  %y = bitcast {v} %x to {pairs}")
    for c in chains:
        if kind == "bfloat16":
            lines.append(f"  %b{c} = call {v} {name}({v} %a{c}, {pairs} %y, {pairs} %y)")
        elif target.host().fma:
            lines.append(f"  %b{c} = call {v} {name}({v} %a{c}, {v} %x, {v} %x)")
        else:
            lines.append(f"  %m{c} = fmul {v} %a{c}, %x")
            lines.append(f"  %b{c} = fadd {v} %m{c}, %x")
    lines += ["  %next = add i64 %i, 1", "  %more = icmp slt i64 %next, %n"]
    lines += ["  br i1 %more, label %loop, label %done", "done:", "  %q = inttoptr i64 %out to ptr"]
    for c in chains:
        lines.append(f"  %t{c} = getelementptr {v}, ptr %q, i64 {c + 1}")
        lines.append(f"  store {v} %b{c}, ptr %t{c}, align 64")
    lines += ["  ret void", "}", f"declare {v} {name}({operands})"]
    return "\n".join(lines) + "\n"


def _hex(value: float) -> str:
    import struct

    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


def _memory_text(kind: str, width: int) -> str:
    """kind(from, to, steps, n): n times over `steps` steps of STREAMS vectors each."""
    v, stream = f"<{width} x i32>", range(STREAMS)
    past = ", !nontemporal !0" if kind == "stream" else ""
    carried = [f"  %s{k} = phi {v} [%o{k}, %outer], [%t{k}, %inner]" for k in stream]
    begin = [f"  %o{k} = phi {v} [zeroinitializer, %entry], [%t{k}, %again]" for k in stream]
    body = []
    for k in stream:
        body.append(f"  %i{k} = add i64 %first, {k}")
        body.append(f"  %f{k} = getelementptr {v}, ptr %from, i64 %i{k}")
        if kind == "fill":
            body.append(f"  store {v} %s{k}, ptr %f{k}, align 64")
            body.append(f"  %t{k} = or {v} %s{k}, %s{k}")
            continue
        body.append(f"  %l{k} = load {v}, ptr %f{k}, align 64")
        body.append(f"  %t{k} = xor {v} %s{k}, %l{k}")
        if kind != "read":
            body.append(f"  %g{k} = getelementptr {v}, ptr %to, i64 %i{k}")
            body.append(f"  store {v} %l{k}, ptr %g{k}, align 64{past}")
    end = []
    if kind == "read":  # what was read is used, so that the reads are not dropped
        for k in stream:
            end.append(f"  %e{k} = getelementptr {v}, ptr %to, i64 {k}")
            end.append(f"  store {v} %t{k}, ptr %e{k}, align 64")
    return "\n".join([
        f"define void @{kind}(i64 %a, i64 %b, i64 %steps, i64 %n) nounwind {{",
        "entry:",
        "  %from = inttoptr i64 %a to ptr",
        "  %to = inttoptr i64 %b to ptr",
        "  br label %outer",
        "outer:",
        "  %r = phi i64 [0, %entry], [%rnext, %again]",
        *begin,
        "  br label %inner",
        "inner:",
        "  %j = phi i64 [0, %outer], [%jnext, %inner]",
        *carried,
        f"  %first = mul i64 %j, {STREAMS}",
        *body,
        "  %jnext = add i64 %j, 1",
        "  %jmore = icmp slt i64 %jnext, %steps",
        "  br i1 %jmore, label %inner, label %again",
        "again:",
        "  %rnext = add i64 %r, 1",
        "  %rmore = icmp slt i64 %rnext, %n",
        "  br i1 %rmore, label %outer, label %done",
        "done:",
        *end,
        "  ret void",
        "}",
        "!0 = !{i32 1}",
        "",
    ])  # fmt: skip
