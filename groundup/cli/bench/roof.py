"""The roofline of this machine as rows of a report. Must not know how it is measured."""

from __future__ import annotations

from groundup.cli.bench.record import Figure
from groundup.glass import peak

SIZES = tuple(1 << n for n in (16, 18, 20, 22, 24, 26, 28))  # from the second cache to memory


def figures(threads: int) -> list[Figure]:
    """The roofline as rows."""
    found = [Figure("peak", "f32 multiply-adds", threads, "GFLOP/s", peak.flops(threads) / 1e9)]
    for size in SIZES:
        measured = peak.bandwidth(threads, size)
        name = f"{size >> 10} KiB" if size < 1 << 20 else f"{size >> 20} MiB"
        for kind in ("read", "copy", "fill"):
            value = getattr(measured, kind) / 1e9
            found.append(Figure("peak", f"{kind}, {name}", threads, "GB/s", value))
    return found
