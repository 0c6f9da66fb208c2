"""The threads of NumPy's matrix products, which NumPy itself has no function for.

Knows OpenBLAS, which NumPy's packages bring along; must not know what is measured.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

# scipy-openblas, in NumPy's packages, puts a prefix and a suffix to OpenBLAS' own name.
NAMES = (
    "scipy_openblas_set_num_threads64_",
    "scipy_openblas_set_num_threads",
    "openblas_set_num_threads64_",
    "openblas_set_num_threads",
)


def set_threads(count: int) -> bool:
    """Let NumPy's products run on `count` threads; return whether there was somebody to tell."""
    import numpy  # noqa: F401  (which loads the library)

    try:
        maps = Path("/proc/self/maps").read_text()
    except OSError:
        return False
    told = False
    for path in {line.split()[-1] for line in maps.splitlines() if "openblas" in line}:
        library = ctypes.CDLL(path)
        for name in NAMES:
            if hasattr(library, name):
                getattr(library, name)(ctypes.c_int(count))
                told = True
                break
    return told
