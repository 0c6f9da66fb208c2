"""MNIST: 70,000 handwritten digits, 28 × 28 bytes each, embedded in the package as `mnist.xz`.

Made by `tools/make_mnist.py`; attribution and licence in `MNIST-LICENSE.md`. Must not know models.
"""

import hashlib
import lzma
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path

from groundup.data import Normalize, Subset, TensorDataset, permutation, statistics
from groundup.datasets.registry import DataError, Splits
from groundup.tensor import Tensor, from_numpy, int64

TRAIN, VALID, TEST = 55_000, 5_000, 10_000
SIDE = 28
CLASSES = tuple("0123456789")

# The split is part of the data set: it stays the same whatever the seed of a run.
_SPLIT_KEY = ("mnist split", 1998)

# Printed by tools/make_mnist.py: the lengths of the xz streams, and the checksum of the file.
_STREAMS = (2016592, 2006536, 2021932, 2029992, 1351004, 29056)
_SHA256 = "1a62a642aa57f0513796b945c850baa2d8701e54642f4a05466c2b5dec72958a"
_FILE = Path(__file__).with_name("mnist.xz")


@dataclass(frozen=True)
class Raw:
    """The bytes of MNIST: images row by row, one byte a pixel (0 paper, 255 ink); labels one byte
    each.
    """

    train_images: bytes
    train_labels: bytes
    test_images: bytes
    test_labels: bytes


def read(path: Path = _FILE) -> Raw:
    """Return the images and labels of the file at `path`, checked by length and SHA-256.

    Raises DataError if the file is missing, truncated or damaged.
    """
    packed = _checked(path)
    bounds = pairwise(accumulate(_STREAMS, initial=0))
    with ThreadPoolExecutor(2) as pool:  # lzma releases the interpreter while it unpacks
        *train, test, labels = pool.map(lzma.decompress, [packed[a:b] for a, b in bounds])
    cut = TRAIN + VALID
    return Raw(b"".join(train), labels[:cut], test, labels[cut:])


def load(path: Path = _FILE) -> Splits:
    """Return MNIST as 55,000 images to train on, 5,000 to validate and 10,000 to test once.

    An item is (image, label): uint8 of shape (1, 28, 28), and int64. The 5,000 are a fixed random
    choice of the original 60,000 training images. Raises DataError as `read` does.
    """
    raw = read(path)
    known = TensorDataset(_images(raw.train_images), _labels(raw.train_labels), classes=10)
    test = TensorDataset(_images(raw.test_images), _labels(raw.test_labels), classes=10)
    order = permutation(TRAIN + VALID, *_SPLIT_KEY)
    train, valid = Subset(known, sorted(order[VALID:])), Subset(known, sorted(order[:VALID]))
    return Splits("mnist", train, valid, test, CLASSES, Normalize(*statistics(train)))


def _checked(path: Path) -> bytes:
    remedy = "install groundup anew to restore it"
    try:
        packed = path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(f"MNIST's data file {path} cannot be read ({reason}); {remedy}") from error
    if len(packed) != sum(_STREAMS):
        kind = "truncated" if len(packed) < sum(_STREAMS) else "damaged"
        raise DataError(
            f"MNIST's data file {path} is {kind}: it has {len(packed):,} bytes "
            f"and should have {sum(_STREAMS):,}; {remedy}"
        )
    if hashlib.sha256(packed).hexdigest() != _SHA256:
        raise DataError(
            f"MNIST's data file {path} is damaged: its length is right but its SHA-256 checksum is "
            f"not; {remedy}"
        )
    return packed


def _images(pixels: bytes) -> Tensor:
    return _tensor(pixels).view(-1, 1, SIDE, SIDE)


def _labels(values: bytes) -> Tensor:
    return _tensor(values).to(int64).realize()


def _tensor(values: bytes) -> Tensor:
    import numpy as np

    return from_numpy(np.frombuffer(values, dtype=np.uint8))
