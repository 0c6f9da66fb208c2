"""Elements in memory as Python numbers, and back.

What a value asked for needs without any emitter; it must not know how the elements came about.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from ..ir import dtype as dt
from ..ir.scalar import Number
from ..runtime import Buffer


def load(handle: Buffer, dtype: dt.DType, size: int) -> list[Number]:
    """The first `size` elements of memory, as Python numbers."""
    raw = handle.read_bytes(0, size * dtype.itemsize)
    if dtype is dt.bfloat16:
        halves = struct.unpack(f"={size}H", raw)
        words = struct.pack(f"={size}I", *(h << 16 for h in halves))
        return list(struct.unpack(f"={size}f", words))
    return list(struct.unpack(f"={size}{dtype.fmt}", raw))


def store(handle: Buffer, numbers: Sequence[Number], dtype: dt.DType) -> None:
    """Write Python numbers, each a value of the type, to the start of memory."""
    size = len(numbers)
    if dtype is dt.bfloat16:
        words = struct.unpack(f"={size}I", struct.pack(f"={size}f", *numbers))
        raw = struct.pack(f"={size}H", *(w >> 16 for w in words))
    else:
        raw = struct.pack(f"={size}{dtype.fmt}", *numbers)
    handle.write_bytes(raw)
