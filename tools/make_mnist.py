"""Make `groundup/datasets/mnist.xz` from an `mnist.npz` (x_train, y_train, x_test, y_test as
uint8).

Usage: python tools/make_mnist.py ../shared/data/mnist.npz

The result is six xz streams, one behind the other, so that they can be unpacked side by side (and
`xz -dc` unpacks the whole as one): the 60,000 training images in four parts of 15,000, the 10,000
test images, then all 70,000 labels; images are 28 × 28 bytes, row by row, labels one byte each. The
script prints the constants that `groundup/datasets/mnist.py` checks the file against.
"""

import hashlib
import lzma
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

TARGET = Path(__file__).parent.parent / "groundup" / "datasets" / "mnist.xz"
PARTS = 4
# Preset 9e with pb=0, lc=4: image bytes have no alignment of four for `pb` to use, and one more
# bit of the byte before as context pays (measured: 0.2% smaller).
FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 4, "lp": 0, "pb": 0}]


def pack(raw: bytes) -> bytes:
    return lzma.compress(raw, format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC32, filters=FILTERS)


def main(source: str) -> None:
    with np.load(source) as data:
        x_train, y_train = data["x_train"], data["y_train"]
        x_test, y_test = data["x_test"], data["y_test"]
    assert x_train.shape == (60_000, 28, 28) and x_train.dtype == np.uint8
    assert x_test.shape == (10_000, 28, 28) and x_test.dtype == np.uint8
    raw = [part.tobytes() for part in np.split(x_train, PARTS)]
    raw += [
        x_test.tobytes(),
        y_train.astype(np.uint8).tobytes() + y_test.astype(np.uint8).tobytes(),
    ]
    with ThreadPoolExecutor(2) as pool:
        streams = list(pool.map(pack, raw))
    packed = b"".join(streams)
    TARGET.write_bytes(packed)
    print(f"_STREAMS = {tuple(len(stream) for stream in streams)}")
    print(f'_SHA256 = "{hashlib.sha256(packed).hexdigest()}"')
    print(f"{TARGET}: {len(packed):,} bytes")


if __name__ == "__main__":
    main(sys.argv[1])
